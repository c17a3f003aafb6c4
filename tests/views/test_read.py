"""The bulkhead's one job, seen from outside: row for row, whatever the number of workers and whatever the text."""

import gzip
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from tetramer.errors import UserError
from tetramer.molecules import Limits, Molecule, Standard, parse
from tetramer.views import Reader, Reading, graph, read
from tetramer.views.base import take, to_bytes
from tetramer.views.read import frame, job, unframe

BOTH = ("graph", "fingerprint")
HERE = Limits(workers=0)
TEXTS = ["CCO", "C1CC", "", "c1ccccc1", "C C", "OCC", "CN(C)(C)C", "C" * 1_001, "[Na+].[Cl-]", "C" * 20_000] * 3
CODES = ["ok", "PARSE", "EMPTY", "ok", "CONTROL_CHAR", "ok", "SANITIZE", "TOO_BIG", "ok", "TOO_LONG"] * 3
HARD = """C12C3C4C1C5C2C3C45 C1C2CC3CC1CC(C2)C3 OC1C(O)C(O)C(O)C(O)C1O C[C@H]1CC[C@@H](C)CC1 C/C=C/C=C\\C C[S@](=O)CC
[NH3]->[Pt](Cl)(Cl)<-[NH3] C[C@@H](O)[C@H](O)[C@@H](C)O [2H]C([2H])O c1cc2ccc3cccc4ccc(c1)c2c34 CC(C)=[N+]=[N-]
O=[N+]([O-])O [Na+].[Na+].[O-]S([O-])(=O)=O c1cc[nH]c1 C1=CC=CC=CC=C1
C[C@@H]1CC[C@H]2[C@@H](C)C(=O)O[C@@H]3O[C@@]4(C)CC[C@@H]1[C@@]23OO4
""".split()  # noqa: SIM905 (to be read)


def contents(reading: Reading) -> tuple[object, ...]:
    data = {view: to_bytes(features) for view, features in reading.features.items()}
    return data, reading.smiles, reading.codes, reading.reasons


def real(data_dir: Path, name: str, step: int) -> list[str]:
    with gzip.open(data_dir / "pretrain" / name, "rt") as file:
        return [line.split()[0] for line in file][1::step]


def accounted(reading: Reading, texts: list[str]) -> None:
    """Every row has a status; the refused ones a reason and no features, the others a SMILES and both views."""
    assert len(reading) == len(texts) == len(reading.smiles) == len(reading.reasons)
    for code, smiles, reason in zip(reading.codes, reading.smiles, reading.reasons, strict=True):
        assert (code == "ok") == bool(smiles) == (not reason)
    for features in reading.features.values():
        assert (features.ok.astype(bool) == reading.ok).all()
    refused = Counter(reading.codes)
    assert sum(count for code, count in refused.items() if code != "ok") == len(texts) - int(reading.ok.sum())


def test_every_row_is_accounted_for_and_stays_in_place() -> None:
    reading = read(TEXTS, BOTH, limits=HERE)
    accounted(reading, TEXTS)
    assert reading.codes == CODES
    clean = read([text for text, code in zip(TEXTS, CODES, strict=True) if code == "ok"], BOTH, limits=HERE)
    kept = np.flatnonzero(reading.ok)
    for view in BOTH:
        assert to_bytes(take(reading.features[view], kept)) == to_bytes(clean.features[view])
    assert [reading.smiles[row] for row in kept] == clean.smiles


def test_the_number_of_workers_and_the_size_of_chunks_do_not_matter() -> None:
    texts = TEXTS + HARD
    expected = contents(read(texts, BOTH, limits=HERE))
    for workers in (1, 2):
        with Reader(limits=Limits(workers=workers)) as reader:
            assert contents(reader.read(texts, BOTH)) == expected
            parts = list(reader.stream(iter(texts), ["graph"], chunk=7))
            assert [len(part) for part in parts] == [7] * 6 + [len(texts) - 42]
            assert [code for part in parts for code in part.codes] == expected[2]
    with Reader(limits=HERE) as reader:
        assert sum(map(len, reader.stream(iter(texts), ["graph"], chunk=1))) == len(texts)


def test_nothing_is_nothing_and_cells_that_are_no_text_are_told() -> None:
    none = read([], BOTH, limits=HERE)
    assert (len(none), len(none.features["graph"]), none.smiles) == (0, 0, [])
    empty = read([None, float("nan"), "C"], ["graph"], limits=HERE)  # type: ignore[list-item]
    assert empty.codes == ["EMPTY", "EMPTY", "ok"]
    with pytest.raises(UserError, match="Row 2 is a int, not text"):
        read(["C", 7], ["graph"], limits=HERE)  # type: ignore[list-item]


def test_progress_is_told() -> None:
    heard: list[int] = []
    with Reader(limits=HERE) as reader:
        reader.read(["C"] * 100, ["graph"], progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 100


def test_standards_reach_the_workers() -> None:
    for workers in (0, 1):
        told = read(["[Na+].CC([O-])=O", "CCCC"], ["graph"], Standard("largest", "neutral"), Limits(workers))
        assert told.smiles == ["CC(=O)O", "CCCC"]
        small = read(["CCCC"], ["graph"], Standard(max_atoms=3), Limits(workers))
        assert small.codes == ["TOO_BIG"]


def test_mol_blocks_are_rows_too() -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("OCC"))
    reading = read([block, "OCC", block.replace(" O ", " Qq")], BOTH, limits=HERE)
    assert reading.codes == ["ok", "ok", "PARSE"]
    for view in BOTH:
        one, other = (to_bytes(take(reading.features[view], np.array([row]))) for row in (0, 1))
        assert one == other


@pytest.mark.parametrize("source", ["hard", "zinc_natural_products_50k.smi.gz", "pubchem_100k.smi.gz"])
def test_ten_ways_to_write_a_molecule_have_the_same_features(source: str, request: pytest.FixtureRequest) -> None:
    texts = HARD if source == "hard" else real(request.getfixturevalue("data_dir"), source, 2_500)
    for text in texts:
        told = parse(text)
        if isinstance(told, Molecule):
            ways = [Chem.MolToRandomSmilesVect(told.mol, 1, randomSeed=seed)[0] for seed in range(1, 11)]
            reading = read([text, *ways], BOTH, limits=HERE)
            for features in reading.features.values():
                assert len({to_bytes(take(features, np.array([row]))) for row in range(11)}) == 1, text


def test_parts_of_an_answer_are_found_again_where_the_processor_likes_them() -> None:
    parts = [b"", b"a", b"x" * 16, b"y" * 33]
    data = frame(parts)
    assert [bytes(part) for part in unframe(data)] == parts
    starts = [np.frombuffer(part, np.uint8).ctypes.data for part in unframe(data) if part]
    assert {(start - starts[0]) % 16 for start in starts} == {0}


def test_a_full_memory_is_one_more_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(text: str, standard: Standard) -> Molecule:
        raise MemoryError

    monkeypatch.setattr(sys.modules["tetramer.views.read"], "parse", full)
    reading = read(["C"], ["graph"], limits=HERE)
    assert (reading.codes, len(reading.features["graph"])) == (["OOM"], 1)


def test_the_worker_ticks_for_every_molecule_in_every_step() -> None:
    heard: list[int] = []
    job(["C", "x", "CC"], {"views": {view: {} for view in BOTH}, "standard": {}}, heard.append)
    assert heard == [0, 1, 2] * 3 + [-1]


def test_workers_start_whatever_the_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named like a module in the working directory, and warnings as errors, are not the workers' affair."""
    (tmp_path / "json.py").write_text("raise ImportError('not this one')")
    (tmp_path / "tetramer.py").write_text("raise ImportError('nor this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    assert read(["C"], ["graph"], limits=Limits(workers=1)).codes == ["ok"]


PEPTIDE = "N[C@@H](C)C(=O)" * 198 + "O"
PATHOLOGICAL = [
    *("C" * 20_000, "C" * 1_000, "C" * 999 + "N", "*" * 1_000, "C.C." * 400 + "C", "c1ccc(cc1)" * 160 + "C"),
    *("CCO ethanol", "C\nC", "C\tC", "C\x00", "C\u202eC", "CC>>CC", "C>C>C", "[NH3]->[Fe]", "C~C", "c1~cc~cc1", "C$C"),
    *(
        "[13CH4]",
        "[2H][2H]",
        "[999C]",
        "[C-60]",
        "[CH3]",
        "[C]",
        "[Og]",
        "*",
        "[*:1]C",
        "[#6]",
        "[C;H4]",
        "%99",
        "C%(100)C",
    ),
    *(
        "N" * 1_000,
        "(" * 5_000,
        "C(" * 2_000 + ")" * 2_000,
        "[" * 9_999,
        "C1" * 4_000,
        "C12" * 500,
        "=" * 100,
        "\\" * 100,
    ),
    *(PEPTIDE, "C1CC2CC1C2" * 80, "C1=CC=C2C=CC=CC2=C1." * 90 + "C", "[C@@]([H])(F)(Cl)Br", "[H]" * 10, "[H+]", "[He]"),
    *("C1CCCCC1C" * 110, "[U+6].[F-].[F-]", "O=[U]=O", "[Fe]123456", "C1CC1" * 190, "F/C=C/" * 200 + "F", "Cl" * 600),
]


@pytest.mark.slow
def test_campaign_10000_mutated_smiles_and_the_pathological_ones(data_dir: Path) -> None:
    sources = real(data_dir, "chembl_78k.smi.gz", 40) + HARD
    draw = random.Random(13)
    alphabet = [*"CNOSPFclnos()[]=#@+-/\\1234%.:~*HBrI>", *["C", "N", "O", "(C)", "(F)", "(=O)", "CC"] * 12]
    texts: list[str] = []
    for _ in range(10_000):
        text = list(draw.choice(sources))
        for _ in range(draw.choice((1, 2))):
            place, what = draw.randrange(len(text) + 1), draw.randrange(3)
            text[place : place + (what != 0)] = [] if what == 1 else [draw.choice(alphabet)]
        texts.append("".join(text))
    texts = PATHOLOGICAL + texts
    began = time.monotonic()
    with Reader(limits=Limits(workers=2)) as reader:
        reading = reader.read(texts, BOTH)
        assert reader.pool is not None
        restarts = reader.pool.restarts
    told = Counter(reading.codes)
    print(f"{time.monotonic() - began:.0f} s, {restarts} restarts, {dict(told)}")
    accounted(reading, texts)
    assert restarts == sum(told[code] for code in ("CRASH", "OOM", "TIMEOUT"))
    assert told["CRASH"] + told["OOM"] == 0
    assert all(row < len(PATHOLOGICAL) for row, code in enumerate(reading.codes) if code == "TIMEOUT")
    assert 0.1 < told["ok"] / len(texts) < 0.9
    again = read([text for text in reading.smiles if text], ["graph"], limits=Limits(workers=2))
    assert len(again.codes) - int(again.ok.sum()) <= 20  # canonical forms that RDKit itself cannot read


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getloadavg"), reason="POSIX")
def test_a_long_stream_takes_little_memory_at_a_time() -> None:
    with Reader(limits=Limits(workers=2)) as reader:
        done = sum(len(part) for part in reader.stream(("CCO" for _ in range(50_000)), ["graph"]))
    assert done == 50_000


def test_a_chain_at_the_cap_is_read() -> None:
    reading = read(["C" * 1_000, PEPTIDE], ["graph"], limits=HERE)
    assert reading.codes == ["ok", "ok"]
    assert np.diff(reading.features["graph"].atom_starts).tolist() == [1_000, 991]  # type: ignore[attr-defined]
    assert isinstance(reading.features["graph"], graph.GraphFeatures)


def test_a_number_is_never_plainly_ok_where_a_view_is_missing() -> None:
    texts = ["C", "C" * 300, "C1CC", "C" * 130, "C" * 600]  # of these no geometry, no molecule, a drawing, no tokens
    reading = read(texts, ("smiles", "graph", "conformer"), limits=HERE)
    assert reading.features["conformer"].ok.tolist() == [1, 0, 0, 1, 0]
    assert reading.features["smiles"].ok.tolist() == [1, 1, 0, 1, 0]
    codes, reasons = reading.statuses(np.array([True, True, False, True, False]))
    assert codes == ["ok", "ok:CONF_NONE", "PARSE", "ok:CONF_2D", "CONF_NONE"]
    assert [bool(reason) for reason in reasons] == [False, True, True, True, True]
    refused = ["NO_ANSWER", "CONF_NONE", "PARSE", "CONF_2D", "CONF_NONE"]
    assert reading.statuses(np.zeros(5, bool))[0] == refused

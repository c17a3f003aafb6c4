"""New molecules: what a share is a share of, rows that obey the seed, and what cannot write."""

from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tetramer.checkpoint import config_hash, read_folder, write_folder
from tetramer.errors import UserError
from tetramer.generation import (
    Generated,
    Options,
    Writer,
    gathered,
    generate,
    load_writer,
    picture_path,
    sentences,
    sizes,
    write_picture,
)
from tetramer.molecules import Limits, Molecule, Standard, parse
from tetramer.pretraining import Options as Pretraining
from tetramer.pretraining import pretrain
from tetramer.views import read

HERE = Limits(0)
CORPUS = ["CCO", "N#N", "FC(F)F"] * 30  # learned by heart in a moment, so that most strings are molecules
FAST = {
    **{"encoder.width": "32", "encoder.depth": "1", "encoder.embedding": "16", "encoder.dropout": "0"},
    **{"training.epochs": "80", "training.peak": "0.03", "training.batch": "90"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that has learned three molecules."""
    path = tmp_path_factory.mktemp("writer")
    pretrain(CORPUS, "three.smi", Pretraining("smiles-lstm", FAST, limits=HERE), path / "parts").save(path / "encoder")
    return path / "encoder"


@pytest.fixture(scope="module")
def writer(folder: Path) -> Writer:
    return load_writer(folder)


class Told:
    """In place of an objective: strings that are known beforehand, again and again."""

    def __init__(self, *strings: str | None) -> None:
        self.strings, self.asked = strings, list[tuple[Any, ...]]()

    def sample(self, count: int, rng: torch.Generator, temperature: float, longest: int) -> list[str | None]:
        self.asked.append((count, rng.initial_seed(), temperature, longest))
        return [self.strings[place % len(self.strings)] for place in range(count)]


def told(*strings: str | None, corpus: list[str] | None = None, salts: str = "keep") -> Generated:
    known: Any = Told(*strings)
    writer = Writer({"corpus": {"name": "three.smi", "sha256": config_hash(CORPUS)}}, known, Standard(salts))
    return generate(writer, Options(len(strings)), corpus, HERE)


def test_what_it_learned_is_what_it_writes(writer: Writer) -> None:
    made = generate(writer, Options(300), CORPUS, HERE)
    found = made.summary()
    assert found["validity"] > 0.8
    assert set(CORPUS) <= set(made.smiles)
    assert found["novelty"] == found["new"] / len(made.smiles)
    assert found["corpus"]["learned_from"]
    assert found["corpus"]["molecules"] == 3
    known = made.table()["known"].to_pylist()
    assert known == [None if not text else text in CORPUS for text in made.reading.smiles]
    assert np.mean([one for one in known if one is not None]) > 0.9


def test_an_untrained_network_writes_hardly_anything(folder: Path, writer: Writer) -> None:
    """So the share above is learned."""
    blank = load_writer(folder)
    torch.nn.init.zeros_(blank.objective.head.weight)
    torch.nn.init.zeros_(blank.objective.head.bias)
    few = Options(300, longest=40)
    assert generate(blank, few, limits=HERE).summary()["validity"] < 0.1


def test_every_share_by_hand() -> None:
    """Eight strings: five molecules, of which three are different, of which one is in the corpus."""
    made = told("OCC", "C1CC", "CCO", None, "CN", "", "C(C)O", "CCCC", corpus=["C(O)C", "CCF", "FCC", "C1CC"])
    table = made.table().to_pylist()
    assert [row["smiles"] for row in table] == ["CCO", None, "CCO", None, "CN", None, "CCO", "CCCC"]
    assert [row["written"] for row in table] == ["OCC", "C1CC", "CCO", None, "CN", "", "C(C)O", "CCCC"]
    assert [row["status"] for row in table] == ["ok", "PARSE", "ok", "TOO_LONG", "ok", "EMPTY", "ok", "ok"]
    assert table[3]["reason"] == "no end within 200 tokens"
    assert [row["known"] for row in table] == [True, None, True, None, False, None, True, False]
    assert made.smiles == ["CCO", "CN", "CCCC"]
    assert made.first.tolist() == [0, 4, 7]
    found = made.summary()
    assert found["codes"] == {"ok": 5, "PARSE": 1, "TOO_LONG": 1, "EMPTY": 1}
    assert (found["strings"], found["valid"], found["different"], found["new"]) == (8, 5, 3, 2)
    assert (found["validity"], found["uniqueness"], found["novelty"]) == (5 / 8, 3 / 5, 2 / 3)
    assert found["means"] == {"molecules": 3, "heavy_atoms": 3.0, "rings": 0.0, "heteroatoms": 2 / 3}
    assert found["corpus"] == {
        **{"learned_from": False, "refused": 1},
        **{"molecules": 2, "heavy_atoms": 3.0, "rings": 0.0, "heteroatoms": 1.0},
    }


def test_sentences_say_what_each_share_is_of() -> None:
    any_writer: Any = Writer({"corpus": {"name": "three.smi", "sha256": ""}}, Told(), Standard())
    made = told("OCC", "C1CC", "CCO", None, "CN", "C1CC", "C(C)O", "CCCC", corpus=["CCO", "CCF", "C1CC"])
    assert sentences(made, any_writer, "known.csv") == [
        "Validity 62.5 %: 5 of 8 strings are molecules (the others: 2 PARSE, 1 TOO_LONG).",
        "Uniqueness 60.0 %: 3 of these 5 are different molecules.",
        "Novelty 66.7 %: 2 of these 3 are none of the 2 different molecules of known.csv, by canonical SMILES.",
        "Structures of known.csv that cannot be read, and are left out: 1.",
        "The encoder learned from something else (three.smi), and may repeat what it saw there.",
        "Means over these 3: 3.0 heavy atoms, 0.00 rings, 0.67 heteroatoms; in known.csv: 3.0 heavy atoms, 0.00 rings, "
        "1.00 heteroatoms.",
    ]
    assert sentences(told("CCO"), any_writer) == [
        "Validity 100.0 %: 1 of 1 strings are molecules.",
        "Uniqueness 100.0 %: 1 of these 1 are different molecules.",
        "Novelty is told with --corpus, best with what the encoder learned from (three.smi).",
        "Means over these 1: 3.0 heavy atoms, 0.00 rings, 1.00 heteroatoms.",
    ]
    assert sentences(told("C1CC"), any_writer) == [
        "Validity 0.0 %: 0 of 1 strings are molecules (the others: 1 PARSE)."
    ]


def test_no_molecule_has_no_shares(tmp_path: Path) -> None:
    made = told("C1CC", None, corpus=["CCO"])
    found = made.summary()
    assert (found["validity"], found["uniqueness"], found["novelty"], found["means"]) == (0, None, None, None)
    assert isnan(made.averages.rings)
    assert write_picture(tmp_path / "none.svg", made) == 0
    assert list(tmp_path.iterdir()) == []


def test_molecules_are_read_as_the_corpus_was() -> None:
    """A salt of which the corpus kept the largest fragment is not new."""
    for salts, new in (("keep", 1), ("largest", 0)):
        found = told("CCC(=O)[O-].[Na+]", corpus=["CCC(=O)[O-]"], salts=salts).summary()
        assert found["new"] == new


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C", (1, 0, 0)),
        ("c1ccc2ccccc2c1", (10, 2, 0)),
        ("[Na+].[Cl-]", (2, 0, 2)),
        ("C12C3C4C1C5C2C3C45.O", (9, 5, 1)),  # cubane has 12 bonds on 8 atoms
        ("[H][H]", (0, 0, 0)),
        ("O=C1CCCN1", (6, 1, 2)),
    ],
)
def test_sizes_by_hand(text: str, wanted: tuple[int, int, int]) -> None:
    assert sizes(read(["C1CC", text], ["graph"], limits=HERE))[1].tolist() == list(wanted)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["CCO", "OCC", "c1ccccc1", "C1CC", "", "CN", "F"]), min_size=1), st.integers(1, 9))
def test_means_do_not_depend_on_the_pieces(texts: list[str], size: int) -> None:
    """A molecule counts once, in whichever piece it comes first."""
    whole = gathered([read(texts, ["graph"], limits=HERE)])
    pieces = [read(texts[start : start + size], ["graph"], limits=HERE) for start in range(0, len(texts), size)]
    names, means = gathered(pieces)
    assert names == whole[0] == {one.smiles for one in map(parse, texts) if isinstance(one, Molecule)}
    assert np.array_equal([*vars(means).values()], [*vars(whole[1]).values()], equal_nan=True)


def test_rows_are_a_function_of_the_seed(writer: Writer) -> None:
    few = Options(20, temperature=1.5)
    first, again = generate(writer, few, limits=HERE), generate(writer, few, limits=HERE)
    assert first.table().equals(again.table())
    assert first.written != generate(writer, replace(few, seed=1), limits=HERE).written
    assert first.written != generate(writer, replace(few, temperature=1.0), limits=HERE).written


def test_a_larger_count_begins_with_the_same_rows(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tetramer.generation.TURN", 8)
    short, long = (generate(writer, Options(count), limits=HERE).written for count in (11, 30))
    assert (len(short), len(long)) == (11, 30)
    assert long[:11] == short
    assert long[:8] != long[8:16]


def test_the_callers_random_numbers_stay(folder: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    generate(load_writer(folder), Options(3), limits=HERE)
    assert torch.equal(torch.get_rng_state(), before)


def test_options_reach_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tetramer.generation.TURN", 4)
    known: Any = Told("CCO")
    shares: list[tuple[str, float]] = []
    writer = Writer({"corpus": {"name": "", "sha256": ""}}, known, Standard())
    generate(writer, Options(6, 0.5, 3, 77), limits=HERE, progress=lambda *told: shares.append(told))
    assert [(one[0], *one[2:]) for one in known.asked] == [(4, 0.5, 77)] * 2
    assert len({one[1] for one in known.asked}) == 2  # each turn has a seed of its own
    assert shares[:2] == [("strings", 4 / 6), ("strings", 1)]
    assert shares[-1] == ("reading", 1)


@pytest.mark.parametrize(
    "wrong",
    [{"count": 0}, {"temperature": 0.0}, {"temperature": float("nan")}, {"temperature": 1e9}, {"longest": 0}],
)
def test_options_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"New molecules need --count ≥ 1, --temperature from 0\.01 to 100"):
        Options(**wrong)


@pytest.mark.parametrize("temperature", [0.01, 100.0])
def test_the_ends_of_the_range_can_be_drawn(writer: Writer, temperature: float) -> None:
    made = generate(writer, Options(4, temperature, longest=30), limits=HERE)
    assert len(made.written) == 4
    if temperature < 1:  # the likeliest tokens alone
        assert set(made.written) <= set(CORPUS)


def test_other_folders_cannot_write(folder: Path, tmp_path: Path) -> None:
    card, files = read_folder(folder)
    write_folder(tmp_path / "model", card | {"kind": "model"}, files)
    with pytest.raises(UserError, match="model is no encoder of `tetramer pretrain`"):
        load_writer(tmp_path / "model")
    settings = {"training.epochs": "1", "encoder.width": "8", "encoder.depth": "1"}
    pretrain(CORPUS * 5, "x", Pretraining("motif", settings, limits=HERE), tmp_path / "parts").save(tmp_path / "other")
    with pytest.raises(UserError, match=r"other cannot write new molecules: it has not learned.*pretrain smiles-lstm"):
        load_writer(tmp_path / "other")
    wide = {name: data for name, data in files.items() if name.endswith("card.json")}
    wide = {name: data.replace(b'"width": 32', b'"width": 16') for name, data in wide.items()}
    write_folder(tmp_path / "wide", card, files | wide)
    with pytest.raises(UserError, match="do not fit the encoder of its card"):
        load_writer(tmp_path / "wide")


def test_a_corpus_that_cannot_be_read_is_told() -> None:
    for texts in ([], ["C1CC", ""]):
        with pytest.raises(UserError, match=rf"None of the {len(texts)} structures of --corpus can be read"):
            told("CCO", corpus=texts)


def test_a_picture_of_the_first_molecules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tetramer.generation.SHOWN", 2)
    made = told("C1CC", "CCO", "CCO", "CCN", "CCF")
    for name, start in (("a.svg", b"<svg "), ("a.PNG", b"\x89PNG")):
        assert write_picture(picture_path(str(tmp_path / name)), made) == 2
        assert (tmp_path / name).read_bytes().startswith(start)
    for name in ("a.jpg", "a"):
        with pytest.raises(UserError, match=rf"--draw {name}: a drawing is written as SVG or PNG"):
            picture_path(name)


def test_a_corpus_is_known_by_its_texts(writer: Writer) -> None:
    assert writer.learned_from(CORPUS)
    assert not writer.learned_from(CORPUS[1:])
    assert writer.corpus == "three.smi"

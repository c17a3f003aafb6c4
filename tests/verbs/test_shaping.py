"""`tetramer conformers` and `tetramer motifs` as a person types them; a killed run goes on."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from tetramer.cli import main
from tetramer.datasets.tables import read_table
from tetramer.molecules.vocabulary import Vocabulary

# Shards of 8 rows, so that a kill meets a run that has finished some.
DRIVER = """
import functools, tetramer.geometries as geometries
geometries.Job = functools.partial(geometries.Job, rows=8)
from tetramer.cli import main
main()
"""


def typed(*words: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main(["conformers", *words])
    return int(end.value.code or 0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("id,SMILES\na,OCCO\nb,C1CC\nc,C[C@H](N)C(=O)O\n")
    return path


def test_one_smiles_becomes_an_sdf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("OCCN", "--output", str(tmp_path / "one.sdf"), "--count", "4", "--workers", "0") == 0
    told = list(Chem.SDMolSupplier(str(tmp_path / "one.sdf"), removeHs=False))
    assert 1 < len(told) <= 4
    assert {mol.GetNumAtoms() for mol in told} == {11}
    assert (tmp_path / "one.status.csv").read_text().splitlines()[1] == f"1,OCCN,NCCO,ok,,{len(told)}"
    assert capsys.readouterr().err == "1 row.\n"


def test_settings_reach_the_molecules(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(table), "--smiles-column", "SMILES", "--workers", "0", "--json", "-o"]
    outs = [tmp_path / f"{name}.parquet" for name in ("one", "raw")]
    assert typed(*words, str(outs[0])) == typed(*words, str(outs[1]), "--no-optimise", "--count", "3") == 0
    one, raw = (pq.read_table(out).to_pylist() for out in outs)
    assert [len(row["energies"] or ()) for row in one] == [1, 0, 1]
    assert len(raw[0]["energies"]) > 1
    assert one[0]["coordinates"] != raw[0]["coordinates"][:30]
    told = capsys.readouterr()
    assert told.err.splitlines()[0] == "3 rows, 1 without a geometry (1 PARSE)."
    assert json.loads(told.out.splitlines()[0])["status"] == {"ok": 2, "PARSE": 1}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{table}", "-o", "{folder}/out.csv"], "End the name of --output in .sdf or .parquet."),
        (["{table}", "-o", "-"], "cannot hold geometries"),
        (["{table}", "-o", "{folder}/out.sdf", "--count", "0"], "count=0 conformers is out of range"),
        (["{table}", "-o", "{folder}/out.sdf", "--salts", "all"], "salts='all' is not known"),
        (["{table}", "-o", "{folder}/out.sdf", "--on-error", "fail", "--workers", "0"], "1 of 3 structures were"),
        (["{table}", "-o", "{folder}/out.sdf", "--on-error", "hide"], "--on-error 'hide' is not known"),
        (["{folder}/nothing.csv", "-o", "{folder}/out.sdf"], "There is no file 'nothing.csv'"),
        (["{table}", "-o", "{folder}/out.sdf", "--smiles-column", "mol"], "has no column 'mol'"),
    ],
)
def test_mistakes_are_sentences(
    words: list[str], sentence: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(*(word.format(table=table, folder=tmp_path) for word in words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv"}


@pytest.mark.skipif(sys.platform == "win32", reason="the signals are those of POSIX")
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    rows = [f"{'C' * (1 + k % 4)}O" if k % 7 else "C1CC" for k in range(30)]
    (tmp_path / "in.csv").write_text("\n".join(["smiles", *rows]) + "\n")

    def start(name: str) -> subprocess.Popen[bytes]:
        words = ["conformers", "in.csv", "-o", name, "--workers", "1"]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *words], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL
        )

    killed, parts = start("killed.sdf"), tmp_path / "killed.sdf.parts"
    while killed.poll() is None and not list(parts.glob("*.arrow")):
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(30) == -9
    done = len(list(parts.glob("*.arrow")))
    assert 1 <= done < 4
    assert not (tmp_path / "killed.sdf").exists()
    assert start("killed.sdf").wait(60) == 0
    assert typed(str(tmp_path / "in.csv"), "-o", str(tmp_path / "whole.sdf"), "--workers", "0") == 0
    for ending in (".sdf", ".status.csv"):
        told = [(tmp_path / f"{name}{ending}").read_bytes() for name in ("killed", "whole")]
        assert told[0] == told[1]
    assert len((tmp_path / "whole.status.csv").read_text().splitlines()) == 31
    assert not parts.exists()


def cut(*words: str) -> int:
    """The exit code of `tetramer motifs`."""
    with pytest.raises(SystemExit) as end:
        main(["motifs", *words])
    return int(end.value.code or 0)


def test_motifs_of_one_smiles_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    assert cut("CC(=O)Oc1ccccc1C(=O)O", "--workers", "0") == 0
    told = capfd.readouterr()
    assert told.err == "1 row.\n"
    assert told.out.splitlines()[1].split(",")[2:] == ["1 *C(=O)O; 1 *C(C)=O; 1 *O*; 1 *c1ccccc1*", "4", "ok", ""]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_vocabulary_is_learned_and_tells_what_it_does_not_know(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Benzene and methyl occur often; a five-ring is known by its class, and a ring of seven not at all."""
    (tmp_path / "a.smi").write_text("Cc1ccccc1\nCc1ccccc1\nC1CCCC1\nnonsense\n")
    (tmp_path / "b.smi").write_text("Cc1ccccc1\nC1CC1C\nCC1CCCC1\nC1CCCCCC1\nnonsense\n")
    known, out = tmp_path / "v.json", tmp_path / f"b.{ending}"
    assert cut(str(tmp_path / "a.smi"), "--learn-vocabulary", str(known), "--workers", "0", "--json") == 0
    told = capsys.readouterr()
    assert told.err == f"2 motifs and 2 classes of rings, of 3 of 4 molecules: {known}.\n"
    assert (json.loads(told.out)["motifs"], Vocabulary.load(known).motifs) == (2, ("*C", "*c1ccccc1"))
    assert cut(str(tmp_path / "b.smi"), "--vocabulary", str(known), "-o", str(out), "--workers", "0", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["totals"] == {
        "motif_count": 7, "unseen_motifs": 3, "class_motifs": 1, "unknown_motifs": 2
    }  # fmt: skip
    assert told.err.splitlines()[1] == (
        "7 motifs. The vocabulary does not hold 42.86 % of them as they are; of 14.29 % it knows no more than the "
        "class of a ring, of 28.57 % nothing."
    )
    rows = read_table(out).data.to_pylist()
    assert [str(row["unseen_motifs"] or 0) for row in rows] == ["0", "1", "1", "1", "0"]
    assert [str(row["unknown_motifs"] or 0) for row in rows] == ["0", "1", "0", "1", "0"]
    assert "RDKit" not in told.err
    replace(Vocabulary.load(known), rdkit="2020.09.1").save(known)
    assert cut(str(tmp_path / "b.smi"), "--vocabulary", str(known), "-o", str(out), "--workers", "0") == 0
    assert capsys.readouterr().err.splitlines()[0].startswith("The vocabulary was learned with RDKit 2020.09.1, and")


def test_unions_are_learned_and_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.smi").write_text("Cc1ccccc1\nCc1ccccc1\nCc1ccccc1O\n")
    known, out = tmp_path / "v.json", tmp_path / "b.csv"
    words = [str(tmp_path / "a.smi"), "--workers", "0"]
    assert cut(*words, "--learn-vocabulary", str(known), "--merges", "1") == 0
    assert ", with 1 unions of neighbours, of 3 of 3 molecules" in capsys.readouterr().err
    assert cut(*words, "--vocabulary", str(known), "-o", str(out)) == 0
    assert read_table(out).data["motifs"].to_pylist()[0] == "1 Cc1ccccc1"
    assert cut(*words, "-o", str(out)) == 0
    assert read_table(out).data["motifs"].to_pylist()[0] == "1 *C; 1 *c1ccccc1"


def test_whoever_reads_the_motifs_may_stop(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("tetramer.shards.apply", gone)
    monkeypatch.setattr("tetramer.terminal.os.dup2", lambda *_: None)
    assert cut(str(table), "--workers", "0") == 0
    assert capsys.readouterr() == ("", "")


def test_motifs_of_a_table_with_a_page(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(table), "-o", str(tmp_path / "out.csv"), "--draw", "--json", "--workers", "0"]
    assert cut(*words) == 0
    told = capsys.readouterr()
    assert told.err == f"3 rows, 1 without motifs (1 PARSE).\nDrawn in {tmp_path / 'out.html'}.\n"
    assert json.loads(told.out)["status"] == {"ok": 2, "PARSE": 1}
    assert "Motifs of in.csv" in (tmp_path / "out.html").read_text()
    assert cut(*words, "--on-error", "skip") == 0
    assert "2 rows." in (tmp_path / "out.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{table}", "--draw"], "--draw writes a page beside the output. Name a file with --output."),
        (["{table}", "-o", "{folder}/out.sdf"], "end its name in .csv, .csv.gz, .tsv or .parquet"),
        (["{table}", "-o", "{folder}/out.csv", "--on-error", "fail", "--workers", "0"], "1 of 3 structures were"),
        (["{table}", "-o", "{folder}/out.csv", "--charges", "all"], "charges='all' is not known"),
        (["{table}", "--json"], "--json tells the outcome on standard output, where the rows would stand"),
        (["{table}", "--vocabulary", "{table}"], "This is no vocabulary of motifs ("),
        (["{table}", "--vocabulary", "{folder}/none.json"], "There is no file 'none.json'"),
        (["{table}", "--learn-vocabulary", "{folder}/v.json", "-o", "{folder}/out.csv"], "writes no rows: leave out"),
        (["{table}", "--learn-vocabulary", "{table}"], "in.csv is the input."),
        (["{table}", "--learn-vocabulary", "{folder}/v.json", "--merges", "-1"], "--merges -1 is out of range."),
        (["{table}", "--merges", "5"], "--merges needs --learn-vocabulary"),
        (["{table}", "--learn-vocabulary", "{folder}/v.json", "--smiles-column", "id"], "so there are no motifs to"),
    ],
)
def test_mistakes_about_motifs_are_sentences(
    words: list[str], sentence: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(*(word.format(table=table, folder=tmp_path) for word in words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv"}

"""`tetramer generate` as a person types it."""

import errno
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tetramer.cli import main
from tetramer.datasets.tables import read_table
from tetramer.molecules import Limits
from tetramer.pretraining import Options, pretrain

SMALL = {"encoder.width": "16", "encoder.depth": "1", "encoder.embedding": "8", "training.epochs": "60"}
ROWS = [f"m{k},{text}" for k, text in enumerate(["CCO", "N#N"] * 30)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written")
    settings = SMALL | {"training.peak": "0.03", "training.batch": "60"}
    texts = [row.partition(",")[2] for row in ROWS]
    pretrain(texts, "two.csv", Options("smiles-lstm", settings, limits=Limits(0)), path / "parts").save(path / "e")
    return path / "e"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "two.csv"
    path.write_text("\n".join(["id,structure", *ROWS]) + "\n")
    return path


def typed(*words: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main(["generate", *map(str, words), "--workers", "0"])
    return int(end.value.code or 0)


def test_new_molecules_with_a_corpus_and_a_picture(
    encoder: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--corpus", corpus, "--smiles-column", "structure", "--draw", tmp_path / "grid.png", "--json"]
    assert typed(encoder, "--count", 40, "-o", tmp_path / "new.csv", *words) == 0
    said = capsys.readouterr()
    told, rows = json.loads(said.out), read_table(tmp_path / "new.csv").data.to_pylist()
    assert list(rows[0]) == ["smiles", "written", "status", "reason", "known"]
    good = [row for row in rows if row["status"] == "ok"]
    assert (told["strings"], told["valid"], len(rows)) == (40, len(good), 40)
    assert told["different"] == len({row["smiles"] for row in good}) > 1
    assert told["new"] == len({row["smiles"] for row in good if row["known"] == "false"})
    assert {row["known"] for row in rows if row["status"] != "ok"} <= {""}
    assert told["corpus"]["molecules"] == 2
    assert told["corpus"]["learned_from"]
    lines = said.err.splitlines()
    assert [line.split()[0] for line in lines] == ["Validity", "Uniqueness", "Novelty", "Means", "The"]
    assert lines[-1] == f"The first {min(24, told['different'])} are drawn in {tmp_path / 'grid.png'}."
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_seed_decides_every_byte(encoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ["-o", tmp_path / f"{name}.csv", "--draw", tmp_path / f"{name}.svg", "--temperature", 1.5]
        assert typed(encoder, "--count", 30, "--seed", seed, *words) == 0
    for ending in (".csv", ".svg"):
        first, again, other = ((tmp_path / f"{name}{ending}").read_bytes() for name in "abc")
        assert first == again != other
    assert typed(encoder, "--count", 30, "--seed", 1, "--temperature", 1.5) == 0
    told = capfd.readouterr()
    assert told.out.encode() == (tmp_path / "a.csv").read_bytes()  # standard output holds data alone
    assert "Novelty is told with --corpus, best with what the encoder learned from (two.csv)." in told.err
    assert typed(encoder, "--count", 3, "-o", tmp_path / "a.parquet") == 0
    assert pq.read_table(tmp_path / "a.parquet").column_names == ["smiles", "written", "status", "reason"]


def test_whoever_reads_the_rows_may_stop(
    encoder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tetramer.datasets.writing.write_table", gone)
    monkeypatch.setattr("tetramer.terminal.os.dup2", lambda *_: None)
    assert typed(encoder, "--count", 3) == 0
    assert capsys.readouterr() == ("", "")


def gone(*_: object) -> None:
    raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{folder}/nowhere"], "There is no model at"),
        (["{encoder}", "--json"], "--json tells the outcome on standard output, where the rows would stand"),
        (["{encoder}", "--count", "0"], "New molecules need --count ≥ 1, --temperature from 0.01 to 100"),
        (["{encoder}", "--temperature", "0"], "got 1000, 0 and 200."),
        (["{encoder}", "--seed", "-1"], "--seed -1 is out of range. Choose 0 to 9999999."),
        (["{encoder}", "--draw", "grid.pdf"], "--draw grid.pdf: a drawing is written as SVG or PNG."),
        (["{encoder}", "--corpus", "{folder}/none.csv"], "There is no file 'none.csv'"),
        (["{encoder}", "--corpus", "{folder}/two.csv", "--smiles-column", "x"], "has no column 'x'"),
        (["{encoder}", "--corpus", "{folder}/two.csv", "--smiles-column", "id"], "None of the 60 structures of"),
        (["{encoder}", "--corpus", "{folder}/two.csv", "-o", "{folder}/two.csv"], "two.csv is the input."),
        (["{encoder}", "-o", "{folder}/out.sdf"], "end its name in .csv, .csv.gz, .tsv or .parquet"),
    ],
)
def test_mistakes_are_sentences(
    words: list[str], says: str, encoder: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = corpus.read_bytes()
    assert typed(*(word.format(encoder=encoder, folder=tmp_path) for word in words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error
    assert corpus.read_bytes() == before
    assert list(tmp_path.iterdir()) == [corpus]

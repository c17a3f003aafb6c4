"""`tetramer embed --motifs` as a person types it."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tetramer import Regressor
from tetramer.cli import main
from tetramer.datasets.tables import read_table

TINY = {"encoder.width": 8, "encoder.depth": 1, "training.epochs": 1, "training.batch": 80}


@pytest.fixture(scope="module")
def model(smiles: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m"
    Regressor("graph", workers=0, settings=TINY).fit(smiles, [float(len(text)) for text in smiles]).save(path)
    return path


@pytest.fixture
def table(smiles: list[str], tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,smiles", *(f"{k},{text}" for k, text in enumerate([*smiles, "C1CC"]))]) + "\n")
    return path


def typed(*words: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main(["embed", *map(str, words), "--workers", "0"])
    return int(end.value.code or 0)


def test_a_row_for_every_motif(model: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [table, "--model", model, "--motifs", "--json", "-o"]
    assert typed(*words, tmp_path / "out.parquet") == typed(*words, tmp_path / "out.csv") == 0
    sheet, plain = pq.read_table(tmp_path / "out.parquet"), read_table(tmp_path / "out.csv").data
    near = [f"{what}_{k}" for what in ("nearest", "distance") for k in (1, 2, 3)]
    assert sheet.column_names == ["motif", "occurrences", "molecules", "spread", *near, "vector"]
    assert plain.column_names == [*sheet.column_names[:-1], *(f"vector_{k}" for k in range(8))]
    assert plain["motif"].to_pylist() == sheet["motif"].to_pylist()
    assert sheet["vector"].type.list_size == 8
    said = capsys.readouterr()
    told = json.loads(said.out.splitlines()[0])
    assert (told["motifs"], told["occurrences"]) == (len(sheet), sum(sheet["occurrences"].to_pylist()))
    assert told["status"] == {"ok": 80, "PARSE": 1}
    assert told["spread"]["ratio"] > 0
    assert said.err.splitlines()[0].endswith("times in 80 molecules; structures that are left out: 1 PARSE.")
    assert f"between motifs: {told['spread']['ratio']:.3f} (" in said.err
    assert f"with fresh weights {told['fresh']['ratio']:.3f}." in said.err


def test_one_smiles_and_standard_output(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert typed("CC(=O)Oc1ccccc1C(=O)O", "--model", model, "--motifs") == 0
    told = capfd.readouterr()
    assert [line.split(",")[0] for line in told.out.splitlines()[1:]] == [*("*C(=O)O", "*C(C)=O", "*O*", "*c1ccccc1*")]
    assert told.err.splitlines()[0] == "4 motifs, 4 times in 1 molecules."


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{table}", "--motifs", "-o", "{folder}/out.csv"], "--motifs needs --model: a motif's vector is the mean"),
        (["{table}", "--motifs", "--model", "{model}", "-o", "{table}"], "in.csv is the input."),
        (["{table}", "--motifs", "--model", "{model}", "-o", "{folder}/out.sdf"], "end its name in .csv"),
        (["{table}", "--motifs", "--model", "{model}", "--on-error", "fail"], "1 of 81 structures were refused."),
        (["{table}", "--motifs", "--model", "{model}", "--smiles-column", "x"], "has no column 'x'"),
        (["{folder}/no.csv", "--motifs", "--model", "{model}"], "There is no file 'no.csv'"),
    ],
)
def test_mistakes_are_sentences(
    words: list[str], says: str, model: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = table.read_bytes()
    assert typed(*(word.format(table=table, model=model, folder=tmp_path) for word in words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error
    assert list(tmp_path.iterdir()) == [table]
    assert table.read_bytes() == before

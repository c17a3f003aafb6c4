"""From files to an assay: every mistake a person can make in a table is a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tetramer.assays import Files, assay_of, check_weight, read_files
from tetramer.datasets.labels import labels
from tetramer.datasets.tables import Table
from tetramer.errors import UserError


def write(path: Path, **columns: list[Any]) -> Path:
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


TEXTS = [f"{'C' * (k + 1)}O" for k in range(30)]
VALUES = [round(0.1 * k, 1) for k in range(30)]


def test_an_assay_exactly(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", smiles=TEXTS, y=VALUES, w=[2] * 30)
    assay, split = read_files(Files(path, ["y"], weight="w"))
    assert (assay.texts, assay.task, split, assay.units) == (TEXTS, "regression", None, ("",))
    assert assay.labels.values[:, 0].tolist() == VALUES
    assert assay.weight.tolist() == [2.0] * 30
    assert "regression" in assay.why


def test_units(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", smiles=TEXTS, y=[10.0 ** (k % 5) for k in range(29)] + [">1000"])
    assay, _ = read_files(Files(path, ["y"], to_pic50="nM", task="regression"))
    assert assay.labels.values[:3, 0].tolist() == [9.0, 8.0, 7.0]
    assert (assay.labels.values[29, 0], assay.labels.censor[29, 0]) == (6.0, -1)  # IC50 > 1 µM: pIC50 < 6
    assert assay.units == ("pIC50",)
    assay, _ = read_files(Files(path, ["y"], log10=True, task="regression"))
    assert (assay.labels.values[29, 0], assay.labels.censor[29, 0]) == (3.0, 1)
    assert assay.units == ("log10",)


def test_parts_in_files_and_in_a_column(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", smiles=TEXTS, y=VALUES)
    b = write(tmp_path / "b.csv", y=[7, 8], SMILES=["C", "CC"])
    pq.write_table(pa.table({"smiles": ["CCC"], "y": [9.5]}), tmp_path / "c.parquet")
    assay, split = read_files(Files(a, ["y"], validation=b, test=tmp_path / "c.parquet"))
    assert split is not None
    assert (split.train.tolist(), split.valid.tolist(), split.test.tolist()) == (list(range(30)), [30, 31], [32])
    assert assay.labels.values[30:, 0].tolist() == [7.0, 8.0, 9.5]
    assert assay.texts[30:] == ["C", "CC", "CCC"]
    parts = ["train"] * 20 + ["valid"] * 5 + ["test"] * 5
    _, split = read_files(Files(write(tmp_path / "d.csv", smiles=TEXTS, y=VALUES, part=parts), ["y"], split="part"))
    assert split is not None
    assert split.test.tolist() == list(range(25, 30))


def test_further_files_are_read_as_the_first(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", smiles=TEXTS, y=VALUES)
    text = first.read_text().replace("smiles", "canonical_smiles")
    first.write_text(text)
    test = write(
        tmp_path / "b.csv",
        smiles=["c1ccccc1N", "CC(=O)O", "CCN(C)C"],
        y=[1, 2, 3],
        canonical_smiles=["CC", "CCC", "CCCC"],
    )
    assay, _ = read_files(Files(first, ["y"], test=test))
    assert assay.texts[30:] == ["CC", "CCC", "CCCC"]
    assert any("are read from the column 'canonical_smiles'; 'smiles' looks like" in note for note in assay.notes)


def test_the_sentence_on_the_task_names_every_target(tmp_path: Path) -> None:
    columns = dict.fromkeys("abcdefghi", VALUES)
    path = write(tmp_path / "a.csv", smiles=TEXTS, **columns)
    assert read_files(Files(path, ["a"]))[0].why == "'a' holds 30 different numbers, so it is regression."
    for targets, last in (("ab", "So is 'b'."), ("abc", "So are 'b' and 'c'."), ("abcd", "So are 'b', 'c' and 'd'.")):
        assert read_files(Files(path, list(targets)))[0].why.endswith(f"so it is regression. {last}")
    assert read_files(Files(path, list(columns)))[0].why.endswith("So are 'b', 'c', 'd', 'e', 'f' and 3 more.")


def test_the_column_of_a_rule_is_kept_as_it_is(tmp_path: Path) -> None:
    days = [f"2024-03-{1 + k:02d}" for k in range(30)]
    path = write(tmp_path / "a.csv", smiles=TEXTS, y=VALUES, day=days)
    assay, split = read_files(Files(path, ["y"], split="day", rule="time"))
    assert (assay.keys, split) == (days, None)


def test_a_class_has_the_same_number_in_every_file(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", smiles=TEXTS, y=["low", "high"] * 15)
    b = write(tmp_path / "b.csv", smiles=["C", "CC"], y=["high", "high"])
    assay, _ = read_files(Files(a, ["y"], test=b))
    assert assay.labels.classes == (("low", "high"),)
    assert assay.labels.values[30:, 0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("columns", "more", "says"),
    [
        ({"y": VALUES}, {"targets": ["z"]}, "a.csv has no column 'z'. Its columns are: 'smiles', 'y'"),
        ({"pIC50": VALUES}, {"targets": ["pic50"]}, "has no column 'pic50'. Did you mean 'pIC50'?"),
        ({"y": VALUES}, {"targets": []}, "Name the column to learn with --target. a.csv has: 'smiles', 'y'"),
        ({"y": VALUES, "z": VALUES}, {"targets": ["y, z"]}, "no column 'y, z', but each of its parts: give --target"),
        ({"y": VALUES}, {"smiles": "smile"}, "has no column 'smile'. Did you mean 'smiles'?"),
        ({"y": VALUES}, {"weight": "wt"}, "has no column 'wt'"),
        ({"y": VALUES}, {"split": "part"}, "has no column 'part'"),
        ({"y": [*VALUES[:28], "n.d.", "bad"]}, {}, "text in a numeric target (row 29: 'n.d.', row 30: 'bad')"),
        ({"y": [*VALUES[:29], "inf"]}, {}, "an infinite label (row 30: 'inf')"),
        ({"y": [1] * 30}, {"task": "binary"}, "All 30 labels in 'y' are 1: one class only"),
        ({"y": ["active"] * 30}, {}, "All 30 labels in 'y' are active: one class only"),
        ({"y": [2.5] * 30}, {"task": "regression"}, "All 30 labels in 'y' are 2.5: one value only"),
        ({"y": [""] * 30}, {}, "No row has a label in 'y'. Is it the right column?"),
        ({"y": [*VALUES[:19], *[""] * 11]}, {}, "19 rows have a label; at least 20 are needed"),
        ({"y": VALUES}, {"log10": True}, "holds labels of 0 or less (row 1: 0); a logarithm needs more than 0"),
        ({"y": VALUES}, {"to_pic50": "nm"}, "There is no unit of concentration named 'nm'. Did you mean 'nM'?"),
        ({"y": VALUES}, {"to_pic50": "nM", "log10": True}, "exclude each other"),
        ({"y": VALUES}, {"split": "y", "test": "x"}, "exclude each other"),
        ({"y": VALUES}, {"rule": "random", "test": "x"}, "--split random and --validation or --test exclude"),
        ({"y": VALUES}, {"rule": "time", "validation": "x"}, "--split time and --validation or --test exclude"),
        (
            {"y": VALUES, "p": ["train", "test"] * 15},
            {"rule": "scaffold", "split": "p"},
            "--split scaffold looks at no column, so --split-column 'p' has no use. Leave out --split if the column "
            "says train, valid or test; or take a rule that looks at a column: stratified, group, time, column.",
        ),
        ({"y": VALUES}, {"task": "ranking"}, "--task 'ranking' is not known"),
        ({"y": ["a", "b"] * 15}, {"task": "regression"}, "'y' holds text, so it is not a regression target"),
        ({"y": ["a", "b", "c"] * 10}, {"task": "binary"}, "A binary target has two classes; 'y' has 3"),
        ({"y": [">3", *VALUES[1:]]}, {"task": "multiclass"}, "holds bounds"),
        ({"y": VALUES, "w": [-1] * 30}, {"weight": "w"}, "a weight that is infinite, missing, negative or no number"),
        ({"y": VALUES, "w": [0] * 30}, {"weight": "w"}, "All weights in 'w' are 0"),
        ({"y": VALUES, "p": ["hold-out"] * 30}, {"split": "p"}, "'hold-out' in row 1"),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes(tmp_path: Path, columns: dict[str, Any], more: dict[str, Any], says: str) -> None:
    path = write(tmp_path / "a.csv", smiles=TEXTS, **columns)
    with pytest.raises(UserError) as error:
        read_files(Files(**{"data": path, "targets": [next(iter(columns))], **more}))
    assert says in str(error.value)


def test_a_wrong_cell_of_a_further_file_is_named_with_that_file(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", smiles=TEXTS, y=VALUES)
    b = write(tmp_path / "b.csv", smiles=["C", "CC"], y=[1, "bad"])
    with pytest.raises(UserError, match=r"'y' of b\.csv holds text in a numeric target \(row 2: 'bad'\)"):
        read_files(Files(a, ["y"], validation=b))


@pytest.mark.parametrize(
    "weight",
    [
        np.ones(2),
        np.array([1, np.nan, 1]),
        np.array([1, -1, 1]),
        np.zeros(3),
        np.ones((3, 1)),
        np.array([1, np.inf, 1]),
    ],
)
def test_weights_that_are_none(weight: np.ndarray) -> None:
    check_weight(None, 3)
    check_weight(np.array([0.0, 1.0, 2.0]), 3)
    with pytest.raises(UserError, match="Give 3 weights"):
        check_weight(weight, 3)


def test_without_weights_every_row_counts_once() -> None:
    told = assay_of(TEXTS, labels(Table(pa.table({"y": [str(v) for v in VALUES]}), "y"), ["y"]), None)
    assert told.weight.tolist() == [1.0] * 30


def test_a_logarithm_is_a_regression(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", smiles=TEXTS * 2, y=[1, 10, 100, 1000] * 15)
    for how in ({"to_pic50": "nM"}, {"log10": True}):
        assert read_files(Files(path, ["y"], **how))[0].task == "regression"  # type: ignore[arg-type]
    with pytest.raises(UserError, match="--log10 makes numbers, and --task binary learns classes"):
        read_files(Files(path, ["y"], log10=True, task="binary"))


def test_a_wrong_label_of_a_further_file_is_named_with_its_file(tmp_path: Path) -> None:
    train = write(tmp_path / "a.csv", smiles=TEXTS, y=[1 + value for value in VALUES])
    test = write(tmp_path / "te.csv", smiles=["C", "CC"], y=[1, 0])
    with pytest.raises(UserError, match=r"^te.csv: .*\(row 2: 0\)"):
        read_files(Files(train, ["y"], test=test, log10=True))


def test_what_is_odd_about_a_file_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", smiles=TEXTS, y=VALUES, note=["µ"] * 30)
    path.write_bytes(path.read_text().encode("latin-1"))
    (note,) = read_files(Files(path, ["y"]))[0].notes
    assert "read as Windows-1252" in note


def test_missing_numbers_of_a_split_column_are_in_no_part(tmp_path: Path) -> None:
    site = np.where(np.arange(30) % 2, np.nan, np.arange(30) // 10)
    pq.write_table(pa.table({"smiles": TEXTS, "y": VALUES, "site": site}), tmp_path / "a.parquet")
    keys = read_files(Files(tmp_path / "a.parquet", ["y"], split="site", rule="group"))[0].keys
    assert keys is not None
    assert (keys[1], keys[2]) == (None, "0")
    pq.write_table(pa.table({"smiles": TEXTS, "y": VALUES, "site": [[1]] * 30}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="a split looks at texts, numbers or dates"):
        read_files(Files(tmp_path / "b.parquet", ["y"], split="site", rule="group"))

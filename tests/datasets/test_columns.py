"""Columns of an audit: every cell read, copies and leaks named, targets found."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tetramer.datasets.cell_checks import check_cells, check_formats
from tetramer.datasets.columns import (
    Column,
    check_copies,
    check_leaks,
    correlations,
    find_targets,
    hinted,
    read_column,
    rounding,
    telling,
)
from tetramer.datasets.findings import Finding
from tetramer.datasets.tables import Table


def table(start: int = 0, **columns: Any) -> Table:
    return Table(pa.table(columns), "made.csv", start)


def column(name: str, values: Any, kind: str = "regression") -> Column:
    values = np.asarray(values, dtype=float)
    return Column(name, values, np.zeros(len(values), np.int8), None, kind)


def codes(findings: list[Finding]) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(one.code, one.count, one.rows) for one in findings]


def test_every_kind_of_cell_is_read_and_the_wrong_ones_are_named() -> None:
    cells = ["1.5", "inf", "", "low", ">10", "NaN", "-2e3", "n/a", "<= 5", "1e999"]
    found = read_column(table(start=100, y=cells), "y")
    assert np.array_equal(found.values, [1.5, *[np.nan] * 3, 10, np.nan, -2000, np.nan, 5, np.nan], equal_nan=True)
    assert found.censor.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, -1, 0]
    assert codes(check_cells(found, 100)) == [
        ("LABEL_NAN", 1, (106,)),
        ("LABEL_INF", 2, (102, 110)),
        ("LABEL_TYPE", 1, (104,)),
    ]


@pytest.mark.parametrize("plain", [0, 5])
def test_numbers_that_are_not_written_as_numbers_are_no_target_and_told(plain: int) -> None:
    cells = ["7"] * plain + ["6,6", "7,1", "8,25"] * 10 + ["n.d."]
    data = table(pIC50=cells, purity=["98%", "95 %"] * (len(cells) // 2) + ["97%"] * (len(cells) % 2))
    assert find_targets(data, ()) == []
    found = read_column(data, "pIC50")
    assert {code: len(rows) for code, rows in found.wrong.items()} == {"LABEL_FORMAT": 30, "LABEL_TYPE": 1}
    told = check_formats([found, read_column(data, "purity")], "warning", 100)
    assert [(one.code, one.severity, one.count, one.rows[0]) for one in told] == [
        ("LABEL_FORMAT", "warning", 30, 101 + plain),
        ("LABEL_FORMAT", "warning", len(cells), 101),
    ]
    assert told[0].more == 20
    assert told[0].sentence.endswith("not written as numbers. Write decimals with a point, as in 6.6.")
    assert [one.code for one in check_cells(found, 0)][:2] == ["LABEL_FORMAT", "LABEL_TYPE"]
    assert check_cells(found, 0)[0].severity == "alarm"


def test_a_few_odd_numbers_hide_no_target() -> None:
    cells = ["6.6", "7.1"] * 20 + ["5,5"]
    found = read_column(table(y=cells), "y")
    assert find_targets(table(y=cells), ()) == ["y"]
    assert codes(check_cells(found, 0)) == [("LABEL_FORMAT", 1, (41,))]
    assert check_formats([found], "warning", 0) == []


@pytest.mark.parametrize("huge", ["1e308", 1e308])
def test_numbers_too_large_to_compute_with_are_no_labels(huge: Any) -> None:
    found = read_column(table(y=[huge, *([type(huge)(1.5)] * 30)]), "y")
    assert found.known.tolist() == [False, *[True] * 30]
    assert codes(check_cells(found, 0))[0] == ("LABEL_HUGE", 1, (1,))


def test_labels_far_from_all_others_are_slips() -> None:
    values = np.append(np.random.default_rng(0).normal(size=100), [1e9])
    (one,) = check_cells(column("y", values), 10)
    assert (one.code, one.severity, one.count, one.rows) == ("EXTREME", "alarm", 1, (111,))
    assert "1 label of 'y' far from all others, such as 1e+09 where the median is" in one.sentence
    assert check_cells(column("y", values[:-1]), 0) == []


def test_values_that_stand_for_not_measured_are_told_once() -> None:
    values = np.random.default_rng(0).normal(size=2_000) / 1e6
    values[4::500] = -999
    (one,) = check_cells(column("y", values), 10)
    assert (one.code, one.severity, one.count, one.rows) == ("STAND_IN", "warning", 4, (15, 515, 1015, 1515))
    assert "4 labels of 'y': -999, while all others lie between -3." in one.sentence
    classes = column("y", np.array([0.0, 1.0, -999.0] * 30), "multiclass")
    assert codes(check_cells(classes, 0)) == [("STAND_IN", 30, tuple(range(3, 33, 3)))]


def test_numbers_of_parquet_tell_nan_from_null() -> None:
    cells = pa.array([1.0, None, float("nan"), float("-inf"), 2.0])
    found = read_column(table(y=cells), "y")
    assert {code: rows.tolist() for code, rows in found.wrong.items()} == {"LABEL_NAN": [2], "LABEL_INF": [3]}
    assert found.known.tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("cells", "classes", "kind"),
    [
        (["yes", "no", "", "yes"], ("no", "yes"), "binary"),
        (pa.array([True, None, False]), ("false", "true"), "binary"),
        (pa.array(["a", "b", "c"]).dictionary_encode(), ("a", "b", "c"), "multiclass"),
        (pa.array([0, 1, 1]), None, "binary"),
        (["1", "2.5", "3"], None, "regression"),
    ],
)
def test_classes_and_kinds(cells: Any, classes: tuple[str, ...] | None, kind: str) -> None:
    found = read_column(table(y=cells), "y")
    assert (found.classes, found.kind, found.wrong) == (classes, kind, {})


@pytest.mark.parametrize("cells", [[f"name {i}" for i in range(30)], [[1], [2], [3]], pa.array([0, 1], pa.date32())])
def test_a_column_that_holds_neither_numbers_nor_classes(cells: Any) -> None:
    found = read_column(table(y=cells), "y")
    assert not found.known.any()
    assert found.wrong["LABEL_TYPE"].tolist() == list(range(len(cells)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.25, 3.5, 2.75, np.nan], 0.005),
        ([100.0, 250.0, 3.0], 0.5),
        ([0.1 + 0.2, 0.3, 0.4, 0.7, 0.9], 0.05),
        ([np.nan], 0.0),
        ([1 / 3, 2 / 3, 1e6 / 7], 1e-9 * 1e6 / 7),
    ],
)
def test_rounding_is_half_the_last_usual_decimal(values: list[float], expected: float) -> None:
    assert rounding(np.array(values)) == pytest.approx(expected, rel=1e-5)


def test_targets_of_which_nothing_can_be_learned() -> None:
    many = ["0"] * 40
    told = {
        "empty": ["", *[""] * 39],
        "one": ["1", "", *["1"] * 38],
        "same": ["2.5"] * 40,
        "rare": ["1", *["0"] * 39],
        "fine": [*many[:20], *["1"] * 20],
        "three": [*"aabbbbbb", *"c" * 32],
    }
    found = {name: codes(check_cells(read_column(table(**{name: cells}), name), 0)) for name, cells in told.items()}
    assert found == {
        "empty": [("ALL_MISSING", 40, ())],
        "one": [("ONE_CLASS", 39, ())],
        "same": [("CONSTANT", 40, ())],
        "rare": [("FEW_OF_CLASS", 1, (1,))],
        "fine": [],
        "three": [("FEW_OF_CLASS", 2, (1, 2, 3, 4, 5, 6, 7, 8))],
    }
    sentence = check_cells(read_column(table(three=told["three"]), "three"), 0)[0].sentence
    assert "a (2), b (6)" in sentence


def test_targets_are_found_and_what_is_none_is_left_out() -> None:
    rng = np.random.default_rng(0)
    data = {
        "num": np.arange(60) * 2 + 1,
        "CMPD_ID": rng.permutation(60),
        "name": [f"compound {i}" for i in range(60)],
        "split": ["train", "test"] * 30,
        "smiles": ["CCO", "CCN"] * 30,
        "product": [f"C=C{'C' * (i % 20)}" for i in range(60)],
        "sign": ["pos", "cn"] * 30,
        "pIC50": rng.normal(size=60),
        "active": ["yes", "no"] * 30,
        "y_pred": rng.normal(size=60),
        "Molecular Weight": rng.normal(size=60),
        "remark": ["1.5", *["none of it"] * 59],
        "count of hits": rng.integers(0, 5, 60),
    }
    assert find_targets(table(**data), ("smiles",)) == ["sign", "pIC50", "active", "count of hits"]


def test_what_stands_beside_predictions_is_no_target() -> None:
    rng = np.random.default_rng(0)
    names = ["y", "y_pred", "y_lo", "y_hi", "y_prob_a", "y_load", "z_lo"]
    data = {name: rng.normal(size=60) for name in names}
    told = {"status": ["ok", "PARSE"] * 30, "reason": ["", "no molecule"] * 30}
    assert find_targets(table(**data, **told), ()) == ["y", "y_load", "z_lo"]
    alone = {"status": ["active", "inactive"] * 30, "y_lo": data["y_lo"]}
    assert find_targets(table(**alone), ()) == ["status", "y_lo"]


@pytest.mark.parametrize(
    "name", ["ESOL predicted log solubility in mols per litre", "calc", "y_pred", "pIC50Predicted"]
)
def test_names_that_speak_of_predictions(name: str) -> None:
    assert hinted(name)


@pytest.mark.parametrize("name", ["measured log solubility", "exp", "calcium", "predator", "Model", "calcitonin_uM"])
def test_names_that_do_not(name: str) -> None:
    assert not hinted(name)


def test_correlations_are_pearsons_over_common_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 4)) + 1e6
    values[:, 1] += values[:, 0]
    values[:, 3] = 7.0
    values[rng.random((80, 4)) < 0.3] = np.nan
    found, common = correlations(values)
    for i in range(3):
        for j in range(3):
            both = ~np.isnan(values[:, i]) & ~np.isnan(values[:, j])
            assert common[i, j] == both.sum()
            assert found[i, j] == pytest.approx(np.corrcoef(values[both, i], values[both, j])[0, 1], abs=1e-9)
    assert (found[3] == 0).all()


def test_copies_are_told_from_near_copies() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=200)
    made = {"a": first, "b": rng.normal(size=200), "a.1": first, "c": -3 * first + 0.01 * rng.normal(size=200)}
    found = check_copies([column(name, values) for name, values in made.items()], ["smiles", *made])
    assert [(one.code, one.target) for one in found] == [
        ("REPEATED_HEADER", None),
        ("REPEATED_COLUMN", "a.1"),
        ("NEAR_COPY", "c"),
    ]
    assert found[2].values["correlation"] == pytest.approx(-1, abs=1e-4)


def test_a_copy_that_lacks_a_label_is_a_near_copy() -> None:
    first = np.random.default_rng(0).normal(size=200)
    lacks = np.where(np.arange(200) == 7, np.nan, first)
    assert [one.code for one in check_copies([column("a", first), column("b", lacks)], ["a", "b"])] == ["NEAR_COPY"]
    few = np.where(np.arange(200) < 60, first, np.nan)  # enough of b, all of it shared
    assert [one.code for one in check_copies([column("a", first), column("b", few)], ["a", "b"])] == ["NEAR_COPY"]


def test_few_common_rows_prove_nothing() -> None:
    first = np.random.default_rng(0).normal(size=200)
    few = np.where(np.arange(200) < 60, first, np.nan)
    apart = np.where(np.arange(200) >= 35, first, np.nan)  # 25 rows in common, of 165
    assert check_copies([column("a", few), column("b", apart)], ["a", "b"]) == []
    assert check_copies([column("a", first), column("b.1", -first[::-1])], ["a", "b.1"]) == []


def test_how_closely_a_column_follows() -> None:
    x = np.arange(1.0, 51.0)
    assert telling(column("y", np.exp(x / 5)), column("x", x)) == (pytest.approx(1), 50)  # by rank
    assert telling(column("y", (x < 20).astype(float), "binary"), column("x", x))[0] == 1.0  # ROC-AUC 0, turned
    assert telling(column("y", x[:19]), column("x", x[:19])) == (0.0, 19)
    assert telling(column("y", x), column("x", np.ones(50))) == (0.0, 50)


def test_classes_follow_by_their_means() -> None:
    grades = np.repeat([0.0, 1, 2], 40)
    active = np.isin(grades, [0, 2]).astype(float)
    assert telling(column("y", active, "binary"), column("grade", grades, "multiclass")) == (1.0, 120)
    assert telling(column("y", 10 * active), column("grade", grades, "multiclass")) == (pytest.approx(1), 120)
    names = np.arange(120.0)  # every row its own class, which tells everything and nothing
    assert telling(column("y", active, "binary"), column("name", names, "multiclass")) == (0.0, 120)


def test_predictions_and_leaks_are_named() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    other = rng.normal(size=500)
    targets = [column("y", y), column("other", other), column("active", y > 0, "binary")]
    beside = {
        "y_pred": y + 0.7 * rng.normal(size=500),  # correlation 0.8
        "predicted weather": rng.normal(size=500),
        "IC50": np.exp(-y),
        "other assay": other + 0.7 * rng.normal(size=500),
    }
    found = check_leaks(targets, [column(name, values) for name, values in beside.items()])
    assert [(one.code, one.severity, one.target) for one in found] == [
        ("PREDICTIONS", "alarm", "active"),  # ROC-AUC 0.9 is above a correlation of 0.8
        ("LEAK_COLUMN", "warning", "y"),
        ("LEAK_COLUMN", "warning", "active"),
    ]
    assert "'IC50' tells 'active': ROC-AUC 1.000" in found[2].sentence
    assert found[1].values == {"correlation": pytest.approx(1), "rows": 500.0}


def test_numbers_lost_among_texts_are_told() -> None:
    cells = [*map(str, range(50)), *["n.d."] * 100]
    rest = read_column(table(y=cells), "y")
    assert find_targets(table(y=cells), []) == []
    assert [(one.code, one.count) for one in check_formats([rest], "alarm", 0)] == [("LABEL_TYPE", 100)]
    names = read_column(table(y=[*map(str, range(4)), *[f"name {k}" for k in range(146)]]), "y")
    assert check_formats([names], "alarm", 0) == []


def test_classes_that_are_none_are_told() -> None:
    cells = ["Active", "active", "n.d.", "-", "inactive"] * 12
    found = check_cells(read_column(table(y=cells), "y"), 0)
    assert [(one.code, one.count) for one in found] == [("CLASS_CASE", 2), ("CLASS_UNMEASURED", 2)]
    assert check_cells(read_column(table(y=["nt", "NT"] * 12), "y"), 0)[0].code == "CLASS_CASE"
    assert check_cells(read_column(table(y=["low", "high"] * 12), "y"), 0) == []


def test_only_numbers_in_a_row_are_those_of_a_repeated_name() -> None:
    assert check_copies([], ["logD7", "logD7.4", "x"]) == []
    assert [one.count for one in check_copies([], ["x", "x.1", "x.2", "y.1"])] == [2]


def test_names_of_records_are_no_targets() -> None:
    ids = [f"{k * 7 % 100}" for k in range(60)]
    smi = Table(pa.table({"smiles": ["CCO"] * 60, "name": ids}), "made.smi", structure="smiles")
    assert find_targets(smi, ["smiles"]) == []
    assert find_targets(Table(smi.data, "made.csv"), ["smiles"]) == ["name"]

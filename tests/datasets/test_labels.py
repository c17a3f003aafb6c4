"""Cells become numbers, bounds and classes, and what cannot be learned from is refused with its rows."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetramer.datasets.labels import (
    Labels,
    as_classes,
    check_labels,
    infer_task,
    labels,
    log10,
    to_pic50,
    weights,
)
from tetramer.datasets.tables import Table
from tetramer.errors import UserError


def table_of(*cells, name="y", start=0):
    return Table(pa.table({name: list(cells)}), "t.csv", start)


def read(*cells):
    return labels(table_of(*cells), ["y"])


def made(values, censor=None, classes=None):
    values = np.array(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    censor = np.zeros(values.shape, np.int8) if censor is None else np.array(censor, np.int8).reshape(values.shape)
    names = tuple("yzabc"[: values.shape[1]])
    return Labels(names, values, censor, classes or (None,) * len(names))


def test_numbers_bounds_and_gaps():
    found = read("5.48", " -1e-3 ", ">10", "<= 5", "≥3", "=7", "", "NA", "NaN", "n/a", "None", ".5", "6.", "+2")
    nan = np.nan
    np.testing.assert_array_equal(found.values[:, 0], [5.48, -0.001, 10, 5, 3, 7, nan, nan, nan, nan, nan, 0.5, 6, 2])
    assert found.censor[:, 0].tolist() == [0, 0, 1, -1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert found.classes == (None,)
    assert found.known[:, 0].sum() == 9


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
@settings(deadline=None)
def test_every_number_that_python_writes_is_read_bit_for_bit(values):
    assert read(*map(repr, values)).values[:, 0].tolist() == values


@given(st.lists(st.sampled_from(["<", ">", "<=", ">=", "≤", "≥", "", "="]), min_size=1), st.integers(0, 99))
@settings(deadline=None)
def test_signs_say_on_which_side_the_truth_lies(signs, number):
    found = read(*(f"{sign} {number}" for sign in signs))
    side = {"<": -1, "<=": -1, "≤": -1, ">": 1, ">=": 1, "≥": 1, "": 0, "=": 0}
    assert found.censor[:, 0].tolist() == [side[sign] for sign in signs]
    assert (found.values == number).all()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "high", "2", "low"], r"'y' of t.csv holds text in a numeric target (row 2: 'high', row 4: 'low')."),
        (["5,48", "5.1"], "text in a numeric target (row 1: '5,48'). Write decimals with a point, as in 5.48."),
        (["5,537", "5.1"], "write '5,537' as 5537 if it separates thousands, and as 5.537 if it is a decimal comma."),
        (["~3", "5.1"], "Write a plain number for an approximate one"),
        (["1_000", "5.1"], "text in a numeric target (row 1: '1_000')"),
        (["0x10", "5.1"], "text in a numeric target"),
        (["> ", "5.1"], "text in a numeric target (row 1: '>')"),
        (["3", "inf", "-Infinity"], "an infinite label (row 2: 'inf', row 3: '-Infinity')"),
        (["3", "1e999"], "an infinite label (row 2: '1e999')"),
        (["1", *"abcdefg"], "row 6: 'e' and 2 more)"),
    ],
)
def test_what_is_no_number_is_named_with_its_row(cells, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read(*cells)


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        (["6,6", "7,12", "", "NA"], "Write decimals with a point, as in 6.6."),
        (
            ["-0,02 uM", ">3,5 uM"],
            "Write decimals with a point, as in -0.02. Write the number alone, in every row in the",
        ),
        (["1.234,5", "6,6"], "Write decimals with a point, as in 1234.5."),
        (["0,123", "0,456"], "Write decimals with a point, as in 0.123."),
        (["5,5378", "5,537"], "Write decimals with a point, as in 5.5378."),
        (
            ["5,537", "22,733"],
            "write '5,537' as 5537 if it separates thousands, and as 5.537 if it is a decimal comma.",
        ),
        (["1,234,567", "3,000"], "Leave out the commas between thousands, as in 1234567."),
        (["3,000", "1,234.5"], "Leave out the commas between thousands, as in 1234.5."),
        (["1\u202f234", "12 000"], "Leave out what separates thousands, as in 1234."),
        (["45%", "3 %"], "Write percentages without the sign, all of them as 45 or all as 0.45."),
        (["3 nM", "10mg/mL", "2.5 log units"], "Write the number alone, in every row in the same unit."),
        (["-0.02±0.1", "1 +/- 2", "1.2 (0.1)"], "Write the value alone; its error may stand in a column of its own."),
        (["~3", "ca. 5"], "Write a plain number for an approximate one, or > or < for a bound."),
        (["−0.5", "−3"], "Write a minus sign as -, the hyphen of the keyboard."),
    ],
)
def test_numbers_that_are_not_written_as_numbers_are_no_classes(cells, advice):
    with pytest.raises(UserError, match=re.escape(advice)) as error:
        read(*cells * 10)
    assert "holds no plain number, but texts that look like numbers (row 1: " in str(error.value)
    assert str(error.value).endswith(" If they are classes, begin their names with a letter.")


def test_many_decimal_commas_are_no_names_and_a_few_among_numbers_are_named():
    cells = [f"-0,{k:03}" for k in range(266)]
    with pytest.raises(UserError, match=r"Write decimals with a point, as in -0\.000"):
        read(*cells)
    with pytest.raises(
        UserError, match=re.escape("text in a numeric target (row 3: '6,6'). Write decimals with a point")
    ):
        read("5.1", "7", "6,6", *["8.2"] * 20)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.sampled_from(["{}", "{} %", "{} nM", "{}±0,1", "~{}", "> {}"]))
@settings(deadline=None)
def test_no_decimal_comma_is_ever_a_class(values, form):
    cells = [form.format(f"{value:.2f}".replace(".", ",")) for value in values]
    with pytest.raises(UserError, match="Write decimals with a point, as in "):
        read(*cells)


@pytest.mark.parametrize(
    "classes",
    [
        ("1a", "1b", "2c"), ("2D", "3D"), ("0.5-1.0", "1.0-2.0"), ("3.4.21.5", "3.4.21.6"), ("1 low", "2 high"),
        ("5-HT", "D2"), ("10 to 20", "20 to 30"), ("I", "II"), ("+", "-"), ("50-00-0", "64-17-5"),
        ("low", "45%", "high"),
    ],
)  # fmt: skip
def test_classes_that_hold_digits_stay_classes(classes):
    assert read(*classes * 10).classes == (tuple(sorted(classes)),) or set(classes) == {"+", "-"}


def test_rows_are_counted_from_the_start_of_the_file():
    with pytest.raises(UserError, match="row 1002: 'x'"):
        labels(table_of("1", "x", start=1000), ["y"])


@pytest.mark.parametrize("kind", [pa.int8(), pa.float32(), pa.float64(), pa.decimal128(25, 2)])
def test_numeric_columns_are_taken_as_they_are(kind):
    data = pa.table({"y": pa.array([1, None, 3], pa.int64()).cast(kind)})
    found = labels(Table(data, "t.parquet"), ["y"])
    np.testing.assert_array_equal(found.values[:, 0], [1, np.nan, 3])


def test_a_numeric_infinity_is_refused_too():
    with pytest.raises(UserError, match="an infinite label"):
        labels(Table(pa.table({"y": [1.0, np.inf]}), "t.parquet"), ["y"])


def test_dictionaries_booleans_and_nothing():
    data = pa.table(
        {
            "d": pa.array(["a", "b", None]).dictionary_encode(),
            "b": [True, None, False],
            "n": pa.array([None] * 3),
        }
    )
    found = labels(Table(data, "t.parquet"), ["d", "b", "n"])
    np.testing.assert_array_equal(found.values, [[0, 1, np.nan], [1, np.nan, np.nan], [np.nan, 0, np.nan]])
    assert found.classes == (("a", "b"), ("false", "true"), None)


def test_other_types_are_refused():
    with pytest.raises(UserError, match="a target holds numbers or classes"):
        labels(Table(pa.table({"y": [[1.0]]}), "t.parquet"), ["y"])


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a", "", "b"], ("a", "b")),
        (["active", "inactive", "NA", "active"], ("inactive", "active")),
        (["Toxic", "Non-toxic", "", "Toxic"], ("Non-toxic", "Toxic")),
        (["Yes", "no", "", "Yes"], ("no", "Yes")),
        (["+", "-", "", "+"], ("-", "+")),
        (["True", "False", "", "True"], ("False", "True")),
        (["positive", "negative", "", "positive"], ("negative", "positive")),
    ],
)
def test_of_two_opposites_the_negative_is_class_zero(cells, classes):
    found = read(*cells)
    assert found.classes == (classes,)
    expected = [np.nan if cell in ("", "NA") else classes.index(cell) for cell in cells]
    np.testing.assert_array_equal(found.values[:, 0], expected)


def test_a_column_of_names_is_no_target():
    with pytest.raises(UserError, match=r"holds 30 different texts, such as 'CHEMBL0'"):
        read(*(f"CHEMBL{i}" for i in range(30)))


def test_classes_recur_and_a_small_table_is_given_the_benefit_of_the_doubt():
    assert len(read(*(f"c{i % 10}" for i in range(20))).classes[0]) == 10
    assert len(read(*(f"c{i}" for i in range(19))).classes[0]) == 19
    with pytest.raises(UserError, match="11 different texts"):
        read(*(f"c{i % 11}" for i in range(20)))
    with pytest.raises(UserError, match="101 different texts"):
        read(*(f"c{i % 101}" for i in range(1000)))


def test_targets_must_be_there_and_different():
    with pytest.raises(UserError, match=r"no column 'Y'. Did you mean 'y'"):
        labels(table_of("1"), ["Y"])
    with pytest.raises(UserError, match="named twice"):
        labels(table_of("1"), ["y", "y"])
    with pytest.raises(UserError, match="at least one target"):
        labels(table_of("1"), [])


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        ([0, 1] * 30, "binary", "'y' holds two different values, 0 (30 rows) and 1 (30 rows), so it is binary."),
        ([0] * 299 + [1], "binary", "'y' holds two different values, 0 (299 rows) and 1 (1 row), so it is binary."),
        ([2.5, 7] * 30, "binary", "two different values, 2.5 (30 rows) and 7 (30 rows)"),
        (
            [1, 2, 3] * 10,
            "multiclass",
            "'y' holds 3 whole numbers that recur, so it is multiclass: 1 (10 rows), 2 (10 rows), 3 (10 rows). "
            "To learn them as numbers, give --task regression.",
        ),
        ([1, 2, 3] * 9, "regression", "'y' holds 3 different numbers, so it is regression."),
        ([1, 2, 3.5] * 20, "regression", "3 different numbers"),
        (list(range(11)) * 20, "regression", "11 different numbers"),
        (list(range(2000)), "regression", "2,000 different numbers"),
        ([1, 1, 1], "regression", "1 different numbers"),
    ],
)
def test_the_task_is_inferred_with_a_reason(values, kind, why):
    task = infer_task(made(values))
    assert task.kind == kind
    assert why in task.why


INACTIVE = ("inactive", "active", "inactive")


def test_texts_and_bounds_decide_the_task():
    many = infer_task(read("inactive", "Active", "n.t.", "active ", "active"))
    assert many.kind == "multiclass"
    assert many.why.endswith("multiclass: Active (1 row), active (2 rows), inactive (1 row), n.t. (1 row).")
    assert infer_task(read(*"abcdefghijkl")).why.endswith(" i (1 row), j (1 row) and 2 more.")
    assert "two different values, inactive (2 rows) and active (1 row)," in infer_task(read(*INACTIVE)).why
    some = Labels(("y",), np.array([[0.0], [2], [2]]), np.zeros((3, 1), np.int8), (("a", "b", "c"),))
    assert "two different values, a (1 row) and c (2 rows)," in infer_task(some).why
    assert infer_task(read(">10", "5", "5")).kind == "regression"


def test_targets_of_different_kinds_are_refused_with_advice():
    mixed = made([[i / 7, i % 2] for i in range(60)])
    with pytest.raises(UserError, match=r"'y' holds 60 .* regression\. 'z' holds two .* Train each kind apart"):
        infer_task(mixed)
    assert infer_task(made([[i % 2, 1 - i % 2] for i in range(60)])).kind == "binary"


def test_numbers_become_class_numbers():
    found = as_classes(made([[2, -1], [np.nan, 1], [7, -1], [2, 1]]))
    np.testing.assert_array_equal(found.values, [[0, 0], [np.nan, 1], [1, 0], [0, 1]])
    assert found.classes == (("2", "7"), ("-1", "1"))
    text = read("b", "a", "b")
    assert as_classes(text).classes == (("a", "b"),)
    with pytest.raises(UserError, match="holds bounds"):
        as_classes(read(">1", "2"))


def test_enough_good_labels_pass():
    check_labels(made(range(20)), "regression")
    check_labels(made([0, 1] * 10), "binary")


@pytest.mark.parametrize(
    ("found", "task", "message"),
    [
        (made([np.nan] * 30), "regression", "No row has a label in 'y'. Is it the right column?"),
        (made([[1, np.nan], [2, np.nan]] * 15), "regression", "No row has a label in 'z'"),
        (made([1.0] * 30), "binary", "All 30 labels in 'y' are 1: one class only, so nothing can be learned."),
        (made([2.5] * 30), "regression", "All 30 labels in 'y' are 2.5: one value only"),
        (made([[0, 1], [1, 1]] * 15), "binary", "All 30 labels in 'z' are 1: one class only"),
        (made(range(19)), "regression", "19 rows have a label; at least 20 are needed."),
        (made([]), "regression", "No row has a label"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(found, task, message):
    with pytest.raises(UserError, match=re.escape(message)):
        check_labels(found, task)


def test_labels_too_large_to_compute_with_are_named():
    huge = made([1e308, -1e16, 1e15, *range(30)])
    says = "Column 'y' holds labels beyond 1e+15 in size (row 1: 1e+308, row 2: -1e+16). Correct or empty"
    with pytest.raises(UserError, match=re.escape(says)):
        check_labels(huge, "regression")
    check_labels(log10(made([1e308, *range(1, 30)])), "regression")  # a logarithm makes them small
    check_labels(made([0, 1e20] * 15), "binary")


def test_one_class_is_named_by_its_text():
    with pytest.raises(UserError, match="are active: one class only"):
        check_labels(read(*["active"] * 30), "binary")


def test_weights_are_read():
    assert weights(table_of("1", "0", "2.5", name="w"), "w").tolist() == [1, 0, 2.5]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "-1", ""], "a weight that is infinite, missing, negative or no number (row 2: '-1', row 3: '')"),
        (["1", ">2"], "row 2: '>2'"),
        (["a", "b"], "holds no number, so it is no column of weights (row 1: 'a', row 2: 'b'). Name another one."),
        ([f"word{k}" for k in range(300)], "so it is no column of weights (row 1: 'word0'"),
        (["6,6"] * 30, "so it is no column of weights (row 1: '6,6'"),
        (["1", "a"], "or no number (row 2: 'a'). A weight is a number of 0 or more."),
        (["1", "inf"], "infinite, missing, negative or no number (row 2: 'inf')"),
        ([1.0, -2.0], "infinite, missing, negative or no number (row 2: '-2.0')"),
        ([True, False], "holds bool, so it is no column of weights."),
        (["0", "0"], "All weights in 'y' are 0"),
    ],
)
def test_a_weight_is_finite_and_not_negative(cells, message):
    with pytest.raises(UserError, match=re.escape(message)):
        weights(table_of(*cells), "y")


@pytest.mark.parametrize(
    ("unit", "value"), [("pM", 1e6), ("nM", 1e3), ("uM", 1), ("µM", 1), ("μM", 1), ("mM", 1e-3), ("M", 1e-6)]
)
def test_one_micromolar_is_a_pic50_of_six_in_every_unit(unit, value):
    assert to_pic50(made([value]), unit).values.item() == pytest.approx(6, abs=1e-12)


def test_a_concentration_above_is_a_pic50_below():
    found = to_pic50(made([10_000, 100, 1, np.nan], [1, -1, 0, 0]), "nM")
    np.testing.assert_allclose(found.values[:, 0], [5, 7, 9, np.nan], atol=1e-12)
    assert found.censor[:, 0].tolist() == [-1, 1, 0, 0]


def test_log10_keeps_the_sign_of_a_bound():
    found = log10(made([1000, 0.01, np.nan], [1, 0, 0]))
    np.testing.assert_allclose(found.values[:, 0], [3, -2, np.nan], atol=1e-12)
    assert found.censor[:, 0].tolist() == [1, 0, 0]


@given(st.floats(1e-12, 1e12), st.sampled_from(["pM", "nM", "uM", "mM", "M"]))
@settings(deadline=None)
def test_pic50_is_minus_the_logarithm_of_mol_per_litre(value, unit):
    factor = {"pM": 1e-12, "nM": 1e-9, "uM": 1e-6, "mM": 1e-3, "M": 1.0}[unit]
    assert to_pic50(made([value]), unit).values.item() == pytest.approx(-np.log10(value * factor), abs=1e-9)


@pytest.mark.parametrize("change", [log10, lambda found: to_pic50(found, "nM")])
def test_a_logarithm_needs_positive_labels(change):
    with pytest.raises(UserError, match=re.escape("labels of 0 or less (row 1: 0, row 3: -2.5)")):
        change(made([0, 1, -2.5, np.nan]))
    with pytest.raises(UserError, match=r"\(row 1: 0, .* row 5: 0\)"):
        change(made([0] * 5))
    with pytest.raises(UserError, match="row 5: 0 and 1 more"):
        change(made([0] * 6))
    with pytest.raises(UserError, match="holds classes such as 'a'"):
        change(made([0, 1], classes=(("a", "b"),)))


def test_an_unknown_unit_lists_the_known():
    with pytest.raises(UserError, match=r"no unit of concentration named 'nm'. Did you mean 'nM'"):
        to_pic50(made([1]), "nm")


def test_two_numbers_of_a_sparse_target_are_no_classes() -> None:
    held = Table(pa.table({"y": [*map(str, np.arange(30) / 7)], "z": ["6", "7.5", *[""] * 28]}), "made.csv")
    assert infer_task(labels(held, ["y", "z"])).kind == "regression"
    recur = Table(pa.table({"y": ["0.5", "1.5"] * 15}), "made.csv")
    assert infer_task(labels(recur, ["y"])).kind == "binary"
    mixed = Table(pa.table({"y": [*map(str, np.arange(30) / 7)], "z": ["0", "1"] * 15}), "made.csv")
    with pytest.raises(UserError, match="or name one kind for all with --task"):
        infer_task(labels(mixed, ["y", "z"]))

"""Trees: what they see, what they keep, and what a constant target gives."""

import re
from typing import Any

import numpy as np
import pytest

from tetramer.errors import UserError
from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem
from tetramer.members.trees import Trees, TreesConfig, booster_from, constant, matrix
from tetramer.training import Data
from tetramer.views.descriptors import NAMES


def data(features: dict[str, Any], values: np.ndarray, weight: np.ndarray | None = None) -> Data:
    column = values[:, None]
    return Data(features, column, np.zeros(column.shape, np.int8), np.ones(80) if weight is None else weight)


def test_columns_are_counts_then_descriptors(features: dict[str, Any]) -> None:
    x = matrix(features, np.array([0, 5]))
    assert x.shape == (2, 2048 + len(NAMES))
    assert x[0, :2048].sum() == features["fingerprint"].counts[slice(*features["fingerprint"].bit_starts[:2])].sum()
    weight = 2048 + NAMES.index("MolWt")
    assert x[:, weight] == pytest.approx([94.113, 96.104], abs=0.01)  # phenol, fluorobenzene


def test_the_model_is_lightgbms_own_text(features: dict[str, Any]) -> None:
    member = Trees.fit(
        TreesConfig("boosted", 5), Problem(REGRESSION, ("y",)), data(features, np.arange(80.0)), np.arange(80), 0
    )
    card, files = member.state()
    assert set(files) == {"model-0.txt"}
    text = files["model-0.txt"].decode()
    assert text.startswith("tree\nversion=")
    assert text.count("\nTree=") == 5
    assert card["config"] == {"mode": "boosted", "trees": 5, "trend": False}
    assert booster_from(files["model-0.txt"], "x").num_trees() == 5


def test_another_seed_is_another_forest(features: dict[str, Any]) -> None:
    told = [
        Trees.fit(
            TreesConfig("forest", 5), Problem(REGRESSION, ("y",)), data(features, np.arange(80.0)), np.arange(80), seed
        )
        .predict(features, np.arange(80))
        .tobytes()
        for seed in (0, 0, 1)
    ]
    assert told[0] == told[1]
    assert told[0] != told[2]


@pytest.mark.parametrize("mode", ["boosted", "forest", "extra"])
def test_a_target_learns_the_same_beside_others(features: dict[str, Any], mode: str) -> None:
    """Targets known for the same rows share LightGBM's bins; a target with gaps, or of one value, stands between."""
    rng, rows = np.random.default_rng(0), np.arange(80)
    values = rng.normal(size=(80, 5))
    values[:20, 2], values[:, 3] = np.nan, 7.0

    def fit(columns: list[int]) -> dict[str, bytes]:
        told = values[:, columns]
        problem = Problem(REGRESSION, tuple(f"y{k}" for k in columns))
        known = Data(features, told, np.zeros(told.shape, np.int8), 1.0 + rows % 3)
        return Trees.fit(TreesConfig(mode, 3), problem, known, rows, 0).state()[1]

    together = fit([0, 1, 2, 3, 4])
    assert set(together) == {"model-0.txt", "model-1.txt", "model-2.txt", "model-4.txt"}
    assert together["model-0.txt"] != together["model-1.txt"]
    for k in (0, 1, 2, 4):
        assert together[f"model-{k}.txt"] == fit([k])["model-0.txt"]


def test_heavier_rows_pull(features: dict[str, Any]) -> None:
    values = np.where(np.arange(80) % 2, 10.0, 0.0)
    rows = np.arange(80)
    weight = np.where(rows % 2, 1000.0, 1.0)
    fits = [
        Trees.fit(TreesConfig("boosted", 3), Problem(REGRESSION, ("y",)), data(features, values, w), rows, 0)
        for w in (np.ones(80), weight)
    ]
    even, heavy = (fit.predict(features, rows).mean() for fit in fits)
    assert heavy > even + 2


def test_constants_exactly() -> None:
    y, weight = np.array([1.0, 1.0, 4.0]), np.array([1.0, 1.0, 2.0])
    assert constant(y, weight, Problem(REGRESSION, ("y",)), 0) == [2.5]
    three = Problem(MULTICLASS, ("y", "z"), (("a", "b"), ("a", "b", "c")))
    assert constant(np.array([0.0, 1.0, 1.0]), weight, three, 0) == [0.25, 0.75, 0.0]
    assert np.isnan(constant(np.zeros(0), np.zeros(0), Problem(BINARY, ("y",), (("0", "1"),)), 0)).all()


@pytest.mark.parametrize(
    ("line", "new"),
    [
        (r"split_feature=\d+", "split_feature=99999999"),
        (r"split_feature=\d+", "split_feature=-5"),
        (r"left_child=-?\d+", "left_child=99999999"),
        (r"left_child=-?\d+", "left_child=-99999999"),
        (r"left_child=-?\d+", "left_child=0"),  # round in a circle
        (r"right_child=-?\d+", "right_child=0"),
        (r"num_leaves=\d+", "num_leaves=1000000000"),
        (r"num_leaves=\d+", "num_leaves=1" + "0" * 30),
        (r"num_cat=0", "num_cat=1"),
        (r"num_cat=0", "num_cat=0\nnum_cat=1"),
        (r"is_linear=0", "is_linear=1"),
        (r"decision_type=\d+", "decision_type=1"),
        (r"split_feature=", "split_feature="),  # with what stands behind it cut away
    ],
)
def test_trees_that_lead_out_of_memory_are_refused(features: dict[str, Any], line: str, new: str) -> None:
    """LightGBM would read what lies there (a crash) or never end."""
    problem = Problem(REGRESSION, ("y",))
    member = Trees.fit(TreesConfig("forest", 3), problem, data(features, np.arange(80.0)), np.arange(80), 0)
    text = member.state()[1]["model-0.txt"].decode()
    booster_from(text.encode(), "model-0.txt")
    new = new if new != "split_feature=" else "split_feature=\n#"
    with pytest.raises(UserError, match="leads nowhere"):
        booster_from(re.sub(line, new, text, count=1).encode(), "model-0.txt")


def test_places_of_trees_in_a_file_are_not_believed(features: dict[str, Any]) -> None:
    problem = Problem(REGRESSION, ("y",))
    member = Trees.fit(TreesConfig("boosted", 3), problem, data(features, np.arange(80.0)), np.arange(80), 0)
    text = member.state()[1]["model-0.txt"]
    lying = re.sub(rb"tree_sizes=[^\n]*", b"tree_sizes=7 100000000 1", text)
    assert booster_from(lying, "x").model_to_string() == booster_from(text, "x").model_to_string()


def test_a_file_for_other_columns_is_refused(features: dict[str, Any]) -> None:
    import lightgbm

    rng = np.random.Generator(np.random.Philox(0))
    made = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(rng.normal(size=(50, 3)), rng.normal(size=50)), 1)
    with pytest.raises(UserError, match="asks for 3 numbers a molecule"):
        booster_from(made.model_to_string().encode(), "model-0.txt")
    for text in (b"", b"\xff", b"tree\n", b"garbage"):
        with pytest.raises(UserError, match="not a LightGBM model"):
            booster_from(text, "model-0.txt")


@pytest.mark.parametrize("mode", ["forest", "extra"])
def test_trees_without_a_split_count_as_their_rows(features: dict[str, Any], mode: str) -> None:
    """With few rows that differ, bags often lack them; such a tree answered 0, far from all labels."""
    values = np.full(80, 300.0)
    values[-1] = 310.0
    member = Trees.fit(TreesConfig(mode, 60), Problem(REGRESSION, ("y",)), data(features, values), np.arange(80), 0)
    told = member.predict(features, np.arange(80))[:, 0, 0]
    assert member.shifts[0][0] > 3
    assert told.min() > 299.5
    assert told.mean() == pytest.approx(values.mean(), abs=0.5)
    again = Trees.from_state(*member.state(), member.problem)
    assert again.predict(features, np.arange(80)).tobytes() == member.predict(features, np.arange(80)).tobytes()


@pytest.mark.parametrize("mode", ["boosted", "forest", "extra"])
def test_a_class_that_no_training_row_has_gets_nothing(features: dict[str, Any], mode: str) -> None:
    values = (np.arange(80) % 2).astype(float)
    values[70:] = 2.0
    problem = Problem(MULTICLASS, ("y",), (("a", "b", "c"),))
    told = Trees.fit(TreesConfig(mode, 40), problem, data(features, values), np.arange(70), 0).predict(
        features, np.arange(80)
    )[:, 0]
    assert told[:, 2].max() < 1e-3
    assert told.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("mode", ["boosted", "forest", "extra"])
@pytest.mark.parametrize("task", [REGRESSION, BINARY, MULTICLASS])
def test_where_all_trees_split_the_answer_is_lightgbms(features: dict[str, Any], mode: str, task: str) -> None:
    values = np.arange(80) % {REGRESSION: 40, BINARY: 2, MULTICLASS: 3}[task]
    classes = {REGRESSION: (), BINARY: (("0", "1"),), MULTICLASS: (("0", "1", "2"),)}[task]
    problem = Problem(task, ("y",), classes)
    member = Trees.fit(TreesConfig(mode, 12), problem, data(features, values.astype(float)), np.arange(80), 0)
    (booster,) = member.boosters
    assert booster is not None
    assert member.shifts == [[0.0] * problem.outputs]
    wanted = booster.predict(matrix(features, np.arange(80))).reshape(80, -1)
    assert member.predict(features, np.arange(80))[:, 0] == pytest.approx(wanted, rel=1e-12)

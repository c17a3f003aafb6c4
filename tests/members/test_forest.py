"""The forest of all targets: answers by hand, what borrows from what, hostile files."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tetramer.errors import UserError
from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem
from tetramer.members.forest import PRIOR, ForestConfig, SharedForest, columns, leaves, standardised
from tetramer.members.trees import matrix
from tetramer.training import Data

ROWS = np.arange(80)


def data(features: dict[str, Any], values: np.ndarray, weight: np.ndarray | None = None) -> Data:
    return Data(features, values, np.zeros(values.shape, np.int8), np.ones(80) if weight is None else weight)


def problem(targets: int, task: str = BINARY) -> Problem:
    return Problem(task, tuple(f"t{k}" for k in range(targets)))


def by_hand(member: SharedForest, features: dict[str, Any], rows: np.ndarray) -> np.ndarray:
    """The formula of `predict`, tree by tree and target by target."""
    asked, y = leaves(member.booster, matrix(features, rows)), columns(member.labels, member.problem)
    out = np.zeros((len(rows), y.shape[1]))
    for row in range(len(rows)):
        for target in range(y.shape[1]):
            known = np.isfinite(y[:, target])
            mean = np.average(y[known, target], weights=member.weight[known])
            above, below = PRIOR * mean, PRIOR
            for tree in range(asked.shape[1]):
                near = member.leaf[:, tree] == asked[row, tree]
                share = member.weight * near / member.weight[near].sum() / asked.shape[1]
                above += (share * np.where(known, y[:, target], 0))[known].sum()
                below += share[known].sum()
            out[row, target] = above / below
    return out.reshape(len(rows), len(member.problem.targets), -1)


@pytest.mark.parametrize("task", [REGRESSION, BINARY, MULTICLASS])
def test_answers_are_means_over_shared_leaves(features: dict[str, Any], task: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3 if task == MULTICLASS else 2, (80, 3)).astype(float)
    values[rng.random((80, 3)) < 0.4] = np.nan
    weight = rng.uniform(0.5, 2, 80)
    told = problem(3, task)
    if task == MULTICLASS:
        told = replace(told, classes=(("a", "b", "c"),) * 3)
    member = SharedForest.fit(ForestConfig(7, 3), told, data(features, values, weight), ROWS[:60], 0)
    rows = ROWS[50:]
    answer = member.predict(features, rows)
    assert answer == pytest.approx(by_hand(member, features, rows), abs=1e-12)
    if task == MULTICLASS:
        assert answer.sum(axis=2) == pytest.approx(1)


def test_a_target_with_few_labels_learns_from_the_others(features: dict[str, Any]) -> None:
    heavy = matrix(features, ROWS)[:, 2048:][:, 0]
    truth = (heavy > np.median(heavy)).astype(float)
    alone, panel = np.full((80, 1), np.nan), np.tile(truth[:, None], 6)
    alone[:8, 0] = panel[:8, 0] = truth[:8]
    panel[8:, 0] = np.nan
    fits = [SharedForest.fit(ForestConfig(60), problem(y.shape[1]), data(features, y), ROWS, 0) for y in (alone, panel)]
    told = [fit.predict(features, ROWS[8:])[:, 0, 0] for fit in fits]
    gaps = [answer[truth[8:] == 1].mean() - answer[truth[8:] == 0].mean() for answer in told]
    assert gaps[1] > gaps[0] + 0.2


def test_rows_without_weight_are_as_if_they_were_not_there(features: dict[str, Any]) -> None:
    values = np.random.default_rng(1).normal(size=(80, 2))
    weight, told = (ROWS < 60).astype(float), problem(2, REGRESSION)
    member = SharedForest.fit(ForestConfig(5), told, data(features, values, weight), ROWS, 0)
    fewer = SharedForest.fit(ForestConfig(5), told, data(features, values), ROWS[:60], 0)
    again = SharedForest.from_state(*member.state(), told)
    answers = [one.predict(features, ROWS).tobytes() for one in (member, fewer, again)]
    assert answers[0] == answers[1] == answers[2]


def test_the_seed_and_nothing_else_decides(features: dict[str, Any]) -> None:
    values = np.random.default_rng(1).normal(size=(80, 4))

    def told(seed: int) -> bytes:
        fit = SharedForest.fit(ForestConfig(5), problem(4, REGRESSION), data(features, values), ROWS, seed)
        return fit.predict(features, ROWS).tobytes()

    assert told(0) == told(0)
    assert told(0) != told(1)


def test_scale_and_unit_of_a_target_do_not_matter_to_the_others(features: dict[str, Any]) -> None:
    values = np.random.default_rng(1).normal(size=(80, 2))
    large = values * [1.0, 1e6] + [0.0, 5.0]
    fits = [
        SharedForest.fit(ForestConfig(5), problem(2, REGRESSION), data(features, y), ROWS, 0) for y in (values, large)
    ]
    told, other = (fit.predict(features, ROWS) for fit in fits)
    assert told[:, 0] == pytest.approx(other[:, 0], abs=1e-9)
    assert told[:, 1] * 1e6 + 5 == pytest.approx(other[:, 1], rel=1e-5, abs=1)


def test_targets_without_labels_or_change(features: dict[str, Any]) -> None:
    values = np.stack([np.full(80, np.nan), np.ones(80), ROWS % 2.0], axis=1)
    answer = SharedForest.fit(ForestConfig(5), problem(3), data(features, values), ROWS, 0).predict(features, ROWS)
    assert np.isnan(answer[:, 0]).all()
    assert answer[:, 1, 0].tolist() == pytest.approx([1.0] * 80)
    assert np.ptp(answer[:, 2]) > 0


def test_rows_too_few_for_a_split_answer_the_mean(features: dict[str, Any]) -> None:
    values = np.arange(80.0)[:, None] * [1, 2]
    few = SharedForest.fit(ForestConfig(5, least=50), problem(2, REGRESSION), data(features, values), ROWS[:40], 0)
    assert few.predict(features, ROWS[:3]) == pytest.approx(np.tile([[19.5], [39.0]], (3, 1, 1)))


def test_columns_and_their_scale_exactly() -> None:
    labels = np.array([[0.0, np.nan], [2.0, 1.0]])
    three = Problem(MULTICLASS, ("y", "z"), (("a", "b", "c"), ("a", "b")))
    nan = np.nan
    assert np.array_equal(columns(labels, three), [[1, 0, 0, nan, nan, nan], [0, 0, 1, 0, 1, 0]], equal_nan=True)
    y = np.array([[0.0, 5.0], [4.0, 5.0], [nan, 5.0]])
    assert standardised(y, np.ones(3)).tolist() == [[-1, 0], [1, 0], [0, 0]]
    assert standardised(y, np.array([3.0, 1.0, 1.0]))[:2, 0] == pytest.approx([-1 / 3**0.5, 3**0.5])


def test_reload_and_files_that_lie(features: dict[str, Any]) -> None:
    values = np.random.default_rng(1).integers(0, 2, (80, 3)).astype(float)
    member = SharedForest.fit(ForestConfig(5), problem(3), data(features, values), ROWS, 0)
    card, files = member.state()
    again = SharedForest.from_state(card, files, problem(3))
    assert again.predict(features, ROWS).tobytes() == member.predict(features, ROWS).tobytes()
    for change in (
        {"leaf": member.leaf + np.int16(1)},
        {"leaf": member.leaf[:, :4]},
        {"leaf": member.leaf.astype(np.float32)},
        {"labels": member.labels[:, :2]},
        {"weight": member.weight[:5]},
        {"weight": -member.weight},
    ):
        other, wrong = replace(member, **change).state()
        with pytest.raises(UserError, match="do not fit its trees"):
            SharedForest.from_state(other, wrong, problem(3))
    with pytest.raises(UserError, match="trees ≥ 1"):
        ForestConfig(0)


def test_small_units_are_no_constant() -> None:
    """Dissociation constants in mol/L vary by parts of a millionth."""
    y = np.array([1e-7, 2e-7, 9e-7, 4e-7])[:, None]
    assert standardised(y, np.ones(4)) == pytest.approx(standardised(1e7 * y, np.ones(4)))
    assert not standardised(np.full((4, 1), 0.1), np.ones(4)).any()

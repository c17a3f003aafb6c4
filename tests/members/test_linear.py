"""The linear head: exact answers, the leave-one-out error, and what it does where labels are few or missing."""

import numpy as np
import pytest
from scipy import sparse

from tetramer.members import linear as module
from tetramer.members.linear import COSTS, FOLDS, best_cost, linear

ALL = np.arange(40)


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_a_linear_target_is_recovered() -> None:
    x = numbers(0, 40, 5)
    y = x @ numbers(1, 5, 2) + [3.0, -1000.0]
    for matrix in (x, sparse.csr_array(x)):
        told = linear(matrix, y, ALL[:20], ALL, "regression")
        np.testing.assert_allclose(told[:, :, 0], y, atol=1e-6)


@pytest.mark.parametrize("width", [3, 80])
def test_dense_and_sparse_and_both_ways_round_agree(width: int) -> None:
    x = np.round(np.abs(numbers(0, 40, width)) * 2)
    y = numbers(2, 40, 3)
    dense, other = (linear(matrix, y, ALL[:30], ALL, "regression") for matrix in (x, sparse.csr_array(x)))
    np.testing.assert_allclose(dense, other, atol=1e-6)


def test_targets_with_gaps_are_answered_as_if_alone() -> None:
    x, y = numbers(0, 40, 4), numbers(1, 40, 3)
    y[:10, 1] = np.nan
    y[5:9, 2] = np.nan
    together = linear(x, y, ALL, ALL, "regression")
    for target in range(3):
        known = np.flatnonzero(np.isfinite(y[:, target]))
        np.testing.assert_allclose(
            together[:, [target]], linear(x, y[:, [target]], known, ALL, "regression"), rtol=1e-12
        )
    assert not np.allclose(together[:, 1], linear(x, numbers(1, 40, 3), ALL, ALL, "regression")[:, 1])


def test_few_labels_give_the_mean_and_none_give_nothing() -> None:
    y = np.full((40, 3), np.nan)
    y[:2, 0], y[:3, 1] = [1.0, 2.0], [4.0, 4.0, 4.0]
    told = linear(numbers(0, 40, 4), y, ALL, ALL, "regression")[:, :, 0]
    np.testing.assert_array_equal(told[:, 0], 1.5)
    np.testing.assert_allclose(told[:, 1], 4.0)
    assert np.isnan(told[:, 2]).all()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("targets", [1, 30])
def test_probabilities_are_probabilities_and_follow_the_labels(classes: int, targets: int) -> None:
    x = numbers(0, 90, 4)
    kinds = np.digitize(x[:, 0], [-0.4, 0.4][: classes - 1]).astype(float)
    outputs = 1 if classes == 2 else 4  # a fourth class that this target does not have
    told = linear(x, np.tile(kinds[:, None], targets), np.arange(60), np.arange(60, 90), "multiclass", outputs)
    assert told.shape == (30, targets, outputs)
    assert (told >= 0).all()
    assert (told <= 1).all()
    if outputs > 1:
        np.testing.assert_allclose(told.sum(axis=2), 1)
        assert (told[:, :, 3] == 0).all()
        assert np.corrcoef(told[:, 0, 0], kinds[60:])[0, 1] < -0.7
        assert np.corrcoef(told[:, 0, 2], kinds[60:])[0, 1] > 0.7
    else:
        assert np.corrcoef(told[:, 0, 0], kinds[60:])[0, 1] > 0.7


@pytest.mark.parametrize("noise", [0.1, 1.0, 4.0, 30.0])
def test_the_penalty_is_that_of_the_whole_path_and_the_end_of_it_is_not_walked(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    z = numbers(3, 240, 12)
    y = (z[:, 0] + noise * numbers(4, 240) > 0).astype(float)
    fits, settled = [0], module.settled

    def counted(*told: object) -> object:
        fits[0] += 1
        return settled(*told)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "settled", counted)
    found = best_cost(z, y)
    losses = [
        -cross_val_score(LogisticRegression(C=cost), z, y, cv=FOLDS, scoring="neg_log_loss").mean() for cost in COSTS
    ]
    near = losses[COSTS.index(found)]
    assert near == pytest.approx(min(losses), rel=0.02)  # other folds
    assert fits[0] == FOLDS * min(len(COSTS), max(3, COSTS.index(found) + 3))


def test_one_class_answers_its_share() -> None:
    y = np.column_stack([np.ones(40), np.zeros(40), np.full(40, np.nan)])
    y[:2, 2] = [0, 1]
    told = linear(numbers(0, 40, 4), y, ALL, ALL[:3], "binary")
    np.testing.assert_array_equal(told[:, :, 0], [[1, 0, 0.5]] * 3)
    several = linear(numbers(0, 40, 4), np.full((40, 1), 2.0), ALL, ALL[:1], "multiclass", 3)
    np.testing.assert_array_equal(several[0, 0], [0, 0, 1])


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_only_labels_of_fitted_rows_count_and_order_does_not(task: str) -> None:
    x, order = numbers(0, 40, 6), np.random.default_rng(3).permutation(30)
    y = numbers(1, 40, 2) if task == "regression" else (x[:, :2] + numbers(1, 40, 2) > 0).astype(float)
    told = linear(x, y, ALL[:30], ALL, task)
    other = y.copy()
    other[30:] = 1 - other[30:]
    assert linear(x, other, ALL[:30], ALL, task).tobytes() == told.tobytes()
    other[30:] = np.nan
    assert linear(x, other, ALL[:30], ALL, task).tobytes() == told.tobytes()
    assert linear(x, y, order, ALL, task).tobytes() == told.tobytes()
    np.testing.assert_allclose(linear(x, y, ALL[:30], ALL[::-1], task)[::-1], told, rtol=1e-12)
    other[:30] = y[29::-1]
    assert not np.allclose(linear(x, other, ALL[:30], ALL, task), told)


def test_units_of_the_columns_do_not_matter_where_they_are_scaled() -> None:
    x, y = numbers(0, 40, 6), numbers(1, 40, 1)
    units = 10.0 ** np.arange(-3, 3)
    told, other = (linear(matrix, y, ALL[:30], ALL, "regression") for matrix in (x, x * units + 5))
    np.testing.assert_allclose(told, other, rtol=1e-6)


def test_rows_that_are_not_finite_and_columns_that_do_not_vary_are_left_out() -> None:
    x, y = numbers(0, 40, 6), numbers(1, 40, 1)
    told = linear(x, y, ALL[2:30], ALL[2:], "regression")
    broken = np.column_stack([x, np.full(40, 0.1)])
    broken[35, 6] = 7.0  # unlike all fitted rows
    broken[0, 3], broken[1, 0] = np.nan, np.inf
    other = linear(broken, y, ALL[:30], ALL, "regression")
    assert np.isnan(other[:2]).all()
    assert other[2:].tobytes() == told.tobytes()

"""The plain fits that members add to: exact answers, a slow twin, and what does not fit."""

from typing import Any

import numpy as np
import pytest

from tetramer.checkpoint import pack
from tetramer.errors import UserError
from tetramer.members.base import atom_counts
from tetramer.members.kernels import POINTS
from tetramer.members.offsets import RIDGES, Trend, offset_from, ridge
from tetramer.members.references import Composition
from tetramer.training import Data
from tetramer.views.descriptors import NAMES


def data(features: dict[str, Any], values: np.ndarray) -> Data:
    return Data(features, values, np.zeros(values.shape, np.int8), np.ones(len(values)))


def solve(x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float, centre: np.ndarray, mean: float) -> Any:
    """Weighted ridge around a given centre by the normal equations."""
    xs, ys = x - centre, y - mean
    return np.linalg.solve((weight[:, None] * xs).T @ xs + penalty * np.eye(x.shape[1]), xs.T @ (weight * ys))


def test_ridge_is_the_normal_equations_at_the_best_penalty() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(40, 6)), np.ones(40)
    y = x @ np.array([3.0, -2, 1, 0, 0, 0]) + 5 + rng.normal(size=40)
    centre, weights, mean = ridge(x, y, weight)
    assert (centre, mean) == (pytest.approx(x.mean(axis=0)), pytest.approx(y.mean()))
    errors = []
    for penalty in RIDGES:  # leave one out by doing it
        left = 0.0
        for i in range(40):
            rest = np.arange(40) != i
            inner, level = x[rest].mean(axis=0), y[rest].mean()
            told = (x[i] - inner) @ solve(x[rest], y[rest], weight[rest], penalty, inner, level) + level
            left += (y[i] - told) ** 2
        errors.append(left)
    best = RIDGES[int(np.argmin(errors))]
    assert weights == pytest.approx(solve(x, y, weight, best, centre, mean))


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    twice = np.concatenate([x, x[:10]]), np.concatenate([y, y[:10]])
    centre, _, mean = ridge(x, y, np.where(np.arange(30) < 10, 2.0, 1.0))
    assert centre == pytest.approx(twice[0].mean(axis=0))
    assert mean == pytest.approx(twice[1].mean())


def test_too_few_labels_give_their_mean() -> None:
    assert ridge(np.ones((2, 3)), np.array([1.0, 3.0]), np.ones(2))[2] == 2.0
    assert ridge(np.ones((0, 3)), np.zeros(0), np.zeros(0))[2] == 0.0


def test_a_trend_goes_on_beyond_the_training_labels(features: dict[str, Any]) -> None:
    mass = features["fingerprint"].elements.sum(axis=1).astype(float)
    values = np.stack([mass, np.where(np.arange(len(mass)) % 2, 10 - mass, np.nan)], axis=1)
    order = np.argsort(mass)
    fitted = Trend.fit(data(features, values), order[: len(order) * 3 // 4])
    beyond = order[-5:]
    told = fitted(features, beyond)
    assert told.shape == (5, 2)
    assert (told[:, 0] > mass[order[: len(order) * 3 // 4]].mean()).all()
    assert (told[:, 1] < 10 - mass[order[: len(order) * 3 // 4]].mean()).all()
    again = offset_from(fitted.file(), 2)
    assert np.array_equal(again(features, beyond), told)


def test_atom_counts_exactly(features: dict[str, Any]) -> None:
    counts = atom_counts(features, np.arange(80))
    values = (3 * counts[:, 6] - 2 * counts[:, 8])[:, None]
    fitted = Composition.fit(data(features, values), np.arange(60))
    assert fitted(features, np.arange(60, 80)) == pytest.approx(values[60:], abs=1e-3)
    assert isinstance(offset_from(fitted.file(), 1), Composition)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="do not fit"):
        offset_from(pack({"weights": np.zeros((119, 2))}), 1)
    wide = {"quantiles": np.zeros((POINTS, 3)), "centre": np.zeros((1, 3)), "weights": np.zeros((1, 3))}
    with pytest.raises(UserError, match="do not fit"):
        offset_from(pack(wide | {"mean": np.zeros(1)}), 1)
    right = {"quantiles": np.zeros((POINTS, len(NAMES))), "mean": np.array([np.inf])}
    with pytest.raises(UserError, match="not finite"):
        offset_from(pack(right), 1)

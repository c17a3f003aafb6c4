"""Kernel machines against scikit-learn and by hand."""

import numpy as np
import pytest
from scipy.special import ndtri
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.svm import SVR

from tetramer.members.base import BINARY, REGRESSION
from tetramer.members.kernels import Score, choose_gp, fit_gp, fit_quantiles, fit_svm, kernel, normalise, platt

nan = np.nan


@pytest.fixture
def world() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.Generator(np.random.Philox(0))
    x = rng.normal(size=(60, 4))
    return x, np.sin(x[:, 0]) + 0.3 * x[:, 1] + 5.0


def test_normal_scores_exactly() -> None:
    quantiles = np.linspace([0.0, 3.0], [10.0, 3.0], 11)  # one even column, one constant
    told = normalise(np.array([[5.0, 3.0], [2.0, 9.0], [nan, nan], [-99.0, 3.0], [99.0, 3.0]]), quantiles)
    assert told[:, 0] == pytest.approx([0.0, ndtri(0.2), 0.0, ndtri(1e-3), ndtri(1 - 1e-3)])
    assert (told[:, 1] == 0).all()


def test_ties_get_the_middle_of_their_levels() -> None:
    """A descriptor that is 0 for 60 % of molecules: 0 lies at level 0.3."""
    column = np.concatenate([np.zeros(60), np.arange(1.0, 41.0)])[:, None]
    told = normalise(np.array([[0.0]]), fit_quantiles(column))
    assert told[0, 0] == pytest.approx(ndtri(0.295), abs=0.02)


def test_quantiles_of_what_is_finite() -> None:
    told = fit_quantiles(np.array([[0.0, nan], [1.0, nan], [nan, nan], [2.0, nan]]))
    assert told[[0, 50, 100], 0].tolist() == [0.0, 1.0, 2.0]
    assert (told[:, 1] == 0).all()


def test_kernels_exactly() -> None:
    a, b = np.zeros((1, 2)), np.array([[3.0, 4.0]])
    assert kernel(a, b, "rbf", 5.0)[0, 0] == pytest.approx(np.exp(-0.5))
    assert kernel(a, b, "matern", 5.0)[0, 0] == pytest.approx(np.exp(-1.0))


def test_the_svm_is_scikit_learns(world: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = world
    score = fit_svm(x, y, np.ones(60), REGRESSION, 5.0)
    machine = SVR(C=5.0, gamma=1 / (4 * x.var()), epsilon=0.1).fit(x, (y - y.mean()) / y.std())
    assert score(x) == pytest.approx(y.mean() + y.std() * machine.predict(x), abs=1e-9)
    assert len(score.alpha) == len(machine.support_)


def test_the_gaussian_process_is_scikit_learns(world: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = world
    z = (y - y.mean()) / y.std()
    name, share, noise = choose_gp(x, z)
    score = fit_gp(x, y, np.ones(60), REGRESSION, 5.0)
    if name == "rbf":
        kind = RBF(share * 2.0, "fixed") + WhiteKernel(noise, "fixed")
        twin = GaussianProcessRegressor(kind, optimizer=None).fit(x, z)
        assert score(x[:5] + 0.1) == pytest.approx(y.mean() + y.std() * twin.predict(x[:5] + 0.1), abs=1e-6)
    assert np.corrcoef(score(x), y)[0, 1] > 0.95


def test_a_heavier_row_is_met_more_closely(world: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = world
    y = y.copy()
    y[0] += 5.0
    weight = np.ones(60)
    even = fit_gp(x, y, weight, REGRESSION, 5.0)(x[:1])[0]
    weight[0] = 100.0
    assert abs(fit_gp(x, y, weight, REGRESSION, 5.0)(x[:1])[0] - y[0]) < abs(even - y[0])


def test_probabilities_of_an_svm_are_calibrated() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    x = rng.normal(size=(600, 2))
    chance = 1 / (1 + np.exp(-2 * x[:, 0]))
    y = (rng.uniform(size=600) < chance).astype(float)
    told = fit_svm(x[:400], y[:400], np.ones(400), BINARY, 1.0)(x[400:])
    assert np.abs(told - chance[400:]).mean() < 0.12
    assert ((told > 0) & (told < 1)).all()


def test_platt_exactly() -> None:
    """Symmetric margins give no shift; the slope makes the smoothed labels most likely."""
    margin = np.array([-1.0, 1.0] * 50)
    slope, shift = platt(margin, (margin > 0).astype(float))
    assert shift == pytest.approx(0.0, abs=1e-4)
    assert 1 / (1 + np.exp(-slope)) == pytest.approx(51 / 52, abs=1e-3)  # (50 + 1) / (50 + 2)
    assert platt(np.zeros(0), np.zeros(0)) == (2.0, 0.0)
    assert platt(np.ones(3), np.ones(3)) == (2.0, 0.0)


def test_a_score_without_points_is_a_constant() -> None:
    score = Score(np.zeros((0, 3)), np.zeros(0), np.array([1.0, 1.0, 0.0, 7.5, 1.0, 0.0]))
    assert score(np.ones((4, 3))).tolist() == [7.5] * 4
    assert score(np.ones((0, 3))).shape == (0,)

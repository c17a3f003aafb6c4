"""Kernel machines against scikit-learn and by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.svm import SVR

from tetramer.errors import UserError
from tetramer.members.base import BINARY, REGRESSION, Problem
from tetramer.members.kernels import (
    Inputs,
    KernelConfig,
    Kernels,
    Mixture,
    Score,
    choose,
    distance,
    fit_gp,
    fit_quantiles,
    fit_svm,
    inputs_of,
    kernel,
    normalise,
    platt,
    shared,
)
from tetramer.training import Data

nan = np.nan


@pytest.fixture
def world() -> tuple[Inputs, np.ndarray]:
    rng = np.random.Generator(np.random.Philox(0))
    x = rng.normal(size=(60, 4))
    return Inputs(x, rng.poisson(0.7, size=(60, 12)).astype(np.uint8)), np.sin(x[:, 0]) + 0.3 * x[:, 1] + 5.0


def plain(x: np.ndarray) -> Inputs:
    """Molecules without substructures."""
    return Inputs(x, np.zeros((len(x), 3), np.uint8))


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
    assert distance(a, b, "rbf", 5.0)[0, 0] == pytest.approx(np.exp(-0.5))
    assert distance(a, b, "matern", 5.0)[0, 0] == pytest.approx(np.exp(-1.0))
    one, two = Inputs(b, np.array([[2, 0, 1]], np.uint8)), Inputs(2 * b, np.array([[1, 1, 4]], np.uint8))
    told = kernel(one, two, Mixture("matern", 5.0, 0.3, 0.5))[0, 0]
    assert told == pytest.approx(np.exp(-1.0) + 0.3 * 2 / 7 + 0.5 * 50 / 2)  # min 1 + 0 + 1, max 2 + 1 + 4


def test_shared_substructures_beside_a_slow_twin() -> None:
    rng = np.random.Generator(np.random.Philox(2))
    a, b = (rng.poisson(0.6, size=(n, 20)).astype(np.uint8) for n in (7, 9))
    a[3] = b[4] = 0
    twin = [[np.minimum(x, y).sum() / max(1, np.maximum(x, y).sum()) for y in b.astype(int)] for x in a.astype(int)]
    assert shared(a, b) == pytest.approx(np.array(twin), abs=1e-6)
    assert np.linalg.eigvalsh(shared(b, b)).min() > -1e-6


def test_the_svm_is_scikit_learns(world: tuple[Inputs, np.ndarray]) -> None:
    x, y = world
    score = fit_svm(x, y, np.ones(60), REGRESSION, 5.0)
    gram = kernel(x, x, score.how) / score.how.size
    machine = SVR(kernel="precomputed", C=5.0, epsilon=0.1).fit(gram, (y - y.mean()) / y.std())
    assert score(x) == pytest.approx(y.mean() + y.std() * machine.predict(gram), abs=1e-9)
    assert len(score.alpha) == len(machine.support_)


def test_the_gaussian_process_is_scikit_learns(world: tuple[Inputs, np.ndarray]) -> None:
    x, y = plain(world[0].x), world[1]
    score = fit_gp(x, y, np.ones(60), REGRESSION, 5.0)
    _, noise = choose(x, (y - y.mean()) / y.std())
    assert score.how.name == "rbf"
    kind = RBF(score.how.length, "fixed") + WhiteKernel(noise, "fixed")
    if score.how.straight:
        kind += ConstantKernel(score.how.straight / 4, "fixed") * DotProduct(0.0, "fixed")
    twin = GaussianProcessRegressor(kind, optimizer=None).fit(x.x, (y - y.mean()) / y.std())
    beyond = plain(x.x[:5] + 0.1)
    assert score(beyond) == pytest.approx(y.mean() + y.std() * twin.predict(beyond.x), abs=1e-6)


def test_the_straight_part_goes_on_beyond_the_labels() -> None:
    x = np.linspace(-1, 1, 80)[:, None]
    score = fit_gp(plain(x), 3 * x[:, 0], np.ones(80), REGRESSION, 5.0)
    assert score(plain(np.array([[8.0]])))[0] > 12  # a sum of bumps would be back at the mean, 0


def test_close_analogues_are_told_by_what_they_share() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    counts = rng.poisson(0.5, size=(200, 30)).astype(np.uint8)
    y = np.minimum(counts[:, 0], 1) + 2.0 * np.minimum(counts[:, 1], 1)
    x = Inputs(rng.normal(size=(200, 3)), counts)  # descriptors of no use
    score = fit_gp(x.rows(np.arange(150)), y[:150], np.ones(150), REGRESSION, 5.0)
    assert np.corrcoef(score(x.rows(np.arange(150, 200))), y[150:])[0, 1] > 0.8


def test_a_heavier_row_is_met_more_closely(world: tuple[Inputs, np.ndarray]) -> None:
    x, y = world
    y = y.copy()
    y[0] += 5.0
    weight, first = np.ones(60), x.rows(np.arange(1))
    even = fit_gp(x, y, weight, REGRESSION, 5.0)(first)[0]
    weight[0] = 100.0
    assert abs(fit_gp(x, y, weight, REGRESSION, 5.0)(first)[0] - y[0]) < abs(even - y[0])


def test_probabilities_of_an_svm_are_calibrated() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    x = rng.normal(size=(600, 2))
    chance = 1 / (1 + np.exp(-2 * x[:, 0]))
    y = (rng.uniform(size=600) < chance).astype(float)
    told = fit_svm(plain(x[:400]), y[:400], np.ones(400), BINARY, 1.0)(plain(x[400:]))
    assert np.abs(told - chance[400:]).mean() < 0.12
    assert ((told > 0) & (told < 1)).all()


def test_inputs_are_the_counts_of_the_view_up_to_a_number(features: dict[str, Any]) -> None:
    told = inputs_of(features, np.array([5, 3]), np.zeros((101, 217)))
    counts = features["fingerprint"]
    for place, row in enumerate((5, 3)):
        at = slice(counts.bit_starts[row], counts.bit_starts[row + 1])
        assert told.counts[place].sum() == np.minimum(counts.counts[at], 15).sum()
        assert (told.counts[place, counts.bits[at]] == np.minimum(counts.counts[at], 15)).all()


def test_state_and_back(features: dict[str, Any]) -> None:
    values = features["fingerprint"].elements[:, [8]].astype(float)
    values = np.concatenate([values, np.full((80, 1), np.nan)], axis=1)
    data = Data(features, values, np.zeros((80, 2), np.int8), np.ones(80))
    problem = Problem(REGRESSION, ("oxygens", "nothing"))
    member = Kernels.fit(KernelConfig("gp"), problem, data, np.arange(60), 0)
    told = member.predict(features, np.arange(80))
    assert np.isnan(told[:, 1]).all()
    card, files = member.state()
    again = Kernels.from_state(card, files, problem).predict(features, np.arange(80))
    assert np.array_equal(told, again, equal_nan=True)
    card["scores"] = [1]
    with pytest.raises(UserError, match="do not fit"):
        Kernels.from_state(card, files, problem)


def test_platt_exactly() -> None:
    """Symmetric margins give no shift; the slope makes the smoothed labels most likely."""
    margin = np.array([-1.0, 1.0] * 50)
    slope, shift = platt(margin, (margin > 0).astype(float))
    assert shift == pytest.approx(0.0, abs=1e-4)
    assert 1 / (1 + np.exp(-slope)) == pytest.approx(51 / 52, abs=1e-3)  # (50 + 1) / (50 + 2)
    assert platt(np.zeros(0), np.zeros(0)) == (2.0, 0.0)
    assert platt(np.ones(3), np.ones(3)) == (2.0, 0.0)


def test_a_score_without_points_is_a_constant() -> None:
    score = Score(plain(np.zeros((0, 3))), np.zeros(0), Mixture("rbf", 1.0, 0.0, 0.0), 0.0, 7.5, 1.0, False)
    assert score(plain(np.ones((4, 3)))).tolist() == [7.5] * 4
    assert score(plain(np.ones((0, 3)))).shape == (0,)

"""Normal scores of ranks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import kstest

from tetramer.layers.quantiles import fit_quantiles, to_normal


def scores(train: np.ndarray, asked: np.ndarray, count: int = 101) -> np.ndarray:
    table = torch.from_numpy(fit_quantiles(train[:, None], count)).double()
    return to_normal(torch.from_numpy(asked[:, None]).double(), table)[:, 0].numpy()


def test_quartiles_by_hand() -> None:
    """Five points, five quantiles: ranks 0, 1/4 … 1, the ends half a step in."""
    train = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    rank = np.array([0.125, 0.25, 0.375, 0.5, 0.875])
    np.testing.assert_allclose(scores(train, np.array([10.0, 20.0, 25.0, 30.0, 99.0]), 5), ndtri(rank), atol=1e-12)


def test_any_distribution_becomes_normal() -> None:
    train = np.random.Generator(np.random.Philox(0)).lognormal(2, 3, 2000)
    assert kstest(scores(train, train), "norm").statistic < 0.02


def test_tied_values_get_the_middle_of_their_ranks() -> None:
    """A count that is 0 in six rows of ten: the ties cover quantiles 0 to 5 of 0 … 10."""
    train = np.array([0.0] * 6 + [1.0, 2.0, 3.0, 4.0, 5.0])
    assert scores(train, np.array([0.0]), 11)[0] == pytest.approx(ndtri(0.25))


def test_missing_values_count_as_the_median() -> None:
    train = np.array([1.0, np.nan, 2.0, 3.0, np.inf, 10.0, 11.0])
    asked = np.array([np.nan, np.inf, 3.0])
    assert scores(train, asked).tolist() == [0.0, 0.0, 0.0]


def test_a_constant_or_empty_column_says_nothing() -> None:
    for column in (np.full(9, 4.0), np.full(9, np.nan)):
        assert scores(column, np.array([4.0, -7.0, 1e9, np.nan])).tolist() == [0.0] * 4


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30), st.lists(st.floats(width=32), min_size=1))
def test_scores_are_finite_bounded_and_monotone(train: list[float], asked: list[float]) -> None:
    result = scores(np.array(train), np.array(asked))
    assert (np.abs(result) <= -ndtri(0.005) + 1e-9).all()
    known = np.isfinite(asked)
    order = np.argsort(np.array(asked)[known], kind="stable")
    assert (np.diff(result[known][order]) >= -1e-9).all()


def test_columns_do_not_mix() -> None:
    train = np.random.Generator(np.random.Philox(1)).normal(size=(50, 3)) * [1, 100, 1e4]
    table = torch.from_numpy(fit_quantiles(train, 11)).double()
    together = to_normal(torch.from_numpy(train), table)
    for column in range(3):
        alone = to_normal(torch.from_numpy(train[:, [column]]), table[:, [column]])
        torch.testing.assert_close(together[:, [column]], alone)

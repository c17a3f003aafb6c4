"""Clusters and the order of models: the ends of the scales, and how sure the intervals are."""

import numpy as np
import pytest

from tetramer.errors import UserError
from tetramer.space.tendency import cluster_tendency, model_order


@pytest.mark.parametrize("wide", [2, 10])
def test_an_even_box_is_half(wide: int) -> None:
    told = cluster_tendency(np.random.default_rng(wide).uniform(size=(5000, wide)))
    assert told.value == pytest.approx(0.5, abs=0.03)
    assert told.n == 5000


def test_tight_clusters_are_near_1() -> None:
    rng = np.random.default_rng(0)
    told = cluster_tendency(rng.normal(size=(8, 5))[rng.integers(0, 8, 2000)] + 1e-3 * rng.normal(size=(2000, 5)))
    assert told.low > 0.98
    assert told.verdict == "above chance"


def test_one_cloud_of_many_dimensions_is_its_own_reference() -> None:
    rng = np.random.default_rng(1)
    told = cluster_tendency(rng.normal(size=(2000, 40)) @ rng.normal(size=(40, 40)))
    assert told.value > 0.6  # a box is emptier than a cloud, which is why ½ is not the reference
    assert told.value == pytest.approx(told.reference, abs=0.01)


def test_a_grid_is_below_half() -> None:
    told = cluster_tendency(np.stack(np.meshgrid(np.arange(40.0), np.arange(40.0)), axis=-1).reshape(-1, 2))
    assert told.high < 0.35  # probes lie 0.38 from a corner on average, the corners 1 from each other: 0.28


def test_seeds_repeat_and_moving_changes_nothing() -> None:
    vectors = np.random.default_rng(2).normal(size=(300, 4))
    assert cluster_tendency(vectors, 3) == cluster_tendency(vectors, 3)
    assert cluster_tendency(vectors + 8, 3).value == pytest.approx(cluster_tendency(vectors, 3).value)
    gaps = np.insert(vectors, 0, np.nan, axis=0)
    assert cluster_tendency(gaps, 3).n == 300


def test_a_perfect_order_of_few_models_is_not_certain() -> None:
    few = model_order(np.arange(4.0), np.arange(4.0) ** 3, "overlap")
    many = model_order(np.arange(20.0), -np.arange(20.0), "overlap")
    assert (few.value, few.high, few.reference, few.n) == (1, 1, 0, 4)
    assert few.low < 0  # chance puts four models in order once in 24 times
    assert few.verdict == "not settled"
    assert (many.value, many.low) == (-1, -1)
    assert many.high < -0.95


def test_models_without_a_value_do_not_count() -> None:
    errors, statistic = np.array([1.0, 2, 3, 4, np.nan]), np.array([1.0, 2, 4, 3, 5])
    told = model_order(errors, statistic, "overlap")
    assert (told.n, told.value) == (4, pytest.approx(0.8))


@pytest.mark.parametrize(("models", "correlation"), [(6, 0.0), (7, 0.7), (15, 0.5)])
def test_the_interval_over_models_covers_as_often_as_it_says(models: int, correlation: float) -> None:
    rng, hits = np.random.default_rng(models), 0
    truth = 6 / np.pi * np.arcsin(correlation / 2)  # Spearman's of a pair of Gaussians
    for _ in range(500):
        first = rng.normal(size=models)
        second = correlation * first + np.sqrt(1 - correlation**2) * rng.normal(size=models)
        told = model_order(first, second, "x")
        hits += told.low <= truth <= told.high
    assert 0.92 < hits / 500 < 0.99  # nominal 0.95, sd 0.01


def test_errors_teach() -> None:
    with pytest.raises(UserError, match="3 models have an error and a value of 'overlap'"):
        model_order(np.arange(3.0), np.arange(3.0), "overlap")
    with pytest.raises(UserError, match="cannot be put in order"):
        model_order(np.ones(5), np.arange(5.0), "overlap")
    with pytest.raises(UserError, match="2 rows have a vector"):
        cluster_tendency(np.ones((2, 2)))
    with pytest.raises(UserError, match="All vectors are equal"):
        cluster_tendency(np.ones((9, 2)))

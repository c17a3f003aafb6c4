"""Intervals over molecules."""

import numpy as np
import pytest

from tetramer.space.resampling import interval, mean, means, ratio


def test_the_interval_of_a_mean_is_as_wide_as_theory_has_it() -> None:
    values = np.random.default_rng(0).normal(size=(400, 1))
    value, low, high = interval(values, mean, 0)
    assert value == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)


def test_rows_stay_together() -> None:
    first = np.random.default_rng(1).uniform(1, 2, 50)
    assert interval(np.stack([3 * first, first], axis=1), ratio, 0) == pytest.approx((3, 3, 3))


def test_what_is_the_same_for_all_is_certain() -> None:
    assert interval(np.full((7, 1), 3.0), mean, 0) == pytest.approx((3, 3, 3))


def test_the_seed_decides() -> None:
    values = np.random.default_rng(2).normal(size=(30, 1))
    assert interval(values, mean, 5) == interval(values, mean, 5)
    assert interval(values, mean, 5) != interval(values, mean, 6)


def test_means_of_many_columns_have_the_intervals_of_each() -> None:
    values = np.random.default_rng(4).normal(size=(40, 2))
    told = means(values, 7)
    for column in range(2):
        assert told[:, column] == pytest.approx(interval(values[:, [column]], mean, 7), rel=1e-9)


def test_an_interval_covers_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(3), 0
    for seed in range(300):
        draw = rng.exponential(size=(60, 2)) * [2, 1]
        _, low, high = interval(draw, ratio, seed)
        hits += low <= 2 <= high
    assert 0.89 < hits / 300 < 0.99  # nominal 0.95, sd 0.013; a percentile interval of 60 rows is a little narrow

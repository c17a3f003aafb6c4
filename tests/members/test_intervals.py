"""Intervals hold what they promise, whatever the errors look like."""

import numpy as np
import pytest
from crepes import ConformalRegressor
from hypothesis import given
from hypothesis import strategies as st

from tetramer.members.intervals import FEWEST, Intervals

nan, inf = np.nan, np.inf


def test_equal_spreads_exactly() -> None:
    """Errors 1 … 99 and level 0.9: the 90th smallest of 99 is the half width, for every row."""
    interval = Intervals.fit(np.arange(1.0, 100.0) * np.where(np.arange(99) % 2, 1, -1), np.zeros(99))
    assert interval is not None
    low, high = interval(np.array([5.0, 7.0]), np.zeros(2), 0.9)
    assert low.tolist() == [-85.0, -83.0]
    assert high.tolist() == [95.0, 97.0]


def test_a_row_on_which_the_members_differ_gets_more() -> None:
    rng = np.random.Generator(np.random.Philox(0))
    spread = rng.uniform(0.1, 2.0, 500)
    interval = Intervals.fit(rng.normal(size=500) * spread, spread)
    assert interval is not None
    low, high = interval(np.zeros(2), np.array([0.1, 2.0]), 0.9)
    width = high - low
    assert width[1] > 4 * width[0]
    assert low == pytest.approx(-high)


def test_too_few_rows_give_none() -> None:
    error = np.array([0.1] * (FEWEST - 1) + [nan] * 50)
    assert Intervals.fit(error, np.ones(len(error))) is None
    assert Intervals.fit(np.full(FEWEST, 0.1), np.ones(FEWEST)) is not None


def test_a_level_beyond_the_rows_is_endless_and_no_answer_stays_none() -> None:
    interval = Intervals.fit(np.arange(20.0), np.zeros(20))
    assert interval is not None
    low, high = interval(np.array([1.0, nan]), np.zeros(2), 0.99)
    assert np.array_equal(low, [-inf, nan], equal_nan=True)
    assert np.array_equal(high, [inf, nan], equal_nan=True)
    low, high = interval(np.array([1.0, nan]), np.zeros(2), 0.5)
    assert np.isnan(low[1])
    assert np.isnan(high[1])
    assert np.isfinite([low[0], high[0]]).all()
    assert interval(np.zeros(0), np.zeros(0), 0.9)[0].shape == (0,)


@given(st.integers(0, 2**32), st.integers(FEWEST, 200))
def test_a_higher_level_holds_the_lower(seed: int, rows: int) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    interval = Intervals.fit(rng.standard_t(2, size=rows), rng.exponential(size=rows))
    assert interval is not None
    before = (np.zeros(5), np.zeros(5))
    for level in (0.01, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999):
        low, high = interval(np.zeros(5), np.linspace(0, 3, 5), level)
        assert (low <= before[0]).all()
        assert (high >= before[1]).all()
        before = low, high


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_coverage_of_exchangeable_rows(level: float) -> None:
    """200 draws of 100 + 100 rows with heavy tails and honest or idle spreads; the floor is chosen on the same rows."""
    rng = np.random.Generator(np.random.Philox(3))
    for honest in (True, False):
        held = []
        for _ in range(200):
            spread = rng.exponential(size=200)
            error = rng.standard_t(3, size=200) * (spread if honest else 1.0)
            interval = Intervals.fit(error[:100], spread[:100])
            assert interval is not None
            low, high = interval(np.zeros(100), spread[100:], level)
            held.append(np.mean((low <= error[100:]) & (error[100:] <= high)))
        assert np.mean(held) == pytest.approx(level, abs=0.02)


def test_units_do_not_matter() -> None:
    rng = np.random.Generator(np.random.Philox(4))
    error, spread = rng.normal(size=60), rng.exponential(size=60)
    small, large = Intervals.fit(error, spread), Intervals.fit(1e6 * error, 1e6 * spread)
    assert small is not None
    assert large is not None
    a, b = small(np.zeros(3), np.arange(3.0), 0.9)[1], large(np.zeros(3), 1e6 * np.arange(3.0), 0.9)[1]
    assert b == pytest.approx(1e6 * a)


@given(st.integers(0, 2**32), st.integers(FEWEST, 200), st.floats(0.5, 0.94))
def test_the_ends_are_those_of_crepes(seed: int, rows: int, level: float) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    interval = Intervals.fit(rng.standard_t(2, size=rows), rng.exponential(size=rows))
    assert interval is not None
    prediction, spread = rng.normal(size=7), rng.exponential(size=7)
    theirs = ConformalRegressor().fit(interval.residuals, sigmas=interval.sigma(interval.spread))
    ends = theirs.predict_int(prediction, sigmas=interval.sigma(spread), confidence=level)
    assert np.stack(interval(prediction, spread, level), axis=1) == pytest.approx(ends, rel=1e-12)

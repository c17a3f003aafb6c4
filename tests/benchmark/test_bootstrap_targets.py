"""The interval of a mean over targets and training seeds, against the interval of one target and against hand work."""

import numpy as np
import pytest

from tetramer.benchmark.bootstrap import _gaps, _targets, compare_on_test, compare_targets
from tetramer.errors import UserError

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(60, 2))
OURS, THEIRS = TRUTH + 0.5 * RNG.normal(size=(60, 2)), TRUTH + RNG.normal(size=(60, 2))


def test_one_target_twice_is_that_target():
    one = compare_on_test("rmse", TRUTH[:, 0], OURS[:, 0], THEIRS[:, 0], draws=300)
    twice = compare_targets("rmse", TRUTH[:, [0, 0]], [OURS[:, [0, 0]]], [THEIRS[:, [0, 0]]], 300)
    assert (twice.low, twice.high, twice.difference) == pytest.approx((one.low, one.high, one.difference))
    seeds = compare_targets("rmse", TRUTH, [OURS, OURS], [THEIRS], draws=300)
    alone = compare_targets("rmse", TRUTH, [OURS], [THEIRS], draws=300)
    assert (seeds.low, seeds.high) == pytest.approx((alone.low, alone.high))


def test_a_resample_is_the_mean_over_targets_and_seeds_of_its_molecules():
    truth = TRUTH.copy()
    truth[:20, 1] = np.nan
    known, seeds = ~np.isnan(truth), [OURS, OURS[::-1]]
    counts = RNG.integers(0, 3, (5, 60)).astype(float)
    told = _gaps(_targets("mae", truth, known, seeds, [THEIRS]), iter([counts]))
    for row, value in zip(counts, told, strict=True):
        errors = []
        for target in range(2):
            drawn = np.repeat(np.arange(60), row.astype(int))
            drawn = drawn[known[drawn, target]]
            true = truth[drawn, target]
            mine = np.mean([np.abs(true - one[drawn, target]).mean() for one in seeds])
            errors.append(mine - np.abs(true - THEIRS[drawn, target]).mean())
        assert value == pytest.approx(np.mean(errors))


def test_a_target_without_a_value_is_left_out_and_none_is_refused():
    truth = (TRUTH > 0).astype(float)
    truth[:, 1] = 1.0
    told = compare_targets("roc-auc", truth, [OURS], [THEIRS], draws=300)
    alone = compare_on_test("roc-auc", truth[:, 0], OURS[:, 0], THEIRS[:, 0], draws=300)
    assert (told.low, told.high, told.baseline) == (alone.low, alone.high, alone.baseline)
    with pytest.raises(UserError, match="roc-auc has no value on this test part: only one class"):
        compare_targets("roc-auc", truth[:, 1:], [OURS[:, 1:]], [THEIRS[:, 1:]])

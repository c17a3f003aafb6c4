"""How alike splits are: hand-worked values, what the numbers stand for, and which groups are whole."""

import numpy as np
import pytest

from tetramer.benchmark.correlation import LEARNED, correlation, overlap, whole


def test_overlap_equals_the_hand_worked_value_and_the_correlation_it_stands_for():
    parts = [np.array([0, 1, 2, 3]), np.array([3, 7]), np.array([8])]
    assert overlap(parts) == pytest.approx((1 / np.sqrt(8) + 0 + 0) / 3)
    assert overlap([parts[0]] * 3) == pytest.approx(1)
    assert overlap(parts[:1]) == 0
    numbers = np.random.default_rng(0).normal(size=(20_000, 9))
    means = np.stack([numbers[:, part].mean(axis=1) for part in parts[:2]])
    assert np.corrcoef(means)[0, 1] == pytest.approx(overlap(parts[:2]), abs=0.02)


def test_the_correlation_equals_the_hand_worked_value():
    group = np.array([0, 0, 0, 0, 1, 1, 2, 3])  # Σ n² = 16 + 4 + 1 + 1
    tests = [np.array([4, 5, 6]), np.array([6, 7])]
    tested, trained = np.array([5, 2]), np.array([17, 20])
    ratio = np.mean([17 / 5**2, 20 / 6**2]) / np.mean([5 / 3**2, 2 / 2**2])
    weight = LEARNED * ratio / (1 + LEARNED * ratio)
    shared = 16 / np.sqrt(trained[0] * trained[1])  # the group of four is in both train parts, that of row 6 in none
    assert (tested + trained).tolist() == [22, 22]
    assert correlation(tests, group) == pytest.approx((1 - weight) / np.sqrt(6) + weight * shared)
    assert correlation(tests[:1], group) == 0


def test_a_large_group_that_always_trains_makes_splits_more_alike_than_as_many_single_rows():
    tests = [np.arange(start, start + 10) for start in (0, 5, 20)]
    single, large = np.arange(100), np.append(np.arange(40), np.full(60, 40))
    assert overlap(tests) < correlation(tests, single) < overlap(tests) + 0.01
    assert correlation(tests, large) > overlap(tests) + 0.05


def test_a_group_is_whole_only_where_no_split_parts_it():
    names = ["a", "b", "a", "c", "c", ""]
    tests = [np.array([0, 2]), np.array([0, 2, 4])]
    assert whole(names, tests).tolist() == [1, 2, 1, 3, 4, 0]
    assert whole(names, []).tolist() == [1, 2, 1, 3, 3, 0]

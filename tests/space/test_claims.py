"""Each claim has an exact answer on a small case, and chance is where it is said to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.errors import UserError
from tetramer.space import Claim, Neighbours, nearest
from tetramer.space import claims as module
from tetramer.space.claims import (
    distance_spread,
    mean_gaps,
    neighbour_overlap,
    plane_rank,
    scaffold_agreement,
    string_ratio,
    target_ratio,
)

CORNERS = np.array([[0.0, 0], [0, 1], [0, 3], [0, 7], [0, 15]])


def table(rows: list[list[int]], distances: list[list[float]] | None = None) -> Neighbours:
    apart = np.array(distances, np.float32) if distances else np.ones(np.shape(rows), np.float32)
    return Neighbours(np.array(rows), apart)


def strangers(n: int, seed: int) -> Neighbours:
    """A random other row for each of n."""
    other = np.random.default_rng(seed).integers(0, n - 1, n)
    return table((other + (other >= np.arange(n)))[:, None].tolist())


def test_a_verdict_needs_the_whole_interval_on_one_side() -> None:
    def verdict(low: float, high: float, reference: float | None) -> str:
        return Claim("", "", 0.5, low, high, reference, 9).verdict

    assert verdict(0.6, 0.8, 0.5) == "above chance"
    assert verdict(0.2, 0.4, 0.5) == "below chance"
    assert verdict(0.4, 0.6, 0.5) == "not settled"
    assert verdict(0.4, 0.6, None) == ""


def test_the_nearest_in_the_plane_has_rank_0_and_the_farthest_rank_1() -> None:
    near = plane_rank(nearest(CORNERS, 1, "euclidean"), CORNERS)
    assert (near.value, near.low, near.high, near.reference, near.n) == (0, 0, 0, 0.5, 5)
    far = plane_rank(table([[4], [4], [4], [4], [0]]), CORNERS)
    assert (far.value, far.low, far.high) == (1, 1, 1)


def slow_rank(neighbours: np.ndarray, points: np.ndarray) -> float:
    """Mean rank by counting; (n,) one neighbour each."""
    ranks = []
    for i, j in enumerate(neighbours):
        others = [np.hypot(*(points[i] - points[o])) for o in range(len(points)) if o not in (i, j)]
        near = np.hypot(*(points[i] - points[j]))
        ranks.append(np.mean([(other < near) + (other == near) / 2 for other in others]))
    return float(np.mean(ranks))


@given(st.integers(0, 10_000), st.integers(3, 9))
def test_ranks_by_counting_with_ties(seed: int, n: int) -> None:
    points = np.random.default_rng(seed).integers(0, 2, (n, 2)).astype(float)
    told = strangers(n, seed)
    assert plane_rank(told, points).value == pytest.approx(slow_rank(told.rows[:, 0], points))


def test_ranks_of_strangers_are_half_and_rows_without_a_place_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(800, 2))
    told = plane_rank(strangers(800, 1), points)
    assert told.low < 0.5 < told.high
    assert told.high - told.low < 0.06
    points[::2] = np.nan
    monkeypatch.setattr(module, "PAIRS", 50)
    assert plane_rank(strangers(800, 1), points).n == 50


def test_neighbours_with_the_same_value_have_ratio_0() -> None:
    values = np.array([1.0, 1, 5, 5])
    same = target_ratio(table([[1], [0], [3], [2]]), values)
    assert (same.value, same.low, same.high, same.reference) == (0, 0, 0, 1)
    other = target_ratio(table([[2], [2], [0], [0]]), values)
    assert other.value == pytest.approx(4 / (8 / 3))  # all pairs: 0, 4 and 4 for each


def test_targets_count_only_where_both_were_measured() -> None:
    values = np.array([0.0, 1, np.nan, 4])
    told = target_ratio(table([[2, 1], [0, 3], [0, 1], [2, -1]]), values, k=2)
    assert told.n == 2  # the fourth has only a neighbour without a value
    assert told.value == pytest.approx((1 + (1 + 3) / 2) / ((1 + 4) / 2 + (1 + 3) / 2))


def test_targets_of_strangers_are_chance() -> None:
    values = np.random.default_rng(2).normal(size=1000)
    told = target_ratio(strangers(1000, 3), values)
    assert told.low < 1 < told.high
    assert told.high - told.low < 0.2


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=9))
def test_mean_gaps_by_counting(values: list[int]) -> None:
    slow = [sum(abs(a - b) for b in values) / (len(values) - 1) for a in values]
    np.testing.assert_allclose(mean_gaps(np.array(values, float)), slow, atol=1e-12)


def test_scaffolds_by_hand() -> None:
    told = table([[1, 2], [0, 3], [1, 0], [4, 0], [3, 0]])
    kinds = ["A", "A", "B", "", ""]
    first, second = scaffold_agreement(told, kinds, 1), scaffold_agreement(told, kinds, 2)
    assert (first.value, first.n) == (pytest.approx(2 / 3), 3)  # the molecules without rings are not asked
    assert second.value == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert first.reference == pytest.approx((1 + 1 + 0) / 3 / 4)


def test_scaffolds_of_strangers_agree_by_chance() -> None:
    kinds = np.random.default_rng(4).choice(list("ABBC"), 2000).tolist()
    told = scaffold_agreement(strangers(2000, 5), kinds)
    assert told.reference == pytest.approx(0.375, abs=0.02)
    assert told.low < told.reference < told.high


def test_strings_by_hand_and_by_chance() -> None:
    copies = string_ratio(table([[1], [0], [3], [2]]), ["CCO", "CCO", "NNN", "NNN"])
    assert (copies.value, copies.reference) == (0, 1)
    unlike = string_ratio(table([[1], [2], [0]]), ["CCC", "NNN", "OOO"])  # a molecule is not its own stranger
    assert (unlike.value, unlike.low, unlike.high) == (1, 1, 1)
    letters = np.random.default_rng(6)
    texts = ["".join(letters.choice(list("CNO"), 12)) for _ in range(600)]
    chance = string_ratio(strangers(600, 7), texts)
    assert chance.low < 1 < chance.high


def test_spread_by_hand() -> None:
    even = distance_spread(table([[1], [0], [1]], [[2.0], [2.0], [2.0]]))
    assert (even.value, even.low, even.high, even.reference) == (0, 0, 0, None)
    uneven = distance_spread(table([[1], [0], [1], [0]], [[1.0], [3.0], [1.0], [3.0]]))
    assert uneven.value == pytest.approx(0.5)


def test_points_strewn_over_a_plane_have_the_spread_of_theory() -> None:
    points = np.random.default_rng(8).uniform(size=(6000, 2))
    told = distance_spread(nearest(points, 1, "euclidean"))
    assert told.value == pytest.approx(np.sqrt(4 / np.pi - 1), abs=0.02)  # Rayleigh: 0.523
    points[::2] *= 0.01  # half of them in a corner
    assert distance_spread(nearest(points, 1, "euclidean")).low > 1


def test_overlap_has_the_reference_of_chance() -> None:
    told = neighbour_overlap(strangers(300, 9), strangers(300, 10), 1)
    assert told.reference == pytest.approx(1 / 299)
    assert told.low <= 1 / 299 <= told.high


def test_the_seed_repeats() -> None:
    told = strangers(200, 11)
    texts = [f"C{'O' * (row % 7)}" for row in range(200)]
    assert string_ratio(told, texts, 3) == string_ratio(told, texts, 3)
    assert string_ratio(told, texts, 3) != string_ratio(told, texts, 4)


def test_errors_teach() -> None:
    none, pair = table([[-1], [-1]]), table([[1], [0]])
    with pytest.raises(UserError, match="0 molecules have neighbours and a place"):
        plane_rank(none, CORNERS[:2])
    with pytest.raises(UserError, match="Take another target"):
        target_ratio(pair, np.ones(2))
    with pytest.raises(UserError, match="No molecule with neighbours has a ring"):
        scaffold_agreement(pair, ["", ""])
    with pytest.raises(UserError, match="2 molecules have neighbours; comparing"):
        string_ratio(pair, ["C", "N"])
    with pytest.raises(UserError, match="at distance 0"):
        distance_spread(table([[1], [0]], [[0.0], [0.0]]))
    with pytest.raises(UserError, match="No molecule has neighbours in both"):
        neighbour_overlap(none, pair, 1)
    with pytest.raises(UserError, match="3 neighbours are asked for, and the table holds 1"):
        scaffold_agreement(pair, ["A", "A"], 3)

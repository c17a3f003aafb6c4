"""Ranks of toy pools by hand, ties at the middle, and what must not matter: chunks, order, unequal bytes of a zero."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from tetramer.benchmark.ranking import Ranks, Scores, distances, merged, ranked, summary


def told(table: np.ndarray) -> Scores:
    return lambda rows: table[rows]


def full(table: np.ndarray, answers: list[int], chunk: int = 256) -> np.ndarray:
    return ranked(told(table), np.array(answers), chunk=chunk)["full"].rank


def by_hand(scores: np.ndarray, right: int, inside: np.ndarray) -> float:
    """The rule, candidate by candidate."""
    rank = 1.0
    for candidate, score in enumerate(scores):
        if candidate != right and inside[candidate]:
            rank += 1.0 if score < scores[right] else 0.5 if score == scores[right] else 0.0
    return rank


def test_ranks_of_a_toy_pool() -> None:
    table = np.array([[0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 0.5], [5.0, 5.0, 5.0, 5.0], [9.0, 8.0, 8.0, 7.0]])
    np.testing.assert_array_equal(full(table, [2, 0, 3, 3]), [3.0, 3.0, 2.5, 1.0])


def test_metrics_of_a_toy_pool() -> None:
    found = summary(Ranks(np.array([1.0, 2.5, 4.0, 1.0]), np.full(4, 6)), hits=(1, 3))
    assert (found["queries"], found["alone"], found["pool_mean"]) == (4, 0, 6.0)
    values = {name: found[name][0] for name in ("mrr", "mr", "hit1", "hit3")}
    assert values == {"mrr": (1 + 0.4 + 0.25 + 1) / 4, "mr": 8.5 / 4, "hit1": 0.5, "hit3": 0.75}
    assert all(found[name][1] <= value <= found[name][2] for name, value in values.items())
    assert found["mr"][1] < found["mr"][0] < found["mr"][2]


def test_a_query_without_a_rival_is_counted_and_left_out() -> None:
    found = summary(Ranks(np.array([1.0, 3.0]), np.array([1, 5])))
    assert (found["queries"], found["alone"], found["mr"][0]) == (1, 1, 3.0)
    assert summary(Ranks(np.ones(2), np.ones(2, np.int64))) == {"queries": 0, "alone": 2}


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_all_zero_vectors_get_the_middle_of_the_list(kind: Callable[[np.ndarray], np.ndarray]) -> None:
    scores = distances(kind(np.zeros((3, 5))), kind(np.zeros((11, 5))))
    np.testing.assert_array_equal(ranked(scores, np.array([0, 5, 10]))["full"].rank, 6.0)


def test_a_collapsed_encoder_gets_the_middle_of_the_list_whatever_is_rounded() -> None:
    """Matrix products of equal rows may differ in the last digit, and must not decide."""
    one = np.random.default_rng(0).normal(size=(1, 300)).astype(np.float32)
    scores = distances(np.random.default_rng(1).normal(size=(7, 300)), np.repeat(one, 501, axis=0))
    np.testing.assert_array_equal(ranked(scores, np.arange(7))["full"].rank, 251.0)


def test_what_has_no_number_comes_last_and_ties_with_its_like() -> None:
    nan = np.nan
    np.testing.assert_array_equal(full(np.array([[nan, 1.0, nan, 2.0]] * 3), [0, 1, 3]), [3.5, 1.0, 2.0])
    broken = np.array([[0.0, 0.0], [nan, 0.0]])
    scores = distances(broken, np.array([[0.0, 1.0], [nan, 1.0], [0.0, 2.0]]))
    np.testing.assert_array_equal(ranked(scores, np.array([1, 0]))["full"].rank, [3.0, 2.0])


def test_zero_has_one_sign() -> None:
    kept, place = merged(np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 0.0]], np.float32))
    np.testing.assert_array_equal(place, [0, 0, 1])
    np.testing.assert_array_equal(kept, [[0.0, 1.0], [2.0, 0.0]])


def test_vectors_of_single_precision_far_from_the_origin_stay_apart() -> None:
    """In single precision the squares of 1e4 swallow a distance of 1/16."""
    rng = np.random.default_rng(0)
    candidates = (1e4 + rng.normal(size=(40, 64))).astype(np.float32)
    queries = candidates[:10] + np.float32(1 / 64)
    np.testing.assert_array_equal(ranked(distances(queries, candidates), np.arange(10))["full"].rank, 1.0)
    single = ((queries**2).sum(1)[:, None] + (candidates**2).sum(1) - 2 * queries @ candidates.T).clip(0)
    assert (full(single, list(range(10))) > 1).any()


counts = hnp.arrays(np.int64, (6, 5), elements=st.integers(0, 3))


@given(counts, counts, st.lists(st.integers(0, 5), min_size=6, max_size=6), st.integers(1, 7))
def test_distances_rank_as_the_rule_says_in_every_form(
    queries: np.ndarray, candidates: np.ndarray, answers: list[int], chunk: int
) -> None:
    plain = ((queries[:, None] - candidates[None]) ** 2).sum(axis=2)
    inside = plain % 2 == 0
    inside[np.arange(6), answers] = True
    pools = {"full": lambda rows: np.ones((len(rows), 6), bool), "some": lambda rows: plain[rows] % 2 == 0}
    for kind in (np.asarray, sparse.csr_array):
        scores = distances(kind(queries), kind(candidates))
        np.testing.assert_array_equal(scores(np.arange(6)), plain)
        found = ranked(scores, np.array(answers), pools, chunk)
        for name, there in (("full", np.ones((6, 6), bool)), ("some", inside)):
            hand = [by_hand(plain[row], right, there[row]) for row, right in enumerate(answers)]
            np.testing.assert_array_equal(found[name].rank, hand)
            np.testing.assert_array_equal(found[name].size, there.sum(axis=1))


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_the_size_of_a_chunk_does_not_matter(chunk: int) -> None:
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(150, 20)), rng.normal(size=(90, 20))
    answers, pool = rng.integers(0, 90, 150), {"half": lambda rows: (rows[:, None] + np.arange(90)) % 2 == 0}
    once, twice = (ranked(distances(queries, candidates), answers, pool, size)["half"] for size in (150, chunk))
    np.testing.assert_array_equal(once.rank, twice.rank)
    np.testing.assert_array_equal(once.size, twice.size)


def test_the_order_of_the_candidates_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    queries, candidates = rng.integers(0, 3, (50, 4)), rng.integers(0, 3, (60, 4))
    answers, order = rng.integers(0, 60, 50), rng.permutation(60)
    back = np.argsort(order)
    once = ranked(distances(queries, candidates), answers)["full"].rank
    np.testing.assert_array_equal(ranked(distances(queries, candidates[order]), back[answers])["full"].rank, once)


def test_no_more_than_a_chunk_of_scores_is_asked_for() -> None:
    asked: list[int] = []

    def scores(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return np.zeros((len(rows), 3))

    ranked(scores, np.zeros(10, np.int64), chunk=4)
    assert asked == [4, 4, 2]

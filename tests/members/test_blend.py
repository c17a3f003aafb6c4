"""The blend, by answers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem
from tetramer.members.blend import PRIOR, combine, convex_least_squares, fit_weights, spread

REGRESS = Problem(REGRESSION, ("y",))
TWO = Problem(BINARY, ("y",), (("0", "1"),))
THREE = Problem(MULTICLASS, ("y",), (("a", "b", "c"),))
nan = np.nan


def told(*members: list[float]) -> np.ndarray:
    """Values of one target: (G, n, 1, 1)."""
    return np.array(members)[:, :, None, None]


def weights_for(
    problem: Problem, answers: np.ndarray, truth: list[float], censor: list[int] | None = None
) -> np.ndarray:
    values = np.array(truth)[:, None]
    sides = np.zeros(values.shape) if censor is None else np.array(censor)[:, None]
    return fit_weights(answers, values, sides, problem)[0]


def test_two_members_of_opposite_and_equal_error_share_evenly() -> None:
    truth = np.arange(20.0)
    assert weights_for(REGRESS, told([*(truth + 1)], [*(truth - 1)]), [*truth]) == pytest.approx([0.5, 0.5])


def test_the_weights_are_the_least_squares_with_the_pull_to_equality() -> None:
    """Errors e1 = ±1, e2 = ±3 that are uncorrelated: w minimises 20 (w²·1 + (1-w)²·9) + λ·2(w - ½)², λ = prior·1."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 5)
    answers = told([*(signs[:, 0] * 1.0)], [*(signs[:, 1] * 3.0)])
    prior = PRIOR[REGRESSION]
    expected = (20 * 9 + prior) / (20 * 10 + 2 * prior)
    assert weights_for(REGRESS, answers, [0.0] * 20) == pytest.approx([expected, 1 - expected], abs=1e-6)


def test_without_a_prior_no_member_is_better_on_the_rows_that_chose() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    answers = truth + rng.normal(size=(1, 400)) * np.array([[1.0], [1.1]])  # their errors are alike but for the size
    weights = fit_weights(answers[:, :, None, None], truth[:, None], np.zeros((400, 1)), REGRESS, prior=0)[0]
    assert weights == pytest.approx([1.0, 0.0], abs=1e-6)
    assert weights_for(REGRESS, answers[:, :, None, None], [*truth])[1] > 0.2


def test_a_useless_member_gets_little_and_never_less_than_nothing() -> None:
    truth = np.arange(30.0)
    weights = convex_least_squares(np.stack([truth + 0.1, -100 * truth], axis=1), truth, 600)
    assert weights[0] > 0.95
    assert weights[1] >= 0
    assert convex_least_squares(np.stack([truth, truth], axis=1), truth, 600) == pytest.approx([0.5, 0.5])


def test_few_rows_one_member_and_bounds_give_equal_weights() -> None:
    assert weights_for(REGRESS, told([0.0] * 9, [9.0] * 9), [0.0] * 9) == pytest.approx([0.5, 0.5])
    assert weights_for(REGRESS, told([5.0] * 20), [0.0] * 20) == pytest.approx([1.0])
    truth = [0.0] * 20
    assert weights_for(REGRESS, told(truth, [9.0] * 20), truth, [1] * 20) == pytest.approx([0.5, 0.5])
    assert weights_for(REGRESS, told(truth, [nan] * 20), truth) == pytest.approx([0.5, 0.5])


def test_classifiers_are_weighed_by_their_probabilities() -> None:
    """Of a sure and a coin, e1 = 0.1 and e2 = 0.5 on every row: w = 1 would be best, but for λ = prior · 0.01."""
    truth = np.array([0.0, 1.0] * 20)
    good, coin = np.where(truth == 1, 0.9, 0.1), np.full(40, 0.5)
    pull = PRIOR[BINARY] * 0.01
    expected = (40 * 0.5 * 0.4 + pull) / (40 * 0.4**2 + 2 * pull)
    assert expected > 1
    assert weights_for(TWO, told([*good], [*coin]), [*truth]) == pytest.approx([1, 0], abs=1e-6)
    sign = np.tile([0.3, 0.3, -0.3, -0.3], 10)  # an error that has nothing to do with the coin's
    found = weights_for(TWO, told([*(truth + sign)], [*coin]), [*truth])
    pull = PRIOR[BINARY] * 0.09
    assert found[0] == pytest.approx((40 * 0.25 + pull) / (40 * 0.34 + 2 * pull), abs=1e-6)


def test_of_three_classes_every_probability_counts() -> None:
    truth = np.arange(30) % 3
    sure = np.eye(3)[truth]
    off = np.roll(sure, 1, axis=1)  # always the next class
    weights = fit_weights(np.stack([sure, off])[:, :, None, :], truth[:, None].astype(float), np.zeros((30, 1)), THREE)
    assert weights[0] == pytest.approx([1, 0], abs=1e-6)
    even = np.full((30, 3), 1 / 3)
    both = np.stack([even, even])[:, :, None, :]
    assert fit_weights(both, truth[:, None].astype(float), np.zeros((30, 1)), THREE)[0] == pytest.approx([0.5, 0.5])


def test_combine_exactly() -> None:
    weights = np.array([[0.75, 0.25]])
    assert combine(weights, told([1.0, nan, 1.0, nan], [5.0, 5.0, nan, nan]))[:, 0, 0] == pytest.approx(
        [2.0, 5.0, 1.0, nan], nan_ok=True
    )


def test_a_member_of_weight_nothing_answers_where_no_other_does() -> None:
    assert combine(np.array([[1.0, 0.0]]), told([1.0, nan], [5.0, 5.0]))[:, 0, 0].tolist() == [1.0, 5.0]


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6) | st.just(nan), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.floats(0, 1), min_size=5, max_size=5),
)
def test_a_blend_lies_between_its_members(answers: list[list[float]], raw: list[float]) -> None:
    held = told(*answers)
    weights = np.array([raw[: len(answers)]]) + 1e-9
    blended = combine(weights / weights.sum(), held)[:, 0, 0]
    for row in range(3):
        column = np.array([answer[row] for answer in answers])
        known = column[np.isfinite(column)]
        if not len(known):
            assert np.isnan(blended[row])
        else:
            slack = 1e-9 * np.abs(known).max() + 1e-12
            assert known.min() - slack <= blended[row] <= known.max() + slack


@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(10, 60))
def test_weights_are_shares(seed: int, groups: int, rows: int) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    truth = rng.normal(size=rows) * 10.0 ** rng.integers(-6, 6)
    answers = truth + rng.normal(size=(groups, rows)) * 10.0 ** rng.integers(-6, 6, size=(groups, 1))
    for problem, values, held in (
        (REGRESS, truth, answers),
        (TWO, (truth > 0).astype(float), 1 / (1 + np.exp(-np.clip(answers, -30, 30)))),
    ):
        weights = fit_weights(held[:, :, None, None], values[:, None], np.zeros((rows, 1)), problem)
        assert weights.shape == (1, groups)
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1.0)


def test_targets_are_weighed_apart() -> None:
    truth = np.stack([np.arange(20.0), np.arange(20.0)], axis=1)
    held = np.stack([truth + np.array([0.01, 9.0]), truth + np.array([9.0, 0.01])])[..., None]
    held[:, ::2] -= 2 * (held[:, ::2] - truth[None, ::2, :, None])  # errors of both signs
    weights = fit_weights(held, truth, np.zeros(truth.shape), Problem(REGRESSION, ("a", "b")))
    assert weights[0, 0] > 0.9
    assert weights[1, 1] > 0.9


def test_spread_exactly() -> None:
    assert spread(told([1.0, nan, nan, 2.0], [3.0, 4.0, nan, 2.0]))[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0]

"""Paired statistics against hand-worked values, scipy, slow twins, and their rates over simulated data sets."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tetramer.benchmark.bootstrap import CURVES, LOSSES, _resamples, _weighted, bca, compare_on_test
from tetramer.benchmark.significance import (
    Difference,
    Row,
    _runs,
    compare,
    error_of,
    holm,
    rank_methods,
    ratio,
    settled,
)
from tetramer.errors import UserError
from tetramer.metrics import METRICS

A = (0.8, 0.7, 0.9, 0.6)
B = (0.9, 0.9, 0.8, 0.9)


def rows(method: str, errors: Sequence[float], data: str = "esol", train: int = 90, test: int = 10) -> list[Row]:
    return [Row(method, data, f"{data}{i:064d}", error, train, test) for i, error in enumerate(errors)]


# over splits


def test_the_corrected_test_equals_the_hand_worked_value():
    found = compare(rows("ours", A), rows("base", B))
    error = np.sqrt(0.0875 / 3 * (1 / 4 + 10 / 90))  # of −0.1, −0.2, 0.1 and −0.3
    assert found.difference == pytest.approx(-0.125)
    assert found.p == pytest.approx(2 * stats.t.sf(0.125 / error, 3), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((-0.125 - 3.182446305 * error, -0.125 + 3.182446305 * error))
    assert (found.n, found.wins, found.shared) == (4, 0.75, pytest.approx(0.1))
    assert found.percent[0] == pytest.approx(-100 * 0.125 / 0.875)
    assert found.p > stats.ttest_rel(A, B).pvalue  # which takes the splits as independent


def test_the_interval_excludes_zero_exactly_where_p_is_below_the_level():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = compare(rows("a", rng.normal(10.5, 1, 10)), rows("b", rng.normal(10, 1, 10)), level=0.8)
        assert (found.p < 0.2) == (found.low > 0 or found.high < 0)


def test_the_correlation_that_is_given_is_taken():
    plain = compare(rows("a", A), rows("b", B))
    wide = compare(rows("a", A), rows("b", B), shared=0.4)
    few = compare(rows("a", A, train=5), rows("b", B, train=5), shared=0.4)  # a small part to learn from
    assert (few.low, few.high, few.shared) == (wide.low, wide.high, 0.4)
    factor = np.sqrt((1 / 4 + 0.4 / 0.6) / (1 / 4 + 1 / 9))
    assert (wide.high - wide.low) / (plain.high - plain.low) == pytest.approx(factor)


def test_swapping_the_sides_turns_the_signs():
    there, back = compare(rows("a", A), rows("b", B)), compare(rows("b", B), rows("a", A))
    assert (there.low, there.high, there.p) == pytest.approx((-back.high, -back.low, back.p))
    assert there.wins == 1 - back.wins


def test_the_order_of_the_rows_does_not_matter_and_training_seeds_are_averaged():
    found = compare(rows("a", A), rows("b", B))
    assert compare(rows("a", A)[::-1], rows("b", B)) == found
    seeds = rows("a", np.array(A) + 0.05) + rows("a", np.array(A) - 0.05)
    assert compare(seeds, rows("b", B)).p == pytest.approx(found.p)
    assert compare(seeds, rows("b", B)).n == 4


def test_without_spread_nothing_is_known_of_the_chance():
    same = compare(rows("a", B), rows("b", B))
    assert (same.p, same.wins) == (1, 0.5)
    assert same.verdict == "practically the same"
    always = compare(rows("a", np.array([0.2, 0.4, 0.7])), rows("b", np.array([0.3, 0.5, 0.8])))
    assert always.p == 1
    assert settled(always.verdict, always.p) == "not settled"
    constant = compare(rows("a", [0.1] * 3), rows("b", [0.0] * 3))
    assert constant.p == 1


def test_numbers_are_never_compared_across_splits():
    with pytest.raises(UserError, match=r"'a' and 'b' were not tested on the same splits: 1 stand on one side only"):
        compare(rows("a", A), rows("b", B)[:3])
    with pytest.raises(UserError, match="8 stand on one side only, the first is bace0000"):
        ratio(rows("a", A), rows("b", B, data="bace"))


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (rows("a", A) + rows("a", A, "bace"), rows("b", B) + rows("b", B, "bace"), "several data sets .bace, esol."),
        (rows("a", A) + rows("c", A), rows("b", B), "several methods .a, c."),
        (rows("a", (0.1, np.nan)), rows("b", (0.1, 0.2)), "'a' has no error on split esol0000"),
        (rows("a", A[:1]), rows("b", B[:1]), "1 split is too few"),
        ([], [], "0 split is too few"),
    ],
)
def test_what_cannot_be_compared_is_refused(left, right, words):
    with pytest.raises(UserError, match=words):
        compare(left, right)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.3, -0.1, "better"),
        (0.1, 0.3, "worse"),
        (-0.3, 0.1, "not settled"),
        (-0.02, 0.02, "practically the same"),  # both ends on the edge of 1 % of 2.0
        (-0.019, -0.001, "practically the same"),  # sure and too small to matter
        (-0.021, -0.001, "better"),
        (-0.021, 0.0, "not settled"),
    ],
)
def test_verdicts(low, high, verdict):
    assert Difference((low + high) / 2, low, high, 2.0, 0.95, 0.01).verdict == verdict


def test_a_verdict_of_several_needs_their_corrected_p():
    assert [settled(verdict, 0.05) for verdict in ("better", "worse")] == ["better", "worse"]
    assert [settled(verdict, p) for verdict in ("better", "worse") for p in (0.051, None)] == ["not settled"] * 4
    assert [settled(verdict, 0.9) for verdict in ("practically the same", "reference")] == [
        "practically the same", "reference",
    ]  # fmt: skip


def test_a_baseline_without_error_leaves_no_room():
    assert Difference(0.1, 0.0, 0.2, 0.0, 0.95, 0.01).percent == (np.inf, 0.0, np.inf)
    assert Difference(0.0, 0.0, 0.0, 0.0, 0.95, 0.01).verdict == "practically the same"


def test_less_error_is_better_for_every_metric():
    assert error_of("rmse", 0.7) == 0.7
    assert error_of("roc-auc", 0.9) == pytest.approx(0.1)
    with pytest.raises(UserError, match="no metric named"):
        error_of("auc", 0.9)


# over many comparisons and data sets


def test_holm_equals_the_hand_worked_value():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_finds_what_the_step_down_procedure_finds(values, alpha):
    slow = set()
    for step, i in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        if values[i] * (len(values) - step) > alpha:
            break
        slow.add(i)
    assert set(np.flatnonzero(holm(values) <= alpha).tolist()) == slow


def test_the_ratio_counts_each_data_set_once():
    left = rows("a", [0.5, 2.0, 1.0, 1.0], "x") + rows("a", [1.0], "y")
    right = rows("b", [1.0, 1.0, 1.0, 1.0], "x") + rows("b", [4.0], "y")
    found = ratio(left, right)
    assert found.sets == {"x": pytest.approx(1), "y": pytest.approx(0.25)}
    assert found.value == pytest.approx(0.5)
    error = np.log(4) / 2  # sd of (0, −ln 4) is ln 4 / √2, over √2
    assert found.low + 1 == pytest.approx(0.5 * np.exp(-stats.t.ppf(0.975, 1) * error))
    assert found.p == pytest.approx(2 * stats.t.sf(1, 1))
    assert found.verdict == "not settled"


def test_a_ratio_needs_sets_and_errors():
    with pytest.raises(UserError, match="at least 2 of them, and the rows are of 1"):
        ratio(rows("a", A), rows("b", B))
    with pytest.raises(UserError, match="not above 0"):
        ratio(rows("a", (0.0, 1.0)), rows("b", (1.0, 1.0)))


def test_the_interval_of_the_ratio_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(500):
        left, right = [], []
        for name, true in zip("stuvwxyz", rng.normal(np.log(0.95), 0.05, 8), strict=True):
            base = rng.lognormal(0, 0.3, 4)
            right += rows("b", base, name)
            left += rows("a", base * np.exp(true + rng.normal(0, 0.1, 4)), name)
        found = ratio(left, right)
        hits += found.low <= 0.95 - 1 <= found.high
    assert 0.92 <= hits / 500 <= 0.98


# Demšar 2006, table 5: q at 0.05 and 0.10 for 2 … 10 methods
Q = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


@pytest.mark.parametrize("alpha", Q)
def test_critical_differences_equal_the_published_table(alpha):
    for k, q in zip(range(2, 11), Q[alpha], strict=True):
        found = rank_methods([str(i) for i in range(k)], np.random.default_rng(0).normal(size=(14, k)), alpha)
        assert found.critical == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), rel=4e-4)


@pytest.mark.parametrize("seed", range(5))
def test_friedman_equals_scipy_with_ties_and_without(seed):
    errors = np.random.default_rng(seed).integers(0, 4, (12, 4)).astype(float)
    found = rank_methods("abcd", errors)
    statistic, p = stats.friedmanchisquare(*errors.T)
    assert (found.statistic, found.p) == pytest.approx((statistic, p))
    f = 11 * statistic / (12 * 3 - statistic)
    assert found.f_p == pytest.approx(stats.f.sf(f, 3, 33))
    assert dict(zip(found.methods, found.mean_ranks, strict=True)) == pytest.approx(
        dict(zip("abcd", stats.rankdata(errors, axis=1).mean(axis=0), strict=True))
    )


def test_cliques_of_the_published_example():
    """Demšar 2006: at α = 0.10 C4.5 (3.143) differs from C4.5+m+cf (1.964), and C4.5+cf (2.893) from neither."""
    assert _runs(np.array([1.964, 2.000, 2.893, 3.143]), 1.12) == [(0, 2), (2, 3)]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=7), st.integers(1, 6))
def test_cliques_are_the_largest_sets_without_a_difference(places, critical):
    mean = np.sort(np.array(places) / 4)
    near = [(i, j) for i in range(len(mean)) for j in range(i + 1, len(mean)) if mean[j] - mean[i] < critical / 4]
    slow = [(i, j) for i, j in near if not any(a <= i and j <= b and (a, b) != (i, j) for a, b in near)]
    assert _runs(mean, critical / 4) == slow


def test_all_sets_agree_or_none_say_anything():
    found = rank_methods(["c", "a", "b"], np.tile([3.0, 1.0, 2.0], (10, 1)))
    assert (found.methods, found.mean_ranks, found.f_p) == (("a", "b", "c"), (1, 2, 3), 0)
    assert found.cliques == (("a", "b"), ("b", "c"))  # critical difference 1.05
    flat = rank_methods(["a", "b"], np.ones((3, 2)))
    assert (flat.statistic, flat.p, flat.f_p, flat.cliques) == (0, 1, 1, (("a", "b"),))
    with pytest.raises(UserError, match="3 data sets, 2 methods and 1 empty cells"):
        rank_methods(["a", "b"], np.array([[1, 2], [1, np.nan], [2, 1]]))


# over molecules


def made(metric: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two answers with ties, of the kind the metric takes."""
    rng = np.random.default_rng(seed)
    if "regression" in METRICS[metric].tasks:
        return tuple(rng.normal(5, 1, n).round(1) for _ in range(3))
    truth = (np.arange(n) % 3 == 0).astype(float)
    return truth, *(rng.integers(1, 10, n) / 10 for _ in range(2))


@pytest.mark.parametrize("metric", METRICS)
def test_weighted_metrics_equal_the_metric_of_the_drawn_rows(metric):
    truth, answer, _ = made(metric, 40, 0)
    counts = next(_resamples(np.random.default_rng(0), 40, 30))
    assert (counts.sum(axis=1) == 40).all()
    slow = [METRICS[metric].of(*(np.repeat(side, row.astype(int)) for side in (truth, answer))) for row in counts]
    assert _weighted(metric, truth, answer)(counts) == pytest.approx(slow, abs=1e-12)


def test_resamples_without_a_value_are_nan():
    truth, answer, counts = np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.3]), np.array([[0.0, 2, 1], [3, 0, 0]])
    for metric in ("roc-auc", "prc-auc", "bedroc"):
        assert np.isnan(_weighted(metric, truth, answer)(counts)).all()
    assert np.isnan(_weighted("r2", np.array([1.1, 2.1, 3.1]), answer)(np.array([[3.0, 0, 0]]))).all()
    assert set(LOSSES) | set(CURVES) < set(METRICS)


def test_many_classes_are_resampled_too():
    rng = np.random.default_rng(0)
    truth, answer = rng.integers(0, 3, 50).astype(float), rng.dirichlet(np.ones(3), (2, 50))
    for metric in ("accuracy", "log-loss", "mcc"):
        found = compare_on_test(metric, truth, answer[0], answer[1], draws=200)
        gap = METRICS[metric].of(truth, answer[0]) - METRICS[metric].of(truth, answer[1])
        assert found.difference == pytest.approx(-gap if METRICS[metric].higher else gap)
        assert found.low < found.difference < found.high


def test_rows_without_a_label_or_an_answer_do_not_count():
    truth, ours, theirs = made("rmse", 60, 1)
    first = compare_on_test("rmse", truth[:57], ours[:57], theirs[:57], draws=300)
    truth[57], ours[58], theirs[59] = np.nan, np.nan, np.nan
    assert compare_on_test("rmse", truth, ours, theirs, draws=300) == first
    assert first.n == 57


def test_the_same_answer_twice_makes_no_difference():
    truth, ours, theirs = made("roc-auc", 60, 1)
    found = compare_on_test("roc-auc", truth, ours, ours, draws=200)
    assert (found.low, found.high, found.better, found.verdict) == (0, 0, 0.5, "practically the same")
    there, back = (compare_on_test("roc-auc", truth, *pair, draws=400) for pair in ((ours, theirs), (theirs, ours)))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_a_clear_gain_is_better_and_the_other_way_round_worse(metric):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200) if "regression" in METRICS[metric].tasks else (np.arange(200) % 4 == 0).astype(float)
    good, poor = (np.clip(truth + sd * rng.normal(size=200), 0.01, 0.99) for sd in (0.4, 3.0))
    gain, loss = (compare_on_test(metric, truth, *pair, draws=300) for pair in ((good, poor), (poor, good)))
    assert (gain.verdict, loss.verdict) == ("better", "worse")
    assert gain.better > 0.98 > 0.02 > loss.better
    assert gain.difference == -loss.difference < 0


def test_a_metric_without_a_value_is_refused():
    ones, half = np.ones(20), np.linspace(0, 1, 20)
    with pytest.raises(UserError, match=r"roc-auc has no value on this test part: only one class \(1\)"):
        compare_on_test("roc-auc", ones, half, half)
    with pytest.raises(UserError, match=r"undefined in \d+ of 200 resamples of 2 molecules"):
        compare_on_test("r2", np.array([0.0, 1.0]), np.array([0.1, 0.8]), np.array([0.3, 0.4]), draws=200, seed=3)


def test_without_bias_and_skewness_the_interval_is_that_of_the_percentiles():
    drawn = np.linspace(-1, 1, 2001)
    low, high = bca(drawn, 0.0, np.array([-1.0, 0.0, 1.0]), 0.95, 10**9)
    assert (low, high) == pytest.approx((-0.95, 0.95), abs=2e-3)
    skewed = bca(drawn, 0.0, np.array([1.0] * 9 + [-9.0]), 0.95, 10**9)  # long tail upwards: both ends move up
    assert skewed[0] > low
    assert skewed[1] > high


def test_draws_that_equal_the_value_count_half_on_either_side():
    low, high = bca(np.repeat(np.arange(-10.0, 11), 100), 0.0, np.array([-1.0, 0.0, 1.0]), 0.5, 10**9)
    assert (low, high) == (-5, 5)


def test_the_interval_equals_scipys_for_a_mean_difference():
    """mae is a mean of losses, so scipy's BCa of the mean of the paired loss differences is the same interval."""
    rng = np.random.default_rng(3)
    truth, ours, theirs = rng.normal(size=(3, 800))
    found = compare_on_test("mae", truth, ours, theirs, draws=20_000)
    losses = np.abs(truth - ours) - np.abs(truth - theirs)
    other = stats.bootstrap((losses,), np.mean, n_resamples=20_000, method="BCa", rng=rng).confidence_interval
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.03 * (found.high - found.low))


def covered(metric: str, n: int, repeats: int, draws: int) -> float:
    """Share of simulated test parts whose 95 % interval holds the true difference."""
    rng, hits = np.random.default_rng(0), 0
    for seed in range(repeats):
        common, first, second = rng.normal(size=(3, n))
        if metric == "rmse":  # normal errors of sd 0.9 and 1, correlated by 0.64
            truth = rng.normal(size=n)
            ours, theirs = truth + 0.9 * (0.8 * common + 0.6 * first), truth + 0.8 * common + 0.6 * second
            true = 0.9 - 1.0
        else:  # binormal: AUC = Φ(shift / √2)
            truth = (rng.random(n) < 0.3).astype(float)
            ours, theirs = 1.5 * truth + 0.8 * common + 0.6 * first, truth + 0.8 * common + 0.6 * second
            true = stats.norm.cdf(1 / np.sqrt(2)) - stats.norm.cdf(1.5 / np.sqrt(2))
        found = compare_on_test(metric, truth, ours, theirs, draws=draws, seed=seed)
        hits += found.low <= true <= found.high
    return hits / repeats


@pytest.mark.parametrize("n", [64, 200])
def test_the_interval_of_the_bootstrap_covers(n):
    assert 0.93 <= covered("rmse", n, 1000, 500) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["rmse", "roc-auc"])
@pytest.mark.parametrize("n", [100, 300])
def test_the_interval_of_the_bootstrap_covers_in_a_thousand_simulations(metric, n):
    assert 0.93 <= covered(metric, n, 1000, 2000) <= 0.975


# the rates over data sets

RATES = Path(__file__).parents[2] / "results" / "benchmarks" / "null-simulation.json"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """The benchmark that draws data sets and splits, as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "null_simulation.py"
    spec = importlib.util.spec_from_file_location("null_simulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def test_the_simulation_uses_the_test_it_is_about(simulation):
    rng = np.random.default_rng(0)
    design = simulation.DESIGNS["freesolv"]
    group = simulation.groups_of(design)
    ours, theirs, shared, common, part = simulation.one(rng, group, design)
    left, right = (rows(name, values, train=900, test=100) for name, values in (("a", ours), ("b", theirs)))
    found = compare(left, right, shared=shared)
    assert shared > common > part
    assert found.p == pytest.approx(simulation.p_values((ours - theirs)[None], shared)[0])


def test_the_ridge_of_the_simulation_is_the_ridge_of_scikit_learn(simulation):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    features, label, tested = rng.normal(size=(40, 3)), rng.normal(size=40), rng.random((2, 40)) < 0.2
    told = simulation.ridge_errors(features, label, tested)
    for mask, error in zip(tested, told, strict=True):
        wide = np.concatenate([features, np.ones((40, 1))], axis=1)  # the constant is penalised with the rest
        model = Ridge(1.0, fit_intercept=False).fit(wide[~mask], label[~mask])
        assert error == pytest.approx(np.sqrt(np.mean((model.predict(wide[mask]) - label[mask]) ** 2)))


# design → bounds of the rate at 5 % nominal; learners that share a function are told apart less often, by design
NULL = dict.fromkeys(("random", "random-20-splits", "random-n-1000", "random-30-features", "bace"), (0.03, 0.07))
NULL |= dict.fromkeys(("esol", "esol-half", "esol-grouped"), (0.03, 0.07))
NULL |= dict.fromkeys(("freesolv", "freesolv-half", "freesolv-grouped"), (0.03, 0.07))
NULL |= {
    "esol-no-share": (0.025, 0.07),
    "freesolv-no-share": (0.025, 0.07),
}  # nothing is shared, and more is allowed for
NULL |= {"random-noise-features": (0.015, 0.05), "random-training-seeds": (0, 0.02)}
NULL |= dict.fromkeys(("esol-random", "freesolv-random"), (0.1, 0.18))  # not mended: scaffolds stand on both sides


@pytest.mark.parametrize(("name", "plain"), [("random", 0.1), ("freesolv-half", 0.4)])
def test_the_plain_test_finds_too_much_and_the_corrected_one_does_not(simulation, name, plain):
    rates = simulation.simulate(simulation.DESIGNS[name], 1000)
    assert 0.025 <= rates["corrected"] <= 0.075  # a standard error beyond the bounds of NULL
    assert rates["plain"] > plain


def test_every_design_without_a_difference_has_its_bounds(simulation):
    assert {name for name, design in simulation.DESIGNS.items() if not design.gain} == set(NULL)


@pytest.mark.parametrize("name", NULL)
def test_the_committed_rates_lie_within_their_bounds(simulation, name):
    told = json.loads(RATES.read_text())["designs"][name]
    low, high = NULL[name]
    assert low <= told["corrected"] <= high
    drawn = {field: told[field] for field in asdict(simulation.DESIGNS[name])}
    assert drawn == asdict(simulation.DESIGNS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", NULL)
def test_false_findings_over_data_sets_are_near_one_in_twenty(simulation, name):
    low, high = NULL[name]
    assert low <= simulation.simulate(simulation.DESIGNS[name], 2000)["corrected"] <= high


@pytest.mark.slow
def test_a_planted_difference_is_found(simulation):
    small, large = (simulation.simulate(simulation.DESIGNS[f"power-{p}-percent"], 1000) for p in (3, 10))
    assert small["found_better"] > 0.08
    assert large["found_better"] > 0.6
    assert large["difference_percent"] == pytest.approx(-10, abs=1)

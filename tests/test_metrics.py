"""Metrics against hand-worked values, scikit-learn, and their own definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit.ML.Scoring import Scoring
from scipy import stats
from sklearn import metrics as reference

from tetramer.errors import UserError
from tetramer.metrics import METRICS, Undefined, bedroc, chosen, evaluate, evaluate_all, ranks

TRUTH = np.array([1.0, 2.0, 4.0])
ANSWER = np.array([1.0, 3.0, 6.0])
HAND = {"rmse": np.sqrt(5 / 3), "mae": 1.0, "r2": 1 - 5 / (14 / 3)}

CLASS = np.array([0, 0, 1, 1])
CHANCE = np.array([0.1, 0.4, 0.35, 0.8])
HAND_CLASS = {
    "roc-auc": 0.75,  # three of the four (positive, negative) pairs are in order
    "prc-auc": 0.5 * 1 + 0.5 * 2 / 3,  # the second positive is found third
    "accuracy": 0.75,
    "log-loss": -np.log([0.9, 0.6, 0.35, 0.8]).mean(),
    "mcc": 1 / np.sqrt(3),
}


@pytest.mark.parametrize("name", HAND)
def test_regression_equals_the_hand_worked_value(name):
    assert METRICS[name].of(TRUTH, ANSWER) == pytest.approx(HAND[name], abs=1e-15)


@pytest.mark.parametrize("name", HAND_CLASS)
def test_classification_equals_the_hand_worked_value(name):
    assert METRICS[name].of(CLASS, CHANCE) == pytest.approx(HAND_CLASS[name], abs=1e-15)


def test_the_order_of_the_arguments_matters_for_r2():
    assert METRICS["r2"].of(TRUTH, ANSWER) != METRICS["r2"].of(ANSWER, TRUTH)
    assert METRICS["r2"].of(TRUTH, ANSWER) == pytest.approx(reference.r2_score(TRUTH, ANSWER))


def slow_bedroc(truth, answer, alpha=20.0):
    """Truchon & Bayly's closed form, its sum over the positives with the mean weight of each tie."""
    n, count = len(truth), int(truth.sum())
    places = [np.arange(1 + (answer > score).sum(), 1 + (answer >= score).sum()) for score in answer[truth == 1]]
    rie = np.mean([np.exp(-alpha * place / n).mean() for place in places])
    rie *= n * (np.exp(alpha / n) - 1) / (1 - np.exp(-alpha))
    share = count / n
    factor = share * np.sinh(alpha / 2) / (np.cosh(alpha / 2) - np.cosh(alpha / 2 - alpha * share))
    return rie * factor + 1 / (1 - np.exp(alpha * (1 - share)))


REFERENCE = {
    "rmse": lambda t, a: reference.root_mean_squared_error(t, a),
    "mae": reference.mean_absolute_error,
    "r2": reference.r2_score,
    "spearman": lambda t, a: stats.spearmanr(t, a).statistic,
    "bedroc": slow_bedroc,
    "roc-auc": reference.roc_auc_score,
    "prc-auc": reference.average_precision_score,
    "accuracy": lambda t, a: reference.accuracy_score(t, a > 0.5),
    "log-loss": reference.log_loss,
    "mcc": lambda t, a: reference.matthews_corrcoef(t, a > 0.5),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(20))
def test_metrics_equal_scikit_learn_on_random_data_with_ties(name, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 200))
    if "regression" in METRICS[name].tasks:
        truth, answer = rng.normal(size=n), rng.normal(size=n)
    else:
        truth = rng.permutation(np.arange(n) % 2)
        answer = rng.integers(1, 10, n) / 10  # many ties, never 0 or 1
        answer[:2] = 0.2, 0.7  # both classes are given, so that the reference is defined
    assert METRICS[name].of(truth, answer) == pytest.approx(REFERENCE[name](truth, answer), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_spearman_with_ties_equals_scipy(seed):
    truth, answer = np.random.default_rng(seed).integers(0, 5, (2, 40)).astype(float)
    assert METRICS["spearman"].of(truth, answer) == pytest.approx(stats.spearmanr(truth, answer).statistic, abs=1e-12)


def test_spearman_equals_the_hand_worked_value():
    assert METRICS["spearman"].of(np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 1e9])) == pytest.approx(0.8)


@pytest.mark.parametrize("alpha", [1.0, 20.0, 160.9])
@pytest.mark.parametrize("n", [2, 30, 500])
def test_bedroc_without_ties_equals_rdkit(alpha, n):
    rng = np.random.default_rng(n)
    truth = (rng.permutation(n) < max(1, n // 10)).astype(float)
    answer = rng.normal(size=n) + truth
    best_first = [[positive] for positive in truth[np.argsort(-answer)]]
    assert bedroc(truth, answer, alpha) == pytest.approx(Scoring.CalcBEDROC(best_first, 0, alpha), abs=1e-10)


def test_bedroc_equals_the_hand_worked_value():
    truth = np.array([1.0, 0, 0, 0])
    weights = np.exp(-5 * np.arange(1, 5))  # α = 20 on four ranks
    for rank in range(4):
        told = bedroc(truth, np.array([0.5 - rank, 0, -1, -2]))
        assert told == pytest.approx((weights[rank] - weights[3]) / (weights[0] - weights[3]), abs=1e-12)


def test_bedroc_of_ties_is_the_mean_over_their_orders():
    truth, answer = np.array([1.0, 0, 1, 0, 0, 1]), np.array([0.9, 0.9, 0.5, 0.5, 0.5, 0.1])
    rng = np.random.default_rng(0)
    orders = [bedroc(truth, answer + 1e-6 * rng.normal(size=6)) for _ in range(4000)]
    assert bedroc(truth, answer) == pytest.approx(np.mean(orders), abs=0.01)
    assert bedroc(truth, answer) != pytest.approx(bedroc(truth, answer - 1e-6 * truth), abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_many_classes_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, answer = rng.integers(0, 4, 60), rng.dirichlet(np.ones(4), 60)
    given = answer.argmax(1)
    assert METRICS["accuracy"].of(truth, answer) == pytest.approx(reference.accuracy_score(truth, given))
    assert METRICS["log-loss"].of(truth, answer) == pytest.approx(reference.log_loss(truth, answer))
    assert METRICS["mcc"].of(truth, answer) == pytest.approx(reference.matthews_corrcoef(truth, given))


def test_a_class_that_is_never_given_counts_in_mcc():
    truth, given = np.array([0, 1, 2, 2, 2]), np.array([0, 1, 0, 1, 1])
    expected = reference.matthews_corrcoef(truth, given)
    assert METRICS["mcc"].of(truth, np.eye(3)[given]) == pytest.approx(expected)
    assert METRICS["mcc"].of(given, np.eye(3)[truth]) == pytest.approx(expected)


def test_one_row_is_enough_for_an_error_and_no_class_is_not():
    assert evaluate("mae", np.array([1.0]), np.array([3.0])).value == 2.0
    assert evaluate("accuracy", np.array([1.0]), np.array([0.9])).value == 1.0
    assert evaluate("roc-auc", np.array([np.nan]), np.array([0.9])).reason == "no labelled rows"


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
@settings(deadline=None)
def test_ranks_are_one_plus_those_below_plus_half_the_other_ties(values):
    values = np.array(values, dtype=float)
    slow = [1 + (values < v).sum() + ((values == v).sum() - 1) / 2 for v in values]
    assert ranks(values).tolist() == slow


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
@settings(deadline=None)
def test_roc_auc_is_the_share_of_ordered_pairs(rows):
    truth = np.array([positive for positive, _ in rows], dtype=float)
    answer = np.array([score for _, score in rows], dtype=float)
    high, low = answer[truth == 1], answer[truth == 0]
    if not len(high) or not len(low):
        with pytest.raises(Undefined, match="only one class"):
            METRICS["roc-auc"].of(truth, answer)
        return
    pairs = np.subtract.outer(high, low)
    slow = ((pairs > 0) + (pairs == 0) / 2).mean()
    assert METRICS["roc-auc"].of(truth, answer) == pytest.approx(slow, abs=1e-12)


def test_a_tie_of_two_classes_goes_to_the_first():
    assert chosen(np.array([0.5, 0.5000001])).tolist() == [0, 1]
    assert chosen(np.array([[0.5, 0.5], [0.2, 0.8]])).tolist() == [0, 1]


def test_a_sure_mistake_has_a_finite_log_loss():
    assert METRICS["log-loss"].of(np.array([1.0]), np.array([0.0])) == pytest.approx(-np.log(1e-15))


@pytest.mark.parametrize(
    ("name", "truth", "answer", "reason"),
    [
        ("rmse", [np.nan], [1.0], "no labelled rows"),
        ("r2", [1.0], [1.0], "1 labelled rows, 2 are needed"),
        ("r2", [2.0, 2.0], [1.0, 2.0], "all labels are equal"),
        ("spearman", [1.0], [1.0], "1 labelled rows, 2 are needed"),
        ("spearman", [2.0, 2.0], [1.0, 2.0], "all labels are equal"),
        ("spearman", [1.0, 2.0], [3.0, 3.0], "all predictions are equal"),
        ("bedroc", [1.0, 1.0], [0.1, 0.2], "only one class (1) among 2 rows"),
        ("roc-auc", [1.0, 1.0, np.nan], [0.1, 0.2, 0.3], "only one class (1) among 2 rows"),
        ("prc-auc", [0.0, 0.0], [0.1, 0.2], "only one class (0) among 2 rows"),
        ("mcc", [0.0, 1.0], [0.9, 0.9], "all rows are given the same class"),
    ],
)
def test_an_undefined_metric_is_none_with_its_reason(name, truth, answer, reason):
    score = evaluate(name, np.array(truth), np.array(answer))
    assert score.value is None
    assert score.reason == reason
    assert (score.targets, score.skipped) == (0, 1)


def test_missing_labels_are_masked_and_missing_answers_counted():
    truth = np.array([1.0, np.nan, 2.0, 5.0])
    answer = np.array([1.0, 9.0, np.nan, 7.0])
    score = evaluate("mae", truth, answer)
    assert score.value == 1.0
    assert (score.rows, score.unanswered) == (2, 1)
    assert "1 labelled rows have no prediction" in score.reason


def test_a_bound_is_no_exact_label():
    score = evaluate("mae", np.array([1.0, 9.0]), np.array([2.0, 0.0]), np.array([0, 1], np.int8))
    assert (score.value, score.rows) == (1.0, 1)


def test_the_mean_over_targets_leaves_out_the_undefined_and_says_which():
    truth = np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, np.nan, 1.0]])
    answer = np.array([[0.1, 0.5, 0.9], [0.9, 0.5, 0.8], [0.2, 0.5, 0.1]])
    mean, each = evaluate_all("roc-auc", truth, answer, ["a", "b", "c"])
    assert [score.value for score in each] == [1.0, None, 0.0]
    assert (mean.value, mean.targets, mean.skipped) == (0.5, 2, 1)
    assert mean.reason == "b: only one class (1) among 2 rows"
    assert mean.each == tuple(each)


def test_nothing_defined_gives_none_and_not_nan():
    mean, _ = evaluate_all("roc-auc", np.ones((3, 2)), np.ones((3, 2)), ["a", "b"])
    assert mean.value is None
    assert mean.skipped == 2


def test_an_unknown_metric_lists_the_known():
    with pytest.raises(UserError, match="Did you mean 'roc-auc'"):
        evaluate("rocauc", TRUTH, ANSWER)


@pytest.mark.parametrize("name", METRICS)
def test_better_answers_score_better_in_the_stated_direction(name):
    rng = np.random.default_rng(1)
    if "regression" in METRICS[name].tasks:
        truth = rng.normal(size=100)
        good, poor = truth + 0.1 * rng.normal(size=100), rng.normal(size=100)
    else:
        truth = rng.permutation(np.arange(100) % 2)
        good, poor = np.clip(truth, 0.1, 0.9), rng.uniform(0.2, 0.8, 100)
    better, worse = METRICS[name].of(truth, good), METRICS[name].of(truth, poor)
    assert (better > worse) == METRICS[name].higher

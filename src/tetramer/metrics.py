"""How good an answer is. Numpy only; an undefined value is None with its reason, never another metric in its place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tetramer.errors import pick


@dataclass(frozen=True)
class Score:
    """`value` is None where the metric is undefined; `reason` says why, or what was left out.

    `targets` were averaged, `skipped` were undefined; `rows` went in; `unanswered` had a label but no prediction.
    `each` (T) has the score of every target that a mean was taken over.
    """

    value: float | None
    reason: str = ""
    targets: int = 1
    skipped: int = 0
    rows: int = 0
    unanswered: int = 0
    each: tuple["Score", ...] = ()


class Undefined(Exception):
    """This metric has no value for these data; the message says why."""


def rmse(truth: np.ndarray, answer: np.ndarray) -> float:
    """Root of the mean squared error, in the unit of the labels. truth, answer: (n,)."""
    _need(truth, 1)
    return float(np.sqrt(np.mean((truth - answer) ** 2)))


def mae(truth: np.ndarray, answer: np.ndarray) -> float:
    """Mean absolute error, in the unit of the labels. truth, answer: (n,)."""
    _need(truth, 1)
    return float(np.mean(np.abs(truth - answer)))


def r2(truth: np.ndarray, answer: np.ndarray) -> float:
    """1 − Σ(truth − answer)² / Σ(truth − mean truth)²: 1 is perfect, 0 the mean, no lower bound. Not symmetric."""
    _need(truth, 2)
    if (truth == truth[0]).all():
        raise Undefined("all labels are equal")
    return float(1 - np.sum((truth - answer) ** 2) / np.sum((truth - truth.mean()) ** 2))


def _need(truth: np.ndarray, least: int) -> None:
    if len(truth) < least:
        raise Undefined(f"{len(truth)} labelled rows, {least} are needed" if len(truth) else "no labelled rows")


def _both_classes(truth: np.ndarray) -> None:
    _need(truth, 1)
    if (truth == truth[0]).all():
        raise Undefined(f"only one class ({truth[0]:g}) among {len(truth)} rows")


def ranks(values: np.ndarray) -> np.ndarray:
    """(n,) ranks from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[place]


def spearman(truth: np.ndarray, answer: np.ndarray) -> float:
    """Pearson's correlation of the ranks, −1 to 1; equal values share the mean of their ranks. truth, answer: (n,).

    Blind to unit, offset and any monotone bend: it says how well the rows are ordered, not how near the values are.
    """
    _need(truth, 2)
    for side, what in ((truth, "labels"), (answer, "predictions")):
        if (side == side[0]).all():
            raise Undefined(f"all {what} are equal")
    left, right = (ranks(side) - (len(side) + 1) / 2 for side in (truth, answer))
    return float(left @ right / np.sqrt((left @ left) * (right @ right)))


def roc_auc(truth: np.ndarray, answer: np.ndarray) -> float:
    """The chance that a random positive scores above a random negative; a tie counts half (Mann-Whitney U).

    truth (n,) 0 or 1; answer (n,) any score that grows with the chance of 1.
    """
    _both_classes(truth)
    positive = truth == 1
    count = int(positive.sum())
    above = ranks(answer)[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(truth) - count)))


def prc_auc(truth: np.ndarray, answer: np.ndarray) -> float:
    """Average precision, Σ (recall step) × precision over descending thresholds; rows of equal score step together.

    truth (n,) 0 or 1; answer (n,). A random answer scores the share of positives, not 0.5.
    """
    _both_classes(truth)
    order = np.argsort(-answer, kind="stable")
    hits = np.cumsum(truth[order] == 1)
    last = np.append(np.diff(answer[order]) != 0, True)  # the last row of each run of equal scores
    found, shown = hits[last], np.flatnonzero(last) + 1
    steps = np.diff(found, prepend=0) / hits[-1]
    return float(np.sum(steps * found / shown))


def bedroc(truth: np.ndarray, answer: np.ndarray, alpha: float = 20.0) -> float:
    """Early recognition, 0 (all positives last) to 1 (all first): Truchon & Bayly 2007, doi:10.1021/ci600426e.

    A positive at rank r of n weighs exp(−α r / n), and the mean weight is placed between that of the worst and of the
    best order. With α = 20 the first 8 % of the ranks carry 80 % of the weight. Rows of equal score share the mean of
    their weights, which is the expectation over random orders of the tie. A random answer scores about
    R / (1 − exp(−α R)) for a share R of positives, so values compare only at equal share.

    truth (n,) 0 or 1; answer (n,).
    """
    _both_classes(truth)
    n = len(truth)
    weights = np.exp(-alpha * np.arange(1, n + 1) / n)
    _, place, counts = np.unique(-answer, return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts
    shared = np.add.reduceat(weights, starts) / counts
    positive = truth == 1
    found, count = shared[place][positive].sum(), int(positive.sum())
    best, worst = weights[:count].sum(), weights[-count:].sum()
    return float((found - worst) / (best - worst))


def chosen(answer: np.ndarray) -> np.ndarray:
    """Class of the highest probability; of two, 1 only above 0.5. answer: (n,) chance of 1, or (n, K)."""
    return answer.argmax(axis=1) if answer.ndim == 2 else (answer > 0.5).astype(np.int64)


def accuracy(truth: np.ndarray, answer: np.ndarray) -> float:
    """Share of rows whose likeliest class is right. truth (n,) class 0…K−1; answer (n,) or (n, K) probabilities."""
    _need(truth, 1)
    return float(np.mean(chosen(answer) == truth))


def log_loss(truth: np.ndarray, answer: np.ndarray) -> float:
    """Mean of −ln(probability given to the true class), with probabilities below 1e-15 counted as 1e-15.

    truth (n,) class 0…K−1; answer (n,) chance of 1, or (n, K) rows that add up to 1.
    """
    _need(truth, 1)
    table = answer if answer.ndim == 2 else np.stack([1 - answer, answer], axis=1)
    given = table[np.arange(len(truth)), truth.astype(np.int64)]
    return float(-np.mean(np.log(np.clip(given, 1e-15, 1))))


def mcc(truth: np.ndarray, answer: np.ndarray) -> float:
    """Matthews correlation of the likeliest class, −1 to 1.

    For K classes Gorodkin's R_K (doi:10.1016/j.compbiolchem.2004.09.006).

    truth (n,) class 0…K−1; answer (n,) or (n, K) probabilities.
    """
    _both_classes(truth)
    given = chosen(answer)
    kinds = int(max(truth.max(), given.max())) + 1
    true_count = np.bincount(truth.astype(np.int64), minlength=kinds).astype(float)
    given_count = np.bincount(given, minlength=kinds).astype(float)
    total = float(len(truth))
    spread = (total**2 - np.sum(given_count**2)) * (total**2 - np.sum(true_count**2))
    if spread == 0:
        raise Undefined("all rows are given the same class")
    return float((np.sum(given == truth) * total - np.sum(true_count * given_count)) / np.sqrt(spread))


@dataclass(frozen=True)
class Metric:
    """`higher`: whether more is better; `tasks`: the kinds of task it fits."""

    of: Callable[[np.ndarray, np.ndarray], float]
    higher: bool
    tasks: tuple[str, ...]


CLASSES = ("binary", "multiclass")
METRICS: dict[str, Metric] = {
    "rmse": Metric(rmse, False, ("regression",)),
    "mae": Metric(mae, False, ("regression",)),
    "r2": Metric(r2, True, ("regression",)),
    "spearman": Metric(spearman, True, ("regression",)),
    "roc-auc": Metric(roc_auc, True, ("binary",)),
    "prc-auc": Metric(prc_auc, True, ("binary",)),
    "bedroc": Metric(bedroc, True, ("binary",)),
    "accuracy": Metric(accuracy, True, CLASSES),
    "log-loss": Metric(log_loss, False, CLASSES),
    "mcc": Metric(mcc, True, CLASSES),
}


def evaluate(name: str, truth: np.ndarray, answer: np.ndarray, censor: np.ndarray | None = None) -> Score:
    """One metric on one target.

    truth (n,) with NaN where nobody measured; answer (n,) or (n, K) with NaN where none was given; censor (n,): rows
    whose label is a bound (not 0) are left out.
    """
    known = ~np.isnan(truth)
    if censor is not None:
        known &= censor == 0
    given = ~np.isnan(answer if answer.ndim == 1 else answer.sum(axis=1))
    rows = known & given
    unanswered = int((known & ~given).sum())
    reason = f"{unanswered} labelled rows have no prediction" if unanswered else ""
    metric = pick(METRICS, name, "metric")
    assert answer.ndim == 1 or "multiclass" in metric.tasks, f"{name} takes one number per row"
    try:
        value = metric.of(truth[rows], answer[rows])
    except Undefined as error:
        bounds = 0 if censor is None else int((~np.isnan(truth) & (censor != 0)).sum())
        why = f"no exact label, {bounds} bounds" if bounds and not known.any() else str(error)
        return Score(None, why, 0, 1, int(rows.sum()), unanswered)
    return Score(value, reason, 1, 0, int(rows.sum()), unanswered)


def evaluate_all(
    name: str, truth: np.ndarray, answer: np.ndarray, names: Sequence[str], censor: np.ndarray | None = None
) -> tuple[Score, list[Score]]:
    """The mean over targets of one metric, undefined targets left out and counted, and the score of each target.

    truth (n, T), answer (n, T) or (n, T, K), names (T), censor (n, T).
    """
    scores = [
        evaluate(name, truth[:, t], answer[:, t], None if censor is None else censor[:, t]) for t in range(len(names))
    ]
    defined = [score.value for score in scores if score.value is not None]
    skipped = [f"{names[t]}: {score.reason}" for t, score in enumerate(scores) if score.value is None]
    mean = float(np.mean(defined)) if defined else None
    rows, unanswered = sum(score.rows for score in scores), sum(score.unanswered for score in scores)
    return Score(mean, "; ".join(skipped), len(defined), len(skipped), rows, unanswered, tuple(scores)), scores

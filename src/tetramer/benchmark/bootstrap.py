"""Two models on one test part: the interval of the difference of any metric, by resampling molecules.

A resample is a row of counts, how often each molecule was drawn. Most metrics take a whole block of such rows at once.
It says what the choice of test molecules leaves unsure; the training part stays as it is, see `significance.compare`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetramer.benchmark.significance import MARGIN, Difference, error_of
from tetramer.errors import UserError, pick
from tetramer.metrics import METRICS, Undefined, chosen

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], Floats]  # counts (B, n) → the metric of each resample (B,), NaN where undefined
CELLS = 4_000_000  # counts held at a time
GROUPS = 500  # jackknife: molecules are left out one by one up to so many, then in groups


@dataclass(frozen=True)
class Resampled(Difference):
    """`n` molecules with a label and both answers, `draws` resamples in which the metric is defined.

    better: share of the resamples with less error than the baseline, a tie half.
    """

    n: int
    draws: int
    better: float


def compare_on_test(
    metric: str,
    truth: Floats,
    candidate: Floats,
    baseline: Floats,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    margin: float = MARGIN,
) -> Resampled:
    """BCa interval (Efron 1987, doi:10.1080/01621459.1987.10478410) of the paired difference of one metric's error.

    truth (n,) with NaN where nobody measured; candidate, baseline (n,) or (n, K), NaN where none was given: only rows
    with all three count. Both models see the same resamples. The error of a metric of which more is better is
    1 − metric, so below 0 the candidate is better. Same numbers, same seed, same interval.

    Errors: a metric that is undefined here, or in more than half of the resamples.
    """
    tables = (side[:, None] if side.ndim == 1 else side[:, None, :] for side in (candidate, baseline))
    ours, theirs = ([table] for table in tables)
    return compare_targets(metric, truth[:, None], ours, theirs, draws, seed, level, margin)


def compare_targets(
    metric: str,
    truth: Floats,
    candidate: Sequence[Floats],
    baseline: Sequence[Floats],
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    margin: float = MARGIN,
    molecule: NDArray[np.int64] | None = None,
) -> Resampled:
    """`compare_on_test` of the mean over T targets, and over the training seeds of each side.

    truth (n, T); candidate, baseline: of each seed (n, T) or (n, T, K). A resample draws molecules with all their
    rows and targets; targets without a value, here or in a resample, are left out of its mean.
    molecule: (n,) equal where rows are of one; None: each row is one
    """
    pick(METRICS, metric, "metric")
    every = [*candidate, *baseline]
    known = ~np.isnan(truth)
    for side in every:
        known &= ~np.isnan(side if side.ndim == 2 else side.sum(axis=2))
    rows = np.asarray(known.any(axis=1))
    sides = [[side[rows] for side in seeds] for seeds in (candidate, baseline)]
    targets = _targets(metric, truth[rows], known[rows], *sides)
    base = float(np.mean([target.base for target in targets]))
    gap = float(np.mean([target.gap for target in targets]))
    rng = np.random.Generator(np.random.Philox(seed))
    owner = np.arange(len(rows)) if molecule is None else molecule
    owner = np.unique(owner[rows], return_inverse=True)[1].reshape(-1)  # (rows with a label,) which molecule
    n = int(owner.max()) + 1
    drawn = _gaps(targets, (counts[:, owner] for counts in _resamples(rng, n, draws)))
    if 2 * len(drawn) < draws:
        raise UserError(
            f"{metric} is undefined in {draws - len(drawn)} of {draws} resamples of {n} molecules, most often because "
            "one class is missing; take another metric or a larger test part."
        )
    low, high = bca(drawn, gap, _gaps(targets, (counts[:, owner] for counts in _left_out(rng, n))), level, n)
    better = float(np.mean((drawn < 0) + (drawn == 0) / 2))
    return Resampled(gap, low, high, base, level, margin, n=n, draws=len(drawn), better=better)


@dataclass(frozen=True)
class _Target:
    """One target: its `rows` (n,) bool, error of the baseline, candidate − baseline, and that of resamples."""

    rows: NDArray[np.bool_]
    base: float
    gap: float
    of: Weighted


def _targets(
    metric: str, truth: Floats, known: NDArray[np.bool_], candidate: Sequence[Floats], baseline: Sequence[Floats]
) -> list[_Target]:
    """The targets on which the metric has a value."""
    found, reason = [], "no labelled rows"
    for target, rows in enumerate(known.T):
        true = truth[rows, target]
        ours, theirs = ([side[rows, target] for side in seeds] for seeds in (candidate, baseline))
        try:
            errors = [
                float(np.mean([error_of(metric, METRICS[metric].of(true, one)) for one in side]))
                for side in (ours, theirs)
            ]
        except Undefined as error:
            reason = str(error)
            continue
        found.append(_Target(rows, errors[1], errors[0] - errors[1], _gap(metric, true, ours, theirs)))
    if not found:
        raise UserError(f"{metric} has no value on this test part: {reason}. Take another metric.")
    return found


def _gap(metric: str, truth: Floats, candidate: Sequence[Floats], baseline: Sequence[Floats]) -> Weighted:
    ours, theirs = ([_weighted(metric, truth, one) for one in side] for side in (candidate, baseline))
    sign = -1.0 if METRICS[metric].higher else 1.0
    return lambda counts: sign * (_mean(ours, counts) - _mean(theirs, counts))


def _mean(seeds: Sequence[Weighted], counts: Floats) -> Floats:
    total: Floats = sum((one(counts) for one in seeds), np.zeros(len(counts)))
    return total / len(seeds)


def _gaps(targets: Sequence[_Target], blocks: Iterable[Floats]) -> Floats:
    """Mean over the targets that have a value, of each resample that has any."""
    found = []
    for block in blocks:
        total, count = np.zeros(len(block)), np.zeros(len(block))
        for target in targets:
            counts = block if target.rows.all() else block[:, target.rows]
            drawn = counts.sum(axis=1) > 0
            values = np.full(len(block), np.nan)
            values[drawn] = target.of(counts[drawn])
            total += np.nan_to_num(values)
            count += ~np.isnan(values)
        found.append(total[count > 0] / count[count > 0])
    return np.concatenate(found)


def bca(drawn: Floats, value: float, jackknife: Floats, level: float, n: int) -> tuple[float, float]:
    """Ends of the bias-corrected and accelerated interval.

    drawn (B,) the statistic on resamples, `value` on the data, jackknife (G,) with parts left out. The ends are the
    quantiles Φ(z₀ + (z₀ + z) / (1 − a (z₀ + z))), where z₀ comes from the share of draws below the value (a tie half)
    and a is the skewness of the jackknife over 6. z is not the normal quantile but that of t with
    n − 1 degrees of freedom times √(n / (n − 1)), because percentiles of resamples of few molecules are too narrow
    (Hesterberg 2015, doi:10.1080/00031305.2015.1089789).
    """
    from scipy.special import ndtr, ndtri, stdtrit

    share = float(np.mean((drawn < value) + (drawn == value) / 2))
    bias = float(ndtri(np.clip(share, 1 / (len(drawn) + 1), len(drawn) / (len(drawn) + 1))))
    away = jackknife.mean() - jackknife if len(jackknife) else np.zeros(1)
    spread = float(np.sum(away**2)) ** 1.5
    skew = float(np.sum(away**3)) / (6 * spread) if spread else 0.0
    wide = stdtrit(max(n - 1, 1), (1 + level) / 2) * np.sqrt(n / max(n - 1, 1))
    z = bias + np.array([-wide, wide])
    low, high = np.quantile(drawn, ndtr(bias + z / np.maximum(1 - skew * z, 1e-3)))
    return float(low), float(high)


def _resamples(rng: np.random.Generator, n: int, draws: int) -> Iterator[Floats]:
    """Blocks (b, n) of counts that add up to n in each row."""
    size = max(1, CELLS // n)
    for start in range(0, draws, size):
        b = min(size, draws - start)
        cells = rng.integers(0, n, (b, n)) + n * np.arange(b)[:, None]
        yield np.bincount(cells.ravel(), minlength=b * n).reshape(b, n).astype(float)


def _left_out(rng: np.random.Generator, n: int) -> Iterator[Floats]:
    """Blocks of counts in which one molecule, or one of GROUPS random groups, is 0 and every other 1.

    Groups serve for the acceleration, because the third moments of sums of independent numbers add up as the second do.
    """
    groups = min(n, GROUPS)
    owner = rng.permutation(n) % groups
    size = max(1, CELLS // n)
    for start in range(0, groups, size):
        yield (owner != np.arange(start, min(start + size, groups))[:, None]).astype(float)


def _weighted(metric: str, truth: Floats, answer: Floats) -> Weighted:
    """The metric as a function of counts; the last line serves every metric, one resample at a time."""
    if metric in LOSSES:
        losses, finish = LOSSES[metric]
        each = losses(truth, answer)
        return lambda counts: finish(counts @ each / counts.sum(axis=1))
    if metric in CURVES:
        return CURVES[metric](truth, answer)
    return lambda counts: np.array([_of_one(metric, truth, answer, row) for row in counts])


def _of_one(metric: str, truth: Floats, answer: Floats, counts: Floats) -> float:
    rows = np.repeat(np.arange(len(truth)), counts.astype(np.int64))
    try:
        return METRICS[metric].of(truth[rows], answer[rows])
    except Undefined:
        return float("nan")


def _surprise(truth: Floats, answer: Floats) -> Floats:
    """−ln of the probability given to the true class, as `metrics.log_loss` has it."""
    table = answer if answer.ndim == 2 else np.stack([1 - answer, answer], axis=1)
    given: Floats = table[np.arange(len(truth)), truth.astype(np.int64)]
    return -np.log(np.clip(given, 1e-15, 1))


def _same(values: Floats) -> Floats:
    return values


# metric → (loss of each row, what is done to the mean loss)
LOSSES: dict[str, tuple[Callable[[Floats, Floats], Floats], Callable[[Floats], Floats]]] = {
    "rmse": (lambda truth, answer: (truth - answer) ** 2, np.sqrt),
    "mae": (lambda truth, answer: np.abs(truth - answer), _same),
    "accuracy": (lambda truth, answer: (chosen(answer) == truth).astype(float), _same),
    "log-loss": (_surprise, _same),
}


def _r2(truth: Floats, answer: Floats) -> Weighted:
    middle = truth - truth.mean()  # squares of large numbers would lose their digits
    squares = (truth - answer) ** 2

    def of(counts: Floats) -> Floats:
        spread = counts @ middle**2 - (counts @ middle) ** 2 / counts.sum(axis=1)
        empty = spread <= 1e-12 * (counts @ middle**2)
        return np.where(empty, np.nan, 1 - counts @ squares / np.where(empty, 1, spread))

    return of


def _steps(truth: Floats, score: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """counts (B, n) → positives and negatives (B, g) at each of the g different scores, ascending."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    positive = (truth[order] == 1).astype(float)

    def of(counts: Floats) -> tuple[Floats, Floats]:
        drawn = np.take(counts, order, axis=1)
        hits = drawn * positive
        drawn -= hits
        if len(starts) == len(order):
            return hits, drawn
        return np.add.reduceat(hits, starts, axis=1), np.add.reduceat(drawn, starts, axis=1)

    return of


def _roc_auc(truth: Floats, answer: Floats) -> Weighted:
    steps = _steps(truth, answer)

    def of(counts: Floats) -> Floats:
        hits, misses = steps(counts)
        pairs = hits.sum(axis=1) * misses.sum(axis=1)
        below = np.cumsum(misses, axis=1) - misses / 2
        return np.where(pairs > 0, np.sum(hits * below, axis=1) / np.maximum(pairs, 1), np.nan)

    return of


def _prc_auc(truth: Floats, answer: Floats) -> Weighted:
    steps = _steps(truth, -answer)

    def of(counts: Floats) -> Floats:
        hits, misses = steps(counts)
        found = np.cumsum(hits, axis=1)
        shown = found + np.cumsum(misses, axis=1)
        total = hits.sum(axis=1)
        value = np.sum(hits * found / np.maximum(shown, 1), axis=1) / np.maximum(total, 1)
        return np.where((total > 0) & (misses.sum(axis=1) > 0), value, np.nan)

    return of


CURVES: dict[str, Callable[[Floats, Floats], Weighted]] = {"r2": _r2, "roc-auc": _roc_auc, "prc-auc": _prc_auc}

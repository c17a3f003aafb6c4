"""Is one method better than another? Paired statistics over splits and data sets; errors, so less is better.

Two rows are compared only where they stand on the same split, by its hash. The interval is the answer and the p-value
goes with it; what is small enough not to matter is said beforehand, as a share of the baseline's error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError, pick
from tetramer.metrics import METRICS, ranks

Floats = NDArray[np.float64]
K = TypeVar("K")
ALPHA = 0.05
MARGIN = 0.01  # of the baseline's error: nobody would choose a method for less


@dataclass(frozen=True)
class Row:
    """One finished result: `method` on one split (its SHA-256) of `data`, fitted on `train` and tested on `test` rows.

    `train` counts the validation rows where the method was fitted on them too.
    """

    method: str
    data: str
    split: str
    error: float
    train: int
    test: int


def error_of(metric: str, value: float) -> float:
    """`value` where less is better, else 1 − value: the error of ROC AUC 0.9 is 0.1."""
    return 1 - value if pick(METRICS, metric, "metric").higher else value


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline, in the unit of the error, with the ends of its interval at `level`; below 0 is better.

    `margin` is the share of the baseline's error `baseline` within which two methods count as the same.
    """

    difference: float
    low: float
    high: float
    baseline: float
    level: float
    margin: float

    def _share(self, value: float) -> float:
        if self.baseline == 0:
            return 0.0 if value == 0 else float(np.copysign(np.inf, value))
        return value / self.baseline

    @property
    def percent(self) -> tuple[float, float, float]:
        """Difference, low and high in percent of the baseline's mean error, which is taken as known."""
        return 100 * self._share(self.difference), 100 * self._share(self.low), 100 * self._share(self.high)

    @property
    def verdict(self) -> str:
        """What the interval settles; equivalence goes first, so a sure but tiny gain is "practically the same"."""
        low, high = self._share(self.low), self._share(self.high)
        if -self.margin <= low and high <= self.margin:
            return "practically the same"
        return "better" if high < 0 else "worse" if low > 0 else "not settled"


@dataclass(frozen=True)
class Paired(Difference):
    """Two methods over `n` splits of one data set.

    p: corrected for overlap, as the interval. wins: share of the splits with less error, a tie half. shared: what was
    taken as the correlation of two splits.
    """

    n: int
    p: float
    wins: float
    shared: float


@dataclass(frozen=True)
class Ratio(Difference):
    """Geometric mean over data sets of error / baseline's error; `difference` is `value` − 1 and `baseline` is 1.

    sets: data set → ratio; p: two-sided, of no difference.
    """

    value: float
    p: float
    sets: Mapping[str, float]


def settled(verdict: str, p: float | None) -> str:
    """The verdict of one of several comparisons: better and worse need a p, corrected for their number, of 5 % or less.

    An interval is of one comparison; of twenty equal methods one is "better" by its interval.
    """
    return verdict if verdict not in ("better", "worse") or (p is not None and p <= ALPHA) else "not settled"


def compare(
    candidate: Sequence[Row],
    baseline: Sequence[Row],
    shared: float | None = None,
    level: float = 0.95,
    margin: float = MARGIN,
) -> Paired:
    """The corrected resampled t-test of Nadeau & Bengio (2003, doi:10.1023/A:1024068626366) on one data set.

    The J split-wise differences d share molecules, so the variance of their mean is not s² / J but
    s² (1 / J + ρ / (1 − ρ)), with ρ the correlation of two splits. Nadeau and Bengio take ρ = n_test / (n_test +
    n_train), so that ρ / (1 − ρ) = n_test / n_train; that is the share of its molecules that a random test part has in
    common with another. Scaffold splits keep the largest scaffolds in train, so that their test parts have more in
    common, and what is learned from these scaffolds is in every split: give ρ as `shared`, from
    `correlation.correlation`; None takes that of Nadeau and Bengio. t has J − 1 degrees of freedom.

    What is asked is whether the methods differ on such data sets (another draw of molecules), not on this one only. At
    5 % nominal equal methods are told apart on 5 to 6 % of drawn data sets with random splits and on 3 to 7 % with
    scaffolds as large as ESOL's and FreeSolv's, whose share in the features ranges from nothing to a half (plain t: 16
    to 53 %; with the overlap alone 5 to 11 %); on 3 % where both learn one function, and on 1 % where they differ by
    training seeds only (`benchmarks/null_simulation.py`).

    Several rows of a method on a split (training seeds) count as one, by their mean.

    Errors: rows on different splits or of several data sets, fewer than 2 splits.
    """
    from scipy import stats

    sets = sorted({row.data for row in (*candidate, *baseline)})
    if len(sets) > 1:
        raise UserError(f"The rows are of several data sets ({', '.join(sets)}); compare one at a time, or by `ratio`.")
    pairs = paired(candidate, baseline)
    n = len(pairs)
    if n < 2:
        raise UserError(f"{n} split is too few to compare methods by their splits; run at least 2, better 10.")
    ours, theirs, share = np.array(list(pairs.values())).T
    gaps = ours - theirs
    rho = min(float(share.mean()) if shared is None else shared, 1 - 1e-9)
    mean, sd = float(gaps.mean()), float(gaps.std(ddof=1))
    if np.ptp(gaps) <= 1e-12 * np.abs(gaps).max():
        sd = 0.0  # the sd of equal numbers is not always 0 in floating point
    error = sd * float(np.sqrt(1 / n + rho / (1 - rho)))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    return Paired(
        difference=mean,
        low=mean - half,
        high=mean + half,
        baseline=float(theirs.mean()),
        level=level,
        margin=margin,
        n=n,
        p=_two_sided(mean, error, n - 1),
        wins=float(np.mean((gaps < 0) + (gaps == 0) / 2)),
        shared=rho,
    )


def _two_sided(mean: float, error: float, freedom: int) -> float:
    """p of Student's t; without any spread, as coarse metrics on few splits can have it, 1: nothing is known of it."""
    from scipy import stats

    if error == 0:
        return 1.0
    return float(2 * stats.t.sf(abs(mean / error), freedom))


def paired(candidate: Sequence[Row], baseline: Sequence[Row]) -> dict[tuple[str, str], tuple[float, float, float]]:
    """(data set, split) → (error, baseline's error, n_test / (n_test + n_train)), in sorted order.

    Errors: a split that only one side has, an error that is not a number, a side with several methods.
    """
    ours, theirs = _by_split(candidate), _by_split(baseline)
    alone = sorted(set(ours) ^ set(theirs))
    if alone:
        data, split = alone[0]
        raise UserError(
            f"{candidate[0].method if candidate else 'The candidate'!r} and "
            f"{baseline[0].method if baseline else 'the baseline'!r} were not tested on the same splits: "
            f"{len(alone)} stand on one side only, the first is {split[:12]} of {data!r}. Numbers are never compared "
            "across splits; run what is missing, or leave those splits out on both sides."
        )
    return {key: (*_mean(ours[key], theirs[key]), _share(theirs[key])) for key in sorted(ours)}


def _by_split(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    methods = sorted({row.method for row in rows})
    if len(methods) > 1:
        raise UserError(f"One side of a comparison holds several methods ({', '.join(methods)}); give it one.")
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if not np.isfinite(row.error):
            raise UserError(
                f"{row.method!r} has no error on split {row.split[:12]} of {row.data!r}; leave that split out on both "
                "sides, or take a metric that is defined there."
            )
        found.setdefault((row.data, row.split), []).append(row)
    return found


def _mean(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[float, float]:
    return float(np.mean([row.error for row in ours])), float(np.mean([row.error for row in theirs]))


def _share(rows: Sequence[Row]) -> float:
    return rows[0].test / (rows[0].test + rows[0].train)


def holm(p: Sequence[float] | Floats) -> Floats:
    """Holm's step-down correction (1979, https://www.jstor.org/stable/4615733): (n,) p-values in the order given.

    One that is at most α is significant at α when the chance of any false finding among the n is to be at most α.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    out = np.empty(len(values))
    out[order] = np.minimum(steps, 1)
    return out


def corrected(p: Mapping[K, float | None]) -> dict[K, float]:
    """`holm` over those that have a p."""
    tested = {key: value for key, value in p.items() if value is not None}
    return dict(zip(tested, holm([*tested.values()]).tolist(), strict=True))


def ratio(candidate: Sequence[Row], baseline: Sequence[Row], level: float = 0.95, margin: float = MARGIN) -> Ratio:
    """How much smaller the error is over all data sets: geometric mean over sets of that over the splits of a set.

    Each set counts once, however many splits it has. The interval is Student's t on the logarithms of the sets' ratios:
    the sets are the sample, so it holds for further sets like these, and what the splits of a set leave unsure is part
    of the spread between sets. (A bootstrap of ten sets is too narrow.)

    Errors: as `paired`; an error of 0, whose ratio is undefined; fewer than 2 data sets.
    """
    from scipy import stats

    logs: dict[str, list[float]] = {}
    for (data, split), (ours, theirs, _) in paired(candidate, baseline).items():
        if min(ours, theirs) <= 0:
            raise UserError(
                f"An error on split {split[:12]} of {data!r} is not above 0, so a ratio of errors is undefined; leave "
                "the data set out, or compare differences."
            )
        logs.setdefault(data, []).append(float(np.log(ours / theirs)))
    if len(logs) < 2:
        raise UserError(f"A mean over data sets needs at least 2 of them, and the rows are of {len(logs)}.")
    each = {data: float(np.mean(values)) for data, values in logs.items()}
    values = np.array(list(each.values()))
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    value, low, high = (float(np.exp(end)) for end in (mean, mean - half, mean + half))
    sets = {data: float(np.exp(log)) for data, log in each.items()}
    p = _two_sided(mean, error, len(values) - 1)
    return Ratio(value - 1, low - 1, high - 1, 1.0, level, margin, value=value, p=p, sets=sets)


@dataclass(frozen=True)
class Ranking:
    """Methods by their mean rank over `n` data sets, best first; what a critical-difference diagram draws.

    critical: two mean ranks that lie at least so far apart differ. cliques: largest runs of methods, two or more, none
    of which differ. statistic, p: Friedman's χ² with its correction for ties; f_p: Iman and Davenport's F of it.
    """

    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    critical: float
    cliques: tuple[tuple[str, ...], ...]
    statistic: float
    p: float
    f_p: float
    n: int


def rank_methods(methods: Sequence[str], errors: Floats, alpha: float = 0.05) -> Ranking:
    """Friedman's test and Nemenyi's critical difference (Demšar 2006, https://jmlr.org/papers/v7/demsar06a.html).

    errors (N data sets, k methods), one mean error each. CD = q √(k (k + 1) / 6 N), q the studentised range's quantile
    for k and ∞ over √2. With few sets CD is wide: k methods on N sets tell only mean ranks CD apart.
    """
    from scipy import stats

    table = np.asarray(errors, dtype=float)
    n, k = table.shape
    if n < 2 or k < 2 or not np.isfinite(table).all():
        raise UserError(
            f"Mean ranks need an error of every method on every data set, of at least 2 each; the table has {n} data "
            f"sets, {k} methods and {int((~np.isfinite(table)).sum())} empty cells."
        )
    placed = np.stack([ranks(row) for row in table])
    mean = placed.mean(axis=0)
    spread = float(np.sum((placed - (k + 1) / 2) ** 2))
    statistic = n**2 * (k - 1) * float(np.sum((mean - (k + 1) / 2) ** 2)) / spread if spread else 0.0
    rest = n * (k - 1) - statistic  # 0 where all sets agree
    f_p = float(stats.f.sf((n - 1) * statistic / rest, k - 1, (k - 1) * (n - 1))) if rest > 1e-9 * n else 0.0
    critical = float(stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)))
    order = np.argsort(mean, kind="stable")
    names = tuple(methods[i] for i in order)
    return Ranking(
        methods=names,
        mean_ranks=tuple(mean[order].tolist()),
        critical=critical,
        cliques=tuple(names[first : last + 1] for first, last in _runs(mean[order], critical)),
        statistic=statistic,
        p=float(stats.chi2.sf(statistic, k - 1)),
        f_p=f_p,
        n=n,
    )


def _runs(mean: Floats, critical: float) -> list[tuple[int, int]]:
    """First and last place of the largest runs, two or more long, whose ends lie closer than `critical`.

    mean (k,) ascends.
    """
    ends = np.searchsorted(mean, mean + critical - 1e-12, side="left") - 1
    longest = np.diff(ends, prepend=-1) > 0
    return [(i, int(end)) for i, end in enumerate(ends) if longest[i] and end > i]

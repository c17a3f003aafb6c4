r"""Data efficiency: how good a method is when it learns from few rows, in one number.

With :math:`I = \{2^k / 80 : k = 0 … 6\}` the shares of the rows that are learned from, DEM is the mean over I of the
metric on all other rows (Honda, Shi and Ueda, arXiv:1911.04738).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from tetramer.benchmark.grouping import Finished, ordered, value_of
from tetramer.benchmark.significance import Row, error_of
from tetramer.benchmark.standing import Overlaps, Pair, overlap_of, pair_of
from tetramer.checkpoint import config_hash
from tetramer.metrics import METRICS

DEM = "dem"
SHARES = tuple(2.0**k / 80 for k in range(7))  # 1.25 % to 80 %
RULES = tuple(f"{DEM}-{share:g}" for share in SHARES)


@dataclass(frozen=True)
class Efficiency:
    """DEM of every method on one data set, best first; `means` are those of the seven shares, smallest share first.

    splits: of every method, DEM by what was asked: a hash of its splits, one of each share by one seed, and of the
    labels. overlap: the largest correlation that the splits of a share have. lacks: methods without a value on every
    share.
    """

    data: str
    fit_rows: str
    metric: str
    higher: bool
    methods: tuple[str, ...]
    dem: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    splits: tuple[Mapping[str, float], ...]
    overlap: float
    lacks: tuple[str, ...]

    def by_split(self, methods: Sequence[str]) -> dict[str, list[float]]:
        """DEM by what was asked, one number each of the methods, such as the seeds of an encoder."""
        found: dict[str, list[float]] = {}
        for method, own in zip(self.methods, self.splits, strict=True):
            for asked, value in own.items() if method in methods else ():
                found.setdefault(asked, []).append(value)
        return found

    def over_splits(self, methods: Sequence[str]) -> list[float]:
        """The mean of the methods on each split."""
        return [fmean(told) for told in self.by_split(methods).values()]

    def sd(self, methods: Sequence[str]) -> float | None:
        """Standard deviation over splits; None of a single one."""
        told = self.over_splits(methods)
        return stdev(told) if len(told) > 1 else None

    def minus(self, methods: Sequence[str], others: Sequence[str]) -> Pair | None:
        """The mean of the methods minus that of others on each split that both have; None without any.

        The interval takes the splits for as alike as those of the share where they are most alike.
        """
        sides = [self.by_split(names) for names in (methods, others)]
        ours, theirs = (
            [
                Row(name, self.data, asked, error_of(self.metric, value), 1, 1)
                for asked in sorted(set(sides[0]) & set(sides[1]))
                for value in side[asked]
            ]
            for name, side in zip(("ours", "theirs"), sides, strict=True)
        )
        return pair_of(ours, theirs, self.higher, self.overlap) if ours else None


def efficiencies(rows: Iterable[Finished], overlaps: Overlaps) -> list[Efficiency]:
    """One for each data set and fitted rows that has all seven shares."""
    groups: dict[tuple[str, str], list[Finished]] = {}
    for row in ordered(rows):
        if row["class"] == DEM:
            groups.setdefault((row["data"], row["fit_rows"]), []).append(row)
    return [
        _efficiency(*key, told, overlaps)
        for key, told in groups.items()
        if {row["split"] for row in told} >= set(RULES)
    ]


def _efficiency(data: str, fit_rows: str, rows: Sequence[Finished], overlaps: Overlaps) -> Efficiency:
    """rows: of one data set, in the order of their methods"""
    metric = rows[0]["metric"]
    found: dict[str, dict[str, dict[int, Finished]]] = {}  # method → rule → seed → row
    for row in rows:
        if value_of(row) is not None:
            found.setdefault(row["method"], {}).setdefault(row["split"], {})[row["seed"]] = row
    told = {method: [own[rule] for rule in RULES] for method, own in found.items() if set(RULES) <= set(own)}
    means = {method: tuple(_mean(share.values()) for share in shares) for method, shares in told.items()}
    dem = {method: fmean(values) for method, values in means.items()}
    order = sorted(dem, key=lambda method: (error_of(metric, dem[method]), method))
    several = len({row["seed"] for row in rows}) > 1
    return Efficiency(
        data=data,
        fit_rows=fit_rows,
        metric=metric,
        higher=METRICS[metric].higher,
        methods=tuple(order),
        dem=tuple(dem[method] for method in order),
        means=tuple(means[method] for method in order),
        splits=tuple(_by_split(told[method]) for method in order),
        overlap=max(overlap_of(overlaps, data, rule) for rule in RULES) if several else 0.0,
        lacks=tuple(sorted({row["method"] for row in rows} - set(dem))),
    )


def _by_split(shares: Sequence[Mapping[int, Finished]]) -> dict[str, float]:
    """What was asked → DEM, of the seeds that all shares have."""
    found = {}
    for seed in sorted(set.intersection(*map(set, shares))):
        rows = [share[seed] for share in shares]
        asked = [[row["split_sha256"], (row.get("cells") or {}).get(row["metric"])] for row in rows]
        found[config_hash(asked)] = _mean(rows)
    return found


def _mean(rows: Iterable[Finished]) -> float:
    return fmean(value for row in rows if (value := value_of(row)) is not None)

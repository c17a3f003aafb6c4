r"""Data efficiency: how good a method is when it learns from few rows, in one number.

With :math:`I = \{2^k / 80 : k = 0 … 6\}` the shares of the rows that are learned from, DEM is the mean over I of the
metric on all other rows (Honda, Shi and Ueda, arXiv:1911.04738).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tetramer.benchmark.significance import error_of
from tetramer.benchmark.standing import Standing

DEM = "dem"
SHARES = tuple(2.0**k / 80 for k in range(7))  # 1.25 % to 80 %
RULES = tuple(f"{DEM}-{share:g}" for share in SHARES)


@dataclass(frozen=True)
class Efficiency:
    """DEM of every method on one data set, best first; `means` are those of the seven shares, smallest share first.

    lacks: methods without a value on every share.
    """

    data: str
    fit_rows: str
    metric: str
    higher: bool
    methods: tuple[str, ...]
    dem: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    lacks: tuple[str, ...]


def efficiencies(tables: Sequence[Standing]) -> list[Efficiency]:
    """One for each data set and fitted rows that has all seven shares."""
    groups: dict[tuple[str, str], dict[str, Standing]] = {}
    for table in tables:
        if table.setting.letter == DEM:
            groups.setdefault((table.data, table.setting.fit_rows), {})[table.setting.rule] = table
    return [
        _efficiency(*key, [found[rule] for rule in RULES]) for key, found in groups.items() if set(RULES) <= set(found)
    ]


def _efficiency(data: str, fit_rows: str, tables: Sequence[Standing]) -> Efficiency:
    """tables: of one data set, one a share."""
    metric, higher = tables[0].metric, tables[0].higher
    means: dict[str, list[float]] = {line.method: [] for table in tables for line in table.lines}
    for table in tables:
        for line in table.lines:
            if line.mean is not None:
                means[line.method].append(line.mean)
    dem = {method: sum(values) / len(SHARES) for method, values in means.items() if len(values) == len(SHARES)}
    order = sorted(dem, key=lambda method: (error_of(metric, dem[method]), method))
    return Efficiency(
        data=data,
        fit_rows=fit_rows,
        metric=metric,
        higher=higher,
        methods=tuple(order),
        dem=tuple(dem[method] for method in order),
        means=tuple(tuple(means[method]) for method in order),
        lacks=tuple(sorted(set(means) - set(dem))),
    )

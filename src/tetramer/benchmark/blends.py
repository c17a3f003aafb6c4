"""Blends beside their best members, and what the intervals of methods did: finished rows → one line a data set."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tetramer.benchmark.grouping import Finished, Setting, as_rows, by_table, defined, members_of, value_of, values
from tetramer.benchmark.significance import corrected, error_of, settled
from tetramer.benchmark.standing import Overlaps, overlap_of, pair_of, spread
from tetramer.errors import pick
from tetramer.metrics import METRICS


@dataclass(frozen=True)
class Blend:
    """A blend against its best member, which is chosen by its mean error on the same splits: that favours the member.

    ratio: of the mean errors. difference, low, high: blend minus member, in the metric's own direction. weights: means.
    """

    setting: Setting
    data: str
    method: str
    metric: str
    splits: int
    mean: float
    best: str
    best_mean: float
    ratio: float | None
    difference: float
    low: float | None
    high: float | None
    verdict: str
    weights: Mapping[str, float]
    p: float | None = None


@dataclass(frozen=True)
class Interval:
    """The intervals of a method on one data set: means over `rows` rows, and the sd of the coverage."""

    setting: Setting
    data: str
    method: str
    rows: int
    level: float
    coverage: float
    coverage_sd: float | None
    width: float
    rank_correlation: float | None


def mean_error(rows: Sequence[Finished], member: str = "") -> float:
    """Mean error of the rows, or of a member of their blends."""
    return float(np.mean([error_of(rows[0]["metric"], value) for value in values(rows, member)]))


def members(rows: Iterable[Finished], overlaps: Overlaps) -> list[Blend]:
    """Every blend on every data set beside its best member."""
    found = []
    for (setting, data), methods in by_table(rows).items():
        for method, splits in methods.items():
            kept = {sha: [row for row in rows if members_of(row)] for sha, rows in defined(splits).items()}
            kept = {sha: rows for sha, rows in kept.items() if rows}
            if kept:
                shared = overlap_of(overlaps, data, setting.rule) if len(kept) > 1 else 0.0
                found += _blend(setting, data, method, kept, shared)
    settings = dict.fromkeys(blend.setting for blend in found)
    return [one for setting in settings for one in _corrected([two for two in found if two.setting == setting])]


def _corrected(blends: Sequence[Blend]) -> list[Blend]:
    """Blends of one setting; their verdicts need a p that is corrected for their number."""
    p = corrected({place: blend.p for place, blend in enumerate(blends)})
    return [replace(blend, verdict=settled(blend.verdict, p.get(place))) for place, blend in enumerate(blends)]


def _blend(setting: Setting, data: str, method: str, splits: dict[str, list[Finished]], shared: float) -> list[Blend]:
    every = [row for rows in splits.values() for row in rows]
    names = [name for name in sorted(members_of(every[0])) if all(value_of(row, name) is not None for row in every)]
    if not names:
        return []
    metric = every[0]["metric"]
    higher = pick(METRICS, metric, "metric").higher
    errors = {
        name: float(np.mean([mean_error(rows, name) for rows in splits.values()])) for name in ("", *names)
    }  # "" is the blend
    best = min(names, key=lambda name: (errors[name], name))
    pair = pair_of(as_rows(splits, splits), as_rows(splits, splits, best), higher, shared)
    weights = sorted({name for row in every for name in row.get("weights") or {}})
    return [
        Blend(
            setting=setting,
            data=data,
            method=method,
            metric=metric,
            splits=len(splits),
            mean=error_of(metric, errors[""]),  # 1 − (1 − value)
            best=best,
            best_mean=error_of(metric, errors[best]),
            ratio=errors[""] / errors[best] if errors[best] > 0 else None,
            difference=pair.difference,
            low=pair.low,
            high=pair.high,
            verdict=pair.verdict,
            weights={name: float(np.mean([row["weights"].get(name, 0.0) for row in every])) for name in weights},
            p=pair.p,
        )
    ]


def intervals(rows: Iterable[Finished]) -> list[Interval]:
    """Every method with intervals on every data set. A split has few rows, so only means over splits say much."""
    found = []
    for (setting, data), methods in by_table(rows).items():
        for method, splits in methods.items():
            told = [row["interval"] for rows in splits.values() for row in rows if row.get("interval")]
            if told:
                covered = [float(one["coverage"]) for one in told]
                order = [one["rank_correlation"] for one in told if math.isfinite(one["rank_correlation"] or 0)]
                order = [float(one) for one in order if one is not None]
                width, middle = float(np.mean([one["width"] for one in told])), float(np.mean(covered))
                knows = float(np.mean(order)) if order else None
                found.append(
                    Interval(setting, data, method, len(told), told[0]["level"], middle, spread(covered), width, knows)
                )
    return found

"""Finished rows of one data set → one table: means, and paired differences from a reference method.

Only like stands beside like: a table has one class, one rule of splits, one set of fitted rows and one data set. Two
methods are compared on the splits that both have, by SHA-256, and only where both were judged on the same labels.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from tetramer.benchmark.grouping import (
    Finished,
    Setting,
    Splits,
    as_rows,
    by_table,
    common,
    defined,
    source_of,
    split_of,
    value_of,
    values,
)
from tetramer.benchmark.one_split import on_test
from tetramer.benchmark.significance import MARGIN, Difference, Row, compare, corrected, error_of, paired, settled
from tetramer.datasets.sources import SOURCES
from tetramer.errors import UserError, pick
from tetramer.metrics import METRICS

Overlaps = Mapping[str, Mapping[str, float]]  # data set → rule → `correlation.correlation` of its splits

VERDICTS = ("better", "practically the same", "not settled", "worse")
UNTESTED = "one split, no test"


@dataclass(frozen=True)
class Pair:
    """A method minus the reference over the `splits` that both have; `gaps` are the differences, split by split.

    difference, low, high, gaps: in the metric's own direction. percent, percent_low, percent_high: of the reference's
    error, below 0 is better. Of one split p is None, and low and high are over its test molecules, None where a row
    kept no answers. p is corrected for the overlap of the splits, holm also for the number of methods in the table.
    wins: share of the splits with less error, a tie half.
    """

    splits: int
    difference: float
    low: float | None
    high: float | None
    percent: float
    percent_low: float | None
    percent_high: float | None
    p: float | None
    holm: float | None
    verdict: str
    wins: float
    gaps: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """A method on one data set: mean of the first metric over its splits, None if it has none, and its sd.

    rows, splits: how many have a value. fitted, tested: least and most rows. seconds: mean. pair: None for the
    reference, and where nothing can be compared. others: means of the metrics beside the first.
    """

    method: str
    mean: float | None
    sd: float | None
    rows: int
    splits: int
    fitted: tuple[int, int] | None
    tested: tuple[int, int] | None
    seconds: float | None
    pair: Pair | None
    others: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """One data set under one setting, best method first, behind them those that were not measured on every split.

    splits: seed → SHA-256; spread: what ± means; source: the public set that it is, if it is one.
    """

    setting: Setting
    data: str
    data_sha256: str
    metric: str
    higher: bool
    reference: str
    spread: str
    correlation: float | None
    splits: Mapping[int, str]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    source: str | None = None


def tables(rows: Iterable[Finished], overlaps: Overlaps, against: str) -> list[Standing]:
    """One table for each (class, rule of splits, fitted rows, data set), every method against `against`."""
    return [_table(*key, methods, overlaps, against) for key, methods in by_table(rows).items()]


def overlap_of(overlaps: Overlaps, data: str, rule: str) -> float:
    """What the test parts have in common; UserError if nobody noted it, as intervals without it are too narrow."""
    if rule not in overlaps.get(data, {}):
        raise UserError(
            f"Nobody noted how much the test parts of {data!r} by {rule!r} overlap, and intervals need it. "
            "Run the benchmark again: finished rows are kept, and it notes what is missing."
        )
    return overlaps[data][rule]


def pair_of(candidate: Sequence[Row], baseline: Sequence[Row], higher: bool, shared: float) -> Pair:
    """`compare` in the metric's own direction; one split has a difference and no test."""
    told = paired(candidate, baseline).values()
    gaps = [ours - theirs for ours, theirs, _ in told]
    wins = float(np.mean([(gap < 0) + (gap == 0) / 2 for gap in gaps]))
    own = tuple(_signed(gap, higher) for gap in gaps)
    if len(gaps) < 2:
        level = next(theirs for _, theirs, _ in told)
        percent = Difference(gaps[0], gaps[0], gaps[0], level, 0.0, MARGIN).percent[0]
        return Pair(1, own[0], None, None, percent, None, None, None, None, UNTESTED, wins, own)
    found = compare(candidate, baseline, shared)
    low, high = sorted((_signed(found.low, higher), _signed(found.high, higher)))
    difference = _signed(found.difference, higher)
    return Pair(found.n, difference, low, high, *found.percent, found.p, None, found.verdict, wins, own)


def _signed(gap: float, higher: bool) -> float:
    return -gap + 0.0 if higher else gap  # + 0.0: no negative zero


def _table(setting: Setting, data: str, methods: dict[str, Splits], overlaps: Overlaps, against: str) -> Standing:
    first = next(row for splits in methods.values() for one in splits.values() for row in one)
    metric = first["metric"]
    higher = pick(METRICS, metric, "metric").higher
    rows = [row for splits in methods.values() for rows in splits.values() for row in rows]
    seeds = {row["seed"]: row["split_sha256"] for row in rows}
    count = len({split_of(row) for row in rows})
    several = count > 1
    shared = overlap_of(overlaps, data, setting.rule) if several else None
    pairs = {}
    for method, splits in methods.items():
        shas = common(splits, methods.get(against, {}))
        if shas and method != against:
            pair = pair_of(as_rows(splits, shas), as_rows(methods[against], shas), higher, shared or 0.0)
            ours, theirs = (defined(rows)[shas[0]] for rows in (splits, methods[against]))
            pairs[method] = _over_molecules(pair, ours, theirs, higher) if pair.splits == 1 else pair
    pairs, source = _corrected(pairs), source_of(first)
    lines = [_line(method, splits, pairs.get(method)) for method, splits in methods.items()]
    lines.sort(key=lambda line: _place(line, metric, count))
    return Standing(
        setting=setting,
        data=data,
        data_sha256=first["data_sha256"],
        metric=metric,
        higher=higher,
        reference=against,
        spread=_spread(lines, setting.fit_rows),
        correlation=shared,
        splits={seed: seeds[seed] for seed in sorted(seeds)},
        lines=tuple(lines),
        notes=(*_style(source), *_notes(methods, metric, against, count), *_on_one_split(pairs)),
        source=source,
    )


def _place(line: Line, metric: str, count: int) -> tuple[bool, float, str]:
    """Best first; a mean over fewer splits than others have is another number, and stands behind them."""
    error = math.inf if line.mean is None else error_of(metric, line.mean)
    return line.splits < count, error, line.method


def _style(source: str | None) -> list[str]:
    style = SOURCES[source].style if source else ""
    return [f"The writing of the SMILES tells labels: {style}."] if style else []


def _over_molecules(pair: Pair, ours: Sequence[Finished], theirs: Sequence[Finished], higher: bool) -> Pair:
    """A pair of one split with its interval, where the rows kept their answers."""
    told = on_test(ours, theirs)
    if told is None:
        return pair
    low, high = sorted((_signed(told.low, higher), _signed(told.high, higher)))
    return replace(pair, low=low, high=high, percent_low=told.percent[1], percent_high=told.percent[2])


def _on_one_split(pairs: Mapping[str, Pair]) -> list[str]:
    """What a reader must know of differences on one split."""
    single = {method: pair for method, pair in pairs.items() if pair.splits == 1}
    bare = [method for method, pair in single.items() if pair.low is None]
    notes = []
    if len(bare) < len(single):
        notes.append(
            "The interval of a difference on one split is over its test molecules (BCa); the fits are taken as given."
        )
    if bare:
        which = "All methods" if len(bare) == len(single) else ", ".join(bare)
        notes.append(
            f"{which}: no interval, as no answers were kept, they are of other labels, or a resample has no value."
        )
    return notes


def _corrected(pairs: dict[str, Pair]) -> dict[str, Pair]:
    """With Holm's p over the methods that have a p, and the verdicts that it leaves."""
    p = corrected({method: pair.p for method, pair in pairs.items()})
    return {
        method: replace(pair, holm=p.get(method), verdict=settled(pair.verdict, p.get(method)))
        for method, pair in pairs.items()
    }


def _line(method: str, splits: Splits, pair: Pair | None) -> Line:
    kept = defined(splits)
    rows = [row for rows in kept.values() for row in rows]
    if not rows:
        return Line(method, None, None, 0, 0, None, None, None, pair, {})
    means = [float(np.mean(values(rows))) for rows in kept.values()]
    over = means if len(means) > 1 else values(rows)
    fitted, tested = ([row[name] for row in rows] for name in ("fitted_on", "tested_on"))
    return Line(
        method=method,
        mean=float(np.mean(means)),
        sd=spread(over),
        rows=len(rows),
        splits=len(kept),
        fitted=(min(fitted), max(fitted)),
        tested=(min(tested), max(tested)),
        seconds=float(np.mean([row["cost"]["seconds"] for row in rows])),
        pair=pair,
        others=_others(kept),
    )


def _others(splits: Splits) -> dict[str, float | None]:
    """Means over splits of the other metrics; None where a row has no value."""
    rows = [row for rows in splits.values() for row in rows]
    found: dict[str, float | None] = {}
    for name in (name for name in rows[0]["scores"] if name != rows[0]["metric"]):
        each = [[row["scores"].get(name) for row in one] for one in splits.values()]
        whole = all(value is not None and math.isfinite(value) for one in each for value in one)
        found[name] = float(np.mean([np.mean(one) for one in each])) if whole else None
    return found


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation of a sample; None for one value, exactly 0 for equal ones."""
    return (float(np.std(values, ddof=1)) if np.ptp(values) else 0.0) if len(values) > 1 else None


def _spread(lines: Sequence[Line], fit_rows: str) -> str:
    """What ± means in a table."""
    splits = sorted({line.splits for line in lines if line.splits > 1})
    if splits:
        return f"± is the sd over {splits[0]} split seeds" if len(splits) == 1 else "± is the sd over split seeds"
    seeds = sorted({line.rows for line in lines if line.rows > 1})
    if seeds:
        number = f"{seeds[0]} " if len(seeds) == 1 else ""
        drawn = "and of which rows were drawn to learn from" if ":" in fit_rows else "only"
        return f"± is the sd over {number}training seeds on one split: noise of training {drawn}"
    return "one split and one seed, so no ±" if any(line.rows for line in lines) else "nothing was measured"


def _notes(methods: dict[str, Splits], metric: str, against: str, count: int) -> list[str]:
    """What a reader must know of gaps in a table; methods that share a sentence share a note."""
    said: dict[str, list[str]] = {}
    for method, splits in methods.items():
        for text in _remarks([row for rows in splits.values() for row in rows], metric):
            said.setdefault(text, []).append(method)
        shared = len(common(splits, methods.get(against, {})))
        if against in methods and shared < count and defined(splits):
            text = f"compared on {shared} of {count} splits, where both were judged on the same labels"
            if method == against:
                text = f"the reference has a value on {shared} of {count} splits"
            said.setdefault(text, []).append(method)
    able = [method for method, splits in methods.items() if defined(splits)]
    notes = [f"{'All methods' if named == able else ', '.join(named)}: {text}." for text, named in said.items()]
    if against not in methods:
        notes.append(f"{against} was not measured here, so nothing is compared.")
    return notes


def _remarks(rows: Sequence[Finished], metric: str) -> list[str]:
    found: dict[str, list[int]] = {}
    for row in rows:
        skipped, unanswered = (row.get("skipped") or {}).get(metric, 0), row.get("unanswered", 0)
        if row["refused"]:
            found.setdefault(f"could not be fitted: {row['refused'].rstrip('.')}", []).append(row["seed"])
            continue
        if value_of(row) is None:
            reason = (row.get("undefined") or {}).get(metric, "it is no number").rstrip(".")
            found.setdefault(f"{metric} is undefined: {reason}", []).append(row["seed"])
        elif skipped:
            plural = "target" if skipped == 1 else "targets"
            found.setdefault(f"{skipped} {plural} without {metric}, left out of the mean", []).append(row["seed"])
        if unanswered:
            found.setdefault(f"{unanswered} labelled rows without an answer, left out", []).append(row["seed"])
    return [f"{text} ({'seed' if len(seeds) == 1 else 'seeds'} {spans(seeds)})" for text, seeds in found.items()]


def spans(numbers: Iterable[int]) -> str:
    """0, 1, 2, 5 → "0–2, 5"."""
    runs = groupby(enumerate(sorted(set(numbers))), key=lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in ends)

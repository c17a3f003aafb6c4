"""All finished rows → one comparison: tables, ratios and ranks over data sets, blends, intervals; as JSON and as text.

Values and differences are in the metric's own direction; ratios and percents are of errors, where less is better. The
order of the rows does not matter.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from tetramer.benchmark.agreement import by_metric, check
from tetramer.benchmark.blends import Blend, Interval, intervals, mean_error, members
from tetramer.benchmark.cells import Cell, Spread, column
from tetramer.benchmark.efficiency import Efficiency, efficiencies
from tetramer.benchmark.grouping import Finished, Setting, Splits, as_rows, by_table, common, defined
from tetramer.benchmark.significance import Ranking, Row, corrected, paired, rank_methods, ratio, settled
from tetramer.benchmark.standing import UNTESTED, VERDICTS, Overlaps, Standing, tables
from tetramer.datasets.sources import SOURCES
from tetramer.errors import pick

__all__ = ["Blend", "Interval", "Overall", "Summary", "as_json", "check", "lines", "summarise", "tables"]

FEWEST = 5  # data sets of an interval and a verdict over data sets: two that happen to agree would look sure
DIGITS = 6  # significant ones of a number in JSON


@dataclass(frozen=True)
class Over:
    """A method over the data sets of one setting; `verdicts` counts sets by their verdict.

    ratio: geometric mean over `sets` data sets of error / reference's error; None below 2 sets. low, high, p: None
    below FEWEST. holm: p corrected for the number of methods. lacks: sets; in brackets what is missing, if not all.
    """

    method: str
    sets: int
    ratio: float | None
    low: float | None
    high: float | None
    p: float | None
    holm: float | None
    verdict: str
    verdicts: Mapping[str, int]
    mean_rank: float | None
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class Overall:
    """All data sets of one setting that the reference has. ranking: of the methods that lack nothing."""

    setting: Setting
    reference: str
    sets: tuple[str, ...]
    lines: tuple[Over, ...]
    ranking: Ranking | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """Everything that a comparison says."""

    reference: str
    tables: tuple[Standing, ...]
    overall: tuple[Overall, ...]
    blends: tuple[Blend, ...]
    intervals: tuple[Interval, ...]
    efficiencies: tuple[Efficiency, ...]
    versions: tuple[str, ...]
    machines: tuple[str, ...]
    notes: tuple[str, ...] = ()


def summarise(rows: Iterable[Finished], overlaps: Overlaps, against: str, metric: str | None = None) -> Summary:
    """All statistics of the rows, every method against the method `against`, by their first metric or by `metric`.

    Errors: as `check` and `standing.tables`; a reference that no row is of.
    """
    rows = list(rows)
    check(rows)
    rows, without = by_metric(rows, metric) if metric else (rows, [])
    pick({row["method"]: row for row in rows}, against, "method")
    standings = tables(rows, overlaps, against)
    return Summary(
        reference=against,
        tables=tuple(standings),
        overall=tuple(overall(rows, standings, against)),
        blends=tuple(members(rows, overlaps)),
        intervals=tuple(intervals(rows)),
        efficiencies=tuple(efficiencies(rows, overlaps)),
        versions=tuple(sorted({_versions(row) for row in rows})),
        machines=tuple(sorted({str(row["cost"]["machine"]) for row in rows})),
        notes=(f"{', '.join(without)}: not shown, because {metric} is not of their kind.",) if without else (),
    )


def _versions(row: Finished) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(row["cost"]["versions"].items()))


def overall(rows: Iterable[Finished], standings: Sequence[Standing], against: str) -> list[Overall]:
    """Every setting with at least two data sets that the reference has."""
    grouped = by_table(rows)
    found = []
    for setting in sorted({standing.setting for standing in standings}):
        every = [standing for standing in standings if standing.setting == setting]
        here = [standing for standing in every if not _apart(standing)]
        sets = {standing.data: grouped[setting, standing.data] for standing in here}
        has = {data: methods for data, methods in sets.items() if defined(methods.get(against, {}))}
        if len(has) > 1:
            missing = [data for data in sets if data not in has]
            verdicts = [standing for standing in here if standing.data in has]
            whole = _overall(setting, has, verdicts, against, missing)
            apart = [standing.data for standing in every if _apart(standing)]
            told = f"{', '.join(apart)}: left out here, because the way its SMILES are written tells labels."
            found.append(replace(whole, notes=(*whole.notes, told)) if apart else whole)
    return found


def _apart(standing: Standing) -> bool:
    return standing.source is not None and SOURCES[standing.source].apart


def _overall(
    setting: Setting,
    sets: Mapping[str, Mapping[str, Splits]],
    standings: Sequence[Standing],
    against: str,
    missing: Sequence[str],
) -> Overall:
    names = sorted({method for methods in sets.values() for method in methods})
    complete = [method for method in names if not any(_lack(methods, method, against) for methods in sets.values())]
    ranking, place = None, {}
    if len(complete) > 1:
        ranking = rank_methods(complete, np.array([_errors(methods, complete, against) for methods in sets.values()]))
        place = dict(zip(ranking.methods, ranking.mean_ranks, strict=True))
    over = [
        replace(_over(method, sets, against), verdicts=_verdicts(method, standings), mean_rank=place.get(method))
        for method in names
    ]
    p = corrected({line.method: line.p for line in over})
    over = [replace(line, holm=p.get(line.method), verdict=settled(line.verdict, p.get(line.method))) for line in over]
    over.sort(key=lambda line: (line.method not in place, math.inf if line.ratio is None else line.ratio, line.method))
    notes = [
        f"{line.method} lacks {', '.join(line.lacks)}; its ratio is over {line.sets} of {len(sets)} data sets."
        for line in over
        if line.lacks
    ]
    if missing:
        notes.append(f"{against} has no value on {', '.join(missing)}, so nothing is compared there.")
    return Overall(setting, against, tuple(sets), tuple(over), ranking, tuple(notes))


def _lack(methods: Mapping[str, Splits], method: str, against: str) -> str:
    """What is missing of a method beside the reference: nothing, everything or some splits."""
    here, wanted = len(common(methods.get(method, {}), methods[against])), len(defined(methods[against]))
    return "" if here == wanted else f"{here} of {wanted} splits" if here else "all"


def _errors(methods: Mapping[str, Splits], names: Sequence[str], against: str) -> list[float]:
    """Mean error of each method over the splits of the reference."""
    shas = list(defined(methods[against]))
    return [float(np.mean([mean_error(methods[name][sha]) for sha in shas])) for name in names]


def _over(method: str, sets: Mapping[str, Mapping[str, Splits]], against: str) -> Over:
    """The ratio of a method over the data sets where it has one; verdicts and rank are still to be filled in."""
    empty = Over(method, len(sets), None, None, None, None, None, "", {}, None, ())
    if method == against:
        return replace(empty, ratio=1.0, verdict="reference")
    ours: list[Row] = []
    theirs: list[Row] = []
    lacks: list[str] = []
    used = 0
    for data, methods in sets.items():
        shas = common(methods.get(method, {}), methods[against])
        lack = _lack(methods, method, against)
        if shas:
            pair = as_rows(methods[method], shas), as_rows(methods[against], shas)
            if min(min(each[:2]) for each in paired(*pair).values()) > 0:
                ours, theirs, used = ours + pair[0], theirs + pair[1], used + 1
            else:
                lack = ", ".join(part for part in (lack, "an error of 0, which has no ratio") if part)
        if lack:
            lacks.append(f"{data} ({lack})" if shas else data)
    if used < 2:
        return replace(empty, sets=used, verdict="too few data sets", lacks=tuple(lacks))
    told = ratio(ours, theirs)
    if used < FEWEST:
        return replace(empty, sets=used, ratio=told.value, verdict="too few data sets", lacks=tuple(lacks))
    return Over(
        method, used, told.value, 1 + told.low, 1 + told.high, told.p, None, told.verdict, {}, None, tuple(lacks)
    )


def _verdicts(method: str, standings: Sequence[Standing]) -> dict[str, int]:
    lines = [line for standing in standings for line in standing.lines if line.method == method]
    found = Counter(line.pair.verdict for line in lines if line.pair)
    return {verdict: found[verdict] for verdict in (*VERDICTS, UNTESTED)}


def as_json(summary: Summary) -> str:
    """The summary for a program: numbers to six significant digits, null for what is undefined."""
    return json.dumps(plain(asdict(summary)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: object) -> object:
    """As JSON has it: collections of texts and of numbers to DIGITS significant digits, None for what is undefined."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def interval(value: float | None, low: float | None, high: float | None) -> Cell:
    """A cell: the number with its interval, if it has one."""
    return Spread(value, low=low, high=high) if value is not None else None


def chance(p: float | None) -> str:
    """A p-value as text."""
    return "–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def lines(summary: Summary) -> list[str]:
    """The summary for a terminal: over all data sets, then each of them."""
    out: list[str] = ["", *summary.notes] if summary.notes else []
    for whole in summary.overall:
        out += ["", f"{len(whole.sets)} data sets, {whole.setting.name}: error as a share of {whole.reference}'s"]
        rows = [
            [line.method, interval(line.ratio, line.low, line.high), line.mean_rank, line.verdict]
            for line in whole.lines
        ]
        out += aligned(["method", "ratio (95 %)", "mean rank", "verdict"], rows)
        out += [f"  {note}" for note in whole.notes]
    for one in summary.efficiencies:
        out += ["", f"{one.data}, data efficiency: mean {one.metric} over learning from 1.25 % to 80 % of the rows"]
        out += aligned(["method", "DEM"], [[method, value] for method, value in zip(one.methods, one.dem, strict=True)])
    for table in summary.tables:
        out += ["", *standing_lines(table)]
    return out[1:]


def standing_lines(table: Standing) -> list[str]:
    """One data set for a terminal."""
    better = "higher" if table.higher else "lower"
    rows = []
    for line in table.lines:
        value, pair = None if line.mean is None else Spread(line.mean, error=line.sd), line.pair
        gap = interval(pair.difference, pair.low, pair.high) if pair else None
        verdict = "reference" if line.method == table.reference else pair.verdict if pair else "not compared"
        rows.append([line.method, value, line.splits, gap, chance(pair.holm) if pair else "–", verdict])
    return [
        f"{table.data}, {table.setting.name}: {table.metric}, {better} is better; {table.spread}",
        *aligned(["method", table.metric, "splits", "difference (95 %)", "p (Holm)", "verdict"], rows),
        *(f"  {note}" for note in table.notes),
    ]


def aligned(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """A table for a terminal, one line a row; numbers of a column have the same digits."""
    columns = [
        [name, *(" ".join(part for part in pair if part) for pair in column([row[place] for row in rows]))]
        for place, name in enumerate(header)
    ]
    widths = [max(len(text) for text in texts) for texts in columns]
    return [
        "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]

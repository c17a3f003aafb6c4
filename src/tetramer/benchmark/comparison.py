"""A summary of finished rows on one page: as safe, as plain and as repeatable as `report`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tetramer.benchmark import plots
from tetramer.benchmark.cells import Cell, Spread
from tetramer.benchmark.efficiency import SHARES, Efficiency
from tetramer.benchmark.grouping import Setting
from tetramer.benchmark.report import Picture, Table, laid_out, page, uri
from tetramer.benchmark.significance import ALPHA, MARGIN, Ranking, error_of
from tetramer.benchmark.standing import VERDICTS, Line, Standing, spans
from tetramer.benchmark.summary import FEWEST, Blend, Interval, Overall, Summary, chance, interval
from tetramer.datasets.writing import write_whole
from tetramer.metrics import METRICS

CLASSES = {
    "B": "Class B: scaffolds are dealt out in random order, one deal a seed; ± is mostly split noise.",
    "D": "Class D: the largest scaffolds train, which is one split; ± is training noise, and intervals "
    "are over its test molecules, where answers were kept.",
    "O": "Class O: the fixed scaffold files of OGB; ± is training noise.",
    "P": "Class P: fixed external splits of Polaris or MoleculeACE; ± is training noise.",
    "R": "Class R: rows are dealt out at random, one deal a seed; ± is split and training noise.",
    "T": "Class T: the fixed scaffold test part of TDC; ± is training noise and the draw of the validation part.",
    "column": "Class column: the parts that a column of the table names, one split; ± is training noise.",
    "kfold": "Class kfold: rows are dealt into folds at random and each is tested once a round; the intervals take "
    "folds as splits at random of the same size, for what is learned from overlaps; ± is split and training noise.",
    "dem": "Class dem: a method learns from a share of the rows and answers all others; ± is split and training noise.",
}
FITTED = {
    "train": "Fitted on train: the validation part at most chooses, no method learns from its labels.",
    "train+valid": "Fitted on train + valid: methods also learn from the validation part.",
}
METHOD = (
    "A difference is a method minus {reference}, split by split, on splits that are the same by SHA-256. Its 95 % "
    "interval allows for splits being alike, by the correlation in the table below: they share tested molecules, and "
    "large scaffolds that all learn from (the corrected resampled t-test of Nadeau and Bengio). p allows for that and "
    "for the number of methods in its table (Holm).",
    f"Verdicts: practically the same, where all of the interval lies within {100 * MARGIN:g} % of the error of "
    f"{{reference}}; better or worse, where p is at most {100 * ALPHA:g} %; else not settled.",
)
RATIO = (
    "Ratio: error of a method / error of {reference}, geometric mean over the data sets, each of which counts once; "
    "0.95 is 5 % less error. Error is the metric where lower is better, else 1 − metric. The data sets are the "
    f"sample, so the interval is for further sets like these; below {FEWEST} sets there is none. Better, same, not "
    "settled and worse count data sets by verdict."
)
BLENDS = (
    "The best member is chosen by its mean error on the same splits on which it is compared, which favours the member. "
    "A ratio of errors below 1 says that the blend is still better."
)
INTERVALS = (
    "Means over splits; one split says little, as the coverage of a perfect 90 % interval has a standard deviation of "
    "about 3 points on 113 rows. Rank correlation is that of width and size of the error: 0 where the width tells "
    "nothing."
)
RIGHT = ("p", "wins", "fitted / tested", "seconds")  # columns of text that read like numbers
COUNTS = ("better", "same", "not settled", "worse")  # VERDICTS as headings
REACH = 0.5  # of the reference's error: how far a picture of differences goes
SHORT = 12  # characters of a SHA-256
Leaks = Mapping[str, Mapping[str, str]]  # data set → rule → what its test parts share with train and valid, in words
LEAK = (
    "Leak: test rows that also stand in train or valid, by canonical SMILES, first block of the InChIKey and scaffold."
)


@dataclass(frozen=True)
class Section:
    """One heading with what stands under it."""

    title: str
    small: str = ""
    asides: Sequence[str] = ()
    tables: Sequence[dict[str, object]] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()


def write_comparison(path: Path, summary: Summary, title: str, leaks: Leaks | None = None) -> None:
    """Write the page; the file appears whole or not at all.

    DiskError if the disk refuses; what stood at `path` is then intact.
    """
    write_whole(path, render(summary, title, leaks).encode())


def render(summary: Summary, title: str, leaks: Leaks | None = None) -> str:
    """The page as text."""
    sections = [_overall(whole) for whole in summary.overall] + [of_efficiency(one) for one in summary.efficiencies]
    sections += [of_data(table) for table in summary.tables]
    sections += _blends(summary.blends) + _intervals(summary.intervals)
    fields = {
        "said": _said(summary),
        "compared": laid_out(_compared(summary.tables, leaks or {})),
        "sections": sections,
        "splits": _splits(summary.tables),
        "made": [("Versions", "; ".join(summary.versions)), ("Machines", "; ".join(summary.machines))],
    }
    methods = {line.method for table in summary.tables for line in table.lines}
    sets = {table.data for table in summary.tables}
    head = f"{_count(methods, 'method')} on {_count(sets, 'data set')}. Every difference is from {summary.reference}."
    return page("comparison.html", "tetramer benchmark", title, head, fields)


def of_efficiency(told: Efficiency) -> Section:
    """DEM and the seven means behind it."""
    rows: list[list[Cell]] = [
        [method, Spread(dem, error=told.sd([method])), *means]
        for method, dem, means in zip(told.methods, told.dem, told.means, strict=True)
    ]
    header = ["method", "DEM", *(f"{share:.2%}" for share in SHARES)]
    aside = (
        f"DEM is the mean {told.metric} over learning from seven shares of the rows, each answering all other rows: "
        f"{'higher' if told.higher else 'lower'} is better."
    )
    notes = [f"{', '.join(told.lacks)}: no value on some share, so no DEM."] if told.lacks else []
    table = laid_out(Table("By share of the rows", header, rows))
    return Section(f"{told.data}, data efficiency", "", [aside], [table], notes=notes)


def _count(things: set[str], what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def _said(summary: Summary) -> list[str]:
    """What the reader must know before the numbers."""
    settings = [table.setting for table in summary.tables]
    letters = sorted({setting.letter for setting in settings})
    fitted = sorted({setting.fit_rows for setting in settings})
    return [
        *summary.notes,
        *(CLASSES.get(letter, f"{letter}: belongs to no published class of protocol.") for letter in letters),
        *(FITTED.get(rows, f"Fitted on {rows}.") for rows in fitted),
        *(text.format(reference=summary.reference) for text in METHOD),
        "Numbers of two lines of the table below, or of two tables of the page, are never compared.",
    ]


def _compared(tables: Sequence[Standing], leaks: Leaks) -> Table:
    """One line a table of the page."""
    header = (
        "data set",
        "class",
        "split",
        "fitted on",
        "metric",
        "methods",
        "seeds",
        "correlation",
        "leak",
        "data SHA-256",
    )
    rows: list[list[Cell]] = [
        [
            table.data,
            table.setting.letter,
            table.setting.rule,
            table.setting.fit_rows.replace("+", " + "),
            _metric(table),
            len(table.lines),
            spans(table.splits),
            table.correlation,
            leaks.get(table.data, {}).get(table.setting.rule, "–"),
            table.data_sha256[:SHORT],
        ]
        for table in tables
    ]
    return Table("Data sets and splits", header, rows, notes=[LEAK] if leaks else [])


def _metric(table: Standing) -> str:
    return f"{table.metric} {'↑' if table.higher else '↓'}"


def _splits(tables: Sequence[Standing]) -> list[tuple[str, str]]:
    """(data set and rule, its seeds with the short hashes of their splits)"""
    found: dict[str, dict[str, set[int]]] = {}
    for table in tables:
        shas = found.setdefault(f"{table.data}, {table.setting.rule}", {})
        for seed, sha in table.splits.items():
            shas.setdefault(sha[:SHORT], set()).add(seed)
    return [
        (
            name,
            ", ".join(f"{spans(seeds)}: {sha}" for sha, seeds in sorted(shas.items(), key=lambda pair: min(pair[1]))),
        )
        for name, shas in found.items()
    ]


def _overall(whole: Overall) -> Section:
    header = ["method", "ratio (95 %)", "sets", "p", "verdict", *COUNTS, "mean rank"]
    rows: list[list[Cell]] = [
        [
            line.method,
            interval(line.ratio, line.low, line.high),
            line.sets,
            chance(line.holm),
            line.verdict,
            *(line.verdicts[verdict] if line.method != whole.reference else None for verdict in VERDICTS),
            line.mean_rank,
        ]
        for line in whole.lines
    ]
    table = laid_out(Table(f"Error / error of {whole.reference}", header, rows), RIGHT)
    pictures = [_diagram(whole.ranking)] if whole.ranking and len(whole.ranking.methods) > 2 else []
    asides = [RATIO.format(reference=whole.reference)]
    return Section(f"{len(whole.sets)} data sets together", whole.setting.name, asides, [table], pictures, whole.notes)


def _diagram(ranking: Ranking) -> Picture:
    drawn = plots.critical_difference(ranking.methods, ranking.mean_ranks, ranking.critical, ranking.cliques)
    caption = (
        f"{len(ranking.methods)} methods on {ranking.n} data sets. Mean ranks differ at 5 % if they lie "
        f"{ranking.critical:.2f} apart, the critical difference of Nemenyi (CD); red bars join methods that do not. "
        f"That any differ: p {chance(ranking.f_p)} (Friedman, with Iman and Davenport's F). Ranks see no sizes, and "
        "with few data sets they tell little apart."
    )
    return Picture("Critical-difference diagram", uri(drawn), caption)


def of_data(table: Standing) -> Section:
    """One data set: every method against the reference, and the differences drawn."""
    way, side = ("higher", "above") if table.higher else ("lower", "below")
    aside = f"{table.metric}: {way} is better, and so is a difference {side} 0. {table.spread[0].upper()}"
    aside += f"{table.spread[1:]}. Error in percent is that of the metric, and lower is better."
    header = ["method", _metric(table), "difference (95 %)", "error, % (95 %)", "p", "wins", "verdict", "splits"]
    header += ["fitted / tested", "seconds"]
    shown = laid_out(Table(f"Against {table.reference}", header, [_cells(line, table) for line in table.lines]), RIGHT)
    drawn = any(line.pair and line.pair.splits > 1 for line in table.lines)
    pictures = [_differences(table)] if drawn else []
    return Section(table.data, table.setting.name, [aside], [shown, *_others(table)], pictures, table.notes)


def _others(table: Standing) -> list[dict[str, object]]:
    """The metrics that the methods are not compared by."""
    names = list(dict.fromkeys(name for line in table.lines for name in line.others))
    if not names:
        return []
    heads = [f"{name} {'↑' if METRICS[name].higher else '↓'}" for name in names]
    rows: list[list[Cell]] = [[line.method, *(line.others.get(name) for name in names)] for line in table.lines]
    return [laid_out(Table("Other metrics, means over splits", ["method", *heads], rows))]


def _cells(line: Line, table: Standing) -> list[Cell]:
    value = None if line.mean is None else Spread(line.mean, error=line.sd)
    rows = f"{_range(line.fitted)} / {_range(line.tested)}" if line.fitted and line.tested else "–"
    effort: list[Cell] = [line.splits, rows, _seconds(line)]
    pair, verdict = line.pair, "reference" if line.method == table.reference else "not compared"
    if not pair:
        return [line.method, value, None, None, "–", "–", verdict, *effort]
    return [
        line.method,
        value,
        interval(pair.difference, pair.low, pair.high),
        interval(pair.percent, pair.percent_low, pair.percent_high),
        chance(pair.holm),
        f"{100 * pair.wins:.0f} %",
        pair.verdict,
        *effort,
    ]


def _seconds(line: Line) -> str:
    return "–" if line.seconds is None else f"{line.seconds:,.1f}" if line.seconds < 100 else f"{line.seconds:,.0f}"


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,}–{ends[1]:,}"


def _differences(table: Standing) -> Picture:
    pairs = [(line.method, line.pair) for line in table.lines if line.pair]
    level = next(line.mean for line in table.lines if line.method == table.reference)
    error = error_of(table.metric, level) if level is not None else 0.0
    ends = [None if pair.low is None or pair.high is None else (pair.low, pair.high) for _, pair in pairs]
    drawn = plots.differences(
        [method for method, _ in pairs],
        [pair.gaps for _, pair in pairs],
        ends,
        (MARGIN * error, REACH * error),
        f"difference from {table.reference} in {table.metric}",
        [pair.verdict for _, pair in pairs],
    )
    caption = (
        f"A dot is a split, the diamond their mean, the bar its 95 % interval. Blue: better than "
        f"{table.reference}; red: worse. Grey band: within {100 * MARGIN:g} % of its error. "
        f"Beyond {100 * REACH:g} % of it, an arrow stands at the edge."
    )
    return Picture(f"Differences split by split, {table.data}", uri(drawn), caption)


def _blends(blends: Sequence[Blend]) -> list[Section]:
    tables = []
    for setting in _settings(blends):
        here = [blend for blend in blends if blend.setting == setting]
        header = ["data set", "blend", "metric", "splits", "value", "best member", "its value", "ratio of errors"]
        header += ["difference (95 %)", "verdict"]
        rows: list[list[Cell]] = [
            [
                blend.data,
                blend.method,
                blend.metric,
                blend.splits,
                blend.mean,
                blend.best,
                blend.best_mean,
                blend.ratio,
                interval(blend.difference, blend.low, blend.high),
                blend.verdict,
            ]
            for blend in here
        ]
        tables.append(laid_out(Table(setting.name, header, rows)))
        names = sorted({name for blend in here for name in blend.weights})
        if names:
            weights: list[list[Cell]] = [
                [blend.data, blend.method, *(blend.weights.get(name) for name in names)] for blend in here
            ]
            tables.append(laid_out(Table(f"Mean weights, {setting.name}", ["data set", "blend", *names], weights)))
    return [Section("Blends and their best members", asides=[BLENDS], tables=tables)] if tables else []


def _intervals(told: Sequence[Interval]) -> list[Section]:
    header = ["data set", "method", "rows", "nominal", "coverage", "width", "rank correlation"]
    tables = []
    for setting in _settings(told):
        rows: list[list[Cell]] = [
            [
                one.data,
                one.method,
                one.rows,
                one.level,
                Spread(one.coverage, error=one.coverage_sd),
                one.width,
                one.rank_correlation,
            ]
            for one in told
            if one.setting == setting
        ]
        tables.append(laid_out(Table(setting.name, header, rows)))
    return [Section("Intervals", asides=[INTERVALS], tables=tables)] if tables else []


def _settings(told: Sequence[Blend] | Sequence[Interval]) -> list[Setting]:
    return sorted({one.setting for one in told})

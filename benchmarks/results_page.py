"""docs/results.md and the table in README.md, from the rows under `results`. Measures nothing.

    python benchmarks/results_page.py

A method stands in a table with what it was measured on; a cell without a number was not measured.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tetramer.benchmark import protocol, rules, summary
from tetramer.benchmark.cells import Cell, Spread, show
from tetramer.benchmark.comparing import REFERENCES
from tetramer.benchmark.comparison import render
from tetramer.benchmark.grouping import Finished, Setting
from tetramer.benchmark.standing import VERDICTS, Pair, Standing
from tetramer.benchmark.summary import Blend, Summary, interval

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
ROWS, PAGE, README = ROOT / "results" / "benchmark", ROOT / "docs" / "results.md", ROOT / "README.md"
MARK = "<!-- a table by benchmarks/results_page.py -->"  # before and behind the table in README.md
SHOWN = {
    "auto": "`auto`, the default",
    "baseline": "`baseline`: boosted trees and forests or kernels",
    "lightgbm": "boosted trees alone",
    "graph": "`graph`: a message-passing network alone",
    "chemprop": "chemprop 2.3.1, 50 epochs",
}

HEAD = """# Results

This page is made from the rows under `results/benchmark` by `python benchmarks/results_page.py`; the commands that
made the rows stand in [Benchmark](benchmark.md#the-projects-own-rows). [Splits](splits.md) come in classes: B has
scaffolds in a random order, D by their size (one split), R rows at random. ± is the standard deviation over splits, in
brackets stands their number where it is not that of the title. Numbers of two tables are not to be compared: the splits
or the rows fitted on differ. Methods are given the rows that the title names; a network sets a tenth of them aside to
stop by, chemprop the validation part.

Settings are the same for every data set, and none was chosen on a reported split. They were chosen on other splits
(seeds from 100) of some of the same data sets, in part by their test scores: the weights of the blend, the kernels and
the linear trend on BACE, BBBP (by folds of a training part), CHEMBL2321810, ESOL and FreeSolv; the forest for many
targets and its companions on SIDER, Tox21 and ToxCast. On these sets `auto` and `baseline` may look too good; that a
blend was behind its best member on the reported splits of FreeSolv and BACE was the reason to try others. ClinTox, HIV,
Lipophilicity and QM8 chose nothing (one change of the forests was looked at on random splits of Lipophilicity too, and
not made), and the ratios below are also given for them alone. [Experiments](experiments.md) has every variant that was
tried, kept or not.
"""
CHOSEN_ON = ("bace", "bbbp", "chembl2321810", "esol", "freesolv", "sider", "tox21", "toxcast")  # other seeds of them


CORRECTED = (
    "Error is RMSE or MAE, or 1 − ROC-AUC; mean rank 1 is the best method of a data set. Intervals are of one "
    "comparison, verdicts are corrected for all methods (p ≤ 5 %): one can be open beside an interval without 1."
)


def page(told: Summary, fresh: Summary, rows: Sequence[Finished]) -> str:
    """The whole page. fresh: of the data sets that chose nothing; rows: all"""
    parts = [HEAD]
    for setting in sorted({table.setting for table in told.tables}):
        tables = [table for table in told.tables if table.setting == setting]
        parts += [f"## {title(setting, tables)}", values(tables), differences(tables), sizes(tables, rows)]
        parts += [overall(told, setting), overall(fresh, setting, "Over the sets that chose nothing: error")]
        parts += [blends(told, setting), intervals(told, setting)]
    return "\n\n".join([part.strip() for part in parts if part] + [hashes(told)]) + "\n"


def title(setting: Setting, tables: Sequence[Standing]) -> str:
    """What the tables of a setting have in common."""
    splits = most(tables)
    return f"{setting.name[0].upper()}{setting.name[1:]}, {splits} split{'s' if splits > 1 else ''}"


def most(tables: Sequence[Standing]) -> int:
    """Splits of the setting."""
    return max(line.splits for table in tables for line in table.lines)


def values(tables: Sequence[Standing]) -> str:
    """Methods × data sets."""
    full = most(tables)
    methods = sorted({line.method for table in tables for line in table.lines}, key=lambda name: rank(name, tables))
    rows = [["", *(f"{table.metric}, {'higher' if table.higher else 'lower'} is better" for table in tables)]]
    for method in methods:
        row = [method]
        for table in tables:
            line = next((one for one in table.lines if one.method == method), None)
            if line is None or line.mean is None:
                row.append("")
                continue
            few = f" ({line.splits})" if line.splits < full else ""
            row.append(show(Spread(line.mean, error=line.sd)) + few)
        rows.append(row)
    return markdown(["method", *(table.data for table in tables)], rows)


def rank(method: str, tables: Sequence[Standing]) -> tuple[bool, float]:
    """Mean place of a method among those measured, best first; behind those of all tables what lacks some."""
    places = [
        [line.method for line in table.lines].index(method) / len(table.lines)
        for table in tables
        if method in [line.method for line in table.lines]
    ]
    return len(places) < len(tables), sum(places) / len(places)


def differences(tables: Sequence[Standing]) -> str:
    """Methods × data sets: error against that of the reference, and what the paired test says."""
    methods = sorted({line.method for table in tables for line in table.lines}, key=lambda name: rank(name, tables))
    rows = []
    for method in methods:
        pairs = [next((line.pair for line in table.lines if line.method == method), None) for table in tables]
        if any(pairs):
            rows.append([method, *("" if pair is None else against(pair) for pair in pairs)])
    if not rows:
        return ""
    told = [line.pair for table in tables for line in table.lines if line.pair]
    head = f"Error less that of `{tables[0].reference}`, in % of it, on the splits that both have; "
    if any(pair.p is not None for pair in told):
        head += "bold is what the paired test settles after correction for the number of methods. "
        head += "[The report](benchmark-report.html) has the intervals, every p, and pictures of the splits."
    else:
        head += "of one split nothing is tested. [The report](benchmark-report.html) has the intervals over test "
        head += "molecules, where both rows kept their answers."
    return f"{head}\n\n" + markdown(["method", *(table.data for table in tables)], rows)


def against(pair: Pair) -> str:
    """A difference as a cell."""
    better, same, _, worse = VERDICTS
    told = f"{pair.percent:+.1f}".replace("-", "−")
    return f"**{told}**" if pair.verdict in (better, worse) else f"{told} same" if pair.verdict == same else told


def sizes(tables: Sequence[Standing], rows: Sequence[Finished]) -> str:
    """How many rows taught and tested, and the targets that no test part could judge."""
    told: list[list[Cell]] = []
    for table in tables:
        own = [row for row in rows if (row["data"], row["split"], row["fit_rows"]) ==
               (table.data, table.setting.rule, table.setting.fit_rows) and not row["refused"]]  # fmt: skip
        left = [row["skipped"].get(table.metric, 0) for row in own]
        told.append(
            [table.data, *(span([row[name] for row in own]) for name in ("fitted_on", "tested_on")), span(left)]
        )
    head = (
        "Rows that a method learned from, rows tested, and targets left out of the mean, because the test part has one "
        "class of them alone:"
    )
    return f"{head}\n\n" + markdown(["data", "learned from", "tested", "targets left out"], told)


def span(numbers: Sequence[int]) -> str:
    """Least to most."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def overall(told: Summary, setting: Setting, what: str = "Error") -> str:
    """Ratios of errors over the data sets, and mean ranks."""
    whole = next((one for one in told.overall if one.setting == setting), None)
    if whole is None:
        return ""
    rows: list[list[Cell]] = [
        [line.method, line.sets, interval(line.ratio, line.low, line.high), line.mean_rank, line.verdict]
        for line in whole.lines
    ]
    head = f"{what} as a share of that of `{whole.reference}`, geometric mean over data sets."
    if any(line.low is not None for line in whole.lines):
        head += f" {CORRECTED}"
    notes = "".join(f"\n- {note}" for note in whole.notes)
    table = markdown(["method", "sets", "ratio (95 %)", "mean rank", "verdict"], rows)
    return f"{head}\n\n{table}" + (f"\n{notes}" if notes else "")


def headline(told: Summary) -> str:
    """Some methods over all data sets of class B."""
    whole = next(one for one in told.overall if one.setting.letter == "B")
    lines = {line.method: line for line in whole.lines}
    rows: list[list[Cell]] = [
        [name, line.sets, interval(line.ratio, line.low, line.high), line.verdict]
        for method, name in SHOWN.items()
        if (line := lines.get(method))
    ]
    return markdown(["method", "data sets", "error / error of `baseline` (95 %)", "verdict"], rows)


def blends(told: Summary, setting: Setting) -> str:
    """Each blend against the best of its members."""
    rows: list[list[Cell]] = [
        [one.data, one.method, one.mean, one.best, one.best_mean, one.ratio, gap(one)]
        for one in told.blends
        if one.setting == setting
    ]
    names = ["data", "blend", "its error or score", "best member", "its error or score", "ratio of errors"]
    head = "A blend against its best member, which is chosen on the same test parts; that favours the member:"
    sure = any(one.low is not None for one in told.blends if one.setting == setting)
    return f"{head}\n\n" + markdown([*names, f"difference{' (95 %)' * sure}"], rows) if rows else ""


def gap(one: Blend) -> Cell:
    """Blend minus member, with its interval."""
    return interval(one.difference, one.low, one.high)


def intervals(told: Summary, setting: Setting) -> str:
    """What 90 % intervals held."""
    rows: list[list[Cell]] = [
        [one.data, one.method, Spread(100 * one.coverage, error=sd(one.coverage_sd)), one.width, one.rank_correlation]
        for one in told.intervals
        if one.setting == setting
    ]
    head = "Intervals at 90 %: share of truths inside in %, mean width, rank correlation of width and error:"
    return f"{head}\n\n" + markdown(["data", "method", "inside", "width", "correlation"], rows) if rows else ""


def sd(share: float | None) -> float | None:
    """A share as per cent."""
    return None if share is None else 100 * share


def hashes(told: Summary) -> str:
    """The splits that all of this rests on."""
    rows: list[list[Cell]] = [
        [table.data, table.setting.rule, str(seed), sha[:16]]
        for table in told.tables
        for seed, sha in sorted(table.splits.items())
    ]
    unique = [row for place, row in enumerate(rows) if row not in rows[:place]]
    return "## Splits\n\n" + markdown(["data", "rule", "seed", "SHA-256"], unique)


def markdown(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(map(show, row)) + " |" for row in rows])


def measured() -> tuple[list[dict[str, Any]], Summary, Summary]:
    """All rows, and their summary: of all data sets, and of those that chose nothing."""
    rows, overlaps = protocol.load(ROWS)
    methods = {row["method"] for row in rows}
    reference = next(name for name in REFERENCES if name in methods)
    fresh = [row for row in rows if row["data"] not in CHOSEN_ON]
    return rows, *(summary.summarise(some, overlaps, reference) for some in (rows, fresh))


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """For mkdocs: the report of `tetramer benchmark --report results/benchmark` as a page of its own."""
    from mkdocs.structure.files import File

    report = render(measured()[1], "Results", rules.leaks_told(ROWS))
    files.append(File.generated(config, "benchmark-report.html", content=report))
    return files


def main() -> None:
    """Write the page, and the table."""
    rows, told, fresh = measured()
    PAGE.write_text(page(told, fresh, rows), encoding="utf-8")
    before, _, after = README.read_text(encoding="utf-8").split(MARK)
    README.write_text(f"{before}{MARK}\n\n{headline(told)}\n\n{MARK}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""A comparison from end to end: measure what is missing, then tables, statistics, JSON and one page."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tetramer.benchmark import protocol, rules, summary
from tetramer.benchmark.comparison import write_comparison
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.row import Settings
from tetramer.datasets.writing import locked, write_whole
from tetramer.errors import UserError, pick

REFERENCES = (
    "baseline",
    "random-forest",
    "ecfp-linear",
    "mean",
)  # the first that was measured is what others must beat


@dataclass(frozen=True)
class Comparison:
    """What came out. `failed` names rows whose process ended; the same call tries them again."""

    summary: summary.Summary
    output: Path
    failed: tuple[str, ...] = ()

    @property
    def empty(self) -> list[str]:
        """Sentences on tables without a single number."""
        tables = [table for table in self.summary.tables if all(line.mean is None for line in table.lines)]
        return [f"No row of {table.data}, {table.setting.name}, has a value in {table.metric}." for table in tables]

    @property
    def lines(self) -> list[str]:
        """For a terminal."""
        return [*self.tables, "", *self.remarks]

    @property
    def tables(self) -> list[str]:
        """What was found, as text."""
        return summary.lines(self.summary)

    @property
    def remarks(self) -> list[str]:
        """What is missing, and where the report lies."""
        notes = [*self.empty, *(f"Not finished: {sentence}" for sentence in self.failed)]
        return [*notes, f"Report: {self.output / 'report.html'}"]

    @property
    def json(self) -> str:
        """For a program; the same stands in report.json."""
        return summary.as_json(self.summary)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def measure(
    plan: Protocol,
    settings: Settings,
    against: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[str, float], None] = lambda name, share: None,
    metric: str | None = None,
) -> Comparison:
    """Run what is missing of the protocol and draw the report of all rows in the folder."""
    output = Path(settings.output)
    if against is not None and against not in plan.methods:  # before the work
        held = [row["method"] for row in protocol.load(output)[0]] if list(output.glob(protocol.ROWS)) else []
        pick(dict.fromkeys([*plan.methods, *held]), against, "method")
    with locked(output):
        failed = protocol.run(replace(plan, metric=metric), settings, say, progress)
    return draw(output, against, tuple(failed), metric)


def draw(
    output: Path, against: str | None = None, failed: tuple[str, ...] = (), metric: str | None = None
) -> Comparison:
    """The report of the rows that lie in a folder, by their first metric or another; nothing is measured."""
    if failed and not list(output.glob(protocol.ROWS)):
        raise UserError(f"No row could be finished. The first: {failed[0]}")
    rows, overlaps = protocol.load(output)
    methods = sorted({row["method"] for row in rows})
    reference = against or next((name for name in REFERENCES if name in methods), methods[0])
    told = summary.summarise(rows, overlaps, reference, metric)
    write_whole(output / "report.json", summary.as_json(told).encode())
    sets = sorted({row["data"] for row in rows})
    title = ", ".join(sets) if len(sets) <= 4 else f"{len(methods)} methods on {len(sets)} data sets"
    write_comparison(output / "report.html", told, title, rules.leaks_told(output))
    return Comparison(told, output, failed)


@dataclass(frozen=True)
class How:
    """What else decides a comparison, and how it is run.

    fit_rows: train, train+valid, or so many of them, as train+valid:1000; or several of these. overrides: settings of
    the recipes, such as {"training.epochs": "20"}. metric: what is compared, without it that of the data set. seeds:
    training seeds where a rule has one split. split_files: folder of index files. quiet: no lines at all.
    """

    fit_rows: str | Sequence[str] = "train+valid"
    overrides: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    seeds: int = 1
    workers: int | None = None
    split_files: str | Path | None = None
    quiet: bool = False


def compare(
    data: str | Path | Sequence[str],
    target: str | Sequence[str] = (),
    methods: str | Sequence[str] = ("mean", "ecfp-linear", "random-forest", "baseline", "auto"),
    splits: str | Sequence[str] | None = None,
    repeats: int = 10,
    output: str | Path = "tetramer-benchmark",
    against: str | None = None,
    smiles_column: str | None = None,
    split_column: str | None = None,
    how: How = How(),
) -> Comparison:
    """Compare methods on your own table, or on public sets, split by split.

    data: a file (CSV, SMI, SDF, Parquet) with its `target` columns, or names of public sets. splits: rules, without any
    scaffold-balanced, or what `split_column` says. repeats: splits of a rule, whose seeds are 0, 1, …. Rows are kept in
    `output`; the same call goes on where it was stopped. Each tenth of a data set is a line on standard error. `print`
    the answer, or open its report.

    UserError: a file or column that is not there, an unknown method or split.
    """
    sets = [str(data)] if isinstance(data, str | Path) else list(data)
    plan = Protocol(
        listed(methods), sets, rules.chosen(None if splits is None else listed(splits), split_column), repeats,
        listed(how.fit_rows), how.seeds,
    )  # fmt: skip
    settings = Settings(
        str(output), tuple(listed(target)), smiles_column, split_column, tuple(how.overrides.items()),
        workers=how.workers, split_files=None if how.split_files is None else str(how.split_files),
    )  # fmt: skip
    if how.quiet:
        return measure(plan, settings, against, metric=how.metric)
    return measure(plan, settings, against, say, Tenths(), how.metric)


def listed(names: str | Sequence[str]) -> list[str]:
    """One name or several."""
    return [names] if isinstance(names, str) else list(names)


def say(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)


class Tenths:
    """Says a line for each tenth of the rows of a data set that is done."""

    def __init__(self) -> None:
        self.said: dict[str, int] = {}

    def __call__(self, name: str, share: float) -> None:
        """`share` of the rows of the data set `name` are there."""
        tenth = int(10 * share + 1e-9)
        if tenth > self.said.get(name, -1):
            self.said[name] = tenth
            say(f"{name}: {10 * tenth} % of the rows")

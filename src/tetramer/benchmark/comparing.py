"""A comparison from end to end: measure what is missing, then tables, statistics, JSON and one page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tetramer.benchmark import protocol, summary
from tetramer.benchmark.comparison import write_comparison
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.row import Settings
from tetramer.datasets.writing import locked, write_whole
from tetramer.errors import UserError, pick
from tetramer.metrics import METRICS

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
        notes = [*self.empty, *(f"Not finished: {sentence}" for sentence in self.failed)]
        return [*summary.lines(self.summary), "", *notes, f"Report: {self.output / 'report.html'}"]

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
    if metric is not None:
        pick(METRICS, metric, "metric")  # before the work
    output = Path(settings.output)
    with locked(output):
        failed = protocol.run(plan, settings, say, progress)
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
    write_comparison(output / "report.html", told, title)
    return Comparison(told, output, failed)


def compare(
    data: str | Path | Sequence[str],
    target: str | Sequence[str] = (),
    methods: str | Sequence[str] = ("mean", "ecfp-linear", "random-forest", "baseline", "auto"),
    splits: str | Sequence[str] = "scaffold-balanced",
    repeats: int = 10,
    output: str | Path = "tetramer-benchmark",
    against: str | None = None,
    smiles_column: str | None = None,
    metric: str | None = None,
) -> Comparison:
    """Compare methods on your own table, or on public sets, split by split.

    data: a file (CSV, SMI, SDF, Parquet) with its `target` columns, or names of public sets. Rows are kept in `output`;
    the same call goes on where it was stopped. metric: what is compared, without it that of the
    data set. `print` the answer, or open its report.

    UserError: a file or column that is not there, an unknown method or split.
    """
    sets = [str(data)] if isinstance(data, str | Path) else list(data)
    targets = (target,) if isinstance(target, str) else tuple(target)
    methods = [methods] if isinstance(methods, str) else list(methods)
    plan = Protocol(methods, sets, [splits] if isinstance(splits, str) else list(splits), repeats)
    return measure(plan, Settings(str(output), targets, smiles_column), against, metric=metric)

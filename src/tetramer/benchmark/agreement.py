"""Whether finished rows may stand in one comparison: the same data, splits, settings and metrics under one name."""

from collections.abc import Iterable, Sequence

from tetramer.benchmark.grouping import Finished, order, ordered
from tetramer.errors import UserError, pick
from tetramer.metrics import METRICS

# what must agree, between rows that have these fields in common, what to call it, what to do
AGREE = (
    ("data_sha256", ("data",), "data", "the data set has changed; measure its older rows again"),
    ("metric", ("data",), "first metric", "measure all rows of a data set by one"),
    ("class", ("split",), "protocol class", "measure the older row again"),
    ("split_sha256", ("data", "split", "seed", "few"), "split", "measure one of them again, on the split of the other"),
    ("config_sha256", ("data", "method"), "settings", "measure one of them again, or give it a name of its own"),
)


def check(rows: Iterable[Finished]) -> None:
    """UserError where rows cannot stand in one comparison: other data, splits, settings or metrics under one name."""
    known: dict[tuple[object, ...], Finished] = {}
    for row in ordered(rows):
        twin = known.setdefault(("row", *order(row)), row)
        if twin is not row:
            raise UserError(f"There are two results of {_named(row)}. Keep one of the two files.")
        few = row["fit_rows"] if ":" in row["fit_rows"] else ""  # a split of fewer rows has a hash of its own
        for field, among, what, advice in AGREE:
            first = known.setdefault((field, *({**row, "few": few}[name] for name in among)), row)
            if first[field] != row[field]:
                raise UserError(
                    f"{_named(first)} and {_named(row)} differ in their {what} ({str(first[field])[:12]} and "
                    f"{str(row[field])[:12]}). Numbers are never compared across that: {advice}."
                )
    if not known:
        raise UserError("There are no finished rows to compare. Measure at least two methods on one split first.")


def _named(row: Finished) -> str:
    return f"{row['method']!r} on {row['data']!r} ({row['split']}, seed {row['seed']}, {row['fit_rows']})"


def check_metric(metric: str, tasks: Iterable[str]) -> None:
    """UserError for a metric that is not known, or of none of the tasks."""
    known, found = pick(METRICS, metric, "metric").tasks, sorted(set(tasks))
    if not set(known).intersection(found):
        names = " and ".join(sorted(known))
        raise UserError(f"{metric} is of {names}, and the rows are of {', '.join(found)}. Take another metric.")


def by_metric(rows: Sequence[Finished], metric: str) -> tuple[list[Finished], list[str]]:
    """The rows with `metric` as their first one, and the data sets that it is not of. UserError if it is of none."""
    check_metric(metric, [row["task"] for row in rows])
    tasks = METRICS[metric].tasks
    kept: list[Finished] = [{**row, "metric": metric} for row in rows if row["task"] in tasks]
    return kept, sorted({row["data"] for row in rows if row["task"] not in tasks})

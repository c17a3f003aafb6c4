"""What came out of a study: the rows of a folder, numbers over seeds, and what a page says of both."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, ClassVar, Self

from tetramer.benchmark.cells import Cell, Spread
from tetramer.benchmark.comparison import Section, of_data
from tetramer.benchmark.report import Table, laid_out
from tetramer.benchmark.standing import Overlaps, Standing, tables
from tetramer.benchmark.summary import plain
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError
from tetramer.studies.base import HEAD_ON, PROBES, REFERENCE, Rows


def none_there(output: Path) -> UserError:
    """What is said of a folder without rows."""
    return UserError(f"{output} holds no rows of the study. Run it without --report first.")


def made_with(told: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The versions and machines of rows, for a page."""
    return [
        ("Versions", "; ".join(sorted({listed(row["versions"]) for row in told}))),
        ("Machines", "; ".join(sorted({row["machine"] for row in told}))),
    ]


def listed(versions: Mapping[str, str]) -> str:
    """`numpy 2.3.1, torch 2.9.0`"""
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


@dataclass(frozen=True)
class Finished:
    """The rows of one folder. models: method → what it is"""

    STUDY: ClassVar[str]
    PARTS: ClassVar[Sequence[str]]
    FREE: ClassVar[Mapping[str, str]]  # rows that learn nothing or little → what they are
    SAID: ClassVar[Sequence[str]]  # what is true of all of the page
    FROZEN: ClassVar[str] = PROBES  # folder of the rows of frozen vectors
    PROPERTIES: ClassVar[
        Mapping[str, Mapping[str, tuple[float, float]]]
    ] = {}  # set → method → ROC-AUC ± sd, as printed
    told: Sequence[dict[str, Any]]
    vectors: Sequence[dict[str, Any]]  # rows of frozen vectors
    models: Mapping[str, str]
    overlaps: Overlaps = field(default_factory=dict)  # of the splits of these

    @classmethod
    def load(cls, output: Path, models: Mapping[str, str]) -> Self:
        """UserError if there are no rows."""
        rows = Rows(cls.STUDY, output, frozen=cls.FROZEN)
        vectors, overlaps = rows.probed()
        found = cls(list(rows.told(cls.PARTS)), vectors, models, overlaps)
        if not found.told and not found.vectors:
            raise none_there(output)
        return found

    @cached_property
    def probed(self) -> list[Standing]:
        """Frozen vectors on data sets, against counts."""
        return tables(self.vectors, self.overlaps, REFERENCE)

    @property
    def made(self) -> list[tuple[str, str]]:
        """The versions and machines of all rows, for a page."""
        return made_with([*self.told, *(row["cost"] for row in self.vectors)])

    @classmethod
    def draw(cls, output: Path, models: Mapping[str, str]) -> list[str]:
        """Write `report.html` and `report.json` from the rows that are finished; → sentences for a terminal."""
        story = cls.load(output, models)
        write_whole(output / "report.html", story.page().encode())
        write_whole(output / "report.json", json.dumps(story.numbers, indent=1, allow_nan=False).encode() + b"\n")
        return [*story.lines(), f"Report: {output / 'report.html'}"]

    def beside(self, data: str) -> list[Table]:
        """What stands under the frozen vectors of a data set: what is printed of it."""
        body = printed(self.PROPERTIES.get(data, {}))
        return [Table("Printed", ["method", "ROC-AUC"], body)] if body else []

    def of_frozen(self, one: Standing, about: str) -> Section:
        """The frozen vectors of a data set on a page."""
        section = of_data(one)
        tables = [*section.tables, *map(laid_out, self.beside(one.data))]
        return replace(section, asides=[*section.asides, about], tables=tables)

    @property
    def methods(self) -> Table:
        """Those with rows, what they are, and how long they learned: steps, and CPU minutes where rows tell them."""
        there = {row["method"] for row in self.told} | {encoder_of(row["method"])[0] for row in self.vectors}
        body: list[list[Cell]] = [
            [name, about, self.effort(name, lambda row: row.get("steps")), self.effort(name, minutes)]
            for name, about in {**self.FREE, **self.models}.items()
            if name in there
        ]
        return Table("Methods", ["method", "what it is", "steps", "minutes of training"], body)

    def effort(self, name: str, number: Callable[[Mapping[str, Any]], float | None]) -> Cell:
        """A number of the rows of an encoder, one a seed; None where no row tells it."""
        told = {row["seed"]: value for row in self.told if row["method"] == name and (value := number(row)) is not None}
        values = [*told.values()]
        return values[0] if len(set(values)) == 1 else over_seeds(values)

    @property
    def said(self) -> list[str]:
        """SAID, and which encoders have rows of before what they learn was mended."""
        old = {
            row["method"]
            for row in self.told
            if row.get("steps") and "size" not in row and row["overrides"].get("objective.negatives") != "0"
        }
        square = ", and compared in a map as wide as the vector, which leaves nothing out" * (self.STUDY == "motif")
        told = (
            f"{', '.join(sorted(old))}: learned among others that missed most isomers{square}. That is mended; these "
        )
        return [*self.SAID, *([f"{told}rows are to be measured anew."] if old else [])]

    @property
    def numbers(self) -> dict[str, Any]:
        """All tables, for a program: of the page by their titles, and of frozen vectors on data sets."""
        tables = {"Methods": self.methods} | {title: table for title, _, table in self.parts()}
        told = {title: asdict(table) for title, table in tables.items()}
        return {"tables": plain(told), "frozen": plain([asdict(one) for one in self.probed])}

    def parts(self) -> list[tuple[str, str, Table]]:
        """Title, what it says, and the table of every part of the page that has one, but for the frozen vectors."""
        raise NotImplementedError

    def page(self) -> str:
        """The report."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """What a terminal shows."""
        raise NotImplementedError


def minutes(row: Mapping[str, Any]) -> float | None:
    """Of CPU time that its encoder learned; None in rows of older versions."""
    told = row.get("training_seconds")
    return told["cpu"] / 60 if told else None


def printed(told: Mapping[str, tuple[float, float]]) -> list[list[Cell]]:
    """Rows of a table: mean ± standard deviation as a paper has them."""
    return [[f"{name}, printed", Spread(value, error=sd)] for name, (value, sd) in told.items()]


@dataclass(frozen=True)
class Measured:
    """One method at one task: number → a value a seed."""

    method: str
    values: dict[str, dict[int, float]]
    intervals: dict[str, tuple[float, float]]  # of a single seed, of numbers that have one

    def cell(self, name: str) -> Cell:
        """Mean ± standard deviation over seeds; of one seed its interval if it has one."""
        told = [*self.values.get(name, {}).values()]
        if len(told) == 1 and name in self.intervals:
            return Spread(told[0], None, *self.intervals[name])
        return over_seeds(told)

    @property
    def seeds(self) -> int:
        """How many."""
        return max(map(len, self.values.values()), default=0)


Numbers = Mapping[str, float | Sequence[float]]  # a value, or a value and its interval


def measured(
    told: Sequence[Mapping[str, Any]],
    task: str,
    methods: Sequence[str],
    numbers: Callable[[Mapping[str, Any]], Numbers],
) -> dict[str, Measured]:
    """What is finished of a task, in the order of `methods`. numbers: of one row"""
    out = {}
    for method in methods:
        one = Measured(method, {}, {})
        for row in told:
            if (row["task"], row["method"]) == (task, method):
                for name, found in numbers(row).items():
                    value, *ends = [found] if isinstance(found, int | float) else found
                    one.values.setdefault(name, {})[row["seed"]] = value
                    if ends:
                        one.intervals[name] = (ends[0], ends[1])
        if one.values:
            out[method] = one
    return out


def frozen(standing: Standing) -> dict[str, Measured]:
    """Encoder → its mean `score` with a linear head on one data set, one a seed."""
    out: dict[str, Measured] = {}
    for line in standing.lines:
        name, seed = encoder_of(line.method)
        if seed is not None and line.mean is not None:
            out.setdefault(name, Measured(name, {"score": {}}, {})).values["score"][seed] = line.mean
    return out


def encoder_of(method: str) -> tuple[str, int | None]:
    """The encoder under a linear head and its seed; any other method has none."""
    if not method.startswith(HEAD_ON):
        return method, None
    name, _, seed = method.removeprefix(HEAD_ON).rpartition("-")
    return name, int(seed)


def gaps(one: Measured, other: Measured, name: str) -> list[float]:
    """A number of one method minus that of another, on each seed that both have."""
    ours, theirs = (found.values.get(name, {}) for found in (one, other))
    return [ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))]


def over_seeds(values: Sequence[float]) -> Cell:
    """Mean ± standard deviation; a single value as it is."""
    if len(values) > 1:
        return Spread(fmean(values), error=stdev(values))
    return values[0] if values else None


def interval(values: Sequence[float]) -> Cell:
    """Mean of paired differences; from two seeds on with the 95 % interval of Student's t."""
    if len(values) < 2:
        return values[0]
    from scipy import stats

    half = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return Spread(fmean(values), None, fmean(values) - half, fmean(values) + half)

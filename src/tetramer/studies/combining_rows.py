"""The rows of "combining modalities" as its page needs them, and late fusion, which needs no rows of its own."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from tetramer.benchmark import protocol, rules
from tetramer.benchmark.cells import Cell
from tetramer.benchmark.row import Row, Settings
from tetramer.checkpoint import unpack
from tetramer.datasets.labels import labels
from tetramer.datasets.tables import Table, read_table
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError
from tetramer.studies import qm9
from tetramer.studies.finished import over_seeds

# Networks stop and late fusions are weighed on the valid part, which has new scaffolds where the test part has such.
FIT_ROWS = "train"
LATE = "late: "  # before the names of recipes whose predictions are averaged
FEW = 10  # rows that say nothing about weights
BY_SEED = ("errors", "weights", "members")  # of a late fusion


@dataclass(frozen=True)
class Model:
    """One row of the study's table. `sigma` is the printed error in standard deviations of the target."""

    name: str
    published: str | None  # recipes
    ours: str | None
    sigma: float | None = None


@dataclass(frozen=True)
class Measured:
    """One method on one split, seed by seed."""

    method: str
    split: str
    errors: dict[int, float]  # seed → MAE in the unit of the target
    parameters: int | None = None
    seconds: float = 0.0  # of one row
    refused: dict[int, str] = field(default_factory=dict)  # seed → why it has no error
    unanswered: dict[int, int] = field(default_factory=dict)  # seed → tested molecules that its error leaves out
    # of a late fusion: seed → method → weight, and the method's own error, by which one knows of which row it was made
    weights: dict[int, dict[str, float]] = field(default_factory=dict)
    members: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean error over seeds; NaN without any."""
        return fmean(self.errors.values()) if self.errors else float("nan")

    @property
    def cell(self) -> Cell:
        """Mean ± standard deviation over seeds."""
        return over_seeds(list(self.errors.values()))

    @property
    def seeds(self) -> str:
        """How many have an error: `3`, or `1 of 3`."""
        return (
            f"{len(self.errors)} of {len(self.errors) + len(self.refused)}" if self.refused else f"{len(self.errors)}"
        )

    def held_against(self, other: "Measured") -> list[float]:
        """Errors minus those of `other`, on every split that both have; a rule without seeds has one split."""
        theirs = other.errors
        if theirs and len(rules.seeds_of(self.split, 2)) == 1 and set(theirs) == {0}:
            theirs = dict.fromkeys(self.errors, theirs[0])
        return [error - theirs[seed] for seed, error in self.errors.items() if seed in theirs]

    @property
    def shares(self) -> dict[str, float]:
        """Weights of a late fusion, means over seeds."""
        told = list(self.weights.values())
        return {name: fmean(one[name] for one in told) for name in told[0]} if told else {}


@dataclass(frozen=True)
class Rows:
    """All finished rows of a folder on one data file; `told` are the rows as they were written.

    given: the rows that all methods learned from, as `Row.fit_rows` has it
    """

    output: Path
    data: Path
    target: str
    told: Sequence[dict[str, Any]]
    given: str = FIT_ROWS

    @classmethod
    def load(cls, output: Path, data: Path, target: str, given: str = FIT_ROWS) -> "Rows":
        """Those of the data file and of `given` alone. UserError if there are none."""
        told = [row for row in protocol.load(output)[0] if (row["data"], row["fit_rows"]) == (data.stem, given)]
        if not told:
            raise UserError(f"{output} holds no rows of {data.name}. Run the study without --report first.")
        return cls(output, data, target, told, given)

    def beside(self) -> list["Rows"]:
        """These and those of the same data file that learned from other rows, fewest first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in protocol.load(self.output)[0]:
            if row["data"] == self.data.stem:
                found.setdefault(row["fit_rows"], []).append(row)
        told = [replace(self, told=rows, given=given) for given, rows in found.items()]
        return sorted(told, key=lambda rows: max(map(rows.learned, rows.splits)))

    def learned(self, split: str) -> int:
        """Rows that methods were given on a split."""
        return max((row["fitted_on"] for row in self.told if row["split"] == split), default=0)

    def others(self, split: str) -> list["Rows"]:
        """These and those of other properties, with as many rows to learn from on a split."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in protocol.load(self.output)[0]:
            found.setdefault((row["data"], row["fit_rows"]), []).append(row)
        out: dict[str, Rows] = {}
        for (data, given), told in found.items():
            target = data.removeprefix("qm9-").partition("-")[0]
            rows = replace(self, data=self.data.with_name(f"{data}.parquet"), target=target, told=told, given=given)
            if rows.learned(split) == self.learned(split):
                out.setdefault(target, rows)
        return [out[name] for name in qm9.TARGETS if name in out]

    @property
    def unit(self) -> str:
        """That of the errors."""
        return qm9.unit(self.target)

    @property
    def splits(self) -> list[str]:
        """In the order in which a reader meets them: the harder first."""
        found = {row["split"] for row in self.told}
        return sorted(found, key=lambda name: (not name.startswith("scaffold"), name))

    def measured(self, method: str, split: str) -> Measured | None:
        """A method on a split; None if no row of it is finished."""
        here = [row for row in self.told if (row["method"], row["split"]) == (method, split)]
        if not here:
            return None
        here.sort(key=lambda row: row["seed"])
        errors = {row["seed"]: row["scores"]["mae"] for row in here if row["scores"]["mae"] is not None}
        refused = {row["seed"]: row["refused"] or "no answer is a number" for row in here if row["seed"] not in errors}
        seconds = fmean(row["cost"]["seconds"] for row in here)
        unanswered = {row["seed"]: row["unanswered"] for row in here if row.get("unanswered") and row["seed"] in errors}
        return Measured(method, split, errors, here[0].get("parameters"), seconds, refused, unanswered)

    def kept(self, method: str, split: str, seed: int) -> dict[str, np.ndarray] | None:
        """Answers and vectors of a row (`row.packed`); None where this machine has none, or those of another fit."""
        row = Row(method, str(self.data), split, seed, self.given)
        settings = Settings(str(self.output))
        path = settings.beside(settings.place(row, self.data.stem))
        measured = self.measured(method, split)
        if not path.is_file() or measured is None or self.table is None:
            return None
        told = unpack(path.read_bytes(), str(path))
        if seed not in measured.errors:
            return told
        misses = np.abs(told["values"][:, 0, 0] - self.values[told["rows"]])
        error = misses[np.isfinite(misses)].mean()  # as the score has it
        return told if np.isclose(error, measured.errors[seed], rtol=1e-6) else None

    @cached_property
    def table(self) -> Table | None:
        """The molecules; None where the data file is not on this machine."""
        return read_table(self.data) if self.data.is_file() else None

    @cached_property
    def values(self) -> np.ndarray:
        """(n,) the target in its unit."""
        assert self.table is not None
        return labels(self.table, [self.target]).values[:, 0]

    def late(self, methods: Sequence[str], split: str) -> Measured | None:
        """Methods averaged with weights fitted on the rows that all of them were given and none learned from.

        Of seeds whose answers were not kept on this machine, what `save_late` wrote; None without either.
        """
        key = (*methods, split)
        if key not in self._found:
            self._found[key] = self._late_or_saved(methods, split)
        return self._found[key]

    @cached_property
    def _found(self) -> dict[tuple[str, ...], Measured | None]:
        """Late fusions that were asked for: each costs a fit a seed."""
        return {}

    def _late_or_saved(self, methods: Sequence[str], split: str) -> Measured | None:
        here, there = self._late(methods, split), self._saved.get((LATE + ", ".join(methods), split))
        if there:
            members = self._members(methods, split)
            seeds = [seed for seed in there.errors if there.members.get(seed) == members.get(seed, {})]
            parts: dict[str, Any] = {name: {seed: getattr(there, name)[seed] for seed in seeds} for name in BY_SEED}
            there = replace(there, **parts) if seeds else None
        if here and there:
            parts = {name: dict(sorted((getattr(there, name) | getattr(here, name)).items())) for name in BY_SEED}
            return replace(here, **parts)
        return here or there

    def save_late(self, groups: Sequence[Sequence[str]]) -> None:
        """Write `late.json` beside the rows: it stays where the answers do not, and keeps what it holds."""
        told = dict(self._saved)
        for split in self.splits:
            for methods in groups:
                if one := self.late(methods, split):
                    told[one.method, split] = one
        if told:
            text = json.dumps([asdict(one) for one in told.values()], indent=1)
            write_whole(self.file("late"), text.encode() + b"\n")

    def file(self, name: str) -> Path:
        """Where something about these rows is written, beside them."""
        few = self.given.partition(":")[2]
        return self.output / self.data.stem / f"{name}{f'-{few}' if few else ''}.json"

    @cached_property
    def _saved(self) -> dict[tuple[str, str], Measured]:
        if not self.file("late").is_file():
            return {}
        found = {}
        for one in json.loads(self.file("late").read_text(encoding="utf-8")):
            by_seed = {name: {int(seed): value for seed, value in one.get(name, {}).items()} for name in BY_SEED}
            found[one["method"], one["split"]] = Measured(**(one | by_seed | {"refused": {}}))
        return found

    def _members(self, methods: Sequence[str], split: str) -> dict[int, dict[str, float]]:
        """Seed → method → its error, of seeds that all have: answers of a row that was taken away still lie there."""
        found = {name: one.errors for name in methods if (one := self.measured(name, split))}
        seeds = set.intersection(*map(set, found.values())) if len(found) == len(methods) else set()
        return {seed: {name: errors[seed] for name, errors in found.items()} for seed in sorted(seeds)}

    def _late(self, methods: Sequence[str], split: str) -> Measured | None:
        errors: dict[int, float] = {}
        weights: dict[int, dict[str, float]] = {}
        members = self._members(methods, split)
        for seed in members:
            kept = [self.kept(method, split, seed) for method in methods]
            if self.table is None or any(one is None or "held" not in one for one in kept):
                continue
            whole = [one for one in kept if one is not None]
            if any(not np.array_equal(one["held"], whole[0]["held"]) for one in whole):
                continue
            held, told = (np.stack([one[name][:, 0, 0] for one in whole]) for name in ("held_values", "values"))
            answered = np.isfinite(held).all(axis=0)
            if not np.isfinite(told).all():  # its error would be that of other molecules than a member's
                continue
            fitted = least_absolute(held[:, answered], self.values[whole[0]["held"]][answered])
            errors[seed] = float(np.abs(fitted @ told - self.values[whole[0]["rows"]]).mean())
            weights[seed] = dict(zip(methods, fitted.round(4).tolist(), strict=True))
        if not errors:
            return None
        parameters = [one.parameters for one in (self.measured(name, split) for name in methods) if one]
        name, members = LATE + ", ".join(methods), {seed: members[seed] for seed in errors}
        return Measured(name, split, errors, sum(filter(None, parameters)) or None, weights=weights, members=members)


def least_absolute(told: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Weights (G,) of answers (G, n), ≥ 0 and 1 in sum, by which their mean misses `truth` (n,) least, in MAE.

    A linear programme: the least sum of u ≥ ±(Σ w·told − truth). Of fewer than FEW rows, equal weights.
    """
    groups, rows = told.shape
    if rows < FEW:
        return np.full(groups, 1 / groups)
    answers, misses = csr_array(told.T), eye_array(rows)
    found = linprog(
        np.repeat([0.0, 1.0], [groups, rows]),
        A_ub=vstack([hstack([answers, -misses]), hstack([-answers, -misses])]),
        b_ub=np.concatenate([truth, -truth]),
        A_eq=np.repeat([1.0, 0.0], [groups, rows])[None],
        b_eq=[1.0],
    )
    return np.asarray(found.x[:groups])

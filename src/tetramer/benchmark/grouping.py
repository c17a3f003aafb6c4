"""Finished rows, grouped as they are compared: by setting and data set, then by method, then by split."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tetramer.benchmark.significance import Row, error_of
from tetramer.datasets.sources import SOURCES

Finished = Mapping[str, Any]  # a row as `row.measure` returns it
Splits = Mapping[str, Sequence[Finished]]  # SHA-256 → rows of one method there: one, or several training seeds
ONE_SPLIT = ("D", "scaffold-mixed", "time", "column")  # classes of rules that have no seed


@dataclass(frozen=True, order=True)
class Setting:
    """What the tables that may be seen together have in common."""

    letter: str
    rule: str
    fit_rows: str

    @property
    def name(self) -> str:
        """As a sentence part."""
        kind = f"class {self.letter}, " if self.letter != self.rule else ""
        return f"{kind}{self.rule}, fitted on {self.fit_rows.replace('+', ' + ')}"


def by_table(rows: Iterable[Finished]) -> dict[tuple[Setting, str], dict[str, Splits]]:
    """(setting, data set) → method → split → rows, all in sorted order."""
    found: dict[tuple[Setting, str], dict[str, dict[str, list[Finished]]]] = {}
    for row in ordered(rows):
        table = found.setdefault((Setting(row["class"], row["split"], row["fit_rows"]), row["data"]), {})
        table.setdefault(row["method"], {}).setdefault(split_of(row), []).append(row)
    return {key: dict(methods) for key, methods in found.items()}


def split_of(row: Finished) -> str:
    """The split that a row counts under: its hash.

    Where a rule has one split and seeds draw which rows of it are learned from, all of them are that one split.
    """
    drawn = ":" in row["fit_rows"] and row["class"] in ONE_SPLIT
    return f"{row['split']}, {row['fit_rows']}" if drawn else str(row["split_sha256"])


def ordered(rows: Iterable[Finished]) -> list[Finished]:
    """The rows by setting, data set, method and seed."""
    return sorted(rows, key=order)


def order(row: Finished) -> tuple[Any, ...]:
    """Setting, data set, method and seed: what a row is of."""
    return row["class"], row["split"], row["fit_rows"], row["data"], row["method"], row["seed"]


def value_of(row: Finished, member: str = "") -> float | None:
    """The first metric of a row, or of a member of its blend; None where it is undefined."""
    told = (members_of(row).get(member, {}) if member else row["scores"]).get(row["metric"])
    return float(told) if told is not None and math.isfinite(told) and not row["refused"] else None


def members_of(row: Finished) -> Mapping[str, Mapping[str, float | None]]:
    """Member → its scores; none where the method blends nothing."""
    return row.get("members") or {}


def values(rows: Iterable[Finished], member: str = "") -> list[float]:
    """Those of the rows that have one."""
    return [value for row in rows if (value := value_of(row, member)) is not None]


def defined(splits: Splits, member: str = "") -> dict[str, list[Finished]]:
    """The splits and rows with a value, splits in sorted order."""
    kept = {sha: [row for row in rows if value_of(row, member) is not None] for sha, rows in sorted(splits.items())}
    return {sha: rows for sha, rows in kept.items() if rows}


def common(ours: Splits, theirs: Splits) -> list[str]:
    """The splits on which both have a value for the same labels, by their hash.

    Rows of before there was one are taken for alike where they have as many rows, answers and averaged targets.
    """
    left, right = defined(ours), defined(theirs)
    return [sha for sha in left if sha in right and _alike(left[sha], right[sha])]


def _alike(ours: Sequence[Finished], theirs: Sequence[Finished]) -> bool:
    hashes = [{(row.get("cells") or {}).get(row["metric"]) for row in rows} for rows in (ours, theirs)]
    if None not in hashes[0] | hashes[1]:
        return hashes[0] == hashes[1]
    return _judged(ours) == _judged(theirs)


def _judged(rows: Sequence[Finished]) -> set[tuple[int, int, int]]:
    return {
        (row["tested_on"], row.get("unanswered", 0), (row.get("skipped") or {}).get(row["metric"], 0)) for row in rows
    }


def as_rows(splits: Splits, shas: Iterable[str], member: str = "") -> list[Row]:
    """The values on some splits as `significance` takes them."""
    return [
        Row(
            member or row["method"],
            row["data"],
            sha,
            error_of(row["metric"], value),
            row["fitted_on"],
            row["tested_on"],
        )
        for sha in shas
        for row in splits[sha]
        if (value := value_of(row, member)) is not None
    ]


def source_of(row: Finished) -> str | None:
    """The public set (of SOURCES) that a row is of; None for somebody's own.

    Rows of before they said so are taken by the name of the data set: "hiv-10000" is of hiv.
    """
    if "source" in row:
        return str(row["source"]) if row["source"] in SOURCES else None
    names = (row["data"], re.sub(r"-[0-9]+$", "", row["data"]))
    return next((name for name in names if name in SOURCES), None)

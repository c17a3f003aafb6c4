"""What an audit says: findings with a code, a weight, the rows and a sentence."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

SHOWN = 10  # rows that a finding names
ALARM, WARNING, NOTE = "alarm", "warning", "note"
SEVERITIES = (ALARM, WARNING, NOTE)
"""Alarm: numbers from these data would mislead. Warning: look at these rows or columns. Note: good to know."""

CODES: dict[str, str] = {
    "NO_ROWS": "a table without rows",
    "AS_READ": "what the reader of the file had to guess or leave out, such as its encoding",
    "DUPLICATE": "rows whose molecule stands in an earlier row",
    "CONFLICT": "molecules whose repeated rows have different labels",
    "ISOMER": "molecules that differ only in stereo, tautomer, charge or isotope from another one",
    "ISOMER_CONFLICT": "families of such molecules with different labels",
    "MULTI_COMPONENT": "rows of several molecules: salts, solvates, mixtures",
    "EMPTY": "rows without a structure",
    "CONTROL_CHAR": "structures with white space or a control character inside",
    "TOO_LONG": "structures with more characters than the limit",
    "PARSE": "texts that are no SMILES",
    "SANITIZE": "structures that RDKit refuses",
    "TOO_BIG": "molecules with more heavy atoms than the limit",
    "TIMEOUT": "molecules that took too long to read",
    "CRASH": "molecules that killed their worker process",
    "OOM": "molecules that needed too much memory",
    "LABEL_NAN": "cells that say NaN",
    "LABEL_INF": "infinite labels",
    "LABEL_TYPE": "text among numbers, or cells that hold neither numbers nor classes",
    "LABEL_FORMAT": "numbers that are not written as numbers: a decimal comma, a unit, %, ± or ~",
    "LABEL_HUGE": "labels too large to compute with",
    "EXTREME": "labels alone and far from all others",
    "STAND_IN": "labels of one value beyond all others, such as -999, that may mean that nothing was measured",
    "ALL_MISSING": "a target without any label",
    "ONE_CLASS": "a class target whose labels are all the same",
    "CONSTANT": "a numeric target whose labels are all the same",
    "FEW_OF_CLASS": "classes with very few labels",
    "REPEATED_HEADER": "columns that had the same name in the file",
    "REPEATED_COLUMN": "a target that is a copy of another one",
    "NEAR_COPY": "a target that another one tells almost exactly",
    "PREDICTIONS": "a column of predictions of a target, by its name and its values",
    "LEAK_COLUMN": "a column that tells a target almost exactly",
    "COMPOSITION": "labels that contradict the atom counts of the molecule beside them",
    "STYLE": "the way in which the SMILES are written tells the label",
    "NOT_CHECKED": "targets that a slow check has left out",
    "SAME_MOLECULE": "rows of the second file whose molecule stands in the first",
    "SAME_SKELETON": "rows of the second file that differ from the first only in stereo, tautomer, charge or isotope",
    "SAME_SCAFFOLD": "rows of the second file whose ring scaffold stands in the first",
}


@dataclass(frozen=True)
class Finding:
    """One thing found. `rows` are the first ones, counted from 1 without the header, and there are `more` beyond them.

    `target` None: the whole table.
    `count` is the number of things that CODES[code] names: rows, molecules, cells or columns. `values` are the numbers
    behind the sentence; all are finite.
    """

    code: str
    severity: str
    target: str | None
    count: int
    rows: tuple[int, ...]
    sentence: str
    values: dict[str, float] = field(default_factory=dict)
    more: int = 0


@dataclass(frozen=True)
class Audit:
    """All findings of a table, alarms first, otherwise in the order of the checks.

    `rows` of the table (of the second one for an overlap), of which `molecules` different ones could be read.
    """

    name: str
    rows: int
    molecules: int
    targets: tuple[str, ...]
    findings: tuple[Finding, ...]
    what: str = "molecule"  # or reaction

    def of(self, code: str, target: str | None = None) -> list[Finding]:
        """The findings of one code, of one target if named."""
        return [one for one in self.findings if one.code == code and target in (None, one.target)]

    @property
    def alarms(self) -> list[Finding]:
        """The findings that make numbers from these data misleading."""
        return [one for one in self.findings if one.severity == ALARM]

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and texts, without any structure."""
        return asdict(self)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Alarms, then warnings, then notes; the order within each is kept."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def first_rows(rows: np.ndarray, start: int) -> tuple[int, ...]:
    """The first places, (m,) from 0 in this piece of the file, as row numbers; `start` rows come before the piece."""
    return tuple(int(row) + start + 1 for row in rows[:SHOWN])


def beyond(rows: np.ndarray) -> int:
    """How many places, (m,), `first_rows` leaves out."""
    return max(0, len(rows) - SHOWN)


def some(number: int, what: str) -> str:
    """1 row, 2,000 rows."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """A share in words; more digits the smaller it is."""
    return f"{100 * share:.{0 if share >= 0.2 else 1 if share >= 0.002 else 3}f} %"

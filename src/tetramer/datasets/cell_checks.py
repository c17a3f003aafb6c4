"""What an audit says of the cells of one column: cells that are no labels, classes that are none, labels too few or
too far away.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tetramer.datasets.columns import FEW, IDENTIFIER, Column, hinted, words
from tetramer.datasets.findings import ALARM, NOTE, WARNING, Finding, beyond, first_rows, some
from tetramer.datasets.labels import LARGEST
from tetramer.datasets.signals import extremes, stand_ins

SHOWN = 5  # classes in a sentence
MEASURED = 0.05  # share of numbers among texts from which a column may be one of measurements
UNMEASURED = (
    "-",
    "--",
    "–",
    "?",
    ".",
    "nd",
    "n.d.",
    "nt",
    "n.t.",
    "not tested",
    "not determined",
    "not measured",
    "tbd",
)
WRONG = {
    "LABEL_NAN": (NOTE, "say NaN and are read as missing", "Empty them, if nothing was measured."),
    "LABEL_INF": (ALARM, "are infinite", "Correct or empty them; training refuses them."),
    "LABEL_HUGE": (ALARM, f"are beyond {LARGEST:g} in size", "Correct or empty them, or change the unit."),
    "LABEL_FORMAT": (ALARM, "look like numbers, but are not written as numbers", ""),
    "LABEL_TYPE": (ALARM, "hold no number", "Correct or empty them; a bound is written >10 or <5."),
}


def check_cells(column: Column, start: int, named: bool = True) -> list[Finding]:
    """Cells that are no labels, and targets of which nothing or too little can be learned.

    named: whether somebody says that the column is a target; one that was only found may be a unit or a date
    """
    found = [_wrong(column, code, start) for code in column.wrong]
    known = column.values[column.known]
    if not len(known):
        sentence = f"No row has a label in {column.name!r}."
        empty = Finding("ALL_MISSING", ALARM, column.name, len(column.values), (), sentence)
        return found if "LABEL_FORMAT" in column.wrong else [*found, empty]
    different, counts = np.unique(known, return_counts=True)
    if len(different) == 1:
        code = "ONE_CLASS" if column.classes or different[0] in (0.0, 1.0) else "CONSTANT"
        sentence = f"All {len(known):,} labels of {column.name!r} are {column.shown(different[0])}; nothing is learned."
        return [*found, Finding(code, ALARM if named else NOTE, column.name, len(known), (), sentence)]
    found += check_classes(column)
    few = different[counts < FEW]
    if column.kind != "regression" and len(few):
        rows = np.flatnonzero(np.isin(column.values, few))
        shown = [f"{column.shown(value)} ({count})" for value, count in zip(few, counts[counts < FEW], strict=True)]
        listed = ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")
        sentence = (
            f"Classes of {column.name!r} with fewer than {FEW} labels: {listed}. A held-out part has few or none of "
            "them, and its metrics mean little."
        )
        places, more = first_rows(rows, start), beyond(rows)
        found.append(Finding("FEW_OF_CLASS", WARNING, column.name, len(few), places, sentence, more=more))
    told = _stand_ins(column, start)
    return [*found, *told, *_extremes(column, [one.values["value"] for one in told], start)]


def check_classes(column: Column) -> list[Finding]:
    """Classes that differ in capital letters only, and texts that most likely say that nothing was measured."""
    classes, found = column.classes or (), []
    counts = Counter(text.strip().casefold() for text in classes)
    alike = [text for text in classes if counts[text.strip().casefold()] > 1]
    if alike:
        sentence = f"{column.name!r} has classes that differ in capital letters only: {', '.join(map(repr, alike))}."
        advice = " Write them in one way, or they are learned as different classes."
        found.append(Finding("CLASS_CASE", WARNING, column.name, len(alike), (), sentence + advice))
    gaps = [text for text in classes if text.strip().casefold() in UNMEASURED]
    if gaps and len(gaps) < len(classes):
        listed = ", ".join(map(repr, gaps))
        sentence = f"{column.name!r} has classes that may mean that nothing was measured: {listed}."
        advice = " Empty these cells if so, or they are learned as a class."
        found.append(Finding("CLASS_UNMEASURED", WARNING, column.name, len(gaps), (), sentence + advice))
    return found


def check_formats(columns: Sequence[Column], severity: str, start: int) -> list[Finding]:
    """Columns that would be numbers, were they written as numbers; without that they are no targets."""
    found = [replace(_wrong(one, "LABEL_FORMAT", start), severity=severity) for one in columns if _unreadable(one)]
    return found + [_wrong(one, "LABEL_TYPE", start) for one in columns if _half_measured(one)]


def _half_measured(column: Column) -> bool:
    """Whether a column has more text than numbers, but enough numbers to be one of measurements."""
    numbers, texts = int(column.known.sum()), len(column.wrong.get("LABEL_TYPE", ()))
    named = hinted(column.name) or re.search(IDENTIFIER, words(column.name)) is not None
    return not named and not column.classes and texts > numbers >= max(FEW, MEASURED * (numbers + texts))


def _unreadable(column: Column) -> bool:
    """Whether most cells of a column look like numbers that we do not read."""
    other = max(int(column.known.sum()), len(column.wrong.get("LABEL_TYPE", ())))
    return len(column.wrong.get("LABEL_FORMAT", ())) > other


def _wrong(column: Column, code: str, start: int) -> Finding:
    """The cells of one code."""
    severity, what, advice = WRONG[code]
    rows = column.wrong[code]
    sentence = f"{some(len(rows), 'cell')} of {column.name!r} {what}. {advice or column.advice}"
    return Finding(code, severity, column.name, len(rows), first_rows(rows, start), sentence, more=beyond(rows))


def _stand_ins(column: Column, start: int) -> list[Finding]:
    """Values such as -999 that may mean that nothing was measured."""
    if column.classes:
        return []
    labels = column.values[column.known & (column.censor == 0)]
    values, found = stand_ins(labels, classes=column.kind != "regression"), []
    others = labels[~np.isin(labels, values)]
    for value in values:
        rows = np.flatnonzero((column.values == value) & (column.censor == 0))
        sentence = (
            f"{some(len(rows), 'label')} of {column.name!r}: {value:g}, while all others lie between {others.min():g} "
            f"and {others.max():g}. If it means that nothing was measured, empty these cells, or it is learned as a "
            "measurement."
        )
        told = {"value": value, "least": float(others.min()), "most": float(others.max())}
        where, more = first_rows(rows, start), beyond(rows)
        found.append(Finding("STAND_IN", WARNING, column.name, len(rows), where, sentence, told, more))
    return found


def _extremes(column: Column, told: list[float], start: int) -> list[Finding]:
    """A few labels that lie so far away that they can only be slips of a unit or of a keyboard; `told`: known ones."""
    places = np.flatnonzero(column.known & (column.censor == 0) & ~np.isin(column.values, told))
    if column.kind != "regression" or not len(rows := places[extremes(column.values[places])]):
        return []
    values = {"median": float(np.median(column.values[places])), "first": float(column.values[rows[0]])}
    sentence = (
        f"{some(len(rows), 'label')} of {column.name!r} far from all others, such as {values['first']:g} where the "
        f"median is {values['median']:g}. One such label outweighs all the rest: check the unit and the decimal point."
    )
    where = first_rows(rows, start)
    return [Finding("EXTREME", ALARM, column.name, len(rows), where, sentence, values, beyond(rows))]

"""Cells of target columns → numbers, censor signs and classes; the checks that make a training table sound.

A cell is a number, a bound (">10", "<= 5"), missing (`cells.MISSING`), or, in a column of texts that neither are nor
look like numbers, a class.
Anything else stops the reading with a UserError that names the first rows: a label is never guessed and never dropped.
Rows in messages are data rows, counted from 1 without the header.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tetramer.datasets.cells import Cells
from tetramer.datasets.delimited import is_text
from tetramer.datasets.findings import some
from tetramer.datasets.tables import Table, find_column
from tetramer.errors import UserError, pick

SHOWN = 5  # rows that a message names
MOST_CLASSES = 100
LEAST = 20  # labelled rows from which a model can be trained
LARGEST = 1e15  # of a number to learn: its square is far from the end of float32
FEW = 10  # as many different whole numbers, each seen FEW times on average, are classes
OPPOSITES = (
    ("negative", "positive"),
    ("neg", "pos"),
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("fail", "pass"),
    ("low", "high"),
    ("-", "+"),
)
MANY_TARGETS, MANY_CELLS = 50, 30_000
USUAL = (2.0, 12.0)  # pIC50 that assays measure
UNITS = {"pM": 12, "nM": 9, "uM": 6, "µM": 6, "μM": 6, "mM": 3, "M": 0}
"""Unit of concentration → minus the power of ten that it is of mol/L."""


@dataclass(frozen=True)
class Labels:
    """Targets of n rows.

    values (n, T) float64, NaN where nobody measured; censor (n, T) int8: −1 the truth is below the value ("<5"), +1
    above (">10"), 0 exact; classes: per target the texts that stand for 0, 1, …, or None where the cells were numbers.
    """

    names: tuple[str, ...]
    values: np.ndarray
    censor: np.ndarray
    classes: tuple[tuple[str, ...] | None, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def known(self) -> np.ndarray:
        """(n, T) bool: measured."""
        known: np.ndarray = ~np.isnan(self.values)
        return known

    @property
    def panel(self) -> bool:
        """Whether the targets are so many, or so long, that to fit all members to each would take hours."""
        rows, targets = self.values.shape
        return bool(targets > MANY_TARGETS or (targets > 1 and rows * targets > MANY_CELLS))


@dataclass(frozen=True)
class Task:
    """What kind of learning the labels ask for, and the sentence that says why."""

    kind: str  # "regression" | "binary" | "multiclass"
    why: str


def labels(table: Table, names: Sequence[str]) -> Labels:
    """Read target columns. Text among numbers and infinite numbers are UserErrors that name their first rows."""
    if not names:
        raise UserError("Name at least one target column.")
    names = [find_column(table, name) for name in names]
    if len(set(names)) < len(names):
        raise UserError(f"A target is named twice: {', '.join(map(repr, names))}.")
    read = [_read(table, name) for name in names]
    return Labels(
        tuple(names),
        np.stack([values for values, _, _ in read], axis=1),
        np.stack([censor for _, censor, _ in read], axis=1),
        tuple(classes for _, _, classes in read),
    )


Column = tuple[np.ndarray, np.ndarray, tuple[str, ...] | None]


def _read(table: Table, name: str) -> Column:
    """One target of any Arrow type → values, censor signs, classes; UserError for types that hold neither."""
    column = table.data[name]
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind):
        column, kind = pc.if_else(column, "true", "false"), pa.string()
    if pa.types.is_null(kind):
        return np.full(len(table), np.nan), np.zeros(len(table), np.int8), None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
        _refuse(table, name, np.isinf(values), column, "an infinite label", "Correct or empty these cells.")
        return values, np.zeros(len(values), np.int8), None
    if not is_text(kind):
        raise UserError(f"Column {name!r} of {table.name} holds {kind}; a target holds numbers or classes.")
    return _read_text(table, name, column)


def _read_text(table: Table, name: str, column: pa.ChunkedArray) -> Column:
    """One target of text."""
    cells = Cells.of(column)
    if cells.are_classes:
        return _read_classes(table, name, cells)
    infinite, wrong, correct = "an infinite label", cells.neither, "Correct or empty these cells."
    _refuse(table, name, cells.infinite, cells.texts, infinite, correct)
    what, advice = "text in a numeric target", cells.advice
    if wrong.any() and not cells.number.any():
        what = "no plain number, but texts that look like numbers"
        advice += " If they are classes, begin their names with a letter."
    _refuse(table, name, wrong, cells.texts, what, advice)
    values, signs = cells.numbers()
    _refuse(table, name, np.isinf(values), cells.texts, infinite, correct)
    return values, signs, None


def _read_classes(table: Table, name: str, cells: Cells) -> Column:
    """Texts → 0, 1, … in the order of `_order`."""
    texts = cells.different()
    if names_not_classes(texts, int((~cells.missing).sum())):
        raise UserError(
            f"Column {name!r} of {table.name} holds {len(texts):,} different texts, such as {texts[0]!r}. "
            "A target is a number or one of a few classes."
        )
    ordered = _order(texts)
    return cells.places(ordered), np.zeros(len(cells.texts), np.int8), tuple(ordered)


def names_not_classes(texts: Sequence[str], count: int) -> bool:
    """Whether so many different texts in `count` cells are names, of which nothing can be learned."""
    return len(texts) > MOST_CLASSES or (count >= LEAST and len(texts) > count / 2)


def _order(texts: list[str]) -> list[str]:
    """Alphabetical, but of a pair of opposites ("inactive", "active") the negative comes first."""
    if len(texts) != 2:
        return texts
    for first, second in (texts, texts[::-1]):
        low, high = first.casefold(), second.casefold()
        negated = any(low == prefix + high for prefix in ("in", "non", "non-", "non ", "not ", "un"))
        if negated or (low, high) in OPPOSITES:
            return [first, second]
    return texts


def _refuse(table: Table, name: str, bad: np.ndarray, cells: pa.Array, what: str, advice: str) -> None:
    """UserError naming the first `bad` rows of the file, counted from 1 without the header."""
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    shown = ", ".join(f"row {table.start + row + 1}: {str(cells[int(row)])!r}" for row in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    raise UserError(f"Column {name!r} of {table.name} holds {what} ({shown}{more}). {advice}")


def infer_task(labels: Labels) -> Task:
    """Two different values → binary; text, or few whole numbers that recur → multiclass; otherwise regression.

    Two numbers that are not whole are classes only if both recur. "Few that recur": 3 to 10 different whole numbers,
    each seen 10 times on average. A column with bounds is always regression. Targets of different kinds are a
    UserError: one model learns one kind.
    """
    tasks = [_infer(labels, column) for column in range(len(labels.names))]
    if len({task.kind for task in tasks}) > 1:
        listed = " ".join(task.why for task in tasks)
        raise UserError(
            f"The targets are of different kinds. {listed} Train each kind apart, with its own --target, or name one "
            "kind for all with --task."
        )
    return tasks[0]


def _infer(labels: Labels, column: int) -> Task:
    """The task of one target."""
    name, classes = labels.names[column], labels.classes[column]
    known = labels.known[:, column]
    values, counts = np.unique(labels.values[known, column], return_counts=True)
    if labels.censor[:, column].any():
        return Task("regression", f"{name!r} holds bounds (> or <), so it is regression.")
    whole = bool((values == np.round(values)).all())
    pairs = zip(values[:FEW].tolist(), counts.tolist(), strict=False)
    shown = [f"{classes[int(value)] if classes else f'{value:g}'} ({some(count, 'row')})" for value, count in pairs]
    listed = ", ".join(shown) + (f" and {len(values) - FEW} more" if len(values) > FEW else "")
    if len(values) == 2 and (classes or whole or counts.min() > 1):
        return Task("binary", f"{name!r} holds two different values, {shown[0]} and {shown[1]}, so it is binary.")
    if classes is not None:
        return Task("multiclass", f"{name!r} holds {len(values)} different texts, so it is multiclass: {listed}.")
    if whole and 2 < len(values) <= FEW and known.sum() >= FEW * len(values):
        sentence = f"{name!r} holds {len(values)} whole numbers that recur, so it is multiclass: {listed}."
        return Task("multiclass", f"{sentence} To learn them as numbers, give --task regression.")
    return Task("regression", f"{name!r} holds {len(values):,} different numbers, so it is regression.")


def as_classes(labels: Labels) -> Labels:
    """Numbers that stand for classes → 0, 1, … in ascending order, their texts in `classes`.

    Columns of text are so already. Bounds are a UserError: a class has no size.
    """
    if labels.censor.any():
        raise UserError("A classification target holds bounds (> or <); give classes or train a regression.")
    values = labels.values.copy()
    classes = []
    for column, texts in enumerate(labels.classes):
        known = labels.known[:, column]
        found = np.unique(values[known, column])
        if texts is None:
            values[known, column] = np.searchsorted(found, values[known, column])
        classes.append(texts or tuple(f"{value:.15g}" for value in found))
    return replace(labels, values=values, classes=tuple(classes))


def check_labels(labels: Labels, task: str, least: int = LEAST) -> None:
    """UserError where nothing can be learned: a target without labels, of one class or one value, too few rows.

    Numbers too large to compute with are one too.
    task: a kind of Task; least: rows that must have at least one label.
    """
    known = labels.known
    empty = [name for column, name in enumerate(labels.names) if not known[:, column].any()]
    if empty:
        raise UserError(f"No row has a label in {', '.join(map(repr, empty))}. Is it the right column?")
    for column, name in enumerate(labels.names):
        values = labels.values[known[:, column], column]
        if task == "regression":
            _check_size(name, labels.values[:, column])
        if (values == values[0]).all():
            texts = labels.classes[column]
            shown = texts[int(values[0])] if texts else f"{values[0]:g}"
            what = "one value" if task == "regression" else "one class"
            raise UserError(
                f"All {len(values):,} labels in {name!r} are {shown}: {what} only, so nothing can be learned."
            )
    count = int(known.any(axis=1).sum())
    if count < least:
        raise UserError(f"{count} rows have a label; at least {least} are needed. Add measured compounds.")


def _check_size(name: str, values: np.ndarray) -> None:
    """UserError for numbers (n,) beyond LARGEST: their squares are too large to compute with."""
    rows = np.flatnonzero(np.abs(values) > LARGEST)
    if len(rows):
        raise UserError(
            f"Column {name!r} holds labels beyond {LARGEST:g} in size ({_shown(rows, values)}). Correct or empty these "
            "cells, change the unit, or learn the logarithm with --log10."
        )


def _shown(rows: np.ndarray, values: np.ndarray) -> str:
    """The first places (m,) as rows, counted from 1, with the values (n,) there."""
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return ", ".join(f"row {row + 1}: {values[row]:g}" for row in rows[:SHOWN]) + more


def weights(table: Table, name: str) -> np.ndarray:
    """(n,) float64 row weights, finite and not negative, at least one positive."""
    name = find_column(table, name)
    column = table.data[name]
    if is_text(column.type):
        cells = Cells.of(column)
        values, signs = cells.numbers()
        values[signs != 0] = np.nan
        if not cells.number.any():
            what = "no number, so it is no column of weights"
            _refuse(table, name, ~cells.missing, cells.texts, what, "Name another one.")
    else:
        values, _, classes = _read(table, name)
        if classes is not None:
            raise UserError(f"Column {name!r} of {table.name} holds {column.type}, so it is no column of weights.")
    bad, what = ~np.isfinite(values) | (values < 0), "a weight that is infinite, missing, negative or no number"
    _refuse(table, name, bad, column, what, "A weight is a number of 0 or more.")
    if len(values) and not values.any():
        raise UserError(f"All weights in {name!r} are 0, so no row would count.")
    return values


def log10(labels: Labels) -> Labels:
    """Decimal logarithm of every label; a bound keeps its side.

    A label of 0 or less is a UserError naming its rows; classes are one too.
    """
    _check_positive(labels, "a logarithm")
    return replace(labels, values=np.log10(labels.values))


def to_pic50(labels: Labels, unit: str) -> Labels:
    """pIC50 = −log10(concentration / (mol/L)): 1 µM → 6; the side of a bound turns over, "> 10 µM" → "< 5".

    `unit` of the labels: pM, nM, uM (µM), mM or M. Errors as `log10`.
    """
    power = pick(UNITS, unit, "unit of concentration")
    _check_positive(labels, "a pIC50")
    return replace(labels, values=power - np.log10(labels.values), censor=-labels.censor)


def pic50_notes(labels: Labels) -> list[str]:
    """The range of each target that `to_pic50` has made, and what is odd about it."""
    notes = []
    for name, column in zip(labels.names, labels.values.T, strict=True):
        values = column[np.isfinite(column)]
        low, middle, high = (float(np.quantile(values, at)) for at in (0, 0.5, 1)) if len(values) else (6.0, 6.0, 6.0)
        note = f"{name!r} becomes pIC50 from {low:.1f} to {high:.1f}, median {middle:.1f}."
        if not USUAL[0] <= middle <= USUAL[1]:
            note += f" Usual are {USUAL[0]:g} to {USUAL[1]:g}: is the unit right?"
        elif "pic50" in name.casefold():
            note += " By its name it is a pIC50 already: leave out --to-pic50 if so."
        notes.append(note)
    return notes


def _check_positive(labels: Labels, what: str) -> None:
    """what: the name of the transformation, for the message."""
    for column, name in enumerate(labels.names):
        texts = labels.classes[column]
        if texts is not None:
            raise UserError(f"Column {name!r} holds classes such as {texts[0]!r}; {what} needs numbers.")
        rows = np.flatnonzero(labels.values[:, column] <= 0)
        if len(rows):
            shown = _shown(rows, labels.values[:, column])
            raise UserError(f"Column {name!r} holds labels of 0 or less ({shown}); {what} needs more than 0.")

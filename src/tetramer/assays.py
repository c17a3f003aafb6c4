"""From files to an assay: structures, labels, weights, and the parts a user names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tetramer.datasets import labels as reading_labels
from tetramer.datasets.labels import Labels, as_classes, check_labels, infer_task
from tetramer.datasets.placed import column_like, column_notes, structure_columns, texts_for
from tetramer.datasets.splits import COLUMNS, Split, from_column
from tetramer.datasets.tables import Table, find_column, read_table
from tetramer.errors import UserError
from tetramer.members import REGRESSION
from tetramer.scoring import listed


@dataclass(frozen=True)
class Assay:
    """Structures with what was measured of them; row i of everything is compound i."""

    texts: list[str]
    labels: Labels
    weight: np.ndarray  # (n,)
    task: str
    why: str  # the sentence that says why it is this task
    units: tuple[str, ...] = ()
    keys: Sequence[object] | None = None  # (n) the column that a rule of `splits.COLUMNS` looks at
    notes: tuple[str, ...] = ()  # what to say of the files
    columns: tuple[str, ...] = ()  # of the structures, where they stand in columns


def assay_of(texts: Sequence[str], labels: Labels, weight: np.ndarray | None, task: str = "auto") -> Assay:
    """Labels as the task wants them; UserError where nothing can be learned."""
    told = infer_task(labels) if task == "auto" else None
    kind = told.kind if told else task
    if kind not in ("regression", "binary", "multiclass"):
        raise UserError(f"--task {task!r} is not known. Choose auto, regression, binary or multiclass.")
    why = told.why if told else f"The task was given: {kind}."
    if kind == REGRESSION and any(labels.classes):
        named = [name for name, classes in zip(labels.names, labels.classes, strict=True) if classes]
        raise UserError(f"{named[0]!r} holds text, so it is not a regression target. Leave out --task regression.")
    check_labels(labels, kind)
    check_weight(weight, len(texts))
    if kind != REGRESSION:
        labels = as_classes(labels)
        sizes = [len(classes or ()) for classes in labels.classes]
        if kind == "binary" and max(sizes) > 2:
            raise UserError(
                f"A binary target has two classes; {labels.names[int(np.argmax(sizes))]!r} has {max(sizes)}."
            )
    return Assay(list(texts), labels, np.ones(len(texts)) if weight is None else weight, kind, why)


def check_weight(weight: np.ndarray | None, rows: int) -> None:
    """UserError if there is not one finite weight of 0 or more a row, or if all are 0."""
    if weight is None:
        return
    if weight.shape != (rows,) or not (np.isfinite(weight) & (weight >= 0)).all() or not weight.any():
        raise UserError(f"Give {rows} weights, one a row, each finite and 0 or more, and not all 0.")


@dataclass(frozen=True)
class Files:
    """Where the measurements are and what their columns mean. None: find it, or there is none."""

    data: Path | str
    targets: Sequence[str]
    smiles: str | None = None
    validation: Path | None = None
    test: Path | None = None
    split: str | None = None  # column with train, valid, test, or what the rule looks at
    rule: str = "none"  # of SPLITS
    weight: str | None = None
    log10: bool = False
    to_pic50: str | None = None  # unit of the concentrations that the targets hold
    task: str = "auto"
    views: tuple[str, ...] = ()  # that the structures are read for


def read_files(files: Files) -> tuple[Assay, Split | None]:
    """The assay of all files, one after the other, and the split if files or a column say it."""
    if files.log10 and files.to_pic50:
        raise UserError("--log10 and --to-pic50 exclude each other: a pIC50 is a logarithm already.")
    if files.split and (files.validation or files.test):
        raise UserError("--split-column and --validation or --test exclude each other: name the parts in one way.")
    check_rule(files)
    named = [(files.data, "train"), (files.validation, "valid"), (files.test, "test")]
    task = task_of(files)
    tables = [(read_table(path), part) for path, part in named if path is not None]
    columns = structure_columns(tables[0][0], files.smiles)
    read = [files.smiles or column_like(table, columns) for table, _ in tables]
    texts = [
        text for (table, _), name in zip(tables, read, strict=True) for text in texts_for(files.views, table, name)
    ]
    labels = read_labels([table for table, _ in tables], files)
    weight = None
    if files.weight:
        weight = np.concatenate([reading_labels.weights(table, files.weight) for table, _ in tables])
    unit = "log10" if files.log10 else "pIC50" if files.to_pic50 else ""
    labels, units = transformed(labels, files), (unit,) * len(labels.names)
    notes = [note for table, _ in tables for note in table.notes]
    for (table, _), name in zip(tables, read, strict=True):
        notes += column_notes(table, name) if files.smiles is None else []
    if unit == "pIC50":
        notes += reading_labels.pic50_notes(labels)
    assay = assay_of(texts, labels, weight, task)
    if task != files.task:
        assay = replace(assay, why="A logarithm is learned, so it is regression.")
    assay = replace(assay, units=units, notes=tuple(dict.fromkeys(notes)), columns=columns)
    if task == "auto" and len(labels.names) > 1:
        verb = "are" if len(labels.names) > 2 else "is"
        assay = replace(assay, why=f"{assay.why} So {verb} {listed(list(map(repr, labels.names[1:])))}.")
    if files.split and files.rule in COLUMNS:
        return replace(assay, keys=texts_of(tables[0][0], files.split)), None
    return assay, named_split(tables, files)


def task_of(files: Files) -> str:
    """The task that is asked for; a logarithm is a number, so its target is a regression."""
    option = "--log10" if files.log10 else "--to-pic50" if files.to_pic50 else ""
    if option and files.task not in ("auto", REGRESSION):
        raise UserError(f"{option} makes numbers, and --task {files.task} learns classes: leave one of them out.")
    return REGRESSION if option else files.task


def check_rule(files: Files) -> None:
    """UserError for a rule that makes the parts where a column or files name them already."""
    if files.rule == "none" or (files.rule in COLUMNS and files.split):
        return
    if files.validation or files.test:
        raise UserError(
            f"--split {files.rule} and --validation or --test exclude each other: a rule makes the parts, while the "
            "files are parts already. Leave one of them out."
        )
    if files.split:
        raise UserError(
            f"--split {files.rule} looks at no column, so --split-column {files.split!r} has no use. Leave out --split "
            f"if the column says train, valid or test; or take a rule that looks at a column: {', '.join(COLUMNS)}."
        )


def read_labels(tables: Sequence[Table], files: Files) -> Labels:
    """The labels of all tables, read as one column each, so that a class has the same number everywhere."""
    targets = targets_of(tables[0], files)
    if len(tables) == 1:
        return reading_labels.labels(tables[0], targets)
    for table in tables:  # a wrong cell is named with its own file and row
        told = reading_labels.labels(table, targets)
        try:
            transformed(told, files)
        except UserError as error:
            raise UserError(f"{table.name}: {error}") from error
    columns = {}
    for name in targets:
        parts = [table.data[find_column(table, name)].cast(pa.string()) for table in tables]
        columns[find_column(tables[0], name)] = pa.chunked_array([chunk for part in parts for chunk in part.chunks])
    return reading_labels.labels(Table(pa.table(columns), tables[0].name), list(columns))


def transformed(labels: Labels, files: Files) -> Labels:
    """The labels as they are learned."""
    if files.log10:
        return reading_labels.log10(labels)
    return reading_labels.to_pic50(labels, files.to_pic50) if files.to_pic50 else labels


def targets_of(table: Table, files: Files) -> list[str]:
    """The targets named; with none, an error that lists the columns."""
    if files.targets:
        for name in files.targets:
            parts = [part.strip() for part in name.split(",")]
            if name not in table.columns and len(parts) > 1 and {*parts} <= {*table.columns}:
                raise UserError(f"{table.name} has no column {name!r}, but each of its parts: give --target for each.")
        return list(files.targets)
    raise UserError(f"Name the column to learn with --target. {table.name} has: {', '.join(map(repr, table.columns))}.")


def named_split(tables: Sequence[tuple[Table, str]], files: Files) -> Split | None:
    """The split that a column or further files say; None if a rule has to make one."""
    if files.split:
        table = tables[0][0]
        return from_column(texts_of(table, files.split), find_column(table, files.split))
    if len(tables) == 1:
        return None
    rows: dict[str, np.ndarray] = {part: np.zeros(0, np.int64) for part in ("train", "valid", "test")}
    first = 0
    for table, part in tables:
        rows[part] = np.arange(first, first + len(table))
        first += len(table)
    return Split(rows["train"], rows["valid"], rows["test"], "files")


def texts_of(table: Table, name: str) -> list[str | None]:
    """The cells of a column as texts; None where there is nothing, or a number that is none."""
    column = table.data[find_column(table, name)]
    if pa.types.is_nested(column.type):
        raise UserError(
            f"Column {name!r} of {table.name} holds {column.type}; a split looks at texts, numbers or dates."
        )
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return list(column.cast(pa.string()).to_pylist())

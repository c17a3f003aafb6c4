"""From files or public sets to both parts of a corpus: what an encoder learns from, and what chooses its weights."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tetramer.assays import texts_of as cells_of
from tetramer.corpora import WORDS, texts_of
from tetramer.datasets import sources
from tetramer.datasets.partitions import WORDS as PARTS
from tetramer.datasets.partitions import from_column
from tetramer.datasets.placed import column_like, structure_columns
from tetramer.datasets.tables import Table, find_column
from tetramer.errors import UserError, pick
from tetramer.training import epoch_order, mix

LEAST = 10  # rows to learn from
HELD = 20  # one molecule in so many is held back,
MOST_HELD = 10_000  # but no more than these
SPLIT = "split"  # a column of this name says which rows are not to be learned from
NONE = "none"  # in place of a column: all rows are learned from, whatever such a column says


@dataclass(frozen=True)
class Files:
    """Where a corpus is. A public set is named as NAME, or as NAME:PART by its column `split`."""

    corpus: str  # a file, a public set, or "-"
    smiles: str | None = None  # column of structures or reactions; None: found
    validation: str | None = None  # a file or public set that chooses the weights
    split: str | None = None  # column with train, valid and test, or NONE


@dataclass(frozen=True)
class Texts:
    """A corpus as it was read."""

    train: list[str]
    valid: list[str]  # []: nobody has said which; some of `train` are to be held back
    notes: tuple[str, ...] = ()


def read_corpus(files: Files, kind: str, views: Sequence[str]) -> Texts:
    """The texts of all rows that are learned from or choose the weights. kind: of corpora.WORDS

    UserError where parts are named in two ways, or where a table has a column `split` and nobody says what to do.
    """
    column = None if files.split == NONE else files.split
    if column and files.validation:
        raise UserError("--split-column and --validation exclude each other: name the parts in one way.")
    table, smiles = opened(files.corpus, files.smiles, kind, files.split is None)
    texts, notes = texts_of(kind, views, table, smiles), list(table.notes)
    if column:
        split = from_column(cells_of(table, column), find_column(table, column))
        train, valid = ([texts[row] for row in np.sort(rows).tolist()] for rows in (split.train, split.valid))
        if len(split.test):
            notes.append(f"Left out, as the test part: {len(split.test):,} of {len(texts):,} rows.")
        return Texts(train, valid, tuple(notes))
    if files.validation is None:
        return Texts(texts, [], tuple(notes))
    first = structure_columns(table, smiles) if kind == "molecules" else ()
    other, smiles = opened(files.validation, files.smiles, kind, files.split is None, "valid")
    if smiles is None and first:
        smiles = column_like(other, first)
    return Texts(texts, texts_of(kind, views, other, smiles), tuple(dict.fromkeys((*notes, *other.notes))))


def opened(data: str, smiles: str | None, kind: str, strict: bool, wanted: str = "train") -> tuple[Table, str | None]:
    """A file or public set, or one part of the latter, and its column of structures if that is known.

    strict: UserError if a column `split` says that rows belong to another part than the `wanted` one
    """
    name, colon, part = data.partition(":")
    public = name in sources.SOURCES and not Path(data).exists()
    table = sources.load(name) if public else sources.named(data)
    if public and smiles is None and kind == "molecules":
        smiles = sources.SOURCES[name].smiles or None
    if public and colon:
        return only(table, name, part), smiles
    counts = parts_in(table)
    if strict and set(counts) - {wanted}:
        told = ", ".join(f"{count:,} {word}" for word, count in counts.items())
        more = f" A part of this public set has a name: {name}:{next(iter(counts))}." if public else ""
        column = split_column(table)
        raise UserError(
            f"{data} has a column {column!r} ({told}). With --split-column {column} its train part is learned from and "
            "its valid part chooses the weights; with --split-column none all rows are taken alike, those of the test "
            f"part too.{more}"
        )
    return table, smiles


def split_column(table: Table) -> str | None:
    """The column that is called `split`."""
    return next((name for name in table.columns if name.strip().casefold() == SPLIT), None)


def parts_in(table: Table) -> dict[str, int]:
    """How many rows the column `split` gives to each part; {} where there is none, or it says something else."""
    name = split_column(table)
    words = Counter((cell or "").strip().casefold() for cell in (cells_of(table, name) if name else []))
    words.pop("", None)
    if not set(words) <= set(PARTS):
        return {}
    counts: Counter[str] = Counter()
    for word, count in words.items():
        counts[PARTS[word]] += count
    return {part: counts[part] for part in ("train", "valid", "test") if counts[part]}


def only(table: Table, name: str, part: str) -> Table:
    """The rows of a public set that its column `split` gives to a part. UserError if there are none."""
    column, counts = split_column(table), parts_in(table)
    if column is None or not counts:
        raise UserError(f"{name!r} has no parts, so there is no {name}:{part}. Name it without a colon.")
    wanted = pick(PARTS, part, "part")
    if wanted not in counts:
        held = " and ".join(f"{count:,} of {word}" for word, count in counts.items())
        raise UserError(
            f"No row of {name} here is of the part {wanted!r}; there are {held}. {sources.SOURCES[name].note}"
        )
    rows = [
        row for row, cell in enumerate(cells_of(table, column)) if PARTS.get((cell or "").strip().casefold()) == wanted
    ]
    return replace(table, data=table.data.take(rows))


def given(
    names: Sequence[str], rows: np.ndarray, count: int, kind: str = "molecules"
) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows to learn from, the first `count`, rows that choose the weights, all after them, and a sentence on both."""
    train, valid = rows[rows < count], rows[rows >= count]
    what, rest = WORDS[kind][1], WORDS[kind][2]
    if not len(valid):
        raise UserError(f"No {rest} of the part that chooses the weights can be read. Leave it out, or give another.")
    if len(train) < LEAST:
        raise UserError(f"{len(train)} {rest} of the part to learn from can be read; at least {LEAST} are needed.")
    both = {names[row] for row in train.tolist()} & {names[row] for row in valid.tolist()}
    told = f"{len(train):,} {rest} to learn from, {len(valid):,} choose the weights"
    return train, valid, told + (f"; {len(both):,} {what}{'s' * (len(both) > 1)} stand in both parts." if both else ".")


def held_back(
    names: Sequence[str], rows: np.ndarray, seed: int, kind: str = "molecules"
) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows to learn from, rows that choose the weights, and the sentence that says so.

    Names are drawn, of molecules or of the products of reactions, not rows: one that stands in the corpus twice lies on
    one side. With too few of them to hold any back, all rows are on both sides.
    """
    first: dict[str, int] = {}
    for row in rows.tolist():
        first.setdefault(names[row], len(first))
    cut = min(MOST_HELD, len(first) // HELD)
    _, what, which = WORDS[kind]
    told = f"{len(first):,} {what}{'s' * (len(first) > 1)} in {len(rows):,} {which}; "
    if not cut:
        return rows, rows, told + "too few to hold any back, so the weights are judged on what they learned from."
    chosen = epoch_order(mix(seed, 6), 0, len(first))[:cut]
    out = np.isin([first[names[row]] for row in rows.tolist()], chosen)
    return (
        rows[~out],
        rows[out],
        told + f"{cut:,} of them {'are' if cut > 1 else 'is'} held back to choose the weights.",
    )

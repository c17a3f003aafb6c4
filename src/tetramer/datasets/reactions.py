"""Reactions in a table: one column of whole texts, or one of reactants and one of products."""

import re

import pyarrow.compute as pc

from tetramer.datasets.delimited import is_text
from tetramer.datasets.tables import Table, column, find_column, looks_like_smiles, names_smiles, structures
from tetramer.errors import UserError
from tetramer.molecules.reactions import SIDES, WHOLE, columns_of, text_of

CHOICE = re.compile(r"choice_\d+")
SAMPLE = 100  # first cells that tell what a column holds
MOST = 0.9  # of them


def reactions(table: Table, name: str | None = None) -> list[str]:
    """The reaction of every row as LEFT>>RIGHT or LEFT>MIDDLE>RIGHT, "" where there is none.

    name: the column of whole reactions, or LEFT,RIGHT of two columns; None: the columns are found by their names, else
    by the sign > in their cells
    """
    columns = found_columns(table) if name is None else (two_columns(table, name) or (name,))
    if not columns:
        raise UserError(nothing_found(table))
    cells = [texts(table, one) for one in columns]
    return [text_of(row) for row in zip(*cells, strict=True)]


def nothing_found(table: Table) -> str:
    """The sentence for a table without a column of reactions."""
    if any(names_smiles(name) or looks_like_smiles(table.data[name]) for name in table.columns):
        return (
            f"{table.name} has no column of reactions, but one of molecules. `pretrain molr` learns from reactions, "
            "LEFT>>RIGHT; from molecules learn motif, smiles-lstm or smiles-transformer. If two columns hold both "
            "sides of reactions, name them with --smiles-column LEFT,RIGHT."
        )
    return (
        f"{table.name} has no column of reactions. Name it with --smiles-column, LEFT,RIGHT for two columns; or call "
        f"it {', '.join(WHOLE)}, or two columns reactants and product, with or without _smiles behind both."
    )


def two_columns(table: Table, name: str) -> tuple[str, ...]:
    """The columns of both sides that LEFT,RIGHT names; () for the name of one column. UserError for no such column."""
    parts = name.split(",")
    return tuple(find_column(table, part) for part in parts) if len(parts) == 2 and name not in table.columns else ()


def found_columns(table: Table) -> tuple[str, ...]:
    """The column of whole reactions, or those of both sides, by their names or by what stands in them; () for none."""
    return columns_of(table.columns) or arrowed(table)


def side(table: Table, place: int, name: str | None = None) -> list[str]:
    """The molecules of one side, 0 of reactants or 1 of products, of every row, in one column; or whole reactions.

    name: the column; None: one that is called as a side is, else that of whole reactions if no column is named SMILES,
    else the column of structures
    """
    known = {there.strip().casefold(): there for there in reversed(table.columns)}
    found = [known[pair[place]] for pair in SIDES if pair[place] in known]
    if not found and not any(map(names_smiles, table.columns)):
        found = [*found_columns(table)]
    return structures(table, name) if name is not None or not found else texts(table, found[0])


def choices(table: Table) -> list[dict[int, str]]:
    """Number → cell of columns choice_0, choice_1 … of every row, without empty ones; [] for a table without them."""
    names = sorted((name for name in table.columns if CHOICE.fullmatch(name)), key=lambda name: int(name[7:]))
    numbers = [int(name[7:]) for name in names]
    rows = zip(*(texts(table, name) for name in names), strict=True)
    return [{number: cell for number, cell in zip(numbers, row, strict=True) if cell} for row in rows]


def texts(table: Table, name: str) -> list[str]:
    """One column of texts, without outer white space."""
    values = column(table, name)
    if not is_text(values.type):
        raise UserError(f"Column {name!r} of {table.name} holds {values.type}, not reactions.")
    return list(pc.utf8_trim_whitespace(pc.fill_null(values.cast("string"), "")).to_pylist())


def arrowed(table: Table) -> tuple[str, ...]:
    """The first column in which nearly every cell has two signs >."""
    for name in table.columns:
        if is_text(table.data[name].type):
            cells = pc.drop_null(table.data[name].slice(0, SAMPLE).cast("string"))
            if len(cells) and pc.mean(pc.match_substring_regex(cells, r">[^>]*>")).as_py() >= MOST:
                return (name,)
    return ()

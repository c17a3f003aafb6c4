"""The structures of a table as texts: molecules, molecules with their geometry, or reactions.

Geometry stands in columns `atomic_numbers` and `coordinates`, lists with a molecule a row, as `tetramer conformers`
writes them and as the readers of public sets give them.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np

from tetramer.datasets.reactions import found_columns, reactions, two_columns
from tetramer.datasets.tables import (
    NUMBERS,
    PLACES,
    Table,
    has_geometry,
    looks_like_smiles,
    names_smiles,
    of_geometry,
    smiles_column,
    structures,
)
from tetramer.errors import UserError
from tetramer.molecules.geometry import as_xyz, is_xyz
from tetramer.molecules.parse import BLOCK_END
from tetramer.molecules.reactions import are_reactions

UNPLACED = "1\n\n"  # XYZ text that lacks its atom: it is refused, with its row
MOST_PROTONS = 118

Form = Literal["plain", "placed", "reaction"]
NEARLY_ALL = 0.9  # of the structures


def texts_for(views: Collection[str], table: Table, name: str | None = None, wanted: bool = False) -> list[str]:
    """The structure of every row as `views` need it: with geometry if they look at that, or if nothing else tells it.

    name: the column of SMILES or reactions, LEFT,RIGHT for both sides of reactions, None: found; SMILES come first,
    unless reactions are `wanted`
    """
    if reaction_columns(table, wanted) if name is None else two_columns(table, name):
        return reactions(table, name)
    return placed(table, name) if "conformer" in views or bare(table, name) else structures(table, name)


def column_for(table: Table, wanted: bool = False) -> str | None:
    """The name that `texts_for` needs to read every piece of a long table as this first one; None: it needs none."""
    if table.blocks is not None or bare(table):
        return None
    found = reaction_columns(table, wanted)
    return smiles_column(table) if not found else found[0] if len(found) == 1 else None


def column_like(table: Table, known: Sequence[str], wanted: bool = False) -> str | None:
    """As `column_for`, but the columns that were read before, if this table has them and tells structures by them."""
    there = known and set(known) <= set(table.columns)
    if there and table.blocks is None and not bare(table) and not of_geometry(table):
        named = ",".join(known)
        if len(known) == 1 or two_columns(table, named) == tuple(known):
            return named
    return column_for(table, wanted)


def structure_columns(table: Table, name: str | None = None) -> tuple[str, ...]:
    """The columns that `texts_for` reads; () where structures are no column of texts, as in an SDF."""
    if name is None and (table.blocks is not None or bare(table)):
        return ()
    return (reaction_columns(table) if name is None else two_columns(table, name)) or (smiles_column(table, name),)


def column_notes(table: Table, chosen: str | None) -> list[str]:
    """What to say where structures are read from the column `chosen` and other columns look like structures too."""
    if chosen not in table.columns or table.blocks is not None:
        return []
    others = [name for name in table.columns if name != chosen and looks_like_smiles(table.data[name])]
    named = [repr(name) for name in others if not table.data[name].equals(table.data[chosen])]
    if not named:
        return []
    also = f"{', '.join(named)} {'look' if len(named) > 1 else 'looks'} like structures too"
    return [f"Structures are read from the column {chosen!r}; {also}. --smiles-column names another one."]


def reaction_columns(table: Table, wanted: bool = False) -> tuple[str, ...]:
    """The columns of reactions; unless they are `wanted`, of a table that has no column named SMILES."""
    other = table.blocks is not None or (not wanted and any(map(names_smiles, table.columns)))
    return () if other else found_columns(table)


def form_of(texts: Sequence[str]) -> Form:
    """What nearly all structures are: reactions, molecules placed in space, or molecules without geometry."""
    return "reaction" if are_reactions(texts) else "placed" if is_placed(texts) else "plain"


def is_placed(texts: Sequence[str]) -> bool:
    """Whether nearly all structures come with their geometry: XYZ texts, or mol blocks that say so."""
    spatial = sum(is_xyz(text) or (BLOCK_END in text and "3D" in "".join(text.split("\n")[1:2])) for text in texts)
    return spatial >= NEARLY_ALL * len(texts) > 0


def bare(table: Table, name: str | None = None) -> bool:
    """Whether a table has geometries and no SMILES."""
    return name is None and has_geometry(table) and not any(smiles_of(table, None))


def placed(table: Table, name: str | None = None) -> list[str]:
    """The structure of every row with its geometry, as XYZ text with the SMILES, if there is one, as its comment.

    A row without geometry, or with a drawing (`status` says so), has its SMILES alone; one with several conformers has
    a frame for each. A table without such columns has its structures as `structures` gives them.
    """
    if not has_geometry(table):
        return structures(table, name)
    smiles = smiles_of(table, name)
    drawn = table.data["status"].to_pylist() if "status" in table.columns else [""] * len(smiles)
    columns = (table.data[column].to_pylist() for column in (NUMBERS, PLACES))
    told = []
    for numbers, places, text, status in zip(*columns, smiles, drawn, strict=True):
        given = numbers and places and status != "ok:CONF_2D"
        told.append(geometry(numbers, places, text) if given else text)
    return told


def geometry(numbers: Sequence[int | None], places: Sequence[Any], text: str) -> str:
    """XYZ text of all conformers; one that has no atoms, and is refused, where the numbers make no geometry."""
    try:
        flat = np.ravel(np.array(places, np.float64))
        known = all(number is not None and 1 <= number <= MOST_PROTONS for number in numbers)
    except (TypeError, ValueError):
        return UNPLACED
    whole = known and len(flat) > 0 and len(flat) % (3 * len(numbers)) == 0
    return as_xyz(numbers, flat, text) if whole else UNPLACED  # type: ignore[arg-type]


def smiles_of(table: Table, name: str | None) -> list[str]:
    """The SMILES beside the geometries; empty texts where the table has no such column and none is named."""
    try:
        smiles_column(table, name)
    except UserError:
        if name is not None:
            raise
        return [""] * len(table)
    return structures(table, name)

"""QM9 as the studies see it: structure, relaxed geometry and one property, of the molecules that have all."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from tetramer.datasets import sources
from tetramer.datasets.labels import labels
from tetramer.datasets.tables import NUMBERS, PLACES, Table
from tetramer.errors import UserError, pick

HARTREE = 27.211386245988  # eV, CODATA 2018
PARTIAL = "qm9-partial"  # labels beside the geometries where these have none
G4MP2 = "g4mp2"
TARGETS = {name: (PARTIAL, name) for name in sources.SOURCES[PARTIAL].targets} | {
    G4MP2: ("qm9-g4mp2", "g4mp2_atomization_hartree")
}
"""Property → the data set and its column, joined by `mol_id` where the geometries have no labels."""
USUAL = ("mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "u0", "u298", "h298", "g298", "cv")


def unit(target: str) -> str:
    """Unit of a property as `table` has it: eV where the published one is hartree."""
    name, column = pick(TARGETS, target, "property of QM9")
    published = sources.SOURCES[name].targets[column]
    return "eV" if published == "hartree" else published


def others(target: str, rows: int | None, count: int) -> list[str]:
    """`count` SMILES of QM9, drawn once and for all, of molecules that are not in `table(target, rows)`.

    Where that table takes nearly all of QM9, they are those that are left.
    """
    every = sources.load("qm9-xyz").data
    used = set(table(target, rows).data["mol_id"].to_pylist())
    free = [
        text
        for name, text in zip(every["mol_id"].to_pylist(), every["smiles"].to_pylist(), strict=True)
        if name not in used
    ]
    order = np.random.Generator(np.random.Philox(1)).permutation(len(free))[:count]
    return [free[place] for place in np.sort(order).tolist()]


def table(target: str, rows: int | None = None) -> Table:
    """`mol_id`, `smiles`, `atomic_numbers`, `coordinates` and `target`; `rows` of them drawn once and for all.

    The target is in its `unit`, without the molecules whose value or geometry is not known.

    The published archive has labels and geometry in one; the folder of TETRAMER_DATA may have them in two files.
    """
    name, column = pick(TARGETS, target, "property of QM9")
    source = sources.load("qm9-xyz")
    geometry = source.data
    if column in geometry.column_names:
        values = geometry[column].to_numpy(zero_copy_only=False)
    else:
        beside = sources.load(name)
        known = dict(zip(beside.data["mol_id"].to_pylist(), labels(beside, [column]).values[:, 0], strict=True))
        values = np.array([known.get(one, np.nan) for one in geometry["mol_id"].to_pylist()])
    kept = np.flatnonzero(np.isfinite(values))
    if rows is not None:
        if not 0 < rows <= len(kept):
            raise UserError(
                f"{len(kept):,} molecules of QM9 have {target} and a geometry, so {rows:,} cannot be drawn."
            )
        kept = np.sort(np.random.Generator(np.random.Philox(0)).permutation(kept)[:rows])
    told = geometry.select(["mol_id", "smiles", NUMBERS, PLACES]).take(kept)
    scale = HARTREE if unit(target) == "eV" else 1.0
    return replace(source, data=told.append_column(target, pa.array(values[kept] * scale)))

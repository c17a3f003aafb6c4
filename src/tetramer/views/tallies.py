"""Molecules counted, as sparse tables that can be added up: what a set of molecules holds is the sum of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase
from scipy import sparse

from tetramer.views.fingerprint import BITS, ELEMENTS, morgan


@dataclass(frozen=True)
class Tallies:
    """Counts of n molecules, float64 without a fraction."""

    wide: sparse.csr_array  # (n, 2048) Morgan environments up to radius 2, chirality on
    narrow: sparse.csr_array  # (n, 2048) the same up to radius 1
    elements: sparse.csr_array  # (n, 119) atoms by atomic number, hydrogens included


def tallies(smiles: Sequence[str]) -> Tallies:
    """Of molecules that were accepted before, (n) SMILES, read in this process; one core does 4,000 a second.

    A text that cannot be read has no counts.
    """
    found: list[tuple[dict[int, int], ...]] = []
    with rdBase.BlockLogs():
        for text in smiles:
            mol = Chem.MolFromSmiles(text)
            found.append(({}, {}, {}) if mol is None else counted(mol))
    wide, narrow, elements = (
        table([row[kind] for row in found], width) for kind, width in enumerate((BITS, BITS, ELEMENTS))
    )
    return Tallies(wide, narrow, elements)


def counted(mol: Chem.Mol) -> tuple[dict[int, int], ...]:
    """One molecule: the three kinds of counts, by number."""
    wide, narrow = (morgan(radius).GetCountFingerprint(mol).GetNonzeroElements() for radius in (2, 1))
    atoms: dict[int, int] = {}
    for atom in mol.GetAtoms():
        for number, count in ((atom.GetAtomicNum(), 1), (1, atom.GetTotalNumHs())):
            atoms[number] = atoms.get(number, 0) + count
    return wide, narrow, {number: count for number, count in atoms.items() if count}


def table(rows: Sequence[dict[int, int]], width: int) -> sparse.csr_array:
    """(n, width) float64 of one dict a row."""
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    columns = np.array([column for row in rows for column in row], np.int64)
    values = np.array([value for row in rows for value in row.values()], np.float64)
    out = sparse.csr_array((values, columns, starts), shape=(len(rows), width))
    out.sort_indices()
    return out

"""What molecules are made of, counted: bonds by kind, atoms with their neighbours, rings by size."""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem
from scipy import sparse

from tetramer.views.graph import ATOM, BOND, GraphFeatures

LARGEST = 12  # rings of this size and more are counted together
INVARIANTS = ("element", "degree", "charge", "hydrogens", "aromatic", "isotope")  # what tells two atoms apart


Tally = tuple[np.ndarray, np.ndarray, np.ndarray]  # (C,) each: molecule, kind and weight of what is counted


def bonds(features: GraphFeatures) -> sparse.csr_array:
    """(n, B) float64 counts of `bond_kinds`; B kinds that occur."""
    return counted(*bond_kinds(features), len(features))


def bond_kinds(features: GraphFeatures) -> Tally:
    """Bonds by both elements and type, those to hydrogens included."""
    owner, first, second = ends(features)
    elements = features.atoms[:, 0].astype(np.int64)
    low, high = np.minimum(elements[first], elements[second]), np.maximum(elements[first], elements[second])
    kind = (low * ATOM["element"] + high) * BOND["type"] + features.bonds[:, 0]
    atoms, to_hydrogen = owners(features.atom_starts), (ATOM["element"] + elements) * BOND["type"]
    one_way = slice(None, None, 2)
    return (
        np.concatenate([owner[one_way], atoms]),
        np.concatenate([kind[one_way], to_hydrogen]),
        np.concatenate([np.ones(len(kind) // 2), features.atoms[:, 3]]),
    )


def neighbourhoods(features: GraphFeatures, rows: np.ndarray | None = None) -> sparse.csr_array:
    """(n, E) float64 counts of `neighbourhood_kinds` that two or more of `rows` (m,), or of all molecules, have."""
    told = counted(*neighbourhood_kinds(features), len(features))
    seen = told if rows is None else told[rows]
    return told[:, np.flatnonzero(np.bincount(seen.indices, minlength=told.shape[1]) > 1)]


def neighbourhood_kinds(features: GraphFeatures) -> Tally:
    """Atoms (Morgan radius 0), and atoms with their bonds and neighbours (radius 1).

    An atom alone is told by INVARIANTS and the size of its smallest ring, in a neighbourhood by INVARIANTS. A
    neighbourhood is a sum of 64-bit hashes, so the order of its bonds does not matter; two of them share a kind by
    chance once in 10^19 pairs.
    """
    _, first, second = ends(features)
    alone, atom = (invariant(features, names) for names in ((*INVARIANTS, "ring"), INVARIANTS))
    around = scattered(atom)
    np.add.at(around, first, scattered(atom[second] * np.uint64(BOND["type"]) + features.bonds[:, 0]))
    atoms = owners(features.atom_starts)
    both = np.concatenate([atoms, atoms]), np.concatenate([scattered(alone), around])
    return *both, np.ones(2 * len(atom))


def formulas(features: GraphFeatures) -> np.ndarray:
    """(n,) uint64, equal for molecules of one formula: sums over atoms, hydrogens included, of hashes of their element.

    That of several molecules is the sum of theirs.
    """
    told = np.zeros(len(features), np.uint64)
    hydrogen = scattered(np.ones(1, np.uint64))
    atoms = scattered(features.atoms[:, 0].astype(np.uint64)) + features.atoms[:, 3] * hydrogen
    np.add.at(told, owners(features.atom_starts), atoms)
    return told


def invariant(features: GraphFeatures, names: Sequence[str]) -> np.ndarray:
    """(N,) uint64, one number for atoms that are alike in the columns `names` of ATOM."""
    told = np.full(len(features.atoms), len(names), np.uint64)
    for name in names:
        told = told * np.uint64(ATOM[name]) + features.atoms[:, list(ATOM).index(name)]
    return told


def rings(features: GraphFeatures) -> sparse.csr_array:
    """(n, R) float64 counts of `ring_kinds`; R sizes that occur."""
    return counted(*ring_kinds(features), len(features))


def ring_kinds(features: GraphFeatures) -> Tally:
    """Rings of the smallest set by size, up to LARGEST; RDKit finds them among the bonds that it says are in a ring."""
    molecules, sizes = [], []
    inside = np.flatnonzero(features.bonds[::2, list(BOND).index("ring")]) * 2  # one way of each bond
    owner = owners(features.edge_starts)[inside]
    for molecule in np.unique(owner).tolist():
        one = inside[slice(*np.searchsorted(owner, [molecule, molecule + 1]))]
        found = np.unique([features.source[one], features.target[one]], return_inverse=True)[1].reshape(2, -1)
        skeleton = Chem.RWMol()
        for _ in range(int(found.max()) + 1):
            skeleton.AddAtom(Chem.Atom(6))
        for begin, end in found.T.tolist():
            skeleton.AddBond(begin, end, Chem.BondType.SINGLE)
        told = [min(len(ring), LARGEST) for ring in Chem.GetSymmSSSR(skeleton)]
        sizes += told
        molecules += [molecule] * len(told)
    return np.array(molecules, np.int64), np.array(sizes, np.int64), np.ones(len(sizes))


def owners(starts: np.ndarray) -> np.ndarray:
    """Offsets (n + 1,) → the row that each cell belongs to."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def ends(features: GraphFeatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Molecule and both flat atoms of each directed edge, (E,) each."""
    owner = owners(features.edge_starts)
    start = features.atom_starts[owner]
    return owner, start + features.source, start + features.target


def scattered(codes: np.ndarray) -> np.ndarray:
    """uint64 → uint64 that look random (the finaliser of splitmix64)."""
    z = (codes + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def counted(
    rows: np.ndarray, kinds: np.ndarray, weight: np.ndarray, count: int, names: np.ndarray | None = None
) -> sparse.csr_array:
    """Sums of `weight` by row and kind: (count, K) float64.

    names: (K,) ascending kinds, a column each, others are not counted; None: every kind that occurs, in their order
    """
    kept = weight != 0
    if names is None:
        names, columns = np.unique(kinds[kept], return_inverse=True)
    else:
        places = np.minimum(np.searchsorted(names, kinds), max(0, len(names) - 1))
        kept &= names[places] == kinds if len(names) else False
        columns = places[kept]
    told = (weight[kept], (rows[kept], columns))
    return sparse.csr_array(sparse.coo_array(told, shape=(count, len(names))))

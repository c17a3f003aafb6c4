"""A structure laid over a geometry: which of its atoms stands where, by bonds that distances tell and by stereo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from tetramer.molecules.geometry import (
    Frame,
    Given,
    atoms_of,
    bonds_of,
    distances,
    hydrogens_of,
    keys,
    numbers_of,
    radii,
    with_places,
)

# Distances in sums of two covalent radii. Bonds of QM9 are up to 1.12 long, and across the small rings of a cage atoms
# that are not bonded come as near as 1.16.
REACH = 1.3  # atoms farther apart are not bonded
TORN = 1.5  # a bond of a further conformer, which nobody may have relaxed, is shorter
TOUCH = 1.1  # atoms nearer than this are bonded, whatever a SMILES says (metals excepted)
NEAR = 1.15  # between bonded and not, where nobody has said which atoms are
MATCHES = 1_000  # ways to lay a structure over a geometry that are tried for the sake of its stereo
TRIES = 100_000  # of RDKit's search for bond orders, which may not end otherwise
# RDKit joins as far as valences allow; where no bond orders fit that, it is told where bonds end.
REACHES: tuple[dict[str, Any], ...] = ({}, {"useVdw": True, "covFactor": NEAR})

COVALENT = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 52, 53)  # elements whose bonds are told by distance
IS_COVALENT = np.isin(np.arange(256), COVALENT)
BONDED = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS, Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)
CENTRES = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)


def laid(mol: Chem.Mol, frames: Sequence[Frame]) -> tuple[Given, np.ndarray] | None:
    """Conformers as those of a SMILES' Mol, and where its atoms stand in them; None if the bonds of one are others.

    ValueError if the bonds are the same and every way to lay them over the geometry gives another stereoisomer.
    """
    full, fits = Chem.AddHs(mol), False
    hydrogens = np.repeat(np.arange(mol.GetNumAtoms()), hydrogens_of(mol))
    first, positions = frames[0], np.stack([frame.positions for frame in frames])
    for order in matches(full, first):
        at, n = positions[:, order], mol.GetNumAtoms()
        if not all(holds(full, one) for one in at[1:]):
            continue
        fits = True
        if all(keeps_stereo(full, one) for one in at):
            return Given(at[:, :n], hydrogens, at[:, n:], keys(first.numbers, first.positions)[order]), order[:n]
    if fits:
        raise ValueError("its SMILES and its geometry are different stereoisomers; correct the SMILES or leave it out")
    return None


def matches(full: Chem.Mol, frame: Frame) -> Iterator[np.ndarray]:
    """Ways to find the atoms of a Mol with all its hydrogens in a geometry: (N,) places, the cheapest first.

    Mostly the atoms stand in the same order. If not, canonical numbers of both graphs of heavy atoms are compared, and
    only where these do not tell, or a stereoisomer is sought, one graph is searched for in the other.
    """
    numbers, pairs = numbers_of(full), bonds_of(full)
    if len(numbers) != len(frame.numbers):
        return
    if np.array_equal(numbers, frame.numbers) and fits_bonds(pairs, frame):
        yield np.arange(len(numbers))
    if not np.array_equal(np.sort(numbers), np.sort(frame.numbers)):
        return
    ratio = np.where(np.logical_and.outer(*2 * [IS_COVALENT[frame.numbers]]), ratios(frame), np.inf)
    ours = Heavy.of(numbers, pairs[IS_COVALENT[numbers[pairs]].all(1)])  # a metal is near many, bonded or not
    for reach in (NEAR, REACH):
        theirs = Heavy.of(frame.numbers, np.argwhere(np.triu(ratio < reach, 1)))
        if ours is None or theirs is None or ours.graph.GetNumBonds() != theirs.graph.GetNumBonds():
            continue
        for match in overlays(ours.graph, theirs.graph):
            order = np.empty(len(numbers), np.int64)
            order[ours.atoms] = theirs.atoms[match]
            for mine, place in zip(ours.atoms.tolist(), theirs.atoms[match].tolist(), strict=True):
                order[ours.hydrogens[mine]] = theirs.hydrogens[place]
            if fits_bonds(pairs, Frame(frame.numbers[order], frame.positions[order])):
                yield order


@dataclass(frozen=True)
class Heavy:
    """The atoms that are no hydrogens, and the hydrogens of each."""

    atoms: np.ndarray  # (a,) int
    hydrogens: dict[int, list[int]]  # of each of `atoms`
    graph: Chem.Mol  # elements, hydrogen counts and which atoms are joined; no orders, charges or stereo

    @classmethod
    def of(cls, numbers: np.ndarray, bonds: np.ndarray) -> Self | None:
        """Those of N atoms with bonds (b, 2); None if a hydrogen has not exactly one heavy neighbour."""
        atoms = np.flatnonzero(numbers != 1)
        hydrogens: dict[int, list[int]] = {atom: [] for atom in atoms.tolist()}
        light = numbers[bonds] == 1
        ends = np.where(light[:, :1], bonds[:, ::-1], bonds)[light.any(1)]  # (h, 2) heavy atom, hydrogen
        if light.all(1).any() or len(ends) != len(numbers) - len(atoms) or len(np.unique(ends[:, 1])) != len(ends):
            return None
        for atom, hydrogen in sorted(ends.tolist()):
            hydrogens[atom].append(hydrogen)
        graph = Chem.RWMol()
        for atom in atoms.tolist():
            graph.AddAtom(bare(int(numbers[atom]), len(hydrogens[atom]) + 1))
        for one, other in np.searchsorted(atoms, bonds[~light.any(1)]).tolist():
            graph.AddBond(one, other, Chem.BondType.SINGLE)
        Chem.FastFindRings(graph)
        return cls(atoms, hydrogens, graph)


def fits_bonds(bonds: np.ndarray, frame: Frame) -> bool:
    """Whether all bonds (b, 2) are short enough, and all other atoms far enough from each other."""
    ratio = ratios(frame)
    if (ratio[bonds[:, 0], bonds[:, 1]] > REACH).any():
        return False
    covalent = IS_COVALENT[frame.numbers]
    near = (ratio < TOUCH) & covalent[:, None] & covalent
    near[bonds[:, 0], bonds[:, 1]] = near[bonds[:, 1], bonds[:, 0]] = False
    np.fill_diagonal(near, False)
    return not near.any()


def holds(full: Chem.Mol, positions: np.ndarray) -> bool:
    """Whether no bond of a Mol with all its hydrogens is torn in a further conformer (N, 3)."""
    pairs = bonds_of(full)
    long = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    return bool((long < TORN * radii()[numbers_of(full)[pairs]].sum(1)).all())


def ratios(frame: Frame) -> np.ndarray:
    """(N, N) distances, each divided by the sum of both covalent radii."""
    return np.asarray(distances(frame.positions) / np.add.outer(radii()[frame.numbers], radii()[frame.numbers]))


def bare(number: int, hydrogens: int = 0) -> Chem.Atom:
    """An atom without implicit hydrogens; how many it should have is written as its isotope, which graphs compare."""
    atom = Chem.Atom(number)
    atom.SetNoImplicit(True)
    atom.SetIsotope(hydrogens)
    return atom


def overlays(ours: Chem.Mol, theirs: Chem.Mol) -> Iterator[np.ndarray]:
    """Ways to lay one graph over another of as many atoms and bonds: (n,) the atom of `theirs` for each of `ours`."""
    mine, other = (np.array(Chem.CanonicalRankAtoms(mol, breakTies=True)) for mol in (ours, theirs))
    order = np.argsort(other)[mine]
    labels = [[(atom.GetAtomicNum(), atom.GetIsotope()) for atom in atoms_of(mol)] for mol in (ours, theirs)]
    joined = {frozenset(pair) for pair in bonds_of(theirs).tolist()}
    if all(labels[0][i] == labels[1][place] for i, place in enumerate(order.tolist())) and all(
        frozenset(pair) in joined for pair in order[bonds_of(ours)].tolist()
    ):
        yield order
    for match in theirs.GetSubstructMatches(ours, uniquify=False, maxMatches=MATCHES):
        yield np.array(match, np.int64)


def keeps_stereo(mol: Chem.Mol, positions: np.ndarray) -> bool:
    """Whether every tetrahedral centre and double bond that `mol` (with hydrogens) defines is so in `positions`."""
    tags = {atom.GetIdx(): atom.GetChiralTag() for atom in atoms_of(mol) if atom.GetChiralTag() in CENTRES}
    if tags:
        told = with_places(mol, positions)
        Chem.AssignAtomChiralTagsFromStructure(told, replaceExistingTags=True)
        if any(told.GetAtomWithIdx(place).GetChiralTag() != tag for place, tag in tags.items()):
            return False
    for bond in mol.GetBonds():
        if bond.GetStereo() in BONDED and len(bond.GetStereoAtoms()) == 2:
            one, other = bond.GetStereoAtoms()
            first, last = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            axis = positions[last] - positions[first]
            sides = [positions[one] - positions[first], positions[other] - positions[last]]
            across = np.dot(*(side - axis * (side @ axis) / (axis @ axis) for side in sides))
            if (across > 0) != (bond.GetStereo() in BONDED[:2]):
                return False
    return True


def bonded(frames: Sequence[Frame]) -> Chem.Mol:
    """The Mol of an uncharged molecule, all hydrogens drawn, bond orders and stereo by RDKit (Kim and Kim 2015).

    Those of the first of its conformers; ValueError if no bonds fit, or if another has others.
    """
    frame, *others = frames
    mol = Chem.RWMol()
    for number in frame.numbers.tolist():
        mol.AddAtom(bare(number))
    told = ""
    for reach in REACHES:
        out = with_places(mol, frame.positions)
        try:
            with rdBase.BlockLogs():
                rdDetermineBonds.DetermineBonds(out, charge=0, maxIterations=TRIES, **reach)
                Chem.SanitizeMol(out)
        except (ValueError, RuntimeError) as error:
            told = told or str(error).strip().partition("\n")[0].partition(". ")[0][:120]
            continue
        if hydrogens_of(out).any():
            raise ValueError("hydrogens are missing in this geometry; write its SMILES into its second line")
        if not all(holds(out, other.positions) and keeps_stereo(out, other.positions) for other in others):
            raise ValueError("its geometries have different bonds or stereo; give one molecule a row")
        return out
    raise ValueError(f"no bonds fit this geometry ({told}); write its SMILES into its second line")

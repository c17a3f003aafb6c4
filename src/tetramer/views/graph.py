"""The graph view: atoms and bonds with what a chemist would say of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rdkit import Chem

from tetramer.molecules import Molecule
from tetramer.views.base import DEFAULT, Batch, Features, Settings, gather, offsets

# One table of atom columns and one of bond columns: name → number of categories, values above are clamped to the last.
ATOM: dict[str, int] = {
    "element": 119,  # atomic number; 0 is a dummy atom
    "degree": 8,  # bonds to atoms that are there, and hydrogens
    "charge": 9,  # formal charge + 4
    "hydrogens": 6,
    "hybridisation": 8,  # see HYBRIDISATION
    "aromatic": 2,
    "ring": 9,  # size of the smallest ring: 0 none, then 3 … 9, the last is 10 and more
    "radicals": 4,  # unpaired electrons
    "isotope": 2,  # whether a mass number is given
    "chirality": 4,  # 0 none, 1 R, 2 S, 3 a centre that has no label
}
BOND: dict[str, int] = {
    "type": 7,  # see BOND_TYPE
    "conjugated": 2,
    "ring": 2,
    "stereo": 4,  # 0 none, 1 Z or cis, 2 E or trans, 3 marked as unknown
}
HYBRIDISATION = {
    kind: place
    for place, kind in enumerate(
        getattr(Chem.HybridizationType, name) for name in ("OTHER", "S", "SP", "SP2", "SP3", "SP2D", "SP3D", "SP3D2")
    )
}
HYBRID_CLASS = np.zeros(256, np.int64)  # RDKit's number of a hybridisation → its place in HYBRIDISATION
HYBRID_CLASS[[int(kind) for kind in HYBRIDISATION]] = list(HYBRIDISATION.values())
BOND_TYPE = {
    Chem.BondType.SINGLE: 0,
    Chem.BondType.DOUBLE: 1,
    Chem.BondType.TRIPLE: 2,
    Chem.BondType.AROMATIC: 3,
    Chem.BondType.DATIVE: 4,
    Chem.BondType.QUADRUPLE: 5,
}
BOND_ORDER = {1.0: 0, 2.0: 1, 3.0: 2, 1.5: 3, 4.0: 5}
OTHER_BOND = 6  # "~", zero-order and whatever else
STEREO = {
    Chem.BondStereo.STEREOZ: 1,
    Chem.BondStereo.STEREOCIS: 1,
    Chem.BondStereo.STEREOE: 2,
    Chem.BondStereo.STEREOTRANS: 2,
    Chem.BondStereo.STEREOANY: 3,
}
CHIRAL_LABEL = {"R": 1, "S": 2}

# Elements with a class of their own in the networks: to krypton, and the heavier ones that occur in drugs, catalysts
# and reagents. All others share class 0.
KNOWN = (*range(1, 37), 40, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 56, 74, 78, 79, 80, 81, 82, 83)
VOCABULARY = np.zeros(256, np.uint8)
VOCABULARY[list(KNOWN)] = np.arange(1, len(KNOWN) + 1)


@dataclass(frozen=True)
class GraphFeatures(Features):
    """Atoms and directed edges of n molecules, end to end. Edges 2k and 2k + 1 are the two directions of bond k."""

    COLUMNS: ClassVar[dict[str, str | None]] = {
        "ok": None,
        "atoms": "atom_starts",
        "source": "edge_starts",
        "target": "edge_starts",
        "bonds": "edge_starts",
        "roles": None,
    }
    atoms: np.ndarray  # (N, 10) uint8, the columns of ATOM
    source: np.ndarray  # (E,) int16 atom within its own molecule
    target: np.ndarray  # (E,) int16
    bonds: np.ndarray  # (E, 4) uint8, the columns of BOND
    atom_starts: np.ndarray  # (n + 1,) int64
    edge_starts: np.ndarray  # (n + 1,) int64
    roles: np.ndarray  # (n, 2) int16 of a reaction: atoms of its reactants, and of its reagents, which come next


@dataclass(frozen=True)
class GraphBatch(Batch):
    """Atoms and directed edges of `size` molecules; the reverse of edge e is e ^ 1."""

    atoms: np.ndarray  # (N, 10) int64
    edges: np.ndarray  # (2, E) int64 source and target row in this batch
    bonds: np.ndarray  # (E, 4) int64
    owner: np.ndarray  # (N,) int64, which molecule each atom belongs to
    role: np.ndarray  # (N,) int64 of a reaction: 0 reactant, 1 reagent, 2 product; of a molecule 2


FEATURES, SETTINGS = GraphFeatures, Settings
ABSENT = ("SANITIZE", "no graph could be made")


def featurize(
    molecules: Sequence[Molecule | None],
    tick: Callable[[int], None] = lambda place: None,
    settings: Settings = DEFAULT,
) -> GraphFeatures:
    """Graphs of many molecules; None gives a row that is not ok. `tick` hears the place of each molecule."""
    elements: list[int] = []
    hydrogens: list[int] = []
    hybrids: list[int] = []
    begins: list[int] = []
    ends: list[int] = []
    types: list[int] = []
    conjugated: list[bool] = []
    atom_counts, bond_counts = np.zeros(len(molecules), np.int64), np.zeros(len(molecules), np.int64)
    roles = np.zeros((len(molecules), 2), np.int16)
    rare = Rare()
    for place, molecule in enumerate(molecules):
        tick(place)
        if molecule is None:
            continue
        mol = molecule.mol
        roles[place] = (molecule.roles or (0, 0, 0))[:2]
        atoms_of = list(map(mol.GetAtomWithIdx, range(mol.GetNumAtoms())))  # twice as fast as GetAtoms()
        bonds_of = list(map(mol.GetBondWithIdx, range(mol.GetNumBonds())))
        atom_counts[place], bond_counts[place] = len(atoms_of), len(bonds_of)
        rare.note(molecule, atoms_of, bonds_of, len(elements), len(begins))
        elements += map(Chem.Atom.GetAtomicNum, atoms_of)
        hydrogens += map(Chem.Atom.GetTotalNumHs, atoms_of)
        hybrids += map(Chem.Atom.GetHybridization, atoms_of)
        begins += map(Chem.Bond.GetBeginAtomIdx, bonds_of)
        ends += map(Chem.Bond.GetEndAtomIdx, bonds_of)
        types += bond_types(molecule, bonds_of)
        conjugated += map(Chem.Bond.GetIsConjugated, bonds_of)
    atoms = np.zeros((len(elements), len(ATOM)), np.int64)
    atoms[:, 0], atoms[:, 3], atoms[:, 4] = elements, hydrogens, HYBRID_CLASS[np.array(hybrids, np.int64)]
    bonds = np.zeros((len(begins), len(BOND)), np.int64)
    bonds[:, 0], bonds[:, 1] = types, conjugated
    ends_of = np.array([begins, ends], dtype=np.int64).reshape(2, -1)
    rare.write(atoms, bonds)
    ok = np.array([molecule is not None for molecule in molecules], np.uint8)
    return assemble(ok, atoms, bonds, ends_of, atom_counts, bond_counts, roles)


def bond_types(molecule: Molecule, bonds: list[Chem.Bond]) -> list[int]:
    """Classes of BOND_TYPE. RDKit's enum is slow to ask for; the order says the same but for dative and odd bonds."""
    if "~" in molecule.smiles or "->" in molecule.smiles or "<-" in molecule.smiles:
        return [BOND_TYPE.get(bond.GetBondType(), OTHER_BOND) for bond in bonds]
    return [BOND_ORDER.get(order, OTHER_BOND) for order in map(Chem.Bond.GetBondTypeAsDouble, bonds)]


class Rare:
    """What few atoms have: charge, isotope, radicals, chirality, rings and double-bond stereo, noted by flat place."""

    def __init__(self) -> None:
        self.atoms: list[tuple[int, int, int]] = []  # place, column of ATOM, value
        self.stereo: list[tuple[int, int]] = []
        self.ring_atoms: list[int] = []
        self.ring_sizes: list[int] = []
        self.ring_bonds: list[int] = []

    def note(self, molecule: Molecule, atoms: list[Chem.Atom], bonds: list[Chem.Bond], first: int, bond: int) -> None:
        """Look at one molecule, whose atoms begin at `first`, bonds at `bond`; its SMILES tells what to seek."""
        rings, smiles = molecule.mol.GetRingInfo(), molecule.smiles
        for ring in rings.AtomRings():
            self.ring_atoms += [first + i for i in ring]
            self.ring_sizes += [len(ring)] * len(ring)
        for ring in rings.BondRings():
            self.ring_bonds += [bond + i for i in ring]
        if "[" in smiles:
            charged, centres = "+" in smiles or "-" in smiles, "@" in smiles
            for place, atom in enumerate(atoms, start=first):
                if charged and (charge := atom.GetFormalCharge()):
                    self.atoms.append((place, 2, charge))
                if radicals := atom.GetNumRadicalElectrons():
                    self.atoms.append((place, 7, radicals))
                if atom.GetIsotope():
                    self.atoms.append((place, 8, 1))
                if centres and atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED:
                    label = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else ""
                    self.atoms.append((place, 9, CHIRAL_LABEL.get(label, 3)))
        if "/" in smiles or "\\" in smiles:
            for place, one in enumerate(bonds, start=bond):
                if stereo := STEREO.get(one.GetStereo()):
                    self.stereo.append((place, stereo))

    def write(self, atoms: np.ndarray, bonds: np.ndarray) -> None:
        """Put what was noted into the columns (N, 10) and (M, 4)."""
        atoms[:, 2] = 4
        smallest = np.full(len(atoms), 99)
        np.minimum.at(smallest, np.array(self.ring_atoms, np.int64), np.array(self.ring_sizes, np.int64))
        atoms[:, 6] = np.where(smallest == 99, 0, np.clip(smallest - 2, 1, ATOM["ring"] - 1))
        for place, column, value in self.atoms:
            atoms[place, column] += value
        bonds[np.array(self.ring_bonds, np.int64), 2] = 1
        for place, stereo in self.stereo:
            bonds[place, 3] = stereo


def assemble(
    ok: np.ndarray,
    atoms: np.ndarray,
    bonds: np.ndarray,
    ends: np.ndarray,
    atom_counts: np.ndarray,
    bond_counts: np.ndarray,
    roles: np.ndarray,
) -> GraphFeatures:
    """Derived columns, bonds sorted by their atoms, both directions of each.

    atoms: (N, 10)   bonds: (M, 4)   ends: (2, M) atoms within the molecule   roles: (n, 2)   →   M bonds give 2 M edges
    """
    molecule = np.repeat(np.arange(len(ok)), bond_counts)
    low, high = ends.min(axis=0), ends.max(axis=0)
    order = np.lexsort((high, low, molecule))  # the order in which RDKit keeps bonds depends on the input text
    low, high, bonds = low[order], high[order], bonds[order]
    first = offsets(atom_counts)[:-1][molecule]
    both = np.concatenate([first + low, first + high])
    atoms[:, 1] = atoms[:, 3] + np.bincount(both, minlength=len(atoms))
    aromatic = np.concatenate([bonds[:, 0], bonds[:, 0]]) == BOND_TYPE[Chem.BondType.AROMATIC]
    atoms[both[aromatic], 5] = 1
    atoms = np.clip(atoms, 0, np.array(list(ATOM.values())) - 1).astype(np.uint8)
    return GraphFeatures(
        ok=ok,
        atoms=atoms,
        source=np.stack([low, high], axis=1).reshape(-1).astype(np.int16),
        target=np.stack([high, low], axis=1).reshape(-1).astype(np.int16),
        bonds=np.repeat(bonds, 2, axis=0).astype(np.uint8),
        atom_starts=offsets(atom_counts),
        edge_starts=offsets(2 * bond_counts),
        roles=roles,
    )


def collate(features: GraphFeatures, rows: np.ndarray, rng: np.random.Generator | None = None) -> GraphBatch:
    """Gather `rows` (B,) into one batch; a row that is not ok is a molecule without atoms."""
    at, atom_counts = gather(features.atom_starts, rows)
    on, edge_counts = gather(features.edge_starts, rows)
    first = np.repeat(np.cumsum(atom_counts) - atom_counts, edge_counts)  # (E,) batch row of the molecule's first atom
    owner = np.repeat(np.arange(len(rows)), atom_counts)
    place = at - features.atom_starts[rows][owner]  # (N,) within the molecule
    reactants, others = features.roles[rows].cumsum(1).T  # (B,) places at which reagents and products begin
    return GraphBatch(
        size=len(rows),
        ok=features.ok[rows] == 1,
        atoms=features.atoms[at].astype(np.int64),
        edges=np.stack([features.source[on] + first, features.target[on] + first]),
        bonds=features.bonds[on].astype(np.int64),
        owner=owner,
        role=(place >= reactants[owner]).astype(np.int64) + (place >= others[owner]),
    )


def atom_counts(features: GraphFeatures, rows: np.ndarray) -> np.ndarray:
    """(B, 119) int64 atoms of each element, hydrogens included."""
    at, counts = gather(features.atom_starts, rows)
    owner, atoms, width = np.repeat(np.arange(len(rows)), counts), features.atoms[at], ATOM["element"]
    there = np.bincount(owner * width + atoms[:, 0], minlength=len(rows) * width).reshape(len(rows), width)
    there[:, 1] += np.bincount(owner, atoms[:, 3], minlength=len(rows)).astype(np.int64)
    return there

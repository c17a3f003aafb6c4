"""Molecule → motifs: rings and the groups between them, such that every atom lies in exactly one.

Which bonds are cut is a set union, so no order can matter: bonds that BRICS cuts, bonds between two ring atoms that lie
in no ring, and single bonds that join a ring to a chain. A bond of a ring is never cut. What remains connected is a
motif; each end of a cut carries a dummy atom `*`, joined as the atom was that stood there.

BRICS: Degen et al. 2008, doi:10.1002/cmdc.200800178.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import BRICS

from tetramer.molecules.parse import Molecule

KINDS = 1 << 15  # motifs that are remembered; 50,000 molecules of ChEMBL have 14,000 different ones
MOST = 100_000  # bonds that one rule may cut
REAL = 1  # atom-map number of a dummy atom that the molecule itself has: it is no end of a cut

READING = Chem.SmilesParserParams()
READING.parseName = READING.allowCXSMILES = READING.removeHs = False  # type: ignore[assignment]

# All pairs of BRICS environments that can meet on a bond; those of ring atoms by a single bond are cut by RINGS anyway.
PAIRS = (("1", "3,5", "-"), ("4", "3,5,11", "-"), ("5", "12", "-"), ("7a", "7b", "="))
RINGS = ("[R]-;!@*", "[R]~;!@[R]")


def _environments(names: str) -> str:
    return ",".join(f"$({BRICS.environs[f'L{name}']})" for name in names.split(","))


CUTS = [Chem.MolFromSmarts(text) for text in RINGS]
CUTS += [Chem.MolFromSmarts(f"[{_environments(one)}]{bond};!@[{_environments(more)}]") for one, more, bond in PAIRS]
BRANCH = Chem.MolFromSmarts("[!D0;!D1;!D2;!R]")


class Piece(NamedTuple):
    """A part of a motif: what is left of it when the atoms of chains that branch stand alone."""

    token: str
    ring: str  # `ring:SIZES:HETEROATOMS` of a piece with a ring, such as ring:5,6:N1O2; "" of a piece of a chain


class Kind(NamedTuple):
    """What can be said of a motif apart from its molecule."""

    token: str  # canonical SMILES, `*` at each cut
    pieces: tuple[Piece, ...]
    piece: tuple[int, ...]  # number of the piece of each atom, in the order in which the motif was written


@dataclass(frozen=True)
class Partition:
    """The motifs of one molecule of n atoms, in the order of their first atoms. Atom i is atom i of `Molecule.mol`."""

    motif: np.ndarray  # (n,) int64 number of the motif of each atom
    cuts: np.ndarray  # (C, 2) int64 both ends of each bond that was cut, the lower first, sorted
    bonds: np.ndarray  # (C,) uint8 what bonds these were, as RDKit numbers them: 1 single, 2 double, 17 dative …
    kinds: tuple[Kind, ...]  # (M)
    written: tuple[tuple[int, ...], ...]  # (M) atoms of each motif in the order of `Kind.piece`; n and above: dummies

    @property
    def tokens(self) -> tuple[str, ...]:
        """Canonical SMILES of each motif."""
        return tuple(kind.token for kind in self.kinds)

    @cached_property
    def pieces(self) -> tuple[np.ndarray, list[tuple[int, Piece]]]:
        """(n,) number of the piece of each atom, and of each piece its motif and what it is; by their first atoms."""
        told = np.zeros((len(self.motif), 2), np.int64)
        told[:, 0] = self.motif
        for kind, atoms in zip(self.kinds, self.written, strict=True):
            if len(kind.pieces) > 1:
                real = [place for place, atom in enumerate(atoms) if atom < len(told)]
                told[[atoms[place] for place in real], 1] = [kind.piece[place] for place in real]
        different, first, number = np.unique(told, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        pieces = [(int(motif), self.kinds[motif].pieces[local]) for motif, local in different[order]]
        return np.argsort(order)[number.reshape(-1)], pieces


def partition(molecule: Molecule) -> Partition:
    """The motifs of a molecule. There is no molecule without: of one that cannot be cut the parts are the motifs."""
    return cut_at(molecule, cut_bonds(molecule.mol))


def cut_bonds(mol: Chem.Mol) -> list[int]:
    """Numbers of the bonds that the rules cut, sorted by their ends."""
    ends = {tuple(sorted(pair)) for pattern in CUTS for pair in mol.GetSubstructMatches(pattern, maxMatches=MOST)}
    return [mol.GetBondBetweenAtoms(*pair).GetIdx() for pair in sorted(ends)]


def bridges(mol: Chem.Mol, bonds: Sequence[int]) -> list[int]:
    """Those of some bonds without which the Mol has a part more."""
    whole = len(Chem.GetMolFrags(mol))
    return [bond for bond in bonds if len(Chem.GetMolFrags(apart(mol, [bond]))) > whole]


def apart(mol: Chem.Mol, bonds: Sequence[int]) -> Chem.Mol:
    """The Mol without some bonds, a dummy at each end; the dummies are its last atoms."""
    return Chem.FragmentOnBonds(mol, bonds, dummyLabels=[(0, 0)] * len(bonds)) if bonds else Chem.Mol(mol)


def components(mol: Chem.Mol) -> tuple[tuple[tuple[int, ...], ...], list[int]]:
    """The connected parts of a Mol by their first atoms, and the number of the part of each atom."""
    parts, owner = Chem.GetMolFrags(mol), [0] * mol.GetNumAtoms()
    for number, part in enumerate(parts):
        for atom in part:
            owner[atom] = number
    return parts, owner


def cut_at(molecule: Molecule, cuts: Sequence[int]) -> Partition:
    """The partition that these bonds make, sorted by their ends; those that are no bridges are left whole."""
    mol, count = molecule.mol, molecule.mol.GetNumAtoms()
    broken = opened(molecule, cuts)
    parts, owner = components(broken)
    if len(parts) != len(Chem.GetMolFrags(mol)) + len(cuts):
        # Each bridge makes one part more. A ring that is closed by a dative bond counts as no ring in RDKit.
        return cut_at(molecule, bridges(mol, cuts))
    texts = Chem.MolToSmiles(broken).split(".")
    order = [int(atom) for atom in broken.GetProp("_smilesAtomOutputOrder")[1:-1].rstrip(",").split(",")]
    written, kinds, place = {}, {}, 0
    for text in texts:
        number = owner[order[place]]
        written[number] = tuple(order[place : place + len(parts[number])])
        kinds[number] = described(text)
        place += len(parts[number])
    bonds = [mol.GetBondWithIdx(cut) for cut in cuts]
    ends = [sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in bonds]
    return Partition(
        motif=np.array(owner[:count], np.int64),
        cuts=np.array(ends, np.int64).reshape(-1, 2),
        bonds=np.array([int(bond.GetBondType()) for bond in bonds], np.uint8),
        kinds=tuple(kinds[number] for number in range(len(parts))),
        written=tuple(written[number] for number in range(len(parts))),
    )


def opened(molecule: Molecule, cuts: Sequence[int]) -> Chem.Mol:
    """The Mol with dummies in place of some bonds, and without stereo at their ends: it told of what is gone."""
    broken, count = apart(molecule.mol, cuts), molecule.mol.GetNumAtoms()
    if "*" in molecule.smiles:
        for atom in broken.GetAtoms():
            if atom.GetIdx() < count and not atom.GetAtomicNum():
                atom.SetAtomMapNum(REAL)
    if any(sign in molecule.smiles for sign in "@/\\"):
        forget_stereo(broken, ends_from(broken, count))
    return broken


def ends_from(mol: Chem.Mol, first: int) -> set[int]:
    """The atoms that carry the dummies of cuts, which are the atoms from `first` on."""
    dummies = map(mol.GetAtomWithIdx, range(first, mol.GetNumAtoms()))
    return {end.GetIdx() for dummy in dummies for end in dummy.GetNeighbors()}


def forget_stereo(mol: Chem.Mol, atoms: Iterable[int]) -> None:
    """Take the stereo of some atoms and of their bonds away."""
    changed = False
    for number in atoms:
        atom = mol.GetAtomWithIdx(number)
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        for bond in atom.GetBonds():
            if bond.GetStereo() != Chem.BondStereo.STEREONONE:
                bond.SetStereo(Chem.BondStereo.STEREONONE)
                changed = True
    if changed:  # or RDKit would find it again by the directions of the bonds beside
        for bond in mol.GetBonds():
            bond.SetBondDir(Chem.BondDir.NONE)
        Chem.SetDoubleBondNeighborDirections(mol)


@lru_cache(maxsize=KINDS)
def described(text: str) -> Kind:
    """The motif that was written as `text`. It is read once more, for RDKit writes some fragments in several ways."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text, READING)
        if mol is None:  # RDKit does not read all that it writes; it is a motif all the same
            return Kind(text, (Piece(text, ""),), ())
        token = str(Chem.MolToSmiles(mol))
        piece, pieces = split(mol, token)
    return Kind(token, pieces, piece)


def split(mol: Chem.Mol, token: str) -> tuple[tuple[int, ...], tuple[Piece, ...]]:
    """Number of the piece of each atom of a motif, dummies included, and the pieces.

    An atom of a chain with three neighbours or more, cut ends among them, becomes a piece of its own.
    """
    alone = [mol.GetAtomWithIdx(atom) for (atom,) in mol.GetSubstructMatches(BRANCH)]
    bonds = {bond.GetIdx() for atom in alone for bond in atom.GetBonds() if not _to_cut(bond)}
    if not bonds:
        return (0,) * mol.GetNumAtoms(), (Piece(token, ring_class(mol)),)
    broken = apart(mol, sorted(bonds))
    parts, owner = components(broken)
    Chem.FastFindRings(broken)
    forget_stereo(broken, ends_from(broken, mol.GetNumAtoms()))
    pieces = tuple(piece_of(Chem.MolFragmentToSmiles(broken, part)) for part in parts)
    return tuple(owner[: mol.GetNumAtoms()]), pieces


def piece_of(text: str) -> Piece:
    """The piece that was written as `text`."""
    mol = Chem.MolFromSmiles(text, READING)
    return Piece(text, "") if mol is None else Piece(str(Chem.MolToSmiles(mol)), ring_class(mol))


def _to_cut(bond: Chem.Bond) -> bool:
    return any(not end.GetAtomicNum() and not end.GetAtomMapNum() for end in (bond.GetBeginAtom(), bond.GetEndAtom()))


def ring_class(mol: Chem.Mol) -> str:
    """Sizes of the rings of a motif, and its heteroatoms; "" of one without rings."""
    sizes = sorted(len(ring) for ring in mol.GetRingInfo().AtomRings())
    if not sizes:
        return ""
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms() if atom.GetAtomicNum() not in (0, 1, 6)]
    formula = "".join(f"{symbol}{symbols.count(symbol)}" for symbol in sorted(set(symbols)))
    return f"ring:{','.join(map(str, sizes))}:{formula}"

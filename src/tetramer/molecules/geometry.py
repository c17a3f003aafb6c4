"""Given geometry: places of atoms that come with a structure, and their way into the order of our atoms.

Everything here is plain: numbers (N,) atomic numbers, positions (N, 3) float64 in Å, and RDKit's Mol.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from rdkit import Chem, rdBase

SAME_PLACE = 0.1  # Å; two atoms nearer than this are a mistake
FLAT = 200  # atoms; a larger molecule is not flat
STRETCH = 0.25  # by which a bond may differ from the sum of two covalent radii, as a share
DECIMALS = 8  # of an XYZ text
PLACE = "_tetramerGiven"  # atom property: its number in the geometry


@dataclass(frozen=True)
class Frame:
    """One geometry as XYZ text has it."""

    numbers: np.ndarray  # (N,) uint8
    positions: np.ndarray  # (N, 3) float64, Å
    smiles: tuple[str, ...] = ()  # texts in it that may be its SMILES, the likeliest first
    comment: str = ""  # its second line


@dataclass(frozen=True)
class Given:
    """Places of the n atoms of a Mol, and of h hydrogens that it does not draw, in each of K conformers."""

    places: np.ndarray  # (K, n, 3) float64, Å
    parents: np.ndarray  # (h,) int, the atom that each hydrogen is bonded to
    spots: np.ndarray  # (K, h, 3)
    keys: np.ndarray  # (n + h,) float64, of the first conformer, see `keys`

    @property
    def first(self) -> np.ndarray:
        """(n,) int, the atoms by their keys: an order that does not depend on how the input numbered them."""
        return np.argsort(self.keys[: self.places.shape[1]], kind="stable")

    def ordered(self, mol: Chem.Mol, order: np.ndarray) -> np.ndarray:
        """(K, N, 3): the atoms of `mol`, of which atom i was order[i] here, then the hydrogens of each in turn.

        Hydrogens of one atom come by their keys. Where `mol` has more or fewer of them on an atom than were given,
        as after a change of charge, RDKit places all hydrogens of that atom.
        """
        size = self.places.shape[1]
        back = np.full(size, -1)
        back[order] = np.arange(len(order))
        kept = np.flatnonzero(back[self.parents] >= 0) if len(self.parents) else np.empty(0, np.int64)
        parents = back[self.parents[kept]]
        rank = np.lexsort((self.keys[size + kept], parents))
        parents, spots = parents[rank], self.spots[:, kept[rank]]
        places = self.places[:, order]
        wanted = hydrogens_of(mol)
        given = np.bincount(parents, minlength=len(order))
        if not np.array_equal(given, wanted):
            full = [positions_of(Chem.AddHs(with_places(mol, one), addCoords=True)) for one in places]
            made = np.stack(full)[:, len(order) :]
            owner, whole = np.repeat(np.arange(len(order)), wanted), given == wanted
            made[:, whole[owner]] = spots[:, whole[parents]]
            spots = made
        return np.concatenate([places, spots], axis=1)


def as_xyz(numbers: Sequence[int] | np.ndarray, positions: np.ndarray, comment: str = "") -> str:
    """XYZ text of a geometry, with its SMILES as `comment`; `read_xyz` gives the places again to 1e-8 Å.

    numbers: (N,)   positions: (N, 3), Å; or (K, N, 3), a frame for each of K conformers; or either of them flat
    """
    table, places = Chem.GetPeriodicTable(), np.asarray(positions, np.float64)
    symbols = [table.GetElementSymbol(int(number)) for number in numbers]
    head, told = [str(len(symbols)), " ".join(comment.split())], list[str]()
    for frame in places.reshape(max(1, places.size // max(1, 3 * len(symbols))), len(symbols), 3).tolist():
        atoms = zip(symbols, frame, strict=True)
        told += head
        told += [f"{symbol} {x:.{DECIMALS}f} {y:.{DECIMALS}f} {z:.{DECIMALS}f}" for symbol, (x, y, z) in atoms]
    return "\n".join(told)


def mol_block(smiles: str, positions: np.ndarray, title: str = "", flat: bool = False) -> str:
    """Mol block of the atoms of a canonical SMILES, in its order, and all their hydrogens; V3000 above 999 atoms.

    positions: (N, 3) Å   flat: say that they are a drawing   ValueError if the SMILES has not N atoms
    """
    with rdBase.BlockLogs():  # warnings too, such as of a hydrogen alone
        mol = Chem.MolFromSmiles(smiles)
    full = None if mol is None else Chem.AddHs(mol)
    if full is None or full.GetNumAtoms() != len(positions):
        raise ValueError(f"{smiles} is not a molecule of {len(positions)} atoms")
    out = with_places(full, positions)
    out.GetConformer().Set3D(not flat)
    out.SetProp("_Name", title)
    return str(Chem.MolToMolBlock(out))


def is_xyz(text: str) -> bool:
    """Whether a text means to be XYZ: a line that is a number, and more lines after it."""
    return "\n" in text and re.match(r"\s*\d+[ \t\r]*\n", text) is not None


def announced(text: str) -> int:
    """The number of atoms that an XYZ text begins with; no more than 10⁹."""
    return int(text.split(maxsplit=1)[0][:9])


def read_xyz(text: str) -> list[Frame]:
    """The geometry of an XYZ text: the number of atoms, a comment, a line of element, x, y, z for each atom.

    Further frames of the same atoms are further conformers; their comments are not read. What follows z on a line is
    not read; QM9's files write 1*^-5 for 1e-5 and have three more lines, of which the second holds two SMILES.
    ValueError says what is wrong.
    """
    lines, count = text.strip().splitlines(), announced(text)
    comment = lines[1] if len(lines) > 1 else ""
    rest = [line for line in lines[2 + count :] if line.strip()]
    from_gdb = comment.startswith("gdb") and len(rest) == 3
    smiles = tuple(reversed(rest[1].split())) if from_gdb else smiles_in(comment)
    told, place = list[Frame](), 0
    while place < len(lines) and not (from_gdb and told):
        if told and not lines[place].strip():
            place += 1
            continue
        if lines[place].strip() != lines[0].strip():
            left = len([line for line in lines[place:] if line.strip()])
            raise ValueError(f"{left} lines follow the last of {count} atoms, and are no other conformer of them")
        rows = lines[place + 2 : place + 2 + count]
        if len(rows) < count:
            raise ValueError(f"the geometry announces {count} atoms, and {len(rows)} lines follow its comment")
        numbers, positions = read_atoms(rows, place + 3)
        check_places(positions)
        if told and not np.array_equal(numbers, told[0].numbers):
            raise ValueError(f"geometry {len(told) + 1} has other atoms than the first; give one molecule a row")
        told.append(Frame(numbers, positions, smiles, comment))
        place += 2 + count
    return told


def read_atoms(rows: Sequence[str], start: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers (N,) and places (N, 3) of lines `element x y z …`; ValueError names a line that is not so.

    start: the number of the first line
    """
    numbers, positions = np.empty(len(rows), np.uint8), np.empty((len(rows), 3))
    known = elements()
    for atom, row in enumerate(rows):
        words = row.replace("*^", "e").split() if "*^" in row else row.split()
        number = known.get(words[0].capitalize()) if len(words) > 3 else None
        try:
            if number is None:
                raise ValueError
            numbers[atom], positions[atom] = number, [float(word) for word in words[1:4]]
        except ValueError:
            told = row.strip()[:40]
            raise ValueError(f"line {atom + start} is not an element and three coordinates: {told!r}") from None
    return numbers, positions


@cache
def elements() -> dict[str, int]:
    """What may stand for an element in XYZ: its symbol, its atomic number, D and T for hydrogen, * for a dummy."""
    table = Chem.GetPeriodicTable()
    symbols = {table.GetElementSymbol(number): number for number in range(119)}
    return symbols | {str(number): number for number in range(1, 119)} | {"D": 1, "T": 1, "X": 0}


@cache
def radii() -> np.ndarray:
    """(256,) covalent radii in Å by atomic number (Cordero et al. 2008, doi:10.1039/b801115j, as RDKit has them)."""
    table, out = Chem.GetPeriodicTable(), np.zeros(256)
    out[:119] = [table.GetRcovalent(number) for number in range(119)]
    out[0] = out[6]  # a dummy may be anything
    return out


def smiles_in(comment: str) -> tuple[str, ...]:
    """What may be the SMILES of a comment: all of it if it is one word, `smiles=…`, or the key smiles of JSON."""
    comment = comment.strip()
    if comment.startswith("{"):
        try:
            told = json.loads(comment)
        except ValueError:
            return ()
        return (told["smiles"],) if isinstance(told, dict) and isinstance(told.get("smiles"), str) else ()
    named = re.search(r"\bsmiles\s*=\s*(?:\"([^\"]*)\"|(\S+))", comment, re.IGNORECASE)
    if named:
        return (named[1] or named[2],)
    return (comment,) if len(comment.split()) == 1 else ()


def check_places(positions: np.ndarray) -> None:
    """ValueError if a coordinate is not finite or two atoms lie in one place."""
    if not np.isfinite(positions).all() or np.abs(positions).max(initial=0.0) > 1e6:
        raise ValueError("a coordinate is not finite")
    away = distances(positions)
    np.fill_diagonal(away, np.inf)
    if len(away) > 1 and away.min() < SAME_PLACE:
        one, other = sorted(np.unravel_index(int(away.argmin()), away.shape))
        raise ValueError(f"atoms {one + 1} and {other + 1} lie in one place")


def distances(positions: np.ndarray) -> np.ndarray:
    """(N, 3) → (N, N) Å."""
    at = positions - positions.mean(0) if len(positions) else positions
    square = np.einsum("ni,ni->n", at, at)
    return np.asarray(np.sqrt(np.maximum(square[:, None] + square - 2 * at @ at.T, 0.0)))


def keys(numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(N,) one number an atom, the sum of its distances to all others weighted by element, to 1e-5 Å.

    Equal only for atoms that symmetry makes equal (or by chance), so it tells apart what a structure does not: the two
    hydrogens of CH2, the two ortho atoms of a phenyl ring.
    """
    return np.asarray(np.round(distances(positions) @ (1.0 + numbers.astype(np.float64)), 5))


def with_places(mol: Chem.Mol, positions: np.ndarray) -> Chem.Mol:
    """A copy of a Mol whose one conformer is `positions` (n, 3)."""
    out = Chem.Mol(mol)
    out.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.ascontiguousarray(positions, np.float64))
    conformer.Set3D(True)
    out.AddConformer(conformer)
    return out


def positions_of(mol: Chem.Mol) -> np.ndarray:
    """(n, 3) of the first conformer."""
    return np.array(mol.GetConformer().GetPositions(), np.float64).reshape(-1, 3)


def numbers_of(mol: Chem.Mol) -> np.ndarray:
    """(n,) uint8 atomic numbers."""
    return np.array([atom.GetAtomicNum() for atom in atoms_of(mol)], np.uint8)


def hydrogens_of(mol: Chem.Mol) -> np.ndarray:
    """(n,) int, hydrogens of each atom that are not drawn."""
    return np.array([atom.GetTotalNumHs() for atom in atoms_of(mol)], np.int64)


def atoms_of(mol: Chem.Mol) -> Iterator[Chem.Atom]:
    """All atoms, twice as fast as GetAtoms()."""
    return map(mol.GetAtomWithIdx, range(mol.GetNumAtoms()))


def bonds_of(mol: Chem.Mol) -> np.ndarray:
    """(b, 2) int, both atoms of each bond."""
    bonds = map(mol.GetBondWithIdx, range(mol.GetNumBonds()))
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
    return np.array(pairs, np.int64).reshape(-1, 2)


def is_spatial(block: str, mol: Chem.Mol) -> bool:
    """Whether the coordinates of a mol block, read as `mol`, are a geometry: no drawing, no two atoms in one place.

    A block is flagged 2D, 3D or not at all. Flat coordinates are a drawing, unless they are flagged 3D, all hydrogens
    are there and all bonds as long as such bonds are: water and benzene are flat.
    """
    lines = block.split("\n", 2)
    flag = lines[1][20:22] if len(lines) > 1 else ""
    if flag == "2D" or not mol.GetNumConformers():
        return False
    positions = positions_of(mol)
    if not positions[:, 2].any():
        full = Chem.MolFromMolBlock(block, removeHs=False)
        if flag != "3D" or full is None or hydrogens_of(full).any() or full.GetNumAtoms() > FLAT:
            return False
        numbers, pairs, positions = numbers_of(full), bonds_of(full), positions_of(full)
        long = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
        if not (np.abs(long / radii()[numbers[pairs]].sum(1) - 1) < STRETCH).all():
            return False
    try:
        check_places(positions)
    except ValueError:
        return False
    return True


def separated(full: Chem.Mol, positions: np.ndarray) -> tuple[Chem.Mol, Given, np.ndarray]:
    """A Mol with all its hydrogens at (K, N, 3) → the Mol without them, all places, and where its atoms were."""
    for atom in full.GetAtoms():
        atom.SetIntProp(PLACE, atom.GetIdx())
    mol = Chem.RemoveHs(full)
    kept = np.array([atom.GetIntProp(PLACE) for atom in atoms_of(mol)], np.int64)
    gone = np.setdiff1d(np.arange(full.GetNumAtoms()), kept)
    above = [full.GetAtomWithIdx(int(place)).GetNeighbors()[0].GetIdx() for place in gone]
    parents = np.searchsorted(kept, np.array(above, np.int64))  # atoms that stay keep their order
    both = np.concatenate([kept, gone])
    key = keys(numbers_of(full), positions[0])[both]
    return mol, Given(positions[:, kept], parents, positions[:, gone], key), kept

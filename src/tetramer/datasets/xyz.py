"""XYZ files: geometries as text, one frame after another, with something to say in each frame's second line."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu "
    "Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr "
    "Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS.split(), 1)}
LARGEST = 100_000  # atoms of one frame
QM9 = ("A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "u0", "u298", "h298", "g298", "cv")
"""Columns of a QM9 comment line, in order, by MoleculeNet's names; their units stand in SOURCES."""


@dataclass(frozen=True)
class Frame:
    """One geometry. `numbers`: (n,) uint8 atomic numbers; `places`: (n, 3) float32 Å; `comment`: the second line."""

    comment: str
    numbers: np.ndarray
    places: np.ndarray


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """Frames until the lines end; ValueError names the line that is not as it must be.

    A frame is the number of atoms n, a comment, and n lines of an element and x, y, z in Å; what stands behind them,
    as QM9's partial charges, is not read. Empty lines between frames are skipped. QM9 writes 1*^-5 for 1e-5.
    """
    numbered = enumerate(lines, 1)
    for place, line in numbered:
        if line.strip():
            count = _count(place, line)
            comment = next(numbered, (0, ""))[1]
            atoms = [atom for _, atom in zip(range(count), numbered, strict=False)]
            if len(atoms) < count:
                raise ValueError(f"line {place} announces {count} atoms, and {len(atoms)} follow")
            yield Frame(comment, *_atoms(atoms))


def _count(place: int, line: str) -> int:
    if not line.strip().isdecimal() or not 0 < int(line.strip()[:9]) <= LARGEST:
        raise ValueError(f"line {place} is not a number of atoms: {line[:40]!r}")
    return int(line)


def _atoms(lines: Sequence[tuple[int, str]]) -> tuple[np.ndarray, np.ndarray]:
    numbers, places = np.empty(len(lines), np.uint8), np.empty((len(lines), 3), np.float32)
    for row, (place, line) in enumerate(lines):
        words = line.replace("*^", "e").split()
        if len(words) < 4 or words[0] not in NUMBERS:
            raise ValueError(f"line {place} is not an element and three coordinates: {line[:40]!r}")
        numbers[row] = NUMBERS[words[0]]
        places[row] = [float(word) for word in words[1:4]]
    if not np.isfinite(places).all():
        raise ValueError(f"a coordinate of the frame that begins at line {lines[0][0] - 2} is not finite")
    return numbers, places


def geometry_columns(some: Sequence[Frame]) -> dict[str, pa.Array]:
    """`atomic_numbers` list<uint8> and `coordinates` list<float32>, x, y, z of the first atom, then of the next (Å)."""
    starts = np.cumsum([0, *(len(frame.numbers) for frame in some)]).astype(np.int32)
    numbers = np.concatenate([np.zeros(0, np.uint8), *(frame.numbers for frame in some)])
    places = np.concatenate([np.zeros(0, np.float32), *(frame.places.reshape(-1) for frame in some)])
    return {
        "atomic_numbers": pa.ListArray.from_arrays(pa.array(starts), pa.array(numbers)),
        "coordinates": pa.ListArray.from_arrays(pa.array(3 * starts), pa.array(places)),
    }


def read_json_xyz(lines: Iterable[str]) -> pa.Table:
    """Frames whose comment is a JSON object: its keys become columns, then the geometry."""
    some = list(frames(lines))
    told = [json.loads(frame.comment) for frame in some]
    if not all(isinstance(row, dict) for row in told):
        raise ValueError("a comment line is not a JSON object")
    names = dict.fromkeys(name for row in told for name in row)
    columns: dict[str, pa.Array] = {name: pa.array([row.get(name) for row in told]) for name in names}
    return pa.table(columns | geometry_columns(some))


def qm9_frame(text: str) -> tuple[Frame, list[float], tuple[str, str], str]:
    """One file of QM9: geometry, the 15 properties, SMILES (of GDB-17, of the relaxed geometry), `gdb_NUMBER`.

    Behind the n atoms stand a line of frequencies, one of two SMILES and one of two InChI
    (Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22).
    """
    lines = text.splitlines()
    count = _count(1, lines[0] if lines else "")
    frame = next(frames(lines[: count + 2]))
    words = frame.comment.replace("*^", "e").split()
    smiles = lines[count + 3].split() if len(lines) > count + 3 else []
    if len(words) != 2 + len(QM9) or words[0] != "gdb" or len(smiles) != 2:
        raise ValueError("the second line or the line of the SMILES is not that of a QM9 file")
    return frame, [float(word) for word in words[2:]], (smiles[0], smiles[1]), f"gdb_{int(words[1])}"

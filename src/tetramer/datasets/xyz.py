"""XYZ files: geometries as text, one frame after another, with something to say in each frame's second line."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

from tetramer.molecules.geometry import Frame, read_atoms

LARGEST = 100_000  # atoms of one frame
QM9 = ("A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "u0", "u298", "h298", "g298", "cv")
"""Columns of a QM9 comment line, in order, by MoleculeNet's names; their units stand in SOURCES."""
QM9_REST = 3  # lines behind the atoms of a file of QM9: frequencies, SMILES, InChI


def texts(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Frames as their lines, each with the number of its first one; ValueError names the line that is not right.

    A frame is the number of atoms n, a comment, and n lines. Empty lines between frames are skipped. The lines that
    files of QM9 have behind the atoms belong to the frame.
    """
    numbered, held = enumerate(lines, 1), None
    while (first := held or next(numbered, None)) is not None:
        (place, line), held = first, None
        if not line.strip():
            continue
        frame = [line, *(text for _, text in islice(numbered, _count(place, line) + 1))]
        if len(frame) < int(line) + 2:
            raise ValueError(f"line {place} announces {int(line)} atoms, and {max(0, len(frame) - 2)} follow")
        if frame[1].split()[:1] == ["gdb"]:
            held = next(numbered, None)
            if held is not None and held[1].strip() and not held[1].strip().isdecimal():
                frame += [held[1], *(text for _, text in islice(numbered, QM9_REST - 1))]
                held = None
        yield place, frame


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """Frames until the lines end, their places as `texts` has them; ValueError names the line that is not so.

    A line of an atom is an element and x, y, z in Å; what stands behind them, as QM9's partial charges, is not read.
    """
    for place, (_, comment, *atoms) in texts(lines):
        yield _frame(place, comment, atoms)


def _frame(place: int, comment: str, atoms: Sequence[str]) -> Frame:
    try:
        numbers, positions = read_atoms(atoms)
    except ValueError as error:
        raise ValueError(f"of the frame that begins at line {place}, {error}") from error
    if not np.isfinite(positions).all():
        raise ValueError(f"a coordinate of the frame that begins at line {place} is not finite")
    return Frame(numbers, positions, comment=comment)


def _count(place: int, line: str) -> int:
    if not line.strip().isdecimal() or not 0 < int(line.strip()[:9]) <= LARGEST:
        raise ValueError(f"line {place} is not a number of atoms: {line[:40]!r}")
    return int(line)


def geometry_columns(some: Sequence[Frame]) -> dict[str, pa.Array]:
    """`atomic_numbers` list<uint8> and `coordinates` list<float32>, x, y, z of the first atom, then of the next (Å)."""
    starts = np.cumsum([0, *(len(frame.numbers) for frame in some)]).astype(np.int32)
    numbers = np.concatenate([np.zeros(0, np.uint8), *(frame.numbers for frame in some)])
    places = np.concatenate([np.zeros(0), *(frame.positions.reshape(-1) for frame in some)]).astype(np.float32)
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
    frame = _frame(1, "".join(lines[1:2]), lines[2 : count + 2])
    words = frame.comment.replace("*^", "e").split()
    smiles = lines[count + 3].split() if len(lines) > count + 3 else []
    if len(words) != 2 + len(QM9) or words[0] != "gdb" or len(smiles) != 2:
        raise ValueError("the second line or the line of the SMILES is not that of a QM9 file")
    return frame, [float(word) for word in words[2:]], (smiles[0], smiles[1]), f"gdb_{int(words[1])}"

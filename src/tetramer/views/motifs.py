"""Motifs of the atoms of `graph`, read beside the four views: no encoder takes them, motif pretraining does.

molecules ──featurize──▶ MotifFeatures ──encode(vocabulary)──▶ UnitFeatures ──collate──▶ MotifBatch
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

import numpy as np

from tetramer.molecules import Molecule
from tetramer.molecules.geometry import numbers_of
from tetramer.molecules.merging import merged
from tetramer.molecules.motifs import Kind, Piece, partition
from tetramer.molecules.vocabulary import Vocabulary
from tetramer.views.base import Batch, Features, Settings, gather, offsets

BLANK = "-"  # no class of rings


@dataclass(frozen=True)
class MotifSettings(Settings):
    """Unions of neighbouring motifs to make, as `learn_merges` gives them."""

    merges: tuple[str, ...] = ()


@dataclass(frozen=True)
class MotifFeatures(Features):
    """Partitions of n molecules; atoms are those of `graph`, in its order."""

    COLUMNS: ClassVar[dict[str, str | None]] = {
        "ok": None,
        "motif": "atom_starts",
        "piece": "atom_starts",
        "elements": "atom_starts",
        "first": "cut_starts",
        "second": "cut_starts",
        "bonds": "cut_starts",
        "text": "text_starts",
    }
    motif: np.ndarray  # (N,) uint16 motif of each atom within its own molecule
    piece: np.ndarray  # (N,) uint16 piece of each atom within its own molecule
    elements: np.ndarray  # (N,) uint8 atomic numbers
    atom_starts: np.ndarray  # (n + 1,) int64
    first: np.ndarray  # (C,) int16 lower atom of each cut bond, within its own molecule
    second: np.ndarray  # (C,) int16 higher atom
    bonds: np.ndarray  # (C,) uint8 kind of the bond as RDKit numbers it
    cut_starts: np.ndarray  # (n + 1,) int64
    text: np.ndarray  # (T,) uint8 three lines in ASCII: motifs, pieces, and classes of the pieces' rings
    text_starts: np.ndarray  # (n + 1,) int64


@dataclass(frozen=True)
class UnitFeatures(Features):
    """Atoms by units of a vocabulary: motifs, or of those that it does not hold what they fall into."""

    COLUMNS: ClassVar[dict[str, str | None]] = {
        "ok": None,
        "unit": "atom_starts",
        "numbers": "unit_starts",
        "first": "cut_starts",
        "second": "cut_starts",
        "bonds": "cut_starts",
    }
    unit: np.ndarray  # (N,) int32 unit of each atom within its own molecule
    atom_starts: np.ndarray  # (n + 1,) int64
    numbers: np.ndarray  # (U,) int32 number of each unit in the vocabulary; without one, a checksum of its SMILES
    unit_starts: np.ndarray  # (n + 1,) int64
    first: np.ndarray  # as in MotifFeatures
    second: np.ndarray
    bonds: np.ndarray
    cut_starts: np.ndarray


@dataclass(frozen=True)
class MotifBatch(Batch):
    """Units of `size` molecules; atoms are the rows of the graph view's batch of the same molecules."""

    unit: np.ndarray  # (N,) int64 which unit of this batch each atom belongs to
    owner: np.ndarray  # (U,) int64 which molecule each unit belongs to
    numbers: np.ndarray  # (U,) int64 numbers in the vocabulary, or checksums
    cuts: np.ndarray  # (2, C) int64 atoms of this batch at both ends of each cut bond
    bonds: np.ndarray  # (C,) int64


FEATURES, SETTINGS = MotifFeatures, MotifSettings
ABSENT = ("SANITIZE", "no motifs could be made")


def featurize(
    molecules: Sequence[Molecule | None],
    tick: Callable[[int], None] = lambda place: None,
    settings: MotifSettings = MotifSettings(),
) -> MotifFeatures:
    """Partitions of many molecules; None gives a row that is not ok. `tick` hears the place of each molecule."""
    columns: dict[str, list[np.ndarray]] = {
        name: [] for name in ("motif", "piece", "elements", "cuts", "bonds", "text")
    }
    sizes = np.zeros((3, len(molecules)), np.int64)
    for place, molecule in enumerate(molecules):
        tick(place)
        if molecule is None:
            continue
        told = merged(molecule, settings.merges) if settings.merges else partition(molecule)
        piece, pieces = told.pieces
        lines = [told.tokens, [one.token for _, one in pieces], [one.ring or BLANK for _, one in pieces]]
        text = np.frombuffer("\n".join(map(" ".join, lines)).encode("ascii"), np.uint8)
        cells = (told.motif, piece, numbers_of(molecule.mol), told.cuts, told.bonds, text)
        for name, cell in zip(columns, cells, strict=True):
            columns[name].append(cell)
        sizes[:, place] = len(told.motif), len(told.cuts), len(text)
    cuts = np.concatenate([np.empty((0, 2)), *columns["cuts"]]).astype(np.int16)
    return MotifFeatures(
        ok=np.array([molecule is not None for molecule in molecules], np.uint8),
        motif=flat(columns["motif"], np.uint16),
        piece=flat(columns["piece"], np.uint16),
        elements=flat(columns["elements"], np.uint8),
        atom_starts=offsets(sizes[0]),
        first=np.ascontiguousarray(cuts[:, 0]),
        second=np.ascontiguousarray(cuts[:, 1]),
        bonds=flat(columns["bonds"], np.uint8),
        cut_starts=offsets(sizes[1]),
        text=flat(columns["text"], np.uint8),
        text_starts=offsets(sizes[2]),
    )


def flat(parts: Sequence[np.ndarray], kind: type[np.generic]) -> np.ndarray:
    """(n_i,) each → (sum of n_i,)."""
    return np.concatenate([np.empty(0, kind), *parts]).astype(kind)


def kinds(features: MotifFeatures, row: int) -> tuple[list[Kind], list[Piece]]:
    """The motifs of one molecule with their pieces, and all its pieces; both empty in a row that is not ok."""
    start, stop = features.text_starts[row : row + 2]
    if start == stop:
        return [], []
    tokens, names, rings = (line.split(" ") for line in bytes(features.text[start:stop]).decode("ascii").split("\n"))
    pieces = [Piece(name, "" if ring == BLANK else ring) for name, ring in zip(names, rings, strict=True)]
    atoms = slice(*features.atom_starts[row : row + 2])
    owners = dict(zip(features.piece[atoms].tolist(), features.motif[atoms].tolist(), strict=True))
    own: list[list[Piece]] = [[] for _ in tokens]
    for number, piece in enumerate(pieces):
        own[owners[number]].append(piece)
    return [Kind(token, tuple(some), ()) for token, some in zip(tokens, own, strict=True)], pieces


def encode(features: MotifFeatures, vocabulary: Vocabulary | None = None) -> UnitFeatures:
    """Units of all molecules; without a vocabulary each motif is one, and its number a checksum of its SMILES.

    Two of the 14,000 motifs of 50,000 molecules have one checksum with a chance of 1 in 20.
    """
    units, numbers = [], []
    for row in range(len(features)):
        atoms = slice(*features.atom_starts[row : row + 2])
        motif, piece = features.motif[atoms].astype(np.int64), features.piece[atoms].astype(np.int64)
        if vocabulary is None:
            unit, number = motif, checksums(features, row)
        else:
            own, pieces = kinds(features, row)
            tokens = [kind.token for kind in own]
            unit, number = vocabulary.units(motif, piece, tokens, pieces, features.elements[atoms].astype(np.int64))
        units.append(unit)
        numbers.append(number)
    return UnitFeatures(
        ok=features.ok,
        unit=flat(units, np.int32),
        atom_starts=features.atom_starts,
        numbers=flat(numbers, np.int32),
        unit_starts=offsets(np.array([len(number) for number in numbers], np.int64)),
        first=features.first,
        second=features.second,
        bonds=features.bonds,
        cut_starts=features.cut_starts,
    )


def checksums(features: MotifFeatures, row: int) -> np.ndarray:
    """(M,) int32, a number for each motif of one molecule, the same wherever it occurs."""
    text = bytes(features.text[slice(*features.text_starts[row : row + 2])])
    return np.array([crc32(token) >> 1 for token in text.split(b"\n", 1)[0].split()], np.int32)


def collate(features: UnitFeatures, rows: np.ndarray, rng: np.random.Generator | None = None) -> MotifBatch:
    """Gather `rows` (B,) into one batch; a row that is not ok is a molecule without atoms."""
    at, atoms = gather(features.atom_starts, rows)
    of, units = gather(features.unit_starts, rows)
    on, cuts = gather(features.cut_starts, rows)
    first = np.repeat(np.cumsum(atoms) - atoms, cuts)  # (C,) batch row of the molecule's first atom
    return MotifBatch(
        size=len(rows),
        ok=features.ok[rows] == 1,
        unit=features.unit[at] + np.repeat(np.cumsum(units) - units, atoms),
        owner=np.repeat(np.arange(len(rows)), units),
        numbers=features.numbers[of].astype(np.int64),
        cuts=np.stack([features.first[on] + first, features.second[on] + first]),
        bonds=features.bonds[on].astype(np.int64),
    )

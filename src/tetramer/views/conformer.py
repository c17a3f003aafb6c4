"""The conformer view: atoms, hydrogens too, and their places in space; one geometry of a molecule or several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import ClassVar

import numpy as np

from tetramer.errors import UserError
from tetramer.molecules import Molecule
from tetramer.molecules.conformers import NOTES, PATIENCE, generate, of_smiles
from tetramer.views.base import Batch, Features, Settings, gather, offsets
from tetramer.views.kept import Kept, Made

MOST = 100  # conformers of a molecule


@dataclass(frozen=True)
class ConformerSettings(Settings):
    """How geometry is made where none is given; given geometry is used as it is, all conformers of it."""

    count: int = 1  # conformers of a molecule that are kept, lowest energy first
    optimise: bool = True  # relax them with MMFF94s, or UFF where it lacks parameters

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST:
            raise UserError(f"count={self.count} conformers is out of range. Choose 1 to {MOST}.")


@dataclass(frozen=True)
class ConformerFeatures(Features):
    """Geometries of n molecules. The K geometries of a molecule lie end to end, each with its N atoms.

    Atoms stand in the order of the graph view, with the hydrogens that it does not draw behind them. A row without
    geometry is not ok.
    """

    COLUMNS: ClassVar[dict[str, str | None]] = {
        "ok": None,
        "notes": None,
        "numbers": "atom_starts",
        "charges": "atom_starts",
        "positions": "place_starts",
        "energies": "geometry_starts",
    }
    notes: np.ndarray  # (n,) uint8, place in NOTES
    numbers: np.ndarray  # (ΣN,) uint8 atomic numbers
    charges: np.ndarray  # (ΣN,) int8 formal charges
    positions: np.ndarray  # (ΣKN, 3) float32, Å, each geometry centred on the mean of its atoms
    energies: np.ndarray  # (ΣK,) float32, kcal/mol above the lowest of the molecule; NaN: not known
    atom_starts: np.ndarray  # (n + 1,) int64
    place_starts: np.ndarray  # (n + 1,) int64
    geometry_starts: np.ndarray  # (n + 1,) int64

    @property
    def drawn(self) -> np.ndarray:
        """(n,) bool, of which molecules no geometry could be made: a flat drawing stands for it."""
        return np.asarray(self.notes == NOTES.index("CONF_2D"))


@dataclass(frozen=True)
class ConformerBatch(Batch):
    """G geometries of `size` molecules with M atoms in all, flat."""

    numbers: np.ndarray  # (M,) int64 atomic numbers
    charges: np.ndarray  # (M,) int64 formal charges
    positions: np.ndarray  # (M, 3) float32, Å
    owner: np.ndarray  # (M,) int64, ascending: which geometry each atom belongs to
    molecule: np.ndarray  # (G,) int64, ascending: which molecule each geometry belongs to


FEATURES, SETTINGS = ConformerFeatures, ConformerSettings
ABSENT = ("CONF_NONE", "no geometry could be made")


def featurize(
    molecules: Sequence[Molecule | None],
    tick: Callable[[int], None] = lambda place: None,
    settings: ConformerSettings = ConformerSettings(),
) -> ConformerFeatures:
    """Geometries of many molecules; None gives a row that is not ok. `tick` hears the place of each molecule."""
    notes = np.zeros(len(molecules), np.uint8)
    counts = np.zeros((3, len(molecules)), np.int64)  # atoms, places, geometries
    numbers: list[np.ndarray] = [np.empty(0, np.uint8)]
    charges: list[np.ndarray] = [np.empty(0, np.int8)]
    positions: list[np.ndarray] = [np.empty((0, 3), np.float32)]
    energies: list[np.ndarray] = [np.empty(0, np.float32)]
    with Kept(settings) as known:
        for place, molecule in enumerate(molecules):
            tick(place)
            if molecule is None or molecule.roles is not None:  # the molecules of a reaction lie nowhere
                continue
            made = made_of(molecule, settings, known, partial(tick, place))
            notes[place] = made.note
            kept = len(made.positions)
            if not kept:
                continue
            counts[:, place] = len(made.numbers), kept * len(made.numbers), kept
            numbers.append(made.numbers)
            charges.append(made.charges)
            positions.append(made.positions.reshape(-1, 3))
            energies.append(made.energies)
    return ConformerFeatures(
        ok=(counts[2] > 0).astype(np.uint8),
        notes=notes,
        numbers=np.concatenate(numbers).astype(np.uint8),
        charges=np.concatenate(charges).astype(np.int8),
        positions=np.concatenate(positions),
        energies=np.concatenate(energies),
        atom_starts=offsets(counts[0]),
        place_starts=offsets(counts[1]),
        geometry_starts=offsets(counts[2]),
    )


def made_of(molecule: Molecule, settings: ConformerSettings, known: Kept, alive: Callable[[], None]) -> Made:
    """Geometries of one molecule: given, made before, or made now, and then kept if its SMILES alone decided them."""
    alone = molecule.geometry is None and of_smiles(molecule) is not None
    if alone and (before := known.get(molecule.smiles)) is not None:
        return before
    start = monotonic()
    told = generate(molecule, settings.count, settings.optimise, alive)
    centred = told.positions - told.positions.mean(1, keepdims=True) if len(told.positions) else told.positions
    floats = centred.astype(np.float32), told.energies.astype(np.float32)
    made = Made(NOTES.index(told.note), told.numbers, told.charges, *floats)
    if alone and monotonic() - start < PATIENCE:  # no clock has cut it off
        known.put(molecule.smiles, made)
    return made


def collate(features: ConformerFeatures, rows: np.ndarray, rng: np.random.Generator | None = None) -> ConformerBatch:
    """Gather all geometries of `rows` (B,) into one batch; a row that is not ok has none."""
    kept = np.diff(features.geometry_starts)[rows]  # (B,) geometries
    at, _ = gather(features.place_starts, rows)
    sizes = np.diff(features.atom_starts)[rows]  # (B,)
    molecule = np.repeat(np.arange(len(rows)), kept)
    # Each geometry of a molecule reads the same run of atomic numbers.
    first = np.repeat(features.atom_starts[rows], kept)
    atom = spans(first, sizes[molecule])
    return ConformerBatch(
        size=len(rows),
        ok=features.ok[rows] == 1,
        numbers=features.numbers[atom].astype(np.int64),
        charges=features.charges[atom].astype(np.int64),
        positions=features.positions[at],
        owner=np.repeat(np.arange(len(molecule)), sizes[molecule]),
        molecule=molecule,
    )


def spans(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Runs of `counts` (G,) places that begin at `first` (G,), end to end. → (sum of counts,)"""
    shift = first - (np.cumsum(counts) - counts)
    return np.asarray(np.arange(counts.sum()) + np.repeat(shift, counts))

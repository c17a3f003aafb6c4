"""The fingerprint view: counts of circular substructures, RDKit's 2D descriptors, and atoms by element."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from tetramer.molecules import Molecule
from tetramer.views.base import Batch, Features, gather, offsets

BITS, RADIUS, ELEMENTS = 2048, 2, 119

# Left out of RDKit's list: qed and SPS (slow sums of what is there already), Ipc and AvgIpc (overflow on large
# molecules), the Morgan densities (the counts say more).
LEFT_OUT = ("qed", "SPS", "Ipc", "AvgIpc", "FpDensityMorgan1", "FpDensityMorgan2", "FpDensityMorgan3")
ESTATE = ("MaxAbsEStateIndex", "MaxEStateIndex", "MinAbsEStateIndex", "MinEStateIndex")  # four ends of one list


def _names() -> tuple[str, ...]:
    from rdkit.Chem import Descriptors

    rest = [name for name, _ in Descriptors._descList if name not in (*LEFT_OUT, *ESTATE)]
    return (*ESTATE, *rest)


NAMES = _names()  # (D,)


@dataclass(frozen=True)
class FingerprintFeatures(Features):
    """Sparse counts, descriptors and element counts of n molecules."""

    COLUMNS: ClassVar[dict[str, str | None]] = {
        "ok": None,
        "bits": "bit_starts",
        "counts": "bit_starts",
        "descriptors": None,
        "elements": None,
    }
    bits: np.ndarray  # (N,) uint16 which bits of 2048 are set
    counts: np.ndarray  # (N,) uint8 how often, at most 255
    bit_starts: np.ndarray  # (n + 1,) int64
    descriptors: np.ndarray  # (n, D) float32 in the order of NAMES; NaN where RDKit gives no finite number
    elements: np.ndarray  # (n, 119) uint16 atoms by atomic number, hydrogens included


@dataclass(frozen=True)
class FingerprintBatch(Batch):
    """The same, dense."""

    counts: np.ndarray  # (B, 2048) float32
    descriptors: np.ndarray  # (B, D) float32 with NaN
    elements: np.ndarray  # (B, 119) float32


FEATURES = FingerprintFeatures


@cache
def morgan() -> Any:
    """Count Morgan of radius 2, 2048 bits, chirality on."""
    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS, includeChirality=True)


@cache
def functions() -> tuple[Callable[[Chem.Mol], float], ...]:
    """RDKit's descriptor functions behind the four E-state ends."""
    from rdkit.Chem import Descriptors

    table = dict(Descriptors._descList)
    return tuple(table[name] for name in NAMES[len(ESTATE) :])


def describe(mol: Chem.Mol) -> np.ndarray:
    """(D,) float32 descriptors; NaN where one is undefined, infinite or too large for float32."""
    from rdkit.Chem.EState import EStateIndices

    states = np.asarray(EStateIndices(mol))
    values = [np.abs(states).max(), states.max(), np.abs(states).min(), states.min()]
    for function in functions():
        try:
            values.append(function(mol))
        except (ValueError, ZeroDivisionError, RuntimeError, ArithmeticError, IndexError, KeyError):
            values.append(np.nan)  # undefined for this molecule, such as a partial charge of a metal
    told = np.array(values, np.float64)
    told[~(np.abs(told) < np.finfo(np.float32).max)] = np.nan
    return told.astype(np.float32)


def featurize(
    molecules: Sequence[Molecule | None], tick: Callable[[int], None] = lambda place: None
) -> FingerprintFeatures:
    """Fingerprints of many molecules; None gives a row that is not ok. `tick` hears the place of each molecule."""
    bits: list[int] = []
    counts: list[int] = []
    sizes = np.zeros(len(molecules), np.int64)
    descriptors = np.full((len(molecules), len(NAMES)), np.nan, np.float32)
    elements = np.zeros((len(molecules), ELEMENTS), np.uint16)
    for place, molecule in enumerate(molecules):
        tick(place)
        if molecule is None:
            continue
        found = morgan().GetCountFingerprint(molecule.mol).GetNonzeroElements()
        bits.extend(found)
        counts.extend(found.values())
        sizes[place] = len(found)
        for atom in molecule.mol.GetAtoms():
            elements[place, atom.GetAtomicNum()] += 1
            elements[place, 1] += atom.GetTotalNumHs()
        # Sums over atoms depend on their order in the last digit, so the molecule is read anew from its own SMILES.
        again = Chem.MolFromSmiles(molecule.smiles)
        descriptors[place] = describe(molecule.mol if again is None else again)
    ok = np.array([molecule is not None for molecule in molecules], np.uint8)
    starts, flat = offsets(sizes), np.array(bits, np.uint16)
    order = np.lexsort((flat, np.repeat(np.arange(len(sizes)), sizes)))
    return FingerprintFeatures(
        ok=ok,
        bits=flat[order],
        counts=np.minimum(np.array(counts, np.int64), 255).astype(np.uint8)[order],
        bit_starts=starts,
        descriptors=descriptors,
        elements=elements,
    )


def collate(features: FingerprintFeatures, rows: np.ndarray) -> FingerprintBatch:
    """Gather `rows` (B,) into one dense batch; a row that is not ok has zero counts and NaN descriptors."""
    at, sizes = gather(features.bit_starts, rows)
    counts = np.zeros((len(rows), BITS), np.float32)
    counts[np.repeat(np.arange(len(rows)), sizes), features.bits[at]] = features.counts[at]
    return FingerprintBatch(
        size=len(rows),
        counts=counts,
        descriptors=np.ascontiguousarray(features.descriptors[rows]),
        elements=features.elements[rows].astype(np.float32),
    )

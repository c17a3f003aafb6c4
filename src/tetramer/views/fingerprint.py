"""The fingerprint view: counts of circular substructures, RDKit's 2D descriptors, and atoms by element."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from tetramer.molecules import Molecule
from tetramer.molecules.reactions import parts_of
from tetramer.views.base import DEFAULT, Batch, Features, Settings, gather, offsets
from tetramer.views.descriptors import NAMES as NAMES
from tetramer.views.descriptors import describe
from tetramer.views.indices import Skeleton

BITS, RADIUS = 2048, 2
ELEMENTS = 119  # atomic numbers 0 (a dummy atom) to 118


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
    # Of a reaction, `bits` are those of `changes`, and descriptors and elements those of the products.


@dataclass(frozen=True)
class FingerprintBatch(Batch):
    """The same, dense."""

    counts: np.ndarray  # (B, 2048) float32
    descriptors: np.ndarray  # (B, D) float32 with NaN


FEATURES, SETTINGS = FingerprintFeatures, Settings
ABSENT = ("SANITIZE", "no fingerprint could be made")


@cache
def morgan(radius: int = RADIUS) -> Any:  # noqa: ANN401 (RDKit names no type)
    """Count Morgan, 2048 bits, chirality on."""
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=BITS, includeChirality=True)


def featurize(
    molecules: Sequence[Molecule | None],
    tick: Callable[[int], None] = lambda place: None,
    settings: Settings = DEFAULT,
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
        found = changes(molecule) if molecule.roles else morgan().GetCountFingerprint(molecule.mol).GetNonzeroElements()
        bits.extend(found)
        counts.extend(found.values())
        sizes[place] = len(found)
        # Sums over atoms depend on their order in the last digit, so the molecule is read anew from its own SMILES.
        mol = Chem.MolFromSmiles(parts_of(molecule.smiles)[-1]) or molecule.mol
        shape = Skeleton.of(mol)
        elements[place] = np.bincount(shape.numbers, minlength=ELEMENTS)
        elements[place, 1] += shape.hydrogens.sum()
        descriptors[place] = describe(mol, shape)
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


def changes(reaction: Molecule) -> Counter[int]:
    """Bit → count of a reaction; an environment has other bits where it is made, broken, kept or in a reagent.

    After DRFP (doi:10.1039/D1DD00006C), which has those that are made or broken; theirs do not tell which.
    """
    reactants, reagents, products = (
        Counter(morgan().GetSparseCountFingerprint(Chem.MolFromSmiles(part)).GetNonzeroElements())
        for part in parts_of(reaction.smiles)
    )
    told = {"made": products - reactants, "broken": reactants - products, "kept": reactants & products}
    out: Counter[int] = Counter()
    for what, found in (told | {"beside": reagents}).items():
        for environment, count in found.items():
            out[zlib.crc32(f"{what} {environment}".encode()) % BITS] += count
    return out


def collate(
    features: FingerprintFeatures, rows: np.ndarray, rng: np.random.Generator | None = None
) -> FingerprintBatch:
    """Gather `rows` (B,) into one dense batch; a row that is not ok has zero counts and NaN descriptors."""
    at, sizes = gather(features.bit_starts, rows)
    counts = np.zeros((len(rows), BITS), np.float32)
    counts[np.repeat(np.arange(len(rows)), sizes), features.bits[at]] = features.counts[at]
    return FingerprintBatch(
        size=len(rows),
        ok=features.ok[rows] == 1,
        counts=counts,
        descriptors=np.ascontiguousarray(features.descriptors[rows]),
    )

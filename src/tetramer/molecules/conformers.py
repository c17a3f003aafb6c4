"""Molecule → places of its atoms in space: those that were given, or conformers made by distance geometry.

What is made is a function of the canonical SMILES alone: its atom order, a seed that is its hash, and limits that count
work and not time. Where RDKit fails it is asked again more simply, then the molecule is drawn flat, and every row says
which of these it was. Behind the limits stand clocks, for a processor that is much slower than ours or far too busy;
only what they cut off may differ between two runs.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from time import thread_time
from typing import Any

import numpy as np
import rdkit
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor, rdDistGeom, rdMolAlign
from rdkit.Chem import rdForceFieldHelpers as fields

from tetramer.molecules.geometry import atoms_of, bonds_of, distances, hydrogens_of, numbers_of
from tetramer.molecules.overlay import keeps_stereo
from tetramer.molecules.parse import FAILURES, Molecule

NOTES = ("", "CONF_2D", "CONF_NONE", "GIVEN")  # made, drawn flat, none, or as it came

MAKER = f"RDKit {rdkit.__version__}"  # another version may make other conformers

LARGEST = 250  # heavy atoms; a larger molecule has no geometry
DUPLICATE = 0.1  # Å RMSD of the heavy atoms below which two conformers are one
ALIGNMENTS = 50_000  # at most, to find those
APART = 3.0  # Å between the molecules of a salt or a mixture
CLASH = 0.2  # Å between two atoms: no geometry

# Work in seconds of a quiet core, by formulas that were fitted to times measured on one machine: they limit how often
# RDKit may try, alike on every machine.
EACH, PER_CUBE = 5e-4, 2e-7  # s of one try to embed N atoms: EACH + PER_CUBE · N³
PER_SQUARE = 5.6e-8  # s of one step of relaxation: PER_SQUARE · N²
RUNG = 0.8  # s for the tries of one rung
ONE = 2.0  # s that a single try of the first or the last rung may take: up to 215 and 248 atoms
MAKING, RELAXING = 3.0, 1.5  # s for one molecule
STEPS = 500  # of relaxation at most; one molecule in fifty needs more
PATIENCE = 6.0  # s of the processor, after which nothing more is begun
TIMEOUT = 9  # s by the clock for one attempt; a worker that shows no sign of life for 10 s is ended
EARLY = int(rdDistGeom.EmbedFailureCauses.INITIAL_COORDS)  # a failure that costs next to nothing


@dataclass(frozen=True)
class Geometries:
    """K geometries of one molecule with N atoms, in the order of `Molecule.mol` and then the hydrogens added to it."""

    numbers: np.ndarray  # (N,) uint8 atomic numbers
    charges: np.ndarray  # (N,) int8 formal charges
    positions: np.ndarray  # (K, N, 3) float64, Å; K = 0 where no geometry could be made
    energies: np.ndarray  # (K,) float64, kcal/mol above the lowest, ascending; NaN: not known
    note: str = ""  # one of NOTES


@dataclass(frozen=True)
class Rung:
    """One way of asking for an embedding."""

    random: bool  # begin from random coordinates, not from those of the distance matrix
    knowledge: bool  # torsions and flatness as crystals have them; without, distances alone
    cost: float  # in tries of the first rung
    one: float  # s that a single try may take where RUNG does not suffice for it


RUNGS = (Rung(False, True, 1.0, ONE), Rung(True, True, 1.0, RUNG), Rung(True, False, 0.65, ONE))


def generate(molecule: Molecule, count: int, optimise: bool, alive: Callable[[], None] = lambda: None) -> Geometries:
    """All given geometry, or at most `count` conformers of the molecule: fewer where some are alike, or it is large.

    ETKDGv3 (Wang et al. 2020, doi:10.1021/acs.jcim.0c00025), relaxed with MMFF94s, or UFF where it lacks parameters;
    energies are those of the same force field. CONF_2D is a flat drawing, CONF_NONE nothing. `alive` is called between
    one attempt and the next.
    """
    with rdBase.BlockLogs():
        if molecule.geometry is not None:
            unknown = np.full(len(molecule.geometry), np.nan)
            return geometries(Chem.AddHs(molecule.mol), molecule.geometry, unknown, "GIVEN")
        if molecule.mol.GetNumHeavyAtoms() > LARGEST:
            return geometries(molecule.mol, np.empty((0, molecule.mol.GetNumAtoms(), 3)), np.empty(0), "CONF_NONE")
        mol = rebuilt(molecule)
        try:
            embed(mol, count, seed_of(molecule.smiles), alive)
            alive()
            positions, energies = distinct(mol, *relaxed(mol, optimise))
        except FAILURES:  # of RDKit's algorithms, on structures nobody has foreseen
            positions, energies = np.empty((0, mol.GetNumAtoms(), 3)), np.empty(0)
        if len(positions):
            return geometries(mol, positions, energies)
        drawn = drawing(mol)
        return geometries(mol, drawn, np.full(len(drawn), np.nan), "CONF_2D" if len(drawn) else "CONF_NONE")


def geometries(mol: Chem.Mol, positions: np.ndarray, energies: np.ndarray, note: str = "") -> Geometries:
    """Geometries of a Mol with all its hydrogens."""
    charges = np.array([atom.GetFormalCharge() for atom in atoms_of(mol)], np.int8)
    return Geometries(numbers_of(mol), charges, positions, energies, note)


def rebuilt(molecule: Molecule) -> Chem.Mol:
    """The molecule with all its hydrogens, made from its canonical SMILES alone.

    Its Mol has the same atoms in the same order, but its bonds lie as the input wrote them, and embedding sees that.
    """
    return Chem.AddHs(of_smiles(molecule) or molecule.mol)


def of_smiles(molecule: Molecule) -> Chem.Mol | None:
    """The Mol of the canonical SMILES if its atoms are those of the molecule, in the same order."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(molecule.smiles)
    return mol if mol is not None and same_graph(mol, molecule.mol) else None


def same_graph(one: Chem.Mol, other: Chem.Mol) -> bool:
    """Whether two Mols have equal atoms in equal order, joined in the same way, with as many hydrogens."""
    if one.GetNumAtoms() != other.GetNumAtoms() or one.GetNumBonds() != other.GetNumBonds():
        return False
    for told in (numbers_of, hydrogens_of):
        if not np.array_equal(told(one), told(other)):
            return False
    pairs = [sorted(map(sorted, bonds_of(mol).tolist())) for mol in (one, other)]
    return pairs[0] == pairs[1]


def seed_of(smiles: str) -> int:
    """A seed of 1 … 2³¹ - 1 that is a hash of the SMILES; RDKit takes 0 and below for other things."""
    return (int.from_bytes(hashlib.sha256(smiles.encode()).digest()[:4], "big") & 0x7FFFFFFF) or 1


def embed(mol: Chem.Mol, count: int, seed: int, alive: Callable[[], None]) -> None:
    """Put at most `count` conformers into a Mol: of the first rung that gives one, as many as the work allows.

    Each has its own seed, so that the first of many is the one that is made alone.
    """
    until = thread_time() + PATIENCE
    step = sum(EACH + PER_CUBE * len(part) ** 3 for part in Chem.GetMolFrags(mol))
    left = MAKING
    for rung in RUNGS:
        while left > 0 and thread_time() < until:
            alive()
            left -= attempt(mol, rung, seed, step)
            seed = seed % 0x7FFFFFFF + 1
            if not 0 < mol.GetNumConformers() < count or left < step * rung.cost:
                break
        if mol.GetNumConformers():
            return


def attempt(mol: Chem.Mol, rung: Rung, seed: int, step: float) -> float:
    """Ask for one conformer more; the seconds of work that this took by our count, `step` being one try."""
    cost = step * rung.cost
    tries = int(RUNG / cost) or int(cost <= rung.one)
    if not tries:
        return 0.0
    asked: Any = rdDistGeom.ETKDGv3()  # the stubs have the types of its fields wrong
    asked.randomSeed, asked.clearConfs, asked.trackFailures = seed, False, True
    asked.maxIterations = min(tries, 10 * mol.GetNumAtoms())
    asked.timeout = TIMEOUT
    asked.useRandomCoords = rung.random
    if not rung.knowledge:
        asked.useExpTorsionAnglePrefs = asked.useBasicKnowledge = asked.useMacrocycleTorsions = False
        asked.ignoreSmoothingFailures = True
    rdDistGeom.EmbedMultipleConfs(mol, 1, asked)
    failures = list(asked.GetFailureCounts())
    return float(cost * (1 + sum(failures) - 0.95 * failures[EARLY]))


def relaxed(mol: Chem.Mol, optimise: bool) -> tuple[np.ndarray, np.ndarray]:
    """(K, N, 3) places and (K,) energies of a Mol's conformers, sorted by energy; those that are no geometry left out.

    Energies are of the force field as they are; NaN where neither has parameters, and then nothing is relaxed.
    """
    before = places(mol)
    steps = int(min(STEPS, RELAXING / max(1e-9, PER_SQUARE * before.size * mol.GetNumAtoms() / 3))) * optimise
    energies = np.full(len(before), np.nan)
    if not len(before):
        return before, energies
    told = []
    if fields.MMFFHasAllMoleculeParams(mol):
        told = fields.MMFFOptimizeMoleculeConfs(mol, maxIters=steps, mmffVariant="MMFF94s")
    elif fields.UFFHasAllMoleculeParams(mol):
        told = fields.UFFOptimizeMoleculeConfs(mol, maxIters=steps)
    if told:
        energies = np.array([energy if state >= 0 else np.nan for state, energy in told])
    after = spread(mol, places(mol))
    good = np.array([sound(mol, one) for one in after], bool)
    if not good.any():  # relaxation took it apart: what was embedded is still right
        after, energies = spread(mol, before), np.full(len(before), np.nan)
        good = np.array([sound(mol, one) for one in after], bool)
    rank = np.flatnonzero(good)[np.argsort(energies[good], kind="stable")]  # NaN comes last
    return after[rank], energies[rank]


def places(mol: Chem.Mol) -> np.ndarray:
    """(K, N, 3) of all conformers."""
    all_of_them = [np.array(conformer.GetPositions()).reshape(-1, 3) for conformer in mol.GetConformers()]
    return np.stack(all_of_them) if all_of_them else np.empty((0, mol.GetNumAtoms(), 3))


def spread(mol: Chem.Mol, positions: np.ndarray) -> np.ndarray:
    """(K, N, 3): the parts of a salt or a mixture side by side along x; RDKit puts them all in one place."""
    parts, out, edge = Chem.GetMolFrags(mol), positions.copy(), np.zeros(len(positions))
    for part in parts if len(parts) > 1 else ():
        at = positions[:, part] - positions[:, part].mean(1, keepdims=True)
        at[:, :, 0] += (edge - at[:, :, 0].min(1))[:, None]
        out[:, part] = at
        edge = at[:, :, 0].max(1) + APART
    return out


def sound(mol: Chem.Mol, positions: np.ndarray) -> bool:
    """Whether places (N, 3) are a geometry of the Mol: finite, no two atoms in one place, stereo as it says."""
    if not np.isfinite(positions).all():
        return False
    away = distances(positions)
    np.fill_diagonal(away, np.inf)
    return bool(away.min(initial=np.inf) > CLASH) and keeps_stereo(mol, positions)


def distinct(mol: Chem.Mol, positions: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without conformers that are as another of lower energy but for hydrogens; energies above the lowest.

    RMSD is over the heavy atoms of each part of a mixture, the best over symmetry, of which large groups are searched
    only in part.
    """
    above = energies - energies[:1]
    if len(positions) < 2:
        return positions, above
    mol.RemoveAllConformers()
    for one in positions:
        conformer = Chem.Conformer(len(one))
        conformer.SetPositions(np.ascontiguousarray(one))
        mol.AddConformer(conformer, assignId=True)
    lower = np.tril_indices(len(positions), -1)
    away = np.zeros((len(positions), len(positions)))
    for part in Chem.GetMolFrags(Chem.RemoveAllHs(mol, sanitize=False), asMols=True, sanitizeFrags=False):
        told = rdMolAlign.GetAllConformerBestRMS(part, maxMatches=max(1, ALIGNMENTS // len(lower[0])))
        away[lower] = np.maximum(away[lower], told)
    kept: list[int] = []
    for one in range(len(positions)):
        if (away[one, kept] >= DUPLICATE).all():
            kept.append(one)
    return positions[kept], above[kept]


def drawing(mol: Chem.Mol) -> np.ndarray:
    """(1, N, 3) with z = 0, or (0, N, 3) where RDKit draws nothing, or two atoms in one place."""
    try:
        rdDepictor.Compute2DCoords(mol, clearConfs=True)
    except FAILURES:
        return np.empty((0, mol.GetNumAtoms(), 3))
    flat = places(mol)
    away = distances(flat[0])
    np.fill_diagonal(away, np.inf)
    return flat if np.isfinite(flat).all() and away.min(initial=np.inf) > CLASH else flat[:0]

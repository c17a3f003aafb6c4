"""Molecules that are made of the motifs of another one and put together in another way: hard to tell from it."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any
from zlib import crc32

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tetramer.molecules.motifs import partition
from tetramer.molecules.parse import FAILURES, Molecule, parse
from tetramer.molecules.pool import Limits, answers
from tetramer.molecules.worker import BETWEEN, serve

CHUNK = 64  # molecules in one request
SINGLE = 1  # as RDKit numbers bonds
TRIES = 4  # ways that are tried for each molecule that is wanted

Bond = tuple[int, int]
Change = tuple[tuple[Bond, ...], tuple[Bond, ...]]  # bonds to take away, and to put in


def decoys(molecule: Molecule, count: int, rng: np.random.Generator) -> list[str]:
    """Canonical SMILES of up to `count` different isomers: a motif sits on another atom, or two have changed places.

    Each keeps the formula and the bonds within motifs. A molecule of one motif has none.
    """
    ways = [*moved(molecule), *exchanged(molecule)]
    formula, found = CalcMolFormula(molecule.mol), dict.fromkeys([molecule.smiles])
    for place in rng.permutation(len(ways))[: TRIES * count].tolist():
        if len(found) > count:
            break
        smiles = changed(molecule.mol, ways[place], formula)
        if smiles:
            found.setdefault(smiles)
    return list(found)[1:]


def moved(molecule: Molecule) -> Iterator[Change]:
    """One end of a cut sits on another atom of the same motif that has a hydrogen to give."""
    told = partition(molecule)
    free = np.array([atom.GetTotalNumHs() > 0 for atom in molecule.mol.GetAtoms()])
    for pair, kind in zip(told.cuts.tolist(), told.bonds.tolist(), strict=True):
        for stays, goes in (pair, pair[::-1]):
            for other in np.flatnonzero(free & (told.motif == told.motif[goes])).tolist():
                if kind == SINGLE and other != goes:
                    yield ((stays, goes),), ((stays, other),)


def exchanged(molecule: Molecule) -> Iterator[Change]:
    """Two motifs that are joined to the rest by one cut each have changed places."""
    told = partition(molecule)
    ends = np.bincount(told.motif[told.cuts].reshape(-1), minlength=len(told.kinds))
    tips = []
    for pair, kind in zip(told.cuts.tolist(), told.bonds.tolist(), strict=True):
        for root, tip in (pair, pair[::-1]):
            if kind == SINGLE and ends[told.motif[tip]] == 1:
                tips.append((root, tip))
    for (root, tip), (other_root, other_tip) in combinations(tips, 2):
        if root not in (other_root, other_tip) and tip != other_root:
            yield ((root, tip), (other_root, other_tip)), ((root, other_tip), (other_root, tip))


def changed(mol: Chem.Mol, change: Change, formula: str) -> str:
    """The canonical SMILES after a change of single bonds; "" if that is no molecule of the same formula."""
    new = Chem.RWMol(mol)
    for pair in change[0]:
        new.RemoveBond(*pair)
    for pair in change[1]:
        new.AddBond(*pair, Chem.BondType.SINGLE)
    places = {place for pairs in change for pair in pairs for place in pair}
    for place in places:
        more = sum(pair.count(place) for pair in change[0]) - sum(pair.count(place) for pair in change[1])
        atom = new.GetAtomWithIdx(place)
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        if atom.GetNoImplicit() or (atom.GetIsAromatic() and atom.GetAtomicNum() != 6):  # hydrogens that are written
            atom.SetNumExplicitHs(max(0, atom.GetNumExplicitHs() + more))
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(new)
            Chem.AssignStereochemistry(new, cleanIt=True, force=True)
            return str(Chem.MolToSmiles(new)) if CalcMolFormula(new) == formula else ""
    except FAILURES:
        return ""


def job(texts: list[str], options: dict[str, Any], tick: Callable[[int], None]) -> bytes:
    """The worker's work: decoys of each text, as JSON; which they are depends on the text alone."""
    found = []
    for place, text in enumerate(texts):
        tick(place)
        molecule = parse(text)
        rng = np.random.Generator(np.random.Philox(crc32(text.encode())))
        found.append(decoys(molecule, options["count"], rng) if isinstance(molecule, Molecule) else [])
    tick(BETWEEN)
    return json.dumps(found).encode()


def decoys_of(
    smiles: Sequence[str], count: int, limits: Limits, progress: Callable[[int], None] = lambda done: None
) -> list[list[str]]:
    """`decoys` of every SMILES, in order; none where it cannot be read or took too long. `progress`: how many are done.

    One core makes two of each of about 350 molecules a second.
    """
    found: list[list[str]] = []
    for answer, _ in answers("tetramer.molecules.decoys", job, smiles, CHUNK, {"count": count}, limits):
        found += json.loads(answer)
        progress(len(found))
    return found


if __name__ == "__main__":
    rdBase.DisableLog("rdApp.*")
    serve(job)

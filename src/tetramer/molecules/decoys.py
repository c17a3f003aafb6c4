"""Molecules that are made of the motifs of another one and put together in another way: hard to tell from it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tetramer.molecules.motifs import READING, Partition, partition
from tetramer.molecules.parse import FAILURES, Molecule, parse
from tetramer.molecules.pool import Limits, answers
from tetramer.molecules.worker import BETWEEN, serve

CHUNK = 64  # molecules in one request
SINGLE = 1  # as RDKit numbers bonds
TRIES = 4  # ways that are tried for each molecule that is wanted
KNOWN = 500  # the most frequent motifs of a corpus, among which isomers of each other are looked for

Bond = tuple[int, int]
Way = TypeVar("Way")
Change = tuple[tuple[Bond, ...], tuple[Bond, ...]]  # bonds to take away, and to put in
Isomers = Mapping[str, Sequence[str]]  # SMILES of a motif → of others of the same formula, with as many cuts


def decoys(molecule: Molecule, count: int, rng: np.random.Generator) -> list[str]:
    """Canonical SMILES of up to `count` different isomers: a motif sits on another atom, or two have changed places.

    Each keeps the formula and the bonds within motifs. A molecule of one motif has none.
    """
    ways = [*moved(molecule), *exchanged(molecule)]
    return different(molecule, ways, lambda way, formula: changed(molecule.mol, way, formula), count, rng)


def swapped(molecule: Molecule, count: int, rng: np.random.Generator, isomers: Isomers) -> list[str]:
    """Canonical SMILES of up to `count` different isomers in which one motif is another one of the same formula."""
    if not count or not isomers:
        return []
    told = partition(molecule)
    ways = [
        (number, other, turn)
        for number, kind in enumerate(told.kinds)
        for other in isomers.get(kind.token, ())
        for turn in range(kind.token.count("*"))
    ]
    return different(molecule, ways, lambda way, formula: put_in(molecule.mol, told, *way, formula), count, rng)


def different(
    molecule: Molecule, ways: Sequence[Way], make: Callable[[Way, str], str], count: int, rng: np.random.Generator
) -> list[str]:
    """What up to `count` of the ways make, each once and not the molecule itself; some ways make nothing, ""."""
    formula, found = CalcMolFormula(molecule.mol), dict.fromkeys([molecule.smiles])
    for place in rng.permutation(len(ways))[: TRIES * count].tolist():
        if len(found) > count:
            break
        smiles = make(ways[place], formula)
        if smiles:
            found.setdefault(smiles)
    return list(found)[1:]


def isomeric(tokens: Iterable[str]) -> dict[str, list[str]]:
    """Of the most frequent motifs, given by occurrence, those that have others of the same formula and as many cuts."""
    counts = Counter(tokens)
    often = sorted(counts, key=lambda token: (-counts[token], token))[:KNOWN]
    formula = {token: CalcMolFormula(Chem.MolFromSmiles(token, READING)) for token in often if "*" in token}
    told = {one: [other for other in formula if other != one and formula[other] == formula[one]] for one in formula}
    return {token: others for token, others in told.items() if others}


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
    return finished(new, formula)


def put_in(mol: Chem.Mol, told: Partition, number: int, other: str, turn: int, formula: str) -> str:
    """The canonical SMILES with `other` in place of motif `number`, its ends turned by `turn`; "" as of `changed`."""
    ends = told.motif[told.cuts] == number  # (C, 2)
    new = Chem.RWMol(Chem.CombineMols(mol, Chem.MolFromSmiles(other, READING)))
    dummies = [atom for atom in list(new.GetAtoms())[len(told.motif) :] if not atom.GetAtomicNum()]
    dummies = [atom for atom in dummies if not atom.GetAtomMapNum()]
    if (told.bonds[ends.any(1)] != SINGLE).any() or len(dummies) != ends.sum():
        return ""
    outside = told.cuts[ends[:, ::-1]].tolist()  # the atoms that are joined to the motif
    for place, dummy in zip(outside, dummies[turn:] + dummies[:turn], strict=True):
        new.GetAtomWithIdx(place).SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        (bond,) = dummy.GetBonds()
        if bond.GetBondType() != Chem.BondType.SINGLE:
            return ""
        new.AddBond(place, bond.GetOtherAtomIdx(dummy.GetIdx()), Chem.BondType.SINGLE)
    gone = [*np.flatnonzero(told.motif == number).tolist(), *(dummy.GetIdx() for dummy in dummies)]
    new.BeginBatchEdit()
    for place in gone:
        new.RemoveAtom(place)
    new.CommitBatchEdit()
    return finished(new, formula)


def finished(new: Chem.RWMol, formula: str) -> str:
    """The canonical SMILES of a new molecule; "" if it is none, or of another formula."""
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(new)
            Chem.AssignStereochemistry(new, cleanIt=True, force=True)
            return str(Chem.MolToSmiles(new)) if CalcMolFormula(new) == formula else ""
    except FAILURES:
        return ""


def job(texts: list[str], options: dict[str, Any], tick: Callable[[int], None]) -> bytes:
    """The worker's work: decoys of each text, as JSON; which they are depends on the text and the options."""
    found: list[list[str]] = []
    for place, text in enumerate(texts):
        tick(place)
        molecule = parse(text)
        rng = np.random.Generator(np.random.Philox(crc32(text.encode())))
        if not isinstance(molecule, Molecule):
            found.append([])
            continue
        some = decoys(molecule, options["count"], rng)
        found.append(some + swapped(molecule, options["swaps"], rng, options["isomers"]))
    tick(BETWEEN)
    return json.dumps(found).encode()


def decoys_of(
    smiles: Sequence[str],
    count: int,
    limits: Limits,
    progress: Callable[[int], None] = lambda done: None,
    swaps: int = 0,
    isomers: Isomers | None = None,
) -> list[list[str]]:
    """`decoys` of every SMILES, then up to `swaps` that are `swapped`, in order; none where it cannot be read in time.

    `progress` hears how many are done. One core makes two decoys of each of about 350 molecules a second.
    """
    found: list[list[str]] = []
    options = {"count": count, "swaps": swaps, "isomers": isomers or {}}
    for answer, _ in answers("tetramer.molecules.decoys", job, smiles, CHUNK, options, limits):
        found += json.loads(answer)
        progress(len(found))
    return found


if __name__ == "__main__":
    rdBase.DisableLog("rdApp.*")
    serve(job)

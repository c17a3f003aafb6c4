"""Motifs of four corpora: how many molecules a second, and how much of what was not learned on a vocabulary knows.

    python benchmarks/motifs.py [--rows 10000]
    python benchmarks/motifs.py --check [--rows N] [--workers N]

Rows are drawn at random (seed 0). A vocabulary is learned on nine tenths of them, and asked for the motifs of the
last tenth. Seconds are those of the processor, in this process, each motif described when it is first met.

With --check whole files are cut [--rows: the first N of each], and it is counted of how many molecules it is not true

- that every atom lies in exactly one motif (`atoms`), and that each motif hangs together (`connected`),
- that every bond that is cut is a bridge, without which its molecule has one part more (`bridges`),
- that the same motifs come out, of the same atoms, where the atoms are numbered at random (`order`).

Counts go to results/benchmarks/motifs-check.json; those of a corpus that is there are kept.
"""

import argparse
import json
import multiprocessing
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import rdkit
from rdkit import Chem, rdBase
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from tetramer.datasets import sources
from tetramer.datasets.tables import structures
from tetramer.molecules import Molecule, parse
from tetramer.molecules.motifs import Partition, described, partition
from tetramer.molecules.vocabulary import learn

CORPORA = ("zinc250k", "chembl-78k", "pubchem-100k", "zinc-natural-products")
FAULTS = ("atoms", "connected", "bridges", "order")
PART = 1_000  # molecules at a time


def measured(name: str, rows: int) -> dict[str, object]:
    """One corpus."""
    table = sources.load(name)
    texts = structures(table)
    random.Random(0).shuffle(texts)
    described.cache_clear()
    start = process_time()
    molecules = [one for one in map(parse, texts[:rows]) if isinstance(one, Molecule)]
    reading = process_time() - start
    told = [partition(molecule).kinds for molecule in molecules]
    both = process_time() - start
    cut = len(told) * 9 // 10
    vocabulary = learn(told[:cut], least=2)
    found = vocabulary.coverage(told[cut:])
    return {
        "corpus": name,
        "molecules": len(molecules),
        "motifs a molecule": round(sum(map(len, told)) / len(told), 2),
        "molecules a second": round(len(molecules) / (both - reading)),
        "molecules a second, reading too": round(len(molecules) / both),
        "vocabulary": len(vocabulary.motifs),
        "classes of rings": len(vocabulary.rings),
        "held-out motifs": found.motifs,
        "unseen": round(found.unseen / found.motifs, 4),
        "known by the class of a ring": round(found.classed / found.motifs, 4),
        "unknown": round(found.unknown / found.motifs, 5),
    }


def faults(molecule: Molecule, rng: np.random.Generator) -> list[str]:
    """What is not true of the motifs of one molecule: names as in FAULTS."""
    told, mol, size = partition(molecule), molecule.mol, molecule.mol.GetNumAtoms()
    inside = [atom for atoms in told.written for atom in atoms if atom < size]
    edges = [tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))) for bond in mol.GetBonds()]
    gone = {tuple(pair) for pair in told.cuts.tolist()}
    before, after = parts(size, edges), parts(size, [edge for edge in edges if edge not in gone])
    order = rng.permutation(size)  # atom i of the other is atom order[i] of the molecule
    other = partition(replace(molecule, mol=Chem.RenumberAtoms(mol, order.tolist())))
    right = {
        "atoms": sorted(inside) == list(range(size)) and set(told.motif.tolist()) == set(range(len(told.kinds))),
        "connected": groups(after, np.arange(size)) == groups(told.motif, np.arange(size)),
        "bridges": gone <= set(edges) and int(after.max()) - int(before.max()) == len(gone),
        "order": named(told, np.arange(size)) == named(other, order),
    }
    return [name for name in FAULTS if not right[name]]


def parts(size: int, edges: list[tuple[int, ...]]) -> np.ndarray:
    """(n,) number of the connected part of each of n atoms."""
    ends = np.array(edges, int).reshape(-1, 2)
    return connected_components(csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (size, size)), False)[1]


def groups(label: np.ndarray, atoms: np.ndarray) -> set[frozenset[int]]:
    """The atoms that have one label, for each label."""
    return {frozenset(atoms[label == one].tolist()) for one in np.unique(label)}


def named(told: Partition, atoms: np.ndarray) -> set[tuple[frozenset[int], str]]:
    """The atoms and the SMILES of each motif."""
    return {(frozenset(atoms[told.motif == place].tolist()), kind.token) for place, kind in enumerate(told.kinds)}


def checked(work: tuple[int, list[str]]) -> Counter[str]:
    """Molecules, motifs and faults of some texts, and texts that cannot be read."""
    seed, texts = work
    rng, found = np.random.default_rng(seed), Counter[str]()
    with rdBase.BlockLogs():
        for molecule in map(parse, texts):
            if isinstance(molecule, Molecule):
                found.update({"molecules": 1, "motifs": len(partition(molecule).kinds)})
                found.update(faults(molecule, rng))
            else:
                found["unreadable"] += 1
    return found


def check(rows: int | None, workers: int, path: Path) -> None:
    """Check whole files, and write the counts of each as soon as it is done."""
    held = json.loads(path.read_text()) if path.is_file() else {}
    for name in CORPORA:
        texts = structures(sources.load(name))[:rows]
        known = {"rows": len(texts), "rdkit": rdkit.__version__}
        if {key: held.get(name, {}).get(key) for key in known} == known:
            continue
        work = [(place, texts[place : place + PART]) for place in range(0, len(texts), PART)]
        found = Counter(dict.fromkeys(("molecules", "unreadable", "motifs", *FAULTS), 0))
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for told in pool.imap_unordered(checked, work):
                found.update(told)
        held[name] = known | found
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(held, indent=1) + "\n")
        print(json.dumps({"corpus": name} | held[name]), flush=True)


def main() -> None:
    """Measure or check, and print one line a corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "results" / "benchmarks")
    asked = parser.parse_args()
    if asked.check:
        check(asked.rows, asked.workers, asked.output / "motifs-check.json")
        return
    for name in CORPORA:
        print(json.dumps(measured(name, asked.rows or 10_000)), flush=True)


if __name__ == "__main__":
    main()

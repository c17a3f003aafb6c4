"""Motifs of four corpora: how many molecules a second, and how much of what was not learned on a vocabulary knows.

    python benchmarks/motifs.py [--rows 10000]

Rows are drawn at random (seed 0). A vocabulary is learned on nine tenths of them, and asked for the motifs of the
last tenth. Seconds are those of the processor, in this process, each motif described when it is first met.
"""

import argparse
import json
import random
from time import process_time

from tetramer.datasets import sources
from tetramer.datasets.tables import structures
from tetramer.molecules import Molecule, parse
from tetramer.molecules.motifs import described, partition
from tetramer.molecules.vocabulary import learn

CORPORA = ("zinc250k", "chembl-78k", "pubchem-100k", "zinc-natural-products")


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


def main() -> None:
    """Measure, and print one line a corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    rows = parser.parse_args().rows
    for name in CORPORA:
        print(json.dumps(measured(name, rows)), flush=True)


if __name__ == "__main__":
    main()

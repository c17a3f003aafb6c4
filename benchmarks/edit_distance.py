"""Graph edit distance of MolR's 10,000 pairs of QM9 molecules: rows that need no learned vector, or an encoder's.

    python benchmarks/edit_distance.py [--model NAME=ENCODER] [--seed 0] [--output results/molr]

Ten splits of the pairs and ten of the molecules, RMSE as mean ± sd over the ten. The protocol for vectors is the row
`svr`: scikit-learn's default SVR on the signed difference. What a model's vectors are judged against is `boosted` on
counts of atoms, bonds and rings. With --model (an encoder of `tetramer pretrain`) the row is the protocol on its
vectors.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path
from time import process_time

from tetramer import Embedder
from tetramer.benchmark.edit_distance import HEADS, RULES, edit_pairs, errors
from tetramer.benchmark.row import machine
from tetramer.modelling import versions
from tetramer.molecules import Limits

SEED = 0


def main() -> None:
    """Measure, and print one line a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder for the rows as JSON")
    parser.add_argument("--model", help="NAME=DIR")
    parser.add_argument("--seed", type=int, default=SEED, help="of the model, for the name of its row")
    asked = parser.parse_args()
    output, pairs = asked.output, edit_pairs(limits=Limits(0))
    what, vectors, heads, words = "counts", pairs.counts, HEADS, sys.argv
    if asked.model:
        what, _, folder = asked.model.partition("=")
        vectors = Embedder(folder, workers=0).fit(pairs.smiles).transform(pairs.smiles)
        heads, words = {"svr": HEADS["svr"]}, [word.replace(folder, Path(folder).name) for word in sys.argv]
    for rule, make in RULES.items():
        splits = make(pairs, SEED)
        for head, fit in heads.items():
            began = process_time()
            told = errors(vectors, pairs, splits, fit, SEED)
            row = {
                "study": "edit-distance",
                "row": f"{what}-{head}-by-{rule}",
                "seed": asked.seed,
                "data": "qm9-ged",
                "pairs": len(pairs.distance),
                "molecules": len(pairs.smiles),
                "numbers": vectors.shape[1],
                "splits_sha256": [split.sha256 for split in splits],
                "sizes": [split.sizes for split in splits],
                "rmse": told.tolist(),
                "rmse_mean": float(told.mean()),
                "rmse_sd": float(told.std(ddof=1)),
                "cpu_seconds": round(process_time() - began, 1),
                "machine": machine(),
                "versions": versions(),
                "command": shlex.join(["python", *words]),
            }
            print(f"{row['row']:<32}{told.mean():.3f} ± {told.std(ddof=1):.3f}", flush=True)
            if output:
                output.mkdir(parents=True, exist_ok=True)
                (output / f"edit-distance-{row['row']}-{asked.seed}.json").write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()

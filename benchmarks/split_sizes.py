"""Sizes, SHA-256 and leaks of the splits of the benchmark's data sets, without fitting anything.

    python benchmarks/split_sizes.py [DATA ...]

Ten class-B splits and the four published forms of class D of each set, to results/splits/DATA.json, and what the notes
beside the rows of results/benchmark lack. A test part's leak: molecules, skeletons (first block of the InChIKey) and
scaffolds that also stand in train or valid.
"""

import json
import sys
import tempfile
from pathlib import Path

from tetramer.benchmark import rules
from tetramer.benchmark.cases import case_of

RESULTS = Path(__file__).parent.parent / "results"
OUT = RESULTS / "splits"
SETS = ("chembl2321810", "esol", "freesolv", "lipophilicity", "bace", "bbbp", "tox21", "sider", "clintox", "toxcast")
SETS += ("hiv:10000", "qm8")
FIXED = ("D-ours-nochiral", "D-ours-chiral", "D-deepchem-nochiral", "D-deepchem-chiral")


def main() -> None:
    """Every set that is named, or all."""
    for name in sys.argv[1:] or SETS:
        with tempfile.TemporaryDirectory() as folder:
            case = case_of(name, Path(folder), views=("graph",))
        path = OUT / f"{case.name}.json"
        for rule in ("scaffold-balanced", *FIXED):
            rules.note(case, rule, 10, path)
        beside = RESULTS / "benchmark" / case.name / "splits.json"
        for rule, one in json.loads(beside.read_text()).items():
            rules.note(case, rule, len(one["splits"]), beside)
        told = {rule: one["splits"][0] for rule, one in json.loads(path.read_text()).items()}
        print(case.name, int(case.known.sum()), {rule: (one["sizes"], one["leak"]) for rule, one in told.items()})


if __name__ == "__main__":
    main()

"""Sizes, SHA-256, leaks and rows of the splits of the benchmark's data sets, without fitting anything.

    python benchmarks/split_sizes.py [DATA ...]

Ten class-B splits and the four published forms of class D of each set: sizes, hashes and leaks to
results/splits/DATA.json, and what the notes beside the rows of results/benchmark lack; the rows of each part to
results/splits/DATA.txt.gz. A test part's leak: molecules, skeletons (first block of the InChIKey) and scaffolds that
also stand in train or valid.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tetramer.benchmark import rules
from tetramer.benchmark.cases import case_of
from tetramer.datasets import splits
from tetramer.datasets.index_files import ENDING, IndexFile, save_index
from tetramer.molecules import keys

RESULTS = Path(__file__).parent.parent / "results"
OUT = RESULTS / "splits"
SETS = ("chembl2321810", "esol", "freesolv", "lipophilicity", "bace", "bbbp", "tox21", "sider", "clintox", "toxcast")
SETS += ("hiv:10000", "qm8")
FIXED = ("D-ours-nochiral", "D-ours-chiral", "D-deepchem-nochiral", "D-deepchem-chiral")
SPLITS = (*(("scaffold-balanced", seed) for seed in range(10)), *((rule, 0) for rule in FIXED))


def remembered(of: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """`of`, but a text is worked on once: the splits of a set ask for the same scaffolds and keys again and again."""
    known: dict[tuple[Any, ...], str] = {}

    def answer(texts: Sequence[str], *more: Any) -> list[str]:
        kind = more[:1]
        new = [text for text in dict.fromkeys(texts) if (text, *kind) not in known]
        if new:
            known.update(zip(((text, *kind) for text in new), of(new, *more), strict=True))
        return [known[text, *kind] for text in texts]

    return answer


def main() -> None:
    """Every set that is named, or all."""
    splits.scaffolds = remembered(splits.scaffolds)
    keys.keys = rules.keys = remembered(keys.keys)
    for name in sys.argv[1:] or SETS:
        with tempfile.TemporaryDirectory() as folder:
            case = case_of(name, Path(folder), views=("graph",))
        path = OUT / f"{case.name}.json"
        for rule in ("scaffold-balanced", *FIXED):
            rules.note(case, rule, 10, path)
        beside = RESULTS / "benchmark" / case.name / "splits.json"
        for rule, one in json.loads(beside.read_text()).items():
            rules.note(case, rule, len(one["splits"]), beside)
        made = {(rule, seed): rules.make(case, rule, seed) for rule, seed in SPLITS}
        save_index(OUT / f"{case.name}{ENDING}", IndexFile(case.name, case.sha256, len(case.reading), made))
        told = {rule: one["splits"][0] for rule, one in json.loads(path.read_text()).items()}
        print(case.name, int(case.known.sum()), {rule: (one["sizes"], one["leak"]) for rule, one in told.items()})


if __name__ == "__main__":
    main()

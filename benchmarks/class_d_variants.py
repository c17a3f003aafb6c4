"""Class D is a family of splits: what the fill rule, chirality and the order among groups of equal size each change.

    python benchmarks/class_d_variants.py esol bbbp bace

Of each variant: sizes, test molecules in common with the first one, and the test score of three tree ensembles and
their mean, fitted on train + valid. Rows go to results/benchmarks/class-d-variants.json.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tetramer.benchmark import rules
from tetramer.benchmark.cases import Case, case_of
from tetramer.benchmark.methods import Given, by_member
from tetramer.benchmark.row import judged
from tetramer.datasets.partitions import SIZES, Split, fill, groups_of
from tetramer.molecules.scaffolds import scaffolds
from tetramer.recipes import TREES

OUT = Path(__file__).parent.parent / "results" / "benchmarks" / "class-d-variants.json"
RULES = ("D-ours-nochiral", "D-deepchem-nochiral", "D-ours-chiral", "D-deepchem-chiral")


def ties_ascending(case: Case) -> Split:
    """As D-ours-nochiral, but of groups of equal size the one that comes first in the table goes first."""
    rows = np.flatnonzero(case.known)
    groups = groups_of(scaffolds([case.reading.smiles[row] for row in rows.tolist()], False), rows)
    ordered = sorted(groups, key=lambda group: (-len(group), group[0]))
    return fill(ordered, len(rows), SIZES, "D-ours-nochiral, ties ascending")


def scores(case: Case, split: Split, folder: Path) -> dict[str, float | None]:
    """Test score of each ensemble and of their mean."""
    given = Given(case.without(split.test), split, 0, "train+valid", folder)
    told = {name: by_member(name).run(given).values for name in TREES}
    told["mean of the three"] = np.mean(list(told.values()), axis=0)
    return {name: judged(case, split.test, values)[case.metric].value for name, values in told.items()}


def main() -> None:
    """Measure the data sets that are named."""
    found = []
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            case = case_of(name, Path(folder))
            made = {rule: rules.make(case, rule, 0) for rule in RULES} | {"ties ascending": ties_ascending(case)}
            first = set(made[RULES[0]].test.tolist())
            for rule, split in made.items():
                row = {
                    "data": name,
                    "split": rule,
                    "sha256": split.sha256,
                    "sizes": split.sizes,
                    "test_in_common": len(first & set(split.test.tolist())),
                    "metric": case.metric,
                    "scores": scores(case, split, Path(folder) / rule.replace(" ", "-")),
                }
                print(row, flush=True)
                found.append(row)
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What a model sees of a reaction: both sides, or the product alone, asked for the number of bonds that change.

    python benchmarks/reactions.py

3,000 reactions of USPTO-15k. The answer is counted by their atom maps, which no model sees: bonds between mapped atoms
that are on one side only or of another kind there. Three random splits; rows go to results/reactions.
"""

import csv
import sys
import tempfile
from pathlib import Path

from tetramer.benchmark.comparing import measure
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.reaction_sets import part_texts
from tetramer.benchmark.row import Settings
from tetramer.molecules.reactions import Mapped, Reaction, parse_reaction

OUT = Path(__file__).parent.parent / "results" / "reactions"
ROWS, REPEATS = 3_000, 3
METHODS = ("mean", "ecfp-linear", "lightgbm", "fingerprint", "graph")


def bonds(side: tuple[Mapped, ...]) -> set[tuple[int, int, str]]:
    """Bonds of a side by the map numbers of their ends."""
    found = set()
    for one in side:
        for bond in one.molecule.mol.GetBonds():
            ends = sorted(int(one.maps[place]) for place in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            if ends[0]:
                found.add((ends[0], ends[1], str(bond.GetBondType())))
    return found


def plain(side: tuple[Mapped, ...]) -> str:
    """The SMILES of a side, without maps."""
    return ".".join(one.molecule.smiles for one in side)


def main() -> None:
    """Write both tables, measure, and print what each method makes of either."""
    told = [parse_reaction(text) for text in part_texts("uspto-15k", ["train", "valid", "test"])[:ROWS]]
    kept = [one for one in told if isinstance(one, Reaction)]
    with tempfile.TemporaryDirectory() as folder:
        for name, first in (("reactions", 0), ("products", 2)):
            path = Path(folder) / f"{name}.csv"
            rows = [
                (">".join(map(plain, one.parts[first:])), len(bonds(one.reactants) ^ bonds(one.products)))
                for one in kept
            ]
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("structure", "bonds"), *rows])
            plan = Protocol(METHODS, [str(path)], ["random"], REPEATS)
            settings = Settings(str(OUT), ("bonds",), overrides=(("graph.training.epochs", "20"),), workers=1)
            print(measure(plan, settings, None, lambda text: print(text, file=sys.stderr)))


if __name__ == "__main__":
    main()

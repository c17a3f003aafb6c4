"""What a model sees of a reaction: both sides, or the product alone, asked for the number of bonds that change.

    python benchmarks/reactions.py

2,000 reactions of the valid part of USPTO-MIT. The answer is counted by their atom maps, which no model sees: bonds of
atoms of the product that are on one side only, or of another kind there. Three random splits; rows go to
results/reactions.
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
ROWS, REPEATS = 2_000, 3
METHODS = ("mean", "ecfp-linear", "lightgbm", "fingerprint", "graph")


def changes(reaction: Reaction) -> int:
    """How many bonds of atoms of the products are made, broken, or of another kind than before."""
    stay = {int(number) for one in reaction.products for number in one.maps}
    return len(bonds(reaction.reactants, stay) ^ bonds(reaction.products, stay))


def bonds(side: tuple[Mapped, ...], stay: set[int]) -> set[tuple[int, int, str]]:
    """Bonds of a side that have an end in `stay`, by the map numbers of their ends; 0: no number."""
    found = set()
    for one in side:
        for bond in one.molecule.mol.GetBonds():
            first, second = sorted(int(one.maps[place]) for place in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            if stay & {first, second} - {0}:
                found.add((first, second, str(bond.GetBondType())))
    return found


def plain(side: tuple[Mapped, ...]) -> str:
    """The SMILES of a side, without maps."""
    return ".".join(one.molecule.smiles for one in side)


def main() -> None:
    """Write both tables, measure, and print what each method makes of either."""
    told = [parse_reaction(text) for text in part_texts("uspto-mit", ["valid"])[:ROWS]]
    kept = [one for one in told if isinstance(one, Reaction)]
    with tempfile.TemporaryDirectory() as folder:
        for name, first in (("reactions", 0), ("products", 2)):
            path = Path(folder) / f"{name}.csv"
            texts = (">".join(map(plain, one.parts[first:])) for one in kept)
            rows = zip(texts, map(changes, kept), strict=True)
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("structure", "bonds"), *rows])
            plan = Protocol(METHODS, [str(path)], ["random"], REPEATS)
            settings = Settings(str(OUT), ("bonds",), overrides=(("graph.training.epochs", "20"),), workers=1)
            print(measure(plan, settings, None, lambda text: print(text, file=sys.stderr)))


if __name__ == "__main__":
    main()

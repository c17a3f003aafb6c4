"""Molecules with their nearest neighbours in several spaces, drawn side by side, as SVG."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError
from tetramer.space.neighbours import Neighbours
from tetramer.space.style import BLUE, INK, LINE, RED, STYLE, Box, canvas, number, plain, svg, with_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

SHOWN = 2  # neighbours a molecule
CELL, HIGH, TEXT = 1.32, 0.95, 0.32  # inches: width and height of a drawing, height of the text under it
NAMES, HEAD, FOOT = 1.35, 0.1, 0.42  # inches: names of spaces at the left, space above and below
LETTERS = 17  # of a line of a name
BETWEEN = 0.16  # inches between two queries


def choose_queries(
    scaffolds: Sequence[str], tables: Mapping[str, Neighbours], count: int = 4, seed: int = 0
) -> NDArray[np.int64]:
    """(count,) one molecule, drawn at random, of each of the most frequent ring scaffolds.

    Only molecules that have two neighbours in every table can be drawn, so that none is chosen for how it looks.
    """
    ready = np.array([text != "" for text in scaffolds], dtype=bool)
    for table in tables.values():
        ready &= (table.rows[:, :SHOWN] >= 0).all(axis=1) & (table.k >= SHOWN)
    rows = np.flatnonzero(ready)
    kinds, kind, counts = np.unique(np.array(scaffolds, dtype=str)[rows], return_inverse=True, return_counts=True)
    if len(kinds) < count:
        raise UserError(
            f"{len(kinds)} scaffolds have a molecule with {SHOWN} neighbours in every space; {count} are asked for."
        )
    rng = np.random.Generator(np.random.Philox(seed))
    common = np.argsort(-counts, kind="stable")[:count]
    return np.array([rng.choice(rows[kind == one]) for one in common.tolist()], np.int64)


def neighbour_grid(
    smiles: Sequence[str],
    scaffolds: Sequence[str],
    values: Floats,
    tables: Mapping[str, Neighbours],
    queries: Sequence[int],
    unit: str = "",
) -> str:
    """Each query on top, and under it, a row a space, its two nearest neighbours with their value and distance; SVG.

    smiles, scaffolds, values: (n,). A drawing with the scaffold of its query has a blue frame, any other a dashed red
    one. Distances of two spaces are not comparable.
    """
    from matplotlib import rc_context

    block = SHOWN * CELL + BETWEEN
    row = HIGH + TEXT
    wide, high = NAMES + block * len(queries), HEAD + row * (len(tables) + 1) + 0.1 + FOOT
    boxes: dict[Box, str] = {}
    with rc_context(STYLE):
        figure = canvas(wide, high, constrained=False)
        sheet = _Sheet(figure, wide, high, boxes)
        for place, query in enumerate(queries):
            left = NAMES + block * place
            sheet.molecule(left + CELL / 2, HEAD, smiles[query], f"y {number(values[query], True)}", None)
            for line, table in enumerate(tables.values(), 1):
                for order, other in enumerate(table.rows[query, :SHOWN].tolist()):
                    if other < 0:
                        continue
                    text = f"y {number(values[other], True)}   d {number(float(table.distances[query, order]), True)}"
                    same = scaffolds[other] == scaffolds[query] != ""
                    sheet.molecule(left + CELL * order, HEAD + 0.1 + row * line, smiles[other], text, same)
        sheet.name("query", HEAD)
        for line, name in enumerate(tables, 1):
            sheet.name(name, HEAD + 0.1 + row * line)
        sheet.foot(with_unit("y: value", unit))
    return svg(figure, boxes)


class _Sheet:
    """A figure on which things lie at inches from the left and from the top."""

    def __init__(self, figure: "Figure", wide: float, high: float, boxes: dict[Box, str]) -> None:
        self.figure, self.wide, self.high, self.boxes = figure, wide, high, boxes

    def molecule(self, left: float, top: float, smiles: str, text: str, same: bool | None) -> None:
        """A drawing with a text under it, and a frame that says whether the scaffold is that of the query."""
        self.frame(left + 0.04, top, CELL - 0.08, HIGH, same)
        gap = 0.03
        box = (left + 0.04 + gap, top + gap, CELL - 0.08 - 2 * gap, HIGH - 2 * gap)
        self.boxes[(box[0] / self.wide, 1 - (box[1] + box[3]) / self.high, box[2] / self.wide, box[3] / self.high)] = (
            smiles
        )
        self.text(left + CELL / 2, top + HIGH + 0.13, text, 8, ha="center")

    def frame(self, left: float, top: float, wide: float, high: float, same: bool | None) -> None:
        """Blue: the same scaffold; red and dashed: another one; grey: the query."""
        from matplotlib.patches import Rectangle

        colour = LINE if same is None else BLUE if same else RED
        corner = (left / self.wide, 1 - (top + high) / self.high)
        dash = (0, (3, 2)) if same is False else "solid"
        patch = Rectangle(corner, wide / self.wide, high / self.high, fill=False, edgecolor=colour, linestyle=dash)
        self.figure.add_artist(patch)

    def name(self, text: str, top: float) -> None:
        """What a row shows, at its left."""
        self.text(0.05, top + HIGH / 2, fill(plain(text), LETTERS), 9.5)

    def foot(self, value: str) -> None:
        """What the letters and the frames mean."""
        top = self.high - 0.17
        self.text(0.05, top, f"{value}    d: distance to the query in that space", 8.5)
        left = self.wide - 3.35
        for text, same, place in (("same scaffold", True, left), ("another scaffold", False, left + 1.55)):
            self.frame(place, top - 0.08, 0.26, 0.16, same)
            self.text(place + 0.36, top, text, 8.5)

    def text(self, left: float, top: float, text: str, size: float, ha: str = "left") -> None:
        """Text whose middle lies at `top`."""
        where = (left / self.wide, 1 - top / self.high)
        self.figure.text(*where, text, fontsize=size, color=INK, ha=ha, va="center")

"""Which product do these reactants give: candidates in order, by an encoder that has learned reactions.

reactants, candidates ──Reader──▶ graphs ──Ranker──▶ a vector for each set of molecules ──distances──▶ order
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from tetramer.checkpoint import Card
from tetramer.errors import UserError
from tetramer.layers import to_tensors
from tetramer.members.work import Progress, one_thread
from tetramer.molecules import Limits, Standard
from tetramer.molecules.reactions import PRODUCT, REACTANT, most_are_reactions
from tetramer.molecules.sides import read_reactions
from tetramer.objectives.distances import squares
from tetramer.objectives.reaction import ReactionEquivalence
from tetramer.pretraining import load_objective
from tetramer.views import Reader, Reading
from tetramer.views.base import gather
from tetramer.views.graph import GraphFeatures, collate

TURN = 256  # sets of molecules at a time
SHOWN = 3  # candidates that cannot be read are told one by one
NEAR = 1e-9  # of squares of lengths, which sums of products round: within it no order is taken from them


@dataclass(frozen=True, eq=False)
class Ranker:
    """An encoder that has learned reactions, with what compares both sides."""

    card: Card
    objective: ReactionEquivalence
    standard: Standard  # how its corpus was read

    @torch.inference_mode()
    def vectors(self, graphs: GraphFeatures, molecules: np.ndarray, starts: np.ndarray, role: int) -> np.ndarray:
        """(n, P) float32 of n sets of molecules that stand on one side of a reaction.

        molecules: (E,) rows of `graphs`, set after set   starts: (n + 1,)   role: REACTANT or PRODUCT
        """
        parts = [np.zeros((0, self.width), np.float32)]
        with one_thread():
            for first in range(0, len(starts) - 1, TURN):
                sets = np.arange(first, min(first + TURN, len(starts) - 1))
                at, counts = gather(starts, sets)
                views = {"graph": to_tensors(collate(graphs, molecules[at]))}
                groups = {
                    "reaction": torch.from_numpy(np.repeat(np.arange(len(sets)), counts)),
                    "role": torch.full((len(at),), role),
                    "product": torch.arange(len(sets)),
                }
                told = self.objective(views, groups)
                made = told.products if role == PRODUCT else told.reactants
                whole = np.zeros((len(sets), self.width), np.float32)  # a set without molecules at the end is zeros
                whole[: len(made)] = made.numpy()
                parts.append(whole)
        return np.concatenate(parts)

    def each(self, reading: Reading, role: int) -> torch.Tensor:
        """(n, P), the vectors of rows that hold all molecules of their side; zeros for those that cannot be read."""
        graphs = reading.features["graph"]
        assert isinstance(graphs, GraphFeatures)
        rows = np.arange(len(reading))
        return torch.from_numpy(self.vectors(graphs, rows, np.arange(len(rows) + 1), role))

    @property
    def width(self) -> int:
        """P, the components of a vector that is compared."""
        return self.objective.config.projection or self.objective.encoder.width


def load_ranker(path: Path) -> Ranker:
    """An encoder of `tetramer pretrain molr`. UserError for any other folder."""
    card, objective = load_objective(path)
    if not isinstance(objective, ReactionEquivalence):
        raise UserError(
            f"{path} has learned no reactions, so it cannot rank products. Learn an encoder that has: "
            "tetramer pretrain molr REACTIONS --output ENCODER."
        )
    return Ranker(card, objective, Standard(**card["standard"]))


@dataclass(frozen=True)
class Order:
    """Candidates of n rows of reactants, the likeliest first."""

    candidate: list[np.ndarray]  # of each row, (k,) numbers of candidates; empty for reactants that cannot be read
    distance: list[np.ndarray]  # of each row, (k,) between the vectors of both sides
    alone: np.ndarray  # (n,) bool, whether no other candidate is as near as the first


def rank(
    ranker: Ranker,
    reactants: Sequence[str],
    candidates: Sequence[str],
    among: Sequence[np.ndarray] | None = None,
    top: int = 10,
    limits: Limits | None = None,
    progress: Progress = lambda name, share: None,
) -> tuple[Order, Reading, Reading]:
    """Order candidates for each row of reactants, equal ones once, and what became of both when they were read.

    reactants: SMILES of all molecules of a row, with dots, without reagents   candidates: SMILES of a product each;
    of either also whole reactions, whose side is taken   among: for each row the candidates that take part, None: all
    top: how many are kept
    """
    if top < 1:
        raise UserError(f"--top {top} keeps no candidate. Choose 1 or more.")
    with Reader(replace(ranker.standard, salts="keep"), limits) as reader:  # what a row holds are molecules, no salts
        asked, offered = (
            read_side(reader, texts, role, ranker.standard, limits, partial(show, progress, name, max(1, len(texts))))
            for name, texts, role in (("reactants", reactants, REACTANT), ("candidates", candidates, PRODUCT))
        )
    left, right = ranker.each(asked, REACTANT), ranker.each(offered, PRODUCT)
    order = Order([np.zeros(0, np.int64)] * len(asked), [np.zeros(0)] * len(asked), np.ones(len(asked), bool))
    rows = np.flatnonzero(asked.ok)
    turns = np.array_split(rows, max(1, -(-len(rows) // TURN))) if among is None else rows[:, None]
    everyone = different(offered, np.arange(len(offered)))
    for turn in turns:
        pool = everyone if among is None else different(offered, among[int(turn[0])])
        near = nearest(left[turn], right[pool], max(top, 2))
        for row, (place, apart) in zip(turn.tolist(), near, strict=True):
            order.candidate[row], order.distance[row] = pool[place][:top], apart[:top]
            order.alone[row] = len(apart) < 2 or apart[0] < apart[1]
        progress("distances", (int(turn[-1]) + 1) / len(asked) if len(turn) else 1.0)
    return order, asked, offered


def read_side(
    reader: Reader,
    texts: Sequence[str],
    role: int,
    standard: Standard,
    limits: Limits | None,
    progress: Callable[[int], None],
) -> Reading:
    """The molecules of each row; where rows are whole reactions, those of one side, reagents told from reactants."""
    if not most_are_reactions(texts):
        return reader.read(list(texts), ("graph",), progress)
    sides = read_reactions(texts, standard, limits, progress)
    parts: list[list[str]] = [[] for _ in texts]
    for row, molecule in zip(sides.row[sides.role == role], sides.molecule[sides.role == role], strict=True):
        parts[row].append(sides.smiles[molecule])
    told = reader.read([".".join(part) for part in parts], ("graph",))
    codes, reasons = (
        [own if there else refused for there, own, refused in zip(sides.ok.tolist(), *cells, strict=True)]
        for cells in ((told.codes, sides.codes), (told.reasons, sides.reasons))
    )
    return replace(told, codes=codes, reasons=reasons)


def different(candidates: Reading, chosen: np.ndarray) -> np.ndarray:
    """Those of the candidates `chosen` (n,) that can be read, of equal ones the first."""
    readable = chosen[candidates.ok[chosen]]
    first = {candidates.smiles[row]: row for row in reversed(readable.tolist())}
    return np.array([row for row in readable.tolist() if first[candidates.smiles[row]] == row], np.int64)


def nearest(left: torch.Tensor, right: torch.Tensor, top: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each of (n, P), the `top` nearest of (m, P), of equally near ones the first, and how far away they are."""
    left, right = left.double(), right.double()
    rough = squares(left, right)
    limit = rough.topk(min(top, len(right)), largest=False).values.amax(1) if len(right) else rough.sum(1)
    limit = limit + NEAR * (limit + left.square().sum(1))
    for one, row, most in zip(left, rough, limit, strict=True):
        near = (row <= most).nonzero()[:, 0]
        apart = (right[near] - one).norm(dim=1)
        best = apart.argsort(stable=True)[:top]
        yield near[best].numpy(), apart[best].numpy()


def show(progress: Progress, name: str, rows: int, done: int) -> None:
    """Pass on how many rows are read, as a share."""
    progress(name, done / rows)


def table(order: Order, reactants: Reading, candidates: Reading, given: Sequence[str]) -> pa.Table:
    """A row for each candidate that was kept, and one for reactants that have none.

    row of the reactants from 1; reactants as given; rank from 1; product; distance; status and reason of reactants
    """
    cells: dict[str, list[Any]] = {
        name: [] for name in ("row", "reactants", "rank", "product", "distance", "status", "reason")
    }
    for row, (chosen, apart) in enumerate(zip(order.candidate, order.distance, strict=True)):
        found: list[tuple[Any, ...]] = [
            (place, candidates.smiles[number], distance)
            for place, (number, distance) in enumerate(zip(chosen.tolist(), apart.tolist(), strict=True), 1)
        ]
        for place, product, distance in found or [(None, None, None)]:
            told = (
                row + 1, given[row], place, product, distance, reactants.codes[row], reactants.reasons[row]
            )  # fmt: skip
            for name, cell in zip(cells, told, strict=True):
                cells[name].append(cell)
    kinds = {"row": pa.int64(), "rank": pa.int64(), "distance": pa.float64()}
    return pa.table({name: pa.array(column, kinds.get(name, pa.string())) for name, column in cells.items()})


def summary(reactants: Reading, candidates: Reading) -> dict[str, Any]:
    """How many rows there are, and how many of them can be read."""
    return {
        "rows": len(reactants),
        "readable": int(reactants.ok.sum()),
        "candidates": len(candidates),
        "readable_candidates": int(candidates.ok.sum()),
        "products": len({candidates.smiles[row] for row in np.flatnonzero(candidates.ok).tolist()}),
    }


def answers(given: Sequence[object], numbers: Sequence[Sequence[int]], name: str) -> list[int | None]:
    """The place of the right one among the choices of each row; None where no answer is given.

    given: cells of a column `name`   numbers: of each row, the numbers of its choices. UserError for a cell that is
    none of them.
    """
    found: list[int | None] = []
    for row, (cell, known) in enumerate(zip(given, numbers, strict=True), 1):
        missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
        text = "" if missing else str(cell).strip().removesuffix(".0")
        if text and (not text.isdigit() or int(text) not in known):
            listed = ", ".join(map(str, known))
            raise UserError(f"Column {name!r} holds {cell!r} in row {row}; give the number of a choice: {listed}.")
        found.append(list(known).index(int(text)) if text else None)
    return found


def hits(order: Order, among: Sequence[np.ndarray], right: Sequence[int | None], candidates: Reading) -> dict[str, Any]:
    """How often the right choice, or one that is equal to it, comes first; right: its place in `among`, of each row.

    One that shares the first place with another has a rank of 1.5 or more, the middle of theirs, and is not first.
    """
    asked = [(row, among[row][place]) for row, place in enumerate(right) if place is not None]
    there = [(row, answer) for row, answer in asked if len(order.candidate[row]) and order.alone[row]]
    first = [(order.candidate[row][0], answer) for row, answer in there]
    right_ones = sum(candidates.smiles[best] == candidates.smiles[answer] for best, answer in first)
    return {"questions": len(asked), "right": right_ones}


def refused(candidates: Reading, given: Sequence[str], own: Sequence[Mapping[int, str]]) -> list[str]:
    """Sentences on the first candidates that cannot be read: where each stands, its text, and what is wrong.

    own: the choices of each row, if rows have some; else every candidate is a row
    """
    places = [f"row {place}" for place in range(1, len(given) + 1)]
    if own:
        places = [f"row {place}, choice_{number}" for place, row in enumerate(own, 1) for number in row]
    rows = np.flatnonzero(~candidates.ok).tolist()
    lines = [
        f"The candidate of {places[row]}, {given[row]!r}, cannot be read: {candidates.reasons[row]} "
        f"({candidates.codes[row]})."
        for row in rows[:SHOWN]
    ]
    return lines + ([f"So it is with {len(rows) - SHOWN} more."] if len(rows) > SHOWN else [])


def sentences(told: dict[str, Any]) -> list[str]:
    """The outcome for a terminal."""
    lost = told["candidates"] - told["readable_candidates"]
    lines = [
        f"{told['readable']} of {told['rows']} rows of reactants can be read; {told['products']} different products"
        + (f", {lost} of {told['candidates']} candidates cannot be read." if lost else ".")
    ]
    return lines + (
        [f"The right choice comes first in {told['right']} of {told['questions']} questions."]
        if "right" in told
        else []
    )

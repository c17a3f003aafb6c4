"""A small ranker on top of a distance: the nearest candidates are put in order anew by 20 plain numbers each.

The distance is that of counts or of learned vectors, and the ranker learns from reactions of the valid part alone.
Candidates that are not among the nearest keep their order by distance and come after them, so a right answer that was
missed has the rank that it earns.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from tetramer.benchmark.free_ranking import environments
from tetramer.benchmark.ranking import CHUNK, Scores
from tetramer.benchmark.reaction_sets import Task
from tetramer.members.rankers import ROUNDS, Ranker, fit_ranker
from tetramer.metrics import ranks
from tetramer.views.tallies import Tallies

NEAREST = 100  # candidates that are put in order anew
COLUMNS = (
    *(f"{what}, {table}" for table in ("wide", "narrow", "elements") for what in ("apart", "covered", "kept", "new")),
    "distance",
    "behind the first",
    "place",
    "heavy atoms asked",
    "heavy atoms offered",
    "hydrogens fewer",
    "copy",
    "molecules asked",
)


@dataclass(frozen=True)
class Pairs:
    """Plain numbers of a query beside a candidate."""

    task: Task
    tables: tuple[tuple[sparse.csr_array, sparse.csr_array], ...]  # queries and candidates: wide, narrow, elements
    distances: Scores  # by which candidates are near

    @classmethod
    def of(cls, task: Task, counts: Tallies, distances: Scores | None = None) -> Self:
        """Of everything in a task; None: distances of the wide counts."""
        told = (counts.wide, counts.narrow, counts.elements)
        return cls(task, tuple(task.summed(one) for one in told), distances or environments(task, counts))

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the queries `rows` (b,): all distances (b, C), the nearest candidates (b, K), their COLUMNS (b, K, F)."""
        far = self.distances(rows)
        count = min(NEAREST, far.shape[1])
        near = np.sort(np.argpartition(far, count - 1, axis=1)[:, :count], axis=1)
        inside = np.take_along_axis(far, near, axis=1)
        columns = [column for asked, offered in self.tables for column in overlap(asked[rows], offered, near)]
        columns += [inside, inside - inside.min(axis=1, keepdims=True), np.stack([ranks(row) for row in inside])]
        atoms, others = (x[at].toarray() for x, at in zip(self.tables[-1], (rows, near.ravel()), strict=True))
        asked, offered = (np.stack([x.sum(axis=1) - x[:, 1], x[:, 1]]) for x in (atoms, others))
        offered = offered.reshape(2, *near.shape)
        columns += [np.broadcast_to(asked[0][:, None], near.shape), offered[0], asked[1][:, None] - offered[1]]
        columns += [np.take_along_axis(self.task.copies(rows), near, axis=1)]
        molecules = np.asarray(self.task.queries[rows].sum(axis=1)).reshape(-1, 1)
        columns += [np.broadcast_to(molecules, near.shape)]
        return far, near, np.stack(columns, axis=2).astype(np.float32)


def overlap(asked: sparse.csr_array, offered: sparse.csr_array, near: np.ndarray) -> list[np.ndarray]:
    r"""Four numbers (b, K) of counts q and c: :math:`\sum |q - c|`, and with :math:`s = \sum \min(q, c)` the shares
    :math:`s / \sum c` and :math:`s / \sum q`, and :math:`\sum c - s`.

    asked: (b, D)   offered: (C, D)   near: (b, K) which of them
    """
    dense, some = asked.toarray(), offered[near.ravel()]
    entry = np.repeat(np.arange(near.size), np.diff(some.indptr))
    both = np.minimum(dense[entry // near.shape[1], some.indices], some.data)
    shared, whole = (np.bincount(entry, x, near.size).reshape(near.shape) for x in (both, some.data))
    own = dense.sum(axis=1, keepdims=True)
    return [own + whole - 2 * shared, shared / np.maximum(whole, 1), shared / np.maximum(own, 1), whole - shared]


def train(task: Task, counts: Tallies, distances: Scores | None = None, seed: int = 0, rounds: int = ROUNDS) -> Ranker:
    """A ranker of the queries of `task` among its candidates; those whose right candidate is not near teach nothing."""
    pairs, tables, right = Pairs.of(task, counts, distances), [], []
    for start in range(0, len(task.answers), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(task.answers)))
        _, near, columns = pairs(rows)
        hit = near == task.answers[rows][:, None]
        found = hit.any(axis=1)
        tables.append(columns[found])
        right.append(hit[found])
    x, y = np.concatenate(tables), np.concatenate(right)
    return fit_ranker(x.reshape(-1, x.shape[2]), y.ravel().astype(np.int64), np.full(len(x), x.shape[1]), seed, rounds)


def reranked(ranker: Ranker, task: Task, counts: Tallies, distances: Scores | None = None) -> Scores:
    """Scores below 0 for the nearest, by the ranker; the distance, which is not below 0, for all others."""
    pairs = Pairs.of(task, counts, distances)

    def block(rows: np.ndarray) -> np.ndarray:
        far, near, columns = pairs(rows)
        told = ranker(columns.reshape(-1, columns.shape[2])).reshape(near.shape)
        np.put_along_axis(far, near, told.min(axis=1, keepdims=True) - told - 1, axis=1)
        return far

    return block

"""Two ways to say how near rows lie: points in a vector space, and tables of counts.

Each gives scores of a block of rows against all rows, fast and with a bound on their error, and exact distances of
chosen pairs. `neighbours` finds the few rows that may be near by the first, and orders them by the second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]

NOTHING = 1e-12  # of the longest vector: what is shorter has no direction
SAME = 1e-30  # squared length between two unit vectors of one direction that were rounded differently
FAINT = 1e-10  # of the largest variance: what a direction must have to be whitened
EACH = 10  # rows a whitened direction
COMMON = 256  # columns of counts that are multiplied as a dense table
NUMBERS = 4_000_000  # numbers held at a time when pairs are compared


class Scores(Protocol):
    """What `neighbours` needs to know of a space of m rows."""

    def __len__(self) -> int: ...

    def block(self, rows: slice, fine: bool) -> tuple[np.ndarray, float]:
        """(B, m) scores, 0 at the same place and falling with the distance, and by how much two of one row may be wrong
        against each other. `fine`: in float64."""
        ...

    def distances(self, left: np.ndarray, right: np.ndarray) -> Floats:
        """(P,) distances of pairs of rows, the same for a pair wherever it stands."""
        ...


@dataclass(frozen=True)
class Metric:
    """`prepare` makes points of vectors (m, D), NaN where a row has no direction; `finish` makes distances of the
    squared lengths (P,) between points."""

    prepare: Callable[[Floats], Floats]
    finish: Callable[[Floats], Floats]


def unit(vectors: Floats) -> Floats:
    """Each row over its length; a row without direction becomes NaN."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    length[length <= NOTHING * length.max(initial=0.0)] = np.nan
    return np.asarray(vectors / length[:, None])


def centred(vectors: Floats) -> Floats:
    """Minus the mean row."""
    return np.asarray(vectors - vectors.mean(axis=0))


def whitened(vectors: Floats) -> Floats:
    """Centred, and turned so that all directions have variance 1 and no correlation: (m, D) → (m, at most D).

    Only the m / 10 directions of largest variance are kept, since a variance of fewer than ten rows a direction is a
    guess (with D ≥ m and all directions, all rows would be equally far apart), and none with less than 1e-10 of the
    largest variance, which is rounding.
    """
    moved = centred(vectors)
    m, wide = moved.shape
    variances, axes = np.linalg.eigh(moved.T @ moved / m)  # ascending
    kept = variances > FAINT * variances.max(initial=0.0)
    kept[: max(0, wide - max(2, m // EACH))] = False
    return np.asarray(moved @ (axes[:, kept] / np.sqrt(variances[kept])))


def cosine_distance(squares: Floats) -> Floats:
    """1 − cosine, from squared lengths between unit vectors."""
    return np.where(squares > SAME, squares / 2, 0.0)


METRICS: dict[str, Metric] = {
    "cosine": Metric(unit, cosine_distance),
    "centred-cosine": Metric(lambda vectors: unit(centred(vectors)), cosine_distance),
    "whitened-cosine": Metric(lambda vectors: unit(whitened(vectors)), cosine_distance),
    "euclidean": Metric(lambda vectors: vectors, np.sqrt),
}


class Points:
    """m points in D dimensions, compared by the length between them."""

    def __init__(self, points: Floats, finish: Callable[[Floats], Floats]) -> None:
        # A product of long vectors that differ little would lose its digits, so they are moved, and none is above 1.
        self.points, self.finish, self.centre = points, finish, points.mean(axis=0)
        moved = points - self.centre
        self.longest = float(np.sqrt(np.einsum("nd,nd->n", moved, moved).max(initial=0.0))) or 1.0
        moved /= self.longest
        self.half = np.einsum("nd,nd->n", moved, moved) / 2
        self.coarse = moved.astype(np.float32)

    def __len__(self) -> int:
        return len(self.points)

    def block(self, rows: slice, fine: bool) -> tuple[np.ndarray, float]:
        """−|x − y|² / 2, as x·y − |x|²/2 − |y|²/2."""
        table = (self.points - self.centre) / self.longest if fine else self.coarse
        half = self.half.astype(table.dtype)
        scores = table[rows] @ table.T
        scores -= half
        scores -= half[rows, None]
        # Each of two sums of D products is off by at most D roundings; the rest are the roundings around them.
        return scores, (self.points.shape[1] + 16) * float(np.finfo(table.dtype).eps)

    def distances(self, left: np.ndarray, right: np.ndarray) -> Floats:
        """(P,) from the differences themselves, so that equal rows are at 0."""
        squares = np.empty(len(left))
        step = max(1, NUMBERS // max(1, self.points.shape[1]))
        for start in range(0, len(left), step):
            part = slice(start, start + step)
            gap = self.points[left[part]] - self.points[right[part]]
            squares[part] = np.einsum("pd,pd->p", gap, gap)
        return self.finish(squares)


class Counts:
    """m rows of counts, compared by Σ min / Σ max, Tanimoto's coefficient for counts.

    A count c is written as c columns of 1, "at least 1", "at least 2", …; then Σ min is a product of zeros and ones.
    The columns that many rows have are multiplied as a dense table, the others as a sparse one.
    """

    def __init__(self, counts: sparse.csr_array) -> None:
        self.counts = counts.astype(np.int64)
        self.total = np.asarray(self.counts.sum(axis=1), np.float64).reshape(-1)
        ladder = _ladder(self.counts)
        order = np.argsort(-np.bincount(ladder.indices, minlength=ladder.shape[1]), kind="stable")
        self.dense = ladder[:, order[:COMMON]].toarray()
        self.sparse = sparse.csr_array(ladder[:, order[COMMON:]])
        self.across = sparse.csr_array(self.sparse.T)

    def __len__(self) -> int:
        return len(self.total)

    def block(self, rows: slice, fine: bool) -> tuple[np.ndarray, float]:
        """Σ min / Σ max − 1: whole numbers are exact in float32, so only the last two steps are rounded."""
        shared = self.dense[rows] @ self.dense.T
        rare = (self.sparse[rows] @ self.across).tocoo()
        shared[rare.row, rare.col] += rare.data
        total = self.total.astype(np.float32)
        union = total[rows, None] + total
        union -= shared
        shared /= union
        shared -= 1
        return shared, 4 * float(np.finfo(np.float32).eps)

    def distances(self, left: np.ndarray, right: np.ndarray) -> Floats:
        """(P,) 1 − Σ min / Σ max"""
        shared = np.empty(len(left))
        step = max(1, NUMBERS * len(self) // max(1, 4 * self.counts.nnz))
        for start in range(0, len(left), step):
            part = slice(start, start + step)
            shared[part] = self.counts[left[part]].minimum(self.counts[right[part]]).sum(axis=1)
        return np.asarray(1 - shared / (self.total[left] + self.total[right] - shared))


def _ladder(counts: sparse.csr_array) -> sparse.csr_array:
    """(m, "column has at least c") of 0 and 1; the sum of a row is the sum of its counts."""
    times = counts.data
    level = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    steps = np.repeat(counts.indices.astype(np.int64), times) * (int(times.max(initial=0)) + 1) + level
    names, column = np.unique(steps, return_inverse=True)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(times)])[counts.indptr]
    return sparse.csr_array((np.ones(len(column), np.float32), column, starts), shape=(counts.shape[0], len(names)))

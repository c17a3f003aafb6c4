"""The k nearest neighbours of every row, exactly: vectors by cosine or length, fingerprints by Tanimoto.

Every pair is compared, in blocks, so memory is bounded and time grows with the square of the number of rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tetramer.errors import UserError, pick
from tetramer.space.scores import METRICS as METRICS
from tetramer.space.scores import Counts, Points, Scores
from tetramer.views.fingerprint import BITS, FingerprintFeatures

CELLS = 8_000_000  # scores held at a time
STEP = 2.0**-21  # relative: distances that differ by less may be equal in float32
LOOSE = 16  # candidates for one place, above which float32 does not tell the rows apart
GROUP = 64  # columns whose best stands for all, at most


@dataclass(frozen=True)
class Neighbours:
    """Of every row the k nearest others, nearest first; at equal distance the smaller row number comes first.

    A row without a usable vector has no neighbours and is nobody's: its rows are −1 and its distances NaN, as are the
    last cells of a row where there are fewer than k others.
    """

    rows: NDArray[np.int64]  # (n, k)
    distances: NDArray[np.float32]  # (n, k); two are equal if they are in float32

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def k(self) -> int:
        """Neighbours a row."""
        return int(self.rows.shape[1])

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) which rows have neighbours."""
        return self.rows[:, 0] >= 0

    def first(self, k: int) -> NDArray[np.int64]:
        """(n, k) rows of the k nearest. UserError if the table holds fewer."""
        _ask(k)
        if k > self.k:
            raise UserError(f"{k} neighbours are asked for, and the table holds {self.k}. Make it with k={k} or more.")
        return self.rows[:, :k]


def nearest(vectors: np.ndarray, k: int, metric: str = "cosine") -> Neighbours:
    """Neighbours by a metric of METRICS: cosine, centred-cosine, whitened-cosine or euclidean. vectors: (n, D)

    Cosine of embeddings is dominated by what all rows share and by the direction that was trained; centred and whitened
    cosine take the first and both away. Rows with a NaN have no neighbours, nor, for the cosines, rows without
    direction. Memory: about 30 bytes a number of `vectors`, and 100 MB.
    """
    chosen = pick(METRICS, metric, "metric of neighbours")
    _ask(k)
    usable = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    if len(usable) < 2:
        return _nobody(len(vectors), k)
    points = chosen.prepare(vectors[usable].astype(np.float64))
    told = np.isfinite(points).all(axis=1) & (points.shape[1] > 0)
    if told.sum() < 2:
        return _nobody(len(vectors), k)
    return _table(len(vectors), usable[told], Points(points[told], chosen.finish), k)


def nearest_counts(features: FingerprintFeatures, k: int) -> Neighbours:
    """Neighbours by 1 − Σ min(a, b) / Σ max(a, b), Tanimoto for counts. Rows that are not ok, or empty, have none."""
    _ask(k)
    shape = (len(features), BITS)
    table = sparse.csr_array((features.counts.astype(np.int64), features.bits, features.bit_starts), shape=shape)
    usable = np.flatnonzero((features.ok == 1) & (np.diff(features.bit_starts) > 0))
    if len(usable) < 2:
        return _nobody(len(features), k)
    return _table(len(features), usable, Counts(table[usable]), k)


def shared(first: Neighbours, second: Neighbours, k: int) -> NDArray[np.float64]:
    """(n,) share of the k nearest of each row that two tables have in common; NaN where a row has none in one of them.

    Of a row with fewer than k neighbours, the share is that of the longer list.
    """
    if len(first) != len(second):
        raise UserError(
            f"The tables of neighbours have {len(first)} and {len(second)} rows. Give both the same molecules, in "
            "the same order."
        )
    left, right = first.first(k), second.first(k)
    near = np.sort(np.concatenate([left, right], axis=1), axis=1)
    both = ((near[:, 1:] == near[:, :-1]) & (near[:, 1:] >= 0)).sum(axis=1)
    longer = np.maximum((left >= 0).sum(axis=1), (right >= 0).sum(axis=1))
    return np.where(first.usable & second.usable, both / np.maximum(longer, 1), np.nan)


def overlap(first: Neighbours, second: Neighbours, k: int) -> float:
    """Mean of `shared`: 1 for one space, about k / (n − 1) for two that have nothing to do with each other.

    Make both tables from the same rows: one that only one of them knows takes a place that the other cannot fill.
    """
    each = shared(first, second, k)
    return float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")


def _ask(k: int) -> None:
    if k < 1:
        raise UserError(f"k is {k}. Ask for one neighbour or more.")


def _nobody(n: int, k: int) -> Neighbours:
    """n rows without neighbours."""
    return Neighbours(np.full((n, k), -1, np.int64), np.full((n, k), np.nan, np.float32))


def _table(n: int, usable: np.ndarray, scores: Scores, k: int) -> Neighbours:
    """Neighbours of n rows, of which the rows `usable` (m,), two or more, are those of `scores`."""
    out = _nobody(n, k)
    most, step = min(k, len(scores) - 1), max(1, CELLS // len(scores))
    for start in range(0, len(scores), step):
        part = slice(start, min(start + step, len(scores)))
        own, others = _candidates(scores, part, most)
        apart = scores.distances(own + start, others).astype(np.float32)
        order = np.lexsort((others, apart, own))
        counts = np.bincount(own, minlength=part.stop - start)
        best = order[(np.cumsum(counts) - counts)[:, None] + np.arange(most)]
        out.rows[usable[part], :most], out.distances[usable[part], :most] = usable[others[best]], apart[best]
    return out


def _candidates(scores: Scores, part: slice, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(row in the block, row) of every pair that may be among the k nearest; a row is not its own neighbour."""
    for fine in (False, True):
        table, doubt = scores.block(part, fine)
        table[np.arange(len(table)), np.arange(part.start, part.stop)] = -np.inf
        near = np.flatnonzero(table >= (_bound(table, k) * (1 + STEP) - doubt)[:, None])
        if len(near) <= LOOSE * k * len(table):
            break
    return np.divmod(near, len(scores))


def _bound(table: np.ndarray, k: int) -> np.ndarray:
    """(B,) that at least k scores of a row reach, and not many more: the k-th best of the best of groups.

    Columns of a group lie far apart, as rows of a file that are akin often lie side by side.
    """
    wide = table.shape[1]
    group = int(np.clip(wide // (8 * k), 1, GROUP))
    whole = wide // group * group
    best = table[:, :whole].reshape(len(table), group, -1).max(axis=1)
    return np.asarray(np.partition(best, -k, axis=1)[:, -k])

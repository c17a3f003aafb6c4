r"""Ranking: every query orders all candidates, and its one right candidate should come first.

Scores come in blocks of queries, so that 40,000 × 40,000 of them are never held at once. The rank of the right
candidate is :math:`1 + b + e/2`, with b candidates that score better and e others that score exactly the same: who
cannot tell candidates apart gets the middle of the list, not its top.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from tetramer.members.ridge import Matrix
from tetramer.space.resampling import means

CHUNK = 256  # queries whose scores are held at a time: 80 MB of 40,000 candidates
HITS = (1, 3, 5, 10)

Scores = Callable[[np.ndarray], np.ndarray]  # numbers of queries (b,) → (b, C), less is better; NaN comes last
Pool = Callable[[np.ndarray], np.ndarray]  # numbers of queries (b,) → (b, C) bool, the candidates that take part


@dataclass(frozen=True)
class Ranks:
    """The rank of the right candidate among those that take part, one a query."""

    rank: np.ndarray  # (Q,) float64, from 1; halves are ties
    size: np.ndarray  # (Q,) int64 candidates that take part, the right one among them


def everything(rows: np.ndarray) -> np.ndarray:
    """The pool of all candidates."""
    return np.ones((len(rows), 1), bool)


def ranked(
    scores: Scores, answers: np.ndarray, pools: Mapping[str, Pool] | None = None, chunk: int = CHUNK
) -> dict[str, Ranks]:
    """Ranks in each pool; without pools in that of all candidates, named "full".

    answers: (Q,) the number of the right candidate of each query; it takes part in every pool.
    """
    pools = pools or {"full": everything}
    out = {name: Ranks(np.zeros(len(answers)), np.zeros(len(answers), np.int64)) for name in pools}
    for start in range(0, len(answers), chunk):
        rows = np.arange(start, min(start + chunk, len(answers)))
        told = scores(rows)
        if np.isnan(told).any():
            told = np.where(np.isnan(told), np.inf, told)
        right = np.arange(len(rows)), answers[rows]
        own = told[right][:, None]
        better, equal = told < own, told == own
        for name, pool in pools.items():
            inside = np.broadcast_to(pool(rows), told.shape).copy()
            inside[right] = True
            ahead, beside = (np.count_nonzero(one & inside, axis=1) for one in (better, equal))
            out[name].rank[rows] = 1 + ahead + (beside - 1) / 2
            out[name].size[rows] = np.count_nonzero(inside, axis=1)
    return out


def distances(queries: Matrix, candidates: Matrix) -> Scores:
    r"""Squared Euclidean distances :math:`\|q\|^2 + \|c\|^2 - 2\,q \cdot c`, at least 0.

    queries: (Q, D)   candidates: (C, D)

    In float64: vectors of single precision that are not equal stay apart, and counts are exact. Candidates with equal
    vectors are computed once, so that they tie whatever a matrix product rounds; a vector with NaN is far from all.
    """
    different, place = merged(candidates)
    squares = squared(different)

    def block(rows: np.ndarray) -> np.ndarray:
        some = queries[rows]
        some = (some if isinstance(some, np.ndarray) else some.toarray()).astype(np.float64)
        if isinstance(different, np.ndarray):
            told = some @ different.T
        else:
            told = np.ascontiguousarray((different @ np.ascontiguousarray(some.T)).T)
        told *= -2
        told += squares
        told += squared(some)[:, None]
        np.maximum(told, 0, out=told)
        return told if len(squares) == len(place) else np.asarray(told[:, place])

    return block


def squared(x: Matrix) -> np.ndarray:
    """(n, D) → (n,) squared lengths."""
    return np.einsum("nd,nd->n", x, x) if isinstance(x, np.ndarray) else np.asarray(x.multiply(x).sum(axis=1)).ravel()


def merged(x: Matrix) -> tuple[Matrix, np.ndarray]:
    """Different rows as float64 (d, D), in the order in which they come, and which of them each row is (n,)."""
    seen: dict[bytes, int] = {}
    place = np.empty(x.shape[0], np.int64)
    if isinstance(x, np.ndarray):
        keys = ((row + 0.0).tobytes() for row in x)  # no −0, which has other bytes
    else:
        x = sparse.csr_array(x.astype(np.float64))
        x.sum_duplicates()
        x.eliminate_zeros()
        ends = list(zip(x.indptr[:-1].tolist(), x.indptr[1:].tolist(), strict=True))
        keys = (x.indices[one:two].tobytes() + x.data[one:two].tobytes() for one, two in ends)
    first: list[int] = []
    for row, key in enumerate(keys):
        place[row] = seen.setdefault(hashlib.blake2b(key, digest_size=16).digest(), len(seen))
        if len(seen) > len(first):
            first.append(row)
    return x[np.array(first, np.int64)].astype(np.float64), place


def summary(ranks: Ranks, seed: int = 0, hits: Sequence[int] = HITS) -> dict[str, Any]:
    """Mean reciprocal rank, mean rank and shares of ranks up to `hits` as [value, low, high], and sizes of the pool.

    Queries whose pool holds nothing but the right candidate are left out and counted as `alone`. The intervals (95 %)
    come from drawing queries again.
    """
    asked = ranks.size > 1
    rank, size = ranks.rank[asked], ranks.size[asked]
    out: dict[str, Any] = {"queries": int(asked.sum()), "alone": int((~asked).sum())}
    if not len(rank):
        return out
    columns = np.stack([1 / rank, rank, *(rank <= k for k in hits)], axis=1)
    told, names = means(columns, seed), ("mrr", "mr", *(f"hit{k}" for k in hits))
    out |= {"pool_mean": float(size.mean()), "pool_median": float(np.median(size))}
    return out | {name: told[:, column].tolist() for column, name in enumerate(names)}

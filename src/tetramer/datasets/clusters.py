"""Butina clusters of molecules: circular fingerprints, Tanimoto similarity, whole neighbourhoods at a time."""

import numpy as np

from tetramer.errors import UserError

SIMILAR = 0.4  # Tanimoto; distance 0.6, DeepChem's default for this split
BLOCK = 512  # rows compared at a time, a multiple of 8: BLOCK × n float32 in memory
MOST = 50_000  # molecules: the neighbour table has n² bits, 310 MB there, and the fingerprints take 410 MB


def neighbours(bits: np.ndarray, similar: float) -> tuple[np.ndarray, np.ndarray]:
    """Who is similar to whom: ((n, ceil(n / 8)) uint8 of packed bits, (n,) int64 how many).

    Tanimoto a·b / (a·a + b·b − a·b) ≥ similar. Every row is its own neighbour, also one without any bit.
    """
    count = bits.sum(axis=1, dtype=np.float32)
    table = np.empty((len(bits), -(-len(bits) // 8)), np.uint8)
    totals = np.zeros(len(bits), np.int64)
    dense = bits.astype(np.float32)
    for start in range(0, len(bits), BLOCK):  # the table is symmetric: a block of rows is also one of columns
        end = min(start + BLOCK, len(bits))
        shared = dense[start:end] @ dense[start:].T  # whole numbers up to 2048, exact in float32
        union = count[start:end, None] + count[None, start:] - shared
        near = shared / np.maximum(union, 1) >= np.float32(similar)
        np.fill_diagonal(near, True)
        totals[start:end] += near.sum(axis=1)
        totals[end:] += near[:, end - start :].sum(axis=0)
        table[start:end, start // 8 :] = np.packbits(near, axis=1)
        table[start:, start // 8 : -(-end // 8)] = np.packbits(near.T, axis=1)
    return table, totals


def butina(bits: np.ndarray, similar: float = SIMILAR) -> np.ndarray:
    """(n,) int64 cluster of each row; clusters are numbered in the order in which they are found.

    Rows in order of their number of neighbours, most first, ties by row: one that is still free becomes a centre and
    takes all its free neighbours. The numbers of neighbours are counted once, at the start (Butina 1999,
    doi:10.1021/ci9803381).
    """
    if len(bits) > MOST:
        raise UserError(
            f"The split 'butina' compares every pair, and {len(bits)} molecules are too many (at most {MOST}). "
            "Use 'scaffold-balanced' or 'grouped'."
        )
    table, totals = neighbours(bits, similar)
    cluster = np.full(len(bits), -1, np.int64)
    found = 0
    for row in np.argsort(-totals, kind="stable").tolist():
        if cluster[row] < 0:
            near = np.unpackbits(table[row], count=len(bits)).view(bool)
            cluster[near & (cluster < 0)] = found
            found += 1
    return cluster

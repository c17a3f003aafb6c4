"""Geometries as numbers: distances by pair of elements and angles by triple, in smooth bins.

A distance or an angle is shared between the two bins around it in proportion to how near it lies, so small moves make
small changes. Nothing depends on the order of the atoms, on where the molecule lies or on how it is turned.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

NEAR, FAR = 0.6, 15.0  # Å, ends of the distance bins; what lies outside is counted in the outermost
DISTANCES = 96  # bins, equally spaced in the inverse distance
ANGLES = 24  # bins, equally spaced in the cosine
REACH = 2.0  # Å: an angle counts with w(r) w(r') of its sides, w falling from 1 to 0 at this length
CELLS = 4_000_000  # cells of the table that is filled at a time


def histograms(
    starts: np.ndarray, elements: np.ndarray, positions: np.ndarray, kinds: np.ndarray | None = None
) -> sparse.csr_array:
    """(n, D) float64 of n molecules: every column for the elements `kinds` (k,), ascending, which hold all that occur.

    starts: (n + 1,)   elements: (N,) atomic numbers   positions: (N, 3) in Å; atoms of molecule i are starts[i] to
    starts[i + 1]. Without `kinds` only the columns are given that are not 0 for all molecules.
    """
    known = np.unique(elements) if kinds is None else kinds
    element = np.searchsorted(known, elements)
    count, sizes = len(known), np.diff(starts)
    pairs = count * count
    wide = (pairs * DISTANCES, count * pairs * ANGLES)
    width = sum(wide)
    tables, rows = [], []
    for chosen in chunks(sizes, width):
        atoms = starts[chosen][:, None] + np.arange(sizes[chosen[0]])  # (B, a)
        kind, place = element[atoms], positions[atoms]
        apart = place[:, None, :, :] - place[:, :, None, :]  # (B, a, a, 3) from the first atom to the second
        length = np.sqrt((apart**2).sum(axis=-1))
        pair = distances(kind, length, count)
        triple = angles(kind, apart, length, count)
        table = np.bincount(pair[0] * width + pair[1], pair[2], len(chosen) * width)
        table += np.bincount(triple[0] * width + wide[0] + triple[1], triple[2], len(table))
        tables.append(sparse.csr_array(table.reshape(len(chosen), width)))
        rows.append(chosen)
    if not tables:
        return sparse.csr_array((len(sizes), 0 if kinds is None else width))
    order = np.argsort(np.concatenate(rows), kind="stable")
    whole = sparse.csr_array(sparse.vstack(tables, format="csr")[order])
    return whole[:, np.unique(whole.indices)] if kinds is None else whole


def chunks(sizes: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """Molecules of equal size (B,), so few at a time that no table is large."""
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        step = max(1, CELLS // (width + 20 * int(size) ** 2))
        yield from (rows[start : start + step] for start in range(0, len(rows), step))


Counts = tuple[np.ndarray, np.ndarray, np.ndarray]  # row, column and weight of what is counted


def distances(kind: np.ndarray, length: np.ndarray, count: int) -> Counts:
    """Distances of all pairs. kind: (B, a)   length: (B, a, a)"""
    first, second = np.triu_indices(kind.shape[1], 1)
    low, high = np.minimum(kind[:, first], kind[:, second]), np.maximum(kind[:, first], kind[:, second])
    distance = np.clip(length[:, first, second], NEAR, FAR)
    place = (1 / NEAR - 1 / distance) / (1 / NEAR - 1 / FAR) * (DISTANCES - 1)
    rows = np.repeat(np.arange(len(kind)), len(first))
    return shared(rows, (low * count + high).reshape(-1), place.reshape(-1), np.ones(len(rows)), DISTANCES)


def angles(kind: np.ndarray, apart: np.ndarray, length: np.ndarray, count: int) -> Counts:
    """Angles between the neighbours of each atom. kind: (B, a)   apart: (B, a, a, 3)   length: (B, a, a)"""
    near = (length < REACH) & ~np.eye(kind.shape[1], dtype=bool)
    row, centre, end = np.nonzero(near)  # sorted by row and centre
    owner = row * kind.shape[1] + centre
    degree = np.bincount(owner, minlength=kind.size)
    # Each edge is paired with every later edge of its centre.
    later = np.cumsum(degree)[owner] - 1 - np.arange(len(owner))
    one = np.repeat(np.arange(len(owner)), later)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(later) - later, later)
    row, centre, ends = row[one], centre[one], (end[one], end[other])
    sides = [length[row, centre, atom] for atom in ends]
    dot = (apart[row, centre, ends[0]] * apart[row, centre, ends[1]]).sum(axis=-1)
    cosine = np.clip(dot / np.maximum(sides[0] * sides[1], 1e-12), -1, 1)
    weight = fall(sides[0]) * fall(sides[1])
    outer = [kind[row, atom] for atom in ends]
    triple = (kind[row, centre] * count + np.minimum(*outer)) * count + np.maximum(*outer)
    return shared(row, triple, (cosine + 1) / 2 * (ANGLES - 1), weight, ANGLES)


def fall(length: np.ndarray) -> np.ndarray:
    """Weight of a side: about 1 for a bond, smoothly 0 at REACH."""
    return np.asarray(1 - (length / REACH) ** 8) ** 2


def shared(row: np.ndarray, kind: np.ndarray, place: np.ndarray, weight: np.ndarray, bins: int) -> Counts:
    """Each weight goes to the two bins around its place (from 0 to bins - 1), more of it to the nearer."""
    low = np.minimum(place.astype(np.int64), bins - 2)
    up = place - low
    column = kind * bins + low
    return (
        np.concatenate([row, row]),
        np.concatenate([column, column + 1]),
        np.concatenate([weight * (1 - up), weight * up]),
    )

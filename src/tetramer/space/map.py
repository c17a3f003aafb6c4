"""Vectors → a plane: the two directions in which they vary most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError

Floats = NDArray[np.float64]

BLOCK = 8192  # rows at a time
LEAST = 3  # rows, and two dimensions, that a plane needs


@dataclass(frozen=True)
class Map:
    """A plane through n vectors of D dimensions, and where each of them lies in it."""

    points: Floats  # (n, 2); NaN where a vector has a NaN
    explained: Floats  # (2,) share of the variance along each axis
    centre: Floats  # (D,)
    axes: Floats  # (2, D) orthonormal

    def project(self, vectors: np.ndarray) -> Floats:
        """Where other vectors lie: (m, D) → (m, 2), NaN for a vector with a NaN."""
        out = np.full((len(vectors), 2), np.nan)
        rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            out[part] = (vectors[part] - self.centre) @ self.axes.T
        return out


def pca(vectors: np.ndarray) -> Map:
    """The plane of largest variance through the rows without NaN. vectors: (n, D)

    Each axis points to where its largest coefficient is positive (of equal ones, the first), so the same vectors give
    the same map on every machine, unless two axes have the same variance. Nothing is scaled: where columns have
    different units, divide each by its standard deviation before.

    UserError for fewer than three such rows or fewer than two dimensions.
    """
    rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    if len(rows) < LEAST or vectors.shape[1] < 2:
        raise UserError(
            f"A map needs {LEAST} rows and 2 dimensions or more; there are {len(rows)} rows without NaN of "
            f"{vectors.shape[1]} dimensions."
        )
    centre = vectors[rows].mean(axis=0, dtype=np.float64)
    axes, variances, total = _short(vectors, rows, centre) if len(rows) < len(centre) else _long(vectors, rows, centre)
    peak = np.abs(axes).round(9).argmax(axis=1)
    axes = axes * np.where(np.take_along_axis(axes, peak[:, None], axis=1) < 0, -1.0, 1.0)
    explained = variances / total if total > 0 else np.zeros(2)
    plane = Map(np.empty((0, 2)), explained, centre, axes)
    return Map(plane.project(vectors), explained, centre, axes)


Axes = tuple[Floats, Floats, float]  # (2, D) directions, (2,) sums of squares along them, and in all directions


def _short(vectors: np.ndarray, rows: np.ndarray, centre: Floats) -> Axes:
    """Fewer rows than dimensions: from the singular values."""
    _, lengths, directions = np.linalg.svd(vectors[rows] - centre, full_matrices=False)
    squares = lengths**2
    return directions[:2], squares[:2], float(squares.sum())


def _long(vectors: np.ndarray, rows: np.ndarray, centre: Floats) -> Axes:
    """From the D × D table of products, block by block, so that no second copy of the vectors is made."""
    from scipy.linalg import eigh

    wide = len(centre)
    products = np.zeros((wide, wide))
    for start in range(0, len(rows), BLOCK):
        moved = vectors[rows[start : start + BLOCK]] - centre
        products += moved.T @ moved
    squares, directions = eigh(products, subset_by_index=[wide - 2, wide - 1])
    return directions.T[::-1], np.maximum(squares[::-1], 0.0), float(np.trace(products))

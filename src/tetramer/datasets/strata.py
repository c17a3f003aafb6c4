"""Classes of a column of names or numbers, and places at equal distances: what a stratified split is made of."""

from collections.abc import Sequence

import numpy as np

CLASSES = 20  # a column of numbers with more different values is cut at quantiles
BINS = 10  # of equal size


def evenly(count: int, wanted: int, stream: np.random.Generator) -> np.ndarray:
    """(count,) bool with `wanted` places True at equal distances, from a random start."""
    start = int(stream.integers(max(count, 1)))
    steps = (np.arange(count + 1, dtype=np.int64) * wanted + start) // max(count, 1)
    return np.diff(steps) > 0


def strata(cells: Sequence[object]) -> np.ndarray:
    """(n,) int64 class of each cell; None is a class."""
    numbers = numbers_of(cells)
    if numbers is not None:
        known = numbers[np.isfinite(numbers)]
        edges = np.unique(known)
        if len(edges) > CLASSES:
            edges = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
        return np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="right"), -1)
    names = ["" if cell is None else f"={cell}" for cell in cells]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def numbers_of(cells: Sequence[object]) -> np.ndarray | None:
    """(n,) float64, NaN for None; None if a cell is no number."""
    try:
        return np.array([np.nan if cell is None else float(str(cell)) for cell in cells])
    except ValueError:
        return None

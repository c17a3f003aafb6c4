"""The interval of a statistic over molecules: molecules are drawn again with replacement, and the statistic too."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Finish = Callable[[Floats], Floats]  # means of the columns (B, C) → the statistic of each resample (B,)

LEVEL = 0.95
DRAWS = 2000
CELLS = 4_000_000  # counts held at a time


def interval(columns: Floats, finish: Finish, seed: int) -> tuple[float, float, float]:
    """(value, low, high) of a function of column means, with its 95 % percentile interval.

    columns: (n, C), what each molecule adds. Drawing whole rows keeps what belongs to one molecule together, so a ratio
    of two means is resampled as a ratio. The same seed gives the same interval.
    """
    value = float(finish(columns.mean(axis=0)[None])[0])
    rng = np.random.Generator(np.random.Philox(seed))
    drawn = np.concatenate([finish(counts @ columns / len(columns)) for counts in _resamples(rng, len(columns))])
    low, high = np.quantile(drawn[np.isfinite(drawn)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return value, float(low), float(high)


def means(columns: Floats, seed: int) -> Floats:
    """(3, C): the means of `columns` (n, C), and the low and high ends of their intervals, all from the same draws."""
    rng = np.random.Generator(np.random.Philox(seed))
    drawn = np.concatenate([counts @ columns / len(columns) for counts in _resamples(rng, len(columns))])
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.concatenate([columns.mean(axis=0)[None], ends])


def ratio(means: Floats) -> Floats:
    """First column over the second: (B, 2) → (B,)"""
    out: Floats = np.divide(means[:, 0], means[:, 1], out=np.full(len(means), np.nan), where=means[:, 1] > 0)
    return out


def mean(means: Floats) -> Floats:
    """(B, 1) → (B,)"""
    return np.asarray(means[:, 0])


def _resamples(rng: np.random.Generator, n: int) -> Iterator[Floats]:
    """Blocks (b, n) of counts, how often each molecule was drawn; each row adds up to n."""
    size = max(1, CELLS // n)
    for start in range(0, DRAWS, size):
        b = min(size, DRAWS - start)
        cells = rng.integers(0, n, (b, n)) + n * np.arange(b)[:, None]
        yield np.bincount(cells.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)

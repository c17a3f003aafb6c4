"""What is known of the labels before learning begins. Numpy; rows are molecules, columns targets, NaN is missing."""

import numpy as np

_FOLDS = 5
_FEWEST = 50  # known labels; below this nothing is called explained


def moments(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of the known values of each target.

    values: (n, T)   weight: (n,)   →   (T,), (T,) float64; 0 and 1 for a target without labels, deviation 1 where all
    are equal.
    """
    known = np.isfinite(values)
    w = np.where(known, weight[:, None], 0.0)
    total = w.sum(0)
    safe = np.where(total > 0, total, 1.0)
    mean = (w * np.where(known, values, 0.0)).sum(0) / safe
    std = np.sqrt((w * np.where(known, values - mean, 0.0) ** 2).sum(0) / safe)
    return mean, np.where(std > 1e-12 * np.maximum(np.abs(mean), 1e-300), std, 1.0)


def element_reference(values: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """Least squares on element counts: what one atom of each element adds to each target.

    values: (n, T)   elements: (n, E)   →   (E, T) float64; 0 for elements that no labelled molecule has. A ridge of
    1e-10 on columns of unit length keeps elements that always come together apart, and rare ones unharmed.
    """
    counts = elements.astype(np.float64)
    reference = np.zeros((counts.shape[1], values.shape[1]))
    for target, column in enumerate(values.T):
        known = np.isfinite(column)
        seen = np.flatnonzero(counts[known].any(0))
        x = counts[np.ix_(known, seen)]
        if x.size:
            length = np.sqrt((x**2).sum(0))
            x = x / length
            square = x.T @ x + 1e-10 * np.eye(len(seen))
            reference[seen, target] = np.linalg.solve(square, x.T @ column[known]) / length
    return reference


def explained_by_atoms(values: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """`explained` of least squares on element counts in 5-fold cross-validation, for each target.

    values: (n, T)   elements: (n, E) counts, hydrogens included   →   (T,). Molecules with an element that the other
    folds lack are passed over.
    """
    return np.array([_explained(column, elements) for column in values.T])


def explained(truth: np.ndarray, error: np.ndarray) -> float:
    """R² of held-out errors (n,), medians of squares standing for means: a share of wrong labels does not decide.

    NaN in both is passed over. 0 with fewer than 50 labels, and where half of them are equal.
    """
    known = np.isfinite(truth)
    if known.sum() < _FEWEST or not np.isfinite(error).any():
        return 0.0
    spread = float(np.median((truth[known] - np.median(truth[known])) ** 2))
    return 1 - float(np.nanmedian(error**2)) / spread if spread > 0 else 0.0


def _explained(column: np.ndarray, elements: np.ndarray) -> float:
    known = np.flatnonzero(np.isfinite(column))
    if len(known) < _FEWEST:
        return 0.0
    y, x = column[known].astype(np.float64), elements[known].astype(np.float64)
    fold = np.random.Generator(np.random.Philox(0)).permutation(len(known)) % _FOLDS
    error = np.full(len(y), np.nan)
    for part in range(_FOLDS):
        rest = fold != part
        out = ~rest & ~x[:, ~x[rest].any(0)].any(1)
        error[out] = y[out] - x[out] @ element_reference(y[rest, None], x[rest])[:, 0]
    return explained(y, error)


def class_weights(values: np.ndarray, weight: np.ndarray, classes: int, balance: bool) -> np.ndarray:
    """What a label of each class counts for.

    values: (n, T) classes 0 … K - 1   weight: (n,)   →   (T, K) float64. With `balance` n / (K' n_k), K' classes being
    present, so that every class has the same share; otherwise 1. 1 for a class that nobody has, but 0 beyond the last
    class that somebody has: a target may have fewer classes than K. The first two are never 0.
    """
    shares = np.stack([np.where(values == k, weight[:, None], 0.0).sum(0) for k in range(classes)], 1)  # (T, K)
    present = shares > 0
    last = np.where(present, np.arange(classes), 1).max(1, initial=1)
    equal = shares.sum(1, keepdims=True) / np.maximum(present.sum(1, keepdims=True) * shares, 1e-300)
    weights = np.where(present & balance, equal, 1.0)
    return np.where(np.arange(classes) <= last[:, None], weights, 0.0)

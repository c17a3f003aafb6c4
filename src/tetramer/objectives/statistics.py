"""What is known of the labels before learning begins. Numpy; rows are molecules, columns targets, NaN is missing."""

import numpy as np

_FOLDS = 5
_FEWEST = 50  # known labels; below this no target is called extensive


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
    1e-8 of the mean squared count keeps elements that always come together apart.
    """
    counts = elements.astype(np.float64)
    reference = np.zeros((counts.shape[1], values.shape[1]))
    for target, column in enumerate(values.T):
        known = np.isfinite(column)
        seen = np.flatnonzero(counts[known].any(0))
        x = counts[np.ix_(known, seen)]
        if x.size:
            square = x.T @ x
            square[np.diag_indices_from(square)] += 1e-8 * np.trace(square) / len(seen)
            reference[seen, target] = np.linalg.solve(square, x.T @ column[known])
    return reference


def is_extensive(values: np.ndarray, elements: np.ndarray) -> bool:
    """Whether every target grows with the molecule so that a sum over its atoms explains it.

    values: (n, T) or (n,)   elements: (n, E) counts, hydrogens included

    True if least squares on element counts predicts held-out labels with R² > 0.95 in 5-fold cross-validation. Energies
    of formation or atomisation are (R² > 0.99); solubility, log D and hydration free energy are not (R² < 0.7). False
    with fewer than 50 labels.
    """
    columns = values.reshape(len(values), -1).T
    return bool(len(columns)) and all(_explained(column, elements) > 0.95 for column in columns)


def _explained(column: np.ndarray, elements: np.ndarray) -> float:
    """Cross-validated R² of one target, (n,), on element counts, (n, E)."""
    known = np.flatnonzero(np.isfinite(column))
    if len(known) < _FEWEST:
        return 0.0
    y, x = column[known].astype(np.float64), elements[known].astype(np.float64)
    fold = np.random.Generator(np.random.Philox(0)).permutation(len(known)) % _FOLDS
    error = np.empty(len(y))
    for part in range(_FOLDS):
        out = fold == part
        error[out] = y[out] - x[out] @ element_reference(y[~out, None], x[~out])[:, 0]
    spread = ((y - y.mean()) ** 2).sum()
    return float(1 - (error**2).sum() / spread) if spread > 0 else 0.0


def class_weights(values: np.ndarray, weight: np.ndarray, classes: int) -> np.ndarray:
    """Weights that give every class of a target the same share: n / (K' n_k), K' classes being present.

    values: (n, T) classes 0 … K - 1   weight: (n,)   →   (T, K) float64; 1 for a class nobody has.
    """
    shares = np.stack([np.where(values == k, weight[:, None], 0.0).sum(0) for k in range(classes)], 1)  # (T, K)
    present = np.maximum((shares > 0).sum(1, keepdims=True), 1)
    return np.where(shares > 0, shares.sum(1, keepdims=True) / (present * np.where(shares > 0, shares, 1.0)), 1.0)

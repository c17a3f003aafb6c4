"""Ridge regression on wide or sparse tables, its strength chosen by the exact error of leaving one row out."""

from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import sparse

Matrix: TypeAlias = "np.ndarray | sparse.csr_array"  # (n, D)

RIDGES = 10.0 ** np.arange(4, -10.5, -0.5)  # λ tried, in units of the mean eigenvalue; of equal ones the first
FEWEST = 3  # labels of a target; with fewer its mean is answered
LEAST = 1e-9  # of 1 − leverage; a λ that gives a row less is not taken, as its error is rounding
BLOCK = 4_096  # rows that are turned into the eigenbasis at a time


class Ridge(NamedTuple):
    """A fit :math:`\\hat y = b + z^T w`, and by how much it misses each row when that row is left out."""

    weights: np.ndarray  # (D, T) w
    constant: np.ndarray  # (T,) b
    missed: np.ndarray  # (n, T) y − ŷ of the rows fitted on, each by the fit without it

    def __call__(self, z: Matrix) -> np.ndarray:
        """(m, D) → (m, T)"""
        return np.asarray(z @ self.weights + self.constant)


def fit_ridge(z: Matrix, y: np.ndarray, centre: np.ndarray) -> Ridge:
    r"""Ridge regression with the λ of RIDGES whose exact leave-one-out error is least, for each target alone.

    z: (n, D) with column means `centre` (D,)   y: (n, T), no NaN

    With the centred :math:`Z^T Z = V S V^T` and :math:`t = V^T z_i`, a row left out misses by
    :math:`(y_i - \hat y_i) / (1 - h_i)`, :math:`h_i = 1/n + \sum_k t_k^2 / (S_k + λ)`. Fewer than FEWEST rows, or no
    column, give the mean.
    """
    mean = y.mean(axis=0) if len(y) else np.full(y.shape[1], np.nan)
    if len(y) < FEWEST or not z.shape[1]:
        return Ridge(np.zeros((z.shape[1], y.shape[1])), mean, y - mean)
    roots, vectors = eigenbasis(z, centre)
    projected = vectors.T @ (z.T @ (y - mean))  # (r, T)
    shrunk = 1 / (roots[:, None] + RIDGES * roots.sum() / z.shape[1])  # (r, L)
    missed = np.empty((len(RIDGES), *y.shape))
    for start in range(0, len(y), BLOCK):
        block = slice(start, start + BLOCK)
        turned = z[block] @ vectors - centre @ vectors  # (b, r)
        free = 1 - 1 / len(y) - turned**2 @ shrunk  # (b, L)
        free[free < LEAST] = np.nan
        for target in range(y.shape[1]):
            left = (y[block, target] - mean[target])[:, None] - turned @ (shrunk * projected[:, [target]])
            missed[:, block, target] = (left / free).T
    error = (missed**2).sum(axis=1)  # (L, T)
    best = np.where(np.isfinite(error), error, np.inf).argmin(axis=0)
    weights = vectors @ (projected * shrunk[:, best])  # (D, T)
    chosen = np.stack([missed[place, :, target] for target, place in enumerate(best.tolist())], axis=1)
    return Ridge(weights, mean - centre @ weights, chosen)


def eigenbasis(z: Matrix, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (r,) and eigenvectors (D, r) of the centred z^T z, by way of the smaller of z^T z and z z^T."""
    from scipy.linalg import eigh

    count, width = z.shape
    square = z.T @ z if width <= count else z @ z.T
    dense = square if isinstance(square, np.ndarray) else square.toarray()
    if width <= count:
        roots, vectors = eigh(dense - count * np.outer(centre, centre), driver="evd", overwrite_a=True)
        return np.maximum(roots, 0), vectors
    along = z @ centre
    dense = dense - along[:, None] - along + centre @ centre
    roots, vectors = eigh(dense, driver="evd", overwrite_a=True)
    kept = roots > 1e-12 * roots[-1]
    roots, vectors = roots[kept], vectors[:, kept]
    return roots, (z.T @ vectors - np.outer(centre, vectors.sum(axis=0))) / np.sqrt(roots)

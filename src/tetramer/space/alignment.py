"""How alike two sets of vectors of the same molecules are, whatever their dimensions: centred kernel alignment."""

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError

Floats = NDArray[np.float64]


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear CKA of (n, D) and (n, E): ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖) of centred columns, Frobenius norms; from 0 to 1.

    1 if one is the other turned, mirrored, moved and scaled. Rows with a NaN in either are left out; NaN if one set is
    constant. With fewer rows than dimensions it is near 1 for anything, and `unbiased_cka` tells more. Kornblith et al.
    2019, arXiv:1905.00414.
    """
    x, y = _both(first, second, 2)
    return _quotient(float(np.sum((x.T @ y) ** 2)), float(np.sum((x.T @ x) ** 2)), float(np.sum((y.T @ y) ** 2)))


def unbiased_cka(first: np.ndarray, second: np.ndarray) -> float:
    """The same without the products of a row with itself: 0 on average for independent vectors, also below 0.

    The estimator of Song et al. 2012 (JMLR 13:1393), written with the (n, D) vectors, so that no n × n table is made.
    Four rows or more. Invariances as of `cka`.
    """
    x, y = _both(first, second, 4)
    return _quotient(_unbiased(x, y), _unbiased(x, x), _unbiased(y, y))


def _quotient(across: float, left: float, right: float) -> float:
    return across / np.sqrt(left * right) if left > 0 and right > 0 else float("nan")


def _both(first: np.ndarray, second: np.ndarray, least: int) -> tuple[Floats, Floats]:
    """The rows known on both sides, centred, each side with a mean square of 1 (or all zeros)."""
    if len(first) != len(second):
        raise UserError(
            f"The vectors have {len(first)} and {len(second)} rows. Give both the same molecules, in the same order."
        )
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    if known.sum() < least:
        raise UserError(f"{known.sum()} rows have both vectors, and alignment needs {least} or more.")
    return _scaled(first[known]), _scaled(second[known])


def _scaled(vectors: np.ndarray) -> Floats:
    moved = vectors.astype(np.float64)
    scale = float(np.abs(moved).max(initial=0.0)) or 1.0
    moved = moved / scale
    moved -= moved.mean(axis=0)
    size = float(np.sqrt(np.mean(moved**2)))
    return moved / size if size > 1e-12 else np.zeros_like(moved)  # what is left of equal rows is rounding


def _unbiased(x: Floats, y: Floats) -> float:
    """tr(KL) + 1ᵀK1 1ᵀL1 / ((n − 1)(n − 2)) − 2 / (n − 2) 1ᵀKL1, K = XXᵀ and L = YYᵀ with empty diagonals."""
    n = len(x)
    own_x, own_y = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)
    sums_x, sums_y = x @ x.sum(axis=0) - own_x, y @ y.sum(axis=0) - own_y  # of the rows of K and L
    trace = float(np.sum((x.T @ y) ** 2)) - float(own_x @ own_y)
    squares = float(sums_x.sum() * sums_y.sum()) / ((n - 1) * (n - 2))
    return trace + squares - 2 * float(sums_x @ sums_y) / (n - 2)

"""Ridge regression: its λ and the error of rows left out, against fits without each row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tetramer.members.ridge import LEAST, RIDGES, fit_ridge


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@given(seed=st.integers(0, 1000), count=st.integers(4, 12), width=st.integers(1, 20), is_sparse=st.booleans())
def test_lambda_is_that_of_the_least_error_of_rows_left_out_one_by_one(
    seed: int, count: int, width: int, is_sparse: bool
) -> None:
    """Brute force: fit without each row, with the centre of all rows as the formula has it."""
    x, y = numbers(seed, count, width), numbers(seed + 1, count)
    z = x - x.mean(axis=0)
    design = np.column_stack([np.ones(count), z])
    mean_root = (z**2).sum() / width
    errors, answers, missed = [], [], []
    for penalty in RIDGES * mean_root:
        matrix = np.diag([0.0, *np.full(width, penalty)])
        left = []
        for row in range(count):
            rest = np.arange(count) != row
            w = np.linalg.solve(design[rest].T @ design[rest] + matrix, design[rest].T @ y[rest])
            left.append(y[row] - design[row] @ w)
        missed.append(left)
        errors.append(float(np.square(left).sum()))
        answers.append(design @ np.linalg.solve(design.T @ design + matrix, design.T @ y))
    told = (
        fit_ridge(sparse.csr_array(x), y[:, None], x.mean(axis=0)) if is_sparse else fit_ridge(z, y[:, None], 0 * x[0])
    )
    fitted = told(x if is_sparse else z)[:, 0]
    chosen = int(np.argmin([np.abs(fitted - answer).max() for answer in answers]))
    np.testing.assert_allclose(fitted, answers[chosen], atol=1e-5)
    tried = [error for error, penalty in zip(errors, RIDGES, strict=True) if penalty > 100 * LEAST]
    assert errors[chosen] <= min(tried) * (1 + 1e-4)
    np.testing.assert_allclose(told.missed[:, 0], missed[chosen], rtol=1e-3, atol=1e-3)


def test_few_rows_give_the_mean() -> None:
    told = fit_ridge(np.ones((2, 3)), np.array([[1.0], [3.0]]), np.ones(3))
    assert told(np.full((1, 3), 7.0)) == 2.0
    assert told.missed[:, 0].tolist() == [-1.0, 1.0]

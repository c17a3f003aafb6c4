"""Centred kernel alignment: its invariances, its exact values, and the same by n × n kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.errors import UserError
from tetramer.space import cka, unbiased_cka

BOTH = pytest.mark.parametrize("align", [cka, unbiased_cka])


def kernel_cka(x: np.ndarray, y: np.ndarray) -> float:
    """By kernels, HKH·HLH."""
    centre = np.eye(len(x)) - 1 / len(x)
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def kernel_unbiased(x: np.ndarray, y: np.ndarray) -> float:
    """By kernels with empty diagonals, term by term."""
    n, ones = len(x), np.ones(len(x))
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        whole = (ones @ a @ ones) * (ones @ b @ ones) / ((n - 1) * (n - 2))
        return float(np.trace(a @ b) + whole - 2 / (n - 2) * ones @ a @ b @ ones)

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@BOTH
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_turned_scaled_and_moved_vectors_are_the_same(align, seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 3))
    turned = scale * x @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + shift
    assert align(x, turned) == pytest.approx(1, abs=1e-9)
    y = rng.normal(size=(12, 5))
    assert align(x, y) == pytest.approx(align(turned, y), abs=1e-9)
    assert align(x, y) == pytest.approx(align(y, x), abs=1e-12)


def test_a_stretch_along_one_axis_is_seen() -> None:
    x = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert cka(x, x * [2, 1]) == pytest.approx(5 / np.sqrt(2 * 17))  # (4 + 1) / (√(1 + 1) √(16 + 1))
    assert cka(x[:, :1], x[:, 1:]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "d", "e"), [(6, 2, 3), (8, 20, 4), (40, 7, 7)])
def test_both_as_kernels_have_them(n: int, d: int, e: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, e))
    y[:, 0] += x[:, 0]
    assert cka(x, y) == pytest.approx(kernel_cka(x, y), rel=1e-9)
    assert unbiased_cka(x, y) == pytest.approx(kernel_unbiased(x, y), rel=1e-9)


def test_only_the_unbiased_one_is_zero_for_many_dimensions() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2000)), rng.normal(size=(60, 2000))
    assert cka(x, y) > 0.9
    assert abs(unbiased_cka(x, y)) < 0.05


@BOTH
def test_rows_with_nan_are_left_out_and_constants_have_no_value(align) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    with_gaps = x.copy()
    with_gaps[3, 1] = np.nan
    keep = np.arange(20) != 3
    assert align(with_gaps, y) == pytest.approx(align(x[keep], y[keep]))
    assert np.isnan(align(x, np.full((20, 2), 1e6 + 0.1)))


@BOTH
def test_errors_teach(align) -> None:
    with pytest.raises(UserError, match="5 and 4 rows"):
        align(np.eye(5), np.eye(4))
    with pytest.raises(UserError, match="1 rows have both vectors"):
        align(np.ones((1, 2)), np.ones((1, 2)))

"""The plane of a map: exact answers, two ways to it, its sign, and new points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.errors import UserError
from tetramer.space import pca


def test_a_cross_by_hand() -> None:
    cross = np.array([[3.0, 4, 0], [-3, -4, 0], [0, 0, 1], [0, 0, -1]])
    told = pca(cross + np.array([10, 20, 30]))
    np.testing.assert_allclose(told.axes, [[0.6, 0.8, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(told.points, [[5, 0], [-5, 0], [0, 1], [0, -1]], atol=1e-12)
    np.testing.assert_allclose(told.explained, [50 / 52, 2 / 52])
    np.testing.assert_allclose(told.centre, [10, 20, 30])
    np.testing.assert_allclose(told.project(np.array([[10.0, 20, 32], [np.nan, 0, 0], [np.inf, 0, 0]]))[0], [0, 2])


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (9000, 3)])
def test_both_ways_agree_with_singular_values(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(size=shape) * np.linspace(3, 1, shape[1])
    told = pca(vectors)
    moved = vectors - vectors.mean(axis=0)
    left, lengths, _ = np.linalg.svd(moved, full_matrices=False)
    np.testing.assert_allclose(np.abs(told.points), np.abs(left[:, :2] * lengths[:2]), atol=1e-8)
    np.testing.assert_allclose(told.explained, lengths[:2] ** 2 / (lengths**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(told.axes @ told.axes.T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(told.project(vectors), told.points)


@given(st.integers(0, 10_000))
def test_the_sign_does_not_hang_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(20, 3)) * [4, 2, 1]
    told, order = pca(vectors), rng.permutation(20)
    np.testing.assert_allclose(pca(vectors[order]).points, told.points[order], atol=1e-9)
    assert (np.take_along_axis(told.axes, np.abs(told.axes).argmax(axis=1)[:, None], axis=1) > 0).all()


@given(st.integers(0, 10_000))
def test_turning_keeps_the_distances_in_the_plane(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(20, 4)) * [8, 4, 2, 1]
    turned = pca(vectors @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + 5).points
    np.testing.assert_allclose(np.abs(turned), np.abs(pca(vectors).points), atol=1e-8)


def test_rows_without_vectors_lie_nowhere_and_move_nothing() -> None:
    vectors = np.random.default_rng(1).normal(size=(10, 3))
    gaps = np.insert(vectors, 4, np.nan, axis=0)
    told = pca(gaps)
    assert np.isnan(told.points[4]).all()
    np.testing.assert_allclose(np.delete(told.points, 4, axis=0), pca(vectors).points)


def test_equal_rows_are_one_point() -> None:
    told = pca(np.ones((5, 3)))
    assert (told.points.tolist(), told.explained.tolist()) == ([[0, 0]] * 5, [0, 0])


def test_errors_teach() -> None:
    with pytest.raises(UserError, match="there are 2 rows without NaN of 3 dimensions"):
        pca(np.ones((2, 3)))
    with pytest.raises(UserError, match="of 1 dimensions"):
        pca(np.ones((5, 1)))

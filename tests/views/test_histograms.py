"""Histograms of geometries: what they count, and that they do not see order or place."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.views import histograms as module
from tetramer.views.histograms import ANGLES, DISTANCES, FAR, NEAR, histograms

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def turned(seed: int) -> np.ndarray:
    """A random rotation, of determinant 1."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def crowd(seed: int, sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Molecules of H, C and O at random places, about as dense as real ones."""
    draw, count = np.random.default_rng(seed), sum(sizes)
    places = draw.normal(size=(count, 3)) * 1.5
    return np.concatenate([[0], np.cumsum(sizes)]), draw.choice([1, 6, 8], count).astype(np.uint8), places


@given(seed=st.integers(0, 10_000))
def test_nothing_depends_on_place_turn_or_order(seed: int) -> None:
    starts, elements, places = crowd(seed, (5, 1, 7, 5))
    told = histograms(starts, elements, places).toarray()
    moved = places @ turned(seed + 1).T + [3.0, -2.0, 5.0]
    order = np.concatenate(
        [start + np.random.default_rng(seed + 2).permutation(stop - start) for start, stop in pairwise(starts)]
    )
    np.testing.assert_allclose(histograms(starts, elements, moved).toarray(), told, atol=1e-9)
    np.testing.assert_allclose(histograms(starts, elements[order], places[order]).toarray(), told, atol=1e-12)


def test_every_pair_and_every_angle_is_counted_once() -> None:
    """Three pairs and, with one side too long for a bond, one angle; its weight is that of its sides."""
    told = histograms(np.array([0, 3]), np.array([8, 1, 1]), WATER)
    sides = np.linalg.norm(WATER[[1, 2]], axis=1)
    apart = np.linalg.norm(WATER[1] - WATER[2])
    assert apart < module.REACH  # so the two hydrogens have an angle each, too
    side = [(1 - (length / module.REACH) ** 8) ** 2 for length in (*sides, apart)]
    angles = side[0] * side[1] + side[0] * side[2] + side[1] * side[2]
    assert told.sum() == pytest.approx(3 + angles)


def test_a_distance_lies_between_its_two_bins() -> None:
    """The weighted mean of the bins of a pair is its place in 1 / r."""
    for length in (NEAR, 0.74, 1.1, 3.0, FAR):
        told = histograms(np.array([0, 2]), np.array([1, 1]), np.array([[0.0, 0, 0], [0, length, 0]]))
        assert told.sum() == pytest.approx(1)
        assert told.shape[1] <= 2
    two = np.array([[0.0, 0, 0], [0, 0, 1.0], [0.0, 0, 0], [0, 0, 1.0 + 1e-6]])
    told = histograms(np.array([0, 2, 4]), np.array([1, 1, 1, 1]), two).toarray()
    assert np.abs(told[0] - told[1]).max() < 1e-6 * DISTANCES * 2


def test_elements_are_told_apart_and_an_angle_has_a_centre() -> None:
    starts, places = np.array([0, 3, 6]), np.concatenate([WATER, WATER])
    told = histograms(starts, np.array([8, 1, 1, 1, 8, 1]), places).toarray()
    assert not np.allclose(told[0], told[1])
    assert told[0].sum() == pytest.approx(told[1].sum())


def test_a_row_does_not_depend_on_the_others() -> None:
    starts, elements, places = crowd(1, (6, 6, 0, 4))
    told = histograms(starts, elements, places).toarray()
    assert not told[2].any()
    alone = histograms(np.array([0, 6]), elements[6:12], places[6:12]).toarray()[0]
    np.testing.assert_allclose(told[1][told[1] != 0], alone[alone != 0])


def test_small_tables_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    starts, elements, places = crowd(2, (5, 5, 5, 3))
    told = histograms(starts, elements, places).toarray()
    monkeypatch.setattr(module, "CELLS", 1)
    np.testing.assert_array_equal(histograms(starts, elements, places).toarray(), told)


def test_odd_geometries() -> None:
    assert histograms(np.array([0]), np.zeros(0, np.uint8), np.zeros((0, 3))).shape == (0, 0)
    same = histograms(np.array([0, 3]), np.array([6, 6, 1]), np.zeros((3, 3)))  # all atoms at one place
    assert np.isfinite(same.toarray()).all()
    assert ANGLES > 1

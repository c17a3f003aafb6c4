"""Counts of molecules: exact on small ones, and sums of sets."""

import numpy as np

from tetramer.molecules import Limits
from tetramer.views import VIEWS, read
from tetramer.views.tallies import tallies


def test_atoms_with_their_hydrogens() -> None:
    told = tallies(["CCO", "[Na+].[Cl-]", "broken", "[2H]C", "*C"]).elements.toarray()
    assert told.shape == (5, 119)
    assert [{k: int(n) for k, n in enumerate(row) if n} for row in told] == [
        {1: 6, 6: 2, 8: 1},
        {11: 1, 17: 1},
        {},
        {1: 4, 6: 1},
        {0: 1, 1: 3, 6: 1},
    ]


def test_environments_are_those_of_the_fingerprint(smiles: list[str]) -> None:
    reading = read(smiles, ["fingerprint"], limits=Limits(0))
    dense = VIEWS["fingerprint"].collate(reading.features["fingerprint"], np.arange(len(smiles)))
    told = tallies(reading.smiles)
    np.testing.assert_array_equal(told.wide.toarray(), dense.counts)
    np.testing.assert_array_equal(told.elements.toarray(), reading.features["fingerprint"].elements)


def test_a_smaller_radius_has_fewer_environments() -> None:
    told = tallies(["CCCO"])
    assert told.narrow.sum() == 4 + 4  # each atom alone, and with its neighbours
    assert told.wide.sum() > told.narrow.sum()


def test_parts_of_a_mixture_add_up() -> None:
    parts, whole = tallies(["CCO", "c1ccccc1"]), tallies(["CCO.c1ccccc1"])
    for name in ("wide", "narrow", "elements"):
        np.testing.assert_array_equal(getattr(parts, name).sum(axis=0), getattr(whole, name).sum(axis=0))


def test_nothing_at_all() -> None:
    assert tallies([]).wide.shape == (0, 2048)

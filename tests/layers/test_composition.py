"""Element counts from either view."""

import numpy as np
import pytest
import torch

from tetramer.layers import ELEMENTS, composition, to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.views import VIEWS

FORMULAS = {
    "CCO": {6: 2, 1: 6, 8: 1},
    "[Na+].[Cl-]": {11: 1, 17: 1},
    "[H][H]": {1: 2},
    "*C": {0: 1, 6: 1, 1: 3},
    "[2H]C([2H])[2H]": {6: 1, 1: 4},
    "c1ccccc1Br": {6: 6, 1: 5, 35: 1},
}


@pytest.mark.parametrize("view", ["fingerprint", "graph"])
def test_formulas(view: str) -> None:
    molecules = [parse(text) for text in FORMULAS]
    assert all(isinstance(molecule, Molecule) for molecule in molecules)
    batch = to_tensors(VIEWS[view].collate(VIEWS[view].featurize(molecules), np.arange(len(molecules))))
    counts = composition(batch)
    assert counts.shape == (len(FORMULAS), ELEMENTS)
    for row, formula in zip(counts, FORMULAS.values(), strict=True):
        assert {int(z): int(row[z]) for z in row.nonzero()[:, 0]} == formula


def test_no_molecules_have_no_atoms() -> None:
    empty = to_tensors(VIEWS["graph"].collate(VIEWS["graph"].featurize([]), np.arange(0)))
    assert torch.equal(composition(empty), torch.zeros(0, ELEMENTS))

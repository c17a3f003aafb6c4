"""The graph isomorphism network with bonds: ethanol by hand, its size, and how far an atom sees."""

from typing import Any

import numpy as np
import pytest
import torch

from tetramer.encoders.gin import GIN, GINConfig
from tetramer.errors import UserError
from tetramer.layers import sum_by_owner, to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.views.graph import VOCABULARY, collate, featurize

MANY = ["CCO", "c1ccccc1C(=O)N", "C[C@H](N)C(=O)O", "F/C=C/F", "[Na+].[Cl-]", "C", "CC(C)(C)C#N"]


def graph(*texts: str) -> dict[str, Any]:
    molecules = [parse(text) for text in texts]
    assert all(isinstance(molecule, Molecule) for molecule in molecules)
    return {"graph": to_tensors(collate(featurize(molecules), np.arange(len(texts))), dtype=torch.float64)}


def encoder(**settings: Any) -> GIN:
    torch.manual_seed(0)
    return GIN(GINConfig(**{"width": 16} | settings)).double().eval()


def by_hand(readout: str) -> GIN:
    """C is 1 and O is 3, a single bond 1, ε = ½, and the network x = τ(x) - τ(-x)."""
    made = encoder(width=1, depth=1, normalise=False, readout=readout)
    for parameter in made.parameters():
        torch.nn.init.zeros_(parameter)
    layer = made.layers[0]
    with torch.no_grad():
        made.atom.weight[0, VOCABULARY[6]], made.atom.weight[0, VOCABULARY[8]] = 1.0, 3.0
        layer.bond.weight[0, 0] = 1.0
        layer.excess.fill_(0.5)
        layer.network[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        layer.network[2].weight.copy_(torch.tensor([[1.0, -1.0]]))
    return made


@pytest.mark.parametrize("readout, factor", [("sum", 1.0), ("mean", 1 / 3)])
def test_ethanol_by_hand(readout: str, factor: float) -> None:
    """Messages are 2 of a carbon and 4 of the oxygen."""
    made = by_hand(readout)
    found = made(graph("CCO", "C"))
    assert found.tokens[:, 0].tolist() == [1.5 + 2, 1.5 + 2 + 4, 4.5 + 2, 1.5]
    assert found.molecule[:, 0].tolist() == pytest.approx([17.5 * factor, 1.5])
    with torch.no_grad():
        made.layers[0].bond.weight[0, 0] = -2.0  # a carbon's message falls below zero, the oxygen's is 1
    assert made(graph("CCO")).tokens[:, 0].tolist() == [1.5, 1.5 + 1, 4.5]


@pytest.mark.parametrize("hidden", [1, 2])
def test_size(hidden: int) -> None:
    made = GIN(GINConfig(width=300, depth=5, hidden=hidden))
    layer = 15 * 300 + 1 + 2 * hidden * 300 * 300 + hidden * 300 + 300 + 2 * 300
    assert sum(parameter.numel() for parameter in made.parameters()) == 109 * 300 + 5 * layer


def test_sums_of_rows_begin_with_variance_1() -> None:
    made = encoder(width=4096, depth=1)
    assert made.atom.weight[:, :10].sum(1).std().item() == pytest.approx(1, rel=3e-2)
    assert made.layers[0].bond.weight[:, :4].sum(1).std().item() == pytest.approx(1, rel=3e-2)


@pytest.mark.parametrize("normalise", [False, True])
def test_relu_stands_between_layers_and_not_after_the_last(normalise: bool) -> None:
    found = encoder(depth=2, normalise=normalise)(graph(*MANY)).tokens
    assert found.min() < 0
    if normalise:
        assert found.mean(1).abs().max() < 1e-6
        assert found.var(1, correction=0).mean().item() == pytest.approx(1, rel=1e-3)


def test_a_molecule_is_the_sum_of_its_tokens_and_a_mixture_that_of_its_parts() -> None:
    made, views = encoder(), graph(*MANY)
    found = made(views)
    summed = sum_by_owner(found.tokens, views["graph"].owner, len(MANY))
    torch.testing.assert_close(found.molecule, summed, rtol=1e-11, atol=1e-12)
    whole, first, second = made(graph("OCC.c1ccccc1", "OCC", "c1ccccc1")).molecule
    torch.testing.assert_close(whole, first + second, rtol=1e-11, atol=1e-11)


def test_e_and_z_and_orders_of_bonds_differ() -> None:
    trans, cis, ketone, alcohol = encoder()(graph("F/C=C/F", "F/C=C\\F", "CC(=O)C", "CC(O)C")).molecule
    assert (trans - cis).abs().max() > 1e-3
    assert (ketone - alcohol).abs().max() > 1e-3


@pytest.mark.parametrize("depth", [1, 3])
def test_depth_is_how_far_an_atom_sees(depth: int) -> None:
    """A chain of eight atoms with another last one."""
    made = encoder(depth=depth)
    plain, changed = (made(graph(f"NCCCCCC{last}")).tokens for last in "OF")
    assert torch.isclose(plain, changed, rtol=0, atol=1e-12).all(1).sum() == 8 - 1 - depth


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}, {"hidden": 0}, {"readout": "max"}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        GINConfig(**wrong)

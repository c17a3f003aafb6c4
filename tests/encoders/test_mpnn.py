"""The directed message-passing network: its size, its first weights, its arithmetic."""

import math

import numpy as np
import pytest
import torch

from tetramer.encoders import MPNN
from tetramer.encoders.mpnn import MPNNConfig
from tetramer.errors import UserError
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.objectives import Supervised, SupervisedConfig
from tetramer.views import VIEWS
from tetramer.views.base import Batch


def graph(*texts: str) -> dict[str, Batch]:
    molecules = [parse(text) for text in texts]
    assert all(isinstance(molecule, Molecule) for molecule in molecules)
    view = VIEWS["graph"]
    return {"graph": to_tensors(view.collate(view.featurize(molecules), np.arange(len(texts))))}


def test_the_default_has_chemprops_size() -> None:
    """chemprop 2.3.1 has 318,301 parameters with 86 features; ours are 109 of an atom and 15 of a bond."""
    network = Supervised(MPNN(MPNNConfig()), SupervisedConfig())
    sizes = {name: value.numel() for name, value in network.named_parameters()}
    assert sizes == {
        "encoder.edge.weight": (109 + 15) * 300,
        "encoder.message.weight": 300 * 300,
        "encoder.atom.weight": (109 + 300) * 300,
        "encoder.atom.bias": 300,
        "head.0.weight": 300 * 300,
        "head.0.bias": 300,
        "head.3.weight": 300,
        "head.3.bias": 1,
    }
    assert sum(sizes.values()) == 340_801


def test_first_weights_are_uniform_by_fan_in() -> None:
    """U(-1/√n, 1/√n) for n inputs, torch's default and chemprop's."""
    torch.manual_seed(0)
    encoder = MPNN(MPNNConfig())
    for layer in (encoder.edge, encoder.message, encoder.atom):
        assert layer is not None
        bound = 1 / math.sqrt(layer.in_features)
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=2e-2)


def test_methane_by_hand() -> None:
    """One atom, no message: ReLU of the columns of its categories and the bias, / 100."""
    torch.manual_seed(0)
    encoder = MPNN(MPNNConfig(width=8))
    one = np.array([6, 0 + 4, 0 + 4, 4, 4, 0, 0, 0, 0, 0])  # carbon, 4 bonds, no charge, 4 H, SP3
    starts = np.cumsum([0, *encoder.atom_sizes[:-1]])
    columns = [int(start + place) for start, place in zip(starts, one, strict=True)]
    expected = (encoder.atom.weight[:, columns].sum(1) + encoder.atom.bias).relu() / 100
    torch.testing.assert_close(encoder(graph("C")).molecule[0], expected)


def test_depth_is_how_far_an_atom_sees() -> None:
    """A chain of eight atoms with another last one: at depth 3 the four farther than three bonds away do not notice."""
    torch.manual_seed(0)
    encoder = MPNN(MPNNConfig(width=32))
    plain, changed = (encoder(graph(f"NCCCCCC{last}")).tokens for last in "OF")
    assert torch.isclose(plain, changed, rtol=0, atol=1e-7).all(1).sum() == 4


def test_under_bf16_messages_are_bf16_and_molecules_fp32() -> None:
    encoder = MPNN(MPNNConfig(width=64))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(graph("CCO", "c1ccccc1"))
    assert (mixed.tokens.dtype, mixed.molecule.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(mixed.molecule, encoder(graph("CCO", "c1ccccc1")).molecule, rtol=2e-2, atol=2e-4)


def test_readouts_of_one_molecule() -> None:
    torch.manual_seed(0)
    made = {name: MPNN(MPNNConfig(width=8, readout=name)) for name in ("sum", "mean", "norm")}  # type: ignore[arg-type]
    for encoder in made.values():
        encoder.load_state_dict(made["sum"].state_dict())
    found = {name: encoder(graph("CCO")).molecule for name, encoder in made.items()}
    torch.testing.assert_close(found["sum"] / 3, found["mean"])
    torch.testing.assert_close(found["sum"] / 100, found["norm"])


@pytest.mark.parametrize(
    "wrong", [{"readout": "median"}, {"aggregation": "max"}, {"depth": 0}, {"width": 0}, {"dropout": 1.0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        MPNNConfig(**wrong)  # type: ignore[arg-type]

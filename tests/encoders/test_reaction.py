"""Encoders of reactions: each part has the vector of its molecules, and what does not change cancels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.encoders import ENCODERS, Encoder
from tetramer.encoders.reaction import OF_REACTIONS, by_part, for_reactions
from tetramer.layers import to_tensors
from tetramer.molecules import Limits, Standard
from tetramer.views import graph, read

TEXTS = ["CBr.[OH-]>[Na+]>CO", "CBr>>CO", "CCO.CC(=O)O>O=S(=O)(O)O>CCOC(C)=O.O", "c1ccccc1>>c1ccccc1"]


def made(name: str) -> tuple[Encoder, Encoder]:
    """An encoder of reactions, and that of molecules with the same weights."""
    torch.manual_seed(0)
    kind = ENCODERS[name]
    ours = kind(kind.Config(width=16)).eval().double()
    plain = ENCODERS[kind.weights_of](kind.Config(width=16)).eval().double()
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def vectors(encoder: Encoder, texts: list[str], reactions: bool) -> Tensor:
    features = read(texts, ["graph"], Standard(reactions=reactions), Limits(0)).features["graph"]
    assert isinstance(features, graph.GraphFeatures)
    with torch.no_grad():
        batch = to_tensors(graph.collate(features, np.arange(len(texts))), dtype=torch.float64)
        return encoder({"graph": batch}).molecule


@pytest.mark.parametrize("name", OF_REACTIONS)
def test_the_parts_are_molecules_side_by_side(name: str) -> None:
    ours, plain = made(name)
    told = vectors(ours, TEXTS, True)
    assert told.shape == (4, 48)
    assert ours.width == 48
    parts = [text.split(">") for text in TEXTS]
    reactants, products = (vectors(plain, [part[place] for part in parts], False) for place in (0, 2))
    assert torch.allclose(told[:, :16], products - reactants, atol=1e-12)
    assert torch.allclose(told[:, 16:32], products, atol=1e-12)
    with_reagents = [0, 2]
    reagents = vectors(plain, [parts[row][1] for row in with_reagents], False)
    assert torch.allclose(told[with_reagents, 32:], reagents, atol=1e-12)
    assert not told[[1, 3], 32:].any()
    assert not told[3, :16].any()  # nothing happens
    assert told[0, :16].abs().max() > 1e-3


@pytest.mark.parametrize("name", OF_REACTIONS)
def test_a_molecule_has_products_alone(name: str) -> None:
    ours, plain = made(name)
    told, whole = vectors(ours, ["CCO", "c1ccccc1"], False), vectors(plain, ["CCO", "c1ccccc1"], False)
    assert torch.allclose(told, torch.cat([whole, whole, torch.zeros_like(whole)], 1), atol=1e-12)


@pytest.mark.parametrize("name", OF_REACTIONS)
def test_no_reactions_have_no_vectors(name: str) -> None:
    assert vectors(made(name)[0], ["CC>>"], True).shape == (1, 48)
    ours, features = made(name)[0], read(TEXTS, ["graph"], Standard(reactions=True), Limits(0)).features["graph"]
    assert isinstance(features, graph.GraphFeatures)
    batch = to_tensors(graph.collate(features, np.zeros(0, np.int64)), dtype=torch.float64)
    assert ours({"graph": batch}).molecule.shape == (0, 48)


def test_roles_follow_the_text() -> None:
    features = read(TEXTS, ["graph"], Standard(reactions=True), Limits(0)).features["graph"]
    assert isinstance(features, graph.GraphFeatures)
    batch = graph.collate(features, np.array([2, 0]))
    assert batch.role.tolist() == [0] * 7 + [1] * 5 + [2] * 7 + [0] * 3 + [1] + [2] * 2
    parted = by_part(to_tensors(batch))  # type: ignore[arg-type]
    assert parted.size == 6
    assert np.bincount(parted.owner).tolist() == [7, 5, 7, 3, 1, 2]


def test_encoders_without_such_a_form_stay() -> None:
    assert for_reactions("mpnn") == "reaction-mpnn"
    assert [for_reactions(name) for name in ("mlp", "combining-mpnn", "reaction-gin")] == [
        "mlp", "combining-mpnn", "reaction-gin",
    ]  # fmt: skip

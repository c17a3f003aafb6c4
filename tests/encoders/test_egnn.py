"""The E(n)-equivariant network: its size, its first weights, how it moves atoms."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from tetramer.encoders import egnn
from tetramer.encoders.egnn import EGNN, EGNNConfig, Layer, look, move, volumes
from tetramer.errors import UserError
from tetramer.views.graph import VOCABULARY


def test_the_default_has_the_papers_size() -> None:
    """Per layer W_1, W_2, the gate, W_3 and W_4; then two layers for each atom, and the vectors of atoms."""
    encoder = EGNN(EGNNConfig())
    d = encoder.width
    layer = (2 * d + 1) * d + d + d * d + d + d + 1 + 2 * d * d + d + d * d + d
    assert sum(p.numel() for p in encoder.layers.parameters()) == 7 * layer
    assert sum(p.numel() for p in encoder.out.parameters()) == 2 * (d * d + d)
    assert (
        sum(p.numel() for p in encoder.parameters())
        == 7 * layer + 2 * (d * d + d) + (int(VOCABULARY.max()) + 1 + 9) * d
    )


def test_the_first_layer_of_messages_begins_as_one_layer() -> None:
    """U(-1/√n, 1/√n) for all n = 2 D + R inputs."""
    torch.manual_seed(0)
    layer = Layer(EGNNConfig(width=64, radial=16), last=False)
    bound = 1 / math.sqrt(2 * 64 + 16)
    for weights in (layer.own.weight, layer.other.weight, layer.away.weight):
        assert weights.abs().max().item() == pytest.approx(bound, rel=2e-2)
        assert weights.std().item() == pytest.approx(bound / math.sqrt(3), rel=5e-2)
    assert 0.5 * bound < layer.own.bias.abs().max() <= bound


def moves(encoder: EGNN, x: Tensor, mask: Tensor) -> list[Tensor]:
    """Where atoms are after each layer but the last one."""
    h, places = encoder.atoms(torch.full(mask.shape, 6), torch.zeros_like(mask, dtype=torch.int64)), [x]
    for layer in encoder.layers[:-1]:
        h, x = layer(h, x, look(x, mask, encoder.config))
        places.append(x)
    return places


@pytest.mark.parametrize("radial", [0, 16])
@pytest.mark.parametrize("bf16", [False, True])
def test_first_steps_are_small(radial: int, bf16: bool, build: Any) -> None:
    """Less than 0.01 Å, though not zero; with zero the network would not learn to move."""
    torch.manual_seed(0)
    encoder = EGNN(EGNNConfig(coordinates=True, radial=radial))
    x = torch.from_numpy(build.scattered(0, 30).positions).float()[None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        places = moves(encoder, x, torch.ones(1, 30, dtype=torch.bool))
    steps = [(b - a).norm(dim=-1).max() for a, b in pairwise(places)]
    assert len(steps) == 6
    assert max(steps) < 0.01
    assert min(steps) > 1e-7
    assert {place.dtype for place in places} == {torch.float32}


def test_only_coordinates_move_atoms_and_the_last_layer_does_not() -> None:
    still, moving = EGNN(EGNNConfig(depth=3)), EGNN(EGNNConfig(depth=3, coordinates=True))
    assert [layer.shift is None for layer in still.layers] == [True, True, True]
    assert [layer.shift is None for layer in moving.layers] == [False, False, True]


def test_moves_equal_a_loop_and_are_bounded() -> None:
    torch.manual_seed(0)
    x, push = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 5, 5, dtype=torch.float64)
    d = torch.cdist(x, x)
    envelope = (d < 2) * (1 - torch.eye(5, dtype=torch.float64)) * 0.7
    found = move(x, push, envelope, d)
    for g in range(2):
        for i in range(5):
            parts = [
                envelope[g, i, j] * torch.tanh(push[g, i, j]) * (x[g, i] - x[g, j]) / (1 + d[g, i, j]) for j in range(5)
            ]
            count = max(1.0, envelope[g, i].sum().item())
            torch.testing.assert_close(found[g, i], x[g, i] + torch.stack(parts).sum(0) / count)
    hard = move(100 * x, 1e9 * push, (1 - torch.eye(5, dtype=torch.float64)).expand(2, 5, 5), 100 * d)
    assert (hard - 100 * x).norm(dim=-1).max() < 1


def test_the_volumes_of_a_layer_flip_in_a_mirror() -> None:
    torch.manual_seed(0)
    x, weights = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 5, 5, 6, dtype=torch.float64)
    envelope = torch.rand(2, 5, 5, dtype=torch.float64)
    mirror = torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    plain = volumes(x, weights, envelope)
    assert plain.shape == (2, 5, 2)
    torch.testing.assert_close(volumes(x * mirror, weights, envelope), -plain, rtol=1e-10, atol=0)
    torch.testing.assert_close(volumes(x + 5, weights, envelope), plain, rtol=1e-10, atol=0)


def test_places_are_fp32_under_bf16() -> None:
    """Bit for bit what they are without autocast."""
    torch.manual_seed(0)
    x, d, envelope = torch.randn(2, 5, 3), torch.rand(2, 5, 5), torch.rand(2, 5, 5)
    push, weights = torch.randn(2, 5, 5), torch.randn(2, 5, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = move(x, push, envelope, d), volumes(x, weights, envelope)
    assert torch.equal(mixed[0], move(x, push, envelope, d))
    assert torch.equal(mixed[1], volumes(x, weights, envelope))


def test_without_radial_functions_a_message_sees_the_raw_square() -> None:
    """And every other atom, however far."""
    x = torch.tensor([[[0.0, 0, 0], [3.0, 4, 0], [0, 0, 60.0]]])
    space = look(x, torch.ones(1, 3, dtype=torch.bool), EGNNConfig(cutoff=2.0))
    assert space.seen[0, 0, :, 0].tolist() == [1.0, 25.0, 3600.0]  # the first is not looked at
    assert space.envelope[0].tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    near = look(x, torch.ones(1, 3, dtype=torch.bool), EGNNConfig(cutoff=6.0, radial=4))
    assert near.seen.shape == (1, 3, 3, 4)
    assert near.envelope[0, 0, 2] == 0 < near.envelope[0, 0, 1]


def test_no_pair_of_vectors_is_concatenated(monkeypatch: pytest.MonkeyPatch, build: Any) -> None:
    """The widest layer over pairs of the dense form has D inputs."""
    monkeypatch.setattr(egnn, "loops_do", lambda x: False)
    wide: list[tuple[int, ...]] = []
    plain = torch.nn.functional.linear

    def noted(x: Tensor, *rest: Tensor) -> Tensor:
        wide.append(tuple(x.shape))
        return plain(x, *rest)

    monkeypatch.setattr(torch.nn.functional, "linear", noted)
    encoder = EGNN(EGNNConfig(width=16, depth=2)).double()
    encoder({"conformer": build.batch([[build.scattered(0, 9)]])})
    assert (1, 9, 9, 16) in wide
    assert max(shape[-1] for shape in wide if len(shape) == 4) == 16


def test_sums_of_many_messages_are_exact_under_bf16() -> None:
    """A sum over neighbours is a product of matrices; added up one by one, bf16 would stop at 256."""
    exact = torch.ones(1, 1, 1, 600) @ torch.ones(1, 1, 600, 8)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = torch.ones(1, 1, 1, 600) @ torch.ones(1, 1, 600, 8)
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed.float(), exact)


def test_a_negative_number_of_functions_is_refused() -> None:
    with pytest.raises(UserError, match="radial ≥ 0"):
        EGNNConfig(radial=-1)

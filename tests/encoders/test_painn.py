"""PaiNN: its size, its vectors, and the two orders in which a message can be added up."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tetramer.encoders import painn
from tetramer.encoders.painn import PaiNN, PaiNNConfig, Space, look, messages
from tetramer.errors import UserError
from tetramer.views.graph import VOCABULARY


def test_the_default_has_the_papers_size() -> None:
    """About 0.6 million: per layer φ, the filters, U and V, ψ."""
    encoder = PaiNN(PaiNNConfig())
    d = encoder.width
    layer = (d * d + d) + (3 * d * d + 3 * d) + (20 * 3 * d + 3 * d) + 2 * d * d + (2 * d * d + d) + (3 * d * d + 3 * d)
    assert sum(p.numel() for p in encoder.parameters()) == 3 * layer + (int(VOCABULARY.max()) + 1 + 9) * d
    assert 3 * layer == 567_936


def by_products(space: Space, weights: Tensor, sent: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same messages as products of matrices alone: first the sum over neighbours, then that over functions."""
    g, n, _, count = space.basis.shape
    (a, b, c), (wa, wb, wc) = sent.chunk(3, -1), (part.t() for part in weights.chunk(3))
    rows = space.basis.transpose(2, 3).reshape(g, n * count, n)
    pointing = (space.directions[:, :, :, None] * space.basis.transpose(2, 3)[:, :, None]).reshape(g, -1, n)
    scalars = ((rows @ a).view(g, n, count, -1) * wa).sum(2)
    vectors = ((pointing @ c).view(g, n, 3, count, -1) * wc).sum(3)
    if v is not None:
        carried = (rows @ (b[:, :, None] * v).flatten(2)).view(g, n, count, 3, -1)
        vectors = vectors + (carried * wb[:, None]).sum(2)
    return scalars, vectors


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_filters_first_equals_neighbours_first(bias: bool, first: bool, build: Any) -> None:
    torch.manual_seed(0)
    x = torch.from_numpy(build.scattered(2, 16).positions).view(2, 8, 3)
    mask = torch.arange(8).expand(2, 8) < torch.tensor([[8], [6]])
    space = look(x, mask, 5, 4.0)
    weights, sent = torch.randn(3 * 4, 6, dtype=torch.float64), torch.randn(2, 8, 3 * 4, dtype=torch.float64)
    weights[:, -1] *= bias
    v = None if first else torch.randn(2, 8, 3, 4, dtype=torch.float64)
    for ours, other in zip(messages(space, weights, sent, v), by_products(space, weights, sent, v), strict=True):
        assert ours.abs().max() > 0.1
        torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-12)


def test_messages_are_fp32_under_bf16(monkeypatch: pytest.MonkeyPatch, build: Any) -> None:
    """Bit for bit what they are without autocast."""
    seen: list[tuple[Any, Any]] = []

    def noted(*given: Any) -> Any:
        seen.append((given, messages(*given)))
        return seen[-1][1]

    monkeypatch.setattr(painn, "messages", noted)
    encoder = PaiNN(PaiNNConfig(width=8))
    with torch.autocast("cpu", torch.bfloat16):
        encoder({"conformer": build.batch([[build.scattered(5, 9)]], torch.float32)})
    assert len(seen) == 3
    for given, found in seen:
        assert all(map(torch.equal, found, messages(*given)))
        assert {value.dtype for value in (*given[0], *given[1:], *found) if value is not None} == {torch.float32}


def test_directions_are_unit_vectors_towards_the_receiver(build: Any) -> None:
    x = torch.from_numpy(build.scattered(3, 6).positions)[None]
    space = look(x, torch.ones(1, 6, dtype=torch.bool), 4, 5.0)
    for i in range(6):
        assert not space.directions[0, i, :, i].any()
        for j in set(range(6)) - {i}:
            away = x[0, i] - x[0, j]
            torch.testing.assert_close(space.directions[0, i, :, j], away / away.norm())


def test_a_lone_atom_has_no_direction(build: Any) -> None:
    encoder = PaiNN(PaiNNConfig(width=8)).double()
    encoding = encoder({"conformer": build.batch([[build.scattered(0, 1)], [build.scattered(1, 3)]])})
    assert encoding.vectors.shape == (4, 8, 3)
    assert not encoding.vectors[0].any()
    assert encoding.vectors[1:].any()


def test_vectors_of_two_atoms_lie_along_the_bond(build: Any) -> None:
    torch.manual_seed(0)
    encoder = PaiNN(PaiNNConfig(width=8)).double()
    one: Any = build.batch([[build.scattered(4, 2)]])
    along = torch.tensor([[0.0, 0, 0], [0.6, -0.2, 0.9]], dtype=torch.float64)
    vectors = encoder({"conformer": type(one)(**{**vars(one), "positions": along})}).vectors
    bond = along[1] / along[1].norm()
    torch.testing.assert_close(vectors, (vectors @ bond)[..., None] * bond)


def test_the_number_of_functions_is_checked() -> None:
    with pytest.raises(UserError, match="radial ≥ 1"):
        PaiNNConfig(radial=0)

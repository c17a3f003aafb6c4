"""PaiNN: its size, its vectors, and the ways in which messages can be added up."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tetramer.encoders import painn
from tetramer.encoders.painn import PaiNN, PaiNNConfig, look
from tetramer.errors import UserError
from tetramer.layers import pair_messages
from tetramer.layers.bases import bessel, cosine
from tetramer.layers.pair_messages import directed_messages
from tetramer.views.graph import VOCABULARY


def test_the_default_has_the_papers_size() -> None:
    """About 0.6 million: per layer φ, the filters, U and V, ψ."""
    encoder = PaiNN(PaiNNConfig())
    d = encoder.width
    layer = (d * d + d) + (3 * d * d + 3 * d) + (20 * 3 * d + 3 * d) + 2 * d * d + (2 * d * d + d) + (3 * d * d + 3 * d)
    assert sum(p.numel() for p in encoder.parameters()) == 3 * layer + (int(VOCABULARY.max()) + 1 + 9) * d
    assert 3 * layer == 567_936


def by_products(x: Tensor, radial: int, cutoff: float, weights: Tensor, sent: Tensor) -> Tensor:
    """Messages of one geometry as products of matrices alone: the sum over neighbours comes first."""
    itself = torch.eye(len(x), dtype=torch.bool)
    between = x[:, None] - x
    d = between.norm(dim=-1).masked_fill(itself, 1)
    envelope = cosine(d, cutoff).masked_fill(itself, 0)[..., None]
    basis = torch.cat([bessel(d, radial, cutoff) * envelope, envelope], -1)  # (n, n, R + 1)
    (wa, wb, wc), (a, c, *carried) = (part.t() for part in weights.chunk(3)), sent.unbind(1)
    rows = basis.transpose(1, 2)  # (n, R + 1, n)
    pointing = (between / d[..., None]).transpose(1, 2)  # (n, 3, n)
    vectors = [((rows @ v) * wb).sum(1) + ((rows * pointing[:, [k]] @ c) * wc).sum(1) for k, v in enumerate(carried)]
    return torch.stack([((rows @ a) * wa).sum(1), *vectors], 1)


@pytest.fixture
def given(build: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Places and owners of a geometry of 8 atoms and one of 6, weights and what atoms send."""
    torch.manual_seed(0)
    x, owner = torch.from_numpy(build.scattered(2, 14).positions), torch.tensor([0] * 8 + [1] * 6)
    return x, owner, *(torch.randn(*shape, dtype=torch.float64) for shape in ((12, 6), (14, 5, 4)))


@pytest.mark.parametrize("forces", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_loops_and_operations_of_torch_equal_products(bias: bool, forces: bool, given: Any) -> None:
    """Compiled loops where places have no slope, torch where they have; what arrives and the slopes."""
    x, owner, weights, sent = given
    weights[:, -1] *= bias
    x, weights, sent = (y.requires_grad_(wanted) for y, wanted in ((x, forces), (weights, True), (sent, True)))
    ours = directed_messages(look(x, owner, 5, 4.0), weights, sent)
    assert (ours.grad_fn.name() == "DirectedLoopsBackward") != forces
    each = [by_products(x[owner == one], 5, 4.0, weights, sent[owner == one]) for one in (0, 1)]
    other = torch.cat(each)
    assert other.abs().max() > 0.1
    torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-12)
    towards = torch.randn_like(ours)
    wanted = [y for y in (x, weights, sent) if y.requires_grad]
    for a, b in zip(*(torch.autograd.grad((y * towards).sum(), wanted) for y in (ours, other)), strict=True):
        assert b.abs().max() > 0.1
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


def test_pairs_are_those_within_the_cutoff_each_once(given: Any) -> None:
    x, owner, *_ = given
    pairs = look(x, owner, 5, 4.0)
    found = set(zip(pairs.here.tolist(), pairs.there.tolist(), strict=True))
    every = {(i, j) for i in range(14) for j in range(i + 1, 14) if owner[i] == owner[j]}
    assert found == {(i, j) for i, j in every if (x[i] - x[j]).norm() < 4} != every
    assert len(found) == len(pairs.here)
    for (i, j), direction in zip(zip(*pairs[:2], strict=True), pairs.directions, strict=True):
        torch.testing.assert_close(direction, (x[i] - x[j]) / (x[i] - x[j]).norm())


def test_runs_of_pairs_change_nothing(monkeypatch: pytest.MonkeyPatch, given: Any) -> None:
    x, owner, weights, sent = given
    pairs = look(x, owner, 5, 4.0)
    whole = directed_messages(pairs, weights, sent)
    monkeypatch.setattr(pair_messages, "TOGETHER", 4 * 7)
    torch.testing.assert_close(directed_messages(pairs, weights, sent), whole, rtol=1e-12, atol=1e-12)


def test_what_is_no_number_arrives(given: Any) -> None:
    """The loops may join a product and a sum; they may not assume that all numbers are finite."""
    x, owner, weights, sent = given
    sent[0, 0, 1] = torch.nan
    arrived = directed_messages(look(x, owner, 5, 10.0), weights, sent)
    assert arrived[1:8, 0, 1].isnan().all()
    assert arrived[8:].isfinite().all()


def test_messages_are_fp32_under_bf16(monkeypatch: pytest.MonkeyPatch, build: Any) -> None:
    """Bit for bit what they are without autocast."""
    seen: list[tuple[Any, Any]] = []

    def noted(*given: Any) -> Any:
        seen.append((given, directed_messages(*given)))
        return seen[-1][1]

    monkeypatch.setattr(painn, "directed_messages", noted)
    encoder = PaiNN(PaiNNConfig(width=8))
    with torch.autocast("cpu", torch.bfloat16):
        encoder({"conformer": build.batch([[build.scattered(5, 9)]], torch.float32)})
    assert len(seen) == 3
    for (pairs, weights, sent), found in seen:
        assert torch.equal(found, directed_messages(pairs, weights, sent))
        assert {value.dtype for value in (*pairs[2:], weights, sent, found)} == {torch.float32}


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

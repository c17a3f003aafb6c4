"""Padding in blocks, distances, signed volumes, and what atoms look like."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tetramer.layers import geometry
from tetramer.layers.geometry import AtomEmbedding, Cloud, blockwise, pairs, read_out, signed_volumes, spans
from tetramer.views.conformer import ConformerBatch
from tetramer.views.graph import VOCABULARY


def batch(counts: list[int], molecule: list[int], size: int) -> ConformerBatch:
    """Geometries of so many atoms; atom i is at (i, i / 10, 0) and has a number and a charge of its own."""
    atoms = sum(counts)
    place = torch.arange(atoms)
    arrays: dict[str, Any] = {
        "ok": torch.ones(size, dtype=torch.bool),
        "numbers": place % 90,
        "charges": place % 5 - 2,
        "positions": torch.stack([place, place / 10, 0 * place], 1),
        "owner": torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64)),
        "molecule": torch.tensor(molecule, dtype=torch.int64),
    }
    return ConformerBatch(size=size, **arrays)


@given(st.lists(st.integers(1, 30), max_size=20), st.integers(0, 2000))
def test_blocks_hold_all_geometries_and_no_more_pairs_than_allowed(sizes: list[int], most: int) -> None:
    sizes = sorted(sizes)
    runs = spans(sizes, most)
    assert [place for start, stop in runs for place in range(start, stop)] == list(range(len(sizes)))
    for start, stop in runs:
        assert stop - start == 1 or not sizes or (stop - start) * sizes[stop - 1] ** 2 <= most
        assert stop > start or not sizes
    for (start, stop), _ in pairwise(runs):  # no block could have had one more
        assert (stop + 1 - start) * sizes[stop] ** 2 > most


@pytest.mark.parametrize("near, blocks, waste", [(0, 7, 0), (100, 2, 8), (2**20, 1, 23)])
def test_atoms_come_back_in_batch_order(near: int, blocks: int, waste: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "NEAR", near)
    one: Any = batch([4, 1, 7, 4, 2, 7, 1], [0, 0, 1, 3, 3, 3, 4], 5)
    seen: list[Cloud] = []

    def encode(cloud: Cloud) -> torch.Tensor:
        seen.append(cloud)
        return torch.cat([cloud.positions, cloud.numbers[..., None], cloud.charges[..., None]], -1)

    back = blockwise(encode, one, 1, torch.float64)
    expected = torch.cat([one.positions, one.numbers[:, None], one.charges[:, None]], 1).double()
    assert torch.equal(back, expected)
    assert sum(int(cloud.mask.sum()) for cloud in seen) == len(one.owner)
    assert len(seen) == blocks
    assert sum(cloud.mask.numel() for cloud in seen) - len(one.owner) == waste


def test_pairs_against_a_loop() -> None:
    rng = np.random.Generator(np.random.Philox(0))
    x, mask = rng.normal(size=(2, 4, 3)), np.array([[1, 1, 1, 0], [1, 1, 1, 1]], dtype=bool)
    squares, pair = pairs(torch.from_numpy(x), torch.from_numpy(mask))
    for g in range(2):
        for i in range(4):
            for j in range(4):
                there = mask[g, i] and mask[g, j] and i != j
                assert bool(pair[g, i, j]) == there
                away = ((x[g, i] - x[g, j]) ** 2).sum() if there else 1.0
                assert squares[g, i, j].item() == pytest.approx(away, rel=1e-12)


def test_distances_far_from_the_origin_keep_their_digits() -> None:
    x = torch.tensor([[[1000.0, 0, 0], [1001.0, 0, 0]]])
    assert geometry.squared_distances(x)[0, 0, 1].item() == 1.0


def test_signed_volumes_of_known_vectors() -> None:
    axes = torch.eye(3, dtype=torch.float64)[..., None] * 5.0  # (3, 3, 1): x, y, z
    full = (25 / (25 + 4e-4)) ** 1.5
    assert signed_volumes(axes[0], axes[1], axes[2]).item() == pytest.approx(full, rel=1e-12)
    assert signed_volumes(axes[1], axes[0], axes[2]).item() == pytest.approx(-full, rel=1e-12)
    assert signed_volumes(axes[0], axes[1], axes[0] + axes[1]).item() == pytest.approx(0, abs=1e-14)


def test_signed_volumes_turn_with_nothing_and_flip_in_a_mirror() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    vectors = torch.from_numpy(rng.normal(size=(3, 6, 3, 4)))  # three vectors, six atoms, four channels
    q = torch.from_numpy(np.linalg.qr(rng.normal(size=(3, 3)))[0])
    q = q * torch.linalg.det(q)
    turned, mirrored = q @ vectors, torch.diag(torch.tensor([1.0, -1, 1], dtype=torch.float64)) @ vectors
    plain = signed_volumes(*vectors)
    assert plain.abs().min() > 1e-4
    torch.testing.assert_close(signed_volumes(*turned), plain, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(signed_volumes(*mirrored), -plain, rtol=1e-12, atol=0)
    assert plain.abs().max() < 1


def test_signed_volumes_are_smooth_where_vectors_vanish() -> None:
    zero = torch.zeros(3, 2, 3, 1, dtype=torch.float64, requires_grad=True)
    signed_volumes(*zero).sum().backward()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()
    some = 0.05 * torch.randn(3, 2, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(signed_volumes, tuple(each.requires_grad_() for each in some))


def test_every_element_has_the_class_of_the_graph_encoder() -> None:
    embedding = AtomEmbedding(3)
    numbers = torch.arange(119)
    found = embedding(numbers, torch.zeros_like(numbers))
    expected = embedding.element.weight[torch.from_numpy(VOCABULARY[:119]).long()] + embedding.charge.weight[4]
    assert torch.equal(found, expected)
    charges = torch.tensor([-9, -4, 4, 9])
    rows = embedding(torch.full((4,), 6), charges) - embedding.element.weight[VOCABULARY[6]]
    torch.testing.assert_close(rows, embedding.charge.weight[[0, 0, 8, 8]])
    assert "vocabulary" not in embedding.state_dict()


def test_readout_by_hand() -> None:
    one = batch([2, 1, 3], [1, 1, 3], 4)
    tokens = torch.tensor([[1.0], [3], [10], [1], [2], [6]])
    assert read_out(tokens, one, "sum")[:, 0].tolist() == [0, 7, 0, 9]  # (4 + 10) / 2
    assert read_out(tokens, one, "mean")[:, 0].tolist() == [0, 6, 0, 3]  # (2 + 10) / 2

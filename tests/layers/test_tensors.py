"""Batches as tensors, flat rows as padded ones."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tetramer.layers import to_dense, to_tensors
from tetramer.views.base import Batch


@dataclass(frozen=True)
class Mixed(Batch):
    whole: np.ndarray
    real: np.ndarray
    absent: np.ndarray | None = None


def test_a_batch_keeps_its_class_size_and_values() -> None:
    plain = Mixed(2, np.ones(2, bool), np.arange(3), np.ones(2, np.float32))
    moved = to_tensors(plain)
    assert type(moved) is Mixed
    assert (moved.size, moved.absent) == (2, None)
    assert moved.whole.tolist() == [0, 1, 2]
    assert (moved.whole.dtype, moved.real.dtype) == (torch.int64, torch.float32)


def test_no_copy_is_made_without_need() -> None:
    plain = Mixed(2, np.ones(2, bool), np.arange(3), np.ones(2, np.float32))
    moved = to_tensors(plain)
    plain.whole[0] = 7
    assert moved.whole[0] == 7


def test_only_real_numbers_change_their_type() -> None:
    moved = to_tensors(Mixed(2, np.ones(2, bool), np.arange(3), np.ones(2, np.float32)), dtype=torch.float64)
    assert (moved.whole.dtype, moved.real.dtype) == (torch.int64, torch.float64)
    assert to_tensors(moved, dtype=torch.float32).real.dtype == torch.float32


def test_dense_by_hand() -> None:
    flat = torch.tensor([[1.0], [2.0], [3.0]])
    dense, mask = to_dense(flat, torch.tensor([0, 2, 2]), 3)
    assert dense[..., 0].tolist() == [[1, 0], [0, 0], [2, 3]]
    assert mask.tolist() == [[True, False], [False, False], [True, True]]


@given(st.lists(st.integers(0, 5), max_size=6))
def test_dense_and_back(counts: list[int]) -> None:
    owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64))
    flat = torch.arange(2 * len(owner)).view(-1, 2)
    dense, mask = to_dense(flat, owner, len(counts))
    assert dense.shape == (len(counts), max(counts, default=0), 2)
    assert torch.equal(dense[mask], flat)
    assert mask.sum(1).tolist() == counts

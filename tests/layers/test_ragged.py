"""Sums over lists of rows, against loops."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tetramer.layers.ragged import gather_sum, lists, one_each, rounded, spread, starts_of

LISTS = st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=8)


def made(chosen: list[list[int]], rows: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    flat = torch.tensor([i for one in chosen for i in one], dtype=torch.int64)
    return flat, torch.tensor([len(one) for one in chosen], dtype=torch.int64), rows


@given(LISTS)
def test_sums_and_gradients_equal_a_loop(chosen: list[list[int]]) -> None:
    torch.manual_seed(0)
    links = lists(*made(chosen, 5))
    x = torch.randn(links.rows, 3, dtype=torch.float64, requires_grad=True)
    result = gather_sum(x, links)
    slow = torch.stack([x[one].sum(0) for one in chosen]) if chosen else x.new_zeros(0, 3)
    torch.testing.assert_close(result[: len(chosen)], slow)
    assert not result[len(chosen) :].any()
    weight = torch.randn_like(result)
    (fast,) = torch.autograd.grad((result * weight).sum(), x, retain_graph=True)
    (loop,) = torch.autograd.grad((slow * weight[: len(chosen)]).sum() + 0 * x.sum(), x)
    torch.testing.assert_close(fast, loop)


@given(LISTS)
def test_weighted_sums_and_gradients_equal_a_loop(chosen: list[list[int]]) -> None:
    torch.manual_seed(0)
    links = lists(*made(chosen, 5))
    x = torch.randn(links.rows, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(len(links.entries), dtype=torch.float64)
    result = gather_sum(x, links, weight)
    parts = torch.split(x[links.entries] * weight[:, None], [len(one) for one in chosen])
    slow = torch.stack([part.sum(0) for part in parts]) if chosen else x.new_zeros(0, 3)
    torch.testing.assert_close(result[: len(chosen)], slow)
    probe = torch.randn_like(result)
    (fast,) = torch.autograd.grad((result * probe).sum(), x, retain_graph=True)
    (loop,) = torch.autograd.grad((slow * probe[: len(chosen)]).sum() + 0 * x.sum(), x)
    torch.testing.assert_close(fast, loop)


def test_one_row_each() -> None:
    x = torch.arange(64.0)[:, None]
    assert gather_sum(x, one_each(torch.tensor([3, 0, 3]), 5))[:3, 0].tolist() == [3, 0, 3]


def test_a_bf16_sum_is_added_up_in_fp32() -> None:
    links = lists(torch.arange(512), torch.tensor([512]), 512)
    x = torch.ones(512, 1, dtype=torch.bfloat16)
    assert gather_sum(x, links)[0].item() == 512  # bf16 alone stops at 256


def test_lists_count_their_entries() -> None:
    links = lists(*made([[3, 1], [], [2]], 5))
    assert links.counts[:4].tolist() == [2, 0, 1, 0]
    assert links.owner.tolist() == [0, 0, 2]
    assert (len(links.starts) - 1, links.rows) == (64, 64)


def test_rounding_goes_up_to_the_next_64() -> None:
    assert [rounded(n) for n in (0, 1, 64, 65)] == [0, 64, 64, 128]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_spread_equals_a_loop(lengths: list[int], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    starts = starts_of(torch.tensor(lengths))
    ends = np.cumsum([0, *lengths])
    at, counts = spread(starts, torch.tensor(rows, dtype=torch.int64))
    assert at.tolist() == [p for r in rows for p in range(ends[r], ends[r + 1])]
    assert counts.tolist() == [lengths[r] for r in rows]

"""Attention, against loops over owners, heads and rows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tetramer.layers.attention import Attention, Block, CrossBlock, attend, rotated

WIDTH, HEADS = 8, 2
F64 = torch.float64
counts_of = st.lists(st.integers(0, 5), min_size=1, max_size=5)


def owners(counts: list[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def places(counts: list[int]) -> Tensor:
    return torch.cat([torch.arange(count) for count in counts])


def rows(count: int, width: int = WIDTH, seed: int = 1) -> Tensor:
    return torch.randn(count, width, dtype=F64, generator=torch.Generator().manual_seed(seed))


def attention(context: int | None = None, causal: bool = False) -> Attention:
    torch.manual_seed(0)
    return Attention(WIDTH, HEADS, context, causal).double()


def naive(q: np.ndarray, k: np.ndarray, v: np.ndarray, seen: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    """One query at a time. q: (n, d)   k, v: (m, d)   seen, bias: (n, m)"""
    bias, answer = np.broadcast_to(bias, seen.shape), np.zeros((len(q), v.shape[1]))
    for i, row in enumerate(q):
        weights = np.array([math.exp(row @ key / math.sqrt(len(row)) + b) for key, b in zip(k, bias[i], strict=True)])
        weights = weights * seen[i]
        if weights.sum():
            answer[i] = weights @ v / weights.sum()
    return answer


@given(
    shape=st.tuples(*(st.integers(1, 4) for _ in range(4))),
    causal=st.booleans(),
    masked=st.booleans(),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_attention_equals_a_loop(
    shape: tuple[int, int, int, int], causal: bool, masked: bool, biased: bool, seed: int
) -> None:
    batch, heads, n, more = shape
    m = n + more - 1  # keys; the last n of them belong to the queries
    rng = np.random.Generator(np.random.Philox(seed))
    q, k, v = rng.normal(size=(batch, heads, n, 3)), *rng.normal(size=(2, batch, heads, m, 3))
    mask = rng.random((batch, m)) < 0.6 if masked else np.ones((batch, m), bool)
    bias = rng.normal(size=(batch, heads, n, m)) if biased else np.zeros((batch, heads, n, m))
    given_mask, given_bias = torch.from_numpy(mask) if masked else None, torch.from_numpy(bias) if biased else None
    ours = attend(*map(torch.from_numpy, (q, k, v)), given_mask, given_bias, causal).numpy()
    for b in range(batch):
        seen = np.tile(mask[b], (n, 1)) & (np.tril(np.ones((n, m), bool), m - n) | (not causal))
        for h in range(heads):
            expected = naive(q[b, h], k[b, h], v[b, h], seen, bias[b, h])
            np.testing.assert_allclose(ours[b, h], expected, atol=1e-12)


def test_a_query_without_keys_gets_zeros_and_finite_gradients() -> None:
    q = torch.randn(2, 1, 3, 4, requires_grad=True)
    bias = torch.zeros(1, 1, 3, 3, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    for told in (None, bias):
        y = attend(q, q, q, mask, told)
        assert not y[1].any()
        y.square().sum().backward()  # type: ignore[no-untyped-call]
        assert q.grad is not None
        assert q.grad.isfinite().all()
    assert bias.grad is not None
    assert bias.grad.isfinite().all()


def test_known_weights() -> None:
    """Scores 0 and ln 3: a quarter of the first value and three of the second."""
    q = torch.tensor([[[[2.0, 0.0, 0.0, 0.0]]]], dtype=F64)
    k = torch.tensor([[[[0.0, 0, 0, 0], [math.log(3), 0, 0, 0]]]], dtype=F64)
    v = torch.tensor([[[[4.0], [8.0]]]], dtype=F64)
    torch.testing.assert_close(attend(q, k, v), torch.tensor([[[[7.0]]]], dtype=F64))
    third = attend(q, k, v, bias=torch.tensor([[[[math.log(3), 0.0]]]], dtype=F64))
    torch.testing.assert_close(third, torch.tensor([[[[6.0]]]], dtype=F64))


def test_two_components_turn_by_the_place() -> None:
    x = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 2.0]]])
    expected = [[1.0, 0.0], [math.cos(2), math.sin(2)], [-2 * math.sin(1), 2 * math.cos(1)]]
    torch.testing.assert_close(rotated(x, torch.tensor([0, 2, 1]))[:, 0], torch.tensor(expected))


def test_the_slowest_pair_turns_by_its_rate() -> None:
    """Four components: rates 1 and 1/100."""
    turned = rotated(torch.tensor([[[0.0, 1.0, 0.0, 0.0]]]), torch.tensor([50]))
    torch.testing.assert_close(turned[0, 0], torch.tensor([0.0, math.cos(0.5), 0.0, math.sin(0.5)]))


@given(a=st.integers(0, 400), b=st.integers(0, 400), shift=st.integers(0, 100))
def test_products_tell_the_distance_of_places_alone(a: int, b: int, shift: int) -> None:
    q, k = rows(2, 16).float()[:, None].unbind(0)
    one = rotated(q[None], torch.tensor([a])) * rotated(k[None], torch.tensor([b]))
    other = rotated(q[None], torch.tensor([a + shift])) * rotated(k[None], torch.tensor([b + shift]))
    torch.testing.assert_close(one.sum(), other.sum(), rtol=0, atol=2e-3)
    torch.testing.assert_close(rotated(q[None], torch.tensor([a])).norm(), q.norm())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@given(counts=counts_of)
def test_owners_do_not_see_each_other(ordered: bool, causal: bool, counts: list[int]) -> None:
    layer, x = attention(causal=causal), rows(sum(counts))
    place = places(counts) if ordered else None
    whole = layer(x, owners(counts), len(counts), place)
    parts, start = [], 0
    for count in counts:
        alone = None if place is None else torch.arange(count)
        parts.append(layer(x[start : start + count], torch.zeros(count, dtype=torch.int64), 1, alone))
        start += count
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-12)


@given(counts=counts_of, data=st.data())
def test_attention_to_other_rows_equals_a_loop(counts: list[int], data: st.DataObject) -> None:
    """Without context of its own, a row gets the bias alone."""
    others = data.draw(st.lists(st.integers(0, 4), min_size=len(counts), max_size=len(counts)))
    layer, x, context = attention(5), rows(sum(counts)), rows(sum(others), 5, seed=2)
    ours = layer(x, owners(counts), len(counts), context=(context, owners(others))).detach()
    q = layer.query(x).view(-1, HEADS, 4).detach().numpy()
    pair = layer.pair(context).view(-1, 2, HEADS, 4).detach().numpy()
    expected = np.zeros_like(q)
    for b in range(len(counts)):
        mine, its = owners(counts).numpy() == b, owners(others).numpy() == b
        for h in range(HEADS):
            seen = np.ones((mine.sum(), its.sum()), bool)
            expected[mine, h] = naive(q[mine, h], pair[its, 0, h], pair[its, 1, h], seen)
    told = layer.out(torch.from_numpy(expected).flatten(1)).detach()
    torch.testing.assert_close(ours, told, rtol=0, atol=1e-12)
    if len(x) and not others[int(owners(counts)[0])]:
        assert torch.equal(ours[0], layer.out.bias.detach())


def test_the_order_of_rows_matters_only_with_places() -> None:
    layer, x = attention(), rows(4)
    owner, order = torch.zeros(4, dtype=torch.int64), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(layer(x[order], owner, 1), layer(x, owner, 1)[order])
    place = torch.arange(4)
    assert (layer(x[order], owner, 1, place) - layer(x, owner, 1, place)[order]).abs().max() > 1e-3


def test_a_bias_steers_who_is_seen() -> None:
    """Where all but the row itself is far below, attention is the value's way through two linear layers."""
    layer, x, owner = attention(), rows(5), owners([3, 2])
    far = torch.full((1, 1, 3, 3), -math.inf, dtype=F64).diagonal_scatter(torch.zeros(1, 1, 3, dtype=F64), 0, 2, 3)
    value = layer.pair(x)[:, WIDTH:]
    torch.testing.assert_close(layer(x, owner, 2, bias=far), layer.out(value))


def test_rows_that_nobody_owns_change_nothing() -> None:
    block, x = Block(WIDTH, HEADS).double().eval(), rows(8)
    owner, place = owners([2, 3]), places([2, 3])
    torch.testing.assert_close(block(x, owner, 2, place)[:5], block(x[:5], owner, 2, place))


def test_a_causal_block_does_not_see_ahead() -> None:
    torch.manual_seed(0)
    block, x = Block(WIDTH, HEADS, causal=True).double().eval(), rows(7).requires_grad_()
    owner, place = owners([3, 4]), places([3, 4])
    for row in range(7):
        (grad,) = torch.autograd.grad(block(x, owner, 2, place)[row].sum(), x)
        seen = [other for other in range(row + 1) if owner[other] == owner[row]]
        assert grad.abs().sum(1).nonzero()[:, 0].tolist() == seen


def test_step_by_step_is_all_at_once() -> None:
    torch.manual_seed(0)
    block, x = Block(WIDTH, HEADS, causal=True).double().eval(), rows(8)
    whole = block(x, owners([4, 4]), 2, places([4, 4])).view(2, 4, WIDTH)
    past = None
    for step, now in enumerate(x.view(2, 4, WIDTH).unbind(1)):
        answer, past = block.step(now, torch.full((2,), step), past)
        torch.testing.assert_close(answer, whole[:, step], rtol=0, atol=1e-12)


OWN, OTHERS = [3, 4, 2], [2, 0, 5]  # rows of three owners, and of what they look at


def crossing(x: Tensor, context: Tensor) -> Tensor:
    torch.manual_seed(0)
    block = CrossBlock(WIDTH, HEADS).double().eval()
    told: Tensor = block(x, owners(OWN), 3, places(OWN), (context, owners(OTHERS)))
    return told


def test_a_crossing_block_sees_what_was_before_and_all_of_its_context() -> None:
    x, context = rows(9).requires_grad_(), rows(7, seed=2).requires_grad_()
    for row in range(9):
        own, other = torch.autograd.grad(crossing(x, context)[row].sum(), (x, context))
        mine = owners(OWN) == owners(OWN)[row]
        assert own.abs().sum(1).nonzero()[:, 0].tolist() == [place for place in range(row + 1) if mine[place]]
        assert torch.equal(other.abs().sum(1) > 0, owners(OTHERS) == owners(OWN)[row])


def test_crossing_step_by_step_is_all_at_once() -> None:
    torch.manual_seed(0)
    block, x, context = CrossBlock(WIDTH, HEADS).double().eval(), rows(8), rows(7, seed=2)
    whole = block(x, owners([4, 4]), 2, places([4, 4]), (context, owners([5, 2]))).view(2, 4, WIDTH)
    memory, past = block.cross.remember(context, owners([5, 2]), 2), None
    for step, now in enumerate(x.view(2, 4, WIDTH).unbind(1)):
        answer, past = block.step(now, torch.full((2,), step), past, memory)
        torch.testing.assert_close(answer, whole[:, step], rtol=0, atol=1e-12)


def test_a_block_starts_as_nearly_nothing_where_its_last_layers_are_zero() -> None:
    """Both halves add to what comes in, and the norms stand before them."""
    block, x = Block(WIDTH, HEADS).double().eval(), rows(5)
    for layer in (block.attention.out, block.feed[2]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    assert torch.equal(block(x, owners([2, 3]), 2), x)


def test_gradients_are_right() -> None:
    layer, x = attention(), rows(5).requires_grad_()
    bias = torch.randn(2, HEADS, 3, 3, dtype=F64, requires_grad=True)
    owner, place = owners([2, 3]), places([2, 3])
    assert torch.autograd.gradcheck(lambda x, bias: layer(x, owner, 2, place, bias=bias), (x, bias))


def test_bf16_is_near_fp32() -> None:
    torch.manual_seed(0)
    block, x, counts = Block(64, 4).eval(), rows(40, 64).float(), [10, 1, 29]
    exact = block(x, owners(counts), 3, places(counts))
    with torch.autocast("cpu", torch.bfloat16):
        near = block(x, owners(counts), 3, places(counts))
    torch.testing.assert_close(near, exact, rtol=0, atol=0.03)
    assert near.dtype == torch.float32  # what is added up stays exact


def test_no_rows_at_all() -> None:
    none = torch.empty(0, dtype=torch.int64)
    assert attention()(rows(0), none, 3, none).shape == (0, WIDTH)
    assert attention(5)(rows(0), none, 0, context=(rows(0, 5), none)).shape == (0, WIDTH)


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(AssertionError):
        Attention(10, 4)

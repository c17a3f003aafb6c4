"""Reductions by owner, against loops over owners."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tetramer.layers import pooling

Reduce = Callable[[Tensor, Tensor, int], Tensor]


def std(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(rows.var(0) + 1e-5) - math.sqrt(1e-5)


NAIVE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sum": lambda rows: rows.sum(0),
    "mean": lambda rows: rows.mean(0),
    "max": lambda rows: rows.max(0),
    "min": lambda rows: rows.min(0),
    "std": std,
}
OURS: dict[str, Reduce] = {name: getattr(pooling, f"{name}_by_owner") for name in NAIVE}


def loop(name: str, x: np.ndarray, owner: np.ndarray, size: int) -> np.ndarray:
    """One owner at a time; an owner without rows gives zeros."""
    groups = [x[owner == b] for b in range(size)]
    return np.array([NAIVE[name](rows) if len(rows) else np.zeros(x.shape[1]) for rows in groups])


def naive_pna(x: np.ndarray, owner: np.ndarray, size: int) -> np.ndarray:
    result = []
    for b in range(size):
        rows = x[owner == b]
        if not len(rows):
            result.append(np.zeros(12 * x.shape[1]))
            continue
        four = np.concatenate([NAIVE[name](rows) for name in ("mean", "max", "min", "std")])
        scale = math.log(len(rows) + 1) / math.log(3)
        result.append(np.concatenate([four, four * scale, four / scale]))
    return np.array(result)


@st.composite
def owned(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of small integers, so that ties are common, with owners in any order; some owners have no rows."""
    size, count = draw(st.integers(1, 6)), draw(st.integers(0, 12))
    owner = draw(st.lists(st.integers(0, size - 1), min_size=count, max_size=count))
    x = draw(st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=count, max_size=count))
    return np.array(x, dtype=np.float64).reshape(count, 2), np.array(owner, dtype=np.int64), size


@pytest.mark.parametrize("name", OURS)
@given(owned())
def test_reductions_equal_a_loop(name: str, case: tuple[np.ndarray, np.ndarray, int]) -> None:
    x, owner, size = case
    ours = OURS[name](torch.from_numpy(x), torch.from_numpy(owner), size)
    np.testing.assert_allclose(ours.numpy(), loop(name, x, owner, size), atol=1e-12)


@given(owned())
def test_pna_equals_a_loop_with_isolated_atoms(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    x, owner, size = case
    ours = pooling.pna_by_owner(torch.from_numpy(x), torch.from_numpy(owner), size)
    np.testing.assert_allclose(ours.numpy(), naive_pna(x, owner, size), atol=1e-12)


@given(owned())
def test_softmax_weights_of_an_owner_add_up_to_one(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    x, owner, size = case
    weights = pooling.softmax_by_owner(torch.from_numpy(x) * 300, torch.from_numpy(owner), size).numpy()
    np.testing.assert_allclose(loop("sum", weights, owner, size)[np.unique(owner)], 1.0)


def test_softmax_of_known_scores() -> None:
    score = torch.tensor([[0.0], [math.log(3)], [5.0]], dtype=torch.float64)
    weights = pooling.softmax_by_owner(score, torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(weights[:, 0], torch.tensor([0.25, 0.75, 1.0], dtype=torch.float64))


def test_ties_share_the_gradient_of_a_maximum() -> None:
    x = torch.tensor([[2.0], [2.0], [1.0], [7.0]], requires_grad=True)
    pooling.max_by_owner(x, torch.tensor([0, 0, 0, 1]), 3).sum().backward()
    assert x.grad is not None
    assert x.grad[:, 0].tolist() == [0.5, 0.5, 0.0, 1.0]


@pytest.mark.parametrize("name", [*OURS, "pna", "softmax"])
def test_gradients_are_right(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    owner = torch.tensor([0, 0, 0, 2, 3, 3, 3])
    reduce: Reduce = getattr(pooling, f"{name}_by_owner")
    assert torch.autograd.gradcheck(lambda rows: reduce(rows, owner, 5), x)


def test_equal_rows_have_a_finite_gradient() -> None:
    x = torch.ones(4, 2, requires_grad=True)
    pooling.pna_by_owner(x, torch.tensor([0, 0, 0, 1]), 3).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()

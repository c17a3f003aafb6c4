"""Compiled loops over pairs: the same as when Python runs them, and there where nothing can be kept on disk."""

from typing import Any

import numba
import numpy as np
import pytest

from tetramer.layers import pair_kernels
from tetramer.layers.pair_kernels import compiled, receive

ATOMS, WIDTH = 4, 5
# name → sizes of what a loop reads behind the pairs, then of what it writes to
LOOPS = {
    "receive": ([9, 3 * 15, 4 * 25], [4 * 20]),
    "give_back": ([9, 3 * 15], [3 * 15], [4 * 25, 4 * 20], [4 * 25]),
    "begin": ([20, 20, 15], [2 * 30]),
    "end": ([3, 30, 6], [20]),
    "end_back": ([3, 30, 6, 20], [30, 6]),
    "begin_back": ([60], [20, 20, 15]),
}


def given(name: str, dtype: str) -> list[Any]:
    """Width, three pairs among four atoms, and numbers for the rest."""
    rng = np.random.Generator(np.random.Philox(0))
    sizes = [size for some in LOOPS[name] for size in some]
    return [WIDTH, np.array([0, 0, 2]), np.array([1, 3, 3]), *(rng.normal(size=size).astype(dtype) for size in sizes)]


@pytest.mark.parametrize("dtype, bound", [("float32", 2e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("name", LOOPS)
def test_machine_code_equals_python(name: str, dtype: str, bound: float) -> None:
    loop, first, second = getattr(pair_kernels, name), given(name, dtype), given(name, dtype)
    loop(*first)
    compiled(loop)(*second)
    changed = [k for k, (a, b) in enumerate(zip(first, given(name, dtype), strict=True)) if not np.array_equal(a, b)]
    groups = LOOPS[name][1::2]
    assert len(changed) == sum(map(len, groups))
    for k in changed:
        assert first[k].dtype == second[k].dtype == dtype
        np.testing.assert_allclose(second[k], first[k], rtol=bound, atol=bound)


@pytest.mark.parametrize("gated", [False, True])
def test_messages_without_gate(gated: bool) -> None:
    """An empty gate lets everything through."""
    width, here, there, share, y, gate, out = given("end", "float64")
    out[:], gate = 0, gate if gated else gate[:0]
    compiled(pair_kernels.end)(width, here, there, share, y, gate, out)
    m = (y / (1 + np.exp(-y))).reshape(3, 2, WIDTH)
    let = 1 / (1 + np.exp(-(m @ gate[:-1] + gate[-1]))) if gated else np.ones((3, 2))
    expected = np.zeros((ATOMS, WIDTH))
    for p in range(3):
        expected[here[p]] += share[p] * let[p, 0] * m[p, 0]
        expected[there[p]] += share[p] * let[p, 1] * m[p, 1]
    np.testing.assert_allclose(out.reshape(ATOMS, WIDTH), expected, rtol=1e-13)


def test_the_fast_sigmoid_in_fp32() -> None:
    """Within some units of the last place, at the ends, and of what is no number."""
    x = np.concatenate([np.linspace(-80, 80, 4001), [-1e30, -np.inf, 1e30, np.inf, np.nan]]).astype(np.float32)
    zeros = np.zeros((2, len(x)), np.float32)  # own and away; one pair of atoms, as wide as there are numbers
    u = np.zeros(4 * len(x), np.float32)
    place = np.zeros(1, np.int64)
    compiled(pair_kernels.begin)(len(x), place, place, x, zeros[0], zeros[1], u)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = x.astype(np.float64) / (1 + np.exp(-x.astype(np.float64)))
    finite = np.abs(x) <= 80
    np.testing.assert_allclose(u[: len(x)][finite], exact[finite], rtol=4e-7, atol=1e-37)
    assert u[len(x) - 2] == np.inf
    assert np.isnan(u[len(x) - 1])


def test_without_a_folder_for_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    right = numba.njit

    def nowhere(*args: Any, cache: bool = False, **kwargs: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return right(*args, **kwargs)

    monkeypatch.setattr(numba, "njit", nowhere)
    arguments = given("receive", "float64")
    before = arguments[-1].copy()
    compiled.__wrapped__(receive)(*arguments)
    assert (arguments[-1] != before).any()

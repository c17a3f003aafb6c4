"""Compiled loops over pairs: the same as when Python runs them, and there where nothing can be kept on disk."""

from typing import Any

import numba
import numpy as np
import pytest

from tetramer.layers.pair_kernels import compiled, give_back, receive


def arrays(dtype: str) -> list[np.ndarray]:
    """Three pairs among four atoms, width 5: pairs, directions, filters, what atoms send, slopes."""
    rng = np.random.Generator(np.random.Philox(0))
    here, there = np.array([0, 0, 2]), np.array([1, 3, 3])
    return [here, there, *(rng.normal(size=size).astype(dtype) for size in (9, 3 * 15, 4 * 25, 4 * 20))]


@pytest.mark.parametrize("dtype, bound", [("float32", 1e-6), ("float64", 1e-14)])
def test_machine_code_equals_python(dtype: str, bound: float) -> None:
    *given, slope = arrays(dtype)
    for loop, inputs, outputs in (
        (receive, given, [np.zeros(4 * 20, dtype)]),
        (give_back, [*given, slope], [np.zeros(4 * 25, dtype), np.zeros(3 * 15, dtype)]),
    ):
        plain = [array.copy() for array in outputs]
        with np.errstate(over="ignore"):
            loop(*inputs, *plain)
        compiled(loop)(*inputs, *outputs)
        for ours, theirs in zip(outputs, plain, strict=True):
            assert np.count_nonzero(theirs) > len(theirs) / 2
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=10 * bound)


def test_without_a_folder_for_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    right = numba.njit

    def nowhere(*args: Any, cache: bool = False, **kwargs: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return right(*args, **kwargs)

    monkeypatch.setattr(numba, "njit", nowhere)
    *given, _ = arrays("float64")
    out = np.zeros(4 * 20)
    compiled.__wrapped__(receive)(*given, out)
    assert out.any()

"""Functions of a distance, against plain formulas and what is known at their ends."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tetramer.layers import bases
from tetramer.layers.bases import FLOOR, bessel, cosine, gaussians, lengths, polynomial


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slopes(f: object, at: float, order: int) -> list[float]:
    """Value and derivatives of f at one distance."""
    x = column(at).requires_grad_()
    value = f(x)  # type: ignore[operator]
    found = [value.item()]
    for _ in range(order):
        (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        found.append(value.item())
    return found


def test_gaussians_equal_a_loop() -> None:
    d, count, cutoff = column(0.3, 1.7, 4.9, 8.0), 6, 5.0
    centres = [cutoff * k / (count - 1) for k in range(count)]
    loop = [[math.exp(-((x - c) ** 2) / (2 * 1.0**2)) for c in centres] for x in d.tolist()]
    np.testing.assert_allclose(gaussians(d, count, cutoff).numpy(), loop, rtol=1e-13)
    assert gaussians(column(*centres), count, cutoff).diagonal().tolist() == [1.0] * count
    wide = gaussians(column(2.0), 3, 8.0)[0]  # spacing 4, centres 0, 4, 8
    np.testing.assert_allclose(wide.numpy(), np.exp([-0.125, -0.125, -1.125]), rtol=1e-13)


def test_bessel_functions_equal_a_loop_and_their_limit() -> None:
    d, count, cutoff = column(0.5, 2.0, 4.0), 5, 5.0
    loop = [[math.sin(k * math.pi * x / cutoff) / x for k in range(1, count + 1)] for x in d.tolist()]
    np.testing.assert_allclose(bessel(d, count, cutoff).numpy(), loop, rtol=1e-12)
    np.testing.assert_allclose(bessel(column(cutoff), count, cutoff).numpy(), 0, atol=1e-14)
    limit = [k * math.pi / cutoff for k in range(1, count + 1)]
    np.testing.assert_allclose(bessel(lengths(column(0.0)), count, cutoff)[0].numpy(), limit, rtol=1e-3)


def test_bessel_functions_are_orthogonal() -> None:
    """With weight d² on (0, r): ∫ sin(aπd/r) sin(bπd/r) dd = r / 2 for a = b, else 0."""
    d = (torch.arange(4000, dtype=torch.float64) + 0.5) * (5.0 / 4000)
    waves = bessel(d, 6, 5.0) * d[:, None]
    np.testing.assert_allclose((waves.t() @ waves * (5.0 / 4000)).numpy(), 2.5 * np.eye(6), atol=1e-9)


def test_known_values_of_the_envelopes() -> None:
    np.testing.assert_allclose(cosine(column(0, 2.5, 5, 9), 5.0).numpy(), [1, 0.5, 0, 0], atol=1e-15)
    np.testing.assert_allclose(polynomial(column(0, 2.5, 5, 9), 5.0).numpy(), [1, 219 / 256, 0, 0], atol=1e-15)


@pytest.mark.parametrize("envelope, smooth", [(cosine, 1), (polynomial, 2)])
def test_envelopes_end_smoothly(envelope: object, smooth: int) -> None:
    """At the cutoff the value and `smooth` derivatives vanish; beyond it everything is exactly zero."""
    just_inside = slopes(lambda d: envelope(d, 5.0), 5.0 - 1e-7, smooth)  # type: ignore[operator]
    assert max(map(abs, just_inside)) < 1e-5
    assert slopes(lambda d: envelope(d, 5.0), 5.0 + 1e-7, smooth) == [0.0] * (smooth + 1)  # type: ignore[operator]
    start = slopes(lambda d: envelope(d, 5.0), FLOOR, 1)  # type: ignore[operator]
    assert start[0] == pytest.approx(1, abs=1e-4)
    assert abs(start[1]) < 1e-2


@pytest.mark.parametrize("envelope", [cosine, polynomial])
@given(st.floats(0, 20), st.floats(0, 20), st.floats(0.5, 15))
def test_envelopes_fall_from_one_to_zero(envelope: object, a: float, b: float, cutoff: float) -> None:
    near, far = envelope(column(min(a, b), max(a, b)), cutoff).tolist()  # type: ignore[operator]
    assert -1e-12 <= far <= near + 1e-12 <= 1 + 2e-12


def test_lengths_and_their_slopes_at_zero() -> None:
    squares = column(0.0, FLOOR**2 / 4, 4.0).requires_grad_()
    d = lengths(squares)
    assert d.tolist() == [FLOOR, FLOOR, 2.0]
    (slope,) = torch.autograd.grad(d.sum(), squares, create_graph=True)
    assert slope.tolist() == [0.0, 0.0, 0.25]
    (curve,) = torch.autograd.grad(slope.sum(), squares)
    assert curve.tolist() == [0.0, 0.0, -1 / 32]


@pytest.mark.parametrize("name", ["gaussians", "bessel", "cosine", "polynomial"])
def test_two_derivatives_are_right(name: str) -> None:
    x = column(0.2, 1.1, 3.3, 4.7).requires_grad_()
    function = getattr(bases, name)
    settings = (7, 5.0) if name in ("gaussians", "bessel") else (5.0,)
    assert torch.autograd.gradcheck(lambda d: function(d, *settings), x)
    assert torch.autograd.gradgradcheck(lambda d: function(d, *settings), x)

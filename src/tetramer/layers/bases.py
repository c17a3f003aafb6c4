r"""Functions of distances: bases that a network reads, and envelopes that fade to zero at a cutoff.

Everywhere d: (…) distances in Å, as `lengths` gives them, r: the cutoff in Å.
"""

import math

import torch
from torch import Tensor

FLOOR = 0.01  # Å; atoms that are closer count as this far apart, so that no slope is infinite


def lengths(squares: Tensor) -> Tensor:
    r"""Square roots of squared distances, :math:`\max(\sqrt{d^2}, 0.01)`. Below the floor the slope is 0."""
    return squares.clamp(min=FLOOR * FLOOR).sqrt()


def gaussians(d: Tensor, count: int, cutoff: float) -> Tensor:
    r"""Gaussians on an even grid (SchNet, arXiv:1706.08566), as wide as the grid is coarse.

    .. math:: g_k(d) = e^{-(d - \mu_k)^2 / 2 \Delta^2}, \quad \mu_k = k \Delta, \quad \Delta = r / (K - 1)

    (…) → (…, K) for k = 0 … K - 1; K ≥ 2.
    """
    centres = torch.linspace(0, cutoff, count, dtype=d.dtype, device=d.device)
    return (-0.5 * ((d[..., None] - centres) * ((count - 1) / cutoff)).square()).exp()


def bessel(d: Tensor, count: int, cutoff: float) -> Tensor:
    r"""Spherical waves that are zero at the cutoff (DimeNet, arXiv:2003.03123), :math:`\sin(k \pi d / r) / d`.

    (…) → (…, K) for k = 1 … K. For d → 0 they tend to :math:`k \pi / r`.
    """
    waves = torch.arange(1, count + 1, dtype=d.dtype, device=d.device) * (math.pi / cutoff)
    return (d[..., None] * waves).sin() / d[..., None]


def cosine(d: Tensor, cutoff: float) -> Tensor:
    r"""Envelope :math:`(1 + \cos(\pi d / r)) / 2`, 0 beyond r; its slope is continuous."""
    return 0.5 * (1 + (d.clamp(max=cutoff) * (math.pi / cutoff)).cos())


def polynomial(d: Tensor, cutoff: float) -> Tensor:
    r"""Envelope :math:`1 - 28 x^6 + 48 x^7 - 21 x^8` with x = d / r, 0 beyond r (DimeNet, p = 6).

    Nearly 1 where bonds and angles are decided; slope and curvature are continuous.
    """
    x = (d / cutoff).clamp(max=1.0)
    return 1 - x.pow(6) * (28 - x * (48 - 21 * x))

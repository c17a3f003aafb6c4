"""Reductions over the rows that share an owner. An owner with no rows gives zeros.

Everywhere x: (N, D) float, owner: (N,) int64 in [0, size), result: (size, D).
"""

import math

import torch
from torch import Tensor

_FLOOR = 1e-5  # keeps the slope of a square root finite where all rows are equal


def sum_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    r"""Sum, :math:`y_b = \sum_{i:\,o_i=b} x_i`."""
    return x.new_zeros(size, x.shape[-1]).index_add(0, owner, x)


def mean_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    r"""Arithmetic mean, :math:`y_b = n_b^{-1} \sum_{i:\,o_i=b} x_i`."""
    return sum_by_owner(x, owner, size) / _count(owner, size, x.dtype)


def max_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    """Largest value in each column. Rows that tie share the gradient equally."""
    place = owner[:, None].expand_as(x)
    top = x.new_zeros(size, x.shape[-1]).scatter_reduce(0, place, x.detach(), "amax", include_self=False)
    won = (x.detach() == top.index_select(0, owner)).to(x.dtype)
    share = won / sum_by_owner(won, owner, size).index_select(0, owner)
    return sum_by_owner(x * share, owner, size)


def min_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    """Smallest value in each column."""
    return -max_by_owner(-x, owner, size)


def std_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    r"""Standard deviation, :math:`\sqrt{\sigma_b^2 + \epsilon} - \sqrt\epsilon` with ε = 1e-5: 0 for a single row."""
    centred = x - mean_by_owner(x, owner, size).index_select(0, owner)
    return (mean_by_owner(centred.square(), owner, size) + _FLOOR).sqrt() - math.sqrt(_FLOOR)


def softmax_by_owner(score: Tensor, owner: Tensor, size: int) -> Tensor:
    """Softmax of each column among the rows of each owner. (N, H) → (N, H); the weights of an owner sum to 1."""
    place = owner[:, None].expand_as(score)
    top = score.new_zeros(size, score.shape[-1]).scatter_reduce(0, place, score.detach(), "amax", include_self=False)
    power = (score - top.index_select(0, owner)).exp()
    return power / sum_by_owner(power, owner, size).index_select(0, owner)


def pna_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    r"""Principal neighbourhood aggregation (arXiv:2004.05718): mean, max, min and standard deviation, each as it is,
    times :math:`s = \ln(n_b + 1) / \ln 3` and times 1 / s. The paper's δ is ln 3 here: about two neighbours, as in
    drug-like molecules, so that the numbers do not depend on a data set.

    →   (size, 12 D)
    """
    reduce = (mean_by_owner, max_by_owner, min_by_owner, std_by_owner)
    four = torch.cat([each(x, owner, size) for each in reduce], 1)  # (size, 4 D)
    scale = torch.log1p(_count(owner, size, x.dtype)) / math.log(3)
    return torch.cat([four, four * scale, four / scale], 1)


def _count(owner: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """(size, 1) rows of each owner, at least 1 so that it can divide."""
    return owner.bincount(minlength=size).clamp(min=1)[:, None].to(dtype)

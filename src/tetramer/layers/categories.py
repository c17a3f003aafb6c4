"""Rows of categories as one number, and as vectors of zeros and ones."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tetramer.layers.ragged import rounded


def pack(columns: Tensor, sizes: Sequence[int]) -> Tensor:
    """One integer for each row of categories, a different one for each different row. (n, C) int64 → (n,)"""
    radix = [math.prod(sizes[place + 1 :]) for place in range(len(sizes))]
    return (columns * torch.tensor(radix, device=columns.device)).sum(1)


def one_hot(columns: Tensor, sizes: Sequence[int], dtype: torch.dtype) -> Tensor:
    """(n, C) int64 categories → (n rounded up, sum of sizes); the rows beyond n are zeros."""
    first = torch.tensor([0, *sizes[:-1]], device=columns.device).cumsum(0)
    empty = torch.zeros(rounded(len(columns)), sum(sizes), dtype=dtype, device=columns.device)
    return empty.scatter_(1, columns + first, 1.0)

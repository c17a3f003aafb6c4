"""Columns of any distribution made normal by their ranks among the training rows."""

import numpy as np
import torch
from torch import Tensor


def fit_quantiles(columns: np.ndarray, count: int) -> np.ndarray:
    """`count` evenly spaced quantiles, lowest to highest, of each column; NaN and infinities are passed over.

    columns: (n, D)   →   (count, D) float32; a column without a number gives zeros.
    """
    known = np.where(np.isfinite(columns), columns, np.nan).astype(np.float64)
    result = np.zeros((count, columns.shape[1]), dtype=np.float32)
    filled = np.isfinite(known).any(0)
    if filled.any():
        result[:, filled] = np.nanquantile(known[:, filled], np.linspace(0, 1, count), axis=0)
    return result


def to_normal(x: Tensor, quantiles: Tensor) -> Tensor:
    r"""Rank a value among the training rows and give the normal score of that rank, :math:`\Phi^{-1}(u)`.

    x: (B, D)   quantiles: (Q, D) ascending in each column   →   (B, D)

    Between two quantiles the rank is interpolated; a value that equals several of them gets the middle of their ranks.
    u is kept half a step from 0 and 1, so that nothing lies beyond ±2.6 with 101 quantiles. NaN stands for the median.
    A column that was constant in training gives 0 whatever the value is, since nothing could be learned from it.
    """
    steps = len(quantiles) - 1
    table = quantiles.t().to(x.dtype).contiguous()  # (D, Q)
    values = torch.where(x.isfinite(), x, table[:, steps // 2]).t().contiguous()  # (D, B)
    low = torch.searchsorted(table, values)  # quantiles below the value
    high = torch.searchsorted(table, values, right=True)  # quantiles below or equal
    left = table.gather(1, (low - 1).clamp(min=0))
    right = table.gather(1, low.clamp(max=steps))
    part = (values - left) / (right - left).clamp(min=torch.finfo(x.dtype).tiny)
    rank = torch.where(high > low, (low + high - 1) / 2, low - 1 + part) / steps
    edge = 0.5 / steps
    score = torch.special.ndtri(rank.clamp(edge, 1 - edge))
    return torch.where(table[:, -1:] > table[:, :1], score, 0.0).t()

"""Losses over all pairs of a batch: which of many candidates is the right one."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

NEVER = -1e9  # the score of a candidate that is no wrong answer
FLOOR = 1e-6  # of a squared distance: the slope of its root is finite


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean, (B, P), (C, P) → (B, C)."""
    squared = one.square().sum(1)[:, None] + other.square().sum(1)[None, :] - 2 * one @ other.T
    return (squared.clamp(min=0) + FLOOR).sqrt()


def contrast(scores: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of candidate i among all for row i, and of row i among all for candidate i; and who was right.

    scores: (B, C), C ≥ B   same: (B, C) bool, candidates that are no wrong answers   →   (), (B,) bool
    """
    size = len(scores)
    right = torch.arange(size, device=scores.device)
    scores = scores.masked_fill(same, NEVER)
    value = cross_entropy(scores, right) + cross_entropy(scores[:, :size].T, right)
    return value, scores.argmax(1) == right


def hinge(apart: Tensor, same: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    r"""MolR (arXiv:2109.09888): :math:`\frac1B \sum_i d_{ii} + \text{mean}_{i \ne j} \max(0, \gamma - d_{ij})`.

    apart: (B, C) distances, C ≥ B   same: (B, C) bool, pairs that are no negatives   →   (), (B,) bool
    """
    right = torch.arange(len(apart), device=apart.device)
    wrong = ~same
    wrong[right, right] = False
    push = ((margin - apart).clamp(min=0) * wrong).sum() / wrong.sum().clamp(min=1)
    return apart[right, right].mean() + push, apart.masked_fill(same, torch.inf).argmin(1) == right

"""Losses over all pairs of a batch: which of many candidates is the right one."""

from math import log
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

NEVER = -1e9  # the score of a candidate that is no wrong answer
FLOOR = 1e-6  # of a squared distance: the slope of its root is finite
ACTIVE = 0.01  # a negative that is so likely, as a share of the right one, still counts for a cross-entropy
TURN = 256  # rows whose distances are held at a time


class Told(NamedTuple):
    """The loss of a batch, and what is known beside it."""

    value: Tensor  # ()
    right: Tensor  # (B,) bool, whether the right candidate is the best one
    active: Tensor  # () share of the negatives that the loss still pushes


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean for a loss, (B, P), (C, P) → (B, C): √(d² + FLOOR)."""
    return (squares(one, other) + FLOOR).sqrt()


def squares(one: Tensor, other: Tensor) -> Tensor:
    """Of Euclidean distances, (B, P), (C, P) → (B, C), to the rounding of the vectors' own squares."""
    told = one.square().sum(1)[:, None] + other.square().sum(1)[None, :] - 2 * one @ other.T
    return told.clamp(min=0)


def contrast(scores: Tensor, same: Tensor) -> Told:
    """Cross-entropy of candidate i among all for row i, and of row i among all for candidate i.

    scores: (B, C), C ≥ B   same: (B, C) bool, candidates that are no wrong answers

    Active are negatives at least ACTIVE times as likely as the right one.
    """
    size = len(scores)
    right = torch.arange(size, device=scores.device)
    scores = scores.masked_fill(same, NEVER)
    value = cross_entropy(scores, right) + cross_entropy(scores[:, :size].T, right)
    wrong = negatives(same)
    near = wrong & (scores > scores[right, right][:, None] + log(ACTIVE))
    return Told(value, scores.argmax(1) == right, near.sum() / wrong.sum().clamp(min=1))


def negatives(same: Tensor) -> Tensor:
    """(B, C) bool, the pairs that are wrong: neither the right ones nor `same`."""
    right = torch.arange(len(same), device=same.device)
    wrong = ~same
    wrong[right, right] = False
    return wrong


def relative(one: Tensor, other: Tensor) -> Tensor:
    """`distances` as shares of the mean length of `one`: no scale of all vectors changes them."""
    return distances(one, other) / one.square().sum(1).sqrt().mean().clamp(min=FLOOR)


def hinge(apart: Tensor, same: Tensor, margin: float, active: bool = False) -> Told:
    r"""MolR (arXiv:2109.09888): :math:`\frac1B \sum_i d_{ii} + \text{mean}_{i \ne j} \max(0, \gamma - d_{ij})`.

    apart: (B, C) distances, C ≥ B   same: (B, C) bool, pairs that are no negatives

    Active are negatives within the margin. active: whether the second mean is over these alone; 0 without any
    """
    right = torch.arange(len(apart), device=apart.device)
    wrong = negatives(same)
    near = wrong & (apart < margin)
    push = ((margin - apart) * near).sum() / (near if active else wrong).sum().clamp(min=1)
    nearest = apart.masked_fill(same, torch.inf).argmin(1)
    return Told(apart[right, right].mean() + push, nearest == right, near.sum() / wrong.sum().clamp(min=1))


def mean_reciprocal_rank(rows: Tensor, candidates: Tensor, number: np.ndarray) -> float:
    """Of candidate i for row i, by Euclidean distance among the different candidates; ties share the middle of theirs.

    rows, candidates: (n, P)   number: (n,) equal for equal candidates, of which the first stands for all
    """
    _, first, place = np.unique(number, return_index=True, return_inverse=True)
    pool, right = candidates[torch.from_numpy(first)].double(), torch.from_numpy(place.reshape(-1, 1))
    found = []
    for turn in range(0, len(rows), TURN):
        apart = distances(rows[turn : turn + TURN].double(), pool)
        mine = apart.gather(1, right[turn : turn + TURN])
        found.append(1 / (1 + (apart < mine).sum(1) + ((apart == mine).sum(1) - 1) / 2))
    return float(torch.cat(found).mean())

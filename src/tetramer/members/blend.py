"""The blend: non-negative weights that sum to one, fitted on predictions for rows the members had not seen."""

import numpy as np

from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem

# Rows that speak for equal weights, each with the squared error of the best member, so that few labels do not tell
# members apart by chance. Members err together in a regression; of classifiers the overconfident are found sooner.
PRIOR = {REGRESSION: 600, BINARY: 50, MULTICLASS: 50}


def fit_weights(
    held: np.ndarray, values: np.ndarray, censor: np.ndarray, problem: Problem, prior: int | None = None
) -> np.ndarray:
    """Weights (T, G) of G members: the least squared error of the blend, of classes that of the probabilities (Brier).

    held: (G, n, T, K) out-of-fold predictions   values: (n, T) labels or class numbers, NaN unknown   censor: (n, T)
    prior: rows that speak for equal weights; None: as PRIOR has it
    """
    prior = PRIOR[problem.task] if prior is None else prior
    groups, _, targets, _ = held.shape
    weights = np.full((targets, groups), 1.0 / groups)
    for target in range(targets):
        known = np.isfinite(values[:, target]) & (censor[:, target] == 0)
        known &= np.isfinite(held[:, :, target]).all(axis=(0, 2))
        if known.sum() < 10 or groups == 1:
            continue
        truth = values[known, target]
        if problem.task == MULTICLASS:
            truth = np.eye(problem.outputs)[truth.astype(int)].reshape(-1)  # 1 for the class that was true
        told = held[:, known, target].reshape(groups, -1).T
        weights[target] = convex_least_squares(told, truth, prior * problem.outputs)
    return weights


def convex_least_squares(told: np.ndarray, truth: np.ndarray, prior: float) -> np.ndarray:
    r"""Minimise :math:`\|Pw - y\|^2 + \lambda\|w - 1/G\|^2` over :math:`w ≥ 0, \sum w = 1`.

    λ is `prior` times the mean squared error of the best member, so that a useless one makes no noise.
    told: (n, G)   truth: (n,)   →   (G,)
    """
    from scipy.optimize import nnls  # slow to import, and answering does without

    groups = told.shape[1]
    error = told - truth[:, None]  # with weights that sum to one, Pw − y is this matrix times w
    squares = np.mean(error**2, axis=0)
    if squares.sum() == 0:
        return np.full(groups, 1.0 / groups)
    scale, ridge = np.sqrt(squares.mean()), np.sqrt(prior * squares.min())
    sum_to_one = 1e4 * np.sqrt(len(truth)) * scale  # a heavy row instead of a constraint
    rows = np.vstack([error, ridge * np.eye(groups), np.full((1, groups), sum_to_one)])
    goal = np.concatenate([np.zeros(len(truth)), np.full(groups, ridge / groups), [sum_to_one]])
    weights, _ = nnls(rows, goal, maxiter=100 * groups)
    return np.asarray(weights / weights.sum())


def combine(weights: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Blend (G, n, T, K) by (T, G) → (n, T, K); a member with no answer for a row is left out there.

    If only members of weight 0 answer, they answer by their mean; if none does, NaN.
    """
    there = np.isfinite(told).all(axis=3)  # (G, n, T)
    share = weights.T[:, None, :] * there
    share = np.where(share.sum(axis=0) > 0, share, there)
    total = share.sum(axis=0)
    share = np.where(total > 0, share / np.where(total > 0, total, 1.0), np.nan)
    blended = (share[..., None] * np.where(there[..., None], told, 0.0)).sum(axis=0)
    return np.asarray(blended)


def spread(told: np.ndarray) -> np.ndarray:
    """Standard deviation (n, T) of the members' values (G, n, T, K), K = 1; zero where fewer than two answer."""
    values = told[..., 0]
    there = np.isfinite(values)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0.0).sum(axis=0) / count
    square = np.where(there, (values - mean) ** 2, 0.0).sum(axis=0) / count
    return np.asarray(np.sqrt(square))

"""A linear head on any matrix: ridge or logistic regression, its strength chosen on the fitted rows alone.

The free baselines and the vectors of a pretrained model are asked by the same head. Everything is a pure function of
its arguments. scikit-learn is imported where it is used.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from scipy import sparse

from tetramer.members.base import REGRESSION
from tetramer.training import epoch_order

Matrix: TypeAlias = "np.ndarray | sparse.csr_array"  # (n, D)

RIDGES = 10.0 ** np.arange(4, -10.5, -0.5)  # λ tried, in units of the mean eigenvalue; of equal ones the first
COSTS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)  # C tried: 1 / λ of logistic regression
COST = 0.03  # where C is not chosen: between the least log loss (0.01) and the best ranking (0.1) of Tox21 and SIDER
MANY = 24  # targets; with more C is not chosen
FOLDS = 3
FEWEST = 3  # labels of a target; with fewer its mean is answered
STILL = 1e-7  # a column that varies less than this, as a share of its size, is constant
LEAST = 1e-9  # of 1 − leverage; a λ that gives a row less is not taken, as its error is rounding
STEPS = 1_000
BLOCK = 4_096  # rows that are turned into the eigenbasis at a time


def linear(
    x: Matrix,
    values: np.ndarray,
    fitted: np.ndarray,
    asked: np.ndarray,
    task: str,
    outputs: int = 1,
    scaled: bool = True,
) -> np.ndarray:
    """Learn from the labels of the rows `fitted` (n,), answer the rows `asked` (m,): (m, T, K), as `Problem` has it.

    x: (N, D)   values: (N, T), NaN where unknown   outputs: K   scaled: columns are divided by their deviation

    A row of a dense x that is not finite is not learned from and gets NaN. A target with fewer than FEWEST labels or a
    single class answers its mean or shares, one without labels NaN. Ridge regression takes the λ of the least
    leave-one-out error; logistic regression the C of the least log loss over FOLDS inner folds, or COST where there
    are more than MANY targets or fewer than FOLDS labels of a class. The order of `fitted` does not matter.
    """
    fitted = np.sort(fitted)
    good = np.asarray(np.isfinite(x).all(axis=1) if isinstance(x, np.ndarray) else np.full(x.shape[0], True))
    fitted, there = fitted[good[fitted]], good[asked]
    out = np.full((len(asked), values.shape[1], outputs), np.nan)
    known = np.isfinite(values[fitted])
    patterns: dict[bytes, list[int]] = {}
    for target in range(values.shape[1]):
        patterns.setdefault(known[:, target].tobytes(), []).append(target)
    for targets in patterns.values():
        rows = fitted[known[:, targets[0]]]
        columns = Columns.of(x[rows], scaled)
        z, wanted, y = columns(x[rows]), columns(x[asked[there]]), values[np.ix_(rows, targets)]
        if task == REGRESSION:
            out[np.ix_(there, targets, [0])] = ridge(z, y, columns.shift(z), wanted)[:, :, None]
            continue
        for target, labels in zip(targets, y.T.astype(np.int64), strict=True):
            out[there, target] = classify(z, labels, wanted, outputs, values.shape[1] <= MANY)
    return out


@dataclass(frozen=True)
class Columns:
    """The columns that vary among the fitted rows, and how they are made alike in size."""

    kept: np.ndarray  # (d,) places among the D columns
    centre: np.ndarray  # (d,)
    scale: np.ndarray  # (d,)

    @classmethod
    def of(cls, x: Matrix, scaled: bool) -> Self:
        """Of the fitted rows (n, D)."""
        if not min(x.shape):
            return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        if isinstance(x, np.ndarray):
            x = x.astype(np.float64)
            centre, size = x.mean(axis=0), np.sqrt((x**2).mean(axis=0))
            deviation = x.std(axis=0)
        else:
            centre, size = np.asarray(x.mean(axis=0)), np.sqrt(np.asarray(x.power(2).mean(axis=0)))
            deviation = np.sqrt(np.maximum(size**2 - centre**2, 0))
        kept = np.flatnonzero(deviation > STILL * size)
        return cls(kept, centre[kept], deviation[kept] if scaled else np.ones(len(kept)))

    def __call__(self, x: Matrix) -> Matrix:
        """(n, D) → (n, d) float64; a dense matrix is centred too, a sparse one stays sparse."""
        if isinstance(x, np.ndarray):
            return np.asarray((x[:, self.kept].astype(np.float64) - self.centre) / self.scale)
        return sparse.csr_array(x[:, self.kept].multiply(1 / self.scale))

    def shift(self, z: Matrix) -> np.ndarray:
        """(d,) column means of the fitted rows in z."""
        return np.zeros(len(self.kept)) if isinstance(z, np.ndarray) else self.centre / self.scale


def ridge(z: Matrix, y: np.ndarray, centre: np.ndarray, asked: Matrix) -> np.ndarray:
    r"""Ridge regression with the λ of RIDGES whose exact leave-one-out error is least, for each target alone.

    z: (n, D) with column means `centre` (D,)   y: (n, T), no NaN   asked: (m, D)   →   (m, T)

    With the centred :math:`Z^T Z = V S V^T` and :math:`t = V^T z_i`, a row left out misses by
    :math:`(y_i - \hat y_i) / (1 - h_i)`, :math:`h_i = 1/n + \sum_k t_k^2 / (S_k + λ)`.
    """
    mean = y.mean(axis=0) if len(y) else np.full(y.shape[1], np.nan)
    if len(y) < FEWEST or not z.shape[1]:
        return np.tile(mean, (asked.shape[0], 1))
    roots, vectors = eigenbasis(z, centre)
    projected = vectors.T @ (z.T @ (y - mean))  # (r, T)
    shrunk = 1 / (roots[:, None] + RIDGES * roots.sum() / z.shape[1])  # (r, L)
    error = np.zeros((len(RIDGES), y.shape[1]))
    for start in range(0, len(y), BLOCK):
        block = slice(start, start + BLOCK)
        turned = z[block] @ vectors - centre @ vectors  # (b, r)
        free = 1 - 1 / len(y) - turned**2 @ shrunk  # (b, L)
        free[free < LEAST] = np.nan
        for target in range(y.shape[1]):
            missed = (y[block, target] - mean[target])[:, None] - turned @ (shrunk * projected[:, [target]])
            error[:, target] += ((missed / free) ** 2).sum(axis=0)
    best = np.where(np.isfinite(error), error, np.inf).argmin(axis=0)
    weights = vectors @ (projected * shrunk[:, best])  # (D, T)
    return np.asarray(asked @ weights - centre @ weights + mean)


def eigenbasis(z: Matrix, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (r,) and eigenvectors (D, r) of the centred z^T z, by way of the smaller of z^T z and z z^T."""
    from scipy.linalg import eigh

    count, width = z.shape
    square = z.T @ z if width <= count else z @ z.T
    dense = square if isinstance(square, np.ndarray) else square.toarray()
    if width <= count:
        roots, vectors = eigh(dense - count * np.outer(centre, centre), driver="evd", overwrite_a=True)
        return np.maximum(roots, 0), vectors
    along = z @ centre
    dense = dense - along[:, None] - along + centre @ centre
    roots, vectors = eigh(dense, driver="evd", overwrite_a=True)
    kept = roots > 1e-12 * roots[-1]
    roots, vectors = roots[kept], vectors[:, kept]
    return roots, (z.T @ vectors - np.outer(centre, vectors.sum(axis=0))) / np.sqrt(roots)


def classify(z: Matrix, y: np.ndarray, asked: Matrix, outputs: int, choose: bool) -> np.ndarray:
    """Logistic regression: z (n, D), classes y (n,), asked (m, D) → (m, K); K = 1 is the probability of class 1."""
    classes, sizes = np.unique(y, return_counts=True)
    if len(y) < FEWEST or len(classes) < 2 or not z.shape[1]:
        told = shares(y, outputs)
        return np.tile(told, (asked.shape[0], 1))
    cost = best_cost(z, y) if choose and sizes.min() >= FOLDS else COST
    chances = settled(machine(cost), z, y).predict_proba(asked) if asked.shape[0] else np.zeros((0, len(classes)))
    if outputs == 1:
        return np.asarray(chances[:, 1:])
    out = np.zeros((asked.shape[0], outputs))
    out[:, classes] = chances
    return out


def shares(y: np.ndarray, outputs: int) -> np.ndarray:
    """(K,) share of each class, NaN without labels; K = 1 is the share of class 1."""
    if not len(y):
        return np.full(outputs, np.nan)
    return np.array([y.mean()]) if outputs == 1 else np.bincount(y, minlength=outputs) / len(y)


def best_cost(z: Matrix, y: np.ndarray) -> float:
    """C of COSTS with the least log loss over inner folds that hold every class in proportion."""
    order = epoch_order(0, 0, len(y))
    order = order[np.argsort(y[order], kind="stable")]
    fold = np.empty(len(y), np.int64)
    fold[order] = np.arange(len(y)) % FOLDS
    loss = np.zeros(len(COSTS))
    places = np.searchsorted(np.unique(y), y)
    for k in range(FOLDS):
        rest, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        model = machine(COSTS[0])
        inside, outside = z[rest], z[held]
        for place, cost in enumerate(COSTS):
            told = settled(model.set_params(C=cost), inside, y[rest]).predict_proba(outside)
            loss[place] -= np.log(np.maximum(told[np.arange(len(held)), places[held]], 1e-15)).sum()
    return COSTS[int(loss.argmin())]


def machine(cost: float) -> Any:  # noqa: ANN401 (scikit-learn has no types)
    """Logistic regression with an L2 penalty on all but the constant; a further fit goes on from the last one."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=cost, solver="lbfgs", max_iter=STEPS, warm_start=True)


def settled(model: Any, z: Matrix, y: np.ndarray) -> Any:  # noqa: ANN401 (scikit-learn has no types)
    """The fitted model; one that has not settled after STEPS answers as it stands."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(z, y)

"""A linear head on any matrix: ridge or logistic regression, its strength chosen on the fitted rows alone.

The free baselines and the vectors of a pretrained model are asked by the same head. Everything is a pure function of
its arguments. scikit-learn is imported where it is used.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from tetramer.members.base import REGRESSION
from tetramer.members.ridge import FEWEST, Matrix, fit_ridge
from tetramer.training import epoch_order

COSTS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)  # C tried: 1 / λ of logistic regression
COST = 0.03  # where C is not chosen: between the least log loss (0.01) and the best ranking (0.1) of Tox21 and SIDER
MANY = 24  # targets; with more C is not chosen
FOLDS = 3
STILL = 1e-7  # a column that varies less than this, as a share of its size, is constant
STEPS = 1_000


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
            out[np.ix_(there, targets, [0])] = fit_ridge(z, y, columns.shift(z))(wanted)[:, :, None]
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
    """C of COSTS with the least log loss over inner folds that hold every class in proportion.

    The path from much penalty to little ends where the loss has risen twice: the fits behind cost most of the time.
    """
    order = epoch_order(0, 0, len(y))
    order = order[np.argsort(y[order], kind="stable")]
    fold = np.empty(len(y), np.int64)
    fold[order] = np.arange(len(y)) % FOLDS
    places = np.searchsorted(np.unique(y), y)
    models = [machine(COSTS[0]) for _ in range(FOLDS)]
    sides = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(FOLDS)]
    parts = [(z[rest], y[rest], z[held], places[held]) for rest, held in sides]
    losses: list[float] = []
    for cost in COSTS:
        losses.append(0.0)
        for model, (inside, learned, outside, truth) in zip(models, parts, strict=True):
            told = settled(model.set_params(C=cost), inside, learned).predict_proba(outside)
            losses[-1] -= float(np.log(np.maximum(told[np.arange(len(truth)), truth], 1e-15)).sum())
        if len(losses) > 2 and losses[-1] > losses[-2] > losses[-3]:
            break
    return COSTS[int(np.argmin(losses))]


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

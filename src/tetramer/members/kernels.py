"""Kernel machines on quantile-normalised descriptors: a support vector machine and a Gaussian process.

Both are kept as arrays: support points, coefficients and the numbers of the kernel. Nothing of scikit-learn
is stored. Slow imports are made where they are needed: they take longer than a network's answer.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit, ndtri

from tetramer.checkpoint import Files, finite, pack, unpack
from tetramer.errors import UserError, pick
from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem, resolved, usable
from tetramer.recipes import configured
from tetramer.training import Data, epoch_order
from tetramer.views import fingerprint
from tetramer.views.base import Features
from tetramer.views.descriptors import NAMES

POINTS = 101  # quantiles kept of each descriptor
SCALES = (0.35, 0.7, 1.4, 2.8)  # kernel lengths tried, in units of the square root of the number of descriptors
NOISES = (0.01, 0.03, 0.1, 0.3, 1.0)  # noise variances tried, in units of the label variance
SUBSAMPLE = 800  # rows on which length and noise are chosen


@dataclass(frozen=True)
class KernelConfig:
    """`machine` is svm or gp; `cost` is the SVM's C; beyond `largest` rows a fixed random part is used."""

    machine: str = "svm"
    cost: float = 5.0
    largest: int = 6000

    def __post_init__(self) -> None:
        pick(MACHINES, self.machine, "kernel machine")
        if not 0 < self.cost < np.inf or self.largest < 10:
            raise UserError(f"A kernel machine needs cost > 0 and largest ≥ 10; got {self.cost} and {self.largest}.")


def normalise(descriptors: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(n, D) → (n, D) standard normal scores by the training rows' quantiles (Q, D); NaN and constants give 0."""
    levels = np.linspace(0.0, 1.0, len(quantiles))
    out = np.zeros(descriptors.shape)
    for d in range(descriptors.shape[1]):
        column, points = descriptors[:, d], quantiles[:, d]
        if not points[-1] > points[0]:
            continue
        # Ties (a descriptor that is 0 for most molecules) get the middle of their levels.
        low = np.interp(column, points, levels)
        high = 1.0 - np.interp(-column, -points[::-1], levels)
        out[:, d] = ndtri(np.clip((low + high) / 2, 1e-3, 1 - 1e-3))
    return np.nan_to_num(out, nan=0.0)


def fit_quantiles(descriptors: np.ndarray) -> np.ndarray:
    """(n, D) → (Q, D) quantiles of what is finite; a column with nothing finite gives zeros."""
    seen = np.isfinite(descriptors).any(axis=0)
    out = np.zeros((POINTS, descriptors.shape[1]))
    out[:, seen] = np.nanquantile(descriptors[:, seen].astype(np.float64), np.linspace(0, 1, POINTS), axis=0)
    return out


def descriptors_of(features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
    """(n, D) float64 descriptors of the fingerprint view."""
    columns = features["fingerprint"]
    assert isinstance(columns, fingerprint.FingerprintFeatures)
    return np.asarray(columns.descriptors[rows], dtype=np.float64)


def kernel(a: np.ndarray, b: np.ndarray, name: str, length: float) -> np.ndarray:
    r"""(n, D), (m, D) → (n, m): ``rbf`` :math:`e^{-d^2/2l^2}` or ``matern`` (ν = 1/2) :math:`e^{-d/l}`."""
    from scipy.spatial.distance import cdist

    if name == "rbf":
        return np.asarray(np.exp(cdist(a, b, "sqeuclidean") / (-2 * length**2)))
    return np.asarray(np.exp(cdist(a, b) / -length))


@dataclass
class Score:
    r"""One function :math:`f(x) = \sum_i \alpha_i k(x_i, x) + b`, answered as shift + scale f or through a sigmoid."""

    points: np.ndarray  # (m, D) normalised descriptors
    alpha: np.ndarray  # (m,)
    numbers: np.ndarray  # (6,) rbf?, length, bias, shift, scale, sigmoid?

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, D) → (n,)."""
        rbf, length, bias, shift, scale, sigmoid = self.numbers
        f = kernel(x, self.points, "rbf" if rbf else "matern", length) @ self.alpha + bias if len(self.alpha) else bias
        told = np.broadcast_to(shift + scale * f, (len(x),))
        return np.asarray(expit(told)) if sigmoid else np.array(told)


def fit_svm(x: np.ndarray, y: np.ndarray, weight: np.ndarray, task: str, cost: float) -> Score:
    """An RBF support vector machine; a classifier's margin is turned into a probability out of fold (Platt)."""
    from sklearn.svm import SVC, SVR

    gamma = 1.0 / max(1e-12, x.shape[1] * x.var())
    length = float(np.sqrt(0.5 / gamma))
    if task == REGRESSION:
        mean, std = y.mean(), y.std()
        machine = SVR(C=cost, gamma=gamma, epsilon=0.1).fit(x, (y - mean) / std, weight)
        numbers = [1, length, machine.intercept_[0], mean, std, 0]
        return Score(x[machine.support_], machine.dual_coef_[0], np.array(numbers, dtype=np.float64))
    machine = SVC(C=cost, gamma=gamma).fit(x, y, weight)
    slope, shift = platt(*held_out_margins(x, y, weight, cost, gamma))
    numbers = [1, length, machine.intercept_[0], shift, slope, 1]
    return Score(x[machine.support_], machine.dual_coef_[0], np.array(numbers, dtype=np.float64))


def held_out_margins(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, cost: float, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Margins of three inner folds, each from the other two, and the labels beside them."""
    from sklearn.svm import SVC

    fold = epoch_order(0, 0, len(y)) % 3
    margins, labels = [], []
    for k in range(3):
        rest, held = fold != k, fold == k
        if len(np.unique(y[rest])) == 2 and held.any():
            machine = SVC(C=cost, gamma=gamma).fit(x[rest], y[rest], weight[rest])
            margins.append(machine.decision_function(x[held]))
            labels.append(y[held])
    return np.concatenate([np.zeros(0), *margins]), np.concatenate([np.zeros(0), *labels])


def platt(margin: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and shift of a sigmoid from margins to probabilities, smoothed labels (Platt 1999); (2, 0) without rows."""
    from scipy.optimize import minimize

    ones = y.sum()
    if not 0 < ones < len(y):
        return 2.0, 0.0
    soft = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))

    def loss(point: np.ndarray) -> float:
        z = point[0] * margin + point[1]
        return float((np.logaddexp(0, z) - soft * z).sum() + 1e-3 * point @ point)

    slope, shift = minimize(loss, np.array([2.0, 0.0])).x
    return max(float(slope), 1e-3), float(shift)


def fit_gp(x: np.ndarray, y: np.ndarray, weight: np.ndarray, task: str, cost: float) -> Score:
    """The mean of a Gaussian process; kernel, length and noise have the least leave-one-out error of a fixed grid."""
    from scipy.linalg import cho_factor, cho_solve

    mean, std = np.average(y, weights=weight), y.std()
    z = (y - mean) / std
    few = epoch_order(0, 1, len(y))[:SUBSAMPLE]
    name, share, noise = choose_gp(x[few], z[few])
    length = share * np.sqrt(x.shape[1])
    gram = kernel(x, x, name, length)
    gram[np.diag_indices_from(gram)] += noise * weight.mean() / np.maximum(weight, 1e-6 * weight.mean())
    alpha = cho_solve(cho_factor(gram, overwrite_a=True), z)
    return Score(x, alpha, np.array([name == "rbf", length, 0.0, mean, std, 0.0], dtype=np.float64))


def choose_gp(x: np.ndarray, z: np.ndarray) -> tuple[str, float, float]:
    r"""Kernel, length share and noise by leave-one-out error, :math:`r_i = [K^{-1}z]_i / [K^{-1}]_{ii}`."""
    from scipy.linalg import eigh

    best: tuple[float, str, float, float] | None = None
    for name in ("rbf", "matern"):
        for share in SCALES:
            roots, vectors = eigh(kernel(x, x, name, share * np.sqrt(x.shape[1])))
            for noise in NOISES:
                inverse = vectors / (np.maximum(roots, 0) + noise)
                left = (inverse @ (vectors.T @ z)) / (inverse * vectors).sum(axis=1)
                error = float(left @ left)
                if best is None or error < best[0]:
                    best = error, name, share, noise
    assert best is not None
    return best[1:]


MACHINES = {"svm": fit_svm, "gp": fit_gp}


@dataclass
class Kernels:
    """T × K scores on shared quantiles; a classifier has one score a class (one for a binary task)."""

    KIND = "kernels"
    config: KernelConfig
    problem: Problem
    quantiles: np.ndarray  # (Q, D)
    scores: list[list[Score]]  # T × K

    @property
    def views(self) -> tuple[str, ...]:
        """Kernel machines look at the fingerprint view (its descriptors)."""
        return ("fingerprint",)

    @classmethod
    def fit(cls, config: KernelConfig, problem: Problem, data: Data, rows: np.ndarray, seed: int) -> Self:
        """Fit every target on those of `rows` that know it; censored labels see a first fit on the exact ones."""
        assert data.censor is not None
        descriptors = descriptors_of(data.features, rows)
        quantiles = fit_quantiles(descriptors)
        x = normalise(descriptors, quantiles)
        guess = None
        if (data.censor[rows] != 0).any():
            exact = np.where(data.censor[rows] == 0, resolved(data, rows, None), np.nan)
            first = cls(config, problem, quantiles, cls.scores_of(config, problem, x, exact, data, rows))
            guess = first.answer(x)[:, :, 0]
        values = resolved(data, rows, guess)
        return cls(config, problem, quantiles, cls.scores_of(config, problem, x, values, data, rows))

    @staticmethod
    def scores_of(
        config: KernelConfig, problem: Problem, x: np.ndarray, values: np.ndarray, data: Data, rows: np.ndarray
    ) -> list[list[Score]]:
        """x: (n, D)   values: (n, T) with NaN where unknown   →   T × K scores."""
        assert data.weight is not None
        weight = data.weight[rows]
        scores: list[list[Score]] = []
        for target in range(values.shape[1]):
            known = np.flatnonzero(np.isfinite(values[:, target]))
            known = np.sort(known[epoch_order(0, 2, len(known))[: config.largest]])
            y = values[known, target]
            count = len(problem.classes[target]) if problem.task == MULTICLASS else 1
            labels = [y if problem.task != MULTICLASS else (y == k).astype(float) for k in range(count)]
            task = BINARY if problem.task == MULTICLASS else problem.task
            scores.append([fit_one(config, x[known], label, weight[known], task) for label in labels])
        return scores

    def answer(self, x: np.ndarray) -> np.ndarray:
        """(n, D) → (n, T, K); probabilities lie in [0.001, 0.999] and sum to one over classes."""
        out = np.zeros((len(x), len(self.scores), self.problem.outputs))
        for target, scores in enumerate(self.scores):
            for k, score in enumerate(scores):
                out[:, target, k] = score(x)
            if self.problem.task != REGRESSION:
                out[:, target, : len(scores)] = np.clip(out[:, target, : len(scores)], 1e-3, 1 - 1e-3)
        if self.problem.task == MULTICLASS:
            out /= out.sum(axis=2, keepdims=True)
        return out

    def predict(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, T, K); NaN where the fingerprint could not be made."""
        out = np.full((len(rows), len(self.scores), self.problem.outputs), np.nan)
        good = usable(features, self.views, rows)
        out[good] = self.answer(normalise(descriptors_of(features, rows[good]), self.quantiles))
        return out

    def state(self) -> tuple[dict[str, Any], Files]:
        """The card, and one file with the arrays of every score."""
        arrays = {"quantiles": self.quantiles}
        for target, scores in enumerate(self.scores):
            for k, score in enumerate(scores):
                name = f"{target}.{k}"
                arrays |= {
                    f"{name}.points": score.points,
                    f"{name}.alpha": score.alpha,
                    f"{name}.numbers": score.numbers,
                }
        card = {"config": asdict(self.config), "scores": [len(scores) for scores in self.scores]}
        return card, {"model.safetensors": pack(arrays)}

    @classmethod
    def from_state(cls, card: dict[str, Any], files: Files, problem: Problem) -> Self:
        """The arrays as they were."""
        arrays = unpack(files["model.safetensors"], "model.safetensors")
        scores = [
            [Score(*(arrays[f"{target}.{k}.{part}"] for part in ("points", "alpha", "numbers"))) for k in range(count)]
            for target, count in enumerate(card["scores"])
        ]
        finite({name: value for name, value in arrays.items() if not name.endswith("numbers")}, "model.safetensors")
        width = len(NAMES)
        fits = [s.points.shape == (len(s.alpha), width) and s.numbers.shape == (6,) for row in scores for s in row]
        if arrays["quantiles"].shape != (POINTS, width) or len(scores) != len(problem.targets) or not all(fits):
            raise UserError("The arrays of a kernel machine do not fit this version or each other. Train again.")
        return cls(configured(KernelConfig, card["config"]), problem, arrays["quantiles"], scores)


def fit_one(config: KernelConfig, x: np.ndarray, y: np.ndarray, weight: np.ndarray, task: str) -> Score:
    """The machine's score, or a constant where y holds fewer than two different values."""
    if len(np.unique(y)) < 2:
        told = float(np.average(y, weights=weight)) if len(y) else float("nan")
        return Score(np.zeros((0, x.shape[1])), np.zeros(0), np.array([1.0, 1.0, 0.0, told, 1.0, 0.0]))
    return MACHINES[config.machine](x, y, weight, task, config.cost)

"""Kernel machines on descriptors and substructure counts: a support vector machine and a Gaussian process.

Their kernel is a sum of three: of distances between quantile-normalised descriptors, which tells what is alike as a
whole; of shared substructures, which tells close analogues; and of a straight line, which goes on where the other two
know nothing. Both machines are kept as arrays: support points, coefficients and the numbers of the kernel. Nothing of
scikit-learn is stored. Slow imports are made where they are needed: they take longer than a network's answer.
"""

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import expit, ndtri

from tetramer.checkpoint import Files, finite, pack, unpack
from tetramer.errors import UserError, pick
from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem, resolved, usable
from tetramer.settings import configured
from tetramer.training import Data, epoch_order
from tetramer.views import fingerprint
from tetramer.views.base import Features, gather
from tetramer.views.descriptors import NAMES
from tetramer.views.fingerprint import BITS

POINTS = 101  # quantiles kept of each descriptor
SCALES = (0.7, 1.4, 2.8)  # kernel lengths tried, in units of the square root of the number of descriptors
SHARED, STRAIGHT = (0.3, 1.0), (0.0, 2.0)  # weights tried of the other two kernels
NOISES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # noise variances tried, in units of the label variance
SUBSAMPLE = 400  # rows on which all of these are chosen
MOST = 15  # a substructure that occurs more often counts as often as this


@dataclass(frozen=True)
class KernelConfig:
    """`machine` is svm or gp; `cost` is the SVM's C; beyond `largest` rows a fixed random part is used."""

    machine: str = "svm"
    cost: float = 5.0
    largest: int = 4000
    views: ClassVar[tuple[str, ...]] = ("fingerprint",)

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


def inputs_of(features: dict[str, Features], rows: np.ndarray, quantiles: np.ndarray) -> "Inputs":
    """What the machines see of the molecules `rows`."""
    columns = features["fingerprint"]
    assert isinstance(columns, fingerprint.FingerprintFeatures)
    at, sizes = gather(columns.bit_starts, rows)
    counts = np.zeros((len(rows), BITS), np.uint8)
    counts[np.repeat(np.arange(len(rows)), sizes), columns.bits[at]] = np.minimum(columns.counts[at], MOST)
    return Inputs(normalise(descriptors_of(features, rows), quantiles), counts)


class Inputs(NamedTuple):
    """What the machines see of n molecules."""

    x: np.ndarray  # (n, D) float64 normal scores of the descriptors
    counts: np.ndarray  # (n, 2048) uint8 substructures, at most MOST of each

    def rows(self, rows: np.ndarray) -> "Inputs":
        """Some of them."""
        return Inputs(self.x[rows], self.counts[rows])


class Mixture(NamedTuple):
    r"""The kernel :math:`k_d + w_s \, k_s + w_l \, x^T x' / D`."""

    name: str  # of k_d, see `distance`
    length: float
    shared: float  # w_s
    straight: float  # w_l

    @property
    def size(self) -> float:
        """About what a molecule has with itself."""
        return 1.0 + self.shared + self.straight


def distance(a: np.ndarray, b: np.ndarray, name: str, length: float) -> np.ndarray:
    r"""(n, D), (m, D) → (n, m): ``rbf`` :math:`e^{-d^2/2l^2}` or ``matern`` (ν = 1/2) :math:`e^{-d/l}`."""
    from scipy.spatial.distance import cdist

    if name == "rbf":
        return np.asarray(np.exp(cdist(a, b, "sqeuclidean") / (-2 * length**2)))
    return np.asarray(np.exp(cdist(a, b) / -length))


def shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    r"""Tanimoto similarity of counts, :math:`\sum \min(a, b) / \sum \max(a, b)`: (n, F), (m, F) → (n, m).

    It is a kernel (10.1016/j.neunet.2005.07.009). Σ min is a sum over levels t of matrix products of [a ≥ t] and
    [b ≥ t]; 0 where neither molecule has a substructure.
    """
    both = np.zeros((len(a), len(b)), np.float32)
    for level in range(1, int(b.max(initial=0)) + 1):
        columns = (b >= level).any(axis=0)
        both += (a[:, columns] >= level).astype(np.float32) @ (b[:, columns] >= level).astype(np.float32).T
    total = a.sum(axis=1, dtype=np.float32)[:, None] + b.sum(axis=1, dtype=np.float32) - both
    return np.asarray(both / np.maximum(total, 1.0), dtype=np.float64)


def kernel(a: Inputs, b: Inputs, how: Mixture) -> np.ndarray:
    """Kernel values of n and m molecules, (n, m)."""
    out = distance(a.x, b.x, how.name, how.length) + how.shared * shared(a.counts, b.counts)
    return out + how.straight / a.x.shape[1] * (a.x @ b.x.T) if how.straight else out


@dataclass
class Score:
    r"""One function :math:`f(x) = \sum_i \alpha_i k(x_i, x) + b`, answered as shift + scale f or through a sigmoid."""

    points: Inputs  # m support points
    alpha: np.ndarray  # (m,)
    how: Mixture
    bias: float
    shift: float
    scale: float
    sigmoid: bool

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """n molecules → (n,)."""
        f = kernel(inputs, self.points, self.how) @ self.alpha if len(self.alpha) else np.zeros(len(inputs.x))
        told = self.shift + self.scale * (f + self.bias)
        return np.asarray(expit(told)) if self.sigmoid else told


def fit_svm(inputs: Inputs, y: np.ndarray, weight: np.ndarray, task: str, cost: float) -> Score:
    """A support vector machine; a classifier's margin is turned into a probability out of fold (Platt)."""
    from sklearn.svm import SVC, SVR

    mean, std = y.mean(), y.std()
    how, _ = choose(inputs, (y - mean) / std)
    gram = kernel(inputs, inputs, how) / how.size
    if task == REGRESSION:
        machine = SVR(kernel="precomputed", C=cost, epsilon=0.1).fit(gram, (y - mean) / std, weight)
        shift, scale = mean, std
    else:
        machine = SVC(kernel="precomputed", C=cost).fit(gram, y, weight)
        scale, shift = platt(*held_out_margins(gram, y, weight, cost))
    alpha, bias = machine.dual_coef_[0] / how.size, float(machine.intercept_[0])
    points = inputs.rows(machine.support_)
    return Score(points, alpha, how, bias, float(shift), float(scale), task != REGRESSION)


def held_out_margins(gram: np.ndarray, y: np.ndarray, weight: np.ndarray, cost: float) -> tuple[np.ndarray, np.ndarray]:
    """Margins of three inner folds, each from the other two, and the labels beside them. gram: (n, n)."""
    from sklearn.svm import SVC

    fold = epoch_order(0, 0, len(y)) % 3
    margins, labels = [], []
    for k in range(3):
        rest, held = fold != k, fold == k
        if len(np.unique(y[rest])) == 2 and held.any():
            machine = SVC(kernel="precomputed", C=cost).fit(gram[np.ix_(rest, rest)], y[rest], weight[rest])
            margins.append(machine.decision_function(gram[np.ix_(held, rest)]))
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


def fit_gp(inputs: Inputs, y: np.ndarray, weight: np.ndarray, task: str, cost: float) -> Score:
    """The mean of a Gaussian process."""
    from scipy.linalg import cho_factor, cho_solve

    mean, std = np.average(y, weights=weight), y.std()
    z = (y - mean) / std
    how, noise = choose(inputs, z)
    gram = kernel(inputs, inputs, how)
    gram[np.diag_indices_from(gram)] += noise * weight.mean() / np.maximum(weight, 1e-6 * weight.mean())
    alpha = cho_solve(cho_factor(gram, overwrite_a=True), z)
    return Score(inputs, alpha, how, 0.0, float(mean), float(std), False)


def choose(inputs: Inputs, z: np.ndarray) -> tuple[Mixture, float]:
    r"""Kernel and noise with the least leave-one-out error of a Gaussian process, over a fixed grid.

    The error of row i is :math:`[K^{-1}z]_i / [K^{-1}]_{ii}`. At most SUBSAMPLE rows are looked at. z: (n,)
    """
    from scipy.linalg import eigh

    few = epoch_order(0, 1, len(z))[:SUBSAMPLE]
    some, z = inputs.rows(few), z[few]
    alike, line = shared(some.counts, some.counts), some.x @ some.x.T / some.x.shape[1]
    best: tuple[float, Mixture, float] | None = None
    for name, scale in product(("rbf", "matern"), SCALES):
        length = scale * float(np.sqrt(some.x.shape[1]))
        near = distance(some.x, some.x, name, length)
        for share, straight in product(SHARED, STRAIGHT):
            roots, vectors = eigh(near + share * alike + straight * line)
            for noise in NOISES:
                inverse = vectors / (np.maximum(roots, 0) + noise)
                left = (inverse @ (vectors.T @ z)) / (inverse * vectors).sum(axis=1)
                error = float(left @ left)
                if best is None or error < best[0]:
                    best = error, Mixture(name, length, share, straight), noise
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
        """What kernel machines look at."""
        return self.config.views

    @classmethod
    def fit(cls, config: KernelConfig, problem: Problem, data: Data, rows: np.ndarray, seed: int) -> Self:
        """Fit every target on those of `rows` that know it; censored labels see a first fit on the exact ones."""
        assert data.censor is not None
        quantiles = fit_quantiles(descriptors_of(data.features, rows))
        x = inputs_of(data.features, rows, quantiles)
        guess = None
        if (data.censor[rows] != 0).any():
            exact = np.where(data.censor[rows] == 0, resolved(data, rows, None), np.nan)
            first = cls(config, problem, quantiles, cls.scores_of(config, problem, x, exact, data, rows))
            guess = first.answer(x)[:, :, 0]
        values = resolved(data, rows, guess)
        return cls(config, problem, quantiles, cls.scores_of(config, problem, x, values, data, rows))

    @staticmethod
    def scores_of(
        config: KernelConfig, problem: Problem, x: Inputs, values: np.ndarray, data: Data, rows: np.ndarray
    ) -> list[list[Score]]:
        """x: n molecules   values: (n, T) with NaN where unknown   →   T × K scores."""
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
            scores.append([fit_one(config, x.rows(known), label, weight[known], task) for label in labels])
        return scores

    def answer(self, x: Inputs) -> np.ndarray:
        """n molecules → (n, T, K); probabilities lie in [0.001, 0.999] and sum to one over classes."""
        out = np.zeros((len(x.x), len(self.scores), self.problem.outputs))
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
        out[good] = self.answer(inputs_of(features, rows[good], self.quantiles))
        return out

    def state(self) -> tuple[dict[str, Any], Files]:
        """The card, and one file with the arrays of every score."""
        arrays = {"quantiles": self.quantiles}
        kernels = []
        for target, scores in enumerate(self.scores):
            for k, score in enumerate(scores):
                row, bit = np.nonzero(score.points.counts)
                arrays |= {
                    f"{target}.{k}.points": score.points.x,
                    f"{target}.{k}.alpha": score.alpha,
                    f"{target}.{k}.row": row.astype(np.int32),
                    f"{target}.{k}.bit": bit.astype(np.int32),
                    f"{target}.{k}.count": score.points.counts[row, bit],
                }
                shift = score.shift if np.isfinite(score.shift) else None  # a target that nobody measured
                told = {"bias": score.bias, "shift": shift, "scale": score.scale, "sigmoid": score.sigmoid}
                kernels.append(told | score.how._asdict())
        card = {"config": asdict(self.config), "scores": [len(scores) for scores in self.scores], "kernels": kernels}
        return card, {"model.safetensors": pack(arrays)}

    @classmethod
    def from_state(cls, card: dict[str, Any], files: Files, problem: Problem) -> Self:
        """The arrays as they were. UserError if they do not fit this version or each other."""
        arrays = unpack(files["model.safetensors"], "model.safetensors")
        finite(arrays, "model.safetensors")
        told = iter(card["kernels"])
        scores = [
            [score_from(arrays, f"{target}.{k}", next(told)) for k in range(count)]
            for target, count in enumerate(card["scores"])
        ]
        if arrays["quantiles"].shape != (POINTS, len(NAMES)) or len(scores) != len(problem.targets):
            raise UserError(UNFIT)
        return cls(configured(KernelConfig, card["config"]), problem, arrays["quantiles"], scores)


UNFIT = "The arrays of a kernel machine do not fit this version or each other. Train again."


def score_from(arrays: dict[str, np.ndarray], name: str, numbers: dict[str, Any]) -> Score:
    """One score out of the arrays and the card of `Kernels.state`."""
    x, alpha, row, bit, count = (arrays[f"{name}.{part}"] for part in ("points", "alpha", "row", "bit", "count"))
    if x.shape != (len(alpha), len(NAMES)) or not len(row) == len(bit) == len(count):
        raise UserError(UNFIT)
    if len(row) and not (0 <= row.min() <= row.max() < len(alpha) and 0 <= bit.min() <= bit.max() < BITS):
        raise UserError(UNFIT)
    counts = np.zeros((len(alpha), BITS), np.uint8)
    counts[row, bit] = count
    how = Mixture(*(numbers[part] for part in Mixture._fields))
    shift = float("nan") if numbers["shift"] is None else numbers["shift"]
    return Score(Inputs(x, counts), alpha, how, numbers["bias"], shift, numbers["scale"], numbers["sigmoid"])


def fit_one(config: KernelConfig, x: Inputs, y: np.ndarray, weight: np.ndarray, task: str) -> Score:
    """The machine's score, or a constant where y holds fewer than two different values."""
    if len(np.unique(y)) < 2:
        told = float(np.average(y, weights=weight)) if len(y) else float("nan")
        none = x.rows(np.zeros(0, np.int64))
        return Score(none, np.zeros(0), Mixture("rbf", 1.0, 0.0, 0.0), 0.0, told, 1.0, False)
    return MACHINES[config.machine](x, y, weight, task, config.cost)

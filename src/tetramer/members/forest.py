"""A forest that learns all targets at once: for panels of so many that a fit a target would take hours.

Every tree is grown on one random mixture of the labels (random output projections, 10.1007/978-3-662-44848-9_39), so it
splits where many targets change. An answer is the mean of the training labels that share leaves with the molecule,
those unknown left out; a target with few labels so borrows what molecules are alike from all others.
"""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from tetramer.checkpoint import Files, finite, pack, unpack
from tetramer.errors import UserError
from tetramer.members.base import MULTICLASS, Problem, resolved, usable
from tetramer.members.trees import COMMON, MODES, booster_from, matrix
from tetramer.settings import configured
from tetramer.training import Data
from tetramer.views.base import Features

if TYPE_CHECKING:
    import lightgbm
    from scipy.sparse import csr_matrix

CHUNK = 512  # molecules answered at once
PRIOR = 0.02  # weight of a target's mean in an answer, in which the labels together weigh 1 where all are known
UNFIT = "The arrays of a shared forest do not fit its trees or the targets. Train again."


@dataclass(frozen=True)
class ForestConfig:
    """`trees` of at most 512 leaves with `least` training rows or more; `trend`: beyond a linear trend."""

    trees: int = 240
    least: int = 5
    trend: bool = False  # of a regression (`members.offsets`)
    views: ClassVar[tuple[str, ...]] = ("fingerprint",)

    def __post_init__(self) -> None:
        if self.trees < 1 or self.least < 1:
            raise UserError(f"A shared forest needs trees ≥ 1 and least ≥ 1; got {self.trees} and {self.least}.")


class Memory(NamedTuple):
    """Of the training rows: weight k of each known label, k times label, their means, and where the rows lie."""

    known: np.ndarray  # (n, T * K)
    sums: np.ndarray  # (n, T * K)
    mean: np.ndarray  # (T * K,)
    counts: np.ndarray  # (B,) leaves of each tree
    places: "csr_matrix"  # (n, L) 1 where a row lies in a leaf, of the leaves of all trees
    share: np.ndarray  # (L,) 1 / B over the weight of a leaf's rows


@dataclass
class SharedForest:
    """B trees, and of n training rows the labels and the leaves they lie in."""

    KIND = "forest"
    config: ForestConfig
    problem: Problem
    booster: "lightgbm.Booster"
    leaf: np.ndarray  # (n, B) int16 leaf of a training row in each tree
    labels: np.ndarray  # (n, T) float32 values or class numbers, NaN unknown
    weight: np.ndarray  # (n,) float64

    @property
    def views(self) -> tuple[str, ...]:
        """What the forest looks at."""
        return self.config.views

    @classmethod
    def fit(cls, config: ForestConfig, problem: Problem, data: Data, rows: np.ndarray, seed: int) -> Self:
        """Grow the trees on those of `rows` that have a weight. A censored label counts as its bound."""
        assert data.weight is not None
        rows = rows[data.weight[rows] > 0]
        x, weight = matrix(data.features, rows), data.weight[rows]
        labels = resolved(data, rows, None).astype(np.float32)
        booster = grown(config, x, standardised(columns(labels, problem), weight), weight, seed)
        return cls(config, problem, booster, leaves(booster, x), labels, weight)

    def predict(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        r"""(n, T, K); NaN where the fingerprint could not be made, or a target has no label at all.

        :math:`\sum_i s_i k_i y_i / \sum_i s_i k_i`, where k says whether a label y is known, and s is the mean over
        the trees of a training row's share in the weight of the leaf that it has in common with the molecule.
        """
        out = np.full((len(rows), len(self.problem.targets), self.problem.outputs), np.nan)
        good = np.flatnonzero(usable(features, self.views, rows))
        of = self.memory
        for start in range(0, len(good), CHUNK):
            part = good[start : start + CHUNK]
            own = one_hot(leaves(self.booster, matrix(features, rows[part])), of.counts)
            shares = own.multiply(of.share).tocsr() @ of.places.T
            told = (shares @ of.sums + PRIOR * of.mean) / (shares @ of.known + PRIOR)
            out[part] = told.reshape(len(part), *out.shape[1:])
        return out

    @cached_property
    def memory(self) -> "Memory":
        """What an answer is made of, in the form that makes it."""
        y = columns(self.labels, self.problem)
        known = np.isfinite(y) * self.weight[:, None]
        sums = known * np.nan_to_num(y)
        with np.errstate(invalid="ignore"):
            mean = sums.sum(axis=0) / known.sum(axis=0)
        counts = self.leaf.max(axis=0) + 1
        places = one_hot(self.leaf, counts)
        return Memory(known, sums, mean, counts, places, 1 / (len(counts) * (places.T @ self.weight)))

    def state(self) -> tuple[dict[str, Any], Files]:
        """The card, LightGBM's own text, and the training rows."""
        arrays = {"leaf": self.leaf, "labels": self.labels, "weight": self.weight}
        files = {"model.txt": self.booster.model_to_string().encode(), "rows.safetensors": pack(arrays)}
        return {"config": asdict(self.config)}, files

    @classmethod
    def from_state(cls, card: dict[str, Any], files: Files, problem: Problem) -> Self:
        """The forest as it was. UserError if trees, rows and targets do not fit each other."""
        arrays = unpack(files["rows.safetensors"], "rows.safetensors")
        leaf, labels, weight = arrays["leaf"], arrays["labels"], arrays["weight"]
        finite({"weight": weight}, "rows.safetensors")
        booster = booster_from(files["model.txt"], "model.txt")
        sizes = [int(size) for size in re.findall(r"\nnum_leaves=(\d+)", files["model.txt"].decode())]
        fits = leaf.dtype == np.int16 and leaf.ndim == 2 and leaf.shape[0] > 0 and leaf.min() >= 0
        fits = fits and (leaf.max(axis=0) + 1).tolist() == sizes and labels.shape == (len(leaf), len(problem.targets))
        fits = fits and not np.isinf(labels).any()
        if not (fits and weight.shape == (len(leaf),) and (weight > 0).all()):
            raise UserError(UNFIT)
        return cls(configured(ForestConfig, card["config"]), problem, booster, leaf, labels, weight)


def columns(labels: np.ndarray, problem: Problem) -> np.ndarray:
    """(n, T) labels → (n, T * K) float64 what is averaged: values, or 1 for the class that is true; NaN unknown."""
    if problem.task != MULTICLASS:
        return labels.astype(np.float64)
    hit = (labels[:, :, None] == np.arange(problem.outputs)).astype(np.float64)
    return np.where(np.isfinite(labels)[:, :, None], hit, np.nan).reshape(len(labels), -1)


def standardised(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n, C) columns of zero mean and unit variance; 0 where a label is unknown or all are one."""
    known = np.isfinite(y)
    share = known * weight[:, None] / np.maximum((known * weight[:, None]).sum(axis=0), 1e-300)
    mean = (share * np.nan_to_num(y)).sum(axis=0)
    rest = np.where(known, y - mean, 0.0)
    deviation = np.sqrt((share * rest**2).sum(axis=0))
    varies = deviation > 1e-6 * np.abs(mean)  # labels are float32
    return np.asarray(np.divide(rest, deviation, out=np.zeros_like(rest), where=varies & (deviation > 0)))


def grown(config: ForestConfig, x: np.ndarray, y: np.ndarray, weight: np.ndarray, seed: int) -> "lightgbm.Booster":
    """Trees on mixtures of the columns of y (n, C) with normal weights, another mixture in each."""
    import lightgbm

    rng = np.random.default_rng(seed)

    def mixture(told: np.ndarray, rows: "lightgbm.Dataset") -> tuple[np.ndarray, np.ndarray]:
        """Gradient and second derivative of a squared error that forgets the trees before."""
        return -weight * (y @ rng.normal(size=y.shape[1])), weight

    own = {"objective": mixture, "seed": seed, "boosting": "gbdt", "min_data_in_leaf": config.least}
    settings = COMMON | MODES["forest"] | own
    return lightgbm.train(settings, lightgbm.Dataset(x, params=settings), num_boost_round=config.trees)


def leaves(booster: "lightgbm.Booster", x: np.ndarray) -> np.ndarray:
    """(n, F) → (n, B) int16 leaf of each row in each tree."""
    told = np.asarray(booster.predict(x, pred_leaf=True, num_threads=1))
    return told.reshape(len(x), booster.num_trees()).astype(np.int16)


def one_hot(leaf: np.ndarray, counts: np.ndarray) -> "csr_matrix":
    """(n, B) leaves → (n, L) sparse: 1 at each leaf that a row lies in, of the leaves of all trees in a row."""
    from scipy.sparse import csr_matrix

    place = leaf + np.concatenate([[0], np.cumsum(counts, dtype=np.int64)[:-1]])
    starts = np.arange(0, place.size + 1, place.shape[1])
    return csr_matrix((np.ones(place.size), place.ravel(), starts), shape=(len(leaf), int(counts.sum())))

"""Tree ensembles on count fingerprints and descriptors: boosted, random forest and extra trees, all by LightGBM.

LightGBM is imported where it is used: it brings pandas and scikit-learn, which a model of networks does not need.
"""

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from tetramer.checkpoint import Files
from tetramer.errors import UserError, pick
from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem, resolved, usable
from tetramer.settings import configured
from tetramer.training import Data
from tetramer.views import descriptors, fingerprint
from tetramer.views.base import Features

if TYPE_CHECKING:
    import lightgbm

# What all modes share: one thread and column order fixed, so that the same data give the same text file.
COMMON: dict[str, Any] = {
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "max_bin": 63,
    "feature_pre_filter": False,
}
BAGGED: dict[str, Any] = {"boosting": "rf", "bagging_freq": 1, "num_leaves": 512, "min_data_in_leaf": 2}
MODES: dict[str, dict[str, Any]] = {
    "boosted": {
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_data_in_leaf": 5,
        "feature_fraction": 0.2,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
    },
    "forest": BAGGED | {"bagging_fraction": 0.632, "feature_fraction_bynode": 0.2},
    "extra": BAGGED | {"bagging_fraction": 0.9, "feature_fraction_bynode": 0.4, "extra_trees": True},
}
PART = 4_096  # rows that are made into numbers at once
LOSSES = {REGRESSION: "regression", BINARY: "binary", MULTICLASS: "multiclass"}


@dataclass(frozen=True)
class TreesConfig:
    """`mode` is a key of MODES, `trees` the number of boosting rounds or trees; `trend`: beyond a linear trend."""

    mode: str = "boosted"
    trees: int = 400
    trend: bool = False  # of a regression (`members.offsets`)
    views: ClassVar[tuple[str, ...]] = ("fingerprint",)

    def __post_init__(self) -> None:
        pick(MODES, self.mode, "tree mode")
        if self.trees < 1:
            raise UserError(f"trees={self.trees} is out of range. Choose 1 or more.")


def matrix(features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
    """(n, 2048 + D) float32: fingerprint counts, then descriptors with NaN where one is undefined."""
    columns = features["fingerprint"]
    assert isinstance(columns, fingerprint.FingerprintFeatures)
    out = np.empty((len(rows), fingerprint.BITS + len(descriptors.NAMES)), np.float32)
    for start in range(0, len(rows), PART):
        batch = fingerprint.collate(columns, rows[start : start + PART])
        out[start : start + PART] = np.concatenate([batch.counts, batch.descriptors], axis=1)
    return out


@dataclass
class Trees:
    """One booster a target, or a constant where the training rows show a single value.

    LightGBM's forests count a tree without a split as 0, not as what its rows have on average, which is added here.
    """

    KIND = "trees"
    config: TreesConfig
    problem: Problem
    boosters: list["lightgbm.Booster | None"] = field(default_factory=list)
    constants: list[list[float]] = field(default_factory=list)  # (T, K): answered where there is no booster
    shifts: list[list[float]] = field(default_factory=list)  # (T, K): what is added to a forest's scores

    @property
    def views(self) -> tuple[str, ...]:
        """What trees look at."""
        return self.config.views

    @classmethod
    def fit(cls, config: TreesConfig, problem: Problem, data: Data, rows: np.ndarray, seed: int) -> Self:
        """Fit every target on those of `rows` that know it; censored labels see a first fit on the exact ones."""
        assert data.censor is not None
        x = matrix(data.features, rows)
        member = cls(config, problem)
        guess = None
        if (data.censor[rows] != 0).any():
            exact = np.where(data.censor[rows] == 0, resolved(data, rows, None), np.nan)
            member.train(x, exact, data, rows, seed)
            guess = member.answer(x)[:, :, 0]
            member = cls(config, problem)
        member.train(x, resolved(data, rows, guess), data, rows, seed)
        return member

    def train(self, x: np.ndarray, values: np.ndarray, data: Data, rows: np.ndarray, seed: int) -> None:
        """x: (n, F)   values: (n, T) with NaN where unknown."""
        import lightgbm

        assert data.weight is not None
        columns: Any = None
        binned = np.zeros(0, bool)  # rows of `columns`, which the next target often shares
        for target in range(values.shape[1]):
            known = np.isfinite(values[:, target])
            y, weight = values[known, target], data.weight[rows][known]
            self.constants.append(constant(y, weight, self.problem, target))
            self.shifts.append([0.0] * self.problem.outputs)
            if len(np.unique(y)) < 2:
                self.boosters.append(None)
                continue
            settings = COMMON | MODES[self.config.mode] | {"objective": LOSSES[self.problem.task], "seed": seed}
            if self.problem.task == MULTICLASS:
                settings["num_class"] = len(self.problem.classes[target])
            if len(y) < 100:  # the defaults ask for more rows in a leaf than a small assay can give
                settings |= {"min_data_in_leaf": 2, "min_data_in_bin": 1}
            if not np.array_equal(known, binned):
                seen = x if known.all() else x[known]
                columns, binned = lightgbm.Dataset(seen, y, weight=weight, params=settings).construct(), known
            else:
                columns.set_label(y)
            booster = lightgbm.train(settings, columns, num_boost_round=self.config.trees)
            self.boosters.append(booster)
            if self.config.mode != "boosted":
                classes = booster.num_model_per_iteration()
                start = linked(np.array(self.constants[target][:classes]), self.problem.task)
                self.shifts[target][:classes] = (start * unsplit(booster, classes)).tolist()

    def answer(self, x: np.ndarray) -> np.ndarray:
        """(n, F) → (n, T, K)."""
        out = np.zeros((len(x), len(self.boosters), self.problem.outputs))
        for target, booster in enumerate(self.boosters):
            if booster is None or not len(x):
                out[:, target] = self.constants[target]
                continue
            raw = np.asarray(booster.predict(x, raw_score=True, num_threads=1)).reshape(len(x), -1)
            if self.config.mode != "boosted":
                raw /= booster.current_iteration()
            out[:, target, : raw.shape[1]] = answered(raw + self.shifts[target][: raw.shape[1]], self.problem.task)
        return out

    def predict(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, T, K); NaN where the fingerprint could not be made."""
        out = np.full((len(rows), len(self.boosters), self.problem.outputs), np.nan)
        good = usable(features, self.views, rows)
        out[good] = self.answer(matrix(features, rows[good]))
        return out

    def state(self) -> tuple[dict[str, Any], Files]:
        """The card, and LightGBM's own text for every booster."""
        card = {"config": asdict(self.config), "constants": self.constants, "shifts": self.shifts}
        texts = {f"model-{t}.txt": b for t, b in enumerate(self.boosters) if b is not None}
        return card, {name: booster.model_to_string().encode() for name, booster in texts.items()}

    @classmethod
    def from_state(cls, card: dict[str, Any], files: Files, problem: Problem) -> Self:
        """Boosters from their text; a target without a file answers its constant."""
        boosters = []
        for target in range(len(card["constants"])):
            text = files.get(f"model-{target}.txt")
            boosters.append(None if text is None else booster_from(text, f"model-{target}.txt"))
        numbers = card["constants"], card["shifts"]
        if any(np.shape(rows) != (len(problem.targets), problem.outputs) for rows in numbers):
            raise UserError("The trees do not fit the targets of the card. Train again.")
        return cls(configured(TreesConfig, card["config"]), problem, boosters, *numbers)


def linked(shares: np.ndarray, task: str) -> np.ndarray:
    """(K,) means or class shares → the scores that LightGBM begins with."""
    if task == REGRESSION:
        return shares
    shares = np.maximum(shares, 1e-15)  # LightGBM's bound; of one class: log-odds
    return np.asarray(np.log(shares) - (0 if task == MULTICLASS else np.log(np.maximum(1 - shares, 1e-15))))


def answered(raw: np.ndarray, task: str) -> np.ndarray:
    """(n, K) scores → values or probabilities."""
    if task == REGRESSION:
        return raw
    if task == MULTICLASS:
        odds = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    return np.asarray(1 / (1 + np.exp(-raw)))


def unsplit(booster: "lightgbm.Booster", outputs: int) -> np.ndarray:
    """(K,) share of a forest's trees that have no split and count as 0; of the first tree LightGBM keeps the constant.

    Trees come in rounds of one a class.
    """
    sizes = [int(size) for size in re.findall(r"\nnum_leaves=(\d+)", booster.model_to_string())]
    rounds = np.array(sizes).reshape(-1, outputs)
    return np.asarray((rounds[1:] == 1).sum(axis=0) / len(rounds))


def booster_from(text: bytes, name: str) -> "lightgbm.Booster":
    """LightGBM's text format → a booster."""
    import lightgbm

    wanted = fingerprint.BITS + len(descriptors.NAMES)
    try:
        told = re.sub(r"\ntree_sizes=[^\n]*", "", text.decode())  # places of trees in the file, which may lie
        if not all(is_tree(block, wanted) for block in told.split("\nTree=")[1:]):
            raise UserError(f"{name} holds a tree that leads nowhere. Train again.")
        booster = lightgbm.Booster(model_str=told)
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise UserError(f"{name} is not a LightGBM model ({error}). Train again.") from error
    if booster.num_feature() != wanted:
        raise UserError(
            f"{name} asks for {booster.num_feature()} numbers a molecule; this version makes {wanted}. Train again."
        )
    return booster


def is_tree(block: str, features: int) -> bool:
    """Whether every split of a tree looks at a feature there is, and leads to a later split or to a leaf.

    LightGBM itself follows what stands in the file, out of its memory or round in circles.
    """
    lines = block.split("\n\n", 1)[0].splitlines()[1:]
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    if len(fields) != len(lines) or fields.get("num_cat") != "0" or fields.get("is_linear") != "0":
        return False
    try:
        leaves = int(fields["num_leaves"])
        if leaves == 1:
            return True
        names = ("split_feature", "left_child", "right_child", "decision_type")
        feature, left, right, kind = (np.array(fields[name].split(), dtype=np.int64) for name in names)
    except (KeyError, ValueError, OverflowError):
        return False
    if not len(feature) == len(left) == len(right) == len(kind) == leaves - 1:
        return False
    children, place = np.concatenate([left, right]), np.tile(np.arange(leaves - 1), 2)
    leads = np.where(children >= 0, (children > place) & (children < leaves - 1), ~children < leaves)
    return bool(leads.all() and ((feature >= 0) & (feature < features)).all() and (kind & 1 == 0).all())


def constant(y: np.ndarray, weight: np.ndarray, problem: Problem, target: int) -> list[float]:
    """K numbers for a target without two different labels: the mean, or the classes' shares."""
    if not len(y):
        return [float("nan")] * problem.outputs
    if problem.task != MULTICLASS:
        return [float(np.average(y, weights=weight))]
    shares = [float(weight[y == k].sum() / weight.sum()) for k in range(len(problem.classes[target]))]
    return shares + [0.0] * (problem.outputs - len(shares))

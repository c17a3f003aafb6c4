"""SMILES + model → predictions or embeddings, row for row. Who has read this has read the toolkit once.

text ──Reader──▶ Reading (features, one code a row) ──members──▶ (G, n, T, K) ──blend──▶ (n, T, K) ──▶ Arrow table
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from tetramer.checkpoint import Card, Files, check_answers, finite, pack, read_folder, unpack, write_folder
from tetramer.encoders import Encoder
from tetramer.errors import UserError, pick
from tetramer.members import BINARY, MULTICLASS, REGRESSION, Neural, Problem, neural
from tetramer.members.base import to_read
from tetramer.members.blend import combine, spread
from tetramer.members.intervals import Intervals
from tetramer.members.origin import origin_of
from tetramer.members.work import Fitted
from tetramer.molecules import Standard
from tetramer.views import VIEWS, Reading
from tetramer.views.base import Features, Settings
from tetramer.views.read import settings_of
from tetramer.views.smiles import VOCABULARY_HASH

LEVEL = 0.9  # nominal coverage of an interval


@dataclass(frozen=True)
class Answer:
    """What a model says of n molecules; NaN in the rows that have no answer."""

    values: np.ndarray  # (n, T, K)
    low: np.ndarray | None = None  # (n, T) lower ends of the intervals of a regression
    high: np.ndarray | None = None  # (n, T)


def mean(told: list[np.ndarray]) -> np.ndarray:
    """The mean of the fits that answer, each (n, T, K); NaN where none does."""
    there = np.isfinite(told)
    total, count = np.where(there, told, 0.0).sum(axis=0), there.sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


@dataclass(frozen=True)
class Model:
    """A trained model: members, the weights of their blend, and what calibrates the intervals."""

    card: Card  # everything about it that is not a number of the fit: columns, units, versions, metrics
    problem: Problem
    standard: Standard
    members: dict[str, Fitted]  # by name; a member's group is its name up to the last dot
    weights: np.ndarray  # (T, G)
    intervals: list[Intervals | None] = field(default_factory=list)  # one a target; empty for classes
    settings: dict[str, Settings] = field(default_factory=dict)  # of the views that are not made with their defaults

    @property
    def groups(self) -> dict[str, list[Fitted]]:
        """Members of one name, fitted on different rows or from different seeds: they answer by their mean."""
        out: dict[str, list[Fitted]] = {}
        for name, member in self.members.items():
            out.setdefault(name.rpartition(".")[0], []).append(member)
        return out

    @property
    def used(self) -> np.ndarray:
        """(G,) bool, whether a group has a weight for some target."""
        return np.asarray((self.weights > 0).any(axis=0))

    def lean(self) -> Self:
        """The same without groups that have no weight: they answer nothing, so nothing need be read for them."""
        kept = [name for name, used in zip(self.groups, self.used, strict=True) if used]
        members = {name: one for name, one in self.members.items() if name.rpartition(".")[0] in kept}
        lean = replace(self, members=members, weights=self.weights[:, self.used])
        return replace(lean, settings={view: told for view, told in self.settings.items() if view in lean.views})

    @property
    def networks(self) -> list[Neural]:
        """The first fit of each group that is a network."""
        return [fits[0].member for fits in self.groups.values() if isinstance(fits[0].member, Neural)]

    @property
    def placed(self) -> bool:
        """Whether it learned from geometries that were given."""
        return bool(self.card.get("placed"))

    @property
    def elements(self) -> tuple[int, ...]:
        """Those of the training rows, by atomic number; () of an older model, which does not know them."""
        return tuple(self.card.get("elements") or ())

    @property
    def views(self) -> tuple[str, ...]:
        """What has to be featurised before `predict`."""
        return to_read({view for fitted in self.members.values() for view in fitted.views})

    def told(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """What every group says of the molecules `rows` (n,): (G, n, T, K)."""
        return np.stack([mean([one.predict(features, rows) for one in group]) for group in self.groups.values()])

    def predict(self, features: dict[str, Features], rows: np.ndarray, level: float = LEVEL) -> Answer:
        """The blend's answer for the molecules `rows` (n,), with intervals at `level` for a regression."""
        return self.blended(self.told(features, rows), level)

    def blended(self, told: np.ndarray, level: float = LEVEL) -> Answer:
        """What the groups say, (G, n, T, K), as one answer."""
        values = combine(self.weights, told)
        if self.problem.task != REGRESSION:
            return Answer(values)
        width = spread(told[self.used])
        low, high = np.full(values.shape[:2], np.nan), np.full(values.shape[:2], np.nan)
        for target, interval in enumerate(self.intervals):
            if interval is not None:
                low[:, target], high[:, target] = interval(values[:, target, 0], width[:, target], level)
        return Answer(values, low, high)

    def embed(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, D) float32, the vectors of the networks side by side, of each the first fit.

        UserError if no member is a network.
        """
        if not self.networks:
            raise UserError("This model has no network, so it has no embedding. Leave out --model to use --view.")
        return np.concatenate([network.embed(features, rows) for network in self.networks], axis=1).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the model folder, without groups that have no weight; it appears whole or not at all."""
        if not self.used.all():
            self.lean().save(path)
            return
        files: Files = {}
        for name, fitted in self.members.items():
            card, parts = fitted.state()
            files |= {f"members/{name}/{part}": data for part, data in parts.items()}
            files[f"members/{name}/card.json"] = json.dumps(card, indent=1).encode()
        arrays = {"weights": self.weights}
        for target, interval in enumerate(self.intervals):
            if interval is not None:
                arrays |= {
                    f"interval.{target}.residuals": interval.residuals,
                    f"interval.{target}.spread": interval.spread,
                    f"interval.{target}.floor": np.array([interval.floor]),
                }
        files["blend.safetensors"] = pack(arrays)
        card = {
            "problem": asdict(self.problem),
            "standard": asdict(self.standard),
            "members": list(self.members),
            "views": list(self.views),
            "settings": {view: asdict(told) for view, told in self.settings.items()},
        } | ({"vocabulary": VOCABULARY_HASH} if "smiles" in self.views else {})
        write_folder(path, self.card | card, files)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The model of a folder. UserError if it is none, or was altered or cut short."""
        return cls.from_folder(path, *read_folder(path))

    @classmethod
    def from_folder(cls, path: Path, card: Card, files: Files) -> Self:
        """`load` of a folder that was read already."""
        check_answers(path, card)
        if not card.get("members") or "problem" not in card:
            raise UserError(f"{path} is not a model folder: its card names no members.")
        try:
            return cls.from_files(card, files)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path} is not whole: its card or a file lacks {error}. Train again.") from error

    @classmethod
    def from_files(cls, card: Card, files: Files) -> Self:
        """The model of a card and the files it names."""
        problem = Problem.from_card(card["problem"])
        members = {}
        for name in card["members"]:
            prefix = f"members/{name}/"
            parts = {place.removeprefix(prefix): data for place, data in files.items() if place.startswith(prefix)}
            members[name] = Fitted.from_state(json.loads(parts["card.json"]), parts, problem)
        arrays = unpack(files["blend.safetensors"], "blend.safetensors")
        finite(arrays, "blend.safetensors")
        intervals = [interval_from(arrays, target) for target in range(len(problem.targets))]
        if problem.task != REGRESSION:
            intervals = []
        settings = settings_of(card.get("settings", {}))
        if card.get("vocabulary", VOCABULARY_HASH) != VOCABULARY_HASH:
            raise UserError("The model was trained with other tokens of SMILES than this version has. Train again.")
        model = cls(card, problem, Standard(**card["standard"]), members, arrays["weights"], intervals, settings)
        if model.weights.shape != (len(problem.targets), len(model.groups)):
            raise UserError("The weights of the blend do not fit the members of the card. Train again.")
        return model


@dataclass(frozen=True)
class Pretrained:
    """An encoder that was learned without labels: it gives vectors and no answers."""

    card: Card
    encoder: Encoder
    standard: Standard
    settings: dict[str, Settings]

    @property
    def views(self) -> tuple[str, ...]:
        """What has to be featurised before `embed`."""
        return self.encoder.views

    def embed(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, D) float32, the vectors of the molecules `rows` (n,); NaN where a view is missing."""
        return neural.embed(self.encoder, features, rows).astype(np.float32)


def load_embedder(path: Path) -> Model | Pretrained:
    """What a folder of `tetramer train` or `tetramer pretrain` makes vectors with. UserError if it is neither."""
    card, files = read_folder(path)
    if card.get("kind") != "encoder":
        return Model.from_folder(path, card, files)
    (source,) = origin_of(path, card, files).sources
    try:
        return Pretrained(card, source.made(), Standard(**card["standard"]), settings_of(card["settings"]))
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not whole: its card or a file lacks {error}. Train again.") from error


def interval_from(arrays: dict[str, np.ndarray], target: int) -> Intervals | None:
    """The calibration of one target, if it has any."""
    prefix = f"interval.{target}."
    if f"{prefix}floor" not in arrays:
        return None
    return Intervals(arrays[f"{prefix}residuals"], arrays[f"{prefix}spread"], float(arrays[f"{prefix}floor"][0]))


def prediction_columns(model: Model, reading: Reading, level: float = LEVEL) -> dict[str, pa.Array]:
    """Output columns for every row of a reading, in order; cells of refused rows are null.

    Regression: T_pred, T_lo, T_hi. Binary: T_pred, the probability of the second class. Multi-class: T_pred, the
    likeliest class, and T_prob_CLASS. Then status and reason.
    """
    answer = model.predict(reading.features, np.arange(len(reading)), level)
    told = np.isfinite(answer.values).any(axis=(1, 2))
    return answer_columns(model.problem, answer) | reading.status_columns(told, model.placed, model.elements)


def answer_columns(problem: Problem, answer: Answer) -> dict[str, pa.Array]:
    """The columns of `prediction_columns` but for status and reason."""
    columns: dict[str, pa.Array] = {}
    for target, name in enumerate(problem.targets):
        values = answer.values[:, target]  # (n, K)
        if problem.task == MULTICLASS:
            classes = problem.classes[target]
            known = np.isfinite(values).all(axis=1)
            best = np.where(known, np.nan_to_num(values[:, : len(classes)]).argmax(axis=1), 0)
            told = [classes[k] if ok else None for k, ok in zip(best, known, strict=True)]
            columns[f"{name}_pred"] = pa.array(told, pa.string())
            columns |= {f"{name}_prob_{text}": numbers(values[:, k]) for k, text in enumerate(classes)}
            continue
        columns[f"{name}_pred"] = numbers(values[:, 0])
        if answer.low is not None and answer.high is not None:
            columns[f"{name}_lo"], columns[f"{name}_hi"] = (
                numbers(answer.low[:, target]),
                numbers(answer.high[:, target]),
            )
    return columns


def meanings(problem: Problem, units: Sequence[str]) -> list[str]:
    """What T_pred is, where the name of the column does not tell: the class of a probability, a logarithm."""
    if problem.task == BINARY:
        pairs = zip(problem.targets, problem.classes, strict=True)
        return [f"{name}_pred is the probability of {classes[1]!r}." for name, classes in pairs if classes[1] != "1"]
    named = [(name, unit) for name, unit in zip(problem.targets, units, strict=False) if unit in ("log10", "pIC50")]
    what = {"log10": "the decimal logarithm of what was measured", "pIC50": "a pIC50"}
    return [f"{name}_pred is {what[unit]}, and so are the ends of its interval." for name, unit in named]


def numbers(values: np.ndarray) -> pa.Array:
    """(n,) float64 with NaN → Arrow with nulls."""
    return pa.array(values, from_pandas=True)


def vectors(model: Model | Pretrained | None, reading: Reading) -> np.ndarray:
    """(n, D) float32 embeddings of a reading; without a model, the fingerprint view. NaN in rows that were refused."""
    rows = np.arange(len(reading))
    if model is not None:
        return model.embed(reading.features, rows)
    features = reading.features["fingerprint"]
    out = np.log1p(VIEWS["fingerprint"].collate(features, rows).counts)
    out[features.ok == 0] = np.nan
    return np.asarray(out)


def embedding_columns(model: Model | Pretrained | None, reading: Reading, flat: bool) -> dict[str, pa.Array]:
    """`embedding` as a fixed-size list, or (flat) as e0, e1, …; then status and reason. Refused rows are null."""
    told = vectors(model, reading)
    known = np.isfinite(told).all(axis=1)
    if flat:
        columns = {f"e{k}": numbers(told[:, k].astype(np.float64)) for k in range(told.shape[1])}
    else:
        cells = pa.array(np.nan_to_num(told).reshape(-1), pa.float32())
        columns = {"embedding": pa.FixedSizeListArray.from_arrays(cells, told.shape[1], mask=pa.array(~known))}
    return columns | reading.status_columns(known)


def embedding_views(model: Model | Pretrained | None, view: str = "fingerprint") -> tuple[str, ...]:
    """What has to be featurised for an embedding; without a model it is `view`, and UserError if that is no vector."""
    if model is not None:
        return model.views
    pick(VIEWS, view, "view")
    if view != "fingerprint":
        raise UserError(f"Without a model only the fingerprint view gives a vector; {view!r} needs --model.")
    return (view,)


def probabilities(answer: Answer, problem: Problem, target: int = 0) -> np.ndarray:
    """(n, classes) probabilities of one target, also for a binary task."""
    values = answer.values[:, target]
    if problem.task == BINARY:
        return np.concatenate([1 - values, values], axis=1)
    return np.asarray(values[:, : len(problem.classes[target])])

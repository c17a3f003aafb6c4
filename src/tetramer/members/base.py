"""What the members of a model share: the problem, the shape of an answer, and the way to a folder and back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from tetramer.checkpoint import Files
from tetramer.training import Data
from tetramer.views import VIEWS, conformer, fingerprint, graph
from tetramer.views.base import Features

REGRESSION, BINARY, MULTICLASS = "regression", "binary", "multiclass"


@dataclass(frozen=True)
class Problem:
    """What is to be learned. A prediction for n rows is always (n, T, K).

    K is 1 for a regression (the value) and a binary task (the probability of the larger label), and the number of
    classes otherwise (their probabilities; a target with fewer classes has zeros behind its own).
    """

    task: str
    targets: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...] = ()  # names of the labels, one tuple a target; empty for a regression
    extensive: tuple[bool, ...] = ()  # of each target, whether it grows with the molecule; (): none does

    @property
    def outputs(self) -> int:
        """K, the last axis of a prediction."""
        return max(map(len, self.classes)) if self.task == MULTICLASS else 1

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Self:
        """The problem as `dataclasses.asdict` wrote it into a card."""
        told = card["extensive"]  # older models have one bool for all targets; nothing but training looks at it
        extensive = (told,) * len(card["targets"]) if isinstance(told, bool) else tuple(told)
        return cls(card["task"], tuple(card["targets"]), tuple(map(tuple, card["classes"])), extensive)


class Member(Protocol):
    """One fitted model: `KIND` names it in MEMBERS, `views` what it looks at."""

    KIND: str

    @property
    def views(self) -> tuple[str, ...]:
        """The views that `predict` needs."""
        ...

    def predict(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, T, K) float64 for the molecules `rows` (n,) of `features`; NaN where a view of the row failed."""
        ...

    def state(self) -> tuple[dict[str, Any], Files]:
        """A card (JSON) and files (bytes) from which `from_state` makes the member again."""
        ...

    @classmethod
    def from_state(cls, card: dict[str, Any], files: Files, problem: Problem) -> Self:
        """The member that `state` wrote down."""
        ...


def usable(features: dict[str, Features], views: Sequence[str], rows: np.ndarray, partial: bool = False) -> np.ndarray:
    """(n,) bool: which of `rows` have every one of `views`, or (partial) at least one of them."""
    there = [features[view].ok[rows] == 1 for view in views]
    return np.asarray((np.logical_or if partial else np.logical_and).reduce(there))


def without_drawings(features: dict[str, Features]) -> dict[str, Features]:
    """Features in which a molecule that was drawn flat has no geometry: a drawing is nothing to learn from."""
    made = features.get("conformer")
    if not isinstance(made, conformer.ConformerFeatures) or not made.drawn.any():
        return features
    return features | {"conformer": replace(made, ok=np.where(made.drawn, 0, made.ok).astype(np.uint8))}


def atom_counts(features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
    """(n, 119) float64 atoms of each element, hydrogens included, from whichever view is there."""
    if "fingerprint" in features:
        columns = features["fingerprint"]
        assert isinstance(columns, fingerprint.FingerprintFeatures)
        return np.asarray(columns.elements[rows], dtype=np.float64)
    columns = features["graph"]
    assert isinstance(columns, graph.GraphFeatures)
    return graph.atom_counts(columns, rows).astype(np.float64)


def to_read(wanted: Collection[str]) -> tuple[str, ...]:
    """The views to read where members look at `wanted`: these, and the graph if none of them counts atoms."""
    counted = set(wanted) | (set() if {"fingerprint", "graph"} & set(wanted) else {"graph"})
    return tuple(view for view in VIEWS if view in counted)


def resolved(data: Data, rows: np.ndarray, first_guess: np.ndarray | None) -> np.ndarray:
    """Labels (n, T) in which a censored one is the bound or, if that lies beyond it, the first guess.

    A molecule known as "> 10" that a model of the exact labels puts at 12 is fitted as 12, at 8 as 10. With no
    first guess the bound stands for the label.
    """
    assert data.values is not None
    assert data.censor is not None
    values, censor = data.values[rows].copy(), data.censor[rows]
    if first_guess is not None:
        # fmax and fmin: where no exact label gave a guess (NaN), the bound stands.
        values = np.where(censor > 0, np.fmax(values, first_guess), values)
        values = np.where(censor < 0, np.fmin(values, first_guess), values)
    return np.asarray(values)

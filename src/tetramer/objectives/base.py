"""What every objective takes and returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tetramer.encoders.base import Encoder
from tetramer.errors import UserError
from tetramer.views.base import Batch

Criterion = Callable[[Any, np.ndarray], float]  # data and rows of them → lower is better


class Loss(NamedTuple):
    """A scalar to minimise and numbers worth a plot."""

    value: Tensor  # ()
    parts: dict[str, Tensor]  # each (), detached


class Targets(NamedTuple):
    """What was measured."""

    values: Tensor  # (B, T) float64; a number, or the class 0 … K - 1; NaN marks a value nobody measured
    censor: Tensor  # (B, T) int8; -1: the truth is below the value ("<"), +1: above it (">"), 0: exact
    weight: Tensor  # (B,) float


class Sample(NamedTuple):
    """The same molecules in one or more views, with labels and groups if there are any."""

    views: Mapping[str, Batch]
    targets: Targets | None = None
    groups: Mapping[str, Tensor] | None = (
        None  # flat columns (owner, role, weight): side of a reaction, motif of an atom
    )
    others: Mapping[str, Batch] | None = None  # view → the same molecules once more, in another version of it
    own: int | None = None  # molecules that were asked for; the rest are what they are to be told from. None: all


@dataclass(frozen=True)
class Plain:
    """The settings of an objective that has none."""


def of_tokens(encoder: Encoder) -> None:
    """UserError if weights make a molecule of the encoder's tokens: a loss of tokens alone leaves them as drawn."""
    if getattr(encoder, "score", None) is not None:
        name, one = ("pooling", "mean") if hasattr(encoder.config, "pooling") else ("readout", "sum")
        raise UserError(
            f"encoder.{name}=attention has weights of its own, and what is learned here looks at atoms or tokens "
            f"alone: they would stay as they were drawn. Set encoder.{name}={one}."
        )


class Objective(nn.Module):
    """Sample → Loss. Owns its heads and what it does to its input."""

    Config: ClassVar[type[Any]] = Plain
    Groups: ClassVar[dict[str, type[Any]]] = {}  # settings of Config that are settings of their own, and their kind
    views: tuple[str, ...]
    others: ClassVar[tuple[str, ...]] = ()  # views of which `Sample.others` is to hold another version of each molecule

    @staticmethod
    def beside(config: Any) -> tuple[str, ...]:  # noqa: ANN401 (every objective has its own Config)
        """What is read beside the views of the encoder."""
        return ()

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        raise NotImplementedError

    @property
    def criterion(self) -> Criterion | None:
        """What chooses the weights, as a function of data and of rows of them; None: the mean loss."""
        return None

    def judge(self, sample: Sample) -> dict[str, float]:
        """Numbers without labels that are no loss, means over the molecules of a sample. Most objectives have none."""
        return {}

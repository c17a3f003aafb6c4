"""What every objective takes and returns."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from tetramer.views.base import Batch


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

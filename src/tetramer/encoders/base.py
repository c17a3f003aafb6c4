"""What every encoder takes and returns."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor, nn

from tetramer.views.base import Batch, Features


class Encoding(NamedTuple):
    """What every encoder returns."""

    molecule: Tensor  # (B, D)
    tokens: Tensor | None = None  # (N, D) flat, in batch order; None where a view has no atoms or tokens
    vectors: Tensor | None = None  # (N, D, 3) for encoders that carry directions


class Encoder(nn.Module):
    """Views in, one `Encoding` out. Knows nothing of labels, losses, devices or files."""

    Config: ClassVar[type[Any]]
    views: tuple[str, ...]
    unshaped: ClassVar[tuple[str, ...]] = ()  # settings that say what weights mean and that no shape tells
    weights_of: ClassVar[str] = ""  # of ENCODERS: another one whose weights these are
    config: Any
    width: int

    @classmethod
    def looks_at(cls, config: Any) -> tuple[str, ...]:  # noqa: ANN401 (every encoder has its own Config)
        """The views of an encoder with this config."""
        return cls.views

    @classmethod
    def partial(cls, config: Any) -> bool:  # noqa: ANN401
        """Whether an encoder with this config answers for a molecule that lacks some of the views."""
        return False

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        raise NotImplementedError

    def fit_statistics(self, features: Mapping[str, Features], rows: np.ndarray) -> None:
        """Set the buffers that describe the training rows. Most encoders have none: nothing happens."""

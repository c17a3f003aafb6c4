"""The fingerprint encoder: counts of substructures and descriptors through a plain network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError
from tetramer.layers.mlp import mlp
from tetramer.layers.quantiles import fit_quantiles, to_normal
from tetramer.views.base import Batch, Features, gather
from tetramer.views.fingerprint import BITS, NAMES, FingerprintBatch, FingerprintFeatures


@dataclass(frozen=True)
class MLPConfig:
    widths: tuple[int, ...] = (512, 256)  # of the layers; the last one is the width of the encoding
    dropout: float = 0.1
    descriptors: bool = True  # beside the counts
    quantiles: int = 101  # points that describe the distribution of a descriptor
    binary: bool = False  # whether a substructure counts once, however often it is there
    normalise: bool = False  # a layer norm in every layer

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1 or self.quantiles < 2 or not 0 <= self.dropout < 1:
            raise UserError(
                "A fingerprint network needs widths ≥ 1, quantiles ≥ 2 and dropout in [0, 1); "
                f"got {self.widths}, {self.quantiles} and {self.dropout}."
            )


class MLP(Encoder):
    """Multilayer perceptron over log(1 + counts) of Morgan environments and descriptors made normal by their ranks.

    `binary` has bits in place of counts, as fingerprints are used where they cannot count.

    Until `fit_statistics` has seen training rows, every descriptor counts as constant and is left out. Environments
    that no training row has get zero weights, and keep them: what was never seen must not move an answer.
    """

    Config = MLPConfig
    views = ("fingerprint",)
    unshaped = ("binary",)
    quantiles: Tensor  # (Q, D) of each descriptor over the training rows

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.widths[-1]
        extra = len(NAMES) if config.descriptors else 0
        self.register_buffer("quantiles", torch.zeros(config.quantiles, extra))
        self.body = mlp(BITS + extra, config.widths, dropout=config.dropout, normalise=config.normalise)

    def fit_statistics(self, features: Mapping[str, Features], rows: np.ndarray) -> None:
        fingerprint = cast(FingerprintFeatures, features["fingerprint"])
        rows = rows[fingerprint.ok[rows] == 1]
        unseen = np.ones(BITS, dtype=bool)
        unseen[fingerprint.bits[gather(fingerprint.bit_starts, rows)[0]]] = False
        with torch.no_grad():
            cast(nn.Linear, self.body[0]).weight[:, np.flatnonzero(unseen)] = 0.0
        if self.config.descriptors:
            self.quantiles.copy_(torch.from_numpy(fit_quantiles(fingerprint.descriptors[rows], len(self.quantiles))))

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch = cast(FingerprintBatch, views["fingerprint"])
        counts = cast(Tensor, batch.counts)  # (B, 2048)
        x = counts.clamp(max=1) if self.config.binary else torch.log1p(counts)
        if self.config.descriptors:
            x = torch.cat([x, to_normal(cast(Tensor, batch.descriptors), self.quantiles)], 1)  # (B, 2048 + D)
        return Encoding(self.body(x))

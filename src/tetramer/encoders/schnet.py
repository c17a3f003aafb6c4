"""SchNet: convolutions with a filter for each distance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.bases import cosine, gaussians, lengths
from tetramer.layers.dropout import Dropout
from tetramer.layers.geometry import AtomEmbedding, Cloud, Readout, blockwise, pairs, read_out
from tetramer.views.base import Batch
from tetramer.views.conformer import ConformerBatch


@dataclass(frozen=True)
class SchNetConfig:
    """The defaults have six interactions within 10 Å; 3DGCL's encoder is depth=2, cutoff=5.0, half=True."""

    width: int = 128
    depth: int = 6  # interactions
    filters: int = 128  # channels of a convolution
    gaussians: int = 50  # functions of the distance
    cutoff: float = 10.0  # Å, where filters have faded
    half: bool = False  # whether the layer before the last one is half as wide
    readout: Readout = "mean"  # of atoms
    dropout: float = 0.0  # of filters, and before each layer that follows the activation of an atom

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Readout)), self.readout, "readout")
        smallest = min(self.width, self.depth, self.filters, self.gaussians - 1)
        if smallest < 1 or not (0 < self.cutoff < math.inf and 0 <= self.dropout < 1):
            raise UserError(
                "A SchNet needs width ≥ 1, depth ≥ 1, filters ≥ 1, gaussians ≥ 2, cutoff > 0 Å and dropout in [0, 1); "
                f"got {self.width}, {self.depth}, {self.filters}, {self.gaussians}, {self.cutoff} and {self.dropout}."
            )


class SchNet(Encoder):
    r"""Continuous-filter convolutions (arXiv:1706.08566).

    .. math::
        w_{ij} &= e(d_{ij})\, (W_2\, \tau(W_1 g(d_{ij}) + b_1) + b_2) \\
        h_i &\mathrel{+}= W_4\, \tau\Big(W_3 \sum_{j \ne i} A h_j \circ w_{ij} + b_3\Big) + b_4

    τ(x) = softplus(x) − ln 2; g: Gaussians; e: cosine envelope. After the last interaction every atom vector passes
    Linear, τ, Linear. A filter is computed once for the two directions of a pair, and only within the cutoff. Under
    bf16 autocast the layers are bf16; distances, envelopes and sums over neighbours are fp32.
    """

    Config = SchNetConfig
    views = ("conformer",)
    unshaped = ("cutoff",)

    def __init__(self, config: SchNetConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        hidden = max(config.width // 2, 1) if config.half else config.width
        self.atoms = AtomEmbedding(config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.out = nn.Sequential(
            nn.Linear(config.width, hidden),
            ShiftedSoftplus(),
            Dropout(config.dropout),
            nn.Linear(hidden, self.width),
        )

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch = cast(ConformerBatch, views["conformer"])
        tokens = blockwise(self.encode, batch, self.config.filters, self.atoms.element.weight.dtype)  # (M, D)
        return Encoding(read_out(tokens, batch, self.config.readout), tokens)

    def encode(self, cloud: Cloud) -> Tensor:
        """Atom vectors of one block. → (g, n, D)"""
        h = self.atoms(cloud.numbers, cloud.charges)
        space = look(cloud.positions, cloud.mask, self.config.gaussians, self.config.cutoff)
        for layer in self.layers:
            h = h + layer(h, space)
        result: Tensor = self.out(h)
        return result


class Space(NamedTuple):
    """The E pairs of a block that lie within the cutoff."""

    basis: Tensor  # (E, G) Gaussians of distances
    envelope: Tensor  # (E, 1)
    places: Tensor  # (2 E,) where a pair stands in (g, n, n), and where its other direction does


def look(x: Tensor, mask: Tensor, count: int, cutoff: float) -> Space:
    """Pairs of atoms that see each other. x: (g, n, 3)   mask: (g, n)"""
    squares, pair = pairs(x, mask)
    n = mask.shape[1]
    one = (pair & (squares < cutoff * cutoff)).triu().flatten().nonzero()[:, 0]  # i < j
    i, j = one // n % n, one % n
    d = lengths(squares.flatten()[one])
    return Space(gaussians(d, count, cutoff), cosine(d, cutoff)[:, None], torch.cat([one, one + (j - i) * (n - 1)]))


class Layer(nn.Module):
    """One interaction; see `SchNet`."""

    def __init__(self, config: SchNetConfig) -> None:
        super().__init__()
        width, filters = config.width, config.filters
        self.filter = nn.Sequential(  # W_1, W_2
            nn.Linear(config.gaussians, filters), ShiftedSoftplus(), nn.Linear(filters, filters)
        )
        self.dropout = Dropout(config.dropout)
        self.sender = nn.Linear(width, filters, bias=False)  # A
        self.update = nn.Sequential(  # W_3, W_4
            nn.Linear(filters, width), ShiftedSoftplus(), Dropout(config.dropout), nn.Linear(width, width)
        )

    def forward(self, h: Tensor, space: Space) -> Tensor:
        """(g, n, D) → the same"""
        (g, n, _), dtype = h.shape, h.dtype
        sent = self.sender(h).to(dtype)[:, None]  # (g, 1, n, F)
        w = self.dropout(self.filter(space.basis).to(dtype) * space.envelope)  # (E, F)
        dense = w.new_zeros(g * n * n, w.shape[1]).index_copy(0, space.places, torch.cat([w, w]))
        arrived = (dense.view(g, n, n, w.shape[1]) * sent).sum(2)  # (g, n, F)
        result: Tensor = self.update(arrived)
        return result


class ShiftedSoftplus(nn.Module):
    """softplus(x) − ln 2, which is 0 at 0."""

    def forward(self, x: Tensor) -> Tensor:
        return softplus(x) - math.log(2)

"""The polarisable atom interaction network: atoms carry scalars and vectors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.bases import bessel, cosine, lengths
from tetramer.layers.dropout import Dropout
from tetramer.layers.geometry import VOLUMES, AtomEmbedding, Cloud, Readout, blockwise, pairs, read_out, signed_volumes
from tetramer.views.base import Batch
from tetramer.views.conformer import ConformerBatch

_FLOOR = 1e-8  # keeps the slope of a length finite where a vector is zero


@dataclass(frozen=True)
class PaiNNConfig:
    """The defaults are the paper's, but for the readout: a sum there, and here for an extensive target."""

    width: int = 128
    depth: int = 3
    radial: int = 20  # functions of the distance
    cutoff: float = 5.0  # Å, where messages have faded
    readout: Readout = "mean"  # of atoms
    chirality: bool = False  # whether mirror images may differ
    dropout: float = 0.0  # of atom scalars

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Readout)), self.readout, "readout")
        smallest = min(self.width, self.depth, self.radial)
        if smallest < 1 or not (0 < self.cutoff < math.inf and 0 <= self.dropout < 1):
            raise UserError(
                "A PaiNN needs width ≥ 1, depth ≥ 1, radial ≥ 1, cutoff > 0 Å and dropout in [0, 1); "
                f"got {self.width}, {self.depth}, {self.radial}, {self.cutoff} and {self.dropout}."
            )


class PaiNN(Encoder):
    r"""Polarisable atom interaction network (arXiv:2102.03150). Scalars s (D), vectors v (3, D), which begin at zero.

    .. math::
        [a_{ij} \Vert b_{ij} \Vert c_{ij}] &= \varphi(s_j) \circ e(d_{ij}) (W r(d_{ij}) + w) \\
        s_i &\mathrel{+}= \sum_{j \ne i} a_{ij} \qquad
        v_i \mathrel{+}= \sum_{j \ne i} b_{ij} \circ v_j + c_{ij} \otimes \frac{x_i - x_j}{d_{ij}} \\
        [\alpha \Vert \beta \Vert \gamma] &= \psi([s_i \Vert |V v_i| \Vert t_i]) \\
        s_i &\mathrel{+}= \alpha + \beta \circ \langle U v_i, V v_i \rangle \qquad v_i \mathrel{+}= \gamma \circ U v_i

    r: Bessel functions; e: cosine envelope; φ, ψ: Linear, SiLU, Linear. t: signed volumes of three linear mixtures of
    v_i, with `chirality` alone; without them mirror images are equal. Under bf16 autocast the layers of atoms are bf16;
    filters, directions and sums over neighbours are fp32.
    """

    Config = PaiNNConfig
    views = ("conformer",)
    unshaped = ("cutoff",)

    def __init__(self, config: PaiNNConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.atoms = AtomEmbedding(config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.dropout = Dropout(config.dropout)

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch = cast(ConformerBatch, views["conformer"])
        both = blockwise(self.encode, batch, 2 * self.width, self.atoms.element.weight.dtype)  # (M, 4, D)
        tokens = self.dropout(both[:, 0])
        return Encoding(read_out(tokens, batch, self.config.readout), tokens, both[:, 1:].transpose(1, 2))

    def encode(self, cloud: Cloud) -> Tensor:
        """Scalars and vectors of the atoms of one block. → (g, n, 1 + 3, D)"""
        s, v = self.atoms(cloud.numbers, cloud.charges), None
        space = look(cloud.positions, cloud.mask, self.config.radial, self.config.cutoff)
        for layer in self.layers:
            s, v = layer(s, v, space)
        assert v is not None
        return torch.cat([s[:, :, None], v], 2)


class Space(NamedTuple):
    """What messages see of a block."""

    basis: Tensor  # (g, n, n, R + 1) functions of distances and 1, with their envelope
    directions: Tensor  # (g, n, 3, n) unit vectors (x_i − x_j) / d


def look(x: Tensor, mask: Tensor, radial: int, cutoff: float) -> Space:
    """Distances and directions between atoms. x: (g, n, 3)   mask: (g, n)"""
    squares, pair = pairs(x, mask)
    d = lengths(squares)
    envelope = (cosine(d, cutoff) * pair)[..., None]
    between = x[..., None] - x.transpose(1, 2)[:, None]  # (g, n, 3, n)
    basis = torch.cat([bessel(d, radial, cutoff) * envelope, envelope], -1)
    return Space(basis, between * (pair / d)[:, :, None])


class Layer(nn.Module):
    """Messages between atoms, then the scalars and vectors of each atom among themselves; see `PaiNN`."""

    def __init__(self, config: PaiNNConfig) -> None:
        super().__init__()
        width, extra = config.width, VOLUMES if config.chirality else 0
        self.sender = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 3 * width))  # φ
        self.filter = nn.Linear(config.radial, 3 * width)  # W, w
        self.mix = nn.Linear(width, 2 * width, bias=False)  # U, V
        self.sides = nn.Linear(width, 3 * extra, bias=False) if extra else None
        self.update = nn.Sequential(  # ψ
            nn.Linear(2 * width + extra, width), nn.SiLU(), nn.Linear(width, 3 * width)
        )

    def forward(self, s: Tensor, v: Tensor | None, space: Space) -> tuple[Tensor, Tensor]:
        """(g, n, D), (g, n, 3, D) → the same; None: all vectors are zero."""
        sent = self.sender(s).to(s.dtype)  # (g, n, 3 D)
        with torch.autocast(s.device.type, enabled=False):
            weights = torch.cat([self.filter.weight, self.filter.bias[:, None]], 1)
            more, turned = messages(space, weights, sent, v)
        s = s + more
        v = turned if v is None else v + turned
        own, other = self.mix(v).to(s.dtype).chunk(2, -1)  # (g, n, 3, D)
        parts = [s, (other.square().sum(2) + _FLOOR).sqrt()]
        if self.sides is not None:
            a, b, c = self.sides(v).to(s.dtype).chunk(3, -1)
            parts.append(signed_volumes(a, b, c))
        plain, scaled, stretch = self.update(torch.cat(parts, -1)).to(s.dtype).chunk(3, -1)
        return s + plain + scaled * (own * other).sum(2), v + stretch[:, :, None] * own


def messages(space: Space, weights: Tensor, sent: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
    """What arrives at every atom.

    weights: (3 D, R + 1) of the filters   sent: (g, n, 3 D)   v: (g, n, 3, D)   →   scalars (g, n, D), vectors

    Filters are linear in the basis, so the sum over neighbours could come before the sum over its functions, and no
    (g, n, n, D) tensor would exist. That takes 7 D (R + 1) products a pair, and was slower for up to 50 atoms.
    """
    (a, b, c), (wa, wb, wc) = sent.chunk(3, -1), weights.chunk(3)
    scalars = (linear(space.basis, wa) * a[:, None]).sum(2)
    vectors = space.directions @ (linear(space.basis, wc) * c[:, None])
    if v is not None:
        filters, carried = linear(space.basis, wb), b[:, :, None] * v
        vectors = vectors + torch.stack([(filters * carried[:, None, :, axis]).sum(2) for axis in range(3)], 2)
    return scalars, vectors

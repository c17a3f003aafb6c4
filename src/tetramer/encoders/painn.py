"""The polarisable atom interaction network: atoms carry scalars and vectors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

import torch
from torch import Tensor, nn

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.bases import bessel, cosine
from tetramer.layers.dropout import Dropout
from tetramer.layers.geometry import VOLUMES, AtomEmbedding, Readout, read_out, signed_volumes
from tetramer.layers.pair_messages import Directed, directed_messages, near
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
        numbers, charges, owner = (cast(Tensor, x) for x in (batch.numbers, batch.charges, batch.owner))
        s = self.atoms(numbers, charges)  # (M, D)
        v = s.new_zeros(len(s), 3, self.width)
        pairs = look(cast(Tensor, batch.positions).to(s.dtype), owner, self.config.radial, self.config.cutoff)
        for layer in self.layers:
            s, v = layer(s, v, pairs)
        tokens = self.dropout(s)
        return Encoding(read_out(tokens, batch, self.config.readout), tokens, v.transpose(1, 2))


def look(x: Tensor, owner: Tensor, radial: int, cutoff: float) -> Directed:
    """Distances and directions between atoms. x: (M, 3)   owner: (M,) the geometry of each atom, ascending"""
    here, there, between, d = near(x, owner, cutoff)
    envelope = cosine(d, cutoff)[:, None]
    return Directed(here, there, between / d[:, None], torch.cat([bessel(d, radial, cutoff) * envelope, envelope], 1))


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

    def forward(self, s: Tensor, v: Tensor, pairs: Directed) -> tuple[Tensor, Tensor]:
        """(M, D), (M, 3, D) → the same"""
        a, b, c = self.sender(s).to(s.dtype).unflatten(1, (3, 1, -1)).unbind(1)  # (M, 1, D) each
        sent = torch.cat([a, c, b * v], 1)
        with torch.autocast(s.device.type, enabled=False):
            weights = torch.cat([self.filter.weight, self.filter.bias[:, None]], 1)
            arrived = directed_messages(pairs, weights, sent)
        s, v = s + arrived[:, 0], v + arrived[:, 1:]
        own, other = self.mix(v).to(s.dtype).chunk(2, -1)  # (M, 3, D)
        parts = [s, (other.square().sum(1) + _FLOOR).sqrt()]
        if self.sides is not None:
            p, q, r = self.sides(v).to(s.dtype).chunk(3, -1)
            parts.append(signed_volumes(p, q, r))
        plain, scaled, stretch = self.update(torch.cat(parts, -1)).to(s.dtype).chunk(3, -1)
        return s + plain + scaled * (own * other).sum(1), v + stretch[:, None] * own

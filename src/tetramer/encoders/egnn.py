"""The E(n)-equivariant graph network, in forms that build no concatenated pairs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.bases import bessel, lengths, polynomial
from tetramer.layers.dropout import Dropout
from tetramer.layers.geometry import VOLUMES, AtomEmbedding, Cloud, Readout, blockwise, pairs, read_out, signed_volumes
from tetramer.layers.pair_messages import Seen, gated_messages, loops_do, near
from tetramer.views.base import Batch
from tetramer.views.conformer import ConformerBatch


@dataclass(frozen=True)
class EGNNConfig:
    """The defaults are the paper's on QM9 (every pair of atoms, gated messages, atoms stay where they are), but for the
    readout, which is a sum there and here for an extensive target."""

    width: int = 128
    depth: int = 7
    attention: bool = True  # a gate on each message
    coordinates: bool = False  # whether layers move the atoms
    radial: int = 0  # functions of the distance that a message sees; 0: only its square, and no cutoff
    cutoff: float = 10.0  # Å, where messages have faded
    readout: Readout = "mean"  # of atoms
    chirality: bool = False  # whether mirror images may differ
    dropout: float = 0.0  # of atom vectors

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Readout)), self.readout, "readout")
        smallest = min(self.width, self.depth, self.radial + 1)
        if smallest < 1 or not (0 < self.cutoff < math.inf and 0 <= self.dropout < 1):
            raise UserError(
                "An EGNN needs width ≥ 1, depth ≥ 1, radial ≥ 0, cutoff > 0 Å and dropout in [0, 1); "
                f"got {self.width}, {self.depth}, {self.radial}, {self.cutoff} and {self.dropout}."
            )


class EGNN(Encoder):
    r"""E(n)-equivariant graph network (arXiv:2102.09844).

    .. math::
        m_{ij} &= \tau\big(W_2\, \tau(W_1 [h_i \Vert h_j \Vert r(d_{ij})] + b_1) + b_2\big) \qquad
        m_i = \sum_{j \ne i} e_{ij}\, \sigma(w \cdot m_{ij} + b)\, m_{ij} \\
        h_i' &= h_i + W_4\, \tau(W_3 [h_i \Vert m_i \Vert t_i] + b_3) + b_4 \qquad
        x_i' = x_i + \frac{1}{n_i} \sum_{j \ne i} \frac{x_i - x_j}{1 + d_{ij}}\, e_{ij}
               \tanh \varphi(m_{ij}), \quad n_i = \max\big(1, \sum_{j \ne i} e_{ij}\big)

    τ: SiLU; r: the squared distance, or Bessel functions; e: 1, or an envelope that fades at the cutoff; φ: a network
    whose last layer begins near zero. The last layer moves nothing, since nobody would see it. t: signed volumes of
    three sums of neighbours that the messages weigh, with `chirality` alone; without them mirror images are equal.
    After the last layer every atom vector passes Linear, SiLU, Linear.

    W_1 is applied to h_i, h_j and r one by one, and atoms are moved by products of matrices. Under bf16 autocast all
    products are bf16, added up in fp32; distances, envelopes and places are fp32. A squared distance loses digits in a
    bf16 product, so radial > 0 suits bf16 better.
    """

    Config = EGNNConfig
    views = ("conformer",)
    unshaped = ("radial", "cutoff")

    def __init__(self, config: EGNNConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.atoms = AtomEmbedding(config.width)
        self.layers = nn.ModuleList(Layer(config, place == config.depth - 1) for place in range(config.depth))
        self.out = nn.Sequential(
            nn.Linear(config.width, config.width), nn.SiLU(), nn.Linear(config.width, config.width)
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch = cast(ConformerBatch, views["conformer"])
        x = cast(Tensor, batch.positions).to(self.atoms.element.weight.dtype)
        if loops_do(x) and not (self.config.coordinates or self.config.chirality or torch.is_autocast_enabled("cpu")):
            tokens = self.listed(batch, x)
        else:
            tokens = blockwise(self.encode, batch, self.width, x.dtype)
        return Encoding(read_out(tokens, batch, self.config.readout), tokens)

    def encode(self, cloud: Cloud) -> Tensor:
        """Atom vectors of one block. → (g, n, D)"""
        h, x = self.atoms(cloud.numbers, cloud.charges), cloud.positions
        space = look(x, cloud.mask, self.config)
        for layer in self.layers:
            h, moved = layer(h, x, space)
            if moved is not None:
                x, space = moved, look(moved, cloud.mask, self.config)
        result: Tensor = self.dropout(self.out(h))
        return result

    def listed(self, batch: ConformerBatch, x: Tensor) -> Tensor:
        """The same from lists of pairs, without padding, where atoms stay and need no volumes. x: (M, 3) → (M, D)"""
        h, config = self.atoms(cast(Tensor, batch.numbers), cast(Tensor, batch.charges)), self.config
        here, there, _, d = near(x, cast(Tensor, batch.owner), config.cutoff if config.radial else math.inf)
        pairs = Seen(here, there, *seen(d, config))
        for layer in self.layers:
            h, _ = layer(h, x, pairs)
        result: Tensor = self.dropout(self.out(h))
        return result


def seen(d: Tensor, config: EGNNConfig) -> tuple[Tensor, Tensor]:
    """Functions of distances and their envelope. (…) Å → (…, R), (…)"""
    if not config.radial:
        return d.square()[..., None], torch.ones_like(d)
    return bessel(d, config.radial, config.cutoff), polynomial(d, config.cutoff)


class Space(NamedTuple):
    """What messages see of a block."""

    seen: Tensor  # (g, n, n, R) r(d)
    envelope: Tensor  # (g, n, n) e, 0 where there is no pair
    distances: Tensor  # (g, n, n)


def look(x: Tensor, mask: Tensor, config: EGNNConfig) -> Space:
    """Distances between atoms. x: (g, n, 3)   mask: (g, n)"""
    squares, pair = pairs(x, mask)
    d = lengths(squares)
    radial, envelope = seen(d, config)
    return Space(radial, envelope * pair, d)


class Layer(nn.Module):
    """One round of messages; see `EGNN`."""

    def __init__(self, config: EGNNConfig, last: bool) -> None:
        super().__init__()
        width, radial, extra = config.width, max(config.radial, 1), VOLUMES if config.chirality else 0
        self.own = nn.Linear(width, width)  # the columns of W_1 that see h_i, and b_1
        self.other = nn.Linear(width, width, bias=False)  # those that see h_j
        self.away = nn.Linear(radial, width, bias=False)  # those that see r
        first = 1 / math.sqrt(2 * width + radial)  # they begin as one layer would
        for weights in (self.own.weight, self.own.bias, self.other.weight, self.away.weight):
            nn.init.uniform_(weights, -first, first)
        self.message = nn.Linear(width, width)  # W_2
        self.gate = nn.Linear(width, 1) if config.attention else None
        self.node = nn.Sequential(nn.Linear(2 * width + extra, width), nn.SiLU(), nn.Linear(width, width))  # W_3, W_4
        self.sides = nn.Linear(width, 3 * extra, bias=False) if extra else None
        self.shift: nn.Sequential | None = None  # φ
        if config.coordinates and not last:
            self.shift = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1, bias=False))
            nn.init.xavier_uniform_(cast(Tensor, self.shift[-1].weight), gain=1e-3)

    def forward(self, h: Tensor, x: Tensor, space: Space | Seen) -> tuple[Tensor, Tensor | None]:
        """(g, n, D), (g, n, 3) → the same, or (M, D), (M, 3) with lists of pairs; None: nothing moves."""
        if isinstance(space, Seen):
            gate = h.new_empty(0) if self.gate is None else torch.cat([self.gate.weight[0], self.gate.bias])
            weights = self.away.weight, self.message.weight, self.message.bias, gate
            arrived = gated_messages(space, self.own(h), self.other(h), *weights)
            return h + self.node(torch.cat([h, arrived], -1)), None
        seen, envelope, d = space
        z = self.own(h)[:, :, None] + self.other(h)[:, None]  # (g, n, n, D)
        z.add_(self.away(seen))
        m = silu(self.message(silu(z)))
        share = envelope if self.gate is None else envelope * self.gate(m)[..., 0].sigmoid()
        arrived = (share[:, :, None] @ m)[:, :, 0]  # (g, n, D)
        parts = [h, arrived]
        if self.sides is not None:
            parts.append(volumes(x, self.sides(m), envelope / (1 + d)))
        h = h + self.node(torch.cat(parts, -1))
        moved = None if self.shift is None else move(x, self.shift(m)[..., 0], envelope, d)
        return h, moved


def move(x: Tensor, push: Tensor, envelope: Tensor, d: Tensor) -> Tensor:
    """Shift atoms away from or towards each other, by less than 1 Å. x: (g, n, 3)   the others: (g, n, n)"""
    with torch.autocast(x.device.type, enabled=False):
        count = envelope.sum(-1, keepdim=True).clamp(min=1)
        s = push.to(x.dtype).tanh() * envelope / (1 + d) / count
        return x + s.sum(-1, keepdim=True) * x - s @ x


def volumes(x: Tensor, weights: Tensor, envelope: Tensor) -> Tensor:
    """Signed volumes of weighted sums of directions. x: (g, n, 3)   weights: (g, n, n, 3 C)   →   (g, n, C)"""
    with torch.autocast(x.device.type, enabled=False):
        w = (weights.to(x.dtype) * envelope[..., None]).transpose(2, 3)  # (g, n, 3 C, n)
        sums = w @ x[:, None] - w.sum(-1, keepdim=True) * x[:, :, None]  # (g, n, 3 C, 3)
        a, b, c = sums.transpose(2, 3).chunk(3, -1)
        return signed_volumes(a, b, c)

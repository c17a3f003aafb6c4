"""The networks of the study "combining modalities" as it published them, for parity; ours are `mpnn`, `egnn`, `painn`.

The study names sizes, not equations; these are the layers that give its parameter counts to the digit (1,592,577 with
a linear head, 1,915,397 with a head of one hidden layer).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, one_hot, silu

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError
from tetramer.layers.geometry import in_blocks
from tetramer.layers.pooling import mean_by_owner
from tetramer.layers.tensors import to_dense
from tetramer.views.base import Batch
from tetramer.views.conformer import ConformerBatch
from tetramer.views.graph import ATOM, HYBRIDISATION, GraphBatch

COLUMNS = {name: place for place, name in enumerate(ATOM)}
ELEMENTS = (1, 6, 7, 8, 9)
NODE, EDGE = 11, 4  # features of an atom: its element, its number, aromatic, sp, sp2, sp3, hydrogens; types of bonds
HYBRIDS = [place for kind, place in HYBRIDISATION.items() if str(kind) in ("SP", "SP2", "SP3")]


@dataclass(frozen=True)
class CombiningConfig:
    width: int = 256
    depth: int = 4

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 1:
            raise UserError(f"A network needs width ≥ 1 and depth ≥ 1; got {self.width} and {self.depth}.")


def node_features(atoms: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, 10) columns of the graph view → (N, 11)."""
    number, hybrid = atoms[:, COLUMNS["element"]], atoms[:, COLUMNS["hybridisation"]]
    columns = [number == element for element in ELEMENTS] + [number, atoms[:, COLUMNS["aromatic"]]]
    columns += [hybrid == kind for kind in HYBRIDS] + [atoms[:, COLUMNS["hydrogens"]]]
    return torch.stack([column.to(dtype) for column in columns], 1)


def bond_features(bonds: Tensor, dtype: torch.dtype) -> Tensor:
    """(E, 4) columns of the graph view → (E, 4): single, double, triple, aromatic."""
    return one_hot(bonds[:, 0].clamp(max=EDGE), EDGE + 1)[:, :EDGE].to(dtype)


class BatchNorm(nn.BatchNorm1d):
    """Batch norm that takes the running statistics for a batch of one row, which has none of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) → (N, D)"""
        if self.training and len(x) == 1:
            running = self.running_mean, self.running_var
            return nn.functional.batch_norm(x, *running, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def normed(inputs: int, width: int) -> nn.Sequential:
    """Two linear layers, each with batch norm and ReLU. (…, inputs) → (…, width)"""
    first = (nn.Linear(inputs, width), BatchNorm(width), nn.ReLU())
    return nn.Sequential(*first, nn.Linear(width, width), BatchNorm(width), nn.ReLU())


class CombiningMPNN(Encoder):
    r"""Messages of a network of both ends and the bond, averaged over neighbours; atoms averaged over the molecule.

    .. math::
        m_i = \frac{1}{|N(i)|} \sum_{j \in N(i)} M([h_i \Vert h_j \Vert e_{ij}]) \qquad h_i' = h_i + U([h_i \Vert m_i])

    Atoms are those that the graph draws, without hydrogens. Means cannot count: the vector knows fractions alone.
    """

    Config = CombiningConfig
    views = ("graph",)

    def __init__(self, config: CombiningConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.input = nn.Linear(NODE, config.width)
        self.message = nn.ModuleList(normed(2 * config.width + EDGE, config.width) for _ in range(config.depth))
        self.update = nn.ModuleList(normed(2 * config.width, config.width) for _ in range(config.depth))

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        graph = cast(GraphBatch, views["graph"])
        atoms, bonds, edges, owner = (cast(Tensor, x) for x in (graph.atoms, graph.bonds, graph.edges, graph.owner))
        dtype = self.input.weight.dtype
        h, e = self.input(node_features(atoms, dtype)), bond_features(bonds, dtype)
        source, target = edges
        for message, update in zip(self.message, self.update, strict=True):
            sent = message(torch.cat([h[target], h[source], e], 1)) if len(source) else h[source]
            arrived = mean_by_owner(sent.to(h.dtype), target, len(h))
            if len(h):
                h = h + update(torch.cat([h, arrived], 1)).to(h.dtype)
        return Encoding(mean_by_owner(h, owner, graph.size), h)


class CombiningEGNN(Encoder):
    r"""EGNN (arXiv:2102.09844) with bonds on its edges and moving atoms; every pair of atoms, hydrogens too.

    .. math::
        m_{ij} &= \varphi_e([h_i \Vert h_j \Vert d_{ij}^2 \Vert e_{ij}]) \qquad
        x_i' = x_i + \frac{1}{n - 1} \sum_{j \ne i} \frac{x_i - x_j}{1 + d_{ij}} \varphi_x(m_{ij}) \\
        h_i' &= h_i + \varphi_h\big([h_i \Vert \sum_{j \ne i} m_{ij}]\big)

    Atoms are averaged over the molecule. A hydrogen is bonded to the atom nearest to it. One geometry a molecule.
    """

    Config = CombiningConfig
    views = ("graph", "conformer")

    def __init__(self, config: CombiningConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        width = config.width

        def two(inputs: int, out: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, out))

        self.input = nn.Linear(NODE, width)
        self.edge = nn.ModuleList(two(2 * width + 1 + EDGE, width) for _ in range(config.depth))
        self.node = nn.ModuleList(two(2 * width, width) for _ in range(config.depth))
        self.move = nn.ModuleList(two(width, 1) for _ in range(config.depth))
        for move in self.move:
            nn.init.xavier_uniform_(cast(nn.Linear, cast(nn.Sequential, move)[-1]).weight, gain=1e-3)

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        graph, cloud = cast(GraphBatch, views["graph"]), cast(ConformerBatch, views["conformer"])
        owner, molecule = cast(Tensor, cloud.owner), cast(Tensor, cloud.molecule)
        if torch.bincount(molecule).gt(1).any():
            raise UserError(
                "A molecule has several conformers, and this network of a published study takes one: give one and "
                "leave out views.conformer.count, or choose --recipe conformer."
            )
        dtype, size = self.input.weight.dtype, len(molecule)
        x, mask = to_dense(cast(Tensor, cloud.positions).to(dtype), owner, size)  # (G, n, 3), (G, n)
        bond = self.bonds(graph, cloud, x, mask)  # (G, n, n, 4)
        columns = [self.input(self.atoms(graph, cloud, dtype)), cast(Tensor, cloud.positions).to(dtype)]

        def encode(dense: list[Tensor], atoms: Tensor, which: Tensor) -> Tensor:
            n = atoms.shape[1]
            return self.encode(dense[0], dense[1], bond[which, :n, :n], atoms)

        tokens = in_blocks(encode, columns, owner, size, self.width)  # (M, D)
        pooled = mean_by_owner(tokens, owner, size)
        return Encoding(mean_by_owner(pooled, molecule, cloud.size), tokens)

    def encode(self, h: Tensor, x: Tensor, bond: Tensor, mask: Tensor) -> Tensor:
        """One block. (g, n, D), (g, n, 3) Å, (g, n, n, 4), (g, n) → (g, n, D)

        The first layer of φ_e is applied to h_i, h_j and the rest one by one: no pairs are put end to end.
        """
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=x.device)
        pair = ((mask[:, :, None] & mask[:, None]) & ~itself).to(h.dtype)[..., None]
        others = (mask.sum(1) - 1).clamp(min=1)[:, None, None]
        for place, (edge, update, move) in enumerate(zip(self.edge, self.node, self.move, strict=True)):
            first, second = (cast(nn.Linear, cast(nn.Sequential, edge)[part]) for part in (0, 2))
            own, other, rest = first.weight.tensor_split([self.width, 2 * self.width], 1)
            gap = x[:, :, None] - x[:, None]  # (g, n, n, 3)
            square = gap.square().sum(-1, keepdim=True)
            z = linear(h, own, first.bias)[:, :, None] + linear(h, other)[:, None]  # (g, n, n, D)
            z.add_(linear(torch.cat([square, bond], -1), rest))
            m = silu(second(silu(z)))
            arrived = (pair.transpose(2, 3) @ m)[:, :, 0]  # (g, n, D) sums over j ≠ i
            if place < self.config.depth - 1:  # nobody would see where the last layer moves the atoms
                push = move(m) * pair / (1 + (square + 1e-12).sqrt())
                x = x + (gap * push).sum(2) / others
            h = h + update(torch.cat([h, arrived.to(h.dtype)], -1))
        return h

    def atoms(self, graph: GraphBatch, cloud: ConformerBatch, dtype: torch.dtype) -> Tensor:
        """(M, 11): the graph's features for the atoms it draws, those of a plain hydrogen for the others."""
        numbers, owner = cast(Tensor, graph.atoms), cast(Tensor, graph.owner)
        out = torch.zeros(len(cast(Tensor, cloud.owner)), NODE, dtype=dtype, device=owner.device)
        out[:, 0] = out[:, len(ELEMENTS)] = 1
        there = self.row(graph, cloud)[owner] >= 0
        out[self.place(cloud) < self.drawn(graph, cloud)] = node_features(numbers, dtype)[there]
        return out

    def row(self, graph: GraphBatch, cloud: ConformerBatch) -> Tensor:
        """(B,) the geometry of each molecule; -1: it has none."""
        molecule = cast(Tensor, cloud.molecule)
        row = torch.full((graph.size,), -1, device=molecule.device)
        row[molecule] = torch.arange(len(molecule), device=molecule.device)
        return row

    def place(self, cloud: ConformerBatch) -> Tensor:
        """(M,) the number of each atom within its geometry."""
        owner = cast(Tensor, cloud.owner)
        return torch.arange(len(owner), device=owner.device) - torch.searchsorted(owner, owner)

    def drawn(self, graph: GraphBatch, cloud: ConformerBatch) -> Tensor:
        """(M,) how many atoms of its molecule the graph draws; they are the first ones."""
        counts = torch.bincount(cast(Tensor, graph.owner), minlength=graph.size)
        return counts[cast(Tensor, cloud.molecule)][cast(Tensor, cloud.owner)]

    def bonds(self, graph: GraphBatch, cloud: ConformerBatch, x: Tensor, mask: Tensor) -> Tensor:
        """(G, n, n, 4): the graph's bonds, and a single one from a hydrogen that it does not draw to its nearest atom.

        x: (G, n, 3)   mask: (G, n)
        """
        out = torch.zeros(*x.shape[:2], x.shape[1], EDGE, dtype=x.dtype, device=x.device)
        owner, (source, target) = cast(Tensor, graph.owner), cast(Tensor, graph.edges)
        starts = torch.searchsorted(owner, owner)  # the first atom of the molecule of each
        at = self.row(graph, cloud)[owner[source]]
        kept = at >= 0
        begin, end = (source - starts[source])[kept], (target - starts[target])[kept]
        out[at[kept], begin, end] = bond_features(cast(Tensor, graph.bonds), x.dtype)[kept]
        if x.shape[1] < 2:
            return out
        plain, _ = to_dense(self.place(cloud) >= self.drawn(graph, cloud), cast(Tensor, cloud.owner), len(x))
        apart = torch.cdist(x, x).masked_fill(~mask[:, None], torch.inf)
        apart.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        which, hydrogen = (plain & (mask.sum(1, keepdim=True) > 1)).nonzero(as_tuple=True)
        nearest = apart[which, hydrogen].argmin(1)
        out[which, hydrogen, nearest, 0] = out[which, nearest, hydrogen, 0] = 1
        return out

"""The graph encoder: messages along directed bonds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.categories import one_hot, pack
from tetramer.layers.dropout import Dropout
from tetramer.layers.environments import environments
from tetramer.layers.pooling import mean_by_owner, pna_by_owner, softmax_by_owner, sum_by_owner
from tetramer.layers.ragged import Lists, gather_sum
from tetramer.views.base import Batch
from tetramer.views.graph import ATOM, BOND, VOCABULARY, GraphBatch

Aggregation = Literal["sum", "mean", "pna"]
Readout = Literal["sum", "mean", "norm", "attention"]


@dataclass(frozen=True)
class MPNNConfig:
    """The defaults are chemprop's."""

    width: int = 300
    depth: int = 3  # how many bonds away an atom can see
    aggregation: Aggregation = "sum"  # of messages that meet at an atom
    readout: Readout = "norm"  # of atoms; "norm" is the sum / 100
    dropout: float = 0.0  # of atom vectors

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Aggregation)), self.aggregation, "aggregation")
        pick(dict.fromkeys(get_args(Readout)), self.readout, "readout")
        if self.width < 1 or self.depth < 1 or not 0 <= self.dropout < 1:
            raise UserError(
                "A graph network needs width ≥ 1, depth ≥ 1 and dropout in [0, 1); "
                f"got {self.width}, {self.depth} and {self.dropout}."
            )


class MPNN(Encoder):
    r"""Directed message passing, D-MPNN (arXiv:1904.01561).

    .. math::
        h^1_{vw} &= \tau(W_i [x_v \Vert e_{vw}]) \qquad
        h^{t+1}_{vw} = \tau\Big(W_i [x_v \Vert e_{vw}] + W_h \sum_{u \in N(v) \setminus w} h^t_{uv}\Big) \\
        h_v &= \tau\Big(W_o \big[x_v \Vert \sum_{u \in N(v)} h^T_{uv}\big] + b\Big)

    x, e: one-hot categories of atoms and bonds; τ: ReLU; T: depth. Edges with equal surroundings have equal vectors, so
    each is computed once (`layers.environments`), and W_h multiplies a vector before it is sent along several edges.
    Under bf16 autocast the messages are bf16, and atoms are added up in fp32.
    """

    Config = MPNNConfig
    views = ("graph",)
    unshaped = ("aggregation",)
    vocabulary: Tensor  # (256,) int64 element class of each atomic number

    def __init__(self, config: MPNNConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.register_buffer("vocabulary", torch.from_numpy(VOCABULARY.astype("int64")), persistent=False)
        self.atom_sizes = [int(VOCABULARY.max()) + 1, *list(ATOM.values())[1:]]
        self.bond_sizes = list(BOND.values())
        atom, bond = sum(self.atom_sizes), sum(self.bond_sizes)
        arriving = config.width * (12 if config.aggregation == "pna" else 1)
        self.edge = nn.Linear(atom + bond, config.width, bias=False)  # W_i
        self.message = nn.Linear(arriving, config.width, bias=False) if config.depth > 1 else None  # W_h
        self.atom = nn.Linear(atom + arriving, config.width)  # W_o
        self.score = nn.Linear(config.width, 1) if config.readout == "attention" else None
        self.dropout = Dropout(config.dropout)

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        graph = cast(GraphBatch, views["graph"])
        atoms, bonds, edges, owner = (cast(Tensor, x) for x in (graph.atoms, graph.bonds, graph.edges, graph.owner))
        atoms = torch.cat([self.vocabulary[atoms[:, :1]], atoms[:, 1:]], 1)
        env = environments(pack(atoms, self.atom_sizes), pack(bonds, self.bond_sizes), edges, self.config.depth)

        dtype, (*steps, end) = self.edge.weight.dtype, env.levels
        leaving = atoms.index_select(0, edges[0].index_select(0, env.edges))
        pairs = torch.cat([leaving, bonds.index_select(0, env.edges)], 1)
        first = self.edge(one_hot(pairs, self.atom_sizes + self.bond_sizes, dtype))  # (U, D)
        h = first.relu()
        for step in steps:
            assert self.message is not None
            h = (gather_sum(first, step.own) + self.receive(h, step.incoming, self.message.weight)).relu_()  # (U', D)

        x = one_hot(atoms.index_select(0, env.atoms), self.atom_sizes, dtype)
        own, arriving = self.atom.weight[:, : x.shape[1]], self.atom.weight[:, x.shape[1] :]
        itself = linear(x, own, self.atom.bias)  # (A, D)
        h = (gather_sum(itself, end.own) + self.receive(h, end.incoming, arriving)).relu_()
        tokens = self.dropout(gather_sum(h, env.members)[: len(atoms)])  # (N, D)
        return Encoding(self.read_out(tokens.to(dtype), owner, graph.size), tokens)

    def receive(self, h: Tensor, incoming: Lists, weight: Tensor) -> Tensor:
        """Aggregate the messages that arrive and multiply by `weight`. (U, D) → (U', D)

        Sum and mean are linear: the product comes first, since fewer edges send than receive.
        """
        size = len(incoming.starts) - 1
        if self.config.aggregation == "pna":
            return linear(pna_by_owner(h.index_select(0, incoming.entries), incoming.owner, size), weight)
        total = gather_sum(linear(h, weight), incoming)
        return total / incoming.counts.clamp(min=1)[:, None] if self.config.aggregation == "mean" else total

    def read_out(self, tokens: Tensor, owner: Tensor, size: int) -> Tensor:
        """Atoms → molecules. tokens: (N, D)   owner: (N,)   →   (size, D); zeros for a molecule without atoms."""
        if self.config.readout == "mean":
            return mean_by_owner(tokens, owner, size)
        if self.score is not None:
            tokens = tokens * softmax_by_owner(self.score(tokens).to(tokens.dtype), owner, size)
        total = sum_by_owner(tokens, owner, size)
        return total / 100 if self.config.readout == "norm" else total

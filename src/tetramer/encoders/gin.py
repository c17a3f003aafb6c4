"""The graph isomorphism network with bonds: atoms add up what their neighbours are and how they are bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.categories import one_hot, pack
from tetramer.layers.neighbourhoods import Round, messages, neighbourhoods
from tetramer.layers.ragged import gather_sum, lists, one_each
from tetramer.views.base import Batch
from tetramer.views.graph import ATOM, BOND, VOCABULARY, GraphBatch

Readout = Literal["sum", "mean"]


@dataclass(frozen=True)
class GINConfig:
    """With bonds, width 300, depth 5, hidden 2 and batch norm were published."""

    width: int = 256
    depth: int = 3  # how many bonds away an atom can see
    hidden: int = 2  # widths of the hidden layer in each network; with 1 it takes two thirds of the time
    readout: Readout = "sum"  # of atoms
    normalise: bool = True  # a layer norm of the atoms after every layer

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Readout)), self.readout, "readout")
        if min(self.width, self.depth, self.hidden) < 1:
            raise UserError(
                "An isomorphism network needs width ≥ 1, depth ≥ 1 and hidden ≥ 1; "
                f"got {self.width}, {self.depth} and {self.hidden}."
            )


class Layer(nn.Module):
    """One round of messages."""

    def __init__(self, width: int, hidden: int, bonds: int) -> None:
        super().__init__()
        self.bond = nn.Linear(bonds, width, bias=False)
        self.excess = nn.Parameter(torch.zeros(()))  # ε
        self.network = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, h: Tensor, bonds: Tensor, step: Round, kinds: int) -> Tensor:
        """Kinds of atoms (U, D) and the first `kinds` of bonds (K, 15) → wider kinds of atoms (U', D)."""
        sent, incoming = messages(step, kinds)
        m = gather_sum(torch.cat([h, self.bond(bonds).to(h.dtype)]), sent).relu()  # (M, D)
        itself = gather_sum(h, step.before.within(step.kinds))
        out: Tensor = self.network((1 + self.excess) * itself + gather_sum(m, incoming))
        return out.to(h.dtype)


class GIN(Encoder):
    r"""GIN (arXiv:1810.00826) with features of bonds (arXiv:1905.12265), in the form that is called GINE.

    .. math::
        h_v' = \tau\Big(\mathrm{MLP}\big((1 + \epsilon) h_v + \sum_{u \in N(v)} \mathrm{ReLU}(h_u + e_{uv})\big)\Big)

    h: first a row of a table for every column of the atom, added up; e: the same of the bond, with tables of each
    layer; τ: ReLU, none after the last layer. A layer norm stands before τ where batch norm is published: here no
    molecule depends on its batch. With readout "sum" the molecule is the sum of its tokens.
    """

    Config = GINConfig
    views = ("graph",)
    vocabulary: Tensor  # (256,) int64 element class of each atomic number

    def __init__(self, config: GINConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.register_buffer("vocabulary", torch.from_numpy(VOCABULARY.astype("int64")), persistent=False)
        self.atom_sizes, self.bond_sizes = [int(VOCABULARY.max()) + 1, *list(ATOM.values())[1:]], list(BOND.values())
        self.atom = nn.Linear(sum(self.atom_sizes), config.width, bias=False)
        sizes = config.width, config.hidden * config.width, sum(self.bond_sizes)
        self.layers = nn.ModuleList(Layer(*sizes) for _ in range(config.depth))
        norms = [nn.LayerNorm(config.width) if config.normalise else nn.Identity() for _ in self.layers]
        self.norms = nn.ModuleList(norms)
        nn.init.normal_(self.atom.weight, std=len(ATOM) ** -0.5)  # a sum of rows, one a column, has variance 1
        for layer in self.layers:
            nn.init.normal_(cast(Layer, layer).bond.weight, std=len(BOND) ** -0.5)

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        graph = cast(GraphBatch, views["graph"])
        atoms, bonds, edges, owner = (cast(Tensor, x) for x in (graph.atoms, graph.bonds, graph.edges, graph.owner))
        atoms = torch.cat([self.vocabulary[atoms[:, :1]], atoms[:, 1:]], 1)
        hood = neighbourhoods(pack(atoms, self.atom_sizes), pack(bonds, self.bond_sizes), edges, self.config.depth)
        dtype, kinds = self.atom.weight.dtype, len(hood.bonds)
        h = self.atom(one_hot(atoms.index_select(0, hood.atoms.first), self.atom_sizes, dtype)).to(dtype)
        e = one_hot(bonds.index_select(0, hood.bonds), self.bond_sizes, dtype)
        for place, (layer, norm, step) in enumerate(zip(self.layers, self.norms, hood.rounds, strict=True), start=1):
            h = norm(layer(h, e, step, kinds))
            h = h.relu() if place < self.config.depth else h
        last, counts = hood.last, owner.bincount(minlength=graph.size)
        tokens = gather_sum(h, one_each(last.row, len(last.first)))[: len(atoms)]  # (N, D)
        molecule = gather_sum(h, lists(last.row, counts, len(last.first)))[: graph.size]
        if self.config.readout == "mean":
            molecule = molecule / counts.clamp(min=1)[:, None]
        return Encoding(molecule, tokens)

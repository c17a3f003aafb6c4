"""The graph encoder of MolR: one of four layers over bonds and loops, and atoms that add up to the molecule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.categories import one_hot, pack
from tetramer.layers.convolutions import Attention, Graph, Hops, Pool
from tetramer.layers.environments import mix
from tetramer.layers.neighbourhoods import neighbourhoods
from tetramer.layers.pooling import sum_by_owner
from tetramer.layers.ragged import gather_sum, one_each
from tetramer.layers.tensors import to_tensors
from tetramer.views.base import Batch, Features
from tetramer.views.graph import ATOM, BOND, VOCABULARY, GraphBatch, GraphFeatures, collate

LayerName = Literal["tag", "gcn", "gat", "sage"]
FEATURES: dict[str, tuple[str, ...]] = {"molr": ("element", "charge", "aromatic", "hydrogens"), "full": tuple(ATOM)}
HEADS = 16  # of "gat"
SAMPLE, PART = 2048, 256  # molecules that the scale is set by, and how many of them at once


@dataclass(frozen=True)
class TAGConfig:
    """Published is width 1024; the other defaults are MolR's."""

    layer: LayerName = "tag"
    width: int = 256
    depth: int = 2
    hops: int = 2  # of each "tag" layer; the others look one bond far
    features: Literal["molr", "full"] = "molr"  # of atoms: four columns, or all
    bonds: bool = False  # whether a message knows its bond
    normalise: bool = False  # a layer norm of the atoms before they are added up

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(LayerName)), self.layer, "layer")
        pick(FEATURES, self.features, "choice of features")
        if min(self.width, self.depth, self.hops) < 1:
            raise UserError(
                "A graph network needs width ≥ 1, depth ≥ 1 and hops ≥ 1; "
                f"got {self.width}, {self.depth} and {self.hops}."
            )
        if self.layer == "gat" and self.width % HEADS:
            raise UserError(f"The {HEADS} heads of 'gat' need a width that {HEADS} divides; got {self.width}.")

    def made(self, inputs: int) -> Hops | Pool | Attention:
        """One layer."""
        bonds = sum(BOND.values()) if self.bonds else 0
        if self.layer == "sage":
            return Pool(inputs, self.width, bonds)
        if self.layer == "gat":
            return Attention(inputs, self.width, bonds, HEADS)
        return Hops(inputs, self.width, bonds, *((0, self.hops) if self.layer == "tag" else (1, 1)))


class TAG(Encoder):
    r"""The encoder of MolR (arXiv:2109.09888): :math:`z = s \sum_v h_v`, h after `depth` layers, ReLU between them.

    The first h adds up rows of a table, one for each of the `features`. s is :math:`\sqrt D` / mean length of h over
    atoms of training rows, and 1 until `fit_statistics` has seen them. It is kept with the weights, so no vector
    depends on a batch. A molecule is the sum of its tokens, and a mixture that of its parts.
    """

    Config = TAGConfig
    views = ("graph",)
    vocabulary: Tensor  # (256,) int64 element class of each atomic number
    scale: Tensor  # () s

    def __init__(self, config: TAGConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.register_buffer("vocabulary", torch.from_numpy(VOCABULARY.astype("int64")), persistent=False)
        self.register_buffer("scale", torch.ones(()))
        self.columns = [list(ATOM).index(name) for name in FEATURES[config.features]]
        every = [int(VOCABULARY.max()) + 1, *list(ATOM.values())[1:]]
        self.sizes, self.bond_sizes = [every[column] for column in self.columns], list(BOND.values())
        inputs = [sum(self.sizes), *[config.width] * (config.depth - 1)]
        layers = [config.made(width) for width in inputs]
        self.layers, self.end, self.reach = nn.ModuleList(layers[:-1]), layers[-1], layers[-1].reach
        self.norm = nn.LayerNorm(config.width) if config.normalise else nn.Identity()

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        graph = self.read(cast(GraphBatch, views["graph"]), self.config.depth)
        h, last = self.hidden(graph), graph.hood.last
        rows = self.atoms(graph, h)
        tokens = gather_sum(rows, one_each(last.row, len(last.first)))[: len(graph.owner)]  # (N, D)
        return Encoding(self.total(graph, h, rows, torch.ones_like(graph.near)), tokens)

    def sums(self, views: Mapping[str, Batch], weight: Tensor) -> Tensor:
        """Weighted sums of tokens. "tag" and "gcn" need no token for them, so this is several times faster.

        weight: (N,) of each atom, taken as a constant   →   (B, D)
        """
        graph = self.read(cast(GraphBatch, views["graph"]), self.config.depth - self.short)
        h = self.hidden(graph)
        return self.total(graph, h, None if self.short else self.atoms(graph, h), weight.detach().to(graph.near.dtype))

    @property
    def short(self) -> bool:
        """Whether the last layer is linear, so that a sum of atoms may come before it."""
        return isinstance(self.end, Hops) and not self.config.normalise

    def read(self, batch: GraphBatch, depth: int) -> Graph:
        """What `depth` layers need to know of a batch."""
        atoms, bonds, edges, owner = (cast(Tensor, x) for x in (batch.atoms, batch.bonds, batch.edges, batch.owner))
        atoms = torch.cat([self.vocabulary[atoms[:, :1]], atoms[:, 1:]], 1)[:, self.columns]
        itself, dtype = torch.arange(len(atoms), device=atoms.device), self.scale.dtype
        degree = edges[1].bincount(minlength=len(atoms)) + 1
        near = degree.to(dtype).rsqrt()
        codes, along, around = pack(atoms, self.sizes), torch.zeros_like(edges[0]), near.new_zeros(0)
        if self.config.bonds:
            along = pack(bonds, self.bond_sizes)
        if isinstance(self.end, Hops):
            codes = mix(codes) + degree
            if self.config.bonds:
                bound = one_hot(bonds, self.bond_sizes, dtype)[: len(bonds)] * near[edges].prod(0)[:, None]
                around = sum_by_owner(bound, edges[1], len(atoms))
        hood = neighbourhoods(codes, along, edges, depth * self.reach, loops=True)
        x = one_hot(atoms.index_select(0, hood.atoms.first), self.sizes, dtype)
        e = one_hot(bonds.index_select(0, hood.bonds), self.bond_sizes, dtype)
        links = torch.cat([edges, itself.expand(2, -1)], 1)
        return Graph(hood, x, e, links, near, around, owner, batch.size)

    def hidden(self, graph: Graph) -> Tensor:
        """Kinds of atoms after all layers but the last. → (U, D), or (A, F) where there is one layer"""
        h, rounds = graph.x, graph.hood.rounds
        for place, layer in enumerate(self.layers):
            h = layer(h, rounds[place * self.reach :][: self.reach], graph).relu()
        return h

    def atoms(self, graph: Graph, h: Tensor) -> Tensor:
        """Kinds of atoms after the last layer, scaled. (U, D) → (U', D)"""
        z: Tensor = self.norm(self.end(h, graph.hood.rounds[-self.reach :], graph))
        return z * self.scale

    def total(self, graph: Graph, h: Tensor, rows: Tensor | None, weight: Tensor) -> Tensor:
        """Weighted sums of atoms, (B, D), of the kinds before the last layer (short), or of those after it, `rows`."""
        if isinstance(self.end, Hops) and self.short:
            steps = (self.config.depth - 1) * self.reach
            kinds = graph.hood.rounds[steps - 1].kinds if steps else graph.hood.atoms
            return self.end.added(h, kinds, graph, weight) * self.scale
        assert rows is not None
        return gather_sum(rows, graph.by_molecule(graph.hood.last), weight)[: graph.size]

    @torch.no_grad()
    def fit_statistics(self, features: Mapping[str, Features], rows: np.ndarray) -> None:
        graph = cast(GraphFeatures, features["graph"])
        rows = rows[graph.ok[rows] == 1]
        chosen = rows[:: max(1, len(rows) // SAMPLE)]
        self.scale.fill_(1.0)
        length, count = 0.0, 0
        for start in range(0, len(chosen), PART):
            batch = to_tensors(collate(graph, chosen[start : start + PART]), self.scale.device)
            tokens = cast(Tensor, TAG.forward(self, {"graph": batch}).tokens)
            length, count = length + float(tokens.norm(dim=1).sum()), count + len(tokens)
        if length > 0:
            self.scale.fill_(math.sqrt(self.config.width) * count / length)

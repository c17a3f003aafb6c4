"""Graph encoders of reactions: atoms see their own molecule, and each part of a reaction has a vector of its own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from tetramer.encoders.base import Encoder, Encoding
from tetramer.encoders.gin import GIN
from tetramer.encoders.mpnn import MPNN
from tetramer.encoders.tag import TAG
from tetramer.molecules.reactions import ROLES
from tetramer.views.base import Batch
from tetramer.views.graph import GraphBatch


class OfReaction(Encoder):
    r"""An encoder of molecules, asked for each part of a reaction: :math:`z = [h_P - h_R \Vert h_P \Vert h_A]`.

    h: what the encoder makes of all reactants R, reagents A and products P; zeros for a part without molecules. What
    no bond of the reaction touches cancels in the difference. A molecule is a reaction that has products alone.
    """

    def __init__(self, config: Any) -> None:  # noqa: ANN401 (every encoder has its own Config)
        super().__init__(config)
        self.width = len(ROLES) * self.width

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        graph, parts = cast(GraphBatch, views["graph"]), len(ROLES)
        told = super().forward({**views, "graph": by_part(graph)})
        reactants, reagents, products = told.molecule.view(graph.size, parts, self.width // parts).unbind(1)
        return Encoding(torch.cat([products - reactants, products, reagents], 1))


def by_part(graph: GraphBatch) -> GraphBatch:
    """B reactions as 3 B structures: reactants, reagents and products of each."""
    parts, owner = len(ROLES), cast(Tensor, graph.owner)
    ok = cast(Tensor, graph.ok).repeat_interleave(parts)
    return replace(graph, size=parts * graph.size, ok=ok, owner=parts * owner + cast(Tensor, graph.role))  # type: ignore[arg-type]


class ReactionMPNN(OfReaction, MPNN):
    """Directed message passing."""

    weights_of = "mpnn"


class ReactionTAG(OfReaction, TAG):
    """MolR's network."""

    weights_of = "tag"


class ReactionGIN(OfReaction, GIN):
    """The isomorphism network."""

    weights_of = "gin"


OF_REACTIONS: dict[str, type[Encoder]] = {
    f"reaction-{kind.weights_of}": kind for kind in (ReactionMPNN, ReactionTAG, ReactionGIN)
}


def for_reactions(encoder: str) -> str:
    """The form of an encoder, of ENCODERS, that looks at the parts of a reaction; itself where it has none."""
    form = f"reaction-{encoder}"
    return form if form in OF_REACTIONS else encoder

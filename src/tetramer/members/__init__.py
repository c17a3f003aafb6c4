"""What `train` can fit. MEMBERS maps the kind in a card to its class and its config."""

from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Member, Problem
from tetramer.members.forest import SharedForest
from tetramer.members.kernels import Kernels
from tetramer.members.neural import Neural
from tetramer.members.trees import Trees

MEMBERS: dict[str, type[Trees] | type[SharedForest] | type[Kernels] | type[Neural]] = {
    "trees": Trees,
    "forest": SharedForest,
    "kernels": Kernels,
    "neural": Neural,
}

__all__ = [
    "BINARY",
    "MEMBERS",
    "MULTICLASS",
    "REGRESSION",
    "Kernels",
    "Member",
    "Neural",
    "Problem",
    "SharedForest",
    "Trees",
]

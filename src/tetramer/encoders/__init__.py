"""Batch → Encoding. One paper, one file; the table is the list of what exists."""

from tetramer.encoders.base import Encoder, Encoding
from tetramer.encoders.fusion import BRANCHES, Fusion, branch_of
from tetramer.encoders.mlp import MLP
from tetramer.encoders.mpnn import MPNN

ENCODERS: dict[str, type[Encoder]] = {name: kind for kinds in BRANCHES.values() for name, kind in kinds.items()}
ENCODERS["fusion"] = Fusion

__all__ = ["BRANCHES", "ENCODERS", "MLP", "MPNN", "Encoder", "Encoding", "Fusion", "branch_of"]

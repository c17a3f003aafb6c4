"""Batch → Encoding. One paper, one file; the table is the list of what exists."""

from tetramer.encoders.base import Encoder, Encoding
from tetramer.encoders.mlp import MLP
from tetramer.encoders.mpnn import MPNN

ENCODERS: dict[str, type[MLP] | type[MPNN]] = {"mlp": MLP, "mpnn": MPNN}

__all__ = ["ENCODERS", "MLP", "MPNN", "Encoder", "Encoding"]

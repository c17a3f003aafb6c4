"""Pure tensor functions and small modules. They know arrays, and nothing of files, labels or losses."""

from tetramer.layers.environments import Environments, environments
from tetramer.layers.mlp import mlp
from tetramer.layers.pooling import (
    max_by_owner,
    mean_by_owner,
    min_by_owner,
    pna_by_owner,
    softmax_by_owner,
    std_by_owner,
    sum_by_owner,
)
from tetramer.layers.ragged import Lists, gather_sum, lists
from tetramer.layers.tensors import to_dense, to_tensors

__all__ = [
    "Environments",
    "Lists",
    "environments",
    "gather_sum",
    "lists",
    "max_by_owner",
    "mean_by_owner",
    "min_by_owner",
    "mlp",
    "pna_by_owner",
    "softmax_by_owner",
    "std_by_owner",
    "sum_by_owner",
    "to_dense",
    "to_tensors",
]

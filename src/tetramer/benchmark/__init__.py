"""Comparing methods fairly, and showing what came out."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tetramer.benchmark.comparing import Comparison, How, compare

__all__ = ["Comparison", "How", "compare"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("tetramer.benchmark.comparing"), name)  # a worker needs none of it
    raise AttributeError(f"module 'tetramer.benchmark' has no attribute {name!r}")

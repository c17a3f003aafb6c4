"""Molecule → Features → Batch: one module a view, each with `Features`, `featurize`, `Batch` and `collate`."""

from types import ModuleType

from tetramer.views import conformer, fingerprint, graph, smiles
from tetramer.views.read import Reader, Reading, read

VIEWS: dict[str, ModuleType] = {"fingerprint": fingerprint, "smiles": smiles, "graph": graph, "conformer": conformer}

__all__ = ["VIEWS", "Reader", "Reading", "read"]

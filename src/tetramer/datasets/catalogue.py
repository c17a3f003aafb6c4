"""Public data sets: where each lies, how its bytes are checked, what its columns mean."""

from tetramer.datasets.catalogue_corpora import ASSAYS, CORPORA, GEOMETRIES, REACTIONS
from tetramer.datasets.catalogue_moleculenet import MOLECULENET_SETS
from tetramer.datasets.entries import EVERY, TASKS, Mirror, Part, Source

__all__ = ["EVERY", "SOURCES", "TASKS", "Mirror", "Part", "Source"]

SOURCES: dict[str, Source] = ASSAYS | MOLECULENET_SETS | CORPORA | REACTIONS | GEOMETRIES
"""Name → row. Names are lower case, words joined by hyphens."""

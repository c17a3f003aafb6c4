"""Rankings by an encoder that has learned reactions."""

import numpy as np
from scipy.sparse import csr_array

from tetramer.benchmark.ranking import Scores, distances
from tetramer.benchmark.reaction_sets import Task
from tetramer.molecules import Limits
from tetramer.molecules.reactions import PRODUCT, REACTANT
from tetramer.ranking import Ranker
from tetramer.views import Reader
from tetramer.views.graph import GraphFeatures


def learned(ranker: Ranker, task: Task, backwards: bool = False, limits: Limits | None = None) -> Scores:
    """Distances between the vectors of queries and candidates.

    backwards: the queries are products and the candidates reactants, as in retrosynthesis
    """
    used = np.flatnonzero(np.asarray(task.queries.sum(axis=0) + task.candidates.sum(axis=0)).reshape(-1))
    with Reader(ranker.standard, limits) as reader:
        graphs = reader.read([task.smiles[one] for one in used.tolist()], ("graph",)).features["graph"]
    assert isinstance(graphs, GraphFeatures)
    given, wanted = (PRODUCT, REACTANT) if backwards else (REACTANT, PRODUCT)
    queries, candidates = (
        ranker.vectors(graphs, *members(sets, used), role)
        for sets, role in ((task.queries, given), (task.candidates, wanted))
    )
    return distances(queries, candidates)


def members(sets: csr_array, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The molecules of each set, as often as they stand in it, as places in `used`; and where each set begins."""
    counts = sets.data.astype(np.int64)
    told = np.repeat(np.searchsorted(used, sets.indices), counts)
    return told, np.concatenate([[0], np.cumsum(counts)])[sets.indptr]

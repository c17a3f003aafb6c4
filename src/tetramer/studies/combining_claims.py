"""What the study said of its pictures, as statistics of every representation of the same molecules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tetramer.errors import UserError
from tetramer.molecules.scaffolds import scaffolds
from tetramer.space.alignment import cka
from tetramer.space.claims import (
    Claim,
    distance_spread,
    neighbour_overlap,
    plane_rank,
    scaffold_agreement,
    string_ratio,
    target_ratio,
)
from tetramer.space.map import Map, pca
from tetramer.space.neighbours import Neighbours, nearest
from tetramer.space.tendency import cluster_tendency, model_order
from tetramer.views import VIEWS
from tetramer.views.fingerprint import FingerprintFeatures

RAW = "fingerprint itself"  # the space that no network made
K = 10  # neighbours looked at


@dataclass(frozen=True)
class Spaces:
    """Representations of the same m molecules by name, each with the neighbours of every molecule."""

    smiles: list[str]
    scaffolds: list[str]
    values: np.ndarray  # (m,) target
    vectors: Mapping[str, np.ndarray]  # each (m, D)
    tables: Mapping[str, Neighbours]
    maps: Mapping[str, Map]

    @classmethod
    def of(
        cls, smiles: list[str], values: np.ndarray, networks: Mapping[str, np.ndarray], features: FingerprintFeatures
    ) -> "Spaces":
        """The fingerprint itself, then the networks' vectors. features: the fingerprint view of the molecules."""
        counts = np.log1p(VIEWS["fingerprint"].collate(features, np.arange(len(features))).counts)
        vectors = {RAW: np.asarray(counts, float)} | dict(networks)
        tables = {name: nearest(one, K) for name, one in vectors.items()}
        maps = {name: pca(one) for name, one in vectors.items()}
        return cls(smiles, scaffolds(smiles), values, vectors, tables, maps)

    def claims(self, name: str) -> dict[str, Claim]:
        """Statistic → what one space shows. A statistic that cannot be had is left out."""
        near = self.tables[name]
        wanted: dict[str, Callable[[], Claim]] = {
            "plane": lambda: plane_rank(near, self.maps[name].points),
            "target": lambda: target_ratio(near, self.values),
            "scaffold@1": lambda: scaffold_agreement(near, self.scaffolds),
            "scaffold@2": lambda: scaffold_agreement(near, self.scaffolds, 2),
            "strings": lambda: string_ratio(near, self.smiles),
            "spread": lambda: distance_spread(near),
            "clusters": lambda: cluster_tendency(self.vectors[name]),
        }
        out = {}
        for statistic, make in wanted.items():
            try:
                out[statistic] = make()
            except UserError:
                continue  # such as the same vector for all molecules
        return out

    def alike(self) -> tuple[np.ndarray, np.ndarray]:
        """CKA and share of common neighbours of every pair of spaces, (S, S) each."""
        names = list(self.vectors)
        both = np.eye(len(names)), np.eye(len(names))
        for row, one in enumerate(names):
            for column, other in enumerate(names[:row]):
                both[0][row, column] = both[0][column, row] = cka(self.vectors[one], self.vectors[other])
                shared = neighbour_overlap(self.tables[one], self.tables[other], K).value
                both[1][row, column] = both[1][column, row] = shared
        return both


def orders(errors: Mapping[str, float], claims: Mapping[str, Mapping[str, Claim]]) -> list[Claim]:
    """Whether better models have more meaningful neighbours, a statistic at a time, over models with both."""
    out = []
    for statistic in ("target", "scaffold@1", "strings"):
        names = [name for name in errors if statistic in claims.get(name, {})]
        values = np.array([claims[name][statistic].value for name in names])
        try:
            out.append(model_order(np.array([errors[name] for name in names]), values, LONG[statistic]))
        except UserError:
            continue
    return out


LONG = {
    "plane": "rank of the neighbour in the plane",
    "target": "|Δy| of neighbours / of all pairs",
    "scaffold@1": "same scaffold, first neighbour",
    "scaffold@2": "same scaffold, first two",
    "strings": "edit distance / of random pairs",
    "spread": "spread of nearest distances",
    "clusters": "Hopkins",
}

"""What the study said of its pictures, as statistics of every representation of the same molecules."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from tetramer.benchmark.cells import Cell, Spread
from tetramer.errors import UserError
from tetramer.molecules.scaffolds import scaffolds
from tetramer.space.alignment import unbiased_cka
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
from tetramer.space.neighbours import Neighbours, nearest, nearest_counts
from tetramer.space.tendency import cluster_tendency, model_order
from tetramer.studies.finished import over_seeds
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
    tables: Mapping[str, Neighbours]  # by cosine
    maps: Mapping[str, Map]
    counted: Neighbours  # by Tanimoto of counts of substructures

    @classmethod
    def of(
        cls, smiles: list[str], values: np.ndarray, networks: Mapping[str, np.ndarray], features: FingerprintFeatures
    ) -> "Spaces":
        """The fingerprint itself, then the networks' vectors. features: the fingerprint view of the molecules.

        A network that gives every molecule the same vector, such as zeros, has no space and is left out.
        """
        networks = {name: one for name, one in networks.items() if np.ptp(one, axis=0).any()}
        counts = np.log1p(VIEWS["fingerprint"].collate(features, np.arange(len(features))).counts)
        vectors = {RAW: np.asarray(counts, float)} | dict(networks)
        tables = {name: nearest(one, K) for name, one in vectors.items()}
        maps = {name: pca(one) for name, one in vectors.items()}
        return cls(smiles, scaffolds(smiles), values, vectors, tables, maps, nearest_counts(features, K))

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

    def counts_alike(self) -> dict[str, tuple[float, float]]:
        """Space → share of its neighbours that are also those by Tanimoto: by cosine, by centred cosine."""
        return {
            name: tuple(  # type: ignore[misc]
                neighbour_overlap(near, self.counted, K).value
                for near in (self.tables[name], nearest(one, K, "centred-cosine"))
            )
            for name, one in self.vectors.items()
        }

    def alike(self) -> tuple[np.ndarray, np.ndarray]:
        """CKA (unbiased) and share of common neighbours of every pair of spaces, (S, S) each."""
        names = list(self.vectors)
        both = np.eye(len(names)), np.eye(len(names))
        for row, one in enumerate(names):
            for column, other in enumerate(names[:row]):
                both[0][row, column] = both[0][column, row] = unbiased_cka(self.vectors[one], self.vectors[other])
                shared = neighbour_overlap(self.tables[one], self.tables[other], K).value
                both[1][row, column] = both[1][column, row] = shared
        return both


LONG = {
    "plane": "rank of the neighbour in the plane",
    "target": "|Δy| of neighbours / of all pairs",
    "scaffold@1": "same scaffold, first neighbour",
    "scaffold@2": "same scaffold, first two",
    "strings": "edit distance / of random pairs",
    "spread": "spread of nearest distances",
    "clusters": "Hopkins",
}

STRINGS = ("LSTM", "LSTM fine-tuned", "transformer")
WITH_FP = ("MPNN + FP", "EGNN + FP", "PaiNN + FP")
FUSIONS = (*WITH_FP, "EGNN + MPNN", "PaiNN + MPNN", "MPNN + RNN", "MPNN + transformer")
SUPERVISED = ("FP-MLP", "LSTM fine-tuned", "transformer", "MPNN", "EGNN", "PaiNN", *FUSIONS)  # a frozen LSTM is not
CLAIMS = (
    ("neighbours by fingerprint lie far apart in the plane", "plane", (RAW,), "above", ""),
    ("neighbours of supervised vectors share target values", "target", SUPERVISED, "below", ""),
    ("neighbours by FP-MLP and SMILES leave the scaffold", "scaffold@1", ("FP-MLP", *STRINGS), "below", RAW),
    ("their first two neighbours leave the scaffold", "scaffold@2", ("FP-MLP", *STRINGS), "below", RAW),
    ("neighbours by SMILES have similar strings", "strings", STRINGS, "below", ""),
    ("the map of EGNN is sparse, that of the FP-MLP dense", "spread", ("EGNN", "PaiNN"), "above", "FP-MLP"),
    ("fusions are denser than EGNN", "spread", WITH_FP, "below", "EGNN"),
    ("fusions are sparser than the FP-MLP", "spread", WITH_FP, "above", "FP-MLP"),
    ("fusions have structure", "clusters", FUSIONS, "above", ""),
)
"""What it says · statistic · models whose spaces it is about · on which side they lie · of what ("" is chance)."""
ORDERS = {"target": "above", "scaffold@1": "below", "strings": "above"}
"""Statistic → on which side of 0 its correlation with the error lies, if better models do better in it."""


class Verdict(NamedTuple):
    """A claim of the study about a space, held against a number."""

    says: str
    statistic: str
    space: str
    claim: Claim
    level: float | None
    verdict: str


def verdict_of(claim: Claim, side: str, low: float | None, high: float | None) -> str:
    """Whether the whole interval lies where the study says, beyond a number or the whole interval of another space.

    Two intervals that meet settle nothing, which errs on the side of caution.
    """
    if low is None or high is None or (claim.low <= high and low <= claim.high):
        return "not settled"
    return "holds" if side == ("above" if claim.low > high else "below") else "does not hold"


def judged(claims: Mapping[str, Mapping[str, Claim]]) -> list[Verdict]:
    """A verdict a claim of CLAIMS and space that it is about."""
    out = []
    for says, key, about, side, against in CLAIMS:
        for name, told in claims.items():
            model, _, series = name.partition(", ")
            other = claims.get(RAW if against == RAW else f"{against}, {series}", {}).get(key)
            if key not in told or model not in about or (against and other is None):
                continue
            level = other.value if other is not None else told[key].reference
            ends = (other.low, other.high) if other is not None else (level, level)
            out.append(Verdict(says, LONG[key], name, told[key], level, verdict_of(told[key], side, *ends)))
    return out


def orders(errors: Mapping[str, float], claims: Mapping[str, Mapping[str, Claim]], space: str) -> list[Verdict]:
    """Whether better models have more meaningful neighbours, a statistic at a time, over models with both."""
    out = []
    for key, side in ORDERS.items():
        names = [name for name in errors if key in claims.get(name, {})]
        values = np.array([claims[name][key].value for name in names])
        try:
            one = model_order(np.array([errors[name] for name in names]), values, LONG[key])
        except UserError:
            continue  # too few models, or all alike
        out.append(Verdict(one.claim, one.statistic, space, one, 0.0, verdict_of(one, side, 0.0, 0.0)))
    return out


class Settled(NamedTuple):
    """A verdict over seeds."""

    says: str
    statistic: str
    space: str
    cell: Cell
    level: float | None
    seeds: int
    verdict: str


def over(verdicts: Sequence[Sequence[Verdict]]) -> list[Settled]:
    """Verdicts of several seeds → one a claim and space, which says whether the seeds agree.

    The value is that of the one seed, with its interval over molecules, or the mean ± standard deviation of seeds.
    """
    found: dict[tuple[str, str, str], list[Verdict]] = {}
    for one in (one for seed in verdicts for one in seed):
        found.setdefault((one.says, one.statistic, one.space), []).append(one)
    out = []
    for (says, statistic, space), told in found.items():
        levels = [one.level for one in told if one.level is not None]
        level = fmean(levels) if levels else None
        out.append(
            Settled(says, statistic, space, cell_of([one.claim for one in told]), level, len(told), agreed(told))
        )
    return out


def agreed(told: Sequence[Verdict]) -> str:
    """The verdict of all seeds, or how many say what."""
    counts = Counter(one.verdict for one in told)
    if len(counts) == 1:
        return told[0].verdict
    return "seeds disagree: " + ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())


def cell_of(told: Sequence[Claim]) -> Cell:
    """One statistic over seeds."""
    if not told:
        return None
    if len(told) == 1:
        return Spread(told[0].value, low=told[0].low, high=told[0].high)
    return over_seeds([one.value for one in told])

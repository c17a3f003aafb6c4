"""What a picture of a chemical space is said to show, as numbers with intervals.

Each function tests one kind of claim and returns a `Claim`: a mean over molecules (or a ratio of two means), its 95 %
interval when molecules are drawn again with their neighbours as they are, and what chance would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError
from tetramer.space.edits import normalised
from tetramer.space.neighbours import Neighbours, shared
from tetramer.space.resampling import interval, mean, ratio

Floats = NDArray[np.float64]

PAIRS = 2_000  # molecules, drawn at random, whose ranks and strings are looked at
CELLS = 4_000_000  # distances held at a time
ABOVE, BELOW, OPEN = "above chance", "below chance", "not settled"


@dataclass(frozen=True)
class Claim:
    """One statistic of `n` molecules (or models). `reference` is its value by chance; None: there is none to name."""

    claim: str
    statistic: str
    value: float
    low: float
    high: float
    reference: float | None
    n: int

    @property
    def verdict(self) -> str:
        """On which side of the reference the whole interval lies; "" without a reference."""
        if self.reference is None:
            return ""
        return ABOVE if self.low > self.reference else BELOW if self.high < self.reference else OPEN


def plane_rank(neighbours: Neighbours, points: Floats, seed: int = 0) -> Claim:
    """Where the nearest neighbour stands among all others by distance in the plane: 0 nearest, 1 farthest.

    points: (n, 2) of a `Map`, NaN where there is none. A random other molecule is at ½ on average. Up to 2,000
    molecules, drawn at random, are looked at; a tie counts half.
    """
    known = neighbours.usable & np.isfinite(points).all(axis=1)
    asked = np.flatnonzero(known & known[neighbours.rows[:, 0]])
    everyone, place = points[known], np.cumsum(known) - 1
    if len(everyone) < 3 or not len(asked):
        raise UserError(f"{len(everyone)} molecules have neighbours and a place in the plane; ranks need 3 or more.")
    asked = np.sort(_generator(seed).permutation(asked)[:PAIRS])
    ranks = np.empty(len(asked))
    step = max(1, CELLS // len(everyone))
    for start in range(0, len(asked), step):
        own = asked[start : start + step]
        gaps = np.hypot(*(points[own, None] - everyone).transpose(2, 0, 1))
        near = np.take_along_axis(gaps, place[neighbours.rows[own, :1]], axis=1)
        closer = (gaps < near).sum(axis=1) - (near[:, 0] > 0)  # without the molecule itself
        ties = (gaps == near).sum(axis=1) - 1 - (near[:, 0] == 0)  # without the neighbour, and without itself
        ranks[start : start + step] = (closer + ties / 2) / (len(everyone) - 2)
    value, low, high = interval(ranks[:, None], mean, seed)
    return Claim("neighbours lie together in the plane", "mean rank in the plane", value, low, high, 0.5, len(ranks))


def target_ratio(neighbours: Neighbours, values: Floats, k: int = 1, seed: int = 0) -> Claim:
    """Mean |y − y'| of the k nearest neighbours over that of all pairs: 0 equal values, 1 chance. values: (n,), NaN
    where nobody measured. The mean over all pairs is exact."""
    known = neighbours.usable & np.isfinite(values)
    places = neighbours.first(k)
    pairs = (places >= 0) & known[places]
    rows = np.flatnonzero(known & pairs.any(axis=1))
    gaps = np.where(pairs[rows], np.abs(values[rows, None] - values[places[rows]]), 0.0)
    if len(rows) < 2 or np.ptp(values[known]) == 0:
        raise UserError(
            f"{len(rows)} molecules and a neighbour of theirs have a value, and different values are needed to compare "
            "them with chance. Take another target."
        )
    chance = np.full(len(values), np.nan)
    chance[known] = mean_gaps(values[known])
    columns = np.stack([gaps.sum(axis=1) / pairs[rows].sum(axis=1), chance[rows]], axis=1)
    value, low, high = interval(columns, ratio, seed)
    return Claim(
        "neighbours share target values", f"|Δy| @{k} over that of all pairs", value, low, high, 1.0, len(rows)
    )


def mean_gaps(values: Floats) -> Floats:
    """(n,) mean |y − y'| of each value from all others, by sorting. values: (n,), two or more"""
    order = np.argsort(values, kind="stable")
    ordered = values[order] - values.mean()
    before = np.cumsum(ordered) - ordered
    place, n = np.arange(len(ordered)), len(ordered)
    out = np.empty(n)
    out[order] = (place * ordered - before + (ordered.sum() - before - ordered) - (n - 1 - place) * ordered) / (n - 1)
    return out


def scaffold_agreement(neighbours: Neighbours, scaffolds: Sequence[str], k: int = 1, seed: int = 0) -> Claim:
    """Share of the k nearest neighbours with the molecule's scaffold. By chance: that of all other molecules.

    scaffolds: (n,) "" for a molecule without rings, which has none to share: it is not asked, and agrees with nobody.
    """
    kind = np.unique(np.array(scaffolds, dtype=object).astype(str), return_inverse=True)[1]
    ring = np.array([text != "" for text in scaffolds], dtype=bool)
    places = neighbours.first(k)
    rows = np.flatnonzero(neighbours.usable & ring)
    if not len(rows):
        raise UserError("No molecule with neighbours has a ring, so there are no scaffolds to agree on.")
    there = places[rows] >= 0
    agree = there & (kind[places[rows]] == kind[rows, None])
    others = np.bincount(kind[neighbours.usable], minlength=int(kind.max()) + 1)[kind[rows]] - 1
    value, low, high = interval((agree.sum(axis=1) / there.sum(axis=1))[:, None], mean, seed)
    reference = float(others.mean() / (neighbours.usable.sum() - 1))
    return Claim("neighbours share the scaffold", f"same scaffold @{k}", value, low, high, reference, len(rows))


def string_ratio(neighbours: Neighbours, smiles: Sequence[str], seed: int = 0) -> Claim:
    """Normalised edit distance of the SMILES of nearest neighbours over that of random pairs: 0 equal, 1 chance.

    smiles: (n,) canonical. Up to 2,000 molecules, drawn at random, each with its neighbour and with one random other.
    """
    rng = _generator(seed)
    usable = np.flatnonzero(neighbours.usable)
    if len(usable) < 3:
        raise UserError(f"{len(usable)} molecules have neighbours; comparing them with random pairs needs 3 or more.")
    place = rng.permutation(len(usable))[:PAIRS]
    other = rng.integers(0, len(usable) - 1, len(place))
    own, stranger = usable[place], usable[other + (other >= place)]
    texts = [[smiles[row] for row in rows.tolist()] for rows in (own, neighbours.rows[own, 0], stranger)]
    columns = np.stack([normalised(texts[0], texts[1]), normalised(texts[0], texts[2])], axis=1)
    value, low, high = interval(columns, ratio, seed)
    statistic = "edit distance of SMILES over that of random pairs"
    return Claim("neighbours have similar strings", statistic, value, low, high, 1.0, len(own))


def distance_spread(neighbours: Neighbours, seed: int = 0) -> Claim:
    """Standard deviation over mean of the distances to the nearest neighbour: how uneven the density is.

    Without a reference: points strewn evenly over D dimensions give √(Γ(1 + 2/D) / Γ(1 + 1/D)² − 1), 1 for a line, 0.52
    for a plane, about 1.28 / D for many, and what D of a set of vectors is, nobody knows. Compare spaces with each
    other.
    """
    apart = neighbours.distances[neighbours.usable, 0].astype(np.float64)
    if not apart.any():
        raise UserError("All nearest neighbours are at distance 0 (or there are none), so distances have no spread.")

    def finish(means: Floats) -> Floats:
        return np.sqrt(np.maximum(means[:, 1] / means[:, 0] ** 2 - 1, 0))

    apart /= apart.mean()
    value, low, high = interval(np.stack([apart, apart**2], axis=1), finish, seed)
    claim = "the space is sparse in places and dense in others"
    return Claim(claim, "spread of nearest distances", value, low, high, None, len(apart))


def neighbour_overlap(first: Neighbours, second: Neighbours, k: int, seed: int = 0) -> Claim:
    """Share of the k nearest neighbours that two spaces have in common. By chance: k / (n − 1)."""
    each = shared(first, second, k)
    each = each[np.isfinite(each)]
    if not len(each):
        raise UserError("No molecule has neighbours in both spaces.")
    value, low, high = interval(each[:, None], mean, seed)
    reference = min(1.0, k / (min(first.usable.sum(), second.usable.sum()) - 1))
    return Claim("two spaces agree on neighbours", f"overlap @{k}", value, low, high, float(reference), len(each))


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))

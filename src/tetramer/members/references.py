"""What an extensive target is first: a sum over atoms, over pieces of the graph, or over distances and angles.

Each is a linear fit on the rows that a member is fitted on; the member learns what the fit leaves over.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from scipy import sparse

from tetramer.checkpoint import pack
from tetramer.members.base import atom_counts, without_drawings
from tetramer.members.ridge import fit_ridge
from tetramer.objectives.statistics import element_reference, explained, explained_by_atoms
from tetramer.training import Data
from tetramer.views import pieces
from tetramer.views.base import Features, take
from tetramer.views.conformer import ConformerFeatures
from tetramer.views.fingerprint import ELEMENTS
from tetramer.views.graph import GraphFeatures
from tetramer.views.histograms import histograms

ATOMS = 100.0  # an energy is first a sum over atoms: their counts, made so large, are not held back by a penalty
REFERENCES = ("auto", "histograms", "pieces", "atoms", "none")
"""What an extensive target is learned beyond; auto: the richest that the views of the member allow."""
BY_ATOMS, BY_PIECES = 0.95, 0.99  # shares of a target that make it extensive
LEAST_ATOMS = 0.5  # what atoms explain of one that pieces may; others do not grow with the molecule
ENOUGH = 5_000  # rows that tell what pieces explain


def extensive(data: Data, rows: np.ndarray) -> tuple[bool, ...]:
    """Whether each target grows with the molecule, by the labels of `rows` (n,).

    It does where a sum over its atoms explains more than BY_ATOMS of it when held out (`explained`; energies have 0.97
    to 1.00), or one over the pieces of its graph more than BY_PIECES (QM9: polarisability 0.993 and heat capacity
    0.997, of which atoms explain 0.89 and 0.73). Others have less: LUMO 0.96 (of the smallest molecules 0.985),
    hydration free energy 0.956, solubility 0.88, log D 0.77.
    """
    assert data.values is not None
    by_atoms = explained_by_atoms(data.values[rows], atom_counts(data.features, rows))
    told, asked = by_atoms > BY_ATOMS, np.flatnonzero((by_atoms > LEAST_ATOMS) & (by_atoms <= BY_ATOMS))
    if "graph" in data.features and len(asked):
        some = np.sort(np.random.Generator(np.random.Philox(0)).permutation(rows)[:ENOUGH])
        missed = Pieces.fit(replace(data, values=data.values[:, asked]), some)[1]
        for target, error in zip(asked.tolist(), missed.T, strict=True):
            told[target] = explained(data.values[some, target], error) > BY_PIECES
    return tuple(told.tolist())


@dataclass(frozen=True)
class Composition:
    """Least squares of an extensive target on atom counts: the part that needs no learning."""

    weights: np.ndarray  # (119, T) units of the target per atom
    elements: np.ndarray  # (119,) whether a training molecule has the element; of others nothing is known
    views: tuple[str, ...] = ()  # any view counts atoms

    @classmethod
    def fit(cls, data: Data, rows: np.ndarray) -> Self:
        """On the labels of `rows` (n,); NaN where unknown."""
        assert data.values is not None
        counts = atom_counts(data.features, rows)
        return cls(element_reference(data.values[rows], counts), np.asarray(counts.any(axis=0)))

    def __call__(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n,) → (n, T); NaN for an element that no training molecule has."""
        counts = atom_counts(features, rows)
        out = np.asarray(counts @ self.weights)
        out[(counts[:, ~self.elements] > 0).any(axis=1)] = np.nan
        return out

    def file(self) -> bytes:
        """What `offset_from` reads."""
        return pack({"weights": self.weights, "elements": self.elements})


@dataclass(frozen=True)
class Pieces:
    """Ridge regression of an extensive target on what the graph holds: atoms with their neighbours, bonds, rings."""

    bonds: np.ndarray  # (B,) kinds of `pieces.bond_kinds`, ascending
    around: np.ndarray  # (E,) kinds of `pieces.neighbourhood_kinds`, ascending
    rings: np.ndarray  # (R,) sizes of `pieces.ring_kinds`, ascending
    elements: np.ndarray  # (119,) whether a training molecule has the element; of others nothing is known
    weights: np.ndarray  # (119 + B + E + R, T)
    constant: np.ndarray  # (T,)

    @classmethod
    def fit(cls, data: Data, rows: np.ndarray) -> tuple[Self, np.ndarray]:
        """On the labels of `rows` (n,), and what each of them is missed by when it is left out, (n, T)."""
        assert data.values is not None
        graph = graph_of(data.features, rows)
        molecule, kinds, _ = pieces.neighbourhood_kinds(graph)
        names, place = np.unique(kinds, return_inverse=True)
        found = np.unique(place * len(rows) + molecule) // max(1, len(rows))  # each kind once a molecule
        around = names[np.bincount(found, minlength=len(names)) > 1]
        elements = np.asarray(atom_counts(data.features, rows).any(axis=0))
        bonds, rings = (np.unique(tally(graph)[1]) for tally in (pieces.bond_kinds, pieces.ring_kinds))
        empty = cls(bonds, around, rings, elements, *nothing(data))
        weights, constant, missed = fit_known(empty.table(data.features, rows), data.values[rows])
        return replace(empty, weights=weights, constant=constant), missed

    def fits(self, targets: int) -> bool:
        """Whether the arrays fit each other and a number of targets."""
        wide = ELEMENTS + len(self.bonds) + len(self.around) + len(self.rings)
        shapes = self.elements.shape, self.weights.shape, self.constant.shape
        return shapes == ((ELEMENTS,), (wide, targets), (targets,))

    def table(self, features: dict[str, Features], rows: np.ndarray) -> sparse.csr_array:
        """(n, 119 + B + E + R) counts."""
        graph = graph_of(features, rows)
        bonds = pieces.counted(*pieces.bond_kinds(graph), len(rows), self.bonds)
        around = pieces.counted(*pieces.neighbourhood_kinds(graph), len(rows), self.around)
        rings = pieces.counted(*pieces.ring_kinds(graph), len(rows), self.rings)
        return whole(atom_counts(features, rows), bonds, around, rings)

    def __call__(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n,) → (n, T); NaN for an element that no training molecule has."""
        out = np.asarray(self.table(features, rows) @ self.weights + self.constant)
        out[(atom_counts(features, rows)[:, ~self.elements] > 0).any(axis=1)] = np.nan
        return out

    @property
    def views(self) -> tuple[str, ...]:
        """What has to be there."""
        return ("graph",)

    def file(self) -> bytes:
        """What `offset_from` reads."""
        return pack({one.name: getattr(self, one.name) for one in fields(self)})


@dataclass(frozen=True)
class Histograms:
    """Ridge regression of an extensive target on the distances and angles of the first conformer (`histograms`).

    A molecule without geometry, or with a flat drawing for one, has what `pieces` says of it.
    """

    kinds: np.ndarray  # (k,) uint8 atomic numbers that occur in training, ascending
    columns: np.ndarray  # (D,) int64 columns of `histograms` that are not 0 for all training molecules
    weights: np.ndarray  # (119 + D, T)
    constant: np.ndarray  # (T,)
    pieces: Pieces

    @classmethod
    def fit(cls, data: Data, rows: np.ndarray) -> tuple[Self, np.ndarray]:
        """On the labels of `rows` (n,), and what each of them is missed by when it is left out, (n, T)."""
        assert data.values is not None
        other, missed = Pieces.fit(data, rows)
        there = data.features["conformer"].ok[rows] == 1
        features = conformers_of(data.features, rows[there])
        empty = cls(np.unique(features.numbers), np.zeros(0, np.int64), *nothing(data), other)
        table = empty.histograms(features)
        empty = replace(empty, columns=np.unique(table.indices).astype(np.int64))
        table = whole(atom_counts(data.features, rows[there]), table[:, empty.columns])
        weights, constant, missed[there] = fit_known(table, data.values[rows[there]])
        return replace(empty, weights=weights, constant=constant), missed

    def fits(self, targets: int) -> bool:
        """Whether the arrays fit each other and a number of targets."""
        shapes = self.weights.shape, self.constant.shape
        return shapes == ((ELEMENTS + len(self.columns), targets), (targets,)) and self.pieces.fits(targets)

    def histograms(self, features: ConformerFeatures) -> sparse.csr_array:
        """(n, every column) of the first conformers."""
        sizes = np.diff(features.atom_starts)
        atoms = np.repeat(features.place_starts[:-1] - features.atom_starts[:-1], sizes) + np.arange(sizes.sum())
        return histograms(
            features.atom_starts, features.numbers, features.positions[atoms].astype(np.float64), self.kinds
        )

    def __call__(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n,) → (n, T); NaN for an element that no training molecule has; by `pieces` for one without a geometry."""
        out = self.pieces(features, rows)
        strange = atom_counts(features, rows)[:, np.setdiff1d(np.arange(ELEMENTS), self.kinds)].any(axis=1)
        placed = without_drawings(features)["conformer"].ok[rows] == 1
        there = np.flatnonzero(placed & np.isfinite(out).all(axis=1) & ~strange)
        near = self.histograms(conformers_of(features, rows[there]))[:, self.columns]
        out[there] = whole(atom_counts(features, rows[there]), near) @ self.weights + self.constant
        return out

    @property
    def views(self) -> tuple[str, ...]:
        """What has to be there; a conformer may be missing."""
        return ("graph",)

    def file(self) -> bytes:
        """What `offset_from` reads."""
        own = {name: getattr(self, name) for name in ("kinds", "columns", "weights", "constant")}
        return pack(own | {f"pieces.{one.name}": getattr(self.pieces, one.name) for one in fields(Pieces)})


def graph_of(features: dict[str, Features], rows: np.ndarray) -> GraphFeatures:
    """The graphs of the molecules `rows`."""
    told = features["graph"]
    assert isinstance(told, GraphFeatures)
    return take(told, rows)


def conformers_of(features: dict[str, Features], rows: np.ndarray) -> ConformerFeatures:
    """The conformers of the molecules `rows`."""
    told = features["conformer"]
    assert isinstance(told, ConformerFeatures)
    return take(told, rows)


def whole(atoms: np.ndarray, *tables: sparse.csr_array) -> sparse.csr_array:
    """Atom counts (n, 119) beside tables (n, D), so large that no penalty holds them back."""
    return sparse.csr_array(sparse.hstack([sparse.csr_array(ATOMS * atoms), *tables]))


def nothing(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Weights (0, T) and constant (T,) of a fit that is not made yet."""
    assert data.values is not None
    return np.zeros((0, data.values.shape[1])), np.zeros(data.values.shape[1])


def fit_known(table: sparse.csr_array, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A fit for each target on the rows that have it: weights (D, T), constant (T,), missed (n, T) or NaN.

    table: (n, D) of `whole`. Least squares on the atoms first, so that a sum over them is recovered whatever else
    there is; then `fit_ridge` of the rest on all columns.
    """
    atoms = table[:, :ELEMENTS] / ATOMS
    sums = element_reference(values, atoms.toarray())
    rest = values - atoms @ sums
    weights, constant = np.zeros((table.shape[1], values.shape[1])), np.zeros(values.shape[1])
    missed = np.full(values.shape, np.nan)
    for target, column in enumerate(rest.T):
        known = np.isfinite(column)
        z = table[np.flatnonzero(known)]
        one = fit_ridge(z, column[known][:, None], np.asarray(z.mean(axis=0)))
        weights[:, target], constant[target] = one.weights[:, 0], one.constant[0]
        missed[known, target] = one.missed[:, 0]
    weights[:ELEMENTS] += sums / ATOMS
    return weights, constant, missed

"""The free baselines that every table carries: a matrix of plain numbers, and the linear head on it.

Each costs seconds. What does not beat them has learned nothing that a count does not tell. How the counts enter was
chosen by `linear` on the training and validation rows of splits whose seeds (100 to 109) are never reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tetramer.benchmark.cases import Case
from tetramer.datasets.signals import bag_of_characters
from tetramer.errors import UserError, pick
from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, atom_counts
from tetramer.members.linear import linear
from tetramer.members.references import ATOMS
from tetramer.members.ridge import Matrix
from tetramer.views import fingerprint, graph, pieces
from tetramer.views.histograms import histograms

__all__ = ["PLAIN", "VERSION", "Plain", "answer", "linear", "probe"]

VERSION = 1  # of `probe`, raised when it would answer something else
ANY = (REGRESSION, BINARY, MULTICLASS)


@dataclass(frozen=True)
class Plain:
    """A baseline; `about` is one line for a person.

    matrix: a case and the rows that are fitted on → (n, D) numbers of its n molecules
    """

    matrix: Callable[[Case, np.ndarray], Matrix]
    about: str
    scaled: bool = False  # columns are divided by their deviation among the fitted rows
    tasks: tuple[str, ...] = ANY
    geometry: bool = False  # whether it looks at case.geometry
    version: int = 1  # raised when it would answer something else

    def fits(self, case: Case) -> bool:
        """Whether there is an answer for such a case."""
        return case.assay.task in self.tasks and (case.geometry is not None or not self.geometry)


def answer(name: str, case: Case, fitted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(m, T, K) predictions for the rows `asked` (m,), learned from the labels of the rows `fitted` (n,) alone.

    NaN where the structure was refused, or where the baseline looks at a geometry and there is none. A bound (">5")
    stands for its label. UserError if the baseline does not fit the case.
    """
    plain = pick(PLAIN, name, "baseline")
    if case.assay.task not in plain.tasks:
        raise UserError(f"{name!r} is for {' and '.join(plain.tasks)}; {case.name} is {case.assay.task}. Leave it out.")
    if plain.geometry and case.geometry is None:
        raise UserError(
            f"{name!r} needs the columns atomic_numbers and coordinates; {case.name} has none. Leave it out."
        )
    there = case.reading.ok
    if plain.geometry and case.geometry is not None:
        there &= np.diff(case.geometry.starts) > 0
    return told(plain.matrix(case, fitted), case, fitted, asked, there, plain.scaled)


def probe(x: np.ndarray, case: Case, fitted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The same head on the vectors x (n, D) of a case, standardised: (m, T, K); NaN where a vector is not finite."""
    return told(x, case, fitted, asked, case.reading.ok & np.isfinite(x).all(axis=1), scaled=True)


def told(x: Matrix, case: Case, fitted: np.ndarray, asked: np.ndarray, there: np.ndarray, scaled: bool) -> np.ndarray:
    """`linear` on the rows that are `there` (n,) bool."""
    values, task = case.assay.labels.values, case.assay.task
    out = np.full((len(asked), values.shape[1], case.outputs), np.nan)
    good = there[asked]
    out[good] = linear(x, values, fitted[there[fitted]], asked[good], task, case.outputs, scaled)
    return out


def nothing(case: Case, fitted: np.ndarray) -> Matrix:
    """(n, 0)"""
    return np.zeros((len(case.reading), 0))


def atoms(case: Case, fitted: np.ndarray) -> Matrix:
    """(n, E) atoms of each element that occurs, hydrogens included."""
    counts = atom_counts(case.reading.features, np.arange(len(case.reading)))
    return counts[:, counts.any(axis=0)]


def parts(case: Case, fitted: np.ndarray) -> Matrix:
    """(n, D) atoms, bonds by both elements and type, neighbourhoods of radius 1, rings by size.

    A neighbourhood counts if two of the fitted molecules have it.
    """
    features = case.reading.features["graph"]
    assert isinstance(features, graph.GraphFeatures)
    found = [pieces.bonds(features), pieces.neighbourhoods(features, fitted), pieces.rings(features)]
    return sparse.csr_array(sparse.hstack([sparse.csr_array(ATOMS * atoms(case, fitted)), *found]))


def geometry(case: Case, fitted: np.ndarray) -> Matrix:
    """(n, D) atoms, distances by pair of elements, angles by triple, of the given geometry."""
    assert case.geometry is not None
    told = case.geometry
    weight = np.full(len(told.elements), ATOMS)
    counts = pieces.counted(pieces.owners(told.starts), told.elements, weight, len(told.starts) - 1)
    return sparse.csr_array(sparse.hstack([counts, histograms(told.starts, told.elements, told.positions)]))


def characters(texts: Sequence[str]) -> Matrix:
    """(n, C) counts of each character; those beyond ASCII count as one."""
    return bag_of_characters([text.encode("ascii", "replace").decode() for text in texts])


def substructures(case: Case, fitted: np.ndarray) -> Matrix:
    """(n, 2048) raw counts of the fingerprint view.

    On validation rows of ten random splits (seeds 100 to 109) their logarithm was worse for numbers (ESOL 0.89 against
    0.78, FreeSolv 1.36 against 1.27, Lipophilicity 0.746 against 0.743) and no better for the mean of BACE, BBBP and
    ClinTox by more than 0.005; standardised columns were worse everywhere.
    """
    features = case.reading.features["fingerprint"]
    assert isinstance(features, fingerprint.FingerprintFeatures)
    told = (features.counts.astype(np.float64), features.bits.astype(np.int64), np.asarray(features.bit_starts))
    return sparse.csr_array(told, shape=(len(features), fingerprint.BITS))


PLAIN: dict[str, Plain] = {
    "mean": Plain(nothing, "mean of the training labels, or shares of the classes"),
    "atom-counts": Plain(atoms, "ridge or logistic regression on atoms by element, hydrogens included", scaled=True),
    "energy-2d": Plain(
        parts,
        "ridge regression on bonds, atoms with their neighbours, and rings by size",
        tasks=(REGRESSION,),
        version=2,
    ),
    "energy-3d": Plain(
        geometry,
        "ridge regression on histograms of distances and angles of the given geometry",
        tasks=(REGRESSION,),
        geometry=True,
    ),
    "characters-given": Plain(
        lambda case, fitted: characters(case.assay.texts),
        "linear on the characters of the SMILES as given",
        scaled=True,
    ),
    "characters-canonical": Plain(
        lambda case, fitted: characters(case.reading.smiles),
        "linear on the characters of the canonical SMILES",
        scaled=True,
    ),
    "ecfp-linear": Plain(substructures, "ridge or logistic regression on raw counts of ECFP4 substructures"),
}

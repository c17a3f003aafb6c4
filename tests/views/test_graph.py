"""The graph view: what a chemist would write down by hand, and the promises of its layout."""

import numpy as np
import pytest

from tetramer.molecules import Molecule, parse
from tetramer.views import graph
from tetramer.views.graph import ATOM, BOND, GraphFeatures


def made(*texts: str) -> GraphFeatures:
    told = [parse(text) for text in texts]
    return graph.featurize([one if isinstance(one, Molecule) else None for one in told])


def column(text: str, name: str) -> list[int]:
    """One column of the atoms of a molecule, or of the bonds (one direction each)."""
    features = made(text)
    if name in ATOM:
        return features.atoms[:, list(ATOM).index(name)].tolist()
    return features.bonds[::2, list(BOND).index(name.removeprefix("bond "))].tolist()


def test_ethanol_by_hand() -> None:
    features = made("OCC")  # canonical: CCO
    #  element degree charge+4 hydrogens sp3 aromatic ring radicals isotope chirality
    assert features.atoms.tolist() == [
        [6, 4, 4, 3, 4, 0, 0, 0, 0, 0],
        [6, 4, 4, 2, 4, 0, 0, 0, 0, 0],
        [8, 2, 4, 1, 4, 0, 0, 0, 0, 0],
    ]
    assert features.source.tolist() == [0, 1, 1, 2]
    assert features.target.tolist() == [1, 0, 2, 1]
    assert features.bonds.tolist() == [[0, 0, 0, 0]] * 4
    assert features.atom_starts.tolist() == [0, 3]
    assert features.edge_starts.tolist() == [0, 4]
    assert [getattr(features, name).dtype.name for name in features.COLUMNS] == [
        "uint8",
        "uint8",
        "int16",
        "int16",
        "uint8",
        "int16",
    ]
    assert features.roles.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "text, name, expected",
    [
        ("CC(=O)[O-]", "charge", [4, 4, 4, 3]),
        ("C[N+](C)(C)C", "charge", [4, 5, 4, 4, 4]),
        ("[Fe+3]", "charge", [7]),
        ("[U+6]", "charge", [8]),  # clamped to the last category
        ("[13CH3]C", "isotope", [0, 1]),
        ("[2H]O", "isotope", [1, 0]),
        ("[2H]O", "degree", [1, 2]),
        ("[CH3]", "radicals", [1]),
        ("[O][O]", "radicals", [1, 1]),
        ("C[C@H](N)O", "chirality", [0, 1, 0, 0]),
        ("C[C@@H](N)O", "chirality", [0, 2, 0, 0]),
        ("CC(N)O", "chirality", [0, 0, 0, 0]),
        ("C[S@](=O)CC", "chirality", [0, 0, 1, 0, 0]),
        ("C#CC=O", "hybridisation", [2, 2, 3, 3]),
        ("S(F)(F)(F)(F)(F)F", "hybridisation", [4, 7, 4, 4, 4, 4, 4]),
        ("*C", "element", [0, 6]),
        ("c1ccoc1", "aromatic", [1, 1, 1, 1, 1]),
        ("C1CC1C1CCC1", "ring", [2, 2, 2, 1, 1, 1, 2]),
        ("C1CC2CCC1CC2", "ring", [4] * 8),
        ("C1CCCCCCCCCCC1", "ring", [8] * 12),
        ("CC", "ring", [0, 0]),
        ("C=CC#N", "bond type", [1, 0, 2]),
        ("c1ccccc1", "bond type", [3] * 6),
        ("[NH3]->[Fe]", "bond type", [4]),
        ("C~C", "bond type", [6]),
        ("C$C", "bond type", [5]),
        ("F/C=C/F", "bond stereo", [0, 2, 0]),
        ("F/C=C\\F", "bond stereo", [0, 1, 0]),
        ("FC=CF", "bond stereo", [0, 0, 0]),
        ("C=CC=C", "bond conjugated", [1, 1, 1]),
        ("C=CCC=C", "bond conjugated", [0, 0, 0, 0]),
        ("CC1CC1", "bond ring", [0, 1, 1, 1]),
    ],
)
def test_exact_columns(text: str, name: str, expected: list[int]) -> None:
    assert column(text, name) == expected


def test_every_value_lies_in_its_table() -> None:
    texts = ["[U+6]", "[Fr-5]", "S(F)(F)(F)(F)(F)F", "[CH]", "C" * 300, "C1" + "C" * 30 + "1", "[He]", "[Og]"]
    features = made(*texts, "[NH3]->[Pt](Cl)(Cl)<-[NH3]", "C~C", "F/C=C/F")
    assert (features.atoms < np.array(list(ATOM.values()))).all()
    assert (features.bonds < np.array(list(BOND.values()))).all()


def test_edges_come_in_pairs_sorted_by_their_atoms() -> None:
    features = made("c1ccc2c(c1)ccc1ccccc12")
    low, high = features.source[::2], features.target[::2]
    assert (low < high).all()
    assert (np.diff(low.astype(int) * 1000 + high) > 0).all()
    edge = np.arange(len(features.source))
    assert (features.source[edge ^ 1] == features.target).all()
    assert (features.bonds[edge ^ 1] == features.bonds).all()


def test_a_batch_counts_atoms_from_its_own_first() -> None:
    batch = graph.collate(made("CO", "no molecule", "N", "CCl"), np.array([3, 1, 0]))
    assert batch.size == 3
    assert batch.atoms[:, 0].tolist() == [6, 17, 6, 8]
    assert batch.edges.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2]]
    assert batch.owner.tolist() == [0, 0, 2, 2]
    assert {array.dtype.name for array in (batch.atoms, batch.edges, batch.bonds, batch.owner)} == {"int64"}


def test_atoms_are_counted_with_hydrogens() -> None:
    counts = graph.atom_counts(made("CCO", "bad", "[2H]O", "[Na+].[Cl-]"), np.array([0, 1, 2, 3, 0]))
    assert counts.shape == (5, 119)
    told = [{z: int(n) for z, n in enumerate(row) if n} for row in counts]
    assert told == [{1: 6, 6: 2, 8: 1}, {}, {1: 2, 8: 1}, {11: 1, 17: 1}, {1: 6, 6: 2, 8: 1}]


def test_the_vocabulary_gives_each_known_element_a_class() -> None:
    assert graph.VOCABULARY[[0, 1, 6, 36, 37, 53, 92]].tolist() == [0, 1, 6, 36, 0, 47, 0]
    assert sorted(graph.VOCABULARY[list(graph.KNOWN)].tolist()) == list(range(1, len(graph.KNOWN) + 1))

"""Statistics of the training labels; which targets are sums over atoms."""

import csv
import gzip
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tetramer.members.references import BY_ATOMS, extensive
from tetramer.molecules import Molecule, parse
from tetramer.objectives.statistics import class_weights, element_reference, explained_by_atoms, moments
from tetramer.training import Data
from tetramer.views import graph


def formulas(rng: np.random.Generator, count: int) -> np.ndarray:
    elements = np.zeros((count, 119))
    elements[:, [1, 6, 7, 8]] = rng.integers(1, 20, size=(count, 4))
    return elements


def by_atoms(values: np.ndarray, elements: np.ndarray) -> tuple[bool, ...]:
    """Whether each target is a sum over atoms."""
    return tuple((explained_by_atoms(values.reshape(len(values), -1), elements) > BY_ATOMS).tolist())


def test_moments_pass_over_missing_values() -> None:
    mean, std = moments(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 5.0]]), np.array([1.0, 1.0, 2.0]))
    assert (mean.tolist(), std.tolist()) == ([2.0, 5.0], [1.0, 1.0])


def test_element_reference_finds_the_atoms() -> None:
    rng = np.random.Generator(np.random.Philox(0))
    elements = formulas(rng, 40)
    truth = np.zeros((119, 2))
    truth[[1, 6, 7, 8]] = [[-0.5, 1], [-38, 2], [-54.5, 3], [-75, 4]]
    values = elements @ truth
    values[3, 0] = np.nan
    np.testing.assert_allclose(element_reference(values, elements), truth, atol=1e-4)


def test_elements_that_always_come_together_share_the_value() -> None:
    elements = np.zeros((9, 119))
    elements[:, 3] = elements[:, 9] = np.arange(1, 10)
    reference = element_reference(6.0 * elements[:, [3]], elements)
    np.testing.assert_allclose(reference[[3, 9], 0], [3.0, 3.0], rtol=1e-6)


def test_a_target_without_labels_has_no_reference() -> None:
    assert not element_reference(np.full((3, 1), np.nan), np.ones((3, 119))).any()


def test_class_weights_pass_over_missing_labels() -> None:
    values = np.array([[0.0], [0.0], [0.0], [1.0], [np.nan]])
    assert class_weights(values, np.ones(5), 2, balance=True).tolist() == [pytest.approx([2 / 3, 2.0])]
    assert class_weights(values, np.ones(5), 2, balance=False).tolist() == [[1.0, 1.0]]


def test_a_target_may_have_fewer_classes_than_another() -> None:
    values = np.array([[0.0, 0.0, np.nan], [2.0, 1.0, np.nan], [2.0, 0.0, 0.0]])
    assert class_weights(values, np.ones(3), 4, balance=False).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    balanced = class_weights(values, np.ones(3), 4, balance=True)
    assert balanced.tolist() == [[1.5, 1, 0.75, 0], [0.75, 1.5, 0, 0], [1, 1, 0, 0]]


def test_a_sum_over_atoms_is_extensive_and_its_mean_is_not() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    elements = formulas(rng, 200)
    energy = elements @ np.linspace(-50, 10, 119) + rng.normal(size=200)
    assert by_atoms(energy, elements) == (True,)
    assert by_atoms(energy / elements.sum(1), elements) == (False,)
    assert by_atoms(np.stack([energy, rng.normal(size=200)], 1), elements) == (True, False)
    energy[rng.random(200) < 0.5] = np.nan
    assert by_atoms(energy, elements) == (True,)


def test_most_of_a_target_is_not_enough() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    elements = formulas(rng, 400)
    energy = elements @ np.linspace(-50, 10, 119)
    noise = rng.normal(size=400) * energy.std()
    assert by_atoms(energy + 0.15 * noise, elements) == (True,)  # R² 0.98
    assert by_atoms(energy + 0.4 * noise, elements) == (False,)  # R² 0.86


def test_held_out_rows_are_held_out() -> None:
    """As many elements as molecules: a fit that sees all rows explains pure noise."""
    rng = np.random.Generator(np.random.Philox(4))
    elements = rng.integers(0, 5, size=(60, 119))
    noise = rng.normal(size=60)
    np.testing.assert_allclose(elements @ element_reference(noise[:, None], elements)[:, 0], noise, atol=1e-3)
    assert by_atoms(noise, elements) == (False,)


def test_few_labels_or_no_spread_are_never_extensive() -> None:
    elements = formulas(np.random.Generator(np.random.Philox(2)), 60)
    energy = elements.sum(1)
    assert by_atoms(energy, elements) == (True,)
    assert by_atoms(energy[:49], elements[:49]) == (False,)
    assert by_atoms(np.ones(60), elements) == (False,)


def test_an_element_that_one_molecule_has_does_not_decide() -> None:
    """Held out, its molecule is off by the whole energy of that atom."""
    elements = formulas(np.random.Generator(np.random.Philox(5)), 100)
    elements[7, 35] = 1
    energy = elements @ np.linspace(-500, 10, 119) - 70_000 * elements[:, 35]
    assert by_atoms(energy, elements) == (True,)
    assert element_reference(energy[:, None], elements)[35, 0] == pytest.approx(-70_000 - 348.73, rel=1e-6)


def test_a_share_of_wrong_labels_does_not_decide() -> None:
    rng = np.random.Generator(np.random.Philox(6))
    elements = formulas(rng, 300)
    energy = elements @ np.linspace(-50, 10, 119)
    energy[::7] = rng.permutation(energy[::7])
    assert by_atoms(energy, elements) == (True,)


@pytest.mark.parametrize(
    "file, target, expected",
    [
        ("delaney-processed.csv", "measured log solubility in mols per litre", False),
        ("Lipophilicity.csv", "exp", False),
        ("SAMPL.csv", "expt", False),
        ("qm7.csv", "u0_atom", True),
        ("qm9_partial.csv.gz", "u0", True),
        ("qm9_partial.csv.gz", "g298_atom", True),
        ("qm9_partial.csv.gz", "alpha", True),
        ("qm9_partial.csv.gz", "cv", True),
        ("qm9_partial.csv.gz", "lumo", False),
        ("qm9_partial.csv.gz", "gap", False),
    ],
)
def test_public_targets(data_dir: Path, file: str, target: str, expected: bool) -> None:
    path = data_dir / "moleculenet" / file
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        rows = [row for row in islice(csv.DictReader(lines), 1500) if row[target]]
    molecules = [parse(row["smiles"].strip()) for row in rows]
    kept = [(m, float(row[target])) for m, row in zip(molecules, rows, strict=True) if isinstance(m, Molecule)]
    features = graph.featurize([molecule for molecule, _ in kept])
    data = Data({"graph": features}, np.array([[value] for _, value in kept]))
    assert extensive(data, np.arange(len(kept))) == (expected,)

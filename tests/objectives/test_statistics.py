"""Statistics of the training labels; which targets are sums over atoms."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tetramer.molecules import Molecule, parse
from tetramer.objectives.statistics import class_weights, element_reference, is_extensive, moments
from tetramer.views import fingerprint


def formulas(rng: np.random.Generator, count: int) -> np.ndarray:
    elements = np.zeros((count, 119))
    elements[:, [1, 6, 7, 8]] = rng.integers(1, 20, size=(count, 4))
    return elements


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
    assert class_weights(values, np.ones(5), 3).tolist() == [pytest.approx([2 / 3, 2.0, 1.0])]


def test_a_sum_over_atoms_is_extensive_and_its_mean_is_not() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    elements = formulas(rng, 200)
    energy = elements @ np.linspace(-50, 10, 119) + rng.normal(size=200)
    assert is_extensive(energy, elements)
    assert not is_extensive(energy / elements.sum(1), elements)
    assert not is_extensive(np.stack([energy, rng.normal(size=200)], 1), elements)
    energy[rng.random(200) < 0.5] = np.nan
    assert is_extensive(energy, elements)


def test_most_of_a_target_is_not_enough() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    elements = formulas(rng, 400)
    energy = elements @ np.linspace(-50, 10, 119)
    noise = rng.normal(size=400) * energy.std()
    assert is_extensive(energy + 0.15 * noise, elements)  # R² 0.98
    assert not is_extensive(energy + 0.35 * noise, elements)  # R² 0.89


def test_held_out_rows_are_held_out() -> None:
    """As many elements as molecules: a fit that sees all rows explains pure noise."""
    rng = np.random.Generator(np.random.Philox(4))
    elements = rng.integers(0, 5, size=(60, 119))
    noise = rng.normal(size=60)
    np.testing.assert_allclose(elements @ element_reference(noise[:, None], elements)[:, 0], noise, atol=1e-3)
    assert not is_extensive(noise, elements)


def test_few_labels_or_no_spread_are_never_extensive() -> None:
    elements = formulas(np.random.Generator(np.random.Philox(2)), 60)
    energy = elements.sum(1)
    assert is_extensive(energy, elements)
    assert not is_extensive(energy[:49], elements[:49])
    assert not is_extensive(np.ones(60), elements)


@pytest.mark.parametrize(
    "file, smiles, target, expected",
    [
        ("delaney-processed.csv", "smiles", "measured log solubility in mols per litre", False),
        ("Lipophilicity.csv", "smiles", "exp", False),
        ("SAMPL.csv", "smiles", "expt", False),
        ("qm7.csv", "smiles", "u0_atom", True),
    ],
)
def test_public_targets(data_dir: Path, file: str, smiles: str, target: str, expected: bool) -> None:
    with (data_dir / "moleculenet" / file).open() as lines:
        rows = list(csv.DictReader(lines))[:1000]
    molecules = [parse(row[smiles]) for row in rows]
    kept = [(m, float(row[target])) for m, row in zip(molecules, rows, strict=True) if isinstance(m, Molecule)]
    elements = fingerprint.featurize([m for m, _ in kept]).elements
    assert is_extensive(np.array([value for _, value in kept]), elements) is expected

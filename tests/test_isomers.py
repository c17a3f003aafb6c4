"""Two isomers of the same parts: a sum over atoms is at chance, and a vector that knows the order is right."""

import numpy as np
import pytest

from tetramer.isomers import FOLDS, QUESTIONS, RINGS, accuracy, amides, closures
from tetramer.molecules import Molecule, parse
from tetramer.molecules.motifs import partition


def read(text: str) -> Molecule:
    told = parse(text)
    assert isinstance(told, Molecule), text
    return told


def formula(molecule: Molecule) -> list[tuple[int, int]]:
    return sorted((atom.GetAtomicNum(), atom.GetTotalNumHs()) for atom in molecule.mol.GetAtoms())


def total(molecule: Molecule) -> tuple[list[int], int]:
    atoms = formula(molecule)
    return sorted(number for number, _ in atoms), sum(hydrogens for _, hydrogens in atoms)


def test_amides_have_the_same_motifs_and_are_different() -> None:
    pairs = amides()
    assert len(pairs) == len(RINGS) * (len(RINGS) - 1) // 2
    for texts in pairs:
        one, two = map(read, texts)
        assert one.smiles != two.smiles
        assert formula(one) == formula(two)
        assert sorted(partition(one).tokens) == sorted(partition(two).tokens)


def test_rings_are_closed_at_another_atom_and_the_formula_is_the_same() -> None:
    for texts in closures():
        one, two = map(read, texts)
        assert total(one) == total(two)
        assert sorted(partition(one).tokens) != sorted(partition(two).tokens)


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_pair_is_on_both_sides(name: str) -> None:
    question = QUESTIONS[name]
    count = len(question.smiles)
    tested = np.concatenate([split.test for split in question.splits])
    assert len(question.splits) == FOLDS
    assert sorted(tested.tolist()) == list(range(count))
    for split in question.splits:
        assert not set((split.train // 2).tolist()) & set((split.test // 2).tolist())
        assert len(split.train) + len(split.test) == count


def test_a_vector_that_is_the_same_for_both_is_at_chance_exactly() -> None:
    question = QUESTIONS["amide"]
    pairs = len(question.smiles) // 2
    same = np.repeat(np.random.default_rng(0).normal(size=(pairs, 8)), 2, axis=0)
    assert set(question.right(same).tolist()) == {0.5}
    assert accuracy(question.right(same)) == (0.5, 0.5, 0.5)


def test_an_order_that_is_learned_from_some_pairs_is_known_of_others() -> None:
    """The vector tells which ring bears the carbonyl and which the nitrogen; nothing tells of pairs."""
    question = QUESTIONS["amide"]
    rows = [(a, b) for a in range(len(RINGS)) for b in range(a + 1, len(RINGS))]
    x = np.zeros((2 * len(rows), 2 * len(RINGS)))
    for row, (a, b) in enumerate(rows):
        x[2 * row, [a, len(RINGS) + b]] = 1
        x[2 * row + 1, [b, len(RINGS) + a]] = 1
    assert accuracy(question.right(x))[0] > 0.95
    noise = np.random.default_rng(0).normal(size=x.shape)
    assert abs(accuracy(question.right(noise))[0] - 0.5) < 0.1


def test_the_interval_by_hand() -> None:
    told = accuracy(np.array([1.0, 1.0, 0.5, 0.5]))
    assert told[0] == 0.75
    assert told[0] - told[1] == pytest.approx(1.96 * (1 / 12) ** 0.5 / 2)
    assert told[2] == 1  # and no more

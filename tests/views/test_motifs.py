"""Motifs as columns: the atoms are those of `graph`, and units of a batch are those of each molecule alone."""

import random

import numpy as np
import pytest

from tetramer.molecules import Limits, Molecule, parse
from tetramer.molecules.motifs import partition
from tetramer.molecules.vocabulary import Vocabulary, learn
from tetramer.views import Reader, graph, read
from tetramer.views.base import from_bytes, take, to_bytes
from tetramer.views.motifs import MotifFeatures, MotifSettings, collate, encode, kinds

HERE = Limits(0)
TEXTS = ["CC(=O)Oc1ccccc1C(=O)O", "C1CC", "[Na+].[Cl-]", "CCO", "*CC", "C" * 300, "c1ccccc1-c1ccncc1"]


@pytest.fixture(scope="module")
def made() -> MotifFeatures:
    told = read(TEXTS, ["motifs", "graph"], limits=HERE)
    features = told.features["motifs"]
    assert isinstance(features, MotifFeatures)
    assert isinstance(told.features["graph"], graph.GraphFeatures)
    assert np.array_equal(features.atom_starts, told.features["graph"].atom_starts)
    assert np.array_equal(features.elements, told.features["graph"].atoms[:, 0])
    return features


def test_rows_are_the_partitions(made: MotifFeatures) -> None:
    assert made.ok.tolist() == [1, 0, 1, 1, 1, 1, 1]
    for row, text in enumerate(TEXTS):
        molecule, atoms = parse(text), slice(*made.atom_starts[row : row + 2])
        cuts = slice(*made.cut_starts[row : row + 2])
        own, pieces = kinds(made, row)
        if not isinstance(molecule, Molecule):
            assert (own, pieces, made.motif[atoms].size) == ([], [], 0)
            continue
        told = partition(molecule)
        assert [kind.token for kind in own] == list(told.tokens)
        assert [sorted(kind.pieces) for kind in own] == [sorted(kind.pieces) for kind in told.kinds]
        assert made.motif[atoms].tolist() == told.motif.tolist()
        assert made.piece[atoms].tolist() == told.pieces[0].tolist()
        assert pieces == [piece for _, piece in told.pieces[1]]
        assert np.stack([made.first[cuts], made.second[cuts]], 1).tolist() == told.cuts.tolist()


def test_columns_survive_the_way_through_arrow(made: MotifFeatures) -> None:
    again = from_bytes(MotifFeatures, to_bytes(made))
    for name in MotifFeatures.__dataclass_fields__:
        assert np.array_equal(getattr(made, name), getattr(again, name)), name


def test_units_without_a_vocabulary_are_motifs(made: MotifFeatures) -> None:
    batch = collate(encode(made), np.array([2, 1, 0]))
    assert batch.ok.tolist() == [True, False, True]
    assert batch.unit.tolist() == [0, 1, 2, 2, 2, 3, 4, 4, 4, 4, 4, 4, 5, 5, 5]
    assert batch.owner.tolist() == [0, 0, 2, 2, 2, 2]
    tokens = [kind.token for row in (2, 1, 0) for kind in kinds(made, row)[0]]
    numbers = batch.numbers.tolist()
    assert len(set(zip(tokens, numbers, strict=True))) == len(set(tokens)) == len(set(numbers))
    assert min(numbers) >= 0
    assert batch.cuts.tolist() == [[3, 5, 11], [5, 6, 12]]
    assert batch.bonds.tolist() == [1, 1, 1]


def test_units_of_a_vocabulary_are_those_of_each_molecule_alone(made: MotifFeatures) -> None:
    vocabulary = learn([kinds(made, row)[0] for row in (0, 6)], least=1)
    units = encode(made, vocabulary)
    for row in np.flatnonzero(made.ok).tolist():
        molecule = parse(TEXTS[row])
        assert isinstance(molecule, Molecule)
        elements = np.array([atom.GetAtomicNum() for atom in molecule.mol.GetAtoms()])
        unit, numbers = vocabulary.encode(partition(molecule), elements)
        alone = collate(units, np.array([row]))
        assert alone.unit.tolist() == unit.tolist()
        assert alone.numbers.tolist() == numbers.tolist()
    rows = list(range(len(TEXTS)))
    random.Random(0).shuffle(rows)
    batch = collate(units, np.array(rows))
    assert batch.numbers.tolist() == [one for row in rows for one in collate(units, np.array([row])).numbers]
    assert np.array_equal(batch.unit, collate(take(units, np.array(rows)), np.arange(len(rows))).unit)
    assert encode(made, Vocabulary()).numbers.min() >= 1


def test_merges_come_by_the_settings() -> None:
    settings = MotifSettings(("*NC(C)=O",))
    told = []
    for workers in (0, 1):
        with Reader(limits=Limits(workers), settings={"motifs": settings}) as reader:
            features = reader.read(["CC(=O)Nc1ccccc1", "CCO"], ["motifs"]).features["motifs"]
        assert isinstance(features, MotifFeatures)
        told.append([[kind.token for kind in kinds(features, row)[0]] for row in range(2)])
    assert told == [[["*NC(C)=O", "*c1ccccc1"], ["CCO"]]] * 2


def test_no_molecules() -> None:
    assert len(read([], ["motifs"], limits=HERE).features["motifs"]) == 0

"""Unions of neighbouring motifs: the frequent ones are found, and no order matters."""

import random

import pytest
from rdkit import Chem

from tetramer.molecules import Molecule, parse
from tetramer.molecules.merging import learn_merges, merged, size
from tetramer.molecules.motifs import partition


def read(smiles: str) -> Molecule:
    molecule = parse(smiles)
    assert isinstance(molecule, Molecule)
    return molecule


@pytest.fixture(scope="module")
def molecules() -> list[Molecule]:
    groups = ("C(=O)NC", "OCC", "C(=O)O", "S(=O)(=O)N", "CN(C)C", "C1CC1")
    return [read(f"Cc1ccc(cc1){one}{two}") for one in groups[:1] + groups[4:5] for two in ("C", "c1ccccc1", "CCO")] + [
        read(f"c1ccc(cc1){group}") for group in groups
    ]


def test_the_most_frequent_union_comes_first() -> None:
    some = [read(text) for text in ("CC(=O)Nc1ccccc1", "CC(=O)NC1CC1", "CC(=O)NC1CCC1", "Oc1ccccc1")]
    assert learn_merges(some, 1) == ["*NC(C)=O"]
    assert merged(some[0], ["*NC(C)=O"]).tokens == ("*NC(C)=O", "*c1ccccc1")
    assert merged(some[3], ["*NC(C)=O"]).tokens == partition(some[3]).tokens


def test_of_overlapping_unions_the_first_in_rank_is_made() -> None:
    three = read("c1ccc(cc1)-c1ccc(cc1)-c1ccccc1")
    assert merged(three, ["*c1ccc(-c2ccccc2)cc1"]).tokens == ("*c1ccc(-c2ccccc2)cc1", "*c1ccccc1")


def test_merges_end() -> None:
    some = [read("CC(=O)Nc1ccccc1")] * 2
    told = learn_merges(some, 99)
    assert told == ["*NC(C)=O", "CC(=O)Nc1ccccc1"]  # of two cuts, the union with fewer atoms first
    assert merged(some[0], told).tokens == ("CC(=O)Nc1ccccc1",)
    assert learn_merges([], 5) == [] == learn_merges(some, 0)


def test_the_order_of_molecules_and_atoms_does_not_matter(molecules: list[Molecule]) -> None:
    told = learn_merges(molecules, 6)
    assert len(told) == 6
    assert learn_merges(molecules[::-1], 6) == told
    rng = random.Random(0)
    for molecule in molecules:
        order = list(range(molecule.mol.GetNumAtoms()))
        rng.shuffle(order)
        other = read(Chem.MolToSmiles(Chem.RenumberAtoms(molecule.mol, order), canonical=False))
        first, second = merged(molecule, told), merged(other, told)
        assert first.tokens == second.tokens
        assert first.motif.tolist() == second.motif.tolist()


def test_merged_partitions_are_coarser(molecules: list[Molecule]) -> None:
    told = learn_merges(molecules, 6)
    for molecule in molecules:
        fine, coarse = partition(molecule), merged(molecule, told)
        assert {tuple(cut) for cut in coarse.cuts.tolist()} <= {tuple(cut) for cut in fine.cuts.tolist()}
        assert len(coarse.kinds) == 1 + len(coarse.cuts)
    assert sum(len(merged(one, told).kinds) for one in molecules) < sum(len(partition(one).kinds) for one in molecules)


def test_size_is_without_dummies() -> None:
    assert [size(token) for token in ("*C", "*c1ccccc1", "[Na+]")] == [1, 6, 1]

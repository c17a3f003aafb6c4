"""Decoys are isomers of the same motifs, valid, different, and the same every time."""

import csv
from pathlib import Path

import numpy as np
import pytest
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tetramer.molecules import Limits, Molecule, parse
from tetramer.molecules.decoys import decoys, decoys_of, exchanged, isomeric, moved, swapped
from tetramer.molecules.motifs import partition


def read(smiles: str) -> Molecule:
    molecule = parse(smiles)
    assert isinstance(molecule, Molecule)
    return molecule


def made(smiles: str, count: int = 100) -> set[str]:
    return set(decoys(read(smiles), count, np.random.Generator(np.random.Philox(0))))


def test_all_ways_of_small_molecules() -> None:
    assert made("Oc1ccccc1C") == {"Cc1ccc(O)cc1", "Cc1cccc(O)c1"}
    assert made("O=C(Nc1ccccc1)C1CC1") >= {"O=C(NC1CC1)c1ccccc1"}
    assert made("c1ccccc1") == made("CCCC") == made("[Na+].[Cl-]") == set()
    assert "Cn1ccnc1C1CC1" in made("Cc1c[nH]c(C2CC2)n1")  # a hydrogen that is written moves too


def test_exchanged_motifs_stand_in_each_others_place() -> None:
    molecule = read("O=C(Nc1ccccc1)C1CC1")
    (change,) = exchanged(molecule)
    away, new = change
    assert sorted(place for pair in away for place in pair) == sorted(place for pair in new for place in pair)
    assert all(len(away) == len(new) == 1 for away, new in moved(molecule))


def test_decoys_of_drugs_are_isomers(data_dir: Path) -> None:
    with (data_dir / "moleculenet" / "Lipophilicity.csv").open() as lines:
        some = [read(row["smiles"]) for row in csv.DictReader(lines)][::40]
    counts = []
    for molecule in some:
        told = decoys(molecule, 3, np.random.Generator(np.random.Philox(1)))
        counts.append(len(told))
        assert len({*told, molecule.smiles}) == len(told) + 1
        assert {CalcMolFormula(read(text).mol) for text in told} <= {CalcMolFormula(molecule.mol)}
        assert all(read(text).smiles == text for text in told)
        assert told == decoys(molecule, 3, np.random.Generator(np.random.Philox(1)))
    assert np.mean(counts) > 2.8


def test_a_motif_is_swapped_for_its_isomer() -> None:
    corpus = ["CCCc1ccccc1", "CC(C)c1ccccc1", "c1cc(C)ncc1C", "c1cnc(C)cn1", "CCc1ncccc1C", "CCO", "[O-]C(=O)c1ccccc1"]
    isomers = isomeric(token for text in corpus for token in partition(read(text)).tokens)
    assert isomers["*CCC"] == ["*C(C)C"]
    assert isomers["*C(C)C"] == ["*CCC"]
    assert set(isomers["*c1ccc(*)nc1"]) == {"*c1cccnc1*"}
    assert {"*C", "CCO", "*c1ccccc1", "*C(=O)[O-]"}.isdisjoint(isomers)  # nothing else is of their formula

    def made(smiles: str, count: int = 9) -> set[str]:
        return set(swapped(read(smiles), count, np.random.Generator(np.random.Philox(0)), isomers))

    assert made("CCCC1CCCC1") == {"CC(C)C1CCCC1"}
    assert made("CCCc1ccc(C)nc1") == {"Cc1ccc(C(C)C)cn1", "CCCc1ncccc1C", "CCCc1cccnc1C"}  # an end at either place
    assert len(made("CCCc1ccc(C)nc1", 1)) == 1
    assert made("CCO") == made("c1ccccc1C") == set()
    assert decoys_of(["CCCC1CCCC1", "C(C"], 0, Limits(0), swaps=2, isomers=isomers) == [["CC(C)C1CCCC1"], []]
    both = decoys_of(["CCCc1ccc(C)nc1"], 2, Limits(0), swaps=2, isomers=isomers)[0]
    assert both[:2] == decoys_of(["CCCc1ccc(C)nc1"], 2, Limits(0))[0]
    assert set(both[2:]) < made("CCCc1ccc(C)nc1")


def test_swaps_of_drugs_are_isomers(data_dir: Path) -> None:
    with (data_dir / "moleculenet" / "Lipophilicity.csv").open() as lines:
        some = [read(row["smiles"]) for row in csv.DictReader(lines)][::20]
    isomers, counts = isomeric(token for one in some for token in partition(one).tokens), []
    for molecule in some[::2]:
        told = swapped(molecule, 2, np.random.Generator(np.random.Philox(1)), isomers)
        counts.append(len(told))
        assert len({*told, molecule.smiles}) == len(told) + 1
        assert {CalcMolFormula(read(text).mol) for text in told} <= {CalcMolFormula(molecule.mol)}
        assert all(read(text).smiles == text for text in told)
    assert np.mean(counts) > 1.5


def test_workers_make_what_this_process_makes(data_dir: Path) -> None:
    """Also of a text that cannot be read; which decoys a molecule has does not depend on what stands beside it."""
    with (data_dir / "moleculenet" / "Lipophilicity.csv").open() as lines:
        some = [read(row["smiles"]).smiles for row in csv.DictReader(lines)][::100]
    some.insert(3, "C(C")
    done: list[int] = []
    here = decoys_of(some, 2, Limits(0))
    assert decoys_of(some, 2, Limits(1), done.append) == here
    assert (done == sorted(done), done[-1], len(done) > 3) == (True, len(some), True)
    assert here[3] == []
    assert decoys_of(some[5:6], 2, Limits(0)) == here[5:6]
    assert sum(map(len, here)) > 1.5 * len(some)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_no_more_than_asked(count: int) -> None:
    assert len(made("CC(=O)Nc1ccc(OCc2ccccc2)cc1", count)) == count

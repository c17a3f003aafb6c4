"""Vocabularies of motifs: the tail, the unknown, and files that cannot be mixed up."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.errors import UserError
from tetramer.molecules import Molecule, parse
from tetramer.molecules.motifs import Kind, partition
from tetramer.molecules.vocabulary import ATOM, FIRST, UNKNOWN, Coverage, Vocabulary, learn

TRAIN = ["Cc1ccccc1", "CCc1ccccc1", "CC(=O)Nc1ccccc1", "CC(=O)N1CCCCC1", "CNC(C)=O"]


def rows(texts: Sequence[str]) -> list[tuple[Kind, ...]]:
    return [partition(told).kinds for text in texts if isinstance(told := parse(text), Molecule)]


def numbered(vocabulary: Vocabulary, smiles: str) -> tuple[list[int], list[str]]:
    """Unit of each atom, and what each unit is called."""
    molecule = parse(smiles)
    assert isinstance(molecule, Molecule)
    elements = np.array([atom.GetAtomicNum() for atom in molecule.mol.GetAtoms()])
    unit, number = vocabulary.encode(partition(molecule), elements)
    names = ["pad", "unknown", *(f"atom:{z}" for z in range(119)), *vocabulary.motifs, *vocabulary.rings]
    assert len(names) == len(vocabulary)
    return unit.tolist(), [names[one] for one in number]


def test_counts_and_order() -> None:
    made = learn(rows(TRAIN), least=1)
    counts = {"*C(C)=O": 3, "*c1ccccc1": 3, "*C": 1, "*CC": 1, "*N*": 1, "*N1CCCCC1": 1, "*NC": 1}
    assert dict(zip(made.motifs, made.occurrences, strict=True)) == counts
    assert list(made.motifs) == list(counts)  # the most frequent first, equal ones by name
    assert made.rings == ("ring:6:", "ring:6:N1")
    often = learn(rows([*TRAIN, "CC(=O)Nc1ccncc1"]), least=4)  # all but the acetyl falls to pieces, which are as rare
    assert (often.motifs, often.occurrences, often.molecules) == (("*C(C)=O",), (4,), (4,))
    assert learn(rows(["CC(=O)c1ccccc1", "CC(=O)C1CC1"]), least=3).motifs == ()
    assert learn(rows(["CC(=O)c1ccccc1"] * 2), least=2).motifs == ("*C(C)=O", "*c1ccccc1")
    assert learn(rows(["CC(=O)c1ccccc1", "CCC(=O)C1CC1"]), least=2).motifs == ("*=O", "*C(*)=*")


def test_what_is_known_keeps_its_number() -> None:
    made = learn(rows(TRAIN), least=1)
    unit, names = numbered(made, "Cc1ccccc1")
    assert unit == [0, 1, 1, 1, 1, 1, 1]
    assert names == ["*C", "*c1ccccc1"]


def test_the_tail_falls_step_by_step() -> None:
    made = Vocabulary(motifs=("*C", "*=O"), occurrences=(2, 2), molecules=(2, 2), rings=("ring:6:",))
    assert numbered(made, "CC(=O)c1ccccc1") == (
        [0, 1, 2, 3, 3, 3, 3, 3, 3],  # the acetyl is split: two pieces are known, the carbon between them stands alone
        ["*C", "atom:6", "*=O", "ring:6:"],
    )
    assert numbered(made, "C1CC1") == ([0, 0, 0], ["unknown"])
    assert numbered(made, "CCO") == ([0, 1, 2], ["atom:6", "atom:6", "atom:8"])


@pytest.mark.parametrize("smiles", ["CCO", "[Na+].[Cl-]", "c1ccccc1C(=O)N", "*C", "[Fe]", "C[Si](C)(C)C"])
def test_the_empty_vocabulary_numbers_everything(smiles: str) -> None:
    unit, names = numbered(Vocabulary(), smiles)
    assert sorted(set(unit)) == list(range(len(names)))
    assert {name.partition(":")[0] for name in names} <= {"atom", "unknown"}
    assert ("unknown" in names) == ("1" in smiles)


def test_coverage_counts_what_was_needed() -> None:
    made = learn(rows(TRAIN), least=1)
    assert made.coverage(rows(["Cc1ccccc1"])) == Coverage(2, 0, 0, 0)
    assert made.coverage(rows(["C1CCC1"])) == Coverage(1, 1, 0, 1)
    assert made.coverage(rows(["C1CCCCC1"])) == Coverage(1, 1, 1, 0)
    assert made.coverage(rows(["CCCCCC"])) == Coverage(1, 1, 0, 0)


@pytest.fixture(scope="module")
def told(smiles: list[str]) -> list[tuple[Kind, ...]]:
    return rows(smiles)


@given(order=st.permutations(range(80)), least=st.integers(1, 3))
def test_the_order_of_molecules_does_not_matter(told: list[tuple[Kind, ...]], order: list[int], least: int) -> None:
    assert learn([told[place] for place in order], least).hash == learn(told, least).hash


def test_files(tmp_path: Path) -> None:
    made = learn(rows(TRAIN), least=1, merges=["*CC*"])
    made.save(tmp_path / "motifs.json")
    assert Vocabulary.load(tmp_path / "motifs.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["motifs.json"]
    told = json.loads(made.to_json())
    told["motifs"][0] = "*CC"
    with pytest.raises(UserError, match="was altered, or is of another version"):
        Vocabulary.from_json(json.dumps(told))
    for text in ("", "[]", "{}", made.to_json()[:-40], json.dumps(told | {"more": 1})):
        with pytest.raises(UserError, match="This is no vocabulary of motifs"):
            Vocabulary.from_json(text)


def test_numbers_are_reserved() -> None:
    made = Vocabulary(("*C",), (1,), (1,), ("ring:6:",))
    assert (UNKNOWN, ATOM, FIRST) == (1, 2, 121)
    assert made.numbers == {"*C": 121, "ring:6:": 122}
    assert len(made) == 123


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zinc250k", "chembl_78k", "pubchem_100k", "zinc_natural_products_50k"])
def test_held_out_molecules_are_known(name: str, data_dir: Path) -> None:
    """Of the motifs of a tenth of a corpus that was not learned on, less than one in a hundred is unknown."""
    with gzip.open(data_dir / "pretrain" / f"{name}.smi.gz", "rt") as file:
        texts = [line.split()[0] for line in file if line.strip()]
    random.Random(0).shuffle(texts)
    told = rows(texts[:10_000])
    made = learn(told[: len(told) * 9 // 10])
    found = made.coverage(told[len(told) * 9 // 10 :])
    assert found.motifs > 6_000
    assert found.unknown < 0.01 * found.motifs
    assert found.unseen < 0.10 * found.motifs

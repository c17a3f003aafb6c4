"""Reactions: parts, maps that leave no trace, refusals as values, and the counts of public files."""

import random
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from tetramer.molecules import Limits, Rejected, Standard
from tetramer.molecules import sides as module
from tetramer.molecules.reactions import (
    PRODUCT,
    REACTANT,
    REAGENT,
    Mapped,
    Reaction,
    columns_of,
    fragments,
    parse_reaction,
    text_of,
)
from tetramer.molecules.sides import Sides, read_reactions

AMIDE = "[CH3:1][C:2](=[O:3])[OH:9].[NH2:4][CH3:5].[Cl-:7].[Na+:8]>>[CH3:1][C:2](=[O:3])[NH:4][CH3:5]"
STEREO = (
    "[CH3:1][C@H:2]([NH2:3])[C:4](=[O:5])[OH:6].[CH3:7][OH:8]>[H+]>[CH3:1][C@H:2]([NH2:3])[C:4](=[O:5])[O:8][CH3:7]"
)
ALKENE = (
    "[F:1]/[CH:2]=[CH:3]/[Br:4].[c:5]1([B:11])[cH:6][cH:7][cH:8][cH:9][cH:10]1>>"
    "[F:1]/[CH:2]=[CH:3]/[c:5]1[cH:6][cH:7][cH:8][cH:9][cH:10]1"
)
HERE = Limits(0)


def read(text: str) -> Reaction:
    told = parse_reaction(text)
    assert isinstance(told, Reaction), told
    return told


def names(some: tuple[Mapped, ...]) -> list[str]:
    return [one.molecule.smiles for one in some]


def parts(told: Reaction) -> tuple[list[str], list[str], list[str]]:
    return names(told.reactants), names(told.reagents), names(told.products)


def handed_out(told: Reaction) -> list[bytes | str]:
    """All that is not the arrays of maps."""
    everything = [one.molecule for part in (told.reactants, told.reagents, told.products) for one in part]
    out: list[bytes | str] = [told.key]
    for one in everything:
        out += [one.smiles, one.mol.ToBinary(Chem.PropertyPickleOptions.AllProps), one.order.tobytes()]
    return out


def renumbered(text: str, seed: int) -> str:
    """The same reaction with other map numbers."""
    numbers = sorted({int(number) for number in re.findall(r":(\d+)\]", text)})
    other = random.Random(seed).sample(range(1, 900), len(numbers))
    table = dict(zip(numbers, other, strict=True))
    return re.sub(r":(\d+)\]", lambda found: f":{table[int(found[1])]}]", text)


def test_reactants_give_atoms_to_a_product() -> None:
    assert parts(read(AMIDE)) == (["CC(=O)O", "CN"], ["[Cl-]", "[Na+]"], ["CNC(C)=O"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC(=O)O.CN>>CNC(C)=O", (["CC(=O)O", "CN"], [], ["CNC(C)=O"])),
        ("CN.CC(=O)O>[H+].Cl>CNC(C)=O", (["CC(=O)O", "CN"], ["Cl", "[H+]"], ["CNC(C)=O"])),
        ("CC>>CC.CC", (["CC"], [], ["CC", "CC"])),
        ("[CH4:1].[CH4:2]>>CC", (["C", "C"], [], ["CC"])),  # the product has no maps
        ("C>[CH3:1]O>[CH3:1]Cl", (["CO"], ["C"], ["CCl"])),  # what stands in the middle may give atoms too
        ("[Ru]<-N.N->[Pt]>>N", (["N->[Pt]", "N->[Ru]"], [], ["N"])),  # the arrows of bonds are none of a reaction
        ("CO>>C\tUS0123\t1976", (["CO"], [], ["C"])),
        ("CO.[Na+].[Cl-]>>C |f:1.2|", (["CO", "[Cl-].[Na+]"], [], ["C"])),
        ("CO.[Na+].[Cl-]>>C |c:0,f:1.2,9.8|", (["CO", "[Cl-].[Na+]"], [], ["C"])),
        ("CO>[Na+].[Cl-]>C.O |f:1.2,3.4|\tUS1", (["CO"], ["[Cl-].[Na+]"], ["C.O"])),
        ("  CO>>C  ", (["CO"], [], ["C"])),
    ],
)
def test_forms_of_text(text: str, expected: tuple[list[str], list[str], list[str]]) -> None:
    told = parts(read(text))
    wanted = tuple([Chem.CanonSmiles(smiles) for smiles in part] for part in expected)
    assert told == tuple(sorted(part) for part in wanted)


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("", "EMPTY", "no text"),
        ("   ", "EMPTY", "no text"),
        (">>", "EMPTY", "no molecules"),
        (">>C", "EMPTY", "no reactant"),
        ("C>>", "EMPTY", "no product"),
        ("C>O>", "EMPTY", "no product"),
        ("CCO", "PARSE", "no reaction arrow '>'"),
        ("C>C", "PARSE", "one sign '>'"),
        ("C>>C>>C", "PARSE", "4 signs '>'"),
        ("C.C1CC>>C", "PARSE", "reactant 2: SMILES Parse Error: unclosed ring"),
        ("C>F(C)C>C", "SANITIZE", "reagent 1: Explicit valence"),
        ("C>>C.", "EMPTY", "product 2: no text"),
        ("C>>Ć", "PARSE", "product 1: the character 'Ć'"),
        ("C" * 200_000 + ">>C", "TOO_LONG", "200003 characters"),
        ("C" * 9_000 + ">>C", "TOO_BIG", "reactant 1: 9000 heavy atoms"),
    ],
)
def test_refusals_are_values(text: str, code: str, reason: str) -> None:
    told = parse_reaction(text)
    assert isinstance(told, Rejected)
    assert (told.text, told.code) == (text, code)
    assert told.reason.startswith(reason)


@given(st.text(alphabet=st.sampled_from("CNO[]:123()=>.| f\t"), max_size=30))
def test_no_text_is_an_exception(text: str) -> None:
    assert isinstance(parse_reaction(text), Reaction | Rejected)


@pytest.mark.parametrize("text", [AMIDE, STEREO, ALKENE])
def test_maps_leave_no_trace(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    told = read(text)
    for seed in range(20):
        other = read(renumbered(text, seed))
        assert handed_out(other) == handed_out(told)
        assert [one.maps.tolist() for one in other.reactants] != [one.maps.tolist() for one in told.reactants]
    for part in (told.reactants, told.reagents, told.products):
        for one in part:
            assert not any(atom.GetAtomMapNum() for atom in one.molecule.mol.GetAtoms())
            assert ":" not in one.molecule.smiles
    assert capfd.readouterr().err == ""


def test_maps_belong_to_the_atoms_in_canonical_order() -> None:
    told = read(AMIDE)
    acid, _ = told.reactants
    assert (acid.molecule.smiles, acid.maps.tolist()) == ("CC(=O)O", [1, 2, 3, 9])


def test_equal_products_have_one_key() -> None:
    keys = [read(f"C>>{text}").key for text in ("OCC.C", "C.CCO", "C.C.[CH3:1]C[OH:2]")]
    assert set(keys) == {"C.CCO"}
    assert read("C>>C[C@H](O)F").key != read("C>>C[C@@H](O)F").key


def test_groups_of_fragments_stay_in_their_part() -> None:
    assert fragments(["A.B", "", "C.D"], "|f:0.2|") == [["A", "B"], [], ["C", "D"]]
    assert fragments(["A.B", "", "C.D"], "|f:0.1,2.3|") == [["A.B"], [], ["C.D"]]


def test_limits_hold_for_each_molecule() -> None:
    told = parse_reaction("CCCC>>C", Standard(max_atoms=3))
    assert isinstance(told, Rejected)
    assert told.code == "TOO_BIG"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (["split", "reaction_smiles_mapped", "bond_edits"], ("reaction_smiles_mapped",)),
        (["split", "product", "reactants"], ("reactants", "product")),
        (["split", "product_mapped", "reactants_mapped"], ("reactants_mapped", "product_mapped")),
        (["", "prod_smiles", "reactant_smiles", "rxn_smiles"], ("rxn_smiles",)),
        (["ReactionSmiles ", "PatentNumber"], ("ReactionSmiles ",)),
        (["reactants_smiles", "products_smiles"], ("reactants_smiles", "products_smiles")),
        (["Reactant_SMILES", "product_smiles"], ("Reactant_SMILES", "product_smiles")),
        (["reactant", "products"], ("reactant", "products")),
        (["reactant_smiles", "product"], ()),
        (["smiles", "product"], ()),
    ],
)
def test_columns_are_found_by_name(header: list[str], found: tuple[str, ...]) -> None:
    assert columns_of(header) == found


def test_cells_become_one_text() -> None:
    assert [text_of(cells) for cells in (["C>>O"], ["C", "O"], ["C", ""], [""])] == ["C>>O", "C>>O", "", ""]


def test_many_reactions_as_columns() -> None:
    texts = [AMIDE, "C>>", "CN.CC(=O)O>>CNC(C)=O", "CO>N>C"]
    told = read_reactions(texts, limits=HERE)
    assert told.codes == ["ok", "EMPTY", "ok", "ok"]
    assert told.reasons == ["", "no product", "", ""]
    assert told.ok.tolist() == [True, False, True, True]
    assert told.keys == ["CNC(C)=O", "", "CNC(C)=O", "C"]
    assert told.smiles == ["CC(=O)O", "CN", "[Cl-]", "[Na+]", "CNC(C)=O", "CO", "N", "C"]
    assert told.row.tolist() == [0, 0, 0, 0, 0, 2, 2, 2, 3, 3, 3]
    assert told.role.tolist() == [0, 0, 1, 1, 2, 0, 0, 2, 0, 1, 2]
    assert told.molecule.tolist() == [0, 1, 2, 3, 4, 0, 1, 4, 5, 6, 7]
    assert told.map_starts.tolist() == np.cumsum([0, 4, 2, 1, 1, 5, 4, 2, 5, 2, 1, 1]).tolist()
    assert told.maps[:8].tolist() == [1, 2, 3, 9, *told.maps[4:6].tolist(), 7, 8]
    assert told.surviving().tolist() == [1] * 3 + [0] + [1] * 2 + [0] * 2 + [1] * 5 + [-1] * 15
    assert (REACTANT, REAGENT, PRODUCT) == (0, 1, 2)


def test_workers_give_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [AMIDE, "", STEREO, "CO>>C", ALKENE] * 5
    monkeypatch.setattr(module, "CHUNK", 3)
    heard: list[int] = []
    one, two = read_reactions(texts, limits=HERE), read_reactions(texts, limits=Limits(1), progress=heard.append)
    assert heard[-1] == 25
    for name in Sides.__dataclass_fields__:
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert len(read_reactions([], limits=HERE)) == 0


# Rows of data/README.md; of the valid and test parts of USPTO-MIT the readable share is that of a sample.
FILES = {"uspto_mit_valid_test": 70_000, "uspto_15k": 15_000, "uspto_50k": 50_037, "uspto_full_valid_test": 192_119}


@pytest.mark.parametrize("name", FILES)
def test_public_files(name: str, data_dir: Path) -> None:
    table = pq.read_table(data_dir / "reactions" / f"{name}.parquet")
    assert table.num_rows == FILES[name]
    found = columns_of(table.column_names)
    some = table.slice(table.num_rows // 2, 40)
    texts = [text_of(cells) for cells in zip(*(some[one].to_pylist() for one in found), strict=True)]
    told = read_reactions(texts, limits=HERE)
    assert told.ok.sum() >= 39
    if "mapped" in found[0] and name != "uspto_15k":  # its products carry no maps
        other = read_reactions([renumbered(text, 1) for text in texts], limits=HERE)
        assert other.smiles == told.smiles
        assert np.array_equal(other.molecule, told.molecule)
        assert np.array_equal(other.role, told.role)
        assert (told.role == REAGENT).any() == (name == "uspto_mit_valid_test")
        assert 0 < told.surviving()[np.repeat(told.role, np.diff(told.map_starts)) == REACTANT].mean() < 1


@pytest.mark.slow
def test_the_test_part_of_uspto_mit(data_dir: Path) -> None:
    table = pq.read_table(data_dir / "reactions" / "uspto_mit_valid_test.parquet")
    texts = [row["reaction_smiles_mapped"] for row in table.to_pylist() if row["split"] == "test"]
    told = read_reactions(texts)
    assert len(told) == 40_000
    assert int(told.ok.sum()) == 39_994
    assert len(set(told.keys) - {""}) == 39_510

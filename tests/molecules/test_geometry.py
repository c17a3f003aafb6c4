"""Given geometry: kept to the last digit, in the order of our atoms, whatever the order of the input."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom

from tetramer.molecules import Molecule, Rejected, Standard, parse, parse_block
from tetramer.molecules.geometry import as_xyz, distances, is_xyz, mol_block, read_xyz
from tetramer.molecules.overlay import keeps_stereo

MIXED = ["CCO", "C[C@H](N)C(=O)O", "F/C=C/Cl", "FC(F)(F)c1ccccc1", "CC(C)(C)OC(=O)N", "[O-][N+](=O)c1ccncc1", "C#N"]
MIXED += ["O", "[NH3+]CC([O-])=O", "C1CC1C=C", "C[Si](C)(C)C", "OS(=O)(=O)c1ccccc1", "[2H]C(Cl)Br"]
PLAIN = Standard()


def embedded(smiles: str) -> Chem.Mol:
    """A Mol with all its hydrogens and one conformer, atoms as the SMILES has them."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


def numbers(mol: Chem.Mol) -> np.ndarray:
    return np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])


def places(mol: Chem.Mol) -> np.ndarray:
    return np.array(mol.GetConformer().GetPositions())


def shuffled(mol: Chem.Mol, seed: int) -> Chem.Mol:
    return Chem.RenumberAtoms(mol, np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist())


def read(text: str, standard: Standard = PLAIN) -> Molecule:
    told = parse_block(text, standard) if "M  END" in text else parse(text, standard)
    assert isinstance(told, Molecule), told
    return told


def refused(text: str, standard: Standard = PLAIN) -> tuple[str, str]:
    told = parse(text, standard)
    assert isinstance(told, Rejected)
    return told.code, told.reason


def same_places(told: Molecule, mol: Chem.Mol, digits: float) -> None:
    """Every heavy atom where the input had it, and every hydrogen on its parent there."""
    assert told.geometry is not None
    full, at = Chem.AddHs(told.mol), places(mol)
    assert told.geometry.shape == (1, full.GetNumAtoms(), 3) == (1, *at.shape)
    away = np.linalg.norm(told.geometry[0][:, None] - at, axis=-1)
    back = away.argmin(1)
    assert away.min(1).max() < digits
    assert sorted(back) == list(range(len(at)))
    assert np.array_equal(back[: len(told.order)], told.order)
    assert np.array_equal(numbers(full), numbers(mol)[back])
    pairs = {frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in mol.GetBonds()}
    joined = {frozenset(back[[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]].tolist()) for bond in full.GetBonds()}
    assert joined == pairs


@pytest.mark.parametrize("smiles", MIXED)
@pytest.mark.parametrize("form", ["V2000", "V3000", "xyz"])
def test_given_places_are_kept(smiles: str, form: str) -> None:
    mol = shuffled(embedded(smiles), 3)
    texts = {
        "V2000": Chem.MolToMolBlock(mol),
        "V3000": Chem.MolToV3KMolBlock(mol),
        "xyz": as_xyz(numbers(mol), places(mol), smiles),
    }
    told = read(texts[form])
    if form == "xyz" and "[2H]" not in smiles:
        assert told.smiles == Chem.CanonSmiles(smiles)
    same_places(told, mol, 1e-6 if form == "xyz" else 1e-4)  # a mol block has four decimals


@pytest.mark.parametrize("smiles", MIXED)
def test_the_order_of_the_input_does_not_matter(smiles: str) -> None:
    """The same SMILES and the same distances, though the input numbers its atoms at random."""
    mol = embedded(smiles)
    first = read(Chem.MolToMolBlock(mol))
    assert first.geometry is not None
    for seed in range(4):
        other = read(Chem.MolToMolBlock(shuffled(mol, seed)))
        assert other.geometry is not None
        assert other.smiles == first.smiles
        np.testing.assert_allclose(distances(other.geometry[0]), distances(first.geometry[0]), atol=1e-6)


@settings(max_examples=50)
@given(arrays(np.float64, (5, 3), elements=st.floats(-1e3, 1e3)), st.sampled_from(["", "name", "[H]C([H])([H])[H]"]))
def test_xyz_text_comes_back_to_the_sixth_decimal(positions: np.ndarray, comment: str) -> None:
    text = as_xyz([6, 1, 1, 17, 35], positions, comment)
    assert is_xyz(text)
    away = distances(positions)
    np.fill_diagonal(away, 9)
    if away.min() < 0.1:
        with pytest.raises(ValueError, match="lie in one place"):
            read_xyz(text)
        return
    (frame,) = read_xyz(text)
    assert frame.numbers.tolist() == [6, 1, 1, 17, 35]
    np.testing.assert_allclose(frame.positions, positions, atol=1e-6, rtol=0)
    assert frame.smiles == ((comment,) if comment else ())


def test_distances_are_those_of_the_definition() -> None:
    at = np.random.default_rng(0).normal(size=(6, 3)) + 100
    np.testing.assert_allclose(distances(at), np.linalg.norm(at[:, None] - at, axis=-1), atol=1e-6)


def test_a_drawing_is_no_geometry() -> None:
    mol = Chem.MolFromSmiles("C[C@H](O)F")
    rdDepictor.Compute2DCoords(mol)
    assert read(Chem.MolToMolBlock(mol)).geometry is None
    block = Chem.MolToMolBlock(embedded("C[C@H](O)F"))
    assert read(block).geometry is not None
    assert read(block.replace("          3D", "          2D", 1)).geometry is None
    atoms = block.split("\n")
    flat = [line[:20] + "    0.0000" + line[30:] if len(line) > 60 else line for line in atoms]
    assert read("\n".join(flat)).geometry is None
    assert read("\n".join(flat).replace("  3D", "    ", 1)).geometry is None
    atoms[5] = atoms[4][:30] + atoms[5][30:]  # two atoms in one place
    assert read("\n".join(atoms)).geometry is None


def test_a_flat_molecule_is_no_drawing() -> None:
    for smiles, bent in (("O", 1.0), ("C#N", 1.0), ("c1ccccc1", 1.0), ("O", 1.5)):
        mol = embedded(smiles)
        at = places(mol) - places(mol).mean(0)
        mol.GetConformer().SetPositions(bent * at @ np.linalg.svd(at)[2].T * [1, 1, 0])
        block = Chem.MolToMolBlock(mol)
        assert (read(block).geometry is not None) == (bent == 1)
        assert read(block.replace("  3D", "    ", 1)).geometry is None
        assert read(Chem.MolToMolBlock(Chem.RemoveHs(mol))).geometry is None


def test_hydrogens_that_are_missing_are_added_where_they_belong() -> None:
    mol = embedded("CC(O)c1ccncc1")
    heavy = Chem.RemoveHs(mol)
    told = read(Chem.MolToMolBlock(heavy))
    assert told.geometry is not None
    assert len(told.geometry[0]) == mol.GetNumAtoms()
    np.testing.assert_allclose(told.geometry[0, : len(told.order)], places(heavy)[told.order], atol=1e-4)
    full = Chem.AddHs(told.mol)
    for bond in full.GetBonds():
        one, other = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if 1 in (full.GetAtomWithIdx(one).GetAtomicNum(), full.GetAtomWithIdx(other).GetAtomicNum()):
            assert 0.9 < np.linalg.norm(told.geometry[0, one] - told.geometry[0, other]) < 1.15
    some = Chem.RWMol(mol)
    some.RemoveAtom(mol.GetNumHeavyAtoms())  # one of methyl; its others stay as they are
    again = read(Chem.MolToMolBlock(some))
    assert again.geometry is not None
    near = np.linalg.norm(places(some)[:, None] - again.geometry[0], axis=-1).min(1)
    assert near.max() < 1e-4
    assert len(again.geometry[0]) == mol.GetNumAtoms()


def test_stereo_is_read_from_the_geometry() -> None:
    """The flag for stereo in a block of three dimensions is the geometry itself, not its wedges."""
    for smiles in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "F/C=C/F", "F/C=C\\F"):
        mol = embedded(smiles)
        assert read(Chem.MolToMolBlock(mol)).smiles == Chem.CanonSmiles(smiles)
        assert read(as_xyz(numbers(mol), places(mol))).smiles == Chem.CanonSmiles(smiles)
        assert keeps_stereo(mol, places(mol))
        assert keeps_stereo(mol, -places(mol)) == ("@" not in smiles)


def test_a_smiles_whose_stereo_is_another_is_refused_and_one_that_fits_after_a_swap_is_not() -> None:
    mol = embedded("C[C@H](N)C(=O)O")
    text = as_xyz(numbers(mol), places(mol), "C[C@@H](N)C(=O)O")
    assert refused(text)[0] == "SANITIZE"
    assert "different stereoisomers" in refused(text)[1]
    # meso: the first way of laying it over its geometry swaps the two centres, which only bonds cannot tell apart
    meso = embedded("C[C@H](F)CC[C@@H](F)C")
    for seed in range(6):
        other = shuffled(meso, seed)
        told = read(as_xyz(numbers(other), places(other), "C[C@H](F)CC[C@@H](F)C"))
        same_places(told, other, 1e-6)
        assert told.geometry is not None
        assert keeps_stereo(Chem.AddHs(told.mol), told.geometry[0])


@pytest.mark.parametrize(
    ("standard", "smiles", "expected", "atoms"),
    [
        (Standard(salts="largest"), "CC(=O)[O-].[Na+]", "CC(=O)[O-]", 7),
        (Standard(salts="largest", charges="neutral"), "CC(=O)[O-].[Na+]", "CC(=O)O", 8),
        (Standard(charges="neutral"), "C[NH3+]", "CN", 7),
        (Standard(tautomers="canonical"), "Oc1ccccn1", "O=c1cccc[nH]1", 12),
    ],
)
def test_standards_take_the_geometry_along(standard: Standard, smiles: str, expected: str, atoms: int) -> None:
    mol = embedded(smiles)
    if "." in smiles:
        mol.GetConformer().SetAtomPosition(mol.GetNumHeavyAtoms() - 1, [0.0, 0.0, 9.0])
    told = read(Chem.MolToMolBlock(mol), standard)
    assert told.smiles == expected
    assert told.geometry is not None
    assert told.geometry.shape == (1, atoms, 3)
    np.testing.assert_allclose(told.geometry[0, : len(told.order)], places(mol)[told.order], atol=1e-4)
    away = distances(told.geometry[0])
    np.fill_diagonal(away, 9)
    assert away.min(1).min() > 0.8
    assert away.min(1).max() < 1.6


WATER = "O 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692"


@pytest.mark.parametrize(
    ("text", "smiles"),
    [
        (f"3\n\n{WATER}", "O"),
        (f"  3  \r\nwater, by hand\r\n{WATER}\r\n\r\n", "O"),
        (f"3\nwater\n{WATER}", "O"),
        (f'3\n{{"smiles": "O", "energy": -76}}\n{WATER}', "O"),
        (f'3\nProperties=species:S:1:pos:R:3 smiles="[H]O[H]"\n{WATER}', "O"),
        (f"3\n[H:1][O:2][H:3]\n{WATER}", "O"),
        ("3\n\n8 0 0 0.1173 -0.8\n1 0 0.7572 -.4692 0.4\nH 0 -7.572*^-1 -0.4692 4*^-1", "O"),
        ("2\n\nH 0 0 0\nH 0 0 0.74", "[H][H]"),
        ("1\n\nHe 0 0 0", "[He]"),
        ("2\n\nc 0 0 0\no 0 0 1.128", "[C-]#[O+]"),
        ("2\n[Na+].[Cl-]\nNa 0 0 0\nCl 0 0 2.36", "[Cl-].[Na+]"),
        ("2\n[Na]Cl\nNa 0 0 0\nCl 0 0 2.36", "[Na][Cl]"),
    ],
)
def test_xyz_texts_that_are_read(text: str, smiles: str) -> None:
    told = read(text)
    assert told.smiles == smiles
    assert told.geometry is not None
    assert len(told.geometry[0]) == int(text.split()[0])


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        (f"4\n\n{WATER}", "PARSE", "announces 4 atoms, and 3 lines follow"),
        (f"3\n\n{WATER}\n\n2\n\nH 0 0 0\nH 0 0 0.74", "PARSE", "3 lines follow the last of 3 atoms, and are no other"),
        (f"3\n\n{WATER}\n3\n\nO 0 0 0", "PARSE", "announces 3 atoms, and 1 lines follow"),
        (f"3\n\n{WATER}\n3\n\n{WATER.replace('.1173', 'x')}", "PARSE", "line 8 is not an element and"),
        (f"3\n\n{WATER}\n3\n\n{WATER.replace('0.7572', '0')}", "PARSE", "lie in one place"),
        (f"3\n\n{WATER}\n3\n\nH 0 0 0\nO 0 0 1\nH 0 0 2", "PARSE", "geometry 2 has other atoms than the first"),
        (f"3\nO\n{WATER}\n3\nO\nO 0 0 0\nH 0 0 1\nH 0 0 9", "PARSE", "other atoms or bonds than its geometry"),
        (f"3\n\n{WATER}\n3\n\nO 0 0 0\nH 0 0 1\nH 0 0 9", "SANITIZE", "geometries have different bonds or stereo"),
        (f"3\n\n{WATER.replace('O', 'Qq')}", "PARSE", "line 3 is not an element and three coordinates: 'Qq 0 0"),
        (f"3\n\n{WATER.replace('0.1173', 'high')}", "PARSE", "line 3 is not an element and three coordinates"),
        (f"3\n\n{WATER.replace('0.1173', 'nan')}", "PARSE", "a coordinate is not finite"),
        ("2\n\nC 0 0 0\nO 0 0 0.01", "PARSE", "atoms 1 and 2 lie in one place"),
        ("2\nCO\nC 0 0 0\nO 0 0 1.128", "PARSE", "other atoms or bonds than its geometry"),
        ("3\nO\nO 0 0 0\nH 0 0 1\nH 0 0 9", "PARSE", "other atoms or bonds than its geometry"),
        (f"6\nO.O\n{WATER}\n{WATER.replace('O 0', 'O 1.2').replace('H 0', 'H 1.2')}", "PARSE", "other atoms"),
        ("2\n\nC 0 0 0\nH 0 0 1.1", "SANITIZE", "write its SMILES into its second line"),
        ("0\n\n", "EMPTY", "no atoms"),
        ("400000\n\nC 0 0 0", "TOO_BIG", "400000 atoms with hydrogens; the limit is 3010"),
        ("4\n\n" + "\n".join(f"C 0 0 {1.5 * z}" for z in range(4)), "SANITIZE", "hydrogens are missing|no bonds fit"),
    ],
)
def test_xyz_texts_that_are_refused(text: str, code: str, reason: str) -> None:
    told = refused(text)
    assert told[0] == code
    assert any(part in told[1] for part in reason.split("|"))


def conformers(smiles: str, count: int) -> tuple[Chem.Mol, np.ndarray]:
    """A Mol with all its hydrogens, and (count, N, 3) places, of which no two are alike."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, count, randomSeed=7)) == count
    return mol, np.array([one.GetPositions() for one in mol.GetConformers()])


@pytest.mark.parametrize("comment", ["CC[C@H](O)CN", ""])
@pytest.mark.parametrize("blank", ["", "\n \n"])
def test_further_frames_are_further_conformers(comment: str, blank: str) -> None:
    """All in the order of the first: atom i of one is atom i of the others, its hydrogens too."""
    mol, at = conformers("CC[C@H](O)CN", 4)
    order = np.random.default_rng(3).permutation(mol.GetNumAtoms())
    frames = [as_xyz(numbers(mol)[order], one[order], comment) for one in at]
    text = as_xyz(numbers(mol)[order], at[:, order], comment)
    assert text == "\n".join(frames)
    told, first = read(f"{blank}\n".join(frames)), read(frames[0])
    assert told.smiles == first.smiles == "CC[C@H](O)CN"
    assert told.geometry is not None
    assert first.geometry is not None
    np.testing.assert_array_equal(told.geometry[:1], first.geometry)
    places_of = np.linalg.norm(told.geometry[0][:, None] - at[0], axis=-1).argmin(1)
    np.testing.assert_allclose(told.geometry, at[:, places_of], atol=1e-7)


def test_conformers_of_other_stereoisomers_are_no_conformers() -> None:
    mol, at = conformers("C[C@H](N)C(=O)O", 3)
    at[2] *= -1
    for comment, code in (("C[C@H](N)C(=O)O", "SANITIZE"), ("", "SANITIZE")):
        assert refused(as_xyz(numbers(mol), at, comment))[0] == code
        assert isinstance(parse(as_xyz(numbers(mol), at[:2], comment)), Molecule)
    told = read(as_xyz(numbers(mol), at, "CC(N)C(=O)O"))  # which of them is not said
    assert told.geometry is not None
    assert len(told.geometry) == 3


def test_conformers_that_lose_or_gain_a_proton_have_all_hydrogens() -> None:
    mol, at = conformers("[NH3+]CC([O-])=O", 3)
    told = read(as_xyz(numbers(mol), at, "[NH3+]CC([O-])=O"), Standard(charges="neutral"))
    assert (told.smiles, len(told.order)) == ("NCC(=O)O", 5)
    assert told.geometry is not None
    assert told.geometry.shape == (3, 10, 3)
    np.testing.assert_allclose(told.geometry[:, :5], at[:, told.order], atol=1e-7)
    for one in told.geometry:
        away = distances(one)
        np.fill_diagonal(away, 9)
        assert away.min(1).min() > 0.8
        assert away.min(1).max() < 1.6


def test_limits_hold_for_xyz() -> None:
    chain = "\n".join(f"C 0 {y % 2} {1.2 * y}" for y in range(12))
    assert refused(f"12\n\n{chain}", Standard(max_atoms=10)) == ("TOO_BIG", "12 heavy atoms; the limit is 10")
    assert refused("3\n" + "x" * 2_000, Standard(max_chars=10))[0] == "TOO_LONG"
    assert refused("12 \n5")[0] == "PARSE"  # two lines that begin with a number mean to be XYZ
    assert refused("CCO\nCC")[0] == "CONTROL_CHAR"


QM9_FILE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 9.063972942*^-1\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""


def test_a_file_of_qm9_is_read_as_it_is() -> None:
    told = read(QM9_FILE)
    assert told.smiles == "C"
    assert told.geometry is not None
    np.testing.assert_allclose(told.geometry[0, 0], [-0.0126981359, 1.0858041578, 0.0080009958], atol=1e-9)
    assert told.geometry[0, :, 2].max() == pytest.approx(0.9063972942)
    other = QM9_FILE.replace("C\tC\n", "CC\tC=O\n")
    assert refused(other)[0] == "PARSE"


@pytest.mark.parametrize(("name", "comments"), [("qm9", True), ("qm7", False)])
def test_published_geometries_are_read_whole(name: str, comments: bool, data_dir: Path) -> None:
    """150 geometries of each set, with and without SMILES, half of them with shuffled atoms."""
    path = data_dir / "3d" / f"{name}_geometry.parquet"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    table = pq.read_table(path)
    rng, told = np.random.default_rng(4), []
    for row in table.take(np.sort(rng.choice(len(table), 150, replace=False))).to_pylist():
        order = rng.permutation(len(row["atomic_numbers"])) if len(told) % 2 else np.arange(len(row["atomic_numbers"]))
        at = np.array(row["coordinates"], np.float64).reshape(-1, 3)[order]
        text = as_xyz(np.array(row["atomic_numbers"])[order], at, row["smiles"] if comments else "")
        told.append(one := read(text))
        assert one.geometry is not None
        assert len(one.geometry[0]) == len(at)
        assert not comments or one.smiles == Chem.CanonSmiles(row["smiles"])


def test_a_lone_hydrogen_is_written_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    assert " H " in mol_block("[H+]", np.zeros((1, 3)))
    assert capfd.readouterr().err == ""


def test_mol_blocks_that_are_written_are_read_again() -> None:
    mol = embedded("C[C@H](N)C(=O)O")
    first = read(Chem.MolToMolBlock(mol))
    assert first.geometry is not None
    again = read(mol_block(first.smiles, first.geometry[0], "alanine"))
    assert again.smiles == first.smiles
    assert again.geometry is not None
    np.testing.assert_allclose(distances(again.geometry[0]), distances(first.geometry[0]), atol=2e-4)
    assert read(mol_block(first.smiles, first.geometry[0], flat=True)).geometry is None
    with pytest.raises(ValueError, match="is not a molecule of 3 atoms"):
        mol_block("CCO", np.zeros((3, 3)))

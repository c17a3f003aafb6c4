"""Readers of published formats, on tiny files made here."""

import bz2
import gzip
import io
import json
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from tetramer.datasets.readers import READERS, mapped_numbers
from tetramer.datasets.sources import SOURCES, targets
from tetramer.datasets.xyz import QM9, frames
from tetramer.errors import UserError

METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893\t-40.476062\t\
-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 2.7657*^-4\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365
C\tC
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""
WATER = METHANE.replace("gdb 1\t", "gdb 3\t").replace("\nC\tC\n", "\nO\t[OH2]\n")
BLOCK = """{}
  made

  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 {}   0  0
M  END
"""


def tar(path, files, pack=gzip.compress):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    path.write_bytes(pack(held.getvalue()))
    return path


def test_qm9_as_published(tmp_path):
    files = {"dsgdb9nsd_000003.xyz": WATER, "./dsgdb9nsd_000001.xyz": METHANE, "readme.txt": "not a frame"}
    table = READERS["qm9-tar"]([tar(tmp_path / "3195389", files, bz2.compress)])
    one, two = table.data.to_pylist()
    assert table.columns == ["mol_id", "smiles", "smiles_relaxed", *QM9, "atomic_numbers", "coordinates"]
    assert (one["mol_id"], one["smiles"], one["atomic_numbers"]) == ("gdb_1", "C", [6, 1, 1, 1, 1])
    assert (two["mol_id"], two["smiles"], two["smiles_relaxed"]) == ("gdb_3", "O", "[OH2]")
    assert (one["A"], one["mu"], one["gap"], one["g298"], one["cv"]) == (157.7118, 0.0, 0.5048, -40.498597, 6.469)
    assert one["coordinates"][6:9] == pytest.approx([1.0117308433, 1.4637511618, 2.7657e-4])
    assert set(QM9) <= set(targets("qm9", table))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("5\n", "6\n", "line 8 is not an element and three coordinates: '1341.307"),
        ("5\n", "five\n", "line 1 is not a number of atoms: 'five'"),
        ("5\n", "9999999999999\n", "line 1 is not a number of atoms"),
        ("C\t-0.01", "Xx\t-0.01", "line 3 is not an element and three coordinates"),
        ("\t 1.0858041578", "\t nan", "a coordinate of the frame that begins at line 1 is not finite"),
        ("\t 1.0858041578", "\t one", "line 3 is not an element and three coordinates"),
        ("gdb 1", "gdx 1", "not that of a QM9 file"),
        ("6.469", "", "not that of a QM9 file"),
        ("\nC\tC\n", "\nC\n", "not that of a QM9 file"),
    ],
)
def test_what_is_no_qm9_file_is_refused(tmp_path, old, new, said):
    assert old in METHANE
    files = {"dsgdb9nsd_000001.xyz": METHANE.replace(old, new, 1)}
    with pytest.raises(UserError, match=f"does not have the format of its data set: .*{said}"):
        READERS["qm9-tar"]([tar(tmp_path / "a.tar.gz", files)])


def test_frames_follow_each_other():
    first, second = frames(["2", "a", "H 0 0 0", "H +1.5 0 -2e-1 rest", "", "1", "", "He 0 0 0", ""])
    assert (first.comment, first.numbers.tolist(), second.comment, second.numbers.tolist()) == ("a", [1, 1], "", [2])
    assert np.allclose(first.positions, [[0, 0, 0], [1.5, 0, -0.2]])
    assert (first.numbers.dtype, first.positions.shape) == (np.uint8, (2, 3))
    with pytest.raises(ValueError, match="line 1 announces 2 atoms, and 1 follow"):
        list(frames(["2", "a", "H 0 0 0"]))
    with pytest.raises(ValueError, match="of the frame that begins at line 4, line 3 is not an element"):
        list(frames(["1", "a", "H 0 0 0", "1", "b", "H 0 0"]))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_xyz_with_json_comments(tmp_path, pack):
    comments = [{"smiles": "O", "log_sol_mol_l": -1.5}, {"smiles": "[He]", "log_sol_mol_l": 2.0, "config": "x"}]
    text = "".join(
        f"1\n{json.dumps(told)}\n{symbol} 1 2 3\n" for told, symbol in zip(comments, ("O", "He"), strict=True)
    )
    (tmp_path / "a.xyz").write_bytes(pack(text.encode()))
    rows = READERS["json-xyz"]([tmp_path / "a.xyz"]).data.to_pylist()
    assert rows[0] == comments[0] | {"config": None, "atomic_numbers": [8], "coordinates": [1.0, 2.0, 3.0]}
    assert rows[1] == comments[1] | {"atomic_numbers": [2], "coordinates": [1.0, 2.0, 3.0]}
    for wrong in ("1\nno json\nH 0 0 0\n", "1\n[1]\nH 0 0 0\n", "1\n\xff"):
        (tmp_path / "a.xyz").write_bytes(wrong.encode("latin-1"))
        with pytest.raises(UserError, match=r"a.xyz does not have the format of its data set"):
            READERS["json-xyz"]([tmp_path / "a.xyz"])


def test_gdb9_joins_blocks_and_rows(tmp_path):
    sdf = BLOCK.format("gdb_1", "C") + "> <A>\n1\n\n$$$$\n" + BLOCK.format("gdb_2", "N") + "$$$$\n"
    csv = "mol_id,A,gap\ngdb_1,157.7118,0.5\ngdb_2,293.6,\n"
    table = READERS["gdb9"]([tar(tmp_path / "gdb9.tar.gz", {"gdb9.sdf": sdf, "gdb9.sdf.csv": csv})])
    assert table.data.to_pylist()[0] == {"mol_id": "gdb_1", "A": "157.7118", "gap": "0.5"}
    assert table.texts == [BLOCK.format("gdb_1", "C"), BLOCK.format("gdb_2", "N")]
    with pytest.raises(UserError, match=r"gdb9.sdf has 2 records, gdb9.sdf.csv 1 rows"):
        READERS["gdb9"]([tar(tmp_path / "b.tar.gz", {"gdb9.sdf": sdf, "gdb9.sdf.csv": csv[:-13]})])
    with pytest.raises(UserError, match=r"does not have the format of its data set: 'gdb9.sdf.csv'"):
        READERS["gdb9"]([tar(tmp_path / "c.tar.gz", {"gdb9.sdf": sdf})])


def test_reactions_with_their_edits(tmp_path):
    path = tmp_path / "data.zip"
    lines = {"train": "[CH4:1]>>[CH3:1] 1-2\nC>>C 3-4;5-6\n", "valid": "N>O>N 1;;2", "test": "CO>>C\n"}
    with zipfile.ZipFile(path, "w") as archive:
        for part, text in lines.items():
            archive.writestr(f"data/{part}.txt", text)
    assert READERS["rexgen-zip"]([path]).data.to_pydict() == {
        "split": ["train", "train", "valid", "test"],
        "reaction_smiles_mapped": ["[CH4:1]>>[CH3:1]", "C>>C", "N>O>N", "CO>>C"],
        "bond_edits": ["1-2", "3-4;5-6", "1;;2", ""],
    }
    with zipfile.ZipFile(path, "w") as archive:
        for part in lines:
            archive.writestr(f"data/{part}.txt", "CO 1-2\n")
    with pytest.raises(UserError, match="a line does not begin with a reaction"):
        READERS["rexgen-zip"]([path])


def test_products_and_reactants(tmp_path):
    paths = [tmp_path / f"{part}.smi" for part in ("train", "valid", "test")]
    for path, text in zip(paths, ("CO >> C.O\nC[O-] >> CO\n", "N >> N\n", ""), strict=True):
        path.write_text(text)
    assert READERS["arrow-lines"](paths).data.to_pydict() == {
        "split": ["train", "train", "valid"],
        "product": ["CO", "C[O-]", "N"],
        "reactants": ["C.O", "CO", "N"],
    }
    paths[1].write_text("N>>N\n")
    with pytest.raises(UserError, match=r"valid.smi does not have the format .* a line is not `product >> reactants`"):
        READERS["arrow-lines"](paths)


def test_smiles_with_coordinates(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('smiles,homo\n"[H]O |(1.5,2,3;-4,,6)|",1.5\n"[He] |(0,0,1e-1),wD:1.2|",2\n')
    assert READERS["cxsmiles"]([path]).data.to_pydict() == {
        "smiles": ["[H]O", "[He]"],
        "homo": ["1.5", "2"],
        "coordinates": [[1.5, 2, 3, -4, 0, 6], [0, 0, np.float32(0.1)]],
    }
    path.write_text('smiles,homo\n"[H]O |(1.5,2,3;-4,5,6)|",1.5\nO,2\n')
    with pytest.raises(UserError, match=r"a.csv does not have the format of its data set: 1 rows have no coordinates"):
        READERS["cxsmiles"]([path])


def test_freesolv_joins_by_id(tmp_path):
    database = tmp_path / "database.txt"
    rest = "0.6; -3.3; 0.03; doi; doi; none"
    database.write_text(
        f"# header; with; semicolons\nmobley_2; CCO; ethanol; -5.0; {rest}\nmobley_1; C; x; 2; {rest}\n"
    )
    files = {f"sdffiles/mobley_{i}.sdf": BLOCK.format(f"mobley_{i}", "C") + "$$$$\n" for i in (1, 2, 3)}
    archive = tar(tmp_path / "sdffiles.tar.gz", files)
    table = READERS["freesolv"]([archive, database])
    assert table.texts == [BLOCK.format("mobley_2", "C"), BLOCK.format("mobley_1", "C")]
    row = table.data.to_pylist()[0]
    assert (row["id"], row["smiles"], row["name"], row["expt"], row["calc"]) == (
        "mobley_2",
        "CCO",
        "ethanol",
        "-5.0",
        "-3.3",
    )
    database.write_text(f"mobley_9; CCO; ethanol; -5.0; {rest}\n")
    with pytest.raises(UserError, match=r"sdffiles.tar.gz does not have the format .*mobley_9.sdf"):
        READERS["freesolv"]([archive, database])
    database.write_text("mobley_1; CCO\n")
    with pytest.raises(UserError, match="a line does not have 10 fields"):
        READERS["freesolv"]([archive, database])


def test_zincs_csv_has_line_ends_inside_its_cells(tmp_path):
    path = tmp_path / "250k.csv"
    path.write_text('smiles,logP,qed,SAS\n"CC(C)O\n",5.05,0.7,2.08\n"CCN\n",3.1,0.9,3.4\n')
    assert SOURCES["zinc250k"].reader == "plain"
    table = READERS["plain"]([path])
    assert table.texts == ["CC(C)O", "CCN"]
    assert table.columns == ["smiles", "logP", "qed", "SAS"]


def test_values_are_joined_by_name(tmp_path):
    (tmp_path / "a.smi").write_text("CO 7\nCN 9\n")
    (tmp_path / "a.csv").write_text("id,value\n9,1.5\n7,2.5\n")
    table = READERS["named-values"]([tmp_path / "a.smi", tmp_path / "a.csv"])
    assert table.data.to_pydict() == {"smiles": ["CO", "CN"], "name": ["7", "9"], "pIC50": ["2.5", "1.5"]}
    (tmp_path / "a.csv").write_text("id,value\n9,1.5\n")
    with pytest.raises(UserError, match=r"1 molecules of a.smi have no value"):
        READERS["named-values"]([tmp_path / "a.smi", tmp_path / "a.csv"])


def spice(path, smiles=b"[O:1]([H:3])[H:2]", shape=(2, 3, 3)):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        group = file.create_group("O")
        group["smiles"] = [smiles]
        group["conformations"] = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 10
    return path


def test_hdf5_of_spice(tmp_path):
    (row,) = READERS["hdf5"]([spice(tmp_path / "a.hdf5")]).data.to_pylist()
    assert (row["name"], row["smiles"], row["atomic_numbers"]) == ("O", "[O:1]([H:3])[H:2]", [8, 1, 1])
    assert row["coordinates"] == pytest.approx(list(range(18)))  # Å


@pytest.mark.parametrize(
    ("smiles", "shape", "message"),
    [
        (b"[O:1]([H:3])[H:2]", (2, 2, 3), "'O' has 3 mapped atoms, and conformations of shape"),
        (b"[O:1]([H:3])[H]", (2, 3, 3), "does not map every atom"),
        (b"[O:1]([H:2])[H:2]", (2, 3, 3), "does not map every atom"),
        (b"[Xx:1]([H:2])[H:3]", (2, 3, 3), "has the element Xx"),
    ],
)
def test_hdf5_that_is_not_spices(tmp_path, smiles, shape, message):
    with pytest.raises(UserError, match=f"does not have the format of its data set: .*{message}"):
        READERS["hdf5"]([spice(tmp_path / "a.hdf5", smiles, shape)])


def test_what_is_no_hdf5_is_told(tmp_path):
    pytest.importorskip("h5py")
    (tmp_path / "a.hdf5").write_bytes(b"no")
    with pytest.raises(UserError, match=r"a.hdf5 does not have the format of its data set"):
        READERS["hdf5"]([tmp_path / "a.hdf5"])


def test_mapped_numbers_go_by_their_map():
    assert mapped_numbers("[n:1]1[c:3]([Cl:6])[c:4][n+:2][c:5]1") == [7, 7, 6, 6, 6, 17]


def test_hdf5_needs_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"a.hdf5 is an HDF5 file, which needs h5py: pip install 'tetramer\[hdf5\]'"):
        READERS["hdf5"]([tmp_path / "a.hdf5"])

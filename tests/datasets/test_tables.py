"""Every format gives the same kind of table, whole or in pieces, and its structures are found."""

import gzip
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tetramer.datasets import tables
from tetramer.datasets.placed import is_placed
from tetramer.datasets.reactions import reactions
from tetramer.datasets.tables import (
    Table,
    column,
    looks_like_smiles,
    read_table,
    smiles_column,
    stream_table,
    structures,
)
from tetramer.datasets.writing import TableWriter, write_table
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.molecules.conformers import NOTES
from tetramer.molecules.parse import parse_block
from tetramer.molecules.reactions import parse_reaction
from tetramer.views import read

BLOCK = """methane
  maker

  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
M  END
"""
SDF = (
    BLOCK
    + "> <pIC50>  (1)\n5.48\n\n>  25 <note>\ntwo\nlines\n\n$$$$\n"
    + BLOCK.replace("methane", "")
    + "> <name>\n second \n\n$$$$\n"
    + "$$$$\n"
    + BLOCK.replace("methane", "last")
)


@pytest.fixture
def file(tmp_path):
    def make(content: str | bytes, name: str):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.fixture
def stdin(monkeypatch):
    def make(content: str | bytes):
        raw = content.encode() if isinstance(content, str) else content
        fake = type("Input", (), {"buffer": io.BufferedReader(io.BytesIO(raw))})
        monkeypatch.setattr("sys.stdin", fake)

    return make


def table_of(**columns):
    return Table(pa.table(columns), "t.csv")


def test_smi_keeps_every_line_and_the_rest_of_it(file):
    table = read_table(file("CCO  ethanol, dry\n\n C\tx\ty\nCC\x1fO\n", "t.smi"))
    assert table.data.to_pydict() == {"smiles": ["CCO", "", "C", "CC\x1fO"], "name": ["ethanol, dry", "", "x\ty", ""]}
    assert table.texts == ["CCO", "", "C", "CC\x1fO"]


@pytest.mark.parametrize("header", ["smiles name\n", "SMILES\n", "canonical_smiles\tid\n"])
def test_the_header_of_an_smi_is_no_row(file, header):
    assert read_table(file(header + "CCO a\n", "t.smi")).texts == ["CCO"]
    assert read_table(file(header, "t.smi")).texts == []


def test_an_empty_smi_has_no_rows(file):
    assert len(read_table(file("", "t.smi"))) == 0


USPTO = "[Na+:1].[OH-:2].CCBr>O>CCO |f:0.1|"


@pytest.mark.parametrize("ending", ["rsmi", "rsmi.gz"])
def test_an_rsmi_of_patents_has_a_header_and_keeps_its_fragments(file, ending):
    text = f"ReactionSmiles\tPatentNumber\tYear\n{USPTO}\tUS1\t1976\nCC>>CO\tUS2\n\nC>>\tUS3\t1977\tmore\n"
    table = read_table(file(gzip.compress(text.encode()) if ending.endswith("gz") else text, f"t.{ending}"))
    assert table.data.to_pydict() == {
        "ReactionSmiles": [USPTO, "CC>>CO", "", "C>>"],
        "PatentNumber": ["US1", "US2", "", "US3"],
        "Year": ["1976", "", "", "1977\tmore"],
    }
    assert table.texts == reactions(table) == [USPTO, "CC>>CO", "", "C>>"]
    told = parse_reaction(table.texts[0])
    assert [one.molecule.smiles for one in told.reactants] == ["CCBr", "[Na+].[OH-]"]


@pytest.mark.parametrize("header", ["", "reaction_smiles\n", "rxn_smiles name\n"])
def test_an_rsmi_without_names_may_be_short(file, header):
    table = read_table(file(f"{header}CC>>CO |f:0.1|  a name, dry\nCC >> C\nCCO\n", "t.rsmi"))
    assert reactions(table) == ["CC>>CO |f:0.1|", "CC >> C", "CCO"]
    assert table.data["name"].to_pylist() == ["a name, dry", "", ""]
    assert read_table(file("CC>>CO\n", "one.rsmi")).texts == ["CC>>CO"]
    assert len(read_table(file(header, "none.rsmi"))) == 0


def test_sdf_gives_mol_blocks_and_properties_as_columns(file):
    table = read_table(file(SDF, "t.sdf"))
    assert table.data.to_pydict() == {
        "title": ["methane", "", "", "last"],
        "pIC50": ["5.48", None, None, None],
        "note": ["two\nlines", None, None, None],
        "name": [None, " second ", None, None],
    }
    assert table.texts == [BLOCK, BLOCK.replace("methane", ""), "", BLOCK.replace("methane", "last")]
    assert structures(table, "pIC50") == ["5.48", "", "", ""]


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
@pytest.mark.parametrize(
    ("name", "content"), [("63", "smiles\nC\n"), ("63", SDF), ("pipe.sdf", SDF), ("a.csv", "a,b\n1,2\n")]
)
def test_a_pipe_is_read_once(tmp_path, name, content):
    pipe, plain = tmp_path / name, tmp_path / "plain.txt"
    plain.write_text(content)
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(content,), daemon=True)
    writer.start()
    assert table_as_told(read_table(pipe)) == table_as_told(read_table(plain))
    writer.join()


def table_as_told(table):
    return table.data.to_pydict(), table.blocks, table.structure


def test_several_values_of_one_property_are_told(file):
    def record(*values):
        return BLOCK + "".join(f"> <y>\n{value}\n\n" for value in values) + "$$$$\n"

    table = read_table(file(record(1, 2) + record(3) + record(5, 5) + record(1, 2, 1), "t.sdf"))
    assert table.notes == ("2 records of t.sdf with several values of 'y'; the last one was taken.",)
    assert table.data["y"].to_pylist() == ["2", "3", "5", "1"]
    assert read_table(file(record(5, 5), "t.sdf")).notes == ()


def test_an_sdf_without_a_property_called_name_calls_the_title_so(file):
    assert read_table(file(BLOCK, "t.mol")).data.to_pydict() == {"name": ["methane"]}


WATER = "3\n{}\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"
XYZ = WATER.format("O") + "\n" + WATER.format("by hand").replace("O 0", "Qq 0") + "2\n\nH 0 0 0\nH 0 0 0.74\n\n\n"


@pytest.mark.parametrize("name", ["w.xyz", "w.xyz.gz", "w.txt"])
def test_an_xyz_file_has_a_row_a_frame(file, name):
    """Also of a frame whose atoms cannot be read: it is refused, and costs no other."""
    table = read_table(file(gzip.compress(XYZ.encode()) if name.endswith("gz") else XYZ, name))
    assert table.data.to_pydict() == {"comment": ["O", "by hand", ""]}
    damaged = WATER.format("by hand").replace("O 0", "Qq 0")
    assert table.texts == [WATER.format("O").strip(), damaged.strip(), "2\n\nH 0 0 0\nH 0 0 0.74"]
    reading = read(table.texts, ("conformer",), limits=Limits(0))
    assert (reading.smiles, reading.codes) == (["O", "", "[H][H]"], ["ok", "PARSE", "ok"])
    assert [NOTES[note] for note in reading.features["conformer"].notes] == ["GIVEN", "", "GIVEN"]
    assert is_placed([table.texts[0], table.texts[2]])
    pieces = list(stream_table(file(XYZ, "again.xyz"), rows=2))
    assert [(piece.start, len(piece)) for piece in pieces] == [(0, 2), (2, 1)]


def test_files_of_qm9_may_follow_each_other(file):
    """Behind the atoms stand three lines that belong to the frame."""
    frame = "1\ngdb 1\t2\nC 0 0 0\n1341.307\nC\tC\nInChI=1S/CH4/h1H4\tInChI\n"
    table = read_table(file(frame + frame.replace("gdb 1", "gdb 2") + "1\ngdb 3\nHe 0 0 0\n1\n\nHe 0 0 0\n", "q.xyz"))
    assert table.data["comment"].to_pylist() == ["gdb 1\t2", "gdb 2\t2", "gdb 3", ""]
    assert table.texts[0] == frame.strip()
    assert table.texts[2:] == ["1\ngdb 3\nHe 0 0 0", "1\n\nHe 0 0 0"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("water\n" + XYZ, "line 1 is not a number of atoms: 'water'"),
        (XYZ.replace("2\n\nH", "3\n\nH"), "line 12 announces 3 atoms, and 2 follow"),
        (WATER.format("O") + "rest\n", "line 6 is not a number of atoms: 'rest'"),
    ],
)
def test_what_is_no_xyz_is_one_sentence(file, text, says):
    with pytest.raises(UserError, match=f"w.xyz cannot be read as XYZ: {says}"):
        read_table(file(text.rstrip() + "\n", "w.xyz"))


def test_any_property_name_is_a_column(file):
    record = BLOCK + "".join(f"> <{name}>\n1\n\n" for name in ("mol block", "a > b", "smiles", "")) + "$$$$\n"
    assert read_table(file(record, "t.sdf")).columns == ["name", "mol block", "a > b", "smiles"]


def test_sdf_line_ends_do_not_matter(file):
    first = read_table(file(SDF, "t.sdf"))
    second = read_table(file(gzip.compress(SDF.replace("\n", "\r\n").encode()), "u.sdf.gz"))
    assert (first.texts, first.data) == (second.texts, second.data)


def test_a_record_without_end_is_still_a_row(file):
    table = read_table(file("x\n\n\nbroken\n> <a>\n1\n\n$$$$\n" + BLOCK, "t.sdf"))
    assert table.texts == ["x\n\n\nM  END\nbroken\n", BLOCK]
    assert table.data["a"].to_pylist() == ["1", None]


@pytest.mark.parametrize("kept", [1, 8, 60, len(BLOCK) - 9, len(BLOCK) - 1])
def test_a_record_that_was_cut_short_is_a_damaged_mol_block(file, kept):
    table = read_table(file(BLOCK + "$$$$\n" + BLOCK.replace("methane", "last")[:kept], "t.sdf"))
    first, second = (parse_block(text) for text in table.texts)
    assert first.smiles == "C"
    whole = kept >= len(BLOCK) - 4  # only the line end is missing
    assert (second.smiles if whole else second.code) == ("C" if whole else "PARSE")
    assert table.data["name"].to_pylist() == ["methane", "last"[:kept]]
    codes = read(table.texts, [], limits=Limits(0)).codes
    assert codes == ["ok", "ok" if whole else "PARSE"]  # the bulkhead knows it for a mol block too


def test_parquet_keeps_its_types(file, tmp_path):
    path = tmp_path / "t.parquet"
    data = pa.table({"smiles": pa.array(["C", None], pa.large_string()), "y": [1.5, None], "n": [1, 2]})
    pq.write_table(data, path)
    table = read_table(path)
    assert table.data.equals(data)
    assert table.texts == ["C", ""]


def test_a_broken_parquet_file_is_one_sentence(file):
    with pytest.raises(UserError, match=r"t.parquet cannot be read as Parquet: "):
        read_table(file("no", "t.parquet"))


CONTENT = {
    "t.csv": "smiles,y\n" + "".join(f'"C{i}",{i}\n' for i in range(23)),
    "t.tsv": "smiles\ty\n" + "".join(f"C{i}\t{i}\n" for i in range(23)),
    "t.smi": "".join(f"C{i} {i}\n" for i in range(23)),
    "t.sdf": "".join(BLOCK.replace("methane", str(i)) + f"> <p{i}>\n{i}\n\n$$$$\n" for i in range(23)),
}


@pytest.mark.parametrize("rows", [1, 7, 22, 23, 24])
@pytest.mark.parametrize("name", [*CONTENT, "t.parquet"])
def test_pieces_joined_are_the_whole(file, tmp_path, name, rows):
    path = tmp_path / "t.parquet"
    if name == "t.parquet":
        pq.write_table(pa.table({"smiles": [f"C{i}" for i in range(23)]}), path, row_group_size=5)
    else:
        path = file(CONTENT[name], name)
    pieces = list(stream_table(path, rows=rows))
    whole = read_table(path)
    assert [len(piece) for piece in pieces] == [rows] * (23 // rows) + [23 % rows] * (23 % rows > 0)
    assert [piece.start for piece in pieces] == list(range(0, 23, rows))
    assert pa.concat_tables([piece.data for piece in pieces]).equals(whole.data)
    assert [text for piece in pieces for text in piece.texts] == whole.texts
    assert len(whole) == 23


@pytest.mark.parametrize("name", CONTENT)
def test_a_reader_may_stop_early(file, name):
    pieces = stream_table(file(CONTENT[name], name), rows=2)
    assert len(next(pieces)) == 2
    pieces.close()


def test_a_table_without_rows_is_one_empty_piece(file):
    (piece,) = stream_table(file("smiles,y\n", "t.csv"))
    assert (len(piece), piece.columns, piece.texts) == (0, ["smiles", "y"], [])


@pytest.mark.parametrize(
    ("content", "columns", "texts"),
    [
        ("smiles,y\nCCO,1\n", ["smiles", "y"], ["CCO"]),
        ("id;SMILES\na;CCO\n", ["id", "SMILES"], ["CCO"]),
        ("smiles\ty\nCCO\t1\n", ["smiles", "y"], ["CCO"]),
        ("smiles|y\nCCO|1\n", ["smiles", "y"], ["CCO"]),
        ("CCO |lp:2:2| ethanol\nC\n", ["smiles", "name"], ["CCO", "C"]),
        ("Drug,Y\nc1ccccc1,1\n", ["Drug", "Y"], ["c1ccccc1"]),
        ("CCO ethanol\nC\n", ["smiles", "name"], ["CCO", "C"]),
        ("CCO\tethanol, dry\nC\n", ["smiles", "name"], ["CCO", "C"]),
        ("smiles\nCCO\n", ["smiles", "name"], ["CCO"]),
        ("smiles name\nCCO x\n", ["smiles", "name"], ["CCO"]),
        (gzip.compress(b"smiles,y\nCCO,1\n", mtime=0), ["smiles", "y"], ["CCO"]),
        (BLOCK, ["name"], [BLOCK]),
        (
            SDF,
            ["title", "pIC50", "note", "name"],
            [BLOCK, BLOCK.replace("methane", ""), "", BLOCK.replace("methane", "last")],
        ),
    ],
)
def test_standard_input_and_txt_are_recognised_by_their_first_lines(file, stdin, content, columns, texts):
    stdin(content)
    piped, named = read_table("-"), read_table(file(content, "t.txt"))
    assert piped.columns == named.columns == columns
    assert piped.texts == named.texts == texts
    assert piped.name == "standard input"


def test_a_latin_file_leaves_a_note(file):
    assert "Windows-1252" in read_table(file(b"smiles,n\nC,\xe9\n", "t.csv")).notes[0]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"id": ["a"], "SMILES": ["C"]}, "SMILES"),
        ({"smiles": ["C"], "canonical_smiles": ["C"]}, "smiles"),
        ({"Canonical SMILES": ["C"], "name": ["CCO(C)"]}, "Canonical SMILES"),
        ({"ligand_smiles": ["C"], "y": ["1"]}, "ligand_smiles"),
        ({"mol": ["CC(=O)O", "c1ccccc1"], "CID": ["BACE_1", "BACE_2"], "y": ["1", "2"]}, "mol"),
        ({"x": ["CCCO", "", "C1CC1"], "activity": ["CI", "CM", "CA"]}, "x"),
    ],
)
def test_the_structures_are_found_by_name_then_by_content(columns, found):
    assert smiles_column(table_of(**columns)) == found


@pytest.mark.parametrize(
    "name", ["Structure", "mol", "Molecule", "compound_structure", "canonical_smiles", "SMI", "cano_smiles"]
)
def test_common_names_hold_structures_however_short(name, stdin):
    stdin(f"{name}\nCCO\nCC\n")
    assert read_table("-").texts == ["CCO", "CC"]
    assert smiles_column(table_of(**{name: ["CCO", "", "C"], "y": ["1", "2", "3"]})) == name


@pytest.mark.parametrize("cells", [["CCO", "ethanol"], ["1", "2"], ["", ""], [1, 2]])
def test_a_common_name_alone_makes_no_structures(cells):
    with pytest.raises(UserError, match=r"No column of t.csv looks like SMILES"):
        smiles_column(table_of(molecule=cells))


def test_a_repeated_name_is_no_column(file):
    table = read_table(file("smiles,y, y ,y,w\nCCO,1,2,3,4\n", "t.csv"))
    says = r"The header of t.csv has 'y' more than once, as columns 2 and 4. Rename all but the one you mean."
    for find in (column, structures):
        with pytest.raises(UserError, match=says):
            find(table, "y")
    assert column(table, "y.1").to_pylist() == ["3"]
    assert column(table, "w").to_pylist() == ["4"]
    assert column(table, " y ").to_pylist() == ["2"]
    with pytest.raises(UserError, match="'smiles' more than once, as columns 1, 2 and 4"):
        smiles_column(read_table(file("smiles;smiles;y;smiles\nCCO;C;1;C\n", "u.csv")))


def test_a_parquet_file_may_repeat_a_name_too(tmp_path):
    data = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array(["C"])], ["y", "y", "smiles"])
    pq.write_table(data, tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert (table.columns, table.texts) == (["y", "y.1", "smiles"], ["C"])
    with pytest.raises(UserError, match="'y' more than once, as columns 1 and 2"):
        column(table, "y")


@pytest.mark.parametrize(
    "values",
    [["CI", "CI", "CN"], ["CHEMBL25", "CHEMBL3"], ["ethanol", "water"], ["1", "2"], ["", ""], ["InChI=1S/CH4/h1H4"]],
)
def test_what_is_no_smiles_is_not_taken_for_one(values):
    assert not looks_like_smiles(pa.chunked_array([values]))


def test_two_candidates_are_named():
    with pytest.raises(
        UserError, match=r"Several columns of t.csv may hold the structures: 'smiles1', 'smiles2'. Name"
    ):
        smiles_column(table_of(smiles1=["C"], smiles2=["C"]))


def test_no_candidate_lists_the_columns():
    with pytest.raises(UserError, match=r"No column of t.csv looks like SMILES.*'a', 'b'"):
        smiles_column(table_of(a=["x"], b=["y"]))


def test_a_missing_column_names_the_likeliest_and_the_others():
    table = table_of(smiles=["C"], pIC50=["5"], **{f"d{i}": ["0"] for i in range(30)})
    with pytest.raises(UserError, match=r"no column 'pic50'. Did you mean 'pIC50'\?.*and 12 more"):
        column(table, "pic50")


def test_white_space_around_a_name_does_not_matter():
    table = table_of(**{" pIC50": ["5"], "smiles": [" C\n"]})
    assert column(table, "pIC50").to_pylist() == ["5"]
    assert table.texts == ["C"]


def test_a_numeric_column_holds_no_structures():
    with pytest.raises(UserError, match="holds int64, not SMILES"):
        structures(table_of(y=[1, 2]), "y")


def test_the_columns_of_the_input_are_never_altered_by_a_copy(file, tmp_path):
    text = 'smiles,note\nCCO," a ""b"", 01.50"\n,NA\n'
    write_table(read_table(file(text, "t.csv")).data, tmp_path / "u.csv")
    assert (tmp_path / "u.csv").read_text() == text


MEMORY = """
import resource, sys
from tetramer.datasets.tables import stream_table
from tetramer.datasets.writing import TableWriter
rows, peaks = 0, []
with TableWriter(sys.argv[2]) as writer:
    for piece in stream_table(sys.argv[1]):
        writer.append(piece.data)
        rows += len(piece)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(rows, peaks[len(peaks) // 4], peaks[-1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet"])
def test_millions_of_rows_take_no_more_memory_than_the_first(tmp_path, name):
    rng = np.random.default_rng(0)
    with TableWriter(tmp_path / name) as writer:
        for _ in range(40):
            writer.append(pa.table({"smiles": [f"C{i}" for i in range(100_000)], "y": rng.normal(size=100_000)}))
    out = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / name), str(tmp_path / "out.csv")],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    rows, early, late = map(float, out.stdout.split())
    assert rows == 4_000_000
    assert late - early < 60  # MB
    assert tables.ROWS == 65_536


@pytest.mark.parametrize("content", ["CCO\nCCN\nc1ccccc1O\nCC=O\n", "CC(=O)O,aspirin\nCCN,b\nc1ccccc1O,c\nCC=O,d\n"])
def test_a_molecule_that_stands_for_a_header_is_told(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError, match="looks like data: add a line of column names"):
        structures(read_table(path))


def test_categories_are_texts(tmp_path):
    column = pa.array(["CCO", "CC", "CCO"]).dictionary_encode()
    pq.write_table(pa.table({"smiles": column}), tmp_path / "a.parquet")
    assert structures(read_table(tmp_path / "a.parquet")) == ["CCO", "CC", "CCO"]

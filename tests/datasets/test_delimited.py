"""CSV: every cell comes back as it stood, and a broken row is named."""

import csv
import io
import re

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetramer.datasets import delimited
from tetramer.datasets.delimited import delimiter_of, guard, unique_names, widen
from tetramer.datasets.tables import read_table
from tetramer.datasets.writing import write_table
from tetramer.errors import UserError

CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
PLAIN = CELL.filter(lambda text: not text.startswith("'"))  # an apostrophe may be our guard
TRIGGERS = "=+-@\t\r\n"
HOSTILE = st.one_of(
    CELL,
    st.builds(
        lambda a, b, c: a + b + c,
        st.sampled_from(["", "'", "''", " ", '"', "1", ","]),
        st.sampled_from([*TRIGGERS, ""]),
        st.sampled_from(["", "1", "1.5e3", "cmd|' /C calc'!A0", 'HYPERLINK("x")', "\n=1"]),
    ),
)


@pytest.fixture
def read(tmp_path):
    def make(content: str | bytes, name: str = "table.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(path)

    return make


def rows(table):
    return [list(row.values()) for row in table.data.to_pylist()]


def test_cells_are_text_as_it_stands(read):
    table = read('smiles,y,z\nCCO, 1.50 ,NA\n"C,C","a ""b""",\n')
    assert table.columns == ["smiles", "y", "z"]
    assert rows(table) == [["CCO", " 1.50 ", "NA"], ["C,C", 'a "b"', ""]]
    assert set(table.data.schema.types) == {pa.string()}


def test_a_quoted_cell_may_hold_line_ends(read):
    assert rows(read('a,b\n"x\r\ny\nz",1\nC,2\n')) == [["x\r\ny\nz", "1"], ["C", "2"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_read(read, end):
    assert rows(read(end.join(["a,b", "1,2", "3,4", ""]))) == [["1", "2"], ["3", "4"]]
    assert rows(read(end.join(["a,b", "1,2", "3,4"]))) == [["1", "2"], ["3", "4"]]


def test_empty_lines_are_no_rows_but_a_quoted_empty_cell_is(read):
    assert rows(read('a,b\n\n1,2\n\n,\n"",""\n\n')) == [["1", "2"], ["", ""], ["", ""]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [delimited.BLOCK, 16, 1])
def test_in_one_column_an_empty_line_is_an_empty_cell(read, monkeypatch, block: int, end: str) -> None:
    """But not above the header and below the last row, however small the blocks."""
    monkeypatch.setattr(delimited, "BLOCK", block)
    filled = ["", "", "a", "", "C", "", "", '""', "CC", "", "", ""]
    assert rows(read(end.join(filled))) == [[""], ["C"], [""], [""], [""], ["CC"]]
    assert rows(read(end.join([*filled, f'"C{end}{end}C"', "  ", ""])))[-5:] == [[""]] * 3 + [[f"C{end}{end}C"], ["  "]]
    assert len(read(end.join(["a", "", "", ""]))) == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [delimited.BLOCK, 16, 1])
def test_skipped_lines_are_told(read, monkeypatch, block: int, end: str) -> None:
    monkeypatch.setattr(delimited, "BLOCK", block)
    table = read(end.join(["", "a,b", "1,2", "", "", f'"x{end}{end}y",4', "", "5,6", "", ""]))
    assert table.notes == ("3 empty lines of table.csv skipped.",)
    assert read(end.join(["a,b", "1,2", "", "3,4"])).notes == ("1 empty line of table.csv skipped.",)
    assert read(end.join(["", "a,b", "1,2", "", ""])).notes == ()


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_separator_is_found_in_the_header(read, mark):
    assert rows(read(f'"x,;|y"{mark}b{mark}c\n1{mark}2{mark}3\n')) == [["1", "2", "3"]]
    assert delimiter_of(f'"x,,,;;;|||"{mark}b') == mark


@pytest.mark.parametrize(
    ("content", "columns", "row"),
    [
        ("SMILES;logD (pH 7,4)\nCCO;1,5\nCC;2,5\n", ["SMILES", "logD (pH 7,4)"], ["CCO", "1,5"]),
        ("SMILES;logD (pH 7,4)\nCCO;1\nCC;2,5\n", ["SMILES", "logD (pH 7,4)"], ["CCO", "1"]),
        ("a, b, c;smiles\n1,5;CCO\n", ["a, b, c", "smiles"], ["1,5", "CCO"]),
        ("smiles,name;other\nCCO,ethanol;alcohol\n", ["smiles", "name;other"], ["CCO", "ethanol;alcohol"]),
        ("x;y;z,smiles\na;b;c,C\nd;e;f,CC\n", ["x;y;z", "smiles"], ["a;b;c", "C"]),
    ],
)
def test_the_separator_is_the_one_that_suits_the_rows(read, content: str, columns: list[str], row: list[str]) -> None:
    table = read(content)
    assert (table.columns, rows(table)[0]) == (columns, row)


def test_a_row_that_is_cut_off_does_not_choose_the_separator() -> None:
    head = "a,;b,;c,\n" + "1;2;3\n" * 3
    assert delimiter_of(head) == ";"
    assert delimiter_of(head + "3;4\n") == ","  # nothing is even, and the header has more commas
    assert delimiter_of(head + "3;" + "4" * delimited.SNIFFED) == ";"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_line_that_names_the_separator_is_no_header(read, line: str, end: str) -> None:
    table = read(end.join([line, "smiles;y, z", "CCO;1,5", ""]))
    assert table.data.to_pydict() == {"smiles": ["CCO"], "y, z": ["1,5"]}


@pytest.mark.parametrize(
    "content", ["Assay 7\nSMILES;y\nCCO;1\n", "Assay,7\n\nid,smiles\nx,CCO\n", "Assay,,\nCanonical SMILES,y,z\nC,1,2\n"]
)
def test_lines_above_the_header_are_told(read, content: str) -> None:
    with pytest.raises(UserError, match=r"begins with \['Assay.* looks like column names: remove the lines above"):
        read(content)


def test_a_cell_that_says_smiles_is_no_header(read) -> None:
    assert len(read("format,structure\nsmiles,CCO\nmol,x.mol\n")) == 2
    assert len(read("format,structure\nmol,x.mol\nsmiles,CCO\n")) == 2


def test_separators_at_the_end_of_the_rows_are_told(read) -> None:
    with pytest.raises(UserError, match=r"Remove the semicolon at the end of the rows\.$"):
        read("smiles;y\nCCO;1,5;\nCC;2,5;\n")
    with pytest.raises(UserError, match=r"If lines stand above the header, remove them\. A value"):
        read("Title\nstructure,y\nCCO,1\n")


def test_a_row_too_long_names_the_separator(read):
    with pytest.raises(
        UserError, match=r"has 3 values, .* A value that contains a vertical bar must stand in quotation"
    ):
        read("a|b\n1|2|3\n")


def test_a_bar_in_a_name_is_no_separator_beside_commas(read):
    assert rows(read("smiles,|d|,y\nC |lp:0:2|,1,2\n")) == [["C |lp:0:2|", "1", "2"]]


def test_a_tsv_may_hold_commas(read):
    assert rows(read("a,b\tc\n1,2\t3\n", "t.tsv")) == [["1,2", "3"]]


def test_a_repeated_name_gets_a_number_and_a_note(read):
    table = read("a,b,a,a.1,a\n1,2,3,4,5\n")
    assert table.columns == ["a", "b", "a.2", "a.1", "a.3"]
    assert table.notes == ("The header of table.csv repeats 'a'; a number was added.",)


@given(st.lists(st.sampled_from(["a", "a.1", "a.2", "b", "", ".1"])))
@settings(deadline=None)
def test_names_become_unique_and_first_ones_stay(names):
    new, repeated = unique_names(names)
    assert len(set(new)) == len(names)
    assert {name for name in names if names.count(name) > 1} == set(repeated)
    assert all(new[names.index(name)] == name for name in names)


def test_a_header_alone_is_a_table_without_rows(read):
    for content in ("a,b\n", "a,b"):
        table = read(content)
        assert (table.columns, len(table)) == (["a", "b"], 0)


def test_a_header_of_many_thousand_columns_is_read_whole(read):
    names = [f"descriptor number {i}" for i in range(9_000)]
    table = read(",".join(names) + "\n" + ",".join("1" * 9_000) + "\n")
    assert table.columns == names


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(read, content):
    with pytest.raises(UserError, match="is empty; a table begins with a line of column names"):
        read(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,b\n1,2\n\n"x\ny",3\nCC,O,4\n', r"Data row 3 of table.csv has 3 values, the header has 2 columns: 'CC,O,4'"),
        ("a,b\n1,2\n3\n", r"Data row 2 of table.csv has 1 values"),
        ('a,b\n1,2\n3,"4\n5,6\n7,8', r"A quotation mark in the last row of table.csv is never closed"),
        ('a,b\n1,2\n3,"4\n5,6\n7,"x"\n', r"never closed"),
        ('a,b\n"1,2\n3,4\n', r"Data row 1 of table.csv has 1 values.*never closed"),
    ],
)
def test_a_ragged_row_is_named(read, content, message):
    with pytest.raises(UserError, match=message):
        read(content)


def test_a_ragged_row_far_from_the_start_has_the_right_number(read):
    with pytest.raises(UserError, match="Data row 1000001 of"):
        read("a,b\n" + "CCCCCCCC,1\n" * 1_000_000 + "C\n")


def test_a_quotation_mark_that_is_never_closed_is_named(read):
    with pytest.raises(UserError, match="quotation mark is never closed"):
        read('a,b\n1,"2\n' + "CCCCCCCCC,1\n" * 800_000)


def test_a_table_without_a_header_is_recognised(read):
    with pytest.raises(UserError, match="looks like data: add a line of column names"):
        read("CC(=O)O,4.7\nCCO,15.9\n")


@pytest.mark.parametrize("header", ["smiles,N(1),2", "structure,pIC50(nM),2023", "CCO,1", "a,C(=O)"])
def test_odd_column_names_are_not_taken_for_data(read, header):
    assert read(header + "\n").columns == header.split(",")


@given(st.lists(st.tuples(PLAIN, PLAIN), max_size=20), st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None)
def test_what_the_standard_library_writes_is_read_unaltered(tmp_path_factory, cells, end):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *cells])
    path.write_bytes(text.getvalue().encode())
    assert rows(read_table(path)) == [list(row) for row in cells]


@given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=20), st.sampled_from([1, 2]))
@settings(deadline=None)
def test_writing_and_reading_gives_the_same_cells(tmp_path_factory, cells, columns):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    data = pa.table({name: pa.array([row[i] for row in cells], pa.string()) for i, name in enumerate("ab"[:columns])})
    write_table(data, path)
    assert read_table(path).data.equals(data)


@given(st.lists(HOSTILE, min_size=1, max_size=20))
@settings(deadline=None)
def test_no_cell_that_pandas_reads_begins_with_a_formula(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write_table(pa.table({"n": pa.array(range(len(cells))), "t": pa.array(cells, pa.string())}), path)
    back = pd.read_csv(path, dtype=str, keep_default_na=False)["t"].tolist()
    assert len(back) == len(cells)
    number = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
    assert not [cell for cell in back if cell[:1] and cell[0] in TRIGGERS and not number.match(cell)]


def test_the_guard_touches_formulas_and_nothing_else():
    before = ["=1+1", "+x", "-0.77", "-x", "@a", "\tx", "\rx", "'=1", "'x", "CCO", "", "-1e-5", "-", "x=1"]
    after = ["'=1+1", "'+x", "-0.77", "'-x", "'@a", "'\tx", "'\rx", "''=1", "'x", "CCO", "", "-1e-5", "'-", "x=1"]
    assert guard(pa.array(before)).to_pylist() == after


def test_column_names_are_guarded_too(tmp_path):
    path = tmp_path / "t.csv"
    write_table(pa.table({"=cmd()": ["1"], "a,b": ["2"]}), path)
    assert path.read_text() == '\'=cmd(),"a,b"\n1,2\n'
    assert read_table(path).columns == ["=cmd()", "a,b"]


def test_numbers_are_never_guarded_and_missing_values_are_empty(tmp_path):
    path = tmp_path / "t.csv"
    write_table(pa.table({"x": [-1.5, None, float("nan")], "n": [-3, None, 2], "ok": [True, None, False]}), path)
    assert path.read_text() == "x,n,ok\n-1.5,-3,true\n,,\n,2,false\n"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.sampled_from([pa.float64(), pa.float32()]))
@settings(deadline=None)
def test_numbers_read_back_bit_for_bit(tmp_path_factory, values, kind):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    data = pa.table({"x": pa.array(values, pa.float64()).cast(kind, safe=False)})
    write_table(data, path)
    back = read_table(path).data["x"]
    assert back.cast(kind).combine_chunks().equals(data["x"].combine_chunks())


def test_a_fixed_size_list_becomes_columns_in_csv():
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0, 4.0], pa.float32()), 2)
    wide = widen(pa.table({"a": ["x", "y"], "embedding": vectors, "other": vectors}))
    assert wide.column_names == ["a", "e0", "e1", "other_0", "other_1"]
    assert wide["e1"].to_pylist() == [2.0, 4.0]


def test_a_missing_vector_gives_empty_cells(tmp_path):
    path = tmp_path / "t.csv"
    write_table(pa.table({"embedding": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))}), path)
    assert path.read_text() == "e0,e1\n1,2\n,\n"


def test_rows_are_cut_where_they_end_however_small_the_blocks(tmp_path, monkeypatch):
    """Quoted line ends, stray quotation marks and doubled ones: the same table in blocks of 16 bytes as in one."""
    monkeypatch.setattr(delimited, "BLOCK", 16)
    for line in ("\n", "\r\n"):
        path = tmp_path / "t.csv"
        text = f'a,b{line}"x{line}y",1{line}5" tube,2{line}"say ""hi""",3{line},4{line}"",5{line}plain,"6"{line}'
        path.write_bytes(text.encode())
        table = read_table(path).data
        assert table["a"].to_pylist() == [f"x{line}y", '5" tube', 'say "hi"', "", "", "plain"]
        assert table["b"].to_pylist() == ["1", "2", "3", "4", "5", "6"]


def test_a_ragged_row_is_numbered_in_the_file_and_not_in_its_block(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 16)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 50 + "1,2,3\n")
    with pytest.raises(UserError, match="Data row 51 "):
        read_table(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_lines_above_the_header_are_no_rows(read, end: str) -> None:
    table = read(end.join(["", "", "smiles,y", "CCO,1", "", "CC,2", ""]))
    assert table.data.to_pydict() == {"smiles": ["CCO", "CC"], "y": ["1", "2"]}


def test_what_to_do_about_a_short_row(read) -> None:
    with pytest.raises(UserError, match="Every row needs a value or an empty cell"):
        read("smiles,y\nCCO,1\nCC\n")

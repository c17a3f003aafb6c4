"""Streams of text: encodings, damaged files, and sentences about paths."""

import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetramer.datasets import opening
from tetramer.datasets.opening import TextStream, existing, format_of
from tetramer.errors import UserError


def text_of(path):
    with TextStream(path) as stream:
        return b"".join(iter(lambda: stream.read(5), b"")).decode(), stream.note


@pytest.fixture
def file(tmp_path):
    def make(content: bytes, name: str = "table.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_encodings_are_recognised(file, encoding):
    assert text_of(file("naïve µM,Å\n".encode(encoding))) == ("naïve µM,Å\n", None)


def test_windows_text_is_read_and_the_line_named(file):
    text, note = text_of(file("a\nb\nµM –\n".encode("cp1252")))
    assert text == "a\nb\nµM –\n"
    assert "line 3" in note
    assert "Windows-1252" in note


def test_the_five_bytes_without_a_windows_meaning_do_not_stop_the_reader(file):
    assert text_of(file(b"a\x81\n"))[0] == "a\x81\n"


def test_a_file_in_two_encodings_is_refused_with_its_line(file):
    with pytest.raises(UserError, match=r"Line 3 of table.csv is not UTF-8, while lines before it are"):
        text_of(file("é\nb\n".encode() + b"\xe9\n"))


def test_a_character_cut_off_by_the_end_of_the_file_is_not_lost(file):
    text, note = text_of(file(b"a\nb\xc3"))
    assert text == "a\nbÃ"
    assert "line 2" in note
    with pytest.raises(UserError, match="Line 2 of"):
        text_of(file("é\nb".encode() + b"\xc3"))


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_utf16_may_be_cut_anywhere(file, monkeypatch, block):
    monkeypatch.setattr(opening, "BLOCK", block)
    text = "a,b\n" + "é𝄞x" * 9
    assert text_of(file(text.encode("utf-16")))[0] == text


@given(
    text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), block=st.integers(1, 9)
)
@settings(deadline=None)
def test_blocks_may_end_inside_a_character(tmp_path_factory, text, block):
    if text.startswith(("\x1f", "\ufeff", "PK", "PAR1")):
        return
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK", block)
        assert text_of(path) == (text, None)


@pytest.mark.parametrize("name", ["table.csv.gz", "table.csv"])
def test_gzip_is_recognised_by_its_bytes(file, name):
    assert text_of(file(gzip.compress(b"a\n") + gzip.compress(b"b\n"), name))[0] == "a\nb\n"


def test_a_plain_file_called_gz_is_read(file):
    assert text_of(file(b"a\n", "table.csv.gz"))[0] == "a\n"


@pytest.mark.parametrize("cut", [1, 9])
def test_a_gzip_that_was_cut_short_is_refused(file, cut):
    with pytest.raises(UserError, match="damaged or cut short"):
        text_of(file(gzip.compress(b"a,b\n" * 1000)[:-cut]))


def test_a_flipped_bit_in_a_gzip_is_found(file):
    packed = bytearray(gzip.compress(bytes(range(32, 127)) * 50))
    packed[40] ^= 16
    with pytest.raises(UserError, match="damaged or cut short"):
        text_of(file(bytes(packed)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04abc", "zip archive or a spreadsheet"),
        (b"PAR1abc", "is a Parquet file"),
        (b"CC\x00O\n", "not a text file"),
    ],
)
def test_what_is_no_text_says_what_it_is(file, content, message):
    with pytest.raises(UserError, match=message):
        text_of(file(content))


def test_damaged_utf16_is_refused(file):
    with pytest.raises(UserError, match="damaged UTF-16"):
        text_of(file("a,b\n".encode("utf-16") + b"\x41"))


def test_looking_at_the_head_consumes_nothing(file):
    with TextStream(file(b"abc")) as stream:
        assert stream.head() == b"abc"
        assert stream.read() == b"abc"


def test_standard_input_is_left_open(monkeypatch):
    class Input:
        buffer = io.BufferedReader(io.BytesIO(b"abc"))

    monkeypatch.setattr("sys.stdin", Input)
    assert text_of("-")[0] == "abc"
    assert not Input.buffer.closed


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", "csv"), ("a.CSV.GZ", "csv"), ("a.b.tsv", "tsv"), ("a.smi", "smi"), ("a.sdf.gz", "sdf"), ("-", "text")],
)
def test_the_ending_decides_the_format(name, kind):
    assert format_of(name) == kind


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.docx", r"ends in '.docx'.*\.csv"), ("a", "has no ending"), ("a.gz", "'.gz'"), ("a.xlsx", "Save it as CSV")],
)
def test_an_unknown_ending_teaches(name, message):
    with pytest.raises(UserError, match=message):
        format_of(name)


def test_a_missing_file_suggests_a_near_name(tmp_path):
    (tmp_path / "solubility.csv").touch()
    with pytest.raises(UserError, match=r"Did you mean 'solubility.csv'\?"):
        existing(tmp_path / "solubilty.csv")


def test_a_missing_folder_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        existing(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(UserError, match="is a folder"):
        existing(tmp_path)


def test_a_file_that_may_not_be_read_says_so(file, monkeypatch):
    path = file(b"a\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        text_of(path)


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_no_folder(name):
    with pytest.raises(UserError, match=r"The name of the input is empty. Give a file, or - for standard input"):
        existing(name)


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 5000 + ".csv", ""])
def test_impossible_names_are_user_errors(name):
    with pytest.raises(UserError):
        existing(name)

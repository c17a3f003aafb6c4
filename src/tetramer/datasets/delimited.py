"""CSV and TSV, read and written: every cell as the text that stands in the file, in constant memory.

Reading is Arrow's, with every column text, no word taken for a missing value and line ends allowed in quotes; what
Arrow would let pass (a quotation mark left open to the end) or say in its own words is a UserError that names the row.
Rows must be as long as the header. Writing quotes only what needs it: an unaltered table comes out as it went in.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from tetramer.datasets.findings import some
from tetramer.datasets.opening import HEAD, TextStream, label
from tetramer.datasets.records import SMILES_TEXT
from tetramer.errors import UserError

BLOCK = 1 << 20  # bytes given to Arrow at a time
LONGEST = 1 << 22  # bytes of one row; a longer one is a quotation mark that was never closed
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
SNIFFED, FIRST = 65_536, 20  # characters and rows by which the separator is known
SEPARATOR_LINE = r"(?i)[\r\n]*\"?sep=([,;\t|])\"?(?:\r\n|\r|\n)"  # as Excel writes it above the header
NAMES_SMILES = r"(?i)\s*((canonical|isomeric)[\s_]?)?smiles\s*"
LIKE_NUMBER = r"\s*[<>=≤≥~]*\s*[+-]?\d*[.,]?\d+([eE][+-]?\d+)?\s*"
RISKY = "^'*[=+\\-@\t\r\n]"
GUARDED = "^'('*[=+\\-@\t\r\n])"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
ROWS, CELLS = 65_536, 2_000_000  # at most as many are turned into text at a time


def unique_names(names: list[str]) -> tuple[list[str], list[str]]:
    """Column names made different (`x`, `x.1`, `x.2`, as pandas does), and those that were repeated."""
    taken, out, repeated = set(names), [], []
    seen: set[str] = set()
    for name in names:
        new, count = name, 0
        while new in seen or (count and new in taken):
            count += 1
            new = f"{name}.{count}"
        if count:
            repeated.append(name)
        seen.add(new)
        out.append(new)
    return out, list(dict.fromkeys(repeated))


def delimiter_of(head: str) -> str:
    """The separator of a CSV by its first rows: one of SEPARATORS, comma where nothing tells.

    It cuts all of them into equally many cells, more than one. Of several that do, as where decimals have commas, it is
    the one whose cells are most often numbers or structures, then the most frequent one in the header; where none does,
    the most frequent one in the header.
    """

    def fit(mark: str) -> tuple[bool, float, int]:
        rows = _first_rows(head, mark) or [[]]
        even = len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)
        cells = [cell for row in rows[1:] for cell in row if cell.strip()] if even else []
        plain = [cell for cell in cells if re.fullmatch(LIKE_NUMBER, cell) or re.match(SMILES_TEXT, cell.strip())]
        return even, len(plain) / max(1, len(cells)), len(rows[0])

    return max(SEPARATORS, key=fit)


def _first_rows(head: str, delimiter: str) -> list[list[str]]:
    """At most FIRST rows that are not empty; one that is cut off is left out, unless it is the only one."""
    reader = csv.reader(io.StringIO(head[:SNIFFED], newline=""), delimiter=delimiter)
    rows = list(islice((row for row in reader if row), FIRST))
    return rows[:-1] if len(head) > SNIFFED and 1 < len(rows) < FIRST else rows


def header(stream: TextStream, delimiter: str | None) -> tuple[list[str], str, bool]:
    """Column names as written, the separator, and whether nothing follows; only a line `sep=;` is consumed."""
    text = stream.head().decode(errors="ignore")
    if told := re.match(SEPARATOR_LINE, text):
        delimiter, text = told[1], text[told.end() :]
        stream.read(len(told[0]))
    _refuse_title(stream, text, SEPARATORS if delimiter is None else [delimiter])
    delimiter = delimiter or delimiter_of(text)
    rows = (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)
    try:
        first = next(rows, None)
    except csv.Error as error:
        raise UserError(f"The header of {label(stream.path)} cannot be read: {error}.") from error
    try:
        alone = next(rows, None) is None
    except csv.Error:  # a monster follows; the reader of the rows will name it
        alone = False
    if alone and len(stream.head()) == HEAD:
        raise UserError(f"The header of {label(stream.path)} is longer than 1 MB; is a quotation mark never closed?")
    if first is None:
        raise UserError(f"{label(stream.path)} is empty; a table begins with a line of column names.")
    if _is_data(first):
        raise UserError(
            f"{label(stream.path)} begins with {first!r}, which looks like data: add a line of column names before it."
        )
    return first, delimiter, alone


def _refuse_title(stream: TextStream, text: str, delimiters: Iterable[str]) -> None:
    """UserError where one row below the first says "SMILES" above structures: the names of the columns."""
    for delimiter in delimiters:
        rows = _first_rows(text, delimiter)
        named = [(row, at) for row, cells in enumerate(rows) for at, cell in enumerate(cells) if _says_smiles(cell)]
        if len(named) != 1 or not named[0][0] or any("smiles" in cell.casefold() for cell in rows[0]):
            continue
        names, at = rows[named[0][0]], named[0][1]
        below = [row[at].strip() for row in rows[named[0][0] + 1 :] if len(row) == len(names)]
        if len(names) > 1 and below and all(re.match(SMILES_TEXT, cell) for cell in below if cell):
            raise UserError(
                f"{label(stream.path)} begins with {rows[0]!r}, but {names!r} in a row below looks like column names: "
                "remove the lines above the header."
            )


def _says_smiles(cell: str) -> bool:
    return re.fullmatch(NAMES_SMILES, cell) is not None


def _is_data(cells: list[str]) -> bool:
    """Whether a first line is a row: a number and a structure stand in it, and no cell speaks of SMILES."""
    numbers = [cell for cell in cells if re.fullmatch(r"\s*[+-]?[\d.]+\s*", cell)]
    structures = [cell for cell in cells if re.search(r"[=#(\[]", cell) and re.match(SMILES_TEXT, cell.strip())]
    return bool(numbers and structures) and not any("smiles" in cell.casefold() for cell in cells)


def read_delimited(stream: TextStream, delimiter: str | None) -> tuple[Iterator[pa.RecordBatch], list[str], list[str]]:
    """Batches whose columns are all strings, the header as written, notes for the reader.

    Empty lines between rows are skipped, as spreadsheets and pandas do, and the last note tells how many; in a table of
    one column they are empty cells. The apostrophe that `guard` puts before a formula is taken off again.
    """
    found, delimiter, alone = header(stream, delimiter)
    found = [re.sub(GUARDED, r"\1", name) for name in found]
    names, repeated = unique_names(found)
    notes = [f"The header of {label(stream.path)} repeats {name!r}; a number was added." for name in repeated]
    none = pa.record_batch({name: pa.array([], pa.string()) for name in names})
    return chain([none], [] if alone else _batches(stream, names, delimiter, notes)), found, notes


def _batches(stream: TextStream, names: list[str], delimiter: str, notes: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows after the header. A row that Arrow refuses is remembered, as its error message does not say enough.

    Before the last rows, `notes` gets one about the empty lines that were skipped.

    Arrow gets whole rows in memory of its own: its streaming reader would keep Python objects in threads that outlive
    the interpreter, which then aborts at exit.
    """
    ragged: list[arrow_csv.InvalidRow] = []

    def remember(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    parse = arrow_csv.ParseOptions(
        delimiter=delimiter,
        newlines_in_values=True,
        ignore_empty_lines=len(names) > 1,
        invalid_row_handler=remember,
    )
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=[], strings_can_be_null=False
    )
    last, above, skipped = "", 0, 0
    for (block, lines), (following, _) in pairwise(chain(_blocks(stream, delimiter), [(b"", 0)])):
        read = arrow_csv.ReadOptions(
            use_threads=False, block_size=len(block), column_names=names, skip_rows_after_names=0 if above else 1
        )
        try:
            table = arrow_csv.read_csv(pa.BufferReader(_own(block)), read, parse, convert)
        except pa.ArrowInvalid as error:
            if ragged:
                raise UserError(_ragged(label(stream.path), ragged[0], delimiter, above)) from error
            raise UserError(_broken(label(stream.path), str(error))) from error
        rows = table.num_rows + (not above)  # the header counts as a row
        above, skipped = above + rows, skipped + max(0, lines - rows)
        if skipped and not following:
            notes.append(f"{some(skipped, 'empty line')} of {label(stream.path)} skipped.")
        for batch in table.to_batches():
            last = batch.column(batch.num_columns - 1)[-1].as_py() if batch.num_rows else last
            yield unguard(batch)
    if re.search("[\r\n]", last) and (stream.quotes % 2 or not stream.ending.rstrip(b"\r\n").endswith(b'"')):
        raise UserError(f"A quotation mark in the last row of {label(stream.path)} is never closed: {last[:80]!r}.")


def _own(block: bytes) -> pa.Buffer:
    """A copy in Arrow's memory."""
    buffer = pa.allocate_buffer(len(block))
    np.frombuffer(buffer, np.uint8)[:] = np.frombuffer(block, np.uint8)
    return buffer


def _blocks(stream: TextStream, delimiter: str) -> Iterator[tuple[bytes, int]]:
    """The stream in pieces that end with a row, and the number of lines of each, which counts a row as one line.

    Empty lines above the header and below the last row are left out. UserError for a row of more than LONGEST bytes.
    """
    held, blank = b"", b"\r\n"  # what is blank above the header
    while piece := stream.read(BLOCK):
        held = (held + piece).lstrip(blank)
        cut, lines = _rows_end(held, delimiter)
        if filled := len(held[:cut].rstrip(b"\r\n")):
            line = b"\n" if b"\n" in held else b"\r"
            end = held.index(line, filled) + 1
            yield held[:end], lines - held.count(line, end, cut)
            held, blank = held[end:], b""
        elif len(held) > LONGEST and held.strip(b"\r\n"):
            raise UserError(_broken(label(stream.path), "straddling"))
    if held := held.rstrip(b"\r\n"):
        yield held, _rows_end(held, delimiter)[1] + 1


def _rows_end(held: bytes, delimiter: str) -> tuple[int, int]:
    """How many bytes and lines of `held` are whole rows. A line end within quotation marks ends no row."""
    line = b"\n" if b"\n" in held else b"\r"
    held = held if line == b"\n" else held[:-1]  # a carriage return at the end may be half a line end
    if b'"' not in held:
        end = held.rfind(line) + 1
        return end, held.count(line, 0, end)
    sign = re.escape(delimiter.encode())
    plain = rb"[^%b\r\n]*+" % sign
    cell = rb'(?:"(?:[^"]|"")*+"%b|(?!")%b)' % (plain, plain)
    row = re.compile(rb"%b(?:%b%b)*+%b" % (cell, sign, cell, rb"\r" if line == b"\r" else rb"\r?\n"))
    end = lines = 0
    while found := row.match(held, end):
        end, lines = found.end(), lines + 1
    return end, lines


def _ragged(name: str, row: arrow_csv.InvalidRow, delimiter: str, above: int) -> str:
    """The sentence about a row that is longer or shorter than the header; `above`: rows before its block."""
    shown = row.text if len(row.text) <= 80 else row.text[:80] + "…"
    where = f"Data row {row.number - 1 + above}" if row.number is not None else "A row"  # Arrow counts the header
    advice = f"A value that contains a {SEPARATORS[delimiter]} must stand in quotation marks"
    if row.expected_columns == 1:
        advice = f"If lines stand above the header, remove them. {advice}"
    elif row.actual_columns == row.expected_columns + 1 and row.text.rstrip("\r\n").endswith(delimiter):
        advice = f"Remove the {SEPARATORS[delimiter]} at the end of the rows"
    elif row.actual_columns < row.expected_columns:
        advice = f"Every row needs a value or an empty cell for each column, a {SEPARATORS[delimiter]} between them"
    if row.text.count('"') % 2:
        advice = "A quotation mark in it is never closed"
    return (
        f"{where} of {name} has {row.actual_columns} values, the header has {row.expected_columns} columns: "
        f"{shown!r}. {advice}."
    )


def _broken(name: str, error: str) -> str:
    if "straddl" in error:
        return f"{name} has a row longer than {LONGEST >> 20} MB; most likely a quotation mark is never closed."
    return f"{name} cannot be read as a table: {error}."


def unguard(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Take off the apostrophe that `guard` put on."""
    columns = batch.columns
    for index, column in enumerate(columns):
        if pc.any(pc.starts_with(column, "'")).as_py():
            columns[index] = pc.replace_substring_regex(column, GUARDED, "\\1")
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def guard(values: pa.Array) -> pa.Array:
    """Put an apostrophe before text that a spreadsheet would run as a formula (CWE-1236).

    Text that begins with `= + - @`, a tab or a line end gets one, unless it is a plain number; so does text in which
    only apostrophes stand before such a sign, so that taking one off restores every text.
    """
    risky = pc.match_substring_regex(values, RISKY)
    if not pc.any(risky).as_py():
        return values
    risky = pc.and_not(risky, pc.match_substring_regex(values, NUMBER))
    return pc.if_else(risky, pc.binary_join_element_wise(pa.scalar("'"), values, ""), values)


def _quote(values: pa.Array, delimiter: str, alone: bool) -> pa.Array:
    """Quotation marks around text that needs them; around empty text too where it is the only column."""
    needs = pc.match_substring_regex(values, f'["\r\n{delimiter}]' + ("|^$" if alone else ""))
    if not pc.any(needs).as_py():
        return values
    doubled = pc.replace_substring(values, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise(pa.scalar('"'), doubled, pa.scalar('"'), ""), values)


def _cells(values: pa.Array) -> pa.Array:
    """One column as text: null and NaN are empty, floats are the shortest text that reads back equal."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if is_text(values.type):
        return guard(pc.fill_null(values.cast(pa.string()), ""))
    if textless(values.type):
        raise UserError(f"CSV cannot hold a column of {values.type}; write Parquet.")
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return pc.fill_null(values.cast(pa.string()), "")


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of the three that hold text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def textless(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type have no text; lists of a fixed size become columns (`widen`)."""
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return bool(binary or (pa.types.is_nested(kind) and not pa.types.is_fixed_size_list(kind)))


def widen(data: pa.Table) -> pa.Table:
    """Each fixed-size list becomes one column per value: `embedding` e0, e1, …; any other NAME_0, NAME_1, …"""
    names: list[str] = []
    columns: list[pa.ChunkedArray] = []
    for field, values in zip(data.schema, data.columns, strict=True):
        if pa.types.is_fixed_size_list(field.type):
            stem = "e" if field.name == "embedding" else f"{field.name}_"
            for place in range(field.type.list_size):
                names.append(f"{stem}{place}")
                columns.append(pc.list_element(values, place))
        else:
            names.append(field.name)
            columns.append(values)
    return pa.Table.from_arrays(columns, names)


def to_csv(data: pa.Table, delimiter: str = ",") -> Iterator[bytes]:
    """Lines of CSV without a header, a block of rows at a time, UTF-8 with LF.

    Vectorised over columns: about a million rows of four columns a second.
    """
    rows = max(1, min(ROWS, CELLS // max(1, data.num_columns)))
    for start in range(0, data.num_rows, rows):
        piece = data.slice(start, rows).combine_chunks()
        columns = [_quote(_cells(column.chunk(0)), delimiter, data.num_columns == 1) for column in piece.columns]
        lines = pc.binary_join_element_wise(*columns, delimiter)
        text = pc.binary_join_element_wise(lines, pa.scalar("\n"), "")
        offsets = np.frombuffer(text.buffers()[1], np.int32)
        yield text.buffers()[2][offsets[text.offset] : offsets[text.offset + len(text)]].to_pybytes()


def csv_header(names: list[str], delimiter: str = ",") -> bytes:
    """The line of column names, guarded and quoted like cells."""
    cells = _quote(guard(pa.array(names, pa.string())), delimiter, len(names) == 1)
    return (delimiter.join(cells.to_pylist()) + "\n").encode()

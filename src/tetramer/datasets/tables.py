"""Tables of molecules: CSV, TSV, SMI, RSMI, SDF, XYZ and Parquet in; every row kept, no value altered."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tetramer.datasets import records
from tetramer.datasets.delimited import SEPARATORS, is_text, read_delimited, unique_names
from tetramer.datasets.findings import some
from tetramer.datasets.opening import STDIN, TextStream, existing, format_of, is_pipe, label
from tetramer.datasets.rsmi import read_rsmi
from tetramer.errors import UserError, nearest

ROWS = 65_536
SAMPLE = 1_000  # rows looked at to recognise a column of SMILES
SMILES_TEXT = records.SMILES_TEXT
BLOCKY = ("sdf", "xyz")  # formats whose structures are texts of several lines
XYZ_ATOM = re.compile(r"\s*[A-Za-z]{1,2}(\s+[-+]?[\d.]+(e[-+]?\d+)?){3}")
TELLING = r"[a-z()=#\[\d]"  # at least some values must hold one: `CI` alone may be a code
NUMBERS, PLACES = "atomic_numbers", "coordinates"  # lists with a molecule a row
CANONICAL = "canonical_smiles"  # beside a geometry that we made: its molecule, which the input may not be


@dataclass(frozen=True)
class Table:
    """Rows of a file. Text formats give text columns as read; Parquet gives its own types.

    `blocks` are the mol blocks of an SDF or the frames of an XYZ file: they are structures and no column, so an output
    that repeats `data` stays readable. `start` is the number of data rows of the file that come before this piece. A
    header that repeats a name gives columns `x`, `x.1`, …; no one can mean either of them by `x`, so `header` keeps the
    names as written.
    """

    data: pa.Table
    name: str
    start: int = 0
    structure: str | None = None  # the column that the format itself says holds the structures
    blocks: pa.ChunkedArray | None = None
    notes: tuple[str, ...] = ()
    header: tuple[str, ...] = ()  # of the file, with repeated names; empty where nobody needs to know

    def __len__(self) -> int:
        return int(self.data.num_rows if self.blocks is None else len(self.blocks))

    @property
    def columns(self) -> list[str]:
        return list(self.data.column_names)

    @property
    def texts(self) -> list[str]:
        """The structures, found as `structures` finds them."""
        return structures(self)


def read_table(path: str | Path) -> Table:
    """The whole of a file ("-": standard input) as one table.

    The ending decides the format; `.gz` may follow; `.txt` and standard input are recognised by their first lines.
    The apostrophe before `= + - @` that `write_table` adds for the sake of spreadsheets is taken off.
    """
    pieces = list(stream_table(path))
    blocks = [piece.blocks for piece in pieces if piece.blocks is not None]
    return Table(
        pa.concat_tables([piece.data for piece in pieces]),
        pieces[0].name,
        structure=pieces[0].structure,
        blocks=pa.chunked_array([chunk for block in blocks for chunk in block.chunks], pa.string()) if blocks else None,
        notes=pieces[-1].notes,
        header=pieces[0].header,
    )


def stream_table(path: str | Path, rows: int = ROWS) -> Iterator[Table]:
    """A file in pieces of `rows` rows (the last may be shorter), in order, in constant memory.

    All pieces have the same columns; a file without rows gives one empty piece. Arguments as `read_table`.
    """
    if str(path) != STDIN:
        existing(path)
    kind = format_of(path)
    if kind == "parquet":
        for start, data in _cut(_parquet(path), rows):
            names = tuple(data.column_names)
            yield Table(data.rename_columns(unique_names([*names])[0]), label(path), start, header=names)
        return
    with TextStream(path) as stream:
        batches, kind, header, notes = _open(stream, kind)
        for start, data in _cut(batches, rows):
            blocks = data[records.BLOCKS] if kind in BLOCKY else None
            rest = data.drop_columns([records.BLOCKS]) if kind in BLOCKY else data
            found = (*notes, stream.note) if stream.note else tuple(notes)
            structure = rest.column_names[0] if kind in ("smi", "rsmi") else None
            yield Table(rest, label(path), start, structure, blocks, found, tuple(header))


def _open(stream: TextStream, kind: str) -> tuple[Iterator[pa.RecordBatch], str, list[str], list[str]]:
    """Batches of any size, the format that was recognised, the header as written, notes for the reader."""
    if kind == "text":
        kind = sniff(stream)
    if kind == "smi":
        return records.read_smi(stream), kind, [], []
    if kind == "xyz":
        return records.read_xyz(stream), kind, [], []
    if kind == "rsmi":
        return read_rsmi(stream), kind, [], []
    if kind == "sdf":
        batches, notes = _sdf(stream)
        return batches, kind, [], notes
    batches, header, notes = read_delimited(stream, "\t" if kind == "tsv" else None)
    return batches, kind, header, notes


def _sdf(stream: TextStream) -> tuple[Iterator[pa.RecordBatch], list[str]]:
    """A file is read twice, first for the names of all properties; standard input or a pipe is held in memory."""
    if is_pipe(stream.path):
        texts: Iterable[str] = list(records.records(stream))
        names, unclear = records.property_names(texts)
    else:
        with TextStream(stream.path) as first:
            names, unclear = records.property_names(records.records(first))
        texts = records.records(stream)
    notes = [
        f"{some(count, 'record')} of {label(stream.path)} with several values of {name!r}; the last one was taken."
        for name, count in unclear.items()
    ]
    return records.read_sdf(texts, names), notes


def sniff(stream: TextStream) -> str:
    """csv (whatever its separator), smi, sdf or xyz, by the first lines."""
    lines = stream.head()[:65_536].decode(errors="ignore").splitlines()
    if len(lines) > 3 and re.search(r"V[23]000\s*$", lines[3]):
        return "sdf"
    if len(lines) > 2 and lines[0].strip().isdecimal() and XYZ_ATOM.match(lines[2]):
        return "xyz"
    first = next((line for line in lines if line.strip()), "")
    cells = [cell.strip(' "').casefold() for cell in re.split(f"[{''.join(SEPARATORS)}]", first)]
    word = first.split(maxsplit=1)[0][:1000] if first.strip() else ""
    if len(cells) == 1 and cells[0].split()[:1] == ["smiles"]:
        return "smi"
    if any(_plain(cell) in SMILES_NAMES for cell in cells) or not re.match(SMILES_TEXT, word):
        return "csv"
    return "smi"


def _parquet(path: str | Path) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield _decoded(pa.RecordBatch.from_pylist([], file.schema_arrow))
            yield from map(_decoded, file.iter_batches(batch_size=ROWS))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{label(path)} cannot be read as Parquet: {str(error).splitlines()[0].rstrip('.')}."
        ) from error


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The values themselves in place of categories, which are a way of storing them."""
    columns = [col.dictionary_decode() if pa.types.is_dictionary(col.type) else col for col in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _cut(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[tuple[int, pa.Table]]:
    """Batches of any size → (rows before, table) with tables of exactly `rows` rows, the last one shorter."""
    held: list[pa.RecordBatch] = []
    count, start = 0, 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= rows:
            whole = pa.Table.from_batches(held)
            yield start, whole.slice(0, rows)
            start, count = start + rows, count - rows
            held = [batch.slice(0, 0), *whole.slice(rows).to_batches()]
    if count or not start:
        yield start, pa.Table.from_batches(held)


def column(table: Table, name: str) -> pa.ChunkedArray:
    """One column by name; a UserError names the columns there are and the likeliest one."""
    return table.data[find_column(table, name)]


def find_column(table: Table, name: str) -> str:
    """The column's exact name; white space around names does not matter, upper and lower case do.

    A name that the header has more than once is a UserError: nobody knows which column is meant.
    """
    found = _named(table, name)
    places = [str(place) for place, there in enumerate(table.header, 1) if there == found]
    if len(places) > 1:
        listed = f"{', '.join(places[:-1])} and {places[-1]}"
        raise UserError(
            f"The header of {table.name} has {found!r} more than once, as columns {listed}. Rename all but the one you "
            "mean."
        )
    return found


def _named(table: Table, name: str) -> str:
    """The name of the column that is meant; a UserError names the columns there are and the likeliest one."""
    if name in table.columns:
        return name
    trimmed = [there for there in table.columns if there.strip() == name.strip()]
    if len(trimmed) == 1:
        return trimmed[0]
    near = nearest(name, table.columns)
    hint = f" Did you mean {near!r}?" if near else ""
    raise UserError(f"{table.name} has no column {name!r}.{hint} {_listing(table.columns)}")


def _listing(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return f"Its columns are: {shown}{f' and {len(names) - 20} more' if len(names) > 20 else ''}."


SMILES_NAMES = ("smiles", "canonicalsmiles", "isomericsmiles", "smi", "smilesstring", "structuresmiles")


COMMON_NAMES = ("structure", "mol", "molecule", "compound", "compoundstructure", "molstructure")
"""Names that may mean structures, names or amounts: they count where every cell reads as SMILES, however short."""


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", name).casefold()


def smiles_column(table: Table, name: str | None = None) -> str:
    """The column of structures: the one named, else found by its name, else by what stands in it.

    An SDF or XYZ file needs none (`blocks`); asking for it is the same error as for any table without SMILES.
    """
    if name is not None:
        return find_column(table, name)
    if table.structure is not None:
        return table.structure
    if of_geometry(table):
        return CANONICAL
    for fits in (
        _is_smiles,
        _is_variant,
        lambda name: "smiles" in _plain(name),
        lambda name: _plain(name) in COMMON_NAMES and looks_like_smiles(table.data[name], 1.0, 0.0),
        lambda name: looks_like_smiles(table.data[name]),
    ):
        found = [there for there in table.columns if fits(there)]
        if len(found) == 1:
            _refuse_row_as_header(table, found[0])
            return find_column(table, found[0])
        if found:
            listed = ", ".join(repr(there) for there in found)
            raise UserError(f"Several columns of {table.name} may hold the structures: {listed}. Name one.")
    raise UserError(f"No column of {table.name} looks like SMILES; name the column. {_listing(table.columns)}")


def has_geometry(table: Table) -> bool:
    """Whether both columns are there and hold lists."""
    kinds = [table.data.schema.field(name).type for name in (NUMBERS, PLACES) if name in table.columns]
    return len(kinds) == 2 and all(pa.types.is_list(kind) or pa.types.is_large_list(kind) for kind in kinds)


def of_geometry(table: Table) -> bool:
    """Whether the column CANONICAL says what the geometries of a table are; another may have the input's salts."""
    return CANONICAL in table.columns and has_geometry(table)


def _refuse_row_as_header(table: Table, name: str) -> None:
    """UserError if a column is named by a structure like those below: the first row was taken for the header."""
    if re.match(SMILES_TEXT, name.strip()):
        shown = [*table.header][:5] or table.columns[:5]
        raise UserError(
            f"{table.name} begins with {shown!r}, which looks like data: add a line of column names before it."
        )


def names_smiles(name: str) -> bool:
    """Whether a column's name says that it holds the SMILES of the rows."""
    return _is_smiles(name) or _is_variant(name)


def _is_smiles(name: str) -> bool:
    return _plain(name) == "smiles"


def _is_variant(name: str) -> bool:
    return _plain(name) in SMILES_NAMES


def looks_like_smiles(values: pa.ChunkedArray, least: float = 0.9, telling: float = 0.5) -> bool:
    """At least nine in ten of the first values read as SMILES, and at least half hold more than capital letters."""
    if not is_text(values.type):
        return False
    cells = pc.utf8_trim_whitespace(values.slice(0, SAMPLE).cast(pa.string()))
    cells = cells.filter(pc.fill_null(pc.not_equal(cells, ""), False))
    if not len(cells):
        return False
    fits = pc.match_substring_regex(cells, SMILES_TEXT)
    tells = pc.match_substring_regex(cells, TELLING)
    return bool(pc.mean(fits).as_py() >= least and pc.mean(tells).as_py() >= telling)


def structures(table: Table, name: str | None = None) -> list[str]:
    """The structure text of every row: SMILES without outer white space, "" where there is none.

    Of an SDF the mol blocks, of an XYZ file its frames, unless a column is named.
    """
    if table.blocks is not None and name is None:
        return list(table.blocks.to_pylist())
    where = smiles_column(table, name)
    values = table.data[where]
    if not is_text(values.type):
        raise UserError(f"Column {where!r} of {table.name} holds {values.type}, not SMILES.")
    return list(pc.utf8_trim_whitespace(pc.fill_null(values.cast(pa.string()), "")).to_pylist())

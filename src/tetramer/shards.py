"""Long tables: row for row from a file to a file, in shards that a killed run does not do twice.

Finished shards lie in OUT.parts/, named by what they were made from; the last step joins them and renames.
"""

import hashlib
import math
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tetramer import __version__
from tetramer.checkpoint import config_hash, sync_file
from tetramer.datasets.placed import column_like, column_notes, texts_for
from tetramer.datasets.tables import Table, stream_table
from tetramer.datasets.writing import LOCK, TableWriter, apart, check_columns, disk_errors, spared, unfinished
from tetramer.errors import UserError
from tetramer.molecules.conformers import MAKER
from tetramer.views import Reader, Reading
from tetramer.views.read import CHUNK

ROWS = 65_536  # of a shard
MADE_BY = (__version__, MAKER)  # shards of others are made anew
ON_ERROR = ("keep", "skip", "fail")

Columns = Callable[[Reading], dict[str, pa.Array]]


@dataclass(frozen=True)
class Job:
    """From where to where, and what to add to each row. `key` stands for the model and every setting."""

    source: Path | str
    output: Path | str
    views: Sequence[str]
    columns: Columns
    key: str
    smiles: str | None = None
    on_error: str = "keep"
    rows: int = ROWS
    sums: Sequence[str] = ()  # columns of whole numbers of ours that are added up
    known: Sequence[str] = ()  # the column of structures that a model was made with, taken if `smiles` names none

    def __post_init__(self) -> None:
        if self.on_error not in ON_ERROR:
            raise UserError(f"--on-error {self.on_error!r} is not known. Choose {', '.join(ON_ERROR)}.")
        apart(self.output, self.source)

    def writer(self) -> TableWriter:
        """What the joined shards are written with."""
        return TableWriter(self.output)


class Refused(UserError):
    """Rows without a number under on_error="fail"; with another --on-error the shards that are done are still good."""


@dataclass(frozen=True)
class Counts:
    """Rows in, and how many of them by status."""

    rows: int
    by_status: dict[str, int]
    sums: dict[str, int] = field(default_factory=dict)  # of the columns that the job adds up


def apply(
    job: Job,
    reader: Reader,
    progress: Callable[[int], None] = lambda done: None,
    say: Callable[[str], None] = lambda note: None,
) -> Counts:
    """Write input columns and the job's columns for every row, in order. Raises UserError under on_error="fail".

    `say` is told what there is to know of the input, such as an encoding that is not UTF-8.
    """
    if str(job.output) == "-":
        with job.writer() as writer:
            return join((piece.table for piece in pieces(job, reader, progress, say)), job, writer)
    job.writer().discard()  # a name that cannot be written is told before the work
    parts, source = Path(f"{job.output}.parts"), input_hash(job.source)
    key = config_hash([job.key, source, Path(job.source).suffixes, job.smiles, job.rows, *MADE_BY])[:24]

    def useful(error: UserError) -> bool:  # worth a folder that stays; one shard is soon made again
        return isinstance(error, Refused) and len(list(parts.glob("*.arrow"))) > 1

    with unfinished(parts, useful):
        with disk_errors(parts, 0):
            ours = set() if source is None else set(parts.glob(f"*-{key}.arrow"))
            stale = [path for path in parts.iterdir() if path.name != LOCK and path not in ours]
            told = pieces(job, reader, progress, say, lambda number: parts / name(number, key) in ours)
            for first in told:
                while stale:  # of another input, model or setting, or cut short; a mistake is told before they go
                    stale.pop().unlink()
                write_shard(first, told, parts / name(first.shard, key))
        done = (read_shard(path) for path in sorted(parts.glob(f"*-{key}.arrow")))
        with job.writer() as writer:
            counts = join(done, job, writer)
    shutil.rmtree(parts, ignore_errors=True)
    return counts


def name(number: int, key: str) -> str:
    """File name of a shard."""
    return f"{number:06d}-{key}.arrow"


def input_hash(source: Path | str) -> str | None:
    """SHA-256 of a file. What cannot be read twice, standard input or a pipe, has none and is never resumed."""
    if str(source) == "-" or not Path(source).is_file():
        return None
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Piece(NamedTuple):
    """Rows of one reading, finished; the number of the shard that they belong to, and whether they are its last."""

    shard: int
    table: pa.Table
    last: bool


def pieces(
    job: Job,
    reader: Reader,
    progress: Callable[[int], None],
    say: Callable[[str], None],
    skip: Callable[[int], bool] = lambda number: False,
) -> Iterator[Piece]:
    """Every row of every shard that is not skipped; one pool of workers reads through all of them.

    Nothing is kept between readings: answers that wait among the networks' large arrays would tear up the memory.
    """
    waiting: deque[tuple[int, Table]] = deque()
    done = 0
    noted = set[str]()

    def texts() -> Iterator[str]:
        nonlocal done
        column = job.smiles
        for number, table in enumerate(stream_table(job.source, rows=job.rows)):
            if number == 0:
                check_columns(table.data.schema, job.output)
            for note in table.notes:
                if note not in noted:
                    noted.add(note)
                    say(note)
            if column is None:  # found once: every piece of a file is read the same way
                column = column_like(table, job.known, reader.standard.reactions)
                for note in column_notes(table, column) if number == 0 else ():
                    say(note)
            if skip(number):
                done += len(table)
                continue
            waiting.append((number, table))
            yield from texts_for(job.views, table, column, reader.standard.reactions)

    place = 0
    for reading in reader.stream(texts(), job.views, math.gcd(job.rows, CHUNK)):  # no chunk crosses a shard's end
        number, table = waiting[0]
        start, place, done = place, place + len(reading), done + len(reading)
        if place == len(table):
            waiting.popleft()
            place = 0
        yield Piece(number, widened(table, start, reading, job.columns(reading)), place == 0)
        progress(done)
    while waiting:  # a file without rows
        number, table = waiting.popleft()
        empty = reader.read([], job.views)
        yield Piece(number, widened(table, 0, empty, job.columns(empty)), True)


def widened(table: Table, place: int, reading: Reading, ours: dict[str, pa.Array]) -> pa.Table:
    """The input's rows from `place` on, then our columns; one of the input that has our name is kept as NAME_input."""
    data = table.data.slice(place, len(reading))
    if table.blocks is not None and "smiles" not in data.column_names:
        texts = pa.array([text or None for text in reading.smiles], pa.string())
        data = data.append_column("smiles", texts) if data.num_columns else pa.table({"smiles": texts})
    data = data.rename_columns(spared(data.column_names, ours))
    for name, column in ours.items():
        data = data.append_column(name, column)
    return data


def write_shard(piece: Piece, rest: Iterator[Piece], path: Path) -> None:
    """One Arrow file of a piece and those after it in the same shard, whole or not at all."""
    made = path.with_suffix(".tmp")
    with disk_errors(path, piece.table.nbytes):
        try:
            with pa.OSFile(str(made), "wb") as sink, pa.ipc.new_file(sink, piece.table.schema) as file:
                file.write_table(piece.table)
                while not piece.last:
                    piece = next(rest)
                    file.write_table(piece.table)
            sync_file(made)
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)


def read_shard(path: Path) -> pa.Table:
    """What `write_shard` wrote, mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def join(tables: Iterator[pa.Table], job: Job, writer: TableWriter) -> Counts:
    """Append all tables to the output, in order, and count the statuses."""
    rows, statuses, sums = 0, dict[str, int](), dict.fromkeys(job.sums, 0)
    first_bad = ""
    for table in tables:
        for pair in pc.value_counts(table["status"].combine_chunks()).to_pylist():
            statuses[pair["values"]] = statuses.get(pair["values"], 0) + pair["counts"]
        for column in sums:
            sums[column] += pc.sum(table[column]).as_py() or 0
        good = pc.starts_with(table["status"], "ok")
        if not first_bad and table.num_rows and not pc.all(good).as_py():
            place = pc.index(good, False).as_py()
            first_bad = f"row {rows + place + 1}: {table['status'][place]}, {table['reason'][place]}"
        if first_bad and job.on_error == "fail" and str(job.output) == "-":
            raise Refused(f"A structure was refused ({first_bad}). Use --on-error keep to write such rows too.")
        rows += table.num_rows
        writer.append(table.filter(good) if job.on_error == "skip" else table)
    if first_bad and job.on_error == "fail":
        bad = sum(count for status, count in statuses.items() if not status.startswith("ok"))
        raise Refused(f"{bad} of {rows} structures were refused ({first_bad}). Use --on-error keep to write them.")
    return Counts(rows, statuses, sums)

"""Long tables: row for row from a file to a file, in shards that a killed run does not do twice.

Finished shards lie in OUT.parts/, named by what they were made from; the last step joins them and renames.
"""

import hashlib
import math
import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tetramer import __version__
from tetramer.checkpoint import config_hash, sync_file
from tetramer.datasets.tables import Table, smiles_column, stream_table, structures
from tetramer.datasets.writing import LOCK, TableWriter, disk_errors, locked
from tetramer.errors import UserError
from tetramer.views import Reader, Reading
from tetramer.views.read import CHUNK

ROWS = 65_536  # of a shard
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

    def __post_init__(self) -> None:
        if self.on_error not in ON_ERROR:
            raise UserError(f"--on-error {self.on_error!r} is not known. Choose {', '.join(ON_ERROR)}.")
        if Path(self.output).exists() and Path(self.source).exists() and Path(self.output).samefile(self.source):
            raise UserError(f"{self.output} is the input. Give --output another name.")


@dataclass(frozen=True)
class Counts:
    """Rows in, and how many of them by status."""

    rows: int
    by_status: dict[str, int]


def apply(job: Job, reader: Reader, progress: Callable[[int], None] = lambda done: None) -> Counts:
    """Write input columns and the job's columns for every row, in order. Raises UserError under on_error="fail"."""
    if str(job.output) == "-":
        with TableWriter(job.output) as writer:
            return join(shards(job, reader, progress), job, writer)
    TableWriter(job.output).discard()  # a name that cannot be written is told before the work
    parts, told = Path(f"{job.output}.parts"), input_hash(job.source)
    key = config_hash([job.key, told, Path(job.source).suffixes, job.smiles, job.rows, __version__])[:24]
    with locked(parts):
        with disk_errors(parts, 0):
            for path in parts.iterdir():
                if path.name != LOCK and (told is None or not path.name.endswith(f"-{key}.arrow")):
                    path.unlink()  # of another input, model or setting, or cut short
            for number, table in shards(job, reader, progress, lambda number: (parts / name(number, key)).is_file()):
                write_shard(table, parts / name(number, key))
        done = ((number, read_shard(path)) for number, path in enumerate(sorted(parts.glob(f"*-{key}.arrow"))))
        with TableWriter(job.output) as writer:
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


def shards(
    job: Job,
    reader: Reader,
    progress: Callable[[int], None],
    skip: Callable[[int], bool] = lambda number: False,
) -> Iterator[tuple[int, pa.Table]]:
    """Number and finished table of every shard that is not skipped; one pool of workers reads through all of them."""
    waiting: deque[tuple[int, Table]] = deque()
    done = 0

    def texts() -> Iterator[str]:
        nonlocal done
        column = job.smiles
        for number, table in enumerate(stream_table(job.source, rows=job.rows)):
            if column is None and table.blocks is None:
                column = smiles_column(table)  # found once: every piece of a file is read the same way
            if skip(number):
                done += len(table)
                continue
            waiting.append((number, table))
            yield from structures(table, column)

    held: list[tuple[Reading, dict[str, pa.Array]]] = []
    count = 0
    for reading in reader.stream(texts(), job.views, math.gcd(job.rows, CHUNK)):  # no chunk crosses a shard's end
        held.append((reading, job.columns(reading)))
        count, done = count + len(reading), done + len(reading)
        progress(done)
        if count == len(waiting[0][1]):
            number, table = waiting.popleft()
            yield number, widened(table, held)
            held, count = [], 0
    while waiting:  # a file without rows
        number, table = waiting.popleft()
        empty = reader.read([], job.views)
        yield number, widened(table, [(empty, job.columns(empty))])


def widened(table: Table, held: list[tuple[Reading, dict[str, pa.Array]]]) -> pa.Table:
    """The input's columns, then ours; an input column that has one of our names is kept as NAME_input."""
    names = list(held[0][1])
    ours = {name: pa.chunked_array([columns[name] for _, columns in held]) for name in names}
    data = table.data
    if table.blocks is not None and "smiles" not in data.column_names:
        texts = [text or None for reading, _ in held for text in reading.smiles]
        data = (
            data.append_column("smiles", pa.array(texts, pa.string()))
            if data.num_columns
            else pa.table({"smiles": texts})
        )
    data = data.rename_columns(spared(data.column_names, ours))
    for name, column in ours.items():
        data = data.append_column(name, column)
    return data


def spared(names: list[str], ours: Collection[str]) -> list[str]:
    """The input's column names; one that is ours gets `_input`, as often as it takes to be alone."""
    taken, out = {*names, *ours}, []
    for name in names:
        if name in ours:
            while name in taken:
                name += "_input"
            taken.add(name)
        out.append(name)
    return out


def write_shard(table: pa.Table, path: Path) -> None:
    """One Arrow file, whole or not at all."""
    made = path.with_suffix(".tmp")
    with disk_errors(path, table.nbytes):
        try:
            with pa.OSFile(str(made), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
                file.write_table(table)
            sync_file(made)
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)


def read_shard(path: Path) -> pa.Table:
    """What `write_shard` wrote, mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def join(pieces: Iterator[tuple[int, pa.Table]], job: Job, writer: TableWriter) -> Counts:
    """Append every shard to the output, in order, and count the statuses."""
    rows, statuses = 0, dict[str, int]()
    first_bad = ""
    for _, table in pieces:
        for pair in pc.value_counts(table["status"].combine_chunks()).to_pylist():
            statuses[pair["values"]] = statuses.get(pair["values"], 0) + pair["counts"]
        good = pc.starts_with(table["status"], "ok")
        if not first_bad and table.num_rows and not pc.all(good).as_py():
            place = pc.index(good, False).as_py()
            first_bad = f"row {rows + place + 1}: {table['status'][place]}, {table['reason'][place]}"
        rows += table.num_rows
        writer.append(table.filter(good) if job.on_error == "skip" else table)
    if first_bad and job.on_error == "fail":
        bad = sum(count for status, count in statuses.items() if not status.startswith("ok"))
        raise UserError(f"{bad} of {rows} structures were refused ({first_bad}). Use --on-error keep to write them.")
    return Counts(rows, statuses)

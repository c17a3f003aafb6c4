"""Tables to CSV and Parquet: whole or not at all, and safe to open in a spreadsheet.

The way of a file: temporary name in the same folder, write, flush, fsync, rename, fsync of the folder. Killed at any
instant, it leaves the old file or the new one, and at worst a stray `.NAME.….tmp`. A full, read-only or forbidden disk
is a DiskError (exit code 74); a name that cannot be written is a UserError (exit code 2).
"""

import contextlib
import errno
import gzip
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, ClassVar, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tetramer.datasets.delimited import csv_header, textless, to_csv, widen
from tetramer.datasets.opening import STDIN
from tetramer.errors import DiskError, UserError

ROWS = 65_536  # of one Parquet row group, so that a reader can go piece by piece
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DISK_ERRORS = FULL | {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
LOCK = "lock"  # file in a folder of unfinished work that one process holds


@contextlib.contextmanager
def disk_errors(path: Path, need: int) -> Iterator[None]:
    """Turn the disk's refusals into a DiskError that names the path and, if it is full, the bytes needed and free.

    need: bytes, roughly. Other operating-system errors become UserErrors. A pipe closed by its reader passes through:
    the command line ends quietly then.
    """
    try:
        yield
    except BrokenPipeError:  # whoever read our standard output has gone; no fault of the disk
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if str(path) == STDIN:
            raise DiskError(f"Standard output cannot be written: {reason}. Give a file with --output.") from error
        if error.errno not in DISK_ERRORS:
            raise UserError(f"{path} cannot be written: {reason}.") from error
        if error.errno not in FULL:
            raise DiskError(f"{path} cannot be written: {reason}. What was there before is intact.") from error
        folder = next((there for there in path.absolute().parents if there.exists()), Path.cwd())
        free = shutil.disk_usage(folder).free
        raise DiskError(
            f"{path} cannot be written: {reason}. About {need / 1e6:,.1f} MB are needed and "
            f"{free / 1e6:,.1f} MB are free. What was there before is intact."
        ) from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, which is made if need be, for this process; UserError if another one holds it.

    The system lets go of the lock when its process ends, however it ends.
    """
    from filelock import FileLock, Timeout

    with disk_errors(folder, 0):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(
                f"Another run is at work in {folder}. Wait until it ends, or choose another --output."
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def unfinished(folder: Path, useful: Callable[[UserError], bool] = lambda error: False) -> Iterator[None]:
    """`locked`, for work that a stopped run leaves to the next one.

    A UserError takes with it a folder that this run began, unless what is done is `useful` after it: the command has to
    be changed first. A disk that refuses or a signal leaves everything, and so does an earlier run's work.
    """
    useless = False
    try:
        with locked(folder):
            begun = {path.name for path in folder.iterdir()} <= {LOCK}
            try:
                yield
            except UserError as error:
                useless = begun and not isinstance(error, DiskError) and not useful(error)
                raise
    finally:
        if useless:
            shutil.rmtree(folder, ignore_errors=True)


class TableWriter:
    """Append tables of equal columns; `finish` puts the whole file in place with one rename.

    Until then everything lies in a temporary file beside the target, which an error removes. The ending of `path`
    decides: .csv, .tsv (also .gz) or .parquet; "-" is CSV on standard output, where nothing can be held back. Used as
    a context manager it finishes by itself.
    """

    KINDS: ClassVar[dict[str, str]] = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet"}

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.kind = _kind(path, self.KINDS)
        self.schema: pa.Schema | None = None
        self._bytes = 0
        self._sheet: pq.ParquetWriter | None = None
        self._temporary: Path | None = None
        with disk_errors(self.path, 0):
            self._file = self._open(path)
        self._out: BinaryIO = self._file
        if self.path.suffix.casefold() == ".gz":
            self._out = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=6, filename="", mtime=0)  # type: ignore[assignment]

    def _open(self, path: str | Path) -> BinaryIO:
        if str(path) == STDIN:
            return sys.stdout.buffer
        if self.path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file to write.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.tmp")
        return self._temporary.open("xb")

    def append(self, data: pa.Table | pa.RecordBatch) -> None:
        """Write rows; the first call fixes the columns and their types."""
        table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
        if self.kind != "parquet":
            table = widen(table)
        self._bytes += table.nbytes
        with self._guarded():
            if self.schema is None:
                self.schema = self._begin(table.schema)
            table = table.cast(self.schema)
            if self._sheet is not None:
                self._sheet.write_table(table, row_group_size=ROWS)
            else:
                for block in to_csv(table, self._delimiter):
                    self._out.write(block)

    @property
    def _delimiter(self) -> str:
        return "\t" if self.kind == "tsv" else ","

    def _begin(self, schema: pa.Schema) -> pa.Schema:
        """Write what comes before the first row; two columns of one name would not survive a reader."""
        names: list[str] = schema.names
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise UserError(f"{self.path} would have two columns {twice[0]!r}; rename one in the input.")
        if self.kind == "parquet":
            self._sheet = pq.ParquetWriter(self._out, schema, compression="zstd")
        else:
            self._out.write(csv_header(names, self._delimiter))
        return schema

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever goes wrong inside, the temporary file is gone afterwards."""
        whole = False
        try:
            with disk_errors(self.path, self._bytes):
                yield
            whole = True
        finally:
            if not whole:
                self.discard()

    def finish(self) -> None:
        """Flush to the disk and put the file in place."""
        with self._guarded():
            if self._sheet is not None:
                self._sheet.close()
            if self._out is not self._file:
                self._out.close()
            self._file.flush()
            if self._temporary is None:
                return
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self.path)
            self._temporary = None
            sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove what was written; the file that was there before stays."""
        if self._temporary is None:
            return
        if self._sheet is not None:
            self._sheet.is_open = False  # or it would try to end the file when it is collected
            self._sheet = None
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink()
        self._temporary = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole or not at all; folders above are made. DiskError leaves what stood there."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file to write.")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with disk_errors(path, len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def apart(output: str | Path, source: str | Path) -> None:
    """UserError if both are one file: it would be gone before it is read."""
    if Path(output).exists() and Path(source).exists() and Path(output).samefile(source):
        raise UserError(f"{output} is the input. Give --output another name.")


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; Windows has no such call and does it by itself."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _kind(path: str | Path, kinds: dict[str, str]) -> str:
    if str(path) == STDIN:
        return "csv"
    suffixes = [suffix.casefold() for suffix in Path(path).suffixes]
    packed = suffixes[-1:] == [".gz"]
    last = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    if last not in kinds or (packed and kinds[last] == "parquet"):
        raise UserError(f"{Path(path).name!r} cannot be written: end its name in .csv, .csv.gz, .tsv or .parquet.")
    return kinds[last]


def check_columns(schema: pa.Schema, path: str | Path) -> None:
    """UserError where the file at `path` would be CSV or TSV and a column is of a type that has no text."""
    if Path(path).suffix.casefold() in (".parquet", ".pq", ".sdf"):
        return
    for field in schema:
        if textless(field.type):
            raise UserError(
                f"{path} cannot hold the column {field.name!r}, which holds {field.type}: write Parquet, or leave the "
                "column out of the input."
            )


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


def write_table(data: pa.Table, path: str | Path) -> None:
    """Write a whole table: what TableWriter does, in one call.

    Text cells that a spreadsheet would run as a formula get an apostrophe, which `read_table` takes off again.
    Parquet has neither need nor guard.
    """
    with TableWriter(path) as writer:
        writer.append(data)

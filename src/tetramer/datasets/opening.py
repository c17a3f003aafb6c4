"""A path or standard input becomes a stream of UTF-8 bytes, or a sentence that says why it cannot.

Every error of this module is a UserError: missing file (with the nearest name in its folder), folder in place of a
file, no permission, unknown ending, damaged gzip, an archive or a binary file, two encodings in one file. Nothing is
read into memory but the present block, so a table may be larger than memory, and standard input may never end.
"""

import codecs
import gzip
import io
import sys
import zlib
from pathlib import Path

from tetramer.datasets.catalogue import SOURCES
from tetramer.errors import UserError, nearest

BLOCK = 1 << 20
HEAD = 1 << 20  # bytes that must hold the header
STDIN = "-"
ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "text",
    ".smi": "smi",
    ".smiles": "smi",
    ".ism": "smi",
    ".can": "smi",
    ".rsmi": "rsmi",
    ".sdf": "sdf",
    ".sd": "sdf",
    ".mol": "sdf",
    ".xyz": "xyz",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""Ending → format. "text" means: look at the first lines and decide, as for standard input."""

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def label(path: str | Path) -> str:
    """What messages call the input: the file's name, or "standard input"."""
    return "standard input" if str(path) == STDIN else Path(path).name or repr(str(path))


def format_of(path: str | Path) -> str:
    """The format that the ending promises, one of the values of ENDINGS; `.gz` after it is fine.

    Upper and lower case do not matter. Standard input is "text", and so is a pipe or device whose name has no such
    ending, as a shell makes them of `<(…)`. An unknown ending is a UserError that lists the known.
    """
    if str(path) == STDIN:
        return "text"
    suffixes = [suffix.casefold() for suffix in Path(path).suffixes]
    last = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if last in ENDINGS:
        return ENDINGS[last]
    if is_pipe(path):
        return "text"
    if last in (".xlsx", ".xls", ".ods"):
        raise UserError(
            f"{label(path)} is a spreadsheet. Save it as CSV (File, Save As, CSV UTF-8) and give that file."
        )
    found = f"ends in {last!r}" if last else "has no ending"
    raise UserError(
        f"{label(path)} {found}, so its format is unknown. Rename it to one of: {', '.join(ENDINGS)} "
        "(text formats also with .gz)."
    )


def is_pipe(path: str | Path) -> bool:
    """Whether what stands at a path can be read once only: standard input, a named pipe or a device."""
    return str(path) == STDIN or Path(path).is_fifo() or Path(path).is_char_device()


def existing(path: str | Path) -> Path:
    """The path of a file that is there, or a UserError that says what is there instead.

    Of a missing file it names the nearest name in the same folder, so that a slip of the pen is seen at once.
    """
    if not str(path).strip():
        raise UserError("The name of the input is empty. Give a file, or - for standard input.")
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give a file inside it.")
        if path.exists():
            return path  # a file, or a named pipe, which reads like one
        near = nearest(path.name, [entry.name for entry in path.parent.iterdir()]) if path.parent.is_dir() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {_why(error)}.") from error
    if not path.parent.is_dir():
        raise UserError(f"There is no folder {path.parent}, so {path.name} cannot be read from it.")
    hint = f" Did you mean {near!r}?" if near else ""
    if str(path) in SOURCES:
        hint = f" {path} is a public data set: `tetramer datasets fetch {path}` tells where its file is."
    raise UserError(f"There is no file {path.name!r} in {path.parent.resolve()}.{hint}")


def _why(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).rstrip(".")


def open_bytes(path: str | Path) -> io.BufferedReader:
    """The bytes of a file or of standard input as they are."""
    if str(path) == STDIN:
        held = sys.stdin.buffer
        return held if isinstance(held, io.BufferedReader) else io.BufferedReader(held)  # type: ignore[arg-type]
    try:
        return existing(path).open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {_why(error)}.") from error


class TextStream(io.RawIOBase):
    """UTF-8 bytes of a text file in constant memory, whatever it was written in.

    A byte order mark is dropped and UTF-16 converted. A file that is not UTF-8 is read as Windows-1252 (the superset
    of Latin-1 that spreadsheets write) and `note` says so; a file that mixes both is a UserError naming the line.
    Bytes that begin as gzip does are unpacked, whatever the ending says.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self._plain = open_bytes(path)
        packed = self._plain.peek(2)[:2] == b"\x1f\x8b"
        self._source = gzip.GzipFile(fileobj=self._plain) if packed else self._plain
        self.note: str | None = None
        self.quotes = 0  # quotation marks handed out
        self.ending = b""  # the last bytes handed out
        self._ready = b""  # decoded, not yet handed out
        self._tail = b""  # a character cut in two by the end of a block
        self._lines = 1
        self._beyond_ascii = False
        self._utf16: codecs.IncrementalDecoder | None = None
        try:
            self._start()
        except UserError:
            self.close()
            raise

    def _start(self) -> None:
        """Decide by the first block: byte order mark, binary files that people mistake for text, or plain text."""
        first = self._read()
        while 0 < len(first) < 4 and (more := self._read()):  # a pipe may give a byte at a time
            first += more
        if first.startswith(UTF16):
            self._utf16 = codecs.getincrementaldecoder("utf-16")()
            self._ready = self._narrow(first)
            return
        if first.startswith(b"PK\x03\x04"):
            raise UserError(f"{label(self.path)} is a zip archive or a spreadsheet; unpack it or save it as CSV.")
        if first.startswith(b"PAR1"):
            raise UserError(f"{label(self.path)} is a Parquet file; give it by a name that ends in .parquet.")
        if b"\x00" in first:
            raise UserError(f"{label(self.path)} is not a text file: it holds zero bytes.")
        self._ready = self._decode(first.removeprefix(codecs.BOM_UTF8))

    def _read(self) -> bytes:
        """The next block, b"" at the end; errors of gzip and of the disk as sentences."""
        try:
            return self._source.read1(BLOCK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            name = label(self.path)
            raise UserError(f"{name} is damaged or cut short ({_why(error)}); copy or download it again.") from error
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {_why(error)}.") from error

    def _decode(self, raw: bytes) -> bytes:
        """Bytes as read → UTF-8; keeps back the first bytes of a character that goes on in the next block."""
        block = self._tail + raw
        self._tail = b""
        if self.note is not None:
            return _from_windows(block)
        if not block.isascii():
            try:
                _, used = codecs.utf_8_decode(block, "strict", not raw)
                block, self._tail = block[:used], block[used:]
                self._beyond_ascii |= not block.isascii()
            except UnicodeDecodeError as error:
                line = self._lines + block.count(b"\n", 0, error.start)
                if self._beyond_ascii or not block[: error.start].isascii():
                    raise UserError(
                        f"Line {line} of {label(self.path)} is not UTF-8, while lines before it are. "
                        "Save the whole file in one encoding, best UTF-8."
                    ) from error
                self.note = f"{label(self.path)} is not UTF-8 (first in line {line}); it was read as Windows-1252."
                block = _from_windows(block)
        self._lines += block.count(b"\n")
        return block

    def _narrow(self, raw: bytes) -> bytes:
        """UTF-16 as read → UTF-8."""
        assert self._utf16 is not None
        try:
            return self._utf16.decode(raw, final=not raw).encode()
        except UnicodeDecodeError as error:
            raise UserError(f"{label(self.path)} is damaged UTF-16; save it as UTF-8.") from error

    def _more(self) -> bool:
        """Decode one more block; False at the end of the file."""
        raw = self._read()
        if self._utf16 is not None:
            self._ready += self._narrow(raw)
        else:
            self._ready += self._decode(raw)
        return bool(raw)

    def head(self) -> bytes:
        """The first HEAD bytes or the whole of a shorter file, without consuming them."""
        while len(self._ready) < HEAD and self._more():
            pass
        return self._ready[:HEAD]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The one method that io.RawIOBase needs for `read`, and Arrow and io.BufferedReader with it."""
        while not self._ready and self._more():
            pass
        count = min(len(buffer), len(self._ready))
        piece, self._ready = self._ready[:count], self._ready[count:]
        buffer[:count] = piece
        self.quotes += piece.count(b'"')
        self.ending = (self.ending + piece[-8:])[-8:]
        return count

    def close(self) -> None:
        """Standard input stays open: it is not ours."""
        if str(self.path) != STDIN:
            self._source.close()
            self._plain.close()
        super().close()


def _from_windows(block: bytes) -> bytes:
    """Windows-1252, or Latin-1 where the former has no meaning, → UTF-8; never fails."""
    try:
        return block.decode("cp1252").encode()
    except UnicodeDecodeError:  # five byte values mean nothing in Windows-1252; Latin-1 maps every byte
        return block.decode("latin-1").encode()

"""Features on the disk: Arrow files of 65,536 rows, mapped into memory, found again by what they were made from."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic

import numpy as np
import rdkit

from tetramer.errors import DiskError
from tetramer.molecules import Standard
from tetramer.views.base import DEFAULT, F, Features, Settings, concat, read, span, take, write

ROWS = 65_536
FORMAT = 3  # of the features; one more whenever a column changes its meaning
DONE = "done.json"


def key(texts: Sequence[str], view: str, standard: Standard, settings: Settings = DEFAULT) -> str:
    """SHA-256 of all that decides the features: texts in order, view and settings, standard, format, RDKit version."""
    how = [view, asdict(standard), FORMAT, rdkit.__version__, *([asdict(settings)] if asdict(settings) else [])]
    told = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        told.update(len(data).to_bytes(8, "little") + data)
    return told.hexdigest()


@dataclass(frozen=True)
class Store(Generic[F]):
    """Chunks of one view; each is mapped, so only the rows that are taken are read."""

    chunks: list[F]

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def features(self) -> F:
        """All rows: mapped without a copy if there is one chunk, else joined in memory."""
        return concat(self.chunks)

    def take(self, rows: np.ndarray) -> F:
        """The molecules `rows` (B,) of 0 … n - 1, in that order, from whichever chunks they lie in."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a store of {len(self)}")
        starts = np.cumsum([0, *(len(chunk) for chunk in self.chunks)])
        owner = np.searchsorted(starts, rows, side="right") - 1
        places, parts = [np.empty(0, np.int64)], [take(self.chunks[0], np.empty(0, np.int64))]
        for number in np.unique(owner):
            here = np.flatnonzero(owner == number)
            places.append(here)
            parts.append(take(self.chunks[number], rows[here] - starts[number]))
        back = np.empty(len(rows), np.int64)
        back[np.concatenate(places)] = np.arange(len(rows))
        return take(concat(parts), back)


def put(folder: Path, name: str, parts: Iterable[Features]) -> None:
    """Write features under `folder/name`, cut into chunks; the folder appears whole or not at all.

    Where another process has put the same name, its folder stays. Raises DiskError if the disk refuses.
    """
    made = folder / f".{name}.new-{uuid.uuid4().hex[:8]}"
    try:
        made.mkdir(parents=True)
        files = {path.name: digest(path) for path in chunks(made, parts)}
        (made / DONE).write_text(json.dumps(files))
        for path in made.iterdir():
            with path.open("rb+") as file:  # Windows syncs no file that is open for reading alone
                os.fsync(file.fileno())
        if finished(folder / name) is None:
            shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(FileExistsError):
                made.rename(folder / name)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            return  # another process was first
        raise DiskError(f"Features cannot be kept in {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def chunks(made: Path, parts: Iterable[Features]) -> Iterator[Path]:
    """Write ROWS rows a file, and the rest in a last one; no parts at all is a mistake of ours."""
    held: list[Features] = []
    number = 0
    for part in parts:
        held.append(part)
        while total(held) >= ROWS:
            joined = concat(held)
            yield written(span(joined, 0, ROWS), made, number)
            number += 1
            held = [span(joined, ROWS, len(joined))]
    assert held, "no features to put"
    if number == 0 or total(held):
        yield written(concat(held), made, number)


def total(parts: Sequence[Features]) -> int:
    """Rows of all parts."""
    return sum(map(len, parts))


def written(features: Features, made: Path, number: int) -> Path:
    """One chunk, in its file."""
    path = made / f"{number:05d}.arrow"
    write(features, path)
    return path


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finished(folder: Path) -> list[Path] | None:
    """The chunks of a folder that `put` has finished and nobody has changed since, or None."""
    try:
        files = json.loads((folder / DONE).read_text())
        if not isinstance(files, dict) or not all(re.fullmatch(r"\d{5,}\.arrow", name) for name in files):
            return None
        paths = [folder / name for name in sorted(files)]
        return paths if all(digest(path) == files[path.name] for path in paths) else None
    except (OSError, ValueError):
        return None


def get(folder: Path, name: str, kind: type[F]) -> Store[F] | None:
    """What `put` wrote, or None if it is not there or not whole."""
    paths = finished(folder / name)
    return Store([read(kind, path) for path in paths]) if paths else None

"""Features on the disk: Arrow files of 65,536 rows, mapped into memory, found again by what they were made from."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic

import numpy as np
import rdkit

from tetramer.molecules import Standard
from tetramer.views.base import F, Features, concat, read, take, write

ROWS = 65_536
FORMAT = 1  # of the features; one more whenever a column changes its meaning
DONE = "done.json"


def key(texts: Sequence[str], view: str, standard: Standard) -> str:
    """SHA-256 of all that decides what the features are: texts in order, view, standard, format, RDKit version."""
    told = hashlib.sha256(
        json.dumps([view, asdict(standard), FORMAT, rdkit.__version__], sort_keys=True).encode()  # type: ignore[attr-defined]
    )
    for text in texts:
        data = text.encode()
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
        """The molecules `rows` (B,), in that order, from whichever chunks they lie in."""
        if not len(rows):
            return take(self.chunks[0], rows)
        places, parts = [], []
        for number in np.unique(rows // ROWS):
            here = np.flatnonzero(rows // ROWS == number)
            places.append(here)
            parts.append(take(self.chunks[number], rows[here] - number * ROWS))
        back = np.empty(len(rows), np.int64)
        back[np.concatenate(places)] = np.arange(len(rows))
        return take(concat(parts), back)


def put(folder: Path, name: str, parts: Iterable[Features]) -> None:
    """Write features under `folder/name`, cut into chunks; the folder appears whole or not at all."""
    made = folder / f".{name}.new-{uuid.uuid4().hex[:8]}"
    made.mkdir(parents=True)
    sizes: list[int] = []
    held: list[Features] = []

    def flush(rows: int) -> None:
        whole = concat(held)
        write(take(whole, np.arange(rows)), made / f"{len(sizes):05d}.arrow")
        sizes.append(rows)
        rest = take(whole, np.arange(rows, len(whole)))
        held[:] = [rest] if len(rest) else []

    try:
        for part in parts:
            held.append(part)
            while sum(map(len, held)) >= ROWS:
                flush(ROWS)
        if held or not sizes:
            flush(sum(map(len, held)))
        (made / DONE).write_text(json.dumps(sizes))
        for path in made.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        made.rename(folder / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def get(folder: Path, name: str, kind: type[F]) -> Store[F] | None:
    """What `put` wrote, or None if it is not there or not whole."""
    try:
        sizes = json.loads((folder / name / DONE).read_text())
    except (OSError, json.JSONDecodeError):
        return None
    paths = [folder / name / f"{number:05d}.arrow" for number in range(len(sizes))]
    if not all(path.is_file() for path in paths):
        return None
    return Store([read(kind, path) for path in paths])

"""Conformers that were made before, molecule by molecule: a small database in the user's cache folder.

It saves time and decides nothing: a geometry is a function of the SMILES, the settings and the maker, and these are its
key. A database that cannot be read, written or opened, or that another process holds for too long, is as one that is
empty.
"""

import contextlib
import hashlib
import json
import os
import platform
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import platformdirs

from tetramer.molecules.conformers import MAKER
from tetramer.views.base import Settings

PLACE = "TETRAMER_CONFORMERS"  # environment variable: a folder in place of the user's, or OFF
OFF = "off"
FORMAT = 1  # one more whenever the way conformers are made, or this file, changes
LARGEST = 1 << 30  # bytes; to a larger file nothing is added
WAIT = 2.0  # s for other processes, far below the time after which a silent worker is ended
HEAD = struct.Struct("<IBII")  # CRC-32 of what follows it, place in NOTES, K, N


@dataclass(frozen=True)
class Made:
    """What the conformer view keeps of one molecule: K geometries of N atoms; K = 0: none."""

    note: int  # place in NOTES
    numbers: np.ndarray  # (N,) uint8
    charges: np.ndarray  # (N,) int8
    positions: np.ndarray  # (K, N, 3) float32, Å, centred
    energies: np.ndarray  # (K,) float32

    def packed(self) -> bytes:
        """Bytes that `unpacked` reads."""
        arrays = (self.numbers.astype("u1"), self.charges.astype("i1"))
        floats = (self.positions.astype("<f4"), self.energies.astype("<f4"))
        body = b"".join(array.tobytes() for array in (*arrays, *floats))
        rest = HEAD.pack(0, self.note, len(self.positions), len(self.numbers))[4:] + body
        return struct.pack("<I", zlib.crc32(rest)) + rest

    @classmethod
    def unpacked(cls, data: bytes) -> Self | None:
        """What `packed` wrote; None if a byte of it has changed."""
        if len(data) < HEAD.size or zlib.crc32(data[4:]) != struct.unpack_from("<I", data)[0]:
            return None
        _, note, count, atoms = HEAD.unpack_from(data)
        numbers = np.frombuffer(data, "u1", atoms, HEAD.size)
        charges = np.frombuffer(data, "i1", atoms, HEAD.size + atoms)
        floats = np.frombuffer(data, "<f4", count * (3 * atoms + 1), HEAD.size + 2 * atoms).astype(np.float32)
        positions, energies = np.split(floats, [3 * count * atoms])
        return cls(note, numbers, charges, positions.reshape(count, atoms, 3), energies)


def file() -> Path | None:
    """The database of this maker on this kind of machine; None where there is to be none."""
    named = os.environ.get(PLACE, "")
    if named.casefold() == OFF:
        return None
    folder = Path(named) if named else Path(platformdirs.user_cache_dir("tetramer")) / "conformers"
    maker = hashlib.sha256(f"{FORMAT} {MAKER} {platform.system()} {platform.machine()}".encode()).hexdigest()[:12]
    return folder / f"{maker}.sqlite"


class Kept:
    """The database as one reading of some molecules uses it; a context manager, which writes at its end."""

    def __init__(self, settings: Settings) -> None:
        self.how = json.dumps(asdict(settings), sort_keys=True)
        self.new: dict[str, bytes] = {}
        self.base: sqlite3.Connection | None = None
        self.path = file()

    def __enter__(self) -> Self:
        if self.path is not None:
            with self.guarded(), contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.base = sqlite3.connect(self.path, timeout=WAIT)
                self.base.execute("CREATE TABLE IF NOT EXISTS made (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        with self.guarded(), contextlib.suppress(OSError):
            if self.new and self.base is not None and self.path is not None and self.path.stat().st_size < LARGEST:
                with self.base:
                    self.base.executemany("INSERT OR REPLACE INTO made VALUES (?, ?)", self.new.items())
        self.leave()

    def get(self, smiles: str) -> Made | None:
        """What was made of a molecule before."""
        with self.guarded():
            if self.base is not None:
                found = self.base.execute("SELECT value FROM made WHERE key = ?", (self.key(smiles),)).fetchone()
                return Made.unpacked(found[0]) if found and isinstance(found[0], bytes) else None
        return None

    def put(self, smiles: str, made: Made) -> None:
        """Keep what was made, once the reading is done."""
        self.new[self.key(smiles)] = made.packed()

    def key(self, smiles: str) -> str:
        """SHA-256 of a canonical SMILES and the settings."""
        return hashlib.sha256(f"{self.how}\n{smiles}".encode()).hexdigest()

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Within the block a database that fails is used no more; a damaged one is removed, and another begun later."""
        try:
            yield
        except sqlite3.OperationalError:  # another process holds it, the disk is full, or nobody may write
            self.leave()
        except sqlite3.DatabaseError:
            self.leave()
            if self.path is not None:
                with contextlib.suppress(OSError):
                    self.path.unlink()

    def leave(self) -> None:
        """Close the database, if it is open."""
        if self.base is not None:
            self.base.close()
            self.base = None

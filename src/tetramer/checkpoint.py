"""Model and run folders: written whole or not at all, hashed, migrated, and never able to run code.

A folder is `card.json` beside the files it names with their SHA-256. It is made under another name, flushed to the
disk and renamed, so a reader meets either the old folder or the new one.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from tetramer.datasets.writing import disk_errors, sync_folder
from tetramer.errors import UserError

Card = dict[str, Any]
Files = dict[str, bytes]

# One function per change of format; card["format"] says how many have been applied.
MIGRATIONS: list[Callable[[Card], Card]] = []
FORMAT = 1 + len(MIGRATIONS)
CARD = "card.json"
LARGEST_FILE = 4 << 30


def digest(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal characters."""
    return hashlib.sha256(data).hexdigest()


def config_hash(value: object) -> str:
    """SHA-256 of a JSON value with sorted keys: equal settings have equal hashes."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def sync_file(path: Path) -> None:
    """Ask the system to put a file on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_folder(path: Path, card: Card, files: Mapping[str, bytes]) -> None:
    """Put `card` and `files` (relative name → bytes) at `path`, replacing a folder of ours that is there.

    Raises DiskError and leaves what was there if the disk refuses.
    """
    card = {"format": FORMAT, **card, "files": {name: digest(data) for name, data in sorted(files.items())}}
    need = sum(map(len, files.values()))
    made = path.parent / f".{path.name}.new-{uuid.uuid4().hex[:8]}"
    with disk_errors(path, need):
        try:
            for name, data in {**files, CARD: json.dumps(card, indent=1, ensure_ascii=False).encode()}.items():
                place = made / PurePosixPath(name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
                sync_file(place)
            for folder in sorted({place.parent for place in made.rglob("*")} | {made}, reverse=True):
                sync_folder(folder)
            swap(made, path)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def swap(made: Path, path: Path) -> None:
    """Rename `made` to `path`; an older folder there is moved aside first and deleted last."""
    old = path.parent / f".{path.name}.old"
    if path.is_dir():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    made.rename(path)
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(path: Path) -> None:
    """Bring back the folder that a replacement had moved aside when it was killed between its two renames."""
    old = path.parent / f".{path.name}.old"
    if old.is_dir() and not path.exists():
        old.rename(path)


def read_folder(path: Path) -> tuple[Card, Files]:
    """The card and the verified bytes of every file it names.

    Raises UserError if this is no folder of ours, if a file is missing, altered or truncated, or if the format is
    newer than this program.
    """
    recover(path)
    card = read_card(path)
    files = {}
    for name, expected in card["files"].items():
        place = inside(path, name)
        if not place.is_file() or place.is_symlink():
            raise UserError(f"{path} is incomplete: {name} is missing. Copy the whole folder again, or train again.")
        if place.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path / name} is larger than any file of a model ({LARGEST_FILE >> 30} GiB).")
        data = place.read_bytes()
        if digest(data) != expected:
            raise UserError(
                f"{path / name} was altered or cut short: its SHA-256 is {digest(data)[:12]}…, the card says "
                f"{str(expected)[:12]}…. Copy the folder again, or train again."
            )
        files[name] = data
    return card, files


def read_card(path: Path) -> Card:
    """card.json, lifted to the present format; UserError if there is none or it is not ours."""
    if not path.exists():
        raise UserError(f"There is no model at {path}. Train one: tetramer train DATA --target COLUMN --output {path}")
    if not (path / CARD).is_file():
        raise UserError(f"{path} is not a model folder: it has no {CARD}. Give the folder that `tetramer train` wrote.")
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path / CARD} is not readable as JSON ({error}). Copy the folder again.") from error
    if not isinstance(card, dict) or not isinstance(card.get("files"), dict) or not isinstance(card.get("format"), int):
        raise UserError(f"{path / CARD} is not a card of this program: it lacks `format` or `files`.")
    if not 1 <= card["format"] <= FORMAT:
        raise UserError(f"{path} has format {card['format']}; this version reads up to {FORMAT}. Upgrade tetramer.")
    for migrate in MIGRATIONS[card["format"] - 1 :]:
        card = migrate(card)
    return card


def inside(path: Path, name: str) -> Path:
    """`path / name`, refused if the name could leave the folder."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise UserError(f"{path / CARD} names the file {name!r}, which does not lie in the folder.")
    return path.joinpath(*parts)


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as safetensors bytes."""
    return bytes(save_arrays({name: np.ascontiguousarray(value) for name, value in arrays.items()}))


def unpack(data: bytes, what: str) -> dict[str, np.ndarray]:
    """safetensors bytes as arrays; UserError if they are not, or hold a number that is not finite."""
    try:
        arrays = load_arrays(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{what} is not a safetensors file ({error}). Copy the model folder again.") from error
    return dict(arrays)

"""Model and run folders: written whole or not at all, hashed, migrated, and never able to run code.

A folder is `card.json` beside the files it names with their SHA-256. It is made under another name, flushed to the
disk and renamed, so a reader meets either the old folder or the new one.
"""

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Mapping
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


def without_shifts(card: Card) -> Card:
    """From 1 to 2: forests keep what trees without a split add, networks which targets they had labels of."""
    if card.get("kind") == "model":
        raise UserError("This model was written by an older version, which kept less of it. Train again.")
    return card


# One function per change of format; card["format"] says how many have been applied.
MIGRATIONS: list[Callable[[Card], Card]] = [without_shifts]
FORMAT = 1 + len(MIGRATIONS)
CARD = "card.json"
BESIDE = {
    "report.html",
    "split.json",
    "test.csv",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
}  # ours, or a file manager's, in no card
LARGEST_FILE = 4 << 30
LARGEST_CARD = 64 << 20
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # of a file's name: neither "..", nor a drive, nor a blank


def digest(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal characters."""
    return hashlib.sha256(data).hexdigest()


def config_hash(value: object) -> str:
    """SHA-256 of a JSON value with sorted keys: equal settings have equal hashes."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def seal(card: Card) -> str:
    """SHA-256 of a card's content, as it reads after JSON, without the seal itself."""
    told = json.loads(json.dumps(card))
    told.pop("sha256", None)
    return config_hash(told)


def sync_file(path: Path) -> None:
    """Ask the system to put a file on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_folder(path: Path, card: Card, files: Mapping[str, bytes]) -> None:
    """Put `card` and `files` (relative name → bytes) at `path`, replacing a folder of ours that is there.

    Raises UserError if something else is there, and DiskError if the disk refuses; either leaves it as it was.
    """
    check_place(path, files)
    card = {**card, "format": FORMAT, "files": {name: digest(data) for name, data in sorted(files.items())}}
    card["sha256"] = seal(card)
    need = sum(map(len, files.values()))
    made = beside(path)
    with disk_errors(path, need):
        strays = f".{glob.escape(path.name)}.new-{'[0-9a-f]' * 8}"
        for stray in path.parent.glob(strays):  # of a run that was killed here
            shutil.rmtree(stray, ignore_errors=True)
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


def check_place(path: Path, names: Collection[str] = ()) -> None:
    """UserError if no folder may be put at `path`: a file, a folder that is worked in, or one that we did not write.

    names: files that will be written. A folder of nothing but these is a spoilt one of the same kind, and may go.
    """
    with disk_errors(path, 0):
        recover(path)
        above = next((there for there in (path, *path.absolute().parents) if there.exists()), path)
        if above.exists() and not above.is_dir():
            raise UserError(f"{above} is a file; --output names a folder for the model.")
        if path.resolve() in (Path.cwd(), *Path.cwd().parents):
            raise UserError(f"{path} is where you work; --output names a new folder, which is put in place whole.")
        for there in (path, aside(path)):
            other = stranger(there, names) if there.is_dir() else None
            if other is not None:
                raise UserError(
                    f"{there} holds other files, such as {other!r}; --output names a new folder, or a model to be "
                    "replaced."
                )


def stranger(path: Path, names: Collection[str]) -> str | None:
    """A file in a folder that does not belong to a folder of ours, spoilt or not, with the files `names`; or None."""
    try:
        known, ours = {CARD, *read_card(path)["files"]}, True
    except UserError:
        known, ours = {CARD, *names}, False
    found = None
    for place in path.rglob("*"):
        name = place.relative_to(path).as_posix()
        if place.is_symlink() or not place.is_dir():
            if name not in known | BESIDE:
                return name
            found, ours = name, ours or name in names
    return None if ours else found


def aside(path: Path) -> Path:
    """Where a folder waits while another takes its place."""
    return path.parent / f".{path.name}.old"


def beside(path: Path) -> Path:
    """A name for what is not yet, or no longer, at `path`; if it is left there, the next write clears it away."""
    return path.parent / f".{path.name}.new-{uuid.uuid4().hex[:8]}"


def remove_old(path: Path) -> None:
    """Delete what waits aside of `path`. Its name goes first: half of a folder would be taken for somebody else's."""
    gone = aside(path)
    with contextlib.suppress(OSError):
        gone = gone.rename(beside(path))
    shutil.rmtree(gone, ignore_errors=True)


def swap(made: Path, path: Path) -> None:
    """Rename `made` to `path`; an older folder there is moved aside first and deleted last."""
    old = aside(path)
    if path.is_dir():
        remove_old(path)
        path.rename(old)
    try:
        made.rename(path)
    except OSError:
        recover(path)
        raise
    try:
        sync_folder(path.parent)
    finally:
        remove_old(path)


def recover(path: Path) -> None:
    """Bring back the folder that a replacement had moved aside when it was killed between its two renames."""
    old = aside(path)
    if (old / CARD).is_file() and not path.exists():
        with disk_errors(path, 0):
            old.rename(path)


def read_folder(path: Path) -> tuple[Card, Files]:
    """The card and the verified bytes of every file it names.

    Raises UserError if this is no folder of ours, if a file is missing, altered or truncated, or if the format is
    newer than this program.
    """
    card = read_card(path)
    files = {}
    for name, expected in card["files"].items():
        place = inside(path, name)
        if not place.is_file() or place.resolve() != path.resolve().joinpath(*PurePosixPath(name).parts):
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
    recover(path)
    if not path.exists():
        raise UserError(f"There is no model at {path}. Train one: tetramer train DATA --target COLUMN --output {path}")
    if not (path / CARD).is_file() or (path / CARD).stat().st_size > LARGEST_CARD:
        raise UserError(f"{path} is not a model folder: it has no {CARD}. Give the folder that `tetramer train` wrote.")
    try:
        card: Any = json.loads((path / CARD).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise UserError(f"{path / CARD} is not readable as JSON ({error}). Copy the folder again.") from error
    if not isinstance(card, dict) or not isinstance(card.get("files"), dict) or not isinstance(card.get("format"), int):
        raise UserError(f"{path / CARD} is not a card of this program: it lacks `format` or `files`.")
    if not 1 <= card["format"] <= FORMAT:
        raise UserError(f"{path} has format {card['format']}; this version reads up to {FORMAT}. Upgrade tetramer.")
    if card.get("sha256") != seal(card):
        raise UserError(f"{path / CARD} was altered since it was written. Copy the folder again, or train again.")
    lifted: Card = card
    for migrate in MIGRATIONS[card["format"] - 1 :]:
        lifted = migrate(lifted)
    return lifted


def check_answers(path: Path, card: Card) -> None:
    """UserError if the folder holds an encoder alone, which answers no question about a molecule."""
    if card.get("kind") == "encoder":
        raise UserError(
            f"{path} is a pretrained encoder without a target, so it predicts nothing. Take its vectors: tetramer "
            f"embed DATA --model {path}; or train it on labels: tetramer train DATA --target COLUMN --from {path}."
        )


def inside(path: Path, name: str) -> Path:
    """`path / name`, refused if the name could leave the folder."""
    parts = PurePosixPath(name).parts
    if not parts or "/".join(parts) != name or not all(PART.fullmatch(part) for part in parts):
        raise UserError(f"{path / CARD} names the file {name!r}, which does not lie in the folder.")
    return path.joinpath(*parts)


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as safetensors bytes."""
    return bytes(save_arrays({name: np.asarray(value, order="C") for name, value in arrays.items()}))


def finite(arrays: Mapping[str, np.ndarray], what: str) -> None:
    """UserError if a number is not finite: such weights answer nothing, without a word."""
    for name, value in arrays.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise UserError(f"{what} holds a number that is not finite, in {name}. Train again.")


def unpack(data: bytes, what: str) -> dict[str, np.ndarray]:
    """safetensors bytes as arrays; UserError if they are not."""
    try:
        arrays = load_arrays(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{what} is not a safetensors file ({error}). Copy the model folder again.") from error
    return dict(arrays)

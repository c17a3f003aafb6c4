"""Features on the disk: an Arrow file a view, mapped into memory, found again by what they were made from."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import rdkit

from tetramer.errors import DiskError
from tetramer.molecules import Standard
from tetramer.views.base import DEFAULT, F, Features, Settings, read, write

FORMAT = 3  # of the features; one more whenever a column changes its meaning
FILE, DONE = "features.arrow", "done.json"


def key(texts: Sequence[str], view: str, standard: Standard, settings: Settings = DEFAULT) -> str:
    """SHA-256 of all that decides the features: texts in order, view and settings, standard, format, RDKit version."""
    how = [view, asdict(standard), FORMAT, rdkit.__version__, *([asdict(settings)] if asdict(settings) else [])]
    told = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        told.update(len(data).to_bytes(8, "little") + data)
    return told.hexdigest()


def put(folder: Path, name: str, features: Features) -> None:
    """Write features under `folder/name`, which appears whole or not at all.

    Where another process has put the same name, its folder stays. Raises DiskError if the disk refuses.
    """
    made = folder / f".{name}.new-{uuid.uuid4().hex[:8]}"
    try:
        made.mkdir(parents=True)
        write(features, made / FILE)
        (made / DONE).write_text(json.dumps({"sha256": digest(made / FILE)}))
        for path in made.iterdir():
            with path.open("rb+") as file:  # Windows syncs no file that is open for reading alone
                os.fsync(file.fileno())
        if not is_whole(folder / name):
            shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(FileExistsError):
                made.rename(folder / name)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            return  # another process was first
        raise DiskError(f"Features cannot be kept in {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder: Path) -> bool:
    """Whether `put` has finished the folder and nobody has changed it since."""
    try:
        return bool(json.loads((folder / DONE).read_text())["sha256"] == digest(folder / FILE))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def get(folder: Path, name: str, kind: type[F], check: bool = True) -> F | None:
    """What `put` wrote, mapped into memory and read where it is looked at; None if it is not there or not whole.

    check: whether its hash is compared, which one process of many may do for all
    """
    there = is_whole(folder / name) if check else (folder / name / DONE).is_file()
    return read(kind, folder / name / FILE) if there else None

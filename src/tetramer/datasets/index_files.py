"""All splits of one data set in one small file: gzipped text, a line a split, a letter a row.

    {"data": "esol", "data_sha256": "…", "format": 1, "rows": 1128}
    scaffold-balanced 0 SHA256 ttvtxt-…

t trains, v validates, x tests, - is in no part. The SHA-256 is that of `Split`, so a file that was altered is refused.
The parts are those that were written, whatever RDKit makes of a scaffold today.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tetramer.datasets.archives import DAMAGED, unpacked
from tetramer.datasets.opening import existing
from tetramer.datasets.partitions import PARTS, Split, split_of
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError

ENDING = ".txt.gz"
FORMAT = 1
LETTERS = np.frombuffer(b"-tvx", np.uint8)  # none, then PARTS
MOST = 500_000_000  # bytes when unpacked


@dataclass(frozen=True)
class IndexFile:
    """The splits of the data set whose labels have `data_sha256`, by rule and seed."""

    data: str
    data_sha256: str
    rows: int
    splits: Mapping[tuple[str, int], Split]


def save_index(path: Path, told: IndexFile) -> None:
    """Write the file, whole or not at all; the same splits give the same bytes."""
    head = {"data": told.data, "data_sha256": told.data_sha256, "format": FORMAT, "rows": told.rows}
    lines = [json.dumps(head, sort_keys=True)]
    for (rule, seed), split in told.splits.items():
        place = np.zeros(told.rows, np.int64)
        for number, part in enumerate(PARTS, 1):
            place[getattr(split, part)] = number
        lines.append(f"{rule} {seed} {split.sha256} {LETTERS[place].tobytes().decode()}")
    write_whole(path, gzip.compress("\n".join([*lines, ""]).encode(), 9, mtime=0))


def load_index(path: str | Path) -> IndexFile:
    """Read what `save_index` wrote. UserError if it is no such file, or if a line has not the SHA-256 that it names."""
    path = existing(path)
    try:
        with unpacked(path, MOST) as stream:
            head, *lines = stream.read().decode("ascii").splitlines()
        told = json.loads(head)
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}")
        splits = dict(_split(line, told["rows"]) for line in lines)
        found = IndexFile(str(told["data"]), str(told["data_sha256"]), int(told["rows"]), splits)
    except (KeyError, TypeError, ValueError, RecursionError, *DAMAGED) as error:
        raise UserError(f"{path} does not hold splits of a data set as tetramer writes them.") from error
    return found


def _split(line: str, rows: int) -> tuple[tuple[str, int], Split]:
    """One line. ValueError if it is none; UserError if its letters are not those of its SHA-256."""
    rule, seed, sha256, letters = line.split(" ")
    if len(letters) != rows or set(letters) - set(LETTERS.tobytes().decode()):
        raise ValueError("a letter of -tvx a row")
    place = np.frombuffer(letters.encode(), np.uint8)
    split = split_of(rule, *(np.flatnonzero(place == letter) for letter in LETTERS[1:]))
    if split.sha256 != sha256:
        raise UserError(f"The split {rule} {seed} was altered: its rows do not have the SHA-256 that stands beside it.")
    return (rule, int(seed)), split

"""A split is three index lists and their hash: how they are filled, folded, read from a column, kept in a file."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

import numpy as np

from tetramer.datasets.opening import existing
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError

Sizes = tuple[float, float, float]
SIZES: Sizes = (0.8, 0.1, 0.1)
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """Ascending row numbers (int64) of the three parts; a row may be in none of them, never in two."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    name: str

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical JSON of the three lists: equal hashes mean the same rows in the same parts."""
        lists = {part: getattr(self, part).tolist() for part in ("test", "train", "valid")}
        return hashlib.sha256(_canonical(lists)).hexdigest()

    @property
    def sizes(self) -> tuple[int, int, int]:
        return len(self.train), len(self.valid), len(self.test)


def _canonical(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def split_of(name: str, *parts: Sequence[int] | np.ndarray) -> Split:
    """A split of three lists of row numbers in any order."""
    train, valid, test = (np.sort(np.asarray(part, dtype=np.int64)) for part in parts)
    return Split(train, valid, test, name)


def shares(sizes: Sizes, count: int) -> tuple[float, float, float]:
    """Rows per part, not rounded; 1e-9 keeps 0.1 × 30 = 3.0000000000000004 and its kin harmless."""
    return tuple(size * count + 1e-9 for size in sizes)  # type: ignore[return-value]


def groups_of(keys: Sequence[str], rows: np.ndarray) -> list[list[int]]:
    """Rows with equal keys together, groups in order of first appearance."""
    groups: dict[str, list[int]] = {}
    for key, row in zip(keys, rows.tolist(), strict=True):
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def fill(groups: Iterable[list[int]], count: int, sizes: Sizes, name: str, deepchem: bool = False) -> Split:
    """Put group after group into the first part that has room, the test part last.

    Ours has room in valid up to its own share; DeepChem's as long as train and valid together keep to theirs.
    """
    most_train, most_valid, _ = shares(sizes, count)
    train: list[int] = []
    valid: list[int] = []
    test: list[int] = []
    for group in groups:
        if len(train) + len(group) <= most_train:
            train += group
        elif len(valid) + len(group) + (len(train) - most_train if deepchem else 0) <= most_valid:
            valid += group
        else:
            test += group
    return split_of(name, train, valid, test)


def largest_first(groups: Iterable[list[int]]) -> list[list[int]]:
    """By (size, first row), both descending: class D's order."""
    return sorted(groups, key=lambda group: (len(group), group[0]), reverse=True)


def balanced_order(groups: Sequence[list[int]], count: int, sizes: Sizes, seed: int) -> list[list[int]]:
    """Groups larger than half the valid or test share first, then the rest, both shuffled by Python's Random(seed).

    The rule and the generator of chemprop v1 and GROVER, so that equal scaffolds and seeds give equal splits
    (https://github.com/tencent-ailab/grover, `scaffold_balanced`).
    """
    half = min(sizes[1], sizes[2]) * count / 2
    big = [group for group in groups if len(group) > half]
    small = [group for group in groups if len(group) <= half]
    shuffle = Random(seed).shuffle  # noqa: S311, a public rule, not a secret
    shuffle(big)
    shuffle(small)
    return big + small


def hashed_order(groups: Sequence[list[int]], names: Sequence[str], sizes: Sizes, seed: int) -> list[list[int]]:
    """The order of our own splits: as `balanced_order`, but by a hash of the seed and the group's smallest name.

    groups hold places in `names` (n). So the parts do not depend on the order of the rows.
    """
    half = min(sizes[1], sizes[2]) * len(names) / 2

    def place(group: list[int]) -> str:
        return hashlib.sha256(f"{seed}:{min(names[i] for i in group)}".encode()).hexdigest()

    return sorted(groups, key=lambda group: (len(group) <= half, place(group)))


WORDS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}


def from_column(values: Sequence[str | None], name: str, valid_labels: np.ndarray | None = None) -> Split:
    """A split written in a column: train, valid (val, validation, dev) or test, in any case.

    A row with an empty cell is in no part.
    """
    parts: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for row, value in enumerate(values):
        word = (value or "").strip().casefold()
        if not word or (valid_labels is not None and not valid_labels[row]):
            continue
        if word not in WORDS:
            raise UserError(f"Column {name!r} holds {value!r} in row {row + 1}; a split is train, valid or test.")
        parts[WORDS[word]].append(row)
    if not parts["train"]:
        raise UserError(f"Column {name!r} names no row as train.")
    return split_of(f"column {name}", parts["train"], parts["valid"], parts["test"])


def kfold(n: int, k: int, seed: int, groups: Sequence[object] | np.ndarray | None = None) -> list[Split]:
    """k splits (train, test; valid is empty) whose test parts are disjoint and cover the n rows.

    Which rows share a fold depends on the row order only through the permutation drawn from Philox(seed). With
    `groups` (n keys) no group is cut: groups in permuted order, larger ones first, each go to the smallest fold.
    """
    return _folds(n, k, np.random.Generator(np.random.Philox(seed)), groups, "")


def repeated_kfold(
    n: int, k: int, repeats: int, seed: int, groups: Sequence[object] | np.ndarray | None = None
) -> list[Split]:
    """`repeats` × k splits, one `kfold` after another: the first is that of `seed`, the next go on in its stream."""
    if repeats < 1:
        raise UserError(f"{repeats} repeats of {k} folds: at least one is needed.")
    stream = np.random.Generator(np.random.Philox(seed))
    rounds = [_folds(n, k, stream, groups, f", repeat {i + 1} of {repeats}") for i in range(repeats)]
    return [fold for folds in rounds for fold in folds]


def _folds(
    n: int, k: int, stream: np.random.Generator, groups: Sequence[object] | np.ndarray | None, ending: str
) -> list[Split]:
    if not 2 <= k <= n:
        raise UserError(f"{n} rows cannot be cut into {k} folds; use 2 to {n}.")
    order = stream.permutation(n)
    if groups is None:
        tests = np.array_split(order, k)
    else:
        _, ids = np.unique(np.asarray(groups), return_inverse=True)
        tests = _grouped(ids[order], order, k)
    everything = np.arange(n)
    names = [f"fold {i + 1} of {k}{ending}" for i in range(k)]
    return [split_of(name, np.setdiff1d(everything, test), [], test) for name, test in zip(names, tests, strict=True)]


def _grouped(ids: np.ndarray, order: np.ndarray, k: int) -> list[np.ndarray]:
    """ids: group of each row of `order`."""
    members: dict[int, list[int]] = {}
    for group, row in zip(ids.tolist(), order.tolist(), strict=True):
        members.setdefault(group, []).append(row)
    if len(members) < k:
        raise UserError(f"{len(members)} groups cannot be cut into {k} folds without cutting a group.")
    folds: list[list[int]] = [[] for _ in range(k)]
    for group in sorted(members.values(), key=len, reverse=True):
        min(folds, key=len).extend(group)
    return [np.array(fold) for fold in folds]


def repeats(names: Sequence[str], rows: np.ndarray) -> np.ndarray | None:
    """(n,) the same number for those of `rows` (n,) that have one name.

    Names are best canonical SMILES. Such rows belong together, or what was fitted would be judged by what it knows.
    None where no two are the same, or all are.
    """
    number = np.unique([names[row] for row in rows.tolist()], return_inverse=True)[1].astype(np.int64)
    return number if 0 < number.max(initial=0) < len(rows) - 1 else None


def kept_aside(order: np.ndarray, same: np.ndarray | None, count: int) -> np.ndarray:
    """(n,) bool: the first `count` rows of `order` (n,), or with `same` (n,) the first groups that have so many rows.

    A group that is larger than `count` stays; if all are, groups are cut.
    """
    aside = np.zeros(len(order), bool)
    aside[order[:count]] = True
    if same is None:
        return aside
    _, first, sizes = np.unique(same[order], return_index=True, return_counts=True)
    groups = np.argsort(first)
    groups = groups[sizes[groups] <= count]
    chosen = groups[np.cumsum(sizes[groups]) - sizes[groups] < count]
    return np.isin(same, chosen) if len(chosen) else aside


def save(split: Split, path: str | Path) -> None:
    """Write an index file: canonical JSON with `name`, `sha256`, `test`, `train` and `valid`, whole or not at all."""
    lists = {part: getattr(split, part).tolist() for part in PARTS}
    write_whole(Path(path), _canonical({"name": split.name, "sha256": split.sha256, **lists}) + b"\n")


def load_split(path: str | Path, count: int | None = None) -> Split:
    """Read an index file that `save` wrote; UserError if its lists are not those of its SHA-256.

    count: rows of the table it is meant for. A row number beyond is a UserError: the file belongs to other data.
    """
    path = existing(path)
    try:
        told = json.loads(path.read_bytes())
        split = _checked(told)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is not an index file of a split as tetramer writes it.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    if split.sha256 != told["sha256"]:
        raise UserError(f"{path} was altered: its index lists do not have the SHA-256 that it names. Make it anew.")
    last = max((int(rows[-1]) for rows in (split.train, split.valid, split.test) if len(rows)), default=-1)
    if count is not None and last >= count:
        raise UserError(f"{path} names row {last + 1}, but the data have {count} rows: it was made for other data.")
    return split


def _checked(told: dict[str, object]) -> Split:
    """The split of a parsed index file; ValueError or TypeError if the lists are not ascending, disjoint numbers."""
    lists: list[list[int]] = [told[part] for part in PARTS]  # type: ignore[misc]
    together = [row for rows in lists for row in rows]
    if not all(type(row) is int and row >= 0 for row in together) or len(set(together)) < len(together):
        raise ValueError("row numbers must be whole, not negative, and stand once")
    if any(rows != sorted(rows) for rows in lists) or not all(isinstance(told[key], str) for key in ("name", "sha256")):
        raise ValueError("lists must ascend")
    return split_of(str(told["name"]), *lists)

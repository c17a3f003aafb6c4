"""Which rows train, which validate, which test: every split is three index lists and their hash."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np

from tetramer.errors import UserError, pick
from tetramer.molecules.scaffolds import scaffolds

Sizes = tuple[float, float, float]
SIZES: Sizes = (0.8, 0.1, 0.1)


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
        return hashlib.sha256(json.dumps(lists, separators=(",", ":"), sort_keys=True).encode()).hexdigest()

    @property
    def sizes(self) -> tuple[int, int, int]:
        return len(self.train), len(self.valid), len(self.test)


def _split(name: str, *parts: Sequence[int] | np.ndarray) -> Split:
    train, valid, test = (np.sort(np.asarray(part, dtype=np.int64)) for part in parts)
    return Split(train, valid, test, name)


def _shares(sizes: Sizes, count: int) -> tuple[float, float, float]:
    """Rows per part, not rounded; 1e-9 keeps 0.1 × 30 = 3.0000000000000004 and its kin harmless."""
    return tuple(size * count + 1e-9 for size in sizes)  # type: ignore[return-value]


def random(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes) -> Split:
    """A permutation by Philox(seed): the first share trains, the next validates, the rest tests."""
    train, valid, _ = (int(share) for share in _shares(sizes, len(rows)))
    order = rows[np.random.Generator(np.random.Philox(seed)).permutation(len(rows))]
    return _split("random", order[:train], order[train : train + valid], order[train + valid :])


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
    most_train, most_valid, _ = _shares(sizes, count)
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
    return _split(name, train, valid, test)


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


def deterministic(
    smiles: Sequence[str], rows: np.ndarray, sizes: Sizes, name: str, chirality: bool, deepchem: bool
) -> Split:
    """Class D: Bemis-Murcko groups, largest first; acyclic molecules are one group. The seed does not matter."""
    groups = groups_of(scaffolds([smiles[row] for row in rows], chirality), rows)
    return fill(largest_first(groups), len(rows), sizes, name, deepchem)


def scaffold_balanced(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes) -> Split:
    """Class B: Bemis-Murcko groups without chirality in `balanced_order`; acyclic molecules are one group."""
    groups = groups_of(scaffolds([smiles[row] for row in rows], False), rows)
    return fill(balanced_order(groups, len(rows), sizes, seed), len(rows), sizes, "scaffold-balanced")


def own_groups(keys: Sequence[str], scaffold: Sequence[str]) -> np.ndarray:
    """(n,) int64 group numbers: rows with an equal key or an equal scaffold, also by way of others, are together.

    keys (n): what makes two rows the same molecule, best the first block of the InChIKey. The empty scaffold of acyclic
    molecules joins nothing.
    """
    parent = list(range(len(keys)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    first: dict[tuple[str, str], int] = {}
    for row, (key, frame) in enumerate(zip(keys, scaffold, strict=True)):
        for mark in [("key", key), *([("scaffold", frame)] if frame else [])]:
            parent[root(row)] = root(first.setdefault(mark, row))
    return np.array([root(row) for row in range(len(keys))], dtype=np.int64)


def grouped(
    smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Sequence[str] | None = None
) -> Split:
    """Our own split: no molecule and no ring scaffold on two sides, each acyclic molecule a group of its own.

    Groups larger than half the valid or test share first, then the rest, each in the order of a hash of the seed and
    the group's smallest key: so the parts do not depend on the order of the rows. keys (n) as in `own_groups`; without
    them the canonical SMILES, which tells tautomers and stereoisomers apart.
    """
    names = [(keys or smiles)[row] for row in rows.tolist()]
    ids = own_groups(names, scaffolds([smiles[row] for row in rows.tolist()], False))
    groups = groups_of([str(i) for i in ids.tolist()], np.arange(len(rows)))

    def place(group: list[int]) -> str:
        return hashlib.sha256(f"{seed}:{min(names[i] for i in group)}".encode()).hexdigest()

    half = min(sizes[1], sizes[2]) * len(rows) / 2
    groups.sort(key=lambda group: (len(group) <= half, place(group)))
    return fill([rows[group].tolist() for group in groups], len(rows), sizes, "grouped")


def none(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes) -> Split:
    """All rows train."""
    return _split("none", rows, [], [])


Rule = Callable[[Sequence[str], np.ndarray, int, Sizes], Split]


def _class_d(name: str, chirality: bool, deepchem: bool) -> Rule:
    return lambda smiles, rows, seed, sizes: deterministic(smiles, rows, sizes, name, chirality, deepchem)


SPLITS: dict[str, Rule] = {
    "random": random,
    "scaffold": _class_d("D-ours-nochiral", chirality=False, deepchem=False),
    "scaffold-balanced": scaffold_balanced,
    "grouped": grouped,
    "none": none,
    "D-ours-nochiral": _class_d("D-ours-nochiral", chirality=False, deepchem=False),
    "D-ours-chiral": _class_d("D-ours-chiral", chirality=True, deepchem=False),
    "D-deepchem-nochiral": _class_d("D-deepchem-nochiral", chirality=False, deepchem=True),
    "D-deepchem-chiral": _class_d("D-deepchem-chiral", chirality=True, deepchem=True),
}
"""Name → rule(smiles, rows, seed, sizes). All but `grouped` are parity splits: nothing is deduplicated; see `leak`."""


def make(
    name: str,
    smiles: Sequence[str],
    seed: int = 0,
    sizes: Sizes = SIZES,
    valid_labels: np.ndarray | None = None,
    keys: Sequence[str] | None = None,
) -> Split:
    """A split by one of SPLITS.

    smiles: (n) canonical, "" where the parser refused the row; valid_labels: (n,) bool, False where a row has no
    label. Such rows are in no part, and shares are counted without them. keys: for "grouped" only, see there.
    """
    rule = pick(SPLITS, name, "split")
    if min(sizes) < 0 or abs(sum(sizes) - 1) > 1e-6:
        raise UserError(f"Split sizes {sizes} must be three shares of at least 0 that add up to 1, like 0.8, 0.1, 0.1.")
    usable = np.array([bool(text) for text in smiles], dtype=bool)
    if valid_labels is not None:
        usable &= valid_labels
    rows = np.flatnonzero(usable).astype(np.int64)
    split = grouped(smiles, rows, seed, sizes, keys) if name == "grouped" else rule(smiles, rows, seed, sizes)
    for part, size in zip(("train", "valid", "test"), sizes, strict=True):
        if name != "none" and size > 0 and not len(getattr(split, part)):
            raise UserError(
                f"The split {name!r} leaves the {part} part empty: {len(rows)} usable rows are too few, or fall into "
                "too few groups. Use 'random', or give a split column."
            )
    return split


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
    return _split(f"column {name}", parts["train"], parts["valid"], parts["test"])


def kfold(n: int, k: int, seed: int, groups: Sequence[object] | np.ndarray | None = None) -> list[Split]:
    """k splits (train, test; valid is empty) whose test parts are disjoint and cover the n rows.

    Which rows share a fold depends on the row order only through the permutation drawn from Philox(seed). With
    `groups` (n keys) no group is cut: groups in permuted order, larger ones first, each go to the smallest fold.
    """
    if not 2 <= k <= n:
        raise UserError(f"{n} rows cannot be cut into {k} folds; use 2 to {n}.")
    order = np.random.Generator(np.random.Philox(seed)).permutation(n)
    if groups is None:
        tests = np.array_split(order, k)
    else:
        _, ids = np.unique(np.asarray(groups), return_inverse=True)
        tests = _grouped(ids[order], order, k)
    everything = np.arange(n)
    return [_split(f"fold {i + 1} of {k}", np.setdiff1d(everything, test), [], test) for i, test in enumerate(tests)]


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


def leak(split: Split, smiles: Sequence[str]) -> dict[str, int]:
    """What the test part shares with train and valid: rows whose molecule, and whose scaffold, was seen.

    smiles: (n) canonical. The empty scaffold of acyclic molecules is not counted as shared.
    """
    seen = {smiles[row] for row in (*split.train.tolist(), *split.valid.tolist())}
    tested = [smiles[row] for row in split.test.tolist()]
    known = set(scaffolds(sorted(seen), False)) - {""}
    return {
        "test": len(tested),
        "molecules": sum(text in seen for text in tested),
        "scaffolds": sum(found in known for found in scaffolds(tested, False)),
    }

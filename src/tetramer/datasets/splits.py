"""Which rows train, which validate, which test: the rules, by name."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import numpy as np

from tetramer.datasets.clusters import butina as butina_clusters
from tetramer.datasets.partitions import (
    PARTS,
    SIZES,
    Sizes,
    Split,
    balanced_order,
    fill,
    from_column,
    groups_of,
    hashed_order,
    kfold,
    largest_first,
    load_split,
    repeated_kfold,
    save,
    shares,
    split_of,
)
from tetramer.datasets.strata import evenly, numbers_of, strata
from tetramer.errors import UserError, pick
from tetramer.molecules import Limits
from tetramer.molecules import keys as naming
from tetramer.molecules.scaffolds import scaffolds
from tetramer.views.bits import environments

__all__ = [
    "COLUMNS",
    "SIZES",
    "SPLITS",
    "Sizes",
    "Split",
    "balanced_order",
    "fill",
    "from_column",
    "groups_of",
    "kfold",
    "largest_first",
    "leak",
    "load_split",
    "make",
    "own_groups",
    "repeated_kfold",
    "save",
    "torchdrug_parts",
]

Keys = Sequence[object] | np.ndarray
MANY = 2_000  # molecules whose scaffolds are worth worker processes: a second's work


def random(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """A permutation by Philox(seed): the first share trains, the next validates, the rest tests."""
    train, valid, _ = (int(share) for share in shares(sizes, len(rows)))
    order = rows[np.random.Generator(np.random.Philox(seed)).permutation(len(rows))]
    return split_of("random", order[:train], order[train : train + valid], order[train + valid :])


def stratified(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """Random, with every class in every part by its share; the parts have the sizes of `random`.

    keys (n): a class, or a number: more than 20 different numbers are cut at the deciles. Rows without one are a class.
    Of the permuted rows, sorted by class, rows at equal distances test, of the rest rows at equal distances validate:
    so the number of rows of a class in a part differs from its share by less than 2.
    """
    stream = np.random.Generator(np.random.Philox(seed))
    order = stream.permutation(len(rows))
    classes = strata([_cell(keys, row) for row in rows.tolist()])
    order = order[np.argsort(classes[order], kind="stable")]
    train, valid, _ = (int(share) for share in shares(sizes, len(rows)))
    tested = evenly(len(rows), len(rows) - train - valid, stream)
    rest = order[~tested]
    validated = evenly(len(rest), valid, stream)
    return split_of("stratified", rows[rest[~validated]], rows[rest[validated]], rows[order[tested]])


def _cell(keys: Keys | None, row: int) -> object | None:
    """The row's key without outer white space; None where there is none: a missing, empty or NaN cell."""
    cell = None if keys is None else keys[row]
    cell = cell.strip() if isinstance(cell, str) else cell
    return None if cell is None or cell == "" or cell != cell else cell


def deterministic(
    smiles: Sequence[str], rows: np.ndarray, sizes: Sizes, name: str, chirality: bool, deepchem: bool
) -> Split:
    """Class D: Bemis-Murcko groups, largest first; acyclic molecules are one group. The seed does not matter."""
    groups = groups_of(scaffolds([smiles[row] for row in rows], chirality), rows)
    return fill(largest_first(groups), len(rows), sizes, name, deepchem)


def scaffold_mixed(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """Class D's test part; the other groups in `balanced_order` of seed 0, of which the last ones validate.

    Class D trains on the largest scaffolds alone and validates on smaller ones, so what is chosen on them was fitted
    without any like those that are tested. Here large and small ones train. The seed does not matter.
    """
    test = deterministic(smiles, rows, sizes, "scaffold-mixed", chirality=False, deepchem=False).test
    rest = np.setdiff1d(rows, test)
    groups = groups_of(scaffolds([smiles[row] for row in rest], False), rest)
    others = fill(balanced_order(groups, len(rows), sizes, 0), len(rows), (sizes[0], 1.0, 0.0), "scaffold-mixed")
    return Split(others.train, others.valid, test, "scaffold-mixed")


def scaffold_balanced(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """Class B: Bemis-Murcko groups without chirality in `balanced_order`; acyclic molecules are one group."""
    groups = groups_of(scaffolds([smiles[row] for row in rows], False), rows)
    return fill(balanced_order(groups, len(rows), sizes, seed), len(rows), sizes, "scaffold-balanced")


def grover(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """Class B as published: `scaffold_balanced` with the three split seeds 0, 1 and 2."""
    if seed not in (0, 1, 2):
        raise UserError(f"'B-grover-3' has the seeds 0, 1 and 2, not {seed}. 'scaffold-balanced' takes any seed.")
    split = scaffold_balanced(smiles, rows, seed, sizes, None)
    return Split(split.train, split.valid, split.test, "B-grover-3")


def torchdrug(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """TorchDrug's random scaffold split: groups with chirality in random order, cut at the group ends nearest to 8:1:1.

    The order is that of `torch.randperm` after `torch.manual_seed(seed)`, so equal scaffolds and seeds give equal
    parts (https://torchdrug.ai, `data.scaffold_split`, as 3DGCL uses it). Acyclic molecules are one group.
    """
    groups = groups_of(scaffolds([smiles[row] for row in rows], True), rows)
    train, valid, _ = (int(share) for share in shares(sizes, len(rows)))
    return split_of("torchdrug", *torchdrug_parts(groups, _randperm(len(groups), seed), (train, valid)))


def torchdrug_parts(groups: Sequence[list[int]], places: Sequence[int], wanted: tuple[int, int]) -> list[list[int]]:
    """Three parts of the rows, group g at place places[g]; `wanted` rows in the first two.

    Each cut is moved to the nearest end of a group, the lower one if two are equally near; the second is counted from
    the first one as moved. The search goes no further than the nearer end of the list; a cut that finds nothing there
    goes to that end, so a part may be empty.
    """
    order = sorted(range(len(groups)), key=lambda group: places[group])
    line = [row for group in order for row in groups[group]]
    ends = set(np.cumsum([len(groups[group]) for group in order]).tolist())
    count, cuts = len(line), [0]
    for length in wanted:
        cut = cuts[-1] + length
        reach = range(min(cut, count - cut))
        near = (place for step in reach for place in (cut - step, cut + step) if place in ends)
        cuts.append(next(near, 0 if cut < count - cut else count))
    cuts.append(count)
    return [line[start:end] for start, end in pairwise(cuts)]


def _randperm(count: int, seed: int) -> list[int]:
    """What torch.randperm(count) gives on the CPU after torch.manual_seed(seed): Mersenne Twister, Fisher-Yates."""
    twister = np.random.RandomState(seed & 0xFFFFFFFF)
    draws = twister.randint(0, 1 << 32, max(count - 1, 0), dtype=np.uint32).tolist()
    order = list(range(count))
    for place, draw in enumerate(draws):
        other = place + draw % (count - place)
        order[place], order[other] = order[other], order[place]
    return order


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


def grouped(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """Our own split: no molecule and no ring scaffold on two sides, each acyclic molecule a group of its own.

    Groups go by `hashed_order`, so the parts do not depend on the order of the rows. keys (n) as in `own_groups`;
    without them the first block of the InChIKey, or the canonical SMILES of what has none.
    """
    texts = [smiles[row] for row in rows.tolist()]
    if keys is None:
        found = naming.keys(texts, "skeleton", None if len(texts) > MANY else Limits(0))
        names = [key or text for key, text in zip(found, texts, strict=True)]
    else:
        names = [str(keys[row]) for row in rows.tolist()]
    ids = own_groups(names, scaffolds(texts, False))
    return _whole(ids.tolist(), names, rows, (seed, sizes, "grouped"))


def _whole(ids: Sequence[object], names: Sequence[str], rows: np.ndarray, how: tuple[int, Sizes, str]) -> Split:
    """Whole groups of equal ids in `hashed_order`."""
    seed, sizes, title = how
    groups = hashed_order(groups_of([str(i) for i in ids], np.arange(len(rows))), names, sizes, seed)
    return fill([rows[group].tolist() for group in groups], len(rows), sizes, title)


def butina(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """Our own split by similarity: Butina clusters (Tanimoto ≥ 0.4 to the centre) in `hashed_order`, none cut.

    Molecules are clustered in the order of their SMILES, so the parts do not depend on the order of the rows.
    """
    texts = np.array([smiles[row] for row in rows.tolist()], dtype=object)
    order = np.argsort(texts, kind="stable")
    ids = np.empty(len(rows), np.int64)
    ids[order] = butina_clusters(environments(texts[order].tolist()))
    return _whole(ids.tolist(), texts.tolist(), rows, (seed, sizes, "butina"))


def group(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """Rows with an equal key stay together, groups in `hashed_order`: a series, a project or a laboratory a group.

    A row without a key is in no part.
    """
    cells = {row: _cell(keys, row) for row in rows.tolist()}
    kept = [row for row, cell in cells.items() if cell is not None]
    names = [str(cells[row]) for row in kept]
    return _whole(names, names, np.array(kept, np.int64), (seed, sizes, "group"))


def time(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """The oldest rows train, the next validate, the newest test; rows of one time stay together.

    A block of equal times that passes the end of a part goes wholly to the next, so no part is larger than its share
    but the last. A row without a time is in no part.
    """
    cells = {row: _cell(keys, row) for row in rows.tolist()}
    kept = np.array([row for row, cell in cells.items() if cell is not None], np.int64)
    moments = _moments(kept.tolist(), [cells[row] for row in kept.tolist()])
    _, block, counts = np.unique(moments, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)[block]  # rows up to the end of the block of each row
    most_train, most_valid, _ = shares(sizes, len(kept))
    part = (ends > most_train).astype(int) + (ends > most_train + most_valid)
    return split_of("time", kept[part == 0], kept[part == 1], kept[part == 2])


def _moments(rows: Sequence[int], cells: Sequence[object]) -> np.ndarray:
    """(n,) numbers that grow with time: the numbers themselves, or seconds of ISO dates (year, month, day, time)."""
    numbers = numbers_of(cells)
    if numbers is not None and np.isfinite(numbers).all():
        return numbers
    return np.array([_moment(row, cell) for row, cell in zip(rows, cells, strict=True)], np.float64)


def _moment(row: int, cell: object) -> float:
    """Seconds since 1970 of one date; without a zone it is UTC."""
    text = cell.isoformat() if isinstance(cell, date) else str(cell).replace("/", "-")
    try:
        whole = f"{text}{'-01-01'[3 * text.count('-') :]}" if len(text) in (4, 7) else text
        moment = datetime.fromisoformat(whole)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UserError(
            f"The split 'time' needs dates like 2024-03-31 or numbers, but row {row + 1} of the column holds {cell!r}."
        ) from None


def column(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """What a column says: train, valid or test, as `from_column` reads it; there may be no valid part.

    A row with an empty cell is in no part. The seed and the sizes do not matter.
    """
    cells = [None] * len(smiles) if keys is None else [_cell(keys, row) for row in range(len(keys))]
    known = np.isin(np.arange(len(smiles)), rows)
    split = from_column([None if cell is None else str(cell) for cell in cells], "column", known)
    return Split(split.train, split.valid, split.test, "column")


def none(smiles: Sequence[str], rows: np.ndarray, seed: int, sizes: Sizes, keys: Keys | None) -> Split:
    """All rows train."""
    return split_of("none", rows, [], [])


Rule = Callable[[Sequence[str], np.ndarray, int, Sizes, Keys | None], Split]


def _class_d(name: str, chirality: bool, deepchem: bool) -> Rule:
    return lambda smiles, rows, seed, sizes, keys: deterministic(smiles, rows, sizes, name, chirality, deepchem)


SPLITS: dict[str, Rule] = {
    "random": random,
    "stratified": stratified,
    "scaffold": _class_d("D-ours-nochiral", chirality=False, deepchem=False),
    "scaffold-mixed": scaffold_mixed,
    "scaffold-balanced": scaffold_balanced,
    "grouped": grouped,
    "butina": butina,
    "group": group,
    "time": time,
    "column": column,
    "none": none,
    "D-ours-nochiral": _class_d("D-ours-nochiral", chirality=False, deepchem=False),
    "D-ours-chiral": _class_d("D-ours-chiral", chirality=True, deepchem=False),
    "D-deepchem-nochiral": _class_d("D-deepchem-nochiral", chirality=False, deepchem=True),
    "D-deepchem-chiral": _class_d("D-deepchem-chiral", chirality=True, deepchem=True),
    "B-grover-3": grover,
    "torchdrug": torchdrug,
}
"""Name → rule(smiles, rows, seed, sizes, keys). Scaffold rules but `grouped` are parity splits: nothing is
deduplicated; see `leak`. OGB's splits are published files, no rule, so they come as a split column."""

COLUMNS = {
    "stratified": "classes or values",
    "group": "group names",
    "time": "dates or numbers",
    "column": "words, train, valid or test",
}
"""The rules that need a column, and what stands in it: `make` takes it as `keys`."""


def make(
    name: str,
    smiles: Sequence[str],
    seed: int = 0,
    sizes: Sizes = SIZES,
    valid_labels: np.ndarray | None = None,
    keys: Keys | None = None,
) -> Split:
    """A split by one of SPLITS.

    smiles: (n) canonical, "" where the parser refused the row; valid_labels: (n,) bool, False where a row has no
    label. Such rows are in no part, and shares are counted without them. keys: (n) the column that a rule of COLUMNS
    needs; for "grouped" what makes two rows one molecule. Other rules do not look at it.
    """
    rule = pick(SPLITS, name, "split")
    if min(sizes) < 0 or abs(sum(sizes) - 1) > 1e-6:
        raise UserError(f"Split sizes {sizes} must be three shares of at least 0 that add up to 1, like 0.8, 0.1, 0.1.")
    if name in COLUMNS and keys is None:
        raise UserError(f"The split {name!r} needs a column of {COLUMNS[name]}; name one, or use 'random'.")
    if keys is not None and len(keys) != len(smiles):
        raise UserError(f"{len(keys)} keys were given for {len(smiles)} rows; give one a row.")
    usable = np.array([bool(text) for text in smiles], dtype=bool)
    if valid_labels is not None:
        usable &= valid_labels
    rows = np.flatnonzero(usable).astype(np.int64)
    split = rule(smiles, rows, seed, sizes, keys)
    for part, size in zip(PARTS, sizes, strict=True):
        free = name == "none" or (name == "column" and part == "valid")
        if not free and size > 0 and not len(getattr(split, part)):
            raise UserError(
                f"The split {name!r} leaves the {part} part empty: {len(rows)} usable rows are too few, or fall into "
                f"too few groups. {'Add rows' if name == 'random' else 'Use random'}, or give a split column."
            )
    return split


def leak(
    split: Split, smiles: Sequence[str], keys: Sequence[str] | None = None, limits: Limits | None = None
) -> dict[str, int]:
    """What the test part shares with train and valid: rows whose molecule, key and scaffold was seen.

    smiles: (n) canonical; keys: (n) another name of each molecule, best the first block of its InChIKey, which
    tautomers and stereoisomers share; limits: of the workers that make the scaffolds of many molecules. Empty keys and
    the empty scaffold of acyclic molecules are not counted as shared.
    """
    others, tests = [*split.train.tolist(), *split.valid.tolist()], split.test.tolist()
    texts = [smiles[row] for row in (*others, *tests)]
    frames = naming.keys(texts, "scaffold", limits if len(texts) > MANY else Limits(0))
    seen, known = set(texts[: len(others)]) - {""}, set(frames[: len(others)]) - {""}
    found = {
        "test": len(tests),
        "molecules": sum(text in seen for text in texts[len(others) :]),
        "scaffolds": sum(frame in known for frame in frames[len(others) :]),
    }
    if keys is not None:
        names = {keys[row] for row in others} - {""}
        found["keys"] = sum(keys[row] in names for row in tests)
    return found

"""How much two splits of one data set say the same: what `significance.compare` takes as their correlation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
LEARNED = 0.05  # variance that the groups of train parts make, over that of the groups of test parts


def overlap(tests: Sequence[Rows]) -> float:
    """Mean over pairs of test parts of |A ∩ B| / √(|A| |B|): the correlation of two splits that their molecules make.

    tests: row numbers of each test part. The means of uncorrelated numbers over A and B have exactly this correlation.
    0 for folds and for one split, 1 for one split repeated.
    """
    if len(tests) < 2:
        return 0.0
    rows, place = np.unique(np.concatenate(tests), return_inverse=True)
    table = np.zeros((len(tests), len(rows)))
    table[np.repeat(np.arange(len(tests)), [len(test) for test in tests]), place] = 1
    return _pairs(table @ table.T)


def correlation(tests: Sequence[Rows], group: Rows) -> float:
    """The correlation ρ of two splits: what their test parts have in common, and what their train parts have.

    tests: numbers, below n, of the rows of each test part; all others are learned from. group: (n,) group of each row,
    0 … G − 1, whole in one part or the other, as `whole` has it.

    Errors of one group are alike, so a mean over a part has variance v = Σ n_c² / (Σ n_c)² over its groups of n_c
    rows. A train part acts through what is learned from it, with the variance LEARNED · v; that is the only number
    that was chosen, by simulation (`benchmarks/null_simulation.py`). So

        ρ = (1 − w) · overlap + w · s,    w / (1 − w) = LEARNED · v_train / v_test,

    with s the mean over pairs of train parts of Σ n_c² over the groups in both, over the geometric mean of that of
    each. With each row its own group and tenths as test parts ρ is 0.104, with two scaffolds that hold most rows and
    always train, as in FreeSolv, 0.46 in place of an overlap of 0.39. 0 for one split.
    """
    if len(tests) < 2:
        return 0.0
    table = np.zeros((len(tests), len(group)))
    for part, rows in zip(table, tests, strict=True):
        part[rows] = 1
    size = np.bincount(group)[group].astype(float)
    in_both = (table * size) @ table.T
    tested, every = np.diag(in_both), size.sum()
    trained = every - tested
    count = table.sum(axis=1)
    ratio = np.mean(trained / (len(group) - count) ** 2) / np.mean(tested / count**2)
    weight = LEARNED * ratio / (1 + LEARNED * ratio)
    return float((1 - weight) * overlap(tests) + weight * _pairs(trained[:, None] - tested + in_both))


def _pairs(common: Floats) -> float:
    """Mean over pairs of parts of what they have in common, (J, J), over the geometric mean of what each has."""
    scale = np.sqrt(np.diag(common))
    shares = common / np.outer(scale, scale)
    return float((shares.sum() - np.trace(shares)) / (len(shares) * (len(shares) - 1)))


def whole(names: Sequence[str], tests: Sequence[Rows]) -> Rows:
    """(n,) group of each row: rows of one name, such as a scaffold, that no split parts; others are groups of one."""
    where = np.zeros((len(names), len(tests)), dtype=bool)
    for part, rows in enumerate(tests):
        where[rows, part] = True
    _, group = np.unique(np.asarray(names), return_inverse=True)
    first = np.unique(group, return_index=True)[1][group]
    parted = np.zeros(len(names), dtype=bool)
    np.logical_or.at(parted, group, (where != where[first]).any(axis=1))
    alone = parted[group]
    group[alone] = len(names) + np.flatnonzero(alone)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)

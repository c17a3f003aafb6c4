"""Two methods on one split: the interval of their difference over its test molecules, from answers that rows kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.benchmark import answers
from tetramer.benchmark.answers import KEPT, Answers
from tetramer.benchmark.bootstrap import Resampled, compare_targets
from tetramer.errors import UserError

DRAWS = 2000  # resamples; of many targets fewer, as each costs its time
CELLS = 20_000  # resamples times targets
LEAST = 200


def on_test(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> Resampled | None:
    """Ours minus theirs by their first metric, BCa interval over molecules; rows of one side are training seeds.

    None where a row kept no answers, the labels are others, or resamples have no value.
    """
    if not all(KEPT in row for row in (*ours, *theirs)):
        return None
    sides = [[answers.read(Path(row[KEPT])) for row in rows] for rows in (ours, theirs)]
    first = sides[0][0]
    if not all(_same(first, other) for side in sides for other in side):
        return None
    draws = max(LEAST, min(DRAWS, CELLS // first.truth.shape[1]))
    mine, base = ([_flat(one) for one in side] for side in sides)
    try:
        return compare_targets(ours[0]["metric"], first.truth, mine, base, draws, molecule=first.molecule)
    except UserError:
        return None


def _same(first: Answers, second: Answers) -> bool:
    return np.array_equal(first.rows, second.rows) and np.array_equal(first.truth, second.truth, equal_nan=True)


def _flat(told: Answers) -> np.ndarray:
    """(m, T, K), without K where it is 1."""
    return told.values if told.values.shape[2] > 1 else told.values[:, :, 0]

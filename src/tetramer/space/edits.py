"""How many letters two texts differ by, for many pairs at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CELLS = 4_000_000  # cells of the tables that are filled at a time


def edit_distances(left: Sequence[str], right: Sequence[str]) -> NDArray[np.int64]:
    """(P,) Levenshtein distance of each pair: the fewest letters to insert, delete or replace.

    One row of all P tables is filled at a time. Within a row, what an insertion costs grows by 1 a column, so that the
    best of all insertions is a running minimum.
    """
    assert len(left) == len(right)
    out = np.zeros(len(left), np.int64)
    order = np.argsort([len(a) + len(b) for a, b in zip(left, right, strict=True)], kind="stable")
    longest = max((len(text) for text in right), default=0) + 1
    step = max(1, CELLS // longest)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        out[rows] = _distances([left[row] for row in rows.tolist()], [right[row] for row in rows.tolist()])
    return out


def normalised(left: Sequence[str], right: Sequence[str]) -> NDArray[np.float64]:
    """(P,) edit distance over the length of the longer text: 0 equal, 1 nothing in common; 0 for two empty texts."""
    longer = np.array([max(len(a), len(b), 1) for a, b in zip(left, right, strict=True)], np.float64)
    return np.asarray(edit_distances(left, right) / longer)


def _distances(left: Sequence[str], right: Sequence[str]) -> NDArray[np.int64]:
    a, b = _letters(left), _letters(right)  # (P, A), (P, B)
    ends_a, ends_b = (np.array([len(text) for text in side]) for side in (left, right))
    places = np.arange(b.shape[1] + 1)
    table = np.tile(places, (len(a), 1))  # (P, B + 1): the row for an empty left text
    out: NDArray[np.int64] = table[np.arange(len(a)), ends_b]
    for row in range(1, a.shape[1] + 1):
        replaced = table[:, :-1] + (b != a[:, row - 1, None])
        fresh = np.empty_like(table)
        fresh[:, 0] = row
        fresh[:, 1:] = np.minimum(replaced, table[:, 1:] + 1)
        table = np.minimum.accumulate(fresh - places, axis=1) + places
        done = np.flatnonzero(ends_a == row)
        out[done] = table[done, ends_b[done]]
    return out


def _letters(texts: Sequence[str]) -> NDArray[np.uint32]:
    """(P, longest) code points, 0 behind the end of a text."""
    wide = max(1, *(len(text) for text in texts)) if texts else 1
    return np.asarray(np.array(texts, dtype=f"<U{wide}").view(np.uint32).reshape(len(texts), wide))

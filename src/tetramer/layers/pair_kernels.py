"""Messages of PaiNN as loops over pairs of atoms, which numba compiles for the processor.

In torch the same takes some thirty passes over tensors of (pairs, D). All arrays are in one row. Places in them have no
sign: an index that could count from the end keeps numba from vector instructions.
"""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias, TypeVar, cast

import numpy as np

Array: TypeAlias = np.ndarray
Loop = TypeVar("Loop", bound=Callable[..., None])


@cache
def compiled(loop: Loop) -> Loop:
    """The loop as machine code, kept on disk where there is a folder for it."""
    from numba import njit  # 0.3 s that only those pay who need it

    joined = {"contract"}  # a·b + c in one instruction, and no more: nan stays nan
    try:
        return cast(Loop, njit(cache=True, nogil=True, fastmath=joined)(loop))
    except RuntimeError:  # numba found no folder that it may write to
        return cast(Loop, njit(nogil=True, fastmath=joined)(loop))


def receive(here: Array, there: Array, directions: Array, filters: Array, sent: Array, out: Array) -> None:
    """Add to `out` the messages of p pairs, in both directions.

    here, there: (p)   directions: (p · 3) from there to here   filters: (p · 3 D) of a, b, c   sent: (M · 5 D) a, c and
    the three axes of b ∘ v   out: (M · 4 D) scalars and three axes
    """
    d = np.uint64(len(filters) // max(3 * len(here), 1))
    d2, d3, d4, d5 = d + d, d + d + d, d + d + d + d, d + d + d + d + d
    for p in range(len(here)):
        i, j, w = np.uint64(here[p]), np.uint64(there[p]), np.uint64(p) * d3
        x, y, z = directions[3 * p], directions[3 * p + 1], directions[3 * p + 2]
        for _ in range(2):
            o, s = i * d4, j * d5
            for f in range(d):
                b, along = filters[w + d + f], filters[w + d2 + f] * sent[s + d + f]
                out[o + f] += filters[w + f] * sent[s + f]
                out[o + d + f] += b * sent[s + d2 + f] + x * along
                out[o + d2 + f] += b * sent[s + d3 + f] + y * along
                out[o + d3 + f] += b * sent[s + d4 + f] + z * along
            i, j, x, y, z = j, i, -x, -y, -z


def give_back(
    here: Array, there: Array, directions: Array, filters: Array, sent: Array, slope: Array, to_sent: Array,
    to_filters: Array,
) -> None:  # fmt: skip
    """The derivative of `receive`: from the slope of `out`, add to those of `sent` and of `filters`."""
    d = np.uint64(len(filters) // max(3 * len(here), 1))
    d2, d3, d4, d5 = d + d, d + d + d, d + d + d + d, d + d + d + d + d
    for p in range(len(here)):
        i, j, w = np.uint64(here[p]), np.uint64(there[p]), np.uint64(p) * d3
        x, y, z = directions[3 * p], directions[3 * p + 1], directions[3 * p + 2]
        for _ in range(2):
            o, s = i * d4, j * d5
            for f in range(d):
                gs, gx, gy, gz = slope[o + f], slope[o + d + f], slope[o + d2 + f], slope[o + d3 + f]
                to_filters[w + f] += gs * sent[s + f]
                to_filters[w + d + f] += gx * sent[s + d2 + f] + gy * sent[s + d3 + f] + gz * sent[s + d4 + f]
                to_filters[w + d2 + f] += (x * gx + y * gy + z * gz) * sent[s + d + f]
            for f in range(d):  # written to in a loop of its own, and both become vector instructions
                gx, gy, gz, b = slope[o + d + f], slope[o + d2 + f], slope[o + d3 + f], filters[w + d + f]
                to_sent[s + f] += filters[w + f] * slope[o + f]
                to_sent[s + d + f] += filters[w + d2 + f] * (x * gx + y * gy + z * gz)
                to_sent[s + d2 + f] += b * gx
                to_sent[s + d3 + f] += b * gy
                to_sent[s + d4 + f] += b * gz
            i, j, x, y, z = j, i, -x, -y, -z

"""Messages of PaiNN and EGNN as loops over pairs of atoms, which numba compiles for the processor.

In torch a layer takes some thirty passes over tensors of (pairs, D). All arrays are in one row. Places in them have no
sign: an index that could count from the end keeps numba from vector instructions. Whole numbers stay out of formulas:
they would make fp64 of fp32. Every pair (here, there) is listed once and stands for two messages, to here and to there.
width: D
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

Array: TypeAlias = np.ndarray
Loop = TypeVar("Loop", bound=Callable[..., None])


@cache
def compiled(loop: Loop) -> Loop:
    """The loop as machine code, kept on disk where there is a folder for it."""
    from numba import njit  # 0.3 s that only those pay who need it

    teach_sigmoid()
    # a·b + c in one instruction and sums in any order, but nan stays nan
    how: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
    try:
        return cast(Loop, njit(cache=True, **how)(loop))
    except RuntimeError:  # numba found no folder that it may write to
        return cast(Loop, njit(**how)(loop))


def receive(width: int, here: Array, there: Array, directions: Array, filters: Array, sent: Array, out: Array) -> None:
    """PaiNN: add to `out` the messages of p pairs.

    here, there: (p)   directions: (p · 3) from there to here   filters: (p · 3 D) of a, b, c   sent: (M · 5 D) a, c and
    the three axes of b ∘ v   out: (M · 4 D) scalars and three axes
    """
    d = np.uint64(width)
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
    width: int, here: Array, there: Array, directions: Array, filters: Array, to_filters: Array, sent: Array,
    slope: Array, to_sent: Array,
) -> None:  # fmt: skip
    """The derivative of `receive`: from the slope of `out`, add to those of `sent` and of `filters`."""
    d = np.uint64(width)
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


def begin(width: int, here: Array, there: Array, own: Array, other: Array, away: Array, u: Array) -> None:
    """EGNN: u = τ(own_i + other_j + away_ij) of p pairs, and the slope of τ there.

    own, other: (M · D)   away: (p · D)   u: (2 · 2 P · D) room for 2 P ≥ 2 p messages, to here and to there in turn,
    and behind them as much for the slopes
    """
    steep = u[len(u) // 2 :]
    d = np.uint64(width)
    for p in range(len(here)):
        i, j, w = np.uint64(here[p]) * d, np.uint64(there[p]) * d, np.uint64(p) * d
        for way in range(2):
            o = w + w + np.uint64(way) * d
            for f in range(d):
                z = own[i + f] + other[j + f] + away[w + f]
                s = sigmoid(z)
                u[o + f] = z * s
                steep[o + f] = s + z * s - z * s * s
            i, j = j, i


def end(width: int, here: Array, there: Array, share: Array, y: Array, gate: Array, out: Array) -> None:
    """EGNN: add the messages m = τ(y), each times its gate, to `out`.

    y: (p · 2 · D)   share: (p) envelopes   gate: (D + 1) weights and bias of the gate, or nothing   out: (M · D)
    """
    d = np.uint64(width)
    m = np.empty_like(y[:d])
    for p in range(len(here)):
        i, j, w = np.uint64(here[p]) * d, np.uint64(there[p]) * d, np.uint64(p) * (d + d)
        for _ in range(2):
            for f in range(d):
                m[f] = y[w + f] * sigmoid(y[w + f])
            g = share[p]
            if len(gate):
                dot = gate[d]
                for f in range(d):
                    dot += m[f] * gate[f]
                g *= sigmoid(dot)
            for f in range(d):
                out[i + f] += g * m[f]
            i, j, w = j, i, w + d


def end_back(
    width: int, here: Array, there: Array, share: Array, y: Array, gate: Array, slope: Array, to_y: Array,
    to_gate: Array,
) -> None:  # fmt: skip
    """The derivative of `end`: from the slope of `out`, that of y; adds to that of the gate."""
    d = np.uint64(width)
    m, steep = np.empty_like(y[:d]), np.empty_like(y[:d])
    for p in range(len(here)):
        i, j, w = np.uint64(here[p]) * d, np.uint64(there[p]) * d, np.uint64(p) * (d + d)
        for _ in range(2):
            for f in range(d):
                s = sigmoid(y[w + f])
                m[f] = y[w + f] * s
                steep[f] = s + m[f] - m[f] * s
            g = share[p]
            if len(gate):
                dot, along = gate[d], y.dtype.type(0)
                for f in range(d):
                    dot += m[f] * gate[f]
                    along += m[f] * slope[i + f]
                s = sigmoid(dot)
                c, g = g * along * (s - s * s), g * s
                for f in range(d):
                    to_gate[f] += c * m[f]
                for f in range(d):
                    steep[f] *= g * slope[i + f] + c * gate[f]
                to_gate[d] += c
            else:
                for f in range(d):
                    steep[f] *= g * slope[i + f]
            for f in range(d):
                to_y[w + f] = steep[f]
            i, j, w = j, i, w + d


def begin_back(
    width: int, here: Array, there: Array, to_u: Array, to_own: Array, to_other: Array, to_away: Array
) -> None:
    """The derivative of `begin`: from the slope of u, that of `away`; adds to those of `own` and `other`.

    to_u: as u, with the slope of u in its first half
    """
    steep = to_u[len(to_u) // 2 :]
    d = np.uint64(width)
    for p in range(len(here)):
        i, j, w = np.uint64(here[p]) * d, np.uint64(there[p]) * d, np.uint64(p) * d
        o = w + w
        for f in range(d):
            a, b = to_u[o + f] * steep[o + f], to_u[o + d + f] * steep[o + d + f]
            to_away[w + f] = a + b
            to_own[i + f] += a
            to_other[j + f] += a
            to_own[j + f] += b
            to_other[i + f] += b


def sigmoid(x: Any) -> Any:  # noqa: ANN401 (a number of any precision)
    """1 / (1 + e⁻ˣ)."""
    return 1 / (1 + np.exp(-x))


@cache
def teach_sigmoid() -> None:
    """Give numba a `sigmoid` in fp32 that becomes vector instructions, unlike the library's exponential.

    e^x = 2^k e^r with |r| ≤ ln 2 / 2, a polynomial in r (Cephes' `expf`, relative error 1e-7) and 2^k by its bits.
    """
    from numba import types
    from numba.extending import intrinsic, overload

    @intrinsic
    def as_float(context: Any, bits: Any) -> Any:  # noqa: ANN401
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
            return builder.bitcast(arguments[0], context.get_value_type(types.float32))

        return types.float32(types.int32), generate

    f = np.float32
    one, half, most, per_ln2, ln2, rest = map(f, (1, 0.5, 87, 1.4426950408889634, 0.693359375, -2.12194440e-4))
    c0, c1, c2 = f(1.9875691500e-4), f(1.3981999507e-3), f(8.3334519073e-3)
    c3, c4, c5 = f(4.1665795894e-2), f(1.6666665459e-1), f(5.0000001201e-1)

    def fast(x: Any) -> Any:  # noqa: ANN401
        t = min(max(-x, -most), most)
        k = np.floor(t * per_ln2 + half)
        r = t - k * ln2 - k * rest
        p = (((((c0 * r + c1) * r + c2) * r + c3) * r + c4) * r + c5) * r * r + r + one
        return one / (one + p * as_float((np.int32(k) + np.int32(127)) << np.int32(23)))  # type: ignore[call-arg]

    def plain(x: Any) -> Any:  # noqa: ANN401
        return 1 / (1 + np.exp(-x))

    @overload(sigmoid, inline="always")
    def chosen(x: Any) -> Any:  # noqa: ANN401
        return fast if x == types.float32 else plain

"""Messages of PaiNN and EGNN over lists of pairs of atoms."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tetramer.layers import pair_kernels
from tetramer.layers.bases import lengths
from tetramer.layers.pair_kernels import compiled

TOGETHER = 2**16  # numbers in a tensor of pairs that are looked at together: such tensors stay in the processor's cache


class Near(NamedTuple):
    """P pairs of different atoms of one geometry, each pair once: i is here and j there."""

    here: Tensor  # (P,) int64
    there: Tensor  # (P,) int64
    between: Tensor  # (P, 3) x_i − x_j, Å
    distances: Tensor  # (P,) Å


def near(x: Tensor, owner: Tensor, cutoff: float) -> Near:
    """Pairs that are closer than the cutoff. x: (M, 3) Å   owner: (M,) the geometry of each atom, ascending"""
    place = torch.arange(len(x), device=x.device)
    rest = torch.bincount(owner).cumsum(0)[owner] - place - 1  # (M,) atoms of the same geometry that come later
    here = place.repeat_interleave(rest)
    there = torch.arange(len(here), device=x.device) - (rest.cumsum(0) - rest)[here] + here + 1
    between = x[here] - x[there]
    d = lengths(between.square().sum(1))
    close = d < cutoff
    return Near(here[close], there[close], between[close], d[close])


def loops_do(x: Tensor) -> bool:
    """Whether compiled loops can work with messages whose distances are x: no slope is asked of places (forces)."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and not x.requires_grad


class Directed(NamedTuple):
    """What messages of PaiNN see of pairs."""

    here: Tensor  # (P,) int64
    there: Tensor  # (P,) int64
    directions: Tensor  # (P, 3) unit vectors (x_i − x_j) / d, i is here and j there
    basis: Tensor  # (P, R + 1) functions of distances and 1, with their envelope


def directed_messages(pairs: Directed, weights: Tensor, sent: Tensor) -> Tensor:
    r"""What arrives at every atom from its neighbours, with filters :math:`[A \Vert B \Vert C]_{ij} = W r_{ij}`.

    .. math:: \sum_j A_{ij} \circ a_j \qquad \sum_j B_{ij} \circ b_j \circ v_j + (C_{ij} \circ c_j) \otimes \hat x_{ij}

    weights: (3 D, R + 1) W   sent: (M, 5, D) a, c and the three axes of b ∘ v   →   (M, 4, D) scalars, three axes

    Compiled loops do it where they can; torch does it on an accelerator and where places have a slope.
    """
    if loops_do(pairs.basis):
        return cast(Tensor, DirectedLoops.apply(pairs, weights, sent))  # type: ignore[no-untyped-call]
    a, b, c = (pairs.basis @ weights.t()).chunk(3, 1)  # (P, D)
    out = sent.new_zeros(len(sent), 4, sent.shape[2])
    for to, start, directions in (
        (pairs.here, pairs.there, pairs.directions),
        (pairs.there, pairs.here, -pairs.directions),
    ):
        arrived = sent[start]  # (P, 5, D)
        vectors = b[:, None] * arrived[:, 2:] + directions[:, :, None] * (c[:, None] * arrived[:, 1:2])
        out = out.index_add(0, to, torch.cat([a[:, None] * arrived[:, :1], vectors], 1))
    return out


class DirectedLoops(torch.autograd.Function):
    """`directed_messages`, a run of pairs at a time. Filters are made again for the way back, none is kept."""

    @staticmethod
    def forward(ctx: Any, pairs: Directed, weights: Tensor, sent: Tensor) -> Tensor:  # noqa: ANN401
        sent = sent.contiguous()
        ctx.pairs = pairs
        ctx.save_for_backward(weights, sent)
        out = sent.new_zeros(len(sent), 4, sent.shape[2])
        receive, always = compiled(pair_kernels.receive), flat(sent, out)
        for basis, *given in runs(sent.shape[2], pairs.basis, *pairs[:3]):
            receive(sent.shape[2], *given, *flat(basis @ weights.t()), *always)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor, Tensor]:  # noqa: ANN401
        weights, sent = ctx.saved_tensors
        to_weights, to_sent = torch.zeros_like(weights), torch.zeros_like(sent)
        give_back, always = compiled(pair_kernels.give_back), flat(sent, slope, to_sent)
        for basis, *given in runs(sent.shape[2], ctx.pairs.basis, *ctx.pairs[:3]):
            filters = basis @ weights.t()
            to_filters = torch.zeros_like(filters)
            give_back(sent.shape[2], *given, *flat(filters, to_filters), *always)
            to_weights.addmm_(to_filters.t(), basis)
        return None, to_weights, to_sent


class Seen(NamedTuple):
    """What messages of EGNN see of pairs."""

    here: Tensor  # (P,) int64
    there: Tensor  # (P,) int64
    seen: Tensor  # (P, R) r(d)
    envelope: Tensor  # (P,) e


def gated_messages(
    pairs: Seen, p: Tensor, q: Tensor, away: Tensor, weight: Tensor, bias: Tensor, gate: Tensor
) -> Tensor:
    r"""What arrives at every atom, by compiled loops, which must be able to do it (`loops_do`).

    .. math:: \sum_j e_{ij}\, \sigma(w \cdot m_{ij} + b)\, m_{ij} \quad \text{with} \quad
              m_{ij} = \tau(W_2 \tau(p_i + q_j + A r_{ij}) + b_2)

    p, q: (M, D)   away: (D, R) A   weight, bias: (D, D), (D,) of W_2   gate: (D + 1,) w and b, or (0,) for no gate
    →   (M, D)
    """
    given = (x.contiguous() for x in (p, q, away, weight, bias, gate))
    return cast(Tensor, GatedLoops.apply(pairs, torch.is_grad_enabled(), *given))  # type: ignore[no-untyped-call]


class GatedLoops(torch.autograd.Function):
    """`gated_messages`, a run of pairs at a time. For the way back y is kept, which the last τ sees; u is made again.

    Behind u stand the slopes of its τ; `farther` is A r.
    """

    @staticmethod
    def forward(ctx: Any, pairs: Seen, keep: bool, *given: Tensor) -> Tensor:  # noqa: ANN401
        p, q, away, weight, bias, gate = given
        d, out, kept = p.shape[1], torch.zeros_like(p), []
        u, farther = (p.new_empty(size * together(d), d) for size in (4, 1))
        begin, end = map(compiled, (pair_kernels.begin, pair_kernels.end))
        first, last = flat(p, q, farther, u), flat(gate, out)
        for seen, here, there, envelope in runs(d, pairs.seen, pairs.here, pairs.there, pairs.envelope):
            count = len(here)
            torch.mm(seen, away.t(), out=farther[:count])
            begin(d, here, there, *first)
            y = torch.addmm(bias, u[: 2 * count], weight.t())
            end(d, here, there, envelope, *flat(y), *last)
            kept += [y] if keep else []
        ctx.pairs = pairs
        ctx.save_for_backward(p, q, away, weight, gate, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        p, q, away, weight, gate, *kept = ctx.saved_tensors
        to_p, to_q, to_away, to_weight, to_gate = map(torch.zeros_like, (p, q, away, weight, gate))
        to_bias, d, pairs = torch.zeros_like(weight[0]), p.shape[1], ctx.pairs
        u, to_y, farther = (p.new_empty(size * together(d), d) for size in (4, 2, 1))
        loops = (pair_kernels.begin, pair_kernels.end_back, pair_kernels.begin_back)
        begin, end_back, begin_back = map(compiled, loops)
        first, middle, last = flat(p, q, farther, u), flat(gate, slope, to_y, to_gate), flat(u, to_p, to_q, farther)
        parts = runs(d, pairs.seen, pairs.here, pairs.there, pairs.envelope)
        for (seen, here, there, envelope), y in zip(parts, kept, strict=True):
            count = len(here)
            torch.mm(seen, away.t(), out=farther[:count])
            begin(d, here, there, *first)
            end_back(d, here, there, envelope, *flat(y), *middle)
            rows = to_y[: 2 * count]
            to_weight.addmm_(rows.t(), u[: 2 * count])
            to_bias += rows.sum(0)
            torch.mm(rows, weight, out=u[: 2 * count])
            begin_back(d, here, there, *last)
            to_away.addmm_(farther[:count].t(), seen)
        return None, None, to_p, to_q, to_away, to_weight, to_bias, to_gate


def together(width: int) -> int:
    """Pairs that are looked at together."""
    return max(TOGETHER // width, 1)


def runs(width: int, first: Tensor, *others: Tensor) -> Iterator[tuple[Any, ...]]:
    """Rows for `together` pairs: of the first tensor as a tensor, of the others as `flat` arrays."""
    arrays, steps = flat(*others), [math.prod(x.shape[1:]) for x in others]
    for start in range(0, len(first), together(width)):
        stop = min(start + together(width), len(first))
        yield first[start:stop], *(x[start * step : stop * step] for x, step in zip(arrays, steps, strict=True))


def flat(*tensors: Tensor) -> list[Any]:
    """The tensors as arrays in one row each; contiguous ones share their memory, so that loops can write to them."""
    return [tensor.detach().contiguous().view(-1).numpy() for tensor in tensors]

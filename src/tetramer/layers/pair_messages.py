"""Messages of PaiNN over lists of pairs of atoms."""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tetramer.layers.bases import bessel, cosine, lengths
from tetramer.layers.pair_kernels import compiled, give_back, receive

RUN = 512  # pairs whose filters are made at a time: they stay in the processor's cache


class Pairs(NamedTuple):
    """P pairs of different atoms of one geometry that are closer than the cutoff, each pair once."""

    here: Tensor  # (P,) int64
    there: Tensor  # (P,) int64
    directions: Tensor  # (P, 3) unit vectors (x_i − x_j) / d, i is here and j there
    basis: Tensor  # (P, R + 1) functions of distances and 1, with their envelope


def close_pairs(x: Tensor, owner: Tensor, radial: int, cutoff: float) -> Pairs:
    """Who is near whom. x: (M, 3) Å   owner: (M,) the geometry of each atom, ascending"""
    place = torch.arange(len(x), device=x.device)
    rest = torch.bincount(owner).cumsum(0)[owner] - place - 1  # (M,) atoms of the same geometry that come later
    here = place.repeat_interleave(rest)
    there = torch.arange(len(here), device=x.device) - (rest.cumsum(0) - rest)[here] + here + 1
    between = x[here] - x[there]
    d = lengths(between.square().sum(1))
    near = d < cutoff
    here, there, between, d = here[near], there[near], between[near], d[near]
    envelope = cosine(d, cutoff)[:, None]
    return Pairs(here, there, between / d[:, None], torch.cat([bessel(d, radial, cutoff) * envelope, envelope], 1))


def messages(pairs: Pairs, weights: Tensor, sent: Tensor) -> Tensor:
    r"""What arrives at every atom from its neighbours, with filters :math:`[A \Vert B \Vert C]_{ij} = W r_{ij}`.

    .. math:: \sum_j A_{ij} \circ a_j \qquad \sum_j B_{ij} \circ b_j \circ v_j + (C_{ij} \circ c_j) \otimes \hat x_{ij}

    weights: (3 D, R + 1) W   sent: (M, 5, D) a, c and the three axes of b ∘ v   →   (M, 4, D) scalars, three axes

    Loops compiled for the processor do it where nothing but weights and atoms has a slope; torch does it on an
    accelerator, in half precision and where places have a slope (forces).
    """
    plain = sent.device.type == "cpu" and sent.dtype in (torch.float32, torch.float64)
    if plain and not pairs.basis.requires_grad:
        return cast(Tensor, Compiled.apply(pairs, weights, sent))  # type: ignore[no-untyped-call]
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


class Compiled(torch.autograd.Function):
    """`messages` by `pair_kernels`, a run of pairs at a time. Filters are made again for the way back, none is kept."""

    @staticmethod
    def forward(ctx: Any, pairs: Pairs, weights: Tensor, sent: Tensor) -> Tensor:  # noqa: ANN401
        sent = sent.contiguous()
        ctx.pairs = pairs
        ctx.save_for_backward(weights, sent)
        out, loop = sent.new_zeros(len(sent), 4, sent.shape[2]), compiled(receive)
        for *given, basis in zip(*map(in_runs, pairs), strict=True):
            loop(*numbers(*given), *numbers(basis @ weights.t(), sent, out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor, Tensor]:  # noqa: ANN401
        (weights, sent), loop = ctx.saved_tensors, compiled(give_back)
        to_weights, to_sent = torch.zeros_like(weights), torch.zeros_like(sent)
        for *given, basis in zip(*map(in_runs, ctx.pairs), strict=True):
            filters = basis @ weights.t()
            to_filters = torch.zeros_like(filters)
            loop(*numbers(*given), *numbers(filters, sent, slope, to_sent, to_filters))
            to_weights.addmm_(to_filters.t(), basis)
        return None, to_weights, to_sent


def in_runs(tensor: Tensor) -> tuple[Tensor, ...]:
    """RUN rows each."""
    return torch.split(tensor, RUN)


def numbers(*tensors: Tensor) -> list[Any]:
    """The tensors in one row each; contiguous ones are seen as they are, so that loops can write to them."""
    return [tensor.detach().contiguous().view(-1).numpy() for tensor in tensors]

"""Lists of rows of different lengths, and sums over them."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad


class Lists(NamedTuple):
    """R lists of row numbers, laid end to end."""

    entries: Tensor  # (L,) int64 in [0, rows): list r is entries[starts[r]:starts[r + 1]]
    owner: Tensor  # (L,) int64 in [0, R), ascending: the list that each entry belongs to
    starts: Tensor  # (R + 1,) int64
    rows: int

    @property
    def counts(self) -> Tensor:
        """(R,) entries of each list."""
        return self.starts.diff()


def rounded(rows: int) -> int:
    """The next multiple of 64. Shapes that come back are cheap: oneDNN prepares a bf16 kernel for every new one."""
    return -(-rows // 64) * 64


def starts_of(counts: Tensor) -> Tensor:
    """Where runs of these lengths begin, and where the last one ends. (R,) → (R + 1,)"""
    return pad(counts.cumsum(0), (1, 0))


def lists(index: Tensor, counts: Tensor, rows: int) -> Lists:
    """Cut `index` (L,), row numbers below `rows`, into lists of `counts` (R,) entries.

    Both R and `rows` are rounded up: the last lists are empty, and no list holds the last rows.
    """
    counts = pad(counts, (0, rounded(len(counts)) - len(counts)))
    place = torch.arange(len(counts), device=index.device)
    owner = torch.repeat_interleave(place, counts, output_size=len(index))
    return Lists(index, owner, starts_of(counts), rounded(rows))


def spread(starts: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Where the entries of `rows` lie in a flat array cut by `starts`, and how many each row has.

    starts: (n + 1,)   rows: (R,)   →   positions (L,), counts (R,)
    """
    begin = starts.index_select(0, rows)
    counts = starts.index_select(0, rows + 1) - begin
    shift = begin - (counts.cumsum(0) - counts)  # (R,) flat start minus place in the result
    total = int(counts.sum())
    steps = torch.arange(total, device=rows.device)
    return steps + torch.repeat_interleave(shift, counts, output_size=total), counts


class _GatherSum(torch.autograd.Function):
    """The gradient of a sum over lists of rows is a sum over the lists that hold each row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, owner: Tensor, starts: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(index, owner)
        ctx.rows = len(x)
        return embedding_bag(index, x.detach(), starts, mode="sum", include_last_offset=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        index, owner = ctx.saved_tensors
        holders = owner.index_select(0, index.argsort(stable=True))
        starts = starts_of(torch.bincount(index, minlength=ctx.rows))
        grad = embedding_bag(holders, grads[0].contiguous(), starts, mode="sum", include_last_offset=True)
        return grad, None, None, None


def gather_sum(x: Tensor, chosen: Lists) -> Tensor:
    r"""Sum chosen rows, :math:`y_r = \sum_{i \in \text{list } r} x_i`; an empty list gives zeros.

    x: (rows, D)   →   (R, D)

    Reads each chosen row once and writes each sum once, forward and backward: on a CPU four times faster than
    `index_select` and `index_add`. A bf16 sum is added up in fp32.
    """
    result: Tensor = _GatherSum.apply(x, chosen.entries, chosen.owner, chosen.starts)  # type: ignore[no-untyped-call]
    return result

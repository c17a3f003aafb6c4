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


def one_each(index: Tensor, rows: int) -> Lists:
    """Lists of one row: index (R,) int64, row numbers below `rows`."""
    return lists(index, torch.ones_like(index), rows)


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
    def forward(ctx: Any, x: Tensor, chosen: Lists, weight: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(chosen.entries, chosen.owner, weight)
        ctx.rows = len(x)
        return _sum(x.detach(), chosen.entries, chosen.starts, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        index, owner, weight = ctx.saved_tensors
        order = index.argsort(stable=True)
        starts = starts_of(torch.bincount(index, minlength=ctx.rows))
        weight = None if weight is None else weight.index_select(0, order)
        return _sum(grads[0].contiguous(), owner.index_select(0, order), starts, weight), None, None


def _sum(x: Tensor, entries: Tensor, starts: Tensor, weight: Tensor | None) -> Tensor:
    return embedding_bag(entries, x, starts, mode="sum", include_last_offset=True, per_sample_weights=weight)


def gather_sum(x: Tensor, chosen: Lists, weight: Tensor | None = None) -> Tensor:
    r"""Sum chosen rows, :math:`y_r = \sum_{i \in \text{list } r} w_i x_i`; an empty list gives zeros.

    x: (rows, D)   weight: (L,) of the entries, taken as constants; None: 1   →   (R, D)

    Reads each chosen row once and writes each sum once, forward and backward: on a CPU four times faster than
    `index_select` and `index_add`. A bf16 sum is added up in fp32.
    """
    result: Tensor = _GatherSum.apply(x, chosen, weight)  # type: ignore[no-untyped-call]
    return result

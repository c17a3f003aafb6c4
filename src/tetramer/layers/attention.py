"""Attention among the rows that share an owner, or from them to other rows of the same owner.

Rows are flat here as everywhere, and every product with weights runs on flat rows; only scores and weighted sums are
made in padded blocks. Half of a padded batch of random SMILES is padding.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from tetramer.layers.dropout import Dropout
from tetramer.layers.tensors import to_dense

SLOWEST = 10_000.0  # the first pair turns by 1 a place, the last nearly this many times slower
Past = tuple[Tensor, Tensor]  # keys and values, (B, H, t, d) each, of the t rows before


class Memory(NamedTuple):
    """Rows elsewhere that every step looks at."""

    keys: Tensor  # (B, H, m, d)
    values: Tensor  # (B, H, m, d)
    seen: Tensor  # (B, m) bool, which are there


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, bias: Tensor | None = None, causal: bool = False
) -> Tensor:
    r"""Scaled dot-product attention, :math:`\mathrm{softmax}(q k^\top / \sqrt d + b)\, v`.

    q: (B, H, n, d)   k, v: (B, H, m, d)   mask: (B, m) bool, which keys are there   bias: (B or 1, H or 1, n, m)
    causal: the last query sees all keys, the one before all but the last, …   →   (B, H, n, d)

    A query that sees no key gets zeros. On a CPU bf16 is computed in fp32, and the result is fp32: there the bf16
    kernel takes three times as long for the gradient.
    """
    seen = None if mask is None else mask[:, None, None, :]
    if causal:
        n, m = q.shape[2], k.shape[2]
        before = torch.ones(n, m, dtype=torch.bool, device=q.device).tril(m - n)
        seen = before if seen is None else before & seen
    if bias is not None:
        seen = bias if seen is None else bias.masked_fill(~seen, -math.inf)
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        q, k, v = q.float(), k.float(), v.float()
        seen = seen.float() if bias is not None and seen is not None else seen
    with torch.autocast("cpu", enabled=False):
        return scaled_dot_product_attention(q, k, v, attn_mask=seen)


def rotated(x: Tensor, place: Tensor) -> Tensor:
    r"""Rotary positions (arXiv:2104.09864): components i and i + d/2 turn by the angle :math:`p\, 10^{-8 i / d}`.

    x: (N, H, d), d even   place: (N,)   →   (N, H, d)

    The product of two rows then depends on their places through the difference alone.
    """
    half = x.shape[-1] // 2
    rate = SLOWEST ** (torch.arange(half, device=x.device) / -half)
    angle = place[:, None, None] * rate  # (N, 1, d/2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Attention(nn.Module):
    """Multi-head attention (arXiv:1706.03762) within each owner; with `context`, to rows of that width elsewhere.

    The weights of the attention itself have no dropout: with it, processors take a slow path.
    """

    def __init__(self, width: int, heads: int, context: int | None = None, causal: bool = False) -> None:
        super().__init__()
        assert width % heads == 0, "heads share the width"
        self.heads, self.causal = heads, causal
        self.query = nn.Linear(width, width, bias=False)
        self.pair = nn.Linear(context or width, 2 * width, bias=False)  # keys and values
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Tensor,
        owner: Tensor,
        size: int,
        place: Tensor | None = None,
        context: tuple[Tensor, Tensor] | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """x: (N, D)   owner: (N,) ascending, in [0, size)   →   (N, D)

        place: (N,), turns queries and keys; without it rows have no order   context: rows (M, C) and their owners
        (M,), instead of x itself; they have no places   bias: (size or 1, H or 1, n, m) for padded rows; n, m: most
        rows of an owner

        A row whose owner has no context gets the bias of the last layer alone. So do rows of x behind those that
        `owner` tells of; they are there to make the number of rows round.
        """
        assert place is None or context is None, "places of other rows are not known"
        rows, owners = (x, owner) if context is None else context
        q, k, v = self.project(x, rows)
        q, k, v = q[: len(owner)], k[: len(owners)], v[: len(owners)]
        if place is not None:
            q, k = rotated(q, place), rotated(k, place)
        if not len(q):
            return cast(Tensor, self.out(q.flatten(1)))
        queries, there = to_dense(q, owner, size)  # (size, n, H, d), (size, n)
        pairs, seen = to_dense(torch.stack([k, v], 1), owners, size)  # (size, m, 2, H, d), (size, m)
        keys, values = pairs.transpose(1, 3).unbind(2)  # (size, H, m, d)
        y = attend(queries.transpose(1, 2), keys, values, seen, bias, self.causal)
        y = y.transpose(1, 2)[there].flatten(1)  # (N, D)
        return cast(Tensor, self.out(pad(y, (0, 0, 0, len(x) - len(y)))))

    def step(self, x: Tensor, place: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """The next row of each owner, which sees itself and the past.

        x: (B, D)   place: (B,)   →   (B, D) and the past of the row after it
        """
        q, k, v = self.project(x, x)  # (B, H, d)
        q, k, v = rotated(q, place), rotated(k, place)[:, :, None], v[:, :, None]
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        return self.out(attend(q[:, :, None], k, v).flatten(1)), (k, v)

    def remember(self, rows: Tensor, owners: Tensor, size: int) -> Memory:
        """What `recall` looks at. rows: (M, C)   owners: (M,) ascending, in [0, size)"""
        pairs, seen = to_dense(self.pair(rows).unflatten(1, (2, self.heads, -1)), owners, size)  # (size, m, 2, H, d)
        keys, values = pairs.transpose(1, 3).unbind(2)
        return Memory(keys, values, seen)

    def recall(self, x: Tensor, memory: Memory) -> Tensor:
        """`forward` of one row for each owner, (B, D), with the context that is remembered. → (B, D)"""
        q = self.query(x).unflatten(1, (self.heads, 1, -1))  # (B, H, 1, d)
        return cast(Tensor, self.out(attend(q, memory.keys, memory.values, memory.seen).flatten(1)))

    def project(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (N, H, d) of x (N, D), keys and values (M, H, d) of rows (M, C)."""
        k, v = self.pair(rows).unflatten(1, (2, self.heads, -1)).unbind(1)
        return self.query(x).unflatten(1, (self.heads, -1)), k, v


def feed(width: int, expansion: int, dropout: float) -> nn.Sequential:
    """The half of a layer that looks at each row alone."""
    return nn.Sequential(
        nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width), Dropout(dropout)
    )


class Block(nn.Module):
    """One layer of a transformer with the norms before its two halves (arXiv:2002.04745)."""

    def __init__(self, width: int, heads: int, expansion: int = 4, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal=causal)
        self.feed = feed(width, expansion, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, owner: Tensor, size: int, place: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """x: (N, D)   →   (N, D); the rest as in `Attention`."""
        x = x + self.dropout(self.attention(self.first(x), owner, size, place, bias=bias))
        return cast(Tensor, x + self.feed(self.second(x)))

    def step(self, x: Tensor, place: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """The next row of each owner, (B, D), after the past; `forward` of a causal block gives the same row."""
        answer, past = self.attention.step(self.first(x), place, past)
        x = x + self.dropout(answer)
        return x + self.feed(self.second(x)), past


class CrossBlock(nn.Module):
    """A causal layer that also looks at rows elsewhere: the decoder's (arXiv:1706.03762), with its norms before."""

    def __init__(self, width: int, heads: int, expansion: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads, causal=True)
        self.cross = Attention(width, heads, context=width)
        self.feed = feed(width, expansion, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, owner: Tensor, size: int, place: Tensor, context: tuple[Tensor, Tensor]) -> Tensor:
        """x: (N, D)   context: rows (M, D) and their owners (M,)   →   (N, D); the rest as in `Attention`."""
        x = x + self.dropout(self.attention(self.first(x), owner, size, place))
        x = x + self.dropout(self.cross(self.second(x), owner, size, context=context))
        return cast(Tensor, x + self.feed(self.third(x)))

    def step(self, x: Tensor, place: Tensor, past: Past | None, memory: Memory) -> tuple[Tensor, Past]:
        """The next row of each owner, (B, D), after the past; `forward` gives the same row."""
        answer, past = self.attention.step(self.first(x), place, past)
        x = x + self.dropout(answer)
        x = x + self.dropout(self.cross.recall(self.second(x), memory))
        return x + self.feed(self.third(x)), past

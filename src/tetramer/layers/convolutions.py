"""Four layers that pass vectors of atoms along bonds and loops; each kind of atom is computed once."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear, pad

from tetramer.layers.neighbourhoods import Kinds, Neighbourhoods, Round, messages
from tetramer.layers.pooling import max_by_owner, softmax_by_owner, sum_by_owner
from tetramer.layers.ragged import Lists, gather_sum, lists

GAIN = math.sqrt(2)  # of first weights, for ReLU


class Graph(NamedTuple):
    """A batch as the layers read it. Neighbours of an atom are those that it is bound to, and the atom itself."""

    hood: Neighbourhoods
    x: Tensor  # (A, F) features of the kinds of atoms at radius 0
    e: Tensor  # (K, 15) features of the kinds of bonds
    links: Tensor  # (2, E + N) source and target of bonds and loops
    near: Tensor  # (N,) 1 / √d, d the number of neighbours
    around: Tensor  # (N, 15) features of the bonds of each atom, added up with weights 1 / √(d_u d_v); for `Hops` alone
    owner: Tensor  # (N,) molecule of each atom
    size: int

    def weight(self, step: Round) -> Tensor:
        """(L,) 1 / √(d_u d_v) of the atoms that meet in a round."""
        sender, receiver = self.near[step.before.first], self.near[step.kinds.first]
        return sender[step.incoming.entries] * receiver[step.incoming.owner]

    def spread(self, c: Tensor) -> Tensor:
        r"""One hop of a number of each atom, :math:`c_v' = \sum_u c_u / \sqrt{d_u d_v}`. (N,) → (N,)"""
        source, target = self.links
        sent = (c * self.near).index_select(0, source)
        return torch.zeros_like(c).index_add_(0, target, sent) * self.near

    def by_molecule(self, kinds: Kinds) -> Lists:
        """For every molecule, the kinds of its atoms."""
        return lists(kinds.row, self.owner.bincount(minlength=self.size), len(kinds.first))


class Hops(nn.Module):
    r"""TAG (arXiv:1710.10370) with hops 0 … K, and with hop 1 alone GCN (arXiv:1609.02907).

    .. math::
        h' = \sum_k S^k h W_k + \sum_{k < K} S^k C E + b \qquad
        S_{vu} = \frac{1}{\sqrt{d_v d_u}} \qquad C_v = \sum_{u \in N(v)} S_{vu} e_{uv}

    Without `bonds`, E = 0. With them, every message that passes a bond on its way takes up e E: it says how the atoms
    are bound.
    """

    def __init__(self, inputs: int, width: int, bonds: int, first: int, last: int) -> None:
        super().__init__()
        self.inputs, self.hops, self.reach = inputs, range(first, last + 1), last
        self.linear = nn.Linear(inputs * len(self.hops), width)
        if first:
            nn.init.xavier_uniform_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        else:
            nn.init.xavier_normal_(self.linear.weight, GAIN)
        self.bond = nn.Linear(bonds, width, bias=False) if bonds else None

    @property
    def weights(self) -> dict[int, Tensor]:
        """W of each hop, (D, inputs)."""
        return dict(zip(self.hops, torch.split(self.linear.weight, self.inputs, 1), strict=True))

    def forward(self, h: Tensor, rounds: Sequence[Round], graph: Graph) -> Tensor:
        """(U, inputs) → (U', D), by Horner's rule: W multiplies the few kinds that h has, not the many in its reach."""
        weights, start = self.weights, rounds[0].before
        z = linear(h, weights[self.reach]).to(h.dtype)
        for hop, step in zip(reversed(range(self.reach)), rounds, strict=True):
            z = gather_sum(z, step.incoming, graph.weight(step))
            if hop in weights:
                z = z + gather_sum(linear(h, weights[hop]).to(h.dtype), start.within(step.kinds))
            if self.bond is not None:
                bound = graph.around[step.kinds.first]
                z = z + self.bond(pad(bound, (0, 0, 0, len(z) - len(bound))))
        return z + self.linear.bias

    def added(self, h: Tensor, kinds: Kinds, graph: Graph, c: Tensor) -> Tensor:
        r"""The weighted sum of each molecule, :math:`\sum_v c_v h_v'`, without any :math:`h_v'`. c: (N,) → (B, D)

        :math:`c^\top S^k` is k hops of a number of each atom; only then comes W, to one row a molecule.
        """
        weights, rows = self.weights, graph.by_molecule(kinds)
        size = len(rows.starts) - 1
        total = self.linear.bias * sum_by_owner(c[:, None], graph.owner, size)
        for hop in range(self.reach + 1):
            if hop in weights:
                total = total + product(gather_sum(h, rows, c), weights[hop])
            if self.bond is not None and hop < self.reach:
                bound = sum_by_owner(c[:, None] * graph.around, graph.owner, size)
                total = total + product(bound, self.bond.weight)
            c = graph.spread(c)
        return total[: graph.size]


def product(x: Tensor, weight: Tensor) -> Tensor:
    """(n, K), (D, K) → (n, D). Columns of zeros fill up K: where rows are not aligned, equal ones may round apart."""
    missing = (0, -x.shape[1] % 16)
    return linear(pad(x, missing), pad(weight, missing)) if missing[1] else linear(x, weight)


class Sent(nn.Module):
    """What atoms send to their neighbours: a vector of their own, with `bonds` that and one of the bond it passes."""

    def __init__(self, width: int, bonds: int) -> None:
        super().__init__()
        self.bond = nn.Linear(bonds, width, bias=False) if bonds else None

    def forward(self, z: Tensor, step: Round, graph: Graph) -> tuple[Tensor, Lists]:
        """(U, D) → messages (M, D), and those that each of the wider kinds of atoms receives."""
        if self.bond is None:
            return z, step.incoming
        sent, incoming = messages(step, len(graph.hood.bonds))
        return gather_sum(torch.cat([z, self.bond(graph.e).to(z.dtype)]), sent), incoming


class Pool(nn.Module):
    r"""GraphSAGE (arXiv:1706.02216) with the aggregator that it calls pool.

    .. math::
        h_v' = W h_v + W' \max_u \mathrm{ReLU}(W'' h_u + b'' + e_{uv}) + b
    """

    reach = 1

    def __init__(self, inputs: int, width: int, bonds: int) -> None:
        super().__init__()
        self.pool = nn.Linear(inputs, inputs)
        self.own = nn.Linear(inputs, width)
        self.others = nn.Linear(inputs, width, bias=False)
        for layer in (self.pool, self.own, self.others):
            nn.init.xavier_uniform_(layer.weight, GAIN)
        self.sent = Sent(inputs, bonds)

    def forward(self, h: Tensor, rounds: Sequence[Round], graph: Graph) -> Tensor:
        """(U, inputs) → (U', D)"""
        (step,) = rounds
        m, incoming = self.sent(self.pool(h).to(h.dtype), step, graph)
        top = max_by_owner(m.relu().index_select(0, incoming.entries), incoming.owner, len(incoming.starts) - 1)
        z: Tensor = gather_sum(self.own(h).to(h.dtype), step.before.within(step.kinds)) + self.others(top)
        return z


class Attention(nn.Module):
    r"""GAT (arXiv:1710.10903): heads side by side, each of its own share of the width.

    .. math::
        h_v' = \sum_u \alpha_{uv} m_{uv} + b \qquad m_{uv} = W h_u + e_{uv} \qquad
        \alpha_{uv} = \mathrm{softmax}_u\,\mathrm{LeakyReLU}_{0.2}(a \cdot m_{uv} + a' \cdot W h_v)
    """

    reach = 1

    def __init__(self, inputs: int, width: int, bonds: int, heads: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width, bias=False)
        self.sends = nn.Parameter(torch.empty(1, heads, width // heads))  # a
        self.receives = nn.Parameter(torch.empty(1, heads, width // heads))  # a'
        for weight in (self.project.weight, self.sends, self.receives):
            nn.init.xavier_normal_(weight, GAIN)
        self.bias = nn.Parameter(torch.zeros(width))
        self.sent = Sent(width, bonds)

    def forward(self, h: Tensor, rounds: Sequence[Round], graph: Graph) -> Tensor:
        """(U, inputs) → (U', D)"""
        (step,) = rounds
        z = self.project(h).to(h.dtype)
        m, incoming = self.sent(z, step, graph)
        heads, size = (-1, *self.sends.shape[1:]), len(incoming.starts) - 1
        sender = (m.view(heads) * self.sends).sum(-1)  # (M, H)
        receiver = gather_sum((z.view(heads) * self.receives).sum(-1), step.before.within(step.kinds))  # (U', H)
        score = sender.index_select(0, incoming.entries) + receiver.index_select(0, incoming.owner)
        share = softmax_by_owner(leaky_relu(score, 0.2), incoming.owner, size)  # (L, H)
        carried = (m.index_select(0, incoming.entries).view(heads) * share[:, :, None]).flatten(1)
        return sum_by_owner(carried, incoming.owner, size) + self.bias

"""Which atoms of a batch look the same up to a given number of bonds.

A network that passes messages from atom to atom computes the same vector for two atoms whose neighbourhoods are equal,
so each is computed once, as `environments` does for bonds. Of the 6,800 atoms of 256 drug-like molecules 110 differ by
themselves, 1,100 within one bond, 3,000 within two and 4,400 within three.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tetramer.layers.environments import distinct, mix
from tetramer.layers.ragged import Lists, lists, one_each, rounded, spread, starts_of


class Kinds(NamedTuple):
    """The U kinds of atoms that differ within one radius."""

    first: Tensor  # (U,) int64 an atom of each kind
    row: Tensor  # (N,) int64 the kind of each atom

    def within(self, wider: "Kinds") -> Lists:
        """One row each: the kind that an atom of each wider kind has here."""
        return one_each(self.row.index_select(0, wider.first), len(self.first))


class Round(NamedTuple):
    """The kinds of one radius, each made from those of the radius before."""

    before: Kinds
    kinds: Kinds
    incoming: Lists  # kinds before of the neighbours, in the order of the edges; with loops also of the atom itself
    bonds: Tensor  # (L,) int64 the bond that each of these comes along; K for a loop


class Neighbourhoods(NamedTuple):
    """What to compute once, and which atoms share it."""

    atoms: Kinds  # without any neighbour
    bonds: Tensor  # (K,) int64 one edge of each kind
    rounds: list[Round]  # radius 1, 2 …

    @property
    def last(self) -> Kinds:
        """The kinds of the widest radius."""
        return self.rounds[-1].kinds if self.rounds else self.atoms


def neighbourhoods(atoms: Tensor, bonds: Tensor, edges: Tensor, steps: int, loops: bool = False) -> Neighbourhoods:
    """Group the atoms of a batch by their neighbourhoods of radius 0 … `steps`.

    atoms: (N,) int64 code of each atom   bonds: (E,) int64 code of each edge   edges: (2, E) source and target
    loops: whether every atom is a neighbour of its own. Neighbourhoods are compared by 64-bit hashes, as in
    `environments`.
    """
    bond = distinct(bonds)
    source, target, along, codes = *edges, bond.row, mix(bonds)
    if loops:
        itself = torch.arange(len(atoms), device=atoms.device)
        source, target = torch.cat([source, itself]), torch.cat([target, itself])
        along = torch.cat([along, torch.full_like(itself, len(bond.first))])
        codes = torch.cat([codes, torch.zeros_like(itself)])
    arriving, starts = target.argsort(stable=True), starts_of(torch.bincount(target, minlength=len(atoms)))
    start = before = distinct(mix(atoms))
    rounds = []
    for _ in range(steps):
        sent = mix(codes + before.codes.index_select(0, source))
        now = distinct(mix(mix(before.codes) + torch.zeros_like(atoms).index_add_(0, target, sent)))
        at, counts = spread(starts, now.first)
        edge = arriving.index_select(0, at)
        senders = before.row.index_select(0, source.index_select(0, edge))
        incoming = lists(senders, counts, len(before.first))
        kinds = Kinds(now.first, now.row)
        rounds.append(Round(Kinds(before.first, before.row), kinds, incoming, along.index_select(0, edge)))
        before = now
    return Neighbourhoods(Kinds(start.first, start.row), bond.first, rounds)


def messages(step: Round, bonds: int) -> tuple[Lists, Lists]:
    """What is sent in a round, once each: M pairs of a kind of atom and a kind of bond.

    bonds: K   →   M lists of one or two rows of a table of atoms (U rounded up) above bonds (K rounded up), a loop
    having no bond; and for each kind of atom the list of messages that it receives.
    """
    incoming = step.incoming
    pairs, row = torch.unique(incoming.entries * (bonds + 1) + step.bonds, return_inverse=True)
    sender, bond = pairs // (bonds + 1), pairs % (bonds + 1)
    both = torch.stack([sender, incoming.rows + bond], 1)  # (M, 2)
    there = torch.stack([torch.ones_like(bond, dtype=torch.bool), bond < bonds], 1)
    sent = lists(both[there], there.sum(1), incoming.rows + rounded(bonds))
    return sent, Lists(row, incoming.owner, incoming.starts, rounded(len(pairs)))

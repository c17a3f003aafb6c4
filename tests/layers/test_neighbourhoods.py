"""Which atoms share a neighbourhood: hand-worked molecules, and the exact partition by brute force."""

from collections.abc import Hashable
from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from tetramer.layers.neighbourhoods import Neighbourhoods, messages, neighbourhoods
from tetramer.layers.ragged import Lists

Molecule = tuple[list[int], list[tuple[int, int, int]]]  # atom codes; bonds (u, v, code)
LOOP = -1


@st.composite
def molecules(draw: st.DrawFn) -> Molecule:
    atoms = draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
    pairs = [(u, v) for u in range(len(atoms)) for v in range(u)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=9)) if pairs else []
    return atoms, [(u, v, draw(st.integers(0, 1))) for u, v in chosen]


def found(molecule: Molecule, steps: int, loops: bool) -> Neighbourhoods:
    atoms, bonds = molecule
    ends = [pair for u, v, _ in bonds for pair in ((u, v), (v, u))]
    edges = torch.tensor(ends, dtype=torch.int64).reshape(-1, 2).t()
    codes = torch.tensor([c for *_, c in bonds for _ in "to"], dtype=torch.int64)
    return neighbourhoods(torch.tensor(atoms, dtype=torch.int64), codes, edges, steps, loops)


def neighbours(molecule: Molecule, atom: int, loops: bool) -> list[tuple[int, int]]:
    """(neighbour, code of the bond), the atom itself last."""
    around = [(b, c) for u, v, c in molecule[1] for a, b in ((u, v), (v, u)) if a == atom]
    return around + ([(atom, LOOP)] if loops else [])


def trees(molecule: Molecule, steps: int) -> list[Hashable]:
    """The neighbourhood of each atom written out as nested tuples."""
    now: list[Hashable] = list(molecule[0])
    for _ in range(steps):
        now = [
            (own, tuple(sorted(((c, now[u]) for u, c in neighbours(molecule, v, False)), key=repr)))
            for v, own in enumerate(now)
        ]
    return now


def cut(chosen: Lists) -> list[list[int]]:
    """The lists, without those that rounding adds if they are empty."""
    ends = chosen.starts.tolist()
    return [chosen.entries[a:b].tolist() for a, b in pairwise(ends)]


@given(molecules(), st.integers(0, 3), st.booleans())
def test_atoms_share_a_row_exactly_when_their_neighbourhoods_are_equal(
    molecule: Molecule, steps: int, loops: bool
) -> None:
    hood = found(molecule, steps, loops)
    for radius, kinds in enumerate([hood.atoms, *(step.kinds for step in hood.rounds)]):
        labels = trees(molecule, radius)
        assert [labels.index(label) for label in labels] == kinds.first[kinds.row].tolist()
    assert len(hood.rounds) == steps
    assert hood.last.row.tolist() == kinds.row.tolist()


@given(molecules(), st.integers(1, 3), st.booleans())
def test_a_round_lists_the_neighbours_and_their_bonds(molecule: Molecule, steps: int, loops: bool) -> None:
    hood = found(molecule, steps, loops)
    codes = [c for *_, c in molecule[1] for _ in "to"]
    kinds = [codes[edge] for edge in hood.bonds.tolist()]
    assert sorted(kinds) == sorted(set(codes))
    for step in hood.rounds:
        received, bonds = cut(step.incoming), step.bonds.tolist()
        for place, atom in enumerate(step.kinds.first.tolist()):
            told = [(row, bonds.pop(0)) for row in received[place]]
            row = step.before.row.tolist()
            expected = [
                (row[u], len(kinds) if c == LOOP else kinds.index(c)) for u, c in neighbours(molecule, atom, loops)
            ]
            assert sorted(told) == sorted(expected)
        own = cut(step.before.within(step.kinds))[: len(step.kinds.first)]
        assert own == [[step.before.row.tolist()[atom]] for atom in step.kinds.first.tolist()]


@given(molecules(), st.booleans())
def test_messages_are_pairs_of_an_atom_and_a_bond_once_each(molecule: Molecule, loops: bool) -> None:
    hood = found(molecule, 2, loops)
    bonds = len(hood.bonds)
    for step in hood.rounds:
        sent, incoming = messages(step, bonds)
        pairs = [tuple(pair) for pair in cut(sent) if pair]
        assert len(set(pairs)) == len(pairs)
        rows = step.incoming.rows
        told = [pairs[m] for m in incoming.entries.tolist()]
        entries = zip(step.incoming.entries.tolist(), step.bonds.tolist(), strict=True)
        assert told == [(row,) if bond == bonds else (row, rows + bond) for row, bond in entries]
        assert incoming.starts.equal(step.incoming.starts)


def test_butane_with_and_without_its_middle_bond_marked() -> None:
    """All carbons alike: ends and middles within one bond, whatever the bonds; marked bonds change the middles only."""
    plain, marked = (found(([6] * 4, [(0, 1, 0), (1, 2, code), (2, 3, 0)]), 1, True) for code in (0, 1))
    for hood in (plain, marked):
        assert hood.atoms.row.tolist() == [0] * 4
        row = hood.last.row.tolist()
        assert (row[0], row[1]) == (row[3], row[2])
        assert row[0] != row[1]
    assert (len(plain.bonds), len(marked.bonds)) == (1, 2)


def test_one_atom_and_nothing() -> None:
    alone = found(([6], []), 2, True)
    assert cut(alone.rounds[1].incoming)[0] == [0]
    assert cut(found(([6], []), 2, False).rounds[1].incoming)[0] == []
    nothing = found(([], []), 2, True)
    assert (len(nothing.last.row), len(nothing.rounds)) == (0, 2)

"""Which atoms and edges share a surrounding: hand-worked molecules, and the exact partition by brute force."""

from collections.abc import Hashable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tetramer.layers.environments import environments, mix

Graph = tuple[list[int], list[tuple[int, int, int]]]  # atom codes; bonds (u, v, code)


def tensors(graph: Graph) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    atoms, bonds = graph
    ends = [pair for u, v, _ in bonds for pair in ((u, v), (v, u))]
    edges = torch.tensor(ends, dtype=torch.int64).reshape(-1, 2).t()
    return torch.tensor(atoms), torch.tensor([c for *_, c in bonds for _ in "to"], dtype=torch.int64), edges


def trees(graph: Graph, depth: int) -> list[Hashable]:
    """The surroundings of each atom written out as nested tuples."""
    atoms, bonds = graph
    ends = [(u, v, c) for a, b, c in bonds for u, v in ((a, b), (b, a))]
    edge: list[Hashable] = [(atoms[u], c) for u, _, c in ends]
    first = edge
    for _ in range(depth - 1):
        edge = [
            (first[e], tuple(sorted((edge[f] for f in range(len(ends)) if ends[f][1] == u and f != e ^ 1), key=repr)))
            for e, (u, *_) in enumerate(ends)
        ]
    into = [sorted((edge[f] for f in range(len(ends)) if ends[f][1] == v), key=repr) for v in range(len(atoms))]
    return [(atom, tuple(around)) for atom, around in zip(atoms, into, strict=True)]


def partition(labels: list[Hashable]) -> list[int]:
    """The first place at which each label occurs."""
    return [labels.index(label) for label in labels]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    atoms = draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
    pairs = [(u, v) for u in range(len(atoms)) for v in range(u)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=9)) if pairs else []
    return atoms, [(u, v, draw(st.integers(0, 1))) for u, v in chosen]


@given(graphs(), st.integers(1, 4))
def test_atoms_share_a_row_exactly_when_their_surroundings_are_equal(graph: Graph, depth: int) -> None:
    found = environments(*tensors(graph), depth)
    rows = found.members.entries.tolist()
    assert partition(rows) == partition(trees(graph, depth))


BUTANE: Graph = ([6, 6, 6, 6], [(0, 1, 1), (1, 2, 1), (2, 3, 1)])


@pytest.mark.parametrize("depth, edges", [(1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_butane(depth: int, edges: list[int]) -> None:
    """All carbons alike: at radius 1 an edge leaves an end or not; at radius 2 there are three kinds."""
    found = environments(*tensors(BUTANE), depth)
    assert len(found.edges) == 1
    assert [int(level.incoming.counts.count_nonzero()) for level in found.levels[:-1]] == [n - 1 for n in edges[1:]]
    assert found.members.entries[[0, 1]].tolist() == found.members.entries[[3, 2]].tolist()


def test_the_first_member_stands_for_its_kind() -> None:
    found = environments(*tensors(([8, 6, 8, 6], [(0, 1, 0)])), 2)
    assert sorted(found.atoms.tolist()) == [0, 1]


def test_one_atom_and_nothing() -> None:
    alone = environments(*tensors(([6], [])), 3)
    assert (alone.atoms.tolist(), alone.edges.tolist(), alone.members.entries.tolist()) == ([0], [], [0])
    nothing = environments(torch.zeros(0, dtype=torch.int64), *tensors(([], []))[1:], 3)
    assert len(nothing.members.entries) == 0


THREE = [(0, 1, 0), (0, 2, 0), (0, 3, 0), (0, 4, 0), (5, 6, 0), (5, 7, 0), (5, 8, 0), (5, 9, 0)]


@pytest.mark.parametrize(
    "graph",
    [
        ([2, 1, 3, 1, 2, 3], [(0, 1, 0), (1, 2, 0), (3, 4, 0), (4, 5, 0)]),  # B-A-C and A-B-C
        ([1, 2, 2, 2, 3, 2, 1, 1, 1, 3], THREE),  # an A among three B, a B among three A
    ],
)
def test_an_atom_and_its_neighbours_are_not_mistaken_for_each_other(graph: Graph) -> None:
    """Their names would add up to the same sum."""
    for depth in (1, 2, 3):
        rows = environments(*tensors(graph), depth).members.entries.tolist()
        assert partition(rows) == partition(trees(graph, depth))


def test_names_are_those_of_splitmix64() -> None:
    """The first numbers of the generator seeded with 0, and three with 1234567."""
    gamma = -7046029254386353131
    states = torch.tensor([0, 1234567, 1234567 + gamma, 1234567 + 2 * gamma + 2**64])
    expected = [0xE220A8397B1DCDAF, 6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [value % 2**64 for value in mix(states).tolist()] == expected

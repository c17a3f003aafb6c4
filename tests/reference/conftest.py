"""Random graphs for the slow twins of the encoders that read them."""

import numpy as np
import pytest
import torch

from tetramer.views.graph import ATOM, BOND, GraphBatch

Molecule = tuple[np.ndarray, list[tuple[int, int, list[int]]]]


def molecule(rng: np.random.Generator, count: int, bonds: int) -> Molecule:
    """A random graph of few kinds of atoms, so that many surroundings are equal; it may fall apart."""
    palette = np.array(
        [[rng.choice([1, 6, 7, 8, 119]), *(rng.integers(n) for n in list(ATOM.values())[1:])] for _ in range(2)]
    )
    pairs = [(u, v) for v in range(count) for u in range(v)]
    chosen = sorted(rng.permutation(len(pairs))[:bonds])
    kinds = [[int(rng.integers(n)) for n in BOND.values()] for _ in range(2)]
    return palette[rng.integers(2, size=count)], [(*pairs[i], kinds[rng.integers(2)]) for i in chosen]


def batch(molecules: list[Molecule]) -> GraphBatch:
    first = np.cumsum([0, *(len(atoms) for atoms, _ in molecules)])
    atoms = np.concatenate([rows.reshape(-1, len(ATOM)) for rows, _ in molecules])
    both = [
        (a + s, b + s, c)
        for (_, bonds), s in zip(molecules, first[:-1], strict=True)
        for u, v, c in bonds
        for a, b in ((u, v), (v, u))
    ]
    return GraphBatch(
        size=len(molecules),
        ok=torch.ones(len(molecules), dtype=torch.bool),
        atoms=torch.from_numpy(atoms),
        edges=torch.tensor([[a, b] for a, b, _ in both], dtype=torch.int64).reshape(-1, 2).t(),
        bonds=torch.tensor([c for *_, c in both], dtype=torch.int64).reshape(-1, len(BOND)),
        owner=torch.from_numpy(np.repeat(np.arange(len(molecules)), np.diff(first))),
        role=torch.full((len(atoms),), 2),
    )


@pytest.fixture(scope="module")
def molecules() -> list[Molecule]:
    """A ring, a tree, a crowd of bonds, two atoms apart, one atom, none."""
    rng = np.random.Generator(np.random.Philox(0))
    made = [molecule(rng, count, bonds) for count, bonds in ((7, 8), (6, 5), (6, 15), (2, 0), (1, 0), (5, 3))]
    return [*made, (np.zeros((0, len(ATOM)), dtype=np.int64), [])]


@pytest.fixture(scope="module")
def graph(molecules: list[Molecule]) -> GraphBatch:
    """All of them in one batch."""
    return batch(molecules)

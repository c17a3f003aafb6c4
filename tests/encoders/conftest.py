"""Batches of geometries for the tests of the encoders that read them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

from tetramer.views.conformer import ConformerBatch

ELEMENTS = np.array([1, 6, 7, 8, 17])


class Geometry(NamedTuple):
    numbers: np.ndarray  # (n,)
    charges: np.ndarray  # (n,)
    positions: np.ndarray  # (n, 3)


def scattered(seed: int, count: int, charged: bool = True) -> Geometry:
    """Atoms at random, none closer than 0.7 Å to another one, as dense as in a molecule."""
    rng = np.random.Generator(np.random.Philox(seed))
    places: list[np.ndarray] = []
    while len(places) < count:
        place = rng.normal(size=3) * 1.1 * count ** (1 / 3)
        if all(np.linalg.norm(place - other) > 0.7 for other in places):
            places.append(place)
    charges = rng.choice([-1, 0, 0, 0, 1], count) if charged else np.zeros(count, np.int64)
    return Geometry(rng.choice(ELEMENTS, count), charges, np.array(places).reshape(-1, 3))


def embedded(smiles: str) -> Geometry:
    """A molecule with its hydrogens, by distance geometry."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    atoms = [(atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in mol.GetAtoms()]
    numbers, charges = np.array(atoms).T
    return Geometry(numbers, charges, mol.GetConformer().GetPositions())


def batch(molecules: Sequence[Sequence[Geometry]], dtype: torch.dtype = torch.float64) -> ConformerBatch:
    """Molecules, each with its geometries; one without any is allowed."""
    flat = [geometry for geometries in molecules for geometry in geometries]
    counts = [len(geometry.numbers) for geometry in flat]
    kept = [len(geometries) for geometries in molecules]

    def joined(parts: list[np.ndarray], shape: tuple[int, ...] = ()) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([np.zeros((0, *shape), np.int64), *parts]))

    return ConformerBatch(
        size=len(molecules),
        ok=torch.tensor(kept) > 0,
        numbers=joined([geometry.numbers for geometry in flat]).long(),
        charges=joined([geometry.charges for geometry in flat]).long(),
        positions=joined([geometry.positions for geometry in flat], (3,)).to(dtype),
        owner=torch.repeat_interleave(torch.arange(len(flat)), torch.tensor(counts, dtype=torch.int64)),
        molecule=torch.repeat_interleave(torch.arange(len(molecules)), torch.tensor(kept, dtype=torch.int64)),
    )


class Build(NamedTuple):
    """What the tests build from."""

    scattered: Callable[..., Geometry]
    embedded: Callable[[str], Geometry]
    batch: Callable[..., ConformerBatch]


@pytest.fixture(scope="session")
def build() -> Build:
    return Build(scattered, embedded, batch)

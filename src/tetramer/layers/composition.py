"""What a molecule is made of: atoms of each element, hydrogens included."""

from typing import cast

import torch
from torch import Tensor

from tetramer.views.base import Batch
from tetramer.views.fingerprint import FingerprintBatch
from tetramer.views.graph import ATOM, GraphBatch

ELEMENTS = 119  # atomic numbers 0 (a dummy atom) to 118
HYDROGENS = list(ATOM).index("hydrogens")


def counts_atoms(batch: Batch) -> bool:
    """Whether `composition` can be told from the batch of a view."""
    return isinstance(batch, FingerprintBatch | GraphBatch)


def composition(batch: Batch) -> Tensor:
    """Element counts (B, 119) float, index = atomic number, from either view of the same molecules.

    A fingerprint batch carries them; a graph batch has them in its atoms and their hydrogens.
    """
    if isinstance(batch, FingerprintBatch):
        return cast(Tensor, batch.elements)
    assert isinstance(batch, GraphBatch)
    atoms, owner = cast(Tensor, batch.atoms), cast(Tensor, batch.owner)
    flat = torch.zeros(batch.size * ELEMENTS, device=owner.device)
    place = owner * ELEMENTS
    flat.index_add_(0, place + atoms[:, 0], flat.new_ones(len(atoms)))
    flat.index_add_(0, place + 1, atoms[:, HYDROGENS].to(flat.dtype))
    return flat.view(batch.size, ELEMENTS)

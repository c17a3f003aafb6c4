"""From numpy batches to tensors, and from flat rows to padded ones."""

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from tetramer.views.base import Batch

B = TypeVar("B", bound=Batch)


def to_tensors(batch: B, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> B:
    """The same batch with every array as a tensor on `device`; it shares memory with the arrays where it can.

    dtype: of the floating-point fields (integers keep theirs); None keeps float32 as float32.
    """
    moved: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if isinstance(value, Tensor):
            moved[field.name] = value.to(device, dtype if value.is_floating_point() else None)
    return replace(batch, **moved)


def to_dense(flat: Tensor, owner: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Pad rows that share an owner to the longest such run.

    flat: (N, …)   owner: (N,) int64, ascending, in [0, size)   →   dense (size, n, …) with zeros where
    mask (size, n) bool is False. `dense[mask]` is `flat` again.
    """
    counts = torch.bincount(owner, minlength=size)
    longest = int(counts.max()) if size else 0
    mask = torch.arange(longest, device=flat.device) < counts[:, None]  # (size, n)
    dense = flat.new_zeros(size, longest, *flat.shape[1:])
    dense[mask] = flat
    return dense, mask

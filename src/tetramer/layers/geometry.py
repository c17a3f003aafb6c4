"""Molecules in space as dense arrays: padding in blocks, distances, atoms as vectors, signed volumes."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from tetramer.layers.pooling import mean_by_owner, sum_by_owner
from tetramer.layers.tensors import to_dense
from tetramer.views.conformer import ConformerBatch
from tetramer.views.graph import VOCABULARY

# Numbers in the largest tensor of a block; twice as many in bf16. Near the cache of a processor fp32 products of
# matrices are twice as fast as from memory; an accelerator wants few large blocks.
NEAR, FAR = 2**19, 2**28
CHARGES = 4  # formal charges beyond ±4 count as ±4
VOLUMES = 8  # signed volumes of an atom, where an encoder has them
SHORT = 0.02  # vectors much shorter than this count as none

Readout = Literal["sum", "mean"]  # of the atoms of a geometry


class Cloud(NamedTuple):
    """g geometries, padded to n atoms. What stands in a slot that is no atom is never looked at."""

    numbers: Tensor  # (g, n) int64 atomic numbers
    charges: Tensor  # (g, n) int64 formal charges
    positions: Tensor  # (g, n, 3) Å
    mask: Tensor  # (g, n) bool, which slots are atoms


def blockwise(encode: Callable[[Cloud], Tensor], batch: ConformerBatch, width: int, dtype: torch.dtype) -> Tensor:
    """Encode the geometries of a batch, those of like size together: little padding, and small tensors.

    encode: Cloud → (g, n, …), with tensors of g n² `width` numbers inside   →   (M, …) as `dtype`, in batch order
    """
    columns = [cast(Tensor, batch.numbers), cast(Tensor, batch.charges), cast(Tensor, batch.positions).to(dtype)]
    size = len(batch.molecule)
    return in_blocks(
        lambda dense, mask, _: encode(Cloud(dense[0], dense[1], dense[2], mask)).to(dtype),
        columns,
        cast(Tensor, batch.owner),
        size,
        width,
    )


def in_blocks(
    encode: Callable[[list[Tensor], Tensor, Tensor], Tensor],
    columns: Sequence[Tensor],
    owner: Tensor,
    size: int,
    width: int,
) -> Tensor:
    """`blockwise` for any columns (M, …) of the atoms of `size` geometries. owner: (M,) the geometry of each, ascending

    encode: columns (g, n, …), which slots are atoms (g, n), which geometries these are (g,) → (g, n, …)
    """
    counts = torch.bincount(owner, minlength=size)  # (G,) atoms of each geometry
    order = counts.argsort(stable=True)
    rank = order.argsort()[owner]  # (M,) place of the atom's geometry among those in order of size
    place = rank.argsort(stable=True)  # (M,) atoms in that order
    sizes, first = counts[order].tolist(), 0
    near = 2 * NEAR if torch.is_autocast_enabled("cpu") else NEAR
    parts = []
    for start, stop in spans(sizes, (near if owner.device.type == "cpu" else FAR) // width):
        rows = place[first : first + sum(sizes[start:stop])]
        first += len(rows)
        dense = [to_dense(x[rows], rank[rows] - start, stop - start) for x in columns]
        mask = dense[0][1]
        parts.append(encode([x for x, _ in dense], mask, order[start:stop])[mask])
    return torch.cat(parts).index_select(0, place.argsort())


def spans(sizes: list[int], most: int) -> list[tuple[int, int]]:
    """Cut geometries of ascending `sizes` into runs (start, stop) of at most `most` pairs of atoms, padding included.

    A run has at least one geometry, however large; without geometries there is one empty run.
    """
    cuts = [0]
    for place, size in enumerate(sizes):
        if place > cuts[-1] and (place + 1 - cuts[-1]) * size * size > most:
            cuts.append(place)
    return list(zip(cuts, [*cuts[1:], len(sizes)], strict=True))


def squared_distances(x: Tensor) -> Tensor:
    """(g, n, 3) → (g, n, n). By differences: a product of matrices would lose the digits of short distances."""
    between: Tensor = x[:, :, None] - x[:, None]
    return between.square().sum(-1)


def pairs(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Which slots are two different atoms, and how far apart they are.

    x: (g, n, 3)   mask: (g, n)   →   squared distances (g, n, n), 1 wherever there is no pair; pairs (g, n, n) bool
    """
    itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    pair = mask[:, :, None] & mask[:, None] & ~itself
    return squared_distances(x).where(pair, 1.0), pair


def signed_volumes(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    r"""Triple products :math:`\hat a \cdot (\hat b \times \hat c)` with :math:`\hat a = a / \sqrt{0.0004 + |a|^2}`.

    (…, 3, C) each → (…, C), in (-1, 1). Vectors that turn with the molecule give a number that does not; a mirror turns
    its sign. Vectors in one plane give 0.
    """
    a, b, c = (v / (SHORT * SHORT + v.square().sum(-2, keepdim=True)).sqrt() for v in (a, b, c))
    volumes: Tensor = (a * torch.linalg.cross(b, c, dim=-2)).sum(-2)
    return volumes


class AtomEmbedding(nn.Module):
    """A learned vector of the element plus one of the formal charge. (…), (…) int64 → (…, D)

    Elements share the classes of the graph encoder: rare ones have one vector together.
    """

    vocabulary: Tensor  # (256,) int64 class of each atomic number

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("vocabulary", torch.from_numpy(VOCABULARY.astype("int64")), persistent=False)
        self.element = nn.Embedding(int(VOCABULARY.max()) + 1, width)
        self.charge = nn.Embedding(2 * CHARGES + 1, width)

    def forward(self, numbers: Tensor, charges: Tensor) -> Tensor:
        element: Tensor = self.element(self.vocabulary[numbers])
        charge: Tensor = self.charge(charges.clamp(-CHARGES, CHARGES) + CHARGES)
        return element + charge


def read_out(tokens: Tensor, batch: ConformerBatch, how: Readout) -> Tensor:
    """Sum or mean over the atoms of a geometry, then the mean over the geometries of a molecule. (M, D) → (B, D)

    A molecule without geometry gives zeros.
    """
    owner, molecule = cast(Tensor, batch.owner), cast(Tensor, batch.molecule)
    geometries = (sum_by_owner if how == "sum" else mean_by_owner)(tokens, owner, len(molecule))
    return mean_by_owner(geometries, molecule, batch.size)

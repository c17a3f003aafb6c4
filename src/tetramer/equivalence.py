"""What became of a molecule = the sum of its motifs: numbers without which a small loss says nothing.

A network that ignores bonds, and so counts atoms, fulfils the equation as well. What tells it from one that has learned
is whether it knows isomers apart, and molecules that the same motifs were put together to in another way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tetramer.corpora import with_units
from tetramer.encoders.base import Encoder, Encoding
from tetramer.layers.pooling import sum_by_owner
from tetramer.molecules import Limits
from tetramer.objectives.motif import MotifEquivalence, cut_up
from tetramer.training import Data
from tetramer.views import read
from tetramer.views.base import Batch
from tetramer.views.graph import ATOM, GraphBatch, GraphFeatures, atom_counts
from tetramer.views.motifs import MotifBatch

TURN = 256  # molecules at a time
MOST = 5_000  # molecules that are looked at
RINGS = ("c1ccccc1", "c1ccncc1", "c1ccco1", "c1cccs1", "C1CCCCC1", "C1CCCC1", "C1CC1")


def assembly_isomers() -> list[tuple[str, str]]:
    """21 pairs of amides of the same motifs, acid and amine exchanged: A–CO–NH–B and B–CO–NH–A."""
    return [(f"O=C(N{one}){other}", f"O=C(N{other}){one}") for one, other in combinations(RINGS, 2)]


class BagOfAtoms(Encoder):
    """An atom is its element, which no bond changes: the solution of the equation that is worth nothing."""

    views = ("graph",)
    width = ATOM["element"]

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        """(B, E) counts of the elements, (N, E) float64."""
        graph = cast(GraphBatch, views["graph"])
        atoms = one_hot(cast(Tensor, graph.atoms)[:, 0], self.width).double()
        return Encoding(sum_by_owner(atoms, cast(Tensor, graph.owner), graph.size), atoms)


@dataclass(frozen=True)
class Diagnosis:
    """Numbers of one encoder."""

    residual: float  # mean length of h(molecule) − sum of h(motifs), as a share of that of h(molecule)
    rank: float  # effective rank of the molecules' vectors: exp of the entropy of their squared singular values
    isomers: float | None  # mean reciprocal rank of a molecule's own motifs among those of all of its formula
    assembly: float  # median distance of two assembly isomers, as a share of their length; 0: not told apart


@dataclass(frozen=True)
class Sums:
    """Molecules by their atoms' vectors, in sight of each other and not."""

    whole: np.ndarray  # (n, D) float64
    motifs: np.ndarray  # (n, D)


@torch.inference_mode()
def sums(encoder: Encoder, data: Data, rows: np.ndarray, context: bool = False) -> Sums:
    """Both vectors of `rows`. context: whether the end of a cut sees a copy of the atom that stood there"""
    parts: list[tuple[Tensor, Tensor]] = []
    for place in range(0, len(rows), TURN):
        views = Data(data.features).sample(rows[place : place + TURN], ("graph", "motifs")).views
        graph, motifs = cast(GraphBatch, views["graph"]), cast(MotifBatch, views["motifs"])
        owner, whole = cast(Tensor, graph.owner), atoms_of(encoder, graph)
        apart = atoms_of(encoder, cut_up(graph, cast(Tensor, motifs.unit), context))[: len(owner)]
        parts.append((sum_by_owner(whole, owner, graph.size), sum_by_owner(apart, owner, graph.size)))
    return Sums(*(torch.cat(some).numpy() for some in zip(*parts, strict=True)))


def atoms_of(encoder: Encoder, graph: GraphBatch) -> Tensor:
    """(N, D) float64."""
    return cast(Tensor, encoder({"graph": graph}).tokens).double()


def diagnose(encoder: Encoder, data: Data, rows: np.ndarray) -> Diagnosis:
    """Numbers of an encoder on molecules `rows`, or on MOST of them."""
    rows = rows[:MOST]
    told, graph = sums(encoder, data, rows), data.features["graph"]
    assert isinstance(graph, GraphFeatures)
    formula = np.unique(atom_counts(graph, rows), axis=0, return_inverse=True)[1].reshape(-1)
    return Diagnosis(residual(told), effective_rank(told.whole), among_isomers(told, formula), told_apart(encoder))


def residual(told: Sums) -> float:
    """Mean length of the difference, as a share of that of the molecule's vector."""
    length = np.linalg.norm(told.whole, axis=1)
    return float((np.linalg.norm(told.whole - told.motifs, axis=1) / np.maximum(length, 1e-12)).mean())


@torch.inference_mode()
def compared(objective: MotifEquivalence, data: Data, rows: np.ndarray) -> tuple[float, float]:
    """Residual of the vectors that the loss compares: of the motifs alone, and with vectors of the cut bonds."""
    whole, motifs, more = [], [], []
    for place in range(0, len(rows), TURN):
        some = rows[place : place + TURN]
        told = objective(Data(data.features).sample(some, objective.views).views)
        alone = sums(objective.encoder, data, some, objective.head.config.context).motifs
        apart = torch.from_numpy(alone).to(told.whole.dtype)
        whole.append(told.whole.numpy())
        motifs.append(objective.head.project(apart).numpy())
        more.append(told.motifs.numpy())
    left = np.concatenate(whole)
    return residual(Sums(left, np.concatenate(motifs))), residual(Sums(left, np.concatenate(more)))


def effective_rank(vectors: np.ndarray) -> float:
    """exp of the entropy of the shares that the directions have in the variance; 1 if all lie on a line."""
    values = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False) ** 2
    shares = values[values > values.max(initial=0) * 1e-12] / max(values.sum(), 1e-300)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def among_isomers(told: Sums, formula: np.ndarray) -> float | None:
    """Mean reciprocal rank, ties in the middle, over molecules that share their formula; None without any."""
    from scipy.spatial.distance import cdist  # slow to import

    found = []
    for kind in np.flatnonzero(np.bincount(formula) > 1).tolist():
        rows = np.flatnonzero(formula == kind)
        apart = cdist(told.whole[rows], told.motifs[rows])
        own = apart.diagonal()[:, None]
        level = np.isclose(apart, own, rtol=1e-9, atol=1e-9)
        found.append(1 / (1 + ((apart < own) & ~level).sum(1) + (level.sum(1) - 1) / 2))
    return float(np.concatenate(found).mean()) if found else None


def told_apart(encoder: Encoder) -> float:
    """Median distance of assembly isomers, as a share of their length."""
    texts = [text for pair in assembly_isomers() for text in pair]
    made = with_units(read(texts, ["graph", "motifs"], limits=Limits(0)).features)
    whole = sums(encoder, Data(made), np.arange(len(texts))).whole
    apart = np.linalg.norm(whole[::2] - whole[1::2], axis=1) / np.linalg.norm(whole[::2], axis=1)
    return float(np.median(apart))


def sentences(told: dict[str, Diagnosis]) -> list[str]:
    """A line for each encoder."""
    lines = []
    for name, one in told.items():
        isomers = "no isomers"
        if one.isomers is not None:
            isomers = f"own motifs among isomers {one.isomers:.3f} (mean reciprocal rank)"
        lines.append(
            f"{name}: residual {one.residual:.3f}, effective rank {one.rank:.1f}, {isomers}, "
            f"assembly isomers apart by {one.assembly:.3f}."
        )
    return lines

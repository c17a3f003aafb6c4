"""What became of sums that are to be equal: numbers without which a small loss says nothing.

A network that ignores bonds, and so counts atoms, makes a molecule the sum of its motifs as well. What tells it from
one that has learned is whether it knows isomers apart, and molecules that the same motifs were put together to in
another way. Of reactions, what counts is whether the right product is found.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tetramer.corpora import MoleculeData, ReactionData, with_units
from tetramer.encoders.base import Encoder, Encoding
from tetramer.isomers import QUESTIONS, accuracy
from tetramer.layers.pooling import mean_by_owner, sum_by_owner
from tetramer.molecules import Limits
from tetramer.objectives.distances import mean_reciprocal_rank
from tetramer.objectives.motif import MotifConfig, MotifEquivalence, cut_up
from tetramer.objectives.reaction import ReactionEquivalence
from tetramer.training import Data
from tetramer.views import read
from tetramer.views.base import Batch
from tetramer.views.graph import ATOM, GraphBatch, GraphFeatures, atom_counts
from tetramer.views.motifs import MotifBatch

TURN = 256  # molecules at a time
MOST = 5_000  # molecules that are looked at
Numbers = dict[str, float | None]
WORDS = {  # name of a number → how it is told, and what is told where there is none
    "products": ("right product {:.3f} (mean reciprocal rank)", ""),
    "sides": ("both sides differ by {:.3f} of the products' length", ""),
    "residual": ("residual {:.3f}", ""),
    "rank": ("effective rank {:.1f}", ""),
    "isomers": ("own motifs among isomers {:.3f} (mean reciprocal rank)", "no isomers"),
    "assembly": ("assembly isomers apart by {:.3f}", ""),
    "amides": ("amides told by a linear head {:.3f} (chance 0.5)", ""),
    "spread": ("a motif's vectors spread by {:.3f} of what motifs do", "no motif twice"),
}
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


def examined(objective: Any, untrained: Any, data: Data, rows: np.ndarray) -> dict[str, Numbers]:  # noqa: ANN401
    """What says whether sums have taught anything, of a trained and an untrained objective, on `rows`.

    Of motifs also for the bag of atoms. Empty for an objective that compares no sums.
    """
    both = {"trained": objective, "untrained": untrained.eval()}
    told: dict[str, Numbers] = {}
    if isinstance(objective, ReactionEquivalence) and isinstance(data, ReactionData):
        told = {name: of_reactions(one, data, rows) for name, one in both.items()}
    config = motifs_of(objective)
    if config and isinstance(data, MoleculeData):
        molecules = data.molecules(rows)
        if not isinstance(data, ReactionData):  # a copy of a molecule is no isomer
            molecules = rows[np.sort(np.unique(data.number[rows], return_index=True)[1])]
        three = {name: one.encoder for name, one in both.items()} | {"bag of atoms": BagOfAtoms()}
        for name, encoder in three.items():
            told[name] = told.get(name, {}) | of_motifs(encoder, data, molecules, config.context)
    return told


def motifs_of(objective: Any) -> MotifConfig | None:  # noqa: ANN401 (every objective)
    """How an objective compares molecules with their motifs, if it does."""
    if isinstance(objective, ReactionEquivalence):
        return objective.config.of_motifs if objective.config.motifs else None
    return objective.head.config if isinstance(objective, MotifEquivalence) else None


def of_motifs(encoder: Encoder, data: Data, rows: np.ndarray, context: bool) -> Numbers:
    """A diagnosis, and what a linear head and the vectors of motifs say."""
    found = {"amides": told_by_a_head(encoder), "spread": spread_of_motifs(encoder, data, rows[:MOST])}
    return asdict(diagnose(encoder, data, rows, context)) | found


@torch.inference_mode()
def of_reactions(objective: ReactionEquivalence, data: ReactionData, rows: np.ndarray) -> Numbers:
    """products: mean reciprocal rank of the right ones   sides: what both differ by   rank: of molecules' vectors"""
    objective.eval()
    left, right = objective.both(data, rows)
    apart = (left - right).norm(dim=1) / right.norm(dim=1).clamp(min=1e-12)
    encoder, each, parts = objective.encoder, data.molecules(rows)[:MOST], []
    for place in range(0, len(each), TURN):
        views = Data(data.features).sample(each[place : place + TURN], encoder.views).views
        parts.append(cast(Tensor, encoder(views).molecule).double())
    return {
        "products": mean_reciprocal_rank(left, right, data.number[rows]),
        "sides": float(apart.mean()),
        "rank": effective_rank(torch.cat(parts).numpy()),
    }


def diagnose(encoder: Encoder, data: Data, rows: np.ndarray, context: bool = False) -> Diagnosis:
    """Numbers of an encoder on molecules `rows`, or on MOST of them. context: as of `sums`"""
    rows = rows[:MOST]
    told, graph = sums(encoder, data, rows, context), data.features["graph"]
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


@torch.inference_mode()
def spread_of_motifs(encoder: Encoder, data: Data, rows: np.ndarray) -> float | None:
    """How far a motif's vectors lie from their mean, as a share of how far the means lie from that of all.

    A vector is the mean over the atoms of a motif in its molecule. Root mean squares over the motifs that occur twice
    or more; None where there are no two, or they do not lie apart. 0: a motif has a vector of its own.
    """
    found: list[tuple[Tensor, Tensor]] = []
    for place in range(0, len(rows), TURN):
        views = Data(data.features).sample(rows[place : place + TURN], ("graph", "motifs")).views
        graph, motifs = cast(GraphBatch, views["graph"]), cast(MotifBatch, views["motifs"])
        numbers = cast(Tensor, motifs.numbers)
        found.append((numbers, mean_by_owner(atoms_of(encoder, graph), cast(Tensor, motifs.unit), len(numbers))))
    names, vectors = (torch.cat(some) for some in zip(*found, strict=True))
    _, number, counts = np.unique(names.numpy(), return_inverse=True, return_counts=True)
    again = np.flatnonzero(counts[number] > 1)
    kind, vectors = torch.from_numpy(number[again]), vectors[again]
    means = mean_by_owner(vectors, kind, len(counts))[kind]
    within, between = ((one - other).square().sum() for one, other in ((vectors, means), (means, vectors.mean(0))))
    return float((within / between).sqrt()) if len(vectors) and between > 0 else None


def told_by_a_head(encoder: Encoder) -> float:
    """Share of amides of which a linear head says right which way round they are; chance is one half."""
    question = QUESTIONS["amide"]
    made = with_units(read(question.smiles, ["graph", "motifs"], limits=Limits(0)).features)
    return accuracy(question.right(sums(encoder, Data(made), np.arange(len(question.smiles))).whole))[0]


def told_apart(encoder: Encoder) -> float:
    """Median distance of assembly isomers, as a share of their length."""
    texts = [text for pair in assembly_isomers() for text in pair]
    made = with_units(read(texts, ["graph", "motifs"], limits=Limits(0)).features)
    whole = sums(encoder, Data(made), np.arange(len(texts))).whole
    apart = np.linalg.norm(whole[::2] - whole[1::2], axis=1) / np.linalg.norm(whole[::2], axis=1)
    return float(np.median(apart))


def sentences(told: Mapping[str, Numbers]) -> list[str]:
    """A line for each encoder."""
    lines = []
    for name, one in told.items():
        there = [(one[key], *words) for key, words in WORDS.items() if key in one]
        parts = [none if value is None else some.format(value) for value, some, none in there]
        lines.append(f"{name}: {', '.join(parts)}.")
    return lines

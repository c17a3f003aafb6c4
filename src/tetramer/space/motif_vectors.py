"""Motifs as vectors: what a graph network makes of a motif in the molecules that hold it.

texts ──Reader──▶ Reading (graph, motifs) ──encoder──▶ atoms (N, D) ──mean──▶ contexts (U, D) ──by motif──▶ table

A context vector is the mean over the atoms of one motif in one molecule. If a motif had a vector of its own, all its
context vectors would be one; how far they spread, beside how far motifs lie apart, says how nearly that is so.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from tetramer.encoders import Encoder
from tetramer.errors import UserError, pick
from tetramer.inference import Model, Pretrained
from tetramer.layers import mean_by_owner, to_tensors
from tetramer.members.base import usable
from tetramer.members.work import Progress, one_thread
from tetramer.shards import ON_ERROR
from tetramer.space.neighbours import nearest
from tetramer.training import autocast, mix
from tetramer.views import Reader, Reading, graph, motifs

Floats = NDArray[np.float64]
Part = tuple[Encoder, str]  # an encoder that looks at the graph alone, and the precision it answers in

NEAR = 3  # nearest motifs that are told
AGAIN = 2  # occurrences from which on a motif has a spread


@dataclass(frozen=True)
class Contexts:
    """The context vectors of one motif, all at once."""

    occurrences: int
    molecules: int  # that hold it
    mean: Floats  # (D,)
    square: float  # sum of squared distances from the mean

    def __add__(self, other: Self) -> Self:
        """Those of both, which are of different molecules."""
        count, step = self.occurrences + other.occurrences, other.mean - self.mean
        mean = self.mean + step * (other.occurrences / count)
        square = self.square + other.square + float(step @ step) * self.occurrences * other.occurrences / count
        return type(self)(count, self.molecules + other.molecules, mean, square)

    @property
    def spread(self) -> float:
        """Root mean square distance from the mean."""
        return float(np.sqrt(self.square / self.occurrences))


@dataclass(frozen=True)
class Spread:
    r"""How far context vectors x lie from the mean of their motif, and these means from the mean of all.

    .. math::
        within^2 = \frac1N \sum_m \sum_{i \in m} |x_i - \mu_m|^2 \qquad
        between^2 = \frac1N \sum_m n_m |\mu_m - \mu|^2

    Over the N occurrences of motifs that occur twice or more; the squares add up to the variance of all of them.
    """

    motifs: int
    occurrences: int  # N
    within: float
    between: float

    @property
    def ratio(self) -> float | None:
        """within / between: 0 where a motif has one vector of its own. None where motifs do not lie apart."""
        return self.within / self.between if self.between > 0 else None


@dataclass(frozen=True)
class MotifVectors:
    """Every motif of some molecules, the most frequent first, then by its SMILES."""

    motifs: dict[str, Contexts]

    @cached_property
    def vectors(self) -> Floats:
        """(m, D) the mean of the context vectors of each."""
        return np.stack([one.mean for one in self.motifs.values()])

    @property
    def spread(self) -> Spread:
        """Within motifs and between them."""
        some = [one for one in self.motifs.values() if one.occurrences >= AGAIN]
        count = np.array([one.occurrences for one in some], np.float64)
        if not some:
            return Spread(0, 0, 0.0, 0.0)
        means = np.stack([one.mean for one in some])
        away = means - count @ means / count.sum()
        squares = sum(one.square for one in some), float(count @ (away**2).sum(axis=1))
        within, between = (float(np.sqrt(square / count.sum())) for square in squares)
        return Spread(len(some), int(count.sum()), within, between)

    def table(self) -> pa.Table:
        """motif, occurrences, molecules, spread, nearest_1 …, distance_1 … (Euclidean), vector (float32)."""
        names, own = [*self.motifs], [*self.motifs.values()]
        near = nearest(self.vectors, NEAR, "euclidean")
        columns = {
            "motif": pa.array(names, pa.string()),
            "occurrences": pa.array([one.occurrences for one in own], pa.int64()),
            "molecules": pa.array([one.molecules for one in own], pa.int64()),
            "spread": pa.array([one.spread for one in own], pa.float64()),
        }
        for place in range(NEAR):
            told = [names[row] if row >= 0 else None for row in near.rows[:, place].tolist()]
            columns[f"nearest_{place + 1}"] = pa.array(told, pa.string())
        for place in range(NEAR):
            columns[f"distance_{place + 1}"] = pa.array(near.distances[:, place].astype(np.float64), from_pandas=True)
        cells = pa.array(self.vectors.astype(np.float32).reshape(-1))
        return pa.table(columns | {"vector": pa.FixedSizeListArray.from_arrays(cells, self.vectors.shape[1])})


@dataclass(frozen=True)
class Told:
    """Motif vectors of a model, those of the same network with fresh weights, and what became of the structures."""

    trained: MotifVectors
    fresh: MotifVectors
    codes: dict[str, int]  # how many structures have which code

    def summary(self) -> dict[str, Any]:
        """Counts and spreads, for JSON."""
        trained, fresh = self.trained.spread, self.fresh.spread
        return {
            "motifs": len(self.trained.motifs),
            "occurrences": sum(one.occurrences for one in self.trained.motifs.values()),
            "status": self.codes,
            "spread": asdict(trained) | {"ratio": trained.ratio},
            "fresh": asdict(fresh) | {"ratio": fresh.ratio},
        }


def motif_vectors(
    model: Model | Pretrained,
    reader: Reader,
    texts: Sequence[str],
    on_error: str = "skip",
    progress: Progress = lambda name, share: None,
) -> Told:
    """Motifs of structures as vectors of a model. Memory grows with the number of different motifs alone.

    reader: of the model's own standard. UserError if no network of the model looks at the graph alone, if nothing can
    be read, or, under on_error="fail", if something cannot.
    """
    pick(dict.fromkeys(ON_ERROR), on_error, "--on-error")
    parts = graph_encoders(model)
    both = parts, [(untrained(encoder), precision) for encoder, precision in parts]
    found: tuple[dict[str, Contexts], ...] = {}, {}
    codes: Counter[str] = Counter()
    with one_thread():
        for reading in reader.stream(texts, ("graph", "motifs")):
            codes.update(reading.codes)
            for encoders, motifs_of in zip(both, found, strict=True):
                gather(motifs_of, *contexts(encoders, reading))
            progress("molecules", codes.total() / len(texts))
    refused = codes.total() - codes["ok"]
    if refused and on_error == "fail":
        raise UserError(
            f"{refused:,} of {codes.total():,} structures were refused. Without --on-error fail they are left out."
        )
    if not found[0]:
        raise UserError(f"None of {codes.total():,} structures can be read, so there are no motifs.")
    return Told(MotifVectors(ordered(found[0])), MotifVectors(ordered(found[1])), dict(codes))


def graph_encoders(model: Model | Pretrained) -> list[Part]:
    """The networks of a model, or branches of them, that look at the graph alone: they know its atoms."""
    if isinstance(model, Pretrained):
        wholes = [(model.encoder, "fp32")]
    else:
        wholes = [(one.network.encoder, one.config.training.precision) for one in model.networks]
    parts = [
        (part, precision)
        for whole, precision in wholes
        for part in whole.modules()
        if isinstance(part, Encoder) and tuple(part.views) == ("graph",)
    ]
    if not parts:
        views = ", ".join(dict.fromkeys(view for whole, _ in wholes for view in whole.views)) or "no network"
        raise UserError(
            f"Motifs need a network on the graph, whose atoms have vectors; the model has others ({views}). Train one: "
            "tetramer train DATA --target COLUMN --recipe graph --output MODEL."
        )
    return parts


def untrained(encoder: Encoder) -> Encoder:
    """The same network with fresh weights, always the same ones; the caller's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(0, 3))
        return type(encoder)(encoder.config).eval()


@torch.inference_mode()
def contexts(encoders: Sequence[Part], reading: Reading) -> tuple[list[str], np.ndarray, Floats]:
    """Of the U motifs of a reading, row for row: SMILES (U), row (U,), and context vectors (U, D)."""
    made, drawn = reading.features["motifs"], reading.features["graph"]
    assert isinstance(made, motifs.MotifFeatures)
    assert isinstance(drawn, graph.GraphFeatures)
    rows = np.flatnonzero(usable(reading.features, ("graph", "motifs"), np.arange(len(reading))))
    tokens = [kind.token for row in rows.tolist() for kind in motifs.kinds(made, row)[0]]
    units, batch = motifs.collate(motifs.encode(made), rows), to_tensors(graph.collate(drawn, rows))
    unit, sides = torch.from_numpy(units.unit), []
    for encoder, precision in encoders:
        with autocast(precision):
            atoms = encoder.eval()({"graph": batch}).tokens
        assert atoms is not None
        sides.append(mean_by_owner(atoms.double(), unit, len(tokens)).numpy())
    return tokens, rows[units.owner], np.concatenate(sides, axis=1)


def gather(found: dict[str, Contexts], tokens: Sequence[str], owner: np.ndarray, vectors: Floats) -> None:
    """Add the motifs of more molecules to those that were found. tokens: (U)   owner: (U,)   vectors: (U, D)"""
    places: dict[str, list[int]] = {}
    for place, token in enumerate(tokens):
        places.setdefault(token, []).append(place)
    for token, rows in places.items():
        mean = vectors[rows].mean(axis=0)
        square = float(((vectors[rows] - mean) ** 2).sum())
        some = Contexts(len(rows), len(np.unique(owner[rows])), mean, square)
        found[token] = found[token] + some if token in found else some


def ordered(found: dict[str, Contexts]) -> dict[str, Contexts]:
    """The most frequent first."""
    return dict(sorted(found.items(), key=lambda item: (-item[1].occurrences, item[0])))


def sentences(told: Told) -> list[str]:
    """The outcome for a terminal."""
    found, here = told.summary(), told.trained.spread
    refused = ", ".join(f"{count:,} {code}" for code, count in sorted(told.codes.items()) if code != "ok")
    lines = [
        f"{found['motifs']:,} motifs, {found['occurrences']:,} times in {told.codes['ok']:,} molecules"
        + (f"; structures that are left out: {refused}." if refused else ".")
    ]
    if here.ratio is None or told.fresh.spread.ratio is None:
        return [*lines, "Fewer than two motifs occur twice, so no spread can be told."]
    lines.append(
        f"Spread within a motif over spread between motifs: {here.ratio:.3f} ({here.within:.4g} / {here.between:.4g}); "
        f"with fresh weights {told.fresh.spread.ratio:.3f}. Of the {here.motifs:,} motifs that occur twice or more."
    )
    return lines

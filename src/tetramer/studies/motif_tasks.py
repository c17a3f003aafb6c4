"""What the study motif asks of an encoder. A row a file: OUTPUT/TASK/METHOD-SEED.json

diagnosis: how nearly molecules that no encoder has learned from are the sums of their motifs, and what a bag of atoms
does not know. spread: how far a motif's vectors in its molecules lie apart, beside how far motifs do. isomers: which of
two molecules of the same parts a vector belongs to, told by a linear head.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.checkpoint import config_hash
from tetramer.corpora import with_units
from tetramer.encoders import Encoder
from tetramer.equivalence import BagOfAtoms, compared, diagnose, residual, sums
from tetramer.isomers import QUESTIONS, accuracy
from tetramer.members.base import usable
from tetramer.members.work import one_thread
from tetramer.molecules import Limits
from tetramer.pretraining import load_objective
from tetramer.space.motif_vectors import Contexts, MotifVectors, contexts, gather
from tetramer.studies.base import Measurement, of_card
from tetramer.training import Data
from tetramer.views import Reader, Reading, motifs
from tetramer.views.read import joined

VIEWS = ("graph", "motifs")
DIGITS = 12  # of a spread; the rest is rounding of means
FREE_ROWS = {
    "bag-of-atoms": "counts of the elements: fulfils the equation and knows no bond",
    "bag-of-motifs": "counts of the motifs: what a vector knows that is exactly their sum",
}


@dataclass(frozen=True)
class Here:
    """Molecules, each read once. held: those that no encoder has learned from"""

    held: Sequence[str]
    limits: Limits

    @cached_property
    def readings(self) -> list[Reading]:
        """Of `held`, a few hundred at a time."""
        with Reader(limits=self.limits) as reader:
            return list(reader.stream(self.held, VIEWS))

    @cached_property
    def data(self) -> Data:
        """All of `held`."""
        return Data(with_units(joined(self.readings).features))

    @cached_property
    def rows(self) -> np.ndarray:
        """Those that can be read."""
        return np.flatnonzero(usable(self.data.features, VIEWS, np.arange(len(self.held))))

    @cached_property
    def about(self) -> dict[str, Any]:
        """What a row says of them."""
        return {"data": "zinc250k", "molecules": len(self.rows), "data_sha256": config_hash(list(self.held))}

    @cached_property
    def asked(self) -> dict[str, Reading]:
        """The molecules of each question."""
        with Reader(limits=self.limits) as reader:
            return {name: reader.read(question.smiles, VIEWS) for name, question in QUESTIONS.items()}


def diagnosis(here: Here, method: str, folder: Path | None) -> dict[str, Any]:
    """Residual, effective rank, own motifs among isomers, distance of amides that are assembly isomers."""
    if folder is None:
        return here.about | {"numbers": asdict(diagnose(BagOfAtoms(), here.data, here.rows))}
    card, objective = load_objective(folder)
    told = asdict(diagnose(objective.encoder, here.data, here.rows, objective.head.config.context))
    told["in_context"] = residual(sums(objective.encoder, here.data, here.rows, context=True))
    told["motifs_alone"], told["with_bonds"] = compared(objective, here.data, here.rows)
    return here.about | of_card(card) | {"numbers": told}


def spread(here: Here, method: str, folder: Path | None) -> dict[str, Any]:
    """Spread of context vectors within a motif, and between motifs."""
    encoder, found = network(folder), dict[str, Contexts]()
    for reading in here.readings:
        gather(found, *contexts([(encoder, "fp32")], reading))
    told = MotifVectors(found).spread
    numbers = asdict(told) | {"ratio": told.ratio}
    return here.about | {"numbers": {name: value and round(value, DIGITS) for name, value in numbers.items()}}


def network(folder: Path | None) -> Encoder:
    """That of a folder; None: the bag of atoms."""
    return BagOfAtoms() if folder is None else load_objective(folder)[1].encoder


def isomers(here: Here, method: str, folder: Path | None) -> dict[str, Any]:
    """Accuracy of a linear head on the vector and, where the loss compares a projection of it, on that."""
    numbers, projection = {}, None
    if folder is not None and (head := load_objective(folder)[1].head).config.projection:
        projection = head.project.weight.detach().double().numpy().T  # (D, P)
    for name, question in QUESTIONS.items():
        x = counts(here.asked[name]) if method == "bag-of-motifs" else vectors(network(folder), here.asked[name])
        numbers[name] = accuracy(question.right(x))
        if projection is not None:
            numbers[f"{name}_compared"] = accuracy(question.right(x @ projection))
    pairs = {name: len(question.smiles) // 2 for name, question in QUESTIONS.items()}
    hashes = {name: [split.sha256 for split in question.splits] for name, question in QUESTIONS.items()}
    return {"pairs": pairs, "splits_sha256": hashes, "numbers": numbers}


def vectors(encoder: Encoder, reading: Reading) -> np.ndarray:
    """(n, D) sums of the atoms."""
    return sums(encoder, Data(with_units(reading.features)), np.arange(len(reading))).whole


def counts(reading: Reading) -> np.ndarray:
    """(n, K) how often each molecule has each motif."""
    features = reading.features["motifs"]
    assert isinstance(features, motifs.MotifFeatures)
    tokens = [[kind.token for kind in motifs.kinds(features, row)[0]] for row in range(len(reading))]
    place = {token: number for number, token in enumerate(sorted({token for own in tokens for token in own}))}
    told = np.zeros((len(reading), len(place)))
    for row, own in enumerate(tokens):
        np.add.at(told[row], [place[token] for token in own], 1)
    return told


def alone(ask: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """By one thread, so that a sum has one order."""

    def asked(here: Here, method: str, folder: Path | None) -> dict[str, Any]:
        with one_thread():
            return ask(here, method, folder)

    return asked


TASKS = {
    "diagnosis": Measurement(alone(diagnosis), ("bag-of-atoms",)),
    "spread": Measurement(alone(spread), ("bag-of-atoms",)),
    "isomers": Measurement(alone(isomers), ("bag-of-atoms", "bag-of-motifs")),
}

"""Reactants and products have equal sums (MolR, arXiv:2109.09888), done again on the public parts of USPTO-MIT.

Encoders are pretrained on 27,000 reactions of its valid part, once a seed, and lie under `encoders` in the output. What
they are asked stands in `molr_tasks`, what came out on the page of `molr_page`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tetramer import pretraining
from tetramer.benchmark import protocol
from tetramer.benchmark.methods import PROBE
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.reaction_sets import drawn, part_texts
from tetramer.benchmark.row import Settings
from tetramer.datasets.writing import locked
from tetramer.errors import UserError, pick
from tetramer.molecules import Limits
from tetramer.studies import molr_page, molr_tasks
from tetramer.studies.base import Asked, Size, Study, chosen, pretrained
from tetramer.studies.molr_tasks import TASKS, Here

PROBES = "probes"


@dataclass(frozen=True, kw_only=True)
class Reach(Size):
    """`rows`: reactions that are read of each part, None: all."""

    probed: tuple[str, ...] = ("bbbp", "bace", "tox21", "clintox")  # all targets of each
    repeats: int = 20  # random splits of these
    overrides: dict[str, str] = field(default_factory=dict)  # for every encoder


@dataclass(frozen=True)
class Model:
    """An encoder that the study pretrains; `overrides` are those of `tetramer pretrain METHOD`."""

    method: str
    overrides: dict[str, str] = field(default_factory=dict)
    about: str = ""
    reduced: dict[str, str] = field(default_factory=dict)  # but at the size "paper"


SIZES = {
    "small": Reach(
        "2,200 reactions of each part, one seed: shows the path, not the numbers", 2_200, 0, 1,
        probed=("bbbp",), repeats=2, overrides={"training.epochs": "2"},
    ),
    "default": Reach("all reactions", None, 0, 3),
    "paper": Reach("the same, and the published network at its full width", None, 0, 3),
}  # fmt: skip
MODELS = {
    "molr": Model("molr", about="ours: who survives is learned, cross-entropy among products"),
    "molr-motifs": Model("molr", {"objective.motifs": "0.3"}, "ours, and molecules equal their motifs"),
    "molr-every-atom": Model("molr", {"objective.survival": "0"}, "ours, every atom of the reactants counts"),
    "molr-hinge": Model("molr", {"objective.loss": "hinge"}, "ours, with the published hinge"),
    "molr-published": Model(
        "molr-published", {}, "network, loss and optimizer as published", {"encoder.width": "256"}
    ),
}  # fmt: skip


def run(
    asked: Asked, say: Callable[[str], None], progress: Callable[[str, float], None]
) -> tuple[list[str], list[str]]:
    """Measure what is missing of the rows, then draw the page."""
    if asked.target:
        raise UserError("The study molr has no target. Leave out --target.")
    size = pick(SIZES, asked.size, "size")
    tasks = chosen(asked.splits, (*TASKS, PROBES), "part of the study")
    methods = chosen(asked.methods, (*molr_tasks.FREE_ROWS, *MODELS), "row of the study")
    failed: list[str] = []
    if asked.measure:
        with locked(asked.output):
            failed = measure(asked, size, tasks, methods, say, progress)
    return molr_page.draw(asked.output, {name: model.about for name, model in MODELS.items()}), failed


def measure(
    asked: Asked,
    size: Reach,
    tasks: Sequence[str],
    methods: Sequence[str],
    say: Callable[[str], None],
    progress: Callable[[str, float], None],
) -> list[str]:
    """All rows that are missing. → sentences on those that could not be finished"""
    here = Here(asked.output, size.rows, Limits(asked.workers))
    learned = [name for name in methods if name in MODELS]
    for task in tasks:
        if task != PROBES:
            for name in methods:
                if name not in MODELS and name in TASKS[task].free:
                    here.row(task, name, 0, None, progress)
    seeds = range(asked.seeds or size.seeds)
    for seed in seeds:
        for name in learned:
            wanted = [task for task in tasks if task != PROBES]
            if PROBES in tasks or any(not here.done(task, name, seed) for task in wanted):
                folder = encoder(asked, size, name, seed, say, progress)
                for task in wanted:
                    here.row(task, name, seed, folder, progress)
    return probes(asked, size, learned, seeds, say, progress) if PROBES in tasks else []


def encoder(
    asked: Asked, size: Reach, name: str, seed: int, say: Callable[[str], None], progress: Callable[[str, float], None]
) -> Path:
    """The folder of an encoder, which is pretrained if it is not there."""
    model, folder = MODELS[name], asked.output / "encoders" / f"{name}-{seed}"
    if not folder.is_dir():
        overrides = model.overrides | size.overrides | (model.reduced if asked.size != "paper" else {})
        texts = reactions(size.rows)
        options = pretraining.Options(model.method, overrides, seed, limits=Limits(asked.workers))
        pretrained(folder, texts, "USPTO-MIT, valid", options, say, progress)
    return folder


def reactions(rows: int | None) -> list[str]:
    """Reactions to learn from: of the first `rows` of the valid part all but those that validate."""
    texts = part_texts("uspto-mit", ["valid"])[:rows]
    return [texts[row] for row in np.sort(drawn(len(texts)).train)]


def probes(
    asked: Asked,
    size: Reach,
    learned: Sequence[str],
    seeds: Sequence[int] | range,
    say: Callable[[str], None],
    progress: Callable[[str, float], None],
) -> list[str]:
    """The protocol of MolR's table of properties: rows of a benchmark, under `probes`."""
    methods = ["ecfp-linear", *folders(asked.output, learned, seeds)]
    plan = Protocol(methods, size.probed, ("random",), size.repeats, ("train",))
    return protocol.run(plan, Settings(str(asked.output / PROBES), workers=asked.workers), say, progress)


def folders(output: Path, learned: Sequence[str], seeds: Sequence[int] | range) -> Iterator[str]:
    """Encoders as methods of a benchmark."""
    return (f"{PROBE}{output / 'encoders' / f'{name}-{seed}'}" for name in learned for seed in seeds)


STUDY = Study("reactants and products have equal sums: rankings, edit distances, frozen vectors", SIZES, run)

"""Reactants and products have equal sums (MolR, arXiv:2109.09888), done again on the public parts of USPTO-MIT.

Encoders are pretrained on 27,000 reactions of its valid part, once a seed, and lie under `encoders` in the output. What
they are asked stands in `molr_tasks`, what came out on the page of `molr_page`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tetramer.benchmark.reaction_sets import drawn, part_texts
from tetramer.datasets.writing import locked
from tetramer.errors import UserError, pick
from tetramer.molecules import Limits
from tetramer.studies import molr_page, molr_tasks
from tetramer.studies.base import (
    PROBES,
    REFERENCE,
    Asked,
    Encoders,
    Model,
    Progress,
    Rows,
    Say,
    Size,
    Study,
    chosen,
)
from tetramer.studies.molr_tasks import TASKS, Here


@dataclass(frozen=True, kw_only=True)
class Reach(Size):
    """`rows`: reactions that are read of each part, None: all."""

    probed: tuple[str, ...] = ("bbbp", "bace", "tox21", "clintox")  # all targets of each
    repeats: int = 20  # random splits of these
    overrides: dict[str, str] = field(default_factory=dict)  # for every encoder


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


def run(asked: Asked, say: Say, progress: Progress) -> tuple[list[str], list[str]]:
    """Measure what is missing of the rows, then draw the page."""
    if asked.target:
        raise UserError("The study molr has no target. Leave out --target.")
    size = pick(SIZES, asked.size, "size")
    tasks = chosen(asked.splits, (*TASKS, PROBES), "part of the study")
    methods = chosen(asked.methods, (*molr_tasks.FREE_ROWS, *MODELS), "row of the study")
    failed: list[str] = []
    if asked.measure:
        with locked(asked.output):
            encoders = Encoders(
                asked, MODELS, size.overrides, "USPTO-MIT, valid", lambda: reactions(size.rows), say, progress
            )
            failed = measure(encoders, size, tasks, methods)
    return molr_page.draw(asked.output, {name: model.about for name, model in MODELS.items()}), failed


def measure(encoders: Encoders, size: Reach, tasks: Sequence[str], methods: Sequence[str]) -> list[str]:
    """All rows that are missing. → sentences on those that could not be finished"""
    asked, learned = encoders.asked, [name for name in methods if name in MODELS]
    here = Here(size.rows, Limits(asked.workers))
    wanted = {task: partial(TASKS[task].measure, here) for task in tasks if task in TASKS}
    free = {task: [name for name in methods if name in TASKS[task].free] for task in wanted}
    seeds = range(asked.seeds or size.seeds)
    Rows("molr", asked.output).fill(wanted, free, learned, seeds, encoders)
    if PROBES not in tasks:
        return []
    return encoders.probe([REFERENCE, *encoders.heads(learned, seeds)], size.probed, size.repeats)


def reactions(rows: int | None) -> list[str]:
    """Reactions to learn from: of the first `rows` of the valid part all but those that validate."""
    texts = part_texts("uspto-mit", ["valid"])[:rows]
    return [texts[row] for row in np.sort(drawn(len(texts)).train)]


STUDY = Study("reactants and products have equal sums: rankings, edit distances, frozen vectors", SIZES, run)

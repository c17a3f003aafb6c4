"""Reactants and products have equal sums (MolR, arXiv:2109.09888), done again on the public parts of USPTO-MIT.

Encoders are pretrained on 27,000 reactions of its valid part, once a seed, and lie under `encoders` in the output. What
they are asked stands in `molr_tasks`, what came out on the page of `molr_page`.
"""

import numpy as np

from tetramer.benchmark.reaction_sets import drawn, part_texts
from tetramer.studies import molr_page
from tetramer.studies.base import Model, Plan, Reach, Study
from tetramer.studies.molr_tasks import TASKS, Here

# `rows`: reactions that are read of each part
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
        "molr-published", {}, "layers, loss and optimizer as published, at 256 of 1,024 numbers but for the size paper",
        {"encoder.width": "256"},
    ),
    "motif-published": Model(
        "motif-published", {}, "molr-published, in which both sides equal their motifs as well: a fifth of the loss",
        {"encoder.width": "256"},
    ),
}  # fmt: skip


def reactions(size: Reach) -> list[str]:
    """Reactions to learn from: of the first `rows` of the valid part all but those that validate."""
    texts = part_texts("uspto-mit", ["valid"])[: size.rows]
    return [texts[row] for row in np.sort(drawn(len(texts)).train)]


PLAN = Plan(
    "molr", SIZES, MODELS, "USPTO-MIT, valid", reactions, TASKS, lambda size, limits: Here(size.rows, limits),
    molr_page.Story.draw,
)  # fmt: skip
STUDY = Study("reactants and products have equal sums: rankings, edit distances, frozen vectors", SIZES, PLAN.run)

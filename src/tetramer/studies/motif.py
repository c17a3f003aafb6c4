"""A molecule is the sum of its motifs: what that teaches, and what keeps it from teaching to count atoms.

Encoders are pretrained on the first rows of ZINC250k, once a seed, and lie under `encoders` in the output: ours, and
ours with one countermeasure taken away or exchanged. What they are asked stands in `motif_tasks`, what came out on the
page of `motif_page`. The last 5,000 rows of the set teach no encoder.
"""

from tetramer.datasets import sources
from tetramer.studies import motif_page
from tetramer.studies.base import REFERENCE, Model, Plan, Reach, Study
from tetramer.studies.motif_tasks import TASKS, Here

CORPUS = "zinc250k"
HELD = 5_000  # last rows of it, which no encoder learns from


# `rows`: molecules that are diagnosed; `corpus`: molecules that are learned from, 0: all but HELD
SIZES = {
    "small": Reach(
        "1,000 molecules of ZINC, seen once: shows the path, not the numbers", 1_000, 0, 1, 1_000,
        probed=("bbbp",), repeats=2, overrides={"training.epochs": "1"},
    ),
    "default": Reach("9,000 molecules of ZINC", None, 0, 3, 9_000),
    "paper": Reach("all but 5,000 of its 249,455 molecules", None, 0, 3),
}  # fmt: skip
MODELS = {
    "untrained": Model("motif", {}, "the network with the weights it was drawn with", fresh=True),
    "motif": Model("motif", {}, "ours: a projection is compared, cut bonds have vectors, others are like, bonds asked"),
    "motif-unprojected": Model("motif", {"objective.projection": "0"}, "the vector itself is compared"),
    "motif-uncorrected": Model("motif", {"objective.correction": "false"}, "bonds that were cut have no vectors"),
    "motif-context": Model("motif", {"objective.context": "true"}, "the end of a cut sees the atom that stood there"),
    "motif-no-negatives": Model("motif", {"objective.negatives": "0"}, "others of a batch are drawn, not alike"),
    "motif-not-bonded": Model("motif", {"objective.bonded": "0"}, "which motifs are joined is not asked"),
    "motif-cosine": Model("motif", {"objective.loss": "cosine"}, "cosines in place of distances"),
    "motif-guard": Model("motif", {"objective.guard": "0.1"}, "and columns are kept apart (VICReg)"),
    "motif-decoys": Model("motif", {"objective.decoys": "2"}, "and isomers of the same motifs stand in each batch"),
    "motif-plain-hinge": Model(
        "motif",
        {
            "objective.loss": "hinge",
            "objective.projection": "0",
            "objective.correction": "false",
            "objective.negatives": "0",
            "objective.bonded": "0",
        },
        "our network, with the published hinge and no countermeasure",
    ),
}


def learned(size: Reach) -> list[str]:
    """Molecules to learn from."""
    return list(sources.load(CORPUS).texts[:-HELD][: size.corpus or None])


def held(size: Reach) -> list[str]:
    """Molecules to diagnose."""
    return list(sources.load(CORPUS).texts[-HELD:][: size.rows])


PLAN = Plan(
    "motif", SIZES, MODELS, CORPUS, learned, TASKS, lambda size, limits: Here(held(size), limits),
    motif_page.Story.draw, (REFERENCE, "atom-counts"),
)  # fmt: skip
STUDY = Study("a molecule is the sum of its motifs: collapse, assembly isomers, frozen vectors", SIZES, PLAN.run)

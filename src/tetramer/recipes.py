"""Named combinations of members and settings, as plain data."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace

from tetramer.datasets.placed import Form
from tetramer.encoders import BRANCHES
from tetramer.encoders.reaction import for_reactions
from tetramer.errors import UserError, pick
from tetramer.overrides import NETWORKS, Spec, having, override
from tetramer.settings import number
from tetramer.views import VIEWS
from tetramer.views.base import Settings
from tetramer.views.read import settings_of

TREES: dict[str, Spec] = {
    "lightgbm": {"kind": "trees", "config": {"mode": "boosted", "trees": 400}},
    "random-forest": {"kind": "trees", "config": {"mode": "forest", "trees": 120, "trend": True}},
    "extra-trees": {"kind": "trees", "config": {"mode": "extra", "trees": 120, "trend": True}},
}
KERNELS: dict[str, Spec] = {
    "svm": {"kind": "kernels", "config": {"machine": "svm", "cost": 5.0, "largest": 4000}},
    "gp": {"kind": "kernels", "config": {"machine": "gp", "largest": 4000}},
}
# Of a panel of many targets, one fit for all instead of those of BY_TARGET, which learn every target by itself.
SHARED: dict[str, Spec] = {"shared-forest": {"kind": "forest", "config": {"trees": 240, "least": 5, "trend": True}}}
BY_TARGET = ("random-forest", "extra-trees", *KERNELS)
# chemprop's size: 300 wide, three steps of directed messages, a head of one hidden layer.
GRAPH: Spec = {
    "kind": "neural",
    "config": {
        "encoder": "mpnn",
        "encoder_config": {"width": 300, "depth": 3},
        "head": {},
        "training": {"epochs": 100, "visits": 400_000, "batch": 64, "peak": 1e-3},
    },
}
FINGERPRINT: Spec = {
    "kind": "neural",
    "config": {
        "encoder": "mlp",
        "encoder_config": {},
        "head": {},
        "training": {
            "epochs": 50,
            "visits": 400_000,
            "batch": 64,
            "peak": 5e-4,
            "optimizer": "adamw",
            "weight_decay": 1e-2,
        },
    },
}

# Networks of SMILES and of geometry learn in half the visits by Muon (docs/experiments.md).
BY_MUON: Spec = {"epochs": 100, "visits": 400_000, "batch": 32, "optimizer": "muon", "peak": 1e-3, "ema": 0.999}
BY_ADAMW: Spec = {"optimizer": "adamw", "peak": 5e-4}
SMILES: Spec = {
    "kind": "neural",
    "config": {
        "encoder": "transformer",
        "encoder_config": {},
        "head": {},
        "training": BY_MUON | {"batch": 64, "weight_decay": 1e-2},
    },
}
CONFORMER: Spec = {
    "kind": "neural",
    "config": {
        "encoder": "painn",
        "encoder_config": {},
        "head": {},
        "training": dict(BY_MUON),
    },
}
OF_VIEW = {"fingerprint": FINGERPRINT, "smiles": SMILES, "graph": GRAPH, "conformer": CONFORMER}
# Random spellings, drawn once when a molecule is read; each visit in training reads one of them or the canonical one.
VIEW_SETTINGS: dict[str, Spec] = {"smiles": {"variants": 8}}


@dataclass(frozen=True)
class Recipe:
    """Members by name, and how they are fitted.

    `folds` > 0: every member is fitted on each k − 1 of k random folds; the predictions for the fold left out choose
    the blend's weights and calibrate the intervals. `folds` = 0: one fit on the training part, with the validation
    part (given, or a tenth carved off) for early stopping and calibration.
    """

    members: dict[str, Spec] = field(default_factory=dict)
    folds: int = 0
    about: str = ""
    views: dict[str, Spec] = field(default_factory=dict)  # settings of the views that are not made with their defaults

    @property
    def networks(self) -> dict[str, Spec]:
        """Name → config of the members that are networks."""
        return {name: spec["config"] for name, spec in self.members.items() if spec["kind"] in NETWORKS}

    def settings(self) -> dict[str, Settings]:
        """The views' settings, checked."""
        return settings_of(self.views)


def for_blend(spec: Spec, **training: float) -> Spec:
    """A network inside a blend: averaged weights, no validation part to stop on, and an end to its visits."""
    out = deepcopy(spec)
    out["config"]["training"] |= {"ema": 0.999, "visits": 80_000, **training}
    return out


SUMMED = deepcopy(GRAPH)  # small assays take few steps, and atoms that are summed are learned in fewer of them
SUMMED["config"]["encoder_config"] |= {"readout": "sum", "dropout": 0.1}

FEW_TOKENS = deepcopy(SMILES)  # for small assays: an eighth of the weights
FEW_TOKENS["config"]["encoder_config"] |= {"width": 128, "depth": 2, "heads": 4}
FEW_TOKENS["config"]["training"] |= BY_ADAMW

TRENDED = deepcopy(FINGERPRINT)
TRENDED["config"]["trend"] = True


def joined(views: Iterable[str]) -> Spec:
    """One network that joins the encoders of several views."""
    branches = {view: deepcopy(OF_VIEW[view]["config"]["encoder_config"]) for view in VIEWS if view in set(views)}
    config = {"encoder": "fusion", "encoder_config": {"branches": branches}, "head": {}, "training": dict(BY_MUON)}
    return {"kind": "neural", "config": config}


def combining(branches: dict[str, Spec], head: list[int], **training: float) -> Recipe:
    """A row of the study "combining modalities" as it published it: raw target, means of atoms, plain concatenation."""
    settings: Spec = {"branches": branches, "join": "concat", "normalise": False, "absent": 0.0}
    encoder = "fusion"
    if len(branches) == 1:
        (settings,) = deepcopy(list(branches.values()))
        encoder = settings.pop("encoder")
    plateau = {"epochs": 100, "batch": 32, "peak": 1e-3, "schedule": "plateau", "decay": 0.5, "clip": 0.0}
    head_settings = {"widths": head, "loss": "mae"}
    config = {
        "encoder": encoder,
        "encoder_config": settings,
        "head": head_settings,
        "training": plateau | training,
        "reference": "none",
    }
    return Recipe({encoder: {"kind": "neural", "config": config}}, 0, "a row of a published study, as it was")


WIDTHS = [512, 512, 512, 256, 256, 256]
BITS: Spec = {"encoder": "mlp", "widths": WIDTHS, "descriptors": False, "binary": True, "normalise": True}
MEANS: Spec = {"encoder": "combining-mpnn"}
MOVING: Spec = {"encoder": "combining-egnn"}
# The heads are those that come nearest to the study's numbers of parameters.
STUDY001 = {
    "study001-fp-mlp": combining({"fingerprint": BITS}, [256, 256]),
    "study001-mpnn": combining({"graph": MEANS}, []),
    "study001-egnn": combining({"conformer": MOVING}, [256]),
    "study001-mpnn-fp": combining({"fingerprint": BITS, "graph": MEANS}, [256]),
    "study001-egnn-fp": combining({"fingerprint": BITS, "conformer": MOVING}, [512]),
    "study001-egnn-mpnn": combining({"graph": MEANS, "conformer": MOVING}, []),
    "study001-rnn": combining({"smiles": {"encoder": "lstm"}}, [256], pretrained=0.0),
    "study001-mpnn-rnn": combining({"graph": MEANS, "smiles": {"encoder": "lstm"}}, [256], pretrained=0.0),
}

JOINS = ("concat", "mean", "gated", "attention")  # beside the residual one, which `graph+conformer` has


def joined_by(join: str) -> Recipe:
    """`graph+conformer` by another join, as a row of a study."""
    spec = joined(("graph", "conformer"))
    spec["config"]["encoder_config"]["join"] = join
    return Recipe({"fusion": spec}, 0, f"one network on graph and conformer, joined by {join}")


EGNN = deepcopy(CONFORMER)
EGNN["config"] |= {"encoder": "egnn", "encoder_config": {"depth": 4, "radial": 20}}
LSTM = deepcopy(SMILES)
LSTM["config"]["encoder"] = "lstm"
LSTM["config"]["training"] |= BY_ADAMW
# And rows of that study that are ours and no other recipe.
BOTH001 = STUDY001 | {
    "egnn": Recipe({"conformer": EGNN}, 0, "an EGNN that sees distances by radial functions"),
    "lstm": Recipe({"smiles": LSTM}, 0, "an LSTM on the tokens of SMILES", VIEW_SETTINGS),
}
BOTH001 |= {f"graph+conformer-{join}": joined_by(join) for join in JOINS}

AUTO: dict[str, Spec] = {
    **TREES,
    **KERNELS,
    "fingerprint": for_blend(TRENDED, epochs=30),
    "graph": for_blend(SUMMED, epochs=50, batch=32),
}

RECIPES: dict[str, Recipe] = BOTH001 | {
    "baseline": Recipe(TREES | KERNELS, 5, "trees and kernel machines on fingerprints and descriptors, blended"),
    "fingerprint": Recipe({"fingerprint": FINGERPRINT}, 0, "a network on fingerprint counts and descriptors"),
    "smiles": Recipe({"smiles": SMILES}, 0, "a transformer on the tokens of SMILES", VIEW_SETTINGS),
    "graph": Recipe({"graph": GRAPH}, 0, "a directed message-passing network on atoms and bonds"),
    "conformer": Recipe({"conformer": CONFORMER}, 0, "an equivariant network on the atoms' places in space"),
    "fusion": Recipe({"fusion": joined(OF_VIEW)}, 0, "one network on all four views, joined", VIEW_SETTINGS),
    "auto": Recipe(AUTO, 5, "the blend of all of these, weighted by out-of-fold predictions"),
    "auto-views": Recipe(
        AUTO | {"smiles": for_blend(FEW_TOKENS, epochs=50), "conformer": for_blend(CONFORMER, epochs=50)},
        5,
        "auto, and a network each for SMILES and conformers",
        VIEW_SETTINGS,
    ),
}


PLACED: dict[str, dict[str, Spec]] = {"auto": {"conformer": for_blend(CONFORMER, epochs=50)}}
"""Members that join a recipe where the structures come with their geometry. To make one costs minutes and tells little
that the other views do not."""


def resolve(name: str, overrides: dict[str, str], form: Form = "plain", panel: bool = False) -> Recipe:
    """The recipe `name` with `--set key=value` applied, for structures of this form, and many targets (`panel`) or few.

    A key is a path into a member's config, `training.epochs`, or with the member first, `graph.training.epochs`; it
    is applied to every member that has such a setting. Raises UserError if none has, or if the value is of the wrong
    kind.
    """
    recipe = recipe_of(name)
    members = deepcopy(possible(recipe) | (PLACED.get(name, {}) if form == "placed" else {}))
    views = deepcopy(recipe.views)
    if "folds" in overrides:
        recipe = replace(recipe, folds=folds_of(overrides["folds"]))
    override(members, views, {key: text for key, text in overrides.items() if key != "folds"})
    if form == "reaction":
        for config in replace(recipe, members=members).networks.values():
            learn_reactions(config)
    left = BY_TARGET if panel else SHARED
    recipe = replace(recipe, members={key: spec for key, spec in members.items() if key not in left}, views=views)
    recipe.settings()
    return recipe


def possible(recipe: Recipe) -> dict[str, Spec]:
    """The recipe's members, and what stands for those that learn target by target where the targets are many."""
    return recipe.members | (SHARED if any(name in BY_TARGET for name in recipe.members) else {})


def learn_reactions(config: Spec) -> None:
    """Let a network look at the parts of a reaction, in place, where its encoder of molecules has such a form.

    Reactions have no geometry: a branch for it goes, and a network of nothing else is a UserError.
    """
    branches = config["encoder_config"].get("branches", {})
    if len(branches) > 1:
        branches.pop("conformer", None)
    if config["encoder"] in BRANCHES["conformer"] or "conformer" in branches:
        raise UserError("The molecules of a reaction lie nowhere, so it has no conformer. Take another view, as graph.")
    config["encoder"] = for_reactions(config["encoder"])
    for view, settings in branches.items():
        settings["encoder"] = for_reactions(settings.get("encoder", next(iter(BRANCHES[view]))))


def is_recipe(name: str) -> bool:
    """Whether `name` is a recipe, or views with + between them."""
    return name in RECIPES or ("+" in name and any(part.strip() in OF_VIEW for part in name.split("+")))


def recipe_of(name: str) -> Recipe:
    """The recipe `name`; several views with + between them are joined in one network."""
    if name in RECIPES or "+" not in name:
        return pick(RECIPES, name, "recipe")
    views = [view.strip() for view in name.split("+")]
    for view in views:
        pick(OF_VIEW, view, "view")
    if len(set(views)) < len(views):
        raise UserError(f"--recipe {name} names a view twice. Name each once, such as graph+conformer.")
    settings = {view: told for view, told in VIEW_SETTINGS.items() if view in views}
    return Recipe({"fusion": joined(views)}, 0, f"one network on {' and '.join(views)}, joined", settings)


def takes(name: str, key: str) -> bool:
    """Whether `--set KEY=…` means something to the recipe `name`."""
    return key == "folds" or key.startswith("views.") or bool(having(possible(recipe_of(name)), key)[1])


def folds_of(text: str) -> int:
    """The value of `--set folds`."""
    value = number(text)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or value == 1:
        raise UserError(f"--set folds={text}: give 0 for a single fit, or 2 or more.")
    return value

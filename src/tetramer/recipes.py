"""Named combinations of members and settings, as plain data."""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tetramer.errors import UserError, nearest, pick

Spec = dict[str, Any]

TREES: dict[str, Spec] = {
    "lightgbm": {"kind": "trees", "config": {"mode": "boosted", "trees": 400}},
    "random-forest": {"kind": "trees", "config": {"mode": "forest", "trees": 120}},
    "extra-trees": {"kind": "trees", "config": {"mode": "extra", "trees": 120}},
}
KERNELS: dict[str, Spec] = {
    "svm": {"kind": "kernels", "config": {"machine": "svm"}},
    "gp": {"kind": "kernels", "config": {"machine": "gp"}},
}
# chemprop's size: 300 wide, three steps of directed messages, a head of one hidden layer.
GRAPH: Spec = {
    "kind": "neural",
    "config": {
        "encoder": "mpnn",
        "encoder_config": {"width": 300, "depth": 3},
        "head": {},
        "training": {"epochs": 50, "batch": 64, "peak": 1e-3},
    },
}
FINGERPRINT: Spec = {
    "kind": "neural",
    "config": {
        "encoder": "mlp",
        "encoder_config": {},
        "head": {},
        "training": {"epochs": 50, "batch": 64, "peak": 5e-4, "optimizer": "adamw", "weight_decay": 1e-2},
    },
}


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


def for_blend(spec: Spec, **training: Any) -> Spec:
    """A network inside a blend: averaged weights, no validation part to stop on, and an end to its visits."""
    out = deepcopy(spec)
    out["config"]["training"] |= {"ema": 0.999, "visits": 80_000, **training}
    return out


SUMMED = deepcopy(GRAPH)  # small assays take few steps, and atoms that are summed are learned in fewer of them
SUMMED["config"]["encoder_config"] |= {"readout": "sum", "dropout": 0.1}

RECIPES: dict[str, Recipe] = {
    "baseline": Recipe(TREES | KERNELS, 5, "trees and kernel machines on fingerprints and descriptors, blended"),
    "fingerprint": Recipe({"fingerprint": FINGERPRINT}, 0, "a network on fingerprint counts and descriptors"),
    "graph": Recipe({"graph": GRAPH}, 0, "a directed message-passing network on atoms and bonds"),
    "auto": Recipe(
        TREES
        | KERNELS
        | {"fingerprint": for_blend(FINGERPRINT, epochs=30), "graph": for_blend(SUMMED, epochs=50, batch=32)},
        5,
        "the blend of all of these, weighted by out-of-fold predictions",
    ),
}


def resolve(name: str, overrides: dict[str, str]) -> Recipe:
    """The recipe `name` with `--set key=value` applied.

    A key is a path into a member's config, `training.epochs`, or with the member first, `graph.training.epochs`; it
    is applied wherever the path's first word exists. Raises UserError if it exists nowhere.
    """
    recipe = pick(RECIPES, name, "recipe")
    members = deepcopy(recipe.members)
    for key, text in overrides.items():
        if key == "folds":
            recipe = replace(recipe, folds=int(number(text)))
            continue
        owner, _, rest = key.partition(".")
        chosen = {owner: members[owner]} if owner in members else members
        path = rest.split(".") if owner in members else key.split(".")
        path = ["encoder_config", *path[1:]] if path[0] == "encoder" and len(path) > 1 else path
        hit = [spec for spec in chosen.values() if applies(spec["config"], path)]
        if not hit:
            raise UserError(unknown_key(key, members))
        for spec in hit:
            place = spec["config"]
            for word in path[:-1]:
                place = place[word]
            place[path[-1]] = number(text)
    return replace(recipe, members=members)


def applies(config: dict[str, Any], path: list[str]) -> bool:
    """Whether a member's config has the first word of the path."""
    return path[0] in config


def unknown_key(key: str, members: dict[str, Spec]) -> str:
    """The sentence for a --set that fits nothing."""
    keys = sorted(
        {word for spec in members.values() for word in spec["config"]} | set(members) | {"folds"} - {"encoder_config"}
    )
    near = nearest(key.partition(".")[0], keys)
    hint = f" Did you mean {near!r}?" if near else ""
    return f"--set {key}: no member has such a setting.{hint} First words are: {', '.join(keys)}."


def number(text: str) -> int | float | bool | str:
    """The text as a whole number, a number, true/false, or itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)

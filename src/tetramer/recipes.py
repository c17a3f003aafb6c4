"""Named combinations of members and settings, as plain data."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, get_type_hints

from tetramer.encoders import ENCODERS
from tetramer.errors import UserError, nearest, pick
from tetramer.objectives.supervised import SupervisedConfig
from tetramer.training import TrainConfig

Spec = dict[str, Any]
Hint = Any  # an annotation
C = TypeVar("C")

TREES: dict[str, Spec] = {
    "lightgbm": {"kind": "trees", "config": {"mode": "boosted", "trees": 400}},
    "random-forest": {"kind": "trees", "config": {"mode": "forest", "trees": 120, "trend": True}},
    "extra-trees": {"kind": "trees", "config": {"mode": "extra", "trees": 120, "trend": True}},
}
KERNELS: dict[str, Spec] = {
    "svm": {"kind": "kernels", "config": {"machine": "svm", "cost": 5.0, "largest": 4000}},
    "gp": {"kind": "kernels", "config": {"machine": "gp", "largest": 4000}},
}
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


def for_blend(spec: Spec, **training: float) -> Spec:
    """A network inside a blend: averaged weights, no validation part to stop on, and an end to its visits."""
    out = deepcopy(spec)
    out["config"]["training"] |= {"ema": 0.999, "visits": 80_000, **training}
    return out


SUMMED = deepcopy(GRAPH)  # small assays take few steps, and atoms that are summed are learned in fewer of them
SUMMED["config"]["encoder_config"] |= {"readout": "sum", "dropout": 0.1}

TRENDED = deepcopy(FINGERPRINT)
TRENDED["config"]["trend"] = True

RECIPES: dict[str, Recipe] = {
    "baseline": Recipe(TREES | KERNELS, 5, "trees and kernel machines on fingerprints and descriptors, blended"),
    "fingerprint": Recipe({"fingerprint": FINGERPRINT}, 0, "a network on fingerprint counts and descriptors"),
    "graph": Recipe({"graph": GRAPH}, 0, "a directed message-passing network on atoms and bonds"),
    "auto": Recipe(
        TREES
        | KERNELS
        | {"fingerprint": for_blend(TRENDED, epochs=30), "graph": for_blend(SUMMED, epochs=50, batch=32)},
        5,
        "the blend of all of these, weighted by out-of-fold predictions",
    ),
}


def resolve(name: str, overrides: dict[str, str]) -> Recipe:
    """The recipe `name` with `--set key=value` applied.

    A key is a path into a member's config, `training.epochs`, or with the member first, `graph.training.epochs`; it
    is applied to every member that has such a setting. Raises UserError if none has, or if the value is of the wrong
    kind.
    """
    recipe = pick(RECIPES, name, "recipe")
    members = deepcopy(recipe.members)
    for key, text in overrides.items():
        if key == "folds":
            recipe = replace(recipe, folds=folds_of(text))
            continue
        path, hit = having(members, key)
        if not hit:
            raise UserError(unknown_key(key, members))
        for spec in hit:
            group, last = paths(spec)[path]
            value = number(text) if not group else converted(key, number(text), hint_of(spec, group, last))
            (spec["config"][group] if group else spec["config"])[last] = value
    for spec in members.values():
        check(spec)
    return replace(recipe, members=members)


def having(members: dict[str, Spec], key: str) -> tuple[tuple[str, ...], list[Spec]]:
    """The path that a key of `--set` means, and the members that have it."""
    owner, _, rest = key.partition(".")
    chosen = {owner: members[owner]} if owner in members else members
    path = tuple((rest if owner in members else key).split("."))
    return path, [spec for spec in chosen.values() if path in paths(spec)]


def takes(name: str, key: str) -> bool:
    """Whether `--set KEY=…` means something to the recipe `name`."""
    return key == "folds" or bool(having(pick(RECIPES, name, "recipe").members, key)[1])


def folds_of(text: str) -> int:
    """The value of `--set folds`."""
    value = number(text)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or value == 1:
        raise UserError(f"--set folds={text}: give 0 for a single fit, or 2 or more.")
    return value


def paths(spec: Spec) -> dict[tuple[str, ...], tuple[str, str]]:
    """Every setting of a member: its path in a key → the group of its config ("" for none) and its name there."""
    if spec["kind"] != "neural":
        return {(name,): ("", name) for name in spec["config"]}
    told: dict[tuple[str, ...], tuple[str, str]] = {("encoder",): ("", "encoder"), ("trend",): ("", "trend")}
    for word, group, kind in groups(spec):
        told |= {(word, one.name): (group, one.name) for one in fields(kind)}
    for fixed in (("training", "seed"), ("head", "task"), ("head", "targets"), ("head", "classes")):
        del told[fixed]  # these follow from the data and from --seed
    return told


def groups(spec: Spec) -> tuple[tuple[str, str, type], ...]:
    """Groups of a network's settings: first word of a key, name in the config, dataclass."""
    encoder = pick(ENCODERS, spec["config"]["encoder"], "encoder").Config
    return (
        ("encoder", "encoder_config", encoder),
        ("head", "head", SupervisedConfig),
        ("training", "training", TrainConfig),
    )


def hint_of(spec: Spec, group: str, name: str) -> Hint:
    """The annotation of a network's setting."""
    kind = next(kind for _, there, kind in groups(spec) if there == group)
    return get_type_hints(kind)[name]


def check(spec: Spec) -> None:
    """UserError, before any work, if a value of a network is of the wrong kind or out of range."""
    if spec["kind"] == "neural":
        for _, group, kind in groups(spec):
            configured(kind, spec["config"][group])


def configured(kind: type[C], settings: Mapping[str, Any]) -> C:
    """A config of dataclass `kind` from names and values, as a person or a card gives them.

    A whole number may stand for a number, one number for several. UserError for a name or a type that is not its own.
    """
    hints, values = get_type_hints(kind), {}
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    for name, value in settings.items():
        if name not in names:
            near = nearest(name, names)
            hint = f" Did you mean {near!r}?" if near else ""
            raise UserError(f"There is no setting {name!r}.{hint} Choose from: {', '.join(sorted(names))}.")
        values[name] = converted(name, value, hints[name])
    return kind(**values)


def converted(name: str, value: object, hint: Hint) -> object:
    """`value` as the annotation `hint` of a config has it: bool, int, float, a text, or a tuple of whole numbers."""
    if "tuple" in str(hint):
        several = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, str):
            several = [number(part) for part in value.strip("()[]").split(",") if part.strip()]
        if not all(type(item) is int for item in several):
            raise UserError(f"The setting {name} is {value!r}; it must be whole numbers, such as 300 or 300,100.")
        return tuple(several)
    wanted = hint if isinstance(hint, type) else str
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
        raise UserError(f"The setting {name} is {value!r}; it must be {kinds[wanted]}.")
    return value


def unknown_key(key: str, members: dict[str, Spec]) -> str:
    """The sentence for a --set that fits nothing."""
    keys = sorted({".".join(path) for spec in members.values() for path in paths(spec)} | {"folds"})
    last = {there.rpartition(".")[2]: there for there in keys}
    near = nearest(key, keys) or last.get(nearest(key.rpartition(".")[2], last) or "")
    hint = f" Did you mean {near!r}?" if near else ""
    alike = [there for there in keys if there.partition(".")[0] == key.partition(".")[0]] or keys
    return f"--set {key}: no member has such a setting.{hint} Settings are: {', '.join(alike)}."


def number(text: str) -> int | float | bool | str:
    """The text as a whole number, a number, true/false, or itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)

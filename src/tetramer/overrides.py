"""What `--set key=value` changes: paths into the settings of members, of their networks, and of views."""

from collections.abc import Mapping
from dataclasses import fields
from functools import reduce
from typing import Any, get_type_hints

from tetramer.encoders import ENCODERS, branch_of
from tetramer.errors import UserError, nearest, pick
from tetramer.objectives import OBJECTIVES
from tetramer.objectives.supervised import SupervisedConfig
from tetramer.settings import Hint, configured, converted, number
from tetramer.training import TrainConfig
from tetramer.views import VIEWS

Spec = dict[str, Any]
Path = tuple[str, ...]  # the names that lead to a setting
CLASSICAL: dict[str, dict[str, Hint]] = {
    "trees": {"mode": str, "trees": int, "trend": bool},
    "forest": {"trees": int, "least": int, "trend": bool},
    "kernels": {"machine": str, "cost": float, "largest": int},
}
"""Settings of the members that are no networks, which stand below this module, by kind."""
NETWORKS = ("neural", "pretraining")  # kinds of members that have an encoder and are trained; the latter has no head


def override(members: dict[str, Spec], views: dict[str, Spec], overrides: Mapping[str, str]) -> None:
    """Apply `--set key=value` to members and settings of views, in place; which network it is comes before its size."""
    for key, text in sorted(overrides.items(), key=lambda item: item[0].rpartition(".")[2] != "encoder"):
        if key.startswith("views."):
            set_view(views, key, text)
            continue
        path, hit = having(members, key)
        if not hit:
            raise UserError(unknown_key(key, members))
        for spec in hit:
            place, hint = paths(spec)[path]
            put(spec["config"], place, number(text) if hint is None else converted(key, number(text), hint))
            if path == ("encoder",):
                keep_known(spec["config"])
    for spec in members.values():
        check(spec)


def set_view(views: dict[str, Spec], key: str, text: str) -> None:
    """Apply `--set views.VIEW.NAME=value`."""
    view, _, name = key.removeprefix("views.").partition(".")
    kind = pick(VIEWS, view, "view").SETTINGS
    hints = {one.name: get_type_hints(kind)[one.name] for one in fields(kind)}
    if name not in hints:
        told = f"Choose from: {', '.join(sorted(hints))}." if hints else "It has none."
        raise UserError(f"--set {key}: the {view} view has no setting {name!r}. {told}")
    views.setdefault(view, {})[name] = converted(key, number(text), hints[name])


def having(members: dict[str, Spec], key: str) -> tuple[Path, list[Spec]]:
    """The path that a key of `--set` means, and the members that have it."""
    owner, _, rest = key.partition(".")
    chosen = {owner: members[owner]} if owner in members else members
    path = tuple((rest if owner in members else key).split("."))
    return path, [spec for spec in chosen.values() if path in paths(spec)]


def paths(spec: Spec) -> dict[Path, tuple[Path, Hint]]:
    """Every setting of a member: its path in a key → its place in the config, and the annotation it has there."""
    if spec["kind"] not in NETWORKS:
        return {(name,): ((name,), hint) for name, hint in CLASSICAL[spec["kind"]].items()}
    told: dict[Path, tuple[Path, Hint]] = {("encoder",): (("encoder",), str)}
    if spec["kind"] == "neural":
        told |= {(name,): ((name,), None) for name in ("trend", "reference")}
    for view in spec["config"]["encoder_config"].get("branches", {}):
        told["encoder", view, "encoder"] = ("encoder_config", "branches", view, "encoder"), str
    for word, place, kind in groups(spec):
        hints = get_type_hints(kind)
        told |= {(*word, one.name): ((*place, one.name), hints[one.name]) for one in fields(kind)}
    for fixed in FIXED:
        told.pop(fixed, None)
    return told


# These follow from the data and from --seed, or are groups of settings themselves.
FIXED = (
    *(("training", "seed"), ("head", "task"), ("head", "targets"), ("head", "classes"), ("encoder", "branches")),
    *(("objective", "motif"), *(("objective", "motif", name) for name in ("negatives", "decoys", "swaps"))),
)


def groups(spec: Spec) -> list[tuple[Path, Path, type]]:
    """Groups of a network's settings: first words of a key, place in the config, dataclass."""
    config = spec["config"]
    told: list[tuple[Path, Path, type]] = [
        (("encoder",), ("encoder_config",), pick(ENCODERS, config["encoder"], "encoder").Config),
        (("training",), ("training",), TrainConfig),
    ]
    if spec["kind"] == "neural":
        told.append((("head",), ("head",), SupervisedConfig))
    else:
        objective = OBJECTIVES[config["objective"]]
        told.append((("objective",), ("objective_config",), objective.Config))
        told += [(("objective", name), ("objective_config", name), kind) for name, kind in objective.Groups.items()]
    for view, settings in config["encoder_config"].get("branches", {}).items():
        told.append((("encoder", view), ("encoder_config", "branches", view), branch_of(view, settings).Config))
    return told


def put(config: Spec, place: Path, value: object) -> None:
    """Set `config[place[0]][place[1]]…` to `value`."""
    for name in place[:-1]:
        config = config.setdefault(name, {})
    config[place[-1]] = value


def keep_known(config: Spec) -> None:
    """Leave of an encoder's settings, in place, those that another one that has taken its place has as well."""
    names = {one.name for one in fields(pick(ENCODERS, config["encoder"], "encoder").Config)}
    for name in [*config["encoder_config"]]:
        if name not in names:
            del config["encoder_config"][name]


def check(spec: Spec) -> None:
    """UserError, before any work, if a value of a network is of the wrong kind or out of range."""
    if spec["kind"] in NETWORKS:
        for _, place, kind in groups(spec):
            settings: Spec = reduce(lambda part, name: part.get(name, {}), place, spec["config"])
            configured(kind, {name: value for name, value in settings.items() if (name, len(place)) != ("encoder", 3)})


def unknown_key(key: str, members: dict[str, Spec]) -> str:
    """The sentence for a --set that fits nothing."""
    keys = sorted({".".join(path) for spec in members.values() for path in paths(spec)})
    if any(spec["kind"] != "pretraining" for spec in members.values()):
        keys = sorted([*keys, "folds"])
    last = {there.rpartition(".")[2]: there for there in keys}
    near = nearest(key, keys) or last.get(nearest(key.rpartition(".")[2], last) or "")
    hint = f" Did you mean {near!r}?" if near else ""
    alike = [there for there in keys if there.partition(".")[0] == key.partition(".")[0]] or keys
    return f"--set {key}: no member has such a setting.{hint} Settings are: {', '.join(alike)}."

"""Weights to start from: the encoders of a model folder, and where they fit in the network of a recipe."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import nn

from tetramer.checkpoint import Card, Files, config_hash, digest, finite, pack, read_folder, unpack
from tetramer.encoders import BRANCHES, ENCODERS, Encoder, branch_of
from tetramer.errors import UserError, pick
from tetramer.overrides import Spec
from tetramer.recipes import OF_VIEW
from tetramer.settings import configured
from tetramer.views.smiles import VOCABULARY_HASH

WEIGHTS, ENCODER = "model.safetensors", "encoder."
Form = tuple[str, dict[str, tuple[int, ...]], Spec]  # of ENCODERS; the shape of every array; `unshaped` settings


@dataclass(frozen=True, eq=False)
class Source:
    """One encoder with its weights."""

    name: str  # of the member, and of the view if it is a branch of a fusion
    encoder: str  # of ENCODERS
    settings: Spec  # of its Config
    arrays: dict[str, np.ndarray]  # by their names within the encoder
    folder: str = ""  # where it comes from, if there are several

    def put(self, module: nn.Module) -> None:
        """The weights into an encoder of this kind and shape."""
        state = {name: torch.from_numpy(value.copy()) for name, value in self.arrays.items()}
        module.load_state_dict(state, strict=True)

    def made(self) -> Encoder:
        """The encoder, in eval mode. UserError if the weights are not those of one."""
        if shapes_of(self.encoder, self.settings) != shapes(self.arrays):
            raise UserError(f"The weights of {self.name!r} do not fit the encoder of its card. Train again.")
        module = raw(self.encoder, self.settings)
        self.put(module)
        return module.eval()

    @property
    def form(self) -> Form:
        """What another encoder must have as well to take these weights."""
        return whose(self.encoder), shapes(self.arrays), unshaped(self.encoder, self.settings)

    @property
    def branches(self) -> list[Self]:
        """The encoders of the views that a fusion joins; none of any other encoder."""
        told = []
        for view, settings in self.settings.get("branches", {}).items():
            prefix = f"branches.{view}."
            arrays = {name.removeprefix(prefix): v for name, v in self.arrays.items() if name.startswith(prefix)}
            kind, own = branch_settings(view, settings)
            told.append(type(self)(f"{self.name}, {view}", kind, own, arrays, self.folder))
        return told

    @property
    def recipe(self) -> str:
        """The flags of `tetramer train` that make a network for these weights."""
        view = next(view for view, kinds in BRANCHES.items() if self.encoder in kinds)
        plain = OF_VIEW[view]["config"]
        words = [f"--recipe {view}"]
        if plain["encoder"] != self.encoder:
            words.append(f"--set encoder={self.encoder}")
        kind: Any = ENCODERS[self.encoder]
        own, there = asdict(configured(kind.Config, self.settings)), asdict(configured(kind.Config, known(kind, plain)))
        words += [f"--set encoder.{name}={flag(value)}" for name, value in own.items() if value != there[name]]
        return " ".join(words)


@dataclass(frozen=True, eq=False)
class Origin:
    """A folder that weights come from: an encoder of `tetramer pretrain`, or a model of `tetramer train`.

    Several folders may stand as one (`together`).
    """

    name: str  # of the folder, or all their names
    kind: str  # "encoder", or "model": it has seen labels
    sources: tuple[Source, ...]

    @cached_property
    def sha256(self) -> str:
        """A hash of all weights and of what they belong to."""
        told = [[one.name, one.encoder, one.settings, digest(pack(one.arrays))] for one in self.sources]
        return config_hash(told)

    def fitting(self, encoder: str, settings: Mapping[str, Any]) -> dict[str, Source]:
        """Modules of an encoder with these settings, by name, and the source of the same kind and shape for each.

        "": the encoder itself; else branches of a fusion. The first source that fits is taken.
        """
        pairs = [(one, one.form) for one in self.sources]
        whole = form(encoder, settings)
        for one, found in pairs:
            if found == whole:
                return {"": one}
        pairs += [(branch, branch.form) for one in self.sources for branch in one.branches]
        places = {"": whole}
        for view, own in settings.get("branches", {}).items():
            places[f"branches.{view}"] = form(*branch_settings(view, own))
        told: dict[str, Source] = {}
        for place, wanted in places.items():
            fits = [one for one, found in pairs if found == wanted]
            told |= {place: fits[0]} if fits else {}
        return told

    def matched(self, recipe: str, members: Mapping[str, Spec]) -> list[str]:
        """A sentence for every network, or branch of one, that begins with weights from here.

        members: name → config of the networks of `recipe`. UserError if nothing fits any, or a folder is not needed.
        """
        lines, used = [], set[str]()
        for member, config in members.items():
            for place, source in self.fitting(config["encoder"], config["encoder_config"]).items():
                where = f"branch {place.removeprefix('branches.')} of {member}" if place else member
                what = f"{len(source.arrays)} arrays of {source.encoder} from {source.folder or self.name}"
                lines.append(f"The network {where} begins with {what}.")
                used.add(source.folder)
        if not lines:
            held = [branch for one in self.sources for branch in (one.branches or [one])]
            raise UserError(
                f"{self.name} holds {', '.join(f'{one.encoder} ({one.name})' for one in held)}, and no network of "
                f"--recipe {recipe} has an encoder of that kind and shape. These would fit: "
                f"{'; '.join(dict.fromkeys(one.recipe for one in held))}."
            )
        for folder in {one.folder: None for one in self.sources if one.folder not in used}:
            raise UserError(
                f"--from {folder} gives nothing: every network or branch that its weights fit begins with those of "
                "another --from. Leave it out."
            )
        return lines

    def files(self) -> tuple[list[Any], Files]:
        """A card (JSON) and files from which `from_files` makes it again."""
        card = [[one.name, one.encoder, one.settings] for one in self.sources]
        files = {f"origin-{place}.safetensors": pack(one.arrays) for place, one in enumerate(self.sources)}
        return [self.name, self.kind, card], files

    @classmethod
    def from_files(cls, card: list[Any], files: Files) -> Self:
        """What `files` wrote."""
        name, kind, told = card
        arrays = [unpack(files[f"origin-{place}.safetensors"], "origin") for place in range(len(told))]
        sources = [
            Source(member, encoder, settings, own)
            for (member, encoder, settings), own in zip(told, arrays, strict=True)
        ]
        return cls(name, kind, tuple(sources))


def read_origin(path: Path) -> Origin:
    """The encoders of a folder. UserError if it has none, or was altered, or was made with other tokens of SMILES."""
    return origin_of(path, *read_folder(path))


def together(origins: Sequence[Origin]) -> Origin:
    """Several origins as one; of weights that fit the same place the first are taken."""
    if len(origins) == 1:
        return origins[0]
    kind = "encoder" if all(one.kind == "encoder" for one in origins) else "model"
    sources = tuple(replace(source, folder=one.name) for one in origins for source in one.sources)
    return Origin(" and ".join(one.name for one in origins), kind, sources)


def origin_of(path: Path, card: Card, files: Files) -> Origin:
    """`read_origin` of a folder that was read already; of several fits of one network the first."""
    try:
        groups: dict[str, Source] = {}
        for member in card["members"]:
            told = json.loads(files[f"members/{member}/card.json"])
            name = member.rpartition(".")[0] or member
            if "encoder" in told["member"].get("config", {}) and name not in groups:
                groups[name] = source_of(name, told["member"]["config"], files[f"members/{member}/{WEIGHTS}"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is not whole: its card or a file lacks {error}. Train again.") from error
    if not groups:
        raise UserError(f"{path} has no network whose weights could be taken. Give a folder of `tetramer pretrain`.")
    if card.get("vocabulary", VOCABULARY_HASH) != VOCABULARY_HASH:
        raise UserError(f"{path} was made with other tokens of SMILES than this version has. Pretrain again.")
    return Origin(path.name, card.get("kind", "model"), tuple(groups.values()))


def source_of(name: str, config: Spec, data: bytes) -> Source:
    """The encoder of a network, by the config in its card and the bytes of its weights."""
    arrays = unpack(data, WEIGHTS)
    finite(arrays, WEIGHTS)
    own = {place.removeprefix(ENCODER): value for place, value in arrays.items() if place.startswith(ENCODER)}
    pick(ENCODERS, config["encoder"], "encoder")
    return Source(name, config["encoder"], config["encoder_config"], own)


def branch_settings(view: str, settings: Mapping[str, Any]) -> tuple[str, Spec]:
    """The encoder of a branch, of ENCODERS, and its own settings."""
    kind = branch_of(view, settings)
    name = next(name for name, one in BRANCHES[view].items() if one is kind)
    return name, {key: value for key, value in settings.items() if key != "encoder"}


def raw(encoder: str, settings: Mapping[str, Any]) -> Encoder:
    """An encoder with whatever weights; the caller's random numbers stay as they are."""
    kind: Any = ENCODERS[encoder]
    with torch.random.fork_rng(devices=[]):
        return cast(Encoder, kind(configured(kind.Config, settings)))


def shapes_of(encoder: str, settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of every array of an encoder, without making it."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in raw(encoder, settings).state_dict().items()}


def unshaped(encoder: str, settings: Mapping[str, Any]) -> Spec:
    """The settings that say what the weights of an encoder, or of the branches of a fusion, mean and no shape tells."""
    if "branches" in settings:
        return {view: unshaped(*branch_settings(view, own)) for view, own in settings["branches"].items()}
    kind: Any = ENCODERS[encoder]
    config = configured(kind.Config, settings)
    return {name: getattr(config, name) for name in kind.unshaped}


def form(encoder: str, settings: Mapping[str, Any]) -> Form:
    """`Source.form` of an encoder with these settings."""
    return whose(encoder), shapes_of(encoder, settings), unshaped(encoder, settings)


def whose(encoder: str) -> str:
    """The encoder, of ENCODERS, whose weights an encoder has: itself, or that of molecules for one of reactions."""
    return ENCODERS[encoder].weights_of or encoder


def shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The shape of every array."""
    return {name: value.shape for name, value in arrays.items()}


def known(kind: Any, config: Spec) -> Spec:  # noqa: ANN401 (every encoder has its own Config)
    """The settings of a recipe if its encoder is of this kind; none otherwise."""
    return config["encoder_config"] if ENCODERS[config["encoder"]] is kind else {}


def flag(value: object) -> str:
    """A setting as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

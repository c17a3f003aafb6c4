"""A network as a member: an encoder with a supervised head, trained by the one loop, resumable at any step."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from tetramer.checkpoint import Files, config_hash, finite, pack, unpack
from tetramer.encoders import ENCODERS, Encoder
from tetramer.errors import UserError, pick
from tetramer.layers import to_tensors
from tetramer.members.base import Problem, usable, without_drawings
from tetramer.members.origin import Origin
from tetramer.members.references import REFERENCES
from tetramer.objectives.supervised import Supervised, SupervisedConfig
from tetramer.resuming import carry_out
from tetramer.settings import configured, converted
from tetramer.training import Data, Row, Run, TrainConfig, autocast, for_few, mix
from tetramer.views import VIEWS
from tetramer.views.base import Features

PREDICT_BATCH = 256


@dataclass(frozen=True)
class NeuralConfig:
    """An encoder of ENCODERS with its settings, the head's settings and the training."""

    encoder: str = "mpnn"
    encoder_config: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    training: TrainConfig = field(default_factory=TrainConfig)
    trend: bool = False  # learn what a linear trend leaves over, in a regression (`members.offsets`)
    reference: str = "auto"  # what an extensive target is learned beyond, of `references.REFERENCES`

    def __post_init__(self) -> None:
        pick(ENCODERS, self.encoder, "encoder")
        pick(dict.fromkeys(REFERENCES), self.reference, "reference")

    @property
    def views(self) -> tuple[str, ...]:
        """What the encoder looks at."""
        kind = ENCODERS[self.encoder]
        return kind.looks_at(configured(kind.Config, self.encoder_config))

    @property
    def partial(self) -> bool:
        """Whether a molecule may lack some of the views."""
        kind = ENCODERS[self.encoder]
        return kind.partial(configured(kind.Config, self.encoder_config))

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Self:
        """The config as `dataclasses.asdict` wrote it into a card."""
        training = configured(TrainConfig, card["training"])
        trend = bool(converted("trend", card.get("trend", False), bool))
        reference = str(card.get("reference", "auto"))
        return cls(card["encoder"], card["encoder_config"], card["head"], training, trend, reference)


def build(config: NeuralConfig, problem: Problem, seed: int) -> Supervised:
    """The untrained network; its first weights are a function of the seed. UserError if a setting is not known."""
    kind: Any = ENCODERS[config.encoder]  # every encoder takes its own Config
    shape = {"task": problem.task, "targets": len(problem.targets), "classes": problem.outputs}
    settings = configured(kind.Config, config.encoder_config)
    head = configured(SupervisedConfig, config.head | shape)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to disturb
        torch.manual_seed(mix(seed, 3))
        return Supervised(kind(settings), head)


@dataclass
class Neural:
    """A trained network with its problem."""

    KIND = "neural"
    config: NeuralConfig
    problem: Problem
    network: Supervised

    @property
    def views(self) -> tuple[str, ...]:
        """What the encoder looks at."""
        return tuple(self.network.views)

    @property
    def parameters(self) -> int:
        """Numbers that training moves, the head's among them."""
        return sum(weight.numel() for weight in self.network.parameters())

    def predict(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, T, K) float64; NaN where a view of the row could not be made."""
        self.network.eval()
        precision = self.config.training.precision
        return per_row(self.network.encoder, features, rows, lambda views: self.network.predict(views), precision)

    def embed(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, D) float64, the encoder's molecule vectors; NaN where a view of the row could not be made."""
        return embed(self.network.encoder, features, rows, self.config.training.precision)

    def state(self) -> tuple[dict[str, Any], Files]:
        """The card, and the weights under `encoder.` and `head.`."""
        arrays = {name: value.detach().numpy() for name, value in self.network.state_dict().items()}
        card = {"config": asdict(self.config), "views": list(self.views)}
        return card, {"model.safetensors": pack(arrays)}

    @classmethod
    def from_state(cls, card: dict[str, Any], files: Files, problem: Problem) -> Self:
        """Weights into a network of the card's shape; every name and shape must match, every number be finite."""
        config = NeuralConfig.from_card(card["config"])
        arrays = unpack(files["model.safetensors"], "model.safetensors")
        with torch.device("meta"):  # a card that asks for a huge network costs no memory
            network = build(config, problem, seed=0)
        wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        found = {name: value.shape for name, value in arrays.items()}
        if wanted != found:
            odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            raise UserError(f"The weights do not fit the network of the card; these differ: {', '.join(odd[:5])}.")
        finite(arrays, "model.safetensors")
        network = build(config, problem, seed=0)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()}, strict=True)
        network.eval()
        return cls(config, problem, network)


def per_row(
    encoder: Encoder,
    features: dict[str, Features],
    rows: np.ndarray,
    answer: Callable[[dict[str, Any]], Tensor],
    precision: str = "fp32",
) -> np.ndarray:
    """(n, …) float64, what `answer` makes of the views of `rows` (n,); NaN where the row lacks a view.

    A flat drawing is no geometry, as in training.
    """
    features = without_drawings(features)
    good = np.flatnonzero(usable(features, encoder.views, rows, encoder.partial(encoder.config)))
    parts = []
    with torch.inference_mode(), autocast(precision):
        for place in range(0, max(1, len(good)), PREDICT_BATCH):
            chosen = rows[good[place : place + PREDICT_BATCH]]
            views = {view: to_tensors(VIEWS[view].collate(features[view], chosen)) for view in encoder.views}
            parts.append(answer(views).double().numpy())
    told = np.concatenate(parts)
    out = np.full((len(rows), *told.shape[1:]), np.nan)
    out[good] = told
    return out


def embed(encoder: Encoder, features: dict[str, Features], rows: np.ndarray, precision: str = "fp32") -> np.ndarray:
    """(n, D) float64, an encoder's molecule vectors; NaN where a view of the row could not be made."""
    encoder.eval()
    return per_row(encoder, features, rows, lambda views: encoder(views).molecule, precision)


def seen(config: NeuralConfig, data: Data, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` that the encoder can look at. UserError if there are none."""
    kept: np.ndarray = rows[usable(data.features, config.views, rows, config.partial)]
    if len(rows) and not len(kept):
        which = "a view" if config.partial else "every view"
        raise UserError(f"None of {len(rows)} rows has {which} that the encoder looks at: {', '.join(config.views)}.")
    return kept


def start(config: NeuralConfig, problem: Problem, data: Data, rows: np.ndarray, origin: Origin | None = None) -> Run:
    """A run at step 0 whose statistics come from the training rows alone, but for what has weights of `origin`."""
    assert data.values is not None
    assert data.weight is not None
    network = build(config, problem, config.training.seed)
    network.encoder.fit_statistics(data.features, rows)
    network.fit_statistics(data.values[rows], data.weight[rows])
    given = {} if origin is None else origin.fitting(config.encoder, config.encoder_config)
    for place, source in given.items():
        source.put(network.encoder.get_submodule(place))
    names = tuple(f"encoder.{place}".rstrip(".") for place in given)
    return Run(network, for_few(config.training, len(rows)), names)


def train(
    config: NeuralConfig,
    problem: Problem,
    data: Data,
    rows: np.ndarray,
    valid: np.ndarray | None,
    folder: Path | None = None,
    log: Callable[[Row], None] = lambda row: None,
    origin: Origin | None = None,
) -> Neural:
    """Train on `rows`, choose the weights on `valid` if given, and save to `folder` so that a killed run goes on.

    origin: weights to begin with, where they fit. Raises Stopped after a SIGTERM or SIGINT, when the state is on the
    disk.
    """
    rows = seen(config, data, rows)
    valid = None if valid is None else seen(config, data, valid)
    run = start(config, problem, data, rows, origin)
    told = [asdict(config), asdict(problem), rows.tolist(), None if valid is None else valid.tolist()]
    carry_out(run, data, rows, valid, folder, config_hash(told + ([] if origin is None else [origin.sha256])), log)
    assert isinstance(run.objective, Supervised)
    return Neural(config, problem, run.objective)

"""A network as a member: an encoder with a supervised head, trained by the one loop, resumable at any step."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from tetramer.checkpoint import Files, config_hash, finite, pack, read_folder, unpack, write_folder
from tetramer.encoders import ENCODERS
from tetramer.errors import Stopped, UserError, pick
from tetramer.layers import to_tensors
from tetramer.members.base import Problem, atom_counts, usable
from tetramer.members.references import REFERENCES
from tetramer.objectives.supervised import Supervised, SupervisedConfig
from tetramer.settings import configured, converted
from tetramer.training import Data, Interrupt, Row, Run, TrainConfig, autocast, fit, mix
from tetramer.views import VIEWS
from tetramer.views.base import Features

SAVE_EVERY = 20.0  # seconds between checkpoints; they do not touch the weights
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
        return self._per_row(features, rows, lambda views: self.network.predict(views))

    def embed(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, D) float64, the encoder's molecule vectors; NaN where a view of the row could not be made."""
        return self._per_row(features, rows, lambda views: self.network.encoder(views).molecule)

    def _per_row(
        self, features: dict[str, Features], rows: np.ndarray, answer: Callable[[dict[str, Any]], Tensor]
    ) -> np.ndarray:
        good = np.flatnonzero(usable(features, self.views, rows, self.network.encoder.partial))
        parts = []
        self.network.eval()
        with torch.inference_mode(), autocast(self.config.training.precision):
            for place in range(0, max(1, len(good)), PREDICT_BATCH):
                chosen = rows[good[place : place + PREDICT_BATCH]]
                views = {v: to_tensors(VIEWS[v].collate(features[v], chosen)) for v in self.views}
                parts.append(answer(views).double().numpy())
        told = np.concatenate(parts)
        out = np.full((len(rows), *told.shape[1:]), np.nan)
        out[good] = told
        return out

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


def seen(config: NeuralConfig, data: Data, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` that the encoder can look at. UserError if there are none."""
    kept: np.ndarray = rows[usable(data.features, config.views, rows, ENCODERS[config.encoder].partial)]
    if len(rows) and not len(kept):
        raise UserError(f"None of {len(rows)} rows has a view that the encoder looks at: {', '.join(config.views)}.")
    return kept


def start(config: NeuralConfig, problem: Problem, data: Data, rows: np.ndarray) -> Run:
    """A run at step 0 whose statistics come from the training rows alone."""
    assert data.values is not None
    assert data.censor is not None
    assert data.weight is not None
    network = build(config, problem, config.training.seed)
    network.encoder.fit_statistics(data.features, rows)
    elements = atom_counts(data.features, rows)
    network.fit_statistics(data.values[rows], data.censor[rows], data.weight[rows], elements)
    # At least four steps an epoch, so that a few dozen rows are learned at all.
    batch = min(config.training.batch, max(1, -(-len(rows) // 4)))
    return Run(network, replace(config.training, batch=batch))


def train(
    config: NeuralConfig,
    problem: Problem,
    data: Data,
    rows: np.ndarray,
    valid: np.ndarray | None,
    folder: Path | None = None,
    log: Callable[[Row], None] = lambda row: None,
) -> Neural:
    """Train on `rows`, choose the weights on `valid` if given, and save to `folder` so that a killed run goes on.

    Raises Stopped after a SIGTERM or SIGINT, when the state is on the disk.
    """
    rows = seen(config, data, rows)
    valid = None if valid is None else seen(config, data, valid)
    run = start(config, problem, data, rows)
    key = config_hash([asdict(config), asdict(problem), rows.tolist(), None if valid is None else valid.tolist()])
    if folder is not None:
        resume(folder, run, key)
    saved = monotonic()
    with Interrupt() as interrupt, torch.random.fork_rng(devices=[]):
        for row in fit(run, data, rows, valid):
            log(row)
            if folder is not None and (interrupt.signal or monotonic() - saved > SAVE_EVERY):
                save(folder, run, key)
                saved = monotonic()
            if interrupt.signal:
                raise Stopped(interrupt.signal)
    run.finish()
    assert isinstance(run.objective, Supervised)
    return Neural(config, problem, run.objective)


def save(folder: Path, run: Run, key: str) -> None:
    """Write the run over the older of two places, so that one whole checkpoint is always there."""
    slots = [(state[0]["numbers"]["step"] if (state := peek(folder / name, key)) else -1, name) for name in ("a", "b")]
    arrays = {name: value.detach().numpy() for name, value in run.tensors().items()}
    inference = {name.removeprefix("model."): value for name, value in arrays.items() if name.startswith("model.")}
    rest = {name: value for name, value in arrays.items() if not name.startswith("model.")}
    files = {"model.safetensors": pack(inference), "optim.safetensors": pack(rest)}
    folder.mkdir(parents=True, exist_ok=True)
    write_folder(folder / min(slots)[1], {"key": key, "numbers": writable(run.numbers())}, files)


def peek(folder: Path, key: str) -> tuple[dict[str, Any], Files] | None:
    """A verified checkpoint of the same run, or None."""
    try:
        card, files = read_folder(folder)
    except UserError:
        return None
    return (card, files) if card.get("key") == key else None


def resume(folder: Path, run: Run, key: str) -> None:
    """Take up the latest whole checkpoint in `folder`, if there is one of this very run."""
    states = [state for name in ("a", "b") if (state := peek(folder / name, key))]
    if not states:
        return
    card, files = max(states, key=lambda state: state[0]["numbers"]["step"])
    arrays = {f"model.{name}": value for name, value in unpack(files["model.safetensors"], "model").items()}
    arrays |= unpack(files["optim.safetensors"], "optim")
    tensors = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
    numbers = {name: float("inf") if value is None else value for name, value in card["numbers"].items()}
    run.restore(tensors, numbers)


def writable(numbers: dict[str, float]) -> dict[str, float | None]:
    """JSON has no infinity: it becomes null."""
    return {name: None if value == float("inf") else value for name, value in numbers.items()}

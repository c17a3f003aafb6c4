"""The one loop: a generator of log rows over an objective that knows its own loss.

Data order, corruption and dropout are functions of (seed, epoch, step) alone. A `Run` therefore holds weights,
optimizer moments and a few numbers, and nothing else has to be saved for a resumed run to continue bit for bit.
"""

import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from tetramer.errors import UserError, pick
from tetramer.layers import to_tensors
from tetramer.objectives import Sample, Targets
from tetramer.objectives.base import Criterion
from tetramer.optimizers import OPTIMIZERS, Optimizer, optimizer
from tetramer.views.base import Features
from tetramer.views.read import MODULES

Row = dict[str, float]


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained. `schedule` is a key of SCHEDULES, `precision` is fp32 or bf16."""

    epochs: int = 30
    batch: int = 64
    optimizer: str = "adam"
    peak: float = 1e-3  # highest learning rate
    schedule: str = "warmup-cosine"
    warmup: float = 0.07  # share of all steps
    final: float = 0.01  # last learning rate as a share of the peak (warmup-cosine)
    decay: float = 0.95  # factor per epoch (exponential) or per plateau
    plateau: int = 5  # epochs without a better validation score before the rate decays
    weight_decay: float = 0.0
    clip: float = 10.0  # largest gradient norm; 0: no clipping
    ema: float = 0.0  # decay of the averaged weights that are evaluated and kept; 0: off
    patience: int = 0  # epochs without a better validation score before training stops; 0: never
    pretrained: float = 0.1  # learning rate of weights that came from elsewhere, as a share of the others'; 0: frozen
    visits: int = 0  # molecules seen, in all epochs, after which fewer epochs are made; 0: as many as it takes
    precision: str = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        pick(dict.fromkeys(OPTIMIZERS), self.optimizer, "optimizer")
        pick(SCHEDULES, self.schedule, "schedule")
        if self.precision not in ("fp32", "bf16"):
            raise UserError(f"precision={self.precision!r} is not known. Choose fp32 or bf16.")
        if self.epochs < 1 or self.batch < 1 or not self.peak > 0:
            raise UserError(
                f"Training needs epochs ≥ 1, batch ≥ 1 and peak > 0; got {self.epochs}, {self.batch}, {self.peak}."
            )
        names = ("warmup", "final", "decay", "ema", "pretrained")
        shares = {name: getattr(self, name) for name in names}
        sizes = {"weight_decay": self.weight_decay, "clip": self.clip, "patience": self.patience, "visits": self.visits}
        wrong = [name for name, value in shares.items() if not 0 <= value <= 1]
        wrong += [name for name, value in sizes.items() if not 0 <= value < math.inf]
        wrong += ["plateau"] if self.plateau < 1 else []
        if wrong:
            raise UserError(
                f"The setting {wrong[0]}={getattr(self, wrong[0])} is out of range. "
                f"From 0 to 1: {', '.join(shares)}; 0 or more: {', '.join(sizes)}; 1 or more: plateau."
            )


def warmup_cosine(step: int, steps: int, config: TrainConfig) -> float:
    """A linear climb over the warm-up, then half a cosine down to `final`, as a share of the peak."""
    warmup = max(1, round(config.warmup * steps))
    if step < warmup:
        return (step + 1) / warmup
    fall = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    return config.final + (1 - config.final) * fall


def exponential(step: int, steps: int, config: TrainConfig) -> float:
    """`decay` to the power of the epochs done so far; `config` says how many there are."""
    return config.decay ** (step * config.epochs // steps)


def constant(step: int, steps: int, config: TrainConfig) -> float:
    """Always the peak; the plateau schedule multiplies it by what `Run.plateau_share` has become."""
    return 1.0


SCHEDULES = {
    "warmup-cosine": warmup_cosine,
    "exponential": exponential,
    "constant": constant,
    "plateau": constant,
}


def mix(*numbers: int) -> int:
    """A 63-bit seed that depends on nothing but its arguments."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A permutation of `count` places, (count,) int64, the same in every process that asks."""
    return np.random.Generator(np.random.Philox(key=mix(seed, epoch))).permutation(count)


@dataclass(frozen=True)
class Data:
    """Molecules as columns and, if there are labels, the labels beside them; row i is molecule i."""

    features: dict[str, Features]
    values: np.ndarray | None = None  # (n, T) float64; NaN marks a value nobody measured
    censor: np.ndarray | None = None  # (n, T) int8; -1 the truth lies below the value, +1 above, 0 exact
    weight: np.ndarray | None = None  # (n,) float64

    def sample(
        self,
        rows: np.ndarray,
        views: tuple[str, ...],
        rng: np.random.Generator | None = None,
        others: tuple[str, ...] = (),
    ) -> Sample:
        """The molecules `rows` (B,) as one batch per view, on the CPU; without `rng` nothing is augmented.

        others: views of which there is to be another version of each molecule. It is drawn by `rng`, always the same
        without it; the first version is then the plain one.
        """
        plain = {name: None if name in others else rng for name in views}
        batches = {name: to_tensors(MODULES[name].collate(self.features[name], rows, plain[name])) for name in views}
        more = {name: to_tensors(MODULES[name].another(self.features[name], rows, rng)) for name in others}
        if self.values is None:
            return Sample(batches, others=more)
        assert self.censor is not None
        assert self.weight is not None
        targets = Targets(
            torch.from_numpy(self.values[rows]).double(),
            torch.from_numpy(self.censor[rows]),
            torch.from_numpy(self.weight[rows]).float(),
        )
        return Sample(batches, targets, others=more)


@dataclass
class Run:
    """All that changes while an objective trains; a checkpoint holds exactly this."""

    objective: Any  # an `Objective`
    config: TrainConfig
    pretrained: tuple[str, ...] = ()  # modules of the objective whose weights came from elsewhere
    criterion: Criterion | None = None  # what chooses the weights; None: the mean loss
    step: int = 0
    best_score: float = math.inf
    best_step: int = -1
    stale: int = 0  # epochs since the best score
    plateau_share: float = 1.0
    average: dict[str, Tensor] = field(default_factory=dict)  # EMA weights; empty when off
    best: dict[str, Tensor] = field(default_factory=dict)  # weights of the best validation score
    optimizer: Optimizer = field(init=False)

    NUMBERS = ("step", "best_score", "best_step", "stale", "plateau_share")

    def __post_init__(self) -> None:
        given = [weight for name in self.pretrained for weight in self.objective.get_submodule(name).parameters()]
        told = {id(weight) for weight in given}
        own = [weight for weight in self.objective.parameters() if id(weight) not in told]
        groups = [{"params": own, "share": 1.0}]
        if given and self.config.pretrained:
            groups.append({"params": given, "share": self.config.pretrained})
        for module in self.frozen:
            module.requires_grad_(False)
        config = self.config
        self.optimizer = optimizer(config.optimizer, self.objective, groups, config.peak, config.weight_decay)
        if self.config.ema:
            self.average = weights(self.objective)

    @property
    def frozen(self) -> list[nn.Module]:
        """The modules that stay as they were given: no gradient, no dropout, no statistics of batches."""
        return [self.objective.get_submodule(name) for name in self.pretrained if not self.config.pretrained]

    def tensors(self) -> dict[str, Tensor]:
        """Everything of the run that is a tensor, by a flat name."""
        groups = {"model": self.objective.state_dict(), "average": self.average, "best": self.best}
        named = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
        for place, moments in self.optimizer.state_dict()["state"].items():
            named |= {f"optim.{place}.{name}": value for name, value in moments.items()}
        return named

    def numbers(self) -> dict[str, float]:
        """Everything of the run that is a number."""
        return {name: getattr(self, name) for name in self.NUMBERS}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, float]) -> Self:
        """Take up what `tensors()` and `numbers()` gave; a missing or surplus name is an error."""
        split: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optim": {}}
        for name, value in tensors.items():
            group, _, rest = name.partition(".")
            split[group][rest] = value
        self.objective.load_state_dict(split["model"], strict=True)
        self.average, self.best = split["average"], split["best"]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in split["optim"].items():
            place, _, moment = name.partition(".")
            moments.setdefault(int(place), {})[moment] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        for name in self.NUMBERS:
            setattr(self, name, numbers[name])
        return self

    def finish(self) -> None:
        """Leave in the objective the weights to keep: the best validated ones, else the average, else the last."""
        kept = self.best or self.average
        if kept:
            self.objective.load_state_dict(kept, strict=True)
        self.objective.eval()


def weights(objective: nn.Module) -> dict[str, Tensor]:
    """A copy of the state, detached."""
    return {name: value.detach().clone() for name, value in objective.state_dict().items()}


def steps_per_epoch(count: int, batch: int) -> int:
    """How many batches hold `count` rows."""
    return max(1, math.ceil(count / batch))


def for_few(config: TrainConfig, count: int) -> TrainConfig:
    """The config with at least four steps an epoch, so that a few dozen rows are learned at all."""
    return replace(config, batch=min(config.batch, max(1, -(-count // 4))))


def epochs_of(config: TrainConfig, count: int) -> int:
    """Epochs over `count` rows: all, or as many as `visits` allows, but at least a quarter of them."""
    allowed = config.visits // max(1, count) if config.visits else config.epochs
    return min(config.epochs, max(allowed, math.ceil(config.epochs / 4)))


def fit(run: Run, data: Data, rows: np.ndarray, valid: np.ndarray | None = None) -> Iterator[Row]:
    """Train in place from `run.step` on and yield one row per step; the caller prints, saves or stops.

    rows: (n,) training rows of `data`   valid: (m,) rows that choose the weights, or None
    The last row of an epoch also carries the validation score `valid`, lower is better.
    """
    config, objective = run.config, run.objective
    per_epoch = steps_per_epoch(len(rows), config.batch)
    epochs = epochs_of(config, len(rows))
    steps, made = epochs * per_epoch, replace(config, epochs=epochs)
    rng = torch.Generator()
    order, order_of = np.empty(0, np.int64), -1
    while run.step < steps and not (config.patience and run.stale >= config.patience):
        epoch, place = divmod(run.step, per_epoch)
        if epoch != order_of:
            order, order_of = rows[epoch_order(config.seed, epoch, len(rows))], epoch
        torch.default_generator.manual_seed(mix(config.seed, run.step))  # dropout; torch.manual_seed is slow
        rng.manual_seed(mix(config.seed, run.step, 1))  # corruption
        rate = config.peak * run.plateau_share * SCHEDULES[config.schedule](run.step, steps, made)
        chosen = order[place * config.batch : (place + 1) * config.batch]
        augment = np.random.Generator(np.random.Philox(key=mix(config.seed, run.step, 5)))
        loss, norm = update(run, data.sample(chosen, objective.views, augment, objective.others), rng, rate)
        run.step += 1
        row = {"step": run.step, "steps": steps, "epoch": epoch, "loss": loss, "rate": rate, "norm": norm}
        if place == per_epoch - 1 and valid is not None and len(valid):
            row["valid"] = validate(run, data, valid)
        yield row


def update(run: Run, sample: Sample, rng: torch.Generator, rate: float) -> tuple[float, float]:
    """One step of gradient descent; gives the loss and the gradient norm before clipping."""
    objective, config = run.objective, run.config
    objective.train()
    for module in run.frozen:
        module.eval()
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["share"]
    run.optimizer.zero_grad(set_to_none=True)
    with autocast(config.precision):
        loss = objective.loss(sample, rng)
    loss.value.backward()
    norm = nn.utils.clip_grad_norm_(objective.parameters(), config.clip or math.inf)
    value = loss.value.item()
    if not (math.isfinite(value) and math.isfinite(norm.item())):
        raise UserError(
            f"Training diverged at step {run.step}: loss {value}, gradient norm {norm.item()}. "
            f"Lower the learning rate (--set training.peak={lower(config.peak):g}) or check the labels for outliers."
        )
    run.optimizer.step()
    if run.average:
        # A short run must not average in its random start: the decay grows with the steps taken.
        decay = min(config.ema, (1 + run.step) / (10 + run.step))
        for name, now in objective.state_dict().items():
            if now.is_floating_point():
                run.average[name].lerp_(now, 1 - decay)
            else:
                run.average[name].copy_(now)
    return value, norm.item()


def lower(peak: float) -> float:
    """The learning rate to try after one that diverged: a tenth of it, and no more than most networks take."""
    return min(peak / 10, TrainConfig.peak)


def validate(run: Run, data: Data, rows: np.ndarray) -> float:
    """Score the weights that would be kept, remember the best, and count the epochs without one."""
    with averaged(run):
        score = criterion_of(run)(data, rows)
        if score < run.best_score:
            run.best_score, run.best_step, run.stale = score, run.step, 0
            run.best = weights(run.objective)
        else:
            run.stale += 1
    if run.config.schedule == "plateau" and run.stale and run.stale % run.config.plateau == 0:
        run.plateau_share *= run.config.decay
    return score


def criterion_of(run: Run) -> Criterion:
    """What chooses the weights of a run."""
    return run.criterion or partial(validation_loss, run)


@torch.inference_mode()
def validation_loss(run: Run, data: Data, rows: np.ndarray) -> float:
    """Mean loss of `rows`, each batch weighted by what its loss is a mean of: labels that are known, tokens, or rows.

    Corruption is the same every time.
    """
    objective, config = run.objective, run.config
    objective.eval()
    total = known = 0.0
    for place in range(0, len(rows), 256):
        sample = data.sample(rows[place : place + 256], objective.views, others=objective.others)
        rng = torch.Generator().manual_seed(mix(config.seed, place, 2))
        with autocast(config.precision):
            loss = objective.loss(sample, rng)
        if sample.targets:
            share = float(sample.targets.values.isfinite().sum())
        else:
            share = float(loss.parts.get("tokens", len(rows[place : place + 256])))
        total, known = total + share * loss.value.item(), known + share
    return total / known if known else math.inf


@contextmanager
def averaged(run: Run) -> Iterator[None]:
    """Within the block the objective holds the averaged weights, if there are any."""
    if not run.average:
        yield
        return
    now = weights(run.objective)
    run.objective.load_state_dict(run.average, strict=True)
    try:
        yield
    finally:
        run.objective.load_state_dict(now, strict=True)


def autocast(precision: str) -> torch.autocast:
    """bf16 matrix products where the recipe asks for them; nothing otherwise."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


class Interrupt:
    """Turns the first SIGTERM or SIGINT into a flag to be read between steps; the second one ends at once."""

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python lets nobody listen
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number

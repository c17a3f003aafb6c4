"""The loop: the same trajectory however often it is interrupted, every sample once an epoch, exact schedules."""

import json
import math
import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as cases
from hypothesis import strategies as st
from torch import Tensor, nn

from tetramer.checkpoint import pack, unpack
from tetramer.errors import UserError
from tetramer.objectives import Sample
from tetramer.objectives.base import Loss
from tetramer.training import (
    SCHEDULES,
    Data,
    Interrupt,
    Run,
    TrainConfig,
    averaged,
    epoch_order,
    epochs_of,
    fit,
    mix,
    steps_per_epoch,
    validation_loss,
    weights,
)

ROWS = np.arange(20)
VALID = np.arange(20, 26)


class Toy(nn.Module):
    """Fits the labels from a number it draws: has dropout, corruption, statistics and a counter (a 0-d buffer)."""

    views = ()
    others = ()

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.net = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.seen: list[list[float]] = []

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        assert sample.targets is not None
        values = sample.targets.values[:, :1].float()
        if self.training:
            self.seen.append(values[:, 0].tolist())
        noisy = values + 0.1 * torch.randn(values.shape, generator=rng)
        return Loss((self.net(noisy) - (values / 10).sin()).square().mean(), {})


def data(values: Sequence[float] | np.ndarray = range(26)) -> Data:
    column = np.asarray(values, dtype=np.float64)[:, None]
    return Data({}, column, np.zeros(column.shape, np.int8), np.ones(len(column)))


def through_disk(run: Run, config: TrainConfig) -> Run:
    """Another process: a new objective, and nothing of the old run but bytes and JSON."""
    held = pack({name: value.numpy() for name, value in run.tensors().items()})
    numbers = json.loads(json.dumps(run.numbers()))
    tensors = {name: torch.from_numpy(value.copy()) for name, value in unpack(held, "run").items()}
    return Run(Toy(), config).restore(tensors, numbers)


def bits(run: Run) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in run.tensors().items()}


CONFIGS = {
    "adam": TrainConfig(epochs=4, batch=6, peak=1e-2),
    "adamw": TrainConfig(epochs=4, batch=6, peak=1e-2, optimizer="adamw", weight_decay=0.1, schedule="exponential"),
    "muon": TrainConfig(epochs=4, batch=6, peak=1e-2, optimizer="muon", weight_decay=0.1),
    "ema": TrainConfig(epochs=4, batch=6, peak=1e-2, ema=0.9, clip=0.1),
    "plateau": TrainConfig(epochs=6, batch=6, peak=0.3, schedule="plateau", plateau=1, decay=0.3),
    "patience": TrainConfig(epochs=30, batch=6, peak=0.3, patience=2),
    "bf16": TrainConfig(epochs=3, batch=6, peak=1e-2, precision="bf16"),
}


def straight(config: TrainConfig) -> tuple[Run, list[dict[str, float]]]:
    run = Run(Toy(), config)
    return run, list(fit(run, data(), ROWS, VALID))


@pytest.mark.parametrize("name", CONFIGS)
@cases(max_examples=8)
@given(stops=st.sets(st.integers(1, 30), min_size=1, max_size=6))
def test_an_interrupted_run_is_the_same_run_bit_for_bit(name: str, stops: set[int]) -> None:
    config = CONFIGS[name]
    whole, rows = straight(config)
    run, told = Run(Toy(), config), []
    for stop in [*sorted(stops), 10**9]:
        for row in fit(run, data(), ROWS, VALID):
            told.append(row)
            if run.step == stop:
                break
        run = through_disk(run, config)
    assert told == rows  # loss, rate, norm and validation score of every step, exactly
    assert bits(run) == bits(whole)
    assert run.numbers() == whole.numbers()
    run.finish()
    whole.finish()
    assert all(
        torch.equal(a, b)
        for a, b in zip(run.objective.state_dict().values(), weights(whole.objective).values(), strict=True)
    )


def test_the_configs_of_that_test_do_what_they_say() -> None:
    """Else it would prove nothing: the plateau decays, patience stops, the average differs, 0-d tensors occur."""
    told = {name: straight(config)[0] for name, config in CONFIGS.items()}
    assert told["plateau"].plateau_share < 0.3
    assert 0 < told["patience"].step < 30 * 4
    assert told["patience"].stale == 2
    assert any(value.dim() == 0 for value in told["adam"].tensors().values())
    assert not torch.equal(told["ema"].average["net.0.weight"], told["ema"].objective.net[0].weight)


def test_every_sample_once_an_epoch_also_when_interrupted() -> None:
    config = TrainConfig(epochs=3, batch=6)
    run, batches = Run(Toy(), config), []
    for stop in (1, 5, 6, 9, 99):
        for _ in fit(run, data(), ROWS):
            if run.step == stop:
                break
        batches += run.objective.seen
        run = through_disk(run, config)
    assert [len(batch) for batch in batches] == [6, 6, 6, 2] * 3
    for epoch in range(3):
        ids = [int(one) for batch in batches[4 * epoch : 4 * epoch + 4] for one in batch]
        assert sorted(ids) == list(range(20))
        assert ids == epoch_order(0, epoch, 20).tolist()


def test_the_rate_falls_by_the_epochs_that_are_made() -> None:
    """Visits cut twelve epochs to three: the rate falls at the end of each, not four times as fast."""
    config = TrainConfig(epochs=12, batch=10, peak=1e-2, visits=60, schedule="exponential", decay=0.5)
    rates = [row["rate"] for row in fit(Run(Toy(), config), data(), ROWS)]
    assert rates == [1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3, 2.5e-3]


def test_rows_choose_the_samples() -> None:
    run = Run(Toy(), TrainConfig(epochs=1, batch=4))
    list(fit(run, data(), np.array([3, 5, 21])))
    assert sorted(run.objective.seen[0]) == [3, 5, 21]


class Dice(nn.Module):
    """Draws from both sources of chance in every step."""

    views = ()
    others = ()

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))
        self.drawn: list[float] = []

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        self.drawn += [torch.rand(1).item(), torch.rand(1, generator=rng).item()]
        return Loss(self.w.sum(), {})


def test_chance_differs_from_step_to_step_and_by_seed() -> None:
    drawn: list[float] = []
    for seed in (0, 1, 0):
        run = Run(Dice(), TrainConfig(epochs=2, batch=5, seed=seed))
        list(fit(run, data(), ROWS))
        drawn += run.objective.drawn
    assert len(drawn) == 3 * 16
    assert len(set(drawn[:32])) == 32
    assert drawn[:16] == drawn[32:]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    assert epoch_order(0, 0, 8).tolist() == [2, 6, 4, 1, 3, 5, 7, 0]  # a change here changes every model
    first = epoch_order(3, 5, 1000)
    assert np.array_equal(first, epoch_order(3, 5, 1000))
    assert np.array_equal(np.sort(first), np.arange(1000))
    assert not np.array_equal(first, epoch_order(3, 6, 1000))
    assert not np.array_equal(first, epoch_order(4, 5, 1000))


def test_mix_is_a_fixed_function_that_depends_on_every_argument() -> None:
    assert (mix(0), mix(1, 2, 3)) == (7896617691693857887, 6498626229777268288)
    assert mix(1, 2) != mix(2, 1)
    assert 0 <= mix(2**40, 7) < 2**63


def test_schedules_exactly() -> None:
    config = TrainConfig(epochs=10, warmup=0.2, final=0.1, decay=0.5)
    rates = [SCHEDULES["warmup-cosine"](step, 10, config) for step in range(11)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.55)  # half way down: (1 + 0.1) / 2
    assert rates[10] == pytest.approx(0.1)
    assert [SCHEDULES["exponential"](step, 20, config) for step in (0, 1, 2, 5, 19)] == [1, 1, 0.5, 0.25, 0.5**9]
    assert SCHEDULES["constant"](3, 10, config) == SCHEDULES["plateau"](3, 10, config) == 1.0


def test_steps_and_epochs() -> None:
    assert [steps_per_epoch(count, 6) for count in (1, 6, 7)] == [1, 1, 2]
    config = TrainConfig(epochs=8, visits=100)
    assert [epochs_of(config, count) for count in (10, 20, 30, 1000)] == [8, 5, 3, 2]
    assert epochs_of(TrainConfig(epochs=8), 10**9) == 8


class Line(nn.Module):
    """loss = mean of w × label, so that the gradient is the mean label."""

    views = ()
    others = ()

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0]))

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        assert sample.targets is not None
        known = sample.targets.values.float().nan_to_num(0.0)
        return Loss((self.w * known).sum() / sample.targets.values.isfinite().sum(), {})


def test_one_step_of_adam_and_of_the_average_exactly() -> None:
    run = Run(Line(), TrainConfig(epochs=1, batch=2, peak=0.1, schedule="constant", ema=0.5))
    rows = list(fit(run, data([2.0, 4.0]), np.arange(2)))
    assert rows == [{"step": 1, "steps": 1, "epoch": 0, "loss": 3.0, "rate": 0.1, "norm": 3.0}]
    assert run.objective.w.item() == pytest.approx(0.9, abs=1e-6)  # Adam's first step is the learning rate
    # The decay is the smaller one of 0.5 and (1 + 0) / (10 + 0).
    assert run.average["w"].item() == pytest.approx(0.1 * 1.0 + 0.9 * 0.9, abs=1e-6)
    with averaged(run):
        assert run.objective.w.item() == run.average["w"].item()
    assert run.objective.w.item() == pytest.approx(0.9, abs=1e-6)


class Wide(nn.Module):
    """A matrix, a bias and a table of embeddings, all with the gradient that is given for them."""

    views = ()
    others = ()

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.table, self.memory = nn.Linear(12, 5), nn.Embedding(7, 6), nn.LSTM(3, 2, bias=False)
        draw = torch.Generator().manual_seed(3)
        self.slope = torch.randn(5, 12, generator=draw)

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        told = (self.matrix.weight * self.slope).sum() + self.matrix.bias.sum() + self.table.weight.sum()
        told = told + sum(weight.sum() for weight in self.memory.parameters())
        return Loss(told, {})


def test_one_step_of_muon() -> None:
    """Along a matrix all singular values are about alike and point where the gradient does; the rest is Adam's step."""
    run = Run(Wide(), TrainConfig(epochs=1, batch=2, peak=0.1, schedule="constant", optimizer="muon", clip=0.0))
    before = weights(run.objective)
    list(fit(run, data([2.0, 4.0]), np.arange(2)))
    moved = {name: before[name] - value for name, value in run.objective.state_dict().items()}
    left, sizes, right = torch.linalg.svd(moved["matrix.weight"] / (0.1 * 0.2 * 12**0.5), full_matrices=False)
    assert 0.6 < sizes.min() <= sizes.max() < 1.3
    u, _, v = torch.linalg.svd(run.objective.slope, full_matrices=False)
    assert ((left @ right) * (u @ v)).sum() / 5 > 0.98
    for name in ("matrix.bias", "table.weight", "memory.weight_ih_l0", "memory.weight_hh_l0"):
        torch.testing.assert_close(moved[name], torch.full_like(moved[name], 0.1))
    assert set(run.optimizer.state_dict()["state"]) == {0, 1, 2, 3, 4}
    assert set(run.optimizer.state_dict()["state"][0]) == {"momentum_buffer"}


class Halves(nn.Module):
    """Two weights with one gradient, a dropout and statistics of batches; `given` came from elsewhere."""

    views = ()
    others = ()

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.given = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.own = nn.Linear(4, 1)

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        assert sample.targets is not None
        values = sample.targets.values.float()
        return Loss((self.own(self.given(values)) - values.sin()).square().mean(), {})


def halves(share: float, **more: Any) -> Run:
    config = TrainConfig(epochs=3, batch=5, peak=0.01, schedule="constant", pretrained=share, **more)
    return Run(Halves(), config, ("given",))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
def test_the_rate_of_pretrained_weights_is_the_share_that_was_asked_for(share: float) -> None:
    """Adam's first step is the learning rate, whatever the gradient."""
    run = halves(share, clip=0.0)
    before = weights(run.objective)
    next(fit(run, data(np.linspace(1, 3, 20)), ROWS))
    moved = {name: (value - before[name]).abs().max().item() for name, value in run.objective.named_parameters()}
    assert moved["own.weight"] == pytest.approx(0.01, rel=1e-3)
    assert moved["own.bias"] == pytest.approx(0.01, rel=1e-3)
    assert moved["given.1.weight"] == pytest.approx(0.01 * share, rel=1e-2)
    assert moved["given.1.bias"] == pytest.approx(0.01 * share, rel=1e-2)


def test_frozen_weights_stay_bit_by_bit_and_others_move() -> None:
    for more in ({}, {"ema": 0.9}, {"optimizer": "adamw", "weight_decay": 0.1}, {"optimizer": "muon"}):
        run = halves(0.0, **more)
        before = weights(run.objective)
        list(fit(run, data(), ROWS, VALID))
        assert not run.objective.given.training
        run.finish()
        for name, value in run.objective.state_dict().items():
            assert torch.equal(value, before[name]) == name.startswith("given."), name
        assert not any(weight.requires_grad for weight in run.objective.given.parameters())


def test_weights_that_are_not_frozen_move_with_their_dropout_and_statistics() -> None:
    run = halves(0.1)
    before = weights(run.objective)
    list(fit(run, data(), ROWS))
    assert all(not torch.equal(value, before[name]) for name, value in run.objective.state_dict().items())
    assert run.objective.given.training


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_an_interrupted_run_with_pretrained_weights_is_the_same_run(share: float) -> None:
    whole = halves(share, ema=0.9)
    list(fit(whole, data(), ROWS, VALID))
    run = halves(share, ema=0.9)
    for stop in (2, 7, 99):
        for _ in fit(run, data(), ROWS, VALID):
            if run.step == stop:
                break
        tensors = {name: value.clone() for name, value in run.tensors().items()}
        run = halves(share, ema=0.9).restore(tensors, run.numbers())
    assert bits(run) == bits(whole)


def test_nothing_pretrained_is_the_run_of_old() -> None:
    """One group of weights in the order of the module, whatever the share says."""
    plain, shared = Run(Halves(), TrainConfig()), Run(Halves(), TrainConfig(pretrained=0.0))
    for run in (plain, shared):
        (group,) = run.optimizer.param_groups
        assert [id(weight) for weight in group["params"]] == [id(weight) for weight in run.objective.parameters()]
        assert all(weight.requires_grad for weight in run.objective.parameters())


class Tokens(nn.Module):
    """A loss that is a mean over more than rows: as many as its samples' parts say."""

    views = ()
    others = ()

    def __init__(self, counts: list[int]) -> None:
        super().__init__()
        self.counts, self.w = counts, nn.Parameter(torch.ones(1))

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        count = self.counts.pop(0)
        return Loss(self.w.sum() * count, {"tokens": torch.tensor(count)})


def test_validation_without_labels_weighs_every_token_equally() -> None:
    run = Run(Tokens([30, 10]), TrainConfig())
    assert validation_loss(run, Data({}), np.arange(300)) == pytest.approx((30 * 30 + 10 * 10) / 40)


def test_clipping_bounds_the_gradient_and_reports_it_unclipped() -> None:
    run = Run(Line(), TrainConfig(epochs=1, batch=2, clip=0.5))
    (row,) = fit(run, data([2.0, 4.0]), np.arange(2))
    assert row["norm"] == 3.0
    assert run.objective.w.grad.item() == pytest.approx(0.5, rel=1e-4)


def test_validation_weighs_every_label_equally_whatever_the_batch() -> None:
    values = np.concatenate([[1.0, 1.0], np.full(256, 2.0), [5.0, np.nan, np.nan]])
    run = Run(Line(), TrainConfig(epochs=1, batch=2, peak=1e-12, schedule="constant"))
    rows = list(fit(run, data(values), np.arange(2), np.arange(2, len(values))))
    assert rows[-1]["valid"] == pytest.approx((256 * 2 + 5) / 257)


def test_validation_without_labels_is_endless_and_chooses_nothing() -> None:
    run = Run(Line(), TrainConfig(epochs=2, batch=2))
    rows = list(fit(run, data([1.0, 1.0, np.nan]), np.arange(2), np.array([2])))
    assert [row["valid"] for row in rows] == [math.inf] * 2
    assert run.best == {}


def test_the_best_weights_are_kept() -> None:
    """The loss of `Line` grows with w in validation and falls in training: the first epoch is the best."""
    run = Run(Line(), TrainConfig(epochs=5, batch=2, peak=0.1, schedule="constant"))
    rows = list(fit(run, data([1.0, 1.0, -1.0]), np.arange(2), np.array([2])))
    scores = [row["valid"] for row in rows]
    assert scores == sorted(scores)
    assert (run.best_step, run.stale) == (1, 4)
    run.finish()
    assert run.objective.w.item() == pytest.approx(0.9, abs=1e-6)
    assert not run.objective.training


@pytest.mark.parametrize(("peak", "told"), [(1e-3, "0.0001"), (2e-3, "0.0002"), (1e9, "0.001"), (0.02, "0.001")])
def test_divergence_is_told_with_a_rate_to_try(peak: float, told: str) -> None:
    run = Run(Line(), TrainConfig(epochs=1, batch=2, peak=peak))
    with pytest.raises(UserError, match=rf"diverged at step 0: loss inf.*\(--set training\.peak={told}\)"):
        list(fit(run, data([3e38, 3e38]), np.arange(2)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimizer": "sgd"},
        {"schedule": "linear"},
        {"precision": "fp16"},
        {"epochs": 0},
        {"batch": 0},
        {"peak": 0.0},
        {"peak": math.nan},
        {"plateau": 0},
        {"ema": 1.5},
        {"warmup": -0.1},
        {"patience": -1},
        {"visits": -1},
        {"clip": math.nan},
        {"pretrained": 1.5},
        {"weight_decay": math.inf},
    ],
    ids=str,
)
def test_wrong_settings_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        TrainConfig(**wrong)


def test_a_wrong_name_in_a_checkpoint_is_an_error() -> None:
    run = straight(CONFIGS["adam"])[0]
    tensors: dict[str, Tensor] = run.tensors()
    del tensors["model.net.0.bias"]
    with pytest.raises(RuntimeError, match=r"net\.0\.bias"):
        Run(Toy(), CONFIGS["adam"]).restore(tensors, run.numbers())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_becomes_a_flag_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert interrupt.signal == 0
        os.kill(os.getpid(), number)
        assert interrupt.signal == number
    assert signal.getsignal(number) == before


def test_threads_train_without_listening_to_signals() -> None:
    told: list[Any] = []

    def work() -> None:
        with Interrupt() as interrupt:
            told.append(interrupt.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [0]

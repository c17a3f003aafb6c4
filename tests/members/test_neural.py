"""A network as a member: its checkpoints on the disk, and what it does to the random numbers of its caller."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tetramer import resuming
from tetramer.checkpoint import read_folder
from tetramer.errors import Stopped
from tetramer.members.base import REGRESSION, Problem
from tetramer.members.neural import Neural, NeuralConfig, build, start, train
from tetramer.resuming import resume, save
from tetramer.training import Data, TrainConfig, fit

PROBLEM = Problem(REGRESSION, ("y",))
ROWS, VALID = np.arange(60), np.arange(60, 80)
CONFIG = NeuralConfig(
    "mpnn",
    {"width": 16, "depth": 2, "dropout": 0.2},
    {"widths": [8]},
    TrainConfig(epochs=4, batch=16, ema=0.9, optimizer="adamw", patience=3),
)


@pytest.fixture
def data(features: dict[str, Any]) -> Data:
    values = features["fingerprint"].elements[:, [8]].astype(np.float64)
    return Data(features, values, np.zeros((80, 1), np.int8), np.ones(80))


def bits(member: Neural) -> bytes:
    return b"".join(value.numpy().tobytes() for value in member.network.state_dict().values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_at_every_third_step_and_started_again(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    whole = train(CONFIG, PROBLEM, data, ROWS, VALID)
    steps: list[int] = []

    def log(row: dict[str, float]) -> None:
        steps.append(int(row["step"]))
        if row["step"] % 3 == 0:
            os.kill(os.getpid(), number)

    stops: list[int] = []
    while True:
        try:
            again = train(CONFIG, PROBLEM, data, ROWS, VALID, tmp_path / "run", log)
            break
        except Stopped as stopped:
            stops.append(stopped.signal)
    assert stops == [number] * 5
    assert steps == list(range(1, 17))  # no step was done twice
    assert bits(again) == bits(whole)


def test_checkpoints_take_turns_and_the_older_one_stands_in(data: Data, tmp_path: Path) -> None:
    run = start(CONFIG, PROBLEM, data, ROWS)
    for _ in fit(run, data, ROWS, VALID):
        save(tmp_path, run, "key")
        if run.step == 6:
            break
    steps = {name: read_folder(tmp_path / name)[0]["numbers"]["step"] for name in ("a", "b")}
    assert sorted(steps.values()) == [5, 6]
    newer, older = max(steps, key=lambda name: steps[name]), min(steps, key=lambda name: steps[name])

    def step_found(key: str = "key") -> int:
        fresh = start(CONFIG, PROBLEM, data, ROWS)
        resume(tmp_path, fresh, key)
        return fresh.step

    assert step_found() == 6
    assert step_found("another key") == 0
    path = tmp_path / newer / "optim.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert step_found() == 5
    (tmp_path / older / "card.json").write_text("{")
    assert step_found() == 0


def test_a_spoilt_checkpoint_is_written_over(data: Data, tmp_path: Path) -> None:
    run = start(CONFIG, PROBLEM, data, ROWS)
    for _ in zip(range(2), fit(run, data, ROWS), strict=False):
        save(tmp_path, run, "key")
    (tmp_path / "a" / "card.json").write_text("")
    save(tmp_path, run, "key")
    assert {read_folder(tmp_path / name)[0]["numbers"]["step"] for name in ("a", "b")} == {2}


def test_what_a_checkpoint_holds(data: Data, tmp_path: Path) -> None:
    run = start(CONFIG, PROBLEM, data, ROWS)
    for _ in zip(range(5), fit(run, data, ROWS, VALID), strict=False):
        pass
    save(tmp_path, run, "key")
    fresh = start(CONFIG, PROBLEM, data, ROWS)
    resume(tmp_path, fresh, "key")
    assert fresh.numbers() == run.numbers()
    assert {n: v.numpy().tobytes() for n, v in fresh.tensors().items()} == {
        n: v.numpy().tobytes() for n, v in run.tensors().items()
    }
    assert {n: v.shape for n, v in fresh.tensors().items()} == {n: v.shape for n, v in run.tensors().items()}


def test_endless_scores_survive_json(data: Data, tmp_path: Path) -> None:
    run = start(CONFIG, PROBLEM, data, ROWS)
    assert run.best_score == float("inf")
    save(tmp_path, run, "key")
    fresh = start(CONFIG, PROBLEM, data, ROWS)
    fresh.best_score = 0.0
    resume(tmp_path, fresh, "key")
    assert fresh.best_score == float("inf")


def test_no_folder_no_checkpoint(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "SAVE_EVERY", 0.0)
    train(CONFIG, PROBLEM, data, ROWS, None)
    assert list(tmp_path.iterdir()) == []
    train(CONFIG, PROBLEM, data, ROWS, None, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"a", "b"}


def test_the_callers_random_numbers_are_left_alone(data: Data) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(CONFIG, PROBLEM, data, ROWS, None)
    build(CONFIG, PROBLEM, 0)
    assert torch.equal(torch.rand(3), expected)


def test_first_weights_are_a_function_of_the_seed(data: Data) -> None:
    torch.manual_seed(1)
    first = build(CONFIG, PROBLEM, 0).state_dict()
    torch.manual_seed(2)
    assert all(torch.equal(value, first[name]) for name, value in build(CONFIG, PROBLEM, 0).state_dict().items())
    other = build(CONFIG, PROBLEM, 1).state_dict()
    assert not torch.equal(other["head.0.weight"], first["head.0.weight"])


def test_the_answer_does_not_depend_on_who_is_asked_beside(data: Data) -> None:
    member = train(CONFIG, PROBLEM, data, ROWS, None)
    whole = member.predict(data.features, np.arange(80))
    single = np.concatenate([member.predict(data.features, np.array([row])) for row in range(0, 80, 9)])
    assert single == pytest.approx(whole[::9], rel=1e-5, abs=1e-6)
    vectors = member.embed(data.features, np.arange(80))
    assert vectors.shape == (80, 16)
    assert np.isfinite(vectors).all()

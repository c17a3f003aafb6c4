"""A training run on the disk: checkpoints taken in turn, and the way back, for a run that was stopped or killed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Self

import numpy as np
import torch

from tetramer.checkpoint import Files, pack, read_folder, unpack, write_folder
from tetramer.datasets.writing import disk_errors, write_whole
from tetramer.errors import Stopped, UserError
from tetramer.training import Data, Interrupt, Row, Run, fit

SAVE_EVERY = 20.0  # seconds between checkpoints; they do not touch the weights


def carry_out(
    run: Run,
    data: Data,
    rows: np.ndarray,
    valid: np.ndarray | None,
    folder: Path | None = None,
    key: str = "",
    log: Callable[[Row], None] = lambda row: None,
) -> None:
    """Train `run` to its end, from the checkpoint of this very run in `folder` on if there is one.

    key: a hash of all that decides the weights. Raises Stopped after a SIGTERM or SIGINT, when the state is on the
    disk.
    """
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


class Log:
    """What every step of a run has said, a line each, in a file beside its checkpoints.

    A line is on its way to the disk before the checkpoint of its step, so a run that goes on after a kill finds those
    of all steps that stand, and its curve and its seconds are those of one that was never stopped. Lines of later steps
    are dropped: these are done again.
    """

    def __init__(self, path: Path, step: int) -> None:
        """step: how many the run has done"""
        self.path = path
        self.rows = [row for row in lines(path) if row["step"] <= step]
        write_whole(path, "".join(f"{json.dumps(row)}\n" for row in self.rows).encode())

    def __enter__(self) -> Self:
        with disk_errors(self.path, 0):
            self.file = self.path.open("a", encoding="utf-8")
        self.clocks = monotonic(), process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, row: Row) -> None:
        """Keep a row of `training.fit`, with the seconds since the one before it."""
        before, self.clocks = self.clocks, (monotonic(), process_time())
        wall, cpu = (now - then for now, then in zip(self.clocks, before, strict=True))
        kept = {name: row[name] for name in ("step", "epoch", "loss", "valid") if name in row}
        self.rows.append(kept | {"wall": wall, "cpu": cpu})
        with disk_errors(self.path, 0):
            self.file.write(f"{json.dumps(self.rows[-1])}\n")
            self.file.flush()

    @property
    def seconds(self) -> dict[str, float]:
        """Of all steps, by the clock and of the processor."""
        return {name: round(sum(row[name] for row in self.rows), 1) for name in ("wall", "cpu")}

    @property
    def curve(self) -> list[dict[str, float]]:
        """Of each epoch that is done: its number from 1, mean loss of its steps, loss of the rows that validate."""
        losses, told = list[float](), list[dict[str, float]]()
        for row in self.rows:
            losses.append(row["loss"])
            if "valid" in row:
                mean = sum(losses) / len(losses)
                told.append({"epoch": int(row["epoch"]) + 1, "loss": mean, "validation": row["valid"]})
                losses = []
        return told


def lines(path: Path) -> Iterator[Row]:
    """The lines of a log, up to one that a kill has cut short."""
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for text in texts:
        try:
            yield json.loads(text)
        except ValueError:
            return

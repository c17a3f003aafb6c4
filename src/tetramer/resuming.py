"""A training run on the disk: checkpoints taken in turn, and the way back, for a run that was stopped or killed."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from tetramer.checkpoint import Files, pack, read_folder, unpack, write_folder
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

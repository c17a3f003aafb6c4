"""Training speed and accuracy on Lipophilicity: our recipe `graph` beside chemprop, one thread each.

    python benchmarks/train_lipophilicity.py --chemprop CHEMPROP_ENV/bin/python

Both train on the same random split (8:1:1) with batches of 64 for as many epochs, and keep the weights of the best
validation loss. Speed is that of steady epochs: within an epoch, full batches after the first over the time between
the ends of the first and the last of them, loading included and validation not; the median over all epochs but the
first two. It is given per second on the clock and per second of processor time: the two agree on a quiet machine, and
the second counts where other work takes its share. Systems take turns seed by seed.
"""

import argparse
import csv
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is imported, here and in chemprop

import numpy as np
import torch

from tetramer.datasets.splits import Split, make
from tetramer.members.base import Problem
from tetramer.members.neural import NeuralConfig, train
from tetramer.metrics import rmse
from tetramer.recipes import RECIPES
from tetramer.training import Data, Row, TrainConfig
from tetramer.views import read

BATCH = 64
# chemprop's own command line, with a clock that notes when each training batch ends.
CLOCK = """
import json, sys, time
from lightning import pytorch as pl
import chemprop, torch
from chemprop.cli.main import main
torch.set_num_threads(1)
ticks = []
class Clock(pl.Callback):
    def on_train_batch_end(self, trainer, *rest):
        ticks.append((trainer.current_epoch, time.perf_counter(), time.process_time()))
plain = pl.Trainer.__init__
def timed(self, *args, **settings):
    settings["callbacks"] = [*(settings.get("callbacks") or []), Clock()]
    plain(self, *args, **settings)
pl.Trainer.__init__ = timed
path = sys.argv.pop(1)
main()
json.dump({"version": chemprop.__version__, "ticks": ticks}, open(path, "w"))
"""


Ticks = list[tuple[int, float, float]]  # epoch, clock and processor time at the end of each batch


def steady(ticks: Ticks, batches: int) -> dict[str, float]:
    """Molecules per second of both times; `batches` of each epoch are full."""
    epochs: dict[int, list[tuple[float, float]]] = {}
    for epoch, *at in ticks:
        epochs.setdefault(epoch, []).append((at[0], at[1]))
    late = [np.array(times[:batches]) for epoch, times in epochs.items() if epoch >= 2]
    clock, processor = np.median([BATCH * (len(times) - 1) / (times[-1] - times[0]) for times in late], axis=0)
    return {"molecules_per_second": float(clock), "molecules_per_cpu_second": float(processor)}


def ours(data: Data, split: Split, epochs: int, precision: str, seed: int) -> dict[str, Any]:
    """One training of the recipe `graph`."""
    spec = RECIPES["graph"].members["graph"]["config"]
    training = {**spec["training"], "epochs": epochs, "batch": BATCH, "precision": precision, "seed": seed}
    config = NeuralConfig(**{**spec, "training": TrainConfig(**training)})
    ticks: Ticks = []

    def note(row: Row) -> None:
        ticks.append((int(row["epoch"]), time.perf_counter(), time.process_time()))

    torch.set_num_threads(1)
    began = time.perf_counter()
    member = train(config, Problem("regression", ("exp",)), data, split.train, split.valid, log=note)
    seconds = time.perf_counter() - began
    assert data.values is not None
    error = rmse(data.values[split.test, 0], member.predict(data.features, split.test)[:, 0, 0])
    speed = steady(ticks, len(split.train) // BATCH - 1)  # the time of an epoch's last batch may hold the validation
    return {**speed, "rmse": error, "seconds": seconds, "version": version("torch")}


def theirs(python: Path, table: Path, split: Split, epochs: int, seed: int) -> dict[str, Any]:
    """One `chemprop train` with its own interpreter and its own defaults."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {"train": split.train.tolist(), "val": split.valid.tolist(), "test": split.test.tolist()}
        (folder / "splits.json").write_text(json.dumps([parts]))
        command = [str(python), "-c", CLOCK, str(folder / "ticks.json"), "train", "-i", str(table)]
        command += ["--smiles-columns", "smiles", "--target-columns", "exp", "-o", str(folder / "out")]
        command += ["--splits-file", str(folder / "splits.json"), "--epochs", str(epochs), "--batch-size", str(BATCH)]
        command += ["--num-workers", "0", "--pytorch-seed", str(seed), "--data-seed", str(seed), "--accelerator", "cpu"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"chemprop failed:\n{done.stderr[-2000:]}")
        seconds = time.perf_counter() - began
        told = json.loads((folder / "ticks.json").read_text())
        with (folder / "out" / "model_0" / "test_predictions.csv").open() as lines:
            answer = {row["smiles"]: float(row["exp"]) for row in csv.DictReader(lines)}
    rows = columns(table)
    texts, truth = [rows[i]["smiles"] for i in split.test], [float(rows[i]["exp"]) for i in split.test]
    error = rmse(np.array(truth), np.array([answer[text] for text in texts]))
    speed = steady([tuple(tick) for tick in told["ticks"]], len(split.train) // BATCH)
    return {**speed, "rmse": error, "seconds": seconds, "version": told["version"]}


def columns(table: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with table.open(newline="") as lines:
        return list(csv.DictReader(lines))


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line for line in lines if line.startswith("flags")), "")
    fast = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    return {"processor": model, "cores": os.cpu_count(), "bf16": fast, "system": platform.system()}


def keep(row: dict[str, Any], folder: Path) -> None:
    """Write a finished row and tell of it."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{row['study']}-{row['row']}-{row['seed']}"
    (folder / f"{name}.json").write_text(json.dumps(row, indent=2) + "\n")
    print(
        f"{name}: {row['molecules_per_cpu_second']:.0f} molecules per CPU second, RMSE {row['rmse']:.4f}",
        file=sys.stderr,
    )


def show(rows: list[dict[str, Any]]) -> None:
    """Mean ± sd over the seeds of each system, and its speed beside chemprop's."""

    def column(system: str, name: str) -> np.ndarray:
        return np.array([row[name] for row in rows if row["row"] == system])

    def told(values: np.ndarray, digits: int) -> str:
        sd = values.std(ddof=1) if len(values) > 1 else math.nan
        return f"{values.mean():.{digits}f} ± {sd:.{digits}f}"

    speeds = ("molecules_per_second", "molecules_per_cpu_second")
    print(f"{'system':<12}{'molecules/s':>16}{'× chemprop':>12}{'per CPU s':>16}{'× chemprop':>12}{'RMSE':>18}")
    for system in sorted({row["row"] for row in rows}):
        line = f"{system:<12}"
        for speed in speeds:
            beside = column("chemprop", speed)
            factor = column(system, speed).mean() / beside.mean() if len(beside) else math.nan
            line += f"{told(column(system, speed), 0):>16}{factor:>12.1f}"
        print(line + f"{told(column(system, 'rmse'), 3):>18}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("TETRAMER_DATA", "data")) / "moleculenet" / "Lipophilicity.csv"
    parser.add_argument("--table", type=Path, default=default)
    parser.add_argument("--chemprop", type=Path, help="the Python of an environment that has chemprop")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", nargs="*", default=["fp32", "bf16"])
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    asked = parser.parse_args()

    table = columns(asked.table)
    reading = read([row["smiles"] for row in table], ["graph"])
    values = np.array([[float(row["exp"])] for row in table])
    data = Data(reading.features, values, np.zeros(values.shape, np.int8), np.ones(len(values)))
    split = make("random", reading.smiles, seed=0)
    rows = []
    for seed in range(asked.seeds):
        runs = {f"graph-{p}": partial(ours, data, split, asked.epochs, p, seed) for p in asked.precision}
        if asked.chemprop:
            runs["chemprop"] = partial(theirs, asked.chemprop, asked.table, split, asked.epochs, seed)
        for name, run in runs.items():
            about = {"study": "train-lipophilicity", "row": name, "seed": seed, "epochs": asked.epochs, "batch": BATCH}
            rows.append({**about, **run(), "threads": 1, "split": split.sha256, "machine": machine()})
            keep(rows[-1], asked.output)
    show(rows)


if __name__ == "__main__":
    main()

"""Predict ZINC molecules from SMILES: tetramer beside chemprop, whole process and steady state, in one run.

    python benchmarks/predict_zinc.py --chemprop CHEMPROP_ENV/bin/chemprop [--rows 20000] [--precision fp32]

Both models are trained for three epochs on Lipophilicity (their weights do not matter here), at the same size. Whole
process: the command line from start to end on all cores, the better of chemprop's `-n 0` and `-n 2` counts. Steady
state: one core (taskset) and one thread each, the slope between the whole input and a quarter of it, so that start and
imports cancel. Rounds take turns; the median counts.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from tetramer.datasets import sources

THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def seconds(command: list[str], one_core: bool) -> float:
    """Wall time of a command; its output is shown only if it fails."""
    pin = ["taskset", "-c", "0"] if one_core and shutil.which("taskset") else []
    env = os.environ | (THREADS if one_core else {})
    start = perf_counter()
    done = subprocess.run([*pin, *command], env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return perf_counter() - start


def train(folder: Path, chemprop: str, precision: str) -> tuple[Path, Path]:
    """Three epochs each of the two networks."""
    (data,) = sources.fetch("lipophilicity")
    ours, theirs = folder / "ours", folder / "theirs"
    us = [sys.executable, "-m", "tetramer.cli", "train", str(data), "--target", "exp", "--recipe", "graph"]
    settings = ["--set", "training.epochs=3", "--set", f"training.precision={precision}"]
    seconds([*us, *settings, "--output", str(ours)], False)
    them = [chemprop, "train", "-i", str(data), "--smiles-columns", "smiles", "--target-columns", "exp"]
    seconds([*them, "--epochs", "3", "-o", str(theirs)], False)
    return ours, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chemprop", required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "results" / "benchmarks")
    asked = parser.parse_args()
    smiles = sources.load("zinc250k").texts[: asked.rows]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = {}
        for share in (1, 4):
            inputs[share] = folder / f"zinc-{share}.csv"
            inputs[share].write_text("\n".join(["smiles", *smiles[: len(smiles) // share]]) + "\n")
        ours, theirs = train(folder, asked.chemprop, asked.precision)

        def us(share: int, *more: str) -> list[str]:
            output = str(folder / "ours.csv")
            return [sys.executable, "-m", "tetramer.cli", "predict", str(ours), str(inputs[share]), "-o", output, *more]

        def them(share: int, workers: int) -> list[str]:
            base = [asked.chemprop, "predict", "-i", str(inputs[share]), "--smiles-columns", "smiles"]
            return [*base, "--model-paths", str(theirs), "-o", str(folder / "theirs.csv"), "-n", str(workers)]

        whole: dict[str, list[float]] = {"tetramer": [], "chemprop -n 0": [], "chemprop -n 2": []}
        steady: dict[str, list[float]] = {"tetramer": [], "chemprop": []}
        for _ in range(asked.rounds):
            whole["tetramer"].append(seconds(us(1), False))
            whole["chemprop -n 0"].append(seconds(them(1, 0), False))
            whole["chemprop -n 2"].append(seconds(them(1, 2), False))
            rows = len(smiles) - len(smiles) // 4
            steady["tetramer"].append(
                rows / (seconds(us(1, "--workers", "0"), True) - seconds(us(4, "--workers", "0"), True))
            )
            steady["chemprop"].append(rows / (seconds(them(1, 0), True) - seconds(them(4, 0), True)))
    middle = {name: statistics.median(times) for name, times in whole.items()}
    rate = {name: statistics.median(rates) for name, rates in steady.items()}
    best = min(middle["chemprop -n 0"], middle["chemprop -n 2"])
    out = {
        "rows": len(smiles),
        "precision": asked.precision,
        "whole_process_seconds": whole,
        "whole_process_ratio": best / middle["tetramer"],
        "steady_molecules_per_second_one_core": steady,
        "steady_ratio": rate["tetramer"] / rate["chemprop"],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / f"predict-zinc-{asked.precision}.json").write_text(json.dumps(out, indent=1) + "\n")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()

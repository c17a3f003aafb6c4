"""Predict 1,000,000 rows: memory of the process tree over time, rows a second, and identity after ten kills.

    python benchmarks/predict_million.py MODEL [--rows 1000000] [--kills 10]

The rows are ZINC molecules repeated in order, with one unreadable text in every thousand. Memory is the sum of the
resident sets of the process and its children, sampled each second (shared pages are counted in each). "Flat" is the
slope of a line through the second half of the samples.
"""

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import psutil

from tetramer.datasets import sources


def resident(process: psutil.Process) -> float:
    """MB of the whole tree; a process that has just ended counts nothing."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def run(command: list[str], kill_after: float | None = None) -> tuple[int, list[float], float]:
    """Exit code, memory samples, seconds."""
    start, samples = perf_counter(), []
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while child.poll() is None:
        sleep(1 if kill_after is None else 0.2)
        try:
            samples.append(resident(psutil.Process(child.pid)))
        except psutil.NoSuchProcess:
            break
        if kill_after is not None and perf_counter() - start > kill_after:
            child.send_signal(signal.SIGKILL)
    return child.wait(), samples, perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "results" / "benchmarks")
    asked = parser.parse_args()
    smiles = sources.load("zinc250k").texts
    with tempfile.TemporaryDirectory() as name:
        table, clean, broken = (Path(name) / file for file in ("in.csv", "clean.csv", "broken.csv"))
        with table.open("w") as file:
            file.write("smiles\n")
            file.writelines(f"{smiles[i % len(smiles)] if i % 1000 else 'C1CC'}\n" for i in range(asked.rows))
        command = [sys.executable, "-m", "tetramer.cli", "predict", str(asked.model), str(table), "--output"]
        code, samples, seconds = run([*command, str(clean)])
        assert code == 0
        half = np.array(samples[len(samples) // 2 :])
        slope = float(np.polyfit(np.arange(len(half)), half, 1)[0]) if len(half) > 2 else 0.0
        moments, kills = random.Random(0), 0
        while True:
            late = moments.uniform(2, seconds / asked.kills) if kills < asked.kills else None
            code, _, _ = run([*command, str(broken)], late)
            if code == 0:
                break
            kills += 1
        same = hashlib.sha256(clean.read_bytes()).digest() == hashlib.sha256(broken.read_bytes()).digest()
    out = {
        "rows": asked.rows,
        "seconds": round(seconds, 1),
        "rows_per_second": round(asked.rows / seconds),
        "peak_mb": round(max(samples)),
        "slope_mb_per_minute": round(60 * slope, 2),
        "kills": kills,
        "identical_after_kills": same,
    }
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "predict-million.json").write_text(json.dumps(out, indent=1) + "\n")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()

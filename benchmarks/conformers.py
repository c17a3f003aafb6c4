"""Conformers of ChEMBL molecules: how many a second on one core and on two, the slowest one, and how they end.

    python benchmarks/conformers.py [--rows 2000] [--count 1] [--rounds 1]

Every 39th molecule of the ChEMBL set is read in the conformer view, by one worker and by two, in turn; both must give
the same bytes. The seconds of the slowest molecules are those of the processor, molecule by molecule in this process.
Beside them, the rate at which given geometries are read: QM9 as XYZ text with SMILES, QM7 without.
"""

import argparse
import json
import os
import platform
from collections import Counter
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from tetramer.datasets import sources
from tetramer.datasets.placed import placed
from tetramer.molecules import Limits, Molecule, parse
from tetramer.molecules.conformers import MAKER, generate
from tetramer.views.base import to_bytes
from tetramer.views.conformer import ConformerSettings
from tetramer.views.read import Reader

os.environ["TETRAMER_CONFORMERS"] = "off"  # what was made before is no measurement
CHUNK = 32  # molecules in a request, as `tetramer conformers` asks for them


def reading(smiles: list[str], workers: int, count: int) -> tuple[float, list[bytes]]:
    """Seconds of reading all, and what came of it; the workers' start is not counted."""
    settings = {"conformer": ConformerSettings(count)}
    with Reader(limits=Limits(workers), settings=settings) as reader:
        list(reader.stream(["C"] * 2 * workers, ["conformer"], 1))
        start = perf_counter()
        told = [to_bytes(one.features["conformer"]) for one in reader.stream(smiles, ["conformer"], CHUNK)]
        return perf_counter() - start, told


def one_by_one(smiles: list[str], count: int) -> tuple[Counter[str], list[tuple[float, str]]]:
    """How the rows end, and the seconds of each molecule, the slowest first."""
    ends, times = Counter[str](), []
    for text in smiles:
        start, one = process_time(), parse(text)
        end = generate(one, count, True).note or "ok" if isinstance(one, Molecule) else one.code
        ends[end] += 1
        times.append((process_time() - start, text))
    return ends, sorted(times, reverse=True)


def given(name: str, rows: int) -> dict[str, float]:
    """How many geometries of a data set are read as molecules, and how many a second."""
    table = sources.load(name)
    made = placed(replace(table, data=table.data.take(np.arange(0, len(table), max(1, len(table) // rows)))))
    start = process_time()
    told = [parse(text) for text in made]
    seconds = process_time() - start
    good = sum(isinstance(one, Molecule) and one.geometry is not None for one in told)
    return {"rows": len(told), "read": good, "a_second": len(told) / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "results" / "benchmarks")
    asked = parser.parse_args()
    smiles = sources.load("chembl-78k").texts[::39][: asked.rows]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    same = True
    for _ in range(asked.rounds):
        told = {}
        for workers, taken in seconds.items():
            spent, told[workers] = reading(smiles, workers, asked.count)
            taken.append(spent)
        same = same and told[1] == told[2]
    ends, times = one_by_one(smiles, asked.count)
    best = {workers: min(taken) for workers, taken in seconds.items()}
    out = {
        "rows": len(smiles),
        "count": asked.count,
        "seconds_one_worker": seconds[1],
        "seconds_two_workers": seconds[2],
        "molecules_a_second": {str(workers): len(smiles) / spent for workers, spent in best.items()},
        "ratio": best[1] / best[2],
        "same_bytes": same,
        "ends": dict(ends),
        "cpu_seconds": {"mean": float(np.mean([one for one, _ in times])), "slowest": times[:5]},
        "given": {name: given(name, 1_000) for name in ("qm9-xyz", "qm7-geometry")},
        "maker": MAKER,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / f"conformers-{asked.count}.json").write_text(json.dumps(out, indent=1) + "\n")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()

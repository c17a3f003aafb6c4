"""One row of a benchmark: a method learns from a split of a data set and is judged on the test part.

`python -m tetramer.benchmark.row` is the worker's side: jobs come in on standard input, one a line.
"""

import json
import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any

import numpy as np

from tetramer.benchmark import answers, rules
from tetramer.benchmark.cases import Case, Opened, opened
from tetramer.benchmark.methods import Given, Method, Told, method_of
from tetramer.checkpoint import config_hash, pack
from tetramer.datasets.placed import Form
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError
from tetramer.inference import LEVEL
from tetramer.metrics import METRICS, Score, evaluate, evaluate_all
from tetramer.modelling import versions
from tetramer.recipes import is_recipe, takes

MANY = 30  # targets; with more a row holds their mean alone


@dataclass(frozen=True)
class Row:
    """What is to be measured: `data` and `method` as a person names them."""

    method: str
    data: str
    split: str
    seed: int
    fit_rows: str  # train or train+valid, and behind a colon how many of these rows


@dataclass(frozen=True)
class Settings:
    """What all rows of a benchmark share."""

    output: str
    targets: tuple[str, ...] = ()
    smiles: str | None = None
    split_column: str | None = None
    overrides: tuple[tuple[str, str], ...] = ()
    programs: tuple[tuple[str, str], ...] = ()  # peer → path of its command line
    workers: int | None = None
    starts: tuple[tuple[str, str], ...] = ()  # recipe → folder of weights that it begins with
    split_files: str | None = None  # folder of index files whose splits are taken as they are
    vectors: bool = False  # whether answers and vectors of the test rows are kept beside the rows

    def opened(self, data: str) -> Opened:
        """A data set before its structures are read."""
        return opened(data, self.targets, self.smiles, self.split_column)

    def case(self, data: str) -> Case:
        """A data set, read once into `output/features`."""
        return self.read(self.opened(data))

    def read(self, one: Opened) -> Case:
        """A data set that was opened, with its structures."""
        return one.read(self.features, given=one.given(self.split_files))

    @property
    def features(self) -> Path:
        """Where what was read of the structures lies."""
        return Path(self.output) / "features"

    @cache  # noqa: B019 (a model or a peer's version is looked up once; settings are few and live as long)
    def method(self, name: str, form: Form = "plain", panel: bool = False) -> Method:
        """A method with these settings."""
        return method_of(name, dict(self.programs), dict(self.overrides), dict(self.starts), form, panel)

    def taken(self, name: str) -> dict[str, str]:
        """Those of the overrides that mean something to a method."""
        return {key: text for key, text in self.overrides if is_recipe(name) and takes(name, key)}

    def place(self, row: Row, case_name: str) -> Path:
        """Where the row is kept."""
        split = f"{row.split}-{row.seed}-{row.fit_rows.replace(':', '-')}"
        return Path(self.output) / case_name / split / f"{plain_name(row.method)}.json"

    def workplace(self, row: Row, case: Case) -> Path:
        """Where the unfinished work of a row lies; blends of one split share it, and so fit what they share once."""
        place = self.place(row, case.name)
        folds = self.method(row.method, case.form, case.panel).folds
        name = f"{folds}-folds" if folds else place.stem
        return Path(self.output) / "running" / "-".join((case.name, place.parent.name, name))

    def beside(self, place: Path) -> Path:
        """Where answers and vectors of the row at `place` are kept: too large to stand among the rows."""
        return Path(self.output) / "vectors" / place.relative_to(self.output).with_suffix(".safetensors")


def plain_name(method: str) -> str:
    """A method's name as a file can have it: of a model's folder the last part, and what keeps it apart from others."""
    _, colon, path = method.partition(":")
    if not colon:
        return method
    last = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"probe-{last}-{config_hash(path)[:6]}"


def measure(row: Row, case: Case, settings: Settings) -> dict[str, Any]:
    """The finished row. The method never sees a test label; a UserError of its becomes `refused`."""
    split, method = rules.make(case, row.split, row.seed), settings.method(row.method, case.form, case.panel)
    parts, _, few = row.fit_rows.partition(":")
    if few:
        split = rules.cut(split, parts, int(few), row.seed)
    place, folder = settings.place(row, case.name), settings.workplace(row, case)
    start, refused = monotonic(), None
    try:
        told = method.run(Given(case.without(split.test), split, row.seed, parts, folder, settings.workers))
    except UserError as error:
        told, refused = nothing(case, split.test), str(error)
    seconds = monotonic() - start
    scores, labels = judged(case, split.test, told.values), case.assay.labels
    tested = labels.values[split.test], labels.censor[split.test], told.values
    out = {
        "method": row.method,
        "about": method.about,
        "data": case.name,
        "data_sha256": case.sha256,
        "source": case.source,
        "task": case.assay.task,
        "metric": case.metric,
        "split": row.split,
        "class": rules.class_of(row.split),
        "seed": row.seed,
        "fit_rows": row.fit_rows,
        "split_sha256": split.sha256,
        "sizes": split.sizes,
        "fitted_on": told.fitted_on,
        "tested_on": len(split.test),
        "config_sha256": method.sha256,
        "overrides": settings.taken(row.method),
        "scores": {name: score.value for name, score in scores.items()},
        "each": each(scores[case.metric], labels.names),
        "undefined": {name: score.reason for name, score in scores.items() if score.value is None},
        "skipped": {name: score.skipped for name, score in scores.items() if score.skipped},
        "unanswered": max(score.unanswered for score in scores.values()),
        "cells": answers.cells(*tested, scores),
        "refused": refused,
        "members": {name: values_of(judged(case, split.test, one)) for name, one in told.members.items()},
        "weights": told.weights,
        "parameters": told.parameters,
        "interval": intervals(case, split.test, told),
        "cost": {"seconds": round(seconds, 1), "machine": machine(), "versions": versions()},
    }
    if refused is None:
        texts = [case.reading.smiles[row] for row in split.test.tolist()]
        write_whole(answers.beside(place), answers.packed(split.test, texts, *tested))
    if settings.vectors:
        write_whole(settings.beside(place), packed(split.test, told))
    return out


def each(score: Score, names: Sequence[str]) -> dict[str, float | None]:
    """Target → its first metric, where these are several and a reader can take them in."""
    return {name: one.value for name, one in zip(names, score.each, strict=True)} if 1 < len(names) <= MANY else {}


def packed(rows: np.ndarray, told: Told) -> bytes:
    """A safetensors file: `rows` (m,), `values` (m, T, K), and what else of `Told` has a value."""
    vectors = None if told.vectors is None else told.vectors.astype(np.float32)
    arrays = {"rows": rows, "values": told.values, "vectors": vectors, "held": told.held}
    arrays["held_values"] = told.held_values
    return pack({name: array for name, array in arrays.items() if array is not None})


def nothing(case: Case, rows: np.ndarray) -> Told:
    """No answer for any row."""
    return Told(np.full((len(rows), len(case.assay.labels.names), case.outputs), np.nan), 0)


def judged(case: Case, rows: np.ndarray, told: np.ndarray) -> dict[str, Score]:
    """Every metric of the task, the mean over targets. told: (m, T, K)"""
    labels, flat = case.assay.labels, told if case.outputs > 1 else told[:, :, 0]
    return {
        name: evaluate_all(name, labels.values[rows], flat, labels.names, labels.censor[rows])[0]
        for name, metric in METRICS.items()
        if case.assay.task in metric.tasks
    }


def values_of(scores: dict[str, Score]) -> dict[str, float | None]:
    """The numbers alone."""
    return {name: score.value for name, score in scores.items()}


def intervals(case: Case, rows: np.ndarray, told: Told) -> dict[str, float | None] | None:
    """How the 90 % intervals did over all labels: share inside, mean width, rank correlation of width and error.

    Widths of several targets are taken in units of their own mean.
    """
    if told.low is None or told.high is None:
        return None
    truth = np.where(case.assay.labels.censor[rows] == 0, case.assay.labels.values[rows], np.nan)
    known = np.isfinite(truth) & np.isfinite(told.low) & np.isfinite(told.high)
    if known.sum() < 2:
        return None
    width, error = told.high - told.low, np.abs(truth - told.values[:, :, 0])
    mean = np.where(known, width, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    share = width / np.where(mean > 0, mean, 1)
    return {
        "level": LEVEL,
        "coverage": float(((told.low <= truth) & (truth <= told.high))[known].mean()),
        "width": float(width[known].mean()),
        "rank_correlation": evaluate("spearman", error[known], share[known]).value,
    }


def machine() -> str:
    """Processor family, system and cores: enough to read a number of seconds by."""
    return f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores"


def main() -> int:
    """A worker's life: {"settings", "rows"} on the first line; a line out for every row that is on the disk."""
    jobs: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(line)
        os._exit(1)  # whoever gave the rows is gone; what is done is on the disk

    threading.Thread(target=listen, daemon=True).start()
    job = json.loads(jobs.get())
    told = job["settings"]
    pairs = {name: tuple(map(tuple, told[name])) for name in ("overrides", "programs", "starts")}
    settings = Settings(**(told | pairs | {"targets": tuple(told["targets"])}))
    work(settings, [Row(**row) for row in job["rows"]], lambda place: print(json.dumps(place), flush=True))
    return 0


def work(settings: Settings, rows: list[Row], done: Callable[[str], None]) -> None:
    """Measure rows of one data set and write each when it is finished."""
    case = settings.case(rows[0].data)
    folders = [settings.workplace(row, case) for row in rows]
    for number, row in enumerate(rows):
        place = settings.place(row, case.name)
        write_whole(place, json.dumps(measure(row, case, settings), indent=1).encode() + b"\n")
        if folders[number] not in folders[number + 1 :]:
            shutil.rmtree(folders[number], ignore_errors=True)
        done(str(place))


def as_job(settings: Settings, rows: list[Row]) -> str:
    """The line that `main` reads."""
    return json.dumps({"settings": asdict(settings), "rows": [asdict(row) for row in rows]}) + "\n"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the listening thread holds standard input

"""Methods × data sets × splits × seeds → finished rows, one file each; what is there is not run again.

    OUTPUT/DATA/SPLIT-SEED-FITROWS/METHOD.json   a row, and beside it METHOD.answers.npz, its answers
    OUTPUT/DATA/splits.json                      sizes, hashes and leaks of its splits
    OUTPUT/features, OUTPUT/running              what was read of the structures, unfinished work
    OUTPUT/vectors/DATA/…/METHOD.safetensors     answers and vectors of the test rows, where they are asked for

A run that is killed goes on when the same command is given again, and ends with the same rows, but for `cost`.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tetramer.benchmark import answers, external, plain, rules
from tetramer.benchmark.agreement import check_metric
from tetramer.benchmark.cases import Case
from tetramer.benchmark.methods import MEMBERS, PROBE
from tetramer.benchmark.row import Row, Settings, as_job
from tetramer.errors import UserError
from tetramer.molecules.pool import environment
from tetramer.recipes import is_recipe, resolve, takes

FIT_ROWS = re.compile(r"train(\+valid)?(:[1-9][0-9]*)?")
ROWS = "*/*-*-*/*.json"  # the rows in an output folder
HELD = {"method", "data", "split", "seed", "fit_rows", "scores", "refused", "config_sha256", "split_sha256"}


@dataclass(frozen=True)
class Protocol:
    """What is compared with what. Everything is fixed before a test part is opened."""

    methods: Sequence[str]
    data: Sequence[str]
    splits: Sequence[str] = ("scaffold-balanced",)
    repeats: int = 10
    fit_rows: Sequence[str] = ("train+valid",)
    seeds: int = 1  # training seeds of a split that has no seeds, for methods that draw
    metric: str | None = None  # what is compared; None: that of the data set

    def __post_init__(self) -> None:
        for what, names in (("method", self.methods), ("data set", self.data), ("split", self.splits)):
            if not names:
                raise UserError(f"Name at least one {what}.")
        if not 1 <= self.repeats <= 1000:
            raise UserError(f"--repeats {self.repeats} is out of range. Choose 1 to 1000; 10 is usual.")
        if not 1 <= self.seeds <= 1000:
            raise UserError(f"--seeds {self.seeds} is out of range. Choose 1 to 1000; 3 is usual.")
        wrong = [rows for rows in self.fit_rows if not FIT_ROWS.fullmatch(rows)]
        if wrong or not self.fit_rows:
            raise UserError(
                f"--fit-rows {', '.join(wrong) or 'nothing'} is not known. Choose train or train+valid, with :1000 "
                "behind it for so many of these rows."
            )

    def rows(self, data: str) -> list[Row]:
        """All rows of one data set, cheap methods first."""
        return [
            Row(method, data, split, seed, fit_rows)
            for split in rules.resolve(self.splits)
            for fit_rows in self.fit_rows
            for method in sorted(dict.fromkeys(self.methods), key=lambda name: not cheap(name))
            for seed in self._seeds(method, split)
        ]

    def _seeds(self, method: str, split: str) -> range:
        fixed = rules.seeds_of(split, 2) == range(1)
        return range(self.seeds) if fixed and draws(method) else rules.seeds_of(split, self.repeats)


def cheap(method: str) -> bool:
    """Whether many rows of a method are done by one process."""
    return method in plain.PLAIN or method in MEMBERS or method.startswith(PROBE)


def draws(method: str) -> bool:
    """Whether another seed makes another fit; free baselines and linear heads have one."""
    return method not in plain.PLAIN and not method.startswith(PROBE)


def run(
    protocol: Protocol,
    settings: Settings,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[str, float], None] = lambda name, share: None,
) -> list[str]:
    """Measure what is missing. → sentences on rows that could not be finished; the others are not held up by them."""
    for method in protocol.methods:
        settings.method(method)  # a wrong name is told before the work
    recipes = [name for name in protocol.methods if is_recipe(name)] or ["auto"]
    for name in dict(settings.starts):
        if name not in recipes:
            raise UserError(f"--from {name}=… names a recipe that is not measured. Measured are: {', '.join(recipes)}.")
    for key, value in settings.overrides:
        if not any(takes(name, key) for name in recipes):
            resolve(recipes[0], {key: value})  # raises
    failed: list[str] = []
    opened = {data: settings.opened(data) for data in protocol.data}  # one that is not there is told before the work
    if protocol.metric:
        check_metric(protocol.metric, [one.assay.task for one in opened.values()])
    for one in opened.values():
        rules.check_column(protocol.splits, one.assay.keys, settings.split_column)
    for data, one in opened.items():
        case = settings.read(one)
        rows, notes = protocol.rows(data), Path(settings.output) / case.name / "splits.json"
        known = rules.noted(notes)
        missing = [row for row in rows if not done(row, case, settings, known)]  # refuses before anything is noted
        for rule in rules.resolve(protocol.splits):
            rules.note(case, rule, protocol.repeats, notes, check=bool(missing))
            rules.check_rows(protocol.fit_rows, rule, notes)
            shared = rules.leaks_told(Path(settings.output))[case.name][rule]
            say(f"{case.name}, {rule}: test rows that also stand in train or valid by {shared}.")
        if len(missing) < len(rows):
            say(f"{case.name}: {len(rows) - len(missing)} of {len(rows)} rows are there already.")
        progress(case.name, 1 - len(missing) / len(rows))
        left = len(missing)
        for batch in batches(missing, settings):
            for _ in finished(batch, settings, failed):
                left -= 1
                progress(case.name, 1 - left / len(rows))
    return failed


def done(row: Row, case: Case, settings: Settings, known: Mapping[tuple[str, int], str]) -> bool:
    """Whether the row is there. A refusal is tried again.

    UserError if it was made of other data, other settings or another split than that of `known` (`rules.noted`).
    """
    place = settings.place(row, case.name)
    if not place.is_file():
        return False
    told = read(place)
    check_split(told, place, known)
    wanted = {"data_sha256": case.sha256, "config_sha256": settings.method(row.method, case.form, case.panel).sha256}
    other = [name.removesuffix("_sha256") for name, value in wanted.items() if told[name] != value]
    if other:
        what = {"data": "other data", "config": f"other settings of {row.method}"}[other[0]]
        raise UserError(
            f"{place} was made with {what}. Choose another --output, or remove that file to measure it again."
        )
    return told["refused"] is None


def check_split(told: Mapping[str, Any], place: Path, known: Mapping[tuple[str, int], str]) -> None:
    """UserError for a row whose split is not the one that is noted; one of fewer rows has a split of its own."""
    seed = told["seed"] if len(rules.seeds_of(told["split"], 2)) > 1 else 0  # else it is of the training
    noted = known.get((told["split"], seed), told["split_sha256"])
    if noted != told["split_sha256"] and ":" not in told["fit_rows"]:
        raise UserError(
            f"{place} was measured on another split ({told['split_sha256'][:12]}) than the one noted in splits.json "
            f"({noted[:12]}). Remove that file to measure it again."
        )


def batches(rows: Sequence[Row], settings: Settings) -> list[list[Row]]:
    """Rows of cheap methods in one process, and blends of one split, which have members in common.

    Of others, one row a process: none inherits another's memory.
    """
    light = [row for row in rows if cheap(row.method)]
    heavy: dict[object, list[Row]] = {}
    for row in rows:
        if not cheap(row.method):
            shared = (row.split, row.seed, row.fit_rows) if settings.method(row.method).folds else row
            heavy.setdefault(shared, []).append(row)
    return [*([light] if light else []), *heavy.values()]


def finished(batch: list[Row], settings: Settings, failed: list[str]) -> Iterator[str]:
    """Run a worker on the rows; yields the place of each that is done.

    The row at which a worker ends too early is noted, and another worker goes on behind it.
    """
    count = 0
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            [sys.executable, "-m", "tetramer.benchmark.row"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            encoding="utf-8",
            env=environment(),
        ) as worker,
    ):
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(as_job(settings, batch))
            worker.stdin.flush()
            for line in worker.stdout:
                count += 1
                yield json.loads(line)
            code = worker.wait()
        finally:
            worker.kill()
        if code:
            row = batch[min(count, len(batch) - 1)]
            said.seek(0)
            failed.append(f"{row.method} on {row.data}, {row.split} {row.seed}: {external.last_line(said.read())}")
    if code and batch[count + 1 :]:
        yield from finished(batch[count + 1 :], settings, failed)


def read(path: Path) -> dict[str, Any]:
    """One row. UserError if the file is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a row of a benchmark ({error}). Remove it to measure it again.") from error
    if not isinstance(told, dict) or not told.keys() >= HELD:
        raise UserError(f"{path} is not a row of a benchmark. Remove it to measure it again.")
    return told


def load(output: Path) -> tuple[list[dict[str, Any]], dict[str, dict[str, float]]]:
    """All rows of a folder, and data set → rule → correlation of its splits, where it was noted."""
    places = sorted(output.glob(ROWS))
    rows = [answers.attached(read(path), path) for path in places]
    if not rows:
        raise UserError(f"{output} holds no rows of a benchmark.")
    notes = {path.parent: path for path in sorted(output.glob("*/splits.json"))}
    known = {folder: rules.noted(path) for folder, path in notes.items()}
    for row, place in zip(rows, places, strict=True):
        check_split(row, place, known.get(place.parents[1], {}))
    shared = {}
    for folder, path in notes.items():
        told = rules.notes(path).items()
        shared[folder.name] = {rule: float(one["correlation"]) for rule, one in told if "correlation" in one}
    return rows, shared

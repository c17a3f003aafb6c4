"""What every study is: sizes, encoders that are pretrained once, rows that are measured once, and how they are told."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from time import process_time
from typing import Any

from tetramer import pretraining
from tetramer.benchmark import protocol
from tetramer.benchmark.agreement import check
from tetramer.benchmark.comparison import SHORT
from tetramer.benchmark.methods import PROBE
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.row import Settings, machine
from tetramer.benchmark.standing import Overlaps
from tetramer.checkpoint import config_hash, read_folder
from tetramer.datasets.writing import locked, write_whole
from tetramer.errors import UserError, pick
from tetramer.modelling import versions
from tetramer.molecules import Limits

HEAD_ON = "linear head on "
PROBES = "probes"  # folder of the rows of a benchmark: frozen vectors
REFERENCE = "ecfp-linear"  # what they are held against
Say = Callable[[str], None]
Progress = Callable[[str, float], None]
Measure = Callable[[], dict[str, Any]]  # what a row says


@dataclass(frozen=True)
class Size:
    """How large a study is. `visits`: molecules that a network sees in training, over all epochs; 0: as published."""

    about: str
    rows: int | None  # molecules of the data set; None: all
    visits: int
    seeds: int
    corpus: int = 0  # molecules without labels, for what is pretrained


@dataclass(frozen=True)
class Asked:
    """What a person asks of a study; what is None is as the size has it."""

    output: Path
    size: str = "default"
    target: str | None = None
    splits: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    seeds: int | None = None
    workers: int | None = None
    rows: int | None = None  # rows to learn from, of those that are not tested; None: all
    measure: bool = True  # whether rows that are missing are measured; if not, only the page is drawn

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise UserError(f"--seeds {self.seeds} measures nothing. Choose 1 or more.")


@dataclass(frozen=True)
class Study:
    """`run` measures what is missing and draws the page; → sentences for a terminal, and of rows that failed."""

    about: str
    sizes: Mapping[str, Size]
    run: Callable[[Asked, Say, Progress], tuple[list[str], list[str]]]


def chosen(asked: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    """Those that are asked for, or all. UserError for a name that is not known."""
    for name in asked or ():
        pick(dict.fromkeys(known, True), name, what)
    return list(asked or known)


def short(method: str) -> str:
    """A linear head on an encoder, without the encoder's folder; any other method as it is."""
    return HEAD_ON + Path(method.removeprefix(PROBE)).name if method.startswith(PROBE) else method


def pretrained(
    folder: Path, texts: Sequence[str], corpus: str, options: pretraining.Options, say: Say, progress: Progress
) -> Path:
    """`folder` with the encoder in it, made if it is not there; a killed run goes on from what lies beside it.

    UserError for an encoder that was made with other settings or from other texts.
    """
    if folder.is_dir():
        card = read_folder(folder)[0]
        told = made_of(card.get("overrides", {}), card["corpus"]["rows"], card["corpus"]["sha256"])
        wanted = made_of(options.overrides, len(texts), config_hash(list(texts)))
        if told != wanted:
            raise UserError(
                f"{folder} was made with {told}, not with {wanted}. Choose another --output, or remove that "
                "folder to make it again."
            )
        return folder
    say(f"Pretraining {folder.name} on {len(texts):,} rows of {corpus}.")
    parts = folder.with_name(f"{folder.name}.parts")
    pretraining.pretrain(texts, corpus, options, parts, progress, say).save(folder)
    shutil.rmtree(parts, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class Model:
    """An encoder that a study pretrains; `overrides` are those of `tetramer pretrain METHOD`."""

    method: str
    overrides: dict[str, str] = field(default_factory=dict)
    about: str = ""
    reduced: dict[str, str] = field(default_factory=dict)  # but at the size "paper"
    fresh: bool = False  # whether it keeps the weights that it was drawn with


@dataclass(frozen=True, kw_only=True)
class Reach(Size):
    """A size of a study that asks its encoders also for properties."""

    probed: tuple[str, ...] = ("bbbp", "bace", "tox21", "clintox")  # all targets of each
    repeats: int = 20  # random splits of these
    overrides: dict[str, str] = field(default_factory=dict)  # for every encoder


@dataclass(frozen=True)
class Measurement:
    """One part of a study. ask: what it looks at, a method, its encoder if it has one → what a row says"""

    ask: Callable[[Any, str, Path | None], dict[str, Any]]
    free: tuple[str, ...] = ()  # methods that have no encoder
    learned: tuple[str, ...] | None = None  # encoders that are asked; None: all


@dataclass(frozen=True)
class Encoders:
    """The encoders of a study; each is pretrained once a seed and lies under OUTPUT/encoders."""

    asked: Asked
    models: Mapping[str, Model]
    overrides: dict[str, str]  # of the size, for all
    corpus: str  # its name
    texts: Callable[[], Sequence[str]]
    say: Say
    progress: Progress

    def made(self, name: str, seed: int) -> Path:
        """The folder of one, made if it is not there."""
        folder, model = self.asked.output / "encoders" / f"{name}-{seed}", self.models[name]
        overrides = model.overrides | (model.reduced if self.asked.size != "paper" else {}) | self.overrides
        limits = Limits(self.asked.workers)
        options = pretraining.Options(model.method, overrides, seed, limits=limits, fresh=model.fresh)
        return pretrained(folder, self.texts(), self.corpus, options, self.say, self.progress)

    def heads(self, names: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """Linear heads on their frozen vectors, as methods of a benchmark."""
        return [f"{PROBE}{self.made(name, seed)}" for seed in seeds for name in names]


def made_of(overrides: Mapping[str, str], rows: int, sha256: str) -> str:
    """What an encoder comes from, in words that differ where that differs."""
    settings = ", ".join(f"{name}={value}" for name, value in sorted(overrides.items()))
    return f"{settings or 'no settings'} from {rows:,} rows ({sha256[:SHORT]})"


@dataclass(frozen=True)
class Rows:
    """Rows of a study, one file each: OUTPUT/TASK/METHOD-SEED.json. What is there is not measured again."""

    study: str
    output: Path
    size: str = ""  # of SIZES of the study; "": rows are only read
    frozen: str = PROBES  # folder of the rows of frozen vectors

    def done(self, task: str, method: str, seed: int) -> bool:
        """Whether a row is there. UserError if it was measured at another size."""
        place = self.place(task, method, seed)
        if not place.is_file():
            return False
        other = json.loads(place.read_bytes()).get("size", "of an older version")
        if other != self.size:
            raise UserError(
                f"{place} was measured at the size {other!r}, not {self.size!r}. Choose another --output, or remove "
                "that file to measure it again."
            )
        return True

    def place(self, task: str, method: str, seed: int) -> Path:
        """Where it is kept."""
        return self.output / task / f"{method}-{seed}.json"

    def keep(self, task: str, method: str, seed: int, measure: Measure, progress: Progress) -> None:
        """Measure one unless it is there."""
        if not self.done(task, method, seed):
            progress(f"{task}, {method}", 0.0)
            began = process_time()
            head = {"study": self.study, "task": task, "method": method, "seed": seed, "size": self.size}
            told = head | measure()
            told |= {"cpu_seconds": round(process_time() - began, 1), "machine": machine(), "versions": versions()}
            write_whole(self.place(task, method, seed), json.dumps(told, indent=1).encode() + b"\n")
            progress(f"{task}, {method}", 1.0)

    def told(self, tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
        """All that are finished."""
        for task in tasks:
            for path in sorted((self.output / task).glob("*.json")):
                yield json.loads(path.read_text(encoding="utf-8"))

    def probed(self) -> tuple[list[dict[str, Any]], Overlaps]:
        """Rows of frozen vectors on data sets, as those of a benchmark, and how much their splits overlap."""
        if not any((self.output / self.frozen).glob(protocol.ROWS)):
            return [], {}
        told, shared = protocol.load(self.output / self.frozen)
        check(told)
        return [row | {"method": short(row["method"])} for row in told], shared


@dataclass(frozen=True)
class Plan:
    """A study of encoders that it pretrains: what is asked of each, a row a file, and frozen vectors on data sets."""

    name: str
    sizes: Mapping[str, Reach]
    models: Mapping[str, Model]
    corpus: str  # name of what is learned from
    texts: Callable[[Reach], Sequence[str]]  # and its rows
    tasks: Mapping[str, Measurement]
    here: Callable[[Reach, Limits], object]  # what tasks look at
    draw: Callable[[Path, Mapping[str, str]], list[str]]  # the page; of the output, and what each model is
    beside: tuple[str, ...] = (REFERENCE,)  # methods of a benchmark beside the frozen vectors
    frozen: str = PROBES  # name and folder of the part that asks frozen vectors, each on the data sets of its size
    rule: str = "random"  # of the splits of these

    def run(self, asked: Asked, say: Say, progress: Progress) -> tuple[list[str], list[str]]:
        """Measure what is missing of the rows, then draw the page."""
        if asked.target or asked.rows:
            raise UserError(f"The study {self.name} has no target and no training rows. Leave out --target and --rows.")
        size = pick(self.sizes, asked.size, "size")
        parts = chosen(asked.splits, (*self.tasks, self.frozen, *size.probed), "part of the study")
        free = [name for task in self.tasks.values() for name in task.free]
        methods = chosen(asked.methods, [*dict.fromkeys([*free, *self.beside, *self.models])], "row of the study")
        failed: list[str] = []
        if asked.measure:
            texts = cache(partial(self.texts, size))
            encoders = Encoders(asked, self.models, size.overrides, self.corpus, texts, say, progress)
            with locked(asked.output):
                failed = self.measure(size, encoders, parts, methods)
        return self.draw(asked.output, {name: model.about for name, model in self.models.items()}), failed

    def measure(self, size: Reach, encoders: Encoders, parts: Sequence[str], methods: Sequence[str]) -> list[str]:
        """All rows that are missing. → sentences on those that could not be finished"""
        learned, seeds = [name for name in methods if name in self.models], range(encoders.asked.seeds or size.seeds)
        tasks = {name: task for name, task in self.tasks.items() if name in parts}
        due = [(task, name, 0) for task, one in tasks.items() for name in methods if name in one.free]
        due += [
            (task, name, seed)
            for seed in seeds
            for name in learned
            for task, one in tasks.items()
            if one.learned is None or name in one.learned
        ]
        beside = [name for name in self.beside if name in methods]
        sets = tuple(data for data in size.probed if {self.frozen, data}.intersection(parts) and (learned or beside))
        if not due and not sets:
            raise UserError(f"Nothing of {', '.join(parts)} is asked of {', '.join(methods)}. Name other --methods.")
        self.ask(size, encoders, due)
        if not sets:
            return []
        names = [*(beside or self.beside), *encoders.heads(learned, seeds)]
        settings = Settings(str(encoders.asked.output / self.frozen), workers=encoders.asked.workers)
        plan = Protocol(names, sets, (self.rule,), size.repeats, ("train",))
        return protocol.run(plan, settings, encoders.say, encoders.progress)

    def ask(self, size: Reach, encoders: Encoders, due: Sequence[tuple[str, str, int]]) -> None:
        """Measure the task, method and seed that are due, but for rows that are there."""
        asked = encoders.asked
        rows, here = Rows(self.name, asked.output, asked.size), self.here(size, Limits(asked.workers))
        for task, name, seed in due:
            if not rows.done(task, name, seed):
                folder = encoders.made(name, seed) if name in self.models else None
                rows.keep(task, name, seed, partial(self.tasks[task].ask, here, name, folder), encoders.progress)


def of_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of an encoder; one of an older version told no seconds."""
    names = ("corpus", "overrides", "steps", "training_seconds")
    return {name: card[name] for name in names if name in card} | {"encoder_sha256": card["sha256"]}

"""What every study is: sizes, rows that are measured once and kept, and a page drawn from the rows."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tetramer import pretraining
from tetramer.benchmark.methods import PROBE
from tetramer.benchmark.row import plain_name
from tetramer.errors import pick

HEAD_ON = "linear head on "


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
    measure: bool = True  # whether rows that are missing are measured; if not, only the page is drawn


@dataclass(frozen=True)
class Study:
    """`run` measures what is missing and draws the page; → sentences for a terminal, and of rows that failed."""

    about: str
    sizes: Mapping[str, Size]
    run: Callable[[Asked, Callable[[str], None], Callable[[str, float], None]], tuple[list[str], list[str]]]


def chosen(asked: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    """Those that are asked for, or all. UserError for a name that is not known."""
    for name in asked or ():
        pick(dict.fromkeys(known, True), name, what)
    return list(asked or known)


def short(method: str) -> str:
    """A linear head on an encoder, without the encoder's folder; any other method as it is."""
    return HEAD_ON + plain_name(method) if method.startswith(PROBE) else method


def pretrained(
    folder: Path,
    texts: Sequence[str],
    corpus: str,
    options: pretraining.Options,
    say: Callable[[str], None],
    progress: Callable[[str, float], None],
) -> Path:
    """`folder` with an encoder in it; a killed run goes on from what lies beside it."""
    say(f"Pretraining {folder.name} on {len(texts):,} rows of {corpus}.")
    parts = folder.with_name(f"{folder.name}.parts")
    pretraining.pretrain(texts, corpus, options, parts, progress, say).save(folder)
    shutil.rmtree(parts, ignore_errors=True)
    return folder

"""Fingerprint, SMILES, graph and conformer on QM9, alone and joined: a study of December 2023, done again.

Its networks as published (raw target, means of atoms, plain concatenation) stand beside ours, and both beside rows that
cost nothing. All rows are those of a benchmark; this file names them, `combining_page` shows what came out.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tetramer import pretraining
from tetramer.benchmark import protocol, rules
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.row import Settings
from tetramer.datasets.tables import read_table
from tetramer.datasets.writing import locked, write_table
from tetramer.errors import pick
from tetramer.molecules import Limits
from tetramer.recipes import JOINS
from tetramer.studies import combining_page, qm9
from tetramer.studies.base import Asked, Progress, Say, Size, Study, pretrained
from tetramer.studies.combining_rows import FIT_ROWS, Model
from tetramer.training import TrainConfig, epochs_of

FREE = ("mean", "atom-counts", "energy-2d", "energy-3d")
SPLITS = ("scaffold-mixed", "random")
LEARNED = 0.8  # of the rows of a table; a tenth chooses the weights, a tenth is tested
MOST = 1.25  # times the visits of a size, above which a quarter of a recipe's epochs is too many
SIZES = {
    "small": Size("2,000 molecules, one seed: shows the path, not the numbers", 2_000, 10_000, 1, 2_000),
    "brief": Size("all molecules, one seed, 100,000 visits: for many properties", None, 100_000, 1, 100_000),
    "default": Size("all molecules, 400,000 visits", None, 400_000, 3, 100_000),
    "long": Size("all molecules, one seed, 1,600,000 visits: four times the default", None, 1_600_000, 1, 100_000),
    "paper": Size("all molecules, 100 epochs of the published networks", None, 0, 3, 100_000),
}


MODELS = (
    Model("FP-MLP", "study001-fp-mlp", "fingerprint", 0.066),
    Model("LSTM", "study001-rnn", None),
    Model("LSTM fine-tuned", None, "lstm"),
    Model("transformer", None, "smiles"),
    Model("MPNN", "study001-mpnn", "graph", 0.0355279),
    Model("EGNN", "study001-egnn", "egnn", 0.0003417),
    Model("PaiNN", None, "conformer"),
    Model("MPNN + FP", "study001-mpnn-fp", "fingerprint+graph", 0.0502633),
    Model("EGNN + FP", "study001-egnn-fp", None, 0.0474757),
    Model("PaiNN + FP", None, "fingerprint+conformer"),
    Model("EGNN + MPNN", "study001-egnn-mpnn", None, 0.0276101),
    Model("PaiNN + MPNN", None, "graph+conformer"),
    *(Model(f"PaiNN + MPNN ({join})", None, f"graph+conformer-{join}") for join in JOINS),
    Model("MPNN + RNN", "study001-mpnn-rnn", None),
    Model("MPNN + transformer", None, "smiles+graph"),
)
# begin with an LSTM that has learned the next token
PRETRAINED = ("study001-rnn", "lstm", "study001-mpnn-rnn")
# pass every pair of atoms through three layers of 256, so they have a quarter of the visits of a size
SLOW = ("study001-egnn", "study001-egnn-fp", "study001-egnn-mpnn")


def methods() -> list[str]:
    """Every row of the table, free rows first, then ours, then the published ones."""
    own = [model.ours for model in MODELS if model.ours]
    return [*FREE, *own, *(model.published for model in MODELS if model.published)]


def run(asked: Asked, say: Say, progress: Progress) -> tuple[list[str], list[str]]:
    """Measure what is missing of the rows of one property or of all usual ones, then draw the page."""
    told: list[str] = []
    failed: list[str] = []
    for target in qm9.USUAL if asked.target == "usual" else [asked.target or "g298"]:
        lines, odd = of_property(asked, target, say, progress)
        told = told[:-1] + lines  # one page, whose place is the last line
        failed += odd
    return told, failed


def of_property(asked: Asked, target: str, say: Say, progress: Progress) -> tuple[list[str], list[str]]:
    """The rows of one property, and the page with it in front."""
    size = pick(SIZES, asked.size, "size")
    pick(qm9.TARGETS, target, "property of QM9")
    data = asked.output / "data" / f"qm9-{target}{f'-{size.rows}' if size.rows else ''}.parquet"
    given = f"{FIT_ROWS}:{asked.rows}" if asked.rows else FIT_ROWS
    failed: list[str] = []
    if asked.measure:
        with locked(asked.output):
            if not data.is_file():
                write_table(qm9.table(target, size.rows).data, data)
            learned = asked.rows or round(LEARNED * read_table(data).data.num_rows)
            seeds = asked.seeds or size.seeds  # of the random splits; of training on a split that has none
            plan = Protocol(asked.methods or methods(), [str(data)], asked.splits or SPLITS, seeds, (given,), seeds)
            settings = Settings(str(asked.output), (target,), workers=asked.workers, vectors=True)
            for slow, reach in ((False, size), (True, replace(size, visits=size.visits // 4))):
                if names := [name for name in plan.methods if (name in SLOW) == slow]:
                    own = replace(settings, overrides=budget(reach, learned))
                    failed += measure(asked, replace(plan, methods=names), own, size, say, progress)
    return combining_page.draw(asked.output, data, target, MODELS, FREE, given), failed


def budget(size: Size, learned: int) -> tuple[tuple[str, str], ...]:
    """How long networks learn from so many rows, as settings of all recipes.

    `visits` alone keeps a quarter of a recipe's epochs. Where those of a recipe of 100 epochs would be more than MOST
    times the visits of the size, the epochs are cut as well, so that a row of ours ends within an hour at `default`.
    The patience of the plateau schedule, 5 epochs of 100, is cut with them. Ours learn by the absolute error too, which
    is printed.
    """
    told: dict[str, object] = {"training.visits": size.visits, "head.loss": "mae"}
    if size.visits:
        epochs = 100
        if 25 * learned > MOST * size.visits:
            told["training.epochs"] = epochs = 4 * max(1, round(size.visits / learned))
        made = epochs_of(TrainConfig(epochs=epochs, visits=size.visits), learned)
        told["training.plateau"] = max(1, round(5 * made / 100))
    return tuple((name, str(value)) for name, value in told.items())


def improved(methods: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Settings by which those of ours average their weights, too, whose recipes do not, and the graph learns by Muon.

    As recipes these two are members of `auto` and stay as that was measured. Every molecule of QM9 has every view, so
    no network of several has to do without one.
    """
    told = {f"{name}.training.ema": "0.999" for name in ("fingerprint", "graph") if name in methods}
    if "graph" in methods:
        told["graph.training.optimizer"] = "muon"
    if any("+" in name for name in methods):
        told["encoder.absent"] = "0"
    return tuple(told.items())


def measure(asked: Asked, plan: Protocol, settings: Settings, size: Size, say: Say, progress: Progress) -> list[str]:
    """Rows that begin with nothing, then those that begin with an LSTM. → sentences on rows that were not finished"""
    begun = [name for name in plan.methods if name in PRETRAINED]
    plain = [name for name in plan.methods if name not in PRETRAINED]
    own = replace(settings, overrides=settings.overrides + improved(plain))
    failed = protocol.run(replace(plan, methods=plain), own, say, progress) if plain else []
    if not begun:
        return failed
    data, later = Path(plan.data[0]), replace(plan, methods=begun)
    due = [row for row in later.rows(str(data)) if not settings.place(row, data.stem).is_file()]
    folder = asked.output / f"smiles-lstm-{data.stem.removeprefix('qm9-')}"  # others of another table
    if due:
        options = pretraining.Options(overrides={"training.epochs": "5"}, limits=Limits(asked.workers))
        pretrained(folder, corpus(data, asked, settings, size), "QM9", options, say, progress)
    if folder.is_dir():
        starts = tuple((name, str(folder)) for name in begun)
        failed += protocol.run(later, replace(settings, starts=starts), say, progress)
    return failed


def corpus(data: Path, asked: Asked, settings: Settings, size: Size) -> list[str]:
    """SMILES for the LSTM: molecules of QM9 that are not in the table and, where these are too few, those of the table
    that no split tests."""
    (target,) = settings.targets
    texts = qm9.others(target, size.rows, size.corpus)
    if len(texts) < size.corpus:
        case = settings.case(str(data))
        seeds = max(asked.seeds or 0, size.seeds)
        splits = [
            rules.make(case, rule, seed)
            for rule in rules.resolve([*SPLITS, *(asked.splits or ())])
            for seed in rules.seeds_of(rule, seeds)
        ]
        tested = {case.reading.smiles[row] for split in splits for row in split.test.tolist()}
        free = [text for text in case.reading.smiles if text and text not in tested]
        order = np.random.Generator(np.random.Philox(2)).permutation(len(free))
        texts = texts + [free[place] for place in np.sort(order[: size.corpus - len(texts)]).tolist()]
    return texts


STUDY = Study("four views of a molecule and their fusions, on QM9", SIZES, run)

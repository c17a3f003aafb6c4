"""Fingerprint, SMILES, graph and conformer on QM9, alone and joined: a study of December 2023, done again.

Its networks as published (raw target, means of atoms, plain concatenation) stand beside ours, and both beside rows that
cost nothing. All rows are those of a benchmark; this file names them, `combining_page` shows what came out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tetramer import pretraining
from tetramer.benchmark import protocol
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.row import Settings
from tetramer.datasets.writing import locked, write_table
from tetramer.errors import pick
from tetramer.molecules import Limits
from tetramer.studies import combining_page, qm9
from tetramer.studies.base import Asked, Size, Study, pretrained

FREE = ("mean", "atom-counts", "energy-2d", "energy-3d")
SPLITS = ("scaffold", "random")
SIZES = {
    "small": Size("2,000 molecules, one seed: shows the path, not the numbers", 2_000, 40_000, 1, 2_000),
    "default": Size("all molecules, 400,000 visits", None, 400_000, 3, 20_000),
    "paper": Size("all molecules, 100 epochs of the published networks", None, 0, 3, 100_000),
}


@dataclass(frozen=True)
class Model:
    """One row of the study's table. `sigma` is the printed error in standard deviations of the target."""

    name: str
    published: str | None  # recipes
    ours: str
    sigma: float | None


MODELS = (
    Model("FP-MLP", "study001-fp-mlp", "fingerprint", 0.066),
    Model("SMILES", "study001-rnn", "smiles", None),
    Model("MPNN", "study001-mpnn", "graph", 0.0355279),
    Model("EGNN", "study001-egnn", "conformer", 0.0003417),
    Model("MPNN + FP", "study001-mpnn-fp", "fingerprint+graph", 0.0502633),
    Model("EGNN + FP", "study001-egnn-fp", "fingerprint+conformer", 0.0474757),
    Model("EGNN + MPNN", "study001-egnn-mpnn", "graph+conformer", 0.0276101),
    Model("MPNN + RNN", "study001-mpnn-rnn", "smiles+graph", None),
)
PRETRAINED = ("study001-rnn", "study001-mpnn-rnn")  # begin with an LSTM that has learned the next token


def methods() -> list[str]:
    """Every row of the table, free rows first, then ours, then the published ones."""
    return [*FREE, *(model.ours for model in MODELS), *(model.published for model in MODELS if model.published)]


def run(
    asked: Asked, say: Callable[[str], None], progress: Callable[[str, float], None]
) -> tuple[list[str], list[str]]:
    """Measure what is missing of the rows, then draw the page."""
    size, target = pick(SIZES, asked.size, "size"), asked.target or "g298"
    pick(qm9.TARGETS, target, "property of QM9")
    data = asked.output / "data" / f"qm9-{target}{f'-{size.rows}' if size.rows else ''}.parquet"
    failed: list[str] = []
    if asked.measure:
        if not data.is_file():
            write_table(qm9.table(target, size.rows).data, data)
        plan = Protocol(
            asked.methods or methods(), [str(data)], asked.splits or SPLITS, asked.seeds or size.seeds, own_seeds=True
        )
        settings = Settings(
            str(asked.output), (target,), overrides=(("training.visits", str(size.visits)),), workers=asked.workers,
            starts=language(asked, plan.methods, target, size, say, progress), vectors=True,
        )  # fmt: skip
        with locked(asked.output):
            failed = protocol.run(plan, settings, say, progress)
    return combining_page.draw(asked.output, data, target, MODELS, FREE), failed


def language(
    asked: Asked,
    measured: Sequence[str],
    target: str,
    size: Size,
    say: Callable[[str], None],
    progress: Callable[[str, float], None],
) -> tuple[tuple[str, str], ...]:
    """The LSTM that rows of PRETRAINED begin with, trained once on molecules of QM9 that the study does not measure."""
    wanted = [name for name in PRETRAINED if name in measured]
    folder = asked.output / f"smiles-lstm-{target}{f'-{size.rows}' if size.rows else ''}"  # others of another table
    if wanted and not folder.is_dir():
        texts = qm9.others(target, size.rows, size.corpus)
        options = pretraining.Options(overrides={"training.epochs": "5"}, limits=Limits(asked.workers))
        pretrained(folder, texts, "QM9", options, say, progress)
    return tuple((name, str(folder)) for name in wanted)


STUDY = Study("four views of a molecule and their fusions, on QM9", SIZES, run)

"""A SMILES transformer and how far its frozen vectors go with few labels (arXiv:1911.04738), done again.

Encoders are pretrained on molecules of ChEMBL, once a seed, and lie under `encoders` in the output. The table is data
efficiency: the mean score over learning from 1.25 % to 80 % of the rows, by a linear head on canonical SMILES. Its rows
are those of a benchmark, under `dem`. What an encoder writes that has learned the next token lies under `samples`.
"""

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from tetramer.benchmark import protocol
from tetramer.benchmark.cells import Cell
from tetramer.benchmark.comparison import SHORT, Section, of_efficiency
from tetramer.benchmark.efficiency import DEM, Efficiency
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.report import Table, laid_out, page
from tetramer.benchmark.row import Settings
from tetramer.benchmark.summary import Summary, aligned, summarise
from tetramer.datasets import sources
from tetramer.datasets.writing import locked, write_whole
from tetramer.errors import UserError, pick
from tetramer.generation import Options, generate, load_writer
from tetramer.molecules import Limits
from tetramer.studies.base import (
    REFERENCE,
    Asked,
    Encoders,
    Model,
    Progress,
    Reach,
    Rows,
    Say,
    Study,
    chosen,
    of_card,
    short,
)
from tetramer.studies.finished import encoder_of, made_with, over_seeds

FREE = ("mean", "characters-given", "characters-canonical", "ecfp-linear")
CORPUS = "chembl-78k"
MODELS = {
    "smiles-transformer": Model(
        "smiles-transformer",
        {"encoder.pooling": "published"},
        "ours: writes the canonical SMILES of another spelling, and learns masked tokens",
    ),
    "smiles-transformer-published": Model(
        "smiles-transformer-published",
        about="sizes, optimizer and task as published, with masks and places that are right",
    ),
    "smiles-lstm": Model("smiles-lstm", about="learns the next token"),
}
# Data set → RMSE or ROC-AUC, DEM with a linear head, as printed: SMILES Transformer, ECFP4, RNN seq2seq
PRINTED: dict[str, tuple[float, float, float]] = {
    "esol": (1.150, 1.678, 1.288),
    "freesolv": (2.452, 2.843, 2.881),
    "lipophilicity": (1.213, 1.174, 1.194),
    "hiv": (0.696, 0.727, 0.688),
    "bace": (0.715, 0.790, 0.727),
    "bbbp": (0.895, 0.825, 0.884),
    "tox21": (0.711, 0.710, 0.709),
    "clintox": (0.958, 0.704, 0.915),
}
SAMPLES, STRINGS = "samples", 10_000  # a part of the study, and how many strings are drawn
TEMPERATURES = {"smiles-lstm": (1.0, 0.8)}  # encoders that write, and how
SHARES = {"validity": "valid, %", "uniqueness": "of these different, %", "novelty": "of these new, %"}
AUTHORS = ("SMILES Transformer, printed", "ECFP4, printed", "RNN seq2seq, printed")


SETS = tuple(PRINTED)
SIZES = {
    "small": Reach(
        "2,000 molecules of ChEMBL and FreeSolv alone: shows the path, not the numbers", None, 0, 1, 2_000,
        probed=("freesolv",), repeats=2, overrides={"training.epochs": "1"},
    ),
    "default": Reach("all 78,000 molecules of ChEMBL, five splits a share", None, 0, 1, probed=SETS, repeats=5),
    "paper": Reach("the same, twenty splits a share", None, 0, 3, probed=SETS),
}  # fmt: skip


def run(asked: Asked, say: Say, progress: Progress) -> tuple[list[str], list[str]]:
    """Measure what is missing of the rows, then draw the page. `splits` of the request name data sets, or SAMPLES."""
    if asked.target or asked.rows:
        raise UserError(
            "The study smiles-transformer has no target and no --rows. Name data sets with --splits; their shares are "
            "learned from one by one."
        )
    size = pick(SIZES, asked.size, "size")
    parts = chosen(asked.splits, (*size.probed, SAMPLES), "part of the study")
    methods = chosen(asked.methods, (*FREE, *MODELS), "row of the study")
    failed: list[str] = []
    if asked.measure:
        with locked(asked.output):
            encoders = Encoders(
                asked,
                MODELS,
                size.overrides,
                CORPUS,
                lambda: sources.load(CORPUS).texts[: size.corpus or None],
                say,
                progress,
            )
            learned, seeds = [name for name in methods if name in MODELS], range(asked.seeds or size.seeds)
            sets = [part for part in parts if part != SAMPLES]
            if sets:
                names = [name for name in methods if name in FREE] + encoders.heads(learned, seeds)
                settings = Settings(str(asked.output / DEM), workers=asked.workers)
                failed = protocol.run(Protocol(names, sets, (DEM,), size.repeats, ("train",)), settings, say, progress)
            for name in learned if SAMPLES in parts else ():
                for seed, temperature in product(seeds, TEMPERATURES.get(name, ())):
                    ask = partial(sample, encoders, name, seed, temperature, min(STRINGS, size.corpus or STRINGS))
                    row = f"{name} at {temperature:g}"
                    Rows(NAME, asked.output, asked.size).keep(SAMPLES, row, seed, ask, progress)
    return draw(asked.output), failed


def sample(encoders: Encoders, name: str, seed: int, temperature: float, count: int) -> dict[str, Any]:
    """What becomes of `count` strings that an encoder writes, held against what it learned from."""
    writer = load_writer(encoders.made(name, seed))
    options = Options(count, temperature, seed)
    told = generate(writer, options, encoders.texts(), Limits(encoders.asked.workers), encoders.progress)
    return {"temperature": temperature, "numbers": told.summary()} | of_card(writer.card)


def samples(output: Path) -> Table | None:
    """Shares of the strings, a row an encoder and temperature; None where nothing was drawn."""
    told = [*Rows(NAME, output).told([SAMPLES])]
    if not told:
        return None
    body: list[list[Cell]] = []
    for method in dict.fromkeys(row["method"] for row in told):
        own = [row["numbers"] for row in told if row["method"] == method]
        shares = ([100 * one[share] for one in own if one[share] is not None] for share in SHARES)
        body.append([method, own[0]["strings"], *map(over_seeds, shares), len(own)])
    return Table("Strings that are written", ["encoder, temperature", "strings", *SHARES.values(), "seeds"], body)


def efficiency_of(told: Efficiency) -> dict[str, list[float]]:
    """Method → DEM, one number a seed of its encoder."""
    found: dict[str, list[float]] = {}
    for method, value in zip(told.methods, told.dem, strict=True):
        found.setdefault(encoder_of(method)[0], []).append(value)
    return found


def summary_of(output: Path) -> Summary:
    """All statistics of the rows. UserError without any."""
    told, shared = protocol.load(output / DEM)
    told = [row | {"method": short(row["method"])} for row in told]
    methods = {row["method"] for row in told}
    return summarise(told, shared, REFERENCE if REFERENCE in methods else min(methods))


def table(summary: Summary) -> Table:
    """The published table: a row a method, a column a data set."""
    sets = {one.data: efficiency_of(one) for one in summary.efficiencies}
    names = [name for name in (*FREE, *MODELS) if any(name in found for found in sets.values())]
    body: list[list[Cell]] = [[name, *(over_seeds(found.get(name, [])) for found in sets.values())] for name in names]
    printed = {name.replace(":", "-"): numbers for name, numbers in PRINTED.items()}
    body += [
        [author, *(printed[data][place] if data in printed else None for data in sets)]
        for place, author in enumerate(AUTHORS)
    ]
    return Table("DEM", ["method", *sets], body)


def draw(output: Path) -> list[str]:
    """Write `report.html` from the rows that are finished; → sentences for a terminal."""
    written, sections, lines = samples(output), list[Section](), list[str]()
    summary = None if written and not any((output / DEM).glob(protocol.ROWS)) else summary_of(output)
    if summary:
        shown = table(summary)
        sections += [Section("Data efficiency", "", [ABOUT], [laid_out(shown)], notes=NOTES)]
        sections += [of_efficiency(one) for one in summary.efficiencies]
        lines += ["Data efficiency, linear head:", *aligned(shown.header, shown.rows)]
    if written:
        sections += [Section("New molecules", "", [WRITTEN], [laid_out(written)])]
        lines += [f"{written.caption}:", *aligned(written.header, written.rows)]
    splits = {(one.data, one.setting.rule): one.splits for one in summary.tables} if summary else {}
    fields = {
        "said": SAID,
        "compared": laid_out(
            Table("Methods", ["method", "what it is"], [[name, model.about] for name, model in MODELS.items()])
        ),
        "sections": sections,
        "splits": [
            (f"{data}, {rule}", ", ".join(sha[:SHORT] for sha in shas.values()))
            for (data, rule), shas in splits.items()
        ],
        "made": [("Versions", "; ".join(summary.versions)), ("Machines", "; ".join(summary.machines))]
        if summary
        else made_with([*Rows(NAME, output).told([SAMPLES])]),
    }
    write_whole(output / "report.html", page("comparison.html", "tetramer study", TITLE, HEAD, fields).encode())
    return [*lines, f"Report: {output / 'report.html'}"]


NAME, TITLE = "smiles-transformer", "SMILES Transformer"
HEAD = "How far frozen vectors of SMILES networks go with few labels."
SAID = [
    "Every method has the same splits. A linear head (ridge or logistic regression) on standardised numbers.",
    "The original trained on 1.7 million molecules; ours learn from 78,000 or fewer, and see canonical SMILES alone.",
]
ABOUT = (
    "DEM is the mean over learning from 1.25, 2.5, 5, 10, 20, 40 and 80 % of the rows of the score on all others: RMSE "
    "of ESOL, FreeSolv and Lipophilicity, where lower is better, and ROC-AUC of the other sets, the mean over targets."
)
WRITTEN = (
    "Valid: RDKit reads it. Different: by canonical SMILES. New: not among what the encoder learned from. A "
    "temperature below 1 makes the likely more likely."
)
NOTES = [
    "The characters of a SMILES as given tell the labels of BBBP and ClinTox by how their files are written, which "
    "canonical SMILES do not; the printed numbers of these two contain it.",
]
STUDY = Study("a SMILES transformer, and how far its vectors go with few labels", SIZES, run)

"""A SMILES transformer and how far its frozen vectors go with few labels (arXiv:1911.04738), done again.

Encoders are pretrained on molecules of ChEMBL, once a seed, and lie under `encoders` in the output. The table is data
efficiency: the mean score over learning from 1.25 % to 80 % of the rows, by a linear head on canonical SMILES. Its rows
are those of a benchmark, under `dem`. What an encoder writes that has learned the next token lies under `samples`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from tetramer.benchmark.cells import Cell, Spread
from tetramer.benchmark.comparison import SHORT, Section
from tetramer.benchmark.efficiency import DEM, SHARES, Efficiency, efficiencies
from tetramer.benchmark.plain import PLAIN
from tetramer.benchmark.report import Table, laid_out, page
from tetramer.benchmark.summary import aligned
from tetramer.datasets import sources
from tetramer.generation import Options, generate, load_writer
from tetramer.molecules import Limits
from tetramer.studies.base import Measurement, Model, Plan, Reach, Study, of_card
from tetramer.studies.finished import Finished, encoder_of, over_seeds

NAME, TITLE = "smiles-transformer", "SMILES Transformer"
FREE = ("mean", "characters-given", "characters-canonical", "ecfp-linear")
CORPUS = "chembl-78k"
SWIFT = {"training.precision": "bf16"}  # sooner where the processor has it; docs/experiments.md has the losses
MODELS = {
    "smiles-transformer": Model(
        "smiles-transformer",
        {"encoder.pooling": "published"} | SWIFT,
        "ours: writes the canonical SMILES of another spelling, and learns masked tokens",
    ),
    "smiles-transformer-published": Model(
        "smiles-transformer-published",
        about="sizes, optimizer and task as published, masks and positions corrected; 2 of 4 epochs, in bf16, but for "
        "the size paper",
        reduced={"training.epochs": "2"} | SWIFT,
    ),
    "smiles-lstm": Model("smiles-lstm", SWIFT, about="learns the next token"),
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
WRITERS, TEMPERATURES = ("smiles-lstm",), (1.0, 0.8)  # encoders that write, and how
WRITING = {"validity": "valid, %", "uniqueness": "of these different, %", "novelty": "of these new, %"}
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


@dataclass(frozen=True)
class Here:
    """What the encoders learn from."""

    texts: Sequence[str]
    limits: Limits


def learned(size: Reach) -> Sequence[str]:
    """Molecules to learn from."""
    return sources.load(CORPUS).texts[: size.corpus or None]


def sample(here: Here, method: str, folder: Path | None) -> dict[str, Any]:
    """What becomes of strings that an encoder writes at each temperature, held against what it learned from."""
    assert folder is not None
    writer, count = load_writer(folder), min(STRINGS, len(here.texts))
    numbers = {
        f"{temperature:g}": generate(
            writer, Options(count, temperature, writer.card["seed"]), here.texts, here.limits
        ).summary()
        for temperature in TEMPERATURES
    }
    return {"numbers": numbers} | of_card(writer.card)


def seeds_of(told: Efficiency) -> dict[str, list[str]]:
    """Method → its names there, one a seed of its encoder."""
    found: dict[str, list[str]] = {}
    for method in told.methods:
        found.setdefault(encoder_of(method)[0], []).append(method)
    return found


def minus(told: Efficiency, methods: Sequence[str], others: Sequence[str]) -> Cell:
    """A difference with its 95 % interval; None where nothing can be compared."""
    pair = told.minus(methods, others) if list(methods) != list(others) else None
    return Spread(pair.difference, None, pair.low, pair.high) if pair else None


SAID = [
    "Every method has the same splits. The head is linear, ridge or logistic regression: here on standardised numbers "
    "and of a strength that the rows it learns from choose, there scikit-learn's default on numbers as they are.",
    "The original trained on 1.7 million molecules; ours learn from 78,000 or fewer. Vectors are of canonical SMILES.",
]


class Story(Finished):
    """The rows of one folder."""

    STUDY, PARTS, FROZEN, SAID = NAME, (SAMPLES,), DEM, SAID
    FREE: ClassVar[Mapping[str, str]] = {name: PLAIN[name].about for name in FREE}

    @cached_property
    def efficiencies(self) -> list[Efficiency]:
        """DEM of each data set."""
        return efficiencies(self.vectors, self.overlaps)

    def table(self) -> Table | None:
        """The published table: a row a method, a column a data set; None where nothing was measured."""
        body: list[list[Cell]] = []
        for name in (*FREE, *self.models):
            found = [over_seeds(one.over_splits(seeds_of(one).get(name, []))) for one in self.efficiencies]
            body += [[name, *found]] if any(found) else []
        names = [one.data for one in self.efficiencies]
        body += [
            [author, *(PRINTED[data][place] if data in PRINTED else None for data in names)]
            for place, author in enumerate(AUTHORS)
        ]
        return Table("DEM, ± over splits", ["method", *names], body) if names else None

    def shares(self, told: Efficiency) -> Table:
        """One data set: DEM, paired differences, and the mean of every share; best method first."""
        seeds = seeds_of(told)
        body: list[list[Cell]] = []
        for name, own in seeds.items():
            shares = zip(*(told.means[told.methods.index(method)] for method in own), strict=True)
            gaps = [minus(told, own, seeds.get(other, [])) for other in AGAINST]
            body.append([name, over_seeds(told.over_splits(own)), *gaps, *map(fmean, shares)])
        header = ["method", "DEM", *(f"minus {other} (95 %)" for other in AGAINST), *(f"{one:.2%}" for one in SHARES)]
        better = "higher" if told.higher else "lower"
        return Table(f"{told.metric}, {better} is better; ± over splits", header, body)

    def written(self) -> Table | None:
        """Shares of the strings, a row an encoder and temperature; None where nothing was drawn."""
        body: list[list[Cell]] = []
        for method in dict.fromkeys(row["method"] for row in self.told):
            for temperature in TEMPERATURES:
                own = [row["numbers"][f"{temperature:g}"] for row in self.told if row["method"] == method]
                shares = ([100 * one[share] for one in own if one[share] is not None] for share in WRITING)
                told = [own[0]["strings"], *map(over_seeds, shares), len(own)]
                body.append([f"{method} at {temperature:g}", *told])
        header = ["encoder, temperature", "strings", *WRITING.values(), "seeds"]
        return Table("Strings that are written", header, body) if body else None

    def parts(self) -> list[tuple[str, str, Table]]:
        """Title, what it says, and the table of every part of the page that has one."""
        found = [
            ("Data efficiency", " ".join([ABOUT, NOTE]), self.table()),
            *((f"{one.data}, by share of the rows", SHARED, self.shares(one)) for one in self.efficiencies),
            ("New molecules", WRITTEN, self.written()),
        ]
        return [(title, about, table) for title, about, table in found if table]

    def lines(self) -> list[str]:
        """The tables for a terminal."""
        return [
            line
            for title, _, table in self.parts()
            for line in (f"{title}: {table.caption}", *aligned(table.header, table.rows))
        ]

    def page(self) -> str:
        """The whole page as text."""
        sections = [Section(title, "", [about], [laid_out(table)]) for title, about, table in self.parts()]
        splits = {(one.data, one.setting.rule): one.splits for one in self.probed}
        fields = {
            "said": self.said,
            "compared": laid_out(self.methods),
            "sections": sections,
            "splits": [
                (f"{data}, {rule}", ", ".join(sha[:SHORT] for sha in shas.values()))
                for (data, rule), shas in splits.items()
            ],
            "made": self.made,
        }
        return page("comparison.html", "tetramer study", TITLE, HEAD, fields)


HEAD = "How far frozen vectors of SMILES networks go with few labels."
ABOUT = (
    "DEM is the mean over learning from 1.25, 2.5, 5, 10, 20, 40 and 80 % of the rows of the score on all others: RMSE "
    "of ESOL, FreeSolv and Lipophilicity, where lower is better, and ROC-AUC of the other sets, the mean over targets."
)
AGAINST = ("ecfp-linear", "smiles-transformer-published")
SHARED = (
    "± is over the splits; an encoder of several seeds has their mean on each. Differences are of the same splits, and "
    "their intervals take the splits for as alike as those of the share where they are most alike."
)
WRITTEN = (
    "Valid: RDKit reads it. Different: by canonical SMILES. New: not among what the encoder learned from. A "
    "temperature below 1 makes the likely more likely."
)
NOTE = (
    "The characters of a SMILES as given tell the labels of BBBP and ClinTox by how their files are written, which "
    "canonical SMILES do not; the printed numbers of these two contain it."
)
PLAN = Plan(
    NAME, SIZES, MODELS, CORPUS, learned, {SAMPLES: Measurement(sample, learned=WRITERS)},
    lambda size, limits: Here(learned(size), limits), Story.draw, FREE, DEM, DEM,
)  # fmt: skip
STUDY = Study("a SMILES transformer, and how far its vectors go with few labels", SIZES, PLAN.run)

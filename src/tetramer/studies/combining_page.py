"""What came out of "combining modalities" on one page: errors, fusions, maps, neighbours and the study's claims."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tetramer.benchmark.cells import Cell, Spread, show
from tetramer.benchmark.comparison import SHORT, Section
from tetramer.benchmark.report import Picture, Table, laid_out, page, uri
from tetramer.datasets.writing import write_whole
from tetramer.molecules import Limits
from tetramer.space.bars import Bar, error_bars
from tetramer.space.claims import Claim
from tetramer.space.grid import choose_queries, neighbour_grid
from tetramer.space.scatter import maps_by_scaffold, maps_by_value
from tetramer.studies.combining_claims import LONG, Spaces, judged, orders
from tetramer.studies.combining_rows import FIT_ROWS, LATE, Measured, Rows
from tetramer.views import read
from tetramer.views.fingerprint import FingerprintFeatures

UNIT = "eV"
PRINTED, PUBLISHED, OURS = "printed in the study", "as published, measured", "ours"
FREE_ROWS = {"atom-counts": "atom counts", "energy-2d": "2D ridge", "energy-3d": "2+3-body ridge"}
MAPPED = "random"  # the split whose test molecules are mapped: those of the other one share no scaffolds
LATES: tuple[tuple[str, ...], ...] = (
    ("fingerprint", "graph"),
    ("smiles", "graph"),
    ("fingerprint", "conformer"),
    ("graph", "conformer"),
    ("fingerprint", "smiles", "graph", "conformer"),
)


class Model(Protocol):
    """A row of the study's table (`combining_modalities.Model`)."""

    name: str
    published: str | None
    ours: str
    sigma: float | None


def draw(output: Path, data: Path, target: str, models: Sequence[Any], free: Sequence[str]) -> list[str]:
    """Write `report.html` and `report.json` from the rows that are finished; → sentences for a terminal."""
    rows = Rows.load(output, data, target)
    rows.save_late(LATES)
    story = Story(rows, models, free)
    write_whole(output / "report.html", story.page().encode())
    write_whole(output / "report.json", json.dumps(story.numbers, indent=1).encode() + b"\n")
    return [*story.lines(), f"Report: {output / 'report.html'}"]


@dataclass(frozen=True)
class Story:
    """Rows, models and free rows of one page."""

    rows: Rows
    models: Sequence[Any]
    free: Sequence[str]

    @cached_property
    def deviation(self) -> float | None:
        """Standard deviation of the target in eV, to read the printed numbers by."""
        return None if self.rows.table is None else float(np.nanstd(self.rows.values))

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "target": self.rows.target,
            "deviation": self.deviation,
            "errors": [
                {
                    "split": split,
                    "model": name,
                    "as": series,
                    "mae": list(one.errors.values()),
                    "seeds": list(one.errors),
                    "parameters": one.parameters,
                }
                for split in self.rows.splits
                for name, series, one in self.entries(split)
            ],
            "fusions": [
                {"split": split, "fusion": fused.method, "best": best.method, "difference": gaps.tolist()}
                for split in self.rows.splits
                for fused, best, gaps in self.fusions(split)
            ],
            "claims": {
                name: {key: [one.value, one.low, one.high, one.reference] for key, one in told.items()}
                for name, told in self.claims.items()
            },
        }  # fmt: skip

    def entries(self, split: str) -> list[tuple[str, str, Measured]]:
        """(model, free, published or ours, what was measured), of rows that are finished."""
        wanted = [(FREE_ROWS.get(name, name), "free", name) for name in self.free]
        for model in self.models:
            wanted += [(model.name, PUBLISHED, model.published)] if model.published else []
            wanted += [(model.name, OURS, model.ours)]
        found = [(name, series, self.rows.measured(method, split)) for name, series, method in wanted]
        late = [
            (" + ".join(map(self.name_of, names)), LATE.strip(": "), self.rows.late(names, split)) for names in LATES
        ]
        return [(name, series, one) for name, series, one in [*found, *late] if one]

    def name_of(self, recipe: str) -> str:
        """The model that a recipe is ours of."""
        return next((model.name for model in self.models if model.ours == recipe), recipe)

    def fusions(self, split: str) -> list[tuple[Measured, Measured, np.ndarray]]:
        """(fusion, its best member on the same seeds, differences in eV seed by seed), joined in training or late."""
        joined = [(model.ours.split("+"), self.rows.measured(model.ours, split)) for model in self.models]
        told = []
        for views, fused in [*joined, *((list(names), self.rows.late(names, split)) for names in LATES)]:
            members = [one for one in (self.rows.measured(view, split) for view in views) if one]
            if fused is None or len(views) < 2 or len(members) < len(views):
                continue
            seeds = set(fused.errors).intersection(*(one.errors for one in members))
            if seeds:
                best = min(members, key=lambda one: sum(one.errors[seed] for seed in seeds))
                gaps = np.array([fused.errors[seed] - best.errors[seed] for seed in sorted(seeds)])
                told.append((fused, best, gaps))
        return told

    @cached_property
    def spaces(self) -> Spaces | None:
        """Representations of the test molecules of the first mapped split; None where no vectors were kept."""
        split = MAPPED if MAPPED in self.rows.splits else self.rows.splits[0]
        kept = {}
        for model in self.models:
            for series, method in ((PUBLISHED, model.published), (OURS, model.ours)):
                one = self.rows.kept(method, split, 0) if method else None
                if one is not None and "vectors" in one and np.isfinite(one["vectors"]).all():
                    kept[f"{model.name}, {'ours' if series == OURS else 'published'}"] = one
        if not kept or self.rows.table is None:
            return None
        rows = next(iter(kept.values()))["rows"]
        same = {name: one["vectors"] for name, one in kept.items() if np.array_equal(one["rows"], rows)}
        texts = self.rows.table.data["smiles"].take(rows).to_pylist()
        reading = read(texts, ["fingerprint"], limits=Limits(0))
        features = reading.features["fingerprint"]
        assert isinstance(features, FingerprintFeatures)
        return Spaces.of(reading.smiles, self.rows.values[rows], same, features)

    @cached_property
    def claims(self) -> dict[str, dict[str, Claim]]:
        """Space → statistic → claim."""
        return {} if self.spaces is None else {name: self.spaces.claims(name) for name in self.spaces.vectors}

    def lines(self) -> list[str]:
        """The table for a terminal."""
        out = []
        for split in self.rows.splits:
            out.append(f"{self.rows.data.stem}, {split} split, MAE in {UNIT}:")
            for name, series, one in self.entries(split):
                out.append(f"  {name:<28} {series:<22} {show(one.cell):>18}  seeds {len(one.errors)}")
        return out

    def page(self) -> str:
        """The whole page as text."""
        sections = [self._errors(split) for split in self.rows.splits] + [self._fusion()]
        sections += [] if self.spaces is None else _pictures(self.spaces, self.rows.target) + self._claims(self.spaces)
        told = self.rows.told
        fields = {
            "said": SAID,
            "compared": laid_out(self._compared()),
            "sections": sections,
            "splits": [
                (split, ", ".join(sorted({row["split_sha256"][:SHORT] for row in told if row["split"] == split})))
                for split in self.rows.splits
            ],
            "made": [
                ("Versions", "; ".join(sorted({json.dumps(row["cost"]["versions"]) for row in told}))),
                ("Machines", "; ".join(sorted({row["cost"]["machine"] for row in told}))),
            ],
        }
        head = f"{self.rows.target} of QM9 in {UNIT}: what each view of a molecule tells, and what joining them adds."
        return page("comparison.html", "tetramer study", "Combining modalities", head, fields)

    def _compared(self) -> Table:
        rows: list[list[Cell]] = []
        for split in self.rows.splits:
            here = [row for row in self.rows.told if row["split"] == split]
            rows.append(
                [split, here[0]["class"], FIT_ROWS.replace("+", " + "), here[0]["fitted_on"], here[0]["tested_on"],
                 len({row["method"] for row in here}), here[0]["data_sha256"][:SHORT]]
            )  # fmt: skip
        header = ["split", "class", "given", "rows given", "rows tested", "methods", "data SHA-256"]
        return Table("Splits", header, rows)

    def _errors(self, split: str) -> Section:
        entries = self.entries(split)
        sigma = {model.name: model.sigma for model in self.models}
        rows: list[list[Cell]] = [
            [
                name,
                series,
                one.cell,
                one.mean / self.deviation if self.deviation else None,
                sigma.get(name) if series == PUBLISHED else None,
                one.parameters,
                len(one.errors),
                f"{one.seconds / 60:.1f}" if one.seconds else "–",
            ]
            for name, series, one in entries
        ]
        header = ["model", "as", f"MAE, {UNIT}", "MAE / σ", "printed, MAE / σ", "parameters", "seeds", "minutes"]
        pictures = [self._bars(split, entries)] if any(series != "free" for _, series, _ in entries) else []
        table = laid_out(Table(f"Mean absolute error, {split} split", header, rows), ("minutes",))
        return Section(f"Errors, {split} split", "", [ERRORS], [table], pictures, self._above(split, entries))

    def _above(self, split: str, entries: Sequence[tuple[str, str, Measured]]) -> list[str]:
        """Networks that have learned less than counting, a sentence for each ridge."""
        notes = []
        for dimension, words in (("2d", "2D ridge"), ("3d", "2+3-body ridge")):
            row = self.rows.measured(f"energy-{dimension}", split)
            told = [
                f"{name}, {series}"
                for name, series, one in entries
                if series != "free" and row and one.mean > row.mean and dimension == dimension_of(one.method)
            ]
            if row and told:
                notes.append(f"Above the {words} ({row.mean:.3g} {UNIT}): {'; '.join(told)}.")
        return notes

    def _bars(self, split: str, entries: Sequence[tuple[str, str, Measured]]) -> Picture:
        bars = []
        for model in self.models:
            if model.sigma and self.deviation and self.rows.target == "g298":
                bars.append(Bar(model.name, PRINTED, [model.sigma * self.deviation]))
            bars += [
                Bar(model.name, series, list(one.errors.values()), one.parameters)
                for name, series, one in entries
                if name == model.name and series in (PUBLISHED, OURS)
            ]
        lines = {name: one.mean for name, series, one in entries if series == "free" and name in FREE_ROWS.values()}
        caption = (
            "Parameters stand on the bars. Printed: one run of the study, its standard deviations as eV. Dashed: rows "
            "that cost seconds."
        )
        return Picture(
            f"Errors, {split} split", uri(error_bars(bars, "mean absolute error", UNIT, lines)), caption, True
        )

    def _fusion(self) -> Section:
        tables = []
        for split in self.rows.splits:
            rows: list[list[Cell]] = []
            for fused, best, gaps in self.fusions(split):
                spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else None
                verdict = "not worse" if gaps.mean() <= 0 else "worse"
                weights = ", ".join(f"{name} {share:.2f}" for name, share in fused.shares.items())
                difference = Spread(float(gaps.mean()), error=spread) if spread is not None else float(gaps.mean())
                rows.append([fused.method, best.method, difference, len(gaps), verdict, weights or "–"])
            header = ["fusion", "best member", f"difference, {UNIT}", "seeds", "verdict", "weights"]
            if rows:
                tables.append(laid_out(Table(f"Against the best member, {split} split", header, rows)))
        return Section("Fusion", "", [FUSION], tables)

    def _claims(self, spaces: Spaces) -> list[Section]:
        header = ["space", *(LONG[key] for key in LONG)]
        rows: list[list[Cell]] = [
            [name, *(_claim(told.get(key)) for key in LONG)] for name, told in self.claims.items()
        ]
        chance: list[Cell] = ["chance", *(self._chance(key) for key in LONG)]
        verdicts = judged(self.claims)
        split = MAPPED if MAPPED in self.rows.splits else self.rows.splits[0]
        for series, suffix in ((PUBLISHED, "published"), (OURS, "ours")):
            errors = {f"{name}, {suffix}": one.mean for name, kind, one in self.entries(split) if kind == series}
            verdicts += orders(errors, self.claims, f"models {suffix}")
        whole = laid_out(Table("Every space", header, [chance, *rows]))
        settled = laid_out(
            Table(
                "What the study says",
                ["claim", "statistic", "space", "value (95 %)", "held against", "verdict"],
                [[one.says, one.statistic, one.space, _claim(one.claim), one.level, one.verdict] for one in verdicts],
            )
        )
        cka, shared = spaces.alike()
        square = [
            laid_out(_square(caption, list(spaces.vectors), table))
            for caption, table in (("CKA", cka), ("Share of 10 neighbours in common", shared))
        ]
        return [
            Section("Claims", "", [CLAIMED], [settled, whole]),
            Section("How alike the spaces are", "", [ALIKE], square),
        ]

    def _chance(self, key: str) -> Cell:
        found = [told[key].reference for told in self.claims.values() if key in told]
        return found[0] if found and key not in ("spread", "clusters") else None


def dimension_of(method: str) -> str:
    """Whether a method looks at geometry."""
    return "3d" if "egnn" in method or "conformer" in method else "2d"


def _pictures(spaces: Spaces, target: str) -> list[Section]:
    """The maps, and neighbours of four molecules in every space."""
    shown = dict(list(spaces.tables.items()))
    queries = choose_queries(spaces.scaffolds, shown)
    coloured = [
        Picture("Coloured by scaffold", uri(maps_by_scaffold(spaces.maps, spaces.scaffolds)), MAPS, True),
        Picture(f"Coloured by {target}", uri(maps_by_value(spaces.maps, spaces.values, target, UNIT)), MAPS, True),
    ]
    drawn = neighbour_grid(spaces.smiles, spaces.scaffolds, spaces.values, shown, queries.tolist(), UNIT)
    return [
        Section("Maps", f"{len(spaces.smiles):,} test molecules", [], [], coloured),
        Section(
            "Neighbours",
            "four molecules, drawn at random",
            [],
            [],
            [Picture("Two nearest by cosine", uri(drawn), GRID, True)],
        ),
    ]


def _square(caption: str, names: Sequence[str], table: np.ndarray) -> Table:
    """A number for every pair of spaces."""
    rows: list[list[Cell]] = [[name, *map(float, row)] for name, row in zip(names, table, strict=True)]
    return Table(caption, ["", *names], rows)


def _claim(one: Claim | None) -> Cell:
    return None if one is None else Spread(one.value, low=one.low, high=one.high)


SAID = [
    "Every number is that of a test part which nothing was chosen on. Networks stop on a tenth of the rows given.",
    "As published: raw target, mean of atoms, plain concatenation, Adam 1e-3, batch 32, plateau schedule. Ours: atoms "
    "are summed, a ridge fit on what a molecule is made of is taken off first; PaiNN stands for EGNN, a transformer "
    "for the LSTM.",
    "± is the standard deviation over seeds: of training on the scaffold split, of split and training on random ones.",
]
ERRORS = (
    "Free rows come first: what does not beat them has learned nothing that counting does not tell. σ is the standard "
    "deviation of the target. Late: weights of the members' answers, fitted on the rows that none learned from."
)
FUSION = (
    "A difference is the error of the fusion minus that of its best member, on the same split and seed. Not worse: the "
    "mean difference is 0 or less."
)
CLAIMED = (
    "Neighbours are by cosine. Intervals are for drawing molecules again. Values are held against chance: what random "
    "pairs give, for Hopkins one Gaussian cloud of the same shape; shared scaffolds against the fingerprint itself, "
    "the spread of EGNN against that of the FP-MLP. A claim holds, or does not, where the whole interval says so. That "
    "better models have more meaningful neighbours is a rank correlation over models: of errors with what neighbours "
    "differ by."
)
ALIKE = (
    "1 is the same space. By chance, unrelated spaces have a CKA of 0 on average, whatever their dimensions (it is the "
    "unbiased one, which may lie a little below 0), and 10 / (molecules − 1) of their neighbours in common."
)
MAPS = "The two directions of largest variance, each space by itself."
GRID = "Frame: blue, the scaffold of the query; red and dashed, another one. d is the cosine distance."

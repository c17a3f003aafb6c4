"""What came out of "combining modalities" as numbers: errors, fusions, spaces, and the study's claims seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from tetramer.benchmark.cells import show
from tetramer.molecules import Limits
from tetramer.space.claims import Claim
from tetramer.studies.combining_claims import Settled, Spaces, judged, orders, over
from tetramer.studies.combining_rows import LATE, Measured, Model, Rows
from tetramer.studies.finished import interval
from tetramer.views import read
from tetramer.views.fingerprint import FingerprintFeatures

PRINTED, PUBLISHED, OURS, FREE = "printed in the study", "as published, measured", "ours", "free"
FREE_ROWS = {"atom-counts": "atom counts", "energy-2d": "2D ridge", "energy-3d": "2+3-body ridge"}
MAPPED = "random"  # the split whose test molecules are mapped: those of the other one share no scaffolds
LATES: tuple[tuple[str, ...], ...] = (
    ("fingerprint", "graph"),
    ("smiles", "graph"),
    ("fingerprint", "conformer"),
    ("graph", "conformer"),
    ("conformer", "graph+conformer"),
    ("graph", "conformer", "graph+conformer"),
    ("fingerprint", "smiles", "graph", "conformer"),
)
Entry = tuple[str, str, Measured]  # model; free, published or ours; what was measured


@dataclass(frozen=True)
class Fused:
    """A fusion and its best member; differences of their errors on the same split and seed."""

    fusion: Measured
    best: Measured
    gaps: list[float]

    @property
    def verdict(self) -> str:
        """By the mean difference; from three seeds on also whether Student's t says so at 95 %."""
        gap = fmean(self.gaps)
        words = "better" if gap < 0 else "worse" if gap > 0 else "equal"
        if len(self.gaps) < 3:
            return f"{words}, by {'one seed' if len(self.gaps) == 1 else 'two seeds'}"
        told: Any = interval(self.gaps)
        return words if told.low > 0 or told.high < 0 else f"{words} on the mean, not settled"


@dataclass(frozen=True)
class Story:
    """Rows, models and free rows of one page."""

    rows: Rows
    models: Sequence[Model]
    free: Sequence[str]

    @cached_property
    def deviation(self) -> float | None:
        """Standard deviation of the target in its unit, to read the printed numbers by."""
        return None if self.rows.table is None else float(np.nanstd(self.rows.values))

    @property
    def printed(self) -> bool:
        """Whether the study printed numbers of this target."""
        return self.rows.target == "g298"

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "target": self.rows.target,
            "unit": self.rows.unit,
            "given": self.rows.given,
            "deviation": self.deviation,
            "errors": [
                {
                    "split": split,
                    "model": name,
                    "as": series,
                    "mae": list(one.errors.values()),
                    "seeds": list(one.errors),
                    "refused": one.refused,
                    "parameters": one.parameters,
                }
                for split in self.rows.splits
                for name, series, one in self.entries(split)
            ],
            "fusions": [
                {"split": split, "fusion": one.fusion.method, "best": one.best.method, "difference": one.gaps}
                for split in self.rows.splits
                for one in self.fusions(split)
            ],
            "claims": {
                seed: {
                    name: {key: [one.value, one.low, one.high, one.reference] for key, one in told.items()}
                    for name, told in claims.items()
                }
                for seed, claims in self.claims.items()
            },
        }  # fmt: skip

    def entries(self, split: str) -> list[Entry]:
        """All that was measured on a split, free rows first and late fusions last."""
        wanted = [(FREE_ROWS.get(name, name), FREE, name) for name in self.free]
        for model in self.models:
            wanted += [(model.name, PUBLISHED, model.published)] if model.published else []
            wanted += [(model.name, OURS, model.ours)] if model.ours else []
        found = [(name, series, self.rows.measured(method, split)) for name, series, method in wanted]
        late = []
        for names in LATES:
            members = [f"({name})" if " + " in name else name for name in map(self.name_of, names)]
            late.append((" + ".join(members), LATE.strip(": "), self.rows.late(names, split)))
        return [(name, series, one) for name, series, one in [*found, *late] if one]

    def name_of(self, recipe: str) -> str:
        """The model that a recipe is ours of."""
        return next((model.name for model in self.models if model.ours == recipe), recipe)

    def fusions(self, split: str) -> list[Fused]:
        """Fusions of ours, joined in training or late, whose members were all measured on one seed or more."""
        joined = [
            (model.ours.partition("-")[0].split("+"), self.rows.measured(model.ours, split))
            for model in self.models
            if model.ours and "+" in model.ours
        ]
        told = []
        for views, fused in [*joined, *((list(names), self.rows.late(names, split)) for names in LATES)]:
            members = [one for one in (self.rows.measured(view, split) for view in views) if one]
            if fused is None or len(members) < len(views):
                continue
            seeds = set(fused.errors).intersection(*(one.errors for one in members))
            if seeds:
                best = min(members, key=lambda one: sum(one.errors[seed] for seed in seeds))
                told.append(Fused(fused, best, [fused.errors[seed] - best.errors[seed] for seed in sorted(seeds)]))
        return told

    def above(self, split: str) -> list[str]:
        """Networks that have learned less than counting, a sentence for each ridge; on the splits that both have."""
        notes = []
        for dimension, words in (("2d", "2D ridge"), ("3d", "2+3-body ridge")):
            row = self.rows.measured(f"energy-{dimension}", split)
            gaps = {
                f"{name}, {series}": one.held_against(row)
                for name, series, one in self.entries(split)
                if series != FREE and row and dimension == dimension_of(one.method)
            }
            told = [name for name, found in gaps.items() if found and fmean(found) > 0]
            if row and told:
                notes.append(f"Above the {words} ({row.mean:.3g} {self.rows.unit}): {'; '.join(told)}.")
        return notes

    @property
    def mapped(self) -> str:
        """The split whose test molecules are mapped."""
        return MAPPED if MAPPED in self.rows.splits else self.rows.splits[0]

    @cached_property
    def spaces(self) -> dict[int, Spaces]:
        """Seed → representations of its test molecules; without seeds whose vectors were not kept on this machine."""
        seeds = sorted({row["seed"] for row in self.rows.told if row["split"] == self.mapped})
        return {seed: made for seed in seeds if (made := self._spaces(seed)) is not None}

    def _spaces(self, seed: int) -> Spaces | None:
        kept = {}
        for model in self.models:
            for series, method in (("published", model.published), ("ours", model.ours)):
                one = self.rows.kept(method, self.mapped, seed) if method else None
                if one is not None and "vectors" in one and np.isfinite(one["vectors"]).all():
                    kept[f"{model.name}, {series}"] = one
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
    def claims(self) -> dict[int, dict[str, dict[str, Claim]]]:
        """Seed → space → statistic → claim."""
        return {seed: {name: made.claims(name) for name in made.vectors} for seed, made in self.spaces.items()}

    @cached_property
    def settled(self) -> list[Settled]:
        """What the study says, each seed by itself with the errors of that seed, then over seeds."""
        told = []
        for seed, claims in self.claims.items():
            verdicts = judged(claims)
            for series, suffix in ((PUBLISHED, "published"), (OURS, "ours")):
                errors = self.errors_of(series, suffix, seed)
                verdicts += orders(errors, claims, f"models {suffix}")
            told.append(verdicts)
        return over(told)

    def errors_of(self, series: str, suffix: str, seed: int) -> Mapping[str, float]:
        """Space → error of its network on one seed of the mapped split; of networks that differ by a join, of one."""
        return {
            f"{name}, {suffix}": one.errors[seed]
            for name, kind, one in self.entries(self.mapped)
            if kind == series and seed in one.errors and not name.endswith(")")
        }

    def lines(self) -> list[str]:
        """The table for a terminal."""
        out = []
        for split in self.rows.splits:
            given = "" if ":" not in self.rows.given else f", {self.rows.given}"
            out.append(f"{self.rows.data.stem}, {split} split{given}, MAE in {self.rows.unit}:")
            for name, series, one in self.entries(split):
                told = show(one.cell) if one.errors else "refused"
                out.append(f"  {name:<30} {series:<22} {told:>18}  seeds {one.seeds}")
        return out


def dimension_of(method: str) -> str:
    """Whether a method looks at geometry."""
    return "3d" if "egnn" in method or "conformer" in method else "2d"

"""What came out of "combining modalities" on one page: errors, fusions, maps, neighbours and the study's claims."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.benchmark.cells import Cell, show
from tetramer.benchmark.comparison import SHORT, Section
from tetramer.benchmark.report import Picture, Table, laid_out, page, uri
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError
from tetramer.space.bars import Bar, error_bars
from tetramer.space.grid import choose_queries, neighbour_grid
from tetramer.space.scatter import maps_by_scaffold, maps_by_value
from tetramer.studies.combining_claims import LONG, K, cell_of
from tetramer.studies.combining_rows import FIT_ROWS, Model, Rows
from tetramer.studies.combining_story import (
    FREE,
    FREE_ROWS,
    LATES,
    OURS,
    PRINTED,
    PUBLISHED,
    Entry,
    Story,
)
from tetramer.studies.finished import interval, made_with, over_seeds


def draw(
    output: Path, data: Path, target: str, models: Sequence[Model], free: Sequence[str], given: str = FIT_ROWS
) -> list[str]:
    """Write `report.html` and `report.json` from the rows that are finished; → sentences for a terminal."""
    rows = Rows.load(output, data, target, given)
    rows.save_late(LATES)
    story = Story(rows, models, free)
    if story.spaces:
        write_whole(rows.file("claims"), json.dumps(verdicts(story), indent=1).encode() + b"\n")
    write_whole(output / "report.html", rendered(story).encode())
    write_whole(output / "report.json", json.dumps(story.numbers, indent=1).encode() + b"\n")
    return [*story.lines(), f"Report: {output / 'report.html'}"]


def rendered(story: Story) -> str:
    """The whole page as text."""
    rows = story.rows
    sections = [_errors(story, split) for split in rows.splits]
    compared = [fusions(story, split) for split in rows.splits]
    sections.append(Section("Fusion", "", [FUSION], [laid_out(one) for one in compared if one.rows]))
    sections += _curves(story) + _targets(story)
    if story.spaces:
        sections += _pictures(story) + _claims(story)
    fields = {
        "said": [*SAID, *_lengths(rows)],
        "compared": laid_out(_compared(rows)),
        "sections": sections,
        "splits": [
            (split, ", ".join(sorted({row["split_sha256"][:SHORT] for row in rows.told if row["split"] == split})))
            for split in rows.splits
        ],
        "made": made_with([row["cost"] for row in rows.told]),
    }
    head = f"{rows.target} of QM9 in {rows.unit}: what each view of a molecule tells, and what joining them adds."
    return page("comparison.html", "tetramer study", "Combining modalities", head, fields)


def _lengths(rows: Rows) -> list[str]:
    """With which settings networks were trained that their recipes do not have, a sentence for each kind."""
    told: dict[str, dict[str, None]] = {}
    for row in rows.told:
        if settings := ", ".join(f"{key}={text}" for key, text in row.get("overrides", {}).items()):
            told.setdefault(settings, {})[row["method"]] = None
    return [f"Trained with {settings}: {', '.join(methods)}." for settings, methods in told.items()]


def _compared(rows: Rows) -> Table:
    told: list[list[Cell]] = []
    for split in rows.splits:
        here = [row for row in rows.told if row["split"] == split]
        told.append(
            [split, here[0]["class"], rows.given, rows.learned(split),
             here[0]["tested_on"], len({row["method"] for row in here}), here[0]["data_sha256"][:SHORT]]
        )  # fmt: skip
    header = ["split", "class", "given", "rows given", "rows tested", "methods", "data SHA-256"]
    return Table("Splits", header, told)


def _errors(story: Story, split: str) -> Section:
    entries, unit = story.entries(split), story.rows.unit
    sigma = {model.name: model.sigma for model in story.models}
    rows: list[list[Cell]] = [
        [
            name,
            series,
            one.cell,
            one.mean / story.deviation if story.deviation else None,
            *([sigma.get(name) if series == PUBLISHED else None] if story.printed else []),
            one.parameters,
            one.seeds,
            f"{one.seconds / 60:.1f}" if one.seconds else "–",
        ]
        for name, series, one in entries
    ]
    printed = "printed, MAE / σ" if split.startswith("scaffold") else "printed (scaffold split), MAE / σ"
    header = ["model", "as", f"MAE, {unit}", "MAE / σ", *([printed] if story.printed else [])]
    header += ["parameters", "seeds", "minutes"]
    pictures = (
        [_bars(story, split, entries)] if any(series != FREE and one.errors for _, series, one in entries) else []
    )
    table = laid_out(Table(f"Mean absolute error, {split} split", header, rows), ("seeds", "minutes"))
    asides = [ERRORS, PRINTED_SAYS] if story.printed else [ERRORS]
    notes = [*story.above(split), *_refusals(entries)]
    return Section(f"Errors, {split} split", "", asides, [table], pictures, notes)


def _refusals(entries: Sequence[Entry]) -> list[str]:
    """Why rows have no number, a sentence a method and reason; and which numbers are of fewer molecules."""
    notes = []
    for name, series, one in entries:
        for reason in dict.fromkeys(one.refused.values()):
            seeds = [str(seed) for seed, why in one.refused.items() if why == reason]
            notes.append(f"No number of {name}, {series}, seed {', '.join(seeds)}: {reason}")
        notes += [
            f"The error of {name}, {series}, seed {seed}, leaves out {count} molecules that it did not answer."
            for seed, count in one.unanswered.items()
        ]
    return notes


def _bars(story: Story, split: str, entries: Sequence[Entry]) -> Picture:
    bars = []
    for model in story.models:
        if model.sigma and story.deviation and story.printed:
            bars.append(Bar(model.name, PRINTED, [model.sigma * story.deviation]))
        bars += [
            Bar(model.name, series, list(one.errors.values()), one.parameters)
            for name, series, one in entries
            if name == model.name and series in (PUBLISHED, OURS)
        ]
    lines = {name: one.mean for name, series, one in entries if series == FREE and name in FREE_ROWS.values()}
    caption = "Parameters stand on the bars. Dashed: rows that cost seconds."
    if story.printed:
        caption += " Printed: one run of the study on its scaffold split, its standard deviations as eV."
    drawn = error_bars(bars, "mean absolute error", story.rows.unit, lines)
    return Picture(f"Errors, {split} split", uri(drawn), caption, True)


def fusions(story: Story, split: str) -> Table:
    """Every fusion of one split against its best member."""
    rows: list[list[Cell]] = []
    for one in story.fusions(split):
        weights = ", ".join(f"{name} {share:.2f}" for name, share in one.fusion.shares.items())
        difference = interval(one.gaps) if len(one.gaps) > 2 else over_seeds(one.gaps)
        rows.append([one.fusion.method, one.best.method, difference, len(one.gaps), one.verdict, weights or "–"])
    header = ["fusion", "best member", f"difference, {story.rows.unit}", "seeds", "verdict", "weights"]
    return Table(f"Fusions against their best members, {split} split", header, rows)


def curves(story: Story) -> list[Table]:
    """Errors against rows to learn from, for each split, where there are rows of several numbers of them."""
    several = [replace(story, rows=rows) for rows in story.rows.beside()]
    tables = []
    for split in dict.fromkeys(split for one in several for split in one.rows.splits):
        here = [one for one in several if split in one.rows.splits]
        counts = [one.rows.learned(split) for one in here]
        found = [{(name, series): row for name, series, row in one.entries(split)} for one in here]
        names = dict.fromkeys(key for told in found for key in told)
        body: list[list[Cell]] = [[*key, *(told[key].cell if key in told else None for told in found)] for key in names]
        caption = f"Mean absolute error in {story.rows.unit}, {split} split"
        header = ["model", "as", *(f"{count:,} rows" for count in counts)]
        tables += [Table(caption, header, body)] if len(here) > 1 else []
    return tables


def _curves(story: Story) -> list[Section]:
    tables = curves(story)
    return [Section("Learning curve", story.rows.target, [CURVE], list(map(laid_out, tables)))] if tables else []


def properties(story: Story) -> list[Table]:
    """Graph, conformer and their fusions on all properties with as many rows, for each split that has several."""
    tables = []
    for split in story.rows.splits:
        several = [replace(story, rows=rows) for rows in story.rows.others(split)]
        body: list[list[Cell]] = []
        for one in several:
            found = [one.rows.measured(name, split) for name in ("energy-2d", "energy-3d", "graph", "conformer")]
            found += [one.rows.measured("graph+conformer", split), one.rows.late(["graph", "conformer"], split)]
            hashes = sorted({row["split_sha256"][:SHORT] for row in one.rows.told if row["split"] == split})
            cells = [row.cell if row else None for row in found]
            body.append([one.rows.target, one.rows.unit, *cells, ", ".join(hashes)])
        header = ["property", "unit", "2D ridge", "2+3-body ridge", "MPNN", "PaiNN", "PaiNN + MPNN", "late fusion"]
        header.append("SHA-256 of the splits")
        caption = f"Mean absolute error, {split} split, {story.rows.learned(split):,} rows given"
        tables += [Table(caption, header, body)] if len(several) > 1 else []
    return tables


def _targets(story: Story) -> list[Section]:
    tables = properties(story)
    return [Section("Properties", "", [PROPERTIES], list(map(laid_out, tables)))] if tables else []


def _claims(story: Story) -> list[Section]:
    names = dict.fromkeys(name for claims in story.claims.values() for name in claims)

    def told(name: str, key: str) -> Cell:
        return cell_of([one[name][key] for one in story.claims.values() if key in one.get(name, {})])

    rows: list[list[Cell]] = [[name, *(told(name, key) for key in LONG)] for name in names]
    chance: list[Cell] = ["chance", *(_chance(story, key) for key in LONG)]
    whole = laid_out(Table("Every space", ["space", *LONG.values()], [chance, *rows]))
    told_so = [list(one.values()) for one in verdicts(story)]
    settled = laid_out(Table("What the study says", CLAIM_HEADER, told_so))
    seed, spaces = next(iter(story.spaces.items()))
    cka, shared = spaces.alike()
    square = [
        laid_out(_square(caption, list(spaces.vectors), table))
        for caption, table in (("CKA", cka), (f"Share of {K} neighbours in common, by cosine", shared))
    ]
    header = ["space", "by cosine", "by centred cosine"]
    counted: list[list[Cell]] = [[name, *pair] for name, pair in spaces.counts_alike().items()]
    caption = f"Share of {K} neighbours in common with those by Tanimoto of counts"
    square.append(laid_out(Table(caption, header, counted)))
    return [
        Section("Claims", f"{story.mapped} split", [CLAIMED], [settled, whole]),
        Section("How alike the spaces are", f"seed {seed}", [ALIKE], square),
    ]


def verdicts(story: Story) -> list[dict[str, Any]]:
    """What the study says and what was found, a claim and space each, as plain data under the words of CLAIM_HEADER."""
    return [
        dict(zip(
            CLAIM_HEADER,
            [one.says, one.statistic, one.space, show(one.cell), show(one.level), one.seeds, one.verdict],
            strict=True,
        ))
        for one in story.settled
    ]  # fmt: skip


def _chance(story: Story, key: str) -> Cell:
    found = [told[key].reference for claims in story.claims.values() for told in claims.values() if key in told]
    return found[0] if found and key not in ("spread", "clusters") else None


def _pictures(story: Story) -> list[Section]:
    """The maps, and neighbours of four molecules in every space."""
    (seed, spaces), rows = next(iter(story.spaces.items())), story.rows
    by_value = maps_by_value(spaces.maps, spaces.values, rows.target, rows.unit)
    coloured = [
        Picture("Coloured by scaffold", uri(maps_by_scaffold(spaces.maps, spaces.scaffolds)), MAPS, True),
        Picture(f"Coloured by {rows.target}", uri(by_value), MAPS, True),
    ]
    of = f"{len(spaces.smiles):,} test molecules of the {story.mapped} split, seed {seed}"
    maps = Section("Maps", of, [], [], coloured)
    try:
        queries = choose_queries(spaces.scaffolds, spaces.tables)
    except UserError as error:
        return [maps, Section("Neighbours", "", [f"Not drawn: {error}"])]
    drawn = neighbour_grid(spaces.smiles, spaces.scaffolds, spaces.values, spaces.tables, queries.tolist(), rows.unit)
    grid = Picture("Two nearest by cosine", uri(drawn), GRID, True)
    return [maps, Section("Neighbours", "four molecules, drawn at random", [], [], [grid])]


def _square(caption: str, names: Sequence[str], table: np.ndarray) -> Table:
    """A number for every pair of spaces."""
    rows: list[list[Cell]] = [[name, *map(float, row)] for name, row in zip(names, table, strict=True)]
    return Table(caption, ["", *names], rows)


SAID = [
    "Every number is that of a test part which nothing was chosen on. Networks learn from the train part and stop on "
    "the valid part.",
    "As published: raw target, mean of atoms, plain concatenation, Adam 1e-3, batch 32, and a plateau schedule, whose "
    "numbers the study does not print: here the rate is halved after 5 of 100 epochs without a better validation "
    "score, or as many of fewer (training.plateau).",
    "Ours: atoms are summed where the target grows with the molecule, and a ridge fit on what it is made of is taken "
    "off first. EGNN of ours sees distances by radial functions; the joins but the residual one are in brackets. What "
    "is joined is brought to one length before, but for the base of the residual join, and so tells no sum. Of some "
    "rows as published ours are others: PaiNN in place of EGNN, a transformer in place of the LSTM.",
    "± is the standard deviation over seeds: of training on the scaffold split, of split and training on random ones.",
]
ERRORS = (
    "Free rows come first: what does not beat them has learned nothing that counting does not tell. σ is the standard "
    "deviation of the target. Late: members' answers by the weights of least absolute error on rows that none learned "
    "from."
)
PRINTED_SAYS = "The printed numbers are those of the study's scaffold split, one run, on all of QM9."
CURVE = (
    "Fewer rows to learn from are some of those of the next column, and the valid part is cut in proportion; the test "
    "part is the same."
)
PROPERTIES = "Properties that were measured with as many rows to learn from: free rows, then networks of ours."
FUSION = (
    "A difference is the error of the fusion minus that of its best member, on the same split and seed: below 0 the "
    "fusion is better. From three seeds on it has the 95 % interval of Student's t, and is not settled where that "
    "holds 0."
)
CLAIM_HEADER = ["claim", "statistic", "space", "value", "held against", "seeds", "verdict"]
CLAIMED = (
    "Neighbours are by cosine. Each seed is judged by itself, by the interval for drawing molecules again. Of a "
    "single seed that interval is shown, of more the mean ± standard deviation. Values are held against chance: what "
    "random pairs give, for Hopkins one Gaussian cloud of the same shape; shared scaffolds against the fingerprint "
    "itself, the spread of EGNN, PaiNN and fusions against that of the FP-MLP or EGNN. A claim holds, or does not, "
    "where the whole interval says so. That better models have more meaningful neighbours is a rank correlation over "
    "models: of errors with what neighbours differ by. y is the target as it is, of which ours learn what a ridge fit "
    "leaves."
)
ALIKE = (
    "1 is the same space. By chance, unrelated spaces have a CKA of 0 on average, whatever their dimensions (it is the "
    f"unbiased one, which may lie a little below 0), and {K} / (molecules − 1) of their neighbours in common."
)
MAPS = "The two directions of largest variance, each space by itself."
GRID = "Frame: blue, the scaffold of the query; red and dashed, another one. d is the cosine distance."

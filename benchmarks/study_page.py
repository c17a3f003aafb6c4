"""docs/study-results.md, from the rows under `results`. Measures nothing.

tetramer study combining-modalities --output results/combining-modalities
tetramer study molr --output results/molr
tetramer study motif --output results/motif
tetramer study smiles-transformer --output results/smiles-transformer
python benchmarks/study_page.py
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tetramer.benchmark.cells import show
from tetramer.benchmark.report import Table
from tetramer.benchmark.standing import Pair
from tetramer.benchmark.summary import interval
from tetramer.studies import molr, molr_page, motif, motif_page, smiles_transformer
from tetramer.studies.base import Model
from tetramer.studies.combining_modalities import FREE, MODELS
from tetramer.studies.combining_page import CLAIM_HEADER, CLAIMED, curves, fusions, properties
from tetramer.studies.combining_rows import Rows
from tetramer.studies.combining_story import Story
from tetramer.studies.finished import Finished

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "results", ROOT / "docs" / "study-results.md"

HEAD = """# Results of the studies

This page is made from the rows under `results/combining-modalities`, `results/molr`, `results/motif` and
`results/smiles-transformer` by `python benchmarks/study_page.py`; [Studies](study.md) says what the rows are and how
they are made. Rows that are not here were not measured yet.
"""
COMBINING = """## combining-modalities

Mean absolute error on a test part that nothing was chosen on; all methods learn from the train part, and networks stop
on the valid part. ± is the standard deviation over seeds.
"""
BRIEF = """The usual properties, a quarter of the visits and one seed:
`--target usual --size brief --rows 17159 --splits random`, so that all have as many rows to learn from."""
BRIEFLY = "train:17159"  # what they are given

LONG = """A learning curve of the gap, one seed: `--splits random --target gap` with `--rows 1000`, `5000` and `20000`
(100, 80 and 25 epochs), and with `--size long` all rows (19 epochs)."""


def laid(header: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def split_of(rows: Rows, split: str) -> str:
    """One split of one property."""
    here = [row for row in rows.told if row["split"] == split]
    hashes = ", ".join(sorted({row["split_sha256"][:12] for row in here}))
    told = [
        [name, series, f"`{one.method}`", show(one.cell), show(one.parameters), one.seeds,
         f"{one.seconds / 60:.1f}"]
        for name, series, one in Story(rows, MODELS, FREE).entries(split)
    ]  # fmt: skip
    about = f"{here[0]['fitted_on']:,} rows given, {here[0]['tested_on']:,} tested; SHA-256 of the splits: {hashes}."
    header = ["model", "as", "method", f"MAE, {rows.unit}", "parameters", "seeds", "minutes"]
    return f"### {rows.data.stem}, {split} split\n\n{about}\n\n{laid(header, told)}"


def combining() -> Iterator[str]:
    """The study of four views."""
    folder = RESULTS / "combining-modalities"
    yield COMBINING.strip()
    for one in sorted(path.parent for path in folder.glob("*/splits.json")):
        rows = Rows.load(folder, folder / "data" / f"{one.name}.parquet", one.name.split("-")[1])
        yield from (split_of(rows, split) for split in rows.splits)
        yield from judgements(rows)
    yield from brief(RESULTS / "combining-modalities-brief")
    yield from long(RESULTS / "combining-modalities-long")


def judgements(rows: Rows) -> Iterator[str]:
    """Fusions against their best members, networks above a ridge, and the claims of the study."""
    story = Story(rows, MODELS, FREE)
    for split in rows.splits:
        if (table := fusions(story, split)).rows:
            yield "\n\n".join([f"### {rows.data.stem}: {table.caption}", shown(table), *story.above(split)])
    if rows.file("claims").is_file():
        told = json.loads(rows.file("claims").read_text(encoding="utf-8"))
        body = [[show(cell) for cell in one.values()] for one in told]
        yield f"### {rows.data.stem}: what the study says\n\n{CLAIMED}\n\n{laid(CLAIM_HEADER, body)}"


def brief(folder: Path) -> Iterator[str]:
    """Its rows of a quarter of the visits: a few models on all properties."""
    there = sorted(path.parent.name for path in folder.glob("*/splits.json"))
    if not there:
        return
    yield BRIEF
    rows = Rows.load(folder, folder / "data" / f"{there[0]}.parquet", there[0].split("-")[1], BRIEFLY)
    for table in properties(Story(rows, MODELS, FREE)):
        yield f"### A quarter of the visits: properties of QM9\n\n{table.caption}.\n\n{shown(table)}"


def long(folder: Path) -> Iterator[str]:
    """The gap, learned from more and more rows."""
    if not (folder / "qm9-gap").is_dir():
        return
    yield LONG
    rows = Rows.load(folder, folder / "data" / "qm9-gap.parquet", "gap")
    for split in rows.splits:
        yield split_of(rows, split).replace("### ", "### Learning curve: ", 1)
    for table in curves(Story(rows, MODELS, FREE)):
        yield f"### Learning curve: gap\n\n{table.caption}.\n\n{shown(table)}"


def study(story: type[Finished], models: Mapping[str, Model], about: str = "") -> Iterator[str]:
    """A study of pretrained encoders. about: its frozen vectors, "" where these are no part of the page"""
    folder = RESULTS / story.STUDY
    if not any(folder.glob("*/**/*.json")):
        return
    told = story.load(folder, {name: model.about for name, model in models.items()})
    yield f"## {story.STUDY}\n\n" + "\n".join(f"- {text}" for text in told.said)
    methods = [[f"`{row[0]}`", *map(show, row[1:])] for row in told.methods.rows]
    yield laid(list(told.methods.header), methods)
    for title, text, table in told.parts():
        yield f"### {title}\n\n{text} {table.caption}.\n\n{shown(table)}"
    if about:
        yield from frozen(told, about)


def studies() -> Iterator[str]:
    """All of them."""
    yield from study(molr_page.Story, molr.MODELS, molr_page.PROBED)
    yield from study(motif_page.Story, motif.MODELS, motif_page.PROBED)
    yield from study(smiles_transformer.Story, smiles_transformer.MODELS)


def shown(table: Table) -> str:
    """A table of a report."""
    return laid(list(table.header), [[show(cell) for cell in row] for row in table.rows])


def frozen(story: Finished, about: str) -> Iterator[str]:
    """Frozen vectors on data sets."""
    for one in story.probed:
        header = ["method", one.metric, "splits", f"minus {one.reference} (95 %)"]
        body = [
            [line.method, f"{show(line.mean)} ± {show(line.sd)}", str(line.splits), gap(line.pair)]
            for line in one.lines
        ]
        yield f"### {one.data}, frozen vectors\n\n{about}\n\n{laid(header, body)}"
        yield from (f"{table.caption}:\n\n{shown(table)}" for table in story.beside(one.data))


def gap(pair: Pair | None) -> str:
    """A difference and its interval."""
    return "–" if pair is None else show(interval(pair.difference, pair.low, pair.high))


def main() -> None:
    """Write the page."""
    PAGE.write_text("\n\n".join([HEAD.strip(), *combining(), *studies()]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

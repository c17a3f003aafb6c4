"""docs/study-results.md, from the rows under `results/combining-modalities`. Measures nothing.

tetramer study combining-modalities --output results/combining-modalities
python benchmarks/study_page.py
"""

from pathlib import Path

from tetramer.benchmark.cells import show
from tetramer.studies.combining_modalities import FREE, MODELS
from tetramer.studies.combining_page import Story
from tetramer.studies.combining_rows import FIT_ROWS, Rows

ROOT = Path(__file__).parents[1]
ROWS, PAGE = ROOT / "results" / "combining-modalities", ROOT / "docs" / "study-results.md"

HEAD = f"""# Results of the study combining-modalities

This page is made from the rows under `results/combining-modalities` by `python benchmarks/study_page.py`;
[Studies](study.md) says what the rows are and how they are made. Mean absolute error in eV on a test part that nothing
was chosen on; all methods are given the rows of {FIT_ROWS.replace("+", " + ")}, of which networks set a tenth aside to
stop. ± is the standard deviation over seeds. Rows that are not here were not measured yet.
"""


def table(rows: Rows, split: str) -> str:
    """One split of one property."""
    here = [row for row in rows.told if row["split"] == split]
    hashes = ", ".join(sorted({row["split_sha256"][:12] for row in here}))
    lines = [
        f"## {rows.data.stem}, {split} split",
        "",
        f"{here[0]['fitted_on']:,} rows given, {here[0]['tested_on']:,} tested; SHA-256 of the splits: {hashes}.",
        "",
        "| model | as | method | MAE, eV | parameters | seeds | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, series, one in Story(rows, MODELS, FREE).entries(split):
        cells = [name, series, f"`{one.method}`", show(one.cell), show(one.parameters), str(len(one.errors))]
        lines.append("| " + " | ".join([*cells, f"{one.seconds / 60:.1f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    parts = [HEAD.strip()]
    for folder in sorted(path.parent for path in ROWS.glob("*/splits.json")):
        target = folder.name.split("-")[1]
        rows = Rows.load(ROWS, ROWS / "data" / f"{folder.name}.parquet", target)
        parts += [table(rows, split) for split in rows.splits]
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

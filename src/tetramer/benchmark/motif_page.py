"""The first rows of a table of `tetramer motifs` on one page, each motif on a colour of its own."""

from pathlib import Path
from typing import NamedTuple

from tetramer.benchmark.report import page, uri
from tetramer.datasets.tables import column, stream_table
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError
from tetramer.molecules.draw import draw_motifs

DRAWN = 200  # rows on a page; a browser opens no page of a million
ABOUT = "Each motif lies on a colour of its own; bonds without colour are cut. A * stands at each end of a cut."


class Item(NamedTuple):
    """One row of the page."""

    row: int  # from 1
    smiles: str
    picture: str  # "": none, and why
    kinds: dict[str, tuple[int, str]]  # motif → how often, and its colour
    why: str


def page_path(output: str) -> Path:
    """Where the page of an output lies: NAME.html beside NAME.csv."""
    if output == "-":
        raise UserError("--draw writes a page beside the output. Name a file with --output.")
    path = Path(output)
    while path.suffix.casefold() in (".gz", ".csv", ".tsv", ".parquet", ".pq"):
        path = path.with_suffix("")
    return path.with_name(f"{path.name}.html")


def write_page(output: str, title: str, rows: int) -> Path:
    """Draw the first rows of an output that has `rows` of them; the file appears whole or not at all."""
    table = next(stream_table(output, DRAWN))
    told = [column(table, name).to_pylist() for name in ("canonical_smiles", "status")]
    items = [item(number, *cells) for number, cells in enumerate(zip(*told, strict=True), start=1)]
    which = f"The first {len(items):,} of {rows:,} rows." if rows > len(items) else f"{rows:,} rows."
    path = page_path(output)
    write_whole(path, page("motifs.html", "tetramer motifs", title, f"{which} {ABOUT}", {"items": items}).encode())
    return path


def item(row: int, smiles: str | None, status: str) -> Item:
    """One row, drawn if it can be."""
    told = draw_motifs(smiles) if smiles else None
    if told is None:
        return Item(row, smiles or "", "", {}, "too large to be drawn" if smiles else status)
    return Item(row, smiles or "", uri(told[0]), told[1], "")

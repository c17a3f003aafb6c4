"""RSMI: a reaction a line, as files of the USPTO patents are, with `|f:0.1|` for fragments of one molecule."""

import re
from collections.abc import Iterator
from itertools import chain, islice

import pyarrow as pa

from tetramer.datasets.delimited import unique_names
from tetramer.datasets.opening import TextStream
from tetramer.datasets.records import CHUNK, lines
from tetramer.molecules.reactions import ARROW, ROLES

LINE = re.compile(r"[ \t]*([^ \t]*(?:[ \t]+\|[^|\t]*\|)?)[ \t]*(.*)")
HEADER = re.compile("smiles|rxn|reaction")
NAMES = ("reaction_smiles", "name")


def read_rsmi(stream: TextStream) -> Iterator[pa.RecordBatch]:
    """The column of reactions, each with the `|…|` behind it, then `name` (the rest of the line), or those of a header.

    A first line without an arrow that begins with a word on reactions or SMILES is a header. Every other line is a row,
    an empty one too.
    """
    texts = lines(stream)
    first, names = next(texts, None), [*NAMES]
    rest: Iterator[str] = chain([] if first is None else [first], texts)
    if first is not None and is_header(first):
        cells = [cell.strip() for cell in (first.split("\t") if "\t" in first else first.split())]
        names, rest = unique_names([*cells, *NAMES[len(cells) :]])[0], texts
    while True:
        rows = [cells_of(text, len(names)) for text in islice(rest, CHUNK)]
        yield pa.record_batch({name: pa.array([row[k] for row in rows], pa.string()) for k, name in enumerate(names)})
        if len(rows) < CHUNK:
            return


def is_header(line: str) -> bool:
    """Whether a first line names columns."""
    return not ARROW.search(line) and HEADER.search(line.strip().partition("\t")[0].casefold()) is not None


def cells_of(line: str, count: int) -> list[str]:
    """The reaction of a line, then `count` - 1 cells with tabs between them; the last one has all that is left."""
    match = LINE.match(line)
    assert match is not None, "it matches every line"
    reaction, behind = match.groups()
    if len(ARROW.split(reaction)) < len(ROLES):  # white space stands around its arrows: it ends at a tab alone
        reaction, _, behind = line.partition("\t")
    cells = behind.split("\t", count - 2)
    return [reaction.strip(), *cells, *[""] * (count - 1 - len(cells))]

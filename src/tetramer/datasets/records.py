"""SMI, SDF and XYZ: structures in their own formats, with the names and properties beside them."""

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, count, islice

import pyarrow as pa

from tetramer.datasets.opening import TextStream, label
from tetramer.datasets.xyz import texts
from tetramer.errors import UserError

SMILES_HEADERS = ("smiles", "canonical_smiles", "isomeric_smiles", "#smiles")
SMILES_TEXT = (
    r"^(\[[^\[\]\s]+\]|Br|Cl|[BCNOPSFIbcnops*])"
    r"(\[[^\[\]\s]+\]|Br|Cl|[BCNOPSFIbcnops*]|->|<-|[-=#$:/\\.~@()]|%\d\d|%\(\d+\)|\d)*$"
)
"""What reads as SMILES by its letters alone; for guessing which column or file holds structures, never for refusing."""
CHUNK = 8_192  # records per batch
LONGEST = 1 << 26  # bytes of one SDF record
BLOCKS = "\0mol block"  # the batch column of an SDF's structures, a name that no property can have
LINE = re.compile(r"[ \t]*([^ \t]*)[ \t]*(.*)")
SEPARATOR = re.compile(r"^\$\$\$\$.*\n", re.MULTILINE)
PROPERTY = re.compile(r">.*?<(.*)>")


def lines(stream: TextStream) -> Iterator[str]:
    """Lines without their ends; a bare carriage return also ends a line."""
    with io.TextIOWrapper(io.BufferedReader(stream, 1 << 20), encoding="utf-8", newline=None) as text:
        for line in text:
            yield line.rstrip("\n")


def read_smi(stream: TextStream) -> Iterator[pa.RecordBatch]:
    """Columns `smiles` and `name` (the rest of the line); every line is a row, an empty one too.

    A first line whose first word is `smiles` is a header.
    """
    rows = (match.groups() for match in map(LINE.match, lines(stream)) if match)
    first = [row for row in islice(rows, 1) if row[0].casefold() not in SMILES_HEADERS]
    rest = chain(first, rows)
    while True:
        some = list(islice(rest, CHUNK))
        yield _smi_batch([row[0] for row in some], [row[1] for row in some])
        if len(some) < CHUNK:
            return


def _smi_batch(smiles: list[str], names: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"smiles": pa.array(smiles, pa.string()), "name": pa.array(names, pa.string())})


def records(stream: TextStream) -> Iterator[str]:
    """The text of each SDF record without its `$$$$`; blank text after the last one is no record."""
    held = ""
    with io.TextIOWrapper(io.BufferedReader(stream, 1 << 20), encoding="utf-8", newline=None) as text:
        while block := text.read(1 << 20):
            *whole, held = SEPARATOR.split(held + block)
            yield from whole
            if len(held) > LONGEST:
                raise UserError(f"{label(stream.path)} has a record of more than {LONGEST >> 20} MB without '$$$$'.")
    *whole, held = SEPARATOR.split(held + "\n")
    yield from whole
    if held.strip():
        yield held


def parse_record(record: str) -> tuple[str, str, dict[str, str]]:
    """Mol block (to `M  END`), title line, properties of one record; values of several lines keep their breaks.

    Without `M  END` the block goes on to the first property, and is damaged: it may lack bonds, or charges. A value
    ends at an empty line; of a property that stands there twice it is the last one.
    """
    end = record.find("\nM  END")
    cut = _block_end(record)
    block = record[:cut] if end >= 0 else _damaged(record[:cut])
    return (block if block.strip() else ""), record.partition("\n")[0].strip(), dict(_properties(record[cut:]))


def _block_end(record: str) -> int:
    """Where the mol block of a record ends."""
    end = record.find("\nM  END")
    cut = record.find("\n", end + 1) + 1 if end >= 0 else record.find("\n>") + 1
    return cut or len(record)


def _properties(text: str) -> Iterator[tuple[str, str]]:
    """Names and values below the mol block of a record."""
    name, value = "", list[str]()
    for line in [*text.split("\n"), ""]:
        if name and line:
            value.append(line)
        elif name:
            yield name, "\n".join(value)
            name, value = "", []
        elif match := PROPERTY.match(line):
            name = match[1]


def _damaged(block: str) -> str:
    """What is left of a mol block, in such a form that it is read as a mol block and refused; blank text is no block.

    Readers know a mol block by its end. Put in the place of the counts, the end makes it one that holds nothing.
    """
    if not block.strip():
        return ""
    head, rest = block.split("\n")[:3], block.split("\n")[3:]
    return "\n".join([*head, *[""] * (3 - len(head)), "M  END", *rest])


def property_names(texts: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """All properties of SDF records in order of first appearance; how many records have one with several values."""
    seen: dict[str, None] = {}
    unclear: dict[str, int] = {}
    for record in texts:
        first: dict[str, str] = {}
        pairs = list(_properties(record[_block_end(record) :]))
        seen.update(dict.fromkeys(name for name, _ in pairs))
        for name in dict.fromkeys(name for name, value in pairs if first.setdefault(name, value) != value):
            unclear[name] = unclear.get(name, 0) + 1
    return list(seen), unclear


def read_sdf(texts: Iterable[str], properties: list[str]) -> Iterator[pa.RecordBatch]:
    """Columns BLOCKS, `name` (the title line), then `properties`, null where a record has none.

    If a property is itself called `name`, the title line is called `title`, `title.1`, …
    """
    free = chain(["name", "title"], (f"title.{number}" for number in count(1)))
    title = next(name for name in free if name not in properties)
    rows = map(parse_record, texts)
    while True:
        some = list(islice(rows, CHUNK))
        columns = {BLOCKS: pa.array([row[0] for row in some], pa.string())}
        columns[title] = pa.array([row[1] for row in some], pa.string())
        for name in properties:
            columns[name] = pa.array([row[2].get(name) for row in some], pa.string())
        yield pa.record_batch(columns)
        if len(some) < CHUNK:
            return


def read_xyz(stream: TextStream) -> Iterator[pa.RecordBatch]:
    """Columns BLOCKS, the text of each frame, and `comment`, its second line.

    A frame whose atoms cannot be read is a row, and is refused where it is read. UserError if the file is not one frame
    after another.
    """
    rows = texts(lines(stream))
    while True:
        try:
            some = [frame for _, frame in islice(rows, CHUNK)]
        except ValueError as error:
            raise UserError(f"{label(stream.path)} cannot be read as XYZ: {error}.") from error
        blocks = pa.array(["\n".join(frame) for frame in some], pa.string())
        yield pa.record_batch({BLOCKS: blocks, "comment": pa.array([frame[1] for frame in some], pa.string())})
        if len(some) < CHUNK:
            return

"""SDF out: a record for each geometry, and beside it a table that says what became of every row."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from tetramer.datasets.writing import TableWriter, spared
from tetramer.errors import UserError
from tetramer.molecules.geometry import mol_block

GEOMETRY = ("atomic_numbers", "coordinates", "energies")  # columns that a record holds in its own way
OURS = ("row", "conformer", "energy", "canonical_smiles", "status")  # properties of a record that we write
UNWRITTEN = "its canonical SMILES cannot be read again, so no record can be written"


class SdfWriter(TableWriter):
    """Append tables with the columns of `geometries.columns`; each geometry becomes a record of OUT.

    OUT.status.csv has a line for every row, with the row's other columns: SDF cannot hold a row without a geometry.
    """

    KINDS: ClassVar[dict[str, str]] = {".sdf": "sdf"}

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.rows = 0
        try:
            self.statuses = TableWriter(status_path(path))
        except UserError:
            super().discard()
            raise

    def append(self, data: pa.Table | pa.RecordBatch) -> None:
        """Write rows; their numbers go on from call to call."""
        table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
        kept, unwritten = np.zeros(table.num_rows, np.int64), []
        with self._guarded():
            for place, row in enumerate(rows(table)):
                self.rows += 1
                try:
                    told = "".join(records(row, self.rows)).encode()
                except ValueError:
                    unwritten.append(place)
                    continue
                kept[place] = len(row["energies"] or ())
                self._bytes += len(told)
                self._out.write(told)
        self.statuses.append(status_table(table, self.rows - table.num_rows, kept, unwritten))

    def finish(self) -> None:
        """Put both files in place."""
        self.statuses.finish()
        super().finish()

    def discard(self) -> None:
        """Remove what was written of both."""
        self.statuses.discard()
        super().discard()


def status_path(path: str | Path) -> Path:
    """OUT.sdf → OUT.status.csv."""
    return Path(path).with_suffix(".status.csv")


def status_table(table: pa.Table, before: int, kept: np.ndarray, unwritten: list[int]) -> pa.Table:
    """Row numbers, the columns that are no geometry, and how many records each row has.

    before: rows of earlier tables   kept: (n,) int64   unwritten: rows of which no record could be made
    """
    data = table.drop_columns(list(GEOMETRY))
    data = data.rename_columns(spared(data.column_names, ("row", "conformers")))
    for name, told in (("status", "CONF_NONE"), ("reason", UNWRITTEN)) if unwritten else ():
        cells = data[name].to_pylist()
        for place in unwritten:
            cells[place] = told
        data = data.set_column(data.column_names.index(name), name, pa.array(cells, pa.string()))
    data = data.append_column("conformers", pa.array(kept))
    return data.add_column(0, "row", pa.array(np.arange(before + 1, before + 1 + len(kept))))


def rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows as dicts, input columns that have the name of a property of ours renamed."""
    inputs = [name for name in table.column_names if name not in (*GEOMETRY, "canonical_smiles", "status", "reason")]
    names = dict(zip(inputs, spared(inputs, OURS), strict=True))
    yield from table.rename_columns([names.get(name, name) for name in table.column_names]).to_pylist()


def records(row: dict[str, Any], number: int) -> Iterator[str]:
    """The records of one row, one a geometry."""
    if row["energies"] is None:
        return
    count = len(row["energies"])
    places = np.array(row["coordinates"], np.float64).reshape(count, -1, 3)
    flat = row["status"].endswith("CONF_2D")
    title = one_line(row.get("name") or row.get("title") or "")[:80]
    for one, energy in enumerate(row["energies"]):
        block = mol_block(row["canonical_smiles"], places[one], title, flat)
        told = {name: value for name, value in row.items() if name not in (*GEOMETRY, "status", "reason")}
        told |= {"row": number, "conformer": one + 1, "energy": None if energy is None else f"{energy:.4f}"}
        told["status"] = row["status"]
        cells = [(re.sub("[<>]", "_", one_line(name)), one_line(told[name])) for name in told if told[name] is not None]
        yield block + "".join(f">  <{name}>\n{cell}\n\n" for name, cell in cells if cell) + "$$$$\n"


def one_line(value: object) -> str:
    """A cell as one line that is no part of an SDF by mistake."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    return f" {text}" if text.startswith(("$$$$", ">")) else text

"""What all views share: columns for many molecules, a batch of some of them, and the way to Arrow and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Features:
    """Columns for n molecules, row i is input i. A ragged column is one flat array cut by n + 1 offsets.

    A row whose view could not be made stays: its `ok` is 0, its spans are empty, its fixed-width cells mean nothing.
    """

    # column → the name of its offsets; None: one value or one fixed-width row a molecule
    COLUMNS: ClassVar[dict[str, str | None]] = {"ok": None}
    ok: np.ndarray  # (n,) uint8

    def __len__(self) -> int:
        return len(self.ok)


@dataclass(frozen=True)
class Batch:
    """Arrays (or, after `layers.to_tensors`, tensors) of `size` molecules. Frozen: to change one is to make another."""

    size: int
    ok: np.ndarray  # (B,) bool, which molecules this view could be made of


@dataclass(frozen=True)
class Settings:
    """How a view is made, beyond its defaults; part of every cache key. Most views have none."""

    def answering(self) -> Self:
        """The same without what only training needs."""
        return self


DEFAULT = Settings()
F = TypeVar("F", bound=Features)


def gather(starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the values of `rows` lie in a flat column, and how many each row has. No loop over rows.

    starts: (n + 1,)   rows: (B,)   →   positions (sum of counts,), counts (B,)
    """
    counts = starts[rows + 1] - starts[rows]
    shift = starts[rows] - (np.cumsum(counts) - counts)  # (B,) flat start minus place in the batch
    return np.arange(counts.sum()) + np.repeat(shift, counts), counts


def offsets(counts: np.ndarray) -> np.ndarray:
    """Counts (n,) → offsets (n + 1,) int64."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def take(features: F, rows: np.ndarray) -> F:
    """The molecules `rows` (B,), in that order, as features of their own."""
    arrays: dict[str, np.ndarray] = {}
    places: dict[str, np.ndarray] = {}
    for name, cut in features.COLUMNS.items():
        column = getattr(features, name)
        if cut is not None and cut not in places:
            places[cut], counts = gather(getattr(features, cut), rows)
            arrays[cut] = offsets(counts)
        arrays[name] = column[rows if cut is None else places[cut]]
    return type(features)(**arrays)


def concat(parts: Sequence[F]) -> F:
    """The molecules of all parts, one part after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    arrays: dict[str, np.ndarray] = {}
    for name, cut in first.COLUMNS.items():
        arrays[name] = np.concatenate([getattr(part, name) for part in parts])
        if cut is not None and cut not in arrays:
            arrays[cut] = offsets(np.concatenate([np.diff(getattr(part, cut)) for part in parts]))
    return type(first)(**arrays)


def to_arrow(features: Features) -> pa.Table:
    """One row a molecule: ragged columns as lists, fixed-width ones as fixed-size lists; flat arrays are not copied."""
    columns = {}
    for name, cut in features.COLUMNS.items():
        array = np.ascontiguousarray(getattr(features, name))
        values = to_array(array.reshape(-1))
        if array.ndim == 2:
            values = pa.FixedSizeListArray.from_arrays(values, array.shape[1])
        columns[name] = pa.LargeListArray.from_arrays(to_array(getattr(features, cut)), values) if cut else values
    return pa.table(columns)


def from_arrow(kind: type[F], table: pa.Table) -> F:
    """The features of a table; its arrays point into the table, which may be a mapped file. No copy."""
    arrays: dict[str, np.ndarray] = {}
    for name, cut in kind.COLUMNS.items():
        column = whole(table[name])
        if cut is not None:
            starts = from_array(column.offsets)
            arrays[cut] = starts - starts[0] if starts[0] else starts
            column = column.flatten()
        if pa.types.is_fixed_size_list(column.type):
            arrays[name] = from_array(column.flatten()).reshape(-1, column.type.list_size)
        else:
            arrays[name] = from_array(column)
    return kind(**arrays)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; copied only if it lies in several pieces."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


# pyarrow's own ways between its arrays and numpy's import pandas where it is installed, which costs a worker more than
# all the rest of its start. These two do not.


def to_array(values: np.ndarray) -> pa.Array:
    """(n,) numbers as an Arrow array on the same memory."""
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def from_array(values: pa.Array) -> np.ndarray:
    """An Arrow array of numbers, none missing, as (n,) numpy on the same memory."""
    kind = np.dtype(values.type.to_pandas_dtype())
    buffer = values.buffers()[1]
    if buffer is None or not len(values):
        return np.empty(0, kind)
    return np.frombuffer(buffer, kind, len(values), values.offset * kind.itemsize)


def to_bytes(features: Features) -> bytes:
    """Arrow IPC file format."""
    table, sink = to_arrow(features), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return bytes(sink.getvalue())


def from_bytes(kind: type[F], data: bytes | memoryview) -> F:
    """What `to_bytes` wrote; the arrays point into `data`."""
    return from_arrow(kind, pa.ipc.open_file(pa.py_buffer(data)).read_all())


def write(features: Features, path: Path) -> None:
    """Features into one Arrow file."""
    table = to_arrow(features)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)


def read(kind: type[F], path: Path) -> F:
    """Features from an Arrow file, mapped into memory, not read."""
    return from_arrow(kind, pa.ipc.open_file(pa.memory_map(str(path))).read_all())

"""Data sets as a benchmark sees them: structures read once, labels beside them, all of it named by one hash."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from tetramer.assays import Assay, assay_of, texts_of
from tetramer.datasets import sources
from tetramer.datasets.index_files import ENDING, IndexFile, load_index
from tetramer.datasets.labels import Labels, labels
from tetramer.datasets.placed import Form, form_of, texts_for
from tetramer.datasets.tables import NUMBERS, PLACES, Table, has_geometry, read_table
from tetramer.errors import UserError
from tetramer.members import REGRESSION
from tetramer.metrics import METRICS
from tetramer.molecules import Standard
from tetramer.reading import read_into
from tetramer.views import Reader, Reading

FIRST = {"regression": "rmse", "binary": "roc-auc", "multiclass": "log-loss"}  # the metric that a table shows first

ENDINGS = r"(\.(csv|tsv|txt|smi|smiles|sdf|parquet|pq))?(\.gz)?$"  # of a file's name, which its rows have not
ALIKE = 3.0  # targets whose standard deviations are further apart have errors that are not averaged
GIVEN = ("conformer",)  # coordinates are read where a table has them, whatever the methods look at


@dataclass(frozen=True)
class Geometry:
    """Given conformers of n molecules, flat: atoms of row i are `starts[i]` to `starts[i + 1]`."""

    starts: np.ndarray  # (n + 1,) int64
    elements: np.ndarray  # (N,) uint8 atomic numbers
    positions: np.ndarray  # (N, 3) float64, Å


@dataclass(frozen=True)
class Case:
    """One data set, read; row i of everything is row i of the table."""

    name: str
    assay: Assay
    reading: Reading
    metric: str  # of METRICS, shown first
    sha256: str  # of structures, targets and labels
    folder: Path  # where the features lie
    geometry: Geometry | None = None
    given: IndexFile | None = None  # splits that are taken as they were written, in place of being made
    source: str | None = None  # of SOURCES; None: a file of somebody's own

    @property
    def form(self) -> Form:
        """What the structures are."""
        return form_of(self.assay.texts)

    @property
    def panel(self) -> bool:
        """Whether it has many targets."""
        return self.assay.labels.panel

    @property
    def standard(self) -> Standard:
        """How they are read."""
        return standard_for(self.assay.texts)

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: a readable structure with at least one label."""
        return np.asarray(np.isfinite(self.assay.labels.values).any(axis=1) & self.reading.ok)

    @property
    def outputs(self) -> int:
        """K of a prediction (n, T, K), as `members.Problem` has it."""
        classes = self.assay.labels.classes
        return max(len(texts or ()) for texts in classes) if self.assay.task == "multiclass" else 1

    def without(self, rows: np.ndarray) -> "Case":
        """The same with no label in `rows` (m,): what a method is given to learn from."""
        values, censor = self.assay.labels.values.copy(), self.assay.labels.censor.copy()
        values[rows], censor[rows] = np.nan, 0
        return replace(self, assay=replace(self.assay, labels=replace(self.assay.labels, values=values, censor=censor)))


def check_alike(assay: Assay, known: str) -> None:
    """UserError for targets of a file whose errors mean nothing together; a public set is judged as it is published."""
    if known in sources.SOURCES or assay.task != REGRESSION or len(assay.labels.names) == 1:
        return
    spread = np.nanstd(assay.labels.values, axis=0)
    if spread.max() > ALIKE * spread.min():
        raise UserError(
            f"The targets of {known} spread by {spread.min():.3g} to {spread.max():.3g}, so a mean of their errors is "
            "that of none. Compare each by itself, with its own --target."
        )


@dataclass(frozen=True)
class Opened:
    """A data set whose structures are still to be read."""

    name: str
    assay: Assay
    metric: str
    geometry: Geometry | None
    source: str | None

    def read(
        self, cache: Path, views: Sequence[str] = ("fingerprint", "graph"), given: IndexFile | None = None
    ) -> Case:
        """With its structures; what is read of them is kept in a folder of `cache` and taken from there the next time.

        Other targets of the same structures, named otherwise or not, find them there as well.
        views: what is read besides canonical SMILES   given: splits that are not made anew
        """
        assay = self.assay
        folder = cache / hashlib.sha256("\n".join(assay.texts).encode()).hexdigest()[:16]
        with Reader(standard_for(assay.texts)) as reader:
            reading = read_into(folder, reader, assay.texts, views, lambda *_: None)
        return Case(self.name, assay, reading, self.metric, hash_of(assay), folder, self.geometry, given, self.source)

    def given(self, folder: str | None) -> IndexFile | None:
        """The splits of this set in a folder of index files. UserError if they are not there, or are of other data."""
        if folder is None:
            return None
        path = Path(folder) / f"{self.name}{ENDING}"
        found = load_index(path)
        if found.data_sha256 != hash_of(self.assay):
            raise UserError(f"{path} holds splits of other data than {self.name} as it is now: rows or labels differ.")
        return found


def opened(
    data: str, targets: Sequence[str] = (), smiles: str | None = None, split_column: str | None = None
) -> Opened:
    """A data set of SOURCES ("esol"; "hiv:10000" is 10,000 rows drawn once and for all) or a user's table.

    split_column: what a rule of `splits.COLUMNS` looks at. UserError for a set, target or column that is not there.
    """
    known, _, wanted = data.rpartition(":") if data.rpartition(":")[2].isdigit() else (data, "", "")
    if known in sources.SOURCES:
        source, table, name = sources.SOURCES[known], sources.load(known), known
        if not source.metric:
            raise UserError(f"{known!r} has no labels to predict. `tetramer datasets` lists those that have.")
        targets, metric = list(targets) or list(sources.targets(known, table)), source.metric
        texts = texts_for(GIVEN, table, source.smiles or None)
    elif Path(known).is_file():
        table, name, metric = read_table(Path(known)), re.sub(ENDINGS, "", Path(known).name), ""
        if not targets:
            raise UserError(f"Name the column to predict in {known} with --target.")
        texts = texts_for(GIVEN, table, smiles)
    else:
        raise UserError(sources.unknown(data))
    if wanted:
        if not 0 < int(wanted) <= len(texts):
            raise UserError(f"{known} has {len(texts):,} rows, so {int(wanted):,} cannot be drawn.")
        rows = np.sort(np.random.Generator(np.random.Philox(0)).permutation(len(texts))[: int(wanted)])
        texts, name = [texts[row] for row in rows.tolist()], f"{name}-{wanted}"
        table = replace(table, data=table.data.take(rows), blocks=None)
    assay = assay_of(texts, once(labels(table, list(targets))), None)
    check_alike(assay, known)
    if split_column:
        assay = replace(assay, keys=texts_of(table, split_column))
    fits = metric in METRICS and assay.task in METRICS[metric].tasks
    public = known if known in sources.SOURCES else None
    return Opened(name, assay, metric if fits else FIRST[assay.task], geometry_of(table), public)


def case_of(
    data: str,
    cache: Path,
    targets: Sequence[str] = (),
    smiles: str | None = None,
    split_column: str | None = None,
    views: Sequence[str] = ("fingerprint", "graph"),
) -> Case:
    """A data set as `opened` finds it, with its structures."""
    return opened(data, targets, smiles, split_column).read(cache, views)


def standard_for(texts: Sequence[str]) -> Standard:
    """How structures are read, as `modelling.train` does it."""
    return Standard(reactions=form_of(texts) == "reaction")


def once(told: Labels) -> Labels:
    """Without targets that repeat an earlier one value by value, which would count twice in every mean."""
    keys = [column.tobytes() for column in np.nan_to_num(told.values, nan=1e300).T]
    kept = [place for place, key in enumerate(keys) if keys.index(key) == place]
    names, classes = tuple(told.names[place] for place in kept), tuple(told.classes[place] for place in kept)
    return Labels(names, told.values[:, kept], told.censor[:, kept], classes)


def hash_of(assay: Assay) -> str:
    """SHA-256 of structures as given, names of the targets, labels and bounds."""
    found = hashlib.sha256("\n".join([*assay.texts, *assay.labels.names]).encode())
    found.update(np.nan_to_num(assay.labels.values, nan=1e300).tobytes())
    found.update(assay.labels.censor.tobytes())
    return found.hexdigest()


def geometry_of(table: Table) -> Geometry | None:
    """The atoms and places of a table's molecules, where it has them; of several conformers the first."""
    if not has_geometry(table):
        return None
    lists = [table.data[name].combine_chunks() for name in (NUMBERS, PLACES)]
    elements, flat = (column.flatten().to_numpy(zero_copy_only=False) for column in lists)
    sizes, wide = (np.asarray(pa.compute.list_value_length(column).fill_null(0)) for column in lists)
    starts, first = (np.concatenate([[0], np.cumsum(counts)]).astype(np.int64) for counts in (sizes, wide // 3))
    atoms = np.arange(starts[-1]) + np.repeat(first[:-1] - starts[:-1], sizes)
    return Geometry(starts, elements.astype(np.uint8), flat.reshape(-1, 3)[atoms].astype(np.float64))

"""Tables of geometries, the work of `tetramer conformers`; `datasets.placed` reads them again.

text ──Reader──▶ Reading (features of the conformer view) ──columns──▶ Arrow table ──shards──▶ Parquet or SDF
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tetramer import shards
from tetramer.checkpoint import config_hash
from tetramer.datasets.sdf import SdfWriter, status_path
from tetramer.datasets.writing import TableWriter
from tetramer.errors import UserError
from tetramer.molecules import Standard
from tetramer.molecules.conformers import MAKER
from tetramer.views import Reading
from tetramer.views.conformer import ConformerFeatures, ConformerSettings

ROWS = 992  # of a shard: what a killed run does twice takes seconds; 31 × 32, so a worker is asked for 32 at a time
FORMAT = 1  # of the columns


@dataclass(frozen=True)
class Job(shards.Job):
    """`shards.Job` whose output holds geometries: Parquet, or SDF with a table of statuses beside it."""

    rows: int = ROWS

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = Path(self.output).suffix.casefold()
        if kind not in (".sdf", ".parquet", ".pq"):
            raise UserError(f"{self.output} cannot hold geometries. End the name of --output in .sdf or .parquet.")
        beside = status_path(self.output)
        if kind == ".sdf" and beside.exists() and Path(self.source).exists() and beside.samefile(self.source):
            raise UserError(f"{beside} is the input, and would hold the statuses. Give --output another name.")

    def writer(self) -> TableWriter:
        """SDF by its ending, else Parquet."""
        return SdfWriter(self.output) if Path(self.output).suffix.casefold() == ".sdf" else TableWriter(self.output)


def job(
    source: str,
    output: str,
    settings: ConformerSettings,
    standard: Standard,
    smiles: str | None = None,
    on_error: str = "keep",
) -> Job:
    """The work of turning a table of molecules into one of geometries.

    An SDF cannot hold a row without a geometry, and its table of statuses holds them all, so there "skip" is "keep".
    """
    key = config_hash(["conformers", FORMAT, MAKER, asdict(settings), asdict(standard)])
    if on_error == "skip" and Path(output).suffix.casefold() == ".sdf":
        on_error = "keep"
    return Job(source, output, ("conformer",), columns, key, smiles, on_error)


def columns(reading: Reading) -> dict[str, pa.Array]:
    """Output columns of every row, in order; cells of rows without geometry are null.

    canonical_smiles; atomic_numbers, list<uint8>: its atoms in its order, then the hydrogens of each in turn;
    coordinates, list<float32>: x, y, z of the first atom, then of the next, in Å, then the same of the next conformer;
    energies, list<float32>: one a conformer, kcal/mol above the lowest; status; reason.
    """
    made = reading.features["conformer"]
    assert isinstance(made, ConformerFeatures)
    missing = pa.array(made.ok == 0)
    energies = pa.array(made.energies, from_pandas=True)  # a NaN is not known
    return {
        "canonical_smiles": pa.array([text or None for text in reading.smiles], pa.string()),
        "atomic_numbers": listed(made.atom_starts, pa.array(made.numbers), missing),
        "coordinates": listed(3 * made.place_starts, pa.array(made.positions.reshape(-1)), missing),
        "energies": listed(made.geometry_starts, energies, missing),
    } | reading.status_columns(made.ok == 1)


def listed(starts: np.ndarray, values: pa.Array, missing: pa.Array) -> pa.Array:
    """Flat values cut by offsets (n + 1,) as a column of lists, null where `missing`."""
    return pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), values, mask=missing)

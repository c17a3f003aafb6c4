"""Readers of the formats that public data sets come in, each: checked files → one table."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from tetramer.datasets.archives import tar_members, unpacked, zip_members
from tetramer.datasets.opening import TextStream, label, open_bytes
from tetramer.datasets.records import lines, parse_record
from tetramer.datasets.tables import Table, read_table
from tetramer.datasets.xyz import QM9, geometry_columns, qm9_frame, read_json_xyz
from tetramer.errors import UserError

PARTS = ("train", "valid", "test")
MB = 1_000_000
GDB9_SDF, GDB9_CSV = "gdb9.sdf", "gdb9.sdf.csv"
NUMBER_OF = {"H": 1, "Li": 3, "B": 5, "C": 6, "N": 7, "O": 8, "F": 9, "Na": 11, "Mg": 12, "Si": 14, "P": 15, "S": 16}
NUMBER_OF |= {"Cl": 17, "K": 19, "Ca": 20, "Br": 35, "I": 53}  # the elements of SPICE
FREESOLV = ("id", "smiles", "name", "expt", "expt_uncertainty", "calc", "calc_uncertainty")
FREESOLV_REST = ("expt_reference", "calc_reference", "notes")


@contextmanager
def _as_published(path: Path) -> Iterator[None]:
    """Whatever is not as it must be, as one sentence."""
    try:
        yield
    except (ValueError, KeyError, pa.ArrowException) as error:
        told = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise UserError(f"{label(path)} does not have the format of its data set: {told}.") from error


def plain(paths: Sequence[Path]) -> Table:
    """One file that `read_table` reads."""
    return read_table(paths[0])


def named_values(paths: Sequence[Path]) -> Table:
    """SMI with names + CSV of (name, value) → smiles, name, value, in the order of the SMI."""
    molecules, measured = read_table(paths[0]), read_table(paths[1])
    with _as_published(paths[1]):
        keys, numbers = measured.data.columns
        place = pc.index_in(molecules.data["name"], value_set=keys.combine_chunks())
        if place.null_count:
            raise ValueError(f"{place.null_count} molecules of {label(paths[0])} have no value")
    return Table(molecules.data.append_column("pIC50", numbers.take(place)), label(paths[0]), structure="smiles")


def rexgen_zip(paths: Sequence[Path]) -> Table:
    """USPTO-MIT and USPTO-15K: a zip of data/{train,valid,test}.txt, a mapped reaction, a blank and its edits a line.

    Columns `split`, `reaction_smiles_mapped`, `bond_edits`.
    """
    texts = zip_members(paths[0], [f"data/{part}.txt" for part in PARTS], 400 * MB)
    with _as_published(paths[0]):
        tables = []
        for part, text in zip(PARTS, texts, strict=True):
            cells = [line.partition(" ") for line in text.decode().splitlines()]
            columns = {"reaction_smiles_mapped": [cell[0] for cell in cells], "bond_edits": [cell[2] for cell in cells]}
            tables.append(_with_split(part, columns))
        if not all(pc.all(pc.match_substring(table["reaction_smiles_mapped"], ">")).as_py() for table in tables):
            raise ValueError("a line does not begin with a reaction")
    return Table(pa.concat_tables(tables), label(paths[0]))


def _with_split(part: str, columns: dict[str, list[str]]) -> pa.Table:
    count = len(next(iter(columns.values())))
    texts = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    return pa.table({"split": pa.array([part] * count, pa.string())} | texts)


def arrow_lines(paths: Sequence[Path]) -> Table:
    """USPTO-50k: a file each of train, valid and test, with lines `PRODUCT >> REACTANTS`; columns as the words say."""
    tables = []
    for part, path in zip(PARTS, paths, strict=True):
        with TextStream(path) as stream, _as_published(path):
            cells = [line.split(" >> ") for line in lines(stream)]
            if not all(len(cell) == 2 for cell in cells):
                raise ValueError("a line is not `product >> reactants`")
            tables.append(_with_split(part, {"product": [c[0] for c in cells], "reactants": [c[1] for c in cells]}))
    return Table(pa.concat_tables(tables), label(paths[0]))


def gdb9(paths: Sequence[Path]) -> Table:
    """QM9 as DeepChem packs it: mol blocks of gdb9.sdf beside the columns of gdb9.sdf.csv, row by row."""
    wanted = {GDB9_SDF, GDB9_CSV}
    held = dict(tar_members(paths[0], wanted.__contains__, 700 * MB, 1_000 * MB))
    with _as_published(paths[0]):
        names = held[GDB9_CSV].split(b"\n", 1)[0].decode().strip().split(",")
        options = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        data = pacsv.read_csv(io.BytesIO(held[GDB9_CSV]), convert_options=options)
        records = re.split(r"^\$\$\$\$.*\n?", held[GDB9_SDF].decode(), flags=re.MULTILINE)
        blocks = pa.array([parse_record(record)[0] for record in records if record.strip()], pa.string())
        if len(blocks) != data.num_rows:
            raise ValueError(f"{GDB9_SDF} has {len(blocks)} records, {GDB9_CSV} {data.num_rows} rows")
    return Table(data, label(paths[0]), blocks=pa.chunked_array([blocks]))


def qm9_tar(paths: Sequence[Path]) -> Table:
    """QM9 as published, one XYZ file a molecule: `mol_id`, `smiles` (of GDB-17), `smiles_relaxed`, QM9, geometry."""
    is_frame = re.compile(r"dsgdb9nsd_\d{6}\.xyz").fullmatch
    members = tar_members(paths[0], lambda name: bool(is_frame(name)), MB, 1_000 * MB)
    with _as_published(paths[0]):
        told = [(name, *qm9_frame(text.decode())) for name, text in members]
        told.sort(key=lambda row: row[0])
        columns: dict[str, pa.Array] = {
            "mol_id": pa.array([row[4] for row in told], pa.string()),
            "smiles": pa.array([row[3][0] for row in told], pa.string()),
            "smiles_relaxed": pa.array([row[3][1] for row in told], pa.string()),
        }
        for place, name in enumerate(QM9):
            columns[name] = pa.array([row[2][place] for row in told], pa.float64())
        return Table(pa.table(columns | geometry_columns([row[1] for row in told])), label(paths[0]))


def json_xyz(paths: Sequence[Path]) -> Table:
    """Extended XYZ whose comments are JSON objects."""
    with unpacked(paths[0], 100 * MB) as stream, _as_published(paths[0]):
        return Table(read_json_xyz(io.TextIOWrapper(stream, encoding="utf-8")), label(paths[0]))


def cxsmiles(paths: Sequence[Path]) -> Table:
    """CSV whose SMILES carry coordinates: `SMILES |(x,y,z;…)…|` → smiles, coordinates (list<float32>, Å), the rest.

    Coordinates are those of the atoms in the order of the SMILES, hydrogens are written out; an empty one is 0. What
    CXSMILES says beyond them (wedges of bonds) follows from them and is dropped.
    """
    table = read_table(paths[0])
    with _as_published(paths[0]):
        place = table.columns.index("smiles")
        cells = pc.extract_regex(table.data["smiles"], r"^(?P<smiles>\S+) \|\((?P<places>[^)]*)\)[^|]*\|$")
        if cells.null_count:
            raise ValueError(f"{cells.null_count} rows have no coordinates")
        words = pc.split_pattern_regex(pc.struct_field(cells, "places"), "[,;]").combine_chunks()
        numbers = pc.if_else(pc.equal(words.values, ""), "0", words.values).cast(pa.float32())
        data = table.data.set_column(place, "smiles", pc.struct_field(cells, "smiles"))
        return Table(data.append_column("coordinates", pa.ListArray.from_arrays(words.offsets, numbers)), table.name)


def freesolv(paths: Sequence[Path]) -> Table:
    """FreeSolv: mol blocks of sdffiles/ID.sdf beside the columns of database.txt, in its order; energies kcal/mol."""
    with TextStream(paths[1]) as stream, _as_published(paths[1]):
        rows = [line.split(";") for line in lines(stream) if line.strip() and not line.startswith("#")]
        names = FREESOLV + FREESOLV_REST
        if any(len(row) != len(names) for row in rows):
            raise ValueError(f"a line does not have {len(names)} fields")
        columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(names)}
    wanted = {f"sdffiles/{name}.sdf" for name in columns["id"]}
    held = dict(tar_members(paths[0], wanted.__contains__, MB, 100 * MB))
    with _as_published(paths[0]):
        blocks = pa.array([parse_record(held[f"sdffiles/{name}.sdf"].decode())[0] for name in columns["id"]])
    return Table(pa.table(columns), label(paths[0]), blocks=pa.chunked_array([blocks], pa.string()))


def hdf5(paths: Sequence[Path]) -> Table:
    """SPICE: a group a molecule, `smiles` (every atom mapped) and `conformations` (K, atoms, 3) in nm.

    Columns `name`, `smiles`, `atomic_numbers` and `coordinates` (list<float32>, Å): the K conformers one after another,
    atoms in the order of the map numbers, which start at 1.
    """
    try:
        h5py = import_module("h5py")
    except ImportError:
        raise UserError(
            f"{label(paths[0])} is an HDF5 file, which needs h5py: pip install 'tetramer[hdf5]'. It lies at {paths[0]}."
        ) from None
    rows: list[tuple[str, str]] = []
    placed: list[tuple[list[int], np.ndarray]] = []
    with _as_published(paths[0]), open_bytes(paths[0]) as file, _hdf5(h5py, file) as held:
        for name in held:
            text = held[name]["smiles"][0].decode()
            numbers, places = mapped_numbers(text), np.asarray(held[name]["conformations"], np.float32)
            if places.ndim != 3 or places.shape[1:] != (len(numbers), 3):
                raise ValueError(f"{name!r} has {len(numbers)} mapped atoms, and conformations of shape {places.shape}")
            rows.append((name, text))
            placed.append((numbers, 10 * places.ravel()))
    return Table(
        pa.table(
            {
                "name": pa.array([row[0] for row in rows], pa.string()),
                "smiles": pa.array([row[1] for row in rows], pa.string()),
                "atomic_numbers": pa.array([one[0] for one in placed], pa.list_(pa.uint8())),
                "coordinates": pa.array([one[1] for one in placed], pa.list_(pa.float32())),
            }
        ),
        label(paths[0]),
    )


@contextmanager
def _hdf5(h5py: ModuleType, file: IO[bytes]) -> Iterator[Any]:
    """An open HDF5 file; what is none is a ValueError."""
    try:
        held = h5py.File(file, "r")
    except OSError as error:
        raise ValueError(str(error)) from error
    with held:
        yield held


def mapped_numbers(smiles: str) -> list[int]:
    """Atomic numbers in the order of the map numbers 1, 2, …; ValueError if an atom has none or is not known."""
    found = {int(place): symbol for symbol, place in re.findall(r"\[\d*([A-Z][a-z]?|[a-z]{1,2})[^]:]*:(\d+)\]", smiles)}
    if sorted(found) != list(range(1, smiles.count("[") + 1)) or not found.items():
        raise ValueError(f"{smiles!r} does not map every atom")
    unknown = {symbol.capitalize() for symbol in found.values()} - NUMBER_OF.keys()
    if unknown:
        raise ValueError(f"{smiles!r} has the element {min(unknown)}")
    return [NUMBER_OF[found[place].capitalize()] for place in sorted(found)]


READERS: dict[str, Callable[[Sequence[Path]], Table]] = {
    "plain": plain,
    "named-values": named_values,
    "rexgen-zip": rexgen_zip,
    "arrow-lines": arrow_lines,
    "gdb9": gdb9,
    "qm9-tar": qm9_tar,
    "json-xyz": json_xyz,
    "cxsmiles": cxsmiles,
    "freesolv": freesolv,
    "hdf5": hdf5,
}
"""A source's `reader` → reader(files, one a part, in order)."""

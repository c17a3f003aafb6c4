"""Tables of geometries: a row for a row, in Parquet and in SDF, and back again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from tetramer import geometries, shards
from tetramer.assays import Files, read_files
from tetramer.datasets.placed import column_for, column_like, geometry, placed, texts_for
from tetramer.datasets.tables import read_table, structures
from tetramer.errors import UserError
from tetramer.molecules import Limits, Molecule, Standard, parse
from tetramer.molecules.geometry import distances
from tetramer.views import Reader
from tetramer.views.conformer import ConformerSettings
from tetramer.views.read import FLAT

ROWS = ["CCO,ethanol,1", "C1CC,open,2", "[Na+].[Cl-],salt,=3", f"{'C' * 130},long,4", ",none,5", "OCCCO,diol,6"]
CODES = ["ok", "PARSE", "ok", "ok:CONF_2D", "EMPTY", "ok"]


PLAIN = Standard()


@pytest.fixture
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "in.csv"
    path.write_text("\n".join(["smiles,name,status", *ROWS]) + "\n")
    return str(path)


def run(
    source: str,
    output: Path | str,
    count: int = 2,
    workers: int = 0,
    rows: int = geometries.ROWS,
    standard: Standard = PLAIN,
    **options: str,
) -> shards.Counts:
    settings = ConformerSettings(count)
    job = replace(geometries.job(source, str(output), settings, standard, **options), rows=rows)
    with Reader(standard, Limits(workers), {"conformer": settings}) as reader:
        return shards.apply(job, reader)


def test_parquet_has_a_row_for_every_row(table: str, tmp_path: Path) -> None:
    counts = run(table, out := tmp_path / "out.parquet")
    assert counts == shards.Counts(6, {"ok": 3, "PARSE": 1, "ok:CONF_2D": 1, "EMPTY": 1})
    told = pq.read_table(out)
    assert told.column_names == [
        *("smiles", "name", "status_input", "canonical_smiles", "atomic_numbers", "coordinates", "energies"),
        *("status", "reason"),
    ]
    assert told["status"].to_pylist() == CODES
    assert told["reason"].to_pylist()[3:5] == [FLAT, "no text"]
    rows = told.to_pylist()
    assert [row["atomic_numbers"] is None for row in rows] == [code in ("PARSE", "EMPTY") for code in CODES]
    assert rows[0]["atomic_numbers"] == [6, 6, 8, 1, 1, 1, 1, 1, 1]
    assert len(rows[0]["coordinates"]) == 27
    assert rows[0]["energies"] == [0.0]
    assert rows[3]["energies"] == [None]  # nobody asks a drawing for its energy
    assert len(rows[5]["coordinates"]) == 2 * 3 * len(rows[5]["atomic_numbers"])
    assert told.schema.field("coordinates").type == pa.list_(pa.float32())


def test_what_was_written_is_read_as_given_geometry(table: str, tmp_path: Path) -> None:
    run(table, out := tmp_path / "out.parquet")
    told = pq.read_table(out)
    texts = placed(read_table(out), "smiles")
    assert texts[1] == "C1CC"
    assert texts[3] == "C" * 130  # a drawing is no geometry, and is not given as one
    for row in (0, 2, 5):
        one = parse(texts[row])
        assert isinstance(one, Molecule)
        assert one.geometry is not None
        places = np.array(told["coordinates"][row].as_py(), np.float64).reshape(one.geometry.shape)
        for given, wanted in zip(one.geometry, places, strict=True):
            np.testing.assert_allclose(np.sort(distances(given).ravel()), np.sort(distances(wanted).ravel()), atol=1e-6)
    pq.write_table(told.drop_columns(["status", "smiles", "canonical_smiles"]), bare := tmp_path / "bare.parquet")
    assert placed(read_table(bare))[3].startswith("392\n")
    assert texts_for(("graph",), read_table(bare)) == placed(read_table(bare))  # nothing else tells the structures
    assert texts_for(("graph",), read_table(out), "smiles") == structures(read_table(out), "smiles")
    assert texts_for(("graph", "conformer"), read_table(out), "smiles") == texts


@pytest.mark.parametrize(
    ("standard", "smiles", "expected"),
    [
        (Standard(salts="largest"), "CCO.Cl", "CCO"),
        (Standard(charges="neutral"), "CC(=O)[O-]", "CC(=O)O"),
        (Standard(tautomers="canonical"), "OC1=CCCCC1", "O=C1CCCCC1"),
    ],
)
@pytest.mark.parametrize("views", [("conformer",), ("graph",)])
def test_geometry_of_a_standardised_molecule_is_read_as_that(
    standard: Standard, smiles: str, expected: str, views: tuple[str, ...], tmp_path: Path
) -> None:
    """The column `smiles` still has what came in, of which the geometry knows nothing; a model that has read it before
    is no reason to take it."""
    (source := tmp_path / "in.csv").write_text(f"smiles,y\n{smiles},1.5\nC1CC,2.5\n" + "CCC,1\n" * 30)
    run(str(source), out := tmp_path / "out.parquet", standard=standard)
    table = read_table(out)
    assert structures(table, "smiles")[0] == smiles
    texts = texts_for(views, table)
    for named in (column_for(table), column_like(table, ("smiles",)), column_like(table, ("canonical_smiles",))):
        assert texts_for(views, table, named) == texts
    told = parse(texts[0])
    assert isinstance(told, Molecule)
    assert (told.smiles, told.geometry is None) == (expected, views == ("graph",))
    assert texts[1] == ""  # what was refused stays so
    assay, _ = read_files(Files(out, ["y"], views=views))
    assert (assay.texts, assay.columns) == (texts, ("canonical_smiles",))
    run(str(out), tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet")["status"].to_pylist() == ["ok", "EMPTY", *["ok"] * 30]


def test_all_conformers_of_a_table_are_read(table: str, tmp_path: Path) -> None:
    """To the last number that Parquet keeps, and whatever number would be made; the same again by the next verb."""
    run(table, out := tmp_path / "several.parquet", count=5)
    run(str(out), again := tmp_path / "again.parquet", count=1)
    first, other = (pq.read_table(path).to_pylist() for path in (out, again))
    assert [row["status"] for row in other] == [*CODES[:1], "EMPTY", *CODES[2:]]
    assert [len(row["energies"] or ()) for row in first] == [1, 0, 1, 1, 0, 3]
    for row, given in zip(first, other, strict=True):
        assert row["atomic_numbers"] == given["atomic_numbers"]
        assert given["energies"] == (row["energies"] and [None] * len(row["energies"]))
        if row["status"] == "ok":
            places = [np.array(one["coordinates"]).reshape(len(one["energies"]), -1, 3) for one in (row, given)]
            for one, same in zip(*places, strict=True):
                np.testing.assert_allclose(np.sort(distances(one).ravel()), np.sort(distances(same).ravel()), atol=1e-5)


@pytest.mark.parametrize(
    ("numbers", "places", "good"),
    [
        ([8, 1, 1], [[0, 0, 0], [0, 0, 0.96], [0, 0.93, -0.24]], True),
        ([8, 1, 1], 2 * [[[0, 0, 0], [0, 0, 0.96], [0, 0.93, -0.24]]], True),
        ([8, 1, 1], [0.0] * 12, False),  # one molecule and a third
        ([8, 1], [[0, 0, 0], [0, 0]], False),
        ([8, 119], [0, 0, 0, 0, 0, 1], False),
    ],
)
def test_lists_that_are_no_geometry_are_refused(numbers: list[int], places: list[object], good: bool) -> None:
    told = parse(geometry(numbers, places, "O"))
    assert isinstance(told, Molecule) == good


def test_sdf_has_a_record_for_every_geometry_and_a_table_for_every_row(table: str, tmp_path: Path) -> None:
    run(table, out := tmp_path / "out.sdf")
    told = list(Chem.SDMolSupplier(str(out), removeHs=False))
    assert [mol.GetIntProp("row") for mol in told] == [1, 3, 4, 6, 6]
    assert [mol.GetIntProp("conformer") for mol in told] == [1, 1, 1, 1, 2]
    assert [mol.HasProp("energy") for mol in told] == [True, True, False, True, True]
    assert 0 == told[3].GetDoubleProp("energy") < told[4].GetDoubleProp("energy")
    assert [mol.GetProp("_Name") for mol in told] == ["ethanol", "salt", "long", "diol", "diol"]
    assert [mol.GetConformer().Is3D() for mol in told] == [True, True, False, True, True]
    assert told[1].GetProp("status_input") == "=3"
    assert told[2].GetProp("status") == "ok:CONF_2D"
    assert Chem.MolToSmiles(Chem.RemoveHs(told[0])) == told[0].GetProp("canonical_smiles")
    beside = read_table(tmp_path / "out.status.csv").data
    assert beside["row"].to_pylist() == ["1", "2", "3", "4", "5", "6"]
    assert beside["status"].to_pylist() == CODES
    assert beside["conformers"].to_pylist() == ["1", "0", "1", "1", "0", "2"]
    assert beside["status_input"].to_pylist() == ["1", "2", "=3", "4", "5", "6"]


def test_sdf_is_read_again_with_its_places(table: str, tmp_path: Path) -> None:
    run(table, tmp_path / "out.sdf")
    run(str(tmp_path / "out.sdf"), tmp_path / "again.parquet")
    run(table, tmp_path / "out.parquet")
    first, again = (pq.read_table(tmp_path / name).to_pylist() for name in ("out.parquet", "again.parquet"))
    assert [row["status"] for row in again] == ["ok", "ok", "ok:CONF_2D", "ok", "ok"]
    assert [row["energies"] for row in again] == [[None]] * 5
    for row, other in ((0, 0), (5, 3)):
        places = [np.array(one["coordinates"]).reshape(-1, 3) for one in (first[row], again[other])]
        away = [np.sort(distances(at[: len(first[row]["atomic_numbers"])]).ravel()) for at in places]
        np.testing.assert_allclose(*away, atol=3e-4)


@pytest.mark.parametrize("ending", ["sdf", "parquet"])
def test_skipped_rows_and_failures(ending: str, table: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{ending}"
    counts = run(table, out, on_error="skip")
    assert counts.rows == 6
    if ending == "parquet":
        assert pq.read_table(out).num_rows == 4
    else:
        assert len(read_table(out.with_suffix(".status.csv"))) == 6
        assert [mol.GetIntProp("row") for mol in Chem.SDMolSupplier(str(out))] == [1, 3, 4, 6, 6]
    with pytest.raises(shards.Refused, match="2 of 6 structures were refused"):
        run(table, tmp_path / f"none.{ending}", on_error="fail")
    assert {path.name for path in tmp_path.iterdir()} <= {out.name, "out.status.csv"}


def test_the_number_of_workers_does_not_change_a_byte(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("\n".join(["smiles", *("C" * (1 + k % 3) + "O" for k in range(21)), "C1CC"]) + "\n")
    told = []
    for workers in (0, 2):
        out = tmp_path / f"out{workers}.sdf"
        run(str(source), out, 1, workers, rows=8)
        told.append([path.read_bytes() for path in (out, out.with_suffix(".status.csv"))])
    assert told[0] == told[1]
    run(str(source), tmp_path / "whole.sdf", 1)
    assert (tmp_path / "whole.sdf").read_bytes() == told[0][0]  # nor does the size of a shard


def test_names_that_cannot_be_written_are_told_before_the_work(table: str, tmp_path: Path) -> None:
    for name in ("out.csv", "out", "-", "out.sdf.gz"):
        with pytest.raises(UserError, match=r"cannot hold geometries. End the name of --output in .sdf or .parquet"):
            run(table, tmp_path / name if name != "-" else name)
    beside = tmp_path / "out.status.csv"
    beside.write_text("smiles\nC\n")
    with pytest.raises(UserError, match="is the input, and would hold the statuses"):
        run(str(beside), tmp_path / "out.sdf")
    assert beside.read_text() == "smiles\nC\n"


def test_keys_tell_settings_apart() -> None:
    def key(count: int = 1, optimise: bool = True, **standard: str) -> str:
        return geometries.job("x", "y.sdf", ConformerSettings(count, optimise), Standard(**standard)).key

    assert len({key(), key(2), key(1, False), key(salts="largest")}) == 4
    assert key() == key()

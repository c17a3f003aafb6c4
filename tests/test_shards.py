"""One row in, one row out: in order, whatever the row holds, whatever the format, however often it is interrupted."""

import contextlib
import gzip
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as cases
from hypothesis import strategies as st
from rdkit import Chem

from tetramer import shards
from tetramer.datasets.tables import read_table
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.shards import Counts, Job, apply, spared
from tetramer.views import Reader, Reading

GOOD = ["CCO", "c1ccccc1", "CC(=O)O", "N[C@@H](C)C(=O)O"]
BAD = {"": "EMPTY", "C1CC": "PARSE", "C(C)(C)(C)(C)C": "SANITIZE", "not a molecule": "CONTROL_CHAR"}


def columns(reading: Reading) -> dict[str, pa.Array]:
    """The number of atoms, hydrogens included: exact, so that a shifted row is seen."""
    atoms = reading.features["fingerprint"].elements.sum(axis=1).astype(float)
    atoms[~reading.ok] = np.nan
    return {"atoms": pa.array(atoms, from_pandas=True)} | reading.status_columns(reading.ok)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(limits=Limits(0)) as opened:
        yield opened


def job(source: Path | str, output: Path | str, **more: Any) -> Job:
    return Job(source, output, ["fingerprint"], columns, "key", **more)


def write_csv(path: Path, texts: Sequence[str], names: Sequence[str] = ("id", "smiles")) -> Path:
    path.write_text("\n".join([",".join(names), *(f"{k},{text}" for k, text in enumerate(texts))]) + "\n")
    return path


def table(path: Path) -> pa.Table:
    return read_table(path).data


def test_a_table_exactly(reader: Reader, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", ["CCO", "C1CC", "c1ccccc1"])
    assert apply(job(source, tmp_path / "out.csv"), reader) == Counts(3, {"ok": 2, "PARSE": 1})
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "id,smiles,atoms,status,reason"
    assert lines[1] == "0,CCO,9,ok,"
    assert lines[2].startswith("1,C1CC,,PARSE,")
    assert lines[3] == "2,c1ccccc1,12,ok,"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@cases(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*GOOD, *BAD]), min_size=1, max_size=30), st.sampled_from([1, 3, 64, 256]))
def test_any_mixture_keeps_its_rows(reader: Reader, tmp_path: Path, texts: list[str], rows: int) -> None:
    source = write_csv(tmp_path / "in.csv", texts)
    counts = apply(job(source, tmp_path / "out.csv", rows=rows), reader)
    out = table(tmp_path / "out.csv")
    assert out["id"].to_pylist() == [str(k) for k in range(len(texts))]
    assert out["smiles"].to_pylist() == texts
    assert out["status"].to_pylist() == [BAD.get(text, "ok") for text in texts]
    assert [bool(cell) for cell in out["atoms"].to_pylist()] == [text in GOOD for text in texts]
    assert [bool(cell) for cell in out["reason"].to_pylist()] == [text in BAD for text in texts]
    assert counts.rows == len(texts) == sum(counts.by_status.values())
    alone = {text: str(Chem.AddHs(Chem.MolFromSmiles(text)).GetNumAtoms()) for text in GOOD}
    assert out["atoms"].to_pylist() == [alone.get(text, "") for text in texts]


MIXED = ["CCO", "C1CC", "", "c1ccccc1", "not a molecule", "CC(=O)O"]
STATUS = [BAD.get(text, "ok") for text in MIXED]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet"])
@pytest.mark.parametrize("output", ["csv", "csv.gz", "tsv", "parquet"])
def test_formats_in_and_out(reader: Reader, tmp_path: Path, ending: str, output: str) -> None:
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{output}"
    if ending == "parquet":
        pq.write_table(pa.table({"smiles": MIXED, "n": np.arange(6)}), source)
    else:
        text = "\n".join(["smiles,n", *(f"{text},{k}" for k, text in enumerate(MIXED))]) + "\n"
        data = text.replace(",", "\t" if ending == "tsv" else ",").encode()
        source.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    apply(job(source, target), reader)
    out = table(target)
    assert out.column_names == ["smiles", "n", "atoms", "status", "reason"]
    assert out["status"].to_pylist() == STATUS
    assert [str(cell) for cell in out["n"].to_pylist()] == list("012345")
    if output == "parquet":
        assert out["atoms"].to_pylist() == [9.0, None, None, 12.0, None, 8.0]


def test_smi_and_sdf(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "in.smi").write_text("CCO ethanol\nC1CC broken ring\nc1ccccc1\n")
    apply(job(tmp_path / "in.smi", tmp_path / "a.csv"), reader)
    out = table(tmp_path / "a.csv")
    assert out["status"].to_pylist() == ["ok", "PARSE", "ok"]
    assert out["smiles"].to_pylist() == ["CCO", "C1CC", "c1ccccc1"]
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as file:
        for text in ("OCC", "c1ccccc1"):
            mol = Chem.MolFromSmiles(text)
            mol.SetProp("code", text.upper())
            file.write(mol)
    broken = (tmp_path / "in.sdf").read_text().replace("  6  6  0", "  7  6  0")
    (tmp_path / "in.sdf").write_text(broken)
    apply(job(tmp_path / "in.sdf", tmp_path / "b.csv"), reader)
    out = table(tmp_path / "b.csv")
    assert out["code"].to_pylist() == ["OCC", "C1CCCCC1"]
    assert out["status"].to_pylist()[0] == "ok"
    assert out["status"].to_pylist()[1] in ("PARSE", "SANITIZE")
    assert out["smiles"].to_pylist() == ["CCO", ""]


@pytest.mark.parametrize("to_file", [True, False])
def test_standard_input(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any, to_file: bool
) -> None:
    data = b"smiles,n\n" + b"".join(f"{text},{k}\n".encode() for k, text in enumerate(MIXED))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    target = str(tmp_path / "out.csv") if to_file else "-"
    apply(job("-", target), reader)
    text = (tmp_path / "out.csv").read_bytes() if to_file else capsysbinary.readouterr().out
    out = pa.csv.read_csv(io.BytesIO(text))
    assert out["status"].to_pylist() == STATUS


def test_on_error(reader: Reader, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", MIXED)
    counts = apply(job(source, tmp_path / "skip.csv", on_error="skip"), reader)
    assert table(tmp_path / "skip.csv")["id"].to_pylist() == ["0", "3", "5"]
    assert counts.rows == 6
    (tmp_path / "fail.csv").write_text("before")
    with pytest.raises(UserError, match=r"3 of 6 structures were refused \(row 2: PARSE, .*--on-error keep") as error:
        apply(job(source, tmp_path / "fail.csv", on_error="fail"), reader)
    assert error.value.exit_code == 2
    assert (tmp_path / "fail.csv").read_text() == "before"
    apply(job(write_csv(tmp_path / "good.csv", GOOD), tmp_path / "fail.csv", on_error="fail"), reader)
    assert len(table(tmp_path / "fail.csv")) == 4
    with pytest.raises(UserError, match="--on-error 'ignore' is not known"):
        job(source, tmp_path / "x.csv", on_error="ignore")


def test_mistakes_leave_no_unfinished_work(reader: Reader, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", MIXED)
    (tmp_path / "broken.csv").write_text("smiles,y\n" + "CCO,1\n" * 20 + "CCO\n")
    for told in (
        job(source, tmp_path / "out.csv", on_error="fail"),
        job(source, tmp_path / "out.csv", smiles="smile"),
        job(tmp_path / "none.csv", tmp_path / "out.csv"),
        job(tmp_path / "broken.csv", tmp_path / "out.csv", rows=4),
    ):
        with pytest.raises(UserError):
            apply(told, reader)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.csv", "in.csv"]


def test_shards_that_a_changed_flag_can_use_are_kept(reader: Reader, tmp_path: Path) -> None:
    jobs = job(write_csv(tmp_path / "in.csv", MIXED * 4), tmp_path / "out.csv", rows=8)
    with pytest.raises(UserError, match="Use --on-error keep"):
        apply(replace(jobs, on_error="fail"), reader)
    assert interrupted(jobs, reader, 99) == []  # all three are taken as they are
    assert len(table(tmp_path / "out.csv")) == 24


def test_a_mistake_keeps_what_an_interrupted_run_had_done(reader: Reader, tmp_path: Path) -> None:
    jobs = job(write_csv(tmp_path / "in.csv", MIXED * 4), tmp_path / "out.csv", rows=8)
    interrupted(jobs, reader, 2)
    with pytest.raises(UserError, match="has no column 'smile'"):
        apply(replace(jobs, smiles="smile"), reader)
    assert sum(interrupted(jobs, reader, 99)) == 8
    assert len(table(tmp_path / "out.csv")) == 24


def test_names_that_are_ours_are_kept_beside(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("smiles,status,atoms,reason\nCCO,tested,many,because\n")
    apply(job(tmp_path / "in.csv", tmp_path / "out.csv"), reader)
    out = table(tmp_path / "out.csv")
    assert out.column_names == ["smiles", "status_input", "atoms_input", "reason_input", "atoms", "status", "reason"]
    assert out.to_pylist()[0] | {"reason": ""} == {
        "smiles": "CCO", "status_input": "tested", "atoms_input": "many", "reason_input": "because",
        "atoms": "9", "status": "ok", "reason": "",
    }  # fmt: skip


def test_spared_names_exactly() -> None:
    assert spared(["a", "b"], ["status"]) == ["a", "b"]
    assert spared(["status", "a"], ["status"]) == ["status_input", "a"]
    assert spared(["status", "status_input"], ["status"]) == ["status_input_input", "status_input"]


def test_a_file_with_a_header_only(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,smiles\n")
    for on_error in shards.ON_ERROR:
        assert apply(job(tmp_path / "in.csv", tmp_path / "out.csv", on_error=on_error), reader) == Counts(0, {})
        assert (tmp_path / "out.csv").read_text() == "id,smiles,atoms,status,reason\n"


def test_the_input_is_never_the_output(reader: Reader, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", GOOD)
    with pytest.raises(UserError, match="is the input"):
        job(source, tmp_path / "in.csv")


@pytest.mark.parametrize("output", ["out", "out.xlsx", "sub"])
def test_outputs_that_cannot_be_are_told_before_the_work(reader: Reader, tmp_path: Path, output: str) -> None:
    (tmp_path / "sub").mkdir()
    source = write_csv(tmp_path / "in.csv", GOOD)

    def never(_: Reading) -> dict[str, pa.Array]:
        raise AssertionError("work was done")

    with pytest.raises(UserError):
        apply(replace(job(source, tmp_path / output), columns=never), reader)


def test_a_missing_file_is_told(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file 'none\.csv'"):
        apply(job(tmp_path / "none.csv", tmp_path / "out.csv"), reader)
    assert not (tmp_path / "out.csv").exists()


class Killed(BaseException):
    pass


def interrupted(jobs: Job, reader: Reader, after: int) -> list[int]:
    """Run a job that dies after so many readings; gives how many rows each reading had."""
    seen: list[int] = []

    def counted(reading: Reading) -> dict[str, pa.Array]:
        if len(seen) >= after:
            raise Killed
        seen.append(len(reading))
        return columns(reading)

    with contextlib.suppress(Killed):
        apply(replace(jobs, columns=counted), reader)
    return seen


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_an_interrupted_job_goes_on_and_does_no_shard_twice(reader: Reader, tmp_path: Path, ending: str) -> None:
    source = write_csv(tmp_path / "in.csv", MIXED * 10)
    apply(job(source, tmp_path / f"whole.{ending}", rows=8), reader)
    jobs = job(source, tmp_path / f"out.{ending}", rows=8)
    seen = [interrupted(jobs, reader, after) for after in (0, 2, 3)]
    assert [len(one) for one in seen] == [0, 2, 3]
    rest = interrupted(jobs, reader, 99)
    assert sum(rest) == 60 - 8 * 5  # the five finished shards are not done again
    assert (tmp_path / f"out.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()
    assert not (tmp_path / f"out.{ending}.parts").exists()


def test_shards_of_another_input_model_or_setting_are_not_used(reader: Reader, tmp_path: Path) -> None:
    source, target = write_csv(tmp_path / "in.csv", MIXED * 4), tmp_path / "out.csv"
    jobs = job(source, target, rows=8)
    for changed in (replace(jobs, key="another model"), replace(jobs, rows=4), replace(jobs, smiles="smiles")):
        interrupted(jobs, reader, 2)
        assert sum(interrupted(changed, reader, 99)) == 24
    interrupted(jobs, reader, 2)
    write_csv(source, list(reversed(MIXED)) * 4)
    assert sum(interrupted(jobs, reader, 99)) == 24
    assert table(target)["smiles"].to_pylist() == list(reversed(MIXED)) * 4


def test_standard_input_never_goes_on(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer stream that was cut leaves shards; a shorter one after it must not take them."""

    def stream(texts: list[str]) -> None:
        data = "\n".join(["smiles", *texts]) + "\n"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data.encode()))))

    jobs = job("-", str(tmp_path / "out.csv"), rows=4)
    stream(GOOD * 5)
    interrupted(jobs, reader, 4)
    stream(["C", "CC"])
    assert interrupted(jobs, reader, 99) == [2]
    assert table(tmp_path / "out.csv")["smiles"].to_pylist() == ["C", "CC"]


def test_workers_do_not_matter(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", MIXED * 20)
    for workers in (0, 1, 2):
        with Reader(limits=Limits(workers)) as opened:
            apply(job(source, tmp_path / f"{workers}.csv", rows=32), opened)
    first = (tmp_path / "0.csv").read_bytes()
    assert (tmp_path / "1.csv").read_bytes() == first
    assert (tmp_path / "2.csv").read_bytes() == first


def test_a_disk_that_fills_while_a_shard_is_written(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write_csv(tmp_path / "in.csv", MIXED * 4), tmp_path / "out.csv"
    target.write_text("before")
    real, calls = shards.sync_file, []

    def refuse(path: Path) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(path)

    monkeypatch.setattr(shards, "sync_file", refuse)
    with pytest.raises(UserError, match="No space left on device") as error:
        apply(job(source, target, rows=8), reader)
    assert error.value.exit_code == 74
    assert target.read_text() == "before"
    assert sorted(path.suffix for path in (tmp_path / "out.csv.parts").iterdir()) == ["", ".arrow", ".arrow"]
    assert sum(interrupted(job(source, target, rows=8), reader, 99)) == 8


def test_a_column_that_csv_cannot_hold_is_told_before_the_work(reader: Reader, tmp_path: Path) -> None:
    for name, cells in (("a list", [[1], [2]]), ("bytes", [b"\xff", b"\xfe"])):
        pq.write_table(pa.table({"smiles": ["CCO", "CC"], name: cells}), tmp_path / "a.parquet")
        with pytest.raises(UserError, match=f"cannot hold the column '{name}'"):
            apply(job(tmp_path / "a.parquet", tmp_path / "out.csv"), reader, lambda done: pytest.fail("work was done"))
        apply(job(tmp_path / "a.parquet", tmp_path / "out.parquet"), reader)
        assert table(tmp_path / "out.parquet")[name].to_pylist() == cells


def test_an_odd_encoding_is_told_once(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("smiles,note\nCCO,µ\nCC,b\nCCC,µ\n".encode("latin-1"))
    told: list[str] = []
    apply(job(tmp_path / "a.csv", tmp_path / "out.csv", rows=1), reader, say=told.append)
    assert [("Windows-1252" in note) for note in told] == [True]

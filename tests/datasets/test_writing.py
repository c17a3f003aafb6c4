"""A file is written whole or not at all, and a full disk is told from a wrong name."""

import errno
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tetramer.datasets import writing
from tetramer.datasets.tables import read_table
from tetramer.datasets.writing import TableWriter, disk_errors, locked, unfinished, write_table
from tetramer.errors import DiskError, UserError

DATA = pa.table({"smiles": ["CCO", "C"], "y": [1.5, 2.0]})
NAMES = ["t.csv", "t.csv.gz", "t.tsv", "t.parquet"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read(tmp_path, name):
    write_table(DATA, tmp_path / name)
    assert read_table(tmp_path / name).data["smiles"].to_pylist() == ["CCO", "C"]
    assert [float(y) for y in read_table(tmp_path / name).data["y"].to_pylist()] == [1.5, 2.0]
    assert names(tmp_path) == [name]


def test_csv_is_exactly_this(tmp_path):
    write_table(DATA, tmp_path / "t.csv")
    write_table(DATA, tmp_path / "t.tsv")
    assert (tmp_path / "t.csv").read_bytes() == b"smiles,y\nCCO,1.5\nC,2\n"
    assert (tmp_path / "t.tsv").read_bytes() == b"smiles\ty\nCCO\t1.5\nC\t2\n"


def test_gzip_bytes_depend_on_nothing_but_the_rows(tmp_path, monkeypatch):
    write_table(DATA, tmp_path / "a.csv.gz")
    monkeypatch.setattr("time.time", lambda: 1e9)  # a gzip header may hold the time and the name
    write_table(DATA, tmp_path / "b.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"smiles,y\nCCO,1.5\nC,2\n"


@pytest.mark.parametrize("name", NAMES)
def test_appended_pieces_make_one_table(tmp_path, name):
    with TableWriter(tmp_path / name) as writer:
        for batch in DATA.to_batches(max_chunksize=1):
            writer.append(batch)
        writer.append(DATA.slice(0, 0))
    write_table(DATA, tmp_path / ("whole" + name))
    assert read_table(tmp_path / name).data.equals(read_table(tmp_path / ("whole" + name)).data)


def test_a_column_of_nothing_takes_the_type_of_the_first_piece(tmp_path):
    with TableWriter(tmp_path / "t.parquet") as writer:
        writer.append(pa.table({"y": [1.5]}))
        writer.append(pa.table({"y": [None]}))
    assert pq.read_table(tmp_path / "t.parquet").schema.field("y").type == pa.float64()


def test_parquet_keeps_a_list_as_a_list(tmp_path):
    data = pa.table({"embedding": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))})
    write_table(data, tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").equals(data)


def test_a_long_parquet_file_has_many_row_groups(tmp_path):
    write_table(pa.table({"y": range(200_000)}), tmp_path / "t.parquet")
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 4


@pytest.mark.parametrize("name", NAMES)
def test_an_error_leaves_the_old_file_and_no_other(tmp_path, name):
    write_table(DATA, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(RuntimeError, match="mishap"):  # noqa: PT012, SIM117, the exit is tested
        with TableWriter(tmp_path / name) as writer:
            writer.append(pa.table({"z": range(100_000)}))
            raise RuntimeError("mishap")
    assert (tmp_path / name).read_bytes() == before
    assert names(tmp_path) == [name]


def test_nothing_appears_under_the_name_before_the_end(tmp_path):
    with TableWriter(tmp_path / "t.csv") as writer:
        writer.append(DATA)
        assert not (tmp_path / "t.csv").exists()
    assert (tmp_path / "t.csv").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_fills_up_at_any_point_is_a_disk_error(tmp_path, name):
    import resource

    data = pa.table({"smiles": [f"{i * 7919 % 100_003}" for i in range(20_000)]})
    write_table(data, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in [0, 1, 10, 1000, len(before) // 2, len(before) - 1]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        try:
            with pytest.raises(DiskError) as caught:
                write_table(data, tmp_path / name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert caught.value.exit_code == 74
        assert f"{name} cannot be written" in str(caught.value)
        assert "MB are free" in str(caught.value)
        assert (tmp_path / name).read_bytes() == before
        assert names(tmp_path) == [name]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open", "pathlib.Path.mkdir"])
def test_every_step_may_be_refused(tmp_path, monkeypatch, code, call):
    write_table(DATA, tmp_path / "t.csv")

    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(call, refuse)
        with pytest.raises(DiskError, match=os.strerror(code)):
            write_table(pa.table({"a": [1]}), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").data["smiles"].to_pylist() == ["CCO", "C"]
    assert names(tmp_path) == ["t.csv"]


def test_the_message_says_how_much_is_needed(tmp_path):
    message = r"About 2.5 MB are needed and [\d,.]+ MB are free. What was there before"
    with pytest.raises(DiskError, match=message), disk_errors(tmp_path / "a" / "b.csv", 2_500_000):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO])
def test_space_is_told_only_where_it_is_wanting(tmp_path, code):
    with pytest.raises(DiskError) as caught, disk_errors(tmp_path / "b.csv", 2_500_000):
        raise OSError(code, os.strerror(code))
    reason = f"{tmp_path / 'b.csv'} cannot be written: {os.strerror(code)}."
    assert str(caught.value) == f"{reason} What was there before is intact."


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_standard_output_is_called_so(monkeypatch):
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=full))
        with pytest.raises(DiskError) as caught:
            write_table(DATA, "-")
    message = "Standard output cannot be written: No space left on device. Give a file with --output."
    assert str(caught.value) == message


def test_a_closed_pipe_is_not_the_disk(tmp_path):
    with pytest.raises(BrokenPipeError), disk_errors(tmp_path / "a.csv", 0):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.xlsx", r"end its name in .csv, .csv.gz, .tsv or .parquet"),
        ("t", "end its name in"),
        ("t.parquet.gz", "end its name in"),
        ("x" * 300 + ".csv", "cannot be written: File name too long"),
    ],
)
def test_a_name_that_cannot_be_written_teaches(tmp_path, name, message):
    with pytest.raises(UserError, match=message) as caught:
        write_table(DATA, tmp_path / name)
    assert caught.value.exit_code == 2


def test_a_folder_and_a_file_in_the_way_are_user_errors(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        write_table(DATA, tmp_path / "t.csv")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_table(DATA, tmp_path / "file" / "t.csv")


def test_missing_folders_are_made(tmp_path):
    write_table(DATA, tmp_path / "a" / "b" / "t.csv")
    assert (tmp_path / "a" / "b" / "t.csv").exists()


def test_two_columns_of_one_name_are_refused(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(UserError, match="two columns 'a'"):
            write_table(twice, tmp_path / name)
    assert names(tmp_path) == []


def test_lists_of_any_length_do_not_fit_csv(tmp_path):
    with pytest.raises(UserError, match=r"CSV cannot hold a column of list<.*>; write Parquet"):
        write_table(pa.table({"a": [[1], [1, 2]]}), tmp_path / "t.csv")


def test_standard_output_takes_csv(capfdbinary):
    write_table(DATA, "-")
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == b"smiles,y\nCCO,1.5\nC,2\n"


KILLED = """
import sys, pyarrow as pa
from tetramer.datasets.writing import TableWriter
with TableWriter(sys.argv[1]) as writer:
    writer.append(pa.table({"a": range(1000)}))
    print("begun", flush=True)
    while True:
        writer.append(pa.table({"a": range(1000)}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_writer_leaves_the_old_file(tmp_path):
    write_table(DATA, tmp_path / "t.csv")
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "t.csv")], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"begun\n"
        child.send_signal(signal.SIGKILL)
    assert read_table(tmp_path / "t.csv").data["smiles"].to_pylist() == ["CCO", "C"]
    assert all(name == "t.csv" or name.endswith(".tmp") for name in names(tmp_path))


def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(
        "os.fsync", lambda handle: order.append("file" if (tmp_path / "t.csv").exists() is False else "late")
    )
    monkeypatch.setattr(writing, "sync_folder", lambda folder: order.append((folder, (tmp_path / "t.csv").exists())))
    write_table(DATA, tmp_path / "t.csv")
    assert order == ["file", (tmp_path, True)]


HOLDER = """
import sys, time
from pathlib import Path
from tetramer.datasets.writing import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_and_free_once_that_is_killed(tmp_path):
    folder = tmp_path / "model.parts"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="Another run is at work"), writing.locked(folder):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with writing.locked(folder):
        pass


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (UserError("wrong"), False),
        (UserError("wrong, but useful"), True),
        (DiskError("full"), True),
        (KeyboardInterrupt(), True),
        (SystemExit(143), True),
        (RuntimeError("ours"), True),
    ],
    ids=repr,
)
@pytest.mark.parametrize("earlier", [False, True])
def test_a_mistake_takes_the_work_it_began_and_no_other(tmp_path, error, stays, earlier):
    folder = tmp_path / "x.parts"
    if earlier:
        folder.mkdir()
        (folder / "piece").touch()

    def work():
        with unfinished(folder, lambda found: "useful" in str(found)):
            (folder / "more").touch()
            raise error

    with pytest.raises(type(error)):
        work()
    assert folder.exists() == (stays or earlier)
    if earlier:
        assert {"piece", "more"} <= set(names(folder))


def test_a_folder_that_another_process_holds_is_left_to_it(tmp_path):
    with locked(tmp_path / "x.parts"):
        with pytest.raises(UserError, match="Another run is at work"), unfinished(tmp_path / "x.parts"):
            pass
        assert (tmp_path / "x.parts").exists()


def test_work_that_ends_well_stays_until_it_is_taken_away(tmp_path):
    with unfinished(tmp_path / "x.parts"):
        (tmp_path / "x.parts" / "piece").touch()
    assert (tmp_path / "x.parts" / "piece").exists()

"""The bulkhead: one bad molecule costs one row, whatever it does, and nothing outlives the parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tetramer.errors import UserError
from tetramer.molecules import Limits, Pool, Rejected, pool

STRANGE = [sys.executable, str(Path(__file__).with_name("strange_worker.py"))]
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and process groups of POSIX")


def read(chunks: list[list[str]], **limits: float) -> tuple[list[str], dict[tuple[int, int], Rejected], int]:
    """All answers, the lost rows by (chunk, place), and the number of restarts."""
    with Pool(STRANGE, Limits(**{"workers": 2, "seconds": 5, **limits})) as workers:
        answers, lost = [], {}
        for number, (texts, answer, bad) in enumerate(workers.map(chunks, {})):
            assert texts == chunks[number]
            answers += answer.decode().split("|")
            lost |= {(number, place): why for place, why in bad.items()}
        return answers, lost, workers.restarts


def test_answers_come_in_order_from_any_number_of_workers() -> None:
    chunks = [[f"x{i}" for i in range(start, start + 7)] for start in range(0, 210, 7)]
    expected = [f"X{i}" for i in range(210)]
    for workers in (1, 2, 3):
        assert read(chunks, workers=workers) == (expected, {}, 0)
    assert read([]) == ([], {}, 0)


def test_a_row_that_kills_its_worker_is_the_only_one_lost() -> None:
    answers, lost, restarts = read([["a", "b"], ["c", "die", "d", "die again"], ["e"], ["print", "f"]])
    assert answers == ["A", "B", "C", "", "D", "", "E", "PRINT", "F"]
    assert {where: why.code for where, why in lost.items()} == {(1, 1): "CRASH", (1, 3): "CRASH"}
    assert lost[1, 1].reason.startswith("the worker process died (signal SIGKILL")  # and what it printed last
    assert restarts == 4  # each death is given a second chance


def test_a_worker_killed_from_outside_costs_no_row(tmp_path: Path) -> None:
    once = f"once {tmp_path / 'died'}"
    answers, lost, restarts = read([["a", once, "b"]])
    assert answers == ["A", once.upper(), "B"]
    assert (lost, restarts) == ({}, 1)


def test_a_row_that_hangs_is_timed_out_even_inside_a_library() -> None:
    began = time.monotonic()
    answers, lost, _ = read([["a", "hang"], ["hang in C", "b"], ["c"]], seconds=0.5)
    assert answers == ["A", "", "", "B", "C"]
    assert lost[0, 1] == Rejected("hang", "TIMEOUT", "took longer than 0.5 s")
    assert lost[1, 0].code == "TIMEOUT"
    assert time.monotonic() - began < 10


def test_a_mistake_of_the_job_costs_one_row_and_is_told() -> None:
    answers, lost, _ = read([["a", "raise", "b"]])
    assert answers == ["A", "", "B"]
    assert lost[0, 1].reason == "the worker process died (exit code 1: ValueError: a mistake of the job)"


@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit is kept on Linux only")
def test_a_row_that_fills_the_memory_is_told_apart() -> None:
    answers, lost, _ = read([["a", "fill", "b"]], memory_mb=256)
    assert (answers, lost[0, 1].code) == (["A", "", "B"], "OOM")


def test_workers_that_never_start_are_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool([*STRANGE, "--broken"], Limits(workers=2)) as workers, pytest.raises(UserError) as broken:
        list(workers.map([["a"]] * 9, {}))
    assert "do not start" in str(broken.value)
    assert "exit code 1: this worker does not start" in str(broken.value)
    monkeypatch.setattr(pool, "START", 0.5)
    with Pool([*STRANGE, "--silent"], Limits(workers=1)) as workers, pytest.raises(UserError, match="no sign of life"):
        list(workers.map([["x" * 300_000]], {}))  # more than a pipe holds
    with pytest.raises(UserError, match="cannot be started"):
        Pool([str(Path(__file__).with_name("there is no such program"))], Limits(workers=2))


def test_workers_that_die_between_molecules_do_not_go_on_for_ever() -> None:
    with Pool(STRANGE, Limits(workers=1)) as workers, pytest.raises(RuntimeError, match="between molecules"):
        list(workers.map([["end between"]], {}))


def test_a_reading_given_up_does_not_leak_into_the_next() -> None:
    with Pool(STRANGE, Limits(workers=2)) as workers:
        first = workers.map([[f"old{i}"] for i in range(20)], {})
        assert next(first)[1] == b"OLD0"
        assert [answer for _, answer, _ in workers.map([["new"], ["newer"]], {})] == [b"NEW", b"NEWER"]
        with pytest.raises(RuntimeError, match="this reading has ended"):
            next(first)


def test_a_parent_that_looks_away_blames_nobody() -> None:
    with Pool(STRANGE, Limits(workers=2, seconds=0.3)) as workers:
        told = []
        for _, answer, lost in workers.map([[f"x{i}"] for i in range(12)], {}):
            time.sleep(0.15)
            told.append((answer, lost))
    assert told == [(f"X{i}".encode(), {}) for i in range(12)]


def test_memory_stays_flat_because_the_source_is_read_only_a_little_ahead() -> None:
    drawn = 0

    def chunks():
        nonlocal drawn
        for i in range(100):
            drawn += 1
            yield [f"x{i}"]

    with Pool(STRANGE, Limits(workers=2)) as workers:
        for done, _ in enumerate(workers.map(chunks(), {})):
            assert drawn <= done + 1 + pool.AHEAD * 2 + 1


def test_no_files_and_no_processes_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Pool(STRANGE, Limits(workers=2)) as workers:
        list(workers.map([["a", "die"]], {}))
        processes = [worker.process for worker in workers.workers]
        assert len(list(tmp_path.iterdir())) == 1  # a second worker starts when a request waits for one
    assert list(tmp_path.iterdir()) == []
    assert all(process.poll() is not None for process in processes)


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"seconds": 0}, {"seconds": float("nan")}, {"memory_mb": 0}])
def test_limits_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"Choose|above 0"):
        Limits(**wrong)


PARENT = """
import signal, sys, time
from tetramer.molecules import Limits, Pool
workers = Pool({command!r}, Limits(workers=2, seconds={seconds}))
def stop(number, frame):
    print("stopping", [worker.process.poll() for worker in workers.workers], flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGINT, stop)
reading = workers.map([["a"], ["{text}"], ["b"]], {{}})
print(next(reading)[1].decode(), *[worker.process.pid for worker in workers.workers], flush=True)
for _ in reading:
    print("more", flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    if sys.platform == "linux":
        status = Path(f"/proc/{pid}/stat")
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def parent(text: str, seconds: float) -> tuple["subprocess.Popen[str]", list[int]]:
    """A process with a pool of two workers, in a group of its own, and the ids of the workers."""
    code = PARENT.format(command=STRANGE, text=text, seconds=seconds)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.stdout is not None
    answer, *pids = process.stdout.readline().split()
    assert answer == "A"
    return process, [int(pid) for pid in pids]


def ended(pids: list[int], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, pids))


@POSIX
@pytest.mark.parametrize("text", ["c", pytest.param("hang in C", marks=pytest.mark.slow)])
def test_workers_end_with_a_parent_that_is_killed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    process, pids = parent(text, seconds=1.0 if text == "c" else 0.9)
    time.sleep(0.2)
    process.kill()
    process.communicate()
    assert ended(pids, 15)  # at once, or when the watchdog sees that the time is over


@POSIX
def test_a_ctrl_c_reaches_the_parent_first() -> None:
    process, pids = parent("c", seconds=5)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=20)
    assert "stopping [None, None]" in told
    assert ended(pids, 5)


@pytest.mark.slow
def test_a_chain_of_20000_atoms_without_caps_costs_one_row() -> None:
    texts = ["CCO", "C" * 20_000, "C(O)C", "C1CC1"]
    answers, lost, restarts = read([texts, ["CC"] * 5], seconds=10)
    assert answers == ["CCO", "", "CCO", "C1CC1", *["CC"] * 5]
    assert list(lost) == [(0, 1)]
    assert lost[0, 1].code in {"CRASH", "TIMEOUT"}
    assert restarts == 2

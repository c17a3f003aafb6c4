"""The bulkhead: worker processes with a time and a memory limit, in which one bad molecule costs one row.

The parent's half; `worker` has the other. A worker is a program of its own that reads framed requests on its standard
input and answers on its standard output, so a user's script needs no main guard and nothing is pickled. While it works
it writes the place of the molecule at hand into a small mapped file: a parent that waits too long, or finds the worker
dead, knows whom to blame.
"""

import mmap
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from signal import Signals
from threading import Thread
from time import monotonic
from types import TracebackType
from typing import Any, Self

from tetramer.errors import UserError
from tetramer.molecules.parse import Rejected
from tetramer.molecules.worker import MARK, OUT_OF_MEMORY, Job, pack_request, read_frame, write_frame

TICK = 0.05  # seconds between looks at silent workers
START = 60.0  # seconds a worker may take to import what it needs
AHEAD = 8  # requests a worker that are read before their turn: work for it while the caller is busy
DEATHS = 3  # of workers over one request without a molecule to blame: then something else is wrong


@dataclass(frozen=True)
class Limits:
    """How many workers, and what one molecule may cost in each step (reading it, and each view)."""

    workers: int | None = None  # None: one a core; 0: in this process, without a bulkhead
    seconds: float = 10.0
    memory_mb: int = 2048  # above what a worker has after its start; kept on Linux only

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise UserError(f"workers={self.workers} is out of range. Choose 0 or more.")
        if not self.seconds > 0 or self.memory_mb < 1:
            raise UserError(f"seconds={self.seconds} and memory_mb={self.memory_mb} must both be above 0.")

    @property
    def count(self) -> int:
        """The number of worker processes."""
        if self.workers is not None:
            return self.workers
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass
class Request:
    """One chunk on its way through the workers."""

    texts: list[str]
    lost: dict[int, Rejected] = field(default_factory=dict)  # place in the chunk → why it cost a worker
    answer: bytes | None = None
    suspects: set[int] = field(default_factory=set)  # places at which a worker has died once
    deaths: int = 0  # of workers, with no molecule to blame

    def kept(self) -> list[str]:
        """The texts, empty where one has cost a worker."""
        return ["" if place in self.lost else text for place, text in enumerate(self.texts)]


class Worker:
    """One process, and the two threads that speak with it, so that the parent never waits on a pipe."""

    def __init__(self, command: Sequence[str], limits: Limits, inbox: "Inbox") -> None:
        handle, name = tempfile.mkstemp(prefix="tetramer-")
        os.write(handle, MARK.pack(-1, -1, 0))
        self.path, self.marks = Path(name), mmap.mmap(handle, MARK.size)
        os.close(handle)
        self.busy = -1  # number of the request at hand
        self.seen = (-1, -1, 0)  # the mark at the last look
        self.waited = 0.0  # seconds for which the parent has looked at the same mark
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the worker)
        settings = [name, str(limits.memory_mb), str(limits.seconds)]
        try:
            self.process = subprocess.Popen(  # noqa: S603 (our own interpreter)
                [*command, *settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.complaints,
                env=environment(),
                process_group=0 if os.name == "posix" else None,  # a Ctrl-C is the parent's to handle
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
            )
        except OSError as error:
            self.forget()
            raise UserError(f"A worker process cannot be started: {error}. Use workers=0 to do without.") from error
        self.outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self.threads = [Thread(target=self.listen, args=(inbox,), daemon=True), Thread(target=self.speak, daemon=True)]
        for thread in self.threads:
            thread.start()

    def listen(self, inbox: "Inbox") -> None:
        """Pass on every answer, then a None when the process has ended."""
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            while (frame := read_frame(stream)) is not None:
                inbox.put((self, frame))
        inbox.put((self, None))

    def speak(self) -> None:
        """Send what is in the outbox, until a None; a worker that is dead already is found out by `listen`."""
        assert self.process.stdin is not None
        try:
            with self.process.stdin as stream:
                while (frame := self.outbox.get()) is not None:
                    write_frame(stream, frame)
        except OSError:
            pass

    def send(self, number: int, texts: list[str], options: dict[str, Any]) -> None:
        """Hand over a request."""
        self.busy, self.waited = number, 0.0
        self.outbox.put(pack_request(number, texts, options))

    def mark(self) -> tuple[int, int, int]:
        """Which molecule the worker has at hand: request number, place in it, and a counter of signs of life."""
        number, place, beat = MARK.unpack_from(self.marks)
        return number, place, beat

    @property
    def started(self) -> bool:
        """Whether the worker has imported what it needs; it then shows its first sign of life."""
        return self.mark()[2] > 0

    def late(self, gap: float, seconds: float) -> bool:
        """Whether the molecule at hand takes longer than allowed; `gap` is the time since the last look."""
        before, self.seen = self.seen, self.mark()
        self.waited = self.waited + gap if self.seen == before else 0.0
        return self.waited > (seconds if self.started else START)

    def last_words(self) -> str:
        """How the process ended, and the last line it wrote to its standard error."""
        code = self.process.wait()
        names = {int(signal): signal.name for signal in Signals}
        told = f"signal {names.get(-code, -code)}" if code < 0 else f"exit code {code}"
        self.complaints.seek(0)
        lines = self.complaints.read()[-2000:].decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{told}: {last}" if last else told

    def end(self) -> None:
        """Kill the process if it runs, and remove its file."""
        self.process.kill()
        self.process.wait()
        self.outbox.put(None)
        for thread in self.threads:
            thread.join(timeout=5)
        self.forget()

    def forget(self) -> None:
        """Remove what lies on the disk."""
        self.marks.close()
        self.complaints.close()
        self.path.unlink(missing_ok=True)


def environment() -> dict[str, str]:
    """This process's environment, with its import path, one thread, and nothing that changes how Python starts."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONWARNINGS", "PYTHONINSPECT")}
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    return {**kept, **threads, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


Inbox = SimpleQueue[tuple[Worker, bytes | None]]  # an answer, or None: the process has ended


class Pool:
    """Workers for one job: the first starts at once, a further one when a request waits for it. A context manager."""

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self.command, self.limits = command, limits
        self.inbox: Inbox = SimpleQueue()
        self.numbers = count()  # of requests; never used twice, so a late answer finds no wrong place
        self.requests: dict[int, Request] = {}  # of the reading under way
        self.waiting: deque[int] = deque()
        self.restarts = 0
        self.looked = monotonic()
        self.workers: list[Worker] = []
        try:
            self.workers.append(Worker(command, limits, self.inbox))
        except UserError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.end()
        self.workers = []

    def map(
        self, chunks: Iterable[list[str]], options: dict[str, Any]
    ) -> Iterator[tuple[list[str], bytes, dict[int, Rejected]]]:
        """Each chunk of texts, the job's answer, and the rows that cost a worker, in the order of the chunks.

        A row that cost a worker is sent to the job as an empty text the second time. At most AHEAD chunks a worker are
        under way, so memory does not grow with the input. A pool does one reading at a time: the next call ends the
        one before.
        """
        mine: dict[int, Request] = {}
        self.requests, self.waiting = mine, deque()
        source, order = iter(chunks), deque[int]()
        exhausted = False
        while True:
            if self.requests is not mine or not self.workers:
                raise RuntimeError("this reading has ended: its reader was closed, or began another reading")
            while not exhausted and len(mine) < AHEAD * self.limits.count + 1:
                texts = next(source, None)
                if texts is None:
                    exhausted = True
                else:
                    order.append(next(self.numbers))
                    mine[order[-1]] = Request(list(texts))
                    self.waiting.append(order[-1])
            if not order:
                return
            self.hand_out(options)
            if (answer := mine[order[0]].answer) is not None:
                done = mine.pop(order.popleft())
                yield done.texts, answer, done.lost
            else:
                self.wait()

    def hand_out(self, options: dict[str, Any]) -> None:
        """Give every idle worker a request, if there is one; requests that wait start workers, up to the limit."""
        while self.waiting:
            worker = next((one for one in self.workers if one.busy < 0), None)
            if worker is None and len(self.workers) < self.limits.count:
                worker = Worker(self.command, self.limits, self.inbox)
                self.workers.append(worker)
            if worker is None:
                return
            number = self.waiting.popleft()
            worker.send(number, self.requests[number].kept(), options)

    def wait(self) -> None:
        """Take the next answer, or look for a worker that hangs."""
        try:
            worker, answer = self.inbox.get(timeout=TICK)
        except Empty:
            # Only time spent looking counts: a parent that was stopped or busy elsewhere blames nobody for it.
            now = monotonic()
            gap, self.looked = min(now - self.looked, 2 * TICK), now
            for worker in list(self.workers):
                if worker.busy >= 0 and worker.late(gap, self.limits.seconds):
                    told = f"took longer than {self.limits.seconds:g} s" if worker.started else "no sign of life"
                    self.replace(worker, "TIMEOUT", told)
            return
        if worker not in self.workers:
            return  # the last word of a worker that was replaced
        if answer is None:
            full = worker.process.wait() == OUT_OF_MEMORY
            told = "more memory than one molecule may take" if full else "the worker process died"
            self.replace(worker, "OOM" if full else "CRASH", f"{told} ({worker.last_words()})")
            return
        if worker.busy in self.requests:  # else: of a reading that was given up
            self.requests[worker.busy].answer = answer
        worker.busy = -1

    def replace(self, worker: Worker, code: str, reason: str) -> None:
        """End a worker and start another; its molecule is refused and the rest of the request tried again."""
        number, place, _ = worker.mark()
        started = worker.started
        worker.end()
        self.workers.remove(worker)
        if not started:
            raise UserError(f"Worker processes do not start: {reason}. Use workers=0 to do without them.")
        request = self.requests.get(worker.busy)
        if request is not None:
            known = number == worker.busy and place in range(len(request.texts)) and place not in request.lost
            if known and code == "CRASH" and place not in request.suspects:
                request.suspects.add(place)  # the system may have killed the worker; twice is no chance
            elif known:
                request.lost[place] = Rejected(request.texts[place], code, reason)
            else:
                request.deaths += 1
            if request.deaths >= DEATHS:
                raise RuntimeError(f"{DEATHS} workers ended between molecules: {reason}")
            self.waiting.appendleft(worker.busy)
        self.restarts += 1
        self.workers.append(Worker(self.command, self.limits, self.inbox))


def answers(
    module: str, job: Job, texts: Sequence[str], most: int, options: dict[str, Any], limits: Limits
) -> Iterator[tuple[bytes, dict[int, Rejected]]]:
    """`job` of the texts, in order, by workers that run `module`, or here if `limits` wants none.

    A request has at most `most` texts, or so few that a short list keeps every worker busy. With each answer come the
    places of its request that cost a worker.
    """
    chunk = max(1, min(most, len(texts) // 8 + 1))
    chunks = (list(texts[first : first + chunk]) for first in range(0, len(texts), chunk))
    if not limits.count:
        yield from ((job(some, options, lambda place: None), {}) for some in chunks)
        return
    with Pool([sys.executable, "-m", module], limits) as pool:
        yield from ((answer, lost) for _, answer, lost in pool.map(chunks, options))

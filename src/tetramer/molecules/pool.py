"""The bulkhead: worker processes with a time and a memory limit, in which one bad molecule costs one row.

A worker is a program of its own that reads framed requests on its standard input and answers on its standard output,
so a user's script needs no main guard and nothing is pickled. While it works it writes the number of the molecule at
hand into a small mapped file; a parent that waits too long, or finds the worker dead, knows whom to blame.
"""

import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Any, BinaryIO, Self

from tetramer.molecules.parse import Rejected

HEAD = struct.Struct("<Q")  # length of the frame that follows
MARK = struct.Struct("<qq")  # request number, place of the molecule in it
TICK = 0.05  # seconds between looks at a silent worker
START = 60.0  # seconds a worker may take to import what it needs

Job = Callable[[list[str], dict[str, Any], Callable[[int], None]], bytes]


@dataclass(frozen=True)
class Limits:
    """How many workers, and what one molecule may cost."""

    workers: int | None = None  # None: one a core; 0: in this process, without a bulkhead
    seconds: float = 10.0
    memory_mb: int = 2048  # above what a worker has after its start; kept on Linux only

    @property
    def count(self) -> int:
        """The number of worker processes."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers


def write_frame(stream: BinaryIO, *parts: bytes) -> None:
    """One length, then the bytes."""
    stream.write(HEAD.pack(sum(map(len, parts))))
    for part in parts:
        stream.write(part)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the stream, also if it ends within a frame."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    data = stream.read(HEAD.unpack(head)[0])
    return data if len(data) == HEAD.unpack(head)[0] else None


def serve(job: Job) -> None:
    """A worker's life: answer requests until the input ends. argv: progress file, memory limit in MB."""
    inward, outward = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not reach the frames
    limit_memory(int(sys.argv[2]))
    with Path(sys.argv[1]).open("r+b") as file, mmap.mmap(file.fileno(), MARK.size) as mark:
        while (frame := read_frame(inward)) is not None:
            request = json.loads(frame)
            number = request["number"]

            def tick(place: int, number: int = number) -> None:
                MARK.pack_into(mark, 0, number, place)

            tick(-1)
            write_frame(outward, job(request["texts"], request["options"], tick))


def limit_memory(megabytes: int) -> None:
    """Cap the address space of this process at what it has now and `megabytes` more (Linux only)."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    cap = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))


class Worker:
    """One process and the thread that listens to it."""

    def __init__(self, command: Sequence[str], limits: Limits, inbox: "SimpleQueue[tuple[Worker, bytes | None]]"):
        handle, name = tempfile.mkstemp(prefix="tetramer-")
        os.write(handle, MARK.pack(-1, -1))
        os.close(handle)
        self.path, self.busy = Path(name), -1
        self.seen: tuple[int, int] = (-1, -1)
        self.since = monotonic()
        self.born = True  # has not answered yet, so it may still be importing
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        self.process = subprocess.Popen(  # noqa: S603 (our own interpreter)
            [*command, name, str(limits.memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads},
            **({"process_group": 0} if os.name == "posix" else {}),  # a Ctrl-C is the parent's to handle
        )
        threading.Thread(target=self.listen, args=(inbox,), daemon=True).start()

    def listen(self, inbox: "SimpleQueue[tuple[Worker, bytes | None]]") -> None:
        """Pass on every answer, then a None when the process has ended."""
        assert self.process.stdout is not None
        while (frame := read_frame(self.process.stdout)) is not None:
            inbox.put((self, frame))
        inbox.put((self, None))

    def send(self, number: int, texts: list[str], options: dict[str, Any]) -> None:
        """Hand over a request; a worker that is already dead is found out later."""
        self.busy, self.seen, self.since = number, (number, -1), monotonic()
        assert self.process.stdin is not None
        try:
            frame = json.dumps({"number": number, "texts": texts, "options": options}).encode()
            write_frame(self.process.stdin, frame)
        except OSError:
            pass

    def mark(self) -> tuple[int, int]:
        """Which molecule the worker has at hand: (request number, place)."""
        data = self.path.read_bytes()
        return MARK.unpack(data) if len(data) == MARK.size else (-1, -1)

    def late(self, seconds: float) -> bool:
        """Whether the molecule at hand has taken longer than allowed."""
        now = self.mark()
        if now != self.seen:
            self.seen, self.since, self.born = now, monotonic(), False
        return monotonic() - self.since > (START if self.born else seconds)

    def end(self) -> None:
        """Kill the process if it runs, and remove its file."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
        self.path.unlink(missing_ok=True)


class Pool:
    """Workers for one job, started at once. Use it as a context manager."""

    def __init__(self, command: Sequence[str], limits: Limits):
        self.command, self.limits = command, limits
        self.inbox: SimpleQueue[tuple[Worker, bytes | None]] = SimpleQueue()
        self.workers = [Worker(command, limits, self.inbox) for _ in range(limits.count)]
        self.restarts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.end()
        self.workers = []

    def map(
        self, chunks: Iterable[list[str]], options: dict[str, Any]
    ) -> Iterator[tuple[list[str], bytes, dict[int, Rejected]]]:
        """Each chunk of texts, the job's answer, and the rows that cost a worker, in the order of the chunks.

        A row that cost a worker is sent to the job as an empty text the second time. At most two chunks a worker are
        under way, so memory does not grow with the input.
        """
        source = enumerate(chunks)
        waiting: deque[int] = deque()
        texts: dict[int, list[str]] = {}
        lost: dict[int, dict[int, Rejected]] = {}
        done: dict[int, bytes] = {}
        turn, exhausted = 0, False
        while True:
            while not exhausted and len(texts) < 2 * len(self.workers) + 1:
                pair = next(source, None)
                if pair is None:
                    exhausted = True
                else:
                    texts[pair[0]], lost[pair[0]] = list(pair[1]), {}
                    waiting.append(pair[0])
            while turn in done:
                yield texts.pop(turn), done.pop(turn), lost.pop(turn)
                turn += 1
            if exhausted and not texts:
                return
            if not exhausted and len(texts) < 2 * len(self.workers) + 1:
                continue
            for worker in self.workers:
                if worker.busy < 0 and waiting:
                    number = waiting.popleft()
                    kept = ["" if place in lost[number] else text for place, text in enumerate(texts[number])]
                    worker.send(number, kept, options)
            self.wait(texts, lost, done, waiting)

    def wait(
        self,
        texts: dict[int, list[str]],
        lost: dict[int, dict[int, Rejected]],
        done: dict[int, bytes],
        waiting: deque[int],
    ) -> None:
        """Take the next answer, or find the worker that died or hangs and blame its molecule."""
        try:
            worker, answer = self.inbox.get(timeout=TICK)
        except Empty:
            for worker in list(self.workers):
                if worker.busy >= 0 and worker.late(self.limits.seconds):
                    reason = f"took longer than {self.limits.seconds:g} s"
                    self.blame(worker, "TIMEOUT", reason, texts, lost, waiting)
            return
        if worker not in self.workers:
            return  # the last word of a worker that was replaced
        if answer is not None:
            done[worker.busy], worker.busy, worker.born = answer, -1, False
        else:
            code = worker.process.wait()
            self.blame(worker, "CRASH", f"the worker process died (exit {code})", texts, lost, waiting)

    def blame(
        self,
        worker: Worker,
        code: str,
        reason: str,
        texts: dict[int, list[str]],
        lost: dict[int, dict[int, Rejected]],
        waiting: deque[int],
    ) -> None:
        """Replace the worker; its molecule is refused and the rest of the chunk tried again."""
        number, place = worker.mark()
        busy = worker.busy
        worker.end()
        self.restarts += 1
        if busy >= 0:
            if number != busy or place < 0:
                if worker.born:
                    raise RuntimeError(f"a worker process did not start: {reason}; command: {' '.join(self.command)}")
                place = next(p for p in range(len(texts[busy])) if p not in lost[busy])
            lost[busy][place] = Rejected(texts[busy][place], code, reason)
            waiting.appendleft(busy)
        self.workers[self.workers.index(worker)] = Worker(self.command, self.limits, self.inbox)

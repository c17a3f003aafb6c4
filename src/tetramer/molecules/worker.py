"""The worker's half of the bulkhead: frames in, frames out, and a mark that says which molecule is at hand."""

import faulthandler
import gc
import json
import mmap
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import IO, Any

HEAD = struct.Struct("<Q")  # length of the frame that follows
MARK = struct.Struct("<qqq")  # request number, place of the molecule in it, signs of life
BETWEEN = -1  # the place when no molecule is at hand
OUT_OF_MEMORY = 77  # exit code of a worker whose molecule took too much
GRACE = 5.0  # seconds after the time limit for the parent to act before the worker ends itself

Tick = Callable[[int], None]
Job = Callable[[list[str], dict[str, Any], Tick], bytes]


def write_frame(stream: IO[bytes], data: bytes) -> None:
    """One length, then the bytes."""
    stream.write(HEAD.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame; None at the end of the stream, also if it ends within a frame."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    data = stream.read(HEAD.unpack(head)[0])
    return data if len(data) == HEAD.unpack(head)[0] else None


def pack_request(number: int, texts: list[str], options: dict[str, Any]) -> bytes:
    """What a worker is asked, as JSON."""
    return json.dumps({"number": number, "texts": texts, "options": options}).encode()


class Ticker:
    """Writes down which molecule is at hand, and ends this process if one never ends and no parent is left to see it.

    The watchdog is a thread of C: it also ends a call that holds Python's lock.
    """

    def __init__(self, marks: mmap.mmap, seconds: float) -> None:
        self.marks, self.patience, self.parent = marks, seconds + GRACE, os.getppid()
        self.number, self.beat, self.armed = -1, 0, 0.0
        self.nowhere = Path(os.devnull).open("w")  # noqa: SIM115 (lives as long as the process)
        self(BETWEEN)

    def __call__(self, place: int) -> None:
        self.beat += 1
        MARK.pack_into(self.marks, 0, self.number, place, self.beat)
        if place != BETWEEN and (now := monotonic()) - self.armed > 1.0:  # to arm it costs a thread
            if os.getppid() != self.parent:  # it died; without this the chunk would be worked through to its end
                os._exit(0)
            faulthandler.dump_traceback_later(self.patience, file=self.nowhere, exit=True)
            self.armed = now

    def begin(self, number: int) -> None:
        """A new request."""
        self.number = number
        self(BETWEEN)

    def rest(self) -> None:
        """Nothing to do: call the watchdog off."""
        faulthandler.cancel_dump_traceback_later()
        self.armed = 0.0
        self(BETWEEN)


def serve(job: Job) -> None:
    """A worker's life: answer requests until the input ends. argv: file of the mark, memory limit in MB, seconds.

    `job` takes the texts, the options and a function to call with the place of each molecule it turns to.
    """
    name, megabytes, seconds = sys.argv[-3:]
    inward, outward = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not reach the frames
    gc.freeze()  # what was imported stays; no collection need walk it
    limit_memory(int(megabytes))
    with Path(name).open("r+b") as file, mmap.mmap(file.fileno(), MARK.size) as marks:
        tick = Ticker(marks, float(seconds))
        while (frame := read_frame(inward)) is not None:
            request = json.loads(frame)
            tick.begin(request["number"])
            try:
                answer = job(request["texts"], request["options"], tick)
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            tick.rest()
            write_frame(outward, answer)


def limit_memory(megabytes: int) -> None:
    """Cap the address space of this process at what it has now and `megabytes` more (Linux only)."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    cap = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a worker's death is no accident: no core file

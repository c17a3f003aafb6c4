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
from typing import Any, BinaryIO

HEAD = struct.Struct("<Q")  # length of the frame that follows
MARK = struct.Struct("<qqq")  # request number, place of the molecule in it, signs of life
BETWEEN = -1  # the place when no molecule is at hand
OUT_OF_MEMORY = 77  # exit code of a worker whose molecule took too much
GRACE = 5.0  # seconds after the time limit for the parent to act before the worker ends itself

Tick = Callable[[int], None]
Job = Callable[[list[str], dict[str, Any], Tick], bytes]


def write_frame(stream: BinaryIO, data: bytes) -> None:
    """One length, then the bytes."""
    stream.write(HEAD.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the stream, also if it ends within a frame."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    data = stream.read(HEAD.unpack(head)[0])
    return data if len(data) == HEAD.unpack(head)[0] else None


def pack_request(number: int, texts: list[str], options: dict[str, Any]) -> bytes:
    """What a worker is asked, as JSON."""
    return json.dumps({"number": number, "texts": texts, "options": options}).encode()


def serve(job: Job) -> None:
    """A worker's life: answer requests until the input ends. argv: file of the mark, memory limit in MB, seconds."""
    name, megabytes, seconds = sys.argv[-3:]
    inward, outward = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not reach the frames
    gc.freeze()  # what was imported stays; do not walk it at every collection
    limit_memory(int(megabytes))
    with Path(name).open("r+b") as file, mmap.mmap(file.fileno(), MARK.size) as marks:
        tick = ticker(marks, float(seconds))
        while (frame := read_frame(inward)) is not None:
            request = json.loads(frame)
            tick.number = request["number"]  # type: ignore[attr-defined]
            try:
                answer = job(request["texts"], request["options"], tick)
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            tick(BETWEEN)
            write_frame(outward, answer)

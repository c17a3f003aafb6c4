"""A worker whose job does what the text says; run by the tests of the pool, never imported by them."""

import ctypes
import os
import sys
import time
from pathlib import Path

from rdkit import Chem, rdBase

from tetramer.molecules.worker import Tick, serve


def act(text: str) -> str:
    if text.startswith("hang in C"):
        ctypes.PyDLL(None).sleep(600)  # holds Python's lock, as RDKit does
    elif text.startswith("hang"):
        time.sleep(600)
    elif text.startswith("once ") and not Path(text.removeprefix("once ")).exists():
        Path(text.removeprefix("once ")).touch()
        os.kill(os.getpid(), 9)
    elif text.startswith("die"):
        os.kill(os.getpid(), 9)
    elif text.startswith("raise"):
        raise ValueError("a mistake of the job")
    elif text.startswith("fill"):
        held = [bytearray(b"x" * (1 << 26)) for _ in range(64)]
        return str(len(held))
    elif text.startswith("print"):
        print("noise on the standard output", flush=True)
    elif text.startswith("C"):
        return str(Chem.MolToSmiles(Chem.MolFromSmiles(text)))  # without any cap
    return text.upper()


def job(texts: list[str], options: dict[str, str], tick: Tick) -> bytes:
    if any(text == "end between" for text in texts):
        os._exit(3)
    told = []
    for place, text in enumerate(texts):
        tick(place)
        told.append(act(text))
    return "|".join(told).encode()


if __name__ == "__main__":
    if "--broken" in sys.argv:
        raise SystemExit("this worker does not start")
    if "--silent" in sys.argv:
        time.sleep(600)
    rdBase.DisableLog("rdApp.*")
    serve(job)

"""What this machine can do, measured in a few seconds."""

import os
import platform
from collections.abc import Callable
from time import perf_counter
from typing import Any

import psutil
import torch

from tetramer.errors import UserError
from tetramer.modelling import versions
from tetramer.molecules import Limits, parse
from tetramer.views import read

SAMPLE = "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)Nc1ccc(Cl)cc1"


def examine() -> dict[str, Any]:
    """Versions, processor, memory and a few speeds, as (name, sentence)."""
    memory = psutil.virtual_memory()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; tetramer does not need one"
    fp32, bf16 = matmul(torch.float32), matmul(torch.bfloat16)
    return {
        **versions(),
        "system": platform.platform(terse=True),
        "cores": os.cpu_count(),
        "memory": f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free",
        "gpu": gpu,
        "data": os.environ.get("TETRAMER_DATA", "TETRAMER_DATA is not set; public data sets are downloaded"),
        "matrix products": f"fp32 {fp32:.0f}, bf16 {bf16:.0f} GFLOP/s on one thread",
        "bf16": "pays: --set training.precision=bf16" if bf16 > 1.5 * fp32 else "does not pay on this processor",
        "SMILES per second": f"{rate(lambda: parse(SAMPLE)):.0f} parsed on one core",
        "worker processes": workers(),
    }


def workers() -> str:
    """Whether molecules can be read in processes of their own."""
    try:
        return "work" if read([SAMPLE], ["graph"], limits=Limits(1)).codes == ["ok"] else "give no answer"
    except UserError as error:
        return f"do not start: {error}"


def matmul(dtype: torch.dtype) -> float:
    """GFLOP/s of one thread on the shapes of the graph network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a, b = torch.ones(2048, 304, dtype=dtype), torch.ones(304, 304, dtype=dtype)
    told = rate(lambda: a @ b) * 2 * 2048 * 304 * 304 / 1e9
    torch.set_num_threads(threads)
    return told


def rate(work: Callable[[], object], seconds: float = 0.3) -> float:
    """Calls a second, after one to warm up."""
    work()
    start, calls = perf_counter(), 0
    while perf_counter() - start < seconds:
        work()
        calls += 1
    return calls / (perf_counter() - start)

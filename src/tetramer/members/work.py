"""The pieces of a model, fitted one by one: a plan on the disk, workers that take pieces, answers that survive a kill.

A piece is one member fitted on one set of rows. Its folder appears whole when it is done, so a run that is killed and
started again fits only what is missing, and a network goes on from its last checkpoint.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Self

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from tetramer.checkpoint import config_hash, pack, read_folder, unpack, write_folder
from tetramer.errors import DiskError, Stopped, UserError, pick
from tetramer.members import MEMBERS, Kernels, Neural, SharedForest, Trees
from tetramer.members.base import REGRESSION, Problem, usable, without_drawings
from tetramer.members.forest import ForestConfig
from tetramer.members.kernels import KernelConfig
from tetramer.members.neural import NeuralConfig
from tetramer.members.neural import train as train_network
from tetramer.members.offsets import FILE, Offset, learned, offset_from
from tetramer.members.plan import Piece, Plan
from tetramer.members.trees import TreesConfig
from tetramer.molecules.pool import environment
from tetramer.settings import configured
from tetramer.training import Interrupt, Row
from tetramer.views.base import Features

Config = TreesConfig | ForestConfig | KernelConfig | NeuralConfig
GRACE = 10.0  # seconds a worker gets to save before it is killed


@dataclass(frozen=True)
class Fitted:
    """A member and, if it has one, the plain fit that it adds its answer to."""

    member: Trees | SharedForest | Kernels | Neural
    offset: Offset | None = None

    @property
    def views(self) -> tuple[str, ...]:
        """What both look at."""
        return tuple(dict.fromkeys((*self.member.views, *(self.offset.views if self.offset is not None else ()))))

    def predict(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n, T, K) float64; NaN where a view of the row could not be made."""
        told = self.member.predict(features, rows)
        if self.offset is not None:
            told = told + self.offset(features, rows)[:, :, None]
            if self.offset.views:
                told[~usable(features, self.offset.views, rows)] = np.nan
        return told

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Card and files of the member, with the offset beside them."""
        card, files = self.member.state()
        if self.offset is not None:
            files[FILE] = self.offset.file()
        return {"kind": self.member.KIND, "member": card}, files

    @classmethod
    def from_state(cls, card: dict[str, Any], files: dict[str, bytes], problem: Problem) -> Self:
        """What `state` wrote down. UserError if a part is missing."""
        try:
            member = pick(MEMBERS, card["kind"], "kind of member").from_state(card["member"], files, problem)
            held = files.get(FILE)
            return cls(member, None if held is None else offset_from(held, len(problem.targets)))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(f"A member of the model is not whole: {error}. Train again.") from error


def config_of(kind: str, config: dict[str, Any], seed: int = 0) -> Config:
    """A recipe's settings as the member's config. UserError if one is not known or out of range."""
    if kind == "trees":
        return configured(TreesConfig, config)
    if kind == "forest":
        return configured(ForestConfig, config)
    if kind == "kernels":
        return configured(KernelConfig, config)
    return NeuralConfig.from_card(config | {"training": config["training"] | {"seed": seed}})


def fit_piece(folder: Path, plan: Plan, piece: Piece, log: Callable[[Row], None] = lambda row: None) -> None:
    """Fit one piece and put it at `folder/pieces/NAME`, with its answers for the rows it had not seen."""
    rows, held = plan.rows(piece)
    config = config_of(piece.kind, piece.config, piece.seed)
    data = replace(plan.data, features=without_drawings(plan.data.features))
    kinds, offset = references_of(config, plan), None
    if any(kinds):
        offset, rest = learned(kinds, data, rows)
        data = replace(data, values=rest)
    member: Trees | SharedForest | Kernels | Neural
    if isinstance(config, TreesConfig):
        member = Trees.fit(config, plan.problem, data, rows, piece.seed)
    elif isinstance(config, ForestConfig):
        member = SharedForest.fit(config, plan.problem, data, rows, piece.seed)
    elif isinstance(config, KernelConfig):
        member = Kernels.fit(config, plan.problem, data, rows, piece.seed)
    else:
        chooses = held if piece.fold is None and len(held) else None
        running, origin = folder / "running" / piece.name, plan.origin if piece.origin else None
        member = train_network(config, plan.problem, data, rows, chooses, running, log, origin)
    fitted = Fitted(member, offset)
    card, files = fitted.state()
    files["held.safetensors"] = pack({"rows": held, "told": fitted.predict(data.features, held)})
    (folder / "pieces").mkdir(parents=True, exist_ok=True)
    write_folder(folder / "pieces" / piece.name, card | {"key": key(piece)}, files)


def references_of(config: Config, plan: Plan) -> tuple[str, ...]:
    """For each target the fit that a member with this config learns the rest of (`offsets.learned`); "" for most."""
    problem = plan.problem
    wanted = config.reference if isinstance(config, NeuralConfig) else "auto"
    looks = (*config.views, *(["graph"] if "graph" in plan.data.features else []))
    best = "histograms" if "conformer" in looks else "pieces" if "graph" in looks else "atoms"
    trended = problem.task == REGRESSION and not isinstance(config, KernelConfig) and config.trend
    plain, summed = "trend" if trended else "", best if wanted == "auto" else wanted
    grows = problem.extensive or (False,) * len(problem.targets)
    return tuple(summed if one and wanted != "none" else plain for one in grows)


def key(piece: Piece) -> str:
    """A hash of what the piece is, kept in its folder."""
    return config_hash(asdict(piece))


def is_done(folder: Path, piece: Piece) -> bool:
    """Whether the piece's folder is there and of this plan."""
    try:
        return bool(read_folder(folder / "pieces" / piece.name)[0].get("key") == key(piece))
    except UserError:
        return False


def load_piece(folder: Path, plan: Plan, piece: Piece) -> tuple[Fitted, np.ndarray, np.ndarray]:
    """The fitted piece, the rows it had not seen (m,), and its answers for them (m, T, K)."""
    card, files = read_folder(folder / "pieces" / piece.name)
    held = unpack(files["held.safetensors"], "held")
    return Fitted.from_state(card, files, plan.problem), held["rows"], held["told"]


Progress = Callable[[str, float], None]  # name of a piece, share of it that is done


def run(folder: Path, plan: Plan, workers: int, progress: Progress = lambda name, share: None) -> None:
    """Fit what is missing, the slow pieces first, in `workers` processes (1: in this one)."""
    missing = [piece for piece in plan.pieces if not is_done(folder, piece)]
    for piece in plan.pieces:
        if piece not in missing:
            progress(piece.name, 1.0)
    missing.sort(key=lambda piece: {"neural": 0, "trees": 1, "forest": 1, "kernels": 2}[piece.kind])
    if workers < 2 or len(missing) < 2:
        for piece in missing:
            with one_thread():
                fit_piece(folder, plan, piece, reporter(piece.name, progress))
            progress(piece.name, 1.0)
        return
    Crew(folder, missing, min(workers, len(missing)), progress).work()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """As in a worker: the order of a sum, and with it the last bit of a weight, depends on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def reporter(name: str, progress: Progress) -> Callable[[Row], None]:
    """Log rows of a network → its share of the steps, at most a few times a second."""
    last = [0.0]

    def log(row: Row) -> None:
        if monotonic() - last[0] > 0.3:
            last[0] = monotonic()
            progress(name, min(0.99, row["step"] / row["steps"]))  # 1 means that the piece is on the disk

    return log


class Crew:
    """Worker processes that take pieces from a common list."""

    def __init__(self, folder: Path, missing: Sequence[Piece], workers: int, progress: Progress) -> None:
        self.folder, self.progress = folder, progress
        self.todo = [piece.name for piece in missing]
        self.inbox: queue.SimpleQueue[tuple[int, dict[str, Any] | None]] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.processes = [self.start(number) for number in range(workers)]

    def start(self, number: int) -> "subprocess.Popen[str]":
        """One worker, and a thread that passes on what it says."""
        process = subprocess.Popen(  # noqa: S603 (our own interpreter)
            [sys.executable, "-m", "tetramer.members.work", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment(),
            process_group=0 if os.name == "posix" else None,  # a Ctrl-C is the parent's to handle
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
        )

        def listen() -> None:
            assert process.stdout is not None
            with process.stdout as stream:
                for line in stream:
                    self.inbox.put((number, json.loads(line)))
            self.inbox.put((number, None))

        self.threads.append(threading.Thread(target=listen, daemon=True))
        self.threads[-1].start()
        return process

    def give(self, number: int) -> None:
        """The next piece to a worker; no more pieces end it."""
        stdin = self.processes[number].stdin
        assert stdin is not None
        try:
            if self.todo:
                stdin.write(self.todo.pop(0) + "\n")
                stdin.flush()
            else:
                stdin.close()
        except OSError:
            pass  # the worker has died; its thread says so

    def work(self) -> None:
        """Until every piece is done. Raises what stopped a worker, after all have ended."""
        running = set(range(len(self.processes)))
        with Interrupt() as interrupt:
            try:
                for number in list(running):
                    self.give(number)
                while running:
                    try:
                        number, told = self.inbox.get(timeout=0.2)
                    except queue.Empty:
                        if interrupt.signal:
                            raise Stopped(interrupt.signal) from None
                        continue
                    if told is None:
                        running.discard(number)
                        if self.processes[number].wait() != 0:
                            raise UserError(died(self.processes[number].returncode))
                    elif "error" in told:
                        raise (DiskError if told["disk"] else UserError)(told["error"])
                    else:
                        self.progress(told["piece"], told["share"])
                        if told["share"] == 1.0:
                            self.give(number)
            finally:
                self.end()

    def end(self) -> None:
        """Ask all workers to save and stop, then kill what is left."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        until = monotonic() + GRACE
        for process in self.processes:
            try:
                process.wait(max(0.1, until - monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            with contextlib.suppress(OSError):  # what was not flushed has no reader any more
                process.stdin.close()
        for thread in self.threads:
            thread.join(GRACE)


def died(code: int) -> str:
    """The sentence for a worker that ended by itself."""
    why = f"by signal {-code}, most often for want of memory" if code < 0 else f"with exit code {code}"
    return f"A worker process ended {why}. What is done is kept; start the same command again with fewer --workers."


def main(folder: Path) -> int:
    """A worker's life: fit the pieces named on standard input, one a line, until it ends."""
    torch.set_num_threads(1)
    plan = Plan.load(folder)
    pieces = {piece.name: piece for piece in plan.pieces}
    names: queue.SimpleQueue[str] = queue.SimpleQueue()
    busy = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            busy.set()
            names.put(line.strip())
        # The parent gives a piece at a time. If it closes while one is waiting or at hand, it is gone, and another
        # run may be at the same piece already; what is done is on the disk.
        if busy.is_set():
            os._exit(1)
        names.put("")

    threading.Thread(target=listen, daemon=True).start()
    while name := names.get():
        try:
            fit_piece(folder, plan, pieces[name], reporter(name, say))
        except Stopped as stopped:
            return 128 + stopped.signal
        except UserError as error:
            print(json.dumps({"error": str(error), "disk": isinstance(error, DiskError)}), flush=True)
            return error.exit_code
        busy.clear()
        say(name, 1.0)
    return 0


def say(name: str, share: float) -> None:
    """One line of progress to the parent."""
    print(json.dumps({"piece": name, "share": share}), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Processes that are killed at random moments and started again: the result is that of a run nobody touched."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the signals are those of POSIX")

# A checkpoint after nearly every step, so that a kill meets one being written; many shards, of 256 rows.
DRIVER = """
import functools, tetramer.resuming as resuming, tetramer.shards as shards
resuming.SAVE_EVERY = 0.05
shards.Job = functools.partial(shards.Job, rows=256)
from tetramer.cli import main
import sys
print("begun", file=sys.stderr, flush=True)
main()
"""
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
GRAPH = ["--recipe", "graph", "--split", "random", "--workers", "1", "--set", "encoder.width=64"]
GRAPH += ["--set", "training.epochs=30", "--set", "training.ema=0.99", "--set", "training.patience=25"]
AUTO = ["--recipe", "auto", "--workers", "2", "--set", "folds=2", "--set", "training.epochs=4", "--set", "trees=20"]
AUTO += ["--set", "encoder.width=64", "--set", "encoder.widths=64"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 300 compounds of the assay in the RDKit wheel."""
    from tetramer.datasets import sources

    read = sources.load("chembl2321810")
    target = read.data[next(iter(sources.SOURCES["chembl2321810"].targets))].to_pylist()
    path = tmp_path_factory.mktemp("data") / "assay.csv"
    rows = [f"{text},{value}" for text, value in list(zip(read.texts, target, strict=True))[:300]]
    path.write_text("\n".join(["smiles,y", *rows]) + "\n")
    return path


class Child:
    """A `tetramer` process of its own, that says on standard error when it has begun its work."""

    def __init__(self, words: list[str], folder: Path) -> None:
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
        with (folder / "log.txt").open("ab") as log:
            self.start, self.place = log.tell(), folder / "log.txt"
            self.process = subprocess.Popen([sys.executable, "-c", DRIVER, *words], cwd=folder, env=env, stderr=log)

    def said(self) -> str:
        return self.place.read_bytes()[self.start :].decode()

    def kill(self, number: signal.Signals, after: float) -> int | None:
        """Signal it `after` seconds from when its command began; None if it ended before."""
        self.wait()
        try:
            self.process.wait(after)
        except subprocess.TimeoutExpired:
            self.process.send_signal(number)
        begun = time.monotonic()
        code = self.process.wait(60)
        assert time.monotonic() - begun < 15, "a stop takes one step and 5 s, on a quiet machine"
        if re.search(r"^Model: |^Encoder: |^\d+ rows", self.said(), re.MULTILINE):
            return None  # done before; a signal that comes while Python closes is the system's
        assert "Traceback" not in self.said(), self.said()
        if code == CODES[number]:
            assert number == signal.SIGKILL or "Stopped. If a part was finished it is kept" in self.said()
            return code
        assert code == 0, self.said()
        return None

    def wait(self) -> None:
        """Until Python and our modules are there."""
        while self.process.poll() is None and "begun" not in self.said():
            time.sleep(0.02)

    def done(self) -> float:
        """Its seconds from when its command began."""
        self.wait()
        begun = time.monotonic()
        assert self.process.wait(300) == 0, self.said()
        return time.monotonic() - begun


def hashes(model: Path) -> dict[str, str]:
    """SHA-256 of every file that the card names, as they are on the disk."""
    card = json.loads((model / "card.json").read_text())
    found = {name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in card["files"]}
    assert found == card["files"]
    assert len(found) >= 2
    return found


def numbers(kills: int) -> Iterator[signal.Signals]:
    for kill in range(kills):
        yield (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[kill % 3]


def campaign(words: list[str], folder: Path, kills: int, seed: int) -> int:
    """Work untouched, then with kills at random moments; gives the number of kills that hit."""
    (folder / "whole").mkdir()
    (folder / "killed").mkdir()
    seconds = Child(words, folder / "whole").done()
    dice, hit = random.Random(seed), 0
    for number in numbers(kills):
        if Child(words, folder / "killed").kill(number, dice.uniform(0.1, seconds)) is None:
            continue  # it was done before; the next one starts anew from a finished model
        hit += 1
    Child(words, folder / "killed").done()
    assert hashes(folder / "killed" / "model") == hashes(folder / "whole" / "model")
    left = {path.name for path in (folder / "killed").iterdir()}
    assert left == {"model", "log.txt"}, "no unfinished work and no strays"
    return hit


def test_a_killed_training_goes_on_to_the_same_model(table: Path, tmp_path: Path) -> None:
    """Kills in the middle of a network; on a busy machine one may come too late."""
    options = [*GRAPH, "--set", "training.epochs=12"]
    words = ["train", str(table), "--target", "y", "-o", "model", *options]
    assert campaign(words, tmp_path, 3, seed=9) >= 1
    assert "Going on with the unfinished run" in (tmp_path / "killed" / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["smiles-lstm", "smiles-transformer"])
def test_a_killed_pretraining_goes_on_to_the_same_encoder(table: Path, tmp_path: Path, method: str) -> None:
    options = ["--workers", "1", "--set", "encoder.width=32", "--set", "encoder.depth=1", "--set", "training.epochs=8"]
    assert campaign(["pretrain", method, str(table), "-o", "model", *options], tmp_path, 8, seed=5) >= 3
    assert "Going on with the unfinished run" in (tmp_path / "killed" / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("options", [GRAPH, AUTO], ids=["graph", "auto"])
def test_campaign_of_kills_while_training(table: Path, tmp_path: Path, options: list[str], seed: int) -> None:
    hit = campaign(["train", str(table), "--target", "y", "-o", "model", *options], tmp_path, 8, seed)
    print(f"{hit} of 8 kills hit")
    assert hit >= 3


@pytest.fixture(scope="module")
def model(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tetramer.assays import Files, read_files
    from tetramer.modelling import Options, train
    from tetramer.molecules import Limits

    folder = tmp_path_factory.mktemp("model")
    options = Options("baseline", {"folds": "2", "trees": "20"}, limits=Limits(0))
    train(read_files(Files(table, ["y"]))[0], options, folder / "parts").model.save(folder / "model")
    return folder / "model"


def predictions(table: Path, model: Path, folder: Path, rows: int, kills: int, ending: str) -> int:
    """Predict many rows (some of them bad) untouched and with kills; gives the number of kills that hit."""
    lines = table.read_text().splitlines()
    body = [lines[1 + k % 300] if k % 11 else "C1CC,not a molecule" for k in range(rows)]
    (folder / "in.csv").write_text("\n".join([lines[0], *body]) + "\n")
    words = ["predict", str(model), "in.csv", "--workers", "1", "-o"]
    seconds = Child([*words, f"whole{ending}"], folder).done()
    dice, hit = random.Random(rows), 0
    for number in numbers(kills):
        found = Child([*words, f"killed{ending}"], folder).kill(number, dice.uniform(0.1, seconds))
        hit += found is not None
    Child([*words, f"killed{ending}"], folder).done()
    assert (folder / f"killed{ending}").read_bytes() == (folder / f"whole{ending}").read_bytes()
    assert (folder / f"whole{ending}").stat().st_size > 30 * rows * (ending == ".csv")
    assert {path.name for path in folder.iterdir()} == {"in.csv", f"whole{ending}", f"killed{ending}", "log.txt"}
    return hit


def test_a_killed_prediction_goes_on_to_the_same_bytes(table: Path, model: Path, tmp_path: Path) -> None:
    predictions(table, model, tmp_path, 700, 1, ".csv")


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_campaign_of_kills_while_predicting(table: Path, model: Path, tmp_path: Path, ending: str) -> None:
    hit = predictions(table, model, tmp_path, 4_000, 10, ending)
    print(f"{hit} of 10 kills hit")
    assert hit >= 4

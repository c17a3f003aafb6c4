"""Peers as rows of a benchmark: their own command line, in their own environment, on our split files.

They are given canonical SMILES, so no parser of theirs refuses a row that ours reads, and never see a test label.
"""

import csv
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.benchmark.cases import Case
from tetramer.datasets.splits import Split
from tetramer.errors import UserError

EPOCHS = 50  # chemprop's default
KINDS = {"regression": "regression", "binary": "classification", "multiclass": "multiclass"}
HOURS = 6.0


def chemprop_config(program: str) -> dict[str, Any]:
    """Version and settings of chemprop. UserError if `program` is not its command line."""
    found = shutil.which(program)
    if not found:
        raise UserError(
            f"{program} is not a program. Give the path of chemprop in its environment, such as env/bin/chemprop."
        )
    python = shutil.which("python", path=str(Path(found).parent)) or sys.executable
    asked = [python, "-c", "from importlib.metadata import version; print(version('chemprop'))"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
    if told.returncode:
        raise UserError(f"{program} does not lie in an environment with chemprop ({last_line(told.stderr)}).")
    return {"peer": "chemprop", "version": told.stdout.strip(), "epochs": EPOCHS}


def chemprop(program: str, case: Case, split: Split, seed: int, folder: Path) -> np.ndarray:
    """(m, T, K) answers for the test rows: trained on the train part, the epoch chosen on the validation part."""
    if not len(split.valid):
        raise UserError("chemprop chooses its epoch on a validation part, and this split has none.")
    kind, targets = KINDS[case.assay.task], [f"t{k}" for k in range(len(case.assay.labels.names))]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, rows in (("train", split.train), ("valid", split.valid), ("test", split.test)):
        write_csv(folder / f"{name}.csv", case, rows, targets if name != "test" else [])
    valid = str(folder / "valid.csv")
    train = ["train", "-i", str(folder / "train.csv"), valid, valid, "-o", str(folder / "model")]
    train += ["-s", "smiles", "--target-columns", *targets, "-t", kind, "--epochs", str(EPOCHS)]
    train += ["--pytorch-seed", str(seed), "--accelerator", "cpu", "-n", "0"]
    if case.assay.task == "multiclass":
        train += ["--multiclass-num-classes", str(case.outputs)]
    call([program, *train], folder)
    answers = folder / "answers.csv"
    predict = ["predict", "-i", str(folder / "test.csv"), "-s", "smiles", "-o", str(answers)]
    call([program, *predict, "--model-paths", str(folder / "model"), "--accelerator", "cpu", "-n", "0"], folder)
    return read_answers(answers, len(split.test), targets, case)


def write_csv(path: Path, case: Case, rows: np.ndarray, targets: Sequence[str]) -> None:
    """Canonical SMILES and labels of some rows; an unknown label is an empty cell."""
    values = case.assay.labels.values
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["smiles", *targets])
        for row in rows.tolist():
            cells = values[row, : len(targets)].tolist()
            out.writerow([case.reading.smiles[row], *("" if math.isnan(cell) else f"{cell:.17g}" for cell in cells)])


def read_answers(path: Path, rows: int, targets: Sequence[str], case: Case) -> np.ndarray:
    """The table that `chemprop predict` writes, → (m, T, K)."""
    with path.open(newline="", encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    if len(told) != rows:
        raise UserError(f"chemprop answered {len(told)} rows of {rows}; {path} holds what it wrote.")
    if case.assay.task == "multiclass":
        names = [[f"{target}_prob_{k}" for k in range(case.outputs)] for target in targets]
    else:
        names = [[target] for target in targets]
    return np.array([[[float(row[name] or "nan") for name in group] for group in names] for row in told])


def call(command: Sequence[str], folder: Path) -> None:
    """Run a peer; what it says goes to a file beside its work. UserError with its last line if it fails."""
    with (folder / "log.txt").open("ab") as log:
        try:
            done = subprocess.run(command, stdout=log, stderr=log, timeout=HOURS * 3600, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise UserError(f"{Path(command[0]).name} was not done in {HOURS:g} hours and was ended.") from None
    if done.returncode:
        said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        raise UserError(f"{Path(command[0]).name} failed with exit code {done.returncode}: {last_line(said)}")


def last_line(text: str) -> str:
    """The last line that says something, without the name of the error that it is of."""
    told = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
    return re.sub(r"^(tetramer\.)[\w.]+: ", "", told)

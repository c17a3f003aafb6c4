"""The README is run: its shell and Python blocks, in order, in one folder, on a small part of a real assay."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tetramer.datasets.sources import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
ELSEWHERE = {
    "make demo": "`make demo` makes an environment; the demo itself has a test of its own",
    "python -m pip": "installing is what made the environment that runs this test",
}


def write(path: Path, names: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with assay.csv and new.csv, as the README assumes them."""
    folder = tmp_path_factory.mktemp("desk")
    table = load("chembl2321810").data.to_pydict()
    rows = list(zip(table["smiles"], table["pIC50"], strict=True))
    write(folder / "assay.csv", ["smiles", "pIC50"], [list(row) for row in rows[:60]])
    write(
        folder / "new.csv", ["id", "smiles"], [[k, smiles] for k, (smiles, _) in enumerate(rows[60:70])] + [[10, "?"]]
    )
    return folder


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run in the folder, with this environment's `tetramer` first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


def lines(block: str) -> list[str]:
    return [line for line in block.splitlines() if line and not line.startswith("#")]


def test_the_readme_runs_from_top_to_bottom(desk: Path) -> None:
    shown = []
    for language, block in BLOCKS:
        if language == "python":
            (desk / "block.py").write_text(block, encoding="utf-8")
            run([sys.executable, "-W", "error::UserWarning", "block.py"], desk)
        for line in lines(block) if language == "sh" else []:
            if not any(line.startswith(start) for start in ELSEWHERE):
                shown.append(run(shlex.split(line), desk).stdout)
    assert len(shown) >= 4

    with (desk / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "smiles", "pIC50_pred", "pIC50_lo", "pIC50_hi", "status", "reason"]
    assert [row["id"] for row in rows] == [str(k) for k in range(11)]
    assert [row["status"] for row in rows] == ["ok"] * 10 + ["PARSE"]
    assert all(float(row["pIC50_lo"]) < float(row["pIC50_pred"]) < float(row["pIC50_hi"]) for row in rows[:10])
    assert rows[10]["pIC50_pred"] == ""
    assert (desk / "vectors.parquet").stat().st_size > 0


def check_demo(folder: Path, *flags: str) -> None:
    """Run the demo and hold its outcome against the mean of the training rows."""
    told = json.loads(run(["tetramer", "demo", "--json", *flags], folder).stdout)
    scores = {group: by["rmse"]["value"] for group, by in told["metrics"]["test"].items()}
    best = min(value for group, value in scores.items() if group != "mean")
    assert best < 0.75 * scores["mean"]
    page = (folder / "tetramer-demo" / "report.html").read_text(encoding="utf-8")
    assert told["split"]["sha256"] in page
    run(["tetramer", "predict", "tetramer-demo/model", "new.csv", "--output", "demo.csv"], folder)


def test_the_demo_is_what_make_runs() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2].splitlines()[1]
    assert recipe.split() == ["$(BIN)/tetramer", "demo"]


def test_the_demo_runs_with_one_network(desk: Path) -> None:
    check_demo(desk, "--recipe", "fingerprint")


@pytest.mark.slow
def test_the_demo_runs(desk: Path) -> None:
    check_demo(desk)


def test_the_example_of_a_table_is_one() -> None:
    (example,) = [block for language, block in BLOCKS if language == "csv"]
    names, *rows = csv.reader(example.splitlines())
    assert names == ["smiles", "pIC50"]
    assert all(float(row[1]) for row in rows)


def test_links_lead_somewhere() -> None:
    targets = [link for link in re.findall(r"\]\(([^)#]+)", README) if not link.startswith("http")]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []

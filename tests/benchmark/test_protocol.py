"""A benchmark measures what it says: no test label is seen, killed runs end with the same rows, others are refused."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tetramer import members
from tetramer.benchmark import cases, efficiency, external, plain, rules
from tetramer.benchmark.cases import Case, case_of, opened
from tetramer.benchmark.comparing import How, compare
from tetramer.benchmark.comparing import measure as measured
from tetramer.benchmark.correlation import correlation
from tetramer.benchmark.methods import MEMBERS, Given, Told, method_of
from tetramer.benchmark.protocol import Protocol, batches, load, run
from tetramer.benchmark.row import Row, Settings, measure, plain_name, work
from tetramer.datasets import sources
from tetramer.datasets.index_files import IndexFile, save_index
from tetramer.datasets.splits import Split, leak
from tetramer.errors import UserError
from tetramer.members.plan import Piece, Plan
from tetramer.members.work import fit_piece
from tetramer.modelling import Options, train
from tetramer.molecules import Limits

TREES = (("folds", "2"), ("trees", "10"))
NETWORK = (("training.epochs", "2"), ("encoder.widths", "16"))
ALL = (*TREES, *NETWORK, ("encoder.width", "16"))
CHEAP = ("ecfp-linear", "random-forest")
NETS = ("fingerprint", "graph")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, smiles: list[str]) -> Path:
    """80 molecules with a number, a number with gaps and bounds, a class, and a class of three."""
    path = tmp_path_factory.mktemp("table") / "small.csv"
    lines = ["smiles,y,gaps,active,kind"]
    for place, text in enumerate(smiles):
        y = text.count("O") + 0.5 * text.count("c") + 0.01 * place
        gap = "" if place % 5 == 0 else f">{y}" if place % 7 == 0 else f"{y}"
        lines.append(f"{text},{y},{gap},{int(y > 3)},{'abc'[place % 3]}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def case(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return case_of(str(table), tmp_path_factory.mktemp("features"), ["y"])


def test_other_targets_of_the_same_structures_are_not_read_anew(table: Path, tmp_path: Path) -> None:
    """Nor those of a table of another name; other structures have a place of their own."""
    one = case_of(str(table), tmp_path / "features", ["y"])
    (tmp_path / "copy.csv").write_bytes(table.read_bytes())
    two = case_of(str(tmp_path / "copy.csv"), tmp_path / "features", ["active"])
    assert (one.folder, one.reading.smiles) == (two.folder, two.reading.smiles)
    assert one.sha256 != two.sha256
    (tmp_path / "few.csv").write_text("\n".join(table.read_text().splitlines()[:41]) + "\n")
    assert case_of(str(tmp_path / "few.csv"), tmp_path / "features", ["y"]).folder != one.folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """400 sulfonamides of the assay in the RDKit package."""
    return case_of("chembl2321810:400", tmp_path_factory.mktemp("features"))


def settings(output: Path, *targets: str, **more: Any) -> Settings:
    return Settings(str(output), targets or ("y",), workers=1, **({"overrides": TREES} | more))


def rows_of(output: Path) -> dict[str, dict[str, Any]]:
    """Every finished row, but for its cost."""
    told = {str(path.relative_to(output)): json.loads(path.read_text()) for path in output.glob("*/*-*-*/*.json")}
    return {name: {key: value for key, value in row.items() if key != "cost"} for name, row in told.items()}


def answer(case: Case, method: str, folder: Path, seed: int = 0, rule: str = "random") -> tuple[Told, np.ndarray]:
    """What a method says of the test rows of a split, and which rows these are."""
    split = rules.make(case, rule, seed)
    given = Given(case.without(split.test), split, seed, "train+valid", folder / f"{method}-{rule}-{seed}", 1)
    return method_of(method, {}, dict(ALL)).run(given), split.test


def test_rows_are_measured_once_and_say_all(table: Path, case: Case, tmp_path: Path) -> None:
    plan = Protocol(["mean", "random-forest", "baseline"], [str(table)], ["random"], 2)
    said: list[str] = []
    assert run(plan, settings(tmp_path), said.append) == []
    rows, shared = load(tmp_path)
    assert len(rows) == 6
    tests = [rules.make(case, "random", seed).test for seed in (0, 1)]
    common, noted = json.loads((tmp_path / "small" / "splits.json").read_text())["random"], shared["small"]["random"]
    assert common["overlap"] == pytest.approx(len(set(tests[0].tolist()) & set(tests[1].tolist())) / 8)
    assert noted == pytest.approx(correlation(tests, np.arange(80)), abs=0.01)
    assert noted > common["overlap"]
    by = {(row["method"], row["seed"]): row for row in rows}
    assert by["mean", 0]["split_sha256"] == by["baseline", 0]["split_sha256"] != by["mean", 1]["split_sha256"]
    assert by["baseline", 0]["fitted_on"] == 72
    assert set(by["baseline", 0]["members"]) == {"lightgbm", "random-forest", "extra-trees", "svm", "gp"}
    assert sum(by["baseline", 0]["weights"].values()) == pytest.approx(1, abs=1e-4)
    assert 0 <= by["baseline", 0]["interval"]["coverage"] <= 1
    assert by["random-forest", 1]["scores"]["rmse"] < by["mean", 1]["scores"]["rmse"]
    told = rules.leaks_told(tmp_path)["small"]["random"]
    assert f"small, random: test rows that also stand in train or valid by {told}." in said
    noted = json.loads((tmp_path / "small" / "splits.json").read_text())["random"]["splits"]
    counts = [one["leak"] for one in noted]
    assert rules.leak_told(noted).endswith(" of 8")
    for seed in (0, 1):
        split = rules.make(case, "random", seed)
        assert (
            counts[seed].items() >= {"molecules": 0, "scaffolds": leak(split, case.reading.smiles)["scaffolds"]}.items()
        )
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*-*-*/*.json")}
    assert run(plan, settings(tmp_path), said.append) == []
    assert said[-1] == "small: 6 of 6 rows are there already."
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*-*-*/*.json")} == before
    assert not list((tmp_path / "running").glob("*"))


def test_blends_of_one_split_fit_their_common_members_once(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []

    def noted(folder: Path, plan: Plan, piece: Piece, *more: Any) -> None:
        fitted.append(piece.name)
        fit_piece(folder, plan, piece, *more)

    monkeypatch.setattr(members.work, "fit_piece", noted)
    rows = [Row(method, str(table), "random", 0, "train+valid") for method in ("baseline", "auto", "graph")]
    asked = batches(rows, settings(tmp_path, overrides=()))
    assert [[row.method for row in batch] for batch in asked] == [["baseline", "auto"], ["graph"]]
    how = settings(tmp_path / "together", overrides=ALL)
    work(how, rows[:2], lambda place: None)
    assert len(fitted) == len(set(fitted)) == 5 * 3 + 2 * 2  # two folds, and classical members once more on all rows
    apart = settings(tmp_path / "apart", overrides=ALL)
    for one in rows[:2]:
        work(apart, [one], lambda place: None)
    assert rows_of(tmp_path / "together") == rows_of(tmp_path / "apart")
    assert not list(tmp_path.glob("*/running/*"))


@pytest.mark.parametrize("target", ["y", "gaps", "active", "kind"])
@pytest.mark.parametrize("method", ["mean", "atom-counts", "characters-given", "ecfp-linear", "random-forest", "graph"])
def test_every_method_does_every_task(table: Path, target: str, method: str, tmp_path: Path) -> None:
    row = Row(method, str(table), "random", 0, "train+valid")
    how = settings(tmp_path, target, overrides=ALL)
    told = measure(row, how.case(str(table)), how)
    assert told["refused"] is None
    assert all(value is None or np.isfinite(value) for value in told["scores"].values())
    assert told["scores"][told["metric"]] is not None
    assert told["unanswered"] == 0


@pytest.fixture(scope="module")
def poisoned(demo: Case, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The same, but every second row of the test part is another molecule with another label."""
    spoilt = rules.make(demo, "random", 0).test[::2]
    texts, values = list(demo.assay.texts), demo.assay.labels.values[:, 0].copy()
    for place, row in enumerate(spoilt.tolist()):
        texts[row], values[row] = f"[Se]({'C' * place})C1CC(Br)C1.O=C=O", 1e6
    path = tmp_path_factory.mktemp("poisoned") / "demo.csv"
    path.write_text("".join(f"{text},{value}\n" for text, value in [("smiles", "y"), *zip(texts, values, strict=True)]))
    return case_of(str(path), path.parent, ["y"])


@pytest.mark.parametrize("method", [*sorted(plain.PLAIN.keys() - {"energy-3d"}), *MEMBERS, "auto", *NETS])
def test_what_stands_in_the_test_part_changes_nothing(demo: Case, poisoned: Case, method: str, tmp_path: Path) -> None:
    """Bit for bit: neither labels nor structures of other test rows."""
    split = rules.make(demo, "random", 0)
    asked = replace(split, test=split.test[1::2])  # no others: those of a batch may round differently

    def answers(case: Case, folder: str) -> np.ndarray:
        given = Given(case.without(split.test), asked, 0, "train+valid", tmp_path / folder, 1)
        return method_of(method, {}, dict(ALL)).run(given).values

    told = answers(demo, "clean")
    assert np.isfinite(told).all()
    np.testing.assert_array_equal(answers(poisoned, "poisoned"), told)


@pytest.mark.parametrize("method", [*CHEAP, "characters-given", "baseline", "graph"])
def test_a_label_that_is_learned_from_changes_the_answer(demo: Case, method: str, tmp_path: Path) -> None:
    told, _ = answer(demo, method, tmp_path)
    values = demo.assay.labels.values.copy()
    values[rules.make(demo, "random", 0).train[:5]] = 100.0
    spoilt = replace(demo, assay=replace(demo.assay, labels=replace(demo.assay.labels, values=values)))
    assert not np.array_equal(answer(spoilt, method, tmp_path / "spoilt")[0].values, told.values)


@pytest.mark.parametrize(
    "method",
    [*CHEAP, *(pytest.param(name, marks=pytest.mark.slow) for name in ("lightgbm", "fingerprint", "baseline"))],
)
def test_shuffled_labels_cannot_be_learned_and_planted_ones_are(demo: Case, method: str, tmp_path: Path) -> None:
    bits = demo.reading.features["fingerprint"]
    fluorine = bits.elements[:, 9] > 0  # type: ignore[attr-defined]
    classes = replace(demo.assay.labels, classes=(("0", "1"),))

    def area(active: np.ndarray, seed: int) -> float:
        labels = replace(classes, values=active.astype(float)[:, None])
        made = replace(demo, assay=replace(demo.assay, labels=labels, task="binary"), metric="roc-auc")
        row = Row(method, "chembl2321810:400", f"{rules.DEM}-0.4", seed, "train")
        return float(measure(row, made, settings(tmp_path))["scores"]["roc-auc"])

    shuffles = [np.random.default_rng(seed).permutation(fluorine) for seed in range(8)]
    assert np.mean([area(active, seed) for seed, active in enumerate(shuffles)]) == pytest.approx(0.5, abs=0.03)
    assert area(fluorine, 0) >= 0.95


def test_a_killed_benchmark_ends_with_the_same_rows(table: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    plan = Protocol(["mean", "random-forest", "fingerprint"], [str(table)], ["random"], 2)
    assert run(plan, settings(whole, overrides=NETWORK)) == []
    command = [sys.executable, "-m", "tetramer.cli", "benchmark", "--methods", "mean,random-forest,fingerprint"]
    command += ["--data", str(table), "--target", "y", "--splits", "random", "--repeats", "2", "--workers", "1"]
    command += ["-o", str(broken), *(part for key, value in NETWORK for part in ("--set", f"{key}={value}"))]
    for wanted in sorted(np.random.default_rng().integers(1, 6, 2).tolist()):  # rows that are there when it is killed
        with (tmp_path / "said").open("wb") as said, subprocess.Popen(command, stderr=said) as process:
            while len(rows_of(broken)) < wanted and process.poll() is None:
                time.sleep(0.01)
            time.sleep(float(np.random.default_rng().uniform(0, 0.5)))
            process.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
        assert len(rows_of(broken)) >= wanted, (tmp_path / "said").read_text()
    assert 0 < len(rows_of(broken)) < 6 or process.returncode == 0
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows_of(broken) == rows_of(whole)
    assert (broken / "small" / "splits.json").read_bytes() == (whole / "small" / "splits.json").read_bytes()


def test_rows_of_other_data_or_settings_are_refused(table: Path, smiles: list[str], tmp_path: Path) -> None:
    plan = Protocol(["mean", "fingerprint"], [str(table)], ["random"], 1)
    how = settings(tmp_path, overrides=NETWORK)
    run(plan, how)
    with pytest.raises(UserError, match="other settings of fingerprint"):
        run(plan, replace(how, overrides=(*NETWORK, ("training.epochs", "3"))))
    with pytest.raises(UserError, match="other data"):
        run(plan, replace(how, targets=("gaps",)))
    place = next(tmp_path.glob("*/*-*-*/mean.json"))
    place.write_text("{")
    with pytest.raises(UserError, match="not a row of a benchmark"):
        run(plan, how)


def test_rows_of_another_split_are_refused(table: Path, tmp_path: Path) -> None:
    """A row whose split is not the noted one, in a report and a rerun; and notes of splits that are not made here."""
    plan, how = Protocol(["mean"], [str(table)], ["random"], 2), settings(tmp_path)
    run(plan, how)
    notes, place = tmp_path / "small" / "splits.json", next(tmp_path.glob("*/random-1-*/mean.json"))
    row, told = json.loads(place.read_text()), json.loads(notes.read_text())
    place.write_text(json.dumps(row | {"split_sha256": "f" * 64}))
    for refused in (lambda: load(tmp_path), lambda: run(plan, how)):
        with pytest.raises(UserError, match=r"mean.json was measured on another split \(f{12}\)"):
            refused()
    place.write_text(json.dumps(row))
    run(plan, how)
    told["random"]["splits"][0]["sha256"] = "e" * 64
    notes.write_text(json.dumps(told))
    for path in tmp_path.glob("*/random-*/mean.json"):
        path.unlink()
    with pytest.raises(UserError, match="notes other splits by random than are made here"):
        run(plan, how)


def test_another_training_seed_is_no_other_split(tmp_path: Path) -> None:
    """On a rule with one split every training seed is held against that split."""
    plan = Protocol(["random-forest"], ["chembl2321810:200"], ["scaffold"], seeds=2)
    how = Settings(str(tmp_path), workers=1, overrides=TREES)
    run(plan, how)
    assert len(load(tmp_path)[0]) == 2
    place = next(tmp_path.glob("*/scaffold-1-*/random-forest.json"))
    place.write_text(json.dumps(json.loads(place.read_text()) | {"split_sha256": "f" * 64}))
    with pytest.raises(UserError, match="was measured on another split"):
        load(tmp_path)


def test_a_method_that_refuses_is_a_row_with_its_reason(table: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("\n".join(table.read_text().splitlines()[:25]) + "\n")
    how = settings(tmp_path / "out")
    run(Protocol(["mean", "baseline"], [str(short)], ["dem-0.2"], 1, ["train"]), how)
    rows, _ = load(tmp_path / "out")
    refused = [row for row in rows if row["refused"]]
    assert {row["method"] for row in refused} == {"baseline"}
    assert "at least 20 are needed" in refused[0]["refused"]
    assert all(value is None for value in refused[0]["scores"].values())
    assert refused[0]["fitted_on"] == 0


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"methods": ["basline"]}, "Did you mean 'baseline'"),
        ({"methods": ["chemprop"]}, "--chemprop PATH"),
        ({"methods": []}, "at least one method"),
        ({"data": ["eslo"]}, "neither a data set nor a file"),
        ({"data": ["zinc250k"]}, "no labels"),
        ({"data": ["chembl2321810:5000"]}, "cannot be drawn"),
        ({"splits": ["scafold"]}, "Did you mean"),
        ({"splits": ["none"]}, "There is no split"),
        ({"splits": ["time"]}, "--split-column"),
        ({"repeats": 0}, "--repeats 0"),
        ({"methods": ["baseline"], "overrides": (("training.epoch", "3"),)}, "no member has such a setting"),
        ({"fit_rows": ["valid"]}, "--fit-rows valid"),
        ({"fit_rows": ["train:0"]}, "--fit-rows train:0"),
    ],
)
def test_wrong_plans_are_told_before_the_work(plan: dict[str, Any], message: str, table: Path, tmp_path: Path) -> None:
    how = settings(tmp_path, overrides=plan.pop("overrides", ()))
    with pytest.raises(UserError, match=message):
        run(Protocol(**({"methods": ["mean"], "data": [str(table)]} | plan)), how)
    assert not list(tmp_path.glob("*/*-*-*"))


def test_every_set_is_looked_at_before_the_first_is_measured(table: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("smiles,y,", "smiles,z,"))
    for second, message in (("eslo", "neither a data set nor a file"), (str(other), "has no column 'y'")):
        with pytest.raises(UserError, match=message):
            run(Protocol(["mean"], [str(table), second], ["random"], 1), settings(tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*.json"))


def test_the_metric_fits_the_labels(tmp_path: Path) -> None:
    """BACE is published with classes and by ROC-AUC; its pIC50 is a number."""
    assert (opened("chembl2321810").metric, cases.FIRST["regression"]) == ("rmse", "rmse")
    known = replace(sources.SOURCES["chembl2321810"], metric="roc-auc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.SOURCES, "chembl2321810", known)
        assert opened("chembl2321810", ["pIC50"]).metric == "rmse"
        patch.setitem(sources.SOURCES, "chembl2321810", replace(known, metric="mae"))
        assert opened("chembl2321810", ["pIC50"]).metric == "mae"


def test_a_table_without_a_number_is_told(table: Path, tmp_path: Path) -> None:
    plan = Protocol(["baseline"], [str(table)], ["dem-0.2"], 1, ["train"])
    told = measured(plan, settings(tmp_path, overrides=()))
    assert told.empty == ["No row of small, class dem, dem-0.2, fitted on train, has a value in rmse."]
    assert told.empty[0] in told.lines
    assert measured(replace(plan, methods=["mean"]), settings(tmp_path)).empty == []


def test_a_file_needs_its_target(table: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--target"):
        case_of(str(table), tmp_path)


def test_fewer_rows_are_some_of_more_and_the_test_part_stays(table: Path, case: Case, tmp_path: Path) -> None:
    whole = rules.make(case, "random", 0)
    sizes = [rules.cut(whole, "train+valid", count, 0) for count in (10, 40, 72)]
    for few, more in pairwise(sizes):
        assert set(few.train) < set(more.train)
        assert set(few.valid) <= set(more.valid)
    assert [len(one.train) + len(one.valid) for one in sizes] == [10, 40, 72]
    assert all(np.array_equal(one.test, whole.test) for one in sizes)
    assert sizes[2].sha256 == whole.sha256
    assert len(rules.cut(whole, "train", 30, 0).train) == 30
    parts = [rules.cut(whole, "train", count, 0).valid for count in (1, 30, len(whole.train))]
    assert [len(part) for part in parts] == [1, -(-30 * len(whole.valid) // len(whole.train)), len(whole.valid)]
    assert set(parts[0]) < set(parts[1]) < set(parts[2]) == set(whole.valid)
    with pytest.raises(UserError, match="train has 64"):
        rules.cut(whole, "train", 65, 0)
    how = settings(tmp_path)
    told = {}
    for given in ("train+valid", "train+valid:10"):
        row = Row("mean", str(table), "random", 0, given)
        told[given] = measure(row, case, how) | {"place": how.place(row, "small").parent.name}
    few = told["train+valid:10"]
    assert (few["fitted_on"], few["tested_on"], few["fit_rows"]) == (10, 8, "train+valid:10")
    assert few["place"] == "random-0-train+valid-10"
    assert few["scores"]["rmse"] != told["train+valid"]["scores"]["rmse"]


def test_names_of_splits_and_their_seeds() -> None:
    assert rules.resolve(["B", "B-grover", "D", "random"]) == ["scaffold-balanced", "scaffold", "random"]
    assert rules.resolve(["dem"]) == [
        f"dem-{share}" for share in ("0.0125", "0.025", "0.05", "0.1", "0.2", "0.4", "0.8")
    ]
    named = ("scaffold", "B-grover-3", "random", "dem-0.1", "time")
    assert [rules.class_of(rule) for rule in named] == ["D", "B", "R", "dem", "time"]
    assert len(rules.seeds_of("scaffold", 10)) == 1
    assert len(rules.seeds_of("B-grover-3", 10)) == 3
    assert len(rules.seeds_of("random", 10)) == 10


def test_folds_are_the_splits_of_a_table(table: Path, case: Case, tmp_path: Path) -> None:
    assert rules.resolve(["kfold-5", "kfold-10x2", "kfold-5x1"]) == ["kfold-5", "kfold-10x2"]
    assert rules.class_of("kfold-5") == rules.class_of("kfold-10x2") == "kfold"
    for wrong in ("kfold-1", "kfold-05", "kfold-5x0", "kfold", "kfold-5x"):
        with pytest.raises(UserError, match="There is no split"):
            rules.resolve([wrong])
    blank = case.without(np.array([3, 7]))  # rows without a label are in no fold
    folds = [rules.make(blank, "kfold-5x2", seed) for seed in rules.seeds_of("kfold-5x2", 1)]
    assert len(folds) == 10
    for first in (0, 5):
        tests = np.concatenate([fold.test for fold in folds[first : first + 5]])
        assert np.array_equal(np.sort(tests), np.flatnonzero(blank.known))
    assert all(len(np.intersect1d(fold.train, fold.test)) == len(fold.valid) == 0 for fold in folds)
    assert len({fold.sha256 for fold in folds}) == 10
    told = measured(Protocol(["mean", "ecfp-linear"], [str(table)], ["kfold-5"], 2), settings(tmp_path))
    assert len(list(tmp_path.glob("small/kfold-5-*/*.json"))) == 10
    assert [(one.setting.letter, one.correlation, len(one.splits)) for one in told.summary.tables] == [
        ("kfold", 0.2, 5)
    ]
    page = (tmp_path / "report.html").read_text()
    assert "Class kfold: rows are dealt into folds" in page
    assert "belongs to no published class" not in page
    with pytest.raises(UserError, match="80 rows cannot be cut into 90 folds"):
        run(Protocol(["mean"], [str(table)], ["kfold-90"], 1), settings(tmp_path / "many"))


def test_what_cannot_be_compared_is_told_before_the_work(table: Path, tmp_path: Path) -> None:
    plan = Protocol(["mean", "ecfp-linear"], [str(table)], ["random"], 1)
    with pytest.raises(UserError, match="'random-forest'"):
        measured(plan, settings(tmp_path), "random-forest")
    with pytest.raises(UserError, match="roc-auc is of binary, and the rows are of regression"):
        measured(plan, settings(tmp_path), metric="roc-auc")
    with pytest.raises(UserError, match=r"dem-0.0125 learns from 1.25% of the rows, and of 64 that is none"):
        run(replace(plan, splits=["dem-0.0125"]), settings(tmp_path, "gaps"))
    assert not list(tmp_path.glob("*/*-*-*/*.json"))


def test_more_rows_than_there_are_is_told_once(table: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="65 rows to learn from are asked for, and train has 64"):
        run(Protocol(["mean"], [str(table)], ["random"], 2, ["train", "train:65"]), settings(tmp_path))


def test_damaged_notes_on_splits_are_told(table: Path, tmp_path: Path) -> None:
    run(Protocol(["mean"], [str(table)], ["random"], 2), settings(tmp_path))
    path = tmp_path / "small" / "splits.json"
    for text in ("{", "[]", '{"random": {}}', "<<<<<<< ours"):
        path.write_text(text)
        for read in (lambda: load(tmp_path), lambda: rules.leaks_told(tmp_path)):
            with pytest.raises(UserError, match="holds no notes on splits"):
                read()


def test_groups_that_a_column_keeps_whole_make_splits_alike(table: Path, case: Case) -> None:
    """Two projects of most rows always train; by scaffolds alone the splits look less alike."""
    keys = tuple("ab"[row % 2] if row < 50 else f"c{row}" for row in range(80))
    grouped = replace(case, assay=replace(case.assay, keys=keys))
    made = [rules.make(grouped, "group", seed) for seed in range(6)]
    assert rules.alike(grouped, "group", made) > rules.alike(case, "group", made)


def test_a_file_is_no_public_set_by_its_name(table: Path, tmp_path: Path) -> None:
    own = tmp_path / "clintox.csv"
    own.write_text(table.read_text())
    told = measured(Protocol(["mean"], [str(own)], ["random"], 2), settings(tmp_path / "out"))
    (one,) = told.summary.tables
    assert one.source is None
    assert not [note for note in one.notes if "writing of the SMILES" in note]


def test_a_column_of_parts_is_one_split(table: Path, tmp_path: Path) -> None:
    words = ["part", *(("test", "train", "train", "Valid", "train")[row % 5] for row in range(80))]
    lines = [f"{line},{word}" for line, word in zip(table.read_text().splitlines(), words, strict=True)]
    path = tmp_path / "parts.csv"
    path.write_text("\n".join(lines) + "\n")
    assert rules.chosen(None, "part") == ["column"]
    assert rules.chosen(None, None) == ["scaffold-balanced"]
    assert rules.chosen(["R", "column"], "part") == ["R", "column"]
    with pytest.raises(UserError, match="--splits B looks at no column, so --split-column part has no use"):
        rules.chosen(["B"], "part")
    how = settings(tmp_path / "out", split_column="part")
    told = measured(Protocol(["mean", "ecfp-linear"], [str(path)], ["column"], 4), how)
    (one,) = told.summary.tables
    assert list(one.splits) == [0]
    split = rules.make(how.case(str(path)), "column", 0)
    assert np.array_equal(split.test, np.arange(0, 80, 5))
    assert np.array_equal(split.valid, np.arange(3, 80, 5))
    assert one.splits[0] == split.sha256
    assert "Class column: the parts that a column" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(UserError, match=r"Column 'active' holds '[01]' in row 1"):
        run(Protocol(["mean"], [str(path)], ["column"], 1), settings(tmp_path / "bad", split_column="active"))
    path.write_text("\n".join(line.replace("Valid", "train") for line in lines) + "\n")
    with pytest.raises(UserError, match="was measured with another split column"):
        measured(Protocol(["mean"], [str(path)], ["column"], 1), how)


def test_splits_of_a_file_are_taken_as_they_are(table: Path, case: Case, tmp_path: Path) -> None:
    """As after a change of RDKit: the file says parts that no rule would make."""
    odd = Split(np.arange(40), np.arange(40, 50), np.arange(50, 80), "odd")
    save_index(tmp_path / "small.txt.gz", IndexFile("small", case.sha256, 80, {("D-ours-nochiral", 0): odd}))
    how = settings(tmp_path / "out", split_files=str(tmp_path))
    told = measured(Protocol(["mean"], [str(table)], ["scaffold"], 1), how)
    assert dict(told.summary.tables[0].splits) == {0: odd.sha256}
    with pytest.raises(UserError, match=r"has no random 0. It holds: D-ours-nochiral"):
        run(Protocol(["mean"], [str(table)], ["random"], 1), how)
    with pytest.raises(UserError, match="holds splits of other data than small"):
        run(Protocol(["mean"], [str(table)], ["scaffold"], 1), replace(how, targets=("active",)))
    unread = replace(case, given=IndexFile("small", case.sha256, 80, {("random", 0): odd})).without(np.array([0, 79]))
    assert rules.make(unread, "random", 0).sizes == (39, 10, 29)


def test_compare_in_python(table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    how = How(["train", "train+valid"], workers=1)
    told = compare(table, "y", ["mean", "ecfp-linear"], "random", 2, tmp_path / "a", how=how)
    assert {table.setting.fit_rows for table in told.summary.tables} == {"train", "train+valid"}
    err = capfd.readouterr().err
    assert err.splitlines()[0].startswith("small, random: test rows that also stand in train or valid by molecule 0")
    assert [line for line in err.splitlines() if "%" in line][:1] == ["small: 0 % of the rows"]
    assert err.splitlines()[-1] == "small: 100 % of the rows"
    quiet = compare(
        table, "y", "mean", output=tmp_path / "b", split_column="kind", splits="stratified", how=How(quiet=True)
    )
    assert [table.setting.rule for table in quiet.summary.tables] == ["stratified"]
    assert capfd.readouterr().err == ""
    with pytest.raises(UserError, match="looks at no column"):
        compare(table, "y", "mean", "random", split_column="kind", output=tmp_path / "c")


def test_leaks_stand_as_least_to_most() -> None:
    noted = [{"sizes": [9, 1, 1_113], "leak": {"molecules": count, "keys": 2, "scaffolds": 0}} for count in (3, 0, 1)]
    assert rules.leak_told(noted) == "molecule 0–3, InChIKey 2, scaffold 0 of 1,113"


def test_data_efficiency_learns_from_a_share_and_asks_all_others(demo: Case) -> None:
    for share in efficiency.SHARES:
        split = rules.make(demo, f"dem-{share:g}", 3)
        assert split.sizes == (int(share * 400 + 1e-9), 0, 400 - int(share * 400 + 1e-9))
        assert sorted([*split.train.tolist(), *split.test.tolist()]) == list(range(400))


def test_repeated_targets_count_once(tmp_path: Path, table: Path) -> None:
    lines = table.read_text().splitlines()
    twice = tmp_path / "twice.csv"
    twice.write_text(
        "\n".join(f"{line},{line.split(',')[1] if place else 'again'}" for place, line in enumerate(lines))
    )
    assert case_of(str(twice), tmp_path, ["y", "gaps", "again"]).assay.labels.names == ("y", "gaps")


def test_a_probe_reads_the_views_of_its_model_with_their_settings(case: Case, tmp_path: Path) -> None:
    """A model of a view that the case has not read, with settings that refuse the longer molecules."""
    small = {"encoder.width": "16", "encoder.heads": "2", "encoder.depth": "1", "training.epochs": "1"}
    options = Options("smiles", small | {"views.smiles.longest": "16"}, limits=Limits(0))
    train(case.assay, options, tmp_path / "parts").model.save(tmp_path / "model")
    told, test = answer(case, f"probe:{tmp_path / 'model'}", tmp_path)
    short = np.array([len(case.reading.smiles[row]) <= 12 for row in test])
    assert 0 < short.sum() < len(test)
    assert np.isfinite(told.values[short]).all()
    long = [len(case.reading.smiles[row]) > 16 for row in test]
    assert any(long)
    assert np.isnan(told.values[long]).all()


def test_names_as_files() -> None:
    assert re.fullmatch("probe-first-[0-9a-f]{6}", plain_name("probe:models/first/"))
    assert len({plain_name(f"probe:{folder}") for folder in ("a/model", "b/model", "model")}) == 3
    assert plain_name("random-forest") == "random-forest"


def test_isomers_and_repeats_stay_together_whatever_their_labels(tmp_path: Path) -> None:
    texts = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CCO", "CCO", *(f"{'C' * k}N" for k in range(1, 37))]
    (tmp_path / "a.csv").write_text(
        "\n".join(["smiles,y,day", *(f"{t},{k % 2},{k}" for k, t in enumerate(texts))]) + "\n"
    )
    for column in (None, "day"):
        made = case_of(str(tmp_path / "a.csv"), tmp_path / "features", ["y"], split_column=column)
        for seed in range(6):
            split = rules.make(made, "grouped", seed)
            for pair in ({0, 1}, {2, 3}):
                assert any(pair <= set(part.tolist()) for part in (split.train, split.valid, split.test))


def test_errors_of_unlike_targets_are_not_averaged(tmp_path: Path, smiles: list[str]) -> None:
    rows = [f"{text},{k / 10},{k * 100}" for k, text in enumerate(smiles)]
    (tmp_path / "my.assay.v2.csv").write_text("\n".join(["smiles,logP,nM", *rows]) + "\n")
    with pytest.raises(UserError, match="a mean of their errors is that of none"):
        case_of(str(tmp_path / "my.assay.v2.csv"), tmp_path / "features", ["logP", "nM"])
    assert case_of(str(tmp_path / "my.assay.v2.csv"), tmp_path / "features", ["nM"]).name == "my.assay.v2"


def test_rows_behind_one_that_ends_its_process_are_measured(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies at one method costs that row alone."""
    (tmp_path / "sitecustomize.py").write_text(
        "import dataclasses, os\n"
        "from tetramer.benchmark.plain import PLAIN\n"
        "PLAIN['atom-counts'] = dataclasses.replace(PLAIN['atom-counts'], matrix=lambda case: os._exit(9))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plan = Protocol(["mean", "atom-counts", "ecfp-linear"], [str(table)], ["random"], 2)
    failed = run(plan, settings(tmp_path / "out"))
    assert len(failed) == 2
    assert all(sentence.startswith("atom-counts on ") for sentence in failed)
    assert len(list((tmp_path / "out").glob("*/random-*/*.json"))) == 4


def test_other_data_leave_the_notes_on_splits_as_they_were(table: Path, tmp_path: Path) -> None:
    copy = tmp_path / "small.csv"
    copy.write_text(table.read_text())
    plan = Protocol(["mean"], [str(copy)], ["random"], 2)
    run(plan, settings(tmp_path / "out"))
    before = (tmp_path / "out" / "small" / "splits.json").read_bytes()
    copy.write_text("\n".join(table.read_text().splitlines()[:60]) + "\n")
    with pytest.raises(UserError, match="was made with other data"):
        run(plan, settings(tmp_path / "out"))
    assert (tmp_path / "out" / "small" / "splits.json").read_bytes() == before


PEER = '''"""Stands in for a peer's command line: learns the mean of each target, and keeps what it was called with."""
import csv, sys
from pathlib import Path
place = lambda flag: Path(sys.argv[sys.argv.index(flag) + 1])
with (Path(__file__).parent / "calls.txt").open("a") as calls:
    print(*sys.argv[1:], file=calls)
rows = list(csv.DictReader(place("-i").open()))
if sys.argv[1] == "train":
    names = [name for name in rows[0] if name != "smiles"]
    known = [[float(row[name]) for row in rows if row[name]] for name in names]
    means = [sum(values) / len(values) for values in known]
    place("-o").mkdir()
    (place("-o") / "means.csv").write_text(",".join(names) + "\\n" + ",".join(map(repr, means)))
else:
    names, means = (place("--model-paths") / "means.csv").read_text().splitlines()
    place("-o").write_text(f"smiles,{names}\\n" + "".join(f"{row['smiles']},{means}\\n" for row in rows))
'''


def test_a_peer_is_given_our_parts_and_no_test_label(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "peer.py"
    script.write_text(PEER)
    called = external.call

    def through_python(command: list[str], folder: Path) -> None:
        called([sys.executable, *command], folder)

    monkeypatch.setattr(external, "call", through_python)
    case = case_of(str(table), tmp_path, ["y", "gaps"])
    split = rules.make(case, "random", 0)
    told = external.chemprop(str(script), case.without(split.test), split, 7, tmp_path / "work")
    assert told.shape == (8, 2, 1)
    means = np.nanmean(case.assay.labels.values[split.train], axis=0)
    np.testing.assert_allclose(told[:, :, 0], np.tile(means, (8, 1)), rtol=1e-12)
    assert (tmp_path / "work" / "test.csv").read_text().splitlines()[0] == "smiles"
    assert len((tmp_path / "work" / "valid.csv").read_text().splitlines()) == 9
    train, predict = (tmp_path / "calls.txt").read_text().splitlines()
    assert "--pytorch-seed 7" in train
    assert f"--epochs {external.EPOCHS}" in train
    assert "test.csv" not in train
    assert "test.csv" in predict


def test_a_peer_that_fails_says_why(case: Case, tmp_path: Path) -> None:
    split = rules.make(case, "random", 0)
    with pytest.raises(UserError, match="failed with exit code"):
        external.chemprop(sys.executable, case, split, 0, tmp_path / "work")
    with pytest.raises(UserError, match="is not a program"):
        external.chemprop_config(str(tmp_path / "nothing"))


def test_methods_have_hashes_of_their_settings() -> None:
    assert method_of("graph", {}).sha256 != method_of("graph", {}, {"encoder.width": "16"}).sha256
    assert method_of("mean", {}).sha256 != method_of("atom-counts", {}).sha256
    assert set(plain.PLAIN) >= {"mean", "atom-counts", "energy-2d", "energy-3d", "characters-given", "ecfp-linear"}

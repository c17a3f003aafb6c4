"""Training as a whole: the same model however it is made, nothing of the test part in it, exact small answers."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rdkit import Chem

from tetramer.assays import Assay
from tetramer.benchmark import trained
from tetramer.datasets import splits
from tetramer.datasets.labels import Labels
from tetramer.datasets.placed import is_placed
from tetramer.datasets.splits import Split
from tetramer.errors import UserError
from tetramer.inference import Model, prediction_columns
from tetramer.members import work
from tetramer.members.base import REGRESSION, Problem
from tetramer.members.intervals import Intervals
from tetramer.members.plan import Piece, Plan
from tetramer.members.work import fit_piece
from tetramer.modelling import Options, Result, train
from tetramer.molecules import Limits, Standard
from tetramer.molecules.geometry import as_xyz
from tetramer.planning import chosen_members, extensive_note, pieces_of, readout_notes
from tetramer.reading import geometry_notes, read_into
from tetramer.recipes import RECIPES, resolve
from tetramer.scoring import interval_notes, leak_notes, mean_answer
from tetramer.training import epoch_order
from tetramer.views import Reader, read

SMALL = {"folds": "2", "trees": "10", "training.epochs": "2", "encoder.width": "16", "encoder.widths": "16"}
TREES = {"folds": "2", "trees": "10", "machine": "gp"}
GRAPH = {"training.epochs": "3", "encoder.width": "16"}


def assay(smiles: list[str], values: Any, task: str = REGRESSION, classes: Any = None, **more: Any) -> Assay:
    values = np.asarray(values, dtype=float).reshape(len(smiles), -1)
    names = tuple("yzv"[: values.shape[1]])
    labels = Labels(names, values, more.pop("censor", np.zeros(values.shape, np.int8)), (classes,) * len(names))
    return Assay(smiles, labels, more.pop("weight", np.ones(len(smiles))), task, "", ("",) * len(names))


def options(recipe: str = "baseline", overrides: dict[str, str] | None = None, **more: Any) -> Options:
    return Options(recipe, TREES if overrides is None else overrides, limits=Limits(more.pop("workers", 0)), **more)


def saved(result: Result, path: Path) -> dict[str, bytes]:
    result.model.save(path)
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.fixture
def oxygen(features: dict[str, Any]) -> np.ndarray:
    """A target that can be learned: heteroatoms, with a little noise."""
    elements = features["fingerprint"].elements.astype(float)
    noise = np.random.Generator(np.random.Philox(0)).normal(size=80)
    return elements[:, 8] * 2 + elements[:, 7] - elements[:, 6] * 0.1 + 0.1 * noise


def test_splits_by_a_column(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    days = [str(day) for day in np.arange(80)[::-1]]
    data = replace(assay(smiles, oxygen), keys=days)
    split = train(data, options(split="time"), tmp_path / "a").split
    assert set(split.test.tolist()) < set(range(10))  # the rows with the latest days
    with pytest.raises(UserError, match="add --split-column"):
        train(assay(smiles, oxygen), options(split="time"), tmp_path / "b")
    active = (oxygen > np.quantile(oxygen, 0.8)).astype(float)
    split = train(assay(smiles, active, "binary", ("no", "yes")), options(split="stratified"), tmp_path / "c").split
    assert active[split.test].sum() in (1, 2)


def test_workers_give_the_same_bytes_and_the_same_answers(
    smiles: list[str], features: dict[str, Any], oxygen: np.ndarray, tmp_path: Path
) -> None:
    told = {}
    for workers in (0, 2):
        result = train(assay(smiles, oxygen), options("auto", SMALL, workers=workers), tmp_path / f"parts{workers}")
        told[workers] = saved(result, tmp_path / f"model{workers}")
    assert told[0] == told[2]
    model = Model.load(tmp_path / "model2")
    assert len(model.groups) == 7
    assert np.array_equal(
        model.predict(features, np.arange(80)).values, result.model.predict(features, np.arange(80)).values
    )


def test_it_learns_and_beats_the_mean(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    result = train(assay(smiles, oxygen), options(split="random"), tmp_path)
    scores = result.scores["test"]
    assert set(scores) == {"blend", "lightgbm", "random-forest", "extra-trees", "svm", "gp", "mean"}
    assert scores["blend"]["rmse"].value < 0.6 * scores["mean"]["rmse"].value  # type: ignore[operator]
    assert len(result.split.test) == 8
    assert result.model.card["fit_rows"] == {"part": "train", "count": 64}
    assert result.model.card["metrics"]["test"]["blend"]["rmse"]["rows"] == 8


def test_shuffled_labels_are_not_learned(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    told = []
    for seed in range(3):
        shuffled = oxygen[np.random.Generator(np.random.Philox(seed)).permutation(80)]
        result = train(assay(smiles, shuffled), options(), tmp_path / str(seed))
        told.append(result.scores["held-out"]["blend"]["r2"].value)
    assert np.mean(told) < 0.1  # type: ignore[arg-type]
    assert train(assay(smiles, oxygen), options(), tmp_path / "x").scores["held-out"]["blend"]["r2"].value > 0.6  # type: ignore[operator]


@pytest.mark.parametrize("recipe", ["auto", "graph"])
def test_the_test_part_is_not_in_the_model(smiles: list[str], oxygen: np.ndarray, tmp_path: Path, recipe: str) -> None:
    rows = epoch_order(0, 0, 80)
    given = Split(np.sort(rows[:60]), np.sort(rows[60:70]), np.sort(rows[70:]), "given")
    poisoned, weight = oxygen.copy(), np.ones(80)
    poisoned[given.test], weight[given.test] = 1e30, 1e30
    told = []
    for number, values in enumerate((assay(smiles, oxygen), assay(smiles, poisoned, weight=weight))):
        chosen = options(recipe, SMALL if recipe == "auto" else GRAPH)
        told.append(saved(train(values, chosen, tmp_path / f"{number}", given), tmp_path / f"model{number}"))
    for card in (json.loads(files.pop("card.json")) for files in told):
        assert card["metrics"]["held-out"]
    assert told[0] == told[1]


@pytest.mark.parametrize("recipe", ["auto", "graph"])
def test_a_row_of_weight_nothing_is_as_if_it_were_not_there(
    smiles: list[str], oxygen: np.ndarray, tmp_path: Path, recipe: str
) -> None:
    chosen = options(recipe, SMALL if recipe == "auto" else GRAPH)
    weight, values = np.ones(80), oxygen.copy()
    weight[60:], values[60:] = 0.0, 1e6
    with_them = train(assay(smiles, values, weight=weight), chosen, tmp_path / "a")
    without = train(assay(smiles[:60], oxygen[:60]), chosen, tmp_path / "b")
    first, second = saved(with_them, tmp_path / "ma"), saved(without, tmp_path / "mb")
    del first["card.json"], second["card.json"]
    assert first == second


def test_bounds_take_part(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    values, censor = oxygen.copy(), np.zeros((80, 1), np.int8)
    values[::4], censor[::4] = 20.0, 1
    told = train(assay(smiles, values, censor=censor), options(), tmp_path / "a").model
    rest = train(assay(smiles, oxygen), options(), tmp_path / "b")
    rows = np.arange(0, 80, 4)
    features = rest.reading.features
    assert told.predict(features, rows).values.mean() > rest.model.predict(features, rows).values.mean() + 5


def test_a_sum_over_atoms_is_seen_and_recovered(smiles: list[str], features: dict[str, Any], tmp_path: Path) -> None:
    elements = features["fingerprint"].elements.astype(float)
    rings = np.array([text.count("1") / 2 for text in smiles])
    energy = elements @ np.linspace(-400.0, -2.0, elements.shape[1]) + 3.0 * rings
    for recipe, overrides in (("graph", GRAPH), ("baseline", TREES)):
        result = train(assay(smiles, energy), options(recipe, overrides), tmp_path / recipe)
        assert result.model.problem.extensive == (True,)
        assert any("grows with the molecule" in note for note in result.notes)
        told = result.model.predict(features, np.arange(80)).values[:, 0, 0]
        assert np.abs(told - energy).max() < 5.0  # of energies that spread over thousands
        assert np.std(energy) > 1000
    graph = next(p for p in train(assay(smiles, energy), options("graph", GRAPH), tmp_path / "graph").plan.pieces)
    assert graph.config["encoder_config"]["readout"] == "sum"
    exact = train(assay(smiles, energy - 3.0 * rings), options("baseline", TREES), tmp_path / "exact").model
    assert exact.predict(features, np.arange(80)).values[:, 0, 0] == pytest.approx(energy - 3.0 * rings, rel=1e-5)
    columns = prediction_columns(exact, read(["CCO", "CBr"], exact.views, limits=Limits(0)))  # nobody measured bromine
    assert columns["status"].to_pylist() == ["ok", "NO_ANSWER"]
    assert [cell is None for cell in columns["y_pred"].to_pylist()] == [False, True]


def test_the_training_part_alone_says_whether_a_target_grows(
    smiles: list[str], features: dict[str, Any], tmp_path: Path
) -> None:
    elements = features["fingerprint"].elements.astype(float)
    energy = elements @ np.linspace(-400.0, -2.0, elements.shape[1])
    rows = epoch_order(0, 0, 80)
    energy[rows[:20]] = 1e9
    given = Split(np.sort(rows[20:]), np.zeros(0, np.int64), np.sort(rows[:20]), "given")
    assert train(assay(smiles, energy), options(), tmp_path, given).model.problem.extensive == (True,)


@pytest.mark.parametrize(("recipe", "overrides"), [("baseline", TREES), ("graph", GRAPH)])
def test_a_target_that_grows_is_seen_beside_one_that_does_not(
    smiles: list[str], features: dict[str, Any], tmp_path: Path, recipe: str, overrides: Any
) -> None:
    """Each is learned as it is by itself: the one beyond a fit on its atoms, the other raw."""
    elements = features["fingerprint"].elements.astype(float)
    energy = elements @ np.linspace(-400.0, -2.0, elements.shape[1])
    values, rows = np.stack([energy, np.cos(np.arange(80.0))], axis=1), np.arange(80)
    values[::7, 0] = np.nan
    both = train(assay(smiles, values), options(recipe, overrides), tmp_path / "both")
    assert both.model.problem.extensive == (True, False)
    assert any("y grows with the molecule, z does not" in note for note in both.notes)
    both.model.save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    assert model.problem == both.model.problem
    told = model.predict(features, rows).values[:, :, 0]
    known = np.isfinite(values[:, 0])
    assert told[known, 0] == pytest.approx(energy[known], abs=2.0)  # of energies that spread over thousands
    if recipe == "baseline":  # whose members learn target by target
        for place in (0, 1):
            alone = train(assay(smiles, values[:, place]), options(recipe, overrides), tmp_path / str(place)).model
            alike = alone.predict(features, rows).values[:, 0, 0]
            assert told[:, place] == pytest.approx(alike, abs=0.05 * np.nanstd(values[:, place]))
    else:
        config = both.plan.pieces[0].config["encoder_config"]
        assert config == {"width": 16, "depth": 3}  # atoms are not summed


def test_several_targets_with_gaps(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    values = np.stack([oxygen, -oxygen], axis=1)
    values[::2, 0], values[1::4, 1] = np.nan, np.nan
    result = train(assay(smiles, values), options("auto", SMALL), tmp_path)
    told = result.model.predict(result.reading.features, np.arange(80)).values[:, :, 0]
    assert np.corrcoef(told[:, 0], oxygen)[0, 1] > 0.7
    assert np.corrcoef(told[:, 1], oxygen)[0, 1] < -0.7
    assert result.model.weights.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert len(result.model.intervals) == 2


def test_the_card_has_every_metric_of_every_target(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    values = np.stack([oxygen, 1000 * oxygen[::-1]], axis=1)
    values[::2, 0], values[-20:, 1] = np.nan, np.nan
    given = Split(np.arange(60), np.zeros(0, np.int64), np.arange(60, 80), "given")  # no test row has the second label
    result = train(assay(smiles, values), options(), tmp_path / "two", given)
    card = json.loads(json.dumps(result.model.card))["metrics"]
    for part, groups in result.scores.items():
        for group, by in groups.items():
            for metric, score in by.items():
                each = card[part][group][metric]["targets"]
                assert list(each) == ["y", "z"]
                assert [one["rows"] for one in each.values()] == ([10, 0] if part == "test" else [30, 60])
                known = [one["value"] for one in each.values() if one["value"] is not None]
                assert len(known) == score.targets
                assert score.value == (pytest.approx(np.mean(known), rel=1e-5) if known else None)
    told = result.model.predict(result.reading.features, given.test).values[:, 0, 0]
    error = np.sqrt(np.nanmean((told - values[given.test, 0]) ** 2))
    assert card["test"]["blend"]["rmse"]["targets"] == {
        "y": {"value": pytest.approx(error, rel=1e-5), "rows": 10},
        "z": {"value": None, "rows": 0},
    }
    one = train(assay(smiles, oxygen), options(), tmp_path / "one").model.card["metrics"]["held-out"]["blend"]["rmse"]
    assert set(one) == {"value", "reason", "rows"}


def test_molecules_on_both_sides_are_told(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    texts, values = [*smiles, *smiles[:3], "C1CCC1CCF"], [*oxygen, *oxygen[:3], 1.0]
    given = Split(np.arange(70), np.arange(70, 80), np.arange(80, 84), "given")
    said: list[str] = []
    result = train(assay(texts, values), options(), tmp_path / "a", given, say=said.append)
    note = "3 of 4 test molecules also stand in the training or validation part "
    note += "(3 by the first block of the InChIKey, 3 share a scaffold)."
    assert f"{note} The test numbers say little about new molecules." in said
    assert any(text.startswith(note) for text in result.model.card["notes"])
    found = {"test": 4, "molecules": 3, "scaffolds": 3, "keys": 3}
    assert result.model.card["split"]["leak"] == found
    assert splits.leak(given, result.reading.smiles).items() < found.items()
    apart = replace(given, test=np.array([83]))
    card = train(assay(texts, values), options(), tmp_path / "b", apart).model.card
    assert card["split"]["leak"] == {"test": 1, "molecules": 0, "scaffolds": 0, "keys": 0}
    assert not any("test molecules" in text for text in card["notes"])
    whole = train(assay(smiles, oxygen), options(), tmp_path / "c").model.card
    assert "leak" not in whole["split"]


def test_the_same_file_twice_is_a_loud_note(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    given = Split(np.arange(80), np.zeros(0, np.int64), np.arange(80, 160), "files")
    notes = train(assay(smiles * 2, [*oxygen, *oxygen]), options(), tmp_path, given).notes
    assert notes[-1] == (
        "All 80 test molecules also stand in the training or validation part: the test numbers say nothing about new "
        "molecules. Is it the right test file, or the right column?"
    )


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ((100, 0, 90, 0), []),
        ((114, 3, 11, 5), ["3 of 114 test molecules also stand in {} (5 by {key}, 11 share a scaffold)."]),
        ((2000, 1, 1, 1), ["1 of 2,000 test molecules also stands in {} (1 by {key}, 1 shares a scaffold)."]),
        ((100, 0, 9, 2), ["0 of 100 test molecules also stand in {} (2 by {key}, 9 share a scaffold)."]),
    ],
)
def test_leaks_in_words(found: tuple[int, ...], says: list[str]) -> None:
    told = leak_notes(dict(zip(("test", "molecules", "scaffolds", "keys"), found, strict=True)))
    key = "the first block of the InChIKey"
    assert told == [text.format("the training or validation part", key=key) for text in says]


def test_too_few_molecules_to_calibrate_are_told(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    said: list[str] = []
    result = train(assay(smiles, oxygen), options("graph", GRAPH), tmp_path / "a", say=said.append)
    assert result.model.intervals == [None]
    assert said[-1] == (
        "8 rows calibrate the intervals; at least 20 are needed, so there are none. The recipes auto and baseline "
        "calibrate on all training rows."
    )
    plan = train(assay(smiles, oxygen), options(), tmp_path / "b").plan
    for count in (10, 19, 20, 48, 49, 80):
        for level in (0.5, 0.9, 0.95, 0.98, 0.99):
            fewer = replace(plan, fold=np.where(np.arange(80) < count, 0, -1))
            made = Intervals.fit(oxygen[:count] - oxygen[:count].mean(), np.ones(count))
            notes = " ".join(interval_notes(fewer, level))
            assert ("so there are none" in notes) == (made is None)
            endless = made is not None and np.isinf(made(np.zeros(1), np.ones(1), level)[1]).all()
            assert ("so they are infinite" in notes) == endless
    values = np.stack([np.where(np.arange(80) < 5, oxygen, np.nan), oxygen], axis=1)
    data = replace(plan.data, values=values, censor=np.zeros((80, 2), np.int8))
    assert interval_notes(replace(plan, problem=Problem(REGRESSION, ("y", "z")), data=data), 0.9) == [
        "5 rows calibrate the intervals of y; at least 20 are needed, so there are none."
    ]


@pytest.mark.parametrize(("task", "classes"), [("binary", ("no", "yes")), ("multiclass", ("a", "b", "c"))])
def test_classes(smiles: list[str], oxygen: np.ndarray, tmp_path: Path, task: str, classes: tuple[str, ...]) -> None:
    values = np.digitize(oxygen, np.quantile(oxygen, [0.5] if task == "binary" else [0.33, 0.67]))
    result = train(assay(smiles, values, task, classes), options("auto", SMALL), tmp_path)
    scores = result.scores["held-out"]
    assert scores["blend"]["accuracy"].value > scores["mean"]["accuracy"].value + 0.1  # type: ignore[operator]
    assert result.model.intervals == []
    told = result.model.predict(result.reading.features, np.arange(80)).values
    assert told.shape == (80, 1, 1 if task == "binary" else 3)
    if task == "multiclass":
        assert told.sum(axis=2) == pytest.approx(1.0)


def test_refused_structures_and_missing_labels_take_no_part(
    smiles: list[str], oxygen: np.ndarray, tmp_path: Path
) -> None:
    said: list[str] = []
    texts, values = [*smiles, "C1CC", "", "CCO"], [*oxygen, 1.0, 2.0, np.nan]
    result = train(assay(texts, values), options(), tmp_path, say=said.append)
    assert any(text.startswith("2 of 83 structures cannot be read and are left out (") for text in said)
    assert any("such as row 81: " in text for text in said)
    assert result.model.card["rows"] == {"EMPTY": 1, "PARSE": 1, "ok": 81}
    assert result.model.card["fit_rows"]["count"] == 80


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"recipe": "grph"}, "no recipe named 'grph'"),
        ({"overrides": {"treez": "3"}}, "--set treez"),
        ({"overrides": {"trees": "0"}}, "trees=0 is out of range"),
        ({"split": "scafold"}, "no split named 'scafold'. Did you mean 'scaffold'"),
        ({"level": 1.0}, "--level 1.0 is not a probability"),
        ({"level": float("nan")}, "--level nan is not a probability"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": 10**7}, "is out of range"),
        ({"seeds": 0}, "--seeds 0: at least one"),
        ({"fit_rows": "all"}, "Choose train or train+valid"),
    ],
    ids=str,
)
def test_wrong_options(smiles: list[str], oxygen: np.ndarray, tmp_path: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as error:
        train(assay(smiles, oxygen), options(**more), tmp_path)
    assert says in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_rows_in_no_part_and_parts_without_rows_are_told(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    values = np.where(np.arange(80) < 70, oxygen, np.nan)
    split = Split(np.arange(60), np.zeros(0, np.int64), np.arange(70, 80), "given")
    notes = train(assay(smiles, values), options(), tmp_path, split).notes
    assert "10 labelled rows are in no part of the split: nothing learns from them." in notes
    assert "None of the 10 test rows has a label and a readable structure." in notes


def test_the_test_part_says_how_sure_a_difference_is(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    split = Split(np.arange(50), np.zeros(0, np.int64), np.arange(50, 80), "given")
    result = train(assay(smiles, oxygen), options(), tmp_path / "a", split)
    (sentence,) = trained.against(result)
    assert re.match(
        r"rmse minus that of the mean of the training rows: -\S+ \(-\S+ to -\S+ at 95%, by .*: better\.", sentence
    )
    assert sentence in trained.sentences(result)
    scores = result.scores["test"]
    gap = scores["blend"]["rmse"].value - scores["mean"]["rmse"].value  # type: ignore[operator]
    assert float(sentence.split(": ")[1].split(" ")[0]) == pytest.approx(gap, rel=0.01)
    same = replace(result, groups={"test": dict.fromkeys(result.groups["test"], result.groups["test"]["mean"])})
    assert "practically the same" in trained.against(same)[0]
    few = replace(result, split=replace(split, test=split.test[:9]))
    assert trained.against(few) == []


def test_bounds_are_counted_apart(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    made = assay(smiles, oxygen)
    censor = np.zeros((80, 1), np.int8)
    censor[60:] = 1
    bounded = replace(made, labels=replace(made.labels, censor=censor))
    split = Split(np.arange(50), np.zeros(0, np.int64), np.arange(50, 80), "given")
    result = train(bounded, options(), tmp_path / "a", split)
    assert "Test part (30 rows, 10 with an exact label):" in trained.sentences(result)
    split = Split(np.arange(60), np.zeros(0, np.int64), np.arange(60, 80), "given")
    result = train(bounded, options(), tmp_path / "b", split)
    assert any("undefined, no exact label, 20 bounds" in line for line in trained.sentences(result))


def test_an_element_that_is_new_is_told_beside_the_number(smiles: list[str], tmp_path: Path) -> None:
    result = train(assay(smiles, np.random.default_rng(0).normal(size=80)), options(), tmp_path)  # no sum over atoms
    seen = {atom.GetAtomicNum() for text in smiles for atom in Chem.MolFromSmiles(text).GetAtoms()}
    assert result.model.card["elements"] == sorted(seen)
    reading = read(["CCO", "CC[SiH3]", "[Pt](Cl)Cl", "*CC", "[H][H]", "bad"], ["graph"], limits=Limits(0))
    by_graph = reading.elements()
    reading = read(["CCO", "CC[SiH3]", "[Pt](Cl)Cl", "*CC", "[H][H]", "bad"], result.model.views, limits=Limits(0))
    assert by_graph is not None
    assert np.array_equal(by_graph, reading.elements())  # whatever view tells them
    told = prediction_columns(result.model, reading)
    new = "ok:NEW_ELEMENT"
    assert told["status"].to_pylist() == ["ok", new, new, new, "ok", "PARSE"]
    assert told["reason"].to_pylist()[:4] == ["", *(f"no training row has {it}" for it in ("Si", "Pt", "*"))]
    older = replace(result.model, card={})  # a model made before says nothing
    assert prediction_columns(older, reading)["status"].to_pylist()[:2] == ["ok", "ok"]
    assert read(["CC"], ["smiles"], limits=Limits(0)).elements() is None


def test_too_little_is_told(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="19 rows have a label and a readable structure"):
        train(assay([*smiles[:19], *["bad"] * 61], oxygen), options(), tmp_path / "a")
    with pytest.raises(
        UserError, match=r"^0 rows .* 80 of 80 structures .* \(80 PARSE\), such as row 1: .*right column"
    ):
        train(assay(["bad"] * 80, oxygen), options(), tmp_path / "c")
    few = Split(np.arange(9), np.arange(9, 20), np.arange(20, 80), "given")
    with pytest.raises(UserError, match="The training part has 9 rows; at least 10"):
        train(assay(smiles, oxygen), options(), tmp_path / "b", few)
    values = np.stack([oxygen, np.where(np.arange(80) < 60, np.nan, oxygen)], axis=1)
    split = Split(np.arange(60), np.zeros(0, np.int64), np.arange(60, 80), "given")
    with pytest.raises(UserError, match="No row of the training part has a label in 'z'"):
        train(assay(smiles, values), options(), tmp_path / "c", split)


def test_unfinished_work_is_used_only_for_the_very_same_rows(
    smiles: list[str], oxygen: np.ndarray, tmp_path: Path
) -> None:
    said: list[str] = []

    def again(texts: list[str], values: np.ndarray, **more: Any) -> bool:
        said.clear()
        train(assay(texts, values), options(**more), tmp_path / "parts", say=said.append)
        return any("Going on with the unfinished run" in text for text in said)

    assert not again(smiles, oxygen)
    assert again(smiles, oxygen)
    assert not again([*smiles[:-1], "CCCCCCCCCC"], oxygen)  # a structure was corrected, the labels are the same
    assert not again(smiles, oxygen)
    salty = [*smiles[:-1], "CCO.Cl"]
    assert not again(salty, oxygen)
    assert not again(salty, oxygen, standard=Standard(salts="largest"))  # reads another molecule in the last row
    assert not again(smiles, oxygen + 1)
    assert not again(smiles, oxygen + 1, seed=1)
    assert again(smiles, oxygen + 1, seed=1)


def test_of_unfinished_work_members_of_other_settings_are_fitted_again(
    smiles: list[str], oxygen: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []

    def noted(folder: Path, plan: Plan, piece: Piece, *more: Any) -> None:
        fitted.append(piece.group)
        fit_piece(folder, plan, piece, *more)

    monkeypatch.setattr(work, "fit_piece", noted)
    other = options(overrides=TREES | {"lightgbm.trees": "11"})
    train(assay(smiles, oxygen), options(), tmp_path / "parts")
    assert set(fitted) > {"lightgbm", "svm"}
    fitted.clear()
    after = saved(train(assay(smiles, oxygen), other, tmp_path / "parts"), tmp_path / "a")
    assert set(fitted) == {"lightgbm"}
    assert after == saved(train(assay(smiles, oxygen), other, tmp_path / "fresh"), tmp_path / "b")


def test_a_model_that_has_learned_nothing_is_told(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    result = train(assay(smiles, oxygen), options(split="random"), tmp_path / "parts")
    assert trained.nothing_learned(result) == []
    scores = result.scores["test"]
    swapped = replace(result, scores={"test": scores | {"blend": scores["mean"], "mean": scores["blend"]}})
    (told,) = trained.nothing_learned(swapped)
    assert told.startswith("By rmse the model is no better than the mean of the training rows")
    assert told in trained.sentences(swapped)


@pytest.mark.parametrize("spoil", ["cut", "empty", "gone"])
def test_spoilt_unfinished_work_is_made_again(
    smiles: list[str], oxygen: np.ndarray, tmp_path: Path, spoil: str
) -> None:
    first = saved(train(assay(smiles, oxygen), options(), tmp_path / "parts"), tmp_path / "a")
    for path in sorted((tmp_path / "parts").rglob("*")):
        if path.is_file() and path.name != "reading.json":
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 2] if spoil == "cut" else b"")
        if spoil == "gone" and path.is_file():
            path.unlink()
    assert saved(train(assay(smiles, oxygen), options(), tmp_path / "parts"), tmp_path / "b") == first


def test_pieces_exactly() -> None:
    spec = RECIPES["auto"].members
    told = pieces_of("gp", spec["gp"], 2, range(1), False)
    assert [(piece.name, piece.fold, piece.seed) for piece in told] == [
        ("gp.0-0", 0, 0), ("gp.1-0", 1, 1), ("gp.all-0", None, 0),
    ]  # fmt: skip
    told = pieces_of("graph", spec["graph"], 2, range(5, 7), True)
    assert [(piece.name, piece.seed) for piece in told] == [
        ("graph.0-5", 500), ("graph.0-6", 600), ("graph.1-5", 501), ("graph.1-6", 601),
    ]  # fmt: skip
    assert [piece.fold for piece in pieces_of("graph", spec["graph"], 0, range(1), False)] == [None]


def test_a_panel_is_learned_by_members_of_all_targets_at_once() -> None:
    few, auto, baseline = resolve("auto", {}), resolve("auto", {}, panel=True), resolve("baseline", {}, panel=True)
    many = Problem(REGRESSION, tuple(f"t{k}" for k in range(20)))
    assert "shared-forest" not in few.members
    assert chosen_members(few, Problem(REGRESSION, ("y",)), 10**7) == (few.members, [])
    assert list(chosen_members(auto, many, 500_000)[0]) == ["lightgbm", "fingerprint", "graph", "shared-forest"]
    members, notes = chosen_members(baseline, many, 500_001)
    assert list(members) == ["shared-forest"]
    assert "20 targets, 500,001 labels: left out are lightgbm, random-forest, extra-trees, svm, gp" in notes[0]
    assert resolve("graph", {}, panel=True) == resolve("graph", {})
    # a setting of either kind of member may be asked for before the targets are known
    told = {"shared-forest.trees": "7", "random-forest.trees": "8"}
    assert resolve("auto", told, panel=True).members["shared-forest"]["config"]["trees"] == 7
    assert resolve("auto", told).members["random-forest"]["config"]["trees"] == 8


@pytest.mark.parametrize(
    ("rows", "targets", "panel"), [(10**6, 1, False), (600, 50, False), (100, 51, True), (15_001, 2, True)]
)
def test_what_a_panel_is(rows: int, targets: int, panel: bool) -> None:
    values = np.broadcast_to(np.nan, (rows, targets))
    told = Labels(tuple(f"t{k}" for k in range(targets)), values, values, (None,) * targets)
    assert told.panel is panel


def test_training_on_a_panel(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    """51 targets, of which the last is known for a tenth of the rows."""
    values = np.tile(oxygen[:, None], 51) + np.arange(51.0)
    values[np.arange(80) % 10 > 0, 50] = np.nan
    labels = Labels(tuple(f"t{k}" for k in range(51)), values, np.zeros(values.shape, np.int8), (None,) * 51)
    told = Assay(smiles, labels, np.ones(80), REGRESSION, "", ("",) * 51)
    small = {"lightgbm.trees": "5", "shared-forest.trees": "30", "folds": "2"}
    result = train(told, options("baseline", small), tmp_path)
    assert list(result.model.groups) == ["lightgbm", "shared-forest"]
    assert any("svm, gp, which learn every target by itself" in note for note in result.notes)
    scores = result.scores["held-out"]
    assert scores["shared-forest"]["r2"].each[50].rows == 8
    assert scores["shared-forest"]["rmse"].each[0].value < 0.8 * scores["mean"]["rmse"].each[0].value


def test_the_mean_is_of_exact_labels(smiles: list[str]) -> None:
    values = np.array([[0.0, 1.0]] * 20 + [[9.0, 5.0]] * 20)
    censor = np.array([[0, 1]] * 20 + [[-1, 1]] * 20, np.int8)
    plan = SimpleNamespace(
        problem=SimpleNamespace(outputs=1), data=SimpleNamespace(values=values, censor=censor), fold=np.zeros(40, int)
    )
    assert mean_answer(cast(Any, plan)).tolist() == [[0.0], [3.0]]  # nothing is exact of the second


def test_mean_answers_exactly(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    plan = train(assay(smiles, oxygen), options(), tmp_path).plan
    assert mean_answer(plan).tolist() == [[pytest.approx(oxygen.mean())]]
    classes = replace(plan, problem=Problem("multiclass", ("y",), (("a", "b", "c"),)))
    assert plan.data.values is not None
    plan.data.values[:, 0] = np.arange(80) % 4 // 2 * 2
    assert mean_answer(classes).tolist() == [[0.5, 0.0, 0.5]]


def test_a_view_refuses_for_those_who_look_at_it_alone(tmp_path: Path) -> None:
    """A worker that died over one view costs the row there, whatever was read before or after."""
    texts, note = ["CCO", "refused", "CCN", "CCC"], tmp_path / "features" / "reading.json"

    def codes(*views: str) -> list[str]:
        with Reader(limits=Limits(0)) as reader:
            reading = read_into(tmp_path, reader, texts, views, lambda *_: None)
        assert [bool(text) for text in reading.smiles] == [code == "ok" for code in reading.codes]
        assert [bool(text) for text in reading.reasons] == [code != "ok" for code in reading.codes]
        assert set(reading.features) == set(views)
        return reading.codes

    whole, dead = ["ok", "PARSE", "ok", "ok"], ["ok", "PARSE", "ok", "CRASH"]
    assert codes("graph") == codes("fingerprint") == whole
    told = json.loads(note.read_text())
    for name, cell in (("codes", "CRASH"), ("smiles", ""), ("reasons", "the worker died")):
        told["fingerprint"][name][3] = cell
    note.write_text(json.dumps(told))
    assert codes("fingerprint") == codes("graph", "fingerprint") == codes("fingerprint", "graph") == dead
    assert codes("smiles") == codes("graph") == codes("graph", "smiles") == whole


def test_what_is_done_about_extensive_targets_is_told_of_those_it_is_done_for() -> None:
    ours, published = resolve("graph", {}).members, resolve("study001-mpnn", {}).members
    grows = Problem(REGRESSION, ("y",), (), (True,))
    assert extensive_note(ours, grows).endswith("is taken off first.")
    assert extensive_note(published, grows).endswith("is taken off first, but not for combining-mpnn.")
    some = extensive_note(ours, Problem(REGRESSION, ("a", "b", "c", "d"), (), (True, False, True, False)))
    assert some.startswith("a and c grow with the molecule, b and d do not: of the former a fit on what")


def test_how_atoms_are_read_out_is_told() -> None:
    def told(recipe: str, summing: bool, *problem: Any) -> list[str]:
        members = resolve(recipe, {}).members.items()
        pieces = [piece for name, spec in members for piece in pieces_of(name, spec, 2, range(1), summing)]
        return readout_notes(pieces, Problem(*problem))

    one, two = ("y",), ("y", "z")
    assert told("graph", True, REGRESSION, one, (), (True,)) == ["Atoms are read out by their sum in graph."]
    assert told("graph", False, REGRESSION, one, (), (False,)) == [
        "The target does not grow with the molecule. Atoms are read out by their sum / 100 in graph."
    ]
    assert told("auto", False, REGRESSION, two) == [
        "No target grows with the molecule. Atoms are read out by their sum in graph."
    ]
    assert told("graph+conformer", False, "binary", one, (("0", "1"),)) == [
        "Atoms are read out by their mean in conformer."
    ]
    assert told("graph+conformer", True, REGRESSION, one, (), (True,)) == [
        "Atoms are read out by their sum in conformer."
    ]
    assert told("graph+conformer-mean", True, REGRESSION, one, (), (True,)) == []
    assert told("smiles", False, REGRESSION, one) == told("baseline", False, REGRESSION, one) == []


def test_auto_looks_at_geometry_where_it_is_given(smiles: list[str], features: dict[str, Any], tmp_path: Path) -> None:
    """With coordinates a member looks at them, and the model reads them; without, it costs nothing."""
    conformers = features["conformer"]
    atoms, places = (pairwise(starts) for starts in (conformers.atom_starts, conformers.place_starts))
    texts = [
        as_xyz(conformers.numbers[a:b], conformers.positions[c:d], text)
        for text, (a, b), (c, d) in zip(smiles, atoms, places, strict=True)
    ]
    spread = np.array(
        [np.linalg.norm(conformers.positions[a:b], axis=1).mean() for a, b in pairwise(conformers.place_starts)]
    )
    small = SMALL | {"encoder.depth": "1"}
    with_places = train(assay(texts, spread), options("auto", small), tmp_path / "a").model
    without = train(assay(smiles, spread), options("auto", small), tmp_path / "b").model
    assert set(with_places.groups) - set(without.groups) == {"conformer"}
    assert with_places.views == ("fingerprint", "graph", "conformer")
    assert without.views == ("fingerprint", "graph")
    assert (with_places.placed, without.placed) == (True, False)
    told = read([texts[0], smiles[0], "C1CC"], with_places.views, limits=Limits(0))
    status = prediction_columns(with_places, told)["status"].to_pylist()
    assert status == ["ok", "ok:CONF_MADE", "PARSE"]
    assert prediction_columns(without, told)["status"].to_pylist() == ["ok", "ok", "PARSE"]
    assert not is_placed([*texts[:40], *smiles[40:]])
    assert not is_placed(smiles)
    assert not is_placed([])
    assert is_placed(texts)


def test_molecules_without_geometry_are_counted(smiles: list[str], tmp_path: Path) -> None:
    """Of one nothing could be made, of another a drawing; two more are refused or have no label."""
    texts = [*smiles[:40], "C" * 300, "C" * 130, "C1CC", "C" * 131]
    values = np.array([*map(len, smiles[:40]), 1.0, 2.0, 3.0, np.nan])
    small = {"training.epochs": "1", "encoder.graph.width": "8", "encoder.conformer.width": "8"}
    result = train(assay(texts, values), options("graph+conformer", small), tmp_path)
    assert result.model.card["geometries"] == {"given": 0, "made": 40, "CONF_2D": 1, "CONF_NONE": 1}
    (note,) = [note for note in result.notes if "geometry" in note]
    assert note.startswith("Of 1 of 42 no geometry could be made (CONF_NONE) and of 1 of 42 there is no more than a fl")
    assert geometry_notes({"given": 9, "made": 1, "CONF_2D": 0, "CONF_NONE": 0}, True) == [
        "1 of 10 structures came without their geometry; it was made."
    ]
    assert "geometries" not in train(assay(smiles, np.arange(80.0)), options("graph", GRAPH), tmp_path / "b").model.card


def test_only_ratios_of_weights_count(
    smiles: list[str], oxygen: np.ndarray, features: dict[str, Any], tmp_path: Path
) -> None:
    told = {}
    for scale in (1.0, 1e-6):
        weight = scale * np.where(np.arange(80) % 4, 1.0, 2.0)
        result = train(assay(smiles, oxygen, weight=weight), options("auto", SMALL), tmp_path / f"{scale}")
        told[scale] = result.model.predict(features, np.arange(80)).values
    assert told[1e-6] == pytest.approx(told[1.0], rel=1e-4, abs=1e-4)


def test_a_network_has_no_answer_where_it_saw_no_label(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    """The one label of a target is in one fold; the fits without that fold know nothing of it, and do not say 0."""
    rare = np.where(np.arange(80) == 7, 300.0, np.nan)
    data = assay(smiles, np.stack([oxygen, rare], axis=1))
    result = train(data, options("auto", SMALL | {"folds": "4"}), tmp_path)
    told = result.model.predict(result.reading.features, np.arange(80)).values[:, 1, 0]
    assert told == pytest.approx(np.full(80, 300.0), abs=3.0)


def test_rows_of_one_molecule_share_a_fold(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    twice = [*smiles[:40], *smiles[:40]]
    plan = train(assay(twice, np.tile(oxygen[:40], 2)), options(), tmp_path / "a").plan
    assert np.array_equal(plan.fold[:40], plan.fold[40:])
    plan = train(
        assay(twice, np.tile(oxygen[:40], 2)), options("fingerprint", {"training.epochs": "1"}), tmp_path / "b"
    ).plan
    assert np.array_equal(plan.valid[:40], plan.valid[40:])
    assert 0 < plan.valid.sum() < 20
    one = train(
        assay([smiles[0]] * 40, oxygen[:40]), options(), tmp_path / "c"
    ).plan  # one molecule only: rows as they are
    assert sorted(np.bincount(one.fold)) == [20, 20]


def test_conformers_of_one_molecule_share_a_fold(
    smiles: list[str], features: dict[str, Any], oxygen: np.ndarray, tmp_path: Path
) -> None:
    made, texts = features["conformer"], []
    for stretch in (1.0, 1.001):
        for row in range(40):
            numbers = made.numbers[slice(*made.atom_starts[row : row + 2])]
            places = made.positions[slice(*made.place_starts[row : row + 2])] * stretch
            texts.append(as_xyz(numbers, places, smiles[row]))
    plan = train(assay(texts, np.tile(oxygen[:40], 2)), options(), tmp_path).plan
    assert np.array_equal(plan.fold[:40], plan.fold[40:])


def test_a_validation_part_without_use_is_told(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    notes = train(assay(smiles, oxygen), options(split="random"), tmp_path).notes
    assert any(note.startswith("8 validation rows are not used") for note in notes)
    more = options(split="random", fit_rows="train+valid")
    assert not any("not used" in note for note in train(assay(smiles, oxygen), more, tmp_path / "b").notes)

"""The scikit-learn face, as scikit-learn and pandas meet it."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import tetramer
from tetramer import Classifier, Embedder, Regressor, embed, load
from tetramer.errors import Stopped, UserError
from tetramer.predictor import array_of, labels_of, text_of, texts_of, typed

TINY = {"folds": 2, "trees": 5, "machine": "gp"}


def regressor(**more: Any) -> Regressor:
    return Regressor("baseline", settings=TINY, workers=0, **more)


def classifier(**more: Any) -> Classifier:
    return Classifier("baseline", settings=TINY, workers=0, **more)


@pytest.fixture
def oxygen(features: dict[str, Any]) -> np.ndarray:
    elements = features["fingerprint"].elements.astype(float)
    return elements[:, 8] * 2 + elements[:, 7] + 0.01 * elements[:, 6]


@pytest.fixture(scope="module")
def fitted(smiles: list[str]) -> Regressor:
    return regressor().fit(smiles, [float(text.count("O") * 2 + len(text) / 100) for text in smiles])


def test_clone_and_parameters() -> None:
    one = Regressor("graph", seed=3, settings={"training.epochs": 2})
    assert one.get_params() == {
        "recipe": "graph", "seed": 3, "seeds": 1, "settings": {"training.epochs": 2}, "workers": None,
        "start": None,
    }  # fmt: skip
    two = clone(one).set_params(seed=5)
    assert (two.seed, one.seed, two.recipe) == (5, 3, "graph")
    assert not hasattr(two, "model_")
    assert is_regressor(one)
    assert is_classifier(Classifier())
    assert "recipe='graph'" in repr(one)


def test_answers_by_shape_and_range(fitted: Regressor, smiles: list[str]) -> None:
    told = fitted.predict(smiles)
    assert told.shape == (80,)
    assert fitted.score(smiles, [text.count("O") * 2 + len(text) / 100 for text in smiles]) > 0.8
    low, high = fitted.predict_interval(smiles)
    assert (low <= told).all()
    assert (told <= high).all()
    narrow = fitted.predict_interval(smiles, 0.5)
    assert (narrow[0] >= low).all()
    with pytest.raises(UserError, match=r"level=95 is not a probability"):
        fitted.predict_interval(smiles, 95)


def test_a_row_that_is_no_molecule_is_nan_and_says_why(fitted: Regressor) -> None:
    told = fitted.predict(["CCO", np.nan, None, "C1CC", pd.NA, "c1ccccc1", "\ud800"])
    assert np.isnan(told).tolist() == [False, True, True, True, True, False, True]
    assert [text.split(":")[0] for text in fitted.status_][:6] == ["ok", "EMPTY", "EMPTY", "PARSE", "EMPTY", "ok"]
    low, high = fitted.predict_interval(["C1CC"])
    assert np.isnan([low[0], high[0]]).all()
    assert fitted.predict([]).shape == (0,)
    assert fitted.predict("CCO").shape == (1,)


def test_every_container_gives_the_same(smiles: list[str], oxygen: np.ndarray) -> None:
    first = regressor().fit(smiles, list(oxygen)).predict(smiles)
    containers = [
        (np.array(smiles), oxygen),
        (np.array(smiles, dtype=object), oxygen[:, None]),
        (pd.Series(smiles, index=range(80, 0, -1)), pd.Series(oxygen)),
        (pl.Series("smiles", smiles), pl.Series("y", oxygen)),
        (tuple(smiles), tuple(oxygen)),
    ]
    for X, y in containers:
        assert np.array_equal(regressor().fit(X, y).predict(X), first)


def test_texts_exactly() -> None:
    assert texts_of("CCO") == ["CCO"]
    assert texts_of(["C", None, float("nan"), pd.NA, pd.NaT, np.nan]) == ["C", "", "", "", "", ""]
    assert texts_of(pd.Series(["C", None], dtype="string")) == ["C", ""]
    assert texts_of(pl.Series(["C", None])) == ["C", ""]
    assert texts_of(pd.DataFrame({"smiles": ["C", "CC"]})) == ["C", "CC"]
    with pytest.raises(UserError, match=r"SMILES number 2 is 1\.5, a float; give texts"):
        texts_of(["C", 1.5])


def test_labels_exactly() -> None:
    told = labels_of(pd.DataFrame({"a": [1.0, np.nan], "b": [0.1, 1e-17]}), 2)
    assert told.names == ("a", "b")
    assert np.array_equal(told.values, [[1.0, 0.1], [np.nan, 1e-17]], equal_nan=True)
    assert labels_of([">5", 3, None, pd.NA], 4).censor[:, 0].tolist() == [1, 0, 0, 0]
    assert labels_of(pd.Series([1, 2], name="pIC50"), 2).names == ("pIC50",)
    assert labels_of([True, False], 2).classes == (("False", "True"),)
    assert [text_of(cell) for cell in (np.float64(0.1), 3, np.int64(4), "x")] == ["0.1", "3.0", "4.0", "x"]
    with pytest.raises(UserError, match="There are 3 SMILES and 2 labels"):
        array_of([1, 2], 3)


def test_several_targets_with_gaps(smiles: list[str], oxygen: np.ndarray) -> None:
    y = np.stack([oxygen, -oxygen], axis=1)
    y[::3, 0] = np.nan
    model = regressor().fit(smiles, y)
    told = model.predict(smiles)
    assert told.shape == (80, 2)
    assert np.corrcoef(told[:, 0], told[:, 1])[0, 1] < -0.9
    assert model.predict_interval(smiles)[0].shape == (80, 2)


def test_labels_of_frames_keep_their_kind() -> None:
    """An array would make floats of whole numbers, and of true and false, where one is missing."""
    nullable = [pd.Series([0, 1, pd.NA], dtype="Int64"), pl.Series("y", [0, 1, None]), pd.array([0, 1, None], "Int64")]
    frames = [pd.DataFrame({"y": nullable[0]}), pl.DataFrame({"y": [0, 1, None]})]
    for y in (*nullable, *frames):
        assert [repr(cell) for cell in array_of(y, 3)[:2, 0]] == ["0", "1"]
    assert array_of(pl.DataFrame({"a": [1, None], "b": [True, False]}), 2).tolist() == [[1, True], [None, False]]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"settings": ["training.epochs=2"]}, "settings=['training.epochs=2']: give a dictionary, such as {'training"),
        ({"settings": "training.epochs=2"}, "settings='training.epochs=2': give a dictionary"),
        ({"settings": {"depht": 2}}, "Did you mean 'encoder.depth'"),
        ({"seed": "a"}, "seed='a' is no whole number; give one, such as 1."),
        ({"seeds": 1.5}, "seeds=1.5 is no whole number"),
        ({"workers": "2"}, "workers='2' is no whole number"),
        ({"recipe": 5}, "no recipe named '5'"),
    ],
    ids=str,
)
def test_mistakes_in_parameters_teach(smiles: list[str], oxygen: np.ndarray, more: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as error:
        Regressor(**{"workers": 0} | more).fit(smiles, oxygen)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        (["a"] * 80, "sample_weight holds 'a', which is no number. Give 80 numbers, one a row."),
        ([1.0] * 79 + ["b"], "sample_weight holds 'b', which is no number"),
        ([1.0] * 79 + [pd.NA], "sample_weight holds <NA>, which is no number"),
        ([[1.0], [1.0, 2.0]], "sample_weight holds [1.0], which is no number"),
        ([None] * 80, "Give 80 weights"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_mistakes_in_weights_teach(smiles: list[str], oxygen: np.ndarray, weight: list[Any], says: str) -> None:
    with pytest.raises(UserError) as error:
        regressor().fit(smiles, oxygen, sample_weight=weight)
    assert says in str(error.value)


@pytest.mark.parametrize("y", [None, 5, "CCO", {"a": 1}], ids=str)
def test_labels_that_are_no_column_teach(y: Any) -> None:
    with pytest.raises(UserError, match="give a list, an array or a column, one label a SMILES"):
        array_of(y, 1)


def test_white_space_around_a_text_does_not_matter(fitted: Regressor) -> None:
    told = fitted.predict(["CCO", "CCO ", " CCO", "CCO\n", "CC O"])
    assert fitted.status_[:4] == ["ok"] * 4
    assert fitted.status_[4].startswith("CONTROL_CHAR")
    assert (told[:4] == told[0]).all()


def test_a_mol_block_is_read_as_it_is(fitted: Regressor) -> None:
    from rdkit import Chem

    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    assert block.startswith("\n")
    told = fitted.predict([block, block.strip()])
    assert fitted.status_[1].startswith("PARSE")
    assert told[0] == pytest.approx(fitted.predict("CCO")[0])


def test_bounds_and_weights_take_part(smiles: list[str], oxygen: np.ndarray) -> None:
    bounds = [f">{20}" if k % 4 == 0 else value for k, value in enumerate(oxygen)]
    plain = regressor().fit(smiles, oxygen).predict(smiles[::4])
    assert regressor().fit(smiles, bounds).predict(smiles[::4]).mean() > plain.mean() + 5
    spoilt = oxygen.copy()
    spoilt[60:] = 1e6
    weight = np.where(np.arange(80) < 60, 1.0, 0.0)
    assert np.array_equal(
        regressor().fit(smiles, spoilt, sample_weight=weight).predict(smiles),
        regressor().fit(smiles[:60], oxygen[:60]).predict(smiles),
    )
    with pytest.raises(UserError, match="Give 80 weights"):
        regressor().fit(smiles, oxygen, sample_weight=[1.0, 2.0])


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ([0, 1], "i"), ([3, 7], "i"), (["inactive", "active"], "U"), ([False, True], "b"), (["low", "high"], "U"),
        (["1", "2"], "U"), ([0.0, 1.0], "f"), (["a", "b", "c"], "U"), ([1, 2, 3], "i"),
    ],
    ids=str,
)  # fmt: skip
def test_classes_are_those_given(smiles: list[str], oxygen: np.ndarray, names: list[Any], kind: str) -> None:
    """predict gives labels that equal those given, proba follows classes_, and the classes are learned."""
    order = np.digitize(oxygen, np.quantile(oxygen, np.linspace(0, 1, len(names) + 1)[1:-1]))
    y = np.array(names)[order]
    model = classifier().fit(smiles, y)
    assert model.classes_.tolist() == sorted(names)
    assert model.classes_.dtype.kind == kind
    told, chance = model.predict(smiles), model.predict_proba(smiles)
    assert chance.shape == (80, len(names))
    assert chance.sum(axis=1) == pytest.approx(1.0)
    assert told.tolist() == model.classes_[chance.argmax(axis=1)].tolist()
    assert np.mean(told == y) > 0.7
    assert model.score(smiles, y) == np.mean(told == y)
    assert model.predict(["C1CC"]).tolist() == [None]


def test_a_regression_is_no_classification(smiles: list[str]) -> None:
    with pytest.raises(UserError, match="The labels hold 80 different numbers, which is a regression"):
        classifier().fit(smiles, np.arange(80) / 7)
    with pytest.raises(UserError, match="not a regression target"):
        regressor().fit(smiles, ["a", "b"] * 40)


def test_cross_validation(smiles: list[str], oxygen: np.ndarray) -> None:
    X = np.array(smiles)
    order = np.random.Generator(np.random.Philox(0)).permutation(80)
    scores = cross_val_score(regressor(), X[order], oxygen[order], cv=2, error_score="raise")
    assert (scores > 0.4).all()
    y = np.where(oxygen > np.median(oxygen), "pos", "neg")
    areas = cross_val_score(classifier(), X[order], y[order], cv=2, scoring="roc_auc", error_score="raise")
    assert (areas > 0.7).all()


def test_saved_and_loaded(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    model = regressor().fit(smiles, oxygen)
    model.save(tmp_path / "model")
    again: Any = load(tmp_path / "model")
    again.workers = 0
    assert type(again) is Regressor
    assert np.array_equal(again.predict(smiles), model.predict(smiles))
    assert np.array_equal(again.predict_interval(smiles), model.predict_interval(smiles))


@pytest.mark.parametrize(
    "classes",
    [["no", "yes"], [0, 1], [False, True], ["False", "True"], ["1", "2"], [0.0, 1.0], [10, 9, 100], ["1_0", "a"]],
    ids=str,
)
def test_classes_are_those_given_after_save_and_load(
    smiles: list[str], oxygen: np.ndarray, tmp_path: Path, classes: list[Any]
) -> None:
    order = np.digitize(oxygen, np.quantile(oxygen, np.linspace(0, 1, len(classes) + 1)[1:-1]))
    model = classifier().fit(smiles, np.array(classes)[order])
    model.save(tmp_path / "model")
    again: Any = load(tmp_path / "model")
    again.workers = 0
    assert type(again) is Classifier
    assert again.classes_.dtype == model.classes_.dtype == np.array(classes).dtype
    assert again.classes_.tolist() == model.classes_.tolist() == sorted(classes)
    assert np.array_equal(again.predict_proba(smiles), model.predict_proba(smiles))
    assert again.predict(smiles).tolist() == model.predict(smiles).tolist()
    again.save(tmp_path / "again")
    assert load(tmp_path / "again").classes_.dtype == model.classes_.dtype


def test_whole_numbers_with_gaps_stay_whole(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    y = pd.Series((oxygen > 1).astype(int), dtype="Int64")
    y[::5] = pd.NA
    model = classifier().fit(smiles, y)
    model.save(tmp_path / "model")
    for one in (model, load(tmp_path / "model")):
        assert one.classes_.dtype.kind == "i"
        assert one.classes_.tolist() == [0, 1]


def test_classes_of_a_table_are_numbers_or_texts(smiles: list[str], tmp_path: Path) -> None:
    assert [typed(text) for text in ("1", "-2", "0.5", "1e+16", "True", "1_0", "01", "nan", "inf")] == [
        1, -2, 0.5, 10**16, "True", "1_0", "01", "nan", "inf",
    ]  # fmt: skip
    model = classifier().fit(smiles, ["True" if "O" in text else "False" for text in smiles]).model_
    table = replace(model, card={name: value for name, value in model.card.items() if name != "labels"})
    table.save(tmp_path / "model")
    assert load(tmp_path / "model").classes_.tolist() == ["False", "True"]


def test_labels_that_do_not_fit_the_classes_are_told(smiles: list[str], tmp_path: Path) -> None:
    model = classifier().fit(smiles, ["O" in text for text in smiles]).model_
    for labels in ([[False]], [], [[False, True]] * 2, 5, [5], [[None, []]]):
        replace(model, card=model.card | {"labels": labels}).save(tmp_path / "model")
        with pytest.raises(UserError, match="do not fit its classes"):
            load(tmp_path / "model")


def test_saving_replaces_nothing_but_a_model(
    fitted: Regressor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "thesis.txt").write_text("mine")
    (tmp_path / "file.csv").write_text("mine")
    monkeypatch.chdir(tmp_path / "here")
    for path, says in (
        (tmp_path / "keep", "keep holds other files, such as 'thesis.txt'; --output names a new folder, or a model to"),
        (".", "is where you work; --output names a new folder, which is put in place whole"),
        (tmp_path, "is where you work"),
        ("../file.csv", "file.csv is a file; --output names a folder for the model"),
        ("../file.csv/model", "file.csv is a file"),
    ):
        with pytest.raises(UserError) as error:
            fitted.save(path)
        assert says in str(error.value)
    assert (tmp_path / "keep" / "thesis.txt").read_text() == (tmp_path / "file.csv").read_text() == "mine"
    fitted.save("model")
    fitted.save("model")  # a model may be replaced
    assert load("model").predict("CCO").shape == (1,)


def test_not_fitted_and_no_model_are_told(tmp_path: Path) -> None:
    for act in (lambda: Regressor().predict(["C"]), lambda: Regressor().save(tmp_path / "x")):
        with pytest.raises(UserError, match=r"not fitted\. Call fit"):
            act()
    with pytest.raises(UserError, match="There is no model at"):
        load(tmp_path / "none")


def test_vectors(smiles: list[str], oxygen: np.ndarray) -> None:
    told = embed([*smiles, "C1CC"], workers=0)
    assert told.shape == (81, 2048)
    assert told.dtype == np.float32
    assert np.isnan(told[80]).all()
    assert np.array_equal(embed((text for text in smiles[:2]), workers=0), told[:2])
    assert embed("CCO", workers=0).shape == (1, 2048)
    pipe = make_pipeline(Embedder(workers=0), Ridge())
    assert pipe.fit(smiles, oxygen).score(smiles, oxygen) > 0.9
    assert {"model": "model", "workers": 2}.items() <= clone(Embedder("model", workers=2)).get_params().items()


def test_a_network_gives_vectors(smiles: list[str], oxygen: np.ndarray, tmp_path: Path) -> None:
    settings = {"training.epochs": 1, "encoder.width": 16}
    model = Regressor("graph", settings=settings, workers=0).fit(smiles, oxygen)
    model.save(tmp_path / "model")
    told = embed([*smiles[:5], ""], tmp_path / "model", workers=0)
    assert told.shape == (6, 16)
    assert np.isnan(told[5]).all()
    assert np.isfinite(told[:5]).all()


def test_a_fit_in_a_thread(smiles: list[str], oxygen: np.ndarray) -> None:
    """scikit-learn may fit in threads, where Python lets nobody listen to signals."""
    told: list[Any] = []

    def work() -> None:
        model = Regressor("graph", settings={"training.epochs": 1, "encoder.width": 8}, workers=0)
        told.append(model.fit(smiles, oxygen).predict(smiles).shape)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [(80,)]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_stopped_fit_ends_what_called_it(
    smiles: list[str], oxygen: np.ndarray, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[BaseException]
) -> None:
    """`Stopped` is an Exception that a search over settings would take for one bad fit."""

    def stopped(*_: Any) -> None:
        raise Stopped(number)

    monkeypatch.setattr("tetramer.predictor.train", stopped)
    with pytest.raises(kind):
        regressor().fit(smiles, oxygen)


def test_names_of_the_package() -> None:
    assert all(getattr(tetramer, name) is not None for name in tetramer.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Foo'"):
        tetramer.Foo  # noqa: B018


def test_a_molecule_without_geometry_is_answered_by_other_views_or_not_at_all(smiles: list[str]) -> None:
    labels, asked = [float(len(text)) for text in smiles], ["CCO", "C" * 300, "C1CC"]
    for recipe, more, statuses, known in (
        ("graph+conformer", {}, ["ok", "ok:CONF_NONE", "PARSE"], [True, True, False]),
        ("graph+conformer", {"encoder.absent": 0}, ["ok", "CONF_NONE", "PARSE"], [True, False, False]),
        ("conformer", {}, ["ok", "CONF_NONE", "PARSE"], [True, False, False]),
    ):
        settings = {"training.epochs": 1, "training.visits": 100} | more
        told = Regressor(recipe, settings=settings, workers=0).fit(smiles, labels)
        assert np.isfinite(told.predict(asked)).tolist() == known
        assert [status.partition(": ")[0] for status in told.status_] == statuses


def test_classes_of_several_targets_keep_their_types(smiles: list[str]) -> None:
    y = [[len(text) % 2, "long" if len(text) > 12 else "short" if len(text) < 7 else "middle"] for text in smiles]
    model = Classifier("baseline", settings={"folds": 2, "trees": 5}, workers=0).fit(smiles, y)
    told = model.predict(smiles[:3])
    assert [type(cell) for cell in told[0]] == [int, str]
    assert all(told[row, 1] in model.classes_[1] for row in range(3))


def test_a_table_is_no_column_of_smiles() -> None:
    with pytest.raises(UserError, match="a table of 2 columns; give the one that holds them"):
        texts_of(np.array([["CCO", "C"], ["CC", "N"]], dtype=object))
    assert texts_of(np.array([["CCO"], ["CC"]], dtype=object)) == ["CCO", "CC"]

"""Models: what a folder holds is what answers, and columns say exactly what they should."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tetramer.checkpoint import digest, pack, read_folder, unpack, write_folder
from tetramer.errors import UserError
from tetramer.inference import (
    Answer,
    Model,
    embedding_columns,
    embedding_views,
    numbers,
    prediction_columns,
    probabilities,
    vectors,
)
from tetramer.members.base import BINARY, MULTICLASS, REGRESSION, Problem
from tetramer.members.intervals import Intervals
from tetramer.members.neural import Neural, NeuralConfig, start
from tetramer.members.trees import Trees, TreesConfig
from tetramer.members.work import Fitted
from tetramer.molecules import Limits, Standard
from tetramer.training import Data
from tetramer.views import Reading, read

ROWS = np.arange(80)


def trees(features: dict[str, Any], problem: Problem, values: np.ndarray, seed: int = 0) -> Fitted:
    data = Data(features, values, np.zeros(values.shape, np.int8), np.ones(80))
    return Fitted(Trees.fit(TreesConfig("boosted", 5), problem, data, ROWS, seed))


def untrained(features: dict[str, Any], problem: Problem) -> Neural:
    config = NeuralConfig("mpnn", {"width": 8, "depth": 1})
    values = np.stack([ROWS % 7, ROWS % 5], axis=1).astype(float)
    run = start(config, problem, Data(features, values, np.zeros((80, 2), np.int8), np.ones(80)), ROWS)
    run.finish()
    return Neural(config, problem, run.objective)


@pytest.fixture
def model(features: dict[str, Any]) -> Model:
    """Two targets, three members in two groups, intervals for the first target only."""
    problem = Problem(REGRESSION, ("a", "b"))
    values = np.stack([ROWS % 7, ROWS % 5], axis=1).astype(float)
    members = {name: trees(features, problem, values, seed) for seed, name in enumerate(("x.0-0", "x.1-0", "y.all-0"))}
    interval = Intervals(np.arange(1.0, 41.0) / 10, np.zeros(40), 1.0)
    weights = np.array([[0.25, 0.75], [1.0, 0.0]])
    return Model({"kind": "model"}, problem, Standard(salts="largest"), members, weights, [interval, None])


def test_groups_answer_by_their_mean_and_the_blend_by_its_weights(model: Model, features: dict[str, Any]) -> None:
    each = [member.predict(features, ROWS) for member in model.members.values()]
    told = model.told(features, ROWS)
    assert told.shape == (2, 80, 2, 1)
    assert told[0] == pytest.approx((each[0] + each[1]) / 2)
    answer = model.predict(features, ROWS).values
    assert answer[:, 0] == pytest.approx(0.25 * told[0][:, 0] + 0.75 * told[1][:, 0])
    assert answer[:, 1] == pytest.approx(told[0][:, 1])
    assert model.views == ("fingerprint",)


def test_intervals_where_there_is_calibration(model: Model, features: dict[str, Any]) -> None:
    answer = model.predict(features, ROWS)
    assert answer.low is not None
    assert answer.high is not None
    assert (answer.low[:, 0] < answer.values[:, 0, 0]).all()
    assert np.isnan(answer.low[:, 1]).all()
    narrow = model.predict(features, ROWS, 0.5)
    assert narrow.high is not None
    assert (narrow.high[:, 0] < answer.high[:, 0]).all()


def test_a_folder_is_the_model(model: Model, features: dict[str, Any], tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert (again.problem, again.standard, again.groups.keys()) == (model.problem, model.standard, model.groups.keys())
    for a, b in zip(
        vars(model.predict(features, ROWS)).values(), vars(again.predict(features, ROWS)).values(), strict=True
    ):
        assert np.array_equal(a, b, equal_nan=True)
    again.save(tmp_path / "again")
    first, second = read_folder(tmp_path / "model"), read_folder(tmp_path / "again")
    assert first == second
    assert {name.split("/")[0] for name in first[1]} == {"members", "blend.safetensors"}


def rewrite(folder: Path, card: dict[str, Any] | None = None, files: dict[str, bytes] | None = None) -> None:
    """A folder that is sealed properly, but says something else."""
    old, held = read_folder(folder)
    gone = {name for name, value in (card or {}).items() if value is None}
    merged = {name: value for name, value in (old | (card or {})).items() if name not in gone}
    write_folder(folder, merged, {name: data for name, data in (held | (files or {})).items() if data})


@pytest.mark.parametrize(
    "card",
    [
        {"members": None},
        {"members": []},
        {"members": ["x.0-0"]},
        {"members": ["../../x"]},
        {"members": ["none"]},
        {"members": 5},
        {"problem": None},
        {"problem": {}},
        {"problem": "regression"},
        {"standard": None},
        {"standard": {"salts": "strip"}},
        {"standard": {"script": "x"}},
        {"standard": []},
    ],
    ids=str,
)
def test_cards_that_lie_are_refused(model: Model, tmp_path: Path, card: dict[str, Any]) -> None:
    model.save(tmp_path / "model")
    rewrite(tmp_path / "model", card)
    with pytest.raises(UserError):
        Model.load(tmp_path / "model")


@pytest.mark.parametrize(
    "files",
    [
        {"blend.safetensors": b""},
        {"blend.safetensors": pack({"weights": np.array([[np.nan, 1.0], [1.0, 0.0]])})},
        {"blend.safetensors": pack({"weights": np.ones((2, 3))})},
        {"blend.safetensors": pack({"other": np.ones((2, 2))})},
        {"members/x.0-0/card.json": b"[]"},
        {"members/x.0-0/card.json": b"{"},
        {"members/x.0-0/card.json": b""},
        {"members/x.0-0/model-0.txt": b"tree\n"},
    ],
    ids=lambda files: str(files)[:60],
)
def test_files_that_lie_are_refused(model: Model, tmp_path: Path, files: dict[str, bytes]) -> None:
    model.save(tmp_path / "model")
    rewrite(tmp_path / "model", None, files)
    with pytest.raises(UserError):
        Model.load(tmp_path / "model")


def test_not_finite_calibration_is_refused(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    arrays = dict(unpack(read_folder(tmp_path / "model")[1]["blend.safetensors"], "x"))
    arrays["interval.0.residuals"] = np.full(40, np.inf)
    rewrite(tmp_path / "model", None, {"blend.safetensors": pack(arrays)})
    with pytest.raises(UserError, match="not finite"):
        Model.load(tmp_path / "model")


def reading(texts: list[str]) -> Reading:
    return read(texts, ["fingerprint"], limits=Limits(0))


def test_columns_of_a_regression_exactly(model: Model) -> None:
    told = prediction_columns(model, reading(["CCO", "", "C1CC", "c1ccccc1"]))
    assert list(told) == ["a_pred", "a_lo", "a_hi", "b_pred", "b_lo", "b_hi", "status", "reason"]
    assert told["status"].to_pylist() == ["ok", "EMPTY", "PARSE", "ok"]
    assert [value is None for value in told["a_pred"].to_pylist()] == [False, True, True, False]
    assert [value is None for value in told["a_lo"].to_pylist()] == [False, True, True, False]
    assert told["b_lo"].null_count == 4
    assert [bool(text) for text in told["reason"].to_pylist()] == [False, True, True, False]
    assert told["a_pred"].type == pa.float64()


def test_columns_of_classes_exactly(features: dict[str, Any]) -> None:
    two = Problem(BINARY, ("hit",), (("no", "yes"),))
    model = Model(
        {}, two, Standard(), {"x.all-0": trees(features, two, (ROWS % 2)[:, None].astype(float))}, np.ones((1, 1))
    )
    told = prediction_columns(model, reading(["CCO", "x"]))
    assert list(told) == ["hit_pred", "status", "reason"]
    assert 0 < told["hit_pred"][0].as_py() < 1
    assert told["hit_pred"][1].as_py() is None
    three = Problem(MULTICLASS, ("k",), (("low", "mid", "high"),))
    model = Model(
        {}, three, Standard(), {"x.all-0": trees(features, three, (ROWS % 3)[:, None].astype(float))}, np.ones((1, 1))
    )
    told = prediction_columns(model, reading(["CCO", "x"]))
    assert list(told) == ["k_pred", "k_prob_low", "k_prob_mid", "k_prob_high", "status", "reason"]
    shares = [told[f"k_prob_{name}"][0].as_py() for name in ("low", "mid", "high")]
    assert sum(shares) == pytest.approx(1.0)
    assert told["k_pred"].to_pylist() == [("low", "mid", "high")[int(np.argmax(shares))], None]
    refused = prediction_columns(model, reading(["x", ""]))  # the types are those of any other rows
    assert {name: column.type for name, column in refused.items()} == {name: c.type for name, c in told.items()}


def test_a_target_with_fewer_classes_never_answers_a_class_it_has_not() -> None:
    problem = Problem(MULTICLASS, ("a", "b"), (("x", "y"), ("x", "y", "z")))
    answer = Answer(np.array([[[0.3, 0.7, 0.0], [0.1, 0.2, 0.7]]]))
    assert probabilities(answer, problem, 0).tolist() == [[0.3, 0.7]]
    assert probabilities(answer, problem, 1).tolist() == [[0.1, 0.2, 0.7]]
    assert probabilities(Answer(np.array([[[0.25]]])), Problem(BINARY, ("a",), (("0", "1"),))).tolist() == [
        [0.75, 0.25]
    ]


def test_numbers_keep_infinity_and_lose_nan() -> None:
    assert numbers(np.array([1.0, np.nan, np.inf, -0.0])).to_pylist() == [1.0, None, np.inf, 0.0]


def test_vectors_without_a_model_are_the_fingerprint() -> None:
    told = vectors(None, reading(["CCO", "x", "OCC"]))
    assert told.shape == (3, 2048)
    assert told.dtype == np.float32
    assert np.isnan(told[1]).all()
    assert np.array_equal(told[0], told[2])
    assert np.unique(told[0]) == pytest.approx(np.log([1, 2]), abs=1e-6)  # ethanol: no substructure, or one


def test_views_without_a_vector_are_told_before_the_work() -> None:
    assert embedding_views(None) == embedding_views(None, "fingerprint") == ("fingerprint",)
    with pytest.raises(UserError, match=r"only the fingerprint view gives a vector; 'graph' needs --model"):
        embedding_views(None, "graph")
    with pytest.raises(UserError, match=r"no view named 'grph'\. Did you mean 'graph'"):
        embedding_views(None, "grph")


def test_embedding_columns_exactly() -> None:
    told = embedding_columns(None, reading(["CCO", "x"]), flat=False)
    assert told["embedding"].type == pa.list_(pa.float32(), 2048)
    assert [value is None for value in told["embedding"].to_pylist()] == [False, True]
    flat = embedding_columns(None, reading(["CCO", "x"]), flat=True)
    assert list(flat)[:2] == ["e0", "e1"]
    assert len(flat) == 2048 + 2
    assert np.float32(flat["e0"][0].as_py()) == told["embedding"][0].as_py()[0]
    assert flat["e0"][1].as_py() is None


def test_trees_have_no_embedding(model: Model) -> None:
    with pytest.raises(UserError, match="has no network, so it has no embedding"):
        embedding_columns(model, reading(["C"]), flat=True)


def test_a_model_says_with_its_card_what_it_is(model: Model, tmp_path: Path) -> None:
    replace(model, card={"kind": "model", "units": ["nM", ""]}).save(tmp_path / "m")
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["units"] == ["nM", ""]
    assert card["members"] == ["x.0-0", "x.1-0", "y.all-0"]
    assert card["files"]["blend.safetensors"] == digest((tmp_path / "m" / "blend.safetensors").read_bytes())


def test_a_group_without_weight_is_not_kept_and_costs_nothing(
    model: Model, features: dict[str, Any], tmp_path: Path
) -> None:
    """Its members, and a view that only they look at, are gone from the folder; values and intervals are the same."""
    network = Fitted(untrained(features, model.problem))
    whole = replace(
        model, members=model.members | {"z.all-0": network}, weights=np.array([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]])
    )
    assert whole.views == ("fingerprint", "graph")
    whole.save(tmp_path / "model")
    lean = Model.load(tmp_path / "model")
    assert list(lean.groups) == ["x", "y"]
    assert lean.views == ("fingerprint",)
    assert not (tmp_path / "model" / "members" / "z.all-0").exists()
    for other in (lean, whole.lean(), model):
        for a, b in zip(
            vars(whole.predict(features, ROWS)).values(), vars(other.predict(features, ROWS)).values(), strict=True
        ):
            assert np.array_equal(a, b, equal_nan=True)

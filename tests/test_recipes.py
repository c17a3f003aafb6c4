"""Recipes are plain data; every setting a person can name is known, typed and checked before any work."""

from copy import deepcopy
from dataclasses import dataclass, fields
from functools import reduce
from operator import getitem
from typing import Any, get_type_hints

import pytest

from tetramer.errors import UserError
from tetramer.members import MEMBERS
from tetramer.members.base import Problem
from tetramer.members.neural import NeuralConfig, build
from tetramer.members.work import config_of
from tetramer.overrides import CLASSICAL, NETWORKS, paths
from tetramer.recipes import RECIPES, is_recipe, resolve
from tetramer.settings import configured, number
from tetramer.views.conformer import ConformerSettings


def configs(recipe: Any) -> dict[str, dict[str, Any]]:
    return {name: spec["config"] for name, spec in recipe.members.items()}


def test_a_setting_reaches_every_member_that_has_it_and_no_other() -> None:
    told = configs(resolve("auto", {"trees": "7", "training.epochs": "3", "encoder.width": "16", "machine": "gp"}))
    before = configs(RECIPES["auto"])
    assert {name: c["trees"] for name, c in told.items() if "trees" in c} == dict.fromkeys(
        ("lightgbm", "random-forest", "extra-trees"), 7
    )
    assert {c["training"]["epochs"] for c in told.values() if "training" in c} == {3}
    assert told["graph"]["encoder_config"]["width"] == 16
    assert told["fingerprint"]["encoder_config"] == before["fingerprint"]["encoder_config"]  # it has no width
    assert told["lightgbm"]["mode"] == "boosted"


def test_a_member_may_be_named() -> None:
    told = configs(resolve("auto", {"graph.training.epochs": "3", "lightgbm.trees": "5"}))
    assert told["graph"]["training"]["epochs"] == 3
    assert told["fingerprint"]["training"]["epochs"] == 30
    assert (told["lightgbm"]["trees"], told["extra-trees"]["trees"]) == (
        5,
        RECIPES["auto"].members["extra-trees"]["config"]["trees"],
    )


@pytest.mark.parametrize("name", ["graph+smiles", "fusion"])
def test_the_network_of_one_view_may_be_another_whatever_the_order(name: str) -> None:
    wanted = {"encoder": "lstm", "width": 64}
    for keys in (
        ("encoder.smiles.encoder", "encoder.smiles.width"),
        ("encoder.smiles.width", "encoder.smiles.encoder"),
    ):
        values = {"encoder.smiles.encoder": "lstm", "encoder.smiles.width": "64"}
        told = configs(resolve(name, {key: values[key] for key in keys}))["fusion"]["encoder_config"]["branches"]
        assert told["smiles"] == wanted
    with pytest.raises(UserError, match="There is no encoder of the smiles view named 'mpnn'"):
        resolve(name, {"encoder.smiles.encoder": "mpnn"})


def test_the_table_is_never_changed() -> None:
    before = deepcopy(RECIPES)
    resolve("auto", {"trees": "7", "training.epochs": "3", "encoder.width": "16", "folds": "2"})
    assert before == RECIPES


def test_folds() -> None:
    assert resolve("auto", {"folds": "2"}).folds == 2
    assert resolve("auto", {"folds": "0"}).folds == 0
    for text in ("1", "-1", "two", "2.5", "true", ""):
        with pytest.raises(UserError, match=f"--set folds={text}"):
            resolve("auto", {"folds": text})


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("depht", "4", "--set depht: no member has such a setting. Did you mean 'encoder.depth'?"),
        ("training.epoch", "4", "Did you mean 'training.epochs'?"),
        ("encoder.widht", "4", "Did you mean 'encoder.width"),
        ("training", "5", "--set training: no member"),
        ("graph", "5", "--set graph: no member"),
        ("encoder_config", "5", "--set encoder_config: no member"),
        ("encoder.width.x", "5", "--set encoder.width.x: no member"),
        ("", "5", "--set : no member"),
        ("training.seed", "5", "no member has such a setting"),
        ("head.targets", "5", "no member has such a setting"),
        ("kind", "trees", "no member has such a setting"),
        ("training.epochs", "many", "The setting training.epochs is 'many'; it must be a whole number"),
        ("graph.training.epochs", "2.5", "The setting graph.training.epochs is 2.5; it must be a whole number"),
        ("encoder.widths", "abc", "The setting encoder.widths is 'abc'; it must be whole numbers, such as 300 or 300"),
        ("fingerprint.head.widths", "9,2.5", "head.widths is '9,2.5'; it must be whole numbers, such as 300 or 300"),
        ("training.epochs", "true", "epochs is True; it must be a whole number"),
        ("training.peak", "high", "peak is 'high'; it must be a number"),
        ("training.epochs", "0", "epochs ≥ 1"),
        ("training.optimizer", "adamm", "Did you mean 'adam'"),
        ("encoder.descriptors", "1", "descriptors is 1; it must be true or false"),
        ("encoder.widths", "0", "widths ≥ 1"),
        ("encoder.readout", "max", "max"),
        ("encoder", "perceiver", "There is no encoder named 'perceiver'"),
        ("head.dropout", "1.5", "dropout in [0, 1)"),
    ],
)
def test_wrong_settings_are_told(key: str, text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        resolve("auto", {key: text})
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("key", "text"),
    [("trees", "0"), ("mode", "deep"), ("cost", "-1"), ("machine", "tree"), ("largest", "2")],
)
def test_wrong_settings_of_classical_members_are_told(key: str, text: str) -> None:
    specs = resolve("baseline", {key: text}).members.values()
    wrong = [spec for spec in specs if key in spec["config"]]
    assert wrong
    for spec in wrong:
        with pytest.raises(UserError):
            config_of(spec["kind"], spec["config"])


def test_an_unknown_recipe_is_told() -> None:
    with pytest.raises(UserError, match=r"no recipe named 'grph'\. Did you mean 'graph'\? Choose from: auto, auto-"):
        resolve("grph", {})


def test_numbers_exactly() -> None:
    assert [number(text) for text in ("3", "-1", "0.5", "1e-3", "true", "False", "mpnn", "")] == [
        3, -1, 0.5, 1e-3, True, False, "mpnn", "",
    ]  # fmt: skip


def test_every_key_that_is_offered_works() -> None:
    for name, recipe in RECIPES.items():
        for member, spec in recipe.members.items():
            for path, (place, _) in paths(spec).items():
                default = reduce(getitem, place[:-1], spec["config"]).get(place[-1])
                if default is not None:
                    resolve(name, {f"{member}.{'.'.join(path)}": str(default)})


@dataclass(frozen=True)
class Example:
    count: int = 1
    share: float = 0.5
    on: bool = False
    name: str = "a"
    widths: tuple[int, ...] = (1,)


def test_configs_from_names_and_values_exactly() -> None:
    told = configured(Example, {"count": 2, "share": 1, "on": True, "name": "b", "widths": [3, 4]})
    assert told == Example(2, 1.0, True, "b", (3, 4))
    assert isinstance(told.share, float)
    assert configured(Example, {}) == Example()
    assert [configured(Example, {"widths": w}).widths for w in (5, "5,6", "(5, 6)", "[]")] == [(5,), (5, 6), (5, 6), ()]


@pytest.mark.parametrize(
    "wrong",
    [{"cuont": 1}, {"count": 1.0}, {"count": "1"}, {"count": None}, {"share": "x"}, {"share": True}, {"on": 0},
     {"name": 1}, {"widths": [1.5]}, {"widths": "a"}, {"widths": {"a": 1}}],
    ids=str,
)  # fmt: skip
def test_configs_refuse_what_is_of_another_kind(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        configured(Example, wrong)


def test_views_with_a_plus_are_joined() -> None:
    recipe = resolve(
        "conformer+graph", {"encoder.graph.depth": "2", "encoder.join": "gated", "views.conformer.count": "3"}
    )
    config = recipe.members["fusion"]["config"]
    assert list(config["encoder_config"]["branches"]) == ["graph", "conformer"]  # in the order of VIEWS
    assert config["encoder_config"]["branches"]["graph"]["depth"] == 2
    assert config["encoder_config"]["join"] == "gated"
    assert recipe.settings()["conformer"] == ConformerSettings(count=3)
    assert config_of("neural", config).views == ("graph", "conformer")
    assert RECIPES["fusion"].members["fusion"]["config"]["encoder_config"]["branches"]["graph"]["depth"] == 3


def test_a_plus_in_a_path_makes_no_recipe() -> None:
    assert is_recipe("auto")
    assert is_recipe("graph+conformer")
    assert is_recipe("graph+conformr")  # so that the wrong view is told
    assert not is_recipe("probe:models/a+b")
    assert not is_recipe("lightgbm")


@pytest.mark.parametrize(
    ("name", "millions"),
    [("fp-mlp", 1.97), ("mpnn", 1.59), ("egnn", 1.92), ("mpnn-fp", 3.56), ("egnn-fp", 3.96), ("egnn-mpnn", 3.45)],
)
def test_published_rows_have_the_published_sizes(name: str, millions: float) -> None:
    """Figure 2 of the study "combining modalities"."""
    (spec,) = RECIPES[f"study001-{name}"].members.values()
    config = config_of("neural", spec["config"])
    assert isinstance(config, NeuralConfig)
    network = build(config, Problem("regression", ("G",)), 0)
    assert abs(sum(part.numel() for part in network.parameters()) / 1e6 - millions) < 0.011


@pytest.mark.parametrize(
    ("name", "key", "text", "says"),
    [
        ("graph+tree", "", "", "There is no view named 'tree'"),
        ("graph+graph", "", "", "names a view twice"),
        ("graph+", "", "", "There is no view named ''"),
        ("graph+smiles", "encoder.graph.dept", "2", "Did you mean 'encoder.graph.depth'"),
        ("graph+smiles", "encoder.graph.depth", "x", "must be a whole number"),
        ("graph+smiles", "encoder.branches", "x", "no member has such a setting"),
        ("graph+smiles", "encoder.join", "sum", "There is no fusion named 'sum'"),
        ("conformer", "views.conformer.count", "0", "count=0 conformers is out of range"),
        ("conformer", "views.conformer.size", "0", "the conformer view has no setting 'size'. Choose from: count"),
        ("graph", "views.graph.size", "0", "the graph view has no setting 'size'. It has none."),
        ("graph", "views.tree.size", "0", "There is no view named 'tree'"),
    ],
)
def test_wrong_joins_are_told(name: str, key: str, text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        resolve(name, {key: text} if key else {})
    assert says in str(error.value)


@pytest.mark.parametrize("kind", [kind for kind in MEMBERS if kind not in NETWORKS])
def test_settings_of_classical_members_are_those_of_their_configs(kind: str) -> None:
    config: Any = next(one.type for one in fields(MEMBERS[kind]) if one.name == "config")  # type: ignore[arg-type]
    hints = get_type_hints(config)
    assert {one.name: hints[one.name] for one in fields(config)} == CLASSICAL[kind]


def test_a_setting_that_a_recipe_does_not_name_is_one() -> None:
    members = resolve("auto", {"lightgbm.trend": "true", "trees": "20"}).members
    assert members["lightgbm"]["config"] == {"mode": "boosted", "trees": 20, "trend": True}
    assert members["extra-trees"]["config"]["trees"] == 20
    with pytest.raises(UserError, match=r"lightgbm\.trees is 'x'; it must be a whole number"):
        resolve("auto", {"lightgbm.trees": "x"})

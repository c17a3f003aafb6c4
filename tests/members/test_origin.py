"""Weights to start from: which fit where, what is told when none do, and that they are what a network begins with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tetramer.checkpoint import pack, read_folder, write_folder
from tetramer.encoders import BRANCHES
from tetramer.errors import UserError
from tetramer.members.base import REGRESSION, Problem
from tetramer.members.neural import Neural, NeuralConfig, build, start, train
from tetramer.members.origin import Origin, Source, origin_of, raw, read_origin, together
from tetramer.modelling import Options, origin_for
from tetramer.recipes import RECIPES, resolve
from tetramer.training import Data, TrainConfig
from tetramer.views.smiles import VOCABULARY_HASH

SIZES: dict[str, dict[str, Any]] = {
    "mlp": {"widths": [16]},
    "transformer": {"width": 16, "depth": 1, "heads": 2},
    "lstm": {"width": 16, "depth": 1, "embedding": 8},
    "schnet": {"width": 16, "depth": 1, "filters": 8},
}
PROBLEM = Problem(REGRESSION, ("y",))
ROWS = np.arange(60)


def settings_of(kind: str) -> dict[str, Any]:
    return SIZES.get(kind, {"width": 16, "depth": 1})


def source(kind: str, settings: dict[str, Any] | None = None, seed: int = 0) -> Source:
    torch.manual_seed(seed)
    settings = settings_of(kind) if settings is None else settings
    arrays = {name: value.numpy() for name, value in raw(kind, settings).state_dict().items()}
    return Source(kind, kind, settings, arrays)


def origin(*sources: Source, kind: str = "encoder") -> Origin:
    return Origin("there", kind, sources)


PAIRS = [(view, kind) for view, kinds in BRANCHES.items() for kind in kinds]


@pytest.mark.parametrize(("view", "kind"), PAIRS)
def test_an_encoder_fits_one_of_its_kind_and_shape_alone_or_as_a_branch(view: str, kind: str) -> None:
    held = origin(source(kind))
    assert list(held.fitting(kind, settings_of(kind))) == [""]
    other = "graph" if view != "graph" else "smiles"
    branches = {view: settings_of(kind) | {"encoder": kind}, other: {}}
    assert list(held.fitting("fusion", {"branches": branches})) == [f"branches.{view}"]
    assert held.fitting("mpnn", {"width": 24, "depth": 1}) == {}
    fusion = origin(source("fusion", {"branches": branches}))  # and back: a branch fits an encoder, and a fusion itself
    assert fusion.fitting(kind, settings_of(kind))[""].name == f"fusion, {view}"
    assert list(fusion.fitting("fusion", {"branches": branches})) == [""]
    joined = {"branches": branches, "join": "gated", "width": 16}
    assert set(fusion.fitting("fusion", joined)) == {f"branches.{view}", f"branches.{other}"}


@pytest.mark.parametrize(("view", "kind"), PAIRS)
def test_the_recipe_that_is_recommended_fits(view: str, kind: str) -> None:
    words = source(kind).recipe.split()
    pairs = [word.partition("=") for word in words[3::2]]
    told = resolve(words[1], {key: value for key, _, value in pairs})
    assert words[0] == "--recipe"
    assert set(words[2::2]) <= {"--set"}
    assert origin(source(kind)).matched(words[1], told.networks)


def test_the_network_begins_with_the_very_weights_and_nothing_else_does() -> None:
    held = source("lstm", seed=3)
    for kind, settings, place in (
        ("lstm", SIZES["lstm"], "encoder."),
        ("fusion", {"branches": {"graph": {"width": 8}, "smiles": SIZES["lstm"] | {"encoder": "lstm"}}}, "b"),
    ):
        prefix = place if place == "encoder." else "encoder.branches.smiles."
        config = NeuralConfig(kind, settings, {"widths": [8]}, TrainConfig())
        network = build(config, PROBLEM, 0)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        for where, one in origin(held).fitting(kind, settings).items():
            one.put(network.encoder.get_submodule(where))
        for name, value in network.state_dict().items():
            wanted = held.arrays.get(name.removeprefix(prefix)) if name.startswith(prefix) else None
            assert torch.equal(value, before[name] if wanted is None else torch.from_numpy(wanted)), name


def test_the_number_of_heads_decides_what_the_weights_mean() -> None:
    """No shape tells it."""
    held, other = origin(source("transformer")), SIZES["transformer"] | {"heads": 4}
    assert held.fitting("transformer", SIZES["transformer"] | {"dropout": 0.3, "pooling": "last"})
    assert not held.fitting("transformer", other)
    assert not held.fitting("transformer", SIZES["transformer"] | {"causal": True})
    branches = {"graph": settings_of("mpnn"), "smiles": SIZES["transformer"]}
    fusion = origin(source("fusion", {"branches": branches}))
    assert list(fusion.fitting("fusion", {"branches": branches})) == [""]
    assert list(fusion.fitting("fusion", {"branches": branches | {"smiles": other}})) == ["branches.graph"]
    with pytest.raises(UserError, match=r"--set encoder\.heads=2"):
        held.matched("smiles", {"smiles": {"encoder": "transformer", "encoder_config": other}})


@pytest.fixture
def data(features: dict[str, Any]) -> Data:
    values = features["fingerprint"].elements[:, [8]].astype(np.float64)
    return Data(features, values, np.zeros((80, 1), np.int8), np.ones(80))


def config(share: float, **training: Any) -> NeuralConfig:
    plain = {"epochs": 2, "batch": 16, "pretrained": share}
    return NeuralConfig("lstm", SIZES["lstm"], {"widths": [8]}, TrainConfig(**(plain | training)))


def encoder_of(member: Neural) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in member.network.encoder.state_dict().items()}


def test_frozen_weights_are_those_that_were_given_and_others_have_moved(data: Data) -> None:
    held = source("lstm", seed=3)
    given = {name: value.tobytes() for name, value in held.arrays.items()}
    frozen = train(config(0.0, ema=0.9), PROBLEM, data, ROWS, None, origin=origin(held))
    assert encoder_of(frozen) == given
    moved = encoder_of(train(config(0.1), PROBLEM, data, ROWS, None, origin=origin(held)))
    assert all(moved[name] != given[name] for name in given)
    plain = encoder_of(train(config(0.1), PROBLEM, data, ROWS, None))
    assert all(plain[name] != moved[name] for name in given)


def test_statistics_come_with_the_weights(data: Data) -> None:
    """The quantiles of a fingerprint network belong to its weights: those of the training rows would not fit them."""
    settings = SIZES["mlp"]
    first = NeuralConfig("mlp", settings, {"widths": [8]}, TrainConfig(epochs=1))
    member = train(first, PROBLEM, data, np.arange(20), None)
    arrays = {name: value.numpy() for name, value in member.network.encoder.state_dict().items()}
    run = start(first, PROBLEM, data, ROWS, origin(Source("mlp", "mlp", settings, arrays)))
    assert any("knots" in name or value.dtype.kind != "f" or value.size for name, value in arrays.items())
    for name, value in run.objective.encoder.state_dict().items():
        assert value.numpy().tobytes() == arrays[name].tobytes()


def test_other_weights_are_another_work(data: Data, tmp_path: Path) -> None:
    """What a run left in its folder is not gone on with from other weights."""
    alone = train(config(0.1), PROBLEM, data, ROWS, None, origin=origin(source("lstm", seed=4)))
    for seed in (3, 4):
        again = train(config(0.1), PROBLEM, data, ROWS, None, tmp_path, origin=origin(source("lstm", seed=seed)))
    assert encoder_of(again) == encoder_of(alone)
    assert origin(source("lstm", seed=3)).sha256 != origin(source("lstm", seed=4)).sha256
    assert origin(source("lstm", seed=3)).sha256 == origin(source("lstm", seed=3)).sha256


def test_written_down_for_workers_and_read_again() -> None:
    held = origin(source("lstm"), source("mpnn"), kind="model")
    card, files = held.files()
    again = Origin.from_files(json.loads(json.dumps(card)), files)
    assert (again.name, again.kind, again.sha256) == ("there", "model", held.sha256)


def folder(path: Path, kind: str, card: dict[str, Any] | None = None, **config: Any) -> Path:
    """An encoder's folder, as `tetramer pretrain` writes it."""
    held = source(kind)
    network = {"encoder": kind, "encoder_config": held.settings} | config
    files = {
        "members/m/card.json": json.dumps({"kind": "pretraining", "member": {"config": network}}).encode(),
        "members/m/model.safetensors": pack({f"encoder.{n}": v for n, v in held.arrays.items()} | {"head.x": ROWS}),
    }
    write_folder(path, {"kind": "encoder", "members": ["m"], "vocabulary": VOCABULARY_HASH} | (card or {}), files)
    return path


def test_a_folder_gives_its_encoder_and_not_its_head(tmp_path: Path) -> None:
    held = read_origin(folder(tmp_path / "e", "lstm"))
    (one,) = held.sources
    assert (held.name, held.kind, one.encoder) == ("e", "encoder", "lstm")
    assert set(one.arrays) == set(source("lstm").arrays)


def test_other_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"e was made with other tokens of SMILES than this version has\."):
        read_origin(folder(tmp_path / "e", "lstm", {"vocabulary": "0" * 64}))


def test_folders_that_hold_no_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no model at"):
        read_origin(tmp_path / "nowhere")
    write_folder(tmp_path / "bare", {"kind": "model"}, {})
    with pytest.raises(UserError, match="is not whole: its card or a file lacks 'members'"):
        read_origin(tmp_path / "bare")
    write_folder(tmp_path / "trees", {"members": ["a.all-0"]}, {"members/a.all-0/card.json": b'{"member": {}}'})
    with pytest.raises(UserError, match="has no network whose weights could be taken"):
        read_origin(tmp_path / "trees")
    with pytest.raises(UserError, match="no encoder named 'rnn'"):
        read_origin(folder(tmp_path / "rnn", "lstm", encoder="rnn"))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    card, files = read_folder(folder(tmp_path / "e", "lstm"))
    arrays = {f"encoder.{name}": value * np.nan for name, value in source("lstm").arrays.items()}
    with pytest.raises(UserError, match="not finite"):
        origin_of(tmp_path, card, files | {"members/m/model.safetensors": pack(arrays)})


def test_weights_of_another_shape_than_the_card_says_make_no_encoder(tmp_path: Path) -> None:
    (one,) = read_origin(folder(tmp_path / "e", "lstm", encoder_config={"width": 24, "depth": 1})).sources
    with pytest.raises(UserError, match="do not fit the encoder of its card"):
        one.made()


def test_nothing_fits_and_what_would_is_told() -> None:
    held = origin(source("lstm"))
    with pytest.raises(UserError) as error:
        held.matched("graph", RECIPES["graph"].networks)
    wanted = "--recipe smiles --set encoder=lstm --set encoder.width=16 --set encoder.depth=1 --set encoder.embedding=8"
    assert str(error.value) == (
        "there holds lstm (lstm), and no network of --recipe graph has an encoder of that kind and shape. "
        f"These would fit: {wanted}."
    )
    with pytest.raises(UserError, match="no network of --recipe baseline"):
        held.matched("baseline", {})
    assert held.matched("x", {"a": {"encoder": "lstm", "encoder_config": SIZES["lstm"]}}) == [
        "The network a begins with 5 arrays of lstm from there."
    ]


def test_every_branch_may_begin_with_weights_of_its_own_folder() -> None:
    graph, places = source("mpnn"), source("painn", seed=1)
    both = together([Origin("g", "encoder", (graph,)), Origin("c", "model", (places,))])
    branches = {"branches": {"graph": settings_of("mpnn"), "conformer": settings_of("painn")}}
    config = {"fusion": {"encoder": "fusion", "encoder_config": branches}}
    assert both.matched("graph+conformer", config) == [
        f"The network branch graph of fusion begins with {len(graph.arrays)} arrays of mpnn from g.",
        f"The network branch conformer of fusion begins with {len(places.arrays)} arrays of painn from c.",
    ]
    assert (both.name, both.kind) == ("g and c", "model")
    network = build(NeuralConfig("fusion", branches, {"widths": [8]}, TrainConfig()), PROBLEM, 0)
    for where, one in both.fitting("fusion", branches).items():
        one.put(network.encoder.get_submodule(where))
    for prefix, held in (("graph", graph), ("conformer", places)):
        for name, value in held.arrays.items():
            assert np.array_equal(network.state_dict()[f"encoder.branches.{prefix}.{name}"].numpy(), value)
    assert Origin.from_files(*both.files()).sha256 == both.sha256
    alone = Origin("g", "encoder", (graph,))
    assert together([alone]) is alone
    with pytest.raises(UserError, match="--from h gives nothing"):
        together([alone, Origin("h", "encoder", (source("mpnn", seed=2),))]).matched("graph+conformer", config)


def test_folders_are_read_together_and_each_must_fit(tmp_path: Path) -> None:
    held = [folder(tmp_path / kind, kind, encoder_config=settings_of(kind)) for kind in ("mpnn", "painn", "lstm")]
    small = {"width": "16", "depth": "1"}
    sizes = {f"encoder.{view}.{name}": size for view in ("graph", "conformer") for name, size in small.items()}
    recipe = resolve("graph+conformer", sizes)
    whole = origin_for(Options("graph+conformer", start=tuple(held[:2])), recipe)
    assert whole is not None
    assert (whole.name, [one.folder for one in whole.sources]) == ("mpnn and painn", ["mpnn", "painn"])
    assert origin_for(Options("graph+conformer"), recipe) is None
    with pytest.raises(UserError, match="lstm holds lstm"):
        origin_for(Options("graph+conformer", start=(held[0], held[2])), recipe)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("mpnn", {"aggregation": "mean"}),
        ("painn", {"cutoff": 4.0}),
        ("schnet", {"cutoff": 4.0}),
        ("egnn", {"cutoff": 4.0}),
        ("mlp", {"binary": True}),
    ],
)
def test_weights_that_mean_something_else_do_not_fit(kind: str, other: dict[str, Any]) -> None:
    held = origin(source(kind))
    assert held.fitting(kind, settings_of(kind))
    assert not held.fitting(kind, settings_of(kind) | other)

"""Pretraining: it learns, exact small answers, the same weights after any stop, and a folder that gives vectors."""

import json
import os
import signal
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tetramer import Embedder, Regressor
from tetramer.checkpoint import read_folder, unpack
from tetramer.corpora import read_molecules
from tetramer.corpus_parts import held_back
from tetramer.encoders import ENCODERS
from tetramer.errors import Stopped, UserError
from tetramer.inference import Model, load_embedder
from tetramer.members.origin import read_origin
from tetramer.molecules import Limits
from tetramer.objectives import OBJECTIVES
from tetramer.pretraining import METHODS, Options, Result, built, pretrain, resolve, start
from tetramer.resuming import Log
from tetramer.settings import configured
from tetramer.training import Data, TrainConfig, mix
from tetramer.validation import judge, score, sentences
from tetramer.views import Reader, read
from tetramer.views.graph import GraphFeatures, atom_counts
from tetramer.views.smiles import VOCABULARY, VOCABULARY_HASH, SmilesSettings

SMALL = {"encoder.width": "16", "encoder.depth": "1", "encoder.embedding": "8"}
QUICK = SMALL | {"training.epochs": "3"}
HERE = Limits(0)


TINY = {"encoder.width": "16", "encoder.depth": "1", "encoder.heads": "2", "objective.depth": "1"}
SWIFT = {"smiles-lstm": QUICK, "smiles-transformer": TINY | {"training.epochs": "3", "views.smiles.variants": "2"}}
every_kind = pytest.mark.parametrize("method", SWIFT)


def made(
    texts: list[str],
    parts: Path,
    overrides: dict[str, str] | None = None,
    seed: int = 0,
    method: str = "smiles-lstm",
    **more: Any,
) -> Result:
    told = SWIFT[method] if overrides is None else overrides
    return pretrain(texts, "corpus.smi", Options(method, told, seed, limits=HERE), parts, **more)


@pytest.mark.parametrize("name", METHODS)
def test_the_table_is_plain_data_that_can_be_built(name: str) -> None:
    method = METHODS[name]
    assert method.about
    assert method.objective in OBJECTIVES
    kind: Any = ENCODERS[method.encoder]
    assert configured(kind.Config, method.encoder_config).width
    assert configured(TrainConfig, method.training).epochs
    assert resolve(name, {}) == method


def test_the_lstm_is_the_studys() -> None:
    method = METHODS["smiles-lstm"]
    kind: Any = ENCODERS[method.encoder]
    config = configured(kind.Config, method.encoder_config)
    assert (config.depth, config.width) == (3, 256)
    assert method.views == {}  # canonical SMILES


def test_settings_reach_the_method_and_wrong_ones_are_told() -> None:
    told = resolve("smiles-lstm", QUICK | {"views.smiles.variants": "4", "training.peak": "0.01"})
    assert (told.encoder_config["width"], told.training["epochs"], told.training["peak"]) == (16, 3, 0.01)
    assert told.views == {"smiles": {"variants": 4}}
    assert METHODS["smiles-lstm"].views == {}
    for key, says in (("epochs", "Did you mean 'training.epochs'"), ("folds", "no member"), ("head.widths", "no mem")):
        with pytest.raises(UserError, match=says) as error:
            resolve("smiles-lstm", {key: "2"})
        assert "folds" not in str(error.value).partition("Settings are")[2]
    with pytest.raises(UserError, match="There is no method of pretraining named 'lstm'"):
        resolve("lstm", {})
    with pytest.raises(UserError, match=r"--seed -1 is out of range\. Choose 0 to 9999999\."):
        Options(seed=-1)


TAUGHT = {
    "next-token": {"lstm", "transformer"},
    "translate": {"transformer"},
    "reaction": {"mpnn", "tag", "gin", "combining-mpnn"},
    "motif": {"mpnn", "tag", "gin", "combining-mpnn"},
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", METHODS)
def test_every_encoder_is_taught_or_refused_in_words(name: str, encoder: str) -> None:
    method, settings = METHODS[name], {"encoder": encoder}
    if (method.objective, encoder) == ("next-token", "transformer"):
        with pytest.raises(UserError, match="Set causal=True"):
            resolve(name, settings)
        settings["encoder.causal"] = "true"
    if encoder not in TAUGHT[method.objective]:
        with pytest.raises(UserError, match=f"{name} cannot teach the encoder '{encoder}'. Choose one of: "):
            resolve(name, settings)
        with pytest.raises(UserError, match=r"cannot teach|There is no"):
            resolve(name, {f"{name}.encoder": encoder})
        return
    told = resolve(name, settings | {"encoder.width": "32"})
    assert (told.encoder, told.encoder_config["width"]) == (encoder, 32)
    assert set(told.encoder_config) <= {*method.encoder_config, "width", "causal"}
    assert method.encoder == METHODS[name].encoder
    assert built(told).encoder.width >= 32


def test_an_encoder_is_named_in_words() -> None:
    with pytest.raises(UserError, match=r"no encoder named 'gim'\. Did you mean 'gin'\?"):
        resolve("molr", {"encoder": "gim"})
    with pytest.raises(UserError, match="The setting encoder is 5; it must be a word"):
        resolve("molr", {"encoder": "5"})
    assert resolve("molr", {"encoder.layer": "gat", "encoder": "tag"}).encoder_config == {
        "width": 256,
        "depth": 3,
        "layer": "gat",
    }


def test_the_isomorphism_network_is_pretrained_and_begun_with(smiles: list[str], tmp_path: Path) -> None:
    told = made(smiles, tmp_path / "parts", {"encoder": "gin"} | GRAPHS, method="motif")
    told.save(tmp_path / "e")
    assert told.card["method_config"]["encoder"] == "gin"
    assert told.recipe.startswith("--recipe graph --set encoder=gin --set encoder.width=16")
    settings = dict(word.split("=") for word in told.recipe.split()[3::2]) | SHORT
    fitted = Regressor("graph", workers=0, settings=settings, start=tmp_path / "e")
    fitted.fit(smiles, [float(len(text)) for text in smiles])
    assert any("arrays of gin from e" in note for note in fitted.model_.card["notes"])


def test_one_string_is_learned_by_heart(tmp_path: Path) -> None:
    """After BEGIN every token of it is certain."""
    said: list[str] = []
    fast = SMALL | {"training.epochs": "60", "training.peak": "0.03", "encoder.dropout": "0"}
    card = made(["OC=C"] * 12, tmp_path, fast, say=said.append).card
    assert card["validation"]["accuracy"] == 1
    assert card["validation"]["perplexity"] < 1.02
    assert card["validation"]["tokens"] == 12 * 5
    assert card["corpus"]["molecules"] == 1
    assert said[0] == (
        "1 molecule in 12 rows; too few to hold any back, so the weights are judged on what they learned from."
    )


def test_it_learns_more_than_it_began_with(smiles: list[str], tmp_path: Path) -> None:
    """An untrained network knows nothing: its loss is that of equal chances for all tokens."""
    overrides = SMALL | {"training.epochs": "30", "training.peak": "0.01"}
    card = made(smiles, tmp_path, overrides).card
    method, features = resolve("smiles-lstm", overrides), read(smiles, ["smiles"], limits=HERE).features
    run = start(method, TrainConfig(), Data(features), np.arange(80))
    untrained = score(run.objective, Data(features), np.arange(80), TrainConfig())
    assert untrained["loss"] == pytest.approx(log(len(VOCABULARY)), abs=0.05)
    assert card["validation"]["loss"] < 0.6 * untrained["loss"]
    assert card["validation"]["perplexity"] == pytest.approx(exp(card["validation"]["loss"]))
    assert (card["fit_rows"], card["validation"]["rows"], card["validation"]["seen"]) == (76, 4, False)


def test_a_fresh_network_has_the_weights_that_it_was_drawn_with(smiles: list[str], tmp_path: Path) -> None:
    options = Options("motif", {"encoder.width": "16", "encoder.depth": "1"}, 3, limits=HERE, fresh=True)
    told = pretrain(smiles, "corpus.smi", options, tmp_path)
    assert told.card["steps"] == 0
    kind: Any = ENCODERS["mpnn"]
    torch.manual_seed(mix(3, 3))
    drawn = kind(configured(kind.Config, told.network["encoder_config"])).state_dict()
    found = unpack(told.weights, "model.safetensors")
    assert all(np.array_equal(found[f"encoder.{name}"], value.numpy()) for name, value in drawn.items())


def test_the_score_is_a_mean_over_tokens_whatever_the_batch(
    smiles: list[str], features: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = resolve("smiles-lstm", QUICK)
    run = start(method, TrainConfig(), Data(features), np.arange(80))
    whole = score(run.objective, Data(features), np.arange(80), TrainConfig())
    monkeypatch.setattr("tetramer.validation.BATCH", 7)
    parts = score(run.objective, Data(features), np.arange(80), TrainConfig())
    assert parts == pytest.approx(whole, rel=1e-5)


def spelled(smiles: list[str], variants: int = 2) -> Data:
    """The molecules with other spellings."""
    with Reader(limits=HERE, settings={"smiles": SmilesSettings(variants)}) as reader:
        return Data(reader.read(smiles, ["smiles"]).features)


def test_every_kind_of_token_is_scored_by_its_own_count(smiles: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of a translation is that of its tokens and of the masked ones."""
    monkeypatch.setattr("tetramer.validation.BATCH", 30)
    data, config = spelled(smiles), TrainConfig(seed=3)
    run = start(resolve("smiles-transformer", TINY), config, data, np.arange(80))
    told, rows = (
        score(run.objective, data, np.arange(80), config),
        [np.arange(30), np.arange(30, 60), np.arange(60, 80)],
    )
    with torch.no_grad():
        parts = [
            run.objective.loss(
                data.sample(part, ("smiles",), others=("smiles",)),
                torch.Generator().manual_seed(mix(3, int(part[0]), 2)),
            ).parts
            for part in rows
        ]
    for kind in ("", "masked_"):
        counts = np.array([float(part[f"{kind}tokens"]) for part in parts])
        costs = np.log([float(part[f"{kind}perplexity"]) for part in parts])
        rights = np.array([float(part[f"{kind}accuracy"]) for part in parts])
        assert told[f"{kind}tokens"] == counts.sum()
        assert told[f"{kind}perplexity"] == pytest.approx(exp((counts * costs).sum() / counts.sum()))
        assert told[f"{kind}accuracy"] == pytest.approx((counts * rights).sum() / counts.sum())
    assert told == score(run.objective, data, np.arange(80), config)  # what is masked is always the same


def test_as_many_molecules_as_are_asked_are_judged(smiles: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked, answers = spelled(smiles), [], iter([0.5, 1.0, 0.0])
    run = start(resolve("smiles-transformer", TINY), TrainConfig(), data, np.arange(80))

    def answer(sample: Any) -> dict[str, float]:
        asked.append(sample.views["smiles"].size)
        return {"round_trip": next(answers)}

    monkeypatch.setattr("tetramer.validation.BATCH", 20)
    monkeypatch.setattr("tetramer.validation.JUDGED", 50)
    monkeypatch.setattr(run.objective, "judge", answer)
    told = judge(run.objective, data, np.arange(80), TrainConfig())
    assert told == {"round_trip": pytest.approx(0.6), "judged": 50}
    assert asked == [20, 20, 10]
    lstm = start(resolve("smiles-lstm", QUICK), TrainConfig(), data, np.arange(80))
    assert judge(lstm.objective, data, np.arange(80), TrainConfig()) == {}


def test_molecules_are_held_back_not_rows() -> None:
    texts = [f"m{k % 50}" for k in range(120)]
    train, valid, told = held_back(texts, np.arange(120), 0)
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(120))
    there, away = {texts[row] for row in train}, {texts[row] for row in valid}
    assert (len(there), len(away), there & away) == (48, 2, set())
    assert told == "50 molecules in 120 rows; 2 of them are held back to choose the weights."
    assert not np.array_equal(held_back(texts, np.arange(120), 1)[1], valid)
    assert np.array_equal(held_back(texts, np.arange(120), 0)[1], valid)


def test_rows_that_cannot_be_read_are_counted_and_told(smiles: list[str], tmp_path: Path) -> None:
    said: list[str] = []
    bad = ["C1CC", "", "C O", "C" * 600]
    told = made([*bad, *smiles], tmp_path, say=said.append)
    assert said[0] == (
        "4 of 84 structures cannot be read and are left out (1 CONTROL_CHAR, 1 EMPTY, 1 PARSE and 1 TOO_LONG)."
    )
    assert told.card["corpus"]["codes"] == {"CONTROL_CHAR": 1, "EMPTY": 1, "PARSE": 1, "TOO_LONG": 1, "ok": 80}
    assert told.card["corpus"]["rows"] == 84
    for texts in ([], bad * 5, smiles[:9]):
        with pytest.raises(UserError, match=r"\d structures of the corpus can be read; at least 10 are needed"):
            made(texts, tmp_path / str(len(texts)))


@pytest.mark.parametrize(
    ("method", "number"),
    [("smiles-lstm", signal.SIGTERM), ("smiles-lstm", signal.SIGINT), ("smiles-transformer", signal.SIGTERM)],
)
def test_stopped_at_every_third_step_and_started_again(
    smiles: list[str], tmp_path: Path, method: str, number: signal.Signals
) -> None:
    whole = made(smiles, tmp_path / "whole", method=method)
    shares: list[float] = []
    said: list[str] = []

    def progress(name: str, share: float) -> None:
        if name == method:
            shares.append(round(12 * share))
            if shares[-1] % 3 == 0 and shares[-1] < 12:
                os.kill(os.getpid(), number)

    for _ in range(3):
        with pytest.raises(Stopped) as stopped:
            made(smiles, tmp_path / "parts", method=method, progress=progress, say=said.append)
        assert stopped.value.signal == number
    again = made(smiles, tmp_path / "parts", method=method, progress=progress, say=said.append)
    assert shares == list(range(1, 13))  # no step was done twice
    assert sum(text.startswith("Going on with the unfinished run") for text in said) == 3
    assert again.weights == whole.weights
    assert without_seconds(again) == without_seconds(whole)
    assert len(whole.card["curve"]) == 3


def without_seconds(told: Result) -> dict[str, Any]:
    """The card but for what differs from run to run."""
    return {name: value for name, value in told.card.items() if name != "training_seconds"}


def test_every_epoch_is_said_and_kept(smiles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses by hand: the mean over the steps of an epoch, and the best so far."""
    losses, scores = iter([4.0, 2.0, 3.0, 1.0, 1.0, 1.0]), iter([3.0, 2.5, 2.75])

    def steps(run: Any, *_: object) -> Any:
        for step in range(1, 7):
            run.step = step
            row = {"step": step, "steps": 6, "epoch": (step - 1) // 2, "loss": next(losses)}
            yield row if step % 2 else row | {"valid": next(scores)}

    monkeypatch.setattr("tetramer.resuming.fit", steps)
    said: list[str] = []
    card = made(smiles, tmp_path, say=said.append).card
    assert said[1:] == [
        "smiles-lstm, epoch 1 of 3: loss 3, validation 3; the best so far.",
        "smiles-lstm, epoch 2 of 3: loss 2, validation 2.5; the best so far.",
        "smiles-lstm, epoch 3 of 3: loss 1, validation 2.75; best 2.5 in epoch 2.",
    ]
    assert card["curve"] == [
        {"epoch": 1, "loss": 3, "validation": 3},
        {"epoch": 2, "loss": 2, "validation": 2.5},
        {"epoch": 3, "loss": 1, "validation": 2.75},
    ]


def test_the_score_that_is_kept_is_the_best_of_the_curve(smiles: list[str], tmp_path: Path) -> None:
    card = made(smiles, tmp_path).card
    assert min(row["validation"] for row in card["curve"]) == pytest.approx(card["validation"]["loss"], rel=1e-5)
    assert 0 <= card["training_seconds"]["wall"] < 60


def test_a_log_goes_on_behind_the_step_that_stands(tmp_path: Path) -> None:
    """Lines of steps that are lost, and one that was cut short, are no part of it; seconds are those of all runs."""
    path = tmp_path / "log.jsonl"
    told = [{"step": step, "epoch": 0, "loss": 1.0, "wall": 2.0, "cpu": 1.0} for step in (1, 2, 3)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in told) + '{"step": 4, "ep')
    with Log(path, 2) as log:
        log.add({"step": 3, "steps": 3, "epoch": 0, "loss": 4.0, "valid": 7.0})
    assert log.curve == [{"epoch": 1, "loss": 2, "validation": 7}]
    assert log.seconds["wall"] == pytest.approx(4, abs=0.2)
    assert Log(path, 3).rows == log.rows


def test_other_settings_do_not_go_on_from_what_is_there(smiles: list[str], tmp_path: Path) -> None:
    """Four steps an epoch; the seed decides the first weights, so a run that went on would show it."""

    def stop(name: str, share: float) -> None:
        if name == "smiles-lstm" and share > 0.5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        made(smiles, tmp_path / "parts", seed=1, progress=stop)
    said: list[str] = []
    again = made(smiles, tmp_path / "parts", seed=2, say=said.append)
    assert again.weights == made(smiles, tmp_path / "fresh", seed=2).weights
    assert again.weights != made(smiles, tmp_path / "other", seed=1).weights
    assert not any("Going on" in text for text in said)


def test_a_part_that_is_given_chooses_the_weights(smiles: list[str], tmp_path: Path) -> None:
    """The score is that of these rows, nothing is held back, and a run with others does not go on."""
    said: list[str] = []
    told = made(smiles[:60], tmp_path / "a", say=said.append, validation=smiles[60:])
    assert said[0] == "60 rows to learn from, 20 choose the weights."
    assert (told.card["fit_rows"], told.card["validation"]["rows"], told.card["validation"]["seen"]) == (60, 20, False)
    assert told.card["corpus"]["sha256"] == made(smiles[:60], tmp_path / "b").card["corpus"]["sha256"]
    method, features = resolve("smiles-lstm", QUICK), read(smiles, ["smiles"], limits=HERE).features
    run = start(method, TrainConfig(), Data(features), np.arange(60))
    run.objective.load_state_dict({n: torch.from_numpy(v) for n, v in unpack(told.weights, "model").items()})
    there = score(run.objective, Data(features), np.arange(60, 80), TrainConfig())
    assert told.card["validation"]["loss"] == pytest.approx(there["loss"], rel=1e-5)

    def stop(name: str, share: float) -> None:
        if name == "smiles-lstm" and share > 0.5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        made(smiles[:60], tmp_path / "a", progress=stop, validation=smiles[60:])
    said.clear()
    other = made(smiles[:60], tmp_path / "a", say=said.append, validation=smiles[60:79])
    assert not any("Going on" in text for text in said)
    assert other.card["corpus"]["validation_sha256"] != told.card["corpus"]["validation_sha256"]
    again = made(smiles[:60], tmp_path / "a", say=said.append, validation=smiles[60:])
    assert again.weights == told.weights


def esters() -> list[str]:
    """24 reactions of an alcohol and acetic acid, with maps on the acid alone; every product stands there twice."""
    chains = [f"{'C' * (k + 1)}{tail}" for k in range(6) for tail in ("", "C(F)C")]
    acid, rest = "[CH3:1][C:2](=[O:3])[OH:4]", "[CH3:1][C:2](=[O:3])"
    return [f"O{chain}.{acid}>{middle}>{rest}O{chain}" for chain in chains for middle in ("", "ClCCl")]


GRAPHS = {"training.epochs": "2", "encoder.width": "16", "encoder.depth": "2", "objective.projection": "8"}


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("molr", {"objective.motifs": "0.5"}),
        ("molr", {"objective.loss": "hinge"}),
        ("molr", {"encoder": "gin"}),
        ("molr-published", {}),
        ("motif-published", {}),
        ("motif", {}),
    ],
)
def test_graphs_are_learned_stopped_and_used(
    smiles: list[str], tmp_path: Path, method: str, more: dict[str, str]
) -> None:
    reactions = METHODS[method].corpus == "reactions"
    texts = [*esters(), "CCO>>", "CCO.CC"] if reactions else smiles
    options, said = Options(method, GRAPHS | more, limits=HERE), list[str]()
    whole = pretrain(texts, "corpus", options, tmp_path / "whole", say=said.append)
    held = whole.card["validation"]
    if reactions:
        assert said[:2] == [
            "2 of 26 reactions cannot be read and are left out (1 EMPTY and 1 PARSE).",
            "12 products in 24 reactions; too few to hold any back, "
            "so the weights are judged on what they learned from.",
        ]
        assert ("survival" in held, held["rows"], held["molecules"]) == (method == "molr", 24, 12)
    else:
        assert (held["rows"], held["seen"]) == (4, False)

    def stop(name: str, share: float) -> None:
        if name == method and 0.4 < share < 0.8:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        pretrain(texts, "corpus", options, tmp_path / "parts", progress=stop)
    again = pretrain(texts, "corpus", options, tmp_path / "parts")
    assert (again.weights, without_seconds(again)) == (whole.weights, without_seconds(whole))
    again.save(tmp_path / "encoder")
    embedder = Embedder(tmp_path / "encoder", workers=0).fit(smiles)
    vectors = embedder.transform(["CCO", "CC", "CCO.CC"])
    assert vectors[0] + vectors[1] == pytest.approx(vectors[2], abs=1e-5)


def test_decoys_stand_beside_their_molecule_and_nowhere_else(smiles: list[str], tmp_path: Path) -> None:
    rings, groups = ("Cc1ccc({})cc1", "OCc1cccc({})c1"), ("N", "OC", "C(=O)N", "C#N", "SC")
    texts = [ring.format(group) for ring in rings for group in groups] + smiles[:20]
    with Reader(limits=HERE) as reader:
        corpus = read_molecules(texts, ("graph", "motifs"), reader, HERE, tmp_path / "a", lambda *_: None)
        rows = np.arange(0, len(texts), 2)
        told: list[tuple[str, float]] = []
        data = corpus.data.with_decoys(
            corpus.names, rows, 2, 1, reader, HERE, tmp_path / "b", lambda *x: told.append(x)
        )
    shares = {name: [share for one, share in told if one == name] for name in ("decoys", "structures")}
    assert all(several == sorted(several) and several[-1] == 1 for several in shares.values())
    assert data.made.shape == (len(texts), 3)
    assert (data.made[rows[:5], 2] >= 0).all()  # two of another kind, and a swap of 1,4 and 1,3 rings
    assert (data.made[1::2] == -1).all()
    found = data.made[data.made >= 0]
    assert len(found) > 10
    assert (found >= len(texts)).all()
    assert len(data.features["graph"]) == len(data.features["motifs"]) == len(data.number) > found.max()
    assert len(set(data.number.tolist())) == len(data.number)
    there, graphs = data.made[rows] >= 0, data.features["graph"]
    assert isinstance(graphs, GraphFeatures)
    own, others = np.broadcast_arrays(rows[:, None], data.made[rows])
    np.testing.assert_array_equal(atom_counts(graphs, own[there]), atom_counts(graphs, others[there]))
    sample = data.sample(rows[:3], ("graph",)).groups
    assert sample is not None
    expected = np.unique(data.made[rows[:3]])
    assert sample["molecule"].tolist() == data.number[[*rows[:3], *expected[expected >= 0]]].tolist()
    little = {"training.epochs": "1", "encoder.width": "16"}
    plain = made(smiles, tmp_path / "plain", little, method="motif")
    assert plain.weights != made(smiles, tmp_path / "hard", little | {"objective.decoys": "2"}, method="motif").weights
    with pytest.raises(UserError, match="swaps"):
        resolve("molr", {"objective.motifs": "0.5", "objective.motif.swaps": "1"})


def test_products_are_held_back_not_reactions() -> None:
    names = [f"p{k % 40}" for k in range(100)]
    train, valid, told = held_back(names, np.arange(100), 0, "reactions")
    assert not {names[row] for row in train} & {names[row] for row in valid}
    assert told == "40 products in 100 reactions; 2 of them are held back to choose the weights."


def test_settings_of_objectives_are_reached() -> None:
    told = resolve("molr", {"objective.margin": "2", "objective.loss": "hinge"})
    assert told.objective_config == {"margin": 2, "loss": "hinge"}
    assert METHODS["molr"].objective_config == {}
    nested = {"objective.motif.context": "true", "objective.motif.bonded": "0"}
    told = resolve("molr", {"objective.motifs": "0.3"} | nested)
    assert told.objective_config == {"motifs": 0.3, "motif": {"context": True, "bonded": 0}}
    assert (told.told.of_motifs.context, told.told.of_motifs.bonded) == (True, 0)
    for key in ("objective.motif", "objective.motif.decoys", "objective.motif.contexts"):
        with pytest.raises(UserError, match="no member has such a setting"):
            resolve("molr", {key: "1"})
    with pytest.raises(UserError, match=r"Did you mean 'objective\.margin'"):
        resolve("molr", {"objective.margins": "2"})
    with pytest.raises(UserError, match="There is no loss named 'hing'"):
        resolve("motif", {"objective.loss": "hing"})


def test_other_spellings_are_for_learning_alone(smiles: list[str], tmp_path: Path) -> None:
    told = made(smiles, tmp_path / "a", QUICK | {"views.smiles.variants": "3"})
    assert told.weights != made(smiles, tmp_path / "b").weights
    assert told.card["method_config"]["views"] == {"smiles": {"variants": 3}}
    assert told.card["settings"]["smiles"]["variants"] == 0


def test_a_translation_is_told_with_all_its_numbers(smiles: list[str], tmp_path: Path) -> None:
    card = made(smiles, tmp_path, method="smiles-transformer").card
    held = card["validation"]
    assert set(held) == {
        *("molecules", "rows", "seen", "loss", "perplexity", "accuracy", "tokens"),
        *("masked_perplexity", "masked_accuracy", "masked_tokens", "round_trip", "same", "other", "judged"),
    }
    assert held["judged"] == 4
    assert card["method_config"]["objective_config"] == {"depth": 1, "masked": 0.25}
    one, two, three = sentences(card)
    assert one.startswith("smiles-transformer, 12 steps. Molecules that it had not seen (4, ")
    assert two.startswith("Masked tokens (")
    assert three.startswith(
        "0.0% of 4 strings are written without a fault. Two spellings of one molecule have a cosine"
    )
    lstm = made(smiles, tmp_path / "lstm").card
    assert len(sentences(lstm)) == 1


def test_a_translation_needs_other_spellings() -> None:
    with pytest.raises(
        UserError, match=r"smiles-transformer reads other spellings .* Set views\.smiles\.variants to 1"
    ):
        resolve("smiles-transformer", {"views.smiles.variants": "0"})
    assert resolve("smiles-transformer", {"objective.memory": "code"}).objective_config["memory"] == "code"
    with pytest.raises(UserError, match=r"no member has such a setting\. Did you mean 'objective\.weight'"):
        resolve("smiles-transformer", {"objective.weigth": "1"})
    with pytest.raises(UserError, match="no member has such a setting"):
        resolve("smiles-lstm", {"objective.depth": "1"})


def test_the_published_transformer_has_the_published_sizes() -> None:
    """4,245,037 weights; ours has more tokens, two tables of them, and no biases of queries, keys and values."""
    method = resolve("smiles-transformer-published", {})
    network = start(method, TrainConfig(), Data({}), np.arange(10)).objective
    assert network.encoder.width == 1024
    wide, more = 256, len(VOCABULARY) - 45
    plain = sum(value.numel() for name, value in network.named_parameters() if ".query" in name or ".pair" in name)
    assert plain == 12 * 3 * wide * wide
    count = sum(value.numel() for value in network.parameters())
    assert count == 4_245_037 + more * (3 * wide + 1) + 45 * wide - 12 * 3 * wide


@pytest.fixture(scope="module")
def folder(smiles: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained encoder."""
    path = tmp_path_factory.mktemp("pretrained")
    made(smiles, path / "parts").save(path / "encoder")
    return path / "encoder"


def test_what_a_folder_holds(folder: Path) -> None:
    card, files = read_folder(folder)
    arrays = unpack(files["members/smiles-lstm/model.safetensors"], "model")
    assert {name.partition(".")[0] for name in arrays} == {"encoder", "head"}
    assert (card["kind"], card["method"], card["vocabulary"]) == ("encoder", "smiles-lstm", VOCABULARY_HASH)
    assert card["corpus"]["name"] == "corpus.smi"
    assert len(card["corpus"]["sha256"]) == 64
    assert card["method_config"]["training"]["epochs"] == 3
    assert card["versions"]["torch"]


@every_kind
def test_reloaded_vectors_are_those_before(
    smiles: list[str], features: dict[str, Any], tmp_path: Path, method: str
) -> None:
    told = made(smiles, tmp_path / "parts", method=method)
    told.save(tmp_path / "e")
    resolved, arrays = resolve(method, SWIFT[method]), unpack(told.weights, "model")
    run = start(resolved, TrainConfig(), Data(features), np.arange(80))
    run.objective.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    run.objective.eval()
    with torch.inference_mode():
        wanted = run.objective.encoder(Data(features).sample(np.arange(80), ("smiles",)).views).molecule.numpy()
    loaded = load_embedder(tmp_path / "e")
    assert np.array_equal(loaded.embed(features, np.arange(80)), wanted)
    embedder = Embedder(tmp_path / "e", workers=0)
    assert embedder.fit(smiles).transform(["C1CC", *smiles])[1:] == pytest.approx(wanted, abs=1e-6)
    assert np.isnan(embedder.transform(["C1CC"])).all()
    assert embedder.status_[0].startswith("PARSE")


def test_an_encoder_is_no_model(folder: Path) -> None:
    with pytest.raises(UserError, match="is a pretrained encoder without a target, so it predicts nothing"):
        Model.load(folder)


GOES = {"encoder": "lstm", "training.epochs": 2, "encoder.dropout": 0, "views.smiles.variants": 0} | SMALL


def trained(smiles: list[str], **more: Any) -> Regressor:
    settings = GOES | more.pop("settings", {})
    told = Regressor(more.pop("recipe", "smiles"), workers=0, settings=settings, **more)
    return told.fit(smiles, [float(len(text)) for text in smiles])


def weights_in(model: Model, prefix: str) -> dict[str, np.ndarray]:
    ((card, files),) = [fitted.state() for fitted in model.members.values()]
    assert card["kind"] == "neural"
    arrays = unpack(files["model.safetensors"], "model")
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def test_training_from_a_folder(smiles: list[str], folder: Path, tmp_path: Path) -> None:
    given = read_origin(folder).sources[0].arrays
    frozen = trained(smiles, start=folder, settings={"training.pretrained": 0})
    assert {n: v.tobytes() for n, v in weights_in(frozen.model_, "encoder.").items()} == {
        name: value.tobytes() for name, value in given.items()
    }
    tuned, fast = (trained(smiles, start=folder, settings={"training.pretrained": share}) for share in (0.1, 1))
    for name, value in weights_in(tuned.model_, "encoder.").items():
        far = np.abs(weights_in(fast.model_, "encoder.")[name] - given[name]).max()
        assert 0 < np.abs(value - given[name]).max() < 0.4 * far
    card = tuned.model_.card
    assert card["from"]["name"] == "encoder"
    assert len(card["from"]["sha256"]) == 64
    assert "The network smiles begins with 5 arrays of lstm from encoder." in card["notes"]
    tuned.save(tmp_path / "m")  # and a model is a start as well, which is said
    again = trained(smiles, start=tmp_path / "m", settings={"training.pretrained": 0})
    assert all(
        np.array_equal(value, weights_in(tuned.model_, "encoder.")[name])
        for name, value in weights_in(again.model_, "encoder.").items()
    )
    assert any("has learned labels" in note for note in again.model_.card["notes"])


def test_training_from_a_transformer_with_four_blocks(smiles: list[str], tmp_path: Path) -> None:
    """The flags that are told make the network that takes the weights."""
    own = TINY | {"encoder.depth": "2", "encoder.pooling": "published", "training.epochs": "1"}
    told = made(smiles, tmp_path / "parts", own, method="smiles-transformer")
    told.save(tmp_path / "e")
    words = told.recipe.split()
    assert words[:2] == ["--recipe", "smiles"]
    settings: dict[str, Any] = dict(word.split("=") for word in words[3::2]) | SHORT | {"training.pretrained": 0}
    fitted = Regressor("smiles", workers=0, settings=settings, start=tmp_path / "e")
    fitted.fit(smiles, [float(len(text)) for text in smiles])
    given = read_origin(tmp_path / "e").sources[0].arrays
    kept = weights_in(fitted.model_, "encoder.")
    assert {name: value.tobytes() for name, value in kept.items()} == {n: v.tobytes() for n, v in given.items()}
    assert load_embedder(tmp_path / "e").embed(spelled(smiles).features, np.arange(3)).shape == (3, 64)
    assert weights_in(fitted.model_, "head.")["0.weight"].shape[1] == 64


BRANCH = {f"encoder.smiles.{key.partition('.')[2]}": value for key, value in SMALL.items()}
SHORT = {"training.epochs": 1, "training.batch": 80}


def test_a_branch_begins_with_the_weights(smiles: list[str], folder: Path) -> None:
    given = read_origin(folder).sources[0].arrays
    settings = BRANCH | SHORT | {"encoder.smiles.encoder": "lstm", "encoder.graph.width": 16}
    y = [float(len(text)) for text in smiles]
    fitted = Regressor("graph+smiles", workers=0, settings=settings, start=folder).fit(smiles, y)
    assert (
        "The network branch smiles of fusion begins with 5 arrays of lstm from encoder." in fitted.model_.card["notes"]
    )
    moved = weights_in(fitted.model_, "encoder.branches.smiles.")
    assert all(0 < np.abs(moved[name] - value).max() < 0.01 for name, value in given.items())


def test_the_published_row_keeps_its_lstm_frozen(smiles: list[str], folder: Path) -> None:
    given = read_origin(folder).sources[0].arrays
    settings = BRANCH | SHORT | {"encoder.graph.width": 16, "head.widths": 16}
    y = [float(len(text)) for text in smiles]
    fitted = Regressor("study001-mpnn-rnn", workers=0, settings=settings, start=folder).fit(smiles, y)
    kept = weights_in(fitted.model_, "encoder.branches.smiles.")
    assert {name: value.tobytes() for name, value in kept.items()} == {n: v.tobytes() for n, v in given.items()}
    alone = Regressor("study001-mpnn-rnn", workers=0, settings=settings).fit(smiles, y)
    note = "fusion is meant to begin with pretrained weights and does not, since --from gives none."
    assert note in alone.model_.card["notes"]
    assert note not in fitted.model_.card["notes"]
    assert np.isfinite(alone.predict(smiles[:3])).all()


def test_what_does_not_fit_is_told_before_the_work(smiles: list[str], folder: Path) -> None:
    for recipe in ("graph", "baseline", "smiles"):
        with pytest.raises(UserError, match=rf"no network of --recipe {recipe} has an encoder of that kind and shape"):
            Regressor(recipe, workers=0, start=folder).fit(smiles, [float(len(text)) for text in smiles])

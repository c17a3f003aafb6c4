"""Encoders learned from molecules or reactions without labels. The work behind `tetramer pretrain`."""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from tetramer.checkpoint import Card, config_hash, pack, read_folder, unpack, write_folder
from tetramer.corpora import WORDS, Corpus, MoleculeData, read_molecules, read_reactions
from tetramer.corpus_parts import LEAST, given, held_back
from tetramer.encoders import BRANCHES, ENCODERS
from tetramer.equivalence import examined
from tetramer.errors import UserError, pick
from tetramer.members.origin import WEIGHTS, origin_of, source_of
from tetramer.members.work import Progress, one_thread
from tetramer.modelling import LARGEST_SEED, versions
from tetramer.molecules import Limits, Standard
from tetramer.objectives import OBJECTIVES
from tetramer.overrides import Spec, override
from tetramer.resuming import Log, carry_out, resume
from tetramer.scoring import listed
from tetramer.settings import configured
from tetramer.training import Data, Row, Run, TrainConfig, for_few, mix
from tetramer.validation import judge, score
from tetramer.views import Reader
from tetramer.views.base import Settings
from tetramer.views.read import settings_of
from tetramer.views.smiles import VOCABULARY_HASH


@dataclass(frozen=True)
class Method:
    """How an encoder is pretrained, as plain data."""

    objective: str  # of OBJECTIVES, without labels
    encoder: str  # of ENCODERS
    encoder_config: Spec
    training: Spec
    objective_config: Spec = field(default_factory=dict)  # of the objective's Config, if it has one
    corpus: str = "molecules"  # of CORPORA
    views: dict[str, Spec] = field(default_factory=dict)  # settings of the views that are not made with their defaults
    about: str = ""

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The views of the encoder."""
        kind = ENCODERS[self.encoder]
        return kind.looks_at(configured(kind.Config, self.encoder_config))

    @property
    def reads(self) -> tuple[str, ...]:
        """The views of the encoder, and what the objective needs beside them."""
        return self.looks_at + OBJECTIVES[self.objective].beside(self.told)

    @property
    def told(self) -> Any:  # noqa: ANN401 (every objective has its own Config)
        """The objective's Config."""
        return configured(OBJECTIVES[self.objective].Config, self.objective_config)

    def settings(self) -> dict[str, Settings]:
        """The views' settings, checked."""
        return settings_of(self.views)


METHODS: dict[str, Method] = {
    "smiles-lstm": Method(
        "next-token",
        "lstm",
        {"width": 256, "depth": 3, "embedding": 256, "dropout": 0.1},
        {"epochs": 10, "batch": 128, "peak": 1e-3, "clip": 1.0},
        about="an LSTM that learns the next token of a canonical SMILES",
    ),
    "smiles-transformer": Method(
        "translate",
        "transformer",
        {"width": 128, "depth": 4, "heads": 4},
        {"epochs": 3, "batch": 64, "peak": 1e-3, "optimizer": "adamw", "weight_decay": 1e-2, "clip": 1.0},
        {"depth": 2, "masked": 0.25},
        views={"smiles": {"variants": 8}},
        about="a transformer that writes the canonical SMILES of another spelling, and learns masked tokens",
    ),
    # The sizes, the optimizer and what is learned of arXiv:1911.04738.
    "smiles-transformer-published": Method(
        "translate",
        "transformer",
        {"width": 256, "depth": 4, "heads": 4, "expansion": 1, "pooling": "published"},
        {"epochs": 4, "batch": 8, "peak": 1e-4, "schedule": "constant", "clip": 0.0},
        {"depth": 4, "target": "same", "masked": 0.0},
        views={"smiles": {"variants": 8}},
        about="a transformer that writes the spelling that it has read",
    ),
    "molr": Method(
        "reaction",
        "mpnn",
        {"width": 256, "depth": 3, "readout": "sum"},
        {"epochs": 12, "batch": 256, "peak": 1e-3, "clip": 5.0},
        corpus="reactions",
        about="a graph network in which the atoms of the reactants that stay make the vector of the product",
    ),
    # Encoder, loss and optimizer of arXiv:2109.09888; its batches were of 4,096 among 408,673 reactions.
    "molr-published": Method(
        "reaction",
        "tag",
        {"width": 1024, "depth": 2},
        {"epochs": 20, "batch": 512, "peak": 1e-4, "schedule": "constant", "clip": 0.0},
        {"loss": "hinge", "projection": 0, "survival": 0.0, "negatives": 0, "select": "mrr"},
        corpus="reactions",
        about="a network of two layers of two hops that makes both sides of a reaction equal, as MolR did",
    ),
    # The loss of github.com/rhtmddn100/motif_representation with its default weights, over our motifs.
    "motif-published": Method(
        "reaction",
        "tag",
        {"width": 1024, "depth": 2},
        {"epochs": 20, "batch": 512, "peak": 1e-4, "schedule": "constant", "clip": 0.0},
        {
            **{"loss": "hinge", "projection": 0, "survival": 0.0, "negatives": 0, "select": "mrr"},
            **{"motifs": 0.2, "compare": "sides", "motif": {"correction": False, "bonded": 0.0}},
        },
        corpus="reactions",
        about="the network of molr-published, in which both sides of a reaction equal their motifs as well",
    ),
    "motif": Method(
        "motif",
        "mpnn",
        {"width": 256, "depth": 3, "readout": "sum"},
        {"epochs": 10, "batch": 256, "peak": 1e-3, "clip": 5.0},
        about="a graph network in which the motifs of a molecule make its vector",
    ),
}
ATOMS = tuple(name for name, kind in BRANCHES["graph"].items() if kind.views == ("graph",) and not kind.weights_of)
LEARNERS = {
    "next-token": ("lstm", "transformer"),
    "translate": ("transformer",),
    "reaction": ATOMS,
    "motif": ATOMS,
}
"""Objective → encoders that it can teach."""
CORPORA = {"molecules": read_molecules, "reactions": read_reactions}


def resolve(name: str, overrides: Mapping[str, str]) -> Method:
    """The method `name` with `--set key=value` applied.

    Keys are encoder.…, training.…, objective.… and views.VIEW.…
    """
    method = deepcopy(pick(METHODS, name, "method of pretraining"))
    check_kind(name, method, overrides.get("encoder", method.encoder))
    groups = ("encoder", "encoder_config", "training", "objective", "objective_config")
    config = {group: getattr(method, group) for group in groups}
    override({name: {"kind": "pretraining", "config": config}}, method.views, overrides)
    method = replace(method, encoder=config["encoder"])
    check_kind(name, method, method.encoder)
    with torch.device("meta"):  # no weights are made
        built(method)
    told: Any = method.settings()
    if "smiles" in OBJECTIVES[method.objective].others and not told["smiles"].variants:
        raise UserError(f"{name} reads other spellings than the canonical one. Set views.smiles.variants to 1 or more.")
    return method


def check_kind(name: str, method: Method, encoder: str) -> None:
    """UserError if the method's objective cannot teach this encoder of ENCODERS."""
    fitting = LEARNERS[method.objective]
    if encoder in ENCODERS and encoder not in fitting:
        raise UserError(f"{name} cannot teach the encoder {encoder!r}. Choose one of: {', '.join(fitting)}.")


def built(method: Method) -> Any:  # noqa: ANN401 (every objective has its own class)
    """The objective with its encoder, weights as PyTorch's random numbers have them."""
    kind, objective = ENCODERS[method.encoder], cast(Any, OBJECTIVES[method.objective])
    return objective(kind(configured(kind.Config, method.encoder_config)), method.told)


@dataclass(frozen=True)
class Options:
    """How to pretrain."""

    method: str = "smiles-lstm"
    overrides: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    standard: Standard = field(default_factory=Standard)
    limits: Limits = field(default_factory=Limits)
    fresh: bool = False  # whether the weights stay as they were drawn: what a network is worth that has learned nothing

    def __post_init__(self) -> None:
        if not 0 <= self.seed < LARGEST_SEED:
            raise UserError(f"--seed {self.seed} is out of range. Choose 0 to 9999999.")


@dataclass(frozen=True)
class Result:
    """A trained encoder with its head, and all that is known of them."""

    card: Card
    network: Spec  # encoder, encoder_config and training, as the card of a member has them
    weights: bytes

    def save(self, path: Path) -> None:
        """Write the model folder, whole or not at all."""
        (name,) = self.card["members"]
        told = {"kind": "pretraining", "member": {"config": self.network, "views": self.card["views"]}}
        files = {"card.json": json.dumps(told, indent=1).encode(), "model.safetensors": self.weights}
        write_folder(path, self.card, {f"members/{name}/{part}": data for part, data in files.items()})

    @property
    def recipe(self) -> str:
        """The flags of `tetramer train` that make a network for this encoder."""
        return source_of(self.card["method"], self.network, self.weights).recipe


def pretrain(
    texts: Sequence[str],
    name: str,
    options: Options,
    parts: Path,
    progress: Progress = lambda name, share: None,
    say: Callable[[str], None] = lambda text: None,
    validation: Sequence[str] = (),
) -> Result:
    """Train an encoder on structures. `parts` is a folder for unfinished work, from which a killed run goes on.

    name: of the corpus, for the card   validation: structures that choose the weights; (): some of `texts` are held
    back for that
    """
    every = [*texts, *validation]
    method = resolve(options.method, options.overrides)
    config = configured(TrainConfig, method.training | {"seed": options.seed})
    with Reader(options.standard, options.limits, method.settings()) as reader:
        corpus = CORPORA[method.corpus](every, method.reads, reader, options.limits, parts, progress)
        rows = usable_rows(method, corpus, say)
        if validation:
            train, valid, sentence = given(corpus.names, rows, len(texts), method.corpus)
        else:
            train, valid, sentence = held_back(corpus.names, rows, options.seed, method.corpus)
        say(sentence)
        (many, swaps), both = (getattr(method.told, name, 0) for name in ("decoys", "swaps")), np.union1d(train, valid)
        place = parts / "decoys"
        data = corpus.data.with_decoys(corpus.names, both, many, swaps, reader, options.limits, place, progress)
    told = [asdict(method), asdict(config), asdict(options.standard), config_hash(every), versions()]
    data = data.with_near(train, valid, getattr(method.told, "negatives", 0))
    key, running = config_hash([*told, train.tolist(), valid.tolist()]), parts / "running"
    with one_thread():
        run = start(method, config, data, train)
        if not options.fresh:
            resume(running, run, key)
            if run.step:
                say(f"Going on with the unfinished run in {parts}.")
        with Log(running / f"{key[:12]}.jsonl", run.step) as log:
            if not options.fresh:
                carry_out(run, data, train, valid, running, key, follow(options.method, log, progress, say))
        found = score(run.objective, data, valid, config) | judge(run.objective, data, valid, config)
        diagnosis = examined(run.objective, start(method, config, data, train).objective, data, valid)
    held = {"molecules": different(corpus, valid), "rows": len(valid), "seen": np.array_equal(train, valid), **found}
    about = {"name": name, "sha256": config_hash(list(texts)), **counts(corpus, rows)}
    if validation:
        about["validation_sha256"] = config_hash(list(validation))
    card = make_card(options, method) | {
        "corpus": about,
        "fit_rows": len(train),
        "validation": held,
        "steps": run.step,
        "training_seconds": log.seconds,
        "curve": log.curve,
    }
    if diagnosis:
        card["diagnosis"] = diagnosis
    network = {"encoder": method.encoder, "encoder_config": method.encoder_config, "training": asdict(config)}
    arrays = {name: value.detach().numpy() for name, value in run.objective.state_dict().items()}
    return Result(card, network, pack(arrays))


def make_card(options: Options, method: Method) -> Card:
    """What is known of an encoder before it is trained."""
    return {
        "kind": "encoder",
        "method": options.method,
        "overrides": options.overrides,
        "method_config": asdict(method),
        "seed": options.seed,
        "standard": asdict(options.standard),
        "views": list(method.looks_at),
        "settings": {view: asdict(told.answering()) for view, told in method.settings().items()},
        "members": [options.method],
        "versions": versions(),
    } | ({"vocabulary": VOCABULARY_HASH} if "smiles" in method.looks_at else {})


def load_objective(path: Path) -> tuple[Card, Any]:
    """What an encoder of `tetramer pretrain` learned with, heads and all, in eval mode, and the folder's card."""
    card, files = read_folder(path)
    if card.get("kind") != "encoder":
        raise UserError(f"{path} is no encoder of `tetramer pretrain`.")
    (source,) = origin_of(path, card, files).sources
    arrays = unpack(files[f"members/{source.name}/{WEIGHTS}"], WEIGHTS)
    try:
        method = Method(**card["method_config"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not whole: its card lacks {error}. Train again.") from error
    kind: Any = pick(OBJECTIVES, method.objective, "objective")
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to disturb
        objective = kind(source.made(), method.told)
    wanted = {name: tuple(value.shape) for name, value in objective.state_dict().items()}
    if wanted != {name: value.shape for name, value in arrays.items()}:
        raise UserError(f"The weights of {source.name!r} do not fit the encoder of its card. Train again.")
    objective.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in arrays.items()})
    return card, objective.eval()


def follow(name: str, log: Log, progress: Progress, say: Callable[[str], None]) -> Callable[[Row], None]:
    """Keep log rows, tell the share of the steps that is done, and say a line at the end of an epoch."""

    def hear(row: Row) -> None:
        log.add(row)
        progress(name, row["step"] / row["steps"])
        if "valid" in row:
            say(f"{name}, {epoch_line(log.curve, round(row['steps'] * (row['epoch'] + 1) / row['step']))}")

    return hear


def epoch_line(curve: Sequence[Mapping[str, float]], epochs: int) -> str:
    """The last epoch of a curve: `epoch 3 of 12: loss 2.104, validation 2.351; best 2.340 in epoch 2.`"""
    last, best = curve[-1], min(curve, key=lambda row: row["validation"])
    told = "the best so far" if best is last else f"best {best['validation']:.4g} in epoch {best['epoch']}"
    return f"epoch {last['epoch']} of {epochs}: loss {last['loss']:.4g}, validation {last['validation']:.4g}; {told}."


def usable_rows(method: Method, corpus: Corpus, say: Callable[[str], None]) -> np.ndarray:
    """(m,) the rows that can be learned from; what became of the others is said."""
    good, what = corpus.good, WORDS[method.corpus][0]
    refused = {code: count for code, count in by_code(corpus).items() if not code.startswith("ok")}
    if refused:
        which = listed([f"{count} {code}" for code, count in refused.items()])
        say(f"{len(good) - int(good.sum())} of {len(good)} {what} cannot be read and are left out ({which}).")
    if good.sum() < LEAST:
        raise UserError(f"{int(good.sum())} {what} of the corpus can be read; at least {LEAST} are needed.")
    return np.flatnonzero(good)


def by_code(corpus: Corpus) -> dict[str, int]:
    """How many rows have which code."""
    names, number = np.unique(np.array(corpus.codes, dtype=str), return_counts=True)
    return dict(zip(names.tolist(), number.tolist(), strict=True))


def counts(corpus: Corpus, rows: np.ndarray) -> dict[str, Any]:
    """Rows of the corpus, what became of them, and the different names among those that are used."""
    return {"rows": len(corpus), "codes": by_code(corpus), "molecules": different(corpus, rows)}


def different(corpus: Corpus, rows: np.ndarray) -> int:
    """Different molecules, or products of reactions, among `rows`."""
    return len({corpus.names[row] for row in rows.tolist()})


def start(method: Method, config: TrainConfig, data: Data, rows: np.ndarray) -> Run:
    """A run at step 0; its first weights are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(config.seed, 3))
        made = built(method)
    molecules = data.molecules(rows) if isinstance(data, MoleculeData) else rows
    made.encoder.fit_statistics(data.features, molecules)
    return Run(made, for_few(config, len(rows)), criterion=made.criterion)

"""Encoders learned from molecules without labels. The work behind `tetramer pretrain`."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tetramer.checkpoint import Card, config_hash, pack, write_folder
from tetramer.encoders import ENCODERS
from tetramer.errors import UserError, pick
from tetramer.members.base import usable
from tetramer.members.origin import source_of
from tetramer.members.work import Progress, one_thread
from tetramer.modelling import LARGEST_SEED, read_into, versions
from tetramer.molecules import Limits, Standard
from tetramer.objectives import OBJECTIVES
from tetramer.recipes import Spec, override
from tetramer.resuming import carry_out, resume
from tetramer.scoring import listed
from tetramer.settings import configured
from tetramer.training import Data, Row, Run, TrainConfig, autocast, epoch_order, for_few, mix
from tetramer.views import Reader, Reading
from tetramer.views.base import Settings
from tetramer.views.read import settings_of
from tetramer.views.smiles import VOCABULARY_HASH

LEAST = 10  # rows of a corpus
HELD = 20  # one molecule in so many is held back,
MOST_HELD = 10_000  # but no more than these
BATCH = 256  # rows at a time when a network is judged
JUDGED = 1_000  # rows of which more is asked than a loss


@dataclass(frozen=True)
class Method:
    """How an encoder is pretrained, as plain data."""

    objective: str  # of OBJECTIVES, without labels
    encoder: str  # of ENCODERS
    encoder_config: Spec
    training: Spec
    views: dict[str, Spec] = field(default_factory=dict)  # settings of the views that are not made with their defaults
    objective_config: Spec = field(default_factory=dict)
    about: str = ""

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The views of the encoder."""
        kind = ENCODERS[self.encoder]
        return kind.looks_at(configured(kind.Config, self.encoder_config))

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
        {"smiles": {"variants": 8}},
        {"depth": 2, "masked": 0.25},
        about="a transformer that writes the canonical SMILES of another spelling, and learns masked tokens",
    ),
    # The sizes, the optimizer and what is learned of arXiv:1911.04738.
    "smiles-transformer-published": Method(
        "translate",
        "transformer",
        {"width": 256, "depth": 4, "heads": 4, "expansion": 1, "pooling": "published"},
        {"epochs": 4, "batch": 8, "peak": 1e-4, "schedule": "constant", "clip": 0.0},
        {"smiles": {"variants": 8}},
        {"depth": 4, "target": "same", "masked": 0.0},
        about="a transformer that writes the spelling that it has read",
    ),
}


def resolve(name: str, overrides: Mapping[str, str]) -> Method:
    """The method `name` with `--set key=value` applied.

    Keys are encoder.…, training.…, objective.… and views.VIEW.…
    """
    method = deepcopy(pick(METHODS, name, "method of pretraining"))
    groups = ("encoder", "encoder_config", "training", "objective", "objective_config")
    config = {group: getattr(method, group) for group in groups}
    override({name: {"kind": "pretraining", "config": config}}, method.views, overrides)
    told: Any = method.settings()
    if "smiles" in OBJECTIVES[method.objective].others and not told["smiles"].variants:
        raise UserError(f"{name} reads other spellings than the canonical one. Set views.smiles.variants to 1 or more.")
    return method


@dataclass(frozen=True)
class Options:
    """How to pretrain."""

    method: str = "smiles-lstm"
    overrides: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    standard: Standard = field(default_factory=Standard)
    limits: Limits = field(default_factory=Limits)

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
    corpus: str,
    options: Options,
    parts: Path,
    progress: Progress = lambda name, share: None,
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Train an encoder on structures. `parts` is a folder for unfinished work, from which a killed run goes on.

    corpus: its name, for the card
    """
    method = resolve(options.method, options.overrides)
    config = configured(TrainConfig, method.training | {"seed": options.seed})
    with Reader(options.standard, options.limits, method.settings()) as reader:
        reading = read_into(parts, reader, list(texts), method.looks_at, progress) if texts else reader.read([], [])
    rows = usable_rows(method, reading, say)
    train, valid, sentence = held_back(reading, rows, options.seed)
    say(sentence)
    told = [asdict(method), asdict(config), asdict(options.standard), config_hash(list(texts)), versions()]
    key, running, data = config_hash([*told, train.tolist(), valid.tolist()]), parts / "running", Data(reading.features)
    with one_thread():
        run = start(method, config, data, train)
        resume(running, run, key)
        if run.step:
            say(f"Going on with the unfinished run in {parts}.")
        carry_out(run, data, train, valid, running, key, follow(options.method, progress))
        found = score(run.objective, data, valid, config) | judge(run.objective, data, valid, config)
    held = {"molecules": molecules(reading, valid), "rows": len(valid), "seen": np.array_equal(train, valid), **found}
    card = make_card(options, method) | {
        "corpus": {"name": corpus, "sha256": config_hash(list(texts)), **counts(reading, rows)},
        "fit_rows": len(train),
        "validation": held,
        "steps": run.step,
    }
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


def follow(name: str, progress: Progress) -> Callable[[Row], None]:
    """Log rows → the share of the steps that is done."""
    return lambda row: progress(name, row["step"] / row["steps"])


def usable_rows(method: Method, reading: Reading, say: Callable[[str], None]) -> np.ndarray:
    """(m,) the rows that have every view of the method; what became of the others is said."""
    good = usable(reading.features, method.looks_at, np.arange(len(reading))) if len(reading) else np.zeros(0, bool)
    refused = {code: count for code, count in by_code(reading, good).items() if not code.startswith("ok")}
    if refused:
        which = listed([f"{count} {code}" for code, count in refused.items()])
        say(f"{len(good) - int(good.sum())} of {len(good)} structures cannot be read and are left out ({which}).")
    if good.sum() < LEAST:
        raise UserError(f"{int(good.sum())} structures of the corpus can be read; at least {LEAST} are needed.")
    return np.flatnonzero(good)


def by_code(reading: Reading, good: np.ndarray) -> dict[str, int]:
    """How many rows have which code; good: (n,) bool, those that are used."""
    names, number = np.unique(reading.statuses(good)[0], return_counts=True)
    return dict(zip(names.tolist(), number.tolist(), strict=True))


def counts(reading: Reading, rows: np.ndarray) -> dict[str, Any]:
    """Rows of the corpus, what became of them, and the different molecules among those that are used."""
    good = np.isin(np.arange(len(reading)), rows)
    return {"rows": len(reading), "codes": by_code(reading, good), "molecules": molecules(reading, rows)}


def molecules(reading: Reading, rows: np.ndarray) -> int:
    """Different molecules among `rows`."""
    return len({reading.smiles[row] for row in rows.tolist()})


def held_back(reading: Reading, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows to learn from, rows that choose the weights, and the sentence that says so.

    Molecules are drawn, not rows: one that stands in the corpus twice lies on one side. With too few of them to hold
    any back, all rows are on both sides.
    """
    first: dict[str, int] = {}
    for row in rows.tolist():
        first.setdefault(reading.smiles[row], len(first))
    cut = min(MOST_HELD, len(first) // HELD)
    told = f"{len(first):,} molecule{'s' * (len(first) > 1)} in {len(rows):,} rows; "
    if not cut:
        return rows, rows, told + "too few to hold any back, so the weights are judged on what they learned from."
    chosen = epoch_order(mix(seed, 6), 0, len(first))[:cut]
    out = np.isin([first[reading.smiles[row]] for row in rows.tolist()], chosen)
    return (
        rows[~out],
        rows[out],
        told + f"{cut:,} of them {'are' if cut > 1 else 'is'} held back to choose the weights.",
    )


def start(method: Method, config: TrainConfig, data: Data, rows: np.ndarray) -> Run:
    """A run at step 0; its first weights are a function of the seed."""
    kind: Any = ENCODERS[method.encoder]
    objective: Any = OBJECTIVES[method.objective]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(config.seed, 3))
        encoder = kind(configured(kind.Config, method.encoder_config))
        made = objective(encoder, configured(objective.Config, method.objective_config))
    made.encoder.fit_statistics(data.features, rows)
    return Run(made, for_few(config, len(rows)))


@torch.inference_mode()
def score(objective: Any, data: Data, rows: np.ndarray, config: TrainConfig) -> dict[str, float]:  # noqa: ANN401
    """The loss of `rows`, and the perplexity and the accuracy of each kind of token; means over tokens."""
    objective.eval()
    sums: defaultdict[str, float] = defaultdict(float)
    for place in range(0, len(rows), BATCH):
        sample = data.sample(rows[place : place + BATCH], objective.views, others=objective.others)
        with autocast(config.precision):
            told = objective.loss(sample, torch.Generator().manual_seed(mix(config.seed, place, 2)))
        parts = {name: float(value) for name, value in told.parts.items()}
        sums["loss"] += parts["tokens"] * float(told.value)
        for kind in kinds_of(parts):
            count = parts[f"{kind}tokens"]
            sums[f"{kind}perplexity"] += count * log(parts[f"{kind}perplexity"])
            sums[f"{kind}accuracy"] += count * parts[f"{kind}accuracy"]
            sums[f"{kind}tokens"] += count
    out: dict[str, float] = {"loss": sums["loss"] / max(1, sums["tokens"])}
    for kind in kinds_of(sums):
        count = sums[f"{kind}tokens"]
        mean = {name: sums[f"{kind}{name}"] / max(1, count) for name in ("perplexity", "accuracy")}
        out |= {f"{kind}perplexity": exp(mean["perplexity"]), f"{kind}accuracy": mean["accuracy"]}
        out[f"{kind}tokens"] = int(count)
    return out


def kinds_of(parts: Iterable[str]) -> list[str]:
    """What stands before "tokens" in the names of counts: "" and, say, "masked_"."""
    return [name.removesuffix("tokens") for name in parts if name.endswith("tokens")]


@torch.inference_mode()
def judge(objective: Any, data: Data, rows: np.ndarray, config: TrainConfig) -> dict[str, float]:  # noqa: ANN401
    """What the objective has to say beside its loss of JUDGED of `rows`, or all; means over molecules."""
    objective.eval()
    rows = rows[epoch_order(mix(config.seed, 7), 0, len(rows))[:JUDGED]]
    sums: defaultdict[str, float] = defaultdict(float)
    for place in range(0, len(rows), BATCH):
        chosen = rows[place : place + BATCH]
        with autocast(config.precision):
            told = objective.judge(data.sample(chosen, objective.views, others=objective.others))
        for name, value in told.items():
            sums[name] += value * len(chosen) / len(rows)
    if sums:
        sums["judged"] = len(rows)
    return dict(sums)


def sentences(card: Card) -> list[str]:
    """The outcome for a terminal."""
    held, (name,) = card["validation"], card["members"]
    own = "Molecules that it learned from" if held["seen"] else "Molecules that it had not seen"
    numbers = f"perplexity {held['perplexity']:.3f}, token accuracy {held['accuracy']:.3f}"
    lines = [f"{name}, {card['steps']:,} steps. {own} ({held['molecules']:,}, {held['tokens']:,} tokens): {numbers}."]
    if "masked_tokens" in held:
        numbers = f"perplexity {held['masked_perplexity']:.3f}, accuracy {held['masked_accuracy']:.3f}"
        lines.append(f"Masked tokens ({held['masked_tokens']:,}): {numbers}.")
    if "round_trip" in held:
        lines.append(
            f"{held['round_trip']:.1%} of {held['judged']:,} strings are written without a fault. Two spellings of one "
            f"molecule have a cosine of {held['same']:.3f}, two molecules of {held['other']:.3f}."
        )
    return lines

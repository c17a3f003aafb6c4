"""What an encoder has learned, told without labels: on the rows that were held back when it was pretrained."""

from collections import defaultdict
from collections.abc import Iterable
from math import exp, log
from typing import Any

import numpy as np
import torch

from tetramer import equivalence
from tetramer.checkpoint import Card
from tetramer.corpora import WORDS
from tetramer.training import Data, TrainConfig, autocast, epoch_order, mix

BATCH = 256  # rows at a time
JUDGED = 1_000  # rows of which more is asked than a loss


@torch.inference_mode()
def score(objective: Any, data: Data, rows: np.ndarray, config: TrainConfig) -> dict[str, float]:  # noqa: ANN401
    """The loss of `rows` and its parts: of each kind of token perplexity and accuracy, or means over rows."""
    objective.eval()
    sums: defaultdict[str, float] = defaultdict(float)
    for place in range(0, len(rows), BATCH):
        some = rows[place : place + BATCH]
        with autocast(config.precision):
            sample = data.sample(some, objective.views, others=objective.others)
            told = objective.loss(sample, torch.Generator().manual_seed(mix(config.seed, place, 2)))
        parts = {name: float(value) for name, value in told.parts.items()}
        weight = parts.get("tokens", len(some))
        sums["weight"] += weight
        sums["loss"] += weight * float(told.value)
        for kind in kinds_of(parts):
            count = parts.pop(f"{kind}tokens")
            sums[f"{kind}tokens"] += count
            sums[f"{kind}perplexity"] += count * log(parts.pop(f"{kind}perplexity"))
            sums[f"{kind}accuracy"] += count * parts.pop(f"{kind}accuracy")
        for name, value in parts.items():
            sums[name] += weight * value
    weight = max(1.0, sums.pop("weight"))
    out: dict[str, float] = {}
    for kind in kinds_of(sums):
        count = sums.pop(f"{kind}tokens")
        mean = {name: sums.pop(f"{kind}{name}") / max(1, count) for name in ("perplexity", "accuracy")}
        out |= {f"{kind}perplexity": exp(mean["perplexity"]), f"{kind}accuracy": mean["accuracy"]}
        out[f"{kind}tokens"] = int(count)
    return {name: value / weight for name, value in sums.items()} | out


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
    _, what, _ = WORDS[card["method_config"]["corpus"]]
    own = f"{what.capitalize()}s that it {'learned from' if held['seen'] else 'had not seen'}"
    count, numbers = f"{held['molecules']:,}", {k: v for k, v in held.items() if k not in ("molecules", "rows", "seen")}
    if "tokens" in numbers:
        count += f", {numbers['tokens']:,} tokens"
        numbers = {"perplexity": numbers["perplexity"], "token accuracy": numbers["accuracy"]}
    told = ", ".join(f"{part} {value:.3f}" for part, value in numbers.items())
    lines = [f"{name}, {card['steps']:,} steps. {own} ({count}): {told}."]
    if "masked_tokens" in held:
        masked = f"perplexity {held['masked_perplexity']:.3f}, accuracy {held['masked_accuracy']:.3f}"
        lines.append(f"Masked tokens ({held['masked_tokens']:,}): {masked}.")
    if "round_trip" in held:
        lines.append(
            f"{held['round_trip']:.1%} of {held['judged']:,} strings are written without a fault. Two spellings of one "
            f"molecule have a cosine of {held['same']:.3f}, two molecules of {held['other']:.3f}."
        )
    return lines + equivalence.sentences(card.get("diagnosis", {}))

"""What objectives over the tokens of SMILES share: the layer that tells tokens, its loss, and strings again."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tetramer.views.smiles import BEGIN, END, MASK, PAD, UNKNOWN, VOCABULARY, SmilesBatch, decode

FIRST = 0.02  # standard deviation of the first weights: before training every token is about as likely
UNWRITTEN = [PAD, UNKNOWN, BEGIN, MASK]  # tokens that no string is made of


def head(width: int) -> nn.Linear:
    """A layer from vectors to logits of tokens."""
    made = nn.Linear(width, len(VOCABULARY))
    nn.init.normal_(made.weight, std=FIRST)
    nn.init.zeros_(made.bias)
    return made


def logits(layer: nn.Linear, rows: Tensor) -> Tensor:
    """(N, D) → (N, V), in fp32 or better also where an encoder runs in bf16."""
    with torch.autocast(rows.device.type, enabled=False):
        return cast(Tensor, layer(rows.to(layer.weight.dtype)))


def surprise(told: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy of logits (N, V) for tokens (N,), and what is told of it; 0 without tokens."""
    count = max(1, len(wanted))
    value = cross_entropy(told, wanted, reduction="sum") / count
    right = (told.argmax(-1) == wanted).sum() / count
    return value, {"perplexity": value.detach().exp(), "accuracy": right, "tokens": torch.tensor(len(wanted))}


def until_end(tokens: np.ndarray) -> str | None:
    """The string up to END; None if it has none."""
    ends = np.flatnonzero(tokens == END)
    return decode(tokens[: ends[0]]) if len(ends) else None


def strings(batch: SmilesBatch) -> list[str]:
    """The SMILES of each molecule of a batch; "" where it has no tokens."""
    tokens, owner = cast(Tensor, batch.tokens).cpu().numpy(), cast(Tensor, batch.owner).cpu().numpy()
    inner = (tokens != BEGIN) & (tokens != END)
    lengths = np.bincount(owner[inner], minlength=batch.size)
    return [decode(part) for part in np.split(tokens[inner], np.cumsum(lengths)[:-1])] if batch.size else []

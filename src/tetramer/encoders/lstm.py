"""The SMILES encoder of the fusion study: a recurrent network that reads from left to right."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.dropout import Dropout
from tetramer.layers.pooling import max_by_owner, mean_by_owner, sum_by_owner
from tetramer.layers.ragged import starts_of
from tetramer.views.base import Batch
from tetramer.views.smiles import END, VOCABULARY, SmilesBatch

Pooling = Literal["last", "mean", "max", "mean+last"]
TOGETHER = 32  # strings that run side by side; packed ones are slower, most of all backward (benchmarks/lstm.py)
Past = tuple[Tensor, Tensor]  # h and c of every layer, (L, B, D) each


@dataclass(frozen=True)
class LSTMConfig:
    """The defaults are the study's size."""

    width: int = 256
    depth: int = 3
    embedding: int = 256  # width of a token before the first layer
    dropout: float = 0.1  # of what enters each layer
    pooling: Pooling = "mean"  # of tokens; "last" is the state after END, "mean+last" both side by side

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Pooling)), self.pooling, "pooling")
        if min(self.width, self.depth, self.embedding) < 1 or not 0 <= self.dropout < 1:
            raise UserError(
                "An LSTM needs width, depth and embedding ≥ 1 and dropout in [0, 1); "
                f"got {self.width}, {self.depth}, {self.embedding} and {self.dropout}."
            )

    @property
    def molecule(self) -> int:
        """The width of a molecule's vector."""
        return self.width * len(self.pooling.split("+"))


@cache
def bf16_runs() -> bool:
    """Whether oneDNN has an LSTM of bf16 for this processor; one without AVX-512 has none."""
    try:
        with torch.random.fork_rng(), torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(8, 8, batch_first=True)(torch.zeros(1, 2, 8))
    except RuntimeError:
        return False
    return True


def gates() -> torch.autocast:
    """bf16 where autocast is on and the processor can."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.is_autocast_enabled("cpu") and bf16_runs())


class LSTM(Encoder):
    """Long short-term memory (doi:10.1162/neco.1997.9.8.1735) over the tokens of one SMILES, BEGIN and END among them.

    Strings of about one length run together, and what comes after the end of one is dropped: it reads from left to
    right, so nothing before the end has seen it. A molecule without tokens gets zeros. Under bf16 autocast the gates
    are bf16, or fp32 where the processor has no kernel for that. With pooling mean+last a molecule is twice as wide as
    a token, and tokens are not told.
    """

    Config = LSTMConfig
    views = ("smiles",)
    causal = True  # a token sees only those before it

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.molecule
        self.embedding = nn.Embedding(len(VOCABULARY), config.embedding)
        self.dropout = Dropout(config.dropout)
        between = config.dropout if config.depth > 1 else 0.0
        self.layers = nn.LSTM(config.embedding, config.width, config.depth, batch_first=True, dropout=between)

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch = cast(SmilesBatch, views["smiles"])
        tokens = self.rows(batch)
        molecule = self.read_out(tokens.to(self.embedding.weight.dtype), batch)
        return Encoding(molecule, tokens if self.width == self.config.width else None)

    def rows(self, batch: SmilesBatch) -> Tensor:
        """A vector for each token, (N, D)."""
        tokens, owner = cast(Tensor, batch.tokens), cast(Tensor, batch.owner)
        x: Tensor = self.dropout(self.embedding(tokens))
        if not len(x):
            return x.new_zeros(0, self.config.width)
        sizes = torch.bincount(owner, minlength=batch.size)
        starts, order = starts_of(sizes), sizes.argsort()
        found, places = [], []
        for strings in torch.split(order[sizes[order] > 0], TOGETHER):
            steps = torch.arange(int(sizes[strings].max()), device=owner.device)
            mask, place = steps < sizes[strings, None], starts[strings, None] + steps
            with gates():
                y, _ = self.layers(x[place.where(mask, 0)])
            found.append(y[mask])
            places.append(place[mask])
        return torch.cat(found)[torch.cat(places).argsort()]

    def step(self, tokens: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """The next token of each of B strings: the row that `rows` would give it.

        tokens: (B,)   past: what the step before gave; None at BEGIN   →   (B, D) and the past of the next step
        """
        with gates():
            y, past = self.layers(self.dropout(self.embedding(tokens))[:, None], past)
        return y[:, 0], cast(Past, past)

    def read_out(self, tokens: Tensor, batch: SmilesBatch) -> Tensor:
        """Tokens → molecules, (N, D) → (B, W); zeros for a molecule without tokens."""
        return torch.cat([self.pooled(name, tokens, batch) for name in self.config.pooling.split("+")], 1)

    def pooled(self, pooling: str, tokens: Tensor, batch: SmilesBatch) -> Tensor:
        """Tokens → molecules by one rule, (N, D) → (B, D)."""
        owner = cast(Tensor, batch.owner)
        if pooling == "mean":
            return mean_by_owner(tokens, owner, batch.size)
        if pooling == "max":
            return max_by_owner(tokens, owner, batch.size)
        last = cast(Tensor, batch.tokens) == END
        return sum_by_owner(tokens[last], owner[last], batch.size)

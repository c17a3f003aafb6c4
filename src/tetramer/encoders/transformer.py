"""The SMILES encoder: a transformer over tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from tetramer.encoders.base import Encoder, Encoding
from tetramer.errors import UserError, pick
from tetramer.layers.attention import Block, Past
from tetramer.layers.dropout import Dropout
from tetramer.layers.pooling import max_by_owner, mean_by_owner, softmax_by_owner, sum_by_owner
from tetramer.layers.ragged import rounded
from tetramer.views.base import Batch
from tetramer.views.smiles import BEGIN, END, VOCABULARY, SmilesBatch

FIRST = 0.02  # standard deviation of the first token vectors: small, so that the layers soon outweigh them
Pooling = Literal["mean", "max", "first", "penultimate", "last", "attention", "published"]
BLOCKS = ("mean", "max", "first", "penultimate")  # side by side the published fingerprint


@dataclass(frozen=True)
class TransformerConfig:
    width: int = 256
    depth: int = 4
    heads: int = 8
    expansion: int = 4  # width of the hidden layers within, as a multiple of the width
    dropout: float = 0.1
    # Of tokens: "first" is BEGIN, "penultimate" BEGIN before the last layer, "last" is END, "published" four of these.
    pooling: Pooling = "mean"
    causal: bool = False  # whether a token sees only those before it, as generation needs

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Pooling)), self.pooling, "pooling")
        if min(self.width, self.depth, self.heads, self.expansion) < 1 or not 0 <= self.dropout < 1:
            raise UserError(
                "A transformer needs width, depth, heads and expansion ≥ 1 and dropout in [0, 1); "
                f"got {self.width}, {self.depth}, {self.heads}, {self.expansion} and {self.dropout}."
            )
        if self.width % (2 * self.heads):
            raise UserError(
                f"width={self.width} cannot be shared by heads={self.heads}: each head needs an even number of "
                f"components. Choose a multiple of {2 * self.heads} as the width."
            )
        if self.causal and self.pooling in ("first", "penultimate", "published"):
            raise UserError(
                "The first token of a causal transformer sees no other, so it says nothing of the molecule. "
                'Choose pooling="last" or "mean".'
            )
        if self.depth < 2 and self.pooling in ("penultimate", "published"):
            raise UserError(
                f"pooling={self.pooling} reads the layer before the last one, and there is only one. Choose depth ≥ 2."
            )

    @property
    def molecule(self) -> int:
        """The width of a molecule's vector."""
        return self.width * (len(BLOCKS) if self.pooling == "published" else 1)


class Transformer(Encoder):
    """Pre-norm transformer with rotary positions over the tokens of one SMILES, BEGIN and END among them.

    A molecule without tokens gets zeros. Padding exists only within `layers.attention`, and no row sees it. Under bf16
    autocast products are bf16, and sums and norms fp32. With the published pooling, mean, maximum, first and
    penultimate side by side (arXiv:1911.04738), a molecule is four times as wide as a token, and tokens are not told.
    """

    Config = TransformerConfig
    views = ("smiles",)
    unshaped = ("heads", "causal")

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config, self.width, self.causal = config, config.molecule, config.causal
        self.embedding = nn.Embedding(len(VOCABULARY), config.width)
        nn.init.normal_(self.embedding.weight, std=FIRST)
        self.dropout = Dropout(config.dropout)
        shape = (config.width, config.heads, config.expansion, config.dropout, config.causal)
        self.blocks = nn.ModuleList(Block(*shape) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.score = nn.Linear(config.width, 1) if config.pooling == "attention" else None

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch = cast(SmilesBatch, views["smiles"])
        tokens, before = self.layers(batch)
        return Encoding(self.read_out(tokens, before, batch), tokens if self.width == self.config.width else None)

    def rows(self, batch: SmilesBatch) -> Tensor:
        """A vector for each token, (N, D)."""
        return self.layers(batch)[0]

    def layers(self, batch: SmilesBatch) -> tuple[Tensor, Tensor]:
        """A vector for each token after the last layer, (N, D), and one before it, (N, D) without its norm."""
        owner, place = cast(Tensor, batch.owner), cast(Tensor, batch.place)
        x = self.embedding(cast(Tensor, batch.tokens))
        before = x = self.dropout(pad(x, (0, 0, 0, rounded(len(x)) - len(x))))
        for block in self.blocks:
            before, x = x, block(x, owner, batch.size, place)
        return self.norm(x[: len(owner)]), before[: len(owner)]

    def step(self, tokens: Tensor, past: list[Past] | None = None) -> tuple[Tensor, list[Past]]:
        """The next token of each of B strings, where the network is causal: the row that `rows` would give it.

        tokens: (B,)   past: what the step before gave; None at BEGIN   →   (B, D) and the past of the next step
        """
        assert self.causal, "a token must not have seen the next one"
        place = torch.full_like(tokens, past[0][0].shape[2] if past else 0)
        x, after = self.dropout(self.embedding(tokens)), []
        for number, block in enumerate(self.blocks):
            x, one = cast(Block, block).step(x, place, past[number] if past else None)
            after.append(one)
        return self.norm(x), after

    def read_out(self, tokens: Tensor, before: Tensor, batch: SmilesBatch) -> Tensor:
        """What `layers` gives → molecules, (B, W); zeros for a molecule without tokens."""
        names = BLOCKS if self.config.pooling == "published" else (self.config.pooling,)
        return torch.cat([self.pooled(name, tokens, before, batch) for name in names], 1)

    def pooled(self, pooling: str, tokens: Tensor, before: Tensor, batch: SmilesBatch) -> Tensor:
        """Tokens → molecules by one rule, (N, D) → (B, D)."""
        owner = cast(Tensor, batch.owner)
        if pooling == "mean":
            return mean_by_owner(tokens, owner, batch.size)
        if pooling == "max":
            return max_by_owner(tokens, owner, batch.size)
        if self.score is not None:
            tokens = tokens * softmax_by_owner(self.score(tokens).to(tokens.dtype), owner, batch.size)
            return sum_by_owner(tokens, owner, batch.size)
        here = cast(Tensor, batch.tokens) == (END if pooling == "last" else BEGIN)
        chosen = self.norm(before[here]) if pooling == "penultimate" else tokens[here]
        return sum_by_owner(chosen, owner[here], batch.size)

"""A transformer that writes a SMILES, token by token, while it looks at rows of an encoder."""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from tetramer.encoders.transformer import FIRST, TransformerConfig
from tetramer.layers.attention import CrossBlock, Past
from tetramer.layers.dropout import Dropout
from tetramer.layers.ragged import rounded
from tetramer.objectives.tokens import UNWRITTEN, head, logits, until_end
from tetramer.views.smiles import BEGIN, END, VOCABULARY, SmilesBatch

Context = tuple[Tensor, Tensor]  # rows (M, D), and the molecule that each belongs to (M,), ascending


class Decoder(nn.Module):
    """Causal pre-norm transformer with rotary positions and attention to rows of the same molecule elsewhere.

    Its layers have the encoder's width, heads, expansion and dropout.
    """

    def __init__(self, config: TransformerConfig, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), config.width)
        nn.init.normal_(self.embedding.weight, std=FIRST)
        self.dropout = Dropout(config.dropout)
        shape = (config.width, config.heads, config.expansion, config.dropout)
        self.blocks = nn.ModuleList(CrossBlock(*shape) for _ in range(depth))
        self.norm, self.out = nn.LayerNorm(config.width), head(config.width)

    def forward(self, batch: SmilesBatch, context: Context) -> Tensor:
        """Logits of the token after each of N tokens, (N, V)."""
        owner, place = cast(Tensor, batch.owner), cast(Tensor, batch.place)
        x = self.embedding(cast(Tensor, batch.tokens))
        x = self.dropout(pad(x, (0, 0, 0, rounded(len(x)) - len(x))))
        for block in self.blocks:
            x = block(x, owner, batch.size, place, context)
        return logits(self.out, self.norm(x[: len(owner)]))

    def write(self, context: Context, size: int, longest: int) -> list[str | None]:
        """The string of each of `size` molecules; None where no end came within `longest` tokens."""
        return [until_end(row) for row in self.tokens(context, size, longest).cpu().numpy()]

    @torch.inference_mode()
    def tokens(self, context: Context, size: int, longest: int) -> Tensor:
        """At each place the likeliest token after those before, (size, t), t ≤ longest + 1; END ends a string."""
        blocks = [cast(CrossBlock, block) for block in self.blocks]
        memories = [block.cross.remember(*context, size) for block in blocks]
        past: list[Past | None] = [None] * len(blocks)
        tokens = torch.full((size,), BEGIN, device=self.out.weight.device)
        ended, written = torch.zeros_like(tokens, dtype=torch.bool), []
        for place in range(longest + 1):
            x = self.dropout(self.embedding(tokens))
            for number, block in enumerate(blocks):
                x, past[number] = block.step(x, torch.full_like(tokens, place), past[number], memories[number])
            likely = logits(self.out, self.norm(x))
            likely[:, UNWRITTEN] = -torch.inf
            tokens = likely.argmax(-1)
            written.append(tokens)
            ended |= tokens == END
            if ended.all():
                break
        return torch.stack(written, 1)


def shifted(batch: SmilesBatch) -> tuple[SmilesBatch, Tensor]:
    """What a decoder reads, each molecule from BEGIN to its last token, and what it has to tell after each token, (N,).

    The last of these is END.
    """
    tokens = cast(Tensor, batch.tokens)
    read = tokens != END
    flat = {name: getattr(batch, name)[read] for name in ("tokens", "owner", "place")}
    return replace(batch, **flat), tokens[tokens != BEGIN]

"""What a SMILES network learns from strings alone: the next token."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from tetramer.encoders.lstm import LSTM
from tetramer.encoders.transformer import Transformer
from tetramer.errors import UserError
from tetramer.objectives.base import Loss, Objective, Plain, Sample, of_tokens
from tetramer.objectives.tokens import UNWRITTEN, head, logits, surprise, until_end
from tetramer.views.base import Batch
from tetramer.views.smiles import BEGIN, END, SmilesBatch

PLAIN = Plain()
TOGETHER = 256  # strings written at a time


class NextToken(Objective):
    r"""Predict each token of a SMILES from those before it, :math:`-\frac1N \sum_{i,t} \ln p(x_{i,t} | x_{i,<t})`.

    The mean is over all N predicted tokens of a batch, END among them. The score of validation is the loss; it needs
    no labels. The encoder must not see ahead: an LSTM, or a transformer with `causal=True`.
    """

    def __init__(self, encoder: LSTM | Transformer, config: Plain = PLAIN) -> None:
        super().__init__()
        if not encoder.causal:
            raise UserError(
                "The next token cannot be learned where a token sees those after it. Set causal=True, or use an LSTM."
            )
        of_tokens(encoder)
        self.encoder, self.config, self.views = encoder, config, encoder.views
        self.head = head(encoder.config.width)

    def forward(self, views: Mapping[str, Batch]) -> Tensor:
        """(N, V) logits of the token after each token, in fp32 or better also where the encoder runs in bf16."""
        return logits(self.head, self.encoder.rows(cast(SmilesBatch, views["smiles"])))

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        """Mean cross-entropy; 0 for a batch without tokens. Perplexity is its exponential."""
        batch = cast(SmilesBatch, sample.views["smiles"])
        tokens, owner = cast(Tensor, batch.tokens), cast(Tensor, batch.owner)
        follows = owner[1:] == owner[:-1]  # whether the next row is the next token, and not another molecule
        rows, wanted = self.encoder.rows(batch)[:-1][follows], tokens[1:][follows]
        return Loss(*surprise(logits(self.head, rows), wanted))

    def sample(
        self, count: int, rng: torch.Generator, temperature: float = 1.0, longest: int = 200
    ) -> list[str | None]:
        """New strings, drawn token by token; None where no end came within `longest` tokens.

        temperature: divides the logits; below 1 the likely becomes more likely. Not every string is a molecule.
        """
        if not (count >= 0 and temperature > 0 and longest >= 1):
            raise UserError(
                "Strings are drawn with count ≥ 0, temperature > 0 and longest ≥ 1; "
                f"got {count}, {temperature} and {longest}."
            )
        training = self.training
        self.eval()
        parts = [min(TOGETHER, count - place) for place in range(0, count, TOGETHER)]
        written = [text for part in parts for text in self._written(part, rng, temperature, longest)]
        self.train(training)
        return written

    @torch.inference_mode()
    def _written(self, count: int, rng: torch.Generator, temperature: float, longest: int) -> list[str | None]:
        """`count` strings at once."""
        tokens = torch.full((count,), BEGIN, device=self.head.weight.device)
        ended, written, past = torch.zeros_like(tokens, dtype=torch.bool), [], cast(Any, None)
        for _ in range(longest + 1):
            rows, past = self.encoder.step(tokens, past)
            likely = logits(self.head, rows) / temperature
            likely[:, UNWRITTEN] = -torch.inf
            tokens = torch.multinomial(likely.softmax(-1), 1, generator=rng)[:, 0]
            written.append(tokens)
            ended |= tokens == END
            if ended.all():
                break
        return [until_end(row) for row in torch.stack(written, 1).cpu().numpy()]

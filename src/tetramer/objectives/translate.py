"""What a SMILES network learns from strings alone: the canonical spelling of a molecule from another one."""

from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from tetramer.encoders.transformer import Transformer
from tetramer.errors import UserError, pick
from tetramer.objectives.base import Loss, Objective, Sample, of_tokens
from tetramer.objectives.decoder import Context, Decoder, shifted
from tetramer.objectives.tokens import head, logits, strings, surprise
from tetramer.views.smiles import BEGIN, END, MASK, SPECIAL, VOCABULARY, SmilesBatch

SLOTS = 8  # rows that a code is spread over
HIDDEN, BLANK, RANDOM = 0.15, 0.8, 0.1  # tokens to tell; of these masked, and replaced by any other (arXiv:1810.04805)
Target = Literal["canonical", "same"]
Memory = Literal["tokens", "code"]


@dataclass(frozen=True)
class TranslateConfig:
    depth: int = 2  # layers of the decoder
    target: Target = "canonical"  # what is written: the canonical spelling, or the very one that was read
    memory: Memory = "tokens"  # what the decoder sees: every token of the encoder, or the vector of the molecule alone
    masked: float = 0.25  # share of the molecules whose canonical spelling is read as well, with tokens masked
    weight: float = 1.0  # of the masked tokens' loss

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Target)), self.target, "target")
        pick(dict.fromkeys(get_args(Memory)), self.memory, "memory")
        if self.depth < 1 or not 0 <= self.masked <= 1 or not self.weight >= 0:
            raise UserError(
                "Translation needs depth ≥ 1, masked in [0, 1] and weight ≥ 0; "
                f"got {self.depth}, {self.masked} and {self.weight}."
            )


class Translate(Objective):
    r"""Read a random spelling, write the canonical one; and tell masked tokens of the canonical one from the rest.

    :math:`-\frac1N \sum_{i,t} \ln p(y_{i,t} | y_{i,<t}, x_i) - \frac{w}{M} \sum_{i,t} \ln q(y_{i,t} | \tilde y_i)`,
    N tokens written, END among them, and M masked ones. To write, a decoder has to know which atoms are bound to which:
    the spelling that it read does not tell by its order (doi:10.1039/c8sc04175j).
    """

    Config = TranslateConfig
    others = ("smiles",)

    def __init__(self, encoder: Transformer, config: TranslateConfig = TranslateConfig()) -> None:
        super().__init__()
        if encoder.causal:
            raise UserError("To translate, a token must see those after it as well. Leave out causal=True.")
        if config.memory == "tokens":
            of_tokens(encoder)
        self.encoder, self.config, self.views = encoder, config, encoder.views
        width = encoder.config.width
        self.decoder = Decoder(encoder.config, config.depth)
        self.head = head(width) if config.masked else None
        self.spread = nn.Linear(encoder.width, SLOTS * width) if config.memory == "code" else None

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        """Mean cross-entropy of written and of masked tokens; 0 for a batch without tokens."""
        source, target = self.pair(sample)
        if self.head is None:
            return Loss(*self.translated(*self.encoder.layers(source), source, target))
        spoilt, rows, wanted = corrupt(cast(SmilesBatch, sample.views["smiles"]), self.config.masked, rng)
        last, before = self.encoder.layers(joined(source, spoilt))  # of both at once
        count = len(source.tokens)
        value, parts = self.translated(last[:count], before[:count], source, target)
        more, masked = surprise(logits(self.head, last[count:][rows]), wanted)
        parts |= {f"masked_{name}": part for name, part in masked.items()}
        return Loss(value + self.config.weight * more, parts)

    def translated(
        self, last: Tensor, before: Tensor, source: SmilesBatch, target: SmilesBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of writing `target` from the encoder's two last layers, and its parts."""
        read, wanted = shifted(target)
        return surprise(self.decoder(read, self.context(last, before, source)), wanted)

    def pair(self, sample: Sample) -> tuple[SmilesBatch, SmilesBatch]:
        """What is read and what is to be written."""
        assert sample.others is not None, "there is another spelling"
        source = cast(SmilesBatch, sample.others["smiles"])
        return source, cast(SmilesBatch, sample.views["smiles"]) if self.config.target == "canonical" else source

    def context(self, last: Tensor, before: Tensor, source: SmilesBatch) -> Context:
        """What the decoder sees of the encoder's two last layers: rows (M, D), and the molecule of each (M,)."""
        if self.spread is None:
            return last, cast(Tensor, source.owner)
        code = self.encoder.read_out(last, before, source)
        each = torch.arange(source.size, device=code.device)
        return self.spread(code).view(-1, last.shape[1]), each.repeat_interleave(SLOTS)

    def judge(self, sample: Sample) -> dict[str, float]:
        """How well it knows a molecule: `round_trip`, the share of strings that are written as they should be.

        `same` is the cosine of two spellings' vectors, `other` that of the vectors of a molecule and the next one.
        """
        source, target = self.pair(sample)
        wanted = strings(target)
        last, before = self.encoder.layers(source)
        longest = int(torch.bincount(cast(Tensor, target.owner), minlength=1).max())
        written = self.decoder.write(self.context(last, before, source), source.size, longest)
        code = self.encoder.read_out(last, before, source)
        plain = self.encoder({"smiles": sample.views["smiles"]}).molecule
        return {
            "round_trip": sum(one == text for one, text in zip(written, wanted, strict=True)) / max(1, len(wanted)),
            "same": cosine_similarity(code, plain).mean().item(),
            "other": cosine_similarity(code, plain.roll(1, 0)).mean().item(),
        }


def corrupt(batch: SmilesBatch, share: float, rng: torch.Generator) -> tuple[SmilesBatch, Tensor, Tensor]:
    """About a `share` of the molecules, with tokens to tell: the batch, their rows (M,), and what they were (M,).

    Of the tokens 15 % are to be told. Of these 80 % become MASK, 10 % any token, and 10 % stay. BEGIN and END are never
    among them.
    """
    tokens, owner, place = (cast(Tensor, getattr(batch, name)) for name in ("tokens", "owner", "place"))
    drawn = torch.rand(batch.size, generator=rng) < share  # (B,)
    kept = drawn.to(owner.device)[owner]
    tokens, owner, place = tokens[kept], drawn.to(owner.device).cumsum(0)[owner[kept]] - 1, place[kept]
    chance, fate = (torch.rand(len(tokens), generator=rng).to(tokens.device) for _ in range(2))
    anything = torch.randint(len(SPECIAL), len(VOCABULARY), (len(tokens),), generator=rng).to(tokens.device)
    hidden = (chance < HIDDEN) & (tokens != BEGIN) & (tokens != END)
    spoilt = torch.where(fate < BLANK, MASK, torch.where(fate < BLANK + RANDOM, anything, tokens))
    flat: dict[str, Any] = {"tokens": torch.where(hidden, spoilt, tokens), "owner": owner, "place": place}
    ok: Any = cast(Tensor, batch.ok)[drawn]
    return replace(batch, size=int(drawn.sum()), ok=ok, **flat), hidden.nonzero()[:, 0], tokens[hidden]


def joined(one: SmilesBatch, other: SmilesBatch) -> SmilesBatch:
    """The molecules of two batches as one, those of the second behind."""
    names = ("ok", "tokens", "owner", "place")
    flat: dict[str, Any] = {name: torch.cat([getattr(one, name), getattr(other, name)]) for name in names}
    flat["owner"] = torch.cat([cast(Tensor, one.owner), cast(Tensor, other.owner) + one.size])
    return SmilesBatch(size=one.size + other.size, **flat)

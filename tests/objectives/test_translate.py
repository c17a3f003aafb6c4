"""Translation: what the loss is exactly, that copying is impossible, and that a few molecules are learnt by heart."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from tetramer.encoders.transformer import Pooling, Transformer, TransformerConfig
from tetramer.errors import UserError
from tetramer.molecules import Molecule, parse
from tetramer.objectives import Sample
from tetramer.objectives.decoder import shifted
from tetramer.objectives.tokens import strings
from tetramer.objectives.translate import Memory, Translate, TranslateConfig, corrupt, joined
from tetramer.training import Data
from tetramer.views import smiles
from tetramer.views.smiles import BEGIN, END, MASK, SPECIAL, VOCABULARY, SmilesSettings

TEXTS = ("CCO", "refused", "Cc1ccccc1C(=O)N", "F/C=C/C", "O", "OC1CCC(CC1)c1nc2ccccc2s1")
READABLE = [text for text in TEXTS if text != "refused"]
SMALL: dict[str, Any] = {"width": 16, "depth": 2, "heads": 2, "dropout": 0.0}
every_memory = pytest.mark.parametrize("memory", get_args(Memory))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(*texts: str, variants: int = 4) -> Data:
    told = [parse(text) for text in texts]
    molecules = [one if isinstance(one, Molecule) else None for one in told]
    return Data({"smiles": smiles.featurize(molecules, settings=SmilesSettings(variants))})


def sample(*texts: str, seed: int | None = None) -> Sample:
    rng = None if seed is None else np.random.Generator(np.random.Philox(seed))
    return data(*texts).sample(np.arange(len(texts)), ("smiles",), rng, ("smiles",))


def canonical(drawn: Sample) -> Any:
    return drawn.views["smiles"]


def made(**settings: Any) -> Translate:
    torch.manual_seed(0)
    pooling = settings.pop("pooling", "mean")
    encoder = Transformer(TransformerConfig(**SMALL, pooling=pooling))
    return Translate(encoder, TranslateConfig(**settings)).double().eval()


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_the_input_is_another_spelling_of_the_molecule_that_is_written(seed: int | None) -> None:
    """In validation, which has no seed, as well; so nothing can be copied."""
    network = made()
    source, target = network.pair(sample(*TEXTS, seed=seed))
    for read, written, text in zip(strings(source), strings(target), TEXTS, strict=True):
        told = parse(text)
        if not isinstance(told, Molecule):
            assert (read, written) == ("", "")
            continue
        assert written == told.smiles
        assert isinstance(again := parse(read), Molecule)
        assert again.smiles == written
        assert read != written or text == "O"
    assert strings(source) == strings(network.pair(sample(*TEXTS, seed=seed))[0])
    assert strings(source) != strings(network.pair(sample(*TEXTS, seed=9))[0])


def test_the_same_spelling_is_written_where_that_is_asked_for() -> None:
    drawn = sample(*TEXTS, seed=1)
    source, target = made(target="same", masked=0.0).pair(drawn)
    assert source is target
    assert strings(source) != strings(canonical(drawn))


@every_memory
@pytest.mark.parametrize("pooling", ["mean", "published"])
def test_the_loss_is_the_mean_over_tokens_of_a_loop(memory: Memory, pooling: str) -> None:
    network, drawn = made(memory=memory, pooling=pooling, masked=0.0), sample(*TEXTS)
    source, target = network.pair(drawn)
    last, before = network.encoder.layers(source)
    likely = log_softmax(network.decoder(shifted(target)[0], network.context(last, before, source)), 1)
    costs, right, row = [], 0, 0
    for text in strings(target):
        for token in [*smiles.encode(text), END] if text else []:
            costs.append(-likely[row, token].item())
            right += int(likely[row].argmax()) == token
            row += 1
    loss = network.loss(drawn, seeded())
    assert row == len(likely) == loss.parts["tokens"]
    assert loss.value.item() == pytest.approx(np.mean(costs), rel=1e-12)
    assert loss.parts["accuracy"].item() == pytest.approx(right / row)
    assert loss.parts["perplexity"].item() == pytest.approx(math.exp(np.mean(costs)))
    assert set(loss.parts) == {"perplexity", "accuracy", "tokens"}


@every_memory
def test_a_batch_is_the_mean_of_its_molecules_weighed_by_tokens(memory: Memory) -> None:
    """Whatever the padding that a longer batch mate brings."""
    network = made(memory=memory, masked=0.0)
    alone = [network.loss(sample(text), seeded()) for text in READABLE]
    counts = [int(loss.parts["tokens"]) for loss in alone]
    total = sum(loss.value.item() * count for loss, count in zip(alone, counts, strict=True)) / sum(counts)
    assert counts == [len(smiles.split(text)) + 1 for text in strings(network.pair(sample(*READABLE))[1])]
    assert network.loss(sample(*TEXTS), seeded()).value.item() == pytest.approx(total, rel=1e-12)
    assert network.loss(sample(*reversed(TEXTS)), seeded()).value.item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_every_weight_of_the_encoder_is_taught_or_refused(pooling: str) -> None:
    network = made(memory="code", pooling=pooling)
    network.loss(sample(*READABLE), seeded()).value.backward()
    assert all(weight.grad is not None for weight in network.encoder.parameters())
    if pooling == "attention":
        with pytest.raises(UserError, match=r"Set encoder\.pooling=mean"):
            made(pooling=pooling)
    else:
        network = made(pooling=pooling)
        network.loss(sample(*READABLE), seeded()).value.backward()
        assert all(weight.grad is not None for weight in network.encoder.parameters())


def test_corruption_hides_what_it_says_and_nothing_else() -> None:
    batch = canonical(sample(*READABLE[1:] * 300))
    spoilt: Any
    spoilt, rows, wanted = corrupt(batch, 1.0, seeded())
    assert (spoilt.size, torch.equal(spoilt.owner, batch.owner)) == (batch.size, True)
    assert torch.equal(batch.tokens[rows], wanted)
    edge = torch.isin(batch.tokens, torch.tensor([BEGIN, END]))
    assert not edge[rows].any()
    left = torch.ones(len(edge), dtype=torch.bool)
    left[rows] = False
    assert torch.equal(spoilt.tokens[left], batch.tokens[left])
    assert len(rows) / int((~edge).sum()) == pytest.approx(0.15, abs=0.015)
    now = spoilt.tokens[rows]
    assert (now == MASK).double().mean() == pytest.approx(0.8, abs=0.04)
    assert (now == wanted).double().mean() == pytest.approx(0.1, abs=0.03)
    assert now[now != MASK].min() >= len(SPECIAL)
    assert len(now.unique()) > len(VOCABULARY) / 3  # any token may stand there


def test_a_share_of_the_molecules_is_corrupted_and_the_generator_decides_which() -> None:
    batch = canonical(sample(*TEXTS * 60))
    spoilt: Any
    spoilt, rows, wanted = corrupt(batch, 0.25, seeded(1))
    assert spoilt.size == pytest.approx(0.25 * batch.size, abs=25)
    assert len(wanted) == len(rows)
    lengths = torch.bincount(spoilt.owner, minlength=spoilt.size)
    assert torch.equal(lengths > 0, spoilt.ok)
    starts = (lengths.cumsum(0) - lengths)[lengths > 0]
    assert torch.equal((spoilt.tokens == BEGIN).nonzero()[:, 0], starts)
    again: Any = corrupt(batch, 0.25, seeded(1))[0]
    assert torch.equal(again.tokens, spoilt.tokens)
    assert not torch.equal(corrupt(batch, 0.25, seeded(2))[1], rows)
    nothing, none, empty = corrupt(batch, 0.0, seeded())
    assert (nothing.size, len(nothing.tokens), len(none), len(empty)) == (0, 0, 0, 0)


@every_memory
def test_both_losses_are_those_of_two_passes(memory: Memory) -> None:
    """Strings that are translated and strings that are corrupted go through the encoder at once, but apart."""
    drawn, weight = sample(*TEXTS), 0.7
    network, plain = made(memory=memory, masked=0.5, weight=weight), made(memory=memory, masked=0.0)
    plain.load_state_dict(network.state_dict(), strict=False)
    translated, both = plain.loss(drawn, seeded(3)), network.loss(drawn, seeded(3))
    spoilt, rows, wanted = corrupt(canonical(drawn), 0.5, seeded(3))
    assert network.head is not None
    likely = log_softmax(network.head(network.encoder.rows(spoilt)[rows]), 1)
    masked = -likely.gather(1, wanted[:, None]).mean().item()
    assert len(wanted) == both.parts["masked_tokens"] > 0
    assert both.parts["masked_perplexity"].item() == pytest.approx(math.exp(masked))
    assert both.parts["tokens"] == translated.parts["tokens"]
    assert both.value.item() == pytest.approx(translated.value.item() + weight * masked, rel=1e-12)


def test_the_decoder_sees_all_tokens_of_the_encoder() -> None:
    network = made(masked=0.0)
    source: Any = network.pair(sample(*TEXTS))[0]
    last, before = network.encoder.layers(source)
    rows, owners = network.context(last, before, source)
    assert rows is last
    assert owners is source.owner


def test_the_decoder_sees_the_vector_alone_whatever_the_tokens_behind_it() -> None:
    network = made(masked=0.0, memory="code")
    source: Any = network.pair(sample(*TEXTS))[0]
    last, before = network.encoder.layers(source)
    rows, owners = network.context(last, before, source)
    assert torch.equal(owners, torch.arange(len(TEXTS)).repeat_interleave(8))
    code = network.encoder.read_out(last, before, source)
    same = network.context(code[source.owner], before, source)[0]  # other tokens with the same mean
    torch.testing.assert_close(same, rows, rtol=0, atol=1e-12)


def test_nothing_to_read_costs_nothing() -> None:
    texts: tuple[str, ...]
    for texts in ((), ("refused", "refused")):
        loss = made().loss(sample(*texts), seeded())
        assert loss.value.item() == 0
        assert loss.parts["tokens"] == loss.parts["masked_tokens"] == 0
        loss.value.backward()  # type: ignore[no-untyped-call]


@every_memory
def test_every_weight_learns(memory: Memory) -> None:
    network = made(memory=memory, masked=1.0)
    network.loss(sample(*TEXTS), seeded()).value.backward()  # type: ignore[no-untyped-call]
    assert {name.partition(".")[0] for name in network.state_dict()} <= {"encoder", "decoder", "head", "spread"}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_under_bf16_the_loss_is_fp32() -> None:
    network, drawn = made().float(), sample(*TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network.loss(drawn, seeded()).value
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(network.loss(drawn, seeded()).value.item(), rel=1e-3)


def test_an_encoder_that_sees_half_is_refused() -> None:
    with pytest.raises(UserError, match="Leave out causal=True"):
        Translate(Transformer(TransformerConfig(**SMALL, causal=True)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth": 0},
        {"masked": 1.1},
        {"masked": -0.1},
        {"weight": -1.0},
        {"weight": math.nan},
        {"target": "other"},
        {"memory": "all"},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        TranslateConfig(**wrong)


def test_the_round_trip_counts_strings_and_cosines_are_means(monkeypatch: pytest.MonkeyPatch) -> None:
    network, drawn = made(), sample(*READABLE)
    source, target = network.pair(drawn)
    written = [strings(target)[0], None, "C", *strings(target)[3:]]
    monkeypatch.setattr(network.decoder, "write", lambda context, size, longest: written)
    with torch.no_grad():
        told = network.judge(drawn)
        one, other = network.encoder({"smiles": source}).molecule, network.encoder({"smiles": target}).molecule
    cosines = [torch.cosine_similarity(one, other.roll(shift, 0)).mean().item() for shift in (0, 1)]
    assert told["round_trip"] == pytest.approx(3 / 5)
    assert [told["same"], told["other"]] == pytest.approx(cosines)


CORES = ("c1ccccc1{}", "C1CCCCC1{}", "c1ccncc1{}", "CCC(C){}", "CCOCC{}")


@every_memory
def test_twenty_molecules_are_learnt_by_heart(memory: Memory) -> None:
    """Each is written from a spelling of it, and its spellings are closer to each other than to other molecules."""
    texts, rows = [core.format(group) for core in CORES for group in ("O", "C", "C(=O)O", "Cl")], np.arange(20)
    known = data(*texts, variants=2)
    torch.manual_seed(0)
    encoder = Transformer(TransformerConfig(width=48, depth=2, heads=4, dropout=0.0))
    network = Translate(encoder, TranslateConfig(depth=1, memory=memory, masked=0.0))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for step in range(180):
        rng = np.random.Generator(np.random.Philox(step))
        loss: Tensor = network.loss(known.sample(rows, ("smiles",), rng, ("smiles",)), seeded(step)).value
        optimizer.param_groups[0]["lr"] = 5e-3 * min(1, (180 - step) / 90)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()
    with torch.no_grad():
        held = known.sample(rows, ("smiles",), others=("smiles",))
        told, found = network.judge(held), network.loss(held, seeded())
    assert found.parts["perplexity"] < 1.1
    assert told["round_trip"] >= 0.9
    assert told["same"] > 0.9 > told["other"]


def test_batches_are_joined_end_to_end() -> None:
    one, other = canonical(sample("CO", "refused")), canonical(sample("N", "refused", "O"))
    both = joined(one, other)
    assert both.size == 5
    assert torch.as_tensor(both.ok).tolist() == [True, False, True, False, True]
    assert strings(both) == ["CO", "", "N", "", "O"]

"""The next token: what the loss is exactly, what it may look at, and that strings can be written."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from tetramer.encoders.lstm import LSTM, LSTMConfig
from tetramer.encoders.transformer import Transformer, TransformerConfig
from tetramer.errors import UserError
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.objectives import Sample, next_token
from tetramer.objectives.next_token import NextToken
from tetramer.views import smiles
from tetramer.views.smiles import END, NUMBER, VOCABULARY, SmilesBatch

TEXTS = ("CCO", "refused", "c1ccccc1C(=O)N", "F/C=C/F", "O")
RNG = torch.Generator()


def lstm() -> LSTM:
    return LSTM(LSTMConfig(width=32, depth=1, embedding=16, dropout=0.0))


def transformer() -> Transformer:
    return Transformer(TransformerConfig(width=16, depth=2, heads=2, dropout=0.0, causal=True))


Make = Callable[[], LSTM | Transformer]
every_encoder = pytest.mark.parametrize("make", [lstm, transformer])


def read(*texts: str) -> SmilesBatch:
    told = [parse(text) for text in texts]
    features = smiles.featurize([one if isinstance(one, Molecule) else None for one in told])
    return to_tensors(smiles.collate(features, np.arange(len(texts))))


def made(make: Make, seed: int = 0) -> NextToken:
    torch.manual_seed(seed)
    return NextToken(make()).double().eval()


def value(network: NextToken, batch: SmilesBatch) -> float:
    return network.loss(Sample({"smiles": batch}), RNG).value.item()


@every_encoder
def test_at_first_every_token_is_about_as_likely(make: Make) -> None:
    assert value(made(make), read(*TEXTS)) == pytest.approx(math.log(len(VOCABULARY)), abs=0.05)
    blank = made(make)
    torch.nn.init.zeros_(blank.head.weight)
    loss = blank.loss(Sample({"smiles": read(*TEXTS)}), RNG)
    assert loss.value.item() == pytest.approx(math.log(len(VOCABULARY)), rel=1e-12)
    assert loss.parts["perplexity"].item() == pytest.approx(len(VOCABULARY))


@every_encoder
def test_the_loss_is_the_mean_over_tokens_of_a_loop(make: Make) -> None:
    """Each token from BEGIN on tells the one after it; END is told, BEGIN never is."""
    network, batch = made(make), read(*TEXTS)
    likely = log_softmax(network({"smiles": batch}), 1)
    costs, right = [], 0
    tokens, owner = torch.as_tensor(batch.tokens).tolist(), torch.as_tensor(batch.owner).tolist()
    for place in range(len(tokens) - 1):
        if owner[place] == owner[place + 1]:
            costs.append(-likely[place, tokens[place + 1]].item())
            right += int(likely[place].argmax()) == tokens[place + 1]
    loss = network.loss(Sample({"smiles": batch}), RNG)
    assert len(costs) == len(tokens) - 4 == loss.parts["tokens"]
    assert loss.value.item() == pytest.approx(np.mean(costs), rel=1e-12)
    assert loss.parts["accuracy"].item() == pytest.approx(right / len(costs))
    assert loss.parts["perplexity"].item() == pytest.approx(math.exp(np.mean(costs)))


@every_encoder
def test_a_batch_is_the_mean_of_its_molecules_weighed_by_tokens(make: Make) -> None:
    network = made(make)
    alone = [(value(network, read(text)), len(smiles.split(text)) + 1) for text in TEXTS if text != "refused"]
    total = sum(cost * count for cost, count in alone) / sum(count for _, count in alone)
    assert value(network, read(*TEXTS)) == pytest.approx(total, rel=1e-12)
    assert value(network, read(*reversed(TEXTS))) == pytest.approx(total, rel=1e-12)


@every_encoder
def test_a_prediction_does_not_depend_on_what_comes_after(make: Make) -> None:
    network, batch = made(make), read("CCO", "c1ccccc1C(=O)N")
    tokens, owner = torch.as_tensor(batch.tokens), torch.as_tensor(batch.owner)
    plain = network({"smiles": batch})
    for row in range(1, len(tokens)):
        other: Any = replace(batch, tokens=torch.where(torch.arange(len(tokens)) == row, NUMBER["Br"], tokens))
        moved = (network({"smiles": other}) - plain).abs().amax(1) > 1e-12
        assert not moved[:row].any()
        assert moved[row]  # and does on what comes before
        assert not moved[owner != owner[row]].any()


@every_encoder
def test_answers_go_with_their_molecules(make: Make) -> None:
    network, batch = made(make), read(*TEXTS)
    backwards: Any = read(*reversed(TEXTS))
    plain, other = network({"smiles": batch}), network({"smiles": backwards})
    owner = torch.as_tensor(batch.owner)
    for molecule in owner.unique().tolist():
        there = backwards.owner == len(TEXTS) - 1 - molecule
        torch.testing.assert_close(other[there], plain[owner == molecule], rtol=0, atol=1e-12)


@every_encoder
def test_nothing_to_read_costs_nothing(make: Make) -> None:
    for batch in (read(), read("refused", "refused")):
        loss = made(make).loss(Sample({"smiles": batch}), RNG)
        assert loss.value.item() == 0
        assert loss.parts["tokens"] == 0
        loss.value.backward()  # type: ignore[no-untyped-call]


@every_encoder
def test_under_bf16_the_loss_is_fp32(make: Make) -> None:
    network, batch = made(make).float(), read(*TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network.loss(Sample({"smiles": batch}), RNG).value
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(value(network, batch), rel=1e-3)


def test_a_network_that_sees_ahead_is_refused() -> None:
    with pytest.raises(UserError, match="causal=True"):
        NextToken(Transformer(TransformerConfig(width=32, depth=1, heads=2)))


def test_weights_that_no_loss_of_tokens_teaches_are_refused() -> None:
    with pytest.raises(UserError, match=r"Set encoder\.pooling=mean"):
        NextToken(Transformer(TransformerConfig(width=32, depth=1, heads=2, causal=True, pooling="attention")))


@every_encoder
def test_the_encoders_parameters_can_be_taken_over(make: Make) -> None:
    names = {name for name, _ in made(make).named_parameters()}
    encoder = {f"encoder.{name}" for name, _ in make().named_parameters()}
    assert names == encoder | {"head.weight", "head.bias"}


@every_encoder
def test_three_strings_are_learnt_by_heart_and_written_again(make: Make) -> None:
    """What cannot be known is which of three strings begins: ln 3 for each, whatever follows."""
    strings = ["C=CO", "CC#N", "F[B]Cl"]
    batch, network = read(*strings), made(make).float().train()
    assert [one.smiles for one in map(parse, strings) if isinstance(one, Molecule)] == strings
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    for _ in range(140):
        loss = network.loss(Sample({"smiles": batch}), RNG)
        optimizer.zero_grad()
        loss.value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    tokens = sum(len(smiles.split(text)) + 1 for text in strings)
    assert value(network.eval(), batch) == pytest.approx(3 * math.log(3) / tokens, abs=0.02)
    shares = Counter(network.sample(300, torch.Generator().manual_seed(1)))
    assert sum(shares[text] for text in strings) > 265
    assert all(60 < shares[text] < 130 for text in strings)


def forced(network: NextToken, favourite: int, lead: float) -> NextToken:
    """A network whose next token is the favourite, or another one of equal chances, whatever came before."""
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    with torch.no_grad():
        network.head.bias[favourite] = lead
    return network


@every_encoder
def test_strings_obey_the_generator_and_the_mode_stays(make: Make) -> None:
    network = forced(made(make), END, 4.0).train()
    first, second, third = (network.sample(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first == second
    assert second != third
    assert network.training
    assert network.sample(0, RNG) == []


def test_many_strings_are_written_in_several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_token, "TOGETHER", 4)
    assert len(forced(made(lstm), END, 4.0).sample(10, torch.Generator().manual_seed(1))) == 10


def test_a_string_without_end_is_none() -> None:
    endless = forced(made(lstm), NUMBER["C"], 100.0)
    assert endless.sample(3, RNG, longest=7) == [None] * 3
    assert forced(made(lstm), END, 100.0).sample(3, RNG, longest=1) == [""] * 3


def test_special_tokens_are_never_written() -> None:
    for token in (smiles.PAD, smiles.UNKNOWN, smiles.BEGIN, smiles.MASK):
        written = forced(made(lstm), token, 100.0).sample(40, RNG, longest=50)
        assert not any("<p" in text or "<u" in text or "<b" in text or "<m" in text for text in written if text)


def test_temperature_divides_the_logits() -> None:
    """A lead of ln 269 over 269 others is a chance of one half; at half the temperature, 269 / 270."""
    others = len(VOCABULARY) - 5
    network = forced(made(lstm), END, math.log(others))
    for temperature, chance in ((1.0, 1 / 2), (0.5, others / (others + 1)), (2.0, 1 / (1 + math.sqrt(others)))):
        drawn = network.sample(2000, torch.Generator().manual_seed(3), temperature, longest=1)
        ended = sum(text == "" for text in drawn) / 2000
        assert ended == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 2000) + 1e-3)


@pytest.mark.parametrize("wrong", [{"count": -1}, {"temperature": 0.0}, {"longest": 0}, {"temperature": math.nan}])
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        made(lstm).sample(**({"count": 1, "rng": RNG} | wrong))

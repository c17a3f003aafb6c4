"""The decoder: what it may look at, that it reads what it wrote, and that a padded batch is its molecules."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.encoders.transformer import TransformerConfig
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.objectives.decoder import Context, Decoder, shifted
from tetramer.objectives.tokens import strings
from tetramer.views import smiles
from tetramer.views.smiles import BEGIN, END, MASK, NUMBER, PAD, UNKNOWN, SmilesBatch

TEXTS = ("CCO", "refused", "c1ccccc1C(=O)N", "F/C=C/F", "O")
ROWS = (3, 0, 9, 1, 4)  # of the encoder
WIDTH = 16


def read(*texts: str) -> SmilesBatch:
    told = [parse(text) for text in texts]
    features = smiles.featurize([one if isinstance(one, Molecule) else None for one in told])
    return to_tensors(smiles.collate(features, np.arange(len(texts))))


def made() -> Decoder:
    torch.manual_seed(0)
    config = TransformerConfig(width=WIDTH, depth=1, heads=2, dropout=0.0)
    return Decoder(config, 2).double().eval()


def context(*counts: int) -> Context:
    rows = torch.randn(sum(counts), WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return rows, torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64))


def part(whole: Context, molecule: int) -> Context:
    """What one molecule has of a context."""
    mine = whole[1] == molecule
    return whole[0][mine], torch.zeros(int(mine.sum()), dtype=torch.int64)


@pytest.fixture(autouse=True)
def no_grad() -> Any:
    with torch.no_grad():
        yield


def test_the_input_is_the_shifted_target() -> None:
    """Token t is read where t + 1 is told: the first is BEGIN, the last one told is END, and none is told by itself."""
    inputs, wanted = shifted(read("CO", "refused", "N"))
    n, c, o = (NUMBER[token] for token in "NCO")
    tokens, owner = torch.as_tensor(inputs.tokens), torch.as_tensor(inputs.owner)
    assert tokens.tolist() == [BEGIN, c, o, BEGIN, n]
    assert wanted.tolist() == [c, o, END, n, END]
    assert owner.tolist() == [0, 0, 0, 2, 2]
    assert torch.as_tensor(inputs.place).tolist() == [0, 1, 2, 0, 1]


def test_no_prediction_sees_a_token_that_comes_after() -> None:
    decoder, (inputs, _), seen = made(), shifted(read(*TEXTS)), context(*ROWS)
    tokens, owner = torch.as_tensor(inputs.tokens), torch.as_tensor(inputs.owner)
    plain = decoder(inputs, seen)
    for row in range(len(tokens)):
        other: Any = replace(inputs, tokens=tokens.where(torch.arange(len(tokens)) != row, torch.tensor(NUMBER["Br"])))
        moved = (decoder(other, seen) - plain).abs().amax(1) > 1e-12
        assert torch.equal(moved, (owner == owner[row]) & (torch.arange(len(tokens)) >= row))


def test_every_prediction_sees_all_rows_of_its_molecule_and_no_others() -> None:
    decoder, (inputs, _), (rows, owners) = made(), shifted(read(*TEXTS)), context(*ROWS)
    plain, owner = decoder(inputs, (rows, owners)), torch.as_tensor(inputs.owner)
    for row in range(len(rows)):
        other = rows.clone()
        other[row] += torch.arange(WIDTH)
        moved = (decoder(inputs, (other, owners)) - plain).abs().amax(1) > 1e-12
        assert torch.equal(moved, owner == owners[row])


def test_a_molecule_alone_is_the_molecule_in_a_batch() -> None:
    """Neither the longer string nor the longer context of another molecule matters."""
    decoder, (inputs, _), seen = made(), shifted(read(*TEXTS)), context(*ROWS)
    whole, owner = decoder(inputs, seen), torch.as_tensor(inputs.owner)
    for molecule, text in enumerate(TEXTS):
        alone = decoder(shifted(read(text))[0], part(seen, molecule))
        torch.testing.assert_close(whole[owner == molecule], alone, rtol=0, atol=1e-12)


def loud() -> Decoder:
    """A decoder with something to say: the first weights of its last layer are too small for that."""
    decoder = made()
    decoder.out.weight.normal_(generator=torch.Generator().manual_seed(3))
    return decoder


def test_what_is_written_is_the_likeliest_token_after_what_was_written() -> None:
    decoder, seen = loud(), context(*ROWS)
    written = decoder.tokens(seen, len(ROWS), 9)
    assert written.shape == (len(ROWS), 10)
    assert len(written.unique()) > 5
    for molecule, told in enumerate(written):
        tokens: Any = torch.cat([torch.tensor([BEGIN]), told[:-1]])
        zeros: Any = torch.zeros_like(tokens)
        place: Any = torch.arange(len(tokens))
        alone = SmilesBatch(size=1, ok=np.ones(1, bool), tokens=tokens, owner=zeros, place=place)
        likely = decoder(alone, part(seen, molecule))
        likely[:, [PAD, UNKNOWN, BEGIN, MASK]] = -torch.inf
        assert torch.equal(likely.argmax(1), told)


def test_alone_or_in_a_batch_the_same_string_is_written() -> None:
    decoder, seen = loud(), context(*ROWS)
    together = decoder.tokens(seen, len(ROWS), 9)
    assert torch.equal(
        together, torch.cat([decoder.tokens(part(seen, molecule), 1, 9) for molecule in range(len(ROWS))])
    )


def test_a_string_without_end_is_none_and_special_tokens_are_never_written() -> None:
    decoder, seen = made(), context(2, 3)
    decoder.out.weight.zero_()
    decoder.out.bias[NUMBER["C"]] = 1.0
    assert decoder.write(seen, 2, 7) == [None, None]
    decoder.out.bias[[PAD, UNKNOWN, BEGIN, MASK]] = 5.0
    decoder.out.bias[END] = 2.0
    assert decoder.write(seen, 2, 1) == ["", ""]
    assert decoder.write(context(), 0, 4) == []


def test_before_training_every_token_is_about_as_likely() -> None:
    inputs, wanted = shifted(read(*TEXTS))
    told = torch.log_softmax(made()(inputs, context(*ROWS)), 1)
    assert -told.gather(1, wanted[:, None]).mean() == pytest.approx(math.log(len(smiles.VOCABULARY)), abs=0.05)


def test_strings_of_a_batch() -> None:
    assert strings(read("CCO", "refused", "c1ccccc1")) == ["CCO", "", "c1ccccc1"]
    assert strings(read()) == []


def test_every_weight_learns() -> None:
    decoder, (inputs, wanted), seen = made(), shifted(read(*TEXTS)), context(*ROWS)
    with torch.enable_grad():
        torch.nn.functional.cross_entropy(decoder(inputs, seen), wanted).backward()  # type: ignore[no-untyped-call]
    for name, parameter in decoder.named_parameters():
        grad: Tensor | None = parameter.grad
        assert grad is not None, name
        assert grad.any(), name

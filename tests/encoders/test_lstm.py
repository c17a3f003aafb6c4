"""The LSTM over SMILES: its size, its arithmetic, and where it is read."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.encoders import lstm
from tetramer.encoders.lstm import LSTM, LSTMConfig, Pooling
from tetramer.errors import UserError
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.views import smiles
from tetramer.views.smiles import MASK, VOCABULARY, SmilesBatch

TEXTS = ("CCO", "refused", "c1ccccc1C(=O)N", "[Na+].[Cl-]", "C" * 60, "refused", "F/C=C/F", "O")
SMALL = {"width": 16, "depth": 2, "embedding": 12}


def read(*texts: str) -> SmilesBatch:
    told = [parse(text) for text in texts]
    features = smiles.featurize([one if isinstance(one, Molecule) else None for one in told])
    return to_tensors(smiles.collate(features, np.arange(len(texts))))


def made(dtype: torch.dtype = torch.float64, **settings: Any) -> LSTM:
    torch.manual_seed(0)
    return LSTM(LSTMConfig(**(SMALL | settings))).to(dtype).eval()


@pytest.fixture(autouse=True)
def no_grad() -> Any:
    with torch.no_grad():
        yield


def test_the_default_size_is_the_studys() -> None:
    """Three layers of 256; each has four gates with weights from below and from before, and two biases."""
    encoder = LSTM(LSTMConfig())
    layer = 4 * 256 * (256 + 256) + 2 * 4 * 256
    assert sum(p.numel() for p in encoder.parameters()) == len(VOCABULARY) * 256 + 3 * layer == 1_649_152
    assert encoder.width == 256


def by_hand(encoder: LSTM, tokens: Tensor) -> Tensor:
    """One molecule, one token at a time, from the equations of the cell. (T,) → (T, D)"""
    x = encoder.embedding(tokens)
    for layer in range(encoder.config.depth):
        below, before, b1, b2 = (getattr(encoder.layers, name) for name in encoder.layers._all_weights[layer])
        h = c = x.new_zeros(encoder.width)
        rows = []
        for row in x:
            i, f, g, o = (below @ row + b1 + before @ h + b2).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            rows.append(h)
        x = torch.stack(rows)
    return x


@pytest.mark.parametrize("together", [1, 2, lstm.TOGETHER])
def test_strings_side_by_side_equal_the_equations_one_by_one(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm, "TOGETHER", together)
    encoder, batch = made(), read(*TEXTS)
    tokens, owner = torch.as_tensor(batch.tokens), torch.as_tensor(batch.owner)
    expected = [by_hand(encoder, tokens[owner == molecule]) for molecule in owner.unique().tolist()]
    torch.testing.assert_close(encoder.rows(batch), torch.cat(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_molecule_alone_is_the_molecule_in_a_batch(pooling: str, dtype: torch.dtype, bound: float) -> None:
    encoder = made(dtype, pooling=pooling)
    together = encoder({"smiles": read(*TEXTS)})
    alone = [encoder({"smiles": read(text)}) for text in TEXTS]
    torch.testing.assert_close(together.molecule, torch.cat([one.molecule for one in alone]), rtol=0, atol=bound)
    rows = encoder.rows(read(*TEXTS))
    torch.testing.assert_close(rows, torch.cat([encoder.rows(read(text)) for text in TEXTS]), rtol=0, atol=bound)
    assert together.tokens is None if pooling == "mean+last" else torch.equal(together.tokens, rows)
    backwards = encoder({"smiles": read(*reversed(TEXTS))}).molecule.flip(0)
    torch.testing.assert_close(backwards, together.molecule, rtol=0, atol=bound)


def test_a_molecule_without_tokens_is_zeros_and_no_molecule_is_no_row() -> None:
    for pooling in ("last", "mean", "max", "mean+last"):
        encoder, width = made(pooling=pooling), 32 if pooling == "mean+last" else 16
        assert not encoder({"smiles": read(*TEXTS)}).molecule[[1, 5]].any()
        nothing, empty = encoder({"smiles": read("refused")}), encoder({"smiles": read()})
        assert not nothing.molecule.any()
        assert (nothing.molecule.shape, empty.molecule.shape, encoder.width) == ((1, width), (0, width), width)
        assert encoder.rows(read("refused")).shape == encoder.rows(read()).shape == (0, 16)


def test_poolings_of_the_same_tokens() -> None:
    batch: Any = read("CCO", "c1ccccc1")
    tokens = made().rows(batch)[batch.owner == 1]
    want = {"mean": tokens.mean(0), "max": tokens.amax(0), "last": tokens[-1]}
    for pooling, molecule in (want | {"mean+last": torch.cat([want["mean"], want["last"]])}).items():
        torch.testing.assert_close(made(pooling=pooling)({"smiles": batch}).molecule[1], molecule)


def test_a_token_sees_those_before_it_and_no_others() -> None:
    batch: Any = read("CCO", "c1ccccc1C(=O)N", "CN")
    encoder = made()
    plain = encoder.rows(batch)
    for row in range(len(batch.tokens)):
        tokens = batch.tokens.clone()
        tokens[row] = MASK
        moved = (encoder.rows(replace(batch, tokens=tokens)) - plain).abs().amax(1) > 1e-12
        assert torch.equal(moved, (batch.owner == batch.owner[row]) & (batch.place >= batch.place[row]))


def test_the_order_of_tokens_matters() -> None:
    batch: Any = read("CCOCN")
    tokens = batch.tokens.clone()
    tokens[[2, 5]] = tokens[[5, 2]]
    plain, other = (made()({"smiles": one}).molecule for one in (batch, replace(batch, tokens=tokens)))
    assert (plain - other).norm() > 1e-3 * plain.norm()


def test_step_by_step_is_all_at_once() -> None:
    batch: Any = read("CCOC", "NCCN", "OCCO")
    encoder = made()
    whole, past = encoder.rows(batch).view(3, 6, 16), None
    for step in range(6):
        now, past = encoder.step(batch.tokens.view(3, 6)[:, step], past)
        torch.testing.assert_close(now, whole[:, step], rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2])
def test_dropout_is_off_in_evaluation(depth: int) -> None:
    encoder, batch = made(dropout=0.5, depth=depth), read("CCO")
    assert torch.equal(encoder({"smiles": batch}).molecule, encoder({"smiles": batch}).molecule)
    encoder.train()
    assert not torch.equal(encoder({"smiles": batch}).molecule, encoder({"smiles": batch}).molecule)


def test_under_bf16_molecules_stay_fp32() -> None:
    encoder, batch = made(torch.float32, width=64), read(*TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder({"smiles": batch}).molecule
    assert mixed.dtype == torch.float32
    exact = encoder({"smiles": batch}).molecule
    torch.testing.assert_close(mixed, exact, rtol=0, atol=0.02 * exact.abs().max().item())


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"depth": 0}, {"embedding": 0}, {"dropout": 1.0}, {"pooling": "first"}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        LSTMConfig(**wrong)

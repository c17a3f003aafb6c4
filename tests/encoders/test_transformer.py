"""The transformer over SMILES: its size, who sees whom, and how tokens become a molecule."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.encoders.transformer import Pooling, Transformer, TransformerConfig
from tetramer.errors import UserError
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.views import smiles
from tetramer.views.smiles import BEGIN, END, VOCABULARY, SmilesBatch

TEXTS = ("CCO", "refused", "c1ccccc1C(=O)N", "[Na+].[Cl-]", "C" * 60, "refused", "F/C=C/F", "O")
SMALL = {"width": 16, "depth": 2, "heads": 2}


def read(*texts: str) -> SmilesBatch:
    told = [parse(text) for text in texts]
    features = smiles.featurize([one if isinstance(one, Molecule) else None for one in told])
    return to_tensors(smiles.collate(features, np.arange(len(texts))))


def made(dtype: torch.dtype = torch.float64, **settings: Any) -> Transformer:
    torch.manual_seed(0)
    return Transformer(TransformerConfig(**(SMALL | settings))).to(dtype).eval()


@pytest.fixture(autouse=True)
def no_grad() -> Any:
    with torch.no_grad():
        yield


def test_the_default_size() -> None:
    """Per layer 12 D² weights, 6 D biases of the two halves and 4 D of the norms."""
    encoder = Transformer(TransformerConfig())
    layer = 12 * 256**2 + 6 * 256 + 4 * 256
    assert sum(p.numel() for p in encoder.parameters()) == len(VOCABULARY) * 256 + 4 * layer + 2 * 256 == 3_226_624
    assert encoder.width == 256


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_molecule_alone_is_the_molecule_in_a_batch(pooling: str, dtype: torch.dtype, bound: float) -> None:
    encoder = made(dtype, pooling=pooling)
    together = encoder({"smiles": read(*TEXTS)})
    alone = [encoder({"smiles": read(text)}) for text in TEXTS]
    torch.testing.assert_close(together.molecule, torch.cat([one.molecule for one in alone]), rtol=0, atol=bound)
    if pooling != "published":
        torch.testing.assert_close(together.tokens, torch.cat([one.tokens for one in alone]), rtol=0, atol=bound)
    backwards = encoder({"smiles": read(*reversed(TEXTS))}).molecule.flip(0)
    torch.testing.assert_close(backwards, together.molecule, rtol=0, atol=bound)


def test_a_molecule_without_tokens_is_zeros_and_no_molecule_is_no_row() -> None:
    for pooling in ("mean", "max", "first", "penultimate", "attention"):
        encoder = made(pooling=pooling)
        assert not encoder({"smiles": read(*TEXTS)}).molecule[[1, 5]].any()
        nothing, empty = encoder({"smiles": read("refused")}), encoder({"smiles": read()})
        assert not nothing.molecule.any()
        assert (nothing.molecule.shape, nothing.tokens.shape) == ((1, 16), (0, 16))
        assert (empty.molecule.shape, empty.tokens.shape) == ((0, 16), (0, 16))


def test_poolings_of_the_same_tokens() -> None:
    batch: Any = read("CCO", "c1ccccc1")
    encoder = made(pooling="attention")
    tokens, part = encoder({"smiles": batch}).tokens, batch.owner == 1
    assert encoder.score is not None
    weight = encoder.score(tokens[part]).softmax(0)
    expected = {
        "mean": tokens[part].mean(0),
        "max": tokens[part].amax(0),
        "first": tokens[part][0],
        "last": tokens[part][-1],
        "attention": (tokens[part] * weight).sum(0),
    }
    for pooling, molecule in expected.items():
        other = made(pooling=pooling)
        other.load_state_dict(encoder.state_dict(), strict=pooling == "attention")
        torch.testing.assert_close(other({"smiles": batch}).molecule[1], molecule)


def test_the_published_vector_is_four_blocks() -> None:
    """Mean and maximum of all tokens, BEGIN, and BEGIN after one layer of two."""
    batch: Any = read("CCO", "refused", "c1ccccc1")
    encoder, plain, shallow = made(pooling="published"), made(), made(depth=1)
    shallow.load_state_dict(encoder.state_dict(), strict=False)
    tokens, early = plain.rows(batch), shallow.rows(batch)
    told = encoder({"smiles": batch})
    assert (encoder.width, told.molecule.shape, told.tokens) == (64, (3, 64), None)
    assert encoder.state_dict().keys() == plain.state_dict().keys()  # one may begin with the other's weights
    assert not told.molecule[1].any()
    for row in (0, 2):
        part = batch.owner == row
        blocks = [tokens[part].mean(0), tokens[part].amax(0), tokens[part][0], early[part][0]]
        torch.testing.assert_close(told.molecule[row], torch.cat(blocks))
    alone = made(pooling="penultimate")({"smiles": batch})
    torch.testing.assert_close(alone.molecule, told.molecule[:, 48:])
    assert alone.tokens is not None


def swapped(batch: Any, one: int, other: int) -> SmilesBatch:
    tokens = batch.tokens.clone()
    tokens[[one, other]] = tokens[[other, one]]
    moved: SmilesBatch = replace(batch, tokens=tokens)
    return moved


def test_the_order_of_tokens_matters() -> None:
    batch = read("CCOCN")
    plain, other = (made()({"smiles": one}).molecule for one in (batch, swapped(batch, 2, 5)))
    assert (plain - other).norm() > 1e-3 * plain.norm()


@pytest.mark.parametrize("causal", [False, True])
def test_a_causal_token_does_not_see_ahead(causal: bool) -> None:
    batch: Any = read("CCO", "c1ccccc1C(=O)N", "CN")
    encoder = made(causal=causal)
    plain = encoder.rows(batch)
    for row in range(len(batch.tokens)):
        tokens = batch.tokens.clone()
        tokens[row] = smiles.MASK
        moved = (encoder.rows(replace(batch, tokens=tokens)) - plain).abs().amax(1) > 1e-9
        mine = batch.owner == batch.owner[row]
        assert torch.equal(moved, mine & (batch.place >= batch.place[row]) if causal else mine)


def test_step_by_step_is_all_at_once() -> None:
    batch: Any = read("CCOC", "NCCN", "OCCO")
    encoder = made(causal=True)
    whole = encoder.rows(batch).view(3, 6, 16)
    tokens: Tensor = batch.tokens.view(3, 6)
    assert (tokens[:, 0] == BEGIN).all()
    assert (tokens[:, -1] == END).all()
    past = None
    for step in range(6):
        now, past = encoder.step(tokens[:, step], past)
        torch.testing.assert_close(now, whole[:, step], rtol=0, atol=1e-12)


def test_step_by_step_needs_a_causal_network() -> None:
    with pytest.raises(AssertionError):
        made().step(torch.tensor([BEGIN]))


def test_dropout_is_off_in_evaluation() -> None:
    encoder, batch = made(dropout=0.5), read("CCO")
    assert torch.equal(encoder({"smiles": batch}).molecule, encoder({"smiles": batch}).molecule)
    encoder.train()
    assert not torch.equal(encoder({"smiles": batch}).molecule, encoder({"smiles": batch}).molecule)


def test_under_bf16_molecules_stay_fp32() -> None:
    encoder, batch = made(torch.float32, width=64), read(*TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder({"smiles": batch}).molecule
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, encoder({"smiles": batch}).molecule, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"depth": 0},
        {"heads": 0},
        {"expansion": 0},
        {"dropout": 1.0},
        {"pooling": "median"},
        {"width": 256, "heads": 3},
        {"width": 24, "heads": 8},  # three components cannot be turned in pairs
        {"causal": True, "pooling": "first"},
        {"causal": True, "pooling": "penultimate"},
        {"causal": True, "pooling": "published"},
        {"depth": 1, "pooling": "published"},
        {"depth": 1, "pooling": "penultimate"},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        TransformerConfig(**wrong)

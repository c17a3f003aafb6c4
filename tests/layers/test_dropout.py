import pytest
import torch

from tetramer.layers.dropout import Dropout, draw


def test_numbers_are_zeroed_or_scaled_at_the_asked_rate():
    x = torch.ones(1000, 301)
    torch.manual_seed(0)
    told = Dropout(0.1)(x)
    kept = told != 0
    assert kept.float().mean().item() == pytest.approx(0.9, abs=3e-3)  # five standard errors
    scale = 65536 / (65536 - round(0.1 * 65536))
    assert torch.equal(told[kept], torch.full_like(told[kept], scale))
    assert told.mean().item() == pytest.approx(1.0, abs=3e-3)


def test_it_is_a_function_of_the_generator_and_leaves_rows_and_columns_uncorrelated():
    x, layer = torch.randn(400, 400), Dropout(0.5)
    torch.manual_seed(3)
    first = layer(x)
    second = layer(x)
    torch.manual_seed(3)
    assert torch.equal(first, layer(x))
    assert not torch.equal(first, second)
    kept = (first != 0).double() - 0.5
    assert kept.mean(0).abs().max() < 0.15
    assert (kept[:, 1:] * kept[:, :-1]).mean().abs() < 0.004
    assert (kept[1:] * kept[:-1]).mean().abs() < 0.004


def test_the_gradient_passes_where_the_number_passed():
    x = torch.randn(50, 7, requires_grad=True, dtype=torch.float64)
    told = Dropout(0.3)(x)
    told.sum().backward()
    assert torch.allclose(x.grad * x.detach(), told.detach())


@pytest.mark.parametrize("rate", [0.0, 1e-9])
def test_no_rate_changes_nothing(rate):
    x = torch.randn(11, 3)
    assert torch.equal(Dropout(rate)(x), x)


def test_all_or_nothing():
    x = torch.randn(11, 3)
    assert torch.equal(Dropout(1.0)(x), torch.zeros_like(x))
    assert Dropout(0.9).eval()(x) is x
    assert Dropout(0.5)(torch.zeros(0, 3)).shape == (0, 3)


def test_halves_keep_their_type():
    assert Dropout(0.5)(torch.randn(9, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_draws_fill_sixteen_bits():
    torch.manual_seed(1)
    told = draw(1_000_003)
    assert told.shape == (1_000_003,)
    counts = torch.bincount(((told.long() + 2**15) >> 12), minlength=16).double() / len(told)
    assert (counts - 1 / 16).abs().max() < 0.0015  # six standard errors

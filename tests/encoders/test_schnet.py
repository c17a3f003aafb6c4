"""SchNet: its sizes, its activation, its pairs."""

import math
from typing import Any

import pytest
import torch

from tetramer.encoders.schnet import Layer, SchNet, SchNetConfig, ShiftedSoftplus, look
from tetramer.errors import UserError
from tetramer.layers.dropout import Dropout


@pytest.mark.parametrize(
    "width, filters, gaussians, thousands",
    [(32, 128, 50, 68.9), (64, 128, 50, 97.9), (512, 128, 50, 1149), (128, 256, 100, 377), (256, 512, 50, 1325)],
)
def test_3dgcls_encoders_have_their_sizes(width: int, filters: int, gaussians: int, thousands: float) -> None:
    """3DGCL has 100 elements and no charges; the rest is the same."""
    config = SchNetConfig(width=width, depth=2, filters=filters, gaussians=gaussians, cutoff=5.0, half=True)
    encoder = SchNet(config)
    ours = sum(p.numel() for p in encoder.parameters()) - sum(p.numel() for p in encoder.atoms.parameters())
    assert (ours + 100 * width) / 1000 == pytest.approx(thousands, abs=0.5 if thousands > 100 else 0.05)


def test_the_activation_is_zero_at_zero_and_its_slope_one_half() -> None:
    x = torch.tensor([0.0, 30.0, -30.0], dtype=torch.float64, requires_grad=True)
    y = ShiftedSoftplus()(x)
    assert y.tolist() == pytest.approx([0, 30 - math.log(2), -math.log(2)], abs=1e-8)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([0.5, 1, 0], abs=1e-8)


def test_pairs_are_listed_once_with_both_places(build: Any) -> None:
    x = torch.from_numpy(build.scattered(1, 14).positions).view(2, 7, 3)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 5:] = False
    space = look(x, mask, 10, 4.0)
    seen = torch.zeros(2 * 7 * 7, dtype=torch.int64).index_add(0, space.places, torch.ones_like(space.places))
    d = torch.cdist(x, x)
    near = (d < 4) & mask[:, :, None] & mask[:, None] & ~torch.eye(7, dtype=torch.bool)
    assert torch.equal(seen.view(2, 7, 7).bool(), near)
    assert seen.max() == 1
    one, two = space.places.chunk(2)
    assert torch.equal(d.transpose(1, 2).flatten()[one], d.flatten()[two])
    assert (one % 7 > one // 7 % 7).all()
    assert len(space.basis) == len(one)


def test_filters_and_their_sums_are_fp32_under_bf16(build: Any) -> None:
    """What reaches an atom is a sum of fp32 products."""
    layer, seen = Layer(SchNetConfig(width=8, filters=8, gaussians=5)), []
    layer.update.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x, mask = torch.from_numpy(build.scattered(5, 9).positions).float()[None], torch.ones(1, 9, dtype=torch.bool)
    h = torch.randn(1, 9, 8)
    with torch.autocast("cpu", torch.bfloat16):
        space = look(x, mask, 5, 4.0)
        layer(h, space)
        filters, sent = layer.filter(space.basis), layer.sender(h)[0].double()
    assert (filters.dtype, space.basis.dtype, seen[0].dtype) == (torch.bfloat16, torch.float32, torch.float32)
    expected = torch.zeros(9, 8, dtype=torch.float64)
    for row, place in zip((filters.double() * space.envelope).repeat(2, 1), space.places.tolist(), strict=True):
        expected[place // 9] += row * sent[place % 9]
    torch.testing.assert_close(seen[0][0].double(), expected, rtol=1e-5, atol=1e-6)


def test_dropout_acts_on_filters_and_before_last_layers() -> None:
    encoder = SchNet(SchNetConfig(width=8, depth=1, dropout=0.3))
    where = [name for name, module in encoder.named_modules() if isinstance(module, Dropout)]
    assert where == ["layers.0.dropout", "layers.0.update.2", "out.2"]


def test_filters_and_functions_out_of_range_are_refused() -> None:
    for wrong in ({"filters": 0}, {"gaussians": 1}):
        with pytest.raises(UserError, match="gaussians ≥ 2"):
            SchNetConfig(**wrong)  # type: ignore[arg-type]

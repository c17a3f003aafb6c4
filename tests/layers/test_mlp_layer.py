"""Stacks of linear layers."""

import torch
from torch import nn

from tetramer.layers import mlp


def test_the_order_of_layers() -> None:
    kinds = [type(layer).__name__ for layer in mlp(4, (3, 2), 1)]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]


def test_without_outputs_the_last_width_is_activated() -> None:
    body = mlp(4, (3, 2))
    assert body(torch.randn(50, 4)).shape == (50, 2)
    assert (body(torch.randn(50, 4)) >= 0).all()


def test_no_hidden_layer_is_one_linear_map() -> None:
    (only,) = mlp(4, (), 2)
    assert isinstance(only, nn.Linear)
    assert only.weight.shape == (2, 4)

"""A stack of linear layers."""

from collections.abc import Sequence

from torch import nn

from tetramer.layers.dropout import Dropout


def mlp(
    inputs: int, widths: Sequence[int], outputs: int | None = None, dropout: float = 0.0, normalise: bool = False
) -> nn.Sequential:
    """Linear, layer norm if asked, ReLU and dropout for each of `widths`, then a plain linear layer to `outputs`.

    (…, inputs) → (…, outputs or widths[-1])
    """
    layers: list[nn.Module] = []
    for width in widths:
        norm = [nn.LayerNorm(width)] if normalise else []
        layers += [nn.Linear(inputs, width), *norm, nn.ReLU(), Dropout(dropout)]
        inputs = width
    if outputs is not None:
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)

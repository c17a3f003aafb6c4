"""Dropout from cheap random numbers."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    r"""While training, each number is zeroed with probability `rate`, and the others divided by 1 − rate.

    On a CPU torch's own dropout draws a double for each number, a fifth of a step of a small graph network. Here each
    takes 16 bits of torch's generator, so the rate is rounded to a multiple of 2⁻¹⁶, and the expectation stays exact.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(…) → (…)"""
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.rate)
        dropped = round(self.rate * 2**16)
        kept = draw(x.numel()).view(x.shape) >= dropped - 2**15
        return x * kept.to(x.dtype).mul_(2**16 / (2**16 - dropped) if dropped < 2**16 else 0.0)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return f"rate={self.rate}"


def draw(count: int) -> Tensor:
    """(count,) int16, uniform, of torch's generator."""
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.int16)[:count]

"""Which rule moves the weights: Adam, AdamW, or Muon for matrices with AdamW for the rest."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

Group = dict[str, Any]  # parameters that share settings, as optimizers of torch have them
APART = (nn.Embedding, nn.RNNBase)  # layers whose matrices AdamW moves: an LSTM learns far slower by Muon
LARGEST = 1024  # rows or columns of a matrix that Muon moves; the first layer behind a fingerprint is more of a table


class Muon:
    """Muon for the matrices of a network, AdamW for its vectors and the layers of APART.

    A step along a matrix is its momentum with all singular values made about 1 (Jordan et al. 2024), its numbers as
    large as those of a step of AdamW (arXiv:2502.16982), so that one learning rate serves both.
    """

    def __init__(self, groups: Iterable[Group], apart: set[int], rate: float, decay: float) -> None:
        """apart: `id` of the matrices that AdamW moves"""
        matrices, others = [], []
        for group in groups:
            shapes = [() if id(one) in apart else tuple(one.shape) for one in group["params"]]
            moved = [len(shape) == 2 and min(shape) > 1 and max(shape) <= LARGEST for shape in shapes]
            pairs = list(zip(group["params"], moved, strict=True))
            matrices.append(group | {"params": [weight for weight, told in pairs if told]})
            others.append(group | {"params": [weight for weight, told in pairs if not told]})
        self.parts: tuple[torch.optim.Optimizer, torch.optim.Optimizer] = (
            torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, weight_decay=decay, fused=True),
        )

    @property
    def param_groups(self) -> list[Group]:
        """Those of both."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        """Move all weights that have a gradient."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """`state` by the place of a weight: those of AdamW are counted on from those of Muon."""
        muon, adam = (part.state_dict()["state"] for part in self.parts)
        return {"state": muon | {self._first + place: moments for place, moments in adam.items()}}

    def load_state_dict(self, told: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        muon = {place: moments for place, moments in told["state"].items() if place < self._first}
        adam = {place - self._first: told["state"][place] for place in told["state"].keys() - muon.keys()}
        for part, state in zip(self.parts, (muon, adam), strict=True):
            part.load_state_dict(part.state_dict() | {"state": state})

    @property
    def _first(self) -> int:
        return sum(len(group["params"]) for group in self.parts[0].param_groups)


Optimizer = torch.optim.Optimizer | Muon
OPTIMIZERS = ("adam", "adamw", "muon")


def optimizer(name: str, objective: nn.Module, groups: list[Group], rate: float, decay: float) -> Optimizer:
    """One of OPTIMIZERS for the weights in `groups`, which are of `objective`."""
    if name == "muon":
        layers = (module for module in objective.modules() if isinstance(module, APART))
        return Muon(groups, {id(weight) for layer in layers for weight in layer.parameters()}, rate, decay)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, weight_decay=decay, fused=True)

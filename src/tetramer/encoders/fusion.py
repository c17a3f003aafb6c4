"""Several views of one molecule joined into one vector; a view may be absent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from tetramer.encoders.base import Encoder, Encoding
from tetramer.encoders.combining import CombiningEGNN, CombiningMPNN
from tetramer.encoders.egnn import EGNN
from tetramer.encoders.gin import GIN
from tetramer.encoders.lstm import LSTM
from tetramer.encoders.mlp import MLP
from tetramer.encoders.mpnn import MPNN
from tetramer.encoders.painn import PaiNN
from tetramer.encoders.reaction import OF_REACTIONS
from tetramer.encoders.schnet import SchNet
from tetramer.encoders.tag import TAG
from tetramer.encoders.transformer import Transformer
from tetramer.errors import UserError, pick
from tetramer.layers.pooling import softmax_by_owner, sum_by_owner
from tetramer.settings import configured
from tetramer.views.base import Batch, Features

# view → encoders that look at it; the first one is meant where none is named
BRANCHES: dict[str, dict[str, type[Encoder]]] = {
    "fingerprint": {"mlp": MLP},
    "smiles": {"transformer": Transformer, "lstm": LSTM},
    "graph": {"mpnn": MPNN, "tag": TAG, "gin": GIN, "combining-mpnn": CombiningMPNN, **OF_REACTIONS},
    "conformer": {"painn": PaiNN, "egnn": EGNN, "schnet": SchNet, "combining-egnn": CombiningEGNN},
}
Join = Literal["concat", "mean", "gated", "attention", "residual"]
HEADS = 4  # of the attention join


@dataclass(frozen=True)
class FusionConfig:
    branches: Mapping[str, Any] = field(default_factory=lambda: {"graph": {}, "conformer": {}})  # view → its settings
    join: Join = "residual"
    base: str = ""  # the view that a residual join starts from; "": the last one
    width: int = 256  # of the joined vector; "concat" has the sum of the branches, "residual" the width of its base
    normalise: bool = True  # every branch's vector, before it is joined
    absent: float = 0.15  # chance, in training, that a branch is taken as absent; 0: a molecule needs them all

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Join)), self.join, "fusion")
        for view, settings in self.branches.items():
            branch_of(view, settings)
        if len(self.branches) < 2:
            raise UserError(f"A fusion needs two views or more; got {', '.join(self.branches) or 'none'}.")
        if self.base and self.base not in self.branches:
            raise UserError(f"base={self.base!r} is none of the branches: {', '.join(self.branches)}.")
        if self.width < HEADS or self.width % HEADS or not 0 <= self.absent < 1:
            raise UserError(
                f"A fusion needs a width that {HEADS} divides and absent in [0, 1); got {self.width}, {self.absent}."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The branches in the order of BRANCHES, whatever that of the settings: a card keeps none."""
        return tuple(view for view in BRANCHES if view in self.branches)

    @property
    def start(self) -> str:
        """The view that a residual join starts from; "" for another join."""
        return (self.base or self.names[-1]) if self.join == "residual" else ""

    @property
    def plain(self) -> tuple[str, ...]:
        """The branches whose vectors keep their length, so that a sum of atoms stays one."""
        return tuple(view for view in self.names if not self.normalise or view == self.start)


def branch_of(view: str, settings: Mapping[str, Any]) -> type[Encoder]:
    """The encoder of a branch: the one that its settings name as `encoder`, or the first one of the view."""
    kinds = pick(BRANCHES, view, "view")
    return pick(kinds, settings.get("encoder", next(iter(kinds))), f"encoder of the {view} view")


def branch(view: str, settings: Mapping[str, Any]) -> Encoder:
    """The encoder of a branch, with fresh weights."""
    kind: Any = branch_of(view, settings)
    return cast(Encoder, kind(configured(kind.Config, {k: v for k, v in settings.items() if k != "encoder"})))


class Fusion(Encoder):
    r"""One vector z of a molecule from the vectors :math:`b_v` of its views; absent ones are masked.

    | join | z |
    |---|---|
    | concat | the :math:`b_v` side by side, zeros for an absent one |
    | mean | mean of the projections :math:`p_v = P_v b_v` of the views that are there |
    | gated | :math:`\sum_v \alpha_v p_v`, α a softmax of :math:`w_v \cdot b_v` over the views that are there |
    | attention | learned queries attend to the projected atoms, tokens and vectors of all views |
    | residual | :math:`b_{base} + \sum_v f_v(b_v)`, :math:`f_v` a network that starts as zero: at first z is the base |

    `normalise` puts a layer norm before all of these but the base of the residual.
    """

    Config = FusionConfig

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config, self.views = config, self.looks_at(config)
        self.branches = nn.ModuleDict({view: branch(view, config.branches[view]) for view in config.names})
        widths = {view: cast(Encoder, one).width for view, one in self.branches.items()}
        self.base = config.start
        self.width = {"concat": sum(widths.values())}.get(config.join, widths.get(self.base, config.width))
        self.norms = nn.ModuleDict(
            {view: nn.Identity() if view in config.plain else nn.LayerNorm(width) for view, width in widths.items()}
        )
        self.joins = nn.ModuleDict()
        self.scores = nn.ModuleDict()
        for view, width in widths.items():
            if config.join == "residual" and view != self.base:
                self.joins[view] = zero_start(width, self.width)
            elif config.join in ("mean", "gated", "attention"):
                self.joins[view] = nn.Linear(width, self.width)
            if config.join == "gated":
                self.scores[view] = nn.Linear(width, 1, bias=False)
        if config.join == "attention":
            self.query = nn.Parameter(torch.randn(HEADS, self.width // HEADS))
            self.value = nn.Linear(self.width, self.width)

    @classmethod
    def looks_at(cls, config: FusionConfig) -> tuple[str, ...]:
        wanted = {view for name in config.names for view in branch_of(name, config.branches[name]).views}
        return tuple(view for view in BRANCHES if view in wanted)

    @classmethod
    def partial(cls, config: FusionConfig) -> bool:
        return config.absent > 0

    def fit_statistics(self, features: Mapping[str, Features], rows: np.ndarray) -> None:
        for one in self.branches.values():
            there = [features[view].ok[rows] == 1 for view in cast(Encoder, one).views]
            cast(Encoder, one).fit_statistics(features, rows[np.logical_and.reduce(there)])

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        there = self.present(torch.stack([self.made(views, one) for one in self.branches.values()], 1))  # (B, V)
        told = {view: one(views) for view, one in self.branches.items()}
        vectors = {
            view: torch.where(mask[:, None], self.norms[view](encoding.molecule), 0.0)
            for (view, encoding), mask in zip(told.items(), there.T, strict=True)
        }
        if self.config.join == "concat":
            return Encoding(torch.cat(list(vectors.values()), 1))
        if self.config.join == "residual":
            total = vectors[self.base]
            for (view, vector), mask in zip(vectors.items(), there.T, strict=True):
                if view != self.base:
                    total = total + self.joins[view](vector) * mask[:, None]
            return Encoding(total)
        if self.config.join == "attention":
            return Encoding(self.attend(views, told, vectors, there))
        return Encoding(self.average(vectors, there))

    def made(self, views: Mapping[str, Batch], one: nn.Module) -> Tensor:
        """(B,) bool, the molecules that have every view of a branch."""
        return torch.stack([cast(Tensor, views[view].ok) for view in cast(Encoder, one).views]).all(0)

    def present(self, there: Tensor) -> Tensor:
        """(B, V) bool, the views to use: all that are there, in training without some, but never without all."""
        if not self.training or not self.config.absent:
            return there
        kept = there & (torch.rand(there.shape, device=there.device) >= self.config.absent)
        return torch.where(kept.any(1, keepdim=True), kept, there)

    def average(self, vectors: dict[str, Tensor], there: Tensor) -> Tensor:
        """Projections (B, V, D) weighted equally or by their gates over the views that are there. → (B, D)"""
        projected = torch.stack([self.joins[view](vector) for view, vector in vectors.items()], 1)
        score = torch.zeros_like(there, dtype=projected.dtype)
        if self.config.join == "gated":
            score = torch.cat([self.scores[view](vector) for view, vector in vectors.items()], 1)
        share = score.masked_fill(~there, -1e9).softmax(1).masked_fill(~there, 0.0)  # all 0 where no view is there
        return (share[:, :, None] * projected).sum(1)

    def attend(
        self, views: Mapping[str, Batch], told: Mapping[str, Encoding], vectors: Mapping[str, Tensor], there: Tensor
    ) -> Tensor:
        """Softmax attention of the learned queries over everything that belongs to a molecule. → (B, D)"""
        items, owners = [], []
        for place, (view, encoding) in enumerate(told.items()):
            parts = [(vectors[view], torch.arange(len(there), device=there.device))]
            if encoding.tokens is not None:
                parts.append((self.norms[view](encoding.tokens), molecules(views[view])))
            for vector, of in parts:
                kept = there[of, place]
                items.append(self.joins[view](vector[kept]))
                owners.append(of[kept])
        flat, owner = torch.cat(items), torch.cat(owners)  # (L, D), (L,)
        keys = flat.view(len(flat), HEADS, self.width // HEADS)
        score = (keys * self.query.to(keys.dtype)).sum(-1) / keys.shape[-1] ** 0.5  # (L, H)
        share = softmax_by_owner(score, owner, len(there))
        value = self.value(flat).view_as(keys) * share[:, :, None]
        return sum_by_owner(value.flatten(1), owner, len(there))


def zero_start(width: int, out: int) -> nn.Sequential:
    """A network of one hidden layer whose answer is zero until it learns. (B, width) → (B, out)"""
    last = nn.Linear(out, out)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width, out), nn.SiLU(), last)


def molecules(batch: Any) -> Tensor:  # noqa: ANN401 (every view has its own batch)
    """(N,) the molecule that each atom or token of a batch belongs to."""
    owner: Tensor = batch.owner
    return batch.molecule.index_select(0, owner) if hasattr(batch, "molecule") else owner

"""What an encoder learns from reactions: the atoms of the reactants that stay make the same vector as the products."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tetramer.encoders.base import Encoder
from tetramer.errors import UserError, pick
from tetramer.layers.pooling import sum_by_owner
from tetramer.molecules.reactions import PRODUCT, REACTANT
from tetramer.objectives.base import Criterion, Loss, Objective, Sample
from tetramer.objectives.distances import contrast, distances, hinge, mean_reciprocal_rank, relative
from tetramer.objectives.motif import Both, MotifConfig, MotifHead, of_atoms
from tetramer.settings import configured
from tetramer.views.base import Batch
from tetramer.views.graph import GraphBatch

Kind = Literal["contrast", "hinge"]
Select = Literal["loss", "mrr"]
Compare = Literal["molecules", "sides"]
TURN = 256  # reactions at a time


@dataclass(frozen=True)
class ReactionConfig:
    """The defaults are ours; `loss="hinge", projection=0, survival=0, negatives=0, select="mrr"`: MolR as published."""

    loss: Kind = "contrast"
    projection: int = 256  # width of what is compared; the encoder's: another basis; 0: the encoder's own vectors
    survival: float = 1.0  # weight of the loss that teaches which atoms stay; 0: every atom of the reactants counts
    negatives: int = 3  # products like a reaction's own that stand among the candidates, beside those of its batch
    margin: float = 4.0  # of the hinge
    active: bool = False  # hinge: whether its mean is over the negatives within the margin, and not over all
    relative: bool = False  # hinge: whether distances are shares of the mean length of a vector, which no scale serves
    select: Select = "loss"  # what chooses the weights: the loss, or the mean reciprocal rank (MolR's choice)
    motifs: float = 0.0  # share of the loss by which the molecules equal their motifs; the rest is that of reactions
    compare: Compare = "molecules"  # whose motifs: of each molecule, or of each side of a reaction as a whole
    motif: Mapping[str, Any] = field(default_factory=dict)  # settings of MotifConfig that are not those above

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Kind)), self.loss, "loss")
        pick(dict.fromkeys(get_args(Select)), self.select, "select")
        pick(dict.fromkeys(get_args(Compare)), self.compare, "compare")
        if min(self.projection, self.negatives) < 0 or self.survival < 0 or not self.margin > 0:
            raise UserError(
                "Learning from reactions needs projection, survival and negatives ≥ 0 and margin > 0; "
                f"got {self.projection}, {self.survival}, {self.negatives} and {self.margin}."
            )
        if not 0 <= self.motifs <= 1:
            raise UserError(f"motifs={self.motifs} is a share of the loss: choose 0 to 1.")
        _ = self.of_motifs  # a wrong setting is told now

    @property
    def of_motifs(self) -> MotifConfig:
        """How molecules are compared with their motifs: the same way as both sides of a reaction, but for `motif`.

        The projection is one of its own: none where sides have none, else half as wide as the encoder.
        """
        names = ("loss", "margin", "active", "relative")
        told: dict[str, Any] = {"projection": None if self.projection else 0}
        return configured(MotifConfig, told | {name: getattr(self, name) for name in names} | dict(self.motif))


class Sides(NamedTuple):
    """Both sides of the reactions of a batch as vectors."""

    reactants: Tensor  # (B, P) of the B reactions
    products: Tensor  # (C, P) of these, then of the C - B others that are candidates only
    stays: Tensor  # (n,) logits of the atoms of reactants
    which: Tensor  # (N,) bool, the n atoms of the batch that they are of


class ReactionEquivalence(Objective):
    r"""Reactants and products have equal sums, and another product has not.

    .. math::
        R_i = \sum_{v \in \text{reactants of } i} \sigma(g(h_v, \textstyle\sum_u h_u))\, W h_v \qquad
        P_j = \sum_{v \in \text{products of } j} W h_v \qquad s_{ij} = -e^\tau \lVert R_i - P_j \rVert_2

    h: vectors of atoms; σ(g): how likely an atom is found in the product, learned from atom maps, which are read for
    this loss and by nothing else. `contrast`: cross-entropy of the right product among all candidates of the batch, and
    of the right reactants among all of the batch. `hinge`: MolR (arXiv:2109.09888),

    .. math:: \frac1B \sum_i d_{ii} + \frac1{B(B-1)} \sum_{i \ne j} \max(0, \gamma - d_{ij})

    With a share of motifs the loss is :math:`w C(R, P) + (1 - w) C_m`; :math:`C_m` compares molecules with their motifs
    (see `motif`), or sides with theirs: :math:`\tfrac12 C(R, M^R) + \tfrac12 C(P, M^P)`.

    Equal products are no negatives of each other, nor are two products of equal reactants. `groups` of a sample:
    reaction (M,) and role (M,) tell of each of the M molecules its reaction and role; product (C,) and reactants (C,)
    of each reaction a number of either side; survives (N,) of each atom: 1 it stays, 0 it leaves, -1 no map tells, and
    nothing is learned of it.
    """

    Config = ReactionConfig
    Groups: ClassVar[dict[str, type[Any]]] = {"motif": MotifConfig}

    def __init__(self, encoder: Encoder, config: ReactionConfig) -> None:
        super().__init__()
        of_atoms(encoder, "Reactions")
        self.encoder, self.config, self.views = encoder, config, (*encoder.views, *self.beside(config))
        width = encoder.width
        self.project = nn.Linear(width, config.projection, bias=False) if config.projection else nn.Identity()
        if config.survival:
            self.norm = nn.LayerNorm(width)
            self.stays = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))
        if config.motifs:
            self.motifs = MotifHead(width, config.of_motifs)
        self.sharpness = nn.Parameter(torch.zeros(()))  # τ

    @staticmethod
    def beside(config: ReactionConfig) -> tuple[str, ...]:
        return ("motifs",) if config.motifs else ()

    def forward(self, views: Mapping[str, Batch], groups: Mapping[str, Tensor]) -> Sides:
        """Vectors of both sides. A number of a reaction without reactants is that of a candidate only."""
        if self.config.survival or not hasattr(self.encoder, "sums"):
            return self.sides(cast(Tensor, self.encoder(views).tokens), views, groups)
        return self.whole(views, groups)

    def whole(self, views: Mapping[str, Batch], groups: Mapping[str, Tensor]) -> Sides:
        """The same where every atom counts, from sums of molecules, for which some encoders need no atom."""
        owner = cast(Tensor, cast(GraphBatch, views["graph"]).owner)
        z = cast(Any, self.encoder).sums(views, torch.ones(len(owner), device=owner.device))  # (M, D)
        with torch.autocast(z.device.type, enabled=False):
            z = z.to(self.sharpness.dtype)
            left, right = groups["role"] == REACTANT, groups["role"] == PRODUCT
            reactants = sum_by_owner(z[left], groups["reaction"][left], reactions(groups))
            products = sum_by_owner(z[right], groups["reaction"][right], len(groups["product"]))
            return Sides(self.project(reactants), self.project(products), z.new_zeros(0), left[owner])

    def sides(self, h: Tensor, views: Mapping[str, Batch], groups: Mapping[str, Tensor]) -> Sides:
        """Vectors of both sides, whose atoms have the vectors h (N, D)."""
        owner = cast(Tensor, cast(GraphBatch, views["graph"]).owner)
        reaction, role = (groups[name].index_select(0, owner) for name in ("reaction", "role"))
        with torch.autocast(h.device.type, enabled=False):
            h = h.to(self.sharpness.dtype)
            left, right = role == REACTANT, role == PRODUCT
            stays = self.stay(h[left], reaction[left], reactions(groups))
            weighted = h[left] * stays.sigmoid()[:, None] if self.config.survival else h[left]
            reactants = sum_by_owner(weighted, reaction[left], reactions(groups))
            products = sum_by_owner(h[right], reaction[right], len(groups["product"]))
            return Sides(self.project(reactants), self.project(products), stays, left)  # linear: sums first are cheaper

    def stay(self, h: Tensor, reaction: Tensor, size: int) -> Tensor:
        """Logits that atoms of reactants are found in a product, each in sight of all: (n, D), (n,) → (n,)"""
        if not self.config.survival:
            return h.new_zeros(len(h))
        around = self.norm(sum_by_owner(h, reaction, size)).index_select(0, reaction)
        return cast(Tensor, self.stays(torch.cat([h, around], 1))[:, 0])

    def scores(self, reactants: Tensor, products: Tensor) -> Tensor:
        """How well each product fits each set of reactants, (B, P), (C, P) → (B, C); higher is better."""
        return -self.sharpness.exp() * distances(reactants, products)

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        """Mean over the reactions of a batch."""
        assert sample.groups is not None
        if not self.config.motifs:
            value, parts = self.compared(self(sample.views, sample.groups), sample.groups)
        else:
            h = cast(Tensor, self.encoder(sample.views).tokens)
            value, parts = self.compared(self.sides(h, sample.views, sample.groups), sample.groups)
            both = self.motifs(h, self.encoder, sample.views)
            own = self.of_sides(both, sample) if self.config.compare == "sides" else self.motifs.compared(both, sample)
            value = (1 - self.config.motifs) * value + self.config.motifs * own.value
            parts |= {f"motif-{name}": part for name, part in own.parts.items()}
        return Loss(value, {name: part.detach() for name, part in parts.items()})

    def of_sides(self, both: Both, sample: Sample) -> Loss:
        """The mean of two losses: reactants equal the motifs of all reactants, and products those of all products."""
        assert sample.groups is not None
        groups, size = sample.groups, reactions(sample.groups)
        losses = []
        for role, name in ((REACTANT, "reactants"), (PRODUCT, "product")):
            chosen = (groups["role"] == role) & (groups["reaction"] < size)
            owner = groups["reaction"][chosen]
            whole, motifs = (sum_by_owner(x[chosen], owner, size) for x in (both.whole, both.motifs))
            same = groups[name][:size, None] == groups[name][:size]
            same.fill_diagonal_(False)
            losses.append(self.motifs.equal(whole, motifs, same))
        (left, one), (right, other) = losses
        parts = {name: (one[name] + other[name]) / 2 for name in one}
        own = int(sample.own) if sample.own is not None else len(groups["role"])
        return self.motifs.with_more((left + right) / 2, parts, both.atoms, sample, own)

    def compared(self, told: Sides, groups: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of reactions alone, and its parts."""
        product, left, size = groups["product"], groups["reactants"], len(told.reactants)
        same = (product[:size, None] == product) | (left[:size, None] == left)
        same.fill_diagonal_(False)
        if self.config.loss == "hinge":
            apart = (relative if self.config.relative else distances)(told.reactants, told.products)
            value, found, active = hinge(apart, same, self.config.margin, self.config.active)
        else:
            value, found, active = contrast(self.scores(told.reactants, told.products), same)
        parts = {"accuracy": found.float().mean(), "active": active}
        if self.config.survival:
            stays = groups["survives"][told.which]
            known = stays >= 0
            cost = binary_cross_entropy_with_logits(told.stays, stays.to(told.stays.dtype), reduction="none")
            parts["survival"] = torch.where(known, cost, 0.0).sum() / known.sum().clamp(min=1)
            value = value + self.config.survival * parts["survival"]
        return value, parts

    @property
    def criterion(self) -> Criterion | None:
        """1 − the mean reciprocal rank of the right products, or the loss."""
        return self.missed if self.config.select == "mrr" else None

    @torch.inference_mode()
    def missed(self, data: Any, rows: np.ndarray) -> float:  # noqa: ANN401 (`ReactionData` comes later)
        """1 − the mean reciprocal rank of the products of `rows` among all of theirs."""
        self.eval()
        return 1 - mean_reciprocal_rank(*self.both(data, rows), data.number[rows])

    @torch.inference_mode()
    def both(self, data: Any, rows: np.ndarray) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        """(n, P) vectors of the reactants and of the products of reactions `rows`."""
        parts, data = [], replace(data, negatives=0)  # others that are alike are no part of it
        for place in range(0, len(rows), TURN):
            some = rows[place : place + TURN]
            sample = data.sample(some, self.encoder.views)
            told = self(sample.views, sample.groups)
            parts.append((told.reactants, told.products))
        left, right = zip(*parts, strict=True)
        return torch.cat(left), torch.cat(right)


def reactions(groups: Mapping[str, Tensor]) -> int:
    """B, how many reactions of a batch have reactants; they come first."""
    there = groups["reaction"][groups["role"] == REACTANT]
    return int(there.max()) + 1 if len(there) else 0

"""What an encoder learns from motifs: those of a molecule, each alone, make the same vector as the whole.

The equation has a solution that is worth nothing: without messages across the cuts every encoder fulfils it. What
keeps from it are settings here: vectors that are compared may be a projection of those that are used, the bonds that
were cut may have vectors of their own, the others that a molecule is told from may be like it, and which motifs are
joined may be asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, one_hot

from tetramer.encoders.base import Encoder
from tetramer.errors import UserError, pick
from tetramer.layers.pooling import mean_by_owner, sum_by_owner
from tetramer.objectives.base import Loss, Objective, Sample, of_tokens
from tetramer.objectives.distances import contrast, distances, hinge, relative
from tetramer.views.base import Batch
from tetramer.views.graph import BOND, GraphBatch
from tetramer.views.motifs import MotifBatch

Kind = Literal["contrast", "cosine", "hinge"]


@dataclass(frozen=True)
class MotifConfig:
    """The defaults are ours; `loss="hinge"`, projection, negatives and bonded 0, correction false: as published."""

    loss: Kind = "contrast"
    projection: int | None = None  # width of what is compared, None: half the encoder's; 0: the encoder's own vectors
    correction: bool = True  # whether a bond that was cut has a vector of its own, added to those of the motifs
    context: bool = False  # whether the end of a cut sees a copy of the atom that stood there
    negatives: int = 3  # molecules like each one that stand in its batch
    decoys: int = 0  # isomers of the same motifs, put together in another way, that stand in its batch
    swaps: int = 0  # isomers in which one motif is another of the corpus, of the same formula, that stand in its batch
    bonded: float = 0.1  # weight of the question which motifs of a molecule are joined; no sum of motifs answers it
    guard: float = 0.0  # weight of what keeps the columns of the molecules' vectors apart (VICReg, arXiv:2105.04906)
    margin: float = 4.0  # of the hinge
    active: bool = False  # hinge: whether its mean is over the negatives within the margin, and not over all
    relative: bool = False  # hinge: whether distances are shares of the mean length of a vector, which no scale serves

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Kind)), self.loss, "loss")
        if (
            min(self.projection or 0, self.negatives, self.decoys, self.swaps) < 0
            or min(self.bonded, self.guard) < 0
            or not self.margin > 0
        ):
            raise UserError(
                "Learning from motifs needs projection, negatives, decoys, swaps, bonded and guard ≥ 0 and margin > 0; "
                f"got {self.projection}, {self.negatives}, {self.decoys}, {self.swaps}, {self.bonded}, {self.guard} "
                f"and {self.margin}."
            )


class Both(NamedTuple):
    """Molecules as a whole and as the sum of their motifs."""

    whole: Tensor  # (B, P)
    motifs: Tensor  # (B, P) with the bonds that were cut, if they have vectors
    atoms: Tensor  # (N, D) vectors of atoms in their molecules


class MotifEquivalence(Objective):
    r"""A molecule and its motifs have equal sums, and another molecule's motifs have not.

    .. math::
        Z_i = \sum_v W h_v(G_i) \qquad F_j = \sum_m \sum_{v \in m} W h_v(m) + \sum_{(a, b)\ \text{cut}} q(h_a, h_b)

    h(m): vectors of the atoms of motif m alone, which have the features that they have in the molecule. `contrast`:
    cross-entropy of the right pair, :math:`-e^\tau \lVert Z_i - F_j \rVert_2`, among all of the batch, both ways;
    `cosine`: the same with cosines, which no scale can serve; `hinge`: MolR's loss (see `reaction`).
    `groups` of a sample: molecule (C,), equal for equal ones, which are no negatives of each other. Of the C molecules
    the first B, `own` of the sample, are learned from; the motifs of the others stand among the candidates, and no mean
    is taken over them.
    """

    Config = MotifConfig

    def __init__(self, encoder: Encoder, config: MotifConfig) -> None:
        super().__init__()
        of_atoms(encoder, "Motifs")
        self.encoder, self.views = encoder, (*encoder.views, *self.beside(config))
        self.head = MotifHead(encoder.width, config)

    @staticmethod
    def beside(config: MotifConfig) -> tuple[str, ...]:
        return ("motifs",)

    def forward(self, views: Mapping[str, Batch]) -> Both:
        """Both vectors of each molecule."""
        return cast(Both, self.head(cast(Tensor, self.encoder(views).tokens), self.encoder, views))

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        """Mean over the molecules of a batch."""
        graph = cast(GraphBatch, sample.views["graph"])
        asked = graph if sample.own is None else first(graph, sample.own)  # of the others only the motifs are looked at
        atoms = cast(Tensor, self.encoder({"graph": asked}).tokens)
        return self.head.compared(self.head(atoms, self.encoder, sample.views), sample)


def of_atoms(encoder: Encoder, what: str) -> None:
    """UserError if an encoder has no vectors of atoms, or weights that these do not depend on."""
    if encoder.views != ("graph",) or encoder.weights_of:
        raise UserError(f"{what} are learned by an encoder of atoms. Choose one that looks at the graph, as mpnn.")
    of_tokens(encoder)


class MotifHead(nn.Module):
    """The comparison of molecules and motifs, for an encoder whose atoms have vectors of this width."""

    def __init__(self, width: int, config: MotifConfig) -> None:
        super().__init__()
        projection = max(1, width // 2) if config.projection is None else config.projection
        if projection >= width:  # it could be undone, so that the encoder's own vectors would have to be equal
            raise UserError(
                f"Motifs are compared in a projection, which leaves something out; {projection} numbers of {width} "
                f"leave out nothing. Choose a projection below {width}, or 0 to compare the vectors themselves."
            )
        self.config = replace(config, projection=projection)
        self.project = nn.Linear(width, projection, bias=False) if projection else nn.Identity()
        if config.correction:
            last = nn.Linear(width, projection or width)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.cut = nn.Sequential(nn.Linear(width + BOND["type"], width), nn.ReLU(), last)
        if config.bonded:
            self.joined = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))
        self.sharpness = nn.Parameter(torch.full((), 2.0 if config.loss == "cosine" else 0.0))  # τ

    def forward(self, atoms: Tensor, encoder: Encoder, views: Mapping[str, Batch]) -> Both:
        """Both vectors of each molecule, whose atoms in sight of all others have the vectors `atoms` (N, D).

        Where these are the atoms of the first molecules alone, the wholes of the others are 0.
        """
        graph, motifs = cast(GraphBatch, views["graph"]), cast(MotifBatch, views["motifs"])
        owner, unit = cast(Tensor, graph.owner), cast(Tensor, motifs.unit)
        apart = cast(Tensor, encoder({"graph": cut_up(graph, unit, self.config.context)}).tokens)[: len(owner)]
        with torch.autocast(atoms.device.type, enabled=False):
            atoms, apart = atoms.to(self.sharpness.dtype), apart.to(self.sharpness.dtype)
            whole = self.project(
                sum_by_owner(atoms, owner[: len(atoms)], graph.size)
            )  # linear: of the sum is cheaper than of atoms
            sums = self.project(sum_by_owner(apart, owner, graph.size))
            if self.config.correction:
                start, end = cast(Tensor, motifs.cuts)
                kinds = one_hot(bond_types(graph, start, end), BOND["type"]).to(apart.dtype)
                bonds = self.cut(torch.cat([apart[start] + apart[end], kinds], 1))
                sums = sums + sum_by_owner(bonds, owner[start], graph.size)
            return Both(whole, sums, atoms)

    def compared(self, told: Both, sample: Sample) -> Loss:
        """The loss of what `forward` gave, a mean over the molecules that were asked for; others are candidates."""
        molecule = cast(Mapping[str, Tensor], sample.groups)["molecule"]
        own = len(molecule) if sample.own is None else sample.own
        whole = told.whole[:own]
        same = molecule[:own, None] == molecule[None, :]
        same.fill_diagonal_(False)
        value, parts = self.equal(whole, told.motifs, same)
        return self.with_more(value, parts, told.atoms, sample, own)

    def equal(self, whole: Tensor, motifs: Tensor, same: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss by which wholes (B, P) equal the first B sums of motifs (C, P), and its parts. same: (B, C)"""
        if self.config.loss == "hinge":
            apart = (relative if self.config.relative else distances)(whole, motifs)
            value, found, active = hinge(apart, same, self.config.margin, self.config.active)
        else:
            value, found, active = contrast(self.scores(whole, motifs), same)
        residual = (whole - motifs[: len(whole)]).norm(dim=1) / whole.norm(dim=1).clamp(min=1e-6)
        return value, {"accuracy": found.float().mean(), "active": active, "residual": residual.mean()}

    def with_more(self, value: Tensor, parts: dict[str, Tensor], atoms: Tensor, sample: Sample, own: int) -> Loss:
        """The same with what no sum of motifs answers, asked of the first `own` molecules."""
        if self.config.bonded:
            bonded = self.bonded(atoms, sample, own)
            value, parts["bonded"] = value + self.config.bonded * bonded, bonded
        if self.config.guard:
            graph = cast(GraphBatch, sample.views["graph"])
            guard = spread(sum_by_owner(atoms, cast(Tensor, graph.owner)[: len(atoms)], graph.size)[:own])
            value, parts["guard"] = value + self.config.guard * guard, guard
        return Loss(value, {name: part.detach() for name, part in parts.items()})

    def scores(self, whole: Tensor, motifs: Tensor) -> Tensor:
        """How well each sum of motifs fits each molecule, (B, P), (C, P) → (B, C); higher is better."""
        if self.config.loss == "cosine":
            return self.sharpness.exp() * normalize(whole, dim=1) @ normalize(motifs, dim=1).T
        return -self.sharpness.exp() * distances(whole, motifs)

    def bonded(self, atoms: Tensor, sample: Sample, own: int) -> Tensor:
        """Cross-entropy of whether a cut joins two motifs of a molecule: the pairs that it does, and as many others.

        Asked of the first `own` molecules.
        """
        motifs = cast(MotifBatch, sample.views["motifs"])
        unit, owner, cuts = (cast(Tensor, cells) for cells in (motifs.unit, motifs.owner, motifs.cuts))
        cuts = cuts[:, owner[unit[cuts[0]]] < own]
        start, end = unit[cuts[0]], unit[cuts[1]]
        other = step_on(end, owner)  # the next motif of the same molecule
        right = torch.cat([torch.ones(len(start)), torch.zeros(len(start))]).to(atoms.dtype)
        one, two = torch.cat([start, start]), torch.cat([end, other])
        code = len(owner)
        known = torch.cat([start * code + end, end * code + start])
        right = torch.where(torch.isin(one * code + two, known), torch.ones_like(right), right)
        asked = one != two
        if not asked.any():
            return atoms.sum() * 0
        vectors = mean_by_owner(atoms, unit[: len(atoms)], len(owner))
        pair = torch.cat([vectors[one] + vectors[two], vectors[one] * vectors[two]], 1)[asked]
        return binary_cross_entropy_with_logits(self.joined(pair)[:, 0], right[asked])


def step_on(unit: Tensor, owner: Tensor) -> Tensor:
    """For each of `unit` (n,) the next unit of its molecule, from the last one back to the first."""
    counts = torch.bincount(owner)
    start = counts.cumsum(0) - counts
    whose = owner[unit]
    return start[whose] + (unit - start[whose] + 1) % counts[whose]


def first(graph: GraphBatch, count: int) -> GraphBatch:
    """The first `count` molecules of a batch."""
    edges, owner = cast(Tensor, graph.edges), cast(Tensor, graph.owner)
    atoms = int((owner < count).sum())
    inside = edges[0] < atoms
    cells = {name: cast(Tensor, getattr(graph, name))[:atoms] for name in ("atoms", "owner", "role")}
    ok, bonds = cast(Tensor, graph.ok)[:count], cast(Tensor, graph.bonds)[inside]
    return replace(graph, size=count, ok=ok, edges=edges[:, inside], bonds=bonds, **cells)  # type: ignore[arg-type]


def cut_up(graph: GraphBatch, unit: Tensor, context: bool) -> GraphBatch:
    """The same atoms without the bonds between units. unit: (N,) of each atom

    context: each end of such a bond gets a copy of the other end, an atom of one bond behind all others.
    """
    edges, bonds, atoms, owner = (cast(Tensor, x) for x in (graph.edges, graph.bonds, graph.atoms, graph.owner))
    between = unit[edges[0]] != unit[edges[1]]
    inner, kinds = edges[:, ~between], bonds[~between]
    if context and between.any():
        source, target = edges[:, between]
        copy = len(atoms) + torch.arange(len(source), device=atoms.device)
        pairs = torch.stack([torch.stack([copy, target]), torch.stack([target, copy])], 2).reshape(2, -1)
        inner, kinds = torch.cat([inner, pairs], 1), torch.cat([kinds, bonds[between].repeat_interleave(2, 0)])
        atoms, owner = torch.cat([atoms, atoms[source]]), torch.cat([owner, owner[target]])
    return replace(graph, atoms=atoms, edges=inner, bonds=kinds, owner=owner)  # type: ignore[arg-type]


def bond_types(graph: GraphBatch, start: Tensor, end: Tensor) -> Tensor:
    """(C,) class of the bond between atoms `start` and `end` of the batch."""
    edges, bonds = cast(Tensor, graph.edges), cast(Tensor, graph.bonds)
    code = edges[0] * (len(cast(Tensor, graph.atoms)) + 1) + edges[1]
    values, order = code.sort()
    place = torch.searchsorted(values, start * (len(cast(Tensor, graph.atoms)) + 1) + end)
    return bonds[order[place], 0]


def spread(h: Tensor) -> Tensor:
    """A guard of vectors (B, D) like VICReg's: a column varies by 1 at least, and no two vary together.

    Of the covariances stands the mean square, 1/D of the term of arXiv:2105.04906.
    """
    centred = h - h.mean(0)
    covariance = centred.T @ centred / max(1, len(h) - 1)
    apart = covariance.diagonal()
    off = (covariance.square().sum() - apart.square().sum()) / h.shape[1]
    return (1 - (apart + 1e-4).sqrt()).clamp(min=0).mean() + off / h.shape[1]

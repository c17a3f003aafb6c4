"""Both sides of a reaction: what the loss is exactly, what it may look at, and that it is learned."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.corpora import ReactionData, read_reactions
from tetramer.encoders import ENCODERS
from tetramer.encoders.mlp import MLP, MLPConfig
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.objectives.distances import contrast, distances, hinge, mean_reciprocal_rank
from tetramer.objectives.reaction import ReactionConfig, ReactionEquivalence
from tetramer.settings import configured
from tetramer.training import Run, TrainConfig, fit
from tetramer.views import Reader

TEXTS = (
    "[CH3:1][C:2](=[O:3])[OH:4].[CH3:5][OH:6]>>[CH3:1][C:2](=[O:3])[O:6][CH3:5]",
    "[CH3:1][CH2:2][Br:3].[NH2:4][CH3:5]>ClCCl>[CH3:1][CH2:2][NH:4][CH3:5]",
    "[CH3:1][CH2:2][I:3].[NH2:4][CH3:5]>>[CH3:1][CH2:2][NH:4][CH3:5]",
    "[CH3:1][CH2:2][CH:3]=[O:4]>>[CH3:1][CH2:2][CH2:3][OH:4]",
    "[c:1]1([Br:7])[cH:2][cH:3][cH:4][cH:5][cH:6]1.[OH:8][B:9][c:10]1[cH:11][cH:12][cH:13][cH:14][cH:15]1"
    ">>[c:1]1(-[c:10]2[cH:11][cH:12][cH:13][cH:14][cH:15]2)[cH:2][cH:3][cH:4][cH:5][cH:6]1",
)
ROWS = np.arange(len(TEXTS))
RNG = torch.Generator()
VIEWS = ("graph", "motifs")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReactionData:
    folder = tmp_path_factory.mktemp("reactions")
    with Reader(limits=Limits(0)) as reader:
        made = read_reactions(list(TEXTS), VIEWS, reader, Limits(0), folder, lambda name, share: None)
    assert made.good.all()
    assert isinstance(made.data, ReactionData)
    return made.data


def made(**settings: Any) -> ReactionEquivalence:
    kind: Any = ENCODERS["mpnn"]
    torch.manual_seed(1)
    told = kind(configured(kind.Config, {"width": 24, "depth": 2, "readout": "sum"}))
    return ReactionEquivalence(told, ReactionConfig(**({"projection": 12} | settings)))


def test_a_batch_tells_sides_products_and_atoms_that_stay(data: ReactionData) -> None:
    sample = data.sample(np.array([1, 0]), ("graph",))
    assert sample.groups is not None
    told = {name: value.tolist() for name, value in sample.groups.items()}
    assert told["reaction"] == [0, 0, 0, 1, 1, 1]
    assert told["role"] == [0, 0, 2, 0, 0, 2]  # without reagents
    assert told["product"][0] != told["product"][1]
    # CCBr, CN, CCNC; CC(=O)O, CO, COC(C)=O: bromine and one oxygen of the acid leave
    assert sum(not stays for stays in told["survives"]) == 2
    everything = data.sample(ROWS, ("graph",)).groups
    assert everything is not None
    number = everything["product"].tolist()
    assert number[1] == number[2]
    assert len(set(number)) == 4


@pytest.mark.parametrize("layer", ["tag", "sage"])
def test_where_every_atom_counts_molecules_are_summed_before_reactions(data: ReactionData, layer: str) -> None:
    kind: Any = ENCODERS["tag"]
    torch.manual_seed(1)
    encoder = kind(configured(kind.Config, {"width": 24, "depth": 2, "layer": layer}))
    objective = ReactionEquivalence(encoder, ReactionConfig(projection=0, survival=0.0, loss="hinge")).double()
    sample = data.sample(ROWS, ("graph",))
    assert sample.groups is not None
    fast = objective(sample.views, sample.groups)
    slow = objective.sides(encoder(sample.views).tokens, sample.views, sample.groups)
    for one, other in ((fast.reactants, slow.reactants), (fast.products, slow.products), (fast.which, slow.which)):
        torch.testing.assert_close(one, other)
    objective.loss(sample, RNG).value.backward()
    assert all(weight.grad is not None for weight in encoder.parameters() if weight.requires_grad)


def test_the_molecules_of_some_reactions(data: ReactionData) -> None:
    """Statistics of an encoder are those of what it learns from."""
    some = data.molecules(np.array([0, 3]))
    assert sorted(some.tolist()) == sorted(
        {*data.molecule[data.cut[0] : data.cut[1]], *data.molecule[data.cut[3] : data.cut[4]]}
    )
    assert len(some) == 5  # acid, methanol, ester; aldehyde, alcohol


def plain_hinge(reactants: Tensor, products: Tensor, product: list[int], margin: float) -> float:
    """MolR's loss as a loop over pairs."""
    size = len(reactants)
    own = sum(float((reactants[i] - products[i]).norm()) for i in range(size)) / size
    pairs = [(i, j) for i in range(size) for j in range(size) if i != j and product[i] != product[j]]
    push = sum(max(0.0, margin - float((reactants[i] - products[j]).norm())) for i, j in pairs) / len(pairs)
    return own + push


def test_the_hinge_is_molrs(data: ReactionData) -> None:
    objective = made(loss="hinge", projection=0, survival=0.0, negatives=0)
    sample = data.sample(ROWS, ("graph",))
    assert sample.groups is not None
    with torch.no_grad():
        told = objective(sample.views, sample.groups)
    wanted = plain_hinge(told.reactants, told.products, sample.groups["product"].tolist(), 4.0)
    assert objective.loss(sample, RNG).value.item() == pytest.approx(wanted, rel=1e-3)


def test_the_hinge_of_three_points() -> None:
    apart = torch.tensor([[1.0, 3.0, 9.0], [2.0, 0.5, 1.0], [5.0, 5.0, 2.0]])
    same = torch.zeros(3, 3, dtype=torch.bool)
    value, nearest, active = hinge(apart, same, 4.0)
    assert float(value) == pytest.approx(3.5 / 3 + (1 + 2 + 3) / 6)
    assert nearest.tolist() == [True, True, True]
    assert float(active) == pytest.approx(3 / 6)
    same[1, 0] = True
    value, _, active = hinge(apart, same, 4.0)
    assert float(value) == pytest.approx(3.5 / 3 + (1 + 3) / 5)
    assert float(active) == pytest.approx(2 / 5)


def test_a_hinge_of_active_pairs_by_hand() -> None:
    apart = torch.tensor([[1.0, 3.0, 9.0], [2.0, 0.5, 1.0], [5.0, 5.0, 2.0]])
    same = torch.zeros(3, 3, dtype=torch.bool)
    assert float(hinge(apart, same, 4.0, active=True).value) == pytest.approx(3.5 / 3 + (1 + 2 + 3) / 3)
    assert float(hinge(apart, same, 0.5, active=True).value) == pytest.approx(3.5 / 3)  # none is active


def test_settings_of_the_hinge_reach_both_losses(data: ReactionData) -> None:
    sample = data.sample(ROWS, VIEWS)

    def of(scale: float, **settings: Any) -> tuple[float, float]:
        objective = made(loss="hinge", survival=0.0, motifs=0.5, motif={"bonded": 0.0}, **settings)
        with torch.no_grad():
            for project in (objective.project, objective.motifs.project):
                project.weight *= scale
            both = objective.compared(objective(sample.views, sample.groups), sample.groups)[0]
        return float(both), objective.loss(sample, RNG).value.item()

    assert of(9.0, relative=True, margin=0.5) == pytest.approx(of(1.0, relative=True, margin=0.5), rel=1e-2)
    assert of(9.0, margin=0.5)[0] > 2 * of(1.0, margin=0.5)[0]
    one, other = of(1.0, margin=1.0), of(1.0, margin=1.0, active=True)
    assert other[0] > one[0]
    assert other[1] - other[0] / 2 > one[1] - one[0] / 2  # what is left is the half of the motifs


def test_a_negative_is_active_while_it_is_likely() -> None:
    """One in a hundred of the right one's chance: a score lower by 4.6."""
    scores = torch.tensor([[0.0, -4.0, -5.0], [9.0, 0.0, -9.0], [-4.0, -5.0, 0.0]])
    same = torch.zeros(3, 3, dtype=torch.bool)
    assert float(contrast(scores, same).active) == pytest.approx(3 / 6)
    same[1, 0] = True
    assert float(contrast(scores, same).active) == pytest.approx(2 / 5)


def test_ranks_of_products_by_hand() -> None:
    """Equal products are one candidate, ties share the middle of their ranks."""
    rows = torch.tensor([[0.0], [3.0], [5.0], [0.0]])
    products = torch.tensor([[0.0], [2.0], [4.0], [0.0]])
    number = np.array([0, 1, 2, 0])
    # the second is as far from 2 as from 4: ranks 1, 1.5, 1, 1
    assert mean_reciprocal_rank(rows, products, number) == pytest.approx((3 + 1 / 1.5) / 4)
    flat = torch.zeros(4, 1)
    assert mean_reciprocal_rank(flat, flat, number) == pytest.approx(1 / 2)  # of three the middle


def test_weights_are_chosen_by_ranks_where_it_is_asked(data: ReactionData) -> None:
    """The criterion ranks all products, and the run keeps the weights of its lowest value."""
    objective = made(select="mrr", survival=0.0)
    assert made().criterion is None
    assert objective.criterion is not None
    told = objective(*data.sample(ROWS, ("graph",))[0:3:2])
    assert objective.missed(data, ROWS) == pytest.approx(
        1 - mean_reciprocal_rank(told.reactants.detach(), told.products.detach(), data.number)
    )
    answers = iter([0.5, 0.75])
    run = Run(objective, TrainConfig(epochs=2, batch=5), criterion=lambda data, rows: next(answers))
    rows = [row["valid"] for row in fit(run, data, ROWS, ROWS)]
    assert (rows, run.best_step, run.best_score) == ([0.5, 0.75], 1, 0.5)


def test_ranks_read_no_products_that_are_alike(data: ReactionData) -> None:
    near, objective, seen = data.with_near(ROWS, ROWS[:0], 2), made(), list[int]()
    assert len(near.alike(ROWS[:2], None))
    objective.register_forward_hook(lambda module, given, told: seen.append(len(told.products)))
    for one, other in zip(objective.both(near, ROWS[:2]), objective.both(data, ROWS[:2]), strict=True):
        assert torch.equal(one, other)
    assert seen == [2, 2]


def test_distances_are_euclidean_and_have_a_slope_where_they_are_zero() -> None:
    one = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    apart = distances(one, one)
    assert torch.allclose(apart, torch.tensor([[0.0, 5.0], [5.0, 0.0]]), atol=2e-3)
    apart.sum().backward()  # type: ignore[no-untyped-call]
    assert one.grad is not None
    assert one.grad.isfinite().all()


def test_without_survival_a_side_is_the_sum_of_its_molecules(data: ReactionData) -> None:
    objective = made(survival=0.0)
    sample = data.sample(ROWS, ("graph",))
    assert sample.groups is not None
    told = objective(sample.views, sample.groups)
    z = objective.project(objective.encoder(sample.views).molecule)
    for row in ROWS.tolist():
        for side, role in ((told.reactants, 0), (told.products, 2)):
            chosen = (sample.groups["reaction"] == row) & (sample.groups["role"] == role)
            assert torch.allclose(side[row], z[chosen].sum(0), atol=1e-5)


def test_vectors_do_not_look_at_atom_maps(data: ReactionData) -> None:
    objective, sample = made(), data.sample(ROWS, ("graph",))
    assert sample.groups is not None
    told = objective(sample.views, sample.groups)
    blind = {name: value for name, value in sample.groups.items() if name != "survives"}
    for one, other in zip(told, objective(sample.views, blind), strict=True):
        assert torch.equal(one, other)
    turned = sample._replace(groups=sample.groups | {"survives": 1 - sample.groups["survives"]})
    assert objective.loss(turned, RNG).value != objective.loss(sample, RNG).value  # but the loss does


def test_nothing_is_taught_of_atoms_without_maps(data: ReactionData) -> None:
    objective, sample = made(), data.sample(ROWS, ("graph",))
    assert sample.groups is not None
    own = data.sample(ROWS[:1], ("graph",))
    reactant = sample.groups["reaction"].index_select(0, torch.as_tensor(sample.views["graph"].owner)) == 0  # type: ignore[attr-defined]
    blind = torch.where(reactant, sample.groups["survives"], torch.tensor(-1, dtype=torch.int8))
    told = objective.loss(sample._replace(groups=sample.groups | {"survives": blind}), RNG).parts["survival"]
    assert told == pytest.approx(float(objective.loss(own, RNG).parts["survival"]), rel=1e-5)
    nothing = sample._replace(groups=sample.groups | {"survives": torch.full_like(blind, -1)})
    assert objective.loss(nothing, RNG).parts["survival"] == 0


def test_a_reaction_alone_is_the_one_in_a_batch(data: ReactionData) -> None:
    objective = made().eval()
    whole = data.sample(ROWS, ("graph",))
    assert whole.groups is not None
    told = objective(whole.views, whole.groups)
    for row in ROWS.tolist():
        alone = data.sample(np.array([row]), ("graph",))
        assert alone.groups is not None
        own = objective(alone.views, alone.groups)
        assert torch.allclose(own.reactants[0], told.reactants[row], atol=1e-5)
        assert torch.allclose(own.products[0], told.products[row], atol=1e-5)


def test_equal_products_are_no_negatives(data: ReactionData) -> None:
    """Two reactions to one product: alone, neither has a wrong answer."""
    objective = made(survival=0.0)
    assert objective.loss(data.sample(np.array([1, 2]), ("graph",)), RNG).value.item() == pytest.approx(0, abs=1e-6)
    assert objective.loss(data.sample(np.array([1, 3]), ("graph",)), RNG).value.item() > 0.01


def test_products_of_equal_reactants_are_no_negatives(tmp_path: Path) -> None:
    """Neither way: who gives two products is no wrong answer for either, whatever stands beside it."""
    texts = ["CCBr.CN>>CCNC", "CN.CCBr>O>CCN(C)CC.Br", "CCBr.CN.CN>>CCNC", "CCBr.CO>>CCOC"]
    with Reader(limits=Limits(0)) as reader:
        told = read_reactions(texts, ("graph",), reader, Limits(0), tmp_path, lambda *_: None).data
    assert isinstance(told, ReactionData)
    assert told.reactants.tolist() == [0, 0, 1, 2]
    for loss in ("contrast", "hinge"):
        objective = made(survival=0.0, loss=loss)

        def of(*rows: int, objective: ReactionEquivalence = objective) -> float:
            return objective.loss(told.sample(np.array(rows), ("graph",)), RNG).value.item()

        alone = (of(0) + of(1)) / 2  # what is left is that of the right pairs
        assert of(0, 1) == pytest.approx(alone, abs=1e-5)
        assert of(1, 2) > (of(1) + of(2)) / 2 + 0.01


def test_isomers_of_products_come_first(tmp_path: Path) -> None:
    texts = ["CCBr.CN>>CCNC.Br", "CBr.CCCN>>CCCNC", "CC=O.CN>>CN(C)C.Br", "C.C>>CCNC", "CI.CI>>CN(C)C.Br"]
    with Reader(limits=Limits(0)) as reader:
        told = read_reactions(texts, ("graph",), reader, Limits(0), tmp_path, lambda *_: None).data
    near = told.with_near(np.arange(5), np.arange(0), 1)
    assert near.isomers.tolist() == [2, 0, 1, 0, 1]  # of all products together; the last is a copy of the third
    assert set(near.near[0, :2]) == {2, 4}


def test_products_alike_join_the_candidates(data: ReactionData) -> None:
    near = data.with_near(ROWS, ROWS[:0], 2)
    assert all(data.number[other] != data.number[row] for row in ROWS for other in near.near[row] if other >= 0)
    sample = near.sample(np.array([1]), ("graph",))
    assert sample.groups is not None
    told = made()(sample.views, sample.groups)
    assert (len(told.reactants), len(told.products)) == (1, 3)
    assert (sample.groups["role"][sample.groups["reaction"] > 0] == 2).all()  # of the others the products alone
    drawn = near.sample(np.array([1]), ("graph",), np.random.default_rng(0))
    assert drawn.groups is not None
    assert len(drawn.groups["product"]) <= 3


def test_it_learns_and_says_which_atoms_stay(data: ReactionData) -> None:
    objective = made(motifs=0.25)
    assert objective.views == ("graph", "motifs")
    run = Run(objective, TrainConfig(epochs=120, batch=5, peak=1e-2, warmup=0.0))
    rows = [row["loss"] for row in fit(run, data, ROWS)]
    told = objective.loss(data.sample(ROWS, VIEWS), RNG).parts
    assert rows[-1] < 0.3 * rows[0]
    assert float(told["accuracy"]) == 1
    assert float(told["survival"]) < 0.1
    assert {"motif-accuracy", "motif-residual", "motif-bonded"} < set(told)


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_sides_equal_their_motifs_by_hand(data: ReactionData, share: float) -> None:
    """w C(R, P) + (1 - w) / 2 C(R, M of R) + (1 - w) / 2 C(P, M of P), as loops over pairs; candidates take no part."""
    plain = {"loss": "hinge", "projection": 0, "survival": 0.0, "negatives": 0}
    objective = made(**plain, motifs=share, compare="sides", motif={"correction": False, "bonded": 0.0})
    sample = data.sample(ROWS, VIEWS)
    assert sample.groups is not None
    with torch.no_grad():
        told = objective(sample.views, sample.groups)
        both = objective.motifs(objective.encoder(sample.views).tokens, objective.encoder, sample.views)
    product, reactants = (sample.groups[name].tolist() for name in ("product", "reactants"))

    def motifs_of(role: int) -> Tensor:
        there = [(sample.groups["reaction"] == row) & (sample.groups["role"] == role) for row in ROWS]  # type: ignore[index]
        return torch.stack([both.motifs[chosen].sum(0) for chosen in there])

    want = (1 - share) * plain_hinge(told.reactants, told.products, product, 4.0)
    want += share / 2 * plain_hinge(told.reactants, motifs_of(0), reactants, 4.0)
    want += share / 2 * plain_hinge(told.products, motifs_of(2), product, 4.0)
    assert objective.loss(sample, RNG).value.item() == pytest.approx(want, rel=1e-3)
    joined = replace(data.with_near(ROWS, ROWS[:0], 2)).sample(ROWS[:2], VIEWS)
    alone = data.sample(ROWS[:2], VIEWS)
    for name in ("motif-accuracy", "motif-active", "motif-residual"):
        one, other = (float(objective.loss(some, RNG).parts[name]) for some in (joined, alone))
        assert one == pytest.approx(other, rel=1e-4)


def test_wrong_settings_are_told() -> None:
    for settings in ({"survival": -1.0}, {"margin": 0.0}, {"negatives": -1}):
        with pytest.raises(UserError, match="Learning from reactions needs"):
            ReactionConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"motifs=1\.1 is a share of the loss"):
        ReactionConfig(motifs=1.1)
    with pytest.raises(UserError, match="There is no loss named"):
        ReactionConfig(loss="margin")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="There is no select named"):
        ReactionConfig(select="rank")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="There is no compare named"):
        ReactionConfig(compare="side")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Reactions are learned by an encoder of atoms"):
        ReactionEquivalence(MLP(MLPConfig()), ReactionConfig())


def test_a_setting_changes_one_thing() -> None:
    config = ReactionConfig(loss="hinge", margin=2.0)
    told = config.of_motifs
    assert (told.projection, told.loss, told.margin) == (None, "hinge", 2.0)
    assert replace(config, motifs=0.5).of_motifs == told
    other = replace(config, active=True, motif={"context": True, "margin": 3}).of_motifs
    assert (other.projection, other.active, other.context, other.margin) == (None, True, True, 3.0)
    assert ReactionConfig(projection=0).of_motifs.projection == 0  # as published: the vectors themselves
    assert ReactionConfig(motif={"projection": 8}).of_motifs.projection == 8
    with pytest.raises(UserError, match="Learning from motifs needs"):
        ReactionConfig(motif={"bonded": -1})

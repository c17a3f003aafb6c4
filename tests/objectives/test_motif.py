"""Molecules and their motifs: what is cut, what the loss is, and what the known trivial solution does to it."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.corpora import Content, MoleculeData, nearest, with_units
from tetramer.encoders import ENCODERS
from tetramer.encoders.mlp import MLP, MLPConfig
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.objectives import Sample
from tetramer.objectives.motif import MotifConfig, MotifEquivalence, bond_types, cut_up, spread, step_on
from tetramer.pretraining import ATOMS, built, resolve
from tetramer.settings import configured
from tetramer.training import Run, TrainConfig, fit
from tetramer.views import read
from tetramer.views.graph import GraphBatch
from tetramer.views.motifs import MotifBatch

# Biphenyl, an ester, benzene (no cut), an amide with a ring at both ends, and two isomers
TEXTS = ("c1ccc(-c2ccccc2)cc1", "CCOC(=O)c1ccccc1", "c1ccccc1", "O=C(NCC1CC1)c1ccncc1", "CCCCOC", "CCCOCC")
ROWS = np.arange(len(TEXTS))
VIEWS = ("graph", "motifs")
RNG = torch.Generator()


@pytest.fixture(scope="module")
def data() -> MoleculeData:
    return MoleculeData(with_units(read(list(TEXTS), list(VIEWS), limits=Limits(0)).features), number=ROWS)


@pytest.fixture
def sample(data: MoleculeData) -> Sample:
    return data.sample(ROWS, VIEWS)


def parts(sample: Sample) -> tuple[GraphBatch, MotifBatch]:
    return cast(GraphBatch, sample.views["graph"]), cast(MotifBatch, sample.views["motifs"])


def made(depth: int = 3, **settings: Any) -> MotifEquivalence:
    kind: Any = ENCODERS["mpnn"]
    torch.manual_seed(1)
    told = kind(configured(kind.Config, {"width": 24, "depth": depth, "readout": "sum"}))
    return MotifEquivalence(told, MotifConfig(**({"projection": 12} | settings)))


def test_bonds_between_motifs_are_cut_and_no_others(sample: Sample) -> None:
    graph, motifs = parts(sample)
    edges, unit = cast(Tensor, graph.edges), cast(Tensor, motifs.unit)
    left = cut_up(graph, unit, context=False)
    inner = cast(Tensor, left.edges)
    assert edges.shape[1] - inner.shape[1] == 2 * cast(Tensor, motifs.cuts).shape[1] > 0
    assert (unit[inner[0]] == unit[inner[1]]).all()
    assert torch.equal(inner[:, 0::2], inner[:, 1::2].flip(0))  # both directions of a bond stay together
    wide = cut_up(graph, unit, context=True)
    assert len(cast(Tensor, wide.atoms)) == len(unit) + edges.shape[1] - inner.shape[1]
    assert cast(Tensor, wide.edges).shape[1] == edges.shape[1] + edges.shape[1] - inner.shape[1]
    pairs = cast(Tensor, wide.edges)
    assert torch.equal(pairs[:, 0::2], pairs[:, 1::2].flip(0))


def test_motifs_in_the_batch_are_the_motifs_alone(data: MoleculeData, sample: Sample) -> None:
    """A pass with bonds left out is the encoder on graphs that were built without them."""
    graph, motifs = parts(sample)
    encoder = made().encoder
    together = encoder({"graph": cut_up(graph, cast(Tensor, motifs.unit), False)}).tokens
    for number in range(len(cast(Tensor, motifs.owner))):
        chosen = torch.nonzero(cast(Tensor, motifs.unit) == number)[:, 0]
        place = {atom: row for row, atom in enumerate(chosen.tolist())}
        edges = cast(Tensor, graph.edges)
        own = [k for k in range(edges.shape[1]) if int(edges[0, k]) in place and int(edges[1, k]) in place]
        ends = [[place[int(atom)] for atom in edges[end, own]] for end in (0, 1)]
        alone = replace(
            graph,
            size=1,
            ok=torch.ones(1, dtype=torch.bool),  # type: ignore[arg-type]
            atoms=cast(Tensor, graph.atoms)[chosen],  # type: ignore[arg-type]
            edges=torch.tensor(ends, dtype=torch.int64).reshape(2, -1),  # type: ignore[arg-type]
            bonds=cast(Tensor, graph.bonds)[own],  # type: ignore[arg-type]
            owner=torch.zeros(len(chosen), dtype=torch.int64),  # type: ignore[arg-type]
        )
        assert torch.allclose(encoder({"graph": alone}).tokens, together[chosen], atol=1e-5)


def test_a_molecule_without_cuts_is_its_motif(sample: Sample) -> None:
    told = made(correction=False)(sample.views)
    apart = (told.whole - told.motifs).detach().norm(dim=1)
    assert float(apart[2]) < 1e-5  # benzene
    assert float(apart[0]) > 1e-3


def test_the_trivial_solution_is_seen(sample: Sample) -> None:
    """Where a motif's ends see copies of their neighbours, a network of one step cannot tell it from the molecule."""
    near = made(depth=1, correction=False, context=True)(sample.views)
    assert torch.allclose(near.whole, near.motifs, atol=1e-5)
    far = made(depth=2, correction=False, context=True)(sample.views)
    assert not torch.allclose(far.whole, far.motifs, atol=1e-4)


@pytest.mark.parametrize("settings", [{"bonded": 0.5, "guard": 0.1}, {"loss": "hinge", "correction": False}])
def test_of_molecules_that_are_only_candidates_the_whole_is_not_needed(
    data: MoleculeData, settings: dict[str, Any]
) -> None:
    objective = made(**settings)
    sample = data.sample(ROWS, VIEWS)._replace(own=3)
    fast = objective.loss(sample, RNG)
    slow = objective.head.compared(objective(sample.views), sample)
    torch.testing.assert_close(fast.value, slow.value)
    assert fast.parts.keys() == slow.parts.keys()
    for name, part in fast.parts.items():
        torch.testing.assert_close(part, slow.parts[name])


def test_bonds_that_were_cut_have_their_types(sample: Sample) -> None:
    graph, motifs = parts(sample)
    first, second = cast(Tensor, motifs.cuts)
    assert bond_types(graph, first, second).tolist() == [0] * len(first)
    edges = cast(Tensor, graph.edges)
    assert torch.equal(bond_types(graph, edges[0], edges[1]), cast(Tensor, graph.bonds)[:, 0])


def test_a_bond_that_was_cut_adds_its_vector(sample: Sample) -> None:
    objective = made(correction=True)
    before = objective(sample.views).motifs
    torch.nn.init.ones_(cast(Any, objective.head.cut[2]).bias)
    after = objective(sample.views).motifs
    cuts = torch.bincount(cast(Tensor, parts(sample)[0].owner)[cast(Tensor, parts(sample)[1].cuts)[0]], minlength=6)
    assert torch.allclose(after - before, cuts[:, None].float().expand(6, 12), atol=1e-5)


def test_the_next_motif_of_a_molecule() -> None:
    owner = torch.tensor([0, 0, 0, 1, 2, 2])
    assert step_on(torch.arange(6), owner).tolist() == [1, 2, 0, 3, 5, 4]


def test_the_guard_by_hand() -> None:
    flat = torch.ones(4, 2)
    assert float(spread(flat)) == pytest.approx(0.99, abs=1e-3)  # no column varies
    wide = torch.tensor([[2.0, 2.0], [-2.0, -2.0], [2.0, 2.0], [-2.0, -2.0]])
    assert float(spread(wide)) == pytest.approx((2 * (16 / 3) ** 2 / 2) / 2, rel=1e-4)  # they vary together
    free = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, -2.0]])
    assert float(spread(free)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", ["contrast", "cosine", "hinge"])
def test_it_learns(data: MoleculeData, loss: str) -> None:
    objective = made(loss=loss, bonded=0.5, guard=0.01)
    run = Run(objective, TrainConfig(epochs=150, batch=6, peak=1e-2, warmup=0.0))
    rows = [row["loss"] for row in fit(run, data, ROWS)]
    told = objective.loss(data.sample(ROWS, VIEWS), RNG).parts
    assert rows[-1] < 0.6 * rows[0]
    assert float(told["accuracy"]) > 0.8
    assert float(told["bonded"]) < 0.65  # ln 2 where nothing is known


def test_one_molecule_twice_is_no_negative(data: MoleculeData) -> None:
    objective = made(bonded=0.0)
    twice = replace(data, number=np.array([7, 7, 2, 3, 4, 5]))  # rows 0 and 1 are said to be one molecule
    assert objective.loss(twice.sample(np.array([0, 1]), VIEWS), RNG).value.item() == pytest.approx(0, abs=1e-6)
    assert objective.loss(data.sample(np.array([0, 1]), VIEWS), RNG).value.item() > 1e-3
    assert objective.loss(data.sample(np.array([1, 1]), VIEWS), RNG).value.item() == pytest.approx(0, abs=1e-6)


def test_molecules_that_join_a_batch_are_candidates_and_nothing_else(data: MoleculeData) -> None:
    """No mean is over them: what is asked of a batch is asked of the rows that it was made for."""
    near = data.with_near(ROWS, ROWS[:0], 2)
    chosen = np.array([3, 4])
    alone, joined = data.sample(chosen, VIEWS), near.sample(chosen, VIEWS)
    assert joined.groups is not None
    count = len(joined.groups["molecule"])
    assert (alone.own, joined.own, count > 2) == (2, 2, True)
    for loss in ("contrast", "cosine", "hinge"):
        objective = made(loss=loss, guard=0.1)
        one, other = (objective.loss(sample, RNG) for sample in (alone, joined))
        for name in ("residual", "bonded", "guard"):
            assert float(one.parts[name]) == pytest.approx(float(other.parts[name]), rel=1e-4), (loss, name)
        assert one.value.item() != pytest.approx(other.value.item(), rel=1e-4)  # there is more to be told from
    with torch.no_grad():
        told = objective(joined.views)
    apart = torch.cdist(told.whole[:2], told.motifs)
    push = (4 - apart).clamp(min=0).sum() - (4 - apart.diagonal()).clamp(min=0).sum()
    want = apart.diagonal().mean() + push / (2 * (count - 1))
    parts = objective.loss(joined, RNG).parts
    want = want + 0.1 * parts["bonded"] + 0.1 * parts["guard"]
    assert objective.loss(joined, RNG).value.item() == pytest.approx(float(want), rel=1e-3)


def test_alone_as_in_a_batch(data: MoleculeData, sample: Sample) -> None:
    objective = made().eval()
    told = objective(sample.views)
    for row in ROWS.tolist():
        own = objective(data.sample(np.array([row]), VIEWS).views)
        assert torch.allclose(own.whole[0], told.whole[row], atol=1e-5)
        assert torch.allclose(own.motifs[0], told.motifs[row], atol=1e-5)


def test_the_nearest_are_those_of_all_pairs(data: MoleculeData) -> None:
    content, names = data.content(), np.array([0, 1, 2, 3, 4, 4])
    dense = content.counts.toarray()
    told, isomers = nearest(content, names, ROWS + 10)
    assert isomers.tolist() == [0] * 6  # the two isomers have one name
    for row in ROWS.tolist():
        apart = ((dense - dense[row]) ** 2).sum(1)
        others = [k for k in ROWS.tolist() if names[k] != names[row]]
        found = [place - 10 for place in told[row].tolist() if place >= 0]
        assert sorted(found) == others
        assert [apart[k] for k in found] == sorted(apart[k] for k in others)


def test_large_sets_are_sought_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.sparse import csr_array

    monkeypatch.setattr("tetramer.corpora.WITHIN", 8)
    size = np.arange(1, 41)
    told, _ = nearest(Content(csr_array(size[:, None] * 1.0), size, size), np.arange(40), np.arange(40))
    for row in range(40):
        assert {row - 1, row + 1} & set(range(40)) <= set(told[row].tolist())
        assert row not in told[row]


def test_isomers_come_before_what_is_nearer() -> None:
    """Methyl benzoate is nearer to ethyl benzoate than phenylacetic acid, of its own formula, is."""
    texts = ["COC(=O)c1ccccc1", "CCOC(=O)c1ccccc1", "OC(=O)Cc1ccccc1", "CC(=O)Oc1ccccc1", "CCCCCC", "CC(C)CCC"]
    made = MoleculeData(read(texts, ["graph"], limits=Limits(0)).features, number=np.arange(6))
    near = made.with_near(np.arange(6), np.arange(0), 2)
    assert near.isomers.tolist() == [2, 0, 2, 2, 1, 1]
    assert set(near.near[0, :2]) == {2, 3}
    counts = made.content().counts.toarray()
    apart = ((counts - counts[0]) ** 2).sum(1)
    assert apart[1] < apart[2]
    drawn = [near.alike(np.array([row]), np.random.default_rng(seed)) for row in (0, 4) for seed in range(20)]
    assert all(others.tolist() == [2, 3] for others in drawn[:20])
    assert all(len(others) == 2 and 5 in others for others in drawn[20:])
    assert len({tuple(others) for others in drawn[20:]}) > 2  # its one isomer, and another that is drawn
    assert near.alike(np.array([4]), None).tolist() == sorted(near.near[4, :2].tolist())


def test_isomers_are_found_in_large_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they stand, and however many others are nearer."""
    from scipy.sparse import csr_array

    monkeypatch.setattr("tetramer.corpora.WITHIN", 64)
    rng = np.random.default_rng(0)
    size, formula = np.repeat(np.arange(10, 14), 100), np.tile(np.arange(50), 8)
    counts = csr_array(rng.integers(0, 9, (400, 5)).astype(float))
    told, isomers = nearest(Content(counts, formula, size), np.arange(400), np.arange(400))
    for row in range(400):
        own = [k for k in range(400) if k != row and (size[k], formula[k]) == (size[row], formula[row])]
        assert (isomers[row], told[row, 0].tolist()) == (1, own[0])


def test_wrong_settings_are_told() -> None:
    for settings in ({"bonded": -1.0}, {"margin": 0.0}, {"projection": -1}):
        with pytest.raises(UserError, match="Learning from motifs needs"):
            MotifConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Motifs are learned by an encoder of atoms"):
        MotifEquivalence(MLP(MLPConfig()), MotifConfig())


def test_what_is_compared_leaves_something_out() -> None:
    """A square map could be undone, and equal vectors know nothing of how their motifs are put together."""
    head = made(projection=None).head
    assert (head.config.projection, head.project.weight.shape) == (12, (12, 24))  # half the encoder's width
    assert made(projection=0).head.config.projection == 0
    for projection in (24, 25):
        with pytest.raises(UserError, match=f"{projection} numbers of 24 leave out nothing"):
            made(projection=projection)
    method = resolve("motif", {})
    assert built(method).head.project.out_features == method.encoder_config["width"] / 2
    with pytest.raises(UserError, match="leave out nothing"):
        resolve("molr", {"objective.motifs": "0.3", "objective.motif.projection": "256"})


@pytest.mark.parametrize("name", ATOMS)
def test_every_weight_of_the_encoder_is_taught(sample: Sample, name: str) -> None:
    kind: Any = ENCODERS[name]
    encoder = kind(configured(kind.Config, {"width": 32}))
    MotifEquivalence(encoder, MotifConfig()).loss(sample, RNG).value.backward()
    assert all(weight.grad is not None for weight in encoder.parameters())


@pytest.mark.parametrize("method", ["motif", "molr"])
def test_weights_that_no_loss_of_atoms_teaches_are_refused(method: str) -> None:
    with pytest.raises(UserError, match=r"encoder\.readout=attention has weights of its own.*Set encoder\.readout=sum"):
        resolve(method, {"encoder.readout": "attention"})
    assert resolve(method, {"encoder.readout": "mean"}).encoder_config["readout"] == "mean"

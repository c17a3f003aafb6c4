"""What every encoder of geometries promises: symmetry, locality, smoothness, rows that ignore each other."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.encoders import egnn
from tetramer.encoders.base import Encoder, Encoding
from tetramer.encoders.egnn import EGNN
from tetramer.encoders.painn import PaiNN
from tetramer.encoders.schnet import SchNet
from tetramer.errors import UserError
from tetramer.layers import geometry, pair_messages
from tetramer.layers.geometry import Cloud
from tetramer.views.conformer import ConformerBatch

CASES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "egnn": (EGNN, {"width": 16, "depth": 3}),
    "egnn-plain": (EGNN, {"width": 16, "depth": 2, "attention": False, "readout": "mean", "dropout": 0.2}),
    "egnn-near": (EGNN, {"width": 16, "depth": 2, "radial": 8, "cutoff": 4.0}),
    "egnn-moving": (EGNN, {"width": 16, "depth": 3, "radial": 8, "cutoff": 4.0, "coordinates": True}),
    "egnn-chiral": (EGNN, {"width": 16, "depth": 3, "coordinates": True, "chirality": True}),
    "schnet": (SchNet, {"width": 16, "filters": 24, "gaussians": 20, "cutoff": 6.0}),
    "schnet-half": (SchNet, {"width": 16, "depth": 2, "filters": 16, "cutoff": 4.0, "half": True, "dropout": 0.2}),
    "painn": (PaiNN, {"width": 16}),
    "painn-chiral": (PaiNN, {"width": 16, "chirality": True, "readout": "mean", "dropout": 0.2}),
}
CHIRAL = [name for name in CASES if "chiral" in name]
LOCAL = {name: kind.Config(**settings).cutoff for name, (kind, settings) in CASES.items() if name != "egnn"}
LOCAL = {name: cutoff for name, cutoff in LOCAL.items() if name not in {"egnn-plain", "egnn-chiral"}}

every_case = pytest.mark.parametrize("case", CASES)
every_padded = pytest.mark.parametrize("case", [name for name in CASES if not name.startswith("painn")])
LISTED = ("egnn", "egnn-plain", "egnn-near")  # by lists of pairs where nobody asks for forces
every_local = pytest.mark.parametrize("case", LOCAL)


def made(case: str, dtype: torch.dtype = torch.float64, **others: Any) -> Encoder:
    torch.manual_seed(0)
    kind, settings = CASES[case]
    encoder: Encoder = kind(kind.Config(**{**settings, **others}))
    return encoder.eval().to(dtype)


def apart(a: Tensor, b: Tensor) -> float:
    """Largest difference as a share of the largest number."""
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-300))


def rotation(seed: int) -> Tensor:
    q, r = np.linalg.qr(np.random.Generator(np.random.Philox(seed)).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return torch.from_numpy(q * np.linalg.det(q))


def ran(encoder: Encoder, one: ConformerBatch) -> Encoding:
    return encoder({"conformer": one})


def placed(one: ConformerBatch, positions: Any) -> ConformerBatch:
    return replace(one, positions=positions)


@pytest.fixture(scope="module")
def mixed(build: Any) -> ConformerBatch:
    """Molecules of many sizes with one, three, no and two geometries."""
    sizes = [[5], [12, 12, 12], [], [1], [2, 2], [9]]
    seeds = iter(range(100))
    one: ConformerBatch = build.batch([[build.scattered(next(seeds), n) for n in counts] for counts in sizes])
    return one


def moved(one: Any, turn: Tensor, shift: Tensor) -> ConformerBatch:
    return placed(one, (one.positions.double() @ turn.t() + shift).to(one.positions.dtype))


@every_case
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_turning_and_shifting_a_molecule(case: str, dtype: torch.dtype, bound: float, mixed: Any) -> None:
    encoder, one = made(case, dtype), placed(mixed, mixed.positions.to(dtype))
    plain = ran(encoder, one)
    for seed in range(3):
        turn = rotation(seed)
        other = ran(encoder, moved(one, turn, torch.tensor([3.0, -7.0, 2.0])))
        assert apart(other.molecule, plain.molecule) <= bound
        assert apart(other.tokens, plain.tokens) <= bound
        if plain.vectors is not None:
            assert apart(other.vectors, plain.vectors @ turn.t().to(dtype)) <= bound


@every_case
def test_turning_under_bf16(case: str, build: Any) -> None:
    molecules = [[build.embedded(text)] for text in ("CC(=O)Oc1ccccc1C(=O)O", "NCCO", "C1CC1F")]
    one, encoder = build.batch(molecules, torch.float32), made(case, torch.float32)
    exact = ran(encoder, one).molecule
    with torch.autocast("cpu", torch.bfloat16):
        plain, other = ran(encoder, one), ran(encoder, moved(one, rotation(1), torch.ones(3)))
    assert (plain.molecule.dtype, plain.tokens.dtype) == (torch.float32, torch.float32)
    assert apart(other.molecule, plain.molecule) <= 1e-2
    assert 0 < apart(plain.molecule, exact) <= 2e-2
    if plain.vectors is not None:
        assert apart(other.vectors, plain.vectors @ rotation(1).t().float()) <= 2e-2


MIRROR = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))


@pytest.mark.parametrize("case", [name for name in CASES if name not in CHIRAL])
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_mirror_images_are_equal(case: str, dtype: torch.dtype, bound: float, mixed: Any) -> None:
    encoder, one = made(case, dtype), placed(mixed, mixed.positions.to(dtype))
    plain, other = ran(encoder, one), ran(encoder, moved(one, MIRROR, torch.zeros(3)))
    assert apart(other.molecule, plain.molecule) <= bound
    if plain.vectors is not None:
        assert apart(other.vectors, plain.vectors @ MIRROR.to(dtype)) <= bound


@pytest.mark.parametrize("case", CHIRAL)
def test_mirror_images_differ_with_chirality(case: str, build: Any) -> None:
    """A hand differs from its mirror image; what has a plane of symmetry, or lies in a plane, does not."""
    encoder = made(case)
    hands = [build.embedded(text) for text in ("C[C@H](N)C(=O)O", "C[C@H](F)Cl")]
    flat = build.scattered(14, 8)
    flat = flat._replace(positions=flat.positions * [1, 1, 0] + [0, 0, 2])
    places = np.array([[0, 0, 0], [1.1, 0, 0], [-0.5, 1.3, 0], [-0.5, -0.7, 1.5], [-0.5, -0.7, -1.5]])
    symmetric = type(flat)(np.array([6, 1, 9, 17, 17]), np.zeros(5, np.int64), places @ rotation(2).numpy())
    one = build.batch([[each] for each in (*hands, flat, symmetric)])
    plain, other = ran(encoder, one), ran(encoder, moved(one, MIRROR, torch.zeros(3)))
    changes = (plain.molecule - other.molecule).norm(dim=1) / plain.molecule.norm(dim=1)
    assert changes[:2].min() > 1e-3
    assert changes[2:].max() < 1e-9
    without = made(case, chirality=False)
    assert apart(ran(without, one).molecule, ran(without, moved(one, MIRROR, torch.zeros(3))).molecule) <= 1e-9


@every_case
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_atom_order_does_not_matter(case: str, dtype: torch.dtype, bound: float, mixed: Any) -> None:
    encoder, rng = made(case, dtype), np.random.Generator(np.random.Philox(0))
    mixed = placed(mixed, mixed.positions.to(dtype))
    place = torch.from_numpy(np.lexsort((rng.random(len(mixed.owner)), mixed.owner)))  # new atom i was place[i]
    atoms = {name: getattr(mixed, name)[place] for name in ("numbers", "charges", "positions")}
    plain, other = ran(encoder, mixed), ran(encoder, replace(mixed, **atoms))
    assert apart(other.molecule, plain.molecule) <= bound
    assert apart(other.tokens, plain.tokens[place]) <= bound
    if plain.vectors is not None:
        assert apart(other.vectors, plain.vectors[place]) <= bound


@every_padded
def test_padding_is_never_read(case: str) -> None:
    """Slots that are no atoms hold absurd elements, charges and far places; answers and slopes stay as they are."""
    encoder, rng = made(case), np.random.Generator(np.random.Philox(1))
    numbers, charges = torch.from_numpy(rng.choice([1, 6, 8], (2, 5))), torch.zeros(2, 5, dtype=torch.int64)
    x = torch.from_numpy(rng.normal(size=(2, 5, 3)) * 1.5).requires_grad_()
    small = encoder.encode(Cloud(numbers, charges, x, torch.ones(2, 5, dtype=torch.bool)))
    wide = [torch.cat([a, b], 1) for a, b in ((numbers, numbers + 30), (charges, charges - 3))]
    far = torch.cat([x, 1e6 * x.detach() + 1e5], 1)
    mask = torch.arange(10).expand(2, 10) < 5
    large = encoder.encode(Cloud(wide[0], wide[1], far, mask))
    assert apart(large[:, :5], small) <= 1e-12
    probe = torch.randn_like(small)
    slopes = [torch.autograd.grad((out[:, :5] * probe).sum(), x)[0] for out in (small, large)]
    assert apart(slopes[1], slopes[0]) <= 1e-11


@every_case
def test_alone_in_a_batch_and_in_other_blocks(case: str, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = made(case)
    molecules = [[build.scattered(10 * n + k, n) for k in range(1 + n % 2)] for n in (7, 3, 12, 3, 1, 20, 8)]
    whole = ran(encoder, build.batch(molecules))
    alone = [ran(encoder, build.batch([molecule])) for molecule in molecules]
    monkeypatch.setattr(geometry, "NEAR", 0)  # a block for each geometry
    single = ran(encoder, build.batch(molecules))
    monkeypatch.setattr(geometry, "NEAR", 2**40)  # one block
    one = ran(encoder, build.batch(molecules))
    for name in ("molecule", "tokens", "vectors"):
        if getattr(whole, name) is not None:
            together = torch.cat([getattr(each, name) for each in alone])
            for other in (whole, single, one):
                assert apart(getattr(other, name), together) <= 1e-12


@pytest.mark.parametrize("case", LISTED)
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_lists_of_pairs_equal_blocks(
    case: str, dtype: torch.dtype, bound: float, mixed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers and the slopes of all weights, in runs of several lengths."""
    encoder, one = made(case, dtype), placed(mixed, mixed.positions.to(dtype))
    probe = torch.randn(one.size, encoder.width, dtype=dtype)

    def answered() -> tuple[Tensor, list[Tensor]]:
        out = ran(encoder, one).molecule
        return out, list(torch.autograd.grad((out * probe).sum(), list(encoder.parameters()), allow_unused=True))

    listed, slopes = answered()
    with monkeypatch.context() as patch:
        patch.setattr(pair_messages, "TOGETHER", 16 * 7)
        in_sevens = ran(encoder, one).molecule
        with torch.no_grad():
            assert torch.equal(ran(encoder, one).molecule, in_sevens)
    monkeypatch.setattr(egnn, "loops_do", lambda x: False)
    blocks, others = answered()
    assert not torch.equal(listed, blocks)
    assert apart(listed, blocks) <= bound
    assert apart(in_sevens, blocks) <= bound
    for a, b in zip(slopes, others, strict=True):
        assert apart(a, b) <= 100 * bound


@every_padded
def test_an_atom_does_not_see_itself(case: str, mixed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its distance to itself is said to be."""
    encoder, right = made(case), geometry.squared_distances
    monkeypatch.setattr(egnn, "loops_do", lambda x: False)
    plain = ran(encoder, mixed).molecule
    for wrong in (4.0, -1.0, 1e6):
        monkeypatch.setattr(
            geometry, "squared_distances", lambda x, wrong=wrong: right(x) + wrong * torch.eye(x.shape[1])
        )
        assert torch.equal(ran(encoder, mixed).molecule, plain)
    monkeypatch.setattr(geometry, "squared_distances", lambda x: right(x) + 1.0)
    assert not torch.equal(ran(encoder, mixed).molecule, plain)


def pair_at(distance: float, build: Any) -> ConformerBatch:
    """A bent group of three atoms, and one atom that is so far from the first of them, and farther from the others."""
    places = torch.tensor([[0.0, 0, 0], [-1.1, 0, 0.2], [-0.5, 1.2, 0], [distance, 0, 0]], dtype=torch.float64)
    one = build.batch([[build.scattered(3, 4, charged=False)]])
    return placed(one, places)


@every_local
def test_the_cutoff_is_smooth(case: str, build: Any) -> None:
    """Just inside of the cutoff value and slope are nearly, and from there on exactly, those of parted molecules."""
    encoder, cutoff = made(case), LOCAL[case]

    def value(distance: float) -> tuple[Tensor, Tensor]:
        one: Any = pair_at(distance, build)
        x = one.positions.requires_grad_()
        total = ran(encoder, placed(one, x)).molecule.sum()
        return total.detach(), torch.autograd.grad(total, x)[0][3]

    beyond, slope = value(cutoff + 1.0)
    assert not slope.any()
    for distance in (cutoff, cutoff + 1e-6):
        assert value(distance)[0] == pytest.approx(beyond.item(), rel=1e-12)
    near, slope = value(cutoff - 1e-3)
    assert near == pytest.approx(beyond.item(), rel=1e-5)
    assert slope.abs().max() < 1e-2
    inside = value(cutoff - 1.0)[0]
    assert abs(inside - beyond) > 1e-5 * abs(beyond)  # the atom is seen where it should be


@every_case
def test_atoms_in_one_place_are_finite(case: str, build: Any) -> None:
    """Values, slopes, and slopes of slopes, which training on forces needs."""
    encoder, one = made(case), build.batch([[build.scattered(4, 6)]])
    x: Any = one.positions[[0, 0, 0, 3, 4, 5]].requires_grad_()
    encoding = ran(encoder, placed(one, x))
    assert encoding.molecule.isfinite().all()
    (force,) = torch.autograd.grad(encoding.molecule.sum(), x, create_graph=True)
    assert force.isfinite().all()
    force.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@every_local
def test_far_molecules_add_up(case: str, build: Any) -> None:
    encoder = made(case, readout="sum")
    a, b = build.scattered(5, 6), build.scattered(6, 9)
    reach = max(np.linalg.norm(part.positions, axis=1).max() for part in (a, b))
    shifted = b._replace(positions=b.positions + np.array([2 * reach + 20.0, 0, 0]))
    both = type(a)(*(np.concatenate(pair) for pair in zip(a, shifted, strict=True)))
    found = ran(encoder, build.batch([[both], [a], [b]])).molecule
    assert apart(found[0], found[1] + found[2]) <= 1e-12
    close = type(a)(*(np.concatenate(pair) for pair in zip(a, b._replace(positions=b.positions + 1.0), strict=True)))
    assert apart(ran(encoder, build.batch([[close]])).molecule[0], found[0]) > 1e-3


@every_case
def test_one_atom_and_two(case: str, build: Any) -> None:
    encoder = made(case)
    one: Any = build.batch([[build.scattered(7, 1)], [build.scattered(8, 2)]])
    x = torch.tensor([[1.0, 2, 3], [0, 0, 0], [0.3, 0.9, -0.6]], dtype=torch.float64, requires_grad=True)
    encoding = ran(encoder, placed(one, x))
    assert encoding.molecule.isfinite().all()
    (slope,) = torch.autograd.grad(encoding.molecule.sum(), x)
    assert not slope[0].any()  # nothing depends on where a lone atom is
    assert slope[1:].any()
    torch.testing.assert_close(slope[1], -slope[2])


@every_case
@pytest.mark.parametrize("bf16", [False, True])
def test_deep_networks_stay_finite(case: str, bf16: bool, build: Any) -> None:
    encoder = made(case, torch.float32, depth=12)
    one: Any = build.batch([[build.scattered(9, 50)]], torch.float32)
    x = one.positions.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        molecule = ran(encoder, placed(one, x)).molecule
    assert molecule.isfinite().all()
    assert molecule.std() > 0
    (slope,) = torch.autograd.grad(molecule.sum(), x)
    assert slope.isfinite().all()


@every_case
def test_forces_are_slopes_of_the_energy(case: str, build: Any) -> None:
    """Against finite differences; the force on the whole molecule and its torque vanish."""
    encoder, one = made(case), build.batch([[build.scattered(11, 7)]])
    weights = torch.randn(encoder.width, dtype=torch.float64)

    def energy(x: Tensor) -> Tensor:
        return (ran(encoder, placed(one, x)).molecule @ weights).sum()

    x: Any = one.positions
    (slope,) = torch.autograd.grad(energy(x.requires_grad_()), x)
    with torch.no_grad():
        step = 1e-5 * torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)
        numeric = torch.stack([(energy(x + each) - energy(x - each)) / 2e-5 for each in step]).view_as(x)
    assert apart(slope, numeric) <= 1e-6
    scale = slope.abs().max()
    assert slope.sum(0).abs().max() <= 1e-12 * scale
    assert torch.linalg.cross(x.detach(), slope).sum(0).abs().max() <= 1e-11 * scale


@every_case
def test_one_can_train_on_forces(case: str, build: Any) -> None:
    """The slope of a force in a direction equals the difference of forces."""
    encoder, one = made(case), build.batch([[build.scattered(12, 5)]])
    x: Any = one.positions.requires_grad_()
    way = torch.randn_like(x)

    def force(at: Tensor) -> Tensor:
        (slope,) = torch.autograd.grad(ran(encoder, placed(one, at)).molecule.sum(), at, create_graph=True)
        return slope

    (curve,) = torch.autograd.grad((force(x) * way).sum(), x)
    numeric = (force(x + 1e-5 * way) - force(x - 1e-5 * way)).detach() / 2e-5
    assert apart(curve, numeric) <= 1e-5


@every_case
def test_geometries_of_a_molecule_are_averaged_and_a_molecule_without_any_is_zero(case: str, build: Any) -> None:
    encoder = made(case)
    geometries = [build.scattered(seed, 6) for seed in (1, 2, 3)]
    lone, gap = build.batch([[one] for one in geometries]), build.batch([[], geometries, [], geometries[:1], []])
    apiece, found = ran(encoder, lone), ran(encoder, gap)
    assert apart(found.molecule[1], apiece.molecule.mean(0)) <= 1e-12
    assert apart(found.molecule[3], apiece.molecule[0]) <= 1e-12
    assert not found.molecule[[0, 2, 4]].any()
    assert apart(found.tokens[:18], apiece.tokens) <= 1e-12
    for empty in (build.batch([]), build.batch([[], []])):
        nothing = ran(encoder, empty)
        assert nothing.molecule.shape == (empty.size, encoder.width)
        assert not nothing.molecule.any()
        assert nothing.tokens.shape == (0, encoder.width)
        assert nothing.vectors is None or nothing.vectors.shape == (0, encoder.width, 3)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_answer_has_the_type_of_the_weights(case: str, dtype: torch.dtype, mixed: Any) -> None:
    encoding = ran(made(case, dtype), mixed)
    assert {value.dtype for value in encoding if value is not None} == {dtype}


@every_case
def test_every_parameter_learns_and_two_runs_are_equal(case: str, mixed: Any) -> None:
    slopes = []
    for _ in range(2):
        encoder = made(case)
        ran(encoder, mixed).molecule.square().sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
        slopes.append([parameter.grad for parameter in encoder.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))


@every_case
def test_dropout_obeys_the_seed_and_is_off_in_evaluation(case: str, mixed: Any) -> None:
    encoder = made(case)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return ran(encoder, mixed).molecule

    assert torch.equal(drawn(1), drawn(2))
    encoder.train()
    assert torch.equal(drawn(1), drawn(1))
    assert torch.equal(drawn(1), drawn(2)) == (encoder.config.dropout == 0)


@every_case
def test_elements_and_charges_matter_and_absurd_ones_are_folded(case: str, build: Any) -> None:
    encoder, one = made(case), build.batch([[build.scattered(13, 4, charged=False)]])
    first = torch.tensor([1, 0, 0, 0])

    def seen(**changed: Tensor) -> Tensor:
        return ran(encoder, replace(one, **changed)).molecule

    assert apart(seen(numbers=one.numbers + first), seen()) > 1e-3
    assert apart(seen(charges=first), seen()) > 1e-3
    assert torch.equal(seen(charges=7 * first), seen(charges=4 * first))
    assert torch.equal(seen(numbers=one.numbers * 0 + 118), seen(numbers=one.numbers * 0))


COUNTING: dict[str, Callable[[str], Any]] = {
    "egnn": lambda readout: EGNN(EGNN.Config(width=16, depth=1, radial=8, cutoff=4.0, readout=readout)),
    "schnet": lambda readout: SchNet(SchNet.Config(width=16, depth=1, filters=16, cutoff=4.0, readout=readout)),
    "painn": lambda readout: PaiNN(PaiNN.Config(width=16, depth=1, readout=readout)),
}


@pytest.mark.parametrize("name", COUNTING)
def test_a_sum_learns_to_count_carbons(name: str, build: Any) -> None:
    """Exactly, and in molecules that it has not seen, twice as large."""
    torch.manual_seed(0)
    molecules = [[build.scattered(seed, 3 + seed % 6, charged=False)] for seed in range(24)]
    unseen = [[build.scattered(100 + seed, 16, charged=False)] for seed in range(6)]
    encoder, head = COUNTING[name]("sum").double(), torch.nn.Linear(16, 1, dtype=torch.float64)
    one, carbons = build.batch(molecules), torch.tensor([[(m.numbers == 6).sum()] for (m,) in molecules])
    steps = torch.optim.LBFGS(
        [*encoder.parameters(), *head.parameters()], max_iter=100, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def loss() -> Tensor:
        steps.zero_grad()
        value = (head(ran(encoder, one).molecule) - carbons).square().mean()
        value.backward()
        return value

    steps.step(loss)
    with torch.no_grad():
        assert loss_of(head(ran(encoder, one).molecule), carbons) < 0.02
        counted = head(ran(encoder, build.batch(unseen)).molecule).round().long()
    assert counted.tolist() == [[int((m.numbers == 6).sum())] for (m,) in unseen]


def loss_of(answer: Tensor, truth: Tensor) -> float:
    return float((answer - truth).detach().abs().max())


@pytest.mark.parametrize("name", COUNTING)
def test_a_mean_cannot_count(name: str, build: Any) -> None:
    """A molecule and two copies of it far apart have one vector, whatever the weights; a sum has twice the vector."""
    torch.manual_seed(0)
    one = build.scattered(1, 6)
    two = type(one)(
        *(np.concatenate(pair) for pair in zip(one, one._replace(positions=one.positions + 50.0), strict=True))
    )
    both = build.batch([[one], [two]])
    single, double = ran(COUNTING[name]("mean").double(), both).molecule
    assert apart(double, single) <= 1e-12
    single, double = ran(COUNTING[name]("sum").double(), both).molecule
    assert apart(double, 2 * single) <= 1e-12


@pytest.mark.parametrize("kind", [EGNN, SchNet, PaiNN])
@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"depth": 0},
        {"cutoff": 0.0},
        {"cutoff": float("nan")},
        {"cutoff": float("inf")},
        {"dropout": 1.0},
        {"readout": "max"},
    ],
)
def test_settings_out_of_range_are_refused(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=str(next(iter(wrong.values())))):
        kind.Config(**wrong)
    assert {"width", "depth", "cutoff", "readout", "dropout"} <= {field.name for field in fields(kind.Config)}

"""MolR's encoder: exact answers for ethanol, sums that need no atom, the scale, and how far an atom sees."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tetramer.encoders.tag import TAG, TAGConfig
from tetramer.errors import UserError
from tetramer.layers import sum_by_owner, to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.views.base import Features
from tetramer.views.graph import ATOM, VOCABULARY, GraphBatch, collate, featurize

LAYERS = ("tag", "gcn", "gat", "sage")
MANY = ["CCO", "c1ccccc1C(=O)N", "C[C@H](N)C(=O)O", "F/C=C/F", "[Na+].[Cl-]", "C", "CC(C)(C)C#N", "O=C=O"]
CARBON, OXYGEN = (int(VOCABULARY[number]) for number in (6, 8))
C_O = (1.0, 3.0)  # what the hand-worked examples give to carbon and oxygen


def featurized(*texts: str) -> Features:
    molecules = [parse(text) for text in texts]
    assert all(isinstance(molecule, Molecule) for molecule in molecules)
    return featurize(molecules)


def graph(*texts: str) -> dict[str, Any]:
    return {"graph": to_tensors(collate(featurized(*texts), np.arange(len(texts))), dtype=torch.float64)}


def encoder(seed: int = 0, **settings: Any) -> TAG:
    torch.manual_seed(seed)
    return TAG(TAGConfig(**{"width": 32} | settings)).double().eval()


def blank(**settings: Any) -> TAG:
    """All weights zero."""
    made = encoder(**settings)
    for parameter in made.parameters():
        torch.nn.init.zeros_(parameter)
    return made


def elements(weight: Tensor, carbon: float, oxygen: float) -> None:
    """The rows of a table for elements, the same in every dimension."""
    with torch.no_grad():
        weight[:, CARBON], weight[:, OXYGEN] = carbon, oxygen


def tokens(made: TAG, *texts: str) -> Tensor:
    found = made(graph(*texts)).tokens
    assert found is not None
    return found


# ---- ethanol by hand: C, C and O have 2, 3 and 2 neighbours, themselves among them

ROOT = 1 / math.sqrt(6)  # between the first or the last and the middle
ONCE = [1 / 2 + ROOT, ROOT + 1 / 3 + 3 * ROOT, ROOT + 3 / 2]  # one hop of 1, 1, 3
TWICE = [ONCE[0] / 2 + ONCE[1] * ROOT, ONCE[0] * ROOT + ONCE[1] / 3 + ONCE[2] * ROOT, ONCE[1] * ROOT + ONCE[2] / 2]


def close(found: Tensor, expected: list[float]) -> None:
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_gcn_by_hand() -> None:
    made = blank(layer="gcn", width=1, depth=1)
    elements(made.end.linear.weight, *C_O)
    close(tokens(made, "CCO")[:, 0], ONCE)
    close(made(graph("CCO")).molecule[:, 0], [sum(ONCE)])


def test_tag_by_hand() -> None:
    """W_0 = 1, W_1 = 10, W_2 = 100 and a bias of 7."""
    made = blank(width=1, depth=1)
    for hop, block in made.end.weights.items():
        elements(block, *(10**hop * x for x in C_O))
    torch.nn.init.constant_(made.end.linear.bias, 7.0)
    atoms = [x + 10 * y + 100 * z + 7 for x, y, z in zip((1, 1, 3), ONCE, TWICE, strict=True)]
    close(tokens(made, "CCO")[:, 0], atoms)
    close(made(graph("CCO", "C")).molecule[:, 0], [sum(atoms), 1 + 10 + 100 + 7])


def test_bonds_of_tag_by_hand() -> None:
    """A double bond is worth 1. Of O=C=O each O has S_vu = 1/√6 of it, C twice that; a hop later these spread."""
    made = blank(width=1, depth=1, bonds=True)
    with torch.no_grad():
        made.end.bond.weight[0, 1] = 1
    side, middle = ROOT, 2 * ROOT
    spread = [side / 2 + middle * ROOT, 2 * side * ROOT + middle / 3, side / 2 + middle * ROOT]
    expected = [x + y for x, y in zip((side, middle, side), spread, strict=True)]
    order = graph("O=C=O")["graph"].atoms[:, 0].tolist()
    assert order == [8, 6, 8]
    close(tokens(made, "O=C=O")[:, 0], expected)
    close(made(graph("O=C=O")).molecule[:, 0], [sum(expected)])


def test_sage_by_hand() -> None:
    """The pool passes on which element an atom is; the maximum says which are near: 10 and 20 of itself, 1 and 3."""
    made = blank(layer="sage", width=1, depth=1)
    with torch.no_grad():
        made.end.pool.weight.copy_(torch.eye(len(made.end.pool.weight)))
    elements(made.end.own.weight, 10.0, 20.0)
    elements(made.end.others.weight, *C_O)
    close(tokens(made, "CCO")[:, 0], [10 + 1, 10 + 1 + 3, 20 + 1 + 3])
    with torch.no_grad():
        made.end.pool.bias[OXYGEN] = -0.5  # the oxygen sends half, the carbons nothing less
    close(tokens(made, "CCO")[:, 0], [10 + 1, 10 + 1 + 1.5, 20 + 1 + 1.5])


def test_gat_by_hand() -> None:
    """Scores of ln 2 and 3 ln 2 weigh 2 : 8; a negative score is a fifth of itself: -ln 2 and -3 ln 2 weigh 4 : 1."""
    made = blank(layer="gat", width=16, depth=1)
    elements(made.end.project.weight, *C_O)
    with torch.no_grad():
        made.end.sends[0, :2, 0] = torch.tensor([1.0, -5.0]).double() * math.log(2)
    found = tokens(made, "CCO")
    close(found[:, 0], [1, (2 + 2 + 8 * 3) / 12, (2 + 8 * 3) / 10])
    close(found[:, 1], [1, (4 + 4 + 1 * 3) / 9, (4 + 3) / 5])
    close(found[:, 2], [1, 5 / 3, 2])  # no score: the mean
    with torch.no_grad():
        made.end.receives[0, 0, 0] = -math.log(2)  # C hears C at 0 and O at 2 ln 2; O hears C at -0.4 ln 2 and O at 0
    weight = 2**-0.4
    close(tokens(made, "CCO")[:, 0], [1, (1 + 1 + 4 * 3) / 6, (weight + 3) / (weight + 1)])


@pytest.mark.parametrize("layer", LAYERS)
def test_relu_stands_between_layers_and_not_after_the_last(layer: str) -> None:
    shallow, deep = (encoder(layer=layer, depth=depth) for depth in (1, 2))
    assert tokens(shallow, *MANY).min() < 0
    assert tokens(deep, *MANY).min() < 0
    first = deep.layers[0]
    views = graph(*MANY)["graph"]
    read = deep.read(views, 2)
    raw = first(read.x, read.hood.rounds[: first.reach], read)
    assert torch.equal(deep.hidden(read), raw.relu())


# ---- what it is made of


@pytest.mark.parametrize("features, inputs", [("molr", 57 + 9 + 2 + 6), ("full", 109)])
def test_sizes(features: str, inputs: int) -> None:
    """MolR's table has 55 rows, 39 of them for elements, where ours has 57; places for "unknown" differ too."""

    def sizes(layer: str) -> int:
        made = TAG(TAGConfig(layer=layer, width=1024, features=features))  # type: ignore[arg-type]
        return sum(parameter.numel() for parameter in made.parameters())

    assert sizes("tag") == 3 * 1024 * (inputs + 1024) + 2 * 1024
    assert sizes("gcn") == 1024 * (inputs + 1024) + 2 * 1024
    assert sizes("gat") == 1024 * (inputs + 1024) + 2 * 3 * 1024
    assert sizes("sage") == inputs * (inputs + 1) + 1024 * 1025 + 2 * 1024 * (inputs + 1024) + 2 * 1024


def test_first_weights() -> None:
    """Glorot's, as in the graph library that MolR was built with: by inputs and outputs, times √2 for ReLU but gcn."""
    torch.manual_seed(0)
    width = 1024
    for layer, name, spread in [
        ("tag", "linear", math.sqrt(2 * 2 / (3 * width + width))),
        ("gcn", "linear", math.sqrt(2 / (width + width))),
        ("gat", "project", math.sqrt(2 * 2 / (width + width))),
        ("sage", "pool", math.sqrt(2 * 2 / (width + width))),
    ]:
        made = TAG(TAGConfig(layer=layer, width=width))  # type: ignore[arg-type]
        assert getattr(made.end, name).weight.std().item() == pytest.approx(spread, rel=1e-2)


def test_four_columns_or_all() -> None:
    """MolR's features do not tell a ring of carbons from another one by itself; all columns do."""
    for features, equal in (("molr", True), ("full", False)):
        made = encoder(features=features, depth=1, hops=1)
        small, large = (tokens(made, text)[0] for text in ("C1CCC1", "C1CCCCC1"))
        assert torch.allclose(small, large, rtol=0, atol=1e-12) == equal
    assert len(ATOM) == 10


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"depth": 0}, {"hops": 0}, {"layer": "sgc"}, {"features": "all"}, {"layer": "gat", "width": 24}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        TAGConfig(**wrong)


# ---- sums

CASES = [{"layer": layer, "bonds": bonds} for layer in LAYERS for bonds in (False, True)]
CASES += [{"normalise": True}, {"depth": 1}, {"depth": 1, "bonds": True}, {"depth": 3, "hops": 3, "bonds": True}]
every_case = pytest.mark.parametrize("settings", CASES, ids=str)


@every_case
def test_a_molecule_is_the_sum_of_its_tokens(settings: dict[str, Any]) -> None:
    made, views = encoder(**settings), graph(*MANY)
    made.scale.fill_(0.37)
    found = made(views)
    summed = sum_by_owner(found.tokens, views["graph"].owner, len(MANY))
    torch.testing.assert_close(found.molecule, summed, rtol=1e-11, atol=1e-12)


@every_case
def test_weighted_sums_and_their_gradients_are_those_of_the_tokens(settings: dict[str, Any]) -> None:
    made, views = encoder(**settings), graph(*MANY)
    made.scale.fill_(0.37)
    owner = views["graph"].owner
    weight, probe = torch.randn(len(owner), dtype=torch.float64), torch.randn(len(MANY), 32, dtype=torch.float64)
    slow = sum_by_owner(made(views).tokens * weight[:, None], owner, len(MANY))
    fast = made.sums(views, weight)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-11)
    parameters = list(made.parameters())
    grads = [torch.autograd.grad((total * probe).sum(), parameters) for total in (fast, slow)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@every_case
def test_a_mixture_is_the_sum_of_its_parts(settings: dict[str, Any]) -> None:
    made = encoder(**settings)
    whole, other, first, second = made(graph("OCC.c1ccccc1", "c1ccccc1.OCC", "OCC", "c1ccccc1")).molecule
    torch.testing.assert_close(whole, first + second, rtol=1e-11, atol=1e-11)
    assert torch.equal(whole, other)


# ---- the scale


def lengths(made: TAG, features: Features, rows: np.ndarray) -> float:
    with torch.no_grad():
        found = made({"graph": to_tensors(collate(features, rows))}).tokens
    return float(found.norm(dim=1).mean())


@pytest.mark.parametrize("layer", LAYERS)
def test_after_a_fit_an_atom_has_the_length_of_root_width(layer: str) -> None:
    made, features = encoder(layer=layer), featurized(*MANY)
    train = np.array([0, 1, 4, 6])
    for _ in range(2):  # what was fitted before does not matter
        made.fit_statistics({"graph": features}, train)
        assert lengths(made, features, train) == pytest.approx(math.sqrt(32), rel=1e-12)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.5)
    made.fit_statistics({"graph": features}, train)
    assert lengths(made, features, train) == pytest.approx(math.sqrt(32), rel=1e-12)


def test_the_scale_is_1_at_first_travels_with_the_weights_and_multiplies_all_alike() -> None:
    made, views = encoder(), graph(*MANY)
    assert made.scale == 1
    plain = made(views)
    made.fit_statistics({"graph": featurized("CCO", "CCN")}, np.arange(2))
    state = made.state_dict()
    assert state["scale"] == made.scale != 1
    again = encoder(seed=1)
    again.load_state_dict(state)
    scaled = again(views)
    torch.testing.assert_close(scaled.molecule, plain.molecule * made.scale, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled.tokens, plain.tokens * made.scale, rtol=1e-12, atol=0)


def test_a_vector_does_not_depend_on_what_was_embedded_before() -> None:
    made = encoder()
    alone = made(graph("CCO")).molecule[0]
    first = made(graph("c1ccccc1", "CCO", "[Na+].[Cl-]")).molecule[1]
    torch.testing.assert_close(first, alone, rtol=1e-12, atol=1e-13)
    assert made.scale == 1


def test_without_rows_the_scale_stays() -> None:
    made, features = encoder(), featurized("CCO")
    made.fit_statistics({"graph": features}, np.zeros(0, np.int64))
    assert made.scale == 1
    features.ok[0] = 0
    made.fit_statistics({"graph": features}, np.arange(1))
    assert made.scale == 1


# ---- what is seen, and how far


@pytest.mark.parametrize("features", ["molr", "full"])
@pytest.mark.parametrize("layer", LAYERS)
def test_e_and_z_differ_where_bonds_are_looked_at(layer: str, features: str) -> None:
    for bonds in (False, True):
        made = encoder(layer=layer, features=features, bonds=bonds)
        trans, cis = made(graph("F/C=C/F", "F/C=C\\F")).molecule
        assert torch.equal(trans, cis) != bonds
        ketone, alcohol = made(graph("CC(=O)C", "CC(O)C")).molecule
        assert (ketone - alcohol).abs().max() > 1e-3


def chain(count: int, bonds: list[tuple[int, int]], changed: int | None = None) -> dict[str, Any]:
    """Atoms that are what they are, whatever their bonds; the atom `changed` is an oxygen."""
    atoms = torch.zeros(count, len(ATOM), dtype=torch.int64)
    atoms[:, 0] = torch.arange(count) % 3 + 5
    if changed is not None:
        atoms[changed, 0] = 8
    edges = torch.tensor([pair for u, v in bonds for pair in ((u, v), (v, u))], dtype=torch.int64).reshape(-1, 2).t()
    kinds = torch.zeros(edges.shape[1], 4, dtype=torch.int64)
    ok, owner = torch.ones(1, dtype=torch.bool), torch.zeros(count, dtype=torch.int64)
    told = {"atoms": atoms, "edges": edges, "bonds": kinds, "owner": owner, "role": torch.full_like(owner, 2)}
    return {"graph": GraphBatch(size=1, ok=ok, **told)}  # type: ignore[arg-type]


PATH = [(v, v + 1) for v in range(11)]


def moved(made: TAG, first: dict[str, Any], second: dict[str, Any]) -> list[int]:
    """The atoms that do not cancel in the difference of two molecules."""
    change = (made(first).tokens - made(second).tokens).abs().amax(1)
    assert ((change > 1e-6) | (change < 1e-13)).all()
    return change.gt(1e-6).nonzero().flatten().tolist()


@pytest.mark.parametrize("layer, depth, reach", [("sage", 2, 2), ("gat", 3, 3), ("gcn", 2, 3), ("tag", 2, 5)])
def test_what_lies_far_from_a_broken_bond_cancels(layer: str, depth: int, reach: int) -> None:
    """Atoms as many bonds away as there are layers do not notice; the degrees in tag and gcn carry one bond farther."""
    made = encoder(layer=layer, depth=depth, bonds=True)
    whole, broken = chain(12, PATH), chain(12, PATH[1:])
    assert moved(made, whole, broken) == list(range(1 + reach))  # atoms 0 and 1 are the ends, atom k is k - 1 away
    weight = torch.ones(12, dtype=torch.float64)
    weight[: 1 + reach] = 0
    rest = made.sums(whole, weight) - made.sums(broken, weight)
    assert rest.abs().max() < 1e-12


@pytest.mark.parametrize("layer, reach", [("sage", 2), ("gat", 2), ("gcn", 2), ("tag", 4)])
def test_another_atom_is_noticed_as_many_bonds_away_as_there_are_layers(layer: str, reach: int) -> None:
    made = encoder(layer=layer)
    assert moved(made, chain(12, PATH), chain(12, PATH, changed=0)) == list(range(1 + reach))


def test_under_bf16_molecules_stay_fp32() -> None:
    for layer in LAYERS:
        made, views = encoder(layer=layer).float(), graph(*MANY)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = made(views)
        assert (mixed.molecule.dtype, mixed.tokens.dtype) == (torch.float32, torch.float32)
        exact = made(views).molecule
        assert (mixed.molecule - exact).abs().max() < 2e-2 * exact.abs().max()

"""Slow twins of MolR's layers and of the isomorphism network: loops over atoms and neighbours, from the formulas."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from tetramer.encoders.gin import GIN, GINConfig
from tetramer.encoders.tag import FEATURES, HEADS, TAG, TAGConfig
from tetramer.views.graph import ATOM, BOND, VOCABULARY, GraphBatch

Weights = dict[str, np.ndarray]
Molecule = tuple[np.ndarray, list[tuple[int, int, list[int]]]]
Neighbours = list[list[tuple[int, np.ndarray]]]  # of each atom: who, and the features of the bond
SIZES = dict(ATOM) | {"element": int(VOCABULARY.max()) + 1}


def table(atoms: np.ndarray, names: tuple[str, ...]) -> list[np.ndarray]:
    """Ones where the categories of an atom are."""
    rows = []
    for atom in atoms:
        values = dict(zip(ATOM, atom.tolist(), strict=True))
        values["element"] = int(VOCABULARY[values["element"]])
        rows.append(np.concatenate([np.eye(SIZES[name])[values[name]] for name in names]))
    return rows


def neighbours(count: int, bonds: list[tuple[int, int, list[int]]], loops: bool) -> Neighbours:
    found: Neighbours = [[] for _ in range(count)]
    for u, v, categories in bonds:
        e = np.concatenate([np.eye(n)[c] for n, c in zip(BOND.values(), categories, strict=True)])
        found[u].append((v, e))
        found[v].append((u, e))
    for v in range(count if loops else 0):
        found[v].append((v, np.zeros(sum(BOND.values()))))
    return found


def bond(w: Weights, name: str, e: np.ndarray) -> np.ndarray | float:
    return w[f"{name}.weight"] @ e if f"{name}.weight" in w else 0.0


def hops(w: Weights, name: str, h: list[np.ndarray], near: Neighbours, first: int, last: int) -> list[np.ndarray]:
    """Powers of the matrix S applied one after the other; W multiplies them side by side."""
    d = [len(around) for around in near]

    def once(rows: list[np.ndarray]) -> list[np.ndarray]:
        return [sum(rows[u] / math.sqrt(d[v] * d[u]) for u, _ in around) for v, around in enumerate(near)]  # type: ignore[misc]

    powers = [h]
    for _ in range(last):
        powers.append(once(powers[-1]))
    out = [w[f"{name}.linear.weight"] @ np.concatenate(rows) for rows in zip(*powers[first:], strict=True)]
    if f"{name}.bond.weight" in w:
        bound = [
            sum(bond(w, f"{name}.bond", e) / math.sqrt(d[v] * d[u]) for u, e in around) for v, around in enumerate(near)
        ]
        for _ in range(last):
            out = [a + b for a, b in zip(out, bound, strict=True)]
            bound = once(bound)  # type: ignore[arg-type]
    return [row + w[f"{name}.linear.bias"] for row in out]


def sage(w: Weights, name: str, h: list[np.ndarray], near: Neighbours) -> list[np.ndarray]:
    out = []
    for v, around in enumerate(near):
        sent = [
            w[f"{name}.pool.weight"] @ h[u] + w[f"{name}.pool.bias"] + bond(w, f"{name}.sent.bond", e)
            for u, e in around
        ]
        top = np.maximum(sent, 0).max(0)
        out.append(w[f"{name}.own.weight"] @ h[v] + w[f"{name}.own.bias"] + w[f"{name}.others.weight"] @ top)
    return out


def gat(w: Weights, name: str, h: list[np.ndarray], near: Neighbours) -> list[np.ndarray]:
    z = [w[f"{name}.project.weight"] @ row for row in h]
    out = []
    for v, around in enumerate(near):
        heads = []
        for k in range(HEADS):
            share = slice(k * len(z[v]) // HEADS, (k + 1) * len(z[v]) // HEADS)
            sent = [(z[u] + bond(w, f"{name}.sent.bond", e))[share] for u, e in around]
            score = [w[f"{name}.sends"][0, k] @ m + w[f"{name}.receives"][0, k] @ z[v][share] for m in sent]
            power = [math.exp(x if x > 0 else 0.2 * x) for x in score]
            heads.append(sum(p * m for p, m in zip(power, sent, strict=True)) / sum(power))
        out.append(np.concatenate(heads) + w[f"{name}.bias"])
    return out


def normed(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def tag(config: TAGConfig, w: Weights, molecule: Molecule) -> list[np.ndarray]:
    atoms, bonds = molecule
    h, near = table(atoms, FEATURES[config.features]), neighbours(len(atoms), bonds, loops=True)
    for place in range(config.depth):
        last = place == config.depth - 1
        name = "end" if last else f"layers.{place}"
        if config.layer in ("tag", "gcn"):
            h = hops(w, name, h, near, *((0, config.hops) if config.layer == "tag" else (1, 1)))
        else:
            h = (sage if config.layer == "sage" else gat)(w, name, h, near)
        h = h if last else [np.maximum(row, 0) for row in h]
    return [normed(w, "norm", row) for row in h] if config.normalise else h


def gin(config: GINConfig, w: Weights, molecule: Molecule) -> list[np.ndarray]:
    atoms, bonds = molecule
    near = neighbours(len(atoms), bonds, loops=False)
    h = [w["atom.weight"] @ row for row in table(atoms, tuple(ATOM))]
    for place in range(config.depth):
        name, new = f"layers.{place}", []
        for v, around in enumerate(near):
            x = (1 + w[f"{name}.excess"]) * h[v]
            for u, e in around:
                x = x + np.maximum(h[u] + bond(w, f"{name}.bond", e), 0)
            x = np.maximum(w[f"{name}.network.0.weight"] @ x + w[f"{name}.network.0.bias"], 0)
            x = w[f"{name}.network.2.weight"] @ x + w[f"{name}.network.2.bias"]
            x = normed(w, f"norms.{place}", x) if config.normalise else x
            new.append(x if place == config.depth - 1 else np.maximum(x, 0))
        h = new
    return h


TAGS: list[dict[str, Any]] = [{"layer": layer, "width": 16} for layer in ("tag", "gcn", "gat", "sage")]
TAGS += [
    {"layer": layer, "width": 32, "depth": 3, "bonds": True, "features": "full"} for layer in ("gat", "sage", "gcn")
]
TAGS += [{"width": 5, "hops": 3, "bonds": True}, {"width": 6, "depth": 1, "hops": 1, "normalise": True}]
GINS: list[dict[str, Any]] = [
    {"width": 6},
    {"width": 6, "depth": 1, "hidden": 1, "normalise": False},
    {"width": 5, "depth": 4, "readout": "mean"},
]
CASES = [(TAG, TAGConfig, tag, settings) for settings in TAGS] + [(GIN, GINConfig, gin, settings) for settings in GINS]


def encoder(kind: Any, config: Any) -> Any:
    """No weight is zero, as the first ones of some are."""
    torch.manual_seed(3)
    made = kind(config).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


NAMES = [f"{kind.__name__} {settings}" for kind, _, _, settings in CASES]


@pytest.mark.parametrize("kind, config, twin, settings", CASES, ids=NAMES)
def test_the_network_equals_its_slow_twin(
    kind: Any, config: Any, twin: Any, settings: dict[str, Any], molecules: list[Molecule], graph: GraphBatch
) -> None:
    made = encoder(kind, config(**settings))
    found = made({"graph": graph})
    weights = {name: value.detach().numpy() for name, value in made.named_parameters()}
    width = settings["width"]
    rows = [np.array(twin(made.config, weights, one)).reshape(-1, width) for one in molecules]
    np.testing.assert_allclose(found.tokens.detach().numpy(), np.concatenate(rows), rtol=1e-10, atol=1e-12)
    mean = settings.get("readout") == "mean"
    slow = np.array([one.sum(0) / (max(len(one), 1) if mean else 1) for one in rows])
    np.testing.assert_allclose(found.molecule.detach().numpy(), slow, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind, config, twin, settings", CASES, ids=NAMES)
def test_gradients_equal_finite_differences(
    kind: Any, config: Any, twin: Any, settings: dict[str, Any], graph: GraphBatch
) -> None:
    """Sharing the work of equal neighbourhoods must add up their gradients, those of tokens and of molecules."""
    made = encoder(kind, config(**settings))
    probe = torch.randn(graph.size, settings["width"], dtype=torch.float64)
    weight = torch.randn(len(graph.owner), settings["width"], dtype=torch.float64)  # type: ignore[arg-type]

    def value() -> torch.Tensor:
        found = made({"graph": graph})
        return (found.molecule * probe).sum() + (found.tokens * weight).sum()

    value().backward()
    for name, parameter in made.named_parameters():
        direction = torch.randn_like(parameter)
        values = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter.add_(direction, alpha=step)
                values.append(value().item())
            parameter.add_(direction, alpha=1e-6)
        slope = (parameter.grad * direction).sum().item()
        assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-6), name

"""A slow twin of the directed message-passing network: loops over atoms and bonds, written from the formulas alone."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from tetramer.encoders import MPNN
from tetramer.encoders.mpnn import MPNNConfig
from tetramer.views.graph import ATOM, BOND, VOCABULARY, GraphBatch

Weights = dict[str, np.ndarray]
Molecule = tuple[np.ndarray, list[tuple[int, int, list[int]]]]


def hot(categories: list[int], widths: Iterable[int]) -> np.ndarray:
    return np.concatenate([np.eye(width)[category] for category, width in zip(categories, widths, strict=True)])


def around(messages: list[np.ndarray], kind: str, width: int) -> np.ndarray:
    """What arrives at one atom."""
    if not messages:
        return np.zeros(width * (12 if kind == "pna" else 1))
    rows = np.array(messages)
    if kind != "pna":
        return rows.sum(0) if kind == "sum" else rows.mean(0)
    spread = np.sqrt(rows.var(0) + 1e-5) - math.sqrt(1e-5)
    four = np.concatenate([rows.mean(0), rows.max(0), rows.min(0), spread])
    scale = math.log(len(rows) + 1) / math.log(3)
    return np.concatenate([four, four * scale, four / scale])


def twin(config: MPNNConfig, w: Weights, atoms: np.ndarray, bonds: list[tuple[int, int, list[int]]]) -> np.ndarray:
    """One molecule. atoms: (n, A) raw columns; bonds: (u, v, categories)   →   (n, D) atom vectors"""
    widths = [int(VOCABULARY.max()) + 1, *list(ATOM.values())[1:]]
    x = [hot([int(VOCABULARY[row[0]]), *row[1:]], widths) for row in atoms]
    directed = {(a, b): hot(c, BOND.values()) for u, v, c in bonds for a, b in ((u, v), (v, u))}
    begin = {(v, u): w["edge.weight"] @ np.concatenate([x[v], directed[v, u]]) for v, u in directed}
    h = {edge: np.maximum(start, 0) for edge, start in begin.items()}
    for _ in range(config.depth - 1):
        new = {}
        for v, to in directed:
            messages = [h[u, there] for u, there in directed if there == v and u != to]
            m = around(messages, config.aggregation, config.width)
            new[v, to] = np.maximum(begin[v, to] + w["message.weight"] @ m, 0)
        h = new
    result = []
    for v in range(len(atoms)):
        messages = [h[u, there] for u, there in directed if there == v]
        m = around(messages, config.aggregation, config.width)
        result.append(np.maximum(w["atom.weight"] @ np.concatenate([x[v], m]) + w["atom.bias"], 0))
    return np.array(result).reshape(-1, config.width)


def read_out(config: MPNNConfig, w: Weights, rows: np.ndarray) -> np.ndarray:
    if not len(rows):
        return np.zeros(config.width)
    if config.readout == "attention":
        power = np.exp(rows @ w["score.weight"][0] + w["score.bias"][0])
        return (power / power.sum()) @ rows
    return {"sum": rows.sum(0), "mean": rows.mean(0), "norm": rows.sum(0) / 100}[config.readout]


@pytest.mark.parametrize("aggregation", ["sum", "mean", "pna"])
@pytest.mark.parametrize("depth, readout", [(1, "sum"), (2, "mean"), (3, "norm"), (4, "attention")])
def test_the_network_equals_its_slow_twin(
    aggregation: str, depth: int, readout: str, molecules: list[Molecule], graph: GraphBatch
) -> None:
    torch.manual_seed(depth)
    config = MPNNConfig(width=6, depth=depth, aggregation=aggregation, readout=readout)  # type: ignore[arg-type]
    encoder = MPNN(config).double()
    weights = {name: value.detach().numpy() for name, value in encoder.named_parameters()}
    encoding = encoder({"graph": graph})
    rows = [twin(config, weights, atoms, bonds) for atoms, bonds in molecules]
    assert encoding.tokens is not None
    np.testing.assert_allclose(encoding.tokens.detach().numpy(), np.concatenate(rows), rtol=1e-12, atol=1e-13)
    slow = np.array([read_out(config, weights, one) for one in rows])
    np.testing.assert_allclose(encoding.molecule.detach().numpy(), slow, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("aggregation", ["sum", "mean", "pna"])
def test_gradients_equal_finite_differences(aggregation: str, graph: GraphBatch) -> None:
    """Sharing the work of equal surroundings must add up their gradients."""
    torch.manual_seed(1)
    encoder = MPNN(MPNNConfig(width=4, aggregation=aggregation, readout="attention")).double()  # type: ignore[arg-type]
    views = {"graph": graph}
    probe = torch.randn(graph.size, 4, dtype=torch.float64)
    encoder.zero_grad()
    (encoder(views).molecule * probe).sum().backward()
    for name, parameter in encoder.named_parameters():
        direction = torch.randn_like(parameter)
        values = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter.add_(direction, alpha=step)
                values.append((encoder(views).molecule * probe).sum().item())
            parameter.add_(direction, alpha=1e-6)
        assert parameter.grad is not None
        slope = (parameter.grad * direction).sum().item()
        assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-7), name

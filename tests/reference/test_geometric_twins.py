"""Slow twins of the encoders of geometries, with loops over atoms and their neighbours, straight from the equations."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tetramer.encoders.egnn import EGNN
from tetramer.encoders.painn import PaiNN
from tetramer.encoders.schnet import SchNet
from tetramer.views.conformer import ConformerBatch
from tetramer.views.graph import VOCABULARY

Weights = dict[str, np.ndarray]
Answer = tuple[np.ndarray, np.ndarray | None]


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * logistic(x)


def ssp(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x)) - math.log(2)


def affine(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    y = w[f"{name}.weight"] @ x
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def two(w: Weights, name: str, last: int, x: np.ndarray, between: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return affine(w, f"{name}.{last}", between(affine(w, f"{name}.0", x)))


def start(w: Weights, numbers: np.ndarray, charges: np.ndarray) -> np.ndarray:
    return w["atoms.element.weight"][VOCABULARY[numbers]] + w["atoms.charge.weight"][charges.clip(-4, 4) + 4]


def bessel(d: float, count: int, cutoff: float) -> np.ndarray:
    return np.array([math.sin(k * math.pi * d / cutoff) / d for k in range(1, count + 1)])


def cosine(d: float, cutoff: float) -> float:
    return 0.5 * (math.cos(math.pi * d / cutoff) + 1) if d < cutoff else 0.0


def volumes(sums: np.ndarray) -> np.ndarray:
    """(3 C, 3) → (C,) by determinants."""
    hats = sums / np.sqrt(4e-4 + (sums**2).sum(1, keepdims=True))
    return np.array([np.linalg.det(np.array(three)) for three in zip(*np.split(hats, 3), strict=True)])


def egnn(config: Any, w: Weights, numbers: np.ndarray, charges: np.ndarray, x: np.ndarray) -> Answer:
    h, n = start(w, numbers, charges), len(x)
    for layer in range(config.depth):
        name = f"layers.{layer}"
        joined = np.concatenate([w[f"{name}.{part}.weight"] for part in ("own", "other", "away")], 1)  # W_1
        new, places = [], x.copy()
        for i in range(n):
            arrived, sums, step, around = np.zeros(config.width), np.zeros((24, 3)), np.zeros(3), 0.0
            for j in range(n):
                if i == j:
                    continue
                d = np.linalg.norm(x[i] - x[j])
                t = min(d / config.cutoff, 1)
                e = 1 - 28 * t**6 + 48 * t**7 - 21 * t**8 if config.radial else 1.0
                seen = bessel(d, config.radial, config.cutoff) if config.radial else np.array([d * d])
                z = joined @ np.concatenate([h[i], h[j], seen]) + w[f"{name}.own.bias"]
                m = silu(affine(w, f"{name}.message", silu(z)))
                arrived += e * m * (logistic(affine(w, f"{name}.gate", m)) if config.attention else 1)
                around += e
                if config.chirality:
                    sums += np.outer(affine(w, f"{name}.sides", m), e * (x[j] - x[i]) / (1 + d))
                if f"{name}.shift.0.weight" in w:
                    push = math.tanh(two(w, f"{name}.shift", 2, m, silu)[0])
                    step += e * (x[i] - x[j]) / (1 + d) * push
            parts = [h[i], arrived, *([volumes(sums)] if config.chirality else [])]
            new.append(h[i] + two(w, f"{name}.node", 2, np.concatenate(parts), silu))
            places[i] += step / max(around, 1)
        h, x = np.array(new), places
    return np.array([two(w, "out", 2, row, silu) for row in h]), None


def schnet(config: Any, w: Weights, numbers: np.ndarray, charges: np.ndarray, x: np.ndarray) -> Answer:
    h, n = start(w, numbers, charges), len(x)
    width = config.cutoff / (config.gaussians - 1)
    for layer in range(config.depth):
        name, new = f"layers.{layer}", []
        for i in range(n):
            arrived = np.zeros(config.filters)
            for j in range(n):
                d = np.linalg.norm(x[i] - x[j])
                if i != j and d < config.cutoff:
                    g = np.array([math.exp(-((d - k * width) ** 2) / (2 * width**2)) for k in range(config.gaussians)])
                    filters = two(w, f"{name}.filter", 2, g, ssp) * cosine(d, config.cutoff)
                    arrived += affine(w, f"{name}.sender", h[j]) * filters
            new.append(h[i] + two(w, f"{name}.update", 3, arrived, ssp))
        h = np.array(new)
    return np.array([two(w, "out", 3, row, ssp) for row in h]), None


def painn(config: Any, w: Weights, numbers: np.ndarray, charges: np.ndarray, x: np.ndarray) -> Answer:
    s, n = start(w, numbers, charges), len(x)
    v = np.zeros((n, 3, config.width))
    for layer in range(config.depth):
        name, ds, dv = f"layers.{layer}", np.zeros_like(s), np.zeros_like(v)
        for i in range(n):
            for j in range(n):
                d = np.linalg.norm(x[i] - x[j])
                if i != j and d < config.cutoff:
                    filters = affine(w, f"{name}.filter", bessel(d, config.radial, config.cutoff))
                    sent = two(w, f"{name}.sender", 2, s[j], silu) * filters * cosine(d, config.cutoff)
                    a, b, c = np.split(sent, 3)
                    ds[i] += a
                    dv[i] += b * v[j] + np.outer((x[i] - x[j]) / d, c)
        s, v = s + ds, v + dv
        for i in range(n):
            u, other = np.split(v[i] @ w[f"{name}.mix.weight"].T, 2, axis=1)
            parts = [s[i], np.sqrt((other**2).sum(0) + 1e-8)]
            if config.chirality:
                parts.append(volumes((v[i] @ w[f"{name}.sides.weight"].T).T))
            plain, scaled, stretch = np.split(two(w, f"{name}.update", 2, np.concatenate(parts), silu), 3)
            s[i] += plain + scaled * (u * other).sum(0)
            v[i] += stretch * u
    return s, v.transpose(0, 2, 1)


CASES: list[tuple[type[Any], Callable[..., Answer], dict[str, Any]]] = [
    (EGNN, egnn, {"depth": 3}),
    (EGNN, egnn, {"depth": 2, "attention": False, "readout": "mean"}),
    (EGNN, egnn, {"depth": 3, "radial": 5, "cutoff": 3.0, "coordinates": True}),
    (EGNN, egnn, {"depth": 2, "coordinates": True, "chirality": True}),
    (SchNet, schnet, {"depth": 2, "filters": 5, "gaussians": 6, "cutoff": 3.0}),
    (SchNet, schnet, {"depth": 3, "filters": 8, "gaussians": 4, "cutoff": 9.0, "half": True, "readout": "mean"}),
    (PaiNN, painn, {"depth": 3, "radial": 6, "cutoff": 3.0}),
    (PaiNN, painn, {"depth": 2, "radial": 4, "cutoff": 6.0, "chirality": True}),
]


@pytest.fixture(scope="module")
def clouds() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.Generator(np.random.Philox(5))
    counts = (6, 1, 4, 2, 7)
    return [(rng.choice([1, 6, 8], n), rng.integers(-5, 6, n), rng.normal(size=(n, 3)) * 1.3) for n in counts]


@pytest.mark.parametrize("kind, twin, settings", CASES, ids=lambda value: getattr(value, "__name__", None))
def test_the_network_equals_its_slow_twin(kind: Any, twin: Any, settings: dict[str, Any], clouds: Any) -> None:
    """Five geometries of four molecules; the third molecule has two."""
    torch.manual_seed(1)
    config = kind.Config(**{"width": 6, **settings})
    encoder = kind(config).double().eval()
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith("shift.2.weight"):
                parameter.mul_(300)  # first steps are too small to be seen
    owner = np.repeat(np.arange(5), [len(numbers) for numbers, _, _ in clouds])
    joined = [torch.from_numpy(np.concatenate(column)) for column in zip(*clouds, strict=True)]
    molecule = torch.tensor([0, 1, 2, 2, 3])
    fields: dict[str, Any] = dict(zip(("numbers", "charges", "positions"), joined, strict=True))
    fields |= {"ok": torch.ones(4, dtype=torch.bool), "owner": torch.from_numpy(owner), "molecule": molecule}
    encoding = encoder({"conformer": ConformerBatch(size=4, **fields)})

    weights = {name: value.detach().numpy() for name, value in encoder.named_parameters()}
    slow = [twin(config, weights, *cloud) for cloud in clouds]
    np.testing.assert_allclose(
        encoding.tokens.detach(), np.concatenate([tokens for tokens, _ in slow]), rtol=1e-10, atol=1e-12
    )
    if encoding.vectors is not None:
        np.testing.assert_allclose(
            encoding.vectors.detach(), np.concatenate([vectors for _, vectors in slow]), rtol=1e-10, atol=1e-12
        )
    each = [tokens.sum(0) if config.readout == "sum" else tokens.mean(0) for tokens, _ in slow]
    whole = np.array([each[0], each[1], (each[2] + each[3]) / 2, each[4]])
    np.testing.assert_allclose(encoding.molecule.detach(), whole, rtol=1e-10, atol=1e-12)

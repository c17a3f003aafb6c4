"""A planted signal is found in seconds. What the answers are exactly stands in test_supervised.py."""

from typing import Any

import numpy as np
import pytest
import torch

from tetramer.encoders import ENCODERS
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.objectives import Sample, Supervised, SupervisedConfig, Targets
from tetramer.views import VIEWS
from tetramer.views.base import Batch

CHAINS = ["C" * n for n in range(1, 9)] + ["N" + "C" * n for n in range(1, 9)] + ["C" * n + "O" for n in range(1, 9)]
RINGS = [f"C1{'C' * n}C1{tail}" for n in range(1, 6) for tail in ("", "C", "CC", "N", "O", "CO", "C1CC1", "C1CCC1")]

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"widths": (32,), "dropout": 0.0},
    "transformer": {"width": 32, "depth": 2, "heads": 2, "dropout": 0.0},
    "lstm": {"width": 32, "depth": 1, "embedding": 16, "dropout": 0.0},
    "mpnn": {"width": 32},
    "tag": {"width": 32, "features": "full", "bonds": True},
    "gin": {"width": 32, "depth": 2},
    "reaction-mpnn": {"width": 32},
    "reaction-tag": {"width": 32, "features": "full", "bonds": True},
    "reaction-gin": {"width": 32, "depth": 2},
    "combining-mpnn": {"width": 32, "depth": 3},
    "painn": {"width": 32, "depth": 2},
    "egnn": {"width": 32, "depth": 2, "radial": 8},
    "schnet": {"width": 32, "depth": 2, "filters": 16, "gaussians": 20},
    "combining-egnn": {"width": 32, "depth": 2},
    "fusion": {"branches": {"fingerprint": {"widths": [16]}, "graph": {"width": 16}}, "join": "gated", "absent": 0.0},
}
GENTLE = ("transformer", "tag", "reaction-tag", "egnn", "combining-egnn")  # they take small steps


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ENCODERS)
def test_rings_are_counted(name: str, precision: str) -> None:
    """Two molecules of three train; R² of the rest is above 0.95, or 0.9."""
    molecules = [parse(text) for text in CHAINS + RINGS]
    assert all(isinstance(molecule, Molecule) for molecule in molecules)
    rings = np.array([[text.count("1") / 2] for text in CHAINS + RINGS])
    train = np.flatnonzero(np.arange(len(rings)) % 3)
    rest = np.setdiff1d(np.arange(len(rings)), train)
    kind = ENCODERS[name]
    torch.manual_seed(0)
    network = Supervised(kind(kind.Config(**SMALL[name])), SupervisedConfig(widths=(32,)))
    features = {view: VIEWS[view].featurize(molecules) for view in network.views}
    network.encoder.fit_statistics(features, train)
    network.fit_statistics(rings[train], np.ones(len(train)))
    peak, steps = 3e-3 if name in GENTLE else 1e-2, 160
    optimizer = torch.optim.Adam(network.parameters(), lr=peak)
    known = Targets(
        torch.from_numpy(rings[train]), torch.zeros(len(train), 1, dtype=torch.int8), torch.ones(len(train))
    )

    def batches(rows: np.ndarray) -> dict[str, Batch]:
        return {view: to_tensors(VIEWS[view].collate(features[view], rows)) for view in network.views}

    sample = Sample(batches(train), known)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = peak * (1 - step / steps)  # at full rate the last steps still leap
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            value = network.loss(sample, torch.Generator()).value
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    with torch.no_grad():
        answer = network.eval().predict(batches(rest))[..., 0].numpy()
    explained = 1 - ((answer - rings[rest]) ** 2).sum() / ((rings[rest] - rings[rest].mean()) ** 2).sum()
    assert explained > (0.9 if name in GENTLE else 0.95)

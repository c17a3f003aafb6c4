"""The fingerprint network: what goes into its first layer."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tetramer.encoders import MLP
from tetramer.encoders.mlp import MLPConfig
from tetramer.errors import UserError
from tetramer.views.fingerprint import NAMES, FingerprintBatch, FingerprintFeatures

WIDE = len(NAMES)


def features(descriptors: np.ndarray, ok: list[int] | None = None) -> dict[str, FingerprintFeatures]:
    n = len(descriptors)
    return {
        "fingerprint": FingerprintFeatures(
            ok=np.array(ok or [1] * n, np.uint8),
            bits=np.zeros(0, np.uint16),
            counts=np.zeros(0, np.uint8),
            bit_starts=np.zeros(n + 1, np.int64),
            descriptors=descriptors.astype(np.float32),
            elements=np.zeros((n, 119), np.uint16),
        )
    }


def batch(counts: dict[int, float], descriptor: float = math.nan) -> dict[str, FingerprintBatch]:
    """One molecule with the given counts and all descriptors equal."""
    row = torch.zeros(1, 2048)
    for bit, count in counts.items():
        row[0, bit] = count
    return {"fingerprint": FingerprintBatch(1, torch.ones(1, dtype=torch.bool), row, torch.full((1, WIDE), descriptor))}  # type: ignore[arg-type]


def linear(**settings: object) -> MLP:
    """An encoder whose one layer adds up all its inputs."""
    encoder = MLP(MLPConfig(widths=(1,), **settings)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        encoder.body[0].weight.fill_(1.0)
        encoder.body[0].bias.zero_()
    return encoder


def test_counts_enter_as_log_1_p() -> None:
    assert linear(descriptors=False)(batch({3: 1, 9: 6})).molecule.item() == pytest.approx(math.log(2 * 7), rel=1e-5)


def test_descriptors_say_nothing_before_they_are_fitted() -> None:
    assert linear()(batch({3: 1}, 5.0)).molecule.item() == pytest.approx(math.log(2), rel=1e-5)


def test_descriptors_enter_as_normal_scores_of_their_rank() -> None:
    encoder = linear(quantiles=5)
    column = np.repeat(np.arange(9.0)[:, None], WIDE, 1)
    encoder.fit_statistics(features(column), np.arange(9))
    assert encoder.quantiles[:, 0].tolist() == [0, 2, 4, 6, 8]
    upper = encoder(batch({}, 6.0)).molecule.item() / WIDE
    assert upper == pytest.approx(0.6745, abs=1e-3)  # the upper quartile of a normal distribution
    assert encoder(batch({}, math.nan)).molecule.item() == 0.0


def test_only_good_training_rows_are_fitted() -> None:
    column = np.repeat(np.array([1.0, 2.0, 3.0, 1e6, -1e6])[:, None], WIDE, 1)
    encoder = MLP(MLPConfig(quantiles=3))
    encoder.fit_statistics(features(column, [1, 1, 1, 0, 1]), np.arange(4))
    assert encoder.quantiles[:, 0].tolist() == [1, 2, 3]


def test_environments_that_no_training_row_has_say_nothing() -> None:
    encoder = linear(descriptors=False)
    rows = replace(
        features(np.zeros((3, WIDE)))["fingerprint"],
        bits=np.array([3, 9, 40], np.uint16),
        counts=np.ones(3, np.uint8),
        bit_starts=np.array([0, 1, 2, 3]),
    )
    encoder.fit_statistics({"fingerprint": rows}, np.arange(2))  # of which none has bit 40
    assert encoder(batch({3: 1, 9: 1, 40: 5, 41: 5})).molecule.item() == pytest.approx(math.log(4), rel=1e-5)


def test_the_default_size() -> None:
    encoder = MLP(MLPConfig())
    inputs = 2048 + WIDE
    assert sum(p.numel() for p in encoder.parameters()) == (inputs + 1) * 512 + 513 * 256
    assert encoder.width == 256


@pytest.mark.parametrize("wrong", [{"widths": ()}, {"widths": (0,)}, {"quantiles": 1}, {"dropout": -0.1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        MLPConfig(**wrong)  # type: ignore[arg-type]

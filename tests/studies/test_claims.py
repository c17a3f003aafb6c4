"""Verdicts on what the study says: where an interval must lie, and what it is held against."""

import pytest

from tetramer.space.claims import Claim
from tetramer.studies.combining_claims import RAW, judged, orders, verdict_of


def claim(value: float, reference: float | None = None, wide: float = 0.05) -> Claim:
    return Claim("", "", value, value - wide, value + wide, reference, 100)


@pytest.mark.parametrize(
    ("value", "side", "says"),
    [(0.6, "above", "holds"), (0.4, "above", "does not hold"), (0.4, "below", "holds"), (0.52, "above", "not settled")],
)
def test_the_whole_interval_decides(value: float, side: str, says: str) -> None:
    assert verdict_of(claim(value), side, 0.5, 0.5) == says
    assert verdict_of(claim(value), side, None, None) == "not settled"
    assert verdict_of(claim(value), side, 0.4, 0.6) == "not settled"  # another space whose interval meets this one


def test_scaffolds_are_held_against_the_fingerprint_and_spread_against_the_mlp_of_the_same_series() -> None:
    claims = {
        RAW: {"scaffold@1": claim(0.5, 0.05), "plane": claim(0.1, 0.5)},
        "FP-MLP, ours": {"scaffold@1": claim(0.3, 0.1), "spread": claim(0.4)},
        "FP-MLP, published": {"spread": claim(0.9)},
        "EGNN, ours": {"spread": claim(0.8), "scaffold@1": claim(0.3, 0.1)},
    }
    told = {(one.space, one.statistic): (one.level, one.verdict) for one in judged(claims)}
    assert told == {
        (RAW, "rank of the neighbour in the plane"): (0.5, "does not hold"),
        ("FP-MLP, ours", "same scaffold, first neighbour"): (0.5, "holds"),  # though above chance
        ("EGNN, ours", "spread of nearest distances"): (0.4, "holds"),
    }


def test_better_models_share_more_scaffolds_and_less_difference() -> None:
    names = [f"model {place}" for place in range(8)]
    errors = {name: 1.0 + place for place, name in enumerate(names)}
    claims = {
        name: {"target": claim(0.1 * place), "scaffold@1": claim(0.9 - 0.1 * place), "strings": claim(-place)}
        for place, name in enumerate(names)
    }
    assert [one.verdict for one in orders(errors, claims, "models")] == ["holds", "holds", "does not hold"]
    assert orders(dict(list(errors.items())[:3]), claims, "models") == []

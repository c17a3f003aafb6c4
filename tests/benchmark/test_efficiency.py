"""DEM is the mean over seven shares, of methods that have them all."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tetramer.benchmark.efficiency import RULES, SHARES, efficiencies

OVERLAPS = {"esol": dict.fromkeys(RULES, 0.0)}


def rows(
    method: str, values: Sequence[float | None], seed: int = 0, metric: str = "rmse", **changed: Any
) -> list[dict[str, Any]]:
    """One value a share."""
    return [
        {
            **{"class": "dem", "split": rule, "seed": seed, "fit_rows": "train", "data": "esol", "method": method},
            **{"metric": metric, "scores": {metric: value}, "refused": None, "split_sha256": f"{rule} {seed}"},
            **changed,
        }
        for rule, value in zip(RULES, values, strict=False)
    ]


def test_the_shares_double_from_one_eightieth() -> None:
    assert SHARES == (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    assert RULES[0] == "dem-0.0125"
    assert RULES[-1] == "dem-0.8"


def test_dem_is_the_mean_over_the_shares_best_first() -> None:
    values: Mapping[str, list[float | None]] = {
        "poor": [2.0 + k for k in range(7)],
        "good": [1.0 + k for k in range(7)],
        "absent": [0.0, 0.0, 0.0, None, 0.0, 0.0, 0.0],
    }
    (found,) = efficiencies([row for name, some in values.items() for row in rows(name, some)], {})
    assert found.methods == ("good", "poor")
    assert found.dem == pytest.approx((4.0, 5.0))
    assert found.means[0] == tuple(1.0 + k for k in range(7))
    assert found.lacks == ("absent",)
    assert not found.higher
    (areas,) = efficiencies([row for name, some in values.items() for row in rows(name, some, metric="roc-auc")], {})
    assert areas.methods == ("poor", "good")
    assert areas.higher


def test_without_every_share_there_is_none() -> None:
    assert efficiencies(rows("mean", [1.0] * 6), {}) == []
    every = rows("mean", [1.0] * 7)
    assert efficiencies([every[0] | {"data": "bace"}, *every[1:]], {}) == []


def test_spread_and_differences_are_over_splits() -> None:
    """By hand: DEM 1, 2 and 3 of one method; a, of two seeds, is lower by 0.5, 0.5 and 0.2 on the same splits."""
    told = [row for seed in range(3) for row in rows("base", [1.0 + seed] * 7, seed)]
    for name, shift in (("a-0", 0.1), ("a-1", -0.1)):
        for seed, less in enumerate((0.5, 0.5, 0.2)):
            told += rows(name, [1.0 + seed - less + shift] * 7, seed)
    (found,) = efficiencies(told, OVERLAPS)
    assert found.over_splits(["base"]) == [1.0, 2.0, 3.0]
    assert found.sd(["base"]) == pytest.approx(1.0)
    pair = found.minus(["a-0", "a-1"], ["base"])
    assert pair is not None
    assert sorted(pair.gaps) == pytest.approx([-0.5, -0.5, -0.2])
    half = 4.30265273 * 0.03**0.5 / 3**0.5  # t of two degrees of freedom, sd of the gaps
    assert (pair.difference, pair.low, pair.high) == pytest.approx((-0.4, -0.4 - half, -0.4 + half))
    (alike,) = efficiencies(told, {"esol": OVERLAPS["esol"] | {RULES[3]: 0.75}})  # the largest of the seven counts
    wide = alike.minus(["a-0", "a-1"], ["base"])
    assert wide is not None
    assert wide.high == pytest.approx(-0.4 + half * 10**0.5)  # 1 / 3 + 0.75 / 0.25 in place of 1 / 3
    assert found.minus(["a-0"], ["nobody"]) is None


def test_only_answers_to_the_same_question_are_compared() -> None:
    one, other = rows("base", [1.0] * 7), rows("ours", [0.5] * 7)
    other[2]["cells"] = {"rmse": "other labels"}
    (found,) = efficiencies([*one, *other], {})
    assert found.minus(["ours"], ["base"]) is None
    assert found.minus(["ours"], ["ours"]) is not None

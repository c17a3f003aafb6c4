"""DEM is the mean over seven shares, of methods that have them all."""

import pytest

from tetramer.benchmark.efficiency import RULES, SHARES, efficiencies
from tetramer.benchmark.grouping import Setting
from tetramer.benchmark.standing import Line, Standing


def table(rule: str, values: dict[str, float | None], metric: str = "rmse", data: str = "esol") -> Standing:
    lines = tuple(Line(method, value, None, 1, 1, (9, 9), (9, 9), 1.0, None) for method, value in values.items())
    higher = metric == "roc-auc"
    return Standing(Setting("dem", rule, "train"), data, "", metric, higher, "mean", "", None, {}, lines, ())


def test_the_shares_double_from_one_eightieth() -> None:
    assert SHARES == (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    assert RULES[0] == "dem-0.0125"
    assert RULES[-1] == "dem-0.8"


def test_dem_is_the_mean_over_the_shares_best_first() -> None:
    values = [{"poor": 2.0 + k, "good": 1.0 + k, "absent": None if k == 3 else 0.0} for k in range(7)]
    (found,) = efficiencies([table(rule, values[k]) for k, rule in enumerate(RULES)])
    assert found.methods == ("good", "poor")
    assert found.dem == pytest.approx((4.0, 5.0))
    assert found.means[0] == tuple(1.0 + k for k in range(7))
    assert found.lacks == ("absent",)
    (areas,) = efficiencies([table(rule, values[k], "roc-auc") for k, rule in enumerate(RULES)])
    assert areas.methods == ("poor", "good")


def test_without_every_share_there_is_none() -> None:
    assert efficiencies([table(rule, {"mean": 1.0}) for rule in RULES[1:]]) == []
    other = [table(rule, {"mean": 1.0}, data="bace" if rule == RULES[2] else "esol") for rule in RULES]
    assert efficiencies(other) == []

"""Finished rows → statistics: hand-worked numbers, what is refused, what is never compared."""

import json
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tetramer.benchmark.significance import holm, rank_methods
from tetramer.benchmark.standing import UNTESTED, Standing, spans
from tetramer.benchmark.summary import Summary, as_json, check, lines, summarise
from tetramer.errors import UserError

A = (0.8, 0.7, 0.9, 0.6)
B = (0.9, 0.9, 0.8, 0.9)
Finished = dict[str, Any]


def finished(method: str, value: float | None, seed: int = 0, **other: object) -> Finished:
    """One row, as it is read from its file."""
    metric, data, split = other.get("metric", "rmse"), other.get("data", "esol"), other.get("split", "balanced")
    row: Finished = {
        "method": method,
        "data": data,
        "data_sha256": f"data {data}",
        "task": "regression",
        "metric": metric,
        "split": split,
        "class": "B",
        "seed": seed,
        "fit_rows": "train+valid",
        "split_sha256": f"{data} {split} {seed}",
        "sizes": [80, 10, 10],
        "fitted_on": 90,
        "tested_on": 10,
        "config_sha256": f"config {method}",
        "scores": {metric: value},
        "undefined": {},
        "skipped": {},
        "refused": None,
        "members": {},
        "weights": {},
        "interval": None,
        "cost": {"seconds": 2.0, "machine": "x86_64", "versions": {"numpy": "2", "tetramer": "1"}},
    }
    return row | other


def many(method: str, values: Sequence[float | None], **other: object) -> list[Finished]:
    return [finished(method, value, seed, **other) for seed, value in enumerate(values)]


def told(rows: Sequence[Finished], shared: float = 0.5, against: str = "base") -> Summary:
    overlaps = {row["data"]: {one["split"]: shared for one in rows} for row in rows}
    return summarise(rows, overlaps, against)


def only(summary: Summary) -> Standing:
    (table,) = summary.tables
    return table


# one data set


def test_a_table_equals_the_hand_worked_values() -> None:
    table = only(told(many("ours", A) + many("base", B)))
    ours, base = table.lines  # best first
    assert (ours.method, ours.mean, ours.splits, ours.rows) == ("ours", pytest.approx(0.75), 4, 4)
    assert ours.sd == pytest.approx(np.sqrt(0.05 / 3))  # deviations 0.05, −0.05, 0.15, −0.15
    assert (ours.fitted, ours.tested, ours.seconds) == ((90, 90), (10, 10), 2.0)
    assert base.pair is None
    assert ours.pair is not None
    error = np.sqrt(0.0875 / 3 * (1 / 4 + 0.5 / 0.5))  # ρ / (1 − ρ) of the overlap, not 10 / 90
    assert ours.pair.difference == pytest.approx(-0.125)
    assert (ours.pair.low, ours.pair.high) == pytest.approx(
        (-0.125 - 3.182446305 * error, -0.125 + 3.182446305 * error)
    )
    assert ours.pair.p == ours.pair.holm == pytest.approx(2 * stats.t.sf(0.125 / error, 3))
    assert ours.pair.percent == pytest.approx(-100 * 0.125 / 0.875)
    assert (ours.pair.wins, ours.pair.verdict) == (0.75, "not settled")
    assert sorted(ours.pair.gaps) == pytest.approx([-0.3, -0.2, -0.1, 0.1])
    assert table.spread == "± is the sd over 4 split seeds"
    assert table.splits == {seed: f"esol balanced {seed}" for seed in range(4)}
    assert (table.higher, table.correlation, table.notes) == (False, 0.5, ())


def test_a_metric_where_more_is_better_keeps_its_direction() -> None:
    down = only(told(many("ours", [0.1, 0.2, 0.15]) + many("base", [0.2, 0.31, 0.24]), 0.0)).lines[0].pair
    up = [
        *many("ours", [0.9, 0.8, 0.85], metric="roc-auc", task="binary"),
        *many("base", [0.8, 0.69, 0.76], metric="roc-auc", task="binary"),
    ]
    table = only(told(up, 0.0))
    assert table.higher
    assert [line.method for line in table.lines] == ["ours", "base"]
    pair = table.lines[0].pair
    assert pair is not None
    assert down is not None
    assert table.lines[0].mean == pytest.approx(0.85)
    assert pair.difference == pytest.approx(0.1)  # above 0 is better
    assert (pair.low, pair.high) == pytest.approx((-down.high, -down.low))
    assert (pair.percent, pair.p) == pytest.approx((down.percent, down.p))  # of the error, 1 − AUC
    assert pair.verdict == down.verdict == "better"
    assert list(pair.gaps) == pytest.approx([0.1, 0.11, 0.09])


def test_p_is_corrected_for_the_methods_of_its_table() -> None:
    rng = np.random.default_rng(0)
    rows = many("base", [1.0, 1.1, 0.9, 1.2])
    for name, gain in (("a", 0.3), ("b", 0.1), ("c", 0.0)):
        rows += many(name, [value - gain + rng.normal(0, 0.02) for value in (1.0, 1.1, 0.9, 1.2)])
    pairs = [line.pair for line in only(told(rows)).lines if line.pair]
    assert len(pairs) == 3
    assert [pair.holm for pair in pairs] == pytest.approx(holm([pair.p or 0 for pair in pairs]).tolist())
    assert pairs[0].holm == pytest.approx(3 * (pairs[0].p or 0))


def test_a_difference_that_one_of_many_shows_by_chance_is_not_settled() -> None:
    base = [1.0, 1.1, 0.9, 1.2]
    better = [value - gap for value, gap in zip(base, (0.1, 0.3, 0.25, 0.12), strict=True)]
    rows = many("base", base) + many("ours", better)
    alone = only(told(rows, 0.0)).lines[0].pair
    others = [row for name in "abcd" for row in many(name, [1.01, 1.05, 0.95, 1.19])]
    beside = only(told(rows + others, 0.0)).lines[0].pair
    assert alone is not None and beside is not None  # noqa: PT018
    assert (alone.low, alone.high) == (beside.low, beside.high)
    assert alone.high is not None and alone.high < 0  # noqa: PT018
    assert [pair.verdict for pair in (alone, beside)] == ["better", "not settled"]


def test_undefined_and_refused_rows_are_counted_with_their_reason() -> None:
    reason = {"rmse": "no labelled rows"}
    rows = many("base", B) + many("ours", A)
    rows[1] |= {"scores": {"rmse": None}, "undefined": reason}
    rows[4] |= {"scores": {"rmse": 0.0}, "refused": "There are 3 rows.", "tested_on": 10}
    rows += [finished("none", None, seed, refused="It cannot.", fitted_on=0) for seed in range(4)]
    table = only(told(rows))
    assert [(line.method, line.splits) for line in table.lines] == [("ours", 3), ("base", 3), ("none", 0)]
    ours, base, none = table.lines
    assert base.mean == pytest.approx(2.6 / 3)
    assert ours.pair is not None
    assert ours.pair.splits == 2  # seeds 2 and 3
    assert ours.pair.difference == pytest.approx((0.1 - 0.3) / 2)
    assert (none.mean, none.sd, none.pair, none.fitted) == (None, None, None, None)
    assert table.spread == "± is the sd over 3 split seeds"
    assert set(table.notes) == {
        "base: rmse is undefined: no labelled rows (seed 1).",
        "base: the reference has a value on 3 of 4 splits.",
        "none: could not be fitted: It cannot (seeds 0–3).",
        "ours: could not be fitted: There are 3 rows (seed 0).",
        "ours: compared on 2 of 4 splits, where both were judged on the same labels.",
    }


@pytest.mark.parametrize("other", [{"tested_on": 9}, {"skipped": {"rmse": 1}}, {"unanswered": 2}])
def test_a_split_judged_on_other_labels_is_not_compared(other: dict[str, object]) -> None:
    rows = many("base", B) + many("ours", A)
    rows[5] |= other
    table = only(told(rows))
    pair = table.lines[0].pair
    assert pair is not None
    assert pair.splits == 3
    assert pair.difference == pytest.approx((-0.1 + 0.1 - 0.3) / 3)
    assert any("compared on 3 of 4 splits" in note for note in table.notes)


def test_as_many_other_labels_are_other_labels_where_rows_know_their_hash() -> None:
    rows = many("base", B, cells={"rmse": "one"}) + many("ours", A, cells={"rmse": "one"})
    rows[5] |= {"cells": {"rmse": "other"}}
    rows[6] |= {"cells": {"rmse": "one", "r2": "other"}}  # of a metric that is not asked for
    del rows[7]["cells"]  # an older row
    pair = only(told(rows)).lines[0].pair
    assert pair is not None
    assert pair.gaps == pytest.approx((-0.1, 0.1, -0.3))


def test_targets_left_out_of_a_mean_are_told_once_for_all_methods() -> None:
    rows = many("base", B) + many("ours", A)
    for row in rows[1:3] + rows[5:7]:
        row["skipped"] = {"rmse": 2}
    table = only(told(rows))
    assert table.lines[0].pair is not None
    assert table.lines[0].pair.splits == 4
    assert table.notes == ("All methods: 2 targets without rmse, left out of the mean (seeds 1–2).",)


@pytest.mark.parametrize("field", [{"fit_rows": "train"}, {"split": "other"}, {"data": "other"}])
def test_what_is_not_alike_is_never_compared(field: dict[str, object]) -> None:
    summary = told(many("base", B) + many("ours", A, **field))
    assert len(summary.tables) == 2
    assert all(line.pair is None for table in summary.tables for line in table.lines)
    assert [table.notes for table in summary.tables if table.lines[0].method == "ours"] == [
        ("base was not measured here, so nothing is compared.",)
    ]
    assert summary.overall == ()


def test_several_training_seeds_on_one_split_are_training_noise() -> None:
    rows = many("base", [0.8, 0.9, 1.0], split_sha256="one") + many("ours", [0.5, 0.6, 0.4], split_sha256="one")
    table = only(told([row | {"class": "D"} for row in rows]))
    ours = table.lines[0]
    assert table.spread == "± is the sd over 3 training seeds on one split: noise of training only"
    assert (ours.rows, ours.splits, ours.mean, ours.sd) == (3, 1, pytest.approx(0.5), pytest.approx(0.1))
    assert table.correlation is None
    assert ours.pair is not None
    assert ours.pair.difference == pytest.approx(-0.4)
    assert ours.pair.percent == pytest.approx(-100 * 0.4 / 0.9)
    assert (ours.pair.low, ours.pair.p, ours.pair.holm, ours.pair.verdict) == (None, None, None, UNTESTED)


def test_one_row_has_no_spread_and_needs_no_overlap() -> None:
    table = only(summarise([finished("base", 1.0), finished("ours", 0.5)], {}, "base"))
    assert table.spread == "one split and one seed, so no ±"
    assert [line.sd for line in table.lines] == [None, None]


@given(st.sets(st.integers(0, 40), min_size=1))
def test_spans_name_every_number_once(numbers: set[int]) -> None:
    ends = [[int(end) for end in part.split("–")] for part in spans(numbers).split(", ")]
    assert [n for run in ends for n in range(run[0], run[-1] + 1)] == sorted(numbers)
    assert all(right[0] - left[-1] > 1 for left, right in pairwise(ends))


# all data sets


SHARES = {"esol": 0.5, "bace": 0.8, "hiv-10000": 0.7, "qm8": 0.6, "own": 0.9}


def sets(*names: str) -> list[Finished]:
    """Ours has half and 0.8 times the error of base on two sets; third has the same as base, and lacks a split."""
    rows = []
    for data in names or ("esol", "bace"):
        share = SHARES.get(data, 0.5)
        rows += many("base", [1.0, 2.0, 4.0], data=data)
        rows += many("ours", [share, 2 * share, 4 * share], data=data)
        rows += many("third", [1.0, 2.0, 4.0][: 3 if data == "esol" else 2], data=data)
    return rows


def test_ratios_and_verdicts_over_data_sets_by_hand() -> None:
    (whole,) = told(sets(*SHARES), 0.0).overall
    assert whole.sets == ("bace", "esol", "hiv-10000", "own", "qm8")
    assert [line.method for line in whole.lines] == ["ours", "base", "third"]  # incomplete methods last
    ours, base, third = whole.lines
    logs = np.log([*SHARES.values()])
    assert ours.ratio == pytest.approx(math.exp(logs.mean()))
    half = stats.t.ppf(0.975, 4) * logs.std(ddof=1) / math.sqrt(5)
    assert (ours.low, ours.high) == pytest.approx((ours.ratio * math.exp(-half), ours.ratio * math.exp(half)))
    assert (base.ratio, base.verdict, base.p) == (1.0, "reference", None)
    assert third.ratio == pytest.approx(1.0)
    lacks = tuple(f"{data} (2 of 3 splits)" for data in sorted(SHARES) if data != "esol")
    assert third.lacks == lacks
    assert whole.notes == (f"third lacks {', '.join(lacks)}; its ratio is over 5 of 5 data sets.",)
    assert [third.verdicts[name] for name in ("better", "practically the same", "worse")] == [0, 5, 0]
    assert sum(ours.verdicts.values()) == 5
    assert ours.p is not None
    assert ours.holm == pytest.approx(min(1, 2 * ours.p))


def test_few_data_sets_have_a_ratio_without_an_interval() -> None:
    """Two sets that agree to a part in a thousand would look sure, whatever each of them leaves open."""
    for names in (("esol", "bace"), ("esol", "bace", "qm8", "own")):
        (whole,) = told(sets(*names), 0.0).overall
        ours = whole.lines[0]
        assert ours.ratio == pytest.approx(math.exp(np.log([SHARES[name] for name in names]).mean()))
        assert (ours.low, ours.high, ours.p, ours.holm, ours.verdict) == (None, None, None, None, "too few data sets")


def test_a_set_whose_writing_tells_labels_is_no_headline() -> None:
    summary = told(sets("esol", "bace", "clintox", "clintox-500", "bbbp"), 0.0)
    (whole,) = summary.overall
    assert whole.sets == ("bace", "bbbp", "esol")
    assert whole.ranking is not None
    assert whole.ranking.n == 3
    assert whole.notes[-1].startswith("clintox, clintox-500: left out here, because the way its SMILES are written")
    warned = [table.data for table in summary.tables if table.notes[:1] and "writing of the SMILES" in table.notes[0]]
    assert warned == ["bbbp", "clintox", "clintox-500"]
    assert not told(sets("esol", "clintox"), 0.0).overall


def test_ranks_are_of_the_methods_that_have_everything() -> None:
    (whole,) = told(sets(), 0.0).overall
    assert whole.ranking == rank_methods(["base", "ours"], np.array([[7 / 3, 0.8 * 7 / 3], [7 / 3, 3.5 / 3]]))
    assert [line.mean_rank for line in whole.lines] == [1.0, 2.0, None]


def test_a_method_that_lacks_something_stands_last_however_good() -> None:
    rows = sets() + many("best", [0.1, 0.2, 0.4], data="esol") + many("best", [0.1, 0.2], data="bace")
    (whole,) = told(rows, 0.0).overall
    assert [line.method for line in whole.lines] == ["ours", "base", "best", "third"]
    best = whole.lines[2]
    assert (best.sets, best.ratio, best.lacks) == (2, pytest.approx(0.1), ("bace (2 of 3 splits)",))
    (whole,) = told(sets() + many("best", [0.1, 0.2, 0.4], data="esol"), 0.0).overall
    assert whole.lines[-1].lacks == ("bace",)


def test_an_error_of_zero_has_no_ratio_but_a_rank() -> None:
    rows = sets() + many("zero", [0.0, 1.0, 1.0], data="esol") + many("zero", [1.0, 1.0, 1.0], data="bace")
    (whole,) = told(rows, 0.0).overall
    (line,) = [line for line in whole.lines if line.method == "zero"]
    assert (line.ratio, line.sets, line.verdict) == (None, 1, "too few data sets")
    assert line.lacks == ("esol (an error of 0, which has no ratio)",)
    assert line.mean_rank is not None


def test_sets_without_the_reference_are_named() -> None:
    (whole,) = told(sets() + many("ours", [1.0, 2.0], data="zinc"), 0.0).overall
    assert whole.sets == ("bace", "esol")
    assert whole.notes[-1] == "base has no value on zinc, so nothing is compared there."


# by another metric


def test_another_metric_that_was_recorded_can_be_asked_for() -> None:
    rows = [
        row | {"scores": {"rmse": row["scores"]["rmse"], "r2": 1 - row["scores"]["rmse"]}} for row in many("base", B)
    ]
    rows += [row | {"scores": {"rmse": row["scores"]["rmse"], "r2": 0.1}} for row in many("ours", A)]
    rows += many("base", [0.7], metric="roc-auc", data="bace", task="binary")
    first = summarise(rows, {"esol": {"balanced": 0.5}}, "base")
    assert [table.metric for table in first.tables] == ["roc-auc", "rmse"]
    assert {line.method: line.others for line in first.tables[1].lines} == {
        "ours": {"r2": pytest.approx(0.1)},
        "base": {"r2": pytest.approx(1 - np.mean(B))},
    }
    assert [line.others for line in first.tables[0].lines] == [{}]
    told = summarise(rows, {"esol": {"balanced": 0.5}}, "base", "r2")
    (table,) = told.tables
    assert (table.data, table.metric, table.higher) == ("esol", "r2", True)
    (pair,) = [line.pair for line in table.lines if line.pair]
    assert pair.gaps == pytest.approx(tuple(0.1 - (1 - value) for value in B))
    assert told.notes == ("bace: not shown, because r2 is not of their kind.",)
    assert told.notes[0] in lines(told)
    with pytest.raises(UserError, match="mcc is of binary and multiclass, and the rows are of regression"):
        summarise(many("base", B), {"esol": {"balanced": 0.5}}, "base", "mcc")
    with pytest.raises(UserError, match="no metric named 'auc'"):
        summarise(rows, {}, "base", "auc")


# blends and intervals


def test_a_blend_stands_beside_its_best_member() -> None:
    members = [(0.9, 0.7), (1.0, 0.9), (0.8, None), (0.7, 0.8)]
    rows = many("base", B) + many("ours", A)
    for row, (gp, svm) in zip(rows[4:], members, strict=True):
        row["members"] = {"gp": {"rmse": gp}, "svm": {"rmse": svm}, "trees": {"rmse": 2.0}}
        row["weights"] = {"gp": 0.75, "svm": 0.25}
        row["interval"] = {"level": 0.9, "coverage": gp, "width": 2.0, "rank_correlation": None}
    rows[4]["interval"]["rank_correlation"] = 0.4
    rows[5]["interval"]["rank_correlation"] = math.nan
    summary = told(rows)
    (blend,) = summary.blends
    assert (blend.best, blend.mean, blend.best_mean) == ("gp", pytest.approx(0.75), pytest.approx(0.85))
    assert blend.ratio == pytest.approx(0.75 / 0.85)
    gaps = np.array(A) - [0.9, 1.0, 0.8, 0.7]
    error = gaps.std(ddof=1) * math.sqrt(1 / 4 + 1)
    assert blend.difference == pytest.approx(-0.1)
    assert blend.high == pytest.approx(-0.1 + 3.182446305 * error, abs=1e-9)
    assert blend.weights == {"gp": 0.75, "svm": 0.25}
    (one,) = summary.intervals
    assert (one.method, one.rows, one.level, one.width) == ("ours", 4, 0.9, 2.0)
    assert (one.coverage, one.coverage_sd) == pytest.approx((0.85, np.std([0.9, 1.0, 0.8, 0.7], ddof=1)))
    assert one.rank_correlation == pytest.approx(0.4)


# what is refused


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"split_sha256": "x" * 64}, "differ in their split (esol balance and xxxxxxxxxxxx)"),
        ({"data_sha256": "x" * 64}, "differ in their data (data esol and xxxxxxxxxxxx)"),
        ({"metric": "mae", "scores": {"mae": 1.0}}, "differ in their first metric (rmse and mae)"),
        ({"class": "R"}, "differ in their protocol class (B and R)"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused_by_name(other: dict[str, object], said: str) -> None:
    rows = many("base", B) + many("ours", A)
    rows[6] |= other
    with pytest.raises(UserError) as caught:
        check(rows)
    assert said in str(caught.value)
    assert "'ours' on 'esol' (balanced, seed 2, train+valid)" in str(caught.value)
    assert "Numbers are never compared across that: " in str(caught.value)


def test_rows_that_learned_from_fewer_have_splits_of_their_own() -> None:
    few = [row | {"fit_rows": "train+valid:20", "split_sha256": f"few{row['seed']}"} for row in many("base", B)]
    check([*many("base", B), *few])
    few[0]["fit_rows"] = "train"
    with pytest.raises(UserError, match="differ in their split"):
        check([*many("base", B), *few])


def test_a_rule_has_one_class_on_all_data_sets() -> None:
    with pytest.raises(UserError, match=r"'base' on 'zinc' .* differ in their protocol class \(B and R\)"):
        check([*many("base", B), finished("base", 1.0, data="zinc") | {"class": "R"}])


def test_one_method_has_one_setting_per_data_set() -> None:
    rows = many("base", B) + many("base", B, data="bace", config_sha256="other")
    check(rows)  # another data set
    rows[2]["config_sha256"] = "changed"
    with pytest.raises(
        UserError, match=r"'base' on 'esol' \(balanced, seed 2.*their settings .config base and changed"
    ):
        check(rows)


def test_the_same_row_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r"two results of 'base' on 'esol' \(balanced, seed 0, train\+valid\)"):
        check([finished("base", 1.0), finished("base", 1.0)])


def test_nothing_an_unknown_reference_and_a_missing_overlap_are_refused() -> None:
    with pytest.raises(UserError, match="no finished rows"):
        check([])
    with pytest.raises(UserError, match=r"no method named 'bass'\. Did you mean 'base'"):
        told(many("base", B), against="bass")
    with pytest.raises(UserError, match="Nobody noted how much the test parts of 'esol' by 'balanced' overlap"):
        summarise(many("base", B) + many("ours", A), {"esol": {"random": 0.1}}, "base")


# as text


def everything() -> list[Finished]:
    rows = sets() + [
        finished("ours", 0.5, seed, split="scaffold", split_sha256="s") | {"class": "D"} for seed in (0, 1)
    ]
    for row in rows:
        if row["method"] == "ours":
            row["members"] = {name: {"rmse": row["scores"]["rmse"] + 0.1} for name in ("a", "b")}
            row["weights"] = {"a": 1 / 3, "b": 2 / 3}
    rows[0] |= {"scores": {"rmse": None}, "undefined": {"rmse": "no labels"}}
    return rows


WHOLE = as_json(told(everything(), 0.3))


@settings(max_examples=10, deadline=None)
@given(st.permutations(everything()))
def test_the_order_of_the_rows_does_not_matter(rows: list[Finished]) -> None:
    assert as_json(told(rows, 0.3)) == WHOLE


def test_json_is_plain_short_and_whole() -> None:
    found = json.loads(WHOLE)
    names = ["reference", "tables", "overall", "blends", "intervals", "efficiencies", "versions", "machines"]
    names.append("notes")
    assert list(found) == names
    assert found["versions"] == ["numpy 2, tetramer 1"]
    assert found["blends"][0]["weights"] == {"a": 0.333333, "b": 0.666667}
    assert found["tables"][0]["setting"] == {"letter": "B", "rule": "balanced", "fit_rows": "train+valid"}
    digits = [text.replace(".", "").lstrip("0") for text in re.findall(r"\d+\.\d+", WHOLE)]
    assert max(map(len, digits)) == 6


def test_an_endless_percent_is_null() -> None:
    found = json.loads(as_json(told(many("base", [0.0, 0.0]) + many("ours", [1.0, 1.1]))))
    assert found["tables"][0]["source"] == "esol"  # its name, not all that the catalogue knows of it
    assert found["tables"][0]["lines"][1]["pair"]["percent"] is None


def test_lines_are_aligned_and_say_what_was_found() -> None:
    text = lines(told(sets(), 0.0))
    assert text[0] == "2 data sets, class B, balanced, fitted on train + valid: error as a share of base's"
    start = text.index(
        "esol, class B, balanced, fitted on train + valid: rmse, lower is better; ± is the sd over 3 split seeds"
    )
    header, ours = text[start + 1 : start + 3]
    assert header.split("  ")[1:2] == ["method"]
    for name in ("rmse", "splits", "difference (95 %)", "verdict"):
        place = header.index(name)
        assert ours[place - 2 : place] == "  "
        assert ours[place] != " "
    assert ours.split()[:2] == ["ours", "1.17"]
    assert any(line.strip().startswith("third lacks bace") for line in text)

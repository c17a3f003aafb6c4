"""A difference on one split: its interval over test molecules, from answers that were kept; and training seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tetramer.benchmark import answers
from tetramer.benchmark.bootstrap import compare_on_test
from tetramer.benchmark.protocol import Protocol
from tetramer.benchmark.standing import UNTESTED, Standing
from tetramer.benchmark.summary import summarise
from tetramer.errors import UserError
from tetramer.metrics import METRICS

N = 60
RNG = np.random.default_rng(0)
TRUTH = (RNG.random(N) < 0.4).astype(float)
BASE, OURS, OTHER = (TRUTH * shift + RNG.normal(size=N) for shift in (0.5, 2.0, 1.0))


def row(
    folder: Path,
    method: str,
    values: np.ndarray | None,
    seed: int = 0,
    truth: np.ndarray = TRUTH,
    times: int = 1,
    fit_rows: str = "train",
) -> dict[str, Any]:
    """A row of class D as it is read from its file, with its answers or without; every molecule stands `times`."""
    told = {"method": method, "data": "own", "data_sha256": "d", "metric": "roc-auc", "split": "scaffold", "class": "D"}
    told |= {
        "seed": seed,
        "fit_rows": fit_rows,
        "split_sha256": "one" if fit_rows == "train" else f"one {seed}",
        "fitted_on": 100,
        "tested_on": N,
        "refused": None,
    }
    told |= {"config_sha256": method, "cost": {"seconds": 1.0, "machine": "m", "versions": {}}, "interval": None}
    told["scores"] = {"roc-auc": METRICS["roc-auc"].of(truth, values) if values is not None else 0.6}
    place = folder / f"{method}-{seed}.json"
    if values is not None:
        texts = [f"C{k}" for k in range(N)] * times
        cells = np.tile(truth[:, None], (times, 1)), np.zeros((times * N, 1), np.int8), np.tile(values, times)
        packed = answers.packed(np.arange(times * N), texts, cells[0], cells[1], cells[2][:, None, None])
        answers.beside(place).write_bytes(packed)
    return answers.attached(told, place)


def table(rows: list[dict[str, Any]]) -> Standing:
    (only,) = summarise(rows, {}, "base").tables
    return only


def test_the_interval_is_that_of_the_test_molecules_in_the_metrics_own_direction(tmp_path: Path) -> None:
    told = table([row(tmp_path, "base", BASE), row(tmp_path, "ours", OURS), row(tmp_path, "older", None)])
    pair = {line.method: line.pair for line in told.lines}
    short = [side.astype(np.float32).astype(float) for side in (OURS, BASE)]
    found = compare_on_test("roc-auc", TRUTH, *short)
    assert pair["ours"] is not None
    assert (pair["ours"].low, pair["ours"].high) == (-found.high, -found.low)
    assert pair["ours"].low is not None
    assert pair["ours"].low > 0
    assert (pair["ours"].percent_low, pair["ours"].percent_high) == found.percent[1:]
    assert (pair["ours"].p, pair["ours"].verdict) == (None, UNTESTED)
    assert pair["older"] is not None
    assert (pair["older"].low, pair["older"].high) == (None, None)
    assert told.notes == (
        "The interval of a difference on one split is over its test molecules (BCa); the fits are taken as given.",
        "older: no interval, as no answers were kept, they are of other labels, or a resample has no value.",
    )


def test_other_labels_have_no_interval(tmp_path: Path) -> None:
    told = table([row(tmp_path, "base", BASE), row(tmp_path, "ours", OURS, truth=1 - TRUTH)])
    assert sum(line.pair is not None for line in told.lines) == 1
    assert all(line.pair is None or line.pair.low is None for line in told.lines)
    assert told.notes == (
        "All methods: no interval, as no answers were kept, they are of other labels, or a resample has no value.",
    )


def test_training_seeds_count_by_their_mean(tmp_path: Path) -> None:
    rows = [row(tmp_path, "base", BASE), row(tmp_path, "ours", OURS), row(tmp_path, "ours", OTHER, 1)]
    (pair,) = [line.pair for line in table(rows).lines if line.method == "ours"]
    (alone,) = [line.pair for line in table(rows[:2]).lines if line.method == "ours"]
    assert pair is not None
    assert alone is not None
    assert pair.low is not None
    assert pair.high is not None
    assert pair.low < pair.difference < pair.high
    assert (pair.low, pair.high) != (alone.low, alone.high)
    assert table(rows).spread == "± is the sd over 2 training seeds on one split: noise of training only"


def test_molecules_that_are_measured_again_are_no_evidence(tmp_path: Path) -> None:
    """A resample draws molecules: five rows of each say what one does."""
    pairs = []
    for times in (1, 5):
        rows = [row(tmp_path, "base", BASE, times=times), row(tmp_path, "ours", OURS, times=times)]
        pairs += [line.pair for line in table(rows).lines if line.method == "ours"]
    one, five = pairs
    assert one is not None
    assert five is not None
    assert (five.difference, five.low, five.high) == pytest.approx((one.difference, one.low, one.high))


def test_seeds_that_draw_which_rows_are_learned_from_are_no_splits(tmp_path: Path) -> None:
    """Of a rule with one split the test part is the same, however the rest is cut."""
    few = [row(tmp_path, name, told, seed, fit_rows="train:30") for seed in (0, 1) for name, told in
           (("base", BASE), ("ours", OURS if seed else OTHER))]  # fmt: skip
    told = table(few)
    (pair,) = [line.pair for line in told.lines if line.method == "ours"]
    assert pair is not None
    assert (pair.splits, pair.p, pair.verdict) == (1, None, UNTESTED)
    assert pair.low is not None
    assert told.splits == {0: "one 0", 1: "one 1"}
    assert "which rows were drawn to learn from" in told.spread
    alone = table([*few, row(tmp_path, "plain", BASE, fit_rows="train:30")])
    assert not [note for note in alone.notes if "compared on" in note]


def test_seeds_repeat_what_draws_on_a_rule_with_one_split() -> None:
    asked = Protocol(["mean", "random-forest", "graph"], ["esol"], ["D", "B"], 2, ["train"], seeds=3)
    seeds = {(one.method, one.split): one.seed for one in asked.rows("esol")}
    assert seeds == {
        ("mean", "scaffold"): 0,
        ("random-forest", "scaffold"): 2,
        ("graph", "scaffold"): 2,
        **{(method, "scaffold-balanced"): 1 for method in ("mean", "random-forest", "graph")},
    }
    assert len(asked.rows("esol")) == 1 + 3 + 3 + 3 * 2
    with pytest.raises(UserError, match="--seeds 0 is out of range"):
        Protocol(["mean"], ["esol"], seeds=0)

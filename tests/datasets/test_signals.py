"""Composition and style: exact fits, planted errors found, harmless data left in peace."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.datasets import signals
from tetramer.datasets.signals import (
    Style,
    bag_of_characters,
    bulk_scale,
    composition,
    extremes,
    logistic,
    ordered,
    stand_ins,
    style,
)


def molecules(rows: int = 2_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of three elements, and an energy of theirs with normal noise of standard deviation 3."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 10, (rows, 3))
    return counts, counts @ [-300.0, -150.0, -400.0] + rng.normal(0, 3, rows)


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e9])
@pytest.mark.parametrize("share", [0.01, 0.15, 0.3])
def test_planted_contradictions_are_found_whatever_the_unit(share: float, unit: float) -> None:
    counts, energy = molecules()
    wrong = np.random.default_rng(1).permutation(len(energy))[: int(share * len(energy))]
    energy[wrong] += np.where(np.arange(len(wrong)) % 3, 300, -200)  # lopsided, so a plain fit would bend
    fit = composition(unit * energy + 7, counts)
    assert fit is not None
    assert fit.explained > 0.99
    assert fit.scale == pytest.approx(3 * unit, rel=0.1)
    assert set(wrong) <= set(fit.contradict)
    assert len(fit.contradict) <= len(wrong) * 1.02 + 2
    assert 8 * unit < fit.beyond < 201 * unit


def test_the_worst_come_first() -> None:
    counts, energy = molecules()
    energy[[5, 9, 70]] += [500, -2_000, 1_000]
    fit = composition(energy, counts)
    assert fit is not None
    assert fit.contradict.tolist()[:3] == [9, 70, 5]


def test_sound_labels_are_left_in_peace() -> None:
    fit = composition(molecules()[1], molecules()[0])
    assert fit is not None
    assert (len(fit.contradict), fit.beyond) == (0, 0.0)


def test_a_target_that_is_not_made_of_atoms_is_not_explained() -> None:
    counts, _ = molecules()
    fit = composition(np.random.default_rng(2).normal(size=len(counts)), counts)
    assert fit is not None
    assert fit.explained < 0.1


def test_a_rule_that_holds_for_few_rows_explains_nothing() -> None:
    counts, energy = molecules()
    energy[800:] = np.random.default_rng(2).normal(0, 2_000, 1_200)
    fit = composition(energy, counts)
    assert fit is not None
    assert fit.explained < 0.95


def test_where_nearly_half_contradicts_nothing_is_explained() -> None:
    counts, energy = molecules()
    energy[1_150:] += 400
    fit = composition(energy, counts)
    assert fit is not None
    assert fit.explained == 0


def test_rounding_errors_contradict_nothing() -> None:
    counts, _ = molecules()
    fit = composition(counts @ [12.011, 1.008, 15.999] + 1e-9 * np.random.default_rng(0).standard_t(1, 2_000), counts)
    assert fit is not None
    assert not len(fit.contradict)


def test_an_exact_sum_contradicts_nothing() -> None:
    counts, _ = molecules()
    fit = composition(counts @ [12.011, 1.008, 15.999], counts)
    assert fit is not None
    assert fit.explained == pytest.approx(1)
    assert not len(fit.contradict)


def test_too_few_rows_or_equal_labels_give_nothing() -> None:
    counts, energy = molecules(49)
    assert composition(energy, counts) is None
    assert composition(np.ones(100), molecules(100)[0]) is None


def test_the_scale_of_the_bulk_forgets_wrong_labels() -> None:
    rng = np.random.default_rng(0)
    residual = rng.normal(0, 2, 20_000)
    assert bulk_scale(residual) == pytest.approx(2, rel=0.03)
    residual[:3_000] = 100
    assert bulk_scale(residual) == pytest.approx(2, rel=0.03)
    assert signals.SIGMA * np.median(np.abs(residual)) > 2.3  # what it would be without


def test_bag_of_characters_by_hand() -> None:
    assert bag_of_characters(["CCO", "", "C(=O)C"]).tolist() == [
        [0, 0, 0, 2, 1],
        [0, 0, 0, 0, 0],
        [1, 1, 1, 2, 1],
    ]  # the columns are ( ) = C O


def test_logistic_regression_is_at_its_optimum() -> None:
    """The gradient of the penalised loss vanishes; a slow descent of our own ends in the same place."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(200, 3)), np.ones(200)])
    y = (x[:, 0] + rng.normal(size=200) > 0.5).astype(float)
    found = logistic(x, y)
    penalty = np.array([1, 1, 1, 1e-6])
    at = np.zeros(4)
    for _ in range(20_000):
        at -= 0.01 * (x.T @ (1 / (1 + np.exp(-x @ at)) - y) + penalty * at)
    assert found == pytest.approx(at, abs=1e-4)


def test_logistic_regression_of_separable_rows_ends() -> None:
    x = np.column_stack([np.repeat([-50.0, 50.0], 20), np.ones(40)])
    found = logistic(x, (x[:, 0] > 0).astype(float))
    assert np.isfinite(found).all()
    assert found[0] > 0


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=30))
def test_area_counts_pairs_and_is_a_half_for_one_class(rows: list[tuple[bool, int]]) -> None:
    positive, answer = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    pairs = [(a > b) + 0.5 * (a == b) for a in answer[positive] for b in answer[~positive]]
    assert ordered(positive, answer) == pytest.approx(np.mean(pairs) if pairs else 0.5)


def written(rows: int, styled: float, seed: int = 0) -> tuple[list[str], list[str], np.ndarray]:
    """Chains as given and canonical; a share `styled` of class 1 is written with explicit hydrogens."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.3).astype(float)
    canonical = ["C" * int(size) + "O" for size in rng.integers(1, 30, rows)]
    odd = (y == 1) & (rng.random(rows) < styled)
    noise = rng.random(rows) < 0.1  # of every class
    return [f"[H]{text}" if o or n else text for text, o, n in zip(canonical, odd, noise, strict=True)], canonical, y


def test_a_style_that_tells_the_class_is_found() -> None:
    told = style(*written(600, 0.9), classes=True)
    assert told is not None
    assert told.tells
    assert told.given > 0.85
    assert 0.4 < told.canonical < 0.6


@pytest.mark.parametrize(
    ("given_", "canonical", "noise", "tells"),
    [(0.9, 0.8, 0.03, True), (0.9, 0.8, 0.04, False), (0.9, 0.86, 0.001, False), (0.7, 0.9, 0.01, False)],
)
def test_the_gap_must_be_large_and_clear_of_its_noise(
    given_: float, canonical: float, noise: float, tells: bool
) -> None:
    assert Style(given_, canonical, noise).tells is tells


@pytest.mark.parametrize("seed", range(6))
def test_a_style_that_tells_nothing_is_no_alarm(seed: int) -> None:
    told = style(*written(150, 0.0, seed), classes=True)
    assert told is not None
    assert not told.tells


def test_a_style_that_tells_a_number_is_found() -> None:
    given_, canonical, y = written(600, 0.9)
    noise = np.random.default_rng(5).normal(0, 0.3, 600)
    told = style(given_, canonical, y + noise, classes=False)
    assert told is not None
    assert told.tells
    assert told.given > told.canonical + 0.3
    none = style(given_, canonical, noise, classes=False)
    assert none is not None
    assert not none.tells


def test_many_rows_are_sampled_by_class_and_the_answer_is_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "MOST", 100)
    sizes: list[int] = []
    bag = signals.bag_of_characters
    monkeypatch.setattr(signals, "bag_of_characters", lambda texts: sizes.append(len(texts)) or bag(texts))
    data = written(1_000, 0.9)
    assert style(*data, classes=True) == style(*data, classes=True)
    assert set(sizes) == {200}


def test_no_answer_without_style_or_with_few_rows() -> None:
    given_, canonical, y = written(300, 0.9)
    assert style(canonical, canonical, y, classes=True) is None
    assert style(given_[:49], canonical[:49], y[:49], classes=True) is None
    few = np.zeros(300)
    few[:9] = 1
    assert style(given_, canonical, few, classes=True) is None


@given(st.integers(0, 2**32), st.sampled_from([1e-9, 1.0, 1e9]), st.sampled_from([-1, 1]), st.integers(1, 3))
def test_a_few_labels_far_away_are_found_in_any_unit(seed: int, unit: float, side: int, number: int) -> None:
    values = np.random.default_rng(seed).normal(6, 1, 300)
    values[:number] = side * 1e7 * np.arange(1, number + 1)
    assert extremes(unit * values).tolist() == list(range(number))
    assert extremes(unit * values[number:]).tolist() == []


def test_values_that_stand_for_not_measured_are_found() -> None:
    values = np.random.default_rng(0).normal(3, 1, 300)
    values[::6] = -999
    assert stand_ins(values) == [-999]
    values[1::6] = 9999
    assert stand_ins(values) == [-999, 9999]
    values[1::6] = 999
    assert stand_ins(np.append(values[2::6], -999)) == [-999]
    assert stand_ins(np.append(values[2::6], [-77] * 3)) == [-77]
    assert stand_ins(np.append(np.arange(2) == 1, [-999] * 3).repeat(10), classes=True) == [-999]


def test_values_that_recur_among_others_stand_for_nothing_else() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 1, 100)
    assert stand_ins(np.append(values, [-77] * 2)) == []
    assert stand_ins(np.append(values, [-2.0] * 30)) == []  # not far
    assert stand_ins(np.append(values + 100, [0.0] * 30)) == []
    assert stand_ins(np.minimum(10.0 ** rng.uniform(-3, 9, 2_000), 1e5)) == []  # the limit of an assay
    assert stand_ins(np.append(rng.uniform(-2_000, 2_000, 200), [-999] * 3)) == []  # inside
    assert stand_ins(np.append(rng.uniform(0, 998, 200), [999])) == []
    assert stand_ins(np.append(values[:19], [-999] * 9)) == []  # too few others
    assert stand_ins(np.array([0.0, 1.0] * 30), classes=True) == stand_ins(np.ones(50)) == []


def test_what_is_far_but_not_alone_is_no_slip() -> None:
    rng = np.random.default_rng(0)
    assert len(extremes(10.0 ** rng.uniform(-3, 9, 2_000))) == 0  # concentrations
    assert len(extremes(np.append(np.zeros(200), rng.normal(size=99)))) == 0  # most are equal
    assert extremes(np.append(np.zeros(200), [*rng.normal(size=99), 1e7])).tolist() == [299]
    assert len(extremes(np.append(rng.normal(size=90), [1e9] * 10))) == 0  # a tenth: two kinds of rows
    assert len(extremes(np.append(rng.normal(size=18), 1e9))) == 0  # too few labels
    assert len(extremes(np.ones(50))) == 0

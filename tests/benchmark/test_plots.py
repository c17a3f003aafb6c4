"""The pictures: what they compute, that they repeat, and that they survive odd numbers."""

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from tetramer.benchmark import plots

TRUTH = np.array([0.0, 1.0, 2.0, 3.0])
GUESS = np.array([0.1, 0.8, 2.5, 2.9])
INF = np.array([np.inf] * 4)


def draw_all() -> dict[str, str]:
    labels, odds = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.1, 0.7, 0.4, 0.3])
    return {
        "parity": plots.parity(TRUTH, GUESS, GUESS - 0.3, GUESS + 0.3, "log₁₀ mol/L"),
        "parity, no intervals": plots.parity(TRUTH, GUESS, None, None, ""),
        "parity, infinite intervals": plots.parity(TRUTH, GUESS, -INF, INF, "kJ/mol"),
        "parity, one molecule": plots.parity(TRUTH[:1], TRUTH[:1], TRUTH[:1], TRUTH[:1], "K"),
        "width": plots.width_error(TRUTH, GUESS, GUESS - 0.3, GUESS + np.array([0.3, 0.3, 0.3, np.inf]), "eV"),
        "width, all exact": plots.width_error(TRUTH, TRUTH, TRUTH, TRUTH, "eV"),
        "roc": plots.roc(labels, odds),
        "reliability": plots.reliability(labels, odds, "positives"),
        "confusion": plots.confusion(np.array([0, 1, 2]), np.array([0, 2, 2]), ["a", "b", "c"]),
        "confusion, many": plots.confusion(np.arange(20), np.arange(20), [f"class {k}" for k in range(20)]),
    }


@pytest.mark.parametrize(("name", "svg"), draw_all().items())
def test_a_picture_is_one_well_formed_svg(name: str, svg: str) -> None:
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script" not in svg
    assert "<text" not in svg  # text is drawn as outlines


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert draw_all() == draw_all()


def test_other_numbers_give_another_picture() -> None:
    assert plots.parity(TRUTH, GUESS, None, None, "") != plots.parity(TRUTH, GUESS + 0.1, None, None, "")


def test_many_points_become_a_bitmap_and_stay_small() -> None:
    many = np.linspace(0, 1, 20_000)
    svg = plots.parity(many, many, many - 1, many + 1, "")
    assert len(svg) < 400_000
    assert "data:image/png;base64," in svg


@pytest.mark.parametrize("unit", ["$x^2", r"$\frac", "\\", "活性", "a\x00b", "x" * 1000, "<b>&amp;", "🧪"])
def test_units_are_text_and_never_formulas(unit: str) -> None:
    ElementTree.fromstring(plots.parity(TRUTH, GUESS, None, None, unit))


def test_groups_of_a_reliability_curve_by_hand() -> None:
    odds = np.repeat([0.1, 0.5, 0.9], 20)
    truth = np.concatenate([np.eye(20)[0], np.tile([0.0, 1.0], 10), np.ones(20)])
    mean, share, count = plots.grouped(truth, odds)
    np.testing.assert_allclose(mean, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(share, [0.05, 0.5, 1.0])
    assert count.tolist() == [20, 20, 20]


def test_equal_probabilities_are_one_group() -> None:
    mean, share, count = plots.grouped(np.tile([0.0, 1.0], 50), np.full(100, 0.3))
    assert (mean.tolist(), share.tolist(), count.tolist()) == ([pytest.approx(0.3)], [0.5], [100])


def test_matplotlib_is_loaded_only_to_draw_and_without_a_screen() -> None:
    check = (
        "import sys, numpy as np\nfrom tetramer.benchmark import plots\nprint('matplotlib' in sys.modules)\n"
        "plots.roc(np.array([0., 1.]), np.array([.2, .8]))\nprint('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["False", "False"], "")

"""The figures: what they compute, that nothing overlaps, that they repeat and survive odd input."""

import subprocess
import sys
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tetramer.errors import UserError
from tetramer.molecules.scaffolds import scaffolds
from tetramer.space import Neighbours, bars, grid, nearest, nearest_counts, pca, scatter, style
from tetramer.space.bars import Bar, apart, error_bars, limits, short
from tetramer.space.grid import choose_queries, neighbour_grid
from tetramer.space.scatter import maps_by_scaffold, maps_by_value
from tetramer.space.style import number, plain, share
from tetramer.views.fingerprint import FingerprintFeatures

NAMES = ("FP-MLP", "EGNN + MPNN", "EGNN", "MPNN + RNN")
BARS = [Bar(name, "as published", [error], 1_592_577) for name, error in zip(NAMES, (72, 30, 0.37), strict=False)]
BARS += [Bar(name, "ours", [0.3, 0.31, 0.36], 1_915_397) for name in NAMES] + [Bar(NAMES[3], "as published", [])]
LINES = {"atom counts, least squares": 0.88, "2D ridge": 0.18, "3D ridge": 0.16}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def spaces(smiles: list[str], prints: FingerprintFeatures) -> dict[str, Any]:
    """80 molecules as fingerprints and as points at random."""
    points = np.random.default_rng(0).normal(size=(80, 5))
    points[0] = np.nan
    return {
        "kinds": scaffolds(smiles),
        "tables": {"fingerprint": nearest_counts(prints, 2), "at random": nearest(points, 2)},
        "maps": {"at random": pca(points), "more": pca(points**3)},
        "values": points[:, 0] * 3,
    }


def draw_all(smiles: list[str], spaces: dict[str, Any]) -> dict[str, str]:
    kinds, tables, maps, values = (spaces[name] for name in ("kinds", "tables", "maps", "values"))
    return {
        "bars": error_bars(BARS, "MAE", "eV", LINES),
        "bars, one series": error_bars(BARS[:2], "MAE", ""),
        "by scaffold": maps_by_scaffold(maps, kinds),
        "by value": maps_by_value(maps, values, "solubility", "log₁₀ mol/L"),
        "grid": neighbour_grid(smiles, kinds, values, tables, choose_queries(kinds, tables), "eV"),
    }


def test_a_figure_is_one_well_formed_svg(smiles: list[str], spaces: dict[str, Any]) -> None:
    for text in draw_all(smiles, spaces).values():
        assert ElementTree.fromstring(text).tag == f"{SVG}svg"
        assert "<script" not in text
        assert "<text" not in text  # text is drawn as outlines


def test_the_same_numbers_give_the_same_bytes(smiles: list[str], spaces: dict[str, Any]) -> None:
    for draw in (lambda: maps_by_scaffold(spaces["maps"], spaces["kinds"]), lambda: error_bars(BARS[:3], "MAE", "eV")):
        assert draw() == draw()
    assert error_bars(BARS[:3], "MAE", "eV") != error_bars(BARS[:2], "MAE", "eV")


def test_groups_differ_in_colour_and_in_shape() -> None:
    assert len(set(style.COLOURS)) == len(set(style.SHAPES)) == 8


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function from a drawn figure to its texts and their boxes; the figures keep themselves for it."""
    kept: list[Any] = []
    for module in (bars, scatter, grid):
        monkeypatch.setattr(module, "svg", lambda figure, boxes=None: kept.append(figure) or "")

    def boxes() -> list[tuple[str, Any]]:
        from matplotlib.text import Text

        figure = kept[-1]
        figure.canvas.draw()
        shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        found = [(text.get_text(), text.get_window_extent()) for text in shown]
        return [(text, box) for text, box in found if box.width > 0] + [("", figure.bbox)]

    return boxes


def clear(found: list[tuple[str, Any]]) -> None:
    """Every text lies in the figure, and no two on one another."""
    *shown, (_, whole) = found
    for text, box in shown:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= whole.x1 + 1, text
        assert box.y1 <= whole.y1 + 1, text
    for (one, first), (two, second) in combinations(shown, 2):
        assert not first.padded(-0.5).overlaps(second.padded(-0.5)), (one, two)


def visible(found: list[tuple[str, Any]], unwanted: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    """Without the labels of ticks outside the axes, which are not drawn."""
    return [pair for pair in found if pair[0] not in unwanted]


def test_texts_of_bars_do_not_overlap(texts: Any) -> None:
    error_bars(BARS, "MAE", "eV", LINES)
    clear(visible(texts(), ("1,000", "0.01")))
    assert [text for text, _ in texts() if text == "72\n1.59M"] == ["72\n1.59M"]
    assert "did not converge" in [text for text, _ in texts()]
    error_bars([Bar("a-very-long-name-of-a-model", "ours", [1.0]), Bar("another", "ours", [2.0])], "MAE", "eV")
    clear(visible(texts()))


def test_texts_of_maps_and_grids_do_not_overlap(texts: Any, smiles: list[str], spaces: dict[str, Any]) -> None:
    for count in (1, 2):
        maps = dict(list(spaces["maps"].items())[:count])
        maps_by_scaffold(maps, spaces["kinds"])
        clear(texts())
    tables = spaces["tables"] | {"a fingerprint with a long name + more of it": spaces["tables"]["fingerprint"]}
    neighbour_grid(smiles, spaces["kinds"], spaces["values"], tables, choose_queries(spaces["kinds"], tables), "eV")
    clear(texts())


def test_an_axis_is_logarithmic_only_where_it_is_useful() -> None:
    assert limits([1.0, 20.0]) == (0.0, 25.0, False)
    foot, top, logarithmic = limits([0.3, 72.0, np.nan, 0.0])
    assert (foot, logarithmic) == (0.1, True)
    assert 100 < top < 400
    assert limits([0.1, 90.0])[0] == 0.01  # the smallest bar can still be seen
    with pytest.raises(UserError, match="no error above 0"):
        limits([np.nan])


def test_labels_of_lines_move_as_little_as_is_needed() -> None:
    assert apart([0.0, 5.0, 9.0], 2) == [0, 5, 9]
    assert apart([1.0, 1.0], 2) == [0, 2]
    assert apart([0.0, 1.9, 2.0], 2) == pytest.approx([-0.7, 1.3, 3.3])
    assert apart([0.0, 0.0, 0.0, 2.5], 2) == [-2.375, -0.375, 1.625, 3.625]
    assert apart([], 2) == []


def test_colours_end_at_percentiles_of_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(scatter, "svg", lambda figure: kept.append(figure) or "")
    values = np.append(np.arange(101.0), np.nan)
    maps_by_value({"map": pca(np.random.default_rng(0).normal(size=(102, 3)))}, values, "value")
    assert kept[0].axes[0].collections[-1].get_clim() == (2, 98)


def test_numbers_as_they_are_read() -> None:
    assert [short(size) for size in (950, 999_900, 1_592_577, 84_000_000, 2 * 10**9)] == [
        "950",
        "1M",
        "1.59M",
        "84M",
        "2B",
    ]
    assert [number(value) for value in (-2.8, 0.0351, 1069.2, 2e-5, 0, np.nan)] == [
        "−2.8",
        "0.0351",
        "1,069",
        "2.0e−05",
        "0",
        "–",
    ]
    assert [number(value, True) for value in (-2.8, 72, 150)] == ["−2.80", "72.0", "150"]
    assert share(0.138) == "14 %"
    assert plain("a\x00b🧪" + "x" * 60).startswith("a□b□xx")


def test_drawings_lie_in_the_figure_as_drawings(smiles: list[str], spaces: dict[str, Any]) -> None:
    kinds, tables = spaces["kinds"], spaces["tables"]
    queries = choose_queries(kinds, tables, 3)
    text = neighbour_grid(smiles, kinds, spaces["values"], tables, queries)
    inner = ElementTree.fromstring(text).findall(f"{SVG}svg")
    assert len(inner) == 3 * (1 + 2 * len(tables))
    whole = [float(side) for side in ElementTree.fromstring(text).get("viewBox").split()]
    for drawing in inner:
        x, y, width, height = (float(drawing.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + width <= whole[2]
        assert y + height <= whole[3]


def test_frames_say_whether_the_scaffold_is_the_same(smiles: list[str], spaces: dict[str, Any], texts: Any) -> None:
    kinds, tables = spaces["kinds"], spaces["tables"]
    queries = choose_queries(kinds, tables)
    frames: list[bool | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid._Sheet, "frame", lambda self, left, top, wide, high, same: frames.append(same))
        neighbour_grid(smiles, kinds, spaces["values"], tables, queries)
    near = [kinds[row] == kinds[query] for query in queries for t in tables.values() for row in t.rows[query]]
    assert sorted(same for same in frames[:-2] if same is not None) == sorted(near)
    assert frames.count(None) == len(queries)


def test_queries_come_from_the_frequent_scaffolds_and_repeat(spaces: dict[str, Any]) -> None:
    kinds, tables = spaces["kinds"], spaces["tables"]
    chosen = choose_queries(kinds, tables, 3, seed=1)
    assert chosen.tolist() == choose_queries(kinds, tables, 3, seed=1).tolist()
    assert len({kinds[row] for row in chosen}) == 3
    assert 0 not in {row for seed in range(50) for row in choose_queries(kinds, tables, 3, seed)}  # it has no vector
    assert all(kinds[row] for row in chosen)
    with pytest.raises(UserError, match="scaffolds have a molecule with 2 neighbours in every space; 99 are asked for"):
        choose_queries(kinds, tables, 99)
    one = Neighbours(np.zeros((80, 1), np.int64), np.zeros((80, 1), np.float32))
    with pytest.raises(UserError, match=r"^0 scaffolds"):
        choose_queries(kinds, {"one": one})


def test_odd_input_is_drawn(smiles: list[str], spaces: dict[str, Any]) -> None:
    hostile = ["<b>&amp;", "$x^2", "no molecule", "活性"]
    maps = {r"$\frac": pca(np.random.default_rng(0).normal(size=(4, 2)))}
    ElementTree.fromstring(maps_by_scaffold(maps, hostile))
    ElementTree.fromstring(maps_by_value(maps, np.array([1.0, 1, np.nan, 1]), "<b>", "$"))
    ElementTree.fromstring(error_bars([Bar("<i>", "$", [1e-9]), Bar("_x", "_y", [1e6])], "&", "🧪", {"<": 1.0}))
    with pytest.raises(UserError, match="No molecule has a value of 'x'"):
        maps_by_value(maps, np.full(4, np.nan), "x")


def test_many_points_become_a_bitmap_and_stay_small() -> None:
    many = pca(np.random.default_rng(1).normal(size=(20_000, 2)))
    text = maps_by_value({"many": many}, np.arange(20_000.0), "row")
    assert len(text) < 400_000
    assert "data:image/png;base64," in text


def test_matplotlib_is_loaded_only_to_draw_and_without_a_screen() -> None:
    check = (
        "import sys\nfrom tetramer.space import bars, grid, scatter\nprint('matplotlib' in sys.modules)\n"
        "bars.error_bars([bars.Bar('a', 'b', [1.0])], 'MAE', '')\nprint('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["False", "False"], "")

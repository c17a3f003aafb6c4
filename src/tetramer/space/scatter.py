"""Maps of a chemical space, coloured by scaffold or by a number, as SVG."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError
from tetramer.space.map import Map
from tetramer.space.style import COLOURS, GREY, INK, SHAPES, SOFT, STYLE, Box, canvas, plain, share, svg, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

ACROSS = 3  # maps in a row
SIDE = 2.9  # inches a map
VECTOR = 2_000  # points; beyond, they are drawn as one bitmap inside the picture
TAIL = 2.0  # percent of the values beyond either end of the scale of colours


def maps_by_scaffold(maps: Mapping[str, Map], scaffolds: Sequence[str], most: int = 8) -> str:
    """Maps of the same molecules, with the `most` (up to 8) frequent scaffolds in colour and all else grey.

    scaffolds: (n,) SMILES, "" for a molecule without rings. The scaffolds are drawn below, with their numbers.
    """
    from matplotlib import rc_context

    kinds, kind, counts = np.unique(np.array(scaffolds, dtype=str), return_inverse=True, return_counts=True)
    common = np.argsort(-counts, kind="stable")[: min(most, len(COLOURS))]
    with rc_context(STYLE):
        figure, panels = _panels(maps, below=0.95)
        for axes, plane in zip(panels, maps.values(), strict=True):
            _dots(axes, plane.points[~np.isin(kind, common)], len(kind), color=GREY, alpha=0.45)
            for place, one in enumerate(common):
                _dots(axes, plane.points[kind == one], len(kind), color=COLOURS[place], marker=SHAPES[place], alpha=0.8)
        boxes = _key(figure, [(str(kinds[one]), int(counts[one])) for one in common], len(kind))
    return svg(figure, boxes)


def maps_by_value(maps: Mapping[str, Map], values: Floats, name: str, unit: str = "") -> str:
    """Maps of the same molecules, coloured by a number. values: (n,); molecules with NaN are grey.

    The scale ends at the 2nd and the 98th percentile, so that a few far values do not take all colours.
    """
    from matplotlib import rc_context

    known = np.isfinite(values)
    if not known.any():
        raise UserError(f"No molecule has a value of {name!r}, so there is nothing to colour.")
    low, high = np.percentile(values[known], [TAIL, 100 - TAIL])
    with rc_context(STYLE):
        figure, panels = _panels(maps, below=0.7)
        drawn: Any = None
        for axes, plane in zip(panels, maps.values(), strict=True):
            _dots(axes, plane.points[~known], len(values), color=GREY, alpha=0.45)
            shown: Any = {"c": values[known], "vmin": low, "vmax": high, "cmap": "viridis", "alpha": 1.0}
            drawn = _dots(axes, plane.points[known], len(values), **shown)
        wide, tall = figure.get_size_inches()
        place = figure.add_axes((0.5 - 1.5 / wide, 0.5 / tall, 3.0 / wide, 0.11 / tall))
        bar = figure.colorbar(drawn, cax=place, orientation="horizontal", extend="both")
        bar.ax.spines[:].set_visible(False)
        bar.set_label(with_unit(name, unit), color=INK)
    return svg(figure)


def _panels(maps: Mapping[str, Map], below: float) -> tuple["Figure", list["Axes"]]:
    """A figure with one square a map and `below` inches left free under them."""
    across = min(ACROSS, len(maps))
    down = -(-len(maps) // across)
    wide, high = SIDE * across, (SIDE + 0.25) * down + below
    wide = max(wide, 5.2)
    figure = canvas(wide, high, constrained=False)
    panels = []
    for place, (name, plane) in enumerate(maps.items()):
        row, column = divmod(place, across)
        left = (wide - SIDE * across) / 2 + SIDE * column + 0.3
        bottom = high - (SIDE + 0.25) * (row + 1) + 0.3
        axes = figure.add_axes((left / wide, bottom / high, (SIDE - 0.4) / wide, (SIDE - 0.4) / high))
        axes.set_title(plain(name, 34), fontsize=10, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"PC 1, {share(plane.explained[0])}", fontsize=8, color=SOFT)
        axes.set_ylabel(f"PC 2, {share(plane.explained[1])}", fontsize=8, color=SOFT)
        panels.append(axes)
    return figure, panels


def _dots(axes: "Axes", points: Floats, total: int, **style: Any) -> Any:  # noqa: ANN401 (matplotlib's own)
    """Points, smaller the more there are, and fainter unless `alpha` is 1."""
    size = float(np.clip(22 * (300 / max(total, 1)) ** 0.5, 1.5, 22))
    if style["alpha"] < 1:
        style["alpha"] *= float(np.clip((3000 / max(total, 1)) ** 0.25, 0.4, 1.0))
    return axes.scatter(points[:, 0], points[:, 1], s=size, linewidths=0, rasterized=total > VECTOR, **style)


def _key(figure: "Figure", scaffolds: Sequence[tuple[str, int]], total: int) -> dict[Box, str]:
    """Under the maps, a place a scaffold and one for the others: mark, number of molecules, and a box to draw it in."""
    from matplotlib.lines import Line2D

    wide, high = figure.get_size_inches()
    others = total - sum(count for _, count in scaffolds)
    places = [*zip(scaffolds, COLOURS, SHAPES, strict=False), (("", others), GREY, "o")]
    step = min((wide - 0.2) / len(places), 1.1)
    boxes = {}
    for place, ((smiles, count), colour, shape) in enumerate(places):
        left = (wide - step * len(places)) / 2 + step * place
        middle = left + step / 2
        figure.add_artist(Line2D([(middle - 0.2) / wide], [0.16 / high], color=colour, marker=shape, markersize=6))
        figure.text((middle - 0.1) / wide, 0.16 / high, f"{count:,}", va="center", fontsize=8, color=INK)
        if smiles:
            boxes[((left + 0.03) / wide, 0.28 / high, (step - 0.06) / wide, 0.62 / high)] = smiles
            continue
        text = "other" if place == len(scaffolds) else "no ring"
        figure.text(middle / wide, 0.59 / high, text, ha="center", va="center", fontsize=9, color=INK)
    return boxes

"""Errors of models as bars, with the number of parameters on top: what was published beside what we measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from tetramer.errors import UserError
from tetramer.space.style import BLUE, COLOURS, GREY, INK, SOFT, STYLE, canvas, number, plain, svg, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILLS = (GREY, BLUE, *COLOURS[1:])  # the first series is the published one
TEXT: Any = {"ha": "center", "va": "bottom", "fontsize": 7.5, "linespacing": 1.25, "textcoords": "offset points"}
DECADE = 30.0  # largest over smallest error, above which the axis is logarithmic
WIDE = 0.45  # inches a bar
LETTER = 0.09  # inches a letter of the name of a model
GAP = 0.4  # between models, in bars
NEAR = 0.055  # of the height: labels of lines stand no nearer to each other


@dataclass(frozen=True)
class Bar:
    """A model in one series, such as "as published" or "ours". `errors` holds one number a seed; without any, the model
    did not converge."""

    model: str
    series: str
    errors: Sequence[float]
    parameters: int | None = None


def error_bars(bars: Sequence[Bar], metric: str, unit: str, lines: Mapping[str, float] | None = None) -> str:
    """One group of bars a model, one bar a series, in the order in which they first occur; SVG.

    A bar is the mean over seeds, a dot each seed. `lines`: what needs no network, as dashed lines with their names. The
    axis is logarithmic where the largest error is 30 times the smallest or more; bars then begin at its foot.
    """
    from matplotlib import rc_context

    models = list(dict.fromkeys(bar.model for bar in bars))
    series = list(dict.fromkeys(bar.series for bar in bars))
    lines = lines or {}
    foot, top, logarithmic = limits([*(error for bar in bars for error in bar.errors), *lines.values()])
    longest = max(len(word) for model in models for word in plain(model).split())
    group = max(WIDE * (len(series) + GAP), LETTER * (longest + 1))  # inches
    fills = FILLS if len(series) > 1 else FILLS[1:]
    with rc_context(STYLE):
        figure = canvas(1.0 + 2.0 * bool(lines) + group * len(models), 3.9)
        axes = figure.add_subplot()
        axes.set(yscale="log" if logarithmic else "linear", ylim=(foot, top))
        for name, colour in zip(series, fills, strict=False):
            _series(axes, [bar for bar in bars if bar.series == name], (models, series), colour, foot)
        _lines(axes, lines)
        middles = [_left(place, series) + (len(series) - 1) / 2 for place in range(len(models))]
        axes.set_xticks(middles, [fill(plain(model), round(group / LETTER)) for model in models])
        axes.tick_params(axis="x", length=0, labelcolor=INK)
        axes.set_xlim(-0.75, _left(len(models) - 1, series) + len(series) - 0.25)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")  # not a formula, which would not be set
        axes.set_ylabel(with_unit(metric, unit))
        if len(series) > 1:
            figure.legend(loc="outside upper left", ncols=len(series), frameon=False, labelcolor=INK)
    return svg(figure)


def limits(values: Sequence[float]) -> tuple[float, float, bool]:
    """(foot, top, whether logarithmic) of an axis for positive values, with room for the texts on top.

    UserError if none is positive.
    """
    seen = np.array([value for value in values if np.isfinite(value) and value > 0])
    if not len(seen):
        raise UserError("There is no error above 0 to draw. Give each bar the errors that were measured.")
    low, high = float(seen.min()), float(seen.max())
    if high < DECADE * low:
        return 0.0, high * 1.25, False
    foot = float(10.0 ** np.floor(np.log10(low * 0.8)))
    return foot, high * (high / foot) ** 0.22, True


def _series(axes: "Axes", bars: Sequence[Bar], order: tuple[list[str], list[str]], colour: str, foot: float) -> None:
    """The bars of one series with their texts."""
    from matplotlib.patheffects import withStroke

    models, series = order
    for bar in bars:
        place = _left(models.index(bar.model), series) + series.index(bar.series)
        errors = np.array([error for error in bar.errors if np.isfinite(error)])
        size = f"\n{short(bar.parameters)}" if bar.parameters else ""
        style = TEXT | {"path_effects": [withStroke(linewidth=2.5, foreground="white")]}  # legible across a line
        if not len(errors):
            axes.annotate(f"did not converge{size}", (place, foot), (0, 4), rotation=90, color=SOFT, **style)
            continue
        axes.bar(place, errors.mean() - foot, 0.86, bottom=foot, color=colour, zorder=2, label=_once(axes, bar.series))
        if len(errors) > 1:
            spots = place + np.linspace(-0.22, 0.22, len(errors))
            axes.scatter(spots, errors, s=9, color=INK, linewidths=0, zorder=4)
        axes.annotate(number(float(errors.mean())) + size, (place, errors.max()), (0, 3), color=INK, **style)


def _lines(axes: "Axes", lines: Mapping[str, float]) -> None:
    """Dashed lines with their names to the right of the picture, moved apart where they would touch."""
    names = sorted(lines, key=lambda name: lines[name])
    heights = [float(axes.transAxes.inverted().transform(axes.transData.transform((0, lines[n])))[1]) for n in names]
    for name, height in zip(names, apart(heights, NEAR), strict=True):
        axes.axhline(lines[name], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        text = f"{plain(name, 34)} {number(lines[name])}"
        axes.text(1.01, height, text, transform=axes.transAxes, va="center", color=INK, fontsize=8)


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved as little as is needed to lie `gap` apart, clusters about their own middle."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while (
            len(groups) > 1
            and _middle(groups[-1]) - _middle(groups[-2]) < gap * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            last = groups.pop()
            groups[-1] += last
    return [_middle(group) + gap * (place - (len(group) - 1) / 2) for group in groups for place in range(len(group))]


def short(parameters: int) -> str:
    """1592577 → 1.59M"""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if parameters >= 0.9995 * size:
            return f"{parameters / size:.3g}{letter}"
    return str(parameters)


def _left(model: int, series: Sequence[str]) -> float:
    return model * (len(series) + GAP)


def _once(axes: "Axes", series: str) -> str:
    """The name of a series for the legend, the first time."""
    name = plain(series)
    return f"_{name}" if name in axes.get_legend_handles_labels()[1] else name


def _middle(group: Sequence[float]) -> float:
    return sum(group) / len(group)

"""Numbers → pictures: each function returns one SVG text, the same bytes for the same numbers.

Text from outside (units, classes) is drawn as glyph outlines, never as markup or as a formula.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetramer.space.style import BLUE, INK, LINE, RED, SOFT, STYLE, canvas, plain, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

VECTOR = 2_000  # points; beyond, they are drawn as one bitmap inside the picture
ROW_NAME = 28  # characters of the name of a row


def parity(truth: Floats, prediction: Floats, low: Floats | None, high: Floats | None, unit: str) -> str:
    """Prediction against truth with equal axes, the identity line, and intervals as thin bars. All (n,), in `unit`."""
    figure, axes = _figure(4.8, 4.8)
    bars = len(truth) <= VECTOR  # more of them would hide the points
    if low is None or high is None:
        bars, low, high = False, np.full(len(truth), -np.inf), np.full(len(truth), np.inf)
    seen = np.concatenate([truth, prediction, low, high])
    least, most = _range(seen[np.isfinite(seen)])
    inside = _inside(truth, low, high)
    for here, colour in ((inside, BLUE), (~inside, RED)):
        if bars:
            ends = np.clip(low[here], least, most), np.clip(high[here], least, most)
            axes.vlines(truth[here], *ends, color=colour, linewidth=0.7, alpha=_fade(len(truth), 0.45))
        _points(axes, truth[here], prediction[here], colour, len(truth))
    axes.plot([least, most], [least, most], color=INK, linewidth=0.9, zorder=1)
    axes.set(xlim=(least, most), ylim=(least, most), aspect="equal")
    axes.set_yticks([tick for tick in axes.get_xticks() if least <= tick <= most])
    axes.set_xticks(axes.get_yticks())
    axes.set_xlabel(_with_unit("measured", unit))
    axes.set_ylabel(_with_unit("predicted", unit))
    return svg(figure)


def width_error(truth: Floats, prediction: Floats, low: Floats, high: Floats, unit: str) -> str:
    """Size of the error against half the width of the interval. Where the model knows when it is unsure, large errors
    stand to the right. All (n,), in `unit`; molecules with an infinite interval are left out."""
    figure, axes = _figure(4.8, 4.8)
    ends = np.isfinite(high - low)
    truth, prediction, low, high = truth[ends], prediction[ends], low[ends], high[ends]
    half, error = (high - low) / 2, np.abs(prediction - truth)
    inside = _inside(truth, low, high)
    for here, colour in ((inside, BLUE), (~inside, RED)):
        _points(axes, half[here], error[here], colour, len(truth))
    most = 1.05 * float(max(half.max(), error.max(), 1e-12))
    axes.plot([0, most], [0, most], color=INK, linewidth=0.9, zorder=1)
    axes.set(xlim=(0, 1.05 * float(max(half.max(), 1e-12))), ylim=(0, 1.05 * float(max(error.max(), 1e-12))))
    axes.set_xlabel(_with_unit("half width of the interval", unit))
    axes.set_ylabel(_with_unit("size of the error", unit))
    return svg(figure)


def roc(truth: Floats, probability: Floats) -> str:
    """Share of positives found against share of negatives called positive. (n,) 0 or 1 and (n,); both classes occur."""
    figure, axes = _figure(4.8, 4.8)
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)  # ties make one step
    found = np.append(0, np.cumsum(truth[order])[last]) / truth.sum()
    called = np.append(0, np.cumsum(1 - truth[order])[last]) / (1 - truth).sum()
    axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=0.9)
    axes.fill_between(called, found, color=BLUE, alpha=0.08, linewidth=0)
    axes.plot(called, found, color=BLUE, linewidth=1.8, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="false positive rate", ylabel="true positive rate")
    return svg(figure)


def reliability(truth: Floats, probability: Floats, share_of: str) -> str:
    """Observed share of `share_of` against the predicted probability, in at most ten groups of about equal size.

    truth: (n,) 0 or 1   probability: (n,). Bars are Wilson 95 % intervals (10.1080/01621459.1927.10502953); the
    strip below counts the predictions.
    """
    figure, (axes, strip) = _figure(4.8, 4.8, rows=(5, 1))
    mean, share, count = grouped(truth, probability)
    low, high = _wilson(share, count)
    axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=0.9)
    axes.vlines(mean, low, high, color=BLUE, linewidth=1, alpha=0.6)
    axes.plot(mean, share, color=BLUE, linewidth=1.2, marker="o", markersize=5, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"observed share of {share_of}")
    axes.tick_params(labelbottom=False)
    strip.hist(probability, bins=np.linspace(0, 1, 21).tolist(), color=BLUE, alpha=0.45)
    strip.set(xlim=(0, 1), yticks=[], xlabel="predicted probability")
    strip.spines["left"].set_visible(False)
    return svg(figure)


def grouped(truth: Floats, probability: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean probability, share of ones and number of rows of each group: up to ten, of ten rows or more.

    Equal probabilities stay in one group, so that a model that says the same of all has one.
    """
    probability = np.round(probability, 9)  # sums in another order are still equal
    wanted = int(np.clip(len(probability) // 10, 1, 10))
    edges = np.unique(np.quantile(probability, np.arange(1, wanted) / wanted))
    group = np.unique(np.searchsorted(edges, probability, side="right"), return_inverse=True)[1]
    count = np.bincount(group).astype(np.float64)
    return np.bincount(group, probability) / count, np.bincount(group, truth) / count, count


def confusion(truth: NDArray[np.int64], prediction: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Counts of true class (rows) against predicted class (columns); the colour is the share of the row. (n,), (n,)"""
    size = len(classes)
    counts = np.bincount(truth * size + prediction, minlength=size * size).reshape(size, size)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = float(np.clip(2.4 + 0.5 * size, 4.2, 9.0))
    figure, axes = _figure(side, side)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.15)  # the darkest blue stays light enough to read on
    names = [plain(name) for name in classes]
    axes.set_xticks(range(size), names, rotation=40 if max(map(len, names)) > 3 else 0, ha="right")
    axes.set_yticks(range(size), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if size <= 15:
        for row, column in np.ndindex(size, size):
            colour = "white" if share[row, column] > 0.6 else INK
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour)
    return svg(figure)


def differences(
    methods: Sequence[str],
    gaps: Sequence[Sequence[float]],
    ends: Sequence[tuple[float, float] | None],
    bounds: tuple[float, float],
    label: str,
    verdicts: Sequence[str],
) -> str:
    """Candidate minus reference, one row a method: a dot a split, the mean, and its interval where there is one.

    Blue where the verdict is better, red where it is worse. bounds: half width of the
    band in which methods count as the same, and how far from 0 the picture reaches at most; a mean beyond it is an
    arrow at the edge with its number.
    """
    figure, axes = _figure(5.8, 0.95 + 0.34 * len(methods))
    same, reach = bounds
    seen = np.array([*(gap for row in gaps for gap in row), *(end for pair in ends if pair for end in pair)])
    seen = np.append(seen[np.isfinite(seen)], [-same, same])
    least, most = _range(np.clip(seen, -reach, reach) if reach > 0 else seen)
    axes.axvspan(-same, same, color=LINE, alpha=0.6, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.9)
    for row, (values, pair, verdict) in enumerate(zip(gaps, ends, verdicts, strict=True)):
        low, high = np.clip(pair, least, most) if pair else (0.0, 0.0)
        colour = {"better": BLUE, "worse": RED}.get(verdict, SOFT)
        places = row + np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [row]
        axes.scatter(values, places, s=11, color=colour, alpha=0.35, linewidths=0)
        if pair:
            axes.hlines(row, low, high, color=colour, linewidth=2)
        _mean_mark(axes, float(np.mean(values)), row, (least, most), colour)
    axes.set(xlim=(least, most), ylim=(len(methods) - 0.5, -0.5))
    _named_rows(axes, methods)
    axes.set_xlabel(plain(label))
    return svg(figure)


def _mean_mark(axes: "Axes", mean: float, row: int, edges: tuple[float, float], colour: str) -> None:
    """A diamond, or at the edge an arrow with the number."""
    least, most = edges
    place, marker = (least, "<") if mean < least else (most, ">") if mean > most else (mean, "D")
    axes.plot(place, row, marker=marker, markersize=5, color=colour, linestyle="none", zorder=3, clip_on=False)
    if marker != "D":
        side, shift = ("left", 8) if mean < least else ("right", -8)
        shown: Any = {"xytext": (shift, 3), "textcoords": "offset points", "ha": side, "fontsize": 8, "color": colour}
        shown["in_layout"] = False
        axes.annotate(f"{mean:.3g}".replace("-", "−"), (place, row), **shown)


def _named_rows(axes: "Axes", names: Sequence[str]) -> None:
    """Names at the rows, the middle of long ones left out, so that space for the picture remains."""
    short = [name if len(name) <= ROW_NAME else f"{name[:12]}…{name[13 - ROW_NAME :]}" for name in names]
    axes.set_yticks(range(len(names)), [plain(name) for name in short])
    axes.tick_params(axis="y", length=0, pad=7, labelcolor=INK)
    axes.spines["left"].set_visible(False)


def critical_difference(
    methods: Sequence[str], mean_ranks: Sequence[float], critical: float, cliques: Sequence[Sequence[str]]
) -> str:
    """Mean ranks, best on top. A bar at the right joins methods that do not differ; the bar on top is as long as two
    ranks must lie apart to differ."""
    count = len(methods)
    figure, axes = _figure(5.8, 1.4 + 0.3 * count)
    lane = 0.035 * (count - 1)
    most = count + lane * (len(cliques) + 1.5)
    longest = min(1 + critical, count)
    axes.hlines(-1.0, 1, longest, color=INK, linewidth=2)
    axes.vlines([1, longest], -1.18, -0.82, color=INK, linewidth=1)
    beyond = "" if longest == 1 + critical else ", longer than the axis"
    texts = [axes.text(1, -1.28, f"CD {critical:.2f}{beyond}", va="bottom", color=INK, fontsize=9)]
    axes.hlines(range(count), 1, mean_ranks, color=LINE, linewidth=1)
    axes.scatter(mean_ranks, range(count), s=34, color=BLUE, linewidths=0, zorder=3)
    for row, rank in enumerate(mean_ranks):
        texts.append(axes.text(rank, row - 0.16, f"{rank:.2f}", ha="center", va="bottom", color=SOFT, fontsize=8))
    for text in texts:
        text.set_in_layout(False)  # they lie inside, and must not narrow the axes
    for number, clique in enumerate(cliques, 1):
        first, last = methods.index(clique[0]), methods.index(clique[-1])
        axes.vlines(count + lane * (number + 0.8), first - 0.2, last + 0.2, color=RED, linewidth=3.5)
    axes.set(xlim=(1 - 0.01 * count, most), ylim=(count - 0.4, -2.1))
    axes.set_xticks(range(1, count + 1))
    _named_rows(axes, methods)
    axes.set_xlabel("mean rank over the data sets, 1 is best")
    return svg(figure)


def _figure(width: float, height: float, rows: tuple[int, ...] = (1,)) -> tuple["Figure", Any]:
    """A figure with one row of axes, or with several whose heights are as `rows`."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure = canvas(width, height)
        ratios = {"height_ratios": rows} if len(rows) > 1 else None
        axes = figure.subplots(len(rows), 1, gridspec_kw=ratios)
    return figure, axes


def _points(axes: "Axes", x: Floats, y: Floats, colour: str, total: int) -> None:
    alpha = _fade(total, 0.75)
    axes.scatter(x, y, s=16, color=colour, alpha=alpha, linewidths=0, zorder=3, rasterized=total > VECTOR)


def _fade(total: int, alpha: float) -> float:
    """Many points are drawn fainter, so that a crowd shows its density."""
    return float(alpha * np.clip((400 / max(total, 1)) ** 0.5, 0.12, 1.0))


def _inside(truth: Floats, low: Floats, high: Floats) -> NDArray[np.bool_]:
    return (low <= truth) & (truth <= high)


def _range(values: Floats) -> tuple[float, float]:
    least, most = float(values.min()), float(values.max())
    margin = 0.04 * (most - least) or max(abs(most), 1.0) * 0.1
    return least - margin, most + margin


def _wilson(share: Floats, count: Floats, z: float = 1.96) -> tuple[Floats, Floats]:
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return middle - half, middle + half


def _with_unit(word: str, unit: str) -> str:
    return f"{word} ({plain(unit)})" if unit.strip() else word

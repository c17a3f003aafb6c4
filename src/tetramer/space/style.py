"""How the figures look, and how they become SVG. matplotlib is loaded when the first one is drawn, without a screen.

Text from outside is drawn as glyph outlines, never as markup or as a formula.
"""

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tetramer.molecules.draw import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, LINE, BLUE, RED = "#1f2933", "#616e7c", "#d5dbe1", "#2b6a99", "#c2492f"
GREY = "#b8c0c8"
# Told apart also by those who do not see red or green: the lightness differs where the hue does not.
COLOURS = (BLUE, "#e6af0b", RED, "#69bf7f", "#500899", "#000000", "#733f4c", "#76c9f2")
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: Any = {
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "svg.hashsalt": "tetramer",
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
POINT = 72  # units of an SVG of matplotlib in an inch
PIXELS = 1.3  # of a drawing of a structure, in one of those units
LONGEST = 48  # characters of a text

Box = tuple[float, float, float, float]  # left, bottom, width and height, as shares of the figure


def canvas(width: float, height: float, constrained: bool = True) -> "Figure":
    """An empty figure, in inches, outside pyplot: no window, no global state and no cleaning up comes with it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    return figure


def svg(figure: "Figure", structures: Mapping[Box, str] | None = None) -> str:
    """The figure as SVG, the same bytes for the same figure; `structures`: SMILES by the box to draw them in."""
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context(STYLE):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, dpi=160, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]  # without the prolog, which names a document type on another host
    width, height = (POINT * float(side) for side in figure.get_size_inches())
    drawn = [_structure(smiles, box, width, height) for box, smiles in (structures or {}).items()]
    return text[: text.rindex("</svg>")] + "".join(drawn) + "</svg>\n"


def _structure(smiles: str, box: Box, width: float, height: float) -> str:
    """A drawing as an SVG within the SVG; "" for a SMILES that cannot be drawn."""
    left, bottom, wide, high = box
    inner = draw(smiles, round(wide * width * PIXELS), round(high * height * PIXELS))
    if inner is None:
        return ""
    place = f'x="{left * width:.2f}" y="{(1 - bottom - high) * height:.2f}"'
    place += f' width="{wide * width:.2f}" height="{high * height:.2f}"'
    inner = re.sub(r"\s+width='\d+px' height='\d+px'", f" {place}", inner, count=1)
    return re.sub(r"\s+xmlns:\w+='[^']*'", "", inner, count=2)


def number(value: float, filled: bool = False) -> str:
    """Three digits, with a minus that is one; `filled`: 2.8 is 2.80. A dash for NaN."""
    if value != value:
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        text = f"{value:.1e}"
    elif abs(value) >= 999.5:
        text = f"{value:,.0f}"
    else:
        text = f"{value:#.3g}".rstrip(".") if filled else f"{value:.3g}"
    return text.replace("-", "−")


def share(part: float) -> str:
    """0.138 → 14 %"""
    return f"{100 * part:.0f} %"


def plain(text: str, longest: int = LONGEST) -> str:
    """Text that the font can draw: other characters become an empty box, and long text ends in an ellipsis."""
    from matplotlib.font_manager import fontManager, get_font

    known = get_font(fontManager.findfont("DejaVu Sans")).get_charmap()
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(sign if ord(sign) in known and sign.isprintable() else "□" for sign in short)


def with_unit(word: str, unit: str) -> str:
    """A word and, in brackets, its unit if it has one."""
    return f"{plain(word)} ({plain(unit)})" if unit.strip() else plain(word)

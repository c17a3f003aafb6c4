"""Numbers as a reader wants them: as many digits as mean something."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """A number with what is known of its uncertainty: ± `error`, or the interval from `low` to `high`."""

    value: float
    error: float | None = None
    low: float | None = None
    high: float | None = None


UNDEFINED = "undefined"  # stands in a column of numbers, as a number would
Cell = str | int | float | Spread | None


def show(cell: Cell) -> str:
    """A cell as text: `0.71 (0.63 to 0.80)`, `1,017`, a dash for what is missing."""
    return " ".join(part for part in parts(cell) if part)


def parts(cell: Cell) -> tuple[str, str]:
    """A cell as its number and what is known of its uncertainty ("" if nothing).

    Missing and NaN are a dash; counts have thousands marks; other numbers three digits.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–", ""
    if isinstance(cell, str):
        return cell, ""
    if isinstance(cell, int):
        return _signed(f"{cell:,}"), ""
    if isinstance(cell, float):
        return figures([cell])[0], ""
    if cell.low is not None and cell.high is not None:
        value, low, high = figures([cell.value, cell.low, cell.high], spread=cell.high - cell.low)
        return value, f"({low} to {high})"
    if cell.error is not None:
        value, error = figures([cell.value, cell.error], spread=cell.error)
        return value, f"± {error}"
    return figures([cell.value])[0], ""


def column(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """The `parts` of cells that stand below each other; plain numbers have the decimals that suit the median one."""
    texts = [parts(cell) for cell in cells]
    plain = {row: cell for row, cell in enumerate(cells) if isinstance(cell, float) and math.isfinite(cell)}
    if plain:
        typical = median(abs(value) for value in plain.values())
        told = figures(list(plain.values()), spread=typical / 10)  # two digits of a tenth are three digits of it
        for row, text in zip(plain, told, strict=True):
            texts[row] = (text, "")
    return texts


def figures(values: Sequence[float], spread: float = 0.0) -> list[str]:
    """Numbers that stand together, with the same decimals: two digits of their spread, or three of the largest.

    Very large and very small numbers are written with a power of ten.
    """
    finite = [abs(value) for value in values if math.isfinite(value)]
    largest = max(finite, default=0.0)
    if largest != 0 and not 1e-3 <= largest < 1e6:
        return [_power(value) for value in values]
    known = math.isfinite(spread) and spread > 0
    scale, digits = (spread, 2) if known else (largest, 3)
    decimals = digits - 1 - math.floor(math.log10(scale)) if scale > 0 else 0
    return [_fixed(value, min(max(decimals, 0), 6)) for value in values]


def _fixed(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return _endless(value)
    return _signed(f"{value:,.{decimals}f}")


def _power(value: float) -> str:
    if not math.isfinite(value) or value == 0:
        return _endless(value) if value else "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{_signed(mantissa)} × 10{str(int(exponent)).translate(_RAISED)}"


def _endless(value: float) -> str:
    return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"


def _signed(text: str) -> str:
    """With a real minus sign, and without the sign of a zero."""
    return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

"""How numbers are written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.benchmark.cells import Cell, Spread, column, figures, show


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        ("as it is", "as it is"),
        (1017, "1,017"),
        (-3, "−3"),
        (0, "0"),
        (0.0, "0"),
        (0.71234, "0.712"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (-0.5, "−0.500"),
        (0.00012345, "1.23 × 10⁻⁴"),
        (-6.02e23, "−6.02 × 10²³"),
        (Spread(0.71234), "0.712"),
        (Spread(0.71234, error=0.0312), "0.712 ± 0.031"),
        (Spread(2.0912, low=1.9, high=2.31), "2.09 (1.90 to 2.31)"),
        (Spread(-0.001, error=0.4), "0.00 ± 0.40"),
        (Spread(0.5, error=0.0), "0.500 ± 0.000"),
    ],
)
def test_a_cell_is_written_with_the_digits_that_mean_something(cell: Cell, text: str) -> None:
    assert show(cell) == text


def test_numbers_of_a_column_have_the_same_decimals() -> None:
    assert column([0.8812, -0.002, None, "n/a", 114]) == [
        ("0.881", ""),
        ("−0.002", ""),
        ("–", ""),
        ("n/a", ""),
        ("114", ""),
    ]


def test_one_large_number_does_not_blur_a_column() -> None:
    assert [text for text, _ in column([0.5191, 0.5904, 1.1581])] == ["0.519", "0.590", "1.158"]
    assert [text for text, _ in column([103.0, 12.5, 250.0])] == ["103", "12", "250"]
    assert [text for text, _ in column([0.0, 0.0, float("inf")])] == ["0", "0", "∞"]


@given(st.lists(st.floats(min_value=0.01, max_value=9e5), min_size=1, max_size=6))
def test_what_is_written_is_near_what_was_meant(values: list[float]) -> None:
    back = [float(text.replace(",", "")) for text in figures(values)]
    assert all(abs(there - here) <= max(values) * 0.0051 for there, here in zip(back, values, strict=True))

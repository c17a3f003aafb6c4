"""Categories as numbers and as ones."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from tetramer.layers.categories import one_hot, pack

SIZES = [3, 1, 4]
ROWS = st.lists(st.tuples(*(st.integers(0, size - 1) for size in SIZES)), max_size=12)


def columns(rows: list[tuple[int, ...]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, len(SIZES))


@given(ROWS)
def test_different_rows_have_different_numbers(rows: list[tuple[int, ...]]) -> None:
    found = pack(columns(rows), SIZES).tolist()
    assert len(set(found)) == len(set(rows))
    assert all(0 <= number < 12 for number in found)


@given(ROWS)
def test_ones_stand_where_the_categories_are(rows: list[tuple[int, ...]]) -> None:
    found = one_hot(columns(rows), SIZES, torch.float64)
    assert found.shape == (64 if rows else 0, 8)
    assert found.sum() == 3 * len(rows)
    for row, (a, b, c) in zip(found, rows, strict=False):
        assert row.nonzero().flatten().tolist() == [a, 3 + b, 4 + c]

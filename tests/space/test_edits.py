"""Edit distances, against the textbook's table."""

from hypothesis import given
from hypothesis import strategies as st

from tetramer.space.edits import edit_distances, normalised

TEXTS = st.lists(st.tuples(st.text("abc\x00é", max_size=8), st.text("abc\x00é", max_size=8)), max_size=6)


def slow(left: str, right: str) -> int:
    """One cell at a time."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(before + (a != b), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def test_known_distances() -> None:
    left = ["kitten", "", "abc", "c1ccccc1", "CCO", "same"]
    right = ["sitting", "abc", "", "c1ccncc1", "OCC", "same"]
    assert edit_distances(left, right).tolist() == [3, 3, 3, 1, 2, 0]
    assert normalised(left, right).tolist() == [3 / 7, 1, 1, 1 / 8, 2 / 3, 0]
    assert normalised([""], [""]).tolist() == [0]
    assert edit_distances([], []).tolist() == []


@given(TEXTS)
def test_as_the_table_has_them(pairs: list[tuple[str, str]]) -> None:
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    want = [slow(a, b) for a, b in pairs]
    assert edit_distances(left, right).tolist() == want
    assert edit_distances(right, left).tolist() == want

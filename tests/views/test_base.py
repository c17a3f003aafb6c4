"""Columns: rows are picked, joined and written without a loop, without a copy and without a change."""

import itertools
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.molecules import Molecule, parse
from tetramer.views import VIEWS, base, conformer
from tetramer.views.base import Features

TEXTS = ["CCO", "O", "refused", "[Na+].[Cl-]", "c1ccccc1C(=O)N", "[2H]O[2H]", "C[C@H](N)C(=O)O", "refused", "F/C=C/F"]
MOLECULES = [told if isinstance(told := parse(text), Molecule) else None for text in TEXTS]
MADE: dict[str, Features] = {name: view.featurize(MOLECULES) for name, view in VIEWS.items()}
every_view = pytest.mark.parametrize("name", VIEWS)
rows_of = st.lists(st.integers(0, len(TEXTS) - 1), max_size=12).map(lambda rows: np.array(rows, dtype=np.int64))


@pytest.fixture(scope="module", autouse=True)
def once() -> Iterator[None]:
    """Geometry is made once a molecule: the columns are tested here, not the chemistry."""
    made, held = conformer.generate, dict[str, Any]()

    def generate(molecule: Molecule, *settings: Any) -> Any:
        if molecule.smiles not in held:
            held[molecule.smiles] = made(molecule, *settings)
        return held[molecule.smiles]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conformer, "generate", generate)
        yield


def same(one: object, other: object) -> None:
    """All fields equal, with their types, NaN being equal to NaN."""
    assert type(one) is type(other)
    for field in fields(one):  # type: ignore[arg-type]
        before, after = getattr(one, field.name), getattr(other, field.name)
        assert getattr(before, "dtype", None) == getattr(after, "dtype", None)
        np.testing.assert_array_equal(before, after)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.data())
def test_gather_matches_a_loop(counts: list[int], data: st.DataObject) -> None:
    starts = base.offsets(np.array(counts))
    rows = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=9)), dtype=np.int64)
    places, sizes = base.gather(starts, rows)
    assert places.tolist() == [place for row in rows for place in range(starts[row], starts[row + 1])]
    assert sizes.tolist() == [counts[row] for row in rows]


@every_view
@given(rows=rows_of)
def test_taking_rows_is_making_them(name: str, rows: np.ndarray) -> None:
    same(base.take(MADE[name], rows), VIEWS[name].featurize([MOLECULES[row] for row in rows]))


@every_view
@given(rows=rows_of.filter(len))
def test_a_batch_of_any_rows_is_the_batch_of_them_alone(name: str, rows: np.ndarray) -> None:
    view = VIEWS[name]
    alone = view.collate(base.take(MADE[name], rows), np.arange(len(rows)))
    same(view.collate(MADE[name], rows), alone)
    assert alone.size == len(rows)


@every_view
@given(cuts=st.lists(st.integers(0, len(TEXTS)), max_size=4).map(sorted))
def test_parts_joined_are_the_whole(name: str, cuts: list[int]) -> None:
    edges = [0, *cuts, len(TEXTS)]
    parts = [base.take(MADE[name], np.arange(start, stop)) for start, stop in itertools.pairwise(edges)]
    same(base.concat(parts), MADE[name])
    for part, start, stop in zip(parts, edges, edges[1:], strict=False):
        same(part, base.take(MADE[name], np.arange(start, stop)))


@every_view
def test_refused_rows_stay_in_place_and_are_empty(name: str) -> None:
    assert MADE[name].ok.tolist() == [1, 1, 0, 1, 1, 1, 1, 0, 1]
    for column, cut in MADE[name].COLUMNS.items():
        if cut is not None:
            starts = getattr(MADE[name], cut)
            assert starts[[3, 8]].tolist() == starts[[2, 7]].tolist()
            assert len(getattr(MADE[name], column)) == starts[-1]


@every_view
def test_columns_survive_the_disk_and_are_not_copied(name: str, tmp_path: Path) -> None:
    base.write(MADE[name], tmp_path / "f.arrow")
    back = base.read(type(MADE[name]), tmp_path / "f.arrow")
    same(back, MADE[name])
    for field in fields(back):
        array = getattr(back, field.name)
        assert not array.flags.owndata
        assert not array.flags.writeable  # still in the mapped file


@every_view
def test_columns_survive_a_pipe_and_point_into_it(name: str) -> None:
    data = base.to_bytes(MADE[name])
    back = base.from_bytes(type(MADE[name]), data)
    same(back, MADE[name])
    start = pa.py_buffer(data).address
    for field in fields(back):
        array = getattr(back, field.name)
        assert start <= array.__array_interface__["data"][0] < start + len(data)


@every_view
def test_tables_in_pieces_are_read_whole(name: str) -> None:
    """What others wrote may come in several batches, or as a slice of a longer table."""
    table = base.to_arrow(MADE[name])
    pieces = pa.concat_tables([table.slice(0, 4), table.slice(4)])
    same(base.from_arrow(type(MADE[name]), pieces), MADE[name])
    same(base.from_arrow(type(MADE[name]), table.slice(3, 5)), base.take(MADE[name], np.arange(3, 8)))


@every_view
def test_no_molecules_are_no_rows(name: str) -> None:
    view = VIEWS[name]
    none = view.featurize([])
    assert len(none) == 0
    same(base.from_bytes(type(none), base.to_bytes(none)), none)
    same(base.take(MADE[name], np.empty(0, np.int64)), none)
    assert view.collate(none, np.empty(0, np.int64)).size == 0
    assert not view.featurize([None, None]).ok.any()

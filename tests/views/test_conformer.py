"""The conformer view: geometries end to end, found again row by row, atoms in the order of the graph view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.errors import UserError
from tetramer.molecules import Limits, Molecule, parse
from tetramer.molecules.conformers import NOTES, generate
from tetramer.molecules.geometry import as_xyz, distances
from tetramer.views import base, conformer, graph, read
from tetramer.views.conformer import ConformerSettings, collate, featurize

TEXTS = ["OCCCO", "refused", "[Na+].CC([O-])=O", "C" * 251, "O", "[H][H]", "CCN(C)C", "C" * 130]
MOLECULES = [told if isinstance(told := parse(text), Molecule) else None for text in TEXTS]
SETTINGS = ConformerSettings(count=4)
MADE = featurize(MOLECULES, settings=SETTINGS)


def test_rows_hold_what_was_generated() -> None:
    assert MADE.ok.tolist() == [1, 0, 1, 0, 1, 1, 1, 1]
    assert [NOTES[note] for note in MADE.notes] == ["", "", "", "CONF_NONE", "", "", "", "CONF_2D"]
    counts = np.diff(MADE.geometry_starts)
    assert counts[[1, 3, 4, 5, 7]].tolist() == [0, 0, 1, 1, 1]
    assert counts[0] > 1
    for row, one in enumerate(MOLECULES):
        if not MADE.ok[row]:
            continue
        told = generate(one, 4, True)
        assert MADE.numbers[MADE.atom_starts[row] : MADE.atom_starts[row + 1]].tolist() == told.numbers.tolist()
        places = MADE.positions[MADE.place_starts[row] : MADE.place_starts[row + 1]].reshape(told.positions.shape)
        np.testing.assert_allclose(places.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose(places, told.positions - told.positions.mean(1, keepdims=True), atol=1e-5)
        energies = MADE.energies[MADE.geometry_starts[row] : MADE.geometry_starts[row + 1]]
        np.testing.assert_allclose(energies, told.energies, rtol=1e-6)


def test_atoms_stand_as_in_the_graph_view_and_hydrogens_behind_them() -> None:
    drawn = graph.featurize(MOLECULES)
    for row in np.flatnonzero(MADE.ok):
        atoms = drawn.atoms[drawn.atom_starts[row] : drawn.atom_starts[row + 1]]
        numbers = MADE.numbers[MADE.atom_starts[row] : MADE.atom_starts[row + 1]]
        charges = MADE.charges[MADE.atom_starts[row] : MADE.atom_starts[row + 1]]
        assert numbers[: len(atoms)].tolist() == atoms[:, 0].tolist()
        assert charges[: len(atoms)].tolist() == (atoms[:, 2].astype(int) - 4).tolist()
        assert (numbers[len(atoms) :] == 1).all()
        assert len(numbers) == len(atoms) + atoms[:, 3].sum()


@given(st.lists(st.integers(0, len(TEXTS) - 1), max_size=8))
def test_a_batch_is_the_geometries_of_its_rows_one_after_the_other(chosen: list[int]) -> None:
    rows = np.array(chosen, np.int64)
    batch = collate(MADE, rows)
    assert batch.size == len(rows)
    assert batch.ok.tolist() == MADE.ok[rows].astype(bool).tolist()
    numbers, places, owner, molecule = [], [], [], []
    for place, row in enumerate(chosen):
        here = MADE.numbers[MADE.atom_starts[row] : MADE.atom_starts[row + 1]]
        at = MADE.positions[MADE.place_starts[row] : MADE.place_starts[row + 1]]
        for one in range(MADE.geometry_starts[row], MADE.geometry_starts[row + 1]):
            start = (one - MADE.geometry_starts[row]) * len(here)
            numbers += here.tolist()
            places += at[start : start + len(here)].tolist()
            owner += [len(molecule)] * len(here)
            molecule.append(place)
    assert batch.numbers.tolist() == numbers
    assert batch.positions.tolist() == places
    assert batch.owner.tolist() == owner
    assert batch.molecule.tolist() == molecule
    assert len(batch.charges) == len(numbers)


def test_taking_and_cutting_rows_keeps_their_conformers_together() -> None:
    some = base.take(MADE, np.array([6, 0, 1, 0]))
    assert np.diff(some.geometry_starts).tolist() == np.diff(MADE.geometry_starts)[[6, 0, 1, 0]].tolist()
    np.testing.assert_array_equal(
        collate(some, np.arange(4)).positions, collate(MADE, np.array([6, 0, 1, 0])).positions
    )
    back = base.from_bytes(
        conformer.FEATURES,
        base.to_bytes(base.concat([base.take(MADE, np.arange(0, 3)), base.take(MADE, np.arange(3, 8))])),
    )
    for name in MADE.COLUMNS:
        np.testing.assert_array_equal(getattr(back, name), getattr(MADE, name))


def test_given_geometry_passes_through_the_workers() -> None:
    """As text, as every structure does; the settings go with it."""
    told = generate(MOLECULES[0], 4, True)
    assert len(told.positions) > 2
    text = as_xyz(told.numbers, told.positions + 50, "OCCCO")
    from tetramer.views.read import Reader

    with Reader(limits=Limits(1), settings={"conformer": ConformerSettings(count=2)}) as reader:
        reading = reader.read([text, "OCCCO", "3\n\nO 0 0 0"], ["conformer"])
    assert reading.codes == ["ok", "ok", "PARSE"]
    made = reading.features["conformer"]
    assert isinstance(made, conformer.ConformerFeatures)
    assert np.diff(made.geometry_starts).tolist() == [len(told.positions), 2, 0]  # all that were given
    places = made.positions[: made.place_starts[1]].astype(np.float64).reshape(told.positions.shape)
    for one, other in zip(places, told.positions, strict=True):
        away, wanted = np.sort(distances(one).ravel()), np.sort(distances(other).ravel())
        np.testing.assert_allclose(away, wanted, atol=1e-5)


def test_workers_do_not_change_a_bit() -> None:
    texts = ["CCO", "CC(C)O", "c1ccccc1O", "N[C@@H](C)C(=O)O", "C1CC", "O=C(O)CCl"]
    one, two = (read(texts, ["conformer"], limits=Limits(count)).features["conformer"] for count in (0, 2))
    for name in one.COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("count", [0, 101, -1])
def test_counts_out_of_range_are_refused(count: int) -> None:
    with pytest.raises(UserError, match="Choose 1 to 100"):
        ConformerSettings(count=count)

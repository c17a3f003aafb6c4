"""The free baselines: what each counts, exact answers, and that they see nothing but the labels of the fitted rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from tetramer.assays import assay_of
from tetramer.benchmark import plain
from tetramer.benchmark.cases import Case, Geometry, geometry_of
from tetramer.benchmark.plain import PLAIN, answer, probe
from tetramer.datasets.labels import Labels
from tetramer.datasets.tables import Table
from tetramer.errors import UserError
from tetramer.members.base import atom_counts
from tetramer.molecules import Limits
from tetramer.views import VIEWS, Reader
from tetramer.views.base import take
from tetramer.views.read import Reading

SIMPLE = ["C", "CC", "CCC", "CO", "CCO", "C=C", "C#N", "c1ccccc1", "C1CC1", "CN", "CCN", "O", "OO", "C1CCC1"]
REFUSED = 3  # the row that holds no molecule


def case_from(texts: list[str], values: np.ndarray, classes: bool = False, geometry: Geometry | None = None) -> Case:
    """A case read in this process; values: (n, T)."""
    names = tuple(f"t{place}" for place in range(values.shape[1]))
    labels = Labels(names, values, np.zeros(values.shape, np.int8), (None,) * len(names))
    task = "auto" if not classes else "multiclass" if np.nanmax(values) > 1 else "binary"
    with Reader(limits=Limits(0)) as reader:
        reading = reader.read(texts, tuple(VIEWS))
    assay = assay_of(texts, labels, None, task)
    return Case("made", assay, reading, "rmse", "", Path(), geometry)


def given(count: int, seed: int = 0) -> Geometry:
    """Random places for `count` molecules of 3 to 6 atoms."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(3, 7, count)
    total = int(sizes.sum())
    return Geometry(
        np.concatenate([[0], np.cumsum(sizes)]),
        draw.choice([1, 6, 8], total).astype(np.uint8),
        1.5 * draw.normal(size=(total, 3)),
    )


@pytest.fixture(scope="module")
def case(smiles: list[str]) -> Case:
    """80 molecules, one of them refused, with two numbers (one with gaps) and a geometry; row 5 has no atom there."""
    texts = [*smiles[:REFUSED], "not a molecule é", *smiles[REFUSED + 1 :]]
    values = np.random.default_rng(0).normal(size=(len(texts), 2))
    values[::5, 1] = np.nan
    place = given(len(texts))
    kept = np.ones(len(place.elements), bool)
    kept[place.starts[5] : place.starts[6]] = False
    starts = np.concatenate([[0], np.cumsum(kept)])[place.starts]
    return case_from(texts, values, geometry=Geometry(starts, place.elements[kept], place.positions[kept]))


@pytest.fixture(scope="module")
def classes(case: Case) -> Case:
    """The same molecules with a class of three."""
    kinds = (np.arange(len(case.assay.texts)) % 3)[:, None].astype(float)
    return case_from(case.assay.texts, kinds, classes=True)


def halves(case: Case) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(case.assay.texts))
    return rows[::2], rows[1::2]


def permuted(case: Case, order: np.ndarray) -> Case:
    """The rows of a case in another order."""
    reading, labels = case.reading, case.assay.labels
    told = Reading(
        {view: take(features, order) for view, features in reading.features.items()},
        *([cells[row] for row in order] for cells in (reading.smiles, reading.codes, reading.reasons)),
    )
    labels = replace(labels, values=labels.values[order], censor=labels.censor[order])
    assay = replace(case.assay, texts=[case.assay.texts[row] for row in order], labels=labels)
    return replace(case, reading=told, assay=assay, geometry=None)


@pytest.mark.parametrize("name", PLAIN)
def test_answers_depend_on_the_labels_of_the_fitted_rows_alone(name: str, case: Case) -> None:
    fitted, asked = halves(case)
    told = answer(name, case, fitted, asked)
    assert told.shape == (len(asked), 2, 1)
    assert answer(name, case.without(asked), fitted, asked).tobytes() == told.tobytes()
    assert answer(name, case, fitted[::-1], asked).tobytes() == told.tobytes()
    np.testing.assert_allclose(answer(name, case, fitted, asked[::-1])[::-1], told, rtol=1e-9, atol=1e-12)
    values = case.assay.labels.values.copy()
    values[fitted] += 1.0
    moved = replace(case, assay=replace(case.assay, labels=replace(case.assay.labels, values=values)))
    np.testing.assert_allclose(answer(name, moved, fitted, asked), told + 1.0, atol=1e-6)


@pytest.mark.parametrize("name", PLAIN)
def test_a_refused_row_has_no_answer_and_teaches_nothing(name: str, case: Case) -> None:
    fitted, asked = halves(case)
    told = answer(name, case, fitted, asked)
    nothing = np.isnan(told).any(axis=(1, 2))
    assert asked[nothing].tolist() == ([REFUSED, 5] if name == "energy-3d" else [REFUSED])
    with_it = np.sort(np.append(fitted, REFUSED))
    assert answer(name, case, with_it, asked).tobytes() == told.tobytes()


def test_of_several_conformers_the_first_is_the_geometry() -> None:
    numbers, places = [[8, 1, 1], None, [1, 1], [2]], [np.arange(18.0), None, np.arange(18.0), np.arange(3.0)]
    told = geometry_of(Table(pa.table({"atomic_numbers": numbers, "coordinates": places}), "made"))
    assert told is not None
    assert (told.starts.tolist(), told.elements.tolist()) == ([0, 3, 3, 5, 6], [8, 1, 1, 1, 1, 2])
    np.testing.assert_array_equal(told.positions.ravel(), [*range(9), *range(6), *range(3)])


@pytest.mark.parametrize("name", [name for name, one in PLAIN.items() if not one.geometry])
def test_the_order_of_the_rows_does_not_matter(name: str, case: Case) -> None:
    fitted, asked = halves(case)
    order = np.random.default_rng(1).permutation(len(case.assay.texts))
    place = np.argsort(order)
    other = answer(name, permuted(case, order), place[fitted], place[asked])
    np.testing.assert_allclose(other, answer(name, case, fitted, asked), atol=1e-6)


@pytest.mark.parametrize("name", [name for name, one in PLAIN.items() if "multiclass" in one.tasks])
def test_probabilities(name: str, classes: Case) -> None:
    fitted, asked = halves(classes)
    told = answer(name, classes, fitted, asked)
    good = asked != REFUSED
    assert told.shape == (len(asked), 1, 3)
    np.testing.assert_allclose(told[good].sum(axis=2), 1)
    assert (told[good] >= 0).all()
    assert answer(name, classes.without(asked), fitted, asked).tobytes() == told.tobytes()


def test_the_mean_is_the_mean(case: Case, classes: Case) -> None:
    fitted, asked = halves(case)
    known = case.assay.labels.values[fitted]
    told = answer("mean", case, fitted, asked)[asked != REFUSED, :, 0]
    np.testing.assert_allclose(told, np.tile(np.nanmean(known, axis=0), (len(told), 1)))
    share = answer("mean", classes, fitted, asked)[0, 0]
    np.testing.assert_allclose(share, np.bincount(classes.assay.labels.values[fitted, 0].astype(int)) / len(fitted))


def test_a_sum_over_atoms_is_recovered(case: Case) -> None:
    """Also one as large as total energies are."""
    rows = np.arange(len(case.assay.texts))
    weight = np.random.default_rng(2).normal(size=119) * 1000
    sums = (atom_counts(case.reading.features, rows) @ weight)[:, None]
    made = replace(case, assay=replace(case.assay, labels=replace(case.assay.labels, values=sums)))
    good = rows != REFUSED
    for name, error in (("atom-counts", 1e-3), ("energy-2d", 1.0)):
        told = answer(name, made, rows[:60], rows)[good, 0, 0]
        assert np.abs(told - sums[good, 0]).max() < error


def test_bonds_and_rings_are_counted() -> None:
    """Methane has four C-H bonds, benzene six and six aromatic ones, and one ring of six."""
    case = case_from(SIMPLE * 2, np.arange(2.0 * len(SIMPLE))[:, None])
    told = dict(zip(SIMPLE, plain.parts(case, np.arange(len(case.reading))).toarray(), strict=False))
    assert sorted(told["C"][told["C"] > 0]) == [1, 1, 4, plain.ATOMS, 4 * plain.ATOMS]
    features = case.reading.features["graph"]
    bonds = plain.pieces.bonds(features).toarray()
    np.testing.assert_array_equal(bonds[: len(SIMPLE)].sum(axis=1)[[0, 4, 7, 8]], [4, 8, 12, 9])
    assert (bonds[SIMPLE.index("C=C")] != bonds[SIMPLE.index("CC")]).any()


def test_neighbourhoods_do_not_depend_on_the_order_of_atoms() -> None:
    pairs = ["CC(=O)Nc1ccccc1", "c1ccccc1NC(C)=O", "OC(F)(Cl)C", "CC(O)(Cl)F", "OCC(Cl)(F)C", "CC(=O)Oc1ccccc1"]
    case = case_from([*pairs, *SIMPLE], np.arange(20.0)[:, None])
    told = plain.pieces.neighbourhoods(case.reading.features["graph"]).toarray()
    np.testing.assert_array_equal(told[0], told[1])
    np.testing.assert_array_equal(told[2], told[3])
    assert (told[2] != told[4]).any()
    assert (told[0] != told[5]).any()
    assert ((told > 0).sum(axis=0) > 1).all()


def test_ecfp_counts_are_those_of_the_view(case: Case) -> None:
    matrix = plain.substructures(case, np.arange(len(case.reading)))
    assert sparse.issparse(matrix)
    rows = np.arange(len(case.assay.texts))
    np.testing.assert_array_equal(
        matrix.toarray(), VIEWS["fingerprint"].collate(case.reading.features["fingerprint"], rows).counts
    )


def test_characters_tell_the_way_of_writing() -> None:
    """One molecule, written in two ways: only the baseline on the given text can tell the two."""
    texts = ["[CH3][CH2][OH]", "CCO"] * 15 + ["é", "ééé"]
    case = case_from(texts, np.array([0.0, 1.0] * 16)[:, None], classes=True)
    rows = np.arange(30)
    seen = answer("characters-given", case, rows[:20], rows[20:])[:, 0, 0]
    blind = answer("characters-canonical", case, rows[:20], rows[20:])[:, 0, 0]
    assert (seen[1::2] > 0.9).all()
    assert (seen[::2] < 0.1).all()
    np.testing.assert_allclose(blind, 0.5)


def test_what_does_not_fit_is_refused(case: Case, classes: Case) -> None:
    rows = np.arange(40)
    assert [name for name, one in PLAIN.items() if not one.fits(classes)] == ["energy-2d", "energy-3d"]
    assert all(one.fits(case) for one in PLAIN.values())
    with pytest.raises(UserError, match="is for regression; made is multiclass"):
        answer("energy-2d", classes, rows, rows)
    with pytest.raises(UserError, match="needs the columns atomic_numbers"):
        answer("energy-3d", replace(case, geometry=None), rows, rows)
    with pytest.raises(UserError, match="no baseline named 'means'"):
        answer("means", case, rows, rows)


def test_a_probe_is_the_same_head_on_given_vectors(case: Case) -> None:
    """A linear target of the vectors is recovered; a row without a vector has no answer."""
    x = np.random.default_rng(5).normal(size=(len(case.assay.texts), 6)).astype(np.float32)
    values = x[:, :2] * 3.0 + 1.0
    made = replace(case, assay=replace(case.assay, labels=replace(case.assay.labels, values=values)))
    x[7] = np.nan
    rows = np.arange(40)
    told = probe(x, made, rows[1::2], rows)
    assert np.isnan(told[[REFUSED, 7]]).all()
    good = (rows != 7) & (rows != REFUSED)
    np.testing.assert_allclose(told[good, :, 0], values[rows[good]], atol=1e-5)

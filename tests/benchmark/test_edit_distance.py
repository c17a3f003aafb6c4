"""Pairs of molecules: splits that share none, exact answers, and the counts of the free row."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from scipy import sparse

from tetramer.benchmark import edit_distance as module
from tetramer.benchmark.edit_distance import (
    FOLDS,
    HEADS,
    EditPairs,
    boosted,
    by_molecule,
    by_pair,
    edit_pairs,
    errors,
    evened,
    random_vectors,
    support_vectors,
    tenths,
)
from tetramer.datasets.tables import Table
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.views import graph, read

HERE = Limits(0)


def made(molecules: int = 60, count: int = 500, seed: int = 0) -> tuple[EditPairs, np.ndarray]:
    """Pairs whose distance is a sum of absolute differences of 3 numbers, and these numbers."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 5, (molecules, 3)).astype(float)
    left, right = rng.integers(0, molecules, (2, count))
    distance = np.abs(x[left] - x[right]).sum(axis=1)
    return EditPairs([f"m{k}" for k in range(molecules)], left, right, distance, sparse.csr_array(x), x), x


def table(*rows: tuple[str, str, float]) -> Table:
    one, other, edits = (list(cells) for cells in zip(*rows, strict=True))
    return Table(pa.table({"smiles1": one, "smiles2": other, "ged": edits}), "made")


def test_every_pair_is_tested_once_and_never_learned_from() -> None:
    pairs, _ = made()
    splits = by_pair(pairs, 0)
    assert [split.sizes for split in splits] == [(400, 50, 50)] * FOLDS
    np.testing.assert_array_equal(np.sort(np.concatenate([split.test for split in splits])), np.arange(500))
    for split in splits:
        assert not set(split.train) & set(split.test)
        assert not set(split.train) & set(split.valid)


@given(st.integers(20, 80), st.integers(0, 200), st.integers(0, 1000))
def test_a_split_of_molecules_has_none_on_both_sides(molecules: int, count: int, seed: int) -> None:
    pairs, _ = made(molecules, count, seed)
    for split in by_molecule(pairs, seed):
        parts = (split.train, split.valid, split.test)
        one, two, three = (set(pairs.left[part]) | set(pairs.right[part]) for part in parts)
        assert [one & two, one & three, two & three] == [set(), set(), set()]


def test_a_split_of_pairs_shares_molecules() -> None:
    """The check above can fail."""
    pairs, _ = made()
    split = by_pair(pairs, 0)[0]
    assert set(pairs.left[split.train]) & set(pairs.left[split.test])


@given(st.integers(10, 300))
def test_tenths_cover_everything(count: int) -> None:
    for train, valid, test in tenths(np.random.default_rng(0).permutation(count)):
        assert sorted([*train, *valid, *test]) == list(range(count))
        assert abs(len(test) - count / FOLDS) < 1


def test_seeds_give_other_splits_and_the_same_seed_the_same() -> None:
    pairs, _ = made()
    for rule in (by_pair, by_molecule):
        assert rule(pairs, 1)[0].sha256 == rule(pairs, 1)[0].sha256 != rule(pairs, 2)[0].sha256


def test_the_signed_difference() -> None:
    pairs, x = made()
    np.testing.assert_array_equal(pairs.signed(x), x[pairs.left] - x[pairs.right])
    np.testing.assert_array_equal(pairs.signed(pairs.counts), pairs.signed(x))


def test_the_head_is_scikit_learns_own() -> None:
    from sklearn.svm import SVR

    pairs, x = made()
    split = by_pair(pairs, 0)[0]
    told = x[pairs.left] - x[pairs.right]
    answer = SVR().fit(told[split.train], pairs.distance[split.train]).predict(told[split.test])
    expected = np.sqrt(np.mean((answer - pairs.distance[split.test]) ** 2))
    found = errors(x, pairs, [split])
    assert found == pytest.approx([expected], rel=1e-12)
    assert found[0] < 0.6 < errors(np.zeros((60, 3)), pairs, [split])[0]


def test_test_labels_are_not_learned_from() -> None:
    pairs, x = made()
    split = by_pair(pairs, 0)[0]
    other = pairs.distance.copy()
    other[np.concatenate([split.test, split.valid])] += 100
    changed = EditPairs(pairs.smiles, pairs.left, pairs.right, other, pairs.counts, pairs.random)
    for head in HEADS.values():
        once, twice = errors(x, pairs, [split], head)[0], errors(x, changed, [split], head)[0]
        assert twice == pytest.approx(100, abs=2 * once + 2)


def test_random_vectors_follow_their_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WIDTH", 8)
    texts = ["CC(=O)[O-]", "C", "c1ccncc1", "[O-]C(C)=O"]
    features = read(texts, ["graph"], limits=HERE).features["graph"]
    assert isinstance(features, graph.GraphFeatures)
    found = random_vectors(features, 3)
    draw = np.random.Generator(np.random.Philox(3)).standard_normal
    elements, charges = draw((119, 8)), draw((9, 8))
    layers = [(draw((8, 8, 8)) / np.sqrt(8), draw((8, 8))) for _ in range(module.ROUNDS)]  # seven types of bonds
    for text, vector in zip(texts, found, strict=True):
        mol = Chem.MolFromSmiles(text)
        h = [np.tanh(elements[a.GetAtomicNum()] + charges[a.GetFormalCharge() + 4]) for a in mol.GetAtoms()]
        for weight, shift in layers:
            new = []
            for atom in mol.GetAtoms():
                z = h[atom.GetIdx()] @ weight[0] + shift[0]
                for bond in atom.GetBonds():
                    kind = 1 + graph.BOND_TYPE[bond.GetBondType()]
                    z = z + h[bond.GetOtherAtomIdx(atom.GetIdx())] @ weight[kind] + shift[kind]
                new.append(np.tanh(z))
            h = new
        np.testing.assert_allclose(vector, np.sum(h, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found[0], found[3], rtol=1e-12)  # however the atoms are numbered


def test_evened_vectors_have_the_roots_of_their_deviations() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)) @ np.diag([100.0, 10.0, 1.0, 1e-9]) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    rows = np.arange(40)
    found = evened(x, rows)
    assert found.shape == (50, 3)  # nothing is made of a direction that is only rounding
    spread = np.linalg.svd(x[rows] - x[rows].mean(axis=0), compute_uv=False)[:3]
    np.testing.assert_allclose(np.linalg.norm(found[rows], axis=0), np.sqrt(spread))
    np.testing.assert_allclose(found[rows].mean(axis=0), 0, atol=1e-9)
    x[40:] = 7  # rows that are not seen change nothing for the others
    np.testing.assert_allclose(np.abs(evened(x, rows)[rows]), np.abs(found[rows]), rtol=1e-9)


def test_errors_of_evened_vectors_use_training_molecules_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, x = made()
    split = by_molecule(pairs, 0)[0]
    asked: list[set[int]] = []
    monkeypatch.setattr(module, "evened", lambda x, rows: asked.append({*rows.tolist()}) or x)
    assert errors(x, pairs, [split], even=True).tolist() == errors(x, pairs, [split]).tolist()
    assert asked == [{*pairs.left[split.train].tolist(), *pairs.right[split.train].tolist()}]


def test_a_vector_of_zeros_answers_one_number() -> None:
    pairs, _ = made()
    split = by_pair(pairs, 0)[0]
    for head in (support_vectors, boosted):
        answer = head(np.zeros((400, 3)), pairs.distance[split.train], np.zeros((50, 3)), 0)
        assert np.ptp(answer) < 1e-9


def test_pairs_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table(("CCO", "C", 2.0), ("OCC", "c1ccccc1", 7.0))
    monkeypatch.setattr(module.sources, "load", lambda name: rows)
    pairs = edit_pairs(limits=HERE)
    assert pairs.smiles == ["CCO", "C", "c1ccccc1"]  # one molecule, written twice
    assert (pairs.left.tolist(), pairs.right.tolist(), pairs.distance.tolist()) == ([0, 0], [1, 2], [2.0, 7.0])
    counts = pairs.counts.toarray()
    # C, O; degrees 0 to 2; bonds single, aromatic; CC aromatic, CC, CO, CH, OH; rings of 6
    assert counts[:, :5].tolist() == [[2, 1, 0, 2, 1], [1, 0, 1, 0, 0], [6, 0, 0, 0, 6]]
    assert counts[:, 5:7].tolist() == [[2, 0], [0, 0], [0, 6]]
    assert counts[:, -1].tolist() == [0, 0, 1]


def test_a_molecule_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sources, "load", lambda name: table(("CCO", "broken", 2.0)))
    with pytest.raises(UserError, match=r"'qm9-ged' holds molecules that cannot be read, such as 'broken'"):
        edit_pairs(limits=HERE)


def test_the_published_pairs(data_dir: Path) -> None:
    pairs = edit_pairs(limits=HERE)
    assert (len(pairs.distance), len(pairs.smiles)) == (10_000, 997)
    assert (round(pairs.distance.mean(), 3), round(pairs.distance.std(), 3)) == (6.643, 2.372)
    same = pairs.left == pairs.right
    assert (pairs.distance[same] == 0).all()

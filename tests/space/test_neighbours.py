"""Nearest neighbours: the exact order by slow twins, ties, rows without vectors, blocks, and overlap."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rdkit import Chem, DataStructs

from tetramer.errors import UserError
from tetramer.space import METRICS, Neighbours, nearest, nearest_counts, overlap, scores
from tetramer.space import neighbours as module
from tetramer.space.neighbours import shared
from tetramer.views.fingerprint import NAMES, FingerprintFeatures, morgan

SMALL = hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.integers(-2, 2))
TABLES = hnp.arrays(np.int64, st.tuples(st.integers(1, 9), st.just(4)), elements=st.sampled_from([0, 0, 1, 2, 5]))


def counted(table: np.ndarray, ok: list[int] | None = None) -> FingerprintFeatures:
    """Features with the counts (n, bits), the rest empty."""
    row, bit = np.nonzero(table)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(table)))])
    return FingerprintFeatures(
        ok=np.array(ok if ok is not None else [1] * len(table), np.uint8),
        bits=bit.astype(np.uint16),
        counts=table[row, bit].astype(np.uint8),
        bit_starts=starts,
        descriptors=np.zeros((len(table), len(NAMES)), np.float32),
        elements=np.zeros((len(table), 119), np.uint16),
    )


def ordered(keys: dict[tuple[int, int], Fraction], n: int, k: int) -> list[list[int]]:
    """The k rows of each row with the smallest keys, ties by row, −1 where there are too few."""
    out = []
    for i in range(n):
        near = sorted((keys[i, j], j) for j in range(n) if (i, j) in keys)[:k]
        out.append([j for _, j in near] + [-1] * (k - len(near)))
    return out


def test_neighbours_on_a_line_by_hand() -> None:
    told = nearest(np.array([[0.0], [1.0], [3.0], [7.0]]), 2, "euclidean")
    assert told.rows.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert told.distances.tolist() == [[1, 3], [1, 2], [2, 3], [4, 6]]
    assert (len(told), told.k) == (4, 2)


def test_cosine_by_hand() -> None:
    told = nearest(np.array([[1.0, 0.0], [5.0, 0.0], [1.0, 1.0], [-2.0, 0.0]]), 3)
    assert told.rows[0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(told.distances[0], [0, 1 - 0.5**0.5, 2], rtol=1e-6)


def test_one_direction_is_at_distance_0_however_long() -> None:
    one = np.random.default_rng(8).normal(size=50)
    told = nearest(np.stack([one, 3.7 * one, one / 7, -one, 1e-3 * one]), 4)
    assert told.rows[0].tolist() == [1, 2, 4, 3]
    assert told.distances[0].tolist() == [0, 0, 0, 2]


@given(SMALL, st.integers(1, 4), st.sets(st.integers(0, 8)))
def test_lengths_order_as_whole_numbers_do(vectors: np.ndarray, k: int, missing: set[int]) -> None:
    gone = {row for row in missing if row < len(vectors)}
    whole = vectors.astype(int).tolist()
    keys = {
        (i, j): Fraction(sum((a - b) ** 2 for a, b in zip(whole[i], whole[j], strict=True)))
        for i in range(len(whole))
        for j in range(len(whole))
        if i != j and not {i, j} & gone
    }
    vectors[sorted(gone), -1] = np.nan
    told = nearest(vectors, k, "euclidean")
    assert told.rows.tolist() == ordered(keys, len(vectors), k)
    assert np.isnan(told.distances).tolist() == (told.rows < 0).tolist()
    for (i, place), j in np.ndenumerate(told.rows):
        if j >= 0:
            assert told.distances[i, place] == np.float32(float(keys[i, j]) ** 0.5)


@given(SMALL, st.integers(1, 4))
def test_cosines_order_as_fractions_do(vectors: np.ndarray, k: int) -> None:
    whole = vectors.astype(int).tolist()

    def dot(i: int, j: int) -> int:
        return sum(a * b for a, b in zip(whole[i], whole[j], strict=True))

    usable = [i for i in range(len(whole)) if dot(i, i)]
    keys = {
        (i, j): -Fraction(dot(i, j) * abs(dot(i, j)), dot(i, i) * dot(j, j)) for i in usable for j in usable if i != j
    }
    assert nearest(vectors, k).rows.tolist() == ordered(keys, len(whole), k)


@given(TABLES, st.integers(1, 4), st.sets(st.integers(0, 8)), st.booleans())
def test_tanimoto_orders_as_fractions_do(table: np.ndarray, k: int, missing: set[int], rare: bool) -> None:
    gone = {row for row in range(len(table)) if row in missing or not table[row].any()}
    ok = [int(row not in missing) for row in range(len(table))]
    keys = {
        (i, j): 1 - Fraction(int(np.minimum(table[i], table[j]).sum()), int(np.maximum(table[i], table[j]).sum()))
        for i in range(len(table))
        for j in range(len(table))
        if i != j and not {i, j} & gone
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "COMMON", 2 if rare else 256)
        told = nearest_counts(counted(table, ok), k)
    assert told.rows.tolist() == ordered(keys, len(table), k)
    for (i, place), j in np.ndenumerate(told.rows):
        if j >= 0:
            assert told.distances[i, place] == np.float32(float(keys[i, j]))


def test_tanimoto_of_real_molecules_is_that_of_rdkit(smiles: list[str], prints: FingerprintFeatures) -> None:
    counts = [morgan().GetCountFingerprint(Chem.MolFromSmiles(text)) for text in smiles]
    told = nearest_counts(prints, 3)
    for row, own in enumerate(counts):
        apart = 1 - np.array(DataStructs.BulkTanimotoSimilarity(own, counts))
        apart[row] = np.inf
        np.testing.assert_allclose(told.distances[row], np.sort(apart)[:3], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(apart[told.rows[row]], np.sort(apart)[:3], rtol=1e-9)


def twin(points: np.ndarray, k: int, power: int = 1) -> np.ndarray:
    """Neighbours by every distance to a power, one row at a time."""
    rows = []
    for i, point in enumerate(points):
        apart = np.sqrt(((points - point) ** 2).sum(axis=1))
        apart[i] = np.inf
        rows.append(np.lexsort((np.arange(len(points)), (apart**power).astype(np.float32)))[:k])
    return np.array(rows)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_many_rows_as_the_twin_has_them() -> None:
    vectors = np.random.default_rng(0).normal(size=(800, 24))
    moved = vectors - vectors.mean(axis=0)
    assert np.array_equal(nearest(vectors, 20, "euclidean").rows, twin(vectors, 20))
    assert np.array_equal(nearest(vectors, 20).rows, twin(unit(vectors), 20, 2))
    assert np.array_equal(nearest(vectors + 3, 20, "centred-cosine").rows, twin(unit(moved), 20, 2))


@pytest.mark.parametrize("odd", ["narrow cone", "far row", "far cloud", "clusters in a row", "duplicates"])
def test_clouds_that_single_precision_does_not_resolve(odd: str) -> None:
    rng = np.random.default_rng(1)
    cloud = rng.normal(size=(900, 8))
    if odd == "narrow cone":
        cloud = 1 + 1e-6 * cloud
        assert np.array_equal(nearest(cloud, 5).rows, twin(unit(cloud), 5, 2))
    if odd == "far row":
        cloud[17] = 1e7
    if odd == "far cloud":
        cloud += 1e6
    if odd == "clusters in a row":
        cloud = np.repeat(cloud[:9], 100, axis=0) + 1e-3 * cloud
    if odd == "duplicates":
        cloud[::3] = cloud[0]
    assert np.array_equal(nearest(cloud, 5, "euclidean").rows, twin(cloud, 5))


def test_double_precision_is_taken_where_single_leaves_too_many() -> None:
    cloud = np.random.default_rng(1).normal(size=(900, 8))
    cloud[17] = 1e5
    own, _ = module._candidates(scores.Points(cloud, np.sqrt), slice(0, 900), 5)
    assert len(own) < 900 * 5 * module.LOOSE


@pytest.mark.parametrize("cells", [1, 5_000, 8_000_000])
@pytest.mark.parametrize("group", [1, 64])
def test_blocks_and_groups_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, prints: FingerprintFeatures, cells: int, group: int
) -> None:
    vectors = np.random.default_rng(2).normal(size=(300, 5))
    want = twin(vectors, 3), nearest_counts(prints, 3)
    monkeypatch.setattr(module, "CELLS", cells)
    monkeypatch.setattr(module, "GROUP", group)
    monkeypatch.setattr(scores, "NUMBERS", cells)
    assert np.array_equal(nearest(vectors, 3, "euclidean").rows, want[0])
    got = nearest_counts(prints, 3)
    assert np.array_equal(got.rows, want[1].rows)
    assert np.array_equal(got.distances, want[1].distances)


def test_memory_does_not_grow_with_the_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELLS", 200_000)
    vectors = np.random.default_rng(3).normal(size=(4000, 4))
    tracemalloc.start()
    nearest(vectors, 5, "euclidean")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # all 16 million scores would take 64 MB


def test_whitening_makes_one_round_cloud() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(20_000, 3)) @ np.array([[5.0, 1, 0], [0, 1, 0], [0, 2, 0.1]]) + 7
    np.testing.assert_allclose(np.cov(scores.whitened(vectors).T), np.eye(3), atol=0.02)


def test_whitening_leaves_out_what_cannot_be_known() -> None:
    rng = np.random.default_rng(5)
    assert scores.whitened(rng.normal(size=(60, 200))).shape == (60, 6)
    flat = rng.normal(size=(100, 3)) @ rng.normal(size=(3, 5)) + 1e-9 * rng.normal(size=(100, 5))
    assert scores.whitened(flat).shape == (100, 3)
    np.testing.assert_allclose(scores.whitened(flat).T @ scores.whitened(flat), 100 * np.eye(3), atol=1e-6)


def test_whitened_neighbours_do_not_follow_one_loud_direction() -> None:
    rng = np.random.default_rng(6)
    quiet = rng.normal(size=(400, 2))
    loud = np.column_stack([1000 * rng.normal(size=400), quiet])
    assert overlap(nearest(loud, 5, "centred-cosine"), nearest(quiet, 5, "euclidean"), 5) < 0.2
    steady = nearest(loud, 5, "whitened-cosine")
    assert overlap(steady, nearest(loud / [1000, 1, 1], 5, "whitened-cosine"), 5) > 0.9


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.sampled_from(sorted(METRICS)))
def test_turning_and_scaling_keep_neighbours(seed: int, scale: float, metric: str) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(30, 4))
    turned = scale * vectors @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert np.array_equal(nearest(vectors, 3, metric).rows, nearest(turned, 3, metric).rows)


def test_rows_without_a_direction_have_no_neighbours() -> None:
    vectors = np.array([[0.0, 0], [1, 0], [np.inf, 0], [2, 1], [np.nan, 1]])
    told = nearest(vectors, 1)
    assert told.rows.ravel().tolist() == [-1, 3, -1, 1, -1]
    assert told.usable.tolist() == [False, True, False, True, False]
    assert nearest(np.full((5, 3), 2.0), 2, "centred-cosine").rows.tolist() == [[-1, -1]] * 5


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_few_rows_are_no_trouble(metric: str) -> None:
    assert nearest(np.empty((0, 4)), 3, metric).rows.shape == (0, 3)
    assert nearest(np.ones((1, 4)), 3, metric).rows.tolist() == [[-1, -1, -1]]
    assert nearest(np.full((2, 4), np.nan), 2, metric).rows.tolist() == [[-1, -1]] * 2


def test_errors_teach() -> None:
    vectors = np.eye(4)
    with pytest.raises(UserError, match="Did you mean 'cosine'"):
        nearest(vectors, 1, "cosin")
    with pytest.raises(UserError, match="k is 0"):
        nearest(vectors, 0)
    with pytest.raises(UserError, match="4 and 3 rows"):
        overlap(nearest(vectors, 1), nearest(vectors[:3], 1), 1)
    with pytest.raises(UserError, match=r"the table holds 1\. Make it with k=2"):
        overlap(nearest(vectors, 1), nearest(vectors, 2), 2)


def table_of(rows: list[list[int]]) -> Neighbours:
    return Neighbours(np.array(rows), np.zeros((len(rows), len(rows[0])), np.float32))


def test_overlap_by_hand() -> None:
    first = table_of([[1, 2], [0, 2], [0, -1], [-1, -1]])
    second = table_of([[2, 3], [2, 0], [0, 1], [0, 1]])
    assert shared(first, second, 2).tolist() == pytest.approx([0.5, 1.0, 0.5, np.nan], nan_ok=True)
    assert shared(first, second, 1).tolist() == pytest.approx([0.0, 0.0, 1.0, np.nan], nan_ok=True)
    assert overlap(first, second, 2) == pytest.approx(2 / 3)
    assert np.isnan(overlap(table_of([[-1]]), table_of([[-1]]), 1))


@given(SMALL, st.integers(1, 12))
def test_a_space_agrees_with_itself(vectors: np.ndarray, k: int) -> None:
    told = nearest(vectors, k, "euclidean")
    if len(vectors) > 1:
        assert overlap(told, told, k) == 1


def test_spaces_that_share_nothing_overlap_by_chance() -> None:
    rng = np.random.default_rng(7)
    first, second = (nearest(rng.normal(size=(2000, 6)), 10, "euclidean") for _ in range(2))
    assert overlap(first, second, 10) == pytest.approx(10 / 1999, rel=0.15)  # 20,000 places, 100 agree: sd 10 %

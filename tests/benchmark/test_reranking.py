"""The small ranker: its numbers by hand, its place above the distance, and what it misses."""

import numpy as np
import pytest
from scipy import sparse

from tetramer.benchmark import reranking
from tetramer.benchmark.ranking import ranked
from tetramer.benchmark.reaction_sets import Task, products
from tetramer.members.rankers import Ranker, fit_ranker
from tetramer.molecules import Limits
from tetramer.molecules.sides import read_reactions
from tetramer.views.tallies import tallies

TEXTS = ["CC(=O)O.CN>>CNC(C)=O", "CCO>>CCO", "CCCCBr>>CCCCO", "CCC#N>>CCC(N)=O"]


@pytest.fixture(scope="module")
def task() -> Task:
    return products(read_reactions(TEXTS, limits=Limits(0)))


def fixed(column: str, sign: float) -> Ranker:
    """A ranker that answers one column."""
    place = reranking.COLUMNS.index(column)

    class One:
        def predict(self, x: np.ndarray, num_threads: int) -> np.ndarray:
            return sign * x[:, place]

    return Ranker(One())  # type: ignore[arg-type]


def test_overlaps_by_hand() -> None:
    asked = sparse.csr_array(np.array([[2.0, 1.0, 0.0]]))
    offered = sparse.csr_array(np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 1.0, 4.0]]))
    apart, covered, kept, new = reranking.overlap(asked, offered, np.array([[2, 0, 1]]))
    assert (apart.tolist(), new.tolist()) == ([[4, 3, 3]], [[4, 2, 0]])
    assert (covered.tolist(), kept.tolist()) == ([[3 / 7, 2 / 4, 0]], [[1, 2 / 3, 0]])


def test_columns_by_hand(task: Task) -> None:
    far, near, columns = reranking.Pairs.of(task, tallies(task.smiles))(np.array([1]))
    assert near.tolist() == [[0, 1, 2, 3]]
    assert columns.shape == (1, 4, len(reranking.COLUMNS))
    told = dict(zip(reranking.COLUMNS, columns[0, 1].tolist(), strict=True))  # ethanol asks, ethanol is offered
    assert [told[f"apart, {table}"] for table in ("wide", "narrow", "elements")] == [0, 0, 0]
    assert [told[f"covered, {table}"] for table in ("wide", "narrow", "elements")] == [1, 1, 1]
    assert (told["distance"], told["behind the first"], told["place"], told["copy"]) == (0, 0, 1, 1)
    assert (told["heavy atoms asked"], told["heavy atoms offered"], told["molecules asked"]) == (3, 3, 1)
    other = dict(zip(reranking.COLUMNS, columns[0, 2].tolist(), strict=True))  # butanol
    assert (other["heavy atoms offered"], other["hydrogens fewer"], other["copy"]) == (5, -4, 0)
    assert other["new, elements"] == 2 + 4
    assert other["distance"] == far[0, 2] == other["behind the first"]


def test_the_near_are_ordered_by_the_ranker_and_the_rest_by_distance(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reranking, "NEAREST", 2)
    counts = tallies(task.smiles)
    far, near, _ = reranking.Pairs.of(task, counts)(np.arange(4))
    scores = reranking.reranked(fixed("distance", 1.0), task, counts)(np.arange(4))
    for row in range(4):
        best, second = near[row][np.argsort(far[row, near[row]], kind="stable")]
        if far[row, best] < far[row, second]:
            assert scores[row, second] < scores[row, best] < 0  # turned round
        rest = np.setdiff1d(np.arange(4), near[row])
        np.testing.assert_array_equal(scores[row, rest], far[row, rest])


def test_a_right_candidate_that_is_not_near_keeps_its_place_behind_those_that_are(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = tallies(task.smiles)
    plain = ranked(reranking.environments(task, counts), np.array([3, 3, 3, 0]))["full"].rank
    monkeypatch.setattr(reranking, "NEAREST", 1)
    found = ranked(reranking.reranked(fixed("place", 0.0), task, counts), np.array([3, 3, 3, 0]))["full"].rank
    np.testing.assert_array_equal(found, plain)
    assert (plain > 1).all()


def test_the_ranker_learns_what_is_there_to_learn() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 10, 3)).astype(np.float32)
    right = np.zeros((200, 10), np.int64)
    right[np.arange(200), x[:, :, 1].argmax(axis=1)] = 1
    ranker = fit_ranker(x[:150].reshape(-1, 3), right[:150].ravel(), np.full(150, 10), seed=0, rounds=50)
    told = ranker(x[150:].reshape(-1, 3)).reshape(-1, 10)
    assert (told.argmax(axis=1) == right[150:].argmax(axis=1)).mean() > 0.8

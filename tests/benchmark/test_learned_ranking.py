"""An encoder's ranking of a task is the one that `rank` gives of the same texts."""

import numpy as np
import pytest

from tetramer.benchmark.learned_ranking import learned, members
from tetramer.benchmark.ranking import ranked
from tetramer.benchmark.reaction_sets import products, reactant_sets
from tetramer.molecules import Limits
from tetramer.molecules.sides import read_reactions
from tetramer.pretraining import Options, pretrain
from tetramer.ranking import Ranker, load_ranker, rank

HERE = Limits(0)
ACID = "[CH3:1][C:2](=[O:3])[OH:4]"
CHAINS = ("[CH3:6]", "[CH2:6][CH3:7]", "[CH2:6][CH2:7][Cl:8]", "[CH:6]([CH3:7])[CH3:8]", "[CH2:6][C:7]#[N:8]")
REACTIONS = [f"[OH:5]{chain}.{ACID}.ClCCl>>[CH3:1][C:2](=[O:3])[O:5]{chain}" for chain in CHAINS]


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Ranker:
    path = tmp_path_factory.mktemp("learned")
    settings = {"training.epochs": "30", "training.peak": "0.01", "encoder.width": "16", "encoder.depth": "2"}
    pretrain(REACTIONS * 2, "x", Options("molr", settings, limits=HERE), path / "parts").save(path / "encoder")
    return load_ranker(path / "encoder")


def test_the_order_of_a_task_is_that_of_its_texts(ranker: Ranker) -> None:
    task = products(read_reactions(REACTIONS, limits=HERE))
    scores = learned(ranker, task, limits=HERE)(np.arange(5))
    smiles = np.array(task.smiles, dtype=object)
    asked = [".".join(np.repeat(smiles, row.astype(int))) for row in task.queries.toarray()]
    offered = [".".join(np.repeat(smiles, row.astype(int))) for row in task.candidates.toarray()]
    order, _, _ = rank(ranker, asked, offered, top=5, limits=HERE)
    for row, (chosen, apart) in enumerate(zip(order.candidate, order.distance, strict=True)):
        assert scores[row][chosen] ** 0.5 == pytest.approx(apart, rel=1e-2, abs=2e-3)
        assert (np.diff(scores[row][chosen]) > -1e-5).all()
    assert (ranked(learned(ranker, task, limits=HERE), task.answers)["full"].rank == 1).all()


def test_the_other_way_the_distances_are_the_same(ranker: Ranker) -> None:
    sides = read_reactions(REACTIONS, limits=HERE)
    forth, back = products(sides), reactant_sets(sides)
    there = learned(ranker, forth, limits=HERE)(np.arange(5))[:, forth.answers]
    again = learned(ranker, back, backwards=True, limits=HERE)(np.arange(5))[:, back.answers]
    assert there == pytest.approx(again.T, abs=1e-5)


def test_a_molecule_twice_in_a_query_stands_there_twice() -> None:
    from scipy.sparse import csr_array

    sets = csr_array(np.array([[0, 2.0, 1], [1, 0, 0], [0, 0, 0]]))
    told, starts = members(sets, np.array([0, 1, 2]))
    assert told.tolist() == [1, 1, 2, 0]
    assert starts.tolist() == [0, 3, 4, 4]

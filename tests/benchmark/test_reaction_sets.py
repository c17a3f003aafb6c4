"""Reactions as rankings: equal products merged, pools by formula and size, copies, and no leak through atom maps."""

import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rdkit import Chem

from tetramer.benchmark import reaction_sets as module
from tetramer.benchmark import reranking
from tetramer.benchmark.free_ranking import FREE
from tetramer.benchmark.ranking import Scores, distances, ranked
from tetramer.benchmark.reaction_sets import Task, drawn, pools, products, questions, reactant_sets, read_part
from tetramer.datasets.tables import Table
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.molecules.reactions import REACTANT, Reaction, parse_reaction
from tetramer.molecules.sides import Sides, read_reactions
from tetramer.views.tallies import Tallies, tallies

HERE = Limits(0)
TEXTS = [
    "CC(=O)O.CN>>CNC(C)=O",  # 0
    "CC(=O)Cl.CN>>CC(=O)NC",  # 1: the product of 0, written in another way
    "C[C@H](N)O>>C[C@H](N)Cl",  # 2
    "C[C@@H](N)O>>C[C@@H](N)Cl",  # 3: the mirror image
    "CCO.CCO>>CCO",  # 4: a copy of a reactant
    "CBr.CBr.NCCN>>CNCCNC",  # 5: a reactant twice
    "broken>>CC",  # 6
    "CCO>>CCBr.CCBr",  # 7: a product twice
    "CCO>>CCBr",  # 8
]

TAILS = ("[CH3:1]", "[CH3:1][CH2:2]", "[CH3:1][CH:2]([CH3:3])", "[CH3:1][O:2][CH2:3]", "[F:1][CH2:2]")
ENDS = ("[CH3:11]", "[CH2:11][CH3:12]", "[CH2:11][CH2:12][Cl:13]", "[CH2:11][C:12]#[N:13]", "[CH:11]([CH3:12])[CH3:13]")
MAPPED = [  # amides and esters; half of them name salts among the reactants, half behind them
    f"{tail}[C:20](=[O:21])[OH:22].{head}{end}{salt}>>{tail}[C:20](=[O:21]){new}{end}"
    for tail in TAILS
    for end in ENDS
    for head, new, salt in (("[NH2:30]", "[NH:30]", ".[Na+:40].[Cl-:41]"), ("[OH:30]", "[O:30]", ""))
]


@pytest.fixture(scope="module")
def sides() -> Sides:
    return read_reactions(TEXTS, limits=HERE)


def candidates(task: Task) -> list[str]:
    """Each as one text."""
    cells = task.candidates
    starts = zip(cells.indptr[:-1], cells.indptr[1:], strict=True)
    return [".".join(sorted(task.smiles[k] for k in cells.indices[one:two])) for one, two in starts]


def asked(task: Task) -> list[dict[str, int]]:
    """The molecules of each query, and how often."""
    return [{task.smiles[k]: int(n) for k, n in enumerate(row) if n} for row in task.queries.toarray()]


def test_equal_products_are_one_candidate(sides: Sides) -> None:
    task = products(sides)
    assert candidates(task) == ["CNC(C)=O", "C[C@H](N)Cl", "C[C@@H](N)Cl", "CCO", "CNCCNC", "CCBr"]
    assert task.named[4:] == [frozenset({"CNCCNC"}), frozenset({"CCBr"})]
    assert task.rows.tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert task.answers.tolist() == [0, 0, 1, 2, 3, 4, 5, 5]
    assert [candidates(task)[right] for right in task.answers] == [sides.keys[row] for row in task.rows]
    assert set(task.candidates.data) == {1.0}
    assert asked(task)[5] == {"CBr": 2, "NCCN": 1}


def test_sides_exchanged_is_retrosynthesis(sides: Sides) -> None:
    task = reactant_sets(sides)
    assert candidates(task)[:2] == ["CC(=O)O.CN", "CC(=O)Cl.CN"]
    assert task.answers.tolist() == [0, 1, 2, 3, 4, 5, 4, 4]  # CCO twice is the set of CCO
    assert asked(task)[0] == asked(task)[1] == {"CNC(C)=O": 1}


def test_some_queries_among_some_reactions(sides: Sides) -> None:
    task = products(sides, np.array([8, 1]), np.array([8, 7, 6, 2, 1]))
    assert task.rows.tolist() == [1, 8]
    assert candidates(task) == ["CNC(C)=O", "C[C@H](N)Cl", "CCBr"]
    assert task.answers.tolist() == [0, 2]


def test_reagents_are_left_out_or_kept() -> None:
    told = read_reactions(MAPPED[:1], limits=HERE)
    assert asked(products(told)) == [{"CC(=O)O": 1, "CN": 1}]
    assert asked(products(told, reagents=True)) == [{"CC(=O)O": 1, "CN": 1, "[Na+]": 1, "[Cl-]": 1}]


def test_vectors_of_molecules_add_up_to_sides(sides: Sides) -> None:
    x = np.random.default_rng(0).normal(size=(len(sides.smiles), 3))
    task = products(sides)
    left, right = task.summed(x)
    place = task.smiles.index
    np.testing.assert_allclose(left[5], 2 * x[place("CBr")] + x[place("NCCN")])
    np.testing.assert_allclose(right[5], x[place("CCBr")])


def test_pools_by_hand() -> None:
    texts = ["CCCO>>CCOC", "CCO>>CCCO", "CCC=O>>CCCCCCO", "CN>>CCC", "CC>>CCCCN", "C[NH3+]>>CCC[OH2+]"]
    told = read_reactions(texts, limits=HERE)
    task = products(told)
    names = candidates(task)
    assert names == ["CCOC", "CCCO", "CCCCCCO", "CCC", "CCCCN", "CCC[OH2+]"]
    found = pools(task, tallies(task.smiles).elements)
    rows = np.arange(len(texts))

    def held(pool: str) -> list[list[str]]:
        mask = np.broadcast_to(found[pool](rows), (len(texts), len(names)))
        return [[name for name, inside in zip(names, row, strict=True) if inside] for row in mask]

    assert held("full") == [names] * len(texts)
    assert held("isomers")[:3] == [["CCOC", "CCCO"], ["CCOC", "CCCO"], ["CCCCCCO"]]
    assert held("near")[2] == ["CCCCCCO", "CCCCN"]  # 7 and 5 atoms, not 4
    assert held("near")[3] == ["CCOC", "CCCO", "CCC", "CCCCN", "CCC[OH2+]"]
    assert held("no-copies")[0] == [name for name in names if name != "CCCO"]
    assert held("no-copies")[1] == names  # CCO is no candidate


def test_the_right_candidate_is_ranked_even_if_it_is_a_copy(sides: Sides) -> None:
    task = products(sides)
    counts = tallies(task.smiles)
    found = ranked(FREE["count-distance"](task, counts), task.answers, pools(task, counts.elements))
    at = task.rows.tolist().index(4)
    assert (found["no-copies"].rank[at], found["no-copies"].size[at]) == (found["full"].rank[at], 6)


def test_a_ranking_by_counts_by_hand() -> None:
    """Atoms with hydrogens: CH5N + C2H4O2 = C3H9NO2 is 3 from C3H7NO; carbons, hydrogens, oxygens differ."""
    told = read_reactions(["CC(=O)O.CN>>CNC(C)=O", "CC>>CCN(C)O", "CCC>>CCC"], limits=HERE)
    task = products(told)
    scores = FREE["atom-counts"](task, tallies(task.smiles))
    assert scores(np.array([0])).tolist() == [[0 + 4 + 0 + 1, 0 + 0 + 0 + 1, 0 + 1 + 1 + 4]]
    assert ranked(scores, task.answers)["full"].rank.tolist() == [2.0, 3.0, 1.0]


def shuffled(text: str, seed: int) -> str:
    """The map numbers of each molecule dealt anew to its atoms: who is a reactant stays, which atom is which not."""
    draw = random.Random(seed)

    def deal(molecule: str) -> str:
        numbers = re.findall(r":(\d+)\]", molecule)
        draw.shuffle(numbers)
        return re.sub(r":\d+\]", lambda _: f":{numbers.pop()}]", molecule)

    return re.sub(r"[^.>]+", lambda found: deal(found[0]), text)


def unmapped(text: str) -> str:
    """The prepared reaction, REACTANTS>REAGENTS>PRODUCTS, without any map."""
    told = parse_reaction(text)
    assert isinstance(told, Reaction)
    parts = (told.reactants, told.reagents, told.products)
    return ">".join(".".join(one.molecule.smiles for one in part) for part in parts)


def of_survivors(told: Sides, task: Task) -> Scores:
    """A leak: oxygens that survive, by the maps, beside those of the product, and how many atoms survive."""
    symbols = [Chem.MolFromSmiles(told.smiles[molecule]).GetAtoms() for molecule in told.molecule]
    oxygen = np.array([atom.GetSymbol() == "O" for atoms in symbols for atom in atoms])
    size = np.diff(told.map_starts)
    rows, role = np.repeat(told.row, size), np.repeat(told.role, size)
    alive = (told.surviving() != 0) & (role == REACTANT)
    numbers = np.stack([np.bincount(rows[kept], minlength=len(told)) for kept in (alive, alive & oxygen)], axis=1)
    every = tallies(task.smiles).elements
    heavy = every.sum(axis=1) - every[:, [1]].toarray().ravel()
    offered = task.candidates @ np.stack([heavy, every[:, [8]].toarray().ravel()], axis=1)
    return distances(numbers[task.rows].astype(float), offered)


CHANGES = {
    "deleted": unmapped,
    "dealt anew": lambda text: shuffled(text, 1),
    "dealt otherwise": lambda text: shuffled(text, 2),
}


def outcome(texts: list[str], free: Callable[[Task, Tallies], Scores], reagents: bool) -> np.ndarray:
    """Ranks and sizes in every pool."""
    task = products(read_reactions(texts, limits=HERE), reagents=reagents)
    counts = tallies(task.smiles)
    found = ranked(free(task, counts), task.answers, pools(task, counts.elements))
    return np.concatenate([np.stack([one.rank, one.size]) for one in found.values()])


@pytest.mark.parametrize("reagents", [False, True])
@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("change", CHANGES)
def test_atom_maps_change_no_rank(name: str, change: str, reagents: bool) -> None:
    changed = [CHANGES[change](text) for text in MAPPED]
    assert changed[0] != MAPPED[0]
    once = outcome(MAPPED, FREE[name], reagents)
    np.testing.assert_array_equal(outcome(changed, FREE[name], reagents), once)


def test_atom_maps_change_no_rank_of_the_ranker() -> None:
    told = read_reactions(MAPPED, limits=HERE)
    task = products(told)
    ranker = reranking.train(task, tallies(task.smiles), rounds=10)
    model = ranker.booster.model_to_string()
    found = outcome(MAPPED, partial(reranking.reranked, ranker), False)
    assert found[0].mean() < 1.5
    for change in CHANGES.values():
        told = read_reactions([change(text) for text in MAPPED], limits=HERE)
        task = products(told)
        assert reranking.train(task, tallies(task.smiles), rounds=10).booster.model_to_string() == model
        np.testing.assert_array_equal(
            outcome([change(text) for text in MAPPED], partial(reranking.reranked, ranker), False), found
        )


@pytest.mark.parametrize("change", CHANGES)
def test_the_test_of_maps_sees_a_leak(change: str) -> None:
    """Counting the elements of atoms that survive is what maps must not be used for."""
    ranks = []
    for texts in (MAPPED, [CHANGES[change](text) for text in MAPPED]):
        told = read_reactions(texts, limits=HERE)
        task = products(told)
        ranks.append(ranked(of_survivors(told, task), task.answers)["full"].rank)
    assert (ranks[0] != ranks[1]).any()
    assert ranks[0].mean() < ranks[1].mean()


def test_parts_of_a_public_set(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"split": ["test", "valid", "test", "train"], "product": ["CCBr", "CN", "CF", "CI"]}
    table = Table(pa.table(columns | {"reactants": ["CCO", "CO", None, "C"]}), "made")
    monkeypatch.setattr(module.sources, "load", lambda name: table)
    sides, sha256 = read_part("uspto-50k", ["test", "valid"], HERE)
    assert (sides.keys, sides.codes) == (["CCBr", "", "CN"], ["ok", "EMPTY", "ok"])
    assert sha256 == read_part("uspto-50k", ["test", "valid"], HERE)[1] != read_part("uspto-50k", ["test"], HERE)[1]
    monkeypatch.setattr(module.sources, "load", lambda name: Table(table.data.drop_columns("split"), "made"))
    with pytest.raises(UserError, match=r"'esol' has no reactions with a split; it has the columns product, reactants"):
        read_part("esol", ["test"], HERE)


def test_the_draw_of_the_valid_part_is_one_for_all() -> None:
    split = drawn(30_000)
    assert split.sizes == (27_000, 3_000, 0)
    assert split.sha256 == "541aaea259b33b5edda0cac4664e97adb2a226b76e02cf949c34c3a41b0788ad"
    assert not set(split.train) & set(split.valid)
    assert drawn(30_000, seed=1).sha256 != split.sha256


def test_the_multiple_choice_questions(data_dir: Path) -> None:
    task, choices = questions(HERE)
    assert len(task.answers) == 16
    offered = choices(np.arange(16))
    assert offered.sum(axis=1).tolist() == [5] * 8 + [3] + [4] * 7  # one names the same molecule twice
    assert offered[np.arange(16), task.answers].all()
    assert candidates(task)[task.answers[0]] == Chem.CanonSmiles("CC=CCCC(C)O")
    assert asked(task)[1] == {Chem.CanonSmiles("O=C(O)CCC"): 1}
    assert candidates(task)[task.answers[1]] == "CCCC"  # numbers of answers count from 0
    blind = distances(*task.summed(np.zeros((len(task.smiles), 3))))
    found = ranked(blind, task.answers, {"choices": choices})["choices"]
    np.testing.assert_array_equal(found.rank, (found.size + 1) / 2)

"""What the study molr asks: rankings of products and of reactants, 16 questions, graph edit distances. A row a file.

    OUTPUT/TASK/METHOD-SEED.json

validation: products of 3,000 reactions of the valid part that no model learned from, among those of the whole part.
products: every reaction of the test part of USPTO-MIT against all products of that part. reactants: every product of
the test part of USPTO-50k against all its sets of reactants. questions: MolR's own, each among its four or five
choices. edit-distance: MolR's 10,000 pairs of QM9 molecules.

Intervals (95 %) of rankings come from drawing queries again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.benchmark import reranking
from tetramer.benchmark.edit_distance import HEADS, RULES, EditPairs, edit_pairs, errors
from tetramer.benchmark.free_ranking import FREE
from tetramer.benchmark.learned_ranking import learned
from tetramer.benchmark.ranking import HITS, Pool, Ranks, Scores, ranked, summary
from tetramer.benchmark.reaction_sets import Task, drawn, pools, products, questions, reactant_sets, read_part
from tetramer.inference import load_embedder, vectors
from tetramer.members.rankers import Ranker as Order
from tetramer.members.ridge import Matrix
from tetramer.molecules import Limits
from tetramer.molecules.sides import Sides
from tetramer.ranking import Ranker, load_ranker
from tetramer.studies.base import Measurement, of_card
from tetramer.views import Reader
from tetramer.views.tallies import Tallies, tallies

SEED = 0  # of queries and resampling
SPLITS = 1  # seed of the splits of pairs: validation parts by seed 0, which chose a row, test in others of them
FREE_ROWS = {
    "atom-counts": "distance of atoms by element",
    "count-distance": "distance of counts of substructures",
    "count-distance-reagents": "the same, reagents kept",
    "re-ranker": "its 100 nearest, in order anew by 20 numbers",
    "counts-svr": "SVR on counts of atoms, bonds and rings",
    "counts-boosted": "boosted trees on the same",
    "counts-mean": "the mean",
    "random-network": "SVR on sums of bounded atoms of a network that has learned nothing",
}


@dataclass(frozen=True)
class Part:
    """One part of a public set, read."""

    name: str
    part: str
    sides: Sides
    sha256: str

    @classmethod
    def of(cls, name: str, part: str, limits: Limits, most: int | None) -> "Part":
        """Read its first `most` reactions; None: all."""
        return cls(name, part, *read_part(name, [part], limits, most))

    @cached_property
    def tallies(self) -> Tallies:
        """Counts of all its molecules."""
        return tallies(self.sides.smiles)

    @property
    def about(self) -> dict[str, Any]:
        """What a row says of it."""
        return {
            "data": self.name,
            "part": self.part,
            "data_sha256": self.sha256,
            "reactions": len(self.sides),
            "readable": int(self.sides.ok.sum()),
        }


@dataclass(frozen=True)
class Asking:
    """A ranking and all that its rows need."""

    task: Task
    counts: Tallies
    pools: dict[str, Pool]
    about: dict[str, Any]
    hits: tuple[int, ...] = HITS
    backwards: bool = False  # queries are products
    unseen: np.ndarray | None = None  # (Q,) bool: queries whose product no encoder learns from; None: not asked

    def told(self, scores: Scores) -> dict[str, Any]:
        """What a row says of the ranks in each pool, and in that of all candidates for the unseen products alone."""
        found = ranked(scores, self.task.answers, self.pools)
        if self.unseen is not None:
            found["unseen"] = Ranks(found["full"].rank[self.unseen], found["full"].size[self.unseen])
        size = {"queries": len(self.task.answers), "candidates": self.task.candidates.shape[0]}
        return size | {"pools": {pool: summary(one, SEED, self.hits) for pool, one in found.items()}}


@dataclass(frozen=True)
class Here:
    """Parts of data sets, each read once."""

    most: int | None  # reactions that are read of each part, and pairs of molecules; None: all
    limits: Limits

    @cached_property
    def test(self) -> Part:
        """USPTO-MIT, test."""
        return Part.of("uspto-mit", "test", self.limits, self.most)

    @cached_property
    def valid(self) -> Part:
        """USPTO-MIT, valid."""
        return Part.of("uspto-mit", "valid", self.limits, self.most)

    @cached_property
    def backwards(self) -> tuple[Part, Part]:
        """USPTO-50k, train and test."""
        train, test = (Part.of("uspto-50k", part, self.limits, self.most) for part in ("train", "test"))
        return train, test

    @cached_property
    def pairs(self) -> EditPairs:
        """Pairs of QM9 molecules."""
        pairs = edit_pairs(limits=self.limits)
        some = slice(self.most)
        return replace(pairs, left=pairs.left[some], right=pairs.right[some], distance=pairs.distance[some])

    @cached_property
    def products(self) -> Asking:
        """Of the test part."""
        task = products(self.test.sides)
        counts = self.test.tallies
        return Asking(task, counts, pools(task, counts.elements), self.test.about, unseen=self.new(task))

    @cached_property
    def held(self) -> Asking:
        """Products of reactions that no model has learned from, among those of the whole valid part."""
        rows = drawn(len(self.valid.sides)).valid
        task, counts = products(self.valid.sides, rows, np.arange(len(self.valid.sides))), self.valid.tallies
        return Asking(task, counts, pools(task, counts.elements), self.valid.about, unseen=self.new(task))

    @cached_property
    def learned_products(self) -> Asking:
        """Products of reactions to learn from."""
        split = drawn(len(self.valid.sides))
        task = products(self.valid.sides, split.train, np.arange(len(self.valid.sides)))
        about = {"learned_from": "uspto-mit, valid", "learned_sha256": self.valid.sha256, "lists": len(task.answers)}
        return Asking(task, self.valid.tallies, {}, about | {"split": split.name, "split_sha256": split.sha256})

    @cached_property
    def taught(self) -> set[frozenset[str]]:
        """Products of reactions that encoders learn from."""
        rows = drawn(len(self.valid.sides)).train
        return set(products(self.valid.sides, rows, rows).named)

    def new(self, task: Task) -> np.ndarray:
        """(Q,) whether no encoder learns from the product that is the answer."""
        fresh = np.array([name not in self.taught for name in task.named], dtype=bool)
        return np.asarray(fresh[task.answers])

    @cached_property
    def reactants(self) -> Asking:
        """Of the test part of USPTO-50k."""
        test = self.backwards[1]
        task, counts, forwards = reactant_sets(test.sides), test.tallies, products(test.sides)
        pooled = pools(task, counts.elements)
        return Asking(task, counts, pooled, test.about, backwards=True, unseen=self.new(forwards))

    @cached_property
    def questions(self) -> Asking:
        """Sixteen."""
        task, choices = questions(self.limits)
        return Asking(task, tallies(task.smiles), {"choices": choices}, {"data": "real-reactions"}, (1, 2))

    @cached_property
    def order(self) -> tuple[Order, dict[str, Any]]:
        """The re-ranker of products, and what its rows say of it."""
        lists = self.learned_products
        return reranking.train(lists.task, lists.counts), lists.about

    @cached_property
    def order_backwards(self) -> tuple[Order, dict[str, Any]]:
        """The re-ranker of reactants."""
        train = self.backwards[0]
        task = reactant_sets(train.sides)
        about = {"learned_from": "uspto-50k, train", "learned_sha256": train.sha256, "lists": len(task.answers)}
        return reranking.train(task, train.tallies), about


def ranking(which: Callable[[Here], Asking], here: Here, method: str, encoder: Path | None) -> dict[str, Any]:
    """One method's ranks in each pool."""
    asked = which(here)
    about: dict[str, Any] = {}
    if encoder is not None:
        scores, about = by_vectors(here, asked, load_ranker(encoder))
    elif method == "re-ranker":
        order, about = here.order_backwards if asked.backwards else here.order
        scores = reranking.reranked(order, asked.task, asked.counts)
    elif method == "count-distance-reagents":
        task = products(here.test.sides, reagents=True)
        scores = FREE["count-distance"](task, asked.counts)
    else:
        scores = FREE[method](asked.task, asked.counts)
    return asked.about | about | asked.told(scores)


def by_vectors(here: Here, asked: Asking, ranker: Ranker) -> tuple[Scores, dict[str, Any]]:
    """Distances of a model's vectors, and what a row says of the model."""
    return learned(ranker, asked.task, asked.backwards, here.limits), of_card(ranker.card)


def anew(here: Here, method: str, encoder: Path | None) -> dict[str, Any]:
    """Products again, but a model's nearest are put in order anew by numbers that the validation reactions teach."""
    assert encoder is not None
    ranker, asked, lists = load_ranker(encoder), here.products, here.held
    near, about = by_vectors(here, asked, ranker)
    order = reranking.train(lists.task, lists.counts, by_vectors(here, lists, ranker)[0])
    scores = reranking.reranked(order, asked.task, asked.counts, near)
    return asked.about | about | {"lists": len(lists.task.answers)} | asked.told(scores)


def edit_distance(here: Here, method: str, encoder: Path | None) -> dict[str, Any]:
    """RMSE on ten splits of the pairs and ten of the molecules; of vectors as they are and, `…_evened`, with evened."""
    pairs, head = here.pairs, "svr"
    x: Matrix
    if method.startswith("counts-"):
        x, head = pairs.counts, method.removeprefix("counts-")
    elif encoder is None:
        x = pairs.random
    else:
        model = load_embedder(encoder)
        with Reader(model.standard, here.limits, model.settings) as reader:
            x = vectors(model, reader.read(pairs.smiles, model.views))
    told: dict[str, Any] = {"data": "qm9-ged", "pairs": len(pairs.distance), "molecules": len(pairs.smiles)}
    told |= {"head": head, "numbers": x.shape[1], "rmse": {}, "splits_sha256": {}, "sizes": {}}
    for rule, make in RULES.items():
        splits = make(pairs, SPLITS)
        told["rmse"][rule] = errors(x, pairs, splits, HEADS[head], SEED).tolist()
        if isinstance(x, np.ndarray):
            told["rmse"][f"{rule}_evened"] = errors(x, pairs, splits, HEADS[head], SEED, even=True).tolist()
        told["splits_sha256"][rule] = [split.sha256 for split in splits]
        told["sizes"][rule] = [split.sizes for split in splits]
    return told


TASKS: dict[str, Measurement] = {
    "validation": Measurement(partial(ranking, lambda here: here.held), ("count-distance", "re-ranker")),
    "products": Measurement(
        partial(ranking, lambda here: here.products),
        ("atom-counts", "count-distance", "count-distance-reagents", "re-ranker"),
    ),
    "products-anew": Measurement(anew, ()),
    "reactants": Measurement(
        partial(ranking, lambda here: here.reactants), ("atom-counts", "count-distance", "re-ranker")
    ),
    "questions": Measurement(partial(ranking, lambda here: here.questions), ("atom-counts", "count-distance")),
    "edit-distance": Measurement(edit_distance, ("counts-mean", "counts-svr", "counts-boosted", "random-network")),
}

"""Ranking of products, of reactants (retrosynthesis), and 16 multiple-choice questions: the free rows of each.

    python benchmarks/rank_products.py [products] [reactants] [questions] [--queries 2000] [--output results/molr]
    python benchmarks/rank_products.py products --model contrast=ENCODER --seed 0 --output results/molr

products: USPTO-MIT, every reaction of the test part against all products of that part. reactants: USPTO-50k, every
product of the test part against all its sets of reactants. The ranker learns from other parts: from the valid part of
USPTO-MIT, where 27,000 reactions train and 3,000 are left to validate a model by, and from the train part of USPTO-50k.

    python benchmarks/rank_products.py --train train.csv
    tetramer pretrain molr train.csv --output ENCODER

With --train the 27,000 reactions are written that a model may learn from. With --model (an encoder of `tetramer
pretrain molr`) the rows are those of the models alone.

A row is one JSON file; intervals (95 %) come from drawing queries again.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from tetramer.benchmark import reranking
from tetramer.benchmark.free_ranking import FREE
from tetramer.benchmark.learned_ranking import learned as learned_scores
from tetramer.benchmark.ranking import HITS, Pool, Scores, ranked, summary
from tetramer.benchmark.reaction_sets import (
    Task,
    drawn,
    part_texts,
    pools,
    products,
    questions,
    reactant_sets,
    read_part,
)
from tetramer.benchmark.row import machine
from tetramer.modelling import versions
from tetramer.molecules import Limits
from tetramer.molecules.sides import Sides
from tetramer.ranking import load_ranker
from tetramer.views.tallies import Tallies, tallies


class Part:
    """One part of a public set, read once."""

    def __init__(self, name: str, part: str, limits: Limits) -> None:
        print(f"reading {name}, {part}", file=sys.stderr)
        self.name, self.part = name, part
        self.sides, self.sha256 = read_part(name, [part], limits)

    @cached_property
    def tallies(self) -> Tallies:
        """Counts of all its molecules."""
        return tallies(self.sides.smiles)

    def about(self) -> dict[str, Any]:
        """What a row says of it."""
        return {
            "data": self.name,
            "part": self.part,
            "data_sha256": self.sha256,
            "reactions": len(self.sides),
            "readable": int(self.sides.ok.sum()),
        }


Row = tuple[str, Task, dict[str, Pool], Scores, dict[str, Any]]  # name, task, pools, scores, what else is to be said


def some(sides: Sides, count: int | None) -> np.ndarray | None:
    """`count` reactions drawn with seed 0; None: all."""
    rows = np.flatnonzero(sides.ok)
    return None if count is None else np.random.default_rng(0).choice(rows, min(count, len(rows)), replace=False)


def free(task: Task, counts: Tallies, about: dict[str, Any]) -> Iterator[Row]:
    """The rows that learn nothing."""
    offered = pools(task, counts.elements)
    for name, scores in FREE.items():
        yield name, task, offered, scores(task, counts), about


def models(
    named: list[str], task: Task, part: Part, limits: Limits, ending: str = "", backwards: bool = False
) -> Iterator[Row]:
    """A row for each NAME=DIR."""
    offered = pools(task, part.tallies.elements)
    for text in named:
        name, _, folder = text.partition("=")
        ranker = load_ranker(Path(folder))
        card = ranker.card
        about = {"corpus": card["corpus"], "overrides": card["overrides"], "steps": card["steps"]}
        yield name + ending, task, offered, learned_scores(ranker, task, backwards, limits), part.about() | about


def of_products(asked: argparse.Namespace, limits: Limits) -> Iterator[Row]:
    """USPTO-MIT.

    A model's row is one more `yield`: with vectors (S, D) of `task.smiles` its scores are
    `distances(*task.summed(vectors))`, or any function of the numbers of queries; task and pools are the same.
    """
    test, valid = Part("uspto-mit", "test", limits), Part("uspto-mit", "valid", limits)
    rows = some(test.sides, asked.queries)
    task, split = products(test.sides, rows), drawn(len(valid.sides))
    if asked.model:
        held = products(valid.sides, split.valid, np.arange(len(valid.sides)))
        yield from models(asked.model, held, valid, limits, ending="-valid")
        yield from models(asked.model, task, test, limits)
        return
    yield from free(task, test.tallies, test.about())
    kept = products(test.sides, rows, reagents=True)
    offered = pools(kept, test.tallies.elements)
    yield "count-distance-reagents", kept, offered, FREE["count-distance"](kept, test.tallies), test.about()
    lists = products(valid.sides, split.train[: asked.lists], np.arange(len(valid.sides)))
    ranker = reranking.train(lists, valid.tallies)
    about = learned(valid, len(lists.answers)) | {"split": split.name, "split_sha256": split.sha256}
    held = products(valid.sides, split.valid, np.arange(len(valid.sides)))
    near = pools(held, valid.tallies.elements)
    yield "re-ranker-valid", held, near, reranking.reranked(ranker, held, valid.tallies), valid.about() | about
    offered = pools(task, test.tallies.elements)
    yield "re-ranker", task, offered, reranking.reranked(ranker, task, test.tallies), test.about() | about


def of_reactants(asked: argparse.Namespace, limits: Limits) -> Iterator[Row]:
    """USPTO-50k, as published."""
    test, train = Part("uspto-50k", "test", limits), Part("uspto-50k", "train", limits)
    task = reactant_sets(test.sides, some(test.sides, asked.queries))
    if asked.model:
        yield from models(asked.model, task, test, limits, backwards=True)
        return
    yield from free(task, test.tallies, test.about())
    lists = reactant_sets(train.sides, some(train.sides, asked.lists))
    ranker = reranking.train(lists, train.tallies)
    about = test.about() | learned(train, len(lists.answers))
    offered = pools(task, test.tallies.elements)
    yield "re-ranker", task, offered, reranking.reranked(ranker, task, test.tallies), about


def of_questions(asked: argparse.Namespace, limits: Limits) -> Iterator[Row]:
    """The choices of each question, and nothing else."""
    task, choices = questions(limits)
    counts = tallies(task.smiles)
    for text in asked.model:
        name, _, folder = text.partition("=")
        scores = learned_scores(load_ranker(Path(folder)), task, limits=limits)
        yield name, task, {"choices": choices}, scores, {"data": "real-reactions"}
    if not asked.model:
        for name, made in FREE.items():
            yield name, task, {"choices": choices}, made(task, counts), {"data": "real-reactions"}


def learned(part: Part, lists: int) -> dict[str, Any]:
    """What a row says of what it has learned from."""
    return {"learned_from": f"{part.name}, {part.part}", "learned_sha256": part.sha256, "lists": lists}


TASKS: dict[str, Callable[[argparse.Namespace, Limits], Iterator[Row]]] = {
    "products": of_products,
    "reactants": of_reactants,
    "questions": of_questions,
}


def measured(what: str, row: Row, seed: int = 0) -> dict[str, Any]:
    """A finished row."""
    name, task, offered, scores, about = row
    began = process_time()
    hits = (1, 2) if what == "questions" else HITS
    told = {pool: summary(ranks, seed, hits) for pool, ranks in ranked(scores, task.answers, offered).items()}
    size = {"queries": len(task.answers), "candidates": task.candidates.shape[0]}
    cost = {"cpu_seconds": round(process_time() - began, 1), "machine": machine(), "versions": versions()}
    words = [re.sub(r"=.*/", "=", word) for word in sys.argv]  # of a folder its name alone
    command = shlex.join(["python", *words])
    return (
        {"study": f"rank-{what}", "row": name, "seed": seed}
        | about
        | size
        | {"pools": told}
        | cost
        | {"command": command}
    )


def show(row: dict[str, Any]) -> None:
    """A line a pool."""
    for pool, told in row["pools"].items():
        numbers = {name: cell[0] for name, cell in told.items() if isinstance(cell, list)}
        values = "".join(f"{name:>7} {value:.{1 if name == 'mr' else 4}f}" for name, value in numbers.items())
        print(f"{row['study']:<16}{row['row']:<26}{pool:<12}{told.get('pool_mean', 1):>9.1f}{values}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; all if none is named")
    parser.add_argument("--queries", type=int, help="so many drawn at random instead of all")
    parser.add_argument("--lists", type=int, default=27_000, help="queries that the ranker learns from, at most")
    parser.add_argument("--model", action="append", default=[], help="NAME=DIR, as often as there are models")
    parser.add_argument("--seed", type=int, default=0, help="of the model, for the name of its row")
    parser.add_argument("--workers", type=int, default=0, help="processes that read the reactions; 0: this one")
    parser.add_argument("--output", type=Path, help="folder for the rows as JSON")
    parser.add_argument("--train", type=Path, help="CSV file for the reactions to learn from; nothing else is done")
    asked = parser.parse_args()
    if asked.train:
        texts = part_texts("uspto-mit", ["valid"])
        rows = [texts[row] for row in np.sort(drawn(len(texts)).train)]
        asked.train.write_text("\n".join(["reaction_smiles", *rows]) + "\n")
        return
    for what in asked.tasks or TASKS:
        for row in TASKS[what](asked, Limits(asked.workers)):
            done = measured(what, row, asked.seed)
            show(done)
            if asked.output:
                asked.output.mkdir(parents=True, exist_ok=True)
                place = asked.output / f"{done['study']}-{done['row']}-{done['seed']}.json"
                place.write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__":
    main()

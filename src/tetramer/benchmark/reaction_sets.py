"""Reactions as a ranking: which molecules ask, which are candidates, which candidate is right.

The maps of a file decide, while it is read, which molecules are reactants (`molecules.sides`). From there on nothing
sees them: a `Task` is made of canonical SMILES and of who stands on which side.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from tetramer.benchmark.ranking import Pool, everything
from tetramer.datasets import sources
from tetramer.datasets.partitions import Split, split_of
from tetramer.errors import UserError
from tetramer.members.ridge import Matrix
from tetramer.molecules import Limits
from tetramer.molecules.reactions import PRODUCT, REACTANT, REAGENT, columns_of, text_of
from tetramer.molecules.sides import Sides, read_reactions

NEAR = 2  # heavy atoms by which a candidate of the pool "near" may differ from the right one
HELD = 3_000  # reactions of the valid part that validate
SEED = 0  # of their draw


@dataclass(frozen=True)
class Task:
    """Q queries and C different candidates, each a set of molecules. Nothing here depends on atom maps."""

    smiles: list[str]  # (S) canonical
    queries: sparse.csr_array  # (Q, S) float64, how often each molecule stands in the query
    candidates: sparse.csr_array  # (C, S) float64, 1 for each molecule of the candidate
    answers: np.ndarray  # (Q,) int64 the right candidate
    rows: np.ndarray  # (Q,) int64 the reaction that the query is of

    def summed(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """What molecules x (S, D) add up to: queries (Q, D), candidates (C, D)."""
        return self.queries @ x, self.candidates @ x

    @cached_property
    def named(self) -> list[frozenset[str]]:
        """The molecules of each candidate, by which those of two tasks are compared."""
        held = zip(self.candidates.indptr, self.candidates.indptr[1:], strict=False)
        return [frozenset(self.smiles[k] for k in self.candidates.indices[one:two]) for one, two in held]

    def copies(self, rows: np.ndarray) -> np.ndarray:
        """(b, C) bool: candidates whose molecules all stand in the query, for the queries `rows` (b,)."""
        there = self.queries[rows]
        there.data[:] = 1
        members, size = self._members
        return np.asarray((there @ members).toarray() == size)

    @cached_property
    def _members(self) -> tuple[sparse.csr_array, np.ndarray]:
        """The candidates of each molecule (S, C), and how many molecules a candidate has (C,)."""
        return sparse.csr_array(self.candidates.T), np.asarray(self.candidates.sum(axis=1)).ravel()


def products(
    sides: Sides, asked: np.ndarray | None = None, among: np.ndarray | None = None, reagents: bool = False
) -> Task:
    """Which product do these reactants give? Candidates are the products of the reactions `among`, equal ones merged.

    asked, among: numbers of reactions, all that could be read if None; `asked` stands within `among`. A query has the
    molecules that give an atom to the product, as often as the text names them; with `reagents` the others too.
    """
    return _task(sides, (REACTANT, REAGENT) if reagents else (REACTANT,), (PRODUCT,), asked, among)


def reactant_sets(sides: Sides, asked: np.ndarray | None = None, among: np.ndarray | None = None) -> Task:
    """Retrosynthesis: which reactants give this product? As `products`, with the sides exchanged."""
    return _task(sides, (PRODUCT,), (REACTANT,), asked, among)


def _task(
    sides: Sides, given: Sequence[int], wanted: Sequence[int], asked: np.ndarray | None, among: np.ndarray | None
) -> Task:
    readable = np.flatnonzero(sides.ok)
    among = readable if among is None else np.intersect1d(among, readable)
    asked = among if asked is None else np.intersect1d(asked, among)
    target = _incidence(sides, wanted)
    target.data[:] = 1  # equal molecules of a candidate count once, as in `Reaction.key`
    names = [target.indices[one:two].tobytes() for one, two in zip(target.indptr, target.indptr[1:], strict=False)]
    seen: dict[bytes, int] = {}
    right = {row: seen.setdefault(names[row], len(seen)) for row in among.tolist()}
    first = dict(zip(reversed(right.values()), reversed(right), strict=True))  # candidate → its first reaction
    return Task(
        smiles=sides.smiles,
        queries=_incidence(sides, given)[asked],
        candidates=target[np.array([first[number] for number in range(len(seen))], np.int64)],
        answers=np.array([right[row] for row in asked.tolist()], np.int64),
        rows=asked,
    )


def _incidence(sides: Sides, roles: Sequence[int]) -> sparse.csr_array:
    """(n, S) float64, how often each molecule has one of the roles in each reaction."""
    there = np.isin(sides.role, roles)
    told = (np.ones(there.sum()), (sides.row[there], sides.molecule[there]))
    out = sparse.csr_array(sparse.coo_array(told, shape=(len(sides), len(sides.smiles))))
    out.sum_duplicates()
    return out


def pools(task: Task, elements: sparse.csr_array) -> dict[str, Pool]:
    """Which candidates take part, by name. elements: (S, 119) atoms of each molecule, hydrogens included.

    full: all. near: up to NEAR heavy atoms more or fewer than the right one, which includes all of its formula.
    isomers: the formula of the right one, without charge. no-copies: all but sets of molecules that stand in the query.
    """
    atoms = (task.candidates @ elements).toarray()
    heavy = (atoms.sum(axis=1) - atoms[:, 1]).astype(np.int32)
    formula = np.unique(atoms, axis=0, return_inverse=True)[1].ravel()

    def near(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(heavy - heavy[task.answers[rows]][:, None]) <= NEAR)

    def isomers(rows: np.ndarray) -> np.ndarray:
        return np.asarray(formula == formula[task.answers[rows]][:, None])

    def new(rows: np.ndarray) -> np.ndarray:
        return ~task.copies(rows)

    return {"full": everything, "near": near, "isomers": isomers, "no-copies": new}


def read_part(
    name: str, parts: Sequence[str], limits: Limits | None = None, most: int | None = None
) -> tuple[Sides, str]:
    """The first `most` reactions of some parts, in the order of `parts`, and the SHA-256 of their texts."""
    texts = part_texts(name, parts)[:most]
    return read_reactions(texts, limits=limits), hashlib.sha256("\n".join(texts).encode()).hexdigest()


def part_texts(name: str, parts: Sequence[str]) -> list[str]:
    """The texts of some parts of a public set. name: of SOURCES, with a column `split`"""
    table = sources.load(name)
    columns = columns_of(table.columns)
    if not columns or "split" not in table.columns:
        raise UserError(
            f"{name!r} has no reactions with a split; it has the columns {', '.join(table.columns)}. "
            "Take uspto-mit, uspto-15k or uspto-50k."
        )
    split = table.data["split"].to_pylist()
    cells = zip(*(table.data[column].to_pylist() for column in columns), strict=True)
    by_part: dict[str, list[str]] = {part: [] for part in parts}
    for part, row in zip(split, cells, strict=True):
        if part in by_part:
            by_part[part].append(text_of(["" if cell is None else cell for cell in row]))
    return [text for part in parts for text in by_part[part]]


def drawn(count: int, held: int | None = None, seed: int = SEED) -> Split:
    """Which of `count` reactions of a valid part train (27,000 of 30,000) and which `held` validate; none tests."""
    held = min(HELD, count // 10) if held is None else held
    order = np.random.Generator(np.random.Philox(seed)).permutation(count)
    return split_of(f"uspto-valid-{seed}", order[held:], order[:held], order[:0])


def questions(limits: Limits | None = None) -> tuple[Task, Pool]:
    """The 16 multiple-choice questions of MolR, and the pool in which each has its own four or five choices only."""
    table = sources.load("real-reactions")
    rows = table.data.to_pylist()
    choices = [name for name in table.columns if name.startswith("choice_")]
    asked = [(number, name) for number, row in enumerate(rows) for name in choices if row[name]]
    texts = [text_of([rows[number]["reactant"], rows[number][name]]) for number, name in asked]
    sides = read_reactions(texts, limits=limits)
    right = [place for place, (number, name) in enumerate(asked) if name == f"choice_{rows[number]['answer']}"]
    every, task = products(sides), products(sides, np.array(right), np.arange(len(sides)))
    offered = np.zeros((len(rows), task.candidates.shape[0]), bool)
    offered[[asked[row][0] for row in every.rows.tolist()], every.answers] = True
    offered = offered[[asked[row][0] for row in task.rows.tolist()]]
    return task, lambda numbers: offered[numbers]

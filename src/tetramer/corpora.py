"""What encoders are pretrained on, as columns of which any rows make a batch: molecules, or reactions.

texts ──read──▶ Corpus (rows, and what each is a row of) ──held back──▶ rows to learn from ──Data──▶ batches
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from scipy.sparse import csr_array

from tetramer.datasets.placed import texts_for
from tetramer.datasets.reactions import reactions
from tetramer.datasets.tables import Table
from tetramer.members.base import usable
from tetramer.members.work import Progress
from tetramer.molecules import Limits, sides
from tetramer.molecules.decoys import decoys_of, isomeric
from tetramer.molecules.reactions import PRODUCT, REACTANT, REAGENT
from tetramer.objectives import Sample
from tetramer.reading import read_into
from tetramer.training import Data
from tetramer.views import Reader, motifs
from tetramer.views.base import Features, concat, gather, offsets
from tetramer.views.graph import GraphFeatures
from tetramer.views.pieces import formulas, neighbourhoods

NEAR = 32  # rows that are kept as the most alike of each
WITHIN = 4096  # rows of about one size among which they are sought
WORDS = {"molecules": ("structures", "molecule", "rows"), "reactions": ("reactions", "product", "reactions")}
"""Words for the rows of a corpus, for what is held back as a whole, and again for rows."""


def nobody() -> np.ndarray:
    """(0, 0), no row is like any other."""
    return np.zeros((0, 0), np.int64)


class Content(NamedTuple):
    """What m rows are made of."""

    counts: csr_array  # (m, E) atoms with their neighbours
    formula: np.ndarray  # (m,) equal for isomers
    size: np.ndarray  # (m,) atoms

    def of(self, rows: np.ndarray) -> Self:
        """That of some rows."""
        return type(self)(self.counts[rows], self.formula[rows], self.size[rows])


@dataclass(frozen=True, kw_only=True)
class MoleculeData(Data):
    """Molecules as rows, each with others that are like it."""

    number: np.ndarray  # (n,) int64, equal for rows that are not to be told apart: one molecule, or one product
    near: np.ndarray = field(default_factory=nobody)  # (n, K) isomers, then others, the most alike first; -1: none
    isomers: np.ndarray = field(default_factory=nobody)  # (n,) how many of them are isomers
    negatives: int = 0  # how many of them come into a batch with each row
    made: np.ndarray = field(default_factory=nobody)  # (n, K) decoys of each, which come into its batches; -1: none

    def sample(
        self,
        rows: np.ndarray,
        views: tuple[str, ...],
        rng: np.random.Generator | None = None,
        others: tuple[str, ...] = (),
    ) -> Sample:
        """The molecules `rows` (B,), then others that are like them."""
        chosen = np.concatenate([rows, self.alike(rows, rng)])
        made = super().sample(chosen, views, rng, others)
        return made._replace(groups={"molecule": torch.from_numpy(self.number[chosen])}, own=len(rows))

    def alike(self, rows: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """(C,) other rows that are hard to tell from `rows`: isomers, where they are too few near ones, and decoys.

        Isomers and near ones are drawn with `rng`, or the most alike.
        """
        told = [np.zeros(0, np.int64)]
        if self.negatives and self.near.size:
            near, place = self.near[rows], np.arange(self.near.shape[1])
            turn = place if rng is None else rng.permutation(len(place))
            turn = turn + len(place) * np.add(place >= self.isomers[rows, None], near < 0, dtype=np.int64)
            told.append(np.take_along_axis(near, turn.argsort(axis=1)[:, : self.negatives], 1).reshape(-1))
        if self.made.size:
            told.append(self.made[rows].reshape(-1))
        others = np.unique(np.concatenate(told))
        return np.setdiff1d(others[others >= 0], rows)

    def molecules(self, rows: np.ndarray) -> np.ndarray:
        """Rows of `features` that the rows are made of."""
        return rows

    def content(self) -> Content:
        """What the rows are made of."""
        graph = self.features["graph"]
        assert isinstance(graph, GraphFeatures)
        return Content(neighbourhoods(graph), formulas(graph), np.diff(graph.atom_starts))

    def with_decoys(
        self,
        names: Sequence[str],
        rows: np.ndarray,
        count: int,
        swaps: int,
        reader: Reader,
        limits: Limits,
        parts: Path,
        progress: Progress,
    ) -> Self:
        """The same with up to `count` decoys and `swaps` of each of `rows`, as further rows of the features.

        A swap has one motif of the others of `rows` in place of its own. names: (n) canonical SMILES; none of them
        becomes a decoy, since it may be held back
        """
        if not count + swaps:
            return self
        known, place = set(names), dict[str, int]()
        made = np.full((len(names), count + swaps), -1)
        asked = [names[row] for row in rows.tolist()]

        def show(done: int) -> None:
            progress("decoys", done / len(rows))

        isomers = isomers_of(asked, reader) if swaps else None
        told = decoys_of(asked, count, limits, show, swaps, isomers)
        for row, some in zip(rows.tolist(), told, strict=True):
            for column, text in enumerate(text for text in some if text not in known):
                made[row, column] = len(names) + place.setdefault(text, len(place))
        if not place:
            return self
        further = read_molecules(list(place), tuple(self.features), reader, limits, parts, progress)
        made[np.isin(made, len(names) + np.flatnonzero(~further.good))] = -1
        features = {view: concat([own, further.data.features[view]]) for view, own in self.features.items()}
        return replace(self, features=features, number=numbered([*names, *place]), made=made)

    def with_near(self, train: np.ndarray, held: np.ndarray, negatives: int) -> Self:
        """The same, knowing for each of `train` the most alike of `train`, and for each of `held` those of both."""
        if not negatives:
            return self
        content, near = self.content(), np.full((len(self.number), NEAR), -1)
        isomers = np.zeros(len(near), np.int64)
        for rows in (np.concatenate([train, held]), train):  # those of `train` are told anew, without those of `held`
            near[rows], isomers[rows] = nearest(content.of(rows), self.number[rows], rows)
        return replace(self, near=near, isomers=isomers, negatives=negatives)


@dataclass(frozen=True, kw_only=True)
class ReactionData(MoleculeData):
    """Reactions as rows; row r of `features` is molecule r, each different one once.

    Entries cut[i] to cut[i + 1] are the molecules of reaction i: reactants and products, without reagents.
    """

    cut: np.ndarray  # (n + 1,)
    molecule: np.ndarray  # (E,) row of `features`
    role: np.ndarray  # (E,) REACTANT or PRODUCT
    survives: np.ndarray  # (A,) int8 of every atom of every entry: 1 a product has it, 0 none has, -1 nobody knows
    survival_starts: np.ndarray  # (E + 1,)

    def sample(
        self,
        rows: np.ndarray,
        views: tuple[str, ...],
        rng: np.random.Generator | None = None,
        others: tuple[str, ...] = (),
    ) -> Sample:
        """Both sides of the reactions `rows` (B,), then the products of others that are like theirs."""
        chosen = np.concatenate([rows, self.alike(rows, rng)])
        at, counts = gather(self.cut, chosen)
        reaction = np.repeat(np.arange(len(chosen)), counts)
        kept = (reaction < len(rows)) | (self.role[at] == PRODUCT)
        at, reaction = at[kept], reaction[kept]
        atoms, _ = gather(self.survival_starts, at)
        groups = {
            "molecule": self.molecule[at],
            "reaction": reaction,
            "role": self.role[at],
            "product": self.number[chosen],
            "reactants": self.reactants[chosen],
            "survives": self.survives[atoms],
        }
        made = Data.sample(self, self.molecule[at], views, rng, others)
        told = {name: torch.from_numpy(cells) for name, cells in groups.items()}
        return made._replace(groups=told, own=int((reaction < len(rows)).sum()))

    @cached_property
    def reactants(self) -> np.ndarray:
        """(n,) int64, equal for reactions with the same reactants."""
        given = np.flatnonzero(self.role == REACTANT)
        cut = np.searchsorted(given, self.cut)
        return numbered([one.tobytes() for one in np.split(self.molecule[given], cut[1:-1])])

    def molecules(self, rows: np.ndarray) -> np.ndarray:
        """Different molecules of both sides."""
        return np.unique(self.molecule[gather(self.cut, rows)[0]])

    def content(self) -> Content:
        """What the products are made of."""
        made = np.flatnonzero(self.role == PRODUCT)  # (P,) entries
        owner, of = np.repeat(np.arange(len(self.number)), np.diff(self.cut))[made], self.molecule[made]
        told = super().content()
        there = csr_array((np.ones(len(made)), (owner, of)), shape=(len(self.number), len(told.size)))
        formula = np.zeros(len(self.number), np.uint64)
        np.add.at(formula, owner, told.formula[of])
        return Content(csr_array(there @ told.counts), formula, (there @ told.size).astype(np.int64))


@dataclass(frozen=True)
class Corpus:
    """n rows that can be learned from, or not."""

    data: MoleculeData
    names: list[str]  # (n) rows of one name lie on one side of what is held back
    codes: list[str]  # (n) "ok…", or why a row is not used
    good: np.ndarray  # (n,) bool

    def __len__(self) -> int:
        return len(self.names)


def nearest(content: Content, name: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, NEAR) members of `rows` most alike to each and of another name, -1: none; (m,) how many of them are isomers.

    name, rows: (m,)

    Isomers come first, then the others, each by the Euclidean distance of counts. They are sought among rows of about
    the same size, isomers beside each other, so that the work grows with m and not with its square.
    """
    told, isomers = np.full((len(rows), NEAR), -1), np.zeros(len(rows), np.int64)
    counts, formula, size = content
    square = np.asarray(counts.multiply(counts).sum(1)).reshape(-1)
    first = square.max(initial=0) * 4 + 1  # more than any squared distance
    order = np.lexsort((formula, size))
    step = WITHIN // 2
    for place in range(0, len(order), step):
        low = max(0, min(place - step // 2, len(order) - WITHIN))
        these, among = order[place : place + step], order[low : low + WITHIN]
        apart = square[these][:, None] + square[among][None, :] - 2 * (counts[these] @ counts[among].T).toarray()
        apart[formula[these][:, None] == formula[among][None, :]] -= first
        apart[name[these][:, None] == name[among][None, :]] = np.inf
        most = min(NEAR, len(among))
        chosen = np.argpartition(apart, most - 1, axis=1)[:, :most]
        found = np.take_along_axis(apart, chosen, 1)
        sort = np.argsort(found, axis=1, kind="stable")
        chosen, found = (np.take_along_axis(cells, sort, 1) for cells in (chosen, found))
        told[these, :most] = np.where(np.isfinite(found), rows[among[chosen]], -1)
        isomers[these] = (found < 0).sum(1)
    return told, isomers


def read_molecules(
    texts: list[str], views: Sequence[str], reader: Reader, limits: Limits, parts: Path, progress: Progress
) -> Corpus:
    """One molecule a row; rows of one canonical SMILES have one name."""
    if not texts:
        return Corpus(MoleculeData({}, number=np.zeros(0, np.int64)), [], [], np.zeros(0, bool))
    reading = read_into(parts, reader, texts, views, progress)
    good = usable(reading.features, views, np.arange(len(reading)))
    data = MoleculeData(with_units(reading.features), number=numbered(reading.smiles))
    return Corpus(data, reading.smiles, reading.statuses(good)[0], good)


def read_reactions(
    texts: list[str], views: Sequence[str], reader: Reader, limits: Limits, parts: Path, progress: Progress
) -> Corpus:
    """One reaction a row; reactions to the same products have one name. One needs every view of all its molecules."""

    def show(done: int) -> None:
        progress("reactions", done / max(1, len(texts)))

    told = sides.read_reactions(texts, reader.standard, limits, show)
    kept = told.role != REAGENT
    needed, molecule = np.unique(told.molecule[kept], return_inverse=True)
    smiles = [told.smiles[one] for one in needed.tolist()]
    codes, good = np.array(told.codes, dtype=object), told.ok
    features: dict[str, Features] = {}
    if smiles:
        reading = read_into(parts, reader, smiles, views, progress)
        features, there = reading.features, usable(reading.features, views, np.arange(len(reading)))
        lost = told.row[kept][~there[molecule]]
        codes[lost], good[lost] = np.array(reading.statuses(there)[0], dtype=object)[molecule[~there[molecule]]], False
    atoms, sizes = gather(told.map_starts, np.flatnonzero(kept))
    data = ReactionData(
        with_units(features),
        number=numbered(told.keys),
        cut=np.searchsorted(told.row[kept], np.arange(len(told) + 1)),
        molecule=molecule,
        role=told.role[kept],
        survives=told.surviving()[atoms],
        survival_starts=offsets(sizes),
    )
    return Corpus(data, told.keys, codes.tolist(), good)


def numbered(names: Sequence[Hashable]) -> np.ndarray:
    """(n,) int64, equal for equal names."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], np.int64)


def isomers_of(smiles: Sequence[str], reader: Reader) -> dict[str, list[str]]:
    """`isomeric` of the motifs of all molecules."""
    made = reader.read(list(smiles), ("motifs",)).features["motifs"]
    assert isinstance(made, motifs.MotifFeatures)
    return isomeric(kind.token for row in range(len(made)) for kind in motifs.kinds(made, row)[0])


def with_units(features: dict[str, Features]) -> dict[str, Features]:
    """The same with motifs, if there are any, as batches take them."""
    told = features.get("motifs")
    return features | {"motifs": motifs.encode(told)} if isinstance(told, motifs.MotifFeatures) else features


def texts_of(corpus: str, views: Sequence[str], table: Table, name: str | None = None) -> list[str]:
    """The text of every row of a table of molecules or of reactions; name: the column of them, None: found."""
    return texts_for(views, table, name) if corpus == "molecules" else reactions(table, name)

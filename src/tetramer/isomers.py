"""Which of two isomers a molecule is, asked of its vector by a linear head: what a sum over atoms cannot know.

Both isomers of a pair are made of the same two rings A and B, and no pair of the test part was learned from. Chance,
and whatever counts atoms, is right for one half.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations

import numpy as np

from tetramer.datasets.partitions import Split, split_of
from tetramer.members.base import BINARY
from tetramer.members.linear import linear
from tetramer.training import epoch_order

FOLDS = 5
Pairs = list[tuple[str, str]]

# Rings, written from the atom that bears the rest of the molecule
RINGS = (
    *("c1ccccc1", "c1ccc(F)cc1", "c1ccc(Cl)cc1", "c1ccc(C)cc1", "c1ccc(OC)cc1", "c1cccc(C#N)c1", "c1cc(F)cc(F)c1"),
    *("c1ccncc1", "c1cccnc1", "c1ccccn1", "c1cncnc1", "c1cnccn1", "c1ccco1", "c1ccoc1", "c1cccs1", "c1ccsc1"),
    *("c1nccs1", "c1cnn(C)c1", "c1cc[nH]n1", "c1ccc2ccccc2c1", "c1ccc2[nH]ccc2c1", "c1ccc2ncccc2c1"),
    *("C1CCCCC1", "C1CCCC1", "C1CCC1", "C1CC1", "C1CCOCC1", "C1CCOC1", "C1CCSCC1", "C1CCN(C)CC1", "C1COC1"),
)


def amides() -> Pairs:
    """A–CO–NH–B and B–CO–NH–A: the same motifs, put together in another order."""
    return [(f"O=C(N{two}){one}", f"O=C(N{one}){two}") for one, two in combinations(RINGS, 2)]


def closures() -> Pairs:
    """A ring of six that bears A and B, and one of five that is closed an atom earlier: B then sits on CH2."""
    return [(f"C9({one})CCCC({two})C9", f"C9({one})CCCC9C{two}") for one, two in combinations(RINGS, 2)]


@dataclass(frozen=True)
class Question:
    """Which isomer of its pair each molecule is."""

    name: str
    make: Callable[[], Pairs]

    @cached_property
    def smiles(self) -> list[str]:
        """(2 n) both isomers of each pair, one after the other."""
        return list(chain.from_iterable(self.make()))

    @cached_property
    def splits(self) -> list[Split]:
        """FOLDS splits of the molecules; both of a pair lie in one part, and each pair is tested once."""
        pairs = len(self.smiles) // 2
        fold = np.empty(pairs, np.int64)
        fold[epoch_order(0, 0, pairs)] = np.arange(pairs) % FOLDS
        fold = np.repeat(fold, 2)
        none = np.zeros(0, np.int64)
        return [
            split_of(f"{self.name}-{k}", np.flatnonzero(fold != k), none, np.flatnonzero(fold == k))
            for k in range(FOLDS)
        ]

    def right(self, x: np.ndarray) -> np.ndarray:
        """(n,) share of each pair's two molecules that are told right, learned from the other folds. x: (2 n, D)"""
        second = (np.arange(len(x)) % 2).astype(np.float64)[:, None]
        told = np.empty(len(x))
        for split in self.splits:
            told[split.test] = linear(x, second, split.train, split.test, BINARY)[:, 0, 0]
        return np.asarray(((told > 0.5) == (second[:, 0] == 1)).reshape(-1, 2).mean(axis=1))


QUESTIONS = {one.name: one for one in (Question("amide", amides), Question("ring", closures))}


def accuracy(right: np.ndarray) -> tuple[float, float, float]:
    """Mean over pairs, and its 95 % interval by the normal approximation, within 0 and 1. right: (n,)"""
    mean, half = float(right.mean()), 1.96 * float(right.std(ddof=1)) / len(right) ** 0.5
    return mean, max(0.0, mean - half), min(1.0, mean + half)

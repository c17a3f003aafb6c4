"""Motifs → numbers: a vocabulary that is learned on training molecules, and what becomes of motifs it does not hold.

An unseen motif is split into its pieces; a piece that is unseen too becomes the class of its rings, or one unit an atom
where it is part of a chain. Only rings of a class that no training molecule had are unknown. Nothing is dropped.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import rdkit

from tetramer.errors import UserError
from tetramer.molecules.motifs import Kind, Partition, Piece

FORMAT = 1
PAD, UNKNOWN, ATOM = 0, 1, 2  # numbers; ATOM + Z is an atom of element Z alone
FIRST = ATOM + 119  # number of the first motif
ATOMS = -1  # in place of a number: the piece falls into its atoms


class Coverage(NamedTuple):
    """What became of the motifs of some molecules: how many there were, and which part of them needed what."""

    motifs: int
    unseen: int  # not in the vocabulary as a whole
    classed: int  # of these: with a piece of which only the class of its rings is known
    unknown: int  # of these: with a piece of which nothing is known


@dataclass(frozen=True)
class Vocabulary:
    """Motifs with a number of their own, the most frequent first, then the classes of rings in the same order."""

    motifs: tuple[str, ...] = ()
    occurrences: tuple[int, ...] = ()  # in the training molecules
    molecules: tuple[int, ...] = ()  # training molecules that hold it
    rings: tuple[str, ...] = ()
    merges: tuple[str, ...] = ()  # unions of neighbouring motifs that were learned, in order
    rdkit: str = rdkit.__version__  # another version may write another SMILES

    def __len__(self) -> int:
        """How many numbers there are, the reserved ones among them."""
        return FIRST + len(self.motifs) + len(self.rings)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of every motif and of every class of rings."""
        return {name: FIRST + place for place, name in enumerate((*self.motifs, *self.rings))}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all of it; a model that was trained with another vocabulary must not be used with this one."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def note(self) -> str:
        """What to say of a vocabulary that another version of RDKit learned; "" of one of this version."""
        if self.rdkit == rdkit.__version__:
            return ""
        return (
            f"The vocabulary was learned with RDKit {self.rdkit}, and this is {rdkit.__version__}, which may write "
            "some motifs in another way: these count as unseen. Learn it again."
        )

    def fallback(self, piece: Piece) -> int:
        """Number of a piece of an unseen motif; ATOMS where its atoms stand alone."""
        if piece.token in self.numbers:
            return self.numbers[piece.token]
        return self.numbers.get(piece.ring, UNKNOWN) if piece.ring else ATOMS

    def encode(self, told: Partition, elements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`units` of a partition of n atoms with these atomic numbers (n,)."""
        piece, pieces = told.pieces
        return self.units(told.motif, piece, told.tokens, [one for _, one in pieces], elements)

    def units(
        self,
        motif: np.ndarray,
        piece: np.ndarray,
        tokens: Sequence[str],
        pieces: Sequence[Piece],
        elements: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The unit of each atom (n,), and the number of each unit (U,) in this vocabulary; units by their first atoms.

        motif, piece: (n,) which of M tokens and of P pieces an atom belongs to   elements: (n,) atomic numbers
        """
        whole = np.array([self.numbers.get(token, ATOMS) for token in tokens], np.int64)
        part = np.array([self.fallback(one) for one in pieces], np.int64)
        atom = np.arange(len(motif))
        number = np.select([whole[motif] >= 0, part[piece] >= 0], [whole[motif], part[piece]], ATOM + elements)
        owner = np.select(
            [whole[motif] >= 0, part[piece] >= 0], [motif, len(whole) + piece], len(whole) + len(part) + atom
        )
        _, first, unit = np.unique(owner, return_index=True, return_inverse=True)
        order = np.argsort(first)
        return np.argsort(order)[unit.reshape(-1)], number[first[order]]

    def coverage(self, rows: Iterable[Sequence[Kind]]) -> Coverage:
        """How well the vocabulary covers other molecules, each given by its motifs."""
        told = np.zeros(4, np.int64)
        for kind in (kind for row in rows for kind in row):
            unseen = kind.token not in self.numbers
            classes = {self.fallback(piece) for piece in kind.pieces} if unseen else set()
            ringed = any(number >= FIRST + len(self.motifs) for number in classes)
            told += [1, unseen, ringed, UNKNOWN in classes]
        return Coverage(*told.tolist())

    def to_json(self) -> str:
        """Plain text that `from_json` reads."""
        return json.dumps({"format": FORMAT, "hash": self.hash, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The vocabulary that was written. UserError if the text is none, or was altered."""
        try:
            told = json.loads(text)
            known, named = told.pop("format"), told.pop("hash")
            cells: dict[str, Any] = {
                name: tuple(cell) if isinstance(cell, list) else cell for name, cell in told.items()
            }
            made = cls(**cells)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"This is no vocabulary of motifs ({error}). Learn it again.") from error
        if known != FORMAT or made.hash != named:
            raise UserError("This vocabulary of motifs was altered, or is of another version. Learn it again.")
        return made

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        made = path.with_name(f".{path.name}.tmp")
        made.write_text(self.to_json(), encoding="utf-8")
        made.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        return cls.from_json(path.read_text(encoding="utf-8"))


def learn(rows: Iterable[Sequence[Kind]], least: int | None = None, merges: Sequence[str] = ()) -> Vocabulary:
    """The vocabulary of training molecules, each given by its motifs; their order does not matter.

    least: occurrences that a motif needs [default: 10 from 100,000 molecules on, else 2]. Motifs with fewer are
    counted by their pieces. A class of rings is kept if any training molecule has it.
    """
    kept = [tuple(row) for row in rows]
    least = least or (10 if len(kept) >= 100_000 else 2)
    often = Counter(kind.token for row in kept for kind in row)
    names = [
        [
            token
            for kind in row
            for token in ([kind.token] if often[kind.token] >= least else [piece.token for piece in kind.pieces])
        ]
        for row in kept
    ]
    occurrences = Counter(name for row in names for name in row)
    molecules = Counter(name for row in names for name in set(row))
    rings = Counter(piece.ring for row in kept for kind in row for piece in kind.pieces if piece.ring)
    order = sorted((name for name, count in occurrences.items() if count >= least), key=lambda n: (-occurrences[n], n))
    return Vocabulary(
        motifs=tuple(order),
        occurrences=tuple(occurrences[name] for name in order),
        molecules=tuple(molecules[name] for name in order),
        rings=tuple(sorted(rings, key=lambda name: (-rings[name], name))),
        merges=tuple(merges),
    )

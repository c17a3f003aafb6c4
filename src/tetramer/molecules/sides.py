"""Many reactions as columns: which molecule stands on which side of which reaction, read in worker processes.

text ──parse_reaction──▶ Reaction ──job──▶ JSON of columns ──read_reactions──▶ Sides: different molecules, once each,
and entries that say row, role and molecule. The molecules' features are then made from `Sides.smiles`, as of any table.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rdkit import rdBase

from tetramer.molecules.parse import Rejected, Standard
from tetramer.molecules.pool import Limits, answers
from tetramer.molecules.reactions import PRODUCT, REACTANT, REAGENT, Reaction, parse_reaction
from tetramer.molecules.worker import BETWEEN, serve

CHUNK = 64  # reactions in one request
UNTOLD = -1  # of an atom: no map says whether it stays
ENTRIES = ("row", "role", "molecule", "size")


@dataclass(frozen=True)
class Sides:
    """n reactions with E molecules in them; entries by reaction, then role, then SMILES."""

    smiles: list[str]  # (S) canonical, each once, in the order in which they were met
    row: np.ndarray  # (E,) int64 which reaction
    role: np.ndarray  # (E,) int64 REACTANT, REAGENT or PRODUCT
    molecule: np.ndarray  # (E,) int64 which of `smiles`
    maps: (
        np.ndarray
    )  # (A,) int64 map number of every atom in the order of its SMILES, 0: none. For training losses only
    map_starts: np.ndarray  # (E + 1,) int64
    keys: list[str]  # (n) `Reaction.key`, "" where refused
    codes: list[str]  # (n) "ok" or a refusal code
    reasons: list[str]  # (n) "" where ok

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def ok(self) -> np.ndarray:
        """(n,) bool, which rows became reactions."""
        return np.array([code == "ok" for code in self.codes], dtype=bool)

    def surviving(self) -> np.ndarray:
        """(A,) int8, 1 for atoms that stand in a product of their reaction, by the maps; UNTOLD where it has none."""
        size = np.diff(self.map_starts)
        rows, role = np.repeat(self.row, size), np.repeat(self.role, size)
        name = rows * (self.maps.max(initial=0) + 1) + self.maps
        there = (role == PRODUCT) & (self.maps > 0)
        told = np.isin(np.arange(len(self)), rows[there])  # (n,) whether a product has maps
        stays = np.isin(name, name[there]) | (role == PRODUCT)
        return np.where(told[rows], stays, UNTOLD).astype(np.int8)


def job(texts: list[str], options: dict[str, Any], tick: Callable[[int], None]) -> bytes:
    """The worker's work: columns of a chunk as JSON; molecules as SMILES."""
    standard = Standard(**options["standard"])
    told: dict[str, list[Any]] = {name: [] for name in (*ENTRIES, "maps", "keys", "codes", "reasons")}
    for row, text in enumerate(texts):
        tick(row)
        made = guarded(text, standard)
        if isinstance(made, Rejected):
            for name, word in (("keys", ""), ("codes", made.code), ("reasons", made.reason)):
                told[name].append(word)
            continue
        for name, word in (("keys", made.key), ("codes", "ok"), ("reasons", "")):
            told[name].append(word)
        for role, some in ((REACTANT, made.reactants), (REAGENT, made.reagents), (PRODUCT, made.products)):
            for one in some:
                for name, cell in zip(ENTRIES, (row, role, one.molecule.smiles, len(one.maps)), strict=True):
                    told[name].append(cell)
                told["maps"] += one.maps.tolist()
    tick(BETWEEN)
    return json.dumps(told).encode()


def guarded(text: str, standard: Standard) -> Reaction | Rejected:
    """`parse_reaction`, with a full memory as one more refusal."""
    try:
        return parse_reaction(text, standard)
    except MemoryError:
        return Rejected(text, "OOM", "more memory than one reaction may take")


def read_reactions(
    texts: Sequence[str],
    standard: Standard | None = None,
    limits: Limits | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Sides:
    """Read all texts, one row a text. One core reads 500 to 1,300 a second. `progress` hears how many are done."""
    columns: dict[str, list[Any]] = {name: [] for name in (*ENTRIES, "maps", "keys", "codes", "reasons")}
    done = 0
    options = {"standard": asdict(standard or Standard())}
    for answer, lost in answers("tetramer.molecules.sides", job, texts, CHUNK, options, limits or Limits()):
        told = json.loads(answer)
        for place, rejected in lost.items():
            told["codes"][place], told["reasons"][place] = rejected.code, rejected.reason
        told["row"] = [done + row for row in told["row"]]
        for name, cells in told.items():
            columns[name] += cells
        done += len(told["codes"])
        progress(done)
    numbers = {text: place for place, text in enumerate(dict.fromkeys(columns["molecule"]))}
    return Sides(
        smiles=list(numbers),
        row=np.array(columns["row"], np.int64),
        role=np.array(columns["role"], np.int64),
        molecule=np.array([numbers[text] for text in columns["molecule"]], np.int64),
        maps=np.array(columns["maps"], np.int64),
        map_starts=np.concatenate([[0], np.cumsum(columns["size"], dtype=np.int64)]).astype(np.int64),
        keys=columns["keys"],
        codes=columns["codes"],
        reasons=columns["reasons"],
    )


if __name__ == "__main__":
    rdBase.DisableLog("rdApp.*")
    serve(job)

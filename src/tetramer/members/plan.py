"""What is to be fitted for a model: members, the rows of each fit, and the data, written down where workers find it."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tetramer.checkpoint import pack, read_folder, unpack, write_folder
from tetramer.datasets.writing import disk_errors
from tetramer.members.base import Problem
from tetramer.members.origin import Origin
from tetramer.training import Data
from tetramer.views import VIEWS, store


@dataclass(frozen=True)
class Piece:
    """One member to fit: `group` in the blend, `fold` left out (None: fitted on all training rows)."""

    name: str
    group: str
    kind: str
    config: dict[str, Any]
    fold: int | None
    seed: int
    origin: str = ""  # SHA-256 of the weights that it may begin with; "": none


@dataclass(frozen=True)
class Plan:
    """What is to be fitted, on which rows of which data."""

    problem: Problem
    pieces: tuple[Piece, ...]
    data: Data
    fold: np.ndarray  # (n,) int64; the fold of a training row, -1 for a row that is not fitted on
    valid: np.ndarray  # (n,) bool; rows that choose a network's weights and calibrate, when there are no folds
    origin: Origin | None = None  # weights that networks begin with, where they fit

    def rows(self, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        """Rows the piece is fitted on, and rows it answers for afterwards."""
        if piece.fold is None:
            return np.flatnonzero(self.fold >= 0), np.flatnonzero(self.valid)
        return np.flatnonzero((self.fold >= 0) & (self.fold != piece.fold)), np.flatnonzero(self.fold == piece.fold)

    def beginning(self, origin: Origin | None) -> Self:
        """The plan whose networks may begin with weights of `origin`: other pieces than those without."""
        if origin is None:
            return self
        pieces = [piece if piece.kind != "neural" else replace(piece, origin=origin.sha256) for piece in self.pieces]
        return replace(self, pieces=tuple(pieces), origin=origin)

    def place(self, folder: Path, wanted: str, say: Callable[[str], None]) -> None:
        """`save`, and keep pieces that were fitted on the same rows, which have the key `wanted`.

        A piece has a key of its own besides: of other settings, it is fitted again.
        """
        note = folder / "key.txt"
        found = note.read_text() if note.is_file() else ""
        if found == wanted:
            say(f"Going on with the unfinished run in {folder}.")
        else:
            note.unlink(missing_ok=True)
            for name in ("pieces", "running"):
                shutil.rmtree(folder / name, ignore_errors=True)
        with disk_errors(folder, 0):
            folder.mkdir(parents=True, exist_ok=True)
            self.save(folder)
            note.write_text(wanted)

    def save(self, folder: Path) -> None:
        """Write the plan down, but for the features, which lie there."""
        assert self.data.values is not None and self.data.censor is not None and self.data.weight is not None  # noqa: PT018
        arrays = {
            "values": self.data.values,
            "censor": self.data.censor,
            "weight": self.data.weight,
            "fold": self.fold,
            "valid": self.valid,
        }
        told, files = (None, {}) if self.origin is None else self.origin.files()
        card = {"problem": asdict(self.problem), "pieces": [asdict(piece) for piece in self.pieces], "origin": told}
        write_folder(folder / "plan", card, files | {"data.safetensors": pack(arrays)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The plan as saved; features are mapped from the disk."""
        card, files = read_folder(folder / "plan")
        arrays = unpack(files["data.safetensors"], "plan")
        views = {view: store.get(folder / "features", view, one.FEATURES, check=False) for view, one in VIEWS.items()}
        features = {view: held for view, held in views.items() if held is not None}
        data = Data(features, arrays["values"], arrays["censor"], arrays["weight"])
        pieces = tuple(Piece(**piece) for piece in card["pieces"])
        origin = None if card["origin"] is None else Origin.from_files(card["origin"], files)
        return cls(Problem.from_card(card["problem"]), pieces, data, arrays["fold"], arrays["valid"], origin)

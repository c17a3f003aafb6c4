"""The test answers of a row, kept beside it as METHOD.answers.npz: what an interval over test molecules is drawn from.

rows (m,) numbers of the test rows; molecule (m,) equal where rows are of one molecule; known (m, T) whether a label is
known exactly; truth (c,) these labels, row by row; values (c, K) the answers to them, NaN where there is none. The same
answers give the same bytes, and nothing in the file is pickled.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError
from tetramer.metrics import Score

ENDING = ".answers.npz"
KEPT = "answers"  # field of a row that is read from its file: the path of its answers, where there are some
HASH = 16  # characters
FIELDS = ("rows", "molecule", "known", "truth", "values")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Of m test rows: truth (m, T) with NaN where no exact label is known, values (m, T, K) with NaN likewise."""

    rows: NDArray[np.int64]
    molecule: NDArray[np.int64]
    truth: Floats
    values: Floats


def beside(place: Path) -> Path:
    """Where the answers of the row at `place` lie."""
    return place.with_suffix(ENDING)


def attached(row: dict[str, Any], place: Path) -> dict[str, Any]:
    """The row with the path of its answers, where they were kept."""
    return row | {KEPT: str(beside(place))} if beside(place).is_file() else row


def packed(
    rows: NDArray[np.int64], smiles: Sequence[str], truth: Floats, censor: NDArray[np.int8], values: Floats
) -> bytes:
    """A file of answers. rows (m,), smiles (m), truth (m, T) with NaN, censor (m, T) not 0 at a bound, values (m, T, K)

    smiles: canonical; equal ones are one molecule
    """
    known = np.isfinite(truth) & (censor == 0)
    out = io.BytesIO()
    place = {text: number for number, text in enumerate(dict.fromkeys(smiles))}
    molecule = np.array([place[text] for text in smiles], np.int32)
    arrays = {"rows": rows.astype(np.int32), "molecule": molecule, "known": known}
    arrays |= {"truth": truth[known], "values": values[known]}
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def read(path: Path) -> Answers:
    """The answers of a row. UserError if the file holds none."""
    try:
        with np.load(io.BytesIO(path.read_bytes())) as told:
            rows, molecule, known, truth, values = (told[name] for name in FIELDS)
            full = np.full((*known.shape, values.shape[1]), np.nan)
            full[known] = values
            labels = np.full(known.shape, np.nan)
            labels[known] = truth
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} holds no answers of a benchmark. Remove it, and its interval is left out.") from error
    return Answers(rows.astype(np.int64), molecule.astype(np.int64), labels, full)


def cells(truth: Floats, censor: NDArray[np.int8], values: Floats, scores: Mapping[str, Score]) -> dict[str, str]:
    """Metric → hash of the cells that it was computed from: exact labels with an answer, of targets with a value.

    Equal where two methods were judged on the same cells of the same split. truth, censor (m, T), values (m, T, K)
    """
    judged = np.isfinite(truth) & (censor == 0) & np.isfinite(values.sum(axis=2))
    found = {}
    for name, score in scores.items():
        used = judged & np.array([one.value is not None for one in score.each])
        found[name] = hashlib.sha256(np.packbits(used).tobytes()).hexdigest()[:HASH]
    return found

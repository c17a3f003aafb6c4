"""The bulkhead's one job: text → molecules → features, inside worker processes; only Arrow buffers come back."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from rdkit import Chem, rdBase

from tetramer.errors import UserError, pick
from tetramer.molecules import Limits, Molecule, Pool, Rejected, Standard, parse, parse_block
from tetramer.molecules.conformers import NOTES
from tetramer.molecules.parse import BLOCK_END
from tetramer.molecules.reactions import read_as_one
from tetramer.molecules.worker import BETWEEN, HEAD
from tetramer.settings import configured
from tetramer.views import conformer, fingerprint, graph, motifs, smiles
from tetramer.views.base import Features, Settings, concat, from_bytes, to_bytes
from tetramer.views.fingerprint import ELEMENTS

# VIEWS, without importing the package's face from within, and what is no view of its own but is read in the same way
MODULES = {"fingerprint": fingerprint, "smiles": smiles, "graph": graph, "conformer": conformer, "motifs": motifs}
NO_ANSWER = ("NO_ANSWER", "the model has no answer, as for an element that none of its training molecules has")
CHUNK = 256  # molecules in one request
FLAT = "no geometry could be made but a flat drawing, which networks do not look at"
MADE = "the model learned from geometries that were given; this one was made"
ALIGN = 16  # bytes; arrays that point into an answer begin where the processor likes it


@dataclass(frozen=True)
class Reading:
    """What became of n texts: row i of everything is text i."""

    features: dict[str, Features]
    smiles: list[str]  # canonical; "" where refused
    codes: list[str]  # "ok" or a refusal code
    reasons: list[str]  # "" where ok

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def ok(self) -> np.ndarray:
        """(n,) bool, which rows became molecules."""
        return np.array([code == "ok" for code in self.codes], dtype=bool)

    def elements(self) -> np.ndarray | None:
        """(n, 119) bool, which elements each row has, hydrogen aside; None where no view was read that tells them."""
        found, told = np.zeros((len(self), ELEMENTS), bool), False
        for features in self.features.values():
            if isinstance(features, fingerprint.FingerprintFeatures):
                found, told = found | (features.elements > 0), True
            elif isinstance(features, graph.GraphFeatures):
                owner = np.repeat(np.arange(len(self)), np.diff(features.atom_starts))
                found[owner, features.atoms[:, 0]] = told = True
        found[:, 1] = False
        return found if told else None

    def statuses(
        self, answered: np.ndarray, placed: bool = False, known: Sequence[int] = ()
    ) -> tuple[list[str], list[str]]:
        """Code and reason of every row: `ok`, `ok:NOTE` where something must be said beside a number, or a refusal.

        answered: (n,) bool, whether the row has what was asked for   placed: whether geometries should have been given
        known: elements of the training rows, by atomic number; (): nobody has told

        A view that could not be made is a note if others answered for it, and the refusal if none did; where nothing
        else says why there is no answer, NO_ANSWER does.
        """
        codes, reasons = list(self.codes), list(self.reasons)
        for view, features in self.features.items():
            for row in np.flatnonzero(self.ok & (features.ok == 0)):
                note, why = MODULES[view].ABSENT
                codes[row], reasons[row] = f"ok:{note}" if answered[row] else note, why
        made = self.features.get("conformer")
        if isinstance(made, conformer.ConformerFeatures):
            for row in np.flatnonzero(self.ok & made.drawn):
                codes[row], reasons[row] = "ok:CONF_2D" if answered[row] else "CONF_2D", FLAT
            for row in np.flatnonzero(self.ok & answered & (made.notes == NOTES.index("")) & placed):
                codes[row], reasons[row] = "ok:CONF_MADE", MADE
        there = self.elements() if known else None
        if there is not None:
            there[:, list(known)] = False
            for row in np.flatnonzero(there.any(axis=1) & answered):
                if codes[row] == "ok":
                    codes[row], reasons[row] = "ok:NEW_ELEMENT", f"no training row has {symbols(there[row])}"
        for row in np.flatnonzero(~answered):
            if codes[row] == "ok":
                codes[row], reasons[row] = NO_ANSWER
        return codes, reasons

    def status_columns(
        self, answered: np.ndarray, placed: bool = False, known: Sequence[int] = ()
    ) -> dict[str, pa.Array]:
        """`statuses` as the columns `status` and `reason` of an output."""
        codes, reasons = self.statuses(answered, placed, known)
        return {"status": pa.array(codes, pa.string()), "reason": pa.array(reasons, pa.string())}


def settings_of(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Settings]:
    """Settings of views, by name, from plain data. UserError for one that does not exist."""
    return {view: configured(pick(MODULES, view, "view").SETTINGS, settings) for view, settings in told.items()}


def job(texts: list[str], options: dict[str, Any], tick: Callable[[int], None]) -> bytes:
    """Parse, standardise and featurise; the answer is one JSON header and one Arrow file a view, each framed."""
    standard = Standard(**options["standard"])
    molecules: list[Molecule | None] = []
    head: dict[str, list[str]] = {"smiles": [], "codes": [], "reasons": []}
    for place, text in enumerate(texts):
        tick(place)
        told = guarded(text, standard)
        molecules.append(told if isinstance(told, Molecule) else None)
        head["smiles"].append(told.smiles if isinstance(told, Molecule) else "")
        head["codes"].append(told.code if isinstance(told, Rejected) else "ok")
        head["reasons"].append(told.reason if isinstance(told, Rejected) else "")
    made = ((MODULES[view], settings) for view, settings in options["views"].items())
    frames = [to_bytes(module.featurize(molecules, tick, module.SETTINGS(**settings))) for module, settings in made]
    tick(BETWEEN)
    return frame([json.dumps(head).encode(), *frames])


def guarded(text: str, standard: Standard) -> Molecule | Rejected:
    """`parse`, with a full memory as one more refusal."""
    try:
        if standard.reactions:
            return read_as_one(text, standard)
        return parse_block(text, standard) if BLOCK_END in text else parse(text, standard)
    except MemoryError:
        return Rejected(text, "OOM", "more memory than one molecule may take")


def text_of(row: int, cell: object) -> str:
    """A cell as text: an empty one (None, NaN) is an empty text; anything else is a UserError that names the row."""
    if isinstance(cell, str):
        return cell
    if cell is None or cell != cell:
        return ""
    raise UserError(f"Row {row} is a {type(cell).__name__}, not text. Give SMILES or mol blocks.")


def frame(parts: Sequence[bytes]) -> bytes:
    """Parts one behind the other, each after its length, each beginning at a multiple of 16 bytes."""
    laid = []
    for part in parts:
        laid += [HEAD.pack(len(part)), bytes(ALIGN - HEAD.size), part, bytes(-len(part) % ALIGN)]
    return b"".join(laid)


def unframe(data: bytes) -> list[memoryview]:
    """The parts of `frame`, not copied."""
    parts, place, view = [], 0, memoryview(data)
    while place < len(data):
        (size,) = HEAD.unpack_from(data, place)
        place += ALIGN
        parts.append(view[place : place + size])
        place += size + -size % ALIGN
    return parts


def symbols(there: np.ndarray) -> str:
    """The elements that are there, (119,) bool, as text; * is a dummy atom."""
    table = Chem.GetPeriodicTable()
    return ", ".join(table.GetElementSymbol(number) for number in np.flatnonzero(there).tolist())


class Reader:
    """Reads texts through worker processes, which start at once. Use it as a context manager, for many calls."""

    def __init__(
        self,
        standard: Standard | None = None,
        limits: Limits | None = None,
        settings: Mapping[str, Settings] | None = None,
    ) -> None:
        self.standard, limits = standard or Standard(), limits or Limits()
        self.settings = settings or {}  # of the views that are not made with their defaults
        self.pool = Pool([sys.executable, "-m", "tetramer.views.serve"], limits) if limits.count else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        if self.pool is not None:
            self.pool.close()

    def stream(self, texts: Iterable[str], views: Sequence[str], chunk: int = CHUNK) -> Iterator[Reading]:
        """Readings of `chunk` texts each, in order; memory does not grow with the number of texts."""
        options = {
            "views": {view: asdict(self.settings.get(view, MODULES[view].SETTINGS())) for view in views},
            "standard": asdict(self.standard),
        }
        source = map(text_of, count(1), texts)
        chunks = iter(lambda: list(islice(source, chunk)), [])
        for asked, answer, lost in self.pool.map(chunks, options) if self.pool else here(chunks, options):
            told, *tables = unframe(answer)
            head = json.loads(bytes(told))
            for place, rejected in lost.items():
                head["codes"][place], head["reasons"][place] = rejected.code, rejected.reason
            assert len(head["codes"]) == len(asked)
            features = {
                view: from_bytes(MODULES[view].FEATURES, table) for view, table in zip(views, tables, strict=True)
            }
            yield Reading(features, head["smiles"], head["codes"], head["reasons"])

    def read(
        self, texts: Sequence[str], views: Sequence[str], progress: Callable[[int], None] = lambda done: None
    ) -> Reading:
        """All texts at once. `progress` hears how many are done."""
        chunk = max(1, min(CHUNK, len(texts) // 8 + 1))  # a short list still keeps every worker busy
        readings, done = [], 0
        for reading in self.stream(texts, views, chunk):
            readings.append(reading)
            done += len(reading)
            progress(done)
        if not readings:
            settings = {view: self.settings.get(view, MODULES[view].SETTINGS()) for view in views}
            empty = {view: MODULES[view].featurize([], settings=settings[view]) for view in views}
            return Reading(empty, [], [], [])
        return joined(readings)


def joined(readings: Sequence[Reading]) -> Reading:
    """One reading after the other, as one."""
    views = readings[0].features
    return Reading(
        {view: concat([reading.features[view] for reading in readings]) for view in views},
        [text for reading in readings for text in reading.smiles],
        [code for reading in readings for code in reading.codes],
        [reason for reading in readings for reason in reading.reasons],
    )


def here(
    chunks: Iterable[list[str]], options: dict[str, Any]
) -> Iterator[tuple[list[str], bytes, dict[int, Rejected]]]:
    """The pool's work in this process, without a bulkhead."""
    for texts in chunks:
        with rdBase.BlockLogs():
            answer = job(texts, options, lambda place: None)
        yield texts, answer, {}


def read(
    texts: Sequence[str],
    views: Sequence[str],
    standard: Standard | None = None,
    limits: Limits | None = None,
) -> Reading:
    """Read `texts` once; the workers end with the call."""
    with Reader(standard, limits) as reader:
        return reader.read(texts, views)

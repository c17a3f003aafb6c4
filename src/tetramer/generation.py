"""New molecules: strings that a pretrained encoder writes, read as any other input. The work of `tetramer generate`.

encoder ──sample──▶ strings ──Reader──▶ Reading (one code a string) ──beside a corpus──▶ Generated ──▶ Arrow table
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from tetramer.checkpoint import Card, config_hash
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError
from tetramer.members.work import Progress, one_thread
from tetramer.modelling import LARGEST_SEED
from tetramer.molecules import Limits, Standard
from tetramer.molecules.draw import draw_grid
from tetramer.objectives.next_token import NextToken
from tetramer.pretraining import load_objective
from tetramer.training import mix
from tetramer.views import Reader, Reading
from tetramer.views.graph import GraphFeatures

TURN = 256  # strings drawn at a time, each turn with a seed of its own: a larger count begins with the same strings
SHOWN = 24  # molecules of a drawing


@dataclass(frozen=True)
class Options:
    """What to draw."""

    count: int = 1_000  # strings; not every one is a molecule
    temperature: float = 1.0  # divides the logits; below 1 the likely becomes more likely
    seed: int = 0
    longest: int = 200  # tokens

    def __post_init__(self) -> None:
        if self.count < 1 or not 0.01 <= self.temperature <= 100 or self.longest < 1:
            raise UserError(
                "New molecules need --count ≥ 1, --temperature from 0.01 to 100 and longest ≥ 1; "
                f"got {self.count}, {self.temperature:g} and {self.longest}."
            )
        if not 0 <= self.seed < LARGEST_SEED:
            raise UserError(f"--seed {self.seed} is out of range. Choose 0 to 9999999.")


@dataclass(frozen=True)
class Writer:
    """A pretrained encoder with the head that writes strings."""

    card: Card
    objective: NextToken
    standard: Standard  # how its corpus was read

    @property
    def corpus(self) -> str:
        """The name of what it learned from."""
        return str(self.card["corpus"]["name"])

    def learned_from(self, texts: Sequence[str]) -> bool:
        """Whether these are the structures of its corpus, in their order."""
        return bool(config_hash(list(texts)) == self.card["corpus"]["sha256"])


@dataclass(frozen=True)
class Averages:
    """Means over different molecules."""

    molecules: int
    heavy_atoms: float
    rings: float  # bonds that could be cut before a molecule falls apart
    heteroatoms: float  # heavy atoms that are not carbon


@dataclass(frozen=True)
class Corpus:
    """The molecules that new ones are held against."""

    smiles: frozenset[str]  # canonical
    averages: Averages
    refused: int  # structures that cannot be read
    learned: bool  # whether the encoder learned from it


@dataclass(frozen=True)
class Generated:
    """n strings and what became of them; row i of everything is string i."""

    written: tuple[str | None, ...]  # None: no end came
    reading: Reading
    corpus: Corpus | None = None

    @cached_property
    def first(self) -> np.ndarray:
        """(m,) int64 rows of the different molecules, each where it comes first."""
        seen: dict[str, int] = {}
        for row in np.flatnonzero(self.reading.ok).tolist():
            seen.setdefault(self.reading.smiles[row], row)
        return np.array([*seen.values()], np.int64)

    @property
    def smiles(self) -> list[str]:
        """The different molecules, in the order in which they were drawn."""
        return [self.reading.smiles[row] for row in self.first.tolist()]

    @cached_property
    def averages(self) -> Averages:
        """Means over the different molecules."""
        return gathered([self.reading])[1]

    def table(self) -> pa.Table:
        """smiles: canonical; written: the string; status and reason; known: whether it is in the corpus, if any is."""
        good = self.reading.ok
        columns = {
            "smiles": pa.array([text or None for text in self.reading.smiles], pa.string()),
            "written": pa.array(self.written, pa.string()),
            "status": pa.array(self.reading.codes, pa.string()),
            "reason": pa.array(self.reading.reasons, pa.string()),
        }
        if self.corpus is not None:
            known = [text in self.corpus.smiles for text in self.reading.smiles]
            columns["known"] = pa.array(known, pa.bool_(), mask=~good)
        return pa.table(columns)

    def summary(self) -> dict[str, Any]:
        """Counts, the shares that they make, and means; None for a share of nothing."""
        valid, different = int(self.reading.ok.sum()), len(self.first)
        told: dict[str, Any] = {"strings": len(self.written), "codes": dict(Counter(self.reading.codes))}
        told |= {"valid": valid, "validity": share(valid, len(self.written))}
        told |= {"different": different, "uniqueness": share(different, valid)}
        if self.corpus is not None:
            new = sum(text not in self.corpus.smiles for text in self.smiles)
            told |= {"new": new, "novelty": share(new, different)}
            told["corpus"] = {"learned_from": self.corpus.learned, "refused": self.corpus.refused}
            told["corpus"] |= asdict(self.corpus.averages)
        return told | {"means": asdict(self.averages) if different else None}


def share(part: int, whole: int) -> float | None:
    """part / whole; None where there is no whole."""
    return part / whole if whole else None


def load_writer(path: Path) -> Writer:
    """An encoder of `tetramer pretrain` whose objective draws strings. UserError for any other folder."""
    card, objective = load_objective(path)
    if not isinstance(objective, NextToken):
        raise UserError(
            f"{path} cannot write new molecules: it has not learned the next token. Learn an encoder that has: "
            "tetramer pretrain smiles-lstm CORPUS --output ENCODER."
        )
    return Writer(card, objective, Standard(**card["standard"]))


def generate(
    writer: Writer,
    options: Options = Options(),
    corpus: Sequence[str] | None = None,
    limits: Limits | None = None,
    progress: Progress = lambda name, share: None,
) -> Generated:
    """Draw strings and read them as the encoder's corpus was read; the same options give the same rows.

    corpus: structures to hold the molecules against, by canonical SMILES. UserError if none of them can be read.
    """
    with Reader(writer.standard, limits) as reader:
        against = None if corpus is None else read_corpus(reader, corpus, writer.learned_from(corpus), progress)
        with one_thread():
            written = strings(writer.objective, options, progress)
        texts = [text or "" for text in written]
        reading = reader.read(texts, ("graph",), lambda done: progress("reading", done / len(texts)))
    for row, text in enumerate(written):
        if text is None:
            reading.codes[row], reading.reasons[row] = "TOO_LONG", f"no end within {options.longest} tokens"
    return Generated(tuple(written), reading, against)


def strings(objective: NextToken, options: Options, progress: Progress) -> list[str | None]:
    """`count` strings, turn by turn."""
    out: list[str | None] = []
    while len(out) < options.count:
        rng = torch.Generator().manual_seed(mix(options.seed, 8, len(out)))
        out += objective.sample(TURN, rng, options.temperature, options.longest)
        progress("strings", min(1.0, len(out) / options.count))
    return out[: options.count]


def read_corpus(reader: Reader, texts: Sequence[str], learned: bool, progress: Progress) -> Corpus:
    """What new molecules are held against, read piece by piece."""
    done = refused = 0

    def readings() -> Iterable[Reading]:
        nonlocal done, refused
        for reading in reader.stream(texts, ("graph",)):
            done, refused = done + len(reading), refused + int((~reading.ok).sum())
            progress("corpus", done / len(texts))
            yield reading

    names, averages = gathered(readings())
    if not names:
        raise UserError(
            f"None of the {len(texts):,} structures of --corpus can be read, so nothing can be held against it. "
            "Name its column with --smiles-column."
        )
    return Corpus(frozenset(names), averages, refused, learned)


def gathered(readings: Iterable[Reading]) -> tuple[set[str], Averages]:
    """The different molecules of some readings, and means over them; NaN over none."""
    names: set[str] = set()
    total = np.zeros(3)
    for reading in readings:
        fresh = []
        for row in np.flatnonzero(reading.ok).tolist():
            if reading.smiles[row] not in names:
                names.add(reading.smiles[row])
                fresh.append(row)
        total += sizes(reading)[fresh].sum(axis=0)
    means = total / len(names) if names else np.full(3, np.nan)
    return names, Averages(len(names), *means.tolist())


def sizes(reading: Reading) -> np.ndarray:
    """(n, 3) float64 heavy atoms, rings and heteroatoms of each molecule."""
    made = reading.features["graph"]
    assert isinstance(made, GraphFeatures)
    atoms, bonds = np.diff(made.atom_starts), np.diff(made.edge_starts) // 2
    owner, element = np.repeat(np.arange(len(made)), atoms), made.atoms[:, 0]
    parts = np.array([text.count(".") + 1 for text in reading.smiles], np.int64)
    heavy, hetero = (
        np.bincount(owner[chosen], minlength=len(made)) for chosen in (element > 1, (element > 1) & (element != 6))
    )
    return np.stack([heavy, bonds - atoms + parts, hetero], axis=1).astype(np.float64)


def sentences(told: Generated, writer: Writer, corpus: str = "") -> list[str]:
    """The outcome for a terminal; each share says of what. corpus: its name"""
    found = told.summary()
    valid, different = found["valid"], found["different"]
    codes = ", ".join(f"{count:,} {code}" for code, count in sorted(found["codes"].items()) if code != "ok")
    lines = [f"Validity {percent(found['validity'])}: {valid:,} of {found['strings']:,} strings are molecules"]
    lines[0] += f" (the others: {codes})." if codes else "."
    if not valid:
        return lines
    lines.append(
        f"Uniqueness {percent(found['uniqueness'])}: {different:,} of these {valid:,} are different molecules."
    )
    means = f"Means over these {different:,}: {listed(told.averages)}"
    if told.corpus is None:
        lines.append(f"Novelty is told with --corpus, best with what the encoder learned from ({writer.corpus}).")
        return [*lines, f"{means}."]
    lines.append(
        f"Novelty {percent(found['novelty'])}: {found['new']:,} of these {different:,} are none of the "
        f"{told.corpus.averages.molecules:,} different molecules of {corpus}, by canonical SMILES."
    )
    if told.corpus.refused:
        lines.append(f"Structures of {corpus} that cannot be read, and are left out: {told.corpus.refused:,}.")
    if not told.corpus.learned:
        lines.append(f"The encoder learned from something else ({writer.corpus}), and may repeat what it saw there.")
    return [*lines, f"{means}; in {corpus}: {listed(told.corpus.averages)}."]


def percent(part: float) -> str:
    """0.957 → 95.7 %"""
    return f"{100 * part:.1f} %"


def listed(means: Averages) -> str:
    """Means in words."""
    return f"{means.heavy_atoms:.1f} heavy atoms, {means.rings:.2f} rings, {means.heteroatoms:.2f} heteroatoms"


def picture_path(name: str) -> Path:
    """Where a drawing goes. UserError unless the name ends in .svg or .png."""
    path = Path(name)
    if path.suffix.casefold() not in (".svg", ".png"):
        raise UserError(f"--draw {name}: a drawing is written as SVG or PNG. End the name in .svg or .png.")
    return path


def write_picture(path: Path, told: Generated) -> int:
    """Draw the first different molecules, each over the number of its row, and say how many; none are no drawing."""
    rows = told.first[:SHOWN].tolist()
    shown = [told.reading.smiles[row] for row in rows]
    if shown:
        write_whole(path, draw_grid(shown, [str(row + 1) for row in rows], path.suffix.casefold() == ".png"))
    return len(shown)

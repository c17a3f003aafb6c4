"""Tables of motifs and vocabularies of them, the work of `tetramer motifs`.

text ──Reader──▶ Reading (motifs beside the views) ──columns──▶ Arrow table ──shards──▶ CSV or Parquet
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from tetramer import shards
from tetramer.checkpoint import config_hash
from tetramer.datasets.opening import existing
from tetramer.errors import UserError
from tetramer.molecules import Limits, Molecule, Standard, parse
from tetramer.molecules.merging import learn_merges
from tetramer.molecules.vocabulary import Vocabulary, learn
from tetramer.views import Reader, Reading
from tetramer.views.base import Settings
from tetramer.views.motifs import MotifFeatures, MotifSettings, kinds

FORMAT = 1  # of the columns
COVERED = ("motif_count", "unseen_motifs", "class_motifs", "unknown_motifs")  # columns, as `Coverage` has them


def job(
    source: str,
    output: str,
    standard: Standard,
    smiles: str | None = None,
    on_error: str = "keep",
    vocabulary: Vocabulary | None = None,
) -> shards.Job:
    """The work of turning a table of molecules into one of their motifs.

    vocabulary: what says of each motif whether it is known. The unions that it has learned are the reader's to make.
    """
    flat = Path(output).suffix.casefold() not in (".parquet", ".pq")
    known = [] if vocabulary is None else [vocabulary.hash]
    key = config_hash(["motifs", FORMAT, flat, asdict(standard), *known])
    made = partial(columns, flat=flat, vocabulary=vocabulary)
    return shards.Job(source, output, ("motifs",), made, key, smiles, on_error, sums=COVERED if known else ())


def settings(vocabulary: Vocabulary | None) -> dict[str, Settings]:
    """What a reader needs to make the motifs of a vocabulary."""
    return {} if vocabulary is None else {"motifs": MotifSettings(vocabulary.merges)}


def columns(reading: Reading, flat: bool, vocabulary: Vocabulary | None = None) -> dict[str, pa.Array]:
    """Output columns of every row, in order; cells of refused rows are null.

    canonical_smiles; motifs: SMILES of each, by their first atoms, or (flat) one text of counts and SMILES, the most
    frequent first; motif_count; with a vocabulary the rest of COVERED: motifs that it does not hold as they are, and
    of these those of which it knows the class of a ring, or nothing; atom_motifs (not flat): number of the motif of
    each atom, from 0; status; reason.
    """
    made = reading.features["motifs"]
    assert isinstance(made, MotifFeatures)
    missing = pa.array(made.ok == 0)
    rows = [kinds(made, row)[0] if made.ok[row] else None for row in range(len(made))]
    told = [None if row is None else [kind.token for kind in row] for row in rows]
    codes, reasons = reading.statuses(made.ok == 1)
    out = {"canonical_smiles": pa.array([text or None for text in reading.smiles], pa.string())}
    if flat:
        out["motifs"] = pa.array([None if tokens is None else counted(tokens) for tokens in told], pa.string())
    else:
        out["motifs"] = pa.array(told, pa.list_(pa.string()))
    out["motif_count"] = pa.array([None if tokens is None else len(tokens) for tokens in told], pa.int64())
    if vocabulary is not None:
        found = [None if row is None else vocabulary.coverage([row]) for row in rows]
        for place, name in enumerate(COVERED[1:], start=1):
            out[name] = pa.array([None if one is None else one[place] for one in found], pa.int64())
    if not flat:
        starts = pa.array(made.atom_starts.astype(np.int32))
        out["atom_motifs"] = pa.ListArray.from_arrays(starts, pa.array(made.motif), mask=missing)
    return out | {"status": pa.array(codes, pa.string()), "reason": pa.array(reasons, pa.string())}


def counted(tokens: list[str]) -> str:
    """Motifs as one text: `2 *O*; 1 *c1ccccc1`."""
    counts = Counter(tokens)
    return "; ".join(f"{counts[token]} {token}" for token in sorted(counts, key=lambda name: (-counts[name], name)))


def learn_vocabulary(
    texts: Sequence[str],
    standard: Standard,
    limits: Limits,
    merges: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Vocabulary, int]:
    """The vocabulary of the molecules that can be read, and how many these are.

    merges: at most so many unions of neighbouring motifs are learned first. UserError where nothing can be learned.
    """
    if merges < 0:
        raise UserError(f"--merges {merges} is out of range. Choose 0 or more.")
    names: tuple[str, ...] = ()
    if merges:
        with Reader(standard, limits) as reader:
            read = [parse(text) for text in reader.read(list(texts), ("motifs",), progress).smiles if text]
        names = tuple(learn_merges([one for one in read if isinstance(one, Molecule)], merges))
    with Reader(standard, limits, {"motifs": MotifSettings(names)}) as reader:
        made = reader.read(list(texts), ("motifs",), progress).features["motifs"]
    assert isinstance(made, MotifFeatures)
    rows = [kinds(made, row)[0] for row in np.flatnonzero(made.ok).tolist()]
    if not rows:
        raise UserError(f"None of {len(texts)} structures can be read, so there are no motifs to learn.")
    return learn(rows, merges=names), len(rows)


def load_vocabulary(path: Path) -> Vocabulary:
    """What `--learn-vocabulary` wrote. UserError for anything else."""
    try:
        return Vocabulary.load(existing(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no vocabulary of motifs ({error}). Learn it again.") from error


def covered(sums: Mapping[str, int]) -> str:
    """How well a vocabulary covers the motifs of a table, by the sums of COVERED."""
    count, *rest = (sums[name] for name in COVERED)
    unseen, ring, unknown = (f"{part / max(1, count):.2%}".replace("%", " %") for part in rest)
    return (
        f"{count:,} motifs. The vocabulary does not hold {unseen} of them as they are; of {ring} it knows no more than "
        f"the class of a ring, of {unknown} nothing."
    )

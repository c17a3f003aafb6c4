"""Tables of motifs, the work of `tetramer motifs`, the page on which they are drawn, and vocabularies of motifs.

text ──Reader──▶ Reading (motifs beside the views) ──columns──▶ Arrow table ──shards──▶ CSV or Parquet ──page──▶ HTML
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from html import escape
from pathlib import Path

import numpy as np
import pyarrow as pa

from tetramer import shards
from tetramer.checkpoint import config_hash
from tetramer.datasets.opening import existing
from tetramer.datasets.tables import column, stream_table
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError
from tetramer.molecules import Limits, Molecule, Standard, parse
from tetramer.molecules.draw import draw_motifs
from tetramer.molecules.merging import learn_merges
from tetramer.molecules.vocabulary import Vocabulary, learn
from tetramer.views import Reader, Reading
from tetramer.views.base import Settings
from tetramer.views.motifs import MotifFeatures, MotifSettings, kinds

FORMAT = 1  # of the columns
COVERED = ("motif_count", "unseen_motifs", "class_motifs", "unknown_motifs")  # columns, as `Coverage` has them
DRAWN = 200  # rows on a page; a browser opens no page of a million

STYLE = """
body { margin: 0; background: #f5f7f9; color: #1f2933; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
p { margin: 10px 0 28px; max-width: 46rem; color: #52606d; }
ul, ol { margin: 0; padding: 0; list-style: none; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px; }
ol > li { padding: 14px 16px 16px; background: #fff; border: 1px solid #e4e7eb; border-radius: 10px; }
img { display: block; width: 100%; height: 200px; object-fit: contain; }
b { font-weight: 600; font-size: .875rem; }
.none { display: grid; place-items: center; height: 200px; color: #7b8794; font-size: .85rem; }
.code { font: .8rem/1.45 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
li li { display: flex; gap: 8px; margin-top: 4px; }
li li i { flex: none; width: 14px; height: 14px; margin-top: 2px; border: 1px solid #cbd2d9; border-radius: 4px; }
li li em { margin-left: auto; font-size: .8rem; font-style: normal; color: #52606d; }
"""


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


def page_path(output: str) -> Path:
    """Where the page of an output lies: NAME.html beside NAME.csv."""
    if output == "-":
        raise UserError("--draw writes a page beside the output. Name a file with --output.")
    path = Path(output)
    while path.suffix.casefold() in (".gz", ".csv", ".tsv", ".parquet", ".pq"):
        path = path.with_suffix("")
    return path.with_name(f"{path.name}.html")


def write_page(output: str, title: str, rows: int) -> Path:
    """Draw the first rows of an output that has `rows` of them; the file appears whole or not at all."""
    table = next(stream_table(output, DRAWN))
    told = [column(table, name).to_pylist() for name in ("canonical_smiles", "status")]
    items = [item(number, *cells) for number, cells in enumerate(zip(*told, strict=True), start=1)]
    which = f"The first {len(items):,} of {rows:,} rows." if rows > len(items) else f"{rows:,} rows."
    path = page_path(output)
    write_whole(path, page(title, which, items).encode())
    return path


def item(row: int, smiles: str | None, status: str) -> str:
    """One row as an item of the page's list."""
    told = draw_motifs(smiles) if smiles else None
    if told is None:
        why = "too large to be drawn" if smiles else status
        return f'<li><b>{row:,}</b><div class="none">{escape(why)}</div></li>'
    picture = "data:image/svg+xml;base64," + b64encode(told[0].encode()).decode()
    names = "".join(
        f'<li><i style="background:{colour}"></i><span class="code">{escape(token)}</span><em>{count}</em></li>'
        for token, (count, colour) in told[1].items()
    )
    return f'<li><b>{row:,}</b><img src="{picture}" alt="{escape(smiles or "")}"><ul>{names}</ul></li>'


def page(title: str, which: str, items: list[str]) -> str:
    """A page that loads nothing and runs nothing."""
    safe = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    told = "Each motif lies on a colour of its own; bonds without colour are cut. A * stands at each end of a cut."
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{safe}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{which} {told}</p>\n<ol>\n"
        + "\n".join(items)
        + "\n</ol>\n</main>\n</body>\n</html>\n"
    )

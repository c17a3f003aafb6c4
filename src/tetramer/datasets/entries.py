"""What a row of SOURCES is made of: files with their hashes, a copy of the whole, and what the columns mean."""

from collections.abc import Sequence
from dataclasses import dataclass

EVERY = "*"  # in `targets`: every column but the SMILES, where a set has too many to list


@dataclass(frozen=True)
class Part:
    """One file. `hash` is that of the PUBLIC bytes, as "sha256:…" or the "md5:…" that others pin; "" if it is unknown.

    `mirror` is a path under TETRAMER_DATA with its own hash, for a copy whose bytes may differ but which the same
    reader reads; `bundled` a path inside an installed package. `verified`: others pin the same hash for what the url
    serves, or the copy was taken from the repository that the url names. A `size` of 0 means that the url is a page
    for a person and nothing can be downloaded by itself.
    """

    url: str
    hash: str
    size: int  # bytes of the public file, or more; a download is cut off 1 MB beyond
    mirror: str = ""
    mirror_sha256: str = ""
    bundled: str = ""
    verified: bool = True


@dataclass(frozen=True)
class Mirror:
    """The whole set packed anew as one table that `read_table` reads: a path under TETRAMER_DATA, and its rows."""

    path: str
    sha256: str
    rows: int


TASKS = {"rmse": "regression", "mae": "regression", "roc-auc": "binary", "prc-auc": "binary", "": "none"}


@dataclass(frozen=True)
class Source:
    """One data set. `targets`: column → unit; `metric`: a key of METRICS, or "" for structures without labels.

    smiles: the column of structures; "" where they are the table's mol blocks, reactions, or geometries alone.
    """

    parts: tuple[Part, ...]
    smiles: str
    targets: dict[str, str]
    metric: str
    licence: str
    cite: str
    rows: int  # of the public set
    note: str = ""
    holds: str = "molecules"  # or reactions, pairs, geometries
    reader: str = "plain"  # a key of READERS
    mirror: Mirror | None = None
    style: str = ""  # how far the way its SMILES are written tells the labels; a comparison prints it
    apart: bool = False  # whether it is left out of means over data sets

    @property
    def task(self) -> str:
        """ "regression", "binary" or "none"."""
        return TASKS[self.metric]

    @property
    def verified(self) -> bool:
        """Whether the hashes of all parts are known to be those of what their urls serve."""
        return all(part.verified and bool(part.hash) for part in self.parts)

    @property
    def by_hand(self) -> bool:
        """Whether some part cannot be downloaded by itself."""
        return any(not part.size for part in self.parts)

    def targets_in(self, columns: Sequence[str]) -> dict[str, str]:
        """Column → unit of the targets of a table with these columns; expands EVERY."""
        if EVERY not in self.targets:
            return dict(self.targets)
        return {column: self.targets[EVERY] for column in columns if column != self.smiles}


def page(url: str) -> tuple[Part, ...]:
    """The parts of a set that no single file holds: its mirror is all that tetramer can read."""
    return (Part(url, "", 0, verified=False),)


def github(place: str, size: int, sha256: str, mirror: str = "", mirror_sha256: str = "") -> Part:
    """A file of a GitHub repository at a commit: OWNER/REPOSITORY/COMMIT/PATH."""
    url = f"https://raw.githubusercontent.com/{place}"
    return Part(url, f"sha256:{sha256}" if sha256 else "", size, mirror, mirror_sha256, verified=bool(sha256))

"""Fetch a public data set by name: a local copy, a bundled file or a download, its hash always checked.

A download goes over https only, follows no redirect away from it, is cut off beyond the expected size, and is renamed
into the cache by pooch only when its hash is right; nothing is ever unpacked to the disk. Every failure is one sentence
that says what to do without a network.
"""

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import platformdirs
import pooch

from tetramer.datasets.catalogue import EVERY, SOURCES, Mirror, Part, Source
from tetramer.datasets.opening import STDIN
from tetramer.datasets.readers import READERS
from tetramer.datasets.tables import Table, read_table
from tetramer.errors import DiskError, UserError, nearest, pick

__all__ = [
    "EVERY",
    "SOURCES",
    "STATES",
    "Mirror",
    "Part",
    "Source",
    "cache",
    "describe",
    "fetch",
    "load",
    "state",
    "targets",
]

DATA = "TETRAMER_DATA"
OFFLINE = "TETRAMER_OFFLINE"  # set to anything but 0 or off: nothing is downloaded
SLACK = 1_000_000  # bytes that a download may exceed its size by
SECONDS = 30.0
pooch.get_logger().setLevel(logging.WARNING)

STATES = {
    "bundled": "lies in an installed package",
    "mirror": f"lies in the folder that {DATA} names",
    "cached": "was downloaded before",
    "verified": "can be downloaded; the hash is that of the public bytes",
    "unverified": "can be downloaded; nobody could check the public bytes",
    "by hand": "no single file to download; needs a copy under " + DATA,
}
"""What `state` says, and what it means; the first three are on this machine, their hashes checked."""


def cache() -> Path:
    """Where downloads are kept, below the user's cache folder."""
    return Path(platformdirs.user_cache_dir("tetramer")) / "datasets"


def offline() -> bool:
    """Whether TETRAMER_OFFLINE forbids downloads."""
    return os.environ.get(OFFLINE, "").casefold() not in ("", "0", "off")


def state(name: str) -> str:
    """A key of STATES: where the data set would come from now. Nothing is downloaded."""
    source = pick(SOURCES, name, "data set")
    if _mirrored(source.mirror):
        return "mirror"
    local = [_bundled(part) or _local(part) for part in source.parts]
    if all(local):
        return "bundled" if all(_bundled(part) for part in source.parts) else "mirror"
    if source.by_hand:
        return "by hand"
    missing = [part for part, path in zip(source.parts, local, strict=True) if not path]
    if all(_matches(_cached(part), part.hash) for part in missing):
        return "cached"
    return "verified" if source.verified else "unverified"


def describe(name: str) -> dict[str, str | int]:
    """All that is known of a data set, for a person: one word or number a key, long texts last.

    `rows` are those that would be read now; a mirror may hold fewer than the `public` set.
    """
    source = pick(SOURCES, name, "data set")
    every = EVERY in source.targets
    shown = ", ".join(f"{column} ({unit})" if unit else column for column, unit in source.targets.items())
    return {
        "name": name,
        "rows": source.mirror.rows if source.mirror and _mirrored(source.mirror) else source.rows,
        "public": source.rows,
        "holds": source.holds,
        "targets": "many" if every else len(source.targets),
        "task": source.task,
        "metric": source.metric or "none",
        "state": state(name),
        "public bytes": "by hand" if source.by_hand else "verified" if source.verified else "unverified",
        "means": STATES[state(name)],
        "licence": source.licence,
        "cite": source.cite,
        "units": ", ".join(dict.fromkeys(filter(None, source.targets.values()))) or "none",
        "labels": "every column but the SMILES" if every else shown,
        "note": source.note,
        "from": ", ".join(part.url for part in source.parts),
    }


def fetch(name: str, accept_unverified: bool = False) -> list[Path]:
    """The checked files of a data set: one per part, or the one file of its mirror.

    A file under TETRAMER_DATA with the right hash is taken first, then one that lies in an installed package, then the
    cache, then a download. Where nobody could check the public bytes (`verified` False), a download needs
    `accept_unverified`.
    """
    source = pick(SOURCES, name, "data set")
    whole = _mirrored(source.mirror)
    if whole:
        return [whole]
    return [_local(part) or _bundled(part) or _download(name, source, part, accept_unverified) for part in source.parts]


def load(name: str, accept_unverified: bool = False) -> Table:
    """A data set as a table, all columns as published; what they mean stands in SOURCES[name].

    Reactions, pairs and geometries are rows too: reaction SMILES, or `atomic_numbers` (list<uint8>) and `coordinates`
    (list<float32>, x y z x y z …, Å), or mol blocks. No row is removed or repaired: known defects are told in the row's
    `note`.
    """
    source = pick(SOURCES, name, "data set")
    whole = _mirrored(source.mirror)
    table = read_table(whole) if whole else READERS[source.reader](fetch(name, accept_unverified))
    return replace(table, header=())  # a repeated name is told in the note, and means its first column


def named(data: str) -> Table:
    """A table by the name of its data set or, before that, of its file ("-": standard input)."""
    if data in SOURCES and not Path(data).exists():
        return load(data)
    if data != STDIN and not Path(data).suffix and not Path(data).exists():
        raise UserError(unknown(data))
    return read_table(data)


def unknown(data: str) -> str:
    """The sentence for a name that is neither a data set's nor a file's."""
    near = nearest(data, SOURCES)
    hint = f" Did you mean {near!r}?" if near else " `tetramer datasets` lists the public sets."
    return f"{data!r} is neither a data set nor a file.{hint}"


def targets(name: str, table: Table) -> dict[str, str]:
    """Column → unit of the labels of a loaded data set, also where SOURCES says only that every column is one."""
    return pick(SOURCES, name, "data set").targets_in(table.columns)


def _matches(path: Path, expected: str) -> bool:
    """Whether a file is there and has the hash "sha256:…" or "md5:…"; an unknown hash ("") fits every file."""
    if not path.is_file():
        return False
    kind, _, digest = expected.partition(":")
    if not kind:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest() == digest


def _mirrored(mirror: Mirror | None) -> Path | None:
    """The repacked whole under TETRAMER_DATA (own path or file name), if its hash is right."""
    return _found([(mirror.path, mirror.sha256)]) if mirror else None


def _found(copies: list[tuple[str, str]]) -> Path | None:
    """The first of (path, SHA-256) that is under TETRAMER_DATA by its path or by its file name."""
    folder = os.environ.get(DATA)
    for path, sha256 in copies if folder else []:
        for name in dict.fromkeys((path, path.rpartition("/")[2])):
            if name and _matches(Path(folder or "") / name, f"sha256:{sha256}"):
                return Path(folder or "") / name
    return None


def _local(part: Part) -> Path | None:
    """A copy of a part under TETRAMER_DATA whose hash is right: its mirror, or the public file."""
    found = _found([(part.mirror, part.mirror_sha256)])
    public = Path(os.environ.get(DATA) or "") / _file(part)
    return found or (public if os.environ.get(DATA) and part.hash and _matches(public, part.hash) else None)


def _bundled(part: Part) -> Path | None:
    """A copy of a part in an installed package."""
    if part.bundled:
        package, _, rest = part.bundled.partition("/")
        spec = find_spec(package)
        for base in (spec.submodule_search_locations or []) if spec else []:
            if _matches(Path(base) / rest, part.hash):
                return Path(base) / rest
    return None


def _file(part: Part) -> str:
    """The public file's name."""
    return part.url.rpartition("/")[2]


def _cached(part: Part) -> Path:
    """Where the cache keeps a part: two files of one name, or two versions of a file, do not meet."""
    mark = part.hash.partition(":")[2] or hashlib.sha256(part.url.encode()).hexdigest()
    return cache() / f"{mark[:16]}-{_file(part)}"


def _download(name: str, source: Source, part: Part, accept_unverified: bool) -> Path:
    """The file in the cache, fetched if it is not there or spoilt."""
    here, file = _cached(part), _file(part)
    if not part.size:
        raise UserError(_by_hand(name, source, part))
    if not part.verified and not accept_unverified and not _matches(here, part.hash):
        raise UserError(
            f"The public bytes of {name!r} are unverified: {source.note} "
            f"Allow the download with --accept-unverified, or put {_wanted(source, part)} into a folder and set {DATA} "
            "to it."
        )
    if offline() and not _matches(here, part.hash):
        raise UserError(
            f"{OFFLINE} is set, so {name!r} is not downloaded. Put {_wanted(source, part)} into a folder and set "
            f"{DATA} to it, or unset {OFFLINE}."
        )
    try:
        return Path(
            pooch.retrieve(part.url, part.hash or None, fname=here.name, path=here.parent, downloader=Capped(part.size))
        )
    except ValueError as error:  # pooch's word for a wrong hash
        raise UserError(
            f"{part.url} does not hold the expected bytes of {name!r} (its hash is wrong), so it was not kept. "
            "Try again later; if it stays so, the publisher has changed the file."
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"{name!r} cannot be downloaded from {part.url} ({_reason(error)}). Without a network, put {file} "
            f"({part.hash or 'its hash is unknown'}) into a folder and set {DATA} to that folder."
            f"{_wrong_copy(source, part)}"
        ) from error
    except OSError as error:
        raise DiskError(f"{here} cannot be written: {error.strerror}.") from error


def _wanted(source: Source, part: Part) -> str:
    """The file that a person may put under TETRAMER_DATA: the public one, or the mirror if the former has no hash."""
    return _file(part) if part.hash or not source.mirror else source.mirror.path.rpartition("/")[2]


def _by_hand(name: str, source: Source, part: Part) -> str:
    copy = source.mirror
    what = f"{copy.path.rpartition('/')[2]} (sha256:{copy.sha256})" if copy else "a copy"
    return (
        f"{name!r} cannot be downloaded as one file; see {part.url}. "
        f"Put {what} into a folder and set {DATA} to that folder.{_wrong_copy(source, part)}"
    )


def _wrong_copy(source: Source, part: Part) -> str:
    """A sentence about files under TETRAMER_DATA that have the right name but the wrong bytes."""
    folder = os.environ.get(DATA)
    names = [part.mirror, _file(part), source.mirror.path if source.mirror else ""]
    wrong = [Path(folder) / name for name in names if folder and name and (Path(folder) / name).is_file()]
    return f" {wrong[0]} is there, but its hash is wrong." if wrong else ""


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    return str(getattr(error, "reason", None) or error or type(error).__name__)


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to something else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(f"redirected away from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Capped:
    """pooch's downloader: stops when the body is longer than `size` + 1 MB."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        opener = urllib.request.build_opener(_NoDowngrade)
        request = urllib.request.Request(url, headers={"User-Agent": "tetramer"})  # noqa: S310, urls stand in SOURCES
        got = 0
        with opener.open(request, timeout=SECONDS) as answer, Path(output_file).open("wb") as out:
            while block := answer.read(1 << 16):
                got += len(block)
                if got > self.size + SLACK:
                    raise urllib.error.URLError(f"longer than the expected {self.size:,} bytes")
                out.write(block)
            if answer.length:  # what is still to come when the connection ends
                raise urllib.error.URLError(f"cut short, {answer.length:,} bytes are missing")

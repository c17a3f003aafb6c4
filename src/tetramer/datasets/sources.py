"""Fetch a public data set by name: a local copy, a bundled file or a download, its hash always checked.

A download goes over https only, follows no redirect away from it, is cut off beyond the expected size, and is renamed
into the cache by pooch only when its hash is right; nothing is ever unpacked. Every failure is one sentence that says
what to do without a network.
"""

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import platformdirs
import pooch
import pyarrow.compute as pc

from tetramer.datasets.catalogue import SOURCES, Part, Source
from tetramer.datasets.tables import Table, read_table
from tetramer.errors import DiskError, UserError, pick

__all__ = ["SOURCES", "Part", "Source", "cache", "fetch", "load"]

DATA = "TETRAMER_DATA"
SLACK = 1_000_000  # bytes that a download may exceed its size by
SECONDS = 30.0
pooch.get_logger().setLevel(logging.WARNING)


def cache() -> Path:
    """Where downloads are kept, below the user's cache folder."""
    return Path(platformdirs.user_cache_dir("tetramer")) / "datasets"


def fetch(name: str, accept_unverified: bool = False) -> list[Path]:
    """The checked files of a data set, one per part.

    A file under TETRAMER_DATA with the right hash is taken first, then one that lies in an installed package, then the
    cache, then a download. Where nobody could check the public bytes (`verified` False), a download needs
    `accept_unverified`.
    """
    source = pick(SOURCES, name, "data set")
    return [_local(part) or _download(name, source.note, part, accept_unverified) for part in source.parts]


def load(name: str, accept_unverified: bool = False) -> Table:
    """A data set as a table, all columns as published; what they mean stands in SOURCES[name].

    No row is removed or repaired: known defects are told in the row's `note`.
    """
    paths = fetch(name, accept_unverified)
    return _joined(name, *paths) if len(paths) == 2 else read_table(paths[0])


def _joined(name: str, structures: Path, values: Path) -> Table:
    """SMI with names + CSV of (name, value) → smiles, name, target, in the order of the SMI."""
    molecules, measured = read_table(structures), read_table(values)
    keys, numbers = measured.data.columns
    place = pc.index_in(molecules.data["name"], value_set=keys.combine_chunks())
    assert not place.null_count, "every molecule of the bundled set has a value"
    (target,) = SOURCES[name].targets
    return Table(molecules.data.append_column(target, numbers.take(place)), name, structure="smiles")


def _matches(path: Path, expected: str) -> bool:
    """expected: "sha256:…" or "md5:…"."""
    kind, _, digest = expected.partition(":")
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest() == digest


def _local(part: Part) -> Path | None:
    """A copy on this machine whose hash is right: under TETRAMER_DATA (own path or file name), or in a package."""
    folder = os.environ.get(DATA)
    if folder:
        public = part.url.rpartition("/")[2]
        mirror = f"sha256:{part.mirror_sha256}"
        places = [(part.mirror, mirror), (part.mirror.rpartition("/")[2], mirror), (public, part.hash)]
        for name, expected in places:
            if name and _matches(Path(folder) / name, expected):
                return Path(folder) / name
    if part.bundled:
        package, _, rest = part.bundled.partition("/")
        spec = find_spec(package)
        for base in (spec.submodule_search_locations or []) if spec else []:
            if _matches(Path(base) / rest, part.hash):
                return Path(base) / rest
    return None


def _download(name: str, note: str, part: Part, accept_unverified: bool) -> Path:
    """The file in the cache, fetched if it is not there or spoilt. `note` explains why a part is unverified."""
    file = part.url.rpartition("/")[2]
    here = cache() / f"{part.hash.partition(':')[2][:16]}-{file}"
    if not part.verified and not accept_unverified and not _matches(here, part.hash):
        raise UserError(
            f"The public bytes of {name!r} are unverified: {note} "
            f"Allow the download with --accept-unverified, or put {file} into a folder and set {DATA} to it."
        )
    try:
        return Path(
            pooch.retrieve(part.url, part.hash, fname=here.name, path=here.parent, downloader=Capped(part.size))
        )
    except ValueError as error:  # pooch's word for a wrong hash
        raise UserError(
            f"{part.url} does not hold the expected bytes of {name!r} (its hash is wrong), so it was not kept. "
            "Try again later; if it stays so, the publisher has changed the file."
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"{name!r} cannot be downloaded from {part.url} ({_reason(error)}). Without a network, put {file} "
            f"({part.hash}) into a folder and set {DATA} to that folder.{_wrong_copy(part)}"
        ) from error
    except OSError as error:
        raise DiskError(f"{here} cannot be written: {error.strerror}.") from error


def _wrong_copy(part: Part) -> str:
    """A sentence about files under TETRAMER_DATA that have the right name but the wrong bytes."""
    places = [Path(os.environ.get(DATA) or "") / name for name in (part.mirror, part.url.rpartition("/")[2]) if name]
    wrong = [str(place) for place in places if DATA in os.environ and place.is_file()]
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

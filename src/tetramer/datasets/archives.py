"""Members of tar and zip archives, streamed into memory: nothing is unpacked to the disk, whatever an archive says.

Only members that the caller names are read, each up to a number of bytes. An archive with a path that leads out of its
folder, a link, a device, or more bytes than expected is refused as a whole.
"""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from tetramer.datasets.opening import label, open_bytes
from tetramer.errors import UserError

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
LINK = 0o120000  # the kind of a file in the high half of a zip member's attributes, and its mask
KINDS = 0o170000


class _Bounded(io.RawIOBase):
    """A stream that ends in a UserError after `most` bytes: a small archive may unpack to more than any disk holds."""

    def __init__(self, source: BinaryIO, plain: BinaryIO, name: str, most: int) -> None:
        self.source, self.plain, self.name, self.left, self.most = source, plain, name, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = self.source.read(len(buffer))
        self.left -= len(block)
        if self.left < 0:
            raise _unsafe(self.name, f"it holds more than the expected {self.most:,} bytes")
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self.source.close()
        self.plain.close()
        super().close()


def _unsafe(name: str, why: str) -> UserError:
    return UserError(f"{name} is not read, because {why}. Delete it and fetch it again from its publisher.")


def _damaged(name: str, why: object) -> UserError:
    return UserError(f"{name} cannot be unpacked ({str(why).rstrip('.')}); delete it and fetch it again.")


def unpacked(path: Path, most: int) -> io.BufferedReader:
    """A file's bytes without their gzip, bzip2 or xz, whatever the ending says; UserError beyond `most` bytes."""
    plain = open_bytes(path)
    head = plain.peek(6)[:6]
    source: object = plain
    if head.startswith(b"\x1f\x8b"):
        source = gzip.GzipFile(fileobj=plain)
    elif head.startswith(b"BZh"):
        source = bz2.BZ2File(plain)
    elif head.startswith(b"\xfd7zXZ\x00"):
        source = lzma.LZMAFile(plain)  # noqa: SIM115, its reader closes it
    return io.BufferedReader(_Bounded(source, plain, label(path), most), 1 << 20)  # type: ignore[arg-type]


def tar_members(path: Path, wanted: Callable[[str], bool], most: int, total: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the wanted members, in the order of the archive, which may be packed by gzip, bzip2 or xz.

    most: bytes of one wanted member; total: bytes of the whole archive, unpacked. "./" before a name does not count.
    """
    name, seen = label(path), set[str]()
    try:
        with unpacked(path, total) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or a hundred thousand headers stay in memory
                inside = _safe_name(name, member.name)
                if not (member.isreg() or member.isdir()) or member.issparse():
                    raise _unsafe(name, f"its member {inside!r} is a link, a device or a sparse file")
                if not member.isreg() or not wanted(inside):
                    continue
                if inside in seen:
                    raise _unsafe(name, f"its member {inside!r} stands in it twice")
                seen.add(inside)
                yield inside, _tar_bytes(archive, member, name, most)
            while stream.read(1 << 20):
                pass  # checksums stand at the end of a packed block, behind the last member
    except DAMAGED as error:
        raise _damaged(name, error) from error


def _tar_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, most: int) -> bytes:
    if member.size > most:
        raise _unsafe(name, f"its member {member.name!r} is larger than the expected {most:,} bytes")
    held = archive.extractfile(member)
    assert held is not None, "a regular file"
    data = held.read()
    if len(data) < member.size:
        raise EOFError(f"{member.name} is cut short")
    return data


def _safe_name(archive: str, name: str) -> str:
    if name.startswith("/") or re.search(r"(^|/)\.\.(/|$)|\\|^[A-Za-z]:", name):
        raise _unsafe(archive, f"its member {name!r} leads out of its folder")
    return name.removeprefix("./")


def zip_members(path: Path, names: Sequence[str], most: int) -> list[bytes]:
    """The bytes of the named members, in that order; each may have `most` bytes and must be there once."""
    name = label(path)
    try:
        with open_bytes(path) as plain, zipfile.ZipFile(plain) as archive:
            infos = archive.infolist()
            for info in infos:
                _safe_name(name, info.filename)
                if info.external_attr >> 16 & KINDS == LINK:
                    raise _unsafe(name, f"its member {info.filename!r} is a link, a device or a sparse file")
            return [
                _zip_bytes(archive, [info for info in infos if info.filename == one], (name, one, most))
                for one in names
            ]
    except (*DAMAGED, NotImplementedError, RuntimeError) as error:  # the last two: unknown packing, a password
        raise _damaged(name, error) from error


def _zip_bytes(archive: zipfile.ZipFile, found: list[zipfile.ZipInfo], what: tuple[str, str, int]) -> bytes:
    name, inside, most = what
    if len(found) != 1:
        raise _damaged(name, f"it holds {len(found)} members {inside!r}, where one is expected")
    with archive.open(found[0]) as member:
        data = member.read(most + 1)  # what the directory says of the size is not believed
    if len(data) > most:
        raise _unsafe(name, f"its member {inside!r} is larger than the expected {most:,} bytes")
    return data

"""Archives are streamed by exact names; what would leave the archive, or fill the memory, is refused."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from tetramer.datasets.archives import tar_members, unpacked, zip_members
from tetramer.errors import UserError

ROOM = 1_000_000


def tar(path, *entries, pack=bytes):
    """entries: (name, bytes) or a TarInfo."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for entry in entries:
            info, data = (entry, b"") if isinstance(entry, tarfile.TarInfo) else (tarfile.TarInfo(entry[0]), entry[1])
            info.size = len(data) if data else info.size
            archive.addfile(info, io.BytesIO(data))
    path.write_bytes(pack(held.getvalue()))
    return path


def read(path, *names, most=ROOM, total=ROOM):
    return list(tar_members(path, set(names).__contains__, most, total))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_wanted_members_come_in_order_whatever_the_packing(tmp_path, pack):
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    path = tar(tmp_path / "a.tar", folder, ("./d/b", b"2"), ("x", b"0"), ("a", b"1" * 70_000), pack=pack)
    assert read(path, "a", "d/b") == [("d/b", b"2"), ("a", b"1" * 70_000)]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.tar"]  # nothing was unpacked


@pytest.mark.parametrize("name", ["../a", "d/../../a", "/etc/passwd", "..", "C:evil", "d\\..\\a"])
def test_a_path_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"is not read, because its member .* leads out of its folder"):
        read(tar(tmp_path / "a.tar", (name, b"1"), ("a", b"1")), "a")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("a")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(UserError, match="its member 'a' is a link, a device or a sparse file"):
        read(tar(tmp_path / "a.tar", info), "a")


def test_a_member_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="its member 'a' stands in it twice"):
        read(tar(tmp_path / "a.tar", ("a", b"1"), ("./a", b"2")), "a")


def test_a_member_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    with pytest.raises(UserError, match="its member 'a' is larger than the expected 9 bytes"):
        read(tar(tmp_path / "a.tar", ("a", b"0123456789")), "a", most=9)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("wanted", ["a", "b"])
def test_a_bomb_is_defused(tmp_path, pack, wanted):
    """50 MB of zeros in some kilobytes, read or skipped over."""
    path = tar(tmp_path / "a.tar.gz", ("a", bytes(50_000_000)), ("b", b"1"), pack=pack)
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="it holds more than the expected 2,000,000 bytes"):
        read(path, wanted, most=100_000_000, total=2_000_000)


def test_a_header_that_announces_more_than_there_is(tmp_path):
    info = tarfile.TarInfo("a")
    info.size = 900_000
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf() + b"short")
    with pytest.raises(UserError, match="cannot be unpacked"):
        read(path, "a")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_archive_is_one_sentence(tmp_path, pack):
    data = pack(tar(tmp_path / "a.tar", ("a", bytes(range(256)) * 400)).read_bytes())
    for spoilt in (
        data[: len(data) // 2],
        data[:20] + bytes(255 - byte for byte in data[20:50]) + data[50:],
        pack(b"no archive" * 100),
        b"",
    ):
        path = tmp_path / "b.tar"
        path.write_bytes(spoilt)
        with pytest.raises(UserError, match="cannot be unpacked"):
            read(path, "a")


def test_a_wrong_checksum_behind_the_last_member_is_seen(tmp_path):
    data = gzip.compress(tar(tmp_path / "a.tar", ("a", b"1")).read_bytes())
    (tmp_path / "b.tar.gz").write_bytes(data[:-8] + bytes(4) + data[-4:])
    with pytest.raises(UserError, match=r"cannot be unpacked .*CRC"):
        read(tmp_path / "b.tar.gz", "a")


def test_unpacked_stops_at_its_bound(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"1" * 100))
    with unpacked(path, 100) as stream:
        assert stream.read() == b"1" * 100
    with unpacked(path, 99) as stream, pytest.raises(UserError, match="more than the expected 99 bytes"):
        stream.read()


def packed(path, *entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def test_zip_members_come_in_the_order_of_the_names(tmp_path):
    path = packed(tmp_path / "a.zip", ("data/", b""), ("data/a", b"1"), ("b", b"2"), ("c", b"3"))
    assert zip_members(path, ["b", "data/a"], 1) == [b"2", b"1"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("name", ["../a", "/a", "d\\..\\a", "C:/a"])
def test_a_zip_path_that_leads_out_is_refused(tmp_path, name):
    path = packed(tmp_path / "b.zip", ("a", b"1"), (name, b"1"))
    with pytest.raises(UserError, match="leads out of its folder"):
        zip_members(path, ["a"], 9)


def test_a_zip_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("a")
    info.external_attr = 0o120777 << 16
    with pytest.raises(UserError, match="its member 'a' is a link"):
        zip_members(packed(tmp_path / "a.zip", (info, b"/etc/passwd")), ["a"], 99)


def test_a_zip_bomb_is_defused_though_its_directory_lies(tmp_path):
    path = packed(tmp_path / "a.zip", ("a", bytes(20_000_000)))
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="its member 'a' is larger than the expected 1,000 bytes"):
        zip_members(path, ["a"], 1_000)
    size = (20_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(UserError, match="cannot be unpacked"):  # 10 bytes come, and their checksum is wrong
        zip_members(path, ["a"], 1_000)


def test_a_zip_that_is_not_as_expected(tmp_path):
    with pytest.raises(UserError, match="it holds 0 members 'b', where one is expected"):
        zip_members(packed(tmp_path / "a.zip", ("a", b"1")), ["b"], 9)
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = packed(tmp_path / "c.zip", ("a", b"1"), ("a", b"2"))
    with pytest.raises(UserError, match="it holds 2 members 'a', where one is expected"):
        zip_members(twice, ["a"], 9)
    data = (tmp_path / "a.zip").read_bytes()
    for spoilt in (b"", data[:-10], data[:30], b"PK\x03\x04" * 20):
        (tmp_path / "d.zip").write_bytes(spoilt)
        with pytest.raises(UserError, match=r"d.zip cannot be unpacked \("):
            zip_members(tmp_path / "d.zip", ["a"], 9)

"""Folders: whole or not at all, and whatever else lies there is refused with a sentence before anything is used."""

import errno
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tetramer import checkpoint
from tetramer.checkpoint import (
    FORMAT,
    MIGRATIONS,
    check_place,
    config_hash,
    digest,
    finite,
    inside,
    pack,
    read_card,
    read_folder,
    recover,
    seal,
    unpack,
    write_folder,
)
from tetramer.errors import DiskError, UserError

CARD = {"kind": "model", "target": "pIC50", "share": 0.1, "many": list(range(40))}
FILES = {
    "members/a.0/model.safetensors": pack({"w": np.arange(12, dtype=np.float32).reshape(3, 4), "n": np.array(3)}),
    "members/a.0/card.json": b'{"a": 1}',
    "blend.safetensors": pack({"weights": np.array([[1.0]])}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "model", CARD, FILES)
    return tmp_path / "model"


def content(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object], sealed: bool = True) -> None:
    """Change the card as a liar would who knows how cards are sealed."""
    card = json.loads((folder / "card.json").read_text())
    change(card)
    if sealed:
        card["sha256"] = seal(card)
    (folder / "card.json").write_text(json.dumps(card))


def test_round_trip_exactly(folder: Path) -> None:
    card, files = read_folder(folder)
    assert files == FILES
    assert {name: card[name] for name in CARD} == CARD
    assert card["files"]["blend.safetensors"] == digest(FILES["blend.safetensors"])
    assert card["format"] == FORMAT == 2
    arrays = unpack(files["members/a.0/model.safetensors"], "x")
    assert arrays["w"].dtype == np.float32
    assert arrays["w"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert arrays["n"].shape == ()  # a counter stays a counter
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_the_same_content_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "again", CARD, dict(reversed(FILES.items())))
    assert content(tmp_path / "again") == content(folder)


def test_hashes_exactly() -> None:
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert config_hash({"b": 1, "a": [0.5, None]}) == digest(b'{"a":[0.5,null],"b":1}')


def test_a_card_read_and_written_again_keeps_no_old_format(folder: Path) -> None:
    card, files = read_folder(folder)
    write_folder(folder, card | {"format": 0, "files": {"x": "y"}}, files)
    assert read_folder(folder)[0] == card


def test_replacing_leaves_nothing_of_the_old(folder: Path) -> None:
    (folder / "report.html").write_text("old")
    write_folder(folder, {"kind": "new"}, {"x.txt": b"1"})
    assert set(content(folder)) == {"card.json", "x.txt"}
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_replacement_killed_between_its_renames_is_undone(folder: Path) -> None:
    before = content(folder)
    for reader in (read_card, read_folder, recover):
        folder.rename(folder.parent / ".model.old")
        reader(folder)
        assert content(folder) == before


def test_killed_while_the_old_folder_is_deleted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it, without a card, is not taken for somebody's own folder."""
    gone = shutil.rmtree

    def killed(place: Path, ignore_errors: bool = False) -> None:
        if (place / "card.json").exists():
            (place / "card.json").unlink()
            raise SystemExit(137)
        gone(place, ignore_errors=ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(SystemExit):
            write_folder(folder, CARD | {"kind": "second"}, FILES)
    assert read_card(folder)["kind"] == "second"
    check_place(folder)
    write_folder(folder, CARD | {"kind": "third"}, FILES)
    assert read_card(folder)["kind"] == "third"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_strays_of_killed_writers_go_with_the_next(folder: Path) -> None:
    stray = folder.parent / ".model.new-0123abcd"
    shutil.copytree(folder, stray)
    other = folder.parent / ".model2.new-0123abcd"
    other.mkdir()
    write_folder(folder, CARD, FILES)
    assert not stray.exists()
    assert other.exists()


# ---- spoilt folders


def test_every_truncation_is_found(folder: Path) -> None:
    for name, data in content(folder).items():
        for size in {*range(0, len(data), 23), len(data) - 1}:
            (folder / name).write_bytes(data[:size])
            with pytest.raises(UserError, match=r"altered|readable|not a card"):
                read_folder(folder)
        (folder / name).write_bytes(data)
    read_folder(folder)


@pytest.mark.parametrize("flips", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found(folder: Path, flips: int) -> None:
    rng, whole = np.random.Generator(np.random.Philox(0)), content(folder)
    sizes = np.array([len(data) for data in whole.values()])
    for bit in rng.choice(8 * sizes.sum(), flips, replace=flips > 8 * sizes.sum()):
        place, number = int(bit // 8), 0
        while place >= sizes[number]:
            place, number = place - int(sizes[number]), number + 1
        name, data = list(whole.items())[number]
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << int(bit % 8)
        (folder / name).write_bytes(spoilt)
        with pytest.raises(UserError):
            read_folder(folder)
        (folder / name).write_bytes(data)
    read_folder(folder)


def test_swapped_and_missing_files_are_found(folder: Path) -> None:
    a, b = folder / "blend.safetensors", folder / "members" / "a.0" / "model.safetensors"
    data = a.read_bytes(), b.read_bytes()
    a.write_bytes(data[1])
    b.write_bytes(data[0])
    with pytest.raises(UserError, match=r"blend\.safetensors was altered or cut short"):
        read_folder(folder)
    a.unlink()
    with pytest.raises(UserError, match=r"incomplete: blend\.safetensors is missing"):
        read_folder(folder)


def test_an_edited_card_is_found(folder: Path) -> None:
    rewrite(folder, lambda card: card.update(target="pKi"), sealed=False)
    with pytest.raises(UserError, match=r"card\.json was altered"):
        read_card(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../x", "/etc/passwd", "a/../../x", "a\\..\\x", "C:/x", "C:x", "", ".", "..", "a//b", "a/", "./a", "~/x",
        "a\0b", "x" * 300, "nul ", "a b", ".hidden", "ä", "a\n", "\\\\host\\share\\x",
    ],
)  # fmt: skip
def test_names_that_could_leave_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match="does not lie in the folder"):
        inside(folder, name)
    rewrite(folder, lambda card: card["files"].update({name: digest(b"")}))
    with pytest.raises(UserError, match="does not lie in the folder"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "members/random-forest.all-0/model-0.txt", "card.json"])
def test_our_own_names_pass(folder: Path, name: str) -> None:
    assert inside(folder, name) == folder / name


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("linked", ["blend.safetensors", "members", "members/a.0"])
def test_links_are_refused_wherever_they_lead(folder: Path, tmp_path: Path, linked: str) -> None:
    shutil.move(folder / linked, tmp_path / "outside")
    (folder / linked).symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="incomplete"):
        read_folder(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert read_folder(tmp_path / "link")[1] == FILES


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "not a card"),
        ("null", "not a card"),
        ('{"format": 1}', "not a card"),
        ('{"format": "1", "files": {}}', "not a card"),
        ('{"format": 1, "files": []}', "not a card"),
        ('{"format": 1, "files": {}}', "altered"),
        ('{"format": 3, "files": {}}', "has format 3; this version reads up to 2. Upgrade"),
        ('{"format": 0, "files": {}}', "has format 0"),
        ("", "not readable as JSON"),
        ("{", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ("1" * 5_000, "not readable as JSON"),
        ("\x00\xff", "not readable as JSON"),
    ],
    ids=lambda text: text[:30],
)
def test_cards_that_are_none(folder: Path, text: str, says: str) -> None:
    (folder / "card.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=re.escape(says)):
        read_folder(folder)


def test_no_folder_no_card_a_file_or_a_huge_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no model at .*none. Train one: tetramer train"):
        read_folder(tmp_path / "none")
    with pytest.raises(UserError, match=r"no card\.json"):
        read_folder(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"no card\.json"):
        read_folder(tmp_path / "file")
    monkeypatch.setattr(checkpoint, "LARGEST_CARD", 10)
    (tmp_path / "card.json").write_text(" " * 11)
    with pytest.raises(UserError, match=r"no card\.json"):
        read_folder(tmp_path)


def test_a_file_beyond_the_cap_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LARGEST_FILE", 3)
    with pytest.raises(UserError, match="larger than any file of a model"):
        read_folder(folder)


def header(text: str, size: int | None = None) -> bytes:
    return (len(text) if size is None else size).to_bytes(8, "little") + text.encode()


class Boom:
    """Unpickling it would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


def zipped(tmp_path: Path) -> bytes:
    """What `torch.save` writes: a zip with a pickle."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Boom()))
    return (tmp_path / "x.zip").read_bytes()


HOSTILE = {
    "empty": b"",
    "short": b"\x01",
    "pickle": pickle.dumps(Boom()),
    "header beyond the file": header("{}", 1 << 60),
    "header that is no JSON": header("{nonsense}"),
    "offsets beyond the file": header('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
    "a shape of 10^12": header('{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,0]}}'),
    "negative shape": header('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}'),
    "unknown dtype": header('{"a":{"dtype":"X32","shape":[0],"data_offsets":[0,0]}}'),
    "a dtype numpy has not": header('{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}') + b"x",
    "a name twice": header('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],'
                           '"data_offsets":[1,2]}}') + b"xy",
    "deep": header("[" * 100_000),
    "bytes behind": pack({"w": np.ones(3)}) + b"surplus",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_bytes_that_are_no_tensors(name: str) -> None:
    with pytest.raises(UserError, match="weights is not a safetensors file"):
        unpack(HOSTILE[name], "weights")


def test_a_zip_with_a_pickle_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a safetensors file"):
        unpack(zipped(tmp_path), "weights")


def test_no_code_is_run_by_what_a_folder_holds(folder: Path, tmp_path: Path) -> None:
    """Python tells an audit hook of everything that runs code, starts a program or opens a connection."""
    bad = ("pickle.find_class", "os.system", "os.exec", "subprocess.Popen", "compile", "exec", "socket.connect")
    heard: list[str] = []
    listening = [True]
    sys.addaudithook(lambda event, _: heard.append(event) if listening[0] and event in bad else None)
    for data in (*HOSTILE.values(), zipped(tmp_path)):
        (folder / "blend.safetensors").write_bytes(data)
        rewrite(folder, lambda card, data=data: card["files"].update({"blend.safetensors": digest(data)}))
        with pytest.raises(UserError):
            unpack(read_folder(folder)[1]["blend.safetensors"], "blend")
    pickle.loads(pickle.dumps(os.path.join))
    listening[0] = False
    assert heard == ["pickle.find_class"]  # our own, which shows that the hook hears


def test_numbers_that_are_not_finite() -> None:
    finite({"a": np.ones(3), "n": np.array([1, 2])}, "weights")
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(UserError, match=r"weights holds a number that is not finite, in b\."):
            finite({"a": np.ones(3), "b": np.array([0.0, value], np.float32)}, "weights")


# ---- disks that refuse


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "fsync", "rename", "mkdir"])
def test_the_disk_refuses_at_any_call(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    before = content(folder)
    owner, name = {"open": (Path, "write_bytes"), "rename": (Path, "rename"), "mkdir": (Path, "mkdir")}.get(
        call, (os, "fsync")
    )
    for after in range(12):
        calls, real = [0], getattr(owner, name)

        def refuse(*args: Any, calls: list[int] = calls, real: Any = real, after: int = after, **more: Any) -> Any:
            calls[0] += 1
            if calls[0] == after + 1:
                raise OSError(code, os.strerror(code))
            return real(*args, **more)

        monkeypatch.setattr(owner, name, refuse)
        told = None
        try:
            write_folder(folder, CARD, FILES)
        except DiskError as error:
            told = error
        finally:
            monkeypatch.undo()
        assert told is None or told.exit_code == 74
        assert told is None or str(folder) in str(told)
        assert told is None or ("needed" in str(told)) == (code in (errno.ENOSPC, errno.EDQUOT))
        assert told is None or calls[0] > after
        assert content(folder) == before
        assert [p.name for p in folder.parent.iterdir()] == ["model"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount a disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_keeps_the_old_model(small_disk: Path) -> None:
    model = small_disk / "model"
    write_folder(model, CARD, FILES)
    before = content(model)
    for size in (60_000, 200_000, 240_000, 300_000, 1_000_000):
        with pytest.raises(DiskError, match=r"model cannot be written: No space left.*needed.*free"):
            write_folder(model, CARD, {"big": bytes(size), "bigger": bytes(250_000)})
        assert content(model) == before
        assert [p.name for p in small_disk.iterdir()] == ["model"]
    write_folder(model, {}, {"fits": bytes(60_000)})


def test_a_read_only_disk_keeps_the_old_model(small_disk: Path) -> None:
    model = small_disk / "model"
    write_folder(model, CARD, FILES)
    before = content(model)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(DiskError, match="Read-only file system"):
        write_folder(model, CARD, FILES)
    assert content(model) == before


def test_a_folder_in_the_way_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"/file is a file; --output names a folder for the model\."):
        write_folder(tmp_path / "file" / "model", CARD, FILES)
    assert (tmp_path / "file").read_text() == "x"


# ---- what is not ours


FOREIGN = {
    "notes": {"notes.txt": b"mine"},
    "deep": {"a/b/c/notes.txt": b"mine"},
    "hidden": {".git/HEAD": b"mine"},
    "a card of another program": {"card.json": b'{"name": "x", "files": {}, "format": 1}'},
    "a card cut short": {"card.json": b"{"},
    "a page": {"report.html": b"mine"},
    "weights of another program": {"card.json": b"{}", "model.safetensors": b"mine"},
    "ours and more": FILES | {"notes.txt": b"mine"},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_we_did_not_write_is_never_replaced(tmp_path: Path, name: str) -> None:
    for file, data in FOREIGN[name].items():
        (tmp_path / "keep" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "keep" / file).write_bytes(data)
    before = content(tmp_path)
    for act in (lambda: write_folder(tmp_path / "keep", CARD, FILES), lambda: check_place(tmp_path / "keep")):
        with pytest.raises(UserError, match=r"/keep holds other files, such as '.*'; --output names a new folder"):
            act()
    assert content(tmp_path) == before


def test_where_a_person_works_is_never_replaced(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = content(tmp_path)
    for place in (Path(), Path(".."), folder, folder / "members" / "..", Path("/")):
        with pytest.raises(UserError, match="is where you work; --output names a new folder"):
            write_folder(place, CARD, FILES)
    assert content(tmp_path) == before


def test_what_somebody_put_into_a_model_is_named(folder: Path) -> None:
    (folder / "report.html").write_text("ours")
    (folder / ".DS_Store").write_text("of a file manager")
    check_place(folder)
    (folder / "members" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=re.escape("model holds other files, such as 'members/notes.txt'; --output")):
        write_folder(folder, CARD, FILES)
    (folder / "members" / "notes.txt").unlink()
    write_folder(folder, CARD, FILES)
    assert set(content(folder)) == {*FILES, "card.json"}


@pytest.mark.parametrize("spoil", [b"", b"{", b"{}", None])
def test_a_spoilt_folder_of_the_same_files_is_written_over(folder: Path, spoil: bytes | None) -> None:
    if spoil is None:
        (folder / "card.json").unlink()
    else:
        (folder / "card.json").write_bytes(spoil)
    (folder / "blend.safetensors").unlink()
    write_folder(folder, CARD, FILES)
    assert read_folder(folder)[1] == FILES


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "model" / "members").mkdir(parents=True)
    write_folder(tmp_path / "model", CARD, FILES)
    assert read_folder(tmp_path / "model")[1] == FILES


def test_names_like_ours_beside_the_model_are_left_alone(tmp_path: Path) -> None:
    for name in (".model.old", ".model.new-ideas"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
    recover(tmp_path / "model")
    with pytest.raises(UserError, match=r"\.model\.old holds other files, such as 'notes\.txt'"):
        write_folder(tmp_path / "model", CARD, FILES)
    (tmp_path / ".model.old").rename(tmp_path / "old")
    write_folder(tmp_path / "model", CARD, FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".model.new-ideas", "model", "old"]
    assert (tmp_path / ".model.new-ideas" / "notes.txt").read_text() == "mine"


def test_a_model_of_the_first_format_is_told_to_be_old() -> None:
    with pytest.raises(UserError, match="written by an older version"):
        MIGRATIONS[0]({"kind": "model"})
    assert MIGRATIONS[0]({"kind": "encoder"}) == {"kind": "encoder"}  # nothing of it changed

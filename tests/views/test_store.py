"""Features on the disk: whole or not at all, and only for what they were made from."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tetramer.errors import DiskError
from tetramer.molecules import Molecule, Standard, parse
from tetramer.views import graph, store
from tetramer.views.base import concat, take, to_bytes
from tetramer.views.graph import GraphFeatures

TEXTS = ["C" * (1 + number % 7) for number in range(23)] + ["refused", "O"]
MADE = graph.featurize([told if isinstance(told := parse(text), Molecule) else None for text in TEXTS])


def test_it_is_mapped_and_not_copied(tmp_path: Path) -> None:
    store.put(tmp_path, "x", MADE)
    kept = store.get(tmp_path, "x", GraphFeatures)
    assert kept is not None
    assert to_bytes(kept) == to_bytes(MADE)
    for field in fields(kept):
        assert not getattr(kept, field.name).flags.writeable


def test_no_rows_are_kept_too(tmp_path: Path) -> None:
    store.put(tmp_path, "x", take(MADE, np.arange(0, 0)))
    kept = store.get(tmp_path, "x", GraphFeatures)
    assert kept is not None
    assert len(kept) == 0


def test_what_is_not_whole_is_not_there(tmp_path: Path) -> None:
    assert store.get(tmp_path, "x", GraphFeatures) is None
    for damage in ("marker", "chunk", "short", "flipped", "nonsense"):
        store.put(tmp_path, "x", MADE)
        assert store.get(tmp_path, "x", GraphFeatures) is not None
        chunk, marker = tmp_path / "x" / store.FILE, tmp_path / "x" / store.DONE
        data = chunk.read_bytes()
        if damage in ("marker", "chunk"):
            (marker if damage == "marker" else chunk).unlink()
        elif damage == "nonsense":
            marker.write_text(json.dumps([1, 2]))
        else:
            chunk.write_bytes(data[:-8] if damage == "short" else data[:300] + bytes([data[300] ^ 1]) + data[301:])
        assert store.get(tmp_path, "x", GraphFeatures) is None, damage
    store.put(tmp_path, "x", MADE)
    assert store.get(tmp_path, "x", GraphFeatures) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_second_to_put_leaves_the_first(tmp_path: Path) -> None:
    store.put(tmp_path, "x", MADE)
    kept = store.get(tmp_path, "x", GraphFeatures)
    before = (tmp_path / "x" / store.FILE).stat().st_ino
    store.put(tmp_path, "x", MADE)
    assert (tmp_path / "x" / store.FILE).stat().st_ino == before
    assert kept is not None
    assert to_bytes(kept) == to_bytes(MADE)


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot be kept in"):
        store.put(tmp_path / "file", "x", MADE)


def test_keys_depend_on_all_that_decides_the_features() -> None:
    base = store.key(["C", "CC"], "graph", Standard())
    others = [
        store.key(["CC", "C"], "graph", Standard()),
        store.key(["CCC"], "graph", Standard()),
        store.key(["C", "CC", ""], "graph", Standard()),
        store.key(["C", "CC"], "fingerprint", Standard()),
        store.key(["C", "CC"], "graph", Standard(salts="largest")),
        store.key(["C", "CC"], "graph", Standard(max_atoms=999)),
    ]
    assert len({base, *others}) == 7
    assert store.key(["C", "CC"], "graph", Standard()) == base
    assert len(store.key(["\ud800"], "graph", Standard())) == 64


def test_joined_parts_are_the_whole() -> None:
    assert to_bytes(concat([take(MADE, np.arange(0, 9)), take(MADE, np.arange(9, 25))])) == to_bytes(MADE)

"""Features on the disk: across chunks, whole or not at all, and only for what they were made from."""

import itertools
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tetramer.errors import DiskError
from tetramer.molecules import Molecule, Standard, parse
from tetramer.views import graph, store
from tetramer.views.base import concat, span, take, to_bytes
from tetramer.views.graph import GraphFeatures

TEXTS = ["C" * (1 + number % 7) for number in range(23)] + ["refused", "O"]
MADE = graph.featurize([told if isinstance(told := parse(text), Molecule) else None for text in TEXTS])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ROWS", 4)


@pytest.mark.usefixtures("small")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(cuts=st.lists(st.integers(0, 25), max_size=5).map(sorted), rows=st.lists(st.integers(0, 24), max_size=40))
def test_rows_are_found_across_chunks(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], rows: list[int]
) -> None:
    folder, edges = tmp_path_factory.mktemp("store"), [0, *cuts, 25]
    store.put(folder, "x", (span(MADE, start, stop) for start, stop in itertools.pairwise(edges)))
    kept = store.get(folder, "x", GraphFeatures)
    assert kept is not None
    assert [len(chunk) for chunk in kept.chunks] == [4] * 6 + [1]
    assert len(kept) == 25
    assert to_bytes(kept.features()) == to_bytes(MADE)
    picked = np.array(rows, dtype=np.int64)
    assert to_bytes(kept.take(picked)) == to_bytes(take(MADE, picked))


def test_one_chunk_is_mapped_and_not_copied(tmp_path: Path) -> None:
    store.put(tmp_path, "x", [MADE])
    kept = store.get(tmp_path, "x", GraphFeatures)
    assert kept is not None
    for field in fields(kept.features()):
        assert not getattr(kept.features(), field.name).flags.writeable


@pytest.mark.usefixtures("small")
def test_rows_outside_are_an_error(tmp_path: Path) -> None:
    store.put(tmp_path, "x", [MADE])
    kept = store.get(tmp_path, "x", GraphFeatures)
    assert kept is not None
    for row in (-1, 25):
        with pytest.raises(IndexError, match="of a store of 25"):
            kept.take(np.array([0, row]))


def test_no_rows_are_kept_too(tmp_path: Path) -> None:
    store.put(tmp_path, "x", [span(MADE, 0, 0)])
    kept = store.get(tmp_path, "x", GraphFeatures)
    assert kept is not None
    assert (len(kept), len(kept.features())) == (0, 0)


@pytest.mark.usefixtures("small")
def test_what_is_not_whole_is_not_there(tmp_path: Path) -> None:
    assert store.get(tmp_path, "x", GraphFeatures) is None
    for damage in ("marker", "chunk", "short", "flipped", "nonsense"):
        store.put(tmp_path, "x", [MADE])
        assert store.get(tmp_path, "x", GraphFeatures) is not None
        chunk, marker = tmp_path / "x" / "00002.arrow", tmp_path / "x" / store.DONE
        data = chunk.read_bytes()
        if damage in ("marker", "chunk"):
            (marker if damage == "marker" else chunk).unlink()
        elif damage == "nonsense":
            marker.write_text(json.dumps([1, 2]))
        else:
            chunk.write_bytes(data[:-8] if damage == "short" else data[:300] + bytes([data[300] ^ 1]) + data[301:])
        assert store.get(tmp_path, "x", GraphFeatures) is None, damage
    store.put(tmp_path, "x", [MADE])
    assert store.get(tmp_path, "x", GraphFeatures) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.usefixtures("small")
def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def parts():
        yield MADE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put(tmp_path, "x", parts())
    assert list(tmp_path.iterdir()) == []


def test_the_second_to_put_leaves_the_first(tmp_path: Path) -> None:
    store.put(tmp_path, "x", [MADE])
    kept = store.get(tmp_path, "x", GraphFeatures)
    before = (tmp_path / "x" / "00000.arrow").stat().st_ino
    store.put(tmp_path, "x", [MADE])
    assert (tmp_path / "x" / "00000.arrow").stat().st_ino == before
    assert kept is not None
    assert to_bytes(kept.features()) == to_bytes(MADE)


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot be kept in"):
        store.put(tmp_path / "file", "x", [MADE])


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
    assert to_bytes(concat([span(MADE, 0, 9), span(MADE, 9, 25)])) == to_bytes(MADE)

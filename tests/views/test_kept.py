"""Conformers of earlier runs: the same geometries to the bit, made once, and no trouble whatever the file holds."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tetramer.molecules import Limits, Molecule, parse
from tetramer.molecules.geometry import as_xyz
from tetramer.views import conformer, kept, read
from tetramer.views.base import Features, to_bytes
from tetramer.views.conformer import ConformerSettings, featurize
from tetramer.views.kept import Kept, Made

TEXTS = ["OCCCO", "[Na+].CC([O-])=O", "C" * 251, "[H][H]", "refused", "C" * 130]
MOLECULES = [told if isinstance(told := parse(text), Molecule) else None for text in TEXTS]
SETTINGS = ConformerSettings(3)
MADE = to_bytes(featurize(MOLECULES, settings=SETTINGS))  # tests keep none


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(kept.PLACE, str(tmp_path))
    return tmp_path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The molecules that conformers are made of, as they are made."""
    told, generate = list[str](), conformer.generate

    def listening(molecule: Molecule, *rest: Any) -> Any:
        told.append(molecule.smiles)
        return generate(molecule, *rest)

    monkeypatch.setattr(conformer, "generate", listening)
    return told


def rows(folder: Path) -> int:
    (path,) = folder.iterdir()
    with sqlite3.connect(path) as base:
        return int(base.execute("SELECT COUNT(*) FROM made").fetchone()[0])


def test_the_second_time_nothing_is_made_and_every_bit_is_the_same(folder: Path, made: list[str]) -> None:
    assert to_bytes(featurize(MOLECULES, settings=SETTINGS)) == MADE
    assert len(made) == rows(folder) == 5
    assert to_bytes(featurize(MOLECULES, settings=SETTINGS)) == MADE
    assert len(made) == 5
    other = featurize(MOLECULES[:1], settings=ConformerSettings(1))  # of other settings another is made
    assert (len(made), rows(folder)) == (6, 6)
    assert np.diff(other.geometry_starts).tolist() == [1]


def test_workers_find_what_others_made(folder: Path) -> None:
    settings: dict[str, Features] = {}
    for workers in (0, 2):
        reading = read(TEXTS, ("conformer",), limits=Limits(workers))
        settings[str(workers)] = reading.features["conformer"]
        assert rows(folder) == 5
    assert to_bytes(settings["0"]) == to_bytes(settings["2"])


def test_what_was_given_or_cut_off_by_a_clock_is_not_kept(
    folder: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = parse(as_xyz([8, 1, 1], np.array([[0, 0, 0.1173], [0, 0.7572, -0.4692], [0, -0.7572, -0.4692]]), "O"))
    assert isinstance(given, Molecule)
    featurize([given])
    assert rows(folder) == 0
    monkeypatch.setattr(conformer, "PATIENCE", 0.0)
    featurize(MOLECULES[:1])
    assert (rows(folder), len(made)) == (0, 2)


def test_it_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.setenv(kept.PLACE, "off")
    featurize(MOLECULES[:1])
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv(kept.PLACE)
    featurize(MOLECULES[:1])
    assert rows(tmp_path / "tetramer" / "conformers") == 1


def test_a_full_one_takes_no_more(folder: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    featurize(MOLECULES[:1])
    monkeypatch.setattr(kept, "LARGEST", 1)
    featurize(MOLECULES[:2])
    assert (rows(folder), len(made)) == (1, 2)


@pytest.mark.parametrize("damage", ["garbage", "cut", "folder"])
def test_a_damaged_file_costs_nothing(damage: str, folder: Path, made: list[str]) -> None:
    featurize(MOLECULES, settings=SETTINGS)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"no database" * 1000 if damage == "garbage" else whole[: len(whole) // 2])
    assert to_bytes(featurize(MOLECULES, settings=SETTINGS)) == MADE
    if damage != "folder":
        assert to_bytes(featurize(MOLECULES, settings=SETTINGS)) == MADE
        assert rows(folder) == 5  # begun anew


def test_a_value_that_has_changed_is_made_again(folder: Path, made: list[str]) -> None:
    featurize(MOLECULES, settings=SETTINGS)
    (path,) = folder.iterdir()
    with sqlite3.connect(path) as base:
        told = base.execute("SELECT key, value FROM made").fetchall()
        base.executemany("UPDATE made SET value = ? WHERE key = ?", [(v[:-1] + bytes([v[-1] ^ 1]), k) for k, v in told])
    assert to_bytes(featurize(MOLECULES, settings=SETTINGS)) == MADE
    assert len(made) == 10
    assert Made.unpacked(b"") is None


def test_one_that_another_process_holds_is_as_one_that_is_empty(
    folder: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    featurize(MOLECULES, settings=SETTINGS)
    monkeypatch.setattr(kept, "WAIT", 0.05)
    (path,) = folder.iterdir()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert to_bytes(featurize(MOLECULES, settings=SETTINGS)) == MADE
    assert len(made) == 10
    other.close()
    with Kept(SETTINGS) as known:
        assert known.get("OCCCO") is not None

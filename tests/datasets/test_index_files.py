"""Splits in one small file come back as they were; a file that was altered is refused."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tetramer.datasets.index_files import ENDING, IndexFile, load_index, save_index
from tetramer.datasets.partitions import split_of
from tetramer.errors import UserError

FOLDER = Path(__file__).parents[2] / "results" / "splits"
SETS = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture
def told() -> IndexFile:
    splits = {
        ("random", 0): split_of("random", [0, 3], [1], [4]),
        ("random", 1): split_of("random", [4, 1, 0], [], [3]),
    }
    return IndexFile("small", "ab", 5, splits)


def test_splits_come_back_and_the_bytes_repeat(told: IndexFile, tmp_path: Path) -> None:
    save_index(tmp_path / "a.txt.gz", told)
    save_index(tmp_path / "b.txt.gz", told)
    assert (tmp_path / "a.txt.gz").read_bytes() == (tmp_path / "b.txt.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.txt.gz").read_bytes()).decode().splitlines()[1][-6:] == " tv-tx"
    again = load_index(tmp_path / "a.txt.gz")
    assert (again.data, again.data_sha256, again.rows) == ("small", "ab", 5)
    assert again.splits.keys() == told.splits.keys()
    for key, split in told.splits.items():
        assert again.splits[key].sha256 == split.sha256
        assert np.array_equal(again.splits[key].test, split.test)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tv-tx", "tv-xt", "The split random 0 was altered"),
        ("tv-tx", "tv-txt", "does not hold splits"),
        ("tv-tx", "tv-tz", "does not hold splits"),
        ('"format": 1', '"format": 2', "does not hold splits"),
        ('"rows": 5', '"rows": "5"', "does not hold splits"),
        ("{", "", "does not hold splits"),
    ],
)
def test_an_altered_file_is_refused(told: IndexFile, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "a.txt.gz"
    save_index(path, told)
    text = gzip.decompress(path.read_bytes()).decode()
    assert old in text
    path.write_bytes(gzip.compress(text.replace(old, new).encode()))
    with pytest.raises(UserError, match=message):
        load_index(path)


def test_half_a_file_is_refused(told: IndexFile, tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    save_index(path, told)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="does not hold splits"):
        load_index(path)


def test_all_sets_of_the_benchmark_have_their_files() -> None:
    folders = [path.parent.name for path in (FOLDER.parent / "benchmark").glob("*/splits.json")]
    assert len(SETS) == len(folders) == 12
    assert sorted(folders) == SETS == sorted(path.name.removesuffix(ENDING) for path in FOLDER.glob(f"*{ENDING}"))


@pytest.mark.parametrize("name", SETS)
def test_the_shipped_files_have_the_committed_hashes(name: str) -> None:
    told = load_index(FOLDER / f"{name}{ENDING}")
    noted = json.loads((FOLDER / f"{name}.json").read_text())
    assert len(told.splits) == sum(len(one["splits"]) for one in noted.values()) == 14
    for rule, one in noted.items():
        assert one["data_sha256"] == told.data_sha256
        for split in one["splits"]:
            assert told.splits[rule, split["seed"]].sha256 == split["sha256"]
    measured = json.loads((FOLDER.parent / "benchmark" / name / "splits.json").read_text())
    assert measured["scaffold-balanced"]["data_sha256"] == told.data_sha256
    for rule, own in (("scaffold-balanced", "scaffold-balanced"), ("scaffold", "D-ours-nochiral")):
        for split in measured[rule]["splits"]:
            assert told.splits[own, split["seed"]].sha256 == split["sha256"]

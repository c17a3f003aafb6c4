"""Which rows an encoder learns from: parts of a file, of two files, of a public set."""

from pathlib import Path

import numpy as np
import pytest

from tetramer.corpus_parts import Files, given, read_corpus
from tetramer.errors import UserError

WORDS = ["train", "Val", "test", "", "training", "dev"]


def written(path: Path, words: list[str], column: str = "split") -> str:
    rows = [f"{'C' * (row + 1)},{word}" for row, word in enumerate(words)]
    path.write_text("\n".join([f"smiles,{column}", *rows]) + "\n")
    return str(path)


def molecules(files: Files) -> tuple[list[int], list[int], tuple[str, ...]]:
    """Lengths of the chains of both parts, and the notes."""
    told = read_corpus(files, "molecules", ("graph",))
    return [len(text) for text in told.train], [len(text) for text in told.valid], told.notes


def test_a_column_names_both_parts_and_leaves_the_test_part_out(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", WORDS)
    assert molecules(Files(data, split="split")) == ([1, 5], [2, 6], ("Left out, as the test part: 1 of 6 rows.",))
    assert molecules(Files(data, split="none")) == ([1, 2, 3, 4, 5, 6], [], ())
    with pytest.raises(
        UserError, match=r"a\.csv has a column 'split' \(2 train, 2 valid, 1 test\)\. With --split-column"
    ):
        molecules(Files(data))
    with pytest.raises(UserError, match="names no row as train"):
        molecules(Files(written(tmp_path / "b.csv", ["valid", "test"]), split="split"))


@pytest.mark.parametrize("words", [["train", "training", ""], ["fold 1", "test", "train"], ["", "", ""]])
def test_a_column_that_forbids_nothing_is_not_asked_about(tmp_path: Path, words: list[str]) -> None:
    assert molecules(Files(written(tmp_path / "a.csv", words)))[0] == [1, 2, 3]
    assert molecules(Files(written(tmp_path / "b.csv", WORDS, "part")))[0] == [1, 2, 3, 4, 5, 6]


def test_a_second_file_chooses_the_weights(tmp_path: Path) -> None:
    train, valid = written(tmp_path / "a.csv", ["train"] * 3), written(tmp_path / "b.csv", ["valid"] * 2)
    assert molecules(Files(train, validation=valid)) == ([1, 2, 3], [1, 2], ())
    with pytest.raises(UserError, match="has a column 'split' "):
        molecules(Files(train, validation=written(tmp_path / "c.csv", WORDS)))
    with pytest.raises(UserError, match="--split-column and --validation exclude each other"):
        molecules(Files(train, validation=valid, split="split"))
    assert molecules(Files(valid, validation=train, split="none"))[:2] == ([1, 2], [1, 2, 3])


def test_a_second_file_is_read_by_the_column_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("canonical_smiles\nCC\nCCC\n")
    (tmp_path / "b.csv").write_text("smiles,canonical_smiles\nN,CCCC\n")
    files = Files(str(tmp_path / "a.csv"), validation=str(tmp_path / "b.csv"))
    assert molecules(files)[:2] == ([2, 3], [4])
    assert molecules(Files(files.validation or "", validation=files.corpus))[:2] == ([1], [2, 3])


@pytest.mark.usefixtures("data_dir")
def test_a_public_set_is_named_with_its_part() -> None:
    told = read_corpus(Files("uspto-15k:dev", validation="uspto-15k:test"), "reactions", ("graph",))
    assert len(told.train) + len(told.valid) < 15_000
    assert all(">" in text for text in told.train[:50])
    both = read_corpus(Files("uspto-15k", split="split"), "reactions", ("graph",))
    assert both.valid == told.train
    with pytest.raises(UserError, match=r"A part of this public set has a name: uspto-15k:train\."):
        read_corpus(Files("uspto-15k"), "reactions", ("graph",))
    with pytest.raises(
        UserError, match=r"No row of uspto-mit here is of the part 'train'; there are 30,000 of valid and"
    ):
        read_corpus(Files("uspto-mit:train"), "reactions", ("graph",))
    with pytest.raises(UserError, match=r"There is no part named 'tran'\. Did you mean 'train'"):
        read_corpus(Files("uspto-15k:tran"), "reactions", ("graph",))
    with pytest.raises(UserError, match="'esol' has no parts, so there is no esol:train"):
        read_corpus(Files("esol:train"), "molecules", ("graph",))
    assert len(read_corpus(Files("esol"), "molecules", ("graph",)).train) == 1128


def test_parts_that_share_names_are_told() -> None:
    names = [f"m{k % 15}" for k in range(20)]
    train, valid, told = given(names, np.delete(np.arange(20), 3), 12)
    assert (train.tolist(), valid.tolist()) == ([0, 1, 2, *range(4, 12)], list(range(12, 20)))
    assert told == "11 rows to learn from, 8 choose the weights; 4 molecules stand in both parts."
    assert given(list(map(str, range(20))), np.arange(20), 12)[2] == "12 rows to learn from, 8 choose the weights."
    with pytest.raises(UserError, match="No reactions of the part that chooses the weights can be read"):
        given(names, np.arange(12), 12, "reactions")
    with pytest.raises(UserError, match="9 rows of the part to learn from can be read; at least 10 are needed"):
        given(names, np.arange(3, 20), 12)

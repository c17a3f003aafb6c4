"""Splits are exact partitions, equal hand-worked examples, and carry the hash of their index lists."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import chain
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetramer.datasets import splits
from tetramer.datasets.sources import load
from tetramer.datasets.splits import (
    SPLITS,
    balanced_order,
    fill,
    from_column,
    kfold,
    largest_first,
    leak,
    make,
    own_groups,
)
from tetramer.errors import UserError

SIZES = (0.8, 0.1, 0.1)
needs_data = pytest.mark.skipif("TETRAMER_DATA" not in os.environ, reason="TETRAMER_DATA names no folder of data sets")


@pytest.fixture
def letters(monkeypatch):
    """The scaffold of a text is its first letter, none for `x`; chirality adds the second."""

    def scaffolds(texts, chirality):
        return ["" if text[0] == "x" else text[: 2 if chirality else 1] for text in texts]

    monkeypatch.setattr(splits, "scaffolds", scaffolds)


def parts(split):
    return split.train.tolist(), split.valid.tolist(), split.test.tolist()


def straddles(sides):
    """Whether the three sets are not disjoint."""
    return len(set.union(*sides)) < sum(map(len, sides))


def make_or_refuse(*args, **rest):
    """A split, or None where a part would be empty."""
    try:
        return make(*args, **rest)
    except UserError as error:
        if "part empty" not in str(error):
            raise
        return None


def groups(*sizes):
    """Consecutive rows in groups of these sizes."""
    ends = np.cumsum(sizes).tolist()
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def test_class_d_order_is_by_size_then_first_row_both_descending():
    assert largest_first(groups(1, 2, 3, 2, 1)) == [[3, 4, 5], [6, 7], [1, 2], [8], [0]]


def test_our_fill_and_deepchems_differ_where_train_has_room_left():
    """Ten rows, 8/1/1: seven train; the pair fits neither train nor our valid, but train and valid together."""
    given = groups(7, 2, 1)
    assert parts(fill(given, 10, SIZES, "")) == ([0, 1, 2, 3, 4, 5, 6, 9], [], [7, 8])
    assert parts(fill(given, 10, SIZES, "", deepchem=True)) == ([0, 1, 2, 3, 4, 5, 6, 9], [7, 8], [])


def test_shares_that_are_no_binary_fractions_count_exactly():
    split = fill(groups(*[1] * 30), 30, (0.7, 0.2, 0.1), "")
    assert split.sizes == (21, 6, 3)


def test_class_d_by_hand_with_a_tie_and_an_acyclic_block(letters):
    """20 rows: a×12, acyclic×4 and two pairs b, c (a tie), then d, e. Train holds 16, valid 2, test the rest."""
    texts = ["b1", "b2", "c1", "c2", *["x1"] * 4, *["a1"] * 12]
    split = make("scaffold", texts[:20], seed=5)
    assert split.name == "D-ours-nochiral"
    assert parts(split) == ([*range(4, 20)], [2, 3], [0, 1])  # of the pairs the later one goes first


def test_chirality_makes_more_groups(letters):
    """Without it a is 11 and, with b, fills train; with it a2 is a pair like c and d, and the earliest of the three."""
    texts = [*["a1"] * 9, *["a2"] * 2, *["b1"] * 5, *["c1"] * 2, *["d1"] * 2]
    assert parts(make("D-ours-nochiral", texts)) == ([*range(16)], [18, 19], [16, 17])
    assert parts(make("D-ours-chiral", texts)) == ([*range(9), *range(11, 16), 18, 19], [16, 17], [9, 10])


def test_an_empty_part_is_refused(letters):
    with pytest.raises(
        UserError, match="leaves the valid part empty: 20 usable rows are too few, or fall into too few"
    ):
        make("scaffold", [*["a1"] * 18, "b1", "b2"])


def test_balanced_by_a_slow_hand_count():
    """A second writing of the published rule, on random groups."""
    rng = np.random.default_rng(0)
    for seed in range(50):
        given = groups(*rng.integers(1, 12, rng.integers(5, 40)).tolist())
        n = sum(map(len, given))
        random = Random(seed)
        big = [g for g in given if len(g) > 0.1 * n / 2 or len(g) > 0.1 * n / 2]
        small = [g for g in given if not (len(g) > 0.1 * n / 2 or len(g) > 0.1 * n / 2)]
        random.seed(seed)
        random.shuffle(big)
        random.shuffle(small)
        train, valid, test = [], [], []
        for group in big + small:
            if len(train) + len(group) <= 0.8 * n:
                train += group
            elif len(valid) + len(group) <= 0.1 * n:
                valid += group
            else:
                test += group
        split = fill(balanced_order(given, n, SIZES, seed), n, SIZES, "")
        assert parts(split) == (sorted(train), sorted(valid), sorted(test))


def test_balanced_puts_large_groups_first_by_hand():
    """Forty rows: half of the test share is 2, so groups of 3 and more come first, whatever the seed."""
    given = groups(2, 3, 1, 14, 2, 18)
    for seed in range(10):
        order = balanced_order(given, 40, SIZES, seed)
        assert sorted(map(len, order[:3])) == [3, 14, 18]
        assert sorted(map(len, order[3:])) == [1, 2, 2]
    assert len({str(balanced_order(given, 40, SIZES, seed)) for seed in range(10)}) > 1


def test_random_is_a_philox_permutation():
    order = np.random.Generator(np.random.Philox(7)).permutation(20)
    split = make("random", ["C"] * 20, seed=7)
    assert parts(split) == (sorted(order[:16].tolist()), sorted(order[16:18].tolist()), sorted(order[18:].tolist()))
    assert parts(make("random", ["C"] * 20, seed=8)) != parts(split)


TEXTS = st.lists(st.sampled_from(["", *[a + b for a in "abcdefx" for b in "12"]]), min_size=40, max_size=120)


@pytest.mark.parametrize("name", SPLITS)
@given(texts=TEXTS, seed=st.integers(0, 2**32), labelled=st.randoms())
@settings(deadline=None, max_examples=40)
def test_parts_are_disjoint_and_cover_the_usable_rows(name, texts, seed, labelled):
    mask = np.array([labelled.random() < 0.9 for _ in texts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            splits, "scaffolds", lambda some, chirality: ["" if t[0] == "x" else t[: 1 + chirality] for t in some]
        )
        split = make_or_refuse(name, texts, seed, valid_labels=mask)
        again = make_or_refuse(name, texts, seed, valid_labels=mask)
    if split is None:
        return
    usable = [row for row, text in enumerate(texts) if text and mask[row]]
    assert sorted(chain(*parts(split))) == usable
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in (split.train, split.valid, split.test))
    assert len(split.train) <= 0.8 * len(usable) + 1e-9 or name == "none"
    assert split.sha256 == again.sha256
    if name not in ("random", "none"):
        keep = 2 if name.endswith("-chiral") else 1
        sides = [{texts[row][:keep] for row in part if texts[row][0] != "x"} for part in parts(split)]
        assert not straddles(sides)
    if name not in ("random", "none", "grouped"):
        assert sum(any(texts[row][0] == "x" for row in part) for part in parts(split)) <= 1


def test_the_hash_is_that_of_the_index_lists():
    split = make("random", ["C"] * 10, seed=0)
    train, valid, test = (str(part).replace(" ", "") for part in parts(split))
    written = f'{{"test":{test},"train":{train},"valid":{valid}}}'
    assert split.sha256 == hashlib.sha256(written.encode()).hexdigest()
    moved = splits.Split(split.train[1:], np.append(split.valid, split.train[0]), split.test, split.name)
    assert moved.sha256 != split.sha256


def test_another_process_makes_the_same_splits():
    code = (
        "from tetramer.datasets.splits import make\n"
        "s = ['C' * (i // 30 + 1) + 'C1' + 'C' * (i % 30 + 1) + 'C1' for i in range(150)] + ['C' * 9] * 8\n"
        "print(*[make(n, s, 3).sha256 for n in ('random', 'scaffold', 'scaffold-balanced', 'grouped')])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in (1, 2)
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 4


def test_our_own_groups_join_by_key_and_by_scaffold():
    keys = ["A", "B", "A", "C", "D", "E", "E"]
    scaffold = ["ring", "", "other", "", "other", "", ""]
    found = own_groups(keys, scaffold).tolist()
    assert [found.count(group) for group in found] == [
        3,
        1,
        3,
        1,
        3,
        2,
        2,
    ]  # A joins both rings; acyclic rows stay apart
    assert found[0] == found[2] == found[4]


@given(st.lists(st.tuples(st.sampled_from("ABCDEFGHIJ"), st.sampled_from(["", *"pqrstuvw"])), min_size=30, max_size=90))
@settings(deadline=None, max_examples=60)
def test_our_own_split_never_straddles_and_forgets_the_row_order(rows):
    def scaffolds(texts, _):
        return [text.partition("|")[2] for text in texts]

    texts = ["|".join(row) for row in rows]
    order = np.random.default_rng(0).permutation(len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "scaffolds", scaffolds)
        one = make_or_refuse("grouped", texts, 1, keys=[key for key, _ in rows])
        two = make_or_refuse("grouped", [texts[i] for i in order], 1, keys=[rows[i][0] for i in order])
    if one is None:
        assert two is None
        return
    for part in ("train", "valid", "test"):
        first, second = getattr(one, part), getattr(two, part)
        assert Counter(texts[i] for i in first) == Counter(texts[order[i]] for i in second)
    for what in (0, 1):
        sides = [{rows[i][what] for i in part} - {""} for part in parts(one)]
        assert not straddles(sides)


def test_our_own_split_puts_large_groups_into_train(letters):
    """Forty rows: half of the test share is 2, so the groups of 3 train whatever the seed; the pairs go by its hash."""
    texts = [
        *["a1", "a2", "a3"] * 3,
        *["b1", "b2", "b3"],
        *(f"{letter}{i}" for letter in "cdefghijklmnop" for i in (1, 2)),
    ]
    for seed in range(20):
        split = make("grouped", texts, seed)
        assert split.name == "grouped"
        assert set(range(12)) <= set(split.train.tolist())
        assert split.sizes == (32, 4, 4)
    assert len({make("grouped", texts, seed).sha256 for seed in range(20)}) > 10


@pytest.mark.parametrize("sizes", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1)])
def test_sizes_must_be_shares(sizes):
    with pytest.raises(UserError, match="must be three shares"):
        make("random", ["C"] * 30, sizes=sizes)


def test_a_part_of_size_zero_may_be_empty():
    assert make("random", ["C"] * 30, sizes=(0.9, 0.0, 0.1)).sizes == (27, 0, 3)


def test_an_unknown_split_lists_the_known():
    with pytest.raises(UserError, match=r"no split named 'scafold'. Did you mean 'scaffold'"):
        make("scafold", ["C"])


def test_a_split_column_is_read_in_many_spellings():
    split = from_column(["Train", "valid", " TEST ", "", None, "dev", "training"], "Model")
    assert parts(split) == ([0, 6], [1, 5], [2])
    assert split.name == "column Model"
    masked = from_column(["train", "train", "test"], "s", np.array([True, False, True]))
    assert parts(masked) == ([0], [], [2])


def test_a_split_column_with_other_words_is_refused():
    with pytest.raises(UserError, match=r"Column 's' holds 'fold 1' in row 2; a split is train, valid or test"):
        from_column(["train", "fold 1"], "s")
    with pytest.raises(UserError, match="names no row as train"):
        from_column(["test"], "s")


@given(st.integers(2, 80), st.integers(2, 10), st.integers(0, 99))
@settings(deadline=None)
def test_folds_cover_every_row_once(n, k, seed):
    if k > n:
        with pytest.raises(UserError, match="cannot be cut"):
            kfold(n, k, seed)
        return
    folds = kfold(n, k, seed)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(n))
    assert max(len(fold.test) for fold in folds) - min(len(fold.test) for fold in folds) <= 1
    assert all(sorted([*fold.train, *fold.test]) == list(range(n)) and not len(fold.valid) for fold in folds)
    assert [fold.sha256 for fold in folds] == [fold.sha256 for fold in kfold(n, k, seed)]


def test_folds_are_pieces_of_the_seeds_permutation():
    order = np.random.Generator(np.random.Philox(3)).permutation(7)
    assert [fold.name for fold in kfold(7, 3, 3)] == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    assert [fold.test.tolist() for fold in kfold(7, 3, 3)] == [
        sorted(order[a:b].tolist()) for a, b in [(0, 3), (3, 5), (5, 7)]
    ]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=8, max_size=80), st.integers(0, 9))
@settings(deadline=None)
def test_no_group_is_cut(keys, seed):
    if len(set(keys)) < 3:
        with pytest.raises(UserError, match="without cutting a group"):
            kfold(len(keys), 3, seed, keys)
        return
    folds = kfold(len(keys), 3, seed, keys)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(len(keys)))
    for fold in folds:
        assert len(fold.test)
        assert not {keys[row] for row in fold.test} & {keys[row] for row in fold.train}


def test_grouped_folds_are_as_even_as_large_groups_allow():
    keys = list("aaaaaabbbbccddef")
    assert sorted(len(fold.test) for fold in kfold(16, 3, 0, keys)) == [5, 5, 6]


def test_the_leak_is_counted_by_hand(letters):
    split = splits.Split(np.array([0, 1]), np.array([2]), np.array([3, 4, 5, 6, 7]), "")
    texts = ["a1", "x1", "b1", "a1", "b2", "x1", "c1", "x2"]
    assert leak(split, texts) == {"test": 5, "molecules": 2, "scaffolds": 2}  # a1 and x1; a and b, never no scaffold


@needs_data
def test_esol_has_the_documented_sizes():
    texts = load("esol").texts
    ours, theirs = make("D-ours-nochiral", texts), make("D-deepchem-nochiral", texts)
    assert ours.sizes == (902, 112, 114)
    assert theirs.sizes == (902, 113, 113)
    assert make("scaffold", texts, seed=9).sha256 == ours.sha256
    assert leak(ours, texts)["scaffolds"] == 0
    assert leak(make("random", texts), texts)["scaffolds"] > 30


@needs_data
def test_bace_carries_the_authors_split():
    table = load("bace")
    split = from_column(table.data["Model"].to_pylist(), "Model")
    assert sum(split.sizes) == 1513

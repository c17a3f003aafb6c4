"""Splits are exact partitions, equal hand-worked examples, and carry the hash of their index lists."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetramer.datasets import clusters, splits
from tetramer.datasets.partitions import kept_aside, repeats
from tetramer.datasets.sources import load
from tetramer.datasets.splits import (
    COLUMNS,
    SPLITS,
    balanced_order,
    fill,
    from_column,
    kfold,
    largest_first,
    leak,
    load_split,
    make,
    own_groups,
    repeated_kfold,
    save,
)
from tetramer.datasets.strata import strata
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.views.bits import environments

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
        if "part empty" not in str(error) and "names no row as train" not in str(error):
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


SCAFFOLD_RULES = set(SPLITS) - {"random", "stratified", "butina", "group", "time", "column", "none"}
TEXTS = st.lists(st.sampled_from(["", *[a + b for a in "abcdefx" for b in "12"]]), min_size=40, max_size=120)


@pytest.mark.parametrize("name", SPLITS)
@given(texts=TEXTS, seed=st.integers(0, 2**32), labelled=st.randoms())
@settings(deadline=None, max_examples=40)
def test_parts_are_disjoint_and_cover_the_usable_rows(name, texts, seed, labelled):
    seed = seed % 3 if name == "B-grover-3" else seed
    keys = {"group": [f"g{i % 13}" for i in range(len(texts))], "time": [i // 2 for i in range(len(texts))]}.get(name)
    keys = [text[:1] for text in texts] if name == "stratified" else keys
    keys = [("train", "valid", "test", "TRAIN ")[i % 4] for i in range(len(texts))] if name == "column" else keys
    mask = np.array([labelled.random() < 0.9 for _ in texts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            splits, "scaffolds", lambda some, chirality: ["" if t[0] == "x" else t[: 1 + chirality] for t in some]
        )
        split = make_or_refuse(name, texts, seed, valid_labels=mask, keys=keys)
        again = make_or_refuse(name, texts, seed, valid_labels=mask, keys=keys)
    if split is None:
        return
    usable = [row for row, text in enumerate(texts) if text and mask[row]]
    assert sorted(chain(*parts(split))) == usable
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in (split.train, split.valid, split.test))
    assert len(split.train) <= 0.8 * len(usable) + 1e-9 or name in ("none", "torchdrug", "column")
    assert split.sha256 == again.sha256
    if name == "group":
        assert not straddles([{keys[row] for row in part} for part in parts(split)])
    if name in SCAFFOLD_RULES:
        keep = 2 if name.endswith("-chiral") or name == "torchdrug" else 1
        sides = [{texts[row][:keep] for row in part if texts[row][0] != "x"} for part in parts(split)]
        assert not straddles(sides)
    if name in SCAFFOLD_RULES and name != "grouped":
        assert sum(any(texts[row][0] == "x" for row in part) for part in parts(split)) <= 1


def test_mixed_scaffolds_are_tested_as_class_d_and_train_small_ones_too():
    """Class D validates on groups that are smaller than those that train; mixed, groups of one train as well."""
    texts = [
        f"{name}{k}" for name, size in zip("abcdefghijklmnopqrst", [30] + 19 * [5], strict=True) for k in range(size)
    ]
    texts += [f"{letter}0" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "scaffolds", lambda some, chirality: [t[0] for t in some])
        plain, mixed = make("scaffold", texts), make("scaffold-mixed", texts)
        assert make("scaffold-mixed", texts, seed=5).sha256 == mixed.sha256
    assert mixed.test.tolist() == plain.test.tolist()
    assert mixed.sizes == plain.sizes
    alone = {row for row, text in enumerate(texts) if text[0].isupper()}
    assert not alone & set(plain.train.tolist())
    assert alone & set(mixed.train.tolist())


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
        "k = [i % 40 for i in range(158)]\n"
        "names = ('random', 'scaffold', 'scaffold-balanced', 'grouped', 'torchdrug', 'group', 'stratified', 'time')\n"
        "print(*[make(n, s, 3, keys=None if n == 'grouped' else k).sha256 for n in names])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in (1, 2)
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 8


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


def test_the_rule_column_takes_the_parts_as_they_are_named():
    words = ["train", "test", "", "Train", "dev", "test", None]
    split = make("column", ["C"] * 7, seed=5, valid_labels=np.arange(7) != 5, keys=words)
    assert parts(split) == ([0, 3], [4], [1])
    assert split.sha256 == from_column(words, "s", np.arange(7) != 5).sha256
    assert parts(make("column", ["C"] * 3, keys=["train", "test", "train"])) == ([0, 2], [], [1])
    with pytest.raises(UserError, match="leaves the test part empty"):
        make("column", ["C"] * 3, keys=["train", "valid", "train"])


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


def test_the_leak_is_counted_by_hand():
    split = splits.Split(np.array([0, 1]), np.array([2]), np.array([3, 4, 5, 6, 7]), "")
    texts = ["Cc1ccccc1", "CCO", "CC1CCCCC1", "Cc1ccccc1", "OC1CCCCC1", "CCO", "c1ccncc1", "CCN"]
    # toluene and ethanol; the rings of toluene and methylcyclohexane, never the missing ring of ethanol
    assert leak(split, texts) == {"test": 5, "molecules": 2, "scaffolds": 2}


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


def test_time_by_hand_ties_stay_together_and_the_oldest_train():
    """Of 19 rows with a time 15.2 may train: those of 2001 to 2014, since the two of 2015 would make it 16.

    Train and valid together may hold 17.1: the two of 2015 make it 16, the one of 2016 makes it 17.
    """
    years = [2020, 2019, *range(2001, 2015), 2015, 2015, 2016, ""]
    split = make("time", ["C"] * 20, keys=years)
    assert parts(split) == ([*range(2, 16)], [16, 17, 18], [0, 1])
    texts = [f"{year}-05" if year else None for year in years]
    assert parts(make("time", ["C"] * 20, keys=texts)) == parts(split)
    assert make("time", ["C"] * 20, 7, keys=years).sha256 == split.sha256  # the seed does not matter


def test_a_block_of_one_time_is_not_cut():
    days = ["2020-01-01"] * 7 + ["2020-01-02"] * 2 + ["2020-01-02T12:00"] + ["2020/01/03"]
    assert parts(make("time", ["C"] * 11, keys=days, sizes=(0.7, 0.2, 0.1))) == ([*range(7)], [7, 8], [9, 10])
    days[8] = "2020-01-02T12:00"
    assert parts(make("time", ["C"] * 11, keys=days, sizes=(0.7, 0.2, 0.1))) == ([*range(7)], [7], [8, 9, 10])


def test_times_may_be_numbers_dates_or_texts():
    moments = [datetime(2020, 1, day, tzinfo=UTC) for day in range(1, 21)]
    by_hand = ([*range(16)], [16, 17], [18, 19])
    for keys in (
        moments,
        [moment.date() for moment in moments],
        [moment.timestamp() for moment in moments],
        [moment.isoformat() for moment in moments],
        [f" {moment.date()} " for moment in moments],
        [str(-100 + day) for day in range(20)],
        np.array([f"{moment:%Y-%m-%d}" for moment in moments], "datetime64[ns]"),
    ):
        assert parts(make("time", ["C"] * 20, keys=keys)) == by_hand
    zones = ["2020-01-01T00:00+02:00", "2020-01-01"]
    assert splits._moments([0, 1], zones).tolist() == [1577829600.0, 1577836800.0]


@pytest.mark.parametrize("odd", ["31.12.2019", "last year", "inf", "2019-13-01"])
def test_what_is_no_time_is_refused_with_its_row(odd):
    with pytest.raises(UserError, match=rf"needs dates like 2024-03-31 or numbers, but row 3 .* holds '{odd}'"):
        make("time", ["C"] * 4, keys=["2019-01-01", None, odd, "2020"])


def test_groups_by_a_column_are_never_cut_and_forget_the_row_order():
    keys = [f"series {i % 23}" for i in range(200)]
    keys[5] = keys[6] = None
    order = np.random.default_rng(1).permutation(200)
    one, two = make("group", ["C"] * 200, 3, keys=keys), make("group", ["C"] * 200, 3, keys=[keys[i] for i in order])
    sides = [{keys[row] for row in part} for part in parts(one)]
    assert not straddles(sides)
    assert sum(one.sizes) == 198
    assert not {5, 6} & set(chain(*parts(one)))
    for part in ("train", "valid", "test"):
        first, second = getattr(one, part), getattr(two, part)
        assert Counter(keys[row] for row in first) == Counter(keys[order[row]] for row in second)
    assert make("group", ["C"] * 200, 4, keys=keys).sha256 != one.sha256


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=30, max_size=200), st.integers(0, 2**40))
def test_stratified_gives_every_class_its_share(keys, seed):
    split, plain = make("stratified", ["C"] * len(keys), seed, keys=keys), make("random", ["C"] * len(keys), seed)
    assert split.sizes == plain.sizes
    for name in set(keys):
        held = [sum(keys[row] == name for row in part) for part in parts(split)]
        for count, size in zip(held, split.sizes, strict=True):
            assert abs(count - keys.count(name) * size / len(keys)) < 2


def test_stratified_by_value_puts_every_decile_into_every_part():
    values = np.random.default_rng(0).normal(size=1000)
    split = make("stratified", ["C"] * 1000, 1, keys=values)
    assert split.sizes == (800, 100, 100)
    decile = np.argsort(np.argsort(values)) // 100
    for part, each in zip((split.train, split.valid, split.test), (80, 10, 10), strict=True):
        assert np.abs(np.bincount(decile[part], minlength=10) - each).max() <= 1
    assert make("stratified", ["C"] * 1000, 2, keys=values).sha256 != split.sha256


def test_classes_written_in_two_ways_are_one():
    assert strata(["0", "0.0", 1, "1", None]).tolist() == [1, 1, 2, 2, -1]
    assert strata(["x", None, "x", ""]).tolist()[::2] == [2, 2]
    few = strata([*range(20)])
    assert len(set(few.tolist())) == 20
    assert len(set(strata([*range(21)]).tolist())) == 10


def test_torchdrug_by_hand():
    """Groups of 5, 9, 1, 3, 2 and 4 in the order 9 5 3 1 2 4: ends at 9, 14, 17, 18, 20, 24.

    The first cut, at 16, is next to 17; the second, at 17 + 2 = 19, is next to 18 and, as near, 20: the lower one.
    """
    found = splits.torchdrug_parts(groups(5, 9, 1, 3, 2, 4), [1, 0, 3, 2, 4, 5], (16, 2))
    assert found == [[*range(5, 14), *range(5), *range(15, 18)], [14], [*range(18, 24)]]
    given = groups(5, 9, 1, 3, 2)  # ends at 5, 14, 15, 18, 20: the cut at 16 goes down to 15, the one at 17 up to 18.
    assert [len(part) for part in splits.torchdrug_parts(given, range(5), (16, 2))] == [15, 3, 2]
    # No end of a group within reach of the cut, which then goes to the nearer end of the list.
    assert [len(part) for part in splits.torchdrug_parts(groups(20), [0], (16, 2))] == [20, 0, 0]
    assert [len(part) for part in splits.torchdrug_parts(groups(10, 10), [0, 1], (4, 2))] == [0, 0, 20]


def test_torchdrug_by_a_slow_twin_on_labels():
    """A second writing over the list of group labels in place of the ends of groups."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        given = groups(*rng.integers(1, 9, rng.integers(1, 12)).tolist())
        places = rng.permutation(len(given)).tolist()
        label = [place for place in range(len(given)) for _ in given[places.index(place)]]
        n, wanted, cuts = len(label), (int(0.8 * len(label)), int(0.1 * len(label))), [0]
        for length in wanted:
            at, found = cuts[-1] + length, None
            for step in range(min(at, n - at)):
                for place in (at - step, at + step):
                    if found is None and label[place] != label[place - 1]:
                        found = place
            cuts.append(found if found is not None else 0 if at < n - at else n)
        rows = [row for place in range(len(given)) for row in given[places.index(place)]]
        expected = [rows[: cuts[1]], rows[cuts[1] : cuts[2]], rows[cuts[2] :]]
        assert splits.torchdrug_parts(given, places, wanted) == expected


@pytest.mark.parametrize("seed", [0, 1, 2**31 + 7])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 800])
def test_torchdrugs_order_is_torchs_permutation(count, seed):
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    assert splits._randperm(count, seed) == torch.randperm(count).tolist()


def test_grovers_parity_split_has_three_seeds():
    texts = [f"C1{'C' * size}C1{end}" for size in range(1, 21) for end in "ONF"]
    for seed in (0, 1, 2):
        split = make("B-grover-3", texts, seed)
        assert (split.name, split.sha256) == ("B-grover-3", make("scaffold-balanced", texts, seed).sha256)
    with pytest.raises(UserError, match=r"has the seeds 0, 1 and 2, not 3\. 'scaffold-balanced' takes any seed"):
        make("B-grover-3", texts, 3)


def bits_of(*rows):
    bits = np.zeros((len(rows), 16), bool)
    for row, on in enumerate(rows):
        bits[row, list(on)] = True
    return bits


def test_butina_by_hand():
    """Row 1 has three neighbours (0, 2, itself), also row 2 (1, 3); ties by row: 1 takes 0 and 2, then 3 is alone."""
    bits = bits_of({0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 5}, {9}, set(), set())
    assert clusters.butina(bits, 0.5).tolist() == [0, 0, 0, 1, 2, 3, 4]
    assert clusters.butina(bits, 0.2).tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert clusters.butina(bits, 0.51).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_pair_exactly_at_the_cut_off_is_similar():
    bits = bits_of({0, 1, 2, 3}, {0, 1, 4})  # 2 / 5
    assert clusters.butina(bits, 0.4).tolist() == [0, 0]
    assert clusters.butina(bits, 0.4001).tolist() == [0, 1]


@given(st.integers(1, 40), st.integers(0, 99), st.sampled_from([0.3, 0.5, 0.8]))
def test_butina_by_a_slow_twin(n, seed, similar):
    bits = np.random.default_rng(seed).random((n, 12)) < 0.4
    sets = [set(np.flatnonzero(row).tolist()) for row in bits]

    def near(a, b):
        return a == b or len(sets[a] & sets[b]) / max(len(sets[a] | sets[b]), 1) >= similar

    lists = [[b for b in range(n) if near(a, b)] for a in range(n)]
    expected, found = [-1] * n, 0
    for a in sorted(range(n), key=lambda a: -len(lists[a])):
        if expected[a] < 0:
            for b in lists[a]:
                expected[b] = found if expected[b] < 0 else expected[b]
            found += 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "BLOCK", 8)
        assert clusters.butina(bits, similar).tolist() == expected


def test_butina_refuses_what_would_not_fit_into_memory(monkeypatch):
    monkeypatch.setattr(clusters, "MOST", 3)
    with pytest.raises(UserError, match="compares every pair, and 4 molecules are too many"):
        clusters.butina(np.zeros((4, 8), bool))


@needs_data
def test_butina_cuts_no_cluster_and_forgets_the_row_order():
    texts = load("freesolv").texts
    order = np.random.default_rng(0).permutation(len(texts))
    one, two = make("butina", texts, 1), make("butina", [texts[i] for i in order], 1)
    assert [set(order[getattr(two, part)].tolist()) for part in ("train", "valid", "test")] == list(
        map(set, parts(one))
    )
    by_text = sorted(range(len(texts)), key=texts.__getitem__)
    cluster = dict(zip(by_text, clusters.butina(environments([texts[i] for i in by_text])).tolist(), strict=True))
    assert not straddles([{cluster[row] for row in part} for part in parts(one)])
    assert one.sizes == (513, 64, 65)


def test_rules_that_need_a_column_ask_for_it():
    for name, what in COLUMNS.items():
        with pytest.raises(UserError, match=f"The split '{name}' needs a column of {what}"):
            make(name, ["C"] * 30)
    with pytest.raises(UserError, match="2 keys were given for 30 rows"):
        make("group", ["C"] * 30, keys=["a", "b"])


def test_repeated_folds_are_rounds_of_other_folds():
    folds = repeated_kfold(20, 4, 3, 5)
    assert [fold.name for fold in folds[3:5]] == ["fold 4 of 4, repeat 1 of 3", "fold 1 of 4, repeat 2 of 3"]
    assert [fold.sha256 for fold in folds[:4]] == [fold.sha256 for fold in kfold(20, 4, 5)]
    for start in (0, 4, 8):
        assert sorted(chain(*[fold.test.tolist() for fold in folds[start : start + 4]])) == list(range(20))
    assert len({fold.sha256 for fold in folds}) == 12
    assert [fold.sha256 for fold in folds] == [fold.sha256 for fold in repeated_kfold(20, 4, 3, 5)]
    keys = [i // 3 for i in range(20)]
    for fold in repeated_kfold(20, 3, 2, 0, keys):
        assert not {keys[row] for row in fold.train} & {keys[row] for row in fold.test}
    with pytest.raises(UserError, match="0 repeats of 4 folds: at least one is needed"):
        repeated_kfold(20, 4, 0, 5)


def test_keys_add_to_the_leak():
    split = splits.Split(np.array([0, 1]), np.array([2]), np.array([3, 4, 5]), "")
    texts = ["C[C@H](F)Cl", "CO", "CCC", "C[C@@H](F)Cl", "CN", "CO"]
    assert leak(split, texts) == {"test": 3, "molecules": 1, "scaffolds": 0}
    assert leak(split, texts, ["K", "", "L", "K", "", ""]) == {"test": 3, "molecules": 1, "scaffolds": 0, "keys": 1}


def test_an_index_file_is_canonical_and_comes_back(tmp_path):
    split = make("random", ["C"] * 20, 1)
    save(split, tmp_path / "new" / "split.json")
    text = (tmp_path / "new" / "split.json").read_text()
    told = json.loads(text)
    assert text == json.dumps(told, separators=(",", ":"), sort_keys=True) + "\n"
    assert (told["sha256"], told["test"]) == (split.sha256, split.test.tolist())
    back = load_split(tmp_path / "new" / "split.json", 20)
    assert (back.name, back.sha256, parts(back)) == ("random", split.sha256, parts(split))
    assert all(part.dtype == np.int64 for part in (back.train, back.valid, back.test))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["split.json"]


def test_an_altered_index_file_is_refused(tmp_path):
    place = tmp_path / "split.json"
    save(splits.Split(np.array([0, 2]), np.array([1]), np.array([3]), "x"), place)
    text = place.read_text()
    for old, new in [('"train":[0,2]', '"train":[0,4]'), ('"valid":[1]', '"valid":[]'), ('"sha256":"', '"sha256":"0')]:
        assert old in text
        place.write_text(text.replace(old, new))
        with pytest.raises(UserError, match="was altered: its index lists do not have the SHA-256"):
            load_split(place)
    place.write_text(text)
    with pytest.raises(UserError, match="names row 4, but the data have 3 rows: it was made for other data"):
        load_split(place, 3)


ODD_FILES = ["", "[]", "{}", "null", '{"train":0}', "\x00", "[" * 100_000, '{"train":[1e999]}']
ODD_LISTS = ["[2,0]", "[0,0]", "[0,1]", "[-1]", "[0.0]", "[true]", '["0"]', "0", "null", "[99999999999999999999]", "{}"]


@pytest.mark.parametrize("text", [*ODD_FILES, *ODD_LISTS], ids=range(len(ODD_FILES) + len(ODD_LISTS)))
def test_what_is_no_index_file_is_refused(tmp_path, text):
    if text in ODD_LISTS:
        text = f'{{"name":"x","sha256":"0","test":[3],"train":{text},"valid":[1]}}'
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(UserError, match=r"is not an index file of a split as tetramer writes it"):
        load_split(tmp_path / "split.json")


def test_index_files_that_cannot_be_read_or_written(tmp_path):
    (tmp_path / "split.json").touch()
    with pytest.raises(UserError, match=r"no file 'splt.json' .* Did you mean 'split.json'"):
        load_split(tmp_path / "splt.json")
    with pytest.raises(UserError, match="is a folder"):
        save(make("none", ["C"]), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        save(make("none", ["C"]), tmp_path / "file" / "split.json")


def test_leaks_of_many_molecules_are_counted_by_workers(smiles: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*smiles, *smiles[::7]]
    split = make("random", texts)
    expected = leak(split, texts)
    assert expected["molecules"] > 0
    assert leak(split, texts, limits=Limits(1)) == expected
    monkeypatch.setattr("tetramer.datasets.splits.MANY", 10)
    assert leak(split, texts, limits=Limits(1)) == expected


@pytest.mark.parametrize("seed", range(8))
def test_grouped_keeps_isomers_together(seed):
    texts = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", *(f"{'C' * k}O" for k in range(1, 30))]
    split = make("grouped", texts, seed)
    assert any({0, 1} <= set(part) for part in parts(split))


def test_refused_rows_are_no_shared_molecule():
    split = splits.Split(np.array([0, 1]), np.array([], int), np.array([2, 3]), "")
    assert leak(split, ["CC", "", "", "CCO"])["molecules"] == 0


def test_rows_of_one_name_are_kept_aside_together():
    assert repeats(["a", "b", "c", "a"], np.arange(3)) is None
    assert repeats(["a", "a", "a"], np.arange(3)) is None
    same = repeats(["a", "b", "a", "c", "d", "c", "c", "c"], np.arange(8))
    assert same.tolist() == [0, 1, 0, 2, 3, 2, 2, 2]
    order = np.array([0, 3, 4, 1, 2, 5, 6, 7])
    assert np.flatnonzero(kept_aside(order, None, 2)).tolist() == [0, 3]
    assert np.flatnonzero(kept_aside(order, same, 2)).tolist() == [0, 2]  # the two of a
    assert np.flatnonzero(kept_aside(order, same, 3)).tolist() == [0, 2, 4]  # the four of c are too many
    assert np.flatnonzero(kept_aside(order, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 2)).tolist() == [0, 3]

"""The splits of a benchmark: which rule, which class of protocol, and what the parts of one data set have in common."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.benchmark.cases import Case
from tetramer.benchmark.correlation import correlation, overlap, whole
from tetramer.benchmark.efficiency import DEM
from tetramer.benchmark.efficiency import RULES as DEM_RULES
from tetramer.benchmark.grouping import ONE_SPLIT
from tetramer.datasets import splits
from tetramer.datasets.index_files import IndexFile
from tetramer.datasets.partitions import split_of
from tetramer.datasets.splits import SPLITS, Split
from tetramer.datasets.writing import write_whole
from tetramer.errors import UserError, nearest
from tetramer.molecules import Limits
from tetramer.molecules.keys import keys

ALIASES = {"B": "scaffold-balanced", "B-grover": "scaffold-balanced", "D": "scaffold", "R": "random"}
CLASSES = {
    "scaffold": "D",
    "D-ours-nochiral": "D",
    "D-ours-chiral": "D",
    "D-deepchem-nochiral": "D",
    "D-deepchem-chiral": "D",
    "scaffold-balanced": "B",
    "B-grover-3": "B",
    "random": "R",
    "stratified": "R",
}
"""Rule → letter of its class of protocol; numbers of two classes are never compared. Other rules have a class each."""


FOLDS = re.compile(r"kfold-([2-9]|[1-9][0-9]{1,2})(?:x([1-9][0-9]?))?")  # folds, and how often: kfold-5, kfold-5x3
KFOLD = "kfold"
SAME = {"scaffold": "D-ours-nochiral"}  # of two names of one rule, that in an index file


def chosen(names: Sequence[str] | None, column: str | None) -> list[str]:
    """The rules to compare on: those named, or without any what the split column says, or without one class B.

    UserError for a column that none of the rules named looks at.
    """
    if names is None:
        return ["column" if column else "scaffold-balanced"]
    if column and not set(resolve(names)) & splits.COLUMNS.keys():
        raise UserError(
            f"--splits {','.join(names)} looks at no column, so --split-column {column} has no use. Leave out --splits "
            "if the column says train, valid or test; or take a rule that looks at a column: "
            f"{', '.join(splits.COLUMNS)}."
        )
    return list(names)


def resolve(names: Sequence[str]) -> list[str]:
    """Rules as a person names them → names that `make` knows; "dem" stands for one rule a share."""
    found: list[str] = []
    for name in names:
        if name == DEM:
            found += DEM_RULES
        elif FOLDS.fullmatch(name):
            found.append(name.removesuffix("x1"))
        elif name in DEM_RULES or (ALIASES.get(name, name) in SPLITS and name != "none"):
            found.append(ALIASES.get(name, name))
        else:
            known = [*ALIASES, *(rule for rule in SPLITS if rule != "none"), DEM, "kfold-5", "kfold-5x3"]
            near = nearest(name, known)
            hint = f" Did you mean {near!r}?" if near else ""
            raise UserError(f"There is no split {name!r} to compare on.{hint} Choose from: {', '.join(known)}.")
    return list(dict.fromkeys(found))


def check_column(names: Sequence[str], keys: Sequence[object] | None, column: str | None) -> None:
    """UserError if the rule `column` is named and the cells (n) of the split column are no parts."""
    if "column" in names and keys is not None and column:
        splits.from_column([None if key is None else str(key) for key in keys], column)


def class_of(rule: str) -> str:
    """The letter of the rule's class, or the rule itself."""
    family = rule.partition("-")[0]
    return CLASSES.get(rule, family if family in (DEM, KFOLD) else rule)


def folds_of(rule: str) -> tuple[int, int]:
    """(k, rounds) of a rule such as kfold-5x3; (0, 0) of others."""
    found = FOLDS.fullmatch(rule)
    return (int(found[1]), int(found[2] or 1)) if found else (0, 0)


def seeds_of(rule: str, repeats: int) -> range:
    """A deterministic rule has one split, however many are asked for; of folds each is a split."""
    k, rounds = folds_of(rule)
    if k:
        return range(k * rounds)
    most = 1 if class_of(rule) in ONE_SPLIT else repeats
    return range(min(most, 3) if rule == "B-grover-3" else most)


def make(case: Case, rule: str, seed: int) -> Split:
    """One split of the labelled rows; the same everywhere and always, or as an index file has it."""
    if case.given is not None:
        return given(case.given, rule, seed, case.known)
    smiles, known = case.reading.smiles, case.known
    first = list(case.assay.labels.values[:, 0])
    if rule.startswith(f"{DEM}-"):
        share = float(rule.removeprefix(f"{DEM}-"))
        if share * known.sum() < 1:
            raise UserError(
                f"{rule} learns from {share:.2%} of the rows, and of {known.sum():,} that is none. Name larger shares, "
                f"such as --splits {','.join(one for one in DEM_RULES if float(one[4:]) * known.sum() >= 1) or 'R'}."
            )
        kind = "random" if case.assay.task == "regression" else "stratified"
        return splits.make(kind, smiles, seed, (share, 0.0, 1 - share), known, first)
    k, rounds = folds_of(rule)
    if k:
        rows = np.flatnonzero(known)
        folds = splits.repeated_kfold(len(rows), k, rounds, 0)
        fold = folds[seed % len(folds)]
        return Split(rows[fold.train], rows[fold.valid], rows[fold.test], rule)
    column = case.assay.keys if rule in splits.COLUMNS else None
    if rule == "stratified" and column is None:
        column = first
    if rule in splits.COLUMNS and column is None:
        raise UserError(f"--splits {rule} needs a column of {splits.COLUMNS[rule]}: add --split-column.")
    return splits.make(rule, smiles, seed, valid_labels=known, keys=column)


def given(told: IndexFile, rule: str, seed: int, known: np.ndarray) -> Split:
    """The split of an index file. UserError if the file does not hold it.

    Rows that cannot be read any more (`known` (n,) False) are in no part, and the hash says so.
    """
    split = told.splits.get((SAME.get(rule, rule), seed))
    if split is None:
        held = sorted({name for name, _ in told.splits})
        raise UserError(f"The split file of {told.data} has no {rule} {seed}. It holds: {', '.join(held)}.")
    return split_of(rule, *(part[known[part]] for part in (split.train, split.valid, split.test)))


def cut(split: Split, parts: str, count: int, seed: int) -> Split:
    """The split with `count` of its rows of `parts` (train, or train+valid), drawn by `seed`; its test part as it is.

    Beside rows of `train` the same share of the valid part is left, or a model of few rows would be chosen by many.
    Fewer rows are some of those that are drawn for more. UserError if there are not as many.
    """

    def drawn(rows: np.ndarray, count: int) -> np.ndarray:
        return np.random.Generator(np.random.Philox(seed)).permutation(np.sort(rows))[:count]

    rows = split.train if parts == "train" else np.concatenate([split.train, split.valid])
    check_count(count, len(rows), parts)
    kept = drawn(rows, count)
    if parts == "train":
        kept = np.concatenate([kept, drawn(split.valid, -(-count * len(split.valid) // len(split.train)))])
    return replace(split, train=split.train[np.isin(split.train, kept)], valid=split.valid[np.isin(split.valid, kept)])


def notes(path: Path) -> dict[str, Any]:
    """What `note` wrote down at `path`, rule by rule. UserError if it is damaged."""
    if not path.is_file():
        return {}
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if all({"splits", "data_sha256", "overlap"} <= one.keys() for one in told.values()):
            return told
        why = "what a rule needs is missing"
    except (OSError, ValueError, AttributeError) as error:
        why = str(error)
    raise UserError(f"{path} holds no notes on splits ({why}). Remove it and run the benchmark again: rows are kept.")


def check_rows(fit_rows: Sequence[str], rule: str, path: Path) -> None:
    """UserError if a split that was noted has fewer rows than some of `fit_rows` ask for."""
    for one in fit_rows:
        parts, _, few = one.partition(":")
        for split in notes(path)[rule]["splits"] if few else ():
            check_count(int(few), sum(split["sizes"][: 1 if parts == "train" else 2]), parts)


def check_count(count: int, there: int, parts: str) -> None:
    """UserError for more rows than there are."""
    if count > there:
        raise UserError(f"{count:,} rows to learn from are asked for, and {parts} has {there:,}. Ask for fewer.")


def noted(path: Path) -> dict[tuple[str, int], str]:
    """Rule and seed → SHA-256 of each split that `note` wrote down at `path`."""
    return {(rule, split["seed"]): split["sha256"] for rule, one in notes(path).items() for split in one["splits"]}


def note(case: Case, rule: str, repeats: int, path: Path, check: bool = True) -> None:
    """Write down sizes, hashes and leaks of the splits, what their test parts have in common, and how alike they are.

    Splits that were noted before stay, so fewer `repeats` than before lose nothing. check: UserError if they come
    out as others
    """
    told = notes(path)
    known = told.get(rule, {"splits": [], "data_sha256": ""})
    count = max(repeats, len(known["splits"]))
    there = known["data_sha256"] == case.sha256 and len(known["splits"]) == len(seeds_of(rule, count))
    if there and (check or rule in splits.COLUMNS):
        _check(case, rule, known["splits"], path)
    if there and "correlation" in known:
        return  # keys and scaffolds of a large set take minutes
    made = {seed: make(case, rule, seed) for seed in seeds_of(rule, count)}
    told[rule] = {
        "class": class_of(rule),
        "data_sha256": case.sha256,
        "overlap": round(overlap([split.test for split in made.values()]), 6),
        "correlation": round(alike(case, rule, [*made.values()]), 6),
        "splits": known["splits"] if there else _noted(case, made),
    }
    write_whole(path, json.dumps(dict(sorted(told.items())), indent=1).encode() + b"\n")


def _check(case: Case, rule: str, known: Sequence[dict[str, Any]], path: Path) -> None:
    """UserError if noted splits come out as others: all of them where a column says, else the first."""
    column = rule in splits.COLUMNS
    if all(make(case, rule, one["seed"]).sha256 == one["sha256"] for one in (known if column else known[:1])):
        return
    if column:
        raise UserError(f"{path.parent} was measured with another split column. Choose another --output.")
    raise UserError(
        f"{path} notes other splits by {rule} than are made here, perhaps with another version of RDKit. "
        "Choose another --output, or install the version that stands in the rows."
    )


def _noted(case: Case, made: dict[int, Split]) -> list[dict[str, Any]]:
    skeletons = keys(case.reading.smiles)
    return [
        {"seed": seed, "sha256": split.sha256, "sizes": split.sizes, "leak": leaks(case, split, skeletons)}
        for seed, split in made.items()
    ]


def alike(case: Case, rule: str, made: Sequence[Split]) -> float:
    """`correlation` of the splits. Their groups are the scaffolds that the rule keeps whole, or the cells of the split
    column that it does, whichever tells more.

    Test parts of folds have nothing in common, but what is learned from has: k folds count as splits at random whose
    test parts have the same size do, 1 / k (Bouckaert and Frank 2004, https://doi.org/10.1007/978-3-540-24775-3_3).
    """
    if len(made) < 2:
        return 0.0
    k, _ = folds_of(rule)
    if k:
        return 1 / k
    rows = np.unique(np.concatenate([[*split.train, *split.valid, *split.test] for split in made]))
    tests = [np.searchsorted(rows, split.test) for split in made]
    texts = [case.reading.smiles[row] for row in rows.tolist()]
    names = [keys(texts, "scaffold", None if len(texts) > splits.MANY else Limits(0))]
    if rule in splits.COLUMNS and case.assay.keys is not None:
        names.append([str(case.assay.keys[row]) for row in rows.tolist()])
    return max(correlation(tests, whole(one, tests)) for one in names)


LEAKS = {"molecules": "molecule", "keys": "InChIKey", "scaffolds": "scaffold"}


def leaks_told(folder: Path) -> dict[str, dict[str, str]]:
    """Data set → rule → what test parts share with train and valid, least to most over the splits that were noted."""
    told = {path.parent.name: notes(path) for path in folder.glob("*/splits.json")}
    return {data: {rule: leak_told(one["splits"]) for rule, one in rules.items()} for data, rules in told.items()}


def leak_told(noted: Sequence[dict[str, Any]]) -> str:
    """As in "molecule 0–3, InChIKey 1–4, scaffold 0 of 113", from the notes on the splits of one rule."""
    words = [f"{what} {_range([one['leak'][name] for one in noted])}" for name, what in LEAKS.items()]
    return f"{', '.join(words)} of {_range([one['sizes'][2] for one in noted])}"


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def leaks(case: Case, split: Split, skeletons: Sequence[str]) -> dict[str, int]:
    """Test rows whose molecule, skeleton (n) or scaffold stands in train or valid."""
    found = splits.leak(split, case.reading.smiles, skeletons)
    return {name: count for name, count in found.items() if name != "test"}

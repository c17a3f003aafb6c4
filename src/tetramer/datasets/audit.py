"""What is wrong with a table of molecules before anybody learns from it, and what two tables share.

Duplicates and their conflicts, unreadable and mixed structures, cells that are no labels, copied and predicted
columns, labels that contradict the composition, and a way of writing SMILES that tells the label. Nothing is changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from tetramer.datasets.cell_checks import check_cells, check_formats
from tetramer.datasets.columns import Column, check_copies, check_leaks, find_targets, read_column
from tetramer.datasets.findings import (
    ALARM,
    NOTE,
    SEVERITIES,
    WARNING,
    Audit,
    Finding,
    beyond,
    first_rows,
    ordered,
    percent,
    some,
)
from tetramer.datasets.placed import structure_columns, texts_for
from tetramer.datasets.signals import EXPLAINED, composition, style
from tetramer.datasets.tables import Table, find_column
from tetramer.errors import UserError
from tetramer.molecules import Limits, Standard
from tetramer.molecules.keys import keys
from tetramer.molecules.reactions import most_are_reactions
from tetramer.views import Reader
from tetramer.views.graph import GraphFeatures, atom_counts

MANY_UNREADABLE = 0.2  # of the rows: an alarm
MOST_TARGETS = 20  # that the slow checks look at, those with the most labels
MANY_CONFLICTS = 0.01  # of the labelled molecules: an alarm
MANY_CONTRADICT = 0.05  # of the labelled rows: an alarm
SMALL_CONFLICT = 0.01  # of the labels' standard deviation: a note


@dataclass(frozen=True)
class Options:
    """How structures are read. `progress` hears (rows done, rows in all)."""

    standard: Standard | None = None
    limits: Limits | None = None
    progress: Callable[[int, int], None] = lambda done, all_rows: None


@dataclass(frozen=True)
class Structures:
    """What became of n texts: canonical `smiles`, "" where the code is not "ok"; counts (n, 119) or None."""

    texts: list[str]
    smiles: list[str]
    codes: list[str]
    reasons: list[str]
    counts: np.ndarray | None

    @property
    def ok(self) -> np.ndarray:
        """(n,) bool: rows that are molecules."""
        return np.array([bool(text) for text in self.smiles], dtype=bool)

    @property
    def what(self) -> str:
        """What a row is."""
        return "reaction" if most_are_reactions(self.texts) else "molecule"


def audit(
    table: Table, targets: Sequence[str] | None = None, smiles: str | None = None, options: Options = Options()
) -> Audit:
    """All findings about a table.

    targets: columns; None: every column of numbers or classes that looks like a measurement. Without any, only the
    structures are looked at. smiles: the column of structures or reactions, found by itself if None.
    UserError as `find_column` and `texts_for`.
    """
    texts, where = texts_for((), table, smiles), structure_columns(table, smiles)
    names = find_targets(table, where) if targets is None else [find_column(table, name) for name in targets]
    if len(set(names)) < len(names):
        raise UserError(f"A target is named twice: {', '.join(map(repr, names))}.")
    columns = [read_column(table, name) for name in names]
    others = [read_column(table, name) for name in table.columns if name not in (*names, *where)]
    regression = any(column.kind == "regression" for column in columns)
    read = read_structures(texts, options, ["graph"] if regression else [])
    found = check_rows(table)
    found += [*check_reading(read, table.start), *check_repeats(columns, read, table.start, options.limits)]
    for column in columns:
        found += check_cells(column, table.start, targets is not None)
    if targets is None:
        found += check_formats(others, WARNING if columns else ALARM, table.start)
    found += [*check_copies(columns, table.columns), *check_leaks(columns, others)]
    most = sorted(columns, key=lambda column: -int(column.known.sum()))[:MOST_TARGETS]
    chosen = {column.name for column in most}
    for column in (column for column in columns if column.name in chosen):
        found += check_composition(column, read, table.start)
        found += check_style(column, read) if where else []
    if len(columns) > MOST_TARGETS:
        left = len(columns) - MOST_TARGETS
        sentence = f"Composition and style were checked for the {MOST_TARGETS} targets with the most labels only."
        found.append(Finding("NOT_CHECKED", NOTE, None, left, (), sentence))
    molecules = len(set(read.smiles) - {""})
    return Audit(table.name, len(table), molecules, tuple(names), ordered(found), read.what)


def read_structures(texts: list[str], options: Options, views: list[str]) -> Structures:
    """Read through the bulkhead, keeping no features but the atom counts, which the view `graph` gives."""
    smiles: list[str] = []
    codes: list[str] = []
    reasons: list[str] = []
    counts: list[np.ndarray] = []
    standard = replace(options.standard or Standard(), reactions=most_are_reactions(texts))
    with Reader(standard, options.limits) as reader:
        for reading in reader.stream(texts, views):
            smiles += [text if code == "ok" else "" for text, code in zip(reading.smiles, reading.codes, strict=True)]
            codes += reading.codes
            reasons += reading.reasons
            if "graph" in views:
                graphs = cast(GraphFeatures, reading.features["graph"])
                counts.append(atom_counts(graphs, np.arange(len(reading))).astype(np.uint16))
            options.progress(len(codes), len(texts))
    return Structures(texts, smiles, codes, reasons, np.concatenate(counts) if counts else None)


def check_rows(table: Table) -> list[Finding]:
    """A table without rows, of which there is nothing else to tell, and how the file was read.

    Of repeated names in the header tells `check_copies`, which sees more of them.
    """
    found = [Finding("AS_READ", NOTE, None, 1, (), note) for note in table.notes if not note.startswith("The header ")]
    sentence = f"{table.name} has no rows, only the names of its columns."
    return found if len(table) else [*found, Finding("NO_ROWS", ALARM, None, 0, (), sentence)]


def check_reading(read: Structures, start: int) -> list[Finding]:
    """Rows without a molecule, by status code, and rows of several molecules."""
    found = []
    failed = sum(code != "ok" for code in read.codes)
    severity = ALARM if failed and failed >= MANY_UNREADABLE * len(read.codes) else WARNING
    for code in sorted(set(read.codes) - {"ok"}):
        rows = np.flatnonzero([one == code for one in read.codes])
        sentence = f"{some(len(rows), 'row')} cannot be read, {code}; the first because: {read.reasons[rows[0]]}."
        found.append(Finding(code, severity, None, len(rows), first_rows(rows, start), sentence, more=beyond(rows)))
    rows = np.flatnonzero(["." in text for text in read.smiles])
    if len(rows) and read.what == "molecule":
        sentence = f"{some(len(rows), 'row')} of several molecules: salts, solvates or mixtures."
        told = sentence, {"share": len(rows) / len(read.smiles)}, beyond(rows)
        found.append(Finding("MULTI_COMPONENT", NOTE, None, len(rows), first_rows(rows, start), *told))
    return found


def check_repeats(
    columns: Sequence[Column], read: Structures, start: int, limits: Limits | None = None
) -> list[Finding]:
    """Rows of one molecule, molecules of one skeleton, and labels of either that do not agree."""
    same = numbered(read.smiles)
    found = []
    extra = later(same)
    if len(extra):
        sizes = np.bincount(same[same >= 0])
        molecules = int((sizes > 1).sum())
        sentence = (
            f"{some(len(extra), 'row')} with the {read.what} of an earlier row; {some(molecules, read.what)} in more "
            "than one row. Keep them on one side of every split."
        )
        told = sentence, {"molecules": float(molecules), "rows": float(sizes[sizes > 1].sum())}, beyond(extra)
        found.append(Finding("DUPLICATE", WARNING, None, len(extra), first_rows(extra, start), *told))
        found += conflicts(columns, same, "CONFLICT", start)
    if read.what == "reaction":  # their keys are those of the products, which many may have
        return found
    kin = numbered(keys(read.smiles, "skeleton", limits))
    rows = np.flatnonzero(kin >= 0)
    _, first = np.unique(same[rows], return_index=True)  # one row a molecule
    sizes = np.bincount(kin[rows[first]])
    mixed = np.where(kin >= 0, sizes[kin] > 1, False) if len(sizes) else np.zeros(len(kin), bool)
    if mixed.any():
        of = rows[first][mixed[rows[first]]]
        sentence = (
            f"{some(len(of), 'molecule')} equal to another one but for stereo, tautomer, charge or isotope, by the "
            "first block of the InChIKey. Keep them on one side of every split."
        )
        places = first_rows(np.sort(of), start)
        found.append(Finding("ISOMER", NOTE, None, len(of), places, sentence, more=beyond(of)))
        found += conflicts(columns, np.where(mixed, kin, -1), "ISOMER_CONFLICT", start)
    return found


def numbered(texts: Sequence[str]) -> np.ndarray:
    """(n,) int64: equal texts have equal numbers, by first appearance; -1 for the empty text."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) if text else -1 for text in texts], dtype=np.int64)


def later(groups: np.ndarray) -> np.ndarray:
    """Places whose group, (n,) with -1 for none, stands in an earlier place."""
    rows = np.flatnonzero(groups >= 0)
    _, first = np.unique(groups[rows], return_index=True)
    return np.delete(rows, first)


def disagreement(column: Column, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per group: labels it has, whether they conflict, and how far its exact labels lie apart.

    A label is the interval of the values that it allows (a bound reaches to infinity); a group agrees if all its
    intervals have a value in common, give or take the rounding of the column.
    """
    size = int(groups.max(initial=-1)) + 1
    rows = np.flatnonzero(column.known & (groups >= 0))
    group, value, sign = groups[rows], column.values[rows], column.censor[rows]
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    np.maximum.at(low, group, np.where(sign < 0, -np.inf, value))
    np.minimum.at(high, group, np.where(sign > 0, np.inf, value))
    most, least = np.full(size, -np.inf), np.full(size, np.inf)
    np.maximum.at(most, group[sign == 0], value[sign == 0])
    np.minimum.at(least, group[sign == 0], value[sign == 0])
    count = np.bincount(group, minlength=size)
    return count, low > high + column.tolerance, np.maximum(np.where(np.isfinite(most), most - least, 0), 0)


def conflicts(columns: Sequence[Column], groups: np.ndarray, code: str, start: int) -> list[Finding]:
    """One finding for each target with conflicts, before them one for all targets together if there are several.

    Isomers have different labels for good reasons: of them only the sum is told, as a note.
    """
    found: list[Finding] = []
    anywhere = np.zeros(int(groups.max(initial=-1)) + 1, bool)
    for column in columns:
        count, conflict, spread = disagreement(column, groups)
        anywhere |= conflict
        if conflict.any():
            rows = _of_groups(groups, conflict, column.known)
            one = _conflict(column, (count, conflict, spread), code, first_rows(rows, start))
            found.append(replace(one, more=beyond(rows)))
    if len(columns) > 1 and found:
        what = "molecule" if code == "CONFLICT" else "family of isomers"
        sentence = f"Different labels in at least one target: {_counted(int(anywhere.sum()), what)}."
        rows = _of_groups(groups, anywhere, np.ones(len(groups), bool))
        severity = min((one.severity for one in found), key=SEVERITIES.index)
        places, more = first_rows(rows, start), beyond(rows)
        total = Finding(code, severity, None, int(anywhere.sum()), places, sentence, more=more)
        found = [total, *found] if code == "CONFLICT" else [total]
    return found


def _conflict(
    column: Column, told: tuple[np.ndarray, np.ndarray, np.ndarray], code: str, rows: tuple[int, ...]
) -> Finding:
    """The conflicts of one target; `told`: what `disagreement` says."""
    count, conflict, spread = told
    total, repeated = int(conflict.sum()), int((count > 1).sum())
    values = {"agree": float(repeated - total), "share": total / int((count > 0).sum())}
    what = "molecule" if code == "CONFLICT" else "family of isomers"
    sentence = (
        f"Different labels of {column.name!r}: {_counted(total, what)}, of {repeated:,} with more than one label."
    )
    if column.kind == "regression":
        deviation = float(column.values[column.known].std())
        middle = float(np.median(spread[conflict]))
        values |= {"median_spread": middle, "largest_spread": float(spread[conflict].max())}
        values["label_deviation"] = deviation
        sentence += (
            f" They lie {middle:.3g} apart in the median; all labels have a standard deviation of {deviation:.3g}."
        )
    small = "largest_spread" in values and values["largest_spread"] <= SMALL_CONFLICT * values["label_deviation"]
    severity = NOTE if code != "CONFLICT" or small else WARNING if values["share"] < MANY_CONFLICTS else ALARM
    return Finding(code, severity, column.name, total, rows, sentence, values)


def _counted(number: int, what: str) -> str:
    return some(number, what) if what == "molecule" else f"{number:,} {what if number == 1 else 'families of isomers'}"


def _of_groups(groups: np.ndarray, chosen: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The labelled rows of the chosen groups, group by group."""
    rows = np.flatnonzero(known & (groups >= 0))
    rows = rows[chosen[groups[rows]]]
    kept: np.ndarray = rows[np.argsort(groups[rows], kind="stable")]
    return kept


def check_composition(column: Column, read: Structures, start: int) -> list[Finding]:
    """Labels that contradict the atom counts, of a target that atom counts explain for the bulk of the rows."""
    if column.kind != "regression" or read.counts is None:
        return []
    rows = np.flatnonzero(column.known & (column.censor == 0) & read.ok)
    fit = composition(column.values[rows], read.counts[rows])
    if fit is None or fit.explained < EXPLAINED or not len(fit.contradict):
        return []
    wrong = np.sort(rows[fit.contradict])
    share = len(wrong) / len(rows)
    sentence = (
        f"Atom counts explain {column.name!r} (R² {fit.explained:.3f} by medians, residuals of {fit.scale:.3g}), but "
        f"{some(len(wrong), 'label')} ({percent(share)}) with residuals of {fit.beyond:.3g} or more contradict the "
        "molecule in the same row."
    )
    values = {"share": share, "explained": fit.explained, "scale": fit.scale, "beyond": fit.beyond}
    severity = ALARM if share >= MANY_CONTRADICT else WARNING
    told = sentence, values, beyond(wrong)
    return [Finding("COMPOSITION", severity, column.name, len(wrong), first_rows(wrong, start), *told)]


def check_style(column: Column, read: Structures) -> list[Finding]:
    """A target that the characters of the SMILES tell better as given than in canonical form.

    Of several classes the most frequent one is told from the rest.
    """
    written = np.array([text.isascii() and "\n" not in text for text in read.texts], bool)  # no mol blocks
    rows = np.flatnonzero(column.known & (column.censor == 0) & read.ok & written)
    values = column.values[rows]
    classes = column.kind != "regression"
    if classes and len(values):
        different, counts = np.unique(values, return_counts=True)
        most = different.max() if len(different) == 2 else different[counts.argmax()]
        values = (values == most).astype(np.float64)
    given, canonical = ([texts[row] for row in rows.tolist()] for texts in (read.texts, read.smiles))
    told = style(given, canonical, values, classes)
    if told is None or not told.tells:
        return []
    what = "ROC-AUC" if classes else "R²"
    sentence = (
        f"The way of writing tells {column.name!r}: a bag of characters reaches {what} {told.given:.3f} on the SMILES "
        f"as given and {told.canonical:.3f} on canonical ones. Learn from canonical SMILES, as tetramer does, and "
        "distrust results of models that did not."
    )
    numbers = {"given": told.given, "canonical": told.canonical, "noise": told.noise}
    return [Finding("STYLE", ALARM, column.name, len(rows), (), sentence, numbers)]


def overlap(first: Table, second: Table, smiles: str | None = None, options: Options = Options()) -> Audit:
    """What the rows of `second`, a test file, share with `first`, what is trained on: molecule, skeleton, scaffold.

    Rows are those of the second table. A row is counted once, under the closest kin. Acyclic molecules share no
    scaffold.
    """
    seen, asked = (read_structures(texts_for((), table, smiles), options, []) for table in (first, second))
    if seen.what != asked.what:
        raise UserError(
            f"{first.name} holds {seen.what}s and {second.name} {asked.what}s, which have no rows in common. Give two "
            "tables of one kind."
        )
    ok, of = asked.ok, "the product of a reaction" if asked.what == "reaction" else "a molecule"
    taken = np.zeros(len(ok), bool)
    kinds = (
        ("SAME_MOLECULE", ALARM, seen.smiles, asked.smiles, f"with a {asked.what}"),
        ("SAME_SKELETON", WARNING, *_keys(seen, asked, "skeleton", options), f"with an isomer of {of}"),
        ("SAME_SCAFFOLD", NOTE, *_keys(seen, asked, "scaffold", options), f"with the ring scaffold of {of}"),
    )
    found = [*check_rows(second), *check_reading(asked, second.start)]
    for code, severity, there, here, what in kinds:
        known = set(there) - {""}
        rows = np.flatnonzero(np.array([key in known for key in here], bool) & ok & ~taken)
        taken[rows] = True
        if len(rows):
            share = len(rows) / max(1, int(ok.sum()))
            sentence = f"{some(len(rows), 'row')} of {second.name} ({percent(share)}) {what} of {first.name}."
            told = sentence, {"share": share}, beyond(rows)
            found.append(Finding(code, severity, None, len(rows), first_rows(rows, second.start), *told))
    molecules = len(set(asked.smiles) - {""})
    return Audit(second.name, len(second), molecules, (), ordered(found), asked.what)


def _keys(seen: Structures, asked: Structures, kind: str, options: Options) -> tuple[list[str], list[str]]:
    """One kind of key for both tables, made in one go."""
    both = keys([*seen.smiles, *asked.smiles], kind, options.limits)
    return both[: len(seen.smiles)], both[len(seen.smiles) :]

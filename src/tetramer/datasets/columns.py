"""Columns as an audit sees them: every cell is read, what cannot be is counted, and columns are held side by side."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tetramer.datasets.cells import Cells
from tetramer.datasets.delimited import is_text
from tetramer.datasets.findings import ALARM, WARNING, Finding
from tetramer.datasets.labels import LARGEST, Labels, infer_task, names_not_classes
from tetramer.datasets.partitions import WORDS
from tetramer.datasets.signals import ordered
from tetramer.datasets.tables import Table, looks_like_smiles
from tetramer.metrics import ranks

FEW = 10  # labels of a class below which a test part has one or none of them
COMMON = 20  # rows that two columns must share before they are compared
NEAR = 0.999  # correlation from which two targets are nearly equal
TELLING = {"regression": 0.95, "binary": 0.98}  # correlation, ROC-AUC from which a column tells a target
HINTED = {"regression": 0.7, "binary": 0.8}  # the same where its name speaks of predictions
PREDICTED = r"\b(pred(icted|ictions?|s)?|calc(ulated)?|estimate[sd]?|comput(ed|ation)|modell?ed|fitted|y ?hat)\b"
IDENTIFIER = r"(^|\b)(id|cid|index|idx|num|no|nr|row|number)$"
DESCRIPTOR = (  # what programs compute of a structure, by the usual names
    r"^(number of|num) |\b(molecular weight|mol ?wt|mw|donors?|acceptors?|hb[ad]|rotatable|t?psa|surface area|rings?"
    r"|minimum degree|(heavy )?atom count|chiral cent(er|re)s?( count)?|[acsx]log ?p|molar refractivity|fsp3|qed)\b"
)
SAMPLE = 1_000  # labels from which the number of decimals is taken


@dataclass(frozen=True)
class Column:
    """One column, (n,) float64 values and int8 censor signs as in `Labels`; `wrong`: LABEL code → places of cells.

    kind: regression, binary or multiclass; `tolerance`: labels that differ by no more are equal but for rounding;
    `advice`: what to do about the texts among `wrong`.
    """

    name: str
    values: np.ndarray
    censor: np.ndarray
    classes: tuple[str, ...] | None
    kind: str = "regression"
    tolerance: float = 0.0
    wrong: dict[str, np.ndarray] = field(default_factory=dict)
    advice: str = ""

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: a label that can be used."""
        known: np.ndarray = ~np.isnan(self.values)
        return known

    def shown(self, value: float) -> str:
        """A value as the file has it."""
        return self.classes[int(value)] if self.classes else f"{value:g}"


def read_column(table: Table, name: str) -> Column:
    """A column of any type. Cells that training would refuse are missing here and stand in `wrong`."""
    cells = table.data[name]
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_boolean(cells.type):
        cells = pc.if_else(cells, "true", "false")
    read = _texts(cells) if is_text(cells.type) else _others(cells)
    values, huge = read.values, np.isfinite(read.values) & (np.abs(read.values) > LARGEST)
    values[np.isinf(values) | huge] = np.nan
    found = {code: np.flatnonzero(mask) for code, mask in {**read.wrong, "LABEL_HUGE": huge}.items() if mask.any()}
    task = infer_task(Labels((name,), values[:, None], read.censor[:, None], (read.classes,))).kind
    tolerance = rounding(values) if task == "regression" else 0.0
    return Column(name, values, read.censor, read.classes, task, tolerance, found, read.advice)


class Read(NamedTuple):
    """What stands in a column of n cells; `wrong` is code → (n,) bool, the rest as in `Column`."""

    values: np.ndarray
    censor: np.ndarray
    classes: tuple[str, ...] | None
    wrong: dict[str, np.ndarray]
    advice: str = ""


def _texts(column: pa.ChunkedArray) -> Read:
    """Cells of text by the rules of `labels`: numbers and bounds, or classes where there is no number at all."""
    cells = Cells.of(column)
    values, censor = np.full(len(cells.texts), np.nan), np.zeros(len(cells.texts), np.int8)
    wrong = {"LABEL_NAN": np.asarray(pc.equal(pc.utf8_lower(cells.texts), "nan")), "LABEL_INF": cells.infinite}
    if cells.are_classes:
        texts = cells.different()
        if names_not_classes(texts, int((~cells.missing).sum())):
            return Read(values, censor, None, {**wrong, "LABEL_TYPE": ~cells.missing})
        return Read(cells.places(texts), censor, tuple(texts), wrong)
    values, censor = cells.numbers()
    wrong["LABEL_INF"] = cells.infinite | np.isinf(values)  # 1e999 is written as a number
    wrong |= {"LABEL_FORMAT": cells.odd, "LABEL_TYPE": cells.neither & ~cells.odd}
    return Read(values, censor, None, wrong, cells.advice)


def _others(column: pa.ChunkedArray) -> Read:
    """Cells of any type but text."""
    kind, there = column.type, np.asarray(column.is_valid())
    censor = np.zeros(len(column), np.int8)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return Read(np.full(len(column), np.nan), censor, None, {"LABEL_TYPE": there})
    values = np.array(column.cast(pa.float64(), safe=False).to_numpy())
    return Read(values, censor, None, {"LABEL_NAN": there & np.isnan(values), "LABEL_INF": np.isinf(values)})


def rounding(values: np.ndarray) -> float:
    """Half a unit of the last decimal that the column's numbers usually have, or 1e-9 of the largest if that is more.

    (n,), NaN is missing; "usually": the median over about SAMPLE different numbers. Whole numbers have 0 decimals.
    """
    different = np.unique(values[~np.isnan(values)])
    if not len(different):
        return 0.0
    sample = different[:: max(1, len(different) // SAMPLE)]
    decimals = [max(0, -int(Decimal(repr(value)).normalize().as_tuple().exponent)) for value in sample.tolist()]
    unit = float(0.5 * 10.0 ** -np.median(decimals))
    return max(unit * (1 + 1e-6), 1e-9 * float(np.abs(different).max()))


def find_targets(table: Table, structure: Sequence[str]) -> list[str]:
    """Columns that may be targets: numbers or few classes.

    Not the structures, identifiers (all different whole numbers in order, or named so, or the names of the records of
    SMI and SDF), parts of a split, columns whose name speaks of predictions or of a usual descriptor, what stands
    beside predictions in a file of ours, and columns that hold more text than numbers.
    """
    ours = _beside_predictions(table.columns)
    if table.structure is not None or table.blocks is not None:
        ours += ["name", "title"]
    return [name for name in table.columns if name not in (*structure, *ours) and _may_be_target(table, name)]


def _beside_predictions(names: Sequence[str]) -> list[str]:
    """Bounds and probabilities of a predicted column X, where `X_pred` is there too, and the status of its rows."""
    predicted = [name.removesuffix("_pred") for name in names if name.endswith("_pred")]
    bounds = [f"{of}_{end}" for of in predicted for end in ("lo", "hi")]
    bounds += [name for name in names for of in predicted if name.startswith(f"{of}_prob_")]
    return [*bounds, *(["status", "reason"] if {"status", "reason"} <= set(names) else [])]


def _may_be_target(table: Table, name: str) -> bool:
    if hinted(name) or re.search(DESCRIPTOR, words(name)):
        return False
    if looks_like_smiles(table.data[name]) and pc.count_distinct(table.data[name]).as_py() > FEW:  # "pos" is a SMILES
        return False
    column = read_column(table, name)
    values = column.values[column.known]
    texts = sum(len(column.wrong.get(code, ())) for code in ("LABEL_TYPE", "LABEL_FORMAT"))
    if not len(values) or len(values) < texts:
        return False
    if column.classes and all(text.casefold() in WORDS for text in column.classes):
        return False
    whole = column.classes is None and bool((values == np.round(values)).all())
    rising = len(values) > 2 and bool((np.diff(values) > 0).all())
    named = re.search(IDENTIFIER, words(name)) is not None and len(np.unique(values)) > len(values) / 2
    return not (whole and (rising or named))


def words(name: str) -> str:
    """A column's name in small letters, its words apart."""
    return re.sub(r"[\s_.\-()\[\]/]+", " ", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)).strip().casefold()


def hinted(name: str) -> bool:
    """Whether a column's name says that it holds predictions."""
    return re.search(PREDICTED, words(name)) is not None


def check_copies(columns: Sequence[Column], names: Sequence[str]) -> list[Finding]:
    """Targets that are equal to an earlier one or nearly so, and headers that were repeated.

    names: all columns of the table; a reader makes `x.1` of a second `x`.
    """
    renamed = [name for name in names if _is_repeat(name, names)]
    found = []
    if renamed:
        sentence = f"The header repeats names: {', '.join(map(repr, renamed[:10]))} had the name without its number."
        found.append(Finding("REPEATED_HEADER", WARNING, None, len(renamed), (), sentence))
    numeric = [column for column in columns if column.kind != "multiclass"]
    if len(numeric) < 2:
        return found
    values = np.stack([column.values for column in numeric], axis=1)
    related, common = correlations(values)
    told = set[int]()
    for first, second in zip(*np.nonzero(np.triu(np.abs(related) >= NEAR, 1)), strict=True):
        enough = max(COMMON, common[second, second] / 2)
        if common[first, second] < enough or second in told:
            continue
        told.add(int(second))
        one, other = numeric[second].name, numeric[first].name
        numbers = {"correlation": float(related[first, second]), "rows": float(common[first, second])}
        if np.array_equal(values[:, first], values[:, second], equal_nan=True):
            sentence = f"{one!r} is the same as {other!r} in every row. Leave it out, or it counts twice."
            found.append(Finding("REPEATED_COLUMN", ALARM, one, int(common[first, second]), (), sentence, numbers))
        else:
            sentence = f"{one!r} is nearly {other!r}, or a multiple of it: correlation {related[first, second]:.5f}."
            found.append(Finding("NEAR_COPY", WARNING, one, int(common[first, second]), (), sentence, numbers))
    return found


def _is_repeat(name: str, names: Sequence[str]) -> bool:
    """Whether a name is one that a reader makes of a repeated one, all with smaller numbers being there too."""
    stem, _, number = name.rpartition(".")
    if not re.fullmatch(r"[1-9]\d{0,3}", number) or stem not in names:
        return False
    return all(f"{stem}.{smaller}" in names for smaller in range(1, int(number)))


def correlations(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson correlations of all pairs of columns (n, T) over the rows both have, and how many these are: (T, T) both.

    0 where a column does not vary over the common rows.
    """
    known = ~np.isnan(values)
    mask = known.astype(np.float64)
    count = np.maximum(mask.sum(0), 1)
    centred = np.where(known, values, 0) - mask * (np.where(known, values, 0).sum(0) / count)
    centred /= np.maximum(np.sqrt((centred**2).sum(0) / count), 1e-300)
    common = mask.T @ mask
    safe = np.maximum(common, 1)
    sums, squares = centred.T @ mask, (centred**2).T @ mask  # [i, j]: of column i over the rows that j has
    variance = squares - sums**2 / safe
    product = np.maximum(variance, 0) * np.maximum(variance.T, 0)
    varies = np.minimum(variance, variance.T) > 1e-9 * safe
    return np.where(
        varies, (centred.T @ centred - sums * sums.T / safe) / np.sqrt(np.maximum(product, 1e-300)), 0
    ), common


def check_leaks(targets: Sequence[Column], others: Sequence[Column]) -> list[Finding]:
    """Columns beside the targets that tell one: predictions by their name, or anything that follows it too closely.

    Predictions are laid to the one target that they follow most closely.
    """
    found = []
    for other in others:
        told = [(*telling(target, other), target) for target in targets if target.kind != "multiclass"]
        if hinted(other.name):
            best = max(told, key=lambda one: one[0], default=None)
            if best is not None and best[0] >= HINTED[best[2].kind]:
                found.append(_prediction(*best, other.name))
        else:
            found += [_leak(*one, other.name) for one in told if one[0] >= TELLING[one[2].kind]]
    return found


def _prediction(strength: float, rows: int, target: Column, name: str) -> Finding:
    what, numbers = _measure(strength, rows, target)
    sentence = (
        f"{name!r} holds predictions of {target.name!r}, as its name says and {what} shows. It is no target and must "
        "not be learned from."
    )
    return Finding("PREDICTIONS", ALARM, target.name, 1, (), sentence, numbers)


def _leak(strength: float, rows: int, target: Column, name: str) -> Finding:
    what, numbers = _measure(strength, rows, target)
    sentence = (
        f"{name!r} tells {target.name!r}: {what}. Is it a prediction, the same measurement, or known only after it? "
        "Then it must not be learned from."
    )
    return Finding("LEAK_COLUMN", WARNING, target.name, 1, (), sentence, numbers)


def _measure(strength: float, rows: int, target: Column) -> tuple[str, dict[str, float]]:
    """How closely a column follows the target, for a sentence and as numbers."""
    what = "ROC-AUC" if target.kind == "binary" else "correlation"
    return f"{what} {strength:.3f}", {what.casefold().replace("-", "_"): strength, "rows": float(rows)}


def telling(target: Column, other: Column) -> tuple[float, int]:
    """How closely one column follows a target, and over how many rows; 0 with fewer than COMMON rows.

    The larger of |Pearson| and |Spearman| for numbers, ROC-AUC or 1 minus it for a target of two classes. A class of
    a column of classes stands for the mean of the target in it; then COMMON rows a class are needed.
    """
    both = target.known & other.known
    y, x = target.values[both], other.values[both]
    if other.kind == "multiclass":
        found, place, counts = np.unique(x, return_inverse=True, return_counts=True)
        if len(y) < COMMON * len(found):
            return 0.0, len(y)
        x = (np.bincount(place, y) / counts)[place]
    if len(y) < COMMON or (y == y[0]).all() or (x == x[0]).all():
        return 0.0, len(y)
    if target.kind == "binary":
        area = ordered(y == y.max(), x)
        return max(area, 1 - area), len(y)
    pairs = ((y, x), (ranks(y), ranks(x)))
    return max(abs(float(np.corrcoef(*pair)[0, 1])) for pair in pairs), len(y)

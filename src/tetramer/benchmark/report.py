"""A trained model on one page: plain data → an HTML file that loads nothing and runs nothing.

All text is escaped by the template, pictures are `data:` images (an image runs no script), and the page's content
security policy forbids everything else. The same report gives the same bytes.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from tetramer.benchmark import plots
from tetramer.benchmark.cells import UNDEFINED, Cell, column, figures, parts, show
from tetramer.datasets.writing import write_whole
from tetramer.molecules.draw import draw

Floats = NDArray[np.float64]

DRAWN = {"molecule": (260, 180), "reaction": (560, 190)}  # pixels
WORST = 12  # molecules drawn per target
MOST = 24  # targets with pictures; a panel of 617 assays would make a page that nobody can open


@dataclass(frozen=True)
class Table:
    """A table of numbers: texts stand left, numbers right; `notes` stand below. A `tall` one scrolls in a low box."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    tall: bool = False


@dataclass(frozen=True)
class Headline:
    """One number that a reader should see first, with what it is and what to hold it against."""

    label: str
    value: Cell
    note: str = ""


@dataclass(frozen=True)
class TargetPlot:
    """One target: truth and answers of n molecules or reactions, in order. Rows without truth are left out.

    regression: `truth`, `prediction`, `low`, `high` are (n,) in `unit`; an interval may be infinite;
        NaN says that there is none.
    binary: `truth` (n,) is 0 or 1, `prediction` (n,) the probability of 1.
    multiclass: `truth` (n,) is a class number, `prediction` (n, K) the probabilities of `classes`.
    """

    name: str
    task: str
    truth: Floats
    prediction: Floats
    unit: str = ""
    low: Floats | None = None
    high: Floats | None = None
    classes: Sequence[str] = ("0", "1")
    smiles: Sequence[str] = ()
    labels: Sequence[str] = ()  # what the molecules are called; without, their SMILES or their number
    what: str = "molecule"  # what a row is
    fresh: bool = True  # whether nothing had seen these rows, intervals neither

    def known(self) -> "TargetPlot":
        """The same without the rows that have no truth or no answer, and without intervals where one is missing."""
        answers = self.prediction if self.prediction.ndim == 1 else self.prediction.sum(axis=1)
        rows = np.flatnonzero(np.isfinite(self.truth) & np.isfinite(answers))
        low, high = (None if end is None or np.isnan(end[rows]).any() else end[rows] for end in (self.low, self.high))
        return replace(
            self,
            truth=self.truth[rows],
            prediction=self.prediction[rows],
            low=low,
            high=high,
            smiles=[self.smiles[row] for row in rows.tolist()] if self.smiles else (),
            labels=[self.labels[row] for row in rows.tolist()] if self.labels else (),
        )


@dataclass(frozen=True)
class Report:
    """What the page says, from top to bottom. `structures=False` leaves out drawings and SMILES."""

    title: str
    facts: Sequence[tuple[str, Cell]]
    tables: Sequence[Table] = ()
    targets: Sequence[TargetPlot] = ()
    summary: str = ""
    headline: Sequence[Headline] = ()
    notes: Sequence[str] = ()
    part: str = ""  # which molecules the targets show, as a sentence part: "Test part"
    level: float = 0.9  # nominal coverage of the intervals
    structures: bool = True


@dataclass(frozen=True)
class Picture:
    """One picture with its caption."""

    title: str
    source: str  # a data: URI
    caption: str
    wide: bool = False  # as wide as the page, for one of many panels


@dataclass(frozen=True)
class Mistake:
    """One molecule with a large error."""

    label: str
    code: bool  # the label is a SMILES
    source: str | None  # a data: URI; None: the structure could not be drawn
    lines: Sequence[tuple[str, str]]


def write_report(path: Path, report: Report) -> None:
    """Write the page; the file appears whole or not at all.

    DiskError if the disk refuses; what stood at `path` is then intact.
    """
    write_whole(path, render(report).encode())


def render(report: Report) -> str:
    """The page as text."""
    sections = [_section(target, report) for target in report.targets[:MOST]]
    fields = {"report": report, "tables": [laid_out(table) for table in report.tables], "sections": sections}
    return page("report.html", "tetramer report", report.title, report.summary, fields)


def page(template: str, kind: str, title: str, summary: str, fields: Mapping[str, object]) -> str:
    """A template that extends page.html, filled in: all text is escaped."""
    loader = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters.update(show=show, parts=parts)
    return pages.get_template(template).render(kind=kind, title=title, summary=summary, mark=uri(MARK), **fields)


def laid_out(table: Table, right: Sequence[str] = ()) -> dict[str, object]:
    """The table by columns, so that digits agree in a column; those without text and those of `right` stand right."""
    columns = [[row[place] for row in table.rows] for place in range(len(table.header))]
    numeric = [
        bool(cells) and not any(isinstance(cell, str) and cell != UNDEFINED for cell in cells) for cells in columns
    ]
    numeric = [known or name in right for known, name in zip(numeric, table.header, strict=True)]
    rows = list(zip(*(column(cells) for cells in columns), strict=True))
    header = list(zip(table.header, numeric, strict=True))
    return {"caption": table.caption, "header": header, "rows": rows, "notes": table.notes, "tall": table.tall}


def _section(target: TargetPlot, report: Report) -> dict[str, object]:
    known = _named(target, report.structures).known()
    pictures, note = (
        PICTURES[target.task](known, report.level)
        if len(known.truth)
        else ([], f"No {target.what} has an exact label here.")
    )
    worst = [_mistake(known, row) for row in np.argsort(-_error(known), kind="stable")[:WORST]]
    return {"target": target, "count": len(known.truth), "pictures": pictures, "note": note, "worst": worst}


def _named(target: TargetPlot, structures: bool) -> TargetPlot:
    """With a name for every molecule: the one given, else its SMILES, else its place."""
    smiles = target.smiles if structures else ()
    numbers = [f"{target.what} {place:,}" for place in range(1, len(target.truth) + 1)]
    return replace(target, smiles=smiles, labels=target.labels or smiles or numbers)


def _regression(target: TargetPlot, level: float) -> tuple[list[Picture], str]:
    count = len(target.truth)
    caption = f"{count:,} {target.what}s. On the line, prediction and measurement agree."
    pair = (target.truth, target.prediction, target.low, target.high)
    if target.low is None or target.high is None:
        return [Picture("Predicted and measured", uri(plots.parity(*pair, target.unit)), caption)], ""
    outside = int(((target.truth < target.low) | (target.truth > target.high)).sum())
    caption += f" Bars are {_percent(level)} intervals, red where the measurement lies outside"
    if target.fresh:
        caption += f", {outside:,} of {count:,} ({_percent(outside / count)}; {_percent(1 - level)} expected)."
    else:
        caption += "; these rows calibrated them, so it does not test them."
    pictures = [Picture("Predicted and measured", uri(plots.parity(*pair, target.unit)), caption)]
    if np.isfinite(target.high - target.low).any():
        spread = plots.width_error(target.truth, target.prediction, target.low, target.high, target.unit)
        caption = (
            "Points above the line lie outside their interval. Where a model knows when it is unsure, wide intervals"
            " stand with large errors."
        )
        pictures.append(Picture("Error and width of the interval", uri(spread), caption))
    return pictures, ""


def _binary(target: TargetPlot, level: float) -> tuple[list[Picture], str]:
    positive, count = int(target.truth.sum()), len(target.truth)
    caption = f"{count:,} {target.what}s, {positive:,} of them {target.classes[1]}. The diagonal is guessing."
    steady = _calibration(target.truth, target.prediction, "positives")
    if positive in (0, count):
        only = target.classes[int(positive > 0)]
        return [steady], f"There is no ROC curve: all {count:,} {target.what}s are {only}."
    return [Picture("ROC curve", uri(plots.roc(target.truth, target.prediction)), caption), steady], ""


def _multiclass(target: TargetPlot, level: float) -> tuple[list[Picture], str]:
    chosen = target.prediction.argmax(axis=1)
    truth = target.truth.astype(np.int64)
    right = int((chosen == truth).sum())
    caption = f"{len(truth):,} {target.what}s, {right:,} on the diagonal. The colour is the share of a row."
    matrix = Picture("Confusion matrix", uri(plots.confusion(truth, chosen, target.classes)), caption)
    correct = (chosen == truth).astype(np.float64)
    return [matrix, _calibration(correct, target.prediction.max(axis=1), "right answers")], ""


def _calibration(truth: Floats, probability: Floats, share_of: str) -> Picture:
    caption = (
        "Each point is a group of rows; bars are 95 % intervals. On the diagonal, a predicted"
        " probability means what it says. Below: how often each probability was predicted."
    )
    return Picture("Calibration", uri(plots.reliability(truth, probability, share_of)), caption)


PICTURES = {"regression": _regression, "binary": _binary, "multiclass": _multiclass}


def _error(target: TargetPlot) -> Floats:
    """(n,) size of the error: a distance in the unit, or the probability that the true class did not get."""
    if target.task != "multiclass":
        return np.abs(target.prediction - target.truth)
    return 1 - target.prediction[np.arange(len(target.truth)), target.truth.astype(np.int64)]


def _mistake(target: TargetPlot, row: int) -> Mistake:
    label, smiles = target.labels[row], target.smiles[row] if target.smiles else ""
    drawing = draw(smiles, *DRAWN[target.what]) if smiles else None
    return Mistake(label, label == smiles, drawing and uri(drawing), ANSWERS[target.task](target, row))


def _number(target: TargetPlot, row: int) -> list[tuple[str, str]]:
    truth, prediction = float(target.truth[row]), float(target.prediction[row])
    if target.low is None or target.high is None:
        shown = figures([truth, prediction, prediction - truth])
        return list(zip(("measured", "predicted", "error"), shown, strict=True))
    shown = figures([truth, prediction, float(target.low[row]), float(target.high[row])])
    return [("measured", shown[0]), ("predicted", shown[1]), ("interval", f"{shown[2]} to {shown[3]}")]


def _probability(target: TargetPlot, row: int) -> list[tuple[str, str]]:
    positive = target.classes[1]
    return [
        ("true", target.classes[int(target.truth[row])]),
        (f"probability of {positive}", f"{target.prediction[row]:.2f}"),
    ]


def _choice(target: TargetPlot, row: int) -> list[tuple[str, str]]:
    chosen, truth = int(target.prediction[row].argmax()), int(target.truth[row])
    odds = target.prediction[row]
    return [
        ("true", f"{target.classes[truth]} ({odds[truth]:.2f})"),
        ("predicted", f"{target.classes[chosen]} ({odds[chosen]:.2f})"),
    ]


ANSWERS = {"regression": _number, "binary": _probability, "multiclass": _choice}


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def uri(svg: str) -> str:
    """A picture as a page holds it."""
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()


MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><g fill="none" stroke="#2b6a99" stroke-width="2">'
    '<path d="M20 9 31 20 20 31 9 20Z"/></g><g fill="#2b6a99"><circle cx="20" cy="8" r="6"/>'
    '<circle cx="32" cy="20" r="6" opacity=".75"/><circle cx="20" cy="32" r="6" opacity=".5"/>'
    '<circle cx="8" cy="20" r="6" opacity=".3"/></g></svg>'
)

"""A finished training as a folder: the model, the report, and the sentences for the terminal."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tetramer.benchmark.bootstrap import compare_on_test
from tetramer.benchmark.cases import ALIKE
from tetramer.benchmark.cells import UNDEFINED, Cell, Spread
from tetramer.benchmark.report import Headline, Report, Table, TargetPlot, write_report
from tetramer.datasets.partitions import save
from tetramer.datasets.writing import write_table
from tetramer.errors import UserError
from tetramer.inference import answer_columns
from tetramer.members import REGRESSION
from tetramer.metrics import METRICS, Score
from tetramer.modelling import Result
from tetramer.scoring import Scores, listed

PARTS = {"test": "Test part", "held-out": "Training rows, each answered by fits that had not seen it"}
VALIDATED = "Validation part, which also chose the weights"
NAMES = {
    "blend": "blend of all",
    "baseline": "baseline (trees and kernel machines)",
    "mean": "mean of the training rows",
}
FIRST = {"regression": "rmse", "binary": "roc-auc", "multiclass": "accuracy"}
ERRORS = ("rmse", "mae")  # in the unit of the target
TILES = 5  # targets that have a number of their own at the top of the page
LINES = 12  # targets that have a line of their own on the terminal
FEW = 10  # test rows that an interval needs
TALL = 30  # targets in a table that stands in full on the page; a longer one scrolls


def best_part(result: Result) -> str:
    """Where the model is judged: the test part if there is one."""
    return "test" if "test" in result.scores else "held-out"


def caption(result: Result, part: str) -> str:
    """What a table of scores was measured on."""
    if part == "held-out" and not any(piece.fold is not None for piece in result.plan.pieces):
        return VALIDATED
    return PARTS[part]


def judges(groups: Scores) -> list[str]:
    """The group that answers, and those to hold it against."""
    names = [name for name in ("blend", *groups) if name in groups]
    return [names[0], *(name for name in ("baseline", "mean") if name in groups and name != names[0])]


def alike(result: Result) -> bool:
    """Whether errors of the targets may be averaged: they have one unit or, without units, spread about as widely."""
    values, units = result.plan.data.values, result.assay.units
    if any(units) or values is None:
        return len(set(units)) == 1
    spread = np.nanstd(values[result.plan.fold >= 0], axis=0)
    return bool(spread.max() <= ALIKE * spread.min())


def averaged(result: Result) -> list[str]:
    """The metrics whose mean over the targets means something: errors of unlike quantities are not added up."""
    groups, problem = result.scores[best_part(result)], result.model.problem
    unlike = problem.task == REGRESSION and len(problem.targets) > 1 and not alike(result)
    return [metric for metric in next(iter(groups.values())) if not (unlike and metric in ERRORS)]


def mean_of(score: Score, targets: Sequence[str]) -> str:
    """Which targets a score is the mean of: "mean of 1 of 3 targets (a and b: only one class)"."""
    if not score.skipped or not score.targets:
        return f"mean of {len(targets)} targets"
    return f"mean of {score.targets} of {len(targets)} targets ({undefined(score.each, targets)})"


def undefined(scores: Sequence[Score], targets: Sequence[str]) -> str:
    """Why targets have no value, those with one reason together; "" where all have one."""
    if len(targets) == 1:
        return scores[0].reason
    why: dict[str, list[str]] = {}
    for name, one in zip(targets, scores, strict=True):
        if one.value is None:
            why.setdefault(one.reason.partition(" (")[0], []).append(name)
    if [len(names) for names in why.values()] == [len(targets)]:
        return f"all targets: {next(iter(why))}"
    return "; ".join(f"{listed(names)}: {reason}" for reason, names in why.items())


def gaps(groups: Scores, metrics: Sequence[str], targets: Sequence[str]) -> list[str]:
    """A sentence a reason for values that are undefined, or are means over some of the targets only.

    Groups are named but where the reason is that of most, and each of the others has one of its own.
    """
    said: dict[str, list[str]] = {}
    for metric in metrics:
        found: dict[str, list[str]] = {}
        for group, by in groups.items():
            one = by[metric]
            if one.skipped:
                why = mean_of(one, targets) if one.targets else f"undefined, {undefined(one.each, targets)}"
                found.setdefault(why, []).append(NAMES.get(group, group))
        most = max(found, key=lambda why: len(found[why]), default="")
        if sum(map(len, found.values())) < len(groups):
            most = ""
        for why, names in found.items():
            said.setdefault(why, []).append(metric if why == most else f"{metric} ({listed(names)})")
    return [f"{listed(which)}: {why}." for why, which in said.items()]


def unlike(result: Result) -> list[str]:
    """What to know of means over the targets of a regression."""
    problem = result.model.problem
    if problem.task != REGRESSION or len(problem.targets) == 1:
        return []
    if "rmse" in averaged(result):
        return ["The targets are different quantities: a mean over them is the error of none."]
    return [f"{' and '.join(ERRORS)} are not averaged, because the targets differ in unit or scale."]


def against(result: Result) -> list[str]:
    """How sure the test part is of the difference to the baseline or, without one, to the mean; of one target alone."""
    problem, groups = result.model.problem, result.scores.get("test", {})
    if len(problem.targets) > 1 or not groups:
        return []
    metric, (main, *others) = FIRST[problem.task], judges(groups)
    rows, labels = result.split.test, result.assay.labels
    truth = np.where(labels.censor[rows, 0] == 0, labels.values[rows, 0], np.nan)
    if not others or np.isfinite(truth).sum() < FEW:
        return []
    ours, theirs = (result.groups["test"][name][:, 0] for name in (main, others[0]))
    if problem.outputs == 1:
        ours, theirs = ours[:, 0], theirs[:, 0]
    try:
        told = compare_on_test(metric, truth, ours, theirs)
    except UserError:  # undefined here, or in most of the resamples
        return []
    sign = -1 if METRICS[metric].higher else 1
    gap, low, high = sign * told.difference, *sorted((sign * told.low, sign * told.high))
    return [
        f"{metric} minus that of the {NAMES[others[0]]}: {gap:+.3g} ({low:+.3g} to {high:+.3g} at {told.level:.0%}, by "
        f"drawing test {'reactions' if result.model.standard.reactions else 'molecules'} again): {told.verdict}."
    ]


def nothing_learned(result: Result) -> list[str]:
    """A sentence where the model is no better than the mean of the training rows, by the first metric."""
    groups, metric = result.scores[best_part(result)], averaged(result)[0]
    main, mean = groups[judges(groups)[0]][metric].value, groups["mean"][metric].value if "mean" in groups else None
    if main is None or mean is None or (main > mean if METRICS[metric].higher else main < mean):
        return []
    return [f"By {metric} the model is no better than the mean of the training rows: do not use it as it is."]


def tables(result: Result) -> list[Table]:
    """One table of scores a part, the model's row first; with several targets, behind the first one that of each."""
    out, targets, metrics = [], result.model.problem.targets, averaged(result)
    for part in ("test", "held-out"):
        groups = result.scores.get(part, {})
        if not groups:
            continue
        rows = [[NAMES.get(g, g), *(cell(by[m]) for m in metrics)] for g, by in groups.items()]
        several = f", mean of {len(targets)} targets" if len(targets) > 1 else ""
        notes = [*gaps(groups, metrics, targets), *unlike(result), *(against(result) if part == "test" else [])]
        out.append(Table(caption(result, part) + several, ["", *metrics], rows, notes))
        if several and part == best_part(result):
            out.append(each_table(result))
    return out


def each_target(result: Result) -> tuple[dict[str, list[Score]], list[int]]:
    """The first metric of the model and of what to hold it against, a score a target, and how many labels went in."""
    groups, task = result.scores[best_part(result)], result.model.problem.task
    metric, (main, *against) = FIRST[task], judges(groups)
    columns = {metric: list(groups[main][metric].each)}
    if task == REGRESSION:
        columns["r2"] = list(groups[main]["r2"].each)
    columns |= {f"{metric} of the {name}": list(groups[name][metric].each) for name in against}
    return columns, [score.rows for score in columns[metric]]


def each_table(result: Result) -> Table:
    """`each_target` for the page, a row a target; errors of unlike targets have their own digits."""
    columns, counts = each_target(result)
    problem, place = result.model.problem, caption(result, best_part(result))
    own = problem.task == REGRESSION and "rmse" not in averaged(result)
    told = [[cell(score, own and head != "r2") for score in scores] for head, scores in columns.items()]
    rows = [[target, *cells, count] for target, count, *cells in zip(problem.targets, counts, *told, strict=True)]
    why = dict.fromkeys(undefined(scores, problem.targets) for scores in columns.values())
    notes = [f"Undefined for {text}." for text in why if text]
    title = f"Each target: {place[0].lower()}{place[1:]}"
    return Table(title, ["target", *columns, "labels"], rows, notes, tall=len(rows) > TALL)


def each_lines(result: Result) -> list[str]:
    """`each_target` for a terminal; of very many the first."""
    columns, counts = each_target(result)
    targets = result.model.problem.targets
    few = {head: written(scores[:LINES]) for head, scores in columns.items()}
    lines = aligned(targets[:LINES], few | {"labels": [f"{count}" for count in counts[:LINES]]})
    left = len(targets) - LINES
    return ["Each target:", *lines, *([f"  The report has {left:,} more."] if left > 0 else [])]


def cell(score: Score, own: bool = False) -> Cell:
    """A score in a table; `own`: with digits that suit it alone, not its column."""
    if score.value is None:
        return UNDEFINED
    return Spread(score.value) if own else score.value


def facts(result: Result, seconds: float) -> list[tuple[str, Any]]:
    """What the page says beside its numbers."""
    card, codes = result.model.card, result.model.card["rows"]
    read = ", ".join(f"{count} {code}" for code, count in sorted(codes.items(), key=lambda pair: -pair[1]))
    fitted = card["fit_rows"]
    return [
        ("Structures", read),
        ("Task", result.assay.why),
        ("Recipe", card["recipe"] + "".join(f", {key}={value}" for key, value in card["overrides"].items())),
        ("Split", f"{card['split']['name']}: {' / '.join(map(str, card['split']['sizes']))} train / valid / test"),
        ("Split SHA-256", card["split"]["sha256"]),
        ("Data SHA-256", card["data"]["sha256"]),
        ("Fitted on", f"{fitted['count']} rows ({fitted['part']})"),
        ("Seed", card["seed"]),
        ("Seconds", round(seconds, 1)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in card["versions"].items())),
    ]


def plots(result: Result) -> list[TargetPlot]:
    """Truth and answers of every target on the part where the model is judged."""
    model, assay = result.model, result.assay
    part = best_part(result)
    rows = result.split.test if part == "test" else result.held
    answer = result.answers[part]
    smiles = [result.reading.smiles[row] for row in rows.tolist()]
    out = []
    for target, name in enumerate(model.problem.targets):
        truth = np.where(assay.labels.censor[rows, target] == 0, assay.labels.values[rows, target], np.nan)
        values = answer.values[:, target]
        low = answer.low[:, target] if answer.low is not None else None
        high = answer.high[:, target] if answer.high is not None else None
        if low is not None and np.isnan(low).all():
            low = high = None
        out.append(
            TargetPlot(
                name=name,
                task=model.problem.task,
                truth=truth,
                prediction=values if model.problem.outputs > 1 else values[:, 0],
                unit=assay.units[target] if assay.units else "",
                low=low,
                high=high,
                classes=model.problem.classes[target] if model.problem.classes else ("0", "1"),
                smiles=smiles,
                what="reaction" if model.standard.reactions else "molecule",
                fresh=part == "test",
            )
        )
    return out


def headline(result: Result) -> list[Headline]:
    """The first metric of the model, beside the baseline and the mean; of a few targets also that of each."""
    groups, targets, metric = result.scores[best_part(result)], result.model.problem.targets, averaged(result)[0]
    main, *against = judges(groups)

    def tile(label: str, scores: Sequence[Score], why: str) -> Headline:
        note = ", ".join(f"{NAMES[name]} {shown(score)}" for name, score in zip(against, scores[1:], strict=True))
        value = scores[0].value
        return Headline(label, UNDEFINED, why) if value is None else Headline(label, value, note)

    whole = [groups[name][metric] for name in (main, *against)]
    label = metric if len(targets) == 1 else f"{metric}, {mean_of(whole[0], targets)}"
    tiles = [tile(label, whole, undefined(whole[0].each, targets))]
    metric = FIRST[result.model.problem.task]
    for place, target in enumerate(targets if 1 < len(targets) <= TILES else ()):
        own = [groups[name][metric].each[place] for name in (main, *against)]
        tiles.append(tile(f"{metric}, {target}", own, own[0].reason))
    return tiles


def shown(score: Score) -> str:
    """A score by itself."""
    return written([score])[0]


def written(scores: Sequence[Score]) -> list[str]:
    """Scores of one column with three decimals or, where these would be too many or too few, four digits."""
    largest = max((abs(score.value) for score in scores if score.value is not None), default=0.0)
    form = ".3f" if largest == 0 or 0.01 <= largest < 1e5 else ".4g"
    return [UNDEFINED if score.value is None else f"{score.value:{form}}" for score in scores]


def aligned(names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines of a table, the names left and the columns right, two blanks or more between them."""
    width = max(len(name) for name in names)
    widths = [max(10, 2 + max(map(len, (head, *cells)))) for head, cells in columns.items()]
    lines = [" " * (width + 2) + "".join(f"{head:>{w}}" for head, w in zip(columns, widths, strict=True))]
    for name, *cells in zip(names, *columns.values(), strict=True):
        lines.append(f"  {name:<{width}}" + "".join(f"{text:>{w}}" for text, w in zip(cells, widths, strict=True)))
    return lines


def sentences(result: Result) -> list[str]:
    """The outcome for a terminal: one line a group, on the part where the model is judged."""
    part, targets = best_part(result), result.model.problem.targets
    groups, metrics = result.scores[part], averaged(result)
    rows = f"{len(result.split.test) if part == 'test' else len(result.held)} rows"
    table = aligned(
        [NAMES.get(group, group) for group in groups],
        {metric: written([by[metric] for by in groups.values()]) for metric in metrics},
    )
    main = judges(groups)[0]
    holes, labels = gaps({main: groups[main]}, metrics, targets), max(score.rows for score in groups[main].values())
    if len(targets) == 1:
        which = "" if f"{labels} rows" == rows else f", {labels} with an exact label"
        lines = [f"{caption(result, part)} ({rows}{which}):", *table, *holes, *against(result)]
    else:
        mean = "mean over targets" if holes else f"mean of {len(targets)} targets"
        lines = [f"{caption(result, part)} ({rows}, {labels} labels), {mean}:", *table]
        lines += [*holes, *unlike(result), *each_lines(result)]
    if result.model.problem.task == REGRESSION and (cover := coverage(result)) is not None:
        what = "them" if len(targets) == 1 else "the labels"
        lines.append(f"The {result.model.card['level']:.0%} interval holds {cover:.1%} of {what}.")
    split, data = result.model.card["split"], result.model.card["data"]["sha256"]
    lines += nothing_learned(result)
    return [*lines, f"Split {split['name']}, SHA-256 {split['sha256']}; of the data, SHA-256 {data[:12]}"]


def coverage(result: Result) -> float | None:
    """Share of test rows whose interval holds the truth; None without a test part, intervals or exact labels."""
    if best_part(result) != "test":
        return None
    inside = [
        (plot.low <= plot.truth) & (plot.truth <= plot.high)
        for plot in (plot.known() for plot in plots(result))
        if plot.low is not None and plot.high is not None
    ]
    held = np.concatenate(inside) if inside else np.zeros(0)
    return float(held.mean()) if len(held) else None


def write(result: Result, output: Path, report: Path, seconds: float, title: str, structures: bool = True) -> None:
    """Put the model at `output` and the report at `report`, beside it the split and the answers of its test part."""
    result.model.save(output)
    save(result.split, report.with_name("split.json"))
    if len(result.split.test):
        write_table(tested(result, structures), report.with_name("test.csv"))
    page = Report(
        title=title,
        facts=facts(result, seconds),
        tables=tables(result),
        targets=plots(result),
        headline=headline(result),
        notes=[*result.notes, *nothing_learned(result)],
        level=result.model.card["level"],
        part=caption(result, best_part(result)),
        structures=structures,
    )
    write_report(report, page)


def tested(result: Result, structures: bool) -> pa.Table:
    """Number of the row, structure, what was measured and what is answered, of every row of the test part."""
    rows, problem, labels = result.split.test, result.model.problem, result.assay.labels
    columns: dict[str, pa.Array] = {"row": pa.array(rows + 1)}
    if structures:
        columns["smiles"] = pa.array([result.reading.smiles[row] for row in rows.tolist()])
    for target, name in enumerate(problem.targets):
        cells = zip(labels.values[rows, target], labels.censor[rows, target], strict=True)
        classes = problem.classes[target] if problem.classes else None
        unit = result.assay.units[target] if result.assay.units else ""
        told = [measured(value, sign, classes) for value, sign in cells]
        columns[f"{name} ({unit})" if unit else name] = pa.array(told, pa.string())
    return pa.table(columns | answer_columns(problem, result.answers["test"]))


def measured(value: float, sign: int, classes: Sequence[str] | None) -> str | None:
    """A label as text; None where it is unknown."""
    if np.isnan(value):
        return None
    return classes[int(value)] if classes else f"{('', '>', '<')[sign]}{value:.10g}"


def as_json(result: Result) -> str:
    """The outcome for a program."""
    keep: Sequence[str] = ("task", "recipe", "split", "fit_rows", "rows", "metrics")
    return json.dumps({name: result.model.card[name] for name in keep})

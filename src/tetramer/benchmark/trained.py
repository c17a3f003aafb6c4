"""A finished training as a folder: the model, the report, and the sentences for the terminal."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.benchmark.report import Headline, Report, Table, TargetPlot, write_report
from tetramer.checkpoint import read_card, recover
from tetramer.errors import UserError
from tetramer.members import REGRESSION
from tetramer.metrics import Score
from tetramer.modelling import Result

PARTS = {"test": "Test part", "held-out": "Training rows, each answered by fits that had not seen it"}
VALIDATED = "Validation part, which also chose the weights"
NAMES = {
    "blend": "blend of all",
    "baseline": "baseline (trees and kernel machines)",
    "mean": "mean of the training rows",
}
FIRST = {"regression": "rmse", "binary": "roc-auc", "multiclass": "accuracy"}


def check_output(path: Path) -> None:
    """UserError, before any work, if a model cannot be put at `path`: a file, or a folder of something else."""
    recover(path)
    above = next((there for there in (path, *path.absolute().parents) if there.exists()), path)
    if above.exists() and not above.is_dir():
        raise UserError(f"{above} is a file; --output names a folder for the model.")
    if path.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"{path} is where you work; --output names a new folder, which is put in place whole.")
    if path.is_dir() and any(path.iterdir()) and not is_model(path):
        raise UserError(f"{path} holds other files; --output names a new folder, or a model to be replaced.")


def is_model(path: Path) -> bool:
    """Whether a folder is a model of this program."""
    try:
        return read_card(path).get("kind") == "model"
    except UserError:
        return False


def best_part(result: Result) -> str:
    """Where the model is judged: the test part if there is one."""
    return "test" if "test" in result.scores else "held-out"


def caption(result: Result, part: str) -> str:
    """What a table of scores was measured on."""
    if part == "held-out" and not any(piece.fold is not None for piece in result.plan.pieces):
        return VALIDATED
    return PARTS[part]


def number(score: Score) -> float | str:
    """A score, or why there is none."""
    return score.value if score.value is not None else f"undefined: {score.reason}"


def tables(result: Result) -> list[Table]:
    """One table of scores a part, the model's row first."""
    out = []
    for part in ("test", "held-out"):
        groups = result.scores.get(part, {})
        if groups:
            metrics = list(next(iter(groups.values())))
            rows = [[NAMES.get(g, g), *(number(by[m]) for m in metrics)] for g, by in groups.items()]
            out.append(Table(caption(result, part), ["", *metrics], rows))
    return out


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
    answer = model.predict(result.reading.features, rows, model.card["level"]) if part == "test" else result.told
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
            )
        )
    return out


def headline(result: Result) -> list[Headline]:
    """The first metric of the model, beside the baseline and the mean."""
    groups = result.scores[best_part(result)]
    metric = FIRST[result.model.problem.task]
    names = [name for name in ("blend", *groups) if name in groups]
    main, against = names[0], [name for name in ("baseline", "mean") if name in groups and name != names[0]]
    note = ", ".join(f"{NAMES[name]} {shown(groups[name][metric])}" for name in against)
    return [Headline(metric, number(groups[main][metric]), note)]


def shown(score: Score) -> str:
    """A score with three decimals."""
    return f"{score.value:.3f}" if score.value is not None else "undefined"


def sentences(result: Result) -> list[str]:
    """The outcome for a terminal: one line a group, on the part where the model is judged."""
    part = best_part(result)
    groups = result.scores[part]
    metrics = list(next(iter(groups.values())))
    width = max(len(NAMES.get(name, name)) for name in groups)
    lines = [f"{caption(result, part)} ({len(result.split.test) if part == 'test' else len(result.held)} rows):"]
    lines.append(" " * (width + 2) + "".join(f"{metric:>10}" for metric in metrics))
    for name, by in groups.items():
        lines.append(f"  {NAMES.get(name, name):<{width}}" + "".join(f"{shown(by[metric]):>10}" for metric in metrics))
    if result.model.problem.task == REGRESSION and (cover := coverage(result)) is not None:
        lines.append(f"The {result.model.card['level']:.0%} interval holds {cover:.1%} of them.")
    split = result.model.card["split"]
    return [*lines, f"Split {split['name']}, SHA-256 {split['sha256']}"]


def coverage(result: Result) -> float | None:
    """Share of test rows whose interval holds the truth; None without a test part or intervals."""
    if best_part(result) != "test":
        return None
    inside = [
        (plot.low <= plot.truth) & (plot.truth <= plot.high)
        for plot in (plot.known() for plot in plots(result))
        if plot.low is not None and plot.high is not None
    ]
    return float(np.concatenate(inside).mean()) if inside else None


def write(result: Result, output: Path, report: Path, seconds: float, title: str, structures: bool = True) -> None:
    """Put the model at `output` and the report at `report`."""
    result.model.save(output)
    page = Report(
        title=title,
        facts=facts(result, seconds),
        tables=tables(result),
        targets=plots(result),
        headline=headline(result),
        notes=result.notes,
        level=result.model.card["level"],
        part=caption(result, best_part(result)),
        structures=structures,
    )
    write_report(report, page)


def as_json(result: Result) -> str:
    """The outcome for a program."""
    keep: Sequence[str] = ("task", "recipe", "split", "fit_rows", "rows", "metrics")
    return json.dumps({name: result.model.card[name] for name in keep})

"""`auto` beside its members on public data, split after split: accuracy (class B, class D) and intervals (random).

    python benchmarks/splits.py run class-b esol freesolv bace bbbp lipophilicity
    python benchmarks/splits.py run class-d esol freesolv lipophilicity
    python benchmarks/splits.py run intervals esol lipophilicity
    python benchmarks/splits.py show

One row is one training in one process, written to results/STUDY/DATA-SEED.json when it is done; rows that are there
are not run again. The protocol is fixed here: ten class-B splits (seeds 0 to 9), 8 : 1 : 1, fitted on train + valid;
class D (`scaffold`) fitted on train and on train + valid; twenty random splits (seeds 0 to 19) for the intervals.
Nothing is chosen on a test part: the blend's weights and the calibration come from out-of-fold predictions.
"""

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent.parent / "results"
STUDIES: dict[str, list[dict[str, Any]]] = {
    "class-b": [{"split": "scaffold-balanced", "seed": seed, "fit_rows": "train+valid"} for seed in range(10)],
    "class-d": [{"split": "scaffold", "seed": 0, "fit_rows": rows} for rows in ("train", "train+valid")],
    "intervals": [{"split": "random", "seed": seed, "fit_rows": "train+valid"} for seed in range(20)],
}
ERRORS = {"regression": ("rmse", lambda value: value), "binary": ("roc-auc", lambda value: 1 - value)}


def place(study: str, name: str, row: dict[str, Any]) -> Path:
    """Where a row's result is kept."""
    part = "-" + row["fit_rows"] if study == "class-d" else ""
    return RESULTS / study / f"{name}-{row['seed']}{part}.json"


def run(study: str, names: list[str]) -> None:
    """Run what is missing, one process a row."""
    for name in names:
        for row in STUDIES[study]:
            if not place(study, name, row).exists():
                subprocess.run([sys.executable, __file__, "row", study, name, json.dumps(row)], check=True)


def one(study: str, name: str, row: dict[str, Any]) -> None:
    """One training; the row holds the test scores of every member, the blend's weights and the intervals."""
    from tetramer.assays import assay_of
    from tetramer.checkpoint import config_hash
    from tetramer.datasets import sources
    from tetramer.datasets.labels import labels
    from tetramer.metrics import METRICS
    from tetramer.modelling import Options, train

    source, table = sources.SOURCES[name], sources.load(name)
    assay = assay_of(table.texts, labels(table, [next(iter(source.targets))]), None)
    options, start = Options(recipe="auto", **row), monotonic()
    with tempfile.TemporaryDirectory() as parts:
        result = train(assay, options, Path(parts))
    assert assay.task in METRICS["rmse"].tasks + METRICS["roc-auc"].tasks
    test = result.split.test
    answer = result.model.predict(result.reading.features, test)
    truth = assay.labels.values[test, 0]
    out = {
        "data": name,
        **row,
        "task": assay.task,
        "split_sha256": result.split.sha256,
        "config_sha256": config_hash(result.model.card["members_config"]),
        "sizes": result.split.sizes,
        "fitted_on": int((result.plan.fold >= 0).sum()),
        "test": {g: {m: s.value for m, s in by.items()} for g, by in result.scores["test"].items()},
        "weights": dict(zip(result.model.groups, result.model.weights[0].round(4).tolist(), strict=True)),
        "seconds": round(monotonic() - start, 1),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": result.model.card["versions"],
    }
    if answer.low is not None and answer.high is not None:
        low, high = answer.low[:, 0], answer.high[:, 0]
        error = np.abs(truth - answer.values[:, 0, 0])
        ranks = [np.argsort(np.argsort(x)) for x in (high - low, error)]
        out["interval"] = {
            "level": 0.9,
            "coverage": float(((low <= truth) & (truth <= high)).mean()),
            "width": float((high - low).mean()),
            "rank_correlation": float(np.corrcoef(*ranks)[0, 1]),
        }
    path = place(study, name, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(path.name, {g: by[ERRORS[assay.task][0]] for g, by in out["test"].items()}, out.get("interval"), flush=True)


def show() -> None:
    """Every study as a table: mean error of the blend and of each member, and the paired ratio to the best member."""
    for study in STUDIES:
        rows = [json.loads(path.read_text()) for path in sorted((RESULTS / study).glob("*.json"))]
        for name in sorted({row["data"] for row in rows}):
            for fit in sorted({row["fit_rows"] for row in rows if row["data"] == name}):
                show_one(study, name, [row for row in rows if row["data"] == name and row["fit_rows"] == fit])


def show_one(study: str, name: str, rows: list[dict[str, Any]]) -> None:
    """One data set: the best single member is the one with the least mean error over these very splits."""
    metric, error = ERRORS[rows[0]["task"]]
    groups = [group for group in rows[0]["test"] if group != "mean"]
    table = {g: np.array([error(row["test"][g][metric]) for row in rows]) for g in groups}
    single = {g: values for g, values in table.items() if g not in ("blend", "baseline")}
    best = min(single, key=lambda g: single[g].mean())
    told = ", ".join(f"{g} {values.mean():.4f}" for g, values in table.items())
    print(f"{study} {name} ({len(rows)} splits, fitted on {rows[0]['fit_rows']}), {metric} as error: {told}")
    gap = table["blend"] - single[best]
    half = 1.96 * gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else float("nan")
    ratio = table["blend"].mean() / single[best].mean()
    print(f"   blend / best member ({best}): {ratio:.3f}; paired difference {gap.mean():+.4f} ± {half:.4f}")
    if "interval" in rows[0]:
        of = {key: np.mean([row["interval"][key] for row in rows]) for key in rows[0]["interval"]}
        shown = ", ".join(f"{key} {of[key]:.3f}" for key in ("coverage", "width", "rank_correlation"))
        print(f"   interval: {shown}")


if __name__ == "__main__":
    verb, *rest = sys.argv[1:] or ["show"]
    if verb == "run":
        run(rest[0], rest[1:])
    elif verb == "row":
        one(rest[0], rest[1], json.loads(rest[2]))
    else:
        show()

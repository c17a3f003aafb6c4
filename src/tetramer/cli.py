"""The verbs. A verb is a typed function: its signature is the parser, its docstring the help; the work is elsewhere.

Nothing heavy is imported here before a verb needs it, so that `tetramer --help` answers at once.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from tetramer import __version__
from tetramer.errors import Stopped, UserError
from tetramer.terminal import Bar, one_smiles, say

if TYPE_CHECKING:
    from tetramer.assays import Assay
    from tetramer.datasets.splits import Split
    from tetramer.inference import Model
    from tetramer.modelling import Options
    from tetramer.shards import Columns
    from tetramer.views import Reader, Reading

Smiles = Annotated[
    str | None, Option("--smiles-column", "--smiles-columns", help="column of SMILES; found by name if absent")
]
Workers = Annotated[int | None, Option(help="worker processes; 0: none, all in this process [default: one a core]")]
Json = Annotated[bool, Option("--json", help="print the outcome as JSON")]
Output = Annotated[str, Option("--output", "-o", help="where to write")]
OnError = Annotated[str, Option(help="rows that cannot be read: keep, skip or fail")]
Salts = Annotated[str, Option(help="keep, or largest: the largest organic fragment")]
Charges = Annotated[str, Option(help="keep, or neutral: remove charges that protons can remove")]
Tautomers = Annotated[str, Option(help="keep, or canonical: RDKit's canonical tautomer")]
Structures = Annotated[bool, Option("--structures/--no-structures", help="draw molecules in the report")]


STOPPED = "Stopped; what is done is kept. The same command goes on from there."


def train(
    data: Annotated[str, Argument(help="CSV, TSV, SMI, SDF or Parquet file (.gz may follow), or - for standard input")],
    output: Annotated[Path, Option("--output", "-o", "--output-dir", help="folder for the model")],
    target: Annotated[
        list[str] | None, Option("--target", "--target-columns", help="column to learn; may be given again")
    ] = None,
    smiles_column: Smiles = None,
    task: Annotated[str, Option(help="auto, regression, binary or multiclass")] = "auto",
    recipe: Annotated[str, Option(help="auto, baseline, fingerprint or graph")] = "auto",
    split: Annotated[str, Option(help="rule that keeps a test part aside, such as scaffold or random")] = "none",
    split_column: Annotated[
        str | None,
        Option(help="column that says train, valid or test; or the groups or dates of --split group or time"),
    ] = None,
    validation: Annotated[Path | None, Option(help="file with the validation part")] = None,
    test: Annotated[Path | None, Option(help="file with the test part")] = None,
    weight_column: Annotated[str | None, Option(help="column of row weights")] = None,
    log10: Annotated[bool, Option("--log10", help="learn the decimal logarithm of the targets")] = False,
    to_pic50: Annotated[
        str | None, Option("--to-pic50", help="targets are concentrations in this unit, such as nM")
    ] = None,
    fit_rows: Annotated[str, Option(help="train, or train+valid: fit on the validation part as well")] = "train",
    seed: Annotated[int, Option(help="seed of splits and weights")] = 0,
    seeds: Annotated[int, Option(help="networks per fit, answered by their mean")] = 1,
    level: Annotated[float, Option(help="share of truths that an interval holds")] = 0.9,
    settings: Annotated[list[str] | None, Option("--set", help="a setting, as in training.epochs=20")] = None,
    salts: Salts = "keep",
    charges: Charges = "keep",
    tautomers: Tautomers = "keep",
    structures: Structures = True,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Learn measured values from a table of molecules."""
    from tetramer.assays import Files, read_files
    from tetramer.benchmark import trained
    from tetramer.modelling import Options
    from tetramer.molecules import Limits, Standard

    trained.check_output(output)
    files = Files(
        data, target or [], smiles_column, validation, test, split_column, split, weight_column, log10, to_pic50, task
    )
    options = Options(
        recipe, overrides_of(settings or []), split, seed, seeds, fit_rows, level,
        Standard(salts, charges, tautomers), Limits(workers),
    )  # fmt: skip
    run_training(read_files(files), options, output, output / "report.html", Path(str(data)).name, structures, as_json)


def run_training(
    read: "tuple[Assay, Split | None]",
    options: "Options",
    output: Path,
    report: Path,
    title: str,
    structures: bool,
    as_json: bool,
) -> None:
    """Train, write model and report, and tell the outcome."""
    import shutil
    from time import monotonic

    from tetramer.benchmark import trained
    from tetramer.datasets.writing import locked
    from tetramer.modelling import train as fit

    start, parts = monotonic(), output.parent / f"{output.name}.parts"
    with locked(parts), Bar() as bar:
        result = fit(read[0], options, parts, read[1], bar.show, say)
    trained.write(result, output, report, monotonic() - start, title, structures)
    shutil.rmtree(parts, ignore_errors=True)  # unfinished work that is finished
    for line in trained.sentences(result):
        say(line)
    say(f"Model: {output}   Report: {report}")
    if as_json:
        print(trained.as_json(result))


def overrides_of(settings: list[str]) -> dict[str, str]:
    """["a=b"] → {"a": "b"}."""
    pairs = [setting.partition("=") for setting in settings]
    wrong = next((setting for setting, pair in zip(settings, pairs, strict=True) if not pair[1]), None)
    if wrong is not None:
        raise UserError(f"--set {wrong}: write it as key=value, such as training.epochs=20.")
    return {key.strip(): value.strip() for key, _, value in pairs}


def predict(
    model: Annotated[Path, Argument(help="folder that `tetramer train` wrote")],
    data: Annotated[str, Argument(help="file of molecules, - for standard input, or one SMILES")],
    output: Annotated[str, Option("--output", "-o", help="CSV or Parquet file; - is standard output")] = "-",
    smiles_column: Smiles = None,
    level: Annotated[float, Option(help="share of truths that an interval holds")] = 0.9,
    on_error: OnError = "keep",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Predict new molecules with a trained model, row for row."""
    if not 0 < level < 1:
        raise UserError(f"--level {level} is not a probability. Choose a number between 0 and 1, such as 0.9.")
    from tetramer.checkpoint import read_folder
    from tetramer.molecules import Limits, Standard
    from tetramer.views.read import Reader

    card, files = read_folder(model)
    try:
        standard, views = Standard(**card["standard"]), card["views"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{model} is not a model folder: its card says not how structures are read.") from error

    with Reader(standard, Limits(workers)) as reader, ExitStack() as stack:

        @cache
        def loaded() -> "Model":  # when the workers are at the first rows: the imports take as long
            from tetramer.inference import Model
            from tetramer.members.work import one_thread

            stack.enter_context(one_thread())  # the workers have the other cores
            return Model.from_folder(model, card, files)

        def columns(reading: "Reading") -> dict[str, Any]:
            from tetramer.inference import prediction_columns

            return prediction_columns(loaded(), reading, level)

        run_rows(reader, data, output, smiles_column, on_error, as_json, views, columns, [card["sha256"], level])


def embed(
    data: Annotated[str, Argument(help="file of molecules, - for standard input, or one SMILES")],
    output: Annotated[str, Option("--output", "-o", help="Parquet or CSV file; - is standard output")] = "-",
    model: Annotated[Path | None, Option(help="model folder with a network; without one, --view")] = None,
    view: Annotated[str, Option(help="what the vector is without --model: fingerprint")] = "fingerprint",
    smiles_column: Smiles = None,
    on_error: OnError = "keep",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Turn molecules into vectors."""
    from tetramer.inference import Model, embedding_columns, embedding_views
    from tetramer.members.work import one_thread
    from tetramer.molecules import Limits
    from tetramer.views.read import Reader

    loaded = None if model is None else Model.load(model)
    if loaded is None:
        say("No --model: the vectors are the fingerprint view (log counts of circular substructures).")
    with Reader(None if loaded is None else loaded.standard, Limits(workers)) as reader, one_thread():
        flat = Path(output).suffix.casefold() not in (".parquet", ".pq")
        run_rows(
            reader, data, output, smiles_column, on_error, as_json,
            embedding_views(loaded), lambda reading: embedding_columns(loaded, reading, flat, view),
            ["embed", flat, view, None if loaded is None else loaded.card["sha256"]],
        )  # fmt: skip


def run_rows(
    reader: "Reader",
    data: str,
    output: str,
    smiles: str | None,
    on_error: str,
    as_json: bool,
    views: Sequence[str],
    columns: "Columns",
    key: list[object],
) -> None:
    """Apply `columns` to every row of a file, or to one SMILES, and say how many rows had what status."""
    import json
    from dataclasses import asdict

    from tetramer import shards
    from tetramer.checkpoint import config_hash

    with one_smiles(data) as source, Bar() as bar:
        told = config_hash([key, asdict(reader.standard), list(views)])
        job = shards.Job(source, output, views, columns, told, None if source != data else smiles, on_error)
        try:
            counts = shards.apply(job, reader, bar.rows)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of our output has gone: end quietly
            return
    refused = {code: count for code, count in counts.by_status.items() if not code.startswith("ok")}
    listed = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
    say(f"{counts.rows} rows" + (f", {sum(refused.values())} without a number ({listed})" if refused else "") + ".")
    if as_json and output != "-":
        print(json.dumps({"rows": counts.rows, "status": counts.by_status, "output": output}))


def demo(
    output: Annotated[Path, Option("--output", "-o", help="folder for report and model")] = Path("tetramer-demo"),
    recipe: Annotated[str, Option(help="auto, baseline, fingerprint or graph")] = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Train and predict on a real assay that comes with RDKit, offline."""
    from tetramer.assays import assay_of
    from tetramer.benchmark import trained
    from tetramer.datasets import sources
    from tetramer.datasets.labels import labels
    from tetramer.modelling import Options
    from tetramer.molecules import Limits

    name = "chembl2321810"
    source, table = sources.SOURCES[name], sources.load(name)
    say(f"{len(table)} sulfonamides with measured pIC50 ({name.upper()}), from the RDKit package.")
    assay = assay_of(table.texts, labels(table, list(source.targets)), None)
    trained.check_output(output / "model")
    options = Options(recipe, split="scaffold-balanced", fit_rows="train+valid", limits=Limits(workers))
    title = "1,017 sulfonamides: pIC50"
    run_training((assay, None), options, output / "model", output / "report.html", title, True, as_json)


def audit(
    data: Annotated[str, Argument(help="file with structures and, best, measured values")],
    target: Annotated[
        list[str] | None, Option("--target", "--target-columns", help="column to look at [default: all that can be]")
    ] = None,
    test: Annotated[Path | None, Option(help="second file: what of it stands in DATA already?")] = None,
    smiles_column: Smiles = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Look for what makes numbers from a table misleading: duplicates, conflicts, leaks, contradictions."""
    import json

    from tetramer.datasets import audit as auditing
    from tetramer.datasets.tables import read_table
    from tetramer.molecules import Limits

    table = read_table(data)
    with Bar() as bar:
        options = auditing.Options(limits=Limits(workers), progress=lambda done, rows: bar.rows(done))
        told = [auditing.audit(table, target, smiles_column, options)]
        if test is not None:
            told.append(auditing.overlap(table, read_table(test), smiles_column, options))
    if as_json:
        print(json.dumps([one.to_json() for one in told]))
        return
    for one in told:
        print(
            f"{one.name}: {one.rows:,} rows, {one.molecules:,} molecules; targets: {', '.join(one.targets) or 'none'}"
        )
        for finding in one.findings:
            where = f" Rows {', '.join(map(str, finding.rows))}." if finding.rows else ""
            print(f"  {finding.severity:<8} {finding.sentence}{where}")
        if not one.findings:
            print("  nothing found")


def datasets(
    data: Annotated[str | None, Argument(help="a data set, to see all that is known of it")] = None,
    fetch: Annotated[bool, Option("--fetch", help="bring its files onto this machine")] = False,
    accept_unverified: Annotated[
        bool, Option("--accept-unverified", help="download even where nobody could check the public bytes")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the public data sets, or tell all about one; --fetch brings its files."""
    import json

    from tetramer.datasets import sources

    if fetch and data is None:
        raise UserError(f"Name the data set to fetch: {', '.join(sources.SOURCES)}.")
    if fetch:
        for path in sources.fetch(str(data), accept_unverified):
            print(path)
        return
    rows = [sources.describe(name) for name in ([data] if data else sources.SOURCES)]
    if as_json:
        print(json.dumps(rows))
    elif data:
        print("\n".join(f"{key:<10} {value}" for key, value in rows[0].items()))
    else:
        keys = ("name", "rows", "targets", "task", "state", "licence")
        for name, count, targets, *rest in [keys, *([str(row[key]) for key in keys] for row in rows)]:
            print(f"{name:<22} {count:>8} {targets:>7}  {rest[0]:<11} {rest[1]:<11} {rest[2]}")


def doctor(as_json: Json = False) -> None:
    """Say what this machine can do."""
    import json

    from tetramer.doctor import examine

    told = examine()
    print(json.dumps(told) if as_json else "\n".join(f"{name:<22} {value}" for name, value in told.items()))


VERBS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "predict": predict,
    "embed": embed,
    "audit": audit,
    "datasets": datasets,
    "doctor": doctor,
}


def version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(__version__)
        raise typer.Exit


def top(
    show: Annotated[bool, Option("--version", callback=version, is_eager=True, help="print the version")] = False,
) -> None:
    """Four views of a molecule, one representation: train, predict and embed."""


def main(argv: list[str] | None = None) -> None:
    """Run one verb. Exit codes: 0 done, 1 failed, 2 wrong input, 74 disk, 128 + n stopped by signal n."""
    app = typer.Typer(name="tetramer", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    app.callback()(top)
    for name, verb in VERBS.items():
        app.command(name)(verb)
    before = signal.signal(signal.SIGTERM, end)
    try:
        app(argv)
    except UserError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        say(f"error: {error}")
        sys.exit(74 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES) else 1)
    except Stopped as stopped:
        say(STOPPED)
        sys.exit(128 + stopped.signal)
    except SystemExit as ended:  # typer turns a Ctrl-C into 130
        if ended.code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            say(STOPPED)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def end(number: int, _frame: FrameType | None) -> None:
    """SIGTERM, as Ctrl-C: leave every block in order, so that temporary files go and no worker stays."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()

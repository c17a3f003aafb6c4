"""Verbs that train: `train` on a user's table, `demo` on an assay that comes with RDKit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tetramer.errors import UserError
from tetramer.terminal import Bar, say
from tetramer.verbs.options import Charges, Json, NoStructures, Salts, Set, Smiles, Tautomers, Workers, overrides_of

DIED = "What is done is kept"  # said of a worker that died: the same command may well do better

if TYPE_CHECKING:
    from tetramer.assays import Assay
    from tetramer.datasets.splits import Split
    from tetramer.modelling import Options


def train(
    data: Annotated[str, Argument(help="CSV, TSV, SMI, SDF, XYZ or Parquet file (.gz too), or - for standard input")],
    output: Annotated[Path, Option("--output", "-o", help="folder for the model")],
    target: Annotated[list[str] | None, Option(metavar="<str>", help="column to learn; may be given again")] = None,
    smiles_column: Smiles = None,
    task: Annotated[str, Option(help="auto, regression, binary or multiclass")] = "auto",
    recipe: Annotated[str, Option(help="auto, baseline, a view, views as in graph+conformer, or fusion")] = "auto",
    start: Annotated[
        list[Path] | None,
        Option("--from", help="folder of `pretrain` or `train` whose weights networks begin with; may be given again"),
    ] = None,
    fusion: Annotated[
        str | None, Option(help="how views are joined: residual, concat, mean, gated or attention")
    ] = None,
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
    settings: Set = None,
    salts: Salts = "keep",
    charges: Charges = "keep",
    tautomers: Tautomers = "keep",
    no_structures: NoStructures = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Learn measured values from a table of molecules."""
    from tetramer.assays import Files, read_files
    from tetramer.checkpoint import check_place
    from tetramer.modelling import Options, views_of
    from tetramer.molecules import Limits, Standard
    from tetramer.recipes import resolve

    check_place(output)
    overrides = overrides_of(settings or []) | joined_by(fusion, recipe)
    files = Files(
        data, target or [], smiles_column, validation, test, split_column, split, weight_column, log10, to_pic50, task,
        views_of(resolve(recipe, overrides, "placed")),
    )  # fmt: skip
    options = Options(
        recipe, overrides, split, seed, seeds, fit_rows, level,
        Standard(salts, charges, tautomers), Limits(workers), tuple(start or ()),
    )  # fmt: skip
    run_training(
        read_files(files), options, output, output / "report.html", Path(str(data)).name, not no_structures, as_json
    )


def joined_by(fusion: str | None, recipe: str) -> dict[str, str]:
    """What --fusion sets. UserError where the recipe joins nothing."""
    from tetramer.recipes import takes

    if fusion is not None and not takes(recipe, "encoder.join"):
        raise UserError(
            f"--fusion joins several views, and --recipe {recipe} does not: take one such as graph+conformer."
        )
    return {} if fusion is None else {"encoder.join": fusion}


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
    from tetramer.datasets.writing import unfinished
    from tetramer.modelling import train as fit

    start, parts = monotonic(), output.parent / f"{output.name}.parts"
    with unfinished(parts, lambda error: DIED in str(error)), Bar() as bar:
        result = fit(read[0], options, parts, read[1], bar.show, say)
    trained.write(result, output, report, monotonic() - start, title, structures)
    shutil.rmtree(parts, ignore_errors=True)  # unfinished work that is finished
    for line in trained.sentences(result):
        say(line)
    say(f"Model: {output}   Report: {report}")
    if as_json:
        print(trained.as_json(result))


def pretrain(
    method: Annotated[str, Argument(help="molr, motif, smiles-lstm, smiles-transformer …")],
    corpus: Annotated[
        str,
        Argument(
            help="file of molecules or of reactions, in any format that `train` reads; or a public set, NAME:PART"
        ),
    ],
    output: Annotated[Path, Option("--output", "-o", help="folder for the encoder")],
    smiles_column: Smiles = None,
    split_column: Annotated[
        str | None, Option(help="column that says train, valid or test; none: take all rows, whatever a column says")
    ] = None,
    validation: Annotated[
        str | None, Option(help="file or public set that chooses the weights [default: a twentieth of the corpus]")
    ] = None,
    seed: Annotated[int, Option(help="seed of the weights and of the part that is held back")] = 0,
    settings: Set = None,
    salts: Salts = "keep",
    charges: Charges = "keep",
    tautomers: Tautomers = "keep",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Learn an encoder from molecules or reactions without labels."""
    import json
    import shutil

    from tetramer import pretraining
    from tetramer.checkpoint import check_place
    from tetramer.corpus_parts import Files, read_corpus
    from tetramer.datasets.writing import unfinished
    from tetramer.molecules import Limits, Standard
    from tetramer.validation import sentences

    check_place(output)
    overrides, standard = overrides_of(settings or []), Standard(salts, charges, tautomers)
    chosen = pretraining.resolve(method, overrides)
    options = pretraining.Options(method, overrides, seed, standard, Limits(workers))
    texts = read_corpus(Files(corpus, smiles_column, validation, split_column), chosen.corpus, chosen.looks_at)
    for note in texts.notes:
        say(note)
    parts = output.parent / f"{output.name}.parts"
    with unfinished(parts, lambda error: DIED in str(error)), Bar() as bar:
        made = pretraining.pretrain(texts.train, Path(corpus).name, options, parts, bar.show, say, texts.valid)
        made.save(output)
    shutil.rmtree(parts, ignore_errors=True)  # unfinished work that is finished
    for line in sentences(made.card):
        say(line)
    say(f"Encoder: {output}   Begin with it: tetramer train DATA --target COLUMN {made.recipe} --from {output}")
    if as_json:
        told = ("method", "corpus", "fit_rows", "validation", "steps", "training_seconds", "curve")
        print(json.dumps({name: made.card[name] for name in told}))


def demo(
    output: Annotated[Path, Option("--output", "-o", help="folder for report and model")] = Path("tetramer-demo"),
    recipe: Annotated[str, Option(help="auto, baseline, fingerprint or graph")] = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Train and predict on a real assay that comes with RDKit, offline."""
    from tetramer.assays import assay_of
    from tetramer.checkpoint import check_place
    from tetramer.datasets import sources
    from tetramer.datasets.labels import labels
    from tetramer.modelling import Options
    from tetramer.molecules import Limits

    name = "chembl2321810"
    source, table = sources.SOURCES[name], sources.load(name)
    say(f"{len(table)} sulfonamides with measured pIC50 ({name.upper()}), from the RDKit package.")
    assay = assay_of(table.texts, labels(table, list(source.targets)), None)
    check_place(output / "model")
    shorter = {"graph.training.epochs": "25"} if recipe == "auto" else {}
    if shorter:
        say("To be done sooner, the graph network makes 25 passes over the molecules; `tetramer train` makes 50.")
    options = Options(recipe, shorter, split="scaffold-balanced", fit_rows="train+valid", limits=Limits(workers))
    title = "1,017 sulfonamides: pIC50"
    run_training((assay, None), options, output / "model", output / "report.html", title, True, as_json)

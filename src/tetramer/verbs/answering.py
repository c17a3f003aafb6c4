"""Verbs that answer row for row: `predict` and `embed`."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from tetramer.errors import UserError
from tetramer.terminal import Bar, one_smiles, quiet_end, say
from tetramer.verbs.options import Json, OnError, Output, Smiles, Workers, json_alone

if TYPE_CHECKING:
    from tetramer.inference import Model, Pretrained
    from tetramer.shards import Columns, Counts
    from tetramer.views import Reader, Reading


def predict(
    model: Annotated[Path, Argument(help="folder that `tetramer train` wrote")],
    data: Annotated[str, Argument(help="file of molecules, - for standard input, or one SMILES")],
    output: Output = "-",
    smiles_column: Smiles = None,
    level: Annotated[
        float | None, Option(help="share of truths that an interval holds [default: that of train]")
    ] = None,
    on_error: OnError = "keep",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Predict new molecules with a trained model, row for row."""
    json_alone(as_json, output)
    if level is not None and not 0 < level < 1:
        raise UserError(f"--level {level} is not a probability. Choose a number between 0 and 1, such as 0.9.")
    from tetramer.checkpoint import check_answers, read_folder
    from tetramer.molecules import Limits, Standard
    from tetramer.views.read import Reader, settings_of

    card, files = read_folder(model)
    check_answers(model, card)
    level = card.get("level", 0.9) if level is None else level
    try:
        standard, views, settings = Standard(**card["standard"]), card["views"], settings_of(card.get("settings", {}))
    except (KeyError, TypeError) as error:
        raise UserError(f"{model} is not a model folder: its card says not how structures are read.") from error

    with Reader(standard, Limits(workers), settings) as reader, ExitStack() as stack:

        @cache
        def loaded() -> "Model":  # when the workers are at the first rows: the imports take as long
            from tetramer.inference import Model
            from tetramer.members.work import one_thread

            stack.enter_context(one_thread())  # the workers have the other cores
            return Model.from_folder(model, card, files)

        def columns(reading: "Reading") -> dict[str, Any]:
            from tetramer.inference import prediction_columns

            return prediction_columns(loaded(), reading, level)

        run_rows(
            reader, data, output, smiles_column, on_error, as_json, views, columns, [card["sha256"], level],
            card.get("columns", ()),
        )  # fmt: skip
        for note in answer_notes(loaded(), level):
            say(note)


def answer_notes(model: "Model", level: float) -> list[str]:
    """What to know of the columns that `predict` has written."""
    from tetramer.inference import meanings

    notes = meanings(model.problem, model.card.get("units", ()))
    pairs = zip(model.problem.targets, model.intervals, strict=False)
    few = [repr(name) for name, one in pairs if one is not None and one.endless(level)]
    if few:
        notes.append(f"Intervals of {', '.join(few)} have no ends: too few rows calibrated them for {level:g}.")
    return notes


def embed(
    data: Annotated[str, Argument(help="file of molecules, - for standard input, or one SMILES")],
    output: Output = "-",
    model: Annotated[
        Path | None, Option(help="folder of a model with a network, or of an encoder; without one, --view")
    ] = None,
    view: Annotated[str | None, Option(help="what the vector is without --model [default: fingerprint]")] = None,
    motifs: Annotated[bool, Option("--motifs", help="a vector of each motif, in place of one of each row")] = False,
    smiles_column: Smiles = None,
    on_error: OnError = "keep",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Turn molecules into vectors."""
    json_alone(as_json, output)
    from tetramer.inference import embedding_columns, embedding_views, load_embedder
    from tetramer.members.work import one_thread
    from tetramer.molecules import Limits, Standard
    from tetramer.views.read import Reader

    if model is not None and view is not None:
        raise UserError("--model and --view exclude each other: a model's vectors are those of its networks.")
    loaded = None if model is None else load_embedder(model)
    if motifs:
        if loaded is None:
            raise UserError(
                "--motifs needs --model: a motif's vector is the mean of what a network makes of its atoms."
            )
        embed_motifs(loaded, data, output, smiles_column, on_error, workers, as_json)
        return
    views = embedding_views(loaded, view or "fingerprint")
    standard, settings = (None, None) if loaded is None else (loaded.standard, loaded.settings)
    if loaded is None:
        standard = Standard(reactions=begins_with_reactions(data, smiles_column))
        what = (
            "the substructures that a reaction makes, breaks and keeps"
            if standard.reactions
            else "circular substructures"
        )
        say(f"No --model: the vectors are the fingerprint view (log counts of {what}).")
    elif not loaded.standard.reactions and begins_with_reactions(data, smiles_column):
        say(
            "Most rows are reactions, and this model makes vectors of molecules: such rows have none. Order products "
            "by an encoder of `pretrain molr` with `tetramer rank-products`, or learn from reactions with "
            "`tetramer train --from`."
        )
    with Reader(standard, Limits(workers), settings) as reader, one_thread():
        flat = Path(output).suffix.casefold() not in (".parquet", ".pq")
        run_rows(
            reader, data, output, smiles_column, on_error, as_json,
            views, lambda reading: embedding_columns(loaded, reading, flat),
            ["embed", flat, views, None if loaded is None else loaded.card["sha256"]],
        )  # fmt: skip


def begins_with_reactions(data: str, column: str | None) -> bool:
    """Whether most of the first rows of a file are reactions. What cannot be read twice is taken for molecules."""
    from tetramer.datasets.placed import texts_for
    from tetramer.datasets.tables import stream_table
    from tetramer.molecules.reactions import most_are_reactions

    with one_smiles(data, column) as (source, column):
        if not Path(source).is_file():
            return False
        return most_are_reactions(texts_for((), next(iter(stream_table(source))), column))


def embed_motifs(
    model: "Model | Pretrained",
    data: str,
    output: str,
    smiles: str | None,
    on_error: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Write one row for each motif, and say how far its vectors spread."""
    import json

    from tetramer.datasets.placed import texts_for
    from tetramer.datasets.tables import read_table
    from tetramer.datasets.writing import TableWriter, apart, write_table
    from tetramer.molecules import Limits
    from tetramer.space import motif_vectors as motifs
    from tetramer.views.read import Reader

    apart(output, data)
    if model.standard.reactions:
        raise UserError(
            "--motifs cuts molecules, and this model has learned from reactions. Give a model of molecules."
        )
    if output != "-":
        TableWriter(output).discard()  # a name that cannot be written is told before the work
    with one_smiles(data, smiles) as (source, smiles), Bar() as bar:
        texts = texts_for(("graph",), read_table(source), smiles)
        with Reader(model.standard, Limits(workers), model.settings) as reader:
            told = motifs.motif_vectors(model, reader, texts, on_error, bar.show)
    with quiet_end():
        write_table(told.trained.table(), output)
    for line in motifs.sentences(told):
        say(line)
    if as_json:
        print(json.dumps(told.summary() | {"output": output}))


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
    known: Sequence[str] = (),
) -> None:
    """Apply `columns` to every row of a file, or to one SMILES, and say how many rows had what status."""
    from dataclasses import asdict

    from tetramer import shards
    from tetramer.checkpoint import config_hash

    with one_smiles(data, smiles) as (source, smiles), Bar() as bar, quiet_end():
        told = config_hash([key, asdict(reader.standard), list(views)])
        known = known if source == data else ()
        job = shards.Job(source, output, views, columns, told, smiles, on_error, known=known)
        counts = shards.apply(job, reader, bar.rows, say)
    outcome(counts, output, as_json, "a number")


def outcome(counts: "Counts", output: str, as_json: bool, wanted: str) -> None:
    """Say how many rows there were, and how many of them, by status, have not what was wanted."""
    import json

    refused = {code: count for code, count in counts.by_status.items() if not code.startswith("ok")}
    listed = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
    rows = "1 row" if counts.rows == 1 else f"{counts.rows} rows"
    say(rows + (f", {sum(refused.values())} without {wanted} ({listed})" if refused else "") + ".")
    if as_json:
        told = {"rows": counts.rows, "status": counts.by_status, "output": output}
        print(json.dumps(told | ({"totals": counts.sums} if counts.sums else {})))

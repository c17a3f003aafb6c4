"""Verbs that look into molecules, row for row: `conformers` and `motifs`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tetramer.errors import UserError
from tetramer.terminal import Bar, one_smiles, quiet_end, say
from tetramer.verbs.options import Charges, Json, OnError, Output, Salts, Smiles, Tautomers, Workers, json_alone

if TYPE_CHECKING:
    from tetramer.molecules import Limits, Standard


def conformers(
    data: Annotated[str, Argument(help="file of molecules, - for standard input, or one SMILES")],
    output: Annotated[str, Option("--output", "-o", help="SDF or Parquet file")],
    count: Annotated[int, Option(help="conformers of a molecule, lowest energy first")] = 1,
    optimise: Annotated[bool, Option("--optimise/--no-optimise", help="relax them with MMFF94s")] = True,
    smiles_column: Smiles = None,
    salts: Salts = "keep",
    charges: Charges = "keep",
    tautomers: Tautomers = "keep",
    on_error: OnError = "keep",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Make geometries of molecules, or take those that are given, row for row."""
    from tetramer import geometries, shards
    from tetramer.molecules import Limits, Standard
    from tetramer.verbs.answering import outcome
    from tetramer.views.conformer import ConformerSettings
    from tetramer.views.read import Reader

    settings, standard = ConformerSettings(count, optimise), Standard(salts, charges, tautomers)
    with one_smiles(data, smiles_column) as (source, named), Bar() as bar:
        job = geometries.job(source, output, settings, standard, named, on_error)
        with Reader(standard, Limits(workers), {"conformer": settings}) as reader:
            counts = shards.apply(job, reader, bar.rows, say)
    outcome(counts, output, as_json, "a geometry")


def motifs(
    data: Annotated[str, Argument(help="file of molecules, - for standard input, or one SMILES")],
    output: Output = "-",
    draw: Annotated[bool, Option("--draw", help="also draw the first rows, in NAME.html beside the output")] = False,
    vocabulary: Annotated[
        Path | None, Option(help="file of --learn-vocabulary; says how many motifs it does not know")
    ] = None,
    learn_vocabulary: Annotated[
        Path | None, Option(help="learn the vocabulary of the motifs into this file, in place of an output")
    ] = None,
    merges: Annotated[int, Option(help="with --learn-vocabulary: unions of neighbouring motifs to learn first")] = 0,
    smiles_column: Smiles = None,
    salts: Salts = "keep",
    charges: Charges = "keep",
    tautomers: Tautomers = "keep",
    on_error: OnError = "keep",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Cut molecules into motifs, rings and the groups between them, row for row."""
    from tetramer import decomposition, shards
    from tetramer.benchmark import motif_page
    from tetramer.molecules import Limits, Standard
    from tetramer.verbs.answering import outcome
    from tetramer.views.read import Reader

    standard = Standard(salts, charges, tautomers)
    if learn_vocabulary is not None:
        if output != "-" or draw or vocabulary is not None:
            raise UserError("--learn-vocabulary writes no rows: leave out --output, --draw and --vocabulary.")
        learn_motifs(data, learn_vocabulary, merges, smiles_column, standard, Limits(workers), as_json)
        return
    json_alone(as_json, output)
    if merges:
        raise UserError("--merges needs --learn-vocabulary: a vocabulary that is there has its own unions.")
    known = None if vocabulary is None else decomposition.load_vocabulary(vocabulary)
    if known is not None and known.note:
        say(known.note)
    if draw:
        motif_page.page_path(output)  # a name that cannot be written is told before the work
    with one_smiles(data, smiles_column) as (source, named), Bar() as bar, quiet_end():
        job = decomposition.job(source, output, standard, named, on_error, known)
        with Reader(standard, Limits(workers), decomposition.settings(known)) as reader:
            counts = shards.apply(job, reader, bar.rows, say)
    outcome(counts, output, as_json, "motifs")
    if known is not None:
        say(decomposition.covered(counts.sums))
    if draw:
        told = counts.by_status if on_error == "skip" else {"ok": counts.rows}
        rows = sum(count for status, count in told.items() if status.startswith("ok"))
        name = "standard input" if data == "-" else Path(data).name if source == data else data
        say(f"Drawn in {motif_page.write_page(output, f'Motifs of {name}', rows)}.")


def learn_motifs(
    data: str, path: Path, merges: int, smiles: str | None, standard: "Standard", limits: "Limits", as_json: bool
) -> None:
    """Write the vocabulary of the motifs of a table, and say what is in it."""
    import json

    from tetramer import decomposition
    from tetramer.datasets.placed import texts_for
    from tetramer.datasets.tables import read_table
    from tetramer.datasets.writing import apart, write_whole

    apart(path, data)
    texts = texts_for(("graph",), read_table(data), smiles)
    with Bar() as bar:
        made, molecules = decomposition.learn_vocabulary(texts, standard, limits, merges, bar.rows)
    write_whole(path, made.to_json().encode())
    unions = f", with {len(made.merges):,} unions of neighbours" if made.merges else ""
    say(
        f"{len(made.motifs):,} motifs and {len(made.rings):,} classes of rings{unions}, of {molecules:,} of "
        f"{len(texts):,} molecules: {path}."
    )
    if as_json:
        told = {"motifs": len(made.motifs), "rings": len(made.rings), "merges": len(made.merges)}
        print(json.dumps(told | {"molecules": molecules, "vocabulary": str(path), "hash": made.hash}))

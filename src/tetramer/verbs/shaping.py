"""Verbs about the places of atoms in space: `conformers`."""

from typing import Annotated

from typer import Argument, Option

from tetramer.terminal import Bar, one_smiles
from tetramer.verbs.options import Charges, Json, OnError, Salts, Smiles, Tautomers, Workers


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
    with one_smiles(data) as source, Bar() as bar:
        named = None if source != data else smiles_column
        job = geometries.job(source, output, settings, standard, named, on_error)
        with Reader(standard, Limits(workers), {"conformer": settings}) as reader:
            counts = shards.apply(job, reader, bar.rows)
    outcome(counts, output, as_json, "a geometry")

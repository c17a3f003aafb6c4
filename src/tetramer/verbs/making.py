"""The verb that makes molecules: `generate`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from tetramer.terminal import Bar, quiet_end, say
from tetramer.verbs.options import Json, Output, Smiles, Workers, json_alone


def generate(
    model: Annotated[Path, Argument(help="folder of an encoder that `tetramer pretrain smiles-lstm` wrote")],
    count: Annotated[int, Option(help="strings to draw; not every one is a molecule")] = 1_000,
    output: Output = "-",
    temperature: Annotated[float, Option(help="below 1 the likely becomes more likely, above 1 less so")] = 1.0,
    seed: Annotated[int, Option(help="another one draws other strings")] = 0,
    corpus: Annotated[str | None, Option(help="file of molecules that are known; says which are new")] = None,
    draw: Annotated[str | None, Option(help="SVG or PNG file with the first different molecules")] = None,
    smiles_column: Smiles = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write new molecules with a pretrained encoder, and say how many are valid, different and new."""
    json_alone(as_json, output)
    import json

    from tetramer import generation
    from tetramer.datasets.placed import texts_for
    from tetramer.datasets.tables import read_table
    from tetramer.datasets.writing import TableWriter, apart, write_table
    from tetramer.molecules import Limits

    options, picture = generation.Options(count, temperature, seed), None
    if draw is not None:
        picture = generation.picture_path(draw)
    if corpus is not None:
        apart(output, corpus)
    if output != "-":
        TableWriter(output).discard()  # a name that cannot be written is told before the work
    writer = generation.load_writer(model)
    known = None if corpus is None else texts_for(("smiles",), read_table(corpus), smiles_column)
    with Bar() as bar:
        told = generation.generate(writer, options, known, Limits(workers), bar.show)
    with quiet_end():
        write_table(told.table(), output)
    for line in generation.sentences(told, writer, "" if corpus is None else Path(corpus).name):
        say(line)
    if picture is not None:
        shown = generation.write_picture(picture, told)
        say(f"The first {shown} are drawn in {picture}." if shown else "There is no molecule to draw.")
    if as_json:
        print(json.dumps(told.summary() | {"output": output}))

"""The verb that orders candidates: `rank-products`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from tetramer.errors import UserError
from tetramer.terminal import Bar, one_smiles, quiet_end, say
from tetramer.verbs.options import Json, Output, Workers, json_alone


def rank_products(
    reactants: Annotated[
        str,
        Argument(
            help="file of reactants, the molecules of a row with dots between them, or of reactions; or one SMILES"
        ),
    ],
    candidates: Annotated[
        str,
        Argument(help="file of products or whole reactions; with columns choice_0 …, each row has its own products"),
    ],
    model: Annotated[Path, Option(help="folder of an encoder that `tetramer pretrain molr` wrote")],
    output: Output = "-",
    reactant_column: Annotated[str | None, Option(help="column of reactants")] = None,
    product_column: Annotated[str | None, Option(help="column of products")] = None,
    top: Annotated[int, Option(help="products to keep of each row")] = 10,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Order products by how well they fit reactants, the likeliest first."""
    json_alone(as_json, output)
    import json
    from itertools import pairwise

    import numpy as np

    from tetramer import ranking
    from tetramer.datasets.reactions import choices, side
    from tetramer.datasets.tables import read_table
    from tetramer.datasets.writing import write_table
    from tetramer.molecules import Limits

    ranker = ranking.load_ranker(model)
    with one_smiles(reactants, reactant_column) as (source, named):
        asked, offered = read_table(source), read_table(candidates)
    left, own = side(asked, 0, named), choices(offered) if product_column is None else []
    among, correct = None, None
    if own:
        if len(own) != len(left):
            raise UserError(
                f"{candidates} has choices for {len(own)} rows, and {reactants} has {len(left)} rows of reactants. "
                "Give one row of choices for each, or name a column of products with --product-column."
            )
        ends = np.cumsum([0, *map(len, own)])
        among = [np.arange(first, last) for first, last in pairwise(ends.tolist())]
        if "answer" in asked.columns:
            correct = ranking.answers(asked.data["answer"].to_pylist(), [list(row) for row in own], "answer")
    right = [text for row in own for text in row.values()] if own else side(offered, 1, product_column)
    with Bar() as bar:
        order, read, made = ranking.rank(ranker, left, right, among, top, Limits(workers), bar.show)
    with quiet_end():
        write_table(ranking.table(order, read, made, left), output)
    told = ranking.summary(read, made)
    if among is not None and correct is not None:
        told |= ranking.hits(order, among, correct, made)
    for line in ranking.sentences(told) + ranking.refused(made, right, own):
        say(line)
    if as_json:
        print(json.dumps(told | {"output": output}))

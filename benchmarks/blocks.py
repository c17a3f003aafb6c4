"""How large blocks of geometries are best: CPU time of a training step, in one process and thread.

    python benchmarks/blocks.py

Molecules are those of QM9 that the study combining-modalities looks at. Sizes take turns, three rounds each.
"""

import time

import numpy as np
import torch

from tetramer.benchmark.cases import GIVEN
from tetramer.datasets.placed import texts_for
from tetramer.layers import geometry, to_tensors
from tetramer.members import REGRESSION, Problem
from tetramer.members.neural import NeuralConfig, build
from tetramer.molecules import Limits
from tetramer.recipes import RECIPES
from tetramer.studies import qm9
from tetramer.views import VIEWS, read

NETWORKS = {"study001-egnn": 32}  # recipe → molecules in a batch
SIZES = (18, 19, 20, 21)  # powers of two: numbers in the largest tensor of a block
BATCHES, ROUNDS = 4, 3


def steps(recipe: str, batch: int) -> dict[int, list[int]]:
    """Power of two → milliseconds a step, round by round."""
    (spec,) = RECIPES[recipe].members.values()
    config = NeuralConfig.from_card(spec["config"])
    texts = texts_for(GIVEN, qm9.table("g298", BATCHES * batch), "smiles")
    features = read(texts, list(config.views), limits=Limits(0)).features
    rows = np.arange(len(texts)).reshape(BATCHES, batch)
    batches = [{view: to_tensors(VIEWS[view].collate(features[view], some)) for view in config.views} for some in rows]
    network = build(config, Problem(REGRESSION, ("g298",)), 0).train()
    optimizer = torch.optim.Adam(network.parameters())
    found: dict[int, list[int]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size in SIZES:
            geometry.NEAR = 2**size
            start = time.process_time()
            for views in batches:
                optimizer.zero_grad()
                network(views).square().mean().backward()
                optimizer.step()
            found[size].append(round(1000 * (time.process_time() - start) / BATCHES))
    return found


def main() -> None:
    """All networks, a line each."""
    torch.set_num_threads(1)
    for recipe, batch in NETWORKS.items():
        print(recipe, steps(recipe, batch), flush=True)


if __name__ == "__main__":
    main()

"""Training speed of the encoders of graphs: ours beside two plain forms of MolR's, one thread each.

    python benchmarks/encoders_2d.py [--width 256] [--bonds] [--only tag gin] [--rounds 5] [--output rows.json]

Batches are 256 molecules of Lipophilicity, drawn at random. The plain forms have the equations of "tag" as they read:
a matrix of every molecule, padded to the largest one, and one sparse matrix of the batch. Both compute every atom; ours
compute every kind of atom once, and "sums" the vectors of molecules without those of atoms. A step is forward, a
squared error of the molecules, backward and Adam. Networks take turns; the median of the rounds counts. Processor time
is what a busy machine still measures well.
"""

import argparse
import csv
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is imported

import numpy as np
import torch
from torch import Tensor, nn

from tetramer.encoders import MPNN
from tetramer.encoders.gin import GIN, GINConfig
from tetramer.encoders.mpnn import MPNNConfig
from tetramer.encoders.tag import TAG, TAGConfig
from tetramer.layers import sum_by_owner, to_dense, to_tensors
from tetramer.layers.categories import one_hot
from tetramer.views import read
from tetramer.views.graph import collate

SIZE, BATCHES = 256, 4


class Plain(nn.Module):
    """Two layers of two hops over every atom."""

    def __init__(self, width: int, padded: bool) -> None:
        super().__init__()
        like = TAG(TAGConfig(width=width))
        self.vocabulary, self.columns, self.sizes, self.padded = like.vocabulary, like.columns, like.sizes, padded
        self.first, self.second = like.layers[0].linear, like.end.linear

    def forward(self, views: dict[str, Any]) -> Tensor:
        batch = views["graph"]
        atoms = torch.cat([self.vocabulary[batch.atoms[:, :1]], batch.atoms[:, 1:]], 1)[:, self.columns]
        x = one_hot(atoms, self.sizes, torch.float32)[: len(atoms)]
        loops = torch.arange(len(atoms)).expand(2, -1)
        source, target = torch.cat([batch.edges, loops], 1)
        near = target.bincount(minlength=len(atoms)).float().rsqrt()
        weight = near[source] * near[target]
        if not self.padded:
            s = torch.sparse_coo_tensor(torch.stack([target, source]), weight, (len(atoms), len(atoms))).to_sparse_csr()
            return sum_by_owner(self.layers(x, lambda h: s @ h), batch.owner, batch.size)
        x, mask = to_dense(x, batch.owner, batch.size)
        place = torch.arange(len(atoms)) - torch.searchsorted(batch.owner, batch.owner)
        dense = torch.zeros(batch.size, x.shape[1], x.shape[1])
        dense[batch.owner[target], place[target], place[source]] = weight
        return (self.layers(x, lambda h: dense @ h) * mask[..., None]).sum(1)

    def layers(self, x: Tensor, spread: Callable[[Tensor], Tensor]) -> Tensor:
        def layer(h: Tensor, linear: nn.Linear) -> Tensor:
            once = spread(h)
            answer: Tensor = linear(torch.cat([h, once, spread(once)], -1))
            return answer

        return layer(layer(x, self.first).relu(), self.second)


def networks(width: int, bonds: bool) -> dict[str, tuple[nn.Module, Callable[[Any], Tensor]]]:
    """Name → the network and what it is asked for."""
    made: dict[str, tuple[nn.Module, Callable[[Any], Tensor]]] = {}
    for name, padded in (("plain tag, padded", True), ("plain tag, sparse", False)):
        plain = Plain(width, padded)
        made[name] = (plain, plain)
    for layer in ("tag", "gcn", "gat", "sage"):
        tag = TAG(TAGConfig(layer=layer, width=width, bonds=bonds))
        made[layer] = (tag, lambda views, tag=tag: tag(views).molecule)
        if tag.short:
            made[f"{layer}, sums"] = (
                tag,
                lambda views, tag=tag: tag.sums(views, torch.ones(len(views["graph"].owner))),
            )
    for name, other in (("gin", GIN(GINConfig(width=width))), ("mpnn, 300", MPNN(MPNNConfig()))):
        made[name] = (other, lambda views, other=other: other(views).molecule)
    return made


def trainer(network: nn.Module, asked: Callable[[Any], Tensor], batches: list[Any]) -> Callable[[], None]:
    """A function that makes one training step a batch."""
    steps = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        for batch in batches:
            asked({"graph": batch}).square().mean().backward()
            steps.step()
            steps.zero_grad()

    return step


def timed(step: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the clock and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--bonds", action="store_true", help="messages know their bonds; the plain forms have none")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="networks whose names begin so")
    parser.add_argument("--rounds", type=int, default=5)
    default = Path(os.environ.get("TETRAMER_DATA", "data")) / "moleculenet" / "Lipophilicity.csv"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--output", type=Path, help="write the rows as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}")
    with asked.data.open() as lines:
        texts = [row["smiles"] for row in csv.DictReader(lines)]
    chosen = np.random.Generator(np.random.Philox(0)).permutation(len(texts))[: SIZE * BATCHES]
    features = read([texts[row] for row in chosen], ["graph"]).features["graph"]
    batches = [to_tensors(collate(features, rows)) for rows in np.split(np.arange(SIZE * BATCHES), BATCHES)]
    made = networks(asked.width, asked.bonds).items()
    kept = tuple(asked.only or [""])
    steps = {name: trainer(*one, batches) for name, one in made if name.startswith(kept)}
    for step in steps.values():
        step()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(asked.rounds):
        for name, step in steps.items():
            spent[name].append(timed(step))
    rows: list[dict[str, Any]] = []
    print(f"\nwidth {asked.width}, batches of {SIZE}\n{'network':<20}{'per second':>12}{'per CPU second':>16}")
    for name, times in spent.items():
        clock, processor = (SIZE * BATCHES / statistics.median(each) for each in zip(*times, strict=True))
        about = {"network": name, "width": asked.width, "bonds": asked.bonds}
        rows.append(about | {"molecules_per_second": clock, "molecules_per_cpu_second": processor})
        print(f"{name:<20}{clock:>12.0f}{processor:>16.0f}")
    if asked.output:
        asked.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Training speed of the encoders of geometries: ours beside a plain EGNN, one thread each.

    python benchmarks/encoders_3d.py [--rounds 5] [--precisions fp32,bf16] [--output rows.json]

The plain EGNN is the published network on QM9 (gated messages, atoms stay where they are) as its equations read: lists
of directed pairs, gathered and joined vectors, messages added up by index. It has the weights' shapes of ours, its
pairs are listed before the clock starts, and its distances are computed once a step. A step is forward, absolute
error, backward and Adam. Molecules have 18 atoms at random places, as many as QM9's have on average. Networks take
turns; the median of the rounds counts. Processor time is what a busy machine still measures well.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is imported

import torch
from torch import Tensor, nn

from tetramer.encoders.egnn import EGNN, EGNNConfig
from tetramer.encoders.painn import PaiNN, PaiNNConfig
from tetramer.encoders.schnet import SchNet, SchNetConfig
from tetramer.views.conformer import ConformerBatch

ATOMS = 18
SIZES = ((128, 7, 96), (256, 4, 32))  # width, depth, molecules in a batch


class PlainLayer(nn.Module):
    """m_ij = φ_e([h_i, h_j, d²]) σ(gate); h_i += φ_h([h_i, Σ_j m_ij])."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edge = nn.Sequential(nn.Linear(2 * width + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.gate = nn.Sequential(nn.Linear(width, 1), nn.Sigmoid())
        self.node = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, squares: Tensor, here: Tensor, there: Tensor) -> Tensor:
        m = self.edge(torch.cat([h[here], h[there], squares], 1))
        m = m * self.gate(m)
        arrived = m.new_zeros(len(h), m.shape[1]).index_add(0, here, m)
        return h + self.node(torch.cat([h, arrived], 1))


class Plain(nn.Module):
    """The published network over lists of pairs."""

    def __init__(self, width: int, depth: int, batch: Any) -> None:
        super().__init__()
        self.atoms = nn.Embedding(100, width)
        self.layers = nn.ModuleList(PlainLayer(width) for _ in range(depth))
        self.out = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        one = torch.cartesian_prod(torch.arange(ATOMS), torch.arange(ATOMS))
        one = one[one[:, 0] != one[:, 1]]
        every = (one + ATOMS * torch.arange(batch.size)[:, None, None]).flatten(0, 1)
        self.here, self.there = every[:, 0].contiguous(), every[:, 1].contiguous()

    def forward(self, batch: Any) -> Tensor:
        h, x = self.atoms(batch.numbers), batch.positions
        squares = (x[self.here] - x[self.there]).square().sum(1, keepdim=True)
        for layer in self.layers:
            h = layer(h, squares, self.here, self.there)
        h = self.out(h).float()
        return h.new_zeros(batch.size, h.shape[1]).index_add(0, batch.owner, h)


class Ours(nn.Module):
    """One of our encoders, called as the plain network is."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Any) -> Tensor:
        answer: Tensor = self.encoder({"conformer": batch}).molecule
        return answer


def molecules(count: int) -> ConformerBatch:
    """Random molecules of ATOMS atoms, about as dense as real ones."""
    chosen = torch.Generator().manual_seed(0)
    fields: dict[str, Any] = {
        "ok": torch.ones(count, dtype=torch.bool),
        "numbers": torch.tensor([1, 6, 7, 8])[torch.randint(4, (count * ATOMS,), generator=chosen)],
        "charges": torch.zeros(count * ATOMS, dtype=torch.int64),
        "positions": 2.2 * torch.randn(count * ATOMS, 3, generator=chosen),
        "owner": torch.arange(count).repeat_interleave(ATOMS),
        "molecule": torch.arange(count),
    }
    return ConformerBatch(size=count, **fields)


def trainer(network: nn.Module, width: int, batch: ConformerBatch, bf16: bool) -> Callable[[], None]:
    """A function that makes one training step."""
    head, truth = nn.Linear(width, 1), torch.zeros(batch.size)
    steps = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=5e-4)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            answer = head(network(batch))[:, 0]
        (answer.float() - truth).abs().mean().backward()
        steps.step()
        steps.zero_grad()

    return step


def timed(step: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Seconds of a step on the clock and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - clock) / repeats, (time.process_time() - processor) / repeats


def compared(width: int, depth: int, count: int, bf16: bool, rounds: int) -> list[dict[str, Any]]:
    """Molecules per second of each network at one size."""
    batch = molecules(count)
    networks: dict[str, nn.Module] = {
        f"plain EGNN, {depth} layers": Plain(width, depth, batch),
        f"EGNN, {depth} layers": Ours(EGNN(EGNNConfig(width=width, depth=depth))),
        "EGNN, 3 layers": Ours(EGNN(EGNNConfig(width=width, depth=3))),
        "PaiNN, 3 layers": Ours(PaiNN(PaiNNConfig(width=width))),
        "SchNet, 6 layers": Ours(SchNet(SchNetConfig(width=width))),
    }
    steps = {name: trainer(network, width, batch, bf16) for name, network in networks.items()}
    for step in steps.values():
        step()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
    for _ in range(rounds):
        for name, step in steps.items():
            spent[name].append(timed(step, 2))
    about = {"width": width, "batch": count, "precision": "bf16" if bf16 else "fp32"}
    return [
        about
        | {
            "network": name,
            "molecules_per_second": count / statistics.median(clock for clock, _ in times),
            "molecules_per_cpu_second": count / statistics.median(processor for _, processor in times),
        }
        for name, times in spent.items()
    ]


def show(rows: list[dict[str, Any]]) -> None:
    """One block of rows; ratios by processor time, to the first network."""
    first = rows[0]["molecules_per_cpu_second"]
    print("\nwidth {width}, batches of {batch}, {precision}".format(**rows[0]))
    print(f"{'network':<24}{'per second':>12}{'per CPU second':>16}{'ratio':>8}")
    for row in rows:
        speeds = row["molecules_per_second"], row["molecules_per_cpu_second"]
        print(f"{row['network']:<24}{speeds[0]:>12.0f}{speeds[1]:>16.0f}{speeds[1] / first:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precisions", default="fp32,bf16", help="bf16 takes minutes where the processor has none")
    parser.add_argument("--output", type=Path, help="write the rows as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}")
    rows: list[dict[str, Any]] = []
    for width, depth, count in SIZES:
        for bf16 in (precision == "bf16" for precision in asked.precisions.split(",")):
            rows += (block := compared(width, depth, count, bf16, asked.rounds))
            show(block)
            sys.stdout.flush()
    if asked.output:
        asked.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

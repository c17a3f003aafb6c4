"""Training speed of the LSTM on SMILES: strings of about one length side by side, beside packed sequences, one thread.

    python benchmarks/lstm.py [--rounds 3] [--batch 128] [--output rows.json]

Packed sequences are what torch's documentation shows for strings of several lengths. Both have the same weights and
learn the next token of the same molecules of ChEMBL; a step is forward, loss and backward. They take turns in fp32 and
in bf16; the median of the rounds counts. Processor time is what a busy machine still measures well.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, cast

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is imported

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tetramer.datasets import sources
from tetramer.encoders.lstm import LSTM, LSTMConfig, gates
from tetramer.layers.tensors import to_dense, to_tensors
from tetramer.objectives.base import Sample
from tetramer.objectives.next_token import NextToken
from tetramer.training import autocast
from tetramer.views import VIEWS, read
from tetramer.views.smiles import SmilesBatch


class Packed(LSTM):
    """The same network over packed sequences."""

    def rows(self, batch: SmilesBatch) -> Tensor:
        """A vector for each token, (N, D); every molecule has tokens."""
        dense, mask = to_dense(self.dropout(self.embedding(batch.tokens)), cast(Tensor, batch.owner), batch.size)
        packed = pack_padded_sequence(dense, mask.sum(1), batch_first=True, enforce_sorted=False)
        with gates():
            y, _ = pad_packed_sequence(self.layers(packed)[0], batch_first=True)
        return cast(Tensor, y[mask])


def step(kind: type[LSTM], views: dict[str, Any], precision: str) -> tuple[float, float]:
    """CPU seconds and loss of one step, without dropout."""
    torch.manual_seed(0)
    objective = NextToken(kind(LSTMConfig(dropout=0.0)))
    began = time.process_time()
    with autocast(precision):
        loss = objective.loss(Sample(views), torch.Generator())[0]
    loss.backward()
    return time.process_time() - began, loss.item()


def measured(rounds: int, batch: int) -> list[dict[str, Any]]:
    """A row a network and precision."""
    texts = sources.load("chembl-78k").texts[: batch * (rounds + 1)]
    features = read(texts, ["smiles"]).features["smiles"]
    rows = []
    for precision in ("fp32", "bf16"):
        seconds: dict[str, list[float]] = {"packed": [], "ours": []}
        losses: dict[str, float] = {}
        for turn in range(rounds + 1):  # the first one warms up
            part = np.arange(turn * batch, (turn + 1) * batch)
            views = {"smiles": to_tensors(VIEWS["smiles"].collate(features, part))}
            for name, kind in (("packed", Packed), ("ours", LSTM)):
                told, losses[name] = step(kind, views, precision)
                seconds[name] += [told] if turn else []
        for name, told in seconds.items():
            ratio = statistics.median(seconds["packed"]) / statistics.median(told)
            rows.append(
                {"network": name, "precision": precision, "batch": batch, "cpu_seconds": statistics.median(told),
                 "times_as_fast": ratio, "loss": losses[name], "torch": torch.__version__}
            )  # fmt: skip
    return rows


def main(words: list[str]) -> None:
    """Print a line a network and precision."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    rows = measured(asked.rounds, asked.batch)
    for row in rows:
        print(
            f"{row['network']:<7} {row['precision']}  {row['cpu_seconds']:.2f} s a step of {row['batch']}, "
            f"{row['times_as_fast']:.1f} times packed, loss {row['loss']:.4f}"
        )
    if asked.output:
        asked.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Measured values from molecules: regression and classification."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tetramer.encoders.base import Encoder
from tetramer.errors import UserError, pick
from tetramer.layers.mlp import mlp
from tetramer.objectives.base import Loss, Objective, Sample
from tetramer.objectives.statistics import class_weights, moments
from tetramer.views.base import Batch

Task = Literal["regression", "binary", "multiclass"]
Distance = Literal["mse", "mae", "huber"]


@dataclass(frozen=True)
class SupervisedConfig:
    task: Task = "regression"
    targets: int = 1
    classes: int = 1  # of the target that has most of them; 1 unless multiclass
    loss: Distance = "mse"  # of a regression, in units of the standard deviation
    widths: tuple[int, ...] = (300,)  # hidden layers of the head
    dropout: float = 0.0  # in the head
    class_balance: bool = False  # weigh every class of a target equally

    def __post_init__(self) -> None:
        pick(dict.fromkeys(get_args(Task)), self.task, "task")
        pick(dict.fromkeys(get_args(Distance)), self.loss, "loss")
        if not 0 <= self.dropout < 1 or min(self.widths, default=1) < 1:
            raise UserError(f"A head needs widths ≥ 1 and dropout in [0, 1); got {self.widths} and {self.dropout}.")
        assert (self.classes > 1) == (self.task == "multiclass"), "K is 1 unless multiclass"


class Supervised(Objective):
    """Predict T measured values per molecule. Learns in z-scores or logits, answers in the data set's own terms.

    A missing label is NaN. It adds nothing to the loss and is not counted; a batch without labels has loss 0 and
    zero gradients. The statistics of the training rows are buffers and travel with the weights; those of a regression
    are float64, as is its answer: energies of 1e4 eV lose no digits.
    """

    Config = SupervisedConfig
    mean: Tensor  # (T,) of the training rows
    std: Tensor  # (T,)
    class_weight: Tensor  # (T, K), K = 2 if binary; 0 for a class beyond the last one of its target
    labelled: Tensor  # (T,) bool, whether a training row has a label

    def __init__(self, encoder: Encoder, config: SupervisedConfig) -> None:
        super().__init__()
        self.encoder, self.config, self.views = encoder, config, encoder.views
        self.head = mlp(encoder.width, config.widths, config.targets * config.classes, config.dropout)
        targets, kinds = config.targets, max(2, config.classes)
        self.register_buffer("mean", torch.zeros(targets, dtype=torch.float64))
        self.register_buffer("std", torch.ones(targets, dtype=torch.float64))
        self.register_buffer("class_weight", torch.ones(targets, kinds))
        self.register_buffer("labelled", torch.ones(targets, dtype=torch.bool))

    def fit_statistics(self, values: np.ndarray, weight: np.ndarray) -> None:
        """Set the buffers from training rows.

        values: (n, T)   weight: (n,)

        A bound ("> 5") takes part with its value. A target without a label gets mean 0 and deviation 1, and no answer.
        """
        config = self.config
        self.labelled.copy_(torch.from_numpy(np.isfinite(values).any(0)))
        if config.task == "regression":
            mean, std = moments(values, weight)
            self.mean.copy_(torch.from_numpy(mean))
            self.std.copy_(torch.from_numpy(std))
        else:
            weights = class_weights(values, weight, self.class_weight.shape[1], config.class_balance)
            self.class_weight.copy_(torch.from_numpy(weights))

    def forward(self, views: Mapping[str, Batch]) -> Tensor:
        """(B, T, K) z-scores or logits, in fp32 or better also where the encoder runs in bf16.

        A class that its target does not have has a logit of -1e4, whose probability is 0 exactly.
        """
        molecule = self.encoder(views).molecule
        with torch.autocast(molecule.device.type, enabled=False):
            answer: Tensor = self.head(molecule.to(self.class_weight.dtype))
        answer = answer.view(-1, self.config.targets, self.config.classes)
        return answer.masked_fill(self.class_weight == 0, -1e4) if self.config.task == "multiclass" else answer

    def predict(self, views: Mapping[str, Batch]) -> Tensor:
        """(B, T, K): a value in the data set's units, K = 1; the probability of class 1, K = 1; or of every class.

        NaN for a target of which no training row has a label.
        """
        z = self(views)
        if self.config.task == "binary":
            answer: Tensor = z.sigmoid()
        elif self.config.task == "multiclass":
            answer = z.softmax(-1)
        else:
            answer = (z[..., 0] * self.std + self.mean)[..., None]
        return answer.masked_fill(~self.labelled[:, None], torch.nan)

    def loss(self, sample: Sample, rng: torch.Generator) -> Loss:
        """Mean over the known labels of cost × row weight × class weight."""
        assert sample.targets is not None, "supervised learning needs targets"
        values, censor, weight = sample.targets
        z = self(sample.views)  # (B, T, K)
        known = values.isfinite()  # (B, T)
        count = known.sum()
        if self.config.task == "regression":
            truth = ((values.double() - self.mean) / self.std).to(z.dtype)
            cost, part = self._distance(z[..., 0], torch.where(known, truth, z[..., 0].detach()), censor)
        else:
            cost, part = self._surprise(z, torch.where(known, values, 0.0).long())
        total = torch.where(known, cost * weight[:, None].to(cost.dtype), 0.0).sum()
        shown = torch.where(known, part, 0.0).sum().detach() / count.clamp(min=1)
        name = "mae" if self.config.task == "regression" else "accuracy"
        return Loss(total / count.clamp(min=1), {name: shown, "known": count})

    def _distance(self, z: Tensor, truth: Tensor, censor: Tensor) -> tuple[Tensor, Tensor]:
        """Cost in z-scores and absolute error in the data set's units; a bound that is kept costs nothing."""
        error = z - truth
        kept = ((censor > 0) & (error > 0)) | ((censor < 0) & (error < 0))
        error = torch.where(kept, 0.0, error)
        size = error.abs()
        cost = {"mse": error.square(), "mae": size, "huber": torch.where(size < 1, error.square() / 2, size - 0.5)}
        return cost[self.config.loss], size * self.std.to(z.dtype)

    def _surprise(self, z: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy with the classes weighed, and whether the likeliest class is the true one."""
        importance = self.class_weight.expand(len(z), -1, -1).gather(2, truth[..., None])[..., 0]  # (B, T)
        if self.config.task == "binary":
            logit = z[..., 0]
            cost = binary_cross_entropy_with_logits(logit, truth.to(z.dtype), reduction="none")
            return cost * importance, ((logit > 0) == truth).to(z.dtype)
        cost = cross_entropy(z.flatten(0, 1), truth.flatten(), reduction="none").view(truth.shape)
        return cost * importance, (z.argmax(-1) == truth).to(z.dtype)

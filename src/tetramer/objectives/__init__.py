"""Sample → Loss. One method, one file; supervised learning is one more objective."""

from torch import nn

from tetramer.objectives.base import Loss, Sample, Targets
from tetramer.objectives.motif import MotifEquivalence
from tetramer.objectives.next_token import NextToken
from tetramer.objectives.reaction import ReactionEquivalence
from tetramer.objectives.statistics import is_extensive
from tetramer.objectives.supervised import Supervised, SupervisedConfig

OBJECTIVES: dict[str, type[nn.Module]] = {
    "supervised": Supervised,
    "next-token": NextToken,
    "reaction": ReactionEquivalence,
    "motif": MotifEquivalence,
}

__all__ = ["OBJECTIVES", "Loss", "Sample", "Supervised", "SupervisedConfig", "Targets", "is_extensive"]

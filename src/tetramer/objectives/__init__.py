"""Sample → Loss. One method, one file; supervised learning is one more objective."""

from tetramer.objectives.base import Loss, Objective, Sample, Targets
from tetramer.objectives.motif import MotifEquivalence
from tetramer.objectives.next_token import NextToken
from tetramer.objectives.reaction import ReactionEquivalence
from tetramer.objectives.supervised import Supervised, SupervisedConfig
from tetramer.objectives.translate import Translate

OBJECTIVES: dict[str, type[Objective]] = {
    "supervised": Supervised,
    "next-token": NextToken,
    "translate": Translate,
    "reaction": ReactionEquivalence,
    "motif": MotifEquivalence,
}

__all__ = ["OBJECTIVES", "Loss", "Objective", "Sample", "Supervised", "SupervisedConfig", "Targets"]

"""Sample → Loss. One method, one file; supervised learning is one more objective."""

from tetramer.objectives.base import Loss, Sample, Targets
from tetramer.objectives.statistics import is_extensive
from tetramer.objectives.supervised import Supervised, SupervisedConfig

OBJECTIVES: dict[str, type[Supervised]] = {"supervised": Supervised}

__all__ = ["OBJECTIVES", "Loss", "Sample", "Supervised", "SupervisedConfig", "Targets", "is_extensive"]

"""LightGBM learns to order short lists; imported where it is used, as in `trees`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tetramer.members.trees import COMMON

if TYPE_CHECKING:
    import lightgbm

SETTINGS: dict[str, Any] = {
    "objective": "lambdarank",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "lambdarank_truncation_level": 20,
}
ROUNDS = 200


@dataclass(frozen=True)
class Ranker:
    """Answers (n,) for the numbers (n, F) of candidates, larger for what should stand first in its list."""

    booster: "lightgbm.Booster"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(x, num_threads=1))


def fit_ranker(x: np.ndarray, right: np.ndarray, sizes: np.ndarray, seed: int, rounds: int = ROUNDS) -> Ranker:
    """A ranker of lists that stand one after the other.

    x: (n, F)   right: (n,) 1 for what should stand first in its list, else 0   sizes: (lists,) that add up to n
    """
    import lightgbm

    settings = COMMON | SETTINGS | {"seed": seed}
    lists = lightgbm.Dataset(x, right, group=sizes, params=settings, free_raw_data=True)
    return Ranker(lightgbm.train(settings, lists, num_boost_round=rounds))

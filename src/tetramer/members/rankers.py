"""LightGBM learns to order short lists; imported where it is used, as in `trees`."""

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


def fit_ranker(
    x: np.ndarray, right: np.ndarray, sizes: np.ndarray, seed: int, rounds: int = ROUNDS
) -> "lightgbm.Booster":
    """A booster whose answers are larger for what should stand first.

    x: (n, F) candidates, list after list   right: (n,) 1 for the right one of its list   sizes: (lists,) sum to n
    """
    import lightgbm

    settings = COMMON | SETTINGS | {"seed": seed}
    lists = lightgbm.Dataset(x, right, group=sizes, params=settings, free_raw_data=True)
    return lightgbm.train(settings, lists, num_boost_round=rounds)

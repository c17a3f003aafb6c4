"""Four views of a molecule, one representation.

`Regressor`, `Classifier`, `Embedder`, `embed` and `load` are imported when first used, so that `import tetramer`
costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tetramer.inference import Model
    from tetramer.predictor import Classifier, Embedder, Regressor, embed, load

_HOMES = {
    "Classifier": "predictor",
    "Embedder": "predictor",
    "Model": "inference",
    "Regressor": "predictor",
    "embed": "predictor",
    "load": "predictor",
}

__all__ = ["Classifier", "Embedder", "Model", "Regressor", "__version__", "embed", "load"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"tetramer.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tetramer' has no attribute {name!r}")

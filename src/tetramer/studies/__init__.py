"""Published studies done again: one file each, its table reproduced as published and with our recipes beside it."""

from tetramer.studies import combining_modalities, molr, motif, smiles_transformer
from tetramer.studies.base import Asked, Study

STUDIES: dict[str, Study] = {
    "combining-modalities": combining_modalities.STUDY,
    "molr": molr.STUDY,
    "motif": motif.STUDY,
    "smiles-transformer": smiles_transformer.STUDY,
}

__all__ = ["STUDIES", "Asked", "Study"]

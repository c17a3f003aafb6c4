"""Structures read once and kept beside unfinished work, a view at a time: a run that is started again finds them."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.datasets import writing
from tetramer.members.work import Progress
from tetramer.molecules.conformers import NOTES
from tetramer.views import Reader, Reading, store
from tetramer.views.conformer import ConformerFeatures
from tetramer.views.read import MODULES


def read_into(parts: Path, reader: Reader, texts: list[str], views: Sequence[str], progress: Progress) -> Reading:
    """Read the structures into `parts`, but for the views that an earlier run of the same texts left there.

    Each view is read on its own, so that what it refuses does not depend on the views that were read with it.
    """
    folder, note = parts / "features", parts / "features" / "reading.json"
    told: dict[str, dict[str, Any]] = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    keys = {
        view: store.key(texts, view, reader.standard, reader.settings.get(view, MODULES[view].SETTINGS()))
        for view in views
    }
    known = [view for view in views if told.get(view, {}).get("key") == keys[view]]
    stores = {view: store.get(folder, view, MODULES[view].FEATURES) for view in known}
    missing = [view for view in views if stores.get(view) is None]
    for place, view in enumerate(missing):

        def heard(done: int, before: int = place) -> None:
            progress("structures", (before + done / len(texts)) / len(missing))

        whole = reader.read(texts, [view], heard)
        told[view] = {"key": keys[view], "smiles": whole.smiles, "codes": whole.codes, "reasons": whole.reasons}
        with writing.disk_errors(parts, 0):
            folder.mkdir(parents=True, exist_ok=True)
            note.unlink(missing_ok=True)
            shutil.rmtree(folder / view, ignore_errors=True)
            store.put(folder, view, whole.features[view])
            writing.write_whole(note, json.dumps(told).encode())  # the last step: what it names is there
        stores[view] = store.get(folder, view, MODULES[view].FEATURES)
    features = {view: held for view, held in stores.items() if held is not None}
    return Reading(dict(features), *first_refusals([told[view] for view in views]))


def first_refusals(told: Sequence[dict[str, list[str]]]) -> tuple[list[str], list[str], list[str]]:
    """SMILES, codes and reasons of rows that were read several times: of the first time that refused a row, if any."""
    smiles, codes, reasons = (list(told[0][name]) for name in ("smiles", "codes", "reasons"))
    for other in told[1:]:
        for row, code in enumerate(other["codes"]):
            if codes[row] == "ok" and code != "ok":
                smiles[row], codes[row], reasons[row] = "", code, other["reasons"][row]
    return smiles, codes, reasons


def geometry_counts(reading: Reading, rows: np.ndarray) -> dict[str, int]:
    """How many of `rows` (n,) have a geometry that was given, one that was made, or none; {} where nothing looks at it.

    The keys are `given`, `made`, and the notes of rows without one: CONF_2D, drawn flat, and CONF_NONE.
    """
    features = reading.features.get("conformer")
    if not isinstance(features, ConformerFeatures):
        return {}
    notes = np.where(features.drawn | (features.ok == 1), features.notes, NOTES.index("CONF_NONE"))[rows]
    names = {"GIVEN": "given", "": "made", "CONF_2D": "CONF_2D", "CONF_NONE": "CONF_NONE"}
    return {name: int((notes == NOTES.index(note)).sum()) for note, name in names.items()}


def geometry_notes(counts: dict[str, int], placed: bool) -> list[str]:
    """Sentences on molecules without geometry among those with a label.

    counts: of `geometry_counts`   placed: whether structures came with their geometry
    """
    total, notes = sum(counts.values()), []
    if placed and counts.get("made"):
        notes.append(f"{counts['made']} of {total} structures came without their geometry; it was made.")
    words = {"CONF_NONE": "no geometry could be made", "CONF_2D": "there is no more than a flat drawing"}
    lacking = [f"{counts[code]} of {total} {word} ({code})" for code, word in words.items() if counts.get(code)]
    if lacking:
        notes.append(
            f"Of {' and of '.join(lacking)}: a network that looks at geometry alone does not learn from these "
            "molecules, one of several views learns from their others."
        )
    return notes

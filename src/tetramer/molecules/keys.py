"""Keys that tell which molecules are akin: the first block of the InChIKey, and the scaffold, for many SMILES.

Both are made in worker processes: InChI's canonical numbering of a cage or a large symmetric molecule may not end.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import rdinchi

from tetramer.errors import UserError, pick
from tetramer.molecules.pool import Limits, answers
from tetramer.molecules.reactions import parts_of
from tetramer.molecules.scaffolds import scaffold
from tetramer.molecules.worker import BETWEEN, serve

BLOCK = 14  # letters of the InChIKey's first block
CHUNK = 256  # molecules in one request


def first_block(smiles: str) -> str:
    """The first 14 letters of the InChIKey, the hash of formula, bonds and hydrogens of InChI's main layer; of a
    reaction that of its products.

    Equal for stereoisomers, isotopes, the tautomers that InChI knows (amide and imidic acid, not ketone and enol) and
    for acid and carboxylate. "" where there is no InChI: dummy atoms, more than 1,023 atoms, text RDKit cannot read.
    Heller et al. 2015, doi:10.1186/s13321-015-0068-4.
    """
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(parts_of(smiles)[-1])
        key = "" if mol is None else str(rdinchi.MolToInchiKey(mol))
    return key[:BLOCK]


def ring_scaffold(smiles: str) -> str:
    """`scaffold`, "" for a text that RDKit cannot read."""
    try:
        return scaffold(smiles)
    except UserError:
        return ""


KEYS: dict[str, Callable[[str], str]] = {"skeleton": first_block, "scaffold": ring_scaffold}


def job(texts: list[str], options: dict[str, Any], tick: Callable[[int], None]) -> bytes:
    """The worker's work: one key a text, as JSON."""
    found = []
    for place, text in enumerate(texts):
        tick(place)
        found.append(KEYS[options["kind"]](text) if text else "")
    tick(BETWEEN)
    return json.dumps(found).encode()


def keys(smiles: Sequence[str], kind: str = "skeleton", limits: Limits | None = None) -> list[str]:
    """One key of KEYS for every SMILES, in order, "" where there is none or it took too long; equal texts cost one.

    smiles: (n) canonical, "" where a row was refused. One core does about 2,000 a second.
    """
    pick(KEYS, kind, "kind of key")
    different = list(dict.fromkeys(text for text in smiles if text))
    told = answers("tetramer.molecules.keys", job, different, CHUNK, {"kind": kind}, limits or Limits())
    found = [key for answer, _ in told for key in json.loads(answer)]
    known = dict(zip(different, found, strict=True))
    return [known.get(text, "") for text in smiles]


if __name__ == "__main__":
    rdBase.DisableLog("rdApp.*")
    serve(job)

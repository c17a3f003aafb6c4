"""What every test run shares: one thread, repeatable property tests, and the way to the real data."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Tests run side by side on few cores. torch reads this when it is first imported, also in child processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["TETRAMER_CONFORMERS"] = "off"  # a test makes what it tests, and leaves nothing behind

BESIDE = Path(__file__).parents[2] / "shared" / "data"
if "TETRAMER_DATA" not in os.environ and BESIDE.is_dir():
    os.environ["TETRAMER_DATA"] = str(BESIDE)

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("deep", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets, named by TETRAMER_DATA; the test is skipped where there is none."""
    named = os.environ.get("TETRAMER_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("TETRAMER_DATA names no folder with the public data sets")
    return Path(named)


CORES = ("c1ccccc1{}", "C1CCCCC1{}", "c1ccncc1{}", "c1ccoc1{}", "CCC(C){}", "CC(C)(C){}", "CCOCC{}", "Cc1ccc(cc1){}")
GROUPS = ("O", "N", "C", "CC", "C(=O)O", "F", "Cl", "OC", "C#N", "S(=O)(=O)N")


@pytest.fixture(scope="session")
def smiles() -> list[str]:
    """80 small molecules, all different."""
    return [core.format(group) for core in CORES for group in GROUPS]


@pytest.fixture(scope="session")
def features(smiles: list[str]) -> dict[str, Any]:
    """Every view of `smiles`; row i is molecule i."""
    from tetramer.molecules import Limits
    from tetramer.views import VIEWS, read

    return read(smiles, list(VIEWS), limits=Limits(0)).features


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Code under test may choose its number of threads; the next test starts with one again."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)

"""The worker program of the bulkhead: `python -m tetramer.views.serve`, started by `Reader`."""

from rdkit import rdBase

from tetramer.molecules.worker import serve
from tetramer.views.read import job

if __name__ == "__main__":
    rdBase.DisableLog("rdApp.*")
    serve(job)

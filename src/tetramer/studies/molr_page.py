"""What came out of the study molr on one page: rankings, edit distances, frozen vectors, each beside what is free."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tetramer.benchmark.cells import Cell
from tetramer.benchmark.comparison import SHORT, Section
from tetramer.benchmark.report import Table, laid_out, page
from tetramer.benchmark.summary import aligned, standing_lines
from tetramer.studies.finished import Finished, Measured, gaps, interval, measured, over_seeds, printed
from tetramer.studies.molr_tasks import FREE_ROWS, TASKS

TITLES = {
    "validation": "Products, validation part",
    "products": "Products, test part of USPTO-MIT",
    "products-anew": "Products, the nearest 100 by vectors in order anew",
    "reactants": "Reactants, test part of USPTO-50k",
    "questions": "Sixteen questions",
    "edit-distance": "Graph edit distance",
}
POOLS = {
    "full": "all",
    "near": "± 2 heavy atoms",
    "isomers": "same formula",
    "no-copies": "none that is a reactant",
    "unseen": "product not learned from",
}
# Printed in arXiv:2109.09888: means over three runs of 408,673 reactions; 16 questions; 10,000 pairs, split by pair
RANKINGS = ("mrr", "mr", "hit1", "hit3", "hit5", "hit10")
PRINTED: dict[str, dict[str, dict[str, float]]] = {
    "products": {
        name: dict(zip(RANKINGS, told, strict=True))
        for name, told in {
            "MolR-TAG": (0.918, 27.4, 0.882, 0.949, 0.960, 0.970),
            "MolR-GCN": (0.905, 34.5, 0.867, 0.938, 0.950, 0.961),
            "MolR-GAT": (0.903, 35.3, 0.864, 0.935, 0.948, 0.961),
            "MolR-SAGE": (0.903, 53.0, 0.865, 0.935, 0.948, 0.961),
            "MolR-TAG, 1 % of its reactions": (0.904, 33.0, 0.865, 0.937, 0.951, 0.963),
            "MolBERT, tuned on reactions": (0.776, 459.6, 0.708, 0.827, 0.859, 0.891),
            "MolBERT": (0.708, 460.7, 0.623, 0.768, 0.811, 0.858),
            "Mol2vec": (0.681, 483.7, 0.614, 0.725, 0.759, 0.798),
        }.items()
    },
    "questions": {"MolR-GCN": {"hit1": 0.625}, "MolBERT": {"hit1": 0.313}, "Mol2vec": {"hit1": 0.313}},
    "edit-distance": {
        name: {"pair": told}
        for name, told in {
            "MolR-SAGE": 0.817,
            "MolR-TAG": 0.911,
            "MolR-GCN": 0.922,
            "MolR-GAT": 0.943,
            "MolBERT": 0.937,
            "Mol2vec": 0.995,
        }.items()
    },
}
# BBBP, BACE, SR-p53 of Tox21, CT_TOX of ClinTox: ROC-AUC ± sd over 20 splits; a default logistic regression
AREAS: dict[str, tuple[tuple[float, float], ...]] = {
    "MolR-TAG": ((0.895, 0.031), (0.875, 0.023), (0.820, 0.028), (0.913, 0.043)),
    "MolR-GCN": ((0.890, 0.032), (0.882, 0.019), (0.818, 0.023), (0.916, 0.039)),
    "MolR-GAT": ((0.887, 0.026), (0.863, 0.026), (0.839, 0.039), (0.908, 0.039)),
    "MolR-SAGE": ((0.879, 0.032), (0.859, 0.029), (0.811, 0.039), (0.890, 0.058)),
    "Mol2vec": ((0.872, 0.021), (0.862, 0.027), (0.803, 0.041), (0.841, 0.062)),
}
PRINTED_PROPERTIES = {
    data: {name: told[place] for name, told in AREAS.items()} for place, data in enumerate(("bbbp", "bace"))
}
ONE_TARGET = {"tox21": ("SR-p53", 2), "clintox": ("CT_TOX", 3)}  # data set → its only target there, and its place above
COMPARED = {  # variant → what it is a variant of
    "molr-motifs": "molr",
    "molr-every-atom": "molr",
    "molr-hinge": "molr",
    "molr-published": "molr",
    "motif-published": "molr-published",
}


SAID = [
    "Encoders learn from nine tenths of the valid part of USPTO-MIT; nothing was chosen on a test part, but for the "
    "network that has learned nothing: that bounded atoms help edit distances was first seen on tested pairs.",
    "Atom maps tell reactants from reagents when a file is read, and teach a loss which atoms stay. No input has them.",
    "Equal candidates are merged, and ties have the middle rank. Free rows learn nothing or little and come first.",
    "± is the standard deviation over seeds; of one seed (a to b) is the 95 % interval over queries, of edit distances "
    "one standard deviation over ten splits.",
]  # fmt: skip


class Story(Finished):
    """The rows of one folder."""

    STUDY, PARTS, FREE, SAID = "molr", (*TASKS,), FREE_ROWS, SAID
    PROPERTIES = PRINTED_PROPERTIES

    @property
    def names(self) -> list[str]:
        """All methods in the order of the tables."""
        return [*FREE_ROWS, *self.models]

    def measured(self, task: str, pool: str = "full") -> dict[str, Measured]:
        """What is finished of a task, in the order of the tables."""
        return measured(self.told, task, self.names, lambda row: numbers(row, pool))

    def differences(self) -> Table | None:
        """Variants minus what they are of, on the same seeds: MRR and H@1 of products and reactants."""
        body: list[list[Cell]] = []
        for task in ("products", "reactants"):
            found = self.measured(task)
            for name, base in COMPARED.items():
                for number in ("mrr", "hit1") if {base, name} <= set(found) else ():
                    if values := gaps(found[name], found[base], number):
                        label = f"{name} minus {base}"
                        body.append([TITLES[task], label, NUMBERS[number], interval(values), len(values)])
        header = ["ranking", "variant", "number", "difference (95 %)", "seeds"]
        return Table("On the same seeds", header, body) if body else None

    def table(self, task: str) -> Table:
        """The numbers of a task."""
        if task == "edit-distance":
            header, columns = (
                ["RMSE, split by pair", "RMSE, split by molecule", "by pair, evened", "by molecule, evened"],
                [("full", number) for number in ("pair", "molecule", "pair_evened", "molecule_evened")],
            )
        elif task == "questions":
            header, columns = ["MRR", "H@1", "H@2"], [("choices", name) for name in ("mrr", "hit1", "hit2")]
        else:
            header = [*(NUMBERS[name] for name in FULL), *(f"MRR, {POOLS[pool]}" for pool in OTHERS)]
            columns = [*(("full", name) for name in FULL), *((pool, "mrr") for pool in OTHERS)]
        told = {pool: self.measured(task, pool) for pool, _ in columns}
        first = told[columns[0][0]]
        body: list[list[Cell]] = [
            [
                name,
                *(told[pool][name].cell(number) if name in told[pool] else None for pool, number in columns),
                one.seeds,
            ]
            for name, one in first.items()
        ]
        for name, shown in PRINTED.get(task, {}).items() if self.whole(task) else ():
            cells = [shown.get(number) if pool == columns[0][0] else None for pool, number in columns]
            body.append([f"{name}, printed", *cells, None])
        return Table(self.size_of(task), ["method", *header, "seeds"], body)

    def beside(self, data: str) -> list[Table]:
        """What is printed of a data set, where that is one target beside frozen vectors on that target alone."""
        if data not in ONE_TARGET:
            return super().beside(data)
        target, place = ONE_TARGET[data]
        found: dict[str, list[float]] = {}
        for row in self.vectors:
            if row["data"] == data and (value := row.get("each", {}).get(target)) is not None:
                found.setdefault(row["method"], []).append(value)
        body: list[list[Cell]] = [[method, over_seeds(told)] for method, told in found.items()]
        body += printed({name: told[place] for name, told in AREAS.items()})
        return [Table(f"{target} alone, ± over splits", ["method", "ROC-AUC"], body)]

    def size_of(self, task: str) -> str:
        """What a row of the task is measured on."""
        row = next(row for row in self.told if row["task"] == task)
        if "pairs" in row:
            return f"{row['pairs']:,} pairs of {row['molecules']:,} molecules"
        return f"{row['queries']:,} queries, {row['candidates']:,} candidates"

    def whole(self, task: str) -> bool:
        """Whether all of a task was asked, so that printed numbers may stand beside it."""
        return all(row.get("reactions", 40_000) == 40_000 and row.get("pairs", 10_000) == 10_000 for row in self.told
                   if row["task"] == task)  # fmt: skip

    @property
    def tasks(self) -> list[str]:
        """Those with rows."""
        return [task for task in TASKS if any(row["task"] == task for row in self.told)]

    def parts(self) -> list[tuple[str, str, Table]]:
        """Title, what it says, and the table of every part of the page that has one, but for the frozen vectors."""
        found = [(TITLES[task], ABOUT[task], self.table(task)) for task in self.tasks]
        gaps = self.differences()
        return [*found, *([("What each part adds", PAIRED, gaps)] if gaps else [])]

    def lines(self) -> list[str]:
        """The tables for a terminal."""
        out = []
        for task in self.tasks:
            table = self.table(task)
            out += [f"{TITLES[task]}: {table.caption}", *aligned(table.header, table.rows)]
        for one in self.probed:
            out += standing_lines(one)
        return out

    def page(self) -> str:
        """The whole page as text."""
        sections = [Section(title, "", [about], [laid_out(table)]) for title, about, table in self.parts()]
        for one in self.probed:
            sections.append(self.of_frozen(one, PROBED))
        hashes = {f"{row['data']}, {row['part']}": row["data_sha256"][:SHORT] for row in self.told if "part" in row}
        fields = {
            "said": self.said,
            "compared": laid_out(self.methods),
            "sections": sections,
            "splits": [
                *hashes.items(),
                *((f"{one.data}, seed {seed}", sha[:SHORT]) for one in self.probed for seed, sha in one.splits.items()),
            ],
            "made": self.made,
        }
        return page("comparison.html", "tetramer study", "MolR", HEAD, fields)


FULL = ("mrr", "hit1", "hit3", "hit5", "hit10", "mr")
OTHERS = ("near", "isomers", "no-copies", "unseen")
NUMBERS = {"mrr": "MRR", "mr": "mean rank", "hit1": "H@1", "hit3": "H@3", "hit5": "H@5", "hit10": "H@10"}


def numbers(row: Mapping[str, Any], pool: str) -> dict[str, tuple[float, float, float]]:
    """Number → value and its interval: of a ranking over queries, of edit distances mean ± sd over ten splits."""
    if "rmse" in row:
        told = {rule: np.array(errors) for rule, errors in row["rmse"].items()}
        return {
            rule: (float(x.mean()), float(x.mean() - x.std(ddof=1)), float(x.mean() + x.std(ddof=1)))
            for rule, x in told.items()
        }
    found = row["pools"].get(pool, {})
    return {name: (cell[0], cell[1], cell[2]) for name, cell in found.items() if isinstance(cell, list)}


HEAD = "Reactants and products have equal sums of vectors: what that teaches, beside what counting tells."
RANKED = (
    "MRR is the mean of 1 / rank of the right answer, H@k the share of queries whose right answer is among the first "
    "k; the last column is of those queries alone whose product no reaction has that the encoders learn from."
)
ABOUT = {
    "validation": f"{RANKED} Reactions that no model has learned from, among all products of the valid part.",
    "products": f"{RANKED} Every reaction against all products of its part.",
    "products-anew": "A ranker on 20 overlaps and the distance, learned from the validation reactions, orders what the "
    "vectors found.",
    "reactants": f"{RANKED} Every product against all sets of reactants of its part. The encoders have learned from "
    "USPTO-MIT, the re-ranker from the training part of USPTO-50k.",
    "questions": "Each question has four or five choices; one question is 0.0625.",
    "edit-distance": "Default SVR on the signed difference of frozen vectors; ten splits of the pairs, which share "
    "molecules, and ten of the molecules. Evened: the first 48 principal components of the vectors of the training "
    "molecules, whose standard deviations are the roots of what they were; chosen on validation pairs of other splits.",
}
PAIRED = (
    "Above 0 is better. With few seeds an interval that holds 0 says that nothing was shown, not that nothing is "
    "there. A variant of molr learns for equal steps, unless it is a published one, and so does motif-published beside "
    "molr-published; steps and minutes stand in the table of methods."
)
PROBED = (
    "Frozen vectors, random splits 8:1:1 and as many of them as MolR's, but another head: here the numbers of a vector "
    "are in standard deviations and inner folds of the training rows choose the strength of the logistic regression, "
    "which MolR fits to vectors as they are with scikit-learn's default. Every target counts; of Tox21 and ClinTox the "
    "paper has one each, which stands below by itself."
)

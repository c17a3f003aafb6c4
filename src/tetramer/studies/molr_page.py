"""What came out of the study molr on one page: rankings, edit distances, frozen vectors, each beside what is free."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tetramer.benchmark.cells import Cell
from tetramer.benchmark.comparison import SHORT, Section, of_data
from tetramer.benchmark.report import Table, laid_out, page
from tetramer.benchmark.summary import aligned, standing_lines
from tetramer.studies.finished import Finished, Measured, gaps, interval, measured, over_seeds
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
ONE_TARGET = {"tox21": ("SR-p53", 0.820), "clintox": ("CT_TOX", 0.913)}  # printed for MolR-TAG
COMPARED = {  # variant → what it is a variant of
    "molr-motifs": "molr",
    "molr-every-atom": "molr",
    "molr-hinge": "molr",
    "molr-published": "molr",
    "motif-published": "molr-published",
}


class Story(Finished):
    """The rows of one folder."""

    STUDY, PARTS, FREE = "molr", (*TASKS,), FREE_ROWS

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
        for name, printed in PRINTED.get(task, {}).items() if self.whole(task) else ():
            cells = [printed.get(number) if pool == columns[0][0] else None for pool, number in columns]
            body.append([f"{name}, printed", *cells, None])
        return Table(self.size_of(task), ["method", *header, "seeds"], body)

    def one_target(self, data: str) -> Table | None:
        """Frozen vectors on the one target of a data set that the paper has; None where it is not measured."""
        target, printed = ONE_TARGET.get(data, ("", 0.0))
        found: dict[str, list[float]] = {}
        for row in self.vectors:
            if row["data"] == data and (value := row.get("each", {}).get(target)) is not None:
                found.setdefault(row["method"], []).append(value)
        if not found:
            return None
        body: list[list[Cell]] = [[method, over_seeds(told), len(told)] for method, told in found.items()]
        body.append(["MolR-TAG, printed", printed, None])
        return Table(f"{target} alone, ± over splits", ["method", "ROC-AUC", "splits"], body)

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
        sections = [Section(TITLES[task], "", [ABOUT[task]], [laid_out(self.table(task))]) for task in self.tasks]
        found = self.differences()
        if found:
            sections.append(Section("What each part adds", "", [PAIRED], [laid_out(found)]))
        for one in self.probed:
            section, more = of_data(one), self.one_target(one.data)
            found_tables = [*section.tables, *([laid_out(more)] if more else [])]
            sections.append(replace(section, asides=[*section.asides, PROBED], tables=found_tables))
        hashes = {f"{row['data']}, {row['part']}": row["data_sha256"][:SHORT] for row in self.told if "part" in row}
        fields = {
            "said": SAID,
            "compared": laid_out(Table("Methods", ["method", "what it is"], self.methods)),
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
SAID = [
    "Encoders learn from nine tenths of the valid part of USPTO-MIT; nothing was chosen on a test part, but for the "
    "network that has learned nothing: that bounded atoms help edit distances was first seen on tested pairs.",
    "Atom maps tell reactants from reagents when a file is read, and teach a loss which atoms stay. No input has them.",
    "Equal candidates are merged, and ties have the middle rank. Free rows learn nothing or little and come first.",
    "± is the standard deviation over seeds; of one seed (a to b) is the 95 % interval over queries, of edit distances "
    "one standard deviation over ten splits.",
]  # fmt: skip
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
    "Above 0 is better. With few seeds an interval that holds 0 says that nothing was shown, not that nothing is there."
)
PROBED = (
    "The protocol is MolR's: frozen vectors, a linear head, random splits 8:1:1; every target counts. Printed for "
    "MolR-TAG: BBBP 0.895, BACE 0.875; of Tox21 and ClinTox it has one target each, which stands below by itself."
)

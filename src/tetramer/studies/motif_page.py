"""What came out of the study motif on one page: collapse or not, isomers, spreads, frozen vectors, printed numbers."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tetramer.benchmark.cells import Cell
from tetramer.benchmark.comparison import SHORT, Section
from tetramer.benchmark.report import Table, laid_out, page
from tetramer.benchmark.summary import aligned, standing_lines
from tetramer.studies import motif_claims
from tetramer.studies.finished import Finished, Measured, frozen, gaps, interval, measured
from tetramer.studies.motif_tasks import FREE_ROWS, TASKS

TITLES = {"diagnosis": "Diagnosis", "spread": "Spread of a motif's vectors", "isomers": "Isomers of the same parts"}
COLUMNS = {  # task → number → heading
    "diagnosis": {
        "residual": "residual",
        "rank": "effective rank",
        "isomers": "own motifs among isomers",
        "assembly": "amides apart",
        "motifs_alone": "residual, compared",
        "with_bonds": "with cut bonds",
    },
    "spread": {"ratio": "within / between", "within": "within", "between": "between"},
    "isomers": {
        "amide": "amides",
        "ring": "rings",
        "amide_compared": "amides, compared",
        "ring_compared": "rings, compared",
    },
}
DIFFERENCES = (  # task, number, heading
    ("diagnosis", "residual", "residual"),
    ("diagnosis", "isomers", "own motifs among isomers"),
    ("spread", "ratio", "within / between"),
    ("isomers", "amide", "amides"),
    ("isomers", "ring", "rings"),
)
BASE = "motif"
MGSSL = {  # ROC-AUC ± sd of its BFS variant (arXiv:2110.00987)
    data: {"MGSSL, tuned, split by scaffolds": told}
    for data, told in {
        "bbbp": (0.697, 0.009), "bace": (0.791, 0.009), "tox21": (0.765, 0.003), "clintox": (0.807, 0.021),
    }.items()
}  # fmt: skip
SAID = [
    "A network without messages across the cuts fulfils the equation whatever it has learned, and counts atoms. So "
    "a small residual says nothing unless isomers of the same parts are told apart.",
    "Encoders learn from the first rows of ZINC250k; what they are asked is of its last 5,000 rows, of made "
    "molecules, and of public data sets.",
    "± is the standard deviation over seeds; of one seed (a to b) is the 95 % interval over pairs, which have rings "
    "in common, so that it is rather too short.",
]  # fmt: skip


class Story(Finished):
    """The rows of one folder."""

    STUDY, PARTS, FREE, SAID, PROPERTIES = "motif", (*TASKS,), FREE_ROWS, SAID, MGSSL

    @cached_property
    def measured(self) -> dict[str, dict[str, Measured]]:
        """Task → method → its numbers, of tasks with rows."""
        names = [*FREE_ROWS, *self.models]
        found = {task: measured(self.told, task, names, numbers) for task in TASKS}
        return {task: told for task, told in found.items() if told}

    def table(self, task: str) -> Table:
        """The numbers of a task."""
        found, columns = self.measured[task], COLUMNS[task]
        body: list[list[Cell]] = [
            [name, *(one.cell(number) for number in columns), one.seeds] for name, one in found.items()
        ]
        row = next(row for row in self.told if row["task"] == task)
        size = f"{row['molecules']:,} molecules" if "molecules" in row else pairs_of(row)
        return Table(size, ["method", *columns.values(), "seeds"], body)

    def differences(self) -> Table | None:
        """Every variant minus ours on the same seeds, a column a number; None if there is nothing to compare."""
        columns = [(heading, self.measured.get(task, {}), number) for task, number, heading in DIFFERENCES]
        columns += [(f"{one.data}, {one.metric}", frozen(one), "score") for one in self.probed]
        columns = [column for column in columns if BASE in column[1]]
        body: list[list[Cell]] = []
        for name in self.models:
            values = [gaps(found[name], found[BASE], number) if name in found else [] for _, found, number in columns]
            if name != BASE and any(values):
                body.append([name, *(interval(one) if one else None for one in values), max(map(len, values))])
        header = ["variant", *(heading for heading, _, _ in columns), "seeds"]
        return Table(f"Minus {BASE}, on the same seeds", header, body) if body else None

    def verdicts(self) -> Table | None:
        """What the study claims, held against the numbers."""
        body = motif_claims.verdicts(self.measured, self.probed, [*self.models])
        return Table("Claims", ["claim", "of", "numbers", "verdict"], body) if body else None

    def parts(self) -> list[tuple[str, str, Table]]:
        """Title, what it says, and the table of every part of the page that has one, but for the frozen vectors."""
        found = [
            ("Claims", CLAIMED, self.verdicts()),
            *((TITLES[task], ABOUT[task], self.table(task)) for task in self.measured),
            ("What each part adds", PAIRED, self.differences()),
            ("Printed: product ranking", PRINTED_ABOUT, PRINTED),
        ]
        return [(title, about, table) for title, about, table in found if table]

    def lines(self) -> list[str]:
        """The tables for a terminal."""
        out = []
        for task in self.measured:
            table = self.table(task)
            out += [f"{TITLES[task]}: {table.caption}", *aligned(table.header, table.rows)]
        for one in self.probed:
            out += standing_lines(one)
        if verdicts := self.verdicts():
            out += [f"{of}: {claim}? {verdict} ({numbers})." for claim, of, numbers, verdict in verdicts.rows]
        return out

    def page(self) -> str:
        """The whole page as text."""
        sections = [
            Section(title, "", [about], [laid_out(table, PRINTED.header[1:])]) for title, about, table in self.parts()
        ]
        for one in self.probed:
            sections.insert(-1, self.of_frozen(one, PROBED))  # the printed table is the last
        fields = {
            "said": self.said,
            "compared": laid_out(self.methods),
            "sections": sections,
            "splits": self.hashes(),
            "made": self.made,
        }
        return page("comparison.html", "tetramer study", "Motifs", HEAD, fields)

    def hashes(self) -> list[tuple[str, str]]:
        """What was asked, by its SHA-256."""
        held = {f"{row['data']}, held back": row["data_sha256"][:SHORT] for row in self.told if "data" in row}
        asked = {
            f"{name}, five folds": ", ".join(sha[:SHORT] for sha in shas)
            for row in self.told
            for name, shas in row.get("splits_sha256", {}).items()
        }
        splits = [(f"{one.data}, seed {seed}", sha[:SHORT]) for one in self.probed for seed, sha in one.splits.items()]
        return [*(held | asked).items(), *splits]


def numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a row that it has."""
    return {name: value for name, value in row["numbers"].items() if value is not None}


def pairs_of(row: Mapping[str, Any]) -> str:
    """How many pairs each question has."""
    return ", ".join(f"{count:,} pairs of {name}s" for name, count in row["pairs"].items())


HEAD = "A molecule is the sum of its motifs: what that teaches, and what keeps it from teaching to count atoms."
ABOUT = {
    "diagnosis": "Residual: mean length of h(molecule) − sum of h(motifs), as a share of that of h(molecule). Own "
    "motifs among isomers: mean reciprocal rank of a molecule's own motifs among those of all held-back molecules "
    "of its formula. Amides apart: median distance of 21 pairs of assembly isomers, as a share of their length. "
    "Residual, compared: of the vectors in the loss; with cut bonds: when those of the bonds are added.",
    "spread": "Context vectors of a motif are the means over its atoms in each molecule. A motif with one vector of "
    "its own would have no spread within.",
    "isomers": "Accuracy of a linear head, chance 0.5; no pair of rings that is asked was learned from. Amides: "
    "A–CO–NH–B or B–CO–NH–A, the same motifs. Rings: A and B on a ring of six, or on one of five that is closed an "
    "atom earlier. Compared: of the projection that the loss compares.",
}
CLAIMED = (
    "More than a bag of atoms: the residual fell below that of the untrained network, and a linear head tells amides "
    "of the same motifs above chance. In part: it tells them worse than by the untrained network. Collapsed: by "
    "chance. Other claims are of differences on the same seeds; with one seed nothing is tested."
)
PAIRED = (
    "Mean and 95 % interval of Student's t. Residual and within / between: lower is nearer to the equation; others: "
    "higher is better. With few seeds an interval that holds 0 says that nothing was shown, not that nothing is "
    "there. All but untrained learn for equal steps; steps and minutes stand in the table of methods."
)
PROBED = (
    "Frozen vectors, random splits 8:1:1; every target counts. The head is linear, on numbers in standard deviations, "
    "of a strength that inner folds of the training rows choose. atom-counts is the bag of atoms. MGSSL learned from "
    "250,000 molecules, was tuned and not frozen, and tested on the split by scaffolds: these are other numbers."
)
PRINTED = Table(
    "As the author's logs have it",
    ["family", "weight of the reaction", "learning rate", "MRR", "mean rank", "H@1", "H@3", "H@5", "H@10"],
    [
        ["A", "0.8", "0.001", "0.9216", "18.0", "0.8877", "0.9510", "0.9603", "0.9704"],
        ["A", "0.5", "0.001", "0.9205", "13.9", "0.8851", "0.9513", "0.9619", "0.9721"],
        ["A", "0.2", "0.001", "0.9072", "15.1", "0.8673", "0.9410", "0.9539", "0.9671"],
        ["A", "0.0", "0.001", "0.7814", "121.9", "0.7081", "0.8369", "0.8696", "0.9024"],
        ["A, shared network", "1.0", "0.0001", "0.8814", "32.5", "0.8438", "0.9109", "0.9253", "0.9391"],
        ["B", "1.0", "0.0001", "0.6414", "1,347.5", "0.6003", "0.6682", "0.6873", "0.7088"],
        ["B", "0.8", "0.0001", "0.7062", "870.8", "0.6585", "0.7391", "0.7606", "0.7860"],
        ["B", "1/3", "0.0001", "0.7044", "810.9", "0.6545", "0.7379", "0.7616", "0.7876"],
        ["B", "0.4", "0.0001", "0.6985", "908.2", "0.6494", "0.7317", "0.7551", "0.7812"],
        ["B", "0.2", "0.0001", "0.6936", "894.7", "0.6438", "0.7266", "0.7506", "0.7776"],
        ["B", "0.0", "0.0001", "0.6784", "785.4", "0.6263", "0.7113", "0.7377", "0.7691"],
        ["B", "0.0", "0.0005", "0.6865", "946.3", "0.6375", "0.7188", "0.7425", "0.7688"],
        ["B", "0.0", "0.001", "0.6674", "1,146.9", "0.6181", "0.7013", "0.7241", "0.7481"],
        ["B", "1/3", "0.001", "0.6961", "988.5", "0.6402", "0.7352", "0.7616", "0.7894"],
        ["B", "0.2", "0.001", "0.6842", "1,131.5", "0.6304", "0.7212", "0.7471", "0.7743"],
        ["B", "0.8", "0.001", "0.6134", "1,265.3", "0.5675", "0.6428", "0.6654", "0.6922"],
        ["B", "0.5", "0.005", "0.1865", "2,557.9", "0.1287", "0.2033", "0.2422", "0.2986"],
    ],
)
PRINTED_ABOUT = (
    "USPTO-479k, test part, TAG of width 1,024, one run each. The rest of the weight is that of the motifs, half "
    "for each side. In family B the features of test atoms are most likely numbered otherwise than in training, "
    "which costs about 0.25. Our rows of reactions with motifs are those of another study, on another set: tetramer "
    "study molr --splits products --methods molr,molr-motifs,molr-published,motif-published."
)

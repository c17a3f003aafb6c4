"""The claims about sums of motifs, each held against the rows: collapsed or not, needed or not."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from tetramer.benchmark.cells import Cell, Spread, show
from tetramer.benchmark.standing import Standing
from tetramer.studies.finished import Measured, encoder_of, frozen, gaps, interval

BASE, FRESH = "motif", "untrained"
CONTEXT = "motif-context"  # learns another equation: the end of a cut sees a copy of the atom that stood there
CHANCE = 0.5
NEAR = 0.05  # a mean further above chance is no collapse, however wide the interval of two or three seeds
PARTS = {  # variant → the countermeasure that it lacks
    "motif-unprojected": "a projection",
    "motif-uncorrected": "vectors of cut bonds",
    "motif-no-negatives": "others that are alike",
    "motif-not-bonded": "the question which motifs are joined",
}
Told = Mapping[str, Mapping[str, Measured]]  # task → method → numbers


def verdicts(told: Told, probed: Sequence[Standing], models: Sequence[str]) -> list[list[Cell]]:
    """claim, of what, numbers, verdict; claims without numbers are left out."""
    rows = [row for name in models if name != FRESH and (row := collapse(told, name))]
    rows += [row for row in (one_vector(told), bonds(told)) if row]
    rows += [row for name in PARTS if (row := need(told, name))]
    return [*rows, *(row for one in probed if (row := property_of(one)))]


def collapse(told: Told, name: str) -> list[Cell] | None:
    """A residual below that of a network that has learned nothing, while assembly isomers are told by chance."""
    found, asked = told.get("diagnosis", {}), told.get("isomers", {})
    if {name, FRESH} - set(found) or {name, FRESH} - set(asked):
        return None
    key = "in_context" if name == CONTEXT else "residual"
    fell = gaps(found[name], found[FRESH], key)
    if not fell:
        return None
    verdict = collapsed(fmean(fell) < 0, at_chance(asked[name]), lost(asked[name], asked[FRESH]))
    return [
        "more than a bag of atoms",
        name,
        f"residual {show(found[name].cell(key))} ({FRESH} {show(found[FRESH].cell(key))}), "
        f"amides {show(asked[name].cell('amide'))} ({FRESH} {show(fmean(asked[FRESH].values['amide'].values()))})",
        verdict if len(fell) > 1 else f"{verdict}, by one seed",
    ]


def collapsed(fell: bool, chance: bool, less: bool) -> str:
    """In words. fell: the residual, below that of the untrained network   less: amides are told worse than by that"""
    if chance:
        return "collapsed" if fell else "told by chance"
    return "residual did not fall" if not fell else "in part" if less else "yes"


def lost(one: Measured, fresh: Measured) -> bool:
    """Whether amides are told worse than by an untrained network."""
    values = gaps(one, fresh, "amide")
    if len(values) == len(one.values["amide"]) == 1 and "amide" in fresh.intervals:
        return one.intervals["amide"][1] < fresh.intervals["amide"][0]
    if len(values) < 2:  # seeds that both have are too few for a test: what the means say
        return fmean(one.values["amide"].values()) < fmean(fresh.values["amide"].values())
    return side(values) == "below"


def at_chance(one: Measured) -> bool:
    """Whether the accuracy on amides is not shown to be above chance."""
    values = [*one.values["amide"].values()]
    if len(values) == 1:
        return one.intervals["amide"][0] <= CHANCE
    return fmean(values) - CHANCE < NEAR and side([value - CHANCE for value in values]) != "above"


def one_vector(told: Told) -> list[Cell] | None:
    """The spread of a motif's vectors over that between motifs, against a network that has learned nothing."""
    found = told.get("spread", {})
    if BASE not in found or FRESH not in found or not (values := gaps(found[BASE], found[FRESH], "ratio")):
        return None
    numbers = f"within / between {show(found[BASE].cell('ratio'))}, {FRESH} {show(found[FRESH].cell('ratio'))}"
    words = {"below": "nearer than untrained", "above": "further than untrained"}
    return ["a motif has a vector of its own", BASE, numbers, words.get(side(values), side(values))]


def bonds(told: Told) -> list[Cell] | None:
    """How much of the residual of what is compared the vectors of cut bonds explain."""
    one = told.get("diagnosis", {}).get(BASE)
    if one is None:
        return None
    values = gaps_within(one, "with_bonds", "motifs_alone")
    numbers = f"residual of what is compared {show(one.cell('motifs_alone'))}, with them {show(one.cell('with_bonds'))}"
    words = {"below": "yes", "above": "no: it grows"}
    return ["cut bonds explain the residual", BASE, numbers, words.get(side(values), side(values))]


def gaps_within(one: Measured, first: str, second: str) -> list[float]:
    """A number minus another of the same seed."""
    return [one.values[first][seed] - one.values[second][seed] for seed in sorted(one.values[first])]


def need(told: Told, name: str) -> list[Cell] | None:
    """What becomes of assembly isomers without a countermeasure."""
    found = told.get("isomers", {})
    if BASE not in found or name not in found or not (values := gaps(found[name], found[BASE], "amide")):
        return None
    words = {"below": "yes", "above": "no: it does harm"}
    numbers = f"amides without it, minus ours: {show(interval(values))}"
    return [f"isomers need {PARTS[name]}", name, numbers, words.get(side(values), side(values))]


def property_of(one: Standing) -> list[Cell] | None:
    """Frozen vectors on a data set against counts of substructures: the verdict over splits that all seeds have."""
    found = frozen(one)
    said = {line.pair.verdict for line in one.lines if encoder_of(line.method)[0] == BASE and line.pair}
    if BASE not in found or not said:
        return None
    means = {line.method: line.mean for line in one.lines}
    numbers = f"{one.metric} {show(found[BASE].cell('score'))}, {one.reference} {show(means[one.reference])}"
    if FRESH in found:
        numbers += f", {FRESH} {show(found[FRESH].cell('score'))}"
    words, verdict = {"better": "yes", "worse": "no"}, said.pop() if len(said) == 1 else "not settled"
    return [f"vectors tell more than substructures, {one.data}", BASE, numbers, words.get(verdict, verdict)]


def side(values: Sequence[float]) -> str:
    """On which side of 0 the whole interval lies."""
    told = interval(values)
    if not isinstance(told, Spread):
        return "one seed, no test"
    assert told.low is not None
    assert told.high is not None
    return "above" if told.low > 0 else "below" if told.high < 0 else "not settled"

"""What ranks candidates without any learning: distances between counts. A learned vector is judged against these."""

from collections.abc import Callable

from tetramer.benchmark.ranking import Scores, distances
from tetramer.benchmark.reaction_sets import Task
from tetramer.views.tallies import Tallies


def environments(task: Task, counts: Tallies) -> Scores:
    """Distance of the summed counts of Morgan environments up to radius 2."""
    return distances(*task.summed(counts.wide))


def atoms(task: Task, counts: Tallies) -> Scores:
    """Distance of the summed counts of atoms by element, hydrogens included."""
    return distances(*task.summed(counts.elements))


FREE: dict[str, Callable[[Task, Tallies], Scores]] = {
    "count-distance": environments,
    "atom-counts": atoms,
}

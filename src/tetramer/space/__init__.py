"""Vectors → neighbours, maps, figures, and numbers for what a figure is said to show."""

from tetramer.space.alignment import cka, unbiased_cka
from tetramer.space.claims import Claim
from tetramer.space.map import Map, pca
from tetramer.space.neighbours import METRICS, Neighbours, nearest, nearest_counts, overlap

__all__ = [
    "METRICS",
    "Claim",
    "Map",
    "Neighbours",
    "cka",
    "nearest",
    "nearest_counts",
    "overlap",
    "pca",
    "unbiased_cka",
]

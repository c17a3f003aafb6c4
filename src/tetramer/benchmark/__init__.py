"""Comparing methods fairly, and showing what came out."""

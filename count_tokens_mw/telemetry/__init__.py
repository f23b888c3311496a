"""Ready-made hooks, each alone with its library, and the buckets of their histograms."""

from typing import Final

__all__ = ["SECONDS", "TOKENS"]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
"""Boundaries for durations, from a cache hit to the deadline."""

TOKENS: Final = (10, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
"""Boundaries for counts, up to the largest context window."""

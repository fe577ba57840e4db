"""CLOCK_MONOTONIC in nanoseconds. ticks.pyx beside it is the same, for compiled callers."""

from time import monotonic_ns as now_ns

__all__ = ["now_ns"]

"""The goals of goals.toml, held against a run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.samples import Run

TABLE: Final = Path(__file__).with_name("goals.toml")


@dataclass(frozen=True)
class Goal:
    """One row: a figure of ours over theirs, and its bound (one of the two)."""

    title: str
    case: str
    figure: str
    ours: str
    theirs: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def wanted(self) -> str:
        return f">= {self.at_least}" if self.at_most is None else f"<= {self.at_most}"

    def ratio(self, run: Run) -> float | None:
        ours = run.median(self.case, self.ours, self.figure)
        theirs = run.median(self.case, self.theirs, self.figure)
        return ours / theirs if ours is not None and theirs else None

    def spread(self, run: Run) -> tuple[float, float] | None:
        """Least and largest ratio of one round."""
        ours = run.values(self.case, self.ours, self.figure)
        theirs = run.values(self.case, self.theirs, self.figure)
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return (min(ratios), max(ratios)) if ratios else None

    def flawed(self, run: Run) -> bool:
        """Whether a round failed, or had errors, on either side."""
        rows = [(self.case, server) for server in (self.ours, self.theirs)]
        return any(run.failure(*row) or run.errors(*row) for row in rows)

    def missed_by(self, ratio: float) -> float:
        """How far it is from the bound, as a share of that; not above 0 where it is met."""
        if self.at_least is not None:
            return 1 - ratio / self.at_least
        assert self.at_most is not None, "a goal has one bound"
        return ratio / self.at_most - 1


def goals() -> list[Goal]:
    return [Goal(**row) for row in tomllib.loads(TABLE.read_text())["goal"]]

"""What was measured, as plain data: samples, their medians, the whole run as JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """A measured quantity: its heading in tables, its unit there, and how it is written."""

    heading: str
    factor: float = 1.0
    form: str = ",.0f"

    def text(self, value: float | None) -> str:
        return "" if value is None else format(value * self.factor, self.form)


FIGURES: Final = {
    "rate": Figure("requests/s"),
    "cpu_us": Figure("CPU us/request", form=".1f"),
    "p50_us": Figure("p50 ms", 1e-3, ".2f"),
    "p99_us": Figure("p99 ms", 1e-3, ".2f"),
    "mean_us": Figure("mean ms", 1e-3, ".2f"),
    "pss_kib": Figure("PSS MiB", 1 / 1024, ".1f"),
    "uss_kib": Figure("USS MiB", 1 / 1024, ".1f"),
    "busy": Figure("CPUs busy", form=".2f"),
    "errors": Figure("errors"),
    "foreign": Figure("CPUs taken by others", form=".2f"),
    "sharers": Figure("other Pythons"),
    "logged": Figure("lines/request", form=".2f"),
    "pss_per_connection_b": Figure("PSS bytes/connection"),
    "uss_per_connection_b": Figure("USS bytes/connection"),
}


@dataclass(frozen=True)
class Sample:
    """One measurement: its figures by their names in FIGURES, or why there are none."""

    case: str
    server: str
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True)
class Run:
    """All samples of one run, and where they were taken (surroundings.py)."""

    surroundings: dict[str, Any]
    left_out: dict[str, str]
    samples: list[Sample]

    def of(self, case: str, server: str) -> list[Sample]:
        return [sample for sample in self.samples if (sample.case, sample.server) == (case, server)]

    def values(self, case: str, server: str, figure: str) -> dict[int, float]:
        """The figure by round, of the rounds that have it."""
        return {
            sample.round: sample.figures[figure]
            for sample in self.of(case, server)
            if figure in sample.figures
        }

    def median(self, case: str, server: str, figure: str) -> float | None:
        values = self.values(case, server, figure).values()
        return statistics.median(values) if values else None

    def failure(self, case: str, server: str) -> str | None:
        """Why there is no figure, or not one of each round."""
        return next((sample.failure for sample in self.of(case, server) if sample.failure), None)

    def errors(self, case: str, server: str) -> float:
        """Requests and connections that went wrong, of all rounds."""
        return sum(self.values(case, server, "errors").values())

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read(path: Path) -> Run:
    raw = json.loads(path.read_text())
    return Run(raw["surroundings"], raw["left_out"], [Sample(**each) for each in raw["samples"]])

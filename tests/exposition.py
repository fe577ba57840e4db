"""What Prometheus reads of a scrape: its text format, version 0.0.4, read strictly."""

from __future__ import annotations

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
KINDS = {"counter", "gauge", "histogram"}


class Page:
    """A scrape.

    Attributes:
        kinds: types, by name.
        helps: likewise.
        samples: values by name, and then by labels as a frozen set of pairs.
    """

    def __init__(self, text: str) -> None:
        self.kinds: dict[str, str] = {}
        self.helps: dict[str, str] = {}
        self.samples: dict[str, dict[frozenset, float]] = {}
        assert text.endswith("\n")
        family = ""
        for line in text.removesuffix("\n").split("\n"):
            if line.startswith("#"):
                family = self._describe(line, family)
            else:
                self._sample(line, family)
        assert self.kinds.keys() == self.helps.keys()
        for name, kind in self.kinds.items():
            if kind == "histogram":
                self._judge_histogram(name)

    def __call__(self, metric: str, **labels: str) -> float:
        """The value of a sample."""
        return self.samples[f"granian_{metric}"][frozenset(labels.items())]

    def sum(self, metric: str) -> float:
        """Of all samples of a metric."""
        return sum(self.samples.get(f"granian_{metric}", {}).values())

    def counters(self) -> dict[tuple[str, frozenset], float]:
        """All that must not go backwards."""
        return {
            (name, labels): value
            for name, samples in self.samples.items()
            for labels, value in samples.items()
            if self.kinds.get(name) == "counter" or name.endswith(("_bucket", "_count"))
        }

    def _describe(self, line: str, family: str) -> str:
        """HELP, then TYPE, then all samples of one name, and nothing of it later."""
        _, word, name, rest = line.split(" ", 3)
        assert re.fullmatch(NAME, name)
        if word == "HELP":
            assert name not in self.helps
            assert rest
            assert "\\" not in rest
            self.helps[name] = rest
        else:
            assert (word, name) == ("TYPE", family)
            assert name not in self.kinds
            assert rest in KINDS
            self.kinds[name] = rest
        return name

    def _sample(self, line: str, family: str) -> None:
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, value = match[1], float(match[match.lastindex])
        pairs = re.findall(LABEL, match[2] or "")
        assert len({label for label, _ in pairs}) == len(pairs)
        labels = frozenset(pairs)
        suffixes = ("_bucket", "_sum", "_count") if self.kinds[family] == "histogram" else ("",)
        assert name in {family + suffix for suffix in suffixes}
        of_name = self.samples.setdefault(name, {})
        assert labels not in of_name, f"twice: {line}"
        if self.kinds[family] == "counter":
            assert value >= 0
        of_name[labels] = value

    def _judge_histogram(self, name: str) -> None:
        buckets = {
            float(dict(labels)["le"]): v for labels, v in self.samples[f"{name}_bucket"].items()
        }
        assert list(buckets) == sorted(buckets)
        assert list(buckets.values()) == sorted(buckets.values())
        (count,) = self.samples[f"{name}_count"].values()
        assert buckets[math.inf] == count
        assert len(self.samples[f"{name}_sum"]) == 1

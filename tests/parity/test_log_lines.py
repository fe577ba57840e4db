"""Lines of Granian's that have a meaning here are said in the same words."""

from __future__ import annotations

import ast
import re

import pytest

from granian_d.observe.events import EVENTS
from tests.architecture.source import ROOT
from tests.parity.options import read

LINES = read("log_lines.toml")["line"]

# Fields of the events, as they may be.
SAMPLES = {
    "version": "1.0",
    "pid": 99,
    "worker": 3,
    "generation": 2,
    "workers": 2,
    "address": "http://127.0.0.1:8000",
    "signal": "HUP",
    "meaning": "reload",
    "how": "SIGKILL",
    "traceback": "Traceback",
    "files": "app.py",
}
# What the master gives as a reason.
REASONS = {"worker_due": "it is old enough", "worker_overdue": "refused to gracefully stop"}


def said_in(path: str) -> str:
    """All string constants of a module, one a line; in formatted ones holes are left out."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\n".join(texts)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["granian"])
def test_a_line_is_said_or_it_is_told_why_not(line):
    if "event" not in line:
        assert line["why"].endswith(".")
        return
    sentence = EVENTS[line["event"]][1]
    reason = REASONS.get(line["event"], "")
    if "said_by" in line:
        reason = said_in(line["said_by"])
    text = sentence.format(**SAMPLES, reason=reason)
    words = re.sub(r"\bN\b", "3", re.sub(r"\bP\b", "99", line["granian"]))
    assert words in text


def test_the_reason_of_a_kill_is_the_one_of_the_table():
    assert REASONS["worker_overdue"] in said_in("granian_d/supervisor/settle.py")

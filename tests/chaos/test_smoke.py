"""Some scenarios a few times; `make chaos` plays all of them in full."""

from __future__ import annotations

import pytest

from tests.chaos.report import evidence
from tests.chaos.scenarios import SCENARIOS, play

# One of each kind; what else there is has tests of its own under tests/process.
PLAYED = ("sighup", "canary", "layout", "worker", "requests", "upgrade", "restart", "master")
PRELOADED = ("sighup", "worker")


@pytest.mark.parametrize("name", PLAYED)
def test_nothing_is_lost(name):
    scenario = SCENARIOS[name]
    findings = play(scenario, min(2, *scenario.workers[-1:]), preload=False, quick=True)
    assert findings.good, evidence(findings)
    assert findings.events >= scenario.count[1]


@pytest.mark.parametrize("name", PRELOADED)
def test_nothing_is_lost_behind_a_mold(name):
    findings = play(SCENARIOS[name], 2, preload=True, quick=True)
    assert findings.good, evidence(findings)

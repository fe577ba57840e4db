"""Each scenario a few times; `make chaos` plays them in full."""

from __future__ import annotations

import pytest

from tests.chaos.report import evidence
from tests.chaos.scenarios import SCENARIOS, play

PRELOADED = ("sighup", "canary", "worker")


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost(name):
    scenario = SCENARIOS[name]
    findings = play(scenario, min(2, *scenario.workers[-1:]), preload=False, quick=True)
    assert findings.good, evidence(findings)
    assert findings.events >= scenario.count[1]


@pytest.mark.parametrize("name", PRELOADED)
def test_nothing_is_lost_behind_a_mold(name):
    findings = play(SCENARIOS[name], 2, preload=True, quick=True)
    assert findings.good, evidence(findings)

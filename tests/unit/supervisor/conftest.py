"""Where the stories about the master begin."""

from __future__ import annotations

import pytest

from granian_d.supervisor.vocabulary import (
    Announce,
    Commit,
    PlanMade,
    Spawn,
    StartPlanner,
    Wanted,
    WorkerReady,
)
from tests.unit.supervisor.story import FIRST, FOUR, ONE, SECOND, TERMS, THREE, TWO, Story


@pytest.fixture
def story():
    return Story()


@pytest.fixture
def serving(story):
    """Two workers of generation 1 serve."""
    story.hears(PlanMade(FIRST, TERMS), Spawn(ONE, 1, FIRST), Spawn(TWO, 2, FIRST))
    story.hears(WorkerReady(ONE), Commit(FIRST), Announce("ready"))
    story.hears(WorkerReady(TWO))
    story.waits(60)
    return story


@pytest.fixture
def rolling(serving):
    """A reload is under way: generation 2 has been forked beside generation 1."""
    serving.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    serving.hears(PlanMade(SECOND, TERMS), Spawn(THREE, 1, SECOND), Spawn(FOUR, 2, SECOND))
    return serving

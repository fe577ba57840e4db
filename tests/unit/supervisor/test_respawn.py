"""Whether the dead are replaced, and how long a successor must have served before it is trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from granian_d.supervisor import policy
from granian_d.supervisor.vocabulary import (
    Announce,
    CloseListeners,
    Commit,
    DrainWorker,
    Exit,
    PlanMade,
    Spawn,
    StartPlanner,
    Verdict,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerLeaving,
    WorkerReady,
)
from tests.unit.supervisor.story import FIRST, FOUR, ONE, SECOND, TERMS, THREE, TWO

CLEAN = "exit status 0"


def begins(story, **changes):
    """Two workers of generation 1 serve, under terms of the test's own."""
    terms = replace(TERMS, **changes)
    story.goes(PlanMade(FIRST, terms), WorkerReady(ONE), WorkerReady(TWO))
    story.waits(60)
    return terms


def drained(worker, *, hasty=False):
    return DrainWorker(worker, 30.0, hasty, 30.0)


# --- respawn_failed_workers = false ------------------------------------------------------------


def test_a_death_ends_the_service_in_good_order(story):
    begins(story, respawn=False)
    story.hears(
        WorkerExited(ONE, "SIGSEGV"),
        Announce("stopping"),
        CloseListeners(),
        drained(TWO, hasty=True),
    )
    reported = story.reported("worker_not_replaced")
    assert (reported["worker"], reported["reason"]) == (1, "worker-1 ended with SIGSEGV")
    story.hears(WorkerExited(TWO, CLEAN), Exit(1))


def test_a_death_before_an_announced_stop_begins_it_at_once(story):
    begins(story, respawn=False, drain_delay_s=10.0)
    story.goes(Wanted("stop"))
    story.hears(WorkerExited(ONE, "SIGSEGV"), CloseListeners(), drained(TWO, hasty=True))
    story.hears(WorkerExited(TWO, CLEAN), Exit(1))


def test_who_leaves_in_good_order_is_replaced(story):
    begins(story, respawn=False)
    story.hears(WorkerLeaving(ONE), Spawn(THREE, 1, FIRST))
    story.hears(WorkerReady(THREE), drained(ONE))
    story.hears(WorkerExited(ONE, CLEAN))


def test_a_reload_that_fails_costs_the_candidate_only(story):
    terms = begins(story, respawn=False)
    story.goes(Wanted("reload"), PlanMade(SECOND, terms))
    story.goes(WorkerFailed(THREE, "no", 70), WorkerExited(THREE, "exit status 70"))
    assert story.roster.phase == "serving"
    assert story.roster.complete(FIRST)


def test_one_that_could_not_start_behind_the_first_is_a_death(story):
    story.goes(PlanMade(FIRST, replace(TERMS, respawn=False)), WorkerReady(ONE))
    story.goes(WorkerFailed(TWO, "no\nTraceback", 70), WorkerExited(TWO, "exit status 70"))
    assert story.reported("worker_not_replaced")["reason"] == "no"
    story.hears(WorkerExited(ONE, CLEAN), Exit(policy.EXIT_BEREFT))


# --- respawn_interval --------------------------------------------------------------------------


@pytest.fixture
def rolled(story):
    """Both workers of generation 2 serve since now."""
    terms = begins(story, respawn_interval_s=5.0)
    story.goes(Wanted("reload"), PlanMade(SECOND, terms), WorkerReady(THREE))
    story.waits(1)
    story.hears(WorkerReady(FOUR), Commit(SECOND))
    return story


def test_the_old_serve_on_for_the_interval_and_so_long_the_reload_lasts(rolled):
    rolled.waits(3)
    rolled.waits(1, drained(ONE))  # its successor was ready a second before the other
    rolled.waits(1, drained(TWO))
    rolled.hears(WorkerClosed(ONE))
    rolled.hears(WorkerClosed(TWO), Announce("ready"), Verdict(1, 0, ""))


def test_a_successor_that_dies_in_the_interval_is_stood_in_for(rolled):
    rolled.hears(WorkerExited(THREE, "SIGSEGV"), Spawn(5, 1, SECOND))
    rolled.waits(5, drained(TWO))
    rolled.hears(WorkerReady(5))
    rolled.waits(5, drained(ONE))


def test_a_stop_waits_for_no_interval(rolled):
    everybody = [drained(number, hasty=True) for number in (ONE, TWO, THREE, FOUR)]
    rolled.hears(
        Wanted("stop"), Announce("stopping"), Verdict(1, 0, ""), CloseListeners(), *everybody
    )


def test_a_roll_with_a_small_surge_goes_in_intervals(story):
    terms = begins(story, respawn_interval_s=5.0, surge=1)
    story.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    story.hears(PlanMade(SECOND, terms), Spawn(THREE, 1, SECOND))
    story.hears(WorkerReady(THREE))
    story.waits(4)
    story.waits(1, drained(ONE))
    story.hears(WorkerExited(ONE, CLEAN), Spawn(FOUR, 2, SECOND))


def test_a_worker_that_is_due_goes_when_its_successor_has_served_for_the_interval(story):
    begins(story, respawn_interval_s=5.0)
    story.hears(WorkerLeaving(ONE), Spawn(THREE, 1, FIRST))
    story.hears(WorkerReady(THREE))
    story.waits(4)
    story.waits(1, drained(ONE))

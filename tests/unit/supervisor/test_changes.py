"""Stories: canaries, generations that drain, announced stops, upgrades, verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from granian_d.supervisor.decide import resume
from granian_d.supervisor.vocabulary import (
    Announce,
    CheckPassed,
    CloseListeners,
    Commit,
    Discard,
    DrainWorker,
    Exit,
    KillWorker,
    PlanFailed,
    PlanMade,
    ShowHealth,
    Spawn,
    StartCheck,
    StartPlanner,
    StopPlanner,
    Upgrade,
    UpgradeFailed,
    Verdict,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)
from tests.unit.supervisor.story import (
    FIRST,
    FIVE,
    FOUR,
    ONE,
    SECOND,
    SEVEN,
    SIX,
    TERMS,
    THIRD,
    THREE,
    TWO,
    Story,
)

CAREFUL = replace(TERMS, canary=True)
CLEAN = "exit status 0"


def begins(terms):
    """A service of these terms, and its old age."""
    story = Story()
    story.goes(PlanMade(FIRST, terms), WorkerReady(ONE), WorkerReady(TWO))
    story.waits(60)
    return story


def drained(worker, budget_s=30.0, stream_s=30.0, **how):
    return DrainWorker(worker, budget_s, **{"hasty": False, "stream_s": stream_s, **how})


# --- canaries ----------------------------------------------------------------------------------


def test_a_canary_serves_before_the_others_are_started(serving):
    serving.goes(Wanted("reload"))
    serving.hears(PlanMade(SECOND, CAREFUL), Spawn(THREE, 1, SECOND))
    serving.hears(WorkerReady(THREE), Spawn(FOUR, 2, SECOND))
    serving.hears(WorkerReady(FOUR), Commit(SECOND), drained(ONE), drained(TWO))


def test_a_canary_that_fails_is_all_that_fails(serving):
    serving.goes(Wanted("reload"), PlanMade(SECOND, CAREFUL))
    reason = "importing app failed: ValueError: x\nTraceback ..."
    serving.hears(WorkerFailed(THREE, reason, 70))
    serving.hears(
        WorkerExited(THREE, "exit status 70"),
        Discard(SECOND),
        Announce("ready"),
        Verdict(1, 70, reason),  # all of it, for whoever asked
    )
    assert serving.roster.last_failure == "importing app failed: ValueError: x"
    assert serving.roster.complete(FIRST)


def test_a_canary_that_is_killed_has_a_verdict_too(serving):
    serving.goes(Wanted("reload"), PlanMade(SECOND, CAREFUL))
    reason = "worker-1 ended with SIGKILL"
    serving.hears(
        WorkerExited(THREE, "SIGKILL"), Discard(SECOND), Announce("ready"), Verdict(1, 70, reason)
    )


def test_the_first_start_has_no_canary():
    story = Story()
    story.hears(PlanMade(FIRST, CAREFUL), Spawn(ONE, 1, FIRST), Spawn(TWO, 2, FIRST))


# --- generations that drain --------------------------------------------------------------------


def test_a_generation_waits_for_the_oldest_of_too_many(serving):
    few = replace(TERMS, workers=1, generations=1, stream_timeout_s=3600.0)
    serving.goes(Wanted("reload"), PlanMade(SECOND, few), WorkerReady(THREE))
    serving.goes(WorkerClosed(ONE), WorkerClosed(TWO), WorkerExited(TWO, CLEAN))
    serving.now += 10
    serving.goes(Wanted("reload"))
    # One of the first generation drains still: before the second may, it is told to come to an end.
    serving.hears(PlanMade(THIRD, few), drained(ONE, 20.0, 20.0))
    serving.hears(WorkerReady(THREE))
    serving.hears(WorkerExited(ONE, CLEAN), Spawn(FOUR, 1, THIRD))
    serving.hears(WorkerReady(FOUR), Commit(THIRD), drained(THREE, 30.0, 3600.0))


def test_streams_have_a_budget_of_their_own():
    story = begins(replace(TERMS, drain_timeout_s=5.0, stream_timeout_s=600.0))
    story.goes(Wanted("reload"), PlanMade(SECOND, TERMS), WorkerReady(THREE))
    story.hears(
        WorkerReady(FOUR), Commit(SECOND), drained(ONE, 5.0, 600.0), drained(TWO, 5.0, 600.0)
    )
    story.goes(WorkerClosed(ONE), WorkerClosed(TWO))
    story.waits(599)
    story.waits(1, KillWorker(ONE, "KILL"), KillWorker(TWO, "KILL"))


# --- the end, announced ------------------------------------------------------------------------


@pytest.fixture
def leaving():
    story = begins(replace(TERMS, drain_delay_s=10.0))
    assert story.goes(Wanted("stop")) == [Announce("stopping"), ShowHealth("leaving")]
    return story


def test_a_stop_is_announced_before_it_begins(leaving):
    leaving.waits(9)
    leaving.waits(1, CloseListeners(), drained(ONE, hasty=True), drained(TWO, hasty=True))


def test_who_dies_meanwhile_is_replaced(leaving):
    leaving.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(THREE, 1, FIRST))


@pytest.mark.parametrize("intent", ["reload", "upgrade", "scale"])
def test_nothing_new_is_begun_meanwhile(leaving, intent):
    leaving.hears(Wanted(intent, 5))


def test_a_second_stop_ends_the_wait(leaving):
    leaving.hears(
        Wanted("stop"), CloseListeners(), drained(ONE, hasty=True), drained(TWO, hasty=True)
    )


def test_a_reload_under_way_is_given_up():
    story = begins(replace(TERMS, drain_delay_s=10.0))
    story.goes(Wanted("reload"), PlanMade(SECOND, CAREFUL))
    story.hears(
        Wanted("stop"),
        Announce("stopping"),
        Discard(SECOND),
        Verdict(1, 75, "the service stops"),
        KillWorker(THREE, "KILL"),
    )


# --- upgrades ----------------------------------------------------------------------------------


def test_an_upgrade_ends_with_a_reload_by_the_new_code(serving):
    serving.hears(Wanted("upgrade"), Announce("reloading"), StartCheck())
    serving.hears(CheckPassed(), Upgrade())
    serving.roster, commands = resume(serving.roster, serving.now)
    assert commands[-1:] == [StartPlanner()]
    serving.goes(PlanMade(SECOND, TERMS), WorkerReady(THREE), WorkerReady(FOUR))
    serving.hears(WorkerClosed(ONE))
    serving.hears(WorkerClosed(TWO), Announce("ready"), Verdict(1, 0, ""))


@pytest.mark.parametrize("passed", [[], [CheckPassed()]], ids=["refused", "not executed"])
def test_an_upgrade_that_fails_changes_nothing(serving, passed):
    serving.goes(Wanted("upgrade"), *passed)
    reason = "importing granian_d failed"
    serving.hears(UpgradeFailed(reason, 70), Announce("ready"), Verdict(1, 70, reason))
    assert serving.reported("upgrade_failed") == {"generation": FIRST, "reason": reason}
    assert serving.roster.complete(FIRST)


def test_an_upgrade_that_hangs(serving):
    serving.goes(Wanted("upgrade"))
    reason = "the new granian-d did not start in 60 s"
    serving.waits(60, StopPlanner(), Announce("ready"), Verdict(1, 75, reason))


def test_an_upgrade_waits_for_the_reload_before_it(rolling):
    rolling.goes(Wanted("upgrade"))
    assert rolling.roster.awaited == 2
    rolling.goes(WorkerReady(THREE), WorkerReady(FOUR), WorkerClosed(ONE))
    rolling.hears(
        WorkerClosed(TWO), Announce("ready"), Verdict(1, 0, ""), Announce("reloading"), StartCheck()
    )


def test_a_reload_during_an_upgrade_is_done_by_its_own(serving):
    serving.goes(Wanted("upgrade"), Wanted("reload"))
    wanted = serving.roster.awaited
    serving.goes(CheckPassed())
    serving.roster, _ = resume(serving.roster, serving.now)
    assert serving.roster.change == wanted
    assert not serving.roster.reload_again


def test_a_reload_during_an_upgrade_that_fails_comes_after_it(serving):
    serving.goes(Wanted("upgrade"), Wanted("reload"))
    serving.hears(
        UpgradeFailed("no", 70),
        Announce("ready"),
        Verdict(1, 70, "no"),
        Announce("reloading"),
        StartPlanner(),
    )


def test_a_stop_during_an_upgrade(serving):
    serving.goes(Wanted("upgrade"))
    assert StopPlanner() in serving.goes(Wanted("stop"))
    serving.hears(CheckPassed())  # too late
    serving.goes(WorkerExited(ONE, CLEAN))
    serving.hears(WorkerExited(TWO, CLEAN), Exit(0))


# --- what is remembered ------------------------------------------------------------------------


def test_deaths_are_remembered_the_last_five_of_them(serving):
    for worker in range(3, 9):
        serving.goes(
            WorkerExited(max(serving.roster.workers), f"exit status {worker}", 4700 + worker)
        )
        serving.now += 60
        serving.goes(*(WorkerReady(number) for number in serving.roster.workers))
    deaths = serving.roster.deaths
    assert [death.how for death in deaths] == [f"exit status {n}" for n in range(4, 9)]
    assert [death.pid for death in deaths] == [4704, 4705, 4706, 4707, 4708]


def test_who_left_in_good_order_is_not_among_them(rolling):
    rolling.goes(WorkerReady(THREE), WorkerReady(FOUR), WorkerExited(ONE, CLEAN, 4711))
    assert rolling.roster.deaths == ()


def test_a_crash_loop_is_no_good_health(serving):
    assert ShowHealth("degraded") not in serving.goes(WorkerExited(ONE, "SIGSEGV"))
    assert ShowHealth("degraded") in serving.goes(WorkerExited(THREE, "SIGSEGV"))
    serving.waits(0.5, Spawn(FOUR, 1, FIRST))
    assert serving.goes(WorkerReady(FOUR)) == [ShowHealth("well")]


def test_the_outcome_of_the_last_change_is_remembered(serving):
    serving.goes(Wanted("reload"), PlanFailed("app.toml:1: no", 78))
    outcome = serving.roster.outcome
    assert (outcome.change, outcome.exit_code, outcome.reason) == (1, 78, "app.toml:1: no")


def test_numbers_go_on(serving):
    """Nobody waits for a change that has the number of an older one."""
    for _ in range(3):
        serving.goes(Wanted("reload"), PlanFailed("no", 78))
    assert serving.roster.change == 3
    assert (serving.roster.last_worker,) < (FIVE, SIX, SEVEN)

"""The master's life as stories: what happens, and what it does about it.

The words of a story are explained in story.py. Read from the top, this is what the daemon does. That no other order of events breaks the rules is
proved in tests/property/test_decide.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from granian_d.supervisor import policy
from granian_d.supervisor.vocabulary import (
    Announce,
    CloseListeners,
    Commit,
    Discard,
    DrainWorker,
    Exit,
    KillWorker,
    PlanFailed,
    PlanMade,
    ReopenLogs,
    Report,
    Spawn,
    StartPlanner,
    StopPlanner,
    Verdict,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)
from tests.unit.supervisor.story import FIRST, FIVE, FOUR, ONE, SECOND, TERMS, THREE, TWO

# --- the first start -----------------------------------------------------------------------------


def test_first_start(story):
    assert story.commands == [StartPlanner()]
    story.hears(PlanMade(FIRST, TERMS), Spawn(ONE, 1, FIRST), Spawn(TWO, 2, FIRST))
    # One worker answers every request, so the service is there with the first of them.
    story.hears(WorkerReady(TWO), Commit(FIRST), Announce("ready"))
    assert story.reported("ready") == {"generation": 1, "workers": 2}
    story.hears(WorkerReady(ONE))


def test_first_start_with_a_bad_configuration(story):
    story.hears(
        PlanFailed("app.toml line 3: no", 78), Announce("stopping"), CloseListeners(), Exit(78)
    )
    assert story.reported("boot_failed") == {"reason": "app.toml line 3: no"}


def test_help_is_no_failure(story):
    story.hears(PlanFailed("", 0), Announce("stopping"), CloseListeners(), Exit(0))
    assert not story.said


def test_first_start_of_an_application_that_cannot_be_imported(story):
    story.hears(PlanMade(FIRST, TERMS), Spawn(ONE, 1, FIRST), Spawn(TWO, 2, FIRST))
    story.hears(WorkerFailed(ONE, "there is no module 'app'\nTraceback ...", 70))
    assert story.reported("worker_failed")["reason"].endswith("Traceback ...")
    story.hears(
        WorkerExited(ONE, "exit status 70"),
        Discard(FIRST),
        Announce("stopping"),
        CloseListeners(),
        KillWorker(TWO, "KILL"),
    )
    assert story.reported("boot_failed") == {"reason": "there is no module 'app'"}
    story.hears(WorkerExited(TWO, "SIGKILL"), Exit(70))


def test_first_start_that_hangs(story):
    story.hears(PlanMade(FIRST, TERMS), Spawn(ONE, 1, FIRST), Spawn(TWO, 2, FIRST))
    story.waits(59)
    story.waits(1, KillWorker(ONE, "ABRT"), KillWorker(TWO, "ABRT"))  # their stacks tell where
    story.waits(policy.DUMP_GRACE_S, KillWorker(ONE, "KILL"), KillWorker(TWO, "KILL"))
    story.hears(
        WorkerExited(ONE, "SIGKILL"),
        Discard(FIRST),
        Announce("stopping"),
        CloseListeners(),
    )
    story.hears(WorkerExited(TWO, "SIGKILL"), Exit(70))
    assert story.reported("boot_failed") == {"reason": "worker-1 was not ready in 60 s"}


def test_a_planner_that_hangs(story):
    story.waits(policy.PLANNER_TIMEOUT_S - 1)
    story.waits(1, StopPlanner(), Announce("stopping"), CloseListeners(), Exit(75))


# --- crashes ---------------------------------------------------------------------------------------


def test_a_crash_is_answered_at_once(serving):
    serving.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(THREE, 1, FIRST))
    assert serving.reported("worker_died") == {
        "worker": 1,
        "generation": 1,
        "number": ONE,
        "how": "SIGSEGV",
    }
    serving.hears(WorkerReady(THREE))


def test_a_crash_loop_slows_down_while_the_other_worker_serves(serving):
    serving.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(THREE, 1, FIRST))
    serving.hears(WorkerExited(THREE, "SIGSEGV"))  # the second time in a row
    assert serving.reported("worker_backoff")["delay_s"] == policy.FIRST_DELAY_S
    serving.waits(policy.FIRST_DELAY_S / 2)
    serving.waits(policy.FIRST_DELAY_S / 2, Spawn(FOUR, 1, FIRST))
    serving.hears(WorkerExited(FOUR, "SIGSEGV"))
    assert serving.reported("worker_backoff")["delay_s"] == 2 * policy.FIRST_DELAY_S


def test_who_served_for_a_while_owes_its_death_to_something_new(serving):
    serving.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(THREE, 1, FIRST))
    serving.hears(WorkerReady(THREE))
    serving.now += policy.STABLE_S
    serving.hears(WorkerExited(THREE, "SIGSEGV"), Spawn(FOUR, 1, FIRST))


def test_a_worker_without_progress_is_dumped_and_replaced(serving):
    beats = {ONE: serving.now, TWO: serving.now}
    serving.waits(10, beats=beats)
    beats[TWO] = serving.now
    # Its stacks are written while its successor starts: there is room for both.
    serving.waits(1, KillWorker(ONE, "ABRT"), Spawn(THREE, 1, FIRST), beats=beats)
    assert serving.reported("worker_stalled")["stall_s"] == 11
    serving.hears(WorkerExited(ONE, "SIGABRT"))
    serving.hears(WorkerReady(THREE))


# --- reloads -----------------------------------------------------------------------------------------


def test_reload(rolling):
    rolling.hears(WorkerReady(THREE))  # the old ones serve until all of the new ones do
    rolling.hears(
        WorkerReady(FOUR),
        Commit(SECOND),
        DrainWorker(ONE, 30.0, False, 30.0),
        DrainWorker(TWO, 30.0, False, 30.0),
    )
    rolling.hears(WorkerClosed(ONE))
    done = Verdict(1, 0, "")
    rolling.hears(
        WorkerClosed(TWO), Announce("ready"), done
    )  # now every connection meets the new code
    rolling.hears(WorkerExited(ONE, "exit status 0"))
    rolling.hears(WorkerExited(TWO, "exit status 0"))
    assert rolling.reported("reload_done") == {"generation": 2, "workers": 2}


def test_reload_with_a_bad_configuration_starts_nothing(serving):
    no = Verdict(1, 78, "app.toml line 3: no")
    serving.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    serving.hears(PlanFailed("app.toml line 3: no", 78), Announce("ready"), no)
    assert serving.reported("reload_failed") == {"generation": 1, "reason": "app.toml line 3: no"}
    assert serving.roster.complete(FIRST)


def test_reload_of_an_application_that_raises_leaves_the_old_one_untouched(rolling):
    rolling.hears(WorkerReady(FOUR))
    rolling.hears(WorkerFailed(THREE, "importing app failed: ValueError: x", 70))
    rolling.hears(
        WorkerExited(THREE, "exit status 70"),
        Discard(SECOND),
        DrainWorker(FOUR, 30.0, False, 30.0),  # it may have taken connections already
    )
    no = Verdict(1, 70, "importing app failed: ValueError: x")
    rolling.hears(WorkerClosed(FOUR), Announce("ready"), no)
    rolling.hears(WorkerExited(FOUR, "exit status 0"))
    assert rolling.reported("reload_failed")["reason"] == "importing app failed: ValueError: x"
    assert rolling.roster.complete(FIRST)


def test_reload_that_hangs_is_given_up_at_its_deadline(rolling):
    rolling.hears(WorkerReady(THREE))
    rolling.waits(60, KillWorker(FOUR, "ABRT"))
    rolling.hears(
        WorkerExited(FOUR, "SIGABRT"), Discard(SECOND), DrainWorker(THREE, 30.0, False, 30.0)
    )
    assert rolling.reported("reload_failed")["reason"] == "worker-2 was not ready in 60 s"


def test_a_later_reload_supersedes_the_earlier_one(rolling):
    """It reads what the earlier one has read, or something newer; whoever waits, waits for it."""
    rolling.hears(WorkerReady(THREE))
    rolling.hears(
        Wanted("reload"),
        Discard(SECOND),
        Announce("reloading"),
        StartPlanner(),
        DrainWorker(THREE, 30.0, hasty=False, stream_s=30.0),  # it may have connections already
        KillWorker(FOUR, "KILL"),
    )
    assert rolling.roster.awaited == 2
    rolling.hears(Wanted("reload"), StopPlanner(), Announce("reloading"), StartPlanner())
    rolling.hears(WorkerClosed(THREE))
    rolling.hears(PlanFailed("no", 78), Announce("ready"), Verdict(3, 78, "no"))


def test_a_reload_at_the_end_of_a_reload_follows_it(rolling):
    """Nothing is left to be given up: the earlier one has taken effect."""
    rolling.hears(WorkerReady(THREE))
    rolling.hears(
        WorkerReady(FOUR),
        Commit(SECOND),
        DrainWorker(ONE, 30.0, hasty=False, stream_s=30.0),
        DrainWorker(TWO, 30.0, hasty=False, stream_s=30.0),
    )
    rolling.hears(Wanted("reload"))
    assert rolling.roster.awaited == 2
    rolling.hears(WorkerClosed(ONE))
    rolling.hears(
        WorkerClosed(TWO),
        Announce("ready"),
        Verdict(1, 0, ""),
        Announce("reloading"),
        StartPlanner(),
    )


def test_a_crash_of_the_old_generation_during_a_reload(rolling):
    """Its right to replace its dead stays, as long as nobody stands in for them."""
    rolling.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(FIVE, 1, FIRST))


def test_reload_with_a_small_surge_goes_slot_by_slot(serving):
    small = replace(TERMS, surge=1)
    serving.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    serving.hears(PlanMade(SECOND, small), Spawn(THREE, 1, SECOND))
    serving.hears(WorkerReady(THREE), DrainWorker(ONE, 30.0, False, 30.0))
    serving.hears(WorkerExited(ONE, "exit status 0"), Spawn(FOUR, 2, SECOND))
    serving.hears(WorkerReady(FOUR), Commit(SECOND), DrainWorker(TWO, 30.0, False, 30.0))
    serving.hears(WorkerClosed(TWO), Announce("ready"), Verdict(1, 0, ""))


def test_a_surplus_worker_gives_its_place_to_a_roll_that_has_no_other(serving):
    small = replace(TERMS, surge=1)
    serving.hears(Wanted("grow"), Spawn(THREE, 3, FIRST))
    serving.hears(WorkerReady(THREE))
    serving.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    serving.hears(PlanMade(SECOND, small), Spawn(FOUR, 1, SECOND))
    serving.hears(WorkerReady(FOUR), DrainWorker(ONE, 30.0, False, 30.0))
    serving.hears(Wanted("shrink"))  # there is room for one less from here on
    serving.hears(WorkerExited(ONE, "exit status 0"), DrainWorker(THREE, 30.0, False, 30.0))
    serving.hears(WorkerExited(THREE, "exit status 0"), Spawn(FIVE, 2, SECOND))


def test_a_reload_to_fewer_workers(serving):
    serving.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    serving.hears(PlanMade(SECOND, replace(TERMS, workers=1)), Spawn(THREE, 1, SECOND))
    serving.hears(
        WorkerReady(THREE),
        Commit(SECOND),
        DrainWorker(ONE, 30.0, False, 30.0),
        DrainWorker(TWO, 30.0, False, 30.0),
    )


# --- stopping ------------------------------------------------------------------------------------------


def test_stop(serving):
    serving.hears(
        Wanted("stop"),
        Announce("stopping"),  # before anything else
        CloseListeners(),
        DrainWorker(ONE, 30.0, hasty=True, stream_s=30.0),
        DrainWorker(TWO, 30.0, hasty=True, stream_s=30.0),
    )
    serving.hears(WorkerExited(ONE, "exit status 0"))
    serving.hears(WorkerExited(TWO, "exit status 0"), Exit(0))
    assert serving.said[-1] == Report("stopped", {})


@pytest.mark.parametrize("again", ["stop", "quit"])
def test_a_second_stop_is_at_once(serving, again):
    test_the_first_half_of_a_stop(serving)
    serving.hears(Wanted(again), KillWorker(ONE, "KILL"), KillWorker(TWO, "KILL"))
    serving.hears(WorkerExited(TWO, "SIGKILL"))
    serving.hears(WorkerExited(ONE, "SIGKILL"), Exit(0))


def test_the_first_half_of_a_stop(serving):
    serving.hears(
        Wanted("stop"),
        Announce("stopping"),
        CloseListeners(),
        DrainWorker(ONE, 30.0, hasty=True, stream_s=30.0),
        DrainWorker(TWO, 30.0, hasty=True, stream_s=30.0),
    )


def test_quit_does_not_drain(serving):
    serving.hears(
        Wanted("quit"),
        Announce("stopping"),
        CloseListeners(),
        KillWorker(ONE, "KILL"),
        KillWorker(TWO, "KILL"),
    )


def test_a_stop_ends_though_a_worker_does_not(serving):
    test_the_first_half_of_a_stop(serving)
    serving.hears(WorkerExited(ONE, "exit status 0"))
    serving.waits(30, KillWorker(TWO, "KILL"))
    serving.waits(policy.REAP_GRACE_S, KillWorker(TWO, "KILL"), Exit(0))
    assert serving.reported("stop_overdue") == {"workers": 1}


def test_a_stop_during_a_reload_takes_both_generations(rolling):
    rolling.hears(WorkerReady(THREE))
    rolling.hears(
        Wanted("stop"),
        Announce("stopping"),
        Verdict(1, 75, "the service stops"),
        CloseListeners(),
        DrainWorker(ONE, 30.0, hasty=True, stream_s=30.0),
        DrainWorker(TWO, 30.0, hasty=True, stream_s=30.0),
        DrainWorker(THREE, 30.0, hasty=True, stream_s=30.0),
        KillWorker(FOUR, "KILL"),  # it has nothing to finish
    )


def test_a_stop_during_planning(serving):
    serving.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    serving.hears(
        Wanted("stop"),
        Announce("stopping"),
        StopPlanner(),
        Verdict(1, 75, "the service stops"),
        CloseListeners(),
        DrainWorker(ONE, 30.0, hasty=True, stream_s=30.0),
        DrainWorker(TWO, 30.0, hasty=True, stream_s=30.0),
    )
    serving.hears(PlanMade(SECOND, TERMS))  # too late


def test_a_stop_makes_a_drain_under_way_hasty(rolling):
    rolling.hears(WorkerReady(THREE))
    rolling.hears(
        WorkerReady(FOUR),
        Commit(SECOND),
        DrainWorker(ONE, 30.0, False, 30.0),
        DrainWorker(TWO, 30.0, False, 30.0),
    )
    rolling.hears(WorkerExited(TWO, "exit status 0"))
    rolling.now += 20
    rolling.hears(
        Wanted("stop"),
        Announce("stopping"),
        Verdict(1, 0, ""),  # the new code serves, and does so to the end
        CloseListeners(),
        DrainWorker(ONE, 10.0, True, 10.0),  # what is left of its budget
        DrainWorker(THREE, 30.0, hasty=True, stream_s=30.0),
        DrainWorker(FOUR, 30.0, hasty=True, stream_s=30.0),
    )


# --- scaling and the rest --------------------------------------------------------------------------------


def test_one_worker_more(serving):
    serving.hears(Wanted("grow"), Spawn(THREE, 3, FIRST))
    assert serving.reported("scaled") == {"workers": 3}


def test_one_worker_less(serving):
    serving.hears(Wanted("shrink"), DrainWorker(TWO, 30.0, False, 30.0))
    serving.hears(WorkerExited(TWO, "exit status 0"))  # and nobody follows
    assert serving.reported("worker_stopped")["worker"] == 2


def test_the_last_worker_stays(serving):
    serving.hears(Wanted("shrink"), DrainWorker(TWO, 30.0, False, 30.0))
    serving.hears(Wanted("shrink"))
    assert serving.reported("scaled") == {"workers": 1}


def test_a_reload_forgets_what_was_scaled(serving):
    serving.hears(Wanted("grow"), Spawn(THREE, 3, FIRST))
    serving.hears(WorkerReady(THREE))
    serving.hears(Wanted("reload"), Announce("reloading"), StartPlanner())
    serving.hears(PlanMade(SECOND, TERMS), Spawn(FOUR, 1, SECOND), Spawn(FIVE, 2, SECOND))


def test_reopening_logs_changes_nothing_else(serving):
    before = serving.roster
    serving.hears(Wanted("reopen"), ReopenLogs())
    assert serving.roster == before


def test_after_the_end_nothing_happens(serving):
    test_stop(serving)
    serving.hears(Wanted("reload"))
    serving.hears(WorkerReady(ONE))
    serving.waits(1000)

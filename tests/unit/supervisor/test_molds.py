"""Stories: a mold imports the application, its workers are forked from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from granian_d.supervisor import policy
from granian_d.supervisor.vocabulary import (
    Announce,
    CloseListeners,
    Commit,
    Discard,
    DismissMold,
    DrainWorker,
    Exit,
    KillWorker,
    MoldExited,
    MoldFailed,
    MoldReady,
    PlanMade,
    Spawn,
    StartMold,
    Verdict,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)
from tests.unit.supervisor.story import FIRST, SECOND, TERMS, Story

TERMS = replace(TERMS, preload=True, refork_after=1000)
MOLD, ONE, TWO, NEXT, THREE, FOUR, FIVE = range(1, 8)  # children in the order of their birth
DRAINED = {"budget_s": 30.0, "hasty": False, "stream_s": 30.0}


@pytest.fixture
def molded():
    """Two workers of a mold serve."""
    story = Story()
    story.hears(PlanMade(FIRST, TERMS), StartMold(MOLD, FIRST))
    story.hears(MoldReady(MOLD), Spawn(ONE, 1, FIRST, MOLD), Spawn(TWO, 2, FIRST, MOLD))
    story.hears(WorkerReady(ONE), Commit(FIRST), Announce("ready"))
    story.hears(WorkerReady(TWO))
    story.waits(60)
    return story


def test_the_dead_are_replaced_from_memory(molded):
    molded.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(NEXT, 1, FIRST, MOLD))


def test_an_application_that_cannot_be_imported_ends_the_start():
    story = Story()
    story.goes(PlanMade(FIRST, TERMS), MoldFailed(MOLD, "no module\nTraceback", 70))
    story.hears(
        MoldExited(MOLD, "exit status 70"),
        Discard(FIRST),
        Announce("stopping"),
        CloseListeners(),
        Exit(70),
    )
    assert story.reported("boot_failed") == {"reason": "no module"}


def test_a_reload_makes_a_new_mold_and_keeps_the_old_one_until_it_serves(molded):
    molded.goes(Wanted("reload"))
    molded.hears(PlanMade(SECOND, TERMS), StartMold(NEXT, SECOND))
    molded.hears(MoldReady(NEXT), Spawn(THREE, 1, SECOND, NEXT), Spawn(FOUR, 2, SECOND, NEXT))
    molded.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(FIVE, 1, FIRST, MOLD))
    molded.hears(WorkerReady(THREE))
    molded.hears(
        WorkerReady(FOUR),
        Commit(SECOND),
        DrainWorker(TWO, **DRAINED),
        KillWorker(FIVE, "KILL"),
        DismissMold(MOLD),
    )
    molded.hears(MoldExited(MOLD, "exit status 0"))


def test_a_reload_that_fails_leaves_the_old_mold(molded):
    molded.goes(Wanted("reload"), PlanMade(SECOND, TERMS), MoldFailed(NEXT, "no", 70))
    molded.hears(
        MoldExited(NEXT, "exit status 70"), Discard(SECOND), Announce("ready"), Verdict(1, 70, "no")
    )
    molded.hears(WorkerExited(ONE, "SIGSEGV"), Spawn(THREE, 1, FIRST, MOLD))


def test_a_mold_that_hangs_is_dumped(molded):
    molded.goes(Wanted("reload"), PlanMade(SECOND, TERMS))
    molded.waits(60, KillWorker(NEXT, "ABRT"))
    reason = "the mold was not ready in 60 s"
    molded.hears(
        MoldExited(NEXT, "SIGABRT"), Discard(SECOND), Announce("ready"), Verdict(1, 70, reason)
    )


def test_a_mold_that_dies_is_made_again(molded):
    molded.hears(MoldExited(MOLD, "SIGKILL", 4711), StartMold(NEXT, FIRST))
    assert molded.roster.deaths[-1].pid == 4711
    molded.hears(WorkerExited(ONE, "SIGSEGV"))
    molded.hears(MoldReady(NEXT), Spawn(THREE, 1, FIRST, NEXT))


def test_molds_that_keep_dying_are_made_ever_more_slowly(molded):
    molded.goes(MoldExited(MOLD, "SIGKILL"))
    molded.hears(MoldExited(NEXT, "SIGKILL"))
    molded.waits(policy.FIRST_DELAY_S, StartMold(THREE, FIRST))


def test_a_stop_takes_the_mold_along(molded):
    stopped = {**DRAINED, "hasty": True}
    molded.hears(
        Wanted("stop"),
        Announce("stopping"),
        CloseListeners(),
        DrainWorker(ONE, **stopped),
        DrainWorker(TWO, **stopped),
        DismissMold(MOLD),
    )
    molded.goes(WorkerExited(ONE, "exit status 0"), WorkerExited(TWO, "exit status 0"))
    molded.hears(MoldExited(MOLD, "exit status 0"), Exit(0))


# --- a worker becomes the mold -----------------------------------------------------------------


@pytest.fixture
def reforked(molded):
    """The first worker has seen its requests, was drained, and is the mold now."""
    molded.sees_each({ONE: {"requests": 1000}}, Spawn(NEXT, 1, FIRST, MOLD))
    molded.hears(WorkerReady(NEXT), DrainWorker(ONE, **DRAINED, heir=True))
    molded.hears(WorkerClosed(ONE))
    molded.hears(MoldReady(ONE))
    return molded


def test_the_others_follow_one_by_one(reforked):
    """Its memory is shared only with those whom it has forked."""
    # It is younger than the first mold; so are those whom it forks.
    assert reforked.roster.mold(FIRST).number == ONE
    reforked.sees(Spawn(THREE, 2, FIRST, ONE))
    reforked.hears(WorkerReady(THREE), DrainWorker(TWO, **DRAINED), DismissMold(MOLD))
    reforked.sees(Spawn(FOUR, 1, FIRST, ONE))


def test_it_is_done_once_for_each_generation(reforked):
    reforked.sees(Spawn(THREE, 2, FIRST, ONE))
    reforked.goes(WorkerReady(THREE), WorkerExited(TWO, "exit status 0"))
    reforked.sees(Spawn(FOUR, 1, FIRST, ONE))
    reforked.goes(WorkerReady(FOUR), WorkerExited(NEXT, "exit status 0"))
    reforked.sees(requests=5000)


def test_an_heir_of_whom_nobody_can_be_born_is_given_up(reforked):
    reforked.sees(Spawn(THREE, 2, FIRST, ONE))
    reforked.hears(WorkerFailed(THREE, "the pool is closed", 70))
    reforked.hears(
        WorkerExited(THREE, "exit status 70"), DismissMold(ONE), Spawn(FOUR, 2, FIRST, MOLD)
    )
    assert reforked.reported("mold_refused")["generation"] == FIRST


def test_an_heir_that_cannot_be_a_mold_just_leaves(molded):
    molded.goes()
    molded.sees_each({ONE: {"requests": 1000}}, Spawn(NEXT, 1, FIRST, MOLD))
    molded.hears(WorkerReady(NEXT), DrainWorker(ONE, **DRAINED, heir=True))
    molded.hears(WorkerExited(ONE, "exit status 0"))
    molded.sees(requests=5000)

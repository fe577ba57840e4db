"""Stories: who is replaced though nothing is wrong, who is because something is, and how many serve."""

from __future__ import annotations

from dataclasses import replace

import pytest

from granian_d.supervisor import policy
from granian_d.supervisor.vocabulary import (
    Announce,
    CloseListeners,
    Commit,
    DrainWorker,
    KillWorker,
    PlanMade,
    Spawn,
    Trim,
    Wanted,
    WorkerExited,
    WorkerReady,
)
from tests.unit.plan.specimens import recycling
from tests.unit.supervisor.story import FIRST, FIVE, FOUR, ONE, SECOND, TERMS, THREE, TWO, Story


def begins(**changes):
    """A service of such terms, some time after its start."""
    story = Story()
    terms = replace(TERMS, **changes)
    story.goes(PlanMade(FIRST, terms))
    story.goes(*(WorkerReady(number) for number in range(1, terms.workers + 1)))
    return story


DRAINED = {"budget_s": 30.0, "hasty": False, "stream_s": 30.0}


# --- recycling ---------------------------------------------------------------------------------


def test_a_worker_is_replaced_after_its_requests_and_never_two_at_once():
    story = begins(recycling=recycling(requests=100))
    story.sees(requests=99)
    story.sees(Spawn(THREE, 1, FIRST), requests=100)  # both are due, one goes
    assert story.reported("worker_due")["reason"] == "it has answered 100 requests"
    story.sees_each(
        {ONE: {"requests": 120}, TWO: {"requests": 120}}
    )  # its successor is not there yet
    story.hears(WorkerReady(THREE), DrainWorker(ONE, **DRAINED))
    story.sees_each({TWO: {"requests": 150}}, Spawn(FOUR, 2, FIRST))
    story.hears(WorkerReady(FOUR), DrainWorker(TWO, **DRAINED))


def test_each_worker_has_a_limit_of_its_own():
    limits = {policy.share_of(number, 50) for number in range(1, 9)}
    assert len(limits) == 8
    assert all(0 <= limit < 50 for limit in limits)
    story = begins(recycling=recycling(requests=100, requests_jitter=50))
    least = 100 - int(policy.share_of(ONE, 50))
    assert least < 100 - int(policy.share_of(TWO, 50)) or least > 100 - int(
        policy.share_of(TWO, 50)
    )
    story.sees_each({ONE: {"requests": least - 1}})
    story.sees_each({ONE: {"requests": least}}, Spawn(THREE, 1, FIRST))


def test_a_worker_is_replaced_after_its_time():
    story = begins(recycling=recycling(lifetime_s=10.0))
    story.waits(9)
    story.waits(1, Spawn(THREE, 1, FIRST))


def test_a_worker_is_replaced_for_its_memory_when_it_was_seen_to_have_too_much_in_a_row():
    story = begins(recycling=recycling(pss_bytes=100, samples=2))
    heavy, light = {"rss_bytes": 900, "pss_bytes": 101}, {"rss_bytes": 900, "pss_bytes": 100}
    story.sees_each({ONE: heavy})
    story.sees_each({ONE: light})
    story.sees_each({ONE: heavy})
    story.sees_each({})  # memory is not looked at every time
    story.sees_each({ONE: heavy}, Spawn(THREE, 1, FIRST))
    assert story.reported("worker_due")["reason"] == "it has too much memory"


def test_nobody_is_replaced_while_a_generation_is():
    story = begins(recycling=recycling(requests=100))
    story.goes(Wanted("reload"), PlanMade(SECOND, TERMS))
    story.sees(requests=1000)


def test_a_replacement_that_dies_is_made_again():
    story = begins(recycling=recycling(requests=100))
    story.sees(Spawn(THREE, 1, FIRST), requests=100)
    story.hears(WorkerExited(THREE, "SIGKILL"), Spawn(FOUR, 1, FIRST))
    story.hears(WorkerReady(FOUR), DrainWorker(ONE, **DRAINED))


# --- requests that do not end ------------------------------------------------------------------


def test_a_worker_with_a_request_that_does_not_end_is_replaced():
    story = begins(request_timeout_s=10.0)
    began = story.now
    for _ in range(10):
        story.sees_each({ONE: {"active": 1, "oldest_s": began}})
    story.sees_each({ONE: {"active": 1, "oldest_s": began}}, Spawn(THREE, 1, FIRST))
    assert story.reported("worker_stuck")["age_s"] == 11
    story.sees_each({ONE: {"active": 1, "oldest_s": began}})  # said once
    story.hears(WorkerReady(THREE), DrainWorker(ONE, **DRAINED))


def test_one_that_holds_up_the_loop_is_dumped():
    """It cannot be asked to leave: nobody hears."""
    story = begins(request_timeout_s=10.0, stall_timeout_s=60.0)
    silent = {"beat_s": story.now, "active": 1}
    for _ in range(10):
        story.sees_each({ONE: silent})
    story.sees_each({ONE: silent}, KillWorker(ONE, "ABRT"), Spawn(THREE, 1, FIRST))


def test_an_idle_loop_that_is_late_has_no_request():
    story = begins(request_timeout_s=2.0, stall_timeout_s=0.0)
    silent = {"beat_s": story.now, "active": 0}
    for _ in range(10):
        story.sees_each({ONE: silent})


# --- how many ----------------------------------------------------------------------------------


def test_scale(serving):
    serving.hears(Wanted("scale", 4), Spawn(THREE, 3, FIRST), Spawn(FOUR, 4, FIRST))
    serving.goes(WorkerReady(THREE), WorkerReady(FOUR))
    serving.hears(
        Wanted("scale", 1),
        *(DrainWorker(number, **DRAINED) for number in (TWO, THREE, FOUR)),
    )
    serving.hears(Wanted("scale", 0))  # one always stays


@pytest.fixture
def elastic():
    return begins(workers_min=1, workers_max=3)


def test_busy_workers_get_company(elastic):
    elastic.sees(busy_s=0.0)
    elastic.sees(busy_s=0.9)
    elastic.sees(busy_s=1.8)
    elastic.sees(Spawn(THREE, 3, FIRST), busy_s=2.7)
    elastic.hears(WorkerReady(THREE))
    for busy_s in (3.6, 4.5, 5.4, 6.3):
        elastic.sees(busy_s=busy_s)  # there are as many as there may be


@pytest.mark.parametrize("sign", [{"queued": 1}, {"lag_s": 0.3}])
def test_those_who_let_others_wait_get_company(elastic, sign):
    for _ in range(3):
        elastic.sees(**sign)
    elastic.sees(Spawn(THREE, 3, FIRST), **sign)


def test_a_moment_of_work_is_no_reason(elastic):
    for second in range(20):
        elastic.sees(queued=second % 2)


def test_no_company_comes_while_memory_is_short(elastic):
    elastic.hears(Wanted("trim"), Trim())
    assert elastic.reported("memory_short") == {}
    elastic.hears(Wanted("trim"))  # again at once: there is nothing left to give back
    for _ in range(5):
        elastic.sees(queued=1)
    elastic.waits(policy.TRIM_S)
    elastic.hears(Wanted("trim"), Trim())


def test_threads_that_are_all_taken_are_busy():
    story = begins(workers_min=1, workers_max=3, threads=4)
    for _ in range(3):
        story.sees(active=4)
    story.sees(Spawn(THREE, 3, FIRST), active=4)


def test_one_less_is_enough_after_a_quiet_minute(elastic):
    for _ in range(61):
        elastic.sees(busy_s=0.0)
    elastic.sees(DrainWorker(TWO, **DRAINED), busy_s=0.0)
    elastic.hears(WorkerExited(TWO, "exit status 0"))
    for _ in range(100):
        elastic.sees(busy_s=0.0)  # there are as few as there may be


def test_a_reload_keeps_the_number_that_the_load_has_asked_for(elastic):
    for _ in range(3):
        elastic.sees(queued=9)
    elastic.sees(Spawn(THREE, 3, FIRST), queued=9)
    elastic.goes(WorkerReady(THREE), Wanted("reload"))
    terms = replace(TERMS, workers_min=1, workers_max=3, surge=3)
    elastic.goes(PlanMade(SECOND, terms), WorkerReady(FOUR))
    commands = elastic.goes(WorkerReady(FIVE))
    assert Commit(SECOND) in commands
    assert elastic.roster.count(SECOND) == 3


# --- nobody comes ------------------------------------------------------------------------------


def test_a_daemon_that_nobody_needs_leaves():
    story = begins(idle_exit_s=5.0)
    story.sees(connections=1)
    story.sees_each({ONE: {"requests": 1}})  # it was answered between two looks
    for _ in range(5):
        story.sees_each({ONE: {"requests": 1}})
    drained = (DrainWorker(number, 30.0, hasty=True, stream_s=30.0) for number in (ONE, TWO))
    story.sees_each({ONE: {"requests": 1}}, Announce("stopping"), CloseListeners(), *drained)


@pytest.mark.parametrize("sign", [{"connections": 1}, {"active": 1}, {"queued": 1}])
def test_one_that_somebody_needs_stays(sign):
    story = begins(idle_exit_s=5.0)
    for _ in range(20):
        story.sees(**sign)

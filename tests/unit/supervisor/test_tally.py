"""What the master counts: each fact from a story in which it comes to pass, exactly once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from granian_d.observe.events import EVENTS
from granian_d.observe.scoreboard import FACTS, Scoreboard
from granian_d.supervisor import tally
from granian_d.supervisor.vocabulary import (
    CheckPassed,
    PlanFailed,
    PlanMade,
    Report,
    Tick,
    UpgradeFailed,
    Vitals,
    Wanted,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)
from tests.unit.plan.specimens import recycling
from tests.unit.supervisor.story import FIRST, ONE, SECOND, TERMS, TWO, Story


def begins(**changes):
    """A service of such terms."""
    story = Story()
    story.goes(PlanMade(FIRST, replace(TERMS, **changes)), WorkerReady(ONE), WorkerReady(TWO))
    return story


def looks(story, **vitals):
    """The master looks; what it says of worker 1 is this."""
    story.now += 1
    facts = {n: {"beat_s": story.now} for n in story.roster.workers}
    facts[ONE] = {"beat_s": story.now, **vitals}
    story.goes(Tick({number: Vitals(**fields) for number, fields in facts.items()}))


def dies():
    story = begins()
    story.goes(WorkerExited(ONE, "SIGKILL", 99))
    return story


def cannot_start():
    story = Story()
    story.goes(PlanMade(FIRST, TERMS), WorkerReady(TWO))
    story.goes(WorkerFailed(ONE, "no module", 65), WorkerExited(ONE, "exit status 65", 99))
    return story


def starts_too_slowly():
    story = Story()
    story.goes(PlanMade(FIRST, replace(TERMS, startup_timeout_s=5.0)), WorkerReady(TWO))
    story.now += 5
    looks(story)
    story.goes(WorkerExited(ONE, "SIGABRT", 99))
    return story


def stalls():
    story = begins(stall_timeout_s=10.0)
    story.now += 2
    for _ in range(12):
        looks(story, beat_s=1.0)
    story.goes(WorkerExited(ONE, "SIGABRT", 99))
    return story


def has_a_request_that_does_not_end():
    story = begins(request_timeout_s=10.0)
    began = story.now
    for _ in range(12):
        looks(story, active=1, oldest_s=began)
    return story


def outlives_its_drain():
    story = begins(workers=2, surge=2)
    story.goes(Wanted("shrink"))
    story.now += 31
    looks(story)
    return story


def is_due(vitals, seconds=1, **limits):
    def due():
        story = begins(recycling=recycling(**limits))
        for _ in range(seconds):
            looks(story, **vitals)
        return story

    return due


def reloads(*events):
    def story():
        story = begins()
        story.goes(Wanted("reload"), *events)
        return story

    return story


def upgrade_fails():
    story = begins()
    story.goes(Wanted("upgrade"), UpgradeFailed("it does not start", 70))
    return story


TOO_MUCH = {"rss_bytes": 101, "pss_bytes": 11}
STORIES = {
    "ended_error": dies,
    "ended_start": cannot_start,
    "ended_stall": stalls,
    "ended_request": has_a_request_that_does_not_end,
    "ended_drain": outlives_its_drain,
    "due_requests": is_due({"requests": 5}, requests=5),
    "due_lifetime": is_due({}, 2, lifetime_s=2.0),
    "due_rss": is_due(TOO_MUCH, rss_bytes=100),
    "due_pss": is_due(TOO_MUCH, pss_bytes=10),
    "reloads_ok": reloads(PlanMade(SECOND, TERMS), WorkerReady(3), WorkerReady(4)),
    "reloads_failed": reloads(PlanFailed("no such option", 78)),
    "reloads_superseded": reloads(Wanted("reload")),
    "upgrades_failed": upgrade_fails,
}


def counted(story) -> dict[str, int]:
    board = Scoreboard()
    for told in story.said:
        tally.count(board, told)
    return {name: value for name, value in zip(FACTS, board.facts, strict=True) if value}


@pytest.mark.parametrize("fact", STORIES)
def test_it_is_counted_once(fact):
    assert counted(STORIES[fact]()) == {fact: 1}


def test_a_start_that_takes_too_long_is_one_that_failed():
    assert counted(starts_too_slowly()) == {"ended_start": 1}


def test_an_upgrade_is_none_before_it_is_done():
    story = begins()
    story.goes(Wanted("upgrade"), CheckPassed())
    assert counted(story) == {}


def test_the_table_names_events_that_there_are_and_every_counter():
    assert {event for event, _ in tally.COUNTED} <= EVENTS.keys()
    shown = {"begun_ns", "committed", "wanted", "serving", "queued", "reload_failing"}
    assert {FACTS[fact] for fact in tally.COUNTED.values()} == set(FACTS) - shown


def test_what_is_not_in_the_table_is_not_counted():
    board = Scoreboard()
    tally.count(board, Report("signal", {"signal": "HUP", "meaning": "reload"}))
    tally.count(board, Report("worker_due", {"cause": "boredom"}))
    assert not any(board.facts)


def test_what_is_shown():
    story, board = begins(), Scoreboard()
    tally.show(board, story.roster)
    shown = dict(zip(FACTS, board.facts, strict=True))
    assert (shown["committed"], shown["wanted"], shown["serving"]) == (1, 2, 2)
    story.goes(Wanted("grow"), Wanted("reload"), PlanFailed("no such option", 78))
    tally.show(board, story.roster)
    shown = dict(zip(FACTS, board.facts, strict=True))
    assert (shown["wanted"], shown["serving"], shown["reload_failing"]) == (3, 2, 1)

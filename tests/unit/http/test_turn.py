"""Turns: what is put behind one is called once, at its end."""

from __future__ import annotations

import time

from granian_d.http.ticks import now_ns
from granian_d.http.turn import Turn


def test_calls_behind_it() -> None:
    turn, called = Turn(), []
    for number in range(2):
        turn.begin()
        assert turn.on
        turn.call_behind(lambda number=number: called.append((number, turn.on)))
        turn.call_behind(lambda: called.append("last"))
        assert len(called) == 2 * number
        turn.end()
        assert called[2 * number :] == [(number, False), "last"]
    turn.begin()
    turn.end()
    assert len(called) == 4


def test_what_is_put_behind_from_behind_waits_for_the_next() -> None:
    turn, called = Turn(), []
    turn.begin()
    turn.call_behind(lambda: turn.call_behind(lambda: called.append("late")))
    turn.end()
    assert called == []
    turn.begin()
    turn.end()
    assert called == ["late"]


def test_the_time_is_that_of_the_monotonic_clock() -> None:
    before = time.monotonic_ns()
    assert before <= now_ns() <= time.monotonic_ns()

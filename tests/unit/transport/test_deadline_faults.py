"""Deadlines when the loop was held up, or an endpoint has a fault.

The loop here is turned by hand: in one turn what has arrived is fed first, timers come after, as
asyncio and libuv do it after they were held up.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.engine.contract import NEVER
from granian_d.transport.deadlines import TICK_S, Deadlines


class HandTurnedLoop:
    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback) -> object:
        self._timers.append((self.now + delay_s, callback))
        return self._timers[-1]

    def call_exception_handler(self, context: dict) -> None:
        assert isinstance(context["exception"], RuntimeError)

    def turn(self) -> None:
        due = [timer for timer in self._timers if timer[0] <= self.now]
        self._timers = [timer for timer in self._timers if timer[0] > self.now]
        for _, callback in due:
            with contextlib.suppress(RuntimeError):  # a loop reports it and goes on
                callback()


class Member:
    def __init__(self, loop: HandTurnedLoop, *, fault: bool = False) -> None:
        self._loop = loop
        self._fault = fault
        self.deadline = NEVER
        self.expired_at = NEVER

    def expire(self) -> None:
        self.deadline = NEVER
        self.expired_at = self._loop.now
        if self._fault:
            raise RuntimeError("a fault of an endpoint")


# All times are whole parts of a tick, so that sums are exact.
spans = st.integers(0, 40).map(lambda parts: parts * TICK_S / 4)


@given(turns=st.lists(spans, max_size=6), timeout_s=st.integers(1, 20).map(float))
def test_a_timeout_comes_at_most_two_ticks_late_while_the_loop_turns(turns, timeout_s):
    loop = HandTurnedLoop()
    deadlines = Deadlines(loop)
    member = Member(loop)
    deadlines.add(member)
    for span_s in turns:
        for _ in range(int(span_s / TICK_S)):
            loop.now += TICK_S
            loop.turn()
    began = loop.now
    member.deadline = deadlines.clock.now + timeout_s
    while member.expired_at == NEVER:
        loop.now += TICK_S / 4
        loop.turn()
    assert began + timeout_s <= member.expired_at <= began + timeout_s + 2 * TICK_S


@given(held_up_s=spans, timeout_s=st.integers(1, 20).map(float))
def test_a_timeout_is_never_early_although_the_loop_was_held_up(held_up_s, timeout_s):
    """An application that blocks the loop must not cost its peers their requests."""
    loop = HandTurnedLoop()
    deadlines = Deadlines(loop)
    member = Member(loop)
    deadlines.add(member)
    loop.now += held_up_s
    began = loop.now
    member.deadline = deadlines.clock.now + timeout_s  # fed before the timers of this turn
    loop.turn()
    while member.expired_at == NEVER:
        loop.now += TICK_S / 4
        loop.turn()
    assert member.expired_at >= began + timeout_s


@pytest.mark.parametrize("faulty_first", [True, False])
def test_a_fault_of_one_member_does_not_take_the_others_timeouts(faulty_first):
    loop = HandTurnedLoop()
    deadlines = Deadlines(loop)
    faulty, good = Member(loop, fault=True), Member(loop)
    for member in (faulty, good) if faulty_first else (good, faulty):
        deadlines.add(member)
    faulty.deadline = deadlines.clock.now
    good.deadline = deadlines.clock.now + 1.0
    for _ in range(10):
        loop.now += TICK_S
        loop.turn()
    assert faulty.expired_at < good.expired_at < NEVER

"""One coarse timer, on both loops."""

from __future__ import annotations

import asyncio

from granian_d.engine.contract import NEVER
from granian_d.transport import deadlines
from granian_d.transport.deadlines import Deadlines
from tests.unit.transport.ticks import Ticks


class Member:
    def __init__(self, loop, timers, deadline):
        self.loop = loop
        self.timers = timers
        self.deadline = deadline
        self.expired_at = []
        self.over = asyncio.Event()

    def expire(self):
        self.expired_at.append(self.loop.time())
        self.timers.discard(self)
        self.over.set()


def test_who_is_due_expires_and_nobody_else(runner, loop, quick):
    async def story():
        timers = Deadlines(loop)
        began = loop.time()
        soon = Member(loop, timers, timers.clock.now + 0.03)
        now = Member(loop, timers, timers.clock.now)
        never = Member(loop, timers, NEVER)
        for member in (soon, now, never):
            timers.add(member)
        await soon.over.wait()
        assert len(soon.expired_at) == len(now.expired_at) == 1
        assert now.expired_at < soon.expired_at
        assert soon.expired_at[0] - began >= 0.03
        assert not never.expired_at
        timers.discard(never)
        await asyncio.sleep(2 * deadlines.TICK_S)  # lets the last tick see that nobody is there

    runner.run(story())


def test_it_does_not_tick_for_nobody():
    ticks = Ticks()
    timers = Deadlines(ticks)
    assert not ticks.calls
    member = Member(ticks, timers, NEVER)
    timers.add(member)
    timers.add(Member(ticks, timers, 0.0))  # a second member needs no second timer
    assert len(ticks.calls) == 1
    ticks.tick()
    assert len(ticks.calls) == 1
    timers.discard(member)
    ticks.tick()
    assert not ticks.calls


def test_it_ticks_again_for_the_next():
    ticks = Ticks()
    timers = Deadlines(ticks)
    first = Member(ticks, timers, 0.0)
    timers.add(first)
    ticks.tick()
    assert not ticks.calls
    ticks.now = 500.0
    second = Member(ticks, timers, timers.clock.now)
    timers.add(second)
    ticks.tick()
    assert second.expired_at == [500.0 + deadlines.TICK_S]


def test_a_deadline_is_late_by_a_tick_at_most_and_never_early():
    ticks = Ticks()
    timers = Deadlines(ticks)
    keeper = Member(ticks, timers, NEVER)
    timers.add(keeper)
    ticks.tick()
    ticks.now += deadlines.TICK_S / 2  # the request comes in the middle of a tick
    began = ticks.now
    member = Member(ticks, timers, timers.clock.now + 1.0)
    timers.add(member)
    while not member.expired_at:
        ticks.tick()
    assert began + 1.0 <= member.expired_at[0] <= began + 1.0 + deadlines.TICK_S


def test_members_may_come_and_go_while_others_expire():
    ticks = Ticks()
    timers = Deadlines(ticks)
    newcomer = Member(ticks, timers, 0.0)

    class Host(Member):
        def expire(self):
            super().expire()
            timers.add(newcomer)

    hosts = [Host(ticks, timers, 0.0) for _ in range(3)]
    for host in hosts:
        timers.add(host)
    ticks.tick()
    assert [len(host.expired_at) for host in hosts] == [1, 1, 1]
    assert not newcomer.expired_at
    ticks.tick()
    assert len(newcomer.expired_at) == 1


def test_discarding_a_stranger_is_nothing():
    Deadlines(Ticks()).discard(Member(Ticks(), None, NEVER))

"""Who of many is woken first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.quic.alarms import Alarms


class Sleeper:
    def __init__(self) -> None:
        self.alarm = self.listed = NEVER


MOVES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20) | st.just(NEVER)), max_size=40)


@given(MOVES, st.integers(0, 20))
def test_everybody_is_woken_in_time_and_once(moves, now):
    alarms, sleepers = Alarms(), [Sleeper() for _ in range(4)]
    for who, moment in moves:
        sleepers[who].alarm = moment
        alarms.set(sleepers[who])
        assert alarms.first <= min(sleeper.alarm for sleeper in sleepers)
    woken = []
    while (sleeper := alarms.take(now)) is not None:
        woken.append(sleeper)
    assert {sleepers.index(one) for one in woken} == {
        at for at, sleeper in enumerate(sleepers) if sleeper.alarm <= now
    }
    assert len(woken) == len(set(woken))
    assert alarms.first > now
    left = [sleeper.alarm for sleeper in sleepers if sleeper.alarm > now]
    assert alarms.first <= min(left, default=NEVER)

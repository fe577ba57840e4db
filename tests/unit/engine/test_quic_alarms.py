"""Who of many is woken first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.quic.alarms import Alarm, Alarms

MOVES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20) | st.just(NEVER)), max_size=40)


@given(MOVES, st.integers(0, 20))
def test_everybody_is_woken_in_time_and_once(moves, now):
    alarms: Alarms[int] = Alarms()
    each = [Alarm(number) for number in range(4)]
    for who, moment in moves:
        each[who].at = moment
        alarms.set(each[who])
        assert alarms.first <= min(alarm.at for alarm in each)
    woken = []
    while (owner := alarms.take(now)) is not None:
        woken.append(owner)
    assert sorted(set(woken)) == [alarm.owner for alarm in each if alarm.at <= now]
    assert alarms.first > now
    assert alarms.first <= min([alarm.at for alarm in each if alarm.at > now], default=NEVER)


def test_who_is_gone_is_not_woken():
    alarms: Alarms[str] = Alarms()
    alarm = Alarm("somebody")
    alarm.at = 5.0
    alarms.set(alarm)
    alarm.cancel()
    assert alarms.take(10.0) is None
    assert alarms.first == NEVER


def test_the_list_does_not_grow_with_the_packets():
    """Again and again soon, then far off: the timers of a connection that is in use."""
    alarms: Alarms[str] = Alarms()
    alarm = Alarm("somebody")
    for now in range(1000):
        alarm.at = now + 0.5
        alarms.set(alarm)
        alarm.at = now + 30.0
        alarms.set(alarm)
        assert alarms.take(now + 0.6) is None
        assert len(alarms._heap) <= 2

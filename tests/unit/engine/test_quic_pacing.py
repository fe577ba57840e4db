"""When packets of QUIC may leave: at the path's rate, in bursts that a timer can keep up with."""

from __future__ import annotations

import pytest

from granian_d.engine.pure.quic.pacing import GAIN, TICK_S, Pacer

PACKET_BYTES = 1200


def sent(pacer, seconds):
    """What leaves in that time if there is always more: the moments, one for each packet."""
    now, moments = 0.0, []
    while now < seconds:
        wait_until = pacer.next_send_time(now=now)
        if wait_until is None:
            moments.append(now)
            pacer.update_after_send(now=now)
        else:
            assert wait_until > now
            now = wait_until
    return moments


@pytest.mark.parametrize(
    ("window_packets", "rtt_s"), [(10, 0.1), (32, 0.03), (100, 0.05), (400, 0.01), (20, 0.0005)]
)
def test_packets_leave_at_the_rate_of_the_path_and_a_little_more(window_packets, rtt_s):
    pacer = Pacer(max_datagram_size=PACKET_BYTES)
    pacer.update_rate(window_packets * PACKET_BYTES, rtt_s)
    wanted = window_packets / rtt_s * GAIN
    moments = sent(pacer, 2.0)
    assert wanted * 0.95 <= len(moments) / 2.0 <= wanted * 1.05


@pytest.mark.parametrize(
    ("window_packets", "rtt_s", "most"),
    [(10, 0.1, 3), (100, 0.05, 17), (400, 0.01, 51)],  # a quarter of the window, 16, a tick's worth
)
def test_no_burst_is_larger_than_what_a_path_can_take(window_packets, rtt_s, most):
    pacer = Pacer(max_datagram_size=PACKET_BYTES)
    pacer.update_rate(window_packets * PACKET_BYTES, rtt_s)
    moments = sent(pacer, 0.5)
    assert max(moments.count(moment) for moment in set(moments)) <= most


def test_who_waits_wakes_once_a_tick_and_not_for_every_packet():
    pacer = Pacer(max_datagram_size=PACKET_BYTES)
    pacer.update_rate(400 * PACKET_BYTES, 0.01)
    moments = sent(pacer, 0.1)
    assert len(set(moments)) <= 0.1 / TICK_S + 1
    assert len(moments) > 10 * len(set(moments))


def test_nothing_waits_while_nothing_is_known_of_the_path():
    assert Pacer(max_datagram_size=PACKET_BYTES).next_send_time(now=1.0) is None

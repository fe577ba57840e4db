"""What a worker sends is judged by the master: a worker runs the application's code.

After privileges are dropped a worker is less than the master, and nothing that it writes or passes
may end the master or fill its table of descriptors.
"""

from __future__ import annotations

import os
import socket

import pytest

from granian_d.control.channel import MESSAGE_FDS, UNKNOWN_A_TURN, Channel, Drain, Gone, Ready
from tests.unit.supervisor.processes import open_fds


@pytest.fixture
def ends():
    one, other = Channel.pair()
    yield one, other
    one.close()
    other.close()


@pytest.mark.parametrize(
    "garbage",
    [b"x", b"\xff", b"[]", b"null", b"{}", b'{"kind": "-"}', b'{"kind": 1}', b'{"kind": "Drain"}'],
)
def test_what_is_no_message_is_the_end_of_the_conversation(garbage):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    try:
        theirs.send(garbage)
        with pytest.raises(Gone):
            channel.receive()
    finally:
        channel.close()
        theirs.close()


def test_descriptors_that_no_message_asks_for_are_not_kept(ends):
    one, other = ends
    before = open_fds()
    for _ in range(10):
        one.send(Ready(), [0] * MESSAGE_FDS)
        received = other.receive()
        assert received == (Ready(), [])
    assert open_fds() == before


def test_what_only_another_release_knows_is_passed_over():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    passed = os.open(os.devnull, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    try:
        socket.send_fds(theirs, [b'{"kind": "Sing", "song": "x"}'], [passed])
        theirs.send(b'{"kind": "Ready", "mood": 1}')
        theirs.send(b'{"kind": "Sing"}')
        theirs.send(
            b'{"kind": "Drain", "budget_s": 1, "idle_s": null, "restarting": true, "stream_s": 2}'
        )
        assert channel.receive() == (Ready(), [])
        assert channel.receive() == (Drain(1, None, True, 2, heir=False), [])
        assert channel.receive() is None
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(passed)
        channel.close()
        theirs.close()


def test_a_flood_of_unknown_kinds_does_not_hold_the_reader():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    try:
        for _ in range(UNKNOWN_A_TURN):
            theirs.send(b'{"kind": "Sing"}')
        theirs.send(b'{"kind": "Ready"}')
        assert channel.receive() is None
        assert channel.receive() == (Ready(), [])
    finally:
        channel.close()
        theirs.close()

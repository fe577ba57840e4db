"""What a worker sends is judged by the master: a worker runs the application's code.

After privileges are dropped a worker is less than the master, and nothing that it writes or passes
may end the master or fill its table of descriptors.
"""

from __future__ import annotations

import socket

import pytest

from granian_d.control.channel import MESSAGE_FDS, Channel, Gone, Ready
from tests.unit.supervisor.processes import open_fds


@pytest.fixture
def ends():
    one, other = Channel.pair()
    yield one, other
    one.close()
    other.close()


@pytest.mark.parametrize(
    "garbage",
    [b"x", b"\xff", b"[]", b"null", b"{}", b'{"kind": "Sing"}', b'{"kind": "Ready", "x": 1}'],
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

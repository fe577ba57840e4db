"""The wire between master and worker, on real sockets."""

from __future__ import annotations

import os
import socket
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.control.channel import (
    KINDS,
    MESSAGE_BYTES,
    ORDER_FDS,
    Born,
    Channel,
    Closed,
    Drain,
    Failed,
    Fork,
    Gone,
    Message,
    Ready,
    Reopen,
)
from granian_d.worker.fault import SENTENCE_CHARS, TRACEBACK_CHARS

REASON_CHARS = SENTENCE_CHARS + 1 + TRACEBACK_CHARS  # the longest reason that a worker gives


@pytest.fixture
def pair():
    one, other = Channel.pair()
    yield one, other
    one.close()
    other.close()


def of_kind(kind):
    """Messages of one kind, with whatever its fields may hold."""
    values = {
        str: st.text(st.characters(exclude_categories=["Cs"])),
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63),
        float: st.floats(allow_nan=False, allow_infinity=False),
        float | None: st.none() | st.floats(allow_nan=False, allow_infinity=False),
    }
    return st.builds(kind, **{name: values[hint] for name, hint in get_type_hints(kind).items()})


def test_every_message_has_its_kind():
    assert {kind.__name__: kind for kind in get_args(Message)} == KINDS


@given(st.one_of([of_kind(kind) for kind in KINDS.values()]))
def test_every_message_comes_as_it_was_sent(message):
    one, other = Channel.pair()
    try:
        assert one.send(message)
        received, fds = other.receive()
    finally:
        one.close()
        other.close()
    assert received == message
    assert type(received) is type(message)
    assert fds == []


def test_boundaries_and_order_are_kept_both_ways(pair):
    one, other = pair
    said = [
        Drain(3.0, None, True, 9.0),
        Drain(1.5, 0.0, False, 1.5, heir=True),
        Reopen("/a.log"),
        Drain(0.0, 2, True, 0),
    ]
    assert all(one.send(message) for message in said)
    assert other.send(Ready())
    assert other.send(Closed())
    assert [other.receive()[0] for _ in said] == said
    assert other.receive() is None
    assert [one.receive()[0], one.receive()[0], one.receive()] == [Ready(), Closed(), None]


def test_a_descriptor_rides_along_and_is_ours(pair, tmp_path):
    one, other = pair
    path = str(tmp_path / "a.log")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    assert one.send(Reopen(path), [fd])
    os.close(fd)
    message, (received,) = other.receive()
    assert message == Reopen(path)
    assert os.readlink(f"/proc/self/fd/{received}") == path
    assert not os.get_inheritable(received)
    os.close(received)


def test_last_words_come_before_the_news_of_the_end(pair):
    one, other = pair
    one.send(Failed("no module", 70))
    one.close()
    assert other.receive() == (Failed("no module", 70), [])
    for _ in range(2):
        with pytest.raises(Gone):
            other.receive()


def test_unread_messages_at_the_other_end_do_not_hide_its_end(pair):
    """Its kernel answers with a reset then, not with an end of file."""
    one, other = pair
    one.send(Drain(1.0, None, True, 1.0))
    other.close()
    with pytest.raises(Gone):
        while one.receive() is not None:
            pass


def test_the_end_of_the_process_at_the_other_end(pair):
    one, other = pair
    pid = os.fork()
    if pid == 0:
        one.close()
        other.send(Failed("short life", 3))
        os._exit(0)
    other.close()
    os.waitpid(pid, 0)
    assert one.receive() == (Failed("short life", 3), [])
    with pytest.raises(Gone):
        one.receive()


def test_sending_to_nobody_says_so(pair):
    one, other = pair
    other.close()
    assert not one.send(Ready())


def test_a_reader_that_sleeps_is_not_waited_for(pair):
    one, other = pair
    sent = 0
    while one.send(Failed("x" * 1000, 70)):
        sent += 1
    assert sent
    for _ in range(sent):
        assert other.receive() is not None
    assert other.receive() is None
    assert one.send(Ready())
    assert other.receive() == (Ready(), [])


def test_neither_end_blocks_or_is_inherited(pair):
    for end in pair:
        assert not os.get_blocking(end.fileno())
        assert not os.get_inheritable(end.fileno())


@pytest.mark.parametrize("character", ["x", "ö", "\x00", "\\", "語", "🎈"])
def test_the_longest_reason_arrives_whole_whatever_it_is_written_in(pair, character):
    one, other = pair
    said = Failed(character * REASON_CHARS, 70)
    assert one.send(said)
    assert other.receive() == (said, [])


def test_what_is_too_long_is_refused_or_arrives_whole(pair):
    """Half of a message would be the end of who reads it."""
    one, other = pair
    said = Failed("x" * MESSAGE_BYTES, 70)
    expected = (said, []) if one.send(said) else None
    assert other.receive() == expected


def test_the_socket_is_of_the_kind_that_keeps_boundaries(pair):
    with socket.socket(fileno=os.dup(pair[0].fileno())) as sock:
        assert (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_after_hanging_up_what_was_said_is_heard_and_nothing_else(pair):
    """No third way: what the master does with a worker of a mold that is not born yet rests on it."""
    one, other = pair
    assert other.send(Born(7))
    one.hang_up()
    assert not other.send(Ready())
    assert not one.send(Ready())
    assert one.receive() == (Born(7), [])
    for end in pair:
        with pytest.raises(Gone):
            end.receive()


def test_hanging_up_holds_for_all_who_have_an_end(pair):
    """Closing would not: another process may have inherited the end."""
    one, other = pair
    with socket.socket(fileno=os.dup(one.fileno())):
        one.hang_up()
        one.close()
        with pytest.raises(Gone):
            other.receive()


def test_hanging_up_on_nobody(pair):
    one, other = pair
    other.close()
    one.hang_up()
    one.hang_up()


def test_an_order_to_fork_carries_as_many_sockets_as_the_kernel_lets_it(pair):
    one, other = pair
    order = Fork(1, 1, 0)
    assert one.send(order, [0] * ORDER_FDS)
    received, fds = other.receive(ORDER_FDS)
    for fd in fds:
        assert not os.get_inheritable(fd)
        os.close(fd)
    assert (received, len(fds)) == (order, ORDER_FDS)
    assert not one.send(order, [0] * (ORDER_FDS + 1))

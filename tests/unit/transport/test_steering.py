"""Real sockets, and the kernel runs the program: it must agree with engine.connection_ids."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from granian_d.engine.connection_ids import ID_BYTES, issue, owner_of, words_of
from granian_d.plan.model import MOST_WORKERS
from granian_d.transport.steering import MOST_INSTRUCTIONS, attach, steer

WORDS = words_of(b"k" * 32)
STRANGER = words_of(b"s" * 32)
OLD_OPTMEM_MAX = 20480  # net.core.optmem_max before Linux 6.8


def long(connection_id: bytes, version: bytes = b"\0\0\0\1") -> bytes:
    return b"\xc3" + version + bytes([len(connection_id)]) + connection_id + b"\0" + bytes(40)


def short(connection_id: bytes) -> bytes:
    return b"\x43" + connection_id + bytes(40)


FORMS = {"long": long, "version 2": lambda id_: long(id_, b"\x6b\x33\x43\xcf"), "short": short}


class Group:
    """Sockets of one address, and somebody who sends there from many."""

    def __init__(self, size: int, family: int = socket.AF_INET) -> None:
        first = socket.socket(family, socket.SOCK_DGRAM)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        first.setblocking(False)
        self.sockets = [first]
        self.clients = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(4)]
        while len(self.sockets) < size:
            self.grow()

    def grow(self) -> None:
        sock = socket.socket(self.sockets[0].family, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(self.sockets[0].getsockname())
        sock.setblocking(False)
        self.sockets.append(sock)

    def steers(self, *takers: int) -> None:
        attach(self.sockets[-1], steer(WORDS, takers, len(self.sockets)))

    def receivers(self, datagram: bytes) -> set[int]:
        """Who gets it; loopback delivers within the call."""
        for client in self.clients:
            client.sendto(datagram, self.sockets[0].getsockname())
        found = [self._count(sock) for sock in self.sockets]
        assert sum(found) == len(self.clients)
        return {seat for seat, count in enumerate(found) if count}

    @staticmethod
    def _count(sock: socket.socket) -> int:
        count = 0
        try:
            while sock.recv(2048):
                count += 1
        except BlockingIOError:
            return count
        raise AssertionError("an empty datagram")

    def close(self) -> None:
        for sock in (*self.sockets, *self.clients):
            sock.close()


@pytest.fixture
def group():
    made = Group(9)
    yield made
    made.close()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("generation", [1, 255, 256, 70000])
def test_an_id_of_ours_reaches_its_seat(group, form, generation):
    group.steers(2, 5)
    for seat in range(9):
        assert group.receivers(FORMS[form](issue(WORDS, seat, generation))) == {seat}


def test_ipv6():
    group = Group(3, socket.AF_INET6)
    group.steers(0)
    for form in FORMS.values():
        assert group.receivers(form(issue(WORDS, 2, 1))) == {2}
        assert group.receivers(form(issue(STRANGER, 2, 1))) == {0}
    group.close()


def test_new_connections_are_spread_over_those_who_take_them(group):
    group.steers(1, 4, 5, 8)
    for form in FORMS.values():
        found = [group.receivers(form(os.urandom(size))) for size in (8, 12, 20) for _ in range(40)]
        assert all(len(one) == 1 for one in found), "whatever address it comes from"
        assert set.union(*found) == {1, 4, 5, 8}


def test_a_seat_that_has_no_socket_is_taken_for_a_strangers_choice(group):
    group.steers(3)
    assert group.receivers(short(issue(WORDS, 9, 1))) == {3}
    assert group.receivers(long(issue(WORDS, 8191, 1))) == {3}


@pytest.mark.parametrize("size", [1, 2, 5, 6, 13, 17])
def test_what_is_too_short_to_be_anything_reaches_somebody_who_takes(group, size):
    group.steers(3, 7)
    for first in (b"\xc0", b"\x40"):
        assert group.receivers(first + bytes(size - 1)) <= {3, 7}


def test_a_new_program_counts_from_the_next_datagram_on(group):
    kept = short(issue(WORDS, 6, 1))
    for taker in (1, 2, 6, 0):
        group.steers(taker)
        assert group.receivers(long(os.urandom(8))) == {taker}
        assert group.receivers(kept) == {6}


def test_a_group_that_grows_keeps_its_seats(group):
    group.steers(0)
    group.grow()
    for seat in range(9):
        assert group.receivers(short(issue(WORDS, seat, 1))) == {seat}, "by the old program"
    group.steers(0, 9)
    for seat in range(10):
        assert group.receivers(short(issue(WORDS, seat, 1))) == {seat}


@pytest.mark.parametrize(
    "takers",
    [range(MOST_WORKERS), range(MOST_WORKERS, 2 * MOST_WORKERS), range(0, 2 * MOST_WORKERS, 2)],
    ids=["first", "in a row", "scattered"],
)
def test_as_many_workers_as_there_can_be(takers):
    program = steer(WORDS, takers, 2 * MOST_WORKERS)
    assert len(program) <= MOST_INSTRUCTIONS
    assert sum(map(translated, program)) * 8 + 128 < OLD_OPTMEM_MAX
    answers = {run_of(program, long(os.urandom(8))) for _ in range(20000)}
    assert answers == set(takers)


def translated(step) -> int:
    """Instructions that the kernel makes of one, at most: it counts those (net/core/filter.c)."""
    if step.code in (0x30, 0x40):
        return 6  # loads from the datagram
    return 2 if step.code in (0x06, 0x16) or step.otherwise else 1


def run_of(program, datagram: bytes) -> int:
    """What a program answers, by the rules of linux/filter.h: for more seats than sockets."""
    a = x = at = 0
    memory = {}
    while True:
        code, then, otherwise, k = program[at]
        at += 1
        match code:
            case 0x80:
                a = len(datagram)
            case 0x30:
                a = datagram[k]
            case 0x40:
                a = int.from_bytes(datagram[x + k : x + k + 4])
            case 0x60:
                a = memory[k]
            case 0x01:
                x = k
            case 0x61:
                x = memory[k]
            case 0x02:
                memory[k] = a
            case 0x04:
                a = (a + k) & 0xFFFFFFFF
            case 0x24:
                a = (a * k) & 0xFFFFFFFF
            case 0x74:
                a >>= k
            case 0x54:
                a &= k
            case 0x94:
                a %= k
            case 0xAC:
                a ^= x
            case 0x05:
                at += k
            case 0x15:
                at += then if a == k else otherwise
            case 0x35:
                at += then if a >= k else otherwise
            case 0x45:
                at += then if a & k else otherwise
            case 0x06:
                return k
            case 0x16:
                return a


IDS = st.one_of(
    st.binary(max_size=20),
    st.tuples(st.integers(0, 12), st.integers(0, 300)).map(lambda of: issue(WORDS, *of)),
)
DATAGRAMS = st.one_of(
    st.binary(min_size=1, max_size=60),
    IDS.map(long),
    IDS.map(short),
    st.tuples(IDS.map(short), st.integers(1, 40)).map(lambda of: of[0][: of[1]]),
)


@pytest.fixture(scope="module")
def steered():
    made = Group(9)
    made.steers(2, 3, 7)
    yield made
    made.close()


@settings(max_examples=300, deadline=None)
@given(datagram=DATAGRAMS)
def test_the_kernel_and_the_decoder_agree(steered, datagram):
    at, size = (6, datagram[5]) if datagram[0] & 0x80 and len(datagram) > 5 else (1, ID_BYTES)
    owner = owner_of(WORDS, datagram[at : at + size])
    found = steered.receivers(datagram)
    if owner is not None and owner.seat < 9 and len(datagram) >= 18:
        assert found == {owner.seat}
    else:
        assert len(found) == 1
        assert found <= {2, 3, 7}
    assert found == {run_of(steer(WORDS, (2, 3, 7), 9), datagram)}

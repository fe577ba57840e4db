"""transport.udp on real sockets: joined and parted, addresses, shares, alarms, queues, faults."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import closing
from itertools import pairwise
from time import monotonic

import pytest

from granian_d.engine.contract import Leave
from granian_d.engine.datagrams import Path
from granian_d.transport import datagrams, udp
from tests.unit.transport.hall import PATIENCE_S, Berth, bound, received

SIZE = 1200


def numbered(count, size=SIZE):
    return [bytes((number % 256,)) * size for number in range(count)]


def send_joined(sock, parts, address):
    """As one call of a client with UDP_SEGMENT."""
    sock.sendmsg(parts, [datagrams.segments(len(parts[0]))], 0, address)


def test_joined_datagrams_are_fed_one_by_one_and_flushed_once(runner):
    async def story():
        with closing(Berth()) as berth, bound() as client:
            parts = [*numbered(40), b"the last is shorter"]  # more than a share: they come at once
            send_joined(client, parts, berth.address)
            await berth.hall.has_fed(41)
            path = Path(client.getsockname(), "")
            assert berth.hall.fed == [(path, part) for part in parts]
            assert max(berth.hall.flushes) == 41

    runner.run(story())


def test_answers_of_one_size_leave_joined_and_arrive_parted(runner):
    async def story():
        parts = [*numbered(70), b"short", *numbered(3), b"x" * (SIZE + 1)]
        with closing(Berth(answer=lambda *_: parts)) as berth, bound() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            client.sendto(b"go", berth.address)
            got = await received(berth.loop, client, len(parts))
            assert [data for data, _ in got] == parts
            assert {address for _, address in got} == {berth.address}

    runner.run(story())


@pytest.mark.parametrize(
    ("sizes", "ends"),
    [
        ([5, 5, 5], [3]),
        ([5, 5, 3, 5], [3, 4]),
        ([3, 5], [1, 2]),
        ([5] * 65, [64, 65]),
        ([20000] * 4, [3, 4]),
        ([65507], [1]),
    ],
)
def test_what_is_joined(sizes, ends):
    parts = [bytes(size) for size in sizes]
    found = [0]
    while found[-1] < len(parts):
        found.append(datagrams.run_end(parts, found[-1]))
    assert found[1:] == ends
    assert all(
        end - start <= datagrams.MOST_JOINED
        and sum(sizes[start:end]) <= datagrams.MOST_JOINED_BYTES
        for start, end in pairwise(found)
    )


WILD = [
    (socket.AF_INET, "0.0.0.0", "127.0.0.7"),
    (socket.AF_INET6, "::", "::1"),
    (socket.AF_INET6, "::", "::ffff:127.0.0.7"),  # as a unit of systemd has it
]


@pytest.mark.parametrize(("family", "wildcard", "asked"), WILD)
def test_an_answer_leaves_from_the_address_that_was_asked(runner, family, wildcard, asked):
    async def story():
        both = asked.startswith("::ffff:")
        sock = bound(family, wildcard, both=both)
        answer = numbered(3)
        with (
            closing(Berth(sock=sock, answer=lambda *_: answer)) as berth,
            bound(family, wildcard, both=both) as client,
        ):
            client.connect((asked, berth.address[1]))  # from now on it hears nobody else
            client.send(b"go")
            await received(berth.loop, client, 3)
            assert berth.hall.fed == [(Path(client.getsockname(), asked), b"go")]

    runner.run(story())


class Refusing:
    """A socket whose kernel refuses some calls.

    Args:
        sock: the real one.
        refuse: gives the errno with which a call of sendmsg is refused, 0 for none.
    """

    def __init__(self, sock, refuse):
        self._sock = sock
        self._refuse = refuse
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def sendmsg(self, parts, controls, flags, peer):
        self.calls.append(len(parts))
        if code := self._refuse(parts, peer):
            raise OSError(code, "refused")
        return self._sock.sendmsg(parts, controls, flags, peer)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO, errno.EOPNOTSUPP])
def test_what_cannot_be_parted_is_sent_one_by_one_for_good(runner, code):
    async def story():
        parts = numbered(4)
        sock = Refusing(bound(), lambda parts, _: code if len(parts) > 1 else 0)
        with closing(Berth(sock=sock, answer=lambda *_: parts)) as berth, bound() as client:
            for _ in range(2):
                client.sendto(b"go", berth.address)
                got = await received(berth.loop, client, 4)
                assert [data for data, _ in got] == parts
            assert sock.calls == [4, 1, 1, 1, 1, 1, 1, 1, 1]

    runner.run(story())


def test_a_kernel_that_does_not_know_the_joining_is_not_asked(runner):
    """It would send all of it as one datagram."""

    class Old(Refusing):
        def getsockopt(self, level, option):
            if level == socket.IPPROTO_UDP:
                raise OSError(errno.ENOPROTOOPT, "no such option")
            return self._sock.getsockopt(level, option)

    async def story():
        sock = Old(bound(), lambda *_: 0)
        with closing(Berth(sock=sock, answer=lambda *_: numbered(3))) as berth, bound() as client:
            client.sendto(b"go", berth.address)
            await received(berth.loop, client, 3)
            assert sock.calls == [1, 1, 1]

    runner.run(story())


def test_an_address_that_cannot_be_answered_does_not_end_the_joining(runner):
    async def story():
        parts = numbered(4)
        bad = ("127.0.0.1", 9)
        sock = Refusing(bound(), lambda _, peer: errno.EINVAL if peer == bad else 0)
        with closing(Berth(sock=sock, answer=lambda *_: parts)) as berth, bound() as client:
            berth.udp.send(Path(bad, ""), parts)
            client.sendto(b"go", berth.address)
            await received(berth.loop, client, 4)
            assert sock.calls == [4, 1, 4]

    runner.run(story())


@pytest.mark.parametrize(
    "code", [errno.ECONNREFUSED, errno.EMSGSIZE, errno.ENETUNREACH, errno.EPERM]
)
def test_what_cannot_be_sent_is_lost_and_no_fault(runner, code):
    async def story():
        refused = [code, 0]
        sock = Refusing(bound(), lambda *_: refused.pop(0))
        answer = [b"one", b"three three"]
        with closing(Berth(sock=sock, answer=lambda *_: answer)) as berth, bound() as client:
            client.sendto(b"go", berth.address)
            ((data, _),) = await received(berth.loop, client, 1)
            assert data == answer[1]
            assert not berth.faults

    runner.run(story())


def test_what_the_kernel_does_not_take_waits_in_order_and_within_bounds(runner, monkeypatch):
    async def story():
        full = [True]
        sock = Refusing(bound(), lambda *_: errno.EAGAIN if full[0] else 0)
        with closing(Berth(sock=sock)) as berth, bound() as client:
            path = Path(client.getsockname(), "")
            monkeypatch.setattr(udp, "QUEUE_BYTES", 6 * SIZE)
            berth.udp.send(path, numbered(4))
            berth.udp.send(path, [b"a" * SIZE])
            berth.udp.send(path, numbered(2))  # has no place
            berth.udp.send(path, [b"b"])
            full[0] = False
            got = await received(berth.loop, client, 6)
            assert [data for data, _ in got] == [*numbered(4), b"a" * SIZE, b"b"]
            berth.udp.send(path, [b"c"])  # nothing is before it any more
            assert (await received(berth.loop, client, 1))[0][0] == b"c"

    runner.run(story())


def test_others_have_their_turn_while_datagrams_keep_coming(runner):
    async def story():
        with closing(Berth(answer=lambda *_: None)) as berth, bound() as client:
            for part in numbered(udp.SHARE * 2 + 1, 8):
                client.sendto(part, berth.address)
            await berth.hall.has_fed(udp.SHARE * 2 + 1)
            assert max(berth.hall.flushes) == udp.SHARE

    runner.run(story())


class Cutting(Refusing):
    """A socket whose kernel has not told all of some datagrams."""

    def recvmsg(self, *sizes):
        data, controls, flags, peer = self._sock.recvmsg(*sizes)
        if data == b"cut":
            return data, controls, flags | socket.MSG_TRUNC, peer
        if data == b"untold":
            return data, [], flags | socket.MSG_CTRUNC, peer
        return data, controls, flags, (peer[0], 0) if data == b"port" else peer


def test_cut_datagrams_and_those_of_port_0_are_not_fed(runner):
    async def story():
        sock = Cutting(bound(), lambda *_: 0)
        with closing(Berth(sock=sock)) as berth, bound() as client:
            for data in (b"cut", b"untold", b"port", b"whole"):
                client.sendto(data, berth.address)
            await berth.hall.has_fed(1)
            assert [data for _, data in berth.hall.fed] == [b"whole"]

    runner.run(story())


def test_several_sockets_of_one_address_are_one(runner):
    async def story():
        first = bound()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = first.getsockname()[1]
        with closing(Berth(0, first, bound(port=port, reuse=True))) as berth:
            for _ in range(16):  # the kernel spreads them by the client's port
                with bound() as client:
                    client.sendto(b"go", berth.address)
                    await received(berth.loop, client, 1)
            assert len(berth.hall.fed) == 16

    runner.run(story())


def test_the_alarm_rings_when_it_is_due_and_not_for_one_that_has_moved_on(runner):
    async def story():
        with closing(Berth()) as berth:
            hall = berth.hall
            hall.alarm = early = monotonic() + 0.02
            berth.udp.soon()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            hall.alarm = later = early + 0.05  # seen when the first one comes
            await asyncio.wait_for(hall.woken.wait(), PATIENCE_S)
            assert hall.woken_at >= later
            assert monotonic() >= later - udp.EARLY_S
            hall.woken.clear()
            hall.alarm = monotonic() + 3600
            berth.udp.soon()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            hall.alarm = soon = monotonic() + 0.01  # earlier than what is set
            berth.udp.soon()
            await asyncio.wait_for(hall.woken.wait(), PATIENCE_S)
            assert hall.woken_at >= soon

    runner.run(story())


def test_soon_is_one_flush(runner):
    async def story():
        with closing(Berth()) as berth:
            for _ in range(3):
                berth.udp.soon()
            assert berth.hall.flushes == []
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert berth.hall.flushes == [0]

    runner.run(story())


def test_a_fault_of_the_hall_is_told_and_others_are_fed(runner, monkeypatch):
    async def story():
        monkeypatch.setattr(udp, "RETRY_S", 0.01)
        with closing(Berth()) as berth, bound() as client:
            berth.hall.fault = ValueError("a fault of ours")
            client.sendto(b"one", berth.address)
            client.sendto(b"two", berth.address)
            await berth.hall.has_fed(2)
            assert [fault["exception"] for fault in berth.faults] == [berth.hall.fault] * 2
            berth.hall.alarm = monotonic()
            berth.udp.soon()
            await asyncio.wait_for(berth.hall.woken.wait(), PATIENCE_S)
            berth.hall.woken.clear()
            berth.hall.fault = None
            berth.hall.alarm = monotonic()
            berth.udp.soon()
            await asyncio.wait_for(berth.hall.woken.wait(), PATIENCE_S)
            assert len(berth.faults) == 3

    runner.run(story())


def test_a_drain_leaves_a_shared_socket_to_the_others_and_keeps_its_own(runner):
    async def story():
        leave = Leave(1.0)
        shared = bound()
        with (
            closing(Berth(1, shared.dup(), shared=True, answer=lambda *_: [b"1"])) as one,
            closing(Berth(2, shared, shared=True, answer=lambda *_: [b"2"])) as two,
            bound() as client,
        ):
            one.udp.drain(leave)
            client.sendto(b"go", one.address)
            assert [data for data, _ in await received(one.loop, client, 1)] == [b"2"]
            one.udp.send(Path(client.getsockname(), ""), [b"still sends"])
            assert [data for data, _ in await received(one.loop, client, 1)] == [b"still sends"]
            assert one.hall.drained == [leave]
            assert one.hall.fed == []
            assert len(two.hall.fed) == 1
        with closing(Berth()) as own, bound() as client:
            own.udp.drain(leave)
            client.sendto(b"go", own.address)
            await received(own.loop, client, 1)

    runner.run(story())


def test_a_sweep_feeds_all_that_is_there(runner):
    async def story():
        with closing(Berth(answer=lambda *_: None)) as berth, bound() as client:
            for part in numbered(udp.SHARE + 5, 8):
                client.sendto(part, berth.address)
            berth.udp.sweep()
            assert len(berth.hall.fed) == udp.SHARE + 5

    runner.run(story())


def test_after_its_end_nothing_moves(runner):
    async def story():
        berth = Berth()
        berth.udp.soon()
        berth.hall.alarm = monotonic() + 0.01
        berth.close()
        assert berth.hall.closed
        flushes = len(berth.hall.flushes)
        await asyncio.sleep(0.02)
        assert len(berth.hall.flushes) == flushes
        assert not berth.hall.woken.is_set()
        assert not berth.faults

    runner.run(story())


def test_buffers_are_not_made_smaller():
    with bound() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 30)  # as much as there is
        before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        datagrams.tune(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= before

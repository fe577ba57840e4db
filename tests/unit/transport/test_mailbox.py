"""transport.mailbox on real sockets: what is handed on, and to whom nothing is."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, closing

import pytest

from granian_d.engine.connection_ids import mailbox
from granian_d.engine.datagrams import Path
from granian_d.transport.mailbox import Mailbox
from tests.unit.transport.hall import KEY, Berth, bound, received


def seat_named(datagram):
    """The seat in the first octet."""
    return datagram[0]


@pytest.mark.parametrize(
    ("family", "host", "to"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.9"),
        (socket.AF_INET6, "::", "::1"),
    ],
)
def test_a_datagram_that_another_worker_has_read_is_fed_with_its_path(runner, family, host, to):
    async def story():
        shared = bound(family, host)
        source = "127.0.0.1" if family == socket.AF_INET else "::1"
        with (
            closing(Berth(1, shared.dup(), shared=True, relay=seat_named)) as reader,
            closing(Berth(2, shared, shared=True)) as owner,
            bound(family, source) as client,
        ):
            owner.udp._leave()  # so that the other one reads all
            parts = [b"\x02" + bytes(1199)] * 60 + [b"\x02short"]
            for part in parts:
                client.sendto(part, (to, reader.address[1]))
            await owner.hall.has_fed(len(parts))
            local = to if host != to else ""
            assert owner.hall.fed == [(Path(client.getsockname(), local), part) for part in parts]
            ((data, address),) = await received(owner.loop, client, 1)
            assert (data, address[:2]) == (parts[0], (to, reader.address[1]))

    runner.run(story())


def test_two_readers_of_one_socket_give_each_its_own(runner):
    async def story():
        shared = bound()
        both = ExitStack()
        berths = {}
        for seat in (1, 2):
            relay = {1: lambda d: 2 if d[0] == 2 else None, 2: lambda d: 1 if d[0] == 1 else None}
            berth = Berth(seat, shared.dup(), shared=True, relay=relay[seat])
            berths[seat] = both.enter_context(closing(berth))
        with both, shared, bound() as client:
            for number in range(40):
                client.sendto(bytes((1 + number % 2, number)), shared.getsockname())
            for seat, berth in berths.items():
                await berth.hall.has_fed(20)
                assert {data[0] for _, data in berth.hall.fed} == {seat}

    runner.run(story())


def test_what_was_handed_on_is_not_handed_on_again(runner):
    async def story():
        """The first takes all for the second's, and the second for the first's."""
        sock = bound()
        with (
            closing(Berth(1, sock.dup(), relay=lambda d: 2)) as one,
            closing(Berth(2, sock, relay=lambda d: 1 if d == b"ping" else None)) as two,
            bound() as client,
        ):
            two.udp._leave()
            client.sendto(b"ping", one.address)
            client.sendto(b"end", one.address)
            await two.hall.has_fed(1)
            assert [data for _, data in two.hall.fed] == [b"end"]
            assert one.hall.fed == []

    runner.run(story())


@pytest.mark.parametrize("forgery", ["key", "flip", "seat", "name", "empty", "short"])
def test_what_is_not_from_a_worker_of_ours_is_dropped(runner, forgery):
    async def story():
        with (
            closing(Berth(5)) as berth,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger,
        ):
            key = os.urandom(32) if forgery == "key" else KEY
            seat = 6 if forgery == "seat" else 5
            name = b"another socket" if forgery == "name" else berth.udp.name
            path = Path(("127.0.0.1", 4433), "")
            writer = Mailbox(berth.loop, stranger, 9, key)
            (frame,) = writer._frames(seat, (name, path), [b"forged"])
            if forgery == "flip":
                frame = frame[:-1] + bytes((frame[-1] ^ 1,))
            frame = {"empty": b"", "short": frame[:7]}.get(forgery, frame)
            stranger.sendto(frame, mailbox(KEY, 5))
            (good,) = Mailbox(berth.loop, stranger, 9, KEY)._frames(
                5, (berth.udp.name, path), [b"good"]
            )
            stranger.sendto(good, mailbox(KEY, 5))
            await berth.hall.has_fed(1)
            assert berth.hall.fed == [(path, b"good")]
            assert not berth.faults

    runner.run(story())


def test_a_seat_that_nobody_has_is_no_fault(runner):
    async def story():
        with (
            closing(Berth(1, relay=lambda d: 77 if d == b"gone" else None)) as berth,
            bound() as client,
        ):
            client.sendto(b"gone", berth.address)
            client.sendto(b"here", berth.address)
            await berth.hall.has_fed(1)
            assert [data for _, data in berth.hall.fed] == [b"here"]
            assert not berth.faults

    runner.run(story())

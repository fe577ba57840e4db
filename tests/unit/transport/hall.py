"""A hall that answers each datagram as the test says, and a berth full of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from granian_d.engine.connection_ids import mailbox
from granian_d.engine.contract import NEVER
from granian_d.transport.deadlines import Deadlines
from granian_d.transport.links import Links
from granian_d.transport.mailbox import Mailbox
from granian_d.transport.udp import UdpSocket

KEY = os.urandom(32)
PATIENCE_S = 20


class Hall:
    """What is fed is written down, and answered at the flush with what `answer` makes of it."""

    def __init__(self, wire, answer=None):
        self.wire = wire
        self.alarm = NEVER
        self.fed = []
        self.flushes = []  # how many had been fed since the flush before
        self.drained = []
        self.woken = asyncio.Event()
        self.fault = None
        self.closed = False
        self._answer = answer or (lambda path, datagram: [datagram])
        self._unanswered = []
        self._news = asyncio.Event()

    def feed(self, path, datagram, now):
        self.fed.append((path, datagram))
        self._news.set()
        if self.fault is not None:
            raise self.fault
        self._unanswered.append((path, datagram))

    def flush(self, now):
        self.flushes.append(len(self._unanswered))
        for path, datagram in self._unanswered:
            if out := self._answer(path, datagram):
                self.wire.send(path, out)
        self._unanswered.clear()

    def wake(self, now):
        self.alarm = NEVER
        self.woken_at = now
        self.woken.set()
        if self.fault is not None:
            raise self.fault

    def drain(self, leave):
        self.drained.append(leave)

    def close(self):
        self.closed = True

    async def has_fed(self, count):
        """Return when so many datagrams have been fed."""
        while len(self.fed) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE_S)


def bound(family=socket.AF_INET, host="127.0.0.1", port=0, *, reuse=False, both=False):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
    sock.bind((host, port))
    return sock


class Berth:
    """One UDP socket and a mailbox on the loop that runs.

    Args:
        seat: its number.
        sock: bound; a new one otherwise.
        more: of its address.
        shared: others read it, too.
        key: of the daemon.
        answer: what a datagram of a path is answered with.
        relay: gives the seat of a datagram, None for this one.
    """

    def __init__(self, seat=0, sock=None, *more, shared=False, key=KEY, answer=None, relay=None):
        self.loop = asyncio.get_running_loop()
        self.faults = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.changes = 0
        self.failures = []
        self.links = Links(
            Deadlines(self.loop),
            self._changed,
            lambda: True,
            lambda *what: self.failures.append(what),
        )
        box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        box.setblocking(False)
        box.bind(mailbox(key, seat))
        self.sock = sock or bound()
        self.socks = [self.sock, *more]
        self.address = self.sock.getsockname()
        self.mailbox = Mailbox(self.loop, box, seat, key)
        self.udp = UdpSocket(self.loop, self.socks, shared, self.links, self.mailbox)
        self.hall = self.udp.hall = Hall(self.udp, answer)
        if relay is not None:
            self._relay_some(relay)
        self.mailbox.open([self.udp])
        self.udp.open()

    def _relay_some(self, seat_of):
        feed = self.hall.feed

        def sort(path, datagram, now):
            seat = seat_of(datagram)
            if seat is None:
                feed(path, datagram, now)
            else:
                self.udp.relay(seat, path, datagram)

        self.hall.feed = sort

    def _changed(self):
        self.changes += 1

    def close(self):
        self.udp.close()
        self.mailbox.close()


async def received(loop, sock, count):
    """So many datagrams of a socket without UDP_GRO: as the network has them."""
    got = []
    readable = asyncio.Event()
    loop.add_reader(sock.fileno(), readable.set)
    try:
        while len(got) < count:
            await asyncio.wait_for(readable.wait(), PATIENCE_S)
            readable.clear()
            with contextlib.suppress(BlockingIOError):
                while len(got) < count:
                    got.append(sock.recvfrom(65535))
    finally:
        loop.remove_reader(sock.fileno())
    return got

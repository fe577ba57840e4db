"""A worker that reads datagrams: what its halls are made with, and that their connections count."""

from __future__ import annotations

import asyncio
import os
import socket
from array import array
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from types import SimpleNamespace

import pytest

from granian_d.control.channel import Berth, Drain, sealed_memory
from granian_d.engine.connection_ids import mailbox
from granian_d.engine.contract import NEVER
from granian_d.errors import ConfigError
from granian_d.http.turn import Turn
from granian_d.observe.scoreboard import ACCEPTED, ACTIVE, CONNECTIONS, CONNECTIONS_FAILED, WORDS
from granian_d.plan.model import CertificatePlan, TlsPlan
from granian_d.transport.tls_context import Contexts, encode, read_material
from granian_d.worker import doors, halls
from granian_d.worker.desk import Desk
from granian_d.worker.serving import Serving, make_interface
from tests.certificates import Authority
from tests.unit.plan import specimens
from tests.unit.transport import hall as halls_of_tests
from tests.unit.transport.hall import KEY, PATIENCE_S, bound

AUTHORITY = Authority()
HOST = AUTHORITY.issue("localhost")
ORDER = Drain(budget_s=60.0, idle_s=5.0, restarting=True, stream_s=60.0)


class Hall(halls_of_tests.Hall):
    """It begins a connection for a datagram of "hello", and says what it was made with."""

    made: Hall

    def __init__(self, wire, terms, service, limits, clock):
        super().__init__(wire, answer=lambda *_: None)
        self.terms = terms
        self.limits = limits
        self.credentials = [terms.credentials]
        self.fits = True
        type(self).made = self

    def feed(self, path, datagram, now):
        super().feed(path, datagram, now)
        if datagram == b"hello":
            self.wire.opened(Link(self.wire))

    def renew(self, credentials):
        if not self.fits:
            raise ConfigError("no key for QUIC")
        self.credentials.append(credentials)


class Link:
    """A connection with at most one exchange."""

    def __init__(self, wire, exchange=None):
        self.wire = wire
        self.deadline = NEVER
        self.exchange = exchange
        self.calls = []

    def under_way(self, found):
        if self.exchange is not None:
            found.append(self.exchange)

    def queued_bytes(self):
        return 0

    def __getattr__(self, name):
        if name not in ("abort", "finish", "reset", "expire", "drain"):
            raise AttributeError(name)
        return lambda *_: self.calls.append(name)


async def app(scope, receive, send):
    """Nobody asks it."""


class Log:
    def __init__(self):
        self.events = []

    def event(self, name, **facts):
        self.events.append((name, facts))


def tls_plan(tmp_path, issued=HOST):
    certificate, key = issued.write(tmp_path, "host")
    return TlsPlan(
        certificates=(CertificatePlan(certificate=certificate, keyfile=key, password="sesame"),),
        protocol_min="tls1.3",
        ciphers="ECDHE+AESGCM",
        ca="",
        crls=(),
        client_certificate="none",
        alpn=("h2", "http/1.1"),
        handshake_timeout_s=7.0,
        ticket_lifetime_s=3600.0,
    )


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A worker's inside with a UDP socket at the port of its listener, on the loop that runs."""
    monkeypatch.setattr(halls, "choose_hall", lambda _: Hall)

    @asynccontextmanager
    async def open_room(**changes):
        stream = socket.create_server(("127.0.0.1", 0))
        stream.setblocking(False)
        sock = bound(port=stream.getsockname()[1])
        listener = specimens.tcp(port=stream.getsockname()[1], tls=True, http3=True)
        tls = tls_plan(tmp_path)
        worker = specimens.worker_plan(
            interface="asginl",
            limits=specimens.limits(http3=specimens.HTTP3),
            **{"backpressure": 2, **changes},
        )
        plan = specimens.daemon_plan(listener, tls=tls, quic=specimens.QUIC, worker=worker)
        box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        box.bind(mailbox(KEY, 3))
        box.setblocking(False)
        row = memoryview(array("Q", [0] * WORDS))
        desk = Desk(row, Log(), None, row)
        loop, turn = asyncio.get_running_loop(), Turn()
        serving = Serving(
            plan,
            [(listener, stream)],
            Contexts(tls, read_material(tls)._replace(ticket_keys=b"k" * 80)),
            desk,
            make_interface(plan, app, loop, row, turn),
            loop,
            turn,
            Berth(3, KEY, ((listener, sock, False),), box),
            generation=300,
        )
        serving.open()
        with bound() as client:
            client.connect(sock.getsockname())
            view = SimpleNamespace(
                serving=serving, hall=Hall.made, row=row, log=desk.log, client=client, plan=plan
            )
            view.port = sock.getsockname()[1]
            view.wire = Hall.made.wire
            yield view
            if not serving._drain.begun:
                serving.drain(ORDER)
                for link in list(serving._connections.open):
                    view.wire.closed(link)
                await asyncio.wait_for(serving.until_empty(), PATIENCE_S)

    return open_room


def play(story):
    asyncio.run(asyncio.wait_for(story, PATIENCE_S))


def test_what_a_hall_is_made_with(room):
    async def story():
        async with room() as made:
            terms = made.hall.terms
            assert (terms.seat, terms.generation, terms.key) == (3, 300, KEY)
            assert terms.server == ("127.0.0.1", made.port)
            ((chain, key, password),) = terms.credentials.pairs
            assert (chain, key, password) == (HOST.pem, HOST.key_pem, "sesame")
            assert terms.credentials.ticket_keys == b"k" * 80
            assert terms.credentials.ticket_lifetime_s == 3600.0
            assert terms.handshake_timeout_s == 7.0
            assert made.hall.limits.alt_svc == ""

    play(story())


def test_its_connections_count_and_end_with_a_drain(room):
    async def story():
        async with room() as made:
            link = Link(made.wire)
            made.wire.opened(link)
            assert (made.row[CONNECTIONS], made.row[ACCEPTED]) == (1, 1)
            made.serving.drain(ORDER)
            (leave,) = made.hall.drained
            assert (leave.idle_s, leave.restarting) == (5.0, True)
            ending = asyncio.create_task(made.serving.until_empty())
            await asyncio.sleep(0)
            assert not ending.done()
            made.wire.closed(link)
            assert made.row[CONNECTIONS] == 0
            await ending
            assert made.hall.closed
            with pytest.raises(ConnectionRefusedError):  # the socket is closed
                for _ in range(2):
                    made.client.send(b"hello")

    play(story())


def test_who_comes_at_the_very_end_is_served(room):
    """A datagram that was in the socket when the last connection ended."""

    async def story():
        async with room() as made:
            made.serving.drain(ORDER)
            made.client.send(b"hello")
            ending = asyncio.create_task(made.serving.until_empty())
            while not made.row[CONNECTIONS]:
                await asyncio.sleep(0)
            assert not ending.done()
            (link,) = made.serving._connections.open
            made.wire.closed(link)
            await ending

    play(story())


def test_a_spent_budget_ends_what_still_comes(room):
    async def story():
        async with room() as made:
            link = Link(made.wire)
            made.wire.opened(link)
            made.serving.drain(ORDER._replace(budget_s=0.0, stream_s=0.0))
            await made.serving.until_empty()
            assert link.calls == ["finish"]
            assert made.hall.closed

    play(story())


def test_both_kinds_of_connections_have_the_same_room(room):
    async def story():
        async with room(backpressure=1) as made:
            assert made.wire.has_room()
            link = Link(made.wire)
            made.wire.opened(link)
            assert not made.wire.has_room()
            with socket.create_connection(("127.0.0.1", made.port)):  # waits in the queue
                for _ in range(10):
                    await asyncio.sleep(0)
                assert made.row[ACCEPTED] == 1
                made.wire.closed(link)
                while made.row[ACCEPTED] < 2:
                    await asyncio.sleep(0)
                assert not made.wire.has_room()
            while made.row[CONNECTIONS]:
                await asyncio.sleep(0)
            assert made.wire.has_room()

    play(story())


def test_who_asks_for_exchanges_is_told_of_those_of_halls(room):
    async def story():
        async with room() as made:
            connections = made.serving._connections
            one, two = Link(made.wire, exchange="first"), Link(made.wire)
            made.row[ACTIVE] = 1
            for link in (one, two):
                made.wire.opened(link)
            assert connections.under_way() == ["first"]
            assert len(connections.open) == 2
            assert set(connections.open) == {one, two}
            assert one in connections.open
            made.wire.closed(one)
            assert one not in connections.open
            made.wire.closed(two)

    play(story())


def test_new_certificates_are_for_halls_too(room, tmp_path):
    async def story():
        async with room() as made:
            renewed = AUTHORITY.issue("renewed")
            material = encode(read_material(tls_plan(tmp_path, renewed)))
            made.serving.renew([sealed_memory(material)])
            ((chain, _, _),) = made.hall.credentials[-1].pairs
            assert chain == renewed.pem
            made.hall.fits = False
            made.serving.renew([sealed_memory(material)])
            assert made.log.events == [("tls_renewal_failed", {"reason": "no key for QUIC"})]

    play(story())


def test_a_failed_handshake_is_told(room):
    async def story():
        async with room() as made:
            made.wire.failed(SimpleNamespace(client=("192.0.2.1", 9)), "no cipher")
            assert made.row[CONNECTIONS_FAILED] == 1
            ((name, facts),) = made.log.events
            assert (name, facts["client"], facts["reason"]) == (
                "tls_failed",
                "192.0.2.1",
                "no cipher",
            )

    play(story())


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({}, 'h3=":{port}"; ma=86400'),
        ({"alt_svc_port": 443, "alt_svc_max_age_s": 60.0}, 'h3=":443"; ma=60'),
        ({"alt_svc_max_age_s": 0.0}, ""),
    ],
)
def test_what_doors_beside_it_advertise(tmp_path, changes, value):
    seen = []

    def maker(wire, peer, service, limits, clock):
        seen.append(limits.alt_svc)

    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        port = sock.getsockname()[1]
        with_h3, without = specimens.tcp(tls=True, http3=True), specimens.tcp(tls=True)
        plan = specimens.daemon_plan(with_h3, quic=replace(specimens.QUIC, **changes))
        for listener in (with_h3, without):
            made = doors._advertising(maker, plan, listener, sock)
            made(None, None, None, plan.worker.limits, None)
    assert seen == [value.format(port=port), ""]


def test_a_child_of_the_application_has_nothing_of_it():
    box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock = bound()
    berth = Berth(1, os.urandom(32), ((specimens.tcp(), sock, False),), box)
    berth.close()
    assert (sock.fileno(), box.fileno()) == (-1, -1)

"""The TLS layer between a transport and an endpoint: what both see, on every transport and loop."""

from __future__ import annotations

import random
import socket
import ssl
import sys
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest

from granian_d.engine.contract import Leave
from granian_d.plan import CertificatePlan, TlsPlan
from granian_d.transport.deadlines import TICK_S
from granian_d.transport.tls import JOINED_BYTES, RECORD_BYTES, Secured
from granian_d.transport.tls_context import Contexts, mute_odd_names, read_material
from tests.certificates import Authority
from tests.unit.transport.bench import BLOCK, MUCH, Endpoint, fill
from tests.unit.transport.house import reset

AUTHORITY = Authority()
HOST = AUTHORITY.issue("localhost")
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Client:
    """A peer that speaks TLS over a bare socket."""

    def __init__(self, loop, sock, context, name="localhost"):
        self.loop = loop
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.talk = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    async def step(self, act, *arguments):
        """Do it, for as long as OpenSSL wants to read or write for it."""
        while True:
            try:
                result = act(*arguments)
            except ssl.SSLWantReadError:
                await self.flush()
                await self.listen()
                continue
            except ssl.SSLError:
                await self.flush()
                raise
            await self.flush()
            return result

    async def flush(self):
        if self.outgoing.pending:
            await self.loop.sock_sendall(self.sock, self.outgoing.read())

    async def listen(self):
        if data := await self.loop.sock_recv(self.sock, 65536):
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    async def shake_hands(self):
        await self.step(self.talk.do_handshake)
        return self

    async def send(self, data):
        at = 0
        while at < len(data):
            at += await self.step(self.talk.write, memoryview(data)[at:])

    async def receive(self, count):
        data = bytearray()
        while len(data) < count:
            part = await self.step(self.talk.read, count - len(data))
            assert part, f"closed after {len(data)} of {count} bytes"
            data += part
        return bytes(data)

    async def receive_all(self):
        """Until close_notify; an end without it is an SSLEOFError."""
        data = bytearray()
        while part := await self.step(self.talk.read, 65536):
            data += part
        return bytes(data)


class Secure:
    """A bench whose connections are secured."""

    def __init__(self, bench, plan, version=None):
        self.bench = bench
        self.failures = []
        self.protocols = []
        self.door = Secured(
            Contexts(plan, read_material(plan)),
            self.choose,
            plan.handshake_timeout_s,
            bench.loop.call_soon,
            lambda _, reason: self.failures.append(reason),
        )
        self.context = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
        if version is not None:
            self.context.minimum_version = self.context.maximum_version = version
        self.inner = bench.maker
        bench.maker = self.door

    def choose(self, protocol):
        self.protocols.append(protocol)
        return self.inner

    async def dial(self, **how):
        """A peer that has not said anything, and no endpoint yet."""
        listener = self.bench.listener(how.pop("address", ("127.0.0.1", 0)))
        sock = self.bench.client(listener)
        ours, _ = listener.accept()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await self.bench.take(ours)
        return Client(self.bench.loop, sock, self.context, **how)

    async def meet(self, **how):
        """A peer and the endpoint, behind the handshake."""
        client = await self.dial(**how)
        await client.shake_hands()
        while not self.bench.endpoints:  # of TLS 1.3 the peer is done first
            await self.bench.settle()
        return client, self.bench.endpoints[-1]


@pytest.fixture
def plan(tmp_path):
    certificate, key = HOST.write(tmp_path, "host")
    return TlsPlan(
        certificates=(CertificatePlan(certificate=certificate, keyfile=key, password=""),),
        protocol_min="tls1.2",
        ciphers="ECDHE+AESGCM",
        ca="",
        crls=(),
        client_certificate="none",
        alpn=("h2", "http/1.1"),
        handshake_timeout_s=10.0,
        ticket_lifetime_s=0.0,
    )


@pytest.fixture(params=VERSIONS)
def secure(request, bench, plan):
    return Secure(bench, plan, VERSIONS[request.param])


@pytest.fixture
def secure13(bench, plan):
    """For what both versions have in common."""
    return Secure(bench, plan)


class TestHandshake:
    def test_bytes_go_both_ways(self, secure, bench):
        async def scenario():
            client, endpoint = await secure.meet()
            await client.send(b"GET /")
            await endpoint.until_received(5)
            assert endpoint.wire.write(b"200 ")
            assert endpoint.wire.write(b"OK")
            assert await client.receive(6) == b"200 OK"
            assert endpoint.peer.scheme == "https"
            assert endpoint.peer.client[0] == "127.0.0.1"

        bench.run(scenario())

    def test_over_a_unix_socket(self, secure13, bench, tmp_path):
        async def scenario():
            client, endpoint = await secure13.meet(address=f"{tmp_path}/s")
            await client.send(b"x" * 100_000)
            await endpoint.until_received(100_000)
            assert endpoint.peer.server == (f"{tmp_path}/s", None)

        bench.run(scenario())

    def test_the_facts(self, secure, bench):
        async def scenario():
            client, endpoint = await secure.meet()
            facts = endpoint.peer.tls
            name, version, _ = client.talk.cipher()
            assert facts.version == {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}[version]
            assert facts.cipher_name == name
            number = {"TLS_AES_256_GCM_SHA384": 0x1302, "ECDHE-ECDSA-AES256-GCM-SHA384": 0xC02C}
            assert facts.cipher == number[name]
            assert facts.server_name == "localhost"
            assert facts.server_certificate == HOST.pem.decode()
            assert (facts.client_chain, facts.client_name) == ((), "")

        bench.run(scenario())

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [(["http/1.1"], "http/1.1"), (["http/1.1", "h2"], "h2"), ([], None), (["spdy/1"], None)],
    )
    def test_alpn_chooses_the_engine(self, secure13, bench, offered, chosen):
        async def scenario():
            if offered:
                secure13.context.set_alpn_protocols(offered)
            client, _ = await secure13.meet()
            assert client.talk.selected_alpn_protocol() == chosen
            assert secure13.protocols == [chosen]

        bench.run(scenario())

    def test_byte_by_byte(self, secure, bench):
        async def scenario():
            client = await secure.dial()

            async def trickle():
                for at in client.outgoing.read():
                    await bench.send(client.sock, bytes([at]))
                    await bench.settle()

            client.flush = trickle
            await client.shake_hands()
            await client.send(b"all")
            while not bench.endpoints:
                await bench.settle()
            await bench.endpoints[0].until_received(3)

        bench.run(scenario())

    def test_the_first_request_may_come_with_the_end_of_it(self, secure, bench):
        async def scenario():
            client = await secure.dial()
            flush, client.flush = client.flush, bench.settle

            async def last():
                if client.talk.version() is None:
                    await flush()

            client.flush = last
            await client.step(client.talk.do_handshake)
            client.talk.write(b"early")
            client.flush = flush
            await flush()
            while not bench.endpoints:
                await bench.settle()
            await bench.endpoints[0].until_received(5)

        bench.run(scenario())

    def test_no_tls_at_all(self, secure13, bench):
        async def scenario():
            client = await secure13.dial()
            await bench.send(client.sock, b"GET / HTTP/1.1\r\n\r\n")
            assert b"HTTP/1.1" not in await bench.receive_all(client.sock)
            assert secure13.failures == ["http request"]
            assert bench.endpoints == []

        bench.run(scenario())

    def test_a_name_that_is_none(self, secure13, bench, monkeypatch):
        """It ends the handshake and is no fault of ours; all other faults are told as ever."""
        told = []
        monkeypatch.setattr(sys, "unraisablehook", told.append)
        mute_odd_names()

        async def scenario():
            client = await secure13.dial()
            with pytest.raises(ssl.SSLWantReadError):
                client.talk.do_handshake()
            hello = client.outgoing.read().replace(b"localhost", b"local\xffost")
            await bench.send(client.sock, hello)
            await bench.receive_all(client.sock)
            assert len(secure13.failures) == 1

        bench.run(scenario())
        assert told == []
        sys.unraisablehook(SimpleNamespace(exc_type=ValueError, object=b""))
        sys.unraisablehook(SimpleNamespace(exc_type=UnicodeDecodeError, object=None))
        assert len(told) == 2

    def test_an_old_version_is_told_so(self, bench, plan):
        secure = Secure(bench, replace(plan, protocol_min="tls1.3"), VERSIONS["1.2"])

        async def scenario():
            client = await secure.dial()
            with pytest.raises(ssl.SSLError, match="alert protocol version"):
                await client.shake_hands()
            assert secure.failures == ["unsupported protocol"]

        bench.run(scenario())

    def test_a_client_that_mistrusts_us(self, secure, bench):
        async def scenario():
            secure.context.check_hostname = True
            client = await secure.dial(name="elsewhere")
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.shake_hands()
            client.sock.close()
            while not bench.counts or bench.counts[-1]:
                await bench.settle()
            assert len(secure.failures) == 1
            assert bench.endpoints == []

        bench.run(scenario())

    @pytest.mark.parametrize("begun", [False, True])
    def test_it_may_not_take_for_ever(self, secure13, bench, begun):
        async def scenario():
            client = await secure13.dial()
            if begun:
                await bench.send(client.sock, b"\x16\x03")
                await bench.settle()
            bench.pass_time(10.0)
            assert secure13.failures == []
            bench.pass_time(TICK_S)
            assert secure13.failures == ["it took longer than 10 s"]
            with pytest.raises(ConnectionResetError):
                await bench.receive_all(client.sock)

        bench.run(scenario())

    @pytest.mark.parametrize("how", ["end", "reset"])
    @pytest.mark.parametrize("begun", [False, True])
    def test_a_peer_that_goes(self, secure13, bench, begun, how):
        async def scenario():
            client = await secure13.dial()
            if begun:
                await bench.send(client.sock, b"\x16\x03")
                await bench.settle()
            if how == "end":
                client.sock.shutdown(socket.SHUT_WR)
                assert await bench.receive_all(client.sock) == b""
                client.sock.close()
            else:
                reset(client.sock)
            while bench.counts[-1]:
                await bench.settle()
            assert len(secure13.failures) == begun, "who says nothing only looks whether we live"

        bench.run(scenario())


class TestWriting:
    def test_what_is_written_in_a_feed_leaves_as_one_record(self, secure13, bench):
        async def scenario():
            client, endpoint = await secure13.meet()

            def answer():
                for part in (b"head", b"body", b"", b"tail"):
                    assert endpoint.wire.write(part)
                assert endpoint.wire.queued_bytes() == 12

            endpoint.reactions["data"] = answer
            await client.send(b"ask")
            await client.listen()
            assert client.talk.read(RECORD_BYTES) == b"headbodytail"
            assert client.incoming.pending == 0

        bench.run(scenario())

    @pytest.mark.parametrize("in_a_feed", [False, True])
    def test_more_than_all_buffers_hold(self, secure, bench, in_a_feed):
        async def scenario():
            client, endpoint = await secure.meet()
            told = []

            def answer():
                told.append(endpoint.wire.write(MUCH))
                told.append(endpoint.wire.write(b"end"))

            if in_a_feed:
                endpoint.reactions["data"] = answer
                await client.send(b"ask")
                await endpoint.until("data")
            else:
                answer()
            assert told == [False, False]
            queued = endpoint.wire.queued_bytes()
            assert queued > len(MUCH) // 2
            assert await client.receive(len(MUCH) + 3) == MUCH + b"end"
            await endpoint.until("room")
            assert endpoint.wire.queued_bytes() < queued
            assert endpoint.wire.write(b"on")
            assert await client.receive(2) == b"on"

        bench.run(scenario())

    def test_room_is_told_to_whoever_was_told_to_wait(self, secure13, bench):
        async def scenario():
            client, endpoint = await secure13.meet()
            for _ in range(3):
                count = endpoint.kinds.count("room")
                written = fill(endpoint)
                assert await client.receive(written) == BLOCK * (written // len(BLOCK))
                while endpoint.kinds.count("room") == count:
                    await bench.settle()

        bench.run(scenario())

    def test_large_parts_of_a_feed_do_not_wait_for_its_end(self, secure13, bench):
        async def scenario():
            client, endpoint = await secure13.meet()
            left = []

            def answer():
                endpoint.wire.write(b"x" * (JOINED_BYTES + 1))
                left.append(endpoint.wire.queued_bytes() < JOINED_BYTES * 4)

            endpoint.reactions["data"] = answer
            await client.send(b"ask")
            assert len(await client.receive(JOINED_BYTES + 1)) == JOINED_BYTES + 1
            assert left == [True]

        bench.run(scenario())


class TestReading:
    @pytest.mark.parametrize("size", [1, RECORD_BYTES, RECORD_BYTES + 1, 300_000])
    def test_parts_of_all_sizes(self, secure, bench, size):
        async def scenario():
            client, endpoint = await secure.meet()
            await client.send(b"z" * size)
            await endpoint.until_received(size)
            assert endpoint.data == b"z" * size

        bench.run(scenario())

    def test_a_pause_holds_back_what_is_decrypted_already(self, secure, bench):
        async def scenario():
            client, endpoint = await secure.meet()
            endpoint.reactions["data"] = endpoint.wire.pause
            client.talk.write(b"one")
            client.talk.write(b"two")
            client.talk.write(b"three")
            await client.flush()
            await endpoint.until("data")
            await bench.settle()
            assert endpoint.data == b"one"
            endpoint.wire.resume()
            assert endpoint.data == b"one", "never from within the call"
            await endpoint.until_received(6)
            await bench.settle()
            assert endpoint.data == b"onetwo"
            endpoint.reactions.clear()
            endpoint.wire.resume()
            await endpoint.until_received(11)
            assert endpoint.data == b"onetwothree"

        bench.run(scenario())

    @pytest.mark.parametrize("polite", [True, False])
    def test_the_end_comes_behind_what_a_pause_held_back(self, secure, bench, polite):
        async def scenario():
            client, endpoint = await secure.meet()
            endpoint.reactions["data"] = endpoint.wire.pause
            client.talk.write(b"one")
            client.talk.write(b"two")
            if polite:
                with pytest.raises(ssl.SSLWantReadError):
                    client.talk.unwrap()
            await client.flush()
            client.sock.shutdown(socket.SHUT_WR)
            await endpoint.until("data")
            await bench.settle()
            assert endpoint.kinds == ["data"]
            endpoint.reactions.clear()
            endpoint.wire.resume()
            await endpoint.until("eof")
            await bench.settle()
            assert endpoint.data == b"onetwo"
            assert endpoint.kinds == ["data", "eof"]

        bench.run(scenario())

    @pytest.mark.parametrize("seed", range(3))
    def test_no_pause_loses_anything(self, secure, bench, seed):
        dice = random.Random(seed)
        stream = dice.randbytes(1 << 19)

        async def scenario():
            client, endpoint = await secure.meet()

            def hesitate():
                dice.choice([endpoint.wire.pause, endpoint.wire.resume])()

            async def flush():
                data = client.outgoing.read()
                while data:
                    try:
                        data = data[client.sock.send(data) :]
                    except BlockingIOError:
                        hesitate()
                        await bench.settle()

            endpoint.reactions["data"] = hesitate
            at = 0
            while at < len(stream):
                at += client.talk.write(stream[at : at + dice.choice([1, 1000, 16384, 50_000])])
                if dice.random() < 0.5:
                    await flush()
                    hesitate()
            with pytest.raises(ssl.SSLWantReadError):
                client.talk.unwrap()
            await flush()
            client.sock.shutdown(socket.SHUT_WR)
            endpoint.reactions.clear()
            endpoint.wire.resume()
            await endpoint.until("eof")
            await bench.settle()
            assert endpoint.data == stream
            assert endpoint.kinds == ["data", "eof"]

        bench.run(scenario())

    @pytest.mark.parametrize("polite", [True, False])
    def test_a_half_closed_peer_is_answered(self, secure, bench, polite):
        async def scenario():
            client, endpoint = await secure.meet()
            client.talk.write(b"ask")
            if polite:
                with pytest.raises(ssl.SSLWantReadError):
                    client.talk.unwrap()
            await client.flush()
            if not polite:
                client.sock.shutdown(socket.SHUT_WR)
            await endpoint.until("eof")
            endpoint.wire.write(b"answer")
            endpoint.wire.finish()
            assert len(await bench.receive_all(client.sock)) > len(b"answer")
            client.sock.close()
            await endpoint.until("lost")
            assert endpoint.kinds == ["data", "eof", "lost"]

        bench.run(scenario())

    def test_a_record_that_was_tampered_with(self, secure, bench):
        async def scenario():
            client, endpoint = await secure.meet()
            client.talk.write(b"genuine")
            record = bytearray(client.outgoing.read())
            record[-1] ^= 1
            await bench.send(client.sock, bytes(record))
            with pytest.raises(ssl.SSLError, match="bad record mac"):
                await client.receive(1)
            client.sock.close()
            await endpoint.until("lost")
            assert endpoint.kinds == ["lost"]
            assert len(secure.failures) == 1
            assert not endpoint.wire.write(b"more")

        bench.run(scenario())


class TestEnds:
    def test_finish_says_so(self, secure, bench):
        async def scenario():
            client, endpoint = await secure.meet()
            endpoint.wire.write(b"last")
            endpoint.wire.finish()
            endpoint.wire.finish()
            assert not endpoint.wire.write(b"too late")
            assert await client.receive_all() == b"last"
            client.sock.close()
            await endpoint.until("lost")
            await bench.settle()
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())

    def test_finish_in_a_feed(self, secure, bench):
        async def scenario():
            client, endpoint = await secure.meet()

            def answer():
                endpoint.wire.write(b"last")
                endpoint.wire.finish()

            endpoint.reactions["data"] = answer
            client.talk.write(b"one")
            client.talk.write(b"two")
            await client.flush()
            assert await client.receive_all() == b"last"
            assert endpoint.data == b"one"
            client.sock.close()
            await endpoint.until("lost")

        bench.run(scenario())

    def test_an_abort_is_no_end(self, secure, bench):
        async def scenario():
            client, endpoint = await secure.meet()
            endpoint.wire.write(b"half")
            await client.receive(4)
            endpoint.wire.abort()
            with pytest.raises((ConnectionResetError, ssl.SSLError)):
                await client.receive_all()
            await endpoint.until("lost")

        bench.run(scenario())

    def test_a_lost_wire_takes_orders_without_complaint(self, secure13, bench):
        async def scenario():
            client, endpoint = await secure13.meet()
            reset(client.sock)
            await endpoint.until("lost")
            wire = endpoint.wire
            assert not wire.write(b"x")
            wire.pause()
            wire.resume()
            wire.switch(endpoint)
            wire.finish()
            wire.abort()
            assert wire.queued_bytes() == 0
            await bench.settle()
            assert endpoint.kinds[-1] == "lost"

        bench.run(scenario())

    @pytest.mark.parametrize("transport", ["direct"], indirect=True)
    def test_nothing_is_left_of_it(self, secure13, bench):
        """No cycle: layer and endpoint go with the connection, not with the garbage collector."""

        async def scenario():
            client, endpoint = await secure13.meet()
            layer = weakref.ref(endpoint.wire)
            reset(client.sock)
            await endpoint.until("lost")
            bench.endpoints.clear()
            del endpoint
            await bench.settle()
            assert layer() is None

        bench.run(scenario())

    def test_an_engine_that_fails_in_what_a_pause_held_back(self, secure13, bench):
        async def scenario():
            client, endpoint = await secure13.meet()
            endpoint.reactions["data"] = endpoint.wire.pause
            client.talk.write(b"one")
            client.talk.write(b"two")
            await client.flush()
            await endpoint.until("data")

            def fail():
                raise ValueError("of the engine")

            endpoint.reactions["data"] = fail
            endpoint.wire.resume()
            await endpoint.until("lost")
            (report,) = bench.reports
            assert str(report["exception"]) == "of the engine"
            bench.reports.clear()

        bench.run(scenario())


class TestTheRest:
    def test_deadlines_are_the_endpoints(self, secure13, bench):
        async def scenario():
            _, endpoint = await secure13.meet()
            bench.pass_time(3600.0)
            assert endpoint.fed == []
            endpoint.deadline = endpoint.clock.now + 5.0
            endpoint.reactions["expire"] = lambda: setattr(endpoint, "deadline", float("inf"))
            bench.pass_time(5.0)
            assert endpoint.fed == []
            bench.pass_time(TICK_S)
            assert endpoint.kinds == ["expire"]

        bench.run(scenario())

    def test_a_drain_reaches_the_endpoint(self, secure13, bench):
        async def scenario():
            _, endpoint = await secure13.meet()
            bench.connections.drain(Leave(3.0))
            assert endpoint.fed == [("drain", 3.0)]

        bench.run(scenario())

    def test_what_is_under_way_is_the_endpoints(self, secure13, bench):
        async def scenario():
            shaking = await secure13.dial()
            while not bench.connections.open:
                await bench.settle()
            assert bench.connections.under_way() == []
            _, endpoint = await secure13.meet()
            endpoint.exchanges = [one, two] = [object(), object()]
            assert bench.connections.under_way() == [one, two]
            for connection in bench.connections.open:
                found = []
                connection.under_way(found)
                if found:
                    connection.reset(two)
            assert endpoint.fed == [("reset", two)]
            shaking.sock.close()

        bench.run(scenario())

    def test_a_drain_before_the_handshake_waits_for_it(self, secure13, bench):
        async def scenario():
            client = await secure13.dial()
            bench.connections.drain(Leave(3.0))
            await client.shake_hands()
            while not bench.endpoints:
                await bench.settle()
            assert bench.endpoints[0].fed == [("drain", 3.0)]

        bench.run(scenario())

    def test_but_not_for_ever(self, secure13, bench):
        async def scenario():
            client = await secure13.dial()
            bench.connections.drain(Leave(1.0))
            bench.pass_time(1.0 + TICK_S)
            with pytest.raises(ConnectionResetError):
                await bench.receive_all(client.sock)

        bench.run(scenario())

    def test_another_protocol_takes_over(self, secure13, bench):
        async def scenario():
            client, endpoint = await secure13.meet()
            other = Endpoint(endpoint.wire, endpoint.peer, None, None, endpoint.clock)
            endpoint.reactions["data"] = lambda: endpoint.wire.switch(other)
            client.talk.write(b"old")
            client.talk.write(b"new")
            await client.flush()
            await other.until_received(3)
            assert (endpoint.data, other.data) == (b"old", b"new")
            other.wire.write(b"yes")
            assert await client.receive(3) == b"yes"
            reset(client.sock)
            await other.until("lost")
            assert endpoint.kinds == ["data"]
            bench.endpoints[:] = [other]

        bench.run(scenario())

"""Connections that begin with a PROXY header, on real sockets."""

from __future__ import annotations

import itertools
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from granian_d.engine.contract import Clock, Leave
from granian_d.http.message import Peer
from granian_d.transport.proxy_protocol import ProxyEndpoint, behind_proxy
from tests.unit.plan import specimens
from tests.unit.transport.bench import Endpoint
from tests.unit.transport.proxy_headers import block, ip_block, line, tls_vector, unix_block

CLIENT, SERVER = ("192.0.2.7", 56324), ("198.51.100.1", 443)
HEADERS = {
    "line": line(CLIENT, SERVER),
    "block": ip_block(CLIENT, SERVER),
}


class Service:
    """Writes down what is refused."""

    def __init__(self):
        self.observer = self
        self.refusals = []

    def refused(self, peer, violation):
        self.refusals.append((peer, violation))


class Gate:
    """The bench's endpoints behind a PROXY header."""

    def __init__(self, bench):
        self.bench = bench
        self.service = Service()
        self.layers = []
        make = behind_proxy(bench.maker)

        def maker(wire, peer, _, limits, clock):
            self.layers.append(make(wire, peer, self.service, limits, clock))
            return self.layers[-1]

        bench.maker = maker

    async def connect(self, address=("127.0.0.1", 0)):
        """A client; no endpoint has been made for it yet."""
        listener = self.bench.listener(address)
        client = self.bench.client(listener)
        sock, _ = listener.accept()
        sock.setblocking(False)
        await self.bench.take(sock)
        return client

    async def endpoint(self):
        while not self.bench.endpoints:
            await self.bench.settle()
        return self.bench.endpoints[-1]

    @property
    def reasons(self):
        return [violation.reason for _, violation in self.service.refusals]

    async def is_gone(self):
        while self.bench.connections.open:
            await self.bench.settle()


@pytest.fixture
def gate(bench):
    return Gate(bench)


@pytest.fixture(params=HEADERS)
def header(request):
    return HEADERS[request.param]


def test_the_header_names_the_ends(bench, gate, header):
    async def story():
        client = await gate.connect()
        await bench.send(client, header)
        endpoint = await gate.endpoint()
        await bench.settle()
        assert endpoint.fed == []
        assert (endpoint.peer.client, endpoint.peer.server) == (CLIENT, SERVER)
        assert (endpoint.peer.scheme, endpoint.peer.tls) == ("http", None)
        await bench.send(client, b"GET")
        await endpoint.until_received(3)
        assert endpoint.data == b"GET"
        endpoint.wire.write(b"answer")
        assert await bench.receive(client, 6) == b"answer"
        client.shutdown(socket.SHUT_WR)
        await endpoint.until("eof")
        endpoint.wire.finish()
        assert await bench.receive_all(client) == b""
        await endpoint.until("lost")
        assert endpoint.kinds == ["data", "eof", "lost"]

    bench.run(story())
    assert gate.reasons == []


def test_what_comes_with_the_header_is_fed(bench, gate, header):
    async def story():
        client = await gate.connect()
        bench.prepare = lambda endpoint: endpoint.reactions.update(
            data=lambda: endpoint.wire.write(endpoint.data)
        )
        await bench.send(client, header + b"GET")
        client.shutdown(socket.SHUT_WR)
        endpoint = await gate.endpoint()
        await endpoint.until("eof")
        assert endpoint.fed == [("data", b"GET"), ("eof",)]
        assert await bench.receive(client, 3) == b"GET"

    bench.run(story())


def test_the_end_right_behind_the_header_is_fed(bench, gate, header):
    async def story():
        client = await gate.connect()
        await bench.send(client, header)
        client.shutdown(socket.SHUT_WR)
        endpoint = await gate.endpoint()
        await endpoint.until("eof")
        assert endpoint.fed == [("eof",)]

    bench.run(story())


def test_a_header_octet_by_octet(bench, gate, header):
    async def story():
        client = await gate.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in header + b"G":
            await bench.send(client, bytes([octet]))
            await bench.settle()
        endpoint = await gate.endpoint()
        await endpoint.until_received(1)
        assert endpoint.fed == [("data", b"G")]
        assert endpoint.peer.client == CLIENT

    bench.run(story())


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", block(command=0x20), block(0, b"", transport=0)], ids=repr
)
def test_a_proxy_that_speaks_for_itself_has_the_connections_own_ends(bench, gate, header):
    async def story():
        client = await gate.connect()
        await bench.send(client, header)
        endpoint = await gate.endpoint()
        assert endpoint.peer.client == client.getsockname()
        assert endpoint.peer.server == client.getpeername()

    bench.run(story())


def test_a_client_with_tls_and_one_on_a_unix_socket(bench, gate):
    async def story():
        for header, expected in [
            (ip_block(CLIENT, SERVER, tls_vector(1)), (CLIENT, SERVER, "https")),
            (ip_block(CLIENT, SERVER, tls_vector(0)), (CLIENT, SERVER, "http")),
            (unix_block(b"", b"/run/front"), (None, ("/run/front", None), "http")),
        ]:
            client = await gate.connect()
            await bench.send(client, header + b"x")
            count = len(bench.endpoints)
            while len(bench.endpoints) == count:
                await bench.settle()
            peer = bench.endpoints[-1].peer
            assert (peer.client, peer.server, peer.scheme) == expected

    bench.run(story())


def test_a_connection_that_begins_otherwise_is_cut(bench, gate):
    async def story():
        client = await gate.connect()
        await bench.send(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await bench.receive_all(client)
        await gate.is_gone()

    bench.run(story())
    assert gate.reasons == ["a connection that does not begin with a PROXY header"]
    assert gate.service.refusals[0][0].client[0] == "127.0.0.1"
    assert bench.endpoints == []


def test_an_end_within_the_header_is_refused_and_one_before_it_is_not(bench, gate, header):
    async def story():
        client = await gate.connect()
        client.shutdown(socket.SHUT_WR)
        assert await bench.receive_all(client) == b""
        await gate.is_gone()
        assert gate.reasons == []
        client = await gate.connect()
        await bench.send(client, header[:-1])
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            await bench.receive_all(client)
        await gate.is_gone()

    bench.run(story())
    assert gate.reasons == ["an incomplete PROXY header"]
    assert bench.endpoints == []


def test_a_header_has_the_time_of_a_requests_head(bench, gate, header):
    bench.limit(head_timeout_s=5.0)

    async def story():
        silent = await gate.connect()
        slow = await gate.connect()
        await bench.send(slow, header[:-1])
        await bench.settle()
        bench.pass_time(4.5)
        await bench.settle()
        assert len(bench.connections.open) == 2
        bench.pass_time(1.0)
        assert await bench.receive_all(silent) == b""
        with pytest.raises(ConnectionResetError):
            await bench.receive_all(slow)
        silent.close()
        await gate.is_gone()

    bench.run(story())
    assert gate.reasons == ["a PROXY header that did not end in time"]
    assert bench.endpoints == []


def test_a_header_in_time_ends_the_wait(bench, gate, header):
    bench.limit(head_timeout_s=5.0)

    async def story():
        client = await gate.connect()
        await bench.send(client, header)
        endpoint = await gate.endpoint()
        bench.pass_time(60.0)
        await bench.settle()
        assert endpoint.fed == []
        endpoint.deadline = endpoint.clock.now
        bench.pass_time(0.5)
        assert set(endpoint.fed) == {("expire",)}

    bench.run(story())


def test_a_drain_before_the_header_reaches_the_endpoint_behind_it(bench, gate, header):
    async def story():
        client = await gate.connect()
        bench.connections.drain(Leave(7.0))
        await bench.send(client, header + b"GET")
        endpoint = await gate.endpoint()
        await endpoint.until("data")
        assert endpoint.fed == [("drain", 7.0), ("data", b"GET")]
        bench.connections.drain(Leave(3.0))
        assert endpoint.fed[-1] == ("drain", 3.0)

    bench.run(story())


def test_a_drained_connection_without_a_header_goes_when_it_has_idled(bench, gate):
    async def story():
        client = await gate.connect()
        bench.connections.drain(Leave(1.0))
        bench.pass_time(0.5)
        await bench.settle()
        assert len(bench.connections.open) == 1
        bench.pass_time(1.0)
        assert await bench.receive_all(client) == b""
        client.close()
        await gate.is_gone()

    bench.run(story())
    assert gate.reasons == []


def test_a_peer_that_goes_before_its_header_leaves_nothing(bench, gate):
    async def story():
        client = await gate.connect()
        client.close()
        await gate.is_gone()

    bench.run(story())
    assert gate.reasons == []
    assert bench.endpoints == []


def test_a_header_on_a_unix_socket(bench, gate, tmp_path):
    async def story():
        client = await gate.connect(str(tmp_path / "s"))
        await bench.send(client, line(CLIENT, SERVER) + b"x")
        endpoint = await gate.endpoint()
        assert (endpoint.peer.client, endpoint.peer.server) == (CLIENT, SERVER)

    bench.run(story())


class Wire:
    """Takes what it is told."""

    def __init__(self):
        self.endpoint = None
        self.ended = ""

    def switch(self, endpoint):
        self.endpoint = endpoint

    def abort(self):
        self.ended = "abort"

    def finish(self):
        self.ended = "finish"


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@given(body=st.binary(max_size=30), cuts=st.lists(st.integers(0, 300), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_it_is_split_the_same_is_fed(header, body, cuts):
    wire, service = Wire(), Service()
    peer = Peer(("127.0.0.1", 1), ("127.0.0.1", 2))
    first = ProxyEndpoint(Endpoint, wire, peer, service, specimens.limits(), Clock(0.0))
    stream = header + body
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, end in itertools.pairwise(places):
        (wire.endpoint or first).feed_data(stream[start:end])
    assert wire.endpoint.data == body
    assert wire.endpoint.peer.client == CLIENT
    assert (wire.ended, service.refusals) == ("", [])

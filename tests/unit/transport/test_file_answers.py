"""Files as answers, through both engines and both transports: `Exchange.send_file` on real sockets."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
from errno import EISDIR
from functools import partial

import pytest

from granian_d.engine.contract import Leave
from granian_d.errors import InvalidResponse
from granian_d.http import states
from granian_d.transport.deadlines import Deadlines
from tests.unit.plan.specimens import limits
from tests.unit.transport import transports
from tests.unit.transport.house import reset
from tests.unit.transport.ticks import Ticks
from tests.wire.harness import ENGINES, Record, request

STREAM = random.Random(2).randbytes(2 << 20)


class Files:
    """Answers a request with the file, "/small" with a few octets; what became of it is in `ends`."""

    def __init__(self, fd: int) -> None:
        self.observer = Record()
        self.fd = fd
        self.count = len(STREAM)
        self.length: int | None = len(STREAM)  # as declared
        self.early_head = False  # the head goes out before the file is known
        self.ends: list[tuple[bool, int]] = []
        self.done = lambda: None

    @property
    def last(self):
        return self.observer.begun[-1]

    def serve(self, exchange) -> None:
        if exchange.head.raw_path == b"/small":
            exchange.start(200, [])
            exchange.send(b"small", last=True)
            return
        declared = [] if self.length is None else [(b"content-length", b"%d" % self.length)]
        exchange.start(200, declared)
        if self.early_head:
            exchange.send(b"")
        exchange.send_file(self.fd, 0, self.count, partial(self._ended, exchange))

    def _ended(self, exchange, whole: bool) -> None:
        self.ends.append((whole, exchange.state))
        self.done()


class Place:
    """The service on a bench, and time by hand."""

    def __init__(self, bench, transport, engine, fd) -> None:
        self.bench = bench
        self.files = Files(fd)
        self._transport = transport
        bench.maker = ENGINES[engine]
        self.ticks = Ticks()
        self.limit()

    def limit(self, **changes) -> None:
        self.bench.connections = self.connections = transports.make(
            self._transport,
            self.bench.loop,
            self.files,
            limits(**changes),
            Deadlines(self.ticks),
            self.bench.counts.append,
        )

    async def connect(self):
        listener = self.bench.listener()
        client = self.bench.client(listener)
        sock, _ = listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await self.bench.take(sock)
        await self.bench.settle()
        return client

    async def ask(self, *requests: bytes):
        client = await self.connect()
        await self.bench.send(client, b"".join(requests))
        return client

    async def clear(self) -> None:
        for connection in list(self.connections.open):
            connection.abort()
        while self.connections.open:
            await self.bench.settle()


@pytest.fixture
def file(bench, tmp_path):
    path = tmp_path / "stream"
    path.write_bytes(STREAM)
    return bench.keep(path.open("r+b"))


@pytest.fixture(params=ENGINES)
def place(bench, transport, request, file):
    return Place(bench, transport, request.param, file.fileno())


@pytest.fixture
def play(bench, place):
    """Run a story to its end, and see that every file was accounted for once."""

    def play(story) -> None:
        async def scenario() -> None:
            await story(place)
            await place.clear()

        bench.run(scenario())
        assert len(place.files.observer.over) == len(place.files.observer.begun)

    return play


def forgive_asyncio(bench) -> None:
    """Its transport closes twice when it is aborted while it tells of room."""
    bench.reports[:] = [r for r in bench.reports if "_call_connection_lost" not in r["message"]]


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_a_file_between_small_answers(bench, play) -> None:
    async def story(place):
        small, file = request(path="/small"), request()
        end = request(path="/small", fields=["Connection: close"])
        client = await place.ask(small, file, small, file, end)
        rest = await bench.receive_all(client)
        for expected in (b"small", STREAM, b"small", STREAM, b"small"):
            assert rest.startswith(b"HTTP/1.1 200 ")
            rest = body_of(rest)
            assert rest.startswith(expected)
            rest = rest[len(expected) :]
        assert rest == b""
        assert place.files.ends == [(True, states.FINISHED)] * 2
        assert [exchange.sent_bytes for exchange in place.files.observer.over] == [
            5, len(STREAM), 5, len(STREAM), 5,
        ]  # fmt: skip

    play(story)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_file_of_undeclared_length(bench, play, version) -> None:
    async def story(place):
        place.files.length = None
        place.files.early_head = True
        client = await place.ask(
            f"GET / HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        body = body_of(await bench.receive_all(client))
        if version == "1.1":
            assert len(body) > len(STREAM), "in chunks"
            body = re.sub(rb"\A20000\r\n", b"", body)
            assert body.startswith(STREAM[:0x20000])
        else:
            assert body == STREAM
        assert place.files.ends == [(True, states.FINISHED)]

    play(story)


def test_head_is_answered_without_the_file(bench, play) -> None:
    async def story(place):
        place.files.fd = -1
        client = await place.ask(request("HEAD", fields=["Connection: close"]))
        answer = await bench.receive_all(client)
        assert b"\r\ncontent-length: %d\r\n" % len(STREAM) in answer
        assert body_of(answer) == b""
        assert place.files.ends == [(True, states.FINISHED)]
        assert place.files.last.sent_bytes == 0

    play(story)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("early_head", [True, False])
def test_a_file_that_became_shorter_cuts_the_connection(
    bench, play, file, when, early_head
) -> None:
    async def story(place):
        place.files.early_head = early_head
        if when == "before":
            file.truncate(1_000_000)
        client = await place.ask(request(), request(path="/small"))
        await bench.settle()
        assert len(place.files.ends) <= (when == "before")
        file.truncate(1_000_000)
        got = bytearray()
        with pytest.raises(ConnectionResetError):
            while part := await bench.loop.sock_recv(client, 65536):
                got += part
        assert len(body_of(bytes(got))) <= 1_000_000
        await bench.settle()
        assert place.files.ends == [(False, states.ABORTED)]
        assert place.files.last.sent_bytes <= 1_000_000
        assert len(place.files.observer.over) == 1, "and nothing is answered behind it"
        forgive_asyncio(bench)

    play(story)


def test_a_file_that_cannot_be_read_is_answered_with_500(bench, play, tmp_path) -> None:
    async def story(place):
        place.files.fd = os.open(tmp_path, os.O_RDONLY)
        try:
            client = await place.ask(request(fields=["Connection: close"]))
            assert (await bench.receive_all(client)).startswith(b"HTTP/1.1 500 ")
        finally:
            os.close(place.files.fd)
        assert place.files.ends == [(True, states.FINISHED)]
        (fault,) = place.files.observer.faults
        assert fault.errno == EISDIR

    play(story)


def test_a_file_that_cannot_be_read_any_more_cuts_the_connection(
    bench, play, file, tmp_path
) -> None:
    async def story(place):
        files = place.files
        files.fd = bench.keep(os.fdopen(os.dup(file.fileno()))).fileno()
        client = await place.ask(request())
        await bench.settle()
        folder = os.open(tmp_path, os.O_RDONLY)
        os.dup2(folder, files.fd)
        os.close(folder)
        with pytest.raises(ConnectionResetError):
            await bench.receive_all(client)
        await bench.settle()
        assert files.ends == [(False, states.ABORTED)]
        (fault,) = files.observer.faults
        assert fault.errno == EISDIR
        forgive_asyncio(bench)

    play(story)


def test_the_file_may_be_closed_when_its_end_is_told(bench, play, file) -> None:
    """The next one that is opened has its number, and must not be sent in its place."""

    async def story(place):
        files = place.files
        files.fd = os.dup(file.fileno())
        files.done = lambda: os.close(files.fd)
        client = await place.ask(request(fields=["Connection: close"]))
        await bench.settle()
        assert files.ends == []
        assert body_of(await bench.receive_all(client)) == STREAM
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(files.fd)
        assert files.ends == [(True, states.FINISHED)]

    play(story)


@pytest.mark.parametrize("end", ["abort", "reset", "connection"])
def test_an_answer_that_is_cut_meanwhile(bench, play, file, end) -> None:
    async def story(place):
        files = place.files
        files.fd = os.dup(file.fileno())
        files.done = lambda: os.close(files.fd)
        client = await place.ask(request())
        await bench.settle()
        assert files.ends == []
        if end == "reset":
            reset(client)
        elif end == "abort":
            files.last.abort()
        else:
            for connection in list(place.connections.open):
                connection.abort()
        while place.connections.open:
            await bench.settle()
        assert files.ends == [(False, states.ABORTED)]
        assert files.observer.faults == []

    play(story)


@pytest.mark.parametrize("declared", [True, False])
def test_an_answer_that_somebody_else_finishes_meanwhile(
    bench, play, file, tmp_path, declared
) -> None:
    """Whatever is opened under the file's number afterwards stays here."""

    async def story(place):
        files = place.files
        files.fd = bench.keep(os.fdopen(os.dup(file.fileno()))).fileno()
        (tmp_path / "other").write_bytes(bytes(len(STREAM)))
        other = bench.keep((tmp_path / "other").open("rb")).fileno()
        files.done = lambda: os.dup2(other, files.fd)
        files.early_head = True
        files.length = len(STREAM) if declared else None
        client = await place.ask(b"GET / HTTP/1.0\r\n\r\n")
        await bench.settle()
        with contextlib.suppress(InvalidResponse):
            files.last.finish()
        assert files.ends == [(False, files.last.state)]
        got = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while part := await bench.loop.sock_recv(client, 65536):
                got += part
        body = body_of(bytes(got))
        assert len(body) < len(STREAM)
        assert STREAM.startswith(body)
        await bench.settle()
        assert len(files.ends) == 1

    play(story)


def test_a_peer_that_has_closed_its_side_gets_the_whole_file(bench, play) -> None:
    async def story(place):
        client = await place.ask(request())
        client.shutdown(socket.SHUT_WR)
        await bench.settle()
        assert place.files.last.gone
        assert body_of(await bench.receive_all(client)) == STREAM
        assert place.files.ends == [(True, states.FINISHED)]

    play(story)


def test_a_drained_connection_sends_its_file_to_the_end(bench, play) -> None:
    async def story(place):
        client = await place.ask(request())
        await bench.settle()
        place.connections.drain(Leave(0.0))
        place.ticks.pass_time(2.0)
        assert body_of(await bench.receive(client, len(STREAM)))
        place.ticks.pass_time(1.0)
        assert await bench.receive_all(client)
        assert place.files.ends == [(True, states.FINISHED)]

    play(story)


def test_a_peer_that_reads_nothing_is_cut_and_a_slow_one_is_not(bench, play) -> None:
    async def story(place):
        place.limit(write_timeout_s=5.0)
        slow, stuck = await place.ask(request()), await place.connect()
        await bench.settle()
        await bench.send(stuck, request())
        await bench.settle()
        received = b""
        while len(place.files.observer.over) == 0:
            received += await bench.receive(slow, 100_000)
            await bench.settle()
            place.ticks.pass_time(4.0)
            await bench.settle()
        assert place.files.ends == [(False, states.ABORTED)]
        assert place.files.observer.over == [place.files.observer.begun[1]]
        with pytest.raises(ConnectionResetError):
            await bench.receive_all(stuck)
        assert len(received) < len(STREAM)
        size = len(STREAM) - len(body_of(received))
        assert body_of(received) + await bench.receive(slow, size) == STREAM
        await bench.settle()
        assert place.files.ends[1:] == [(True, states.FINISHED)]

    play(story)


def test_the_file_is_not_read_where_the_kernel_can_send_it(
    bench, play, transport, request, monkeypatch
):
    reads = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *what: reads.append(what) or pread(*what))

    async def story(place):
        client = await place.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert body_of(await bench.receive_all(client)) == STREAM

    play(story)
    engine = request.node.callspec.params["place"]
    assert (reads == []) == ((transport, engine) == ("direct", "native"))

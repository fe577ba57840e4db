"""What becomes of connections and exchanges when a worker leaves, on every engine and transport."""

from __future__ import annotations

import pytest
from hpack import Encoder

from granian_d.worker import held
from tests.unit.engine import h2_peer
from tests.unit.worker.room import Client, Holding

LONG_S = 60.0  # a budget that no test waits for
SHORT_S = 0.3


@pytest.fixture
def play(run):
    """The same, with an application that holds its answers back; accepting has begun."""
    app = Holding()

    def play(story):
        async def armed(room):
            room.app = app
            room.acceptor.arm()
            await story(room)

        run(armed, app)

    return play


async def asked(room, path, *fields):
    """A client whose request the application has seen."""
    count = len(room.app.begun)
    client = await room.ask(path, *fields)
    await room.until(lambda: len(room.app.begun) > count)
    return client


def cuts(room):
    return [record for record in room.logged if record["event"] == "drain_cut"]


def test_a_request_has_a_budget_and_a_stream_another_one(play):
    async def story(room):
        slow = await asked(room, "/slow?token=secret")
        stream = await asked(room, "/stream")
        await stream.head()
        room.order(SHORT_S, LONG_S)
        assert not await slow.rest()
        (record,) = cuts(room)
        assert (record["connections"], record["requests"]) == (1, 1)
        assert record["held"].startswith("GET /slow (0.")
        assert record["held"].endswith(" s, 127.0.0.1)")
        assert not room.drain.empty.is_set()
        room.app.release.set()
        assert (await stream.chunked()).endswith(b"last\r\n0\r\n\r\n")
        stream.close()  # its head was out before the drain, and did not say that it ends here
        await room.drain.empty.wait()
        assert len(cuts(room)) == 1

    play(story)


def test_a_stream_is_cut_when_its_own_budget_is_spent(play):
    async def story(room):
        slow = await asked(room, "/slow")
        stream = await asked(room, "/stream")
        await stream.head()
        room.order(LONG_S, SHORT_S)
        await room.until(lambda: cuts(room))
        (record,) = cuts(room)
        assert record["held"].startswith("GET /stream (streaming, ")
        rest = await stream.rest()
        assert rest is None or not rest.endswith(b"0\r\n\r\n"), "the peer sees that it was cut"
        assert not room.drain.empty.is_set()
        room.app.release.set()
        assert "\r\nconnection: close\r\n" in (await slow.head()).lower()
        assert (await slow.rest()).endswith(b"last")
        await room.drain.empty.wait()

    play(story)


def test_the_last_cut_takes_everything(play):
    async def story(room):
        clients = [await asked(room, path) for path in ("/slow", "/stream")]
        _, idle = await room.dial()
        await room.until(lambda: len(room.connections.open) == 3)
        room.order(SHORT_S, SHORT_S)
        await room.drain.empty.wait()
        (record,) = cuts(room)
        assert (record["connections"], record["requests"]) == (3, 2)
        assert record["message"].startswith(
            "Drain budget spent: cut 3 connection(s) with 2 request(s): GET /slow ("
        )
        for client in clients:
            client.close()
        idle.close()

    play(story)


def test_a_connection_with_nothing_has_the_budget_of_requests(play):
    async def story(room):
        _, writer = await room.dial()
        stream = await asked(room, "/stream")
        await stream.head()
        room.order(SHORT_S, LONG_S)
        await room.until(lambda: cuts(room))
        (record,) = cuts(room)
        assert (record["connections"], record["requests"], record["held"]) == (1, 0, "none")
        room.app.release.set()
        assert await stream.chunked()
        writer.close()

    play(story)


def test_of_many_the_oldest_are_named_and_the_others_counted(play):
    async def story(room):
        clients = [await asked(room, "/slow") for _ in range(held.TOLD + 3)]
        room.order(SHORT_S, SHORT_S)
        await room.drain.empty.wait()
        (record,) = cuts(room)
        assert record["requests"] == held.TOLD + 3
        assert record["held"].count("GET /slow (") == held.TOLD
        assert record["held"].endswith("; and 3 more")
        for client in clients:
            client.close()

    play(story)


@pytest.mark.parametrize(
    ("size", "connections"), [(200_000, 2), (30_000_000, 1)], ids=["in the kernel", "held by us"]
)
def test_an_answer_that_its_peer_still_reads_comes_whole(run, size, connections):
    """For the application it is over. What the kernel has outlives us, the rest is a stream."""
    body = b"x" * size

    async def app(scope, receive, send):
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def story(room):
        room.acceptor.arm()
        _, idle = await room.dial()
        client = await room.ask("/")
        await client.head()
        await room.until(lambda: room.counted.get("requests") == 1)
        room.order(SHORT_S, LONG_S)
        await room.until(lambda: cuts(room))
        assert len(await client.reader.readexactly(size)) == size
        (record,) = cuts(room)
        assert (record["connections"], record["requests"]) == (connections, 0)
        idle.close()

    run(story, app)


WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def test_a_conversation_has_the_budget_of_streams_and_is_named(play):
    async def story(room):
        deaf = await asked(room, "/talk?token=secret", *WEBSOCKET)
        assert (await deaf.head()).startswith("HTTP/1.1 101 ")
        slow = await asked(room, "/slow")
        room.order(SHORT_S, 10 * SHORT_S)
        assert await deaf.reader.readexactly(2) == b"\x88\x02", "Close"
        assert await deaf.reader.readexactly(2) == (1001).to_bytes(2, "big")
        await room.until(lambda: len(cuts(room)) == 2)
        first, second = cuts(room)
        assert first["held"].startswith("GET /slow (")
        assert second["held"].startswith("GET /talk (websocket, ")
        await room.drain.empty.wait()
        slow.close()

    play(story)


class H2Client:
    """One connection of HTTP/2; what has come are the kinds of frames, with flags, by stream."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.came = []
        self.last = -1
        self._encoder = Encoder()
        writer.write(h2_peer.PREFACE + h2_peer.settings())

    def ask(self, path):
        self.last += 2
        fields = self._encoder.encode([*h2_peer.GET[:3], (":path", path)])
        flags = h2_peer.END_STREAM | h2_peer.END_HEADERS
        self.writer.write(h2_peer.frame(h2_peer.HEADERS, flags, self.last, fields))
        return self.last

    async def until(self, stream, kind, flags=0):
        """Read until such a frame has come on a stream."""
        while (stream, kind, flags) not in self.came:
            head = await self.reader.readexactly(9)
            size, got, got_flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = await self.reader.readexactly(size)
            self.came.append((int.from_bytes(head[5:], "big"), got, got_flags))
            if got in (h2_peer.SETTINGS, h2_peer.PING) and not got_flags & h2_peer.ACK:
                ack = b"" if got == h2_peer.SETTINGS else payload
                self.writer.write(h2_peer.frame(got, h2_peer.ACK, 0, ack))


async def three_streams(room):
    """A client with two requests that wait around one that is being answered."""
    client = H2Client(*await room.dial())
    numbers = []
    for count, path in enumerate(("/slow", "/stream", "/slow"), 1):
        numbers.append(client.ask(path))
        await room.until(lambda count=count: len(room.app.begun) == count)
    return client, numbers


def test_requests_of_http2_are_reset_beside_a_stream_that_goes_on(play):
    async def story(room):
        client, (one, stream, two) = await three_streams(room)
        room.order(SHORT_S, LONG_S)
        for number in (one, two):
            await client.until(number, h2_peer.RST_STREAM)
        (record,) = cuts(room)
        assert (record["connections"], record["requests"]) == (1, 2)
        assert record["held"].count("GET /slow (") == 2
        assert not room.drain.empty.is_set()
        room.app.release.set()
        await client.until(stream, h2_peer.DATA, h2_peer.END_STREAM)
        await room.drain.empty.wait()
        assert len(cuts(room)) == 1

    play(story)


def test_a_stream_of_http2_is_reset_beside_requests_that_go_on(play):
    async def story(room):
        client, (one, stream, two) = await three_streams(room)
        room.order(LONG_S, SHORT_S)
        await client.until(stream, h2_peer.RST_STREAM)
        (record,) = cuts(room)
        assert record["held"].startswith("GET /stream (streaming, ")
        room.app.release.set()
        for number in (one, two):
            await client.until(number, h2_peer.DATA, h2_peer.END_STREAM)
        await room.drain.empty.wait()

    play(story)


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_nothing_is_lost_that_is_queued_when_a_worker_leaves(run, unix):
    """Their requests are in the kernel, and nobody has been told of them yet."""
    count = 20

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async def story(room):
        ends = [await room.dial() for _ in range(count)]
        for number, (_, writer) in enumerate(ends):
            writer.write(f"GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert not room.connections.open, "the worker has not accepted anything"
        room.acceptor.arm()
        room.order(LONG_S, LONG_S)
        for number, end in enumerate(ends):
            status, body = await Client(*end).answer()
            assert (status, body) == (200, f"/{number}".encode())
        await room.drain.empty.wait()
        assert not cuts(room)

    run(story, app, unix=unix)


def test_nobody_who_is_late_is_accepted(run):
    """Neither lost: the queue is the other workers', or is refused where there are none."""

    async def story(room):
        room.acceptor.arm()
        room.order(LONG_S, LONG_S)
        await room.drain.empty.wait()
        with pytest.raises(ConnectionRefusedError):
            await room.dial()

    run(story, Holding())

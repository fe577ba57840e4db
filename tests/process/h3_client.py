"""A client of HTTP/3 that does to a server what tests want: QUIC and its framing are aioquic's.

One connection, any number of streams on it. What comes to nothing is told apart by whether the
server says that it has not begun it (RFC 9114 5.2): that may be asked for again elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from typing import TYPE_CHECKING

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer, BufferReadError
from aioquic.h3.connection import ErrorCode, FrameType, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from aioquic.tls import SessionTicket

PATIENCE_S = 30.0  # for an answer, of who does not say otherwise; never a measure of it
TOKEN_BYTES = 16  # of a stateless reset (RFC 9000 10.3)
Fields = list[tuple[bytes, bytes]]


class Lost(Exception):
    """A request that came to nothing.

    Attributes:
        code: of the stream's or the connection's end; None if neither has said one.
        refused: the server says that it has not begun it.
    """

    def __init__(self, why: str, code: int | None = None, *, refused: bool = False) -> None:
        super().__init__(why)
        self.code = code
        self.refused = refused


class Answer:
    """All of an answer."""

    def __init__(self, stream: Stream, body: bytes) -> None:
        self.status = stream.status
        self.fields = {name.decode(): value.decode() for name, value in stream.fields}
        self.trailers = {name.decode(): value.decode() for name, value in stream.trailers}
        self.informed = stream.informed
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()


class Stream:
    """One request and what has come of its answer.

    Attributes:
        informed: (status, fields) of each interim response.
        status: 0 before the head has come.
        stopped: code of the server's STOP_SENDING.
    """

    def __init__(self, client: Client, number: int) -> None:
        self._client = client
        self.number = number
        self.informed: list[tuple[int, Fields]] = []
        self.status = 0
        self.fields: Fields = []
        self.trailers: Fields = []
        self.stopped: int | None = None
        self._parts: deque[bytes] = deque()
        self._ended = False
        self._lost: Lost | None = None
        self._news = asyncio.Event()

    # --- asking -----------------------------------------------------------------------------------

    def send(self, data: bytes, *, last: bool = False) -> None:
        """More of the body; it is sent as far as the server has given room for it."""
        self._client.framing.send_data(self.number, data, last)
        self._client.transmit_soon()

    def send_trailers(self, fields: Fields) -> None:
        """The end of the body."""
        self._client.framing.send_headers(self.number, fields, end_stream=True)
        self._client.transmit_soon()

    def cancel(self, code: int = ErrorCode.H3_REQUEST_CANCELLED) -> None:
        """Want no answer any more (RFC 9114 4.1.1)."""
        self._client.quic.reset_stream(self.number, code)
        self._client.quic.stop_stream(self.number, code)
        self._client.transmit_soon()

    # --- what comes -------------------------------------------------------------------------------

    async def head(self) -> int:
        """The status of the final response, when it has come."""
        await self._until(lambda: self.status or self._ended)
        return self.status

    async def part(self) -> bytes:
        """The next piece of the body; b"" at its end."""
        await self._until(lambda: self._parts or self._ended)
        return self._parts.popleft() if self._parts else b""

    async def whole(self) -> Answer:
        """All of it."""
        body = bytearray()
        while part := await self.part():
            body += part
        return Answer(self, bytes(body))

    async def _until(self, holds: Callable[[], object]) -> None:
        while not holds():
            if self._lost is not None:
                raise self._lost
            self._news.clear()
            async with asyncio.timeout(PATIENCE_S):
                await self._news.wait()

    # --- told by the connection -------------------------------------------------------------------

    def take(self, event: HeadersReceived | DataReceived) -> None:
        if isinstance(event, DataReceived):
            if event.data:
                self._parts.append(event.data)
        elif self.status:
            self.trailers = event.headers
        else:
            status = int(dict(event.headers)[b":status"])
            fields = [(name, value) for name, value in event.headers if not name.startswith(b":")]
            if status < 200:
                self.informed.append((status, fields))
            else:
                self.status, self.fields = status, fields
        self._ended = self._ended or event.stream_ended
        self._news.set()

    def lose(self, lost: Lost) -> None:
        if not self._ended:
            self._lost = self._lost or lost
            self._news.set()


class Framing(H3Connection):
    """aioquic's, which takes answers to HEAD for answers that were cut.

    Attributes:
        bare: streams whose answer has no body, whatever its length (RFC 9110 9.3.2).
    """

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.bare: set[int] = set()

    def _check_content_length(self, stream) -> None:
        if stream.stream_id not in self.bare:
            super()._check_content_length(stream)


class Control:
    """The server's control stream, for GOAWAY: aioquic passes over it (RFC 9114 6.2.1, 7.2.6)."""

    def __init__(self, going: Callable[[int], None]) -> None:
        self._going = going
        self._number = -1  # of the stream; the others have other types
        self._held = b""

    def feed(self, number: int, data: bytes) -> None:
        """What has come on a stream of the server."""
        if self._number < 0 and data[:1] == b"\0":
            self._number, data = number, data[1:]
        if number != self._number:
            return
        buffer = Buffer(data=self._held + data)
        whole = 0
        with contextlib.suppress(BufferReadError):
            while True:
                kind, body = buffer.pull_uint_var(), buffer.pull_bytes(buffer.pull_uint_var())
                whole = buffer.tell()
                if kind == FrameType.GOAWAY:
                    self._going(Buffer(data=body).pull_uint_var())
        self._held = (self._held + data)[whole:]


class Quic(QuicConnection):
    """aioquic's, whose reader may stop: then the server is given no more room (RFC 9000 4.1)."""

    holding = False

    def _write_connection_limits(self, builder, space) -> None:
        if not self.holding:
            super()._write_connection_limits(builder, space)

    def _write_stream_limits(self, builder, space, stream) -> None:
        if not self.holding:
            super()._write_stream_limits(builder, space, stream)


class Client(QuicConnectionProtocol):
    """One connection.

    Attributes:
        goaways: ids of the GOAWAY frames that have come; requests from the last one on are refused.
        handshake: how it ended: resumed, early data accepted.
        ended: how the connection ended; None while it lives.
        was_reset: by a stateless reset (RFC 9000 10.3).
    """

    def __init__(self, quic: Quic, authority: str) -> None:
        super().__init__(quic)
        self.quic = quic
        self.framing = Framing(quic)
        self._control = Control(self._going)
        self.goaways: list[int] = []
        self.handshake: events.HandshakeCompleted | None = None
        self.ended: events.ConnectionTerminated | None = None
        self.was_reset = False
        self.over = asyncio.Event()
        self._over_by = ""  # why it ended
        self._vanished = False
        self._authority = authority.encode()
        self._streams: dict[int, Stream] = {}

    # --- requests ---------------------------------------------------------------------------------

    def begin(
        self,
        path: str,
        method: str = "GET",
        fields: Iterable[tuple[bytes, bytes]] = (),
        *,
        last: bool = True,
        protocol: str = "",
    ) -> Stream:
        """The head of a request; without `last` a body follows.

        Raises:
            Lost: the connection takes no more requests.
        """
        if self.goaways or self._over_by:
            raise Lost(self._over_by or "the server has said GOAWAY", refused=True)
        number = self.quic.get_next_available_stream_id()
        head = [(b":method", method.encode()), (b":scheme", b"https")]
        head += [(b":authority", self._authority), (b":path", path.encode())]
        head += [(b":protocol", protocol.encode())] if protocol else []
        stream = self._streams[number] = Stream(self, number)
        if method == "HEAD":
            self.framing.bare.add(number)
        self.framing.send_headers(number, [*head, *fields], end_stream=last)
        self.transmit_soon()
        return stream

    async def ask(
        self,
        path: str = "/",
        method: str = "GET",
        body: bytes | None = None,
        fields: Iterable[tuple[bytes, bytes]] = (),
    ) -> Answer:
        """One request and its answer.

        Raises:
            Lost: there is none.
        """
        stream = self.begin(path, method, fields, last=body is None)
        if body is not None:
            stream.send(body, last=True)
        return await stream.whole()

    async def talk(self, path: str, subprotocols: tuple[str, ...] = ()) -> Talk:
        """A WebSocket (RFC 9220).

        Raises:
            Lost: the server speaks none, or does not want this one.
        """
        while self.framing.received_settings is None:
            await self.ping()
        if self.framing.received_settings.get(8) != 1:  # RFC 9220 3: ENABLE_CONNECT_PROTOCOL
            raise Lost("the server has no extended CONNECT")
        fields = [(b"sec-websocket-version", b"13")]
        if subprotocols:
            fields.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode()))
        stream = self.begin(path, "CONNECT", fields, last=False, protocol="websocket")
        if await stream.head() != 200:
            raise Lost(f"answered {stream.status}", stream.status)
        return Talk(stream)

    # --- the connection ---------------------------------------------------------------------------

    async def ping(self) -> None:
        """A PING, and its acknowledgement.

        Raises:
            Lost: the connection ended; nothing was asked by this.
        """
        try:
            if not self._over_by:
                return await super().ping()
        except ConnectionError:
            pass
        raise Lost(self._over_by, refused=True)

    async def move(self, *, renamed: bool = True) -> None:
        """Go on from another port: under another connection id (RFC 9000 9.5), or as behind a NAT."""
        if renamed:
            assert self.quic._peer_cid_available, "the server has given no further connection id"
            self.quic.change_connection_id()
        before = self._transport
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, remote_addr=before.get_extra_info("peername")
        )
        before.close()
        self.transmit()

    @property
    def local_port(self) -> int:
        return self._transport.get_extra_info("sockname")[1]

    def transmit_soon(self) -> None:
        self._transmit_soon()

    def leave(self) -> None:
        """Say goodbye, and do not wait for the time that packets under way may take."""
        self.quic.close(ErrorCode.H3_NO_ERROR)
        self.transmit()
        self.vanish()

    def vanish(self) -> None:
        """Send nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transmit_task is not None:
            self._transmit_task.cancel()
        self._vanished = True
        self._transport.close()

    def transmit(self) -> None:
        if not self._vanished:
            super().transmit()

    def datagram_received(self, data: bytes, addr) -> None:
        if not data[0] & 0x80 and data[-TOKEN_BYTES:] == self.quic._peer_cid.stateless_reset_token:
            self.was_reset = True  # aioquic does not look for it
            self._end(Lost("stateless reset"))
            self.vanish()
            return
        # The peer of a connected socket has one address, which aioquic knows by two numbers.
        super().datagram_received(data, addr[:2])

    def connection_lost(self, _error: Exception | None) -> None:
        """A socket of ours is closed; there may be another one by now."""

    def error_received(self, error: Exception) -> None:
        """An ICMP message proves nothing (RFC 9000 14.2.1)."""

    def quic_event_received(self, event: events.QuicEvent) -> None:
        for told in self.framing.handle_event(event):
            self._take(told)
        match event:
            case events.StreamDataReceived() if event.stream_id % 4 == 3:
                self._control.feed(event.stream_id, event.data)
            case events.HandshakeCompleted():
                self.handshake = event
            case events.StreamReset():
                if event.stream_id in self._streams:
                    refused = event.error_code == ErrorCode.H3_REQUEST_REJECTED
                    lost = Lost(
                        f"reset with {event.error_code:#x}", event.error_code, refused=refused
                    )
                    self._streams.pop(event.stream_id).lose(lost)
            case events.StopSendingReceived():
                if event.stream_id in self._streams:
                    self._streams[event.stream_id].stopped = event.error_code
            case events.ConnectionTerminated():
                self.ended = event
                why = f"the connection ended with {event.error_code:#x} {event.reason_phrase}"
                self._end(Lost(why, event.error_code))

    def _take(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_id in self._streams:
            self._streams[event.stream_id].take(event)
            if event.stream_ended:
                del self._streams[event.stream_id]

    def _going(self, first_refused: int) -> None:
        assert not self.goaways or first_refused <= self.goaways[-1], "RFC 9114 5.2"
        self.goaways.append(first_refused)
        for number in [number for number in self._streams if number >= first_refused]:
            self._streams.pop(number).lose(Lost("above the id of GOAWAY", refused=True))

    def _end(self, lost: Lost) -> None:
        self._over_by = str(lost)
        for stream in self._streams.values():
            stream.lose(lost)
        self._streams.clear()
        self.over.set()


class Talk:
    """A WebSocket: its frames on a stream (RFC 9220)."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.subprotocol = dict(stream.fields).get(b"sec-websocket-protocol", b"").decode()
        self._frames = Frames(ConnectionType.CLIENT)
        self._told: deque[Message | CloseConnection] = deque()
        self._fragments: list[str | bytes] = []

    def send(self, message: str | bytes) -> None:
        kind = TextMessage if isinstance(message, str) else BytesMessage
        self.stream.send(self._frames.send(kind(message)))

    def close(self, code: int = 1000) -> None:
        self.stream.send(self._frames.send(CloseConnection(code)))

    async def receive(self) -> str | bytes | int:
        """The next message, or the code of the Close.

        Raises:
            Lost: it ended without one.
        """
        while True:
            while self._told:
                event = self._told.popleft()
                if isinstance(event, CloseConnection):
                    if self._frames.state.name == "REMOTE_CLOSING":
                        self.stream.send(self._frames.send(event.response()), last=True)
                    return event.code
                self._fragments.append(event.data)
                if event.message_finished:
                    whole = type(event.data)().join(self._fragments)
                    self._fragments.clear()
                    return whole
            data = await self.stream.part()
            if not data:
                raise Lost("the stream of a WebSocket ended without a Close")
            self._frames.receive_data(data)
            for event in self._frames.events():
                if isinstance(event, Ping):
                    self.stream.send(self._frames.send(event.response()))
                elif isinstance(event, Message | CloseConnection):
                    self._told.append(event)


def configuration(authority_pem: bytes, **more) -> QuicConfiguration:
    """Of a client that trusts an authority."""
    return QuicConfiguration(
        alpn_protocols=["h3"], cadata=authority_pem, server_name="localhost", **more
    )


@contextlib.asynccontextmanager
async def connect(
    port: int,
    terms: QuicConfiguration,
    *,
    early: bool = False,
    tickets: list[SessionTicket] | None = None,
    tokens: list[bytes] | None = None,
) -> AsyncIterator[Client]:
    """A connection to a port of this machine, left at the end.

    Args:
        port: UDP.
        terms: what `configuration` makes.
        early: do not wait for the handshake: what is asked at once goes as early data.
        tickets: a list that takes what the server gives for resumption.
        tokens: and for its address validation.

    Raises:
        Lost: there is no connection.
    """
    quic = Quic(
        configuration=terms,
        session_ticket_handler=None if tickets is None else tickets.append,
        token_handler=None if tokens is None else tokens.append,
    )
    address = ("127.0.0.1", port)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    sock.connect(address)
    _, client = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Client(quic, f"localhost:{port}"), sock=sock
    )
    try:
        client.connect(address, transmit=not early)
        if not early:
            async with asyncio.timeout(PATIENCE_S):
                try:
                    await client.wait_connected()
                except ConnectionError:
                    raise Lost(f"no handshake: {client.ended}") from None
        yield client
    finally:
        client.leave()

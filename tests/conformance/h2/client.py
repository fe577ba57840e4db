"""A blocking HTTP/2 client that sends what it is told and says what it saw.

One connection plays one case. Nothing sleeps: every expectation reads frames until one of them
decides, the connection ends, or the deadline of the case has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import hpack

from tests.conformance.h2 import frames
from tests.conformance.h2.frames import Code, Frame, Kind, Setting, name_of
from tests.conformance.h2.wire import LARGEST_FRAME, Closed, Failed, Skipped, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    Fields = list[tuple[str, str]]

WINDOW = 65535  # of a connection and of its streams at first, RFC 9113 6.9.2
TABLE_SIZE = 4096  # of HPACK, RFC 9113 6.5.2
NOT_AN_ACCEPTANCE = (400, 431)  # and 5xx: the server, not the application, refused the request


@dataclass(frozen=True)
class Target:
    """The server under test.

    Args:
        host, port: where it listens.
        path: a resource that is there; cases of flow control need 5 octets of it or more.
        deadline_s: time for one case, of which a failing one may need all.
        tls: a context that offers "h2" by ALPN; None is HTTP/2 without TLS and prior knowledge.
    """

    host: str
    port: int
    path: str = "/"
    deadline_s: float = 3.0
    tls: ssl.SSLContext | None = None

    @cached_property
    def content_length(self) -> int:
        """Octets of content that GET `path` gives, asked for once."""
        with Connection(self) as connection:
            connection.handshake()
            connection.send(frames.headers(1, connection.block()))
            return connection.stream_end(1)


class Connection(Wire):
    """A connection that plays the client of a case; closed at the end of `with`."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, target.deadline_s, target.tls)
        self.target = target
        self.settings = {
            Setting.MAX_FRAME_SIZE: LARGEST_FRAME,
            Setting.HEADER_TABLE_SIZE: TABLE_SIZE,
        }  # the server's
        self.encoder = hpack.Encoder()
        self.by_rfc9113: list[str] = []  # why an outcome that RFC 7540 did not know was accepted
        self._pings = 0

    # --- what it says -------------------------------------------------------------------------------

    def preface(self) -> None:
        """What a client begins with: RFC 9113 3.4."""
        self.send(frames.PREFACE, frames.settings((Setting.INITIAL_WINDOW_SIZE, WINDOW)))

    def handshake(self) -> None:
        """Exchange prefaces and their acknowledgements."""
        self.preface()
        ours = theirs = False
        for event in self.events():
            if isinstance(event, Frame) and event.kind == Kind.SETTINGS:
                if event.acknowledges:
                    ours = True
                else:
                    self.settings.update(event.settings)
                    self.send(frames.settings_ack())
                    theirs = True
                if ours and theirs:
                    self.seen.clear()
                    return
        raise Failed("SETTINGS of the server and SETTINGS (ACK)", self.seen)

    def request(self, method: str = "GET", *more: tuple[str, str]) -> Fields:
        """The fields of a good request."""
        return [
            (":method", method),
            (":scheme", "http" if self.target.tls is None else "https"),
            (":path", self.target.path),
            (":authority", f"{self.target.host}:{self.target.port}"),
            *more,
        ]

    def block(self, fields: Fields | None = None) -> bytes:
        """Encode fields, a good GET if none are given, in the connection's compression context."""
        return self.encoder.encode(fields or self.request())

    def ask(self, stream: int = 1) -> None:
        """Send a good GET: the stream is half-closed for the server until it has answered."""
        self.send(frames.headers(stream, self.block()))

    def ask_and_hold(self, stream: int = 1) -> None:
        """The same with a window of 0, so that the server cannot end the stream on its side."""
        self.need_content(1)
        no_window = frames.settings((Setting.INITIAL_WINDOW_SIZE, 0))
        self.send(no_window, frames.headers(stream, self.block()))

    def open_post(self, stream: int = 1, *more: tuple[str, str]) -> None:
        """Begin a POST whose content is to come: the stream is open."""
        block = self.block(self.request("POST", *more))
        self.send(frames.headers(stream, block, end=False))

    def need_content(self, octets: int) -> None:
        """Skip the case unless the resource has so many octets."""
        if self.target.content_length < octets:
            raise Skipped(f"{self.target.path} has less than {octets} octets")

    # --- what it expects -------------------------------------------------------------------------------

    def expect(self, expected: str, judge: Callable[[Frame | Closed], bool | None]) -> None:
        """Read until `judge` says True (accepted) or False, or there is nothing more to read.

        Raises:
            Failed: it was not accepted.
        """
        for event in self.events():
            accepted = judge(event)
            if accepted:
                return
            if accepted is False:
                break
        raise Failed(expected, self.seen)

    def preface_of_server(self) -> None:
        """The first frame is SETTINGS, RFC 9113 3.4."""
        self.expect(
            "SETTINGS as the first frame",
            lambda event: (
                isinstance(event, Frame)
                and event.kind == Kind.SETTINGS
                and not event.acknowledges
                and len(self.seen) == 1
            ),
        )

    def answer(self, stream: int = 1) -> None:
        """The head of a final answer, and not one that calls the request bad."""

        def judge(event):
            if _ends(event, stream):
                return False
            if event.stream != stream or event.kind not in (Kind.HEADERS, Kind.CONTINUATION):
                return None
            if not event.ends_headers or self.status(stream) < 200:
                return None
            status = self.status(stream)
            return status < 500 and status not in NOT_AN_ACCEPTANCE

        self.expect(f"an answer on stream {stream}", judge)

    def stream_end(self, stream: int) -> int:
        """The end of an answer; gives credit for what comes. Octets of its content."""
        octets = 0

        def judge(event):
            nonlocal octets
            if isinstance(event, Frame) and event.kind == Kind.DATA:
                octets += len(event.content)
                credit = len(event.payload)
                if credit:
                    self.send(frames.window_update(0, credit))
                if credit and not event.ends_stream:
                    self.send(frames.window_update(event.stream, credit))
            if isinstance(event, Closed):
                return False
            if event.stream == stream and event.kind == Kind.RST_STREAM:
                return event.code == Code.NO_ERROR  # RFC 9113 8.1: it wants no more of the request
            return (event.stream == stream and event.ends_stream) or None

        self.expect(f"the end of the answer on stream {stream}", judge)
        return octets

    def content(self, stream: int, octets: int) -> None:
        """So many octets of DATA, and no more of them before the answer to a PING."""
        total = 0
        barrier = b""

        def judge(event):
            nonlocal total, barrier
            if _ends(event, stream):
                return False
            if event.kind == Kind.DATA and event.stream == stream:
                total += len(event.payload)
                if total > octets or event.ends_stream:
                    return False
            if total == octets and not barrier:
                barrier = self.ping()
            return (event.kind == Kind.PING and event.payload == barrier) or None

        self.expect(f"{octets} octets of DATA on stream {stream} and no more", judge)

    def ping(self) -> bytes:
        """Send a PING of its own kind; what it carries."""
        self._pings += 1
        octets = b"ping %03d" % self._pings
        self.send(frames.ping(octets))
        return octets

    def pong(self, octets: bytes | None = None, *, or_closed: bool = False) -> None:
        """The answer to a PING, sent here unless its octets are given; no other before it.

        Args:
            octets: what a PING that was sent carried.
            or_closed: the end of the connection will do as well, whatever GOAWAY says before it.
        """
        octets = self.ping() if octets is None else octets

        def judge(event):
            if isinstance(event, Closed):
                return or_closed and not event.octets
            if event.kind == Kind.GOAWAY and event.code != Code.NO_ERROR and not or_closed:
                return False
            if event.kind == Kind.PING and event.acknowledges:
                return event.payload == octets
            return None

        self.expect("PING (ACK)" + (" or the end of the connection" if or_closed else ""), judge)

    def settings_acknowledged(self) -> None:
        """SETTINGS (ACK) for settings sent after the handshake."""

        def judge(event):
            if _ends(event, None):
                return False
            return (event.kind == Kind.SETTINGS and event.acknowledges) or None

        self.expect("SETTINGS (ACK)", judge)

    def end_of_connection(self) -> None:
        """FIN or RST."""
        self.expect("the end of the connection", lambda event: isinstance(event, Closed) or None)

    def connection_error(self, *codes: Code, ignorable: bool = False) -> None:
        """GOAWAY with one of these codes, or the end of the connection without another.

        Args:
            codes: which of the errors.
            ignorable: RFC 9113 lets a server ignore the frame: it serves on, which two PINGs one
                after the other show.
        """
        self._error(codes, None, ignorable=ignorable)

    def stream_error(self, stream: int, *codes: Code, ignorable: bool = False) -> None:
        """RST_STREAM with one of these codes, or the same as a connection error.

        Args:
            stream: where the error is.
            codes, ignorable: as above.
        """
        self._error(codes, stream, ignorable=ignorable)

    def goaway(self, code: Code) -> None:
        """A GOAWAY, which the end of the connection does not replace."""
        self.expect(f"GOAWAY {code.name}", lambda event: self._carries(event, None, (code,)))

    def reset(self, stream: int, code: Code) -> None:
        """A RST_STREAM, which no connection error replaces."""

        def judge(event):
            if isinstance(event, Closed) or event.kind == Kind.GOAWAY:
                return False
            return self._carries(event, stream, (code,))

        self.expect(f"RST_STREAM {code.name} on stream {stream}", judge)

    def _error(self, codes: tuple[Code, ...], stream: int | None, *, ignorable: bool = False):
        pings = [self.ping()] if ignorable else []

        def judge(event):
            if isinstance(event, Closed):
                return not event.octets
            if pings and event.kind == Kind.PING and event.payload == pings[-1]:
                if len(pings) == 2:
                    self.by_rfc9113.append("ignored")
                    return True
                pings.append(self.ping())
            return self._carries(event, stream, codes)

        names = " or ".join(code.name for code in codes)
        frame = "GOAWAY" if stream is None else f"RST_STREAM on stream {stream} or GOAWAY"
        self.expect(f"{frame} with {names}, or the end of the connection", judge)

    def _carries(
        self, event: Frame | Closed, stream: int | None, codes: tuple[Code, ...]
    ) -> bool | None:
        """Whether a GOAWAY, or a RST_STREAM of `stream`, has one of these codes; None: it is neither."""
        if isinstance(event, Closed):
            return False
        ours = event.kind == Kind.RST_STREAM and event.stream == stream
        if not ours and event.kind != Kind.GOAWAY:
            return None
        if event.code in codes:
            return True
        if event.code == Code.PROTOCOL_ERROR:  # the generic one, RFC 9113 5.4
            self.by_rfc9113.append(f"{name_of(event.code)} for {codes[0].name}")
            return True
        # NO_ERROR: the rest of the request is not wanted (8.1), or the connection shall end (6.8).
        return None if event.code == Code.NO_ERROR else False


def _ends(event: Frame | Closed, stream: int | None) -> bool:
    """The connection, or this stream, has come to an end that is not the answer's."""
    if isinstance(event, Closed):
        return True
    if event.kind == Kind.GOAWAY:
        return event.code != Code.NO_ERROR
    return event.kind == Kind.RST_STREAM and event.stream == stream

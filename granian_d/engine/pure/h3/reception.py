"""What the peer sends on the streams of its requests (RFC 9114 4.1, 7.2).

Rules of this file: what is a stream's fault is given to `Requests.offend`, what is the connection's
is raised (8). What has come counts as read at once, but for bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.engine import upgrade
from granian_d.engine.pure.h3 import frames
from granian_d.engine.pure.h3.attacks import EMPTY_DATA, UNKNOWN
from granian_d.engine.pure.h3.frames import DATA, HEADERS, NOTHING
from granian_d.engine.pure.h3.streams import AWAITED, BODY, TRAILED, TUNNELLED
from granian_d.errors import (
    CompressionBroken,
    FrameSizeWrong,
    FrameUnexpected,
    HeadTooLarge,
    ProtocolViolation,
    RequestIncomplete,
)
from granian_d.http import pseudo
from granian_d.http.handshake import judge_handshake

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Service
    from granian_d.engine.datagrams import Link
    from granian_d.engine.pure.h3.attacks import Watch
    from granian_d.engine.pure.h3.endpoint import H3Endpoint
    from granian_d.engine.pure.h3.fields import Compression
    from granian_d.engine.pure.h3.requests import Requests
    from granian_d.engine.pure.h3.streams import Stream
    from granian_d.engine.pure.stream_exchange import StreamExchange
    from granian_d.http.handshake import Offer
    from granian_d.http.message import Fields, RequestHead
    from granian_d.plan import Limits
    from granian_d.plan.model import EngineName

# What follows a frame at a stage; what does not stand here is unexpected (RFC 9114 4.1, 4.4).
_NEXT: Final[dict[tuple[int, int], int]] = {
    (AWAITED, HEADERS): BODY,
    (BODY, DATA): BODY,
    (BODY, HEADERS): TRAILED,
    (TUNNELLED, DATA): TUNNELLED,
}
_ELSEWHERE: Final = frames.OF_HTTP2 | {
    frames.CANCEL_PUSH,
    frames.SETTINGS,
    frames.PUSH_PROMISE,
    frames.GOAWAY,
    frames.MAX_PUSH_ID,
    frames.PRIORITY_UPDATE,
    frames.PRIORITY_UPDATE_OF_PUSH,
}

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))  # RFC 9110 9.2.1


class _Known(NamedTuple):
    """The last request whose section was judged.

    Attributes:
        block: its section, as it has come: without a table, equal octets are equal fields.
        fields: what it stands for.
        at: where :path stands among them.
        ended: nothing came behind it.
        head: that no application has seen.
    """

    block: bytes
    fields: Fields
    at: int
    ended: bool
    head: RequestHead

    def covers(self, fields: Fields, ended: bool) -> bool:
        """Whether a request differs in its path at most."""
        at = self.at
        return (
            self.ended == ended
            and len(fields) == len(self.fields)
            and fields[at][0] == b":path"
            and fields[:at] == self.fields[:at]
            and fields[at + 1 :] == self.fields[at + 1 :]
        )


class Reception:
    """Reads the streams of one connection."""

    __slots__ = (
        "_compression",
        "_endpoint",
        "_engine",
        "_held",
        "_known",
        "_limits",
        "_link",
        "_most_block_bytes",
        "_requests",
        "_terms",
        "_watch",
    )

    def __init__(
        self,
        endpoint: H3Endpoint,
        link: Link,
        requests: Requests,
        watch: Watch,
        compression: Compression,
        terms: tuple[Service, Limits, Clock],
        engine: EngineName,
    ) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._link = link
        self._requests = requests
        self._watch = watch
        self._compression = compression
        self._terms = terms
        self._limits = limits = terms[1]
        # No section has fewer octets than it stands for, but for a few of each field; twice as many
        # cannot pass `pseudo.check_size`.
        self._most_block_bytes = min(limits.http2.fields_bytes, 2 * limits.head_bytes)
        self._held: list[tuple[StreamExchange, Stream, Offer | None]] = []
        self._known: _Known | None = None

    def receive(self, stream_id: int, octets: bytes, ended: bool) -> None:
        """Octets of a stream.

        Raises:
            ProtocolViolation: the connection cannot go on.
        """
        stream = self._requests.admit(stream_id)
        if stream is None:
            if octets:
                self._link.consumed(stream_id, len(octets))
            return
        before = stream.came
        stream.intake.append(octets)
        self._read_frames(stream, ended)
        read = len(octets) - (stream.came - before)
        if read:
            self._link.consumed(stream_id, read)
        if ended and stream.id in self._requests.open:
            self._end(stream)

    def release(self) -> None:
        """The handshake is complete: nobody repeats what somebody else has sent."""
        held, self._held = self._held, []
        for exchange, stream, offer in held:
            if stream.exchange is exchange:
                self._serve(exchange, offer)

    # --- frames --------------------------------------------------------------------------------

    def _read_frames(self, stream: Stream, ended: bool) -> None:
        intake, still_open = stream.intake, self._requests.open
        while stream.id in still_open:
            if intake.kind == NOTHING:
                if not intake.begin():
                    return
                self._judge(stream, intake.kind, intake.left)
            kind = intake.kind
            if kind == DATA:
                self._receive_data(stream, intake.part())
            elif kind == HEADERS and stream.wanted:
                block = intake.whole()
                if block is not None:
                    self._receive_section(stream, block, ended and not intake.has_octets)
            else:
                intake.part()
            if intake.kind != NOTHING:
                return

    def _judge(self, stream: Stream, kind: int, size: int) -> None:
        """A frame has begun."""
        if kind in (DATA, HEADERS):
            stage = _NEXT.get((stream.stage, kind))
            if stage is None:
                raise FrameUnexpected("a frame out of order", "RFC 9114 4.1")
            stream.stage = stage
            if kind == HEADERS:
                self._judge_section(stream, size)
            elif size:
                self._watch.forget(EMPTY_DATA)
                self._watch.progress()
                self._judge_length(stream, size)
            else:
                self._watch.count(EMPTY_DATA)
        elif kind in _ELSEWHERE:
            raise FrameUnexpected("a frame that has no place in a request", "RFC 9114 7.2")
        else:
            self._watch.count(UNKNOWN)

    def _judge_section(self, stream: Stream, size: int) -> None:
        """A section has begun: one that is far too large is not read."""
        if not stream.wanted or size <= self._most_block_bytes:
            return
        violation = HeadTooLarge("a field section too large", pseudo.HTTP3.size)
        if stream.exchange is None:
            self._requests.refuse(stream, violation, None)
        else:
            self._requests.break_body(stream, violation)

    def _judge_length(self, stream: Stream, size: int) -> None:
        """DATA have begun: more than Content-Length has said are refused before they come."""
        if stream.wanted and stream.left is not None and size > stream.left:
            self._requests.offend(stream, _wrong_length())

    def _receive_data(self, stream: Stream, part: bytes) -> None:
        stream.came += len(part)
        if stream.left is not None:
            stream.left -= len(part)
        self._requests.deliver(stream, part)

    def _receive_section(self, stream: Stream, block: bytes, ended: bool) -> None:
        if stream.stage == TRAILED:
            self._receive_trailers(stream, block)
            return
        fields: Fields = []
        try:
            head = self._known_head(block, ended)
            if head is None:
                fields = self._compression.decode(block)
                head = self._judge_request(block, fields, ended)
            offer = judge_handshake(head) if head.protocol else None
        except CompressionBroken:
            raise
        except ProtocolViolation as violation:
            self._requests.refuse(stream, violation, dict(fields).get(b":method", b""))
        else:
            self._begin(stream, head, offer, ended)
        if not self._limits.keep_alive:
            self._endpoint.depart()

    def _known_head(self, block: bytes, ended: bool) -> RequestHead | None:
        """The head of a request that is the last one again."""
        known = self._known
        if known is None or known.block != block or known.ended != ended:
            return None
        return pseudo.with_path(known.head, known.head.raw_path, known.head.query)

    def _judge_request(self, block: bytes, fields: Fields, ended: bool) -> RequestHead:
        """The head of a request. Much of it is what the last one has said, as clients do.

        Raises:
            ProtocolViolation: it is none.
        """
        known = self._known
        if known is not None and known.covers(fields, ended):
            return pseudo.judge_again(fields, known.at, known.head, self._limits, pseudo.HTTP3)
        head = pseudo.judge_request(fields, ended, self._limits, pseudo.HTTP3)
        at = [name for name, _ in fields].index(b":path")
        kept = pseudo.judge_again(fields, at, head, self._limits, pseudo.HTTP3)
        self._known = _Known(block, fields, at, ended, kept)
        return head

    def _receive_trailers(self, stream: Stream, block: bytes) -> None:
        """Trailers are checked and dropped, as on HTTP/1 and HTTP/2."""
        fields = self._compression.decode(block)
        try:
            pseudo.check_trailers(fields, pseudo.HTTP3)
        except ProtocolViolation as violation:
            self._requests.offend(stream, violation)

    # --- requests ------------------------------------------------------------------------------

    def _begin(self, stream: Stream, head: RequestHead, offer: Offer | None, ended: bool) -> None:
        exchange = self._requests.begin(stream, head, ended)
        if head.protocol:
            stream.stage = TUNNELLED
        is_safe = ended and head.method in SAFE
        if not is_safe and self._link.is_early(stream.id):
            self._held.append((exchange, stream, offer))  # RFC 8470 3
        else:
            self._serve(exchange, offer)

    def _serve(self, exchange: StreamExchange, offer: Offer | None) -> None:
        if offer is None:
            self._terms[0].serve(exchange)
        else:
            upgrade.offer_session(self._engine, exchange, offer, *self._terms)

    def _end(self, stream: Stream) -> None:
        """The stream has ended behind what was read of it."""
        if stream.intake.is_midway:
            raise FrameSizeWrong("a stream that ends within a frame", "RFC 9114 7.1")
        if stream.stage == AWAITED:
            violation = RequestIncomplete("the end of a stream without a request", "RFC 9114 4.1")
            self._requests.offend(stream, violation)
        elif stream.left and stream.wanted:
            self._requests.offend(stream, _wrong_length())
        elif not stream.ended:
            stream.ended = True
            self._requests.deliver_end(stream)


def _wrong_length() -> ProtocolViolation:
    return ProtocolViolation("a body of another length than Content-Length", "RFC 9114 4.1.2")

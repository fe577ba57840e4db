"""The body of an HTTP/1.x request; h11, the second opinion on heads and the reader of chunks.

Rules of this file: nothing reaches h11 that our rules have not passed, and what h11 still refuses
is refused. So a request must be good to two parsers of different authors. A body with a length is
only counted; h11 does not see it, and nothing is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import h11

from granian_d.engine.pure.h1_chunks import ChunkGate
from granian_d.errors import ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from granian_d.plan import Limits

    Give = Callable[[bytes], None]


class Body(Protocol):
    """A body that is arriving.

    Attributes:
        ended: all of it has arrived.
        left: bytes that are still to come, None when that is not known.
    """

    ended: bool
    left: int | None

    def feed(self, data: bytes, give: Give) -> bytes:
        """Read on.

        Args:
            data: what has arrived, not empty.
            give: is called with each part of the body.

        Returns:
            What lies behind the end of the body; empty before the end.

        Raises:
            ProtocolViolation: the body is malformed or too large; parts before that were given.
        """


class SecondOpinion:
    """One request as h11 reads it."""

    __slots__ = ("_connection",)

    def __init__(self, head: bytes) -> None:
        """Have h11 judge a head.

        Raises:
            ProtocolViolation: h11 refuses it.
        """
        # The length was judged before: h11 may hold as much as we hand it.
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head))
        self._connection.receive_data(head)
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise ProtocolViolation("a head that h11 refuses", "RFC 9112 2.2") from error
        assert type(event) is h11.Request

    def read(self, data: bytes) -> Iterator[bytes]:
        """The parts of the body in a piece of the chunked message.

        Raises:
            ProtocolViolation: h11 refuses it.
        """
        self._connection.receive_data(data)
        try:
            while type(event := self._connection.next_event()) is h11.Data:
                yield bytes(event.data)
        except h11.RemoteProtocolError as error:
            raise ProtocolViolation("a body that h11 refuses", "RFC 9112 7.1") from error


class LengthBody:
    """A body with a Content-Length."""

    __slots__ = ("ended", "left")

    def __init__(self, length: int) -> None:
        self.ended = False
        self.left: int | None = length

    def feed(self, data: bytes, give: Give) -> bytes:
        """Count; see Body."""
        assert self.left is not None
        count = len(data)
        if count < self.left:
            self.left -= count
            give(data)
            return b""
        rest = data[self.left :]
        part = data[: self.left] if rest else data
        self.left = 0
        self.ended = True
        give(part)
        return rest


class ChunkedBody:
    """A body in chunks: the gate judges the bytes, h11 reads them."""

    __slots__ = ("_gate", "_opinion", "ended", "left")

    def __init__(self, opinion: SecondOpinion, limits: Limits) -> None:
        self.ended = False
        self.left: int | None = None
        self._opinion = opinion
        self._gate = ChunkGate(limits)

    def feed(self, data: bytes, give: Give) -> bytes:
        """Judge and read; see Body."""
        for piece in self._gate.walk(data):
            for part in self._opinion.read(piece):
                give(part)
        self.ended = self._gate.ended
        return self._gate.rest

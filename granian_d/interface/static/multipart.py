"""Several parts of a file as one answer: multipart/byteranges (RFC 9110 14.6)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from granian_d.errors import Disconnected, InvalidResponse
from granian_d.http import states
from granian_d.http.exchange import FILE_PART_BYTES

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange
    from granian_d.interface.static.mount import ServedFile
    from granian_d.interface.static.ranges import Span


class Multipart:
    """The body of one answer: made, measured, sent under back-pressure.

    Args:
        file: closed when the last part is sent, or none can be any more.
        spans: the parts, in order.
        media: the Content-Type of each.

    Attributes:
        media: the Content-Type of all.
        size_bytes: of all.
    """

    def __init__(self, file: ServedFile, spans: list[Span], media: bytes) -> None:
        boundary = os.urandom(16).hex().encode()  # not in the file, as far as anybody can tell
        self.media = b"multipart/byteranges; boundary=" + boundary
        self._file = file
        self._left = [
            (_head(boundary, media, span, file.size_bytes), *span) for span in reversed(spans)
        ]
        self._tail = b"\r\n--%b--\r\n" % boundary
        self.size_bytes = len(self._tail) + sum(
            len(head) + end - first for head, first, end in self._left
        )

    def send(self, exchange: Exchange) -> None:
        """Send what is left, as the body of an exchange that has been started."""
        try:
            while exchange.state == states.STARTED:
                room = exchange.send(self._next(), last=not self._left)
                if self._left and not room:
                    exchange.when_room(lambda: self.send(exchange))
                    return
        except Disconnected:
            pass  # the state says so
        except (InvalidResponse, OSError) as error:
            # Caught here, because a later part is sent from a callback of the engine.
            exchange.observer.crashed(exchange, error)
            exchange.fail()
        self._file.close()

    def _next(self) -> bytes:
        """Some octets more; the last ones have the tail behind them."""
        head, first, end = self._left.pop()
        data = os.pread(self._file.fd, min(end - first, FILE_PART_BYTES), first)
        if not data:
            raise InvalidResponse("a file became shorter while it was sent")
        first += len(data)
        if first < end:
            self._left.append((b"", first, end))
        return head + data if self._left else head + data + self._tail


def _head(boundary: bytes, media: bytes, span: Span, size_bytes: int) -> bytes:
    first, end = span
    return b"\r\n--%b\r\ncontent-type: %b\r\ncontent-range: bytes %d-%d/%d\r\n\r\n" % (
        *(boundary, media, first, end - 1, size_bytes),
    )

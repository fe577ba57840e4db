"""One stream as the Wire of another protocol (RFC 8441 5).

Rules of this file: octets go through the stream's queue and windows as those of an answer do; what
the peer may send is held back by withholding the stream's window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from granian_d.engine.contract import Endpoint
    from granian_d.engine.pure.h2_requests import Requests
    from granian_d.engine.pure.h2_streams import Stream

CANCEL: Final = 0x8  # RFC 9113 7


class StreamWire:
    """See engine.contract.Wire."""

    __slots__ = ("_requests", "_stream")

    def __init__(self, stream: Stream, requests: Requests) -> None:
        self._stream = stream
        self._requests = requests

    def write(self, data: bytes) -> bool:
        """Queue octets; False to wait for `feed_room`."""
        return self._requests.put(self._stream, data)

    def pause(self) -> None:
        """Give no window for what is fed from now on."""
        self._stream.paused = True

    def resume(self) -> None:
        """Give it again, and for what has come meanwhile."""
        self._stream.paused = False
        self._requests.credit(self._stream)

    def queued_bytes(self) -> int:
        """Octets that were not sent yet."""
        return self._stream.out_bytes

    def switch(self, endpoint: Endpoint) -> None:
        """Feed `endpoint` from now on."""
        self._stream.tunnel = endpoint

    def finish(self) -> None:
        """Send what is queued, then END_STREAM; what still comes is dropped."""
        self._stream.wanted = False
        self._stream.last = True
        self._requests.put(self._stream, b"")

    def abort(self) -> None:
        """RST_STREAM with CANCEL: what RFC 8441 5 has for a reset of TCP."""
        self._requests.cut(self._stream, CANCEL)

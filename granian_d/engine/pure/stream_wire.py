"""One stream as the Wire of another protocol (RFC 8441 5, RFC 9220 3).

Rules of this file: octets go through the stream's queue and windows as those of an answer do; what
the peer may send is held back by withholding the stream's window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from granian_d.engine.contract import Endpoint
    from granian_d.engine.pure.stream_requests import StreamRequests
    from granian_d.engine.pure.streams import Stream


class StreamWire:
    """See engine.contract.Wire."""

    __slots__ = ("_requests", "_stream")

    def __init__(self, stream: Stream, requests: StreamRequests[Any]) -> None:
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
        return self._requests.queued_bytes(self._stream)

    def switch(self, endpoint: Endpoint) -> None:
        """Feed `endpoint` from now on."""
        self._stream.tunnel = endpoint

    def finish(self) -> None:
        """Send what is queued, then the end of the stream; what still comes is dropped."""
        self._stream.wanted = False
        self._stream.last = True
        self._requests.put(self._stream, b"")

    def abort(self) -> None:
        """Cancel the stream: what RFC 8441 5 has for a reset of TCP."""
        self._requests.cut(self._stream, self._requests.cancelled)

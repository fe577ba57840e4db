"""A connection of QUIC as HTTP/3 sees it (engine.datagrams.Link): streams, windows, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from granian_d.engine.pure.quic.guest import Guest
    from granian_d.engine.pure.quic.writing import WritingConnection
    from granian_d.http.message import Peer


class QuicLink:
    """See engine.datagrams.Link.

    Args:
        guest: whose connection it is.
        quic: the connection.
        peer: the two ends.

    Attributes:
        established: the handshake is complete.
        peer: another object after the peer has moved.
    """

    __slots__ = ("_guest", "_quic", "established", "peer")

    def __init__(self, guest: Guest, quic: WritingConnection, peer: Peer) -> None:
        self._guest = guest
        self._quic = quic
        self.peer = peer
        self.established = False

    def open_uni(self) -> int:
        """Number of a new unidirectional stream of ours."""
        return self._quic.open_uni()

    def send(self, stream_id: int, data: bytes, last: bool = False) -> None:
        """Queue octets; on a stream that is no more they are of no use to anybody."""
        if self._quic.queue(stream_id, data, last=last):
            self._guest.touch()

    def reset(self, stream_id: int, code: int) -> None:
        """RESET_STREAM (RFC 9000 19.4)."""
        if self._quic.cut(stream_id, code):
            self._guest.touch()

    def stop(self, stream_id: int, code: int) -> None:
        """STOP_SENDING (RFC 9000 19.5): nothing more is fed of this stream."""
        if self._quic.stop(stream_id, code):
            self._guest.touch()

    def unsent_bytes(self, stream_id: int) -> int:
        """Octets that were queued and are in no packet yet."""
        return self._quic.unsent_bytes(stream_id)

    def queued_bytes(self) -> int:
        """Octets of all streams that the peer has not acknowledged."""
        return self._quic.queued_bytes()

    def consumed(self, stream_id: int, count: int) -> None:
        """Give window back."""
        if self._quic.give_back(stream_id, count):
            self._guest.touch()

    def is_early(self, stream_id: int) -> bool:  # noqa: ARG002 - before that, all is early
        """What comes before the handshake is complete comes as 0-RTT (RFC 9001 5.7)."""
        return not self.established

    def ping(self) -> None:
        """Have the peer show that it is there."""
        self._quic.send_ping(0)
        self._guest.touch()

    def close(self, code: int, reason: str = "") -> None:
        """CONNECTION_CLOSE of the application."""
        self._quic.close(error_code=code, reason_phrase=reason)
        self._guest.touch()

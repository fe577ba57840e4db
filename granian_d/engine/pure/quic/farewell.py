"""What is left of a connection that is over (RFC 9000 10.2): its ids, and its last packets.

For a while packets of it are still on their way. They are no reason for a stateless reset; and if
it was we who closed, the peer may have lost the news, so that it is told again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.pure.quic.alarms import Alarm

if TYPE_CHECKING:
    from granian_d.engine.datagrams import DatagramWire, Path
    from granian_d.engine.pure.quic.guest import Guest


class Farewell:
    """Stands in for a connection.

    Args:
        wire: of the hall.
        ids: of the connection.
        last: datagrams that have closed it, with where they were sent; none if the peer did.
        until: when it is forgotten, CLOCK_MONOTONIC.

    Attributes:
        alarm: set to that.
        ids: as given.
    """

    __slots__ = ("_heard", "_last", "_path", "_wire", "alarm", "ids")

    def __init__(
        self, wire: DatagramWire, ids: set[bytes], last: list[tuple[bytes, Path]], until: float
    ) -> None:
        self._wire = wire
        self._last = [octets for octets, _ in last]
        self._path = last[0][1] if last else None
        self._heard = 0
        self.ids = ids
        self.alarm: Alarm[Guest | Farewell] = Alarm(self)
        self.alarm.at = until

    def receive(self, path: Path, datagram: bytes) -> None:
        """Say it again: at the first packet, the second, the fourth and so on (RFC 9000 10.2.1).

        Not with more than has come, and to nobody who was not told before.
        """
        self._heard += 1
        if path != self._path or self._heard & (self._heard - 1):
            return
        if sum(map(len, self._last)) <= len(datagram):
            self._wire.send(path, self._last)

"""What leaves a connection of HTTP/3: how much the link is given, and whose turn it is (RFC 9218).

Rules of this file: QUIC fills packets from all streams that it has something of, each in turn. So
what is small is given to it at once; of what is large it has no more than it can soon send, and the
order in which it is given the rest is the order of priorities. Nothing here calls an application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.priority import turn

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock
    from granian_d.engine.datagrams import Link
    from granian_d.engine.pure.h3.streams import Stream

# Of one stream in the link: more than a flush sends, as a rule, and a fraction of a large answer.
MOST_BYTES: Final = 128 * 1024
LOW_BYTES: Final = MOST_BYTES // 2  # then it may be given more


class Sender:
    """The streams of which something was not sent yet."""

    __slots__ = ("_clock", "_link", "_turns", "_waiting")

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._waiting: dict[int, Stream] = {}
        self._turns = 0

    def send(self, stream: Stream, octets: bytes, *, more: bool = False) -> None:
        """Send them; behind them, if `stream.last`, the end.

        Args:
            stream: on that one.
            octets: whole frames, or what follows the head of one.
            more: others follow at once.
        """
        room = 0 if stream.out_bytes else max(0, MOST_BYTES - stream.unsent)
        if len(octets) > room:
            stream.put(memoryview(octets)[room:])
            octets = octets[:room]
        if octets or not stream.out_bytes:
            self._give(stream, octets, more=more)
        if stream.id not in self._waiting:
            self._waiting[stream.id] = stream
            stream.stalled_since = self._clock.now

    def forget(self, stream: Stream) -> None:
        """What was not sent of it will not be."""
        self._waiting.pop(stream.id, None)

    def is_waiting(self, stream: Stream) -> bool:
        """Whether something was not sent yet, if only the end."""
        return stream.id in self._waiting

    def pump(self) -> list[Stream]:
        """Packets have left: give the link more.

        Returns:
            those of which all that was to be sent has been, until now or for good.
        """
        if not self._waiting:
            return []
        now = self._clock.now
        sent, able = [], []
        for stream in list(self._waiting.values()):
            unsent = self._link.unsent_bytes(stream.id)
            if unsent < stream.unsent:
                stream.unsent = unsent
                stream.stalled_since = now
            if stream.out_bytes:
                if unsent <= LOW_BYTES:
                    able.append(stream)
            elif not unsent:
                del self._waiting[stream.id]
                stream.stalled_since = NEVER
                sent.append(stream)
        if able:
            self._go_on(able)
        return sent

    def until_stalled(self, patience_s: float) -> float:
        """When the peer will have taken nothing of a stream for so long."""
        return min((stream.stalled_since for stream in self._held_up()), default=NEVER) + patience_s

    def stalled(self, before: float) -> list[Stream]:
        """Those of which it has taken nothing since then or longer."""
        return [stream for stream in self._held_up() if stream.stalled_since <= before]

    def _held_up(self) -> list[Stream]:
        """Those that wait for the peer, and not for their turn."""
        return [
            stream
            for stream in self._waiting.values()
            if not stream.out_bytes or stream.unsent > LOW_BYTES
        ]

    def _go_on(self, able: list[Stream]) -> None:
        """Give the link more of the stream whose turn it is, or of those that share it."""
        first = min(able, key=turn)
        for stream in able:
            shares = first.incremental and stream.incremental and stream.urgency == first.urgency
            if stream is first or shares:
                stream.stalled_since = self._clock.now
                self._give(stream, stream.take(MOST_BYTES - stream.unsent))

    def _give(self, stream: Stream, octets: bytes, *, more: bool = False) -> None:
        end = stream.last and not stream.out_bytes and not more
        self._link.send(stream.id, octets, end)
        self._turns += 1
        stream.served = self._turns
        stream.unsent = self._link.unsent_bytes(stream.id)

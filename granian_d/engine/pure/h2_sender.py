"""What leaves a connection: whose turn it is, how much may go, and that it goes in few writes.

Rules of this file: streams queue, `pump` sends, as far as the peer's windows and the wire's queue
allow. Nothing here calls an application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.priority import turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock
    from granian_d.engine.pure.h1_outflow import Outflow
    from granian_d.engine.pure.h2_attacks import Watch
    from granian_d.engine.pure.h2_ledger import Ledger
    from granian_d.engine.pure.h2_streams import Stream

# Of one DATA frame, whatever the peer would take: so long another stream waits for its turn.
FRAME_BYTES: Final = 16384
JOINED_BYTES: Final = 64 * 1024  # that are handed to the wire together


class Sender:
    """The streams that have something to send."""

    __slots__ = ("_clock", "_ledger", "_outflow", "_ready", "_turns", "_watch")

    def __init__(self, ledger: Ledger, outflow: Outflow, watch: Watch, clock: Clock) -> None:
        self._ledger = ledger
        self._outflow = outflow
        self._watch = watch
        self._clock = clock
        self._ready: dict[int, Stream] = {}
        self._turns = 0

    def add(self, stream: Stream) -> None:
        """A stream has something to send."""
        self._ready[stream.id] = stream

    def forget(self, stream: Stream) -> None:
        """What it had is not sent any more."""
        self._ready.pop(stream.id, None)

    def room(self, stream: Stream, most: int) -> bool:
        """Whether a stream may queue more, when it should not hold more than `most` octets."""
        return self._outflow.room and stream.out_bytes <= most

    def pump(self, ended: Callable[[Stream], None]) -> None:
        """Send what may be sent; `ended` is told of each stream that has sent all."""
        while self._outflow.room:
            stream = self._next()
            if stream is None:
                self._note_stalled()
                break
            end = self._send(stream)
            if not stream.has_output:
                self.forget(stream)
            if end:
                ended(stream)
            if self._ledger.output_bytes >= JOINED_BYTES:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Hand all that is written to the wire."""
        self._outflow.write(self._ledger.take_output())

    def until_stalled(self, patience_s: float) -> float:
        """When the first stream will have waited so long for the peer's windows."""
        return min((stream.stalled_since for stream in self._held_up()), default=NEVER) + patience_s

    def stalled(self, before: float) -> list[Stream]:
        """Those that have waited for the peer's windows since then or longer."""
        return [stream for stream in self._held_up() if stream.stalled_since <= before]

    def _held_up(self) -> list[Stream]:
        return [stream for stream in self._ready.values() if not self._may_send(stream)]

    def _next(self) -> Stream | None:
        """Whose turn it is."""
        able = [stream for stream in self._ready.values() if self._may_send(stream)]
        return min(able, key=turn, default=None)

    def _may_send(self, stream: Stream) -> bool:
        if stream.head is not None or not stream.out_bytes:
            return True
        return self._ledger.window(stream.id) > 0

    def _send(self, stream: Stream) -> bool:
        """One frame of a stream, or its head; True when END_STREAM went with it."""
        self._watch.progress()
        stream.stalled_since = NEVER
        self._turns += 1
        stream.served = self._turns
        if stream.head is not None:
            head, stream.head = stream.head, None
            end = self._is_end(stream)
            self._ledger.send_section(stream.id, head, end)
        elif stream.out_bytes:
            data = stream.take(min(FRAME_BYTES, self._ledger.window(stream.id)))
            if stream.exchange is not None:
                stream.exchange.sent_bytes += len(data)
            end = self._is_end(stream)
            self._ledger.send_data(stream.id, data, end)
        elif stream.trailers:
            end = True
            self._ledger.send_section(stream.id, stream.trailers, True)
        else:
            end = True
            self._ledger.end_stream(stream.id)
        if end:
            stream.last = False
        return end

    def _is_end(self, stream: Stream) -> bool:
        """Nothing follows what is sent now."""
        return stream.last and not stream.out_bytes and not stream.trailers

    def _note_stalled(self) -> None:
        for stream in self._ready.values():
            if stream.stalled_since == NEVER:
                stream.stalled_since = self._clock.now

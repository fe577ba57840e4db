"""The endpoint of one HTTP/3 connection: octets on streams in, Exchanges, octets out (RFC 9114).

Rules of this file: no I/O and no clock of its own; the link is asked to send, and sends by itself.

    frames       octets of a stream -> frames
    control      what is said beside requests
    reception    frames on streams -> requests, bodies
    requests     streams, the exchanges on them, and what is written for them
    fields       sections, by the library

Here: the connection, time, and the end. Application code runs inside `Service.serve` and the
callbacks of an Exchange, and may come back into this file at any of these moments.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.h3 import frames
from granian_d.engine.pure.h3.attacks import Watch
from granian_d.engine.pure.h3.control import Control
from granian_d.engine.pure.h3.fields import Compression
from granian_d.engine.pure.h3.frames import frame, varint
from granian_d.engine.pure.h3.reception import Reception
from granian_d.engine.pure.h3.requests import NO_ERROR, Requests
from granian_d.engine.pure.patience import LINGER_S, Patience
from granian_d.errors import CriticalStreamClosed, ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Leave, Service
    from granian_d.engine.datagrams import Link
    from granian_d.http.exchange import Exchange
    from granian_d.plan import Limits
    from granian_d.plan.model import EngineName


class H3Endpoint:
    """One connection; see engine.datagrams.LinkEndpoint.

    Args:
        engine: that speaks in tunnels.

    Attributes:
        over: the link was closed, or is lost.
        peer_leaves: it will ask for nothing more.
    """

    __slots__ = (
        "_clock",
        "_control",
        "_control_id",
        "_done_at",
        "_link",
        "_patience",
        "_reception",
        "_requests",
        "over",
        "peer_leaves",
    )

    def __init__(
        self, engine: EngineName, link: Link, service: Service, limits: Limits, clock: Clock
    ) -> None:
        self._link = link
        self._clock = clock
        self._patience = Patience(limits, clock)
        compression, watch = Compression(), Watch(clock)
        terms = service, limits, clock
        self._requests = Requests(self, link, watch, compression, terms)
        self._reception = Reception(self, link, self._requests, watch, compression, terms, engine)
        self._control = Control(self, link, watch, compression)
        self._done_at = NEVER  # when nothing was left to be done
        self.over = False
        self.peer_leaves = False
        self._control_id = link.open_uni()
        link.send(self._control_id, varint(frames.CONTROL) + _settings(limits))

    @property
    def deadline(self) -> float:
        """When `expire` wants to be called: derived when it is asked for, a few times a second."""
        if self.over:
            return NEVER
        if self._done_at != NEVER:
            return self._done_at  # it is looked at with every tick
        requests, patience = self._requests, self._patience
        until = min(requests.until(), requests.until_tunnels())
        if not requests.open:
            until = min(until, patience.until_idle())
        if patience.leave is not None and not requests.deaf:
            until = min(until, patience.until_parted())
        return until

    # --- fed by QUIC ---------------------------------------------------------------------------

    def feed_stream(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Octets of a stream, in order."""
        if self.over:
            return
        try:
            if stream_id % 4 == 0:
                self._reception.receive(stream_id, data, ended)
            else:
                self._control.receive(stream_id, data, ended)
        except ProtocolViolation as violation:
            self._condemn(violation)
        self.proceed()

    def feed_reset(self, stream_id: int, code: int) -> None:  # noqa: ARG002 - why does not matter
        """The peer sends no more on a stream."""
        end = self._requests.feed_reset if stream_id % 4 == 0 else self._control.close
        self._heed(partial(end, stream_id))

    def feed_stop(self, stream_id: int, code: int) -> None:  # noqa: ARG002 - why does not matter
        """The peer wants no more on a stream."""
        if stream_id != self._control_id:
            self._heed(partial(self._requests.feed_stop, stream_id))
        elif not self.over:
            reason = "the end of a critical stream"
            self._condemn(CriticalStreamClosed(reason, "RFC 9114 6.2.1"))

    def feed_established(self) -> None:
        """The handshake is complete."""
        self._heed(self._reception.release)

    def feed_room(self) -> None:
        """Packets have left."""
        if not self.over:
            self._requests.feed_room()
            self._look_for_end()

    def feed_lost(self) -> None:
        """The connection is gone."""
        self.over = True
        self._requests.lose()

    def expire(self) -> None:
        """`deadline` may have passed."""
        now, patience = self._clock.now, self._patience
        if self.over or now < self.deadline:
            return
        if patience.leave is not None and now >= patience.until_parted():
            self.depart()
        self._heed(self._requests.expire)
        if not self.over and not self._requests.open and now >= patience.until_idle():
            self.depart()
        self._look_for_end()

    def drain(self, leave: Leave) -> None:
        """Finish what is going on, start nothing new: GOAWAY in two steps (RFC 9114 5.2)."""
        if self.over:
            return
        first = self._patience.leave is None
        self._patience.part(leave)
        if first and not self._requests.deaf:
            self._go_away(frames.MOST_STREAM_ID)
        self._requests.drain(leave)
        if leave.idle_s <= 0:
            self.depart()
        self.proceed()

    def under_way(self, found: list[Exchange]) -> None:
        """The requests on all streams."""
        self._requests.under_way(found)

    def reset(self, exchange: Exchange) -> None:
        """Cut the stream of one of them."""
        self._requests.reset(exchange)

    # --- asked by the streams ------------------------------------------------------------------

    @property
    def leave(self) -> Leave | None:
        """The terms of the drain, once it was ordered."""
        return self._patience.leave

    def prioritize(self, stream_id: int, priority: tuple[int, bool]) -> None:
        """The peer says how urgent a request is."""
        self._requests.prioritize(stream_id, priority)

    def closed(self) -> None:
        """A stream is no more."""
        if not self._requests.open:
            self._patience.idle()

    def depart(self) -> None:
        """Say that no stream is looked at after those that have been opened."""
        if not self._requests.deaf:
            self._requests.deaf = True
            self._go_away(self._requests.beyond)

    def proceed(self) -> None:
        """Note when nothing is under way, and nothing will be."""
        requests = self._requests
        if requests.open or self.over or self._done_at != NEVER:
            return
        if requests.deaf or self.peer_leaves:
            self.depart()
            self._done_at = self._clock.now

    # --- inside --------------------------------------------------------------------------------

    def _heed(self, step: Callable[[], None]) -> None:
        """Do what news of the peer demand."""
        if self.over:
            return
        try:
            step()
        except ProtocolViolation as violation:
            self._condemn(violation)
        self.proceed()

    def _go_away(self, stream_id: int) -> None:
        self._link.send(self._control_id, frame(frames.GOAWAY, varint(stream_id)))

    # --- the end -------------------------------------------------------------------------------

    def _look_for_end(self) -> None:
        """Close the link once the peer has all; what it has not would be lost with it."""
        self.proceed()
        if self.over or (self._done_at == NEVER and self._patience.leave is None):
            return
        all_taken = not self._link.queued_bytes()
        if self._done_at == NEVER:
            if all_taken:  # the first GOAWAY, too: a round trip is over
                self.depart()
        elif not self._requests.open and (all_taken or self._clock.now >= self._done_at + LINGER_S):
            self.over = True
            self._link.close(NO_ERROR)

    def _condemn(self, violation: ProtocolViolation) -> None:
        """A connection error (RFC 9114 8)."""
        self.over = True
        self._link.close(violation.h3_code, violation.reason)
        self._requests.lose()
        self._requests.observer.refused(self._requests.peer, violation)


def _settings(limits: Limits) -> bytes:
    """Our SETTINGS. None for QPACK: the defaults are what is wanted (h3.fields)."""
    settings = {
        frames.MAX_FIELD_SECTION_SIZE: limits.http2.fields_bytes,
        frames.GREASE: 0,
    }
    if limits.websocket is not None:
        settings[frames.ENABLE_CONNECT_PROTOCOL] = 1
    pairs = [varint(name) + varint(value) for name, value in settings.items()]
    return frame(frames.SETTINGS, b"".join(pairs))

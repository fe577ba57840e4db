"""The writing half of a connection: what was handed to the wire, and whether the peer takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.contract import NEVER

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Wire
    from granian_d.plan import Limits


class Outflow:
    """Hands bytes to the wire and watches a peer that does not read.

    Attributes:
        room: the wire takes more without growing its queue over the mark.
        deadline: when `stalled` wants to be asked; NEVER while there is room.
    """

    __slots__ = (
        "_clock",
        "_holds",
        "_patience_s",
        "_taken_bytes",
        "_wire",
        "_written_bytes",
        "deadline",
        "room",
    )

    def __init__(self, wire: Wire, limits: Limits, clock: Clock) -> None:
        self.room = True
        self.deadline = NEVER
        self._wire = wire
        self._holds = False
        self._clock = clock
        self._patience_s = limits.write_timeout_s or NEVER
        self._written_bytes = 0
        self._taken_bytes = 0  # when the peer was last seen reading

    def write(self, data: bytes) -> bool:
        """Hand bytes to the wire; False when it has no room for more."""
        if not data:
            return self.room
        self._written_bytes += len(data)
        self.room = self._wire.write(data)
        if self.room:
            self.deadline = NEVER
        elif self.deadline == NEVER:
            self._look()
        return self.room

    def feed_room(self) -> None:
        """The wire has room again."""
        self.room = True
        self.deadline = NEVER

    def hold_peer(self, wanted: bool) -> None:
        """Let the peer wait with what it sends, or not any more."""
        if wanted != self._holds:
            self._holds = wanted
            if wanted:
                self._wire.pause()
            else:
                self._wire.resume()

    def stalled(self) -> bool:
        """Whether the peer has taken nothing since it was last looked at.

        Looked at once a write timeout, so a peer is found out one to two of them late.
        """
        taken_bytes = self._taken_bytes
        self._look()
        return self._taken_bytes <= taken_bytes

    def _look(self) -> None:
        self._taken_bytes = self._written_bytes - self._wire.queued_bytes()
        self.deadline = self._clock.now + self._patience_s

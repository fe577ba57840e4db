"""How long a connection waits for its peer to send something, and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.contract import NEVER

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Leave
    from granian_d.plan import Limits


class Patience:
    """Remembers since when something is awaited, and says until when.

    Attributes:
        leave: the terms of the drain, once it was ordered.

    Each `until_` is about one phase of the endpoint; which of them counts, the endpoint knows.
    """

    __slots__ = (
        "_body_since",
        "_clock",
        "_head_since",
        "_idle_s",
        "_limits",
        "_since",
        "leave",
    )

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._since = clock.now  # of the connection, then of its last answer
        self._head_since = clock.now
        self._body_since: float | None = None
        self._idle_s = limits.head_timeout_s  # for the first head; later it is the idle timeout
        self.leave: Leave | None = None

    @property
    def draining(self) -> bool:
        """`drain` was called."""
        return self.leave is not None

    def drain(self, leave: Leave) -> None:
        """Do not wait longer than that for a request to begin."""
        self.leave = leave

    def head_begun(self) -> None:
        """The first byte of a head has arrived."""
        self._head_since = self._clock.now

    def body_awaited(self) -> None:
        """The application waits for more of the body."""
        if self._body_since is None:
            self._body_since = self._clock.now

    def body_came(self) -> None:
        """Some of it has arrived, or none will come any more."""
        self._body_since = None

    def answered(self) -> None:
        """A request has been answered."""
        self._idle_s = self._limits.idle_timeout_s
        self.answer_taken()

    def answer_taken(self) -> None:
        """The peer has caught up with reading: only now it can think of the next request."""
        self._since = self._clock.now
        self._body_since = None

    def until_request(self) -> float:
        """While nothing of a head has arrived."""
        drain_idle_s = NEVER if self.leave is None else self.leave.idle_s
        return self._since + min(self._idle_s or NEVER, drain_idle_s)

    def until_head(self) -> float:
        """While a head is arriving; a pipelined one could not go on before the last answer."""
        return max(self._head_since, self._since) + (self._limits.head_timeout_s or NEVER)

    def until_body(self) -> float:
        """While a request is being answered."""
        if self._body_since is None:
            return NEVER
        return self._body_since + (self._limits.body_timeout_s or NEVER)

    def until_discarded(self) -> float:
        """While a body that nobody waits for is discarded; progress does not prolong it."""
        return self._since + (self._limits.idle_timeout_s or NEVER)

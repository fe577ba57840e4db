"""One go at what the sockets of a worker have brought, without the loop in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Turn:
    """Between `begin` and `end` nothing runs but engines, and what they call.

    What holds for all of that time need not be done and undone for each request.

    Attributes:
        on: it has begun, and not ended yet.
    """

    __slots__ = ("_behind", "on")

    def __init__(self) -> None:
        self.on = False
        self._behind: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Sockets are about to be read."""
        self.on = True

    def call_behind(self, callback: Callable[[], None]) -> None:
        """Call `callback` at the end of this turn. It never raises."""
        self._behind.append(callback)

    def end(self) -> None:
        """The loop is next."""
        self.on = False
        if self._behind:
            behind, self._behind = self._behind, []
            for callback in behind:
                callback()

"""How the service is, in one line: STATUS= of sd_notify(3), also shown by granianctl."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from granian_d.supervisor.roster import Roster


class Rate:
    """Requests a second, over the time between two feeds."""

    __slots__ = ("_count", "_since", "per_s")

    def __init__(self, now: float) -> None:
        self._count = 0
        self._since = now
        self.per_s = 0.0

    def feed(self, count: int, now: float) -> None:
        """There have been so many by now."""
        if now > self._since:
            self.per_s = (count - self._count) / (now - self._since)
        self._count, self._since = count, now


def status_line(roster: Roster, per_s: float, now: float) -> str:
    """The line.

    Args:
        roster: what the master knows.
        per_s: requests a second.
        now: seconds, monotonic.
    """
    if roster.phase == "booting":
        return "starting"
    if roster.phase == "leaving":
        return f"stopping in {max(0.0, roster.leave_at - now):.0f} s"
    if roster.phase != "serving":
        why = f"could not start: {roster.last_failure[:600]}" if not roster.committed else ""
        return why or f"stopping, {len(roster.workers)} workers left"
    serving = len(list(roster.of(roster.committed, "ready")))
    wanted = roster.count(roster.committed)
    workers = f"{serving} workers" if serving == wanted else f"{serving}/{wanted} workers"
    if roster.degraded:
        workers = "degraded: " + workers
    text = f"gen {roster.committed}, {workers}, {per_s:.0f} req/s"
    if roster.reloading:
        text += ", reloading"
    if roster.last_failure:
        text += f"; last reload failed: {roster.last_failure[:300]}"
    return text

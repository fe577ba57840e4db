"""What the master counts of its own doings and shows of the service, on the scoreboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.observe import scoreboard as columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from granian_d.observe.scoreboard import Scoreboard
    from granian_d.supervisor.roster import Roster
    from granian_d.supervisor.vocabulary import Report

# The fact that each event adds to, by its name and by its cause where it has one.
COUNTED: Final[Mapping[tuple[str, str], int]] = {
    ("worker_spawned", ""): columns.SPAWNED,
    ("worker_died", ""): columns.ENDED_ERROR,
    ("worker_failed", ""): columns.ENDED_START,
    ("worker_overdue", "start"): columns.ENDED_START,
    ("worker_overdue", "drain"): columns.ENDED_DRAIN,
    ("worker_stalled", ""): columns.ENDED_STALL,
    ("worker_stuck", ""): columns.ENDED_REQUEST,
    ("worker_due", "requests"): columns.DUE_REQUESTS,
    ("worker_due", "lifetime"): columns.DUE_LIFETIME,
    ("worker_due", "rss"): columns.DUE_RSS,
    ("worker_due", "pss"): columns.DUE_PSS,
    ("worker_due", "refork"): columns.DUE_REFORK,
    ("reload_done", ""): columns.RELOADS_OK,
    ("reload_failed", ""): columns.RELOADS_FAILED,
    ("reload_superseded", ""): columns.RELOADS_SUPERSEDED,
    ("upgraded", ""): columns.UPGRADES_OK,
    ("upgrade_failed", ""): columns.UPGRADES_FAILED,
    ("tls_renewed", ""): columns.RENEWALS_OK,
    ("tls_renewal_failed", ""): columns.RENEWALS_FAILED,
}


def count(board: Scoreboard, told: Report) -> None:
    """Count an event of the master's."""
    fact = COUNTED.get((told.event, told.fields.get("cause", "")))
    if fact is not None:
        board.facts[fact] += 1


def show(board: Scoreboard, roster: Roster) -> None:
    """Show what has been decided."""
    facts = board.facts
    facts[columns.COMMITTED] = roster.committed
    facts[columns.WANTED] = roster.count(roster.committed)
    facts[columns.SERVING] = len(list(roster.of(roster.committed, "ready")))
    facts[columns.RELOAD_FAILING] = bool(roster.last_failure)

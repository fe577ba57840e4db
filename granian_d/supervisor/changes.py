"""Changes: what begins a reload, an upgrade or a stop, and what ends it.

A change is a transaction. It begins with a number, and ends with an Outcome that whoever waits for
that number is told; between them the committed generation serves on. Of two reloads the later one
is done: it reads what the earlier one would have read, or something newer.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from granian_d.plan import MOST_WORKERS
from granian_d.supervisor import policy
from granian_d.supervisor.roster import NEVER
from granian_d.supervisor.vocabulary import (
    Announce,
    CheckPassed,
    CloseListeners,
    Discard,
    PlanFailed,
    PlanMade,
    ReopenLogs,
    StartCheck,
    StopPlanner,
    Trim,
    Upgrade,
    UpgradeFailed,
    Verdict,
    Wanted,
)

if TYPE_CHECKING:
    from granian_d.supervisor.turn import Turn

THE_END = "the service stops"
PLACES = 3  # of a traceback, in STATUS=: the last ones are the telling ones


# --- the end -----------------------------------------------------------------------------------


def want_stop(turn: Turn, event: Wanted) -> None:
    """Leave in good order; said a second time, at once."""
    roster = turn.roster
    if roster.phase == "stopping":
        want_quit(turn, event)
        return
    if roster.phase == "serving" and (delay_s := roster.terms[roster.committed].drain_delay_s):
        turn.report("stop_announced", delay_s=delay_s)
        turn.do(Announce("stopping"))
        abandon_change(turn)
        turn.move("delay")
        turn.set(leave_at=turn.now + delay_s)
        return
    leave(turn)


def want_quit(turn: Turn, _: Wanted) -> None:
    """Leave at once."""
    turn.report("quitting")
    if turn.roster.phase != "stopping":
        begin_stop(turn)
    turn.set(quitting=True, stop_by=min(turn.roster.stop_by, turn.now + policy.REAP_GRACE_S))


def leave(turn: Turn) -> None:
    """Leave in good order, now."""
    turn.report("stopping", workers=len(turn.roster.workers))
    begin_stop(turn)


def begin_stop(turn: Turn) -> None:
    """Close the doors; `settle` drains the workers."""
    roster = turn.roster
    if roster.phase != "leaving":
        turn.do(Announce("stopping"))
    abandon_change(turn, keep_candidate=True)
    terms = [roster.terms[worker.generation] for worker in roster.workers.values()]
    budgets = [max(one.drain_timeout_s, one.stream_timeout_s) for one in terms]
    stop_by = turn.now + max(budgets, default=0.0) + policy.REAP_GRACE_S
    turn.move("stop")
    turn.set(leave_at=NEVER, stop_by=stop_by)
    turn.do(CloseListeners())


def abandon_change(turn: Turn, *, keep_candidate: bool = False) -> None:
    """The service ends: nothing will come of a change any more.

    The workers of the candidate go with it, or are kept, to be drained with all others.
    """
    roster = turn.roster
    if roster.planning or roster.checking:
        turn.do(StopPlanner())
    if roster.candidate and not keep_candidate:
        turn.do(Discard(roster.candidate))
        turn.set(candidate=0)
    if roster.concluding:
        turn.tell_verdict()  # it is decided, and stays so
    elif roster.reloading:
        turn.do(Verdict(roster.change, os.EX_TEMPFAIL, THE_END))
    if roster.reload_again or roster.upgrade_again:
        turn.do(Verdict(roster.change + 1, os.EX_TEMPFAIL, THE_END))
    turn.set(
        planning_until=NEVER,
        checking_until=NEVER,
        concluding=False,
        reload_again=False,
        upgrade_again=False,
    )


# --- reload ------------------------------------------------------------------------------------


def want_reload(turn: Turn, _: Wanted) -> None:
    """Have the configuration and the code of now serve."""
    roster = turn.roster
    if roster.phase not in ("booting", "serving"):
        return
    if roster.phase == "booting" or roster.checking or roster.concluding:
        turn.set(reload_again=True)  # one more, when this is done: it may have read old files
        return
    _supersede(turn)
    turn.reload()


def _supersede(turn: Turn) -> None:
    """Give up what an earlier reload has begun."""
    roster = turn.roster
    if roster.planning:
        turn.do(StopPlanner())
        turn.set(planning_until=NEVER)
    if roster.candidate:
        turn.do(Discard(roster.candidate))
        turn.set(candidate=0)
    if roster.reloading:
        turn.report("reload_superseded")


def on_plan_made(turn: Turn, event: PlanMade) -> None:
    """A generation can be made."""
    if not turn.roster.planning:
        return  # it came after its deadline, or after a stop
    terms = {**turn.roster.terms, event.generation: event.terms}
    turn.set(planning_until=NEVER, candidate=event.generation, terms=terms)
    if turn.roster.phase == "serving":
        turn.report("reload_rolling", generation=event.generation)


def on_plan_failed(turn: Turn, event: PlanFailed) -> None:
    """There is none."""
    if not turn.roster.planning:
        return
    turn.set(planning_until=NEVER)
    fail_change(turn, event.reason, event.exit_code)


def discard(turn: Turn, reason: str, exit_code: int) -> None:
    """The candidate will not be: `settle` takes its workers away."""
    turn.do(Discard(turn.roster.candidate))
    turn.set(candidate=0)
    fail_change(turn, reason, exit_code)


def fail_change(turn: Turn, reason: str, exit_code: int) -> None:
    """The start or the change that was under way has failed."""
    event = "upgrade_failed" if turn.roster.checking else "reload_failed"
    sentence = reason.partition("\n")[0]  # the rest, a traceback, was logged where it happened
    if turn.roster.phase == "booting":
        if sentence:
            turn.report("boot_failed", reason=sentence)
        turn.set(exit_code=exit_code, last_failure=_in_one_line(reason))
        begin_stop(turn)
        turn.set(quitting=True)
        return
    turn.end_change(exit_code or os.EX_SOFTWARE, reason)
    turn.set(last_failure=sentence, concluding=True, checking_until=NEVER)
    turn.report(event, generation=turn.roster.committed, reason=sentence)


def _in_one_line(reason: str) -> str:
    """A sentence and the places of its traceback, all that STATUS= has room for.

    Between two tries `systemctl status` shows nothing else of a start that failed.
    """
    sentence, _, trace = reason.partition("\n")
    lines = (line.strip() for line in trace.splitlines() if line.startswith('  File "'))
    places = [line.removeprefix("File ") for line in lines][-PLACES:]
    return (
        f"{sentence}; Traceback (most recent call last): {'; '.join(places)}"
        if places
        else sentence
    )


# --- upgrade -----------------------------------------------------------------------------------


def want_upgrade(turn: Turn, _: Wanted) -> None:
    """Have the granian-d of now supervise and serve."""
    roster = turn.roster
    if roster.phase not in ("booting", "serving"):
        return
    if roster.phase == "booting" or roster.reloading:
        turn.set(upgrade_again=True)
        return
    upgrade(turn)


def upgrade(turn: Turn) -> None:
    """Begin to try what is on disk."""
    turn.report("upgrade_began")
    turn.begin_change()
    until = turn.now + policy.PLANNER_TIMEOUT_S
    turn.set(checking_until=until, upgrade_again=False)
    turn.do(StartCheck())


def on_check_passed(turn: Turn, _: CheckPassed) -> None:
    """What is on disk can take over: let it. The next event is heard by it, or says why not."""
    if turn.roster.checking:
        turn.report("upgrading")
        turn.do(Upgrade())


def on_upgrade_failed(turn: Turn, event: UpgradeFailed) -> None:
    """Nothing has changed."""
    if turn.roster.checking:
        fail_change(turn, event.reason, event.exit_code)


def resume(turn: Turn) -> None:
    """Go on as the successor of a master that has executed us: its change ends with a reload."""
    roster = turn.roster
    again = 1 if roster.reload_again else 0
    turn.set(checking_until=NEVER, change=roster.change + again)
    turn.report("reload_began")
    turn.plan()


# --- the number of workers ---------------------------------------------------------------------


def want_grow(turn: Turn, _: Wanted) -> None:
    """One worker more."""
    scale(turn, turn.roster.count(turn.roster.committed) + 1)


def want_shrink(turn: Turn, _: Wanted) -> None:
    """One worker less."""
    scale(turn, turn.roster.count(turn.roster.committed) - 1)


def want_scale(turn: Turn, event: Wanted) -> None:
    """That many workers."""
    scale(turn, event.workers)


def scale(turn: Turn, workers: int) -> None:
    """Want that many workers of the committed generation."""
    roster = turn.roster
    if roster.phase != "serving":
        return
    workers = max(1, min(workers, MOST_WORKERS))
    turn.set(adjust=workers - roster.terms[roster.committed].workers)
    turn.report("scaled", workers=workers)


def want_reopen(turn: Turn, _: Wanted) -> None:
    """Log files were moved."""
    turn.do(ReopenLogs())


def want_trim(turn: Turn, _: Wanted) -> None:
    """Memory is short."""
    if turn.now - turn.roster.trimmed_at >= policy.TRIM_S:
        turn.set(trimmed_at=turn.now)
        turn.report("memory_short")
        turn.do(Trim())


def follow_up(turn: Turn) -> None:
    """Begin what was wanted while no change could begin."""
    if turn.roster.upgrade_again:
        upgrade(turn)  # ends with a reload of its own
    elif turn.roster.reload_again:
        turn.reload()


def keep_count(turn: Turn, before: int) -> None:
    """A pool that follows its load goes on with the workers it had, not with those at its start."""
    roster = turn.roster
    terms = roster.terms[roster.committed]
    if terms.workers_min < terms.workers_max:
        wanted = max(terms.workers_min, min(before, terms.workers_max))
        turn.set(adjust=wanted - terms.workers, load=replace(roster.load, hot_since=NEVER))

"""What follows from the whole: `settle` brings what is nearer to what should be.

Nothing here knows which event came. A missing worker is missing whether it crashed, was never
started or belongs to a new generation, and is filled in the same way.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from granian_d.supervisor.vocabulary import Announce, Commit, Exit

if TYPE_CHECKING:
    from granian_d.supervisor.turn import Turn


def settle(turn: Turn) -> None:
    """Bring what is nearer to what should be."""
    _end_overdue(turn)
    if turn.roster.phase == "stopping":
        _settle_stop(turn)
        return
    _promote(turn)
    _fill(turn, turn.roster.committed)
    _fill(turn, turn.roster.candidate)
    _retire(turn)
    _make_room(turn)
    _conclude(turn)
    _forget(turn)


def _end_overdue(turn: Turn) -> None:
    for worker in list(turn.roster.workers.values()):
        if turn.now < worker.deadline:
            continue
        if worker.state == "starting":
            limit_s = turn.roster.terms[worker.generation].startup_timeout_s
            reason = f"worker-{worker.slot} was not ready in {limit_s:.0f} s"
            turn.tell("worker_overdue", worker, reason=reason)
            turn.dump(worker, reason)
        else:
            reason = "its drain budget is spent" if worker.state == "draining" else "it lives on"
            turn.tell("worker_overdue", worker, reason=reason)
            turn.kill(worker, reason)


def _settle_stop(turn: Turn) -> None:
    for worker in list(turn.roster.workers.values()):
        if worker.state == "dying":
            continue
        if turn.roster.quitting or worker.state == "starting":
            turn.kill(worker, "the service stops")
        elif not worker.hasty:
            turn.drain(worker, hasty=True)
    left = len(turn.roster.workers)
    if left and turn.now < turn.roster.stop_by:
        return
    if left:
        turn.report("stop_overdue", workers=left)
    if turn.roster.committed:
        turn.report("stopped")
    turn.move("leave")
    turn.do(Exit(turn.roster.exit_code))


def _promote(turn: Turn) -> None:
    """Commit the candidate once it serves: all of it, or at the first start any of it.

    The first start has nothing to fall back to, and one worker answers every request.
    """
    roster = turn.roster
    candidate = roster.candidate
    if not candidate:
        return
    if roster.phase == "booting":
        serves = any(roster.of(candidate, "ready"))
    else:
        serves = roster.complete(candidate)
    if not serves:
        return
    event = "ready" if roster.phase == "booting" else "reload_done"
    turn.move("commit")
    turn.set(committed=candidate, candidate=0, adjust=0, setbacks={}, last_failure="")
    turn.do(Commit(candidate))
    turn.report(event, generation=candidate, workers=turn.roster.count(candidate))
    turn.set(concluding=True)


def _fill(turn: Turn, generation: int) -> None:
    """Spawn what a generation misses, as far as there is room."""
    for slot in _missing(turn, generation):
        if len(turn.roster.workers) < turn.roster.cap:
            turn.spawn(slot, generation)


def _missing(turn: Turn, generation: int) -> list[int]:
    """The slots that a generation wants filled now."""
    roster = turn.roster
    taken = roster.filled(generation, "starting", "ready")
    if generation == roster.committed:
        taken |= roster.filled(roster.candidate, "ready")
        taken |= {slot for slot, s in roster.setbacks.items() if turn.now < s.not_before}
    else:
        taken |= roster.filled(generation, "dying")  # its end will discard the candidate
    return [slot for slot in roster.slots(generation) if slot not in taken]


def _retire(turn: Turn) -> None:
    """Take away the workers nobody wants any more, but not before somebody stands in for them."""
    roster = turn.roster
    serving = roster.filled(roster.committed, "ready")
    complete = roster.complete(roster.committed)
    for worker in list(roster.workers.values()):
        if worker.generation in (roster.committed, roster.candidate):
            if worker.slot <= roster.count(worker.generation) and not worker.leaving:
                continue
            relieved = complete or (worker.leaving and worker.slot in serving)
        else:
            relieved = complete or worker.slot in serving
        if worker.state == "starting":
            turn.kill(worker, "it is not wanted any more")
        elif worker.state == "ready" and relieved:
            turn.drain(worker)


def _make_room(turn: Turn) -> None:
    """When there is no room for what is missing, drain the least wanted of those who can be spared.

    There are more workers than slots then, so some share a slot or sit where nobody needs them.
    """
    roster = turn.roster
    missing = _missing(turn, roster.committed) or _missing(turn, roster.candidate)
    on_their_way = any(w.state in ("draining", "dying") for w in roster.workers.values())
    if not missing or on_their_way or len(roster.workers) < roster.cap:
        return
    ready = [worker for worker in roster.workers.values() if worker.state == "ready"]
    servants = Counter(worker.slot for worker in ready)
    needed = max(roster.count(roster.committed), roster.count(roster.candidate))
    for worker in sorted(ready, key=roster.worth):
        if worker.slot > needed or servants[worker.slot] > 1:
            turn.drain(worker)
            return


def _conclude(turn: Turn) -> None:
    """Say that a change is over once its outcome is what every new connection meets.

    Every RELOADING=1 is paired with a READY=1, whether the reload went well or not.
    """
    leaving = (w for w in turn.roster.workers.values() if w.state == "draining")
    if not turn.roster.concluding or any(worker.accepting for worker in leaving):
        return
    turn.set(concluding=False)
    turn.do(Announce("ready"))
    if turn.roster.reload_again:
        turn.reload()


def _forget(turn: Turn) -> None:
    """Drop the terms of generations that have nobody left."""
    roster = turn.roster
    needed = {roster.committed, roster.candidate}
    needed |= {worker.generation for worker in roster.workers.values()}
    if not needed.issuperset(roster.terms):
        turn.set(terms={g: terms for g, terms in roster.terms.items() if g in needed})

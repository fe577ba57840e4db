"""What follows from the whole: `settle` brings what is nearer to what should be.

Nothing here knows which event came. A missing worker is missing whether it crashed, was never
started or belongs to a new generation, and is filled in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.supervisor import changes, policy
from granian_d.supervisor.vocabulary import Announce, Commit, Exit, ShowHealth

if TYPE_CHECKING:
    from granian_d.supervisor.roster import Worker
    from granian_d.supervisor.turn import Turn
    from granian_d.supervisor.vocabulary import Health


def settle(turn: Turn) -> None:
    """Bring what is nearer to what should be."""
    _end_overdue(turn)
    if turn.now >= turn.roster.leave_at:
        changes.leave(turn)
    _show_health(turn)
    if turn.roster.phase == "stopping":
        _settle_stop(turn)
    else:
        _promote(turn)
        _fill(turn, turn.roster.committed)
        _fill(turn, turn.roster.candidate)
        _retire(turn)
        _make_room(turn)
        _retire_molds(turn)
        _conclude(turn)
        _forget(turn)


def _end_overdue(turn: Turn) -> None:
    for worker in list(turn.roster.workers.values()):
        if turn.now < worker.deadline:
            continue
        if worker.state == "starting":
            limit_s = turn.roster.terms[worker.generation].startup_timeout_s
            reason = f"was not ready in {limit_s:.0f} s"
            turn.tell("worker_overdue", worker, cause="start", reason=reason)
            turn.dump(worker, f"worker-{worker.slot} {reason}")
        elif worker.state == "draining":
            reason = "refused to gracefully stop"
            turn.tell("worker_overdue", worker, cause="drain", reason=reason)
            turn.kill(worker, "its drain budget is spent")
        else:
            turn.tell("worker_overdue", worker, reason="was killed, and lives on")
            turn.kill(worker, "it lives on")
    for mold in list(turn.roster.molds.values()):
        if turn.now < mold.deadline:
            continue
        if mold.state == "starting":
            limit_s = turn.roster.terms[mold.generation].startup_timeout_s
            reason = f"the mold was not ready in {limit_s:.0f} s"
            turn.report("mold_overdue", generation=mold.generation, number=mold.number)
            turn.end_mold(mold, reason, "ABRT")
        else:
            turn.end_mold(mold, "it lives on", "KILL")


def _settle_stop(turn: Turn) -> None:
    for worker in list(turn.roster.workers.values()):
        if worker.state == "dying":
            continue
        if turn.roster.quitting or worker.state == "starting":
            turn.kill(worker, policy.UNWANTED)
        elif not worker.hasty:
            turn.drain(worker, hasty=True)
    for mold in list(turn.roster.molds.values()):
        turn.dismiss(mold)
    left = len(turn.roster.workers)
    if (left or turn.roster.molds) and turn.now < turn.roster.stop_by:
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
    before = roster.count(roster.committed)
    turn.move("commit")
    turn.set(committed=candidate, candidate=0, adjust=0, setbacks={})
    if before:
        turn.end_change()
        changes.keep_count(turn, before)
    turn.do(Commit(candidate))
    turn.report(event, generation=candidate, workers=turn.roster.count(candidate))
    turn.set(concluding=True)


def _fill(turn: Turn, generation: int) -> None:
    """Spawn what a generation misses, as far as there is room."""
    missing = _missing(turn, generation)
    if not generation or not _has_room_to_drain(turn, generation):
        return
    mold = 0
    if turn.roster.terms[generation].preload:
        ready = turn.roster.mold(generation)
        if ready is None:
            _start_mold(turn, generation)
            return
        mold = ready.number
    for slot in missing:
        if turn.roster.crowd < turn.roster.cap:
            turn.spawn(slot, generation, mold)


def _start_mold(turn: Turn, generation: int) -> None:
    roster = turn.roster
    living = [m for m in roster.molds.values() if m.generation == generation]
    setback = roster.setbacks.get(0)
    pause = generation == roster.committed and setback and turn.now < setback.not_before
    if not pause and not any(m.state in ("starting", "dying") for m in living):
        turn.start_mold(generation)


def _missing(turn: Turn, generation: int) -> list[int]:
    """The slots that a generation wants filled now."""
    roster = turn.roster
    taken = roster.filled(generation, "starting", "ready")
    if generation == roster.committed:
        taken |= roster.filled(roster.candidate, "ready")
        taken |= {slot for slot, s in roster.setbacks.items() if turn.now < s.not_before}
    else:
        taken |= roster.filled(generation, "dying")  # its end will discard the candidate
        if _wants_canary(turn, generation):
            return [slot for slot in (1,) if not taken]
    return [slot for slot in roster.slots(generation) if slot not in taken]


def _wants_canary(turn: Turn, generation: int) -> bool:
    """One worker has to show that the generation serves, before there are more of it.

    At the first start there is nothing that the others could disturb.
    """
    roster = turn.roster
    if not (roster.committed and generation):
        return False
    return roster.terms[generation].canary and not any(roster.of(generation, "ready"))


def _has_room_to_drain(turn: Turn, generation: int) -> bool:
    """The committed generation may become one that drains; else the oldest of them is hastened."""
    roster = turn.roster
    past = roster.past
    if generation != roster.candidate or len(past) < roster.terms[generation].generations:
        return True
    for worker in list(roster.of(past[0], "draining")):
        if not worker.hastened:
            turn.hasten(worker)
    return False


def _retire(turn: Turn) -> None:
    """Take away the workers nobody wants any more, but not before somebody stands in for them."""
    roster = turn.roster
    serving = roster.proven(roster.committed, turn.now)
    complete = serving.issuperset(roster.slots(roster.committed))
    for worker in list(roster.workers.values()):
        if worker.generation in (roster.committed, roster.candidate):
            if worker.slot > roster.count(worker.generation):
                relieved = roster.complete(roster.committed)  # nobody comes in its place
            elif worker.leaving:
                relieved = complete or worker.slot in serving
            else:
                continue
        else:
            relieved = complete or worker.slot in serving
        if worker.state == "starting":
            turn.kill(worker, policy.UNWANTED)
        elif worker.state == "ready" and relieved:
            turn.drain(worker)


def _make_room(turn: Turn) -> None:
    """When there is no room for what is missing, drain the least wanted of those who can be spared.

    There are more workers than slots then, so some share a slot or sit where nobody needs them.
    """
    roster = turn.roster
    missing = _missing(turn, roster.committed) or _missing(turn, roster.candidate)
    on_their_way = any(w.state in ("draining", "dying") for w in roster.workers.values())
    if not missing or on_their_way or roster.crowd < roster.cap:
        return
    ready = [worker for worker in roster.workers.values() if worker.state == "ready"]
    needed = max(roster.count(roster.committed), roster.count(roster.candidate))
    for worker in sorted(ready, key=roster.worth):
        mates = [one for one in ready if one.slot == worker.slot and one is not worker]
        if worker.slot > needed or mates:
            if worker.slot > needed or any(roster.is_proven(one, turn.now) for one in mates):
                turn.drain(worker)
            return  # else time makes room


def _retire_molds(turn: Turn) -> None:
    """Dismiss the molds of other generations, and those that have a successor whose workers serve.

    The committed generation keeps its mold while there is a candidate: it can replace its dead from
    memory, whatever has become of the code on disk.
    """
    roster = turn.roster
    for mold in list(roster.molds.values()):
        newest = roster.mold(mold.generation) or mold
        proven = any(w.mold == newest.number for w in roster.of(mold.generation, "ready"))
        followed = mold.number < newest.number and proven
        if mold.generation not in (roster.committed, roster.candidate) or followed:
            turn.dismiss(mold)


def _conclude(turn: Turn) -> None:
    """Say that a change is over once its outcome is what every new connection meets.

    Every RELOADING=1 is paired with a READY=1, whether the reload went well or not.
    """
    roster = turn.roster
    leaving = (w for w in roster.workers.values() if w.state == "draining" or _has_notice(turn, w))
    if not roster.concluding or any(worker.accepting for worker in leaving):
        return
    turn.set(concluding=False)
    turn.do(Announce("ready"))
    turn.tell_verdict()
    changes.follow_up(turn)


def _has_notice(turn: Turn, worker: Worker) -> bool:
    """The worker is of the past, and only the respawn interval of its successors keeps it."""
    roster = turn.roster
    if worker.state != "ready" or worker.generation in (roster.committed, roster.candidate):
        return False
    followed = worker.slot in roster.filled(roster.committed, "ready")
    return followed or roster.complete(roster.committed)


def _forget(turn: Turn) -> None:
    """Drop the terms of generations that have nobody left."""
    roster = turn.roster
    needed = {roster.committed, roster.candidate}
    needed |= {worker.generation for worker in roster.workers.values()}
    needed |= {mold.generation for mold in roster.molds.values()}
    if not needed.issuperset(roster.terms):
        turn.set(terms={g: terms for g, terms in roster.terms.items() if g in needed})


def _show_health(turn: Turn) -> None:
    roster = turn.roster
    health: Health = "well"
    if roster.phase in ("leaving", "stopping"):
        health = "leaving"
    elif roster.degraded:
        health = "degraded"
    if health != roster.health:
        turn.set(health=health)
        turn.do(ShowHealth(health))

"""The master's mind: `decide(roster, event, now)` gives the new roster and what is to be done.

Pure: no clock, no process, no file. An event handler records what happened; `settle` then looks
at the whole roster and asks for what is missing, so that there is one code path for the first
start, crash replacement, reload, scaling and recycling: start the new, wait until it serves,
drain the old. The rules that `settle` keeps, and that the tests prove of every history:

* a worker that serves is drained only when its successor serves, and has served for the respawn
  interval, or nobody needs its slot;
* nothing is spawned beyond count + surge, draining ones counted; those of generations that are no
  more have a limit of their own, beyond which the next generation waits for the oldest of them;
* a generation is committed as a whole or discarded as a whole, and until then the committed one
  keeps its workers, its terms and the right to replace its dead;
* a stop ends by its deadline, whatever the workers do;
* the listeners are closed by a stop and by nothing else; where the dead are not to be replaced, the
  first death in the service begins one.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from granian_d.supervisor import changes, policy
from granian_d.supervisor.roster import NEVER, Death, Mold, Roster, Setback, Worker
from granian_d.supervisor.settle import settle
from granian_d.supervisor.states import MOLD, WORKER
from granian_d.supervisor.turn import Turn
from granian_d.supervisor.upkeep import on_tick
from granian_d.supervisor.vocabulary import (
    CLEAN_EXIT,
    CheckPassed,
    Command,
    Event,
    MoldExited,
    MoldFailed,
    MoldReady,
    PlanFailed,
    PlanMade,
    Tick,
    UpgradeFailed,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerLeaving,
    WorkerReady,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def decide(roster: Roster, event: Event, now: float) -> tuple[Roster, list[Command]]:
    """What the master does about `event` at time `now` (seconds, monotonic)."""
    turn = Turn(roster, now)
    if roster.phase != "gone":
        _HANDLERS[type(event)](turn, event)
        settle(turn)
    return turn.roster, turn.commands


def start(now: float) -> tuple[Roster, list[Command]]:
    """The first roster: nothing runs, and a plan is wanted."""
    turn = Turn(Roster(ticked_at=now), now)
    turn.plan()
    return turn.roster, turn.commands


def resume(roster: Roster, now: float) -> tuple[Roster, list[Command]]:
    """The roster of a master whose place we have taken: what it began is gone on with."""
    turn = Turn(replace(roster, ticked_at=now, resumed_at=now), now)
    changes.resume(turn)
    settle(turn)
    return turn.roster, turn.commands


def _on_wanted(turn: Turn, event: Wanted) -> None:
    _INTENTS[event.intent](turn, event)


# --- workers -----------------------------------------------------------------------------------


def _on_worker_ready(turn: Turn, event: WorkerReady) -> None:
    worker = turn.roster.workers.get(event.worker)
    if worker is None or "ready" not in WORKER[worker.state]:
        return
    state = WORKER[worker.state]["ready"]
    turn.put(replace(worker, state=state, deadline=NEVER, ready_at=turn.now))
    turn.tell("worker_ready", worker)


def _on_worker_leaving(turn: Turn, event: WorkerLeaving) -> None:
    worker = turn.roster.workers.get(event.worker)
    if worker is not None and worker.state == "ready":
        turn.put(replace(worker, leaving=True))


def _on_worker_closed(turn: Turn, event: WorkerClosed) -> None:
    worker = turn.roster.workers.get(event.worker)
    if worker is not None:
        turn.put(replace(worker, accepting=False))


def _on_worker_failed(turn: Turn, event: WorkerFailed) -> None:
    worker = turn.roster.workers.get(event.worker)
    if worker is None:
        return
    # A traceback is told here, and to those who wait for a change; STATUS has room for a sentence.
    turn.put(replace(worker, reason=event.reason, exit_code=event.exit_code))
    turn.tell("worker_failed", worker, reason=event.reason)


def _on_worker_exited(turn: Turn, event: WorkerExited) -> None:
    roster = turn.roster
    worker = roster.workers.get(event.worker)
    if worker is None:
        return
    turn.set(workers={n: w for n, w in roster.workers.items() if n != event.worker})
    if worker.state == "draining" and event.how == CLEAN_EXIT:
        turn.tell("worker_stopped", worker)
        return
    if worker.reason != policy.UNWANTED and not roster.quitting:
        _bury_worker(turn, worker, event)
    reason = worker.reason or f"worker-{worker.slot} ended with {event.how}"
    if roster.phase == "stopping" or worker.state == "draining":
        return
    _doubt_mold(turn, worker)
    if worker.generation == roster.candidate:
        changes.discard(turn, reason, worker.exit_code or os.EX_SOFTWARE)
    elif worker.generation == roster.committed:
        _replace_dead(turn, worker, reason)


def _replace_dead(turn: Turn, worker: Worker, reason: str) -> None:
    """A worker of the service has died: `settle` fills its slot, unless that is not wanted."""
    if turn.roster.terms[worker.generation].respawn or worker.reason == policy.UNWANTED:
        _set_back(turn, worker.slot, worker.ready_at)
        return
    turn.tell("worker_not_replaced", worker, reason=reason.partition("\n")[0])
    turn.set(exit_code=policy.EXIT_BEREFT)
    changes.leave(turn)


def _bury_worker(turn: Turn, worker: Worker, event: WorkerExited) -> None:
    if not worker.reason:
        turn.tell("worker_died", worker, how=event.how)
    brief = worker.reason.partition("\n")[0]
    turn.bury(Death(turn.now, worker.slot, worker.generation, event.pid, event.how, brief))


def _set_back(turn: Turn, slot: int, ready_at: float) -> None:
    """Remember the death of a slot's worker, or of a mold, so that a crash loop slows down."""
    before = turn.roster.setbacks.get(slot)
    stable = ready_at != NEVER and turn.now - ready_at >= policy.STABLE_S
    deaths = 1 if stable or before is None else before.deaths + 1
    delay_s = policy.respawn_delay_s(deaths)
    setback = Setback(deaths, turn.now + delay_s)
    turn.set(setbacks={**turn.roster.setbacks, slot: setback})
    if delay_s:
        turn.report("worker_backoff" if slot else "mold_backoff", worker=slot, delay_s=delay_s)


# --- molds -------------------------------------------------------------------------------------


def _on_mold_ready(turn: Turn, event: MoldReady) -> None:
    """A mold that was started, or a worker that was drained to become one."""
    mold = turn.roster.molds.get(event.mold)
    worker = turn.roster.workers.get(event.mold)
    if worker is not None and worker.state == "draining" and worker.heir:
        others = {n: w for n, w in turn.roster.workers.items() if n != worker.number}
        turn.set(workers=others)
        mold = Mold(worker.number, worker.generation, "starting", NEVER)
    if mold is None or "ready" not in MOLD[mold.state]:
        return
    state = MOLD[mold.state]["ready"]
    turn.put_mold(replace(mold, state=state, deadline=NEVER, ready_at=turn.now))
    turn.report("mold_ready", generation=mold.generation, number=mold.number)


def _on_mold_failed(turn: Turn, event: MoldFailed) -> None:
    mold = turn.roster.molds.get(event.mold)
    if mold is None:
        return
    turn.put_mold(replace(mold, reason=event.reason, exit_code=event.exit_code))
    turn.report("mold_failed", generation=mold.generation, reason=event.reason)


def _on_mold_exited(turn: Turn, event: MoldExited) -> None:
    roster = turn.roster
    mold = roster.molds.get(event.mold)
    if mold is None:
        return
    turn.set(molds={n: m for n, m in roster.molds.items() if n != event.mold})
    if mold.state == "dismissed" or roster.phase == "stopping":
        return
    if not mold.reason:
        turn.report("mold_died", generation=mold.generation, number=mold.number, how=event.how)
    brief = mold.reason.partition("\n")[0]
    turn.bury(Death(turn.now, 0, mold.generation, event.pid, event.how, brief))
    if mold.generation == roster.candidate:
        reason = mold.reason or f"the mold ended with {event.how}"
        changes.discard(turn, reason, mold.exit_code or os.EX_SOFTWARE)
    elif mold.generation == roster.committed:
        _set_back(turn, 0, mold.ready_at)


def _doubt_mold(turn: Turn, worker: Worker) -> None:
    """A worker could not start. If an older mold is left, the newer one was a bad idea."""
    mold = turn.roster.molds.get(worker.mold)
    if mold is None or worker.ready_at != NEVER:
        return
    older = [m for m in turn.roster.molds.values() if m.generation == mold.generation]
    if any(m.number < mold.number and m.state == "ready" for m in older):
        turn.report("mold_refused", generation=mold.generation, number=mold.number)
        turn.dismiss(mold)


_INTENTS: Final[dict[str, Callable[[Turn, Wanted], None]]] = {
    "stop": changes.want_stop,
    "quit": changes.want_quit,
    "reload": changes.want_reload,
    "reopen": changes.want_reopen,
    "trim": changes.want_trim,
    "grow": changes.want_grow,
    "shrink": changes.want_shrink,
    "scale": changes.want_scale,
    "upgrade": changes.want_upgrade,
}

_HANDLERS: Final[dict[type, Callable[[Turn, Any], None]]] = {
    Wanted: _on_wanted,
    PlanMade: changes.on_plan_made,
    PlanFailed: changes.on_plan_failed,
    WorkerReady: _on_worker_ready,
    WorkerLeaving: _on_worker_leaving,
    WorkerClosed: _on_worker_closed,
    WorkerFailed: _on_worker_failed,
    WorkerExited: _on_worker_exited,
    MoldReady: _on_mold_ready,
    MoldFailed: _on_mold_failed,
    MoldExited: _on_mold_exited,
    CheckPassed: changes.on_check_passed,
    UpgradeFailed: changes.on_upgrade_failed,
    Tick: on_tick,
}

"""The master's mind: `decide(roster, event, now)` gives the new roster and what is to be done.

Pure: no clock, no process, no file. An event handler records what happened; `settle` then looks
at the whole roster and asks for what is missing, so that there is one code path for the first
start, crash replacement, reload, scaling and recycling: start the new, wait until it serves,
drain the old. The rules that `settle` keeps, and that the tests prove of every history:

* a worker that serves is drained only when its successor serves, or nobody needs its slot;
* nothing is spawned beyond count + surge, all living processes counted;
* a generation is committed as a whole or discarded as a whole, and until then the committed one
  keeps its workers, its terms and the right to replace its dead;
* a stop ends by its deadline, whatever the workers do;
* the listeners are closed by a stop and by nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from granian_d.plan import MOST_WORKERS
from granian_d.supervisor import policy
from granian_d.supervisor.roster import NEVER, Roster, Setback, Worker
from granian_d.supervisor.settle import settle
from granian_d.supervisor.states import WORKER
from granian_d.supervisor.turn import Turn
from granian_d.supervisor.vocabulary import (
    CLEAN_EXIT,
    Announce,
    CloseListeners,
    Command,
    Discard,
    Event,
    PlanFailed,
    PlanMade,
    ReopenLogs,
    StopPlanner,
    Tick,
    Vitals,
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


def _on_wanted(turn: Turn, event: Wanted) -> None:
    _INTENTS[event.intent](turn, event)


def _want_stop(turn: Turn, event: Wanted) -> None:
    if turn.roster.phase == "stopping":
        _want_quit(turn, event)
    else:
        turn.report("stopping", workers=len(turn.roster.workers))
        _begin_stop(turn)


def _want_quit(turn: Turn, _: Wanted) -> None:
    turn.report("quitting")
    if turn.roster.phase != "stopping":
        _begin_stop(turn)
    turn.set(quitting=True, stop_by=min(turn.roster.stop_by, turn.now + policy.REAP_GRACE_S))


def _begin_stop(turn: Turn) -> None:
    roster = turn.roster
    turn.do(Announce("stopping"))
    if roster.planning:
        turn.do(StopPlanner())
    terms = [roster.terms[worker.generation] for worker in roster.workers.values()]
    budgets = [max(one.drain_timeout_s, one.stream_timeout_s) for one in terms]
    stop_by = turn.now + max(budgets, default=0.0) + policy.REAP_GRACE_S
    turn.move("stop")
    turn.set(planning_until=NEVER, reload_again=False, stop_by=stop_by)
    turn.do(CloseListeners())


def _want_reload(turn: Turn, _: Wanted) -> None:
    roster = turn.roster
    if roster.phase == "stopping":
        return
    if roster.phase == "booting" or roster.reloading:
        turn.set(reload_again=True)  # one more, when this one is done: it may have read old files
        return
    turn.reload()


def _want_reopen(turn: Turn, _: Wanted) -> None:
    turn.do(ReopenLogs())


def _want_grow(turn: Turn, _: Wanted) -> None:
    _scale(turn, +1)


def _want_shrink(turn: Turn, _: Wanted) -> None:
    _scale(turn, -1)


def _scale(turn: Turn, step: int) -> None:
    roster = turn.roster
    if roster.phase != "serving":
        return
    workers = max(1, min(roster.count(roster.committed) + step, MOST_WORKERS))
    turn.set(adjust=workers - roster.terms[roster.committed].workers)
    turn.report("scaled", workers=workers)


def _on_plan_made(turn: Turn, event: PlanMade) -> None:
    if not turn.roster.planning:
        return  # it came after its deadline, or after a stop
    terms = {**turn.roster.terms, event.generation: event.terms}
    turn.set(planning_until=NEVER, candidate=event.generation, terms=terms)
    if turn.roster.phase == "serving":
        turn.report("reload_rolling", generation=event.generation)


def _on_plan_failed(turn: Turn, event: PlanFailed) -> None:
    if not turn.roster.planning:
        return
    turn.set(planning_until=NEVER)
    _fail_change(turn, event.reason, event.exit_code)


def _fail_change(turn: Turn, reason: str, exit_code: int) -> None:
    """The start or the reload that was under way has failed."""
    if turn.roster.phase == "booting":
        if reason:
            turn.report("boot_failed", reason=reason)
        turn.set(exit_code=exit_code, last_failure=reason)
        _begin_stop(turn)
        turn.set(quitting=True)
        return
    turn.set(last_failure=reason)
    turn.report("reload_failed", generation=turn.roster.committed, reason=reason)
    turn.set(concluding=True)


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
    summary = event.reason.partition("\n")[0]  # a traceback is told once, here and now
    turn.put(replace(worker, reason=summary, exit_code=event.exit_code))
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
    if not worker.reason:
        turn.tell("worker_died", worker, how=event.how)
    reason = worker.reason or f"worker-{worker.slot} ended with {event.how}"
    if roster.phase == "stopping" or worker.state == "draining":
        return
    if worker.generation == roster.candidate:
        _discard(turn, reason, worker.exit_code or 70)
    elif worker.generation == roster.committed:
        _set_back(turn, worker)


def _discard(turn: Turn, reason: str, exit_code: int) -> None:
    """The candidate will not be: `settle` takes its workers away."""
    turn.do(Discard(turn.roster.candidate))
    turn.set(candidate=0)
    _fail_change(turn, reason, exit_code)


def _set_back(turn: Turn, worker: Worker) -> None:
    """Remember the death of a slot's worker, so that a crash loop slows down."""
    before = turn.roster.setbacks.get(worker.slot)
    stable = worker.ready_at != NEVER and turn.now - worker.ready_at >= policy.STABLE_S
    deaths = 1 if stable or before is None else before.deaths + 1
    delay_s = policy.respawn_delay_s(deaths)
    setback = Setback(deaths, turn.now + delay_s)
    turn.set(setbacks={**turn.roster.setbacks, worker.slot: setback})
    if delay_s:
        turn.tell("worker_backoff", worker, delay_s=delay_s)


def _on_tick(turn: Turn, event: Tick) -> None:
    roster = turn.roster
    if turn.now - roster.ticked_at > policy.PAUSE_S:
        # The whole tree was stopped, most likely: nobody could beat, and nobody is to blame.
        turn.set(resumed_at=turn.now)
    turn.set(ticked_at=turn.now)
    if turn.now >= roster.planning_until:
        turn.do(StopPlanner())
        limit_s = policy.PLANNER_TIMEOUT_S
        _on_plan_failed(turn, PlanFailed(f"the configuration was not read in {limit_s:.0f} s", 75))
    for worker in list(turn.roster.workers.values()):
        _judge_progress(turn, worker, event.vitals.get(worker.number, Vitals()))


def _judge_progress(turn: Turn, worker: Worker, vitals: Vitals) -> None:
    limit_s = turn.roster.terms[worker.generation].stall_timeout_s
    if worker.state != "ready" or not limit_s:
        return
    since = max(vitals.beat_s, worker.ready_at, turn.roster.resumed_at)
    stall_s = turn.now - since
    if stall_s > limit_s:
        turn.tell("worker_stalled", worker, stall_s=stall_s)
        turn.dump(worker, f"worker-{worker.slot} made no progress")


_INTENTS: Final[dict[str, Callable[[Turn, Wanted], None]]] = {
    "stop": _want_stop,
    "quit": _want_quit,
    "reload": _want_reload,
    "reopen": _want_reopen,
    "grow": _want_grow,
    "shrink": _want_shrink,
}

_HANDLERS: Final[dict[type, Callable[[Turn, Any], None]]] = {
    Wanted: _on_wanted,
    PlanMade: _on_plan_made,
    PlanFailed: _on_plan_failed,
    WorkerReady: _on_worker_ready,
    WorkerLeaving: _on_worker_leaving,
    WorkerClosed: _on_worker_closed,
    WorkerFailed: _on_worker_failed,
    WorkerExited: _on_worker_exited,
    Tick: _on_tick,
}

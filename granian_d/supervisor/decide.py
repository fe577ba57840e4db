"""The master's mind: `decide(roster, event, now)` gives the new roster and what is to be done.

Pure: no clock, no process, no file. An event handler records what happened; `_settle` then looks
at the whole roster and asks for what is missing, so that there is one code path for the first
start, crash replacement, reload, scaling and recycling: start the new, wait until it serves,
drain the old. The rules that `_settle` keeps, and that the tests prove of every history:

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

from granian_d.supervisor import policy
from granian_d.supervisor.roster import NEVER, Roster, Setback, Worker
from granian_d.supervisor.states import PHASE, WORKER, PhaseMove
from granian_d.supervisor.vocabulary import (
    Announce,
    CloseListeners,
    Command,
    Commit,
    Discard,
    DrainWorker,
    Event,
    Exit,
    KillWorker,
    PlanFailed,
    PlanMade,
    ReopenLogs,
    Report,
    Spawn,
    StartPlanner,
    StopPlanner,
    Tick,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def decide(roster: Roster, event: Event, now: float) -> tuple[Roster, list[Command]]:
    """What the master does about `event` at time `now` (seconds, monotonic)."""
    turn = _Turn(roster, now)
    if roster.phase != "gone":
        _HANDLERS[type(event)](turn, event)
        _settle(turn)
    return turn.roster, turn.commands


def start(now: float) -> tuple[Roster, list[Command]]:
    """The first roster: nothing runs, and a plan is wanted."""
    turn = _Turn(Roster(), now)
    turn.plan()
    return turn.roster, turn.commands


class _Turn:
    """One call of `decide` while it is being worked out."""

    __slots__ = ("commands", "now", "roster")

    def __init__(self, roster: Roster, now: float) -> None:
        self.roster = roster
        self.now = now
        self.commands: list[Command] = []

    def set(self, **changes: Any) -> None:
        self.roster = replace(self.roster, **changes)

    def do(self, *commands: Command) -> None:
        self.commands.extend(commands)

    def report(self, event: str, **fields: Any) -> None:
        self.commands.append(Report(event, fields))

    def tell(self, event: str, worker: Worker, **fields: Any) -> None:
        """Report something about one worker; people know it by its slot."""
        who = {"worker": worker.slot, "generation": worker.generation, "number": worker.number}
        self.commands.append(Report(event, {**who, **fields}))

    def move(self, move: PhaseMove) -> None:
        self.set(phase=PHASE[self.roster.phase][move])

    def put(self, worker: Worker) -> None:
        self.set(workers={**self.roster.workers, worker.number: worker})

    def plan(self) -> None:
        self.set(planning_until=self.now + policy.PLANNER_TIMEOUT_S, reload_again=False)
        self.do(StartPlanner())

    def spawn(self, slot: int, generation: int) -> None:
        number = self.roster.last_worker + 1
        deadline = self.now + self.roster.terms[generation].startup_timeout_s
        self.set(last_worker=number)
        self.put(Worker(number, slot, generation, "starting", deadline))
        self.do(Spawn(number, slot, generation))

    def drain(self, worker: Worker, *, hasty: bool = False) -> None:
        following = WORKER[worker.state].get("drain")
        if following is None:
            return
        budget_s = self.roster.terms[worker.generation].drain_timeout_s
        deadline = min(worker.deadline, self.now + budget_s)
        self.put(replace(worker, state=following, deadline=deadline, hasty=hasty))
        self.do(DrainWorker(worker.number, deadline - self.now, hasty))
        self.tell("worker_draining", worker)

    def dump(self, worker: Worker, reason: str) -> None:
        """End a worker that hangs, its stacks first."""
        self._kill(worker, reason, KillWorker(worker.number, "ABRT"), policy.DUMP_GRACE_S)

    def kill(self, worker: Worker, reason: str) -> None:
        self._kill(worker, reason, KillWorker(worker.number, "KILL"), policy.REAP_GRACE_S)

    def _kill(self, worker: Worker, reason: str, command: KillWorker, grace_s: float) -> None:
        deadline = self.now + grace_s
        state = WORKER[worker.state]["kill"]
        self.put(replace(worker, state=state, deadline=deadline, reason=worker.reason or reason))
        self.do(command)


# --- what happened -----------------------------------------------------------------------------


def _on_wanted(turn: _Turn, event: Wanted) -> None:
    _INTENTS[event.intent](turn)


def _want_stop(turn: _Turn) -> None:
    if turn.roster.phase == "stopping":
        _want_quit(turn)
    else:
        turn.report("stopping", workers=len(turn.roster.workers))
        _begin_stop(turn)


def _want_quit(turn: _Turn) -> None:
    turn.report("quitting")
    if turn.roster.phase != "stopping":
        _begin_stop(turn)
    turn.set(quitting=True, stop_by=turn.now + policy.REAP_GRACE_S)


def _begin_stop(turn: _Turn) -> None:
    roster = turn.roster
    turn.do(Announce("stopping"))
    if roster.planning:
        turn.do(StopPlanner())
    budgets = [roster.terms[w.generation].drain_timeout_s for w in roster.workers.values()]
    stop_by = turn.now + max(budgets, default=0.0) + policy.REAP_GRACE_S
    turn.move("stop")
    turn.set(planning_until=NEVER, reload_again=False, stop_by=stop_by)
    turn.do(CloseListeners())


def _want_reload(turn: _Turn) -> None:
    roster = turn.roster
    if roster.phase == "stopping":
        return
    if roster.phase == "booting" or roster.reloading:
        turn.set(reload_again=True)  # one more, when this one is done: it may have read old files
        return
    turn.report("reload_began")
    turn.do(Announce("reloading"))
    turn.plan()


def _want_reopen(turn: _Turn) -> None:
    turn.do(ReopenLogs())


def _want_grow(turn: _Turn) -> None:
    _scale(turn, +1)


def _want_shrink(turn: _Turn) -> None:
    _scale(turn, -1)


def _scale(turn: _Turn, step: int) -> None:
    roster = turn.roster
    if roster.phase != "serving":
        return
    workers = max(1, roster.count(roster.committed) + step)
    turn.set(adjust=workers - roster.terms[roster.committed].workers)
    turn.report("scaled", workers=workers)


def _on_plan_made(turn: _Turn, event: PlanMade) -> None:
    if not turn.roster.planning:
        return  # it came after its deadline, or after a stop
    terms = {**turn.roster.terms, event.generation: event.terms}
    turn.set(planning_until=NEVER, candidate=event.generation, terms=terms)
    if turn.roster.phase == "serving":
        turn.report("reload_rolling", generation=event.generation)


def _on_plan_failed(turn: _Turn, event: PlanFailed) -> None:
    if not turn.roster.planning:
        return
    turn.set(planning_until=NEVER)
    _fail_change(turn, event.reason, event.exit_code)


def _fail_change(turn: _Turn, reason: str, exit_code: int) -> None:
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


def _on_worker_ready(turn: _Turn, event: WorkerReady) -> None:
    worker = turn.roster.workers.get(event.worker)
    if worker is None or "ready" not in WORKER[worker.state]:
        return
    state = WORKER[worker.state]["ready"]
    turn.put(replace(worker, state=state, deadline=NEVER, ready_at=turn.now))
    turn.tell("worker_ready", worker)


def _on_worker_closed(turn: _Turn, event: WorkerClosed) -> None:
    worker = turn.roster.workers.get(event.worker)
    if worker is not None:
        turn.put(replace(worker, accepting=False))


def _on_worker_failed(turn: _Turn, event: WorkerFailed) -> None:
    worker = turn.roster.workers.get(event.worker)
    if worker is None:
        return
    summary = event.reason.partition("\n")[0]  # a traceback is told once, here and now
    turn.put(replace(worker, reason=summary, exit_code=event.exit_code))
    turn.tell("worker_failed", worker, reason=event.reason)


def _on_worker_exited(turn: _Turn, event: WorkerExited) -> None:
    roster = turn.roster
    worker = roster.workers.get(event.worker)
    if worker is None:
        return
    turn.set(workers={n: w for n, w in roster.workers.items() if n != event.worker})
    if worker.state == "draining":
        turn.tell("worker_stopped", worker)
        return
    if not worker.reason:
        turn.tell("worker_died", worker, how=event.how)
    reason = worker.reason or f"worker-{worker.slot} ended with {event.how}"
    if roster.phase == "stopping":
        return
    if worker.generation == roster.candidate:
        _discard(turn, reason, worker.exit_code or 70)
    elif worker.generation == roster.committed:
        _set_back(turn, worker)


def _discard(turn: _Turn, reason: str, exit_code: int) -> None:
    """The candidate will not be: `_settle` takes its workers away."""
    turn.do(Discard(turn.roster.candidate))
    turn.set(candidate=0)
    _fail_change(turn, reason, exit_code)


def _set_back(turn: _Turn, worker: Worker) -> None:
    """Remember the death of a slot's worker, so that a crash loop slows down."""
    before = turn.roster.setbacks.get(worker.slot)
    stable = worker.ready_at != NEVER and turn.now - worker.ready_at >= policy.STABLE_S
    deaths = 1 if stable or before is None else before.deaths + 1
    delay_s = policy.respawn_delay_s(deaths)
    setback = Setback(deaths, turn.now + delay_s)
    turn.set(setbacks={**turn.roster.setbacks, worker.slot: setback})
    if delay_s:
        turn.tell("worker_backoff", worker, delay_s=delay_s)


def _on_tick(turn: _Turn, event: Tick) -> None:
    roster = turn.roster
    if turn.now >= roster.planning_until:
        turn.do(StopPlanner())
        limit_s = policy.PLANNER_TIMEOUT_S
        _on_plan_failed(turn, PlanFailed(f"the configuration was not read in {limit_s:.0f} s", 75))
    for worker in list(turn.roster.workers.values()):
        _judge_progress(turn, worker, event.beats)


def _judge_progress(turn: _Turn, worker: Worker, beats: Mapping[int, float]) -> None:
    limit_s = turn.roster.terms[worker.generation].stall_timeout_s
    if worker.state != "ready" or not limit_s:
        return
    stall_s = turn.now - max(beats.get(worker.number, 0.0), worker.ready_at)
    if stall_s > limit_s:
        turn.tell("worker_stalled", worker, stall_s=stall_s)
        turn.dump(worker, f"worker-{worker.slot} made no progress")


# --- what follows from the whole ---------------------------------------------------------------


def _settle(turn: _Turn) -> None:
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


def _end_overdue(turn: _Turn) -> None:
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


def _settle_stop(turn: _Turn) -> None:
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


def _promote(turn: _Turn) -> None:
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


def _fill(turn: _Turn, generation: int) -> None:
    """Spawn what a generation misses, as far as there is room."""
    if not generation:
        return
    taken = turn.roster.filled(generation, "starting", "ready")
    if generation == turn.roster.committed:
        taken |= turn.roster.filled(turn.roster.candidate, "ready")
    for slot in turn.roster.slots(generation):
        if slot in taken or len(turn.roster.workers) >= turn.roster.cap:
            continue
        setback = turn.roster.setbacks.get(slot)
        if generation == turn.roster.committed and setback and turn.now < setback.not_before:
            continue
        turn.spawn(slot, generation)


def _retire(turn: _Turn) -> None:
    """Take away the workers nobody wants any more, but not before somebody stands in for them."""
    roster = turn.roster
    serving = roster.filled(roster.committed, "ready")
    complete = roster.complete(roster.committed)
    for worker in list(roster.workers.values()):
        if worker.generation in (roster.committed, roster.candidate):
            if worker.slot <= roster.count(worker.generation):
                continue
            relieved = complete
        else:
            relieved = complete or worker.slot in serving
        if worker.state == "starting":
            turn.kill(worker, "it is not wanted any more")
        elif worker.state == "ready" and relieved:
            turn.drain(worker)


def _make_room(turn: _Turn) -> None:
    """With a small surge a roll needs places: drain one whose successor serves already."""
    roster = turn.roster
    candidate = roster.candidate
    wanting = candidate and len(roster.filled(candidate, "starting", "ready")) < roster.count(
        candidate
    )
    leaving = any(w.state in ("draining", "dying") for w in roster.workers.values())
    if not wanting or leaving or len(roster.workers) < roster.cap:
        return
    succeeded = roster.filled(candidate, "ready")
    for worker in roster.of(roster.committed, "ready"):
        if worker.slot in succeeded:
            turn.drain(worker)
            return


def _conclude(turn: _Turn) -> None:
    """Say that a change is over once its outcome is what every new connection meets.

    Every RELOADING=1 is paired with a READY=1, whether the reload went well or not.
    """
    leaving = (w for w in turn.roster.workers.values() if w.state == "draining")
    if not turn.roster.concluding or any(worker.accepting for worker in leaving):
        return
    turn.set(concluding=False)
    turn.do(Announce("ready"))
    if turn.roster.reload_again:
        _want_reload(turn)


def _forget(turn: _Turn) -> None:
    """Drop the terms of generations that have nobody left."""
    roster = turn.roster
    needed = {roster.committed, roster.candidate}
    needed |= {worker.generation for worker in roster.workers.values()}
    if not needed.issuperset(roster.terms):
        turn.set(terms={g: terms for g, terms in roster.terms.items() if g in needed})


_INTENTS: Final[dict[str, Callable[[_Turn], None]]] = {
    "stop": _want_stop,
    "quit": _want_quit,
    "reload": _want_reload,
    "reopen": _want_reopen,
    "grow": _want_grow,
    "shrink": _want_shrink,
}

_HANDLERS: Final[dict[type, Callable[[_Turn, Any], None]]] = {
    Wanted: _on_wanted,
    PlanMade: _on_plan_made,
    PlanFailed: _on_plan_failed,
    WorkerReady: _on_worker_ready,
    WorkerClosed: _on_worker_closed,
    WorkerFailed: _on_worker_failed,
    WorkerExited: _on_worker_exited,
    Tick: _on_tick,
}

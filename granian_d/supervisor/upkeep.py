"""What a look at the workers finds: who hangs, who is due to be replaced, how many are needed.

Nobody is replaced here: a worker that should go is marked as leaving, and `settle` finds it a
successor first, as in a reload. One at a time is, and none while a change is under way.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from granian_d.supervisor import changes, policy
from granian_d.supervisor.roster import NEVER, Load, Worker
from granian_d.supervisor.vocabulary import PlanFailed, StopPlanner, Tick, UpgradeFailed, Vitals

if TYPE_CHECKING:
    from granian_d.plan import PoolPlan
    from granian_d.supervisor.turn import Turn

NOTHING = Vitals()


def on_tick(turn: Turn, event: Tick) -> None:
    """Look at the time and at the workers."""
    roster = turn.roster
    if turn.now - roster.ticked_at > policy.PAUSE_S:
        # The whole tree was stopped, most likely: nobody could beat, and nobody is to blame.
        turn.set(resumed_at=turn.now)
    turn.set(ticked_at=turn.now)
    _end_planning(turn)
    for worker in list(turn.roster.workers.values()):
        vitals = event.vitals.get(worker.number, NOTHING)
        _judge_progress(turn, worker, vitals)
    if turn.roster.phase == "serving" and turn.roster.committed:
        _recycle(turn, event)
        _follow_load(turn, event)
        _leave_if_idle(turn, event)


def _end_planning(turn: Turn) -> None:
    limit_s = policy.PLANNER_TIMEOUT_S
    if turn.now >= turn.roster.planning_until:
        turn.do(StopPlanner())
        reason = f"the configuration was not read in {limit_s:.0f} s"
        changes.on_plan_failed(turn, PlanFailed(reason, os.EX_TEMPFAIL))
    if turn.now >= turn.roster.checking_until:
        turn.do(StopPlanner())
        reason = f"the new granian-d did not start in {limit_s:.0f} s"
        changes.on_upgrade_failed(turn, UpgradeFailed(reason, os.EX_TEMPFAIL))


# --- who hangs ---------------------------------------------------------------------------------


def _judge_progress(turn: Turn, worker: Worker, vitals: Vitals) -> None:
    if worker.state != "ready":
        return
    roster = turn.roster
    since = max(vitals.beat_s, worker.ready_at, roster.resumed_at)
    silent_s = turn.now - since
    limit_s = roster.terms[worker.generation].stall_timeout_s
    if limit_s and silent_s > limit_s:
        turn.tell("worker_stalled", worker, stall_s=silent_s)
        turn.dump(worker, f"worker-{worker.slot} made no progress")
    elif not worker.leaving:
        _judge_requests(turn, worker, vitals, silent_s)


def _judge_requests(turn: Turn, worker: Worker, vitals: Vitals, silent_s: float) -> None:
    """Replace a worker of which a request does not end."""
    limit_s = turn.roster.terms[worker.generation].request_timeout_s
    # A loop that stands still cannot tell how old its requests are: at least as old as its silence.
    began = vitals.oldest_s or (vitals.beat_s if vitals.active else 0.0)
    if not limit_s or not began:
        return
    age_s = turn.now - max(began, turn.roster.resumed_at)
    if age_s <= limit_s:
        return
    turn.tell("worker_stuck", worker, age_s=age_s)
    if silent_s > policy.BEATING_S:
        turn.dump(worker, f"a request of worker-{worker.slot} did not end")
    else:
        turn.put(replace(turn.roster.workers[worker.number], leaving=True))


# --- who is due --------------------------------------------------------------------------------


def _recycle(turn: Turn, event: Tick) -> None:
    roster = turn.roster
    terms = roster.terms[roster.committed]
    _weigh(turn, terms, event)
    ready = list(turn.roster.of(roster.committed, "ready"))
    settled = roster.complete(roster.committed) and not any(w.leaving for w in ready)
    if roster.reloading or not settled or any(turn.roster.of(roster.committed, "starting")):
        return
    for worker in sorted(ready, key=lambda worker: worker.ready_at):
        vitals = event.vitals.get(worker.number, NOTHING)
        if due := _due(turn, terms, worker, vitals):
            cause, reason = due
            turn.tell("worker_due", worker, cause=cause, reason=reason)
            turn.put(replace(worker, leaving=True))
            return
    _choose_heir(turn, terms, ready, event)


def _weigh(turn: Turn, terms: PoolPlan, event: Tick) -> None:
    """Count the looks in a row that found a worker's memory above its limit."""
    for worker in list(turn.roster.of(turn.roster.committed, "ready")):
        vitals = event.vitals.get(worker.number, NOTHING)
        if not vitals.rss_bytes:
            continue  # memory was not looked at
        limits = terms.recycling
        heavy = 0 < limits.rss_bytes < vitals.rss_bytes or 0 < limits.pss_bytes < vitals.pss_bytes
        turn.put(replace(worker, heavy=worker.heavy + 1 if heavy else 0))


def _due(turn: Turn, terms: PoolPlan, worker: Worker, vitals: Vitals) -> tuple[str, str] | None:
    """Why a worker should be replaced, in a word and in a sentence; None if it need not."""
    limits = terms.recycling
    if limits.requests:
        most = limits.requests - int(policy.share_of(worker.number, limits.requests_jitter))
        if vitals.requests >= max(1, most):
            return "requests", f"it has answered {vitals.requests} requests"
    if limits.lifetime_s:
        shorter_s = policy.share_of(worker.number, limits.lifetime_jitter_s)
        age_s = turn.now - worker.ready_at
        if age_s >= limits.lifetime_s - shorter_s:
            return "lifetime", f"it has served for {age_s:.0f} s"
    if worker.heavy >= limits.samples and (limits.rss_bytes or limits.pss_bytes):
        by_pss = not limits.rss_bytes or 0 < limits.pss_bytes < vitals.pss_bytes
        return "pss" if by_pss else "rss", "it has too much memory"
    mold = turn.roster.mold(worker.generation)
    if mold is not None and worker.mold < mold.number and turn.roster.reforked == worker.generation:
        return "refork", "there is a warmer mold"
    return None


def _choose_heir(turn: Turn, terms: PoolPlan, ready: list[Worker], event: Tick) -> None:
    """Have a worker that has seen enough requests become the mold, once for each generation."""
    roster = turn.roster
    if not terms.refork_after or not terms.preload or roster.reforked == roster.committed:
        return
    seen = {w.number: event.vitals.get(w.number, NOTHING).requests for w in ready}
    heir = max(ready, key=lambda worker: seen[worker.number])
    if seen[heir.number] >= terms.refork_after:
        turn.tell("worker_due", heir, cause="refork", reason="it becomes the mold")
        turn.put(replace(heir, leaving=True, heir=True))
        turn.set(reforked=roster.committed)


# --- how many are needed -----------------------------------------------------------------------


def _follow_load(turn: Turn, event: Tick) -> None:
    roster = turn.roster
    terms = roster.terms[roster.committed]
    if terms.workers_min == terms.workers_max or roster.reloading:
        return
    load = _measure(turn, terms, event)
    count = roster.count(roster.committed)
    short = turn.now - roster.trimmed_at < policy.SHORT_S
    if count < terms.workers_max and not short and turn.now - load.hot_since >= policy.HOT_S:
        load = replace(load, hot_since=NEVER)
        changes.scale(turn, count + 1)
    elif count > terms.workers_min and turn.now - load.calm_since >= policy.CALM_S:
        load = replace(load, calm_since=NEVER)
        changes.scale(turn, count - 1)
    turn.set(load=load)


def _measure(turn: Turn, terms: PoolPlan, event: Tick) -> Load:
    """How busy the workers have been since the last look, and for how long."""
    before = turn.roster.load
    workers = list(turn.roster.of(turn.roster.committed, "ready"))
    vitals = {w.number: event.vitals.get(w.number, NOTHING) for w in workers}
    busy_s = {number: one.busy_s for number, one in vitals.items()}
    passed_s = turn.now - before.at
    shares = [
        _share(terms, one, (one.busy_s - before.busy_s[number]) / passed_s)
        for number, one in vitals.items()
        if number in before.busy_s and passed_s > 0
    ]
    if not shares:
        return Load(turn.now, busy_s)
    share = sum(shares) / len(shares)
    waiting = event.queued > 0 or max(one.lag_s for one in vitals.values()) > policy.LAG_S
    hot = waiting or share > policy.BUSY
    calm = not waiting and len(workers) > 1
    calm = calm and share * len(workers) / (len(workers) - 1) < policy.CALM
    return Load(
        turn.now,
        busy_s,
        hot_since=min(before.hot_since, turn.now) if hot else NEVER,
        calm_since=min(before.calm_since, turn.now) if calm else NEVER,
    )


def _share(terms: PoolPlan, vitals: Vitals, of_processor: float) -> float:
    """How busy a worker is: its processor, or its threads where each request takes one."""
    of_threads = vitals.active / terms.threads if terms.threads else 0.0
    return max(of_processor, of_threads)


def _leave_if_idle(turn: Turn, event: Tick) -> None:
    """End a daemon that nobody needs: the service manager starts it with the next connection."""
    roster = turn.roster
    limit_s = roster.terms[roster.committed].idle_exit_s
    if not limit_s:
        return
    answered = sum(vitals.requests for vitals in event.vitals.values())
    connected = event.queued or any(v.connections or v.active for v in event.vitals.values())
    if connected or answered != roster.answered or roster.reloading:
        turn.set(quiet_since=NEVER, answered=answered)
        return
    turn.set(quiet_since=min(roster.quiet_since, turn.now))
    if turn.now - turn.roster.quiet_since >= limit_s:
        turn.report("idle_exit", idle_s=limit_s)
        changes.leave(turn)

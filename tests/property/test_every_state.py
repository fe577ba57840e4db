"""The master's mind, explored: every state that a small service can get into, each one tried.

Up to three slots and two generations. The world may do anything that a world can do, in any order:
workers become ready, fail, die and close; molds too; plans are good and bad; reloads and stops come
at any moment. Time is coarse: every limit lasts one Step, and a look at the time is an event like
the others. States that differ only in numbers and in the time of day are one state. Then the number
of states is finite, and these rules are proved for all of them:

    SERVED      a service that had a worker which serves has one afterwards, unless the world took it
    SUCCEEDED   a worker is told to leave only when its slot has another who serves, or is not wanted
    BOUNDED     there are never more workers than wanted, plus surge, beside the past generations
    WHOLE       a generation is committed when all its slots serve, and not before
    INTACT      until then the committed generation keeps its terms and the mold of its workers
    OPEN        listeners are closed by a stop and by nothing else
    ANSWERED    whoever waits for a change is told how it ended
    CONVERGES   from every state a helpful world leads to rest: complete, one generation, no more
    ENDS        from every state a stop leads to the end, whether the world helps or not
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass, replace

import pytest

from granian_d.supervisor import policy
from granian_d.supervisor.decide import decide, start
from granian_d.supervisor.roster import NEVER, Load, Mold, Outcome, Roster, Worker, next_wake
from granian_d.supervisor.vocabulary import (
    CLEAN_EXIT,
    CloseListeners,
    Commit,
    DismissMold,
    DrainWorker,
    Exit,
    MoldExited,
    MoldReady,
    PlanFailed,
    PlanMade,
    Spawn,
    Tick,
    Verdict,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerReady,
)
from tests.unit.plan.specimens import pool_plan

STEP = 100.0
LAST_GENERATION = 2
MISFORTUNES = 2

POOLS = {
    "one worker": pool_plan(workers=1),
    "two workers": pool_plan(workers=2),
    "two workers, canary": pool_plan(workers=2, canary=True),
    "two workers, surge of one": pool_plan(workers=2, surge=1, canary=True),
    "three workers, canary, surge of one": pool_plan(workers=3, surge=1, canary=True),
    "two workers, respawn interval, surge of one": pool_plan(
        workers=2, surge=1, respawn_interval_s=STEP
    ),
    "two workers, not replaced": pool_plan(workers=2, respawn=False),
    "one worker, preload": pool_plan(workers=1, preload=True),
    "two workers, preload, surge of one": pool_plan(workers=2, surge=1, preload=True),
}


@pytest.fixture
def coarse(monkeypatch):
    coarsen(monkeypatch)


def coarsen(monkeypatch):
    """Every limit lasts one Step."""
    for name in ("PLANNER_TIMEOUT_S", "DUMP_GRACE_S", "REAP_GRACE_S", "STABLE_S", "FIRST_DELAY_S"):
        monkeypatch.setattr(policy, name, STEP)
    monkeypatch.setattr(policy, "LONGEST_DELAY_S", STEP)
    monkeypatch.setattr(policy, "PAUSE_S", NEVER)


def terms_of(pool):
    limits = ("startup_timeout_s", "drain_timeout_s", "stream_timeout_s")
    return replace(pool, stall_timeout_s=0.0, **dict.fromkeys(limits, STEP))


# --- what can happen ---------------------------------------------------------------------------


def moves(roster: Roster, terms):
    """Every event that the world may bring about in a state, and whether it is a misfortune."""
    newest = max([roster.committed, roster.candidate, *roster.terms], default=0)
    if roster.planning:
        if newest < LAST_GENERATION:
            yield PlanMade(newest + 1, terms), False
        yield PlanFailed("no", 78), True
    for worker in roster.workers.values():
        if worker.state == "starting":
            yield WorkerReady(worker.number), False
        if worker.state == "draining" and worker.accepting:
            yield WorkerClosed(worker.number), False
        leaving = worker.state in ("draining", "dying")
        yield WorkerExited(worker.number, CLEAN_EXIT if leaving else "SIGKILL"), not leaving
    for mold in roster.molds.values():
        if mold.state == "starting":
            yield MoldReady(mold.number), False
        leaving = mold.state in ("dismissed", "dying")
        yield MoldExited(mold.number, CLEAN_EXIT if leaving else "SIGKILL"), not leaving
    if newest < LAST_GENERATION and not roster.reloading:
        yield Wanted("reload"), False
    late = any(w.state in ("starting", "draining") for w in roster.workers.values())
    yield Tick({}), late or roster.planning


def help_along(roster: Roster, terms):
    """The event that a helpful world brings about next; None if it has nothing to do."""
    if roster.planning:
        newest = max([roster.committed, roster.candidate, *roster.terms], default=0)
        return PlanMade(newest + 1, terms)
    for worker in roster.workers.values():
        if worker.state == "starting":
            return WorkerReady(worker.number)
        if worker.state in ("draining", "dying"):
            return WorkerExited(worker.number, CLEAN_EXIT)
    for mold in roster.molds.values():
        if mold.state == "starting":
            return MoldReady(mold.number)
        if mold.state != "ready":
            return MoldExited(mold.number, CLEAN_EXIT)
    return None


# --- one state for all that are alike ----------------------------------------------------------


def canonical(roster: Roster, now: float) -> Roster:
    """The same state as of time 0, its numbers counted from 1, without what is only remembered."""
    numbers = sorted([*roster.workers, *roster.molds])
    anew = {number: place for place, number in enumerate(numbers, 1)} | {0: 0}
    workers = [_renumbered(worker, anew, now) for worker in roster.workers.values()]
    workers = [replace(worker, mold=anew.get(worker.mold, 0)) for worker in workers]
    molds = [_renumbered(mold, anew, now) for mold in roster.molds.values()]
    setbacks = {
        slot: replace(one, deaths=min(one.deaths, 2), not_before=max(one.not_before - now, 0.0))
        for slot, one in roster.setbacks.items()
    }
    return replace(
        _shifted(roster, now),
        workers={worker.number: worker for worker in workers},
        molds={mold.number: mold for mold in molds},
        setbacks=setbacks,
        last_worker=len(numbers),
        outcome=Outcome(0, 0.0, 0.0, 0, "") if _is_decided(roster) else None,
        **FORGOTTEN,
    )


def _is_decided(roster: Roster) -> bool:
    return roster.outcome is not None and roster.outcome.change == roster.change


# What is told to people and changes nothing that the master does.
FORGOTTEN = {
    "deaths": (),
    "change": 0,
    "change_began": 0.0,
    "last_failure": "",
    "ticked_at": 0.0,
    "resumed_at": 0.0,
    "load": Load(),
    "answered": 0,
    "quiet_since": NEVER,
}


def _renumbered(process, anew, now):
    reason = process.reason if process.reason in ("", policy.UNWANTED) else "a fault"
    return replace(_shifted(process, now), number=anew[process.number], reason=reason)


def key(roster: Roster):
    """Two states are one if their keys are equal."""
    of_roster = [getattr(roster, name) for name in _PLAIN]
    workers = tuple(tuple(getattr(w, n) for n in _OF_WORKER) for w in roster.workers.values())
    molds = tuple(tuple(getattr(m, n) for n in _OF_MOLD) for m in roster.molds.values())
    setbacks = tuple(sorted((n, s.deaths, s.not_before) for n, s in roster.setbacks.items()))
    return (*of_roster, workers, molds, setbacks, tuple(roster.terms))


_OF_WORKER = tuple(field.name for field in fields(Worker))
_OF_MOLD = tuple(field.name for field in fields(Mold))
_PLAIN = tuple(
    {field.name for field in fields(Roster)} - {"workers", "molds", "setbacks", "terms", *FORGOTTEN}
)

_TIMES = {"deadline", "ready_at", "planning_until", "checking_until", "leave_at", "stop_by"}


def _shifted(record, now):
    """The record with its times relative to now; what has been ready for a Step is just old."""
    assert is_dataclass(record)
    shifted = {}
    for name in _TIMES & {field.name for field in fields(record)}:
        value = getattr(record, name)
        shifted[name] = value if value == NEVER else max(value - now, -STEP)
    return replace(record, **shifted)


# --- the rules ---------------------------------------------------------------------------------


def judge(before: Roster, event, after: Roster, commands) -> None:
    """Every rule of one step; see the head of this file."""
    stopping = after.phase in ("stopping", "gone")
    closed = any(isinstance(command, CloseListeners) for command in commands)
    assert closed <= stopping, "OPEN"
    if before.phase in ("booting", "stopping") or stopping:
        return
    _judge_service(before, event, after)
    _judge_drains(after, commands)
    _judge_spawns(before, after, commands)
    _judge_generations(before, after, commands)


def _serving(roster: Roster):
    return {w.number: w for w in roster.workers.values() if w.state == "ready"}


def _judge_service(before, event, after):
    lost = {event.worker} if isinstance(event, WorkerExited) else set()
    overdue = {w.number for w in before.workers.values() if w.deadline <= after.ticked_at}
    if set(_serving(before)) - lost - overdue:
        assert _serving(after), "SERVED"


def _judge_drains(after, commands):
    current = (after.committed, after.candidate)
    for command in commands:
        if not isinstance(command, DrainWorker):
            continue
        gone = after.workers[command.worker]
        mates = [w for w in _serving(after).values() if w.generation in current and not w.leaving]
        follows = gone.slot in {w.slot for w in mates}
        unwanted = gone.generation not in current or gone.slot > after.count(gone.generation)
        assert follows or (unwanted and mates), "SUCCEEDED"


def _judge_spawns(before, after, commands):
    spawned = [command for command in commands if isinstance(command, Spawn)]
    if spawned:
        assert after.crowd <= after.cap, "BOUNDED"
    seats = Counter((w.slot, w.generation) for w in after.workers.values() if w.state == "starting")
    assert all(count == 1 for count in seats.values()), "BOUNDED"
    for command in spawned:
        if after.terms[command.generation].preload:
            assert after.molds[command.mold].generation == command.generation, "INTACT"


def _judge_generations(before, after, commands):
    if any(isinstance(command, Commit) for command in commands):
        assert after.complete(after.committed), "WHOLE"
        return
    assert after.committed == before.committed, "INTACT"
    assert after.terms[after.committed] == before.terms[before.committed], "INTACT"
    dismissed = [c.mold for c in commands if isinstance(c, DismissMold)]
    assert all(before.molds[mold].generation != after.committed for mold in dismissed), "INTACT"
    if before.reloading and not after.reloading:
        assert any(isinstance(command, Verdict) for command in commands), "ANSWERED"


def converges(roster: Roster, terms, known: set) -> bool:
    """A helpful world leads to rest. `known`: states of which that has been found already."""
    path = []
    for _ in range(100):
        state = key(roster)
        if state in known or _is_at_rest(roster, terms):
            known.update(path)
            return True
        path.append(state)
        event, now = help_along(roster, terms), 0.0
        if event is None:
            event, now = Tick({}), min(next_wake(roster, 0.0), STEP)
        roster, _ = decide(roster, event, now)
        roster = canonical(roster, now)
    return False


def _is_at_rest(roster: Roster, terms) -> bool:
    if roster.phase in ("stopping", "gone"):
        return True
    if roster.candidate or not roster.complete(roster.committed):
        return False
    alone = len(roster.workers) == roster.count(roster.committed)
    return alone and len(roster.molds) == terms.preload and not roster.reloading


def ends(roster: Roster, now: float) -> bool:
    """A stop leads to the end, though nobody helps."""
    roster, commands = decide(roster, Wanted("stop"), now)
    for _ in range(10):
        if any(isinstance(command, Exit) for command in commands):
            return True
        now = next_wake(roster, now)
        roster, commands = decide(roster, Tick({}), now)
    return False


def explore(pool, misfortunes: int) -> int:
    """Try everything, with at most so many misfortunes in one history; the number of states."""
    terms = terms_of(pool)
    first = canonical(start(0.0)[0], 0.0)
    todo, seen, known = [(first, misfortunes)], {key(first): misfortunes}, set()
    while todo:
        before, spare = todo.pop()
        assert converges(before, terms, known), f"CONVERGES: {before}"
        assert ends(before, 0.0), f"ENDS: {before}"
        for event, unlucky in moves(before, terms):
            now = min(next_wake(before, 0.0), STEP) if isinstance(event, Tick) else 0.0
            after, commands = decide(before, event, now)
            judge(before, event, after, commands)
            state = canonical(after, now)
            left = spare - unlucky
            if after.phase not in ("stopping", "gone") and left > seen.get(key(state), -1):
                seen[key(state)] = left
                todo.append((state, left))
    return len(seen)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_every_state_keeps_the_rules(pool):
    assert explore(pool, misfortunes=1 if pool.workers > 1 else 2) > 100


def main() -> None:
    """The same with more misfortunes, which takes a while: python -m tests.property.test_every_state"""
    with pytest.MonkeyPatch.context() as patch:
        coarsen(patch)
        for name, pool in POOLS.items():
            print(f"{name}: {explore(pool, MISFORTUNES)} states", flush=True)


if __name__ == "__main__":
    main()

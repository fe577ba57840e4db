"""The master's mind, proved without a fork.

Hypothesis plays the world: signals, plans good and bad, workers that become ready, fail, die,
hang or dawdle, and time. The model below keeps its own books, from the commands alone, and every
rule at the head of `granian_d.supervisor.decide` is checked against them after every event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from granian_d.supervisor import policy, states
from granian_d.supervisor.decide import decide, resume, start
from granian_d.supervisor.roster import NEVER, next_wake
from granian_d.supervisor.vocabulary import (
    SIGNALS,
    Announce,
    CheckPassed,
    CloseListeners,
    Commit,
    Discard,
    DismissMold,
    DrainWorker,
    Exit,
    KillWorker,
    MoldExited,
    MoldFailed,
    MoldReady,
    PlanFailed,
    PlanMade,
    Report,
    Spawn,
    StartCheck,
    StartMold,
    StartPlanner,
    StopPlanner,
    Tick,
    UpgradeFailed,
    Verdict,
    Vitals,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerLeaving,
    WorkerReady,
)
from tests.unit.plan.specimens import pool_plan, recycling

if TYPE_CHECKING:
    from granian_d.plan import PoolPlan

terms = st.builds(
    lambda workers, more, **changes: pool_plan(
        workers=workers, workers_min=1, workers_max=workers + more, **changes
    ),
    workers=st.integers(1, 4),
    more=st.integers(0, 2),
    surge=st.integers(1, 4),
    canary=st.booleans(),
    generations=st.integers(1, 3),
    startup_timeout_s=st.sampled_from([1.0, 20.0]),
    drain_timeout_s=st.sampled_from([1.0, 10.0, 60.0]),
    stream_timeout_s=st.sampled_from([1.0, 100.0]),
    drain_delay_s=st.sampled_from([0.0, 0.0, 5.0]),
    stall_timeout_s=st.sampled_from([0.0, 5.0]),
    request_timeout_s=st.sampled_from([0.0, 10.0]),
    idle_exit_s=st.sampled_from([0.0, 0.0, 0.0, 40.0]),
    recycling=st.sampled_from(
        [recycling(), recycling(requests=50), recycling(lifetime_s=20.0), recycling(pss_bytes=7)]
    ),
    preload=st.booleans(),
    refork_after=st.sampled_from([0, 20]),
    respawn=st.sampled_from([True, True, True, False]),
    respawn_interval_s=st.sampled_from([0.0, 0.0, 3.0]),
)


VITALS = st.builds(
    Vitals,
    beat_s=st.sampled_from([0.0, 1.0]),
    requests=st.sampled_from([0, 0, 30, 100]),
    active=st.sampled_from([0, 1]),
    connections=st.sampled_from([0, 0, 1]),
    oldest_s=st.sampled_from([0.0, 1000.0]),
    busy_s=st.floats(0, 1000),
    rss_bytes=st.sampled_from([0, 1]),
    pss_bytes=st.sampled_from([1, 10]),
)


@dataclass
class Process:
    """A worker, or a mold, as the world sees it."""

    number: int
    slot: int
    generation: int
    mold: int = 0
    state: str = "starting"  # starting, ready, draining, dismissed, killed
    leaving: bool = False  # it was told by somebody to go, and waits for a successor
    closed: bool = False
    heir: bool = False
    proven_at: float = NEVER  # when it will have served for the respawn interval


@dataclass
class World:
    """Books kept from the commands alone."""

    processes: dict[int, Process] = field(default_factory=dict)
    molds: dict[int, Process] = field(default_factory=dict)
    terms: dict[int, PoolPlan] = field(default_factory=dict)
    generation: int = 0
    committed: int = 0
    candidate: int = 0
    wanted: int = 0  # workers of the committed generation
    planner: bool = False
    check: bool = False
    reloading: bool = False
    reload_wanted: bool = False  # since the last time the planner was started
    waited_for: set[int] = field(default_factory=set)  # changes without a verdict
    stopping: bool = False
    boot_failed: bool = False
    bereft: bool = False  # somebody has died who is not to be replaced
    listeners_open: bool = True
    exited: bool = False

    def count(self, generation: int) -> int:
        if generation == self.committed:
            return self.wanted
        return self.terms[generation].workers if generation in self.terms else 0

    def full(self) -> bool:
        current = (self.committed, self.candidate)
        crowd = [p for p in self.processes.values() if p.generation in current]
        surge = self.terms[self.candidate or self.committed].surge
        most = max(self.count(self.committed), self.count(self.candidate))
        return len(crowd) >= most + surge

    def past(self) -> set[int]:
        current = (self.committed, self.candidate)
        return {p.generation for p in self.processes.values()}.difference(current)

    def proven(self, now: float, *generations: int) -> set[int]:
        """The slots of those who stay and have served for the respawn interval."""
        return {
            p.slot
            for p in self.processes.values()
            if p.state == "ready" and p.generation in generations
            if not p.leaving and p.proven_at <= now
        }


class Master(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.world = World()
        self.now = 1000.0
        self.stop_deadline = NEVER

    @initialize(terms=terms, alone=st.integers(0, 9))
    def boot(self, terms, alone):
        """Mostly into a service: most of what can happen to a daemon happens long after that."""
        self.roster, commands = start(self.now)
        self.obey(commands)
        if alone:
            self.plan_made(terms)
            while self.help():
                pass

    # --- the world ----------------------------------------------------------------------------

    def feed(self, event):
        before = self.roster.phase
        self.adopt(before, *decide(self.roster, event, self.now))

    def adopt(self, before, roster, commands):
        world = self.world
        self.roster = roster
        if before != roster.phase and roster.phase in ("stopping", "gone") and not world.stopping:
            world.boot_failed = before == "booting" and roster.exit_code != 0
            world.bereft = before != "booting" and roster.exit_code == policy.EXIT_BEREFT
            world.stopping = True
            budgets = [
                max(
                    world.terms[p.generation].drain_timeout_s,
                    world.terms[p.generation].stream_timeout_s,
                )
                for p in world.processes.values()
            ]
            self.stop_deadline = self.now + max(budgets, default=0.0) + policy.REAP_GRACE_S
        self.obey(commands)

    def obey(self, commands):
        for command in commands:
            assert not self.world.exited, "a command after Exit"
            handler = getattr(self, f"do_{type(command).__name__}", None)
            if handler is not None:
                handler(command)

    def do_Report(self, command: Report):
        if command.event in ("worker_due", "worker_stuck"):
            process = self.world.processes[command.fields["number"]]
            process.leaving = process.state == "ready"
        if command.event == "scaled":
            self.world.wanted = command.fields["workers"]

    def do_StartPlanner(self, _: StartPlanner):
        assert not self.world.planner
        assert not self.world.stopping
        self.world.planner = True
        self.world.reload_wanted = False

    def do_StartCheck(self, _: StartCheck):
        assert not self.world.planner
        assert not self.world.check
        assert not self.world.candidate, "an upgrade in the middle of a reload"
        self.world.check = True

    def do_StopPlanner(self, _: StopPlanner):
        assert self.world.planner or self.world.check
        self.world.planner = self.world.check = False

    def do_Spawn(self, command: Spawn):
        world = self.world
        assert not world.stopping
        assert command.generation in (world.committed, world.candidate)
        assert 1 <= command.slot <= world.count(command.generation)
        twins = [
            p
            for p in world.processes.values()
            if (p.slot, p.generation) == (command.slot, command.generation)
            and p.state in ("starting", "ready")
            and not p.leaving
        ]
        assert not twins, "a slot filled twice"
        assert not world.full(), "more than count + surge workers"
        self.judge_birth(command)
        world.processes[command.worker] = Process(*command)

    def judge_birth(self, command: Spawn):
        world = self.world
        terms = world.terms[command.generation]
        if terms.preload:
            mold = world.molds[command.mold]
            assert (mold.generation, mold.state) == (command.generation, "ready")
        else:
            assert command.mold == 0
        if command.generation == world.candidate and world.committed:
            assert len(world.past()) < terms.generations, "too many generations would drain"
            mates = [p for p in world.processes.values() if p.generation == world.candidate]
            if terms.canary and mates:
                assert "ready" in {p.state for p in mates}, "the canary does not serve yet"

    def do_StartMold(self, command: StartMold):
        world = self.world
        assert not world.stopping
        assert command.generation in (world.committed, world.candidate)
        assert world.terms[command.generation].preload
        ready = [m for m in world.molds.values() if m.generation == command.generation]
        assert not {m.state for m in ready} & {"starting", "ready"}
        world.molds[command.mold] = Process(command.mold, 0, command.generation)

    def do_DismissMold(self, command: DismissMold):
        world = self.world
        mold = world.molds[command.mold]
        others = [m for m in world.molds.values() if m is not mold and m.state == "ready"]
        if mold.state == "ready" and mold.generation == world.committed and not world.stopping:
            assert any(m.generation == mold.generation for m in others), "its last mold"
        mold.state = "dismissed"

    def do_DrainWorker(self, command: DrainWorker):
        world = self.world
        process = world.processes[command.worker]
        assert process.state in ("ready", "draining"), "only who serves can be drained"
        assert command.budget_s >= 0
        assert command.stream_s >= 0
        if process.state == "draining" and not world.stopping:
            assert process.generation == min(world.past()), "only the oldest is hastened"
        elif not world.stopping:
            process.state = "draining"
            assert self.can_be_spared(process), "drained before its successor serves"
        process.state = "draining"
        process.heir = command.heir

    def can_be_spared(self, process):
        """What a worker that is not wanted any more waits for, and what one that is wanted does."""
        world = self.world
        current = {world.committed, world.candidate}
        seated = process.slot <= world.count(process.generation)
        if process.generation in current and seated and not process.leaving:
            return process.slot in world.proven(self.now, *current - {process.generation})
        wanted = range(1, world.count(world.committed) + 1)
        at = NEVER if process.generation in current and not seated else self.now  # none follows it
        ready = [p for p in world.processes.values() if p.state == "ready"]
        mates = [p.slot for p in ready if p.proven_at <= self.now]
        return (
            world.proven(at, world.committed).issuperset(wanted)
            or process.slot in world.proven(self.now, *current)
            or (world.full() and (process.slot not in wanted or process.slot in mates))
        )

    def do_KillWorker(self, command: KillWorker):
        world = self.world
        if command.worker in world.molds:
            world.molds[command.worker].state = "killed"
            return
        process = world.processes[command.worker]
        if process.state == "ready" and not world.stopping:
            assert command.signal == "ABRT", "who served and hangs is dumped first"
        process.state = "killed"

    def do_Commit(self, command: Commit):
        world = self.world
        assert command.generation == world.candidate
        ready = [p for p in world.processes.values() if p.generation == command.generation]
        ready = {p.slot for p in ready if p.state == "ready" and not p.leaving}
        wanted = set(range(1, world.count(command.generation) + 1))
        assert ready >= wanted if world.committed else ready & wanted
        before, world.committed, world.candidate = world.wanted, command.generation, 0
        terms = world.terms[command.generation]
        world.wanted = terms.workers
        if before and terms.workers_min < terms.workers_max:
            world.wanted = max(terms.workers_min, min(before, terms.workers_max))

    def do_Discard(self, command: Discard):
        assert command.generation == self.world.candidate
        self.world.candidate = 0

    def do_Verdict(self, command: Verdict):
        world = self.world
        assert (command.exit_code == 0) == (command.reason == "")
        world.waited_for = {change for change in world.waited_for if change > command.change}

    def do_Announce(self, command: Announce):
        world = self.world
        if command.phase == "ready":
            deaf = [p for p in world.processes.values() if p.state == "draining"]
            assert all(p.closed for p in deaf), "told READY while an old worker may still accept"
        world.reloading = command.phase == "reloading"

    def do_CloseListeners(self, _: CloseListeners):
        assert self.world.stopping, "listeners closed without a stop"
        self.world.listeners_open = False

    def do_Exit(self, command: Exit):
        world = self.world
        assert world.stopping
        assert not world.listeners_open
        assert not world.processes or self.now >= self.stop_deadline or self.roster.quitting
        assert (command.code != 0) == (world.boot_failed or world.bereft)
        assert not world.waited_for, "somebody waits for a change for ever"
        world.exited = True

    # --- rules --------------------------------------------------------------------------------

    alive = precondition(lambda self: not self.world.exited)

    def pick(self, data, *wanted):
        chosen = [p for p in self.world.processes.values() if p.state in wanted]
        return data.draw(st.sampled_from(chosen)) if chosen else None

    @alive
    @rule(
        intent=st.sampled_from(
            ["reload", "reload", "grow", "shrink", "scale", "upgrade", "reopen", "trim"]
        ),
        workers=st.integers(0, 6),
    )
    def want(self, intent, workers):
        open_to_changes = self.roster.phase in ("booting", "serving")
        if intent == "reload" and open_to_changes:
            self.world.reload_wanted = True
        self.feed(Wanted(intent, workers))
        if intent in ("reload", "upgrade") and open_to_changes:
            self.world.waited_for.add(self.roster.awaited)

    @alive
    @rule(intent=st.sampled_from(["stop", "quit"]), sure=st.integers(0, 9))
    def want_end(self, intent, sure):
        if sure == 0:  # rare, so that histories grow long
            self.feed(Wanted(intent))

    @precondition(lambda self: self.world.check and not self.world.exited)
    @rule(outcome=st.sampled_from(["refused", "not executed", "executed"]))
    def check_ends(self, outcome):
        self.world.check = False
        if outcome == "refused":
            self.feed(UpgradeFailed("it does not start", 70))
            return
        self.feed(CheckPassed())
        if outcome == "not executed":
            self.feed(UpgradeFailed("no such file", 71))
        else:
            self.adopt(self.roster.phase, *resume(self.roster, self.now))

    @precondition(lambda self: self.world.planner and not self.world.exited)
    @rule(terms=terms)
    def plan_made(self, terms):
        world = self.world
        world.planner = False
        world.generation += 1
        world.terms[world.generation] = terms
        world.candidate = world.generation
        self.feed(PlanMade(world.generation, terms))

    @precondition(lambda self: self.world.planner and not self.world.exited)
    @rule(sure=st.integers(0, 2))
    def plan_failed(self, sure):
        if sure or self.roster.phase != "booting":
            return
        self.world.planner = False
        self.feed(PlanFailed("app.toml:1: no", 78))

    @precondition(lambda self: self.world.planner and self.roster.phase == "serving")
    @rule()
    def replan_failed(self):
        self.world.planner = False
        self.feed(PlanFailed("app.toml:1: no", 78))

    @alive
    @rule(data=st.data())
    def worker_ready(self, data):
        process = self.pick(data, "starting", "starting", "killed")
        if process is not None:
            if process.state == "starting":
                self.becomes_ready(process)
            self.feed(WorkerReady(process.number))

    def becomes_ready(self, process):
        process.state = "ready"
        process.proven_at = self.now + self.world.terms[process.generation].respawn_interval_s

    @alive
    @rule(data=st.data(), sure=st.integers(0, 2))
    def worker_leaving(self, data, sure):
        process = self.pick(data, "ready", "ready", "killed")
        if process is not None and not sure:
            process.leaving = process.state == "ready"
            self.feed(WorkerLeaving(process.number))

    @alive
    @rule(data=st.data())
    def worker_closed(self, data):
        process = self.pick(data, "draining")
        if process is not None:
            process.closed = True
            self.feed(WorkerClosed(process.number))

    @alive
    @rule(data=st.data(), speaks=st.booleans())
    def worker_fails(self, data, speaks):
        process = self.pick(data, "starting")
        if process is None:
            return
        if speaks:
            self.feed(WorkerFailed(process.number, "no such module", 70))
        self.leave(process)

    @alive
    @rule(data=st.data(), speaks=st.booleans())
    def mold_ends(self, data, speaks):
        if self.world.molds:
            mold = data.draw(st.sampled_from(list(self.world.molds.values())))
            if speaks and mold.state == "starting":
                self.feed(MoldFailed(mold.number, "no such module", 70))
            self.world.molds.pop(mold.number)
            self.feed(MoldExited(mold.number, "SIGKILL", 4711))

    @alive
    @rule(data=st.data())
    def mold_ready(self, data):
        waiting = [m for m in self.world.molds.values() if m.state in ("starting", "killed")]
        waiting += [p for p in self.world.processes.values() if p.heir and p.state == "draining"]
        if waiting:
            self.molded(data.draw(st.sampled_from(waiting)))

    def molded(self, mold):
        if self.world.processes.pop(mold.number, None) is not None:
            self.world.molds[mold.number] = mold
            mold.state = "starting"
        if mold.state == "starting":
            mold.state = "ready"
        self.feed(MoldReady(mold.number))

    @alive
    @rule(data=st.data())
    def worker_dies(self, data):
        process = self.pick(data, "ready", "draining", "killed", "starting")
        if process is not None:
            self.leave(process)

    def leave(self, process):
        world = self.world
        world.processes.pop(process.number)
        in_service = process.generation == world.committed and not world.stopping
        missed = in_service and process.state in ("ready", "starting")
        self.feed(WorkerExited(process.number, "SIGKILL"))
        if in_service and world.terms[world.committed].respawn:
            assert not world.bereft
        elif missed:
            assert world.bereft, "a death went by that should have ended the service"

    @alive
    @rule(data=st.data(), seconds=st.sampled_from([0.1, 1.0, 4.0, 30.0]))
    def time_passes(self, data, seconds):
        self.now += seconds
        vitals = {p.number: data.draw(VITALS) for p in self.world.processes.values()}
        vitals = {
            number: one._replace(beat_s=self.now if one.beat_s else 0.0)
            for number, one in vitals.items()
        }
        self.feed(Tick(vitals, data.draw(st.sampled_from([0, 0, 3]))))
        rests = next_wake(self.roster, self.now) > self.now
        assert rests or self.world.exited, "the loop would spin"

    @precondition(lambda self: self.world.exited)
    @rule(intent=st.sampled_from(["stop", "quit", "reload", "grow"]))
    def after_the_end(self, intent):
        assert decide(self.roster, Wanted(intent), self.now) == (self.roster, [])

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def books_agree(self):
        if not hasattr(self, "roster"):
            return
        world, roster = self.world, self.roster
        assert set(roster.workers) == set(world.processes) or world.exited
        assert set(roster.molds) == set(world.molds) or world.exited
        assert (roster.committed, roster.candidate) == (world.committed, world.candidate)
        assert roster.count(roster.committed) == world.wanted or not world.committed
        if not world.stopping:
            assert world.listeners_open
        elif not world.exited:
            left = {p.state for p in world.processes.values()}
            assert left <= {"draining", "killed"}, "a stop left somebody serving"

    @invariant()
    def a_wake_is_wanted_while_something_is_due(self):
        if hasattr(self, "roster") and any(
            p.state in ("starting", "draining", "dismissed", "killed")
            for p in (*self.world.processes.values(), *self.world.molds.values())
        ):
            assert self.world.exited or next_wake(self.roster, self.now) < NEVER

    def teardown(self):
        """Whatever has happened: a helpful world converges, and a stop ends in time."""
        if hasattr(self, "roster") and not self.world.exited:
            if self.roster.phase in ("booting", "serving"):
                self.cooperate()
            if not self.world.exited:
                self.stop_without_help()

    def cooperate(self):
        for _ in range(400):
            world = self.world
            if world.boot_failed or world.bereft:
                return  # the first start's only worker had hung: there is nothing to fall back to
            if not self.help() and self.is_at_rest():
                break
            if world.exited or self.roster.phase == "leaving":
                return
        assert self.roster.phase == "serving"
        assert self.roster.complete(self.world.committed)
        assert not self.world.reload_wanted, "a reload was forgotten"
        assert not self.world.waited_for, "somebody waits for a change for ever"
        generations = {p.generation for p in self.world.processes.values()}
        assert generations == {self.world.committed}
        assert len(self.world.processes) == self.world.count(self.world.committed)
        assert {m.generation for m in self.world.molds.values()} <= generations
        assert len(self.world.molds) <= 1

    def help(self) -> bool:
        """Do the next thing that the master waits for; False if there is none."""
        world = self.world
        if world.planner:
            self.plan_made(world.terms.get(world.committed) or pool_plan(workers=2))
        elif world.check:
            self.check_ends("executed")
        elif mold := next((m for m in world.molds.values() if m.state != "ready"), None):
            if mold.state == "starting":
                self.molded(mold)
            else:
                world.molds.pop(mold.number)
                self.feed(MoldExited(mold.number, "exit status 0"))
        elif process := next((p for p in world.processes.values() if p.state != "ready"), None):
            if process.state == "starting":
                self.becomes_ready(process)
                self.feed(WorkerReady(process.number))
            elif process.heir and process.state == "draining":
                self.molded(process)
            else:
                self.leave(process)
        else:
            return False
        return True

    def is_at_rest(self) -> bool:
        """Nothing is to be helped with. If something is missing all the same, let time pass."""
        world, roster = self.world, self.roster
        leaving = any(p.leaving for p in world.processes.values())
        settled = roster.complete(world.committed) and not roster.candidate and not world.past()
        if settled and not leaving and len(world.molds) <= 1:
            return True
        self.now = max(self.now, min(next_wake(roster, self.now), self.now + policy.TICK_S))
        well = Vitals(beat_s=self.now, connections=1)
        self.feed(Tick(dict.fromkeys(world.processes, well)))
        return False

    def stop_without_help(self):
        self.feed(Wanted("stop"))
        for _ in range(100):
            if self.world.exited:
                break
            self.now = max(self.now, next_wake(self.roster, self.now))
            self.feed(Tick({}))
        assert self.world.exited
        assert self.now <= self.stop_deadline


TestMaster = Master.TestCase
TestMaster.settings = settings(
    max_examples=300,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_state_tables_are_closed():
    """Every state that a move leads to has a row of its own."""
    for table in (states.WORKER, states.MOLD, states.PHASE):
        for moves in table.values():
            assert set(moves.values()) <= set(table)


def test_every_signal_has_an_intent_that_is_understood():
    for intent, _ in SIGNALS.values():
        roster, _ = start(0.0)
        decide(roster, Wanted(intent), 1.0)

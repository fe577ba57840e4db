"""The master's mind, proved without a fork.

Hypothesis plays the world: signals, plans good and bad, workers that become ready, fail, die,
hang or dawdle, and time. The model below keeps its own books, from the commands alone, and every
rule at the head of `granian_d.supervisor.decide` is checked against them after every event.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from granian_d.supervisor import policy, states
from granian_d.supervisor.decide import decide, start
from granian_d.supervisor.roster import NEVER, next_wake
from granian_d.supervisor.vocabulary import (
    SIGNALS,
    Announce,
    CloseListeners,
    Commit,
    Discard,
    DrainWorker,
    Exit,
    KillWorker,
    PlanFailed,
    PlanMade,
    Spawn,
    StartPlanner,
    StopPlanner,
    Terms,
    Tick,
    Wanted,
    WorkerClosed,
    WorkerExited,
    WorkerFailed,
    WorkerLeaving,
    WorkerReady,
)

terms = st.builds(
    Terms,
    workers=st.integers(1, 4),
    surge=st.integers(1, 4),
    startup_timeout_s=st.sampled_from([1.0, 20.0]),
    drain_timeout_s=st.sampled_from([1.0, 10.0, 60.0]),
    stall_timeout_s=st.sampled_from([0.0, 5.0]),
)


@dataclass
class Process:
    """A worker as the world sees it."""

    number: int
    slot: int
    generation: int
    state: str = "starting"  # starting, ready, draining, killed
    leaving: bool = False  # it was told by somebody else to go, and waits for a successor
    closed: bool = False


@dataclass
class World:
    """Books kept from the commands alone."""

    processes: dict[int, Process] = field(default_factory=dict)
    terms: dict[int, Terms] = field(default_factory=dict)
    generation: int = 0
    committed: int = 0
    candidate: int = 0
    adjust: int = 0
    planner: bool = False
    reloading: bool = False
    reload_wanted: bool = False  # since the last time the planner was started
    stopping: bool = False
    boot_failed: bool = False
    listeners_open: bool = True
    exited: bool = False

    def count(self, generation: int) -> int:
        if generation not in self.terms:
            return 0
        adjust = self.adjust if generation == self.committed else 0
        return max(1, self.terms[generation].workers + adjust)

    def full(self) -> bool:
        surge = self.terms[self.candidate or self.committed].surge
        most = max(self.count(self.committed), self.count(self.candidate))
        return len(self.processes) >= most + surge

    def serving(self, slot: int, *generations: int) -> bool:
        return any(
            p.slot == slot and p.state == "ready" and p.generation in generations and not p.leaving
            for p in self.processes.values()
        )


class Master(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.world = World()
        self.now = 1000.0
        self.stop_deadline = NEVER

    @initialize()
    def boot(self):
        self.roster, commands = start(self.now)
        self.obey(commands)

    # --- the world ----------------------------------------------------------------------------

    def feed(self, event):
        world = self.world
        before = self.roster.phase
        self.roster, commands = decide(self.roster, event, self.now)
        if before != "gone" and isinstance(event, Wanted) and event.intent in ("stop", "quit"):
            self.note_stop(before)
        if before == "booting" and self.roster.phase in ("stopping", "gone"):
            world.boot_failed = not world.stopping
            self.note_stop(before)
        self.obey(commands)

    def note_stop(self, before):
        world = self.world
        if not world.stopping and before != "gone":
            world.stopping = True
            budgets = [world.terms[p.generation].drain_timeout_s for p in world.processes.values()]
            self.stop_deadline = self.now + max(budgets, default=0.0) + policy.REAP_GRACE_S

    def obey(self, commands):
        for command in commands:
            assert not self.world.exited, "a command after Exit"
            handler = getattr(self, f"do_{type(command).__name__}", None)
            if handler is not None:
                handler(command)

    def do_StartPlanner(self, _: StartPlanner):
        assert not self.world.planner
        assert not self.world.stopping
        self.world.planner = True
        self.world.reload_wanted = False

    def do_StopPlanner(self, _: StopPlanner):
        assert self.world.planner
        self.world.planner = False

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
        world.processes[command.worker] = Process(*command)

    def do_DrainWorker(self, command: DrainWorker):
        world = self.world
        process = world.processes[command.worker]
        assert process.state in ("ready", "draining"), "only who serves can be drained"
        if not world.stopping:
            assert process.state == "ready"
            process.state = "draining"
            assert self.can_be_spared(process), "drained before its successor serves"
        process.state = "draining"

    def can_be_spared(self, process):
        """What a worker that is not wanted any more waits for, and what one that is wanted does."""
        world = self.world
        current = {world.committed, world.candidate}
        seated = process.slot <= world.count(process.generation)
        if process.generation in current and seated and not process.leaving:
            return world.serving(process.slot, *current - {process.generation})
        wanted = range(1, world.count(world.committed) + 1)
        mates = [p.slot for p in world.processes.values() if p.state == "ready"]
        return (
            all(world.serving(slot, world.committed) for slot in wanted)
            or world.serving(process.slot, *current)
            or (world.full() and (process.slot not in wanted or process.slot in mates))
        )

    def do_KillWorker(self, command: KillWorker):
        process = self.world.processes[command.worker]
        if process.state == "ready" and not self.world.stopping:
            assert command.signal == "ABRT", "who served and hangs is dumped first"
        process.state = "killed"

    def do_Commit(self, command: Commit):
        world = self.world
        assert command.generation == world.candidate
        ready = [p for p in world.processes.values() if p.generation == command.generation]
        ready = {p.slot for p in ready if p.state == "ready" and not p.leaving}
        wanted = set(range(1, world.count(command.generation) + 1))
        assert ready >= wanted if world.committed else ready & wanted
        world.committed, world.candidate, world.adjust = command.generation, 0, 0

    def do_Discard(self, command: Discard):
        assert command.generation == self.world.candidate
        self.world.candidate = 0

    def do_Announce(self, command: Announce):
        world = self.world
        if command.phase == "ready":
            deaf = [p for p in world.processes.values() if p.state == "draining"]
            assert all(p.closed for p in deaf), "told READY while an old worker may still accept"
        if command.phase == "reloading":
            assert not world.reloading, "RELOADING twice without READY between"
        world.reloading = command.phase == "reloading"

    def do_CloseListeners(self, _: CloseListeners):
        assert self.world.stopping, "listeners closed without a stop"
        self.world.listeners_open = False

    def do_Exit(self, command: Exit):
        world = self.world
        assert world.stopping
        assert not world.listeners_open
        assert not world.processes or self.now >= self.stop_deadline or self.roster.quitting
        assert (command.code != 0) == world.boot_failed
        world.exited = True

    # --- rules --------------------------------------------------------------------------------

    alive = precondition(lambda self: not self.world.exited)

    def pick(self, data, *wanted):
        chosen = [p for p in self.world.processes.values() if p.state in wanted]
        return data.draw(st.sampled_from(chosen)) if chosen else None

    @alive
    @rule(intent=st.sampled_from(["reload", "reload", "grow", "shrink", "reopen"]))
    def want(self, intent):
        if intent in ("grow", "shrink") and self.roster.phase == "serving":
            world = self.world
            count = world.count(world.committed) + (1 if intent == "grow" else -1)
            world.adjust = max(1, count) - world.terms[world.committed].workers
        if intent == "reload" and self.roster.phase in ("booting", "serving"):
            self.world.reload_wanted = True
        self.feed(Wanted(intent))

    @alive
    @rule(intent=st.sampled_from(["stop", "quit"]), sure=st.integers(0, 9))
    def want_end(self, intent, sure):
        if sure == 0:  # rare, so that histories grow long
            self.feed(Wanted(intent))

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
                process.state = "ready"
            self.feed(WorkerReady(process.number))

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
    @rule(data=st.data())
    def worker_dies(self, data):
        process = self.pick(data, "ready", "draining", "killed", "starting")
        if process is not None:
            self.leave(process)

    def leave(self, process):
        self.world.processes.pop(process.number)
        self.feed(WorkerExited(process.number, "SIGKILL"))

    @alive
    @rule(data=st.data(), seconds=st.sampled_from([0.1, 1.0, 4.0, 30.0]))
    def time_passes(self, data, seconds):
        self.now += seconds
        beating = {
            p.number: self.now if data.draw(st.booleans()) else 0.0
            for p in self.world.processes.values()
        }
        self.feed(Tick(beating))
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
        assert (roster.committed, roster.candidate) == (world.committed, world.candidate)
        if not world.stopping:
            assert world.listeners_open
        elif not world.exited:
            left = {p.state for p in world.processes.values()}
            assert left <= {"draining", "killed"}, "a stop left somebody serving"

    @invariant()
    def a_wake_is_wanted_while_something_is_due(self):
        if hasattr(self, "roster") and any(
            p.state in ("starting", "draining", "killed") for p in self.world.processes.values()
        ):
            assert self.world.exited or next_wake(self.roster, self.now) < NEVER

    def teardown(self):
        """Whatever has happened: a helpful world converges, and a stop ends in time."""
        if hasattr(self, "roster") and not self.world.exited:
            if not self.world.stopping:
                self.cooperate()
            if not self.world.exited:
                self.stop_without_help()

    def cooperate(self):
        for _ in range(200):
            world = self.world
            if world.planner:
                self.plan_made(world.terms.get(world.committed) or Terms(2, 1, 20.0, 10.0, 0.0))
                continue
            process = next((p for p in world.processes.values() if p.state != "ready"), None)
            if world.boot_failed:
                return  # the first start's only worker had hung: there is nothing to fall back to
            if process is None:
                if self.roster.complete(world.committed) and not self.roster.candidate:
                    break
                self.now = max(self.now, next_wake(self.roster, self.now))
                self.feed(Tick(dict.fromkeys(world.processes, self.now)))
            elif process.state == "starting":
                process.state = "ready"
                self.feed(WorkerReady(process.number))
            else:
                self.leave(process)
        assert self.roster.phase == "serving"
        assert self.roster.complete(self.world.committed)
        assert not self.world.reload_wanted, "a reload was forgotten"
        generations = {p.generation for p in self.world.processes.values()}
        assert generations == {self.world.committed}
        assert len(self.world.processes) == self.world.count(self.world.committed)

    def stop_without_help(self):
        if not self.world.stopping:
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
    for table in (states.WORKER, states.PHASE):
        for moves in table.values():
            assert set(moves.values()) <= set(table)


def test_every_signal_has_an_intent_that_is_understood():
    for intent, _ in SIGNALS.values():
        if intent is not None:
            roster, _ = start(0.0)
            decide(roster, Wanted(intent), 1.0)

"""What the master knows: its workers, generations and intentions, as one frozen value.

Only questions here; the answers that change it are in `decide`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from granian_d.plan import PoolPlan
    from granian_d.supervisor.states import MoldState, Phase, WorkerState
    from granian_d.supervisor.vocabulary import Health

NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True, match_args=False)
class Worker:
    """One child: its seat, where it is in its life, and when that part must have ended."""

    number: int
    slot: int
    generation: int
    state: WorkerState
    deadline: float  # of its state; NEVER for none
    ready_at: float = NEVER
    leaving: bool = False  # it serves until a successor does
    accepting: bool = True  # it may still take new connections
    hasty: bool = False  # told that the service ends, not only its generation
    hastened: bool = False  # told to make room for another generation that is to drain
    mold: int = 0  # that forked it; 0: the master did
    heir: bool = False  # it leaves in order to become a mold
    heavy: int = 0  # looks in a row that found its memory above the limit
    reason: str = ""  # why it failed, or why it is being killed
    exit_code: int = 0  # what its failure means for a daemon that has nothing else


@dataclass(frozen=True, slots=True, match_args=False)
class Mold:
    """The process that imported the application of a generation and forks its workers."""

    number: int  # of the same series as those of workers: it may have been one
    generation: int
    state: MoldState
    deadline: float  # of its state; NEVER for none
    ready_at: float = NEVER
    reason: str = ""  # why it failed, or why it is being ended
    exit_code: int = 0


@dataclass(frozen=True, slots=True, match_args=False)
class Death:
    """The end of a process that nobody had asked for, or that had to be helped."""

    at: float
    slot: int  # 0: a mold
    generation: int
    pid: int
    how: str  # "SIGKILL", "exit status 3"
    reason: str  # "" where only `how` is known


@dataclass(frozen=True, slots=True, match_args=False)
class Outcome:
    """How the last change (reload, upgrade) went."""

    change: int
    began_at: float
    ended_at: float
    exit_code: int
    reason: str


@dataclass(frozen=True, slots=True, match_args=False)
class Setback:
    """A slot whose worker died: how often in a row, and when it may be filled again."""

    deaths: int
    not_before: float


@dataclass(frozen=True, slots=True, match_args=False)
class Load:
    """How busy the workers of a pool that follows its load have been.

    Attributes:
        at: when it was last looked at; 0.0 if never.
        busy_s: processor time of each worker then, by number.
        hot_since: since when there are too few workers; NEVER if there are enough.
        calm_since: since when one less would do; NEVER if it would not.
    """

    at: float = 0.0
    busy_s: Mapping[int, float] = field(default_factory=dict)
    hot_since: float = NEVER
    calm_since: float = NEVER


@dataclass(frozen=True, slots=True, match_args=False)
class Roster:
    """All of it. Generation and worker numbers start at 1; 0 is none."""

    phase: Phase = "booting"
    committed: int = 0  # the generation that is the service
    candidate: int = 0  # the one that would replace it
    terms: Mapping[int, PoolPlan] = field(default_factory=dict)  # by generation
    workers: Mapping[int, Worker] = field(default_factory=dict)  # by number, until reaped
    setbacks: Mapping[int, Setback] = field(default_factory=dict)  # by slot; 0: the mold
    adjust: int = 0  # workers more (or less) than the committed terms say
    molds: Mapping[int, Mold] = field(default_factory=dict)  # by number, until reaped
    deaths: tuple[Death, ...] = ()  # the last few, the newest last
    change: int = 0  # how many were begun (reloads, upgrades)
    change_began: float = 0.0
    outcome: Outcome | None = None  # of the last one that is over
    last_worker: int = 0
    planning_until: float = NEVER  # the planner runs, until then at most; NEVER: it does not
    checking_until: float = NEVER  # the code on disk is tried; NEVER: it is not
    concluding: bool = False  # the change is decided; some who must not accept any more still may
    reload_again: bool = False  # somebody wanted a reload when none could begin
    upgrade_again: bool = False  # the same of an upgrade
    reforked: int = 0  # the generation of which a worker was last chosen to become the mold
    load: Load = Load()
    quiet_since: float = NEVER  # nobody is connected since then
    answered: int = 0  # requests, when that was last looked at
    health: Health = "well"
    last_failure: str = ""  # why the last reload failed; "" when it did not
    ticked_at: float = 0.0  # when the master last looked at the time
    trimmed_at: float = -NEVER  # when memory was last short
    resumed_at: float = 0.0  # when it last did after a long pause of its own
    leave_at: float = NEVER  # when the drain begins, in phase "leaving"
    stop_by: float = NEVER
    quitting: bool = False
    exit_code: int = 0

    @property
    def planning(self) -> bool:
        """The planner runs."""
        return self.planning_until != NEVER

    @property
    def awaited(self) -> int:
        """The change that does what somebody wants who asks now: see Verdict."""
        return self.change + (1 if self.reload_again or self.upgrade_again else 0)

    @property
    def reloading(self) -> bool:
        """A change is under way."""
        under_way = self.planning or self.checking or self.candidate != 0 or self.concluding
        return self.phase == "serving" and under_way

    @property
    def checking(self) -> bool:
        """An upgrade is being tried."""
        return self.checking_until != NEVER

    @property
    def degraded(self) -> bool:
        """A slot stays empty, or the mold missing, because who was there keeps dying."""
        served = self.filled(self.committed, "ready")
        if self.mold(self.committed) is not None:
            served |= {0}
        again = (slot for slot, setback in self.setbacks.items() if setback.deaths > 1)
        return any(slot not in served for slot in again)

    def count(self, generation: int) -> int:
        """How many workers a generation wants."""
        if generation not in self.terms:
            return 0
        extra = self.adjust if generation == self.committed else 0
        return max(1, self.terms[generation].workers + extra)

    @property
    def past(self) -> list[int]:
        """The generations that are no more and still have workers, the oldest first."""
        current = (self.committed, self.candidate)
        return sorted({w.generation for w in self.workers.values()}.difference(current))

    @property
    def crowd(self) -> int:
        """How many workers there are but for those of the past, which have a limit of their own."""
        current = (self.committed, self.candidate)
        return sum(worker.generation in current for worker in self.workers.values())

    def mold(self, generation: int) -> Mold | None:
        """The one that forks the workers of a generation: the last that is ready."""
        ready = [m for m in self.molds.values() if (m.generation, m.state) == (generation, "ready")]
        return max(ready, key=lambda mold: mold.number, default=None)

    @property
    def cap(self) -> int:
        """How many workers the crowd may have before no more is spawned."""
        current = self.candidate or self.committed
        surge = self.terms[current].surge if current else 0
        return max(self.count(self.committed), self.count(self.candidate)) + surge

    def slots(self, generation: int) -> range:
        """The slots a generation wants filled."""
        return range(1, self.count(generation) + 1)

    def of(self, generation: int, *states: WorkerState) -> Iterator[Worker]:
        """The workers of a generation in one of these states."""
        for worker in self.workers.values():
            if worker.generation == generation and worker.state in states:
                yield worker

    def filled(self, generation: int, *states: WorkerState) -> frozenset[int]:
        """The slots in which a generation has a worker, one that stays, in one of these states."""
        return frozenset(w.slot for w in self.of(generation, *states) if not w.leaving)

    def is_proven(self, worker: Worker, now: float) -> bool:
        """The worker has served for as long as one must before the one before it is drained."""
        return now >= self.proven_at(worker)

    def proven_at(self, worker: Worker) -> float:
        """When that will be so; NEVER while it does not serve."""
        return worker.ready_at + self.terms[worker.generation].respawn_interval_s

    def proven(self, generation: int, now: float) -> frozenset[int]:
        """The slots in which a generation has a worker, one that stays, which is proven."""
        ready = self.of(generation, "ready")
        return frozenset(w.slot for w in ready if not w.leaving and self.is_proven(w, now))

    def complete(self, generation: int) -> bool:
        """Every slot that the generation wants has a worker that serves."""
        return self.filled(generation, "ready").issuperset(self.slots(generation))

    def worth(self, worker: Worker) -> int:
        """How much a worker that serves is wanted: the least can be spared first."""
        if worker.generation not in (self.committed, self.candidate):
            return 0
        if worker.leaving:
            return 1
        if worker.slot > self.count(worker.generation):
            return 2
        return 3 if worker.generation == self.committed else 4  # which has a successor, or is one


def next_wake(roster: Roster, now: float) -> float:
    """When `decide` next has something to do by itself; NEVER if not before an event.

    A slot that may be filled already and is not lacks room: an exit, not time, makes some.
    """
    times = [roster.planning_until, roster.checking_until, roster.stop_by, roster.leave_at]
    times += [worker.deadline for worker in roster.workers.values()]
    times += [mold.deadline for mold in roster.molds.values()]
    ready = (w for w in roster.workers.values() if w.state == "ready")
    times += [end for end in map(roster.proven_at, ready) if end > now]
    if roster.phase in ("serving", "leaving"):
        alive = roster.filled(roster.committed, "starting", "ready")
        alive |= {0 for mold in roster.molds.values() if mold.generation == roster.committed}
        pauses = [s.not_before for slot, s in roster.setbacks.items() if slot not in alive]
        times += [end for end in pauses if end > now]
    return min(times)

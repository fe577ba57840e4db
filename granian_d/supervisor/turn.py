"""One call of `decide` while it is being worked out: the roster so far, the commands so far.

Each method is one step that the master can take, in the roster and as commands at once, so that
the two cannot part.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from granian_d.supervisor import policy
from granian_d.supervisor.roster import Death, Mold, Outcome, Roster, Worker
from granian_d.supervisor.states import MOLD, PHASE, WORKER, PhaseMove
from granian_d.supervisor.vocabulary import (
    Announce,
    Command,
    DismissMold,
    DrainWorker,
    KillWorker,
    Report,
    Spawn,
    StartMold,
    StartPlanner,
    Verdict,
)


class Turn:
    """One call of `decide` while it is being worked out."""

    __slots__ = ("commands", "now", "roster")

    def __init__(self, roster: Roster, now: float) -> None:
        self.roster = roster
        self.now = now
        self.commands: list[Command] = []

    def set(self, **changes: Any) -> None:
        """Change facts of the roster."""
        self.roster = replace(self.roster, **changes)

    def do(self, *commands: Command) -> None:
        """Ask for commands."""
        self.commands.extend(commands)

    def report(self, event: str, **fields: Any) -> None:
        """Log an event."""
        self.commands.append(Report(event, fields))

    def tell(self, event: str, worker: Worker, **fields: Any) -> None:
        """Report something about one worker; people know it by its slot."""
        who = {"worker": worker.slot, "generation": worker.generation, "number": worker.number}
        self.commands.append(Report(event, {**who, **fields}))

    def move(self, move: PhaseMove) -> None:
        """Take a step of the daemon's table."""
        self.set(phase=PHASE[self.roster.phase][move])

    def put(self, worker: Worker) -> None:
        """Keep what is now true of a worker."""
        self.set(workers={**self.roster.workers, worker.number: worker})

    def plan(self) -> None:
        """Have a plan made."""
        self.set(planning_until=self.now + policy.PLANNER_TIMEOUT_S, reload_again=False)
        self.do(StartPlanner())

    def begin_change(self) -> None:
        """A reload or an upgrade begins. Type=notify-reload wants each to be said anew."""
        self.set(change=self.roster.change + 1, change_began=self.now)
        self.do(Announce("reloading"))

    def reload(self) -> None:
        """Begin to replace the committed generation."""
        self.report("reload_began")
        self.begin_change()
        self.plan()

    def end_change(self, exit_code: int = 0, reason: str = "") -> None:
        """The change is decided, for better or worse."""
        began = self.roster.change_began
        outcome = Outcome(self.roster.change, began, self.now, exit_code, reason)
        self.set(outcome=outcome, last_failure=reason)

    def tell_verdict(self) -> None:
        """Tell those who wait for the change."""
        outcome = self.roster.outcome
        if outcome is not None and outcome.change == self.roster.change:
            self.do(Verdict(outcome.change, outcome.exit_code, outcome.reason))

    def next_number(self) -> int:
        """The number of a new child."""
        self.set(last_worker=self.roster.last_worker + 1)
        return self.roster.last_worker

    def spawn(self, slot: int, generation: int, mold: int) -> None:
        """Fill a slot."""
        number = self.next_number()
        deadline = self.now + self.roster.terms[generation].startup_timeout_s
        self.put(Worker(number, slot, generation, "starting", deadline, mold=mold))
        self.do(Spawn(number, slot, generation, mold))

    def start_mold(self, generation: int) -> None:
        """Have the application of a generation imported, for its workers to be forked."""
        number = self.next_number()
        deadline = self.now + self.roster.terms[generation].startup_timeout_s
        self.put_mold(Mold(number, generation, "starting", deadline))
        self.do(StartMold(number, generation))

    def put_mold(self, mold: Mold) -> None:
        """Keep what is now true of a mold."""
        self.set(molds={**self.roster.molds, mold.number: mold})

    def dismiss(self, mold: Mold) -> None:
        """Tell a mold that it is not needed any more."""
        following = MOLD[mold.state].get("dismiss")
        if following is not None:
            deadline = self.now + policy.REAP_GRACE_S
            self.put_mold(replace(mold, state=following, deadline=deadline))
            self.do(DismissMold(mold.number))

    def end_mold(self, mold: Mold, reason: str, signal: Literal["ABRT", "KILL"]) -> None:
        """End a mold that did not do what it should; ABRT has its stacks told first."""
        grace_s = policy.DUMP_GRACE_S if signal == "ABRT" else policy.REAP_GRACE_S
        state = MOLD[mold.state]["kill"]
        reason = mold.reason or reason
        self.put_mold(replace(mold, state=state, deadline=self.now + grace_s, reason=reason))
        self.do(KillWorker(mold.number, signal))

    def bury(self, death: Death) -> None:
        """Remember an end for those who ask."""
        self.set(deaths=(*self.roster.deaths, death)[-policy.DEATHS :])

    def drain(self, worker: Worker, *, hasty: bool = False) -> None:
        """Have a worker finish and leave."""
        following = WORKER[worker.state].get("drain")
        if following is None:
            return
        terms = self.roster.terms[worker.generation]
        longest_s = max(terms.drain_timeout_s, terms.stream_timeout_s)
        deadline = min(worker.deadline, self.now + longest_s)
        heir = worker.heir and not hasty
        self.put(replace(worker, state=following, deadline=deadline, hasty=hasty, heir=heir))
        left_s = deadline - self.now
        budget_s = min(terms.drain_timeout_s, left_s)
        self.do(
            DrainWorker(worker.number, budget_s, hasty, min(terms.stream_timeout_s, left_s), heir)
        )
        self.tell("worker_draining", worker)

    def hasten(self, worker: Worker) -> None:
        """Have a draining worker end its streams: others are waiting to drain."""
        budget_s = self.roster.terms[worker.generation].drain_timeout_s
        deadline = min(worker.deadline, self.now + budget_s)
        self.put(replace(worker, deadline=deadline, hastened=True, heir=False))
        left_s = deadline - self.now
        self.do(DrainWorker(worker.number, left_s, worker.hasty, left_s))
        self.tell("worker_hastened", worker)

    def dump(self, worker: Worker, reason: str) -> None:
        """End a worker that hangs, its stacks first."""
        self._kill(worker, reason, KillWorker(worker.number, "ABRT"), policy.DUMP_GRACE_S)

    def kill(self, worker: Worker, reason: str) -> None:
        """End a worker at once."""
        self._kill(worker, reason, KillWorker(worker.number, "KILL"), policy.REAP_GRACE_S)

    def _kill(self, worker: Worker, reason: str, command: KillWorker, grace_s: float) -> None:
        deadline = self.now + grace_s
        state = WORKER[worker.state]["kill"]
        self.put(replace(worker, state=state, deadline=deadline, reason=worker.reason or reason))
        self.do(command)

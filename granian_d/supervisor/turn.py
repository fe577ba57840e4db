"""One call of `decide` while it is being worked out: the roster so far, the commands so far.

Each method is one step that the master can take, in the roster and as commands at once, so that
the two cannot part.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from granian_d.supervisor import policy
from granian_d.supervisor.roster import Roster, Worker
from granian_d.supervisor.states import PHASE, WORKER, PhaseMove
from granian_d.supervisor.vocabulary import (
    Announce,
    Command,
    DrainWorker,
    KillWorker,
    Report,
    Spawn,
    StartPlanner,
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

    def reload(self) -> None:
        """Begin to replace the committed generation."""
        self.report("reload_began")
        self.do(Announce("reloading"))
        self.plan()

    def spawn(self, slot: int, generation: int) -> None:
        """Fill a slot."""
        number = self.roster.last_worker + 1
        deadline = self.now + self.roster.terms[generation].startup_timeout_s
        self.set(last_worker=number)
        self.put(Worker(number, slot, generation, "starting", deadline))
        self.do(Spawn(number, slot, generation))

    def drain(self, worker: Worker, *, hasty: bool = False) -> None:
        """Have a worker finish and leave."""
        following = WORKER[worker.state].get("drain")
        if following is None:
            return
        terms = self.roster.terms[worker.generation]
        longest_s = max(terms.drain_timeout_s, terms.stream_timeout_s)
        deadline = min(worker.deadline, self.now + longest_s)
        left_s = deadline - self.now
        self.put(replace(worker, state=following, deadline=deadline, hasty=hasty))
        budget_s = min(terms.drain_timeout_s, left_s)
        stream_s = min(terms.stream_timeout_s, left_s)
        self.do(DrainWorker(worker.number, budget_s, hasty, stream_s))
        self.tell("worker_draining", worker)

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

"""What the master can learn (Event) and what it can do (Command): plain data, no behaviour.

The loop turns signals, exits, messages and time into Events, `decide` turns an Event into
Commands, and `os_calls` carries them out. Nothing else passes between the three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# --- events ------------------------------------------------------------------------------------

Intent = Literal["stop", "quit", "reload", "reopen", "grow", "shrink"]

# SIGUSR2 is kept for the upgrade in place; until then it must not kill the master.
SIGNALS: dict[str, tuple[Intent | None, str]] = {
    "TERM": ("stop", "graceful stop"),
    "INT": ("stop", "graceful stop"),
    "QUIT": ("quit", "stop at once"),
    "HUP": ("reload", "reload"),
    "USR1": ("reopen", "reopen log files"),
    "USR2": (None, "no meaning yet"),
    "TTIN": ("grow", "one worker more"),
    "TTOU": ("shrink", "one worker less"),
}


class Terms(NamedTuple):
    """What a generation is granted: the part of a plan that `decide` needs."""

    workers: int
    surge: int
    startup_timeout_s: float
    drain_timeout_s: float
    stall_timeout_s: float  # 0: never judged


class Wanted(NamedTuple):
    """Somebody (a signal) wants something of the master."""

    intent: Intent


class PlanMade(NamedTuple):
    """The planner gave a plan and its listeners are open: a generation can be made of it."""

    generation: int
    terms: Terms


class PlanFailed(NamedTuple):
    """There is no new plan, or its listeners cannot be had."""

    reason: str
    exit_code: int


class WorkerReady(NamedTuple):
    """A worker serves."""

    worker: int


class WorkerLeaving(NamedTuple):
    """A worker was told to go by somebody else; it serves on until it is drained."""

    worker: int


class WorkerClosed(NamedTuple):
    """A draining worker accepts no more."""

    worker: int


class WorkerFailed(NamedTuple):
    """A worker says why it cannot start; its exit follows."""

    worker: int
    reason: str
    exit_code: int


CLEAN_EXIT: Final = "exit status 0"


class WorkerExited(NamedTuple):
    """A worker is gone and reaped."""

    worker: int
    how: str  # CLEAN_EXIT, "exit status 3", "SIGKILL"


class Tick(NamedTuple):
    """Time has passed. `beats`: last heartbeat of each worker, 0.0 if there was none."""

    beats: Mapping[int, float]


Event = (
    Wanted
    | PlanMade
    | PlanFailed
    | WorkerReady
    | WorkerLeaving
    | WorkerClosed
    | WorkerFailed
    | WorkerExited
    | Tick
)

# --- commands ----------------------------------------------------------------------------------


class StartPlanner(NamedTuple):
    """Have the planner make a plan."""


class StopPlanner(NamedTuple):
    """The plan is not wanted any more, or took too long."""


class Spawn(NamedTuple):
    """Fork a worker."""

    worker: int
    slot: int
    generation: int


class DrainWorker(NamedTuple):
    """Tell a worker to finish what it has and leave."""

    worker: int
    budget_s: float
    hasty: bool  # the service ends: idle connections need not be waited for


class KillWorker(NamedTuple):
    """End a worker: ABRT dumps its stacks first, KILL does not ask."""

    worker: int
    signal: Literal["ABRT", "KILL"]


class Commit(NamedTuple):
    """The generation is the service now; what only its predecessor needed may go."""

    generation: int


class Discard(NamedTuple):
    """The generation will not be; what only it needed may go."""

    generation: int


class Announce(NamedTuple):
    """Tell the service manager where we are."""

    phase: Literal["ready", "reloading", "stopping"]


class CloseListeners(NamedTuple):
    """The service ends: refuse what comes from now on."""


class ReopenLogs(NamedTuple):
    """Open the log files anew, here and in the workers."""


class Report(NamedTuple):
    """Log an event of `observe.events`."""

    event: str
    fields: Mapping[str, Any]


class Exit(NamedTuple):
    """Leave with that status."""

    code: int


Command = (
    StartPlanner
    | StopPlanner
    | Spawn
    | DrainWorker
    | KillWorker
    | Commit
    | Discard
    | Announce
    | CloseListeners
    | ReopenLogs
    | Report
    | Exit
)

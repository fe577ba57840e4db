"""What the master can learn (Event) and what it can do (Command): plain data, no behaviour.

The loop turns signals, exits, messages and time into Events, `decide` turns an Event into
Commands, and `os_calls` carries them out. Nothing else passes between the three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from granian_d.plan import PoolPlan

# --- events ------------------------------------------------------------------------------------

Intent = Literal["stop", "quit", "reload", "reopen", "grow", "shrink", "scale", "upgrade", "trim"]

SIGNALS: dict[str, tuple[Intent, str]] = {
    "TERM": ("stop", "graceful stop"),
    "INT": ("stop", "graceful stop"),
    "QUIT": ("quit", "stop at once"),
    "HUP": ("reload", "reload"),
    "USR1": ("reopen", "reopen log files"),
    "USR2": ("upgrade", "upgrade in place"),
    "TTIN": ("grow", "one worker more"),
    "TTOU": ("shrink", "one worker less"),
}


class Vitals(NamedTuple):
    """What the scoreboard and the kernel tell of one worker; times are of CLOCK_MONOTONIC.

    Attributes:
        beat_s: when its loop last turned; 0.0 if it has not yet.
        requests: answered so far.
        active: requests under way.
        connections: open.
        oldest_s: when the oldest request under way began, as of the last beat; 0.0 for none.
        busy_s: processor time so far.
        lag_s: how late the last beat came: what waits for the loop waits that long.
        rss_bytes: resident memory, 0 at a tick at which it was not measured.
        pss_bytes: the same, of what is shared only its part.
    """

    beat_s: float = 0.0
    requests: int = 0
    active: int = 0
    connections: int = 0
    oldest_s: float = 0.0
    busy_s: float = 0.0
    lag_s: float = 0.0
    rss_bytes: int = 0
    pss_bytes: int = 0


class Wanted(NamedTuple):
    """Somebody (a signal, the control socket) wants something of the master."""

    intent: Intent
    workers: int = 0  # for "scale"


class PlanMade(NamedTuple):
    """The planner gave a plan and its listeners are open: a generation can be made of it."""

    generation: int
    terms: PoolPlan


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
    pid: int = 0  # 0: it was never born


class MoldReady(NamedTuple):
    """A mold holds the application and forks; it may be a worker that was drained to become one."""

    mold: int


class MoldFailed(NamedTuple):
    """A mold says why it cannot hold the application; its exit follows."""

    mold: int
    reason: str
    exit_code: int


class MoldExited(NamedTuple):
    """A mold is gone and reaped."""

    mold: int
    how: str
    pid: int = 0


class CheckPassed(NamedTuple):
    """The granian-d on disk starts, understands the configuration and can take over."""


class UpgradeFailed(NamedTuple):
    """It cannot, or could not be executed. Nothing has changed."""

    reason: str
    exit_code: int


class Tick(NamedTuple):
    """Time has passed.

    Attributes:
        vitals: of each worker, by number.
        queued: connections in the accept queues that nobody has taken yet.
    """

    vitals: Mapping[int, Vitals]
    queued: int = 0


Event = (
    Wanted
    | MoldReady
    | MoldFailed
    | MoldExited
    | CheckPassed
    | UpgradeFailed
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
    mold: int = 0  # that forks it; 0: the master itself


class StartMold(NamedTuple):
    """Fork a process that imports the application of a generation, to fork its workers."""

    mold: int
    generation: int


class DismissMold(NamedTuple):
    """Tell a mold that it is not needed any more: it leaves."""

    mold: int


class DrainWorker(NamedTuple):
    """Tell a worker to finish what it has and leave."""

    worker: int
    budget_s: float  # for requests
    hasty: bool  # the service ends: idle connections need not be waited for
    stream_s: float  # for answers that have begun and for WebSockets
    heir: bool = False  # do not leave, become a mold


class KillWorker(NamedTuple):
    """End a worker or a mold: ABRT dumps its stacks first, KILL does not ask."""

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


class Verdict(NamedTuple):
    """A change that was asked for is over; those who wait for it may be told.

    Attributes:
        change: its number. Who waits for an earlier one has what he wanted too: the later one
            read the files after him.
        exit_code: 0 when it took effect.
        reason: why it did not.
    """

    change: int
    exit_code: int
    reason: str


class StartCheck(NamedTuple):
    """Have the granian-d on disk tried: may it take over?"""


class Upgrade(NamedTuple):
    """Become the granian-d on disk: same process, same children, same sockets."""


Health = Literal["well", "degraded", "leaving"]


class ShowHealth(NamedTuple):
    """What workers answer to those who ask for the service's health."""

    health: Health


class CloseListeners(NamedTuple):
    """The service ends: refuse what comes from now on."""


class Trim(NamedTuple):
    """Have the workers give back memory that they do not need."""


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
    | StartMold
    | DismissMold
    | Verdict
    | StartCheck
    | Upgrade
    | ShowHealth
    | DrainWorker
    | KillWorker
    | Commit
    | Discard
    | Announce
    | CloseListeners
    | Trim
    | ReopenLogs
    | Report
    | Exit
)

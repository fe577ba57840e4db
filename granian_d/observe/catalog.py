"""What the events worth finding mean to who runs the service: the journal's message catalog.

`journalctl -x` prints these texts below the records. No process of the daemon imports this: it is
rendered into a file (https://systemd.io/CATALOG), which the packages install.
"""

from __future__ import annotations

import textwrap
from typing import Final, NamedTuple

from granian_d.observe.events import MESSAGE_IDS

_WIDTH: Final = 80


class Explanation(NamedTuple):
    """A subject of one line, and what follows from it; `@FIELD@` is a field of the entry."""

    subject: str
    text: str


EXPLANATIONS: Final[dict[str, Explanation]] = {
    "ready": Explanation(
        "The service answers",
        "Workers of generation @GENERATION@ have imported the application and accept connections.",
    ),
    "stopped": Explanation(
        "The service has ended in good order",
        "All workers have ended. What a drain cut, if it did, was reported before.",
    ),
    "boot_failed": Explanation(
        "The service could not start",
        "The message names the reason; where the application is at fault, the record before holds"
        " its traceback. A fault of the configuration is not tried again (exit status 78): mend"
        " it, try it with `granianctl check FILE`, start the service anew.",
    ),
    "reload_done": Explanation(
        "A reload is complete",
        "Every new connection meets generation @GENERATION@, with the configuration and the code"
        " of now. Workers of generations before finish what they are at.",
    ),
    "reload_failed": Explanation(
        "A reload came to nothing; nobody noticed but you",
        "The configuration was refused or workers of the new generation could not start."
        " Generation @GENERATION@, which served before, serves on with what it was started with."
        " Mend what the message names and reload again.",
    ),
    "upgrade_began": Explanation(
        "The granian-d on disk is tried",
        "If it can take over, it does, under the same process id and with the same sockets.",
    ),
    "upgraded": Explanation(
        "The granian-d on disk has taken over",
        "It has the process id, the sockets and the workers of the one before, which serve until"
        " others replace them.",
    ),
    "upgrade_failed": Explanation(
        "An upgrade came to nothing",
        "The granian-d on disk cannot take over; the one that runs goes on. Nothing was lost.",
    ),
    "worker_failed": Explanation(
        "A worker could not start",
        "The application could not be imported, or refused to start; the message holds its"
        " traceback. During a reload the generation before serves on.",
    ),
    "worker_died": Explanation(
        "A worker has ended that nobody told to end",
        "Its slot is filled again; connections that it held are lost. SIGKILL is most often the"
        " kernel's, for want of memory: look for `oom` in the journal of the kernel. SIGSEGV is a"
        " fault of a C extension: `coredumpctl info @GRANIAN_PID@`.",
    ),
    "worker_not_replaced": Explanation(
        "The service ends because a worker has died",
        "`respawn_failed_workers` is off, so nobody takes its place. The others finish what they"
        " are at, then the daemon leaves with status 1. The record before tells how it died.",
    ),
    "worker_backoff": Explanation(
        "A worker keeps dying",
        "Its slot is filled later and later, at most 30 seconds apart. The records before tell"
        " how it died: journalctl WORKER=@WORKER@.",
    ),
    "worker_stalled": Explanation(
        "A worker's event loop has stood still",
        "The stacks of all its threads are in the journal of this service; what stands on top"
        " blocks the loop. A successor has been started. `workers_stall_timeout` says how long is"
        " too long.",
    ),
    "worker_stuck": Explanation(
        "A request does not end",
        "It was cancelled and went on. The worker is replaced; the limits are `request_timeout`"
        " and `request_kill_timeout`.",
    ),
    "worker_overdue": Explanation(
        "A worker is killed",
        "It did not start, or end, in the time that it was granted. What it was at is lost.",
    ),
    "mold_failed": Explanation(
        "The application could not be imported once for all workers",
        "With `preload` a process imports it and forks the workers; the message holds the"
        " traceback. What served before serves on.",
    ),
    "mold_died": Explanation(
        "The process that forks the workers has ended",
        "Workers that serve are not concerned; until there is a new one none can be replaced.",
    ),
    "request_overdue": Explanation(
        "A request took longer than it may",
        "`request_timeout` was over; its task was cancelled if it has one. The message says where"
        " the application was. If requests may take that long, raise the option.",
    ),
    "drain_cut": Explanation(
        "Connections were cut at the end of a drain",
        "They outlived `workers_kill_timeout`. If their requests should have ended, raise it, and"
        " TimeoutStopSec= of the unit above it.",
    ),
    "tls_renewal_failed": Explanation(
        "Certificates are not renewed",
        "New ones could not be read or do not fit each other; the old ones stay, until they"
        " expire.",
    ),
    "control_refused": Explanation(
        "Somebody who may not tried to control the service",
        "Process @GRANIAN_PID@ of user @GRANIAN_UID@ connected to the control socket. Only root and"
        " the user of the service may.",
    ),
    "application_crashed": Explanation(
        "The application raised an exception",
        "The client was answered with status 500, if nothing had been sent yet, and else cut."
        " CODE_FILE= and CODE_LINE= name the last line of the application itself in the traceback.",
    ),
}


def render() -> str:
    """The catalog as a file."""
    return "# Rendered from granian_d/observe/catalog.py.\n" + "".join(map(_entry, MESSAGE_IDS))


def _entry(event: str) -> str:
    subject, text = EXPLANATIONS[event]
    lines = textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return (
        f"\n-- {MESSAGE_IDS[event]}\nSubject: {subject}\nDefined-By: granian-d\n"
        f"Documentation: man:granian-d(8)\n\n{lines}\n"
    )

"""Options: how many workers there are, how long they live, how they end. See `model` for rules."""

# No `from __future__ import annotations`: here annotations are data, pydantic evaluates them.

import re
from typing import Final

from pydantic import field_validator

from granian_d.plan.model import MOST_DRAINING, MOST_WORKERS, RuntimeMode
from granian_d.settings.fields import duration, option
from granian_d.settings.serving import Serving

LONGEST_LIFE_S: Final = 366 * 86400  # no timer waits for it: the master looks at each tick

# What may stand in a request line (RFC 9112 3.2.1), without a query.
_PATH: Final = re.compile(r"/[!$%&'()*+,\-./0-9:;=@A-Z_a-z~]*")


class Workers(Serving):
    """The processes that serve."""

    workers: int = option(
        1, "Number of processes that serve.", ge=1, le=MOST_WORKERS, reload="live"
    )
    workers_min: int | None = option(
        None,
        "Fewest workers, where their number follows the load.",
        ge=1,
        le=MOST_WORKERS,
        reload="live",
        example=1,
    )
    workers_max: int | None = option(
        None,
        "Most workers, where their number follows the load.",
        ge=1,
        le=MOST_WORKERS,
        reload="live",
        example=8,
    )
    preload: bool = option(
        False,
        "Import the application once for each generation, in a mold that forks its workers.",
    )
    refork_after: int = option(
        0,
        "Requests of a worker after which it becomes the mold of the others, once for each"
        " generation; 0 is never.",
        unit="requests",
        ge=0,
        reload="live",
        example=1000,
    )
    blocking_threads: int | None = option(
        None, "Threads of a worker that run a WSGI application.", ge=1, example=1
    )
    blocking_threads_idle_timeout: float = duration(
        30, "Time after which an idle one of these threads ends.", ge=5, le=600
    )
    runtime_threads: int = option(
        1,
        "No effect: a worker reads and writes on the loop that runs the application; more of them"
        " are more workers.",
        ge=1,
        inert=True,
    )
    runtime_blocking_threads: int = option(
        512, "No effect: files are sent by the kernel, without threads.", ge=1, inert=True
    )
    runtime_mode: RuntimeMode = option(
        "auto", "No effect: there are no other threads whose number it would choose.", inert=True
    )
    backpressure: int | None = option(
        None, "Connections that a worker holds at once.", ge=1, example=1024
    )

    respawn_failed_workers: bool = option(
        True,
        "Replace a worker that ended unasked; when off, the daemon shuts down then, with status 1.",
        reload="live",
    )
    respawn_interval: float = duration(
        0,
        "Time for which a new worker must have served before the one that it replaces is told to"
        " leave.",
        ge=0,
        le=3600,
        reload="live",
    )
    workers_startup_timeout: float = duration(
        60, "Time for a worker to become ready.", ge=1, reload="live"
    )
    workers_kill_timeout: float | None = duration(
        None,
        "Time for a worker to finish its requests before it is killed.",
        ge=1,
        le=1800,
        reload="live",
        example=30,
    )
    workers_stall_timeout: float | None = duration(
        None,
        "Time a worker may make no progress before it is replaced; 0 is no limit.",
        ge=0,
        reload="live",
        example=30,
    )
    workers_stream_timeout: float | None = duration(
        None,
        "Time for a worker that leaves to finish answers that have begun and WebSockets.",
        ge=1,
        reload="live",
        example=300,
    )
    drain_delay: float = duration(
        0,
        "Time before a stop in which `health` says 503 and requests are served as always.",
        ge=0,
        le=600,
        reload="live",
    )
    idle_exit: float = duration(
        0,
        "Time without a connection after which the daemon leaves, where the service manager holds"
        " its sockets; 0 is never.",
        ge=0,
        reload="live",
    )
    surge: int | None = option(
        None,
        "Processes beyond the number of workers while they are replaced.",
        ge=1,
        reload="live",
        example=1,
    )
    canary: bool = option(
        True,
        "Start one worker of a new generation, and the others when it serves.",
        reload="live",
    )
    max_generations: int = option(
        3,
        "Generations that may drain at once; a reload beyond them ends the oldest one's streams.",
        ge=1,
        le=MOST_DRAINING,
        reload="live",
    )
    warmup: str = option(
        "",
        "Path that a worker asks its application for before it is ready; it must not fail.",
        kind="prefix",
        example="/warmup",
    )
    health: str = option(
        "",
        "Path at which the daemon itself answers how the service is: 200, or 503 before a stop.",
        kind="prefix",
        example="/-/health",
    )

    workers_max_requests: int = option(
        0,
        "Requests after which a worker is replaced; 0 is no limit.",
        unit="requests",
        ge=0,
        reload="live",
        example=100000,
    )
    workers_max_requests_jitter: int | None = option(
        None,
        "Most requests by which a worker's limit is lower than that, each one's by another number.",
        unit="requests",
        ge=0,
        reload="live",
        example=10000,
    )
    workers_lifetime: float | None = duration(
        None,
        "Time after which a worker is replaced.",
        ge=1,
        le=LONGEST_LIFE_S,
        reload="live",
        example=21600,
    )
    workers_lifetime_jitter: float | None = duration(
        None,
        "Most time by which a worker's life is shorter than that, each one's by another time.",
        ge=0,
        le=LONGEST_LIFE_S,
        reload="live",
        example=1800,
    )
    workers_max_rss: int | None = option(
        None,
        "Resident memory above which a worker is replaced.",
        unit="MiB",
        ge=1,
        reload="live",
        example=512,
    )
    workers_max_pss: int | None = option(
        None,
        "Memory above which a worker is replaced, of what it shares with others only its part.",
        unit="MiB",
        ge=1,
        reload="live",
        example=256,
    )
    rss_sample_interval: float = duration(
        30, "Time between two looks at the memory of workers.", ge=1, le=300, reload="live"
    )
    rss_samples: int = option(
        1, "Looks in a row that must find a worker's memory above its limit.", ge=1, reload="live"
    )

    request_timeout: float = duration(
        0,
        "Time for a request, after which its stack is logged and its task cancelled; 0 is no"
        " limit.",
        ge=0,
    )
    request_kill_timeout: float = duration(
        0,
        "Time for a request, after which its worker is replaced; 0 is no limit.",
        ge=0,
        reload="live",
    )

    @field_validator("warmup", "health")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if path and not _PATH.fullmatch(path):
            raise ValueError(path)
        return path

"""What Prometheus is told of the daemon, as a table: each metric with its name, kind and help.

The text of a scrape and `docs/metrics.md` are made of it. Names without a unit or `_total` are
Granian's: whoever has a dashboard for that finds them here (ADR 1: the same words). Counters go on
over reloads, respawns and upgrades in place; each series of a worker is of its slot, and begins
where the one before in that slot left off.

Format: text version 0.0.4 of Prometheus. OpenMetrics wants `_total` behind every counter, which
Granian's names do not have, so it is not offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from granian_d.observe import samples as of
from granian_d.observe import scoreboard as columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from granian_d.observe.samples import Sample, Scene

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "granian_"


class Metric(NamedTuple):
    """One metric.

    Attributes:
        name: without PREFIX.
        kind: what Prometheus calls its type.
        labels: their names, and values where these are few.
        help: what it is.
        samples: makes them of a scene.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: str
    help: str
    samples: Callable[[Scene], Iterable[Sample]]


def render(scene: Scene) -> str:
    """The text of a scrape."""
    lines = []
    for metric in METRICS:
        name = PREFIX + metric.name
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
        lines += [f"{name}{behind} {value}" for behind, value in metric.samples(scene)]
    return "\n".join([*lines, ""])


WORKER: Final = "worker"
_RESTARTS: Final = {
    "error": columns.ENDED_ERROR,
    "start": columns.ENDED_START,
    "stall": columns.ENDED_STALL,
    "request_timeout": columns.ENDED_REQUEST,
    "requests": columns.DUE_REQUESTS,
    "lifetime": columns.DUE_LIFETIME,
    "rss": columns.DUE_RSS,
    "pss": columns.DUE_PSS,
    "refork": columns.DUE_REFORK,
}
_RELOADS: Final = {
    "ok": columns.RELOADS_OK,
    "failed": columns.RELOADS_FAILED,
    "superseded": columns.RELOADS_SUPERSEDED,
}
_UPGRADES: Final = {"ok": columns.UPGRADES_OK, "failed": columns.UPGRADES_FAILED}
_RENEWALS: Final = {"ok": columns.RENEWALS_OK, "failed": columns.RENEWALS_FAILED}

METRICS: Final = (
    # Granian's names
    Metric("workers_spawns", "counter", "", "Workers that were forked.", of.fact(columns.SPAWNED)),
    Metric(
        "workers_respawns_for_err",
        "counter",
        "",
        "Workers lost to an error: reasons error, start, stall and request_timeout.",
        of.fact(*(_RESTARTS[why] for why in ("error", "start", "stall", "request_timeout"))),
    ),
    Metric(
        "workers_respawns_for_lifetime",
        "counter",
        "",
        "Workers replaced for their age (workers_lifetime).",
        of.fact(columns.DUE_LIFETIME),
    ),
    Metric(
        "workers_respawns_for_rss",
        "counter",
        "",
        "Workers replaced for their memory (workers_max_rss, workers_max_pss).",
        of.fact(columns.DUE_RSS, columns.DUE_PSS),
    ),
    Metric(
        "worker_lifetime",
        "gauge",
        WORKER,
        "Seconds since the worker was forked; of two in a slot the older one's.",
        of.each(of.age),
    ),
    Metric(
        "connections_active",
        "gauge",
        WORKER,
        "Connections that are open.",
        of.counted(columns.CONNECTIONS),
    ),
    Metric(
        "connections_handled",
        "counter",
        WORKER,
        "Connections taken.",
        of.counted(columns.ACCEPTED),
    ),
    Metric(
        "connections_err",
        "counter",
        WORKER,
        "Connections that were not had: accept(2) failed, or the TLS handshake.",
        of.counted(columns.CONNECTIONS_FAILED),
    ),
    Metric(
        "requests_handled",
        "counter",
        WORKER,
        "Requests that are over: answered or cut.",
        of.counted(columns.REQUESTS),
    ),
    Metric(
        "static_requests_handled",
        "counter",
        WORKER,
        "Requests answered from files (static_path), among requests_handled.",
        of.counted(columns.STATIC),
    ),
    Metric(
        "static_requests_err",
        "counter",
        WORKER,
        "Of those the ones with a status of 400 or above.",
        of.counted(columns.STATIC_ERRORS),
    ),
    Metric(
        "blocking_threads",
        "gauge",
        WORKER,
        "Threads that the pool for WSGI has.",
        of.counted(columns.BLOCKING_THREADS),
    ),
    Metric(
        "blocking_queue",
        "gauge",
        WORKER,
        "Calls that wait for one of these threads.",
        of.counted(columns.BLOCKING_QUEUE),
    ),
    Metric(
        "blocking_idle_cumulative",
        "counter",
        WORKER,
        "Microseconds for which these threads waited for a call, in sum.",
        of.counted(columns.BLOCKING_IDLE_NS, of.US),
    ),
    Metric(
        "blocking_busy_cumulative",
        "counter",
        WORKER,
        "Microseconds for which these threads were in a call, in sum; told when it ends.",
        of.counted(columns.BLOCKING_BUSY_NS, of.US),
    ),
    Metric(
        "py_wait_cumulative",
        "counter",
        WORKER,
        "Microseconds for which calls waited for their begin, in sum: for a thread, for it to"
        " wake, for the interpreter.",
        of.counted(columns.BLOCKING_WAIT_NS, of.US),
    ),
    # the service
    Metric("build_info", "gauge", "version, python", "1, of this version.", of.build),
    Metric(
        "start_time_seconds",
        "gauge",
        "",
        "Since the epoch, when the daemon was started; an upgrade in place is no start.",
        of.start,
    ),
    Metric("health", "gauge", f"state: {', '.join(columns.HEALTHS)}", "1 of its state.", of.health),
    Metric(
        "generation",
        "gauge",
        "",
        "Number of the generation that serves.",
        of.fact(columns.COMMITTED),
    ),
    Metric("workers_wanted", "gauge", "", "Workers that there should be.", of.fact(columns.WANTED)),
    Metric("workers_serving", "gauge", "", "Workers of it that serve.", of.fact(columns.SERVING)),
    Metric(
        "listen_queue",
        "gauge",
        "",
        "Connections on TCP that no worker had taken when the master looked, once a second.",
        of.fact(columns.QUEUED),
    ),
    Metric(
        "workers_restarts_total",
        "counter",
        f"reason: {', '.join(_RESTARTS)}",
        "Workers lost or replaced that nobody had asked to go, by why.",
        of.facts("reason", _RESTARTS),
    ),
    Metric(
        "workers_killed_total",
        "counter",
        "",
        "Workers killed because more was under way than their drain had time for.",
        of.fact(columns.ENDED_DRAIN),
    ),
    Metric(
        "reloads_total",
        "counter",
        f"result: {', '.join(_RELOADS)}",
        "Reloads that are over; an upgrade in place ends with one.",
        of.facts("result", _RELOADS),
    ),
    Metric(
        "upgrades_total",
        "counter",
        f"result: {', '.join(_UPGRADES)}",
        "Upgrades in place.",
        of.facts("result", _UPGRADES),
    ),
    Metric(
        "reload_failing",
        "gauge",
        "",
        "1 while what was asked for last, a reload or an upgrade, has failed.",
        of.fact(columns.RELOAD_FAILING),
    ),
    Metric(
        "certificate_renewals_total",
        "counter",
        f"result: {', '.join(_RENEWALS)}",
        "Certificates that changed on disk.",
        of.facts("result", _RENEWALS),
    ),
    # requests
    Metric(
        "responses_total",
        "counter",
        "code: cut, 1xx, 2xx, 3xx, 4xx, 5xx, other",
        "Requests that are over, by their status; cut: before they had one. A WebSocket has the"
        " 101 of HTTP/1.1, the 200 of HTTP/2, or that of its refusal.",
        of.answers,
    ),
    Metric(
        "request_duration_seconds",
        "histogram",
        "le",
        "From the end of a request's head to the end of its answer, without WebSockets.",
        of.latencies,
    ),
    Metric(
        "requests_in_flight",
        "gauge",
        WORKER,
        "Requests that are not over, without WebSockets.",
        of.in_flight,
    ),
    Metric(
        "requests_crashed_total",
        "counter",
        WORKER,
        "Requests in which the application raised an exception, or answered against the rules.",
        of.counted(columns.CRASHED),
    ),
    Metric(
        "requests_refused_total",
        "counter",
        WORKER,
        "Requests that the daemon answered or cut because they broke a rule or a limit.",
        of.counted(columns.REFUSED),
    ),
    Metric(
        "received_bytes_total",
        "counter",
        WORKER,
        "Of the bodies of requests.",
        of.counted(columns.RECEIVED_BYTES),
    ),
    Metric(
        "sent_bytes_total",
        "counter",
        WORKER,
        "Of the bodies of responses, when these are over.",
        of.counted(columns.SENT_BYTES),
    ),
    Metric(
        "websockets_active",
        "gauge",
        WORKER,
        "WebSockets that are open, or asked for and not answered yet.",
        of.counted(columns.CONVERSATIONS),
    ),
    Metric(
        "websockets_handled_total",
        "counter",
        WORKER,
        "WebSockets that are over, or were refused.",
        of.counted(columns.CONVERSED),
    ),
    # workers
    Metric(
        "worker_generation",
        "gauge",
        WORKER,
        "Generation of the worker; of two in a slot the younger one's.",
        of.each(lambda _, row: row[columns.GENERATION]),
    ),
    Metric(
        "worker_cpu_seconds_total",
        "counter",
        WORKER,
        "Processor time, as of the last heartbeat.",
        of.counted(columns.BUSY_NS, of.NS),
    ),
    Metric(
        "worker_heartbeat_age_seconds",
        "gauge",
        WORKER,
        "Since the loop of the worker last turned; it does so once a second.",
        of.each(of.silence),
    ),
    Metric(
        "worker_lag_seconds",
        "gauge",
        WORKER,
        "How late the last heartbeat was: what waits for the loop waits that long.",
        of.each(lambda _, row: row[columns.LAG_NS] / of.NS),
    ),
    Metric(
        "worker_oldest_request_seconds",
        "gauge",
        WORKER,
        "Age of the oldest request under way at the last heartbeat; 0 for none.",
        of.each(of.oldest),
    ),
    Metric(
        "worker_rss_bytes",
        "gauge",
        WORKER,
        "Resident memory, looked at once in scrape_interval.",
        of.memory("rss"),
    ),
    Metric(
        "worker_pss_bytes",
        "gauge",
        WORKER,
        "The same, of what is shared only its part; missing where the kernel does not tell.",
        of.memory("pss"),
    ),
    Metric(
        "process_rss_bytes",
        "gauge",
        "process: master, metrics",
        "Resident memory of the master, and of who tells this.",
        of.own_memory,
    ),
)

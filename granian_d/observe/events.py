"""Every event the daemon reports, as a table: name -> (level, sentence).

The sentence is formatted with the event's fields (str.format). A reader greps for sentences, a
machine reads the name and the fields of the JSON format; both are a public face.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Level(NamedTuple):
    """A severity: its name, its rank (higher is worse) and its syslog priority (RFC 5424 6.2.1)."""

    name: str
    rank: int
    priority: int


LEVELS: Final = {
    level.name: level
    for level in (
        Level("debug", 10, 7),
        Level("info", 20, 6),
        Level("warning", 30, 4),
        Level("error", 40, 3),
        Level("critical", 50, 2),
    )
}

EVENTS: Final[dict[str, tuple[str, str]]] = {
    # the master
    "starting": ("info", "Starting granian (main PID: {pid}), granian-d {version}"),
    "listening": ("info", "Listening at: {address}"),
    "datagrams_unread": (
        "warning",
        (
            "The service manager passed a UDP socket ({name}) that nobody reads: take"
            " ListenDatagram= out of its unit, or have a listener of that name speak HTTP/3"
            " (http3 = true)"
        ),
    ),
    "steering_failed": (
        "warning",
        (
            "The kernel takes no program for UDP sockets ({reason}): all workers read one, and hand"
            " each other what is another's, which is right, and slower"
        ),
    ),
    "ready": ("info", "Ready: generation {generation} serves with {workers} worker(s)"),
    "config_warning": ("warning", "{reason}"),
    "boot_failed": ("critical", "Could not start: {reason}"),
    "signal": ("info", "{signal} signal received: {meaning}"),
    "signal_reload": ("info", "{signal} signal received, gracefully respawning workers.."),
    "stopping": ("info", "Shutting down granian-d: draining {workers} worker(s)"),
    "stop_announced": (
        "info",
        "Shutting down granian-d in {delay_s:.0f} s; its health says so",
    ),
    "idle_exit": ("info", "Nobody was connected for {idle_s:.0f} s"),
    "quitting": ("warning", "Shutting down granian-d at once"),
    "stopped": ("info", "Granian shutdown completed, see ya!"),
    "stop_overdue": ("error", "Leaving {workers} worker(s) behind: they outlived SIGKILL"),
    "reopened": ("info", "Log files reopened"),
    "reopen_failed": (
        "error",
        "Log file {path} cannot be opened again: {reason}; the old one stays",
    ),
    "notify_failed": ("warning", "Cannot notify the service manager: {reason}"),
    "scaled": ("info", "Number of workers is now {workers}"),
    # reload
    "reload_began": ("info", "Reloading: reading the configuration again"),
    "reload_rolling": ("info", "Reloading: starting generation {generation}"),
    "reload_done": ("info", "Reloaded: generation {generation} serves with {workers} worker(s)"),
    "reload_failed": ("error", "Reload failed, generation {generation} serves on: {reason}"),
    "changes_detected": ("info", "Changes detected, reloading workers.. {files}"),
    "application_missing": ("error", "Showing clients why the application is missing: {reason}"),
    "watching": ("info", "Watching for changes: {paths}"),
    "watcher_died": (
        "error",
        "Files are not watched: {reason} (next try in {delay_s:.1f} s)",
    ),
    "reload_superseded": ("info", "Reloading: the reload before is given up for this one"),
    "upgrade_began": ("info", "Upgrading: trying the granian-d on disk"),
    "upgrading": ("info", "Upgrading: it can take over"),
    "upgraded": (
        "info",
        "Upgraded in place: granian-d {before} became {version} (main PID: {pid})",
    ),
    "upgrade_failed": ("error", "Upgrade failed, this granian-d goes on: {reason}"),
    "restart_needed": ("warning", "Changed, but read at start only: {options} (restart to apply)"),
    # workers
    "worker_spawned": ("info", "Spawning worker-{worker} with PID: {pid}"),
    "worker_ready": ("info", "Started worker-{worker} (generation {generation})"),
    "worker_failed": ("error", "Worker-{worker} could not start: {reason}"),
    "worker_draining": ("info", "Stopping worker-{worker} (generation {generation})"),
    "worker_stopped": ("info", "Stopped worker-{worker} (generation {generation})"),
    "worker_died": ("error", "Unexpected exit from worker-{worker} (PID {pid}): {how}"),
    "worker_not_replaced": (
        "critical",
        "Worker-{worker} is not replaced (respawn_failed_workers), the service ends: {reason}",
    ),
    "worker_backoff": ("warning", "Worker-{worker} keeps dying: next try in {delay_s:.1f} s"),
    "worker_stalled": (
        "error",
        "Worker-{worker} (PID {pid}) made no progress for {stall_s:.1f} s: dumping its stacks",
    ),
    "worker_stuck": (
        "error",
        "Worker-{worker} (PID {pid}) is at a request for {age_s:.1f} s: replacing it",
    ),
    "worker_held": (
        "error",
        (
            "Worker-{worker} (PID {pid}) took {requests} request(s) with it, the last one,"
            " {age_s:.1f} s old: {last}"
        ),
    ),
    "worker_due": ("info", "Respawning worker-{worker} (PID {pid}): {reason}"),
    "worker_hastened": ("info", "Worker-{worker} (PID {pid}) must end its streams for the next"),
    "mold_ready": ("info", "The mold of generation {generation} is ready (PID {pid})"),
    "mold_failed": ("error", "The mold of generation {generation} could not start: {reason}"),
    "mold_died": ("error", "Unexpected exit of the mold of generation {generation}: {how}"),
    "mold_overdue": ("warning", "Killing the mold of generation {generation}: it was not ready"),
    "mold_refused": (
        "warning",
        "Workers of the new mold of generation {generation} cannot start: going back to the old",
    ),
    "mold_backoff": ("warning", "The mold keeps dying: next try in {delay_s:.1f} s"),
    "worker_overdue": ("warning", "Killing worker-{worker} after it {reason} (PID {pid})"),
    "worker_mute": (
        "warning",
        "{who} (PID {pid}) does not answer: its threads are on standard error",
    ),
    "pin_late": ("warning", "{who} (PID {pid}) does not answer: it may not have imported all"),
    "exporter_spawned": ("info", "Metrics at: {address} (PID: {pid})"),
    "exporter_died": (
        "error",
        "Unexpected exit of who tells metrics (PID {pid}): {how}; next try in {delay_s:.1f} s",
    ),
    "memory_short": ("warning", "Memory is short: workers give back what they do not need"),
    # the control socket
    "control_failed": ("warning", "Serving without a control socket: {reason}"),
    "control_request": ("info", "Asked to {request} by granianctl (PID {pid}, UID {uid})"),
    "control_refused": ("warning", "Refused to be controlled by PID {pid} (UID {uid})"),
    # molds
    "mold_spawned": ("info", "Spawning the mold of generation {generation} with PID: {pid}"),
    "mold_threads": (
        "warning",
        (
            "The application has started threads by the time it was imported: {threads}. A fork"
            " copies none of them, and what they had locked stays locked: no worker of this mold"
            " has them"
        ),
    ),
    "mold_sockets": (
        "warning",
        (
            "The application has opened sockets by the time it was imported: {sockets}. All"
            " workers of this mold share them, and read each other's answers"
        ),
    ),
    "mold_fork_failed": ("error", "The mold cannot fork worker-{slot}: {reason}"),
    "heir_unfit": (
        "warning",
        "Worker-{worker} leaves instead of becoming the mold: {reason}",
    ),
    # TLS
    "tls_renewed": ("info", "Certificates read again: {names}"),
    "tls_renewal_failed": ("error", "Certificates are not renewed, the old ones stay: {reason}"),
    "tls_tickets_unshared": (
        "warning",
        (
            "This Python hides its OpenSSL: the key of session tickets is not replaced, and new"
            " certificates end what tickets were given out"
        ),
    ),
    "tls_failed": ("debug", "TLS with {client} failed: {reason}"),
    # inside a worker
    "interface_note": ("warning", "{reason}"),
    "application_debug": ("debug", "Of {method} {path} the application says: {info}"),
    "application_crashed": ("error", "Application callable raised an exception\n{traceback}"),
    "response_invalid": ("error", "Application gave an invalid response: {reason}"),
    "request_refused": ("debug", "Refused a request from {client}: {status} {reason} ({section})"),
    "drain_cut": (
        "warning",
        "Drain budget spent: cut {connections} connection(s) with {requests} request(s): {held}",
    ),
    "request_overdue": (
        "error",
        "{request} of {client} not answered after {age_s:.1f} s, {outcome}\n{traceback}",
    ),
    "accept_failed": ("error", "Cannot accept connections: {reason}; trying again"),
    "loop_error": ("error", "{reason}"),
}

# The events worth finding, under the names by which the journal knows them (MESSAGE_ID of
# systemd.journal-fields(7)): random, made once and never changed. What they mean to who runs the
# service stands in `catalog`.
MESSAGE_IDS: Final[dict[str, str]] = {
    "ready": "9c69925d486d48a79fd5f8b6a898afde",
    "stopped": "641128c3bbe344bea8eee8291fba8607",
    "boot_failed": "22c63dc8827c49b7b119a29b47563e1e",
    "reload_done": "451cb3af600f4543be178d367abc9859",
    "reload_failed": "8098ea3a77194c8db4679cebb945fb2a",
    "upgrade_began": "cad72f621de343fca9a59b488942bfa6",
    "upgraded": "31df08be92d24580b044f1d1a0518fc8",
    "upgrade_failed": "c3393422816e492fbbbe8874f6235a60",
    "worker_failed": "294a9b6f8c39429595ff365bb450f61e",
    "worker_died": "68a2a28a2b474a6f867c15014aed0a44",
    "worker_not_replaced": "c414c940c64f4d768f27bbd2e8f9d968",
    "worker_backoff": "8cbb3428992a4557bf82fa0779279288",
    "worker_stalled": "dfc618da8c764676b2bd550d9e82a165",
    "worker_stuck": "33bfb40a773a4b5a9a4f62a3c4431c62",
    "worker_overdue": "2d5c7f7321914920af20d2521d137e2d",
    "mold_failed": "195dedca9e8643a38318dd7e0c31b2c4",
    "mold_died": "44fd263e77154cf5ad71fec996899deb",
    "request_overdue": "233bc439e985458eb24ecd20acdced53",
    "drain_cut": "b4887921d17448a989552d0fc84b2565",
    "tls_renewal_failed": "5b4bb76765574a88bbc5d495cb48ac28",
    "control_refused": "15074033b66e4bd0b76551012e0e00ea",
    "application_crashed": "77bd67cbdc374b6a95ef949a885321fc",
}

"""Checks of the service as it is now: its state, its report, its memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from granian_d.cli.doctor.finding import Check, Finding
from granian_d.errors import ConfigError, ListenError, LoadError, StartupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.cli.doctor.facts import Facts, Unit

_MIB: Final = 1 << 20

# What a Result= of a service means (systemd.exec(5), $SERVICE_RESULT), and what to do about it.
_RESULTS: Final = {
    "timeout": ("it did not start or stop in time", "journalctl -u {service} -e"),
    "watchdog": ("the master hung, and the watchdog fired", "journalctl -u {service} -e"),
    "oom-kill": ("it was killed for its memory", "systemctl edit {service}: OOMPolicy=continue"),
    "start-limit-hit": (
        "it failed too often in a row",
        "journalctl -u {service} -e, then systemctl reset-failed {service}",
    ),
    "resources": ("systemd could not set it up", "journalctl -u {service} -e"),
    "assert": ("/etc/granian/{name}.toml was not there", "systemctl start {service}"),
}
# What an exit status means (errors.py, systemd.exec(5) "Process exit codes").
_STATUSES: Final = {
    LoadError.exit_code: ("the application cannot be imported", "granianctl check {file} --app"),
    StartupError.exit_code: (
        "the application cannot be imported or started",
        "journalctl -u {service} -e",
    ),
    ListenError.exit_code: ("an address cannot be had", "ss -ltnp"),
    ConfigError.exit_code: ("the settings cannot be used", "granianctl check {file}"),
    200: ("systemd cannot enter the working directory", "journalctl -u {service} -e"),
    203: ("granian-d cannot be executed", "granianctl unit {name} --install"),
    226: ("systemd cannot set up the file system it shows", "journalctl -u {service} -e"),
    233: ("systemd cannot make RuntimeDirectory=", "ls -ld /run/granian/{name}"),
    238: ("systemd cannot make StateDirectory=", "ls -ld /var/lib/granian/{name}"),
    239: ("systemd cannot make CacheDirectory=", "ls -ld /var/cache/granian/{name}"),
    240: ("systemd cannot make LogsDirectory=", "ls -ld /var/log/granian/{name}"),
    243: ("a credential cannot be read", "journalctl -u {service} -e"),
}


def _state(facts: Facts) -> Iterator[Finding]:
    if (unit := facts.unit) is None:
        return
    state = unit["LoadState"]
    if state == "not-found":
        yield Finding(
            "fault",
            "there is no granian@.service",
            "systemd cannot start the instance",
            facts.computed,
        )
    elif state == "masked":
        yield Finding(
            "fault",
            f"{facts.service} is masked",
            "systemd refuses to start it",
            f"systemctl unmask {facts.service}",
        )
    elif state != "loaded":
        yield Finding(
            "fault",
            f"systemd cannot load the unit ({state})",
            "it cannot be started",
            f"systemd-analyze verify {facts.service}.service",
        )
    elif unit["ActiveState"] == "failed" or unit["SubState"] == "auto-restart":
        yield _failed(facts, unit)
    elif unit["ActiveState"] == "active" and not unit.enabled and not _socket_starts_it(facts):
        yield Finding(
            "note",
            "it is not enabled",
            "after a boot it is not started",
            f"systemctl enable {facts.service}",
        )


def _socket_starts_it(facts: Facts) -> bool:
    return any(each.enabled for each in facts.sockets)


def _failed(facts: Facts, unit: Unit) -> Finding:
    result, status = unit["Result"], unit.number("ExecMainStatus")
    known = _RESULTS.get(result) or (_STATUSES.get(status or 0) if result == "exit-code" else None)
    why, mend = known or (f"Result={result}, status {status}", "journalctl -u {service} -e")
    names = {"service": facts.service, "name": facts.name, "file": facts.file}
    said = unit["StatusText"].partition("\n")[0]
    again = unit["SubState"] == "auto-restart"
    return Finding(
        "fault",
        f"it fails, and is tried again (so far {unit['NRestarts']} times)"
        if again
        else "it failed",
        why.format_map(names) + (f": {said}" if said else ""),
        mend.format_map(names),
    )


def _answers(facts: Facts) -> Iterator[Finding]:
    if facts.unit is not None and facts.unit.serving and facts.silent:
        yield Finding(
            "warning",
            facts.silent,
            "systemctl reload fails, and whether workers serve is not known",
            f"journalctl -u {facts.service} -e, then systemctl restart {facts.service}",
        )


def _health(facts: Facts) -> Iterator[Finding]:
    if facts.running is None:
        return
    report = facts.running.report
    if report["health"] == "degraded":
        deaths = report["deaths"]
        last = deaths[-1]["reason"] or deaths[-1]["how"] if deaths else "no reason is known"
        yield Finding(
            "fault",
            "degraded: a slot stays empty because its workers keep dying",
            _first_line(last),
            _look(facts, "status"),
        )
    change = report["last_change"]
    if change is not None and change["exit_code"]:
        yield Finding(
            "fault",
            "the last reload or upgrade failed, the old generation serves on",
            _first_line(change["reason"]),
            f"mend that, then {_reload(facts)}",
        )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _look(facts: Facts, command: str) -> str:
    where = f"-i {facts.name}" if facts.name else f"--socket {_socket(facts)}"
    return f"granianctl {command} {where}"


def _socket(facts: Facts) -> str:
    return facts.written.plan.master.control_socket if facts.written.plan else "PATH"


def _reload(facts: Facts) -> str:
    return f"systemctl reload {facts.service}" if facts.name else _look(facts, "reload --wait")


def _edited(facts: Facts) -> Iterator[Finding]:
    running = facts.running
    if running is None or running.loaded_at is None or running.report["reloading"]:
        return
    if facts.written.changed_at > running.loaded_at:
        yield Finding(
            "warning",
            f"{facts.file} has changed since it was read",
            "it does not count yet; if it is not meant to, the next restart surprises",
            _reload(facts),
        )


def _version(facts: Facts) -> Iterator[Finding]:
    if facts.running is None or facts.installed is None:
        return
    runs, there = facts.running.report["version"], facts.installed.version
    if runs != there:
        yield Finding(
            "warning",
            f"granian-d {runs} runs, {there} is installed",
            "files of another version lie where it may still look",
            _look(facts, "upgrade --wait"),
        )


def _memory(facts: Facts) -> Iterator[Finding]:
    unit, running, plan = facts.unit, facts.running, facts.written.plan
    if unit is None or running is None or plan is None:
        return
    limits = [unit.number(name) for name in ("MemoryMax", "EffectiveMemoryMax")]
    most = min((each for each in limits if each is not None), default=math.inf)
    report = running.report
    taken = [each.get("pss_bytes") or 0 for each in report["workers"]]
    workers = max(plan.pool.workers, plan.pool.workers_max) + plan.pool.surge
    needed = (report["master"]["pss_bytes"] or 0) + workers * max(taken, default=0)
    if needed > most:
        yield Finding(
            "warning",
            f"MemoryMax={most / _MIB:.0f} MiB, and {workers} workers as they are now take"
            f" {needed / _MIB:.0f}",
            "during a reload (workers and surge) one of them is killed for its memory",
            facts.edit(f"MemoryMax={math.ceil(1.25 * needed / _MIB)}M") + ", or surge = 1",
        )


def _taken(facts: Facts) -> Iterator[Finding]:
    if facts.up:
        return
    for each in facts.written.tcp:
        if (each.host, each.port) in facts.kernel.listening:
            yield Finding(
                "fault" if facts.unit is not None else "note",
                f"somebody listens at {each.key.removeprefix('tcp:')} already",
                "the daemon cannot have the address, if that is not itself",
                f"ss -ltnp 'sport = :{each.port}'",
            )
        if each.http3 and (each.host, each.port) in facts.kernel.datagrams:
            yield Finding(
                "fault" if facts.unit is not None else "note",
                f"somebody has UDP port {each.port} of {each.host} already",
                "HTTP/3 cannot have it, and without it nothing starts",
                f"ss -lunp 'sport = :{each.port}'",
            )


def _unknown(facts: Facts) -> Iterator[Finding]:
    for sentence in facts.unknown:
        yield Finding("note", sentence, "what depends on it was not looked at")


CHECKS: Final = (
    Check("state", "fault", "the unit: not there, masked, failed and why, not enabled", _state),
    Check("answers", "warning", "a control socket behind which somebody answers", _answers),
    Check(
        "health", "fault", "a slot that stays empty; a reload or an upgrade that failed", _health
    ),
    Check("edited", "warning", "a TOML file that changed since it was read", _edited),
    Check("version", "warning", "another granian-d than the one that is installed", _version),
    Check("memory", "warning", "`MemoryMax=` against the workers of a reload (PSS)", _memory),
    Check("taken", "fault", "an address that somebody else has", _taken),
    Check("unknown", "note", "what could not be looked at", _unknown),
)

"""Checks of the unit: lines that differ from what loses nothing (systemd/granian@.service)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.cli.doctor.finding import Check, Finding
from granian_d.cli.doctor.spans import span_s
from granian_d.cli.unit_file import socket_unit, stop_budget_s, watchdog_least_s
from granian_d.cli.unit_places import below
from granian_d.errors import ConfigError, LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.cli.doctor.facts import Facts, Unit
    from granian_d.cli.doctor.finding import Level

_NOTIFIES: Final = ("notify", "notify-reload")
_STORED_BESIDE: Final = (
    2  # the scoreboard, the key of the tickets (docs/upgrade.md); QUIC's is one more
)
# The master's own, for each worker: its channel and its pidfd; and what a worker has open beside
# connections: listeners, the loop, the files of the application.
_OTHER_FILES: Final = 64
_CAPABILITY: Final = "cap_net_bind_service"


class Line(NamedTuple):
    """A directive, the values of it that lose nothing, ours first, and what all others cost."""

    name: str
    good: tuple[str, ...]
    level: Level
    why: str


_LINES: Final = (
    Line(
        "Type",
        _NOTIFIES,
        "fault",
        "systemd does not learn when it serves, reloads or stops",
    ),
    Line(
        "NotifyAccess",
        ("main", "exec", "all"),
        "fault",
        "systemd hears nothing of the daemon: a start ends by its timeout",
    ),
    Line(
        "KillMode",
        ("mixed",),
        "warning",
        "a stop tells the workers behind the master's back, or leaves some of them behind",
    ),
    Line(
        "OOMPolicy",
        ("continue",),
        "warning",
        "one worker that is killed for its memory takes the whole service with it",
    ),
    Line(
        "Restart",
        ("on-failure", "on-abnormal", "on-watchdog", "always"),
        "warning",
        "what crashes stays down",
    ),
    Line(
        "RuntimeDirectoryPreserve",
        ("restart", "yes"),
        "warning",
        "the control socket's directory goes with every restart, under those who use it",
    ),
)


def _present(facts: Facts) -> Unit | None:
    """The unit, if its lines can be judged."""
    unit = facts.unit
    return unit if unit is not None and unit["LoadState"] == "loaded" else None


def _lines(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None:
        return
    for line in _LINES:
        value = unit[line.name]
        if value not in line.good:
            mend = facts.edit(f"{line.name}={line.good[0]}")
            yield Finding(line.level, f"{line.name}={value}", line.why, mend)


def _reload(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None or unit["Type"] == "notify-reload":
        return
    said = unit["ExecReload"]
    if "granianctl" in said and " reload" in said and "--wait" in said:
        return
    yield Finding(
        "warning",
        "ExecReload= is not granianctl reload --wait" if said else "there is no ExecReload=",
        "systemctl reload does not tell whether the new code serves"
        if said
        else "systemctl reload is refused, and a deploy takes a restart",
        facts.edit("ExecReload= (empty), then ExecReload=granianctl reload --wait"),
    )


def _statuses(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None:
        return
    wanted = {ConfigError.exit_code, LoadError.exit_code}
    said = set(unit.words("RestartPreventExitStatus"))
    if lacking := sorted(str(code) for code in wanted if str(code) not in said):
        yield Finding(
            "warning",
            f"RestartPreventExitStatus= does not name {' '.join(lacking)}",
            "what cannot start is tried again and again, and its reason scrolls away",
            facts.edit(f"RestartPreventExitStatus={' '.join(map(str, sorted(wanted)))}"),
        )


def _stop(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None or facts.written.plan is None:
        return
    budget_s, granted_s = stop_budget_s(facts.written.plan.pool), unit.span_s("TimeoutStopUSec")
    if granted_s is None or granted_s > budget_s:
        return
    helped = unit["Type"] in _NOTIFIES
    yield Finding(
        "warning" if helped else "fault",
        f"TimeoutStopSec={granted_s:.0f}, and a stop may take {budget_s:.0f} s",
        "only that the daemon asks for more time keeps systemd from killing it amid its requests"
        if helped
        else "systemd kills the workers with their requests",
        facts.computed,
    )


def _watchdog(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None or facts.written.plan is None:
        return
    written = unit.directives.get("WatchdogSec", ())
    watchdog_s = unit.span_s("WatchdogUSec")
    if not watchdog_s or math.isinf(watchdog_s):  # of a service that does not run
        watchdog_s = span_s(written[-1]) if written else None
    least_s = watchdog_least_s(facts.written.plan.pool)
    if not watchdog_s:
        yield Finding(
            "note",
            "there is no WatchdogSec=",
            "a master that hangs is not noticed",
            facts.computed,
        )
    elif watchdog_s < least_s:
        yield Finding(
            "warning",
            f"WatchdogSec={watchdog_s:.0f}, with workers_stall_timeout it should be {least_s:.0f}",
            "a worker that hangs has the whole service killed before it is replaced",
            facts.computed,
        )


def _files(facts: Facts) -> Iterator[Finding]:
    plan = facts.written.plan
    limit = facts.unit.number("LimitNOFILESoft") if facts.unit is not None else None
    if facts.running is not None:
        limit = facts.running.open_files
    if plan is None or limit is None:
        return
    held = plan.worker.backpressure
    if limit < held + _OTHER_FILES:
        yield Finding(
            "fault" if limit <= held else "warning",
            f"a worker may open {limit} files, and holds up to {held} connections (backpressure)",
            "connections beyond the limit wait, unanswered",
            facts.edit(f"LimitNOFILE={max(65536, 2 * held)}")
            if facts.unit
            else f"ulimit -n {max(65536, 2 * held)}, or a smaller backpressure",
        )


def _store(facts: Facts) -> Iterator[Finding]:
    plan = facts.written.plan
    if (unit := _present(facts)) is None or plan is None:
        return
    room = unit.number("FileDescriptorStoreMax") or 0
    own = len([each for each in plan.listeners if each.kind != "systemd"])
    wanted = own + _STORED_BESIDE + (plan.quic is not None)
    if room < wanted:
        yield Finding(
            "warning" if own else "note",
            f"FileDescriptorStoreMax={room}, {wanted} descriptors are to be kept",
            "a restart refuses connections" if own else "a restart forgets what was counted",
            facts.edit(f"FileDescriptorStoreMax={max(64, 2 * wanted)}"),
        )


def _directories(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None:
        return
    if f"granian/{facts.name}" not in unit.words("RuntimeDirectory"):
        yield Finding(
            "warning",
            f"RuntimeDirectory= does not name granian/{facts.name}",
            "there is no control socket where granianctl, and so systemctl reload, looks for it",
            facts.edit(f"RuntimeDirectory=granian/{facts.name}"),
        )
    for name, use in (
        ("StateDirectory", "what the application keeps"),
        ("CacheDirectory", "bytecode, without which each start compiles all again"),
    ):
        if not unit[name] and unit["ProtectSystem"] == "strict":
            yield Finding(
                "note",
                f"there is no {name}=",
                f"the service has no place for {use}",
                facts.edit(f"{name}=granian/{facts.name}"),
            )


def _ports(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None or facts.running is not None:
        return
    low = sorted(
        {each.port for each in facts.written.tcp if each.port < facts.kernel.first_free_port}
    )
    root = unit["User"] in {"", "root", "0"} and _CAPABILITY in unit["CapabilityBoundingSet"]
    if low and not root and _CAPABILITY not in unit["AmbientCapabilities"].lower():
        yield Finding(
            "fault",
            f"port {', '.join(map(str, low))} is for root, or for who has {_CAPABILITY.upper()}",
            f"{unit['User'] or 'root without it'} cannot bind it, so nothing starts",
            facts.computed,
        )


def _loaded(facts: Facts) -> Iterator[Finding]:
    stale = [each.name for each in (facts.unit, *facts.sockets) if each and _stale(each)]
    if stale:
        yield Finding(
            "warning",
            f"files of {', '.join(stale)} have changed since systemd read them",
            "they do not count yet, and what is said here is of the old ones",
            "systemctl daemon-reload",
        )


def _stale(unit: Unit) -> bool:
    return unit["NeedDaemonReload"] == "yes"


def _sockets(facts: Facts) -> Iterator[Finding]:
    if (unit := _present(facts)) is None or facts.written.plan is None:
        return
    required = {*unit.words("Requires"), *unit.words("BindsTo")}
    there = [each for each in facts.sockets if each["LoadState"] == "loaded"]
    held = [each for each in there if each.active or each.name in required]
    names = {each["FileDescriptorName"] for each in held}
    for wanted in facts.written.wanted_sockets:
        if (wanted in names) if wanted else held:
            continue
        shown = f"systemd:{wanted}" if wanted else "systemd:"
        yield Finding(
            "fault",
            f"listen = {shown}, and no socket unit that is active or required passes it",
            "the daemon does not start without it",
            f"systemctl enable --now {socket_unit(facts.name, wanted)}",
        )
    for each in held:
        if not each.enabled and each.name not in required:
            yield Finding(
                "warning",
                f"{each.name} is active, and not enabled",
                "after a boot nobody listens",
                f"systemctl enable {each.name}",
            )
        runtime = [f"/run/{name}" for name in unit.words("RuntimeDirectory")]
        for path in _addresses(each):
            if path.startswith("/") and any(below(path, one) for one in runtime):
                yield Finding(
                    "warning",
                    f"{each.name} listens at {path}, in the service's RuntimeDirectory=",
                    "systemd removes it with the directory when the service stops",
                    f"systemctl edit {each.name}: ListenStream=/run/granian-{facts.name}.sock",
                )


def _datagrams(facts: Facts) -> Iterator[Finding]:
    """Sockets of a socket unit against the listeners that would read them."""
    if (unit := _present(facts)) is None or (plan := facts.written.plan) is None:
        return
    readers = {each.name for each in plan.listeners if each.kind == "systemd" and each.http3}
    root = unit["User"] in {"", "root", "0"} and unit["DynamicUser"] != "yes"
    for each in facts.sockets:
        if each["LoadState"] != "loaded":
            continue
        name, passed = each["FileDescriptorName"], _addresses(each, ("Datagram",))
        read = not readers.isdisjoint({"", name})
        low = [one for one in _addresses(each) if _port(one) < facts.kernel.first_free_port]
        if passed and not read:
            yield Finding(
                "warning",
                f"{each.name} has ListenDatagram=, and no listener that reads it",
                "its datagrams are never answered",
                f'{facts.file}: listen = ["systemd:{name},http3=true"]',
            )
        elif read and not passed and low and not root:
            yield Finding(
                "fault",
                f"http3 is wanted beside {', '.join(low)} of {each.name}",
                f"{unit['User'] or 'the service'} cannot bind that UDP port, so nothing starts",
                f"systemctl edit {each.name}: ListenDatagram={low[0]}",
            )


def _port(address: str) -> int:
    """Of an address of the internet; more than any for others."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdigit() else 1 << 16


def _twice(facts: Facts) -> Iterator[Finding]:
    if not facts.written.listen_given:
        return
    own = {each.key.removeprefix("tcp:") for each in facts.written.tcp}
    plan = facts.written.plan
    own |= {each.path for each in plan.listeners if each.kind == "unix"} if plan else set()
    for each in facts.sockets:
        both = sorted(own & set(_addresses(each)))
        if both and (each.active or each.enabled):
            yield Finding(
                "fault",
                f"{each.name} and {facts.file} both listen at {', '.join(both)}",
                "the daemon finds the address taken, and does not start",
                f'{facts.file}: listen = ["systemd:{each["FileDescriptorName"]}"]',
            )


def _addresses(socket: Unit, kinds: tuple[str, ...] = ("Stream",)) -> list[str]:
    """Where a socket unit listens: "/run/x.sock", "127.0.0.1:80", "[::]:80"."""
    lines = (line.rpartition(" (") for line in socket["Listen"].splitlines())
    return [address for address, _, kind in lines if kind.rstrip(")") in kinds]


CHECKS: Final = (
    Check("lines", "fault", ", ".join(f"`{line.name}=`" for line in _LINES), _lines),
    Check("reload", "warning", "`ExecReload=`: whether a reload that fails says so", _reload),
    Check(
        "statuses", "warning", "`RestartPreventExitStatus=`: what is of no use to retry", _statuses
    ),
    Check(
        "stop",
        "fault",
        "`TimeoutStopSec=` against `drain_delay` and the longest drain",
        _stop,
    ),
    Check("watchdog", "warning", "`WatchdogSec=` against `workers_stall_timeout`", _watchdog),
    Check(
        "files", "fault", "`LimitNOFILE=`, or that of the master, against `backpressure`", _files
    ),
    Check("store", "warning", "`FileDescriptorStoreMax=` against what is to be kept", _store),
    Check(
        "directories",
        "warning",
        "`RuntimeDirectory=`, `StateDirectory=`, `CacheDirectory=`",
        _directories,
    ),
    Check("ports", "fault", "ports that take a capability", _ports),
    Check("daemon-reload", "warning", "files of units that systemd has not read", _loaded),
    Check("sockets", "fault", "socket units that the settings want", _sockets),
    Check(
        "datagrams",
        "fault",
        "`ListenDatagram=` of a socket unit against the listeners with `http3`",
        _datagrams,
    ),
    Check("twice", "fault", "an address that the socket unit and the daemon bind", _twice),
)

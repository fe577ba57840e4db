"""`granianctl unit`: what the unit of one application needs beside granian@.service.

A drop-in, computed from the application's TOML file and from the version of systemd: deadlines
above the daemon's own budgets, the socket it wants, a capability where a port asks for one.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from granian_d.cli import unit_places
from granian_d.cli.examine import plan_of
from granian_d.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.plan import DaemonPlan, PoolPlan

CONFIGURATION: Final = Path("/etc/granian")
UNITS: Final = unit_places.LOCAL
DROP_IN: Final = "computed.conf"

UNPRIVILEGED_PORT: Final = 1024  # net.ipv4.ip_unprivileged_port_start, by default
STOP_MARGIN_S: Final = 15  # to kill who is left, and to say so
START_S: Final = 30  # to replace the only worker, at the end of which one makes progress again
WATCHDOG_S: Final = 30  # as in the unit
OWN_SOCKET: Final = "http"  # FileDescriptorName= of granian@.socket
BACK_OFF: Final = 254  # RestartSteps=, RestartMaxDelaySec=


def run(name: str, *, install: bool, systemd: int | None) -> int:
    """Print the drop-in of granian@NAME.service, or put it where systemd finds it.

    Args:
        name: of the instance, as in granian@NAME.
        install: write it, and say how exposed the service is with it.
        systemd: its version; None: the one that is here.

    Raises:
        ConfigError: the TOML file cannot be used, or there is no systemd here.
    """
    plan = plan_of(settings_of(name))
    version = systemd or unit_places.version_here()
    text = drop_in(name, plan, version)
    templates = unit_places.lacking(UNITS)
    place = f"granian@{name}.service.d/{DROP_IN}"
    unit = f"granian@{name}.service"
    exposed = unit_places.exposure(unit, {**templates, place: text})
    if not install:
        sys.stdout.write(text)
        for line in (
            *(f"{missing}: not here, --install puts it there" for missing in templates),
            exposed,
        ):
            sys.stdout.write(f"# {line}\n" if line else "")
        return 0
    files = {UNITS / file: written for file, written in {**templates, place: text}.items()}
    unit_places.write(files)
    sys.stdout.write("".join(f"{path}: written\n" for path in files))
    sys.stdout.write(f"{exposed}\n" if exposed else "")
    sys.stdout.write(f"now: systemctl enable --now {_enabled(name, plan)}\n")
    return 0


def settings_of(name: str) -> str:
    """The TOML file of an instance, whether it is there or not.

    Raises:
        ConfigError: nothing can have that name.
    """
    if not name or "/" in name:
        raise ConfigError(f"{name!r} is no name of an instance")
    return str(CONFIGURATION / f"{name}.toml")


def drop_in(name: str, plan: DaemonPlan, systemd: int) -> str:
    """The text of the drop-in.

    Args:
        name: of the instance.
        plan: what its TOML file says.
        systemd: its version.
    """
    head = f"# For granian@{name}, computed from its TOML file, for systemd {systemd}."
    sections = (("[Unit]", _unit(name, plan)), ("[Service]", _service(plan, systemd)))
    written = [f"{title}\n" + "\n".join(lines) for title, of in sections if (lines := [*of])]
    return "\n\n".join([head, *written]) + "\n"


def _unit(name: str, plan: DaemonPlan) -> Iterator[str]:
    if sockets := _sockets(name, plan):
        yield "# It listens on what systemd passes."
        yield f"Requires={' '.join(sockets)}"
        yield f"After={' '.join(sockets)}"


def _sockets(name: str, plan: DaemonPlan) -> list[str]:
    """The socket units that pass what it listens on."""
    wanted = [listener.name for listener in plan.listeners if listener.kind == "systemd"]
    return sorted({socket_unit(name, one) for one in wanted}, key=lambda unit: unit.split("@"))


def socket_unit(name: str, wanted: str) -> str:
    """The unit of a socket of an instance, as granian@.socket says that it is named.

    Args:
        name: of the instance.
        wanted: of the socket; "" for any.
    """
    template = "granian" if wanted in ("", OWN_SOCKET) else f"granian-{wanted}"
    return f"{template}@{name}.socket"


def _enabled(name: str, plan: DaemonPlan) -> str:
    return " ".join([*_sockets(name, plan), f"granian@{name}"])


def _service(plan: DaemonPlan, systemd: int) -> Iterator[str]:
    yield from _programs()
    yield f"# {STOP_MARGIN_S} s more than drain_delay and what workers are granted after it."
    yield f"TimeoutStopSec={math.ceil(stop_budget_s(plan.pool)) + STOP_MARGIN_S}"
    watchdog_s = max(WATCHDOG_S, math.ceil(watchdog_least_s(plan.pool)))
    yield "# Twice this is left to find out that a worker hangs, and to replace it."
    yield f"WatchdogSec={watchdog_s}"
    if low := sorted(_low_ports(plan)):
        yield f"# Port {', '.join(map(str, low))}; from a socket unit it would take no capability."
        yield "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
        yield "AmbientCapabilities=CAP_NET_BIND_SERVICE"
    yield from _shown(plan)
    if systemd >= BACK_OFF:
        yield "# What fails is tried again ever more seldom."
        yield "RestartSteps=6"
        yield "RestartMaxDelaySec=60"


def _programs() -> Iterator[str]:
    start, control = (unit_places.own_program(name) for name in ("granian-d", "granianctl"))
    if start and control:
        yield "# granian-d is not where systemd looks for programs."
        yield from ("ExecStart=", f"ExecStart={_quoted(start)} --config /etc/granian/%i.toml")
        yield from ("ExecReload=", f"ExecReload={_quoted(control)} reload --wait")


def _shown(plan: DaemonPlan) -> Iterator[str]:
    """What the sandbox hides and the application is made of."""
    prefix = sys.prefix if unit_places.own_program("granian-d") else ""
    if paths := unit_places.hidden((plan.worker.working_dir, plan.worker.venv, prefix)):
        yield "# The code is where services see nothing."
        yield from (f"BindReadOnlyPaths={_quoted(path)}" for path in paths)


def _quoted(path: str) -> str:
    """A path as systemd.syntax(7) has it."""
    escaped = path.replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    return escaped if escaped == path and " " not in path else f'"{escaped}"'


def stop_budget_s(pool: PoolPlan) -> float:
    """What a stop may take by the daemon's own deadlines, in seconds."""
    return pool.drain_delay_s + max(pool.drain_timeout_s, pool.stream_timeout_s)


def watchdog_least_s(pool: PoolPlan) -> float:
    """The shortest WatchdogSec= that does not fire when a worker hangs, in seconds.

    Fed until nobody has made progress for this long, it waits once more as long.
    """
    return (pool.stall_timeout_s + START_S) / 2


def _low_ports(plan: DaemonPlan) -> set[int]:
    tcp = {listener.port for listener in plan.listeners if listener.kind == "tcp"}
    return {port for port in tcp if 0 < port < UNPRIVILEGED_PORT}

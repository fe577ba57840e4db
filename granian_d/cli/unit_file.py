"""`granianctl unit`: what the unit of one application needs beside granian@.service.

A drop-in, computed from the application's TOML file and from the version of systemd: deadlines
above the daemon's own budgets, the socket it wants, a capability where a port asks for one.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from granian_d.errors import ConfigError
from granian_d.settings import load, remarks, resolve
from granian_d.settings.options import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.plan import DaemonPlan

CONFIGURATION: Final = Path("/etc/granian")
UNITS: Final = Path("/etc/systemd/system")
DROP_IN: Final = "computed.conf"

UNPRIVILEGED_PORT: Final = 1024  # net.ipv4.ip_unprivileged_port_start, by default
STOP_MARGIN_S: Final = 15  # to kill who is left, and to say so
START_S: Final = 30  # to replace the only worker, at the end of which one makes progress again
WATCHDOG_S: Final = 30  # as in the unit
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
    if not name or "/" in name:
        raise ConfigError(f"{name!r} is no name of an instance")
    file = CONFIGURATION / f"{name}.toml"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    loaded = load([f"--config={file}"], environ, inherited=None)
    plan = resolve(loaded)
    for line in remarks(loaded):
        sys.stderr.write(f"{line}\n")
    version = systemd or _version_here()
    text = drop_in(name, plan, version)
    if not install:
        sys.stdout.write(text)
        return 0
    path = UNITS / f"granian@{name}.service.d" / DROP_IN
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    sys.stdout.write(f"{path}: written; systemctl daemon-reload makes it count\n")
    sys.stdout.write(_exposure(name))
    return 0


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
    if any(listener.kind == "systemd" for listener in plan.listeners):
        yield "# It listens on what systemd passes."
        yield f"Requires=granian@{name}.socket"
        yield f"After=granian@{name}.socket"


def _service(plan: DaemonPlan, systemd: int) -> Iterator[str]:
    pool = plan.pool
    drain_s = max(pool.drain_timeout_s, pool.stream_timeout_s)
    stop_s = math.ceil(pool.drain_delay_s + drain_s) + STOP_MARGIN_S
    yield f"# {STOP_MARGIN_S} s more than drain_delay and what workers are granted after it."
    yield f"TimeoutStopSec={stop_s}"
    # Fed until nobody has made progress for this long, it waits once more as long.
    watchdog_s = max(WATCHDOG_S, math.ceil((pool.stall_timeout_s + START_S) / 2))
    yield "# Twice this is left to find out that a worker hangs, and to replace it."
    yield f"WatchdogSec={watchdog_s}"
    if low := sorted(_low_ports(plan)):
        yield f"# Port {', '.join(map(str, low))}; from a socket unit it would take no capability."
        yield "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
        yield "AmbientCapabilities=CAP_NET_BIND_SERVICE"
    if systemd >= BACK_OFF:
        yield "# What fails is tried again ever more seldom."
        yield "RestartSteps=6"
        yield "RestartMaxDelaySec=60"


def _low_ports(plan: DaemonPlan) -> set[int]:
    tcp = {listener.port for listener in plan.listeners if listener.kind == "tcp"}
    return {port for port in tcp if 0 < port < UNPRIVILEGED_PORT}


def _version_here() -> int:
    """Of the systemd that is here.

    Raises:
        ConfigError: there is none.
    """
    answer = _ask("systemctl", "--version").split()
    if len(answer) < 2 or not answer[1].isdigit():
        raise ConfigError("there is no systemctl here: say --systemd VERSION")
    return int(answer[1])


def _exposure(name: str) -> str:
    """What systemd-analyze says of the service, as it is installed; "" where that is not here."""
    lines = _ask("systemd-analyze", "security", "--offline=true", f"granian@{name}.service")
    return "".join(f"{line}\n" for line in lines.splitlines()[-1:])


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout

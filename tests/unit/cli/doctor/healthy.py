"""Facts of an instance with which nothing is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from granian_d.cli.doctor.facts import Facts, Installed, Kernel, Manager, Running, Unit, Written
from granian_d.settings import load, resolve

NOW = 1_800_000_000.0
SHIPPED = Path(__file__).parents[4] / "systemd/granian@.service"

# What `systemctl show` calls by another name than the unit's file, or computes.
SHOWN = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "TimeoutStopUSec": "45s",
    "WatchdogUSec": "30s",
    "LimitNOFILESoft": "65536",
    "RestartSteps": "6",
    "MemoryMax": "infinity",
    "CapabilityBoundingSet": "",
    "User": "granian-shop",
    "RuntimeDirectory": "granian/shop",
    "LogsDirectory": "granian/shop",
    "StateDirectory": "granian/shop",
    "CacheDirectory": "granian/shop",
}

REPORT = {
    "format": 1,
    "version": "1.0",
    "health": "well",
    "reloading": False,
    "master": {"pid": 7, "uptime_s": 100.0, "pss_bytes": 20 << 20},
    "workers": [{"pss_bytes": 30 << 20}, {"pid": None}],
    "deaths": [],
    "last_change": None,
}


def unit(**properties: str) -> Unit:
    """The shipped unit, as systemd would show it, with other properties."""
    text = re.sub("%i", "shop", SHIPPED.read_text())
    lines = re.findall(r"^([A-Z][A-Za-z]+)=(.*)$", text, re.MULTILINE)
    return Unit(
        name="granian@shop.service",
        properties={**dict(lines), **SHOWN, **properties},
        directives={"WatchdogSec": ("30",)},
    )


def socket_unit(**properties: str) -> Unit:
    """The socket unit that goes with it."""
    shown = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "FileDescriptorName": "http",
        "Listen": "/run/granian-shop.sock (Stream)",
    }
    return Unit(name="granian@shop.socket", properties=shown | properties, directives={})


def written(settings: str, directory: Path, **more) -> Written:
    """What a TOML file says, where systemd has made the directories of the unit."""
    file = directory / "shop.toml"
    file.write_text(f'app = "main:app"\nlisten = ["127.0.0.1:8000"]\n{settings}\n')
    if "listen =" in settings:
        file.write_text(f'app = "main:app"\n{settings}\n')
    environ = {
        "RUNTIME_DIRECTORY": "/run/granian/shop",
        "LOGS_DIRECTORY": "/var/log/granian/shop",
    }
    loaded = load([f"--config={file}"], environ, inherited=None)
    facts = Written(
        plan=resolve(loaded),
        error="",
        remarks=(),
        listen_given=bool(loaded.settings.listen),
        changed_at=NOW - 1000,
        venv="",
        venv_python=None,
    )
    return replace(facts, **more)


KERNEL = Kernel(
    release=(6, 1),
    somaxconn=4096,
    first_free_port=1024,
    cgroup2=True,
    listening=frozenset(),
    datagrams=frozenset(),
    rmem_max=4 << 20,
)
INSTALLED = Installed(
    program="/usr/bin/granian-d",
    version="1.0",
    python=(3, 11),
    compiled=True,
    uvloop=True,
    quic=True,
)


def healthy(directory: Path, settings: str = "") -> Facts:
    """An instance that runs, with settings of its own."""
    return Facts(
        name="shop",
        file="/etc/granian/shop.toml",
        now=NOW,
        kernel=KERNEL,
        manager=Manager(version=257, keeps_journal=True),
        unit=unit(),
        sockets=(),
        programs={"granian-d": "/usr/bin/granian-d", "granianctl": "/usr/bin/granianctl"},
        installed=INSTALLED,
        written=written(settings, directory),
        accesses=(),
        outputs=(),
        certificates=(),
        secrets=(),
        leftovers=(),
        running=Running(report=REPORT, open_files=65536, loaded_at=NOW - 100),
        silent="",
        neighbours={},
        unknown=(),
    )

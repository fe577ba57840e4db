"""What is known of an instance when the checks begin: data, without I/O.

`None` says that something is not there or could not be looked at; where that is worth saying, a
sentence in `Facts.unknown` says which. Times are seconds since 1970, spans end in `_s`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from granian_d.cli.doctor.spans import span_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from granian_d.cli.doctor.access import Access
    from granian_d.plan import DaemonPlan, ListenerPlan


# Directories that systemd makes, by directive (systemd.exec(5)).
MADE: Final = {
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What the kernel says."""

    release: tuple[int, int]
    somaxconn: int | None
    first_free_port: int  # net.ipv4.ip_unprivileged_port_start
    cgroup2: bool
    listening: frozenset[tuple[str, int]]  # addresses and ports of TCP that somebody listens at
    datagrams: frozenset[tuple[str, int]]  # those of UDP that somebody has
    rmem_max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """systemd."""

    version: int
    keeps_journal: bool  # over a boot


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit, as `systemctl show` and `systemctl cat` have it."""

    name: str
    properties: Mapping[str, str]  # "" and absent are the same
    directives: Mapping[str, tuple[str, ...]]  # [Service] or [Socket]; an empty one has reset it

    def __getitem__(self, name: str) -> str:
        return self.properties.get(name, "")

    def words(self, name: str) -> list[str]:
        """A property that is a list."""
        return self[name].split()

    def span_s(self, name: str) -> float | None:
        """A property that is a span of time; infinite where it never ends."""
        return span_s(self[name])

    def number(self, name: str) -> int | None:
        """A property that is a number; None for "infinity" and "[not set]"."""
        return int(self[name]) if self[name].isdigit() else None

    @property
    def active(self) -> bool:
        """It runs, or is on its way there."""
        return self["ActiveState"] in {"active", "activating", "reloading", "refreshing"}

    @property
    def serving(self) -> bool:
        """Its process is there and has started."""
        return self["ActiveState"] in {"active", "reloading", "refreshing"}

    @property
    def made_directories(self) -> list[str]:
        """What systemd makes for the service before it starts."""
        return [f"{parent}/{name}" for key, parent in MADE.items() for name in self.words(key)]

    @property
    def enabled(self) -> bool:
        """It is started at boot by itself."""
        return self["UnitFileState"] in {"enabled", "enabled-runtime", "static"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The granian-d that the next start would run."""

    program: str
    version: str
    python: tuple[int, int]
    compiled: bool
    uvloop: bool
    quic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The TOML file, with what the unit's environment adds to it."""

    plan: DaemonPlan | None
    error: str  # why there is no plan
    remarks: tuple[str, ...]
    listen_given: bool  # rather than host, port or uds, which sockets of systemd replace
    changed_at: float
    venv: str  # of the application; "" for none
    venv_python: tuple[int, int] | None

    @property
    def tcp(self) -> list[ListenerPlan]:
        """The listeners that the daemon binds to ports by itself."""
        listeners = self.plan.listeners if self.plan else ()
        return [each for each in listeners if each.kind == "tcp" and each.port]

    @property
    def wanted_sockets(self) -> list[str]:
        """Names of the sockets that systemd is to pass; "" for any."""
        listeners = self.plan.listeners if self.plan else ()
        return [each.name for each in listeners if each.kind == "systemd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A certificate that the daemon shows."""

    file: str
    not_after: float | None
    fault: str  # why it cannot be used; "" if it can


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A file that holds secrets, or that systemd gives to the service."""

    what: str  # the option or directive that names it
    path: str
    mode: int | None  # None: it is not there; 0: what it holds is no secret
    required: bool  # by systemd, before it starts anything


class Output(NamedTuple):
    """A file or socket that the daemon makes."""

    what: str  # the option that names it
    path: str
    there: bool  # its directory is


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A daemon that answers."""

    report: Mapping[str, Any]  # docs/control.md
    open_files: int | None  # its soft limit (RLIMIT_NOFILE); None: infinite or unknown
    loaded_at: float | None  # the moment of the configuration that is in effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the checks look at."""

    name: str  # of the instance; "" for a file that is none's
    file: str
    now: float
    kernel: Kernel
    manager: Manager | None
    unit: Unit | None
    sockets: tuple[Unit, ...]  # that may start it
    programs: Mapping[str, str]  # those that Exec lines name, and where they are; "" for nowhere
    installed: Installed | None
    written: Written
    accesses: tuple[Access, ...]
    outputs: tuple[Output, ...]
    certificates: tuple[Shown, ...]
    secrets: tuple[Secret, ...]
    leftovers: tuple[str, ...]  # directories of the unit that are links to nothing
    running: Running | None
    silent: str  # why a control socket that may be asked has not answered
    neighbours: Mapping[str, Written]  # other instances
    unknown: tuple[str, ...]

    @property
    def service(self) -> str:
        """The name of its unit."""
        return f"granian@{self.name}"

    def edit(self, line: str) -> str:
        """How a line comes into the unit."""
        return f"systemctl edit {self.service}: {line}"

    @property
    def computed(self) -> str:
        """The command that writes what the unit of this instance needs."""
        return f"granianctl unit {self.name} --install"

    @property
    def up(self) -> bool:
        """Somebody serves, as far as is known."""
        return self.running is not None or (self.unit is not None and self.unit.active)

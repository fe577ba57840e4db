"""Checks of the machine: kernel, systemd, and the granian-d that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.cli.doctor.finding import Check, Finding
from granian_d.cli.unit_file import BACK_OFF
from granian_d.transport.datagrams import RECEIVE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.cli.doctor.facts import Facts

# packaging/README.md: pidfds, and all that the daemon makes use of.
_LEAST_KERNEL: Final = (5, 4)
_WHOLE_KERNEL: Final = (5, 14)
_LEAST_SYSTEMD: Final = 252  # the oldest that the units are tried under


def _backlog(facts: Facts) -> Iterator[Finding]:
    most, plan = facts.kernel.somaxconn, facts.written.plan
    own = [each.backlog for each in plan.listeners if each.kind in {"tcp", "unix"}] if plan else []
    if most is not None and own and max(own) > most:
        yield Finding(
            "warning",
            f"net.core.somaxconn is {most}, backlog {max(own)}",
            "the kernel cuts the queue short, and refuses who comes in a burst",
            f"sysctl -w net.core.somaxconn={max(own)}, and the same line in /etc/sysctl.d/",
        )


def _kernel(facts: Facts) -> Iterator[Finding]:
    release = facts.kernel.release
    shown = ".".join(map(str, release))
    if release < _LEAST_KERNEL:
        yield Finding(
            "warning",
            f"the kernel is {shown}",
            "it has no pidfds: whether a process is still the same is guessed by its number",
            "a kernel of 5.14 or newer",
        )
    elif release < _WHOLE_KERNEL:
        yield Finding(
            "note", f"the kernel is {shown}", "parts of granian-d are of use from 5.14 on only"
        )


def _cgroup(facts: Facts) -> Iterator[Finding]:
    if facts.unit is not None and not facts.kernel.cgroup2:
        yield Finding(
            "warning",
            "control groups are those of version 1",
            "MemoryMax= and OOMPolicy= of the unit do not do what they say",
            "systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        )


def _systemd(facts: Facts) -> Iterator[Finding]:
    if facts.manager is None:
        return
    version = facts.manager.version
    if version < _LEAST_SYSTEMD:
        yield Finding(
            "note",
            f"systemd is {version}",
            f"the units are tried with {_LEAST_SYSTEMD} and newer: some lines may be ignored",
        )
    if facts.unit is not None and version >= BACK_OFF and facts.unit["RestartSteps"] == "0":
        yield Finding(
            "note",
            f"systemd {version} knows back-off.conf, which this unit does not have",
            "a service that fails is given up for good after StartLimitBurst= tries",
            facts.computed,
        )


def _journal(facts: Facts) -> Iterator[Finding]:
    if facts.manager is not None and facts.unit is not None and not facts.manager.keeps_journal:
        yield Finding(
            "note",
            "the journal does not outlive a boot",
            "what was logged before a crash of the machine is lost",
            "mkdir -p /var/log/journal && journalctl --flush",
        )


def _programs(facts: Facts) -> Iterator[Finding]:
    missing = [name for name, path in facts.programs.items() if not path]
    if missing:
        yield Finding(
            "fault",
            f"{' and '.join(missing)}: in none of the directories in which systemd looks",
            "the unit names it without a path, so it does not start or reload",
            facts.computed,
        )


def _engine(facts: Facts) -> Iterator[Finding]:
    installed, plan = facts.installed, facts.written.plan
    if installed is None or plan is None:
        return
    wanted = plan.worker.engine
    if wanted == "pure" and installed.compiled:
        yield Finding(
            "note",
            "engine = pure, and the native one is installed",
            "the same rules, many times slower",
            f'{facts.file}: engine = "auto"',
        )
    elif not installed.compiled:
        yield Finding(
            "fault" if wanted == "native" else "note",
            f"{installed.program} has no native engine, it was installed without a C compiler",
            "it is wanted (engine = native), so nothing starts"
            if wanted == "native"
            else "the pure one keeps the same rules, many times slower",
            "apt install gcc python3-dev, then install granian-d again",
        )


def _loop(facts: Facts) -> Iterator[Finding]:
    installed, plan = facts.installed, facts.written.plan
    if installed is None or plan is None or installed.uvloop or plan.worker.loop == "asyncio":
        return
    wanted = plan.worker.loop == "uvloop"
    yield Finding(
        "fault" if wanted else "note",
        "uvloop is not installed",
        "it is wanted (loop = uvloop), so no worker starts"
        if wanted
        else "the loop of asyncio is used, which is slower",
        "pip install uvloop, into the environment of granian-d",
    )


def _http3(facts: Facts) -> Iterator[Finding]:
    installed, plan = facts.installed, facts.written.plan
    if plan is None or plan.quic is None:
        return
    if installed is not None and not installed.quic:
        yield Finding(
            "fault",
            "aioquic is not installed",
            "it is wanted (http3 = true), so nothing starts",
            "pip install 'granian-d[http3]', into the environment of granian-d",
        )
    most = facts.kernel.rmem_max
    if most is not None and most < RECEIVE_BYTES:
        yield Finding(
            "note",
            f"net.core.rmem_max is {most}, for HTTP/3 {RECEIVE_BYTES} bytes are asked for",
            "what comes in a burst is dropped by the kernel, and sent again by clients",
            f"sysctl -w net.core.rmem_max={RECEIVE_BYTES}, and the same line in /etc/sysctl.d/",
        )


def _python(facts: Facts) -> Iterator[Finding]:
    installed, theirs = facts.installed, facts.written.venv_python
    if installed is None or theirs is None or theirs == installed.python:
        return
    ours = ".".join(map(str, installed.python))
    yield Finding(
        "fault",
        f"{facts.written.venv} is for Python {theirs[0]}.{theirs[1]}, granian-d runs on {ours}",
        "compiled parts of the application cannot be imported",
        f"python{ours} -m venv --clear {facts.written.venv}, and install the application again",
    )


CHECKS: Final = (
    Check("backlog", "warning", "`net.core.somaxconn` against `backlog`", _backlog),
    Check("kernel", "warning", "the kernel against what the daemon makes use of", _kernel),
    Check("cgroup", "warning", "version 2 of control groups", _cgroup),
    Check("systemd", "note", "the version of systemd, and what is of use with it", _systemd),
    Check("journal", "note", "a journal that outlives a boot", _journal),
    Check("programs", "fault", "`granian-d` and `granianctl`, where systemd looks", _programs),
    Check("engine", "fault", "the engine: native or pure, and why", _engine),
    Check("loop", "fault", "uvloop, where `loop` wants it", _loop),
    Check("http3", "fault", "aioquic, where `http3` wants it; `net.core.rmem_max`", _http3),
    Check("python", "fault", "the Python of `venv` against that of granian-d", _python),
)

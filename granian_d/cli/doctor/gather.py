"""The facts of an instance, from all that knows something of it: nothing here judges."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Final

from granian_d.cli.doctor import installation, kernel_says, service_user, systemd_says, written
from granian_d.cli.doctor.access import Access, steps_to
from granian_d.cli.doctor.facts import Facts, Output, Running, Secret
from granian_d.cli.operate import INSTANCES
from granian_d.cli.status_page import FORMAT
from granian_d.cli.unit_file import CONFIGURATION, settings_of
from granian_d.cli.unit_places import find
from granian_d.control import wire
from granian_d.control.client import ask
from granian_d.errors import DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from granian_d.cli.doctor.access import Who
    from granian_d.cli.doctor.facts import Installed, Manager, Shown, Unit, Written
    from granian_d.cli.doctor.written import Pair, Reading
    from granian_d.plan import DaemonPlan

_PROGRAMS: Final = {written.PROGRAM, "granianctl"}
_TICK_S: Final = 0.02  # to which a process' start is known (CLK_TCK), and a file's change
_ANSWER_S: Final = 5.0  # for a report, which takes a daemon milliseconds


class Gathering:
    """What is asked once for all instances, and then of each.

    Attributes:
        manager: systemd, if it is here.
    """

    def __init__(self) -> None:
        self.kernel = kernel_says.kernel()
        self.manager: Manager | None = systemd_says.manager()
        self._readings: dict[str, Reading] = {}
        self._units: dict[str, Unit | None] = {}

    def names(self) -> list[str]:
        """Of the instances that have a file."""
        return sorted(path.stem for path in CONFIGURATION.glob("*.toml"))

    def instance(self, name: str) -> Facts:
        """What is known of an instance.

        Raises:
            ConfigError: nothing can have that name.
        """
        file = settings_of(name)
        unit = self._unit(f"granian@{name}.service")
        reading = self._reading(name)
        neighbours = {each: self._reading(each).written for each in self.names() if each != name}
        sockets = self._sockets(name, unit)
        facts = _Instance(name, file, unit, reading)
        return facts.gather(self, sockets, neighbours)

    def file(self, file: str) -> Facts:
        """What is known of a file; if it is an instance's, of that."""
        path = os.path.realpath(file)
        if os.path.dirname(path) == str(CONFIGURATION) and path.endswith(".toml"):
            return self.instance(os.path.basename(path).removesuffix(".toml"))
        return _Instance("", path, None, written.read(path, None)).gather(self, (), {})

    def _reading(self, name: str) -> Reading:
        if name not in self._readings:
            unit = self._unit(f"granian@{name}.service")
            self._readings[name] = written.read(settings_of(name), unit)
        return self._readings[name]

    def _unit(self, name: str) -> Unit | None:
        if name not in self._units:
            self._units[name] = systemd_says.unit(name) if self.manager else None
            if self._units[name] is None:
                self.manager = None  # who does not answer once is not asked again
        return self._units[name]

    def _sockets(self, name: str, unit: Unit | None) -> tuple[Unit, ...]:
        if unit is None:
            return ()
        triggers = [each for each in unit.words("TriggeredBy") if each.endswith(".socket")]
        names = dict.fromkeys([f"granian@{name}.socket", *triggers])
        return tuple(found for each in names if (found := self._unit(each)) is not None)


class _Instance:
    """One instance, while its facts are gathered."""

    def __init__(self, name: str, file: str, unit: Unit | None, reading: Reading) -> None:
        self.name = name
        self.file = file
        self.unit = unit
        self.written, self.loaded = reading
        self.unknown: list[str] = []
        self.silent = ""

    def gather(
        self, known: Gathering, sockets: tuple[Unit, ...], neighbours: Mapping[str, Written]
    ) -> Facts:
        if known.manager is None and self.name:
            self.unknown.append("systemd does not answer: nothing is known of the units")
        pairs = self._pairs()
        running = self._running()
        programs = self._programs()
        daemons = (path for name, path in programs.items() if name.endswith(written.PROGRAM))
        program = next(daemons, "")
        return Facts(
            name=self.name,
            file=self.file,
            now=time.time(),
            kernel=known.kernel,
            manager=known.manager,
            unit=self.unit,
            sockets=sockets,
            programs=programs,
            installed=self._installed(program),
            written=self.written,
            accesses=tuple(self._accesses(program)),
            outputs=tuple(_outputs(self.written.plan)),
            certificates=tuple(shown for pair in pairs if (shown := self._shown(pair))),
            secrets=tuple(self._secrets(pairs)),
            leftovers=tuple(self._leftovers()),
            running=running,
            silent=self.silent,
            neighbours=neighbours,
            unknown=tuple(dict.fromkeys(self.unknown)),
        )

    # --- what is installed -----------------------------------------------------------------------

    def _programs(self) -> dict[str, str]:
        """The programs of the unit that are ours, and where they are; "" for nowhere."""
        if self.unit is None:
            return {}
        named = [systemd_says.command(self.unit, line)[0] for line in ("ExecStart", "ExecReload")]
        ours = [each for each in named if os.path.basename(each) in _PROGRAMS]
        return {each: find(each) for each in ours}

    def _installed(self, program: str) -> Installed | None:
        if self.unit is None:
            return installation.ours()
        found = installation.probe(program, self.unit["User"]) if program else None
        if found is None and program:
            self.unknown.append(f"{program} could not be asked for its version")
        return found

    # --- who may what ----------------------------------------------------------------------------

    def _accesses(self, program: str) -> Iterator[Access]:
        for what, path, who, wants in self._wanted(program):
            steps = steps_to(path)
            if any(step.unseen for step in steps):
                self.unknown.append(f"{what}: {path} may not be looked at")
            yield Access(what, path, who, wants, steps)

    def _wanted(self, program: str) -> Iterator[tuple[str, str, Who, str]]:
        """What is used, by whom and how."""
        plan = self.written.plan
        master = service_user.master(self.unit)
        worker = service_user.worker(master, plan)
        yield "configuration", self.file, master, "r"
        if program:
            yield "ExecStart", program, master, "rx"
        if python := installation.interpreter(program):
            yield "interpreter", python, master, "x"
        if directory := plan.worker.working_dir if plan else "":
            yield "working_dir", directory, worker, "rx"
            if module := _module(directory, plan.worker.target if plan else ""):
                yield "app", module, worker, "r"
        if self.written.venv:
            yield "venv", f"{self.written.venv}/pyvenv.cfg", worker, "r"
        for pair in written.pairs(self.loaded, {}) if self.loaded else ():
            if pair.certificate:
                yield "ssl.certificate", pair.certificate, master, "r"
            if pair.keyfile:
                yield "ssl.keyfile", pair.keyfile, master, "r"
        if self.unit is None:
            for each in _outputs(plan):
                yield each.what, os.path.dirname(each.path), master, "wx"

    # --- secrets ---------------------------------------------------------------------------------

    def _pairs(self) -> list[Pair]:
        if self.loaded is None:
            return []
        credentials = systemd_says.credentials(self.unit) if self.unit else {}
        return written.pairs(self.loaded, credentials)

    def _shown(self, pair: Pair) -> Shown | None:
        shown = written.show(pair)
        if shown is None:
            where = pair.certificate or "of a credential"
            self.unknown.append(f"the certificate {where} could not be read")
        return shown

    def _secrets(self, pairs: list[Pair]) -> Iterator[Secret]:
        # By path: a key that comes as a credential is named twice.
        named = {pair.keyfile: ("ssl.keyfile", False) for pair in pairs if pair.keyfile}
        credentials = systemd_says.credentials(self.unit) if self.unit else {}
        named |= dict.fromkeys(credentials.values(), ("LoadCredential", True))
        if self.unit is not None:
            for path, required in systemd_says.environment_files(self.unit):
                named[path] = ("EnvironmentFile", required)
        public = written.public(self.loaded, credentials)
        for path, (what, required) in named.items():
            try:
                mode = os.stat(path).st_mode
            except (FileNotFoundError, NotADirectoryError):
                yield Secret(what=what, path=path, mode=None, required=required)
            except OSError:
                self.unknown.append(f"{what}: {path} may not be looked at")
            else:
                shown = 0 if path in public else mode
                yield Secret(what=what, path=path, mode=shown, required=required)

    def _leftovers(self) -> Iterator[str]:
        for path in self.unit.made_directories if self.unit else ():
            if os.path.islink(path) and not os.path.lexists(os.path.realpath(path)):
                yield path

    # --- the daemon ------------------------------------------------------------------------------

    def _running(self) -> Running | None:
        path = self.written.plan.master.control_socket if self.written.plan else ""
        if not path and self.name:
            path = os.path.join(INSTANCES, self.name, wire.SOCKET_NAME)
        if not path or (self.unit is not None and not self.unit.serving):
            return None
        report = self._report(path)
        if report is None:
            return None
        pid = report["master"]["pid"]
        return Running(
            report=report, open_files=kernel_says.open_files(pid), loaded_at=_loaded_at(report)
        )

    def _report(self, path: str) -> dict[str, Any] | None:
        """The daemon's own report; None where there is none to be had."""
        text = ""
        try:
            for told in ask(path, wire.Status(), _ANSWER_S):
                text = told.text or text
                if isinstance(told.answer, wire.Done) and told.answer.exit_code == os.EX_NOPERM:
                    self.unknown.append(f"{path}: only root and the daemon's own user may ask it")
        except DaemonUnreachable as error:
            if isinstance(error.__cause__, PermissionError):
                self.unknown.append(str(error))
            else:
                self.silent = str(error)
        report: dict[str, Any] = json.loads(text) if text else {}
        return report if report.get("format") == FORMAT else None


def _loaded_at(report: Mapping[str, Any]) -> float | None:
    """The moment at which the configuration that is in effect was read; None where it is lost."""
    change, uptime_s = report["last_change"], report["master"]["uptime_s"]
    if change is not None:
        return None if change["exit_code"] else change["at"] - change["took_s"]
    return None if uptime_s is None else time.time() - uptime_s + _TICK_S


def _outputs(plan: DaemonPlan | None) -> Iterator[Output]:
    """What the daemon makes."""
    if plan is None:
        return
    named = [
        ("log.file", plan.log.file),
        ("access_log.file", plan.access_log.file),
        ("pid_file", plan.master.pid_file),
        ("control_socket", plan.master.control_socket),
    ]
    named += [("listen", each.path) for each in plan.listeners if each.kind == "unix"]
    for what, path in named:
        if path.startswith("/"):
            steps = steps_to(os.path.dirname(path))
            yield Output(what, path, there=not steps[-1].missing)


def _module(directory: str, target: str) -> str:
    """The file of the application, where it is below its directory; "" where it is not found."""
    name = target.partition(":")[0]
    stem = name if name.endswith(".py") or "/" in name else name.replace(".", "/")
    for candidate in (stem, f"{stem}.py", f"{stem}/__init__.py"):
        path = os.path.join(directory, candidate)
        if os.path.isfile(path):
            return path
    return ""

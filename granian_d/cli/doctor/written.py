"""The TOML file of an instance, read as its unit would have it read."""

from __future__ import annotations

import os
import shlex
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from granian_d.cli.doctor import systemd_says
from granian_d.cli.doctor.facts import Shown, Written
from granian_d.cli.doctor.installation import venv_python
from granian_d.errors import DaemonError
from granian_d.settings import Loaded, load, resolve
from granian_d.settings.kinds import MARK
from granian_d.settings.options import PREFIX
from granian_d.transport.x509 import read_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from granian_d.cli.doctor.facts import Unit
    from granian_d.settings.toml_lines import KeyPath

PROGRAM: Final = "granian-d"
_MOST_BYTES: Final = 1 << 20  # of a file of certificates, of a file of variables
_WHERE: Final = {"RUNTIME_DIRECTORY": "/run", "LOGS_DIRECTORY": "/var/log"}
_DIRECTIVES: Final = {"RUNTIME_DIRECTORY": "RuntimeDirectory", "LOGS_DIRECTORY": "LogsDirectory"}


class Reading(NamedTuple):
    """What the file gave; `loaded` is None where it cannot be used at all."""

    written: Written
    loaded: Loaded | None


def read(file: str, unit: Unit | None) -> Reading:
    """The settings of a file, with the arguments and variables of its unit if there is one."""
    argv, environ = _command_line(file, unit), _environment(unit)
    loaded, plan, error = None, None, ""
    try:
        loaded = load(argv, environ, inherited=None)
        plan = resolve(loaded)
    except DaemonError as fault:
        error = str(fault)
    venv = plan.worker.venv if plan else ""
    written = Written(
        plan=plan,
        error=error,
        remarks=loaded.warnings if loaded else (),
        listen_given=bool(loaded and loaded.settings.listen),
        changed_at=_changed_at(file),
        venv=venv,
        venv_python=venv_python(venv) if venv else None,
    )
    return Reading(written, loaded)


def _command_line(file: str, unit: Unit | None) -> list[str]:
    if unit is not None:
        program, words = systemd_says.command(unit, "ExecStart")
        if os.path.basename(program) == PROGRAM:
            return words
    return [f"--config={file}"]


def _environment(unit: Unit | None) -> dict[str, str]:
    """What the daemon would find of what it reads; without a unit, what this process has of it."""
    if unit is None:
        return {name: os.environ[name] for name in _WHERE if name in os.environ}
    environ = {
        name: f"{parent}/{words[0]}"
        for name, parent in _WHERE.items()
        if (words := unit.words(_DIRECTIVES[name]))
    }
    found = list(variables(shlex.split(unit["Environment"])))
    for path, _ in systemd_says.environment_files(unit):
        found += variables(_lines(path))
    return environ | dict(found)


def variables(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of granian-d among assignments as systemd writes them (systemd.exec(5))."""
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and name.startswith(PREFIX):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            yield name, value[1:-1] if quoted else value


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_BYTES).splitlines()
    except OSError:
        return []  # unreadable or absent: facts of their own


def _changed_at(file: str) -> float:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return 0.0


# --- certificates --------------------------------------------------------------------------------


def public(loaded: Loaded | None, credentials: Mapping[str, str]) -> set[str]:
    """The files of credentials that hold no secret; without settings, all may be of this kind."""
    if loaded is None:
        return set(credentials.values())
    ssl = loaded.settings.ssl
    named = [ssl.certificate, ssl.ca, *ssl.crl, *(each.certificate for each in ssl.sni)]
    names = {file.removeprefix(MARK) for file in named if file and file.startswith(MARK)}
    return {path for name, path in credentials.items() if name in names}


class Pair(NamedTuple):
    """A certificate and its key, as files; `password` is None where it is not known here."""

    certificate: str
    keyfile: str
    password: str | None


def pairs(loaded: Loaded, credentials: Mapping[str, str]) -> list[Pair]:
    """The certificates that a configuration names; those of credentials by their origin."""
    settings = loaded.settings.ssl
    if settings.certificate is None or settings.keyfile is None:
        return []
    tables: list[tuple[KeyPath, Any]] = [
        (("ssl",), settings),
        *((("ssl", "sni", at), entry) for at, entry in enumerate(settings.sni)),
    ]
    found = []
    for where, table in tables:
        known = not loaded.provenance.secret((*where, "keyfile_password"))
        files = [
            credentials.get(file.removeprefix(MARK), "")
            if file.startswith(MARK)
            else loaded.beside((*where, name), file)
            for name, file in (("certificate", table.certificate), ("keyfile", table.keyfile))
        ]
        password = (table.keyfile_password or "") if known else None
        found.append(Pair(files[0], files[1], password))
    return found


def show(pair: Pair) -> Shown | None:
    """What is known of a certificate; None where it may not be read."""
    if not pair.certificate:
        return None
    try:
        with open(pair.certificate, "rb") as file:
            certificate = read_certificate(file.read(_MOST_BYTES))
    except ValueError as error:
        return Shown(file=pair.certificate, not_after=None, fault=str(error))
    except OSError:
        return None
    return Shown(
        file=pair.certificate,
        not_after=certificate.not_after,
        fault=_mismatch(pair) if pair.keyfile and pair.password is not None else "",
    )


def _mismatch(pair: Pair) -> str:
    """Whether OpenSSL takes the key for the certificate's; "" also where it may not be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password, even an empty one: OpenSSL would ask the terminal for it.
        context.load_cert_chain(pair.certificate, pair.keyfile, lambda: pair.password or "")
    except ssl.SSLError as error:
        said = error.reason or ""
        if "MISMATCH" in said:
            return f"{pair.keyfile} is not its key"
        return f"OpenSSL does not take it with {pair.keyfile} ({said.lower().replace('_', ' ')})"
    except (OSError, ValueError):
        return ""
    return ""

"""What systemd is asked, within a limit of time: `systemctl show`, `systemctl cat`."""

from __future__ import annotations

import os
import re
from typing import Final

from granian_d.cli.doctor.facts import Manager, Unit
from granian_d.cli.unit_places import run

PATIENCE_S: Final = 10.0  # for one question; systemd answers in milliseconds, or is in trouble
JOURNAL: Final = "/var/log/journal"

_ARGV: Final = re.compile(r"path=(?P<path>[^ ;]*) ; argv\[\]=(?P<argv>.*?) ; ignore_errors=")


def manager() -> Manager | None:
    """systemd; None where it is not here or does not answer."""
    answer = ask("systemctl", "--version").split()
    if len(answer) < 2 or not answer[1].isdigit() or not os.path.isdir("/run/systemd/system"):
        return None
    return Manager(version=int(answer[1]), keeps_journal=os.path.isdir(JOURNAL))


def unit(name: str) -> Unit | None:
    """A unit, loaded or not; None when systemd does not answer."""
    shown = ask("systemctl", "show", "--no-pager", name)
    if not shown:
        return None
    properties: dict[str, str] = {}
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        properties[key] = f"{properties[key]}\n{value}" if key in properties else value
    return Unit(name=name, properties=properties, directives=directives(_files(name), name))


def _files(name: str) -> str:
    return ask("systemctl", "cat", "--no-pager", name)


def directives(text: str, name: str) -> dict[str, tuple[str, ...]]:
    """The lines of a unit's files that count: each value of a name, since the last empty one."""
    found: dict[str, tuple[str, ...]] = {}
    instance = name.partition("@")[2].rpartition(".")[0]
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in map(str.strip, joined.splitlines()):
        key, equals, value = line.partition("=")
        if not equals or key[:1] in {"#", ";", ""}:
            continue
        value = value.replace("%i", instance).strip()
        found[key] = (*found.get(key, ()), value) if value else ()
    return found


def command(unit: Unit, name: str) -> tuple[str, list[str]]:
    """Program and arguments of the last Exec line of that name; empty where there is none."""
    found = [*_ARGV.finditer(unit[name])]
    if not found:
        return "", []
    return found[-1]["path"], found[-1]["argv"].split()[1:]


def environment_files(unit: Unit) -> list[tuple[str, bool]]:
    """Each file that systemd reads variables from, and whether it must be there."""
    found = re.findall(r"^(.*) \(ignore_errors=(yes|no)\)$", unit["EnvironmentFiles"], re.MULTILINE)
    return [(path, ignored == "no") for path, ignored in found]


def credentials(unit: Unit) -> dict[str, str]:
    """The file behind each credential that LoadCredential= names."""
    pairs = (entry.partition(":") for entry in unit.directives.get("LoadCredential", ()))
    return {name: path for name, _, path in pairs if path.startswith("/")}


def ask(*words: str) -> str:
    """What a program prints; "" when it fails, is not here or takes too long."""
    done = run(*words, timeout_s=PATIENCE_S)
    return done.stdout if done is not None and done.returncode == 0 else ""

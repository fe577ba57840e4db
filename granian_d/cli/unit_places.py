"""Where systemd finds units and programs, and what of ours it does not find there yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import granian_d
from granian_d.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from subprocess import CompletedProcess

    Done = CompletedProcess[str]

LOCAL: Final = Path("/etc/systemd/system")
_PACKAGED: Final = (
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
TEMPLATES: Final = ("granian@.service", "granian@.socket", "system-granian.slice")
# In which systemd looks for programs that a unit names without a path (systemd-path(1)).
PROGRAMS: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
# What ProtectHome= and PrivateTmp= hide from a service.
HOMES: Final = ("/home", "/root", "/run/user")
TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - named, not used
_HIDDEN: Final = HOMES + TEMPORARY
_PATIENCE_S: Final = 30.0


def lacking(local: Path) -> dict[str, str]:
    """The text of those of our templates that systemd does not find, by name.

    Args:
        local: the administrator's directory of units.

    Raises:
        ConfigError: they are not part of this installation.
    """
    places = (local, *map(Path, _PACKAGED))
    names = [name for name in TEMPLATES if not any((place / name).exists() for place in places)]
    return {name: (_shipped() / name).read_text() for name in names}


def _shipped() -> Path:
    """Where this installation has the units: a wheel's data, or the source tree."""
    source = Path(granian_d.__file__).parents[1] / "systemd"
    for directory in (Path(sys.prefix, "share/granian-d/systemd"), source):
        if (directory / TEMPLATES[0]).is_file():
            return directory
    raise ConfigError("the units are not part of this installation of granian-d")


def own_program(name: str) -> str:
    """The path of one of our programs; "" where systemd finds that very one by its name."""
    own = os.path.join(os.path.dirname(sys.executable), name)
    if found := find(name):
        return "" if os.path.realpath(found) == os.path.realpath(own) else own
    return own if os.path.exists(own) else ""


def find(program: str) -> str:
    """The path of a program that a unit names; "" where it is not found."""
    if program.startswith("/") or not program:
        return program
    paths = (f"{directory}/{program}" for directory in PROGRAMS)
    return next((path for path in paths if os.path.exists(path)), "")


def hidden(paths: Iterable[str]) -> list[str]:
    """Those of the paths that the unit's sandbox hides, without those within others of them."""
    found = sorted({path for path in paths if _within_any(path, _HIDDEN)})
    return [path for path in found if not _within_any(path, found)]


def _within_any(path: str, directories: Iterable[str]) -> bool:
    return any(below(path, each) and path != each for each in directories)


def below(path: str, directory: str) -> bool:
    """It is the directory, or in it at any depth."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def write(files: Mapping[Path, str]) -> None:
    """Put units where systemd finds them, and have it read them if it runs.

    Raises:
        ConfigError: they cannot be written, or systemd does not read them.
    """
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
    if os.path.isdir("/run/systemd/system"):
        done = run("systemctl", "daemon-reload")
        if done is not None and done.returncode:
            raise ConfigError(f"systemctl daemon-reload: {done.stderr.strip()}")


def version_here() -> int:
    """Of the systemd that is here.

    Raises:
        ConfigError: there is none.
    """
    done = run("systemctl", "--version")
    words = done.stdout.split() if done is not None else []
    if len(words) < 2 or not words[1].isdigit():
        raise ConfigError("there is no systemctl here: say --systemd VERSION")
    return int(words[1])


def exposure(unit: str, files: Mapping[str, str]) -> str:
    """The last line that systemd-analyze says of a unit; "" where that is not here.

    Args:
        unit: its name.
        files: what is to be found beside that which is installed: text by name.
    """
    with TemporaryDirectory(prefix="granian-d-") as directory:
        for name, text in files.items():
            path = Path(directory, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        places = f"{directory}:"  # the colon: and the usual ones
        analysis = ("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
        done = run(*analysis, SYSTEMD_UNIT_PATH=places)
    lines = done.stdout.splitlines() if done is not None else []
    return lines[-1].lstrip("-> ").rpartition(" ")[0] if lines else ""  # and its opinion as a face


def run(*command: str, timeout_s: float = _PATIENCE_S, **environ: str) -> Done | None:
    """What a program of systemd's says, in plain English; None where it is not, or does not end.

    Args:
        command: its command line.
        timeout_s: how long it is waited for.
        environ: more variables.
    """
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", **environ},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None

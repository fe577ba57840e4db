"""The granian-d that a unit starts: asked by its own interpreter, with a limit of time."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from granian_d import __version__
from granian_d.cli.doctor.facts import Installed
from granian_d.cli.doctor.systemd_says import PATIENCE_S
from granian_d.engine.choose import is_compiled, speaks_quic

_PROBE: Final = """
import json, sys
from importlib.util import find_spec
from granian_d import __version__
from granian_d.engine.choose import is_compiled
found = [bool(find_spec(name)) for name in ("uvloop", "aioquic")]
print(json.dumps([__version__, sys.version_info[:2], is_compiled(), *found]))
"""
_NOBODY: Final = 65534  # of systemd and of every distribution: owns nothing, reads what all may
_FIRST_LINE: Final = re.compile(rb"#!\s*(/\S+)(?: -[EIPs]+)?\s*\n")
_FIRST_LINE_BYTES: Final = 256  # BINPRM_BUF_SIZE


def ours() -> Installed:
    """The one that this program is part of."""
    return Installed(
        program=sys.argv[0],
        version=__version__,
        python=sys.version_info[:2],
        compiled=is_compiled(),
        uvloop=find_spec("uvloop") is not None,
        quic=speaks_quic(),
    )


def interpreter(program: str) -> str:
    """The Python that a program's first line names; "" if it names none."""
    try:
        with open(program, "rb") as file:
            found = _FIRST_LINE.match(file.read(_FIRST_LINE_BYTES))
    except OSError:
        return ""
    return os.fsdecode(found[1]) if found and b"python" in found[1] else ""


def probe(program: str, user: str) -> Installed | None:
    """The installation of a program; None where it does not answer.

    Args:
        program: an absolute path.
        user: whom the service runs as; "" for one that is made for it. Root becomes him, or
            nobody, for this: code of others is not run with root's rights.
    """
    python = interpreter(program)
    if not python:
        return None
    who = _stand_in(user)
    try:
        done = subprocess.run(
            (python, "-I", "-c", _PROBE),
            capture_output=True,
            check=True,
            timeout=PATIENCE_S,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            user=who.uid,
            group=who.gid,
            extra_groups=who.groups,
        )
        version, python_version, compiled, uvloop, quic = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    major, minor = python_version
    return Installed(
        program=program,
        version=version,
        python=(major, minor),
        compiled=compiled,
        uvloop=uvloop,
        quic=quic,
    )


class _StandIn(NamedTuple):
    """Whom a child becomes; None for nobody else."""

    uid: int | None
    gid: int | None
    groups: list[int] | None


def _stand_in(user: str) -> _StandIn:
    if os.geteuid() != 0:
        return _StandIn(None, None, None)
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return _StandIn(_NOBODY, _NOBODY, [])
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return _StandIn(entry.pw_uid, entry.pw_gid, groups)


def venv_python(directory: str) -> tuple[int, int] | None:
    """Major and minor version of the Python that a virtual environment was made for (PEP 405)."""
    try:
        text = Path(directory, "pyvenv.cfg").read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None

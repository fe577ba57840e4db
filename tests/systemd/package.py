"""The Debian package of this tree, and of the same tree as another release."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from tests.systemd.machine import CACHE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What packaging/deb/build copies.
SOURCES = ("granian_d", "etc", "docs", "systemd", "packaging")
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
MADE = shutil.ignore_patterns("*.so", "__pycache__")

ENTRY = """\
granian-d ({version}-1) unstable; urgency=medium

  * As if there were one.

 -- granian-d authors <granian-d@example.org>  {date}

"""


def build(suite: str, target: Path, version: str = "") -> None:
    """The package, built by its one command; kept in the rig's cache until the sources change.

    Args:
        suite: of Debian.
        target: where it shall be.
        version: that it shall have; "": its own.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    name = f"deb-{suite}-{version or 'own'}"
    kept = CACHE / f"{name}-{_digest(version)}"
    with (CACHE / f"lock-deb-{suite}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for former in CACHE.glob(f"{name}-*"):
                former.unlink()
            _build(suite, version).rename(kept)
        shutil.copy(kept, target)


def _build(suite: str, version: str) -> Path:
    tree = CACHE / f"deb-{suite}"  # with build/, so that little is compiled again
    _copy(tree)
    if version:
        _rename(tree, version)
    environ = {**os.environ, "RIG_CACHE": str(CACHE), "SUITE": suite}
    subprocess.run([tree / "packaging/deb/build"], env=environ, check=True)
    (package,) = (tree / "dist").glob("*.deb")
    return package


def _sources() -> Iterator[Path]:
    for name in SOURCES:
        for path in sorted((ROOT / name).rglob("*")):
            if path.is_file() and path.suffix != ".so" and "__pycache__" not in path.parts:
                yield path
    yield from (ROOT / name for name in FILES)


def _digest(version: str) -> str:
    digest = hashlib.sha256(version.encode())
    for path in _sources():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _copy(tree: Path) -> None:
    tree.mkdir(exist_ok=True)
    for name in (*SOURCES, "dist"):
        shutil.rmtree(tree / name, ignore_errors=True)
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=MADE)
    for name in FILES:
        shutil.copy2(ROOT / name, tree / name)


def _rename(tree: Path, version: str) -> None:
    init = tree / "granian_d/__init__.py"
    text, found = re.subn(
        r'(?m)^__version__ = ".*"', f'__version__ = "{version}"', init.read_text()
    )
    assert found == 1
    init.write_text(text)
    changelog = tree / "packaging/deb/debian/changelog"
    date = formatdate(
        time.time() - 60
    )  # lintian wants each entry to be newer: that of the build is now
    changelog.write_text(ENTRY.format(version=version, date=date) + changelog.read_text())

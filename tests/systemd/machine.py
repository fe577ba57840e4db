"""A machine for tests: a real systemd of some Debian, with the project installed in a venv.

`rig` (beside this) boots it and throws it away; see its header for what that needs. Root file
systems and what pip fetched are kept in its cache, so only the first run is slow.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
RIG = Path(__file__).with_name("rig")
UNITS = ROOT / "systemd"
CACHE = Path(os.environ.get("RIG_CACHE") or Path.home() / ".cache" / "granian-d-rig")
VENV = "/opt/granian-d"  # where the machine has it
FRAMEWORKS = ("django>=5.2", "fastapi>=0.115")
EXTENSIONS = ("numpy>=2.2", "psycopg[binary]>=3.2")  # threads, vectors, libraries of their own in C
BOOT_S = 1200  # with the first one of a suite comes mmdebstrap
COMMAND_S = 120
# What tells pip where packages are, and how to get there.
REACH = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTPS_PROXY", "https_proxy", "no_proxy")


def obstacle(suite: str) -> str:
    """Why no machine of that suite can be had here; "" where it can."""
    if os.geteuid() != 0:
        return "a real systemd takes root"
    programs = {"systemd-nspawn": "systemd-container"}
    if suite != "host":
        programs["mmdebstrap"] = "mmdebstrap"
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    if missing:
        return f"a real systemd takes: apt install {' '.join(missing)}"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "a real systemd takes mounts, which are not allowed here"
    return ""


class Failed(AssertionError):
    """A command inside did not end well."""


class Bare:
    """One machine; a context manager. It has nothing of the project's.

    Args:
        suite: "bookworm", "trixie" or "host", as `rig` has it.
        directory: of this side, which it finds at /mnt.
        venv: where it has a virtual environment; kept from one machine to the next.
        needs: what is in that, as pip names it.
        name: what tells it from others of this process.
    """

    def __init__(
        self, suite: str, directory: Path, venv: str, needs: tuple[str, ...], name: str
    ) -> None:
        digest = hashlib.sha256(repr(needs).encode()).hexdigest()[:12]
        self._needs = needs
        self._venv = venv
        self._kept = CACHE / f"venv-{suite}-{digest}"
        self.environ = {
            **os.environ,
            "RIG_CACHE": str(CACHE),
            "RIG_SUITE": suite,
            "RIG_NAME": f"{name}{os.getpid()}",
            "RIG_BIND": f"{self._kept}:{venv} ro={directory}:/mnt",
        }
        self.pid = 0

    def __enter__(self) -> Self:
        self._kept.mkdir(parents=True, exist_ok=True)
        subprocess.run([RIG, "up"], env=self.environ, check=True, timeout=BOOT_S)
        try:
            self.pid = int(subprocess.check_output([RIG, "pid"], env=self.environ))
            with self._kept.with_suffix(".lock").open("w") as lock:  # other machines have it too
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._install()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Shut it down; nothing is left."""
        subprocess.run([RIG, "down"], env=self.environ, check=True, timeout=COMMAND_S)

    # --- using it -------------------------------------------------------------------------------

    def attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command inside, whatever comes of it."""
        return subprocess.run(
            [RIG, "exec", *command],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )

    def __call__(self, *command: str) -> str:
        """The standard output of a command inside.

        Raises:
            Failed: it ended with another status than 0.
        """
        done = self.attempt(*command)
        if done.returncode:
            raise Failed(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def path(self, inside: str) -> Path:
        """Where this side finds a file of the machine (no symbolic link may be on the way)."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def write(self, inside: str, text: str) -> None:
        """Make a file, with its directories."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def version(self) -> int:
        """Of its systemd."""
        return int(self("systemctl", "--version").split()[1])

    def _install(self) -> None:
        made = self._kept / ".made"
        if made.exists():
            return
        self("python3", "-m", "venv", "--clear", self._venv)
        reach = [f"{name}={os.environ[name]}" for name in REACH if name in os.environ]
        self("env", *reach, f"{self._venv}/bin/pip", "install", "--quiet", *self._needs)
        made.touch()


class Machine(Bare):
    """A machine with the project in its venv, its programs and its units in their places.

    Args:
        suite: as above.
        wheel: the project, to be installed.
    """

    def __init__(self, suite: str, wheel: Path) -> None:
        with (ROOT / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file)["project"]
        own = (*project["dependencies"], *project["optional-dependencies"]["http3"])
        needs = (*own, *FRAMEWORKS, *EXTENSIONS)
        super().__init__(suite, wheel.parent, VENV, needs, "granian")
        self._wheel = wheel

    def _install(self) -> None:
        super()._install()
        installed = self._kept / f".of-{_content(self._wheel)}"
        if not installed.exists():
            for other in self._kept.glob(".of-*"):
                other.unlink()
            pip = (f"{VENV}/bin/pip", "install", "--quiet", "--no-index", "--no-deps")
            self(*pip, "--force-reinstall", f"/mnt/{self._wheel.name}")
            installed.touch()
        for program in ("granian-d", "granianctl"):
            self("ln", "-sf", f"{VENV}/bin/{program}", "/usr/local/bin/")
        self("mkdir", "-p", "/etc/granian")
        for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.socket"), *UNITS.glob("*.slice")):
            self.write(f"/etc/systemd/system/{unit.name}", unit.read_text())


def _content(wheel: Path) -> str:
    """What is in it: the same for two that were made of the same files."""
    with zipfile.ZipFile(wheel) as archive:
        parts = sorted((part.filename, part.CRC) for part in archive.infolist())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def build_wheel(directory: Path) -> Path:
    """The project without compiled parts, which any CPython takes.

    Made from a copy: setuptools would leave things in the tree, and find what others left there.
    """
    source = directory / "source"
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("granian_d", "packaging", "systemd"):  # the last two: data of the wheel
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(directory), str(source)],
        env={**os.environ, "GRANIAN_D_BUILD": "none"},
        check=True,
        capture_output=True,
    )
    (wheel,) = directory.glob("*.whl")
    return wheel

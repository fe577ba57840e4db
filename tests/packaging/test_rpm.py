"""The RPM package on a machine: this one's root file system, with a systemd and changes of its own.

A slow proof: `make rpm-test` builds the package and runs this, as root. What file triggers of
Fedora's systemd do after a transaction, the test does.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.process.load import Load
from tests.systemd.machine import Bare, obstacle
from tests.systemd.service import Service

PACKAGE = os.environ.get("GRANIAN_D_RPM", "")
EXPECTED = (
    "/etc/granian",
    "/usr/bin/granian-d",
    "/usr/bin/granianctl",
    "/usr/lib/granian-d/bin/python3",
    "/usr/lib/systemd/catalog/granian-d.catalog",
    "/usr/lib/systemd/system/granian@.service",
    "/usr/lib/systemd/system/granian@.socket",
    "/usr/lib/systemd/system/system-granian.slice",
    "/usr/lib/sysusers.d/granian-d.conf",
    "/usr/lib/tmpfiles.d/granian-d.conf",
    "/usr/share/man/man5/granian.toml.5",
    "/usr/share/man/man8/granian-d.8",
    "/usr/share/man/man8/granianctl.8",
)


@pytest.fixture(scope="module")
def package() -> Path:
    if not PACKAGE:
        pytest.skip("make rpm-test builds the package and runs this")
    return Path(PACKAGE).absolute()


class Installed(Bare):
    """A machine that has the package, and nothing else of the project's."""

    def __init__(self, package: Path) -> None:
        super().__init__("host", package.parent, "/srv/venv", (), "rpm")
        self._package = package

    def _install(self) -> None:
        self.rpm("--install")
        self("systemd-sysusers")
        self("systemctl", "daemon-reload")

    def rpm(self, *what: str) -> str:
        """Have rpm do something with the package; of this machine's packages it knows none."""
        return self("rpm", *what, "--nodeps", f"/mnt/{self._package.name}")


@pytest.fixture(scope="module")
def machine(package):
    if reason := obstacle("host"):
        pytest.skip(reason)
    with Installed(package) as machine:
        yield machine


@pytest.fixture
def service(machine):
    one = Service(machine, "app")
    one.configure('engine = "native"')
    one.deploy()
    one.load()
    one.systemctl("start")
    yield one
    print(one.journal())  # pytest shows it where the test failed
    one.remove()


def test_it_holds_what_a_service_takes_and_nothing_of_others(package):
    done = subprocess.run(
        ["rpm", "--query", "--list", "--package", str(package)],
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [path.removesuffix(".gz") for path in done.stdout.splitlines()]

    assert set(EXPECTED) <= set(paths)
    assert [path for path in paths if not path.startswith(("/usr/", "/etc/granian"))] == []


def test_the_service_runs_on_it_with_the_native_engine(service):
    assert service.get().status == 200
    report = service.machine("granianctl", "status", "--instance", "app")
    assert "native engine" in report


def test_installed_over_itself_under_load_it_takes_over_in_place(service):
    master, worker = service.master, service.get().text.split()[1]

    with Load(("127.0.0.1", service.port), expected="one ", keep=4, new=2) as load:
        load.more()
        service.machine.rpm("--upgrade", "--replacepkgs")
        load.more()

    assert load.result["lost"] == []
    assert service.master == master
    assert service.show("NRestarts") == "0"
    assert "Upgraded in place" in service.journal()
    assert service.get().text.split()[1] != worker


def test_without_it_nothing_runs_and_nothing_is_left(service):
    machine = service.machine

    machine("rpm", "--erase", "granian-d")

    assert service.show("ActiveState") != "active"
    left = [path for path in EXPECTED if machine.path(path).exists()]
    assert left == ["/etc/granian"], "the administrator's file is in it"
    machine.rpm("--install")  # for who comes next
    service.load()

"""The Debian package on machines that have nothing else of the project: its whole life."""

from __future__ import annotations

import os
import signal

import pytest

from tests.process.daemon import wait_until
from tests.process.load import Load
from tests.systemd import package
from tests.systemd.machine import FRAMEWORKS, Bare
from tests.systemd.service import Service
from tests.systemd.test_service import DJANGO, FASTAPI

NEXT = "99.0"
VENV = "/srv/venv"  # the application's
OWN = "/usr/lib/granian-d"
MODE = 0o640
STATUS = ("granianctl", "status", "-i")
SHARED = tuple(
    f"/usr/share/{path}"
    for path in (
        *("man/man8/granian-d.8.gz", "man/man8/granianctl.8.gz", "man/man5/granian.toml.5.gz"),
        *("bash-completion/completions/granian-d.bash", "zsh/vendor-completions/_granian-d"),
        *("fish/vendor_completions.d/granian-d.fish", "doc/granian-d/examples/app.toml"),
    )
)
# What packages, units and the group may leave: lists, logs, caches of who manages them.
NOT_OURS = (
    *("/etc/.pwd.lock", "/etc/group-", "/etc/gshadow-", "/etc/ld.so.cache"),
    *("/root", "/srv", "/tmp", "/var/cache/apt", "/var/cache/debconf", "/var/cache/ldconfig"),
    *("/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd", "/var/log/apt", "/var/log/dpkg.log"),
    *("/var/log/journal", "/var/tmp"),
)


@pytest.fixture(scope="module")
def packages(suite, tmp_path_factory):
    """A directory with two releases: "this.deb" and "next.deb"."""
    if suite == "host":
        pytest.skip("packages are made for releases of Debian")
    directory = tmp_path_factory.mktemp("packages")
    package.build(suite, directory / "this.deb")
    package.build(suite, directory / "next.deb", NEXT)
    return directory


@pytest.fixture
def bare(suite, packages):
    """A machine without granian-d; the application's venv is there."""
    with Bare(suite, packages, VENV, FRAMEWORKS, "deb") as machine:
        yield machine


@pytest.fixture
def installed(bare):
    """A machine that has the package."""
    bare("apt-get", "install", "--yes", "--no-install-recommends", "/mnt/this.deb")
    return bare


def put(machine, **options) -> Service:
    """An instance with its settings and an application; not started."""
    service = Service(machine, "app")
    service.configure(f'venv = "{VENV}"', **options)
    service.deploy()
    return service


def files(machine) -> set[str]:
    """All files of its root file system, but for what is not ours; who is known to it."""
    found = machine("find", "/", "-xdev", "-not", "-name", "__pycache__", "-not", "-name", "*.pyc")
    names = {line for line in found.splitlines() if not line.startswith(NOT_OURS)}
    return names | set(machine("getent", "group").splitlines())


@pytest.mark.parametrize(("interface", "code"), [("asgi", FASTAPI), ("wsgi", DJANGO)])
def test_it_serves_an_application_of_a_venv_of_its_own(installed, interface, code):
    service = put(installed, interface=interface)
    service.deploy(code)
    installed("systemctl", "enable", "--now", service.unit)
    assert service.get("/items/7").json == {"number": 7}
    assert ", native engine," in installed(*STATUS, service.name)


def test_settings_may_be_readable_to_the_group_only(installed):
    service = put(installed)
    file = installed.path(f"/etc/granian/{service.name}.toml")
    file.chmod(MODE)
    assert service.attempt("start").returncode != 0
    assert "Permission denied" in service.journal()
    installed("chgrp", "granian", f"/etc/granian/{service.name}.toml")
    service.systemctl("start")
    assert service.get().text.startswith("one ")


def test_an_upgrade_under_load_loses_nothing(installed):
    service = put(installed)
    service.systemctl("start")
    master = service.master
    with Load(("127.0.0.1", service.port), expected="one ", keep=4, new=2) as load:
        load.more()
        done = installed.attempt("dpkg", "--install", "/mnt/next.deb")
        load.more()
    assert (done.returncode, load.result["lost"]) == (0, [])
    assert "granian-d: " not in done.stderr
    assert (service.master, service.show("NRestarts")) == (master, "0")
    assert f"granian-d {NEXT}," in installed(*STATUS, service.name)


def test_an_upgrade_that_cannot_be_is_told_and_the_release_before_serves(installed):
    service = put(installed)
    service.systemctl("start")
    service.configure("workerz = 3")  # what nobody can start with
    done = installed.attempt("dpkg", "--install", "/mnt/next.deb")
    assert done.returncode == 0
    assert f"granian@{service.name} is not upgraded" in done.stderr
    assert service.get().text.startswith("one ")
    assert f"granian-d {NEXT}," not in installed(*STATUS, service.name)
    assert installed("granianctl", "--version") == f"granianctl {NEXT}"


def test_between_unpacking_and_configuring_it_serves_and_replaces_who_dies(installed):
    service = put(installed)
    service.systemctl("start")
    installed("dpkg", "--unpack", "/mnt/next.deb")
    before = service.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    wait_until(
        lambda: installed.attempt(*STATUS, service.name).stdout.count("  ready  ") == len(before)
    )
    assert before[0] not in service.worker_pids()
    assert service.get().text.startswith("one ")
    installed("dpkg", "--configure", "granian-d")
    assert f"granian-d {NEXT}," in installed(*STATUS, service.name)


BROKEN = """
dpkg-deb --raw-extract /mnt/next.deb /tmp/broken
printf '#!/bin/sh\\nexit 1\\n' >/tmp/broken/DEBIAN/preinst
chmod 755 /tmp/broken/DEBIAN/preinst
dpkg-deb -Znone --build /tmp/broken /tmp/broken.deb
"""


def test_an_upgrade_that_dpkg_gives_up_leaves_all_as_it_was(installed):
    service = put(installed)
    service.systemctl("start")
    installed("sh", "-ec", BROKEN)
    assert installed.attempt("dpkg", "--install", "/tmp/broken.deb").returncode != 0
    is_whole(installed)
    service.systemctl("reload")
    assert service.get().text.startswith("one ")
    assert NEXT not in installed(*STATUS, service.name)


def is_whole(machine):
    """All files of the package are there, and compiled."""
    assert (
        machine("dpkg-query", "--show", "--showformat=${db:Status-Status}", "granian-d")
        == "installed"
    )
    assert machine("dpkg", "--verify", "granian-d") == ""
    modules = machine("find", f"{OWN}/lib", "-name", "*.py").splitlines()
    compiled = machine("find", f"{OWN}/lib", "-name", "*.pyc").splitlines()
    assert len(modules) == len(compiled) > 0


def test_its_files_are_whole_and_the_catalog_knows_it(installed):
    is_whole(installed)
    assert installed.attempt(f"{OWN}/bin/python3", "-c", "import pip").returncode == 1
    assert "granian-d: The service answers" in installed("journalctl", "--list-catalog")
    installed("stat", *SHARED)
    installed("dpkg", "--purge", "granian-d")  # without a single instance
    assert "granian-d: " not in installed("journalctl", "--list-catalog")


def test_it_can_be_installed_and_purged_where_systemd_does_not_run(bare):
    before = files(bare)
    hidden = "mount -t tmpfs none /run/systemd && "
    for command in ("--install /mnt/this.deb", "--install /mnt/next.deb", "--purge granian-d"):
        bare("unshare", "--mount", "sh", "-c", f"{hidden} dpkg {command}")
    assert files(bare) == before


OTHER = """
[Socket]
ListenStream=/run/other.sock
Service=granian@%i.service
"""


def test_removal_stops_all_and_purge_leaves_nothing(bare):
    before = files(bare)
    bare("apt-get", "install", "--yes", "--no-install-recommends", "/mnt/this.deb")
    service = put(bare, listen=("systemd:http",))
    bare("granianctl", "unit", service.name, "--install")
    bare("systemctl", "enable", service.unit)
    bare("systemctl", "enable", "--now", service.socket)
    bare.write("/etc/systemd/system/other@.socket", OTHER)
    bare("systemctl", "start", "other@idle.socket")
    address = f"/run/granian-{service.name}.sock"
    assert service.get(address=address).text.startswith("one ")

    bare("dpkg", "--remove", "granian-d")
    assert service.show("ActiveState") == "inactive"
    assert service.show("ActiveState", service.socket) == "inactive"
    assert bare.attempt("systemctl", "is-active", "other@idle.socket").stdout == "inactive\n"
    assert not bare.path(address).exists()
    assert bare.path(f"/etc/granian/{service.name}.toml").exists()

    bare("apt-get", "install", "--yes", "--no-install-recommends", "/mnt/this.deb")
    assert bare("systemctl", "is-enabled", service.unit) == "enabled"
    bare("systemctl", "start", service.socket)
    assert service.get(address=address).text.startswith("one ")

    bare("dpkg", "--purge", "granian-d")
    bare("rm", "/etc/systemd/system/other@.socket")
    assert files(bare) == before
    assert bare("find", "/run", "-xdev", "-path", "*granian*") == ""
    assert "granian" not in bare("systemctl", "list-units", "--all", "--plain", "granian*")

"""A machine for each release of Debian, booted once for all tests; services on it."""

from __future__ import annotations

import os

import pytest

from tests.systemd.machine import Machine, build_wheel, obstacle
from tests.systemd.service import Service

# `make systemd` names the releases of Debian; "host" is this machine's own systemd.
SUITES = os.environ.get("GRANIAN_D_SUITES", "").split()


def pytest_collection_modifyitems(items):
    """Whoever comes first waits for a root file system and a venv; a package is compiled, too."""
    for item in items:
        if "tests/systemd/" in item.nodeid:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session", params=SUITES or ["none"])
def suite(request):
    """A release of Debian that can be had here."""
    if not SUITES:
        pytest.skip("make systemd runs this under a real systemd")
    if reason := obstacle(request.param):
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="session")
def machine(suite, request):
    with Machine(suite, request.getfixturevalue("wheel")) as machine:
        yield machine


@pytest.fixture
def make(machine):
    """Make an instance with an application and a configuration; removed with the test."""
    made = []

    def make(more: str = "", **options) -> Service:
        service = Service(machine, "app")
        made.append(service)
        service.configure(more, **options)
        service.deploy()
        return service

    yield make
    for service in made:
        print(service.journal())  # pytest shows it where the test failed
        service.remove()


@pytest.fixture
def serve(make):
    """The same, started; `drop_in` is one of this instance."""

    def start(more: str = "", drop_in: str = "", **options) -> Service:
        service = make(more, **options)
        if drop_in:
            service.drop_in(drop_in)
            service.load()
        service.systemctl("start")
        return service

    return start

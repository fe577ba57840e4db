"""The five commands of docs/operating.md, typed as they stand there."""

from __future__ import annotations

import os

import pytest

from tests.systemd.machine import REACH, ROOT
from tests.systemd.service import Service


@pytest.fixture
def shop(machine):
    service = Service(machine, "shop")
    service.deploy()
    machine.write("/srv/shop/requirements.txt", "")
    service.made("/etc/systemd/system/granian@shop.service.d")
    yield service
    service.attempt("disable")
    service.remove()


def test_from_an_application_on_disk_to_a_service(shop):
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    section = page.partition("## Five commands")[2].partition("\n## ")[0]
    commands = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    assert len(commands) == 5
    reach = [f"{name}={os.environ[name]}" for name in REACH if name in os.environ]
    for command in commands:
        # Not from an index: the wheel of this tree.
        shop.machine("env", *reach, "PIP_FIND_LINKS=/mnt", "sh", "-ec", command)
    assert shop.show("ActiveState") == "active"
    assert shop.show("UnitFileState") == "enabled"
    assert shop.get(address=("127.0.0.1", 8000)).text.startswith("one ")
    start = shop.show("ExecStart")
    assert "/srv/shop/.venv/bin/granian-d" in start
    shop.deploy(version="two")
    shop.systemctl("reload")
    assert shop.get(address=("127.0.0.1", 8000)).text.startswith("two ")

"""granian@.service under a real systemd: it starts, reloads, fails and stops as units should."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from tests.process.daemon import wait_until
from tests.systemd.service import APPLICATION
from tests.systemd.test_units import DROP_INS, NEEDS

FASTAPI = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{number}")
def item(number: int):
    return {"number": number}
"""

DJANGO = """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for a test")
urlpatterns = [path("items/<int:number>", lambda request, number: JsonResponse({"number": number}))]
app = get_wsgi_application()
"""


def test_a_fastapi_application_is_served(make):
    service = make()
    service.deploy(FASTAPI)
    service.systemctl("start")
    assert service.get("/items/7").json == {"number": 7}


def test_a_django_application_is_served(make):
    service = make(interface="wsgi")
    service.deploy(DJANGO)
    service.systemctl("start")
    assert service.get("/items/7").json == {"number": 7}


def test_status_says_how_it_is(serve):
    service = serve()
    assert service.show("StatusText").startswith("gen 1, ")
    assert f"granian-d: master [{service.name}]" in service.attempt("status").stdout


MISTAKES = {
    "NameError: name 'nothing' is not defined": "def configure():\n    nothing()\n\n\nconfigure()\n",
    "ModuleNotFoundError: No module named 'missing'": "import os\nimport missing\n",
    "SyntaxError: ": "def configure(\n",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_start_with_code_that_cannot_be_imported_fails_at_once(make, mistake):
    service = make()
    service.deploy(MISTAKES[mistake])
    assert service.attempt("start").returncode != 0
    status = service.attempt("status").stdout
    assert "Traceback (most recent call last)" in status or mistake.startswith("SyntaxError")
    assert f'File "/srv/{service.name}/main.py", line ' in status
    assert mistake in status
    assert service.show("ActiveState") == "failed"
    assert service.show("ExecMainStatus") == "65"
    # docs/results/systemd.md has how long that took
    print(f"{mistake} was found in {service.lasted_s():.2f} s")


def test_a_start_that_may_go_well_another_time_is_tried_again(make):
    service = make()
    broken = "def connect():\n    raise OSError('no database')\n\n\nconnect()\n"
    service.deploy(broken)
    assert service.attempt("start").returncode != 0
    # Between two tries the status leaves out what was logged before; the journal does not.
    status = service.attempt("status").stdout
    assert "importing main failed: OSError: no database; Traceback" in status
    assert f'"/srv/{service.name}/main.py", line 2, in connect' in status
    assert f'File "/srv/{service.name}/main.py", line 2, in connect' in service.journal()
    service.deploy()
    wait_until(lambda: service.show("ActiveState") == "active", service.journal)
    assert service.get().text.startswith("one ")


def test_settings_that_cannot_be_used_are_not_tried_again(make):
    service = make("workerz = 3")
    assert service.attempt("start").returncode != 0
    assert "workerz" in service.attempt("status").stdout
    assert service.show("ActiveState") == "failed"
    assert service.show("ExecMainStatus") == "78"


def test_an_instance_without_a_configuration_does_not_start(machine):
    assert machine.attempt("systemctl", "start", "granian@misspelt").returncode != 0


def test_a_reload_takes_effect_before_it_returns(serve):
    service = serve()
    master = service.master
    service.deploy(version="two")
    service.systemctl("reload")
    assert service.get().text.startswith("two ")
    assert service.master == master


def test_a_reload_that_fails_says_so_and_the_old_code_serves(serve):
    service = serve()
    service.deploy(APPLICATION + "\nraise RuntimeError('broken deploy')\n")
    assert service.attempt("reload").returncode != 0
    assert "broken deploy" in service.journal()
    assert service.get().text.startswith("one ")
    assert service.show("ActiveState") == "active"
    assert "broken deploy" in service.show("StatusText")


def test_an_upgrade_in_place_is_nothing_to_systemd(serve):
    service = serve()
    master, workers = service.master, service.worker_pids()
    service.machine("granianctl", "upgrade", "--wait", "-i", service.name)
    assert service.get().text.startswith("one ")
    assert not set(service.worker_pids()) & set(workers)
    assert (service.master, service.show("NRestarts")) == (master, "0")
    service.deploy(version="two")
    service.systemctl("reload")
    assert service.get().text.startswith("two ")
    service.systemctl("stop")
    assert service.show("Result") == "success"


def test_what_granianctl_computes_lets_it_have_a_low_port(make):
    service = make()
    service.port = low_port()
    service.configure("drain_delay = 20")
    service.drop_in("[Service]\n")  # and the directory, to be removed
    said = service.machine("granianctl", "unit", service.name, "--install")
    assert "Overall exposure level" in said
    service.load()
    assert service.show("NeedDaemonReload") == "no"
    assert service.show("TimeoutStopUSec") == "1min 5s"
    service.systemctl("start")
    assert service.get().text.startswith("one ")
    service.systemctl("kill")  # TERM, without the wait for drain_delay in the end
    service.systemctl("kill")


def low_port() -> int:
    """A port below 1024 that nobody has."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("all ports are taken")


def test_this_systemd_understands_the_units_and_their_drop_ins(make, machine):
    service = make()
    for path in DROP_INS.iterdir():
        if machine.version >= NEEDS.get(path.stem, 0):
            service.shipped_drop_in(path.stem)
    service.load()
    verify = ("systemd-analyze", "verify", "--man=no", "--recursive-errors=no")
    done = machine.attempt(*verify, service.unit, service.socket)
    assert (done.returncode, done.stderr) == (0, "")


def test_notify_reload_where_systemd_has_it(make, machine):
    if machine.version < NEEDS["notify-reload"]:
        pytest.skip("this systemd has no notify-reload")
    service = make()
    service.shipped_drop_in("notify-reload")
    service.load()
    service.systemctl("start")
    service.deploy(version="two")
    service.systemctl("reload")
    assert service.get().text.startswith("two ")

"""What a service is given and nobody else sees: keys, secrets, an identity; and what it watches."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from granian_d.observe.events import MESSAGE_IDS
from tests.certificates import Authority
from tests.process.daemon import wait_until
from tests.process.tls_client import context_for
from tests.process.tls_client import fetch as fetch_secured
from tests.systemd.service import APPLICATION
from tests.systemd.test_activation import PLAIN

TLS = """
[ssl]
certificate = "credential:tls.crt"
keyfile = "credential:tls.key"
"""

CREDENTIALS = """
[Service]
LoadCredential=tls.crt:/etc/ssl/granian/{name}.crt
LoadCredential=tls.key:/etc/ssl/granian/{name}.key
"""

SECRETS = """
[Service]
LoadCredential=database.url:/etc/granian/{name}.database
"""

READS = """
with open(os.environ["CREDENTIALS_DIRECTORY"] + "/database.url") as file:
    os.environ["READ"] = file.read()
"""


@pytest.fixture
def authority():
    return Authority()


def install_key(service, authority):
    """A certificate and a key that only root can read."""
    directory = service.machine.path("/etc/ssl/granian")
    directory.mkdir(parents=True, exist_ok=True)
    issued = authority.issue("localhost")
    for path in issued.write(directory, service.name):
        os.chmod(path, 0o600)
    return issued


def test_tls_on_one_of_two_sockets_with_a_key_that_root_alone_can_read(make, authority):
    """The first request starts the service, on whichever socket it comes."""
    service = make(TLS, listen=("systemd:http,tls=false", "systemd:plain,tls=true"))
    install_key(service, authority)
    unix, secured = service.socket, f"plain-{service.name}.socket"
    service.socket_unit(unix)
    service.socket_unit(secured, PLAIN.format(port=service.port, service=service.unit))
    service.drop_in(CREDENTIALS.format(name=service.name) + f"Sockets={unix} {secured}\n")
    service.load()
    service.systemctl("start", unix)
    service.systemctl("start", secured)
    address, context = ("127.0.0.1", service.port), context_for(authority)
    assert fetch_secured(address, context).text.endswith(" https")
    assert service.get(address=f"/run/granian-{service.name}.sock").text.endswith(" http")
    service.systemctl("restart")
    assert fetch_secured(address, context).text.endswith(" https")
    assert service.show("ActiveState", secured) == "active"


def test_secrets_of_the_application(make):
    service = make()
    service.deploy(APPLICATION + READS)
    for suffix, text in (("env", "FROM_FILE=told"), ("database", "postgres://secret")):
        path = f"/etc/granian/{service.name}.{suffix}"
        service.machine.write(path, text)
        service.machine("chmod", "0600", path)
    service.drop_in(SECRETS.format(name=service.name))
    service.load()
    service.systemctl("start")
    seen = json.loads(service.get("/environ").text.removesuffix("http"))
    assert (seen["FROM_FILE"], seen["READ"]) == ("told", "postgres://secret")
    assert "secret" not in service.journal()


def test_the_user_is_the_service_and_ends_with_it(serve):
    service = serve()
    (status,) = {
        Path(f"/proc/{pid}/status").read_text().partition("Uid:")[2].split()[0]
        for pid in service.worker_pids()
    }
    assert 61184 <= int(status) <= 65519, "DynamicUser= of systemd.exec(5)"
    assert user_of(service, status).stdout == f's "granian-{service.name}"\n'
    state = f"/var/lib/private/granian/{service.name}"
    assert service.machine("stat", "-c", "%u", state) == status
    service.systemctl("stop")
    assert user_of(service, status).returncode != 0


def user_of(service, uid):
    """The name that systemd has given to a dynamic user."""
    manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
    call = ("org.freedesktop.systemd1.Manager", "LookupDynamicUserByUID", "u", uid)
    return service.machine.attempt("busctl", "call", *manager, *call)


def test_entries_of_the_journal_are_found_by_worker_and_by_event(serve):
    service = serve()
    wait_until(lambda: "Started worker-2" in service.journal())
    entries = service.journal_of("WORKER=2")
    assert {entry["WORKER"] for entry in entries} == {"2"}
    assert any("Started worker-2" in entry["MESSAGE"] for entry in entries)
    name = MESSAGE_IDS["reload_failed"]
    assert service.journal_of(f"MESSAGE_ID={name}") == []
    service.deploy("import missing")
    assert service.attempt("reload").returncode != 0
    (failure,) = service.journal_of(f"MESSAGE_ID={name}")
    assert "No module named 'missing'" in failure["MESSAGE"]


def test_pressure_is_watched_where_systemd_has_it(serve, machine):
    if machine.version < 254:
        pytest.skip("systemd 254 is the first that has MEMORY_PRESSURE_WATCH")
    service = serve(drop_in="[Service]\nMemoryPressureWatch=on\n", workers=1)
    environ = machine.path(f"/proc/{service.master}/environ").read_bytes().split(b"\0")
    watched = dict(line.split(b"=", 1) for line in environ if line)[b"MEMORY_PRESSURE_WATCH"]
    links = machine("ls", "-l", f"/proc/{service.master}/fd")
    assert watched.decode() in links
    assert "cannot watch" not in service.journal()

"""`granianctl doctor` on machines with a real systemd: what is well, and what is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.systemd.service import APPLICATION, Service
from tests.systemd.test_service import FASTAPI

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def debian(suite):
    """For what does not depend on the machine: `make systemd` shows it on two of them."""
    if suite == "host":
        pytest.skip("make systemd runs this")


def doctor(service: Service, *more: str) -> tuple[int, list[dict], str]:
    """Exit status, findings and what stood on standard error."""
    done = service.machine.attempt(*more, "granianctl", "doctor", service.name, "--json")
    assert done.stdout, done.stderr
    (instance,) = json.loads(done.stdout)["instances"]
    return done.returncode, instance["findings"], done.stderr


def grave(findings: list[dict]) -> list[dict]:
    return [each for each in findings if each["level"] != "note"]


def found(findings: list[dict], check: str) -> dict:
    (one,) = [each for each in findings if each["check"] == check]
    return one


def test_nothing_is_wrong_with_a_healthy_instance(make):
    service = make()
    service.deploy(FASTAPI)
    before = doctor(service)
    assert (before[0], grave(before[1])) == (0, [])
    service.systemctl("start")
    code, findings, errors = doctor(service)
    assert (code, grave(findings), errors) == (0, [], "")
    service.systemctl("reload")
    done = service.machine.attempt("granianctl", "doctor", service.name)
    assert done.returncode == 0
    assert "nothing is wrong" in done.stdout.splitlines()[-1]


def test_what_takes_root_is_a_note_to_others(serve):
    service = serve()
    code, findings, errors = doctor(service, *AS_NOBODY)
    assert (code, grave(findings), errors) == (0, [], "")
    assert found(findings, "unknown")["level"] == "note"


def test_lines_of_the_unit_that_lose_something(serve):
    lines = "KillMode=control-group\nOOMPolicy=stop\nTimeoutStopSec=5\nLimitNOFILE=300\n"
    more = "FileDescriptorStoreMax=0\nExecReload=\nExecReload=kill -HUP $MAINPID\nWatchdogSec=10\n"
    service = serve(drop_in=f"[Service]\n{lines}{more}")
    code, findings, _ = doctor(service)
    assert code == 78
    assert found(findings, "files")["level"] == "fault"  # backpressure is 512
    whats = " ".join(each["what"] for each in grave(findings))
    for line in ("KillMode=control-group", "OOMPolicy=stop", "TimeoutStopSec=5", "WatchdogSec=10"):
        assert line in whats
    assert {"store", "reload"} <= {each["check"] for each in grave(findings)}
    # The command that mends one of them does.
    assert found(findings, "stop")["mend"].startswith(f"granianctl unit {service.name} --install")
    service.drop_in("")
    service.load()


@pytest.mark.parametrize("running", [False, True])
def test_the_directory_that_denies_the_application(make, running):
    service = make()
    if running:
        service.systemctl("start")
    service.machine("chmod", "o-rx", f"/srv/{service.name}")
    code, findings, _ = doctor(service)
    one = found(findings, "permissions")
    assert (code, one["level"]) == (78, "fault")
    assert (
        one["what"]
        == f"working_dir: granian-{service.name} may not read and enter /srv/{service.name}"
    )
    service.machine(*one["mend"].partition(",")[0].split())
    assert grave(doctor(service)[1]) == []


@pytest.mark.usefixtures("debian")
def test_an_application_that_is_hidden(make, machine):
    service = make()
    machine("mkdir", "-p", "/home/somebody")
    machine("cp", "-r", f"/srv/{service.name}", "/home/somebody/shop")
    path = f"/etc/granian/{service.name}.toml"
    text = machine.path(path).read_text()
    machine.write(path, text.replace(f"/srv/{service.name}", "/home/somebody/shop"))
    code, findings, _ = doctor(service)
    one = next(each for each in findings if each["check"] == "hidden")
    assert (code, one["level"]) == (78, "fault")
    assert service.attempt("start").returncode != 0
    unit, _, line = one["mend"].partition(": ")
    assert unit == f"systemctl edit granian@{service.name}"
    service.systemctl("stop")
    service.drop_in(f"[Service]\n{line}\n")
    service.load()
    service.systemctl("start")
    assert grave(doctor(service)[1]) == []


def test_settings_that_cannot_be_used(make):
    service = make("workerz = 3")
    assert service.attempt("start").returncode != 0
    code, findings, _ = doctor(service)
    assert code == 78
    assert "workerz" in found(findings, "settings")["what"]
    state = found(findings, "state")
    assert state["what"] == "it failed"
    assert "settings cannot be used" in state["why"]


@pytest.mark.usefixtures("debian")
def test_a_reload_that_failed_and_a_file_that_was_edited(serve):
    service = serve()
    service.configure("workers_max_requests = 1000")
    one = found(doctor(service)[1], "edited")
    assert one["mend"] == f"systemctl reload granian@{service.name}"
    service.deploy(APPLICATION + "\nraise RuntimeError('broken deploy')\n")
    assert service.attempt("reload").returncode != 0
    code, findings, _ = doctor(service)
    assert code == 78
    assert "broken deploy" in found(findings, "health")["why"]
    service.deploy()
    service.systemctl("reload")
    assert doctor(service)[0] == 0


@pytest.mark.usefixtures("debian")
def test_a_master_that_hangs(serve):
    service = serve()
    service.machine("kill", "-STOP", service.master)
    code, findings, _ = doctor(service)
    service.machine("kill", "-CONT", service.master)
    assert (code, found(findings, "answers")["level"]) == (0, "warning")
    assert "no answer within" in found(findings, "answers")["what"]


def test_a_socket_unit_that_is_wanted(make):
    service = make(listen=("systemd:http",))
    code, findings, _ = doctor(service)
    one = found(findings, "sockets")
    assert (code, one["mend"]) == (78, f"systemctl enable --now granian@{service.name}.socket")
    service.socket_unit(service.socket)
    service.machine(*one["mend"].split())
    assert grave(doctor(service)[1]) == []
    service.machine("systemctl", "disable", service.socket)
    assert found(doctor(service)[1], "sockets")["level"] == "warning"


@pytest.mark.usefixtures("debian")
def test_a_unit_that_was_edited_and_one_that_is_masked(make):
    service = make()
    service.drop_in("[Service]\nNice=2\n")
    service.load()
    service.systemctl("start")
    service.drop_in("[Service]\nNice=1\n")
    assert found(doctor(service)[1], "daemon-reload")["mend"] == "systemctl daemon-reload"
    service.load()
    assert grave(doctor(service)[1]) == []
    service.systemctl("stop")
    service.systemctl("mask")
    assert "is masked" in found(doctor(service)[1], "state")["what"]
    service.systemctl("unmask")


@pytest.mark.usefixtures("debian")
def test_all_instances_are_looked_at(make, machine):
    service = make()
    text = machine.path(f"/etc/granian/{service.name}.toml").read_text()
    machine.write("/etc/granian/other.toml", text)
    done = machine.attempt("granianctl", "doctor")
    machine("rm", "/etc/granian/other.toml")
    assert done.returncode == 0
    address = f"127.0.0.1:{service.port}"
    assert f"{address} is listened on by granian@other too" in done.stdout
    assert f"{address} is listened on by granian@{service.name} too" in done.stdout


@pytest.mark.usefixtures("debian")
def test_a_user_that_is_there_always(make, machine):
    service = make()
    service.systemctl("start")
    service.systemctl("stop")
    machine("useradd", "--system", "shop")
    service.drop_in("[Service]\nDynamicUser=no\nUser=shop\n")
    service.load()
    left = [each for each in doctor(service)[1] if each["check"] == "leftovers"]
    for each in left:  # some releases of systemd clear them away
        machine(*each["mend"].split())
    service.systemctl("start")
    assert grave(doctor(service)[1]) == []
    directory = f"/srv/{service.name}"
    machine("chmod", "0750", directory)
    assert "shop may not read and enter" in found(doctor(service)[1], "permissions")["what"]
    machine("chgrp", "shop", directory)
    for verb in ("reload", "stop"):
        service.systemctl(verb)
        assert grave(doctor(service)[1]) == []
    machine("userdel", "shop")


@pytest.mark.usefixtures("debian")
def test_certificates_that_come_as_credentials(make, machine, tmp_path):
    service = make('[ssl]\ncertificate = "credential:tls.crt"\nkeyfile = "credential:tls.key"\n')
    lines = "".join(f"LoadCredential=tls.{end}:/etc/tls/%i.{end}\n" for end in ("crt", "key"))
    service.drop_in(f"[Service]\n{lines}")
    service.load()
    assert [each["level"] for each in doctor(service)[1] if each["check"] == "secrets"] == [
        "fault",
        "fault",
    ]

    def install(days: int) -> None:
        files = Authority().issue("localhost", days=days).write(tmp_path, service.name)
        for file in map(Path, files):
            machine.write(f"/etc/tls/{file.name}", file.read_text())
            machine("chmod", "600" if file.suffix == ".key" else "644", f"/etc/tls/{file.name}")

    install(days=30)
    service.systemctl("start")
    assert grave(doctor(service)[1]) == []
    assert grave(doctor(service, *AS_NOBODY)[1]) == []
    machine("chmod", "644", f"/etc/tls/{service.name}.key")
    assert found(doctor(service)[1], "secrets")["mend"] == f"chmod o-r /etc/tls/{service.name}.key"
    install(days=-1)
    assert "has expired" in found(doctor(service)[1], "certificates")["what"]


@pytest.mark.usefixtures("debian")
def test_code_that_cannot_be_imported(make):
    service = make()
    service.deploy("import nothing_of_the_kind\n")
    assert service.attempt("start").returncode != 0
    state = found(doctor(service)[1], "state")
    assert "No module named 'nothing_of_the_kind'" in state["why"]
    assert state["mend"] == f"granianctl check /etc/granian/{service.name}.toml --app"


@pytest.mark.usefixtures("debian")
def test_programs_that_systemd_does_not_find(make, machine):
    service = make()
    machine("mv", "/usr/local/bin/granianctl", "/usr/local/bin/moved")
    done = machine.attempt("moved", "doctor", service.name)
    machine("mv", "/usr/local/bin/moved", "/usr/local/bin/granianctl")
    assert done.returncode == 78
    assert "fault: granianctl: in none of the directories in which systemd looks" in done.stdout


def test_what_another_shell_has_is_not_the_service_s(serve):
    """Variables of who examines, and of the unit: the second count."""
    service = serve(drop_in="[Service]\nEnvironment=GRANIAN_BACKLOG=8192\n")
    code, findings, _ = doctor(service, "env", "GRANIAN_WORKERZ=3", "GRANIAN_BACKLOG=128")
    assert code == 0
    assert "backlog 8192" in found(findings, "backlog")["what"]

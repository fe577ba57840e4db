"""`granianctl doctor -c FILE` beside a real daemon, without a service manager."""

from __future__ import annotations

import json
import os
import resource
import shutil
from contextlib import suppress

import pytest

from tests.certificates import Authority
from tests.process.ctl import Ctl
from tests.process.daemon import wait_until


@pytest.fixture
def doctor(runtime, tmp_path):
    """Exit status, and the findings that are more than notes, by check."""

    def doctor() -> tuple[int, dict[str, dict]]:
        code, out, err = Ctl(runtime)("doctor", "-c", str(tmp_path / "app.toml"), "--json")
        assert err == ""
        (instance,) = json.loads(out)["instances"]
        grave = [each for each in instance["findings"] if each["level"] != "note"]
        return code, {each["check"]: each for each in grave}

    return doctor


@pytest.fixture
def controlled(serve, runtime):
    """Start a daemon that has a control socket."""

    def start(workers: int = 2, more: str = "", **options):
        # As many files as a worker may need, whatever this shell grants.
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, limits[1]), limits[1]))
        return serve(workers, more, environ={"RUNTIME_DIRECTORY": runtime}, **options)

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield start
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_nothing_is_wrong(controlled, doctor, tmp_path, runtime):
    controlled()
    assert doctor() == (0, {})
    code, out, err = Ctl(runtime)("doctor", "-c", str(tmp_path / "app.toml"))
    assert (code, err) == (0, "")
    assert f"{tmp_path}/app.toml: nothing is wrong" in out


def test_a_file_that_was_edited_and_a_reload_that_failed(controlled, doctor, deploy, tmp_path):
    daemon = controlled()
    config = tmp_path / "app.toml"
    config.write_text(config.read_text() + "\nworkers_max_requests = 1000\n")
    code, found = doctor()
    assert (code, set(found)) == (0, {"edited"})
    assert "granianctl reload --wait --socket" in found["edited"]["mend"]
    deploy("two", "\nraise RuntimeError('not today')\n")
    assert "not today" in daemon.reload()
    code, found = doctor()
    assert (code, set(found)) == (78, {"health"})
    assert "not today" in found["health"]["why"]
    deploy("three")
    daemon.reload()
    assert doctor() == (0, {})


def test_limits_of_the_daemon_that_runs(controlled, doctor):
    daemon = controlled(1, "backpressure = 500")
    assert doctor() == (0, {})
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (512, 512))
    code, found = doctor()
    assert (code, found["files"]["level"]) == (0, "warning")
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (400, 400))
    code, found = doctor()
    assert (code, found["files"]["level"]) == (78, "fault")


def test_a_worker_that_keeps_dying(controlled, doctor, deploy):
    daemon = controlled(2)
    deploy("two", "\nraise SystemExit('gone')\n")
    with suppress(ConnectionError):
        daemon.get("/die")
    wait_until(lambda: "health" in doctor()[1])
    code, found = doctor()
    assert code == 78
    assert "degraded" in found["health"]["what"]


def test_certificates(doctor, tmp_path, deploy):
    authority = Authority()
    config = tmp_path / "app.toml"

    def configure(days: int) -> dict[str, dict]:
        certificate, key = authority.issue("localhost", days=days).write(tmp_path, "a")
        os.chmod(key, 0o600)
        tls = f'[ssl]\ncertificate = "{certificate}"\nkeyfile = "{key}"\n'
        config.write_text(f'app = "served:app"\nport = 0\n{tls}')
        return doctor()[1]

    assert configure(30) == {}
    assert configure(3)["certificates"]["level"] == "warning"
    assert configure(-1)["certificates"]["level"] == "fault"
    configure(30)
    _, other = authority.issue("localhost").write(tmp_path, "b")
    os.chmod(other, 0o644)
    shutil.copy(other, tmp_path / "a.key")
    os.chmod(tmp_path / "a.key", 0o644)
    code, found = doctor()
    assert code == 78
    assert "is not the key of" in found["settings"]["what"]
    assert found["secrets"]["mend"] == f"chmod o-r {tmp_path}/a.key"


def test_settings_that_cannot_be_used(doctor, tmp_path):
    (tmp_path / "app.toml").write_text('app = "served:app"\nworkerz = 3\n')
    code, found = doctor()
    assert (code, set(found)) == (78, {"settings"})
    assert "app.toml:2" in found["settings"]["what"]
    (tmp_path / "app.toml").unlink()
    code, found = doctor()
    assert (code, set(found)) == (78, {"settings"})


def test_what_is_no_instance(runtime):
    code, out, err = Ctl(runtime)("doctor", "../etc")
    assert (code, out) == (78, "")
    assert "is no name of an instance" in err

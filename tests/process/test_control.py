"""granianctl and a real daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from granian_d.engine.choose import resolve
from tests.process.ctl import ended
from tests.process.daemon import alive, wait_until
from tests.process.load import Load


@pytest.fixture
def controlled(serve, runtime):
    """Start a daemon that has a control socket."""

    def start(workers: int = 2, more: str = "", **options):
        return serve(workers, more, environ={"RUNTIME_DIRECTORY": runtime}, **options)

    return start


# --- status ---------------------------------------------------------------------------------------


def test_status_under_load(controlled, ctl):
    daemon = controlled(2)
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        first = ctl.status()
        load.more()
        second = ctl.status()
    assert load.result["lost"] == []
    assert (first["format"], first["phase"], first["health"]) == (1, "serving", "well")
    assert first["master"]["pid"] == daemon.pid
    assert first["listeners"] == daemon.addresses
    assert first["engine"] == resolve("auto")
    assert {worker["pid"] for worker in first["workers"]} == set(daemon.workers())
    assert [worker["slot"] for worker in first["workers"]] == [1, 2]
    for worker in first["workers"]:
        assert worker["state"] == "ready"
        assert 0 < worker["pss_bytes"] <= worker["rss_bytes"]
        assert 0 <= worker["uptime_s"] <= first["master"]["uptime_s"]
    requests = [sum(w["requests"] for w in status["workers"]) for status in (first, second)]
    assert 200 <= requests[0] <= first["totals"]["requests"] <= requests[1]
    assert requests[1] >= requests[0] + 200
    assert first["generations"] == [
        {"number": 1, "state": "committed", "wanted": 2, "ready": 2, "alive": 2}
    ]


def test_status_for_people(controlled, ctl):
    daemon = controlled(1)
    daemon.get()
    code, out, err = ctl("status")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "app: serving, health: well"
    assert f"PID {daemon.pid}" in lines[1]
    assert f"listening at {daemon.addresses[0]}" in lines
    assert lines[-1].split()[:4] == ["1", "1", str(daemon.workers()[0]), "ready"]


def test_status_tells_of_deaths_and_of_the_last_change(controlled, ctl, deploy):
    daemon = controlled(1)
    victim = daemon.workers()[0]
    os.kill(victim, signal.SIGKILL)
    daemon.wait_for_log("Started worker-1", 2)
    deploy("two", "raise RuntimeError('no database')")
    assert ctl("reload", "--wait")[0] == 70
    status = ctl.status()
    death = next(death for death in status["deaths"] if death["pid"] == victim)
    assert (death["slot"], death["generation"], death["how"]) == (1, 1, "SIGKILL")
    change = status["last_change"]
    assert change["exit_code"] == 70
    assert "no database" in change["reason"]
    assert change["took_s"] > 0
    code, out, _ = ctl("status")
    assert code == 0
    assert "no database" in out
    assert "SIGKILL" in out


def test_status_while_the_daemon_stops(controlled, ctl):
    daemon = controlled(1)
    connection = daemon.connection()
    connection.request("GET", "/slow?2")
    wait_until(lambda: ctl.status()["workers"][0]["active"] == 1)
    assert ctl("stop")[0] == 0
    status = ctl.status()
    assert (status["phase"], status["listeners"]) == ("stopping", [])
    assert [worker["state"] for worker in status["workers"]] == ["draining"]
    assert ctl("reload", "--wait")[::2] == (75, "reload failed: the service stops\n")
    assert connection.getresponse().status == 200
    assert daemon.wait() == 0


# --- reload ---------------------------------------------------------------------------------------


def test_a_reload_is_over_when_it_says_so(controlled, ctl, deploy):
    daemon = controlled(2)
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        deploy("two")
        code, out, err = ctl("reload", "--wait")
        texts = {daemon.get().text.split()[0] for _ in range(20)}
        load.more()
    assert load.result["lost"] == []
    assert (code, err) == (0, "")
    assert texts == {"two"}
    phases = ["Reloading: reading", "starting generation 2", "Started worker-1", "Reloaded: gen"]
    places = [out.find(phase) for phase in phases]
    assert -1 not in places
    assert places == sorted(places)


def test_a_reload_without_waiting(controlled, ctl, deploy):
    daemon = controlled(1)
    deploy("two")
    assert ctl("reload") == (0, "", "")
    daemon.wait_for_log("Reloaded: generation 2")


def test_a_broken_application_is_told_with_its_traceback(controlled, ctl, deploy):
    daemon = controlled(2)
    before = set(daemon.workers())
    deploy("two", "raise RuntimeError('no database')")
    code, _, err = ctl("reload", "--wait")
    assert code == 70
    assert 'served.py", line' in err
    assert "RuntimeError: no database" in err
    assert err.splitlines()[-1].endswith("RuntimeError: no database")
    assert set(daemon.workers()) == before
    assert daemon.get().text.startswith("one ")
    deploy("three")
    assert ctl("reload", "--wait")[0] == 0
    assert daemon.get().text.startswith("three ")


def test_a_broken_configuration_is_told_with_its_line(controlled, ctl):
    daemon = controlled(1)
    good = daemon.config.read_text()
    daemon.config.write_text(good + "backlog = 1\n")
    line = len(daemon.config.read_text().splitlines())
    code, _, err = ctl("reload", "--wait")
    assert code == 78
    assert f"app.toml:{line}: backlog:" in err.splitlines()[-1]
    assert daemon.get().text.startswith("one ")


def test_a_startup_that_hangs_is_told_with_its_deadline(controlled, ctl, deploy):
    daemon = controlled(1, more="workers_startup_timeout = 1")
    deploy("two", "import time; time.sleep(600)")
    code, _, err = ctl("reload", "--wait")
    assert code == 70
    assert "worker-1 was not ready in 1 s" in err.splitlines()[-1]
    assert daemon.get().text.startswith("one ")


SLOW = "import time; open('importing', 'w').close(); time.sleep(600)"


def test_of_two_reloads_at_once_the_later_counts_for_both(controlled, ctl, deploy, tmp_path):
    daemon = controlled(2)
    deploy("two", SLOW)
    first = ctl.start("reload", "--wait")
    wait_until((tmp_path / "importing").exists)
    deploy("three")
    second = ctl.start("reload", "--wait")
    for process in (first, second):
        code, out, err = ended(process)
        assert (code, err) == (0, "")
        assert "Reloaded: generation" in out
    assert {daemon.get().text.split()[0] for _ in range(20)} == {"three"}


def test_who_has_no_more_time_leaves_the_reload_to_itself(controlled, ctl, deploy, tmp_path):
    daemon = controlled(1)
    deploy(
        "two",
        SLOW.replace(
            "time.sleep(600)",
            "[time.sleep(0.01) for _ in iter(lambda: os.path.exists('go'), True)]",
        ),
    )
    code, _, err = ctl("reload", "--wait", "--timeout", "0.5")
    assert code == 75
    assert err.endswith("no answer within 0.5 s; the reload goes on\n")
    (tmp_path / "go").touch()
    daemon.wait_for_log("Reloaded: generation 2")


def test_a_stop_ends_the_waiting(controlled, ctl, deploy, tmp_path):
    daemon = controlled(1)
    deploy("two", SLOW)
    waiting = ctl.start("reload", "--wait")
    wait_until((tmp_path / "importing").exists)
    assert ctl("stop")[0] == 0
    code, _, err = ended(waiting)
    assert code == 75
    assert err.endswith("reload failed: the service stops\n")
    assert daemon.wait() == 0


# --- the others -------------------------------------------------------------------------------------


def test_scale(controlled, ctl):
    daemon = controlled(1)
    with Load(("127.0.0.1", daemon.port)) as load:
        for count in (3, 2):
            assert ctl("scale", str(count)) == (0, "", "")
            wait_until(lambda count=count: len(daemon.workers()) == count)
            load.more(50)
    assert load.result["lost"] == []
    assert ctl("scale", "0") == (64, "", "scale failed: 0 is not from 1 to 512\n")


@pytest.mark.parametrize(("word", "said"), [("stop", "Shutting down"), ("quit", "at once")])
def test_the_end(controlled, ctl, runtime, word, said):
    daemon = controlled(1)
    workers = daemon.workers()
    assert ctl(word) == (0, "", "")
    assert daemon.wait() == 0
    assert said in daemon.log
    assert not any(alive(pid) for pid in workers)
    assert os.listdir(runtime) == []
    code, _, err = ctl("status")
    assert code == 69
    assert err == f"{runtime}/control.sock: no daemon answers: No such file or directory\n"


def test_who_asked_is_in_the_log(controlled, ctl):
    daemon = controlled(1)
    process = ctl.start("scale", "2")
    assert ended(process)[0] == 0
    said = f"Asked to scale by granianctl (PID {process.pid}, UID {os.getuid()})"
    assert said in daemon.log


# --- stacks -----------------------------------------------------------------------------------------


def test_stacks_of_a_stuck_task(controlled, ctl):
    daemon = controlled(1)
    with daemon.dial() as stuck:
        stuck.sendall(b"GET /slow?600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: ctl.status()["workers"][0]["active"] == 1)
        code, out, err = ctl("dump", "1")
    assert (code, err) == (0, "")
    assert out.startswith(f"worker-1 (PID {daemon.workers()[0]})\n")
    task = next(part for part in out.split("\n\n") if "asyncio.sleep(float(" in part)
    assert 'served.py", line' in task
    assert "in sleep" in task
    assert "MainThread" in out


def test_stacks_of_a_worker_whose_loop_stands_still(controlled, ctl):
    daemon = controlled(1)
    pid = daemon.workers()[0]
    with daemon.dial() as blocked:
        blocked.sendall(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: ctl.status()["workers"][0]["active"] == 1)
        code, out, err = ctl("dump", "all")
    assert (code, out) == (0, "")
    said = f"Worker-1 (PID {pid}) does not answer: its threads are on standard error"
    assert err == f"{said}\n"
    daemon.wait_for_log(said)
    daemon.wait_for_log('served.py", line')
    assert alive(pid)
    assert ctl("dump", "2") == (64, "", "dump failed: there is no worker-2\n")


# --- where there is no place for it -----------------------------------------------------------------


def test_no_directory_no_socket(serve, runtime):
    daemon = serve(1)
    assert "control" not in daemon.log
    assert daemon.get().status == 200


def test_a_live_socket_is_left_alone_and_the_daemon_serves(controlled, runtime):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{runtime}/control.sock")
        other.listen()
        daemon = controlled(1)
        assert "Serving without a control socket:" in daemon.log
        assert f"process {os.getpid()} serves on it" in daemon.log
        assert daemon.get().status == 200
        assert daemon.stop() == 0
        assert Path(f"{runtime}/control.sock").is_socket()


def test_after_a_kill_the_next_daemon_takes_the_socket_over(controlled, ctl):
    first = controlled(1)
    first.process.kill()
    first.wait()
    second = controlled(1)
    assert ctl.status()["master"]["pid"] == second.pid


def test_a_socket_of_one_s_own_choice(serve, ctl, runtime):
    daemon = serve(1, more=f'control_socket = "{runtime}/mine"')
    assert oct(os.stat(f"{runtime}/mine").st_mode)[-3:] == "600"
    code, out, _ = ctl("status", "--json", "--socket", f"{runtime}/mine")
    assert code == 0
    assert json.loads(out)["master"]["pid"] == daemon.pid


def test_workers_hold_nothing_of_it(serve, controlled, ctl, runtime):
    plain = serve(1)
    expected = kinds_of_descriptors(plain)
    assert plain.stop() == 0
    plain.log_path.unlink()  # the next one writes to the same
    daemon = controlled(1)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(f"{runtime}/control.sock")
        assert ctl("reload", "--wait")[0] == 0  # a worker was forked while somebody was there
        assert kinds_of_descriptors(daemon) == expected


def test_callers_leave_nothing_behind(controlled, ctl, runtime):
    daemon = controlled(1)
    ctl.status()
    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    for _ in range(3):
        assert ctl("reload", "--wait")[0] == 0
        assert ctl("dump", "all")[0] == 0
        asked = daemon.log.count("Asked to reload")
        impatient = ctl.start("reload", "--wait")
        daemon.wait_for_log("Asked to reload", asked + 1)
        impatient.kill()
        ended(impatient)
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(f"{runtime}/control.sock")
            rude.sendall(b"half a request")
    assert ctl("reload", "--wait")[0] == 0
    wait_until(lambda: len(daemon.workers()) == 1)
    wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) == before)
    assert daemon.get().status == 200


def kinds_of_descriptors(daemon) -> list[str]:
    """What a worker holds open, without the numbers."""
    fds = daemon.get("/environ").json["fds"].values()
    return sorted(re.sub(r"\d+", "", name) for name in fds if not name.startswith("/proc"))


def test_an_upgrade_is_over_when_it_says_so(controlled, ctl, deploy):
    """Who waits is handed from one program of the master to the next."""
    daemon = controlled(2)
    for version in ("two", "three"):
        deploy(version)
        code, said, _ = ctl("upgrade", "--wait")
        assert code == 0
        assert "Upgraded in place" in said
        assert daemon.get().text.startswith(f"{version} ")
    deploy("four", "\nraise RuntimeError('not today')\n")
    code, _, said = ctl("upgrade", "--wait")
    assert code == 70
    assert "not today" in said
    assert daemon.get().text.startswith("three ")
    assert ctl.status()["master"]["pid"] == daemon.pid

"""The daemon's half of sd_notify(3), spoken to a strict manager."""

from __future__ import annotations

import contextlib
import os
import select
import time
from pathlib import Path

import pytest

from tests.process.daemon import wait_until


def keys(daemon) -> list[str]:
    daemon.notifications()
    return [key for message in daemon.messages for key in message]


def test_ready_comes_when_somebody_serves(make_daemon, deploy):
    deploy("one", "import time; time.sleep(1)")
    daemon = make_daemon(2).start()
    daemon.wait_for_log("Spawning worker-2")
    assert "READY" not in keys(daemon)
    message = daemon.wait_for("READY=1")
    assert "Started worker-" in daemon.log
    assert message["STATUS"].startswith("gen 1, ")


def test_more_time_is_asked_for_while_the_application_is_imported(make_daemon, deploy):
    deploy("one", "import time; time.sleep(2.5)")
    daemon = make_daemon(1).start()
    daemon.wait_for("READY=1")
    first = keys(daemon)
    assert "EXTEND_TIMEOUT_USEC" in first[: first.index("READY")]


def test_a_reload_is_stamped_in_one_datagram_and_ends_with_ready(serve):
    daemon = serve(1)
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    since = len(daemon.messages)
    daemon.reload()
    stamp = daemon.wait_for("RELOADING=1", since)
    after_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before_us <= int(stamp["MONOTONIC_USEC"]) <= after_us
    phases = [k for m in daemon.messages[since:] for k in m if k in ("RELOADING", "READY")]
    assert phases == ["RELOADING", "READY"]


def test_after_ready_every_new_connection_meets_the_new_generation(serve, deploy):
    daemon = serve(2)
    for number in range(4):
        deploy(f"v{number}")
        daemon.reload()
        for _ in range(5):
            assert daemon.get().text.startswith(f"v{number} ")


def test_stopping_is_the_first_thing_said_of_a_stop(serve):
    daemon = serve(1)
    daemon.notifications()
    since = len(daemon.messages)
    daemon.stop()
    daemon.notifications()
    assert daemon.messages[since]["STOPPING"] == "1"


def test_status_says_something(serve):
    daemon = serve(2)
    daemon.wait_for_log("Started worker-", 2)
    daemon.reload()
    assert daemon.messages[-1]["STATUS"].startswith("gen 2, 2 workers, ")
    for _ in range(50):
        daemon.get()
    wait_until(
        lambda: keys(daemon) and any(has_rate(m.get("STATUS", "")) for m in daemon.messages),
        lambda: str(daemon.messages),
    )


def has_rate(status: str) -> bool:
    rate = [part for part in status.split(", ") if part.endswith(" req/s")]
    return bool(rate) and int(rate[0].split()[0]) > 0


def test_the_watchdog_is_fed_while_a_worker_makes_progress(serve):
    daemon = serve(1, watchdog_s=1.5)
    daemon.wait_for("WATCHDOG=1")


def test_the_watchdog_starves_when_no_worker_makes_progress(serve):
    daemon = serve(1, "workers_stall_timeout = 0", watchdog_s=1.5)
    daemon.wait_for("WATCHDOG=1")
    daemon.dial().sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    # No more WATCHDOG for longer than the manager's patience: it would act now.
    silent_since = time.monotonic()
    end = silent_since + 30
    while time.monotonic() - silent_since < 2.0:
        assert time.monotonic() < end, "it is fed although nothing works"
        select.select([daemon._notify], [], [], 0.1)
        count = len(daemon.messages)
        daemon.notifications()
        if any("WATCHDOG" in message for message in daemon.messages[count:]):
            silent_since = time.monotonic()
    assert daemon.process.poll() is None


def test_it_serves_where_there_is_no_service_manager(make_daemon):
    daemon = make_daemon(1)
    daemon.environ["NOTIFY_SOCKET"] = ""
    daemon.start()
    daemon.wait_for_log("Ready: generation 1")
    assert daemon.get().status == 200


def test_it_serves_when_the_notification_socket_is_broken(make_daemon):
    daemon = make_daemon(1)
    daemon.environ["NOTIFY_SOCKET"] = "/nonexistent/notify"
    daemon.start()
    daemon.wait_for_log("Ready: generation 1")
    daemon.wait_for_log("Cannot notify the service manager")
    assert daemon.get().status == 200


def test_workers_give_back_memory_when_the_manager_says_that_it_is_short(make_daemon, tmp_path):
    os.mkfifo(path := tmp_path / "pressure")
    daemon = make_daemon(2, environ={"MEMORY_PRESSURE_WATCH": str(path)}).start()
    daemon.wait_for("READY=1")
    with path.open("wb", buffering=0) as manager:
        manager.write(b"now")
    daemon.wait_for_log("Memory is short")
    assert daemon.get().status == 200
    upgraded = len(daemon.messages)
    daemon.signal("USR2")
    daemon.wait_for("READY=1", upgraded)
    links = []
    for fd in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile, like that of an old worker
            links.append(os.readlink(fd))
    assert links.count(str(path)) == 1, "who upgraded watches on"


def test_what_cannot_be_watched_is_told_and_no_reason_not_to_serve(make_daemon):
    daemon = make_daemon(1, environ={"MEMORY_PRESSURE_WATCH": "/nowhere"}).start()
    daemon.wait_for("READY=1")
    assert "cannot watch memory pressure: " in daemon.log


@pytest.mark.parametrize("more", ["", "preload = true"])
def test_the_kernel_takes_a_worker_before_the_master(serve, more):
    daemon = serve(1, more)
    own, *others = (
        int(Path(f"/proc/{pid}/oom_score_adj").read_text())
        for pid in (daemon.pid, *daemon.workers())
    )
    assert others == [min(1000, own + 200)] * len(others)

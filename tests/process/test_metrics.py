"""Metrics of a real daemon, as Prometheus scrapes them."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import socket
import struct
import tempfile
from pathlib import Path

import httpx
import pytest

from tests.exposition import Page
from tests.process.daemon import Connection, alive, fetch, wait_until

METRICS = "[metrics]\nenabled = true\nport = 0\n"
# Beside what the application of all process tests does.
FAULTS = """
_app = app
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["type"] == "http" and scope["path"] == "/missing":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})
    elif scope["type"] == "http" and scope["path"] == "/crash":
        raise ValueError("no database")
    else:
        await _app(scope, receive, send)
"""


def address_of(daemon) -> tuple[str, int]:
    """Where the last exporter that was started is asked."""
    line = [line for line in daemon.log.splitlines() if "Metrics at: " in line][-1]
    return "127.0.0.1", int(line.split("/metrics")[0].rsplit(":", 1)[1])


def scrape(daemon) -> Page:
    answer = fetch(address_of(daemon), "/metrics")
    assert answer.status == 200
    assert answer.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(answer.text)


def exporters(daemon) -> list[int]:
    """Pids of the master's children that tell metrics."""
    told = re.findall(r"Metrics at: .*PID: (\d+)", daemon.log)
    return [pid for pid in map(int, told) if pid in daemon.workers()]


def workers(daemon) -> list[int]:
    return sorted(set(daemon.workers()) - set(exporters(daemon)))


@pytest.fixture
def measured(serve, deploy):
    """Start a daemon that tells metrics."""

    def start(count=2, more="", broken=FAULTS, **options):
        deploy(broken=broken)
        daemon = serve(count, f"{more}\n{METRICS}", **options)
        daemon.wait_for_log("Metrics at: ")
        return daemon

    return start


def test_what_is_asked_is_what_is_counted(measured):
    daemon = measured(2)
    for path in ("/", "/", "/missing", "/crash"):
        daemon.get(path)
    daemon.get("/upload", "POST", b"x" * 1000)
    page = scrape(daemon)
    codes = {"2xx": 3, "4xx": 1, "5xx": 1, "cut": 0, "3xx": 0}
    assert {code: page("responses_total", code=code) for code in codes} == codes
    assert page.sum("requests_handled") == page("request_duration_seconds_count") == 5
    assert page.sum("requests_crashed_total") == 1
    assert page.sum("received_bytes_total") == 1000
    assert page.sum("sent_bytes_total") > 0
    assert page.sum("connections_handled") == 5
    assert page.sum("requests_in_flight") == 0
    assert (page("workers_spawns"), page("workers_wanted"), page("workers_serving")) == (2, 2, 2)
    assert (page("generation"), page("health", state="well")) == (1, 1)
    for worker in ("1", "2"):
        assert page("worker_pss_bytes", worker=worker) > 1 << 20
        assert page("worker_rss_bytes", worker=worker) >= page("worker_pss_bytes", worker=worker)
    assert page("process_rss_bytes", process="master") > 1 << 20


def test_files_are_counted_of_their_own(measured, tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("file")
    files = f'[static_path]\nroute = ["/static"]\nmount = ["{tmp_path}/files"]\n'
    daemon = measured(1, files)
    for path in ("/static/a.txt", "/static/a.txt", "/static/b.txt", "/"):
        daemon.get(path)
    page = scrape(daemon)
    assert page("static_requests_handled", worker="1") == 3
    assert page("static_requests_err", worker="1") == 1
    assert page("requests_handled", worker="1") == 4


def test_who_may_ask_what(measured):
    daemon = measured(1)
    with contextlib.closing(Connection(address_of(daemon))) as connection:
        ask = connection.ask
        assert ask("/anything?x=1").text.startswith("# HELP granian_")
        head = ask("/metrics", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.fields["content-length"]) > 1000
        refused = ask("/metrics", "POST", b"x")
        assert (refused.status, refused.fields["allow"]) == (405, "GET, HEAD")
    with httpx.Client(http1=False, http2=True) as client:
        answer = client.get("http://{}:{}/metrics".format(*address_of(daemon)))
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
    Page(answer.text)


def test_a_scrape_needs_nobody_else(measured):
    """All workers stand still, and then the master as well."""
    daemon = measured(2)
    daemon.get()
    stopped = [*workers(daemon), daemon.pid]
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        assert scrape(daemon).sum("requests_handled") == 1
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert daemon.get().status == 200


def test_websockets_and_requests_under_way(measured):
    daemon = measured(1)
    slow = daemon.dial()
    slow.sendall(b"GET /slow?600 HTTP/1.1\r\nHost: x\r\n\r\n")
    talk = daemon.dial()
    talk.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " in talk.recv(65536)
    wait_until(lambda: scrape(daemon)("requests_in_flight", worker="1") == 1)
    page = scrape(daemon)
    assert page("websockets_active", worker="1") == 1
    assert page("connections_active", worker="1") == 2
    for sock in (slow, talk):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    wait_until(lambda: scrape(daemon)("websockets_active", worker="1") == 0)
    assert scrape(daemon)("websockets_handled_total", worker="1") == 1


def test_counters_go_on_over_reloads_recycling_and_deaths(measured, deploy):
    daemon = measured(1, "workers_max_requests = 3")
    seen: dict = {}

    def judge(page):
        counters = page.counters()
        fallen = {key for key, value in counters.items() if value < seen.get(key, 0)}
        assert not fallen
        seen.update(counters)
        return page

    for _ in range(3):
        daemon.get()
        judge(scrape(daemon))
    wait_until(lambda: judge(scrape(daemon))("workers_restarts_total", reason="requests") == 1)
    daemon.wait_for_log("Stopped worker-1")
    daemon.reload()
    page = judge(scrape(daemon))
    assert (page("reloads_total", result="ok"), page("generation")) == (1, 2)
    deploy(broken="raise RuntimeError")
    daemon.reload()
    page = judge(scrape(daemon))
    assert (page("reloads_total", result="failed"), page("reload_failing")) == (1, 1)
    deploy(broken=FAULTS)
    daemon.reload()
    with contextlib.suppress(OSError):
        daemon.get("/die")
    daemon.wait_for_log("Unexpected exit from worker-1")
    page = judge(scrape(daemon))
    assert page("workers_restarts_total", reason="error") == 1
    assert page("reload_failing") == 0
    wait_until(lambda: scrape(daemon)("workers_serving") == 1)
    assert daemon.get().status == 200
    assert judge(scrape(daemon))("requests_handled", worker="1") == 4


def test_a_pool_of_threads(measured):
    app = """
import threading
gate = threading.Event()
def app(environ, start_response):
    if environ["PATH_INFO"] == "/open":
        gate.set()
    else:
        gate.wait()
    start_response("200 OK", [("content-length", "1")])
    return [b"."]
"""
    daemon = measured(1, "blocking_threads = 2", broken=app, arguments=("--interface", "wsgi"))
    waiting = [daemon.dial() for _ in range(4)]
    for sock in waiting:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    wait_until(lambda: scrape(daemon)("blocking_queue", worker="1") == 2)
    page = scrape(daemon)
    assert page("blocking_threads", worker="1") == 2
    assert page("requests_in_flight", worker="1") == 4


def test_an_exporter_that_dies_has_a_successor(measured):
    daemon = measured(1)
    serving = workers(daemon)
    (first,) = exporters(daemon)
    os.kill(first, signal.SIGKILL)
    daemon.wait_for_log("Metrics at: ", 2)
    assert "Unexpected exit of who tells metrics" in daemon.log
    assert scrape(daemon)("workers_spawns") == 1
    (second,) = exporters(daemon)
    assert second != first
    assert workers(daemon) == serving
    assert not alive(first)


def test_it_ends_with_the_daemon(measured):
    daemon = measured(1)
    (pid,) = exporters(daemon)
    scrape(daemon)  # it has got to its name
    title = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert title.startswith(b"granian-d: metrics [app]")
    address = address_of(daemon)
    assert daemon.stop() == 0
    assert not alive(pid)
    socket.create_server(address).close()


def test_it_dies_with_a_master_that_is_killed(measured):
    daemon = measured(1)
    (pid,) = exporters(daemon)
    daemon.signal("KILL")
    daemon.wait()
    wait_until(lambda: not alive(pid))


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def test_a_port_that_is_taken_ends_the_start(make_daemon, taken):
    daemon = make_daemon(1, METRICS.replace("port = 0", f"port = {taken}")).start()
    assert daemon.wait() == os.EX_OSERR
    assert f"cannot listen on metrics:127.0.0.1:{taken}: Address already in use" in daemon.log


def test_a_reload_moves_it_or_fails_as_a_whole(measured, taken):
    daemon = measured(1)
    before = address_of(daemon)
    (first,) = exporters(daemon)
    daemon.reload()
    assert exporters(daemon) == [first], "nothing of it has changed"
    text = daemon.config.read_text().rstrip().removesuffix("port = 0")
    daemon.config.write_text(f"{text}port = {taken}\n")
    assert "last reload failed" in daemon.reload()
    assert exporters(daemon) == [first]
    assert scrape(daemon)("reloads_total", result="failed") == 1
    with socket.create_server(("127.0.0.1", 0)) as sock:
        free = sock.getsockname()[1]
    daemon.config.write_text(f"{text}port = {free}\n")
    daemon.reload()
    daemon.wait_for_log("Metrics at: ", 2)
    assert address_of(daemon) == ("127.0.0.1", free)
    assert scrape(daemon)("generation") == 3
    wait_until(lambda: not alive(first))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(before, 5)
    daemon.config.write_text(text.replace("enabled = true", "enabled = false"))
    daemon.reload()
    wait_until(lambda: not exporters(daemon))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free), 5)


def test_it_goes_on_over_an_upgrade_in_place(measured):
    daemon = measured(1)
    daemon.get()
    before = address_of(daemon)
    started = scrape(daemon)("start_time_seconds")
    waiting = socket.create_connection(before, 5)  # accepted by the one or by the other
    daemon.notifications()
    since = len(daemon.messages)
    daemon.signal("USR2")
    daemon.wait_for("RELOADING=1", since)
    daemon.wait_for("READY=1", since)
    daemon.wait_for_log("Metrics at: ", 2)
    waiting.close()
    assert address_of(daemon) == before
    page = scrape(daemon)
    assert (page("upgrades_total", result="ok"), page("reloads_total", result="ok")) == (1, 1)
    assert page("requests_handled", worker="1") == 1
    assert page("start_time_seconds") == started
    wait_until(lambda: len(exporters(daemon)) == 1)


def test_status_shows_it(measured, ctl, runtime):
    daemon = measured(1, environ={"RUNTIME_DIRECTORY": runtime})
    told = ctl.status()
    host, port = address_of(daemon)
    assert told["metrics"]["address"] == f"http://{host}:{port}/metrics"
    assert [told["metrics"]["pid"]] == exporters(daemon)
    assert len(told["workers"]) == 1
    page = ctl("status")[1]
    assert f"metrics at http://{host}:{port}/metrics, PID {told['metrics']['pid']}\n" in page


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_it_is_whom_the_workers_are(measured, tmp_path):
    for place in (tmp_path, *tmp_path.parents):
        if place == Path(tempfile.gettempdir()):
            break
        place.chmod(0o755)
    daemon = measured(1, 'user = "nobody"\ngroup = "daemon"')
    (pid,) = exporters(daemon)
    assert scrape(daemon)("worker_rss_bytes", worker="1") > 1 << 20
    uid = pwd.getpwnam("nobody").pw_uid
    assert f"\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in Path(f"/proc/{pid}/status").read_text()

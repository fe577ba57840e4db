"""Requests that do not end, and two that are the daemon's own: health and warm-up."""

from __future__ import annotations

import pytest

from tests.process.daemon import wait_until

WSGI = """

import threading

asleep = threading.Event()


def slow_query():
    asleep.wait(3)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        slow_query()
    start_response("200 OK", [])
    return [b"after all"]
"""

RSGI = """


async def slow_query():
    await asyncio.sleep(60)


class App:
    async def __rsgi__(self, scope, protocol):
        if scope.path == "/slow":
            await slow_query()
        protocol.response_str(200, [], "at once")


app = App()
"""


@pytest.mark.parametrize(("interface", "source"), [("asgi", ""), ("rsgi", RSGI)])
def test_a_request_that_is_not_answered_is_given_up(make_daemon, deploy, interface, source):
    deploy("one", source)
    more = "request_timeout = 0.5\nblocking_threads = 1"
    daemon = make_daemon(1, more, arguments=("--interface", interface)).start()
    daemon.wait_for("READY=1")
    (pid,) = daemon.workers()
    answer = daemon.get("/slow?token=secret" if source else "/slow?60")
    assert (answer.status, answer.text) == (504, "Gateway Timeout")
    daemon.wait_for_log("GET /slow of 127.0.0.1 not answered after ")
    daemon.wait_for_log("s, its task is cancelled")
    daemon.wait_for_log("await slow_query()" if source else "await asyncio.sleep(float(")
    assert "secret" not in daemon.log
    assert "raised an exception" not in daemon.log
    assert daemon.get().status == 200
    assert daemon.workers() == [pid]


def test_a_thread_that_is_late_is_named_and_its_answer_taken(make_daemon, deploy):
    deploy("one", WSGI)
    arguments = ("--interface", "wsgi", "--blocking-threads", "1")
    daemon = make_daemon(1, "request_timeout = 0.5", arguments=arguments).start()
    daemon.wait_for("READY=1")
    answer = daemon.get("/slow")
    assert (answer.status, answer.text) == (200, "after all")
    daemon.wait_for_log("not answered after ", 1)
    daemon.wait_for_log("s, it goes on")
    daemon.wait_for_log("asleep.wait(3)")


def test_health_is_answered_for_the_service_and_not_by_it(serve):
    more = 'health = "/-/health"\naccess_log.enabled = true'
    daemon = serve(1, more)
    answer = daemon.get("/-/health")
    assert (answer.status, answer.text) == (200, "well\n")
    assert daemon.get("/served").status == 200
    assert daemon.stop() == 0
    accesses = (daemon.directory / "stdout.log").read_text()
    assert "/served" in accesses
    assert "health" not in accesses


def test_balancers_hear_that_the_service_leaves_while_it_still_serves(serve):
    daemon = serve(1, 'health = "/-/health"\ndrain_delay = 2')
    connection = daemon.connection()
    assert connection.ask("/-/health").status == 200
    daemon.signal("TERM")
    wait_until(lambda: daemon.get("/-/health").status == 503)
    assert daemon.get("/-/health").text == "leaving\n"
    assert daemon.get().status == 200
    assert daemon.wait() == 0


def test_who_fails_its_warm_up_does_not_take_over(serve, deploy):
    daemon = serve(1, 'warmup = "/warm"')
    pids = daemon.workers()
    deploy("two", BREAKS_WHEN_ASKED)
    assert "warm-up: GET /warm answered 500" in daemon.reload()
    assert daemon.workers() == pids
    assert daemon.get().text.startswith("one ")
    assert "cold cache" in daemon.log, "why, is told"
    deploy("three")
    assert "gen " in daemon.reload()
    assert daemon.get().text.startswith("three ")


def test_a_service_whose_warm_up_fails_does_not_start(make_daemon, deploy):
    deploy("one", BREAKS_WHEN_ASKED)
    daemon = make_daemon(2, 'warmup = "/warm"').start()
    assert daemon.wait() == 70
    assert "warm-up: GET /warm answered 500" in daemon.log


BREAKS_WHEN_ASKED = """

served = app


async def app(scope, receive, send):
    if scope["type"] == "http":
        raise ValueError("cold cache")
    await served(scope, receive, send)
"""

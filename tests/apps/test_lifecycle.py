"""Start, reload and stop as applications see them, and the place where they are mounted."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from tests.apps.frameworks import FRAMEWORKS
from tests.apps.running import Site, site_daemon

LISTEN = ("--listen", "127.0.0.1:0")


def _with(*features):
    return [name for name, framework in FRAMEWORKS.items() if framework.has.issuperset(features)]


@pytest.fixture
def alone(request, tmp_path):
    """A site with a daemon of its own: one worker, so that all requests meet."""
    framework = FRAMEWORKS[request.param]
    with site_daemon(framework, tmp_path, *LISTEN, "--loop", "asyncio") as daemon:
        site = Site(framework, daemon, ("127.0.0.1", daemon.port))
        yield site
        site.close()


@pytest.mark.parametrize("alone", _with("end"), indirect=True)
def test_life(alone):
    """What is under way at a reload, or a stop, is finished by the worker that began it."""
    first = _pid(alone)
    with Work(alone, "reload") as work:
        assert alone.daemon.reload().startswith("gen 2, 1 workers")
        second = _pid(alone)
        assert second != first
        work.finish()
    alone.daemon.wait_for_log("Stopped worker-1 (generation 1)")
    assert _notes(alone, first) == ["startup", "background done reload-background", "shutdown"]

    with Work(alone, "stop") as work:
        alone.daemon.signal("TERM")
        alone.daemon.wait_for("STOPPING=1")
        work.finish()
    assert alone.daemon.wait() == 0
    assert _notes(alone, second) == ["startup", "background done stop-background", "shutdown"]
    assert "Traceback" not in alone.daemon.log


class Work:
    """A stream in the middle, and work behind an answer; both wait for their gates."""

    def __init__(self, site, name: str) -> None:
        self._site = site
        self._name = name
        self._stack = ExitStack()

    def __enter__(self) -> Work:
        relay = self._stack.enter_context(self._site.connect())
        relay.request("GET", f"/relay?gate={self._name}-relay")
        self._answer = relay.getresponse()
        assert self._answer.read(7) == b"before\n"
        with self._site.connect() as connection:
            path = f"/background?gate={self._name}-background"
            assert connection.ask(path, "POST").status == 202
        return self

    def finish(self) -> None:
        """Open the gates; the stream must be complete."""
        self._site.open_gate(f"{self._name}-relay")
        assert self._answer.read() == b"after\n"
        self._site.open_gate(f"{self._name}-background")

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _pid(site) -> int:
    with site.connect() as connection:
        return connection.ask("/json").json["pid"]


def _notes(site, pid: int) -> list[str]:
    return [text for author, text in site.notes() if author == pid]


# --- mounted below a prefix ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def mounted(request, tmp_path_factory):
    """A site below /mounted, by one worker."""
    framework = FRAMEWORKS[request.param]
    folder = tmp_path_factory.mktemp("mounted")
    with site_daemon(framework, folder, *LISTEN, "--url-path-prefix", "/mounted") as daemon:
        site = Site(framework, daemon, ("127.0.0.1", daemon.port))
        yield site
        site.close()


every_mounted = pytest.mark.parametrize("mounted", _with("prefix"), indirect=True, scope="module")


@every_mounted
@pytest.mark.parametrize("path", ["/mounted/where", "/where"])
def test_prefix(mounted, path):
    """Known to the application, whether a proxy in front takes it off or leaves it on."""
    answer = mounted.client.get(path)
    assert answer.status_code == 200
    assert answer.json()["prefix"] == "/mounted"
    assert answer.json()["url"] == "/mounted/where"


@every_mounted
@pytest.mark.parametrize("path", ["/mountedwhere", "/other/where", "/mounted/mounted/where"])
def test_path_that_only_looks_like_the_prefix(mounted, path):
    assert mounted.client.get(path).status_code == 404


@every_mounted
def test_session_below_a_prefix(mounted):
    cookies = {}
    for expected in (1, 2):
        answer = mounted.client.get("/mounted/visits", headers={"cookie": _pairs(cookies)})
        cookies.update(answer.cookies)
        mounted.client.cookies.clear()
        assert answer.json() == {"visits": expected}


@every_mounted
def test_requests_do_not_wait_for_each_other(mounted):
    """One worker, twelve answers that all wait, and one that does not."""
    with ExitStack() as stack:
        held = [stack.enter_context(mounted.connect()) for _ in range(12)]
        for connection in held:
            connection.request("GET", "/mounted/relay?gate=together")
        answers = [connection.getresponse() for connection in held]
        assert [answer.read(7) for answer in answers] == [b"before\n"] * 12
        assert mounted.client.get("/mounted/json").status_code == 200
        mounted.open_gate("together")
        assert [answer.read() for answer in answers] == [b"after\n"] * 12


@every_mounted
def test_one_request_s_state_is_not_another_s(mounted):
    """Sixty different requests at once, each answered with what it asked for."""
    seen = {}

    def ask(number):
        with mounted.connect() as connection:
            answer = connection.ask(f"/mounted/echo/path{number}?n={number}")
            seen[number] = (answer.json["path"], answer.json["query"])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {n: (f"path{n}", [["n", str(n)]]) for n in range(60)}


def _pairs(cookies) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())

"""A server within this process and its loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import ssl
from functools import partial
from pathlib import Path

import httpx
import pytest

from granian_d.errors import ConfigurationError, FatalError, StartupError
from granian_d.server.embed import Server
from tests.certificates import Authority
from tests.process.h3_client import configuration, connect


class Application:
    """ASGI; /wait answers when it is released."""

    def __init__(self) -> None:
        self.lives = []
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            self.lives.append("began")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.lives.append("ended")
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/wait":
            self.asked.set()
            await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["scheme"].encode()})


class Rsgi:
    def __init__(self) -> None:
        self.calls = []

    def __rsgi_init__(self, loop):
        self.calls.append(("init", loop.is_running()))

    def __rsgi_del__(self, loop):
        self.calls.append(("del", loop.is_running()))

    async def __rsgi__(self, scope, protocol):
        protocol.response_str(200, [], "rsgi")


async def get(address, path="/", verify=True):
    """The text of an answer, on a connection of its own."""
    uds = address if address.startswith("/") else None
    transport = httpx.AsyncHTTPTransport(uds=uds, verify=verify)
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:
        return (await client.get(("http://x" if uds else address) + path)).text


async def told(file, words):
    """What a log holds when these words are in it."""
    while words not in (log := file.read_text() if file.exists() else ""):
        await asyncio.sleep(0)
    return log


class Place:
    """Servers with sockets of their own, started when their first line is in the log."""

    def __init__(self, directory) -> None:
        self.directory = directory

    async def start(self, target, **options):
        path = str(self.directory / f"{len(os.listdir(self.directory))}.sock")
        server = Server(target, uds=path, log_enabled=False, **options)
        began = asyncio.Event()
        server.on_startup(began.set)
        task = asyncio.create_task(server.serve())
        await asyncio.wait(
            [task, waiting := asyncio.create_task(began.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        waiting.cancel()
        return server, task, path


@pytest.fixture
def place(runtime):
    return Place(Path(runtime))


def handlers():
    return {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }


def test_several_in_one_loop_and_nothing_is_left(place):
    async def main():
        asgi, rsgi, before = Application(), Rsgi(), handlers()
        one, first, address = await place.start(asgi, interface="asgi")
        two, second, other = await place.start(rsgi)
        assert await asyncio.gather(get(address), get(other)) == ["http", "rsgi"]
        assert handlers() == before
        one.stop()
        await first
        assert await get(other) == "rsgi"
        two.stop()
        await second
        assert asgi.lives == ["began", "ended"]
        assert rsgi.calls == [("init", True), ("del", True)]
        assert not os.path.exists(address)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    gc.collect()
    fds = len(os.listdir("/proc/self/fd"))
    asyncio.run(main())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == fds


def test_a_stop_waits_for_the_last_answer(place):
    async def main():
        app, down = Application(), []
        server, serving, address = await place.start(app, interface="asgi")
        server.on_shutdown(lambda: down.append(list(app.lives)))
        answer = asyncio.create_task(get(address, "/wait"))
        await app.asked.wait()
        server.stop()
        while os.path.exists(address):
            await asyncio.sleep(0)
        with pytest.raises(httpx.ConnectError):
            await get(address)
        assert not serving.done()
        app.release.set()
        assert await answer == "http"
        await serving
        assert down == [["began", "ended"]]

    asyncio.run(main())


def test_a_reload_starts_the_application_anew_and_drains_the_old_one(place):
    async def main():
        app, renewed = Application(), asyncio.Event()
        server, serving, address = await place.start(app, interface="asgi")
        server.on_reload(renewed.set)
        answer = asyncio.create_task(get(address, "/wait"))
        await app.asked.wait()
        server.reload()
        await renewed.wait()
        while app.lives != ["began", "began"]:
            assert await get(address) == "http"
        app.release.set()
        assert await answer == "http"
        assert await get(address) == "http"
        server.stop()
        await serving
        assert app.lives == ["began", "began", "ended", "ended"]

    asyncio.run(main())


def test_a_reload_that_fails_changes_nothing(place):
    async def main():
        app, asked = Application(), asyncio.Event()

        def refuse():
            asked.set()
            raise ValueError("not now")

        server, serving, address = await place.start(app, interface="asgi")
        server.on_reload(refuse)
        server.reload()
        await asked.wait()
        assert await get(address) == "http"
        server.stop()
        await serving
        assert app.lives == ["began", "ended"]

    asyncio.run(main())


def test_a_task_that_is_cancelled_ends_at_once(place):
    async def main():
        app = Application()
        _, serving, address = await place.start(app, interface="asgi")
        answer = asyncio.create_task(get(address, "/wait"))
        await app.asked.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(httpx.RemoteProtocolError):
            await answer
        assert app.lives == ["began", "ended"]

    asyncio.run(main())


def test_tls_on_a_port(tmp_path):
    authority = Authority()
    certificate, key = authority.issue("127.0.0.1").write(tmp_path, "host")
    (tmp_path / "ca.crt").write_bytes(authority.pem)

    async def main():
        server = Server(
            Application(),
            port=0,
            interface="asgi",
            log_file=tmp_path / "log",
            ssl_cert=certificate,
            ssl_key=key,
        )
        serving = asyncio.create_task(server.serve())
        log = await told(tmp_path / "log", "Listening at: ")
        address = log.split("Listening at: ")[1].split()[0]
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.crt")
        assert await get(address, verify=trusting) == "https"
        server.stop()
        await serving

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"interface": "wsgi"},
        {"reload": True},
        {"metrics_enabled": True},
        {"workers_max_rss": 100},
        {"workers": 2},
        {"loop": "asyncio"},
    ],
    ids=str,
)
def test_what_takes_processes_is_refused(options):
    with pytest.raises(ConfigurationError, match="is not to be had in a server within a program"):
        Server(Rsgi(), port=0, **options)


def test_an_application_that_refuses_is_the_callers_fault(place):
    async def refuse(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main():
        _, serving, address = await place.start(refuse, interface="asgi")
        with pytest.raises(StartupError, match="no database"):
            await serving
        assert not os.path.exists(address)
        assert isinstance(serving.exception(), FatalError)

    asyncio.run(main())


def test_http3_and_a_request_that_outlives_a_reload(tmp_path):
    """The new life reads all datagrams of the port, and gives the old one those of its connections."""
    authority = Authority()
    authority.issue("localhost", "127.0.0.1").write(tmp_path, "host")

    async def main():
        app = Application()
        server = Server(
            app,
            "127.0.0.1",
            0,
            interface="asgi",
            http3=True,
            ssl_cert=tmp_path / "host.crt",
            ssl_key=tmp_path / "host.key",
            log_file=tmp_path / "log",
        )
        serving = asyncio.create_task(server.serve())
        log = await told(tmp_path / "log", " (HTTP/3)")
        port = int(log.split(" (HTTP/3)")[0].rpartition(":")[2])
        dial = partial(connect, port, configuration(authority.pem))
        async with dial() as old:
            assert (await old.ask("/")).text == "https"
            waiting = old.begin("/wait")
            await app.asked.wait()
            server.reload()
            while len(app.lives) < 2:
                await asyncio.sleep(0.01)
            async with dial() as new:
                assert (await new.ask("/")).text == "https"
            app.release.set()
            assert (await waiting.whole()).text == "https"
        server.stop()
        await serving
        assert app.lives == ["began", "began", "ended", "ended"]

    gc.collect()
    fds = len(os.listdir("/proc/self/fd"))
    asyncio.run(main())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == fds

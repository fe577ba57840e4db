"""Parts, files and faults on their way from a thread to the loop."""

import asyncio
import gc
import gzip
import io
import os
import tempfile
import threading
import weakref
from wsgiref.validate import validator

import pytest

from granian_d.errors import Disconnected, InvalidResponse
from granian_d.http import states
from granian_d.interface.registry import load
from granian_d.interface.wsgi.crossing import HELD_BYTES

from .memory import MemoryExchange, context, request
from .wsgi_serving import in_a_thread, place, serve

__all__ = ["place", "serve"]

PART_BYTES = 16 * 1024


class TestRoom:
    def test_the_thread_waits_for_the_peer(self, serve) -> None:
        made = []

        def app(environ, start_response):
            start_response("200 OK", [])
            for number in range(40):
                made.append(number)
                yield bytes([number]) * PART_BYTES

        async def script(exchange):
            # One part was taken without room behind it; behind that, HELD_BYTES may wait.
            most = 1
            while exchange.state != states.FINISHED:
                await exchange.until(
                    lambda: exchange._on_room is not None or exchange.state == states.FINISHED
                )
                sent = len(exchange.body) // PART_BYTES
                most = max(most, len(made) - sent)
                exchange.read()
            beyond.append(most)

        beyond = []
        exchange = serve(app, MemoryExchange(room_bytes=PART_BYTES - 1), script)
        assert exchange.body == b"".join(bytes([n]) * PART_BYTES for n in range(40))
        assert beyond[0] <= HELD_BYTES // PART_BYTES + 2
        assert exchange.crashes == []

    def test_a_whole_body_waits_for_nobody(self, serve) -> None:
        closed = threading.Event()

        class Body(list):
            def close(self):
                closed.set()

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"x" * 1_000_000] if environ["PATH_INFO"] == "/" else Body([b"y" * 1_000_000])

        for target in (b"/", b"/single"):
            exchange = serve(app, MemoryExchange(request(target), room_bytes=0))
            assert len(exchange.body) == 1_000_000
            assert not exchange.lengthless
        assert closed.is_set()

    def test_small_parts_may_leave_together(self, serve) -> None:
        def app(environ, start_response):
            start_response("200 OK", [])
            for number in range(2000):
                yield b"%04d" % number

        exchange = serve(validator(headed(app)))
        assert exchange.body == b"".join(b"%04d" % number for number in range(2000))

    def test_a_part_leaves_while_the_next_is_made(self, serve) -> None:
        arrived = threading.Event()

        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"first"
            assert arrived.wait(10)
            yield b"second"

        async def script(exchange):
            await exchange.until(lambda: exchange.body == b"first")
            arrived.set()

        exchange = serve(app, None, script)
        assert (exchange.body, exchange.crashes) == (b"firstsecond", [])


def headed(app):
    def wrapped(environ, start_response):
        return app(
            environ, lambda status, _: start_response(status, [("Content-Type", "text/plain")])
        )

    return wrapped


class TestLosingThePeer:
    @in_a_thread
    @pytest.mark.parametrize("through_write", [True, False])
    def test_while_waiting_for_room(self, serve, through_write) -> None:
        closed, raised = [], []

        class Endless:
            def __iter__(self):
                while True:
                    yield b"x" * PART_BYTES

            def close(self):
                closed.append(True)

        def app(environ, start_response):
            write = start_response("200 OK", [])
            if through_write:
                try:
                    while True:
                        write(b"x" * PART_BYTES)
                except OSError as error:
                    raised.append(error)
                    raise
            return Endless()

        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            exchange.lose()

        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")
        if through_write:
            assert type(raised[0]) is Disconnected
        else:
            assert closed == [True]

    @in_a_thread
    @pytest.mark.parametrize("how", ["room", "input"])
    def test_nothing_is_left_of_the_request(self, serve, how) -> None:
        class Thing:
            pass

        def app(environ, start_response):
            environ["thing"] = thing = Thing()
            things.append(weakref.ref(thing))
            if how == "input":
                environ["wsgi.input"].read()
            write = start_response("200 OK", [])
            while True:
                write(b"x" * PART_BYTES)

        async def script(exchange):
            await exchange.until(
                lambda: exchange._on_room if how == "room" else exchange._on_readable
            )
            exchange.lose()

        things = []
        body = None if how == "input" else b""
        exchange = MemoryExchange(request(content_length=None), body, room_bytes=0)
        if how == "input":
            exchange.feed(b"x" * 100_000)
        gc.collect()
        gc.disable()
        try:
            serve(app, exchange, script)
            assert things[0]() is None
        finally:
            gc.enable()

    @in_a_thread
    def test_before_the_response(self, serve) -> None:
        lost = threading.Event()

        def app(environ, start_response):
            assert lost.wait(10)
            start_response("200 OK", [])
            return [b"x"]

        async def script(exchange):
            exchange.lose()
            lost.set()

        exchange = serve(app, None, script)
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    @in_a_thread
    def test_an_error_of_its_own_is_told_all_the_same(self, serve) -> None:
        error, lost = ValueError(), threading.Event()

        def app(environ, start_response):
            assert lost.wait(10)
            raise error

        async def script(exchange):
            exchange.lose()
            lost.set()

        assert serve(app, None, script).crashes == [error]

    def test_half_closed_peers_are_answered(self, serve) -> None:
        def app(environ, start_response):
            start_response("200 OK", [])
            for _ in range(20):
                yield b"x" * PART_BYTES

        async def script(exchange):
            exchange.feed_gone()
            while exchange.state != states.FINISHED:
                await exchange.until(
                    lambda: exchange._on_room is not None or exchange.state == states.FINISHED
                )
                exchange.read()

        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert len(exchange.body) == 20 * PART_BYTES

    @in_a_thread
    def test_the_engine_has_ended_the_exchange(self, serve) -> None:
        ended = threading.Event()

        def app(environ, start_response):
            assert ended.wait(10)
            start_response("200 OK", [])
            return iter([b"x", b"y"])

        async def script(exchange):
            exchange.state = states.FINISHED
            ended.set()

        assert serve(app, None, script).crashes == []


class TestRefusedByTheExchange:
    @pytest.mark.parametrize("streamed", [True, False])
    def test_a_head(self, serve, streamed) -> None:
        """Values are judged on the loop, when the thread may be further on."""
        closed = []

        class Body:
            def __iter__(self):
                while True:
                    yield b"x" * PART_BYTES

            def close(self):
                closed.append(True)

        def app(environ, start_response):
            start_response("200 OK", [("X-A", "b\r\nc: d")])
            return Body() if streamed else [b"x"]

        exchange = serve(app)
        (crash,) = exchange.crashes
        assert type(crash) is InvalidResponse
        assert exchange.status == 500
        assert closed == [True] * streamed


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "file"
        path.write_bytes(bytes(range(256)) * 2000)
        return path

    @staticmethod
    def wrapping(make, headers=(), prepare=lambda file: None, taken=None):
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain"), *headers])
            file = make()
            prepare(file)
            if taken is not None:
                taken.append(file)
            return environ["wsgi.file_wrapper"](file, 4096)

        return app

    @staticmethod
    async def slowly(exchange):
        while exchange.state < states.FINISHED:
            await exchange.until(
                lambda: exchange._on_room is not None or exchange.state >= states.FINISHED
            )
            exchange.read()

    @pytest.mark.parametrize("kind", ["buffered", "raw", "temporary", "framework"])
    def test_a_regular_file(self, serve, path, kind) -> None:
        class Framework:  # as Django's File
            def __init__(self):
                self.file = path.open("rb")
                self.close = self.file.close

        def make():
            if kind == "temporary":
                file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the server closes it
                file.write(path.read_bytes())
                file.seek(0)
                return file
            if kind == "framework":
                return Framework()
            return path.open("rb", buffering=-1 if kind == "buffered" else 0)

        taken = []
        before = len(os.listdir("/proc/self/fd"))
        exchange = MemoryExchange(room_bytes=1000)
        serve(self.wrapping(make, taken=taken), exchange, self.slowly)
        assert exchange.body == path.read_bytes()
        assert (b"content-length", b"512000") in exchange.fields
        assert exchange.crashes == []
        assert getattr(taken[0], "file", taken[0]).closed
        taken.clear()
        assert len(os.listdir("/proc/self/fd")) == before

    def test_the_thread_is_free_while_it_is_sent(self, run, path) -> None:
        async def main():
            app = self.wrapping(lambda: path.open("rb"))
            interface = load("wsgi")(app, context(asyncio.get_running_loop()))
            exchange = MemoryExchange(room_bytes=0)
            interface.serve(exchange)
            await exchange.until(lambda: exchange._on_room is not None)
            await interface.settle()
            assert exchange.state == states.STARTED
            await self.slowly(exchange)
            await interface.shutdown()
            assert exchange.body == path.read_bytes()

        run(main())

    @pytest.mark.parametrize("moved", ["seek", "read", "readline"])
    def test_from_where_it_stands(self, serve, path, moved) -> None:
        exchange = serve(
            self.wrapping(lambda: path.open("rb"), (), lambda f: getattr(f, moved)(100))
        )
        with path.open("rb") as file:
            getattr(file, moved)(100)
            assert exchange.body == file.read()

    def test_a_declared_length_is_kept(self, serve, path) -> None:
        app = self.wrapping(lambda: path.open("rb"), [("Content-Length", "1000")])
        exchange = serve(app)
        assert exchange.body == path.read_bytes()[:1000]
        assert [name for name, _ in exchange.fields].count(b"Content-Length") == 1

    def test_a_declared_length_beyond_the_file(self, serve, path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        app = self.wrapping(lambda: path.open("rb"), [("Content-Length", "999999")])
        exchange = serve(app)
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.status == 500
        assert len(os.listdir("/proc/self/fd")) == before

    def test_an_empty_file(self, serve, tmp_path) -> None:
        (tmp_path / "empty").touch()
        exchange = serve(self.wrapping(lambda: (tmp_path / "empty").open("rb")))
        assert (exchange.body, exchange.state_name) == (b"", "finished")

    def test_head(self, serve, path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        app = self.wrapping(lambda: path.open("rb"))
        exchange = serve(app, MemoryExchange(request(method="HEAD")))
        assert (exchange.body, exchange.state_name) == (b"", "finished")
        assert (b"content-length", b"512000") in exchange.fields
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_file_that_shrinks_is_cut(self, serve, path) -> None:
        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            os.truncate(path, 140_000)
            await self.slowly(exchange)

        exchange = MemoryExchange(room_bytes=0)
        serve(self.wrapping(lambda: path.open("rb")), exchange, script)
        assert exchange.state_name == "aborted"
        (crash,) = exchange.crashes
        assert str(crash) == "a file became shorter while it was sent"

    def test_the_peer_leaves_meanwhile(self, serve, path) -> None:
        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            exchange.lose()

        before = len(os.listdir("/proc/self/fd"))
        exchange = MemoryExchange(room_bytes=0)
        serve(self.wrapping(lambda: path.open("rb")), exchange, script)
        assert (exchange.state_name, exchange.crashes) == ("aborted", [])
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_refused_head_closes_it(self, serve, path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        exchange = serve(self.wrapping(lambda: path.open("rb"), [("X-A", "\r\n")]))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert len(os.listdir("/proc/self/fd")) == before

    @pytest.mark.parametrize("kind", ["memory", "gzip", "gzip in a buffer", "pipe", "minimal"])
    def test_everything_else_is_read(self, serve, tmp_path, kind) -> None:
        content = b"content " * 5000

        class Minimal:
            def __init__(self):
                self.rest = content

            def read(self, size):
                part, self.rest = self.rest[:size], self.rest[size:]
                return part

        def make():
            if kind == "minimal":
                return Minimal()
            if kind == "memory":
                return io.BytesIO(content)
            if kind == "pipe":
                reader, writer = os.pipe()
                os.write(writer, content)
                os.close(writer)
                return open(reader, "rb")
            (tmp_path / "z").write_bytes(gzip.compress(content))
            file = gzip.open(tmp_path / "z")  # noqa: SIM115 - the server closes it
            return io.BufferedReader(file) if kind == "gzip in a buffer" else file

        exchange = serve(self.wrapping(make))
        assert (exchange.body, exchange.crashes) == (content, [])
        assert b"content-length" not in dict(exchange.fields)

    def test_behind_write(self, serve, path) -> None:
        def app(environ, start_response):
            start_response("200 OK", [])(b"before")
            return environ["wsgi.file_wrapper"](path.open("rb"))

        assert serve(app).body == b"before" + path.read_bytes()

    def test_through_the_validator(self, serve, path) -> None:
        app = self.wrapping(lambda: path.open("rb"))
        assert serve(validator(app)).body == path.read_bytes()

"""`wsgi.input`, small and streamed, against io.BytesIO."""

import asyncio
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from wsgiref.validate import validator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from granian_d.errors import BodyTooLarge, Disconnected
from granian_d.interface.registry import load
from granian_d.interface.wsgi.intake import COLLECT_BYTES, BodyStream

from .memory import MemoryExchange, context, request
from .wsgi_serving import place, serve

__all__ = ["place", "serve"]

POST = request(method="POST", content_length=None)


def reading(take, results):
    """An application that gives its input to `take`."""

    def app(environ, start_response):
        results.append(take(environ["wsgi.input"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return []

    return app


# What an application may do with its input, and what io.BytesIO makes of the same.
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 70)),
        st.tuples(st.just("read1"), st.integers(0, 70)),
        st.tuples(st.just("readline"), st.integers(-1, 20)),
        st.tuples(st.just("readlines"), st.integers(0, 40)),
        st.tuples(st.just("next"), st.none()),
    ),
    max_size=12,
)


def perform(stream, operations):
    """The results of operations, and at last of reading the rest."""
    results = []
    for name, argument in operations:
        if name == "next":
            results.append(next(stream, b""))
        elif name == "read1":
            # As much as happens to be there: only all of it together can be compared.
            part = stream.read1(argument)
            results.append(part + stream.read(argument - len(part)))
        elif name == "readlines":
            # Streams differ in whether they stop at the hint or behind it: go behind it.
            lines = stream.readlines(argument)
            while argument and 0 < sum(map(len, lines)) <= argument and (line := stream.readline()):
                lines.append(line)
            results.append(lines)
        else:
            results.append(getattr(stream, name)(argument))
    return [*results, stream.read(), stream.read(), stream.readline(), list(stream)]


class OtherThread(ThreadPoolExecutor):
    """A thread in the place of the loop's; a fault in it reaches the test."""

    def __init__(self):
        super().__init__(max_workers=1)
        self.futures = []

    def call_soon_threadsafe(self, callback):
        self.futures.append(self.submit(callback))

    def check(self):
        for future in self.futures:
            future.result()
        self.futures.clear()


@pytest.fixture(scope="module")
def other_thread():
    with OtherThread() as thread:
        yield thread


class TestStream:
    @given(
        parts=st.lists(st.binary(min_size=1, max_size=40) | st.just(b"a\nb\r\n"), max_size=8),
        held=st.integers(0, 8),
        buffer_bytes=st.integers(1, 64),
        operations=OPERATIONS,
    )
    @settings(max_examples=400, deadline=None)
    def test_is_what_bytes_io_is(self, other_thread, parts, held, buffer_bytes, operations) -> None:
        stream = BodyStream(MemoryExchange(POST, parts[held:]), other_thread, parts[:held])
        oracle = io.BytesIO(b"".join(parts))
        with io.BufferedReader(stream, buffer_bytes) as body:
            assert perform(body, operations) == perform(oracle, operations)
        other_thread.check()

    def test_a_closed_one_pulls_no_more(self, other_thread) -> None:
        exchange = MemoryExchange(POST, [b"x"] * 3)
        stream = BodyStream(exchange, other_thread, [b"first"])
        stream.close()
        stream.pump()
        assert exchange.pulls == 0
        with pytest.raises(ValueError, match="closed"):
            io.BufferedReader(stream).read()


@pytest.mark.parametrize("body", [b"", b"small\nbody", b"x" * COLLECT_BYTES])
def test_a_small_body_is_whole(serve, body) -> None:
    results = []
    exchange = serve(reading(lambda stream: stream.read(), results), MemoryExchange(POST, body))
    assert results == [body]
    assert exchange.crashes == []


@pytest.mark.parametrize(
    "take",
    [
        b"".join,
        lambda stream: b"".join(iter(lambda: stream.read(1000), b"")),
        lambda stream: stream.read(10) + stream.readline() + b"".join(stream.readlines()),
        lambda stream: stream.read(400_000) + stream.read(1),
    ],
)
def test_a_large_body_is_streamed(serve, take) -> None:
    parts = [bytes([number % 250]) * 9_999 + b"\n" for number in range(40)]
    results = []
    exchange = serve(validator(reading(take, results)), MemoryExchange(POST, parts))
    assert exchange.crashes == []
    assert results == [b"".join(parts)]


def test_a_large_body_is_read_at_once(serve) -> None:
    parts = [bytes([number]) * 10_000 for number in range(40)]
    results = []
    serve(reading(lambda stream: stream.read(), results), MemoryExchange(POST, parts))
    assert results == [b"".join(parts)]


def test_no_thread_is_taken_for_a_slow_small_body(run) -> None:
    def app(environ, start_response):
        bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    bodies = []

    async def main():
        interface = load("wsgi")(app, context(asyncio.get_running_loop(), blocking_threads=1))
        slow = [MemoryExchange(POST, None) for _ in range(3)]
        for exchange in slow:
            interface.serve(exchange)
            exchange.feed(b"be")
        assert len(interface._pool) == 0
        quick = MemoryExchange(POST, b"quick")
        interface.serve(quick)
        await quick.ended()
        for exchange in slow:
            exchange.feed(b"gun")
            exchange.feed_end()
            await exchange.ended()
        await interface.shutdown()

    run(main())
    assert bodies == [b"quick", b"begun", b"begun", b"begun"]


def test_a_slow_application_slows_the_peer(serve) -> None:
    """What is not read stays in the exchange, where the engine sees it and stops reading."""
    read, held = threading.Event(), []

    def app(environ, start_response):
        assert read.wait(10)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"%d" % len(body)]

    async def script(exchange):
        await exchange.until(lambda: exchange.pulls)
        held.append(len(exchange._parts))
        read.set()

    exchange = MemoryExchange(POST, [b"x" * 10_000] * 100)
    serve(app, exchange, script)
    assert held == [93]  # seven parts are more than COLLECT_BYTES
    assert exchange.body == b"1000000"


class TestBreaking:
    def test_before_it_begins(self, run) -> None:
        def app(environ, start_response):
            called.append(True)

        called = []

        async def main():
            interface = load("wsgi")(app, context(asyncio.get_running_loop()))
            gone, refused = MemoryExchange(POST, None), MemoryExchange(POST, None)
            for exchange in (gone, refused):
                interface.serve(exchange)
                exchange.feed(b"half")
            gone.lose()
            refused.feed_error(BodyTooLarge("too large"))
            await interface.shutdown()
            for exchange in (gone, refused):
                assert exchange.crashes == []
            assert gone.state_name == "aborted"

        run(main())
        assert not called

    @pytest.mark.parametrize("how", ["gone", "too large"])
    @pytest.mark.parametrize("caught", [True, False])
    def test_while_it_is_read(self, serve, how, caught) -> None:
        raised = []

        def app(environ, start_response):
            body = environ["wsgi.input"]
            assert body.read(COLLECT_BYTES)
            try:
                body.read()
            except OSError as error:
                raised.append(error)
                if not caught:
                    raise
            start_response("200 OK", [])
            return [b"answer"]

        async def script(exchange):
            await exchange.until(lambda: exchange._on_readable is not None)
            if how == "gone":
                exchange.lose()
            else:
                exchange.feed_error(BodyTooLarge("too large"))

        exchange = MemoryExchange(POST, None)
        exchange.feed(b"x" * (COLLECT_BYTES + 1))
        serve(app, exchange, script)
        assert type(raised[0]) is Disconnected
        assert exchange.crashes == []

    def test_what_has_arrived_can_be_read(self, serve) -> None:
        got = []

        def app(environ, start_response):
            body = environ["wsgi.input"]
            with pytest.raises(OSError):
                while part := body.read1():
                    got.append(part)
            start_response("200 OK", [])
            return []

        exchange = MemoryExchange(POST, None)
        exchange.feed(b"x" * (COLLECT_BYTES + 1))
        exchange.feed_error(BodyTooLarge("too large"))
        serve(app, exchange)
        assert b"".join(got) == b"x" * (COLLECT_BYTES + 1)
        assert exchange.crashes == []

    @pytest.mark.parametrize("size", [10, COLLECT_BYTES * 3])
    def test_after_the_request(self, serve, size) -> None:
        bodies = []
        exchange = MemoryExchange(POST, b"x" * size)
        serve(reading(bodies.append, []), exchange)
        with pytest.raises(ValueError, match="closed"):
            bodies[0].read()

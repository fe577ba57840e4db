"""A call on the loop: its parts, what it finds there, and who beats meanwhile."""

import asyncio
import contextvars
import gc
import os
import signal
import threading
import weakref

import pytest
import uvloop

from granian_d.errors import FlowError
from granian_d.http import states
from granian_d.http.turn import Turn
from granian_d.interface.wsgi.loop_call import WRITTEN_BYTES
from granian_d.interface.wsgi.visit import Visit
from tests.wire.harness import ENGINES

from .memory import MemoryExchange
from .test_through_engine import GET, Connection, wsgi
from .wsgi_serving import LOOP, Clock, Notes, ask, ok, play

__all__ = ["play"]


class TestStreaming:
    def test_as_fast_as_the_peer(self, play) -> None:
        made, ahead, where = [], [], Notes()

        def app(environ, start_response):
            ok(start_response)
            for number in range(40):
                where.take()
                made.append(number)
                yield b"%02d" % number

        async def script(interface):
            exchange = MemoryExchange(room_bytes=0)
            interface.serve(exchange)
            while exchange.state != states.FINISHED:
                await exchange.until(
                    lambda: exchange._on_room is not None or exchange.state == states.FINISHED
                )
                ahead.append(len(made) - len(exchange.sends))
                exchange.read()
            assert exchange.body == b"".join(b"%02d" % number for number in range(40))
            assert exchange.crashes == []

        play(app, script)
        assert max(ahead) == 0
        assert set(where) == {LOOP}

    def test_the_loop_turns_before_the_application_goes_on(self, play) -> None:
        turns = []

        def app(environ, start_response):
            loop = environ["test.loop"]
            ok(start_response)
            for _ in range(3):
                turns.append("sent")
                loop.call_soon(turns.append, "turned")
                yield b"part"
            turns.append("end")
            loop.call_soon(turns.append, "turned")

        class Closing:
            def __init__(self, parts):
                self.parts = parts

            def __iter__(self):
                return self.parts

            def close(self):
                turns.append("close")

        def on_loop(loop):
            def wrapped(environ, start_response):
                return Closing(app({**environ, "test.loop": loop}, start_response))

            return wrapped

        async def script(interface):
            interface.app = on_loop(asyncio.get_running_loop())
            assert (await ask(interface)).body == b"part" * 3

        play(app, script)
        assert turns == ["sent", "turned"] * 3 + ["end", "turned", "close"]

    def test_nothing_but_empty_parts(self, play) -> None:
        """They hold nobody up, neither the loop nor the end."""
        left = []

        def app(environ, start_response):
            ok(start_response)
            while not left:
                yield b""

        async def script(interface):
            exchange = MemoryExchange()
            interface.serve(exchange)
            for _ in range(3):
                await asyncio.sleep(0)
            left.append(True)
            await exchange.ended()
            assert (exchange.body, exchange.crashes) == (b"", [])

        play(app, script)

    @pytest.mark.parametrize("when", ["room", "turn"])
    def test_the_peer_goes(self, play, when) -> None:
        closed = []

        class Endless:
            def __iter__(self):
                while True:
                    yield b"x"

            def close(self):
                closed.append(threading.current_thread().name)

        def app(environ, start_response):
            ok(start_response)
            return Endless()

        async def script(interface):
            exchange = MemoryExchange(room_bytes=0 if when == "room" else 1000)
            interface.serve(exchange)
            exchange.lose()
            exchange.feed_gone()
            await interface.settle()
            assert (exchange.crashes, exchange.state_name) == ([], "aborted")

        play(app, script)
        assert closed == [LOOP]

    def test_nothing_is_left_of_the_request(self, play) -> None:
        class Thing:
            pass

        def app(environ, start_response):
            environ["thing"] = thing = Thing()
            things.append(weakref.ref(thing))
            ok(start_response)
            while True:
                yield b"x"

        things = []

        async def script(interface):
            exchange = MemoryExchange(room_bytes=0)
            interface.serve(exchange)
            exchange.lose()

        gc.collect()
        gc.disable()
        try:
            play(app, script)
            assert things[0]() is None
        finally:
            gc.enable()

    def test_write_has_an_end(self, play) -> None:
        part = b"x" * (1 << 20)

        def app(environ, start_response):
            write = ok(start_response)
            while True:
                write(part)

        async def script(interface):
            exchange = await ask(interface)
            assert [type(error) for error in exchange.crashes] == [FlowError]
            assert exchange.state_name == "aborted"
            assert exchange.sent_bytes == WRITTEN_BYTES + len(part)

        play(app, script)


class TestGuest:
    """What application code finds on the loop's thread."""

    def test_one_context_from_the_call_to_close(self, play) -> None:
        variable = contextvars.ContextVar("variable", default="clean")
        seen = []

        class Body:
            def __iter__(self):
                for step in ("one", "two"):
                    seen.append(variable.get())
                    variable.set(step)
                    yield b"x"

            def close(self):
                seen.append(variable.get())

        def app(environ, start_response):
            seen.append(variable.get())
            variable.set("called")
            ok(start_response)
            return Body()

        async def script(interface):
            for _ in range(2):
                await ask(interface)
            assert variable.get() == "clean"

        play(app, script)
        assert seen == ["clean", "called", "one", "two"] * 2

    def test_no_event_loop(self, play) -> None:
        found = []

        async def inner():
            await asyncio.sleep(0)
            return b"inner"

        def look():
            for get in (asyncio.get_running_loop, asyncio.get_event_loop):
                with pytest.raises(RuntimeError, match="no"):
                    get()
            found.append(asyncio.run(inner()))
            found.append(uvloop.run(inner()))

        class Body:
            def __iter__(self):
                look()
                yield b"x"

            def close(self):
                look()

        def app(environ, start_response):
            look()
            ok(start_response)
            return Body()

        async def script(interface):
            loop = asyncio.get_running_loop()
            told = asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR1, told.set)
            exchange = MemoryExchange()
            loop.call_soon(interface.serve, exchange)
            await exchange.ended()
            await interface.settle()
            assert exchange.crashes == []
            assert asyncio.get_running_loop() is loop
            os.kill(os.getpid(), signal.SIGUSR1)
            await told.wait()
            loop.remove_signal_handler(signal.SIGUSR1)

        play(app, script)
        assert found == [b"inner"] * 6

    @pytest.mark.parametrize("error", [ValueError(), SystemExit(1), KeyboardInterrupt()])
    def test_the_loop_is_back_after_a_failure(self, play, error) -> None:
        def app(environ, start_response):
            raise error

        async def script(interface):
            loop = asyncio.get_running_loop()
            for _ in range(2):
                assert (await ask(interface)).crashes == [error]
                assert asyncio.get_running_loop() is loop

        play(app, script)


class TestOnAnEngine:
    """What reaches the wire, with the application inside of the engine's own calls."""

    @pytest.fixture(params=list(ENGINES))
    def connected(self, play, request):
        """Run a script over a connection to the application of the tests next door."""

        def connected(script, high_water=None):
            async def with_connection(interface):
                connection = Connection(ENGINES[request.param], interface, high_water)
                connections.append(connection)
                await script(connection)

            connections = []
            play(wsgi, with_connection)
            return connections[0]

        return connected

    def test_requests_behind_one_another(self, connected) -> None:
        """Whole answers, streams, files that are missing and bodies, on one connection."""
        post = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"

        async def script(connection):
            requests = (GET % b"/n%d" % n + GET % b"/long" + post for n in range(6))
            connection.feed(b"".join(requests) + GET % b"/missing" + GET % b"/last")
            while not connection.wire.sent.endswith(b"/last."):
                await connection.until(
                    lambda wire: (
                        wire.queued_bytes() > wire.high_water or wire.sent.endswith(b"/last.")
                    )
                )
                connection.wire.taken = len(connection.wire.sent)
                connection.endpoint.feed_room()
            sent = connection.wire.sent
            positions = [sent.index(b"/n%d." % number) for number in range(6)]
            assert positions == sorted(positions)
            assert sent.count(b"end\r\n0\r\n\r\n") == 6
            assert sent.count(b"abc") == 6

        connection = connected(script, high_water=30_000)
        assert len(connection.observer.over) == 20
        assert [type(fault) for fault in connection.observer.faults] == [FileNotFoundError]

    def test_a_reader_that_leaves(self, connected) -> None:
        async def script(connection):
            connection.feed(GET % b"/long")
            await connection.until(lambda wire: wire.queued_bytes() > wire.high_water)
            connection.endpoint.feed_lost()

        connection = connected(script, high_water=30_000)
        assert connection.observer.faults == []
        assert len(connection.observer.over) == 1


class TestTurns:
    """Within a turn the loop is hidden once, and shown when the turn ends."""

    def test_hidden_from_the_first_call_to_the_end_of_the_turn(self, play) -> None:
        turn = Turn()
        inside = []

        def running():
            try:
                return asyncio.get_running_loop()
            except RuntimeError:
                return None

        def app(environ, start_response):
            inside.append(running())
            ok(start_response)
            return [b"x"]

        async def script(interface):
            loop = asyncio.get_running_loop()
            for _ in range(2):
                turn.begin()
                assert running() is loop
                for _ in range(3):
                    exchange = MemoryExchange()
                    interface.serve(exchange)
                    assert exchange.body == b"x"
                    assert running() is None
                turn.end()
                assert running() is loop
            interface.serve(MemoryExchange())  # in no turn
            assert running() is loop

        play(app, script, turn=turn)
        assert inside == [None] * 7

    def test_a_loop_of_the_application(self, play) -> None:
        turn = Turn()

        async def inner():
            return b"inner"

        def app(environ, start_response):
            ok(start_response)
            return [asyncio.run(inner())]

        async def script(interface):
            loop = asyncio.get_running_loop()
            turn.begin()
            exchanges = [MemoryExchange() for _ in range(3)]
            for exchange in exchanges:
                interface.serve(exchange)
            turn.end()
            assert [exchange.body for exchange in exchanges] == [b"inner"] * 3
            assert asyncio.get_running_loop() is loop

        play(app, script, turn=turn)


class TestBeats:
    """A worker whose loop is held up by the application is alive."""

    class Heart:
        def __init__(self):
            self.beats = threading.Semaphore(0)

        def __call__(self):
            self.beats.release()

        def await_beats(self, count):
            for _ in range(count):
                assert self.beats.acquire(timeout=10)

    def test_while_a_call_holds_the_loop(self, play) -> None:
        heart = self.Heart()

        def app(environ, start_response):
            heart.await_beats(1)
            ok(start_response)
            return [b"x"]

        async def script(interface):
            assert (await ask(interface)).crashes == []

        play(app, script, beat=heart)
        assert all(thread.name != "wsgi-beat" for thread in threading.enumerate())

    def test_none_without_calls(self, loop) -> None:
        heart = self.Heart()
        visit = Visit(loop, Clock(), heart, 0.001)
        for _ in range(5):
            visit.enter()
            heart.await_beats(3)
            visit.leave()
            while not visit._asleep:
                heart.beats.acquire(timeout=0.01)
            while heart.beats.acquire(blocking=False):
                pass
            assert not heart.beats.acquire(timeout=0.02)
        visit.close()
        asyncio._set_running_loop(None)

    def test_a_system_without_threads(self, loop, monkeypatch) -> None:
        def refuse(thread):
            raise RuntimeError("can't start new thread")

        heart = self.Heart()
        visit = Visit(loop, Clock(), heart, 0.001)
        with monkeypatch.context() as without:
            without.setattr(threading.Thread, "start", refuse)
            visit.enter()
            visit.leave()
        visit.enter()
        heart.await_beats(2)
        visit.leave()
        visit.close()
        asyncio._set_running_loop(None)

"""One call at a time: on the loop or in the thread, and when which."""

import asyncio
import contextvars
import gc
import os
import random
import signal
import threading
import weakref

import pytest
import uvloop

from granian_d.errors import FlowError
from granian_d.http import states
from granian_d.interface.registry import load
from granian_d.interface.wsgi.intake import COLLECT_BYTES
from granian_d.interface.wsgi.lone import BREATH_NS, PROOF_CALLS, SLOW_NS
from granian_d.interface.wsgi.loop_call import WRITTEN_BYTES
from granian_d.interface.wsgi.visit import Visit

from .memory import MemoryExchange, context, request
from .wsgi_serving import prove

POST = request(method="POST", content_length=None)
LOOP, THREAD = "MainThread", "wsgi-1"


class Clock:
    """Time as the test wants it."""

    def __init__(self):
        self.ns = 0

    def __call__(self):
        return self.ns


class Notes(list):
    """Where calls ran: the names of their threads."""

    def take(self):
        self.append(threading.current_thread().name)


class Turned(MemoryExchange):
    """An exchange of an engine that begins the next request from within the last `send`."""

    __slots__ = ("then",)

    def _end(self):
        super()._end()
        self.then()


@pytest.fixture
def play(run):
    """Run a script over an interface with one thread."""

    def play(app, script, *, proved=True, **changes):
        async def main():
            facts = {"blocking_threads": 1, "clock_ns": Clock(), **changes}
            interface = load("wsgi")(app, context(asyncio.get_running_loop(), **facts))
            if proved:
                prove(interface)
            await interface.startup()
            await script(interface)
            await interface.settle()
            await interface.shutdown()
            interface.close()
            await asyncio.sleep(0)

        run(main())

    return play


async def ask(interface, exchange=None):
    exchange = exchange or MemoryExchange()
    interface.serve(exchange)
    await exchange.ended()
    await interface.settle()
    return exchange


async def slowly(exchange):
    """Read part by part, to the end."""
    while exchange.state < states.FINISHED:
        await exchange.until(
            lambda: exchange._on_room is not None or exchange.state >= states.FINISHED
        )
        exchange.read()


def ok(start_response):
    return start_response("200 OK", [("Content-Type", "text/plain")])


class TestProof:
    """Who is quick is called on the loop."""

    @staticmethod
    def noting(where, during=lambda: None):
        def app(environ, start_response):
            where.take()
            during()
            ok(start_response)
            return [b"x"]

        return app

    def test_a_row_of_quick_calls_is_the_proof(self, play) -> None:
        where = Notes()

        async def script(interface):
            for _ in range(PROOF_CALLS + 2):
                exchange = await ask(interface)
                assert (exchange.body, exchange.crashes) == (b"x", [])

        play(self.noting(where), script, proved=False)
        assert where == [THREAD] * PROOF_CALLS + [LOOP] * 2

    def test_a_slow_call_in_the_thread_begins_the_row_anew(self, play) -> None:
        where, clock = Notes(), Clock()

        def during():
            if len(where) == PROOF_CALLS:
                clock.ns += SLOW_NS + 1

        async def script(interface):
            for _ in range(2 * PROOF_CALLS + 1):
                await ask(interface)

        play(self.noting(where, during), script, proved=False, clock_ns=clock)
        assert where == [THREAD] * 2 * PROOF_CALLS + [LOOP]

    @pytest.mark.parametrize(("spent_ns", "slow"), [(SLOW_NS, False), (SLOW_NS + 1, True)])
    def test_a_slow_call_on_the_loop_sends_those_behind_it_away(self, play, spent_ns, slow) -> None:
        where, clock = Notes(), Clock()

        def during():
            if len(where) == 1:
                clock.ns += spent_ns

        async def script(interface):
            for _ in range(PROOF_CALLS + 2):
                await ask(interface)

        play(self.noting(where, during), script, clock_ns=clock)
        away = [THREAD if slow else LOOP] * PROOF_CALLS
        assert where == [LOOP, *away, LOOP]

    def test_a_slow_close_counts_as_well(self, play) -> None:
        where, clock = Notes(), Clock()

        class Body(list):
            def close(self):
                clock.ns += SLOW_NS + 1

        def app(environ, start_response):
            where.take()
            ok(start_response)
            return Body([b"x"])

        async def script(interface):
            await ask(interface)
            await ask(interface)

        play(app, script, clock_ns=clock)
        assert where == [LOOP, THREAD]

    def test_whoever_waits_for_its_peer_is_slow(self, play) -> None:
        where = Notes()

        def app(environ, start_response):
            where.take()
            ok(start_response)
            yield b"one"
            yield b"two"

        async def script(interface):
            exchange = MemoryExchange(room_bytes=0)
            interface.serve(exchange)
            await slowly(exchange)
            await interface.settle()
            await ask(interface)

        play(app, script)
        assert where == [LOOP, THREAD]

    def test_whoever_uses_write_stays_in_the_thread(self, play) -> None:
        where = Notes()

        def app(environ, start_response):
            where.take()
            write = ok(start_response)
            if len(where) == 1:
                write(b"by hand")
            return []

        async def script(interface):
            assert (await ask(interface)).body == b"by hand"
            for _ in range(PROOF_CALLS + 1):
                await ask(interface)

        play(app, script)
        assert where == [LOOP] + [THREAD] * (PROOF_CALLS + 1)

    def test_more_threads_than_one_are_always_used(self, run) -> None:
        where = Notes()

        async def main():
            interface = load("wsgi")(
                self.noting(where), context(asyncio.get_running_loop(), blocking_threads=2)
            )
            for _ in range(PROOF_CALLS + 2):
                await ask(interface)
            await interface.shutdown()

        run(main())
        assert LOOP not in where


class TestBodies:
    """What may have to be waited for is read in the thread."""

    @pytest.mark.parametrize(
        ("parts", "place"),
        [
            ([b"x" * 100], LOOP),
            ([b"x"] * 100, LOOP),
            ([b"x" * COLLECT_BYTES], LOOP),
            ([b"x" * COLLECT_BYTES, b"x"], THREAD),
        ],
    )
    def test_that_are_here(self, play, parts, place) -> None:
        where, got = Notes(), []

        def app(environ, start_response):
            where.take()
            got.append(environ["wsgi.input"].read())
            ok(start_response)
            return []

        async def script(interface):
            await ask(interface, MemoryExchange(POST, parts))

        play(app, script)
        assert where == [place]
        assert got == [b"".join(parts)]

    def test_that_come_slowly(self, play) -> None:
        where, got = Notes(), []

        def app(environ, start_response):
            where.take()
            got.append(environ["wsgi.input"].read())
            ok(start_response)
            return []

        async def script(interface):
            exchange = MemoryExchange(POST, None)
            interface.serve(exchange)
            exchange.feed(b"slow")
            assert not where
            exchange.feed_end()
            await exchange.ended()

        play(app, script)
        assert (where, got) == ([LOOP], [b"slow"])


class TestOneAtATime:
    @pytest.mark.parametrize("seed", range(8))
    def test_wherever_they_run(self, play, seed) -> None:
        chance = random.Random(seed)
        alone, where, clock = threading.Lock(), Notes(), Clock()

        class Body:
            def __init__(self, parts):
                self.parts = iter(parts)

            def __iter__(self):
                return self.parts

            def close(self):
                alone.release()

        def app(environ, start_response):
            assert alone.acquire(blocking=False)
            where.take()
            ok(start_response)
            environ["wsgi.input"].read()
            clock.ns += int(environ["QUERY_STRING"])
            if environ["PATH_INFO"] == "/whole":
                alone.release()
                return [b"end"]
            return Body([b"", b"part", b"part", b"end"])

        def exchange():
            path = chance.choice([b"/whole", b"/parts"])
            spent_ns = chance.choice([0, 0, 0, BREATH_NS * 2])
            head = request(b"%b?%d" % (path, spent_ns), "POST", content_length=None)
            body = [b"x" * COLLECT_BYTES, b"x"] if chance.random() < 0.1 else [b"x"]
            return MemoryExchange(head, body, room_bytes=chance.choice([0, 1 << 20]))

        async def script(interface):
            for _ in range(12):
                prove(interface)
                exchanges = [exchange() for _ in range(25)]
                for number, one in enumerate(exchanges):
                    interface.serve(one)
                    if chance.random() < 0.3:
                        await asyncio.sleep(0)
                        exchanges[chance.randint(0, number)].read()
                for one in exchanges:
                    await slowly(one)
                    assert one.body.endswith(b"end")
                    assert one.crashes == []
                await interface.settle()

        play(app, script, clock_ns=clock)
        assert set(where) == {LOOP, THREAD}

    @pytest.mark.parametrize("waits_for", ["room", "close"])
    def test_the_next_call_waits_for_close(self, play, waits_for) -> None:
        events = []

        def app(environ, start_response):
            name = environ["PATH_INFO"]
            events.append(f"call {name}")
            ok(start_response)
            try:
                yield b"part"
                if waits_for == "room":
                    yield b"part"
            finally:
                events.append(f"closed {name}")

        async def script(interface):
            room_bytes = 0 if waits_for == "room" else 1000
            first = MemoryExchange(request(b"/1"), room_bytes=room_bytes)
            others = [MemoryExchange(request(b"/%d" % number)) for number in (2, 3)]
            for exchange in (first, *others):
                interface.serve(exchange)
            if waits_for == "room":
                await first.until(lambda: first._on_room is not None)
                await asyncio.sleep(0)
            assert events == ["call /1"]
            await slowly(first)
            for exchange in others:
                await exchange.ended()

        play(app, script)
        assert events == [f"{what} /{n}" for n in (1, 2, 3) for what in ("call", "closed")]

    @pytest.mark.parametrize("streamed", [True, False])
    def test_a_request_that_begins_with_the_end_of_another(self, play, streamed) -> None:
        """On one connection, and as deep as there are requests in its buffer."""
        where = Notes()

        def app(environ, start_response):
            where.take()
            ok(start_response)
            return iter([b"a", b"b"]) if streamed else [b"ab"]

        async def script(interface):
            exchanges = [Turned() for _ in range(2000)]
            following = iter(exchanges[1:])

            def then():
                exchange = next(following, None)
                if exchange is not None:
                    exchange.then = then
                    interface.serve(exchange)

            exchanges[0].then = then
            interface.serve(exchanges[0])
            for exchange in exchanges:
                await exchange.ended()
                assert exchange.body == b"ab"

        play(app, script)
        assert where == [LOOP] * 2000

    def test_a_pause_behind_a_long_call(self, play) -> None:
        """So that its answer leaves before the next call is made."""
        clock = Clock()

        def app(environ, start_response):
            clock.ns += BREATH_NS + (environ["PATH_INFO"] == "/long")
            ok(start_response)
            return [b"x"]

        async def script(interface):
            short, long, behind = (MemoryExchange(request(p)) for p in (b"/", b"/long", b"/"))
            for exchange in (short, long, behind):
                interface.serve(exchange)
            assert (short.state, long.state) == (states.FINISHED, states.FINISHED)
            assert behind.state == states.AWAITED
            await behind.ended()

        play(app, script, clock_ns=clock)


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


class TestSettling:
    def test_waits_for_all_of_them(self, play) -> None:
        called = []

        def app(environ, start_response):
            called.append(environ["PATH_INFO"])
            ok(start_response)
            return iter([b"x", b"y"])

        async def script(interface):
            slow = MemoryExchange(request(b"/slow"), room_bytes=0)
            behind = MemoryExchange(request(b"/behind"))
            interface.serve(slow)
            interface.serve(behind)
            settling = asyncio.ensure_future(interface.settle())
            await asyncio.sleep(0)
            assert not settling.done()
            await slowly(slow)
            await settling
            assert (slow.body, behind.body) == (b"xy", b"xy")

        play(app, script)
        assert called == ["/slow", "/behind"]

    def test_may_be_given_up(self, play) -> None:
        def app(environ, start_response):
            ok(start_response)
            return iter([b"x", b"y"])

        async def script(interface):
            exchange = MemoryExchange(room_bytes=0)
            interface.serve(exchange)
            settling = asyncio.ensure_future(interface.settle())
            await asyncio.sleep(0)
            settling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await settling
            await slowly(exchange)
            await interface.settle()

        play(app, script)


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
            heart.await_beats(2)
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

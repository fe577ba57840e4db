"""One call at a time: on the loop or in the thread, and when which."""

import asyncio
import random
import threading

import pytest

from granian_d.http import states
from granian_d.interface.registry import load
from granian_d.interface.wsgi.intake import COLLECT_BYTES
from granian_d.interface.wsgi.lone import BREATH_NS, PROOF_CALLS, SLOW_NS

from .memory import MemoryExchange, context, request
from .wsgi_serving import LOOP, THREAD, Clock, Notes, Turned, ask, ok, play, prove, slowly

__all__ = ["play"]

POST = request(method="POST", content_length=None)


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

    @pytest.mark.parametrize("fault", ["slow", None])
    def test_the_thread_is_left_under_load(self, play, fault) -> None:
        """There is always a next request while one is answered, and it does not wait for ever."""
        where, clock, most = Notes(), Clock(), 4 * PROOF_CALLS
        exchanges = []

        def app(environ, start_response):
            where.take()
            if fault and len(where) == PROOF_CALLS:
                clock.ns += SLOW_NS + 1
            ok(start_response)
            return [b"x"]

        async def script(interface):
            def serve():
                if len(exchanges) < most:
                    exchanges.append(Turned())
                    exchanges[-1].then = serve
                    interface.serve(exchanges[-1])

            for _ in range(5):
                serve()
            for number in range(most):
                await exchanges[number].ended()

        play(app, script, proved=False, clock_ns=clock)
        assert len(where) == most
        assert where[-1] == LOOP
        assert where.index(LOOP) < PROOF_CALLS * (2 if fault else 1) + 10
        assert THREAD not in where[where.index(LOOP) :]

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
            settling = [asyncio.ensure_future(interface.settle()) for _ in range(2)]
            await asyncio.sleep(0)
            assert not any(waiter.done() for waiter in settling)
            await slowly(slow)
            for waiter in settling:
                await waiter
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

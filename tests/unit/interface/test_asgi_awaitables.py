"""What `receive()` and `send(message)` return: coroutines, to everybody who looks or tries."""

import asyncio
import collections.abc
import contextlib
import gc
import inspect
import io
import types
import weakref

import anyio
import pytest

from granian_d.errors import Disconnected, FlowError
from granian_d.interface.registry import load

from .memory import MemoryExchange, context

START = {"type": "http.response.start", "status": 200}
END = {"type": "http.response.body", "body": b"end"}
DISCONNECT = {"type": "http.disconnect"}


def part(body):
    return {"type": "http.response.body", "body": body, "more_body": True}


def got(body, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.fixture
def serve(run):
    """Have an application do `steps`, then answer; its exchange, which nothing has crashed."""

    def serve(steps, exchange=None, *, script=None):
        exchange = exchange or MemoryExchange(body=b"body")

        async def app(scope, receive, send):
            await steps(receive, send)
            if exchange.state_name == "awaited":
                await send(START)
            if exchange.state_name == "started":
                await send(END)

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            if script is not None:
                await script(exchange)
            await interface.settle()
            await interface.shutdown()

        run(main())
        if exchange.crashes:
            raise exchange.crashes[0]
        return exchange

    return serve


def waiting(kind, receive, send):
    """An awaitable whose first step is not its last; the exchange has no room."""
    return receive() if kind == "receive" else send(part(b"part"))


def narrow():
    """Neither a body nor room."""
    return MemoryExchange(body=None, room_bytes=0)


KINDS = pytest.mark.parametrize("kind", ["receive", "send"])


class TestLookedAt:
    @KINDS
    def test_they_are_coroutines(self, serve, kind) -> None:
        async def steps(receive, send):
            await send(START)
            awaitable = waiting(kind, receive, send)
            assert inspect.isawaitable(awaitable)
            assert asyncio.iscoroutine(awaitable)
            assert isinstance(awaitable, collections.abc.Coroutine)
            assert not asyncio.isfuture(awaitable)

        serve(steps)

    @KINDS
    def test_in_a_task(self, serve, kind) -> None:
        async def steps(receive, send):
            await send(START)
            task = asyncio.create_task(waiting(kind, receive, send))
            await asyncio.sleep(0)
            assert "pending" in repr(task)
            task.get_stack()
            task.print_stack(file=io.StringIO())
            task.cancel()
            assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is (
                asyncio.CancelledError
            )

        serve(steps, narrow())


class TestBeforeTheFirstStep:
    def test_nothing_happens(self, serve) -> None:
        async def steps(receive, send):
            receive()
            send(START)
            assert exchange.state_name == "awaited"
            assert await receive() == got(b"body")

        exchange = MemoryExchange(body=b"body")
        assert serve(steps, exchange).body == b"end"

    def test_a_message_is_taken_in_the_order_of_steps(self, serve) -> None:
        async def steps(receive, send):
            one, two = send(part(b"1")), send(part(b"2"))
            await send(START)
            await two
            await one

        assert serve(steps).body == b"21end"

    def test_closed(self, serve) -> None:
        async def steps(receive, send):
            for awaitable in (receive(), send(START)):
                awaitable.close()
                awaitable.close()
                with pytest.raises(RuntimeError, match="already awaited"):
                    await awaitable
            assert await receive() == got(b"body")

        serve(steps)

    def test_thrown_into(self, serve) -> None:
        async def steps(receive, send):
            for awaitable in (receive(), send(START)):
                with pytest.raises(KeyError, match="x"):
                    awaitable.throw(KeyError("x"))
                with pytest.raises(RuntimeError, match="already awaited"):
                    await awaitable
            assert await receive() == got(b"body")

        serve(steps)

    def test_cancelled_as_a_task(self, serve) -> None:
        async def steps(receive, send):
            task = asyncio.create_task(receive())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await receive() == got(b"body")

        serve(steps)


class TestOnce:
    """Awaited again, as a coroutine would be, they neither take nor give anything."""

    async def spent(self, awaitable):
        with pytest.raises(RuntimeError, match="already awaited"):
            await awaitable
        with pytest.raises(RuntimeError, match="already awaited"):
            awaitable.send(None)
        with pytest.raises(RuntimeError, match="already awaited"):
            awaitable.throw(KeyError())
        awaitable.close()

    def test_done_at_once(self, serve) -> None:
        async def steps(receive, send):
            receiving = receive()
            assert await receiving == got(b"body")
            await self.spent(receiving)
            for message in (START, part(b"1"), END):
                sending = send(message)
                await sending
                await self.spent(sending)
            assert await receive() == DISCONNECT

        assert serve(steps).body == b"1end"

    def test_done_after_having_waited(self, serve) -> None:
        async def steps(receive, send):
            receiving = receive()
            assert await receiving == got(b"part", more=True)
            await self.spent(receiving)
            await send(START)
            sending = send(part(b"1"))
            await sending
            await self.spent(sending)

        async def script(exchange):
            await exchange.until(lambda: exchange._on_readable)
            exchange.feed(b"part")
            await exchange.until(lambda: exchange._on_room)
            exchange.read()

        assert serve(steps, narrow(), script=script).body == b"1end"

    def test_refused(self, serve) -> None:
        async def steps(receive, send):
            sending = send(END)
            with pytest.raises(FlowError):
                await sending
            await self.spent(sending)

        serve(steps)

    @KINDS
    def test_thrown_into_or_closed_while_they_wait(self, serve, kind) -> None:
        async def steps(receive, send):
            await send(START)
            for end in ("throw", "close"):
                awaitable = waiting(kind, receive, send)
                assert asyncio.isfuture(awaitable.send(None))
                if end == "throw":
                    with pytest.raises(KeyError):
                        awaitable.throw(KeyError())
                else:
                    awaitable.close()
                await self.spent(awaitable)

        serve(steps, narrow())


class TestThrowing:
    """The forms that generators know: a coroutine that awaits hands them on as it got them."""

    @KINDS
    @pytest.mark.parametrize("waits", [False, True])
    def test_in_every_form(self, serve, kind, waits) -> None:
        async def steps(receive, send):
            await send(START)
            error = KeyError("x")
            for form in ((error,), (KeyError, error, None), (KeyError, "x"), (KeyError, error)):
                awaitable = waiting(kind, receive, send)
                if waits:
                    awaitable.send(None)
                with pytest.raises(KeyError, match="x"):
                    awaitable.throw(*form)

        serve(steps, narrow())

    @KINDS
    def test_through_what_awaits_them(self, serve, kind) -> None:
        async def steps(receive, send):
            @contextlib.asynccontextmanager
            async def managed():
                try:
                    yield
                finally:
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(waiting(kind, receive, send), 0.001)

            @types.coroutine
            def generated():
                yield from waiting(kind, receive, send)

            await send(START)
            with pytest.raises(ValueError):
                async with managed():
                    raise ValueError
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await generated()

        serve(steps, narrow())


class TestWaysToRun:
    def test_as_tasks(self, serve) -> None:
        async def steps(receive, send):
            assert await asyncio.create_task(receive()) == got(b"body")
            await asyncio.ensure_future(send(START))
            async with asyncio.TaskGroup() as group:
                group.create_task(send(part(b"1")))
                group.create_task(send(part(b"2")))
            async with anyio.create_task_group() as group:
                group.start_soon(send, part(b"3"))
            await asyncio.shield(send(part(b"4")))
            await asyncio.wait_for(send(part(b"5")), 10)
            await asyncio.gather(send(part(b"6")), send(part(b"7")))

        assert serve(steps).body == b"1234567end"

    def test_from_a_thread(self, serve) -> None:
        async def steps(receive, send):
            loop = asyncio.get_running_loop()

            def work():
                message = asyncio.run_coroutine_threadsafe(receive(), loop).result()
                anyio.from_thread.run(send, START)
                anyio.from_thread.run(send, part(message["body"]))

            await anyio.to_thread.run_sync(work)

        assert serve(steps).body == b"bodyend"

    def test_watching_for_a_disconnect(self, serve) -> None:
        """As Starlette's `is_disconnected` does, again and again."""

        async def steps(receive, send):
            assert await receive() == got(b"body")
            for _ in range(3):
                message = {}
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    message = await receive()
                assert message == {}
            exchange.feed_gone()
            with anyio.CancelScope() as scope:
                scope.cancel()
                message = await receive()
            assert message == DISCONNECT

        exchange = MemoryExchange(body=b"body")
        serve(steps, exchange)


class TestCancelledWaits:
    def test_a_time_out_loses_no_message(self, serve) -> None:
        async def steps(receive, send):
            for number in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(receive(), 0.001)
                exchange.feed(b"%d" % number)
                assert await asyncio.wait_for(receive(), 10) == got(b"%d" % number, more=True)
            exchange.feed_end()
            assert await receive() == got(b"")

        exchange = MemoryExchange(body=None)
        serve(steps, exchange)

    def test_nor_does_a_message_that_comes_with_the_cancellation(self, serve) -> None:
        async def steps(receive, send):
            for feeds_first in (True, False):
                task = asyncio.create_task(receive())
                await asyncio.sleep(0)
                if feeds_first:
                    exchange.feed(b"part")
                task.cancel()
                if not feeds_first:
                    exchange.feed(b"part")
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await receive() == got(b"part", more=True)
            exchange.feed_end()

        exchange = MemoryExchange(body=None)
        serve(steps, exchange)

    def test_one_of_several_that_wait(self, serve) -> None:
        async def steps(receive, send):
            await send(START)
            senders = [asyncio.create_task(send(part(b"x"))) for _ in range(3)]
            readers = [asyncio.create_task(receive()) for _ in range(3)]
            await asyncio.sleep(0)
            senders[1].cancel()
            readers[1].cancel()
            await asyncio.sleep(0)
            exchange.read()
            exchange.feed(b"1")
            await asyncio.wait(senders)
            await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)
            exchange.feed(b"2")
            messages = await asyncio.gather(*readers, return_exceptions=True)
            assert messages[0] == got(b"1", more=True)
            assert type(messages[1]) is asyncio.CancelledError
            assert messages[2] == got(b"2", more=True)
            assert [sender.cancelled() for sender in senders] == [False, True, False]

        exchange = narrow()
        assert serve(steps, exchange).body == b"xxxend"

    def test_a_part_whose_wait_is_cancelled_has_been_sent(self, serve) -> None:
        async def steps(receive, send):
            await send(START)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(send(part(b"1")), 0.001)
            exchange.read()

        exchange = narrow()
        assert serve(steps, exchange).body == b"1end"

    def test_the_peer_goes_meanwhile(self, serve) -> None:
        async def steps(receive, send):
            await send(START)
            sending = asyncio.create_task(send(part(b"1")))
            await asyncio.sleep(0)
            exchange.lose()
            with pytest.raises(Disconnected):
                await sending

        exchange = narrow()
        serve(steps, exchange)

    @KINDS
    def test_they_do_not_add_up(self, serve, kind) -> None:
        def futures():
            return sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects())

        async def steps(receive, send):
            await send(START)
            before = futures()
            for _ in range(20):
                task = asyncio.create_task(waiting(kind, receive, send))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            del task
            assert futures() <= before + 3

        gc.collect()
        serve(steps, narrow())

    @KINDS
    def test_nothing_is_left_of_the_request(self, run, kind) -> None:
        class Resource:
            pass

        async def app(scope, receive, send):
            scope["state"]["resource"] = resource = Resource()
            resources.append(weakref.ref(resource))
            await send(START)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiting(kind, receive, send), 0.001)
            await send(END)

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            interface.serve(narrow())
            await interface.settle()
            await asyncio.sleep(0)
            assert resources[0]() is None

        resources = []
        gc.collect()
        gc.disable()
        try:
            run(main())
        finally:
            gc.enable()

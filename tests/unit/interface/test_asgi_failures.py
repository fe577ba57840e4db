"""Applications that fail and peers that leave, at every moment."""

import asyncio
import gc
import weakref

import pytest

from granian_d.errors import BodyTooLarge, Disconnected, FlowError, InvalidResponse
from granian_d.http import states
from granian_d.interface.registry import load

from .memory import MemoryExchange, context

START = {"type": "http.response.start", "status": 200}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
END = {"type": "http.response.body", "body": b"end"}
DISCONNECT = {"type": "http.disconnect"}


@pytest.fixture
def serve(run):
    def serve(app, exchange=None, script=None):
        exchange = exchange or MemoryExchange()

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            if script is not None:
                await script(exchange)
            await interface.settle()

        run(main())
        return exchange

    return serve


def sending(messages, error=None):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


ERRORS = [ValueError("x"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
class TestRaising:
    def test_before_the_response(self, serve, error) -> None:
        exchange = serve(sending([], error))
        assert exchange.crashes == [error]
        assert (exchange.status, exchange.body) == (500, b"Internal Server Error")

    def test_within_the_response(self, serve, error) -> None:
        exchange = serve(sending([START, PART], error))
        assert exchange.crashes == [error]
        assert (exchange.state_name, exchange.body) == ("aborted", b"part")

    def test_after_the_response(self, serve, error) -> None:
        exchange = serve(sending([START, END], error))
        assert exchange.crashes == [error]
        assert (exchange.state_name, exchange.status) == ("finished", 200)
        assert exchange.recorder.ended == 1

    def test_after_having_waited(self, serve, error) -> None:
        async def app(scope, receive, send):
            await receive()
            raise error

        async def script(exchange):
            await exchange.until(lambda: exchange.wanted)
            exchange.feed_end()

        exchange = serve(app, MemoryExchange(body=None), script)
        assert (exchange.crashes, exchange.status) == ([error], 500)


class TestOddApplications:
    def test_not_asynchronous(self, serve) -> None:
        def app(scope, receive, send):
            return None

        exchange = serve(app)
        assert type(exchange.crashes[0]) is TypeError
        assert exchange.status == 500

    def test_other_arguments(self, serve) -> None:
        async def app(environ, start_response):
            pass

        assert serve(app).status == 500

    def test_a_class_with_an_awaitable(self, serve) -> None:
        class App:
            def __init__(self, scope, receive, send):
                self.send = send

            def __await__(self):
                return sending([START, END])(None, None, self.send).__await__()

        assert serve(App).body == b"end"

    @pytest.mark.parametrize(
        ("messages", "words", "status"),
        [
            ([], "the response has not been started", 500),
            ([START], "the response has been started", 500),  # its head was held back
            ([START, PART], "the response has been started", 200),
            ([{**START, "trailers": True}, END], "trailers are awaited", 200),
        ],
    )
    def test_returning_too_early(self, serve, messages, words, status) -> None:
        exchange = serve(sending(messages))
        (crash,) = exchange.crashes
        assert type(crash) is FlowError
        assert words in str(crash)
        assert exchange.status == status
        assert exchange.state_name == ("finished" if status == 500 else "aborted")

    def test_what_the_exchange_refuses_late(self, serve) -> None:
        messages = [{**START, "headers": [(b"content-length", b"3")]}, PART]
        exchange = serve(sending(messages))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.status == 500


class TestLosingThePeer:
    def test_while_the_body_is_awaited(self, serve) -> None:
        got = []

        async def app(scope, receive, send):
            got.extend((await receive(), await receive()))

        async def script(exchange):
            await exchange.until(lambda: exchange.wanted)
            exchange.lose()

        exchange = serve(app, MemoryExchange(body=None), script)
        assert got == [DISCONNECT] * 2
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    def test_after_a_part_of_the_body(self, serve) -> None:
        got = []

        async def app(scope, receive, send):
            got.extend([await receive() for _ in range(2)])

        exchange = MemoryExchange(body=None)
        exchange.feed(b"half")
        exchange.feed_gone()
        serve(app, exchange)
        assert got == [{"type": "http.request", "body": b"half", "more_body": True}, DISCONNECT]
        assert exchange.crashes == []

    def test_while_the_end_is_awaited(self, serve) -> None:
        got = []

        async def app(scope, receive, send):
            got.extend([await receive() for _ in range(2)])
            with pytest.raises(Disconnected):
                await send(START)

        async def script(exchange):
            await exchange.until(lambda: exchange._on_gone)
            exchange.lose()

        exchange = serve(app, None, script)
        assert got[1] == DISCONNECT
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    @pytest.mark.parametrize("message", [PART, END, {**START}])
    @pytest.mark.parametrize("caught", [True, False])
    def test_before_a_message(self, serve, message, caught) -> None:
        raised = []

        async def app(scope, receive, send):
            if message != START:
                await send(START)
            exchange.lose()
            try:
                await send(message)
            except OSError as error:
                raised.append(error)
                if not caught:
                    raise

        exchange = MemoryExchange()
        serve(app, exchange)
        assert type(raised[0]) is Disconnected
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    @pytest.mark.parametrize("reraise", [RuntimeError, ConnectionError])
    def test_while_room_is_awaited(self, serve, reraise) -> None:
        async def app(scope, receive, send):
            await send(START)
            try:
                await send(PART)
            except OSError:
                raise reraise from None

        async def script(exchange):
            await exchange.until(lambda: exchange._on_room)
            exchange.lose()

        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert exchange.crashes == []  # what frameworks make of Disconnected is no crash
        assert exchange.state_name == "aborted"

    def test_an_error_of_its_own_is_told_all_the_same(self, serve) -> None:
        error = ValueError()

        async def app(scope, receive, send):
            exchange.lose()
            raise error

        exchange = MemoryExchange()
        assert serve(app, exchange).crashes == [error]

    def test_returning_because_of_it(self, serve) -> None:
        async def app(scope, receive, send):
            await send(START)
            await send(PART)
            exchange.feed_gone()  # half-closed, but this application gives up

        exchange = MemoryExchange()
        serve(app, exchange)
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    def test_a_group_of_tasks(self, serve) -> None:
        async def app(scope, receive, send):
            await send(START)
            exchange.lose()
            async with asyncio.TaskGroup() as group:
                group.create_task(send(PART))
                group.create_task(send(PART))

        exchange = MemoryExchange()
        assert serve(app, exchange).crashes == []


class TestEndedByTheEngine:
    """The engine answers by itself: the body is malformed, too large, too late."""

    def test_body_too_large(self, serve) -> None:
        got = []

        async def app(scope, receive, send):
            got.extend([await receive(), await receive()])
            with pytest.raises(Disconnected):
                await send(START)

        async def script(exchange):
            await exchange.until(lambda: exchange.wanted)
            exchange.state = states.ABORTED
            exchange.feed_error(BodyTooLarge("too large"))

        exchange = serve(app, MemoryExchange(body=None), script)
        assert got == [DISCONNECT] * 2
        assert exchange.crashes == []

    @pytest.mark.parametrize("state", [states.FINISHED, states.ABORTED])
    def test_while_the_application_thinks(self, serve, state) -> None:
        async def app(scope, receive, send):
            await receive()
            exchange.state = state
            assert await receive() == DISCONNECT
            for message in (START, END, {"type": "http.response.early_hint"}):
                with pytest.raises(Disconnected):
                    await send(message)

        exchange = MemoryExchange()
        assert serve(app, exchange).crashes == []

    def test_broken_but_answerable(self, serve) -> None:
        """A body can break after the response has begun; the response may go on."""

        async def app(scope, receive, send):
            await send(START)
            assert await receive() == DISCONNECT
            assert await receive() == DISCONNECT
            await send(END)

        exchange = MemoryExchange(body=None)
        exchange.feed_error(BodyTooLarge("too large"))
        assert (serve(app, exchange).body, exchange.crashes) == (b"end", [])


class TestTasks:
    def test_one_task_a_request(self, serve) -> None:
        tasks = []

        async def app(scope, receive, send):
            tasks.append(asyncio.current_task())
            tasks.append(len(asyncio.all_tasks()))
            await send(START)
            await receive()
            await send(END)

        serve(app)
        assert isinstance(tasks[0], asyncio.Task)
        assert tasks[1] == 2  # the test's own is the other one

    def test_who_never_waits_is_done_at_once(self, run) -> None:
        async def app(scope, receive, send):
            await receive()
            await send(START)
            await send(PART)
            await send(END)

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            await interface.startup()
            await asyncio.sleep(0)  # before Python 3.12 a task begins in the next turn
            exchange = MemoryExchange()
            interface.serve(exchange)
            assert exchange.state_name == "finished"
            await interface.shutdown()

        run(main())

    def test_a_waiting_call_is_not_collected(self, run) -> None:
        async def app(scope, receive, send):
            future = asyncio.get_running_loop().create_future()
            futures.append(weakref.ref(future))
            exchange._news.set()
            await future  # the future holds the task, and nobody else the two of them

        futures = []
        exchange = MemoryExchange()

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            await exchange.until(lambda: futures)
            gc.collect()
            futures[0]().set_exception(ValueError())
            await interface.settle()

        run(main())
        assert type(exchange.crashes[0]) is ValueError

    def test_nothing_is_left_of_a_request(self, run) -> None:
        class Resource:
            pass

        async def app(scope, receive, send):
            scope["state"]["resource"] = resource = Resource()
            resources.append(weakref.ref(resource))
            await receive()
            watcher = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            await send(START)
            await send(END)
            await watcher

        resources = []

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            gc.collect()
            gc.disable()
            try:
                exchange = MemoryExchange()
                interface.serve(exchange)
                await interface.settle()
                await asyncio.sleep(0)
                assert resources[0]() is None
            finally:
                gc.enable()

        run(main())

    def test_shutdown_cancels_what_is_left(self, run) -> None:
        ends = []

        async def app(scope, receive, send):
            await send(START)
            await send(END)
            exchange._news.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        exchange = MemoryExchange()

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            await exchange.ended()
            await interface.shutdown()

        run(main())
        assert ends == ["cancelled"]
        assert exchange.crashes == []  # it was our doing

    def test_shutdown_cuts_an_unanswered_request(self, run) -> None:
        async def app(scope, receive, send):
            await asyncio.get_running_loop().create_future()

        exchange = MemoryExchange()

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            await asyncio.sleep(0)
            await interface.shutdown()

        run(main())
        assert (exchange.state_name, exchange.crashes) == ("aborted", [])

    def test_background_work_is_waited_for(self, run) -> None:
        done = []

        async def app(scope, receive, send):
            await send(START)
            await send(END)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done.append(True)

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            for _ in range(3):
                interface.serve(MemoryExchange())
            await interface.settle()
            assert len(done) == 3

        run(main())

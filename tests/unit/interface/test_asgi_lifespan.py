"""The lifespan protocol, with applications that speak it, half speak it, or do not."""

import asyncio

import pytest

from granian_d.errors import FlowError, StartupError
from granian_d.interface.registry import load

from .memory import MemoryExchange, context, request

WITHOUT = "ASGI Lifespan errored, continuing without Lifespan support"


@pytest.fixture
def live(run):
    """A whole life of an application; the notes it left."""

    def live(app, exchange=None):
        async def main():
            interface = load("asgi")(app, context(asyncio.get_running_loop()))
            await interface.startup()
            if exchange is not None:
                interface.serve(exchange)
            await interface.settle()
            await interface.shutdown()
            interface.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return interface.notes

        return run(main())

    return live


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def test_a_whole_life(live) -> None:
    events = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            events.append("request")
            await answer(scope, receive, send)
            return
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        assert scope["state"] == {}
        events.append(await receive())
        await send({"type": "lifespan.startup.complete"})
        events.append(await receive())
        await send({"type": "lifespan.shutdown.complete"})
        events.append("end")

    assert live(app, MemoryExchange()) == []
    assert events == [
        {"type": "lifespan.startup"},
        "request",
        {"type": "lifespan.shutdown"},
        "end",
    ]


def test_told_of_its_end_when_the_worker_is_to_leave(run) -> None:
    """A stream that would go on for ever ends itself, and requests go on being served."""
    events = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            scope["state"]["leaving"] = asyncio.Event()
            await receive()
            await send({"type": "lifespan.startup.complete"})
            events.append((await receive())["type"])
            scope["state"]["leaving"].set()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200})
        if scope["path"] == "/stream":
            await scope["state"]["leaving"].wait()
        events.append(scope["path"])
        await send({"type": "http.response.body"})

    async def main():
        terms = context(asyncio.get_running_loop(), lifespan_at_leave=True)
        interface = load("asgi")(app, terms)
        await interface.startup()
        stream = MemoryExchange(request(b"/stream"))
        interface.serve(stream)
        interface.leave()
        await interface.settle()
        assert stream.state_name == "finished"
        interface.serve(MemoryExchange(request(b"/late")))
        await interface.settle()
        await interface.shutdown()
        return interface.notes

    assert run(main()) == []
    assert events == ["lifespan.shutdown", "/stream", "/late"]


def test_told_of_its_end_behind_the_last_request_by_default(run) -> None:
    events = []

    async def app(scope, receive, send):
        while (event := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": event + ".complete"})
        events.append("shutdown")

    async def main():
        interface = load("asgi")(app, context(asyncio.get_running_loop()))
        await interface.startup()
        interface.leave()
        await asyncio.sleep(0)
        events.append("left")
        await interface.settle()
        await interface.shutdown()

    run(main())
    assert events == ["left", "shutdown"]


def test_the_state_is_there_at_the_end(live) -> None:
    seen = []

    async def app(scope, receive, send):
        scope["state"]["pool"] = "open"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        seen.append(scope["state"]["pool"])
        await send({"type": "lifespan.shutdown.complete"})

    assert live(app) == []
    assert seen == ["open"]


def test_an_application_that_loops_for_ever(live) -> None:
    async def app(scope, receive, send):
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})

    assert live(app) == []


@pytest.mark.parametrize("words", ["no database", ""])
def test_a_refused_startup(live, words) -> None:
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": words})

    with pytest.raises(StartupError, match=words or "ASGI lifespan startup failed"):
        live(app)


def test_a_refused_startup_that_raises_too(live) -> None:
    """As Starlette does it."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "Traceback ..."})
        raise ValueError

    with pytest.raises(StartupError, match=r"Traceback \.\.\."):
        live(app)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_exit_in_startup_is_a_refusal(live, error) -> None:
    async def app(scope, receive, send):
        raise error

    with pytest.raises(StartupError, match=type(error).__name__):
        live(app)


@pytest.mark.parametrize("error", [AssertionError(), KeyError("method"), ImportError("x")])
@pytest.mark.parametrize("after_receive", [True, False])
def test_without_lifespan(live, error, after_receive) -> None:
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(scope, receive, send)
            return
        if after_receive:
            await receive()
        raise error

    exchange = MemoryExchange()
    (note,) = live(app, exchange)
    assert note.startswith(
        "ASGI Lifespan errored, continuing without Lifespan support (the application raised"
    )
    assert repr(error) in note
    assert exchange.status == 204


def test_returning_at_once(live) -> None:
    async def app(scope, receive, send):
        return

    (note,) = live(app)
    assert note.startswith(
        "ASGI Lifespan errored, continuing without Lifespan support (the application returned"
    )


@pytest.mark.parametrize("end", ["returned", "raised ValueError()"])
def test_an_end_while_serving(live, end) -> None:
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        if end != "returned":
            raise ValueError

    exchange = MemoryExchange()
    (note,) = live(app, exchange)
    assert note == f"no lifespan shutdown: the application {end} while it was serving"
    assert exchange.status == 204


@pytest.mark.parametrize(
    ("steps", "notes"),
    [
        (["failed"], ["pool stuck"]),
        (["failed", "raise"], ["pool stuck"]),
        (["raise"], ["lifespan shutdown: the application raised ValueError()"]),
        (["complete", "raise"], ["lifespan shutdown: the application raised ValueError()"]),
        ([], []),
    ],
)
def test_ends_of_a_shutdown(live, steps, notes) -> None:
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for step in steps:
            if step == "raise":
                raise ValueError
            await send({"type": f"lifespan.shutdown.{step}", "message": "pool stuck"})

    assert live(app) == notes


@pytest.mark.parametrize(
    "answers",
    [
        ["lifespan.shutdown.complete"],
        ["lifespan.startup.complete", "lifespan.startup.complete"],
        ["lifespan.startup.complete", "lifespan.shutdown.complete"],
        ["lifespan.nonsense"],
    ],
)
def test_answers_out_of_order(live, answers) -> None:
    async def app(scope, receive, send):
        await receive()
        for answer in answers[:-1]:
            await send({"type": answer})
        with pytest.raises(FlowError, match=answers[-1]):
            await send({"type": answers[-1]})
        if len(answers) == 1:
            await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    assert live(app) == []


def test_asginl_never_calls_it(run) -> None:
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope["type"])
        await answer(scope, receive, send)

    async def main():
        interface = load("asginl")(app, context(asyncio.get_running_loop()))
        await interface.startup()
        interface.serve(MemoryExchange())
        await interface.settle()
        await interface.shutdown()
        interface.close()

    run(main())
    assert scopes == ["http"]

"""`receive` and `send` while all goes well: bodies, order, waiting."""

import asyncio
import os

import pytest

from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.interface.registry import load

from .memory import MemoryExchange, context, request

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body"}


def part(body, more=True):
    return {"type": "http.response.body", "body": body, "more_body": more}


@pytest.fixture
def serve(run):
    """Have an application answer an exchange, and wait until both are done."""

    def serve(app, exchange=None, script=None, **changes):
        exchange = exchange or MemoryExchange()

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop(), **changes))
            interface.serve(exchange)
            if script is not None:
                await script(exchange)
            await interface.settle()

        run(main())
        return exchange

    return serve


def answering(steps, log=None):
    """An application that runs `steps(receive, send)`, then ends its response."""

    async def app(scope, receive, send):
        await steps(receive, send)
        await send(START)
        await send(END)

    return app


class TestReceive:
    @pytest.mark.parametrize("body", [b"", b"small", [b"in ", b"parts"]])
    def test_a_complete_body_comes_at_once(self, serve, body) -> None:
        got = []

        async def steps(receive, send):
            got.append(await receive())

        serve(answering(steps), MemoryExchange(body=body))
        whole = body if isinstance(body, bytes) else b"".join(body)
        assert got == [{"type": "http.request", "body": whole, "more_body": False}]

    def test_a_body_as_it_comes(self, serve) -> None:
        got = []

        async def steps(receive, send):
            message = {"more_body": True}
            while message["more_body"]:
                message = await receive()
                got.append((message["body"], message["more_body"]))

        async def script(exchange):
            await exchange.until(lambda: exchange.wanted == 1)
            exchange.feed(b"one")
            await exchange.until(lambda: len(got) == 1 and exchange.wanted == 3)
            exchange.feed(b"two")
            exchange.feed(b"three")
            exchange.feed_end()

        serve(answering(steps), MemoryExchange(body=None), script)
        assert got == [(b"one", True), (b"twothree", False)]

    def test_the_end_may_come_alone(self, serve) -> None:
        got = []

        async def steps(receive, send):
            got.append(await receive())
            got.append(await receive())

        async def script(exchange):
            await exchange.until(lambda: len(got) == 1)
            exchange.feed_end()

        exchange = MemoryExchange(body=None)
        exchange.feed(b"x")
        serve(answering(steps), exchange, script)
        assert [(m["body"], m["more_body"]) for m in got] == [(b"x", True), (b"", False)]

    def test_disconnect_once_the_response_is_complete(self, serve) -> None:
        got = []

        async def app(scope, receive, send):
            await receive()
            watcher = asyncio.ensure_future(receive())
            await send(START)
            assert not watcher.done()
            await send(END)
            got.extend((await watcher, await receive()))

        serve(app)
        assert got == [{"type": "http.disconnect"}] * 2

    def test_disconnect_when_answered_before_the_body_came(self, serve) -> None:
        got = []

        async def app(scope, receive, send):
            watcher = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            await send(START)
            await send(END)
            got.append(await watcher)

        serve(app, MemoryExchange(body=None))
        assert got == [{"type": "http.disconnect"}]

    def test_every_waiting_task_is_woken(self, serve) -> None:
        got = []

        async def steps(receive, send):
            await receive()
            got.extend(await asyncio.gather(receive(), receive(), receive()))

        async def script(exchange):
            await exchange.until(lambda: len(exchange._on_gone or ()) == 1)
            exchange.feed_gone()

        exchange = serve(answering(steps), None, script)
        assert got == [{"type": "http.disconnect"}] * 3
        assert exchange.state_name == "finished"  # half-closed: the answer still goes out

    def test_a_cancelled_receive_loses_nothing(self, serve) -> None:
        got = []

        async def steps(receive, send):
            waiting = asyncio.ensure_future(receive())
            other = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            waiting.cancel()
            got.append(await other)
            assert waiting.cancelled()

        async def script(exchange):
            await exchange.until(lambda: exchange.wanted == 2)
            await asyncio.sleep(0)
            exchange.feed(b"all")
            exchange.feed_end()

        serve(answering(steps), MemoryExchange(body=None), script)
        assert got == [{"type": "http.request", "body": b"all", "more_body": False}]

    def test_the_exchange_forgets_who_watched_it(self, serve) -> None:
        async def app(scope, receive, send):
            await receive()
            watcher = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            watcher.cancel()
            await send(START)
            await send(END)

        assert serve(app)._on_gone == []


class TestSend:
    def test_in_one_go(self, serve) -> None:
        async def app(scope, receive, send):
            await send({**START, "status": 201, "headers": iter([[b"A", b"1"], (b"a", b"2")])})
            await send({"type": "http.response.body", "body": b"hello"})

        exchange = serve(app)
        assert exchange.status == 201
        assert exchange.fields == [(b"A", b"1"), (b"a", b"2")]
        assert exchange.sends == [b"hello"]
        assert not exchange.lengthless

    def test_defaults(self, serve) -> None:
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

        exchange = serve(app)
        assert (exchange.fields, exchange.body, exchange.state_name) == ([], b"", "finished")

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_byte_strings_of_all_kinds(self, serve, kind) -> None:
        async def app(scope, receive, send):
            await send({**START, "headers": [(kind(b"a"), kind(b"b"))]})
            await send(part(kind(b"body"), False))

        exchange = serve(app)
        assert (exchange.fields, exchange.body) == ([(b"a", b"b")], b"body")

    def test_streamed(self, serve) -> None:
        async def app(scope, receive, send):
            await send(START)
            for piece in (b"one", b"", b"two"):
                await send(part(piece))
            await send(part(b"end", False))

        exchange = serve(app)
        assert exchange.body == b"onetwoend"
        assert exchange.lengthless

    def test_an_event_stream_is_opened_at_once(self, serve) -> None:
        opened = []

        async def app(scope, receive, send):
            await send({**START, "headers": [(b"Content-Type", b"text/event-stream")]})
            opened.append(list(exchange.sends))
            await send(part(b"data: x\n\n", False))

        exchange = MemoryExchange()
        serve(app, exchange)
        assert opened == [[b""]]

    def test_waits_for_room_and_no_longer(self, serve) -> None:
        sent = []

        async def app(scope, receive, send):
            await send(START)
            for number in range(6):
                await send(part(b"%d" % number * 10))
                sent.append(number)
            await send(END)

        async def script(exchange):
            for most in (1, 3, 5):  # ten bytes are room, beyond that `send` waits
                await exchange.until(lambda: exchange._on_room is not None)
                assert len(sent) == most
                assert len(exchange.sends) == most + 1
                exchange.read()

        exchange = serve(app, MemoryExchange(room_bytes=10), script)
        assert exchange.body == b"".join(b"%d" % number * 10 for number in range(6))

    def test_the_last_part_waits_for_nobody(self, serve) -> None:
        async def app(scope, receive, send):
            await send(START)
            await send(part(b"x" * 100, False))

        assert serve(app, MemoryExchange(room_bytes=0)).body == b"x" * 100

    def test_two_senders_wait_together(self, serve) -> None:
        async def app(scope, receive, send):
            await send(START)
            await asyncio.gather(send(part(b"a")), send(part(b"b")))
            await send(END)

        async def script(exchange):
            await exchange.until(lambda: len(exchange.sends) == 2)
            exchange.read()

        assert serve(app, MemoryExchange(room_bytes=0), script).state_name == "finished"

    def test_early_hints(self, serve) -> None:
        async def app(scope, receive, send):
            await send({"type": "http.response.early_hint", "links": [b"</a>", b"</b>"]})
            await send(START)
            await send(END)

        assert serve(app).interim == [(103, [(b"link", b"</a>"), (b"link", b"</b>")])]

    def test_early_hints_behind_the_start(self, serve) -> None:
        """Where the extension wants them; the engine drops what comes behind the head."""

        async def app(scope, receive, send):
            await send(START)
            await send({"type": "http.response.early_hint", "links": [b"</a>"]})
            await send(END)

        assert serve(app).interim == [(103, [(b"link", b"</a>")])]

    def test_debugging(self, serve) -> None:
        wide = dict.fromkeys(range(1000), "x" * 1000)

        async def app(scope, receive, send):
            await send({"type": "http.response.debug", "info": {"template": "a.html"}})
            await send({"type": "http.response.debug", "info": wide})
            with pytest.raises(InvalidResponse):
                await send({"type": "http.response.debug", "info": "a.html"})
            await send(START)
            with pytest.raises(FlowError, match="has been started"):
                await send({"type": "http.response.debug", "info": {}})
            await send(END)

        short, long = serve(app, debug=True).recorder.explanations
        assert short == "{'template': 'a.html'}"
        assert len(long) == 4000

    def test_trailers(self, serve) -> None:
        async def app(scope, receive, send):
            await send({**START, "trailers": True})
            await send(part(b"body", False))
            more = {"type": "http.response.trailers", "headers": [(b"a", b"1")]}
            await send({**more, "more_trailers": True})
            await send({"type": "http.response.trailers", "headers": [(b"b", b"2")]})

        exchange = serve(app)
        assert exchange.body == b"body"
        assert exchange.trailers == [(b"a", b"1"), (b"b", b"2")]


class TestPathsend:
    def test_a_file(self, serve, tmp_path) -> None:
        (tmp_path / "f").write_bytes(os.urandom(300_000))

        async def app(scope, receive, send):
            await send(START)
            await send({"type": "http.response.pathsend", "path": str(tmp_path / "f")})
            assert exchange.state_name == "finished"
            await receive()
            assert await receive() == {"type": "http.disconnect"}

        async def script(exchange):
            while exchange.state_name != "finished":
                await exchange.until(lambda: exchange._on_room or exchange.state_name == "finished")
                exchange.read()

        exchange = MemoryExchange(room_bytes=1000)
        before = len(os.listdir("/proc/self/fd"))
        serve(app, exchange, script)
        assert exchange.body == (tmp_path / "f").read_bytes()
        assert len(os.listdir("/proc/self/fd")) == before
        assert not exchange.crashes

    def test_an_empty_file(self, serve, tmp_path) -> None:
        (tmp_path / "f").touch()

        async def app(scope, receive, send):
            await send(START)
            await send({"type": "http.response.pathsend", "path": str(tmp_path / "f")})

        assert serve(app).state_name == "finished"

    def test_head(self, serve, tmp_path) -> None:
        (tmp_path / "f").write_bytes(b"12345")

        async def app(scope, receive, send):
            await send({**START, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.pathsend", "path": str(tmp_path / "f")})

        exchange = serve(app, MemoryExchange(request(method="HEAD")))
        assert (exchange.state_name, exchange.body) == ("finished", b"")

    def test_a_file_that_has_grown(self, serve, tmp_path) -> None:
        (tmp_path / "f").write_bytes(b"1234567")

        async def app(scope, receive, send):
            await send({**START, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.pathsend", "path": str(tmp_path / "f")})

        exchange = serve(app)
        assert (exchange.state_name, exchange.body) == ("finished", b"12345")

    @pytest.mark.parametrize("when", ["before", "meanwhile"])
    def test_a_file_that_has_shrunk(self, serve, tmp_path, when) -> None:
        path = tmp_path / "f"
        path.write_bytes(b"x" * 1_000_000)

        async def app(scope, receive, send):
            await send({**START, "headers": [(b"content-length", b"1000000")]})
            if when == "before":
                os.truncate(path, 140_000)
            await send({"type": "http.response.pathsend", "path": str(path)})

        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            os.truncate(path, 140_000)
            while exchange.state_name == "started":
                exchange.read()

        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert exchange.state_name == "aborted"
        (crash,) = exchange.crashes
        assert "shorter than its Content-Length" in str(crash)

    def test_behind_a_part_of_the_body(self, serve, tmp_path) -> None:
        (tmp_path / "f").write_bytes(b"12345")
        before = len(os.listdir("/proc/self/fd"))

        async def app(scope, receive, send):
            await send({**START, "headers": [(b"content-length", b"5")]})
            await send(part(b"12"))
            await send({"type": "http.response.pathsend", "path": str(tmp_path / "f")})

        exchange = serve(app)
        (crash,) = exchange.crashes
        assert type(crash) is InvalidResponse
        assert exchange.state_name == "aborted"
        assert len(os.listdir("/proc/self/fd")) == before

    def test_nothing_else_meanwhile(self, serve, tmp_path) -> None:
        (tmp_path / "f").write_bytes(b"x" * 1_000_000)

        async def app(scope, receive, send):
            await send(START)
            message = {"type": "http.response.pathsend", "path": str(tmp_path / "f")}
            sending = asyncio.ensure_future(send(message))
            await asyncio.sleep(0)
            with pytest.raises(FlowError, match="a file is being sent"):
                await send(END)
            await sending

        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            await asyncio.sleep(0)
            while exchange.state_name == "started":
                exchange.read()

        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert (len(exchange.body), exchange.crashes) == (1_000_000, [])

    @pytest.mark.parametrize("name", ["missing", "."])
    def test_no_file(self, serve, tmp_path, name) -> None:
        async def app(scope, receive, send):
            await send(START)
            await send({"type": "http.response.pathsend", "path": str(tmp_path / name)})

        exchange = serve(app)
        (crash,) = exchange.crashes
        assert type(crash) is InvalidResponse
        assert str(tmp_path) in str(crash)
        assert exchange.status == 500

    def test_the_peer_leaves_meanwhile(self, serve, tmp_path) -> None:
        (tmp_path / "f").write_bytes(b"x" * 1_000_000)
        raised = []

        async def app(scope, receive, send):
            await send(START)
            try:
                await send({"type": "http.response.pathsend", "path": str(tmp_path / "f")})
            except OSError as error:
                raised.append(error)

        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            exchange.lose()

        before = len(os.listdir("/proc/self/fd"))
        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert type(raised[0]) is Disconnected
        assert not exchange.crashes
        assert len(os.listdir("/proc/self/fd")) == before


class TestMisuse:
    """Each refused message raises into the application, which may still do it right."""

    @pytest.mark.parametrize(
        ("before", "message", "words"),
        [
            ([], END, "http.response.body has no meaning now: the response has not been started"),
            ([], {"type": "http.response.pathsend", "path": "/"}, "has not been started"),
            ([], {"type": "http.response.trailers"}, "has not been started"),
            ([START], START, "http.response.start has no meaning now: the response has been start"),
            ([], {"type": "http.response.debug", "info": {}}, "is called 'http.response.debug'"),
            ([START], {"type": "http.response.trailers"}, "has been started"),
            ([], {"type": "http.response.nonsense"}, "is called 'http.response.nonsense'"),
            ([], {"type": "websocket.accept"}, "websocket.accept"),
        ],
    )
    def test_order(self, serve, before, message, words) -> None:
        async def app(scope, receive, send):
            for step in before:
                await send(step)
            with pytest.raises(FlowError, match=words) as caught:
                await send(message)
            assert isinstance(caught.value, RuntimeError), "what applications catch"
            for step in [START, END][len(before) :]:
                await send(step)

        exchange = serve(app)
        assert (exchange.state_name, exchange.crashes) == ("finished", [])

    @pytest.mark.parametrize("message", [START, END])
    def test_after_the_end(self, serve, message) -> None:
        async def app(scope, receive, send):
            await send(START)
            await send(END)
            with pytest.raises(FlowError, match="is complete"):
                await send(message)

        assert serve(app).crashes == []

    def test_body_while_trailers_are_awaited(self, serve) -> None:
        async def app(scope, receive, send):
            await send({**START, "trailers": True})
            await send(END)
            with pytest.raises(FlowError, match="trailers are awaited"):
                await send(END)
            await send({"type": "http.response.trailers"})

        assert serve(app).crashes == []

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "200"},
            {"status": None},
            {"status": 99},
            {"status": 101},
            {"status": True},
            {"headers": [("name", b"value")]},
            {"headers": [(b"name", "value")]},
            {"headers": [(b"name",)]},
            {"headers": [b"name: value"]},
            {"headers": 5},
            {"headers": [(b"na me", b"value")]},
            {"headers": [(b"name", b"val\r\nue: x")]},
        ],
    )
    def test_heads_that_must_not_go_out(self, serve, change) -> None:
        async def app(scope, receive, send):
            with pytest.raises(InvalidResponse):
                await send({**START, **change})
            await send(START)
            await send(END)

        assert serve(app).status == 200

    @pytest.mark.parametrize("body", ["text", 5, None, [b"x"]])
    def test_bodies_that_are_not_bytes(self, serve, body) -> None:
        async def app(scope, receive, send):
            await send(START)
            with pytest.raises(InvalidResponse, match="must be bytes"):
                await send({"type": "http.response.body", "body": body})
            await send(END)

        assert serve(app).crashes == []

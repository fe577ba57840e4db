"""The ways to answer an RSGI request, and the ways to fail at it."""

import asyncio
import gc
import os
import threading

import pytest

from granian_d.errors import FlowError, InvalidResponse
from granian_d.http import states
from granian_d.interface.registry import load
from granian_d.rsgi import ProtocolClosed, ProtocolError

from .memory import MemoryExchange, context, request

TEXT = [("content-type", "text/plain")]


@pytest.fixture
def serve(run):
    def serve(app, exchange=None, script=None):
        exchange = exchange or MemoryExchange()

        async def main():
            interface = load("rsgi")(app, context(asyncio.get_running_loop()))
            await interface.startup()
            interface.serve(exchange)
            if script is not None:
                await script(exchange)
            await exchange.ended()
            await interface.settle()
            await interface.shutdown()

        run(main())
        return exchange

    return serve


def calling(name, *arguments, **keywords):
    async def app(scope, protocol):
        assert getattr(protocol, name)(*arguments, **keywords) is None

    return app


class TestWhole:
    @pytest.mark.parametrize(
        ("name", "body", "expected"),
        [
            ("response_bytes", b"", b""),
            ("response_bytes", b"0123456789", b"0123456789"),
            ("response_bytes", b"x" * 102_400, b"x" * 102_400),
            ("response_bytes", bytearray(b"x"), b"x"),
            ("response_str", "", b""),
            ("response_str", "caf\xe9", b"caf\xc3\xa9"),
        ],
    )
    def test_bodies(self, serve, name, body, expected) -> None:
        exchange = serve(calling(name, 201, TEXT, body))
        assert (exchange.status, exchange.body, exchange.crashes) == (201, expected, [])
        assert exchange.fields == [(b"content-type", b"text/plain")]
        assert not exchange.lengthless

    @pytest.mark.parametrize("name", ["response_empty", "response_bytes", "response_str"])
    def test_defaults(self, serve, name) -> None:
        exchange = serve(calling(name))
        assert (exchange.status, exchange.body, exchange.fields) == (200, b"", [])

    def test_by_name(self, serve) -> None:
        exchange = serve(calling("response_str", status=404, headers=[], body="no"))
        assert (exchange.status, exchange.body) == (404, b"no")

    @pytest.mark.parametrize(
        ("name", "body"), [("response_str", b"bytes"), ("response_bytes", "text")]
    )
    def test_bodies_of_the_other_kind(self, serve, name, body) -> None:
        async def app(scope, protocol):
            with pytest.raises(TypeError):
                getattr(protocol, name)(200, [], body)
            protocol.response_empty(204)

        assert serve(app).status == 204

    def test_bad_headers_are_dropped(self, serve) -> None:
        exchange = serve(calling("response_empty", 200, [("a b", "1"), ("c", "\n"), ("d", "4")]))
        assert exchange.fields == [(b"d", b"4")]

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("response_empty", (204, [])),
            ("response_bytes", (204, [], b"second")),
            ("response_str", (204, [], "second")),
            ("response_file", (204, [], "/nonexistent")),
            ("response_file_range", (204, [], "/nonexistent", 0, 1)),
        ],
    )
    @pytest.mark.parametrize("first", ["response_str", "response_stream"])
    def test_the_second_response_is_ignored(self, serve, first, name, arguments) -> None:
        async def app(scope, protocol):
            transport = getattr(protocol, first)(201)
            getattr(protocol, name)(*arguments)
            if transport is not None:
                await transport.send_str("still here")

        exchange = serve(app)
        assert (exchange.status, exchange.crashes) == (201, [])
        assert exchange.body == (b"still here" if first == "response_stream" else b"")

    @pytest.mark.parametrize("status", [0, 99, 101, 1000, "200"])
    def test_statuses_that_are_none(self, serve, status) -> None:
        async def app(scope, protocol):
            with pytest.raises(InvalidResponse):
                protocol.response_empty(status, [])
            protocol.response_empty(200, [])

        exchange = serve(app)
        assert (exchange.status, exchange.crashes) == (200, [])

    def test_a_wrong_length(self, serve) -> None:
        exchange = serve(calling("response_str", 200, [("content-length", "9")], "short"))
        assert type(exchange.crashes[0]) is InvalidResponse

    def test_nobody_is_there_to_be_answered(self, serve, tmp_path) -> None:
        (tmp_path / "f").touch()
        for name in ("f", "missing"):
            exchange = MemoryExchange()
            serve(self.answering_nobody(exchange, str(tmp_path / name)), exchange)
            assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    @staticmethod
    def answering_nobody(exchange, path):
        async def app(scope, protocol):
            exchange.lose()
            protocol.response_file(200, [], path)
            protocol.response_str(200, [], "x")

        return app


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")
        return path

    @pytest.fixture(autouse=True)
    def _no_descriptor_is_left(self, loop):
        gc.collect()  # what an earlier test has left behind
        before = len(os.listdir("/proc/self/fd"))
        yield
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before

    def test_whole(self, serve, path) -> None:
        exchange = serve(calling("response_file", 200, TEXT, str(path)))
        assert (exchange.status, exchange.body) == (200, b"0123456789")
        assert exchange.fields == [(b"content-type", b"text/plain"), (b"content-length", b"10")]

    @pytest.mark.parametrize(
        ("start", "end"), [(0, 10), (3, 8), (9, 10), (0, 1), (5, 99), (10, 11), (50, 60)]
    )
    def test_ranges(self, serve, path, start, end) -> None:
        exchange = serve(calling("response_file_range", 206, [], str(path), start, end))
        assert (exchange.status, exchange.body) == (206, b"0123456789"[start:end])
        assert exchange.fields == [(b"content-length", b"%d" % len(exchange.body))]

    @pytest.mark.parametrize(("start", "end"), [(5, 5), (8, 4), (0, 0), (-1, 5)])
    def test_no_range(self, serve, path, start, end) -> None:
        async def app(scope, protocol):
            with pytest.raises(ValueError, match=r"^Invalid range$"):
                protocol.response_file_range(206, [], str(path), start, end)
            protocol.response_empty(416, [])

        assert serve(app).status == 416

    @pytest.mark.parametrize("name", ["missing", ".", "nul\0"])
    def test_no_file(self, serve, tmp_path, name) -> None:
        exchange = serve(calling("response_file", 200, TEXT, f"{tmp_path}/{name}"))
        assert (exchange.status, exchange.body, exchange.crashes) == (404, b"Not found", [])

    def test_the_length_of_the_application_counts(self, serve, path) -> None:
        exchange = serve(calling("response_file", 200, [("Content-Length", "4")], str(path)))
        assert exchange.fields == [(b"Content-Length", b"4")]
        assert exchange.body == b"0123"

    def test_head(self, serve, path) -> None:
        app = calling("response_file", 200, [], str(path))
        exchange = serve(app, MemoryExchange(request(method="HEAD")))
        assert (exchange.body, exchange.fields) == (b"", [(b"content-length", b"10")])

    def test_a_bad_status_closes_it(self, serve, path) -> None:
        exchange = serve(calling("response_file", 7, [], str(path)))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.status == 500

    def test_sent_while_the_application_is_over(self, serve, path) -> None:
        path.write_bytes(b"x" * 1_000_000)
        error = ValueError()

        async def app(scope, protocol):
            protocol.response_file(200, [], str(path))
            raise error

        async def script(exchange):
            while exchange.state < states.FINISHED:
                await exchange.until(
                    lambda: exchange._on_room is not None or exchange.state >= states.FINISHED
                )
                exchange.read()

        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert len(exchange.body) == 1_000_000
        assert exchange.crashes == [error]

    def test_shrinking_meanwhile(self, serve, path) -> None:
        path.write_bytes(b"x" * 1_000_000)

        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            os.truncate(path, 140_000)
            while exchange.state < states.FINISHED:
                exchange.read()

        app = calling("response_file", 200, [], str(path))
        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert exchange.state_name == "aborted"
        (crash,) = exchange.crashes
        assert str(crash) == "a file became shorter while it was sent"

    def test_the_peer_leaves_meanwhile(self, serve, path) -> None:
        path.write_bytes(b"x" * 1_000_000)

        async def script(exchange):
            await exchange.until(lambda: exchange._on_room is not None)
            exchange.lose()

        app = calling("response_file", 200, [], str(path))
        exchange = serve(app, MemoryExchange(room_bytes=0), script)
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")


class TestStream:
    def test_text_and_bytes(self, serve) -> None:
        async def app(scope, protocol):
            transport = protocol.response_stream(201, TEXT)
            await transport.send_bytes(b"one ")
            await transport.send_bytes(bytearray(b"two "))
            await transport.send_str("caf\xe9")

        exchange = serve(app)
        assert (exchange.status, exchange.body) == (201, b"one two caf\xc3\xa9")
        assert (exchange.state_name, exchange.crashes) == ("finished", [])

    def test_empty(self, serve) -> None:
        async def app(scope, protocol):
            protocol.response_stream()

        assert serve(app).state_name == "finished"

    def test_an_event_stream_is_opened_at_once(self, serve) -> None:
        async def app(scope, protocol):
            transport = protocol.response_stream(200, [("content-type", "text/event-stream")])
            assert exchange.sends == [b""]
            await transport.send_str("data: x\n\n")

        exchange = MemoryExchange()
        assert serve(app, exchange).body == b"data: x\n\n"

    def test_a_second_one_is_an_error(self, serve) -> None:
        async def app(scope, protocol):
            protocol.response_empty(200, [])
            with pytest.raises(ProtocolError):
                protocol.response_stream(200, [])

        assert serve(app).crashes == []

    def test_waits_for_room(self, serve) -> None:
        sent = []

        async def app(scope, protocol):
            transport = protocol.response_stream()
            for number in range(6):
                await transport.send_bytes(b"%d" % number * 10)
                sent.append(number)

        async def script(exchange):
            for most in (1, 3, 5):
                await exchange.until(lambda: exchange._on_room is not None)
                assert len(sent) == most
                exchange.read()

        exchange = serve(app, MemoryExchange(room_bytes=10), script)
        assert len(exchange.body) == 60

    def test_closed(self, serve) -> None:
        async def app(scope, protocol):
            transport = protocol.response_stream()
            await transport.send_str("x")
            transport.close()
            transport.close()
            assert exchange.state_name == "finished"  # and the application goes on
            with pytest.raises(ProtocolError):
                await transport.send_str("y")

        exchange = MemoryExchange()
        serve(app, exchange)
        assert (exchange.body, exchange.crashes) == (b"x", [])

    def test_closed_at_the_end_of_a_block(self, serve) -> None:
        async def app(scope, protocol):
            async with protocol.response_stream() as transport:
                await transport.send_str("x")
            assert exchange.state_name == "finished"
            with pytest.raises(ProtocolError):
                await transport.send_bytes(b"y")

        exchange = MemoryExchange()
        serve(app, exchange)
        assert (exchange.body, exchange.crashes) == (b"x", [])

    @pytest.mark.parametrize(("parts", "end"), [([], (500, "finished")), (["x"], (200, "aborted"))])
    def test_an_error_in_the_block(self, serve, parts, end) -> None:
        """What is caught outside must not pass for a complete answer."""

        async def app(scope, protocol):
            with pytest.raises(ZeroDivisionError):
                async with protocol.response_stream() as transport:
                    for part in parts:
                        await transport.send_str(part)
                    raise ZeroDivisionError

        exchange = serve(app)
        assert (exchange.status, exchange.state_name) == end

    def test_closed_too_early(self, serve) -> None:
        async def app(scope, protocol):
            transport = protocol.response_stream(200, [("content-length", "2")])
            await transport.send_str("x")
            with pytest.raises(InvalidResponse):
                transport.close()

        assert serve(app).state_name == "aborted"

    def test_closed_after_the_peer_has_gone(self, serve) -> None:
        async def app(scope, protocol):
            async with protocol.response_stream() as transport:
                exchange.lose()
            transport.close()

        exchange = MemoryExchange()
        serve(app, exchange)
        assert (exchange.state_name, exchange.crashes) == ("aborted", [])

    @pytest.mark.parametrize("moment", ["before", "waiting"])
    def test_the_peer_leaves(self, serve, moment) -> None:
        raised = []

        async def app(scope, protocol):
            transport = protocol.response_stream()
            if moment == "before":
                exchange.lose()
            with pytest.raises(ProtocolClosed, match=r"^RSGI transport is closed$") as caught:
                await transport.send_str("x")
            raised.append(caught.value)
            with pytest.raises(ProtocolClosed):
                await transport.send_str("x")
            raise caught.value

        async def script(exchange):
            if moment == "waiting":
                await exchange.until(lambda: exchange._on_room is not None)
                exchange.lose()

        exchange = MemoryExchange(room_bytes=0)
        serve(app, exchange, script)
        assert raised
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    def test_kept_open_by_reference(self, serve) -> None:
        kept = []

        async def app(scope, protocol):
            kept.append(protocol.response_stream())
            await kept[0].send_str("one ")

        async def script(exchange):
            await exchange.until(lambda: exchange.body == b"one ")
            await asyncio.sleep(0)
            assert exchange.state == states.STARTED
            await kept[0].send_str("two")
            assert exchange.state == states.STARTED
            kept.clear()

        exchange = serve(app, None, script)
        assert (exchange.body, exchange.state_name) == (b"one two", "finished")

    def test_released_in_another_thread(self, serve) -> None:
        """A garbage collection may happen anywhere; the exchange belongs to the loop."""
        kept, threads = [], []

        class Watched(MemoryExchange):
            __slots__ = ()

            def finish(self, trailers=()):
                threads.append(threading.current_thread())
                super().finish(trailers)

        async def app(scope, protocol):
            kept.append(protocol.response_stream())

        async def script(exchange):
            await exchange.until(lambda: kept)
            await asyncio.sleep(0)
            await asyncio.to_thread(kept.clear)

        exchange = serve(app, Watched(), script)
        assert exchange.state_name == "finished"
        assert threads == [threading.current_thread()]

    def test_released_when_the_loop_is_closed(self) -> None:
        kept, loop = [], asyncio.new_event_loop()

        async def app(scope, protocol):
            kept.append(protocol.response_stream())

        exchange = MemoryExchange()
        interface = load("rsgi")(app, context(loop))
        interface.serve(exchange)
        loop.run_until_complete(interface.settle())
        loop.close()
        thread = threading.Thread(target=kept.clear)
        thread.start()
        thread.join()
        assert exchange.state == states.STARTED

    def test_released_when_it_is_all_over(self, serve) -> None:
        async def app(scope, protocol):
            transport = protocol.response_stream()
            await transport.send_str("x")
            exchange._lost = True  # the engine has not told it yet
            del transport

        exchange = MemoryExchange()
        serve(app, exchange)
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    def test_too_short(self, serve) -> None:
        async def app(scope, protocol):
            transport = protocol.response_stream(200, [("content-length", "9")])
            await transport.send_str("short")

        exchange = serve(app)
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.state_name == "aborted"

    def test_raising_cuts_it(self, serve) -> None:
        error = ValueError()

        async def app(scope, protocol):
            transport = protocol.response_stream()
            await transport.send_str("part")
            raise error

        exchange = serve(app)
        assert (exchange.crashes, exchange.state_name) == ([error], "aborted")


class TestFailures:
    def test_raising_without_a_peer(self, serve) -> None:
        error = ValueError()

        async def app(scope, protocol):
            exchange._lost = True  # the engine has not told it yet
            raise error

        exchange = MemoryExchange()
        serve(app, exchange)
        assert (exchange.crashes, exchange.state_name) == ([error], "aborted")

    @pytest.mark.parametrize(
        "error", [ValueError(), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()]
    )
    @pytest.mark.parametrize("responded", [True, False])
    def test_raising(self, serve, error, responded) -> None:
        async def app(scope, protocol):
            if responded:
                protocol.response_str(200, [], "done")
            raise error

        exchange = serve(app)
        assert exchange.crashes == [error]
        assert (exchange.status, exchange.body) == ((200, b"done") if responded else (500, b""))

    def test_no_response(self, serve) -> None:
        async def app(scope, protocol):
            await protocol()

        exchange = serve(app)
        assert type(exchange.crashes[0]) is FlowError
        assert (exchange.status, exchange.body) == (500, b"")

    def test_no_response_to_a_peer_that_has_gone(self, serve) -> None:
        async def app(scope, protocol):
            await protocol.client_disconnect()

        async def script(exchange):
            await exchange.until(lambda: exchange._on_gone)
            exchange.lose()

        exchange = serve(app, None, script)
        assert (exchange.crashes, exchange.state_name) == ([], "aborted")

    def test_a_function_that_returns_a_coroutine(self, serve) -> None:
        def app(scope, protocol):
            return calling("response_str", 200, [], "x")(scope, protocol)

        assert serve(app).body == b"x"

    def test_shutdown_cancels_what_is_left(self, run) -> None:
        async def app(scope, protocol):
            protocol.response_empty()
            await asyncio.get_running_loop().create_future()

        exchange = MemoryExchange()

        async def main():
            interface = load("rsgi")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            await exchange.ended()
            await interface.shutdown()

        run(main())
        assert exchange.crashes == []

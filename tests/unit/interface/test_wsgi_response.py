"""What applications may answer, and how they may fail, by PEP 3333."""

import contextvars
import sys
import threading
from wsgiref.validate import validator

import pytest

from granian_d.errors import FlowError, InvalidResponse
from granian_d.interface.fields import declared_length
from granian_d.interface.wsgi.response import length_of

from .memory import MemoryExchange, request
from .wsgi_serving import in_a_thread, place, serve

__all__ = ["place", "serve"]

TEXT = [("Content-Type", "text/plain")]


class Parts:
    """An iterable that knows whether it was closed."""

    def __init__(self, *parts, error=None):
        self.parts = parts
        self.error = error
        self.closed = 0

    def __iter__(self):
        yield from self.parts
        if self.error is not None:
            raise self.error

    def close(self):
        self.closed += 1


def returning(result, status="200 OK", headers=TEXT):
    def app(environ, start_response):
        start_response(status, list(headers))
        return result

    return app


class TestBodies:
    @pytest.mark.parametrize(
        ("result", "body", "lengthless"),
        [
            ([], b"", False),
            ([b""], b"", False),
            ([b"one"], b"one", False),
            ((b"one",), b"one", False),
            ([b"one", b"", b"two"], b"onetwo", False),
            ({b"one": 1}, b"one", False),  # anything of length one
            (Parts(b"one", b"", b"two"), b"onetwo", None),  # a matter of speed
            (Parts(), b"", False),
            (Parts(b"", b""), b"", False),
        ],
    )
    def test_kinds(self, serve, result, body, lengthless) -> None:
        exchange = serve(returning(result))
        assert serve(validator(returning(result))).body == exchange.body
        assert exchange.crashes == []
        assert (exchange.status, exchange.body) == (200, body)
        assert lengthless is None or exchange.lengthless is lengthless
        assert exchange.fields == [(b"Content-Type", b"text/plain")]

    def test_a_declared_length_ends_the_response(self, serve) -> None:
        """The last byte goes out as such; the rest of the iteration delays nobody."""
        ended = threading.Event()

        def app(environ, start_response):
            start_response("200 OK", [*TEXT, ("Content-Length", "6")])
            yield b"one"
            yield b"two"
            assert ended.wait(10)
            yield b""

        async def script(exchange):
            await exchange.ended()
            ended.set()

        exchange = serve(app, None, script)
        assert (exchange.body, exchange.crashes) == (b"onetwo", [])

    def test_a_generator_starts_lazily(self, serve) -> None:
        def app(environ, start_response):
            start_response("404 Not Found", list(TEXT))
            yield b"lazy"

        exchange = serve(validator(app))
        assert (exchange.status, exchange.body, exchange.crashes) == (404, b"lazy", [])

    def test_the_head_waits_for_the_first_byte(self, serve) -> None:
        def app(environ, start_response):
            start_response("200 OK", list(TEXT))
            yield b""
            start_response("503 Busy", list(TEXT), (ValueError, ValueError(), None))
            yield b"sorry"

        exchange = serve(app)
        assert (exchange.status, exchange.body, exchange.crashes) == (503, b"sorry", [])

    def test_write(self, serve) -> None:
        def app(environ, start_response):
            write = start_response("200 OK", list(TEXT))
            write(b"one")
            write(b"")
            write(b"two")
            return [b"three"]

        exchange = serve(validator(app))
        assert (exchange.body, exchange.crashes) == (b"onetwothree", [])

    def test_write_alone(self, serve) -> None:
        def app(environ, start_response):
            start_response("200 OK", [*TEXT, ("Content-Length", "3")])(b"one")
            return []

        exchange = serve(app)
        assert (exchange.body, exchange.lengthless, exchange.crashes) == (b"one", False, [])

    @pytest.mark.parametrize("result", [[], [b"12345"], Parts(b"123", b"45")])
    def test_head(self, serve, result) -> None:
        app = returning(result, headers=[("Content-Length", "5")])
        exchange = serve(app, MemoryExchange(request(method="HEAD")))
        assert (exchange.body, exchange.crashes) == (b"", [])
        assert exchange.fields == [(b"Content-Length", b"5")]

    def test_not_modified_may_declare_a_length(self, serve) -> None:
        app = returning([], "304 Not Modified", [("Content-Length", "5")])
        assert serve(app).crashes == []

    def test_latin_1_headers(self, serve) -> None:
        exchange = serve(returning([], headers=[("X-A", "caf\xe9"), ("X-A", "2")]))
        assert exchange.fields == [(b"X-A", b"caf\xe9"), (b"X-A", b"2")]


class TestStartResponse:
    def test_twice_is_an_error(self, serve) -> None:
        def app(environ, start_response):
            start_response("200 OK", list(TEXT))
            with pytest.raises(FlowError, match="once"):
                start_response("200 OK", list(TEXT))
            return [b"x"]

        assert serve(app).crashes == []

    def test_exc_info_replaces_the_head(self, serve) -> None:
        def app(environ, start_response):
            start_response("200 OK", [*TEXT, ("Content-Length", "1")])
            try:
                raise ValueError
            except ValueError:
                start_response("500 Oops", list(TEXT), sys.exc_info())
            return [b"sorry"]

        exchange = serve(validator(app))
        assert (exchange.status, exchange.body, exchange.crashes) == (500, b"sorry", [])
        assert exchange.fields == [(b"Content-Type", b"text/plain")]

    def test_exc_info_is_raised_when_it_is_too_late(self, serve) -> None:
        error = ValueError("late")

        def app(environ, start_response):
            start_response("200 OK", list(TEXT))(b"x")
            try:
                raise error
            except ValueError:
                start_response("500 Oops", list(TEXT), sys.exc_info())
            return [b"sorry"]

        exchange = serve(app)
        assert exchange.crashes == [error]
        assert (exchange.state_name, exchange.body) == ("aborted", b"x")

    @pytest.mark.parametrize(
        "status", ["200", "200OK", "20 OK", "abc OK", " 200 OK", b"200 OK", 200, "²00 OK", None]
    )
    def test_bad_status(self, serve, status) -> None:
        exchange = serve(returning([b"x"], status))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.status == 500

    @pytest.mark.parametrize("status", ["100 Continue", "101 Switching", "000 x"])
    def test_no_final_status(self, serve, status) -> None:
        exchange = serve(returning([b"x"], status))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.status == 500

    @pytest.mark.parametrize(
        "headers",
        [
            (("a", "b"),),
            {"a": "b"},
            None,
            [("a",)],
            ["ab:c"],
            [("a", 1)],
            [(b"a", "b")],
            [("a", "€")],
            [("a", "b\r\nc: d")],
            [("a b", "c")],
            [("a:", "c")],
            [("Content-Length", "x")],
            *(
                [(name, "x")]
                for name in (
                    *("Connection", "keep-alive", "PROXY-AUTHENTICATE", "Proxy-Authorization"),
                    *("TE", "Trailers", "Transfer-Encoding", "Upgrade"),
                )
            ),
        ],
        ids=repr,
    )
    def test_bad_headers(self, serve, headers) -> None:
        def app(environ, start_response):
            start_response("200 OK", headers)
            return [b"x"]

        exchange = serve(app)
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.status == 500


class TestFailures:
    @pytest.mark.parametrize("error", [ValueError(), SystemExit(1), KeyboardInterrupt()])
    def test_in_the_call(self, serve, error) -> None:
        def app(environ, start_response):
            raise error

        exchange = serve(app)
        assert (exchange.crashes, exchange.status) == ([error], 500)
        assert exchange.recorder.ended == 1

    def test_before_the_first_part(self, serve) -> None:
        error = ValueError()
        result = Parts(b"", error=error)
        exchange = serve(returning(result))
        assert (exchange.crashes, exchange.status, result.closed) == ([error], 500, 1)

    def test_after_the_first_part(self, serve) -> None:
        error = ValueError()
        result = Parts(b"part", error=error)
        exchange = serve(returning(result))
        assert (exchange.crashes, exchange.state_name, result.closed) == ([error], "aborted", 1)
        assert exchange.body == b"part"

    def test_after_the_last_byte(self, serve) -> None:
        error = ValueError()
        result = Parts(b"part", error=error)
        exchange = serve(returning(result, headers=[("Content-Length", "4")]))
        assert (exchange.crashes, exchange.state_name, result.closed) == ([error], "finished", 1)
        assert exchange.body == b"part"

    def test_in_close(self, serve) -> None:
        class Stubborn(Parts):
            def close(self):
                raise error

        error = ValueError()
        exchange = serve(returning(Stubborn(b"part")))
        assert (exchange.crashes, exchange.state_name) == ([error], "finished")

    def test_closed_once_when_all_is_well(self, serve) -> None:
        result = Parts(b"a", b"b")
        assert serve(returning(result)).body == b"ab"
        assert result.closed == 1

    def test_closed_once_when_start_response_was_forgotten(self, serve) -> None:
        result = Parts(b"a")
        exchange = serve(lambda environ, start_response: result)
        assert type(exchange.crashes[0]) is FlowError
        assert (exchange.status, result.closed) == (500, 1)

    @pytest.mark.parametrize("result", [[], Parts(), [b"x"]])
    def test_start_response_forgotten(self, serve, result) -> None:
        exchange = serve(lambda environ, start_response: result)
        assert "start_response" in str(exchange.crashes[0])
        assert exchange.status == 500

    @pytest.mark.parametrize(
        "result", ["text", b"bytes", None, 5, ["text"], [b"x", "text"], Parts("text"), [None]]
    )
    def test_bodies_that_are_none(self, serve, result) -> None:
        exchange = serve(returning(result))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.status == 500

    @pytest.mark.parametrize(
        ("result", "status"),
        [([b"toolong"], 500), (Parts(b"toolong"), 500), (Parts(b"too", b"long"), 200)],
    )
    def test_too_long(self, serve, result, status) -> None:
        exchange = serve(returning(result, headers=[("Content-Length", "5")]))
        (crash,) = exchange.crashes
        assert type(crash) is InvalidResponse
        assert "more than the 5 bytes" in str(crash)
        assert (exchange.status, exchange.state_name == "aborted") == (status, status == 200)

    def test_too_long_by_one_part(self, serve) -> None:
        exchange = serve(returning(Parts(b"12345", b"6"), headers=[("Content-Length", "5")]))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert (exchange.state_name, exchange.body) == ("finished", b"12345")

    @pytest.mark.parametrize(
        ("result", "status"),
        [([], 500), (Parts(), 500), ([b"1234"], 500), (Parts(b"12", b"34"), 200)],
    )
    def test_too_short(self, serve, result, status) -> None:
        exchange = serve(returning(result, headers=[("Content-Length", "5")]))
        (crash,) = exchange.crashes
        assert type(crash) is InvalidResponse
        assert "of the 5 bytes" in str(crash)
        assert (exchange.status, exchange.state_name == "aborted") == (status, status == 200)

    def test_more_than_the_one_part_announced(self, serve) -> None:
        class Liar(Parts):
            def __len__(self):
                return 1

        exchange = serve(returning(Liar(b"one", b"two")))
        assert type(exchange.crashes[0]) is InvalidResponse
        assert exchange.body == b"one"


class TestIsolation:
    def test_context_variables(self, serve, place) -> None:
        variable = contextvars.ContextVar("variable", default="clean")
        seen = []

        def app(environ, start_response):
            seen.append((variable.get(), threading.current_thread().name))
            variable.set("dirty")
            start_response("200 OK", list(TEXT))
            return []

        async def again(exchange):
            await exchange.ended()

        for _ in range(2):
            serve(app, None, again, blocking_threads=1)
        assert [value for value, _ in seen] == ["clean", "clean"]
        assert variable.get() == "clean"
        assert seen[0][1] == ("wsgi-1" if place == "thread" else "MainThread")

    @in_a_thread
    def test_the_loop_runs_in_another_thread(self, serve) -> None:
        threads = []

        def app(environ, start_response):
            threads.append(threading.current_thread())
            start_response("200 OK", list(TEXT))
            return []

        serve(app)
        assert threads[0] is not threading.current_thread()
        assert not threads[0].is_alive()


class TestLength:
    """The quick reading of Content-Length says what the thorough one says."""

    @pytest.mark.parametrize("digits", [b"0", b"007", b" 12\t", b"9" * 18, b"9" * 19, b"9" * 40])
    @pytest.mark.parametrize("name", [b"content-length", b"CONTENT-LENGTH"])
    def test_a_number(self, name, digits) -> None:
        fields = [(b"x-fourteen-abc", b"1"), (name, digits)]
        assert length_of(fields) == declared_length(fields) == int(digits)

    @pytest.mark.parametrize("digits", [b"", b" ", b"-1", b"+1", b"1_0", b"1 0", b"\xb2"])
    def test_no_number(self, digits) -> None:
        with pytest.raises(InvalidResponse, match="Content-Length is not a number"):
            length_of([(b"content-length", digits)])

    def test_none(self) -> None:
        assert length_of([(b"content-type", b"text/plain")]) is None

"""Scope, headers and body of an RSGI request."""

import asyncio

import pytest

from granian_d.errors import BodyTooLarge
from granian_d.http.message import Peer, TlsFacts
from granian_d.interface.registry import load
from granian_d.interface.rsgi.headers import Headers, encode_headers
from granian_d.interface.rsgi.scope import Scope
from granian_d.rsgi import ProtocolClosed, ProtocolError

from .memory import TCP, TCP6, UNIX, MemoryExchange, context, request


class TestScope:
    def test_every_attribute(self) -> None:
        scope = Scope(request(b"/caf%C3%A9%ff?q=%20"), TCP)
        assert scope.proto == "http"
        assert scope.rsgi_version == "1.6"
        assert scope.http_version == "1.1"
        assert scope.server == "192.0.2.1:8000"
        assert scope.client == "192.0.2.7:50123"
        assert scope.scheme == "http"
        assert scope.method == "GET"
        assert scope.path == "/café\ufffd"
        assert scope.query_string == "q=%20"
        assert scope.authority is None
        assert scope.headers.items() == [("host", "example.org")]
        assert scope.headers is scope.headers

    def test_tls(self) -> None:
        facts = TlsFacts(0x0304, 0x1302, "AES", "", "OURS", (), "")
        assert Scope(request(), Peer(None, None, "https", facts)).tls is facts
        assert Scope(request(), TCP).tls is None

    def test_ends(self) -> None:
        scope = Scope(request(), TCP6)
        assert (scope.server, scope.client) == ("[2001:db8::1]:8443", "[2001:db8::7]:50123")
        assert scope.scheme == "https"
        scope = Scope(request(), UNIX)
        assert (scope.server, scope.client) == ("/run/app.sock", "")

    @pytest.mark.parametrize(
        ("version", "told", "authority"),
        [("1.0", "1", None), ("1.1", "1.1", None), ("2", "2", "x.org"), ("3", "3", "x.org")],
    )
    def test_versions(self, version, told, authority) -> None:
        scope = Scope(request(version=version, authority=b"x.org"), TCP)
        assert (scope.http_version, scope.authority) == (told, authority)

    def test_no_query(self) -> None:
        assert Scope(request(b"/"), TCP).query_string == ""

    @pytest.mark.parametrize("name", ["path", "method", "headers", "surprise"])
    def test_read_only(self, name) -> None:
        with pytest.raises(AttributeError):
            setattr(Scope(request(), TCP), name, "x")


class TestHeaders:
    headers = Headers(
        [(b"a", b"1"), (b"b", b"\xff"), (b"a", b"2"), (b"c", b"\xc3\xa9"), (b"c", b"3\t4")]
    )

    def test_as_a_whole(self) -> None:
        assert self.headers.keys() == ["a", "b", "c"]
        assert list(self.headers) == ["a", "b", "c"]
        assert len(self.headers) == 3
        assert self.headers.values() == ["1", "2", "3\t4"]
        assert self.headers.items() == [("a", "1"), ("a", "2"), ("c", "3\t4")]

    @pytest.mark.parametrize("key", ["a", "A"])
    def test_one_by_one(self, key) -> None:
        assert self.headers[key] == "1"
        assert self.headers.get(key) == "1"
        assert self.headers.get_all(key) == ["1", "2"]
        assert key in self.headers

    def test_no_text(self) -> None:
        assert self.headers["b"] == ""
        assert self.headers.get("b") is None
        assert self.headers.get("c", "default") == "default"
        assert self.headers.get_all("c") == ["3\t4"]
        assert "b" in self.headers

    @pytest.mark.parametrize("key", ["missing", "", "ä", "K"])
    def test_absent(self, key) -> None:
        assert key not in self.headers
        assert self.headers.get(key) is None
        assert self.headers.get(key, 5) == 5
        assert self.headers.get_all(key) == []
        with pytest.raises(KeyError):
            self.headers[key]

    def test_what_cannot_be_sent_is_dropped(self) -> None:
        pairs = [("a", "1"), ("b b", "2"), ("", "3"), ("d", "4\n"), ("é", "5"), ("f", "é")]
        assert encode_headers([*pairs, ("g", "\udc80")]) == [(b"a", b"1"), (b"f", "é".encode())]


@pytest.fixture
def ask(run):
    """What `steps(protocol)` returns when an application runs it for an exchange."""

    def ask(steps, exchange, script=None):
        results = []

        async def app(scope, protocol):
            results.append(await steps(protocol))
            protocol.response_empty(204)

        async def main():
            interface = load("rsgi")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            if script is not None:
                await script(exchange)
            await interface.settle()

        run(main())
        assert exchange.crashes == []
        return results[0] if results else None

    return ask


async def whole(protocol):
    return await protocol()


async def parts(protocol):
    return [part async for part in protocol]


class TestBody:
    @pytest.mark.parametrize("body", [b"", b"one", [b"one", b"two"]])
    def test_whole(self, ask, body) -> None:
        expected = body if isinstance(body, bytes) else b"".join(body)
        assert ask(whole, MemoryExchange(body=body)) == expected

    @pytest.mark.parametrize(
        ("body", "expected"), [(b"", [b""]), ([b"one", b"two"], [b"one", b"two", b""])]
    )
    def test_in_parts_with_an_empty_one_at_the_end(self, ask, body, expected) -> None:
        assert ask(parts, MemoryExchange(body=body)) == expected

    @pytest.mark.parametrize(
        ("take", "expected"), [(whole, b"onetwo"), (parts, [b"one", b"two", b""])]
    )
    def test_as_it_comes(self, ask, take, expected) -> None:
        async def script(exchange):
            for number, part in enumerate((b"one", b"two")):
                await exchange.until(lambda number=number: exchange.wanted == number + 1)
                exchange.feed(part)
            await exchange.until(lambda: exchange.wanted == 3)
            exchange.feed_end()

        assert ask(take, MemoryExchange(body=None), script) == expected

    @pytest.mark.parametrize("first", ["call", "call unawaited", "iteration"])
    @pytest.mark.parametrize("second", ["call", "iteration"])
    def test_once_only(self, ask, first, second) -> None:
        async def steps(protocol):
            if first == "iteration":
                aiter(protocol)
            else:
                awaitable = protocol()
                if first == "call":
                    await awaitable
                else:
                    awaitable.close()
            with pytest.raises(ProtocolError, match=r"^RSGI protocol error$") as caught:
                protocol() if second == "call" else aiter(protocol)  # raised without an await
            assert isinstance(caught.value, RuntimeError)
            return True

        assert ask(steps, MemoryExchange(body=b"x"))

    def test_next_without_iteration(self, ask) -> None:
        async def steps(protocol):
            with pytest.raises(StopAsyncIteration):
                await anext(protocol)
            return True

        assert ask(steps, MemoryExchange())

    def test_broken_as_a_whole(self, ask) -> None:
        async def steps(protocol):
            with pytest.raises(ProtocolClosed, match=r"^RSGI transport is closed$") as caught:
                await protocol()
            assert isinstance(caught.value, RuntimeError)
            return True

        exchange = MemoryExchange(body=None)
        exchange.feed(b"half")
        exchange.feed_error(BodyTooLarge("too large"))
        assert ask(steps, exchange)

    def test_broken_in_parts(self, ask) -> None:
        exchange = MemoryExchange(body=None)
        exchange.feed(b"half")
        exchange.feed_error(BodyTooLarge("too large"))
        assert ask(parts, exchange) == [b"half", b""]


class TestClientDisconnect:
    def test_when_the_peer_leaves(self, ask) -> None:
        async def steps(protocol):
            await asyncio.gather(protocol.client_disconnect(), protocol.client_disconnect())
            await protocol.client_disconnect()
            return True

        async def script(exchange):
            await exchange.until(lambda: len(exchange._on_gone or ()) == 2)
            exchange.lose()

        assert ask(steps, MemoryExchange(), script)

    def test_a_watcher_is_cancelled(self, ask) -> None:
        async def steps(protocol):
            watcher = asyncio.ensure_future(protocol.client_disconnect())
            await asyncio.sleep(0)
            watcher.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watcher
            return True

        exchange = MemoryExchange()
        assert ask(steps, exchange)
        assert exchange._on_gone == []

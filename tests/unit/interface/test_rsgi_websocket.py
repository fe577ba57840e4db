"""WebSocket sessions in RSGI: scope, protocol, transport, messages."""

import asyncio
import gc
import weakref

import pytest

from granian_d.errors import InvalidResponse
from granian_d.interface.registry import load
from granian_d.rsgi import (
    ProtocolClosed,
    ProtocolError,
    WebsocketMessageType,
    WebsocketProtocol,
    WebsocketTransport,
)

from .memory import TCP6, UNIX, context
from .memory_session import MemorySession, asked, hold


@pytest.fixture
def converse(run):
    def converse(app, session=None, script=None):
        return hold(run, "rsgi", app, session, script)

    return converse


def accepting(steps):
    """An application that accepts, then runs `steps(transport)`."""

    async def app(scope, protocol):
        await steps(await protocol.accept())

    return app


async def echo(scope, protocol):
    transport = await protocol.accept()
    while True:
        message = await transport.receive()
        match message.kind:
            case WebsocketMessageType.string:
                await transport.send_str(message.data)
            case WebsocketMessageType.bytes:
                await transport.send_bytes(message.data)
            case _:
                return


class TestScope:
    def see(self, converse, session):
        seen = []

        async def app(scope, protocol):
            seen.append(scope)

        converse(app, session)
        return seen[0]

    def test_the_whole_scope(self, converse) -> None:
        scope = self.see(converse, MemorySession(asked(b"/caf%C3%A9?q=%20")))
        assert (scope.proto, scope.rsgi_version, scope.http_version) == ("ws", "1.6", "1.1")
        assert (scope.method, scope.scheme) == ("GET", "http")
        assert (scope.path, scope.query_string, scope.authority) == ("/café", "q=%20", None)
        assert (scope.server, scope.client) == ("192.0.2.1:8000", "192.0.2.7:50123")
        assert scope.headers["upgrade"] == "websocket"

    def test_of_a_stream(self, converse) -> None:
        """An extended CONNECT is as much of a GET as an Upgrade is (RFC 8441 4)."""
        scope = self.see(converse, MemorySession(asked(b"/x", version="2"), peer=TCP6))
        assert (scope.method, scope.scheme, scope.http_version) == ("GET", "https", "2")
        assert scope.authority == "example.org"

    def test_on_a_unix_socket(self, converse) -> None:
        scope = self.see(converse, MemorySession(peer=UNIX))
        assert (scope.server, scope.client) == ("/run/app.sock", "")


class TestAccepting:
    def test_messages_both_ways(self, converse) -> None:
        async def script(session):
            session.say("grüß dich", b"\0\xff", "", b"")
            await session.until(lambda: len(session.sends) == 4)
            session.end(1001, "bye")

        session = converse(echo, None, script)
        assert session.accepted == (None, [])
        assert session.sends == ["grüß dich", b"\0\xff", "", b""]
        assert session.crashes == session.closes == []

    def test_with_subprotocol_and_headers(self, converse) -> None:
        async def app(scope, protocol):
            assert protocol.subprotocols == ("chat", "superchat")
            await protocol.accept("superchat", [("x-room", "7"), ("x-bad\n", "dropped")])

        session = converse(app, MemorySession(subprotocols=("chat", "superchat")))
        assert session.accepted == ("superchat", [(b"x-room", b"7")])

    def test_by_name(self, converse) -> None:
        async def app(scope, protocol):
            assert protocol.subprotocols == ()
            await protocol.accept(headers=[("x-room", "7")], subprotocol=None)

        assert converse(app).accepted == (None, [(b"x-room", b"7")])

    @pytest.mark.parametrize("arguments", [("chat",), (None, [("sec-websocket-protocol", "chat")])])
    def test_with_what_must_not_go_out(self, converse, arguments) -> None:
        async def app(scope, protocol):
            with pytest.raises(InvalidResponse):
                await protocol.accept(*arguments)
            await protocol.accept()  # nothing has changed

        assert converse(app).accepted == (None, [])

    def test_once(self, converse) -> None:
        async def app(scope, protocol):
            assert isinstance(protocol, WebsocketProtocol)
            assert isinstance(await protocol.accept(), WebsocketTransport)
            with pytest.raises(ProtocolError, match="RSGI protocol error"):
                await protocol.accept()

        assert converse(app).closes == [(1000, "")]

    def test_not_after_it_was_refused(self, converse) -> None:
        async def app(scope, protocol):
            protocol.close()
            with pytest.raises(ProtocolError):
                await protocol.accept()

        assert converse(app).answer == (403, b"", "finished")

    def test_from_a_peer_that_has_gone(self, converse) -> None:
        async def app(scope, protocol):
            session.lose()
            with pytest.raises(ProtocolClosed):
                await protocol.accept()
            assert protocol.close() is None

        session = MemorySession()
        converse(app, session)
        assert (session.accepted, session.answer) == (None, (0, b"", "aborted"))


class TestClosing:
    @pytest.mark.parametrize(("status", "sent"), [(None, 403), (401, 401), (503, 503)])
    def test_refuses(self, converse, status, sent) -> None:
        async def app(scope, protocol):
            assert protocol.close(status) is None
            assert protocol.close() is None
            assert protocol.close(404) is None

        session = converse(app)
        assert (session.answer, session.crashes) == ((sent, b"", "finished"), [])

    @pytest.mark.parametrize("status", [99, 101, 1000, "403"])
    def test_with_what_is_no_status(self, converse, status) -> None:
        async def app(scope, protocol):
            with pytest.raises(InvalidResponse):
                protocol.close(status)
            await protocol.accept()  # nothing has changed

        assert converse(app).accepted == (None, [])

    def test_refuses_with_a_reason(self, converse) -> None:
        async def app(scope, protocol):
            protocol.close(401, reason="qui\xe9n?")

        session = converse(app)
        assert session.answer == (401, b"qui\xc3\xa9n?", "finished")
        assert session.exchange.fields == [(b"content-type", b"text/plain; charset=utf-8")]

    @pytest.mark.parametrize(
        ("arguments", "sent"),
        [
            ((), (1000, "")),
            ((403,), (1000, "")),  # for who wrote it as RSGI has it: one status for both moments
            ((1001,), (1001, "")),
            ((4000, "bye"), (4000, "bye")),
            ((None, "bye"), (1000, "bye")),
        ],
    )
    def test_an_accepted_one(self, converse, arguments, sent) -> None:
        async def app(scope, protocol):
            transport = await protocol.accept()
            protocol.close(*arguments)
            protocol.close(*arguments)
            for send in (transport.send_str("x"), transport.send_bytes(b"x")):
                with pytest.raises(ProtocolError):
                    await send

        session = converse(app)
        assert (session.closes, session.sends) == ([sent], [])

    @pytest.mark.parametrize("arguments", [(1005,), (2999,), (5000,), (1000, "x" * 124)])
    def test_with_what_is_no_code(self, converse, arguments) -> None:
        async def app(scope, protocol):
            transport = await protocol.accept()
            with pytest.raises(InvalidResponse):
                protocol.close(*arguments)
            await transport.send_str("nothing has changed")

        session = converse(app)
        assert (session.closes, session.sends) == ([(1000, "")], ["nothing has changed"])

    def test_messages_still_come_until_the_peer_closes(self, converse) -> None:
        async def app(scope, protocol):
            transport = await protocol.accept()
            protocol.close()
            assert (await transport.receive()).data == "late"
            assert (await transport.receive()).kind == WebsocketMessageType.close

        async def script(session):
            await session.until(lambda: session.closes)
            session.say("late")
            session.end(1000)

        converse(app, None, script)


class TestReceiving:
    def test_kinds(self, converse) -> None:
        async def steps(transport):
            string, octets, close = [await transport.receive() for _ in range(3)]
            assert (string.kind, string.data) == (WebsocketMessageType.string, "a")
            assert (octets.kind, octets.data) == (WebsocketMessageType.bytes, b"b")
            assert close.kind is WebsocketMessageType.close
            assert [message.kind for message in (string, octets, close)] == [2, 1, 0]
            assert not hasattr(close, "data")
            assert (close.code, close.reason) == (1005, "")
            assert {(m.code, m.reason) for m in (string, octets)} == {(None, None)}
            for _ in range(2):
                with pytest.raises(ProtocolClosed):
                    await transport.receive()
            with pytest.raises(ProtocolClosed):
                await transport.send_str("late")

        async def script(session):
            await session.until(lambda: session.accepted)
            session.say("a", b"b")
            session.end(1005)

        assert converse(accepting(steps), None, script).crashes == []

    @pytest.mark.parametrize("code", [1000, 1005, 1001, 1012, 4000])
    def test_a_close(self, converse, code) -> None:
        async def steps(transport):
            message = await transport.receive()
            assert message.kind == WebsocketMessageType.close
            assert (message.code, message.reason) == (code, "")

        async def script(session):
            await session.until(lambda: session._on_readable)
            session.end(code)

        converse(accepting(steps), None, script)

    @pytest.mark.parametrize("waits", [False, True])
    def test_from_a_peer_that_is_lost(self, converse, waits) -> None:
        async def steps(transport):
            if not waits:
                session.lose()
            for _ in range(2):
                with pytest.raises(ProtocolClosed, match="RSGI transport is closed"):
                    await transport.receive()

        async def script(session):
            if waits:
                await session.until(lambda: session._on_readable)
                session.lose()

        session = MemorySession()
        assert converse(accepting(steps), session, script).crashes == []

    def test_by_one_task_at_a_time(self, converse) -> None:
        async def steps(transport):
            first = asyncio.create_task(transport.receive())
            await asyncio.sleep(0)
            with pytest.raises(ProtocolError):
                await transport.receive()
            session.say("x")
            assert (await first).data == "x"
            session.say("y")
            assert (await transport.receive()).data == "y"

        session = MemorySession()
        converse(accepting(steps), session)

    def test_a_time_out_loses_no_message(self, converse) -> None:
        async def steps(transport):
            for number in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(transport.receive(), 0.001)
                session.say(str(number))
                assert (await transport.receive()).data == str(number)

        session = MemorySession()
        converse(accepting(steps), session)

    def test_a_message_that_comes_with_the_cancellation_is_kept(self, converse) -> None:
        async def steps(transport):
            task = asyncio.create_task(transport.receive())
            await asyncio.sleep(0)
            session.say("x")
            task.cancel()
            await asyncio.wait([task])
            assert (await transport.receive()).data == "x"

        session = MemorySession()
        converse(accepting(steps), session)


class TestSending:
    @pytest.mark.parametrize(
        ("name", "data", "sent"),
        [
            ("send_str", "a", "a"),
            ("send_str", "", ""),
            ("send_bytes", b"a", b"a"),
            ("send_bytes", b"", b""),
            ("send_bytes", bytearray(b"a"), b"a"),
            ("send_bytes", memoryview(b"a"), b"a"),
        ],
    )
    def test_what_can_go_out(self, converse, name, data, sent) -> None:
        session = converse(accepting(lambda transport: getattr(transport, name)(data)))
        assert session.sends == [sent]

    @pytest.mark.parametrize(
        ("name", "data"),
        [("send_str", b"a"), ("send_str", None), ("send_bytes", "a"), ("send_bytes", 5)],
    )
    def test_what_cannot(self, converse, name, data) -> None:
        async def steps(transport):
            with pytest.raises(TypeError):
                await getattr(transport, name)(data)

        session = converse(accepting(steps))
        assert (session.sends, session.closes) == ([], [(1000, "")])

    def test_waits_for_room(self, converse) -> None:
        async def steps(transport):
            for number in range(4):
                await transport.send_str(str(number))

        async def script(session):
            for count in (1, 2, 3, 4):
                await session.until(lambda: session._on_room)
                assert len(session.sends) == count
                session.read()

        session = MemorySession(room=0)
        assert converse(accepting(steps), session, script).closes == [(1000, "")]

    def test_every_waiting_task_goes_on(self, converse) -> None:
        async def steps(transport):
            tasks = [asyncio.create_task(transport.send_str(str(n))) for n in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.wait([tasks[1]])
            session.read()
            await asyncio.gather(tasks[0], tasks[2])

        session = MemorySession(room=0)
        assert converse(accepting(steps), session).sends == ["0", "1", "2"]

    @pytest.mark.parametrize("waits", [False, True])
    def test_to_a_peer_that_has_gone(self, converse, waits) -> None:
        async def steps(transport):
            sending = asyncio.ensure_future(transport.send_bytes(b"x"))
            if waits:
                await asyncio.sleep(0)
            session.lose()
            with pytest.raises(ProtocolClosed):
                await sending

        session = MemorySession(room=0)
        assert converse(accepting(steps), session).crashes == []


class TestLife:
    def test_at_once(self, run) -> None:
        """All that is there is echoed within the turn in which the session was offered."""

        async def app(scope, protocol):
            transport = await protocol.accept()
            for _ in range(3):
                await transport.send_str((await transport.receive()).data)

        async def main():
            interface = load("rsgi")(app, context(asyncio.get_running_loop()))
            await interface.startup()
            await asyncio.sleep(0)  # before Python 3.12 a task begins in the next turn
            session = MemorySession()
            session.say("1", "2", "3")
            interface.converse(session)
            assert (session.sends, session.closes) == (["1", "2", "3"], [(1000, "")])
            await interface.shutdown()

        run(main())

    def test_what_an_application_may_keep(self, run) -> None:
        """Rooms of a chat are sets of weak references; a session leaves them by itself."""

        async def app(scope, protocol):
            rooms.add(protocol)
            rooms.add(await protocol.accept())
            assert len(rooms) == 2

        rooms = weakref.WeakSet()
        gc.collect()
        gc.disable()
        try:
            assert hold(run, "rsgi", app).crashes == []
            assert len(rooms) == 0
        finally:
            gc.enable()

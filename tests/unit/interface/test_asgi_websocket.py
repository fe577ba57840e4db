"""WebSocket sessions in ASGI: the scope, the order of messages, what is in them, waiting."""

import asyncio
import json
from typing import ClassVar

import pytest

from granian_d.errors import Disconnected, FlowError, InvalidResponse, SessionClosed
from granian_d.http.message import Peer, TlsFacts
from granian_d.interface.asgi.dialogue import MOMENTS, PHASES
from granian_d.interface.registry import load

from .memory import TCP, TCP6, UNIX, MemoryExchange, context
from .memory_session import HANDSHAKE, MemorySession, asked, hold

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
CONNECT = {"type": "websocket.connect"}
DENY = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]}


def text(data):
    return {"type": "websocket.send", "text": data}


def octets(data):
    return {"type": "websocket.send", "bytes": data}


def denial(body, more=False):
    return {"type": "websocket.http.response.body", "body": body, "more_body": more}


def disconnect(code, reason=""):
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def accepting(steps):
    """An application that accepts, then runs `steps(receive, send)`."""

    async def app(scope, receive, send):
        assert await receive() == CONNECT
        await send(ACCEPT)
        await steps(receive, send)

    return app


async def echo(scope, receive, send):
    assert await receive() == CONNECT
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        kind = "text" if "text" in message else "bytes"
        await send({"type": "websocket.send", kind: message[kind]})


@pytest.fixture
def converse(run):
    def converse(app, session=None, script=None):
        return hold(run, "asginl", app, session, script)

    return converse


class TestScope:
    def see(self, converse, session):
        seen = []

        async def app(scope, receive, send):
            seen.append(scope)

        converse(app, session)
        return seen[0]

    def test_the_whole_scope(self, converse) -> None:
        session = MemorySession(asked(b"/caf%C3%A9/x%2fy?q=%20&q"), ("chat", "superchat"))
        assert self.see(converse, session) == {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "server": ("192.0.2.1", 8000),
            "client": ("192.0.2.7", 50123),
            "scheme": "ws",
            "root_path": "",
            "path": "/café/x/y",
            "raw_path": b"/caf%C3%A9/x%2fy",
            "query_string": b"q=%20&q",
            "headers": list(HANDSHAKE),
            "subprotocols": ["chat", "superchat"],
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }

    def test_of_a_stream(self, converse) -> None:
        """The authority of an extended CONNECT is Host; its method is nowhere (RFC 8441 4)."""
        scope = self.see(converse, MemorySession(asked(b"/x", version="2")))
        assert (scope["http_version"], scope["headers"]) == ("2", [(b"host", b"example.org")])
        assert "method" not in scope

    def test_tls(self, converse) -> None:
        facts = TlsFacts(0x0304, 0x1302, "AES", "a.org", "OURS", (), "")
        peer = Peer(("192.0.2.7", 1), ("192.0.2.1", 443), "https", facts)
        scope = self.see(converse, MemorySession(asked(), peer=peer))
        assert scope["scheme"] == "wss"
        assert set(scope["extensions"]) == {"websocket.http.response", "tls"}
        assert scope["extensions"]["tls"]["tls_version"] == 0x0304

    def test_peers(self, converse) -> None:
        scope = self.see(converse, MemorySession(peer=TCP6))
        assert (scope["scheme"], scope["client"]) == ("wss", ("2001:db8::7", 50123))
        scope = self.see(converse, MemorySession(peer=UNIX))
        assert (scope["client"], scope["server"]) == (None, ("/run/app.sock", None))

    @pytest.mark.parametrize("first", ["request", "session"])
    def test_a_connection_for_both(self, run, first) -> None:
        """The scopes of requests keep what is the same on one connection; ours is another."""
        scopes = {}

        async def app(scope, receive, send):
            scopes[scope["type"]] = scope
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 204})
                await send({"type": "http.response.body"})

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop(), root_path="/app"))
            exchange, session = MemoryExchange(), MemorySession(asked(b"/chat"))
            exchange.peer = session.exchange.peer
            steps = [lambda: interface.serve(exchange), lambda: interface.converse(session)]
            for step in steps if first == "request" else reversed(steps):
                step()
            await interface.settle()

        run(main())
        request, session = scopes["http"], scopes["websocket"]
        assert (request["scheme"], request["method"], request["path"]) == ("http", "GET", "/")
        assert (session["scheme"], session["path"]) == ("ws", "/chat")
        assert {"subprotocols"} == session.keys() - request.keys()
        assert {"method"} == request.keys() - session.keys()
        assert request["root_path"] == session["root_path"] == "/app"
        assert "http.response.pathsend" in request["extensions"]

    def test_nothing_is_shared(self, converse) -> None:
        first = self.see(converse, session := MemorySession(subprotocols=("a",)))
        for part in ("headers", "asgi", "extensions", "subprotocols"):
            first[part].clear()
        assert session.exchange.head.fields == list(HANDSHAKE)
        assert session.subprotocols == ("a",)
        assert self.see(converse, MemorySession())["extensions"] == {"websocket.http.response": {}}

    def test_the_state_of_the_lifespan(self, run) -> None:
        seen = []

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                scope["state"]["pool"] = "pool"
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
                return
            seen.append(dict(scope["state"]))
            scope["state"]["mine"] = 1

        for _ in range(2):
            hold(run, "asgi", app)
        assert seen == [{"pool": "pool"}] * 2


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

    @pytest.mark.parametrize("headers", [[(b"x-a", b"1"), (b"x-a", b"2")], [[b"x-a", b"1"]]])
    def test_with_subprotocol_and_headers(self, converse, headers) -> None:
        async def app(scope, receive, send):
            await send({**ACCEPT, "subprotocol": "superchat", "headers": iter(headers)})

        session = converse(app, MemorySession(subprotocols=("chat", "superchat")))
        assert session.accepted == ("superchat", [tuple(pair) for pair in headers])

    @pytest.mark.parametrize("more", [{}, {"subprotocol": None, "headers": None}, {"headers": ()}])
    def test_with_nothing(self, converse, more) -> None:
        async def app(scope, receive, send):
            await send({**ACCEPT, **more})

        assert converse(app).accepted == (None, [])

    @pytest.mark.parametrize(
        "more",
        [
            {"subprotocol": "other"},
            {"subprotocol": b"chat"},
            {"headers": [(b"sec-websocket-protocol", b"chat")]},
            {"headers": [("x", "y")]},
            {"headers": [(b"x", b"a\r\nb")]},
            {"headers": 1},
        ],
    )
    def test_with_what_must_not_go_out(self, converse, more) -> None:
        async def app(scope, receive, send):
            with pytest.raises(InvalidResponse):
                await send({**ACCEPT, **more})
            await send(ACCEPT)  # nothing has changed

        assert converse(app, MemorySession(subprotocols=("chat",))).accepted == (None, [])

    def test_that_goes_wrong_is_a_500(self, converse) -> None:
        async def app(scope, receive, send):
            await send({**ACCEPT, "subprotocol": "other"})

        session = converse(app)
        assert session.answer == (500, b"Internal Server Error", "finished")
        assert [type(crash) for crash in session.crashes] == [InvalidResponse]


class TestReceiving:
    def test_one_key_for_each_kind(self, converse) -> None:
        """As the servers that applications are written for do it; a missing key means None."""
        got = []

        async def steps(receive, send):
            got.extend([await receive() for _ in range(4)])

        session = MemorySession()
        session.say("a", b"b")
        converse(accepting(steps), session, closing(3000, "enough"))
        assert got == [
            {"type": "websocket.receive", "text": "a"},
            {"type": "websocket.receive", "bytes": b"b"},
            disconnect(3000, "enough"),
            disconnect(3000, "enough"),
        ]

    @pytest.mark.parametrize(
        ("code", "reason"),
        [(1000, "done"), (1005, ""), (1006, ""), (1001, "worker stops"), (1012, "restart")],
    )
    def test_the_end(self, converse, code, reason) -> None:
        """Of the peer, or of the worker: 1001 when it stops, 1012 when another takes over."""
        got = []

        async def steps(receive, send):
            got.extend([await receive(), await receive()])

        session = converse(accepting(steps), None, closing(code, reason))
        assert got == [disconnect(code, reason)] * 2
        assert session.crashes == session.closes == []

    @pytest.mark.parametrize("half", [False, True])
    def test_the_end_of_an_offer(self, converse, half) -> None:
        """Told by the exchange, which half of a connection is enough for, or by the session."""

        async def app(scope, receive, send):
            assert await receive() == CONNECT
            if half:
                session.exchange.feed_gone()
            else:
                session.end(1006)
            assert await receive() == disconnect(1006)

        session = MemorySession()
        assert converse(app, session).crashes == []

    def test_every_waiting_task_is_woken(self, converse) -> None:
        got = []

        async def steps(receive, send):
            got.extend(await asyncio.gather(receive(), receive(), receive()))

        async def script(session):
            await session.until(lambda: session.taken == 0 and session._on_readable)
            session.say("1")
            session.end(1000)

        converse(accepting(steps), None, script)
        assert got == [{"type": "websocket.receive", "text": "1"}] + [disconnect(1000)] * 2

    def test_a_time_out_loses_no_message(self, converse) -> None:
        async def steps(receive, send):
            for number in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(receive(), 0.001)
                session.say(str(number))
                assert (await receive())["text"] == str(number)

        session = MemorySession()
        assert converse(accepting(steps), session).closes == [(1000, "")]

    def test_a_cancelled_one_holds_nothing(self, converse) -> None:
        async def steps(receive, send):
            task = asyncio.create_task(receive())
            await asyncio.sleep(0)
            waiting = session._on_readable
            task.cancel()
            await asyncio.wait([task])
            assert session._on_readable is not waiting

        session = MemorySession()
        converse(accepting(steps), session)

    def test_nothing_before_the_acceptance(self, converse) -> None:
        got = []

        async def app(scope, receive, send):
            await receive()
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not waiting.done()
            await send(ACCEPT)
            got.append(await waiting)

        async def script(session):
            session.say("early")
            await session.until(lambda: session.accepted)
            session.say("late")

        converse(app, None, script)
        assert got == [{"type": "websocket.receive", "text": "early"}]


def closing(code, reason=""):
    async def script(session):
        await session.until(lambda: session.accepted)
        session.end(code, reason)

    return script


class TestSending:
    @pytest.mark.parametrize(
        ("message", "sent"),
        [
            (text("a"), "a"),
            (text(""), ""),
            ({**text("a"), "bytes": None}, "a"),
            (octets(b"a"), b"a"),
            (octets(b""), b""),
            ({**octets(b"a"), "text": None}, b"a"),
            (octets(bytearray(b"a")), b"a"),
            (octets(memoryview(b"a")), b"a"),
            (text(type("S", (str,), {})("a")), "a"),
        ],
    )
    def test_what_can_go_out(self, converse, message, sent) -> None:
        session = converse(accepting(lambda receive, send: send(message)))
        assert session.sends == [sent]

    @pytest.mark.parametrize(
        "message",
        [
            {"type": "websocket.send"},
            {"type": "websocket.send", "text": None, "bytes": None},
            {"type": "websocket.send", "text": "a", "bytes": b"a"},
            {"type": "websocket.send", "text": "", "bytes": b""},
            text(b"a"),
            text(1),
            octets("a"),
            octets(5),
        ],
    )
    def test_what_cannot(self, converse, message) -> None:
        async def steps(receive, send):
            with pytest.raises(InvalidResponse):
                await send(message)

        session = converse(accepting(steps))
        assert (session.sends, session.closes) == ([], [(1000, "")])

    def test_waits_for_room(self, converse) -> None:
        async def steps(receive, send):
            for number in range(4):
                await send(text(str(number)))

        async def script(session):
            for count in (1, 2, 3, 4):
                await session.until(lambda: session._on_room)
                assert len(session.sends) == count
                session.read()

        session = MemorySession(room=0)
        assert converse(accepting(steps), session, script).closes == [(1000, "")]

    def test_every_waiting_task_goes_on(self, converse) -> None:
        async def steps(receive, send):
            senders = [asyncio.create_task(send(text(str(number)))) for number in range(3)]
            await asyncio.sleep(0)
            senders[1].cancel()
            await asyncio.wait([senders[1]])
            session.read()
            await asyncio.gather(senders[0], senders[2])

        session = MemorySession(room=0)
        assert converse(accepting(steps), session).sends == ["0", "1", "2"]

    def test_the_peer_goes_meanwhile(self, converse) -> None:
        async def steps(receive, send):
            sending = asyncio.create_task(send(text("x")))
            await asyncio.sleep(0)
            session.end(4001, "no more")
            with pytest.raises(SessionClosed) as caught:
                await sending
            assert (caught.value.code, caught.value.reason) == (4001, "no more")

        session = MemorySession(room=0)
        assert converse(accepting(steps), session).crashes == []

    @pytest.mark.parametrize("message", [text("x"), octets(b"x"), CLOSE], ids=str)
    def test_to_a_peer_that_has_gone(self, converse, message) -> None:
        async def steps(receive, send):
            session.end(1001, "bye")
            for _ in range(2):
                with pytest.raises(OSError) as caught:
                    await send(message)
                assert type(caught.value) is SessionClosed
                assert caught.value.code == 1001

        session = MemorySession()
        assert converse(accepting(steps), session).crashes == []


class TestClosing:
    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({}, (1000, "")),
            ({"reason": None}, (1000, "")),
            ({"code": 4000, "reason": "grüß dich"}, (4000, "grüß dich")),
        ],
    )
    def test_an_accepted_one(self, converse, more, said) -> None:
        session = converse(accepting(lambda receive, send: send({**CLOSE, **more})))
        assert (session.closes, session.crashes) == ([said], [])

    @pytest.mark.parametrize("more", [{"code": 1005}, {"code": "1000"}, {"reason": b""}])
    def test_with_what_must_not_go_out(self, converse, more) -> None:
        async def steps(receive, send):
            with pytest.raises(InvalidResponse):
                await send({**CLOSE, **more})
            await send({**CLOSE, "code": 3000})  # nothing has changed

        assert converse(accepting(steps)).closes == [(3000, "")]

    def test_messages_still_come_until_the_peer_closes(self, converse) -> None:
        got = []

        async def steps(receive, send):
            await send(CLOSE)
            got.extend([await receive() for _ in range(3)])

        async def script(session):
            await session.until(lambda: session.closes)
            session.say("late")
            await session.until(lambda: got == [] and session._on_readable)
            session.end(1000)

        converse(accepting(steps), None, script)
        assert got == [{"type": "websocket.receive", "text": "late"}] + [disconnect(1000)] * 2

    def test_who_waits_sees_it(self, converse) -> None:
        got = []

        async def app(scope, receive, send):
            await receive()
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            await send(CLOSE)
            got.append(await waiting)

        assert converse(app).answer == (403, b"", "finished")
        assert got == [disconnect(1006)]


class TestDenying:
    def test_by_a_status_of_its_own(self, converse) -> None:
        async def app(scope, receive, send):
            assert await receive() == CONNECT
            await send(DENY)
            await send(denial(b"not you"))
            assert await receive() == disconnect(1006)

        session = converse(app)
        assert session.answer == (401, b"not you", "finished")
        assert session.exchange.fields == [(b"a", b"b")]
        assert (session.accepted, session.crashes) == (None, [])

    def test_in_parts(self, converse) -> None:
        async def app(scope, receive, send):
            await send({**DENY, "headers": []})
            for part in (b"a", b"b", b"c"):
                await send(denial(part, more=True))
            await send({"type": "websocket.http.response.body"})

        async def script(session):
            for _ in range(3):
                await session.exchange.until(lambda: session.exchange._on_room)
                session.exchange.read()

        session = converse(app, MemorySession(room_bytes=0), script)
        assert session.answer == (401, b"abc", "finished")
        assert session.exchange.sends == [b"a", b"b", b"c", b""]

    @pytest.mark.parametrize("message", [{**DENY, "status": 99}, {**DENY, "status": "401"}])
    def test_with_what_must_not_go_out(self, converse, message) -> None:
        async def app(scope, receive, send):
            with pytest.raises(InvalidResponse):
                await send(message)
            await send(CLOSE)

        assert converse(app).answer == (403, b"", "finished")

    def test_and_not_ending_it(self, converse) -> None:
        async def app(scope, receive, send):
            await send(DENY)
            await send(denial(b"not", more=True))

        session = converse(app)
        assert session.answer == (401, b"not", "aborted")
        assert [type(crash) for crash in session.crashes] == [FlowError]

    def test_the_peer_goes_meanwhile(self, converse) -> None:
        async def app(scope, receive, send):
            await receive()
            await send(DENY)
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            session.exchange.lose()
            assert await waiting == disconnect(1006)
            with pytest.raises(Disconnected):
                await send(denial(b"x"))

        session = MemorySession()
        assert converse(app, session).crashes == []


class TestOrder:
    """Every message in every phase: it goes through, or is refused and changes nothing."""

    WAYS = ((), (ACCEPT,), (ACCEPT, CLOSE), (DENY,), (CLOSE,))  # to each phase
    MESSAGES: ClassVar = {
        "websocket.accept": ACCEPT,
        "websocket.send": text("x"),
        "websocket.close": CLOSE,
        "websocket.http.response.start": DENY,
        "websocket.http.response.body": denial(b"x"),
    }

    @pytest.mark.parametrize("kind", MOMENTS)
    @pytest.mark.parametrize("phase", PHASES)
    def test_of_messages(self, converse, phase, kind) -> None:
        async def app(scope, receive, send):
            for message in self.WAYS[phase]:
                await send(message)
            before = state()
            if phase in MOMENTS[kind]:
                await send(self.MESSAGES[kind])
                assert state() != before
                return
            with pytest.raises(FlowError, match=PHASES[phase]):
                await send(self.MESSAGES[kind])
            assert state() == before

        def state():
            return session.state, session.sends.copy(), session.closes.copy(), session.answer

        session = MemorySession()
        converse(app, session)
        assert len(self.WAYS) == len(PHASES)

    @pytest.mark.parametrize("message", [{"type": "http.response.start"}, {"type": "x"}])
    def test_of_what_is_no_message(self, converse, message) -> None:
        async def app(scope, receive, send):
            with pytest.raises(FlowError, match="no message of a WebSocket session"):
                await send(message)
            with pytest.raises(KeyError):
                await send({})

        converse(app)


class TestAtOnce:
    def test_neither_futures_nor_turns(self, run) -> None:
        """All that is there is echoed within the turn in which the session was offered."""

        async def app(scope, receive, send):
            await receive()
            await send(ACCEPT)
            for _ in range(3):
                message = await receive()
                await send(text(json.dumps(message)))
            await send(CLOSE)

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            await interface.startup()
            await asyncio.sleep(0)  # before Python 3.12 a task begins in the next turn
            session = MemorySession()
            session.say("1", "2", "3")
            interface.converse(session)
            assert session.closes == [(1000, "")]
            assert [json.loads(sent)["text"] for sent in session.sends] == ["1", "2", "3"]
            await interface.shutdown()

        run(main())

    def test_is_served_beside_requests(self, run) -> None:
        async def app(scope, receive, send):
            if scope["type"] == "websocket":
                await echo(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x"})

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            await interface.startup()
            sessions = [MemorySession() for _ in range(5)]
            exchanges = [MemoryExchange(peer=TCP) for _ in range(5)]
            for session, exchange in zip(sessions, exchanges, strict=True):
                interface.converse(session)
                interface.serve(exchange)
            for number, session in enumerate(sessions):
                session.say(str(number))
                await session.until(lambda session=session: session.sends)
                session.end(1000)
            await interface.settle()
            await interface.shutdown()
            assert [session.sends for session in sessions] == [[str(n)] for n in range(5)]
            assert [exchange.body for exchange in exchanges] == [b"x"] * 5

        run(main())

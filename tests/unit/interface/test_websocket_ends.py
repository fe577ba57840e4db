"""How sessions end, in both interfaces that have them: one table, one test for each cell."""

import asyncio
import gc
import weakref

import pytest

from granian_d.errors import Disconnected, FlowError, SessionClosed
from granian_d.interface.registry import load

from .memory import context
from .memory_session import MemorySession, hold


class Asgi:
    """What an application does in a session, in ASGI's words."""

    name = "asginl"

    def __init__(self, scope, receive, send):
        self.scope, self.receive, self._send = scope, receive, send

    @staticmethod
    def app(steps):
        async def app(scope, receive, send):
            assert await receive() == {"type": "websocket.connect"}
            await steps(Asgi(scope, receive, send))

        return app

    def keep(self, thing):
        self.scope["state"]["kept"] = thing

    async def accept(self):
        await self._send({"type": "websocket.accept"})

    async def close(self):
        await self._send({"type": "websocket.close"})

    async def send(self, data):
        await self._send({"type": "websocket.send", "text": data})


class Rsgi:
    """The same, in RSGI's."""

    name = "rsgi"

    def __init__(self, protocol):
        self.protocol = protocol

    @staticmethod
    def app(steps):
        async def app(scope, protocol):
            await steps(Rsgi(protocol))

        return app

    def keep(self, thing):
        self.kept = thing  # nothing that RSGI gives can hold it

    async def accept(self):
        self.transport = await self.protocol.accept()

    async def close(self):
        self.protocol.close()

    async def send(self, data):
        await self.transport.send_str(data)

    async def receive(self):
        return await self.transport.receive()


@pytest.fixture(params=[Asgi, Rsgi])
def words(request):
    return request.param


@pytest.fixture
def converse(run, words):
    def converse(steps, session=None, script=None):
        return hold(run, words.name, words.app(steps), session, script)

    return converse


ERRORS = [ValueError("x"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
errors = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def raising(error, *moves):
    async def steps(app):
        for move in moves:
            await getattr(app, move)()
        raise error

    return steps


class TestReturning:
    def test_without_a_word_refuses(self, converse) -> None:
        async def steps(app):
            pass

        session = converse(steps)
        assert session.answer == (403, b"", "finished")
        assert (session.crashes, session.exchange.recorder.ended) == ([], 1)

    def test_from_an_accepted_session_closes_it(self, converse) -> None:
        session = converse(lambda app: app.accept())
        assert (session.closes, session.crashes) == ([(1000, "")], [])
        assert session.state_name == "is being closed"

    def test_after_it_was_closed_changes_nothing(self, converse) -> None:
        async def steps(app):
            await app.accept()
            await app.close()

        assert converse(steps).closes == [(1000, "")]

    def test_because_the_peer_has_gone(self, converse) -> None:
        async def steps(app):
            session.lose()

        session = MemorySession()
        converse(steps, session)
        assert (session.answer, session.crashes) == ((0, b"", "aborted"), [])


@errors
class TestRaising:
    def test_before_anything_else(self, converse, error) -> None:
        session = converse(raising(error))
        assert session.crashes == [error]
        assert session.answer == (500, b"Internal Server Error", "finished")

    def test_in_an_accepted_session(self, converse, error) -> None:
        session = converse(raising(error, "accept"))
        assert (session.crashes, session.closes) == ([error], [(1011, "")])

    def test_in_a_closed_one(self, converse, error) -> None:
        session = converse(raising(error, "accept", "close"))
        assert (session.crashes, session.closes) == ([error], [(1000, "")])

    def test_in_a_refused_one(self, converse, error) -> None:
        session = converse(raising(error, "close"))
        assert (session.crashes, session.answer) == ([error], (403, b"", "finished"))

    def test_though_the_peer_has_gone(self, converse, error) -> None:
        async def steps(app):
            await app.accept()
            session.end()
            raise error

        session = MemorySession()
        converse(steps, session)
        assert (session.crashes, session.closes) == ([error], [])

    def test_after_having_waited(self, converse, error) -> None:
        async def steps(app):
            await app.accept()
            await app.receive()
            raise error

        async def script(session):
            await session.until(lambda: session._on_readable)
            session.say("x")

        session = converse(steps, None, script)
        assert (session.crashes, session.closes) == ([error], [(1011, "")])


class TestDepartures:
    def test_are_not_told(self, converse) -> None:
        async def steps(app):
            await app.accept()
            session.lose()
            try:
                await app.send("x")
            except OSError:
                raise RuntimeError from None  # as frameworks do

        session = MemorySession()
        converse(steps, session)
        assert (session.crashes, session.closes) == ([], [])

    def test_while_the_application_thinks_whether_to_accept(self, converse) -> None:
        async def steps(app):
            session.lose()
            with pytest.raises(Disconnected):
                await app.accept()
            raise SessionClosed(1006)

        session = MemorySession()
        converse(steps, session)
        assert (session.crashes, session.answer) == ([], (0, b"", "aborted"))

    def test_half_of_one_is_enough(self, converse) -> None:
        """Who has closed its sending side cannot say anything in a session."""

        async def steps(app):
            session.exchange.feed_gone()
            with pytest.raises(Disconnected):
                await app.accept()

        session = MemorySession()
        converse(steps, session)
        assert (session.crashes, session.answer) == ([], (0, b"", "aborted"))

    def test_told_by_the_session_alone(self, converse) -> None:
        """An engine may end an offered session itself."""

        async def steps(app):
            session.end(1006)
            with pytest.raises(Disconnected):
                await app.accept()

        session = MemorySession()
        converse(steps, session)
        assert (session.crashes, session.accepted) == ([], None)

    @pytest.mark.parametrize("waits", [False, True])
    def test_of_the_worker(self, converse, waits) -> None:
        """It has said Close, and the peer has not answered yet: nothing can be sent any more."""

        async def steps(app):
            await app.accept()
            sending = asyncio.ensure_future(app.send("x"))
            await asyncio.sleep(0)
            session.leave(1012)
            await sending  # it went out before the Close
            await app.send("y")

        session = MemorySession(room=not waits)
        converse(steps, session)
        assert (session.sends, session.crashes, session.closes) == (["x"], [], [(1000, "")])

    def test_of_others_excuse_nobody(self, converse) -> None:
        """A broadcast meets a peer that has gone; this one's is still there."""
        session = converse(raising(SessionClosed(1006), "accept"))
        assert [type(crash) for crash in session.crashes] == [SessionClosed]
        assert session.closes == [(1011, "")]

    def test_of_a_group(self, converse) -> None:
        async def steps(app):
            await app.accept()
            session.lose()
            async with asyncio.TaskGroup() as group:
                group.create_task(app.send("x"))
                group.create_task(app.send("y"))

        session = MemorySession()
        assert converse(steps, session).crashes == []


class TestOddApplications:
    def test_not_asynchronous(self, run, words) -> None:
        session = hold(run, words.name, lambda *_: None)
        assert [type(crash) for crash in session.crashes] == [TypeError]
        assert session.answer[0] == 500

    def test_what_is_sent_after_the_end_of_the_call(self, converse, words) -> None:
        """A task that has been left behind gets an error, and no peer gets its message."""

        async def steps(app):
            await app.accept()
            apps.append(app)

        async def script(session):
            await session.until(lambda: session.closes)
            with pytest.raises(FlowError):
                await apps[0].send("late")
            session.end(1000)

        apps = []
        assert converse(steps, None, script).sends == []

    def test_what_is_awaited_beyond_the_end_of_the_call(self, run, words) -> None:
        async def steps(app):
            await app.accept()
            tasks.append(asyncio.ensure_future(app.receive()))
            tasks.append(asyncio.ensure_future(app.send("x")))
            await asyncio.sleep(0)

        async def main():
            session = MemorySession(room=0)
            interface = load(words.name)(words.app(steps), context(asyncio.get_running_loop()))
            interface.converse(session)
            await interface.settle()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            if words is Asgi:
                assert ends[0] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
            else:
                assert str(ends[0]) == "RSGI transport is closed"
            assert session._on_room is None or session._on_room() is None

        tasks = []
        run(main())


class TestTheWorkersEnd:
    @pytest.mark.parametrize("code", [1001, 1012])
    def test_sessions_are_waited_for(self, run, words, code) -> None:
        async def steps(app):
            await app.accept()
            while True:
                await app.receive()
                await app.send("x")

        async def main():
            sessions = [MemorySession() for _ in range(3)]
            interface = load(words.name)(words.app(steps), context(asyncio.get_running_loop()))
            for session in sessions:
                interface.converse(session)
                await session.until(lambda session=session: session._on_readable)
            settled = asyncio.ensure_future(interface.settle())
            for session in sessions:
                await asyncio.sleep(0)
                assert not settled.done()
                session.end(code)
            await settled
            await interface.shutdown()
            assert [session.crashes for session in sessions] == [[]] * 3

        run(main())

    @pytest.mark.parametrize("accepted", [False, True])
    def test_the_last_ones_are_cancelled(self, run, words, accepted) -> None:
        async def steps(app):
            if accepted:
                await app.accept()
            ends.append("begun")
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        async def main():
            interface = load(words.name)(words.app(steps), context(asyncio.get_running_loop()))
            interface.converse(session)
            await asyncio.sleep(0)
            await interface.shutdown()

        ends = []
        session = MemorySession()
        run(main())
        assert ends == ["begun", "cancelled"]
        assert session.crashes == []  # it was our doing
        if accepted:
            assert session.closes == [(1001, "")]
        else:
            assert session.answer == (0, b"", "aborted")

    def test_cancelled_in_every_wait(self, run, words) -> None:
        async def steps(app):
            await app.accept()
            await asyncio.gather(app.receive(), app.send("x"))

        async def main():
            interface = load(words.name)(words.app(steps), context(asyncio.get_running_loop()))
            interface.converse(session)
            await session.until(lambda: session._on_readable and session._on_room)
            await interface.shutdown()

        session = MemorySession(room=0)
        run(main())
        assert (session.crashes, session.closes) == ([], [(1001, "")])


ENDS = ["peer", "application", "refused", "crash", "lost", "stray", "watched"]


class TestNothingOutlives:
    """The garbage collector is switched off: what is left is held by somebody."""

    @pytest.mark.parametrize("end", ENDS)
    def test_a_session(self, run, words, end) -> None:
        class Resource:
            pass

        async def steps(app):
            resource = Resource()
            app.keep(resource)
            resources.append(weakref.ref(resource))
            if end == "refused":
                await app.close()
                return
            if end == "watched" and words is Asgi:
                tasks.append(asyncio.ensure_future(app.receive()))
                await asyncio.sleep(0)
            await app.accept()
            await app.send("x")
            if end == "stray":
                tasks.append(asyncio.ensure_future(app.receive()))
                await asyncio.sleep(0)
            elif end in ("peer", "lost"):
                await app.receive()
            elif end == "crash":
                raise ValueError

        async def script(session):
            if end in ("peer", "lost"):
                await session.until(lambda: session._on_readable)
                session.end(1000 if end == "peer" else 1006)

        async def main():
            interface = load(words.name)(words.app(steps), context(asyncio.get_running_loop()))
            session = MemorySession()
            interface.converse(session)
            await script(session)
            await interface.settle()
            session.crashes.clear()
            await asyncio.gather(*tasks, return_exceptions=True)
            tasks.clear()
            await asyncio.sleep(0)
            assert resources[0]() is None
            session.end(1000)  # the session itself may still be there, as CLOSING

        resources, tasks = [], []
        gc.collect()
        gc.disable()
        try:
            run(main())
        finally:
            gc.enable()

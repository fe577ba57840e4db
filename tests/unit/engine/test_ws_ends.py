"""How conversations end: by either side, by time, and with the worker (RFC 6455 7)."""

from __future__ import annotations

import pytest

from granian_d.engine.contract import Leave
from granian_d.errors import FlowError, InvalidResponse, SessionClosed
from granian_d.http import session as states
from tests.unit.engine.talk import (
    BINARY,
    CLOSE,
    ENGINES,
    PING,
    PONG,
    TEXT,
    Frame,
    Talk,
    close,
    frame,
    said,
)

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def ended(talk: Talk, code: int, fate: str = "closes") -> bool:
    """It is over on both sides, and that was said once."""
    with pytest.raises(SessionClosed) as caught:
        talk.session.send("x")
    return (
        talk.session.state == states.CLOSED
        and caught.value.code == talk.session.code == code
        and talk.fate == fate
        and talk.record.over == [talk.exchange]
        and talk.endpoint.deadline == float("inf")
    )


# --- the client says Close -----------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4999])
def test_a_close_is_echoed(engine: str, code: int) -> None:
    talk = Talk(engine).trickle(close(code, "schön".encode()))
    assert talk.sent == [Frame(CLOSE, code.to_bytes(2, "big"))]
    assert ended(talk, code)
    assert talk.end == (code, "schön")


def test_a_close_without_a_code_is_echoed_without_one(engine: str) -> None:
    talk = Talk(engine).feed(close(None))
    assert talk.sent == [Frame(CLOSE, b"")]
    assert ended(talk, states.NO_CODE)


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_a_code_that_must_not_be_on_the_wire(engine: str, code: int) -> None:
    talk = Talk(engine).feed(close(code))
    assert talk.closes == said(1002)
    assert ended(talk, 1002)


def test_half_a_code(engine: str) -> None:
    talk = Talk(engine).feed(frame(CLOSE, b"\x03"))
    assert talk.closes == said(1002)


def test_a_reason_that_is_no_text(engine: str) -> None:
    talk = Talk(engine).feed(close(1000, b"\xff"))
    assert talk.closes == said(1007)
    assert ended(talk, 1007)


def test_what_follows_a_close_is_ignored(engine: str) -> None:
    talk = Talk(engine).feed(
        frame(TEXT, b"a") + close() + frame(TEXT, b"b") + frame(PING) + b"\xff"
    )
    assert talk.pulled() == ["a"]
    assert talk.sent == [Frame(CLOSE, b"\x03\xe8")]
    assert ended(talk, 1000)


def test_messages_before_the_end_can_be_pulled_behind_it(engine: str) -> None:
    talk = Talk(engine).feed(frame(TEXT, b"a") + frame(BINARY, b"b") + close())
    assert talk.session.state == states.CLOSED
    assert talk.pulled() == ["a", b"b"]
    with pytest.raises(SessionClosed):
        talk.session.pull()


def test_a_close_wakes_who_waits(engine: str) -> None:
    woken = []
    talk = Talk(engine)
    talk.session.when_readable(lambda: woken.append("readable"))
    talk.session.when_room(lambda: woken.append("room"))
    talk.feed(close())
    assert sorted(woken) == ["readable", "room"]


# --- the application says Close ------------------------------------------------------------------


def test_the_application_closes(engine: str) -> None:
    talk = Talk(engine)
    talk.session.send("bye")
    talk.session.close(3001, "Grüße")
    assert talk.session.state == states.CLOSING
    assert talk.sent == [Frame(TEXT, b"bye"), Frame(CLOSE, b"\x0b\xb9" + "Grüße".encode())]
    assert talk.fate == "stays"
    with pytest.raises(FlowError):
        talk.session.send("more")
    talk.session.close(1000)  # once is enough
    talk.feed(frame(TEXT, b"late") + frame(PING, b"x") + close(3001))
    assert talk.pulled() == ["late"]
    assert len(talk.sent) == 2, "nothing follows a Close"
    assert ended(talk, 3001)
    talk.session.close(1000)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1004, ""),
        (1005, ""),
        (1006, ""),
        (1015, ""),
        (999, ""),
        (2999, ""),
        (5000, ""),
        (True, ""),
        ("1000", ""),
        (1000, "x" * 124),
        (1000, "ü" * 62),
        (1000, "\ud800"),
        (1000, b"x"),
    ],
)
def test_a_close_that_must_not_go_out(engine: str, code: object, reason: object) -> None:
    talk = Talk(engine)
    with pytest.raises(InvalidResponse):
        talk.session.close(code, reason)
    assert not talk.sent
    talk.session.close(1000, "x" * 123)
    assert talk.sent == [Frame(CLOSE, b"\x03\xe8" + b"x" * 123)]


def test_a_peer_that_does_not_answer_a_close_is_left(engine: str) -> None:
    talk = Talk(engine)
    talk.session.close()
    talk.wait(9.75)
    assert talk.fate == "stays"
    talk.wait(0.25)
    assert ended(talk, states.ABNORMAL)


def test_bad_frames_behind_our_close_need_no_other(engine: str) -> None:
    talk = Talk(engine)
    talk.session.close()
    talk.feed(frame(TEXT, b"\xff"))
    assert talk.closes == said(1000)
    assert ended(talk, 1007)


def test_the_application_aborts(engine: str) -> None:
    talk = Talk(engine)
    talk.session.abort()
    assert not talk.sent
    assert ended(talk, states.ABNORMAL, "resets")
    talk.session.abort()


def test_messages_are_dropped_by_an_application_that_has_closed(engine: str) -> None:
    """It need not pull, and the peer's Close must be seen behind whatever comes before it."""
    talk = Talk(engine)
    talk.session.close()
    talk.feed(*[frame(BINARY, bytes(30000))] * 10, close())
    assert not talk.wire.paused
    assert ended(talk, 1000)
    assert len(talk.pulled()) == 3


def test_a_close_of_the_application_reads_on(engine: str) -> None:
    talk = Talk(engine).feed(frame(BINARY, bytes(70000)) + frame(TEXT, b"x") + close(3000))
    assert talk.wire.paused
    talk.session.close(3000)
    assert ended(talk, 3000)


# --- the client breaks a rule --------------------------------------------------------------------

BAD = frame(TEXT, b"x", bits=2)


def test_what_came_before_a_fault_is_answered(engine: str) -> None:
    talk = Talk(engine).feed(frame(TEXT, b"a") + frame(TEXT, b"b") + BAD + frame(TEXT, b"c"))
    assert not talk.sent
    assert talk.wire.paused
    talk.feed(close())
    assert talk.session.pull() == "a"
    talk.session.send("a")
    assert talk.session.pull() == "b"
    talk.session.send("b")
    with pytest.raises(SessionClosed):
        talk.session.pull()
    assert [it.payload for it in talk.sent[:2]] == [b"a", b"b"]
    assert talk.closes == said(1002)
    assert ended(talk, 1002)


def test_a_fault_alone_is_answered_at_once(engine: str) -> None:
    talk = Talk(engine).feed(BAD)
    assert ended(talk, 1002)


def test_an_application_that_does_not_pull_does_not_hold_it_up(engine: str) -> None:
    talk = Talk(engine).feed(frame(TEXT, b"a") + BAD)
    talk.wait(9.75)
    assert talk.fate == "stays"
    talk.wait(0.25)
    assert talk.closes == said(1002)
    assert ended(talk, 1002)
    assert talk.pulled() == ["a"]


@pytest.mark.parametrize("code", [1000, 3000])
def test_an_application_that_closes_does_not_either(engine: str, code: int) -> None:
    talk = Talk(engine).feed(frame(TEXT, b"a") + BAD)
    talk.session.close(code)
    assert talk.closes == said(code)
    assert ended(talk, 1002)


def test_a_peer_that_goes_behind_its_fault(engine: str) -> None:
    talk = Talk(engine).feed(frame(TEXT, b"a") + BAD)
    talk.endpoint.feed_eof()
    assert talk.pulled() == ["a"]
    assert talk.closes == said(1002)
    assert ended(talk, 1002)


# --- neither: the connection, time ---------------------------------------------------------------


def test_the_peer_goes_without_a_close(engine: str) -> None:
    talk = Talk(engine).feed(frame(TEXT, b"a"))
    talk.endpoint.feed_eof()
    assert talk.pulled() == ["a"]
    assert not talk.sent
    assert ended(talk, states.ABNORMAL)
    talk.endpoint.feed_lost()


def test_the_connection_is_lost(engine: str) -> None:
    talk = Talk(engine)
    talk.session.when_readable(woken := _Woken())
    talk.endpoint.feed_lost()
    assert woken.times == 1
    assert ended(talk, states.ABNORMAL, "stays")


def test_the_end_waits_for_what_came_before_it(engine: str) -> None:
    talk = Talk(engine).feed(frame(BINARY, bytes(70000)) + frame(TEXT, b"x"))
    talk.endpoint.feed_eof()
    assert talk.session.state == states.OPEN
    assert talk.pulled() == [bytes(70000), "x"]
    assert ended(talk, states.ABNORMAL)


def test_silence_is_asked_about(engine: str) -> None:
    talk = Talk(engine, ping_interval_s=20.0, ping_timeout_s=5.0).wait(19.75)
    assert not talk.sent
    talk.wait(0.25)
    assert talk.sent == [Frame(PING, b"")]
    talk.wait(4.75).feed(frame(PONG)).wait(19.75)
    assert talk.sent == [Frame(PING, b"")]
    talk.wait(0.25)
    assert talk.sent == [Frame(PING, b"")] * 2


def test_any_octet_is_an_answer(engine: str) -> None:
    talk = Talk(engine, ping_interval_s=20.0, ping_timeout_s=30.0).wait(20)
    talk.wait(29.75).feed(frame(TEXT, b"x")[:1]).wait(19.75)
    assert len(talk.sent) == 1
    talk.wait(0.25)
    assert len(talk.sent) == 2


def test_silence_ends_it(engine: str) -> None:
    talk = Talk(engine, ping_interval_s=20.0, ping_timeout_s=5.0).wait(24.75)
    assert talk.fate == "stays"
    talk.wait(0.25)
    assert talk.closes == said(1011)
    assert ended(talk, 1011)


def test_an_interval_of_none_asks_nothing(engine: str) -> None:
    talk = Talk(engine, ping_interval_s=0.0)
    assert talk.endpoint.deadline == float("inf")
    talk.wait(100)
    assert not talk.sent


def test_a_slow_application_is_not_the_peers_silence(engine: str) -> None:
    talk = Talk(engine, ping_interval_s=20.0, ping_timeout_s=5.0)
    talk.feed(frame(BINARY, bytes(70000))).wait(100)
    assert not talk.sent
    assert talk.pulled()
    talk.wait(19.75)
    assert not talk.sent
    talk.wait(0.5)
    assert talk.sent == [Frame(PING, b"")]


def test_a_peer_that_does_not_read_is_cut(engine: str) -> None:
    talk = Talk(engine, high_water=1000, write_timeout_s=10.0)
    talk.session.send(bytes(2000))
    talk.wait(9.75)
    talk.take(100)
    talk.wait(10)
    assert talk.fate == "stays", "it has read something"
    talk.wait(10)
    assert ended(talk, states.ABNORMAL, "resets")


# --- the worker leaves ---------------------------------------------------------------------------


@pytest.mark.parametrize(("restarting", "code"), [(True, 1012), (False, 1001)])
def test_the_worker_leaves(engine: str, restarting: bool, code: int) -> None:
    talk = Talk(engine)
    talk.endpoint.drain(Leave(0.0, 0.0, restarting))
    assert talk.closes == said(code)
    assert talk.session.state == states.OPEN, "what has been sent before can be read"
    with pytest.raises(SessionClosed):
        talk.session.send("x")
    talk.feed(frame(TEXT, b"last words"), close(code))
    assert talk.pulled() == ["last words"]
    assert ended(talk, code)
    assert len(talk.sent) == 1


def test_each_conversation_leaves_at_a_moment_of_its_own(engine: str) -> None:
    talks = [Talk(engine) for _ in range(40)]
    for talk in talks:
        talk.endpoint.drain(Leave(0.0, 20.0, restarting=True))
    moments = {talk.endpoint.deadline for talk in talks}
    assert len(moments) > 30
    assert all(1000 <= moment <= 1020 for moment in moments)
    for talk in talks:
        talk.wait(20.25)
        assert talk.closes == said(1012)


def test_the_worker_does_not_wait_for_ever(engine: str) -> None:
    talk = Talk(engine)
    talk.endpoint.drain(Leave(0.0, 0.0, restarting=True))
    talk.wait(9.75)
    assert talk.fate == "stays"
    talk.wait(0.25)
    assert ended(talk, 1012)


def test_who_waits_to_send_learns_that_the_worker_leaves(engine: str) -> None:
    talk = Talk(engine, high_water=10)
    assert not talk.session.send(bytes(100))
    talk.session.when_room(woken := _Woken())
    talk.endpoint.drain(Leave(0.0))
    assert woken.times == 1


def test_an_application_may_close_what_the_worker_leaves(engine: str) -> None:
    talk = Talk(engine)
    talk.endpoint.drain(Leave(0.0))
    talk.session.close(3000)
    assert talk.closes == said(1001)
    talk.endpoint.feed_eof()
    assert ended(talk, 1001)


def test_other_terms_take_the_place_of_the_first(engine: str) -> None:
    talk = Talk(engine)
    talk.endpoint.drain(Leave(0.0, 1e9, restarting=True))
    talk.endpoint.drain(Leave(0.0, 0.0))
    assert talk.closes == said(1001)
    talk.endpoint.drain(Leave(0.0, 0.0))
    assert talk.closes == said(1001)


class _Woken:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1

"""How conversations begin, what they may cost, and who waits for whom."""

from __future__ import annotations

import pytest

from granian_d.errors import Disconnected, FlowError, InvalidResponse, SessionClosed
from granian_d.http import session as states
from tests.unit.engine.talk import (
    BINARY,
    CONTINUATION,
    DEFLATE,
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


# --- the beginning -------------------------------------------------------------------------------


def test_what_is_answered(engine: str) -> None:
    talk = Talk(engine, subprotocols=b"chat, soap", extensions=DEFLATE, accept=False)
    assert talk.session.subprotocols == ("chat", "soap")
    assert talk.session.state == states.OFFERED
    talk.session.accept("soap", [(b"X-App", b"1"), (b"Transfer-Encoding", b"chunked")])
    assert talk.session.state == states.OPEN
    assert talk.exchange.fields == [
        (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        (b"sec-websocket-protocol", b"soap"),
        (
            b"sec-websocket-extensions",
            b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (b"X-App", b"1"),
    ]


def test_compression_can_be_switched_off(engine: str) -> None:
    talk = Talk(engine, extensions=DEFLATE, compress=False)
    assert [name for name, _ in talk.exchange.fields] == [b"sec-websocket-accept"]
    talk.feed(frame(TEXT, b"x", bits=4))
    assert talk.closes == said(1002)


@pytest.mark.parametrize(
    ("subprotocol", "fields"),
    [
        ("xmpp", []),
        ("Chat", []),
        (None, [(b"sec-websocket-protocol", b"chat")]),
        (None, [(b"Sec-WebSocket-Accept", b"x")]),
        (None, [(b"sec-websocket-extensions", b"x")]),
        (None, [(b"a b", b"c")]),
        (None, [(b"a", b"b\r\nc: d")]),
    ],
)
def test_what_must_not_be_answered(engine: str, subprotocol: str | None, fields: list) -> None:
    talk = Talk(engine, subprotocols=b"chat", accept=False)
    with pytest.raises(InvalidResponse):
        talk.session.accept(subprotocol, fields)
    assert talk.session.state == states.OFFERED, "it can still be answered"
    talk.session.accept("chat", [])
    assert talk.session.state == states.OPEN


def test_the_order_of_things(engine: str) -> None:
    talk = Talk(engine, accept=False)
    with pytest.raises(FlowError):
        talk.session.send("x")
    with pytest.raises(FlowError):
        talk.session.close()
    assert talk.session.pull() is None
    talk.session.accept(None, [])
    with pytest.raises(FlowError):
        talk.session.accept(None, [])
    assert not talk.sent


def test_a_peer_that_goes_before_it_is_accepted(engine: str) -> None:
    talk = Talk(engine, accept=False)
    woken = []
    talk.session.when_readable(lambda: woken.append(1))
    talk.exchange.feed_gone()
    assert woken
    assert talk.end == (states.ABNORMAL, "")
    with pytest.raises(Disconnected):
        talk.session.accept(None, [])
    with pytest.raises(SessionClosed):
        talk.session.pull()


def test_a_peer_that_goes_later_is_the_wires_news(engine: str) -> None:
    talk = Talk(engine)
    talk.exchange.feed_gone()
    assert talk.session.state == states.OPEN


def test_an_offer_is_aborted(engine: str) -> None:
    talk = Talk(engine, accept=False)
    talk.session.abort()
    talk.session.abort()
    assert talk.fate == "resets"
    assert talk.end == (states.ABNORMAL, "")


def test_nothing_of_a_refused_one_runs(engine: str) -> None:
    """The interface answers on the exchange, and the session is forgotten."""
    talk = Talk(engine, accept=False)
    talk.exchange._advance("start")
    with pytest.raises(FlowError):
        talk.session.accept(None, [])
    assert talk.endpoint is None
    assert not talk.sent


# --- what it may cost ----------------------------------------------------------------------------


def test_a_message_too_large_is_refused_by_its_head(engine: str) -> None:
    talk = Talk(engine, message_bytes=1000)
    talk.feed(frame(BINARY, bytes(1000)))
    assert talk.pulled() == [bytes(1000)]
    talk.feed(frame(BINARY, bytes(1001))[:8])
    assert talk.closes == said(1009)
    assert talk.fate == "closes"
    assert talk.end[0] == 1009


def test_fragments_are_counted_together(engine: str) -> None:
    talk = Talk(engine, message_bytes=10)
    talk.feed(frame(TEXT, b"12345", fin=False), frame(CONTINUATION, b"67890"))
    assert talk.pulled() == ["1234567890"]
    talk.feed(frame(TEXT, b"12345", fin=False), frame(CONTINUATION, b"678901")[:6])
    assert talk.closes == said(1009)


def test_a_frame_too_large_is_refused_by_its_head(engine: str) -> None:
    talk = Talk(engine, frame_bytes=100, message_bytes=0)
    talk.feed(*[frame(BINARY, bytes(100), fin=False)] + [frame(CONTINUATION, bytes(100))] * 1)
    assert talk.pulled() == [bytes(200)]
    talk.feed(frame(PING, b"x" * 125))
    talk.feed(frame(BINARY, bytes(101))[:6])
    assert talk.closes == said(1009)


def test_without_limits(engine: str) -> None:
    talk = Talk(engine, message_bytes=0)
    talk.feed(frame(BINARY, bytes(20_000_000)))
    assert talk.pulled() == [bytes(20_000_000)]


def test_a_length_alone_takes_no_memory(engine: str) -> None:
    """What is declared and does not come is not made room for."""
    talk = Talk(engine, message_bytes=0)
    talk.feed(b"\x82\xff" + (1 << 60).to_bytes(8, "big") + bytes(4) + b"abc")
    talk.endpoint.feed_eof()
    assert talk.end[0] == states.ABNORMAL


# --- who waits for whom --------------------------------------------------------------------------


def test_the_peer_waits_for_the_application(engine: str) -> None:
    talk = Talk(engine)
    part = frame(BINARY, bytes(20000))
    talk.feed(part, part, part)
    assert not talk.wire.paused
    talk.feed(part)
    assert talk.wire.paused
    talk.feed(part + frame(PING))  # was on its way
    assert not talk.sent
    assert len([talk.session.pull() for _ in range(2)]) == 2
    assert talk.wire.paused
    assert talk.pulled() == [bytes(20000)] * 3
    assert not talk.wire.paused
    assert talk.sent == [Frame(PONG, b"")]


def test_many_small_messages_count_for_more_than_their_octets(engine: str) -> None:
    talk = Talk(engine)
    talk.feed(frame(BINARY) * 2000)
    assert talk.wire.paused
    assert talk.pulled() == [b""] * 2000
    assert not talk.wire.paused


def test_one_large_message_is_taken_whole(engine: str) -> None:
    talk = Talk(engine)
    talk.trickle(frame(BINARY, bytes(300000)), 65536)
    assert talk.wire.paused
    assert talk.pulled() == [bytes(300000)]
    assert not talk.wire.paused


def test_an_application_that_pulls_at_once_is_never_waited_for(engine: str) -> None:
    talk = Talk(engine)
    got: list[object] = []

    def pull() -> None:
        got.extend(talk.pulled())
        talk.session.when_readable(pull)

    talk.session.when_readable(pull)
    talk.feed(frame(BINARY, bytes(30000)) * 10)
    assert len(got) == 10
    assert not talk.wire.paused


def test_the_application_waits_for_the_peer(engine: str) -> None:
    talk = Talk(engine, high_water=1000)
    assert talk.session.send(bytes(500))
    assert not talk.session.send(bytes(600))
    woken = []
    talk.session.when_room(lambda: woken.append(1))
    talk.take(10)
    assert not woken
    talk.take(600)
    assert woken == [1]
    assert talk.session.send(bytes(10))


def test_pings_of_a_peer_that_does_not_read_do_not_pile_up(engine: str) -> None:
    """RFC 6455 5.5.3: the last of several may be answered."""
    talk = Talk(engine, high_water=100)
    talk.session.send(bytes(200))
    written = talk.wire.size
    for number in range(1000):
        talk.feed(frame(PING, b"%d" % number))
    assert talk.wire.size == written
    talk.take(200)
    assert talk.sent[1:] == [Frame(PONG, b"999")]


def test_no_pong_behind_a_close(engine: str) -> None:
    talk = Talk(engine, high_water=100)
    talk.session.send(bytes(200))
    talk.feed(frame(PING, b"x"))
    talk.session.close()
    talk.take(200)
    assert talk.closes == said(1000)
    assert len(talk.sent) == 2


@pytest.mark.parametrize("act", ["abort", "close", "send"])
def test_the_application_acts_while_it_is_told(engine: str, act: str) -> None:
    """Its callbacks run in the middle of a feed, and may come back."""
    talk = Talk(engine)

    def reader() -> None:
        for message in talk.pulled():
            assert message == "a"
            getattr(talk.session, act)(*(["b"] if act == "send" else []))
        talk.session.when_readable(reader)

    talk.session.when_readable(reader)
    talk.feed(frame(TEXT, b"a") + frame(TEXT, b"a") * (act == "send") + close())
    if act == "send":
        assert [it.payload for it in talk.sent] == [b"b", b"b", b"\x03\xe8"]
    elif act == "close":
        assert talk.closes == said(1000)
    else:
        assert talk.fate == "resets"
        assert not talk.sent
    assert talk.session.state == states.CLOSED
    assert talk.record.over == [talk.exchange]

"""What a server has to accept: every frame and every field representation, sent as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.h2 import frames
from tests.conformance.h2.case import Case, Table
from tests.conformance.h2.frames import Code, Priority, Setting

if TYPE_CHECKING:
    from tests.conformance.h2.client import Connection

TABLE = Table()
case = TABLE.case


# --- 1, 2: start and streams ------------------------------------------------------------------------


@case("generic/1/1", "9113 3.4", handshake=False)
def preface(connection: Connection):
    """The preface of a client is answered with SETTINGS"""
    connection.preface()
    connection.preface_of_server()


@case("generic/2/1", "9113 5.1")
def priority_on_idle(connection: Connection):
    """PRIORITY on an idle stream does no harm"""
    connection.send(frames.priority(1))
    connection.pong()


@case("generic/2/2", "9113 5.1")
def window_update_on_half_closed(connection: Connection):
    """WINDOW_UPDATE on a half-closed stream lets the answer go on"""
    connection.ask_and_hold()
    connection.send(frames.window_update(1, 1))
    connection.content(1, 1)


@case("generic/2/3", "9113 5.1")
def priority_on_half_closed(connection: Connection):
    """PRIORITY on a half-closed stream does no harm"""
    connection.ask_and_hold()
    connection.send(frames.priority(1), frames.window_update(1, 1))
    connection.content(1, 1)


@case("generic/2/4", "9113 5.1")
def reset_of_half_closed(connection: Connection):
    """RST_STREAM on a half-closed stream leaves the connection alone"""
    connection.ask()
    connection.send(frames.rst_stream(1))
    connection.pong(or_closed=True)


@case("generic/2/5", "9113 5.1")
def priority_on_closed(connection: Connection):
    """PRIORITY on a closed stream does no harm"""
    connection.ask()
    connection.stream_end(1)
    connection.send(frames.priority(1))
    connection.pong()


# --- 3: frames --------------------------------------------------------------------------------------


@case("generic/3.1/1", "9113 6.1")
def data(connection: Connection):
    """One DATA frame as content"""
    connection.open_post()
    connection.send(frames.data(1, b"test"))
    connection.answer()


@case("generic/3.1/2", "9113 6.1")
def several_data(connection: Connection):
    """Several DATA frames as content"""
    connection.open_post()
    connection.send(frames.data(1, b"test", end=False), frames.data(1, b"test"))
    connection.answer()


@case("generic/3.1/3", "9113 6.1")
def padded_data(connection: Connection):
    """A DATA frame with padding"""
    connection.open_post()
    connection.send(frames.data(1, b"test", padding=5))
    connection.answer()


@case("generic/3.2/1", "9113 6.2")
def headers(connection: Connection):
    """A HEADERS frame"""
    connection.ask()
    connection.answer()


@case("generic/3.2/2", "9113 6.2")
def padded_headers(connection: Connection):
    """A HEADERS frame with padding"""
    connection.send(frames.headers(1, connection.block(), padding=8))
    connection.answer()


@case("generic/3.2/3", "9113 6.2")
def prioritised_headers(connection: Connection):
    """A HEADERS frame with a priority"""
    connection.send(frames.headers(1, connection.block(), priority=Priority()))
    connection.answer()


def _priority(number: int, title: str, stream: int, value: Priority) -> None:
    def play(connection: Connection):
        connection.send(frames.priority(stream, value))
        connection.ask()
        connection.answer()

    TABLE.append(Case(f"generic/3.3/{number}", "9113 6.3", title, play))


_priority(1, "PRIORITY with the least weight, then a request", 1, Priority(weight=0))
_priority(2, "PRIORITY with the greatest weight, then a request", 1, Priority(weight=255))
_priority(3, "PRIORITY that depends on a stream, then a request", 3, Priority(1, weight=0))
_priority(4, "Exclusive PRIORITY, then a request", 1, Priority(weight=0, exclusive=True))
_priority(5, "PRIORITY on an idle stream opens nothing: a lower one can be opened", 3, Priority())


@case("generic/3.4/1", "9113 6.4")
def rst_stream(connection: Connection):
    """RST_STREAM on an open stream leaves the connection alone"""
    connection.open_post()
    connection.send(frames.rst_stream(1))
    connection.pong(or_closed=True)


@case("generic/3.5/1", "9113 6.5")
def settings(connection: Connection):
    """SETTINGS with all parameters is acknowledged"""
    connection.send(
        frames.settings(
            (Setting.HEADER_TABLE_SIZE, 4096),
            (Setting.ENABLE_PUSH, 1),
            (Setting.MAX_CONCURRENT_STREAMS, 100),
            (Setting.INITIAL_WINDOW_SIZE, 65535),
            (Setting.MAX_FRAME_SIZE, 16384),
            (Setting.MAX_HEADER_LIST_SIZE, 100),
        )
    )
    connection.settings_acknowledged()


@case("generic/3.7/1", "9113 6.7")
def ping(connection: Connection):
    """PING is answered"""
    connection.pong()


@case("generic/3.8/1", "9113 6.8")
def goaway(connection: Connection):
    """GOAWAY without error: PING is still answered, or the connection ends"""
    connection.send(frames.goaway(Code.NO_ERROR, b"good bye"))
    connection.pong(or_closed=True)


@case("generic/3.9/1", "9113 6.9")
def window_update(connection: Connection):
    """WINDOW_UPDATE for the connection"""
    connection.send(frames.window_update(0, 1))
    connection.pong()


@case("generic/3.9/2", "9113 6.9")
def window_update_of_stream(connection: Connection):
    """WINDOW_UPDATE for a stream"""
    connection.ask()
    connection.send(frames.window_update(1, 1))
    connection.answer()


@case("generic/3.10/1", "9113 6.10")
def continuation(connection: Connection):
    """A field block in HEADERS and a CONTINUATION, cut anywhere"""
    block = connection.block()
    connection.send(
        frames.headers(1, block[:5], end_headers=False),
        frames.continuation(1, block[5:]),
    )
    connection.answer()


@case("generic/3.10/2", "9113 6.10")
def several_continuations(connection: Connection):
    """A field block in HEADERS and several CONTINUATION"""
    block = connection.block()
    connection.send(
        frames.headers(1, block[:5], end_headers=False),
        frames.continuation(1, block[5:10], end_headers=False),
        frames.continuation(1, block[10:]),
    )
    connection.answer()


# --- 4: requests ------------------------------------------------------------------------------------


@case("generic/4/1", "9113 8.1")
def get(connection: Connection):
    """GET is answered"""
    connection.ask()
    connection.answer()


@case("generic/4/2", "9113 8.1")
def head(connection: Connection):
    """HEAD is answered"""
    connection.send(frames.headers(1, connection.block(connection.request("HEAD"))))
    connection.answer()


@case("generic/4/3", "9113 8.1")
def post(connection: Connection):
    """POST with content is answered"""
    connection.open_post()
    connection.send(frames.data(1, b"test"))
    connection.answer()


@case("generic/4/4", "9113 8.1")
def post_with_trailers(connection: Connection):
    """POST with content and trailers is answered"""
    connection.open_post(1, ("trailer", "x-test"))
    trailers = connection.block([("x-test", "ok")])
    connection.send(frames.data(1, b"test", end=False), frames.headers(1, trailers))
    connection.answer()


# --- 5: representations of a field ------------------------------------------------------------------

# Strings of RFC 7541 5.2: length and octets, plain or Huffman coded.
_TEST, _TEST_HUFFMAN = b"\x06x-test", bytes.fromhex("85f2b24a84ff")
_VALUE, _VALUE_HUFFMAN = b"\x06h2spec", bytes.fromhex("849c48aca4")


def _representation(number: int, section: str, title: str, octets: bytes) -> None:
    """A request that ends with a field in this representation is answered."""

    def play(connection: Connection):
        connection.send(frames.headers(1, connection.block() + octets))
        connection.answer()

    TABLE.append(Case(f"generic/5/{number}", f"7541 {section}", title, play))


_representation(1, "6.1", "An indexed field (58 of the static table)", b"\xba")
_number = 2
for _section, _kind, _agent, _new in (
    # What begins a literal: with "user-agent", 58 of the static table, as name; with a new name.
    ("6.2.1", "A literal field that is indexed", b"\x7a", b"\x40"),
    ("6.2.2", "A literal field that is not indexed", b"\x0f\x2b", b"\x00"),
    ("6.2.3", "A literal field that is never indexed", b"\x1f\x2b", b"\x10"),
):
    for _what, _octets in (
        ("name of the table", _agent + _VALUE),
        ("name of the table, Huffman coded", _agent + _VALUE_HUFFMAN),
        ("new name", _new + _TEST + _VALUE),
        ("new name, Huffman coded", _new + _TEST_HUFFMAN + _VALUE_HUFFMAN),
    ):
        _representation(_number, _section, f"{_kind}: {_what}", _octets)
        _number += 1


@case("generic/5/14", "7541 6.3")
def table_size_update(connection: Connection):
    """A smaller dynamic table is announced at the beginning of a field block"""
    connection.encoder.header_table_size = 128
    connection.ask()
    connection.answer()


@case("generic/5/15", "7541 4.2")
def two_table_size_updates(connection: Connection):
    """Two sizes of the dynamic table, 128 and 4096, at the beginning of a field block"""
    sizes = bytes.fromhex("3f61 3fe11f")
    connection.send(frames.headers(1, sizes + connection.block()))
    connection.answer()

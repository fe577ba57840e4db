"""Flow control (RFC 7540 6.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.h2 import frames
from tests.conformance.h2.case import Table
from tests.conformance.h2.frames import Code, Kind, Setting

if TYPE_CHECKING:
    from tests.conformance.h2.client import Connection

TABLE = Table()
case = TABLE.case

LARGEST_WINDOW = 2**31 - 1


def initial_window(size: int) -> bytes:
    return frames.settings((Setting.INITIAL_WINDOW_SIZE, size))


@case("http2/6.9/1", "9113 6.9")
def no_increment(connection: Connection):
    """WINDOW_UPDATE of 0 for the connection is a connection error"""
    connection.send(frames.window_update(0, 0))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.9/2", "9113 6.9")
def no_increment_of_stream(connection: Connection):
    """WINDOW_UPDATE of 0 for a stream is an error"""
    connection.open_post()
    connection.send(frames.window_update(1, 0))
    connection.stream_error(1, Code.PROTOCOL_ERROR)


@case("http2/6.9/3", "9113 6.9")
def short_window_update(connection: Connection):
    """WINDOW_UPDATE that has not 4 octets is a connection error"""
    connection.send(frames.frame(Kind.WINDOW_UPDATE, payload=b"\x00\x00\x01"))
    connection.connection_error(Code.FRAME_SIZE_ERROR)


@case("http2/6.9.1/1", "9113 6.9.1")
def window_of_one(connection: Connection):
    """A window of 1 octet lets 1 octet pass"""
    connection.need_content(2)
    connection.send(initial_window(1))
    connection.settings_acknowledged()
    connection.ask()
    connection.content(1, 1)


@case("http2/6.9.1/2", "9113 6.9.1")
def window_of_connection_overflows(connection: Connection):
    """A window of the connection above 2^31-1 ends it with GOAWAY"""
    connection.send(*[frames.window_update(0, LARGEST_WINDOW)] * 2)
    connection.goaway(Code.FLOW_CONTROL_ERROR)


@case("http2/6.9.1/3", "9113 6.9.1")
def window_of_stream_overflows(connection: Connection):
    """A window of a stream above 2^31-1 ends it with RST_STREAM"""
    connection.open_post()
    connection.send(*[frames.window_update(1, LARGEST_WINDOW)] * 2)
    connection.reset(1, Code.FLOW_CONTROL_ERROR)


@case("http2/6.9.2/1", "9113 6.9.2")
def initial_window_grows(connection: Connection):
    """A new SETTINGS_INITIAL_WINDOW_SIZE changes the windows of open streams"""
    connection.need_content(2)
    connection.send(initial_window(0))
    connection.settings_acknowledged()
    connection.ask()
    connection.send(initial_window(1))
    connection.content(1, 1)


@case("http2/6.9.2/2", "9113 6.9.2")
def window_below_zero(connection: Connection):
    """A window that became negative has to grow above 0 before more is sent"""
    connection.need_content(5)
    connection.send(initial_window(3))
    connection.settings_acknowledged()
    connection.ask()
    connection.content(1, 3)
    connection.send(initial_window(2))  # the window is -1 now
    connection.settings_acknowledged()
    connection.send(frames.window_update(1, 2))
    connection.content(1, 1)


@case("http2/6.9.2/3", "9113 6.9.2")
def initial_window_beyond_limit(connection: Connection):
    """SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1 is a connection error"""
    connection.send(initial_window(LARGEST_WINDOW + 1))
    connection.connection_error(Code.FLOW_CONTROL_ERROR)

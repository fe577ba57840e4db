"""Streams: their states, identifiers and number, errors, extensions (RFC 7540 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.h2 import frames
from tests.conformance.h2.case import Table
from tests.conformance.h2.frames import UNKNOWN_KIND, Code, Kind, Priority, Setting
from tests.conformance.h2.wire import Skipped

if TYPE_CHECKING:
    from tests.conformance.h2.client import Connection

TABLE = Table()
case = TABLE.case

CLOSED = "a frame on a closed stream MAY be an error (5.1); it may be discarded as well"
PRIORITIES = "priorities are deprecated (5.3.2), a stream that depends on itself is no error"
MANY_STREAMS = 10_000  # beyond which a limit is not tried

EXTENSION = frames.frame(UNKNOWN_KIND, payload=bytes(8))
PING_ON_STREAM = frames.frame(Kind.PING, 0, 3, bytes(8))


# --- 5.1: states ------------------------------------------------------------------------------------


@case("http2/5.1/1", "9113 5.1")
def data_on_idle(connection: Connection):
    """Idle: DATA is an error"""
    connection.send(frames.data(1, b"test"))
    # 5.1 says PROTOCOL_ERROR of the connection, 6.1 says STREAM_CLOSED of the stream.
    connection.stream_error(1, Code.PROTOCOL_ERROR, Code.STREAM_CLOSED)


@case("http2/5.1/2", "9113 5.1")
def reset_of_idle(connection: Connection):
    """Idle: RST_STREAM is a connection error"""
    connection.send(frames.rst_stream(1))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/5.1/3", "9113 5.1")
def window_update_on_idle(connection: Connection):
    """Idle: WINDOW_UPDATE is a connection error"""
    connection.send(frames.window_update(1, 100))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/5.1/4", "9113 5.1")
def continuation_on_idle(connection: Connection):
    """Idle: CONTINUATION is a connection error"""
    connection.send(frames.continuation(1, connection.block()))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/5.1/5", "9113 5.1")
def data_on_half_closed(connection: Connection):
    """Half-closed: DATA is an error"""
    connection.ask_and_hold()
    connection.send(frames.data(1, b"test"))
    connection.stream_error(1, Code.STREAM_CLOSED)


@case("http2/5.1/6", "9113 5.1")
def headers_on_half_closed(connection: Connection):
    """Half-closed: HEADERS is an error"""
    connection.ask_and_hold()
    connection.ask()
    connection.stream_error(1, Code.STREAM_CLOSED)


@case("http2/5.1/7", "9113 5.1")
def continuation_on_half_closed(connection: Connection):
    """Half-closed: CONTINUATION is an error"""
    connection.ask_and_hold()
    connection.send(frames.continuation(1, connection.block()))
    connection.stream_error(1, Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)


@case("http2/5.1/8", "9113 5.1", since_9113=CLOSED)
def data_after_reset(connection: Connection):
    """Closed by RST_STREAM: DATA is an error"""
    connection.open_post()
    connection.send(frames.rst_stream(1), frames.data(1, b"test"))
    connection.stream_error(1, Code.STREAM_CLOSED, ignorable=True)


@case("http2/5.1/9", "9113 5.1", since_9113=CLOSED)
def headers_after_reset(connection: Connection):
    """Closed by RST_STREAM: HEADERS is an error"""
    connection.open_post()
    connection.send(frames.rst_stream(1), frames.headers(1, connection.block()))
    connection.stream_error(1, Code.STREAM_CLOSED, ignorable=True)


@case("http2/5.1/10", "9113 6.10")
def continuation_after_reset(connection: Connection):
    """Closed by RST_STREAM: CONTINUATION is an error"""
    connection.open_post()
    connection.send(frames.rst_stream(1), frames.continuation(1, connection.block()))
    connection.stream_error(1, Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)


@case("http2/5.1/11", "9113 5.1", since_9113=CLOSED)
def data_on_closed(connection: Connection):
    """Closed: DATA is an error"""
    connection.ask()
    connection.stream_end(1)
    connection.send(frames.data(1, b"test"))
    connection.stream_error(1, Code.STREAM_CLOSED, ignorable=True)


@case("http2/5.1/12", "9113 5.1", since_9113=CLOSED)
def headers_on_closed(connection: Connection):
    """Closed: HEADERS is a connection error"""
    connection.ask()
    connection.stream_end(1)
    connection.ask()
    connection.connection_error(Code.STREAM_CLOSED, ignorable=True)


@case("http2/5.1/13", "9113 6.10")
def continuation_on_closed(connection: Connection):
    """Closed: CONTINUATION is a connection error"""
    connection.ask()
    connection.stream_end(1)
    connection.send(frames.continuation(1, connection.block()))
    connection.connection_error(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)


# --- 5.1.1, 5.1.2: identifiers and number -----------------------------------------------------------


@case("http2/5.1.1/1", "9113 5.1.1")
def even_stream(connection: Connection):
    """A client that opens an even stream makes a connection error"""
    connection.ask(2)
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/5.1.1/2", "9113 5.1.1")
def lower_stream(connection: Connection):
    """Opening a stream below one that was opened is a connection error"""
    connection.ask(5)
    connection.ask(3)
    # 5.1.1 says the former, and that a stream which was passed over is closed: then 5.1 says the
    # latter, and 5.4 leaves the choice.
    connection.connection_error(Code.PROTOCOL_ERROR, Code.STREAM_CLOSED)


@case("http2/5.1.2/1", "9113 5.1.2")
def too_many_streams(connection: Connection):
    """One stream more than SETTINGS_MAX_CONCURRENT_STREAMS is an error of that stream"""
    limit = connection.settings.get(Setting.MAX_CONCURRENT_STREAMS, MANY_STREAMS + 1)
    if limit > MANY_STREAMS:
        raise Skipped("SETTINGS_MAX_CONCURRENT_STREAMS has no bound")
    connection.need_content(1)
    connection.send(frames.settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    streams = range(1, 2 * limit + 2, 2)
    connection.send(*[frames.headers(stream, connection.block()) for stream in streams])
    connection.stream_error(streams[-1], Code.REFUSED_STREAM, Code.PROTOCOL_ERROR)


# --- 5.3.1: priorities ------------------------------------------------------------------------------


@case("http2/5.3.1/1", "9113 5.3.2", since_9113=PRIORITIES)
def headers_depend_on_themselves(connection: Connection):
    """HEADERS that depends on its own stream is an error"""
    connection.send(frames.headers(1, connection.block(), priority=Priority(1)))
    connection.stream_error(1, Code.PROTOCOL_ERROR, ignorable=True)


@case("http2/5.3.1/2", "9113 5.3.2", since_9113=PRIORITIES)
def priority_depends_on_itself(connection: Connection):
    """PRIORITY that depends on its own stream is an error"""
    connection.send(frames.priority(1, Priority(1)))
    connection.stream_error(1, Code.PROTOCOL_ERROR, ignorable=True)


# --- 5.4.1: connection errors -----------------------------------------------------------------------


@case("http2/5.4.1/1", "9113 5.4.1")
def error_closes(connection: Connection):
    """A connection error ends the connection"""
    connection.send(PING_ON_STREAM)
    connection.end_of_connection()


@case("http2/5.4.1/2", "9113 5.4.1")
def error_is_told(connection: Connection):
    """A connection error is told by GOAWAY (SHOULD)"""
    connection.send(PING_ON_STREAM)
    connection.goaway(Code.PROTOCOL_ERROR)


# --- 5.5: extensions --------------------------------------------------------------------------------


@case("http2/5.5/1", "9113 5.5")
def extension(connection: Connection):
    """A frame of an extension nobody knows is ignored"""
    connection.send(EXTENSION)
    connection.pong()


@case("http2/5.5/2", "9113 5.5")
def extension_within_block(connection: Connection):
    """Within a field block it is a connection error"""
    connection.send(frames.headers(1, connection.block(), end_headers=False), EXTENSION)
    connection.connection_error(Code.PROTOCOL_ERROR)

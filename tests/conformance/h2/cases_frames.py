"""Frames: the preface, their format, and the types that belong to streams (RFC 7540 3, 4, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hpack

from tests.conformance.h2 import frames
from tests.conformance.h2.case import Table
from tests.conformance.h2.frames import (
    END_HEADERS,
    END_STREAM,
    PADDED,
    RESERVED,
    UNKNOWN_KIND,
    Code,
    Kind,
    Setting,
)
from tests.conformance.h2.wire import Closed, Skipped

if TYPE_CHECKING:
    from tests.conformance.h2.client import Connection

TABLE = Table()
case = TABLE.case

EIGHT = bytes(8)
ALL_FLAGS_BUT_ACK = 0xFE
FIELD = ("x-conformance", "x" * 1000)  # something for a CONTINUATION to carry


# --- 3.5: connection preface ------------------------------------------------------------------------


@case("http2/3.5/1", "9113 3.4", handshake=False)
def preface(connection: Connection):
    """SETTINGS is the first frame of the server"""
    connection.preface()
    connection.preface_of_server()


@case("http2/3.5/2", "9113 3.4", handshake=False)
def wrong_preface(connection: Connection):
    """What is no preface ends the connection"""
    connection.send(b"INVALID CONNECTION PREFACE\r\n\r\n")

    def judge(event):
        # Where HTTP/1.1 is spoken as well it is an HTTP/1.1 request, a bad one.
        if isinstance(event, Closed):
            return not event.octets or event.octets.startswith(b"HTTP/1.")
        return (event.kind == Kind.GOAWAY and event.code == Code.PROTOCOL_ERROR) or None

    connection.expect("GOAWAY with PROTOCOL_ERROR or the end of the connection", judge)


# --- 4.1, 4.2, 4.3: format, size, field blocks ------------------------------------------------------


@case("http2/4.1/1", "9113 4.1")
def unknown_type(connection: Connection):
    """A frame of an unknown type is ignored"""
    connection.send(frames.frame(UNKNOWN_KIND, payload=EIGHT))
    connection.pong()


@case("http2/4.1/2", "9113 4.1")
def undefined_flags(connection: Connection):
    """Flags without a meaning are ignored"""
    connection.send(frames.frame(Kind.PING, ALL_FLAGS_BUT_ACK, payload=EIGHT))
    connection.pong(EIGHT)


@case("http2/4.1/3", "9113 4.1")
def reserved_bit(connection: Connection):
    """The reserved bit of a stream identifier is ignored"""
    connection.send(frames.frame(Kind.PING, stream=RESERVED, payload=EIGHT))
    connection.pong(EIGHT)


@case("http2/4.2/1", "9113 4.2")
def largest_frame(connection: Connection):
    """A DATA frame of 2^14 octets is accepted"""
    connection.open_post()
    connection.send(frames.data(1, b"x" * 16384))
    connection.answer()


@case("http2/4.2/2", "9113 4.2")
def too_large_data(connection: Connection):
    """A DATA frame above SETTINGS_MAX_FRAME_SIZE is an error"""
    size = _too_large(connection)
    connection.open_post()
    connection.send(frames.data(1, b"x" * size))
    connection.stream_error(1, Code.FRAME_SIZE_ERROR)


@case("http2/4.2/3", "9113 4.2")
def too_large_headers(connection: Connection):
    """A HEADERS frame above SETTINGS_MAX_FRAME_SIZE is a connection error"""
    size = _too_large(connection)
    filler = hpack.NeverIndexedHeaderTuple("x-filler", "x" * 4000)  # else it were small next time
    block = connection.block() + connection.encoder.encode([filler] * (size // 4000 + 1), False)
    connection.send(frames.headers(1, block))
    connection.connection_error(Code.FRAME_SIZE_ERROR)


def _too_large(connection: Connection) -> int:
    """The least length that the server did not allow."""
    size = connection.settings[Setting.MAX_FRAME_SIZE] + 1
    if size > frames.LARGEST_PAYLOAD:
        raise Skipped("SETTINGS_MAX_FRAME_SIZE allows every length that a frame can have")
    return size


@case("http2/4.3/1", "9113 4.3")
def broken_block(connection: Connection):
    """A field block that ends within a field is a connection error"""
    connection.send(frames.headers(1, b"\x40"))
    connection.connection_error(Code.COMPRESSION_ERROR)


@case("http2/4.3/2", "9113 4.3")
def priority_within_block(connection: Connection):
    """PRIORITY between HEADERS and CONTINUATION is a connection error"""
    _interrupt(connection, frames.priority(1))


@case("http2/4.3/3", "9113 4.3")
def other_stream_within_block(connection: Connection):
    """HEADERS of another stream before CONTINUATION is a connection error"""
    _interrupt(connection)


def _interrupt(connection: Connection, intruder: bytes = b"") -> None:
    """Something between HEADERS and CONTINUATION; HEADERS of stream 3 if nothing else is given."""
    connection.send(
        frames.headers(1, connection.block(), end=False, end_headers=False),
        intruder or frames.headers(3, connection.block()),
        frames.continuation(1, connection.block([FIELD])),
    )
    connection.connection_error(Code.PROTOCOL_ERROR)


# --- 6.1: DATA --------------------------------------------------------------------------------------


@case("http2/6.1/1", "9113 6.1")
def data_on_connection(connection: Connection):
    """DATA on stream 0 is a connection error"""
    connection.send(frames.data(0, b"test"))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.1/2", "9113 6.1")
def data_on_half_closed(connection: Connection):
    """DATA on a stream that is not open for it is an error"""
    connection.ask_and_hold()
    connection.send(frames.data(1, b"test"))
    connection.stream_error(1, Code.STREAM_CLOSED)


@case("http2/6.1/3", "9113 6.1")
def data_with_too_much_padding(connection: Connection):
    """DATA whose padding is longer than its payload is a connection error"""
    connection.open_post(1, ("content-length", "4"))
    connection.send(frames.frame(Kind.DATA, PADDED | END_STREAM, 1, b"\x06test"))
    connection.connection_error(Code.PROTOCOL_ERROR)


# --- 6.2: HEADERS -----------------------------------------------------------------------------------


@case("http2/6.2/1", "9113 6.2")
def headers_then_priority(connection: Connection):
    """HEADERS without END_HEADERS is followed by PRIORITY: a connection error"""
    _interrupt(connection, frames.priority(1))


@case("http2/6.2/2", "9113 6.2")
def headers_then_other_stream(connection: Connection):
    """HEADERS without END_HEADERS is followed by another stream: a connection error"""
    _interrupt(connection)


@case("http2/6.2/3", "9113 6.2")
def headers_on_connection(connection: Connection):
    """HEADERS on stream 0 is a connection error"""
    connection.send(frames.headers(0, connection.block()))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.2/4", "9113 6.2")
def headers_with_too_much_padding(connection: Connection):
    """HEADERS whose padding is longer than its payload is an error"""
    block = connection.block()
    payload = bytes([len(block) + 2]) + block
    connection.send(frames.frame(Kind.HEADERS, PADDED | END_HEADERS | END_STREAM, 1, payload))
    connection.stream_error(1, Code.PROTOCOL_ERROR)


# --- 6.3, 6.4: PRIORITY, RST_STREAM -----------------------------------------------------------------


@case("http2/6.3/1", "9113 6.3")
def priority_on_connection(connection: Connection):
    """PRIORITY on stream 0 is a connection error"""
    connection.send(frames.priority(0))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.3/2", "9113 6.3")
def short_priority(connection: Connection):
    """PRIORITY that has not 5 octets is an error"""
    connection.ask_and_hold()
    connection.send(frames.frame(Kind.PRIORITY, 0, 1, b"\x80\x00\x00\x01"))
    connection.stream_error(1, Code.FRAME_SIZE_ERROR)


@case("http2/6.4/1", "9113 6.4")
def reset_of_connection(connection: Connection):
    """RST_STREAM on stream 0 is a connection error"""
    connection.send(frames.rst_stream(0))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.4/2", "9113 6.4")
def reset_of_idle(connection: Connection):
    """RST_STREAM on an idle stream is a connection error"""
    connection.send(frames.rst_stream(1))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.4/3", "9113 6.4")
def short_reset(connection: Connection):
    """RST_STREAM that has not 4 octets is a connection error"""
    connection.ask_and_hold()
    connection.send(frames.frame(Kind.RST_STREAM, 0, 1, bytes(3)))
    connection.connection_error(Code.FRAME_SIZE_ERROR)


# --- 6.10: CONTINUATION -----------------------------------------------------------------------------


@case("http2/6.10/1", "9113 6.10")
def continuations(connection: Connection):
    """Several CONTINUATION after HEADERS are accepted"""
    connection.send(
        frames.headers(1, connection.block(), end_headers=False),
        frames.continuation(1, connection.block([FIELD]), end_headers=False),
        frames.continuation(1, connection.block([FIELD])),
    )
    connection.answer()


@case("http2/6.10/2", "9113 6.10")
def continuation_then_data(connection: Connection):
    """DATA after CONTINUATION without END_HEADERS is a connection error"""
    connection.send(
        frames.headers(
            1, connection.block(connection.request("POST")), end=False, end_headers=False
        ),
        frames.continuation(1, connection.block([FIELD]), end_headers=False),
        frames.data(1, b"test"),
    )
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.10/3", "9113 6.10")
def continuation_on_connection(connection: Connection):
    """CONTINUATION on stream 0 is a connection error"""
    connection.send(
        frames.headers(1, connection.block(), end_headers=False),
        frames.continuation(0, connection.block([FIELD])),
    )
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.10/4", "9113 6.10")
def continuation_after_whole_headers(connection: Connection):
    """CONTINUATION after HEADERS with END_HEADERS is a connection error"""
    connection.send(
        frames.headers(1, connection.block()),
        frames.continuation(1, connection.block([FIELD])),
    )
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.10/5", "9113 6.10")
def continuation_after_last_continuation(connection: Connection):
    """CONTINUATION after CONTINUATION with END_HEADERS is a connection error"""
    connection.send(
        frames.headers(1, connection.block(), end_headers=False),
        frames.continuation(1, connection.block([FIELD])),
        frames.continuation(1, connection.block([FIELD])),
    )
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.10/6", "9113 6.10")
def continuation_after_data(connection: Connection):
    """DATA between HEADERS and CONTINUATION is a connection error"""
    connection.send(
        frames.headers(
            1, connection.block(connection.request("POST")), end=False, end_headers=False
        ),
        frames.data(1, b"test"),
        frames.continuation(1, connection.block([FIELD])),
    )
    connection.connection_error(Code.PROTOCOL_ERROR)

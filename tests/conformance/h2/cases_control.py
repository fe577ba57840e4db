"""Frames about the connection, SETTINGS, PING, GOAWAY, and error codes (RFC 7540 6, 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.h2 import frames
from tests.conformance.h2.case import Table
from tests.conformance.h2.frames import ACK, Code, Kind, Setting

if TYPE_CHECKING:
    from tests.conformance.h2.client import Connection

TABLE = Table()
case = TABLE.case

EIGHT = bytes(8)


# --- 6.5: SETTINGS ----------------------------------------------------------------------------------


@case("http2/6.5/1", "9113 6.5")
def acknowledgement_with_payload(connection: Connection):
    """SETTINGS (ACK) with a payload is a connection error"""
    connection.send(frames.frame(Kind.SETTINGS, ACK, payload=b"\0"))
    connection.connection_error(Code.FRAME_SIZE_ERROR)


@case("http2/6.5/2", "9113 6.5")
def settings_of_stream(connection: Connection):
    """SETTINGS on a stream is a connection error"""
    payload = frames.settings((Setting.MAX_CONCURRENT_STREAMS, 100))[frames.HEAD :]
    connection.send(frames.frame(Kind.SETTINGS, 0, 1, payload))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.5/3", "9113 6.5")
def odd_settings(connection: Connection):
    """SETTINGS whose length is no multiple of 6 is a connection error"""
    connection.send(frames.frame(Kind.SETTINGS, payload=b"\x00\x03\x00"))
    connection.connection_error(Code.FRAME_SIZE_ERROR)


@case("http2/6.5.2/1", "9113 6.5.2")
def push_beyond_one(connection: Connection):
    """SETTINGS_ENABLE_PUSH is 0 or 1"""
    connection.send(frames.settings((Setting.ENABLE_PUSH, 2)))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.5.2/2", "9113 6.5.2")
def window_beyond_limit(connection: Connection):
    """SETTINGS_INITIAL_WINDOW_SIZE is below 2^31"""
    connection.send(frames.settings((Setting.INITIAL_WINDOW_SIZE, 2**31)))
    connection.connection_error(Code.FLOW_CONTROL_ERROR)


@case("http2/6.5.2/3", "9113 6.5.2")
def small_frames(connection: Connection):
    """SETTINGS_MAX_FRAME_SIZE is not below 2^14"""
    connection.send(frames.settings((Setting.MAX_FRAME_SIZE, 2**14 - 1)))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.5.2/4", "9113 6.5.2")
def huge_frames(connection: Connection):
    """SETTINGS_MAX_FRAME_SIZE is below 2^24"""
    connection.send(frames.settings((Setting.MAX_FRAME_SIZE, 2**24)))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.5.2/5", "9113 6.5.2")
def unknown_setting(connection: Connection):
    """An unknown setting is ignored"""
    connection.send(frames.settings((0xFF, 1)))
    connection.pong()


@case("http2/6.5.3/1", "9113 6.5.3")
def settings_in_order(connection: Connection):
    """Of two values of one setting in a frame the later counts"""
    connection.need_content(2)
    window = Setting.INITIAL_WINDOW_SIZE
    connection.send(frames.settings((window, 100), (window, 1)))
    connection.settings_acknowledged()
    connection.ask()
    connection.content(1, 1)


@case("http2/6.5.3/2", "9113 6.5.3")
def settings_are_acknowledged(connection: Connection):
    """SETTINGS is acknowledged"""
    connection.send(frames.settings((Setting.ENABLE_PUSH, 0)))
    connection.settings_acknowledged()


# --- 6.7, 6.8: PING, GOAWAY -------------------------------------------------------------------------


@case("http2/6.7/1", "9113 6.7")
def ping(connection: Connection):
    """PING is answered with its own octets"""
    connection.pong()


@case("http2/6.7/2", "9113 6.7")
def ping_acknowledgement(connection: Connection):
    """PING (ACK) is not answered"""
    connection.send(frames.ping(b"not this", ack=True))
    connection.pong()


@case("http2/6.7/3", "9113 6.7")
def ping_on_stream(connection: Connection):
    """PING on a stream is a connection error"""
    connection.send(frames.frame(Kind.PING, 0, 1, EIGHT))
    connection.connection_error(Code.PROTOCOL_ERROR)


@case("http2/6.7/4", "9113 6.7")
def short_ping(connection: Connection):
    """PING that has not 8 octets is a connection error"""
    connection.send(frames.ping(bytes(6)))
    connection.connection_error(Code.FRAME_SIZE_ERROR)


@case("http2/6.8/1", "9113 6.8")
def goaway_on_stream(connection: Connection):
    """GOAWAY on a stream is a connection error"""
    connection.send(frames.frame(Kind.GOAWAY, 0, 1, EIGHT))
    connection.connection_error(Code.PROTOCOL_ERROR)


# --- 7: error codes ---------------------------------------------------------------------------------


@case("http2/7/1", "9113 7")
def goaway_with_unknown_code(connection: Connection):
    """GOAWAY with an unknown code is as good as any"""
    connection.send(frames.goaway(0xFF))
    connection.pong(or_closed=True)


@case("http2/7/2", "9113 7")
def reset_with_unknown_code(connection: Connection):
    """RST_STREAM with an unknown code is as good as any"""
    connection.open_post()
    connection.send(frames.rst_stream(1, 0xFF))
    connection.pong(or_closed=True)

"""Requests that are malformed, and what a client may not push (RFC 7540 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.h2 import frames
from tests.conformance.h2.case import Case, Table
from tests.conformance.h2.frames import Code

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.h2.client import Connection, Fields

TABLE = Table()
case = TABLE.case


@case("http2/8.1/1", "9113 8.1")
def trailers_without_end(connection: Connection):
    """Trailers without END_STREAM make a request malformed"""
    connection.open_post()
    trailers = frames.headers(1, connection.block([("x-test", "ok")]), end=False)
    connection.send(frames.data(1, b"test", end=False), trailers)
    connection.stream_error(1, Code.PROTOCOL_ERROR)


# --- a GET that is malformed in one way -------------------------------------------------------------


def _malformed(name: str, section: str, title: str, spoil: Callable[[Fields], Fields]) -> None:
    """A good GET, spoilt, is a stream error of type PROTOCOL_ERROR: RFC 9113 8.1.1."""

    def play(connection: Connection):
        connection.send(frames.headers(1, connection.block(spoil(connection.request()))))
        connection.stream_error(1, Code.PROTOCOL_ERROR)

    TABLE.append(Case(f"http2/{name}", f"9113 {section}", title, play))


def _with(*more: tuple[str, str]) -> Callable[[Fields], Fields]:
    return lambda fields: [*fields, *more]


def _without(name: str) -> Callable[[Fields], Fields]:
    return lambda fields: [field for field in fields if field[0] != name]


def _twice(name: str) -> Callable[[Fields], Fields]:
    """The pseudo-header field again, before the others end."""
    return lambda fields: [*fields, *(field for field in fields if field[0] == name)]


def _no_path(fields: Fields) -> Fields:
    return [(name, "" if name == ":path" else value) for name, value in fields]


_malformed("8.1.2/1", "8.2.1", "A field name in upper case", _with(("X-TEST", "ok")))
_malformed("8.1.2.1/1", "8.3", "A pseudo-header field nobody knows", _with((":test", "ok")))
_malformed("8.1.2.1/2", "8.3", "A pseudo-header field of answers", _with((":status", "200")))


@case("http2/8.1.2.1/3", "9113 8.3")
def pseudo_field_in_trailers(connection: Connection):
    """A pseudo-header field in trailers"""
    connection.open_post()
    trailers = frames.headers(1, connection.block([(":method", "POST")]))
    connection.send(frames.data(1, b"test", end=False), trailers)
    connection.stream_error(1, Code.PROTOCOL_ERROR)


_malformed(
    "8.1.2.1/4",
    "8.3",
    "A pseudo-header field after another field",
    lambda fields: [("x-test", "ok"), *fields],
)
_malformed(
    "8.1.2.2/1",
    "8.2.2",
    "A field of the connection",
    _with(("connection", "keep-alive")),
)
_malformed(
    "8.1.2.2/2",
    "8.2.2",
    "A TE field that says more than trailers",
    _with(("te", "trailers, deflate")),
)
_malformed("8.1.2.3/1", "8.3.1", "An empty :path", _no_path)
_malformed("8.1.2.3/2", "8.3.1", "No :method", _without(":method"))
_malformed("8.1.2.3/3", "8.3.1", "No :scheme", _without(":scheme"))
_malformed("8.1.2.3/4", "8.3.1", "No :path", _without(":path"))
_malformed("8.1.2.3/5", "8.3.1", "Two :method", _twice(":method"))
_malformed("8.1.2.3/6", "8.3.1", "Two :scheme", _twice(":scheme"))
_malformed("8.1.2.3/7", "8.3.1", "Two :path", _twice(":path"))


# --- content-length, push ---------------------------------------------------------------------------


@case("http2/8.1.2.6/1", "9113 8.1.1")
def longer_than_content_length(connection: Connection):
    """Content that is longer than content-length"""
    connection.open_post(1, ("content-length", "1"))
    connection.send(frames.data(1, b"test"))
    connection.stream_error(1, Code.PROTOCOL_ERROR)


@case("http2/8.1.2.6/2", "9113 8.1.1")
def together_longer_than_content_length(connection: Connection):
    """Content in several frames that is longer than content-length"""
    connection.open_post(1, ("content-length", "1"))
    connection.send(frames.data(1, b"test", end=False), frames.data(1, b"test"))
    connection.stream_error(1, Code.PROTOCOL_ERROR)


@case("http2/8.2/1", "9113 8.4")
def push(connection: Connection):
    """PUSH_PROMISE of a client is a connection error"""
    connection.send(frames.push_promise(1, 3, connection.block()))
    connection.connection_error(Code.PROTOCOL_ERROR)

"""The options of the protocols: tables of the model, by the rules of that file."""

# No `from __future__ import annotations`: here annotations are data, pydantic evaluates them.

from typing import Final

from granian_d.settings.fields import Table, duration, option

MOST_WINDOW_BYTES: Final = 2**31 - 1  # RFC 9113 6.9.1
MOST_STREAMS: Final = 2**31 - 1  # RFC 9113 5.1.1
MOST_QUIC_STREAMS: Final = 65535  # of a connection: more would be a fleet's
MOST_HANDSHAKES: Final = 65535
TEN_YEARS_S: Final = 10 * 366 * 86400  # more than any cache keeps anything


class Http1(Table):
    """HTTP/1.1."""

    buffer_size: int = option(
        417792, "Limit of a request's head: request line and fields.", unit="bytes", ge=8192
    )
    header_read_timeout: int = option(
        30000,
        "Time for a request's head to arrive, from its first byte or from the connection's start.",
        unit="milliseconds",
        ge=1,
        le=60000,
    )
    keep_alive: bool = option(True, "Serve several requests on one connection.")
    keep_alive_timeout: float = duration(30, "Time a connection may idle between requests.", ge=1)
    max_headers: int = option(100, "Limit of a request's header fields, in number.", ge=1)
    pipeline_flush: bool = option(
        False,
        "No effect: answers to pipelined requests always leave together.",
        inert=True,
    )


class Http2(Table):
    """HTTP/2."""

    adaptive_window: bool = option(
        False, "Let both windows grow with what a connection can carry (bandwidth x delay)."
    )
    initial_connection_window_size: int = option(
        1048576,
        "What a peer may send on a connection beyond what was read.",
        unit="bytes",
        ge=1024,
        le=MOST_WINDOW_BYTES,
    )
    initial_stream_window_size: int = option(
        1048576,
        "What a peer may send on a stream beyond what was read.",
        unit="bytes",
        ge=1024,
        le=MOST_WINDOW_BYTES,
    )
    keep_alive_interval: int | None = option(
        None,
        "Time without a word of the peer after which it is sent a PING; none are sent without it.",
        unit="milliseconds",
        ge=1,
        le=60000,
        example=20000,
    )
    keep_alive_timeout: float = duration(
        20, "Time for a PING to be acknowledged before the connection is closed.", ge=1
    )
    max_concurrent_streams: int = option(
        200, "Limit of a connection's requests at a time.", ge=10, le=MOST_STREAMS
    )
    max_frame_size: int = option(
        16384, "Largest payload of a frame that is taken.", unit="bytes", ge=1024, le=16777215
    )
    max_headers_size: int = option(
        16777216,
        "Limit of a request's fields, uncompressed and with 32 bytes for each.",
        unit="bytes",
        ge=1,
        le=MOST_WINDOW_BYTES,
    )
    max_send_buffer_size: int = option(
        409600,
        "Bytes of an answer that may wait on one stream for the peer's window.",
        unit="bytes",
        ge=1024,
    )


class Quic(Table):
    """HTTP/3."""

    idle_timeout: float = duration(
        30, "Time without a packet after which a connection is forgotten.", ge=1, le=600
    )
    retry_above: int = option(
        100,
        "Handshakes at a time above which clients have to prove their address first (Retry); 0"
        " asks that of all.",
        ge=0,
        le=MOST_HANDSHAKES,
    )
    early_data: bool = option(
        False,
        "Take 0-RTT: safe requests (GET, HEAD, OPTIONS) of who has been here before are answered"
        " a round trip sooner, and may be replayed by whoever recorded them.",
    )
    alt_svc_port: int | None = option(
        None,
        "UDP port that clients are told of, where it is another one outside (RFC 7838).",
        ge=1,
        le=65535,
        example=443,
    )
    alt_svc_max_age: float = duration(
        86400,
        "Time for which clients of HTTP/1 and HTTP/2 may remember that there is HTTP/3; 0 tells"
        " them nothing.",
        ge=0,
        le=TEN_YEARS_S,
    )
    # On QUIC the heads of requests need window, too: one upload that nobody reads must leave some.
    initial_connection_window_size: int = option(
        2097152,
        "What a peer may send on a connection beyond what was read: more than on one stream.",
        unit="bytes",
        ge=16384,
        le=MOST_WINDOW_BYTES,
    )
    initial_stream_window_size: int = option(
        524288,
        "What a peer may send on a stream beyond what was read.",
        unit="bytes",
        ge=16384,
        le=MOST_WINDOW_BYTES,
    )
    max_concurrent_streams: int = option(
        200, "Limit of a connection's requests at a time.", ge=10, le=MOST_QUIC_STREAMS
    )
    max_send_buffer_size: int = option(
        409600,
        "Bytes of an answer that may wait on one stream for the peer's window.",
        unit="bytes",
        ge=1024,
    )


class WebSocket(Table):
    """WebSocket."""

    compression: bool = option(True, "Accept permessage-deflate (RFC 7692).")
    max_message_size: int = option(
        16777216,
        "Limit of a message, uncompressed; 0 is no limit.",
        unit="bytes",
        ge=0,
    )
    max_frame_size: int = option(
        0,
        "Limit of a frame of a message; 0 is no limit but that of the message.",
        unit="bytes",
        ge=0,
    )
    ping_interval: float = duration(
        20, "Time without a word of the peer after which it is sent a ping; 0 sends none.", ge=0
    )
    ping_timeout: float = duration(
        20, "Time for a ping to be answered before the conversation is closed.", ge=1
    )


class Request(Table):
    """Requests."""

    max_body_size: int = option(
        0, "Limit of a request's body; 0 is no limit.", unit="bytes", ge=0, example=10485760
    )
    body_timeout: float = duration(
        60, "Time a request's body may make no progress while it is read; 0 is no limit.", ge=0
    )


class Response(Table):
    """Responses."""

    write_timeout: float = duration(
        60,
        "Time a response may wait for its peer to read; 0 is no limit.",
        ge=0,
    )

"""Options of the protocols as records, for programs. A test holds them against the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HTTP1Settings:
    """HTTP/1.1; times in milliseconds, sizes in bytes."""

    header_read_timeout: int = 30_000
    keep_alive: bool = True
    max_buffer_size: int = 417_792
    pipeline_flush: bool = False


@dataclass
class HTTP2Settings:
    """HTTP/2; the interval in milliseconds, the timeout in seconds, sizes in bytes."""

    adaptive_window: bool = False
    initial_connection_window_size: int = 1_048_576
    initial_stream_window_size: int = 1_048_576
    keep_alive_interval: int | None = None
    keep_alive_timeout: int = 20
    max_concurrent_streams: int = 200
    max_frame_size: int = 16_384
    max_headers_size: int = 16_777_216
    max_send_buffer_size: int = 409_600

"""Whether a server answers a case rightly, before it is measured."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from benchmarks.running import Failed

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.running import Running

PATIENCE_S: Final = 10.0  # a worker may still be importing the application


def check(case: Case, started: Running) -> None:
    """Ask twice, on one connection if the server keeps it.

    ws_load checks echoes itself, and h3_load the size of each answer, which is read here over TLS.

    Raises:
        Failed: no answer, another status than 200, or another body.
    """
    method = "GET" if case.body is None else "POST"
    ask = ask_over_h2 if case.protocol == "h2" else ask_over_http1
    try:
        for status, body in ask(case, method, started):
            if status != http.client.OK:
                raise Failed(f"answers {method} {case.path} with {status}")
            if body != case.answer:
                raise Failed(f"answers {method} {case.path} with a wrong body of {len(body)} bytes")
    except (OSError, http.client.HTTPException, h2.exceptions.ProtocolError) as error:
        raise Failed(f"answers {method} {case.path} with {error!r}") from error


def ask_over_http1(case: Case, method: str, started: Running) -> list[tuple[int, bytes]]:
    peer = http.client.HTTPConnection("127.0.0.1", started.port, timeout=PATIENCE_S)
    if case.secured:
        context = ssl.create_default_context(cafile=started.certificate)
        peer = http.client.HTTPSConnection(
            "127.0.0.1", started.port, timeout=PATIENCE_S, context=context
        )
    answers = []
    try:
        for _ in range(2):
            peer.request(method, case.path, case.body)
            response = peer.getresponse()
            answers.append((response.status, response.read()))
    finally:
        peer.close()
    return answers


def ask_over_h2(case: Case, method: str, started: Running) -> list[tuple[int, bytes]]:
    """With prior knowledge, both requests at once."""
    ours = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
    ours.initiate_connection()
    authority = f"127.0.0.1:{started.port}"
    fields = [(":method", method), (":scheme", "http"), (":path", case.path)]
    answers = {1: (0, b""), 3: (0, b"")}
    open_streams = set(answers)
    for stream in answers:
        ours.send_headers(stream, [*fields, (":authority", authority)], end_stream=True)
    with socket.create_connection(("127.0.0.1", started.port), PATIENCE_S) as peer:
        while open_streams:
            peer.sendall(ours.data_to_send())
            data = peer.recv(65536)
            if not data:
                raise Failed("closes a connection of HTTP/2")
            for event in ours.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    answers[event.stream_id] = (int(dict(event.headers)[":status"]), b"")
                elif isinstance(event, h2.events.DataReceived):
                    status, body = answers[event.stream_id]
                    answers[event.stream_id] = (status, body + event.data)
                elif isinstance(event, h2.events.StreamEnded):
                    open_streams.discard(event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    raise Failed(f"resets a stream: {event.error_code}")
    return list(answers.values())

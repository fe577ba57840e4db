"""Heads of HTTP/1.1 responses as bytes, and the answers that the engine gives by itself.

Rules of this file: what is written was judged by `http.semantics` and framed by `http.framing`;
nothing is decided here. The version is always HTTP/1.1, the highest we speak (RFC 9110 6.2).
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from granian_d.http.framing import CHUNKED
from granian_d.http.semantics import REASONS, ResponseHead, imf_fixdate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.errors import ProtocolViolation
    from granian_d.http.framing import ResponseFraming

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_SERVER: Final = b"server: granian-d"
_UPGRADE_REQUIRED: Final = 426


def final_head(head: ResponseHead, framing: ResponseFraming, options: Iterable[bytes]) -> bytes:
    """The head of a final response.

    Args:
        head: of the application.
        framing: how the body will be delimited.
        options: of the Connection field.
    """
    lines = [_status_line(head.status)]
    lines += [b"%b: %b" % field for field in head.fields]
    if framing.length is not None:
        lines.append(b"content-length: %d" % framing.length)
    elif framing.kind == CHUNKED:
        lines.append(b"transfer-encoding: chunked")
    if b"date" not in head.names:
        lines.append(b"date: " + imf_fixdate(int(time())))  # RFC 9110 6.6.1
    if b"server" not in head.names:
        lines.append(_SERVER)
    connection = b", ".join(sorted(options))
    if connection:
        lines.append(b"connection: " + connection)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def interim(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole 1xx response."""
    lines = [_status_line(status), *[b"%b: %b" % field for field in fields], b"\r\n"]
    return b"\r\n".join(lines)


def switching(protocol: str, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The 101 behind which another protocol begins (RFC 9110 7.8, 15.2.2)."""
    upgrade = [(b"connection", b"Upgrade"), (b"upgrade", protocol.encode())]
    return interim(101, [*upgrade, *fields])


def refusal(violation: ProtocolViolation, method: bytes) -> tuple[bytes, int]:
    """A whole answer to a request that broke a rule, and the length of its body.

    It says why, as RFC 9110 15.5 and RFC 9112 5.2 recommend; the reasons hold no byte of the
    peer. `method` is that of the request, as far as it is known: an answer to HEAD has no body.
    """
    status = violation.http_status
    reason = REASONS[status].decode()
    rule = f" ({violation.section})" if violation.section else ""
    body = f"{status} {reason}: {violation.reason}{rule}\n".encode()
    head = (
        b"%b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\ndate: %b\r\n"
        b"%b\r\n%bconnection: close%b\r\n\r\n"
    ) % (
        *(_status_line(status), len(body), imf_fixdate(int(time())), _SERVER),
        b"".join(b"%b: %b\r\n" % field for field in violation.answer_fields),
        b", upgrade\r\nupgrade: websocket" if status == _UPGRADE_REQUIRED else b"",  # RFC 9110 7.8
    )
    return (head, 0) if method == b"HEAD" else (head + body, len(body))


def _status_line(status: int) -> bytes:
    """RFC 9112 4: the space before the reason stays, even when there is no reason."""
    return b"HTTP/1.1 %d %b" % (status, REASONS.get(status, b""))

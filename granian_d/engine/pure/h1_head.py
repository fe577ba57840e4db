"""The head of an HTTP/1.x request: cut out of the stream, judged byte by byte (RFC 9112 2 to 5).

Rules of this file: what is found wrong depends on the bytes alone, never on how the stream was
cut into packets, so every step looks at the shortest prefix that decides it: first octet, then
stray CR or LF, then length, then grammar. Nothing is scanned twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import (
    BodyTooLarge,
    HeadTooLarge,
    MethodNotImplemented,
    ProtocolViolation,
    TargetTooLong,
    VersionNotSupported,
)
from granian_d.http import framing, semantics
from granian_d.http.fields import TOKEN, TOKEN_PATTERN, parse_section
from granian_d.http.message import RequestHead

if TYPE_CHECKING:
    from granian_d.http.message import Fields, HttpVersion
    from granian_d.plan import Limits

_REQUEST_LINE: Final = re.compile(
    rb"(" + TOKEN_PATTERN + rb") ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])"  # RFC 9112 3
)
_VERSIONS: Final[dict[bytes, HttpVersion]] = {b"0": "1.0", b"1": "1.1"}  # by minor number
_METHOD_BYTES: Final = 32  # RFC 9112 3; the longest registered method has 17

# A line ends in CRLF and in nothing else, although RFC 9112 2.2 would allow a bare LF. A CR at
# the very end of what has arrived is not judged yet.
_STRAY: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")


class RequestLine(NamedTuple):
    """A request line of good grammar."""

    method: bytes
    target: bytes
    version: HttpVersion


class RawHead(NamedTuple):
    """One head as it arrived.

    Attributes:
        octets: all of it, with the empty line at its end.
        line: its request line.
        section: its field lines, each with CRLF.
    """

    octets: bytes
    line: RequestLine
    section: bytes


class HeadIntake:
    """Received bytes that belong to no body: the head that is arriving, and pipelined requests.

    Attributes:
        method: of the request line that was judged last, b"" before that.
    """

    __slots__ = ("_buffer", "_line", "_line_end", "_most_bytes", "_scanned", "_skipped", "method")

    def __init__(self, most_bytes: int, buffer: bytearray | None = None) -> None:
        """Make an intake.

        Args:
            most_bytes: what a head may have, from the request line to the empty line.
            buffer: what has arrived before; what is taken is removed from it.
        """
        self.method = b""
        self._most_bytes = most_bytes
        self._buffer = bytearray() if buffer is None else buffer
        self._scanned = 0  # so many bytes hold no stray CR or LF and no end
        self._skipped = False
        self._line: RequestLine | None = None
        self._line_end = 0

    def __len__(self) -> int:
        return len(self._buffer)

    def append(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._buffer += data

    def take_rest(self) -> bytes:
        """Everything behind the head taken last: the beginning of its body."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def take(self) -> RawHead | None:
        """The next head, None if it has not arrived yet.

        Raises:
            ProtocolViolation: it will never be a good one; the stream is of no more use.
        """
        if self._line is None and not self._take_line():
            return None
        end = self._seek(b"\r\n\r\n", self._line_end - 2, HeadTooLarge)
        if end < 0:
            return None
        assert self._line is not None
        octets = bytes(self._buffer[: end + 4])
        head = RawHead(octets, self._line, octets[self._line_end : -2])
        del self._buffer[: end + 4]
        self._line = None
        self._line_end = self._scanned = 0
        self._skipped = False
        return head

    def _take_line(self) -> bool:
        """Find and judge the request line; the buffer keeps it."""
        self.method = b""
        if not self._skipped and self._buffer[:2] == b"\r\n":
            # RFC 9112 2.2: one empty line, which old clients send behind a body, is overlooked.
            del self._buffer[:2]
            self._skipped = True
        if not self._buffer or self._buffer == b"\r":
            return False
        if TOKEN.match(self._buffer, 0, 1) is None and self._buffer[0] not in b"\r\n":
            # At once: a TLS handshake or other noise may never send the end of a line.
            raise ProtocolViolation("no request", "RFC 9112 2.2")
        end = self._seek(b"\r\n", 0, TargetTooLong)
        if end < 0:
            return False
        self._line = parse_request_line(bytes(self._buffer[:end]))
        self._line_end = self._scanned = end + 2
        self.method = self._line.method
        return True

    def _seek(self, mark: bytes, start: int, too_long: type[ProtocolViolation]) -> int:
        """Where `mark` begins at or behind `start`; -1 to wait for more."""
        # One byte further back for a CR that was the last, and for the length of the mark.
        found = self._buffer.find(mark, max(start, self._scanned - len(mark) + 1), self._most_bytes)
        end = found + len(mark) if found >= 0 else min(len(self._buffer), self._most_bytes)
        if _STRAY.search(self._buffer, max(self._scanned - 1, 0), end):
            raise ProtocolViolation("a line that does not end in CRLF", "RFC 9112 2.2")
        if found < 0:
            if len(self._buffer) >= self._most_bytes:
                raise too_long(f"more than {self._most_bytes} bytes", "RFC 9110 5.4, RFC 9112 3")
            self._scanned = end
        return found


def parse_request_line(line: bytes) -> RequestLine:
    """A request line, without its CRLF, in its parts (RFC 9112 3).

    Raises:
        ProtocolViolation: it is not one.
        MethodNotImplemented: no method is that long.
        VersionNotSupported: neither HTTP/1.1 nor HTTP/1.0.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise ProtocolViolation("a malformed request line", "RFC 9112 3")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in _VERSIONS:
        raise VersionNotSupported("a version other than HTTP/1.1 and HTTP/1.0", "RFC 9110 6.2")
    if len(method) > _METHOD_BYTES:
        raise MethodNotImplemented("a method longer than any", "RFC 9112 3")
    return RequestLine(method, target, _VERSIONS[minor])


def judge_head(head: RawHead, scheme: str, limits: Limits) -> RequestHead:
    """The head for the application, if it may pass.

    Raises:
        ProtocolViolation: it may not.
    """
    method, target, version = head.line
    path, query, authority = semantics.split_target(method, target, scheme)
    fields = parse_section(head.section, limits.head_fields)
    content_length, host = framing.judge(version, fields)
    if 0 < limits.body_bytes < (content_length or 0):
        raise BodyTooLarge("a body too large", "RFC 9110 15.5.14")
    waits = semantics.expects_continue(version, fields) and content_length != 0
    if authority is not None:
        host = authority
        fields = _with_host(fields, authority)
    return RequestHead(
        method.decode("ascii"), path, query, host, version, fields, content_length, waits
    )


def _with_host(fields: Fields, authority: bytes) -> Fields:
    """The fields with the target's authority for Host (RFC 9112 3.2.2)."""
    others = [pair for pair in fields if pair[0] != b"host"]
    return [(b"host", authority), *others]

"""Heads of answers on HTTP/2 and HTTP/3: as field sections, made once for answers that repeat.

Rules of this file: what was judged is judged again unless it is equal, type by type: applications
say the same thing over and over, but nothing that was not judged may go out.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from granian_d.http import semantics

if TYPE_CHECKING:
    from granian_d.errors import ProtocolViolation
    from granian_d.http.message import FieldPairs, Fields
    from granian_d.http.semantics import ResponseHead

_SERVER: Final = (b"server", b"granian-d")


class Answers:
    """The heads of a connection's answers, of which the last one is remembered.

    Args:
        alt_svc: where else the origin is, for answers to say; "" for nowhere.
    """

    __slots__ = ("_alt_svc", "_date", "_fields", "_head", "_length", "_section", "_status")

    def __init__(self, alt_svc: str) -> None:
        self._alt_svc = alt_svc.encode()
        self._status = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._head: ResponseHead | None = None
        self._section: Fields | None = None
        self._length: int | None = None
        self._date = b""

    def judge(self, status: int, fields: FieldPairs) -> ResponseHead:
        """What an application says of its answer; see semantics.judge_response.

        Raises:
            InvalidResponse: it must not go out.
        """
        is_plain = type(fields) is list and type(status) is int
        if (
            is_plain
            and self._head is not None
            and status == self._status
            and fields == self._fields
            and _are_octets(fields)
        ):
            return self._head
        head = semantics.judge_response(status, fields)
        if self._alt_svc:
            head = semantics.advertising(head, self._alt_svc)
        self._head = self._section = None
        if is_plain and _are_octets(fields):
            self._status, self._fields, self._head = status, list(fields), head
        return head

    def section(self, head: ResponseHead, length: int | None) -> Fields:
        """The field section of a response: the same object, if it is the last one again.

        Args:
            head: that `judge` has returned.
            length: for Content-Length; None to send none.
        """
        now = date()
        known = self._section
        if known is not None and head is self._head and (length, now) == (self._length, self._date):
            return known
        fields = [(name, value) for name, value in head.fields if name.lower() != b"upgrade"]
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        if b"date" not in head.names:
            fields.append((b"date", now))  # RFC 9110 6.6.1
        if b"server" not in head.names:
            fields.append(_SERVER)
        made = section(head.status, fields)
        if head is self._head:
            self._section, self._length, self._date = made, length, now
        return made


def _are_octets(fields: FieldPairs) -> bool:
    """Whether these are pairs of bytes and nothing that is like them, or could change by and by."""
    for pair in fields:
        if type(pair) is not tuple or type(pair[0]) is not bytes or type(pair[1]) is not bytes:
            return False
    return True


def section(status: int, fields: FieldPairs) -> Fields:
    """The field section of a response: names in lower case (RFC 9113 8.2.1, RFC 9114 4.2)."""
    lines = [(name.lower(), value) for name, value in fields]
    return [(b":status", b"%d" % status), *lines]


def refusal(violation: ProtocolViolation) -> tuple[Fields, bytes]:
    """Section and body of an answer to a request that broke a rule; the body says which."""
    status = violation.http_status
    reason = semantics.REASONS[status].decode()
    rule = f" ({violation.section})" if violation.section else ""
    body = f"{status} {reason}: {violation.reason}{rule}\n".encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"date", date()),
        _SERVER,
        *violation.answer_fields,
    ]
    return section(status, fields), body


def date() -> bytes:
    """Now, as the value of Date."""
    return semantics.imf_fixdate(int(time()))

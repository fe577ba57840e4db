"""The payload of a Close, theirs and ours (RFC 6455 5.5.1, 7.4). Both engines use it."""

from __future__ import annotations

from typing import Final

from granian_d.errors import InvalidResponse, InvalidText, ProtocolViolation
from granian_d.http.session import NO_CODE

GOING_AWAY: Final = 1001
NO_PONG: Final = 1011
RESTARTING: Final = 1012

# What the engine says when it ends a conversation by itself.
REASONS: Final = {
    GOING_AWAY: "",  # the code says it all
    1002: "a frame that breaks the protocol",
    1007: "a payload that is not what its message says",
    1009: "more than is accepted",
    NO_PONG: "no pong in time",
    RESTARTING: "",
}

# RFC 6455 7.4.2 and IANA's registry of close codes. The others below 3000 are not assigned, or mean
# something that is never on the wire (1005, 1006, 1015).
_CODES: Final = (
    frozenset(range(1000, 1004)) | frozenset(range(1007, 1015)) | frozenset(range(3000, 5000))
)
_REASON_BYTES: Final = 123  # RFC 6455 5.5: a control frame has 125 octets at most, two are the code


def read_close(payload: bytes) -> tuple[int, str]:
    """The code and the reason of the peer's Close; NO_CODE where it gives none.

    Raises:
        InvalidText: the reason is not UTF-8.
        ProtocolViolation: it has no such form, or a code that must not be on the wire.
    """
    if not payload:
        return NO_CODE, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in _CODES:
        raise ProtocolViolation("a Close without a proper code", "RFC 6455 7.4")
    try:
        return code, str(payload[2:], "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidText("a Close whose reason is not UTF-8", "RFC 6455 8.1") from error


def judge_close(code: int, reason: str) -> None:
    """Judge a Close that the application wants to say.

    Raises:
        InvalidResponse: code or reason must not go out.
    """
    if type(code) is bool or not isinstance(code, int) or code not in _CODES:
        raise InvalidResponse(f"{code!r} is not a code with which a conversation is closed")
    try:
        size = len(reason.encode())
    except (UnicodeEncodeError, AttributeError) as error:
        raise InvalidResponse("the reason of a Close is not text") from error
    if size > _REASON_BYTES:
        raise InvalidResponse(f"the reason of a Close has more than {_REASON_BYTES} octets")


def close_payload(code: int, reason: str) -> bytes:
    """The payload of a Close; without anything for NO_CODE."""
    return b"" if code == NO_CODE else code.to_bytes(2, "big") + reason.encode()

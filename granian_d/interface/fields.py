"""What an interface must read out of the fields an application gives for its response.

The rest of them is the engine's to judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.errors import InvalidResponse
from granian_d.http.fields import OWS

if TYPE_CHECKING:
    from granian_d.http.message import Fields

_EVENT_STREAM: Final = b"text/event-stream"
_EVENT_STREAM_BYTES: Final = len(_EVENT_STREAM)


def declared_length(fields: Fields) -> int | None:
    """The Content-Length among `fields`, None when there is none.

    Raises:
        InvalidResponse: it is not a number (RFC 9110 8.6).
    """
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            digits = value.strip(OWS)
            if not digits.isdigit():
                raise InvalidResponse("Content-Length is not a number")
            return int(digits)
    return None


def is_event_stream(fields: Fields) -> bool:
    """Whether the head must go out at once, without waiting for a first part of the body.

    Server-sent events may be long in coming, and a browser calls the stream open only when it has
    seen the head (WHATWG HTML 9.2).
    """
    for name, value in fields:
        if len(name) != 12 or len(value) < _EVENT_STREAM_BYTES:
            continue
        if value.startswith(_EVENT_STREAM) and name.lower() == b"content-type":
            return True
    return False

"""What an http.response.zerocopysend says: which bytes of a file that the application has open.

The file stays the application's, which may close it as soon as its `send` is over, however that
ends. So a descriptor of our own is made of it, which holds until the last byte is on its way.
"""

from __future__ import annotations

import os
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, NamedTuple

from granian_d.errors import InvalidResponse
from granian_d.interface.files import OpenFile

if TYPE_CHECKING:
    from collections.abc import Mapping


class Span(NamedTuple):
    """Some bytes of a file.

    Attributes:
        file: whose descriptor is ours.
        offset: of the first one.
        length: how many; there were as many when somebody looked.
    """

    file: OpenFile
    offset: int
    length: int


def span_of(message: Mapping[str, Any]) -> Span:
    """The bytes that a message names. Without an offset the file's position moves behind them.

    Raises:
        InvalidResponse: they are none, or of what is no regular file.
    """
    given: Any = message.get("file")
    offset, count = message.get("offset"), message.get("count")
    for name, number in (("offset", offset), ("count", count)):
        if number is not None and (not isinstance(number, int) or number < 0):
            raise InvalidResponse(f"{name} must be an int that is not negative, not {number!r}")
    try:
        file = _duplicate(given if isinstance(given, int) else given.fileno())
    except (AttributeError, OSError, OverflowError, ValueError) as error:
        raise InvalidResponse(f"cannot send {given!r}: {error}") from error
    try:
        start = _position(given) if offset is None else offset
        left = max(0, file.size_bytes - start)
        count = left if count is None else min(count, left)
        if offset is None:
            _move(given, start + count)
    except BaseException:
        file.close()
        raise
    return Span(file, start, count)


def _duplicate(fd: int) -> OpenFile:
    status = os.fstat(fd)
    if not S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    return OpenFile(os.dup(fd), status.st_size)


def _position(given: Any) -> int:
    """Where reading would go on. A buffered file knows that; its descriptor is further on."""
    tell = getattr(given, "tell", None)
    return os.lseek(_fd(given), 0, os.SEEK_CUR) if tell is None else tell()


def _move(given: Any, position: int) -> None:
    seek = getattr(given, "seek", None)
    if seek is None:
        os.lseek(_fd(given), position, os.SEEK_SET)
    else:
        seek(position)


def _fd(given: Any) -> int:
    return given if isinstance(given, int) else given.fileno()

"""What an http.response.debug holds, as text for the log. Only where files are watched."""

from __future__ import annotations

from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

# Template contexts are meant (a view's variables): wide, deep, and only their beginning is read.
MOST_CHARS: Final = 4_000
_SHORT: Final = Repr()
_SHORT.maxlevel = 4
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = 32
_SHORT.maxstring = _SHORT.maxother = 400


def shown(message: Mapping[str, Any]) -> str:
    """The information in a message, abridged.

    Raises:
        InvalidResponse: it is no dictionary.
    """
    info = message.get("info")
    if not isinstance(info, dict):
        raise InvalidResponse(f"info must be a dict, not {type(info).__name__}")
    return _SHORT.repr(info)[:MOST_CHARS]
